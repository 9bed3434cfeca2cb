// How connections end: RFC 6455 7, over real sockets.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <optional>
#include <string>

using namespace support;
using sansocket::opcode;

namespace {
sansocket::options close_within(std::chrono::milliseconds time) {
    sansocket::options options;
    options.close_timeout = time;
    return options;
}
}  // namespace

TEST_CASE("websocket close: both ends see a clean end, code and reason, and no timer stays") {
    loop l;
    websocket_pair p(l);
    const result ended = receive(p.server);
    const result own_end = receive(p.client);
    const result closed = close(p.client, close_code{3001}, "done");
    l.until(closed);
    l.until(ended);
    l.until(own_end);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(own_end.ec() == errc::closed_locally);
    CHECK(p.client.close_info().clean);
    CHECK(p.server.close_info().clean);
    CHECK(p.server.close_info().code() == close_code{3001});
    CHECK(p.server.close_info().reason() == "done");
    CHECK(p.client.close_info().code() == close_code{3001});
    const result again = receive(p.server);
    CHECK(l.finish() < 1s);
    CHECK(again.ec() == errc::closed_by_peer);
}

TEST_CASE("websocket close: by the server, with messages of both directions on their way") {
    loop l;
    websocket_pair p(l);
    const std::string text(200000, 's');
    const result sent = send(p.server, text);
    const result from_client = send(p.client, "late");
    const result closed = close(p.server, close_code::going_away);
    const result got = receive(p.client);
    l.until(got);
    CHECK(got.text() == text);
    const result ended = receive(p.client);
    l.until(ended);
    l.until(closed);
    CHECK(!sent.ec());
    CHECK(!from_client.ec());
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(p.client.close_info().code() == close_code::going_away);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: from both sides at once, several times each") {
    loop l;
    websocket_pair p(l);
    const result a1 = close(p.client, close_code::normal, "first");
    const result b1 = close(p.server, close_code::going_away);
    const result a2 = close(p.client, close_code::internal_error, "second");
    const result b2 = close(p.server);
    const result received = receive(p.client);
    for (const auto& r : {a1, b1, a2, b2, received}) l.until(r);
    for (const auto& r : {a1, b1, a2, b2}) CHECK(!r.ec());
    CHECK(received.ec() == errc::closed_locally);
    CHECK(p.client.close_info().clean);
    CHECK(p.server.close_info().clean);
    CHECK(p.server.close_info().reason() == "first");
    CHECK(p.client.close_info().code() == close_code::going_away);
    CHECK(l.finish() < 1s);
    const result after = close(p.client);
    l.until(after);
    CHECK(!after.ec());
}

TEST_CASE("websocket close: arguments that cannot be sent leave the connection open") {
    loop l;
    websocket_pair p(l);
    const result code = close(p.client, close_code::abnormal);
    const result reason = close(p.client, close_code::normal, std::string(124, 'r'));
    const result text = close(p.client, close_code::normal, "\xff");
    for (const auto& r : {code, reason, text}) l.until(r);
    CHECK(code.ec() == errc::invalid_close_code);
    CHECK(reason.ec() == errc::close_reason_too_long);
    CHECK(text.ec() == errc::text_not_utf8);
    CHECK(p.client.state() == connection_state::open);
    close_both(l, p);
}

TEST_CASE("websocket close: with a silent peer it ends at the close timeout") {
    loop l;
    raw_client_pair p(l, close_within(100ms));
    const result ended = receive(p.server);
    const auto start = std::chrono::steady_clock::now();
    const result closed = close(p.server);
    l.until(closed);
    l.until(ended);
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 100ms);
    CHECK(took < 5s);
    CHECK(closed.ec() == errc::close_timeout);
    CHECK(ended.ec() == errc::close_timeout);
    CHECK_FALSE(p.server.close_info().clean);
    CHECK(p.server.close_info().code() == close_code::abnormal);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: traffic does not put the close timeout off") {
    loop l;
    raw_client_pair p(l, close_within(100ms));
    const result closed = close(p.server);
    const auto start = std::chrono::steady_clock::now();
    int more = 0;
    while (!closed.done() && more++ < 1000000) {
        std::error_code ec;
        asio::write(p.peer.socket, asio::buffer(to_server(opcode::text, bytes("more"))), ec);
        l.poll();
        if (std::chrono::steady_clock::now() - start > 20s) break;
    }
    REQUIRE(closed.done());
    CHECK(closed.ec() == errc::close_timeout);
}

TEST_CASE("websocket close: a client waits for the server's end no longer than the timeout") {
    loop l;
    raw_server_pair p(l, close_within(100ms));
    const result closed = close(p.client);
    CHECK(p.peer.read(8).size() == 8);
    p.peer.send(to_client(opcode::close, close_bytes(1000)));
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(p.client.close_info().clean);
    const auto took = l.finish();  // the peer never closes its socket
    CHECK(took >= 50ms);
    CHECK(took < 5s);
}

TEST_CASE("websocket close: a peer that sends Close and then ends its stream is a clean end") {
    loop l;
    raw_client_pair p(l);
    const result ended = receive(p.server);
    p.peer.send(to_server(opcode::close, close_bytes(1000)));
    p.peer.socket.shutdown(tcp::socket::shutdown_send);
    CHECK(p.peer.read_to_end() == own_frame<role::server>(opcode::close, close_bytes(1000)));
    CHECK(p.peer.read_error == asio::error::eof);
    l.until(ended);
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(p.server.close_info().clean);
    CHECK(p.server.close_info().code() == close_code::normal);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: all that came before the Close is delivered, then the end") {
    loop l;
    raw_client_pair p(l);
    byte_vector all;
    for (int i = 0; i != 100; ++i) all = all + to_server(opcode::text, bytes(std::to_string(i)));
    p.peer.send(all + to_server(opcode::close, close_bytes(1000)));
    p.peer.socket.close();
    for (int i = 0; i != 100; ++i) {
        const result got = receive(p.server);
        l.until(got);
        REQUIRE(got.text() == std::to_string(i));
    }
    for (int i = 0; i != 2; ++i) {
        const result ended = receive(p.server);
        l.until(ended);
        CHECK(ended.ec() == errc::closed_by_peer);
    }
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: the same where the messages do not fit the queue at once") {
    loop l;
    sansocket::options options;
    options.queue.high_count = 4;
    options.queue.low_count = 2;
    raw_client_pair p(l, options);
    byte_vector all;
    for (int i = 0; i != 100; ++i) all = all + to_server(opcode::text, bytes(std::to_string(i)));
    p.peer.send(all + to_server(opcode::close, close_bytes(1000)));
    p.peer.socket.close();
    l.poll();
    for (int i = 0; i != 100; ++i) {
        const result got = receive(p.server);
        l.until(got);
        REQUIRE(got.text() == std::to_string(i));
    }
    const result ended = receive(p.server);
    l.until(ended);
    CHECK(ended.ec() == errc::closed_by_peer);
}

TEST_CASE("websocket close: what lies unread when a write fails is delivered before the end") {
    loop l;
    sansocket::options options;
    options.queue.high_count = 4;
    options.queue.low_count = 2;
    raw_client_pair p(l, options);
    byte_vector all;
    for (int i = 0; i != 100; ++i) all = all + to_server(opcode::text, bytes(std::to_string(i)));
    p.peer.send(all);
    l.until([&] { return p.server.connection()->messages().size() >= 4; });
    p.peer.reset();
    const result sent = send(p.server, "into nowhere");
    l.until(sent);
    int n = 0;
    for (;; ++n) {
        const result got = receive(p.server);
        l.until(got);
        if (got.ec()) break;
        REQUIRE(got.text() == std::to_string(n));
    }
    CHECK(n == 100);
    CHECK(receive(p.server).done() == false);
    CHECK(l.finish() < 1s);
    CHECK(p.server.close_info().cause == errc::transport_lost);
}

TEST_CASE("websocket close: the stream's end without a Close, and a reset") {
    loop l;
    {
        raw_client_pair p(l);
        const result ended = receive(p.server);
        p.peer.socket.close();
        l.until(ended);
        CHECK(ended.ec() == errc::end_of_stream);
        CHECK(p.server.close_info().code() == close_code::abnormal);
        const result closed = close(p.server);
        l.until(closed);
        CHECK(closed.ec() == errc::end_of_stream);
    }
    raw_client_pair p(l);
    const result ended = receive(p.server);
    p.peer.reset();
    l.until(ended);
    CHECK(ended.ec() == errc::transport_lost);
    const result sent = send(p.server, "x");
    l.until(sent);
    CHECK(sent.ec() == errc::closed);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: a half message is cut off and said to be so") {
    loop l;
    raw_client_pair p(l);
    const result ended = receive(p.server);
    p.peer.send(frame<role::server>(opcode::text, bytes("half"), false));
    p.peer.socket.close();
    l.until(ended);
    CHECK(ended.ec() == errc::end_of_stream);
    CHECK(p.server.close_info().incomplete_message);
}

TEST_CASE("websocket close: abort gives up at once, and the peer sees a reset") {
    loop l;
    raw_client_pair p(l);
    const result ended = receive(p.server);
    p.server.abort();
    CHECK_FALSE(ended.done());
    l.until(ended);
    CHECK(ended.ec() == errc::aborted);
    CHECK(p.peer.read_to_end().empty());
    CHECK(p.peer.read_error == asio::error::connection_reset);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: cancelled, it aborts the connection") {
    loop l;
    raw_client_pair p(l);
    asio::cancellation_signal cancel;
    const result ended = receive(p.server);
    const result closed;
    p.server.async_close(close_code::normal, {},
                         asio::bind_cancellation_slot(cancel.slot(), closed));
    l.poll();
    cancel.emit(asio::cancellation_type::terminal);
    l.until(closed);
    l.until(ended);
    CHECK(closed.ec() == asio::error::operation_aborted);
    CHECK(ended.ec() == errc::cancelled);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket close: a failed connection says why, even to a peer that goes on sending") {
    loop l;
    raw_client_pair p(l, close_within(200ms));
    const result ended = receive(p.server);
    p.peer.send(to_server(opcode::text, bytes("before")) + hex("83 80 00000000") +
                byte_vector(4096));
    l.until(ended);
    CHECK(ended.text() == "before");
    const result failed = receive(p.server);
    l.until(failed);
    CHECK(failed.ec() == errc::reserved_opcode);
    const auto said = p.peer.read(4);
    CHECK(to_hex(said).substr(4) == "03ea");
    CHECK(p.server.close_info().sent->code == close_code::protocol_error);
    p.peer.read_to_end();
    CHECK(p.peer.read_error == asio::error::eof);
    p.peer.socket.close();
    CHECK(l.finish() < 1s);
}
