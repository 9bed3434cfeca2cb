// Over any stream, and on any executor.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/asio_memory_stream.hpp"

#include <asio/dispatch.hpp>
#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace support;
using sansocket_asio::websocket;

namespace {

template <class Stream>
void converse(loop& l, Stream a, Stream b) {
    websocket<role::client, Stream> client(std::move(a));
    websocket<role::server, Stream> server(std::move(b));
    const result accepted;
    const result opened;
    server.async_accept(accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    l.until(accepted);
    REQUIRE(!opened.ec());
    REQUIRE(!accepted.ec());
    const std::string long_text(200000, 'x');
    for (const std::string& text : {std::string{}, std::string{"hello"}, long_text}) {
        const result sent = send(client, text);
        const result got = receive(server);
        l.until(got);
        CHECK(got.text() == text);
        const result answered = send(server, text);
        const result back = receive(client);
        l.until(back);
        CHECK(back.text() == text);
    }
    const result ended = receive(server);
    const result closed = close(client, close_code::normal, "bye");
    l.until(closed);
    l.until(ended);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(l.finish() < 1s);
}

}  // namespace

TEST_CASE("websocket streams: in memory, with neither a lowest layer nor a way to wait") {
    loop l;
    auto [a, b] = memory_stream::make_pair(l.io.get_executor());
    converse(l, std::move(a), std::move(b));
}

TEST_CASE("websocket streams: an end in memory that is dropped ends the other") {
    loop l;
    l.left_open = true;  // that is what it is about
    auto [a, b] = memory_stream::make_pair(l.io.get_executor());
    websocket<role::server, memory_stream> server(std::move(b));
    const result accepted;
    server.async_accept(accepted);
    {
        websocket<role::client, memory_stream> client(std::move(a));
        const result opened;
        client.async_handshake({.host = "localhost"}, {}, opened);
        l.until(opened);
        CHECK(!opened.ec());
    }
    const result ended = receive(server);
    l.until(ended);
    CHECK(ended.ec() == errc::end_of_stream);
    CHECK(l.finish() < 1s);
}

#if defined(ASIO_HAS_LOCAL_SOCKETS)
TEST_CASE("websocket streams: a pair of Unix domain sockets") {
    loop l;
    using socket = asio::local::stream_protocol::socket;
    socket a(l.io);
    socket b(l.io);
    asio::local::connect_pair(a, b);
    converse(l, std::move(a), std::move(b));
}
#endif

TEST_CASE("websocket streams: a concrete executor") {
    loop l;
    tcp_pair sockets(l.io);
    using socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
    const auto rebound = [&](tcp::socket& s) {
        return socket(l.io.get_executor(), tcp::v4(), s.release());
    };
    static_assert(
        std::is_same_v<websocket_client::rebind_executor<asio::io_context::executor_type>::other,
                       websocket<role::client, socket>>);
    converse(l, rebound(sockets.a), rebound(sockets.b));
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
