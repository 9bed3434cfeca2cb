// when_full.hpp
//
// What becomes of messages for a peer that takes them more slowly than they are
// made: how many may wait for it, which of them go where nobody is to wait, and
// how many went.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sansocket_asio {

/// What becomes of a message that there is no room for. `async_send` is what waits.
enum class when_full : std::uint8_t {
    drop_new,  ///< It is not sent: errc::backpressure.
    /// The oldest message of that kind that the connection has not taken makes room for it: the newest
    /// win. For what replaces what came before: positions, prices.
    drop_old,
    /// It is not sent, and the connection is closed with 1008, "policy violation": errc::backpressure.
    close,
};

/// What may wait in front of a connection's send queue, which has limits of its own.
struct backlog_limits {
    /// Bytes of payload, and 64 for each message, at which no further one is taken. One that is taken
    /// may pass it. Default 1 MiB.
    std::size_t bytes = std::size_t{1} << 20U;
    /// Messages at which no further one is taken. Default 4096.
    std::size_t count = 4096;
};

/// Which of a connection's sends may wait for room at a time: `async_send` and its kind.
struct sender_limits {
    /// Bytes of the messages given to those that wait at which no further one does. One that does may
    /// pass it. What is not given, but stays the caller's, does not count. Default 16 MiB.
    std::size_t bytes = std::size_t{16} << 20U;
    /// Sends that wait at which no further one does. 0: none ever waits. Default 16384.
    std::size_t count = 16384;
};

/// How often `when_full` was applied.
struct drop_counters {
    std::uint64_t dropped_new = 0;  ///< Messages not sent for want of room.
    std::uint64_t dropped_old = 0;  ///< Messages that made room for newer ones.
    std::uint64_t closed = 0;       ///< Closes with 1008: of one connection, 0 or 1.

    /// Adds those of another.
    drop_counters& operator+=(const drop_counters& other) noexcept {
        dropped_new += other.dropped_new;
        dropped_old += other.dropped_old;
        closed += other.closed;
        return *this;
    }
};

}  // namespace sansocket_asio
