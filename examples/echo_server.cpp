// echo_server.cpp
//
// A server that echoes every message: one thread, one coroutine for each
// connection, limits, and an end that says goodbye to every client.
//
//   echo_server [--host H] [--port P] [--max-message BYTES] [--max-connections N] [--tls CERT KEY]
//               [--deflate] [--window-bits N] [--no-takeover] [--shared]
//
// --tls: speaks TLS with the certificate chain and the key of these two files, both PEM.
// --deflate compresses with clients that offer it, in messages of 256 bytes and more; the other
// three say how. The end of each connection that did is printed.
//
// Prints "listening on ws://HOST:PORT/", or wss. A text "close CODE REASON" makes it close with them.
// SIGINT and SIGTERM close every connection with 1001.
#include "support/close_request.hpp"
#include "support/echo_settings.hpp"

#include <sansocket_asio/server.hpp>
#ifdef WITH_OPENSSL
#include <sansocket_openssl/sansocket_openssl.hpp>
#endif
#ifdef WITH_ZLIB
#include <sansocket_zlib/sansocket_zlib.hpp>
#endif

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using sansocket::message;

using support::close_asked_by;
using support::settings;

#ifdef WITH_OPENSSL
using stream = sansocket_openssl::stream;  // plain or TLS
#else
using stream = tcp::socket;
#endif

template <class Websocket>
void tell(const Websocket& ws) {
    const auto s = ws.connection()->explain();
    if (s.deflate)
        std::cout << "deflate: " << s.decompressed_messages << " messages received, "
                  << s.compressed_messages << " sent" << std::endl;
}

template <class Websocket>
awaitable<void> echo(Websocket& ws) {
    for (;;) {
        // Throws once the closing handshake is done, so this is what the loop ends by.
        message m = co_await ws.async_receive(use_awaitable);
        std::error_code closing;  // not an error: the peer's last messages cannot be echoed
        if (const auto wanted = close_asked_by(m))
            co_await ws.async_close(wanted->code, wanted->reason,
                                    redirect_error(use_awaitable, closing));
        else co_await ws.async_send(std::move(m), redirect_error(use_awaitable, closing));
    }
}

// One connection's life.
template <class Websocket>
awaitable<void> serve(Websocket& ws) {
    try {
        co_await echo(ws);
    } catch (const std::exception&) {
        // The connection has ended: ws.close_info() says how.
    }
    tell(ws);
}

sansocket_asio::server_options options_of(const settings& chosen) {
    sansocket_asio::server_options options;
    options.max_connections = chosen.max_connections;
    options.connection.messages.size = chosen.max_message;
    auto& deflate = options.connection.deflate;
    deflate.enabled = chosen.deflate;
    deflate.own_window_bits = chosen.window_bits;
    deflate.own_context_takeover = !chosen.no_takeover;
    deflate.peer_context_takeover = !chosen.no_takeover;
    return options;
}

template <class Server>
tcp::endpoint listen(Server& server, const tcp::endpoint& at, const settings& chosen) {
    if (chosen.certificate.empty()) return server.listen(at);
#ifdef WITH_OPENSSL
    const auto context = std::make_shared<asio::ssl::context>(
        sansocket_openssl::make_server_context({chosen.certificate, chosen.key, {}}));
    return server.listen(
        at, [context](tcp::socket socket) { return stream(std::move(socket), *context); });
#else
    throw std::runtime_error("built without OpenSSL");
#endif
}

// `Connection` says whether there is a codec.
template <class Connection>
void run(const settings& chosen) {
    using echo_server = sansocket_asio::basic_server<stream, Connection>;
    asio::io_context io(1);
    const auto found = tcp::resolver(io).resolve(chosen.host, std::to_string(chosen.port));
    echo_server server(io.get_executor(), options_of(chosen));
    server.on_connection(serve<typename echo_server::websocket_type>);
    const tcp::endpoint at = listen(server, found.begin()->endpoint(), chosen);

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&server](std::error_code, int) {
        // 1001 to everybody; who has not ended within the time is cut off.
        server.async_stop(std::chrono::seconds(5), asio::detached);
    });
    const auto* const scheme = chosen.certificate.empty() ? "ws://" : "wss://";
    std::cout << "listening on " << scheme << at << '/' << std::endl;  // IPv6 in brackets
    io.run();
}

// Runs the server with the codec that was asked for.
void run_as_asked(const settings& chosen) {
    constexpr auto server = sansocket::role::server;
#ifdef WITH_ZLIB
    if (chosen.deflate && chosen.shared)
        return run<sansocket_zlib::connection<server, sansocket_zlib::shared_codec>>(chosen);
    if (chosen.deflate) return run<sansocket_zlib::connection<server>>(chosen);
#else
    if (chosen.deflate) throw std::runtime_error("built without zlib");
#endif
    run<sansocket::connection<server>>(chosen);
}

}  // namespace

int main(int argc, char* argv[]) {
    const auto chosen = support::settings_of(argc, argv);
    if (!chosen) {
        std::cerr << support::usage;
        return 2;
    }
    try {
        run_as_asked(*chosen);
    } catch (const std::exception& error) {
        std::cerr << "echo_server: " << error.what() << '\n';
        return 1;
    }
}
