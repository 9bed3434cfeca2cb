// close_handshake.hpp
//
// The closing handshake of one connection. RFC 6455 5.5.1, 7.1.
//
// Three facts decide everything: has our Close been queued, has the transport
// taken it, has the peer's come. The table below is the whole machine; `move`
// is the only function that changes the state.
//
// Beside the state stand the facts of the ending, in `close_info`: each is
// written once, by the first event that knows it.
//
// Nothing here allocates: reasons are given away, so that no event is left half done.
//
// Knows nothing of: buffers, time, sockets, client or server.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace sansocket {

/// Where the closing handshake stands.
enum class close_state : std::uint8_t {
    open,      ///< No Close in either direction.
    sending,   ///< Ours is queued.
    sent,      ///< The transport has taken ours.
    received,  ///< The peer's came; ours is not queued. What came before may still be answered.
    replying,  ///< The peer's came; ours is queued.
    complete,  ///< Both done. 7.1.4.
    failed,    ///< The connection was failed. 7.1.7.
    ended,     ///< The transport ended before the handshake did.
};

/// What can happen to it.
enum class close_event : std::uint8_t {
    start,    ///< This endpoint queues its Close. 7.1.2.
    flush,    ///< The transport has taken it.
    receive,  ///< The peer's Close came. 7.1.3.
    fail,     ///< This endpoint fails the connection. 7.1.7.
    end,      ///< The transport ended, or was given up.
};

/// The closing handshake. Told what happened, it says whether that was legal and how it all ended.
class close_handshake {
public:
    /// The state after `event`, or nothing where `event` cannot be.
    [[nodiscard]] static constexpr std::optional<close_state> next(close_state from,
                                                                   close_event event) noexcept;

    /// This endpoint queues a Close frame. 7.1.2.
    ///
    /// @return errc::closing if one was queued already, errc::closed after the end; nothing has
    ///         changed then.
    errc start(close_code code, std::string reason) noexcept;

    /// The transport took the Close frame queued. No effect where none was.
    void flush() noexcept { (void)move(close_event::flush); }

    /// The peer's Close frame came. 7.1.3, 7.1.5. No effect after the first, or after a failure.
    ///
    /// @param incomplete  it came inside a fragmented message.
    /// @return whether it counts.
    bool receive(close_code code, std::string reason, bool incomplete) noexcept;

    /// This endpoint fails the connection. 7.1.7. No effect once a Close was received or it ended.
    ///
    /// @param code  of the Close frame that says so; nothing where none is sent.
    /// @return whether it counts.
    bool fail(errc cause, bool incomplete, std::optional<close_code> code,
              std::string reason) noexcept;

    /// The transport ended, or this endpoint gave it up. No effect once the handshake is complete.
    void end(errc cause, bool incomplete) noexcept;

    /// Input was thrown away.
    void discard(std::uint64_t bytes) noexcept { info_.discarded_bytes += bytes; }
    /// Output was thrown away.
    void drop(std::uint64_t bytes) noexcept { info_.unsent_bytes += bytes; }

    [[nodiscard]] close_state state() const noexcept { return state_; }  ///< Where it stands.
    /// The facts of the end.
    [[nodiscard]] const close_info& info() const noexcept { return info_; }

private:
    bool move(close_event event) noexcept;
    void because(errc cause, bool incomplete) noexcept;

    close_state state_ = close_state::open;
    close_info info_;  // decides no transition
};

constexpr std::optional<close_state> close_handshake::next(close_state from,
                                                           close_event event) noexcept {
    using enum close_state;
    // No state. An optional for each cell costs a compiler more than the rest of this header.
    constexpr auto none = static_cast<close_state>(0xff);
    // clang-format off
    constexpr close_state table[8][5] = {
        //              start     flush     receive   fail    end
        /* open     */ {sending,  none,     received, failed, ended},     // 7.1.2, 7.1.3
        /* sending  */ {none,     sent,     replying, failed, ended},     // 5.5.1
        /* sent     */ {none,     none,     complete, failed, ended},     // 7.1.4
        /* received */ {replying, none,     none,     none,   ended},     // 5.5.1
        /* replying */ {none,     complete, none,     none,   ended},     // 7.1.4
        /* complete */ {none,     none,     none,     none,   complete},  // 7.1.4
        /* failed   */ {none,     failed,   none,     none,   ended},     // 7.1.7
        /* ended    */ {none,     none,     none,     none,   ended},     // 7.1.4
    };
    // clang-format on
    const auto to = table[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
    if (to == none) return std::nullopt;
    return to;
}

inline bool close_handshake::move(close_event event) noexcept {
    const auto to = next(state_, event);
    if (to) state_ = *to;
    info_.clean = state_ == close_state::complete;
    return to.has_value();
}

inline void close_handshake::because(errc cause, bool incomplete) noexcept {
    if (info_.cause != errc::ok) return;
    info_.cause = cause;
    info_.incomplete_message = incomplete;
}

inline errc close_handshake::start(close_code code, std::string reason) noexcept {
    if (!move(close_event::start))
        return state_ < close_state::complete ? errc::closing : errc::closed;
    info_.sent = close_frame{code, std::move(reason)};
    return errc::ok;
}

inline bool close_handshake::receive(close_code code, std::string reason,
                                     bool incomplete) noexcept {
    const bool ours_first = state_ != close_state::open;
    if (!move(close_event::receive)) return false;
    info_.received = close_frame{code, std::move(reason)};
    because(ours_first ? errc::closed_locally : errc::closed_by_peer, incomplete);
    return true;
}

inline bool close_handshake::fail(errc cause, bool incomplete, std::optional<close_code> code,
                                  std::string reason) noexcept {
    if (!move(close_event::fail)) return false;
    if (code && !info_.sent) info_.sent = close_frame{*code, std::move(reason)};
    because(cause, incomplete);
    return true;
}

inline void close_handshake::end(errc cause, bool incomplete) noexcept {
    if (move(close_event::end) && state_ == close_state::ended) because(cause, incomplete);
}

}  // namespace sansocket
