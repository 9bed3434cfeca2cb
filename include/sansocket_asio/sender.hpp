// sender.hpp
//
// A handle to send with from any thread. It keeps neither the connection nor its
// io_context alive, and answers `closed` once the connection is over or its
// websocket is gone.
#pragma once

#include <sansocket_asio/detail/outbox.hpp>
#include <sansocket_asio/when_full.hpp>

#include <sansocket/prepared_message.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/close_payload.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sansocket_asio {

namespace detail {
template <class, class>
class websocket_sends;
}  // namespace detail

/// Sends over one connection, from any thread. `websocket::sender` makes it; copies share it.
///
/// What one thread sends arrives in the order in which it was sent. All calls are safe at any time,
/// on any thread, also after the websocket was destroyed; the websocket's execution context must
/// outlive the websocket.
class sender {
public:
    /// A handle of nothing, that is closed.
    sender() = default;

    /// Sends a message. It is handed to the connection behind what this handle and its copies sent
    /// before.
    ///
    /// @return success, or a name and nothing is sent: errc::not_open, errc::closing, errc::closed;
    ///         errc::backpressure where as much waits as the handle may hold; errc::text_not_utf8.
    ///         What was taken is lost, like all that is unsent, if the connection ends before.
    [[nodiscard]] sansocket::errc send(sansocket::message message) const {
        return push({std::move(message)});
    }
    /// Sends a message that is made once for many connections, in the same way.
    [[nodiscard]] sansocket::errc send(sansocket::prepared_message prepared) const {
        return push({std::move(prepared)});
    }
    /// The same where `full` says what becomes of it if the handle holds as much as it may, or the
    /// connection has no room for it when its turn comes. See `websocket::dropped_messages`.
    sansocket::errc send(sansocket::message message, when_full full) const {
        return push({std::move(message), full});
    }
    sansocket::errc send(sansocket::prepared_message prepared, when_full full) const {
        return push({std::move(prepared), full});
    }
    /// Sends a text message, in the same way.
    [[nodiscard]] sansocket::errc send_text(std::string text) const {
        return send({sansocket::message_kind::text, std::move(text)});
    }
    /// Sends a binary message, copied, in the same way.
    [[nodiscard]] sansocket::errc send_binary(std::span<const std::byte> bytes) const {
        const auto* const data = reinterpret_cast<const char*>(bytes.data());
        return send({sansocket::message_kind::binary, std::string(data, bytes.size())});
    }
    /// Starts the closing handshake behind what was sent through this handle. RFC 6455 7.1.2.
    ///
    /// @return as `send`; also errc::invalid_close_code, errc::close_reason_too_long.
    sansocket::errc close(sansocket::close_code code, std::string_view reason = {}) const {
        if (const auto ec = sansocket::check_close(code, reason); ec != sansocket::errc::ok)
            return ec;
        if (!outbox_) return sansocket::errc::closed;
        return outbox_->push({sansocket::close_frame{code, std::string{reason}}});
    }
    /// Bytes that wait to be handed to the connection, 64 more for each message.
    [[nodiscard]] std::size_t bytes() const { return outbox_ ? outbox_->bytes() : 0; }

private:
    template <class, class>
    friend class websocket_sends;
    explicit sender(std::shared_ptr<detail::outbox> outbox) : outbox_(std::move(outbox)) {}
    sansocket::errc push(detail::outbox::item given) const {
        if (!outbox_) return sansocket::errc::closed;
        if (const auto ec = detail::outbox::check(given); ec != sansocket::errc::ok) return ec;
        return outbox_->push(std::move(given));
    }

    std::shared_ptr<detail::outbox> outbox_;
};

}  // namespace sansocket_asio
