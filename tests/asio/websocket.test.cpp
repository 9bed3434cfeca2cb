#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/steady_timer.hpp>

#include <string>
#include <vector>

using namespace support;
using sansocket::opcode;

TEST_CASE("websocket: a client connects by URL, and messages go both ways") {
    loop l;
    tcp::acceptor acceptor(l.io, {asio::ip::address_v4::loopback(), 0});
    websocket_client client(l.io);
    const result connected;
    const auto port = std::to_string(acceptor.local_endpoint().port());
    sansocket_asio::client_options options;
    options.subprotocols = {"chat.v2", "chat.v1"};
    options.origin = "http://example.com";
    options.headers = {{"X-Name", "value"}};
    client.async_connect("ws://127.0.0.1:" + port + "/path?query", options, connected);
    CHECK(client.state() == connection_state::opening);

    websocket_server server(accept(l, acceptor));
    sansocket::server_policy policy;
    policy.subprotocols = {"chat.v1"};
    const result accepted;
    server.async_accept(policy, {}, accepted);
    CHECK(!connected.done());
    l.until(connected);
    l.until(accepted);
    REQUIRE(!connected.ec());
    REQUIRE(!accepted.ec());
    CHECK(client.state() == connection_state::open);
    CHECK(client.subprotocol() == "chat.v1");
    CHECK(server.subprotocol() == "chat.v1");
    const auto& request = server.connection()->handshake()->request();
    CHECK(request.target() == "/path?query");
    CHECK(request.find("Host") == "127.0.0.1:" + port);
    CHECK(request.find("Origin") == "http://example.com");
    CHECK(request.find("X-Name") == "value");

    for (const std::size_t size : {0UL, 1UL, 125UL, 126UL, 65535UL, 65536UL, 1024UL * 1024UL}) {
        const std::string text(size, 'x');
        const result got = receive(server);
        const result sent = send(client, text);
        l.until(sent);
        l.until(got);
        CHECK(!sent.ec());
        CHECK(!got.ec());
        CHECK(got.text() == text);

        const result back = receive(client);
        const result answered;
        server.async_send(sansocket::message{message_kind::binary, text}, answered);
        l.until(answered);
        l.until(back);
        CHECK(!back.ec());
        CHECK(back.text() == text);
    }
    l.until(close(client, close_code::normal, "bye"));
    CHECK(client.close_info().clean);
    l.until(receive(server));
    CHECK(server.close_info().reason() == "bye");
}

TEST_CASE("websocket: an operation never completes inside the function that starts it") {
    loop l;
    websocket_client never_opened(l.io);
    const result early = receive(never_opened);
    const result unsent = send(never_opened, "x");
    const result unclosed = close(never_opened);
    CHECK_FALSE(early.done());
    CHECK_FALSE(unsent.done());
    CHECK_FALSE(unclosed.done());
    l.finish();
    CHECK(early.ec() == errc::not_open);
    CHECK(unsent.ec() == errc::not_open);
    CHECK(unclosed.ec() == errc::not_open);

    websocket_pair p(l);
    const result sent = send(p.client, "ready");
    CHECK_FALSE(sent.done());
    l.until(sent);
    l.until([&] { return p.server.connection()->messages().size() == 1; });
    const result got = receive(p.server);
    CHECK_FALSE(got.done());
    l.until(got);
    CHECK(got.text() == "ready");
    close_both(l, p);
}

TEST_CASE("websocket: queries and abort answer before anything was begun") {
    loop l;
    websocket_server ws(l.io);
    CHECK(ws.connection() == nullptr);
    CHECK(ws.state() == connection_state::opening);
    CHECK(ws.close_info().code() == close_code::abnormal);
    CHECK(ws.subprotocol().empty());
    CHECK_FALSE(ws.try_receive());
    CHECK(ws.try_send(message_kind::text, {}) == errc::not_open);
    CHECK(ws.accept() == errc::not_open);
    CHECK(ws.refuse(403) == errc::not_open);
    ws.abort();
    websocket_server moved(std::move(ws));
    CHECK(moved.connection() == nullptr);
}

TEST_CASE("websocket: one object is one connection") {
    loop l;
    websocket_pair p(l);
    const result again;
    p.server.async_accept({}, {}, again);
    l.until(again);
    CHECK(again.ec() == errc::operation_in_progress);
    const result reconnected;
    p.client.async_connect("ws://127.0.0.1:1", reconnected);
    l.until(reconnected);
    CHECK(reconnected.ec() == errc::operation_in_progress);
    l.until(send(p.client, "still open"));
    const result got = receive(p.server);
    l.until(got);
    CHECK(got.text() == "still open");

    l.until(close(p.client));
    const result after;
    p.client.async_handshake({.host = "localhost"}, {}, after);
    l.until(after);
    CHECK(after.ec() == errc::closed);
}

TEST_CASE("websocket: a moved websocket goes on, and what it replaces is dropped") {
    loop l;
    l.left_open = true;  // that is what it is about
    websocket_pair p(l);
    const result pending = receive(p.client);
    websocket_client moved(std::move(p.client));
    l.until(send(p.server, "one"));
    l.until(pending);
    CHECK(pending.text() == "one");

    websocket_pair other(l);
    const result dropped = receive(other.client);
    other.client = std::move(moved);
    l.until(dropped);
    CHECK(dropped.ec() == errc::dropped);
    l.until(send(p.server, "two"));
    const result got = receive(other.client);
    l.until(got);
    CHECK(got.text() == "two");
}

TEST_CASE("websocket: a Ping is answered while nobody receives (RFC 6455 5.5.2)") {
    loop l;
    raw_client_pair p(l);
    p.peer.send(to_server(opcode::ping, bytes("abc")));
    CHECK(p.peer.read(5) == own_frame<role::server>(opcode::pong, bytes("abc")));
    p.server.abort();
}

TEST_CASE("websocket: async_ping sends a Ping of at most 125 bytes (RFC 6455 5.5)") {
    loop l;
    raw_client_pair p(l);
    const result sent;
    const auto payload = bytes("hello");
    p.server.async_ping(payload, sent);
    CHECK(p.peer.read(7) == own_frame<role::server>(opcode::ping, payload));
    CHECK(sent.done());
    CHECK(!sent.ec());
    const result too_long;
    const byte_vector big(126);
    p.server.async_ping(big, too_long);
    l.until(too_long);
    CHECK(too_long.ec() == errc::control_too_long);
    CHECK(p.server.state() == connection_state::open);
    p.server.abort();
}

TEST_CASE("websocket: a peer that goes silent is noticed by Ping and timeout") {
    loop l;
    sansocket::options options;
    options.keepalive.ping_interval = 30ms;
    options.keepalive.pong_timeout = 30ms;
    raw_client_pair p(l, options);
    const result got = receive(p.server);
    CHECK(to_hex(p.peer.read(2)) == "8908");
    l.until(got);
    CHECK(got.ec() == errc::pong_timeout);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket: two quiet ends keep their connection alive") {
    loop l;
    sansocket::options options;
    options.keepalive.ping_interval = 5ms;
    options.keepalive.pong_timeout = 20s;
    websocket_pair p(l, options, options);
    l.until([&] { return p.client.connection()->round_trip().has_value(); });
    l.until([&] { return p.server.connection()->round_trip().has_value(); });
    CHECK(p.client.state() == connection_state::open);
    CHECK(p.server.state() == connection_state::open);
    close_both(l, p);
}

TEST_CASE("websocket: text that is not UTF-8 is not sent, and the connection stays open") {
    loop l;
    websocket_pair p(l);
    const result bad = send(p.client, "\xff");
    l.until(bad);
    CHECK(bad.ec() == errc::text_not_utf8);
    const result good = send(p.client, "good");
    const result got = receive(p.server);
    l.until(got);
    CHECK(got.text() == "good");
    close_both(l, p);
}

TEST_CASE("websocket: try_receive takes what is here, and nothing that is awaited") {
    loop l;
    websocket_pair p(l);
    CHECK_FALSE(p.server.try_receive());
    l.until(send(p.client, "one"));
    l.until(send(p.client, "two"));
    l.until([&] { return p.server.connection()->messages().size() == 2; });
    CHECK(p.server.try_receive()->text() == "one");
    CHECK(p.server.try_receive()->text() == "two");
    CHECK_FALSE(p.server.try_receive());

    const result pending = receive(p.server);
    l.until(send(p.client, "three"));
    l.until([&] { return pending.done() || p.server.connection()->messages().size() == 1; });
    if (!pending.done()) CHECK_FALSE(p.server.try_receive());
    l.until(pending);
    CHECK(pending.text() == "three");
    close_both(l, p);
}

TEST_CASE("websocket: many connections, one slow reader, and a broadcast that reaches the others") {
    loop l;
    sansocket::options small;
    small.queue.high_bytes = 1024;
    small.queue.low_bytes = 512;
    small.sending.high_bytes = 64 * 1024;
    small.sending.low_bytes = 16 * 1024;
    std::vector<std::unique_ptr<websocket_pair>> all;
    for (int i = 0; i != 8; ++i) all.push_back(std::make_unique<websocket_pair>(l, small, small));
    const std::string news(32 * 1024, 'n');
    const int rounds = 400;  // 12 MiB: more than loopback buffers hold
    std::vector<int> received(all.size());
    bool slow_refused = false;
    for (int round = 0; round != rounds; ++round) {
        std::vector<result> waiting;
        for (std::size_t i = 0; i != all.size(); ++i) {
            if (i != 0) waiting.push_back(send(all[i]->server, news));
            else
                slow_refused |=
                    all[0]->server.try_send(message_kind::text, std::as_bytes(std::span{news})) ==
                    errc::backpressure;
        }
        for (std::size_t i = 1; i != all.size(); ++i) {
            const result got = receive(all[i]->client);
            l.until(got);
            if (got.text() == news) ++received[i];
        }
        for (const auto& r : waiting) l.until(r);
    }
    CHECK(slow_refused);
    CHECK(all[0]->server.state() == connection_state::open);
    for (std::size_t i = 1; i != all.size(); ++i) CHECK(received[i] == rounds);
    for (const auto& p : all) {
        p->client.abort();
        p->server.abort();
    }
}

TEST_CASE("websocket: a thousand connections come and go in one io_context") {
    loop l;
    for (int i = 0; i != 1000; ++i) {
        websocket_pair p(l);
        const result closed = close(p.client);
        const result ended = receive(p.server);
        l.until(closed);
        l.until(ended);
        REQUIRE(!closed.ec());
        REQUIRE(ended.ec() == errc::closed_by_peer);
    }
    CHECK(l.finish() < 2s);
}
