// What a test program has of memory.
#pragma once

#include "scale.hpp"

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace support {

/// Bytes of the heap that are in use, with what malloc needs for itself.
inline std::size_t heap_in_use() {
    if (sanitized) return __sanitizer_get_current_allocated_bytes();
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

/// Bytes of memory that the process holds, after it gave back what it can.
inline std::size_t resident_bytes() {
    ::malloc_trim(0);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;  // the second number
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace support
