// Websockets over TLS and loopback: what asio_loop.hpp has, with certificates.
#pragma once

#include "asio_loop.hpp"
#include "certificates.hpp"

#include <sansocket_openssl/client.hpp>

#include <asio/ssl/stream.hpp>

#include <string>
#include <utility>

namespace support {

using tls_client = sansocket_openssl::client;
using tls_server = sansocket_openssl::server_connection;
using tls_socket = asio::ssl::stream<tcp::socket>;
using tls_raw_peer = basic_raw_peer<tls_socket>;

/// Accepts connections, and says where.
struct tls_listener {
    explicit tls_listener(loop& l) : acceptor(l.io, {asio::ip::address_v4::loopback(), 0}) {}
    [[nodiscard]] std::string url(const std::string& scheme = "wss",
                                  const std::string& host = "127.0.0.1") const {
        return scheme + "://" + host + ":" + std::to_string(acceptor.local_endpoint().port()) + "/";
    }
    tcp::acceptor acceptor;
};

inline asio::ssl::context server_context(const identity& who = certificates::all().local) {
    return sansocket_openssl::make_server_context({who.certificate, who.key, {}});
}
/// Trusts the test's authority.
inline asio::ssl::context client_context() {
    return sansocket_openssl::make_client_context(
        {certificates::all().authority.certificate, {}, {}});
}

template <class Client>
result connect_to(Client& ws, const std::string& url, const sansocket::options& options = {}) {
    const sansocket_asio::client_options all{{}, {}, {}, options};
    result r;
    ws.async_connect(url, all, r);
    return r;
}

/// What a handshake of a bare TLS stream completed with.
inline std::error_code handshake(loop& l, tls_socket& s,
                                 asio::ssl::stream_base::handshake_type as) {
    const result done;
    s.async_handshake(as, done);
    l.until(done);
    return done.ec();
}

/// A client and a server over TLS, connected and open.
struct tls_pair {
    explicit tls_pair(loop& l, const sansocket::options& of_client = {},
                      const sansocket::options& of_server = {})
        : listener(l), client(l.io, trusts), server(open(l, of_client, of_server)) {}

    asio::ssl::context trusts = client_context();
    asio::ssl::context is = server_context();
    tls_listener listener;
    tls_client client;
    tls_server server;

private:
    tls_server open(loop& l, const sansocket::options& of_client,
                    const sansocket::options& of_server) {
        const result opened = connect_to(client, listener.url(), of_client);
        tls_server made(accept(l, listener.acceptor), is);
        const result accepted;
        made.async_accept({}, of_server, accepted);
        l.until(opened);
        l.until(accepted);
        REQUIRE(!opened.ec());
        REQUIRE(!accepted.ec());
        return made;
    }
};

/// An open client whose server is bytes over TLS.
struct tls_raw_server_pair {
    explicit tls_raw_server_pair(loop& l, const sansocket::options& options = {})
        : listener(l), client(l.io, trusts), peer(l, open(l, options)) {
        peer.accept();
        l.until(opened);
        REQUIRE(!opened.ec());
    }

    asio::ssl::context trusts = client_context();
    asio::ssl::context is = server_context();
    tls_listener listener;
    tls_client client;
    result opened;
    tls_raw_peer peer;

private:
    tls_socket open(loop& l, const sansocket::options& options) {
        opened = connect_to(client, listener.url(), options);
        tls_socket made(accept(l, listener.acceptor), is);
        REQUIRE(!handshake(l, made, asio::ssl::stream_base::server));
        return made;
    }
};

/// An open server whose client is bytes over TLS.
struct tls_raw_client_pair {
    explicit tls_raw_client_pair(loop& l, const sansocket::options& options = {})
        : tls_raw_client_pair(l, tcp_pair(l.io), options) {}

    asio::ssl::context trusts = client_context();
    asio::ssl::context is = server_context();
    tls_raw_peer peer;
    tls_server server;

private:
    tls_raw_client_pair(loop& l, tcp_pair sockets, const sansocket::options& options)
        : peer(l, tls_socket(std::move(sockets.a), trusts)), server(std::move(sockets.b), is) {
        const result accepted;
        server.async_accept({}, options, accepted);
        REQUIRE(!handshake(l, peer.socket, asio::ssl::stream_base::client));
        peer.send(bytes(upgrade_request));
        REQUIRE(peer.read_head().starts_with("HTTP/1.1 101 "));
        l.until(accepted);
        REQUIRE(!accepted.ec());
    }
};

}  // namespace support
