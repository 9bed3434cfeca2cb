# Defines ZLIB::ZLIB from zlib's own repository, or from the tree in FETCHCONTENT_SOURCE_DIR_ZLIB. Its
# CMakeLists.txt writes into its source tree and installs itself; only its sources are wanted.
include(FetchContent)
FetchContent_Declare(
  zlib
  GIT_REPOSITORY https://github.com/madler/zlib.git
  GIT_TAG v1.3.1
  GIT_SHALLOW TRUE
  SOURCE_SUBDIR none)
FetchContent_MakeAvailable(zlib)
enable_language(C)
set(zlib_sources adler32.c crc32.c deflate.c inffast.c inflate.c inftrees.c trees.c zutil.c)
list(TRANSFORM zlib_sources PREPEND "${zlib_SOURCE_DIR}/")
add_library(sansocket_fetched_zlib STATIC EXCLUDE_FROM_ALL ${zlib_sources})
set_target_properties(sansocket_fetched_zlib PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_compile_options(sansocket_fetched_zlib PRIVATE -w)
target_include_directories(sansocket_fetched_zlib PUBLIC "${zlib_SOURCE_DIR}")
# Imported, as an installed one is: whoever installs sansocket has to have a zlib there.
add_library(ZLIB::ZLIB INTERFACE IMPORTED GLOBAL)
target_include_directories(ZLIB::ZLIB SYSTEM INTERFACE "${zlib_SOURCE_DIR}")
target_link_libraries(ZLIB::ZLIB INTERFACE sansocket_fetched_zlib)
message(STATUS "sansocket: zlib in ${zlib_SOURCE_DIR}")
