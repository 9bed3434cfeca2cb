# Defines asio::asio from Asio's own repository, or from the tree in FETCHCONTENT_SOURCE_DIR_ASIO. The version is
# the newer one of the two that are tested; see tests/CMakeLists.txt.
include(FetchContent)
FetchContent_Declare(
  asio
  GIT_REPOSITORY https://github.com/chriskohlhoff/asio.git
  GIT_TAG asio-1-26-0
  GIT_SHALLOW TRUE
  SOURCE_SUBDIR none) # Asio has no CMakeLists.txt; only its headers are wanted
FetchContent_MakeAvailable(asio)
sansocket_asio_headers_under("${asio_SOURCE_DIR}" headers)
sansocket_define_asio("${headers}")
