// closing.cpp
//
// What docs/guide/closing.md shows.
#include <sansocket_asio/sansocket_asio.hpp>
#include <sansocket_trace/recorder.hpp>

#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
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

// [lost]
void tell_why_it_was_lost(const sansocket_asio::client& ws) {
    std::cout << to_string(ws.connection()->explain())
              << '\n';  // how long nothing came, what waited
    if (const std::error_code ec = ws.transport_error())
        std::cout << ec.message() << '\n';  // Connection reset by peer
}
// [/lost]

// [watched]
struct to_log final : sansocket::diagnostics_handler {
    void changed(const sansocket::state_change& change) noexcept override {
        std::clog << change.id << " is " << name_of(change.to) << '\n';
    }
    void leaked(const sansocket::leak_report& report) noexcept override {
        std::clog << "dropped without a close: " << to_string(report.connection) << '\n';
    }
};

asio::awaitable<void> greet(std::string url, to_log& log) {  // the log outlives it
    sansocket_asio::watched_client ws(co_await asio::this_coro::executor);
    sansocket_asio::client_options options;
    options.connection.diagnostics = &log;
    co_await ws.async_connect(url, options, use_awaitable);
    co_await ws.async_send_text("hello", use_awaitable);
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}

using watched_server =
    sansocket_asio::basic_server<asio::generic::stream_protocol::socket,
                                 sansocket_asio::watched_connection<sansocket::role::server>>;

void watch(asio::io_context& io, to_log& log) {
    sansocket_asio::server_options options;
    options.connection.diagnostics = &log;
    watched_server server(io.get_executor(), options);
    server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8080));
    io.run();
}
// [/watched]

// [recorded]
struct to_file {
    std::ofstream file{"connection.trace", std::ios::binary};
    void operator()(std::span<const std::byte> part) {
        file.write(reinterpret_cast<const char*>(part.data()), std::ssize(part));
    }
};
using recorded_connection =
    sansocket_trace::recorder<sansocket::connection<sansocket::role::client>, to_file>;
using recorded_client =
    sansocket_asio::websocket<sansocket::role::client, asio::ip::tcp::socket, recorded_connection>;

asio::awaitable<void> record(std::string url) {
    recorded_client ws(co_await asio::this_coro::executor);
    co_await ws.async_connect(url, use_awaitable);
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}
// [/recorded]
