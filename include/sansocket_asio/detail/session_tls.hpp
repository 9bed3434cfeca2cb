// session_tls.hpp
//
// How a session begins and ends over a stream that has a handshake and an end of
// its own: TLS. The contract is in session.hpp.
#pragma once

#include <sansocket_asio/detail/session.hpp>

namespace sansocket_asio::detail {

// The stream's own handshake, within the core's opening deadline.
template <class Stream, class Connection>
void session<Stream, Connection>::secure() {
    if constexpr (tls_optional<Stream>) {
        transport_ = transport::securing;
        stream().async_handshake(
            [self = this->shared_from_this()](std::error_code ec) { self->secured(ec); });
        drive();
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::secured(std::error_code ec) {
    if (transport_ != transport::securing) return;
    if (ec) handshake_failed(ec);
    else attach();
}

// The first counts. But a peer's alert, which is read behind a write that failed of the same, says why.
template <class Stream, class Connection>
void session<Stream, Connection>::note(std::error_code ec) noexcept {
    if (!transport_error_ || (is_tls_error(ec) && !is_tls_error(transport_error_)))
        transport_error_ = ec;
}

template <class Stream, class Connection>
void session<Stream, Connection>::handshake_failed(std::error_code ec) {
    note(ec);
    core_->transport_lost(now(), sansocket::errc::tls_handshake_failed);
    drive();
}

// TLS: close_notify out. Behind that, TLS takes no more data, and the core would throw it away: it is
// read and thrown away beneath TLS, for a socket that is closed with input in it may lose its output.
template <class Stream, class Connection>
void session<Stream, Connection>::linger() {
    if constexpr (tls_optional<Stream> && maybe_waitable<Stream>) {
        transport_ = transport::lingering;
        stream().async_shutdown([self = this->shared_from_this()](std::error_code) {});
        std::error_code ignored;
        waiting_socket(stream()).non_blocking(true, ignored);
        discard_input();
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::discard_input() {
    if constexpr (tls_optional<Stream> && maybe_waitable<Stream>)
        waiting_socket(stream()).async_wait(
            ::asio::socket_base::wait_read, [self = this->shared_from_this()](std::error_code ec) {
                if (self->transport_ != transport::lingering) return;
                if (!ec) waiting_socket(self->stream()).read_some(thread_read_buffer(), ec);
                if (!ec || would_block(ec)) return self->discard_input();
                self->core_->receive_end(self->now());
                self->drive();
            });
}

// TLS: close_notify out, and the peer's awaited, for a short time. RFC 8446 6.1. Whatever becomes of
// that, the connection is over, and the transport ends.
template <class Stream, class Connection>
void session<Stream, Connection>::end_in_agreement() {
    if constexpr (ends_by_agreement<Stream>) {
        transport_ = transport::agreeing_on_end;
        const sansocket::time_point latest = now() + shutdown_timeout(stream());
        if (latest < end_by_) end_by_ = latest;
        stream().async_shutdown([self = this->shared_from_this()](std::error_code) {
            if (self->transport_ != transport::agreeing_on_end) return;
            self->end();
            self->drive();
        });
    }
}

// TLS: the peer's stream ended without close_notify. Ours is said, and nothing is waited for: another
// read might never complete.
template <class Stream, class Connection>
void session<Stream, Connection>::cut_off() {
    end_by_ = now();
    core_->receive_end(end_by_, sansocket::errc::tls_truncated);
}

}  // namespace sansocket_asio::detail
