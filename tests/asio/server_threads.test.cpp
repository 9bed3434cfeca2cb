// A server on each of several threads, behind one port.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace server_threads_tests {

using namespace support;

#if defined(SO_REUSEPORT)
TEST_CASE("server threads: an io_context and a server each, at one port") {
    struct worker {
        asio::io_context io{1};
        sansocket_asio::server server{io.get_executor()};
        std::thread thread;
    };
    constexpr std::size_t threads = 3;
    const sansocket_asio::listen_options shared{.reuse_port = true};
    std::vector<std::unique_ptr<worker>> workers;
    tcp::endpoint at = loopback();
    for (std::size_t i = 0; i != threads; ++i) {
        auto& w = *workers.emplace_back(std::make_unique<worker>());
        w.server.on_connection(served::echo);
        at = w.server.listen(at, shared);
    }
    std::error_code ec;
    asio::io_context io;
    sansocket_asio::server other(io.get_executor());
    other.listen(at, {}, ec);
    CHECK(ec == asio::error::address_in_use);  // who did not ask for it
    for (auto& w : workers) w->thread = std::thread([&w] { w->io.run_for(patience); });

    loop l;
    std::vector<std::unique_ptr<websocket_client>> clients;
    constexpr std::size_t many = 60;
    for (std::size_t i = 0; i != many; ++i) {
        auto& ws = *clients.emplace_back(std::make_unique<websocket_client>(l.io));
        const result opened, got;
        ws.async_connect("ws://127.0.0.1:" + std::to_string(at.port()) + "/", opened);
        l.until(opened);
        REQUIRE(!opened.ec());
        ws.async_send_text("hello", [](std::error_code) {});
        ws.async_receive(got);
        l.until(got);
        CHECK(got.text() == "hello");
    }
    std::vector<std::future<std::pair<std::error_code, std::size_t>>> ends;
    for (auto& w : workers) {
        auto ended = std::make_shared<std::promise<std::pair<std::error_code, std::size_t>>>();
        ends.push_back(ended->get_future());
        asio::post(w->io, [&server = w->server, ended] {
            const std::size_t n = server.connections();
            server.async_stop(patience, [ended, n](std::error_code e) {
                ended->set_value({e, n});
            });
        });
    }
    std::size_t open = 0;
    for (const auto& ws : clients)
        ws->async_receive([](std::error_code, const sansocket::message&) {});
    l.until([&] {
        for (const auto& ws : clients)
            if (ws->state() != connection_state::closed) return false;
        return true;
    });
    for (auto& one : ends) {
        const auto [failed, n] = one.get();
        CHECK(!failed);
        CHECK(n != 0);  // each got some of them
        open += n;
    }
    CHECK(open == many);
    for (auto& w : workers) w->thread.join();
}
#endif

}  // namespace server_threads_tests
