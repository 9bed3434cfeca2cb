#include <sansocket/machine/keepalive.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>

using namespace sansocket;
using namespace std::chrono_literals;
using state = keepalive_state;

namespace {

constexpr time_point at(duration since_epoch) { return time_point{since_epoch}; }

constexpr keepalive_options pings{20s, 10s, 0s, 0s};

// Asks at `now`, with no output waiting.
keepalive::action ask(keepalive& machine, time_point now) { return machine.advance(now, false); }

bool idle(keepalive::action action) { return !action.ping && action.end == errc::ok; }

}  // namespace

TEST_CASE("keepalive: the defaults ping every 20 seconds and wait 20 for the answer") {
    keepalive machine;
    machine.start(at(0s));
    CHECK(machine.next_deadline(true) == at(20s));
    CHECK(ask(machine, at(20s)).ping);
    CHECK(machine.next_deadline(true) == at(40s));
    CHECK(ask(machine, at(40s)).end == errc::pong_timeout);
}

TEST_CASE("keepalive: stopped, nothing runs") {
    keepalive machine{{1s, 1s, 1s, 1s}};
    const auto check_stopped = [&] {
        CHECK(machine.state() == state::stopped);
        CHECK(machine.next_deadline(false) == never);
        CHECK(machine.next_deadline(true) == never);
        CHECK(idle(machine.advance(at(100h), true)));
    };
    check_stopped();
    machine.received(at(1s));
    check_stopped();
    machine.suspend();
    check_stopped();
    machine.resume(at(2s));
    check_stopped();

    machine.start(at(200h));
    CHECK(machine.state() == state::quiet);
    machine.stop();
    check_stopped();
}

TEST_CASE("keepalive: a Ping after silence, once (5.5.2)") {
    keepalive machine{pings};
    machine.start(at(0s));
    CHECK(idle(ask(machine, at(20s) - duration{1})));

    CHECK(ask(machine, at(20s)).ping);
    CHECK(machine.state() == state::pinged);
    CHECK(idle(ask(machine, at(20s))));
    CHECK(machine.next_deadline(false) == at(30s));
}

TEST_CASE("keepalive: any byte proves life and starts the silence anew") {
    keepalive machine{pings};
    machine.start(at(0s));
    machine.received(at(15s));
    CHECK(machine.last_received() == at(15s));
    CHECK(machine.next_deadline(false) == at(35s));
    CHECK(idle(ask(machine, at(20s))));

    CHECK(ask(machine, at(35s)).ping);
    machine.received(at(44s));
    CHECK(machine.state() == state::quiet);
    CHECK(idle(ask(machine, at(45s))));
    CHECK(machine.next_deadline(false) == at(64s));
}

TEST_CASE("keepalive: no answer ends it, and goes on saying so") {
    keepalive machine{pings};
    machine.start(at(0s));
    CHECK(ask(machine, at(25s)).ping);
    CHECK(idle(ask(machine, at(35s) - duration{1})));
    CHECK(ask(machine, at(35s)).end == errc::pong_timeout);
    CHECK(!ask(machine, at(35s)).ping);
    CHECK(ask(machine, at(36s)).end == errc::pong_timeout);
}

TEST_CASE("keepalive: without a pong timeout it pings again and again") {
    keepalive machine{{20s, 0s, 0s, 0s}};
    machine.start(at(0s));
    CHECK(ask(machine, at(20s)).ping);
    CHECK(machine.next_deadline(false) == at(40s));
    CHECK(idle(ask(machine, at(40s) - duration{1})));
    CHECK(ask(machine, at(40s)).ping);
    CHECK(machine.next_deadline(false) == at(60s));
}

TEST_CASE("keepalive: without an interval it never pings") {
    keepalive machine{{0s, 10s, 0s, 0s}};
    machine.start(at(0s));
    CHECK(machine.next_deadline(false) == never);
    CHECK(idle(ask(machine, at(100h))));
}

TEST_CASE("keepalive: the idle timeout ends a silence, pinged or not, and bytes put it off") {
    keepalive machine{{20s, 0s, 50s, 0s}};
    machine.start(at(0s));
    CHECK(ask(machine, at(20s)).ping);
    CHECK(ask(machine, at(40s)).ping);
    CHECK(machine.next_deadline(false) == at(50s));
    machine.received(at(49s));
    CHECK(idle(ask(machine, at(50s))));
    CHECK(ask(machine, at(99s)).end == errc::idle_timeout);
}

TEST_CASE("keepalive: while this endpoint does not read, the peer cannot prove anything") {
    keepalive machine{{20s, 10s, 30s, 0s}};
    machine.start(at(0s));
    CHECK(ask(machine, at(20s)).ping);
    machine.suspend();
    CHECK(machine.state() == state::suspended);
    CHECK(machine.next_deadline(false) == never);
    CHECK(idle(ask(machine, at(100h))));

    machine.resume(at(100h));
    CHECK(machine.state() == state::quiet);
    CHECK(machine.next_deadline(false) == at(100h + 20s));
    CHECK(idle(ask(machine, at(100h + 19s))));
    CHECK(ask(machine, at(100h + 20s)).ping);
}

TEST_CASE("keepalive: resuming what is not suspended changes nothing") {
    keepalive machine{pings};
    machine.start(at(0s));
    machine.resume(at(10s));
    CHECK(machine.next_deadline(false) == at(20s));
}

TEST_CASE("keepalive: bytes end a suspension") {
    keepalive machine{pings};
    machine.start(at(0s));
    machine.suspend();
    machine.received(at(5s));
    CHECK(machine.state() == state::quiet);
    CHECK(machine.next_deadline(false) == at(25s));
}

TEST_CASE("keepalive: each Ping has its number, and its own Pong measures the round trip (5.5.3)") {
    keepalive machine{{20s, 0s, 0s, 0s}};
    machine.start(at(0s));
    const auto none = machine.payload();
    CHECK(!machine.pong(none, at(1s)));
    CHECK(!machine.round_trip());

    CHECK(ask(machine, at(20s)).ping);
    const auto first = machine.payload();
    CHECK(support::to_hex(first) == "0000000000000001");
    CHECK(ask(machine, at(40s)).ping);
    const auto second = machine.payload();
    CHECK(support::to_hex(second) == "0000000000000002");

    CHECK(!machine.pong(first, at(41s)));
    CHECK(!machine.pong({}, at(41s)));
    CHECK(!machine.pong(std::span{second}.first(7), at(41s)));
    CHECK(!machine.round_trip());
    CHECK(machine.pong(second, at(43s)) == 3s);
    CHECK(machine.round_trip() == 3s);
    CHECK(!machine.pong(second, at(50s)));  // said once more
    CHECK(machine.round_trip() == 3s);
    CHECK(ask(machine, at(60s)).ping);
    CHECK(machine.pong(machine.payload(), at(61s)) == 1s);
    CHECK(machine.round_trip() == 1s);
    machine.received(at(61s));
    CHECK(ask(machine, at(81s)).ping);
    CHECK(machine.pong(machine.payload(), at(81s)) == 0s);  // a clock may be that coarse
    CHECK(machine.round_trip() == 0s);
}

TEST_CASE("keepalive: how long nothing has come, as far as the time was told") {
    keepalive machine{pings};
    CHECK(machine.silence() == 0s);
    machine.told(at(5s));
    CHECK(machine.silence() == 0s);  // nothing has come at all
    machine.start(at(10s));
    CHECK(machine.silence() == 0s);
    machine.received(at(12s));
    CHECK(machine.silence() == 0s);
    machine.told(at(19s));
    CHECK(machine.silence() == 7s);
    machine.stop();
    CHECK(machine.silence() == 7s);
    machine.received(at(20s));
    CHECK(machine.silence() == 0s);
}

TEST_CASE("keepalive: by default 30 seconds in which the transport takes nothing end it") {
    keepalive machine;
    machine.start(at(0s));
    machine.written(true, at(1s));
    machine.suspend();  // only the write timeout runs while nobody reads
    CHECK(machine.next_deadline(true) == at(31s));
    CHECK(idle(machine.advance(at(31s) - duration{1}, true)));
    CHECK(machine.advance(at(31s), true).end == errc::write_timeout);
}

TEST_CASE("keepalive: a write timeout of 0 is none") {
    keepalive machine{{0s, 0s, 0s, 0s}};
    machine.start(at(0s));
    machine.written(true, at(1s));
    CHECK(machine.next_deadline(true) == never);
    CHECK(idle(machine.advance(at(1000h), true)));
}

TEST_CASE("keepalive: output that the transport does not take ends it") {
    keepalive machine{{0s, 0s, 0s, 5s}};
    machine.start(at(0s));
    CHECK(machine.next_deadline(false) == never);
    CHECK(machine.next_deadline(true) == at(5s));  // to learn the time from which on it waits

    CHECK(idle(machine.advance(at(10s), true)));
    CHECK(machine.next_deadline(true) == at(15s));
    CHECK(idle(machine.advance(at(15s) - duration{1}, true)));
    CHECK(machine.advance(at(15s), true).end == errc::write_timeout);
}

TEST_CASE("keepalive: a send tells no time, so that a stall is noticed within twice the timeout") {
    keepalive machine{{0s, 0s, 0s, 5s}};
    machine.start(at(0s));
    machine.written(false, at(10s));
    CHECK(machine.write_stalled_since() == never);
    for (const auto sent : {10s, 14s, 40s}) {  // and nothing of it is taken
        keepalive stalls = machine;
        const auto looked = (std::max)(at(sent), stalls.next_deadline(true));
        CHECK(idle(stalls.advance(looked, true)));
        CHECK(stalls.write_stalled_since() == looked);
        CHECK(stalls.next_deadline(true) == looked + 5s);
        CHECK(looked + 5s - at(sent) >= 5s);
        CHECK(looked + 5s - at(sent) <= 10s);
        CHECK(stalls.advance(looked + 5s, true).end == errc::write_timeout);
    }
}

TEST_CASE("keepalive: who takes a little now and then is never too slow") {
    keepalive machine;
    machine.start(at(0s));
    machine.suspend();
    for (int i = 1; i != 1000; ++i) {
        machine.written(true, at(i * 29s));
        CHECK(idle(machine.advance(at(i * 29s + 28s), true)));
    }
}

TEST_CASE("keepalive: output taken in part puts the write timeout off, bytes received do not") {
    keepalive machine{{0s, 0s, 0s, 5s}};
    machine.start(at(0s));
    CHECK(idle(machine.advance(at(10s), true)));
    machine.written(true, at(14s));
    CHECK(machine.next_deadline(true) == at(19s));
    machine.received(at(18s));
    CHECK(machine.next_deadline(true) == at(19s));
    machine.written(false, at(18s));
    CHECK(machine.next_deadline(false) == never);
    CHECK(idle(machine.advance(at(100s), true)));
    CHECK(machine.next_deadline(true) == at(105s));
}

TEST_CASE("keepalive: output that was dropped does not count for what comes later") {
    keepalive machine{{0s, 0s, 0s, 5s}};
    machine.start(at(0s));
    CHECK(idle(machine.advance(at(10s), true)));
    CHECK(idle(machine.advance(at(12s), false)));
    CHECK(idle(machine.advance(at(100s), true)));
    CHECK(machine.next_deadline(true) == at(105s));
}

TEST_CASE("keepalive: the write timeout runs while this endpoint is not reading") {
    keepalive machine{{20s, 10s, 0s, 5s}};
    machine.start(at(0s));
    machine.suspend();
    CHECK(idle(machine.advance(at(1s), true)));
    CHECK(machine.next_deadline(true) == at(6s));
    CHECK(machine.advance(at(6s), true).end == errc::write_timeout);
}

TEST_CASE("keepalive: the earliest deadline is the one that is named") {
    keepalive machine{{20s, 10s, 25s, 7s}};
    machine.start(at(0s));
    machine.written(true, at(0s));
    CHECK(machine.next_deadline(true) == at(7s));
    CHECK(machine.next_deadline(false) == at(20s));
    CHECK(ask(machine, at(20s)).ping);
    CHECK(machine.next_deadline(false) == at(25s));
    CHECK(ask(machine, at(25s)).end == errc::idle_timeout);
}

TEST_CASE("keepalive: silence counts from when the connection opened") {
    keepalive machine{{20s, 10s, 50s, 0s}};
    machine.start(at(100s));
    CHECK(machine.last_received() == at(100s));
    CHECK(machine.next_deadline(false) == at(120s));
    CHECK(idle(ask(machine, at(119s))));
    CHECK(ask(machine, at(120s)).ping);
}

TEST_CASE("keepalive: the number of a Ping is in network byte order, past one byte too (5.5.3)") {
    keepalive machine{{1s, 0s, 0s, 0s}};
    machine.start(at(0s));
    for (int i = 1; i <= 0x0203; ++i) CHECK(ask(machine, at(i * 1s)).ping);
    CHECK(support::to_hex(machine.payload()) == "0000000000000203");
}

TEST_CASE("keepalive: what ends the connection asks for no Ping") {
    const auto ends = [](keepalive machine, bool waiting, errc how) {
        machine.start(at(0s));
        (void)machine.advance(at(1s), waiting);
        const auto action = machine.advance(at(100h), waiting);
        CHECK(action.end == how);
        CHECK(!action.ping);
    };
    ends(keepalive{{0s, 0s, 0s, 5s}}, true, errc::write_timeout);
    ends(keepalive{{0s, 0s, 5s, 0s}}, false, errc::idle_timeout);
    ends(keepalive{{1s, 5s, 0s, 0s}}, false, errc::pong_timeout);
}
