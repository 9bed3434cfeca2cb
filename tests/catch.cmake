# Defines sansocket_catch: Catch2 as installed, version 3 or 2.13 (Debian 12), or version 3 fetched.
# SANSOCKET_CATCH_FLAGS: what makes a run that matches no test a failure.
find_package(Catch2 3 QUIET)
if(NOT Catch2_FOUND)
  find_package(Catch2 2.13 QUIET)
endif()
if(NOT Catch2_FOUND)
  include(FetchContent)
  FetchContent_Declare(
    Catch2
    GIT_REPOSITORY https://github.com/catchorg/Catch2.git
    GIT_TAG v3.8.1
    GIT_SHALLOW TRUE)
  FetchContent_MakeAvailable(Catch2)
endif()

add_library(sansocket_catch INTERFACE)
target_link_libraries(sansocket_catch INTERFACE Catch2::Catch2)
if(Catch2_VERSION AND Catch2_VERSION VERSION_LESS 3)
  set(SANSOCKET_CATCH_FLAGS --warn NoTests)
else()
  set(SANSOCKET_CATCH_FLAGS) # version 3 always does
endif()
