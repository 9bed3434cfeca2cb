// Plain HTTP on the port of a server.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <asio/steady_timer.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace server_http_tests {

using namespace support;
using sansocket::http_response;
using sansocket_asio::server_request;

// Says what it was asked.
http_response answer(const server_request& r) {
    if (r.path() == "/throw") throw std::runtime_error("thrown");
    if (r.path() == "/wrong") return {200, {{"Content-Length", "7"}}, ""};
    if (r.path() == "/none") return {404, {}, "none\n"};
    if (r.path() == "/empty") return {204, {}, ""};
    return {200, {{"X-Method", std::string{r.method()}}}, std::string{r.target()} + "\n"};
}

TEST_CASE("server http: a request that is no upgrade is answered, and the connection ends") {
    loop l;
    served s(l);
    const bool later = GENERATE(false, true);
    if (later)
        s.server->on_http([&l](const server_request& r) -> asio::awaitable<http_response> {
            asio::steady_timer timer(l.io, 1ms);
            co_await timer.async_wait(asio::use_awaitable);
            co_return answer(r);
        });
    else s.server->on_http(answer);
    s.server->on_connection(served::echo);
    s.listen();
    struct row {
        std::string asked, status, ends;
    };
    const std::vector<row> rows{
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK",
         "\r\nContent-Length: 9\r\n\r\n/healthz\n"},
        {"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "\r\nContent-Length: 9\r\n\r\n"},
        {"GET /?a=b HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\n/?a=b\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "200 OK", "\r\n\r\n/\n"},
        {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
         "200 OK", "\r\n\r\n/\n"},
        {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found", "\r\n\r\nnone\n"},
        {"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "204 No Content", "Connection: close\r\n\r\n"},
    };
    for (const row& r : rows) {
        CAPTURE(r.asked);
        const std::string got = s.ask(r.asked);
        CHECK(got.starts_with("HTTP/1.1 " + r.status + "\r\n"));
        CHECK(got.find("\r\nConnection: close\r\n") != std::string::npos);
        CHECK(got.ends_with(r.ends));
    }
    CHECK(s.diary.answered == std::vector<std::uint16_t>{200, 200, 200, 200, 200, 404, 204});
    CHECK(s.server->counters().http_answered == 7);
    CHECK(s.server->counters().handshake_failures() == 0);
    CHECK(s.ask("GET /throw HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 500 "));
    CHECK(s.diary.thrown == std::vector<std::string>{"thrown"});
    CHECK(s.ask("GET /wrong HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 500 "));
    CHECK(s.ask("\x16\x03\x01").starts_with("HTTP/1.1 400 "));  // TLS
    CHECK(s.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    CHECK(s.diary.failures == std::vector{errc::refused_by_application,
                                          errc::refused_by_application, errc::http_request_line,
                                          errc::host_missing});
    CHECK(s.server->counters().http_answered == 7);
    auto ws = s.client();  // and a WebSocket is one still
    CHECK(s.server->connections() == 1);
    ws->abort();
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("server http: a large answer arrives whole, though the client still sends") {
    loop l;
    served s(l);
    s.server->on_http([](const server_request&) {
        return http_response{200, {}, std::string(3'000'000, 'x')};
    });
    s.listen();
    raw_peer peer = s.connect();
    peer.send(bytes("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"));
    peer.send(byte_vector(50'000));
    const std::string got = text_of(peer.read_to_end());
    CHECK(peer.read_error == asio::error::eof);
    CHECK(got.size() > 3'000'000);
    CHECK(got.ends_with("xxx"));
    peer.socket.close();
    s.stop();
}

TEST_CASE("server http: without a callback it is an error of the peer") {
    loop l;
    served s(l);
    s.listen();
    CHECK(s.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 400 "));
    CHECK(s.ask("POST / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 405 "));
    CHECK(s.diary.failures == std::vector{errc::not_an_upgrade, errc::method_not_get});
    s.stop();
}

}  // namespace server_http_tests
