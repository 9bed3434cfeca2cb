// Contexts: what they are made of.
#include <sansocket_openssl/tls_context.hpp>

#include "support/tls_loop.hpp"

#include <cstdlib>
#include <system_error>

using namespace support;

namespace tls_context_tests {

bool trusted(asio::ssl::context& trusts) {
    loop l;
    l.left_open = true;
    tls_listener at(l);
    auto is = server_context();
    tls_client client(l.io, trusts);
    const result opened = connect_to(client, at.url());
    tls_server server(accept(l, at.acceptor), is);
    server.async_accept(result{});
    l.until(opened);
    return !opened.ec();
}

TEST_CASE("tls context: a client trusts the system's store, and what it is given besides") {
    const auto& made = certificates::all();
    auto system = sansocket_openssl::make_client_context();
    CHECK_FALSE(trusted(system));
    auto given = sansocket_openssl::make_client_context({made.authority.certificate, {}, {}});
    CHECK(trusted(given));
    REQUIRE(::setenv("SSL_CERT_FILE", made.authority.certificate.c_str(), 1) == 0);
    auto other_system = sansocket_openssl::make_client_context();
    ::unsetenv("SSL_CERT_FILE");
    CHECK(trusted(other_system));
}

TEST_CASE("tls context: a file that cannot be used is an exception") {
    const auto& made = certificates::all();
    using sansocket_openssl::make_client_context;
    using sansocket_openssl::make_server_context;
    CHECK_THROWS_AS(make_client_context({"/nowhere", {}, {}}), std::system_error);
    CHECK_THROWS_AS(make_client_context({{}, "/nowhere", "/nowhere"}), std::system_error);
    CHECK_THROWS_AS(make_client_context({{}, made.local.certificate, {}}), std::system_error);
    CHECK_THROWS_AS(make_server_context({}), std::system_error);
    CHECK_THROWS_AS(make_server_context({made.local.certificate, made.expired.key, {}}),
                    std::system_error);
    CHECK_THROWS_AS(make_server_context({made.local.certificate, made.local.key, "/nowhere"}),
                    std::system_error);
}

}  // namespace tls_context_tests
