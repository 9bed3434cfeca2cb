// session_messages.hpp
//
// How a session wakes who waits for messages or for room, hands messages to a run,
// and sends what others left with it. Its class is in session.hpp.
#pragma once

#include <sansocket_asio/detail/session.hpp>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
void session<Stream, Connection>::wake() {
    const bool open = core_->state() == sansocket::connection_state::open;
    if (brings_something()) wake_all();
    else if (!open || core_->output_drained() || dropped_) wake_others();
    wake_senders();
    if (outbox_) outbox_->answer(answer());
    hand_over_soon();
}

// To who sends.
template <class Stream, class Connection>
sansocket::errc session<Stream, Connection>::answer() const noexcept {
    if (!core_) return sansocket::errc::not_open;
    switch (core_->state()) {
    case sansocket::connection_state::opening: return sansocket::errc::not_open;
    case sansocket::connection_state::open: return sansocket::errc::ok;
    case sansocket::connection_state::closing: return sansocket::errc::closing;
    case sansocket::connection_state::closed: break;
    }
    return sansocket::errc::closed;
}

// The first in the line when there is room; all of them when there will be none any more.
template <class Stream, class Connection>
void session<Stream, Connection>::wake_senders() noexcept {
    if (!senders_wait()) return;
    if (core_->state() != sansocket::connection_state::open || dropped_) io_->senders.wake_all();
    else if (core_->output_drained()) io_->senders.wake_first();
}

// To whoever waits for messages.
template <class Stream, class Connection>
bool session<Stream, Connection>::brings_something() const noexcept {
    bool here = core_->messages().size() != 0;
    if constexpr (requires { core_->messages().piece_ready(); })
        here = here || (receiver_ == receiver::piece && core_->messages().piece_ready());
    if (receiver_ == receiver::run) return (over() && !(here && runs())) || dropped_;
    return here || over() || dropped_;
}

template <class Stream, class Connection>
bool session<Stream, Connection>::may_hand_over() noexcept {
    if (!runs() || dropped_ || core_->messages().size() == 0) return false;
    if (!waits_for_room_ || core_->state() != sansocket::connection_state::open) return true;
    // A sender may also wait for the end of a message that the handler itself sends in parts.
    const bool others_first = senders_wait() && core_->output_bytes() != 0;
    if (lags_) lags_ = !core_->output_drained() || others_first;
    else lags_ = core_->output_full() || others_first;
    return !lags_;
}

// Gives the run's handler what is here. Only in functions that the executor called: a handler is
// never called by what it calls, and its exceptions leave through the executor.
template <class Stream, class Connection>
void session<Stream, Connection>::hand_over() {
    const auto handler = run_.lock();
    if (!handler) return;
    try {
        const corked until_all_are_handed_over(*this);
        while (may_hand_over()) {
            const auto message = core_->messages().pop();
            (*handler)(*message);
        }
        if (core_->messages().size() == 0) (void)core_->messages().pop();  // gives memory back
    } catch (...) {
        stop_run();
        (void)core_->close(sansocket::close_code::internal_error, {}, now());
        drive();
        throw;
    }
}

// Of messages that no read brings: they came before the run, or had to wait for room.
template <class Stream, class Connection>
void session<Stream, Connection>::hand_over_soon() {
    if (hand_over_posted_ || corks_ != 0 || !may_hand_over()) return;
    ::asio::post(stream().get_executor(),
                 weak_waiter<session, to_hand_over>::wait(this->weak_from_this()));
    hand_over_posted_ = true;  // unless that has thrown
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(to_hand_over, std::error_code) {
    hand_over_posted_ = false;
    if (!io_) return;
    hand_over();
    drive();
}

template <class Stream, class Connection>
std::shared_ptr<outbox> session<Stream, Connection>::shared_outbox(const backlog_limits& limits) {
    if (outbox_) return outbox_;
    if (!io_) return outbox_ = std::make_shared<outbox>(limits, sansocket::errc::closed, [] {});
    outbox_ = std::make_shared<outbox>(
        limits, answer(), [ex = stream().get_executor(), weak = this->weak_from_this()] {
            ::asio::post(ex, [weak] {
                if (const auto self = weak.lock()) self->empty_outbox();
            });
        });
    return outbox_;
}

// What other threads sent waits its turn like any other sender.
template <class Stream, class Connection>
void session<Stream, Connection>::empty_outbox() {
    if (core_ && outbox_->too_slow()) {
        outbox_->close_slow(*core_, now());
        drive();
    }
    const auto pass_on = [this](Connection& core) {  // the operation keeps the session
        const auto ec = outbox_->pass_on(core, now());
        if (ec == sansocket::errc::backpressure) gather(0, 0);  // a part was taken: once this waits
        return ec;
    };
    wait_in_background(this->shared_from_this(),
                       send_operation<decltype(pass_on), session>{pass_on}, stream().get_executor(),
                       [](std::error_code) {});
}

// Sends now, or does by the item's policy what there is to do instead.
template <class Stream, class Connection>
sansocket::errc session<Stream, Connection>::post(outbox::item given) {
    if (!core_) return sansocket::errc::not_open;
    const bool open = core_->state() == sansocket::connection_state::open;
    const bool behind = open && senders_wait();
    sansocket::errc ec = sansocket::errc::backpressure;
    if (!behind) ec = outbox::hand_to(*core_, given, now());
    if (ec == sansocket::errc::ok) drive();
    if (ec != sansocket::errc::backpressure && ec != sansocket::errc::message_in_progress)
        return ec;
    if (const auto wrong = outbox::check(given); wrong != sansocket::errc::ok) return wrong;
    const auto line = shared_outbox();
    const bool full = ec == sansocket::errc::backpressure && core_->output_full();
    if (!full || given.policy == when_full::drop_old) {
        const bool alone = !line->waits();
        ec = line->push(std::move(given));
        if (ec == sansocket::errc::ok && alone) empty_outbox();  // nothing sent later overtakes it
        return ec;
    }
    if (given.policy == when_full::drop_new) line->count(&drop_counters::dropped_new);
    if (given.policy == when_full::close) {
        line->close_slow(*core_, now());
        drive();
    }
    return ec;
}

}  // namespace sansocket_asio::detail
