// The TLS handshake: who is believed to be whom, and how it ends when it does not succeed.
#include <sansocket_openssl/stream.hpp>

#include "support/tls_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace support;

namespace tls_stream_tests {

const certificates& made() { return certificates::all(); }

void check_says(const std::string& text, std::string_view part) {
    CAPTURE(text, part);
    CHECK(text.find(part) != std::string::npos);
}

struct outcome {
    std::error_code client;
    std::error_code server;
    std::string verify_error;
    sansocket_asio::connect_failure failure;
};

// A client with `trusts` or the default, `ask` of it, and a server that is `who`.
template <class Ask>
outcome attempt(const identity& who, const std::string& host, asio::ssl::context* trusts, Ask ask) {
    loop l;
    l.left_open = true;
    tls_listener at(l);
    auto is = server_context(who);
    tls_client client =
        trusts != nullptr ? tls_client(l.io, *trusts) : tls_client(l.io.get_executor());
    ask(client);
    const result opened = connect_to(client, at.url("wss", host));
    tls_server server(accept(l, at.acceptor), is);
    const result accepted;
    server.async_accept(accepted);
    l.until(opened);
    l.until(accepted);
    if (opened.ec()) {
        CHECK(client.close_info().cause == errc::tls_handshake_failed);
        CHECK_FALSE(client.next_layer().lowest_layer().is_open());
        CHECK(l.finish() < 900ms);
    }
    return {opened.ec(), accepted.ec(), std::string{client.next_layer().verify_error()},
            client.failure()};
}
outcome attempt(const identity& who, const std::string& host) {
    auto trusts = client_context();
    return attempt(who, host, &trusts, [](tls_client&) {});
}

// A refused client, and how it tells.
void check_refused(const outcome& o, const std::string& why, const std::string& alert) {
    using sansocket_asio::connect_stage;
    CHECK(o.failure.stage == connect_stage::tls);
    CHECK(o.failure.ec == o.client);
    CHECK(o.failure.why == o.verify_error);
    const std::string told = "tls: " + o.client.message() + ": " + o.verify_error + " (";
    CHECK(o.failure.describe() == told + o.failure.where + ")");
    CHECK(o.client.category() == asio::error::get_ssl_category());
    check_says(o.client.message(), "certificate verify failed");
    check_says(o.verify_error, why);
    CHECK(o.server.category() == asio::error::get_ssl_category());
    check_says(o.server.message(), alert);
}

TEST_CASE("tls stream: a server whose certificate is right, by its name and by its address") {
    for (const std::string host : {"localhost", "127.0.0.1"}) {
        CAPTURE(host);
        const outcome o = attempt(made().local, host);
        CHECK(!o.client);
        CHECK(!o.server);
        CHECK(o.verify_error.empty());
    }
}

TEST_CASE("tls stream: one of an authority that nobody trusts is refused, with OpenSSL's words") {
    const outcome o = attempt(made().local, "localhost", nullptr, [](tls_client&) {});
    check_refused(o, "unable to get local issuer certificate", "unknown ca");
}

TEST_CASE("tls stream: a failure tells the step, OpenSSL's words, what was wrong, and the host") {
    CHECK(attempt(made().expired, "localhost").failure.describe() ==
          "tls: certificate verify failed (SSL routines): certificate has expired (localhost)");
    // Without verification the certificate is not why: the server wants one, and so it fails.
    loop l;
    auto is = sansocket_openssl::make_server_context(
        {made().local.certificate, made().local.key, made().authority.certificate});
    SSL_CTX_set_max_proto_version(is.native_handle(), TLS1_2_VERSION);  // 1.3 says it later
    tls_listener at(l);
    tls_client client(l.io.get_executor());
    client.next_layer().insecure_no_verification();
    const result opened = connect_to(client, at.url());
    tls_server server(accept(l, at.acceptor), is);
    const result accepted;
    server.async_accept(accepted);
    l.until(opened);
    l.until(accepted);
    CHECK(client.failure().stage == sansocket_asio::connect_stage::tls);
    check_says(client.failure().describe(), "tls: ");
    check_says(client.failure().describe(), "alert");
    CHECK_FALSE(client.next_layer().verify_error().empty());
    CHECK(client.failure().why.empty());
    CHECK(client.transport_error() == opened.ec());
}

TEST_CASE("tls stream: a handshake over a stream that is connected tells as much") {
    loop l;
    auto trusts = client_context();
    auto is = server_context(made().elsewhere);
    tcp_pair sockets(l.io);
    sansocket_openssl::stream s(l.io, trusts);
    s.lowest_layer() = std::move(sockets.a);
    REQUIRE(!s.use_tls("localhost"));
    tls_client client(std::move(s));
    tls_server server(std::move(sockets.b), is);
    const result accepted, opened;
    server.async_accept(accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    l.until(accepted);
    CHECK(client.failure().stage == sansocket_asio::connect_stage::tls);
    check_says(client.failure().why, "ostname mismatch");
    check_says(client.failure().describe(), "ostname mismatch");
    CHECK(client.transport_error() == opened.ec());
    CHECK(server.transport_error() == accepted.ec());
}

TEST_CASE("tls stream: one for another host is refused") {
    check_refused(attempt(made().elsewhere, "localhost"), "ostname mismatch", "certificate");
    check_refused(attempt(made().elsewhere, "127.0.0.1"), "IP address mismatch", "certificate");
    check_refused(attempt(made().nameless, "localhost"), "ostname mismatch", "certificate");
}

TEST_CASE("tls stream: one that has expired is refused") {
    check_refused(attempt(made().expired, "localhost"), "certificate has expired", "expired");
}

TEST_CASE("tls stream: a context that was never told to verify does verify") {
    asio::ssl::context bare(asio::ssl::context::tls_client);
    const outcome o = attempt(made().local, "localhost", &bare, [](tls_client&) {});
    check_refused(o, "unable to get local issuer certificate", "unknown ca");
}

TEST_CASE("tls stream: without verification everybody is believed") {
    for (const identity* who : {&made().local, &made().expired, &made().elsewhere}) {
        const outcome o = attempt(*who, "localhost", nullptr, [](tls_client& ws) {
            ws.next_layer().insecure_no_verification();
        });
        CHECK(!o.client);
        CHECK(!o.server);
        CHECK_FALSE(o.verify_error.empty());
    }
}

TEST_CASE("tls stream: a server sees the name, and never an address (RFC 6066 3)") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    std::string name;
    SSL_CTX_set_tlsext_servername_arg(is.native_handle(), &name);
    SSL_CTX_set_tlsext_servername_callback(
        is.native_handle(), +[](SSL* ssl, int*, void* to) {
            const char* const seen = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
            *static_cast<std::string*>(to) = seen != nullptr ? seen : "none";
            return SSL_TLSEXT_ERR_OK;
        });
    const std::pair<std::string, std::string> hosts[] = {
        {"localhost", "localhost"}, {"localhost.", "localhost"}, {"127.0.0.1", "none"}};
    for (const auto& [host, expected] : hosts) {
        CAPTURE(host);
        tcp_pair sockets(l.io);
        sansocket_openssl::stream s(l.io, trusts);
        s.lowest_layer() = std::move(sockets.a);
        REQUIRE(!s.use_tls(host));
        tls_client client(std::move(s));
        tls_server server(std::move(sockets.b), is);
        const result accepted;
        const result opened;
        server.async_accept(accepted);
        client.async_handshake({.host = host}, {}, opened);
        l.until(opened);
        CHECK(!opened.ec());  // the certificate's name has no dot either
        CHECK(name == expected);
        l.until(accepted);
        close_both(l, client, server);
    }
}

std::string alpn_of(SSL* ssl) {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

TEST_CASE("tls stream: both ends agree on http/1.1 (RFC 7301)") {
    loop l;
    tls_pair p(l);
    CHECK(alpn_of(p.client.next_layer().native_handle()) == "http/1.1");
    CHECK(alpn_of(p.server.next_layer().native_handle()) == "http/1.1");
    close_both(l, p.client, p.server);
}

TEST_CASE("tls stream: a server picks http/1.1 of several, and refuses a client without it") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    const auto offer = [&](std::string_view protocols) {
        tcp_pair sockets(l.io);
        tls_socket peer(std::move(sockets.a), trusts);
        if (!protocols.empty())
            SSL_set_alpn_protos(peer.native_handle(),
                                reinterpret_cast<const unsigned char*>(protocols.data()),
                                static_cast<unsigned int>(protocols.size()));
        tls_server server(std::move(sockets.b), is);
        const result accepted;
        server.async_accept(accepted);
        const auto ec = handshake(l, peer, asio::ssl::stream_base::client);
        const std::string chosen = alpn_of(peer.native_handle());
        server.abort();
        l.until(accepted);
        return std::pair(ec, chosen);
    };
    CHECK(offer("\x02h2\x08http/1.1") == std::pair(std::error_code{}, std::string("http/1.1")));
    CHECK(offer("") == std::pair(std::error_code{}, std::string{}));
    check_says(offer("\x02h2").first.message(), "no application protocol");
}

TEST_CASE("tls stream: TLS 1.1 is not spoken") {
    loop l;
    auto is = server_context();
    asio::ssl::context old(asio::ssl::context::tls_client);
    SSL_CTX_set_max_proto_version(old.native_handle(), TLS1_1_VERSION);
    SSL_CTX_set_security_level(old.native_handle(), 0);
    tcp_pair sockets(l.io);
    tls_socket peer(std::move(sockets.a), old);
    tls_server server(std::move(sockets.b), is);
    const result accepted;
    server.async_accept(accepted);
    CHECK(handshake(l, peer, asio::ssl::stream_base::client));
    l.until(accepted);
    check_says(accepted.ec().message(), "unsupported protocol");
}

TEST_CASE("tls stream: a server that wants a certificate of the client") {
    loop l;
    auto is = sansocket_openssl::make_server_context(
        {made().local.certificate, made().local.key, made().authority.certificate});
    const auto as = [&](const identity& who) {
        auto trusts = sansocket_openssl::make_client_context(
            {made().authority.certificate, who.certificate, who.key});
        tls_listener at(l);
        tls_client client(l.io, trusts);
        const result opened = connect_to(client, at.url());
        tls_server server(accept(l, at.acceptor), is);
        const result accepted;
        server.async_accept(accepted);
        l.until(opened);
        l.until(accepted);
        if (!opened.ec()) close_both(l, client, server);
        CHECK(!opened.ec() == !accepted.ec());
        return opened.ec();
    };
    CHECK(!as(made().someone));
    // TLS 1.3 tells a client behind its handshake: the alert comes in place of the response.
    check_says(as({}).message(), "certificate required");
}

TEST_CASE("tls stream: what is no TLS is named by OpenSSL") {
    loop l;
    auto trusts = client_context();
    SECTION("a server that talks plain HTTP") {
        tls_listener at(l);
        tls_client client(l.io, trusts);
        const result opened = connect_to(client, at.url());
        raw_peer peer(l, accept(l, at.acceptor));
        peer.send(bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
        l.until(opened);
        check_says(opened.ec().message(), "wrong version number");
        CHECK(client.failure().stage == sansocket_asio::connect_stage::tls);
        CHECK(client.failure().why.empty());
        CHECK(client.failure().describe() == "tls: " + opened.ec().message() + " (127.0.0.1)");
    }
    SECTION("a client that talks plain HTTP") {
        auto is = server_context();
        tcp_pair sockets(l.io);
        raw_peer peer(l, std::move(sockets.a));
        tls_server server(std::move(sockets.b), is);
        const result accepted;
        server.async_accept(accepted);
        peer.send(bytes(upgrade_request));
        l.until(accepted);
        check_says(accepted.ec().message(), "http request");
        CHECK(server.close_info().cause == errc::tls_handshake_failed);
    }
    SECTION("a server that closes") {
        tls_listener at(l);
        tls_client client(l.io, trusts);
        const result opened = connect_to(client, at.url());
        { const tcp::socket gone = accept(l, at.acceptor); }
        l.until(opened);
        CHECK(opened.ec());
        CHECK(client.close_info().cause == errc::tls_handshake_failed);
    }
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls stream: a silent peer ends with the opening timeout") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    sansocket::options soon;
    soon.opening_timeout = 100ms;
    SECTION("of a client") {
        tls_listener at(l);
        tls_client client(l.io, trusts);
        const result opened = connect_to(client, at.url(), soon);
        const tcp::socket silent = accept(l, at.acceptor);
        l.until(opened);
        CHECK(opened.ec() == errc::opening_timeout);
        CHECK(client.failure().stage == sansocket_asio::connect_stage::tls);
        CHECK(client.failure().describe() ==
              "tls: the opening handshake took too long (127.0.0.1)");
        CHECK(!client.transport_error());
        CHECK(l.finish() < 900ms);
    }
    SECTION("of a server") {
        tcp_pair sockets(l.io);
        tls_server server(std::move(sockets.b), is);
        const result accepted;
        server.async_accept({}, soon, accepted);
        l.until(accepted);
        CHECK(accepted.ec() == errc::opening_timeout);
        CHECK_FALSE(server.next_layer().lowest_layer().is_open());
        CHECK(l.finish() < 900ms);
    }
}

// Neither step takes as long as that; both together do.
TEST_CASE("tls stream: one opening timeout covers the handshake and the response") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    sansocket::options soon;
    soon.opening_timeout = 500ms;
    const auto wait = [&l](std::chrono::milliseconds time) {
        asio::steady_timer timer(l.io, time);
        const result rung;
        timer.async_wait(rung);
        l.until(rung);
    };
    tls_listener at(l);
    tls_client client(l.io, trusts);
    const result opened = connect_to(client, at.url(), soon);
    tls_socket socket(accept(l, at.acceptor), is);
    wait(300ms);
    (void)handshake(l, socket, asio::ssl::stream_base::server);
    tls_raw_peer peer(l, std::move(socket));
    wait(300ms);
    CHECK(opened.done());
    if (!opened.done()) peer.accept();
    l.until(opened);
    CHECK(opened.ec() == errc::opening_timeout);
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls stream: cancelled, closed, aborted and destroyed in the handshake") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    const std::error_code expected[] = {asio::error::operation_aborted, errc::closed_locally,
                                        errc::aborted, errc::dropped};
    const auto end = [&](auto& ws, asio::cancellation_signal& cancel, int how, const result& r) {
        CHECK_FALSE(r.done());
        if (how == 0) cancel.emit(asio::cancellation_type::total);
        if (how == 1) l.until(close(*ws));
        if (how == 2) ws->abort();
        if (how == 3) ws.reset();
        l.until(r);
        CHECK(r.ec() == expected[how]);
        CHECK(l.finish() < 900ms);
        if (ws) CHECK_FALSE(ws->next_layer().lowest_layer().is_open());
    };
    for (int how = 0; how != 4; ++how) {
        CAPTURE(how);
        asio::cancellation_signal cancel;
        {
            tls_listener at(l);
            auto client = std::make_unique<tls_client>(l.io, trusts);
            const result opened;
            client->async_connect(at.url(), asio::bind_cancellation_slot(cancel.slot(), opened));
            const tcp::socket silent = accept(l, at.acceptor);
            l.until([&] { return client->next_layer().uses_tls(); });
            l.poll();
            end(client, cancel, how, opened);
        }
        tcp_pair sockets(l.io);
        auto server = std::make_unique<tls_server>(std::move(sockets.b), is);
        const result accepted;
        server->async_accept(asio::bind_cancellation_slot(cancel.slot(), accepted));
        l.poll();
        end(server, cancel, how, accepted);
    }
}

TEST_CASE("tls stream: plain, it is waited for, and needs no buffer while it is idle") {
    loop l;
    tcp_pair sockets(l.io);
    auto is = server_context();
    const sansocket_openssl::stream plain(std::move(sockets.a));
    const sansocket_openssl::stream secure(std::move(sockets.b), is);
    CHECK(sansocket_asio::detail::waits(plain));
    CHECK_FALSE(sansocket_asio::detail::waits(secure));
    CHECK_FALSE(sansocket_asio::detail::needs_handshake(plain));
    CHECK(sansocket_asio::detail::needs_handshake(secure));
    CHECK_FALSE(sansocket_asio::detail::agrees_on_end(plain));
    CHECK(sansocket_asio::detail::agrees_on_end(secure));
    using one_that_is_always_tls = asio::ssl::stream<tcp::socket>;
    static_assert(sansocket_asio::detail::ends_by_agreement<one_that_is_always_tls>);
    static_assert(!sansocket_asio::detail::maybe_waitable<one_that_is_always_tls>);
    static_assert(sansocket_asio::detail::waitable<tcp::socket>);
}

TEST_CASE("tls stream: Asio's own stream, with a handshake by hand, ends in the same way") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    tcp_pair sockets(l.io);
    tls_socket a(std::move(sockets.a), trusts);
    tls_socket b(std::move(sockets.b), is);
    const result secured;
    b.async_handshake(asio::ssl::stream_base::server, secured);
    REQUIRE(!handshake(l, a, asio::ssl::stream_base::client));
    l.until(secured);
    sansocket_asio::websocket<role::client, tls_socket> client(std::move(a));
    sansocket_asio::websocket<role::server, tls_socket> server(std::move(b));
    const result refused;
    client.async_connect("wss://localhost/", refused);
    l.until(refused);
    CHECK(refused.ec() == errc::url_needs_tls);
    const result accepted;
    const result opened;
    server.async_accept(accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    l.until(accepted);
    CHECK(!opened.ec());
    const result sent = send(client, "hello");
    const result got = receive(server);
    l.until(got);
    CHECK(got.text() == "hello");
    const result closed = close(server);
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(l.finish() < 900ms);
    // Both have said and heard close_notify.
    constexpr int both = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;
    CHECK(SSL_get_shutdown(client.next_layer().native_handle()) == both);
    CHECK(SSL_get_shutdown(server.next_layer().native_handle()) == both);
}

TEST_CASE("tls stream: no name, no TLS") {
    loop l;
    sansocket_openssl::stream s(l.io);
    CHECK(s.use_tls("") == asio::error::invalid_argument);
    CHECK_FALSE(s.uses_tls());
    CHECK_FALSE(s.needs_handshake());
    CHECK(s.native_handle() == nullptr);
    CHECK(s.verify_error().empty());
}

}  // namespace tls_stream_tests
