#include <sansocket/machine/close_handshake.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>

using namespace sansocket;

namespace {

using enum close_state;
using event = close_event;

constexpr close_state states[] = {open, sending, sent, received, replying, complete, failed, ended};
constexpr event events[] = {event::start, event::flush, event::receive, event::fail, event::end};

constexpr auto next(close_state from, event what) { return close_handshake::next(from, what); }

struct move {
    close_state from;
    event what;
    close_state to;
};
constexpr move legal[] = {
    {open, event::start, sending},        // 7.1.2
    {open, event::receive, received},     // 7.1.3
    {open, event::fail, failed},          // 7.1.7
    {open, event::end, ended},            // 7.1.4
    {sending, event::flush, sent},        // 7.1.2
    {sending, event::receive, replying},  // 5.5.1: both at once
    {sending, event::fail, failed},       // 7.1.7
    {sending, event::end, ended},         // 7.1.4
    {sent, event::receive, complete},     // 7.1.4
    {sent, event::fail, failed},          // 7.1.7
    {sent, event::end, ended},            // 7.1.4
    {received, event::start, replying},   // 5.5.1
    {received, event::end, ended},        // 7.1.4
    {replying, event::flush, complete},   // 7.1.4
    {replying, event::end, ended},        // 7.1.4
    {complete, event::end, complete},     // 7.1.4
    {failed, event::flush, failed},       // 7.1.7
    {failed, event::end, ended},          // 7.1.7
    {ended, event::end, ended},
};

constexpr bool all_legal_moves() {
    for (const move& m : legal)
        if (next(m.from, m.what) != m.to) return false;
    return true;
}
static_assert(all_legal_moves());

// Brings a machine to `state`.
close_handshake in(close_state state) {
    close_handshake machine;
    const auto start = [&] { REQUIRE(machine.start(close_code::normal, "ours") == errc::ok); };
    const auto receive = [&] { REQUIRE(machine.receive(close_code::going_away, "theirs", false)); };
    switch (state) {
    case open: break;
    case sending: start(); break;
    case sent:
        start();
        machine.flush();
        break;
    case received: receive(); break;
    case replying:
        receive();
        start();
        break;
    case complete:
        start();
        machine.flush();
        receive();
        break;
    case failed:
        (void)machine.fail(errc::invalid_utf8, false, close_code::invalid_payload, "x");
        break;
    case ended: machine.end(errc::transport_lost, false); break;
    }
    REQUIRE(machine.state() == state);
    return machine;
}

// Everything that `info` says, to compare.
std::string facts(const close_handshake& machine) {
    const close_info& info = machine.info();
    const auto frame = [](const std::optional<close_frame>& f) {
        return f ? std::to_string(static_cast<int>(f->code)) + f->reason : std::string{"-"};
    };
    return frame(info.received) + "|" + frame(info.sent) + "|" + (info.clean ? "clean|" : "|") +
           std::string{describe(info.cause)} + (info.incomplete_message ? "|cut" : "|");
}

}  // namespace

TEST_CASE("close_handshake: what is not in the table cannot be (7.1)") {
    CHECK(all_legal_moves());
    std::set<std::pair<close_state, event>> known;
    for (const move& m : legal) known.emplace(m.from, m.what);
    for (const close_state from : states)
        for (const event what : events)
            CHECK(next(from, what).has_value() == known.contains({from, what}));
}

TEST_CASE("close_handshake: ours first, theirs after (7.1.2, 7.1.4)") {
    close_handshake machine;
    CHECK(machine.start(close_code::normal, "done") == errc::ok);
    CHECK(machine.state() == sending);
    CHECK(machine.info().sent == close_frame{close_code::normal, "done"});
    CHECK(machine.info().cause == errc::ok);

    machine.flush();
    CHECK(machine.state() == sent);
    CHECK(!machine.info().clean);

    CHECK(machine.receive(close_code::going_away, "bye", false));
    CHECK(machine.state() == complete);
    CHECK(machine.info().clean);
    CHECK(machine.info().cause == errc::closed_locally);
    CHECK(machine.info().code() == close_code::going_away);
    CHECK(machine.info().reason() == "bye");
}

TEST_CASE("close_handshake: theirs first; clean only once the transport has our reply (7.1.3, "
          "7.1.4)") {
    close_handshake machine;
    CHECK(machine.receive(close_code::no_status, "", false));
    CHECK(machine.state() == received);
    CHECK(machine.info().cause == errc::closed_by_peer);
    CHECK(machine.info().code() == close_code::no_status);

    CHECK(machine.start(close_code::no_status, "") == errc::ok);
    CHECK(machine.state() == replying);
    CHECK(!machine.info().clean);

    machine.flush();
    CHECK(machine.state() == complete);
    CHECK(machine.info().clean);
}

TEST_CASE("close_handshake: both at once: one Close each, and ours was first to us (5.5.1)") {
    close_handshake machine;
    CHECK(machine.start(close_code::normal, "") == errc::ok);
    CHECK(machine.receive(close_code::going_away, "", false));
    CHECK(machine.state() == replying);
    CHECK(machine.start(close_code::going_away, "") == errc::closing);
    CHECK(machine.info().sent->code == close_code::normal);
    CHECK(machine.info().cause == errc::closed_locally);

    machine.flush();
    CHECK(machine.info().clean);
}

TEST_CASE("close_handshake: a second start is refused by name and changes nothing (5.5.1)") {
    for (const close_state state : {sending, sent, replying, complete, failed, ended}) {
        auto machine = in(state);
        const auto before = facts(machine);
        CHECK(machine.start(close_code::policy_violation, "again") ==
              (state < complete ? errc::closing : errc::closed));
        CHECK(machine.state() == state);
        CHECK(facts(machine) == before);
    }
}

TEST_CASE("close_handshake: a second Close from the peer, or one after the end, does not count "
          "(1.4)") {
    for (const close_state state : {received, replying, complete, failed, ended}) {
        auto machine = in(state);
        const auto before = facts(machine);
        CHECK(!machine.receive(close_code::policy_violation, "again", true));
        CHECK(machine.state() == state);
        CHECK(facts(machine) == before);
    }
}

TEST_CASE("close_handshake: a failure after the peer's Close or the end does not count (7.1.7)") {
    for (const close_state state : {received, replying, complete, failed, ended}) {
        auto machine = in(state);
        const auto before = facts(machine);
        CHECK(!machine.fail(errc::reserved_bit, true, close_code::protocol_error, "late"));
        CHECK(machine.state() == state);
        CHECK(facts(machine) == before);
    }
}

TEST_CASE("close_handshake: failing says what was sent and why; the code received stays 1006 "
          "(7.1.7)") {
    close_handshake machine;
    CHECK(machine.fail(errc::invalid_utf8, true, close_code::invalid_payload, "not UTF-8"));
    CHECK(machine.state() == failed);
    CHECK(machine.info().sent == close_frame{close_code::invalid_payload, "not UTF-8"});
    CHECK(machine.info().cause == errc::invalid_utf8);
    CHECK(machine.info().incomplete_message);
    CHECK(machine.info().code() == close_code::abnormal);

    machine.flush();
    CHECK(machine.state() == failed);
    CHECK(!machine.info().clean);
    machine.end(errc::end_of_stream, false);
    CHECK(machine.state() == ended);
    CHECK(machine.info().cause == errc::invalid_utf8);
    CHECK(machine.info().incomplete_message);
}

TEST_CASE("close_handshake: failing without a Close leaves none; after ours, ours stays (5.5.1)") {
    close_handshake silent;
    CHECK(silent.fail(errc::http_folding, false, std::nullopt, ""));
    CHECK(!silent.info().sent);

    for (const close_state state : {sending, sent}) {
        auto machine = in(state);
        CHECK(machine.fail(errc::reserved_bit, false, close_code::protocol_error, "late"));
        CHECK(machine.info().sent == close_frame{close_code::normal, "ours"});
        CHECK(machine.info().cause == errc::reserved_bit);
    }
}

TEST_CASE("close_handshake: the end of the transport is the cause only where there is none yet "
          "(7.1.4)") {
    for (const close_state state : {close_state::open, sending, sent}) {
        auto machine = in(state);
        machine.end(errc::end_of_stream, true);
        CHECK(machine.state() == ended);
        CHECK(machine.info().cause == errc::end_of_stream);
        CHECK(machine.info().incomplete_message);
        CHECK(!machine.info().clean);
    }
    for (const close_state state : {received, replying}) {
        auto machine = in(state);
        machine.end(errc::end_of_stream, true);
        CHECK(machine.state() == ended);
        CHECK(machine.info().cause == errc::closed_by_peer);
        CHECK(!machine.info().incomplete_message);
        CHECK(machine.info().code() == close_code::going_away);
        CHECK(!machine.info().clean);
    }
}

TEST_CASE("close_handshake: complete stays complete and clean, whatever comes (7.1.4)") {
    auto machine = in(complete);
    const auto before = facts(machine);
    machine.end(errc::transport_lost, true);
    machine.flush();
    (void)machine.start(close_code::normal, "");
    (void)machine.fail(errc::reserved_bit, true, close_code::protocol_error, "");
    CHECK(machine.state() == complete);
    CHECK(facts(machine) == before);
    CHECK(machine.info().clean);
}

TEST_CASE("close_handshake: a Close inside a message says that the message was cut (5.4)") {
    close_handshake machine;
    CHECK(machine.receive(close_code::normal, "", true));
    CHECK(machine.info().incomplete_message);
    machine.end(errc::transport_lost, false);
    CHECK(machine.info().incomplete_message);
}

TEST_CASE("close_handshake: flushing what was not queued does nothing") {
    for (const close_state state : {close_state::open, received, ended}) {
        auto machine = in(state);
        machine.flush();
        CHECK(machine.state() == state);
        CHECK(!machine.info().clean);
    }
}

TEST_CASE("close_handshake: input thrown away adds up (1.4)") {
    close_handshake machine;
    machine.discard(3);
    machine.discard(std::uint64_t{1} << 40U);
    CHECK(machine.info().discarded_bytes == (std::uint64_t{1} << 40U) + 3);
}

TEST_CASE("close_handshake: clean means ours taken and theirs received, on every path (7.1.4)") {
    // Every sequence of six events; the facts are kept beside the machine.
    for (std::size_t n = 0; n != 15'625; ++n) {
        close_handshake machine;
        bool queued = false, taken = false, got = false, over = false, clean = false;
        for (std::size_t i = 0, rest = n; i != 6; ++i, rest /= 5) {
            switch (events[rest % 5]) {
            case event::start: queued |= machine.start(close_code::normal, "") == errc::ok; break;
            case event::flush:
                machine.flush();
                taken |= queued && !over;
                break;
            case event::receive: got |= machine.receive(close_code::normal, "", false); break;
            case event::fail: over |= machine.fail(errc::reserved_bit, false, {}, ""); break;
            case event::end:
                machine.end(errc::transport_lost, false);
                over = true;
                break;
            }
            clean |= taken && got;
            REQUIRE(machine.info().clean == clean);
            REQUIRE((machine.info().received.has_value() == got));
        }
    }
}

TEST_CASE("close_handshake: input and output thrown away are counted, and decide nothing") {
    for (const close_state state : states) {
        close_handshake machine = in(state);
        machine.drop(3);
        machine.drop(4);
        machine.discard(5);
        machine.discard(6);
        CHECK(machine.info().unsent_bytes == 7);
        CHECK(machine.info().discarded_bytes == 11);
        CHECK(machine.state() == state);
    }
}
