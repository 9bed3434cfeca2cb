// conformance_client.cpp
//
// Puts the client through the test cases of a fuzzing server, such as
// `wstest -m fuzzingserver`: asks how many there are, echoes every message of
// each, and has the server write its report.
//
//   conformance_client --url ws://127.0.0.1:9001 --agent sansocket [--deflate]
//
// --deflate offers permessage-deflate, with client_max_window_bits, for the cases of compression.
// A case that fails does not stop the run; the server's report tells of it.
#include "support/arguments.hpp"

#include <sansocket_asio/sansocket_asio.hpp>
#ifdef WITH_ZLIB
#include <sansocket_zlib/sansocket_zlib.hpp>
#endif

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using sansocket::message;

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string out;
    for (const char c : text) {
        const auto value = static_cast<unsigned char>(c);
        if (unreserved.find(c) != unreserved.npos) out += c;
        else ((out += '%') += digits[value >> 4]) += digits[value & 15];
    }
    return out;
}

#ifdef WITH_ZLIB
using connection = sansocket_zlib::connection<sansocket::role::client>;
#else
using connection = sansocket::connection<sansocket::role::client>;
#endif
using client =
    sansocket_asio::websocket<sansocket::role::client, asio::ip::tcp::socket, connection>;

bool with_deflate = false;  // --deflate

// Connects, with room for the largest cases.
awaitable<client> connected(std::string url) {
    sansocket_asio::client_options options;
    options.connection.messages.size = std::uint64_t{64} * 1024 * 1024;
    options.connection.messages.bytes_per_fragment = 0;
    options.connection.deflate.enabled = with_deflate;
    options.connection.deflate.threshold = 0;
    client ws(co_await asio::this_coro::executor);
    co_await ws.async_connect(url, options, use_awaitable);
    co_return ws;
}

// The one message that the server sends before it closes.
awaitable<std::string> ask(std::string url) {
    client ws = co_await connected(std::move(url));
    const message answer = co_await ws.async_receive(use_awaitable);
    std::error_code end;
    co_await ws.async_receive(redirect_error(use_awaitable, end));
    co_return answer.data;
}

// Echoes until the server closes or the connection fails, as many of the cases want it to.
awaitable<void> echo(std::string url) {
    client ws = co_await connected(std::move(url));
    for (;;) {
        std::error_code ec;
        message m = co_await ws.async_receive(redirect_error(use_awaitable, ec));
        if (ec) co_return;
        co_await ws.async_send(std::move(m), redirect_error(use_awaitable, ec));
    }
}

awaitable<void> run(std::string url, std::string agent) {
    const int count = std::stoi(co_await ask(url + "/getCaseCount"));
    for (int n = 1; n <= count; ++n) {
        std::cout << "case " << n << " of " << count << std::endl;
        try {
            co_await echo(url + "/runCase?case=" + std::to_string(n) + "&agent=" + agent);
        } catch (const std::exception& error) {
            std::cout << "  " << error.what() << std::endl;
        }
    }
    co_await echo(url + "/updateReports?agent=" + agent);
}

}  // namespace

int main(int argc, char* argv[]) {
    std::string url, agent;
    const bool good = support::arguments(argc, argv)
                          .take("--url", url)
                          .take("--agent", agent)
                          .take("--deflate", with_deflate)
                          .good();
    if (!good || url.empty() || agent.empty()) {
        std::cerr << "usage: conformance_client --url ws://HOST:PORT --agent NAME [--deflate]\n";
        return 2;
    }
#ifndef WITH_ZLIB
    if (with_deflate) {
        std::cerr << "conformance_client: built without zlib\n";
        return 2;
    }
#endif
    while (url.ends_with('/')) url.pop_back();

    asio::io_context io;
    int status = 0;
    asio::co_spawn(io, run(url, percent_encoded(agent)), [&status](std::exception_ptr failure) {
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            std::cerr << "conformance_client: " << error.what() << '\n';
            status = 1;
        }
    });
    io.run();
    return status;
}
