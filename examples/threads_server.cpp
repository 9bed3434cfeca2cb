// threads_server.cpp
//
// An echo server on several threads that share nothing: each has an io_context and
// a server, and the system distributes the connections at their common port
// (SO_REUSEPORT, on Linux).
//
//   threads_server [PORT [THREADS]]
//
// Prints "listening on ws://127.0.0.1:PORT/" and, at the end, how many connections each thread had.
// SIGINT and SIGTERM close every connection with 1001.
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;
using websocket = sansocket_asio::server::websocket_type;

asio::awaitable<void> echo(websocket& ws) {
    for (;;) {
        sansocket::message m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

// What one thread has to itself.
struct worker {
    worker() { server.on_connection(echo); }

    asio::io_context io{1};
    sansocket_asio::server server{io.get_executor()};
    std::thread thread;
};

void run(std::uint16_t port, unsigned threads) {
    std::vector<std::unique_ptr<worker>> workers;
    tcp::endpoint at(asio::ip::address_v4::loopback(), port);
    sansocket_asio::listen_options shared;
    shared.reuse_port = true;
    for (unsigned i = 0; i != threads; ++i)  // all listen before any runs
        at = workers.emplace_back(std::make_unique<worker>())->server.listen(at, shared);
    for (auto& w : workers) w->thread = std::thread([&io = w->io] { io.run(); });
    std::cout << "listening on ws://" << at << '/' << std::endl;

    asio::io_context io(1);  // this thread waits for the signal
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&workers](std::error_code, int) {
        for (auto& w : workers)  // a server is told on its own thread
            asio::post(w->io, [&server = w->server] {
                server.async_stop(std::chrono::seconds(5), asio::detached);
            });
    });
    io.run();
    for (auto& w : workers) {
        w->thread.join();
        std::cout << "connections: " << w->server.counters().opened << std::endl;
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    try {
        const int port = argc > 1 ? std::stoi(argv[1]) : 8080;
        const unsigned all = std::thread::hardware_concurrency();
        const int threads = argc > 2 ? std::stoi(argv[2]) : static_cast<int>(all == 0 ? 1 : all);
        run(static_cast<std::uint16_t>(port), static_cast<unsigned>(threads));
    } catch (const std::exception& error) {
        std::cerr << "threads_server: " << error.what() << '\n';
        return 1;
    }
}
