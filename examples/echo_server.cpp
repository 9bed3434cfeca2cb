// echo_server.cpp
//
// A server that echoes every message: one thread, one coroutine for each
// connection, limits, and an end that says goodbye to every client.
//
//   echo_server [--host H] [--port P] [--max-message BYTES] [--max-connections N]
//               [--certificate FILE --key FILE]
//               [--deflate] [--window-bits N] [--no-takeover] [--shared]
//
// --certificate, of the server and of those above it, and its --key, both PEM: speaks TLS.
// --deflate compresses with clients that offer it, in messages of 256 bytes and more; the other
// three say how. The end of each connection that did is printed.
//
// Prints "listening on ws://HOST:PORT/", or wss. A text "close CODE REASON" makes it close with them.
// SIGINT and SIGTERM close every connection with 1001.
#include "support/close_request.hpp"
#include "support/echo_settings.hpp"

#include <sansocket_asio/sansocket_asio.hpp>
#ifdef WITH_OPENSSL
#include <sansocket_openssl/sansocket_openssl.hpp>
#endif
#ifdef WITH_ZLIB
#include <sansocket_zlib/sansocket_zlib.hpp>
#endif

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
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

// `Connection` says whether there is a codec.
template <class Connection>
class echo_server {
    using websocket = sansocket_asio::websocket<sansocket::role::server, stream, Connection>;

public:
    echo_server(asio::io_context& io, const settings& chosen, const tcp::endpoint& where)
        : acceptor_(io, where), all_(io.get_executor()), max_connections_(chosen.max_connections) {
        if (!chosen.certificate.empty()) use_tls(chosen);
        options_.messages.size = chosen.max_message;
        options_.deflate.enabled = chosen.deflate;
        options_.deflate.own_window_bits = chosen.window_bits;
        options_.deflate.own_context_takeover = !chosen.no_takeover;
        options_.deflate.peer_context_takeover = !chosen.no_takeover;
        asio::co_spawn(io, accept_connections(), asio::detached);
    }

    [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

    // 1001 to everybody; who has not ended within the time is cut off.
    void stop() {
        acceptor_.close();
        all_.async_shutdown(std::chrono::seconds(5), asio::detached);
    }

private:
    awaitable<void> accept_connections() {
        asio::steady_timer timer(acceptor_.get_executor());
        while (acceptor_.is_open()) {
            std::error_code ec;
            tcp::socket socket = co_await acceptor_.async_accept(redirect_error(use_awaitable, ec));
            if (!ec) {
                asio::co_spawn(acceptor_.get_executor(), serve(std::move(socket)), asio::detached);
                continue;
            }
            // Out of descriptors, for example: connections that end will give some back.
            timer.expires_after(std::chrono::milliseconds(50));
            co_await timer.async_wait(redirect_error(use_awaitable, ec));
        }
    }

#ifdef WITH_OPENSSL
    void use_tls(const settings& chosen) {
        tls_ = sansocket_openssl::make_server_context({chosen.certificate, chosen.key, {}});
    }
    stream stream_over(tcp::socket socket) {
        return tls_ ? stream(std::move(socket), *tls_) : stream(std::move(socket));
    }
    std::optional<asio::ssl::context> tls_;
#else
    static void use_tls(const settings&) { throw std::runtime_error("built without OpenSSL"); }
    static stream stream_over(tcp::socket socket) { return socket; }
#endif

    // One connection's life.
    awaitable<void> serve(tcp::socket socket) {
        websocket ws(stream_over(std::move(socket)));
        if (!all_.join(ws)) co_return;  // the server stops
        ++connections_;
        try {
            if (connections_ > max_connections_) co_await refuse(ws);
            else co_await echo(ws);
        } catch (const std::exception&) {
            // The connection has ended: ws.close_info() says how.
        }
        --connections_;
        tell(ws);
    }

    static void tell(const websocket& ws) {
        if (!ws.connection()) return;
        const auto s = ws.connection()->explain();
        if (s.deflate)
            std::cout << "deflate: " << s.decompressed_messages << " messages received, "
                      << s.compressed_messages << " sent" << std::endl;
    }

    awaitable<void> refuse(websocket& ws) {
        co_await ws.async_read_request(policy_, options_, use_awaitable);
        ws.refuse(503, {}, "There are too many connections.\n");
    }

    awaitable<void> echo(websocket& ws) {
        co_await ws.async_accept(policy_, options_, use_awaitable);
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

    tcp::acceptor acceptor_;
    sansocket_asio::group all_;
    std::uint64_t max_connections_;
    std::uint64_t connections_ = 0;
    sansocket::server_policy policy_;
    sansocket::options options_;
};

template <class Connection>
void run(const settings& chosen) {
    asio::io_context io(1);
    const auto found = tcp::resolver(io).resolve(chosen.host, std::to_string(chosen.port));
    echo_server<Connection> server(io, chosen, *found.begin());
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&server](std::error_code, int) { server.stop(); });

    const tcp::endpoint at = server.endpoint();
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
