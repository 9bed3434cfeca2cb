# Test files compiled several at a time: what they have in common is parsed and instantiated once.
#
# sansocket_group_sources(OUT SIZE FILE...) sets OUT to generated files that hold SIZE of the files
# each. Every file has a namespace to itself, so names in one mean nothing to the next; all headers
# are included before, outside of them. A file that cannot lie in a namespace is compiled alone: give
# it to no group.
function(sansocket_group_sources out size)
  list(LENGTH ARGN count)
  math(EXPR groups "(${count} + ${size} - 1) / ${size}")
  set(made)
  set(index 0)
  while(index LESS groups)
    math(EXPR begin "${index} * ${size}")
    list(SUBLIST ARGN ${begin} ${size} files)
    set(headers)
    set(bodies "")
    set(number 0)
    foreach(file IN LISTS files)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
      file(STRINGS "${file}" lines REGEX "^#include ")
      list(APPEND headers ${lines})
      string(APPEND bodies "namespace file_${number} {\n#include \"${file}\"\n}\n")
      math(EXPR number "${number} + 1")
    endforeach()
    list(REMOVE_DUPLICATES headers)
    # Some are included only where they exist.
    list(TRANSFORM headers REPLACE "^#include (.*)$" "#if __has_include(\\1)\n#include \\1\n#endif")
    list(JOIN headers "\n" headers)
    string(MD5 name "${files}")
    set(path "${CMAKE_CURRENT_BINARY_DIR}/groups/${name}.cpp")
    file(CONFIGURE OUTPUT "${path}" CONTENT "${headers}\n\n${bodies}" @ONLY)
    list(APPEND made "${path}")
    math(EXPR index "${index} + 1")
  endwhile()
  set(${out} ${made} PARENT_SCOPE)
endfunction()
