// counters.hpp
//
// What a server has done so far, as numbers.
#pragma once

#include <sansocket_asio/when_full.hpp>

#include <sansocket/snapshot.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace sansocket_asio {

/// A server's numbers since it was made, but for the first three, which are those of now.
struct server_counters {
    std::size_t opening = 0;   ///< Connections that send or await a request or its answer.
    std::size_t open = 0;      ///< WebSockets that are not over, or whose handler has not returned.
    std::size_t refusing = 0;  ///< Connections over a limit that are being told so.

    std::uint64_t accepted = 0;                         ///< Connections taken from a listener.
    std::uint64_t refused_connections = 0;              ///< Over `max_connections`.
    std::uint64_t refused_connections_per_address = 0;  ///< Over that limit.
    std::uint64_t refused_stopping = 0;    ///< They came while the server was stopping.
    std::uint64_t refused_unanswered = 0;  ///< Of all those: closed at once, without an answer.
    std::uint64_t forwarded_invalid = 0;   ///< A trusted proxy's hop could not be read.
    std::uint64_t opened = 0;              ///< Handshakes completed.
    std::uint64_t http_answered = 0;       ///< Plain requests answered by the application.
    std::uint64_t closed_clean = 0;        ///< WebSockets over, with both Closes exchanged.
    std::uint64_t closed_unclean = 0;      ///< Over in any other way.
    std::uint64_t accept_errors = 0;       ///< No connection could be taken.
    std::uint64_t handler_errors = 0;      ///< Exceptions that left the application's handlers.

    /// Of all WebSockets together, those that are open among them.
    sansocket::connection_counters traffic;
    drop_counters dropped;  ///< Of the same.

    /// Adds what a WebSocket that is over had moved and lost.
    void count_websocket(const sansocket::connection_counters& moved, const drop_counters& lost) {
        traffic += moved;
        dropped += lost;
    }

    /// Handshakes that failed because of `cause`.
    [[nodiscard]] std::uint64_t handshake_failures(sansocket::errc cause) const noexcept {
        return failures_[static_cast<std::size_t>(cause) % failures_.size()];
    }
    /// The same, because of anything.
    [[nodiscard]] std::uint64_t handshake_failures() const noexcept {
        std::uint64_t all = 0;
        for (const std::uint64_t n : failures_) all += n;
        return all;
    }
    /// WebSockets over with the WebSocket Connection Close Code `code` (RFC 6455 7.1.5). Those
    /// of 7.4.1 are counted one by one; all the others as one, whichever is asked for.
    [[nodiscard]] std::uint64_t closed_with(sansocket::close_code code) const noexcept {
        return codes_[index_of(code)];
    }

    /// Adds a handshake that failed because of `cause`.
    void count_failure(sansocket::errc cause) noexcept {
        ++failures_[static_cast<std::size_t>(cause) % failures_.size()];
    }
    /// Adds a WebSocket that ended so.
    void count_end(const sansocket::close_info& info) noexcept {
        ++(info.clean ? closed_clean : closed_unclean);
        ++codes_[index_of(info.code())];
    }

private:
    static constexpr std::size_t index_of(sansocket::close_code code) noexcept {
        const auto first = static_cast<std::size_t>(sansocket::close_code::normal);
        const std::size_t i = static_cast<std::size_t>(code) - first;
        return i < known ? i : known;
    }
    static constexpr std::size_t known = 16;

    std::array<std::uint64_t, sansocket::errc_count> failures_{};
    std::array<std::uint64_t, known + 1> codes_{};
};

}  // namespace sansocket_asio
