// proxy_header_op.hpp
//
// Reads the PROXY header that precedes everything on a connection, and not a byte
// more: what follows is for TLS or for the opening handshake, which read for
// themselves. So bytes are looked at first, and taken when it is known whose they
// are.
//
// It has no time limit: the connection has, has begun, and ends the transport.
#pragma once

#include <sansocket_asio/detail/stream_traits.hpp>
#include <sansocket_asio/detail/waiting_handler.hpp>
#include <sansocket_asio/server/detail/trusted_proxies.hpp>

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/proxy_header.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/socket_base.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sansocket_asio::detail {

// A socket from which can be read without taking.
template <class Socket>
concept peekable = requires(Socket& s, ::asio::mutable_buffer buffer, std::error_code& ec) {
    s.receive(buffer, ::asio::socket_base::message_peek, ec);
    s.non_blocking(true, ec);
    s.async_wait(::asio::socket_base::wait_read, [](std::error_code) {});
};

// The socket beneath a stream, as far as the stream shows it.
template <class Stream>
auto& socket_beneath(Stream& stream) noexcept {
    if constexpr (peekable<Stream>) return stream;
    else if constexpr (requires { stream.next_layer(); })
        return socket_beneath(stream.next_layer());
    else return detail::lowest(stream);
}

// Whether a PROXY header can be read ahead of a stream.
template <class Stream>
concept takes_proxy_header = requires(Stream& s) {
    requires peekable<std::remove_reference_t<decltype(detail::socket_beneath(s))>>;
};

template <class Session>
class proxy_header_op final : public waiter {
public:
    // errc::end_of_stream and errc::transport_lost are among the errors.
    using handler = std::function<void(const sansocket::proxy_header&, sansocket::errc)>;

    // What `done` holds keeps `from`.
    static void start(std::shared_ptr<Session> session, const trusted_proxies& from, handler done) {
        auto* const op = new proxy_header_op(std::move(session), from, std::move(done));
        owner self(op);
        std::error_code ignored;
        op->socket().non_blocking(true, ignored);
        op->wait(std::move(self));
    }

private:
    proxy_header_op(std::shared_ptr<Session> session, const trusted_proxies& from,
                    handler done) noexcept
        : session_(std::move(session)), from_(from), done_(std::move(done)) {}
    ~proxy_header_op() = default;
    void destroy() noexcept override { delete this; }
    auto& socket() noexcept { return detail::socket_beneath(session_->stream()); }

    void wait(owner self) {
        socket().async_wait(::asio::socket_base::wait_read, waiting_handler(std::move(self)));
    }
    void woken(owner self, std::error_code ec) override {
        if (session_->ended()) return;
        std::size_t n = 0;
        if (!ec) n = look(ec);
        if (ec == ::asio::error::would_block || ec == ::asio::error::try_again)
            return wait(std::move(self));
        if (ec == ::asio::error::eof) return done_({}, sansocket::errc::end_of_stream);
        if (ec) {
            session_->note(ec);
            return done_({}, sansocket::errc::transport_lost);
        }
        const auto [header, size, result] = from_.parse_header(std::span(seen_).first(taken_ + n));
        // All that was seen of a header that is not complete belongs to it.
        if (result == sansocket::errc::need_more) {
            take(n);
            return wait(std::move(self));
        }
        if (result == sansocket::errc::ok) take(size - taken_);
        done_(header, result);
    }
    // How many more bytes there are, which stay where they are.
    std::size_t look(std::error_code& ec) {
        return socket().receive(rest(), ::asio::socket_base::message_peek, ec);
    }
    void take(std::size_t n) {
        std::error_code ignored;
        taken_ += socket().receive(::asio::buffer(rest(), n), 0, ignored);
    }
    // There is some, for a header is longer than what was taken of it.
    ::asio::mutable_buffer rest() noexcept {
        return {seen_.data() + taken_, seen_.size() - taken_};
    }

    std::shared_ptr<Session> session_;
    const trusted_proxies& from_;
    handler done_;
    std::array<std::byte, sansocket::max_proxy_header> seen_{};
    std::size_t taken_ = 0;
};

}  // namespace sansocket_asio::detail
