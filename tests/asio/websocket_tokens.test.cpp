// Each operation with each kind of completion token.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#if __has_include(<asio/deferred.hpp>)
#include <asio/deferred.hpp>
#else
#include <asio/experimental/deferred.hpp>
#endif

#include <chrono>
#include <future>
#include <string>
#include <utility>

using namespace support;

namespace {

#if __has_include(<asio/deferred.hpp>)
constexpr auto deferred = asio::deferred;
#else
constexpr auto deferred = asio::experimental::deferred;
#endif

// A future may be made ready by another thread, behind the loop's back.
template <class Future>
auto get(loop& l, Future future) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (future.wait_for(1ms) != std::future_status::ready) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        l.poll();
    }
    return future.get();
}

// Two ends and somewhere to connect to.
struct scene {
    explicit scene(loop& l)
        : acceptor(l.io, {asio::ip::address_v4::loopback(), 0}),
          client(l.io),
          url("ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/") {}
    tcp::acceptor acceptor;
    websocket_client client;
    std::string url;
};

}  // namespace

TEST_CASE("websocket tokens: use_future") {
    loop l;
    scene s(l);
    auto connected = s.client.async_connect(s.url, asio::use_future);
    websocket_server server(accept(l, s.acceptor));
    auto accepted = server.async_accept({}, {}, asio::use_future);
    get(l, std::move(accepted));
    get(l, std::move(connected));
    get(l, s.client.async_send_text("text", asio::use_future));
    CHECK(get(l, server.async_receive(asio::use_future)).data == "text");
    get(l, server.async_send_binary(bytes("binary"), asio::use_future));
    const auto got = get(l, s.client.async_receive(asio::use_future));
    CHECK(got == sansocket::message{message_kind::binary, "binary"});
    get(l, server.async_send(sansocket::message{message_kind::text, "given"}, asio::use_future));
    CHECK(get(l, s.client.async_receive(asio::use_future)).data == "given");
    get(l, s.client.async_ping({}, asio::use_future));
    auto ended = server.async_receive(asio::use_future);
    get(l, s.client.async_close(close_code::normal, "bye", asio::use_future));
    try {
        (void)get(l, std::move(ended));
        FAIL("the end is an error");
    } catch (const std::system_error& e) {
        CHECK(e.code() == errc::closed_by_peer);
    }
}

TEST_CASE("websocket tokens: use_future, by hand") {
    loop l;
    tcp_pair sockets(l.io);
    websocket_client client(std::move(sockets.a));
    websocket_server server(std::move(sockets.b));
    auto asked = server.async_read_request({}, {}, asio::use_future);
    auto opened = client.async_handshake({.host = "localhost"}, {}, asio::use_future);
    get(l, std::move(asked));
    CHECK(server.accept() == errc::ok);
    get(l, std::move(opened));
    CHECK(client.state() == connection_state::open);
    close_both(l, client, server);
}

#if defined(ASIO_HAS_CO_AWAIT)
namespace {

asio::awaitable<void> serve(tcp::acceptor& acceptor) {
    websocket_server ws(co_await acceptor.async_accept(asio::use_awaitable));
    const sansocket::server_policy policy;
    const sansocket::options options;
    co_await ws.async_read_request(policy, options, asio::use_awaitable);
    CHECK(ws.accept() == errc::ok);
    for (int i = 0; i != 3; ++i) {
        auto m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
    co_await ws.async_ping({}, asio::use_awaitable);
    co_await ws.async_close(close_code::going_away, "served", asio::use_awaitable);
    CHECK(ws.close_info().clean);
}

asio::awaitable<void> visit(scene& s) {
    co_await s.client.async_connect(s.url, asio::use_awaitable);
    co_await s.client.async_send_text("text", asio::use_awaitable);
    co_await s.client.async_send_binary(std::as_bytes(std::span{s.url}), asio::use_awaitable);
    sansocket::message given{message_kind::text, "given"};
    co_await s.client.async_send(std::move(given), asio::use_awaitable);
    for (const std::string& expected : {std::string("text"), s.url, std::string("given")}) {
        const auto got = co_await s.client.async_receive(asio::use_awaitable);
        CHECK(got.data == expected);
    }
    std::error_code ended;
    try {
        (void)co_await s.client.async_receive(asio::use_awaitable);
    } catch (const std::system_error& e) {
        ended = e.code();
    }
    CHECK(ended == errc::closed_by_peer);
    co_await s.client.async_close(close_code::normal, {}, asio::use_awaitable);
}

}  // namespace

TEST_CASE("websocket tokens: use_awaitable") {
    loop l;
    scene s(l);
    int done = 0;
    const auto count = [&done](const std::exception_ptr& e) {
        CHECK(e == nullptr);
        ++done;
    };
    co_spawn(l.io, serve(s.acceptor), count);
    co_spawn(l.io, visit(s), count);
    l.until([&] { return done == 2; });
    CHECK(s.client.close_info().reason() == "served");
}
#endif

TEST_CASE("websocket tokens: deferred starts when it is called, and not before") {
    loop l;
    scene s(l);
    auto connect = s.client.async_connect(s.url, deferred);
    CHECK(s.client.connection() == nullptr);
    const result connected;
    std::move(connect)(connected);
    websocket_server server(accept(l, s.acceptor));
    auto accept_later = server.async_accept({}, {}, deferred);
    l.poll();
    CHECK(server.connection() == nullptr);
    const result accepted;
    std::move(accept_later)(accepted);
    l.until(accepted);
    l.until(connected);
    CHECK(!connected.ec());

    auto send_later = s.client.async_send_text("later", deferred);
    sansocket::message given_away{message_kind::binary, "given"};
    auto give_later = s.client.async_send(std::move(given_away), deferred);
    auto ping_later = s.client.async_ping({}, deferred);
    auto receive_later = server.async_receive(deferred);
    auto close_later = s.client.async_close(close_code::normal, std::string("by") + "e", deferred);
    l.poll();
    CHECK(s.client.connection()->output_bytes() == 0);
    CHECK(s.client.state() == connection_state::open);
    const result got;
    std::move(receive_later)(got);
    const result sent;
    std::move(send_later)(sent);
    const result given;
    std::move(give_later)(given);
    const result pinged;
    std::move(ping_later)(pinged);
    const result closed;
    l.until(got);
    CHECK(got.text() == "later");
    const result second = receive(server);
    l.until(second);
    CHECK(second.text() == "given");
    std::move(close_later)(closed);
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(server.close_info().reason() == "bye");
}

TEST_CASE("websocket tokens: deferred, by hand") {
    loop l;
    tcp_pair sockets(l.io);
    websocket_client client(std::move(sockets.a));
    websocket_server server(std::move(sockets.b));
    auto ask = server.async_read_request({}, {}, deferred);
    auto open = client.async_handshake({.host = "localhost"}, {}, deferred);
    CHECK(client.connection() == nullptr);
    const result asked;
    const result opened;
    std::move(ask)(asked);
    std::move(open)(opened);
    l.until(asked);
    CHECK(server.accept() == errc::ok);
    l.until(opened);
    CHECK(!opened.ec());
    close_both(l, client, server);
}
