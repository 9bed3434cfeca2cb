#include <sansocket/machine/transport_shutdown.hpp>

#include "support/catch.hpp"

#include <chrono>

using namespace sansocket;
using namespace std::chrono_literals;

namespace {

using request = shutdown_request;
using phase = transport_phase;

constexpr time_point at(duration since_epoch) { return time_point{since_epoch}; }

struct row {
    phase in;
    bool flushed;
    request running;      // the transport's input goes on
    request input_ended;  // the transport's input has ended
};

// The whole table; only the first line of `finished` differs by role. 7.1.1, 7.1.7.
constexpr row rows[] = {
    {phase::in_use, false, request::none, request::none},
    {phase::in_use, true, request::none, request::none},
    {phase::finished, false, request::none, request::none},
    {phase::lingering, false, request::none, request::none},
    {phase::lingering, true, request::half_close, request::close},
    {phase::over, false, request::close, request::close},
    {phase::over, true, request::close, request::close},
};

template <role Role>
void check_rows() {
    for (const row& r : rows) {
        transport_shutdown<Role> machine;
        CHECK(machine.request(r.in, r.flushed) == r.running);
        machine.end_of_input();
        CHECK(machine.input_ended());
        CHECK(machine.request(r.in, r.flushed) == r.input_ended);
        machine.abort();
        CHECK(machine.request(r.in, r.flushed) == request::abort);
        machine.end_of_input();
        CHECK(machine.aborted());
    }
    transport_shutdown<Role> machine;
    CHECK(machine.request(phase::finished, true) ==
          (Role == role::server ? request::close : request::none));
}

}  // namespace

// 7.1.1: the server closes first, a client when the server has.
static_assert(transport_shutdown<role::server>{}.request(phase::finished, true) == request::close);
static_assert(transport_shutdown<role::client>{}.request(phase::finished, true) == request::none);

TEST_CASE("transport_shutdown: what to do in each phase, a server (7.1.1)") {
    check_rows<role::server>();
}

TEST_CASE("transport_shutdown: what to do in each phase, a client (7.1.1)") {
    check_rows<role::client>();
}

TEST_CASE("transport_shutdown: a client closes once the server has (7.1.1)") {
    transport_shutdown<role::client> machine;
    machine.end_of_input();
    CHECK(machine.request(phase::finished, true) == request::close);
    CHECK(machine.request(phase::finished, false) == request::none);
}

TEST_CASE("transport_shutdown: the deadline is armed once and traffic does not move it") {
    transport_shutdown<role::server> machine;
    CHECK(machine.deadline() == never);
    machine.arm(at(10s), 5s);
    machine.arm(at(12s), 5s);
    CHECK(machine.deadline() == at(15s));
    machine.disarm();
    CHECK(machine.deadline() == never);
    machine.arm(at(20s), 5s);
    CHECK(machine.deadline() == at(25s));
}

TEST_CASE("transport_shutdown: a timeout of 0 is no deadline") {
    transport_shutdown<role::client> machine;
    machine.arm(at(10s), duration::zero());
    CHECK(machine.deadline() == never);
}

TEST_CASE("transport_shutdown: at the deadline a client whose handshake is complete closes "
          "(7.1.1)") {
    transport_shutdown<role::client> machine;
    machine.arm(at(10s), 5s);
    CHECK(machine.expire(phase::finished, true));
    CHECK(machine.deadline() == never);
    CHECK(!machine.aborted());
    CHECK(machine.request(phase::finished, true) == request::close);
}

TEST_CASE("transport_shutdown: at the deadline output that nobody takes does not hold the "
          "transport") {
    transport_shutdown<role::server> machine;
    CHECK_FALSE(machine.expire(phase::finished, false));
    CHECK(machine.request(phase::finished, false) == request::abort);
    CHECK(machine.aborted());

    transport_shutdown<role::client> ended;
    ended.end_of_input();
    CHECK_FALSE(ended.expire(phase::finished, false));
    CHECK(ended.request(phase::finished, false) == request::abort);
}

TEST_CASE("transport_shutdown: at the deadline anything else is aborted") {
    for (const phase in : {phase::in_use, phase::lingering, phase::over})
        for (const bool flushed : {false, true}) {
            transport_shutdown<role::server> machine;
            CHECK_FALSE(machine.expire(in, flushed));
            CHECK(machine.aborted());
            CHECK(machine.request(in, true) == request::abort);
            CHECK(machine.request(in, false) == request::abort);
        }
}

TEST_CASE("transport_shutdown: an abort is for good") {
    transport_shutdown<role::client> machine;
    machine.abort();
    (void)machine.expire(phase::finished, true);
    CHECK(machine.request(phase::finished, true) == request::abort);
}
