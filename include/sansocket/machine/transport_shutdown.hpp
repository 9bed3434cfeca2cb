// transport_shutdown.hpp
//
// What is to be done with the transport once the connection ends, and by when.
// RFC 6455 7.1.1, 7.1.7.
//
// The server closes first; a client waits for that until the deadline. An
// endpoint that failed the connection stops writing and goes on reading, for
// closing at once would make TCP throw away the Close frame that says why.
//
// One deadline at a time: it is armed once for each of the two handshakes, and
// traffic never moves it.
//
// Knows nothing of: frames, causes, clocks.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/wire/role.hpp>
#include <sansocket/wire/time.hpp>

#include <cstdint>

namespace sansocket {

/// What is to be done with the transport now.
enum class shutdown_request : std::uint8_t {
    none,        ///< Go on as before.
    half_close,  ///< Write no more; go on reading until the end or the deadline.
    close,       ///< Close it in the ordinary way; nothing waits to be written.
    abort,       ///< Drop it at once.
};

/// How the connection stands, as far as its transport is concerned.
enum class transport_phase : std::uint8_t {
    in_use,     ///< Bytes are still needed, in one direction at least.
    finished,   ///< The closing handshake is complete.
    lingering,  ///< Failed: what says so is to reach the peer.
    over,       ///< Ended: nothing more to say or to hear.
};

/// Decides for an endpoint of role `Role`.
template <role Role>
class transport_shutdown {
public:
    /// The deadline runs from now, if none does.
    void arm(time_point now, duration timeout) noexcept {
        if (deadline_ == never) deadline_ = after(now, timeout);
    }
    /// No deadline runs.
    void disarm() noexcept { deadline_ = never; }
    /// The transport's input ended.
    void end_of_input() noexcept {
        if (state_ == state::running) state_ = state::input_ended;
    }
    /// The transport is to be dropped, whatever else there is.
    void abort() noexcept { state_ = state::aborted; }
    /// The deadline passed. 7.1.1: an ordinary end after a complete handshake, unless output waits
    /// that the peer does not take.
    ///
    /// @return whether it is that; otherwise the transport is to be dropped.
    bool expire(transport_phase phase, bool flushed) noexcept {
        disarm();
        const bool in_order = phase == transport_phase::finished && flushed;
        if (in_order) end_of_input();
        else abort();
        return in_order;
    }

    /// What to do, where `flushed` says that no output waits.
    [[nodiscard]] constexpr shutdown_request request(transport_phase phase,
                                                     bool flushed) const noexcept {
        if (aborted()) return shutdown_request::abort;
        if (phase == transport_phase::over) return shutdown_request::close;
        if (phase == transport_phase::in_use) return shutdown_request::none;
        if (!flushed) return shutdown_request::none;
        if (input_ended()) return shutdown_request::close;
        if (phase == transport_phase::lingering) return shutdown_request::half_close;
        // 7.1.1: "the server MUST close the underlying TCP connection" first.
        return Role == role::server ? shutdown_request::close : shutdown_request::none;
    }

    /// When `expire` is due; `never` while none runs.
    [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
    /// Whether there is nothing more to read, or no more time for it.
    [[nodiscard]] constexpr bool input_ended() const noexcept { return state_ != state::running; }
    /// Whether it was dropped.
    [[nodiscard]] constexpr bool aborted() const noexcept { return state_ == state::aborted; }

private:
    enum class state : std::uint8_t { running, input_ended, aborted };

    state state_ = state::running;
    time_point deadline_ = never;
};

}  // namespace sansocket
