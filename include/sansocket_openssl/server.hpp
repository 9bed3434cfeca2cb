// server.hpp
//
// A server over TLS, or plain TCP, or both: which of the two is decided for each
// listener.
#pragma once

#include <sansocket_openssl/stream.hpp>

#include <sansocket_asio/server.hpp>

namespace sansocket_openssl {

/// A server whose connections are TLS where `listen` is given a function that makes a `stream` of a
/// socket and a server's context, and plain where it is given none.
///
/// Where a TLS handshake fails, `server_observer::handshake_failed` is told OpenSSL's error with
/// errc::tls_handshake_failed.
using server = sansocket_asio::basic_server<stream>;

}  // namespace sansocket_openssl
