// Whom a server takes its connections to be from, behind proxies that it trusts and others.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <sansocket_asio/server/detail/trusted_proxies.hpp>

#include <asio/local/stream_protocol.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace server_proxies_tests {

using namespace support;
using sansocket::forwarded_field;
using sansocket_asio::peer_address;
using sansocket_asio::proxy_protocol;
using sansocket_asio::server_decision;
using sansocket_asio::server_refusal;
using sansocket_asio::server_request;
using websocket_type = sansocket_asio::server::websocket_type;

// Proxies are 127.0.0.2 and those of 127.0.1.0/24; everybody else, 127.0.0.1 too, is nobody.
sansocket_asio::server_options behind_proxies(forwarded_field field, proxy_protocol header) {
    sansocket_asio::server_options options;
    options.trusted_proxies = {"127.0.0.2", "127.0.1.0/24", "unix"};
    options.forwarded = field;
    options.proxy_header = header;
    return options;
}

struct proxied : served {
    proxied(loop& l, const sansocket_asio::server_options& options) : served(l, options), io(&l) {
        server->on_connection(echo);
        server->on_request([this](const server_request& r) {
            peers.push_back(r.peer().ip() ? r.peer().ip()->to_string() : "unix");
            clients.push_back(r.client().to_string());
            return server_decision::accept();
        });
        listen();
    }
    [[nodiscard]] raw_peer from(const char* address) const {
        tcp::socket socket(io->io, tcp::v4());
        socket.bind({asio::ip::make_address(address), 0});
        socket.connect(at);
        return {*io, std::move(socket)};
    }
    /// An open connection from there that says so.
    [[nodiscard]] raw_peer open_from(const char* address, std::string_view first,
                                     std::string_view fields) const {
        raw_peer peer = from(address);
        peer.send(bytes(std::string{first} + with(fields)));
        REQUIRE(peer.read_head().starts_with("HTTP/1.1 101 "));
        return peer;
    }
    static std::string with(std::string_view fields) {
        std::string request{upgrade_request};
        return request.insert(request.size() - 2, fields);
    }

    loop* io;
    std::vector<std::string> peers, clients;
};

// The address without its port.
std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

TEST_CASE("server proxies: a trusted proxy's word is taken, and nobody else's") {
    loop l;
    const auto field = GENERATE(forwarded_field::forwarded, forwarded_field::x_forwarded_for);
    proxied s(l, behind_proxies(field, proxy_protocol::off));
    const bool standard = field == forwarded_field::forwarded;
    const std::string says = standard ? "Forwarded: for=198.51.100.1, for=\"192.0.2.7:4711\"\r\n"
                                      : "X-Forwarded-For: 198.51.100.1, 192.0.2.7:4711\r\n";
    const std::string other =
        standard ? "X-Forwarded-For: 203.0.113.9\r\n" : "Forwarded: for=203.0.113.9\r\n";
    raw_peer trusted = s.open_from("127.0.0.2", "", other + says);
    CHECK(s.clients == std::vector<std::string>{"192.0.2.7:4711"});
    CHECK(s.peers == std::vector<std::string>{"127.0.0.2"});
    CHECK(s.diary.identifications == std::vector<std::string>{"127.0.0.2 is 192.0.2.7:4711"});
    CHECK(s.diary.opened_by == std::vector<std::string>{"192.0.2.7:4711"});

    raw_peer stranger = s.open_from("127.0.0.3", "", says);
    CHECK(host_of(s.clients.back()) == "127.0.0.3");
    CHECK(host_of(s.diary.opened_by.back()) == "127.0.0.3");
    CHECK(s.diary.identifications.size() == 1);

    raw_peer only_the_other = s.open_from("127.0.0.2", "", other);
    CHECK(host_of(s.clients.back()) == "127.0.0.2");
    CHECK(s.diary.identifications.size() == 2);
    CHECK(s.server->counters().forwarded_invalid == 0);

    trusted.socket.close();
    l.until([&] { return s.diary.closed_by.size() == 1; });
    CHECK(s.diary.closed_by[0] == "192.0.2.7:4711");
    stranger.socket.close(), only_the_other.socket.close();
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server proxies: by default nothing that a request says is believed") {
    loop l;
    sansocket_asio::server_options options;
    SECTION("no proxy") { options.forwarded = forwarded_field::forwarded; }
    SECTION("no field") { options.trusted_proxies = {"127.0.0.0/8", "::1"}; }
    proxied s(l, options);
    raw_peer peer =
        s.open_from("127.0.0.2", "", "Forwarded: for=192.0.2.7\r\nX-Forwarded-For: 192.0.2.7\r\n");
    CHECK(host_of(s.clients[0]) == "127.0.0.2");
    CHECK(s.diary.identifications.empty());
    peer.socket.close();
    s.stop();
}

TEST_CASE("server proxies: a chain of them is followed, up to the first that is not trusted") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::x_forwarded_for, proxy_protocol::off));
    raw_peer peer = s.open_from(
        "127.0.0.2", "", "X-Forwarded-For: 127.0.1.1, 192.0.2.7\r\nX-Forwarded-For: 127.0.1.9\r\n");
    CHECK(s.clients[0] == "192.0.2.7:0");
    peer.socket.close();
    s.stop();
}

TEST_CASE("server proxies: a hop that cannot be read is counted, and told") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::forwarded, proxy_protocol::off));
    raw_peer peer = s.open_from("127.0.0.2", "", "Forwarded: for=192.0.2.7, for=nonsense\r\n");
    CHECK(host_of(s.clients[0]) == "127.0.0.2");
    CHECK(s.server->counters().forwarded_invalid == 1);
    REQUIRE(s.diary.identifications.size() == 1);
    CHECK(s.diary.identifications[0].ends_with("forwarded_invalid"));
    peer.socket.close();
    s.stop();
}

TEST_CASE("server proxies: who is refused or makes a mistake has an address too") {
    loop l;
    auto options = behind_proxies(forwarded_field::forwarded, proxy_protocol::off);
    options.policy.allowed_origins = {"https://example.com"};
    proxied s(l, options);
    s.server->on_http([](const server_request& r) {
        return sansocket::http_response{200, {}, r.client().to_string()};
    });
    const auto asks = [&](const std::string& request) {
        raw_peer peer = s.from("127.0.0.2");
        peer.send(bytes(request));
        return text_of(peer.read_to_end());
    };
    CHECK(asks(proxied::with("Origin: https://a.example\r\nForwarded: for=192.0.2.7\r\n"))
              .starts_with("HTTP/1.1 403 "));
    CHECK(s.diary.failed_by == std::vector<std::string>{"192.0.2.7:0"});
    // Where the head is not complete, its end is missing, and with it the proxy's own word.
    CHECK(asks("GET / HTTP/1.1\r\nForwarded: for=192.0.2.7\r\nno field\r\n")
              .starts_with("HTTP/1.1 400 "));
    CHECK(host_of(s.diary.failed_by.back()) == "127.0.0.2");
    CHECK(asks("GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=192.0.2.8\r\n\r\n")
              .ends_with("192.0.2.8:0"));
    CHECK(s.diary.answered_to == std::vector<std::string>{"192.0.2.8:0"});
    s.stop();
}

TEST_CASE("server proxies: the limit for each address is that of clients, once they are known") {
    loop l;
    const auto header = GENERATE(proxy_protocol::off, proxy_protocol::required);
    const bool by_field = header == proxy_protocol::off;
    auto options =
        behind_proxies(by_field ? forwarded_field::forwarded : forwarded_field::none, header);
    options.max_connections_per_address = 1;
    options.max_refusals = 1;
    proxied s(l, options);
    const auto first = [&](const std::string& host) {
        return by_field ? std::string{} : "PROXY TCP4 " + host + " 127.0.0.1 1 2\r\n";
    };
    const auto fields = [&](const std::string& host) {
        return by_field ? "Forwarded: for=" + host + "\r\n" : std::string{};
    };
    const auto open = [&](const std::string& host) {
        return s.open_from("127.0.0.2", first(host), fields(host));
    };
    raw_peer one = open("192.0.2.1");
    raw_peer two = open("192.0.2.2");  // the proxy's own address counts for nothing
    raw_peer again = s.from("127.0.0.2");
    again.send(bytes(first("192.0.2.1") + proxied::with(fields("192.0.2.1"))));
    CHECK(text_of(again.read_to_end()).starts_with("HTTP/1.1 429 "));
    CHECK(s.diary.refusals == std::vector{server_refusal::connections_per_address});
    CHECK(s.diary.refused_by == std::vector<std::string>{by_field ? "192.0.2.1:0" : "192.0.2.1:1"});
    CHECK(s.server->counters().refused_connections_per_address == 1);
    CHECK(s.server->counters().refusing == 1);

    raw_peer third = s.from("127.0.0.2");  // and no more than `max_refusals` are told
    third.send(bytes(first("192.0.2.1") + proxied::with(fields("192.0.2.1"))));
    CHECK(third.read_to_end().empty());
    CHECK(s.server->counters().refused_unanswered == 1);
    again.socket.close();
    one.socket.close();
    l.until([&] { return s.server->connections() == 1 && s.server->counters().refusing == 0; });
    raw_peer free_again = open("192.0.2.1");
    free_again.socket.close(), two.socket.close();
    s.stop();
    const auto n = s.server->counters();
    CHECK(n.opened == 3);
    CHECK(n.handshake_failures() == 0);
    CHECK(n.opening + n.open + n.refusing == 0);
    CHECK(l.finish() < 1s);
}

TEST_CASE("server proxies: a PROXY header comes first, however it is cut") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::none, proxy_protocol::required));
    const std::string v1 = "PROXY TCP6 2001:db8::1 ::1 4711 80\r\n";
    const byte_vector v2 =
        hex("0d0a0d0a000d0a515549540a 21 11 0013 c0000207 7f000001 1267 0050 04 0004 00000000");
    const auto how = GENERATE(cut::whole, cut::bytes);
    for (const bool second : {false, true}) {
        const auto header = second ? text_of(v2) : v1;
        raw_peer peer(l, std::move(s.from("127.0.0.2").socket), how);
        peer.send(bytes(header + proxied::with("Forwarded: for=203.0.113.1\r\n")));
        CHECK(peer.read_head().starts_with("HTTP/1.1 101 "));
        CHECK(s.clients.back() == (second ? "192.0.2.7:4711" : "[2001:db8::1]:4711"));
        CHECK(s.peers.back() == "127.0.0.2");
        peer.send(to_server(sansocket::opcode::text, bytes("hello")));
        CHECK(peer.read(7) == own_frame<role::server>(sansocket::opcode::text, bytes("hello")));
        peer.socket.close();
    }
    s.stop();
    CHECK(s.diary.failures.empty());
}

TEST_CASE("server proxies: a PROXY header that names nobody leaves the proxy") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::none, proxy_protocol::required));
    const std::string signature = text_of(hex("0d0a0d0a000d0a515549540a"));
    for (const std::string& header :
         {std::string{"PROXY UNKNOWN\r\n"}, signature + text_of(hex("20 00 0000")),
          signature + text_of(hex("21 00 0000"))}) {
        raw_peer peer = s.open_from("127.0.0.2", header, "");
        CHECK(host_of(s.clients.back()) == "127.0.0.2");
        peer.socket.close();
    }
    raw_peer local = s.open_from(
        "127.0.0.2", signature + text_of(hex("21 31 00d8")) + std::string(216, 'x'), "");
    CHECK(s.clients.back() == "unix");
    local.socket.close();
    s.stop();
}

TEST_CASE("server proxies: a trusted proxy's connection without its header ends, by name") {
    loop l;
    auto options = behind_proxies(forwarded_field::none, proxy_protocol::required);
    options.connection.opening_timeout = 100ms;
    proxied s(l, options);
    const auto sends = [&](std::string_view first) {
        raw_peer peer = s.from("127.0.0.2");
        peer.send(bytes(first));
        return text_of(peer.read_to_end());
    };
    CHECK(sends(upgrade_request).empty());
    CHECK(s.diary.failures == std::vector{errc::proxy_header_missing});
    CHECK(sends("PROXY TCP4 nonsense\r\n").empty());
    CHECK(sends("PROXY " + std::string(200, 'x')).empty());
    raw_peer slow = s.from("127.0.0.2");
    slow.send(bytes("PROXY TCP4 192.0"));
    CHECK(slow.read_to_end().empty());
    raw_peer gone = s.from("127.0.0.2");
    gone.send(bytes("PROXY"));
    gone.socket.close();
    l.until([&] { return s.diary.failures.size() == 5; });
    CHECK(s.diary.failures == std::vector{errc::proxy_header_missing, errc::proxy_header_invalid,
                                          errc::proxy_header_too_long, errc::opening_timeout,
                                          errc::end_of_stream});
    for (const errc cause : s.diary.failures)
        CHECK(s.server->counters().handshake_failures(cause) == 1);
    CHECK(s.server->counters().opening == 0);
    CHECK(s.clients.empty());
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server proxies: a reset before the PROXY header is told in the system's words") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::none, proxy_protocol::required));
    raw_peer peer = s.from("127.0.0.2");
    peer.send(bytes("PROXY"));
    l.until([&] { return s.diary.accepted_count == 1; });
    l.poll();
    peer.reset();
    l.until([&] { return s.diary.failures.size() == 1; });
    CHECK(s.diary.failures[0] == errc::transport_lost);
    CHECK(s.diary.failure_errors[0] == asio::error::connection_reset);
    s.stop();
}

TEST_CASE("server proxies: nobody else may send a PROXY header") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::none, proxy_protocol::required));
    raw_peer stranger = s.from("127.0.0.3");
    stranger.send(bytes("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n" + proxied::with("")));
    CHECK(text_of(stranger.read_to_end()).starts_with("HTTP/1.1 400 "));
    stranger.socket.close();
    raw_peer plain = s.open_from("127.0.0.3", "", "");
    CHECK(host_of(s.clients.back()) == "127.0.0.3");
    plain.socket.close();
    s.stop();
}

TEST_CASE("server proxies: behind a PROXY header the field is looked at where that names a proxy") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::forwarded, proxy_protocol::required));
    const std::string fields = "Forwarded: for=192.0.2.7\r\n";
    raw_peer chained = s.open_from("127.0.0.2", "PROXY TCP4 127.0.1.5 127.0.0.1 1 2\r\n", fields);
    CHECK(s.clients.back() == "192.0.2.7:0");
    raw_peer direct = s.open_from("127.0.0.2", "PROXY TCP4 203.0.113.5 127.0.0.1 1 2\r\n", fields);
    CHECK(s.clients.back() == "203.0.113.5:1");
    CHECK(s.diary.identifications.size() == 2);
    chained.socket.close(), direct.socket.close();
    s.stop();
}

TEST_CASE("server proxies: stopping does not wait for a PROXY header") {
    loop l;
    auto s = std::make_unique<proxied>(
        l, behind_proxies(forwarded_field::none, proxy_protocol::required));
    raw_peer peer = s->from("127.0.0.2");
    peer.send(bytes("PROXY "));
    l.until([&] { return s->server->counters().opening == 1; });
    l.poll();
    SECTION("stopped") {
        s->stop();
        CHECK(s->server->counters().opening == 0);
    }
    SECTION("destroyed") { s->server.reset(); }
    CHECK(peer.read_to_end().empty());
    CHECK(l.finish() < 1s);
}

TEST_CASE("server proxies: one that is connected by a Unix socket") {
    using local = asio::local::stream_protocol;
    loop l;
    const bool trusts = GENERATE(true, false);
    auto options = behind_proxies(forwarded_field::x_forwarded_for, proxy_protocol::off);
    if (!trusts) options.trusted_proxies = {"127.0.0.2", "127.0.1.0/24"};
    proxied s(l, options);
    const std::string path = "/tmp/sansocket_proxy_test." + std::to_string(::getpid());
    (void)std::remove(path.c_str());
    local::socket socket(l.io);
    socket.connect(s.server->listen(local::endpoint(path)));
    basic_raw_peer<local::socket> peer(l, std::move(socket));
    peer.send(bytes(proxied::with("X-Forwarded-For: 192.0.2.7\r\n")));
    CHECK(peer.read_head().starts_with("HTTP/1.1 101 "));
    CHECK(s.clients.back() == (trusts ? "192.0.2.7:0" : "unix"));
    CHECK(s.peers.back() == "unix");
    peer.socket.close();
    s.stop();
}

TEST_CASE("server proxies: handlers, and who looks at all connections, know the client") {
    loop l;
    proxied s(l, behind_proxies(forwarded_field::forwarded, proxy_protocol::off));
    std::string seen;
    const bool coroutine = GENERATE(true, false);
    std::vector<sansocket_asio::server::handle> kept;
    if (coroutine)
        s.server->on_connection(
            [&](websocket_type& ws, const peer_address& client) -> asio::awaitable<void> {
                const auto m = co_await ws.async_receive(asio::use_awaitable);
                seen = m.data + client.to_string();
                co_await served::echo(ws);
            });
    else
        s.server->on_connection([&](sansocket_asio::server::handle ws, const peer_address& client) {
            seen = "hello " + client.to_string();
            kept.push_back(std::move(ws));
        });
    raw_peer peer = s.open_from("127.0.0.2", "", "Forwarded: for=192.0.2.7\r\n");
    peer.send(to_server(sansocket::opcode::text, bytes("hello ")));
    l.until([&] { return !seen.empty(); });
    CHECK(seen == "hello 192.0.2.7:0");
    std::vector<std::string> all;
    s.server->for_each(
        [&](websocket_type&, const peer_address& client) { all.push_back(client.to_string()); });
    CHECK(all == std::vector<std::string>{"192.0.2.7:0"});
    peer.socket.close();
    kept.clear();
    s.stop();
}

TEST_CASE("server proxies: the list may come from elsewhere, and be read again") {
    const std::vector<std::string> configured{"10.0.0.0/8", "unix"};
    sansocket_asio::server_options options;
    CHECK(options.trusted_proxies.networks().empty());
    options.trusted_proxies = configured;
    CHECK(options.trusted_proxies.networks() == configured);
    const auto trusted = sansocket_asio::detail::trusted_proxies(configured);
    CHECK(trusted.trusts(peer_address()));
    CHECK_FALSE(sansocket_asio::detail::trusted_proxies().trusts(peer_address()));
}

TEST_CASE("server proxies: a list with what is no network makes no server") {
    loop l;
    sansocket_asio::server_options options;
    options.trusted_proxies = {"10.0.0.0/8", "10.0.0.1/8"};
    try {
        const sansocket_asio::server server(l.io.get_executor(), options);
        FAIL("it was made");
    } catch (const std::system_error& error) {
        CHECK(error.code() == errc::network_invalid);
        CHECK(std::string{error.what()}.find("10.0.0.1/8") != std::string::npos);
    }
}

// A stream that shows no socket.
class opaque {
public:
    using executor_type = tcp::socket::executor_type;
    explicit opaque(tcp::socket socket) : socket_(std::move(socket)) {}
    executor_type get_executor() { return socket_.get_executor(); }
    void close() { socket_.close(); }
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

TEST_CASE("server proxies: a PROXY header needs the socket beneath the stream") {
    static_assert(sansocket_asio::detail::takes_proxy_header<tcp::socket>);
    static_assert(!sansocket_asio::detail::takes_proxy_header<opaque>);
    loop l;
    sansocket_asio::server_options options;
    const sansocket_asio::basic_server<opaque> plain(l.io.get_executor(), options);
    options.proxy_header = proxy_protocol::required;
    CHECK_THROWS_AS(sansocket_asio::basic_server<opaque>(l.io.get_executor(), options),
                    std::system_error);
}

}  // namespace server_proxies_tests
