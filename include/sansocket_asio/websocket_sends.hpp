// websocket_sends.hpp
//
// How a websocket sends: the functions that it has from here. Ordinary ones wait
// for room; `try_send` does not; `post` says what becomes of what there is no room
// for; `sender` is for other threads.
#pragma once

#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/outbox.hpp>
#include <sansocket_asio/detail/wait_op.hpp>
#include <sansocket_asio/sender.hpp>
#include <sansocket_asio/when_full.hpp>

#include <sansocket/prepared_message.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <asio/async_result.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sansocket_asio {

/// The sending functions of `Websocket`, a websocket, which is derived from this.
///
/// Completion signatures are void(std::error_code) where nothing else is said. Cancellation, total,
/// of a send, a ping, or the start of a message: nothing of it was sent; the connection goes on.
template <class Websocket, class Session>
class websocket_sends {
    using executor_type = typename Session::executor_type;

public:
    /// Sends a text message. Completes once the connection has taken it, at the latest when there is
    /// room; `text` must stay as it is until then. errc::text_not_utf8, errc::closing, errc::closed;
    /// errc::backpressure where it would wait and `sender_limits` say that too many do.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_text(std::string_view text, Token&& token = Token{}) {
        return async_send(sansocket::message_kind::text, std::as_bytes(std::span{text}),
                          std::forward<Token>(token));
    }
    /// Sends a binary message, in the same way.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_binary(std::span<const std::byte> bytes, Token&& token = Token{}) {
        return async_send(sansocket::message_kind::binary, bytes, std::forward<Token>(token));
    }
    /// Sends a message of either kind, in the same way.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message_kind kind, std::span<const std::byte> payload,
                    Token&& token = Token{}) {
        return send_with([kind, payload](auto& core) { return core.send(kind, payload); },
                         std::forward<Token>(token));
    }
    /// The same, compressed or not where that was agreed on. RFC 7692 6.1.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message_kind kind, std::span<const std::byte> payload,
                    sansocket::compression how, Token&& token = Token{}) {
        return send_with([kind, payload, how](auto& core) { return core.send(kind, payload, how); },
                         std::forward<Token>(token));
    }
    /// Sends a message that is given away; a large one is not copied.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message message, Token&& token = Token{}) {
        const std::size_t given = message.data.size();
        return send_with(
            [message = std::move(message)](auto& core) mutable {
                return core.send(std::move(message));  // unchanged if it is not taken
            },
            std::forward<Token>(token), given);
    }
    /// Sends a message that is made once for many connections.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::prepared_message prepared, Token&& token = Token{}) {
        const std::size_t given = prepared.payload().size();
        return send_with(
            [prepared = std::move(prepared)](auto& core) { return core.send(prepared); },
            std::forward<Token>(token), given);
    }
    /// Sends a message in frames of at most `send_limits::fragment_bytes`, so that Pings, Pongs and a
    /// Close need not wait for all of it. It is copied, and taken at once.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_fragmented(sansocket::message_kind kind, std::span<const std::byte> payload,
                               Token&& token = Token{}) {
        return send_with(
            [kind, payload](auto& core) { return core.send_fragmented(kind, payload); },
            std::forward<Token>(token));
    }

    /// Begins a message that is sent in parts. RFC 6455 5.4. Where another one is, it waits for its
    /// end, as `async_send` does until `async_finish` has completed. Cancellation, total: none is begun.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_start(sansocket::message_kind kind, Token&& token = Token{}) {
        return send_with([kind](auto& core) { return core.start(kind); },
                         std::forward<Token>(token));
    }
    /// Sends its next part, frame by frame, as there is room. `part` must stay as it is until then.
    /// Signature void(std::error_code, std::size_t): how many bytes were taken.
    ///
    /// errc::no_message_in_progress; errc::operation_in_progress where another part waits;
    /// errc::text_not_utf8, where a code point may be cut at the end of a part. Cancellation, total:
    /// the message is still in progress, and what was taken will be sent.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_append(std::span<const std::byte> part, Token&& token = Token{}) {
        return append(part, false, std::forward<Token>(token));
    }
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_append(std::string_view part, Token&& token = Token{}) {
        return append(std::as_bytes(std::span{part}), false, std::forward<Token>(token));
    }
    /// Sends its last part, which may be empty, in the same way. Whoever waits goes on.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_finish(std::span<const std::byte> part, Token&& token = Token{}) {
        return append(part, true, std::forward<Token>(token));
    }
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_finish(std::string_view part, Token&& token = Token{}) {
        return append(std::as_bytes(std::span{part}), true, std::forward<Token>(token));
    }

    /// Sends at once, or says why not: errc::backpressure where `async_send` would wait.
    sansocket::errc try_send(sansocket::message_kind kind, std::span<const std::byte> payload) {
        return try_send_with([&](auto& core) { return core.send(kind, payload); });
    }
    sansocket::errc try_send(const sansocket::prepared_message& prepared) {
        return try_send_with([&](auto& core) { return core.send(prepared); });
    }

    /// Sends without waiting. Where there is no room, `full` says what becomes of it. Behind senders
    /// that wait, and while a message is sent in parts, it has its turn in the backlog first.
    ///
    /// @return success if it was sent, or waits in the backlog; or a name and it is not sent:
    ///         errc::backpressure as `full` says; errc::not_open, errc::closing, errc::closed,
    ///         errc::text_not_utf8.
    sansocket::errc post(sansocket::message message, when_full full) {
        return session() ? session()->post({std::move(message), full}) : sansocket::errc::closed;
    }
    /// The same with a message that is made once for many connections.
    sansocket::errc post(sansocket::prepared_message prepared, when_full full) {
        return session() ? session()->post({std::move(prepared), full}) : sansocket::errc::closed;
    }
    /// How often `when_full` was applied, by `post`, senders and groups.
    [[nodiscard]] drop_counters dropped_messages() const {
        const auto& s = static_cast<const Websocket&>(*this).session_;
        return s ? s->dropped_messages() : drop_counters{};
    }
    /// Limits what waits in front of the send queue: what `post` and `sender` keep. From now on.
    void limit_backlog(const backlog_limits& limits) {
        if (session()) session()->shared_outbox()->limit(limits);
    }

    /// Limits the sends that wait for room. From now on: what waits already goes on waiting.
    void limit_senders(const sender_limits& limits) {
        if (session()) session()->limit_senders(limits);
    }

    /// Completes once what waits to be sent is at or under `send_limits::low_bytes` and no sender
    /// waits; if that is so, at once. Else with what ended the connection. Cancellation, total.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_drain(Token&& token = Token{}) {
        return run<void(std::error_code)>(detail::drain_operation{}, std::forward<Token>(token));
    }

    /// Sends a Ping of at most 125 bytes. RFC 6455 5.5.2. errc::control_too_long.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_ping(std::span<const std::byte> payload, Token&& token = Token{}) {
        return send_with([payload](auto& core) { return core.send_ping(payload); },
                         std::forward<Token>(token));
    }

    /// A handle to send with from other threads. Made on the websocket's executor, at any time.
    ///
    /// It waits in the backlog until the executor has taken it to the connection: within `limits`,
    /// which the first of these calls decides, or `limit_backlog`.
    [[nodiscard]] sansocket_asio::sender sender(const backlog_limits& limits = {}) {
        if (!session()) return {};
        return sansocket_asio::sender(session()->shared_outbox(limits));
    }
    /// The same with so many bytes.
    [[nodiscard]] sansocket_asio::sender sender(std::size_t max_bytes) {
        return sender(backlog_limits{.bytes = max_bytes});
    }

protected:
    websocket_sends() = default;
    ~websocket_sends() = default;

private:
    auto& session() noexcept { return static_cast<Websocket&>(*this).session_; }

    template <class Send>
    sansocket::errc try_send_with(Send send) {
        auto& self = static_cast<Websocket&>(*this);
        const bool open = self.state() == sansocket::connection_state::open;
        if (open && session()->senders_wait()) return sansocket::errc::backpressure;
        return self.change(send);
    }
    template <class Send, class Token>
    auto send_with(Send send, Token&& token, std::size_t given = 0) {
        return run<void(std::error_code)>(
            detail::send_operation<Send, Session>{std::move(send), given},
            std::forward<Token>(token));
    }
    template <class Token>
    auto append(std::span<const std::byte> part, bool fin, Token&& token) {
        return run<void(std::error_code, std::size_t)>(detail::append_operation<Session>{part, fin},
                                                       std::forward<Token>(token));
    }
    template <class Signature, class Operation, class Token>
    auto run(Operation operation, Token&& token) {
        return static_cast<Websocket&>(*this).template run<Signature>(std::move(operation),
                                                                      std::forward<Token>(token));
    }
};

}  // namespace sansocket_asio
