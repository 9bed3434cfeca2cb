// This library's client against an echo server that somebody else wrote.
//
// usage: interop_client URL. With a wss:// URL it trusts the authority in TLS_CA too. The server echoes, and does what a text asks for: "close CODE REASON",
// "ping PAYLOAD" (then says "pong PAYLOAD"), "fragments TEXT" (echoes TEXT, in fragments if it can).
// Exits with 0 when all went as it should.
#include <sansocket_asio/sansocket_asio.hpp>
#ifdef WITH_OPENSSL
#include <sansocket_openssl/sansocket_openssl.hpp>
#endif

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using sansocket::message;
using sansocket::message_kind;

#ifdef WITH_OPENSSL
using sansocket_openssl::client;

client make_client(const asio::any_io_executor& executor) {
    const char* const ca = std::getenv("TLS_CA");
    auto trusts = sansocket_openssl::make_client_context({ca != nullptr ? ca : "", {}, {}});
    return client(executor, trusts);
}
#else
using sansocket_asio::client;

client make_client(const asio::any_io_executor& executor) { return client(executor); }
#endif

constexpr std::size_t mebibyte = 1024 * 1024;

void expect(std::string_view what, bool holds) {
    if (!holds) throw std::runtime_error(std::string(what));
    std::cout << "ok " << what << std::endl;
}

std::string repeated(std::string_view text, std::size_t size) {
    std::string out;
    while (out.size() < size) out += text;
    return out;
}

std::vector<message> messages() {
    std::vector<message> out;
    for (const std::string_view text : {"", "Hello", "世界、こんにちは", "🦆 👩‍🚀"})
        out.emplace_back(message_kind::text, std::string(text));
    out.emplace_back(message_kind::text, repeated("0123456789abcdé", mebibyte));
    for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U})
        out.emplace_back(message_kind::binary, std::string(size, '\xfe'));
    out.emplace_back(message_kind::binary,
                     repeated(std::string_view("\0\x7f\x80\xff", 4), mebibyte));
    return out;
}

awaitable<client> connected(std::string url) {
    client ws = make_client(co_await asio::this_coro::executor);
    sansocket_asio::client_options options;
    options.connection.keepalive.ping_interval = std::chrono::milliseconds(50);
    co_await ws.async_connect(url, options, use_awaitable);
    co_return ws;
}

awaitable<void> send_text(client& ws, std::string text) {
    co_await ws.async_send(message(message_kind::text, std::move(text)), use_awaitable);
}

awaitable<void> expect_text(client& ws, std::string what, std::string text) {
    const message found = co_await ws.async_receive(use_awaitable);
    expect(what, found == message(message_kind::text, text));
}

awaitable<void> echoes(client& ws) {
    for (const message& sent : messages()) {
        co_await ws.async_send(sent, use_awaitable);
        const message found = co_await ws.async_receive(use_awaitable);
        expect(std::to_string(sent.data.size()) + " bytes come back", found == sent);
    }
}

awaitable<void> fragments_and_pings(client& ws) {
    co_await send_text(ws, "fragments Hello, 世界!");
    co_await expect_text(ws, "a message in fragments", "Hello, 世界!");
    const std::string large = repeated("fragment ", mebibyte);
    co_await send_text(ws, "fragments " + large);
    co_await expect_text(ws, "a large message in fragments", large);
    co_await send_text(ws, "ping marco");
    co_await expect_text(ws, "we answer a Ping", "pong marco");
}

// Waits for the end and says how it came.
awaitable<sansocket::close_info> ended(client& ws) {
    try {
        for (;;) co_await ws.async_receive(use_awaitable);
    } catch (const std::system_error&) {
        co_return ws.close_info();
    }
}

// The connection's own Pings are answered: their round trip is measured.
awaitable<void> measured(client& ws) {
    asio::steady_timer timer(ws.get_executor());
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!ws.connection()->round_trip() && std::chrono::steady_clock::now() < limit) {
        timer.expires_after(std::chrono::milliseconds(10));
        co_await timer.async_wait(use_awaitable);
    }
    expect("our Ping is answered", ws.connection()->round_trip().has_value());
}

awaitable<void> converse(std::string url) {
    client ws = co_await connected(url);
    co_await echoes(ws);
    co_await fragments_and_pings(ws);
    co_await measured(ws);
    co_await ws.async_close(sansocket::close_code{4000}, "the client is done", use_awaitable);
    expect("our Close is answered", ws.close_info().clean && ws.close_info().received);

    ws = co_await connected(url);
    co_await send_text(ws, "close 4001 the server is done");
    const sansocket::close_info info = co_await ended(ws);
    expect("the server closes", info.clean && info.code() == sansocket::close_code{4001} &&
                                    info.reason() == "the server is done");

    std::vector<client> several;
    for (int i = 0; i != 3; ++i) several.push_back(co_await connected(url));
    std::cout << "waiting for the server to go" << std::endl;
    for (client& one : several) {
        const auto code = (co_await ended(one)).code();
        const auto number = std::to_string(static_cast<unsigned>(code));
        expect("the server goes away, " + number, code == sansocket::close_code::going_away);
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) {
        std::cerr << "usage: interop_client URL\n";
        return 2;
    }
    asio::io_context io;
    int status = 1;
    asio::co_spawn(io, converse(argv[1]), [&status](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
            status = 0;
        } catch (const std::exception& what) {
            std::cout << "failed: " << what.what() << std::endl;
        }
    });
    io.run();
    return status;
}
