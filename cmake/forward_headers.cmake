# For the project's own programs, built on the single headers: what they include by its path in include/ is
# the single header that holds it. Whoever uses the library has the single headers, and no such paths.
set(forward "${PROJECT_BINARY_DIR}/forward")
file(GLOB_RECURSE tree_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include" include/*.hpp)
file(GLOB_RECURSE gone RELATIVE "${forward}" "${forward}/*.hpp")
list(REMOVE_ITEM gone ${tree_headers})
foreach(header IN LISTS gone)
  file(REMOVE "${forward}/${header}")
endforeach()

foreach(header IN LISTS tree_headers)
  string(REGEX REPLACE "/.*" "" root "${header}")
  if(NOT header STREQUAL "${root}/${root}.hpp")
    file(CONFIGURE OUTPUT "${forward}/${header}"
         CONTENT "#pragma once\n\n#include <${root}/${root}.hpp>\n" @ONLY)
  endif()
endforeach()
include_directories("${forward}")
