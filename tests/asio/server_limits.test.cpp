// What a server does when there is too much of something.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <sansocket_asio/server/detail/address_counts.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/address_v6.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace server_limits_tests {

using namespace support;
using sansocket_asio::peer_address;
using sansocket_asio::server_refusal;

TEST_CASE("server limits: one connection too many is answered 503, and there is room again later") {
    loop l;
    sansocket_asio::server_options options;
    options.max_connections = 2;
    options.max_refusals = 1;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer one = s.open_peer();
    raw_peer opening = s.connect();  // counts, though it has sent nothing
    l.until([&] { return s.server->counters().opening == 1; });

    raw_peer third = s.connect();
    l.until([&] { return s.server->counters().refusing == 1; });
    CHECK(s.ask(upgrade_request).empty());  // closed at once: nobody more is told at a time
    third.send(bytes(upgrade_request));
    CHECK(text_of(third.read_to_end()).starts_with("HTTP/1.1 503 "));
    CHECK(s.server->counters().refusing == 1);  // until it has gone
    third.socket.close();
    l.until([&] { return s.server->counters().refusing == 0; });
    CHECK(s.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 503 "));

    const auto n = s.server->counters();
    CHECK(n.accepted == 5);
    CHECK(n.refused_connections == 3);
    CHECK(n.refused_unanswered == 1);
    CHECK(n.handshake_failures() == 0);
    CHECK(s.diary.refusals == std::vector(3, server_refusal::connections));
    one.socket.close();
    l.until([&] { return s.server->connections() == 0; });
    raw_peer again = s.open_peer();
    again.socket.close(), opening.socket.close();
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server limits: too many from one address are answered 429, others are let in") {
    loop l;
    sansocket_asio::server_options options;
    options.max_connections_per_address = 1;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.at = s.server->listen(tcp::endpoint(tcp::v4(), 0));
    s.at.address(asio::ip::address_v4::loopback());
    raw_peer one = s.open_peer();
    CHECK(s.ask(upgrade_request).starts_with("HTTP/1.1 429 "));
    CHECK(s.diary.refusals == std::vector{server_refusal::connections_per_address});
    CHECK(s.server->counters().refused_connections_per_address == 1);

    tcp::socket from_elsewhere(l.io, tcp::v4());
    from_elsewhere.bind({asio::ip::make_address_v4("127.0.0.2"), 0});
    from_elsewhere.connect(s.at);
    raw_peer other(l, std::move(from_elsewhere));
    other.send(bytes(upgrade_request));
    CHECK(other.read_head().starts_with("HTTP/1.1 101 "));
    one.socket.close();
    l.until([&] { return s.server->connections() == 1; });
    raw_peer again = s.open_peer();
    again.socket.close(), other.socket.close();
    s.stop();
}

TEST_CASE("server limits: what counts as one address") {
    const auto from = [](const char* ip) {
        return peer_address(tcp::endpoint(asio::ip::make_address(ip), 4711));
    };
    sansocket_asio::detail::address_counts counts;
    counts.add(from("192.0.2.1"));
    CHECK(counts.count(from("192.0.2.1")) == 1);
    CHECK(counts.count(from("::ffff:192.0.2.1")) == 1);  // the same host on a socket of both
    CHECK(counts.count(from("192.0.2.2")) == 0);
    counts.add(from("2001:db8:0:1::1"));
    CHECK(counts.count(from("2001:db8:0:1:ffff::2")) == 1);
    CHECK(counts.count(from("2001:db8:0:2::1")) == 0);
    CHECK(counts.count(from("::192.0.2.1")) == 0);
    counts.add({});  // Unix: no address
    CHECK(counts.count({}) == 0);
    counts.remove({});
    counts.remove(from("192.0.2.1"));
    CHECK(counts.count(from("192.0.2.1")) == 0);
    CHECK(from("2001:db8::1").to_string() == "[2001:db8::1]:4711");
    CHECK(from("::ffff:192.0.2.1").to_string() == "192.0.2.1:4711");
}

TEST_CASE("server limits: an address is the same in an endpoint of any protocol") {
    using generic = asio::generic::stream_protocol::endpoint;
    for (const char* ip : {"192.0.2.1", "2001:db8::1"}) {
        const tcp::endpoint at(asio::ip::make_address(ip), 4711);
        CHECK(peer_address::of(generic(at)) == peer_address(at));
        CHECK(peer_address::of(at) == peer_address(at));
    }
    const asio::local::stream_protocol::endpoint of_file("/tmp/socket");
    CHECK(peer_address::of(of_file) == peer_address());
    CHECK(peer_address::of(generic(of_file)) == peer_address());
    CHECK(peer_address::of(generic()) == peer_address());
}

TEST_CASE("server limits: who only sends, and reads nothing of the answers, is not held for ever") {
    CHECK(sansocket_asio::server_options{}.connection.keepalive.write_timeout == 30s);
    loop l;
    sansocket_asio::server_options options;
    options.connection.keepalive.write_timeout = 150ms;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer peer = s.open_peer();
    byte_vector flood;
    const auto message = to_server(sansocket::opcode::binary, byte_vector(1024 * 1024));
    for (int i = 0; i != 64; ++i) flood.insert(flood.end(), message.begin(), message.end());
    bool cut = false;
    asio::async_write(peer.socket, asio::buffer(flood),
                      [&](std::error_code ec, std::size_t) { cut = bool(ec); });
    l.until([&] { return cut && !s.diary.ends.empty(); });
    CHECK(s.diary.ends[0].cause == errc::write_timeout);
    CHECK(s.diary.ends[0].code() == close_code::abnormal);
    CHECK_FALSE(s.diary.ends[0].clean);
    l.until([&] { return s.server->counters().open == 0; });  // the handler has returned, too
    s.stop();
}

TEST_CASE("server limits: a message that is begun and never ended has an end, with 1008") {
    loop l;
    sansocket_asio::server_options options;
    options.connection.messages.time = 150ms;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer peer = s.open_peer();
    peer.send(frame<sansocket::role::server>(sansocket::opcode::text, bytes("begun"), false));
    const auto close =
        to_client(sansocket::opcode::close, close_bytes(1008, describe(errc::message_too_slow)));
    CHECK(peer.read(close.size()) == close);
    peer.socket.close();
    l.until([&] { return !s.diary.ends.empty(); });
    CHECK(s.diary.ends[0].cause == errc::message_too_slow);
    s.stop();
}

TEST_CASE("server limits: a client that goes, or is out of time, is not decided on any longer") {
    loop l;
    sansocket_asio::server_options options;
    options.connection.opening_timeout = 150ms;
    served s(l, options);
    asio::steady_timer backend(l.io, 1h);
    int asked = 0;
    s.server->on_request([&](const sansocket_asio::server_request&)
                             -> asio::awaitable<sansocket_asio::server_decision> {
        ++asked;
        co_await backend.async_wait(asio::use_awaitable);
        co_return sansocket_asio::server_decision{};
    });
    s.server->on_http(
        [&](const sansocket_asio::server_request&) -> asio::awaitable<sansocket::http_response> {
            ++asked;
            co_await backend.async_wait(asio::use_awaitable);
            co_return sansocket::http_response{};
        });
    s.listen();
    raw_peer upgrades = s.connect();
    upgrades.send(bytes(upgrade_request));
    raw_peer asks = s.connect();
    asks.send(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    l.until([&] { return asked == 2; });
    CHECK(s.server->counters().opening == 2);
    l.until([&] { return s.server->counters().opening == 0; });
    CHECK(s.server->counters().handshake_failures(errc::opening_timeout) == 2);
    CHECK(s.diary.thrown.empty());
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server limits: the time and the size of a handshake") {
    loop l;
    sansocket_asio::server_options options;
    options.connection.opening_timeout = 50ms;
    options.connection.http.total = 1000;
    served s(l, options);
    s.listen();
    CHECK(s.ask("GET / HTTP/1.1\r\n").empty());
    CHECK(s.ask(std::string(2000, '\n')).starts_with("HTTP/1.1 400 "));
    const std::string field = "X-Long: " + std::string(1000, 'x') + "\r\n";
    CHECK(s.ask("GET / HTTP/1.1\r\n" + field).starts_with("HTTP/1.1 431 "));
    CHECK(s.diary.failures.size() == 3);
    CHECK(s.server->counters().handshake_failures(errc::opening_timeout) == 1);
    CHECK(s.server->counters().handshake_failures(errc::http_head_too_large) == 1);
    CHECK(s.server->counters().handshake_failures() == 3);
    s.stop();
}

// All descriptors but a few are taken, until it ends.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        ::rlimit low = before_;
        low.rlim_cur = 256;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
        take();
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    ~no_descriptors() {
        for (const int fd : taken_) ::close(fd);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    void take() {
        for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY)) >= 0;) taken_.push_back(fd);
        REQUIRE(errno == EMFILE);
    }
    void give_back(std::size_t n) {
        for (; n != 0; --n) {
            ::close(taken_.back());
            taken_.pop_back();
        }
    }

private:
    ::rlimit before_{};
    std::vector<int> taken_;
};

TEST_CASE(
    "server limits: without descriptors it waits, and serves those who wait once there are some") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer open = s.open_peer();
    std::vector<raw_peer> waiting;
    std::chrono::steady_clock::duration took{};
    sansocket_asio::server_counters meanwhile;
    {
        no_descriptors none;  // nor has a sanitizer any, so nothing is checked in here
        none.give_back(3);
        for (int i = 0; i != 3; ++i) waiting.push_back(s.connect());
        // What the server then does for the first time, a sanitizer looks at, with a pipe.
        s.diary.when_accept_failed = [&none] { none.give_back(2); };
        l.until([&] { return !s.diary.accept_errors.empty(); });
        s.diary.when_accept_failed = nullptr;
        none.take();
        const auto start = std::chrono::steady_clock::now();
        l.until([&] { return s.diary.accept_errors.size() == 3; });
        took = std::chrono::steady_clock::now() - start;
        meanwhile = s.server->counters();

        open.socket.close();  // on either side one comes free
        l.until([&] { return s.server->counters().accepted >= 2; });
    }
    CHECK(s.diary.accept_errors[0] == asio::error::no_descriptors);
    CHECK(took >= 150ms);  // it does not spin
    CHECK(meanwhile.accept_errors == 3);
    CHECK(meanwhile.accepted == 1);
    for (raw_peer& peer : waiting) {
        peer.send(bytes(upgrade_request));
        CHECK(peer.read_head().starts_with("HTTP/1.1 101 "));
    }
    CHECK(s.server->connections() == 3);
    for (raw_peer& peer : waiting) peer.socket.close();
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server limits: whatever clients do, each is counted once and nothing stays behind") {
    loop l;
    sansocket_asio::server_options options;
    options.max_connections = 12;
    options.max_connections_per_address = 11;
    options.max_refusals = 2;
    options.connection.opening_timeout = 100ms;
    options.connection.close_timeout = 30ms;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.server->on_http([](const sansocket_asio::server_request&) {
        return sansocket::http_response{200, {}, "x"};
    });
    s.listen();
    std::minstd_rand chance(7);
    std::vector<raw_peer> peers;
    int connected = 0;
    for (int i = 0; i != 400; ++i) {
        if (chance() % 3 != 0 || peers.empty()) {
            peers.push_back(s.connect());
            ++connected;
        }
        raw_peer& one = peers[chance() % peers.size()];
        bool usable = true;
        switch (chance() % 6) {
        case 0: usable = one.offer(bytes(upgrade_request)); break;
        case 1: usable = one.offer(bytes("GET / HTTP/1.0\r\n\r\n")); break;
        case 2: usable = one.offer(bytes("nonsense\r\n")); break;
        case 3: usable = one.offer(frame<role::server>(sansocket::opcode::close, {})); break;
        case 4: one.reset(), usable = false; break;
        case 5: one.socket.close(), usable = false; break;
        }
        if (!usable) {
            std::swap(one, peers.back());
            peers.pop_back();
        }
        if (chance() % 4 == 0) l.poll();
    }
    l.until([&] { return s.diary.accepted_count == connected; });
    peers.clear();
    s.stop();
    const auto n = s.server->counters();
    CHECK(n.opening + n.open + n.refusing == 0);
    CHECK(n.opened != 0);
    CHECK(n.http_answered != 0);
    CHECK(n.refused_connections_per_address != 0);
    CHECK(n.refused_unanswered != 0);
    CHECK(n.accepted == n.refused_connections + n.refused_connections_per_address +
                            n.handshake_failures() + n.http_answered + n.opened);
    CHECK(n.opened == n.closed_clean + n.closed_unclean);
    CHECK(s.diary.ends.size() == n.opened);
    CHECK(l.finish() < 1s);
}

}  // namespace server_limits_tests
