// keepalive.hpp
//
// Whether the peer is still there: a Ping after a time of silence, and an end
// after a longer one. RFC 6455 5.5.2, 5.5.3.
//
// Any byte from the peer proves life. While this endpoint is not reading, the
// peer cannot prove anything, and no deadline runs.
//
// Knows nothing of: clocks (`now` comes in), frames, who pauses reading.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace sansocket {

/// How a silent peer is noticed. A time of 0 switches that check off.
struct keepalive_options {
    /// Silence after which a Ping is sent. Default 20 seconds.
    duration ping_interval = std::chrono::seconds{20};
    /// Silence after that Ping that ends the connection with errc::pong_timeout. Default 20 seconds.
    duration pong_timeout = std::chrono::seconds{20};
    /// Silence that ends the connection with errc::idle_timeout; Pongs are no silence. Default off.
    duration idle_timeout = duration::zero();
    /// Time in which the transport takes none of the output waiting that ends the connection with
    /// errc::write_timeout; noticed within twice that time. Whoever takes any of it, however slowly,
    /// begins it anew, as far as the transport shows that: Linux says that a socket takes more once a
    /// third of its buffer is free. A peer that reads nothing for so long on purpose needs more, or 0.
    /// Default 30 seconds.
    duration write_timeout = std::chrono::seconds{30};
};

/// Where the check on the peer stands.
enum class keepalive_state : std::uint8_t {
    stopped,    ///< Not open: nothing runs.
    quiet,      ///< Waiting for silence.
    pinged,     ///< A Ping is out, and nothing has come since.
    suspended,  ///< This endpoint is not reading.
};

/// Watches one connection's traffic.
class keepalive {
public:
    /// A Ping's payload: its number, most significant byte first.
    using ping_payload = std::array<std::byte, 8>;

    /// What `advance` asks for.
    struct action {
        bool ping = false;    ///< Send a Ping with `payload()`.
        errc end = errc::ok;  ///< End the connection because of this.
    };

    /// Waits for `start`.
    explicit keepalive(const keepalive_options& options = {}) noexcept : options_(options) {}

    /// The connection opened.
    void start(time_point now) noexcept {
        state_ = keepalive_state::quiet;
        heard_ = told_ = written_ = now;
    }
    /// It is closing: nothing runs any more.
    void stop() noexcept { state_ = keepalive_state::stopped; }

    /// Bytes came from the peer.
    void received(time_point now) noexcept {
        heard_ = told_ = now;
        if (state_ != keepalive_state::stopped) state_ = keepalive_state::quiet;
    }
    /// This endpoint stops reading, until `received` or `resume`.
    void suspend() noexcept {
        if (state_ != keepalive_state::stopped) state_ = keepalive_state::suspended;
    }
    /// It reads again; silence counts from now.
    void resume(time_point now) noexcept {
        if (state_ == keepalive_state::suspended) received(now);
    }

    /// A Pong came.
    ///
    /// @return the round trip, where it is the first answer to the last Ping. 5.5.3.
    std::optional<duration> pong(std::span<const std::byte> payload, time_point now) noexcept;

    /// It is `now`: the peer has been silent up to here.
    void told(time_point now) noexcept { told_ = now; }

    /// The transport took output, or none waits.
    void written(bool waiting, time_point now) noexcept {
        written_ = now;
        stalls_ = waiting;
    }

    /// Time has passed. `waiting`: output waits for the transport.
    [[nodiscard]] action advance(time_point now, bool waiting) noexcept;

    /// When `advance` should be called at the latest.
    [[nodiscard]] time_point next_deadline(bool waiting) const noexcept;

    [[nodiscard]] keepalive_state state() const noexcept { return state_; }  ///< Where it stands.
    /// The payload of the last Ping that `advance` asked for.
    [[nodiscard]] ping_payload payload() const noexcept;
    /// From the last Ping of this machine to its Pong; nothing before the first.
    [[nodiscard]] std::optional<duration> round_trip() const noexcept {
        if (round_trip_ < duration::zero()) return std::nullopt;
        return round_trip_;
    }
    /// When the last byte came, the connection opened, or reading went on.
    [[nodiscard]] const time_point& last_received() const noexcept { return heard_; }
    /// From then to the last time that was told; 0 before the first byte.
    [[nodiscard]] duration silence() const noexcept {
        return heard_ == time_point{} ? duration::zero() : told_ - heard_;
    }
    /// Since when the transport has taken none of the output waiting, as far as was told; or `never`.
    [[nodiscard]] time_point write_stalled_since() const noexcept {
        return stalls_ ? written_ : never;
    }

private:
    bool awaits_pong() const noexcept {
        return state_ == keepalive_state::pinged && options_.pong_timeout > duration::zero();
    }
    time_point ping_deadline() const noexcept;
    time_point write_deadline(bool waiting) const noexcept;

    keepalive_state state_ = keepalive_state::stopped;
    // Facts that decide no transition.
    bool unanswered_ = false;  // the last Ping
    bool stalls_ = false;      // output waits untaken since `written_`, as far as was told
    keepalive_options options_;
    time_point heard_{};
    time_point told_{};
    time_point pinged_{};
    time_point written_{};  // no output waited untaken before
    std::uint64_t number_ = 0;
    duration round_trip_{-1};  // negative: none was measured
};

inline keepalive::ping_payload keepalive::payload() const noexcept {
    ping_payload out{};
    for (std::size_t i = 0; i != out.size(); ++i)
        out[i] = static_cast<std::byte>(number_ >> (8 * (out.size() - 1 - i)) & 0xFFU);
    return out;
}

inline std::optional<duration> keepalive::pong(std::span<const std::byte> payload_received,
                                               time_point now) noexcept {
    const ping_payload expected = payload();
    if (!unanswered_ || payload_received.size() != expected.size() ||
        std::memcmp(payload_received.data(), expected.data(), expected.size()) != 0)
        return std::nullopt;
    unanswered_ = false;
    return round_trip_ = now - pinged_;
}

inline keepalive::action keepalive::advance(time_point now, bool waiting) noexcept {
    if (!waiting || !stalls_) written(waiting, now);  // a send tells no time: it counts from here
    if (state_ == keepalive_state::stopped) return {};
    if (now >= write_deadline(waiting)) return {false, errc::write_timeout};
    if (state_ == keepalive_state::suspended) return {};
    if (now >= after(heard_, options_.idle_timeout)) return {false, errc::idle_timeout};
    if (now < ping_deadline()) return {};
    if (awaits_pong()) return {false, errc::pong_timeout};
    state_ = keepalive_state::pinged;
    pinged_ = now;
    unanswered_ = true;
    ++number_;
    return {true, errc::ok};
}

inline time_point keepalive::next_deadline(bool waiting) const noexcept {
    switch (state_) {
    case keepalive_state::stopped: break;
    case keepalive_state::suspended: return write_deadline(waiting);
    case keepalive_state::quiet:
    case keepalive_state::pinged:
        return detail::smaller_of(
            ping_deadline(),
            detail::smaller_of(after(heard_, options_.idle_timeout), write_deadline(waiting)));
    }
    return never;
}

inline time_point keepalive::ping_deadline() const noexcept {
    if (awaits_pong()) return after(pinged_, options_.pong_timeout);
    const bool again = state_ == keepalive_state::pinged;  // and no Pong is asked for
    return after(again ? pinged_ : heard_, options_.ping_interval);
}

inline time_point keepalive::write_deadline(bool waiting) const noexcept {
    return waiting ? after(written_, options_.write_timeout) : never;
}

}  // namespace sansocket
