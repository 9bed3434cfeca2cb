// Websockets on several threads that end together.
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

using namespace support;
using sansocket_asio::group;
using sansocket_asio::shutdown_result;

TEST_CASE("group: members on strands of their own, on several threads") {
    using strand = asio::strand<asio::io_context::executor_type>;
    using strand_socket = asio::basic_stream_socket<tcp, strand>;
    using strand_server = sansocket_asio::websocket<role::server, strand_socket>;
    using strand_client = sansocket_asio::websocket<role::client, strand_socket>;
    asio::io_context io;
    group all(strand(io.get_executor()));
    std::vector<std::unique_ptr<strand_server>> servers;
    std::vector<std::unique_ptr<strand_client>> clients;
    std::vector<std::future<bool>> joined;
    for (int i = 0; i != 16; ++i) {
        tcp_pair sockets(io);
        const strand of_server(io.get_executor());
        const strand of_client(io.get_executor());
        auto& server = *servers.emplace_back(std::make_unique<strand_server>(
            strand_socket(of_server, tcp::v4(), sockets.b.release())));
        auto& client = *clients.emplace_back(std::make_unique<strand_client>(
            strand_socket(of_client, tcp::v4(), sockets.a.release())));
        asio::post(of_client, [&client] {
            client.async_handshake({.host = "localhost"}, {}, [&client](std::error_code) {
                client.async_receive([](std::error_code, const sansocket::message&) {});
            });
        });
        auto opened = std::make_shared<std::promise<bool>>();
        joined.push_back(opened->get_future());
        asio::post(of_server, [&server, &all, opened] {
            server.async_accept([&server, &all, opened](std::error_code ec) {
                opened->set_value(!ec && all.join(server));
            });
        });
    }
    std::vector<std::thread> threads;
    for (int i = 0; i != 3; ++i) threads.emplace_back([&io] { io.run_for(patience); });
    for (auto& one : joined) CHECK(one.get());
    std::promise<std::pair<std::error_code, std::size_t>> ended;
    asio::post(all.get_executor(), [&] {
        all.async_shutdown(patience, [&](std::error_code ec, shutdown_result r) {
            ended.set_value({ec, r.clean});
        });
    });
    const auto [ec, clean] = ended.get_future().get();
    for (auto& thread : threads) thread.join();
    CHECK(!ec);
    CHECK(clean == 16);
}
