// connection_closing.hpp
//
// How a `connection` closes and ends: what it hands to the closing handshake, and
// what goes with it. The contract is in connection.hpp; what is legal when is
// decided in machine/close_handshake.hpp.
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/connection.hpp>

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_close(
    std::span<const std::byte> payload, bool behind_messages, time_point now) {
    const auto [code, reason, ec] = parse_close_payload(payload);
    if (ec != errc::ok) return fail(ec, now);
    close_.receive(code, std::string{reason}, messages_.inside_fragments());
    keepalive_.stop();
    queue_.end(close_.info().cause);
    const bool answers = !detail::settled(queue_) || (behind_messages && !out_.empty());
    const bool waits = answers && close_delay_ > duration::zero() && !out_.stopped();
    if (waits && close_.state() == close_state::received) return shutdown_.arm(now, close_delay_);
    answer_close(now);
}

// Whether what came before the peer's Close was taken, and what was sent meanwhile is written. 5.5.1:
// "An endpoint MAY delay sending a Close frame until its current message is sent".
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::close_is_next() const noexcept {
    return close_.state() == close_state::received && out_.empty() && detail::settled(queue_);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::answer_close(time_point now) {
    if (close_.state() == close_state::received) shutdown_.disarm();
    shutdown_.arm(now, close_timeout_);
    // 1.4: nothing but our own Close is sent from here on, and that one at once.
    const std::size_t before = out_.bytes();
    const bool dropped = out_.drop_unsent();
    std::size_t kept = out_.bytes();
    if (close_.state() == close_state::received) {
        const close_code code = close_.info().received->code;
        close_.start(code, {});
        push_close(code, {});  // 5.5.1: "typically echos the status code it received"
    } else if (dropped && close_.state() == close_state::replying) {
        push_close(close_.info().sent->code, close_.info().sent->reason);
        kept = out_.bytes();
    }
    close_.drop(before - kept);
    const bool answers = close_.state() == close_state::replying;
    if (answers && out_.stopped()) return end(errc::transport_lost);  // nobody hears the answer
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::close(close_code code,
                                                                std::string_view reason,
                                                                time_point now) {
    if (const errc ec = check_close(code, reason); ec != errc::ok) return ec;
    diagnostics_.at(now);
    keepalive_.told(now);
    if (opening()) {
        if constexpr (is_client) abort(errc::closed_locally);
        else refuse_opening(errc::closed_locally, opening_->answer_to(errc::closed_locally), now);
        return errc::ok;
    }
    if (const errc ec = may_close(); ec != errc::ok) return ec;
    std::string said{reason};  // what can fail comes first: then nothing has changed
    push_close(code, reason);
    close_.start(code, std::move(said));
    keepalive_.stop();
    if (close_.state() == close_state::replying) shutdown_.disarm();  // it waited its turn
    shutdown_.arm(now, close_timeout_);
    if (after_close_ == after_close::discard) queue_.clear();
    changed();
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::push_close(close_code code,
                                                                     std::string_view reason) {
    out_.push(opcode::close, true, make_close_payload(code, reason).bytes(), key_source()());
}

// 7.1.7 "Fail the WebSocket Connection".
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::fail(errc ec, time_point now) {
    const bool says_why = close_.state() == close_state::open;
    const std::string_view reason = describe(ec);
    const auto code = says_why ? std::optional{close_code_for(ec)} : std::nullopt;
    close_.fail(ec, messages_.inside_fragments(), code, std::string{reason});
    if (says_why) {
        const std::size_t before = out_.bytes();
        out_.drop_unsent();
        close_.drop(before - out_.bytes());
        push_close(*code, reason);
    }
    keepalive_.stop();
    shutdown_.arm(now, close_timeout_);
    queue_.end(ec);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_end(time_point now, errc how) {
    diagnostics_.at(now);
    shutdown_.end_of_input();
    // 7.1.4: after the peer's Close, or our failure, this is the expected end; output still goes.
    if (opening() || reads_frames())
        transport_lost(now, out_.stopped() ? errc::transport_lost : how);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::output_lost(time_point now) {
    diagnostics_.at(now);
    keepalive_.told(now);
    close_.drop(out_.bytes());
    out_.stop();
    const auto s = close_.state();
    if (s == close_state::received || s == close_state::replying || s == close_state::failed)
        end(errc::transport_lost);  // nobody hears what was still to be said
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::transport_lost(time_point now, errc how) {
    diagnostics_.at(now);
    keepalive_.told(now);
    shutdown_.end_of_input();
    end(unless_refused(how));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::abort(errc cause) noexcept {
    if (phase() == transport_phase::over) return;
    if (cause == errc::dropped) report_leak();
    queue_.clear();
    give_up(cause);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::end(errc cause) noexcept {
    close_.end(cause, !opening() && incomplete());
    close_.drop(out_.bytes());
    if (opening()) phase_ = opening_phase::failed;
    keepalive_.stop();
    shutdown_.disarm();
    queue_.end(close_.info().cause);
    out_.stop();
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::give_up(errc cause) noexcept {
    shutdown_.abort();
    end(cause);
}

}  // namespace sansocket
