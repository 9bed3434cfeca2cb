# Runs a portfile as vcpkg would, with a stand-in for those of its functions that the port calls. Each does
# what its documentation says, for the release build of one platform, and nothing else; what is installed
# by other ports is taken from the system.
#
# cmake -DPORT_DIR=... -DWORK=... -DVERSION=... [-DFEATURES=a;b] [-DASIO_INCLUDE_DIR=...] [-DHIDE=PACKAGE]
#       -P run_port.cmake
#
# PORT_DIR is the port's folder. The package is made in WORK/packages. PACKAGE is one that CMake shall not find.
cmake_minimum_required(VERSION 3.23)

set(PORT sansocket)
set(CURRENT_PORT_DIR "${PORT_DIR}")
set(CURRENT_BUILDTREES_DIR "${WORK}/buildtrees")
set(CURRENT_PACKAGES_DIR "${WORK}/packages")
set(CURRENT_INSTALLED_DIR "${WORK}/installed")
file(MAKE_DIRECTORY "${CURRENT_BUILDTREES_DIR}" "${CURRENT_PACKAGES_DIR}")

function(required_process)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

# A commit, and no branch or tag, of a repository. No more than that commit is fetched.
function(vcpkg_from_git)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUT_SOURCE_PATH;URL;REF;HEAD_REF" "")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_REF MATCHES "^[0-9a-f]+$")
    message(FATAL_ERROR "vcpkg_from_git(${ARGN})")
  endif()
  set(repository "${CURRENT_BUILDTREES_DIR}/git")
  set(source "${CURRENT_BUILDTREES_DIR}/src/${arg_REF}.clean")
  required_process(git init -q "${repository}")
  required_process(git -C "${repository}" fetch -q --depth 1 "${arg_URL}" "${arg_REF}")
  required_process(git -C "${repository}" archive -o "${repository}.tar" "${arg_REF}")
  file(ARCHIVE_EXTRACT INPUT "${repository}.tar" DESTINATION "${source}")
  set(${arg_OUT_SOURCE_PATH} "${source}" PARENT_SCOPE)
endfunction()

function(vcpkg_check_features)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUT_FEATURE_OPTIONS" "FEATURES")
  set(options)
  while(arg_FEATURES)
    list(POP_FRONT arg_FEATURES feature option)
    if(feature IN_LIST FEATURES)
      list(APPEND options "-D${option}=ON")
    else()
      list(APPEND options "-D${option}=OFF")
    endif()
  endwhile()
  set(${arg_OUT_FEATURE_OPTIONS} "${options}" PARENT_SCOPE)
endfunction()

# A toolchain is forced upon the project, and nothing may be fetched by it.
function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
  set(own)
  if(ASIO_INCLUDE_DIR)
    set(own "-DASIO_INCLUDE_DIR=${ASIO_INCLUDE_DIR}")
  endif()
  if(HIDE)
    list(APPEND own "-DCMAKE_DISABLE_FIND_PACKAGE_${HIDE}=ON")
  endif()
  required_process(
    "${CMAKE_COMMAND}" -S "${arg_SOURCE_PATH}" -B "${CURRENT_BUILDTREES_DIR}/rel" -G Ninja -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" -DCMAKE_INSTALL_LIBDIR:STRING=lib
    -DFETCHCONTENT_FULLY_DISCONNECTED=ON -DBUILD_SHARED_LIBS=OFF ${own} ${arg_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
  required_process("${CMAKE_COMMAND}" --build "${CURRENT_BUILDTREES_DIR}/rel" --target install)
endfunction()

# Moves the CMake package to share/PORT, which is two levels below the prefix.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH" "")
  set(from "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}")
  set(to "${CURRENT_PACKAGES_DIR}/share/${PORT}")
  file(GLOB files "${from}/*")
  file(COPY ${files} DESTINATION "${to}")
  file(REMOVE_RECURSE "${from}")
  cmake_path(GET from PARENT_PATH parent)
  cmake_path(GET parent FILENAME parent_name)
  if(parent_name STREQUAL "cmake")
    file(REMOVE_RECURSE "${parent}")
  endif()
  file(GLOB files "${to}/*.cmake")
  set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
  foreach(file IN LISTS files)
    file(READ "${file}" text)
    string(REPLACE "${up}${up}${up}" "${up}${up}" text "${text}")
    string(REPLACE "\${CMAKE_CURRENT_LIST_DIR}/../../../" "\${CMAKE_CURRENT_LIST_DIR}/../../" text "${text}")
    string(REPLACE "${CURRENT_PACKAGES_DIR}" "\${_IMPORT_PREFIX}" text "${text}")
    file(WRITE "${file}" "${text}")
  endforeach()
endfunction()

# pkg-config has to know each file, and what that requires.
function(vcpkg_fixup_pkgconfig)
  file(GLOB_RECURSE files "${CURRENT_PACKAGES_DIR}/*.pc")
  foreach(file IN LISTS files)
    cmake_path(GET file STEM LAST_ONLY name)
    cmake_path(GET file PARENT_PATH folder)
    required_process("${CMAKE_COMMAND}" -E env "PKG_CONFIG_PATH=${folder}" pkg-config --print-errors --exists "${name}")
  endforeach()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
  configure_file("${arg_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" COPYONLY)
endfunction()

include("${PORT_DIR}/portfile.cmake")
if(NOT VCPKG_BUILD_TYPE STREQUAL "release")
  message(FATAL_ERROR "vcpkg would want a debug build, too")
endif()
