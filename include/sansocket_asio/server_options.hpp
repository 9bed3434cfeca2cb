// server_options.hpp
//
// What can be chosen for a server. Every limit is on by default, but for the one
// that would turn a proxy's clients away.
#pragma once

#include <sansocket_asio/server/proxy_networks.hpp>

#include <sansocket/connection.hpp>
#include <sansocket/options.hpp>
#include <sansocket/wire/forwarded.hpp>

#include <asio/socket_base.hpp>

#include <cstddef>
#include <cstdint>

namespace sansocket_asio {

class server_observer;

/// Whether trusted proxies begin each connection with a PROXY header, of version 1 or 2.
enum class proxy_protocol : std::uint8_t {
    off,       ///< A header is an error, as any other bytes that are no request.
    required,  ///< From each trusted proxy, within `options::opening_timeout`, ahead of TLS too.
};

/// Choices and limits of a server.
struct server_options {
    /// Which upgrades are accepted: subprotocols, and the origins that are let in, without which any
    /// page in a browser may connect (RFC 6455 10.2).
    sansocket::server_policy policy{};
    /// Of each connection. `opening_timeout` is the time from its acceptance to the answer to its
    /// request, `http` the limits of that; `decision` is the server's to set.
    sansocket::options connection{};
    /// Connections in all, from their acceptance until transport and handler are over. Those above are
    /// answered 503, and counted. Keep it below the number of descriptors that the process may have.
    std::size_t max_connections = 10'000;
    /// Connections from one IPv4 address or one IPv6 network of 64 bits; 0: no limit. Those above are
    /// answered 429. Unix sockets have no limit. By default none, since behind a proxy that is not
    /// among `trusted_proxies` all clients have one address; set it where clients are known.
    std::size_t max_connections_per_address = 0;
    /// Connections over a limit that are answered at a time; those above are closed at once.
    std::size_t max_refusals = 64;
    /// Proxies whose word on where a client comes from is taken: a list of strings, see
    /// `proxy_networks`. Nobody else is believed. The constructor of the server throws
    /// std::system_error with errc::network_invalid for what is no network. By default nobody, and the
    /// address of the transport is the client's.
    proxy_networks trusted_proxies{};
    /// The field in which those proxies say it. They have to write it into each request, for what they
    /// let through is the client's word. Hops are read from the end, up to the first that is not
    /// trusted. By default none.
    sansocket::forwarded_field forwarded = sansocket::forwarded_field::none;
    /// Whether they say it ahead of everything else. A connection of theirs without such a header
    /// ends, with errc::proxy_header_missing, errc::proxy_header_invalid, errc::proxy_header_too_long,
    /// errc::end_of_stream or errc::opening_timeout. With `forwarded` too, that is looked at where the
    /// header names another trusted proxy. By default off.
    proxy_protocol proxy_header = proxy_protocol::off;
    /// Is told what happens. It has to live as long as the server. By default nobody.
    server_observer* observer = nullptr;
};

/// How a server listens.
struct listen_options {
    /// Connections that may wait to be accepted, as far as the system allows.
    int backlog = ::asio::socket_base::max_listen_connections;
    /// Whether several sockets, each with this option, may listen at one port, among which the system
    /// distributes connections (SO_REUSEPORT). Not everywhere: listening then fails.
    bool reuse_port = false;
};

}  // namespace sansocket_asio
