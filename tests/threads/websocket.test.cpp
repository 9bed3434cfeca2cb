// Websockets whose executors, and whose handlers, run on several threads.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace support;
using sansocket_asio::websocket;

namespace {

// Says where it was called, and wakes the loop.
struct where_called {
    void operator()(std::error_code, const sansocket::message& = {}) const {
        const auto id = std::this_thread::get_id();
        asio::post(l->io, [to = where, id] { *to = id; });
    }
    loop* l;
    std::thread::id* where;
};

}  // namespace

TEST_CASE("websocket handlers: bound to another executor, they complete there") {
    loop l;
    websocket_pair p(l);
    asio::io_context other(1);
    auto work = asio::make_work_guard(other);
    std::thread thread([&other] { other.run(); });
    const auto there = thread.get_id();

    std::thread::id places[5];
    const auto handler = [&](int i) {
        return asio::bind_executor(other, where_called{&l, &places[i]});
    };
    p.server.async_receive(handler(0));
    p.server.async_receive(handler(1));  // refused
    p.client.async_send_text("x", handler(2));
    l.until([&] { return places[0] != std::thread::id{}; });
    p.client.async_close(close_code::normal, {}, handler(3));
    p.server.async_receive(handler(4));
    for (const auto& place : places) {
        l.until([&] { return place != std::thread::id{}; });
        CHECK(place == there);
    }
    work.reset();
    thread.join();
}

namespace {

using strand = asio::strand<asio::io_context::executor_type>;
using strand_socket = asio::basic_stream_socket<tcp, strand>;

// Sends back all that comes. Each function runs on the strand.
class echoing {
public:
    explicit echoing(strand_socket s) : ws_(std::move(s)) {}
    void start() {
        ws_.async_accept([this](std::error_code ec) {
            if (!ec) next();
        });
    }

private:
    void next() {
        ws_.async_receive([this](std::error_code ec, sansocket::message m) {
            if (ec) return;
            ws_.async_send(std::move(m), [](std::error_code) {});
            next();
        });
    }
    websocket<role::server, strand_socket> ws_;
};

// Sends numbers and counts the answers that are right.
class asking {
public:
    asking(strand_socket s, int messages) : ws_(std::move(s)), left_(messages) {}
    void start() {
        ws_.async_handshake({.host = "localhost"}, {}, [this](std::error_code ec) {
            if (ec) return done.set_value(false);
            send_all();
            next(0);
        });
    }
    std::promise<bool> done;

private:
    void send_all() {
        for (int i = 0; i != left_; ++i) {
            sansocket::message m{message_kind::text, std::to_string(i)};
            ws_.async_send(std::move(m), [](std::error_code) {});
        }
    }
    void next(int i) {
        if (i == left_) return finish();
        ws_.async_receive([this, i](std::error_code ec, const sansocket::message& m) {
            if (ec || m.data != std::to_string(i)) return done.set_value(false);
            next(i + 1);
        });
    }
    void finish() {
        ws_.async_close(close_code::normal, {},
                        [this](std::error_code ec) { done.set_value(!ec); });
    }
    websocket<role::client, strand_socket> ws_;
    int left_;
};

}  // namespace

TEST_CASE("websocket streams: a strand each, and several threads") {
    asio::io_context io;
    std::vector<std::unique_ptr<echoing>> servers;
    std::vector<std::unique_ptr<asking>> clients;
    std::vector<std::future<bool>> all;
    for (int i = 0; i != 8; ++i) {
        tcp_pair sockets(io);
        const strand of_client(io.get_executor());
        const strand of_server(io.get_executor());
        servers.push_back(
            std::make_unique<echoing>(strand_socket(of_server, tcp::v4(), sockets.b.release())));
        clients.push_back(std::make_unique<asking>(
            strand_socket(of_client, tcp::v4(), sockets.a.release()), 300));
        all.push_back(clients.back()->done.get_future());
        asio::post(of_server, [s = servers.back().get()] { s->start(); });
        asio::post(of_client, [c = clients.back().get()] { c->start(); });
    }
    std::vector<std::thread> threads;
    for (int i = 0; i != 3; ++i) threads.emplace_back([&io] { io.run_for(patience); });
    for (auto& one : all) {
        const bool ready = one.wait_for(patience) == std::future_status::ready;
        CHECK((ready && one.get()));
    }
    for (auto& thread : threads) thread.join();
    CHECK(io.stopped());
}
