// What the core's tests allocate: counted, and made to fail. The operators are in
// connection_allocation.test.cpp.
#pragma once

#include <cstddef>
#include <new>

namespace support {

inline std::size_t allocations = 0;
inline std::size_t bytes_allocated = 0;
inline std::size_t bytes_in_use = 0;
inline constexpr std::size_t unlimited = static_cast<std::size_t>(-1);
inline std::size_t allocations_left = unlimited;  // the one after these fails

// Calls `f` with its allocation number `n`, from 0, failing. Whether it did.
template <class F>
bool fails_at(std::size_t n, F&& f) {
    bool failed = false;
    allocations_left = n;
    try {
        f();
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    allocations_left = unlimited;
    return failed;
}

}  // namespace support
