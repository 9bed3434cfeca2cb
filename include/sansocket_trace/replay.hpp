// replay.hpp
//
// Runs a recording: makes the connection that it tells of, calls what it tells,
// and looks after each call whether the answer and all that is visible of the
// connection are the same.
#pragma once

#include <sansocket_trace/recorder.hpp>
#include <sansocket_trace/recording.hpp>

#include <sansocket/connection.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sansocket_trace {

/// How a replay went.
struct replay_result {
    std::size_t records = 0;  ///< Calls that were run.
    /// The call that answered, or left the connection, otherwise than when it was recorded: its place
    /// in the recording, from 0. The replay stops there.
    std::optional<std::size_t> differs{};
    trace_error error = trace_error::ok;  ///< What is wrong with the recording, if anything.

    /// Whether all was as when it was recorded.
    [[nodiscard]] bool same() const noexcept { return !differs && error == trace_error::ok; }
};

/// Sees a replay go by. Does nothing: derive from it, and hide what is wanted.
struct replay_watcher {
    /// Before the first call.
    void begins(const head&) {}
    /// After each call. `sent`: the bytes that the transport took in it.
    template <class Connection>
    void called(const record&, std::span<const std::byte> sent, const Connection&) {
        (void)sent;
    }
    /// A message was taken from the queue.
    void popped(const sansocket::message_view&) {}
};

namespace detail {

// One connection under replay. `Queue` and `Deflate` are what it was recorded with.
template <sansocket::role Role, class Queue, class Deflate>
class player {
public:
    using connection_type = sansocket::connection<Role, Queue, sansocket::chacha_keys,
                                                  sansocket::default_diagnostics, Deflate>;

    explicit player(const head& h) : core_(make(h)) {}

    // Runs a call. What it answers.
    template <class Watcher>
    std::uint64_t run(record& r, Watcher& watcher) {
        sent_.clear();
        const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
        const auto cause = static_cast<sansocket::errc>(r.number);
        const auto kind = static_cast<sansocket::message_kind>(r.number & 1U);
        const auto how = static_cast<sansocket::compression>(r.number >> 1U & 3U);
        switch (r.what) {
        case call::receive: {
            auto in = r.bytes;  // it is unmasked where it lies
            return core_.receive(in, r.at);
        }
        case call::receive_end: return core_.receive_end(r.at, cause), 0;
        case call::transport_lost: return core_.transport_lost(r.at, cause), 0;
        case call::output_lost: return core_.output_lost(r.at), 0;
        case call::advance: return core_.advance(r.at), 0;
        case call::send: return number(core_.send(kind, r.bytes, how));
        case call::send_given: return number(core_.send(sansocket::message({kind, r.bytes})));
        case call::send_prepared: return number(core_.send(prepared(r)));
        case call::send_shared: return number(core_.send_shared(kind, shared(r.bytes)));
        case call::send_fragmented: return number(core_.send_fragmented(kind, r.bytes, how));
        case call::start: return number(core_.start(kind, how));
        case call::append: return number(core_.append(std::span<const std::byte>{r.bytes}));
        case call::finish: return number(core_.finish(r.bytes));
        case call::send_ping: return number(core_.send_ping(r.bytes));
        case call::send_pong: return number(core_.send_pong(r.bytes));
        case call::close:
            return number(core_.close(static_cast<sansocket::close_code>(r.number), r.text, r.at));
        case call::abort: return core_.abort(cause), 0;
        case call::accept:
        case call::refuse:
        case call::respond: return number(answer(r));
        case call::output: return shown_ = core_.output(), shown_.bytes();
        case call::consume_output: return consume(r);
        case call::pop: {
            const auto m = core_.messages().pop();
            if (m) watcher.popped(*m);
            return hash_of(m);
        }
        case call::pop_piece: {
            if constexpr (!sansocket::piecewise_message_queue<Queue>) return 0;
            else return hash_of(core_.messages().pop_piece());
        }
        case call::clear: return core_.messages().clear(), 0;
        case call::shrink: return core_.shrink(), 0;
        case call::release_handshake: return core_.release_handshake(), 0;
        case call::move: {
            connection_type elsewhere(std::move(core_));
            core_ = std::move(elsewhere);
            return 0;
        }
        }
        return 0;
    }
    [[nodiscard]] const connection_type& connection() const noexcept { return core_; }
    [[nodiscard]] std::span<const std::byte> sent() const noexcept { return sent_; }

private:
    static connection_type make(const head& h) {
        if constexpr (Role == sansocket::role::client)
            return {h.request, sansocket::chacha_keys(h.seed), h.start, h.options};
        else return {h.policy, h.start, h.options};
    }
    static sansocket::prepared_message prepared(const record& r) {
        const auto byte = [&r](unsigned at) { return static_cast<std::uint8_t>(r.number >> at); };
        sansocket::deflate_options how;
        how.level = byte(8);
        how.memory_level = byte(16);
        how.own_window_bits = byte(24);
        return {static_cast<sansocket::message_kind>(r.number & 1U), r.bytes, how};
    }
    static sansocket::shared_payload shared(const std::vector<std::byte>& bytes) {
        const auto owner = std::make_shared<const std::vector<std::byte>>(bytes);
        return {owner, *owner};
    }
    sansocket::errc answer(const record& r) {
        if constexpr (Role == sansocket::role::client) return sansocket::errc::not_deciding;
        else {
            if (r.what == call::accept) return core_.accept(r.text, r.fields, r.at);
            const auto status = static_cast<std::uint16_t>(r.number);
            if (r.what == call::refuse) return core_.refuse(status, r.fields, r.text, r.at);
            return core_.respond(status, r.fields, r.text, r.at);
        }
    }
    // A recording that is wrong may say that more was taken than there was.
    std::uint64_t consume(const record& r) {
        const auto n = static_cast<std::size_t>(
            (std::min)(r.number, static_cast<std::uint64_t>(shown_.bytes())));
        for (const auto buffer : shown_) {
            const auto part = buffer.first((std::min)(n - sent_.size(), buffer.size()));
            sent_.insert(sent_.end(), part.begin(), part.end());
        }
        const std::uint64_t taken = hash_of(shown_, n);
        shown_ = {};
        core_.consume_output(n, r.at);
        return taken;
    }

    connection_type core_;
    sansocket::output_buffers shown_;
    std::vector<std::byte> sent_;
};

template <sansocket::role Role, class Queue, class Deflate, class Watcher>
replay_result play(recording& from, Watcher& watcher) {
    replay_result result;
    watcher.begins(from.head());
    player<Role, Queue, Deflate> p(from.head());
    for (record r; from.next(r);) {
        const std::uint64_t answer = p.run(r, watcher);
        watcher.called(r, p.sent(), p.connection());
        if (answer != r.answer || digest(p.connection(), from.head().start) != r.digest) {
            result.differs = result.records;
            return result;
        }
        ++result.records;
    }
    result.error = from.error();
    return result;
}

}  // namespace detail

/// Runs `recording`, of a client or a server.
///
/// @tparam Queue  the message queue that was recorded; made from `options::queue`.
/// @tparam Deflate  the codec that was recorded.
/// @param watcher  see `replay_watcher`.
/// A recording that was tampered with differs or has an error, and does nothing worse.
template <class Queue = sansocket::message_queue<>, class Deflate = sansocket::no_deflate,
          class Watcher = replay_watcher>
replay_result replay(std::span<const std::byte> data, Watcher watcher = {}) {
    recording from(data);
    if (from.error() != trace_error::ok) return {.error = from.error()};
    if (from.head().role == sansocket::role::client)
        return detail::play<sansocket::role::client, Queue, Deflate>(from, watcher);
    return detail::play<sansocket::role::server, Queue, Deflate>(from, watcher);
}

}  // namespace sansocket_trace
