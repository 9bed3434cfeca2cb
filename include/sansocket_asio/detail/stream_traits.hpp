// stream_traits.hpp
//
// What the adapter must know of a stream besides reading and writing: whether it
// can wait for input without a buffer, whether it has a handshake of its own, and
// how its transport ends. Of TLS it knows that much, and includes nothing.
#pragma once

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/socket_base.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace sansocket_asio::detail {

// A socket: it can be waited for and then read without blocking, so that idle connections hold no
// read buffer. Asio's IOCP back end cannot wait cheaply.
template <class Stream>
concept waitable = requires(Stream& s, std::error_code& ec) {
    s.non_blocking(true, ec);
    s.async_wait(::asio::socket_base::wait_read, [](std::error_code) {});
#if defined(ASIO_HAS_IOCP)
    requires false;
#endif
};

// Plain or TLS, chosen at run time. Plain, it is its lowest layer.
template <class Stream>
concept tls_optional = requires(Stream& s, void (&done)(std::error_code)) {
    { s.uses_tls() } -> std::same_as<bool>;
    { s.use_tls(std::string_view{}) } -> std::same_as<std::error_code>;  // as a client of that host
    { s.needs_handshake() } -> std::same_as<bool>;
    s.async_handshake(done);
};

// Whose end is agreed on with the peer: close_notify in both directions.
template <class Stream>
concept ends_by_agreement = requires(Stream& s, void (&done)(std::error_code)) {
    s.async_shutdown(done);
};

template <class Stream>
concept layered = requires(Stream& s) {
    s.lowest_layer();
};

template <class Stream>
auto& lowest(Stream& stream) noexcept {
    if constexpr (layered<Stream>) return stream.lowest_layer();
    else return stream;
}

template <class Stream>
concept maybe_waitable = waitable<Stream> ||(tls_optional<Stream>&& requires(Stream& s) {
    requires waitable<std::remove_reference_t<decltype(s.lowest_layer())>>;
});

// Whether it can be waited for, as it is now.
template <class Stream>
bool waits(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return maybe_waitable<Stream> && !stream.uses_tls();
    else return waitable<Stream>;
}

// The socket to wait for, of one that waits.
template <maybe_waitable Stream>
auto& waiting_socket(Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.lowest_layer();
    else return stream;
}

template <class Stream>
bool needs_handshake(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.needs_handshake();
    else return false;
}

// Whether its end, as it is now, takes an exchange with the peer.
template <class Stream>
bool agrees_on_end(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.uses_tls();
    else return ends_by_agreement<Stream>;
}

// How long that may take.
template <class Stream>
std::chrono::steady_clock::duration shutdown_timeout(const Stream& stream) noexcept {
    if constexpr (requires { stream.shutdown_timeout(); }) return stream.shutdown_timeout();
    else return std::chrono::seconds(1);
}

// Small messages go out at once. Other transports than TCP do not know the option.
template <class Stream>
void no_delay(Stream& stream) noexcept {
    std::error_code ignored;
    const ::asio::ip::tcp::no_delay option{true};
    auto& socket = detail::lowest(stream);
    if constexpr (requires { socket.set_option(option, ignored); })
        socket.set_option(option, ignored);
}

// No more will be written; reading goes on. Only a plain socket can say so.
template <class Stream>
void half_close(Stream& stream) noexcept {
    std::error_code ignored;
    if constexpr (maybe_waitable<Stream>)
        if (waits(stream))
            waiting_socket(stream).shutdown(::asio::socket_base::shutdown_send, ignored);
}

// Ends the transport in the ordinary way.
template <class Stream>
void close(Stream& stream) noexcept {
    std::error_code ignored;
    auto& socket = detail::lowest(stream);
    if constexpr (requires { socket.close(ignored); }) socket.close(ignored);
    else socket.close();
}

// Drops the transport: what is still unsent is thrown away, and the peer sees a reset.
template <class Stream>
void abort(Stream& stream) noexcept {
    std::error_code ignored;
    auto& socket = detail::lowest(stream);
    const ::asio::socket_base::linger at_once{true, 0};
    if constexpr (requires { socket.set_option(at_once, ignored); })
        socket.set_option(at_once, ignored);
    detail::close(stream);
}

// Whether a socket that does not block has, or takes, nothing for now.
inline bool would_block(const std::error_code& ec) noexcept {
    return ec == ::asio::error::would_block || ec == ::asio::error::try_again;
}

// A TLS stream that ended without close_notify. Named by its category, so that nothing of TLS need be
// included.
inline bool is_truncation(const std::error_code& ec) noexcept {
    constexpr int stream_truncated = 1;
    return ec.value() == stream_truncated &&
           ec.category().name() == std::string_view{"asio.ssl.stream"};
}

// An error that TLS itself tells, such as an alert of the peer's.
inline bool is_tls_error(const std::error_code& ec) noexcept {
    return ec.category().name() == std::string_view{"asio.ssl"};
}

// What more a stream knows of an error that it gave.
template <class Stream>
std::string reason_of(Stream& stream, const std::error_code& ec) {
    if constexpr (requires { std::string_view{stream.reason_of(ec)}; })
        return std::string{stream.reason_of(ec)};
    else return {};
}

inline constexpr std::size_t read_buffer_size = 64 * 1024;

// One for each thread: whole reads are handed to the core before anything else runs.
inline ::asio::mutable_buffer thread_read_buffer() {
    thread_local const std::unique_ptr<std::byte[]> buffer(new std::byte[read_buffer_size]);
    return {buffer.get(), read_buffer_size};
}

}  // namespace sansocket_asio::detail
