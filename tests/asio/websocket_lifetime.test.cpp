// Destroying websockets, and the contexts they run on, in every state.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <string>

using namespace support;
using sansocket::opcode;

namespace {

// A handler that does something besides.
template <class Then>
auto then(result r, Then act) {
    return [r = std::move(r), act = std::move(act)](std::error_code ec,
                                                    sansocket::message m = {}) mutable {
        r(ec, std::move(m));
        act();
    };
}

#if defined(ASIO_HAS_CO_AWAIT)
// Lives as long as a coroutine's frame.
struct alive {
    explicit alive(int& n) : count(&n) { ++*count; }
    alive(const alive&) = delete;
    alive& operator=(const alive&) = delete;
    ~alive() { --*count; }
    int* count;
};

asio::awaitable<void> echo(tcp::socket socket, int& frames) {
    const alive here(frames);
    websocket_server ws(std::move(socket));
    co_await ws.async_accept(asio::use_awaitable);
    for (;;) {
        auto m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

asio::awaitable<void> ask(tcp::socket socket, int& frames, int& answers) {
    const alive here(frames);
    websocket_client ws(std::move(socket));
    const sansocket::client_request request{.host = "localhost"};
    const sansocket::options options;
    co_await ws.async_handshake(request, options, asio::use_awaitable);
    for (;;) {
        co_await ws.async_send_text("again", asio::use_awaitable);
        co_await ws.async_receive(asio::use_awaitable);
        ++answers;
    }
}
#endif

}  // namespace

TEST_CASE("websocket lifetime: destroyed while open, what waits ends, and the peer sees 1006") {
    loop l;
    l.left_open = true;  // that is what it is about
    raw_client_pair p(l);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    const result got = receive(*ws);
    ws.reset();
    CHECK_FALSE(got.done());
    l.until(got);
    CHECK(got.ec() == errc::dropped);
    CHECK(p.peer.read_to_end().empty());
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: destroyed with sends that wait, and in the middle of a write") {
    loop l;
    l.left_open = true;  // that is what it is about
    sansocket::options options;
    options.sending.high_bytes = 1;
    options.sending.low_bytes = 0;
    raw_client_pair p(l, options);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    std::string huge(16 * 1024 * 1024, 'h');
    const result taken = send(*ws, huge);
    const result waiting = send(*ws, "x");
    l.poll();
    CHECK(taken.done());
    CHECK_FALSE(waiting.done());
    ws.reset();
    huge.clear();
    huge.shrink_to_fit();
    l.until(waiting);
    CHECK(waiting.ec() == errc::closed);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: destroyed while its closing handshake runs") {
    loop l;
    l.left_open = true;  // that is what it is about
    raw_client_pair p(l);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    const result closed = close(*ws);
    const result got = receive(*ws);
    l.poll();
    ws.reset();
    l.until(closed);
    l.until(got);
    CHECK(closed.ec() == errc::dropped);
    CHECK(got.ec() == errc::dropped);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: destroyed inside the handlers of its own operations") {
    loop l;
    l.left_open = true;  // that is what it is about
    for (int which = 0; which != 5; ++which) {
        CAPTURE(which);
        websocket_pair p(l);
        auto ws = std::make_unique<websocket_server>(std::move(p.server));
        const result r;
        const auto destroy = [&ws] { ws.reset(); };
        const result other = which == 0 || which == 4 ? result{} : receive(*ws);
        if (which == 0) ws->async_receive(then(r, destroy));
        if (which == 1) ws->async_send_text("x", then(r, destroy));
        if (which == 2) ws->async_ping({}, then(r, destroy));
        if (which == 3) ws->async_close(close_code::normal, {}, then(r, destroy));
        if (which == 4) {
            ws->abort();
            ws->async_receive(then(r, destroy));
        }
        if (which == 0) l.until(send(p.client, "x"));
        l.until(r);
        CHECK(ws == nullptr);
        if (which >= 1 && which <= 3) l.until(other);
        const result ended = receive(p.client);
        l.until([&] { return p.client.state() == connection_state::closed; });
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket lifetime: dropped when its receive ended, the peer sees a clean close") {
    loop l;
    websocket_pair p(l);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    const result ended;
    ws->async_receive(then(ended, [&ws] { ws.reset(); }));
    const result closed = close(p.client, close_code::going_away, "bye");
    l.until(ended);
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(ws == nullptr);
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(p.client.close_info().clean);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: a client dropped after its close lets the server end cleanly") {
    loop l;
    websocket_pair p(l);
    auto ws = std::make_unique<websocket_client>(std::move(p.client));
    const result ended = receive(p.server);
    const result closed;
    ws->async_close(close_code::normal, {}, then(closed, [&ws] { ws.reset(); }));
    l.until(closed);
    l.until(ended);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(p.server.close_info().clean);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: dropped when it has failed the connection; its Close arrives") {
    loop l;
    raw_client_pair p(l);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    const result ended;
    ws->async_receive(then(ended, [&ws] { ws.reset(); }));
    p.peer.send(hex("81 05 48656c6c6f") + byte_vector(100000));  // not masked
    l.until(ended);
    CHECK(ended.ec() == errc::frame_not_masked);
    CHECK(ws == nullptr);
    const auto said = p.peer.read_to_end();
    CHECK(p.peer.read_error == asio::error::eof);
    CHECK(to_hex(said).substr(0, 2) == "88");
    CHECK(to_hex(said).substr(4, 4) == "03ea");
    p.peer.socket.close();
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket lifetime: dropped after a failure; a peer that never ends is cut off") {
    loop l;
    sansocket::options options;
    options.close_timeout = 100ms;
    raw_client_pair p(l, options);
    auto ws = std::make_unique<websocket_server>(std::move(p.server));
    const result ended;
    ws->async_receive(then(ended, [&ws] { ws.reset(); }));
    p.peer.send(hex("81 05 48656c6c6f"));
    l.until(ended);
    CHECK(l.finish() < 5s);
}

#if defined(ASIO_HAS_CO_AWAIT)
TEST_CASE("websocket lifetime: a context destroyed with operations pending frees their frames") {
    int frames = 0;
    int answers = 0;
    {
        loop l;
        for (int i = 0; i != 5; ++i) {
            tcp_pair sockets(l.io);
            co_spawn(l.io, echo(std::move(sockets.b), frames), asio::detached);
            co_spawn(l.io, ask(std::move(sockets.a), frames, answers), asio::detached);
        }
        tcp_pair idle(l.io);  // still in its opening handshake
        co_spawn(l.io, echo(std::move(idle.b), frames), asio::detached);
        l.until([&] { return answers == 100; });
        CHECK(frames == 11);
    }
    CHECK(frames == 0);
}

TEST_CASE("websocket lifetime: a context destroyed in the middle of connecting") {
    loop dead_end;
    tcp::acceptor acceptor(dead_end.io, {asio::ip::address_v4::loopback(), 0});
    const std::string url = "ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    int frames = 0;
    for (int steps = 0; steps != 6; ++steps) {
        loop l;
        const auto body = [&]() -> asio::awaitable<void> {
            const alive here(frames);
            websocket_client ws(co_await asio::this_coro::executor);
            co_await ws.async_connect(url, asio::use_awaitable);
        };
        co_spawn(l.io, body, asio::detached);
        for (int i = 0; i != steps; ++i) l.io.run_one_for(100ms);
        CHECK(frames == (steps == 0 ? 0 : 1));
    }
    CHECK(frames == 0);
}
#endif

TEST_CASE("websocket lifetime: a context destroyed in the middle of closing and of failing") {
    {
        loop l;
        raw_client_pair p(l);
        auto owner = std::make_shared<websocket_server>(std::move(p.server));
        owner->async_close(close_code::normal, {}, [owner](std::error_code) {});
        owner->async_receive([owner](std::error_code, const sansocket::message&) {});
        l.poll();
    }
    {
        loop l;
        raw_client_pair p(l);
        auto owner = std::make_shared<websocket_server>(std::move(p.server));
        p.peer.send(hex("81 05 48656c6c6f"));
        l.until([&] { return owner->state() == connection_state::closed; });
        owner->async_receive([owner](std::error_code, const sansocket::message&) {});
    }
}
