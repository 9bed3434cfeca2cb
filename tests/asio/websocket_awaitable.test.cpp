// Coroutines, and operations that race each other.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <string>
#include <variant>

using namespace support;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr int messages = 300;

asio::awaitable<void> send_numbers(websocket_client& ws) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    for (int i = 0; i != messages; ++i) {
        const std::string text = std::to_string(i);
        co_await ws.async_send_text(text, asio::use_awaitable);
        pause.expires_after(std::chrono::microseconds(i % 5 * 100));
        co_await pause.async_wait(asio::use_awaitable);
    }
}

// Each receive races a timer that rings at about the time when a message comes.
asio::awaitable<void> receive_numbers(websocket_server& ws, int& taken, int& rung) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (taken != messages) {
        timer.expires_after(std::chrono::microseconds((taken + rung) % 7 * 50));
        auto first = co_await (ws.async_receive(asio::use_awaitable) ||
                               timer.async_wait(asio::use_awaitable));
        if (first.index() == 1) {
            ++rung;
            continue;
        }
        REQUIRE(std::get<0>(first).data == std::to_string(taken));
        ++taken;
    }
}

}  // namespace

TEST_CASE("websocket awaitable: a receive that races a timer loses no message") {
    loop l;
    websocket_pair p(l);
    int taken = 0;
    int rung = 0;
    std::exception_ptr failed;
    co_spawn(l.io, receive_numbers(p.server, taken, rung),
             [&](const std::exception_ptr& e) { failed = e; });
    co_spawn(l.io, send_numbers(p.client), asio::detached);
    l.until([&] { return taken == messages || failed != nullptr; });
    if (failed) std::rethrow_exception(failed);
    CHECK(rung != 0);
    CHECK(p.server.state() == connection_state::open);
    close_both(l, p);
}

TEST_CASE("websocket awaitable: a close that races a timer aborts the connection") {
    loop l;
    raw_client_pair p(l);
    bool timer_won = false;
    const auto body = [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor, 20ms);
        auto first = co_await (p.server.async_close(close_code::normal, {}, asio::use_awaitable) ||
                               timer.async_wait(asio::use_awaitable));
        timer_won = first.index() == 1;
    };
    bool done = false;
    co_spawn(l.io, body, [&](const std::exception_ptr& e) { done = e == nullptr; });
    l.until([&] { return done; });
    CHECK(timer_won);
    CHECK(p.server.close_info().cause == errc::cancelled);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket awaitable: receiving and sending side by side") {
    loop l;
    websocket_pair p(l);
    int got = 0;
    const auto echo = [&]() -> asio::awaitable<void> {
        for (;;) {
            std::error_code ec;
            auto m = co_await p.server.async_receive(asio::redirect_error(asio::use_awaitable, ec));
            if (ec) co_return;
            co_await p.server.async_send(std::move(m), asio::use_awaitable);
        }
    };
    const auto sender = [&]() -> asio::awaitable<void> {
        for (int i = 0; i != messages; ++i) {
            const std::string text(static_cast<std::size_t>(i) * 50, 'a');
            co_await p.client.async_send_text(text, asio::use_awaitable);
        }
    };
    const auto reader = [&]() -> asio::awaitable<void> {
        for (; got != messages; ++got) {
            auto m = co_await p.client.async_receive(asio::use_awaitable);
            REQUIRE(m.data.size() == static_cast<std::size_t>(got) * 50);
        }
    };
    const auto both = [&]() -> asio::awaitable<void> {
        co_await (sender() && reader());
        co_await p.client.async_close(close_code::normal, {}, asio::use_awaitable);
    };
    co_spawn(l.io, echo, asio::detached);
    bool done = false;
    co_spawn(l.io, both, [&](const std::exception_ptr& e) { done = e == nullptr; });
    l.until([&] { return done; });
    CHECK(got == messages);
    CHECK(p.client.close_info().clean);
    CHECK(l.finish() < 1s);
}
