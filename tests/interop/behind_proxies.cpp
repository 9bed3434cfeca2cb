// behind_proxies.cpp
//
// Servers that tell each client which address they take it to be from, and then echo. They trust
// 127.0.0.2 and 127.0.0.3, each in a way of its own.
//
//   behind_proxies CERT KEY
//
// Prints "NAME PORT" for each, and "ready": "forwarded" and "x_forwarded_for" believe that field, "proxy"
// a PROXY header, and "proxy_tls" the same ahead of TLS. SIGTERM ends them.
#include <sansocket_asio/server.hpp>
#include <sansocket_openssl/sansocket_openssl.hpp>

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;
using server = sansocket_openssl::server;

asio::awaitable<void> tell_and_echo(server::websocket_type& ws,
                                    const sansocket_asio::peer_address& client) {
    co_await ws.async_send_text(client.to_string(), asio::use_awaitable);
    for (;;) {
        auto m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    using sansocket::forwarded_field;
    using sansocket_asio::proxy_protocol;
    if (argc != 3) return 2;
    const auto context = std::make_shared<asio::ssl::context>(
        sansocket_openssl::make_server_context({argv[1], argv[2], {}}));
    asio::io_context io(1);
    std::vector<std::unique_ptr<server>> all;
    const auto serve = [&](const char* name, forwarded_field field, proxy_protocol header,
                           bool tls) {
        sansocket_asio::server_options options;
        options.trusted_proxies = {"127.0.0.2", "127.0.0.3"};
        options.forwarded = field;
        options.proxy_header = header;
        auto& made = *all.emplace_back(std::make_unique<server>(io.get_executor(), options));
        made.on_connection(tell_and_echo);
        const auto at = made.listen(
            tcp::endpoint(asio::ip::address_v4::loopback(), 0), [=](tcp::socket socket) {
                if (tls) return sansocket_openssl::stream(std::move(socket), *context);
                return sansocket_openssl::stream(std::move(socket));
            });
        std::cout << name << ' ' << at.port() << '\n';
    };
    serve("forwarded", forwarded_field::forwarded, proxy_protocol::off, false);
    serve("x_forwarded_for", forwarded_field::x_forwarded_for, proxy_protocol::off, false);
    serve("proxy", forwarded_field::none, proxy_protocol::required, false);
    serve("proxy_tls", forwarded_field::none, proxy_protocol::required, true);
    std::cout << "ready" << std::endl;

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](std::error_code, int) {
        for (const auto& one : all) one->async_stop(std::chrono::seconds(5), asio::detached);
    });
    io.run();
}
