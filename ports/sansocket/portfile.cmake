set(VCPKG_BUILD_TYPE release) # header-only

# As an overlay port of a checkout this installs the checkout, and from a registry the release, whose
# commit tools/vcpkg_port writes here.
set(release "")
get_filename_component(checkout "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
if(EXISTS "${checkout}/include/sansocket/version.hpp")
  set(SOURCE_PATH "${checkout}")
elseif(release STREQUAL "")
  message(FATAL_ERROR "sansocket ${VERSION} is not released: use this port as an overlay of a checkout")
else()
  vcpkg_from_git(
    OUT_SOURCE_PATH SOURCE_PATH
    URL https://github.com/sansocket/sansocket.git
    REF "${release}"
    HEAD_REF main)
endif()

vcpkg_check_features(
  OUT_FEATURE_OPTIONS options
  FEATURES
    asio SANSOCKET_ASIO
    openssl SANSOCKET_OPENSSL
    zlib SANSOCKET_ZLIB)
# CMakeLists.txt goes on without an OpenSSL that is not found; who asked for the feature wants to know.
if("openssl" IN_LIST FEATURES)
  list(APPEND options -DCMAKE_REQUIRE_FIND_PACKAGE_OpenSSL=ON)
endif()
# A file of pkg-config that says how to link belongs into lib/ there.
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${options}
    -DSANSOCKET_BUILD_BENCH=OFF
    -DSANSOCKET_BUILD_EXAMPLES=OFF
    -DSANSOCKET_BUILD_TESTS=OFF
    -DSANSOCKET_INSTALL=ON
    -DSANSOCKET_INSTALL_PKGCONFIGDIR=lib/pkgconfig)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/sansocket)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/licenses")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
