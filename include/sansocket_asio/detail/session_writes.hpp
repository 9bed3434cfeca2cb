// session_writes.hpp
//
// How a session writes what its core has to send: what a socket takes is written
// at once, and the answers to messages that wait here together go out together.
// Its class is in session.hpp.
#pragma once

#include <sansocket_asio/detail/session.hpp>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
void session<Stream, Connection>::write() {
    if (writing_ || !core_->wants_write()) return;
    const bool more_to_come = gathering_ || core_->messages().size() != 0;
    if (more_to_come && gathers()) gather(core_->messages().size(), 0);
    else write_gathered();
}

// Whether what is to be written may wait for what follows: who takes messages one by one, and has
// answered one, will answer the next.
template <class Stream, class Connection>
bool session<Stream, Connection>::gathers() const noexcept {
    constexpr std::size_t enough = 16 * 1024;  // bytes that are worth a write
    return core_->state() == sansocket::connection_state::open && core_->output_bytes() < enough &&
           !core_->output_full();
}

// It waits from turn to turn of the executor, until all messages that are here were taken, or none for
// some turns. A loop that awaits each receive and each send takes one in every second turn. `left`: how
// many were here at the last turn, and `idle` turns before.
template <class Stream, class Connection>
void session<Stream, Connection>::gather(std::size_t left, unsigned idle) {
    if (gathering_) return;
    gather_left_ = static_cast<std::uint8_t>(left);
    gather_idle_ = static_cast<std::uint8_t>(idle);
    ::asio::post(stream().get_executor(),
                 weak_waiter<session, to_gather>::wait(this->weak_from_this()));
    gathering_ = true;  // unless that has thrown
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(to_gather, std::error_code) {
    constexpr unsigned patience = 4;
    gathering_ = false;
    if (!attached() || writing_ || !core_->wants_write()) return;
    const std::size_t left = core_->messages().size();
    const bool idles = static_cast<std::uint8_t>(left) == gather_left_;
    const unsigned idle = idles ? gather_idle_ + 1U : 0;
    if (left != 0 && idle != patience && gathers()) return gather(left, idle);
    write_gathered();
    drive();
}

template <class Stream, class Connection>
void session<Stream, Connection>::write_gathered() {
    if (writing_) return;
    while (core_->wants_write() && write_some()) {}
    if (!core_->wants_write()) return;
    stream().async_write_some(
        write_buffers{core_->output()},
        own_handler{[self = this->shared_from_this()](std::error_code ec, std::size_t n) {
            self->writing_ = false;
            self->written(ec, n);
            self->drive();
        }});
    writing_ = true;  // unless that has thrown
}

// What a socket takes at once needs no operation, and no turn of the executor. False where that is not
// all of it.
template <class Stream, class Connection>
bool session<Stream, Connection>::write_some() {
    if constexpr (maybe_waitable<Stream>) {
        if (!waits(stream())) return false;
        const auto out = core_->output();
        std::error_code ec;
        const std::size_t n = waiting_socket(stream()).write_some(write_buffers{out}, ec);
        if (would_block(ec)) return false;
        written(ec, n);
        return n == out.bytes();
    }
    return false;
}

template <class Stream, class Connection>
void session<Stream, Connection>::written(std::error_code ec, std::size_t n) {
    core_->consume_output(n, now());
    if (!ec || !attached()) return;
    note(ec);
    core_->output_lost(now());  // what arrived before the loss is read first
}

}  // namespace sansocket_asio::detail
