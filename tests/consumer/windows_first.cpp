// windows.h before the core's headers, with all of its macros.
#include <windows.h>

#include <sansocket/sansocket.hpp>
#include <sansocket_simulation/sansocket_simulation.hpp>
#include <sansocket_trace/sansocket_trace.hpp>
