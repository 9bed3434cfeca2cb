// The handle to send with from other threads. tests/threads has it with threads.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <string>

using namespace support;
using sansocket::opcode;
using sansocket_asio::sender;

namespace {

std::string numbered(int thread, int i) { return std::to_string(thread) + ' ' + std::to_string(i); }

}  // namespace

TEST_CASE("sender: what waits in the handle is bounded, and goes out in order") {
    loop l;
    websocket_pair p(l);
    const sender handle = p.client.sender(1000);
    int taken = 0;
    while (handle.send_text(numbered(taken % 10, taken)) == errc::ok) ++taken;
    CHECK(handle.send_text("x") == errc::backpressure);
    CHECK(taken > 10);
    CHECK(handle.bytes() >= 1000);
    CHECK(handle.bytes() < 1100);
    for (int i = 0; i != taken; ++i) {
        const result got = receive(p.server);
        l.until(got);
        CHECK(got.text() == numbered(i % 10, i));
    }
    CHECK(handle.bytes() == 0);
    CHECK(handle.send_text("x") == errc::ok);
    const result last = receive(p.server);
    l.until(last);
    CHECK(last.text() == "x");
    l.until(close(p.client));
}

TEST_CASE("sender: a close goes behind what was sent, and nothing behind the close") {
    loop l;
    websocket_pair p(l);
    const sender handle = p.server.sender();
    CHECK(handle.send_binary(bytes("before")) == errc::ok);
    CHECK(handle.close(close_code::abnormal) == errc::invalid_close_code);
    CHECK(handle.send_text("\xff") == errc::text_not_utf8);
    CHECK(handle.close(close_code::going_away, "bye") == errc::ok);
    CHECK(handle.close(close_code::normal) == errc::closing);
    CHECK(handle.send_text("behind") == errc::closing);
    const result first = receive(p.client);
    l.until(first);
    CHECK(first.text() == "before");
    const result second = receive(p.client);
    l.until(second);
    CHECK(second.ec() == errc::closed_by_peer);
    CHECK(p.client.close_info().reason() == "bye");
    l.until([&] { return p.server.state() == connection_state::closed; });
    CHECK(handle.send_text("late") == errc::closed);
}

TEST_CASE("sender: it answers by the connection's state, and outlives everything") {
    CHECK(sender{}.send_text("to nobody") == errc::closed);
    CHECK(sender{}.bytes() == 0);
    sender handle;
    sender never_begun;
    {
        loop l;
        {
            tcp_pair sockets(l.io);
            websocket_client idle(l.io);
            never_begun = idle.sender();
            CHECK(never_begun.send_text("early") == errc::not_open);
            raw_peer peer(l, std::move(sockets.b));
            websocket_client ws(std::move(sockets.a));
            handle = ws.sender();
            CHECK(handle.send_text("early") == errc::not_open);
            const result opened;
            ws.async_handshake({.host = "localhost"}, {}, opened);
            l.poll();
            CHECK(handle.send_text("early") == errc::not_open);
            peer.accept();
            l.until(opened);
            CHECK(handle.send_text("now") == errc::ok);
            l.poll();
            CHECK(peer.read(9).size() == 9);
            peer.send(to_client(opcode::close, close_bytes(1000)));
            l.until([&] { return ws.state() != connection_state::open; });
            CHECK(handle.send_text("late") != errc::ok);
        }
        CHECK(never_begun.send_text("late") == errc::closed);
        l.poll();
        CHECK(handle.send_text("late") == errc::closed);
    }
    CHECK(handle.send_text("late") == errc::closed);
    CHECK(handle.close(close_code::normal) == errc::closed);
    CHECK(handle.bytes() == 0);
}
