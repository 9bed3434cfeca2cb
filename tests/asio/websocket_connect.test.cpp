// How connections begin, and how they fail to.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <memory>
#include <string>
#include <utility>

using namespace support;

namespace {

struct listener {
    explicit listener(loop& l) : acceptor(l.io, {asio::ip::address_v4::loopback(), 0}) {}
    std::string url() const {
        return "ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
    }
    tcp::acceptor acceptor;
};

sansocket_asio::client_options open_within(std::chrono::milliseconds time) {
    sansocket_asio::client_options options;
    options.connection.opening_timeout = time;
    return options;
}

result connect(websocket_client& ws, const std::string& url,
               const sansocket_asio::client_options& options = {}) {
    result r;
    ws.async_connect(url, options, r);
    CHECK_FALSE(r.done());
    return r;
}

std::error_code connect(const std::string& url) {
    loop l;
    websocket_client ws(l.io);
    const result connected = connect(ws, url);
    l.until(connected);
    CHECK(ws.state() != connection_state::open);
    CHECK(l.finish() < 1s);
    return connected.ec();
}

}  // namespace

TEST_CASE("websocket connect: a URL that cannot be used is named") {
    CHECK(connect("http://localhost/") == errc::url_scheme);
    CHECK(connect("ws://") == errc::url_host);
    CHECK(connect("ws://localhost:0/") == errc::url_port);
    CHECK(connect("ws://localhost/#part") == errc::url_fragment);
    CHECK(connect("ws://me@localhost/") == errc::url_userinfo);
    CHECK(connect("wss://localhost/") == errc::url_needs_tls);
    CHECK(connect("") == errc::url_scheme);
}

TEST_CASE("websocket connect: a port that refuses, and a host that nobody knows") {
    std::string url;
    {
        loop l;
        url = listener(l).url();
    }
    CHECK(connect(url) == asio::error::connection_refused);
    const auto unknown = connect("ws://nobody.invalid/");
    CHECK(unknown);
    CHECK(unknown.category() == asio::error::get_netdb_category());
}

TEST_CASE("websocket connect: a request that is no HTTP is not sent") {
    loop l;
    websocket_client ws(l.io);
    sansocket_asio::client_options options;
    options.headers = {{"Bad Name", "value"}};
    const result connected = connect(ws, "ws://127.0.0.1:1/", options);
    l.until(connected);
    CHECK(connected.ec() == errc::invalid_request);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket connect: the errors of an attempt that failed stay") {
    loop l;
    std::string url;
    url = listener(l).url();
    websocket_client ws(l.io);
    l.until(connect(ws, url));
    CHECK(ws.state() == connection_state::closed);
    CHECK(ws.close_info().cause == errc::transport_lost);
    const result got = receive(ws);
    const result sent = send(ws, "x");
    const result closed = close(ws);
    for (const auto& r : {got, sent, closed}) l.until(r);
    CHECK(got.ec() == errc::transport_lost);
    CHECK(sent.ec() == errc::closed);
    CHECK(closed.ec() == errc::transport_lost);
}

TEST_CASE("websocket connect: a name with several addresses is tried until one answers") {
    loop l;
    listener at(l);
    websocket_client ws(l.io);
    const auto port = std::to_string(at.acceptor.local_endpoint().port());
    const result connected = connect(ws, "ws://localhost:" + port);
    websocket_server server(accept(l, at.acceptor));
    const result accepted;
    server.async_accept(accepted);
    l.until(connected);
    CHECK(!connected.ec());
    close_both(l, ws, server);
}

TEST_CASE("websocket connect: an IPv6 address") {
    loop l;
    std::error_code ec;
    tcp::acceptor acceptor(l.io);
    acceptor.open(tcp::v6(), ec);
    if (!ec) acceptor.bind({asio::ip::address_v6::loopback(), 0}, ec);
    if (ec) return;  // this machine has none
    acceptor.listen();
    websocket_client ws(l.io);
    const auto port = std::to_string(acceptor.local_endpoint().port());
    const result connected = connect(ws, "ws://[::1]:" + port);
    websocket_server server(accept(l, acceptor));
    const result accepted;
    server.async_accept(accepted);
    l.until(connected);
    CHECK(!connected.ec());
    CHECK(server.connection()->handshake()->request().find("Host") == "[::1]:" + port);
    close_both(l, ws, server);
}

TEST_CASE("websocket connect: a server that answers 403") {
    loop l;
    listener at(l);
    websocket_client ws(l.io);
    const result connected = connect(ws, at.url());
    raw_peer peer(l, accept(l, at.acceptor));
    peer.read_head();
    peer.send(bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
    l.until(connected);
    CHECK(connected.ec() == errc::upgrade_refused);
    CHECK(ws.connection()->handshake()->response().status() == 403);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket connect: a server that closes, resets, or talks nonsense") {
    loop l;
    listener at(l);
    const auto attempt = [&](auto&& act) {
        websocket_client ws(l.io);
        const result connected = connect(ws, at.url());
        raw_peer peer(l, accept(l, at.acceptor));
        peer.read_head();
        act(peer);
        l.until(connected);
        CHECK(l.finish() < 1s);
        return connected.ec();
    };
    CHECK(attempt([](raw_peer& p) { p.socket.close(); }) == errc::end_of_stream);
    CHECK(attempt([](raw_peer& p) { p.reset(); }) == errc::transport_lost);
    CHECK(attempt([](raw_peer& p) { p.send(bytes("SSH-2.0-x\r\n")); }) == errc::http_status_line);
}

TEST_CASE("websocket connect: a server that never answers ends with the opening timeout") {
    loop l;
    listener at(l);
    websocket_client ws(l.io);
    const auto start = std::chrono::steady_clock::now();
    const result connected = connect(ws, at.url(), open_within(100ms));
    const tcp::socket silent = accept(l, at.acceptor);
    l.until(connected);
    CHECK(connected.ec() == errc::opening_timeout);
    CHECK(std::chrono::steady_clock::now() - start >= 100ms);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket connect: cancelled in each of its steps (B75)") {
    loop l;
    for (int step = 0; step != 3; ++step) {
        CAPTURE(step);
        listener at(l);
        websocket_client ws(l.io);
        asio::cancellation_signal cancel;
        const result connected;
        ws.async_connect(at.url(), asio::bind_cancellation_slot(cancel.slot(), connected));
        tcp::socket socket(l.io);
        if (step == 1) l.until([&] { return ws.next_layer().is_open(); });  // connecting
        if (step == 2) {                                                    // upgrading
            socket = accept(l, at.acceptor);
            raw_peer peer(l, std::move(socket));
            peer.read_head();
            socket = std::move(peer.socket);
        }
        CHECK_FALSE(connected.done());
        cancel.emit(asio::cancellation_type::total);
        l.until(connected);
        CHECK(connected.ec() == asio::error::operation_aborted);
        CHECK(ws.state() == connection_state::closed);
        CHECK(ws.close_info().cause == errc::cancelled);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket connect: closed, aborted and destroyed in each of its steps") {
    loop l;
    for (int step = 0; step != 3; ++step) {
        for (int how = 0; how != 3; ++how) {
            CAPTURE(step, how);
            listener at(l);
            auto ws = std::make_unique<websocket_client>(l.io);
            const result connected = connect(*ws, at.url());
            tcp::socket socket(l.io);
            if (step == 1) l.until([&] { return ws->next_layer().is_open(); });
            if (step == 2) socket = accept(l, at.acceptor);
            result closed;
            if (how == 0) closed = close(*ws);
            if (how == 1) ws->abort();
            if (how == 2) ws.reset();
            CHECK_FALSE(connected.done());
            l.until(connected);
            if (how == 0) l.until(closed);
            const errc expected[] = {errc::closed_locally, errc::aborted, errc::dropped};
            CHECK(connected.ec() == expected[how]);
            CHECK(l.finish() < 1s);
        }
    }
}

TEST_CASE("websocket accept: a request that breaks the rules is refused with its status") {
    loop l;
    tcp_pair sockets(l.io);
    raw_peer peer(l, std::move(sockets.a));
    auto server = std::make_unique<websocket_server>(std::move(sockets.b));
    const result accepted;
    server->async_accept(accepted);
    std::string request = upgrade_request;
    request.replace(request.find("Version: 13"), 11, "Version: 12");
    peer.send(bytes(request));
    l.until(accepted);
    CHECK(accepted.ec() == errc::websocket_version_unsupported);
    server.reset();  // what it has to say is said all the same
    const std::string answer = text_of(peer.read_to_end());
    CHECK(peer.read_error == asio::error::eof);
    CHECK(answer.starts_with("HTTP/1.1 426 "));
    peer.socket.close();
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket accept: a client that sends nothing ends with the opening timeout") {
    loop l;
    tcp_pair sockets(l.io);
    websocket_server server(std::move(sockets.b));
    sansocket::options options;
    options.opening_timeout = 50ms;
    const result accepted;
    server.async_accept({}, options, accepted);
    l.until(accepted);
    CHECK(accepted.ec() == errc::opening_timeout);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket accept: cancelled, closed and destroyed while it waits") {
    loop l;
    for (int how = 0; how != 3; ++how) {
        CAPTURE(how);
        tcp_pair sockets(l.io);
        raw_peer peer(l, std::move(sockets.a));
        auto server = std::make_unique<websocket_server>(std::move(sockets.b));
        asio::cancellation_signal cancel;
        const result accepted;
        server->async_accept(asio::bind_cancellation_slot(cancel.slot(), accepted));
        l.poll();
        if (how == 0) cancel.emit(asio::cancellation_type::terminal);
        if (how == 1) l.until(close(*server));
        if (how == 2) server.reset();
        l.until(accepted);
        const std::error_code expected[] = {asio::error::operation_aborted, errc::closed_locally,
                                            errc::dropped};
        CHECK(accepted.ec() == expected[how]);
        // A peer that is told why has time to read it, and ends the connection.
        if (how == 1) CHECK(peer.read_head().starts_with("HTTP/1.1 503 "));
        peer.socket.close();
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket accept: the application decides on the request") {
    loop l;
    l.left_open = true;  // that is what it is about
    tcp_pair sockets(l.io);
    websocket_client client(std::move(sockets.a));
    websocket_server server(std::move(sockets.b));
    const result opened;
    client.async_handshake({.host = "localhost", .target = "/room", .subprotocols = {"a", "b"}}, {},
                           opened);
    CHECK(server.accept() == errc::not_open);
    const result asked;
    server.async_read_request({}, {}, asked);
    l.until(asked);
    REQUIRE(!asked.ec());
    CHECK(server.connection()->handshake()->request().target() == "/room");
    CHECK(server.state() == connection_state::opening);

    SECTION("and accepts, with a message that was sent at once behind it") {
        CHECK(server.accept("c") == errc::subprotocol_not_offered);
        CHECK(server.accept("b") == errc::ok);
        CHECK(server.accept() == errc::not_deciding);
        const result sent = send(server, "welcome");
        l.until(opened);
        CHECK(!opened.ec());
        CHECK(client.subprotocol() == "b");
        const result got = receive(client);
        l.until(got);
        CHECK(got.text() == "welcome");
    }
    SECTION("and refuses") {
        const sansocket::http_field_value field{"Retry-After", "10"};
        CHECK(server.refuse(503, std::span{&field, 1}, "later") == errc::ok);
        l.until(opened);
        CHECK(opened.ec() == errc::upgrade_refused);
        const auto& response = client.connection()->handshake()->response();
        CHECK(response.status() == 503);
        CHECK(response.find("Retry-After") == "10");
        const result got = receive(server);
        l.until(got);
        CHECK(got.ec() == errc::refused_by_application);
        CHECK(l.finish() < 1s);
    }
    SECTION("and destroys the websocket instead") {
        { const websocket_server gone(std::move(server)); }
        l.until(opened);
        CHECK(opened.ec() == errc::transport_lost);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket accept: frames that come with the request wait for the decision") {
    loop l;
    tcp_pair sockets(l.io);
    raw_peer peer(l, std::move(sockets.a));
    websocket_server server(std::move(sockets.b));
    const result asked;
    server.async_read_request({}, {}, asked);
    peer.send(bytes(upgrade_request) + to_server(sansocket::opcode::text, bytes("early")) +
              to_server(sansocket::opcode::ping, bytes("p")));
    l.until(asked);
    CHECK(server.accept() == errc::ok);
    const result got = receive(server);
    l.until(got);
    CHECK(got.text() == "early");
    peer.read_head();
    CHECK(peer.read(3) == own_frame<role::server>(sansocket::opcode::pong, bytes("p")));
    server.abort();
}
