// operations.hpp
//
// What each of a websocket's asynchronous operations waits for. See wait_op.hpp
// for the shape.
#pragma once

#include <sansocket_asio/detail/message_handler.hpp>
#include <sansocket_asio/detail/sender_line.hpp>

#include <sansocket/connection.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// What takes the messages.
enum class receiver : std::uint8_t { none, receive, piece, run };

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

    std::unique_ptr<Begin> begin;  // errc(session&); gone when it was called

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

// What a receive takes: whole messages.
struct whole_messages {
    using result = sansocket::message;
    static constexpr receiver who = receiver::receive;
    template <class Queue>
    static bool ready(const Queue& q) noexcept {
        return q.size() != 0;
    }
    template <class Queue>
    static auto take(Queue& q) noexcept {
        return q.pop();
    }
};

// And what has come of one.
struct pieces {
    using result = sansocket::message_piece;
    static constexpr receiver who = receiver::piece;
    template <class Queue>
    static bool ready(const Queue& q) noexcept {
        return q.piece_ready();
    }
    template <class Queue>
    static auto take(Queue& q) noexcept {
        return q.pop_piece();
    }
};

// A message or a piece, or the end: that one is told when the closing handshake is done. What is here
// already is taken when the operation completes, and not before: cancelled in between, it stays.
template <class What>
struct receive_operation {
    using result = typename What::result;

    result value{};
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
    void let_go(Session& s) const noexcept {
        if (mine) s.receiver_ = receiver::none;
    }

private:
    template <class Session>
    std::optional<std::error_code> claim(Session& s) {
        if (s.receiver_ != receiver::none) return sansocket::errc::operation_in_progress;
        auto& queue = s.core_->messages();
        if (!What::ready(queue)) {
            (void)What::take(queue);     // gives nothing: says what is taken, and that all was
            if (s.stalled()) s.drive();  // that has made room
        }
        at_once = What::ready(queue);
        if (!at_once && s.over()) return s.core_->close_info().cause;
        s.receiver_ = What::who;
        mine = true;
        return std::nullopt;
    }
    template <class Session>
    std::optional<std::error_code> take(Session& s) {
        auto taken = What::take(s.core_->messages());
        mine = !taken && !s.over();
        s.receiver_ = mine ? What::who : receiver::none;
        if (mine) return std::nullopt;
        if (!taken) return s.core_->close_info().cause;
        value = result{*taken};
        s.drive();  // there may be room again
        return std::error_code{};
    }
};

// Every message, to a handler, until the end: that one is told when all were handed over.
struct run_operation {
    using result = void;

    std::shared_ptr<message_handler> handler;
    bool waits_for_room;
    bool mine = false;  // whether this is the session's one receiver

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.readable();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!mine && s.receiver_ != receiver::none) return sansocket::errc::operation_in_progress;
        if (!std::exchange(mine, true)) {
            s.receiver_ = receiver::run;
            if (s.core_->messages().size() == 0) (void)s.core_->messages().pop();  // as above
            s.start_run(handler, waits_for_room);
        }
        const bool failed = !s.runs();  // the handler has thrown
        if (!s.over() || (s.core_->messages().size() != 0 && !failed)) return std::nullopt;
        let_go(s);
        return failed ? std::error_code{s.core_->close_info().cause} : s.ending();
    }
    template <class Session>
    void let_go(Session& s) const noexcept {
        if (!mine) return;
        s.receiver_ = receiver::none;
        s.stop_run();
    }
};

// Room for what `Send` sends. Senders that wait go on in the order in which they came; where too many
// do, no other begins to, but for the adapter's own.
template <class Send, class Session>
struct send_operation {
    using result = void;

    Send send;                           // errc(connection&)
    std::optional<std::size_t> given{};  // bytes that it holds; nothing: the adapter's own
    std::optional<typename Session::place> place{};

    auto& timer(Session&) const noexcept { return (*place)->timer; }
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        const bool open = s.core_->state() == sansocket::connection_state::open;
        sansocket::errc ec = sansocket::errc::backpressure;
        if (!open || s.is_first(place)) ec = send(*s.core_);
        if (waits(ec)) {
            if (!place) {
                if (given && !s.senders().has_room()) return sansocket::errc::backpressure;
                place = s.line_up(line::back, given.value_or(0));
            }
            return std::nullopt;
        }
        if (place) s.step_out(*std::exchange(place, std::nullopt));
        if (ec == sansocket::errc::ok) s.drive();
        return ec;
    }

    // For room, or for the end of the message that is being sent.
    static bool waits(sansocket::errc ec) noexcept {
        return ec == sansocket::errc::backpressure || ec == sansocket::errc::message_in_progress;
    }
    void let_go(Session& s) noexcept {
        if (place) s.step_out_or_end(*place);
        place.reset();
    }
};

// Room for a part of a message, frame by frame. It waits ahead of those that send messages.
template <class Session>
struct append_operation {
    using result = std::size_t;

    std::span<const std::byte> rest;
    bool fin;
    std::size_t value = 0;  // bytes that were taken
    bool at_once = false;   // whether there is nothing to wait for
    std::optional<typename Session::place> place{};

    auto& timer(Session&) const noexcept { return (*place)->timer; }
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!place && s.appending_) return sansocket::errc::operation_in_progress;
        const sansocket::errc ec = append(*s.core_);
        if (ec == sansocket::errc::backpressure) {
            if (!place) place = s.line_up(line::front);
            s.appending_ = true;
            s.drive();                          // a part was taken
            at_once = !s.core_->output_full();  // and is written already
            return std::nullopt;
        }
        if (place) s.appending_ = false;
        if (place) s.step_out(*std::exchange(place, std::nullopt));
        s.drive();
        return ec;
    }

    template <class Connection>
    sansocket::errc append(Connection& core) {
        for (;;) {
            const bool last = rest.size() <= core.fragment_bytes();
            const auto part = last ? rest : rest.first(core.fragment_bytes());
            const sansocket::errc ec = fin && last ? core.finish(part) : core.append(part);
            if (ec != sansocket::errc::ok) return ec;
            value += part.size();
            rest = rest.subspan(part.size());
            if (last) return ec;
        }
    }
    void let_go(Session& s) noexcept {
        if (!place) return;
        s.appending_ = false;
        s.step_out_or_end(*place);
        place.reset();
    }
};

// Little enough waits to be sent, and nobody for room.
struct drain_operation {
    using result = void;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) const {
        if (!s.core_) return sansocket::errc::not_open;
        switch (s.core_->state()) {
        case sansocket::connection_state::opening: return sansocket::errc::not_open;
        case sansocket::connection_state::open:
        case sansocket::connection_state::closing: break;
        case sansocket::connection_state::closed: return s.core_->close_info().cause;
        }
        const bool drained = s.core_->output_drained() && !s.senders_wait();
        return drained ? std::optional{std::error_code{}} : std::nullopt;
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

// The end of the transport, and the Close before it. Success if the closing handshake was clean.
struct shutdown_operation {
    using result = void;
    static constexpr bool outlives_websocket = true;

    sansocket::close_code code;
    std::string reason;
    bool asked = false;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return std::error_code{};
        if (!std::exchange(asked, true)) {
            (void)s.core_->close(code, reason, s.now());  // one that ends already goes on
            s.drive();
        }
        return s.ended() ? std::optional{s.ending()} : std::nullopt;
    }
};

}  // namespace sansocket_asio::detail
