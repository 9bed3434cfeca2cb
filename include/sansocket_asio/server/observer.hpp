// observer.hpp
//
// Who is told what a server does: for logs and traces. Where nobody is, nothing is
// printed, but for what diagnostics.hpp says of debug builds.
#pragma once

#include <sansocket_asio/server/peer_address.hpp>

#include <sansocket/snapshot.hpp>
#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/error.hpp>

#include <cstdint>
#include <exception>
#include <system_error>

namespace sansocket_asio {

/// Why a server did not take a connection.
enum class server_refusal : std::uint8_t {
    connections,              ///< `server_options::max_connections`.
    connections_per_address,  ///< `server_options::max_connections_per_address`.
    stopping,                 ///< It came while the server was stopping.
};

/// How a WebSocket ended. It and its views live as long as the call that tells of it.
struct websocket_ending {
    const sansocket::close_info& info;  ///< How it ended, and why. RFC 6455 7.1.
    /// As `websocket::transport_error()`: what the system or OpenSSL said, where the transport failed.
    std::error_code transport_error;
    /// As `connection::explain()`: how long nothing had come, the round trip, what had not been sent.
    sansocket::connection_snapshot snapshot;
};

/// Is told of a server's life, on the server's executor. Each function does nothing by default, and
/// must not destroy the server. Addresses are the client's, as far as is known by then.
class server_observer {
public:
    server_observer() = default;
    server_observer(const server_observer&) = delete;
    server_observer& operator=(const server_observer&) = delete;
    virtual ~server_observer() = default;

    /// A connection came, from this address. One of the others follows, `closed` behind `opened`.
    virtual void accepted(const peer_address&) noexcept {}
    /// A trusted proxy has told, in its PROXY header or its request, for whom the connection is: for
    /// `client`, which is the proxy itself where it did not say. Once, and all that is told of the
    /// connection from then on is told of `client`. The error is errc::forwarded_invalid where a hop
    /// could not be read.
    virtual void identified(const peer_address& /*proxy*/, const peer_address& /*client*/,
                            sansocket::errc) noexcept {}
    /// It is over a limit.
    virtual void refused(const peer_address&, server_refusal) noexcept {}
    /// It is a WebSocket now.
    virtual void opened(const peer_address&) noexcept {}
    /// The WebSocket is over, its transport too, and its handler has returned.
    virtual void closed(const peer_address&, const websocket_ending&) noexcept {}
    /// It sent a plain HTTP request, which was answered with `status`.
    virtual void http_answered(const peer_address&, std::uint16_t /*status*/) noexcept {}
    /// It did not become a WebSocket: errc::refused_by_application, errc::opening_timeout, or what
    /// was wrong with the request. The second error is `websocket::transport_error()`: of
    /// errc::tls_handshake_failed, OpenSSL's words for why.
    virtual void handshake_failed(const peer_address&, sansocket::errc,
                                  std::error_code /*transport_error*/) noexcept {}
    /// No connection could be taken. The server goes on: at once where only that connection was at
    /// fault, and after a pause where there are no descriptors or no memory.
    virtual void accept_failed(std::error_code) noexcept {}
    /// An exception left a handler of the application. The connection ends with 1011, or the request
    /// is answered with 500. Not told of std::system_error from a connection that is over: that is how
    /// its operations end a coroutine.
    virtual void handler_failed(const peer_address&, const std::exception_ptr&) noexcept {}
};

}  // namespace sansocket_asio
