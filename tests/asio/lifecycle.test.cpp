// The close lifecycle as the adapter has it: what is cancelled, joined, waited for and left alone.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/lifecycle.hpp"

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

// An open server over TCP and its raw client, brought to the state that is asked for.
struct in_state : raw_client_pair {
    in_state(loop& l, at state) : raw_client_pair(l, small()) {
        if (state == at::OM) feed(l, hex("01 82 00000000 6869"));
        if (state == at::OQ) unsent = support::send(server, std::string(32 * 1024 * 1024, 'x'));
        if (state == at::CLO) closed = support::close(server, ours);
        if (state == at::CRE || state == at::CD)
            feed(l, to_server(opcode::close, close_bytes(4000)));
        if (state == at::CD) l.until([&] { return server.close_info().clean; });
        l.poll();
    }
    static sansocket::options small() {
        sansocket::options o;
        o.close_timeout = 500ms;
        return o;
    }
    void feed(loop& l, const byte_vector& data) {
        peer.send(data);
        l.poll();
    }
    std::optional<result> unsent;
    std::optional<result> closed;
};

template <class Websocket>
result receive_until(Websocket& ws, asio::cancellation_signal& cancel) {
    const result r;
    ws.async_receive(asio::bind_cancellation_slot(cancel.slot(), r));
    return r;
}

}  // namespace

TEST_CASE("T7/OI T7/OM T7/OQ (adapter): a cancelled receive takes nothing, and the next goes on") {
    for (const at state : {at::OI, at::OM, at::OQ}) {
        for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                                asio::cancellation_type::total}) {
            CAPTURE(static_cast<int>(state));
            loop l;
            in_state p(l, state);
            asio::cancellation_signal cancel;
            const result got = receive_until(p.server, cancel);
            l.poll();
            cancel.emit(type);
            l.until(got);
            CHECK(got.ec() == asio::error::operation_aborted);
            CHECK(p.server.state() == connection_state::open);
            CHECK(p.server.close_info().cause == errc::ok);
            if (state == at::OM) p.peer.send(hex("80 81 00000000 21"));
            else p.peer.send(to_server(opcode::text, bytes("hi!")));
            const result next = receive(p.server);
            l.until(next);
            CHECK(next.text() == "hi!");
            p.server.abort();
        }
    }
}

TEST_CASE("T7/CLO T7/CRE T7/CD (adapter): a cancelled receive does not disturb the closing") {
    loop l;
    in_state p(l, at::CLO);
    asio::cancellation_signal cancel;
    const result got = receive_until(p.server, cancel);
    l.poll();
    cancel.emit(asio::cancellation_type::total);
    l.until(got);
    CHECK(got.ec() == asio::error::operation_aborted);
    CHECK(p.server.state() == connection_state::closing);
    const result next = receive(p.server);
    p.peer.send(to_server(opcode::close, close_bytes(1001)));
    l.until(next);
    CHECK(next.ec() == errc::closed_locally);
    l.until(*p.closed);
    CHECK(!p.closed->ec());
    const result after = receive(p.server);  // it never waits, so there is nothing to cancel
    l.until(after);
    CHECK(after.ec() == errc::closed_locally);
}

TEST_CASE("T8/OI T8/OM T8/OQ (adapter): a close that was never started has no effect") {
    for (const at state : {at::OI, at::OM, at::OQ}) {
        loop l;
        in_state p(l, state);
        {
            const asio::awaitable<void> not_awaited =
                p.server.async_close(close_code::normal, "", asio::use_awaitable);
        }
        l.poll();
        CHECK(p.server.state() == connection_state::open);
        CHECK_FALSE(p.server.close_info().sent);
        p.server.abort();
    }
}

TEST_CASE("T8/CLO T8/CRE T8/CD (adapter): a cancelled close aborts what is not over") {
    for (const at state : {at::CLO, at::CRE, at::CD}) {
        CAPTURE(static_cast<int>(state));
        loop l;
        in_state p(l, state);
        asio::cancellation_signal cancel;
        const result closed;
        p.server.async_close(close_code::normal, "",
                             asio::bind_cancellation_slot(cancel.slot(), closed));
        l.io.poll_one();
        cancel.emit(asio::cancellation_type::terminal);
        l.until(closed);
        const auto info = p.server.close_info();
        if (state == at::CLO) CHECK(closed.ec() == asio::error::operation_aborted);
        if (state == at::CLO) CHECK(info.cause == errc::cancelled);
        if (state != at::CLO) CHECK(info.cause == errc::closed_by_peer);
        if (state == at::CD) CHECK(info.clean);
        CHECK(p.server.state() == connection_state::closed);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("B09: destroying a websocket waits for nobody, in any state, whatever the peer does") {
    for (const at state : {at::HS, at::OI, at::OM, at::OQ, at::CLO, at::CRE, at::CD}) {
        CAPTURE(static_cast<int>(state));
        loop l;
        l.left_open = true;
        const auto destroy = [&](auto ws) {
            const auto start = std::chrono::steady_clock::now();
            { const auto gone = std::move(ws); }
            CHECK(std::chrono::steady_clock::now() - start < 1s);
        };
        if (state == at::HS) {
            tcp_pair sockets(l.io);
            websocket_server ws(std::move(sockets.b));
            const result accepted;
            ws.async_accept(accepted);
            l.poll();
            destroy(std::move(ws));
            l.until(accepted);
            CHECK(accepted.ec() == errc::dropped);
        } else {
            in_state p(l, state);
            const result pending = receive(p.server);
            destroy(std::move(p.server));
            l.until(pending);
            CHECK(pending.ec());
            CHECK(l.finish() < 2s);  // what answers the peer's Close has its close timeout for that
        }
    }
}

TEST_CASE("B25 B27: a close while a receive waits: both complete, and both see the same end") {
    loop l;
    raw_client_pair p(l);
    const result got = receive(p.server);
    l.poll();
    std::vector<sansocket::close_info> seen;
    bool closed = false;
    p.server.async_close(close_code::going_away, "", [&](std::error_code ec) {
        CHECK(!ec);
        seen.push_back(p.server.close_info());
        closed = true;
    });
    p.peer.send(to_server(opcode::close, close_bytes(1001)));
    l.until(got);
    seen.push_back(p.server.close_info());
    l.until([&] { return closed; });
    CHECK(got.ec() == errc::closed_locally);
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].clean);
    CHECK((seen[0].code() == seen[1].code() && seen[0].cause == seen[1].cause));
    CHECK(seen[0].code() == close_code::going_away);
}

TEST_CASE("B26: a reader that is woken and closes does not overtake the close that woke it") {
    loop l;
    raw_client_pair p(l);
    const result second;
    p.server.async_receive([&](std::error_code, const sansocket::message&) {
        p.server.async_close(close_code::normal, "mine", second);
    });
    l.poll();
    const result first = close(p.server, close_code::going_away, "Server shutdown");
    const auto expected =
        own_frame<role::server>(opcode::close, close_bytes(1001, "Server shutdown"));
    CHECK(p.peer.read(expected.size()) == expected);
    p.peer.send(to_server(opcode::close, close_bytes(1001)));
    l.until(first);
    l.until(second);
    CHECK(!first.ec());
    CHECK(!second.ec());
    CHECK(p.peer.read_to_end().empty());  // one Close, and then the end
}

TEST_CASE("B47 B48: a peer that is still sending reads why it was failed") {
    const auto fails = [](const byte_vector& wrong, const sansocket::options& options,
                          unsigned code) {
        loop l;
        raw_client_pair p(l, options);
        const result ended = receive(p.server);
        p.peer.send(wrong);
        for (int i = 0; i != 64; ++i) p.peer.send(byte_vector(64 * 1024));  // 4 MiB, unread by it
        l.until(ended);
        const auto head = p.peer.read(4);
        REQUIRE(head.size() == 4);
        CHECK(byte_vector(head.begin() + 2, head.end()) == close_bytes(code));
        p.peer.read_to_end();
        CHECK(p.peer.read_error == asio::error::eof);
        p.peer.socket.close();
        CHECK(l.finish() < 1s);
        CHECK(p.server.close_info().discarded_bytes > 4 * 1024 * 1024 - 100'000);
    };
    sansocket::options small;
    small.messages.size = 1000;
    fails(hex("82 fe ffff 00000000"), small, 1009);
    fails(hex("83 80 00000000"), {}, 1002);
}

TEST_CASE("B71 B74: after a cancelled receive a close is a whole closing handshake") {
    loop l;
    raw_client_pair p(l);
    asio::cancellation_signal cancel;
    const result got = receive_until(p.server, cancel);
    l.poll();
    cancel.emit(asio::cancellation_type::total);
    l.until(got);
    const result closed = close(p.server);
    const auto expected = own_frame<role::server>(opcode::close, close_bytes(1000));
    CHECK(p.peer.read(expected.size()) == expected);
    l.poll();
    CHECK_FALSE(closed.done());  // the answer is awaited
    p.peer.send(to_server(opcode::close, close_bytes(1000)));
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(p.server.close_info().code() == close_code::normal);
    CHECK(p.server.close_info().clean);
}

TEST_CASE("B76: a violation and a cancellation in one turn complete the receive once") {
    loop l;
    raw_client_pair p(l);
    asio::cancellation_signal cancel;
    const result got = receive_until(p.server, cancel);
    l.poll();
    p.peer.send(hex("83 80 00000000"));
    cancel.emit(asio::cancellation_type::total);
    l.until(got);  // `result` fails the test if it completes twice
    const result next = receive(p.server);
    l.until(next);
    CHECK(next.ec() == errc::reserved_opcode);
    p.peer.socket.close();
    CHECK(l.finish() < 1s);
    CHECK(got.done());
}

TEST_CASE("B77: the peer's loss is an end with a name, and never looks like a cancellation") {
    for (const bool reset : {false, true}) {
        loop l;
        raw_client_pair p(l);
        const result got = receive(p.server);
        const result closing_later = receive(p.server);
        l.poll();
        if (reset) p.peer.reset();
        else p.peer.socket.close();
        l.until(got);
        CHECK(got.ec() == (reset ? errc::transport_lost : errc::end_of_stream));
        CHECK(closing_later.ec() == errc::operation_in_progress);
        const result late = send(p.server, "late");
        l.until(late);
        CHECK(late.ec() == errc::closed);
    }
}

TEST_CASE("T12/OI T12/OM T12/OQ T12/CLO T12/CRE T12/CD (adapter): the loop stops and goes on") {
    for (const at state : {at::OI, at::OM, at::OQ, at::CLO, at::CRE, at::CD}) {
        CAPTURE(static_cast<int>(state));
        loop l;
        in_state p(l, state);
        const result got = receive(p.server);
        l.io.stop();
        CHECK(l.io.run_for(1s) == 0);
        (void)p.server.connection()->explain();
        CHECK_FALSE(got.done());
        CHECK(p.server.state() <= connection_state::closed);
        l.io.restart();
        p.server.abort();
        l.until(got);
        CHECK(got.ec());
        CHECK(p.server.state() == connection_state::closed);
    }
}

TEST_CASE("T9/CRE (adapter): a websocket dropped while it answers lets the answer out") {
    loop l;
    l.left_open = true;
    raw_client_pair p(l);
    const byte_vector large(8 * 1024 * 1024);
    const result sent;
    p.server.async_send_binary(large, sent);
    l.poll();
    p.peer.send(to_server(opcode::close, close_bytes(4000)));
    l.until([&] { return p.server.state() == connection_state::closing; });
    { const websocket_server dropped(std::move(p.server)); }
    const auto all = own_frame<role::server>(opcode::binary, large) +
                     own_frame<role::server>(opcode::close, close_bytes(4000));
    CHECK((p.peer.read_to_end() == all));
    CHECK(p.peer.read_error == asio::error::eof);
    CHECK(l.finish() < 1s);
}
