include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/sansocket")

install(TARGETS sansocket EXPORT sansocket-targets FILE_SET HEADERS)
install(EXPORT sansocket-targets NAMESPACE sansocket:: DESTINATION "${package_dir}")
if(TARGET sansocket_asio)
  install(TARGETS sansocket_asio EXPORT sansocket-asio-targets FILE_SET HEADERS)
  install(EXPORT sansocket-asio-targets NAMESPACE sansocket:: DESTINATION "${package_dir}")
endif()
if(TARGET sansocket_zlib)
  install(TARGETS sansocket_zlib EXPORT sansocket-zlib-targets FILE_SET HEADERS)
  install(EXPORT sansocket-zlib-targets NAMESPACE sansocket:: DESTINATION "${package_dir}")
endif()
if(TARGET sansocket_openssl)
  install(TARGETS sansocket_openssl EXPORT sansocket-openssl-targets FILE_SET HEADERS)
  install(EXPORT sansocket-openssl-targets NAMESPACE sansocket:: DESTINATION "${package_dir}")
endif()

configure_package_config_file(cmake/sansocket-config.cmake.in sansocket-config.cmake
                              INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# While the major version is 0, a new minor version may change the interface.
write_basic_package_version_file(sansocket-config-version.cmake COMPATIBILITY SameMinorVersion
                                                                ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/sansocket-config.cmake"
              "${PROJECT_BINARY_DIR}/sansocket-config-version.cmake"
              cmake/sansocket-find-asio.cmake
        DESTINATION "${package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/sansocket")
