// closing.cpp
//
// What docs/guide/closing.md shows.
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>
#include <system_error>

using namespace std::chrono_literals;
using asio::redirect_error;
using asio::use_awaitable;

// [goodbye]
asio::awaitable<void> say_goodbye(sansocket_asio::client& ws) {
    std::error_code ec;
    co_await ws.async_close(sansocket::close_code::normal, "done",
                            redirect_error(use_awaitable, ec));
    if (ec) std::cout << "not clean: " << ec.message() << '\n';
}
// [/goodbye]

// [ended]
void tell_how_it_ended(const sansocket_asio::client& ws) {
    const sansocket::close_info info = ws.close_info();
    std::cout << (info.clean ? "clean" : "cut off") << ", code " << static_cast<int>(info.code())
              << ", because: " << make_error_code(info.cause).message() << '\n';
}
// [/ended]

// [group]
asio::awaitable<void> stop(sansocket_asio::group& clients) {
    std::error_code late;  // errc::close_timeout: some were cut off
    const auto [clean, failed] =
        co_await clients.async_shutdown(5s, redirect_error(use_awaitable, late));
    std::cout << clean << " said goodbye, " << failed << " did not\n";
}
// [/group]
