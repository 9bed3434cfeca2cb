// The close lifecycle as the adapter has it, in both roles: what is cancelled, joined, waited for and
// left alone. What the peer sends comes whole, and once byte by byte.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/lifecycle.hpp"
#include "support/scale.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

template <class Websocket>
result receive_until(Websocket& ws, asio::cancellation_signal& cancel) {
    const result r;
    ws.async_receive(asio::bind_cancellation_slot(cancel.slot(), r));
    return r;
}

// Runs `test` in both roles, its input whole and in bytes.
template <class Test>
void in_both_roles_and_cuts(Test test) {
    for (const cut c : {cut::whole, cut::bytes}) {
        CAPTURE(c == cut::bytes);
        test.template operator()<role::server>(c);
        test.template operator()<role::client>(c);
    }
}

constexpr at while_open[] = {at::OI, at::OM, at::OQ};
constexpr at while_closing[] = {at::CLO, at::CRE, at::CD};

sansocket::options close_within(std::chrono::milliseconds time) {
    sansocket::options o = narrow_sending();
    o.close_timeout = time;
    return o;
}

}  // namespace

TEST_CASE("T7/OI T7/OM T7/OQ (adapter): a cancelled receive takes nothing, and the next goes on") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : while_open) {
            for (const auto type :
                 {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                  asio::cancellation_type::total}) {
                CAPTURE(static_cast<int>(state));
                loop l;
                in_state<Role> p(l, state, narrow_sending(), c);
                asio::cancellation_signal cancel;
                const result got = receive_until(p.ws, cancel);
                l.poll();
                cancel.emit(type);
                l.until(got);
                CHECK(got.ec() == asio::error::operation_aborted);
                CHECK(p.ws.state() == connection_state::open);
                CHECK(p.ws.close_info().cause == errc::ok);
                if (state == at::OM) p.peer.send(frame<Role>(opcode::continuation, bytes("!")));
                else p.peer.send(frame<Role>(opcode::text, bytes("hi!")));
                const result next = receive(p.ws);
                l.until(next);
                CHECK(next.text() == "hi!");
                p.ws.abort();
            }
        }
    });
}

TEST_CASE("T7/CLO T7/CRE T7/CD (adapter): a cancelled receive does not disturb the closing") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : while_closing) {
            CAPTURE(static_cast<int>(state));
            loop l;
            in_state<Role> p(l, state, narrow_sending(), c);
            asio::cancellation_signal cancel;
            const result got = receive_until(p.ws, cancel);
            l.poll();
            cancel.emit(asio::cancellation_type::total);
            l.until(got);
            const bool waits = state != at::CD;  // there it never does
            CHECK(got.ec() ==
                  (waits ? std::error_code{asio::error::operation_aborted} : errc::closed_by_peer));
            CHECK(p.ws.state() == (waits ? connection_state::closing : connection_state::closed));
            const result next = receive(p.ws);
            if (state == at::CLO) p.peer.send(peers_close<Role>(1001));
            if (state == at::CRE) p.peer.read(stuck().size());  // its answer can go out
            l.until(next);
            CHECK(next.ec() == (state == at::CLO ? errc::closed_locally : errc::closed_by_peer));
            CHECK(p.ws.close_info().clean);
            if (p.closed) l.until(*p.closed);
            if (p.closed) CHECK(!p.closed->ec());
            p.peer.socket.close();
            CHECK(l.finish() < 1s);
        }
    });
}

TEST_CASE("T8/OI T8/OM T8/OQ (adapter): a close that was never started has no effect") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : while_open) {
            loop l;
            in_state<Role> p(l, state, narrow_sending(), c);
            {
                const asio::awaitable<void> not_awaited =
                    p.ws.async_close(close_code::normal, "", asio::use_awaitable);
            }
            l.poll();
            CHECK(p.ws.state() == connection_state::open);
            CHECK_FALSE(p.ws.close_info().sent);
            p.ws.abort();
        }
    });
}

TEST_CASE("T8/HS T8/CLO T8/CRE T8/CD (adapter): a cancelled close aborts what is not over") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : {at::HS, at::CLO, at::CRE, at::CD}) {
            CAPTURE(static_cast<int>(state));
            loop l;
            in_state<Role> p(l, state, narrow_sending(), c);
            asio::cancellation_signal cancel;
            const result closed;
            p.ws.async_close(close_code::normal, "",
                             asio::bind_cancellation_slot(cancel.slot(), closed));
            l.io.poll_one();
            cancel.emit(asio::cancellation_type::terminal);
            l.until(closed);
            l.until(p.opened);
            const auto info = p.ws.close_info();
            // Over at once: it is not cancelled any more.
            if (state == at::HS) CHECK(info.cause == errc::closed_locally);
            if (state == at::CLO || state == at::CRE)
                CHECK(closed.ec() == asio::error::operation_aborted);
            if (state == at::CLO) CHECK(info.cause == errc::cancelled);
            if (state == at::CRE || state == at::CD) CHECK(info.cause == errc::closed_by_peer);
            CHECK(info.clean == (state == at::CD));
            CHECK(p.ws.state() == connection_state::closed);
            p.peer.socket.close();
            CHECK(l.finish() < 1s);
        }
    });
}

TEST_CASE("B09: destroying a websocket waits for nobody, in any state, whatever the peer does") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : nothing_unread) {
            CAPTURE(static_cast<int>(state));
            loop l;
            l.left_open = true;
            in_state<Role> p(l, state, close_within(100ms), c);
            const result pending = receive(p.ws);
            const auto start = std::chrono::steady_clock::now();
            { const auto gone = std::move(p.ws); }
            CHECK(std::chrono::steady_clock::now() - start < 50ms * slowness);
            l.until(pending);
            l.until(p.opened);
            CHECK(pending.ec());
            if (state == at::HS) CHECK(p.opened.ec() == errc::dropped);
            CHECK(l.finish() < 2s);  // what answers the peer's Close has its close timeout for that
        }
    });
}

TEST_CASE("B25 B27: a close while a receive waits: both complete, and both see the same end") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        loop l;
        in_state<Role> p(l, at::OI, narrow_sending(), c);
        const result got = receive(p.ws);
        l.poll();
        std::vector<sansocket::close_info> seen;
        const result closed;
        p.ws.async_close(close_code::going_away, "", [&](std::error_code ec) {
            seen.push_back(p.ws.close_info());
            closed(ec);
        });
        p.peer.send(peers_close<Role>(1001));
        l.until(got);
        seen.push_back(p.ws.close_info());
        l.until(closed);
        CHECK(!closed.ec());
        CHECK(got.ec() == errc::closed_locally);
        REQUIRE(seen.size() == 2);
        CHECK(seen[0].clean);
        CHECK((seen[0].code() == seen[1].code() && seen[0].cause == seen[1].cause));
        CHECK(seen[0].code() == close_code::going_away);
    });
}

TEST_CASE("B26: a reader that is woken and closes does not overtake the close that woke it") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        loop l;
        in_state<Role> p(l, at::OI, narrow_sending(), c);
        const result second;
        p.ws.async_receive([&](std::error_code, const sansocket::message&) {
            p.ws.async_close(close_code::normal, "mine", second);
        });
        l.poll();
        const result first = close(p.ws, close_code::going_away, "Server shutdown");
        CHECK(read_close<Role>(p.peer) == 1001);
        p.peer.send(peers_close<Role>(1001));
        l.until(first);
        l.until(second);
        CHECK(!first.ec());
        CHECK(!second.ec());
        CHECK(p.ws.close_info().sent->reason == "Server shutdown");
        // One Close, and then the end; a client waits for its peer's.
        if (Role == role::client) p.peer.socket.shutdown(tcp::socket::shutdown_send);
        CHECK(p.peer.read_to_end().empty());
    });
}

TEST_CASE("B47 B48: a peer that is still sending reads why it was failed") {
    const auto fails = []<role Role>(const byte_vector& wrong, const sansocket::options& options,
                                     unsigned code, cut c) {
        loop l;
        in_state<Role> p(l, at::OI, options, c);
        const result ended = receive(p.ws);
        p.peer.send(wrong);
        const std::size_t block = c == cut::whole ? 64 * 1024 : 64;
        for (int i = 0; i != 64; ++i) p.peer.send(byte_vector(block));  // 4 MiB, unread by it
        l.until(ended);
        CHECK(read_close<Role>(p.peer) == code);
        CHECK(p.peer.read_to_end().empty());
        CHECK(p.peer.read_error == asio::error::eof);
        p.peer.socket.close();
        CHECK(l.finish() < 1s);
        const std::size_t first_read = c == cut::whole ? 64 * 1024 : 0;
        CHECK(p.ws.close_info().discarded_bytes >= 64 * block - first_read);
    };
    sansocket::options small;
    small.messages.size = 1000;
    for (const cut c : {cut::whole, cut::bytes}) {
        fails.operator()<role::server>(hex("82 fe ffff 00000000"), small, 1009, c);
        fails.operator()<role::server>(hex("83 80 00000000"), {}, 1002, c);
        fails.operator()<role::client>(hex("82 7e ffff"), small, 1009, c);
        fails.operator()<role::client>(hex("83 00"), {}, 1002, c);
    }
}

TEST_CASE("B70 (adapter): a receive cancelled around every byte loses no message") {
    in_both_roles([]<role Role>() {
        loop l;
        in_state<Role> p(l, at::OI);
        int taken = 0;
        int aborted = 0;
        const auto settle = [&](const result& r) {
            l.until(r);
            if (r.ec() == asio::error::operation_aborted) {
                ++aborted;
                return;
            }
            REQUIRE(r.text() == "message " + std::to_string(taken));
            ++taken;
        };
        for (int i = 0; i != 30; ++i) {
            for (const std::byte b :
                 frame<Role>(opcode::text, bytes("message " + std::to_string(i)))) {
                asio::cancellation_signal cancel;
                const result got = receive_until(p.ws, cancel);
                p.peer.send({b});
                if (i % 2 == 0) l.poll();
                cancel.emit(asio::cancellation_type::total);
                settle(got);
            }
        }
        while (taken != 30) settle(receive(p.ws));
        CHECK(aborted > 100);
        CHECK(p.ws.state() == connection_state::open);
        CHECK(p.ws.connection()->messages().size() == 0);
        p.ws.abort();
    });
}

TEST_CASE("B71 B74: after a cancelled receive a close is a whole closing handshake") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        loop l;
        in_state<Role> p(l, at::OI, narrow_sending(), c);
        asio::cancellation_signal cancel;
        const result got = receive_until(p.ws, cancel);
        l.poll();
        cancel.emit(asio::cancellation_type::total);
        l.until(got);
        const result closed = close(p.ws);
        CHECK(read_close<Role>(p.peer) == 1000);
        l.poll();
        CHECK_FALSE(closed.done());  // the answer is awaited
        p.peer.send(peers_close<Role>(1000));
        l.until(closed);
        CHECK(!closed.ec());
        CHECK(p.ws.close_info().code() == close_code::normal);
        CHECK(p.ws.close_info().clean);
    });
}

TEST_CASE("B76: a violation and a cancellation in one turn complete the receive once") {
    in_both_roles([]<role Role>() {
        const byte_vector wrong = frame<Role>(opcode{3}, {});
        // Cancelled behind each byte, or behind the turn that takes it.
        for (std::size_t n = 0; n <= wrong.size(); ++n) {
            for (const bool taken : {false, true}) {
                CAPTURE(n, taken);
                loop l;
                in_state<Role> p(l, at::OI);
                asio::cancellation_signal cancel;
                const result got = receive_until(p.ws, cancel);
                l.poll();
                const auto at = wrong.begin() + static_cast<std::ptrdiff_t>(n);
                p.peer.send(byte_vector(wrong.begin(), at));
                if (taken) l.poll();
                cancel.emit(asio::cancellation_type::total);
                l.until(got);  // `result` fails the test if it completes twice
                p.peer.offer(byte_vector(at, wrong.end()));
                const result next = receive(p.ws);
                l.until(next);
                CHECK(next.ec() == errc::reserved_opcode);
                p.peer.socket.close();
                CHECK(l.finish() < 1s);
                CHECK(got.count() == 1);
            }
        }
    });
}

TEST_CASE("B77: the peer's loss is an end with a name, and never looks like a cancellation") {
    in_both_roles([]<role Role>() {
        for (const bool reset : {false, true}) {
            loop l;
            in_state<Role> p(l, at::OI);
            const result got = receive(p.ws);
            const result closing_later = receive(p.ws);
            l.poll();
            if (reset) p.peer.reset();
            else p.peer.socket.close();
            l.until(got);
            CHECK(got.ec() == (reset ? errc::transport_lost : errc::end_of_stream));
            CHECK(closing_later.ec() == errc::operation_in_progress);
            const result late = send(p.ws, "late");
            l.until(late);
            CHECK(late.ec() == errc::closed);
        }
    });
}

TEST_CASE(
    "T11/HS (adapter): what comes with the opening handshake is read as far as there is room") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        loop l;
        sansocket::options options;
        options.queue = {.high_count = 4, .low_count = 2};
        in_state<Role> p(l, at::HS, options, c);
        byte_vector behind;
        for (int i = 0; i != 10; ++i)
            behind = behind + frame<Role>(opcode::text, bytes(std::to_string(i)));
        p.open(behind + peers_close<Role>());
        CHECK_FALSE(p.ws.connection()->wants_read());
        CHECK(p.ws.connection()->messages().size() == 4);
        for (int i = 0; i != 10; ++i) {
            const result got = receive(p.ws);
            l.until(got);
            REQUIRE(got.text() == std::to_string(i));
        }
        const result ended = receive(p.ws);
        l.until(ended);
        CHECK(ended.ec() == errc::closed_by_peer);
        p.peer.socket.close();
        CHECK(l.finish() < 1s);
    });
}

TEST_CASE(
    "T12/HS T12/OI T12/OM T12/OQ T12/CLO T12/CRE T12/CD (adapter): the loop stops and goes on") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        for (const at state : nothing_unread) {
            CAPTURE(static_cast<int>(state));
            loop l;
            in_state<Role> p(l, state, narrow_sending(), c);
            const auto before = p.ws.state();
            // One that opens takes no receive yet.
            const result got = state == at::HS ? p.opened : receive(p.ws);
            l.io.stop();
            CHECK(l.io.run_for(1s) == 0);
            (void)p.ws.connection()->explain();
            CHECK_FALSE(got.done());
            CHECK(p.ws.state() == before);
            l.io.restart();
            if (state == at::HS) {
                p.open();
                p.peer.send(frame<Role>(opcode::text, bytes("on")));
            }
            if (state == at::OM) p.peer.send(frame<Role>(opcode::continuation, bytes("!")));
            if (state == at::OI || state == at::OQ)
                p.peer.send(frame<Role>(opcode::text, bytes("on")));
            if (state == at::CLO) p.peer.send(peers_close<Role>());
            if (state == at::CRE) p.peer.read(stuck().size());
            l.until(got);
            if (before == connection_state::open) CHECK(!got.ec());
            if (before == connection_state::closing) CHECK(p.ws.close_info().clean);
            p.ws.abort();
            CHECK(p.ws.state() == connection_state::closed);
        }
    });
}

TEST_CASE("T9/CRE (adapter): a websocket dropped while it answers lets the answer out") {
    in_both_roles_and_cuts([]<role Role>(cut c) {
        loop l;
        l.left_open = true;
        in_state<Role> p(l, at::CRE, narrow_sending(), c);
        { const auto dropped(std::move(p.ws)); }
        const byte_vector header = p.peer.read(Role == role::client ? 14 : 10);
        CHECK(to_hex(header).substr(0, 2) == "81");
        CHECK(p.peer.read(stuck().size()).size() == stuck().size());
        CHECK(read_close<Role>(p.peer) == 4000);
        if (Role == role::client) p.peer.socket.shutdown(tcp::socket::shutdown_send);
        CHECK(p.peer.read_to_end().empty());
        CHECK(p.peer.read_error == asio::error::eof);
        CHECK(l.finish() < 1s);
    });
}
