// echo_server.cpp: echo_server PORT
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio.hpp>

#include <csignal>
#include <iostream>
#include <string>

using asio::awaitable, asio::use_awaitable;
using sansocket_asio::server;

awaitable<void> echo(server::websocket_type& ws) {
    for (;;) {  // until receiving throws: the end
        auto m = co_await ws.async_receive(use_awaitable);
        co_await ws.async_send(std::move(m), use_awaitable);
    }
}

int main(int argc, char* argv[]) {
    if (argc != 2) return 2;
    const int port = std::stoi(argv[1]);
    const asio::ip::tcp::endpoint everywhere(
        asio::ip::tcp::v4(), asio::ip::port_type(port));

    asio::io_context io(1);
    server echo_server(io.get_executor());
    echo_server.on_connection(echo);
    const auto at = echo_server.listen(everywhere);
    std::cout << "listening on " << at << std::endl;

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](std::error_code, int) {
        echo_server.async_stop(std::chrono::seconds(5),
                               asio::detached);
    });
    io.run();
}
