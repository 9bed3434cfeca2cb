// threads.cpp
//
// What docs/guide/threads.md shows.
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>

#include <string>
#include <thread>
#include <utility>
#include <vector>

using websocket = sansocket_asio::server::websocket_type;

asio::awaitable<void> echo(websocket& ws);

// [per_thread]
void serve_on_one_thread(unsigned short port) {
    asio::io_context io(1);
    sansocket_asio::server server(io.get_executor());
    server.on_connection(echo);
    sansocket_asio::listen_options shared;
    shared.reuse_port = true;
    server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), port), shared);
    io.run();
}

void serve(unsigned threads) {
    std::vector<std::thread> all;
    for (unsigned i = 0; i != threads; ++i) all.emplace_back(serve_on_one_thread, 8080);
    for (std::thread& one : all) one.join();
}
// [/per_thread]

// [strand]
void serve_beside_other_work(asio::io_context& io, unsigned threads) {
    sansocket_asio::server server(asio::make_strand(io));
    server.on_connection(echo);
    server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8080));
    std::vector<std::thread> all;
    for (unsigned i = 0; i != threads; ++i) all.emplace_back([&io] { io.run(); });
    for (std::thread& one : all) one.join();
}
// [/strand]

// [sender]
void send_from_elsewhere(websocket& ws) {
    std::thread([sender = ws.sender()] {
        const sansocket::errc ec = sender.send_text("from another thread");
        if (ec != sansocket::errc::ok) return;  // closed, or too much waits
    }).detach();
}
// [/sender]
