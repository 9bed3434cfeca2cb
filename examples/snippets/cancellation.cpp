// cancellation.cpp
//
// What docs/guide/cancellation.md shows.
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

using namespace std::chrono_literals;
using asio::use_awaitable;

// [race]
using namespace asio::experimental::awaitable_operators;

// A message, or nothing where none comes in time. The one that comes later is not lost: the next
// receive has it.
asio::awaitable<std::optional<sansocket::message>> receive_within(sansocket_asio::client& ws,
                                                                  std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    auto first = co_await (ws.async_receive(use_awaitable) || timer.async_wait(use_awaitable));
    if (first.index() == 1) co_return std::nullopt;
    co_return std::get<0>(std::move(first));
}
// [/race]

// [slot]
void connect_until_told(sansocket_asio::client& ws, const std::string& url,
                        asio::cancellation_signal& stop) {
    ws.async_connect(url, asio::bind_cancellation_slot(stop.slot(), [&ws](std::error_code ec) {
                         if (ec) std::cerr << ws.failure().describe() << '\n';
                     }));
}
// [/slot]

// [close]
asio::awaitable<void> leave(sansocket_asio::client& ws) {
    asio::steady_timer patience(co_await asio::this_coro::executor, 1s);
    co_await (ws.async_close(sansocket::close_code::normal, "", use_awaitable) ||
              patience.async_wait(use_awaitable));
    // Whoever was first: the connection is over. It was aborted if the timer was.
}
// [/close]
