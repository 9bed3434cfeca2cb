// client.hpp
//
// Websockets over TCP or TLS, under short names: which of the two is decided by
// a client's URL, and by whether a server's end was given a context.
#pragma once

#include <sansocket_openssl/stream.hpp>

#include <sansocket_asio/websocket.hpp>

#include <sansocket/wire/role.hpp>

namespace sansocket_openssl {

/// A client for ws:// and wss:// URLs. Made from an executor or an execution context, and a client's
/// asio::ssl::context where it is to trust others than the system does. See `stream`.
///
/// Where the TLS handshake fails, `async_connect` completes with OpenSSL's error, and
/// `failure().why` says what was wrong with a certificate.
using client = sansocket_asio::websocket<sansocket::role::client, stream>;

/// A server's end of one connection: over TLS if it is made from a socket and a server's context,
/// plain if from a socket alone. Accepting includes the TLS handshake, within `opening_timeout`.
using server_connection = sansocket_asio::websocket<sansocket::role::server, stream>;

}  // namespace sansocket_openssl
