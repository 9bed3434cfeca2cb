// client.cpp
//
// What docs/guide/client.md shows.
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using asio::redirect_error;
using asio::use_awaitable;

// [connect]
asio::awaitable<void> greet(std::string url) {
    sansocket_asio::client ws(co_await asio::this_coro::executor);
    std::error_code ec;
    co_await ws.async_connect(url, redirect_error(use_awaitable, ec));
    if (ec) {
        std::cerr << ws.failure().describe() << '\n';
        co_return;
    }
    co_await ws.async_send_text("hello", use_awaitable);
    const sansocket::message answer = co_await ws.async_receive(use_awaitable);
    std::cout << answer.data << '\n';
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}
// [/connect]

// [options]
sansocket_asio::client_options choices(const std::string& token) {
    sansocket_asio::client_options options;
    options.subprotocols = {"chat.v2", "chat.v1"};
    options.headers = {sansocket::bearer(token),
                       sansocket::cookies({{"theme", "dark"}, {"lang", "en"}})};
    options.connection.opening_timeout = 3s;
    options.connection.messages.size = 1 << 20;
    return options;
}
// [/options]

// [failure]
void react(const sansocket_asio::connect_failure& failure) {
    using sansocket_asio::connect_stage;
    if (failure.ec != sansocket::errc::upgrade_refused) {
        const bool reached = failure.stage >= connect_stage::tls;
        std::cerr << (reached ? "the server is there, but: " : "no server: ") << failure.describe()
                  << '\n';
        return;
    }
    const auto status = failure.response.status();
    if (status == 401) std::cerr << "credentials are wanted\n";
    if (status == 429 || status == 503)
        std::cerr << "try again in " << failure.response.find("Retry-After").value_or("a while")
                  << '\n';
    if (status >= 300 && status < 400)
        std::cerr << "moved to " << failure.response.find("Location").value_or("nowhere") << '\n';
    std::cerr << failure.body << '\n';
}
// [/failure]

// [endpoint]
using local = asio::local::stream_protocol;
using local_client = sansocket_asio::websocket<sansocket::role::client, local::socket>;

asio::awaitable<void> ask_the_daemon(local_client& ws) {
    const sansocket_asio::client_options options;
    const local::endpoint daemon("/run/daemon.socket");
    co_await ws.async_connect_to(daemon, "ws://localhost/status", options, use_awaitable);
}
// [/endpoint]
