// echo_server.cpp
//
// Sends every message back: echo_server [PORT]
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

using asio::use_awaitable;

asio::awaitable<void> echo(sansocket_asio::server::websocket_type& ws) {
    for (;;) {  // until receiving throws, at the end of the connection
        sansocket::message m = co_await ws.async_receive(use_awaitable);
        co_await ws.async_send(std::move(m), use_awaitable);
    }
}

int main(int argc, char* argv[]) {
    const int port = argc > 1 ? std::stoi(argv[1]) : 8080;
    asio::io_context io(1);
    sansocket_asio::server server(io.get_executor());
    server.on_connection(echo);
    const auto at = server.listen(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(),
                                                          static_cast<asio::ip::port_type>(port)));
    std::cout << "listening on ws://" << at << "/" << std::endl;

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait(
        [&](std::error_code, int) { server.async_stop(std::chrono::seconds(5), asio::detached); });
    io.run();
}
