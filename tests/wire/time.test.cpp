#include <sansocket/wire/time.hpp>

#include "support/catch.hpp"

#include <chrono>

using namespace sansocket;
using namespace std::chrono_literals;

namespace {

constexpr time_point at(duration since_epoch) { return time_point{since_epoch}; }

}  // namespace

static_assert(after(at(10s), 5s) == at(15s));
static_assert(after(at(-10s), 5s) == at(-5s));

TEST_CASE("time: a span of 0 or less never ends") {
    CHECK(after(at(10s), duration::zero()) == never);
    CHECK(after(at(10s), -1s) == never);
    CHECK(after(never, duration::zero()) == never);
}

TEST_CASE("time: a span too long never ends, and does not overflow") {
    constexpr duration tick{1};
    CHECK(after(at(1s), (duration::max)()) == never);
    CHECK(after(time_point{}, (duration::max)()) == never);
    CHECK(after(never, tick) == never);
    CHECK(after(never - tick, tick) == never);
    CHECK(after(never - 2 * tick, tick) == never - tick);
    CHECK(after(immediately, (duration::max)()) == immediately + (duration::max)());
}

// What a loop hands to poll() or a timer. Signed overflow would not be a constant expression.
static_assert(immediately - at((duration::max)() / 2) < duration::zero());
static_assert(never - at(0s) > duration::zero());
static_assert(std::chrono::ceil<std::chrono::milliseconds>(immediately - at(1h)) < 0ms);

TEST_CASE("time: every moment lies between immediately and never") {
    for (const time_point t : {at(-1h), at(0s), at(1h)}) {
        CHECK(immediately < t);
        CHECK(t < never);
    }
}
