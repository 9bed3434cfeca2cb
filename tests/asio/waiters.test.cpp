// Who waits is woken, whoever else waits, and whatever fails meanwhile.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <cstddef>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waiters_tests {

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::message_view;
using sansocket_asio::when_full;

void turn(loop& l) {
    for (int i = 0; i != 300; ++i) l.poll();
}

sansocket::options narrow() {
    sansocket::options options;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 16 * 1024;
    return options;
}

void end(loop& l, websocket_pair& p) {
    p.client.abort();
    p.server.abort();
    turn(l);
}

TEST_CASE("waiters: the rest of a message of which pieces were taken, though it paused reading") {
    loop l;
    websocket_pair p(l, narrow(), narrow());
    bool begun = false;
    p.server.async_receive_some([&](std::error_code, sansocket::message_piece) { begun = true; });
    const result sent = send(p.client, std::string(512 * 1024, 'x'));
    l.until([&] { return begun; });
    turn(l);
    CHECK(p.server.connection()->explain().paused);
    std::size_t rest = 0;
    SECTION("received") {
        p.server.async_receive([&](std::error_code, const message& m) { rest = m.data.size(); });
    }
    SECTION("by a run") {
        p.server.async_run([&](message_view m) { rest = m.bytes.size(); }, [](std::error_code) {});
    }
    l.until([&] { return rest != 0; });
    CHECK(rest < 512 * 1024);
    end(l, p);
}

TEST_CASE("waiters: the memory of a large message is given back when the next is waited for") {
    loop l;
    websocket_pair p(l, narrow(), narrow());
    const bool runs = GENERATE(false, true);
    int got = 0;
    if (runs) p.server.async_run([&](message_view) { ++got; }, [](std::error_code) {});
    for (const std::size_t size : {std::size_t{8} << 20U, std::size_t{5}}) {
        if (!runs) p.server.async_receive([&](std::error_code, const message&) { ++got; });
        const result sent = send(p.client, std::string(size, 'x'));
        l.until([&, before = got] { return got != before; });
    }
    if (!runs) p.server.async_receive([](std::error_code, const message&) {});
    turn(l);
    CHECK(p.server.connection()->explain().memory < 512 * 1024);
    end(l, p);
}

TEST_CASE("waiters: what is posted is not overtaken, not at a message's end either") {
    loop l;
    websocket_pair p(l);
    std::vector<std::string> in;
    p.server.async_run([&](message_view m) { in.emplace_back(m.text()); }, [](std::error_code) {});
    const result started;
    p.client.async_start(message_kind::text, started);
    l.until(started);
    CHECK(p.client.post({message_kind::text, "1 old"}, when_full::drop_old) == errc::ok);
    p.client.async_finish("0 parts", [](std::error_code, std::size_t) {});
    CHECK(p.client.post({message_kind::text, "2 new"}, when_full::drop_old) == errc::ok);
    l.until([&] { return in.size() == 3; });
    CHECK(in == std::vector<std::string>{"0 parts", "1 old", "2 new"});
    end(l, p);
}

TEST_CASE(
    "waiters: who waits for the end of a message does not hold up the run that is to end it") {
    loop l;
    websocket_pair p(l);
    int asked = 0;
    p.client.async_run([&](message_view) { ++asked; }, [](std::error_code) {});
    const result started;
    p.client.async_start(message_kind::text, started);
    l.until(started);
    CHECK(p.client.post({message_kind::text, "x"}, when_full::drop_new) == errc::ok);
    turn(l);
    const result sent = send(p.server, "next part please");
    l.until([&] { return asked == 1; });
    end(l, p);
}

// A queue that has no memory left.
struct throwing : sansocket::message_queue<> {
    using message_queue::message_queue;
    bool push(message_kind, std::span<const std::byte>) { throw std::bad_alloc{}; }
};

TEST_CASE("waiters: an exception in a read ends the connection, and everybody is told") {
    loop l;
    tcp_pair t{l.io};
    websocket_client client(std::move(t.a));
    sansocket_asio::websocket<role::server, asio::ip::tcp::socket,
                              sansocket::connection<role::server, throwing>>
        server(std::move(t.b));
    const result accepted, opened, received, told;
    server.async_accept({}, {}, accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(accepted);
    l.until(opened);
    server.async_receive(received);
    client.async_receive(told);
    const result sent = send(client, "hello");
    bool threw = false;
    for (int i = 0; i != 300; ++i) {
        try {
            l.poll();
        } catch (const std::bad_alloc&) {
            threw = true;
        }
    }
    CHECK(threw);
    CHECK(received.done());
    CHECK(received.ec() == errc::aborted);
    CHECK(told.done());
}

}  // namespace waiters_tests
