// A server over TLS: who opens, who fails in the handshake and why, and what it is told of each.
#include <sansocket_openssl/server.hpp>

#include "support/asio_server.hpp"
#include "support/tls_loop.hpp"

#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace support;

namespace tls_server_tests {

struct tls_served : basic_served<sansocket_openssl::server> {
    explicit tls_served(loop& l, asio::ssl::context context = server_context(),
                        const sansocket_asio::server_options& options = {})
        : basic_served(l, options), is(std::move(context)) {
        server->on_connection(echo);
        at = server->listen(loopback(), [this](tcp::socket socket) {
            return sansocket_openssl::stream(std::move(socket), is);
        });
    }
    [[nodiscard]] std::string url(const std::string& scheme = "wss") const {
        return scheme + "://127.0.0.1:" + std::to_string(at.port()) + "/";
    }
    asio::ssl::context is;
};

std::string echoed(loop& l, tls_client& ws, std::string_view text) {
    const result sent = send(ws, text);
    const result got = receive(ws);
    l.until(got);
    CHECK(!got.ec());
    l.until(sent);
    return got.text();
}

// It was told of one handshake that failed, in these words of OpenSSL's.
void check_failed(const tls_served& s, std::string_view words) {
    REQUIRE(s.diary.failures == std::vector{errc::tls_handshake_failed});
    const std::error_code said = s.diary.failure_errors[0];
    CHECK(said.category() == asio::error::get_ssl_category());
    CAPTURE(said.message(), words);
    CHECK(said.message().find(words) != std::string::npos);
    CHECK(s.server->counters().handshake_failures(errc::tls_handshake_failed) == 1);
    CHECK(s.server->counters().opened == 0);
    CHECK(s.diary.ends.empty());
}

TEST_CASE("tls server: clients open, talk and close") {
    loop l;
    tls_served s(l);
    auto trusts = client_context();
    tls_client one(l.io, trusts), two(l.io, trusts);
    for (auto* const ws : {&one, &two}) {
        const result opened = connect_to(*ws, s.url());
        l.until(opened);
        REQUIRE(!opened.ec());
        CHECK(ws->next_layer().uses_tls());
    }
    CHECK(s.server->connections() == 2);
    CHECK(echoed(l, one, "hello") == "hello");
    CHECK(echoed(l, two, std::string(100'000, 'x')).size() == 100'000);
    for (auto* const ws : {&one, &two}) {
        const result closed = close(*ws);
        l.until(closed);
        CHECK(!closed.ec());
    }
    l.until([&] { return s.diary.ends.size() == 2; });
    CHECK(s.diary.ends[0].clean);
    CHECK(!s.diary.losses[0]);
    CHECK(s.server->counters().closed_clean == 2);
    CHECK(s.server->counters().handshake_failures() == 0);
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("tls server: one port of TLS and one that is plain") {
    loop l;
    tls_served s(l);
    const tcp::endpoint plain = s.server->listen(loopback());
    const auto url = "ws://127.0.0.1:" + std::to_string(plain.port()) + "/";
    auto trusts = client_context();
    for (const std::string& where : {s.url(), url}) {
        tls_client ws(l.io, trusts);
        const result opened = connect_to(ws, where);
        l.until(opened);
        REQUIRE(!opened.ec());
        CHECK(ws.next_layer().uses_tls() == where.starts_with("wss"));
        CHECK(echoed(l, ws, "hello") == "hello");
        const result closed = close(ws);
        l.until(closed);
    }
    s.stop();
}

TEST_CASE("tls server: a client that speaks plain HTTP is told of, in OpenSSL's words") {
    loop l;
    tls_served s(l);
    CHECK(s.ask(upgrade_request).empty());
    check_failed(s, "http request");
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("tls server: a client that does not trust it says so in an alert, which is told") {
    loop l;
    tls_served s(l);
    tls_client ws(l.io.get_executor());  // trusts whom the system trusts
    const result opened = connect_to(ws, s.url());
    l.until(opened);
    CHECK(opened.ec());
    l.until([&] { return !s.diary.failures.empty(); });
    check_failed(s, "unknown ca");
    s.stop();
    CHECK(l.finish() < 1s);
}

TEST_CASE("tls server: a client without the certificate that is wanted is told of") {
    loop l;
    const auto& made = certificates::all();
    tls_served s(l, sansocket_openssl::make_server_context(
                        {made.local.certificate, made.local.key, made.authority.certificate}));
    auto trusts = client_context();
    tls_client ws(l.io, trusts);
    const result opened = connect_to(ws, s.url());
    l.until(opened);
    CHECK(opened.ec());
    l.until([&] { return !s.diary.failures.empty(); });
    check_failed(s, "peer did not return a certificate");
    s.stop();
}

TEST_CASE("tls server: a client that goes away in the handshake is told of") {
    loop l;
    tls_served s(l);
    raw_peer peer = s.connect();
    l.until([&] { return s.diary.accepted_count == 1; });
    peer.reset();
    l.until([&] { return !s.diary.failures.empty(); });
    CHECK(s.diary.failures == std::vector{errc::tls_handshake_failed});
    CHECK(s.diary.failure_errors == std::vector<std::error_code>{asio::error::connection_reset});
    s.stop();
}

TEST_CASE("tls server: one that failed does not keep the next from opening") {
    loop l;
    tls_served s(l);
    CHECK(s.ask("GET / HTTP/1.1\r\n\r\n").empty());
    auto trusts = client_context();
    tls_client ws(l.io, trusts);
    const result opened = connect_to(ws, s.url());
    l.until(opened);
    CHECK(!opened.ec());
    ws.abort();
    l.until([&] { return s.diary.ends.size() == 1; });
    s.stop();
}

}  // namespace tls_server_tests
