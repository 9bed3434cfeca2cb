// server.cpp
//
// What docs/guide/server.md shows.
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

// [echo]
using websocket = sansocket_asio::server::websocket_type;

asio::awaitable<void> echo(websocket& ws) {
    for (;;) {  // receiving throws at the end of the connection
        sansocket::message m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

void serve() {
    asio::io_context io(1);
    sansocket_asio::server server(io.get_executor());
    server.on_connection(echo);
    server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8080));

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait(
        [&](std::error_code, int) { server.async_stop(std::chrono::seconds(10), asio::detached); });
    io.run();
}
// [/echo]

// [limits]
sansocket_asio::server_options limits() {
    sansocket_asio::server_options options;
    options.max_connections = 5000;
    options.max_connections_per_address = 20;
    options.policy.allowed_origins = {"https://example.com"};
    options.connection.opening_timeout = std::chrono::seconds(5);
    options.connection.messages.size = 64 * 1024;
    return options;
}
// [/limits]

// [proxies]
sansocket_asio::server_options behind_proxies() {
    sansocket_asio::server_options options;
    options.trusted_proxies = {"10.0.0.0/8", "2001:db8::7", "unix"};  // unix: by a Unix socket
    options.forwarded = sansocket::forwarded_field::x_forwarded_for;
    options.max_connections_per_address = 20;  // of clients
    return options;
}

void greet(sansocket_asio::server& server) {
    server.on_connection(
        [](websocket& ws, const sansocket_asio::peer_address& client) -> asio::awaitable<void> {
            co_await ws.async_send_text("You are " + client.to_string(), asio::use_awaitable);
        });
}
// [/proxies]

// [request]
void decide(sansocket_asio::server& server) {
    using sansocket_asio::server_decision;
    server.on_request([](const sansocket_asio::server_request& request) {
        if (request.path() != "/chat") return server_decision::refuse(404, "no such place\n");
        if (request.header("Authorization") != "Bearer secret")
            return server_decision::refuse(401, "who are you?\n", {{"WWW-Authenticate", "Bearer"}});
        return server_decision::accept();  // with the subprotocol that the policy chooses
    });
}
// [/request]

// [http]
void answer_http(sansocket_asio::server& server) {
    server.on_http([](const sansocket_asio::server_request& request) -> sansocket::http_response {
        if (request.path() == "/healthz") return {200, {}, "ok\n"};
        if (request.path() == "/") return {200, {{"Content-Type", "text/html"}}, "<p>Hello</p>"};
        return {404, {}, "no such place\n"};
    });
}
// [/http]

// [handle]
void keep(sansocket_asio::server& server, std::vector<sansocket_asio::server::handle>& kept) {
    server.on_connection([&kept](sansocket_asio::server::handle ws) {
        kept.push_back(std::move(ws));  // closed with 1000 once the last handle is gone
    });
}
// [/handle]

// [everybody]
void tell_everybody(sansocket_asio::server& server, const std::string& news) {
    const sansocket::prepared_message once(sansocket::message_kind::text,
                                           std::as_bytes(std::span{news}));
    server.for_each([&once](websocket& ws) { (void)ws.try_send(once); });
}
// [/everybody]

// [observer]
struct log final : sansocket_asio::server_observer {
    void closed(const sansocket_asio::peer_address& peer,
                const sansocket_asio::websocket_ending& how) noexcept override {
        std::clog << peer.to_string() << ": " << to_string(how.snapshot);
        if (how.transport_error) std::clog << ": " << how.transport_error.message();
        std::clog << '\n';
    }
    void handshake_failed(const sansocket_asio::peer_address& peer, sansocket::errc cause,
                          std::error_code transport_error) noexcept override {
        std::clog << peer.to_string() << ": " << make_error_code(cause).message();
        if (transport_error) std::clog << ": " << transport_error.message();
        std::clog << '\n';
    }
    void accept_failed(std::error_code ec) noexcept override {
        std::clog << "accept: " << ec.message() << '\n';
    }
};
// [/observer]

// [unix]
void listen_locally(sansocket_asio::server& server) {
    server.listen(asio::local::stream_protocol::endpoint("/run/chat.sock"));
}
// [/unix]
