// The allocations of an Asio program's test that count: one of them is made to fail. The operators are
// in server_allocation.test.cpp.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace support {

inline constexpr std::size_t unlimited = static_cast<std::size_t>(-1);
inline thread_local std::size_t allocations_left = unlimited;  // the one after these fails
inline thread_local bool allocations_count = false;

/// Calls `f` while allocations count. Whether it ended with std::bad_alloc.
template <class F>
bool throws_bad_alloc(F&& f) {
    bool thrown = false;
    allocations_count = true;
    try {
        std::forward<F>(f)();
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    allocations_count = false;
    return thrown;
}

/// The same with allocation number `n`, from 0, failing. Whether it did, thrown or not.
template <class F>
bool fails_at(std::size_t n, F&& f) {
    allocations_left = n;
    (void)throws_bad_alloc(std::forward<F>(f));
    const bool failed = allocations_left == unlimited;
    allocations_left = unlimited;
    return failed;
}

}  // namespace support
