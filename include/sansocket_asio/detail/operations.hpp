// operations.hpp
//
// What each of a websocket's asynchronous operations waits for. See wait_op.hpp
// for the shape.
#pragma once

#include <sansocket/connection.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

// The opening handshake is over, well or not. Whoever waits for that began it.
struct opened {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        switch (s.core_->state()) {
        case sansocket::connection_state::opening: return std::nullopt;
        case sansocket::connection_state::open:
        case sansocket::connection_state::closing: return std::error_code{};
        case sansocket::connection_state::closed:
            return s.core_->was_opened() ? std::error_code{} : s.ending();
        }
        return std::nullopt;
    }
};

// A server has a request to decide on.
struct asked {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        if (s.core_->deciding()) return std::error_code{};
        if (s.core_->state() == sansocket::connection_state::opening) return std::nullopt;
        return s.over() ? s.ending() : std::error_code{sansocket::errc::not_deciding};
    }
};

// Begins the connection, and waits for the step `Until`.
template <class Until, class Begin>
struct begin_operation {
    using result = void;

    std::optional<Begin> begin;  // errc(session&)

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (begin) {
            const sansocket::errc ec = (*begin)(s);
            begin.reset();
            if (ec != sansocket::errc::ok) return ec;
        }
        return Until::look(s);
    }
    template <class Session>
    void cancelled(Session& s) const noexcept {
        s.abort(sansocket::errc::cancelled);
    }
};

// A message, or the end: that one is told when the closing handshake is done. A message that is here
// already is taken when the operation completes, and not before: cancelled in between, it stays.
struct receive_operation {
    using result = sansocket::message;

    sansocket::message value{};
    bool mine = false;     // whether this is the session's one receiver
    bool at_once = false;  // whether there is nothing to wait for

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.readable();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        return mine ? take(s) : claim(s);
    }
    template <class Session>
    void cancelled(Session& s) const noexcept {
        s.receiving_ = false;
    }

private:
    template <class Session>
    std::optional<std::error_code> claim(Session& s) {
        if (s.receiving_) return sansocket::errc::operation_in_progress;
        if (s.core_->messages().size() == 0 && s.stalled()) s.drive();  // try_receive has made room
        at_once = s.core_->messages().size() != 0;
        if (!at_once && s.over()) return s.core_->close_info().cause;
        s.receiving_ = mine = true;
        return std::nullopt;
    }
    template <class Session>
    std::optional<std::error_code> take(Session& s) {
        auto message = s.core_->messages().pop();
        s.receiving_ = mine = !message && !s.over();
        if (mine) return std::nullopt;
        if (!message) return s.core_->close_info().cause;
        value = sansocket::message{*message};
        s.drive();  // there may be room again
        return std::error_code{};
    }
};

// Room for what `Send` sends. Senders that wait go on in the order in which they came.
template <class Send>
struct send_operation {
    using result = void;

    Send send;  // errc(connection&)
    std::optional<std::uint64_t> ticket{};

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        const bool first = s.senders_.empty() || (ticket && s.senders_.front() == *ticket);
        sansocket::errc ec = sansocket::errc::backpressure;
        if (first || s.core_->state() != sansocket::connection_state::open) ec = send(*s.core_);
        if (ec == sansocket::errc::backpressure) {
            if (!ticket) s.senders_.push_back(ticket.emplace(s.next_sender_++));
            return std::nullopt;
        }
        leave(s);
        s.drive();
        return ec;
    }
    template <class Session>
    void cancelled(Session& s) noexcept {
        leave(s);
        s.drive();
    }
    template <class Session>
    void leave(Session& s) noexcept {
        if (ticket) std::erase(s.senders_, *ticket);
    }
};

// The end of the closing handshake. Success if it was clean.
struct close_operation {
    using result = void;

    sansocket::close_code code;
    std::string reason;
    bool asked = false;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!std::exchange(asked, true)) {
            const sansocket::errc ec = s.core_->close(code, reason, s.now());
            s.drive();
            const bool joins = ec == sansocket::errc::closing || ec == sansocket::errc::closed;
            if (ec != sansocket::errc::ok && !joins) return ec;
        }
        return s.over() ? std::optional{s.ending()} : std::nullopt;
    }
    template <class Session>
    void cancelled(Session& s) const noexcept {
        s.abort(sansocket::errc::cancelled);
    }
};

}  // namespace sansocket_asio::detail
