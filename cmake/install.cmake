include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(SANSOCKET_INSTALL_CMAKEDIR "${CMAKE_INSTALL_DATADIR}/cmake/sansocket"
    CACHE STRING "Where the CMake package goes, under the prefix")
set(SANSOCKET_INSTALL_PKGCONFIGDIR "${CMAKE_INSTALL_DATADIR}/pkgconfig"
    CACHE STRING "Where the pkg-config files go, under the prefix")
mark_as_advanced(SANSOCKET_INSTALL_CMAKEDIR SANSOCKET_INSTALL_PKGCONFIGDIR)
set(component sansocket_development)

# The targets that this directory has defined, each with a file of its own in the package.
foreach(part IN ITEMS "" _asio _zlib _openssl)
  if(TARGET sansocket${part})
    string(REPLACE "_" "-" file "sansocket${part}-targets")
    install(TARGETS sansocket${part} EXPORT ${file} FILE_SET HEADERS COMPONENT ${component})
    install(EXPORT ${file} NAMESPACE sansocket:: DESTINATION "${SANSOCKET_INSTALL_CMAKEDIR}"
            COMPONENT ${component})
  endif()
endforeach()

configure_package_config_file(cmake/sansocket-config.cmake.in sansocket-config.cmake
                              INSTALL_DESTINATION "${SANSOCKET_INSTALL_CMAKEDIR}" NO_SET_AND_CHECK_MACRO)
# While the major version is 0, a new minor version may change the interface.
write_basic_package_version_file(sansocket-config-version.cmake COMPATIBILITY SameMinorVersion
                                                                ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/sansocket-config.cmake"
              "${PROJECT_BINARY_DIR}/sansocket-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/sansocket-find-asio.cmake"
        DESTINATION "${SANSOCKET_INSTALL_CMAKEDIR}" COMPONENT ${component})
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/sansocket"
        COMPONENT ${component})

# pkg-config. The files say where the headers are from where they are themselves: a prefix can be moved.
if(IS_ABSOLUTE "${SANSOCKET_INSTALL_PKGCONFIGDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH up "/${SANSOCKET_INSTALL_PKGCONFIGDIR}" /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
cmake_path(APPEND pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")

# Writes and installs NAME.pc. FLAGS is what compiling and linking need beside the headers.
function(sansocket_install_pc name)
  cmake_parse_arguments(PARSE_ARGV 1 pc "" "DESCRIPTION;REQUIRES;CFLAGS;LIBS" "")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/sansocket.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${SANSOCKET_INSTALL_PKGCONFIGDIR}" COMPONENT ${component})
endfunction()

sansocket_install_pc(sansocket DESCRIPTION "${PROJECT_DESCRIPTION}")
if(TARGET sansocket_asio)
  # The definitions are for clang++ with Asio 1.22, as in CMakeLists.txt; elsewhere Asio makes the same.
  sansocket_install_pc(
    sansocket-asio
    DESCRIPTION "sansocket's adapter on standalone Asio"
    REQUIRES "sansocket = ${PROJECT_VERSION}"
    CFLAGS "-pthread -DASIO_HAS_CO_AWAIT=1 -DASIO_HAS_STD_COROUTINE=1"
    LIBS "-pthread")
endif()
if(TARGET sansocket_zlib)
  sansocket_install_pc(
    sansocket-zlib
    DESCRIPTION "sansocket's permessage-deflate, over zlib"
    REQUIRES "sansocket = ${PROJECT_VERSION}, zlib >= 1.2.11")
endif()
if(TARGET sansocket_openssl)
  sansocket_install_pc(
    sansocket-openssl
    DESCRIPTION "TLS for sansocket's adapter, over OpenSSL"
    REQUIRES "sansocket-asio = ${PROJECT_VERSION}, openssl >= 1.1.1")
endif()
