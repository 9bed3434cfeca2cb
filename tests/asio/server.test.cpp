// A server: what comes is accepted, opened, handed to the handler and closed, and all of it is counted.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace server_tests {

using namespace support;
using sansocket_asio::server_decision;
using sansocket_asio::server_request;
using websocket_type = sansocket_asio::server::websocket_type;

std::string echoed(loop& l, websocket_client& ws, std::string_view text) {
    const result sent, got;
    ws.async_send_text(text, sent);
    ws.async_receive(got);
    l.until(got);
    CHECK(!got.ec());
    return got.text();
}

void close(loop& l, websocket_client& ws) {
    const result closed;
    ws.async_close(close_code::normal, "", closed);
    l.until(closed);
    CHECK(!closed.ec());
}

std::string upgrade(std::string_view target, std::string_view fields) {
    return "GET " + std::string{target} +
           " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
           "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           "Sec-WebSocket-Version: 13\r\n" +
           std::string{fields} + "\r\n";
}

TEST_CASE("server: clients open, talk and close, and it is told and counted") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    CHECK(s.at.port() != 0);
    auto one = s.client(), two = s.client();
    CHECK(s.server->connections() == 2);
    CHECK(echoed(l, *one, "hello") == "hello");
    CHECK(echoed(l, *two, "there") == "there");
    CHECK(s.server->counters().traffic.messages_received == 2);
    CHECK(s.server->counters().traffic.messages_sent == 2);
    close(l, *one);
    l.until([&] { return s.server->connections() == 1; });
    l.until([&] { return s.diary.ends.size() == 1; });
    CHECK(s.diary.accepted_count == 2);
    CHECK(s.diary.opened_ports.size() == 2);
    CHECK(s.diary.closed_ports[0] == s.diary.opened_ports[0]);
    CHECK(s.diary.ends[0].clean);
    CHECK(s.diary.last.ip() == asio::ip::address(asio::ip::address_v4::loopback()));
    CHECK(s.diary.last.to_string().starts_with("127.0.0.1:"));
    two->abort();
    l.until([&] { return s.diary.ends.size() == 2; });
    const auto n = s.server->counters();
    CHECK(n.accepted == 2);
    CHECK(n.traffic.messages_received == 2);
    CHECK(n.traffic.messages_sent == 2);
    CHECK(n.traffic.bytes_sent > 2 * (2 + 5));
    CHECK(n.traffic.most_output_bytes >= 7);
    CHECK(n.opened == 2);
    CHECK(n.open == 0);
    CHECK(n.opening == 0);
    CHECK(n.closed_clean == 1);
    CHECK(n.closed_unclean == 1);
    CHECK(n.closed_with(close_code::normal) == 1);
    CHECK(n.closed_with(close_code::abnormal) == 1);
    CHECK(n.handshake_failures() == 0);
    CHECK(s.diary.thrown.empty());
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server: a handler that returns closes with 1000, and so does the last handle") {
    loop l;
    served s(l);
    std::vector<sansocket_asio::server::handle> held;
    SECTION("a coroutine") {
        s.server->on_connection([](websocket_type& ws) -> asio::awaitable<void> {
            (void)co_await ws.async_receive(asio::use_awaitable);
        });
    }
    SECTION("a function") {
        s.server->on_connection([&](sansocket_asio::server::handle ws) {
            held.push_back(ws);
            ws->async_receive([&](std::error_code, const sansocket::message&) { held.clear(); });
        });
    }
    s.listen();
    raw_peer peer = s.open_peer();
    peer.send(frame<role::server>(sansocket::opcode::text, bytes("bye")));
    CHECK(peer.read(4) == own_frame<role::server>(sansocket::opcode::close, close_bytes(1000)));
    CHECK(s.server->connections() == 0);
    CHECK(s.diary.ends.empty());  // its transport has not ended
    peer.send(frame<role::server>(sansocket::opcode::close, close_bytes(1000)));
    l.until([&] { return s.diary.ends.size() == 1; });
    CHECK(s.diary.ends[0].clean);
    s.stop();
}

TEST_CASE("server: without a handler every connection is closed") {
    loop l;
    served s(l);
    s.listen();
    raw_peer peer = s.open_peer();
    CHECK(peer.read(4) == own_frame<role::server>(sansocket::opcode::close, close_bytes(1000)));
    peer.socket.close();
    s.stop();
}

TEST_CASE("server: an exception ends its connection with 1011, is told, and ends nothing else") {
    loop l;
    served s(l);
    SECTION("of a coroutine") {
        s.server->on_connection([](websocket_type& ws) -> asio::awaitable<void> {
            const auto m = co_await ws.async_receive(asio::use_awaitable);
            if (m.data == "throw") throw std::runtime_error("thrown");
            co_await served::echo(ws);
        });
    }
    SECTION("of a function that returns one") {
        s.server->on_connection([](websocket_type& ws) -> asio::awaitable<void> {
            if (ws.connection()->handshake()->request().target() == "/throw")
                throw std::runtime_error("thrown");
            return served::echo(ws);
        });
    }
    SECTION("of a function") {
        s.server->on_connection([](const sansocket_asio::server::handle& ws) {
            if (ws->connection()->handshake()->request().target() == "/throw")
                throw std::runtime_error("thrown");
        });
    }
    s.listen();
    raw_peer other = s.open_peer();
    raw_peer peer = s.connect();
    peer.send(bytes(upgrade("/throw", "")));
    CHECK(peer.read_head().starts_with("HTTP/1.1 101 "));
    peer.send(frame<role::server>(sansocket::opcode::text, bytes("throw")));
    CHECK(peer.read(4) == own_frame<role::server>(sansocket::opcode::close, close_bytes(1011)));
    CHECK(s.diary.thrown == std::vector<std::string>{"thrown"});
    CHECK(s.server->counters().handler_errors == 1);
    peer.socket.close();
    other.socket.close();
    s.stop();
    CHECK(s.diary.thrown.size() == 1);
}

TEST_CASE("server: an exception that tells of the end is a return") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    auto one = s.client();
    one->abort();
    l.until([&] { return s.diary.ends.size() == 1; });
    CHECK(s.diary.thrown.empty());
    s.stop();
}

TEST_CASE("server: the application sees the request and decides (RFC 6455 4.2.2)") {
    loop l;
    served s(l);
    std::vector<std::string> seen;
    const auto decide = [&seen](const server_request& r) {
        seen.emplace_back(r.path());
        seen.emplace_back(r.query());
        seen.emplace_back(r.header("x-token").value_or("none"));
        seen.emplace_back(r.peer().ip()->to_string());
        for (const auto one : r.subprotocols()) seen.emplace_back(one);
        if (r.path() == "/refused") return server_decision::refuse(403, "no\n", {{"X-Why", "so"}});
        if (r.path() == "/wrong") return server_decision::accept_with("never offered");
        if (r.path() == "/throw") throw std::runtime_error("thrown");
        return server_decision::accept_with("b", {{"X-Served-By", "me"}});
    };
    const bool later = GENERATE(false, true);
    if (later)
        s.server->on_request([&](const server_request& r) -> asio::awaitable<server_decision> {
            asio::steady_timer timer(l.io, 1ms);
            co_await timer.async_wait(asio::use_awaitable);
            co_return decide(r);
        });
    else s.server->on_request(decide);
    s.server->on_connection(served::echo);
    s.listen();
    const std::string offers = "X-Token: t\r\nSec-WebSocket-Protocol: a, b\r\n";
    SECTION("accepts") {
        raw_peer peer = s.connect();
        peer.send(bytes(upgrade("/chat?room=1", offers)));
        const std::string head = peer.read_head();
        CHECK(head.starts_with("HTTP/1.1 101 "));
        CHECK(head.find("\r\nSec-WebSocket-Protocol: b\r\n") != std::string::npos);
        CHECK(head.find("\r\nX-Served-By: me\r\n") != std::string::npos);
        CHECK(seen == std::vector<std::string>{"/chat", "room=1", "t", "127.0.0.1", "a", "b"});
        peer.socket.close();
    }
    SECTION("refuses") {
        const std::string answer = s.ask(upgrade("/refused", offers));
        CHECK(answer.starts_with("HTTP/1.1 403 "));
        CHECK(answer.find("\r\nX-Why: so\r\n") != std::string::npos);
        CHECK(answer.ends_with("\r\n\r\nno\n"));
        CHECK(s.diary.failures == std::vector{errc::refused_by_application});
        CHECK(s.server->counters().handshake_failures(errc::refused_by_application) == 1);
    }
    SECTION("decides what cannot be") {
        CHECK(s.ask(upgrade("/wrong", offers)).starts_with("HTTP/1.1 500 "));
        CHECK(s.diary.opened_ports.empty());
    }
    SECTION("throws") {
        CHECK(s.ask(upgrade("/throw", offers)).starts_with("HTTP/1.1 500 "));
        CHECK(s.diary.thrown == std::vector<std::string>{"thrown"});
    }
    SECTION("is not asked about what is wrong") {
        CHECK(s.ask(upgrade("/", "Sec-WebSocket-Protocol: a a\r\n")).starts_with("HTTP/1.1 400 "));
        CHECK(seen.empty());
        CHECK(s.diary.failures == std::vector{errc::subprotocol_invalid});
    }
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server: a request's target in its parts (RFC 9112 3.2)") {
    loop l;
    served s(l);
    std::string path, query;
    s.server->on_request([&](const server_request& r) {
        path = r.path();
        query = r.query();
        return server_decision::refuse(404);
    });
    s.listen();
    struct row {
        std::string_view target, path, query;
    };
    for (const row& r : {row{"/", "/", ""}, row{"/a/b?", "/a/b", ""}, row{"/a?b?c", "/a", "b?c"},
                         row{"http://h/a?b", "/a", "b"}, row{"http://h", "/", ""},
                         row{"http://h?x", "/", "x"}, row{"/a%20b", "/a%20b", ""}}) {
        CAPTURE(r.target);
        CHECK(s.ask(upgrade(r.target, "")).starts_with("HTTP/1.1 404 "));
        CHECK(path == r.path);
        CHECK(query == r.query);
    }
    s.stop();
}

TEST_CASE("server: the policy chooses subprotocols and origins (RFC 6455 10.2)") {
    loop l;
    sansocket_asio::server_options options;
    options.policy.subprotocols = {"chat"};
    options.policy.allowed_origins = {"https://example.com"};
    served s(l, options);
    const bool asks = GENERATE(false, true);
    if (asks) s.server->on_request([](const server_request&) { return server_decision::accept(); });
    s.server->on_connection(served::echo);
    s.listen();
    CHECK(s.ask(upgrade("/", "Origin: https://evil.example\r\n")).starts_with("HTTP/1.1 403 "));
    CHECK(s.diary.failures == std::vector{errc::origin_refused});
    raw_peer peer = s.connect();
    peer.send(
        bytes(upgrade("/", "Origin: https://example.com\r\nSec-WebSocket-Protocol: x, chat\r\n")));
    CHECK(peer.read_head().find("\r\nSec-WebSocket-Protocol: chat\r\n") != std::string::npos);
    peer.socket.close();
    s.stop();
}

TEST_CASE("server: two listeners, one server") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    const tcp::endpoint first = s.at;
    s.listen();
    CHECK(s.at.port() != first.port());
    auto one = s.client();
    s.at = first;
    auto two = s.client();
    CHECK(s.server->connections() == 2);
    CHECK(echoed(l, *one, "1") == "1");
    CHECK(echoed(l, *two, "2") == "2");
    close(l, *one), close(l, *two);
    s.stop();
}

TEST_CASE("server: a listener that cannot be") {
    loop l;
    served s(l);
    s.listen();
    std::error_code ec;
    s.server->listen(s.at, {}, ec);
    CHECK(ec == asio::error::address_in_use);
    CHECK_THROWS_AS(s.server->listen(s.at), std::system_error);
    s.stop();
    s.server->listen(loopback(), {}, ec);
    CHECK(ec == errc::closed);
}

TEST_CASE("server: several may listen at one port, where each says so") {
    loop l;
    served one(l), two(l);
    const sansocket_asio::listen_options shared{.reuse_port = true};
    const auto at = one.server->listen(loopback(), shared);
    std::error_code ec;
    two.server->listen(at, {}, ec);
    CHECK(ec == asio::error::address_in_use);
    two.server->listen(at, shared, ec);
    CHECK(!ec);
    one.stop(), two.stop();
}

#if defined(__linux__)
TEST_CASE("server: no more wait to be accepted than the backlog says") {
    loop l;
    served s(l);
    const auto at = s.server->listen(loopback(), {.backlog = 1});
    std::vector<tcp::socket> clients;
    int connected = 0;
    for (int i = 0; i != 6; ++i) {
        tcp::socket& one = clients.emplace_back(l.io, tcp::v4());
        one.non_blocking(true);
        (void)::connect(one.native_handle(), at.data(), static_cast<::socklen_t>(at.size()));
        std::error_code ec;  // loopback answers at once, or not for a second
        (void)one.remote_endpoint(ec);
        connected += ec ? 0 : 1;
    }
    CHECK(connected >= 1);
    CHECK(connected <= 2);
    clients.clear();
    s.stop();
}
#endif

TEST_CASE("server: a Unix socket, whose file is removed") {
    using local = asio::local::stream_protocol;
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    const std::string path = "/tmp/sansocket_server_test." + std::to_string(::getpid());
    (void)std::remove(path.c_str());
    const auto at = s.server->listen(local::endpoint(path));
    CHECK(at.path() == path);
    local::socket socket(l.io);
    socket.connect(at);
    sansocket_asio::websocket<role::client, local::socket> ws(std::move(socket));
    const result opened, sent, got, closed;
    ws.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    CHECK(!opened.ec());
    CHECK(s.diary.last.to_string() == "unix");
    CHECK_FALSE(s.diary.last.ip());
    const std::string large(300'000, 'x');
    ws.async_send_text(large, sent);
    ws.async_receive(got);
    l.until(got);
    CHECK(got.text() == large);
    ws.async_close(close_code::normal, "", closed);
    l.until(closed);
    CHECK(!closed.ec());
    local::socket plain(l.io);
    plain.connect(at);
    basic_raw_peer<local::socket> peer(l, std::move(plain));
    peer.send(bytes("GET / HTTP/1.1\r\n\r\n"));
    CHECK(text_of(peer.read_to_end()).starts_with("HTTP/1.1 400 "));
    peer.socket.close();
    SECTION("by its server") {
        s.stop();
        CHECK(::access(path.c_str(), F_OK) != 0);
    }
    SECTION("by nobody, if it is another's") {
        (void)std::remove(path.c_str());
        std::ofstream(path + ".new") << "another's";
        REQUIRE(std::rename((path + ".new").c_str(), path.c_str()) == 0);
        s.stop();
        CHECK(::access(path.c_str(), F_OK) == 0);
        (void)std::remove(path.c_str());
    }
    CHECK(l.finish() < 1s);
}

TEST_CASE("server: each open connection can be reached") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    auto one = s.client(), two = s.client();
    raw_peer opening = s.connect();
    l.until([&] { return s.diary.accepted_count == 3; });
    const result got[2];
    one->async_receive(got[0]);
    two->async_receive(got[1]);
    int n = 0;
    s.server->for_each([&](websocket_type& ws) {
        ++n;
        CHECK(ws.try_send(message_kind::text, bytes("news")) == errc::ok);
    });
    CHECK(n == 2);
    for (const result& r : got) l.until(r);
    for (const result& r : got) CHECK(r.text() == "news");
    opening.socket.close();
    close(l, *one), close(l, *two);
    s.stop();
}

TEST_CASE("server: who is told of an end learns why the transport broke, and how it stood") {
    loop l;
    sansocket_asio::server_options options;
    options.connection.keepalive.ping_interval = 30ms;
    options.connection.keepalive.pong_timeout = 40ms;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.listen();
    SECTION("by a reset") {
        raw_peer peer = s.open_peer();
        peer.send(frame<role::server>(sansocket::opcode::text, bytes("hello")));
        (void)peer.read(7);
        peer.reset();
        l.until([&] { return s.diary.ends.size() == 1; });
        CHECK(s.diary.ends[0].cause == errc::transport_lost);
        CHECK(s.diary.losses[0] == asio::error::connection_reset);
        const auto& how = s.diary.snapshots[0];
        CHECK(how.cause == errc::transport_lost);
        CHECK(how.state == connection_state::closed);
        CHECK(how.counters.messages_received == 1);
    }
    SECTION("by a peer that is silent") {
        raw_peer peer = s.open_peer();
        l.until([&] { return s.diary.ends.size() == 1; });
        CHECK(s.diary.ends[0].cause == errc::pong_timeout);
        CHECK(!s.diary.losses[0]);
        CHECK(s.diary.snapshots[0].silence >= 70ms);
        CHECK_FALSE(s.diary.snapshots[0].round_trip);
        CHECK(s.server->counters().traffic.round_trips == 0);
    }
    SECTION("not at all") {
        auto ws = s.client();
        const result got;
        ws->async_receive(got);
        l.until([&] { return s.server->counters().traffic.round_trips >= 2; });
        close(l, *ws);
        l.until([&] { return s.diary.ends.size() == 1; });
        CHECK(s.diary.ends[0].clean);
        CHECK(!s.diary.losses[0]);
        CHECK(s.diary.snapshots[0].round_trip.has_value());
        const auto n = s.server->counters().traffic;
        CHECK(n.round_trips == s.diary.snapshots[0].counters.round_trips);
        CHECK(n.longest_round_trip > 0ms);
        CHECK(n.round_trip_sum > n.longest_round_trip);
    }
    SECTION("before it opened") {
        raw_peer peer = s.connect();
        peer.send(bytes("GET / HTTP/1.1\r\n"));
        l.until([&] { return s.diary.accepted_count == 1; });
        l.poll();
        peer.reset();
        l.until([&] { return s.diary.failures.size() == 1; });
        CHECK(s.diary.failures[0] == errc::transport_lost);
        CHECK(s.diary.failure_errors[0] == asio::error::connection_reset);
    }
    s.stop();
}

#if defined(__linux__)
TEST_CASE("server: a Unix socket with a name that is no path") {
    using local = asio::local::stream_protocol;
    loop l;
    served s(l);
    const std::string name = std::string(1, '\0') + "sansocket." + std::to_string(::getpid());
    const auto at = s.server->listen(local::endpoint(name));
    CHECK(at.path() == name);
    local::socket socket(l.io);
    socket.connect(at);
    socket.close();
    s.stop();
}
#endif

// A stream that is made of the socket, as TLS's are.
class wrapped {
public:
    using executor_type = tcp::socket::executor_type;
    explicit wrapped(tcp::socket socket, int& made) : socket_(std::move(socket)) { ++made; }
    executor_type get_executor() { return socket_.get_executor(); }
    auto& lowest_layer() { return socket_.lowest_layer(); }
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return socket_.async_read_some(buffers, std::forward<Token>(token));
    }
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return socket_.async_write_some(buffers, std::forward<Token>(token));
    }

private:
    tcp::socket socket_;
};

// One that says it can be made of anything.
class greedy : public wrapped {
public:
    template <class Any>
    explicit greedy(Any&& socket) : wrapped(std::forward<Any>(socket), made) {}
    greedy(greedy&&) = default;

    static inline int made = 0;
};

TEST_CASE("server: a stream is made of the socket of the protocol that is listened for") {
    loop l;
    basic_served<sansocket_asio::basic_server<greedy>> s(l);
    s.server->on_connection(decltype(s)::echo);
    s.at = s.server->listen(loopback());
    auto one = s.client();
    CHECK(echoed(l, *one, "hello") == "hello");
    CHECK(greedy::made == 1);
    close(l, *one);
    s.stop();
}

TEST_CASE("server: streams that are made of its sockets") {
    loop l;
    basic_served<sansocket_asio::basic_server<wrapped>> s(l);
    s.server->on_connection(decltype(s)::echo);
    int made = 0;
    bool works = true;
    s.at = s.server->listen(loopback(), [&](tcp::socket socket) {
        if (!works) throw std::runtime_error("no stream");
        return wrapped(std::move(socket), made);
    });
    auto one = s.client();
    CHECK(echoed(l, *one, "hello") == "hello");
    CHECK(made == 1);
    works = false;
    CHECK(s.ask("").empty());
    CHECK(s.diary.thrown == std::vector<std::string>{"no stream"});
    close(l, *one);
    s.stop();
}

}  // namespace server_tests
