// What a client is told about a connection that it does not get.
#include <sansocket_asio/connect_failure.hpp>

#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <string>
#include <string_view>
#include <utility>

using namespace support;

namespace connect_failure_tests {
namespace {

using sansocket_asio::connect_failure;
using sansocket_asio::connect_stage;

struct listener {
    explicit listener(loop& l) : acceptor(l.io, {asio::ip::address_v4::loopback(), 0}) {}
    std::string address() const {
        return "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    }
    std::string url() const { return "ws://" + address() + "/"; }
    tcp::acceptor acceptor;
};

// Of an attempt that nobody answers.
connect_failure failure_of(const std::string& url,
                           const sansocket_asio::client_options& options = {}) {
    loop l;
    websocket_client ws(l.io);
    const result connected;
    ws.async_connect(url, options, connected);
    l.until(connected);
    CHECK(connected.ec() == ws.failure().ec);
    return ws.failure();
}

// Of one that `response` answers, after which the server does `last`.
template <class Last>
connect_failure failure_by(std::string_view response, Last last,
                           const sansocket_asio::client_options& options = {}) {
    loop l;
    listener at(l);
    websocket_client ws(l.io);
    const result connected;
    ws.async_connect(at.url(), options, connected);
    raw_peer peer(l, accept(l, at.acceptor));
    peer.read_head();
    peer.send(bytes(std::string{response}));
    last(peer);
    l.until(connected);
    CHECK(connected.ec() == ws.failure().ec);
    CHECK(l.finish() < 1s);
    return ws.failure();
}
connect_failure failure_by(std::string_view response) {
    return failure_by(response, [](raw_peer&) {});
}

// An answer with a body, for describe().
connect_failure answered(std::string body) {
    auto f = failure_by("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    f.body = std::move(body);
    return f;
}

}  // namespace

TEST_CASE("connect_failure: a URL or a request that cannot be used") {
    const auto url = failure_of("ws://user:secret@localhost/");
    CHECK(url.stage == connect_stage::url);
    CHECK(url.ec == errc::url_userinfo);
    CHECK(url.describe() == "url: a WebSocket URL may not have a user name or password");

    sansocket_asio::client_options options;
    options.headers = {sansocket::basic_auth("a:b", "c")};
    const auto request = failure_of("ws://127.0.0.1:1/", options);
    CHECK(request.stage == connect_stage::request);
    CHECK(request.ec == errc::invalid_request);
    CHECK(to_string(request) ==
          "request: the opening handshake asked for cannot be written as HTTP");
}

TEST_CASE("connect_failure: a host that nobody knows, and a port that refuses") {
    const auto unknown = failure_of("ws://nobody.invalid/");
    CHECK(unknown.stage == connect_stage::resolve);
    CHECK(unknown.where == "nobody.invalid");
    CHECK(unknown.describe() == "resolve: " + unknown.ec.message() + " (nobody.invalid)");

    std::string address;
    {
        loop l;
        address = listener(l).address();
    }
    const auto refused = failure_of("ws://" + address);
    CHECK(refused.stage == connect_stage::connect);
    CHECK(refused.ec == asio::error::connection_refused);
    CHECK(refused.where == address);
    CHECK(refused.describe() == "connect: Connection refused (" + address + ")");
}

TEST_CASE("connect_failure: a server that refuses is quoted") {
    const auto f = failure_by("HTTP/1.1 403 Forbidden\r\nX-Why: token\r\nContent-Length: 18\r\n\r\n"
                              "no token\r\nsee /doc");
    CHECK(f.stage == connect_stage::upgrade);
    CHECK(f.ec == errc::upgrade_refused);
    CHECK(f.response.status() == 403);
    CHECK(f.response.find("X-Why") == "token");
    CHECK(f.body == "no token\r\nsee /doc");
    CHECK_FALSE(f.body_cut);
    CHECK(f.describe() == "upgrade: the server answered 403 Forbidden: no token");
}

TEST_CASE("connect_failure: a body in chunks, one up to the stream's end, and one past the limit") {
    CHECK(failure_by("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nla\r\n3\r\nter\r\n0\r\n\r\n")
              .body == "later");
    const auto closed = failure_by("HTTP/1.1 503 Busy\r\n\r\nlater", [](raw_peer& p) {
        p.socket.shutdown(tcp::socket::shutdown_send);
    });
    CHECK(closed.ec == errc::upgrade_refused);
    CHECK(closed.body == "later");
    CHECK_FALSE(closed.body_cut);

    sansocket_asio::client_options options;
    options.connection.http.body = 3;
    const auto cut = failure_by(
        "HTTP/1.1 503 Busy\r\n\r\nlater", [](raw_peer&) {}, options);
    CHECK(cut.ec == errc::upgrade_refused);
    CHECK(cut.body == "lat");
    CHECK(cut.body_cut);
    CHECK(cut.describe() == "upgrade: the server answered 503 Busy: lat");
}

TEST_CASE("connect_failure: a body that is lost or trickles past the deadline is still a refusal") {
    const std::string half = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 9\r\n\r\nslow";
    const auto lost = failure_by(half, [](raw_peer& p) { p.reset(); });
    CHECK(lost.ec == errc::upgrade_refused);
    CHECK(lost.response.status() == 429);

    sansocket_asio::client_options options;
    options.connection.opening_timeout = 100ms;
    const auto late = failure_by(
        half, [](raw_peer&) {}, options);
    CHECK(late.ec == errc::upgrade_refused);
    CHECK(late.body == "slow");
    CHECK(late.body_cut);
}

TEST_CASE("connect_failure: a redirect is offered as data, and not followed") {
    const auto f = failure_by("HTTP/1.1 301 Moved Permanently\r\nLocation: ws://elsewhere/\r\n"
                              "Content-Length: 0\r\n\r\n");
    CHECK(f.ec == errc::upgrade_refused);
    CHECK(f.response.find("Location") == "ws://elsewhere/");
    CHECK(f.describe() ==
          "upgrade: the server answered 301 Moved Permanently (Location: ws://elsewhere/)");
}

TEST_CASE("connect_failure: a 101 that fails a check, and an answer that is no HTTP") {
    const auto wrong = failure_by("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: no\r\n\r\n");
    CHECK(wrong.stage == connect_stage::upgrade);
    CHECK(wrong.ec == errc::response_accept);
    CHECK(wrong.response.find("Sec-WebSocket-Accept") == "no");
    CHECK(wrong.describe() ==
          "upgrade: Sec-WebSocket-Accept is missing or wrong (" + wrong.where + ")");
    const auto nonsense = failure_by("SSH-2.0-x\r\n");
    CHECK(nonsense.ec == errc::http_status_line);
    CHECK(nonsense.response.status() == 0);
}

TEST_CASE("connect_failure: timeout, cancellation and abort keep the step that they hit") {
    enum class end { timeout, cancelled, aborted };
    for (const end how : {end::timeout, end::cancelled, end::aborted}) {
        CAPTURE(static_cast<int>(how));
        loop l;
        listener at(l);
        websocket_client ws(l.io);
        asio::cancellation_signal cancel;
        const result connected;
        sansocket_asio::client_options options;
        if (how == end::timeout) options.connection.opening_timeout = 50ms;
        ws.async_connect(at.url(), options, asio::bind_cancellation_slot(cancel.slot(), connected));
        const tcp::socket silent = accept(l, at.acceptor);
        l.until([&] { return ws.failure().stage == connect_stage::upgrade; });
        CHECK(!ws.failure().ec);
        CHECK(ws.failure().describe() == "connected");
        if (how == end::cancelled) cancel.emit(asio::cancellation_type::total);
        if (how == end::aborted) ws.abort();
        l.until(connected);
        const auto f = ws.failure();
        CHECK(f.stage == connect_stage::upgrade);
        CHECK(f.ec == connected.ec());
        CHECK(f.where == at.address());
        CHECK(f.describe() == "upgrade: " + connected.ec().message() + " (" + at.address() + ")");
        CHECK(l.finish() < 1s);
    }
    loop l;
    websocket_client ws(l.io);
    asio::cancellation_signal cancel;
    const result connected;
    ws.async_connect("ws://localhost:1/", asio::bind_cancellation_slot(cancel.slot(), connected));
    cancel.emit(asio::cancellation_type::total);
    l.until(connected);
    CHECK(ws.failure().stage == connect_stage::resolve);
    CHECK(ws.failure().ec == asio::error::operation_aborted);
}

TEST_CASE("connect_failure: a handshake over a stream that is connected has one, too") {
    loop l;
    {
        tcp_pair sockets(l.io);
        websocket_client ws(std::move(sockets.a));
        raw_peer peer(l, std::move(sockets.b));
        const result opened;
        ws.async_handshake({.host = "h"}, {}, opened);
        peer.read_head();
        peer.send(bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"));
        l.until(opened);
        CHECK(ws.failure().ec == errc::upgrade_refused);
        CHECK(ws.failure().describe() == "upgrade: the server answered 404 Not Found: none");
    }
    {
        tcp_pair sockets(l.io);
        websocket_client ws(std::move(sockets.a));
        asio::cancellation_signal cancel;
        const result opened;
        ws.async_handshake({.host = "h"}, {}, asio::bind_cancellation_slot(cancel.slot(), opened));
        cancel.emit(asio::cancellation_type::total);
        l.until(opened);
        CHECK(ws.failure().ec == asio::error::operation_aborted);
        CHECK(ws.failure().stage == connect_stage::upgrade);
    }
    websocket_client ws(l.io);
    const result opened;
    ws.async_handshake({.host = "no host"}, {}, opened);
    l.until(opened);
    CHECK(ws.failure().stage == connect_stage::request);
    CHECK(ws.failure().ec == errc::invalid_request);
}

TEST_CASE(
    "connect_failure: none of a connection that opened, whatever was tried before and since") {
    loop l;
    listener at(l);
    websocket_client ws(l.io);
    CHECK(!ws.failure().ec);
    const result wrong;
    ws.async_connect("http://localhost/", wrong);
    l.until(wrong);
    CHECK(ws.failure().ec == errc::url_scheme);
    const result connected;
    ws.async_connect(at.url(), connected);
    const result second;
    ws.async_connect("ws://localhost:1/", second);
    l.until(second);
    CHECK(second.ec() == errc::operation_in_progress);
    CHECK(!ws.failure().ec);
    websocket_server server(accept(l, at.acceptor));
    const result accepted;
    server.async_accept(accepted);
    l.until(connected);
    CHECK(!connected.ec());
    CHECK(!ws.failure().ec);
    close_both(l, ws, server);
    CHECK(!ws.failure().ec);
    CHECK(ws.failure().describe() == "connected");
    const websocket_client moved(std::move(ws));
    CHECK(ws.failure().ec == errc::closed);
}

TEST_CASE("connect_failure: what a server says is made fit for a log") {
    const std::string prefix = "upgrade: the server answered 403 Forbidden";
    CHECK(answered("").describe() == prefix);
    CHECK(answered("\r\n  why\nmore").describe() == prefix + ": why");
    CHECK(answered("a\x1b[31mred\x07\tb").describe() == prefix + ": a?[31mred??b");
    CHECK(answered("gr\xc3\xbc\xc3\x9f").describe() == prefix + ": gr\xc3\xbc\xc3\x9f");
    CHECK(answered("c1 \xc2\x9b is control").describe() == prefix + ": c1 ? is control");
    CHECK(answered("\xa0 \xc2\xa0").describe() == prefix + ": ? ??");
    CHECK(answered("<!DOCTYPE html><title>No</title>").describe() == prefix);
    CHECK(answered(std::string(300, 'x')).describe() == prefix + ": " + std::string(200, 'x'));
    CHECK(answered(std::string(199, 'x') + "\xc3\xbc").describe() ==
          prefix + ": " + std::string(199, 'x'));
}

TEST_CASE("connect_failure: what more the stream knew of it is said, too") {
    using sansocket_asio::connect_failure;
    connect_failure failure{.stage = connect_stage::tls, .ec = asio::error::connection_reset};
    CHECK(failure.describe() == "tls: Connection reset by peer");
    failure.why = "certificate has expired";
    CHECK(failure.describe() == "tls: Connection reset by peer: certificate has expired");
    failure.where = "example.com";
    CHECK(failure.describe() ==
          "tls: Connection reset by peer: certificate has expired (example.com)");
    failure.ec = {};
    CHECK(failure.describe() == "connected");
}

TEST_CASE("connect_failure: each step has a name") {
    for (const auto& [stage, name] : {std::pair{connect_stage::url, "url"},
                                      {connect_stage::request, "request"},
                                      {connect_stage::resolve, "resolve"},
                                      {connect_stage::connect, "connect"},
                                      {connect_stage::tls, "tls"},
                                      {connect_stage::upgrade, "upgrade"}})
        CHECK(to_string(stage) == name);
}

}  // namespace connect_failure_tests
