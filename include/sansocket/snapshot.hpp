// snapshot.hpp
//
// How a connection stands, in one value: what `explain()` answers, for logs,
// debuggers and tests. Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/append.hpp>
#include <sansocket/machine/close_handshake.hpp>
#include <sansocket/machine/transport_shutdown.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/role.hpp>
#include <sansocket/wire/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sansocket {

/// Where a connection is in its life. 4.1, 7.1.
enum class connection_state : std::uint8_t {
    opening,  ///< The opening handshake is not done.
    open,     ///< Messages may be sent. The peer's Close may wait behind those unread.
    closing,  ///< Our Close was queued, or is next.
    closed,   ///< Both Closes are done, or the connection failed, or the transport is gone.
};

/// Who, or what, ended a connection.
enum class ended_by : std::uint8_t {
    nobody,         ///< It has not ended.
    this_endpoint,  ///< The application: close, abort, refuse, a cancelled close, a drop.
    peer,           ///< The peer's Close came first.
    violation,      ///< The peer broke the RFC or passed a limit; this endpoint failed it. 7.1.7.
    transport,      ///< The bytes stopped.
    timeout,        ///< A deadline passed.
};

/// Who ends a connection whose first cause is `cause`. Total.
[[nodiscard]] constexpr ended_by who_ended(errc cause) noexcept {
    switch (kind_of(cause)) {
    case error_kind::none: return ended_by::nobody;
    case error_kind::caller: return ended_by::this_endpoint;
    case error_kind::peer:
    case error_kind::limit: return ended_by::violation;
    case error_kind::transport: return ended_by::transport;
    case error_kind::timeout: return ended_by::timeout;
    case error_kind::ending:
        return cause == errc::closed_by_peer ? ended_by::peer : ended_by::this_endpoint;
    }
    return ended_by::nobody;
}

/// The last bytes that came from the transport, as they came.
struct last_bytes {
    std::array<std::byte, 16> data{};  ///< The oldest first.
    std::size_t size = 0;              ///< 0 to 16 of `data` are set.
};

/// What a connection has done so far. Bytes are the transport's, opening handshake included.
struct connection_counters {
    std::uint64_t bytes_received = 0;     ///< That `receive` took.
    std::uint64_t bytes_sent = 0;         ///< That the transport took.
    std::uint64_t messages_received = 0;  ///< Complete ones, taken or not.
    std::uint64_t messages_sent = 0;      ///< Accepted for sending, their last part too.
    std::uint64_t pings_sent = 0;         ///< For want of traffic, and by the application. 5.5.2.
    std::uint64_t pings_answered = 0;     ///< A Pong was queued for them at once. 5.5.3.
    std::uint64_t pongs_received = 0;     ///< Those that nobody asked for, too.
    std::uint64_t round_trips = 0;        ///< From a Ping for want of traffic to its Pong.
    duration round_trip_sum{};            ///< Of those.
    duration longest_round_trip{};        ///< Of those.
    std::size_t most_queued_bytes = 0;    ///< Most that the message queue has held.
    std::size_t most_output_bytes = 0;    ///< Most that has waited to be sent.

    /// Those of two connections together: sums, and of what is the most or the longest, the greater.
    connection_counters& operator+=(const connection_counters& other) noexcept {
        bytes_received += other.bytes_received;
        bytes_sent += other.bytes_sent;
        messages_received += other.messages_received;
        messages_sent += other.messages_sent;
        pings_sent += other.pings_sent;
        pings_answered += other.pings_answered;
        pongs_received += other.pongs_received;
        round_trips += other.round_trips;
        round_trip_sum += other.round_trip_sum;
        longest_round_trip = detail::larger_of(longest_round_trip, other.longest_round_trip);
        most_queued_bytes = detail::larger_of(most_queued_bytes, other.most_queued_bytes);
        most_output_bytes = detail::larger_of(most_output_bytes, other.most_output_bytes);
        return *this;
    }
};

namespace detail {

// Of `connection_counters`, what no machine counts.
struct own_counters {
    std::uint64_t bytes_received = 0, bytes_sent = 0;
    std::uint64_t pings_sent = 0, pings_answered = 0, pongs_received = 0;
    std::uint64_t round_trips = 0;
    duration round_trip_sum{}, longest_round_trip{};
    std::size_t most_queued_bytes = 0, most_output_bytes = 0;

    void count_round_trip(duration took) noexcept {
        ++round_trips;
        round_trip_sum += took;
        longest_round_trip = detail::larger_of(longest_round_trip, took);
    }
};

}  // namespace detail

/// How a connection stands. Sizes are in bytes, where nothing else is said.
struct connection_snapshot {
    std::uint64_t id = 0;      ///< Its number; 0 without diagnostics.
    sansocket::role role{};    ///< Whose end it is.
    connection_state state{};  ///< As `connection::state()`.
    close_state closing{};     ///< The closing handshake.

    ended_by by{};                       ///< Who ended it.
    errc cause{};                        ///< The first cause; `errc::ok` if it has not ended.
    std::optional<close_code> sent;      ///< In our Close. 5.5.1.
    std::optional<close_code> received;  ///< In the peer's Close. 5.5.1.
    bool clean = false;                  ///< Both Closes exchanged. 7.1.4.
    bool incomplete_message = false;     ///< The end cut a message off.
    std::uint64_t discarded = 0;         ///< Input thrown away after the end.

    std::size_t queued_messages = 0;  ///< Whole messages that the application has not taken.
    std::size_t queued_bytes = 0;     ///< What they are charged.
    bool paused = false;              ///< The queue is full: nothing is read.
    std::size_t output_bytes = 0;     ///< Accepted for sending and not taken by the transport.
    std::size_t output_frames = 0;    ///< Frames of data and Close among them.
    /// Held by the queues, the codec and the opening handshake; the connection is `sizeof` more.
    std::size_t memory = 0;
    connection_counters counters;  ///< What it has done.

    std::optional<deflate_agreement> deflate;  ///< As `connection::deflate()`.
    std::uint64_t compressed_messages = 0;     ///< Sent so.
    std::uint64_t decompressed_messages = 0;   ///< Received so.

    std::string_view subprotocol;        ///< Agreed on; as `connection::subprotocol()`.
    std::optional<duration> round_trip;  ///< From the last Ping to its Pong.
    time_point last_received{};          ///< When the last byte came.
    /// From then to the last time that was told with `advance`, `close` or a loss: where a silent peer
    /// was the end of it, how long it had been silent. 0 before the first byte.
    duration silence{};
    time_point write_stalled_since = never;  ///< Since when the transport takes none of the output.
    time_point deadline = never;             ///< When `advance` is due.
    last_bytes input;                        ///< Empty without diagnostics.

    bool wants_read = false;      ///< As `connection::wants_read()`.
    bool wants_write = false;     ///< As `connection::wants_write()`.
    shutdown_request shutdown{};  ///< As `connection::wants_shutdown()`.
};

/// A word for each value.
[[nodiscard]] constexpr std::string_view name_of(connection_state s) noexcept {
    switch (s) {
    case connection_state::opening: return "opening";
    case connection_state::open: return "open";
    case connection_state::closing: return "closing";
    case connection_state::closed: return "closed";
    }
    return "closed";
}
[[nodiscard]] constexpr std::string_view name_of(role r) noexcept {
    return r == role::client ? "client" : "server";
}
[[nodiscard]] constexpr std::string_view name_of(ended_by by) noexcept {
    switch (by) {
    case ended_by::nobody: return "nobody";
    case ended_by::this_endpoint: return "this endpoint";
    case ended_by::peer: return "the peer";
    case ended_by::violation: return "a violation by the peer";
    case ended_by::transport: return "the transport";
    case ended_by::timeout: return "a timeout";
    }
    return "nobody";
}

/// `s` as one line of text for a log: state, who ended it and why, codes, sizes, last bytes.
[[nodiscard]] inline std::string to_string(const connection_snapshot& s) {
    std::string out{name_of(s.role)};
    const auto add = [&out](std::string_view label, std::string_view value) {
        detail::append(out, {", ", label, value});
    };
    const auto add_number = [&add](std::string_view label, std::uint64_t n) {
        add(label, std::to_string(n));
    };
    const auto add_code = [&](std::string_view label, const std::optional<close_code>& code) {
        if (code) add_number(label, static_cast<std::uint16_t>(*code));
    };
    const auto add_count = [&](std::string_view label, std::uint64_t count) {
        if (count != 0) add_number(label, count);
    };
    if (s.id != 0) detail::append(out, {" ", std::to_string(s.id)});
    add("", name_of(s.state));
    if (s.cause != errc::ok) {
        add("ended by ", name_of(s.by));
        detail::append(out, {": ", describe(s.cause)});
        add("", s.clean ? "clean" : "not clean");
    }
    add_code("sent Close ", s.sent);
    add_code("received Close ", s.received);
    if (s.incomplete_message) add("", "a message was cut off");
    add_number("messages unread ", s.queued_messages);
    add_number("bytes unread ", s.queued_bytes);
    if (s.paused) add("", "reading is paused");
    add_number("bytes unsent ", s.output_bytes);
    add_count("bytes discarded ", s.discarded);
    add_number("memory ", s.memory);
    if (!s.subprotocol.empty()) add("subprotocol ", s.subprotocol);
    if (s.deflate) {
        add_number("sent compressed ", s.compressed_messages);
        add_number("received compressed ", s.decompressed_messages);
    }
    const auto add_time = [&](std::string_view label, duration time) {
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
        add_number(label, static_cast<std::uint64_t>(us));
    };
    if (s.silence > duration::zero()) add_time("silence in us ", s.silence);
    if (s.round_trip) add_time("round trip in us ", *s.round_trip);
    const connection_counters& n = s.counters;
    if (n.round_trips > 1) add_time("longest round trip in us ", n.longest_round_trip);
    add_count("received messages ", n.messages_received);
    add_count("received bytes ", n.bytes_received);
    add_count("sent messages ", n.messages_sent);
    add_count("sent bytes ", n.bytes_sent);
    add_count("most bytes unread ", n.most_queued_bytes);
    add_count("most bytes unsent ", n.most_output_bytes);
    add_count("Pings sent ", n.pings_sent);
    add_count("Pings answered ", n.pings_answered);
    add_count("Pongs received ", n.pongs_received);
    if (s.input.size != 0) add("last bytes", "");
    for (std::size_t i = 0; i != s.input.size; ++i) {
        constexpr std::string_view digits = "0123456789abcdef";
        const auto b = std::to_integer<unsigned>(s.input.data[i]);
        detail::append(out, {" ", digits.substr(b >> 4U, 1), digits.substr(b & 15U, 1)});
    }
    return out;
}

}  // namespace sansocket
