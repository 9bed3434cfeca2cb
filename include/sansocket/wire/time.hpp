// time.hpp
//
// The library's words for time. It never asks a clock: who calls says what time
// it is, on any clock that does not go back, as points of std::chrono::steady_clock.
#pragma once

#include <chrono>

namespace sansocket {

/// A moment, as the caller tells it.
using time_point = std::chrono::steady_clock::time_point;

/// A span of time.
using duration = std::chrono::steady_clock::duration;

/// No deadline.
inline constexpr time_point never = (time_point::max)();

/// A deadline that has passed whatever the time is. Far enough from the ends that the time left until
/// then, `immediately - now`, is a number.
inline constexpr time_point immediately{(duration::min)() / 2};

/// `now + span`, or `never` where `span` is 0 or would pass it.
[[nodiscard]] constexpr time_point after(time_point now, duration span) noexcept {
    if (span <= duration::zero() || (now >= time_point{} && span >= never - now)) return never;
    return now + span;
}

}  // namespace sansocket
