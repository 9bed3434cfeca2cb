#include <sansocket_simulation/scheduler.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using sansocket_simulation::scheduler;

TEST_CASE("scheduler: the earliest comes first, and what is asked for first at one moment") {
    scheduler s;
    const auto begin = s.now();
    std::string order;
    s.after(2ms, [&] { order += 'c'; });
    s.after(1ms, [&] { order += 'a'; });
    s.after(1ms, [&] { order += 'b'; });
    CHECK(s.step());
    CHECK(s.now() == begin + 1ms);
    while (s.step()) {}
    CHECK(order == "abc");
    CHECK(s.now() == begin + 2ms);
    CHECK(s.quiet());
    CHECK(s.happened() == 3);
}

TEST_CASE("scheduler: what is past happens now, and what is never does not") {
    scheduler s;
    const auto begin = s.now();
    int happened = 0;
    s.at(begin - 1h, [&] { ++happened; });
    CHECK(s.at(sansocket::never, [&] { happened += 100; }) == 0);
    while (s.step()) {}
    CHECK(happened == 1);
    CHECK(s.now() == begin);
}

TEST_CASE("scheduler: what is cancelled does not happen; cancelling again, or later, is nothing") {
    scheduler s;
    int happened = 0;
    scheduler::event first = s.after(1ms, [&] { happened += 1; });
    const scheduler::event copy = first;
    scheduler::event second = s.after(2ms, [&] { happened += 10; });
    s.cancel(first);
    CHECK(first == 0);
    scheduler::event third = s.after(3ms, [&] { happened += 100; });  // takes the first one's place
    scheduler::event old = copy;
    s.cancel(old);
    while (s.step()) {}
    CHECK(happened == 110);
    s.cancel(second);
    s.cancel(third);
    CHECK(s.quiet());
}

TEST_CASE("scheduler: it waits until a time, and no longer") {
    scheduler s;
    const auto begin = s.now();
    int happened = 0;
    s.after(5ms, [&] { ++happened; });
    CHECK_FALSE(s.step(begin + 4ms));
    CHECK(happened == 0);
    CHECK(s.now() == begin + 4ms);
    CHECK(s.step(begin + 5ms));
    CHECK(happened == 1);
    CHECK_FALSE(s.step(begin + 9ms));
    CHECK(s.now() == begin + 9ms);
}

TEST_CASE("scheduler: what happens may ask for more, and cancel what is to come") {
    scheduler s;
    std::string order;
    scheduler::event later = s.after(2ms, [&] { order += 'x'; });
    s.after(1ms, [&] {
        order += 'a';
        s.cancel(later);
        s.after(0ms, [&] { order += 'b'; });
    });
    while (s.step()) {}
    CHECK(order == "ab");
}
