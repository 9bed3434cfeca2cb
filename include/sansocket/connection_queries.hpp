// connection_queries.hpp
//
// How a `connection` stands. The contract is in connection.hpp.
#pragma once

#include <sansocket/connection.hpp>

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::deciding() const noexcept {
    if constexpr (is_client) return false;
    else return opening() && opening_ && opening_->deciding();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection_state connection<Role, Queue, Keys, Diagnostics, Deflate>::state() const noexcept {
    if (opening()) return connection_state::opening;
    if (close_.state() == close_state::open) return connection_state::open;
    if (close_.state() == close_state::received)
        return connection_state::open;  // it waits its turn
    return close_.state() < close_state::complete ? connection_state::closing
                                                  : connection_state::closed;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::wants_read() const noexcept {
    if (phase() == transport_phase::over || shutdown_.input_ended() || deciding()) return false;
    return close_.state() != close_state::open || !queue_.paused();  // closing is never paused
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
transport_phase connection<Role, Queue, Keys, Diagnostics, Deflate>::phase() const noexcept {
    switch (close_.state()) {
    case close_state::open:
    case close_state::sending:
    case close_state::sent:
    case close_state::received:
    case close_state::replying: return transport_phase::in_use;
    case close_state::complete: return transport_phase::finished;
    case close_state::failed: return transport_phase::lingering;
    case close_state::ended: return transport_phase::over;
    }
    SANSOCKET_UNREACHABLE();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection_snapshot connection<Role, Queue, Keys, Diagnostics, Deflate>::explain() const noexcept {
    const auto code_of = [](const std::optional<close_frame>& f) {
        return f ? std::optional{f->code} : std::nullopt;
    };
    const sansocket::close_info& info = close_.info();
    connection_snapshot s;
    s.role = Role;
    s.state = state();
    s.closing = close_.state();
    s.by = who_ended(info.cause);
    s.cause = info.cause;
    s.sent = code_of(info.sent);
    s.received = code_of(info.received);
    s.clean = info.clean;
    s.incomplete_message = info.incomplete_message;
    s.discarded = info.discarded_bytes;
    s.queued_messages = queue_.size();
    s.queued_bytes = queue_.bytes();
    s.paused = queue_.paused();
    s.output_bytes = out_.bytes();
    s.output_frames = out_.frames();
    s.memory = out_.memory();
    if constexpr (requires { queue_.memory(); }) s.memory += queue_.memory();
    if constexpr (deflates) {
        s.deflate = deflate();
        s.memory += inflater_.memory() + deflater_.memory();
        s.decompressed_messages = inflater_.messages();
        s.compressed_messages = deflater_.messages();
    }
    if (opening_) s.memory += opening_->memory();
    s.counters = counters();
    s.subprotocol = subprotocol();
    s.round_trip = keepalive_.round_trip();
    s.last_received = keepalive_.last_received();
    s.silence = keepalive_.silence();
    if (!out_.empty()) s.write_stalled_since = keepalive_.write_stalled_since();
    s.deadline = next_deadline();
    s.wants_read = wants_read();
    s.wants_write = wants_write();
    s.shutdown = wants_shutdown();
    diagnostics_.fill(s);
    return s;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::report_leak() const noexcept {
    if constexpr (Diagnostics::enabled) {
        if (state() == connection_state::open || state() == connection_state::closing)
            diagnostics_.leaked(explain());
    }
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::incomplete() const noexcept {
    return frames_.inside_frame() || messages_.inside_message();
}

}  // namespace sansocket
