// sansocket_asio/sansocket_asio.hpp, version 0.1.0
//
// The adapter for standalone Asio.
//
// Every header of sansocket_asio in one file, with all that it needs of the others.
// Made by tools/amalgamate from include/: edit that. See docs/single_header.md.
//
// SPDX-License-Identifier: MIT
//
// MIT License
//
// Copyright (c) 2026 The sansocket authors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy
// of this software and associated documentation files (the "Software"), to deal
// in the Software without restriction, including without limitation the rights
// to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
// copies of the Software, and to permit persons to whom the Software is
// furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all
// copies or substantial portions of the Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
// IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
// FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
// LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
// OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
// SOFTWARE.
#pragma once

#if !defined(SANSOCKET_SINGLE_VERSION)
#define SANSOCKET_SINGLE_VERSION 100
#define SANSOCKET_SINGLE_VERSION_TEXT "0.1.0"
#elif SANSOCKET_SINGLE_VERSION != 100
static_assert(false, "<sansocket_asio/sansocket_asio.hpp> is of version 0.1.0, what is "
                     "included before it of version " SANSOCKET_SINGLE_VERSION_TEXT);
#error "<sansocket_asio/sansocket_asio.hpp> 0.1.0 meets a header of sansocket of another version"
#endif

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/basic_socket_acceptor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/compose.hpp>
#include <asio/detail/config.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/address_v6.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/query.hpp>
#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
#include <version>

// ==== sansocket/detail/bytes_of.hpp ==============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTES_OF_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTES_OF_HPP
// bytes_of.hpp
//
// Memory as a span of bytes, from a pointer and a size.
//
// `std::span{container}` asks of every type of container whether it is a range,
// which costs a compiler as much as a header of ours does; a pointer is known.

namespace sansocket::detail {

inline std::span<const std::byte> bytes_of(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::byte*>(data), size};
}
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return bytes_of(text.data(), text.size());
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTES_OF_HPP

// ==== sansocket/wire/message.hpp =================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_MESSAGE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_MESSAGE_HPP
// message.hpp
//
// What an application receives: a text or a binary message. 5.6, 6.2.
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// The two kinds of message. 5.6.
enum class message_kind : std::uint8_t { text, binary };

/// Whether a message that is sent is compressed, where that was agreed on. RFC 7692 6.1.
enum class compression : std::uint8_t {
    automatic,  ///< If it has `deflate_options::threshold` bytes, or comes in parts.
    off,        ///< No.
    on,         ///< Yes, however small it is.
};

/// A message that lies in somebody else's memory; who hands it out says for how long.
struct message_view {
    message_kind kind = message_kind::text;  ///< Text or binary.
    std::span<const std::byte> bytes;        ///< The payload.

    /// The payload as characters; UTF-8 where `kind` is text.
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

/// A part of a message, as it came, that lies in somebody else's memory. Text may be cut inside of a
/// code point.
struct message_piece_view {
    message_kind kind = message_kind::text;  ///< Text or binary, of the whole message.
    std::span<const std::byte> bytes;        ///< May be empty where it is the last.
    bool first = false;                      ///< The message begins with it.
    bool last = false;                       ///< The message is complete with it.

    /// The bytes as characters.
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

/// The same, and it owns its bytes.
struct message_piece {
    message_kind kind = message_kind::text;  ///< Text or binary, of the whole message.
    std::string data;                        ///< May be empty where it is the last.
    bool first = false;                      ///< The message begins with it.
    bool last = false;                       ///< The message is complete with it.

    message_piece() = default;
    /// A copy of what `view` shows.
    explicit message_piece(const message_piece_view& view)
        : kind(view.kind), data(view.text()), first(view.first), last(view.last) {}
};

/// A message that owns its payload.
struct message {
    message_kind kind = message_kind::text;  ///< Text or binary.
    std::string data;                        ///< UTF-8 where `kind` is text.

    message() = default;
    /// Of kind `k`, with the payload `d`.
    message(message_kind k, std::string d) : kind(k), data(std::move(d)) {}
    /// A copy of what `view` shows.
    explicit message(message_view view) : kind(view.kind), data(view.text()) {}

    /// The payload as bytes; a view of `data`.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return detail::bytes_of(data.data(), data.size());
    }

    friend bool operator==(const message&, const message&) = default;
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_MESSAGE_HPP

// ==== sansocket_asio/detail/message_handler.hpp ==================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_MESSAGE_HANDLER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_MESSAGE_HANDLER_HPP
// message_handler.hpp
//
// What a run hands messages to: a function of any type, called through one
// pointer.

namespace sansocket_asio::detail {

class message_handler {
public:
    message_handler() = default;
    message_handler(const message_handler&) = delete;
    message_handler& operator=(const message_handler&) = delete;
    virtual ~message_handler() = default;
    virtual void operator()(sansocket::message_view message) = 0;
};

template <class Handler>
std::shared_ptr<message_handler> make_message_handler(Handler&& handler) {
    class model final : public message_handler {
    public:
        explicit model(Handler&& h) : handler_(std::forward<Handler>(h)) {}
        void operator()(sansocket::message_view message) override { handler_(message); }

    private:
        std::decay_t<Handler> handler_;
    };
    return std::make_shared<model>(std::forward<Handler>(handler));
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_MESSAGE_HANDLER_HPP

// ==== sansocket_asio/when_full.hpp ===============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_WHEN_FULL_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_WHEN_FULL_HPP
// when_full.hpp
//
// What becomes of messages for a peer that takes them more slowly than they are
// made: how many may wait for it, which of them go where nobody is to wait, and
// how many went.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_WHEN_FULL_HPP

// ==== sansocket/wire/time.hpp ====================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_TIME_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_TIME_HPP
// time.hpp
//
// The library's words for time. It never asks a clock: who calls says what time
// it is, on any clock that does not go back, as points of std::chrono::steady_clock.

namespace sansocket {

/// A moment, as the caller tells it.
using time_point = std::chrono::steady_clock::time_point;

/// A span of time.
using duration = std::chrono::steady_clock::duration;

/// No deadline.
inline constexpr time_point never = (time_point::max)();

/// A deadline that has passed whatever the time is. Far enough from the ends that the time left until
/// then, `immediately - now`, is a number.
inline constexpr time_point immediately{(duration::min)() / 2};

/// `now + span`, or `never` where `span` is 0 or would pass it.
[[nodiscard]] constexpr time_point after(time_point now, duration span) noexcept {
    if (span <= duration::zero() || (now >= time_point{} && span >= never - now)) return never;
    return now + span;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_TIME_HPP

// ==== sansocket_asio/detail/sender_line.hpp ======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SENDER_LINE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SENDER_LINE_HPP
// sender_line.hpp
//
// Those that wait for room to send, in order: each with a timer that wakes it, and
// the bytes that it was given, which are limited in all.

namespace sansocket_asio::detail {

// Where in the line of those that wait for room.
enum class line : std::uint8_t { front, back };

template <class Timer>
class sender_line {
    struct sender {
        sender(const typename Timer::executor_type& executor, std::size_t given)
            : timer(executor, sansocket::never), bytes(given) {}
        Timer timer;
        std::size_t bytes;
    };

public:
    using place = typename std::list<sender>::iterator;

    void limit(const sender_limits& limits) noexcept { limits_ = limits; }
    bool empty() const noexcept { return senders_.empty(); }
    // Whether one more may wait.
    bool has_room() const noexcept {
        return senders_.size() < limits_.count && bytes_ < limits_.bytes;
    }
    bool is_first(place at) noexcept { return at == senders_.begin(); }

    // `given`: bytes that count towards the limit.
    place add(line where, const typename Timer::executor_type& executor, std::size_t given) {
        const auto before = where == line::front ? senders_.begin() : senders_.end();
        const auto at = senders_.emplace(before, executor, given);
        bytes_ += given;
        return at;
    }
    void remove(place at) noexcept {
        bytes_ -= at->bytes;
        senders_.erase(at);
    }

    void wake_first() {
        if (!empty()) senders_.front().timer.cancel();
    }
    void wake_all() {
        for (auto& s : senders_) s.timer.cancel();
    }

private:
    std::list<sender> senders_;
    std::size_t bytes_ = 0;
    sender_limits limits_;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SENDER_LINE_HPP

// ==== sansocket/detail/config.hpp ================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_CONFIG_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_CONFIG_HPP
// config.hpp
//
// What the compilers spell differently. The library's macros, all of them.

#if defined(_MSC_VER) && !defined(__clang__)
#define SANSOCKET_ALWAYS_INLINE __forceinline
#define SANSOCKET_NOINLINE __declspec(noinline)
#define SANSOCKET_UNREACHABLE() __assume(false)
#else
#define SANSOCKET_ALWAYS_INLINE inline __attribute__((always_inline))
#define SANSOCKET_NOINLINE __attribute__((noinline))
#define SANSOCKET_UNREACHABLE() __builtin_unreachable()
#endif

// [[no_unique_address]], which Visual C++ keeps to its own name, for the layout that it had.
#if defined(_MSC_VER)
#define SANSOCKET_NO_UNIQUE_ADDRESS [[msvc::no_unique_address]]
#else
#define SANSOCKET_NO_UNIQUE_ADDRESS [[no_unique_address]]
#endif
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_CONFIG_HPP

// ==== sansocket/detail/algorithm.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_ALGORITHM_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_ALGORITHM_HPP
// algorithm.hpp
//
// The few algorithms that the core needs. <algorithm> brings all of them, those
// for ranges and for execution policies too, and took a tenth of the time that a
// compiler needs for the whole core.

namespace sansocket::detail {

template <class T>
constexpr T smaller_of(T a, T b) noexcept {
    return b < a ? b : a;
}
template <class T>
constexpr T larger_of(T a, T b) noexcept {
    return a < b ? b : a;
}

// Copies `bytes` to `to`, where there is room for them. No bytes may be at a null pointer.
inline void copy_bytes(std::span<const std::byte> bytes, std::byte* to) noexcept {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

// Whether one of `texts`, a range of strings or of views of them, is `wanted`.
template <class Texts>
constexpr bool contains(const Texts& texts, std::string_view wanted) noexcept {
    for (const std::string_view text : texts)
        if (text == wanted) return true;
    return false;
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_ALGORITHM_HPP

// ==== sansocket/detail/append.hpp ================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_APPEND_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_APPEND_HPP
// append.hpp
//
// Texts, one behind the other.
//
// Each length of a literal that is given to std::string itself is a type of its
// own there, with templates of its own to instantiate; here all are string_views.

namespace sansocket::detail {

inline void append(std::string& out, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) out.append(part.data(), part.size());
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_APPEND_HPP

// ==== sansocket/wire/close_code.hpp ==============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_CODE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_CODE_HPP
// close_code.hpp
//
// Status codes of the Close frame. RFC 6455 7.4, and the IANA registry that
// it opened (1012 to 1014 came later).
//
// All 65,536 values are judged here and nowhere else: what may stand in a
// Close frame, and what only ever describes an ending locally.
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// The status code of a Close frame, or of an ending without one. 7.4.1.
///
/// Any 16-bit value may be held; `may_be_sent` says which may go on the wire.
enum class close_code : std::uint16_t {
    normal = 1000,               ///< The purpose of the connection has been fulfilled.
    going_away = 1001,           ///< A server is going down, or a page was left.
    protocol_error = 1002,       ///< The peer broke the protocol.
    unsupported_data = 1003,     ///< A kind of data that this endpoint cannot accept.
    no_status = 1005,            ///< Never sent: the Close frame held no code.
    abnormal = 1006,             ///< Never sent: no Close frame was received.
    invalid_payload = 1007,      ///< Data not consistent with its type, such as text not in UTF-8.
    policy_violation = 1008,     ///< Against this endpoint's policy, no other code fits.
    message_too_big = 1009,      ///< Larger than this endpoint processes.
    mandatory_extension = 1010,  ///< A client needed an extension the server did not accept.
    internal_error = 1011,       ///< An unexpected condition at this endpoint.
    service_restart = 1012,      ///< IANA registry.
    try_again_later = 1013,      ///< IANA registry.
    bad_gateway = 1014,          ///< IANA registry.
    tls_handshake = 1015,        ///< Never sent: the TLS handshake failed.
};

/// Whether `code` may stand in a Close frame, in either direction. 7.4.1, 7.4.2.
///
/// @return true for 1000 to 1003, 1007 to 1014, and 3000 to 4999.
[[nodiscard]] constexpr bool may_be_sent(close_code code) noexcept {
    const auto n = static_cast<std::uint16_t>(code);
    if (n >= 3000) return n <= 4999;  // 7.4.2: registered and private use
    if (n >= 1007) return n <= 1014;
    return n >= 1000 && n <= 1003;  // 7.4.1: 1004 to 1006 and 1015 are reserved
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_CODE_HPP

// ==== sansocket/wire/error.hpp ===================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_ERROR_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_ERROR_HPP
// error.hpp
//
// Everything that can go wrong, and every way a connection ends: one name for
// each rule, in one table with whose fault it is, the close code it calls for,
// and a sentence.
//
// `errc` is an std::error_code enumeration; success is `errc{}`.
//
// Knows nothing of: state. Section numbers in this file refer to RFC 6455
// unless another RFC is named.

namespace sansocket {

/// Errors of the library and causes of a connection's end. `errc{}` is success.
enum class errc : std::uint8_t {
    // success
    ok = 0,

    // caller: asked for something this state or this value forbids; nothing changed
    not_open,  // 4.1
    closing,   // 5.5.1
    closed,    // 7.1.4
    backpressure,
    message_in_progress,     // 5.4
    no_message_in_progress,  // 5.4
    control_too_long,        // 5.5
    invalid_close_code,      // 7.4
    close_reason_too_long,   // 5.5
    text_not_utf8,           // 5.6
    operation_in_progress,
    not_deciding,             // 4.2.2
    invalid_request,          // 4.1
    invalid_response,         // 4.2.2
    subprotocol_not_offered,  // 4.2.2

    // url: caller gave a URL that cannot be used
    url_scheme,     // 3
    url_host,       // 3
    url_port,       // 3
    url_path,       // 3
    url_fragment,   // 3
    url_userinfo,   // 3
    url_needs_tls,  // 3

    // server's options
    network_invalid,  // RFC 4632 3.1

    // incomplete input: the one recoverable code
    need_more,

    // frames: peer broke section 5
    reserved_bit,             // 5.2
    reserved_opcode,          // 5.2
    length_not_minimal,       // 5.2
    length_too_large,         // 5.2
    control_fragmented,       // 5.5
    control_length,           // 5.5
    frame_not_masked,         // 5.1
    frame_masked,             // 5.1
    unexpected_continuation,  // 5.4
    expected_continuation,    // 5.4
    invalid_utf8,             // 8.1
    close_payload_length,     // 5.5.1
    close_code_reserved,      // 7.4
    close_reason_not_utf8,    // 5.5.1
    compressed_bit,           // RFC 7692 6.1
    deflate_corrupt,          // RFC 7692 7.2.2
    deflate_truncated,        // RFC 7692 7.2.2

    // limits: within the RFC, past an option
    message_too_big,     // 10.4
    too_many_fragments,  // 10.4
    message_too_slow,    // 10.4
    queue_full,          // 10.4
    deflate_work,        // 10.4
    deflate_memory,      // 10.4

    // http heads: RFC 9112 and RFC 9110
    http_line_end,            // RFC 9112 2.2
    http_nul,                 // RFC 9110 5.5
    http_request_line,        // RFC 9112 3
    http_status_line,         // RFC 9112 4
    http_version,             // RFC 9112 2.3
    http_field_name,          // RFC 9110 5.1
    http_space_before_colon,  // RFC 9112 5.1
    http_field_value,         // RFC 9110 5.5
    http_folding,             // RFC 9112 5.2
    http_duplicate_field,     // RFC 9110 5.3
    http_body_framing,        // RFC 9112 6
    http_line_too_long,       // RFC 9110 5.4
    http_target_too_long,     // RFC 9110 4.1
    http_too_many_fields,     // RFC 9110 5.4
    http_head_too_large,      // RFC 9110 5.4

    // proxies in front of a server
    forwarded_invalid,      // RFC 7239 4
    proxy_header_missing,   // PROXY protocol 2
    proxy_header_invalid,   // PROXY protocol 2.1, 2.2
    proxy_header_too_long,  // PROXY protocol 2.2

    // opening handshake, server's checks
    method_not_get,                 // 4.2.1
    http_version_too_old,           // 4.2.1
    host_missing,                   // 4.2.1
    not_an_upgrade,                 // 4.2.1
    connection_not_upgrade,         // 4.2.1
    websocket_key_invalid,          // 4.2.1
    websocket_version_unsupported,  // 4.4
    subprotocol_invalid,            // 4.1
    extensions_invalid,             // 9.1
    origin_refused,                 // 10.2
    subprotocol_required,           // 4.2.2
    refused_by_application,         // 4.2.2

    // opening handshake, client's checks
    upgrade_refused,       // 4.1
    response_upgrade,      // 4.1
    response_connection,   // 4.1
    response_accept,       // 4.1
    response_extension,    // 4.1
    deflate_parameter,     // RFC 7692 7.1
    response_deflate,      // RFC 7692 7.1
    response_subprotocol,  // 4.1

    // how a connection ends
    closed_by_peer,  // 7.1.3
    closed_locally,  // 7.1.2
    aborted,         // 7.1.7
    cancelled,
    dropped,
    http_answered,   // 4.2.1
    end_of_stream,   // 7.1.4
    transport_lost,  // 7.1.4
    tls_truncated,   // 7.1.4
    tls_handshake_failed,
    opening_timeout,  // 4.1
    close_timeout,    // 7.1.1
    pong_timeout,     // 5.5.2
    idle_timeout,
    write_timeout,
};

/// Whose doing an `errc` is.
enum class error_kind : std::uint8_t {
    none,       ///< Success, or `need_more`.
    caller,     ///< The call is not possible now or with these values. Nothing has changed.
    peer,       ///< The peer broke the RFC.
    limit,      ///< The peer kept to the RFC and passed an option's limit.
    transport,  ///< The bytes stopped.
    timeout,    ///< A deadline passed.
    ending,     ///< An ending that somebody asked for.
};

namespace detail {

struct error_row {
    errc ec;
    error_kind kind;
    close_code code;  // what fails the connection with; `normal` where no Close frame is called for
    const char* message;
};

// clang-format off
inline constexpr error_row error_table[] = {
    // success
    {errc::ok, error_kind::none, close_code::normal, "success"},
    // caller: asked for something this state or this value forbids; nothing changed
    {errc::not_open, error_kind::caller, close_code::normal, "the connection is not open yet"},
    {errc::closing, error_kind::caller, close_code::normal, "the closing handshake has started; no more data may be sent"},
    {errc::closed, error_kind::caller, close_code::normal, "the connection is closed"},
    {errc::backpressure, error_kind::caller, close_code::normal, "the send queue is at its limit; the message was not taken"},
    {errc::message_in_progress, error_kind::caller, close_code::normal, "a fragmented message is being sent; finish it first"},
    {errc::no_message_in_progress, error_kind::caller, close_code::normal, "no fragmented message was started"},
    {errc::control_too_long, error_kind::caller, close_code::normal, "the payload of a control frame is over 125 bytes"},
    {errc::invalid_close_code, error_kind::caller, close_code::normal, "this status code may not be sent in a Close frame"},
    {errc::close_reason_too_long, error_kind::caller, close_code::normal, "the reason of a Close frame is over 123 bytes"},
    {errc::text_not_utf8, error_kind::caller, close_code::normal, "the text to send is not valid UTF-8"},
    {errc::operation_in_progress, error_kind::caller, close_code::normal, "an operation of this kind is already pending"},
    {errc::not_deciding, error_kind::caller, close_code::normal, "there is no opening handshake to answer"},
    {errc::invalid_request, error_kind::caller, close_code::normal, "the opening handshake asked for cannot be written as HTTP"},
    {errc::invalid_response, error_kind::caller, close_code::normal, "the answer to the opening handshake cannot be written as HTTP"},
    {errc::subprotocol_not_offered, error_kind::caller, close_code::normal, "the chosen subprotocol was not offered by the client"},
    // url: caller gave a URL that cannot be used
    {errc::url_scheme, error_kind::caller, close_code::normal, "the URL's scheme is neither ws nor wss"},
    {errc::url_host, error_kind::caller, close_code::normal, "the URL's host is missing or not valid"},
    {errc::url_port, error_kind::caller, close_code::normal, "the URL's port is not a number from 1 to 65535"},
    {errc::url_path, error_kind::caller, close_code::normal, "the URL's path or query holds a character that must be percent-encoded"},
    {errc::url_fragment, error_kind::caller, close_code::normal, "a WebSocket URL may not have a fragment"},
    {errc::url_userinfo, error_kind::caller, close_code::normal, "a WebSocket URL may not have a user name or password"},
    {errc::url_needs_tls, error_kind::caller, close_code::normal, "the URL asks for TLS, and the stream has none"},
    // server's options
    {errc::network_invalid, error_kind::caller, close_code::normal, "this is no IP network such as 192.0.2.0/24"},
    // incomplete input: the one recoverable code
    {errc::need_more, error_kind::none, close_code::normal, "more input is needed"},
    // frames: peer broke section 5
    {errc::reserved_bit, error_kind::peer, close_code::protocol_error, "a reserved bit is set without an extension that defines it"},
    {errc::reserved_opcode, error_kind::peer, close_code::protocol_error, "a reserved opcode"},
    {errc::length_not_minimal, error_kind::peer, close_code::protocol_error, "the payload length is not in its shortest form"},
    {errc::length_too_large, error_kind::peer, close_code::protocol_error, "the payload length has its most significant bit set"},
    {errc::control_fragmented, error_kind::peer, close_code::protocol_error, "a control frame is fragmented"},
    {errc::control_length, error_kind::peer, close_code::protocol_error, "a control frame's payload is over 125 bytes"},
    {errc::frame_not_masked, error_kind::peer, close_code::protocol_error, "a frame from a client is not masked"},
    {errc::frame_masked, error_kind::peer, close_code::protocol_error, "a frame from a server is masked"},
    {errc::unexpected_continuation, error_kind::peer, close_code::protocol_error, "a continuation frame without a message to continue"},
    {errc::expected_continuation, error_kind::peer, close_code::protocol_error, "a new message began before the last one was finished"},
    {errc::invalid_utf8, error_kind::peer, close_code::invalid_payload, "a text message is not valid UTF-8"},
    {errc::close_payload_length, error_kind::peer, close_code::protocol_error, "a Close frame's payload is one byte"},
    {errc::close_code_reserved, error_kind::peer, close_code::protocol_error, "a Close frame holds a status code that may not be sent"},
    {errc::close_reason_not_utf8, error_kind::peer, close_code::invalid_payload, "a Close frame's reason is not valid UTF-8"},
    {errc::compressed_bit, error_kind::peer, close_code::protocol_error, "RSV1 is set on a control frame or on a fragment that is not the first"},
    {errc::deflate_corrupt, error_kind::peer, close_code::invalid_payload, "a compressed message is not valid deflate data"},
    {errc::deflate_truncated, error_kind::peer, close_code::invalid_payload, "a compressed message ends inside its deflate data"},
    // limits: within the RFC, past an option
    {errc::message_too_big, error_kind::limit, close_code::message_too_big, "a message is larger than the limit"},
    {errc::too_many_fragments, error_kind::limit, close_code::policy_violation, "a message is cut into more fragments than its size allows"},
    {errc::message_too_slow, error_kind::limit, close_code::policy_violation, "a message takes longer to arrive than the limit"},
    {errc::queue_full, error_kind::limit, close_code::policy_violation, "the message queue is full"},
    {errc::deflate_work, error_kind::limit, close_code::policy_violation, "a compressed message has too many deflate blocks for its size"},
    {errc::deflate_memory, error_kind::limit, close_code::internal_error, "there is no memory to decompress with"},
    // http heads: RFC 9112 and RFC 9110
    {errc::http_line_end, error_kind::peer, close_code::normal, "a line of the HTTP head does not end in CRLF"},
    {errc::http_nul, error_kind::peer, close_code::normal, "a NUL in the HTTP head"},
    {errc::http_request_line, error_kind::peer, close_code::normal, "the request line is not valid"},
    {errc::http_status_line, error_kind::peer, close_code::normal, "the status line is not valid"},
    {errc::http_version, error_kind::peer, close_code::normal, "the HTTP version is not supported"},
    {errc::http_field_name, error_kind::peer, close_code::normal, "a field name is missing or not a token"},
    {errc::http_space_before_colon, error_kind::peer, close_code::normal, "white space between a field name and its colon"},
    {errc::http_field_value, error_kind::peer, close_code::normal, "a field value holds a character that is not allowed"},
    {errc::http_folding, error_kind::peer, close_code::normal, "a folded field line"},
    {errc::http_duplicate_field, error_kind::peer, close_code::normal, "a field that may stand once stands twice"},
    {errc::http_body_framing, error_kind::peer, close_code::normal, "a request to upgrade came with a body"},
    {errc::http_line_too_long, error_kind::limit, close_code::normal, "a line of the HTTP head is longer than the limit"},
    {errc::http_target_too_long, error_kind::limit, close_code::normal, "the request target is longer than the limit"},
    {errc::http_too_many_fields, error_kind::limit, close_code::normal, "the HTTP head has more fields than the limit"},
    {errc::http_head_too_large, error_kind::limit, close_code::normal, "the HTTP head is larger than the limit"},
    // proxies in front of a server
    {errc::forwarded_invalid, error_kind::peer, close_code::normal, "a proxy's word on where a request comes from is not valid"},
    {errc::proxy_header_missing, error_kind::peer, close_code::normal, "a trusted proxy's connection did not begin with a PROXY header"},
    {errc::proxy_header_invalid, error_kind::peer, close_code::normal, "a trusted proxy's PROXY header is not valid"},
    {errc::proxy_header_too_long, error_kind::limit, close_code::normal, "a trusted proxy's PROXY header is longer than the limit"},
    // opening handshake, server's checks
    {errc::method_not_get, error_kind::peer, close_code::normal, "the request's method is not GET"},
    {errc::http_version_too_old, error_kind::peer, close_code::normal, "the request's HTTP version is below 1.1"},
    {errc::host_missing, error_kind::peer, close_code::normal, "the request has no Host field, or an invalid one"},
    {errc::not_an_upgrade, error_kind::peer, close_code::normal, "the request's Upgrade field does not hold websocket"},
    {errc::connection_not_upgrade, error_kind::peer, close_code::normal, "the request's Connection field does not hold Upgrade"},
    {errc::websocket_key_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Key is missing or not 16 bytes in base64"},
    {errc::websocket_version_unsupported, error_kind::peer, close_code::normal, "Sec-WebSocket-Version is not 13"},
    {errc::subprotocol_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Protocol is not a list of distinct tokens, or of too many"},
    {errc::extensions_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Extensions is not a list of extensions"},
    {errc::origin_refused, error_kind::peer, close_code::normal, "the request's origin is not allowed"},
    {errc::subprotocol_required, error_kind::peer, close_code::normal, "no subprotocol in common, and one is required"},
    {errc::refused_by_application, error_kind::caller, close_code::normal, "the application refused the request"},
    // opening handshake, client's checks
    {errc::upgrade_refused, error_kind::peer, close_code::normal, "the server did not answer 101"},
    {errc::response_upgrade, error_kind::peer, close_code::normal, "the response's Upgrade field is not websocket"},
    {errc::response_connection, error_kind::peer, close_code::normal, "the response's Connection field does not hold Upgrade"},
    {errc::response_accept, error_kind::peer, close_code::normal, "Sec-WebSocket-Accept is missing or wrong"},
    {errc::response_extension, error_kind::peer, close_code::normal, "the server chose an extension that was not offered"},
    {errc::deflate_parameter, error_kind::peer, close_code::normal, "a parameter of permessage-deflate is unknown, stands twice or has a wrong value"},
    {errc::response_deflate, error_kind::peer, close_code::normal, "the server's parameters of permessage-deflate were not offered"},
    {errc::response_subprotocol, error_kind::peer, close_code::normal, "the server chose a subprotocol that was not offered"},
    // how a connection ends
    {errc::closed_by_peer, error_kind::ending, close_code::normal, "the peer started the closing handshake"},
    {errc::closed_locally, error_kind::ending, close_code::normal, "this endpoint started the closing handshake"},
    {errc::aborted, error_kind::ending, close_code::normal, "this endpoint aborted the connection"},
    {errc::cancelled, error_kind::ending, close_code::normal, "the closing handshake was cancelled"},
    {errc::dropped, error_kind::ending, close_code::normal, "the connection was destroyed without a close"},
    {errc::http_answered, error_kind::ending, close_code::normal, "the request was no opening handshake, and was answered as HTTP"},
    {errc::end_of_stream, error_kind::transport, close_code::normal, "the transport ended without a Close frame"},
    {errc::transport_lost, error_kind::transport, close_code::normal, "the transport failed or was reset"},
    {errc::tls_truncated, error_kind::transport, close_code::normal, "the TLS stream ended without close_notify"},
    {errc::tls_handshake_failed, error_kind::transport, close_code::normal, "the TLS handshake failed"},
    {errc::opening_timeout, error_kind::timeout, close_code::normal, "the opening handshake took too long"},
    {errc::close_timeout, error_kind::timeout, close_code::normal, "the closing handshake took too long"},
    {errc::pong_timeout, error_kind::timeout, close_code::normal, "the peer did not answer a Ping in time"},
    {errc::idle_timeout, error_kind::timeout, close_code::normal, "nothing was received for too long"},
    {errc::write_timeout, error_kind::timeout, close_code::normal, "the transport took no output for too long"},
};
// clang-format on

constexpr bool rows_match_enumerators() noexcept {
    std::size_t i = 0;
    for (const error_row& row : error_table)
        if (static_cast<std::size_t>(row.ec) != i++) return false;
    return true;
}
static_assert(rows_match_enumerators());

// A value that is no enumerator reads as `transport_lost`: queries are total.
constexpr const error_row& error_row_of(errc ec) noexcept {
    const auto i = static_cast<std::size_t>(ec);
    return error_table[i < std::size(error_table) ? i
                                                  : static_cast<std::size_t>(errc::transport_lost)];
}

}  // namespace detail

/// Number of enumerators of `errc`, `errc::ok` included. They count up from 0.
inline constexpr std::size_t errc_count = std::size(detail::error_table);

/// Whose doing `ec` is. Total.
[[nodiscard]] constexpr error_kind kind_of(errc ec) noexcept {
    return detail::error_row_of(ec).kind;
}

/// The code of the Close frame that fails a connection because of `ec`. RFC 6455 7.1.7.
///
/// @return 1002, 1007, 1008, 1009 or 1011 for what can go wrong once the connection is open;
///         `close_code::normal` where no Close frame is called for.
[[nodiscard]] constexpr close_code close_code_for(errc ec) noexcept {
    return detail::error_row_of(ec).code;
}

/// A sentence for `ec`, in static storage.
[[nodiscard]] constexpr std::string_view describe(errc ec) noexcept {
    return detail::error_row_of(ec).message;
}

namespace detail {
class error_category_type final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "sansocket"; }
    [[nodiscard]] std::string message(int value) const override {
        return error_row_of(static_cast<errc>(value)).message;
    }
};
}  // namespace detail

/// The category of `errc` in an std::error_code. Named "sansocket".
[[nodiscard]] inline const std::error_category& error_category() noexcept {
    static const detail::error_category_type category;
    return category;
}

/// Found by argument-dependent look-up when an `errc` becomes an std::error_code.
[[nodiscard]] inline std::error_code make_error_code(errc ec) noexcept {
    return {static_cast<int>(ec), error_category()};
}

}  // namespace sansocket

template <>
struct std::is_error_code_enum<sansocket::errc> : std::true_type {};
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_ERROR_HPP

// ==== sansocket/wire/close_info.hpp ==============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_INFO_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_INFO_HPP
// close_info.hpp
//
// How a connection ended: separate facts, each written once. RFC 6455 7.1.
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// What a Close frame said. 5.5.1.
struct close_frame {
    close_code code = close_code::no_status;  ///< `no_status` for an empty payload.
    std::string reason;                       ///< UTF-8, 0 to 123 bytes.

    friend bool operator==(const close_frame&, const close_frame&) = default;
};

/// How a connection ended, or what is known of it so far.
struct close_info {
    std::optional<close_frame> received;  ///< The peer's Close frame, the first one. 7.1.5.
    std::optional<close_frame> sent;      ///< Ours, from when it was queued.
    bool clean = false;     ///< Both Closes exchanged: ours taken by the transport. 7.1.4.
    errc cause = errc::ok;  ///< What ended it, the first thing; `errc::ok` before that.
    bool incomplete_message = false;    ///< The end cut off a message or a frame.
    std::uint64_t discarded_bytes = 0;  ///< Input thrown away after the Close or the failure.
    std::uint64_t unsent_bytes = 0;     ///< Output accepted and thrown away, our last Close aside.

    /// The WebSocket Connection Close Code. 7.1.5.
    ///
    /// @return what the peer sent; 1005 if its Close held none; 1006 if no Close frame came.
    [[nodiscard]] close_code code() const noexcept {
        return received ? received->code : close_code::abnormal;
    }
    /// The WebSocket Connection Close Reason; empty if there is none. 7.1.6.
    [[nodiscard]] std::string reason() const { return received ? received->reason : std::string{}; }
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_INFO_HPP

// ==== sansocket/machine/close_handshake.hpp ======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLOSE_HANDSHAKE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLOSE_HANDSHAKE_HPP
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
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLOSE_HANDSHAKE_HPP

// ==== sansocket/wire/role.hpp ====================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_ROLE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_ROLE_HPP
// role.hpp
//
// Which end of the connection an endpoint is. RFC 6455 1.2.
//
// A template argument wherever the RFC's rule differs by role (masking, who
// opens, who closes TCP first), never a bool.

namespace sansocket {

/// The two ends of a WebSocket connection. RFC 6455 1.2.
enum class role : std::uint8_t { client, server };

/// The other end.
[[nodiscard]] constexpr role peer_of(role r) noexcept {
    return r == role::client ? role::server : role::client;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_ROLE_HPP

// ==== sansocket/machine/transport_shutdown.hpp ===================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_TRANSPORT_SHUTDOWN_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_TRANSPORT_SHUTDOWN_HPP
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
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_TRANSPORT_SHUTDOWN_HPP

// ==== sansocket/detail/ascii.hpp =================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_ASCII_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_ASCII_HPP
// ascii.hpp
//
// Character classes of HTTP and of URIs, and comparison without regard to case.
//
// One table of 256 bytes, one bit for each class, so that a parser's inner loop
// is one load and one test. Bytes are classed as ASCII whatever the locale says.

namespace sansocket::detail {

enum class char_class : std::uint8_t {
    token = 0x01,        // tchar: RFC 9110 5.6.2
    field_value = 0x02,  // VCHAR, obs-text, SP, HTAB: RFC 9110 5.5
    target = 0x04,       // what a request target may hold on the wire
    reg_name = 0x08,     // unreserved, sub-delims: RFC 3986 3.2.2
    path = 0x10,         // reg_name, ":", "@", "/", "?": RFC 3986 3.3, 3.4
    digit = 0x20,
    alpha = 0x40,
    hex_digit = 0x80,
};

constexpr std::uint8_t bit_of(char_class c) noexcept { return static_cast<std::uint8_t>(c); }

// The compiler fills this in every source that includes it: set by set, which are few steps, and
// through a pointer, for to a compiler each operator[] is a call.
inline constexpr std::array<std::uint8_t, 256> char_classes = [] {
    using enum char_class;
    std::array<std::uint8_t, 256> table{};
    std::uint8_t* const of = table.data();
    const auto mark = [of](std::string_view set, std::initializer_list<char_class> classes) {
        std::uint8_t bits = 0;
        for (const char_class c : classes) bits |= bit_of(c);
        for (const char c : set) of[static_cast<unsigned char>(c)] |= bits;
    };
    constexpr std::uint8_t in_field = bit_of(field_value);
    constexpr std::uint8_t in_both = in_field | bit_of(target);
    for (unsigned c = 0x20; c != 0x100; ++c) of[c] = c > 0x20 && c < 0x7f ? in_both : in_field;
    of[0x7f] = 0;
    for (const char c : {'"', '#', '<', '>'}) of[static_cast<unsigned char>(c)] = in_field;
    mark("\t", {field_value});
    mark("0123456789", {token, reg_name, path, digit, hex_digit});
    mark("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", {token, reg_name, path, alpha});
    mark("ABCDEFabcdef", {hex_digit});
    mark("!#$%&'*+-.^_`|~", {token});
    mark("-._~!$&'()*+,;=", {reg_name, path});
    mark(":@/?", {path});
    return table;
}();

constexpr bool is(char_class wanted, char c) noexcept {
    return (char_classes[static_cast<unsigned char>(c)] & bit_of(wanted)) != 0;
}

/// Whether every character of `text` is of the class. True of the empty text.
constexpr bool all_are(char_class wanted, std::string_view text) noexcept {
    for (const char c : text)
        if (!is(wanted, c)) return false;
    return true;
}

constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Equality of ASCII text without regard to case.
constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i != a.size(); ++i)
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    return true;
}

/// Whether `text` begins with `prefix`, without regard to case.
constexpr bool istarts_with(std::string_view text, std::string_view prefix) noexcept {
    return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

/// Optional white space of HTTP: SP and HTAB. RFC 9110 5.6.3.
constexpr bool is_ows(char c) noexcept { return c == ' ' || c == '\t'; }

/// `text` without white space at its two ends.
constexpr std::string_view trim_ows(std::string_view text) noexcept {
    while (!text.empty() && is_ows(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_ows(text.back())) text.remove_suffix(1);
    return text;
}

/// Reads a port: 1 to 5 digits, of at most 65535. Otherwise `port` is unchanged.
constexpr bool parse_port(std::string_view digits, std::uint16_t& port) noexcept {
    if (digits.empty() || digits.size() > 5) return false;
    if (!all_are(char_class::digit, digits)) return false;
    unsigned value = 0;
    for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return false;
    port = static_cast<std::uint16_t>(value);
    return true;
}

/// Whether every "%" of `text` begins a percent-encoded byte and every other character is of the
/// class. RFC 3986 2.1.
constexpr bool all_are_or_percent_encoded(char_class wanted, std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is(wanted, text[i])) continue;
        if (text[i] != '%' || text.size() - i < 3) return false;
        if (!all_are(char_class::hex_digit, text.substr(i + 1, 2))) return false;
        i += 2;
    }
    return true;
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_ASCII_HPP

// ==== sansocket/wire/extension_list.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_EXTENSION_LIST_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_EXTENSION_LIST_HPP
// extension_list.hpp
//
// The value of Sec-WebSocket-Extensions: extensions in a comma list, each with
// its parameters behind semicolons. 9.1.
//
//     extension_list list{value};
//     while (const auto extension = list.next()) {
//         extension_parameters all{extension->parameters};
//         while (const auto parameter = all.next()) ...
//     }
//     if (!list.good()) ...                              // it is no such list
//
// Knows nothing of: which extensions there are, what a parameter means.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// A parameter of an extension. 9.1.
struct extension_parameter {
    std::string_view name;                  ///< A token; its case counts.
    std::optional<std::string_view> value;  ///< As it stands, without the quotes around it.

    /// Whether the value, less the backslashes that a quoted one may hold, is `text`.
    [[nodiscard]] constexpr bool value_is(std::string_view text) const noexcept {
        if (!value) return false;
        std::string_view rest = *value;
        for (const char c : text) {
            if (rest.size() > 1 && rest.front() == '\\') rest.remove_prefix(1);
            if (rest.empty() || rest.front() != c) return false;
            rest.remove_prefix(1);
        }
        return rest.empty();
    }
};

namespace detail {

constexpr void skip_ows(std::string_view& rest) noexcept {
    while (!rest.empty() && is_ows(rest.front())) rest.remove_prefix(1);
}

// Takes a token from the front; empty where there is none.
constexpr std::string_view take_token(std::string_view& rest) noexcept {
    std::size_t n = 0;
    while (n != rest.size() && is(char_class::token, rest[n])) ++n;
    const std::string_view token = rest.substr(0, n);
    rest.remove_prefix(n);
    return token;
}

// Takes a quoted string from the front, and gives what stands between the quotes. Nothing where it
// does not end, or holds what is no token. 9.1: "the value after quoted-string unescaping MUST
// conform to the 'token' ABNF."
constexpr std::optional<std::string_view> take_quoted_token(std::string_view& rest) noexcept {
    for (std::size_t n = 1; n < rest.size(); ++n) {
        if (rest[n] == '"') {
            const std::string_view inside = rest.substr(1, n - 1);
            rest.remove_prefix(n + 1);
            if (inside.empty()) break;
            return inside;
        }
        if (rest[n] == '\\' && ++n == rest.size()) break;
        if (!is(char_class::token, rest[n])) break;
    }
    return std::nullopt;
}

}  // namespace detail

/// The parameters of one extension, one after the other. 9.1.
class extension_parameters {
public:
    /// @param text  "; name; name=value" and so on, as `extension::parameters`; it has to outlive
    ///              what is read from it.
    constexpr explicit extension_parameters(std::string_view text) noexcept : rest_(text) {}

    /// The next one; nothing behind the last, and where `good()` turned false.
    [[nodiscard]] constexpr std::optional<extension_parameter> next() noexcept {
        std::string_view at = rest_;
        detail::skip_ows(at);
        if (!good_ || !at.starts_with(';')) return std::nullopt;
        at.remove_prefix(1);
        detail::skip_ows(at);
        extension_parameter found{detail::take_token(at), std::nullopt};
        good_ = !found.name.empty() && take_value(at, found);
        rest_ = at;
        if (!good_) return std::nullopt;
        return found;
    }

    /// Whether what was read so far obeys the grammar.
    [[nodiscard]] constexpr bool good() const noexcept { return good_; }
    /// What stands behind the parameters that were read.
    [[nodiscard]] constexpr std::string_view rest() const noexcept { return rest_; }

private:
    static constexpr bool take_value(std::string_view& rest, extension_parameter& to) noexcept {
        std::string_view at = rest;
        detail::skip_ows(at);
        if (!at.starts_with('=')) return true;
        at.remove_prefix(1);
        detail::skip_ows(at);
        to.value = at.starts_with('"') ? detail::take_quoted_token(at) : detail::take_token(at);
        rest = at;
        return to.value && !to.value->empty();
    }

    std::string_view rest_;
    bool good_ = true;
};

/// An extension as a list names it. 9.1.
struct extension {
    std::string_view name;        ///< A token; its case counts.
    std::string_view parameters;  ///< For `extension_parameters`.
};

/// The extensions of a field's value, one after the other. Empty elements are passed over, as HTTP
/// has it (RFC 9110 5.6.1.2).
class extension_list {
public:
    /// @param value  a field's value; it has to outlive what is read from it.
    constexpr explicit extension_list(std::string_view value) noexcept : rest_(value) {}

    /// The next one, with parameters that obey the grammar; nothing behind the last, and where
    /// `good()` turned false.
    [[nodiscard]] constexpr std::optional<extension> next() noexcept {
        while (!rest_.empty() && (detail::is_ows(rest_.front()) || rest_.front() == ','))
            rest_.remove_prefix(1);
        if (!good_ || rest_.empty()) return std::nullopt;
        extension found{detail::take_token(rest_), rest_};
        extension_parameters all{rest_};
        while (all.next()) {}
        found.parameters = rest_.substr(0, rest_.size() - all.rest().size());
        rest_ = all.rest();
        detail::skip_ows(rest_);
        good_ = all.good() && !found.name.empty() && (rest_.empty() || rest_.front() == ',');
        if (!good_) return std::nullopt;
        return found;
    }

    /// Whether what was read so far obeys the grammar. 9.1: who receives what does not "MUST
    /// immediately _Fail the WebSocket Connection_".
    [[nodiscard]] constexpr bool good() const noexcept { return good_; }

private:
    std::string_view rest_;
    bool good_ = true;
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_EXTENSION_LIST_HPP

// ==== sansocket/wire/deflate_params.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_DEFLATE_PARAMS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_DEFLATE_PARAMS_HPP
// deflate_params.hpp
//
// The parameters of permessage-deflate: read from the opening handshake and
// written to it, what an endpoint wants of them, and how a server and a client
// come to an agreement. RFC 7692 5, 7.1.
//
//   deflate_parameters       as they stand in an offer or an answer
//   parse_deflate_offer, parse_deflate_answer, encode
//   deflate_options          what one endpoint wants
//   deflate_offers, accept   a client's offers; a server's answer to one of them
//   deflate_agreement        what both keep to; agreed_by_server, agreed_by_client
//
// Knows nothing of: deflate itself, the handshake around it.
// Section numbers in this file refer to RFC 7692.

namespace sansocket {

/// The extension's name in Sec-WebSocket-Extensions. 7.
inline constexpr std::string_view deflate_name = "permessage-deflate";

/// A window of 2^8 bytes, the smallest that may be agreed on. 7.1.2.
inline constexpr std::uint8_t min_window_bits = 8;
/// A window of 2^15 bytes, the largest, and what holds where nothing is said. 7.1.2.
inline constexpr std::uint8_t max_window_bits = 15;

/// The parameters as they stand in an offer or an answer. 7.1.
struct deflate_parameters {
    /// `client_max_window_bits` without a value, which only an offer may have.
    static constexpr std::uint8_t no_value = 0;

    bool server_no_context_takeover = false;               ///< 7.1.1.1.
    bool client_no_context_takeover = false;               ///< 7.1.1.2.
    std::optional<std::uint8_t> server_max_window_bits{};  ///< 8 to 15.
    std::optional<std::uint8_t> client_max_window_bits{};  ///< 8 to 15, or `no_value`.

    friend constexpr bool operator==(const deflate_parameters&,
                                     const deflate_parameters&) = default;
};

/// What a parser of them found.
struct deflate_parse_result {
    deflate_parameters value;  ///< Counts only where `ec` is `errc{}`.
    errc
        ec{};  ///< errc::deflate_parameter: unknown, twice, without the value it needs, or with one
               ///< that it cannot have.
};

namespace detail {

// A number of bits, 8 to 15 "without leading zeroes" (7.1.2.1); nothing where it is none.
constexpr std::optional<std::uint8_t> window_bits_of(const extension_parameter& p) noexcept {
    constexpr std::string_view words[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    std::uint8_t bits = min_window_bits;
    for (const std::string_view word : words) {
        if (p.value_is(word)) return bits;
        ++bits;
    }
    return std::nullopt;
}

// Sets a flag that has no value and stands there once.
constexpr bool set_flag(bool& flag, const extension_parameter& p) noexcept {
    if (flag || p.value) return false;
    return flag = true;
}

constexpr bool set_bits(std::optional<std::uint8_t>& to, const extension_parameter& p,
                        bool value_needed) noexcept {
    if (to) return false;
    if (p.value || value_needed) to = window_bits_of(p);
    else to = deflate_parameters::no_value;
    return to.has_value();
}

constexpr deflate_parse_result parse_deflate(std::string_view text, bool is_offer) noexcept {
    deflate_parse_result result;
    deflate_parameters& v = result.value;
    extension_parameters all{text};
    while (const auto p = all.next()) {
        bool good = false;
        if (p->name == "server_no_context_takeover")
            good = set_flag(v.server_no_context_takeover, *p);
        else if (p->name == "client_no_context_takeover")
            good = set_flag(v.client_no_context_takeover, *p);
        else if (p->name == "server_max_window_bits")
            good = set_bits(v.server_max_window_bits, *p, true);
        else if (p->name == "client_max_window_bits")
            good = set_bits(v.client_max_window_bits, *p, !is_offer);
        if (!good) return {{}, errc::deflate_parameter};
    }
    if (!all.good()) return {{}, errc::deflate_parameter};
    return result;
}

}  // namespace detail

/// Reads the parameters of an offer. 7.1.
///
/// @param text  as `extension::parameters`.
[[nodiscard]] constexpr deflate_parse_result parse_deflate_offer(std::string_view text) noexcept {
    return detail::parse_deflate(text, true);
}

/// Reads the parameters of a server's answer. 7.1. In it client_max_window_bits has a value.
[[nodiscard]] constexpr deflate_parse_result parse_deflate_answer(std::string_view text) noexcept {
    return detail::parse_deflate(text, false);
}

/// The element of Sec-WebSocket-Extensions that says `p`. 7.1.
[[nodiscard]] inline std::string encode(const deflate_parameters& p) {
    std::string out{deflate_name};
    if (p.server_no_context_takeover) detail::append(out, {"; server_no_context_takeover"});
    if (p.client_no_context_takeover) detail::append(out, {"; client_no_context_takeover"});
    if (p.server_max_window_bits)
        detail::append(out,
                       {"; server_max_window_bits=", std::to_string(*p.server_max_window_bits)});
    if (!p.client_max_window_bits) return out;
    detail::append(out, {"; client_max_window_bits"});
    if (*p.client_max_window_bits != deflate_parameters::no_value)
        detail::append(out, {"=", std::to_string(*p.client_max_window_bits)});
    return out;
}

/// What an endpoint wants of permessage-deflate, and how its codec compresses.
struct deflate_options {
    /// Whether it is offered or accepted, where the connection has a codec. Default off.
    bool enabled = false;
    /// The window of the own compressor in bits: its reach, and its memory. Default 15.
    std::uint8_t own_window_bits = max_window_bits;
    /// The largest window that the peer may use, in bits: what it costs to decompress. A server
    /// passes over offers that do not let it ask for less than 15. Default 15.
    std::uint8_t peer_window_bits = max_window_bits;
    /// Whether the own compressor goes on with what it knows of earlier messages: a better ratio,
    /// and memory that is held between messages. Default on.
    bool own_context_takeover = true;
    /// Whether the peer may do so. Default on.
    bool peer_context_takeover = true;
    /// A client's offers, the preferred one first, in place of the one that follows from the above.
    std::vector<deflate_parameters> offers{};
    /// 1 (fast) to 9 (small), as zlib has them. Default 6.
    int level = 6;
    /// Memory of the own compressor, 1 to 9, as zlib has them. Default 8.
    int memory_level = 8;
    /// Messages of fewer bytes are sent as they are, unless told otherwise. Default 256.
    std::size_t threshold = 256;
    /// Deflate blocks that any message received may have. Default 1024.
    std::uint64_t blocks = 1024;
    /// One deflate block more for each this many bytes that come out of the message. A message of
    /// more fails the connection with 1008: blocks that hold next to nothing cost more time than
    /// they have bytes. 0 takes any number. Default 32 bytes.
    std::uint64_t bytes_per_block = 32;
    /// The smallest window that the own codec can keep to, in bits. The connection sets it.
    std::uint8_t smallest_own_window = 9;
};

/// One direction of an agreement.
struct deflate_direction {
    std::uint8_t window_bits = max_window_bits;  ///< 8 to 15.
    bool context_takeover = true;  ///< Whether a message may refer to those before it. 7.1.1.

    friend constexpr bool operator==(const deflate_direction&, const deflate_direction&) = default;
};

/// What both endpoints keep to. 7.1.
struct deflate_agreement {
    deflate_direction server;  ///< What the server sends.
    deflate_direction client;  ///< What the client sends.

    /// What an endpoint of role `r` sends.
    [[nodiscard]] constexpr const deflate_direction& sent_by(role r) const noexcept {
        return r == role::server ? server : client;
    }

    friend constexpr bool operator==(const deflate_agreement&, const deflate_agreement&) = default;
};

/// Whether a client may write `offer`: sizes of windows are 8 to 15, or left out. 7.1.2.
[[nodiscard]] constexpr bool is_valid_offer(const deflate_parameters& offer) noexcept {
    const auto valid = [](std::uint8_t bits) {
        return bits >= min_window_bits && bits <= max_window_bits;
    };
    const std::uint8_t client = offer.client_max_window_bits.value_or(deflate_parameters::no_value);
    return valid(offer.server_max_window_bits.value_or(max_window_bits)) &&
           (client == deflate_parameters::no_value || valid(client));
}

/// The offers of a client that wants `wants`: its list, or the one that follows from the rest.
[[nodiscard]] inline std::vector<deflate_parameters> deflate_offers(const deflate_options& wants) {
    if (!wants.enabled) return {};
    if (!wants.offers.empty()) return wants.offers;
    deflate_parameters offer;
    offer.server_no_context_takeover = !wants.peer_context_takeover;
    offer.client_no_context_takeover = !wants.own_context_takeover;
    if (wants.peer_window_bits < max_window_bits)
        offer.server_max_window_bits = wants.peer_window_bits;
    // Without it the server could not ask for less than 15.
    offer.client_max_window_bits = wants.own_window_bits < max_window_bits
                                       ? wants.own_window_bits
                                       : deflate_parameters::no_value;
    return {offer};
}

/// A server's answer to `offer`, or nothing where it passes it over. 7.1.1, 7.1.2.
[[nodiscard]] constexpr std::optional<deflate_parameters> accept(
    const deflate_parameters& offer, const deflate_options& wants) noexcept {
    const auto own =
        detail::smaller_of(offer.server_max_window_bits.value_or(max_window_bits),
                           detail::larger_of(wants.own_window_bits, wants.smallest_own_window));
    if (own < wants.smallest_own_window) return std::nullopt;
    deflate_parameters answer;
    answer.server_no_context_takeover =
        offer.server_no_context_takeover || !wants.own_context_takeover;
    // 7.1.1.2: it may be asked for whether the offer has it or not, and so a hint is taken.
    answer.client_no_context_takeover =
        offer.client_no_context_takeover || !wants.peer_context_takeover;
    if (offer.server_max_window_bits || own < max_window_bits) answer.server_max_window_bits = own;

    std::uint8_t peer = max_window_bits;
    if (offer.client_max_window_bits) {
        const bool bare = *offer.client_max_window_bits == deflate_parameters::no_value;
        peer = detail::smaller_of(bare ? max_window_bits : *offer.client_max_window_bits,
                                  wants.peer_window_bits);
        if (peer < max_window_bits) answer.client_max_window_bits = peer;
    }
    // 7.1.2.2: without it in the offer the answer "MUST NOT include" it.
    if (peer > wants.peer_window_bits) return std::nullopt;
    return answer;
}

/// Whether `answer` accepts `offer`. 7.1.1, 7.1.2.
[[nodiscard]] constexpr bool answers(const deflate_parameters& offer,
                                     const deflate_parameters& answer) noexcept {
    // 7.1.1.1: accepted "by including the ... parameter in the corresponding response"
    if (offer.server_no_context_takeover && !answer.server_no_context_takeover) return false;
    // 7.1.2.1: accepted by "the same or smaller value"
    if (offer.server_max_window_bits &&
        answer.server_max_window_bits.value_or(max_window_bits + 1) > *offer.server_max_window_bits)
        return false;
    // 7.1.2.2: not included without being offered; "equal to or smaller than the received value"
    if (!answer.client_max_window_bits) return true;
    if (!offer.client_max_window_bits) return false;
    const bool bare = *offer.client_max_window_bits == deflate_parameters::no_value;
    return bare || *answer.client_max_window_bits <= *offer.client_max_window_bits;
}

/// What a server keeps to that gave `answer`.
[[nodiscard]] constexpr deflate_agreement agreed_by_server(
    const deflate_parameters& answer) noexcept {
    return {{answer.server_max_window_bits.value_or(max_window_bits),
             !answer.server_no_context_takeover},
            {answer.client_max_window_bits.value_or(max_window_bits),
             !answer.client_no_context_takeover}};
}

namespace detail {

template <class Offers>
constexpr std::optional<deflate_agreement> agreed_on(const deflate_parameters& answer,
                                                     const Offers& offers,
                                                     const deflate_options& wants) noexcept {
    const deflate_parameters* offer = nullptr;
    for (const deflate_parameters& o : offers)
        if (offer == nullptr && answers(o, answer)) offer = &o;
    if (offer == nullptr) return std::nullopt;
    deflate_agreement agreed = agreed_by_server(answer);
    // 7.1.1.2, 7.1.2.2: what it offered is a promise, even where the answer does not take it up.
    if (offer->client_no_context_takeover || !wants.own_context_takeover)
        agreed.client.context_takeover = false;
    const std::uint8_t hint = offer->client_max_window_bits.value_or(max_window_bits);
    if (hint != deflate_parameters::no_value)
        agreed.client.window_bits = detail::smaller_of(agreed.client.window_bits, hint);
    const std::uint8_t own = detail::larger_of(wants.own_window_bits, wants.smallest_own_window);
    agreed.client.window_bits = detail::smaller_of(agreed.client.window_bits, own);
    return agreed;
}

}  // namespace detail

/// What a client keeps to that made `offers` and got `answer`; nothing where that answers none of
/// them. 7.1.
[[nodiscard]] constexpr std::optional<deflate_agreement> agreed_by_client(
    const deflate_parameters& answer, std::span<const deflate_parameters> offers,
    const deflate_options& wants) noexcept {
    return detail::agreed_on(answer, offers, wants);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_DEFLATE_PARAMS_HPP

// ==== sansocket/snapshot.hpp =====================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_SNAPSHOT_HPP
#define SANSOCKET_SINGLE_SANSOCKET_SNAPSHOT_HPP
// snapshot.hpp
//
// How a connection stands, in one value: what `explain()` answers, for logs,
// debuggers and tests. Section numbers in this file refer to RFC 6455.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_SNAPSHOT_HPP

// ==== sansocket/diagnostics.hpp ==================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DIAGNOSTICS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DIAGNOSTICS_HPP
// diagnostics.hpp
//
// Who watches connections: a handler that is told of each one that was let go
// without a close, and of each change of state.
//
// A connection has a policy as its template argument. `no_diagnostics` holds
// nothing and does nothing. `with_diagnostics` keeps a number, a place in the
// source and two moments. Debug builds take the second by default, and release
// builds by naming it.
//
// Writes nothing and asks no clock: the handler does what it likes.

#if defined(__cpp_lib_source_location)
#include <source_location>
#endif

namespace sansocket {

#if defined(__cpp_lib_source_location)
/// Where in a program something was made.
using source_location = std::source_location;
#else
/// std::source_location, for compilers that do not have it yet (clang 14 and 15).
class source_location {
public:
    /// The place of the call.
    static constexpr source_location current(
        const char* file = __builtin_FILE(), const char* function = __builtin_FUNCTION(),
        std::uint_least32_t line = static_cast<std::uint_least32_t>(__builtin_LINE())) noexcept {
        source_location out;
        out.file_ = file;
        out.function_ = function;
        out.line_ = line;
        return out;
    }
    /// The file's name, as the compiler was given it. In static storage.
    [[nodiscard]] constexpr const char* file_name() const noexcept { return file_; }
    /// The function's name. In static storage.
    [[nodiscard]] constexpr const char* function_name() const noexcept { return function_; }
    /// The line, counted from 1; 0 of a value that was made of nothing.
    [[nodiscard]] constexpr std::uint_least32_t line() const noexcept { return line_; }
    /// The column: 0, for it is not known.
    [[nodiscard]] constexpr std::uint_least32_t column() const noexcept { return 0; }

private:
    const char* file_ = "";
    const char* function_ = "";
    std::uint_least32_t line_ = 0;
};
#endif

/// A connection that was let go without a completed close: destroyed, or aborted with errc::dropped,
/// while it was open or closing.
struct leak_report {
    connection_snapshot connection;  ///< As it stood; `id` and `state` are in here.
    duration age{};                  ///< From its creation to the last time it was told.
    source_location created;         ///< Where it was created.
};

/// A change of state.
struct state_change {
    std::uint64_t id = 0;     ///< The connection's number.
    sansocket::role role{};   ///< Its role.
    connection_state from{};  ///< The state that it leaves.
    connection_state to{};    ///< The state that it has now.
    errc cause{};             ///< Why it ends; errc::ok if it does not.
    time_point when{};        ///< The last time that the connection was told.
};

/// Is told about connections. One may serve many; it outlives them all. Called from within the
/// connection's functions: it must not call the connection.
class diagnostics_handler {
public:
    /// A connection was let go without a completed close.
    virtual void leaked(const leak_report&) noexcept {}
    /// A connection changed its state.
    virtual void changed(const state_change&) noexcept {}

protected:
    diagnostics_handler() = default;
    diagnostics_handler(const diagnostics_handler&) = default;
    diagnostics_handler& operator=(const diagnostics_handler&) = default;
    ~diagnostics_handler() = default;
};

/// No diagnostics: no state and no code.
struct no_diagnostics {
    static constexpr bool enabled = false;  ///< There is nothing to tell.
    /// @{
    /// As of `with_diagnostics`, and does nothing.
    constexpr no_diagnostics(diagnostics_handler*, role, time_point,
                             const source_location&) noexcept {}
    static constexpr void at(time_point) noexcept {}
    static constexpr void received(std::span<const std::byte>) noexcept {}
    static constexpr void changed(connection_state, errc) noexcept {}
    static constexpr void fill(connection_snapshot&) noexcept {}
    /// @}
};

/// Diagnostics of one connection, told to a `diagnostics_handler`; without one it only keeps what
/// `explain()` shows.
class with_diagnostics {
public:
    static constexpr bool enabled = true;  ///< There is something to tell.

    /// Tells `handler`, which may be null, about a connection of role `r` that is created now.
    with_diagnostics(diagnostics_handler* handler, role r, time_point now,
                     const source_location& created) noexcept
        : handler_(handler), created_(created), born_(now), now_(now), id_(next_id()), role_(r) {}
    /// What is moved from tells nobody anything.
    with_diagnostics(with_diagnostics&& other) noexcept
        : handler_(std::exchange(other.handler_, nullptr)),
          created_(other.created_),
          born_(other.born_),
          now_(other.now_),
          id_(std::exchange(other.id_, 0)),
          role_(other.role_),
          state_(other.state_),
          input_(other.input_) {}
    with_diagnostics& operator=(with_diagnostics&&) = delete;

    /// It is `now`.
    void at(time_point now) noexcept { now_ = now; }
    /// `bytes` came.
    void received(std::span<const std::byte> bytes) noexcept;
    /// The state is `to`.
    void changed(connection_state to, errc cause) noexcept {
        const connection_state from = std::exchange(state_, to);
        if (from != to && handler_) handler_->changed({id_, role_, from, to, cause, now_});
    }
    /// The connection goes away as it is.
    void leaked(const connection_snapshot& snapshot) const noexcept {
        if (handler_) handler_->leaked({snapshot, now_ - born_, created_});
    }
    /// Adds what is known here.
    void fill(connection_snapshot& snapshot) const noexcept {
        snapshot.id = id_;
        snapshot.input = input_;
    }

private:
    static std::uint64_t next_id() noexcept {
        static std::atomic<std::uint64_t> last{0};
        return last.fetch_add(1, std::memory_order_relaxed) + 1;
    }

    diagnostics_handler* handler_;
    source_location created_;
    time_point born_;
    time_point now_;
    std::uint64_t id_;
    role role_;
    connection_state state_ = connection_state::opening;
    last_bytes input_;
};

inline void with_diagnostics::received(std::span<const std::byte> bytes) noexcept {
    const std::size_t room = input_.data.size();
    const std::size_t fresh = detail::smaller_of(bytes.size(), room);
    const std::size_t kept = detail::smaller_of(input_.size, room - fresh);
    std::byte* const data = input_.data.data();
    std::memmove(data, data + (input_.size - kept), kept);
    detail::copy_bytes(bytes.last(fresh), data + kept);
    input_.size = kept + fresh;
}

/// What a connection has if nothing else is asked for: diagnostics in debug builds.
#if defined(NDEBUG)
using default_diagnostics = no_diagnostics;
#else
using default_diagnostics = with_diagnostics;
#endif

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_DIAGNOSTICS_HPP

// ==== sansocket/detail/base64.hpp ================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_BASE64_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_BASE64_HPP
// base64.hpp
//
// Base64 with padding, as much of it as the opening handshake and its credentials
// need. RFC 4648 4.

namespace sansocket::detail {

inline constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `data` in base64, padded with "=".
template <std::size_t N>
constexpr std::array<char, (N + 2) / 3 * 4> base64(
    const std::array<std::uint8_t, N>& data) noexcept {
    std::array<char, (N + 2) / 3 * 4> out{};
    for (std::size_t i = 0, o = 0; i < N; i += 3, o += 4) {
        const auto at = [&](std::size_t n) { return n < N ? unsigned{data[n]} : 0U; };
        const unsigned bits = at(i) << 16U | at(i + 1) << 8U | at(i + 2);
        out[o] = base64_alphabet[bits >> 18U];
        out[o + 1] = base64_alphabet[bits >> 12U & 63U];
        out[o + 2] = i + 1 < N ? base64_alphabet[bits >> 6U & 63U] : '=';
        out[o + 3] = i + 2 < N ? base64_alphabet[bits & 63U] : '=';
    }
    return out;
}

/// The bytes of `text` in base64, padded with "=".
inline std::string base64(std::string_view text) {
    std::string out;
    out.reserve((text.size() + 2) / 3 * 4);
    for (; !text.empty(); text.remove_prefix(smaller_of<std::size_t>(3, text.size()))) {
        const auto at = [&](std::size_t n) {
            return n < text.size() ? unsigned{static_cast<unsigned char>(text[n])} : 0U;
        };
        const unsigned bits = at(0) << 16U | at(1) << 8U | at(2);
        out += base64_alphabet[bits >> 18U];
        out += base64_alphabet[bits >> 12U & 63U];
        out += text.size() > 1 ? base64_alphabet[bits >> 6U & 63U] : '=';
        out += text.size() > 2 ? base64_alphabet[bits & 63U] : '=';
    }
    return out;
}

/// The six bits that `c` stands for, or 64 where it is not of the alphabet.
constexpr unsigned base64_value(char c) noexcept {
    const auto at = base64_alphabet.find(c);
    return at == std::string_view::npos ? 64U : static_cast<unsigned>(at);
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_BASE64_HPP

// ==== sansocket/detail/sha1.hpp ==================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_SHA1_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_SHA1_HPP
// sha1.hpp
//
// SHA-1. FIPS 180-4 6.1. The opening handshake asks for it (RFC 6455 1.3) as a
// proof that the peer speaks WebSocket; nothing here depends on its strength.

namespace sansocket::detail {

/// One SHA-1 computation: `update` any number of times, then `finish` once.
class sha1 {
public:
    using digest = std::array<std::uint8_t, 20>;

    constexpr void update(std::string_view data) noexcept {
        for (const char c : data) append(static_cast<std::uint8_t>(c));
    }

    [[nodiscard]] constexpr digest finish() noexcept;

private:
    constexpr void append(std::uint8_t byte) noexcept {
        block_[size_ % 64] = byte;
        if (++size_ % 64 == 0) compress();
    }
    constexpr void compress() noexcept;
    static constexpr std::uint32_t mix(std::size_t round, std::uint32_t b, std::uint32_t c,
                                       std::uint32_t d) noexcept;

    std::array<std::uint32_t, 5> hash_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                          0xc3d2e1f0};
    std::array<std::uint8_t, 64> block_{};
    std::uint64_t size_ = 0;  // bytes so far
};

constexpr sha1::digest sha1::finish() noexcept {
    const std::uint64_t bits = size_ * 8;
    append(0x80);
    while (size_ % 64 != 56) append(0);
    for (int shift = 56; shift >= 0; shift -= 8) append(static_cast<std::uint8_t>(bits >> shift));

    digest out{};
    for (std::size_t i = 0; i != out.size(); ++i)
        out[i] = static_cast<std::uint8_t>(hash_[i / 4] >> (24 - 8 * (i % 4)));
    return out;
}

// The function f and the constant K of a round, added. FIPS 180-4 4.1.1, 4.2.1.
constexpr std::uint32_t sha1::mix(std::size_t round, std::uint32_t b, std::uint32_t c,
                                  std::uint32_t d) noexcept {
    if (round < 20) return ((b & c) ^ (~b & d)) + 0x5a827999U;
    if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1U;
    if (round < 60) return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdcU;
    return (b ^ c ^ d) + 0xca62c1d6U;
}

constexpr void sha1::compress() noexcept {
    std::array<std::uint32_t, 80> w{};
    for (std::size_t i = 0; i != 64; ++i)
        w[i / 4] |= static_cast<std::uint32_t>(block_[i]) << (24 - 8 * (i % 4));
    for (std::size_t i = 16; i != w.size(); ++i)
        w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

    auto [a, b, c, d, e] = hash_;
    for (std::size_t i = 0; i != w.size(); ++i) {
        const std::uint32_t next = std::rotl(a, 5) + mix(i, b, c, d) + e + w[i];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    hash_ = {hash_[0] + a, hash_[1] + b, hash_[2] + c, hash_[3] + d, hash_[4] + e};
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_SHA1_HPP

// ==== sansocket/wire/accept_key.hpp ==============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_ACCEPT_KEY_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_ACCEPT_KEY_HPP
// accept_key.hpp
//
// The two keys of the opening handshake: the client's nonce in
// Sec-WebSocket-Key and the server's proof in Sec-WebSocket-Accept.
//
// Knows nothing of: randomness (the nonce is an argument), HTTP.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// The value of Sec-WebSocket-Accept for a Sec-WebSocket-Key. 4.2.2 step 5.4.
///
/// @param key  the field's value without white space at its ends; not checked here.
/// @return 28 characters: base64 of the SHA-1 of `key` and the protocol's GUID.
[[nodiscard]] constexpr std::array<char, 28> accept_key(std::string_view key) noexcept {
    detail::sha1 hash;
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");  // 1.3
    return detail::base64(hash.finish());
}

/// The value of Sec-WebSocket-Key for a nonce. 4.1.
///
/// @param entropy  16 bytes, to be chosen at random for each connection.
/// @return 24 characters of base64, for which `is_valid_key` is true.
[[nodiscard]] constexpr std::array<char, 24> make_key(
    std::span<const std::byte, 16> entropy) noexcept {
    std::array<std::uint8_t, 16> nonce{};
    for (std::size_t i = 0; i != nonce.size(); ++i)
        nonce[i] = std::to_integer<std::uint8_t>(entropy[i]);
    return detail::base64(nonce);
}

/// Whether `key` is 16 bytes in base64, as a Sec-WebSocket-Key has to be. 4.2.1.
///
/// Strict: 24 characters, "==" at the end, and zero in the four bits that the last character
/// has over (RFC 4648 3.5), so that each nonce has one spelling.
[[nodiscard]] constexpr bool is_valid_key(std::string_view key) noexcept {
    if (key.size() != 24 || key.substr(22) != "==") return false;
    for (const char c : key.substr(0, 22))
        if (detail::base64_value(c) == 64) return false;
    return (detail::base64_value(key[21]) & 15U) == 0;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_ACCEPT_KEY_HPP

// ==== sansocket/wire/http_chunks.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_CHUNKS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_CHUNKS_HPP
// http_chunks.hpp
//
// Takes the chunked coding of a body apart: bytes in, pieces of the body out,
// views of what came in. RFC 9112 7.1.
//
// Strict, as the parser of heads is. The body is over with the line of its last
// chunk: the trailers behind it are not read.
//
// Knows nothing of: heads, limits of a body, connections.
// Section numbers in this file refer to RFC 9112.

namespace sansocket {

/// What `http_chunks::next` came upon.
enum class chunk_step : std::uint8_t {
    need_more,  ///< The input is used up inside the body.
    data,       ///< A piece of the body.
    last,       ///< The last chunk: the body is complete.
    invalid,    ///< What follows is no chunked coding.
};

/// Reads one chunked body. 7.1.
///
/// Refused are a size of more than 15 digits, a chunk's line of more than 256 bytes with its
/// extensions, a control character in it, and a line end that is not CRLF. Allocates nothing.
class http_chunks {
public:
    /// Takes framing and at most one piece of the body from the front of `in`.
    ///
    /// @param piece  the piece where the answer is `data`, never empty: a view of `in`.
    /// @return `need_more` once `in` is empty; `last` and `invalid` stay, and nothing more is taken.
    [[nodiscard]] chunk_step next(std::span<const std::byte>& in,
                                  std::span<const std::byte>& piece) noexcept;

    /// Bytes of the present chunk that are still to come; 0 between two chunks.
    [[nodiscard]] std::uint64_t remaining() const noexcept {
        return state_ == state::data ? size_ : 0;
    }

private:
    enum class state : std::uint8_t {
        size,
        extension,
        size_line_feed,
        data,
        data_end,
        data_line_feed,
        complete,
        failed,
    };

    void move(state to) noexcept { state_ = to; }
    void read(char c) noexcept;
    void read_size(char c) noexcept;
    void read_line_feed(char c, state next) noexcept { move(c == '\n' ? next : state::failed); }

    state state_ = state::size;
    // Decide no transition but by the limits, and by whether a size is there and is 0.
    std::uint8_t digits_ = 0;
    std::uint16_t line_ = 0;  // bytes of this chunk's line
    std::uint64_t size_ = 0;  // of this chunk; what is left of it while its data come
};

inline chunk_step http_chunks::next(std::span<const std::byte>& in,
                                    std::span<const std::byte>& piece) noexcept {
    while (!in.empty() && state_ != state::complete && state_ != state::failed) {
        if (state_ != state::data) {
            read(static_cast<char>(in[0]));
            in = in.subspan(1);
            continue;
        }
        piece =
            in.first(static_cast<std::size_t>(detail::smaller_of<std::uint64_t>(in.size(), size_)));
        in = in.subspan(piece.size());
        size_ -= piece.size();
        if (size_ == 0) move(state::data_end);
        return chunk_step::data;
    }
    if (state_ == state::complete) return chunk_step::last;
    return state_ == state::failed ? chunk_step::invalid : chunk_step::need_more;
}

// One byte of framing.
inline void http_chunks::read(char c) noexcept {
    switch (state_) {
    case state::size: return read_size(c);
    case state::extension:
        // 7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
        if (c == '\r') return move(state::size_line_feed);
        if (++line_ > 256 || !detail::is(detail::char_class::field_value, c)) move(state::failed);
        return;
    case state::size_line_feed:
        return read_line_feed(c, size_ == 0 ? state::complete : state::data);
    case state::data_end: return move(c == '\r' ? state::data_line_feed : state::failed);
    case state::data_line_feed:
        digits_ = 0;
        line_ = 0;
        return read_line_feed(c, state::size);
    case state::data:
    case state::complete:
    case state::failed: return;
    }
}

// 1*HEXDIG
inline void http_chunks::read_size(char c) noexcept {
    constexpr std::uint8_t most_digits = 15;
    if (detail::is(detail::char_class::hex_digit, c) && digits_ != most_digits) {
        const char lower = detail::to_lower(c);
        const int value = lower <= '9' ? lower - '0' : lower - 'a' + 10;
        size_ = size_ * 16 + static_cast<unsigned>(value);
        ++digits_;
        return;
    }
    if (digits_ == 0) return move(state::failed);
    if (c == '\r') return move(state::size_line_feed);
    move(c == ';' || detail::is_ows(c) ? state::extension : state::failed);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_CHUNKS_HPP

// ==== sansocket/wire/http_head.hpp ===============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_HPP
// http_head.hpp
//
// The head of an HTTP/1.1 message as values: its fields, their lists, the
// head itself, how much of one is taken, and what answers an error. RFC 9110.
//
//   http_field, http_list   what a head is made of
//   append_field            the one function that writes a field line
//   http_limits, http_head  what http_head_parser.hpp reads
//   status_for              the HTTP status that answers an error
//
// Whatever an application puts into a head goes through `append_field`, so no
// value can end its line and begin another (response splitting).
//
// Knows nothing of: parsing, bodies, WebSocket's rules about a head.
// Section numbers in this file refer to RFC 9110 unless another is named.

namespace sansocket {

/// A field of a head that was received. The views live as long as that head is neither changed
/// nor moved. 5.
struct http_field {
    std::string_view name{};   ///< A token; its case does not matter.
    std::string_view value{};  ///< Without white space at its ends; may be empty.
};

/// A field that an application adds to a head. 5.
struct http_field_value {
    std::string name{};   ///< A token; its case does not matter.
    std::string value{};  ///< Without white space at its ends, without control characters.
};

/// Whether `text` is a token: one or more letters, digits or "!#$%&'*+-.^_`|~". 5.6.2.
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && detail::all_are(detail::char_class::token, text);
}

/// Whether `text` may be written as a field's value. 5.5.
///
/// @return false for control characters other than a tab within, and for white space at an end;
///         true for the empty text and for bytes of 0x80 and above.
[[nodiscard]] constexpr bool is_field_value(std::string_view text) noexcept {
    if (!detail::all_are(detail::char_class::field_value, text)) return false;
    return text.empty() || (!detail::is_ows(text.front()) && !detail::is_ows(text.back()));
}

/// Whether the two handshakes write the field `name` themselves, so that no application may add
/// it: Host, Upgrade, Connection, Content-Length, Transfer-Encoding and Sec-WebSocket-*.
[[nodiscard]] constexpr bool is_reserved_field(std::string_view name) noexcept {
    constexpr const char* reserved[] = {"Host", "Upgrade", "Connection", "Content-Length",
                                        "Transfer-Encoding"};
    for (const std::string_view r : reserved)
        if (detail::iequals(name, r)) return true;
    return detail::istarts_with(name, "Sec-WebSocket-");
}

/// Appends the line "name: value" and its CRLF to `out`. 5.1, 5.5.
///
/// @return false where `name` is no token or `value` no field value; `out` is unchanged then.
[[nodiscard]] inline bool append_field(std::string& out, std::string_view name,
                                       std::string_view value) {
    if (!is_token(name) || !is_field_value(value)) return false;
    detail::append(out, {name, ": ", value, "\r\n"});
    return true;
}

/// The elements of a comma list, one after the other. 5.6.1.
///
/// Knows no quoted strings, which is right for lists of tokens.
class http_list {
public:
    /// @param value  a field's value; it has to outlive the elements.
    constexpr explicit http_list(std::string_view value) noexcept : rest_(value) {}

    /// The next element, without the white space around it. Empty elements are passed over
    /// (5.6.1.2).
    ///
    /// @return a view into the value, or nothing at the end of the list.
    [[nodiscard]] constexpr std::optional<std::string_view> next() noexcept {
        while (!rest_.empty()) {
            const std::size_t size = detail::smaller_of(rest_.find(','), rest_.size());
            const std::string_view element = detail::trim_ows(rest_.substr(0, size));
            rest_.remove_prefix(detail::smaller_of(size + 1, rest_.size()));
            if (!element.empty()) return element;
        }
        return std::nullopt;
    }

private:
    std::string_view rest_;
};

/// Which of the two heads is read. RFC 9112 2.1.
enum class http_kind : std::uint8_t { request, response };

/// Whether a request may announce a body. RFC 9112 6. `unread`: it may, and the body is not read,
/// which is safe only where the connection ends with the answer.
enum class request_body : std::uint8_t { refused, unread };

/// How much of a head, and of a refusal's body, is taken from a peer. All limits are inclusive;
/// of a head's, values over 2^31 - 1 read as 2^31 - 1.
struct http_limits {
    /// Bytes in one line, its CRLF not counted. Past it the parser fails with
    /// `errc::http_target_too_long` (in a request line, behind its method) or
    /// `errc::http_line_too_long`. Raise it where cookies or bearer tokens are longer.
    std::size_t line = 8192;

    /// Field lines in the head. Past it the parser fails with `errc::http_too_many_fields`.
    /// Raise it behind proxies that add many fields.
    std::size_t fields = 128;

    /// Bytes in the whole head, line ends and the empty line counted. Past it the parser fails
    /// with `errc::http_head_too_large`. It bounds the memory that a head takes; raise it
    /// together with `line`, lower it where many connections open at once.
    std::size_t total = 65536;

    /// Bytes of body that a client keeps of a response that is no upgrade. It is waited for until
    /// it is complete or longer, at most as long as the opening timeout; with 0 not at all. Raise
    /// it where servers explain themselves at length.
    std::size_t body = 4096;
};

/// What `receive` of a parser or a handshake did.
struct http_progress {
    std::size_t consumed = 0;  ///< Bytes taken from the front of the input.
    errc ec{};                 ///< `errc::ok`: complete; `errc::need_more`; or what is wrong.
};

/// The head of an HTTP/1.1 message. RFC 9112 2.1.
///
/// Views that it returns live until it is changed, moved or destroyed. A head that was moved
/// from is empty. Holds one string and one vector.
class http_head {
public:
    /// The request's method, such as "GET"; empty in a response. 9.
    [[nodiscard]] std::string_view method() const noexcept { return kept(0, method_size_); }

    /// The request's target as it was sent, such as "/chat?room=1"; empty in a response.
    /// RFC 9112 3.2.
    [[nodiscard]] std::string_view target() const noexcept {
        return kept(method_size_, target_size_);
    }

    /// The response's status, 100 to 999; 0 in a request. 15.
    [[nodiscard]] std::uint16_t status() const noexcept { return status_; }

    /// The response's reason phrase; empty in a request. RFC 9112 4.
    [[nodiscard]] std::string_view reason() const noexcept { return kept(0, reason_size_); }

    /// The y of HTTP/1.y, 0 to 9. Other major versions are refused. RFC 9112 2.3.
    [[nodiscard]] std::uint8_t version_minor() const noexcept { return version_minor_; }

    /// Number of field lines.
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }

    /// Field line number `i`, counted from 0 in the order of the head; empty past the last.
    [[nodiscard]] http_field operator[](std::size_t i) const noexcept;

    /// Walks over the field lines: `for (const http_field field : head)`.
    class iterator;
    /// @{
    /// The first field line, and behind the last. Valid while the head is neither changed nor moved.
    [[nodiscard]] iterator begin() const noexcept;
    [[nodiscard]] iterator end() const noexcept;
    /// @}

    /// The value of the first field called `name`, or nothing. 5.1.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

    /// How many field lines are called `name`. 5.3.
    [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

    /// Whether `predicate` is true of an element of the comma list that the fields called `name`
    /// make up together. Stops at the first. 5.3, 5.6.1.
    template <class Predicate>
    [[nodiscard]] bool any_element(std::string_view name, Predicate predicate) const;

    /// Whether `token`, in any case, is an element of the list `name`. 5.6.1.
    [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;

    /// Gives back memory that is allocated and not used.
    void shrink_to_fit() {
        text_.shrink_to_fit();
        fields_.shrink_to_fit();
    }

    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return text_.capacity() + fields_.capacity() * sizeof(entry);
    }

private:
    friend class http_head_parser;

    struct entry {  // offsets into `text_`
        std::uint32_t name = 0;
        std::uint32_t name_size = 0;
        std::uint32_t value = 0;
        std::uint32_t value_size = 0;
    };

    // Empty where the text is no longer there, as after a move.
    [[nodiscard]] std::string_view kept(std::size_t begin, std::size_t size) const noexcept {
        if (text_.size() < begin + size) return {};
        return std::string_view{text_}.substr(begin, size);
    }

    std::string text_;  // method and target or reason, then name and value of each field
    std::vector<entry> fields_;
    std::uint32_t method_size_ = 0;
    std::uint32_t target_size_ = 0;
    std::uint32_t reason_size_ = 0;
    std::uint16_t status_ = 0;
    std::uint8_t version_minor_ = 0;
};

/// See `http_head::begin`.
class http_head::iterator {
public:
    /// @{
    /// What a loop needs.
    iterator(const http_head& head, std::size_t index) noexcept : head_(&head), index_(index) {}
    [[nodiscard]] http_field operator*() const noexcept { return (*head_)[index_]; }
    iterator& operator++() noexcept {
        ++index_;
        return *this;
    }
    /// @}
    [[nodiscard]] bool operator==(const iterator&) const noexcept = default;

private:
    const http_head* head_;
    std::size_t index_;
};

/// The status with which a server answers a request that failed with `ec`.
///
/// @return 400 Bad Request, unless one says more: 405 for `method_not_get`, 414 for
///         `http_target_too_long`, 431 for the other limits of a head (RFC 6585 5), 505 for
///         `http_version`, 403 for `origin_refused` (RFC 6455 4.2.2), 408 for `opening_timeout`,
///         503 for `aborted` and `closed_locally`, and 426 Upgrade Required where another
///         protocol version would do: `websocket_version_unsupported` (RFC 6455 4.4) and
///         `http_version_too_old` (15.5.22; 505 is for major versions).
[[nodiscard]] constexpr std::uint16_t status_for(errc ec) noexcept {
    struct row {
        errc ec;
        std::uint16_t status;
    };
    constexpr row table[] = {
        {errc::method_not_get, 405},
        {errc::http_target_too_long, 414},
        {errc::http_line_too_long, 431},
        {errc::http_too_many_fields, 431},
        {errc::http_head_too_large, 431},
        {errc::http_version, 505},
        {errc::http_version_too_old, 426},
        {errc::websocket_version_unsupported, 426},
        {errc::origin_refused, 403},
        {errc::opening_timeout, 408},
        {errc::aborted, 503},
        {errc::closed_locally, 503},
    };
    for (const row& r : table)
        if (r.ec == ec) return r.status;
    return 400;
}

inline http_field http_head::operator[](std::size_t i) const noexcept {
    if (i >= fields_.size()) return {};
    const entry& e = fields_[i];
    return {kept(e.name, e.name_size), kept(e.value, e.value_size)};
}

inline http_head::iterator http_head::begin() const noexcept { return {*this, 0}; }
inline http_head::iterator http_head::end() const noexcept { return {*this, size()}; }

inline std::optional<std::string_view> http_head::find(std::string_view name) const noexcept {
    for (const http_field field : *this)
        if (detail::iequals(field.name, name)) return field.value;
    return std::nullopt;
}

inline std::size_t http_head::count(std::string_view name) const noexcept {
    std::size_t n = 0;
    for (const http_field field : *this) n += detail::iequals(field.name, name) ? 1U : 0U;
    return n;
}

template <class Predicate>
bool http_head::any_element(std::string_view name, Predicate predicate) const {
    for (const http_field field : *this) {
        if (!detail::iequals(field.name, name)) continue;
        http_list list{field.value};
        while (const auto element = list.next())
            if (predicate(*element)) return true;
    }
    return false;
}

inline bool http_head::has_token(std::string_view name, std::string_view token) const noexcept {
    return any_element(name, [token](std::string_view e) { return detail::iequals(e, token); });
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_HPP

// ==== sansocket/wire/http_body.hpp ===============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_BODY_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_BODY_HPP
// http_body.hpp
//
// Reads the body of an HTTP/1.1 response up to a limit: where it ends is said by
// its head, or by the end of the stream. RFC 9112 6.3.
//
// It is for people to read: why a server did not do as it was asked. So what is
// wrong in it is no error: the body ends there, cut.
//
// Knows nothing of: WebSocket, time. Section numbers in this file refer to RFC 9112
// unless another is named.

namespace sansocket {

/// The body of one response, in part where it is longer than the limit. 6.
class http_body {
public:
    /// No body.
    http_body() = default;

    /// The body of `response`: none behind 1xx, 204 and 304; chunked; as long as Content-Length
    /// says; else up to the end of the stream, as with a transfer coding that is not known. 6.3.
    ///
    /// @param limit  bytes of it that are kept; with 0 none is waited for.
    http_body(const http_head& response, std::size_t limit);

    /// Takes bytes of the body.
    ///
    /// @return errc::ok once it is over: complete, past the limit, or no longer to be understood;
    ///         else errc::need_more.
    http_progress receive(std::span<const std::byte> in);

    /// No more will come. `how`: errc::end_of_stream where the stream ended in order, which
    /// completes a body that has no other end.
    void end(errc how) noexcept;

    /// Whether no more is awaited.
    [[nodiscard]] bool over() const noexcept { return framing_ == framing::over; }
    /// Whether more of it was announced, or may have followed, than was kept.
    [[nodiscard]] bool cut() const noexcept { return cut_; }
    /// What was kept of it. Lives until this object is changed, moved or destroyed.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }
    /// Moves it out.
    [[nodiscard]] std::string take() noexcept { return std::exchange(text_, {}); }
    /// Bytes of memory held, this object not counted.
    [[nodiscard]] std::size_t memory() const noexcept { return text_.capacity(); }

private:
    enum class framing : std::uint8_t { over, length, chunks, stream };

    static framing framing_of(const http_head& response) noexcept;
    void stop(bool cut) noexcept {
        framing_ = framing::over;
        cut_ = cut;
    }
    bool keep(std::span<const std::byte> piece);
    void receive_length(std::span<const std::byte>& in);
    void receive_chunks(std::span<const std::byte>& in);
    void receive_stream(std::span<const std::byte>& in);

    framing framing_ = framing::over;
    bool cut_ = false;
    std::size_t limit_ = 0;
    std::uint64_t length_ = 0;  // what is still to come, by Content-Length
    http_chunks chunks_;
    std::string text_;
};

// 6.3, rules 1 to 8 as far as they are about a response to GET.
inline http_body::framing http_body::framing_of(const http_head& response) noexcept {
    const std::uint16_t status = response.status();
    if (status < 200 || status == 204 || status == 304) return framing::over;
    if (const auto coding = response.find("Transfer-Encoding")) {
        const bool once = response.count("Transfer-Encoding") == 1;
        return once && detail::iequals(*coding, "chunked") ? framing::chunks : framing::stream;
    }
    return response.find("Content-Length") ? framing::length : framing::stream;
}

inline http_body::http_body(const http_head& response, std::size_t limit)
    : framing_(framing_of(response)), limit_(limit) {
    if (framing_ == framing::length) {
        const std::string_view digits = response.find("Content-Length").value_or("");
        for (const char c : digits) {
            constexpr std::uint64_t plenty = std::uint64_t{1} << 59U;  // of which the limit is left
            if (length_ < plenty) length_ = length_ * 10 + static_cast<unsigned>(c - '0');
        }
        if (length_ == 0) stop(false);
    }
    if (framing_ != framing::over && limit_ == 0) stop(true);
}

inline http_progress http_body::receive(std::span<const std::byte> in) {
    const std::size_t all = in.size();
    switch (framing_) {
    case framing::over: break;
    case framing::length: receive_length(in); break;
    case framing::chunks: receive_chunks(in); break;
    case framing::stream: receive_stream(in); break;
    }
    return {all - in.size(), over() ? errc::ok : errc::need_more};
}

inline void http_body::end(errc how) noexcept {
    if (over()) return;
    stop(framing_ != framing::stream || how != errc::end_of_stream);
}

// False where it passes the limit.
inline bool http_body::keep(std::span<const std::byte> piece) {
    const std::size_t n = detail::smaller_of(piece.size(), limit_ - text_.size());
    text_.append(reinterpret_cast<const char*>(piece.data()), n);
    return n == piece.size();
}

inline void http_body::receive_length(std::span<const std::byte>& in) {
    const auto piece =
        in.first(static_cast<std::size_t>(detail::smaller_of<std::uint64_t>(in.size(), length_)));
    in = in.subspan(piece.size());
    length_ -= piece.size();
    const bool fits = keep(piece);
    // Of a body that is known to be too long, the rest is not waited for.
    if (!fits || (length_ != 0 && text_.size() == limit_)) return stop(true);
    if (length_ == 0) stop(false);
}

inline void http_body::receive_chunks(std::span<const std::byte>& in) {
    while (!over()) {
        std::span<const std::byte> piece;
        switch (chunks_.next(in, piece)) {
        case chunk_step::need_more: return;
        case chunk_step::data:
            if (!keep(piece) || (chunks_.remaining() != 0 && text_.size() == limit_)) stop(true);
            break;
        case chunk_step::last: stop(false); break;
        case chunk_step::invalid: stop(true); break;
        }
    }
}

inline void http_body::receive_stream(std::span<const std::byte>& in) {
    if (!keep(std::exchange(in, {}))) stop(true);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_BODY_HPP

// ==== sansocket/wire/http_head_parser.hpp ========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_PARSER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_PARSER_HPP
// http_head_parser.hpp
//
// Reads the head of an HTTP/1.1 message: bytes in, `http_head` out. RFC 9112 2 to 5.
//
// Strict: two programs that read the same bytes differently can be played
// against each other (request smuggling), so what RFC 9112 lets a recipient
// repair is refused instead. Each error is found at the byte that makes it one.
//
// Knows nothing of: WebSocket's rules about a head (see the two handshakes), bodies.
// Section numbers in this file refer to RFC 9112 unless another is named.

namespace sansocket {

/// Reads one head. 2.2.
///
/// Feed it what the transport brings; it takes no byte behind the head. Up to 8 empty lines
/// before a request line are passed over (2.2). Refused with an error of its own:
///         errc::http_line_end            a LF without CR, or a CR without LF (2.2);
///         errc::http_nul                 a NUL, anywhere;
///         errc::http_request_line        anything but method SP target SP version (3);
///         errc::http_status_line         anything but version SP status [SP reason] (4);
///         errc::http_version             a major version that is not 1 (2.3);
///         errc::http_field_name          a name that is empty or no token (5.1);
///         errc::http_space_before_colon  white space behind a name (5.1);
///         errc::http_field_value         a control character in a value (RFC 9110 5.5);
///         errc::http_folding             a line that begins with white space (5.2);
///         errc::http_duplicate_field     in a request a second Host, Origin, Content-Length,
///                                        Sec-WebSocket-Key or -Version; in a response a second
///                                        Content-Length or Sec-WebSocket-Accept (RFC 9110 5.3);
///         errc::http_body_framing        a Content-Length that is no number; in a request also
///                                        one above 0, and any Transfer-Encoding, unless
///                                        `request_body::unread` (6);
/// and what `http_limits` lists. After an error nothing more is taken and the error stays.
/// Linear in the head, however it is cut. Allocates nothing before the first byte of a head.
class http_head_parser {
public:
    /// Waits for a head of this kind.
    explicit http_head_parser(http_kind kind, const http_limits& limits = {},
                              request_body body = request_body::refused) noexcept;

    /// Takes bytes up to the end of the head, or to the first byte that is wrong.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// `errc::ok` once the head is complete, `errc::need_more` before, or what was wrong.
    [[nodiscard]] errc error() const noexcept;

    /// The head; in part before it is complete.
    [[nodiscard]] const http_head& head() const noexcept { return head_; }

    /// Moves the head out.
    [[nodiscard]] http_head release() noexcept { return std::exchange(head_, http_head{}); }

private:
    enum class state : std::uint8_t {
        start,
        start_line_feed,  // 2.2: empty lines
        method,
        target,
        request_version,
        request_end,  // 3
        status_version,
        version_end,
        status,
        status_end,
        reason,  // 4
        line_feed,
        field_start,
        field_name,
        value_start,
        value,  // 5
        last_line_feed,
        complete,
        failed,
    };

    void move(state to) noexcept { state_ = to; }
    errc step(std::string_view& in);
    errc read_start(std::string_view& in) noexcept;
    errc read_method(std::string_view& in);
    errc read_target(std::string_view& in);
    errc read_version(std::string_view& in, state next) noexcept;
    errc read_status(std::string_view& in) noexcept;
    errc read_status_end(std::string_view& in) noexcept;
    errc read_reason(std::string_view& in);
    errc read_field_start(std::string_view& in);
    errc read_field_name(std::string_view& in);
    errc read_value_start(std::string_view& in) noexcept;
    errc read_value(std::string_view& in);
    errc finish_field() noexcept;
    errc check_single(std::string_view name) noexcept;

    errc take(char wanted, std::string_view& in, state next) noexcept;
    errc take_run(detail::char_class wanted, std::string_view& in);
    errc take_line_feed(std::string_view& in, state next) noexcept;
    [[nodiscard]] errc misfit(char c) const noexcept;
    [[nodiscard]] errc too_long() const noexcept;
    [[nodiscard]] bool refuses_body() const noexcept {
        return kind_ == http_kind::request && body_ == request_body::refused;
    }
    [[nodiscard]] std::uint32_t end() const noexcept {
        return static_cast<std::uint32_t>(head_.text_.size());
    }

    http_limits limits_;
    http_kind kind_;
    request_body body_;
    state state_;
    // Decide no transition but by the limits and the fixed sizes of version and status.
    errc cause_ = errc::need_more;
    std::uint8_t position_ = 0;  // in the version or the status
    std::uint8_t empty_lines_ = 0;
    std::uint8_t singles_ = 0;  // a bit for each field that may stand once and has
    std::size_t line_ = 0;      // bytes of this line
    std::size_t total_ = 0;     // bytes of the head
    http_head head_;
};

inline http_head_parser::http_head_parser(http_kind kind, const http_limits& limits,
                                          request_body body) noexcept
    : kind_(kind),
      body_(body),
      state_(kind == http_kind::request ? state::start : state::status_version) {
    constexpr std::size_t most = 0x7fffffff;  // offsets into a head are 32 bits
    limits_ = {detail::smaller_of(limits.line, most), detail::smaller_of(limits.fields, most),
               detail::smaller_of(limits.total, most)};
}

inline errc http_head_parser::error() const noexcept {
    return state_ == state::complete ? errc::ok : cause_;
}

inline http_progress http_head_parser::receive(std::span<const std::byte> in) {
    if (state_ == state::complete || state_ == state::failed) return {0, error()};
    // Bytes are read as characters: char may alias anything.
    const std::string_view all{reinterpret_cast<const char*>(in.data()), in.size()};
    std::string_view rest = all.substr(0, detail::smaller_of(all.size(), limits_.total - total_));
    errc ec{};
    while (ec == errc{} && !rest.empty() && state_ != state::complete) ec = step(rest);

    const std::size_t consumed =
        detail::smaller_of(all.size(), limits_.total - total_) - rest.size();
    total_ += consumed;
    if (ec == errc{} && state_ != state::complete && consumed != all.size())
        ec = errc::http_head_too_large;
    if (ec != errc{}) {
        cause_ = ec;
        move(state::failed);
    }
    return {consumed, error()};
}

// Takes at least one byte, moves on, or fails.
inline errc http_head_parser::step(std::string_view& in) {
    switch (state_) {
    case state::start: return read_start(in);
    case state::start_line_feed: return take_line_feed(in, state::start);
    case state::method: return read_method(in);
    case state::target: return read_target(in);
    case state::request_version: return read_version(in, state::request_end);
    case state::request_end: return take('\r', in, state::line_feed);
    case state::status_version: return read_version(in, state::version_end);
    case state::version_end: return take(' ', in, state::status);
    case state::status: return read_status(in);
    case state::status_end: return read_status_end(in);
    case state::reason: return read_reason(in);
    case state::line_feed: return take_line_feed(in, state::field_start);
    case state::field_start: return read_field_start(in);
    case state::field_name: return read_field_name(in);
    case state::value_start: return read_value_start(in);
    case state::value: return read_value(in);
    case state::last_line_feed: return take_line_feed(in, state::complete);
    case state::complete:
    case state::failed: break;
    }
    return cause_;
}

inline errc http_head_parser::read_start(std::string_view& in) noexcept {
    constexpr std::uint8_t most_empty_lines = 8;
    if (in[0] != '\r' || empty_lines_ == most_empty_lines) {
        move(state::method);
        return errc{};
    }
    ++empty_lines_;
    return take('\r', in, state::start_line_feed);
}

inline errc http_head_parser::read_method(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::token, in); ec != errc{}) return ec;
    head_.method_size_ = end();
    if (in.empty()) return errc{};
    if (head_.method_size_ == 0) return misfit(in[0]);
    return take(' ', in, state::target);
}

inline errc http_head_parser::read_target(std::string_view& in) {
    if (head_.target_size_ == 0 && in[0] != '/' && in[0] != '*' &&
        !detail::is(detail::char_class::token, in[0]))
        return misfit(in[0]);
    if (const errc ec = take_run(detail::char_class::target, in); ec != errc{}) return ec;
    head_.target_size_ = end() - head_.method_size_;
    return in.empty() ? errc{} : take(' ', in, state::request_version);
}

// "HTTP/" DIGIT "." DIGIT, in upper case. 2.3.
inline errc http_head_parser::read_version(std::string_view& in, state next) noexcept {
    constexpr std::string_view form = "HTTP/1.";
    const char c = in[0];
    const bool digit = detail::is(detail::char_class::digit, c);
    if (position_ == form.find('1') && digit && c != '1') return errc::http_version;
    const bool last = position_ == form.size();
    if (last && digit) head_.version_minor_ = static_cast<std::uint8_t>(c - '0');
    if (last ? !digit : c != form[position_]) return misfit(c);
    position_ = last ? std::uint8_t{0} : static_cast<std::uint8_t>(position_ + 1);
    return take(c, in, last ? next : state_);
}

// Three digits. 4.
inline errc http_head_parser::read_status(std::string_view& in) noexcept {
    const char c = in[0];
    if (!detail::is(detail::char_class::digit, c) || (position_ == 0 && c == '0')) return misfit(c);
    head_.status_ = static_cast<std::uint16_t>(head_.status_ * 10 + (c - '0'));
    return take(c, in, ++position_ == 3 ? state::status_end : state_);
}

// 4 asks servers for the space before an empty reason; those that leave it out are understood.
inline errc http_head_parser::read_status_end(std::string_view& in) noexcept {
    return in[0] == '\r' ? take('\r', in, state::line_feed) : take(' ', in, state::reason);
}

inline errc http_head_parser::read_reason(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::field_value, in); ec != errc{}) return ec;
    head_.reason_size_ = end();
    return in.empty() ? errc{} : take('\r', in, state::line_feed);
}

inline errc http_head_parser::read_field_start(std::string_view& in) {
    if (in[0] == '\r') return take('\r', in, state::last_line_feed);
    // 5.2: "A sender MUST NOT generate a message that includes line folding"
    if (detail::is_ows(in[0])) return errc::http_folding;
    if (!detail::is(detail::char_class::token, in[0])) return misfit(in[0]);
    if (head_.fields_.size() == limits_.fields) return errc::http_too_many_fields;
    head_.fields_.push_back({.name = end()});
    move(state::field_name);
    return errc{};
}

inline errc http_head_parser::read_field_name(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::token, in); ec != errc{}) return ec;
    if (in.empty()) return errc{};
    // 5.1: "No whitespace is allowed between the field name and colon."
    if (detail::is_ows(in[0])) return errc::http_space_before_colon;
    auto& field = head_.fields_.back();
    field.name_size = end() - field.name;
    field.value = end();
    return take(':', in, state::value_start);
}

inline errc http_head_parser::read_value_start(std::string_view& in) noexcept {
    if (detail::is_ows(in[0])) return take(in[0], in, state_);
    move(state::value);
    return errc{};
}

inline errc http_head_parser::read_value(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::field_value, in); ec != errc{}) return ec;
    if (in.empty()) return errc{};
    if (in[0] != '\r') return misfit(in[0]);
    if (const errc ec = finish_field(); ec != errc{}) return ec;
    return take('\r', in, state::line_feed);
}

inline errc http_head_parser::finish_field() noexcept {
    auto& field = head_.fields_.back();
    std::string& text = head_.text_;
    while (text.size() > field.value && detail::is_ows(text.back())) text.pop_back();
    field.value_size = end() - field.value;

    const auto [name, value] = head_[head_.size() - 1];
    if (const errc ec = check_single(name); ec != errc{}) return ec;
    if (detail::iequals(name, "Content-Length")) {
        const bool number = !value.empty() && detail::all_are(detail::char_class::digit, value);
        const bool zero = value.find_first_not_of('0') == std::string_view::npos;
        if (!number || (!zero && refuses_body())) return errc::http_body_framing;
    }
    if (refuses_body() && detail::iequals(name, "Transfer-Encoding"))
        return errc::http_body_framing;
    return errc{};
}

// RFC 9110 5.3: a field that is no list may not stand twice. Equal Content-Lengths might be taken
// for one (RFC 9110 8.6); they are refused too.
inline errc http_head_parser::check_single(std::string_view name) noexcept {
    using names = std::array<std::string_view, 5>;
    constexpr names request = {"Host", "Origin", "Content-Length", "Sec-WebSocket-Key",
                               "Sec-WebSocket-Version"};
    constexpr names response = {"Content-Length", "Sec-WebSocket-Accept"};
    const names& single = kind_ == http_kind::request ? request : response;
    for (std::size_t i = 0; i != single.size(); ++i) {
        if (!detail::iequals(name, single[i])) continue;
        const auto bit = static_cast<std::uint8_t>(1U << i);
        if ((singles_ & bit) != 0) return errc::http_duplicate_field;
        singles_ = static_cast<std::uint8_t>(singles_ | bit);
    }
    return errc{};
}

// Takes the one character that may stand here.
inline errc http_head_parser::take(char wanted, std::string_view& in, state next) noexcept {
    if (in[0] != wanted) return misfit(in[0]);
    if (wanted != '\r' && line_++ == limits_.line) return too_long();
    in.remove_prefix(1);
    move(next);
    return errc{};
}

// Takes what belongs to the class; it becomes part of the head's text.
inline errc http_head_parser::take_run(detail::char_class wanted, std::string_view& in) {
    const std::size_t most = detail::smaller_of(in.size(), limits_.line - line_);
    std::size_t n = 0;
    while (n != most && detail::is(wanted, in[n])) ++n;
    head_.text_.append(in.substr(0, n));
    line_ += n;
    in.remove_prefix(n);
    const bool full = line_ == limits_.line && !in.empty() && detail::is(wanted, in[0]);
    return full ? too_long() : errc{};
}

inline errc http_head_parser::take_line_feed(std::string_view& in, state next) noexcept {
    if (in[0] != '\n') return errc::http_line_end;
    in.remove_prefix(1);
    line_ = 0;
    move(next);
    return errc{};
}

// What the error is called when `c` does not belong where it stands.
inline errc http_head_parser::misfit(char c) const noexcept {
    if (c == '\0') return errc::http_nul;
    if (c == '\n') return errc::http_line_end;
    if (state_ == state::field_start || state_ == state::field_name) return errc::http_field_name;
    if (state_ == state::value) return errc::http_field_value;
    return kind_ == http_kind::request ? errc::http_request_line : errc::http_status_line;
}

// What the error is called when a line passes its limit.
inline errc http_head_parser::too_long() const noexcept {
    const bool target = state_ == state::target || state_ == state::request_version;
    return target ? errc::http_target_too_long : errc::http_line_too_long;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_HEAD_PARSER_HPP

// ==== sansocket/wire/ip_address.hpp ==============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_IP_ADDRESS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_IP_ADDRESS_HPP
// ip_address.hpp
//
// IP addresses and networks as values, and their text. RFC 4291 2.2, RFC 4632 3.1.
//
// An IPv4 address and the same mapped into IPv6 (::ffff:192.0.2.1) are one value:
// which of the two arrives depends on the socket, and no rule may depend on that.
//
// Knows nothing of: sockets, ports, names, zones.
// Section numbers in this file refer to RFC 4291 unless another RFC is named.

namespace sansocket {

/// An IPv4 or IPv6 address. By default the unspecified address of IPv6, "::".
class ip_address {
public:
    constexpr ip_address() = default;
    /// An IPv4 address, of bytes in network order.
    constexpr explicit ip_address(const std::array<std::uint8_t, 4>& bytes) noexcept {
        bytes_[10] = bytes_[11] = 0xff;
        for (std::size_t i = 0; i != 4; ++i) bytes_[v4_at + i] = bytes[i];
    }
    /// An IPv6 address, of bytes in network order; an IPv4 one where it is mapped (2.5.5.2).
    constexpr explicit ip_address(const std::array<std::uint8_t, 16>& bytes) noexcept
        : bytes_(bytes) {}

    /// Whether it is an IPv4 address, mapped or not.
    [[nodiscard]] constexpr bool is_v4() const noexcept {
        for (std::size_t i = 0; i != v4_at; ++i)
            if (bytes_[i] != (i < 10 ? 0 : 0xff)) return false;
        return true;
    }
    /// As IPv6, in network order: an IPv4 address mapped.
    [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const noexcept {
        return bytes_;
    }
    /// The IPv4 address, in network order; the last four bytes of an IPv6 one.
    [[nodiscard]] constexpr std::array<std::uint8_t, 4> v4_bytes() const noexcept {
        return {bytes_[v4_at], bytes_[v4_at + 1], bytes_[v4_at + 2], bytes_[v4_at + 3]};
    }

    friend constexpr bool operator==(const ip_address&, const ip_address&) = default;

private:
    static constexpr std::size_t v4_at = 12;  // behind ten bytes of 0 and two of 255

    std::array<std::uint8_t, 16> bytes_{};
};

namespace detail {

// dec-octet "." dec-octet "." dec-octet "." dec-octet, without leading zeros. RFC 3986 3.2.2.
constexpr std::optional<ip_address> parse_ipv4(std::string_view text) noexcept {
    std::array<std::uint8_t, 4> out{};
    std::size_t octets = 0;
    for (;;) {
        const std::size_t size = detail::smaller_of(text.find('.'), text.size());
        const std::string_view octet = text.substr(0, size);
        if (octet.empty() || octet.size() > 3 || octets == 4) return std::nullopt;
        if (!all_are(char_class::digit, octet)) return std::nullopt;
        if (octet.size() > 1 && octet[0] == '0') return std::nullopt;
        unsigned value = 0;
        for (const char c : octet) value = value * 10 + static_cast<unsigned>(c - '0');
        if (value > 255) return std::nullopt;
        out[octets++] = static_cast<std::uint8_t>(value);
        if (size == text.size()) break;
        text.remove_prefix(size + 1);
    }
    if (octets != 4) return std::nullopt;
    return ip_address(out);
}

constexpr unsigned hex_value(char c) noexcept {
    return static_cast<unsigned>(is(char_class::digit, c) ? c - '0' : to_lower(c) - 'a' + 10);
}

// Groups of an IPv6 address, between "::" and an end or in all of it. An IPv4 address stands for two,
// and only at the address's end.
struct ipv6_groups {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t size = 0;  // of the bytes

    constexpr bool append(std::string_view text, bool at_end) noexcept {
        while (!text.empty()) {
            const std::size_t length = detail::smaller_of(text.find(':'), text.size());
            const bool last = length == text.size();
            const std::string_view group = text.substr(0, length);
            if (last && at_end && group.find('.') != std::string_view::npos)
                return append_v4(group);
            if (group.empty() || group.size() > 4 || size == bytes.size()) return false;
            if (!all_are(char_class::hex_digit, group)) return false;
            unsigned value = 0;
            for (const char c : group) value = value << 4U | hex_value(c);
            bytes[size++] = static_cast<std::uint8_t>(value >> 8U);
            bytes[size++] = static_cast<std::uint8_t>(value & 0xffU);
            if (last) return true;
            text.remove_prefix(length + 1);
            if (text.empty()) return false;  // a ":" at the end
        }
        return true;
    }
    constexpr bool append_v4(std::string_view text) noexcept {
        const auto address = parse_ipv4(text);
        if (!address || bytes.size() - size < 4) return false;
        for (const std::uint8_t octet : address->v4_bytes()) bytes[size++] = octet;
        return true;
    }
};

constexpr std::optional<ip_address> parse_ipv6(std::string_view text) noexcept {
    const std::size_t gap = text.find("::");
    const bool has_gap = gap != std::string_view::npos;
    ipv6_groups head, tail;
    if (!head.append(text.substr(0, gap), !has_gap)) return std::nullopt;
    if (has_gap && !tail.append(text.substr(gap + 2), true)) return std::nullopt;
    const std::size_t size = head.size + tail.size;
    // 2.2: "The use of "::" indicates one or more groups of 16 bits of zeros."
    if (has_gap ? size > 14 : size != 16) return std::nullopt;
    for (std::size_t i = 0; i != tail.size; ++i)
        head.bytes[head.bytes.size() - tail.size + i] = tail.bytes[i];
    return ip_address(head.bytes);
}

}  // namespace detail

/// The address that `text` is: four decimal numbers, or IPv6 without brackets and zone. 2.2.
///
/// @return nothing for any other text; no octet of IPv4 may begin with a zero, which some read as
///         octal.
[[nodiscard]] constexpr std::optional<ip_address> parse_ip_address(std::string_view text) noexcept {
    const auto v4 = detail::parse_ipv4(text);
    return v4 ? v4 : detail::parse_ipv6(text);
}

/// All addresses that begin with the same bits. RFC 4632 3.1. By default "::/128", one address.
class ip_network {
public:
    constexpr ip_network() = default;
    /// One address.
    constexpr explicit ip_network(const ip_address& address) noexcept : base_(address) {}

    /// Whether `address` is one of them. A network of IPv6 holds no address of IPv4, and the other
    /// way round.
    [[nodiscard]] constexpr bool contains(const ip_address& address) const noexcept {
        if (address.is_v4() != base_.is_v4()) return false;
        for (std::size_t i = 0; i != 16; ++i)
            if (((address.bytes()[i] ^ base_.bytes()[i]) & mask(i)) != 0) return false;
        return true;
    }

    friend constexpr bool operator==(const ip_network&, const ip_network&) = default;

private:
    friend constexpr struct ip_network_result parse_ip_network(std::string_view text) noexcept;

    // Of byte number `i`, the bits that are the network's.
    [[nodiscard]] constexpr unsigned mask(std::size_t i) const noexcept {
        const std::size_t own =
            bits_ > 8 * i ? detail::smaller_of(bits_ - 8 * i, std::size_t{8}) : 0;
        return (0xff00U >> own) & 0xffU;
    }
    [[nodiscard]] constexpr bool is_exact() const noexcept {
        for (std::size_t i = 0; i != 16; ++i)
            if ((base_.bytes()[i] & ~mask(i)) != 0) return false;
        return true;
    }

    ip_address base_;
    std::size_t bits_ = 128;  // an IPv4 network's and 96
};

/// What `parse_ip_network` returns: `value` counts only where `ec` is `errc{}`.
struct ip_network_result {
    ip_network value{};  ///< The network.
    errc ec{};           ///< `errc::network_invalid`, or none.
};

/// The network that `text` is: "192.0.2.0/24", "2001:db8::/32", or one address. RFC 4632 3.1.
///
/// @return the network, or errc::network_invalid: no address, a length that is no decimal number or
///         over 32 or 128, or bits that are set behind it ("192.0.2.1/24"), which is a slip more often
///         than not.
[[nodiscard]] constexpr ip_network_result parse_ip_network(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    const auto address = parse_ip_address(text.substr(0, slash));
    if (!address) return {{}, errc::network_invalid};
    ip_network out{*address};
    if (slash == std::string_view::npos) return {out, errc{}};
    const std::string_view digits = text.substr(slash + 1);
    const bool number = !digits.empty() && digits.size() <= 3 &&
                        detail::all_are(detail::char_class::digit, digits) &&
                        (digits.size() == 1 || digits[0] != '0');
    if (!number) return {{}, errc::network_invalid};
    std::size_t length = 0;
    for (const char c : digits) length = length * 10 + static_cast<std::size_t>(c - '0');
    const bool plain_v4 = text.find(':') == std::string_view::npos;
    out.bits_ = length + (plain_v4 ? 96 : 0);
    if (out.bits_ > 128 || !out.is_exact()) return {{}, errc::network_invalid};
    return {out, errc{}};
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_IP_ADDRESS_HPP

// ==== sansocket/wire/url.hpp =====================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_URL_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_URL_HPP
// url.hpp
//
// ws:// and wss:// URLs. RFC 6455 3, over the grammar of RFC 3986.
//
// Strict, and constexpr: a URL in the source can be checked by the compiler.
// What is not in the grammar is refused, not repaired: no white space is
// trimmed, nothing is decoded, no name is converted (internationalised names
// come as their ASCII form, RFC 5891 "xn--").
//
// Knows nothing of: resolving, HTTP, TLS.
// Section numbers in this file refer to RFC 3986 unless another is named.

namespace sansocket {

/// What the host of a URL is. 3.2.2.
enum class host_kind : std::uint8_t { name, ipv4, ipv6 };

/// The parts of a WebSocket URL. RFC 6455 3.
///
/// The views point into the text that was parsed and live as long as it does.
struct url {
    bool secure = false;                ///< "wss": the connection is to run over TLS.
    host_kind kind = host_kind::name;   ///< What `host` is.
    std::string_view host{};            ///< As written; an IPv6 address without its brackets.
    std::uint16_t port = 80;            ///< 1 to 65535; 80 or 443 where the URL names none.
    std::string_view path_and_query{};  ///< As written: empty, or begins with "/" or "?".
};

/// What `parse_url` returns: `value` counts only where `ec` is `errc{}`.
struct url_result {
    url value{};  ///< The parts.
    errc ec{};    ///< What is wrong with the text, if anything.
};

/// Parses a WebSocket URL. RFC 6455 3.
///
/// The scheme's case does not matter. "ws://h:/" means the default port, as 3.2.3 has it. A host
/// of digits and dots alone has to be an IPv4 address of four decimal numbers.
///
/// @param text  the URL; it has to outlive the result, which points into it.
/// @return the parts, or
///         errc::url_scheme     neither "ws:" nor "wss:";
///         errc::url_host       no "//", no host, a character no host may have, a bad IP address,
///                              an IPv6 zone;
///         errc::url_port       not a decimal number from 1 to 65535;
///         errc::url_path       a character that must be percent-encoded, or a bad "%";
///         errc::url_fragment   a "#" anywhere (RFC 6455 3: "#" must be escaped as "%23");
///         errc::url_userinfo   a user name or password.
/// Allocates nothing. Linear in `text`.
[[nodiscard]] constexpr url_result parse_url(std::string_view text) noexcept;

/// Whether `text` may be the value of a Host field: a host, and perhaps ":" and a port.
/// RFC 9110 7.2.
[[nodiscard]] constexpr bool is_host_field(std::string_view text) noexcept;

/// Whether `text` may be the target of a handshake request: a "/", then path and query characters
/// with their percent-encodings. RFC 6455 3, RFC 9112 3.2.1.
[[nodiscard]] constexpr bool is_target(std::string_view text) noexcept {
    return text.starts_with('/') &&
           detail::all_are_or_percent_encoded(detail::char_class::path, text);
}

/// The target of the request line for `u`: path and query, "/" where the path is empty.
/// RFC 6455 3 ("resource-name").
[[nodiscard]] inline std::string target(const url& u) {
    std::string out;
    if (!u.path_and_query.starts_with('/')) out += '/';
    out += u.path_and_query;
    return out;
}

/// The value of the Host field for `u`: an IPv6 address in brackets, the port only where it is
/// not the scheme's default. RFC 6455 4.1.
[[nodiscard]] inline std::string host_field(const url& u) {
    std::string out;
    if (u.kind == host_kind::ipv6) (out += '[').append(u.host) += ']';
    else out += u.host;
    if (u.port != (u.secure ? 443 : 80)) (out += ':') += std::to_string(u.port);
    return out;
}

namespace detail {

struct host_port {
    std::string_view host{};
    host_kind kind = host_kind::name;
    std::uint16_t port = 0;  // 0 where none is given
    errc ec{};
};

constexpr errc parse_url_port(std::string_view digits, std::uint16_t& port) noexcept {
    unsigned value = 0;
    for (const char c : digits) {
        if (!is(char_class::digit, c)) return errc::url_port;
        value = value * 10 + static_cast<unsigned>(c - '0');
        if (value > 65535) return errc::url_port;
    }
    if (!digits.empty() && value == 0) return errc::url_port;
    port = static_cast<std::uint16_t>(value);
    return errc{};
}

constexpr errc classify_host(host_port& out) noexcept {
    if (out.host.empty()) return errc::url_host;
    if (out.kind == host_kind::ipv6) return parse_ipv6(out.host) ? errc{} : errc::url_host;
    if (parse_ipv4(out.host)) {
        out.kind = host_kind::ipv4;
        return errc{};
    }
    // "127.1" and "1.2.3.256" fit the grammar of names, and resolvers read them as addresses.
    if (out.host.find_first_not_of("0123456789.") == std::string_view::npos) return errc::url_host;
    const bool valid = all_are_or_percent_encoded(char_class::reg_name, out.host);
    return valid ? errc{} : errc::url_host;
}

// host [ ":" port ]. 3.2.2, 3.2.3.
constexpr host_port parse_host_port(std::string_view text) noexcept {
    host_port out;
    std::size_t end = 0;  // of the host and its brackets
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) return {.ec = errc::url_host};
        out.kind = host_kind::ipv6;
        out.host = text.substr(1, bracket - 1);
        end = bracket + 1;
    } else {
        end = detail::smaller_of(text.find(':'), text.size());
        out.host = text.substr(0, end);
    }
    out.ec = classify_host(out);
    if (out.ec != errc{} || end == text.size()) return out;
    out.ec = text[end] == ':' ? parse_url_port(text.substr(end + 1), out.port) : errc::url_host;
    return out;
}

}  // namespace detail

constexpr url_result parse_url(std::string_view text) noexcept {
    url out;
    const bool plain = detail::istarts_with(text, "ws:");
    out.secure = detail::istarts_with(text, "wss:");
    if (!plain && !out.secure) return {{}, errc::url_scheme};
    text.remove_prefix(out.secure ? 4 : 3);
    if (!text.starts_with("//")) return {{}, errc::url_host};
    text.remove_prefix(2);

    // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket URIs."
    if (text.find('#') != std::string_view::npos) return {{}, errc::url_fragment};
    const std::string_view authority = text.substr(0, text.find_first_of("/?"));
    if (authority.find('@') != std::string_view::npos) return {{}, errc::url_userinfo};
    const detail::host_port at = detail::parse_host_port(authority);
    if (at.ec != errc{}) return {{}, at.ec};

    out.path_and_query = text.substr(authority.size());
    if (!detail::all_are_or_percent_encoded(detail::char_class::path, out.path_and_query))
        return {{}, errc::url_path};
    out.host = at.host;
    out.kind = at.kind;
    out.port = at.port != 0 ? at.port : static_cast<std::uint16_t>(out.secure ? 443 : 80);
    return {out, errc{}};
}

constexpr bool is_host_field(std::string_view text) noexcept {
    return detail::parse_host_port(text).ec == errc{};
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_URL_HPP

// ==== sansocket/machine/client_handshake.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLIENT_HANDSHAKE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLIENT_HANDSHAKE_HPP
// client_handshake.hpp
//
// The client's half of the opening handshake: one request goes out, one
// response comes in and is checked. RFC 6455 4.1.
//
// The request is complete once the machine is made, and may be sent at once.
// Each check that 4.1 asks for has an error of its own, and the response can
// be read whatever became of it: a redirect or a demand for credentials is
// the application's to follow. Of a refusal its body, too, up to a limit.
//
// Knows nothing of: URLs, sockets, time, randomness (the nonce is an argument).
// Section numbers in this file refer to RFC 6455 unless another is named.

namespace sansocket {

/// What a client asks for. 4.1.
struct client_request {
    std::string host{};                       ///< Value of Host, see `host_field(url)`. Required.
    std::string target = "/";                 ///< Path and query, see `target(url)`.
    std::vector<std::string> subprotocols{};  ///< Distinct tokens, the preferred one first.
    std::string origin{};                     ///< Value of Origin; empty: no such field.
    std::vector<http_field_value> headers{};  ///< Further fields; `is_reserved_field` has to be
                                              ///< false of each name.
};

/// Where a client's opening handshake stands: it waits for the response, reads a refusal's body, or is
/// over: the connection is open, the upgrade was refused, or something was wrong.
enum class client_handshake_state : std::uint8_t { waiting, refusing, open, refused, failed };
/// What moves it: an interim response (1xx), a response that accepts, one that refuses, anything that
/// is wrong, and the end of a refusal's body.
enum class client_handshake_event : std::uint8_t { interim, accept, refuse, fail, body_end };

/// The client's opening handshake. 4.1.
class client_handshake {
public:
    /// The state after `event`, or nothing where `event` cannot happen. 4.1.
    [[nodiscard]] static constexpr std::optional<client_handshake_state> next(
        client_handshake_state from, client_handshake_event event) noexcept;

    /// Composes the request.
    ///
    /// `error()` is `errc::invalid_request` afterwards where `request` cannot be written: a host
    /// or target that is not valid, a subprotocol that is no token or stands twice, a header that
    /// is no HTTP field or is reserved, an offer of permessage-deflate that `is_valid_offer` refuses.
    /// Nothing is to be sent then.
    ///
    /// @param nonce    16 bytes, chosen at random for this handshake.
    /// @param limits   for the response, interim responses counted in, and a refusal's body.
    /// @param deflate  what is wanted of permessage-deflate; by default it is not offered.
    client_handshake(const client_request& request, std::span<const std::byte, 16> nonce,
                     const http_limits& limits = {}, const deflate_options& deflate = {});

    /// The request to send, complete. Lives until `take_request` or the end of this object.
    [[nodiscard]] std::string_view request() const noexcept { return request_; }

    /// Moves the request out.
    [[nodiscard]] std::string take_request() noexcept { return std::exchange(request_, {}); }

    /// Takes bytes up to the end of the response's head, or to the first that is wrong; of a
    /// refusal up to the end of its body, or to where that passes `http_limits::body`.
    ///
    /// Up to 8 interim responses (1xx, RFC 9110 15.2) are passed over; a ninth is
    /// `errc::http_head_too_large`.
    ///
    /// @return errc::ok                    the connection is open; what follows are frames;
    ///         errc::need_more             `in` ends inside the head, or inside a refusal's body;
    ///         errc::upgrade_refused       the status is not 101: `response()` and `body()` say more;
    ///         errc::http_version          101 in HTTP/1.0;
    ///         errc::response_upgrade      Upgrade is missing or not "websocket";
    ///         errc::response_connection   Connection does not hold "Upgrade";
    ///         errc::response_accept       Sec-WebSocket-Accept is missing or wrong;
    ///         errc::extensions_invalid    Sec-WebSocket-Extensions is no list of extensions;
    ///         errc::response_extension    an extension that was not offered, or one twice;
    ///         errc::deflate_parameter     see `parse_deflate_answer` (RFC 7692 7.1);
    ///         errc::response_deflate      parameters that answer no offer (RFC 7692 7.1);
    ///         errc::response_subprotocol  a subprotocol not offered, or more than one;
    ///         or an error of `http_head_parser`. All but the first two stay.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// The input ended, or nobody waits for it any longer: `how` says how.
    ///
    /// @return what that fails the handshake with: `how`, unless the upgrade was refused already,
    ///         whose body ends here; errc::end_of_stream completes one that has no other end.
    [[nodiscard]] errc end(errc how) noexcept;

    /// Where it stands.
    [[nodiscard]] client_handshake_state state() const noexcept { return state_; }

    /// What went wrong; `errc{}` while nothing has. A refusal's is known with its head.
    [[nodiscard]] errc error() const noexcept { return cause_; }

    /// The head of the final response; empty before it is complete. Views of it live as long as
    /// this object is neither changed nor moved.
    [[nodiscard]] const http_head& response() const noexcept { return response_; }

    /// Moves the response's head out.
    [[nodiscard]] http_head take_response() noexcept { return std::exchange(response_, {}); }

    /// The body of a refusal, up to `http_limits::body`, as it was sent: any bytes; empty where it
    /// has none. In part before it is complete. Lives as `response()` does.
    [[nodiscard]] std::string_view body() const noexcept { return body_.text(); }
    /// Whether the body is longer than what is here of it, or may be.
    [[nodiscard]] bool body_cut() const noexcept { return body_.cut(); }
    /// Moves the body out.
    [[nodiscard]] std::string take_body() noexcept { return body_.take(); }

    /// The subprotocol in use: what the server chose; empty where it chose none. 4.1, 1.9.
    [[nodiscard]] std::string_view subprotocol() const noexcept { return subprotocol_; }

    /// What was agreed on for permessage-deflate; nothing where it is not in use. RFC 7692 7.1.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept { return agreed_; }
    /// Bytes of memory held, this object included; names of subprotocols are not counted.
    [[nodiscard]] std::size_t memory() const noexcept {
        return sizeof *this + parser_.head().memory() + response_.memory() + body_.memory() +
               request_.capacity();
    }

private:
    void move(client_handshake_event event) noexcept {
        if (const auto to = next(state_, event)) state_ = *to;
    }
    errc compose(const client_request& request, std::string_view key);
    void fail(client_handshake_event event, errc cause) noexcept;
    errc receive_response();
    [[nodiscard]] errc check_response() noexcept;
    [[nodiscard]] errc check_subprotocol() const noexcept;
    [[nodiscard]] errc check_extensions() noexcept;
    [[nodiscard]] errc check_extension(const extension& chosen) noexcept;

    client_handshake_state state_ = client_handshake_state::waiting;
    // Decide no transition but by being compared with the response.
    errc cause_{};
    std::uint8_t interim_responses_ = 0;
    std::array<char, 28> accept_{};
    std::vector<std::string> offered_;
    deflate_options deflate_;
    std::vector<deflate_parameters> deflate_offers_;
    std::optional<deflate_agreement> agreed_;
    http_limits limits_;
    http_head_parser parser_;
    http_head response_;
    http_body body_;
    std::string request_;
    std::string subprotocol_;
};

constexpr std::optional<client_handshake_state> client_handshake::next(
    client_handshake_state from, client_handshake_event event) noexcept {
    using enum client_handshake_state;
    // No state. An optional for each cell costs a compiler more than the rest of this header.
    constexpr auto illegal = static_cast<client_handshake_state>(0xff);
    // clang-format off
    constexpr client_handshake_state table[5][5] = {
        //             interim   accept    refuse    fail      body_end
        /* waiting  */ {waiting, open,     refusing, failed,   illegal},  // 4.1
        /* refusing */ {illegal, illegal,  illegal,  illegal,  refused},  // RFC 9112 6.3
        /* open     */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: frames follow
        /* refused  */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: status is not 101
        /* failed   */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: _Fail the Connection_
    };
    // clang-format on
    const auto to = table[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
    if (to == illegal) return std::nullopt;
    return to;
}

inline client_handshake::client_handshake(const client_request& request,
                                          std::span<const std::byte, 16> nonce,
                                          const http_limits& limits, const deflate_options& deflate)
    : offered_(request.subprotocols),
      deflate_(deflate),
      deflate_offers_(deflate_offers(deflate)),
      limits_(limits),
      parser_(http_kind::response, limits) {
    const auto key = make_key(nonce);
    const std::string_view key_text{key.data(), key.size()};
    accept_ = accept_key(key_text);
    if (const errc ec = compose(request, key_text); ec != errc{}) {
        request_.clear();
        fail(client_handshake_event::fail, ec);
    }
}

namespace detail {

// Writes the value of Sec-WebSocket-Protocol for what a client offers; false where a name is no
// token or stands twice. 4.1 step 10.
inline bool subprotocol_list(const std::vector<std::string>& names, std::string& out) {
    for (std::size_t i = 0; i != names.size(); ++i) {
        if (!is_token(names[i])) return false;
        for (std::size_t before = 0; before != i; ++before)
            if (names[before] == names[i]) return false;
        append(out, {i != 0 ? ", " : "", names[i]});
    }
    return true;
}

// Writes the value of Sec-WebSocket-Extensions for what a client offers; false where an offer is not
// valid. 9.1: "The order of extensions is significant."
inline bool extension_offers(const std::vector<deflate_parameters>& offers, std::string& out) {
    for (const deflate_parameters& offer : offers) {
        if (!is_valid_offer(offer)) return false;
        append(out, {out.empty() ? "" : ", ", encode(offer)});
    }
    return true;
}

}  // namespace detail

inline errc client_handshake::compose(const client_request& request, std::string_view key) {
    std::string subprotocols, extensions;
    if (!is_host_field(request.host) || !is_target(request.target) ||
        !detail::subprotocol_list(request.subprotocols, subprotocols) ||
        !detail::extension_offers(deflate_offers_, extensions))
        return errc::invalid_request;

    detail::append(request_, {"GET ", request.target, " HTTP/1.1\r\n"});
    const auto add = [this](std::string_view name, std::string_view value) {
        return append_field(request_, name, value);
    };
    bool written = add("Host", request.host) && add("Upgrade", "websocket") &&
                   add("Connection", "Upgrade") && add("Sec-WebSocket-Key", key) &&
                   add("Sec-WebSocket-Version", "13");
    if (!request.origin.empty()) written = written && add("Origin", request.origin);
    if (!subprotocols.empty()) written = written && add("Sec-WebSocket-Protocol", subprotocols);
    if (!extensions.empty()) written = written && add("Sec-WebSocket-Extensions", extensions);
    for (const auto& [name, value] : request.headers) {
        const bool origin_again = !request.origin.empty() && detail::iequals(name, "Origin");
        written = written && !is_reserved_field(name) && !origin_again && add(name, value);
    }
    detail::append(request_, {"\r\n"});
    return written ? errc{} : errc::invalid_request;
}

inline void client_handshake::fail(client_handshake_event event, errc cause) noexcept {
    cause_ = cause;
    move(event);
}

inline http_progress client_handshake::receive(std::span<const std::byte> in) {
    std::size_t consumed = 0;
    errc ec = cause_;
    while (state_ == client_handshake_state::waiting) {
        const http_progress head = parser_.receive(in.subspan(consumed));
        consumed += head.consumed;
        if (head.ec == errc::need_more) return {consumed, errc::need_more};
        ec = head.ec == errc::ok ? receive_response() : head.ec;
        if (ec != errc{} && state_ == client_handshake_state::waiting)
            fail(client_handshake_event::fail, ec);
    }
    if (state_ == client_handshake_state::refusing) {
        const http_progress body = body_.receive(in.subspan(consumed));
        consumed += body.consumed;
        if (body.ec == errc::need_more) return {consumed, errc::need_more};
        move(client_handshake_event::body_end);
    }
    return {consumed, ec};
}

inline errc client_handshake::end(errc how) noexcept {
    if (state_ == client_handshake_state::refusing) {
        body_.end(how);
        move(client_handshake_event::body_end);
    }
    return state_ == client_handshake_state::refused ? cause_ : how;
}

inline errc client_handshake::receive_response() {
    response_ = parser_.release();
    const std::uint16_t status = response_.status();
    if (status < 200 && status != 101) {
        // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior
        // to a final response, even if the client does not expect one."
        constexpr std::uint8_t most_interim_responses = 8;
        if (interim_responses_++ == most_interim_responses) return errc::http_head_too_large;
        parser_ = http_head_parser{http_kind::response, limits_};
        response_ = {};
        move(client_handshake_event::interim);
        return errc{};
    }
    if (const errc ec = check_response(); ec != errc{}) {
        const bool refused = ec == errc::upgrade_refused;
        if (refused) body_ = http_body{response_, limits_.body};
        fail(refused ? client_handshake_event::refuse : client_handshake_event::fail, ec);
        return ec;
    }
    subprotocol_ = response_.find("Sec-WebSocket-Protocol").value_or("");
    move(client_handshake_event::accept);
    return errc{};
}

// 4.1, the numbered list behind "Once the client's opening handshake has been sent".
inline errc client_handshake::check_response() noexcept {
    if (response_.status() != 101) return errc::upgrade_refused;  // step 1
    if (response_.version_minor() == 0) return errc::http_version;
    const auto upgrade = response_.find("Upgrade");  // step 2
    if (!detail::iequals(upgrade.value_or(""), "websocket") || response_.count("Upgrade") != 1)
        return errc::response_upgrade;
    if (!response_.has_token("Connection", "Upgrade"))  // step 3
        return errc::response_connection;
    const std::string_view accept{accept_.data(), accept_.size()};
    if (response_.find("Sec-WebSocket-Accept") != accept)  // step 4
        return errc::response_accept;
    if (const errc ec = check_extensions(); ec != errc{}) return ec;  // step 5
    return check_subprotocol();
}

// 9.1: fields that stand there several times are one list.
inline errc client_handshake::check_extensions() noexcept {
    for (const http_field field : response_) {
        if (!detail::iequals(field.name, "Sec-WebSocket-Extensions")) continue;
        extension_list list{field.value};
        while (const auto chosen = list.next())
            if (const errc ec = check_extension(*chosen); ec != errc{}) return ec;
        if (!list.good()) return errc::extensions_invalid;
    }
    return errc{};
}

inline errc client_handshake::check_extension(const extension& chosen) noexcept {
    const bool offered = chosen.name == deflate_name && !deflate_offers_.empty();
    if (!offered || agreed_) return errc::response_extension;
    const auto [answer, ec] = parse_deflate_answer(chosen.parameters);
    if (ec != errc{}) return ec;
    agreed_ = detail::agreed_on(answer, deflate_offers_, deflate_);
    return agreed_ ? errc{} : errc::response_deflate;
}

// Step 6. 11.3.4: the field "MUST NOT appear more than once in an HTTP response".
inline errc client_handshake::check_subprotocol() const noexcept {
    const auto chosen = response_.find("Sec-WebSocket-Protocol");
    if (!chosen) return errc{};
    const bool offered = detail::contains(offered_, *chosen);
    const bool once = response_.count("Sec-WebSocket-Protocol") == 1;
    return offered && once ? errc{} : errc::response_subprotocol;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_CLIENT_HANDSHAKE_HPP

// ==== sansocket/machine/deflate_codec_concept.hpp ================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_DEFLATE_CODEC_CONCEPT_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_DEFLATE_CODEC_CONCEPT_HPP
// deflate_codec_concept.hpp
//
// What a connection asks of the codec that compresses and decompresses its
// messages: two small machines over raw deflate (RFC 1951), each with its
// memory. What RFC 7692 adds to deflate is no business of theirs.
//
// Beside it stands `no_deflate`, for a connection that has none: no member, no
// code, and nothing is offered or accepted.
//
// Knows nothing of: messages, frames, limits, which library does the work.
// Section numbers in this file refer to RFC 7692 unless another is named.

namespace sansocket {

/// How one direction is compressed.
struct deflate_settings {
    std::uint8_t window_bits = max_window_bits;  ///< 8 to 15.
    int level = 6;                               ///< See `deflate_options`. A compressor's.
    int memory_level = 8;                        ///< See `deflate_options`. A compressor's.
};

/// What one call of a compressor did.
struct compress_step {
    std::size_t taken = 0;  ///< Bytes of the input.
    std::size_t made = 0;   ///< Bytes of the output.
};

/// What one call of a decompressor did.
struct decompress_step {
    std::size_t taken = 0;     ///< Bytes of the input.
    std::size_t made = 0;      ///< Bytes of the output.
    std::uint64_t blocks = 0;  ///< Blocks of deflate that ended.
    errc ec{};                 ///< errc::deflate_corrupt, errc::deflate_memory.
};

/// Where a decompressor stands in its input.
enum class deflate_position : std::uint8_t {
    inside,       ///< Inside a block, or between two that do not meet at a byte.
    boundary,     ///< Behind a block, at a byte.
    behind_last,  ///< Behind a block with BFINAL. What follows is another stream.
};

namespace detail {

using deflate_in = std::span<const std::byte>;
using deflate_out = std::span<std::byte>;

template <class C>
concept has_settings =
    std::move_constructible<C> && std::constructible_from<C, const deflate_settings&>;
template <class C>
concept has_smallest_window = requires {
    { C::smallest_window } -> std::convertible_to<std::uint8_t>;
};
template <class C>
concept has_keeps_context = requires {
    { C::keeps_context } -> std::convertible_to<bool>;
};
template <class C>
concept has_begin_compressing = requires(C& c) {
    { c.begin() } -> std::same_as<bool>;
};
template <class C>
concept has_compress = requires(C& c, deflate_in in, deflate_out out) {
    { c.compress(in, out) } -> std::same_as<compress_step>;
};
template <class C>
concept has_decompress = requires(C& c, deflate_in in, deflate_out out) {
    { c.decompress(in, out) } -> std::same_as<decompress_step>;
};
template <class C>
concept has_position = requires(const C& c) {
    { c.position() }
    noexcept->std::same_as<deflate_position>;
};
template <class C>
concept has_reset = requires(C& c) {
    { c.reset() }
    noexcept;
};
template <class C>
concept has_release = requires(C& c) {
    { c.release() }
    noexcept;
};
template <class C>
concept has_memory = requires(const C& c) {
    { c.memory() }
    noexcept->std::convertible_to<std::size_t>;
};

}  // namespace detail

/// Raw deflate out of bytes.
///
/// | call | what it must do |
/// |---|---|
/// | `smallest_window` | the smallest window that it can keep to, in bits: 8 or more |
/// | `keeps_context` | whether it can go on with what it knows of earlier messages |
/// | `C(settings)` | take no memory yet |
/// | `begin() -> bool` | make ready; false: there is no memory, and nothing is compressed |
/// | `compress(in, out) -> compress_step` | compress, and flush once `in` is taken: the output ends at a byte, with an empty stored block. All is out once less than `out` is filled; `out` has 64 bytes or more |
/// | `reset()` | forget what was compressed |
/// | `release()` | the same, and give the memory back |
/// | `memory()` | bytes held |
template <class C>
concept deflate_compressor = detail::has_settings<C> && detail::has_smallest_window<C> &&
    detail::has_keeps_context<C> && detail::has_begin_compressing<C> && detail::has_compress<C> &&
    detail::has_reset<C> && detail::has_release<C> && detail::has_memory<C>;

/// Bytes out of raw deflate.
///
/// | call | what it must do |
/// |---|---|
/// | `C(settings)` | take no memory yet |
/// | `decompress(in, out) -> decompress_step` | take from `in`, fill `out`, and stop behind a block if it likes; what is left of `in` comes again. A call takes, makes or ends something, or fails. Behind a block with BFINAL another stream may follow, which may refer to what came before |
/// | `position()` | where it stands |
/// | `reset()` | forget what was decompressed, and where it stands |
/// | `release()` | the same, and give the memory back |
/// | `memory()` | bytes held |
template <class C>
concept deflate_decompressor =
    detail::has_settings<C> && detail::has_decompress<C> && detail::has_position<C> &&
    detail::has_reset<C> && detail::has_release<C> && detail::has_memory<C>;

/// No codec: no message is compressed.
struct no_deflate {
    static constexpr bool enabled = false;  ///< There is no codec.
};

/// A codec: `no_deflate`, or two types.
template <class C>
concept deflate_codec = !C::enabled || (deflate_compressor<typename C::compressor> &&
                                        deflate_decompressor<typename C::decompressor>);

namespace detail {

// Instantiated by the connection, so that a codec that lacks something is refused by name.
template <class C>
consteval bool check_deflate_codec() {
    if constexpr (C::enabled) {
        using c = typename C::compressor;
        using d = typename C::decompressor;
        static_assert(has_settings<c>,
                      "the compressor cannot be made of deflate_settings, or moved");
        static_assert(has_smallest_window<c>, "the compressor has no constant smallest_window");
        static_assert(has_keeps_context<c>, "the compressor has no constant keeps_context");
        static_assert(has_begin_compressing<c>, "the compressor has no begin() -> bool");
        static_assert(has_compress<c>, "the compressor has no compress(in, out) -> compress_step");
        static_assert(has_reset<c>, "the compressor has no reset() noexcept");
        static_assert(has_release<c>, "the compressor has no release() noexcept");
        static_assert(has_memory<c>, "the compressor has no memory() const noexcept");
        static_assert(has_settings<d>,
                      "the decompressor cannot be made of deflate_settings, or moved");
        static_assert(has_decompress<d>,
                      "the decompressor has no decompress(in, out) -> decompress_step");
        static_assert(has_position<d>, "the decompressor has no position() const noexcept");
        static_assert(has_reset<d>, "the decompressor has no reset() noexcept");
        static_assert(has_release<d>, "the decompressor has no release() noexcept");
        static_assert(has_memory<d>, "the decompressor has no memory() const noexcept");
    }
    return true;
}

template <template <class> class Machine>
struct left_out {
    explicit left_out(const deflate_options&) noexcept {}
};

// A machine that needs a codec, or nothing where there is none.
template <class C, template <class> class Machine>
using if_codec = typename std::conditional_t<C::enabled, std::type_identity<Machine<C>>,
                                             std::type_identity<left_out<Machine>>>::type;

}  // namespace detail

/// What an endpoint with the codec `C` may ask for, if `wants` is what it wants.
template <class C>
[[nodiscard]] deflate_options wants_with(const deflate_options& wants) {
    if constexpr (!C::enabled) {
        return {};
    } else {
        deflate_options able = wants;
        able.smallest_own_window = C::compressor::smallest_window;
        if (!C::compressor::keeps_context) able.own_context_takeover = false;
        return able;
    }
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_DEFLATE_CODEC_CONCEPT_HPP

// ==== sansocket/detail/byte_block.hpp ============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BLOCK_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BLOCK_HPP
// byte_block.hpp
//
// A few bytes as one value: 4 and 8 in a word, 16 in an SSE2 register where the
// compiler says there is one.
//
// Masking and the ASCII test are each written once over these; the largest is
// `widest_block`. Loads and stores need no alignment. Blocks compare and combine
// bytes where they stand, so byte order does not matter.
//
// Knows nothing of: lengths, keys, UTF-8.

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#endif

namespace sansocket::detail {

// 4 or 8 bytes in an unsigned integer.
template <class Word>
struct word_block {
    static constexpr std::size_t size = sizeof(Word);

    Word value{};

    static SANSOCKET_ALWAYS_INLINE word_block load(const std::byte* from) noexcept {
        word_block b;
        std::memcpy(&b.value, from, size);
        return b;
    }

    // The same four bytes over and over, as they lie in memory.
    static SANSOCKET_ALWAYS_INLINE word_block repeat(std::uint32_t four_bytes) noexcept {
        if constexpr (size == 4) return {four_bytes};
        else return {four_bytes * Word{0x100000001}};
    }

    SANSOCKET_ALWAYS_INLINE void store(std::byte* to) const noexcept {
        std::memcpy(to, &value, size);
    }

    [[nodiscard]] SANSOCKET_ALWAYS_INLINE bool all_ascii() const noexcept {
        return (value & static_cast<Word>(0x8080808080808080U)) == 0;
    }

    friend SANSOCKET_ALWAYS_INLINE word_block operator^(word_block a, word_block b) noexcept {
        return {a.value ^ b.value};
    }
    friend SANSOCKET_ALWAYS_INLINE word_block operator|(word_block a, word_block b) noexcept {
        return {a.value | b.value};
    }
};

#if defined(__SSE2__) || defined(_M_X64)

// 16 bytes in a vector register. SSE2 alone: every x86-64 has it, nothing to dispatch.
struct sse2_block {
    static constexpr std::size_t size = 16;

    __m128i value = _mm_setzero_si128();

    static SANSOCKET_ALWAYS_INLINE sse2_block load(const std::byte* from) noexcept {
        return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
    }

    static SANSOCKET_ALWAYS_INLINE sse2_block repeat(std::uint32_t four_bytes) noexcept {
        return {_mm_set1_epi32(static_cast<int>(four_bytes))};
    }

    SANSOCKET_ALWAYS_INLINE void store(std::byte* to) const noexcept {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
    }

    [[nodiscard]] SANSOCKET_ALWAYS_INLINE bool all_ascii() const noexcept {
        return _mm_movemask_epi8(value) == 0;
    }

    friend SANSOCKET_ALWAYS_INLINE sse2_block operator^(sse2_block a, sse2_block b) noexcept {
        return {_mm_xor_si128(a.value, b.value)};
    }
    friend SANSOCKET_ALWAYS_INLINE sse2_block operator|(sse2_block a, sse2_block b) noexcept {
        return {_mm_or_si128(a.value, b.value)};
    }
};

using widest_block = sse2_block;

#else

using widest_block = word_block<std::uint64_t>;

#endif

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BLOCK_HPP

// ==== sansocket/wire/masking.hpp =================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_MASKING_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_MASKING_HPP
// masking.hpp
//
// Client-to-server masking. RFC 6455 5.3.
//
// Masking and unmasking are one operation: each payload byte is combined by
// exclusive or with one of the key's four bytes, in turn. The same pass tells
// whether all that came out is ASCII, so that text which is needs no validation
// of its own.
//
// Nothing is written past the end, and there is no loop over single bytes: the
// first and last block may overlap others, and are read before anything is written.
//
// Knows nothing of: frames, roles, where keys come from.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// The Masking-key of a frame, in the order of the wire. 5.3.
using masking_key = std::array<std::byte, 4>;

/// The key for the rest of a payload whose first `offset` bytes have been dealt with. 5.3.
[[nodiscard]] constexpr masking_key rotated(masking_key key, std::uint64_t offset) noexcept {
    return {key[offset & 3], key[(offset + 1) & 3], key[(offset + 2) & 3], key[(offset + 3) & 3]};
}

namespace detail {

inline constexpr std::byte ascii_limit{0x80};

// `rotated` for a key held as the word it is in memory.
[[nodiscard]] SANSOCKET_ALWAYS_INLINE std::uint32_t rotated_word(masking_key key,
                                                                 std::size_t offset) noexcept {
    const auto word = std::bit_cast<std::uint32_t>(key);
    const int bits = static_cast<int>(offset & 3) * 8;
    return std::endian::native == std::endian::little ? std::rotr(word, bits)
                                                      : std::rotl(word, bits);
}

[[nodiscard]] constexpr bool mask_bytewise(std::byte* to, const std::byte* from, std::size_t n,
                                           masking_key key) noexcept {
    std::byte seen{};
    for (std::size_t i = 0; i != n; ++i) {
        to[i] = from[i] ^ key[i & 3];
        seen |= to[i];
    }
    return seen < ascii_limit;
}

// n from 1 to 3: first, middle and last, which may coincide.
[[nodiscard]] SANSOCKET_ALWAYS_INLINE bool mask_up_to_3(std::byte* to, const std::byte* from,
                                                        std::size_t n, masking_key key) noexcept {
    const std::byte first = from[0] ^ key[0];
    const std::byte middle = from[n / 2] ^ key[n / 2];
    const std::byte last = from[n - 1] ^ key[n - 1];
    to[0] = first;
    to[n / 2] = middle;
    to[n - 1] = last;
    return (first | middle | last) < ascii_limit;
}

// n from one block to two, as two blocks that may overlap.
template <class Block>
[[nodiscard]] SANSOCKET_ALWAYS_INLINE bool mask_pair(std::byte* to, const std::byte* from,
                                                     std::size_t n, masking_key key) noexcept {
    const std::size_t tail = n - Block::size;
    const Block first = Block::load(from) ^ Block::repeat(rotated_word(key, 0));
    const Block last = Block::load(from + tail) ^ Block::repeat(rotated_word(key, tail));
    first.store(to);
    last.store(to + tail);
    return (first | last).all_ascii();
}

// n of two blocks or more. The first and the last block are read before and written after all
// others, which they may overlap; those are aligned in `to`, since stores across cache lines cost.
template <class Block>
[[nodiscard]] bool mask_blocks(std::byte* to, const std::byte* from, std::size_t n,
                               masking_key key) noexcept {
    constexpr std::size_t size = Block::size;
    const std::size_t tail = n - size;
    const Block first = Block::load(from) ^ Block::repeat(rotated_word(key, 0));
    const Block last = Block::load(from + tail) ^ Block::repeat(rotated_word(key, tail));
    std::size_t i = size - reinterpret_cast<std::uintptr_t>(to) % size;
    const Block keys = Block::repeat(rotated_word(key, i));
    Block seen = first | last;
    for (; i + 4 * size <= n; i += 4 * size) {
        const Block a = Block::load(from + i) ^ keys;
        const Block b = Block::load(from + i + size) ^ keys;
        const Block c = Block::load(from + i + 2 * size) ^ keys;
        const Block d = Block::load(from + i + 3 * size) ^ keys;
        a.store(to + i);
        b.store(to + i + size);
        c.store(to + i + 2 * size);
        d.store(to + i + 3 * size);
        seen = seen | ((a | b) | (c | d));
    }
    for (; i < tail; i += size) {
        const Block a = Block::load(from + i) ^ keys;
        a.store(to + i);
        seen = seen | a;
    }
    first.store(to);
    last.store(to + tail);
    return seen.all_ascii();
}

// `to` is `from`, or does not overlap it.
[[nodiscard]] SANSOCKET_ALWAYS_INLINE bool mask_any(std::byte* to, const std::byte* from,
                                                    std::size_t n, masking_key key) noexcept {
    if (n > 2 * widest_block::size) return mask_blocks<widest_block>(to, from, n, key);
    if (n >= 16) return mask_pair<widest_block>(to, from, n, key);
    if (n >= 8) return mask_pair<word_block<std::uint64_t>>(to, from, n, key);
    if (n >= 4) return mask_pair<word_block<std::uint32_t>>(to, from, n, key);
    return n == 0 || mask_up_to_3(to, from, n, key);
}

}  // namespace detail

/// Masks or unmasks `payload` where it lies. 5.3.
///
/// @param key  the frame's key; `rotated` where `payload` does not start the frame's payload.
/// @return true if every byte is ASCII (under 0x80) now; true for an empty payload.
/// Allocates nothing. Linear in `payload`.
constexpr bool mask_in_place(std::span<std::byte> payload, masking_key key) noexcept {
    if (std::is_constant_evaluated())
        return detail::mask_bytewise(payload.data(), payload.data(), payload.size(), key);
    return detail::mask_any(payload.data(), payload.data(), payload.size(), key);
}

/// Masks or unmasks `from` into `to`. 5.3.
///
/// @param to    room for `from.size()` bytes, which may not overlap `from`.
/// @param key   the frame's key; `rotated` where `from` does not start the frame's payload.
/// @return true if every byte written is ASCII (under 0x80); true if there are none.
/// Allocates nothing. Linear in `from`.
constexpr bool mask_copy(std::byte* to, std::span<const std::byte> from, masking_key key) noexcept {
    if (std::is_constant_evaluated())
        return detail::mask_bytewise(to, from.data(), from.size(), key);
    return detail::mask_any(to, from.data(), from.size(), key);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_MASKING_HPP

// ==== sansocket/wire/frame_header.hpp ============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_HEADER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_HEADER_HPP
// frame_header.hpp
//
// The two to fourteen bytes before a frame's payload, read strictly and
// written in their shortest form. 5.2, 11.8.
//
// Parsing is all or nothing: a header that is not whole consumes nothing, yet
// a fault in the part that is there is reported at once.
//
// Knows nothing of: messages, fragments' order, payloads.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// What a frame is. 11.8.
enum class opcode : std::uint8_t {
    continuation = 0x0,  ///< The next part of a fragmented message. 5.4.
    text = 0x1,          ///< A text message, or its first part. 5.6.
    binary = 0x2,        ///< A binary message, or its first part. 5.6.
    close = 0x8,         ///< The Close frame. 5.5.1.
    ping = 0x9,          ///< A Ping. 5.5.2.
    pong = 0xA,          ///< A Pong. 5.5.3.
};

/// Whether `value` (0x0 to 0xF) is an opcode that the RFC defines. 5.2.
[[nodiscard]] constexpr bool is_known_opcode(std::uint8_t value) noexcept {
    return value <= 0x2 || (value >= 0x8 && value <= 0xA);
}

/// Whether `op` is a control frame's. 5.5: "opcodes where the most significant bit ... is 1".
[[nodiscard]] constexpr bool is_control(opcode op) noexcept {
    return (static_cast<std::uint8_t>(op) & 0x8U) != 0;
}

/// Most bytes that a control frame's payload may have. 5.5.
inline constexpr std::size_t max_control_payload = 125;

/// Most bytes of a frame header: 2 + 8 + 4. 5.2.
inline constexpr std::size_t max_frame_header_size = 14;

/// What the first reserved bit means. RFC 7692 6.
enum class rsv1 : std::uint8_t {
    reserved,    ///< Nothing: it may not be set.
    compressed,  ///< The message that begins with the frame is compressed.
};

/// Everything that stands before a frame's payload. 5.2.
struct frame_header {
    bool fin = true;                                     ///< Whether it ends its message.
    sansocket::opcode opcode = sansocket::opcode::text;  ///< What the frame is.
    std::uint64_t payload_length = 0;                    ///< Bytes, 0 to 2^63 - 1.
    std::optional<masking_key> key = std::nullopt;       ///< Present when the payload is masked.
    bool compressed = false;                             ///< RSV1, where it means that. RFC 7692 6.

    friend constexpr bool operator==(const frame_header&, const frame_header&) = default;
};

/// What `parse_frame_header` found.
struct frame_header_result {
    frame_header value;         ///< Counts only where `ec` is success.
    std::size_t size = 0;       ///< Bytes of the header; 0 unless `ec` is success.
    errc ec = errc::need_more;  ///< Success, `errc::need_more`, or what is wrong.
};

namespace detail {

// Faults that the first byte alone shows. 5.2, 5.5, RFC 7692 6.1.
template <rsv1 Rsv1>
constexpr errc check_first_byte(std::uint8_t first) noexcept {
    constexpr unsigned reserved = Rsv1 == rsv1::reserved ? 0x70U : 0x30U;
    if ((first & reserved) != 0) return errc::reserved_bit;
    if (!is_known_opcode(first & 0x0FU)) return errc::reserved_opcode;
    // RFC 7692 6.1: "MUST NOT set the "Per-Message Compressed" bit of control frames and non-first
    // fragments of a data message"
    if constexpr (Rsv1 == rsv1::compressed) {
        const unsigned low = first & 0x0FU;
        if ((first & 0x40U) != 0 && low != 0x1 && low != 0x2) return errc::compressed_bit;
    }
    if ((first & 0x88U) == 0x08U) return errc::control_fragmented;
    return errc::ok;
}

// Faults that the second byte adds. `receiver` is who reads. 5.1, 5.5.
constexpr errc check_second_byte(std::uint8_t first, std::uint8_t second, role receiver) noexcept {
    const bool masked = (second & 0x80U) != 0;
    if (receiver == role::server && !masked) return errc::frame_not_masked;
    if (receiver == role::client && masked) return errc::frame_masked;
    if ((first & 0x08U) != 0 && (second & 0x7FU) > max_control_payload) return errc::control_length;
    return errc::ok;
}

constexpr std::uint64_t read_big_endian(std::span<const std::byte> in) noexcept {
    std::uint64_t value = 0;
    for (const std::byte b : in) value = value << 8U | std::to_integer<std::uint64_t>(b);
    return value;
}

// 5.2: "the minimal number of bytes MUST be used", "the most significant bit MUST be 0".
constexpr errc check_length(std::uint64_t length, std::size_t length_bytes) noexcept {
    if (length_bytes == 2 && length < 126) return errc::length_not_minimal;
    if (length_bytes == 8 && length >> 63U != 0) return errc::length_too_large;
    if (length_bytes == 8 && length < 65536) return errc::length_not_minimal;
    return errc::ok;
}

}  // namespace detail

/// Reads one frame header. 5.2.
///
/// @tparam Rsv1     what RSV1 means.
/// @param in        bytes from the transport, starting at a frame boundary.
/// @param receiver  the role of the endpoint that reads: a server takes only masked frames, a
///                  client only unmasked ones. 5.1.
/// @return the header and its size, 2 to 14 bytes; or
///         errc::need_more           `in` ends inside the header and no fault is in sight;
///         errc::reserved_bit        RSV1, RSV2 or RSV3 is set without a meaning;
///         errc::compressed_bit      RSV1 is set on a control frame or a continuation (RFC 7692 6.1);
///         errc::reserved_opcode     opcode 0x3 to 0x7 or 0xB to 0xF;
///         errc::control_fragmented  a control frame without FIN;
///         errc::control_length      a control frame of more than 125 bytes;
///         errc::frame_not_masked, errc::frame_masked
///         errc::length_not_minimal  125 or less in two bytes, 65535 or less in eight;
///         errc::length_too_large    2^63 or more.
template <rsv1 Rsv1 = rsv1::reserved>
[[nodiscard]] constexpr frame_header_result parse_frame_header(std::span<const std::byte> in,
                                                               role receiver) noexcept {
    if (in.empty()) return {};
    const auto first = std::to_integer<std::uint8_t>(in[0]);
    if (const errc ec = detail::check_first_byte<Rsv1>(first); ec != errc::ok) return {{}, 0, ec};
    if (in.size() < 2) return {};
    const auto second = std::to_integer<std::uint8_t>(in[1]);
    if (const errc ec = detail::check_second_byte(first, second, receiver); ec != errc::ok)
        return {{}, 0, ec};

    const unsigned short_length = second & 0x7FU;
    const std::size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
    if (in.size() < 2 + length_bytes) return {};
    const std::uint64_t length =
        length_bytes == 0 ? short_length : detail::read_big_endian(in.subspan(2, length_bytes));
    if (const errc ec = detail::check_length(length, length_bytes); ec != errc::ok)
        return {{}, 0, ec};

    frame_header header{(first & 0x80U) != 0, static_cast<opcode>(first & 0x0FU), length, {}};
    if constexpr (Rsv1 == rsv1::compressed) header.compressed = (first & 0x40U) != 0;
    std::size_t size = 2 + length_bytes;
    if ((second & 0x80U) != 0) {
        if (in.size() < size + 4) return {};
        header.key = masking_key{in[size], in[size + 1], in[size + 2], in[size + 3]};
        size += 4;
    }
    return {header, size, errc::ok};
}

/// Size in bytes, 2 to 14, of the header that `encode` writes. 5.2.
[[nodiscard]] constexpr std::size_t encoded_size(const frame_header& header) noexcept {
    const std::size_t length_bytes = header.payload_length < 126     ? 0
                                     : header.payload_length < 65536 ? 2
                                                                     : 8;
    return 2 + length_bytes + (header.key ? 4U : 0U);
}

namespace detail {

// All of it but RSV1.
constexpr std::size_t encode_plain(const frame_header& header, std::byte* out) noexcept {
    const auto byte_at = [&](unsigned shift) {
        return static_cast<std::byte>(header.payload_length >> shift & 0xFFU);
    };
    const unsigned masked = header.key ? 0x80U : 0U;
    out[0] =
        static_cast<std::byte>((header.fin ? 0x80U : 0U) | static_cast<unsigned>(header.opcode));
    std::size_t size = 2;
    if (header.payload_length < 126) {
        out[1] = static_cast<std::byte>(masked | static_cast<unsigned>(header.payload_length));
    } else if (header.payload_length < 65536) {
        out[1] = static_cast<std::byte>(masked | 126U);
        for (unsigned shift = 16; shift != 0; shift -= 8) out[size++] = byte_at(shift - 8);
    } else {
        out[1] = static_cast<std::byte>(masked | 127U);
        for (unsigned shift = 64; shift != 0; shift -= 8) out[size++] = byte_at(shift - 8);
    }
    if (header.key)
        for (const std::byte b : *header.key) out[size++] = b;
    return size;
}

}  // namespace detail

/// Writes a frame header in its shortest form. 5.2.
///
/// @param out  at least `encoded_size(header)` bytes.
/// @return the bytes written, 2 to 14. `header.payload_length` must be under 2^63.
SANSOCKET_ALWAYS_INLINE constexpr std::size_t encode(const frame_header& header,
                                                     std::byte* out) noexcept {
    const std::size_t size = detail::encode_plain(header, out);
    if (header.compressed) out[0] |= std::byte{0x40};
    return size;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_HEADER_HPP

// ==== sansocket/wire/frame_piece.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_PIECE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_PIECE_HPP
// frame_piece.hpp
//
// What the frame reader hands on: a frame, or the part of one that arrived.
// RFC 6455 5.2. A value; it owns nothing.

namespace sansocket {

/// A frame, or as much of one as has arrived.
struct frame_piece {
    /// What the frame is.
    sansocket::opcode opcode = sansocket::opcode::continuation;
    bool fin = false;    ///< FIN of the frame that this is a piece of.
    bool first = false;  ///< The frame's header ends right before `payload`.
    bool last = false;   ///< The frame's payload ends with `payload`.
    masking_key key{};   ///< For `payload[0]` onwards. Zero where frames are unmasked.
    std::uint64_t payload_length = 0;  ///< Of the whole frame, bytes.
    std::uint64_t payload_left = 0;    ///< Of the frame, bytes behind `payload`.
    std::span<std::byte> payload;      ///< A view of the input, masked as it came.
};

/// The same where RSV1 has a meaning. RFC 7692 6.
struct compressible_piece : frame_piece {
    bool compressed = false;  ///< RSV1 of the frame that this is a piece of.
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_FRAME_PIECE_HPP

// ==== sansocket/machine/frame_reader.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_FRAME_READER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_FRAME_READER_HPP
// frame_reader.hpp
//
// Transport bytes into frames: a header, then its payload in the pieces in
// which it arrives. RFC 6455 5.2.
//
// A piece is a view of the caller's bytes, still masked: whoever takes it
// unmasks it to where it is going, so that no byte is moved twice. The only
// bytes kept here are those of a header that is not whole.
//
// The common frame (FIN, text or binary, under 126 bytes, whole) is recognised
// by its first two bytes; all else goes the long way round.
//
//     while (!in.empty()) {
//         frame_piece piece;
//         if (reader.next(in, piece) != errc::ok) ...   // need_more, or the connection fails
//         ...                                           // take piece.payload
//     }
//
// Knows nothing of: messages, fragments' order, what a payload means.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// Reads frames sent to an endpoint of role `Role`.
///
/// @tparam Rsv1  what RSV1 may come to mean, once `allow_compressed` was called.
template <role Role, rsv1 Rsv1 = rsv1::reserved>
class frame_reader {
    static constexpr bool compressible = Rsv1 == rsv1::compressed;
    struct nothing {};

public:
    /// What `next` finds; where RSV1 has a meaning, it says which it was.
    using piece_type = std::conditional_t<compressible, compressible_piece, frame_piece>;

    /// From now on RSV1 says that a message is compressed. RFC 7692 6.
    void allow_compressed() noexcept requires(Rsv1 == rsv1::compressed) { meaning_ = Rsv1; }

    /// Takes the next piece from the front of `in`. 5.2.
    ///
    /// @param in   bytes from the transport; what is taken is cut off its front.
    /// @param out  the piece, set when success is returned; its payload views the bytes taken and
    ///             may be empty (an empty frame, or a header whose payload has not come).
    /// @return success; errc::need_more when `in` is used up inside a header; or what
    ///         `parse_frame_header` names, for good: every later call returns the same.
    [[nodiscard]] SANSOCKET_ALWAYS_INLINE errc next(std::span<std::byte>& in,
                                                    piece_type& out) noexcept;

    /// Whether the bytes so far end inside a frame.
    [[nodiscard]] bool inside_frame() const noexcept {
        return held_size_ != 0 || state_ == state::payload;
    }

private:
    enum class state : std::uint8_t { header, payload, failed };

    static constexpr bool masked = Role == role::server;
    static constexpr std::size_t short_header = masked ? 6 : 2;  // 2, and 4 of masking key

    SANSOCKET_NOINLINE errc next_slowly(std::span<std::byte>& in, piece_type& out) noexcept;
    errc read_header(std::span<std::byte>& in, piece_type& out) noexcept;
    void read_payload(std::span<std::byte>& in, piece_type& out) noexcept;
    [[nodiscard]] frame_header_result parse(std::span<const std::byte> in) const noexcept {
        if constexpr (compressible)
            if (meaning_ == Rsv1) return parse_frame_header<Rsv1>(in, Role);
        return parse_frame_header(in, Role);
    }

    state state_ = state::header;
    // Facts that decide no transition.
    errc failure_ = errc::ok;
    std::uint8_t held_size_ = 0;
    std::array<std::byte, max_frame_header_size> held_{};  // a header that is not whole
    frame_header current_{};
    std::uint64_t left_ = 0;  // payload bytes of the current frame still to come
    SANSOCKET_NO_UNIQUE_ADDRESS std::conditional_t<compressible, rsv1, nothing> meaning_{};
};

template <role Role, rsv1 Rsv1>
SANSOCKET_ALWAYS_INLINE errc frame_reader<Role, Rsv1>::next(std::span<std::byte>& in,
                                                            piece_type& out) noexcept {
    if (state_ == state::header && held_size_ == 0 && in.size() >= short_header) [[likely]] {
        const auto first = std::to_integer<std::uint8_t>(in[0]);
        const auto second = std::to_integer<std::uint8_t>(in[1]);
        const std::size_t length =
            masked ? second ^ 0x80U : second;  // a wrong mask bit makes it 128+
        if ((first == 0x81U || first == 0x82U) && length < 126 &&
            in.size() - short_header >= length) [[likely]] {
            out.opcode = static_cast<opcode>(first & 0x0FU);
            out.fin = out.first = out.last = true;
            out.payload_length = length;
            out.payload_left = 0;
            if constexpr (compressible) out.compressed = false;
            if constexpr (masked) out.key = masking_key{in[2], in[3], in[4], in[5]};
            out.payload = in.subspan(short_header, length);
            in = in.subspan(short_header + length);
            return errc::ok;
        }
    }
    return next_slowly(in, out);
}

template <role Role, rsv1 Rsv1>
errc frame_reader<Role, Rsv1>::next_slowly(std::span<std::byte>& in, piece_type& out) noexcept {
    switch (state_) {
    case state::failed: return failure_;
    case state::header:
        if (const errc ec = read_header(in, out); ec != errc::ok) return ec;
        read_payload(in, out);
        return errc::ok;
    case state::payload:
        if (in.empty()) return errc::need_more;
        out.first = false;
        read_payload(in, out);
        return errc::ok;
    }
    SANSOCKET_UNREACHABLE();
}

template <role Role, rsv1 Rsv1>
errc frame_reader<Role, Rsv1>::read_header(std::span<std::byte>& in, piece_type& out) noexcept {
    frame_header_result parsed;
    std::size_t used = 0;
    if (held_size_ == 0) {
        parsed = parse(in);
        used = parsed.size;
    } else {  // byte by byte: the rest of the header is a few bytes at most
        while (parsed.ec == errc::need_more && used != in.size()) {
            held_[held_size_++] = in[used++];
            parsed = parse({held_.data(), held_size_});
        }
    }
    if (parsed.ec == errc::need_more) {
        if (held_size_ == 0) {
            detail::copy_bytes(in, held_.data());
            held_size_ = static_cast<std::uint8_t>(in.size());
        }
        in = {};
        return errc::need_more;
    }
    if (parsed.ec != errc::ok) {
        failure_ = parsed.ec;
        state_ = state::failed;
        return parsed.ec;
    }
    in = in.subspan(used);
    held_size_ = 0;
    current_ = parsed.value;
    left_ = current_.payload_length;
    out.first = true;
    return errc::ok;
}

template <role Role, rsv1 Rsv1>
void frame_reader<Role, Rsv1>::read_payload(std::span<std::byte>& in, piece_type& out) noexcept {
    const auto size = static_cast<std::size_t>(detail::smaller_of(left_, std::uint64_t{in.size()}));
    out.opcode = current_.opcode;
    if constexpr (compressible) out.compressed = current_.compressed;
    out.fin = current_.fin;
    out.payload_length = current_.payload_length;
    if constexpr (masked) {
        out.key = rotated(*current_.key, static_cast<std::size_t>(current_.payload_length - left_));
    }
    out.payload = in.first(size);
    in = in.subspan(size);
    left_ -= size;
    out.payload_left = left_;
    out.last = left_ == 0;
    state_ = out.last ? state::header : state::payload;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_FRAME_READER_HPP

// ==== sansocket/machine/keepalive.hpp ============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_KEEPALIVE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_KEEPALIVE_HPP
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
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_KEEPALIVE_HPP

// ==== sansocket/detail/byte_buffer.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BUFFER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BUFFER_HPP
// byte_buffer.hpp
//
// Contiguous bytes that grow without being cleared first, which std::vector
// cannot. Growing moves the bytes; nothing else does.

namespace sansocket::detail {

template <class Allocator = std::allocator<std::byte>>
class byte_buffer {
    using traits = std::allocator_traits<Allocator>;

public:
    byte_buffer() = default;
    explicit byte_buffer(const Allocator& allocator) noexcept : allocator_(allocator) {}
    byte_buffer(byte_buffer&& other) noexcept
        : allocator_(other.allocator_),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    byte_buffer& operator=(byte_buffer&& other) noexcept {
        if (this != &other) {
            release();
            allocator_ = other.allocator_;
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
            capacity_ = std::exchange(other.capacity_, 0);
        }
        return *this;
    }
    ~byte_buffer() { release(); }

    std::byte* data() noexcept { return data_; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t room() const noexcept { return capacity_ - size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    bool empty() const noexcept { return size_ == 0; }

    // Room for `n` more bytes, at the returned place. There must be room.
    std::byte* extend(std::size_t n) noexcept { return data_ + std::exchange(size_, size_ + n); }

    // Makes room for `n` more bytes behind the first `front` dropped ones. Capacity doubles, but
    // stops at `keep` on its way, for what is larger will not be kept.
    void make_room(std::size_t n, std::size_t front, std::size_t keep = 0) {
        if (capacity_ - (size_ - front) >= n && front >= size_ / 2) return drop_front(front);
        const std::size_t wanted = size_ - front + n;
        std::size_t capacity = larger_of(capacity_ * 2, smallest);
        if (capacity_ < keep) capacity = smaller_of(capacity, keep);
        capacity = larger_of(capacity, wanted);
        std::byte* const fresh = traits::allocate(allocator_, capacity);
        if (size_ != front) std::memcpy(fresh, data_ + front, size_ - front);
        const std::size_t size = size_ - front;
        release();
        data_ = fresh;
        size_ = size;
        capacity_ = capacity;
    }

    void truncate(std::size_t size) noexcept { size_ = size; }

    void drop_front(std::size_t front) noexcept {
        if (size_ != front) std::memmove(data_, data_ + front, size_ - front);
        size_ -= front;
    }

    void release() noexcept {
        if (data_ != nullptr) traits::deallocate(allocator_, data_, capacity_);
        data_ = nullptr;
        size_ = capacity_ = 0;
    }

private:
    static constexpr std::size_t smallest = 256;

    SANSOCKET_NO_UNIQUE_ADDRESS Allocator allocator_{};
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_BYTE_BUFFER_HPP

// ==== sansocket/machine/message_deflater.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_DEFLATER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_DEFLATER_HPP
// message_deflater.hpp
//
// The bytes of a message into the payload of a compressed one, whole or part by
// part. RFC 7692 6.1, 7.2.1.
//
// A compressor knows what it compressed, and the peer what it received: a
// message that was compressed and not sent would set them apart. So nothing is
// compressed that may still be refused, and until `sent` is called the
// compressor counts as astray and begins afresh, which is always allowed.
//
// Knows nothing of: frames, the send queue, text, how deflate works.
// Section numbers in this file refer to RFC 7692.

namespace sansocket {

/// Where the compression of messages stands.
enum class deflater_state : std::uint8_t { off, between, inside };

/// Compresses the messages of one connection with a codec.
template <class Codec>
class message_deflater {
    using compressor = typename Codec::compressor;

public:
    /// Waits for `start`: until then nothing is compressed.
    explicit message_deflater(const deflate_options& options)
        : threshold_(options.threshold),
          settings_{options.own_window_bits, options.level, options.memory_level},
          codec_(settings_) {}

    /// This endpoint compresses as `own` says. 7.1.
    ///
    /// A window that the codec cannot keep to was not this endpoint's choice: then every message is
    /// sent as it is, which 6.1 allows.
    void start(const deflate_direction& own) {
        own_ = own;
        if (own.window_bits < compressor::smallest_window) return;
        settings_.window_bits = own.window_bits;
        codec_ = compressor(settings_);
        state_ = deflater_state::between;
    }

    /// Whether a message of `size` bytes is to be compressed.
    [[nodiscard]] bool wants(compression how, std::size_t size) const noexcept {
        if (state_ == deflater_state::off || how == compression::off) return false;
        return how == compression::on || size >= threshold_;
    }

    /// Compresses a whole message.
    ///
    /// @return its payload, valid until the next call, after which `sent` is due; nothing where it
    ///         is better sent as it is.
    [[nodiscard]] std::optional<std::span<const std::byte>> whole(
        std::span<const std::byte> message);

    /// Begins a message that is compressed part by part. False: it is not compressed.
    [[nodiscard]] bool start_message(compression how);
    /// Compresses its next part, the last one where `fin`; as `whole`.
    [[nodiscard]] std::span<const std::byte> part(std::span<const std::byte> bytes, bool fin);

    /// What was compressed last was sent.
    void sent() noexcept {
        astray_ = false;
        if (!inside()) ++messages_;
        if (!compressor::keeps_context || scratch_.capacity() > keep) scratch_.release();
    }
    /// A compressed message was sent that did not pass through here: the peer knows what the
    /// compressor does not.
    void sent_elsewhere() noexcept {
        astray_ = own_.context_takeover;
        ++messages_;
    }

    [[nodiscard]] deflater_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Whether a message is being compressed part by part.
    [[nodiscard]] bool inside() const noexcept { return state_ == deflater_state::inside; }
    /// What this endpoint keeps to.
    [[nodiscard]] const deflate_direction& direction() const noexcept { return own_; }
    /// Messages that were sent compressed.
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return codec_.memory() + scratch_.capacity();
    }

    /// Gives back memory that no later message refers to.
    void shrink() noexcept {
        scratch_.release();
        if (!inside() && !own_.context_takeover) codec_.release();
    }

private:
    static constexpr std::size_t keep = 16 * 1024;  // bytes of scratch for the next message
    static constexpr std::size_t least_room = 64;
    // 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
    static constexpr std::size_t tail = 4;
    // 7.2.3.6: an empty message is an empty block, less those four.
    static constexpr std::array<std::byte, 1> empty{std::byte{0}};

    bool ready();
    std::span<const std::byte> compress(std::span<const std::byte> in);

    deflater_state state_ = deflater_state::off;
    // Facts that decide no transition.
    bool astray_ = false;  // the compressor may know what the peer does not, or not what it does
    deflate_direction own_;
    std::size_t threshold_;
    deflate_settings settings_;
    std::uint64_t messages_ = 0;
    detail::byte_buffer<> scratch_;
    compressor codec_;
};

template <class Codec>
bool message_deflater<Codec>::ready() {
    if (astray_ || !own_.context_takeover) codec_.reset();
    return codec_.begin();
}

template <class Codec>
std::optional<std::span<const std::byte>> message_deflater<Codec>::whole(
    std::span<const std::byte> message) {
    if (message.empty()) return empty;
    if (!ready()) return std::nullopt;
    const auto payload = compress(message);
    const auto cut = payload.first(payload.size() - tail);
    // Where no context is lost by it, nothing is sent that grew.
    if (!own_.context_takeover && cut.size() >= message.size()) return std::nullopt;
    return cut;
}

template <class Codec>
bool message_deflater<Codec>::start_message(compression how) {
    // One compressor for many connections would have to keep this message apart from theirs.
    if (!compressor::keeps_context || state_ == deflater_state::off || how == compression::off)
        return false;
    if (!ready()) return false;
    state_ = deflater_state::inside;
    return true;
}

template <class Codec>
std::span<const std::byte> message_deflater<Codec>::part(std::span<const std::byte> bytes,
                                                         bool fin) {
    std::span<const std::byte> payload;
    if (!bytes.empty()) {
        if (astray_) (void)ready();  // the part before ended at a byte: a new stream may begin
        payload = compress(bytes);
        if (fin) payload = payload.first(payload.size() - tail);
    } else if (fin) {
        payload = empty;
    }
    if (fin) state_ = deflater_state::between;
    return payload;
}

template <class Codec>
std::span<const std::byte> message_deflater<Codec>::compress(std::span<const std::byte> in) {
    astray_ = true;
    scratch_.truncate(0);
    for (std::size_t room = in.size() / 2 + least_room;; room = scratch_.size() + least_room) {
        if (scratch_.room() < room) scratch_.make_room(room, 0);
        room = scratch_.room();
        std::byte* const to = scratch_.extend(room);
        const compress_step done = codec_.compress(in, {to, room});
        scratch_.truncate(scratch_.size() - (room - done.made));
        in = in.subspan(done.taken);
        if (in.empty() && done.made < room) return {scratch_.data(), scratch_.size()};
    }
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_DEFLATER_HPP

// ==== sansocket/machine/message_inflater.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_INFLATER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_INFLATER_HPP
// message_inflater.hpp
//
// The payload of a compressed message into its bytes, as it arrives. RFC 7692
// 6.2, 7.2.2.
//
// Output goes straight into the room that the message queue gives, a few
// kilobytes at a time, and never past the size that a message may have: one
// byte more, which goes nowhere, shows that it is too long. So a small message
// that would become a large one costs what it is allowed to, and no more.
//
// Knows nothing of: frames, the order of fragments, UTF-8, how deflate works.
// Section numbers in this file refer to RFC 7692.

namespace sansocket {

/// Where the decompression of messages stands.
enum class inflater_state : std::uint8_t { off, between, inside };

/// Decompresses the messages of one connection with a codec.
template <class Codec>
class message_inflater {
    using decompressor = typename Codec::decompressor;

public:
    /// Waits for `start`: until then nothing is decompressed.
    explicit message_inflater(const deflate_options& options)
        : most_blocks_(options.blocks),
          bytes_per_block_(options.bytes_per_block),
          codec_(deflate_settings{}) {}

    /// The peer compresses as `peer` says. 7.1.
    void start(const deflate_direction& peer) {
        peer_ = peer;
        codec_ = decompressor(deflate_settings{.window_bits = peer.window_bits});
        state_ = inflater_state::between;
    }

    /// A compressed message begins, of at most `most` bytes once they have come out.
    void begin(std::uint64_t most) noexcept {
        most_ = most;
        taken_ = made_ = blocks_ = 0;
        state_ = inflater_state::inside;
    }

    /// Decompresses a piece of it into `queue`.
    ///
    /// @param check  is shown each run of bytes that came out; false: they are not valid.
    /// @return success; errc::deflate_corrupt, errc::deflate_memory; errc::message_too_big,
    ///         errc::deflate_work past the limits; errc::queue_full; errc::invalid_utf8 where `check`
    ///         says so.
    template <class Queue, class Check>
    [[nodiscard]] errc receive(std::span<const std::byte> in, Queue& queue, Check check);

    /// The message is complete. Also errc::deflate_truncated.
    template <class Queue>
    [[nodiscard]] errc finish(Queue& queue);

    [[nodiscard]] inflater_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Whether a compressed message has begun that is not complete.
    [[nodiscard]] bool inside() const noexcept { return state_ == inflater_state::inside; }
    /// Bytes that came out of the message so far.
    [[nodiscard]] std::uint64_t made() const noexcept { return made_; }
    /// What the peer keeps to.
    [[nodiscard]] const deflate_direction& direction() const noexcept { return peer_; }
    /// Messages that were decompressed.
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return codec_.memory(); }

    /// Gives back memory that no later message refers to.
    void shrink() noexcept {
        if (!inside() && !peer_.context_takeover) codec_.release();
    }

private:
    static constexpr std::size_t most_room = 16 * 1024;
    static constexpr std::size_t least_room = 512;
    static constexpr std::size_t spill_room = 2048;
    // 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload"
    static constexpr std::array<std::byte, 4> tail{std::byte{0}, std::byte{0}, std::byte{0xff},
                                                   std::byte{0xff}};

    template <class Queue>
    static constexpr bool can_retract = requires(Queue& q, std::size_t n) {
        q.retract(n);
    };

    template <class Queue>
    errc append_tail(Queue& queue);
    template <class Queue, class Check>
    errc step(std::span<const std::byte>& in, Queue& queue, Check& check, bool& more);
    template <class Queue, class Check>
    errc decompress_into(std::span<const std::byte> in, std::size_t room, Queue& queue,
                         Check& check, decompress_step& done);
    bool too_much_work() const noexcept {
        return bytes_per_block_ != 0 && blocks_ > most_blocks_ &&
               blocks_ - most_blocks_ > made_ / bytes_per_block_;
    }

    inflater_state state_ = inflater_state::off;
    // Facts that decide no transition.
    deflate_direction peer_;
    std::uint64_t most_blocks_;
    std::uint64_t bytes_per_block_;
    std::uint64_t most_ = 0;    // bytes that may come out of the message
    std::uint64_t taken_ = 0;   // bytes of the message, compressed
    std::uint64_t made_ = 0;    // the same, as they came out
    std::uint64_t blocks_ = 0;  // blocks of the message
    std::uint64_t messages_ = 0;
    decompressor codec_;
};

template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::receive(std::span<const std::byte> in, Queue& queue, Check check) {
    taken_ += in.size();
    for (bool more = !in.empty(); more;)
        if (const errc ec = step(in, queue, check, more); ec != errc::ok) return ec;
    return errc::ok;
}

template <class Codec>
template <class Queue>
errc message_inflater<Codec>::finish(Queue& queue) {
    // Not one byte: there are peers that compress an empty message to that. 7.2.3.6 has it as 0x00.
    if (taken_ != 0)
        if (const errc ec = append_tail(queue); ec != errc::ok) return ec;
    if (!peer_.context_takeover) codec_.reset();
    ++messages_;
    state_ = inflater_state::between;
    return errc::ok;
}

// The tail is the end of an empty block: what takes it for data was cut off.
template <class Codec>
template <class Queue>
errc message_inflater<Codec>::append_tail(Queue& queue) {
    if (codec_.position() == deflate_position::behind_last) return errc::ok;
    bool empty = true;
    const errc ec =
        receive(tail, queue, [&](std::span<const std::byte> made) { return empty = made.empty(); });
    if (!empty) return errc::deflate_truncated;
    if (ec == errc::ok && codec_.position() == deflate_position::inside)
        return errc::deflate_truncated;
    return ec;
}

// One call of the codec. `more`: there may be more to come of what it has.
template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::step(std::span<const std::byte>& in, Queue& queue, Check& check,
                                   bool& more) {
    const std::uint64_t left = most_ - made_;
    const std::size_t most = can_retract<Queue> ? most_room : spill_room;
    const std::size_t wanted =
        detail::smaller_of(detail::larger_of(in.size() * 4, least_room), most);
    const auto room = static_cast<std::size_t>(detail::smaller_of(left, std::uint64_t{wanted}));
    decompress_step done;
    std::array<std::byte, 1> beyond{};
    if (room == 0) done = codec_.decompress(in, beyond);
    else if (const errc ec = decompress_into(in, room, queue, check, done); ec != errc::ok)
        return ec;

    in = in.subspan(done.taken);
    blocks_ += done.blocks;
    if (done.ec != errc::ok) return done.ec;
    if (room == 0 && done.made != 0) return errc::message_too_big;
    made_ += done.made;
    if (too_much_work()) return errc::deflate_work;
    if (!in.empty() && done.taken == 0 && done.made == 0 && done.blocks == 0)
        return errc::deflate_corrupt;  // for a codec that is stuck
    more = !in.empty() || done.made == detail::larger_of(room, std::size_t{1});
    return errc::ok;
}

// Decompresses into at most `room` bytes of the queue's, or by way of a few on the stack where the
// queue cannot take back what was not needed.
template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::decompress_into(std::span<const std::byte> in, std::size_t room,
                                              Queue& queue, Check& check, decompress_step& done) {
    std::byte* to = nullptr;
    if constexpr (can_retract<Queue>) {
        to = queue.extend(room);
        if (to == nullptr) return errc::queue_full;
        done = codec_.decompress(in, {to, room});
        queue.retract(room - done.made);
    } else {
        std::array<std::byte, spill_room> spill;  // NOLINT: written before it is read
        done = codec_.decompress(in, {spill.data(), room});
        if (done.made == 0) return errc::ok;
        to = queue.extend(done.made);
        if (to == nullptr) return errc::queue_full;
        std::memcpy(to, spill.data(), done.made);
    }
    return check(std::span<const std::byte>{to, done.made}) ? errc::ok : errc::invalid_utf8;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_INFLATER_HPP

// ==== sansocket/machine/message_queue_concept.hpp ================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_CONCEPT_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_CONCEPT_HPP
// message_queue_concept.hpp
//
// What a connection asks of the queue between it, which puts messages in, and
// the application, which takes them out. It is a concept, for a teardown path
// must never meet a queue that cannot say whether it has ended.
//
// Two facts: whether the end was signalled (`is_eof`) and whether it has also
// been reached (`at_eof`). Queued messages come before the end, always; the
// first cause of the end wins and stays.
//
// Beside it stands what its models share: the marks, and the end.
//
// Knows nothing of: where a queue keeps its messages.

namespace sansocket {

/// When a message queue asks for no more, and when for more again.
struct queue_limits {
    /// Bytes of payload, and `message_overhead` for each message, at which reading stops. A message
    /// that is already coming in is finished, so memory is bounded by this and one message more.
    /// Raise it for throughput with a slow reader. Default 256 KiB.
    std::size_t high_bytes = 256 * 1024;
    /// Bytes, counted the same way, at or under which reading goes on. Default 64 KiB.
    std::size_t low_bytes = 64 * 1024;
    /// Messages at which reading stops, whatever their size. Default 4096.
    std::size_t high_count = 4096;
    /// Messages at or under which reading goes on. Default 1024.
    std::size_t low_count = 1024;
};

/// Bytes charged for a message besides its payload, so that empty ones count.
inline constexpr std::size_t message_overhead = 64;

namespace detail {

template <class Q>
concept has_push = requires(Q& q, message_kind k, std::span<const std::byte> v) {
    { q.push(k, v) } -> std::same_as<bool>;
};
template <class Q>
concept has_begin = requires(Q& q, message_kind k) {
    { q.begin(k) } -> std::same_as<bool>;
};
template <class Q>
concept has_extend = requires(Q& q, std::size_t n) {
    { q.extend(n) } -> std::same_as<std::byte*>;
};
template <class Q>
concept has_finish = requires(Q& q) {
    q.finish();
};
template <class Q>
concept has_abandon = requires(Q& q) {
    { q.abandon() }
    noexcept;
};
template <class Q>
concept has_clear = requires(Q& q) {
    { q.clear() }
    noexcept;
};
template <class Q>
concept has_end = requires(Q& q, errc ec) {
    { q.end(ec) }
    noexcept;
};
template <class Q>
concept has_shrink = requires(Q& q) {
    { q.shrink() }
    noexcept;
};
template <class Q>
concept has_is_eof = requires(const Q& q) {
    { q.is_eof() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_at_eof = requires(const Q& q) {
    { q.at_eof() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_cause = requires(const Q& q) {
    { q.cause() }
    noexcept->std::same_as<errc>;
};
template <class Q>
concept has_size = requires(const Q& q) {
    { q.size() }
    noexcept->std::convertible_to<std::size_t>;
};
template <class Q>
concept has_bytes = requires(const Q& q) {
    { q.bytes() }
    noexcept->std::convertible_to<std::size_t>;
};
template <class Q>
concept has_paused = requires(const Q& q) {
    { q.paused() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_pop_piece = requires(Q& q, const Q& c) {
    { q.pop_piece() } -> std::same_as<std::optional<message_piece_view>>;
    { c.piece_ready() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_pop = requires(Q& q) {
    { q.pop() } -> std::same_as<std::optional<message_view>>;
};

}  // namespace detail

/// What a connection asks of its message queue.
///
/// | call | what it must do |
/// |---|---|
/// | `push(kind, bytes) -> bool` | take a whole message; `bytes` is gone afterwards. False: no room. |
/// | `begin(kind) -> bool` | a message begins whose size is not known. False: no room. |
/// | `extend(n) -> std::byte*` | room for its next `n` bytes, written before the next call; null: no room |
/// | `reserve(n)`, optional | a hint: at least `n` bytes more will come for it |
/// | `retract(n)`, optional | the last `n` bytes of that room are not needed; without it, what is decompressed is copied |
/// | `finish()`, `abandon()` | it is complete; it will never be |
/// | `clear()` | forget every message, the unfinished one too |
/// | `end(cause)` | no more will come; only the first cause counts; an unfinished message goes |
/// | `shrink()` | give back the memory that nothing lies in |
/// | `is_eof()`, `at_eof()`, `cause()` | the end was signalled; and nothing is queued; why, or `errc::ok` |
/// | `size()`, `bytes()`, `paused()` | complete messages; their cost in bytes; whether to stop reading |
///
/// A queue that copies what `push` brings says so by a constant `copies`: it is then given large
/// messages by `begin` and `extend`, unmasked straight into its room.
///
/// Every query is `noexcept` and answers in every state, moved-from too. `paused()` is false while
/// nothing is queued; while it is false, a message that keeps to the queue's limits has room.
///
/// A queue that can never hold more than so many bytes of one message says so by a constant
/// `max_message`: a larger one is errc::message_too_big, 1009, as soon as a frame's header shows it.
template <class Q>
concept message_queue_for_connection =
    detail::has_push<Q> && detail::has_begin<Q> && detail::has_extend<Q> && detail::has_finish<Q> &&
    detail::has_abandon<Q> && detail::has_clear<Q> && detail::has_end<Q> && detail::has_shrink<Q> &&
    detail::has_is_eof<Q> && detail::has_at_eof<Q> && detail::has_cause<Q> && detail::has_size<Q> &&
    detail::has_bytes<Q> && detail::has_paused<Q>;

/// A message queue that whoever drives the connection takes messages from: an adapter that completes
/// receives, a recorder. A connection itself never does.
///
/// | call | what it must do |
/// |---|---|
/// | `pop() -> std::optional<message_view>` | the oldest message, valid until the next call; or nothing |
/// | `settled()`, optional | whether nothing is queued, and a `pop` has found that: whoever took the last message is done with it. Until then the peer's Close waits for an answer to it; without this, as long as something is queued |
template <class Q>
concept poppable_message_queue = message_queue_for_connection<Q> && detail::has_pop<Q>;

/// A message queue that also gives messages in pieces, before they are complete.
///
/// | call | what it must do |
/// |---|---|
/// | `pop_piece() -> std::optional<message_piece_view>` | what is there of the oldest message, valid until the next call; or nothing. The room is given back |
/// | `piece_ready()` | whether it would give something |
/// | `gives_pieces()`, optional | whether the last call was no `pop` that found nothing: the time of a message is limited otherwise |
///
/// From a `pop_piece` to a `pop` that finds nothing, `paused()` may be true while a message is
/// unfinished, and is false once its pieces were taken.
template <class Q>
concept piecewise_message_queue = poppable_message_queue<Q> && detail::has_pop_piece<Q>;

namespace detail {

// Instantiated by who takes pieces out.
template <class Q>
consteval bool check_piecewise_queue() {
    static_assert(has_pop_piece<Q>,
                  "the message queue has no pop_piece() -> optional<message_piece_view> "
                  "and piece_ready() const noexcept -> bool; sansocket::message_queue has");
    return true;
}

// Instantiated by who takes messages out, as `check_message_queue` by the connection.
template <class Q>
consteval bool check_poppable_queue() {
    static_assert(has_pop<Q>, "the message queue has no pop() -> optional<message_view>");
    return true;
}

// Instantiated by the connection, so that a queue that lacks something is refused by name.
template <class Q>
consteval bool check_message_queue() {
    static_assert(has_push<Q>,
                  "the message queue has no push(message_kind, span<const byte>) -> bool");
    static_assert(has_begin<Q>, "the message queue has no begin(message_kind) -> bool");
    static_assert(has_extend<Q>, "the message queue has no extend(size_t) -> byte*");
    static_assert(has_finish<Q>, "the message queue has no finish()");
    static_assert(has_abandon<Q>, "the message queue has no abandon() noexcept");
    static_assert(has_clear<Q>, "the message queue has no clear() noexcept");
    static_assert(has_end<Q>, "the message queue has no end(errc) noexcept");
    static_assert(has_shrink<Q>, "the message queue has no shrink() noexcept");
    static_assert(has_is_eof<Q>, "the message queue has no is_eof() const noexcept -> bool");
    static_assert(has_at_eof<Q>, "the message queue has no at_eof() const noexcept -> bool");
    static_assert(has_cause<Q>, "the message queue has no cause() const noexcept -> errc");
    static_assert(has_size<Q>, "the message queue has no size() const noexcept");
    static_assert(has_bytes<Q>, "the message queue has no bytes() const noexcept");
    static_assert(has_paused<Q>, "the message queue has no paused() const noexcept -> bool");
    return true;
}

// Whether all that was queued was taken, and is no more worked on.
template <class Q>
bool settled(const Q& queue) noexcept {
    if constexpr (requires { queue.settled(); }) return queue.settled();
    else return queue.size() == 0;
}

// How a queue ends: the first cause stays.
class queue_end {
public:
    void end(errc cause) noexcept {
        if (cause_ == errc::ok) cause_ = cause;
    }
    [[nodiscard]] bool is_eof() const noexcept { return cause_ != errc::ok; }
    [[nodiscard]] errc cause() const noexcept { return cause_; }

private:
    errc cause_ = errc::ok;
};

// How much a queue holds, and whether that is too much.
class queue_fill {
public:
    explicit queue_fill(const queue_limits& limits) noexcept : limits_(limits) {}

    void add(std::size_t bytes) noexcept {
        ++count_;
        bytes_ += bytes;
        if (bytes_ >= limits_.high_bytes || count_ >= limits_.high_count) paused_ = true;
    }
    void remove(std::size_t bytes) noexcept {
        --count_;
        bytes_ -= bytes;
        if (bytes_ <= limits_.low_bytes && count_ <= limits_.low_count) paused_ = false;
    }
    void clear() noexcept { *this = queue_fill{limits_}; }
    // Of a message that is taken in pieces, `bytes` wait.
    void hold(std::size_t bytes) noexcept { paused_ = paused_ || bytes >= limits_.high_bytes; }
    // None of them waits any more, and no message does.
    void release() noexcept { paused_ = false; }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }

private:
    queue_limits limits_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
    bool paused_ = false;  // between high and low mark: which of them was passed last
};

}  // namespace detail

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_CONCEPT_HPP

// ==== sansocket/machine/message_queue.hpp ========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_HPP
// message_queue.hpp
//
// The usual message queue: as large as it must be, within its limits.
//
// Messages lie one behind the other in one block of memory, each behind a word
// that holds its size and kind, so that neither putting in nor taking out
// allocates once the block has grown to its working size.
//
// Knows nothing of: frames, roles, why reading is paused elsewhere.

namespace sansocket {

/// The usual queue: as large as it must be, bounded by `queue_limits`.
template <class Allocator = std::allocator<std::byte>>
class message_queue {
public:
    static constexpr bool copies = true;  ///< `push` copies.

    /// A queue with these marks. Allocates nothing before the first message.
    explicit message_queue(const queue_limits& limits = {},
                           const Allocator& allocator = {}) noexcept
        : fill_(limits), buffer_(allocator) {}

    /// What is moved from is empty; it has ended if it had.
    message_queue(message_queue&& other) noexcept
        : fill_(other.fill_),
          buffer_(std::move(other.buffer_)),
          head_(std::exchange(other.head_, 0)),
          partial_(std::exchange(other.partial_, none)),
          given_(std::exchange(other.given_, 0)),
          begun_at_(std::exchange(other.begun_at_, none)),
          streams_(other.streams_),
          end_(other.end_) {
        other.fill_.clear();
    }
    message_queue& operator=(message_queue&& other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }

    /// Takes a message whole. False after the end; the message is dropped then.
    SANSOCKET_ALWAYS_INLINE bool push(message_kind kind, std::span<const std::byte> payload);

    /// A message begins. False after the end.
    bool begin(message_kind kind);
    /// Makes room at once for `n` bytes more of the message begun.
    void reserve(std::size_t n) {
        if (buffer_.room() < n && !streams_) grow(n);
    }
    /// Room for the next `n` bytes of the message begun; written before the next call.
    [[nodiscard]] std::byte* extend(std::size_t n);
    /// The last `n` bytes of that room are not needed.
    void retract(std::size_t n) noexcept {
        if (partial_ == none) return;
        buffer_.truncate(buffer_.size() - n);
        if (streams_ && size() == 0 && unfinished() == 0) [[unlikely]]
            fill_.release();
    }
    /// The message begun is complete.
    void finish() noexcept;
    /// The message begun will never be complete.
    void abandon() noexcept;

    /// Takes out the oldest message.
    ///
    /// @return a view that stays valid until the next call that puts in or takes out; nothing
    ///         where no message is queued, which also says that the last one is done with.
    [[nodiscard]] std::optional<message_view> pop() noexcept;

    /// Takes out what is there of the oldest message, its end too where it is complete.
    ///
    /// From here on, until a `pop` finds nothing, an unfinished message pauses reading at the high mark,
    /// too. `pop` takes the rest of a message of which pieces were taken.
    ///
    /// @return a view that stays valid as that of `pop` does; nothing where no byte is there.
    [[nodiscard]] std::optional<message_piece_view> pop_piece() noexcept;
    /// Whether messages are taken in pieces: nothing of an unfinished one piles up over the high mark.
    [[nodiscard]] bool gives_pieces() const noexcept { return streams_; }
    /// Whether `pop_piece` would give something.
    [[nodiscard]] bool piece_ready() const noexcept {
        return size() != 0 || (partial_ != none && unfinished() != 0);
    }

    /// Forgets every message.
    void clear() noexcept;
    /// No more will come. Only the first cause counts. The memory goes with the last message, once
    /// `pop` has given nothing.
    void end(errc cause) noexcept;
    /// Gives back memory that nothing lies in. Ends the validity of the view that `pop` gave.
    void shrink() noexcept {
        if (head_ == buffer_.size()) reset(0);
    }

    /// @{
    /// As `message_queue_for_connection` says.
    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof() && size() == 0; }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return fill_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return fill_.bytes(); }
    [[nodiscard]] bool paused() const noexcept { return fill_.paused(); }
    [[nodiscard]] bool settled() const noexcept {
        return size() == 0 && (buffer_.empty() || partial_ != none);
    }
    /// @}
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return buffer_.capacity(); }

private:
    using word = std::uint64_t;  // size << 1 | kind, before each payload
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr std::size_t keep =
        128 * 1024;  // bytes of capacity that a drain does not give back

    SANSOCKET_ALWAYS_INLINE std::byte* room(std::size_t n);
    SANSOCKET_NOINLINE void grow(std::size_t n);
    SANSOCKET_NOINLINE void settle() noexcept;
    SANSOCKET_NOINLINE void stop_streaming() noexcept {
        settle();
        streams_ = false;
        fill_.release();
    }
    void move_front(std::size_t to_front) noexcept;
    // Bytes of the message begun that were not given, where it is the oldest.
    std::size_t unfinished() const noexcept {
        return buffer_.size() - partial_ - sizeof(word) - given_;
    }
    void reset(std::size_t keep_at_most) noexcept;

    static word pack(message_kind kind, std::size_t size) noexcept {
        return word{size} << 1U | static_cast<word>(kind);
    }

    detail::queue_fill fill_;
    detail::byte_buffer<Allocator> buffer_;
    std::size_t head_ = 0;        // where the oldest message's word stands
    std::size_t partial_ = none;  // where the word of the message begun stands
    // Of a message that is taken in pieces.
    std::size_t given_ = 0;        // bytes of the message begun that the view of `pop_piece` shows
    std::size_t begun_at_ = none;  // where the word stands of the one whose beginning is gone
    bool streams_ = false;
    detail::queue_end end_;
};

template <class Allocator>
SANSOCKET_ALWAYS_INLINE std::byte* message_queue<Allocator>::room(std::size_t n) {
    if (buffer_.room() < n) [[unlikely]]
        grow(n);
    return buffer_.extend(n);
}

template <class Allocator>
void message_queue<Allocator>::grow(std::size_t n) {
    buffer_.make_room(n, head_, keep);
    move_front(head_);
}

// The buffer now begins where `n` was.
template <class Allocator>
void message_queue<Allocator>::move_front(std::size_t n) noexcept {
    begun_at_ = begun_at_ == n ? 0 : none;
    if (partial_ != none) partial_ -= n;
    head_ = 0;
}

// The piece that was given goes: the message's word moves behind it.
template <class Allocator>
void message_queue<Allocator>::settle() noexcept {
    if (given_ == 0) return;
    std::byte* const at = buffer_.data() + head_;
    std::memmove(at + given_, at, sizeof(word));
    head_ += std::exchange(given_, 0);
    partial_ = begun_at_ = head_;
}

template <class Allocator>
SANSOCKET_ALWAYS_INLINE bool message_queue<Allocator>::push(message_kind kind,
                                                            std::span<const std::byte> payload) {
    if (is_eof()) return false;
    std::byte* const to = room(sizeof(word) + payload.size());
    const word w = pack(kind, payload.size());
    std::memcpy(to, &w, sizeof w);
    if (!payload.empty()) std::memcpy(to + sizeof w, payload.data(), payload.size());
    fill_.add(payload.size() + message_overhead);
    return true;
}

template <class Allocator>
bool message_queue<Allocator>::begin(message_kind kind) {
    if (is_eof()) return false;
    std::byte* const to = room(sizeof(word));
    partial_ = static_cast<std::size_t>(to - buffer_.data());
    const word w = pack(kind, 0);
    std::memcpy(to, &w, sizeof w);
    return true;
}

template <class Allocator>
std::byte* message_queue<Allocator>::extend(std::size_t n) {
    if (partial_ == none) return nullptr;
    if (streams_) [[unlikely]]
        fill_.hold(unfinished() + n);
    return room(n);
}

template <class Allocator>
void message_queue<Allocator>::finish() noexcept {
    if (partial_ == none) return;
    if (given_ != 0) [[unlikely]]
        settle();
    std::byte* const at = buffer_.data() + std::exchange(partial_, none);
    const auto payload =
        static_cast<std::size_t>(buffer_.data() + buffer_.size() - at) - sizeof(word);
    word w = 0;
    std::memcpy(&w, at, sizeof w);
    w |= word{payload} << 1U;
    std::memcpy(at, &w, sizeof w);
    fill_.add(payload + message_overhead);
}

template <class Allocator>
void message_queue<Allocator>::abandon() noexcept {
    if (partial_ == none) return;
    buffer_.truncate(std::exchange(partial_, none));
    given_ = 0;
    begun_at_ = none;
}

template <class Allocator>
std::optional<message_view> message_queue<Allocator>::pop() noexcept {
    if (size() == 0) {
        if (streams_) [[unlikely]]
            stop_streaming();
        if (partial_ == none) reset(is_eof() ? 0 : keep);
        else if (head_ / 2 >= buffer_.size() - head_) {
            // A read ended inside a message. Now it moves alone, later with those behind it.
            buffer_.drop_front(head_);
            move_front(head_);
        }
        return std::nullopt;
    }
    word w = 0;
    std::memcpy(&w, buffer_.data() + head_, sizeof w);
    const auto length = static_cast<std::size_t>(w >> 1U);
    const std::byte* const payload = buffer_.data() + head_ + sizeof w;
    head_ += sizeof w + length;
    fill_.remove(length + message_overhead);
    return message_view{static_cast<message_kind>(w & 1U), {payload, length}};
}

template <class Allocator>
std::optional<message_piece_view> message_queue<Allocator>::pop_piece() noexcept {
    streams_ = true;
    settle();
    if (size() == 0 && partial_ == none) {
        reset(is_eof() ? 0 : keep);
        return std::nullopt;
    }
    const bool first = begun_at_ != head_;
    if (size() != 0) {
        const auto rest = pop();
        return message_piece_view{rest->kind, rest->bytes, first, true};
    }
    fill_.release();
    if (unfinished() == 0) return std::nullopt;
    given_ = unfinished();
    word w = 0;
    const std::byte* const at = buffer_.data() + head_;
    std::memcpy(&w, at, sizeof w);
    return message_piece_view{
        static_cast<message_kind>(w & 1U), {at + sizeof w, given_}, first, false};
}

template <class Allocator>
void message_queue<Allocator>::clear() noexcept {
    fill_.clear();
    partial_ = begun_at_ = none;
    given_ = 0;
    reset(0);
}

template <class Allocator>
void message_queue<Allocator>::end(errc cause) noexcept {
    abandon();
    end_.end(cause);
    if (buffer_.empty()) reset(0);  // and no view is out
}

template <class Allocator>
void message_queue<Allocator>::reset(std::size_t keep_at_most) noexcept {
    head_ = 0;
    begun_at_ = none;
    buffer_.truncate(0);
    if (buffer_.capacity() > keep_at_most) buffer_.release();
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_QUEUE_HPP

// ==== sansocket/wire/utf8.hpp ====================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_UTF8_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_UTF8_HPP
// utf8.hpp
//
// Is this text UTF-8? RFC 6455 8.1, RFC 3629.
//
// `utf8_validator` is a small value the caller keeps: text may come in pieces cut
// anywhere, and the first byte that no valid text could have there is refused at
// once. One automaton of nine states defines what is valid; long runs go by
// blocks that give the same answer: 16 bytes at a time with SSE2, else by words
// where the text is ASCII.
//
// Knows nothing of: frames, messages, what follows from a refusal.

namespace sansocket {

namespace detail {

// Where in a code point the text stands. A state is the number of bits by which a
// row of the table is shifted to find the next one: one load and one shift a byte.
enum class utf8_state : std::uint8_t {
    boundary = 0,   // between two code points
    tail_1 = 6,     // one more continuation byte, 80..BF
    tail_2 = 12,    // two more
    tail_3 = 18,    // three more
    after_e0 = 24,  // A0..BF, then tail_1: shorter forms exist for the rest
    after_ed = 30,  // 80..9F, then tail_1: the rest are surrogates
    after_f0 = 36,  // 90..BF, then tail_2: shorter forms exist for the rest
    after_f4 = 42,  // 80..8F, then tail_2: the rest lies past U+10FFFF
    refused = 48,   // for good
};

inline constexpr unsigned utf8_state_bits = 6;
inline constexpr unsigned utf8_state_mask = 63;

struct utf8_rule {
    utf8_state from;
    unsigned low;  // of the byte
    unsigned high;
    utf8_state to;
};

// RFC 3629 section 4. What no rule allows is refused: C0, C1, F5..FF, a continuation byte out of place.
inline constexpr utf8_rule utf8_rules[] = {
    {utf8_state::boundary, 0x00, 0x7f, utf8_state::boundary},
    {utf8_state::boundary, 0xc2, 0xdf, utf8_state::tail_1},
    {utf8_state::boundary, 0xe0, 0xe0, utf8_state::after_e0},
    {utf8_state::boundary, 0xe1, 0xec, utf8_state::tail_2},
    {utf8_state::boundary, 0xed, 0xed, utf8_state::after_ed},
    {utf8_state::boundary, 0xee, 0xef, utf8_state::tail_2},
    {utf8_state::boundary, 0xf0, 0xf0, utf8_state::after_f0},
    {utf8_state::boundary, 0xf1, 0xf3, utf8_state::tail_3},
    {utf8_state::boundary, 0xf4, 0xf4, utf8_state::after_f4},
    {utf8_state::tail_1, 0x80, 0xbf, utf8_state::boundary},
    {utf8_state::tail_2, 0x80, 0xbf, utf8_state::tail_1},
    {utf8_state::tail_3, 0x80, 0xbf, utf8_state::tail_2},
    {utf8_state::after_e0, 0xa0, 0xbf, utf8_state::tail_1},
    {utf8_state::after_ed, 0x80, 0x9f, utf8_state::tail_1},
    {utf8_state::after_f0, 0x90, 0xbf, utf8_state::tail_2},
    {utf8_state::after_f4, 0x80, 0x8f, utf8_state::tail_2},
};

// For each byte a row: at bit `s` of it, the state that follows state `s`. The compiler fills this in
// every source that includes it: rule by rule, which are few steps.
inline constexpr auto utf8_table = [] {
    constexpr auto refused = static_cast<std::uint64_t>(utf8_state::refused);
    std::uint64_t none = 0;
    for (std::uint64_t s = 0; s <= refused; s += utf8_state_bits) none |= refused << s;
    std::array<std::uint64_t, 256> table{};
    std::uint64_t* const row = table.data();
    for (unsigned byte = 0; byte != 256; ++byte) row[byte] = none;
    for (const auto& [from, low, high, to] : utf8_rules) {
        const auto change = (refused ^ static_cast<std::uint64_t>(to))
                            << static_cast<unsigned>(from);
        for (unsigned byte = low; byte <= high; ++byte) row[byte] ^= change;
    }
    return table;
}();

// Byte by byte from `state`; `Byte` is std::byte or char.
template <class Byte>
[[nodiscard]] constexpr utf8_state utf8_walk(utf8_state state, const Byte* p,
                                             std::size_t n) noexcept {
    // The shift reads the low six bits only; the rest are states of other columns.
    auto s = static_cast<std::uint64_t>(state);
    for (std::size_t i = 0; i != n; ++i)
        s = utf8_table[static_cast<unsigned char>(p[i])] >> (s & utf8_state_mask);
    return static_cast<utf8_state>(s & utf8_state_mask);
}

// How many bytes at the start are ASCII, found in large steps: all `n`, or a multiple of 8 that may
// be too small.
[[nodiscard]] inline std::size_t ascii_prefix(const std::byte* p, std::size_t n) noexcept {
    constexpr std::size_t size = widest_block::size;
    std::size_t i = 0;
    for (; i + 4 * size <= n; i += 4 * size) {
        const auto a = widest_block::load(p + i) | widest_block::load(p + i + size);
        const auto b = widest_block::load(p + i + 2 * size) | widest_block::load(p + i + 3 * size);
        if (!(a | b).all_ascii()) return i;
    }
    for (; i + 8 <= n; i += 8)
        if (!word_block<std::uint64_t>::load(p + i).all_ascii()) return i;
    for (std::size_t j = i; j != n; ++j)
        if (p[j] >= std::byte{0x80}) return i;
    return n;
}

// The state after valid text that ends at `p + n`, from its last three bytes. Needs n >= 3.
[[nodiscard]] inline utf8_state utf8_state_at_end(const std::byte* p, std::size_t n) noexcept {
    std::size_t back = 0;
    if (p[n - 1] >= std::byte{0xc0}) back = 1;
    else if (p[n - 2] >= std::byte{0xe0}) back = 2;
    else if (p[n - 3] >= std::byte{0xf0}) back = 3;
    return utf8_walk(utf8_state::boundary, p + n - back, back);
}

#if defined(__SSE2__) || defined(_M_X64)

// Finds errors in blocks of 16 bytes. Each byte is compared with what the three before it ask
// for, which are read by loads that start one, two and three bytes earlier.
class utf8_sse2_checker {
public:
    // `p - 3` must be readable; bytes there count as preceding text.
    SANSOCKET_ALWAYS_INLINE void check(const std::byte* p) noexcept {
        const __m128i at = load(p);
        const __m128i before = load(p - 1);
        note(misplaced(at, before, load(p - 2), load(p - 3)));
        note(outside_range(at, before));
        note(never_valid(at));
    }

    [[nodiscard]] SANSOCKET_ALWAYS_INLINE bool ok() const noexcept {
        return _mm_movemask_epi8(_mm_cmpeq_epi8(errors_, _mm_setzero_si128())) == 0xffff;
    }

private:
    static SANSOCKET_ALWAYS_INLINE __m128i load(const std::byte* p) noexcept {
        return sse2_block::load(p).value;
    }
    static SANSOCKET_ALWAYS_INLINE __m128i all(int byte) noexcept {
        return _mm_set1_epi8(static_cast<char>(byte));
    }
    // Not zero where a byte of `a`, unsigned, is over `limit`.
    static SANSOCKET_ALWAYS_INLINE __m128i over(__m128i a, int limit) noexcept {
        return _mm_subs_epu8(a, all(limit));
    }
    static SANSOCKET_ALWAYS_INLINE __m128i where(__m128i a, int byte, int value) noexcept {
        return _mm_and_si128(_mm_cmpeq_epi8(a, all(byte)), all(value));
    }
    SANSOCKET_ALWAYS_INLINE void note(__m128i found) noexcept {
        errors_ = _mm_or_si128(errors_, found);
    }

    // A continuation byte where none is due, or another byte where one is.
    static SANSOCKET_ALWAYS_INLINE __m128i misplaced(__m128i at, __m128i before_1, __m128i before_2,
                                                     __m128i before_3) noexcept {
        const __m128i due = _mm_or_si128(_mm_or_si128(over(before_1, 0xbf), over(before_2, 0xdf)),
                                         over(before_3, 0xef));
        const __m128i not_due = _mm_cmpeq_epi8(due, _mm_setzero_si128());
        const __m128i continuation = _mm_cmplt_epi8(at, all(0xc0));  // signed: 80..BF
        return _mm_cmpeq_epi8(not_due, continuation);
    }

    // After E0, ED, F0 and F4 the next byte's range is narrower than 80..BF. Signed comparisons:
    // 80 is the least value of all, 7F the greatest, so that other bytes pass.
    static SANSOCKET_ALWAYS_INLINE __m128i outside_range(__m128i at, __m128i before) noexcept {
        const __m128i least = _mm_or_si128(
            all(0x80), _mm_or_si128(where(before, 0xe0, 0x20), where(before, 0xf0, 0x10)));
        const __m128i greatest = _mm_add_epi8(
            all(0x7f), _mm_or_si128(where(before, 0xed, 0x20), where(before, 0xf4, 0x10)));
        return _mm_or_si128(_mm_cmpgt_epi8(least, at), _mm_cmpgt_epi8(at, greatest));
    }

    // C0, C1, F5..FF.
    static SANSOCKET_ALWAYS_INLINE __m128i never_valid(__m128i at) noexcept {
        const __m128i c0_or_c1 = _mm_cmpeq_epi8(_mm_and_si128(at, all(0xfe)), all(0xc0));
        return _mm_or_si128(c0_or_c1, over(at, 0xf4));
    }

    __m128i errors_ = _mm_setzero_si128();
};

// `n` of 16 or more; at least three bytes before `p` are readable and end on a boundary.
[[nodiscard]] inline utf8_state utf8_blocks(const std::byte* p, std::size_t n) noexcept {
    utf8_sse2_checker checker;
    std::size_t i = 0;
    for (bool ascii_before = true; i + 64 <= n; i += 64) {
        const bool ascii = ((sse2_block::load(p + i) | sse2_block::load(p + i + 16)) |
                            (sse2_block::load(p + i + 32) | sse2_block::load(p + i + 48)))
                               .all_ascii();
        if (ascii && ascii_before) continue;
        ascii_before = ascii;
        checker.check(p + i);  // of ASCII too: it may cut a code point short
        if (ascii) continue;
        checker.check(p + i + 16);
        checker.check(p + i + 32);
        checker.check(p + i + 48);
        if (!checker.ok()) return utf8_state::refused;
    }
    for (; i + 16 <= n; i += 16) checker.check(p + i);
    if (i != n) checker.check(p + n - 16);  // overlaps the block before it
    return checker.ok() ? utf8_state_at_end(p, n) : utf8_state::refused;
}

#else

[[nodiscard]] inline utf8_state utf8_blocks(const std::byte* p, std::size_t n) noexcept {
    utf8_state state = utf8_state::boundary;
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        if (state != utf8_state::boundary || !word_block<std::uint64_t>::load(p + i).all_ascii())
            state = utf8_walk(state, p + i, 8);
    return utf8_walk(state, p + i, n - i);
}

#endif

// From any state, at any size.
[[nodiscard]] inline utf8_state utf8_advance(utf8_state state, const std::byte* p,
                                             std::size_t n) noexcept {
    if (state == utf8_state::boundary) {
        const std::size_t ascii = ascii_prefix(p, n);
        p += ascii;
        n -= ascii;
    }
    constexpr std::size_t worth_blocks = 32;
    if (n < worth_blocks) return utf8_walk(state, p, n);
    // To a boundary that has three bytes before it: at most six bytes.
    std::size_t i = 3;
    state = utf8_walk(state, p, i);
    for (; i != 6 && state != utf8_state::boundary; ++i) state = utf8_walk(state, p + i, 1);
    if (state != utf8_state::boundary) return utf8_state::refused;
    return utf8_blocks(p + i, n - i);
}

// Byte by byte, as the compiler can.
constexpr bool is_ascii_bytewise(std::span<const std::byte> data) noexcept {
    for (const std::byte b : data)
        if (b >= std::byte{0x80}) return false;
    return true;
}

}  // namespace detail

/// Whether every byte of `data` is ASCII (under 0x80); true if there are none.
[[nodiscard]] constexpr bool is_ascii(std::span<const std::byte> data) noexcept {
    if (std::is_constant_evaluated()) return detail::is_ascii_bytewise(data);
    return detail::ascii_prefix(data.data(), data.size()) == data.size();
}

/// Validates text that comes in pieces. RFC 6455 8.1, RFC 3629.
///
/// One byte of state. Start with a new value, or `reset()`, for each text.
class utf8_validator {
public:
    /// Validates the next piece, cut anywhere, also inside a code point.
    ///
    /// A caller who knows that `piece` is ASCII may leave the call out while `complete()`.
    ///
    /// @return false at the first byte that no valid text could have there, and from then on.
    /// Allocates nothing. Linear in `piece`.
    [[nodiscard]] constexpr bool receive(std::span<const std::byte> piece) noexcept {
        state_ = std::is_constant_evaluated()
                     ? detail::utf8_walk(state_, piece.data(), piece.size())
                     : detail::utf8_advance(state_, piece.data(), piece.size());
        return !failed();
    }

    /// Whether what was received is valid and ends where a code point does, as a whole text must.
    [[nodiscard]] constexpr bool complete() const noexcept {
        return state_ == detail::utf8_state::boundary;
    }

    /// Whether `receive()` has answered false.
    [[nodiscard]] constexpr bool failed() const noexcept {
        return state_ == detail::utf8_state::refused;
    }

    /// Forgets what was received.
    constexpr void reset() noexcept { state_ = detail::utf8_state::boundary; }

private:
    detail::utf8_state state_ = detail::utf8_state::boundary;
};

/// Whether `text` is valid UTF-8 from end to end. RFC 3629.
[[nodiscard]] constexpr bool is_valid_utf8(std::span<const std::byte> text) noexcept {
    utf8_validator validator;
    return validator.receive(text) && validator.complete();
}

/// Whether `text` is valid UTF-8 from end to end. RFC 3629.
[[nodiscard]] constexpr bool is_valid_utf8(std::string_view text) noexcept {
    constexpr auto boundary = detail::utf8_state::boundary;
    if (!std::is_constant_evaluated()) return is_valid_utf8(detail::bytes_of(text));
    return detail::utf8_walk(boundary, text.data(), text.size()) == boundary;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_UTF8_HPP

// ==== sansocket/machine/message_reader.hpp =======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_READER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_READER_HPP
// message_reader.hpp
//
// Pieces of frames into messages: the order of fragments, text that must be
// UTF-8 from its first byte on, and what a message may cost, in time too. RFC 6455 5.4, 5.6,
// 6.2, 8.1, 10.4.
//
// Control frames may stand between the fragments of a message and leave the
// way here: they are put together apart from it and touch none of its state.
//
// A message that is one whole piece goes to the queue as a view of the
// transport's bytes, unmasked where they lie. Any other is unmasked straight
// into the room that the queue gives.
//
// Knows nothing of: what a control frame means, whether anyone is reading.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// What one message may cost. 10.4.
struct message_limits {
    /// Most bytes of a message, all fragments together, this many included. A longer one fails the
    /// connection with 1009 as soon as a frame's header shows it. A queue's `max_message`, if it has
    /// one, holds as well. Default 16 MiB.
    std::uint64_t size = std::uint64_t{16} * 1024 * 1024;
    /// Fragments that any message may have, however small they are. Default 1024.
    std::uint64_t fragments = 1024;
    /// One fragment more for each this many bytes of the message. A message in more fragments fails
    /// the connection with 1008: a flood of empty or tiny ones ends soon, and 4 MiB in pieces of 64
    /// bytes pass. 0 takes any number. Default 32 bytes.
    std::uint64_t bytes_per_fragment = 32;
    /// Time from a message's first frame to its end. What has come is held meanwhile, so one that takes
    /// longer, however steadily it comes, fails the connection with errc::message_too_slow, 1008. It
    /// does not run while this endpoint is not reading, nor where pieces are taken as they come
    /// (`pop_piece`), for nothing piles up then. 0: no limit. Default 10 minutes, in which 16 MiB come
    /// at 28 KB a second; where messages may be larger, raise it with `size`.
    duration time = std::chrono::minutes{10};
    /// Whether text is checked to be UTF-8. 8.1 demands it; switch it off only where whoever takes
    /// the messages checks them. Default on.
    bool validate_utf8 = true;
};

/// Where the fragments of a message stand. 5.4.
enum class fragment_state : std::uint8_t { between, text, binary };

/// Reads messages sent to an endpoint of role `Role`.
template <role Role>
class message_reader {
public:
    /// Waits for the first frame.
    explicit message_reader(const message_limits& limits = {}) noexcept : limits_(limits) {}

    /// The state after a data frame of kind `op` with `fin`, or nothing where 5.4 forbids it.
    [[nodiscard]] static constexpr std::optional<fragment_state> next(fragment_state from,
                                                                      opcode op, bool fin) noexcept;

    /// Takes a piece of a data frame, which came at `now`, and puts what it completes into `queue`.
    ///
    /// @return success; errc::unexpected_continuation, errc::expected_continuation (5.4);
    ///         errc::message_too_big, errc::too_many_fragments (10.4); errc::invalid_utf8 at the first
    ///         byte that cannot stand there (8.1); errc::queue_full where the queue had no room.
    ///         After an error the unfinished message is gone from the queue.
    template <class Queue>
    [[nodiscard]] SANSOCKET_ALWAYS_INLINE errc receive(const frame_piece& piece, Queue& queue,
                                                       const time_point& now);

    /// The same where a message may be compressed: `inflater` decompresses it into `queue`. Sizes
    /// are those of what comes out. RFC 7692 6.2.
    ///
    /// @return also what `message_inflater` names.
    template <class Queue, class Inflater>
    [[nodiscard]] errc receive(const compressible_piece& piece, Queue& queue, Inflater& inflater,
                               const time_point& now);

    /// Takes a piece of a control frame.
    ///
    /// @return the whole payload, unmasked, once the frame is complete: 0 to 125 bytes, valid until
    ///         the next call; nothing before that.
    [[nodiscard]] std::optional<std::span<const std::byte>> receive_control(
        const frame_piece& piece);
    /// Gives back the memory in which control frames are put together. What `receive_control` gave
    /// is gone then.
    void shrink() noexcept {
        if (control_size_ == 0) control_.reset();
    }

    /// Whether a fragmented message has begun, in a frame before the current one, that is not
    /// complete.
    [[nodiscard]] bool inside_fragments() const noexcept {
        return state_ != fragment_state::between;
    }
    /// Whether a message has begun that is not complete.
    [[nodiscard]] bool inside_message() const noexcept {
        return state_ != fragment_state::between || inside_frame_;
    }

    /// When the message that has begun must be complete; `never` where nothing of it piles up.
    template <class Queue>
    [[nodiscard]] time_point deadline(const Queue& queue) const noexcept {
        if (!inside_message() || queue.paused() || gives_pieces(queue)) return never;
        return after(begun_, limits_.time);
    }
    /// Reading goes on after a pause: the message that has begun has all its time again.
    void resume(time_point now) noexcept { begun_ = now; }

    /// Messages that were complete.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

private:
    static constexpr bool masked = Role == role::server;
    static constexpr std::size_t straight_into_queue =
        2048;                                  // below, two passes in cache are as fast
    static constexpr std::size_t warm = 4096;  // unmask and check this many bytes at a time
    // Of a frame of which this many bytes come at once, room is made for `trust` times as many more.
    static constexpr std::size_t substantial = 8192;
    static constexpr std::uint64_t trust = 16;

    template <class Queue>
    SANSOCKET_NOINLINE errc receive_slowly(const frame_piece& piece, Queue& queue,
                                           const time_point& now);
    template <class Queue>
    errc begin_frame(const frame_piece& piece, Queue& queue, std::uint64_t most,
                     std::uint64_t made);
    template <class Queue, class Inflater>
    errc begin_compressed(const compressible_piece& piece, Queue& queue, Inflater& inflater);
    template <class Queue>
    errc append(const frame_piece& piece, Queue& queue);
    template <class Queue>
    errc end_frame(Queue& queue);
    bool unmask_and_check(std::byte* to, std::span<const std::byte> from, masking_key key) noexcept;

    // The largest message: by the limit, or by what the queue can ever hold.
    template <class Queue>
    std::uint64_t most() const noexcept {
        if constexpr (requires { Queue::max_message; })
            return detail::smaller_of(limits_.size, std::uint64_t{Queue::max_message});
        else return limits_.size;
    }
    // Of a message whose pieces are taken as they come, the time begins with each.
    template <class Queue>
    void note_time(const Queue& queue, time_point now) noexcept {
        if (!inside_message() || gives_pieces(queue)) begun_ = now;
    }
    template <class Queue>
    static bool gives_pieces(const Queue& queue) noexcept {
        if constexpr (requires { queue.gives_pieces(); }) return queue.gives_pieces();
        else return false;
    }
    bool must_be_utf8() const noexcept {
        return kind_ == message_kind::text && limits_.validate_utf8;
    }
    static bool unmask(std::span<std::byte> bytes, masking_key key) noexcept {
        if constexpr (masked) return mask_in_place(bytes, key);
        else return is_ascii(bytes);
    }

    fragment_state state_ = fragment_state::between;
    // Facts that decide no transition.
    fragment_state after_ = fragment_state::between;  // the state once the current frame is whole
    bool inside_frame_ = false;
    message_kind kind_ = message_kind::text;
    utf8_validator utf8_;
    std::uint8_t control_size_ = 0;  // bytes of a control frame that is not whole
    std::uint64_t size_ = 0;         // bytes of the message, as its frames' headers announce them
    std::uint64_t fragments_ = 0;    // frames of the message
    message_limits limits_;
    time_point begun_{};  // of the message, its time
    std::uint64_t count_ = 0;
    // Of a control frame that came in pieces: most never do.
    std::unique_ptr<std::byte[]> control_;
};

template <role Role>
constexpr std::optional<fragment_state> message_reader<Role>::next(fragment_state from, opcode op,
                                                                   bool fin) noexcept {
    const bool starts = op != opcode::continuation;
    if (starts != (from == fragment_state::between)) return std::nullopt;
    if (fin) return fragment_state::between;
    if (!starts) return from;
    return op == opcode::text ? fragment_state::text : fragment_state::binary;
}

template <role Role>
template <class Queue>
SANSOCKET_ALWAYS_INLINE errc message_reader<Role>::receive(const frame_piece& piece, Queue& queue,
                                                           const time_point& now) {
    const bool whole = piece.first && piece.last && piece.fin;
    if (!whole || piece.opcode == opcode::continuation || state_ != fragment_state::between)
        [[unlikely]]
        return receive_slowly(piece, queue, now);
    if constexpr (requires { Queue::copies; })
        if (piece.payload.size() >= straight_into_queue) return receive_slowly(piece, queue, now);
    if (piece.payload.size() > most<Queue>()) [[unlikely]]
        return errc::message_too_big;
    const bool text = piece.opcode == opcode::text;
    const bool ascii = unmask(piece.payload, piece.key);
    if (text && !ascii && limits_.validate_utf8 && !is_valid_utf8(piece.payload)) [[unlikely]]
        return errc::invalid_utf8;
    const auto kind = text ? message_kind::text : message_kind::binary;
    ++count_;
    return queue.push(kind, piece.payload) ? errc::ok : errc::queue_full;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::receive_slowly(const frame_piece& piece, Queue& queue,
                                          const time_point& now) {
    note_time(queue, now);
    errc ec = piece.first ? begin_frame(piece, queue, most<Queue>(), 0) : errc::ok;
    if (ec == errc::ok && !piece.payload.empty()) ec = append(piece, queue);
    if (ec == errc::ok && piece.last) ec = end_frame(queue);
    if (ec != errc::ok) queue.abandon();
    return ec;
}

template <role Role>
template <class Queue, class Inflater>
errc message_reader<Role>::receive(const compressible_piece& piece, Queue& queue,
                                   Inflater& inflater, const time_point& now) {
    const bool begins = piece.first && piece.compressed;
    if (!begins && !inflater.inside()) [[likely]]
        return receive(static_cast<const frame_piece&>(piece), queue, now);
    note_time(queue, now);
    const auto valid = [this](std::span<const std::byte> made) {
        return !must_be_utf8() || (utf8_.complete() && is_ascii(made)) || utf8_.receive(made);
    };
    errc ec = piece.first ? begin_compressed(piece, queue, inflater) : errc::ok;
    if (ec == errc::ok && !piece.payload.empty()) {
        if constexpr (masked) (void)mask_in_place(piece.payload, piece.key);
        ec = inflater.receive(piece.payload, queue, valid);
    }
    const bool whole = piece.last && after_ == fragment_state::between;
    if (ec == errc::ok && whole) ec = inflater.finish(queue);
    if (ec == errc::ok && piece.last) ec = end_frame(queue);
    if (ec != errc::ok) queue.abandon();
    return ec;
}

// What does not compress grows a little, and may still be of the size allowed once it comes out.
template <role Role>
template <class Queue, class Inflater>
errc message_reader<Role>::begin_compressed(const compressible_piece& piece, Queue& queue,
                                            Inflater& inflater) {
    const std::uint64_t most = message_reader::most<Queue>();
    const std::uint64_t grown = most > std::uint64_t{1} << 62U ? most : most + most / 8 + 1024;
    const std::uint64_t made = inflater.inside() ? inflater.made() : 0;
    const errc ec = begin_frame(piece, queue, grown, made);
    if (ec == errc::ok && piece.compressed) inflater.begin(most);
    return ec;
}

// `most`: bytes that all frames may have. `made`: bytes that came out of those before.
template <role Role>
template <class Queue>
errc message_reader<Role>::begin_frame(const frame_piece& piece, Queue& queue, std::uint64_t most,
                                       std::uint64_t made) {
    const auto after = next(state_, piece.opcode, piece.fin);
    if (!after)
        return state_ == fragment_state::between ? errc::unexpected_continuation
                                                 : errc::expected_continuation;
    const bool starts = piece.opcode != opcode::continuation;
    if (starts) {
        size_ = fragments_ = 0;
        utf8_ = utf8_validator{};
        kind_ = piece.opcode == opcode::text ? message_kind::text : message_kind::binary;
    }
    if (piece.payload_length > most - size_) return errc::message_too_big;
    size_ += piece.payload_length;
    ++fragments_;
    if (!starts && limits_.bytes_per_fragment != 0 && fragments_ > limits_.fragments &&
        fragments_ - limits_.fragments >
            detail::larger_of(size_, made) / limits_.bytes_per_fragment)
        return errc::too_many_fragments;
    after_ = *after;
    inside_frame_ = true;
    if (starts && !queue.begin(kind_)) return errc::queue_full;
    return errc::ok;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::end_frame(Queue& queue) {
    const bool whole = after_ == fragment_state::between;
    if (whole && must_be_utf8() && !utf8_.complete()) return errc::invalid_utf8;
    state_ = after_;
    inside_frame_ = false;
    if (!whole) return errc::ok;
    ++count_;
    queue.finish();  // last: it may hand the message on, and end the connection
    return errc::ok;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::append(const frame_piece& piece, Queue& queue) {
    if constexpr (requires { queue.reserve(std::size_t{}); }) {
        const std::size_t here = piece.payload.size();
        if (piece.payload_left != 0 && here >= substantial)
            queue.reserve(here + static_cast<std::size_t>(detail::smaller_of(
                                     piece.payload_left, std::uint64_t{here} * trust)));
    }
    std::byte* to = queue.extend(piece.payload.size());
    if (to == nullptr) return errc::queue_full;
    masking_key key = piece.key;
    for (auto from = piece.payload; !from.empty();) {
        const std::size_t most = must_be_utf8() ? warm : from.size();
        const auto part =
            from.first(detail::smaller_of(most, from.size()));  // a multiple of 4 but the last
        if (!unmask_and_check(to, part, key)) return errc::invalid_utf8;
        to += part.size();
        from = from.subspan(part.size());
    }
    return errc::ok;
}

template <role Role>
bool message_reader<Role>::unmask_and_check(std::byte* to, std::span<const std::byte> from,
                                            masking_key key) noexcept {
    bool ascii = false;
    if constexpr (masked) {
        ascii = mask_copy(to, from, key);
    } else {
        std::memcpy(to, from.data(), from.size());
        ascii = is_ascii(from);
    }
    if (!must_be_utf8() || (ascii && utf8_.complete())) return true;
    return utf8_.receive(std::span<const std::byte>{to, from.size()});
}

template <role Role>
std::optional<std::span<const std::byte>> message_reader<Role>::receive_control(
    const frame_piece& piece) {
    unmask(piece.payload, piece.key);
    if (piece.first && piece.last) return piece.payload;
    if (!control_) control_ = std::make_unique<std::byte[]>(max_control_payload);
    detail::copy_bytes(piece.payload, control_.get() + control_size_);
    control_size_ = static_cast<std::uint8_t>(control_size_ + piece.payload.size());
    if (!piece.last) return std::nullopt;
    return std::span<const std::byte>{control_.get(), std::exchange(control_size_, {})};
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_READER_HPP

// ==== sansocket/machine/message_writer.hpp =======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_WRITER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_WRITER_HPP
// message_writer.hpp
//
// Messages of the application into frames of data: whole, or begun and
// finished part by part. RFC 6455 5.4, 5.6, 6.1.
//
// Frames go into a queue that is handed in (`send_queue`, or what looks like
// it); masking keys come from a source that is handed in, one for each frame.
//
// Knows nothing of: the closing handshake, control frames, time.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// What is being sent.
enum class writer_state : std::uint8_t { between, starting, continuing };

/// The opcode of a message's first frame. 5.6.
[[nodiscard]] constexpr opcode opcode_of(message_kind kind) noexcept {
    return kind == message_kind::text ? opcode::text : opcode::binary;
}

/// Writes one connection's messages. Every function returns success or a name and has changed
/// nothing then; errc::backpressure is the queue being full.
class message_writer {
public:
    /// A payload of at least this many bytes that is given away or shared is not copied.
    static constexpr std::size_t large = 4096;

    /// @param check_text  whether text must be UTF-8 (errc::text_not_utf8).
    /// @param fragment  most bytes of a message that is sent in parts in a frame; 0: any number.
    explicit message_writer(bool check_text, std::size_t fragment = 0) noexcept
        : check_text_(check_text),
          fragment_(fragment == 0 ? static_cast<std::size_t>(-1) : fragment) {}

    /// A whole message, copied. errc::message_in_progress.
    template <class Out, class Keys>
    SANSOCKET_ALWAYS_INLINE errc send(message_kind kind, std::span<const std::byte> payload,
                                      Out& out, Keys&& keys) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) [[unlikely]]
            return ec;
        out.push(opcode_of(kind), true, payload, keys());
        return sent();
    }

    /// A whole message, compressed by `deflater`. It is compressed once nothing is left to refuse it
    /// for. errc::message_in_progress.
    template <class Out, class Keys, class Deflater>
    errc send(message_kind kind, std::span<const std::byte> payload, Out& out, Keys&& keys,
              Deflater& deflater) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        const auto compressed = deflater.whole(payload);
        if (!compressed) {
            out.push(opcode_of(kind), true, payload, keys());
            return sent();
        }
        out.push_compressed(opcode_of(kind), true, *compressed, keys());
        deflater.sent();
        return sent();
    }

    /// A whole message that is given away. errc::message_in_progress.
    template <class Out, class Keys, class Owned>
    errc send_owned(message_kind kind, Owned&& payload, Out& out, Keys&& keys) {
        const auto bytes = std::as_bytes(std::span{payload});
        if (bytes.size() < large) return send(kind, bytes, out, keys);
        if (const errc ec = may_send(kind, bytes, out); ec != errc::ok) return ec;
        auto owner = std::make_shared<std::remove_cvref_t<Owned>>(std::move(payload));
        const auto moved = std::as_writable_bytes(std::span{*owner});
        out.push_owned(opcode_of(kind), true, std::move(owner), moved, keys());
        return sent();
    }

    /// A whole message that is shared. errc::message_in_progress.
    template <class Out, class Keys, class Shared>
    errc send_shared(message_kind kind, Shared&& payload, Out& out, Keys&& keys) {
        if (payload.bytes.size() < large) return send(kind, payload.bytes, out, keys);
        if (const errc ec = may_send(kind, payload.bytes, out); ec != errc::ok) return ec;
        out.push_shared(opcode_of(kind), true, std::forward<Shared>(payload), keys());
        return sent();
    }

    /// A whole message, copied, in several frames if it is larger than one may be. If pushing throws,
    /// a part of it may be queued. errc::message_in_progress.
    template <class Out, class Keys>
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload, Out& out,
                         Keys&& keys) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        cut(payload, true, opcode_of(kind),
            [&](opcode op, bool fin, auto frame) { out.push(op, fin, frame, keys()); });
        return sent();
    }
    /// The same, compressed by `deflater`, or not where that does not begin.
    template <class Out, class Keys, class Deflater>
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload, Out& out,
                         Keys&& keys, Deflater& deflater, compression how) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        const bool compressed = deflater.start_message(how);
        cut(payload, true, opcode_of(kind), [&](opcode op, bool fin, auto frame) {
            if (compressed) push_part(op, fin, frame, out, keys, deflater);
            else out.push(op, fin, frame, keys());
        });
        return sent();
    }

    /// Whether a whole frame may be pushed to `out` by somebody else. errc::message_in_progress.
    template <class Out>
    [[nodiscard]] errc may_send_frame(const Out& out) const noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        return out.full() ? errc::backpressure : errc::ok;
    }

    /// A message begins. errc::message_in_progress.
    errc start(message_kind kind) noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        state_ = writer_state::starting;
        kind_ = kind;
        text_ = utf8_validator{};
        return errc::ok;
    }

    /// Its next part, in frames that are no larger than they may be; the last one where `fin`. If
    /// pushing throws, and there is more than one, a part of it may be queued. errc::no_message_in_progress;
    /// errc::text_not_utf8, where a code point may be cut at a part's end but not at the last's.
    template <class Out, class Keys>
    errc append(std::span<const std::byte> part, bool fin, Out& out, Keys&& keys) {
        return append_by(part, fin, out, [&](opcode op, bool last, auto frame) {
            out.push(op, last, frame, keys());
        });
    }

    /// The same of a message that `deflater` has begun to compress. 5.4, RFC 7692 6.1.
    template <class Out, class Keys, class Deflater>
    errc append(std::span<const std::byte> part, bool fin, Out& out, Keys&& keys,
                Deflater& deflater) {
        return append_by(part, fin, out, [&](opcode op, bool last, auto frame) {
            push_part(op, last, frame, out, keys, deflater);
        });
    }

    /// A message was sent, by this machine or with its leave.
    SANSOCKET_ALWAYS_INLINE errc sent() noexcept {
        ++count_;
        return errc::ok;
    }
    /// Messages that were sent.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] writer_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Most bytes of a message that is sent in parts in a frame, before they are compressed.
    [[nodiscard]] std::size_t fragment() const noexcept { return fragment_; }

private:
    template <class Out>
    SANSOCKET_ALWAYS_INLINE errc may_send(message_kind kind, std::span<const std::byte> payload,
                                          const Out& out) const noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        if (out.full()) return errc::backpressure;
        if (check_text_ && kind == message_kind::text && !is_valid_utf8(payload))
            return errc::text_not_utf8;
        return errc::ok;
    }

    template <class Out, class Push>
    errc append_by(std::span<const std::byte> part, bool fin, const Out& out, Push push) {
        if (state_ == writer_state::between) return errc::no_message_in_progress;
        if (out.full()) return errc::backpressure;
        utf8_validator text = text_;
        if (check_text_ && kind_ == message_kind::text) {
            if (!text.receive(part) || (fin && !text.complete())) return errc::text_not_utf8;
        }
        const bool starts = state_ == writer_state::starting;
        cut(part, fin, starts ? opcode_of(kind_) : opcode::continuation, push);
        text_ = text;
        state_ = fin ? writer_state::between : writer_state::continuing;
        return fin ? sent() : errc::ok;
    }

    // 5.4: "a fragmented message consists of a single frame with the FIN bit clear and an opcode other
    // than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and
    // terminated by a single frame with the FIN bit set and an opcode of 0."
    template <class Push>
    void cut(std::span<const std::byte> part, bool fin, opcode op, Push push) const {
        do {
            const auto frame = part.first(detail::smaller_of(part.size(), fragment_));
            part = part.subspan(frame.size());
            push(op, fin && part.empty(), frame);
            op = opcode::continuation;
        } while (!part.empty());
    }

    template <class Out, class Keys, class Deflater>
    static void push_part(opcode op, bool fin, std::span<const std::byte> frame, Out& out,
                          Keys&& keys, Deflater& deflater) {
        const auto compressed = deflater.part(frame, fin);
        // RFC 7692 6.1: the bit is set in the first frame of the message alone.
        if (op == opcode::continuation) out.push(op, fin, compressed, keys());
        else out.push_compressed(op, fin, compressed, keys());
        deflater.sent();
    }

    writer_state state_ = writer_state::between;
    // Facts that decide no transition.
    message_kind kind_ = message_kind::text;
    bool check_text_;
    utf8_validator text_;
    std::size_t fragment_;
    std::uint64_t count_ = 0;
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_MESSAGE_WRITER_HPP

// ==== sansocket/detail/segment_queue.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_SEGMENT_QUEUE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_SEGMENT_QUEUE_HPP
// segment_queue.hpp
//
// A queue of bytes whose addresses stay put until they are taken out: blocks
// that are appended to, and payloads that somebody else owns, in order.
//
// Appending never moves a byte that is already there unless `may_move` says
// that nobody looks at it.

namespace sansocket::detail {

class segment_queue {
public:
    segment_queue() = default;
    segment_queue(segment_queue&& other) noexcept
        : segments_(std::move(other.segments_)),
          spare_(std::move(other.spare_)),
          spare_size_(std::exchange(other.spare_size_, 0)),
          first_(std::exchange(other.first_, 0)),
          size_(std::exchange(other.size_, 0)) {}
    segment_queue& operator=(segment_queue&& other) noexcept {
        segments_ = std::move(other.segments_);
        spare_ = std::move(other.spare_);
        spare_size_ = std::exchange(other.spare_size_, 0);
        first_ = std::exchange(other.first_, 0);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~segment_queue() = default;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Room for `n` contiguous bytes at the end, to be written at once.
    SANSOCKET_ALWAYS_INLINE std::byte* extend(std::size_t n, bool may_move) {
        if (first_ == segments_.size() || segments_.back().room() < n) [[unlikely]]
            grow(n, may_move);
        segment& back = segments_.back();
        std::byte* const at = back.block.get() + back.end;
        back.end += n;
        size_ += n;
        return at;
    }

    // After this one `extend` and one `append` together fail in `extend` or not at all.
    void expect_two() {
        if (segments_.capacity() - segments_.size() < 2)
            segments_.reserve(segments_.size() * 2 + 2);
    }

    // Bytes that `owner` keeps alive.
    void append(std::shared_ptr<const void> owner, std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        segments_.push_back(
            {nullptr, std::move(owner), bytes.data(), 0, bytes.size(), bytes.size()});
        size_ += bytes.size();
    }

    // The byte at `offset`, and those behind it up to the end of its segment.
    std::span<const std::byte> at(std::size_t offset) const noexcept {
        for (std::size_t i = first_; i != segments_.size(); ++i) {
            const segment& s = segments_[i];
            if (offset < s.size()) return s.bytes().subspan(offset);
            offset -= s.size();
        }
        return {};
    }

    // Drops `n` bytes at the front.
    void consume(std::size_t n) noexcept {
        if (n == 0) return;
        if (n == size_) return drop_all();
        size_ -= n;
        while (n != 0) {
            segment& front = segments_[first_];
            const std::size_t part = smaller_of(n, front.size());
            front.begin += part;
            n -= part;
            if (front.size() == 0) drop_front();
        }
    }

    // Drops all behind the first `size` bytes.
    void truncate(std::size_t size) noexcept {
        while (size_ > size) {
            segment& back = segments_.back();
            const std::size_t part = smaller_of(size_ - size, back.size());
            back.end -= part;
            size_ -= part;
            if (back.size() == 0) segments_.pop_back();
        }
        if (size_ == 0) release();
    }

    void release() noexcept {
        std::vector<segment>{}.swap(segments_);
        spare_.reset();
        spare_size_ = first_ = size_ = 0;
    }

    // Gives back the block that an empty queue keeps for the next bytes.
    void shrink() noexcept {
        if (size_ == 0) release();
    }

    // Bytes of memory held, payloads of others left out.
    std::size_t memory() const noexcept {
        std::size_t sum = 0;
        for (const segment& s : segments_)
            if (s.block) sum += s.capacity;
        return sum + spare_size_;
    }

private:
    static constexpr std::size_t first_block = 128;  // what a Ping leaves on an idle connection
    static constexpr std::size_t largest_block = 64 * 1024;  // a larger one holds a single frame
    static constexpr std::size_t keep = largest_block;       // kept by an empty queue

    struct segment {
        std::unique_ptr<std::byte[]> block;  // ours, or
        std::shared_ptr<const void> owner;   // somebody else's
        const std::byte* data = nullptr;
        std::size_t begin = 0;
        std::size_t end = 0;
        std::size_t capacity = 0;

        std::size_t size() const noexcept { return end - begin; }
        std::size_t room() const noexcept { return block ? capacity - end : 0; }
        std::span<const std::byte> bytes() const noexcept { return {data + begin, end - begin}; }
    };

    SANSOCKET_NOINLINE void grow(std::size_t n, bool may_move) {
        if (first_ == segments_.size()) {
            segments_.clear();
            first_ = 0;
        }
        if (segments_.empty() || segments_.back().block == nullptr)
            return segments_.push_back(new_block(larger_of(first_block, n)));
        segment& back = segments_.back();
        const std::size_t used = back.size();
        if (may_move && used <= back.begin && used + n <= back.capacity) return to_front(back);
        std::size_t capacity = larger_of(n, smaller_of(largest_block, back.capacity * 2));
        // Only into a larger block: a full one would be copied for every frame.
        const bool move = may_move && used + n <= largest_block && back.capacity < capacity;
        if (move) capacity = larger_of(capacity, used + n);
        segment fresh = new_block(capacity);
        if (!move) return segments_.push_back(std::move(fresh));
        std::memcpy(fresh.block.get(), back.bytes().data(), used);
        fresh.end = used;
        back = std::move(fresh);
    }

    static void to_front(segment& s) noexcept {
        std::memcpy(s.block.get(), s.bytes().data(), s.size());  // no overlap: half of it is free
        s.end = s.size();
        s.begin = 0;
    }

    segment new_block(std::size_t capacity) {
        if (spare_size_ >= capacity)
            return from_block(std::move(spare_), std::exchange(spare_size_, 0));
        return from_block(std::unique_ptr<std::byte[]>(new std::byte[capacity]), capacity);
    }
    static segment from_block(std::unique_ptr<std::byte[]> block, std::size_t capacity) noexcept {
        const std::byte* const data = block.get();
        return {std::move(block), nullptr, data, 0, 0, capacity};
    }

    // The usual case, everything was taken: the last block is kept for what comes next.
    void drop_all() noexcept {
        size_ = 0;
        std::size_t last = segments_.size();
        while (last != first_ &&
               !(segments_[last - 1].block && segments_[last - 1].capacity <= keep))
            --last;
        if (last == first_) {
            segments_.clear();
        } else {
            segment& kept = segments_[last - 1];
            kept.begin = kept.end = 0;
            if (last != 1) segments_.front() = std::move(kept);
            segments_.erase(segments_.begin() + 1, segments_.end());
        }
        first_ = 0;
    }

    // A block that is used up is kept as the spare one.
    void drop_front() noexcept {
        segment& front = segments_[first_];
        if (front.block && front.capacity <= keep && front.capacity > spare_size_) {
            spare_ = std::move(front.block);
            spare_size_ = front.capacity;
        }
        front = segment{};
        ++first_;
        if (first_ >= 32 && first_ * 2 >= segments_.size()) {
            segments_.erase(segments_.begin(),
                            segments_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
    }

    std::vector<segment> segments_;
    std::unique_ptr<std::byte[]> spare_;  // a block that is empty
    std::size_t spare_size_ = 0;
    std::size_t first_ = 0;  // segments before it are used up
    std::size_t size_ = 0;
};

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_SEGMENT_QUEUE_HPP

// ==== sansocket/machine/send_queue.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_SEND_QUEUE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_SEND_QUEUE_HPP
// send_queue.hpp
//
// Messages and control frames into bytes for the transport. RFC 6455 5.4, 5.5,
// 6.1.
//
// Two lines of bytes: data, in the order in which it was accepted, the Close
// frame last; and control (Ping, Pong), which goes ahead of the data at the
// next frame's boundary. Frames describe themselves, so boundaries are found by
// walking the headers and are stored nowhere.
//
// What `output` has shown may be on its way into the transport: until
// `consume` it neither moves nor changes nor goes, and control frames wait
// behind it.
//
// Knows nothing of: whether a frame may be sent now, time, why it is dropped.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// What may wait to be sent.
struct send_limits {
    /// Bytes waiting at which no further message is taken (`errc::backpressure`). A message that is
    /// taken may pass it, so memory is bounded by this and one message more. Default 1 MiB.
    std::size_t high_bytes = 1024 * 1024;
    /// Bytes waiting at or under which an adapter lets its waiting senders go on. Default 256 KiB.
    std::size_t low_bytes = 256 * 1024;
    /// Data frames waiting at which no further message is taken. Default 16384.
    std::size_t high_count = 16384;
    /// Bytes of payload in a frame of a message that is sent in parts: larger parts are cut, so that
    /// control frames go between. 5.4. 0: never. Default 64 KiB.
    std::size_t fragment_bytes = 64 * 1024;
    /// Bytes of Pings and Pongs waiting beyond which only the latest Ping is still answered, which
    /// 5.5.3 allows, and no Ping is taken (`errc::backpressure`). Default 8 KiB.
    std::size_t control_bytes = 8 * 1024;
};

/// A payload that is shared and not copied: `owner` keeps `bytes` alive and unchanged.
struct shared_payload {
    std::shared_ptr<const void> owner;  ///< Keeps `bytes` alive.
    std::span<const std::byte> bytes;   ///< The payload, whole.
};

/// What to write, in order. Views that stay valid until the next `consume_output`.
class output_buffers {
    struct view {  // trivial, for most of the array is never looked at
        const std::byte* data;
        std::size_t size;
    };

public:
    static constexpr std::size_t capacity = 16;  ///< Most buffers that it holds.

    /// Goes over the buffers as spans.
    class iterator {
    public:
        /// @{
        /// What a forward iterator has.
        using value_type = std::span<const std::byte>;
        using difference_type = std::ptrdiff_t;
        iterator() = default;
        explicit iterator(const view* at) noexcept : at_(at) {}
        value_type operator*() const noexcept { return {at_->data, at_->size}; }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator{at_++}; }
        /// @}
        friend bool operator==(iterator, iterator) = default;

    private:
        const view* at_ = nullptr;
    };

    /// No buffers.
    output_buffers() noexcept {}  // NOLINT: leaves the views as they are

    /// At the first buffer.
    [[nodiscard]] iterator begin() const noexcept { return iterator{views_.data()}; }
    /// Behind the last one.
    [[nodiscard]] iterator end() const noexcept { return iterator{views_.data() + count_}; }
    /// Buffer number `i`, from 0; `i` is less than `size()`.
    [[nodiscard]] std::span<const std::byte> operator[](std::size_t i) const noexcept {
        return {views_[i].data, views_[i].size};
    }
    /// How many buffers, 0 to 16.
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }  ///< Whether there are none.
    /// Whether no more fit.
    [[nodiscard]] bool full() const noexcept { return count_ == capacity; }
    /// Bytes in all of them.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// Puts a buffer behind the others. Only while it is not `full()`.
    void add(std::span<const std::byte> buffer) noexcept {
        views_[count_++] = {buffer.data(), buffer.size()};
        bytes_ += buffer.size();
    }

private:
    std::array<view, capacity> views_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

/// The bytes an endpoint of role `Role` has to send. Only a client masks. 5.1.
template <role Role>
class send_queue {
public:
    /// An empty queue with these limits.
    explicit send_queue(const send_limits& limits = {}) noexcept
        : high_bytes_(limits.high_bytes),
          low_bytes_(limits.low_bytes),
          high_count_(limits.high_count),
          control_bytes_(detail::larger_of(limits.control_bytes, std::size_t{1})) {
    }  // a Pong at least

    /// Queues raw bytes ahead of all frames: the opening handshake. Copied.
    void push_raw(std::span<const std::byte> bytes) {
        detail::copy_bytes(bytes, head_extend(bytes.size()));
        raw_left_ += bytes.size();
    }

    /// Queues a frame of data, or the Close frame, behind all data. `payload` is copied.
    ///
    /// @param key  masks the payload; a server's is not looked at.
    SANSOCKET_ALWAYS_INLINE void push(opcode op, bool fin, std::span<const std::byte> payload,
                                      masking_key key);

    /// The same with RSV1, for a payload that is compressed. RFC 7692 6.1.
    void push_compressed(opcode op, bool fin, std::span<const std::byte> payload, masking_key key);

    /// Queues a whole frame that is shared: header and payload, not masked. Not copied, unless it is
    /// so small that this costs less.
    void push_frame(shared_payload frame) requires(Role == role::server);

    /// Queues a frame of data whose payload is shared. A server's is not copied; a client's is, for
    /// it must be masked.
    void push_shared(opcode op, bool fin, shared_payload payload, masking_key key);

    /// Queues a frame of data whose payload is given away. Not copied; a client masks it in place.
    void push_owned(opcode op, bool fin, std::shared_ptr<void> owner, std::span<std::byte> payload,
                    masking_key key);

    /// Queues a Ping or a Pong ahead of the data. 5.5.2, 5.5.3.
    ///
    /// @return errc::backpressure if `control_bytes` wait already. A Pong is kept all the same, as
    ///         the one that answers the latest Ping.
    errc push_control(opcode op, std::span<const std::byte> payload, masking_key key);

    /// What to write next. Until `consume` it stays as it is, and is what further calls return.
    [[nodiscard]] output_buffers output() noexcept;

    /// The transport took the first `n` bytes of `output`; 0 if it took none.
    ///
    /// @param n  at most the bytes that the last `output` showed.
    void consume(std::size_t n);

    /// Drops every frame that has not begun to go out and was not shown by `output`.
    ///
    /// @return whether a frame of data, or the Close frame, was dropped.
    bool drop_unsent() noexcept;

    /// Drops everything. What `output` has shown is kept, and no longer offered, until `consume`.
    void stop() noexcept;

    /// Bytes waiting: headers, payloads, control frames.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return stopped_ ? 0 : data_.size() + control_size();
    }
    /// Frames of data waiting, those partly sent and the Close frame included.
    [[nodiscard]] std::size_t frames() const noexcept { return frames_; }
    /// Whether nothing waits.
    [[nodiscard]] bool empty() const noexcept {
        return stopped_ || (data_.empty() && control_size() == 0);
    }
    /// Whether `stop` was called.
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }
    /// Whether data and Close have all been taken by the transport.
    [[nodiscard]] bool data_empty() const noexcept { return data_.empty(); }
    /// Whether another message is refused for want of room.
    [[nodiscard]] bool full() const noexcept {
        return data_.size() >= high_bytes_ || frames_ >= high_count_;
    }
    /// Whether waiting senders may go on.
    [[nodiscard]] bool drained() const noexcept { return data_.size() <= low_bytes_ && !full(); }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return data_.memory() + (control_ ? sizeof *control_ + control_->frames.memory() : 0);
    }
    /// Gives back the memory that nothing lies in.
    void shrink() noexcept {
        if (shown_) return;
        data_.shrink();
        if (control_size() == 0) control_.reset();
    }

private:
    static constexpr bool masks = Role == role::client;
    static constexpr std::size_t small_frame = 512;  // bytes

    static frame_header header_of(opcode op, bool fin, std::size_t size, masking_key key) noexcept {
        frame_header header{fin, op, size, std::nullopt};
        if constexpr (masks) header.key = key;
        return header;
    }
    // Pings and Pongs: of most connections there are none, most of the time.
    struct control_line {
        detail::segment_queue frames;
        std::size_t left = 0;                // bytes of the frame that has partly gone out
        std::vector<std::byte> latest_pong;  // header and payload, while `frames` is at its limit
    };
    [[nodiscard]] std::size_t control_size() const noexcept {
        return control_ ? control_->frames.size() : 0;
    }
    // Of what waits there, the first `size` bytes stay.
    void truncate_control(std::size_t size) noexcept {
        if (size == 0 || !control_) return control_.reset();
        control_->frames.truncate(size);
        control_->latest_pong = {};
    }
    std::byte* head_extend(std::size_t n) { return data_.extend(n, !shown_); }
    SANSOCKET_ALWAYS_INLINE void write(detail::segment_queue& to, const frame_header& header,
                                       std::span<const std::byte> payload);
    void write_shared(const frame_header& header, std::shared_ptr<const void> owner,
                      std::span<const std::byte> payload);
    static std::size_t frame_size_at(const detail::segment_queue& in, std::size_t at) noexcept;
    SANSOCKET_NOINLINE static std::size_t pass(const detail::segment_queue& in, std::size_t begin,
                                               std::size_t end, std::size_t& left) noexcept;
    void pass_data(std::size_t n) noexcept;
    void consume_control(std::size_t n);
    static void show(const detail::segment_queue& from, std::size_t begin, std::size_t end,
                     output_buffers& out) noexcept;

    detail::segment_queue data_;
    std::unique_ptr<control_line> control_;
    std::size_t frame_left_ = 0;  // bytes of the frame of data that has partly gone out
    std::size_t raw_left_ = 0;    // bytes of the opening handshake at the front of the data
    std::size_t frames_ = 0;
    // What `output` showed: data up to the boundary, control, more data.
    std::size_t shown_lead_ = 0;
    std::size_t shown_control_ = 0;
    std::size_t shown_data_ = 0;  // both parts together
    bool shown_ = false;
    bool stopped_ = false;
    std::size_t high_bytes_, low_bytes_, high_count_, control_bytes_;  // as in `send_limits`
};

template <role Role>
SANSOCKET_ALWAYS_INLINE void send_queue<Role>::write(detail::segment_queue& to,
                                                     const frame_header& header,
                                                     std::span<const std::byte> payload) {
    const std::size_t header_size = encoded_size(header);
    std::byte* const at = to.extend(header_size + payload.size(), !shown_);
    encode(header, at);
    if (payload.empty()) return;
    if constexpr (masks) (void)mask_copy(at + header_size, payload, *header.key);
    else std::memcpy(at + header_size, payload.data(), payload.size());
}

template <role Role>
SANSOCKET_ALWAYS_INLINE void send_queue<Role>::push(opcode op, bool fin,
                                                    std::span<const std::byte> payload,
                                                    masking_key key) {
    if (stopped_) [[unlikely]]
        return;
    write(data_, header_of(op, fin, payload.size(), key), payload);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_compressed(opcode op, bool fin, std::span<const std::byte> payload,
                                       masking_key key) {
    if (stopped_) return;
    frame_header header = header_of(op, fin, payload.size(), key);
    header.compressed = true;
    write(data_, header, payload);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_frame(shared_payload frame) requires(Role == role::server) {
    if (stopped_) return;
    const std::size_t size = frame.bytes.size();
    if (size < small_frame) std::memcpy(data_.extend(size, !shown_), frame.bytes.data(), size);
    else data_.append(std::move(frame.owner), frame.bytes);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_shared(opcode op, bool fin, shared_payload payload, masking_key key) {
    if (stopped_) return;
    if constexpr (masks) {
        push(op, fin, payload.bytes, key);
    } else {
        write_shared(header_of(op, fin, payload.bytes.size(), key), std::move(payload.owner),
                     payload.bytes);
    }
}

template <role Role>
void send_queue<Role>::push_owned(opcode op, bool fin, std::shared_ptr<void> owner,
                                  std::span<std::byte> payload, masking_key key) {
    if (stopped_) return;
    if constexpr (masks) (void)mask_in_place(payload, key);
    write_shared(header_of(op, fin, payload.size(), key), std::move(owner), payload);
}

// Both or nothing: no header stays whose payload cannot be queued.
template <role Role>
void send_queue<Role>::write_shared(const frame_header& header, std::shared_ptr<const void> owner,
                                    std::span<const std::byte> payload) {
    data_.expect_two();
    write(data_, header, {});
    data_.append(std::move(owner), payload);
    ++frames_;
}

template <role Role>
errc send_queue<Role>::push_control(opcode op, std::span<const std::byte> payload,
                                    masking_key key) {
    if (stopped_) return errc::closed;
    const frame_header header = header_of(op, true, payload.size(), key);
    if (!control_) control_ = std::make_unique<control_line>();
    if (control_->frames.size() < control_bytes_) {
        write(control_->frames, header, payload);
        return errc::ok;
    }
    if (op == opcode::pong) {
        // 5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping frame."
        auto& pong = control_->latest_pong;
        pong = std::vector<std::byte>(encoded_size(header) + payload.size());
        const std::size_t size = encode(header, pong.data());
        detail::copy_bytes(payload, pong.data() + size);
        if constexpr (masks) (void)mask_in_place({pong.data() + size, pong.size() - size}, key);
    }
    return errc::backpressure;
}

template <role Role>
output_buffers send_queue<Role>::output() noexcept {
    output_buffers out;
    if (stopped_) return out;
    const std::size_t data = shown_ ? shown_data_ : data_.size();
    const std::size_t control = shown_ ? shown_control_ : control_size();
    if (!shown_) shown_lead_ = control == 0 ? data : raw_left_ + frame_left_;  // to the boundary
    const std::size_t lead = detail::smaller_of(shown_lead_, data);
    show(data_, 0, lead, out);
    shown_data_ = out.bytes();
    if (control != 0) show(control_->frames, 0, control, out);
    shown_control_ = out.bytes() - shown_data_;
    show(data_, lead, data, out);
    shown_data_ = out.bytes() - shown_control_;
    shown_ = out.bytes() != 0;
    return out;
}

// Adds the bytes from `begin` to `end`; fewer only where `out` is full then.
template <role Role>
void send_queue<Role>::show(const detail::segment_queue& from, std::size_t begin, std::size_t end,
                            output_buffers& out) noexcept {
    while (begin != end && !out.full()) {
        const auto part = from.at(begin);
        const std::size_t size = detail::smaller_of(part.size(), end - begin);
        out.add(part.first(size));
        begin += size;
    }
}

template <role Role>
void send_queue<Role>::consume(std::size_t n) {
    shown_ = false;
    if (stopped_) return stop();
    const std::size_t lead = detail::smaller_of(n, shown_lead_);
    const std::size_t control = detail::smaller_of(n - lead, shown_control_);
    const std::size_t data = n - control;
    pass_data(data);
    data_.consume(data);
    if (control_) consume_control(control);
}

template <role Role>
bool send_queue<Role>::drop_unsent() noexcept {
    const std::size_t shown = shown_ ? shown_data_ : 0;
    std::size_t kept = raw_left_ + frame_left_;
    std::size_t frames = frame_left_ != 0 ? 1 : 0;
    for (; kept < shown; ++frames) kept += frame_size_at(data_, kept);
    data_.truncate(kept);
    const std::size_t begun = control_ ? control_->left : 0;
    truncate_control(shown_ ? shown_control_ : begun);
    return std::exchange(frames_, frames) != frames;
}

template <role Role>
void send_queue<Role>::stop() noexcept {
    stopped_ = true;
    data_.truncate(shown_ ? shown_data_ : 0);
    truncate_control(shown_ ? shown_control_ : 0);
    if (!shown_) frame_left_ = raw_left_ = frames_ = 0;
}

// Bytes of the frame that begins at `at`.
template <role Role>
std::size_t send_queue<Role>::frame_size_at(const detail::segment_queue& in,
                                            std::size_t at) noexcept {
    const auto parsed =
        parse_frame_header<rsv1::compressed>(in.at(at), peer_of(Role));  // in one piece, by `write`
    return parsed.size + static_cast<std::size_t>(parsed.value.payload_length);
}

// Goes over the frames from `begin` to `end` and says how many end there. `left` is what is left of
// the frame at `begin` if that is no boundary; then the same for `end`.
template <role Role>
std::size_t send_queue<Role>::pass(const detail::segment_queue& in, std::size_t begin,
                                   std::size_t end, std::size_t& left) noexcept {
    std::size_t ended = 0;
    while (begin != end) {
        if (left == 0) left = frame_size_at(in, begin);
        const std::size_t part = detail::smaller_of(left, end - begin);
        left -= part;
        begin += part;
        if (left == 0) ++ended;
    }
    return ended;
}

template <role Role>
void send_queue<Role>::pass_data(std::size_t n) noexcept {
    if (n == data_.size()) {  // the usual case: everything went out
        frame_left_ = raw_left_ = frames_ = 0;
        return;
    }
    const std::size_t raw = detail::smaller_of(n, raw_left_);
    raw_left_ -= raw;
    frames_ -= pass(data_, raw, n, frame_left_);
}

template <role Role>
void send_queue<Role>::consume_control(std::size_t n) {
    auto& [frames, left, pong] = *control_;
    if (n == frames.size()) left = 0;
    else (void)pass(frames, 0, n, left);
    frames.consume(n);
    if (pong.empty() || frames.size() >= control_bytes_) return;
    detail::copy_bytes({pong.data(), pong.size()}, frames.extend(pong.size(), true));
    std::vector<std::byte>{}.swap(pong);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_SEND_QUEUE_HPP

// ==== sansocket/wire/http_response.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_RESPONSE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_RESPONSE_HPP
// http_response.hpp
//
// What a server writes where it does not open a WebSocket: status line, fields,
// body, and what RFC 9110 says about which of them may stand together.
//
//   append_response   an answer of the application's
//   error_response    the answer to a request that breaks a rule
//
// Every answer ends the connection ("Connection: close"), so that nothing has to
// be known of a body that the client may still send.
//
// Knows nothing of: which request is answered how. Section numbers in this file
// refer to RFC 9110 unless another is named.

namespace sansocket {

/// An answer to a request, as an application makes it. 15.
struct http_response {
    std::uint16_t status = 200;              ///< 200 to 599.
    std::vector<http_field_value> fields{};  ///< `is_reserved_field` has to be false of each.
    std::string body{};                      ///< As it is; may be empty.
};

/// Whether an answer's body is written. `left_out`: to HEAD, which is told its length only. 9.3.2.
enum class http_content : std::uint8_t { written, left_out };

namespace detail {

// 15, RFC 6585. Empty where there is none: the phrase is for people only.
constexpr std::string_view reason_phrase(std::uint16_t status) noexcept {
    struct row {
        std::uint16_t status;
        const char*
            phrase;  // the characters of a view are counted in every source that includes it
    };
    constexpr row table[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (const row& r : table)
        if (r.status == status) return r.phrase;
    return {};
}

inline void append_status_line(std::string& out, std::uint16_t status) {
    append(out, {"HTTP/1.1 ", std::to_string(status), " ", reason_phrase(status), "\r\n"});
}

// Appends fields that an application chose. False where one may not be written.
inline bool append_fields(std::string& out, std::span<const http_field_value> fields) {
    for (const auto& [name, value] : fields)
        if (is_reserved_field(name) || !append_field(out, name, value)) return false;
    return true;
}

// Appends what every answer without an upgrade begins with: status line and connection fields.
inline void begin_response(std::string& out, std::uint16_t status) {
    append_status_line(out, status);
    // 15.5.22: "The server MUST send an Upgrade header field in a 426 response"
    if (status == 426) append(out, {"Connection: close, Upgrade\r\nUpgrade: websocket\r\n"});
    else append(out, {"Connection: close\r\n"});
}

// Appends the rest: the body's length, and the body.
inline void finish_response(std::string& out, std::string_view body, http_content content) {
    append(out, {"Content-Length: ", std::to_string(body.size()), "\r\n\r\n"});
    if (content == http_content::written) out.append(body);
}

// 15.3.5, 15.3.6, 15.4.5: no answer with this status has content.
constexpr bool has_no_content(std::uint16_t status) noexcept {
    return status == 204 || status == 205 || status == 304;
}

}  // namespace detail

/// Appends a complete answer to `out`: status line, "Connection: close", `fields`, Content-Length
/// and `body`. Where there is a body and `fields` has no Content-Type, "text/plain; charset=utf-8";
/// for 426 an Upgrade field.
///
/// 204, 205 and 304 have no body (15.3.5, 15.3.6, 15.4.5); 204 and 304 no Content-Length either, since
/// one may not stand in the first, and in the other it would tell the length of what is not sent
/// (8.6).
///
/// @param status  200 to 599.
/// @param fields  `is_reserved_field` has to be false of each.
/// @return errc::invalid_response where the status is out of range, a field cannot be written or is
///         reserved, or there is a body and may be none; `out` is unchanged then.
[[nodiscard]] inline errc append_response(std::string& out, std::uint16_t status,
                                          std::span<const http_field_value> fields,
                                          std::string_view body, http_content content) {
    if (status < 200 || status > 599) return errc::invalid_response;
    if (detail::has_no_content(status) && !body.empty()) return errc::invalid_response;

    const std::size_t before = out.size();
    detail::begin_response(out, status);
    if (!detail::append_fields(out, fields)) {
        out.resize(before);
        return errc::invalid_response;
    }
    bool typed = false;
    for (const auto& [name, value] : fields) typed = typed || detail::iequals(name, "Content-Type");
    if (!body.empty() && !typed)
        detail::append(out, {"Content-Type: text/plain; charset=utf-8\r\n"});
    if (status == 204 || status == 304) detail::append(out, {"\r\n"});
    else detail::finish_response(out, body, content);
    return errc::ok;
}

/// The complete answer to a request that failed with `ec`: `status_for(ec)`, "Connection: close"
/// and a sentence as text/plain. 15.
///
/// 405 names the method allowed (15.5.6), 426 the protocol to upgrade to (15.5.22) and, for
/// `errc::websocket_version_unsupported`, the version to use (RFC 6455 4.4).
[[nodiscard]] inline std::string error_response(errc ec,
                                                http_content content = http_content::written) {
    std::string out;
    const std::uint16_t status = status_for(ec);
    detail::begin_response(out, status);
    if (status == 405) detail::append(out, {"Allow: GET\r\n"});
    if (ec == errc::websocket_version_unsupported)
        detail::append(out, {"Sec-WebSocket-Version: 13\r\n"});
    detail::append(out, {"Content-Type: text/plain; charset=utf-8\r\n"});
    std::string body;
    detail::append(body, {describe(ec), "\n"});
    detail::finish_response(out, body, content);
    return out;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_HTTP_RESPONSE_HPP

// ==== sansocket/machine/server_handshake.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MACHINE_SERVER_HANDSHAKE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MACHINE_SERVER_HANDSHAKE_HPP
// server_handshake.hpp
//
// The server's half of the opening handshake: one request comes in and is
// checked, one answer goes out. RFC 6455 4.2.
//
// A request that is in order makes the machine wait for a decision: `accept`,
// `refuse`, or `respond`, as HTTP, also to a request that is no upgrade where
// such requests are allowed. One that is not in order is answered here, with
// the status that fits and a sentence; `response()` is that answer.
//
// Knows nothing of: sockets, time, what the application serves where.
// Section numbers in this file refer to RFC 6455 unless another is named.

namespace sansocket {

/// Whose order decides where client and server have several subprotocols in common. 4.2.2.
enum class subprotocol_choice : std::uint8_t { client_order, server_order };

/// Most subprotocols that a client may offer.
inline constexpr std::size_t max_subprotocols = 100;

/// Whether a request that leaves something out is refused.
enum class requirement : std::uint8_t { optional, required };

/// What a server accepts and how it answers. 4.2.2.
struct server_policy {
    /// Subprotocols that the server speaks, the preferred one first. 1.9.
    std::vector<std::string> subprotocols{};

    /// Whose preference counts.
    subprotocol_choice choice = subprotocol_choice::client_order;

    /// `required`: a request with no subprotocol in common fails with
    /// `errc::subprotocol_required`. `optional`: it goes on without one.
    requirement subprotocol = requirement::optional;

    /// Origins that are let in, such as "https://example.com"; others fail with
    /// `errc::origin_refused`. Compared without regard to case; a default port may be written or
    /// left out. Empty: every origin. Set it wherever browsers hold credentials for the server,
    /// since any page may open a connection (10.2).
    std::vector<std::string> allowed_origins{};

    /// `required`: a request without Origin fails with `errc::origin_refused` too. Programs that
    /// are no browsers usually send none.
    requirement origin = requirement::optional;

    /// Fields to add to each answer that accepts; `is_reserved_field` has to be false of each.
    std::vector<http_field_value> headers{};
};

/// Whether a request that is no upgrade may be answered by the application, or is an error.
enum class plain_http : std::uint8_t { refused, allowed };

/// Where a server's opening handshake stands.
enum class server_handshake_state : std::uint8_t {
    reading,        ///< The request has not come.
    deciding,       ///< It is an upgrade, and waits for the decision.
    deciding_http,  ///< It is none, and waits for an answer.
    accepted,       ///< The connection is open.
    refused,        ///< The upgrade was refused.
    answered,       ///< Plain HTTP was answered.
    failed          ///< Something was wrong with the request.
};
/// What moves it.
enum class server_handshake_event : std::uint8_t {
    request,       ///< A request came that is an upgrade in order.
    http_request,  ///< One came that is none.
    fail,          ///< What came is wrong.
    accept,        ///< It is to be accepted.
    refuse,        ///< It is to be refused.
    respond        ///< Plain HTTP is to answer it.
};

/// The server's opening handshake. 4.2.
class server_handshake {
public:
    /// The state after `event`, or nothing where `event` cannot happen. 4.2.
    [[nodiscard]] static constexpr std::optional<server_handshake_state> next(
        server_handshake_state from, server_handshake_event event) noexcept;

    /// Of permessage-deflate no offer is looked at.
    ///
    /// @param plain    whether requests without `Upgrade: websocket` are to be decided on too.
    explicit server_handshake(server_policy policy = {}, const http_limits& limits = {},
                              plain_http plain = plain_http::refused)
        : policy_(std::move(policy)),
          plain_(plain),
          parser_(http_kind::request, limits,
                  plain == plain_http::allowed ? request_body::unread : request_body::refused) {}
    /// @param deflate  what is wanted of permessage-deflate.
    server_handshake(server_policy policy, const http_limits& limits, deflate_options deflate,
                     plain_http plain = plain_http::refused)
        : server_handshake(std::move(policy), limits, plain) {
        if (!deflate.enabled) return;
        deflate_ = std::move(deflate);
        choose_extensions_ = &server_handshake::choose_extensions;
        answer_extensions_ = &server_handshake::answer_extensions;
    }

    /// Takes bytes up to the end of the request's head, or to the first that is wrong. 4.2.1.
    ///
    /// With `plain_http::allowed`, a request whose Upgrade does not hold "websocket" only has to be
    /// HTTP/1: any method but CONNECT (RFC 9110 9.3.6), a target that is of a request, and Host where it is
    /// HTTP/1.1 (RFC 9112 3.2). A body that it announces stays unread.
    ///
    /// @return errc::ok                             the request is in order: decide;
    ///         errc::need_more                      `in` ends inside the head;
    ///         errc::method_not_get                 not GET (step 1);
    ///         errc::http_version_too_old           HTTP/1.0 (step 1);
    ///         errc::http_request_line              a target that is neither path nor URI (step 1);
    ///         errc::host_missing                   no Host, or not a host and port (step 2);
    ///         errc::not_an_upgrade                 Upgrade does not hold "websocket" (step 3);
    ///         errc::connection_not_upgrade         Connection does not hold "Upgrade" (step 4);
    ///         errc::websocket_version_unsupported  Sec-WebSocket-Version is not 13 (step 6);
    ///         errc::websocket_key_invalid          Sec-WebSocket-Key is not 16 bytes (step 5);
    ///         errc::subprotocol_invalid            no list of at most `max_subprotocols`
    ///                                              distinct tokens (step 8);
    ///         errc::extensions_invalid             no list of extensions, where they are looked at
    ///                                              (step 9);
    ///         errc::origin_refused                 see `server_policy` (4.2.2);
    ///         errc::subprotocol_required           see `server_policy` (4.2.2);
    ///         or an error of `http_head_parser`. All but the first two are final, and
    ///         `response()` is what to send. The version is looked at before the key, so that a
    ///         client of another version learns which one to use.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// Where it stands.
    [[nodiscard]] server_handshake_state state() const noexcept { return state_; }

    /// Whether there is a request to answer.
    [[nodiscard]] bool deciding() const noexcept {
        return state_ == server_handshake_state::deciding ||
               state_ == server_handshake_state::deciding_http;
    }

    /// What went wrong; `errc::refused_by_application` after `refuse`, `errc::http_answered` after
    /// `respond`; `errc{}` otherwise.
    [[nodiscard]] errc error() const noexcept { return cause_; }

    /// The head of the request, in part before it is complete. Views of it live as long as this
    /// object is neither changed nor moved.
    [[nodiscard]] const http_head& request() const noexcept { return parser_.head(); }

    /// Whether the head of the request is complete.
    [[nodiscard]] bool has_request() const noexcept { return parser_.error() == errc::ok; }

    /// Moves the request's head out. Empty before the request is answered, which needs it here.
    [[nodiscard]] http_head take_request() noexcept {
        const bool needed = deciding() || state_ == server_handshake_state::reading;
        return needed ? http_head{} : parser_.release();
    }

    /// The subprotocol that `accept(out)` takes, by the policy; after `accept` the one in use.
    /// Empty: none.
    [[nodiscard]] std::string_view subprotocol() const noexcept { return subprotocol_; }

    /// What `accept` agrees to for permessage-deflate: the first offer that can be met; nothing
    /// where there is none. RFC 7692 5.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept {
        if (!deflate_answer_) return std::nullopt;
        return agreed_by_server(*deflate_answer_);
    }

    /// Appends the answer that opens the connection to `out`, with the policy's choice. 4.2.2.
    ///
    /// @return errc::not_deciding      there is no request to answer;
    ///         errc::not_an_upgrade    there is one that asks for no upgrade;
    ///         errc::invalid_response  a field of the policy cannot be written or is reserved.
    ///         `out` and the state are unchanged then.
    [[nodiscard]] errc accept(std::string& out) { return accept(subprotocol_, {}, out); }

    /// The same with a subprotocol of the application's choice and further fields. 4.2.2.
    ///
    /// @param subprotocol  one that the client offered, or empty for none.
    /// @return also errc::subprotocol_not_offered.
    [[nodiscard]] errc accept(std::string_view subprotocol,
                              std::span<const http_field_value> headers, std::string& out);

    /// Appends an answer that refuses the request to `out`. 4.2.2.
    ///
    /// Writes Connection and Content-Length, Upgrade for 426, and, where there is a body and
    /// `headers` has no Content-Type, "text/plain; charset=utf-8".
    ///
    /// @param status   300 to 599, but not 304, which answers no handshake.
    /// @param headers  `is_reserved_field` has to be false of each.
    /// @param body     as it is; may be empty. Not sent to HEAD (RFC 9110 9.3.2).
    /// @return errc::not_deciding      there is no request to answer;
    ///         errc::invalid_response  a status out of range, a field that cannot be written or is
    ///                                 reserved. `out` and the state are unchanged then.
    [[nodiscard]] errc refuse(std::uint16_t status, std::span<const http_field_value> headers,
                              std::string_view body, std::string& out);

    /// Appends an answer in plain HTTP to `out`, as `append_response` does. Also to an upgrade, which
    /// a server may ignore (RFC 9110 7.8).
    ///
    /// @param status  200 to 599.
    /// @param body    empty for 204, 205 and 304. Not sent to HEAD, which is told its length.
    /// @return as `refuse`.
    [[nodiscard]] errc respond(std::uint16_t status, std::span<const http_field_value> headers,
                               std::string_view body, std::string& out);

    /// The complete answer to a request that failed; empty in every other state.
    [[nodiscard]] std::string_view response() const noexcept { return response_; }

    /// The complete answer to this request where `cause` ends the connection before it is decided on.
    [[nodiscard]] std::string answer_to(errc cause) const {
        return error_response(cause, content());
    }

    /// Moves that answer out.
    [[nodiscard]] std::string take_response() noexcept { return std::exchange(response_, {}); }

    /// Bytes of memory held, this object included; what the policy holds is not counted.
    [[nodiscard]] std::size_t memory() const noexcept {
        return sizeof *this + request().memory() + response_.capacity();
    }

private:
    void move(server_handshake_event event) noexcept {
        if (const auto to = next(state_, event)) state_ = *to;
    }
    void fail(errc cause);
    [[nodiscard]] bool asks_for_upgrade() const noexcept {
        return request().has_token("Upgrade", "websocket");
    }
    [[nodiscard]] http_content content() const noexcept {
        // RFC 9110 9.3.2: "the server MUST NOT send content in the response"
        return request().method() == "HEAD" ? http_content::left_out : http_content::written;
    }
    [[nodiscard]] errc check_request();
    [[nodiscard]] errc check_http() const noexcept;
    [[nodiscard]] errc check_upgrade() const noexcept;
    [[nodiscard]] errc check_origin() const noexcept;
    [[nodiscard]] errc choose_extensions() noexcept;
    void answer_extensions(std::string& out) const;
    [[nodiscard]] errc choose_subprotocol();
    [[nodiscard]] bool is_offered(std::string_view subprotocol) const noexcept;

    server_handshake_state state_ = server_handshake_state::reading;
    // Decide no transition but by being compared with the request.
    errc cause_{};
    server_policy policy_;
    plain_http plain_;
    deflate_options deflate_;
    std::optional<deflate_parameters> deflate_answer_;
    // Null where permessage-deflate is not wanted: only who may want it compiles what negotiates.
    errc (server_handshake::*choose_extensions_)() noexcept = nullptr;
    void (server_handshake::*answer_extensions_)(std::string&) const = nullptr;
    http_head_parser parser_;
    std::string subprotocol_;
    std::string response_;
};

constexpr std::optional<server_handshake_state> server_handshake::next(
    server_handshake_state from, server_handshake_event event) noexcept {
    using enum server_handshake_state;
    // No state. An optional for each cell costs a compiler more than the rest of this header.
    constexpr auto illegal = static_cast<server_handshake_state>(0xff);
    // clang-format off
    constexpr server_handshake_state table[7][6] = {
        //                  request    http_request    fail      accept     refuse    respond
        /* reading       */ {deciding, deciding_http,  failed,   illegal,   illegal,  illegal},   // 4.2.1
        /* deciding      */ {illegal,  illegal,        illegal,  accepted,  refused,  answered},  // 4.2.2
        /* deciding_http */ {illegal,  illegal,        illegal,  illegal,   refused,  answered},  // 4.2.1
        /* accepted      */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.2: open
        /* refused       */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.2
        /* answered      */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // RFC 9110 7.8
        /* failed        */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.1
    };
    // clang-format on
    const auto to = table[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
    if (to == illegal) return std::nullopt;
    return to;
}

namespace detail {

// RFC 9112 3.2.1, 3.2.2.
constexpr bool is_path_or_uri(std::string_view target) noexcept {
    return target.starts_with('/') || istarts_with(target, "http://") ||
           istarts_with(target, "https://");
}

// Whether `list` holds `origin`. RFC 6454 4, 6.2: scheme and host in any case, default port
// left out.
inline bool has_origin(const std::vector<std::string>& list, std::string_view origin) noexcept {
    const auto normal = [](std::string_view o) {
        if (istarts_with(o, "http://") && o.ends_with(":80")) o.remove_suffix(3);
        if (istarts_with(o, "https://") && o.ends_with(":443")) o.remove_suffix(4);
        return o;
    };
    for (const std::string_view allowed : list)
        if (iequals(normal(allowed), normal(origin))) return true;
    return false;
}

}  // namespace detail

inline http_progress server_handshake::receive(std::span<const std::byte> in) {
    if (state_ != server_handshake_state::reading) return {0, cause_};
    http_progress result = parser_.receive(in);
    if (result.ec == errc::need_more) return result;
    const bool plain = plain_ == plain_http::allowed && !asks_for_upgrade();
    if (result.ec == errc::ok) result.ec = plain ? check_http() : check_request();
    if (result.ec != errc{}) fail(result.ec);
    else move(plain ? server_handshake_event::http_request : server_handshake_event::request);
    return result;
}

inline void server_handshake::fail(errc cause) {
    cause_ = cause;
    response_ = error_response(cause, content());
    move(server_handshake_event::fail);
}

inline errc server_handshake::check_request() {
    if (const errc ec = check_upgrade(); ec != errc{}) return ec;
    if (const errc ec = check_origin(); ec != errc{}) return ec;
    if (choose_extensions_ != nullptr)
        if (const errc ec = (this->*choose_extensions_)(); ec != errc{}) return ec;
    return choose_subprotocol();
}

// 4.2.1, its numbered list.
inline errc server_handshake::check_upgrade() const noexcept {
    const http_head& head = request();
    if (head.method() != "GET") return errc::method_not_get;
    if (head.version_minor() == 0) return errc::http_version_too_old;
    if (!detail::is_path_or_uri(head.target())) return errc::http_request_line;
    if (!is_host_field(head.find("Host").value_or(""))) return errc::host_missing;
    if (!asks_for_upgrade()) return errc::not_an_upgrade;
    // Where bodies are allowed, the parser let this one through.
    if (head.find("Content-Length").value_or("").find_first_not_of('0') != std::string_view::npos ||
        head.find("Transfer-Encoding"))
        return errc::http_body_framing;
    if (!head.has_token("Connection", "Upgrade")) return errc::connection_not_upgrade;
    if (head.find("Sec-WebSocket-Version") != "13") return errc::websocket_version_unsupported;
    if (!is_valid_key(head.find("Sec-WebSocket-Key").value_or("")))
        return errc::websocket_key_invalid;
    return errc{};
}

// RFC 9112 3.2.
inline errc server_handshake::check_http() const noexcept {
    const http_head& head = request();
    // RFC 9110 9.3.6: an answer of 2xx would open a tunnel.
    if (head.method() == "CONNECT") return errc::method_not_get;
    const bool of_server = head.method() == "OPTIONS" && head.target() == "*";
    if (!of_server && !detail::is_path_or_uri(head.target())) return errc::http_request_line;
    const auto host = head.find("Host");
    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
    // that lacks a Host header field"; and a path may come with an empty one.
    if (!host && head.version_minor() != 0) return errc::host_missing;
    if (host && !host->empty() && !is_host_field(*host)) return errc::host_missing;
    return errc{};
}

inline errc server_handshake::check_origin() const noexcept {
    const auto origin = request().find("Origin");
    if (!origin) return policy_.origin == requirement::required ? errc::origin_refused : errc{};
    if (policy_.allowed_origins.empty()) return errc{};
    const bool allowed = detail::has_origin(policy_.allowed_origins, *origin);
    return allowed ? errc{} : errc::origin_refused;
}

// 9.1: fields that stand there several times are one list, and its order is the client's preference.
inline errc server_handshake::choose_extensions() noexcept {
    for (const http_field field : request()) {
        if (!detail::iequals(field.name, "Sec-WebSocket-Extensions")) continue;
        extension_list list{field.value};
        while (const auto offered = list.next()) {
            if (deflate_answer_ || offered->name != deflate_name) continue;
            // RFC 7692 7.1: an offer with parameters that are not valid is declined, and no error.
            const auto [offer, ec] = parse_deflate_offer(offered->parameters);
            if (ec == errc{}) deflate_answer_ = sansocket::accept(offer, deflate_);
        }
        if (!list.good()) return errc::extensions_invalid;
    }
    return errc{};
}

inline void server_handshake::answer_extensions(std::string& out) const {
    if (deflate_answer_)
        detail::append(out, {"Sec-WebSocket-Extensions: ", encode(*deflate_answer_), "\r\n"});
}

inline errc server_handshake::choose_subprotocol() {
    constexpr std::string_view name = "Sec-WebSocket-Protocol";
    std::vector<std::string_view> offered;
    std::string_view first;  // of those in common, in the client's order
    // 4.1: "The elements that comprise this value MUST be non-empty strings ... and MUST all be
    // unique strings." Each is compared with all before it: a peer does not choose how many.
    const bool bad = request().any_element(name, [&](std::string_view element) {
        if (!is_token(element) || detail::contains(offered, element)) return true;
        if (first.empty() && detail::contains(policy_.subprotocols, element)) first = element;
        offered.push_back(element);
        return offered.size() > max_subprotocols;
    });
    if (bad || (offered.empty() && request().find(name))) return errc::subprotocol_invalid;

    if (policy_.choice == subprotocol_choice::server_order)
        for (const std::string_view own : policy_.subprotocols)
            if (detail::contains(offered, own)) {
                first = own;
                break;
            }
    subprotocol_ = first;
    const bool required = policy_.subprotocol == requirement::required;
    return required && subprotocol_.empty() ? errc::subprotocol_required : errc{};
}

inline bool server_handshake::is_offered(std::string_view subprotocol) const noexcept {
    return request().any_element("Sec-WebSocket-Protocol",
                                 [subprotocol](std::string_view e) { return e == subprotocol; });
}

inline errc server_handshake::accept(std::string_view subprotocol,
                                     std::span<const http_field_value> headers, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    if (state_ != server_handshake_state::deciding) return errc::not_an_upgrade;
    if (!subprotocol.empty() && !is_offered(subprotocol)) return errc::subprotocol_not_offered;

    const std::size_t before = out.size();
    const auto accept = accept_key(request().find("Sec-WebSocket-Key").value_or(""));
    detail::append_status_line(out, 101);
    detail::append(out, {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
                         {accept.data(), accept.size()},
                         "\r\n"});
    if (!subprotocol.empty())
        detail::append(out, {"Sec-WebSocket-Protocol: ", subprotocol, "\r\n"});
    if (answer_extensions_ != nullptr) (this->*answer_extensions_)(out);
    const std::vector<http_field_value>& own = policy_.headers;
    if (!detail::append_fields(out, {own.data(), own.size()}) ||
        !detail::append_fields(out, headers)) {
        out.resize(before);
        return errc::invalid_response;
    }
    detail::append(out, {"\r\n"});
    subprotocol_ = std::string{subprotocol};
    move(server_handshake_event::accept);
    return errc{};
}

inline errc server_handshake::refuse(std::uint16_t status,
                                     std::span<const http_field_value> headers,
                                     std::string_view body, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    if (status < 300 || status == 304) return errc::invalid_response;
    const errc ec = append_response(out, status, headers, body, content());
    if (ec != errc{}) return ec;
    cause_ = errc::refused_by_application;
    move(server_handshake_event::refuse);
    return errc{};
}

inline errc server_handshake::respond(std::uint16_t status,
                                      std::span<const http_field_value> headers,
                                      std::string_view body, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    const errc ec = append_response(out, status, headers, body, content());
    if (ec != errc{}) return ec;
    cause_ = errc::http_answered;
    move(server_handshake_event::respond);
    return errc{};
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MACHINE_SERVER_HANDSHAKE_HPP

// ==== sansocket/detail/chacha.hpp ================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_DETAIL_CHACHA_HPP
#define SANSOCKET_SINGLE_SANSOCKET_DETAIL_CHACHA_HPP
// chacha.hpp
//
// The ChaCha20 block function. RFC 8439 2.3.
//
// A key, a counter and a nonce in; 16 words of keystream out. What makes of it a
// source of masking keys stands in masking_keys.hpp.
//
// Knows nothing of: where the key comes from, how much of the stream was used.
// Section numbers in this file refer to RFC 8439.

namespace sansocket::detail {

using chacha_key = std::array<std::uint32_t, 8>;
using chacha_block = std::array<std::uint32_t, 16>;

// Four bytes from `b` on as a word, least significant first. 2.3.
[[nodiscard]] constexpr std::uint32_t little_endian_word(const std::byte* b) noexcept {
    return std::to_integer<std::uint32_t>(b[0]) | std::to_integer<std::uint32_t>(b[1]) << 8U |
           std::to_integer<std::uint32_t>(b[2]) << 16U |
           std::to_integer<std::uint32_t>(b[3]) << 24U;
}

[[nodiscard]] constexpr chacha_key make_chacha_key(std::span<const std::byte, 32> bytes) noexcept {
    chacha_key key{};
    for (std::size_t i = 0; i != key.size(); ++i) key[i] = little_endian_word(bytes.data() + 4 * i);
    return key;
}

// 2.1.
constexpr void chacha_quarter_round(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c,
                                    std::uint32_t& d) noexcept {
    a += b;
    d = std::rotl(d ^ a, 16);
    c += d;
    b = std::rotl(b ^ c, 12);
    a += b;
    d = std::rotl(d ^ a, 8);
    c += d;
    b = std::rotl(b ^ c, 7);
}

// The 16 words after 20 rounds, the input added. 2.3.
//
// `input` is words 12 to 15: counter and nonce. 2.3 gives the counter one word; with two, and a
// nonce of two, the stream is long enough never to come round (Bernstein's original division).
[[nodiscard]] constexpr chacha_block chacha20(const chacha_key& key,
                                              const std::array<std::uint32_t, 4>& input) noexcept {
    const chacha_block initial{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1],
                               key[2],     key[3],     key[4],     key[5],     key[6], key[7],
                               input[0],   input[1],   input[2],   input[3]};
    chacha_block x = initial;
    for (int double_round = 0; double_round != 10; ++double_round) {
        chacha_quarter_round(x[0], x[4], x[8], x[12]);
        chacha_quarter_round(x[1], x[5], x[9], x[13]);
        chacha_quarter_round(x[2], x[6], x[10], x[14]);
        chacha_quarter_round(x[3], x[7], x[11], x[15]);
        chacha_quarter_round(x[0], x[5], x[10], x[15]);
        chacha_quarter_round(x[1], x[6], x[11], x[12]);
        chacha_quarter_round(x[2], x[7], x[8], x[13]);
        chacha_quarter_round(x[3], x[4], x[9], x[14]);
    }
    for (std::size_t i = 0; i != x.size(); ++i) x[i] += initial[i];
    return x;
}

}  // namespace sansocket::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_DETAIL_CHACHA_HPP

// ==== sansocket/masking_keys.hpp =================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_MASKING_KEYS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_MASKING_KEYS_HPP
// masking_keys.hpp
//
// Where a client's masking keys come from. RFC 6455 5.3, 10.3.
//
// 5.3: "The masking key needs to be unpredictable; thus, the masking key MUST be
// derived from a strong source of entropy". `chacha_keys` stretches 32 bytes of
// entropy, given once, into keys without end: no system call for each frame.
//
// Knows nothing of: where entropy comes from; frames.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// Something that gives a masking key for each frame. 5.3.
///
/// Keys must be unpredictable to whoever chooses the payload; tests alone may do with less.
template <class Source>
concept masking_key_source = requires(Source& source) {
    { source() }
    noexcept->std::same_as<masking_key>;
};

/// Masking keys from the ChaCha20 stream of a seed. 5.3, RFC 8439.
///
/// The same seed gives the same keys. Move-only: two copies would give the same keys too. One that
/// has been moved from may only be destroyed or assigned to.
class chacha_keys {
public:
    /// @param seed  32 bytes that nobody else can know; read now, not kept as a reference.
    explicit constexpr chacha_keys(std::span<const std::byte, 32> seed) noexcept
        : key_(detail::make_chacha_key(seed)) {}

    chacha_keys(const chacha_keys&) = delete;
    chacha_keys& operator=(const chacha_keys&) = delete;
    constexpr chacha_keys(chacha_keys&&) noexcept = default;
    constexpr chacha_keys& operator=(chacha_keys&&) noexcept = default;
    ~chacha_keys() = default;

    /// The next key: four bytes of the stream.
    [[nodiscard]] constexpr masking_key operator()() noexcept {
        if (next_ == block_.size()) refill();
        const std::uint32_t word = block_[next_++];
        return {static_cast<std::byte>(word), static_cast<std::byte>(word >> 8U),
                static_cast<std::byte>(word >> 16U), static_cast<std::byte>(word >> 24U)};
    }

    /// Fills `out` from the stream, in whole words: what is left of the last one is dropped.
    constexpr void fill(std::span<std::byte> out) noexcept {
        while (!out.empty()) {
            const masking_key word = (*this)();
            const std::size_t n = detail::smaller_of(out.size(), word.size());
            for (std::size_t i = 0; i != n; ++i) out[i] = word[i];
            out = out.subspan(n);
        }
    }

private:
    SANSOCKET_NOINLINE constexpr void refill() noexcept {
        block_ = detail::chacha20(key_, {static_cast<std::uint32_t>(counter_),
                                         static_cast<std::uint32_t>(counter_ >> 32U), 0, 0});
        ++counter_;
        next_ = 0;
    }

    detail::chacha_key key_;
    detail::chacha_block block_{};
    std::uint64_t counter_ = 0;
    std::size_t next_ = detail::chacha_block{}.size();  // first word of block_ not yet given out
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_MASKING_KEYS_HPP

// ==== sansocket/options.hpp ======================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_OPTIONS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_OPTIONS_HPP
// options.hpp
//
// What can be chosen for a connection. Every limit is on by default.

namespace sansocket {

class diagnostics_handler;

/// What becomes of messages that are unread, or still arrive, once this endpoint asked for the end.
enum class after_close : std::uint8_t { discard, deliver };

/// Who answers a valid request to a server: `server_policy` alone, or the application, with `accept`
/// or `refuse`, once the policy finds no fault. `manual_with_http`: it is asked about requests that
/// are no upgrade as well, which `respond` or `refuse` answers (`plain_http::allowed`).
enum class request_decision : std::uint8_t { automatic, manual, manual_with_http };

/// Choices and limits of one connection.
struct options {
    message_limits messages;      ///< What one message may cost.
    queue_limits queue;           ///< What may wait to be read.
    send_limits sending;          ///< What may wait to be sent.
    keepalive_options keepalive;  ///< How a silent peer is noticed. On by default in both roles.
    http_limits http;             ///< What the opening handshake may cost.
    deflate_options deflate;      ///< Compression, where the connection has a codec. Default off.
    /// Time for the whole opening handshake; then errc::opening_timeout. 0: no limit. Default 10 s.
    duration opening_timeout = std::chrono::seconds{10};
    /// Time from the Close, or the failure, to the transport's end: output, the peer's Close and the
    /// end of its stream. Traffic never extends it; then the transport is aborted. 0: no limit.
    /// Default 5 seconds.
    duration close_timeout = std::chrono::seconds{5};
    /// Longest that the peer's Close waits to be answered for the messages before it to be taken, and
    /// what is sent in answer to them written. 5.5.1. 0: it does not wait. Default 1 second.
    duration close_delay = std::chrono::seconds{1};
    /// Messages unread or arriving after `close`. Default: discarded.
    sansocket::after_close after_close = sansocket::after_close::discard;
    /// Who answers a valid request. A server's only. Default: automatic.
    request_decision decision = request_decision::automatic;
    /// Whether text to be sent is checked to be UTF-8 (errc::text_not_utf8). 5.6. Default on.
    bool check_sent_text = true;
    /// Is told of leaks and changes of state, where the connection has diagnostics; it outlives the
    /// connection. Default: nobody.
    diagnostics_handler* diagnostics = nullptr;
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_OPTIONS_HPP

// ==== sansocket/prepared_message.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_PREPARED_MESSAGE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_PREPARED_MESSAGE_HPP
// prepared_message.hpp
//
// A message for many: its frame is made once, and the compressed one once for
// each window that connections agreed on, when the first of them needs it.
// Servers send them by reference. A client masks each frame with a key of its
// own (RFC 6455 5.3), and sends it as any other message.
//
// It never changes, and copies of it are the same one: any number of threads may
// send it, each over its own connections. Where several need a compressed frame
// that is not there yet, one makes it and the others wait for it.
//
// Knows nothing of: who gets it, which library compresses.
// Section numbers in this file refer to RFC 7692 unless another is named.

namespace sansocket {

/// A message that is sent over many connections.
class prepared_message {
public:
    /// @param payload  copied.
    /// @param how      of it, level, memory level and the largest window count.
    prepared_message(message_kind kind, std::span<const std::byte> payload,
                     const deflate_options& how = {})
        : shared_(std::make_shared<shared>(kind, payload, how)) {}
    explicit prepared_message(std::string_view text, const deflate_options& how = {})
        : prepared_message(message_kind::text, detail::bytes_of(text), how) {}

    [[nodiscard]] message_kind kind() const noexcept { return shared_->kind; }  ///< Text or binary.
    /// Lives as long as a copy of this message.
    [[nodiscard]] std::span<const std::byte> payload() const noexcept {
        return bytes_of(shared_->plain).subspan(shared_->header_size);
    }
    /// errc::text_not_utf8 where it is text and is not: no connection sends it.
    [[nodiscard]] errc error() const noexcept { return shared_->error; }
    /// How it is compressed.
    [[nodiscard]] const deflate_options& how() const noexcept { return shared_->how; }

    /// A server's frame.
    [[nodiscard]] shared_payload frame() const { return {shared_, bytes_of(shared_->plain)}; }

    /// A server's compressed frame for connections with a window of `window_bits`, made now if it is
    /// not there; nothing where it would be no smaller, or there is no memory to compress with.
    ///
    /// @tparam Codec  a model of `deflate_codec`.
    template <class Codec>
    [[nodiscard]] std::optional<shared_payload> compressed(std::uint8_t window_bits) const;

    /// How many compressed frames were made.
    [[nodiscard]] std::size_t compressed_frames() const noexcept {
        std::size_t made = 0;
        for (const compressed_frame& f : shared_->compressed)
            if (f.state.load(std::memory_order_acquire) == frame_state::made) ++made;
        return made;
    }

private:
    enum class frame_state : std::uint8_t { none, being_made, made, useless };

    struct compressed_frame {
        std::atomic<frame_state> state = frame_state::none;
        std::vector<std::byte> bytes;  // written by who set `being_made`, until `made`
    };

    struct shared {
        shared(message_kind k, std::span<const std::byte> payload, const deflate_options& h)
            : kind(k), how(h), plain(frame_of(k, payload, false)) {
            header_size = plain.size() - payload.size();
            if (k == message_kind::text && !is_valid_utf8(payload)) error = errc::text_not_utf8;
        }
        message_kind kind;
        errc error{};
        deflate_options how;
        std::size_t header_size = 0;
        std::vector<std::byte> plain;
        std::array<compressed_frame, 8>
            compressed;  // 8 to 15 bits, by the last three of the number
    };

    // Sets the state of a frame that is being made, whatever becomes of it, and wakes who waits.
    struct making {
        ~making() {
            frame->state.store(result, std::memory_order_release);
            frame->state.notify_all();
        }
        compressed_frame* frame;
        frame_state result = frame_state::none;
    };

    static std::span<const std::byte> bytes_of(const std::vector<std::byte>& frame) noexcept {
        return {frame.data(), frame.size()};
    }
    static std::vector<std::byte> frame_of(message_kind kind, std::span<const std::byte> payload,
                                           bool compressed);
    template <class Codec>
    void make(compressed_frame& to, std::uint8_t window_bits) const;

    std::shared_ptr<shared> shared_;
};

inline std::vector<std::byte> prepared_message::frame_of(message_kind kind,
                                                         std::span<const std::byte> payload,
                                                         bool compressed) {
    const frame_header header{true, opcode_of(kind), payload.size(), std::nullopt, compressed};
    std::vector<std::byte> out(encoded_size(header) + payload.size());
    const std::size_t size = encode(header, out.data());
    detail::copy_bytes(payload, out.data() + size);
    return out;
}

template <class Codec>
std::optional<shared_payload> prepared_message::compressed(std::uint8_t window_bits) const {
    const std::uint8_t most = detail::larger_of(shared_->how.own_window_bits, min_window_bits);
    const std::uint8_t bits =
        detail::smaller_of(window_bits, detail::smaller_of(most, max_window_bits));
    compressed_frame& frame = shared_->compressed[std::size_t{bits} % 8U];
    for (;;) {
        frame_state seen = frame.state.load(std::memory_order_acquire);
        if (seen == frame_state::made) return shared_payload{shared_, frame.bytes};
        if (seen == frame_state::useless) return std::nullopt;
        if (seen == frame_state::being_made) frame.state.wait(seen, std::memory_order_acquire);
        else if (frame.state.compare_exchange_strong(seen, frame_state::being_made))
            make<Codec>(frame, bits);
    }
}

template <class Codec>
void prepared_message::make(compressed_frame& to, std::uint8_t window_bits) const {
    making end{&to};
    message_deflater<Codec> deflater(shared_->how);
    deflater.start({window_bits, false});  // it refers to no other message
    const auto compressed = deflater.wants(compression::on, payload().size())
                                ? deflater.whole(payload())
                                : std::nullopt;
    if (compressed) to.bytes = frame_of(kind(), *compressed, true);
    end.result = compressed ? frame_state::made : frame_state::useless;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_PREPARED_MESSAGE_HPP

// ==== sansocket/wire/close_payload.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_PAYLOAD_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_PAYLOAD_HPP
// close_payload.hpp
//
// The payload of a Close frame: nothing, or a code and a reason. 5.5.1.
//
// Knows nothing of: whether a Close may be sent now.
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// Most bytes of a Close frame's reason: 125 less the two of the code. 5.5.
inline constexpr std::size_t max_close_reason = max_control_payload - 2;

/// What `parse_close_payload` found. `reason` is a view of its input.
struct close_payload_result {
    close_code code = close_code::no_status;  ///< `no_status` for an empty payload. 7.1.5.
    std::string_view reason;                  ///< UTF-8, 0 to 123 bytes.
    errc ec = errc::ok;                       ///< What is wrong, if anything.
};

/// Reads a Close frame's payload. 5.5.1, 7.4.
///
/// @param in  the whole payload, unmasked, 0 to 125 bytes.
/// @return code and reason; or errc::close_payload_length (one byte), errc::close_code_reserved (a
///         code that may not be sent), errc::close_reason_not_utf8.
[[nodiscard]] inline close_payload_result parse_close_payload(
    std::span<const std::byte> in) noexcept {
    if (in.empty()) return {};
    if (in.size() == 1) return {close_code::no_status, {}, errc::close_payload_length};
    const auto code = static_cast<close_code>(detail::read_big_endian(in.first(2)));
    if (!may_be_sent(code)) return {close_code::no_status, {}, errc::close_code_reserved};
    const auto text = in.subspan(2);
    const std::string_view reason{reinterpret_cast<const char*>(text.data()), text.size()};
    if (!is_valid_utf8(text)) return {close_code::no_status, {}, errc::close_reason_not_utf8};
    return {code, reason, errc::ok};
}

/// The payload of a Close frame, ready to be sent: 0 bytes, or 2 to 125.
struct close_payload {
    std::array<std::byte, max_control_payload> storage{};  ///< Its first `size` bytes are set.
    std::size_t size = 0;                                  ///< Bytes: 0, or 2 to 125.

    /// The payload: a view of `storage`.
    [[nodiscard]] constexpr std::span<const std::byte> bytes() const noexcept {
        return {storage.data(), size};
    }
};

/// Judges what a caller wants in a Close frame. 5.5.1, 7.4.
///
/// `close_code::no_status` asks for an empty payload and takes no reason.
///
/// @return success, errc::invalid_close_code, errc::close_reason_too_long (over 123 bytes), or
///         errc::text_not_utf8.
[[nodiscard]] inline errc check_close(close_code code, std::string_view reason) noexcept {
    if (code == close_code::no_status) return reason.empty() ? errc::ok : errc::invalid_close_code;
    if (!may_be_sent(code)) return errc::invalid_close_code;
    if (reason.size() > max_close_reason) return errc::close_reason_too_long;
    return is_valid_utf8(reason) ? errc::ok : errc::text_not_utf8;
}

/// Writes a Close frame's payload. `check_close(code, reason)` must be success. 5.5.1.
[[nodiscard]] constexpr close_payload make_close_payload(close_code code,
                                                         std::string_view reason) noexcept {
    close_payload out;
    if (code == close_code::no_status) return out;
    const auto value = static_cast<std::uint16_t>(code);
    out.storage[0] = static_cast<std::byte>(value >> 8U);
    out.storage[1] = static_cast<std::byte>(value & 0xFFU);
    out.size = 2;
    for (const char c : reason) out.storage[out.size++] = static_cast<std::byte>(c);
    return out;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_CLOSE_PAYLOAD_HPP

// ==== sansocket/connection.hpp ===================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_CONNECTION_HPP
#define SANSOCKET_SINGLE_SANSOCKET_CONNECTION_HPP
// connection.hpp                                                    start reading here
//
// One endpoint of a WebSocket connection, client or server, without any I/O.
// It hands values from one state machine to the next and decides nothing.
//
//   transport bytes -> frame_reader -> message_reader -> message queue -> you
//   you -> send_queue -> transport bytes
//   beside them: client_handshake or server_handshake, close_handshake, keepalive
//
// Four kinds of call:
//   the outside did something   receive, receive_end, transport_lost, advance
//   you want something          send_*, start/append/finish, close, abort, accept, refuse,
//                              respond
//   you take                    messages(), output() + consume_output(), next_deadline()
//   queries                     all else: noexcept, an answer in every state, moved-from too
//
// Where an allocation throws, the call has changed nothing, or what it began has a
// deadline, or the connection is over: none is left hanging.
//
// **After every call that may change something, write `output()`, do what
// `wants_shutdown()` says, and wait no longer than `next_deadline()`.**
//
//   1. while `wants_write()`: write output() and say consume_output(n, now)
//   2. `wants_shutdown()`: half close, close or abort the transport
//   3. if `wants_read()`: read; receive(bytes, now) until it takes no more; or
//      receive_end(now) at the end of the stream; or transport_lost(now)
//   4. at `next_deadline()`: advance(now)
//   5. take messages().pop() whenever you like, until it gives nothing: then you are done with the
//      last one, and a Close that came behind it is answered
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

/// One endpoint of a connection.
///
/// @tparam Role   client or server.
/// @tparam Queue  where messages go: a model of `message_queue_for_connection`.
/// @tparam Keys   a client's source of masking keys: a model of `masking_key_source`.
/// @tparam Diagnostics  `no_diagnostics` or `with_diagnostics`; by default that of the build.
/// @tparam Deflate  a codec for permessage-deflate: a model of `deflate_codec`. By default none.
template <role Role, class Queue = message_queue<>, class Keys = chacha_keys,
          class Diagnostics = default_diagnostics, class Deflate = no_deflate>
class connection {
    static_assert(detail::check_message_queue<Queue>());
    static_assert(masking_key_source<Keys>);
    static_assert(detail::check_deflate_codec<Deflate>());
    static constexpr bool is_client = Role == role::client;
    static constexpr bool deflates = Deflate::enabled;
    struct no_keys {};
    enum class opening_phase : std::uint8_t { running, done, failed };
    using opening_handshake = std::conditional_t<is_client, client_handshake, server_handshake>;
    using reader_type = frame_reader<Role, deflates ? rsv1::compressed : rsv1::reserved>;
    using piece_type = typename reader_type::piece_type;

public:
    static constexpr role endpoint_role = Role;  ///< Whose end it is.
    using queue_type = Queue;                    ///< Where messages go.
    using diagnostics_type = Diagnostics;        ///< What watches it.
    using deflate_type = Deflate;                ///< What compresses, or nothing.

    /// A client that asks for `request`. Its output is the opening handshake. 4.1.
    ///
    /// @param keys   a fresh source of unpredictable bytes: the handshake's key and all masking keys.
    /// @param where  its creation, for diagnostics.
    connection(
        const client_request& request, Keys keys, time_point now,
        const sansocket::options& options = {},
        const source_location& where =
            source_location::current()) requires(Role == role::client &&
                                                 std::constructible_from<Queue, queue_limits>)
        : connection(request, std::move(keys), now, options, Queue(options.queue), where) {}
    connection(const client_request& request, Keys keys, time_point now,
               const sansocket::options& options, Queue queue,
               const source_location& where = source_location::current()) requires(Role ==
                                                                                   role::client);

    /// A server that waits for a request and judges it by `policy`. 4.2.
    connection(
        const server_policy& policy, time_point now, const sansocket::options& options = {},
        const source_location& where =
            source_location::current()) requires(Role == role::server &&
                                                 std::constructible_from<Queue, queue_limits>)
        : connection(policy, now, options, Queue(options.queue), where) {}
    connection(const server_policy& policy, time_point now, const sansocket::options& options,
               Queue queue,
               const source_location& where = source_location::current()) requires(Role ==
                                                                                   role::server);

    /// What is moved from is closed, and answers every query.
    connection(connection&& other) noexcept;
    connection& operator=(connection&& other) noexcept;
    /// Diagnostics tell of it if the connection was open or closing.
    ~connection() { report_leak(); }

    // The outside did something.

    /// Bytes came from the transport. 5.2.
    ///
    /// @param bytes  unmasked where they lie; not looked at after the call.
    /// @return how many were taken: all, unless the message queue is full (`wants_read()` is false),
    ///         or a server waits for a decision on its request. Bring the rest again later.
    /// @throws what an allocation or the queue throws. How far the bytes were taken is not known
    ///         then, and the connection is aborted; messages that came whole before are readable.
    std::size_t receive(std::span<std::byte> bytes, time_point now);
    /// The transport's input ended: EOF. `how`: errc::end_of_stream, or errc::tls_truncated.
    void receive_end(time_point now, errc how = errc::end_of_stream);
    /// The transport takes no more output: it is lost, but what it holds of input is to be read
    /// first, up to `receive_end` or `transport_lost`. Sends answer errc::closed from here on.
    void output_lost(time_point now);
    /// The transport is gone, in both directions.
    void transport_lost(time_point now, errc how = errc::transport_lost);
    /// Time has passed. May be called at any time; must be at `next_deadline()`.
    void advance(time_point now);

    // You want something. What fails changed nothing: errc::not_open, errc::closing, errc::closed;
    // of messages also errc::backpressure, errc::text_not_utf8, errc::message_in_progress.

    /// Sends a text message, copied.
    SANSOCKET_ALWAYS_INLINE errc send_text(std::string_view text) {
        return send(message_kind::text, detail::bytes_of(text));
    }
    /// Sends a binary message, copied.
    SANSOCKET_ALWAYS_INLINE errc send_binary(std::span<const std::byte> bytes) {
        return send(message_kind::binary, bytes);
    }
    /// Sends a message, copied.
    SANSOCKET_ALWAYS_INLINE errc send(message_kind kind, std::span<const std::byte> payload) {
        if (const errc ec = may_send(); ec != errc::ok) [[unlikely]]
            return ec;
        if constexpr (deflates) return send_by_size(kind, payload, compression::automatic);
        else return writer_.send(kind, payload, out_, key_source());
    }
    /// The same, compressed or not. RFC 7692 6.1. Of no effect where compression was not agreed on.
    errc send(message_kind kind, std::span<const std::byte> payload, compression how) {
        const errc ec = may_send();
        return ec == errc::ok ? send_by_size(kind, payload, how) : ec;
    }
    /// Sends a message that is given away; a large one is not copied.
    template <std::same_as<std::string> Text>
    errc send_text(Text&& text) {
        return give(message_kind::text, std::move(text));
    }
    template <std::same_as<std::vector<std::byte>> Bytes>
    errc send_binary(Bytes&& bytes) {
        return give(message_kind::binary, std::move(bytes));
    }  ///< Sends bytes that are given away; many are not copied.
    errc send(message&& given) { return give(given.kind, std::move(given.data)); }  ///< Given away.
    /// Sends a message whose payload is shared with others; a server does not copy it.
    errc send_shared(message_kind kind, shared_payload payload) {
        if (const errc ec = may_send(); ec != errc::ok) return ec;
        if (compresses(payload.bytes.size()))
            return send_by_size(kind, payload.bytes, compression::automatic);
        return writer_.send_shared(kind, std::move(payload), out_, key_source());
    }

    /// Sends a message that is made once for many connections; a server does not copy it. With
    /// context takeover, the context begins afresh behind it.
    errc send(const prepared_message& prepared);

    /// Sends a message, copied, in frames of at most `send_limits::fragment_bytes`, so that control
    /// frames go between. 5.4.
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload,
                         compression how = compression::automatic);

    /// Begins a message whose size is not known. 5.4.
    errc start(message_kind kind, compression how = compression::automatic);
    /// Sends its next part, in frames of at most `send_limits::fragment_bytes`.
    /// errc::no_message_in_progress.
    errc append(std::span<const std::byte> part) { return send_part(part, false); }
    errc append(std::string_view part) { return append(detail::bytes_of(part)); }
    /// Sends its last part, which may be empty. errc::no_message_in_progress.
    errc finish(std::span<const std::byte> part = {}) { return send_part(part, true); }

    /// Sends a Ping of at most 125 bytes. 5.5.2. errc::control_too_long, errc::backpressure.
    errc send_ping(std::span<const std::byte> payload = {}) {
        return send_control(opcode::ping, payload);
    }
    /// Sends an unsolicited Pong. 5.5.3. As `send_ping`. Pings are answered without this.
    errc send_pong(std::span<const std::byte> payload = {}) {
        return send_control(opcode::pong, payload);
    }

    /// Starts the closing handshake: a Close frame behind all that was accepted. 7.1.2.
    ///
    /// Before the connection is open it ends it without one, and a server answers with 503. The
    /// deadline starts now.
    ///
    /// @param reason  at most 123 bytes of UTF-8; none with `close_code::no_status`, which sends an
    ///                empty Close.
    /// @return also errc::invalid_close_code, errc::close_reason_too_long, errc::text_not_utf8.
    errc close(close_code code, std::string_view reason, time_point now);

    /// Gives the connection up at once: no Close frame, unread messages and waiting output gone.
    /// With errc::dropped, which says that nobody meant to, diagnostics tell of it.
    void abort(errc cause = errc::aborted) noexcept;

    /// A server with `request_decision::manual` accepts the request. 4.2.2. errc::not_deciding,
    /// errc::not_an_upgrade, errc::subprotocol_not_offered, errc::invalid_response.
    errc accept(std::string_view subprotocol, std::span<const http_field_value> fields,
                time_point now) requires(Role == role::server);
    /// It refuses with a status of 300 to 599. errc::not_deciding, errc::invalid_response.
    errc refuse(std::uint16_t status, std::span<const http_field_value> fields,
                std::string_view body, time_point now) requires(Role == role::server);

    /// It answers in plain HTTP with a status of 200 to 599, and ends, with errc::http_answered; see
    /// `append_response`. 4.2.1. errc::not_deciding, errc::invalid_response.
    errc respond(std::uint16_t status, std::span<const http_field_value> fields,
                 std::string_view body, time_point now) requires(Role == role::server);

    // You take.

    /// The message queue.
    [[nodiscard]] Queue& messages() noexcept { return queue_; }
    [[nodiscard]] const Queue& messages() const noexcept { return queue_; }
    /// What to write next, at most 16 buffers; say `consume_output` before asking again.
    [[nodiscard]] output_buffers output() noexcept { return out_.output(); }
    /// The transport took the first `n` bytes of `output()`, or none.
    void consume_output(std::size_t n, time_point now);
    /// When `advance` is due; `never` if at no time.
    [[nodiscard]] time_point next_deadline() const noexcept;
    /// Gives back the memory that nothing lies in. A Ping for want of traffic does it too.
    void shrink() noexcept;

    // Queries.

    [[nodiscard]] connection_state state() const noexcept;  ///< Opening, open, closing or closed.
    /// Whether the opening handshake was completed, however the connection ended since.
    [[nodiscard]] bool was_opened() const noexcept { return phase_ == opening_phase::done; }
    /// Whether a server waits for `accept`, `refuse` or `respond`.
    [[nodiscard]] bool deciding() const noexcept;
    /// Whether it waits for that on an upgrade. Others: see `request_decision::manual_with_http`.
    [[nodiscard]] bool request_is_upgrade() const noexcept;
    [[nodiscard]] bool wants_read() const noexcept;  ///< Whether bytes are to be read for it now.
    [[nodiscard]] bool wants_write() const noexcept {
        return !out_.empty() && !shutdown_.aborted();
    }  ///< Whether `output()` has something, and the transport may take it.
    [[nodiscard]] shutdown_request wants_shutdown() const noexcept {
        return shutdown_.request(phase(), out_.empty());
    }  ///< What is to be done with the transport now. 7.1.1.
    /// Whether the transport is of no more use.
    [[nodiscard]] bool should_close() const noexcept {
        return wants_shutdown() >= shutdown_request::close;
    }
    /// How it ended, or what is known so far. 7.1.
    [[nodiscard]] const sansocket::close_info& close_info() const noexcept { return close_.info(); }
    /// Bytes accepted for sending that the transport has not taken.
    [[nodiscard]] std::size_t output_bytes() const noexcept { return out_.bytes(); }
    /// Most bytes of a part that are sent as one frame.
    [[nodiscard]] std::size_t fragment_bytes() const noexcept { return writer_.fragment(); }
    /// Whether a message would be told `backpressure` now.
    [[nodiscard]] bool output_full() const noexcept { return out_.full(); }
    /// Whether senders that were told `backpressure` may try again.
    [[nodiscard]] bool output_drained() const noexcept { return out_.drained(); }
    /// The opening handshake, for its request, response and subprotocol; null once released.
    [[nodiscard]] const opening_handshake* handshake() const noexcept { return opening_.get(); }
    /// The subprotocol agreed on; empty if none, and once the handshake is released.
    [[nodiscard]] std::string_view subprotocol() const noexcept {
        return opening_ ? opening_->subprotocol() : std::string_view{};
    }
    /// What was agreed on for permessage-deflate; nothing where it is not in use. RFC 7692 7.1.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept;
    /// Frees what the opening handshake holds. Only once it is over.
    void release_handshake() noexcept {
        if (state() != connection_state::opening) opening_.reset();
    }
    /// From the last Ping that the connection sent to its Pong.
    [[nodiscard]] std::optional<duration> round_trip() const noexcept {
        return keepalive_.round_trip();
    }
    /// What it has done so far.
    [[nodiscard]] connection_counters counters() const noexcept;
    /// How it stands, all at once. Its views live as long as the handshake is held.
    [[nodiscard]] connection_snapshot explain() const noexcept;

private:
    using own_keys = std::conditional_t<is_client, Keys, no_keys>;
    connection(const sansocket::options& options, Queue queue, own_keys keys, time_point now,
               const source_location& where);

    // Whether it is open, as an answer to who wants something of it.
    SANSOCKET_ALWAYS_INLINE errc may_close() const noexcept {
        if (close_.state() == close_state::open && !opening()) [[likely]]
            return errc::ok;
        if (opening()) return errc::not_open;
        if (close_.state() == close_state::received) return errc::ok;  // it waits its turn
        return close_.state() < close_state::complete ? errc::closing : errc::closed;
    }
    SANSOCKET_ALWAYS_INLINE errc may_send() const noexcept {
        const errc ec = may_close();
        return ec == errc::ok && out_.stopped() ? errc::closed : ec;
    }
    bool compresses(std::size_t size) const noexcept;
    errc send_by_size(message_kind kind, std::span<const std::byte> payload, compression how);
    template <class Owned>
    errc give(message_kind kind, Owned&& payload);
    errc send_part(std::span<const std::byte> part, bool fin);
    errc send_control(opcode op, std::span<const std::byte> payload);
    auto key_source() noexcept {
        if constexpr (is_client) return [&keys = keys_]() noexcept { return keys(); };
        else return []() noexcept { return masking_key{}; };
    }
    void push_close(close_code code, std::string_view reason);
    [[nodiscard]] bool opening() const noexcept { return phase_ == opening_phase::running; }
    void receive_opening(std::span<std::byte>& in, time_point now);
    void opened(time_point now);
    void start_deflate();
    errc unless_refused(errc cause) noexcept;
    void refuse_opening(errc cause, std::string_view response, time_point now);
    void receive_frames(std::span<std::byte>& in, time_point now);
    SANSOCKET_ALWAYS_INLINE void receive_data(const piece_type& piece, time_point now);
    void receive_control(const frame_piece& piece, bool behind_messages, time_point now);
    void receive_close(std::span<const std::byte> payload, bool behind_messages, time_point now);
    void answer_close(time_point now);
    bool close_is_next() const noexcept;
    void fail(errc ec, time_point now);
    void changed() noexcept { diagnostics_.changed(state(), close_.info().cause); }
    void report_leak() const noexcept;
    void end(errc cause) noexcept;
    void give_up(errc cause) noexcept;
    // An exception left a call half done: there is nothing to go on with.
    struct unless_done {
        connection& c;
        bool done = false;
        SANSOCKET_ALWAYS_INLINE ~unless_done() {
            if (!done) c.give_up(errc::aborted);
        }
    };
    bool reads_frames() const noexcept { return close_.state() <= close_state::sent; }
    bool incomplete() const noexcept;
    transport_phase phase() const noexcept;

    detail::own_counters counters_;
    duration close_timeout_, close_delay_;
    sansocket::after_close after_close_;
    request_decision decision_;
    opening_phase phase_ = opening_phase::running;
    std::unique_ptr<opening_handshake> opening_;
    reader_type frames_;
    message_reader<Role> messages_;
    SANSOCKET_NO_UNIQUE_ADDRESS detail::if_codec<Deflate, message_inflater> inflater_;
    SANSOCKET_NO_UNIQUE_ADDRESS detail::if_codec<Deflate, message_deflater> deflater_;
    Queue queue_;
    message_writer writer_;
    send_queue<Role> out_;
    close_handshake close_;
    keepalive keepalive_;
    transport_shutdown<Role> shutdown_;
    SANSOCKET_NO_UNIQUE_ADDRESS own_keys keys_;
    SANSOCKET_NO_UNIQUE_ADDRESS Diagnostics diagnostics_;
};

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_CONNECTION_HPP

// ==== sansocket/connection_closing.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_CONNECTION_CLOSING_HPP
#define SANSOCKET_SINGLE_SANSOCKET_CONNECTION_CLOSING_HPP
// connection_closing.hpp
//
// How a `connection` closes and ends: what it hands to the closing handshake, and
// what goes with it. The contract is in connection.hpp; what is legal when is
// decided in machine/close_handshake.hpp.
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_close(
    std::span<const std::byte> payload, bool behind_messages, time_point now) {
    const auto [code, reason, ec] = parse_close_payload(payload);
    if (ec != errc::ok) return fail(ec, now);
    close_.receive(code, std::string{reason}, messages_.inside_fragments());
    keepalive_.stop();
    queue_.end(close_.info().cause);
    const bool answers = !detail::settled(queue_) || (behind_messages && !out_.empty());
    const bool waits = answers && close_delay_ > duration::zero() && !out_.stopped();
    if (waits && close_.state() == close_state::received) return shutdown_.arm(now, close_delay_);
    answer_close(now);
}

// Whether what came before the peer's Close was taken, and what was sent meanwhile is written. 5.5.1:
// "An endpoint MAY delay sending a Close frame until its current message is sent".
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::close_is_next() const noexcept {
    return close_.state() == close_state::received && out_.empty() && detail::settled(queue_);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::answer_close(time_point now) {
    if (close_.state() == close_state::received) shutdown_.disarm();
    shutdown_.arm(now, close_timeout_);
    // 1.4: nothing but our own Close is sent from here on, and that one at once.
    const std::size_t before = out_.bytes();
    const bool dropped = out_.drop_unsent();
    std::size_t kept = out_.bytes();
    if (close_.state() == close_state::received) {
        const close_code code = close_.info().received->code;
        close_.start(code, {});
        push_close(code, {});  // 5.5.1: "typically echos the status code it received"
    } else if (dropped && close_.state() == close_state::replying) {
        push_close(close_.info().sent->code, close_.info().sent->reason);
        kept = out_.bytes();
    }
    close_.drop(before - kept);
    const bool answers = close_.state() == close_state::replying;
    if (answers && out_.stopped()) return end(errc::transport_lost);  // nobody hears the answer
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::close(close_code code,
                                                                std::string_view reason,
                                                                time_point now) {
    if (const errc ec = check_close(code, reason); ec != errc::ok) return ec;
    diagnostics_.at(now);
    keepalive_.told(now);
    if (opening()) {
        if constexpr (is_client) abort(errc::closed_locally);
        else refuse_opening(errc::closed_locally, opening_->answer_to(errc::closed_locally), now);
        return errc::ok;
    }
    if (const errc ec = may_close(); ec != errc::ok) return ec;
    std::string said{reason};  // what can fail comes first: then nothing has changed
    push_close(code, reason);
    close_.start(code, std::move(said));
    keepalive_.stop();
    if (close_.state() == close_state::replying) shutdown_.disarm();  // it waited its turn
    shutdown_.arm(now, close_timeout_);
    if (after_close_ == after_close::discard) queue_.clear();
    changed();
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::push_close(close_code code,
                                                                     std::string_view reason) {
    out_.push(opcode::close, true, make_close_payload(code, reason).bytes(), key_source()());
}

// 7.1.7 "Fail the WebSocket Connection".
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::fail(errc ec, time_point now) {
    const bool says_why = close_.state() == close_state::open;
    const std::string_view reason = describe(ec);
    const auto code = says_why ? std::optional{close_code_for(ec)} : std::nullopt;
    close_.fail(ec, messages_.inside_fragments(), code, std::string{reason});
    if (says_why) {
        const std::size_t before = out_.bytes();
        out_.drop_unsent();
        close_.drop(before - out_.bytes());
        push_close(*code, reason);
    }
    keepalive_.stop();
    shutdown_.arm(now, close_timeout_);
    queue_.end(ec);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_end(time_point now, errc how) {
    diagnostics_.at(now);
    shutdown_.end_of_input();
    // 7.1.4: after the peer's Close, or our failure, this is the expected end; output still goes.
    if (opening() || reads_frames())
        transport_lost(now, out_.stopped() ? errc::transport_lost : how);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::output_lost(time_point now) {
    diagnostics_.at(now);
    keepalive_.told(now);
    close_.drop(out_.bytes());
    out_.stop();
    const auto s = close_.state();
    if (s == close_state::received || s == close_state::replying || s == close_state::failed)
        end(errc::transport_lost);  // nobody hears what was still to be said
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::transport_lost(time_point now, errc how) {
    diagnostics_.at(now);
    keepalive_.told(now);
    shutdown_.end_of_input();
    end(unless_refused(how));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::abort(errc cause) noexcept {
    if (phase() == transport_phase::over) return;
    if (cause == errc::dropped) report_leak();
    queue_.clear();
    give_up(cause);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::end(errc cause) noexcept {
    close_.end(cause, !opening() && incomplete());
    close_.drop(out_.bytes());
    if (opening()) phase_ = opening_phase::failed;
    keepalive_.stop();
    shutdown_.disarm();
    queue_.end(close_.info().cause);
    out_.stop();
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::give_up(errc cause) noexcept {
    shutdown_.abort();
    end(cause);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_CONNECTION_CLOSING_HPP

// ==== sansocket/connection_queries.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_CONNECTION_QUERIES_HPP
#define SANSOCKET_SINGLE_SANSOCKET_CONNECTION_QUERIES_HPP
// connection_queries.hpp
//
// How a `connection` stands. The contract is in connection.hpp.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_CONNECTION_QUERIES_HPP

// ==== sansocket/connection_routes.hpp ============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_CONNECTION_ROUTES_HPP
#define SANSOCKET_SINGLE_SANSOCKET_CONNECTION_ROUTES_HPP
// connection_routes.hpp
//
// How `connection` hands values from one state machine to the next. The
// contract is in connection.hpp; a decision that needs more than a line here
// belongs in a machine.
//
// Section numbers in this file refer to RFC 6455.

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(const sansocket::options& options,
                                                                Queue queue, own_keys keys,
                                                                time_point now,
                                                                const source_location& where)
    : close_timeout_(options.close_timeout),
      close_delay_(options.close_delay),
      after_close_(options.after_close),
      decision_(options.decision),
      messages_(options.messages),
      inflater_(options.deflate),
      deflater_(options.deflate),
      queue_(std::move(queue)),
      writer_(options.check_sent_text, options.sending.fragment_bytes),
      out_(options.sending),
      keepalive_(options.keepalive),
      keys_(std::move(keys)),
      diagnostics_(options.diagnostics, Role, now, where) {
    shutdown_.arm(now, options.opening_timeout);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(
    const client_request& request, Keys keys, time_point now, const sansocket::options& options,
    Queue queue, const source_location& where) requires(Role == role::client)
    : connection(options, std::move(queue), std::move(keys), now, where) {
    std::array<std::byte, 16> nonce;
    for (std::size_t i = 0; i != nonce.size(); i += 4) {
        const masking_key key = keys_();
        detail::copy_bytes({key.data(), key.size()}, nonce.data() + i);
    }
    opening_ = std::make_unique<opening_handshake>(request, nonce, options.http,
                                                   wants_with<Deflate>(options.deflate));
    if (opening_->error() != errc::ok) end(opening_->error());
    else out_.push_raw(detail::bytes_of(opening_->request()));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(
    const server_policy& policy, time_point now, const sansocket::options& options, Queue queue,
    const source_location& where) requires(Role == role::server)
    : connection(options, std::move(queue), no_keys{}, now, where) {
    const auto plain = options.decision == request_decision::manual_with_http ? plain_http::allowed
                                                                              : plain_http::refused;
    if constexpr (deflates)
        opening_ = std::make_unique<opening_handshake>(policy, options.http,
                                                       wants_with<Deflate>(options.deflate), plain);
    else opening_ = std::make_unique<opening_handshake>(policy, options.http, plain);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(connection&& other) noexcept
    : counters_(other.counters_),
      close_timeout_(other.close_timeout_),
      close_delay_(other.close_delay_),
      after_close_(other.after_close_),
      decision_(other.decision_),
      phase_(other.phase_),
      opening_(std::move(other.opening_)),
      frames_(other.frames_),
      messages_(std::move(other.messages_)),
      inflater_(std::move(other.inflater_)),
      deflater_(std::move(other.deflater_)),
      queue_(std::move(other.queue_)),
      writer_(other.writer_),
      out_(std::move(other.out_)),
      close_(std::move(other.close_)),
      keepalive_(other.keepalive_),
      shutdown_(other.shutdown_),
      keys_(std::move(other.keys_)),
      diagnostics_(std::move(other.diagnostics_)) {
    other.shutdown_.abort();
    other.end(errc::aborted);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
auto connection<Role, Queue, Keys, Diagnostics, Deflate>::operator=(connection&& other) noexcept
    -> connection& {
    if (this != &other) {
        std::destroy_at(this);
        std::construct_at(this, std::move(other));
    }
    return *this;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
std::size_t connection<Role, Queue, Keys, Diagnostics, Deflate>::receive(std::span<std::byte> bytes,
                                                                         time_point now) {
    std::span<std::byte> in = bytes;
    unless_done given_up{*this};
    diagnostics_.at(now);
    diagnostics_.received(bytes);
    keepalive_.received(now);
    if (opening()) receive_opening(in, now);
    if (!opening()) {
        if (reads_frames()) receive_frames(in, now);
        if (!reads_frames()) {  // 1.4, 7.1.7: nothing after the Close or the failure counts
            close_.discard(in.size());
            in = {};
        }
    }
    given_up.done = true;
    const std::size_t taken = bytes.size() - in.size();
    counters_.bytes_received += taken;
    counters_.most_queued_bytes = detail::larger_of(counters_.most_queued_bytes, queue_.bytes());
    return taken;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_opening(std::span<std::byte>& in,
                                                                          time_point now) {
    const auto [consumed, ec] = opening_->receive(in);
    in = in.subspan(consumed);
    if (ec == errc::need_more) return;
    if constexpr (is_client) {
        if (ec != errc::ok) return end(ec);
    } else {
        if (ec != errc::ok) return refuse_opening(ec, opening_->response(), now);
        if (decision_ != request_decision::automatic) return;
        std::string response;
        if (const errc no = opening_->accept(response); no != errc::ok)
            return refuse_opening(no, error_response(no), now);
        out_.push_raw(detail::bytes_of(response));
    }
    opened(now);
}

// A refusal stays the cause where the rest of its body does not come.
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::unless_refused(errc cause) noexcept {
    if constexpr (is_client) return opening() ? opening_->end(cause) : cause;
    else return cause;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::opened(time_point now) {
    phase_ = opening_phase::done;
    if constexpr (deflates) start_deflate();
    shutdown_.disarm();
    keepalive_.start(now);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_frames(std::span<std::byte>& in,
                                                                         time_point now) {
    const std::uint64_t earlier = messages_.count();
    while (!in.empty()) {
        if (queue_.paused() && close_.state() == close_state::open) return keepalive_.suspend();
        piece_type piece;
        if (const errc ec = frames_.next(in, piece); ec != errc::ok) [[unlikely]] {
            if (ec != errc::need_more) fail(ec, now);
            return;
        }
        if (is_control(piece.opcode)) [[unlikely]]
            receive_control(piece, messages_.count() != earlier, now);
        else receive_data(piece, now);
        if (!reads_frames()) [[unlikely]]
            return;
    }
    if (queue_.paused() && close_.state() == close_state::open) keepalive_.suspend();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
SANSOCKET_ALWAYS_INLINE void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_data(
    const piece_type& piece, time_point now) {
    if (close_.state() != close_state::open) [[unlikely]] {
        if (queue_.paused())
            after_close_ = after_close::discard;  // closing is never paused: bounded
        if (after_close_ == after_close::discard) {
            queue_.abandon();
            return close_.discard(piece.payload.size());
        }
    }
    errc ec{};
    if constexpr (deflates)
        ec = messages_.receive(piece, queue_, inflater_, keepalive_.last_received());
    else ec = messages_.receive(piece, queue_, keepalive_.last_received());
    if (ec != errc::ok) [[unlikely]]
        fail(ec, now);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_control(const frame_piece& piece,
                                                                          bool behind_messages,
                                                                          time_point now) {
    const auto payload = messages_.receive_control(piece);
    if (!payload) return;
    if (piece.opcode == opcode::close) return receive_close(*payload, behind_messages, now);
    if (piece.opcode == opcode::pong) {
        ++counters_.pongs_received;
        if (const auto took = keepalive_.pong(*payload, now)) {
            counters_.count_round_trip(*took);
            out_.shrink();  // of the room that the Ping took
        }
        return;
    }
    // 5.5.2: "MUST send a Pong frame in response, unless it already received a Close frame."
    if (out_.push_control(opcode::pong, *payload, key_source()()) == errc::ok)
        ++counters_.pings_answered;
}

// The answer is flushed, and the client given time to read it, before the transport goes.
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::refuse_opening(errc cause,
                                                                         std::string_view response,
                                                                         time_point now) {
    out_.push_raw(detail::bytes_of(response));
    phase_ = opening_phase::failed;
    close_.fail(cause, false, std::nullopt, {});
    shutdown_.disarm();
    shutdown_.arm(now, close_timeout_);
    queue_.end(cause);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::shrink() noexcept {
    messages_.shrink();
    queue_.shrink();
    out_.shrink();
    if constexpr (deflates) inflater_.shrink(), deflater_.shrink();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::advance(time_point now) {
    diagnostics_.at(now);
    keepalive_.told(now);
    if (close_is_next() ||
        (close_.state() == close_state::received && now >= shutdown_.deadline())) {
        unless_done given_up{*this};
        answer_close(now);
        given_up.done = true;
        return;
    }
    if (now >= shutdown_.deadline()) {
        if (!shutdown_.expire(phase(), out_.empty()))
            end(opening() ? unless_refused(errc::opening_timeout) : errc::close_timeout);
        return;
    }
    if (keepalive_.state() == keepalive_state::suspended && !queue_.paused()) {
        keepalive_.resume(now);
        messages_.resume(now);
    }
    const auto [ping, ec] = keepalive_.advance(now, !out_.empty());
    if (ping) {
        shrink();  // so long a silence is idleness
        if (out_.push_control(opcode::ping, keepalive_.payload(), key_source()()) == errc::ok)
            ++counters_.pings_sent;
    }
    if (ec != errc::ok) return give_up(ec);
    if (close_.state() != close_state::open || now < messages_.deadline(queue_)) return;
    unless_done given_up{*this};
    fail(errc::message_too_slow, now);
    given_up.done = true;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
time_point connection<Role, Queue, Keys, Diagnostics, Deflate>::next_deadline() const noexcept {
    if (keepalive_.state() == keepalive_state::suspended && !queue_.paused()) return immediately;
    if (close_is_next()) return immediately;
    time_point due =
        detail::smaller_of(shutdown_.deadline(), keepalive_.next_deadline(!out_.empty()));
    if (messages_.inside_message() && close_.state() == close_state::open) [[unlikely]]
        due = detail::smaller_of(due, messages_.deadline(queue_));
    return due;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::consume_output(std::size_t n,
                                                                         time_point now) {
    diagnostics_.at(now);
    counters_.bytes_sent += n;
    counters_.most_output_bytes = detail::larger_of(counters_.most_output_bytes, out_.bytes());
    out_.consume(n);
    if (n != 0) keepalive_.written(!out_.empty(), now);
    if (close_.state() == close_state::open || !out_.data_empty() || out_.stopped()) return;
    close_.flush();
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::accept(
    std::string_view subprotocol, std::span<const http_field_value> fields,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->accept(subprotocol, fields, response); ec != errc::ok) return ec;
    unless_done given_up{*this};
    out_.push_raw(detail::bytes_of(response));
    opened(now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::refuse(
    std::uint16_t status, std::span<const http_field_value> fields, std::string_view body,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->refuse(status, fields, body, response); ec != errc::ok) return ec;
    unless_done given_up{*this};
    refuse_opening(errc::refused_by_application, response, now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::respond(
    std::uint16_t status, std::span<const http_field_value> fields, std::string_view body,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->respond(status, fields, body, response); ec != errc::ok)
        return ec;
    unless_done given_up{*this};
    refuse_opening(errc::http_answered, response, now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::request_is_upgrade() const noexcept {
    if constexpr (is_client) return false;
    else return deciding() && opening_->state() == server_handshake_state::deciding;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection_counters connection<Role, Queue, Keys, Diagnostics, Deflate>::counters() const noexcept {
    connection_counters c;
    c.bytes_received = counters_.bytes_received;
    c.bytes_sent = counters_.bytes_sent;
    c.messages_received = messages_.count();
    c.messages_sent = writer_.count();
    c.pings_sent = counters_.pings_sent;
    c.pings_answered = counters_.pings_answered;
    c.pongs_received = counters_.pongs_received;
    c.round_trips = counters_.round_trips;
    c.round_trip_sum = counters_.round_trip_sum;
    c.longest_round_trip = counters_.longest_round_trip;
    c.most_queued_bytes = counters_.most_queued_bytes;
    c.most_output_bytes = detail::larger_of(counters_.most_output_bytes, out_.bytes());
    return c;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_CONNECTION_ROUTES_HPP

// ==== sansocket/connection_sends.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_CONNECTION_SENDS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_CONNECTION_SENDS_HPP
// connection_sends.hpp
//
// How `connection` sends, with a codec and without one. The contract is in
// connection.hpp.

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::start_deflate() {
    const auto agreed = opening_->deflate();
    if (!agreed) return;
    frames_.allow_compressed();
    inflater_.start(agreed->sent_by(peer_of(Role)));
    deflater_.start(agreed->sent_by(Role));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
std::optional<deflate_agreement> connection<Role, Queue, Keys, Diagnostics, Deflate>::deflate()
    const noexcept {
    if constexpr (deflates) {
        const deflate_direction &peer = inflater_.direction(), &own = deflater_.direction();
        if (inflater_.state() != inflater_state::off)
            return is_client ? deflate_agreement{peer, own} : deflate_agreement{own, peer};
    }
    return std::nullopt;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::compresses(
    std::size_t size) const noexcept {
    if constexpr (deflates) return deflater_.wants(compression::automatic, size);
    else return false;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_by_size(
    message_kind kind, std::span<const std::byte> payload, compression how) {
    if constexpr (deflates) {
        if (deflater_.wants(how, payload.size()))
            return writer_.send(kind, payload, out_, key_source(), deflater_);
    }
    return writer_.send(kind, payload, out_, key_source());
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
template <class Owned>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::give(message_kind kind, Owned&& payload) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    const auto bytes = std::as_bytes(std::span{payload});
    if (compresses(bytes.size())) return send_by_size(kind, bytes, compression::automatic);
    return writer_.send_owned(kind, std::forward<Owned>(payload), out_, key_source());
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send(const prepared_message& prepared) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    if (prepared.error() != errc::ok) return prepared.error();
    if constexpr (is_client) {
        return send_by_size(prepared.kind(), prepared.payload(), compression::automatic);
    } else {
        if (const errc ec = writer_.may_send_frame(out_); ec != errc::ok) return ec;
        shared_payload frame = prepared.frame();
        if constexpr (deflates) {
            const std::uint8_t bits = deflater_.direction().window_bits;
            if (compresses(prepared.payload().size()))
                if (auto compressed = prepared.template compressed<Deflate>(bits)) {
                    frame = std::move(*compressed);
                    deflater_.sent_elsewhere();
                }
        }
        out_.push_frame(std::move(frame));
        writer_.sent();
        return errc::ok;
    }
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::start(message_kind kind,
                                                                compression how) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    const errc ec = writer_.start(kind);
    if constexpr (deflates) {
        if (ec == errc::ok) (void)deflater_.start_message(how);
    }
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_part(std::span<const std::byte> part,
                                                                    bool fin) {
    errc ec = may_send();
    if (ec != errc::ok) return ec;
    unless_done given_up{*this, part.size() <= writer_.fragment()};  // one frame is all or nothing
    bool compressed = false;
    if constexpr (deflates) {
        compressed = deflater_.inside();
        if (compressed) ec = writer_.append(part, fin, out_, key_source(), deflater_);
    }
    if (!compressed) ec = writer_.append(part, fin, out_, key_source());
    given_up.done = true;
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_fragmented(
    message_kind kind, std::span<const std::byte> payload, [[maybe_unused]] compression how) {
    errc ec = may_send();
    if (ec != errc::ok) return ec;
    unless_done given_up{*this};
    if constexpr (deflates) {
        if (!deflater_.wants(how, payload.size())) how = compression::off;
        ec = writer_.send_fragmented(kind, payload, out_, key_source(), deflater_, how);
    } else ec = writer_.send_fragmented(kind, payload, out_, key_source());
    given_up.done = true;
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_control(
    opcode op, std::span<const std::byte> payload) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    if (payload.size() > max_control_payload) return errc::control_too_long;
    const errc done = out_.push_control(op, payload, key_source()());
    if (done == errc::ok && op == opcode::ping) ++counters_.pings_sent;
    return done;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_CONNECTION_SENDS_HPP

// ==== sansocket_asio/detail/operations.hpp =======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OPERATIONS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OPERATIONS_HPP
// operations.hpp
//
// What each of a websocket's asynchronous operations waits for. See wait_op.hpp
// for the shape.

namespace sansocket_asio::detail {

// What takes the messages.
enum class receiver : std::uint8_t { none, receive, piece, run };

// The opening handshake is over, well or not. Whoever waits for that began it.
struct opened {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        switch (s.core_->state()) {
        case sansocket::connection_state::opening: return std::nullopt;
        case sansocket::connection_state::open:
        case sansocket::connection_state::closing: return std::error_code{};
        case sansocket::connection_state::closed:
            return s.core_->was_opened() ? std::error_code{} : s.ending();
        }
        return std::nullopt;
    }
};

// A server has a request to decide on.
struct asked {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        if (s.core_->deciding()) return std::error_code{};
        if (s.core_->state() == sansocket::connection_state::opening) return std::nullopt;
        return s.over() ? s.ending() : std::error_code{sansocket::errc::not_deciding};
    }
};

// Begins the connection, and waits for the step `Until`.
template <class Until, class Begin>
struct begin_operation {
    using result = void;

    std::unique_ptr<Begin> begin;  // errc(session&); gone when it was called

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (begin) {
            const sansocket::errc ec = (*begin)(s);
            begin.reset();
            if (ec != sansocket::errc::ok) return ec;
        }
        return Until::look(s);
    }
    template <class Session>
    void cancelled(Session& s) const noexcept {
        s.abort(sansocket::errc::cancelled);
    }
};

// What a receive takes: whole messages.
struct whole_messages {
    using result = sansocket::message;
    static constexpr receiver who = receiver::receive;
    template <class Queue>
    static bool ready(const Queue& q) noexcept {
        return q.size() != 0;
    }
    template <class Queue>
    static auto take(Queue& q) noexcept {
        return q.pop();
    }
};

// And what has come of one.
struct pieces {
    using result = sansocket::message_piece;
    static constexpr receiver who = receiver::piece;
    template <class Queue>
    static bool ready(const Queue& q) noexcept {
        return q.piece_ready();
    }
    template <class Queue>
    static auto take(Queue& q) noexcept {
        return q.pop_piece();
    }
};

// A message or a piece, or the end: that one is told when the closing handshake is done. What is here
// already is taken when the operation completes, and not before: cancelled in between, it stays.
template <class What>
struct receive_operation {
    using result = typename What::result;

    result value{};
    bool mine = false;     // whether this is the session's one receiver
    bool at_once = false;  // whether there is nothing to wait for

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.readable();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        return mine ? take(s) : claim(s);
    }
    template <class Session>
    void let_go(Session& s) const noexcept {
        if (mine) s.receiver_ = receiver::none;
    }

private:
    template <class Session>
    std::optional<std::error_code> claim(Session& s) {
        if (s.receiver_ != receiver::none) return sansocket::errc::operation_in_progress;
        auto& queue = s.core_->messages();
        if (!What::ready(queue)) {
            (void)What::take(queue);     // gives nothing: says what is taken, and that all was
            if (s.stalled()) s.drive();  // that has made room
        }
        at_once = What::ready(queue);
        if (!at_once && s.over()) return s.core_->close_info().cause;
        s.receiver_ = What::who;
        mine = true;
        return std::nullopt;
    }
    template <class Session>
    std::optional<std::error_code> take(Session& s) {
        auto taken = What::take(s.core_->messages());
        mine = !taken && !s.over();
        s.receiver_ = mine ? What::who : receiver::none;
        if (mine) return std::nullopt;
        if (!taken) return s.core_->close_info().cause;
        value = result{*taken};
        s.drive();  // there may be room again
        return std::error_code{};
    }
};

// Every message, to a handler, until the end: that one is told when all were handed over.
struct run_operation {
    using result = void;

    std::shared_ptr<message_handler> handler;
    bool waits_for_room;
    bool mine = false;  // whether this is the session's one receiver

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.readable();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!mine && s.receiver_ != receiver::none) return sansocket::errc::operation_in_progress;
        if (!std::exchange(mine, true)) {
            s.receiver_ = receiver::run;
            if (s.core_->messages().size() == 0) (void)s.core_->messages().pop();  // as above
            s.start_run(handler, waits_for_room);
        }
        const bool failed = !s.runs();  // the handler has thrown
        if (!s.over() || (s.core_->messages().size() != 0 && !failed)) return std::nullopt;
        let_go(s);
        return failed ? std::error_code{s.core_->close_info().cause} : s.ending();
    }
    template <class Session>
    void let_go(Session& s) const noexcept {
        if (!mine) return;
        s.receiver_ = receiver::none;
        s.stop_run();
    }
};

// Room for what `Send` sends. Senders that wait go on in the order in which they came; where too many
// do, no other begins to, but for the adapter's own.
template <class Send, class Session>
struct send_operation {
    using result = void;

    Send send;                           // errc(connection&)
    std::optional<std::size_t> given{};  // bytes that it holds; nothing: the adapter's own
    std::optional<typename Session::place> place{};

    auto& timer(Session&) const noexcept { return (*place)->timer; }
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        const bool open = s.core_->state() == sansocket::connection_state::open;
        sansocket::errc ec = sansocket::errc::backpressure;
        if (!open || s.is_first(place)) ec = send(*s.core_);
        if (waits(ec)) {
            if (!place) {
                if (given && !s.senders().has_room()) return sansocket::errc::backpressure;
                place = s.line_up(line::back, given.value_or(0));
            }
            return std::nullopt;
        }
        if (place) s.step_out(*std::exchange(place, std::nullopt));
        if (ec == sansocket::errc::ok) s.drive();
        return ec;
    }

    // For room, or for the end of the message that is being sent.
    static bool waits(sansocket::errc ec) noexcept {
        return ec == sansocket::errc::backpressure || ec == sansocket::errc::message_in_progress;
    }
    void let_go(Session& s) noexcept {
        if (place) s.step_out_or_end(*place);
        place.reset();
    }
};

// Room for a part of a message, frame by frame. It waits ahead of those that send messages.
template <class Session>
struct append_operation {
    using result = std::size_t;

    std::span<const std::byte> rest;
    bool fin;
    std::size_t value = 0;  // bytes that were taken
    bool at_once = false;   // whether there is nothing to wait for
    std::optional<typename Session::place> place{};

    auto& timer(Session&) const noexcept { return (*place)->timer; }
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!place && s.appending_) return sansocket::errc::operation_in_progress;
        const sansocket::errc ec = append(*s.core_);
        if (ec == sansocket::errc::backpressure) {
            if (!place) place = s.line_up(line::front);
            s.appending_ = true;
            s.drive();                          // a part was taken
            at_once = !s.core_->output_full();  // and is written already
            return std::nullopt;
        }
        if (place) s.appending_ = false;
        if (place) s.step_out(*std::exchange(place, std::nullopt));
        s.drive();
        return ec;
    }

    template <class Connection>
    sansocket::errc append(Connection& core) {
        for (;;) {
            const bool last = rest.size() <= core.fragment_bytes();
            const auto part = last ? rest : rest.first(core.fragment_bytes());
            const sansocket::errc ec = fin && last ? core.finish(part) : core.append(part);
            if (ec != sansocket::errc::ok) return ec;
            value += part.size();
            rest = rest.subspan(part.size());
            if (last) return ec;
        }
    }
    void let_go(Session& s) noexcept {
        if (!place) return;
        s.appending_ = false;
        s.step_out_or_end(*place);
        place.reset();
    }
};

// Little enough waits to be sent, and nobody for room.
struct drain_operation {
    using result = void;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) const {
        if (!s.core_) return sansocket::errc::not_open;
        switch (s.core_->state()) {
        case sansocket::connection_state::opening: return sansocket::errc::not_open;
        case sansocket::connection_state::open:
        case sansocket::connection_state::closing: break;
        case sansocket::connection_state::closed: return s.core_->close_info().cause;
        }
        const bool drained = s.core_->output_drained() && !s.senders_wait();
        return drained ? std::optional{std::error_code{}} : std::nullopt;
    }
};

// The end of the closing handshake. Success if it was clean.
struct close_operation {
    using result = void;

    sansocket::close_code code;
    std::string reason;
    bool asked = false;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return sansocket::errc::not_open;
        if (!std::exchange(asked, true)) {
            const sansocket::errc ec = s.core_->close(code, reason, s.now());
            s.drive();
            const bool joins = ec == sansocket::errc::closing || ec == sansocket::errc::closed;
            if (ec != sansocket::errc::ok && !joins) return ec;
        }
        return s.over() ? std::optional{s.ending()} : std::nullopt;
    }
    template <class Session>
    void cancelled(Session& s) const noexcept {
        s.abort(sansocket::errc::cancelled);
    }
};

// The end of the transport, and the Close before it. Success if the closing handshake was clean.
struct shutdown_operation {
    using result = void;
    static constexpr bool outlives_websocket = true;

    sansocket::close_code code;
    std::string reason;
    bool asked = false;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(Session& s) {
        if (!s.core_) return std::error_code{};
        if (!std::exchange(asked, true)) {
            (void)s.core_->close(code, reason, s.now());  // one that ends already goes on
            s.drive();
        }
        return s.ended() ? std::optional{s.ending()} : std::nullopt;
    }
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OPERATIONS_HPP

// ==== sansocket_asio/detail/outbox.hpp ===========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OUTBOX_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OUTBOX_HPP
// outbox.hpp
//
// The line in front of a connection's send queue, of what is not sent by its own
// executor or must not wait for room: a mutex, messages, a limit, what becomes of
// them at the limit, and an answer: whether the connection takes any more.

namespace sansocket_asio::detail {

class outbox {
public:
    struct item {
        std::variant<sansocket::message, sansocket::prepared_message, sansocket::close_frame> what;
        std::optional<when_full> policy{};  // without one it waits
    };

    /// `wake` posts a call of the session's `empty_outbox` to the connection's executor.
    outbox(const backlog_limits& limits, sansocket::errc answer, std::function<void()> wake)
        : limits_(limits), answer_(answer), wake_(std::move(wake)) {}

    /// Whether it may be sent at all: errc::text_not_utf8.
    static sansocket::errc check(const item& i) noexcept {
        if (const auto* const p = std::get_if<sansocket::prepared_message>(&i.what))
            return p->error();
        const auto* const m = std::get_if<sansocket::message>(&i.what);
        const bool text = m && m->kind == sansocket::message_kind::text;
        return text && !sansocket::is_valid_utf8(m->bytes()) ? sansocket::errc::text_not_utf8
                                                             : sansocket::errc::ok;
    }
    /// Gives it to the core; unchanged where that does not take it.
    template <class Connection>
    static sansocket::errc hand_to(Connection& core, item& i, sansocket::time_point now) {
        if (auto* const m = std::get_if<sansocket::message>(&i.what))
            return core.send(std::move(*m));
        if (const auto* const m = std::get_if<sansocket::prepared_message>(&i.what))
            return core.send(*m);
        const auto& frame = std::get<sansocket::close_frame>(i.what);
        return core.close(frame.code, frame.reason, now);
    }

    // From any thread.

    sansocket::errc push(item given) {
        std::list<item> one, dropped;  // freed outside of the lock
        one.push_back(std::move(given));
        const std::scoped_lock lock(mutex_);
        if (const auto answer = answer_.load(); answer != sansocket::errc::ok) return answer;
        if (is_close(one.front())) answer_ = sansocket::errc::closing;
        else if (!make_room(one.front().policy, dropped)) return sansocket::errc::backpressure;
        bytes_ += cost(one.front());
        items_.splice(items_.end(), one);
        if (!std::exchange(waking_, true)) wake_();
        return sansocket::errc::ok;
    }
    /// From now on. What is there stays.
    void limit(const backlog_limits& limits) {
        const std::scoped_lock lock(mutex_);
        limits_ = limits;
    }
    [[nodiscard]] bool waits() const {
        const std::scoped_lock lock(mutex_);
        return !items_.empty();
    }
    [[nodiscard]] std::size_t bytes() const {
        const std::scoped_lock lock(mutex_);
        return bytes_;
    }
    [[nodiscard]] drop_counters dropped() const {
        const std::scoped_lock lock(mutex_);
        return dropped_;
    }

    // On the connection's executor.

    /// Gives the core what waits, as far as it takes it. `backpressure`: call again when it drains.
    template <class Connection>
    sansocket::errc pass_on(Connection& core, sansocket::time_point now) {
        while (!take().empty()) {
            const auto ec = hand_to(core, taken_.front(), now);
            const auto policy = taken_.front().policy;
            const bool no_room = ec == sansocket::errc::backpressure;
            if (no_room && policy == when_full::close) close_slow(core, now);
            if (no_room && policy == when_full::drop_new) count(&drop_counters::dropped_new);
            if (no_room && policy && policy != when_full::drop_old) continue;
            if (!no_room && ec != sansocket::errc::message_in_progress)
                continue;  // a core that is over takes nothing
            put_back();    // unchanged, for it was not taken
            return sansocket::errc::backpressure;
        }
        return sansocket::errc::ok;
    }
    /// Closes because the peer is too slow, where somebody asked for that.
    template <class Connection>
    void close_slow(Connection& core, sansocket::time_point now) {
        const auto ec = core.close(sansocket::close_code::policy_violation, "too slow", now);
        if (ec == sansocket::errc::ok) count(&drop_counters::closed);
    }
    [[nodiscard]] bool too_slow() const {
        const std::scoped_lock lock(mutex_);
        return too_slow_;
    }
    void count(std::uint64_t drop_counters::*which) {
        const std::scoped_lock lock(mutex_);
        ++(dropped_.*which);
    }
    /// What the connection answers to who sends from now on.
    void answer(sansocket::errc ec) {
        if (answer_.load() == ec) return;
        std::list<item> dropped;  // freed outside of the lock
        const std::scoped_lock lock(mutex_);
        const bool closes = answer_.load() == sansocket::errc::closing;
        if (closes && ec != sansocket::errc::closed)
            return;  // a close that is still to be passed on
        answer_ = ec;
        if (ec == sansocket::errc::ok) return;
        dropped.swap(items_);
        bytes_ = 0;
        if (ec == sansocket::errc::closed) wake_ = [] {};  // whatever it holds is let go
    }

private:
    static bool is_close(const item& i) noexcept {
        return std::holds_alternative<sansocket::close_frame>(i.what);
    }
    static std::size_t cost(const item& i) noexcept {
        constexpr std::size_t each = 64;
        if (const auto* const m = std::get_if<sansocket::message>(&i.what))
            return m->data.size() + each;
        if (const auto* const m = std::get_if<sansocket::prepared_message>(&i.what))
            return m->payload().size() + each;
        return 0;
    }
    [[nodiscard]] bool full() const noexcept {
        return bytes_ >= limits_.bytes || items_.size() >= limits_.count;
    }

    // Whether there is room for one more, now that `policy` was applied.
    bool make_room(std::optional<when_full> policy, std::list<item>& dropped) {
        while (full() && policy == when_full::drop_old && drop_oldest(dropped)) {}
        if (!full()) return true;
        if (!policy) return false;
        if (*policy == when_full::close) {
            answer_ = sansocket::errc::closing;
            too_slow_ = true;
            wake_();  // whatever waits already
        } else ++dropped_.dropped_new;
        return false;
    }
    bool drop_oldest(std::list<item>& dropped) {
        auto oldest = items_.begin();
        while (oldest != items_.end() && oldest->policy != when_full::drop_old) ++oldest;
        if (oldest == items_.end()) return false;
        bytes_ -= cost(*oldest);
        ++dropped_.dropped_old;
        dropped.splice(dropped.end(), items_, oldest);
        return true;
    }

    // The first of the line, out of it.
    const std::list<item>& take() {
        taken_.clear();
        const std::scoped_lock lock(mutex_);
        waking_ = !items_.empty();
        if (waking_) {
            taken_.splice(taken_.end(), items_, items_.begin());
            bytes_ -= cost(taken_.front());
        }
        return taken_;
    }
    void put_back() {
        const std::scoped_lock lock(mutex_);
        bytes_ += cost(taken_.front());
        items_.splice(items_.begin(), taken_);
    }

    mutable std::mutex mutex_;
    std::list<item> items_;
    std::size_t bytes_ = 0;
    backlog_limits limits_;
    drop_counters dropped_;
    bool waking_ = false;    // a call of pass_on is on its way
    bool too_slow_ = false;  // somebody asked for the close that is due to slow peers
    std::atomic<sansocket::errc> answer_;
    std::function<void()> wake_;
    std::list<item> taken_;  // by pass_on: not under the mutex
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_OUTBOX_HPP

// ==== sansocket_asio/detail/waiting_handler.hpp ==================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAITING_HANDLER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAITING_HANDLER_HPP
// waiting_handler.hpp
//
// What the adapter hands to Asio to wait for: no larger than it must be, for it may
// wait as long as a connection is idle, and of few types, for each type is compiled
// through all of Asio's layers.

namespace sansocket_asio::detail {

// Memory for one operation. By default Asio takes the block that an earlier, larger operation has left,
// and whoever waits as long as the connection lives keeps all of it.
template <class T>
struct exact_memory {
    using value_type = T;

    exact_memory() = default;
    template <class U>
    exact_memory(const exact_memory<U>&) noexcept {}  // NOLINT: as an allocator is
    T* allocate(std::size_t n) { return std::allocator<T>{}.allocate(n); }
    void deallocate(T* p, std::size_t n) noexcept { std::allocator<T>{}.deallocate(p, n); }
    template <class U>
    bool operator==(const exact_memory<U>&) const noexcept {
        return true;
    }
};

// Waits for a timer, for a socket, or for a turn of an executor. What it waits for owns it.
class waiter {
public:
    struct destroyer {
        void operator()(waiter* w) const noexcept { w->destroy(); }
    };
    using owner = std::unique_ptr<waiter, destroyer>;

    waiter() = default;
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    // The wait is over. `ec`: what a timer or a socket says.
    virtual void woken(owner self, std::error_code ec) = 0;
    // What cancels it.
    [[nodiscard]] virtual ::asio::cancellation_slot slot() const noexcept { return {}; }

protected:
    ~waiter() = default;

private:
    virtual void destroy() noexcept = 0;
};

// As Asio knows all of them.
struct waiting_handler {
    using allocator_type = exact_memory<std::byte>;
    using cancellation_slot_type = ::asio::cancellation_slot;

    explicit waiting_handler(waiter::owner w) noexcept : of(std::move(w)) {}
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
        return of->slot();
    }
    void operator()(std::error_code ec = {}) {
        waiter& w = *of;
        w.woken(std::move(of), ec);
    }

    waiter::owner of;
};

// A part of `Owner`, which lives as long as it waits; then `Owner::woken(What, ec)` is called. It
// waits for one thing at a time, and nothing need be allocated for that.
template <class Owner, class What>
class waiting_part final : public waiter {
public:
    waiting_handler wait(std::shared_ptr<Owner> whole) noexcept {
        whole_ = std::move(whole);
        return waiting_handler(owner(this));
    }

private:
    void woken(owner self, std::error_code ec) override {
        const auto whole = std::move(whole_);
        (void)self.release();
        whole->woken(What{}, ec);
    }
    void destroy() noexcept override { const auto let_go = std::move(whole_); }

    std::shared_ptr<Owner> whole_;
};

// One that keeps nothing alive: then `Owner::woken(What, ec)` is called if there still is one.
template <class Owner, class What>
class weak_waiter final : public waiter {
public:
    static waiting_handler wait(std::weak_ptr<Owner> whole) {
        return waiting_handler(owner(new weak_waiter(std::move(whole))));
    }

private:
    explicit weak_waiter(std::weak_ptr<Owner> whole) noexcept : whole_(std::move(whole)) {}
    ~weak_waiter() = default;
    void woken(owner self, std::error_code ec) override {
        const auto whole = whole_.lock();
        self.reset();
        if (whole) whole->woken(What{}, ec);
    }
    void destroy() noexcept override { delete this; }

    std::weak_ptr<Owner> whole_;
};

// A session's own handler of any other kind.
template <class Function>
struct own_handler {
    using allocator_type = exact_memory<std::byte>;

    explicit own_handler(Function f) : function(std::move(f)) {}
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    template <class... Args>
    void operator()(Args&&... args) {
        function(std::forward<Args>(args)...);
    }

    Function function;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAITING_HANDLER_HPP

// ==== sansocket_asio/detail/wait_op.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAIT_OP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAIT_OP_HPP
// wait_op.hpp
//
// One asynchronous operation of a session: look whether it can complete, and if
// not, wait until something has changed and look again.
//
// It looks on the session's executor, and completes on its handler's. It never
// completes inside the function that started it. Cancelled between two looks, or
// destroyed because there is no memory to wait with, it has taken nothing.
//
// An `Operation` has
//     using result = ...;                  what follows the error code: void, or a type
//     auto& timer(session&)                which timer wakes it
//     std::optional<std::error_code> look(session&)   nothing: wait
//     void let_go(session&) noexcept       if it claims something: it will not look again
//     void cancelled(session&) noexcept    if it means more than that to be cancelled
//     bool at_once                         set by a look: the next one is due without waiting
//     outlives_websocket                   if it goes on when the websocket is destroyed
//     result value                         unless void

namespace sansocket_asio::detail {

template <class Timer>
class wait_op : public waiter {
public:
    void start() { go_on(owner(this), true); }

protected:
    // What it waits for: nothing where it is over.
    struct next {
        Timer* timer = nullptr;
        bool at_once = false;
    };

    template <class On>
    static void finish_on(const On& executor, waiting_handler last, bool starting) {
        if (starting) ::asio::post(executor, std::move(last));
        else ::asio::dispatch(executor, std::move(last));
    }
    // The same on the session's executor, or on the other one that there is.
    template <class Session, class Executor>
    static void finish_near(Session* session, const Executor* other, waiting_handler last,
                            bool starting) {
        const auto executor = other != nullptr ? *other : session->executor();
        finish_on(executor, std::move(last), starting);
    }

    explicit wait_op(const ::asio::cancellation_state& cancellation) noexcept
        : cancellation_(cancellation) {}
    ~wait_op() = default;
    [[nodiscard]] bool over() const noexcept { return over_; }
    // What was to cancel it knows it no longer.
    void forget_cancellation() noexcept { cancellation_.slot().clear(); }

private:
    virtual next look() = 0;
    virtual void cancelled() noexcept = 0;
    // Has `last` called on the handler's executor, but never inside of `start`.
    virtual void finish(waiting_handler last, bool starting) = 0;
    // Calls the handler, and is gone then.
    virtual void tell() = 0;

    void woken(owner self, std::error_code) override {
        if (!over_) return go_on(std::move(self), false);
        (void)self.release();
        tell();
    }
    [[nodiscard]] ::asio::cancellation_slot slot() const noexcept override {
        return cancellation_.slot();
    }

    void go_on(owner self, bool starting) {
        next after;
        if (!starting && cancellation_.cancelled() != ::asio::cancellation_type::none) cancelled();
        else after = look();
        over_ = after.timer == nullptr;
        if (over_) forget_cancellation();
        waiting_handler handler(std::move(self));
        if (over_) finish(std::move(handler), starting);
        else if (after.at_once) ::asio::post(after.timer->get_executor(), std::move(handler));
        else after.timer->async_wait(std::move(handler));
    }

    ::asio::cancellation_state cancellation_;
    bool over_ = false;
};

// An executor that knows that something will come; of the older kind, with a guard.
template <class Executor>
auto work_on(const Executor& executor) {
    if constexpr (::asio::execution::is_executor<Executor>::value)
        return ::asio::prefer(executor, ::asio::execution::outstanding_work_t::tracked);
    else return ::asio::executor_work_guard<Executor>(executor);
}
template <class Executor>
Executor executor_of(const Executor& executor) {
    return executor;
}
template <class Executor>
Executor executor_of(const ::asio::executor_work_guard<Executor>& guard) {
    return guard.get_executor();
}

template <class Executor>
using work_of = decltype(detail::work_on(std::declval<const Executor&>()));

// Whether work for an executor of that type may be for `Home` itself.
template <class Home, class Executor>
inline constexpr bool may_be_home =
    std::is_same_v<Executor, Home>&& std::is_same_v<Executor, work_of<Executor>>;

// What a handler that runs elsewhere keeps running: its executor, and the session's, to which it may
// come back.
template <class Home, class Executor>
struct work_elsewhere {
    work_of<Executor> there;
    work_of<Home> here;
};

// Nothing where that is the session's own, which has work while somebody waits. `own`: the same where
// there is no session.
template <class Session, class Executor>
std::unique_ptr<work_elsewhere<typename Session::executor_type, Executor>> work_beside(
    Session* session, const typename Session::executor_type& own, const Executor& executor) {
    using home = typename Session::executor_type;
    if constexpr (may_be_home<home, Executor>)
        if (session != nullptr && session->executor() == executor) return nullptr;
    return std::make_unique<work_elsewhere<home, Executor>>(
        work_elsewhere<home, Executor>{detail::work_on(executor), detail::work_on(own)});
}

// With the handler that is told. `Executor` is the one of a handler that has none.
template <class Session, class Operation, class Handler, class Executor>
class wait_op_for final : public wait_op<typename Session::timer_type> {
    using base = wait_op<typename Session::timer_type>;
    using typename base::next;
    using handlers_executor = ::asio::associated_executor<Handler, Executor>;
    using executor_type = typename handlers_executor::type;
    using home_type = typename Session::executor_type;
    using handlers_allocator = ::asio::associated_allocator<Handler, exact_memory<std::byte>>;
    using allocator = typename std::allocator_traits<
        typename handlers_allocator::type>::template rebind_alloc<wait_op_for>;
    // A block that holds no object.
    struct memory {
        memory(const allocator& a, wait_op_for* p) : from(a), block(p) {}
        memory(const memory&) = delete;
        ~memory() {
            if (block != nullptr) std::allocator_traits<allocator>::deallocate(from, block, 1);
        }
        allocator from;
        wait_op_for* block;
    };

public:
    static void start(std::shared_ptr<Session> session, Operation operation,
                      const Executor& executor, Handler handler) {
        allocator from = allocator_of(handler);
        memory m(from, std::allocator_traits<allocator>::allocate(from, 1));
        base* const made = ::new (static_cast<void*>(m.block))
            wait_op_for(std::move(session), std::move(operation), executor, handler);
        m.block = nullptr;
        made->start();
    }

private:
    wait_op_for(std::shared_ptr<Session> session, Operation operation, const Executor& executor,
                Handler& handler)
        : base(::asio::cancellation_state(::asio::get_associated_cancellation_slot(handler),
                                          ::asio::enable_total_cancellation())),
          session_(std::move(session)),
          operation_(std::move(operation)),
          elsewhere_(beside(session_.get(), executor, handlers_executor::get(handler, executor))),
          handler_(std::move(handler)) {}
    ~wait_op_for() = default;

    // A websocket's `executor` is the session's, also where there is no session.
    static auto beside(Session* session, const Executor& executor, const executor_type& there) {
        if constexpr (std::is_same_v<Executor, home_type>)
            return detail::work_beside(session, executor, there);
        else return detail::work_beside(session, session->executor(), there);
    }
    static allocator allocator_of(const Handler& handler) {
        return allocator(handlers_allocator::get(handler, exact_memory<std::byte>()));
    }

    next look() override {
        std::optional<std::error_code> done;
        if (!session_) done = sansocket::errc::closed;  // its websocket was moved from
        else done = operation_.look(*session_);
        if (!done && session_->dropped() && !requires { Operation::outlives_websocket; })
            done = sansocket::errc::dropped;
        if (done && *done) ec_ = *done;  // success has no category of ours
        if (done) return {};
        auto& timer = operation_.timer(*session_);
        if constexpr (requires { operation_.at_once; })
            return {&timer, std::exchange(operation_.at_once, false)};
        else return {&timer};
    }
    void cancelled() noexcept override {
        let_go();
        if constexpr (requires { operation_.cancelled(*session_); })
            operation_.cancelled(*session_);
        ec_ = ::asio::error::operation_aborted;
    }
    void let_go() noexcept {
        if constexpr (requires { operation_.let_go(*session_); }) operation_.let_go(*session_);
    }
    void finish(waiting_handler last, bool starting) override {
        if constexpr (may_be_home<home_type, executor_type>)
            base::finish_near(session_.get(), elsewhere_ ? &elsewhere_->there : nullptr,
                              std::move(last), starting);
        else base::finish_on(detail::executor_of(elsewhere_->there), std::move(last), starting);
    }
    // The handler has its memory back before it is called.
    void tell() override {
        const allocator from = allocator_of(handler_);
        const auto until_called = std::move(elsewhere_);
        Handler handler(std::move(handler_));
        const std::error_code ec = ec_;
        if constexpr (std::is_void_v<typename Operation::result>) {
            give_back(from);
            std::move(handler)(ec);
        } else {
            auto value = std::move(operation_.value);
            give_back(from);
            std::move(handler)(ec, std::move(value));
        }
    }
    void destroy() noexcept override {
        if (!base::over() && session_ && session_->in_context()) {
            base::forget_cancellation();
            let_go();
        }
        const allocator from = allocator_of(handler_);
        // For the memory may be its own.
        [[maybe_unused]] const Handler last(std::move(handler_));
        give_back(from);
    }
    void give_back(const allocator& from) noexcept {
        const memory m(from, this);
        this->~wait_op_for();
    }

    std::shared_ptr<Session> session_;
    Operation operation_;
    std::error_code ec_;
    std::unique_ptr<work_elsewhere<home_type, executor_type>> elsewhere_;
    Handler handler_;
};

// Starts `operation`. `session` may be null, where there is none any more.
template <class Session, class Operation, class Executor, class Handler>
void start_wait_op(std::shared_ptr<Session> session, Operation operation, const Executor& executor,
                   Handler handler) {
    wait_op_for<Session, Operation, Handler, Executor>::start(
        std::move(session), std::move(operation), executor, std::move(handler));
}

template <class Executor>
struct initiate_wait_op {
    using executor_type = Executor;
    executor_type get_executor() const noexcept { return executor; }
    template <class Handler, class Session, class Operation>
    void operator()(Handler&& handler, std::shared_ptr<Session> session,
                    Operation operation) const {
        detail::start_wait_op<Session, Operation, Executor, std::decay_t<Handler>>(
            std::move(session), std::move(operation), executor, std::forward<Handler>(handler));
    }
    Executor executor;
};

// The same with any completion token.
template <class Signature, class Session, class Operation, class Token>
auto async_wait_op(std::shared_ptr<Session> session, Operation operation,
                   const typename Session::executor_type& executor, Token&& token) {
    return ::asio::async_initiate<Token, Signature>(
        initiate_wait_op<typename Session::executor_type>{executor}, token, std::move(session),
        std::move(operation));
}

// Waits for what the adapter itself does: `function(std::error_code)` is called on `tells_on`.
template <class Session, class Operation, class Function>
void wait_in_background(std::shared_ptr<Session> session, Operation operation,
                        const ::asio::any_io_executor& tells_on, Function function) {
    detail::start_wait_op(std::move(session), std::move(operation), tells_on,
                          own_handler(std::move(function)));
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WAIT_OP_HPP

// ==== sansocket_asio/detail/group_member.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_GROUP_MEMBER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_GROUP_MEMBER_HPP
// group_member.hpp
//
// What a group knows of its websockets: how to send to, to close and to abort each
// of them on its own executor, and how many are left. See group.hpp.

namespace sansocket_asio::detail {

// Says once how a member ended: not cleanly, if it goes away without having said.
class member_done {
public:
    explicit member_done(std::function<void(bool clean)> say) : say_(std::move(say)) {}
    member_done(member_done&& other) noexcept : say_(std::exchange(other.say_, nullptr)) {}
    member_done& operator=(member_done&&) = delete;
    ~member_done() { (*this)(false); }
    void operator()(bool clean) {
        if (const auto say = std::exchange(say_, nullptr)) say(clean);
    }

private:
    std::function<void(bool clean)> say_;
};

// A websocket of any type. The functions may be called on any thread; it holds none alive.
class group_member {
public:
    group_member() = default;
    group_member(const group_member&) = delete;
    group_member& operator=(const group_member&) = delete;
    virtual ~group_member() = default;

    virtual bool gone() const = 0;
    virtual void close(sansocket::close_code code, const std::string& reason, member_done done) = 0;
    virtual void abort() = 0;
    virtual sansocket::errc send(const sansocket::prepared_message& prepared, when_full full) = 0;
};

template <class Session>
class member_of_session final : public group_member {
public:
    explicit member_of_session(const std::shared_ptr<Session>& session)
        : executor_(session->stream().get_executor()),
          session_(session),
          outbox_(session->shared_outbox()) {}

    bool gone() const override { return session_.expired(); }
    void close(sansocket::close_code code, const std::string& reason, member_done done) override {
        ::asio::post(executor_, [weak = session_, executor = executor_, code, reason,
                                 done = std::move(done)]() mutable {
            const auto self = weak.lock();
            if (!self) return;
            wait_in_background(self, shutdown_operation{code, std::move(reason)}, executor,
                               [done = std::move(done)](std::error_code ec) mutable { done(!ec); });
        });
    }
    void abort() override {
        ::asio::post(executor_, [weak = session_] {
            if (const auto self = weak.lock()) self->abort(sansocket::errc::close_timeout);
        });
    }
    sansocket::errc send(const sansocket::prepared_message& prepared, when_full full) override {
        return outbox_->push({prepared, full});
    }

private:
    typename Session::executor_type executor_;
    std::weak_ptr<Session> session_;
    std::shared_ptr<outbox> outbox_;
};

// The members of a group. `close_all`, `abort_all`, `timer` on the group's executor; the rest on any
// thread.
class group_members : public std::enable_shared_from_this<group_members> {
public:
    explicit group_members(const ::asio::any_io_executor& executor)
        : timer_(executor, sansocket::never) {}

    [[nodiscard]] ::asio::any_io_executor executor() { return timer_.get_executor(); }
    /// Rings when all are over, by being cancelled.
    [[nodiscard]] ::asio::steady_timer& timer() noexcept { return timer_; }

    bool join(std::unique_ptr<group_member> member) {
        const std::scoped_lock lock(mutex_);
        if (closing_) return false;
        if (members_.size() >=
            look_at_) {  // those that are gone make room, at a constant cost each
            std::erase_if(members_, [](const auto& m) { return m->gone(); });
            look_at_ = 2 * members_.size() + 16;
        }
        members_.push_back(std::move(member));
        return true;
    }
    /// False if that was done before.
    bool close_all(sansocket::close_code code, const std::string& reason) {
        {
            const std::scoped_lock lock(mutex_);
            if (std::exchange(closing_, true)) return false;
            std::erase_if(members_, [](const auto& m) { return m->gone(); });
            left_ = members_.size();
        }
        for (const auto& m : members_)  // they change no more
            m->close(code, reason,
                     member_done([self = shared_from_this()](bool clean) { self->count(clean); }));
        return true;
    }
    /// To how many it was handed.
    std::size_t send(const sansocket::prepared_message& prepared, when_full full) {
        const std::scoped_lock lock(mutex_);
        std::size_t reached = 0;
        for (const auto& m : members_)
            if (m->send(prepared, full) == sansocket::errc::ok) ++reached;
        return reached;
    }
    void abort_all() {
        for (const auto& m : members_) m->abort();
    }
    [[nodiscard]] bool all_over() const {
        const std::scoped_lock lock(mutex_);
        return closing_ && left_ == 0;
    }
    /// Those that have not answered count as failed, and are not waited for.
    void give_up() {
        const std::scoped_lock lock(mutex_);
        failed_ += std::exchange(left_, 0);
    }
    /// How many ended cleanly, and how many not.
    [[nodiscard]] std::pair<std::size_t, std::size_t> counted() const {
        const std::scoped_lock lock(mutex_);
        return {clean_, failed_};
    }

private:
    void count(bool clean) {
        const std::scoped_lock lock(mutex_);
        if (left_ == 0) return;  // given up before
        ++(clean ? clean_ : failed_);
        if (--left_ == 0)
            ::asio::post(timer_.get_executor(),
                         [self = shared_from_this()] { self->timer_.cancel(); });
    }

    mutable std::mutex mutex_;
    ::asio::steady_timer timer_;
    std::vector<std::unique_ptr<group_member>> members_;
    std::size_t look_at_ = 16;
    std::size_t left_ = 0, clean_ = 0, failed_ = 0;
    bool closing_ = false;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_GROUP_MEMBER_HPP

// ==== sansocket_asio/group.hpp ===================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_GROUP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_GROUP_HPP
// group.hpp
//
// Websockets that are told the same and end together: a server that stops says
// goodbye to all of its clients at once, within one time, and cuts off those that
// do not answer.

namespace sansocket_asio {

/// How the members of a group ended.
struct shutdown_result {
    std::size_t clean = 0;  ///< With a complete closing handshake, or before they had begun.
    std::size_t failed =
        0;  ///< In any other way; those that were aborted at the deadline are among them.
};

/// Websockets that are told the same, and end together. Owns none of them: one that is destroyed, moved or over needs
/// not be taken out.
///
/// Websockets may be of any type, each on an executor of its own: `join` and `broadcast` may be called
/// from any thread. `async_shutdown` is called, and the group destroyed, on the group's executor. The
/// execution contexts of all members outlive them.
class group {
public:
    using executor_type = ::asio::any_io_executor;  ///< What its own operations run on.

    /// A group without members, whose `async_shutdown` runs on `executor`.
    explicit group(const executor_type& executor)
        : members_(std::make_shared<detail::group_members>(executor)) {}
    group(const group&) = delete;
    group& operator=(const group&) = delete;

    /// What it was given.
    [[nodiscard]] executor_type get_executor() const { return members_->executor(); }

    /// From now on `websocket` is a member, for as long as it lives. On its executor.
    ///
    /// @return false once a shutdown has begun, and for one that was moved from: let it go.
    template <class Websocket>
    [[nodiscard]] bool join(Websocket& websocket) {
        if (!websocket.session_) return false;
        auto member = std::make_unique<detail::member_of_session<typename Websocket::session>>(
            websocket.session_);
        return members_->join(std::move(member));
    }

    /// Sends a message to all members that are open, without a copy for each. From any thread; what
    /// one thread sends arrives in the order in which it was sent, also where it uses `sender` handles.
    ///
    /// @param full  what becomes of it where a member is too slow: its send queue has no room when the
    ///              message's turn comes, or its backlog is full (`backlog_limits`).
    /// @return to how many it was handed; `websocket::dropped_messages` tells what was dropped afterwards. 0
    ///         where the message is text and not UTF-8.
    std::size_t broadcast(const sansocket::prepared_message& message, when_full full) {
        return message.error() == sansocket::errc::ok ? members_->send(message, full) : 0;
    }

    /// Closes all members, and waits for the end of their transports.
    ///
    /// Those that are open send a Close; those that are still opening are refused or given up; those
    /// that close already go on. All that are left after `timeout` are aborted; those whose executors
    /// do not run, so that even that cannot be done, are given up a second later. Nobody can join any
    /// more. Signature void(std::error_code, shutdown_result): success; errc::close_timeout if any
    /// had to be aborted; errc::operation_in_progress if a shutdown is running;
    /// errc::invalid_close_code, errc::close_reason_too_long, errc::text_not_utf8 before anything is
    /// done. A group without members completes at once.
    ///
    /// Cancellation, total: the members are aborted at once.
    template <class Token>
    auto async_shutdown(sansocket::duration timeout, sansocket::close_code code,
                        std::string_view reason, Token&& token) {
        return ::asio::async_compose<Token, void(std::error_code, shutdown_result)>(
            shutdown_op{members_, timeout, code, std::string{reason}}, token, members_->executor());
    }
    /// The same with 1001, "going away". RFC 6455 7.4.1.
    template <class Token>
    auto async_shutdown(sansocket::duration timeout, Token&& token) {
        return async_shutdown(timeout, sansocket::close_code::going_away, {},
                              std::forward<Token>(token));
    }

private:
    class shutdown_op {
    public:
        shutdown_op(std::shared_ptr<detail::group_members> members, sansocket::duration timeout,
                    sansocket::close_code code, std::string reason)
            : members_(std::move(members)),
              timeout_(timeout),
              code_(code),
              reason_(std::move(reason)) {}

        template <class Self>
        void operator()(Self& self, std::error_code timer = ::asio::error::operation_aborted) {
            switch (state_) {
            case state::starting:
                self.reset_cancellation_state(::asio::enable_total_cancellation());
                ec_ = sansocket::check_close(code_, reason_);
                if (!ec_ && !members_->close_all(code_, reason_))
                    ec_ = sansocket::errc::operation_in_progress;
                if (ec_ || members_->all_over()) return finish_later(self);
                members_->timer().expires_after(timeout_);
                return wait(self);
            case state::waiting: {
                if (members_->all_over()) return finish(self);
                const bool cancelled =
                    self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none;
                if (ec_ && !timer) {  // nobody runs their executors
                    members_->give_up();
                    return finish(self);
                }
                if (!ec_ && (cancelled || !timer)) {
                    ec_ = sansocket::errc::close_timeout;
                    if (cancelled) ec_ = ::asio::error::operation_aborted;
                    members_->abort_all();
                    members_->timer().expires_after(time_to_abort);
                }
                return wait(self);
            }
            case state::finishing: return finish(self);
            }
        }

    private:
        enum class state : std::uint8_t { starting, waiting, finishing };
        // In which a member's executor carries the abort out.
        static constexpr std::chrono::seconds time_to_abort{1};

        template <class Self>
        void wait(Self& self) {
            state_ = state::waiting;
            members_->timer().async_wait(std::move(self));
        }
        template <class Self>
        void finish_later(Self& self) {
            state_ = state::finishing;
            ::asio::post(std::move(self));
        }
        template <class Self>
        void finish(Self& self) {
            const auto [clean, failed] = members_->counted();
            self.complete(ec_, shutdown_result{clean, failed});
        }

        std::shared_ptr<detail::group_members> members_;
        sansocket::duration timeout_;
        sansocket::close_code code_;
        std::string reason_;
        state state_ = state::starting;
        std::error_code ec_;
    };

    std::shared_ptr<detail::group_members> members_;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_GROUP_HPP

// ==== sansocket_asio/server/counters.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_COUNTERS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_COUNTERS_HPP
// counters.hpp
//
// What a server has done so far, as numbers.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_COUNTERS_HPP

// ==== sansocket_asio/detail/context_watch.hpp ====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONTEXT_WATCH_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONTEXT_WATCH_HPP
// context_watch.hpp
//
// Tells who asks that an execution context is being destroyed, while its
// services can still be used: what belongs to the context is given back to it,
// and who outlives it touches it no more.

namespace sansocket_asio::detail {

// Is told once, by the thread that destroys the context; then it is not registered any more.
class context_watcher {
public:
    context_watcher(const context_watcher&) = delete;
    context_watcher& operator=(const context_watcher&) = delete;

protected:
    context_watcher() = default;
    virtual ~context_watcher() { unwatch(); }
    inline void watch(::asio::execution_context& context);
    inline void unwatch() noexcept;

private:
    friend class watched_context;
    virtual void context_gone() noexcept = 0;

    class watched_context* context_ = nullptr;
    context_watcher* next_ = nullptr;
    context_watcher* previous_ = nullptr;
};

// The watchers of one context.
class watched_context final : public ::asio::execution_context::service {
public:
    static inline ::asio::execution_context::id id;

    explicit watched_context(::asio::execution_context& owner)
        : ::asio::execution_context::service(owner) {}

private:
    friend class context_watcher;

    void shutdown() override {
        while (context_watcher* const one = first()) {
            one->unwatch();
            one->context_gone();
        }
    }
    context_watcher* first() const {
        const std::scoped_lock lock(mutex_);
        return first_;
    }

    mutable std::mutex mutex_;  // of all links
    context_watcher* first_ = nullptr;
};

inline void context_watcher::watch(::asio::execution_context& context) {
    auto& to = ::asio::use_service<watched_context>(context);
    const std::scoped_lock lock(to.mutex_);
    context_ = &to;
    next_ = std::exchange(to.first_, this);
    if (next_ != nullptr) next_->previous_ = this;
}

inline void context_watcher::unwatch() noexcept {
    auto* const from = std::exchange(context_, nullptr);
    if (from == nullptr) return;
    const std::scoped_lock lock(from->mutex_);
    (previous_ != nullptr ? previous_->next_ : from->first_) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
    next_ = previous_ = nullptr;
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONTEXT_WATCH_HPP

// ==== sansocket_asio/server/peer_address.hpp =====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PEER_ADDRESS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PEER_ADDRESS_HPP
// peer_address.hpp
//
// Where an accepted connection comes from: an IP address and a port, or a Unix
// socket. It is what the transport says, or a proxy that is trusted.

namespace sansocket_asio {
namespace detail {

// The same address in another type; none where that cannot hold it.
template <class To, class From>
To endpoint_as(const From& from) {
    if constexpr (std::is_same_v<To, From>) {
        return from;
    } else {
        To to;
        if (from.size() > to.capacity()) return to;
        std::memcpy(to.data(), from.data(), from.size());
        to.resize(from.size());  // last, for a path looks at its end
        return to;
    }
}

}  // namespace detail

/// Where a connection comes from.
class peer_address {
public:
    /// No address: a Unix socket's.
    peer_address() = default;
    explicit peer_address(const ::asio::ip::tcp::endpoint& endpoint)
        : ip_(plain(endpoint.address())), port_(endpoint.port()) {}
    /// Of an endpoint of any protocol: as the one before, or none.
    template <class Endpoint>
    [[nodiscard]] static peer_address of(const Endpoint& endpoint) {
        using tcp = ::asio::ip::tcp;
        if constexpr (std::is_same_v<Endpoint, tcp::endpoint>) {
            return peer_address(endpoint);
        } else {
            const int family = endpoint.protocol().family();
            if (family != tcp::v4().family() && family != tcp::v6().family()) return {};
            return peer_address(detail::endpoint_as<tcp::endpoint>(endpoint));
        }
    }

    /// The IP address, an IPv4 address as such also on a socket of IPv6; nothing for a Unix socket.
    [[nodiscard]] const std::optional<::asio::ip::address>& ip() const noexcept { return ip_; }
    /// The port; 0 for a Unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// For logs: "192.0.2.1:4711", "[2001:db8::1]:4711", or "unix".
    [[nodiscard]] std::string to_string() const {
        if (!ip_) return "unix";
        const std::string host = ip_->is_v6() ? "[" + ip_->to_string() + "]" : ip_->to_string();
        return host + ":" + std::to_string(port_);
    }

    friend bool operator==(const peer_address&, const peer_address&) = default;

private:
    static ::asio::ip::address plain(const ::asio::ip::address& address) {
        if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
        return ::asio::ip::make_address_v4(::asio::ip::v4_mapped, address.to_v6());
    }

    std::optional<::asio::ip::address> ip_;
    std::uint16_t port_ = 0;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PEER_ADDRESS_HPP

// ==== sansocket_asio/server/detail/address_counts.hpp ============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_ADDRESS_COUNTS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_ADDRESS_COUNTS_HPP
// address_counts.hpp
//
// How many connections come from where. What one party usually has to itself
// counts as one place: an IPv4 address, or an IPv6 network of 64 bits.

namespace sansocket_asio::detail {

class address_counts {
public:
    // 0 for a Unix socket.
    [[nodiscard]] std::size_t count(const peer_address& peer) const {
        const auto place = key_of(peer);
        const auto found = place ? counts_.find(*place) : counts_.end();
        return found == counts_.end() ? 0 : found->second;
    }
    void add(const peer_address& peer) {
        if (const auto place = key_of(peer)) ++counts_[*place];
    }
    void remove(const peer_address& peer) noexcept {
        const auto place = key_of(peer);
        const auto found = place ? counts_.find(*place) : counts_.end();
        if (found != counts_.end() && --found->second == 0) counts_.erase(found);
    }

private:
    using key = std::pair<bool, std::uint64_t>;  // whether IPv6, and the bits

    static std::optional<key> key_of(const peer_address& peer) {
        if (!peer.ip()) return std::nullopt;
        if (peer.ip()->is_v4()) return key{false, peer.ip()->to_v4().to_uint()};
        const auto bytes = peer.ip()->to_v6().to_bytes();
        std::uint64_t network = 0;
        for (std::size_t i = 0; i != 8; ++i) network = network << 8U | bytes[i];
        return key{true, network};
    }

    std::map<key, std::size_t> counts_;  // peers choose the keys: a tree has no bad ones
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_ADDRESS_COUNTS_HPP

// ==== sansocket_asio/server/detail/handlers.hpp ==================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_HANDLERS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_HANDLERS_HPP
// handlers.hpp
//
// What the application has said is to be done with requests and connections, in
// one form each, whether it said so with functions or with coroutines.

#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#endif

namespace sansocket_asio::detail {

template <class T>
inline constexpr bool is_awaitable = false;
#if defined(ASIO_HAS_CO_AWAIT)
template <class T, class Executor>
inline constexpr bool is_awaitable<::asio::awaitable<T, Executor>> = true;
#endif

// Answers a request, now or later, or fails.
template <class Request, class Answer>
class request_handler {
public:
    using answered = std::function<void(std::exception_ptr, Answer)>;

    template <class Handler>
    request_handler& operator=(Handler handler) {
        auto shared = std::make_shared<Handler>(std::move(handler));
#if defined(ASIO_HAS_CO_AWAIT)
        if constexpr (is_awaitable<std::invoke_result_t<Handler&, const Request&>>)
            call_ = [shared](const ::asio::any_io_executor& executor,
                             ::asio::cancellation_slot slot,
                             const std::shared_ptr<const Request>& request, const answered& done) {
                try {
                    ::asio::co_spawn(executor, (*shared)(*request),
                                     ::asio::bind_cancellation_slot(
                                         slot, [shared, request, done](std::exception_ptr failed,
                                                                       Answer answer) {
                                             done(std::move(failed), std::move(answer));
                                         }));
                } catch (...) {
                    done(std::current_exception(), Answer{});
                }
            };
        else
#endif
            call_ = [shared](const ::asio::any_io_executor&, ::asio::cancellation_slot,
                             const std::shared_ptr<const Request>& request, const answered& done) {
                std::exception_ptr failed;
                Answer answer{};
                try {
                    answer = (*shared)(*request);
                } catch (...) {
                    failed = std::current_exception();
                }
                done(std::move(failed), std::move(answer));
            };
        return *this;
    }
    // `slot` ends a coroutine.
    void operator()(const ::asio::any_io_executor& executor, ::asio::cancellation_slot slot,
                    const std::shared_ptr<const Request>& request, const answered& done) const {
        call_(executor, slot, request, done);
    }

private:
    std::function<void(const ::asio::any_io_executor&, ::asio::cancellation_slot,
                       const std::shared_ptr<const Request>&, const answered&)>
        call_;
};

// Serves a connection, for as long as it holds the handle. A handler may take the client's address,
// which lives as long as that, as a second argument.
template <class Websocket, class Address>
class connection_handler {
public:
    using handle = std::shared_ptr<Websocket>;
    using failed = std::function<void(std::exception_ptr)>;

    template <class Handler>
    connection_handler& operator=(Handler handler) {
        serves_ = std::make_shared<kind<Handler>>(std::move(handler));
        return *this;
    }
    explicit operator bool() const noexcept { return serves_ != nullptr; }
    // `slot` ends a coroutine.
    void operator()(handle ws, const Address& client, ::asio::cancellation_slot slot,
                    const failed& tell) const {
        const handle until_told = ws;  // of a failure
        try {
            serves_->serve({serves_, std::move(ws), tell}, client, slot);
        } catch (...) {
            tell(std::current_exception());
        }
    }

private:
    struct any_kind;
    // What a connection that is served keeps.
    struct serving {
        std::shared_ptr<any_kind> by;
        handle ws;
        failed tell;
    };
    struct any_kind {
        any_kind() = default;
        any_kind(const any_kind&) = delete;
        any_kind& operator=(const any_kind&) = delete;
        virtual ~any_kind() = default;
        virtual void serve(serving kept, const Address& client, ::asio::cancellation_slot slot) = 0;
    };
    // The completion handler of a coroutine: small, for Asio moves it about.
    struct done {
        void operator()(std::exception_ptr e) const {
            if (e) kept->tell(std::move(e));
        }
        std::unique_ptr<serving> kept;
    };

    template <class Handler>
    struct kind final : any_kind {
        explicit kind(Handler h) : handler(std::move(h)) {}

        void serve(serving kept, const Address& client, ::asio::cancellation_slot slot) override {
            if constexpr (takes<Handler, Websocket&>) {
                static_assert(is_awaitable<decltype(call(handler, *kept.ws, client))>,
                              "a handler that returns at once takes the websocket as a shared_ptr");
#if defined(ASIO_HAS_CO_AWAIT)
                Websocket& named = *kept.ws;
                ::asio::co_spawn(named.get_executor(), call(handler, named, client),
                                 ::asio::bind_cancellation_slot(
                                     slot, done{std::make_unique<serving>(std::move(kept))}));
#endif
            } else {
                (void)slot;
                call(handler, std::move(kept.ws), client);
            }
        }

        Handler handler;
    };

    template <class Handler, class First>
    static constexpr bool takes = std::is_invocable_v<Handler&, First> ||
                                  std::is_invocable_v<Handler&, First, const Address&>;
    template <class Handler, class First>
    static decltype(auto) call(Handler& handler, First&& first, const Address& client) {
        if constexpr (std::is_invocable_v<Handler&, First, const Address&>)
            return handler(std::forward<First>(first), client);
        else return handler(std::forward<First>(first));
    }

    std::shared_ptr<any_kind> serves_;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_HANDLERS_HPP

// ==== sansocket_asio/server/detail/socket_file.hpp ===============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SOCKET_FILE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SOCKET_FILE_HPP
// socket_file.hpp
//
// The file that listening on a Unix socket makes, and that nobody else removes.

#if defined(ASIO_HAS_LOCAL_SOCKETS) && !defined(ASIO_WINDOWS)
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace sansocket_asio::detail {

// Removes the file that is there when it is made, once, unless another has taken its place.
class socket_file {
public:
    socket_file() = default;
    explicit socket_file(std::string_view path) : path_(path) {
        if (!look(device_, number_)) path_.clear();
    }
    socket_file(socket_file&& other) noexcept
        : path_(std::exchange(other.path_, {})), device_(other.device_), number_(other.number_) {}
    socket_file& operator=(socket_file&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(device_, other.device_);
        std::swap(number_, other.number_);
        return *this;
    }
    ~socket_file() { remove(); }

    void remove() noexcept {
        unsigned long long device = 0, number = 0;
        if (!path_.empty() && look(device, number) && device == device_ && number == number_)
            unlink();
        path_.clear();
    }

private:
#if defined(ASIO_HAS_LOCAL_SOCKETS) && !defined(ASIO_WINDOWS)
    bool look(unsigned long long& device, unsigned long long& number) const noexcept {
        struct ::stat is {};
        if (path_.empty() || path_[0] == '\0' || ::stat(path_.c_str(), &is) != 0) return false;
        device = is.st_dev;
        number = is.st_ino;
        return true;
    }
    void unlink() const noexcept { (void)::unlink(path_.c_str()); }
#else
    bool look(unsigned long long&, unsigned long long&) const noexcept { return false; }
    void unlink() const noexcept {}
#endif

    std::string path_;
    unsigned long long device_ = 0, number_ = 0;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SOCKET_FILE_HPP

// ==== sansocket/wire/forwarded.hpp ===============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_FORWARDED_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_FORWARDED_HPP
// forwarded.hpp
//
// Whom a proxy's request comes from: the fields Forwarded (RFC 7239) and
// X-Forwarded-For, and which part of them is to be believed.
//
// Each proxy adds a hop at the end. So they are read from the end, and only for
// as long as the hop before was written by a proxy that is trusted: what stands
// further to the left is the client's word, and may be anything, open quotes
// among it. Reading from the end, none of it is ever looked at.
//
// Knows nothing of: which proxies are trusted, sockets.
// Section numbers in this file refer to RFC 7239 unless another RFC is named.

namespace sansocket {

/// What a hop says of who it was. 6.
enum class forwarded_node_kind : std::uint8_t {
    address,     ///< An IP address. 6.1.
    unknown,     ///< "unknown", or nothing. 6.2.
    obfuscated,  ///< A word of the proxy's own, such as "_gazonk". 6.3.
};

/// The one who made a request, or who took it. 6.
struct forwarded_node {
    forwarded_node_kind kind = forwarded_node_kind::unknown;  ///< What it is named by.
    ip_address address{};     ///< Of `forwarded_node_kind::address`.
    std::uint16_t port = 0;   ///< 0 where none is given, or it is obfuscated.
    std::string_view name{};  ///< As written, without quotes. Lives as long as the field.

    friend constexpr bool operator==(const forwarded_node&, const forwarded_node&) = default;
};

/// One hop: what one proxy wrote. 4. The views live as long as the field.
struct forwarded_hop {
    forwarded_node from{};     ///< "for": who made the request to the proxy. 5.2.
    forwarded_node by{};       ///< "by": where the proxy took it. 5.1.
    std::string_view host{};   ///< The Host field that the proxy saw, empty if not said. 5.3.
    std::string_view proto{};  ///< "http", "https"; empty if not said. 5.4.
};

/// What the functions below return: `value` counts only where `ec` is `errc{}`.
struct forwarded_hop_result {
    forwarded_hop value{};  ///< The hop.
    errc ec{};              ///< `errc::forwarded_invalid`, or none.
};

/// One element of Forwarded: "for=192.0.2.60;proto=http;by=203.0.113.43". 4.
///
/// Parameters that are unknown are passed over, and names are compared without regard to case. Quoted
/// pairs are refused: nothing that may be written here needs them.
///
/// @return the hop, or errc::forwarded_invalid: what is no "name=value" with ";" between them, a
///         parameter that stands twice, a node that is none (6).
[[nodiscard]] constexpr forwarded_hop_result parse_forwarded(std::string_view element) noexcept;

/// One element of X-Forwarded-For: an address, which may have a port ("192.0.2.1:80",
/// "[2001:db8::1]:80"), or "unknown".
///
/// @return the hop, of which `from` alone is set, or errc::forwarded_invalid.
[[nodiscard]] constexpr forwarded_hop_result parse_x_forwarded_for(
    std::string_view element) noexcept;

/// The elements of such a field, the last one first. Commas within quotes are none.
class forwarded_list {
public:
    /// @param value  a field's value; it has to outlive the elements.
    constexpr explicit forwarded_list(std::string_view value) noexcept : rest_(value) {}

    /// The one before, without the white space around it; nothing where all were told. Empty elements
    /// are passed over (RFC 9110 5.6.1.2).
    [[nodiscard]] constexpr std::optional<std::string_view> previous() noexcept {
        while (!rest_.empty()) {
            const std::size_t begin = begin_of_last();
            const std::string_view element = detail::trim_ows(rest_.substr(begin));
            rest_ = rest_.substr(0, begin == 0 ? 0 : begin - 1);
            if (!element.empty()) return element;
        }
        return std::nullopt;
    }

private:
    // Read from the end, a quote opens a string where it closes one, and none is escaped: whether a "\"
    // before it does so depends on what is further left. The element is refused then.
    [[nodiscard]] constexpr std::size_t begin_of_last() const noexcept {
        bool quoted = false;
        for (std::size_t i = rest_.size(); i != 0; --i) {
            const char c = rest_[i - 1];
            if (c == '"') quoted = !quoted;
            if (c == ',' && !quoted) return i;
        }
        return 0;
    }

    std::string_view rest_;
};

/// Which field proxies write. The other one is not looked at: a proxy that does not know it passes on
/// what the client has made up.
enum class forwarded_field : std::uint8_t {
    none,             ///< The sender of the transport is the client.
    forwarded,        ///< RFC 7239.
    x_forwarded_for,  ///< X-Forwarded-For, by convention.
};

/// Where a request comes from, as far as it can be known.
struct forwarded_client {
    std::optional<ip_address> address{};  ///< Nothing: of the one who sent it, no more is known.
    std::uint16_t port = 0;               ///< 0 where a proxy did not say.
    errc ec{};  ///< errc::forwarded_invalid: a trusted proxy's hop could not be read.
};

/// Who made a request that a trusted proxy has sent. To be asked of no request but such.
///
/// Hop by hop from the end: whoever is named is the client, unless it is itself trusted and another hop
/// stands before. Where a hop is malformed, unknown or obfuscated, or there is none, the client is the
/// proxy that it came from, as far as is known.
///
/// @param trusts  bool(const ip_address&): whether that is the address of a trusted proxy.
template <class Trusts>
[[nodiscard]] forwarded_client find_client(const http_head& head, forwarded_field field,
                                           Trusts trusts);

namespace detail {

// The name of the field; none has an empty one.
constexpr std::string_view name_of(forwarded_field field) noexcept {
    switch (field) {
    case forwarded_field::forwarded: return "Forwarded";
    case forwarded_field::x_forwarded_for: return "X-Forwarded-For";
    case forwarded_field::none: break;
    }
    return {};
}

// "_" and one or more letters, digits, ".", "_" or "-". 6.3.
constexpr bool is_obfuscated(std::string_view text) noexcept {
    if (text.size() < 2 || text[0] != '_') return false;
    for (const char c : text)
        if (!is(char_class::digit, c) && !is(char_class::alpha, c) && c != '.' && c != '_' &&
            c != '-')
            return false;
    return true;
}

// A node's name: everything but the port. 6.
constexpr bool set_name(forwarded_node& node, std::string_view name) noexcept {
    const bool bracketed = name.size() > 2 && name.front() == '[' && name.back() == ']';
    const std::string_view inside = bracketed ? name.substr(1, name.size() - 2) : name;
    if (const auto address = parse_ip_address(inside)) {
        node.kind = forwarded_node_kind::address;
        node.address = *address;
        return bracketed == (inside.find(':') != std::string_view::npos);
    }
    node.kind =
        is_obfuscated(name) ? forwarded_node_kind::obfuscated : forwarded_node_kind::unknown;
    return node.kind == forwarded_node_kind::obfuscated || iequals(name, "unknown");
}

// nodename [ ":" node-port ]. 6.
constexpr bool parse_node(std::string_view text, forwarded_node& node) noexcept {
    node.name = text;
    const std::size_t bracket = text.find(']');
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (!set_name(node, text.substr(0, colon))) return false;
    if (colon == std::string_view::npos) return true;
    const std::string_view port = text.substr(colon + 1);
    return parse_port(port, node.port) || is_obfuscated(port);
}

// token / quoted-string, taken off the front; nothing where it is neither. RFC 9110 5.6.4.
constexpr std::optional<std::string_view> take_value(std::string_view& rest) noexcept {
    const bool quoted = rest.starts_with('"');
    std::size_t end = 0;
    if (quoted) {
        end = rest.find_first_of("\"\\", 1);
        if (end == std::string_view::npos || rest[end] == '\\') return std::nullopt;
    } else {
        while (end != rest.size() && is(char_class::token, rest[end])) ++end;
        if (end == 0) return std::nullopt;
    }
    const std::string_view value = quoted ? rest.substr(1, end - 1) : rest.substr(0, end);
    rest.remove_prefix(quoted ? end + 1 : end);
    return value;
}

// The parameters of a hop, each of which may stand once.
class forwarded_pairs {
public:
    constexpr bool set(forwarded_hop& hop, std::string_view name, std::string_view value) noexcept {
        if (iequals(name, "for")) return once(0) && parse_node(value, hop.from);
        if (iequals(name, "by")) return once(1) && parse_node(value, hop.by);
        if (iequals(name, "host")) hop.host = value;
        else if (iequals(name, "proto")) hop.proto = value;
        else return true;
        return once(iequals(name, "host") ? 2 : 3);
    }

private:
    constexpr bool once(std::size_t which) noexcept {
        const bool first = !seen_[which];
        seen_[which] = true;
        return first;
    }
    std::array<bool, 4> seen_{};
};

}  // namespace detail

constexpr forwarded_hop_result parse_forwarded(std::string_view element) noexcept {
    forwarded_hop hop;
    detail::forwarded_pairs pairs;
    std::string_view rest = detail::trim_ows(element);
    for (;;) {
        const std::size_t equals = rest.find('=');
        const std::string_view name = rest.substr(0, equals);
        if (equals == std::string_view::npos || !is_token(name))
            return {{}, errc::forwarded_invalid};
        rest.remove_prefix(equals + 1);
        const auto value = detail::take_value(rest);
        if (!value || !pairs.set(hop, name, *value)) return {{}, errc::forwarded_invalid};
        rest = detail::trim_ows(rest);  // not in the grammar, and written nevertheless
        if (rest.empty()) return {hop, errc{}};
        if (rest.front() != ';') return {{}, errc::forwarded_invalid};
        rest = detail::trim_ows(rest.substr(1));
        if (rest.empty())
            return {hop, errc{}};  // 4: [ forwarded-pair ] *( ";" [ forwarded-pair ] )
    }
}

constexpr forwarded_hop_result parse_x_forwarded_for(std::string_view element) noexcept {
    forwarded_hop hop;
    const std::string_view text = detail::trim_ows(element);
    if (const auto plain = parse_ip_address(text)) {  // IPv6 stands without brackets
        hop.from = {forwarded_node_kind::address, *plain, 0, text};
        return {hop, errc{}};
    }
    const bool good = detail::parse_node(text, hop.from);
    return good ? forwarded_hop_result{hop, errc{}}
                : forwarded_hop_result{{}, errc::forwarded_invalid};
}

template <class Trusts>
forwarded_client find_client(const http_head& head, forwarded_field field, Trusts trusts) {
    forwarded_client client;
    for (std::size_t i = head.size(); i != 0; --i) {
        if (!detail::iequals(head[i - 1].name, detail::name_of(field))) continue;
        forwarded_list hops{head[i - 1].value};
        while (const auto element = hops.previous()) {
            const auto [hop, ec] = field == forwarded_field::forwarded
                                       ? parse_forwarded(*element)
                                       : parse_x_forwarded_for(*element);
            client.ec = ec;
            if (ec != errc{} || hop.from.kind != forwarded_node_kind::address) return client;
            client = {hop.from.address, hop.from.port, errc{}};
            if (!trusts(hop.from.address)) return client;
        }
    }
    return client;
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_FORWARDED_HPP

// ==== sansocket/wire/proxy_header.hpp ============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_PROXY_HEADER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_PROXY_HEADER_HPP
// proxy_header.hpp
//
// The PROXY protocol, versions 1 and 2: the bytes with which a proxy says, ahead
// of everything else, whose connection it passes on.
//
// A header is read only from a proxy that is trusted, and then there has to be
// one: from anybody else it would be a claim, and its absence a way round it.
//
// Knows nothing of: who is trusted, WebSocket. Additions to version 2 (TLVs) are
// passed over, their checksum among them.
// Section numbers in this file refer to "The PROXY protocol, versions 1 & 2".

namespace sansocket {

/// Whose connection a proxy passes on.
enum class proxied_kind : std::uint8_t {
    own,          ///< The proxy's own, such as a check of health (LOCAL, 2.2).
    unspecified,  ///< Somebody's, of whom nothing is said (UNKNOWN, UNSPEC).
    ip,           ///< That of an IP address and a port.
    unix_socket,  ///< That of somebody on the proxy's host.
};

/// A PROXY header.
struct proxy_header {
    proxied_kind kind = proxied_kind::own;  ///< Whose connection it is.
    ip_address source{};       ///< Who has connected, of `proxied_kind::ip`, and so the others.
    ip_address destination{};  ///< Where the proxy took the connection.
    std::uint16_t source_port = 0;       ///< The TCP port of `source`.
    std::uint16_t destination_port = 0;  ///< That of `destination`.

    friend constexpr bool operator==(const proxy_header&, const proxy_header&) = default;
};

/// What `parse_proxy_header` returns: the others count only where `ec` is `errc{}`.
struct proxy_header_result {
    proxy_header value{};  ///< What it says.
    std::size_t size = 0;  ///< Bytes that are the header's.
    errc ec{};             ///< What is wrong with it, or that more has to come.
};

/// Most bytes of a header of version 1, its CRLF counted. 2.1.
inline constexpr std::size_t max_proxy_line = 107;
/// Most bytes of a header of version 2 that are taken: 16, the addresses and the TLVs. A client's
/// certificate, which some proxies add, fits.
inline constexpr std::size_t max_proxy_header = 4096;

/// The PROXY header with which `bytes` begins.
///
/// @return the header and its size, or
///         errc::need_more              all of `bytes` are the beginning of a header;
///         errc::proxy_header_missing   they begin no header;
///         errc::proxy_header_invalid   one that breaks its grammar, or of an unknown version;
///         errc::proxy_header_too_long  one over `max_proxy_line` or `max_proxy_header`.
/// An error is told as soon as it can be seen, so what has to be kept is below those limits.
[[nodiscard]] constexpr proxy_header_result parse_proxy_header(
    std::span<const std::byte> bytes) noexcept;

namespace detail {

inline constexpr std::string_view proxy_signature_v1 = "PROXY ";
inline constexpr std::string_view proxy_signature_v2{"\r\n\r\n\0\r\nQUIT\n", 12};

// The bytes of a header as text, one at a time.
constexpr char char_at(std::span<const std::byte> bytes, std::size_t i) noexcept {
    return static_cast<char>(bytes[i]);
}
constexpr std::size_t common_prefix(std::span<const std::byte> bytes,
                                    std::string_view with) noexcept {
    std::size_t n = 0;
    while (n != bytes.size() && n != with.size() && char_at(bytes, n) == with[n]) ++n;
    return n;
}

// A port without leading zeros. 2.1.
constexpr bool parse_proxy_port(std::string_view text, std::uint16_t& port) noexcept {
    return parse_port(text, port) && (text.size() == 1 || text[0] != '0');
}

// What stands between "PROXY " and CRLF: "TCP4 192.0.2.1 192.0.2.2 56324 443", words with one space
// between them. 2.1.
constexpr proxy_header_result parse_proxy_line(std::string_view line) noexcept {
    constexpr proxy_header_result wrong{{}, 0, errc::proxy_header_invalid};
    std::array<std::string_view, 5> words{};
    std::size_t count = 0;
    for (std::string_view rest = line;; ++count) {
        const std::size_t space = rest.find(' ');
        if (count < words.size()) words[count] = rest.substr(0, space);
        if (space == std::string_view::npos) break;
        rest.remove_prefix(space + 1);
    }
    // 2.1: "the receiver must ignore anything presented before the CRLF is found"
    if (words[0] == "UNKNOWN") return {{.kind = proxied_kind::unspecified}, 0, errc{}};
    const bool v4 = words[0] == "TCP4";
    if (count != 4 || (!v4 && words[0] != "TCP6")) return wrong;
    for (const std::string_view address : {words[1], words[2]})
        if (v4 != (address.find(':') == std::string_view::npos)) return wrong;
    const auto source = parse_ip_address(words[1]);
    const auto destination = parse_ip_address(words[2]);
    std::uint16_t from = 0, to = 0;
    const bool ports = parse_proxy_port(words[3], from) && parse_proxy_port(words[4], to);
    if (!source || !destination || !ports) return wrong;
    return {{proxied_kind::ip, *source, *destination, from, to}, 0, errc{}};
}

constexpr proxy_header_result parse_proxy_v1(std::span<const std::byte> bytes) noexcept {
    std::array<char, max_proxy_line> text{};
    const std::size_t size = detail::smaller_of(bytes.size(), text.size());
    for (std::size_t i = 0; i != size; ++i) text[i] = char_at(bytes, i);
    const std::string_view seen{text.data(), size};
    const std::size_t end = seen.find('\r');
    if (end == std::string_view::npos || end + 1 == size) {
        if (size == max_proxy_line) return {{}, 0, errc::proxy_header_too_long};
        return {{}, 0, errc::need_more};
    }
    if (seen[end + 1] != '\n') return {{}, 0, errc::proxy_header_invalid};
    const std::size_t start = proxy_signature_v1.size();
    proxy_header_result out = parse_proxy_line(seen.substr(start, end - start));
    out.size = end + 2;
    return out;
}

// Two addresses of `N` bytes and two ports, in network order. 2.2.
template <std::size_t N>
constexpr proxy_header addresses_of(std::span<const std::byte> block) noexcept {
    const auto address = [block](std::size_t at) {
        std::array<std::uint8_t, N> bytes{};
        for (std::size_t i = 0; i != N; ++i)
            bytes[i] = std::to_integer<std::uint8_t>(block[at + i]);
        return ip_address(bytes);
    };
    const auto port = [block](std::size_t at) {
        return static_cast<std::uint16_t>(std::to_integer<unsigned>(block[at]) << 8U |
                                          std::to_integer<unsigned>(block[at + 1]));
    };
    return {proxied_kind::ip, address(0), address(N), port(2 * N), port(2 * N + 2)};
}

// What follows the first 16 bytes, whose byte 13 is `family`: address family and transport. 2.2.
constexpr proxy_header_result parse_proxy_addresses(unsigned family,
                                                    std::span<const std::byte> block) noexcept {
    constexpr std::array<std::size_t, 4> sizes = {0, 12, 36, 216};  // UNSPEC, INET, INET6, UNIX
    const unsigned address = family >> 4U;
    const unsigned transport = family & 0x0fU;
    // 2.2: "Other values are reserved and must not be emitted"
    if (address >= sizes.size() || transport > 2 || block.size() < sizes[address])
        return {{}, 0, errc::proxy_header_invalid};
    // 2.2: a receiver "automatically falls back to the UNSPEC mode for the valid combinations above
    // that it does not support", such as datagrams.
    if (address == 0 || transport != 1) return {{.kind = proxied_kind::unspecified}, 0, errc{}};
    if (address == 1) return {addresses_of<4>(block), 0, errc{}};
    if (address == 2) return {addresses_of<16>(block), 0, errc{}};
    return {{.kind = proxied_kind::unix_socket}, 0, errc{}};
}

constexpr proxy_header_result parse_proxy_v2(std::span<const std::byte> bytes) noexcept {
    constexpr std::size_t fixed = 16;
    const auto number = [bytes](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
    if (bytes.size() > 12 && (number(12) >> 4U != 2 || (number(12) & 0x0fU) > 1))
        return {{}, 0, errc::proxy_header_invalid};
    if (bytes.size() < fixed) return {{}, 0, errc::need_more};
    const std::size_t size = fixed + (number(14) << 8U | number(15));
    if (size > max_proxy_header) return {{}, 0, errc::proxy_header_too_long};
    if (bytes.size() < size) return {{}, 0, errc::need_more};
    // 2.2: of LOCAL "the receiver must accept this connection as valid and must use the real
    // connection endpoints and discard the protocol block"
    const bool local = (number(12) & 0x0fU) == 0;
    proxy_header_result out;
    if (!local) out = parse_proxy_addresses(number(13), bytes.subspan(fixed, size - fixed));
    out.size = size;
    return out;
}

}  // namespace detail

constexpr proxy_header_result parse_proxy_header(std::span<const std::byte> bytes) noexcept {
    const auto begins = [bytes](std::string_view signature) {
        return detail::common_prefix(bytes, signature) ==
               detail::smaller_of(bytes.size(), signature.size());
    };
    const bool v1 = begins(detail::proxy_signature_v1);
    const bool v2 = begins(detail::proxy_signature_v2);
    if (v1 && bytes.size() > detail::proxy_signature_v1.size())
        return detail::parse_proxy_v1(bytes);
    if (v2 && bytes.size() > detail::proxy_signature_v2.size())
        return detail::parse_proxy_v2(bytes);
    return {{}, 0, v1 || v2 ? errc::need_more : errc::proxy_header_missing};
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_PROXY_HEADER_HPP

// ==== sansocket_asio/server/detail/trusted_proxies.hpp ===========================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_TRUSTED_PROXIES_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_TRUSTED_PROXIES_HPP
// trusted_proxies.hpp
//
// Whose word a server takes on where a client comes from, and what it then is.
// The rules are the core's; addresses are translated here.

namespace sansocket_asio::detail {

inline sansocket::ip_address core_address(const ::asio::ip::address& address) noexcept {
    if (address.is_v4()) return sansocket::ip_address(address.to_v4().to_bytes());
    return sansocket::ip_address(address.to_v6().to_bytes());
}

inline peer_address asio_address(const sansocket::ip_address& address, std::uint16_t port) {
    ::asio::ip::address out = ::asio::ip::address_v6(address.bytes());
    if (address.is_v4()) out = ::asio::ip::address_v4(address.v4_bytes());
    return peer_address(::asio::ip::tcp::endpoint(out, port));
}

class trusted_proxies {
public:
    // Nobody.
    trusted_proxies() = default;
    // Throws std::system_error for what is neither a network nor "unix".
    explicit trusted_proxies(const std::vector<std::string>& texts)
        : parse_header_(&sansocket::parse_proxy_header), find_client_(&find_client) {
        for (const std::string& text : texts) {
            if (text == "unix") {
                unix_ = true;
                continue;
            }
            const auto [network, ec] = sansocket::parse_ip_network(text);
            if (ec != sansocket::errc::ok)
                throw std::system_error(ec, "trusted proxy \"" + text + '"');
            networks_.push_back(network);
        }
    }

    [[nodiscard]] bool trusts(const sansocket::ip_address& address) const noexcept {
        for (const auto& network : networks_)
            if (network.contains(address)) return true;
        return false;
    }
    [[nodiscard]] bool trusts(const peer_address& peer) const noexcept {
        return peer.ip() ? trusts(core_address(*peer.ip())) : unix_;
    }

    // The words of a proxy that is trusted.
    [[nodiscard]] sansocket::proxy_header_result parse_header(
        std::span<const std::byte> bytes) const noexcept {
        return parse_header_(bytes);
    }
    // Whom it passes on.
    [[nodiscard]] static peer_address client_of(const sansocket::proxy_header& header,
                                                const peer_address& proxy) {
        switch (header.kind) {
        case sansocket::proxied_kind::own:
        case sansocket::proxied_kind::unspecified: break;
        case sansocket::proxied_kind::ip: return asio_address(header.source, header.source_port);
        case sansocket::proxied_kind::unix_socket: return {};
        }
        return proxy;
    }
    // The same by the head of its request.
    [[nodiscard]] std::pair<peer_address, sansocket::errc> client_of(
        const sansocket::http_head& head, sansocket::forwarded_field field,
        const peer_address& proxy) const {
        return find_client_(*this, head, field, proxy);
    }

private:
    using identity = std::pair<peer_address, sansocket::errc>;

    static identity find_client(const trusted_proxies& self, const sansocket::http_head& head,
                                sansocket::forwarded_field field, const peer_address& proxy) {
        const auto found = sansocket::find_client(
            head, field, [&](const sansocket::ip_address& hop) { return self.trusts(hop); });
        if (!found.address) return {proxy, found.ec};
        return {asio_address(*found.address, found.port), found.ec};
    }

    // Null where nobody is trusted: only who trusts somebody compiles what reads his words.
    sansocket::proxy_header_result (*parse_header_)(std::span<const std::byte>) noexcept = nullptr;
    identity (*find_client_)(const trusted_proxies&, const sansocket::http_head&,
                             sansocket::forwarded_field, const peer_address&) = nullptr;
    std::vector<sansocket::ip_network> networks_;
    bool unix_ = false;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_TRUSTED_PROXIES_HPP

// ==== sansocket_asio/server/proxy_networks.hpp ===================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PROXY_NETWORKS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PROXY_NETWORKS_HPP
// proxy_networks.hpp
//
// Which proxies a server believes, as its options say it.

namespace sansocket_asio {
namespace detail {
template <class, class>
class server_state;
}  // namespace detail

/// Proxies, by networks and addresses, such as "10.0.0.0/8" or "2001:db8::1", and "unix" for whoever
/// connects to a Unix socket. Only where there are some is compiled what reads their words.
class proxy_networks {
public:
    /// None.
    proxy_networks() = default;
    /// These. What is none of them, the server that is given them refuses.
    proxy_networks(std::vector<std::string> networks)  // NOLINT: as the list that it is
        : networks_(std::move(networks)), read_(&read_all) {}
    /// The same.
    proxy_networks(std::initializer_list<std::string> networks)
        : proxy_networks(std::vector<std::string>(networks)) {}

    /// As they were given.
    [[nodiscard]] const std::vector<std::string>& networks() const noexcept { return networks_; }

private:
    template <class, class>
    friend class detail::server_state;

    static detail::trusted_proxies read_all(const std::vector<std::string>& networks) {
        return detail::trusted_proxies(networks);
    }
    [[nodiscard]] detail::trusted_proxies read() const {
        return read_ == nullptr ? detail::trusted_proxies() : read_(networks_);
    }

    std::vector<std::string> networks_;
    detail::trusted_proxies (*read_)(const std::vector<std::string>&) = nullptr;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_PROXY_NETWORKS_HPP

// ==== sansocket_asio/server_options.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OPTIONS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OPTIONS_HPP
// server_options.hpp
//
// What can be chosen for a server. Every limit is on by default, but for the one
// that would turn a proxy's clients away.

namespace sansocket_asio {

class server_observer;

/// Whether trusted proxies begin each connection with a PROXY header, of version 1 or 2.
enum class proxy_protocol : std::uint8_t {
    off,       ///< A header is an error, as any other bytes that are no request.
    required,  ///< From each trusted proxy, within `options::opening_timeout`, ahead of TLS too.
};

/// Choices and limits of a server.
struct server_options {
    /// Which upgrades are accepted: subprotocols, and the origins that are let in, without which any
    /// page in a browser may connect (RFC 6455 10.2).
    sansocket::server_policy policy{};
    /// Of each connection. `opening_timeout` is the time from its acceptance to the answer to its
    /// request, `http` the limits of that; `decision` is the server's to set.
    sansocket::options connection{};
    /// Connections in all, from their acceptance until transport and handler are over. Those above are
    /// answered 503, and counted. Keep it below the number of descriptors that the process may have.
    std::size_t max_connections = 10'000;
    /// Connections from one IPv4 address or one IPv6 network of 64 bits; 0: no limit. Those above are
    /// answered 429. Unix sockets have no limit. By default none, since behind a proxy that is not
    /// among `trusted_proxies` all clients have one address; set it where clients are known.
    std::size_t max_connections_per_address = 0;
    /// Connections over a limit that are answered at a time; those above are closed at once.
    std::size_t max_refusals = 64;
    /// Proxies whose word on where a client comes from is taken: a list of strings, see
    /// `proxy_networks`. Nobody else is believed. The constructor of the server throws
    /// std::system_error with errc::network_invalid for what is no network. By default nobody, and the
    /// address of the transport is the client's.
    proxy_networks trusted_proxies{};
    /// The field in which those proxies say it. They have to write it into each request, for what they
    /// let through is the client's word. Hops are read from the end, up to the first that is not
    /// trusted. By default none.
    sansocket::forwarded_field forwarded = sansocket::forwarded_field::none;
    /// Whether they say it ahead of everything else. A connection of theirs without such a header
    /// ends, with errc::proxy_header_missing, errc::proxy_header_invalid, errc::proxy_header_too_long,
    /// errc::end_of_stream or errc::opening_timeout. With `forwarded` too, that is looked at where the
    /// header names another trusted proxy. By default off.
    proxy_protocol proxy_header = proxy_protocol::off;
    /// Is told what happens. It has to live as long as the server. By default nobody.
    server_observer* observer = nullptr;
};

/// How a server listens.
struct listen_options {
    /// Connections that may wait to be accepted, as far as the system allows.
    int backlog = ::asio::socket_base::max_listen_connections;
    /// Whether several sockets, each with this option, may listen at one port, among which the system
    /// distributes connections (SO_REUSEPORT). Not everywhere: listening then fails.
    bool reuse_port = false;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OPTIONS_HPP

// ==== sansocket_asio/server/detail/listener.hpp ==================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_LISTENER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_LISTENER_HPP
// listener.hpp
//
// One socket that listens, and the loop that accepts from it. It does not stop
// for an error: where there are no descriptors or no memory it tries again after
// a pause, while those who connect wait in the system's backlog.

namespace sansocket_asio::detail {

// SO_REUSEPORT, where the system has it.
class reuse_port {
public:
#if defined(SO_REUSEPORT)
    template <class Protocol>
    int level(const Protocol&) const noexcept {
        return SOL_SOCKET;
    }
    template <class Protocol>
    int name(const Protocol&) const noexcept {
        return SO_REUSEPORT;
    }
#else
    template <class Protocol>
    int level(const Protocol&) const noexcept {
        return -1;
    }
    template <class Protocol>
    int name(const Protocol&) const noexcept {
        return -1;
    }
#endif
    template <class Protocol>
    const int* data(const Protocol&) const noexcept {
        return &on_;
    }
    template <class Protocol>
    std::size_t size(const Protocol&) const noexcept {
        return sizeof on_;
    }

private:
    int on_ = 1;
};

class any_listener {
public:
    any_listener() = default;
    any_listener(const any_listener&) = delete;
    any_listener& operator=(const any_listener&) = delete;
    virtual ~any_listener() = default;
    virtual void close() noexcept = 0;

    std::shared_ptr<any_listener> next;  // of its server
};

// `Protocol`: that of its endpoint, or one that stands for all of them.
template <class Protocol>
class listener final : public any_listener,
                       public std::enable_shared_from_this<listener<Protocol>> {
public:
    using endpoint_type = typename Protocol::endpoint;
    using socket = typename Protocol::socket;

    // Is told what it brings, while it is open.
    class owner {
    public:
        owner() = default;
        owner(const owner&) = delete;
        owner& operator=(const owner&) = delete;
        virtual ~owner() = default;
        virtual void accepted(socket connected, const peer_address& from) = 0;
        virtual void failed(std::error_code ec) = 0;
    };

    listener(const ::asio::any_io_executor& executor, std::unique_ptr<owner> told)
        : acceptor_(executor), pause_(executor, sansocket::never), told_(std::move(told)) {}

    template <class Endpoint>
    std::error_code open(const Endpoint& at, const listen_options& how) {
        std::string path;
        if constexpr (requires { path = at.path(); }) path = at.path();
        std::error_code ec;
        acceptor_.open(Protocol(at.protocol()), ec);
#if !defined(ASIO_WINDOWS)  // there it lets another program take the port
        if (!ec && path.empty()) acceptor_.set_option(::asio::socket_base::reuse_address(true), ec);
#endif
        if (!ec && how.reuse_port) acceptor_.set_option(detail::reuse_port{}, ec);
        if (!ec) acceptor_.bind(endpoint_type(at), ec);
        if (!ec) file_ = socket_file(path);
        if (!ec) acceptor_.listen(how.backlog, ec);
        return ec;
    }
    template <class Endpoint>
    Endpoint endpoint(std::error_code& ec) const {
        return endpoint_as<Endpoint>(acceptor_.local_endpoint(ec));
    }

    // Where there is no memory for that, it has failed, as for want of anything else.
    void accept() noexcept {
        try {
            acceptor_.async_accept(from_, accepting(this->shared_from_this()));
        } catch (...) {}
    }
    struct to_accept {};
    void woken(to_accept, std::error_code) {
        if (!closed_) accept();
    }
    void close() noexcept override {
        std::error_code ignored;
        closed_ = true;
        acceptor_.close(ignored);
        file_.remove();
        pause_.cancel();
    }

private:
    static constexpr std::chrono::milliseconds time_to_recover{100};

    // Says once how accepting went: not well, if it goes away without having said.
    class accepting {
    public:
        explicit accepting(std::shared_ptr<listener> by) noexcept : by_(std::move(by)) {}
        accepting(accepting&&) noexcept = default;
        accepting& operator=(accepting&&) = delete;
        ~accepting() {
            if (by_ && !by_->closed_) by_->has_failed(::asio::error::no_memory);
        }
        void operator()(std::error_code ec, socket accepted) {
            std::exchange(by_, nullptr)->has_accepted(ec, std::move(accepted));
        }

    private:
        std::shared_ptr<listener> by_;
    };

    void has_accepted(std::error_code ec, socket accepted) {
        if (ec == ::asio::error::operation_aborted && closed_) return;
        if (ec) return has_failed(ec);
        const auto from = peer_address::of(from_);
        if (!closed_) accept();  // whatever becomes of this one
        told_->accepted(std::move(accepted), from);
    }
    void has_failed(std::error_code ec) noexcept {
        // The client has gone meanwhile. Anything else may last, and must not keep the thread busy.
        const bool of_one = ec == ::asio::error::connection_aborted ||
                            ec == ::asio::error::operation_aborted ||
                            ec == ::asio::error::interrupted;
        told_->failed(ec);
        if (closed_) return;
        if (of_one) return accept();
        try {
            pause_.expires_after(time_to_recover);
            pause_.async_wait(pause_wait_.wait(this->shared_from_this()));
        } catch (...) {
            try_again_soon();
        }
    }
    // The least that can be asked for. Where there is not even that, this listener has ended.
    void try_again_soon() noexcept {
        try {
            ::asio::post(pause_.get_executor(), pause_wait_.wait(this->shared_from_this()));
        } catch (...) {}
    }

    ::asio::basic_socket_acceptor<Protocol> acceptor_;
    ::asio::steady_timer pause_;
    waiting_part<listener, to_accept> pause_wait_;
    endpoint_type from_;
    std::unique_ptr<owner> told_;
    socket_file file_;
    bool closed_ = false;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_LISTENER_HPP

// ==== sansocket_asio/detail/stream_traits.hpp ====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_STREAM_TRAITS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_STREAM_TRAITS_HPP
// stream_traits.hpp
//
// What the adapter must know of a stream besides reading and writing: whether it
// can wait for input without a buffer, whether it has a handshake of its own, and
// how its transport ends. Of TLS it knows that much, and includes nothing.

namespace sansocket_asio::detail {

// A socket: it can be waited for and then read without blocking, so that idle connections hold no
// read buffer. Asio's IOCP back end cannot wait cheaply.
template <class Stream>
concept waitable = requires(Stream& s, std::error_code& ec) {
    s.non_blocking(true, ec);
    s.async_wait(::asio::socket_base::wait_read, [](std::error_code) {});
#if defined(ASIO_HAS_IOCP)
    requires false;
#endif
};

// Plain or TLS, chosen at run time. Plain, it is its lowest layer.
template <class Stream>
concept tls_optional = requires(Stream& s, void (&done)(std::error_code)) {
    { s.uses_tls() } -> std::same_as<bool>;
    { s.use_tls(std::string_view{}) } -> std::same_as<std::error_code>;  // as a client of that host
    { s.needs_handshake() } -> std::same_as<bool>;
    s.async_handshake(done);
};

// Whose end is agreed on with the peer: close_notify in both directions.
template <class Stream>
concept ends_by_agreement = requires(Stream& s, void (&done)(std::error_code)) {
    s.async_shutdown(done);
};

template <class Stream>
concept layered = requires(Stream& s) {
    s.lowest_layer();
};

template <class Stream>
auto& lowest(Stream& stream) noexcept {
    if constexpr (layered<Stream>) return stream.lowest_layer();
    else return stream;
}

template <class Stream>
concept maybe_waitable = waitable<Stream> ||(tls_optional<Stream>&& requires(Stream& s) {
    requires waitable<std::remove_reference_t<decltype(s.lowest_layer())>>;
});

// Whether it can be waited for, as it is now.
template <class Stream>
bool waits(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return maybe_waitable<Stream> && !stream.uses_tls();
    else return waitable<Stream>;
}

// The socket to wait for, of one that waits.
template <maybe_waitable Stream>
auto& waiting_socket(Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.lowest_layer();
    else return stream;
}

template <class Stream>
bool needs_handshake(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.needs_handshake();
    else return false;
}

// Whether its end, as it is now, takes an exchange with the peer.
template <class Stream>
bool agrees_on_end(const Stream& stream) noexcept {
    if constexpr (tls_optional<Stream>) return stream.uses_tls();
    else return ends_by_agreement<Stream>;
}

// How long that may take.
template <class Stream>
std::chrono::steady_clock::duration shutdown_timeout(const Stream& stream) noexcept {
    if constexpr (requires { stream.shutdown_timeout(); }) return stream.shutdown_timeout();
    else return std::chrono::seconds(1);
}

// Small messages go out at once. Other transports than TCP do not know the option.
template <class Stream>
void no_delay(Stream& stream) noexcept {
    std::error_code ignored;
    const ::asio::ip::tcp::no_delay option{true};
    auto& socket = detail::lowest(stream);
    if constexpr (requires { socket.set_option(option, ignored); })
        socket.set_option(option, ignored);
}

// No more will be written; reading goes on. Only a plain socket can say so.
template <class Stream>
void half_close(Stream& stream) noexcept {
    std::error_code ignored;
    if constexpr (maybe_waitable<Stream>)
        if (waits(stream))
            waiting_socket(stream).shutdown(::asio::socket_base::shutdown_send, ignored);
}

// Ends the transport in the ordinary way.
template <class Stream>
void close(Stream& stream) noexcept {
    std::error_code ignored;
    auto& socket = detail::lowest(stream);
    if constexpr (requires { socket.close(ignored); }) socket.close(ignored);
    else socket.close();
}

// Drops the transport: what is still unsent is thrown away, and the peer sees a reset.
template <class Stream>
void abort(Stream& stream) noexcept {
    std::error_code ignored;
    auto& socket = detail::lowest(stream);
    const ::asio::socket_base::linger at_once{true, 0};
    if constexpr (requires { socket.set_option(at_once, ignored); })
        socket.set_option(at_once, ignored);
    detail::close(stream);
}

// Whether a socket that does not block has, or takes, nothing for now.
inline bool would_block(const std::error_code& ec) noexcept {
    return ec == ::asio::error::would_block || ec == ::asio::error::try_again;
}

// A TLS stream that ended without close_notify. Named by its category, so that nothing of TLS need be
// included.
inline bool is_truncation(const std::error_code& ec) noexcept {
    constexpr int stream_truncated = 1;
    return ec.value() == stream_truncated &&
           ec.category().name() == std::string_view{"asio.ssl.stream"};
}

// An error that TLS itself tells, such as an alert of the peer's.
inline bool is_tls_error(const std::error_code& ec) noexcept {
    return ec.category().name() == std::string_view{"asio.ssl"};
}

// What more a stream knows of an error that it gave.
template <class Stream>
std::string reason_of(Stream& stream, const std::error_code& ec) {
    if constexpr (requires { std::string_view{stream.reason_of(ec)}; })
        return std::string{stream.reason_of(ec)};
    else return {};
}

inline constexpr std::size_t read_buffer_size = 64 * 1024;

// One for each thread: whole reads are handed to the core before anything else runs.
inline ::asio::mutable_buffer thread_read_buffer() {
    thread_local const std::unique_ptr<std::byte[]> buffer(new std::byte[read_buffer_size]);
    return {buffer.get(), read_buffer_size};
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_STREAM_TRAITS_HPP

// ==== sansocket_asio/server/detail/proxy_header_op.hpp ===========================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_PROXY_HEADER_OP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_PROXY_HEADER_OP_HPP
// proxy_header_op.hpp
//
// Reads the PROXY header that precedes everything on a connection, and not a byte
// more: what follows is for TLS or for the opening handshake, which read for
// themselves. So bytes are looked at first, and taken when it is known whose they
// are.
//
// It has no time limit: the connection has, has begun, and ends the transport.

namespace sansocket_asio::detail {

// A socket from which can be read without taking.
template <class Socket>
concept peekable = requires(Socket& s, ::asio::mutable_buffer buffer, std::error_code& ec) {
    s.receive(buffer, ::asio::socket_base::message_peek, ec);
    s.non_blocking(true, ec);
    s.async_wait(::asio::socket_base::wait_read, [](std::error_code) {});
};

// The socket beneath a stream, as far as the stream shows it.
template <class Stream>
auto& socket_beneath(Stream& stream) noexcept {
    if constexpr (peekable<Stream>) return stream;
    else if constexpr (requires { stream.next_layer(); })
        return socket_beneath(stream.next_layer());
    else return detail::lowest(stream);
}

// Whether a PROXY header can be read ahead of a stream.
template <class Stream>
concept takes_proxy_header = requires(Stream& s) {
    requires peekable<std::remove_reference_t<decltype(detail::socket_beneath(s))>>;
};

template <class Session>
class proxy_header_op final : public waiter {
public:
    // errc::end_of_stream and errc::transport_lost are among the errors.
    using handler = std::function<void(const sansocket::proxy_header&, sansocket::errc)>;

    // What `done` holds keeps `from`.
    static void start(std::shared_ptr<Session> session, const trusted_proxies& from, handler done) {
        auto* const op = new proxy_header_op(std::move(session), from, std::move(done));
        owner self(op);
        std::error_code ignored;
        op->socket().non_blocking(true, ignored);
        op->wait(std::move(self));
    }

private:
    proxy_header_op(std::shared_ptr<Session> session, const trusted_proxies& from,
                    handler done) noexcept
        : session_(std::move(session)), from_(from), done_(std::move(done)) {}
    ~proxy_header_op() = default;
    void destroy() noexcept override { delete this; }
    auto& socket() noexcept { return detail::socket_beneath(session_->stream()); }

    void wait(owner self) {
        socket().async_wait(::asio::socket_base::wait_read, waiting_handler(std::move(self)));
    }
    void woken(owner self, std::error_code ec) override {
        if (session_->ended()) return;
        std::size_t n = 0;
        if (!ec) n = look(ec);
        if (ec == ::asio::error::would_block || ec == ::asio::error::try_again)
            return wait(std::move(self));
        if (ec == ::asio::error::eof) return done_({}, sansocket::errc::end_of_stream);
        if (ec) {
            session_->note(ec);
            return done_({}, sansocket::errc::transport_lost);
        }
        const auto [header, size, result] = from_.parse_header(std::span(seen_).first(taken_ + n));
        // All that was seen of a header that is not complete belongs to it.
        if (result == sansocket::errc::need_more) {
            take(n);
            return wait(std::move(self));
        }
        if (result == sansocket::errc::ok) take(size - taken_);
        done_(header, result);
    }
    // How many more bytes there are, which stay where they are.
    std::size_t look(std::error_code& ec) {
        return socket().receive(rest(), ::asio::socket_base::message_peek, ec);
    }
    void take(std::size_t n) {
        std::error_code ignored;
        taken_ += socket().receive(::asio::buffer(rest(), n), 0, ignored);
    }
    // There is some, for a header is longer than what was taken of it.
    ::asio::mutable_buffer rest() noexcept {
        return {seen_.data() + taken_, seen_.size() - taken_};
    }

    std::shared_ptr<Session> session_;
    const trusted_proxies& from_;
    handler done_;
    std::array<std::byte, sansocket::max_proxy_header> seen_{};
    std::size_t taken_ = 0;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_PROXY_HEADER_OP_HPP

// ==== sansocket_asio/server/observer.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OBSERVER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OBSERVER_HPP
// observer.hpp
//
// Who is told what a server does: for logs and traces. Where nobody is, nothing is
// printed, but for what diagnostics.hpp says of debug builds.

namespace sansocket_asio {

/// Why a server did not take a connection.
enum class server_refusal : std::uint8_t {
    connections,              ///< `server_options::max_connections`.
    connections_per_address,  ///< `server_options::max_connections_per_address`.
    stopping,                 ///< It came while the server was stopping.
};

/// How a WebSocket ended. It and its views live as long as the call that tells of it.
struct websocket_ending {
    const sansocket::close_info& info;  ///< How it ended, and why. RFC 6455 7.1.
    /// As `websocket::transport_error()`: what the system or OpenSSL said, where the transport failed.
    std::error_code transport_error;
    /// As `connection::explain()`: how long nothing had come, the round trip, what had not been sent.
    sansocket::connection_snapshot snapshot;
};

/// Is told of a server's life, on the server's executor. Each function does nothing by default, and
/// must not destroy the server. Addresses are the client's, as far as is known by then.
class server_observer {
public:
    server_observer() = default;
    server_observer(const server_observer&) = delete;
    server_observer& operator=(const server_observer&) = delete;
    virtual ~server_observer() = default;

    /// A connection came, from this address. One of the others follows, `closed` behind `opened`.
    virtual void accepted(const peer_address&) noexcept {}
    /// A trusted proxy has told, in its PROXY header or its request, for whom the connection is: for
    /// `client`, which is the proxy itself where it did not say. Once, and all that is told of the
    /// connection from then on is told of `client`. The error is errc::forwarded_invalid where a hop
    /// could not be read.
    virtual void identified(const peer_address& /*proxy*/, const peer_address& /*client*/,
                            sansocket::errc) noexcept {}
    /// It is over a limit.
    virtual void refused(const peer_address&, server_refusal) noexcept {}
    /// It is a WebSocket now.
    virtual void opened(const peer_address&) noexcept {}
    /// The WebSocket is over, its transport too, and its handler has returned.
    virtual void closed(const peer_address&, const websocket_ending&) noexcept {}
    /// It sent a plain HTTP request, which was answered with `status`.
    virtual void http_answered(const peer_address&, std::uint16_t /*status*/) noexcept {}
    /// It did not become a WebSocket: errc::refused_by_application, errc::opening_timeout, or what
    /// was wrong with the request. The second error is `websocket::transport_error()`: of
    /// errc::tls_handshake_failed, OpenSSL's words for why.
    virtual void handshake_failed(const peer_address&, sansocket::errc,
                                  std::error_code /*transport_error*/) noexcept {}
    /// No connection could be taken. The server goes on: at once where only that connection was at
    /// fault, and after a pause where there are no descriptors or no memory.
    virtual void accept_failed(std::error_code) noexcept {}
    /// An exception left a handler of the application. The connection ends with 1011, or the request
    /// is answered with 500. Not told of std::system_error from a connection that is over: that is how
    /// its operations end a coroutine.
    virtual void handler_failed(const peer_address&, const std::exception_ptr&) noexcept {}
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_OBSERVER_HPP

// ==== sansocket_asio/server/request.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_REQUEST_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_REQUEST_HPP
// request.hpp
//
// A request that came to a server, and what may be decided on it.

namespace sansocket_asio {

/// A request that a server is to answer. It and its views live until it is answered.
class server_request {
public:
    /// @param head  has to outlive this object.
    server_request(const sansocket::http_head& head, const peer_address& peer) noexcept
        : server_request(head, peer, peer) {}
    server_request(const sansocket::http_head& head, peer_address peer,
                   peer_address client) noexcept
        : head_(&head), peer_(std::move(peer)), client_(std::move(client)) {}

    /// "GET" of every upgrade.
    [[nodiscard]] std::string_view method() const noexcept { return head_->method(); }
    /// As it was sent, such as "/chat?room=1".
    [[nodiscard]] std::string_view target() const noexcept { return head_->target(); }
    /// The target's path, such as "/chat", percent-encoded as it was sent; "/" where an absolute URI
    /// has none, and "*" of OPTIONS.
    [[nodiscard]] std::string_view path() const noexcept {
        const std::string_view rest = resource();
        const std::string_view path = rest.substr(0, rest.find('?'));
        return path.empty() ? "/" : path;
    }
    /// Behind the path's "?", as it was sent; empty where there is none.
    [[nodiscard]] std::string_view query() const noexcept {
        const std::string_view rest = resource();
        const std::size_t at = rest.find('?');
        return at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    }
    /// The value of the first field called `name`, in any case, or nothing.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_->find(name);
    }
    /// The subprotocols that the client offers, in its order. RFC 6455 1.9.
    [[nodiscard]] std::vector<std::string_view> subprotocols() const {
        std::vector<std::string_view> offered;
        (void)head_->any_element("Sec-WebSocket-Protocol", [&offered](std::string_view element) {
            offered.push_back(element);
            return false;
        });
        return offered;
    }
    /// The whole head.
    [[nodiscard]] const sansocket::http_head& head() const noexcept { return *head_; }
    /// Where the client is, as far as is known: as the proxies of `server_options::trusted_proxies`
    /// say, and else `peer()`.
    [[nodiscard]] const peer_address& client() const noexcept { return client_; }
    /// Where the transport comes from: from the client, or from a proxy.
    [[nodiscard]] const peer_address& peer() const noexcept { return peer_; }

private:
    // Path and query: an absolute URI without its scheme and authority.
    [[nodiscard]] std::string_view resource() const noexcept {
        std::string_view rest = target();
        if (rest.starts_with('/')) return rest;
        const std::size_t scheme = rest.find("://");
        if (scheme == std::string_view::npos) return rest;
        rest.remove_prefix(scheme + 3);
        const std::size_t path = rest.find_first_of("/?");
        return path == std::string_view::npos ? std::string_view{} : rest.substr(path);
    }

    const sansocket::http_head* head_;
    peer_address peer_;
    peer_address client_;
};

/// What a server does with an upgrade. RFC 6455 4.2.2. By default it accepts.
class server_decision {
public:
    server_decision() = default;

    /// Accepts, with the subprotocol that the policy chooses.
    [[nodiscard]] static server_decision accept(
        std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d;
        d.answer_.fields = std::move(fields);
        return d;
    }
    /// Accepts with a subprotocol that the client offered, or, if empty, with none.
    [[nodiscard]] static server_decision accept_with(
        std::string subprotocol, std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d = accept(std::move(fields));
        d.subprotocol_ = std::move(subprotocol);
        return d;
    }
    /// Refuses with a status of 300 to 599, but not 304.
    [[nodiscard]] static server_decision refuse(
        std::uint16_t status, std::string body = {},
        std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d;
        d.accepts_ = false;
        d.answer_ = {status, std::move(fields), std::move(body)};
        return d;
    }

    [[nodiscard]] bool accepts() const noexcept { return accepts_; }  ///< Whether it accepts.
    /// What was chosen instead of the policy's choice.
    [[nodiscard]] const std::optional<std::string>& subprotocol() const noexcept {
        return subprotocol_;
    }
    /// Status and body of a refusal, and the fields of either answer.
    [[nodiscard]] const sansocket::http_response& answer() const noexcept { return answer_; }

private:
    bool accepts_ = true;
    std::optional<std::string> subprotocol_;
    sansocket::http_response answer_;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_REQUEST_HPP

// ==== sansocket_asio/server/detail/server_entry.hpp ==============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_ENTRY_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_ENTRY_HPP
// server_entry.hpp
//
// A server's connection: the websocket, and what the server knows of it.

namespace sansocket_asio::detail {

template <class Websocket>
struct server_entry {
    enum class state : std::uint8_t {
        opening,   // to be asked about, and counted
        refusing,  // to be told that it is one too many
        open,      // its handler has it
        ending,    // only the end of its transport is awaited
    };

    server_entry(Websocket socket, const peer_address& from, std::optional<server_refusal> over)
        : websocket(std::move(socket)),
          peer(from),
          client(from),
          refused_for(over),
          state_(over ? state::refusing : state::opening) {}

    Websocket websocket;
    peer_address peer;        // of the transport
    peer_address client;      // the same, or whom that one speaks for, as far as is known
    bool identified = false;  // whether it is known
    bool counted = false;     // among those of its address
    std::optional<server_refusal> refused_for;
    state state_;
    bool was_open = false;
    bool gone = false;                                           // from the list
    bool asking = false;                                         // the application, what to answer
    sansocket::close_code code = sansocket::close_code::normal;  // when its handler is done
    ::asio::cancellation_signal stop;                            // ends a handler's coroutine
    typename std::list<std::shared_ptr<server_entry>>::iterator place{};
};

// Its request is decided on and it is open, or its client is gone.
struct decided_or_gone {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        const bool done = s.ended() || s.core_->was_opened();
        return done ? std::optional{std::error_code{}} : std::nullopt;
    }
};

// A server's wait for the step `Until` of a connection that has begun.
template <class Until>
struct step_operation {
    using result = void;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(const Session& s) const noexcept {
        return Until::look(s);
    }
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_ENTRY_HPP

// ==== sansocket_asio/server/detail/server_step.hpp ===============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEP_HPP
// server_step.hpp
//
// What goes on when an operation of a server's connection completes. Where there
// is no memory, an operation may be destroyed instead: then the connection ends,
// for nobody else would ever come back to it.

namespace sansocket_asio::detail {

// Something is to come back to the connection, which is lost where this goes away without.
template <class State, class Entry>
class step_guard {
public:
    step_guard(std::shared_ptr<State> state, std::shared_ptr<Entry> e) noexcept
        : state_(std::move(state)), entry_(std::move(e)) {}
    step_guard(step_guard&&) noexcept = default;
    step_guard& operator=(step_guard&&) = delete;
    ~step_guard() {
        if (state_) state_->lost(entry_);
    }

    // It has come back: with `step`.
    template <class Step>
    void operator()(Step step) noexcept {
        const auto state = std::exchange(state_, nullptr);
        const auto e = std::exchange(entry_, nullptr);
        if (state) state->attempt(e, [&] { step(*state, e); });
    }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Entry> entry_;
};

// The completion handler of an operation, behind which `next` is due.
template <class State, class Entry>
class server_step {
public:
    using function = void (State::*)(const std::shared_ptr<Entry>&, std::error_code);

    server_step(std::shared_ptr<State> state, std::shared_ptr<Entry> e, function next) noexcept
        : guard_(std::move(state), std::move(e)), next_(next) {}
    void operator()(std::error_code ec) noexcept {
        guard_([next = next_, ec](State& state, const std::shared_ptr<Entry>& e) {
            (state.*next)(e, ec);
        });
    }

private:
    step_guard<State, Entry> guard_;
    function next_;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEP_HPP

// ==== sansocket/wire/request_fields.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_WIRE_REQUEST_FIELDS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_WIRE_REQUEST_FIELDS_HPP
// request_fields.hpp
//
// Fields that clients add to their request: credentials and cookies. RFC 7617,
// RFC 6750, RFC 6265.
//
// What cannot be written becomes a field without a name, which no opening
// handshake takes: it ends with errc::invalid_request, and nothing is sent.
//
// Knows nothing of: where secrets come from, and cookie jars.

namespace sansocket {

/// The field Authorization with a user's name and password, as bytes. RFC 7617 2.
///
/// Base64 hides nothing: only over TLS is this a secret.
///
/// @return a field without a name where `user` holds a ":", or either a control character.
[[nodiscard]] inline http_field_value basic_auth(std::string_view user, std::string_view password) {
    const auto control = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
    };
    for (const char c : user)
        if (c == ':' || control(c)) return {};
    for (const char c : password)
        if (control(c)) return {};
    std::string both, value;
    detail::append(both, {user, ":", password});
    detail::append(value, {"Basic ", detail::base64(both)});
    return {"Authorization", std::move(value)};
}

/// The field Authorization with a bearer token. RFC 6750 2.1.
///
/// @return a field without a name where `token` is no b64token: one or more letters, digits or
///         "-._~+/", then any number of "=".
[[nodiscard]] inline http_field_value bearer(std::string_view token) {
    const std::string_view text = token.substr(0, token.find_last_not_of('=') + 1);
    if (text.empty()) return {};
    for (const char c : text) {
        const bool alnum =
            detail::is(detail::char_class::alpha, c) || detail::is(detail::char_class::digit, c);
        if (!alnum && std::string_view{"-._~+/"}.find(c) == std::string_view::npos) return {};
    }
    std::string value;
    detail::append(value, {"Bearer ", token});
    return {"Authorization", std::move(value)};
}

/// A cookie as a client sends it. RFC 6265 4.2.1.
struct cookie {
    std::string_view name{};   ///< A token.
    std::string_view value{};  ///< Printable ASCII without space, '"', ",", ";" and "\", or such in
                               ///< quotes.
};

namespace detail {

// RFC 6265 4.1.1.
constexpr bool is_cookie_value(std::string_view value) noexcept {
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    if (quoted) value = value.substr(1, value.size() - 2);
    for (const char c : value)
        if (c <= ' ' || c >= '\x7f' || c == '"' || c == ',' || c == ';' || c == '\\') return false;
    return true;
}

template <class Cookies>
http_field_value cookie_field(const Cookies& all) {
    std::string value;
    for (const cookie& c : all) {
        if (!is_token(c.name) || !is_cookie_value(c.value)) return {};
        append(value, {value.empty() ? "" : "; ", c.name, "=", c.value});
    }
    if (value.empty()) return {};
    return {"Cookie", std::move(value)};
}

}  // namespace detail

/// The field Cookie with all of `all`, in their order. RFC 6265 4.2.
///
/// @return a field without a name where there is none, or one cannot be written.
[[nodiscard]] inline http_field_value cookies(std::span<const cookie> all) {
    return detail::cookie_field(all);
}
[[nodiscard]] inline http_field_value cookies(std::initializer_list<cookie> all) {
    return detail::cookie_field(all);
}

}  // namespace sansocket
#endif  // SANSOCKET_SINGLE_SANSOCKET_WIRE_REQUEST_FIELDS_HPP

// ==== sansocket_asio/client_options.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_CLIENT_OPTIONS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_CLIENT_OPTIONS_HPP
// client_options.hpp
//
// What can be chosen for a client's connection, besides its URL.

namespace sansocket_asio {

/// What a client asks for, besides the URL.
///
/// Give it a name in a coroutine: gcc 12 destroys a braced temporary in a co_await expression twice.
struct client_options {
    std::vector<std::string> subprotocols;  ///< In order of preference.
    std::string origin;                     ///< The Origin field; empty: none.
    /// Further fields of the request: see `sansocket::basic_auth`, `bearer` and `cookies`.
    std::vector<sansocket::http_field_value> headers;
    sansocket::options connection;  ///< Limits and times.
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_CLIENT_OPTIONS_HPP

// ==== sansocket_asio/connect_failure.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_CONNECT_FAILURE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_CONNECT_FAILURE_HPP
// connect_failure.hpp
//
// Why a client has no connection: how far it came, what went wrong there, and
// what the server said, if it answered.

namespace sansocket_asio {

/// A step of a client's way to an open connection, in their order.
enum class connect_stage : std::uint8_t {
    url,      ///< The URL is parsed. RFC 6455 3.
    request,  ///< The request is composed. RFC 6455 4.1.
    resolve,  ///< The host is looked up.
    connect,  ///< Its addresses are tried.
    tls,      ///< TLS is agreed on.
    upgrade,  ///< The request is sent, the response awaited and checked. RFC 6455 4.1.
};

/// The step's name, in lower case.
[[nodiscard]] constexpr std::string_view to_string(connect_stage stage) noexcept {
    switch (stage) {
    case connect_stage::url: return "url";
    case connect_stage::request: return "request";
    case connect_stage::resolve: return "resolve";
    case connect_stage::connect: return "connect";
    case connect_stage::tls: return "tls";
    case connect_stage::upgrade: return "upgrade";
    }
    return {};
}

/// How a client's attempt to connect failed.
///
/// A server that answers something else than 101 fails it with errc::upgrade_refused, whatever the
/// status: redirects (3xx, field Location) and demands for credentials (401, WWW-Authenticate) are
/// the application's to follow.
struct connect_failure {
    /// The step that failed, or that a timeout or a cancellation fell upon.
    connect_stage stage = connect_stage::url;
    std::error_code ec{};  ///< What the operation completed with; success if none has failed.
    std::string where{};   ///< The host looked up, or the address tried last; empty where none was.
    /// What more the stream knows of `ec`: what was wrong with the server's certificate, such as
    /// "certificate has expired". Empty where it knows no more.
    std::string why{};
    /// The head of the server's final response; of status 0 where there is none.
    sansocket::http_head response{};
    /// The body of a response that is no upgrade, up to `http_limits::body`: any bytes.
    std::string body{};
    bool body_cut = false;  ///< Whether more of the body followed, or may have.

    /// One line for people: "connect: Connection refused (127.0.0.1:1)", "tls: certificate verify
    /// failed (SSL routines): certificate has expired (example.com)", or "upgrade: the server
    /// answered 403 Forbidden: " and the first line of the body, if that is text. Control characters
    /// and what is not UTF-8 are replaced, and the URL is not in it, for it may hold a secret.
    [[nodiscard]] std::string describe() const;
};

/// The same as its `describe()`.
[[nodiscard]] inline std::string to_string(const connect_failure& failure) {
    return failure.describe();
}

namespace detail {

// What a peer wrote, fit for a terminal or a log: at most 200 bytes of its first line that is not
// empty.
inline std::string printable_line(std::string_view text) {
    constexpr std::size_t most = 200;
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return {};
    text = text.substr(begin, text.find_first_of("\r\n", begin) - begin);
    if (text.size() > most) {
        std::size_t end = most;
        while (end != most - 4 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
        text = text.substr(0, end);
    }
    const bool utf8 = sansocket::is_valid_utf8(text);
    std::string out;
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        // U+0080 to U+009F are control characters too.
        const bool c1 = utf8 && c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        const bool control = c < 0x20 || c == 0x7f || c1 || (!utf8 && c >= 0x80);
        out += control ? '?' : text[i];
        if (c1) ++i;
    }
    return out;
}

}  // namespace detail

inline std::string connect_failure::describe() const {
    if (!ec) return "connected";
    std::string out{to_string(stage)};
    if (ec != sansocket::errc::upgrade_refused) {
        out += ": " + ec.message();
        if (!why.empty()) out += ": " + why;
        if (!where.empty()) out += " (" + where + ")";
        return out;
    }
    out += ": the server answered " + std::to_string(response.status());
    if (const auto reason = detail::printable_line(response.reason()); !reason.empty())
        out += " " + reason;
    if (const auto to = response.find("Location"))
        out += " (Location: " + detail::printable_line(*to) + ")";
    const std::string said = detail::printable_line(body);
    if (!said.empty() && said.front() != '<') out += ": " + said;  // a page is not for a log
    return out;
}

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_CONNECT_FAILURE_HPP

// ==== sansocket_asio/detail/connect_op.hpp =======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONNECT_OP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONNECT_OP_HPP
// connect_op.hpp
//
// A client's way from a URL to an open connection: resolve, connect, upgrade;
// where TLS comes in between, the session sees to it. The core's opening deadline
// runs from the start and ends whichever step is under way. A name that is being
// looked up cannot be called back: nobody waits for it any more. An address that
// does not answer takes no more than its share of the time, so that the next ones
// have theirs.

namespace sansocket_asio::detail {

template <class T>
concept endpoint = requires(const T& e) {
    typename T::protocol_type;
    e.protocol();
};

// Where to connect to.
template <endpoint Endpoint>
struct destination {
    std::string host{};
    std::string port{};
    bool secure = false;                               // over TLS
    std::optional<std::vector<Endpoint>> endpoints{};  // nothing: `host` is looked up
};

// An endpoint, for people.
template <endpoint Endpoint>
std::string text_of(const Endpoint& e) {
    if constexpr (requires { e.address().is_v6(); }) {
        const std::string address = e.address().to_string();
        const std::string port = std::to_string(e.port());
        return e.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
    } else if constexpr (requires { e.path(); }) {
        std::string path = e.path();
        if (!path.empty() && path.front() == '\0') path.front() = '@';  // Linux: an abstract name
        return path;
    } else {
        return {};
    }
}

template <class Session, class Begin, class Endpoint>
class connect_op {
    using results = ::asio::ip::tcp::resolver::results_type;
    using timer = typename Session::timer_type;
    using resolver = ::asio::ip::basic_resolver<::asio::ip::tcp, typename Session::executor_type>;

    // A name and what it was found to be. Outlives the operation, if that does not wait for it.
    struct resolution {
        explicit resolution(const typename Session::executor_type& executor) : by(executor) {}
        resolver by;
        std::optional<std::error_code> done{};
        results found{};
    };

public:
    // `begin`: errc(session&), called once, unless `ec` says that there is nothing to begin with.
    connect_op(std::shared_ptr<Session> session, Begin begin, destination<Endpoint> to,
               std::error_code ec)
        : session_(std::move(session)),
          begin_(std::make_unique<Begin>(std::move(begin))),
          to_(std::move(to)),
          ec_(ec) {}

    template <class Self>
    void operator()(Self& self, std::error_code ec = {}) {
        const bool first = state_ == state::starting;
        if (state_ == state::finishing) return complete(self);
        if (first) {
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            mine_ = session_ && !session_->core_;
            if (!ec_) ec_ = begin();
        }
        if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
            if (session_) session_->abort(sansocket::errc::cancelled);
            ec_ = ::asio::error::operation_aborted;
        }
        if (!ec_ && session_->over()) ec_ = session_->ending();  // the deadline passed, for one
        if (ec_) return finish(self, first);
        switch (state_) {
        case state::starting:
            return to_.endpoints ? connect(self, ::asio::error::not_found) : resolve(self);
        case state::resolving: return resolved(self);
        case state::connecting:
            share_.reset();
            if (tried_ && !ec) return connected(self);
            return connect(self, ec);
        case state::opening: return look(self);
        case state::finishing: return;
        }
    }

private:
    enum class state : std::uint8_t { starting, resolving, connecting, opening, finishing };

    template <class Self>
    auto bound(Self& self) {
        return ::asio::bind_executor(session_->stream().get_executor(), std::move(self));
    }

    std::error_code begin() {
        const sansocket::errc ec = (*begin_)(*session_);
        begin_.reset();
        return ec == sansocket::errc::ok ? std::error_code{} : make_error_code(ec);
    }

    template <class Self>
    void resolve(Self& self) {
        state_ = state::resolving;
        session_->stage_ = connect_stage::resolve;
        resolution_ = std::make_shared<resolution>(session_->stream().get_executor());
        resolution_->by.async_resolve(to_.host, to_.port,
                                      [to = resolution_, from = std::weak_ptr<Session>(session_)](
                                          std::error_code ec, const results& found) {
                                          to->done = ec;
                                          to->found = found;
                                          if (const auto session = from.lock())
                                              session->wake_others();
                                      });
        wait(self);
    }

    template <class Self>
    void resolved(Self& self) {
        if (!resolution_->done) return wait(self);
        const std::error_code ec = *resolution_->done;
        to_.endpoints.emplace();
        if constexpr (std::same_as<Endpoint, ::asio::ip::tcp::endpoint>)
            for (const auto& entry : resolution_->found) to_.endpoints->push_back(entry.endpoint());
        resolution_.reset();
        if (ec) fail(self, ec);
        else connect(self, ::asio::error::host_not_found);
    }

    // `ec`: what the last one said.
    template <class Self>
    void connect(Self& self, std::error_code ec) {
        session_->stage_ = connect_stage::connect;
        auto& socket = detail::lowest(session_->stream());
        while (next_ != to_.endpoints->size()) {
            const Endpoint endpoint = (*to_.endpoints)[next_++];
            std::error_code failed;
            socket.close(failed);
            socket.open(endpoint.protocol(), failed);
            tried_ = !failed;
            if (failed) {
                ec = failed;
                continue;
            }
            state_ = state::connecting;
            limit_attempt();
            return socket.async_connect(endpoint, bound(self));
        }
        fail(self, ec);
    }

    // There is nowhere to connect to.
    template <class Self>
    void fail(Self& self, std::error_code ec) {
        session_->abort(sansocket::errc::transport_lost);
        ec_ = ec;
        finish(self, state_ == state::starting);
    }

    // An attempt that others wait behind is given up once it has had its share.
    void limit_attempt() {
        const auto sharing = static_cast<int>(to_.endpoints->size() - next_ + 1);
        const sansocket::time_point deadline = session_->core_->next_deadline();
        if (sharing == 1 || deadline == sansocket::never) return;
        const auto share = (deadline - Session::now()) / sharing;
        share_ = std::make_shared<timer>(session_->stream().get_executor(), share);
        share_->async_wait([attempt = std::weak_ptr<timer>(share_),
                            from = std::weak_ptr<Session>(session_)](std::error_code ec) {
            const auto session = from.lock();
            if (ec || attempt.expired() || !session) return;
            detail::lowest(session->stream()).cancel(ec);
        });
    }

    template <class Self>
    void connected(Self& self) {
        state_ = state::opening;
        session_->start(to_.secure ? &to_.host : nullptr);
        look(self);
    }

    template <class Self>
    void look(Self& self) {
        const auto done = opened::look(*session_);
        if (done) {
            ec_ = *done;
            return finish(self, false);
        }
        wait(self);
    }

    template <class Self>
    void wait(Self& self) {
        auto& changed = session_->changed();
        changed.async_wait(bound(self));
    }

    template <class Self>
    void finish(Self& self, bool first) {
        state_ = state::finishing;
        if (ec_ && mine_)
            session_->failure_ = std::make_unique<const connect_failure>(
                connect_failure{.stage = session_->stage_, .ec = ec_, .where = where()});
        if (first) ::asio::post(std::move(self));
        else ::asio::dispatch(std::move(self));
    }

    // What the step that failed was about.
    std::string where() const {
        switch (session_->stage_) {
        case connect_stage::url:
        case connect_stage::request: break;
        case connect_stage::resolve:
        case connect_stage::tls: return to_.host;
        case connect_stage::connect:
        case connect_stage::upgrade:
            if (next_ != 0) return text_of((*to_.endpoints)[next_ - 1]);
        }
        return {};
    }

    template <class Self>
    void complete(Self& self) {
        session_.reset();
        self.complete(ec_);
    }

    std::shared_ptr<Session> session_;
    std::unique_ptr<Begin> begin_;  // apart, for Asio gives this memory to what waits next
    destination<Endpoint> to_;
    std::error_code ec_;
    std::shared_ptr<resolution> resolution_;
    std::size_t next_ = 0;          // of the endpoints
    std::shared_ptr<timer> share_;  // of the one that is being tried
    bool tried_ = false;            // an endpoint: the error code is its answer
    bool mine_ = false;             // whether it is this operation that the session opens for
    state state_ = state::starting;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_CONNECT_OP_HPP

// ==== sansocket_asio/detail/read_buffer.hpp ======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_READ_BUFFER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_READ_BUFFER_HPP
// read_buffer.hpp
//
// Where a stream that cannot be waited for reads to: one buffer for each
// connection, as small as what comes allows. An idle connection holds 2 KiB; one
// that brings much, as much as a TLS record takes.

namespace sansocket_asio::detail {

class read_buffer {
public:
    static constexpr std::size_t few = 2 * 1024;
    static constexpr std::size_t many = 16 * 1024;  // a TLS record's payload. RFC 8446 5.1.

    // For the next read. What the last one brought is not needed any more.
    ::asio::mutable_buffer prepare() {
        const bool filled = last_ == size_;
        const std::size_t size = filled ? many : last_ < few / 2 ? few : size_;
        if (!bytes_ || size != size_) {
            bytes_.reset();  // first: the two are not held at a time
            bytes_.reset(new std::byte[size]);
            size_ = size;
        }
        last_ = 0;
        return {bytes_.get(), size_};
    }
    // What a read brought.
    std::span<std::byte> filled(std::size_t n) noexcept {
        last_ = n;
        return {bytes_.get(), n};
    }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_ ? size_ : 0; }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = few;
    std::size_t last_ = 0;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_READ_BUFFER_HPP

// ==== sansocket_asio/detail/write_buffers.hpp ====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WRITE_BUFFERS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WRITE_BUFFERS_HPP
// write_buffers.hpp
//
// The core's output as Asio takes it.

namespace sansocket_asio::detail {

// A gather write's buffers. Copied into Asio's operation.
class write_buffers {
public:
    using value_type = ::asio::const_buffer;
    using const_iterator = const ::asio::const_buffer*;

    explicit write_buffers(const sansocket::output_buffers& out) noexcept : count_(out.size()) {
        for (std::size_t i = 0; i != count_; ++i)
            buffers_[i] = ::asio::const_buffer(out[i].data(), out[i].size());
    }
    const_iterator begin() const noexcept { return buffers_.data(); }
    const_iterator end() const noexcept { return buffers_.data() + count_; }

private:
    std::array<::asio::const_buffer, sansocket::output_buffers::capacity> buffers_;
    std::size_t count_;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_WRITE_BUFFERS_HPP

// ==== sansocket_asio/detail/session.hpp ==========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_HPP
// session.hpp
//
// The adapter's loop round one connection: a reader, a writer with one gather
// write in flight, and a timer. It moves bytes and time between the stream and
// the core, and decides nothing.
//
// A stream may have a handshake of its own first, and an end that is agreed on
// with the peer: both are TLS's, and both have a deadline.
//
// `drive()` is the loop's body and runs after everything that may have changed
// the core: write what it has, end the transport if it says so, read if it
// wants to, wait until its deadline, wake who waits. Where a run is on, what was
// read goes to its handler at once, and what that sends goes out in one write.
//
// Everything here runs on the stream's executor. Reads and writes in flight own
// the session; timers do not. Where the execution context is destroyed first, the
// stream and the timers go with it, and the session stays behind, ended.

namespace sansocket_asio::detail {

template <class Stream, class Connection>
class session final : public std::enable_shared_from_this<session<Stream, Connection>>,
                      private context_watcher {
public:
    using executor_type = typename Stream::executor_type;
    using connection_type = Connection;
    using timer_type =
        ::asio::basic_waitable_timer<std::chrono::steady_clock,
                                     ::asio::wait_traits<std::chrono::steady_clock>, executor_type>;
    // A sender's place in the line of those that wait for room.
    using place = typename sender_line<timer_type>::place;

    explicit session(Stream stream) : io_(std::in_place, std::move(stream)) {
        this->watch(context_of(io_->stream.get_executor()));
    }

    static sansocket::time_point now() noexcept { return std::chrono::steady_clock::now(); }

    // The core exists from here on, once. `connected`: the stream can be read and written already.
    template <class... Args>
    sansocket::errc begin(bool connected, Args&&... args) {
        if (core_) return over() ? sansocket::errc::closed : sansocket::errc::operation_in_progress;
        core_.emplace(std::forward<Args>(args)...);
        failure_.reset();
        stage_ = connect_stage::request;
        if (connected) start();
        else arm_timer();
        return sansocket::errc::ok;
    }

    // The stream is connected: the loop begins, behind a handshake of the stream's own if it needs one.
    // `tls_host`: whose TLS a client's stream, which can do that, is to use.
    void start(const std::string* tls_host = nullptr) {
        if (transport_ == transport::ended) return;
        if (!over()) stage_ = connect_stage::tls;
        detail::no_delay(stream());
        if constexpr (tls_optional<Stream>)
            if (tls_host != nullptr)
                if (const auto ec = stream().use_tls(*tls_host)) return handshake_failed(ec);
        if (needs_handshake(stream())) secure();
        else attach();
    }

    void drive();

    // The application lets go. What it cannot see any more ends by itself.
    void drop() noexcept {
        dropped_ = true;
        if (!core_ && outbox_) outbox_->answer(sansocket::errc::closed);
        if (!core_) return;  // the stream closes itself
        // An answer to the peer's Close is not cut off, and waits for nothing any more.
        if (core_->close_info().received) core_->messages().clear();
        else if (!over()) core_->abort(sansocket::errc::dropped);
        drive_or_end();
    }

    void abort(sansocket::errc cause) noexcept {
        if (!core_) return;
        core_->abort(cause);
        if (transport_ == transport::agreeing_on_end) end_by_ = now();
        drive_or_end();
    }

    // From now on messages go to `handler`, for as long as somebody else holds it.
    void start_run(const std::shared_ptr<message_handler>& handler, bool waits_for_room) {
        run_ = handler;
        waits_for_room_ = waits_for_room;
        lags_ = false;
        drive();
    }
    void stop_run() noexcept { run_.reset(); }
    bool runs() const noexcept { return !run_.expired(); }

    sender_line<timer_type>& senders() noexcept { return io_->senders; }
    // Whether somebody waits for room to send.
    bool senders_wait() const noexcept { return io_ && !io_->senders.empty(); }
    bool is_first(const std::optional<place>& at) noexcept {
        return io_->senders.empty() || (at && io_->senders.is_first(*at));
    }
    void limit_senders(const sender_limits& limits) noexcept {
        if (io_) io_->senders.limit(limits);
    }
    place line_up(line where, std::size_t given = 0) {
        return io_->senders.add(where, stream().get_executor(), given);
    }
    // Out of the line. The next goes on while there is room.
    void step_out(place at) {
        io_->senders.remove(at);
        if (senders_wait()) {
            if (!core_->output_full()) io_->senders.wake_first();
            return;
        }
        wake_others();
        hand_over_soon();
    }
    // The same of one that has given up.
    void step_out_or_end(place at) noexcept {
        try {
            step_out(at);
        } catch (...) {
            hang_up();
        }
    }
    // Whether there still is an execution context to wait in.
    bool in_context() const noexcept { return io_.has_value(); }

    // What is sent from other threads, or must not wait.
    std::shared_ptr<outbox> shared_outbox(const backlog_limits& limits = {});
    drop_counters dropped_messages() const {
        return outbox_ ? outbox_->dropped() : drop_counters{};
    }
    sansocket::errc post(outbox::item given);

    bool over() const noexcept {
        return !core_ || core_->state() == sansocket::connection_state::closed;
    }

    // Whether the application has let go.
    bool dropped() const noexcept { return dropped_; }
    // Whether there is something to do that nothing brings: what was taken has made room to read, or
    // was what the peer's Close waited for.
    bool stalled() const noexcept {
        return attached() && ((!reading_ && core_->wants_read()) ||
                              core_->next_deadline() == sansocket::immediately);
    }
    // The transport, too, is of no more use.
    bool ended() const noexcept { return transport_ == transport::ended; }

    // The end of the connection as an error code: success if it was clean. While it was opening, TLS
    // has words of its own for what went wrong.
    std::error_code ending() const noexcept {
        if (!core_) return sansocket::errc::not_open;
        const auto& info = core_->close_info();
        const bool of_tls =
            info.cause == sansocket::errc::tls_handshake_failed || is_tls_error(transport_error_);
        if (of_tls && !core_->was_opened()) return transport_error_;
        return info.clean ? std::error_code{} : make_error_code(info.cause);
    }
    // What the transport said that went wrong.
    void note(std::error_code ec) noexcept;
    std::error_code transport_error() const noexcept { return transport_error_; }

    // Why a client has not opened. What the operation does not note is the connection's to say.
    connect_failure failure() {
        connect_failure out = failure_ ? *failure_ : connect_failure{.stage = stage_};
        if (!core_ || core_->was_opened() || !over()) return out;
        if (!out.ec) out.ec = ending();
        if (out.ec == sansocket::errc::cancelled) out.ec = ::asio::error::operation_aborted;
        if (io_) out.why = reason_of(io_->stream, out.ec);
        if (const auto* handshake = core_->handshake()) {
            out.response = handshake->response();
            out.body = handshake->body();
            out.body_cut = handshake->body_cut();
        }
        return out;
    }

    Stream& stream() noexcept { return io_->stream; }
    executor_type executor() noexcept { return io_->stream.get_executor(); }
    // Waited for by who waits for messages; cancelled to wake them.
    timer_type& readable() noexcept { return io_->waiting; }
    // The same timer, for all the others. Who was woken for nothing looks, and waits again.
    timer_type& changed() noexcept {
        others_wait_ = true;
        return io_->waiting;
    }
    void wake_all() noexcept {
        others_wait_ = false;
        io_->waiting.cancel();
    }
    void wake_others() noexcept {
        if (others_wait_) wake_all();
    }

    // What it waits for, and what comes of that.
    struct to_read {};
    struct to_gather {};
    struct to_hand_over {};
    struct deadline {};
    void woken(to_read, std::error_code);
    void woken(to_gather, std::error_code);
    void woken(to_hand_over, std::error_code);
    void woken(deadline, std::error_code);

    std::optional<connection_type> core_;
    std::unique_ptr<const connect_failure> failure_;  // of a connect; without the response
    connect_stage stage_ = connect_stage::url;        // how far a client has come
    receiver receiver_ = receiver::none;
    bool appending_ = false;  // whether a part of a message waits for room

private:
    // What belongs to the execution context.
    struct io {
        explicit io(Stream s)
            : stream(std::move(s)),
              deadline(stream.get_executor(), sansocket::never),
              waiting(stream.get_executor(), sansocket::never) {}
        Stream stream;
        timer_type deadline;
        timer_type waiting;
        sender_line<timer_type> senders;
    };
    // While there is one, `drive` does nothing: whoever made it drives afterwards.
    struct corked {
        explicit corked(session& owner) noexcept : s(owner) { ++s.corks_; }
        corked(const corked&) = delete;
        ~corked() { --s.corks_; }
        session& s;
    };

    // As Asio's own objects find it.
    template <class Executor>
    static ::asio::execution_context& context_of(const Executor& executor) {
        if constexpr (::asio::can_query<const Executor&, ::asio::execution::context_t>::value)
            return ::asio::query(executor, ::asio::execution::context);
        else return executor.context();
    }
    void context_gone() noexcept override;
    void drive_or_end() noexcept;
    void hang_up() noexcept;
    void secure();
    void secured(std::error_code ec);
    void handshake_failed(std::error_code ec);
    void attach();
    bool gathers() const noexcept;
    void gather(std::size_t left, unsigned idle);
    void write();
    void write_gathered();
    bool write_some();
    void written(std::error_code ec, std::size_t n);
    void shut_down();
    void linger();
    void discard_input();
    void end_in_agreement();
    void cut_off();
    void end();
    void take_leftover();
    void read();
    void wait_to_read();
    void read_now();
    void has_read(std::span<std::byte> bytes, std::error_code ec);
    void feed(std::span<std::byte> bytes);
    void arm_timer();
    void wake();
    void wake_senders() noexcept;
    bool brings_something() const noexcept;
    bool may_hand_over() noexcept;
    void hand_over();
    void hand_over_soon();
    void empty_outbox();
    sansocket::errc answer() const noexcept;

    enum class transport : std::uint8_t {
        connecting,
        securing,
        attached,
        lingering,
        agreeing_on_end,
        ended
    };

    bool attached() const noexcept { return transport_ == transport::attached; }

    transport transport_ = transport::connecting;
    bool reading_ = false;
    bool writing_ = false;
    bool half_closed_ = false;
    bool dropped_ = false;
    bool waits_for_room_ = true;  // the run, before it hands over
    bool lags_ = false;           // and it does: the output was full and has not drained
    bool gathering_ = false;      // what is to be written waits for what may follow
    bool hand_over_posted_ = false;
    bool others_wait_ = false;  // for something else than messages
    std::uint8_t corks_ = 0;
    std::uint8_t gather_idle_ = 0;  // as `gather` was given
    std::uint8_t gather_left_ = 0;  // modulo 2^8, for it is only compared
    waiting_part<session, to_read> read_wait_;
    std::weak_ptr<message_handler> run_;
    sansocket::time_point armed_ = sansocket::never;
    sansocket::time_point end_by_ = sansocket::never;  // agreeing on the end
    std::error_code transport_error_;
    std::optional<io> io_;             // nothing once the execution context is gone
    std::vector<std::byte> leftover_;  // read, and not yet taken by the core
    std::shared_ptr<outbox> outbox_;   // once somebody asked for it
    struct no_buffer {};
    SANSOCKET_NO_UNIQUE_ADDRESS std::conditional_t<waitable<Stream>, no_buffer, read_buffer>
        buffer_;
};

// The connection ends here, whatever it was doing. Who waits is destroyed by the context.
template <class Stream, class Connection>
void session<Stream, Connection>::context_gone() noexcept {
    const auto self = this->weak_from_this().lock();  // a stream may let go of its handlers
    if (core_ && !over())
        core_->abort(dropped_ ? sansocket::errc::dropped : sansocket::errc::transport_lost);
    if (outbox_) outbox_->answer(sansocket::errc::closed);
    transport_ = transport::ended;
    io_.reset();
}

template <class Stream, class Connection>
void session<Stream, Connection>::drive() {
    if (!io_ || corks_ != 0) return;
    if (attached()) take_leftover();
    if (attached()) write();
    if (core_->next_deadline() == sansocket::immediately) {
        core_->advance(now());
        if (attached()) write();
    }
    if (transport_ != transport::ended) shut_down();
    if (attached()) read();
    arm_timer();
    wake();
}

// For those that may not throw.
template <class Stream, class Connection>
void session<Stream, Connection>::drive_or_end() noexcept {
    try {
        drive();
    } catch (...) {
        hang_up();
    }
}

// The end where there is no memory for a better one. It takes none.
template <class Stream, class Connection>
void session<Stream, Connection>::hang_up() noexcept {
    note(::asio::error::no_memory);
    core_->abort(sansocket::errc::transport_lost);
    stop_run();
    transport_ = transport::ended;
    detail::abort(stream());
    arm_timer();
    wake_all();
    wake_senders();
    if (outbox_) outbox_->answer(answer());
}

template <class Stream, class Connection>
void session<Stream, Connection>::attach() {
    if (!over()) stage_ = connect_stage::upgrade;
    std::error_code ignored;
    if constexpr (maybe_waitable<Stream>)
        if (waits(stream())) waiting_socket(stream()).non_blocking(true, ignored);
    transport_ = transport::attached;
    drive();
}

template <class Stream, class Connection>
void session<Stream, Connection>::shut_down() {
    auto request = core_->wants_shutdown();
    // What the core would still say cannot be said before the stream's handshake.
    if (transport_ < transport::attached && over() && !core_->should_close())
        request = sansocket::shutdown_request::abort;
    switch (request) {
    case sansocket::shutdown_request::none: return;
    case sansocket::shutdown_request::half_close:
        if (std::exchange(half_closed_, true)) return;
        if (attached() && agrees_on_end(stream())) return linger();
        return detail::half_close(stream());
    case sansocket::shutdown_request::close:
        if (attached() && agrees_on_end(stream())) return end_in_agreement();
        if (transport_ != transport::agreeing_on_end || now() >= end_by_) end();
        return;
    case sansocket::shutdown_request::abort:
        transport_ = transport::ended;
        return detail::abort(stream());
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::end() {
    transport_ = transport::ended;
    detail::close(stream());
}

// A timer that rings early is cheaper than one that is set anew for each byte.
template <class Stream, class Connection>
void session<Stream, Connection>::arm_timer() {
    sansocket::time_point due = core_->next_deadline();
    if (transport_ == transport::ended) due = sansocket::never;
    if (transport_ == transport::agreeing_on_end) due = end_by_;
    if (due == sansocket::never && armed_ != sansocket::never) {
        armed_ = sansocket::never;  // nothing keeps the executor busy for a connection that is over
        io_->deadline.cancel();
    }
    if (due >= armed_) return;
    armed_ = sansocket::never;  // unless it can wait
    io_->deadline.expires_at(due);
    io_->deadline.async_wait(weak_waiter<session, deadline>::wait(this->weak_from_this()));
    armed_ = due;
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(deadline, std::error_code ec) {
    if (ec || armed_ == sansocket::never) return;
    armed_ = sansocket::never;
    core_->advance(now());
    drive();
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_HPP

// ==== sansocket_asio/detail/session_messages.hpp =================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_MESSAGES_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_MESSAGES_HPP
// session_messages.hpp
//
// How a session wakes who waits for messages or for room, hands messages to a run,
// and sends what others left with it. Its class is in session.hpp.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_MESSAGES_HPP

// ==== sansocket_asio/detail/session_reads.hpp ====================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_READS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_READS_HPP
// session_reads.hpp
//
// How a session reads, and gives its core what it has read. Its class is in
// session.hpp.

namespace sansocket_asio::detail {

template <class Stream, class Connection>
void session<Stream, Connection>::take_leftover() {
    if (leftover_.empty() || !core_->wants_read()) return;
    auto bytes = std::move(leftover_);
    leftover_.clear();
    feed(bytes);
}

template <class Stream, class Connection>
void session<Stream, Connection>::read() {
    if (reading_ || !leftover_.empty() || !core_->wants_read()) return;
    if (waits(stream())) wait_to_read();
    else if constexpr (!waitable<Stream>)
        stream().async_read_some(
            buffer_.prepare(),
            own_handler{[self = this->shared_from_this()](std::error_code ec, std::size_t n) {
                self->reading_ = false;
                if (!self->attached()) return;
                self->has_read(self->buffer_.filled(n), ec);
                self->drive();
            }});
    reading_ = true;  // unless that has thrown
}

template <class Stream, class Connection>
void session<Stream, Connection>::wait_to_read() {
    if constexpr (maybe_waitable<Stream>)
        waiting_socket(stream()).async_wait(::asio::socket_base::wait_read,
                                            read_wait_.wait(this->shared_from_this()));
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(to_read, std::error_code) {
    reading_ = false;
    if (!attached()) return;
    read_now();
    drive();
}

// Takes what a socket holds, as long as the core wants it. A read that does not fill the buffer has
// emptied the socket.
template <class Stream, class Connection>
void session<Stream, Connection>::read_now() {
    if constexpr (maybe_waitable<Stream>) {
        take_leftover();
        const ::asio::mutable_buffer buffer = thread_read_buffer();
        std::size_t n = buffer.size();
        for (int turn = 0; turn != 4 && n == buffer.size(); ++turn) {
            if (!leftover_.empty() || !core_->wants_read()) return;
            std::error_code ec;
            n = waiting_socket(stream()).read_some(buffer, ec);
            if (would_block(ec)) return;
            has_read({static_cast<std::byte*>(buffer.data()), n}, ec);
        }
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::has_read(std::span<std::byte> bytes, std::error_code ec) {
    if (!bytes.empty()) feed(bytes);
    hand_over();
    while (!leftover_.empty() && core_->wants_read()) {  // what was handed over has made room
        take_leftover();
        hand_over();
    }
    if (!ec) return;
    if (ec == ::asio::error::eof) return core_->receive_end(now());
    note(ec);
    if (is_truncation(ec)) cut_off();
    else core_->transport_lost(now());
}

template <class Stream, class Connection>
void session<Stream, Connection>::feed(std::span<std::byte> bytes) {
    if (core_->wants_write()) write_gathered();  // for a Close would throw it away
    std::size_t taken = 0;
    try {
        taken = core_->receive(bytes, now());
    } catch (...) {  // it has given up: who waits is told, before the exception goes on
        drive();
        throw;
    }
    const auto rest = bytes.subspan(taken);
    leftover_.assign(rest.begin(), rest.end());
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_READS_HPP

// ==== sansocket_asio/detail/session_tls.hpp ======================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_TLS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_TLS_HPP
// session_tls.hpp
//
// How a session begins and ends over a stream that has a handshake and an end of
// its own: TLS. The contract is in session.hpp.

namespace sansocket_asio::detail {

// The stream's own handshake, within the core's opening deadline.
template <class Stream, class Connection>
void session<Stream, Connection>::secure() {
    if constexpr (tls_optional<Stream>) {
        transport_ = transport::securing;
        stream().async_handshake(
            [self = this->shared_from_this()](std::error_code ec) { self->secured(ec); });
        drive();
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::secured(std::error_code ec) {
    if (transport_ != transport::securing) return;
    if (ec) handshake_failed(ec);
    else attach();
}

// The first counts. But a peer's alert, which is read behind a write that failed of the same, says why.
template <class Stream, class Connection>
void session<Stream, Connection>::note(std::error_code ec) noexcept {
    if (!transport_error_ || (is_tls_error(ec) && !is_tls_error(transport_error_)))
        transport_error_ = ec;
}

template <class Stream, class Connection>
void session<Stream, Connection>::handshake_failed(std::error_code ec) {
    note(ec);
    core_->transport_lost(now(), sansocket::errc::tls_handshake_failed);
    drive();
}

// TLS: close_notify out. Behind that, TLS takes no more data, and the core would throw it away: it is
// read and thrown away beneath TLS, for a socket that is closed with input in it may lose its output.
template <class Stream, class Connection>
void session<Stream, Connection>::linger() {
    if constexpr (tls_optional<Stream> && maybe_waitable<Stream>) {
        transport_ = transport::lingering;
        stream().async_shutdown([self = this->shared_from_this()](std::error_code) {});
        std::error_code ignored;
        waiting_socket(stream()).non_blocking(true, ignored);
        discard_input();
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::discard_input() {
    if constexpr (tls_optional<Stream> && maybe_waitable<Stream>)
        waiting_socket(stream()).async_wait(
            ::asio::socket_base::wait_read, [self = this->shared_from_this()](std::error_code ec) {
                if (self->transport_ != transport::lingering) return;
                if (!ec) waiting_socket(self->stream()).read_some(thread_read_buffer(), ec);
                if (!ec || would_block(ec)) return self->discard_input();
                self->core_->receive_end(self->now());
                self->drive();
            });
}

// TLS: close_notify out, and the peer's awaited, for a short time. RFC 8446 6.1. Whatever becomes of
// that, the connection is over, and the transport ends.
template <class Stream, class Connection>
void session<Stream, Connection>::end_in_agreement() {
    if constexpr (ends_by_agreement<Stream>) {
        transport_ = transport::agreeing_on_end;
        const sansocket::time_point latest = now() + shutdown_timeout(stream());
        if (latest < end_by_) end_by_ = latest;
        stream().async_shutdown([self = this->shared_from_this()](std::error_code) {
            if (self->transport_ != transport::agreeing_on_end) return;
            self->end();
            self->drive();
        });
    }
}

// TLS: the peer's stream ended without close_notify. Ours is said, and nothing is waited for: another
// read might never complete.
template <class Stream, class Connection>
void session<Stream, Connection>::cut_off() {
    end_by_ = now();
    core_->receive_end(end_by_, sansocket::errc::tls_truncated);
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_TLS_HPP

// ==== sansocket_asio/detail/session_writes.hpp ===================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_WRITES_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_WRITES_HPP
// session_writes.hpp
//
// How a session writes what its core has to send: what a socket takes is written
// at once, and the answers to messages that wait here together go out together.
// Its class is in session.hpp.

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
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DETAIL_SESSION_WRITES_HPP

// ==== sansocket_asio/diagnostics.hpp =============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_DIAGNOSTICS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_DIAGNOSTICS_HPP
// diagnostics.hpp
//
// Who is told of websockets that were dropped without a close, where their
// options name nobody: by default a line is written to standard error, which is all
// that the library ever prints. Release builds have no diagnostics by default, and
// print nothing.

namespace sansocket_asio {

/// Writes a line to standard error for each leak: how the connection stood, and where it was made.
class print_leaks final : public sansocket::diagnostics_handler {
public:
    void leaked(const sansocket::leak_report& report) noexcept override {
        using std::chrono::milliseconds;
        const auto age = std::chrono::duration_cast<milliseconds>(report.age).count();
        std::fprintf(stderr, "sansocket: dropped without a close: %s; made %lld ms ago at %s:%lu\n",
                     to_string(report.connection).c_str(), static_cast<long long>(age),
                     report.created.file_name(), static_cast<unsigned long>(report.created.line()));
    }
};

namespace detail {
inline std::atomic<sansocket::diagnostics_handler*>& chosen_handler() noexcept {
    static print_leaks by_default;
    static std::atomic<sansocket::diagnostics_handler*> chosen{&by_default};
    return chosen;
}
}  // namespace detail

/// Who is told where `sansocket::options::diagnostics` names nobody. From any thread.
[[nodiscard]] inline sansocket::diagnostics_handler* diagnostics_handler() noexcept {
    return detail::chosen_handler().load(std::memory_order_acquire);
}

/// Chooses who is told of connections begun from now on; null: nobody. It outlives them. From any
/// thread.
///
/// @return who was told before.
inline sansocket::diagnostics_handler* set_diagnostics_handler(
    sansocket::diagnostics_handler* handler) noexcept {
    return detail::chosen_handler().exchange(handler, std::memory_order_acq_rel);
}

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_DIAGNOSTICS_HPP

// ==== sansocket_asio/entropy.hpp =================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_ENTROPY_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_ENTROPY_HPP
// entropy.hpp
//
// Where an adapter's clients get their unpredictable bytes: the system, once for
// each connection. RFC 6455 5.3, 10.3.

#if defined(__APPLE__)
#include <TargetConditionals.h>
#endif

// <random> takes longer to compile than all that is asked for here. Other systems of Apple's have
// getentropy, too, but refuse programs that call it.
#if defined(__linux__) && !defined(__ANDROID__) && __has_include(<sys/random.h>)
#define SANSOCKET_ASIO_GETENTROPY
#elif defined(__APPLE__) && TARGET_OS_OSX
#define SANSOCKET_ASIO_GETENTROPY
#endif

#if defined(SANSOCKET_ASIO_GETENTROPY)
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#else
#include <cstring>
#include <random>
#endif

namespace sansocket_asio {

/// 32 bytes from the system that nobody can guess.
///
/// Throws std::system_error, or what std::random_device throws, where the system gives none.
[[nodiscard]] inline std::array<std::byte, 32> system_seed() {
    std::array<std::byte, 32> seed{};
#if defined(SANSOCKET_ASIO_GETENTROPY)
    if (::getentropy(seed.data(), seed.size()) != 0)
        throw std::system_error(errno, std::generic_category(), "getentropy");
#else
    std::random_device device;
    for (std::size_t i = 0; i != seed.size(); i += sizeof(unsigned)) {
        const unsigned word = device();
        std::memcpy(seed.data() + i, &word, sizeof word);
    }
#endif
    return seed;
}

/// A fresh source of masking keys.
///
/// Throws as `system_seed`.
[[nodiscard]] inline sansocket::chacha_keys system_keys() {
    return sansocket::chacha_keys{system_seed()};
}

}  // namespace sansocket_asio

#undef SANSOCKET_ASIO_GETENTROPY
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_ENTROPY_HPP

// ==== sansocket_asio/sender.hpp ==================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SENDER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SENDER_HPP
// sender.hpp
//
// A handle to send with from any thread. It keeps neither the connection nor its
// io_context alive, and answers `closed` once the connection is over or its
// websocket is gone.

namespace sansocket_asio {

namespace detail {
template <class, class>
class websocket_sends;
}  // namespace detail

/// Sends over one connection, from any thread. `websocket::sender` makes it; copies share it.
///
/// What one thread sends arrives in the order in which it was sent. All calls are safe at any time,
/// on any thread, also after the websocket was destroyed; the websocket's execution context must
/// outlive the websocket.
class sender {
public:
    /// A handle of nothing, that is closed.
    sender() = default;

    /// Sends a message. It is handed to the connection behind what this handle and its copies sent
    /// before.
    ///
    /// @return success, or a name and nothing is sent: errc::not_open, errc::closing, errc::closed;
    ///         errc::backpressure where as much waits as the handle may hold; errc::text_not_utf8.
    ///         What was taken is lost, like all that is unsent, if the connection ends before.
    [[nodiscard]] sansocket::errc send(sansocket::message message) const {
        return push({std::move(message)});
    }
    /// Sends a message that is made once for many connections, in the same way.
    [[nodiscard]] sansocket::errc send(sansocket::prepared_message prepared) const {
        return push({std::move(prepared)});
    }
    /// The same where `full` says what becomes of it if the handle holds as much as it may, or the
    /// connection has no room for it when its turn comes. See `websocket::dropped_messages`.
    sansocket::errc send(sansocket::message message, when_full full) const {
        return push({std::move(message), full});
    }
    sansocket::errc send(sansocket::prepared_message prepared, when_full full) const {
        return push({std::move(prepared), full});
    }
    /// Sends a text message, in the same way.
    [[nodiscard]] sansocket::errc send_text(std::string text) const {
        return send({sansocket::message_kind::text, std::move(text)});
    }
    /// Sends a binary message, copied, in the same way.
    [[nodiscard]] sansocket::errc send_binary(std::span<const std::byte> bytes) const {
        const auto* const data = reinterpret_cast<const char*>(bytes.data());
        return send({sansocket::message_kind::binary, std::string(data, bytes.size())});
    }
    /// Starts the closing handshake behind what was sent through this handle. RFC 6455 7.1.2.
    ///
    /// @return as `send`; also errc::invalid_close_code, errc::close_reason_too_long.
    sansocket::errc close(sansocket::close_code code, std::string_view reason = {}) const {
        if (const auto ec = sansocket::check_close(code, reason); ec != sansocket::errc::ok)
            return ec;
        if (!outbox_) return sansocket::errc::closed;
        return outbox_->push({sansocket::close_frame{code, std::string{reason}}});
    }
    /// Bytes that wait to be handed to the connection, 64 more for each message.
    [[nodiscard]] std::size_t bytes() const { return outbox_ ? outbox_->bytes() : 0; }

private:
    template <class, class>
    friend class websocket_sends;
    explicit sender(std::shared_ptr<detail::outbox> outbox) : outbox_(std::move(outbox)) {}
    sansocket::errc push(detail::outbox::item given) const {
        if (!outbox_) return sansocket::errc::closed;
        if (const auto ec = detail::outbox::check(given); ec != sansocket::errc::ok) return ec;
        return outbox_->push(std::move(given));
    }

    std::shared_ptr<detail::outbox> outbox_;
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SENDER_HPP

// ==== sansocket_asio/websocket_sends.hpp =========================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_SENDS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_SENDS_HPP
// websocket_sends.hpp
//
// How a websocket sends: the functions that it has from here. Ordinary ones wait
// for room; `try_send` does not; `post` says what becomes of what there is no room
// for; `sender` is for other threads.

namespace sansocket_asio {

/// The sending functions of `Websocket`, a websocket, which is derived from this.
///
/// Completion signatures are void(std::error_code) where nothing else is said. Cancellation, total,
/// of a send, a ping, or the start of a message: nothing of it was sent; the connection goes on.
template <class Websocket, class Session>
class websocket_sends {
    using executor_type = typename Session::executor_type;

public:
    /// Sends a text message. Completes once the connection has taken it, at the latest when there is
    /// room; `text` must stay as it is until then. errc::text_not_utf8, errc::closing, errc::closed;
    /// errc::backpressure where it would wait and `sender_limits` say that too many do.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_text(std::string_view text, Token&& token = Token{}) {
        return async_send(sansocket::message_kind::text, std::as_bytes(std::span{text}),
                          std::forward<Token>(token));
    }
    /// Sends a binary message, in the same way.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_binary(std::span<const std::byte> bytes, Token&& token = Token{}) {
        return async_send(sansocket::message_kind::binary, bytes, std::forward<Token>(token));
    }
    /// Sends a message of either kind, in the same way.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message_kind kind, std::span<const std::byte> payload,
                    Token&& token = Token{}) {
        return send_with([kind, payload](auto& core) { return core.send(kind, payload); },
                         std::forward<Token>(token));
    }
    /// The same, compressed or not where that was agreed on. RFC 7692 6.1.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message_kind kind, std::span<const std::byte> payload,
                    sansocket::compression how, Token&& token = Token{}) {
        return send_with([kind, payload, how](auto& core) { return core.send(kind, payload, how); },
                         std::forward<Token>(token));
    }
    /// Sends a message that is given away; a large one is not copied.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::message message, Token&& token = Token{}) {
        const std::size_t given = message.data.size();
        return send_with(
            [message = std::move(message)](auto& core) mutable {
                return core.send(std::move(message));  // unchanged if it is not taken
            },
            std::forward<Token>(token), given);
    }
    /// Sends a message that is made once for many connections.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send(sansocket::prepared_message prepared, Token&& token = Token{}) {
        const std::size_t given = prepared.payload().size();
        return send_with(
            [prepared = std::move(prepared)](auto& core) { return core.send(prepared); },
            std::forward<Token>(token), given);
    }
    /// Sends a message in frames of at most `send_limits::fragment_bytes`, so that Pings, Pongs and a
    /// Close need not wait for all of it. It is copied, and taken at once.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_send_fragmented(sansocket::message_kind kind, std::span<const std::byte> payload,
                               Token&& token = Token{}) {
        return send_with(
            [kind, payload](auto& core) { return core.send_fragmented(kind, payload); },
            std::forward<Token>(token));
    }

    /// Begins a message that is sent in parts. RFC 6455 5.4. Where another one is, it waits for its
    /// end, as `async_send` does until `async_finish` has completed. Cancellation, total: none is begun.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_start(sansocket::message_kind kind, Token&& token = Token{}) {
        return send_with([kind](auto& core) { return core.start(kind); },
                         std::forward<Token>(token));
    }
    /// Sends its next part, frame by frame, as there is room. `part` must stay as it is until then.
    /// Signature void(std::error_code, std::size_t): how many bytes were taken.
    ///
    /// errc::no_message_in_progress; errc::operation_in_progress where another part waits;
    /// errc::text_not_utf8, where a code point may be cut at the end of a part. Cancellation, total:
    /// the message is still in progress, and what was taken will be sent.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_append(std::span<const std::byte> part, Token&& token = Token{}) {
        return append(part, false, std::forward<Token>(token));
    }
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_append(std::string_view part, Token&& token = Token{}) {
        return append(std::as_bytes(std::span{part}), false, std::forward<Token>(token));
    }
    /// Sends its last part, which may be empty, in the same way. Whoever waits goes on.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_finish(std::span<const std::byte> part, Token&& token = Token{}) {
        return append(part, true, std::forward<Token>(token));
    }
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_finish(std::string_view part, Token&& token = Token{}) {
        return append(std::as_bytes(std::span{part}), true, std::forward<Token>(token));
    }

    /// Sends at once, or says why not: errc::backpressure where `async_send` would wait.
    sansocket::errc try_send(sansocket::message_kind kind, std::span<const std::byte> payload) {
        return try_send_with([&](auto& core) { return core.send(kind, payload); });
    }
    sansocket::errc try_send(const sansocket::prepared_message& prepared) {
        return try_send_with([&](auto& core) { return core.send(prepared); });
    }

    /// Sends without waiting. Where there is no room, `full` says what becomes of it. Behind senders
    /// that wait, and while a message is sent in parts, it has its turn in the backlog first.
    ///
    /// @return success if it was sent, or waits in the backlog; or a name and it is not sent:
    ///         errc::backpressure as `full` says; errc::not_open, errc::closing, errc::closed,
    ///         errc::text_not_utf8.
    sansocket::errc post(sansocket::message message, when_full full) {
        return session() ? session()->post({std::move(message), full}) : sansocket::errc::closed;
    }
    /// The same with a message that is made once for many connections.
    sansocket::errc post(sansocket::prepared_message prepared, when_full full) {
        return session() ? session()->post({std::move(prepared), full}) : sansocket::errc::closed;
    }
    /// How often `when_full` was applied, by `post`, senders and groups.
    [[nodiscard]] drop_counters dropped_messages() const {
        const auto& s = static_cast<const Websocket&>(*this).session_;
        return s ? s->dropped_messages() : drop_counters{};
    }
    /// Limits what waits in front of the send queue: what `post` and `sender` keep. From now on.
    void limit_backlog(const backlog_limits& limits) {
        if (session()) session()->shared_outbox()->limit(limits);
    }

    /// Limits the sends that wait for room. From now on: what waits already goes on waiting.
    void limit_senders(const sender_limits& limits) {
        if (session()) session()->limit_senders(limits);
    }

    /// Completes once what waits to be sent is at or under `send_limits::low_bytes` and no sender
    /// waits; if that is so, at once. Else with what ended the connection. Cancellation, total.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_drain(Token&& token = Token{}) {
        return run<void(std::error_code)>(detail::drain_operation{}, std::forward<Token>(token));
    }

    /// Sends a Ping of at most 125 bytes. RFC 6455 5.5.2. errc::control_too_long.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_ping(std::span<const std::byte> payload, Token&& token = Token{}) {
        return send_with([payload](auto& core) { return core.send_ping(payload); },
                         std::forward<Token>(token));
    }

    /// A handle to send with from other threads. Made on the websocket's executor, at any time.
    ///
    /// It waits in the backlog until the executor has taken it to the connection: within `limits`,
    /// which the first of these calls decides, or `limit_backlog`.
    [[nodiscard]] sansocket_asio::sender sender(const backlog_limits& limits = {}) {
        if (!session()) return {};
        return sansocket_asio::sender(session()->shared_outbox(limits));
    }
    /// The same with so many bytes.
    [[nodiscard]] sansocket_asio::sender sender(std::size_t max_bytes) {
        return sender(backlog_limits{.bytes = max_bytes});
    }

protected:
    websocket_sends() = default;
    ~websocket_sends() = default;

private:
    auto& session() noexcept { return static_cast<Websocket&>(*this).session_; }

    template <class Send>
    sansocket::errc try_send_with(Send send) {
        auto& self = static_cast<Websocket&>(*this);
        const bool open = self.state() == sansocket::connection_state::open;
        if (open && session()->senders_wait()) return sansocket::errc::backpressure;
        return self.change(send);
    }
    template <class Send, class Token>
    auto send_with(Send send, Token&& token, std::size_t given = 0) {
        return run<void(std::error_code)>(
            detail::send_operation<Send, Session>{std::move(send), given},
            std::forward<Token>(token));
    }
    template <class Token>
    auto append(std::span<const std::byte> part, bool fin, Token&& token) {
        return run<void(std::error_code, std::size_t)>(detail::append_operation<Session>{part, fin},
                                                       std::forward<Token>(token));
    }
    template <class Signature, class Operation, class Token>
    auto run(Operation operation, Token&& token) {
        return static_cast<Websocket&>(*this).template run<Signature>(std::move(operation),
                                                                      std::forward<Token>(token));
    }
};

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_SENDS_HPP

// ==== sansocket_asio/websocket.hpp ===============================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_HPP
// websocket.hpp
//
// A WebSocket over any Asio stream. One reader, one gather write and one timer
// run beneath; everything that the protocol decides is decided by
// sansocket::connection.
//
// One object, one executor: call its functions, and destroy it, on the stream's
// executor (a strand where several threads run it); `sender()` is for other threads. Many sends may wait at
// a time (`limit_senders`), one receive may, and close may be called whatever else waits.
//
// Per-operation cancellation, total, for each operation:
//   async_receive, async_receive_some, async_run, async_send_*, async_start,
//   async_ping, async_drain
//       nothing is lost and nothing was sent by halves; the connection goes on
//   async_append, async_finish   the message is still in progress, and what was
//       taken will be sent
//   async_connect, async_connect_to, async_handshake, async_accept,
//   async_read_request, async_close
//       the connection is aborted
//
// Destroying a websocket completes what waits with an error. The connection is
// aborted, without a Close frame, unless the peer's Close was received or it
// failed or closed before: then it finishes by itself, within its close timeout.
//
// Where the execution context is destroyed first, the connection ends with it,
// and what is pending is destroyed. The websocket stays behind: queries answer,
// it may be destroyed or moved, and no operation may be started. Only on a strand,
// which has a place in its context, must it go first.

namespace sansocket_asio {

class group;
namespace detail {
template <class, class>
class server_state;
}  // namespace detail

/// How `async_run` hands messages over.
struct run_options {
    /// Whether nothing is handed over from when the output is full until it has drained, and no sender
    /// waits: then a handler that answers through `try_send` has room for an answer each time, and a
    /// peer that does not read is not read from. Default on.
    bool wait_for_room = true;
};

/// One WebSocket connection. What sends is in websocket_sends.hpp.
///
/// @tparam Role    client or server.
/// @tparam Stream  an Asio stream: `async_read_some`, `async_write_some`, `get_executor`, and
///                 `lowest_layer` or `close`.
/// @tparam Connection  the protocol: a sansocket::connection of that role, with any queue, keys and
///                 diagnostics that it can be constructed with, and any codec.
///
/// Completion signatures are void(std::error_code) where nothing else is said. Errors are those of
/// `sansocket::errc`, or of the stream before the connection is open.
///
/// One object is one connection: a second connect, handshake or accept completes with
/// errc::operation_in_progress, or errc::closed once the first connection is over.
template <sansocket::role Role, class Stream = ::asio::ip::tcp::socket,
          class Connection = sansocket::connection<Role>>
class websocket : public websocket_sends<websocket<Role, Stream, Connection>,
                                         detail::session<Stream, Connection>> {
    using session = detail::session<Stream, Connection>;
    using sends = websocket_sends<websocket, session>;
    using source_location = sansocket::source_location;
    static constexpr bool is_client = Role == sansocket::role::client;

public:
    using executor_type = typename Stream::executor_type;  ///< What it runs on.
    using next_layer_type = Stream;                        ///< What it runs over.

    /// The same over a stream on another kind of executor.
    template <class Executor>
    struct rebind_executor {
        using other = websocket<Role, typename Stream::template rebind_executor<Executor>::other,
                                Connection>;  ///< The websocket type.
    };

    /// Over a stream, connected or (a client's) yet to be. `where` is for diagnostics.
    explicit websocket(Stream stream, const source_location& where = source_location::current())
        : executor_(stream.get_executor()),
          session_(std::make_shared<session>(std::move(stream))),
          created_(where) {}
    /// Over a stream made from `argument`: an executor, or an execution context.
    template <class Argument>
    requires(std::constructible_from<Stream, Argument>) explicit websocket(
        Argument&& argument, const source_location& where = source_location::current())
        : websocket(Stream(std::forward<Argument>(argument)), where) {}
    /// Over a stream made from two arguments: an executor and a TLS context, for one.
    template <class First, class Second>
    requires(std::constructible_from<Stream, First, Second>)
        websocket(First&& first, Second&& second,
                  const source_location& where = source_location::current())
        : websocket(Stream(std::forward<First>(first), std::forward<Second>(second)), where) {}

    /// What is moved from is closed: it has its executor, answers every query, and its operations
    /// complete with errc::closed.
    websocket(websocket&& other) noexcept
        : executor_(other.executor_),
          session_(std::move(other.session_)),
          created_(other.created_) {}
    websocket& operator=(websocket&& other) noexcept {
        if (this != &other) {
            if (session_) session_->drop();
            executor_ = other.executor_;
            session_ = std::move(other.session_);
            created_ = other.created_;
        }
        return *this;
    }
    ~websocket() {
        if (session_) session_->drop();
    }

    /// The stream's.
    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    /// The stream. Not of a websocket that was moved from, nor once its execution context is gone.
    [[nodiscard]] Stream& next_layer() noexcept { return session_->stream(); }

    /// Resolves, connects and opens. `url` is a ws:// URL, or a wss:// URL where the stream can do
    /// both: that of sansocket_openssl. RFC 6455 3, 4.1.
    ///
    /// Also completes with the errors of `sansocket::parse_url`, errc::url_needs_tls,
    /// errc::invalid_request, the resolver's, the socket's and those of TLS; `failure()` says more.
    /// `opening_timeout` covers all steps. A host's addresses are tried one after the other, each but
    /// the last for its share of the time that is left.
    ///
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect(std::string_view url, const client_options& options,
                       Token&& token = Token{}) requires(is_client) {
        return connect(url, options, detail::destination<::asio::ip::tcp::endpoint>{},
                       std::forward<Token>(token));
    }
    /// The same with `client_options{}`.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect(std::string_view url, Token&& token = Token{}) requires(
        is_client && !std::same_as<std::remove_cvref_t<Token>, client_options>) {
        return async_connect(url, client_options{}, std::forward<Token>(token));
    }

    /// Connects to `endpoint`, of the stream's protocol, and opens: for Unix domain sockets, and
    /// for addresses that are known already. As `async_connect`, but nothing is looked up: `url`
    /// says what is asked for, and its port is of no account.
    ///
    /// Cancellation, total: the connection is aborted.
    template <detail::endpoint Endpoint,
              class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect_to(const Endpoint& endpoint, std::string_view url,
                          const client_options& options,
                          Token&& token = Token{}) requires(is_client) {
        return async_connect_to(std::vector{endpoint}, url, options, std::forward<Token>(token));
    }
    /// To the first of several that answers; asio::error::not_found where there is none.
    template <detail::endpoint Endpoint,
              class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect_to(std::vector<Endpoint> endpoints, std::string_view url,
                          const client_options& options,
                          Token&& token = Token{}) requires(is_client) {
        return connect(url, options,
                       detail::destination<Endpoint>{{}, {}, false, std::move(endpoints)},
                       std::forward<Token>(token));
    }

    /// Why the last `async_connect` or `async_handshake` failed: its step, and what the server said.
    /// Its `ec` is success where none has failed. A copy, so that it may be kept.
    [[nodiscard]] connect_failure failure() const requires(is_client) {
        return session_ ? session_->failure() : connect_failure{.ec = sansocket::errc::closed};
    }

    /// Opens over a stream that is connected. RFC 6455 4.1. `failure()` says more of an error.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_handshake(const sansocket::client_request& request,
                         const sansocket::options& options,
                         Token&& token = Token{}) requires(is_client) {
        return run_begin<detail::opened>(begin(true, request, options), std::forward<Token>(token));
    }

    /// Waits for a request and answers it by `policy`. RFC 6455 4.2.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_accept(const sansocket::server_policy& policy, const sansocket::options& options,
                      Token&& token = Token{}) requires(!is_client) {
        return run_begin<detail::opened>(begin(policy, options), std::forward<Token>(token));
    }
    /// The same with the default policy and options.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_accept(Token&& token = Token{}) requires(!is_client) {
        return async_accept(sansocket::server_policy{}, sansocket::options{},
                            std::forward<Token>(token));
    }

    /// Waits for a request and leaves the answer to `accept` or `refuse`. RFC 6455 4.2. With
    /// `request_decision::manual_with_http` it may be one that is no upgrade, as
    /// `connection()->request_is_upgrade()` says; `respond` or `refuse` answers it.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_read_request(const sansocket::server_policy& policy, sansocket::options options,
                            Token&& token = Token{}) requires(!is_client) {
        if (options.decision == sansocket::request_decision::automatic)
            options.decision = sansocket::request_decision::manual;
        return run_begin<detail::asked>(begin(policy, options), std::forward<Token>(token));
    }

    /// Accepts the request that `async_read_request` brought. See sansocket::connection::accept.
    sansocket::errc accept(
        std::string_view subprotocol = {},
        std::span<const sansocket::http_field_value> fields = {}) requires(!is_client) {
        return change([&](auto& core) { return core.accept(subprotocol, fields, session::now()); });
    }

    /// Refuses it. See sansocket::connection::refuse.
    sansocket::errc refuse(std::uint16_t status,
                           std::span<const sansocket::http_field_value> fields = {},
                           std::string_view body = {}) requires(!is_client) {
        return change(
            [&](auto& core) { return core.refuse(status, fields, body, session::now()); });
    }

    /// Answers it in plain HTTP. See sansocket::connection::respond.
    sansocket::errc respond(std::uint16_t status,
                            std::span<const sansocket::http_field_value> fields = {},
                            std::string_view body = {}) requires(!is_client) {
        return change(
            [&](auto& core) { return core.respond(status, fields, body, session::now()); });
    }

    /// The next message. Signature void(std::error_code, sansocket::message).
    ///
    /// Messages come before the end. The end's error code is `close_info().cause`:
    /// errc::closed_by_peer and errc::closed_locally after a closing handshake. A second receive at
    /// a time completes with errc::operation_in_progress. Whoever asks for the next message is done
    /// with the last: the peer's Close waits for that, and for what was sent in answer to it, for
    /// `options::close_delay` at most.
    ///
    /// Cancellation, total: no message is lost; the next receive has it.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_receive(Token&& token = Token{}) {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        return run<void(std::error_code, sansocket::message)>(
            detail::receive_operation<detail::whole_messages>{}, std::forward<Token>(token));
    }

    /// What has come of a message, as it comes: for messages that are larger than what one wants to
    /// hold. Signature void(std::error_code, sansocket::message_piece).
    ///
    /// Takes turns with `async_receive`, which takes the rest of a message that was begun so. Reading
    /// pauses while `queue_limits::high_bytes` of the message wait; `message_limits::size` holds for
    /// all of it. What was not taken of a message that the end cuts off is lost; then errors are those
    /// of `async_receive`. Cancellation, total: nothing is lost.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_receive_some(Token&& token = Token{}) {
        static_assert(sansocket::detail::check_piecewise_queue<typename Connection::queue_type>());
        return run<void(std::error_code, sansocket::message_piece)>(
            detail::receive_operation<detail::pieces>{}, std::forward<Token>(token));
    }

    /// A message that is here already, without waiting.
    ///
    /// @return a view, valid until the next call of a function of this object that is not a query,
    ///         and until the handler that calls this returns; nothing where none is here, or an
    ///         async_receive waits.
    [[nodiscard]] std::optional<sansocket::message_view> try_receive() {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        if (!connection() || session_->receiver_ != detail::receiver::none) return std::nullopt;
        session_->drive();
        auto& queue = session_->core_->messages();
        if (queue.size() == 0) {
            (void)queue.pop();  // the last message is done with
            if (session_->stalled()) session_->drive();
        }
        return queue.pop();
    }

    /// Hands every message to `handler`, as it is read, until the connection ends.
    ///
    /// `handler(sansocket::message_view)` is called on the websocket's executor, and not inside of a
    /// function of this object. The view is gone when it returns, or has called `abort` or
    /// `async_close`. What it sends goes out together, once all that one read brought was handed over.
    /// It may destroy the websocket. Where it throws, the connection is closed with 1011, no more is
    /// handed over, and the exception leaves the executor's `run()`, as that of any handler does.
    ///
    /// Completes as `async_close` does, after all messages were handed over, and with the cause after
    /// an exception. Meanwhile `try_receive` gives nothing, and another receive or run completes with
    /// errc::operation_in_progress. Cancellation, total: the run stops, and the messages that were not
    /// handed over are there to be received.
    ///
    /// Give a handler a name in a coroutine: gcc 12 destroys one that is made in a co_await expression
    /// twice.
    template <class Handler, class Token = ::asio::default_completion_token_t<executor_type>>
    requires(std::invocable<std::decay_t<Handler>&, sansocket::message_view>) auto async_run(
        Handler&& handler, const run_options& how, Token&& token = Token{}) {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        return run<void(std::error_code)>(
            detail::run_operation{detail::make_message_handler(std::forward<Handler>(handler)),
                                  how.wait_for_room},
            std::forward<Token>(token));
    }
    template <class Handler, class Token = ::asio::default_completion_token_t<executor_type>>
    requires(std::invocable<std::decay_t<Handler>&, sansocket::message_view> &&
             !std::same_as<std::remove_cvref_t<Token>, run_options>) auto async_run(  //
        Handler&& handler, Token&& token = Token{}) {
        return async_run(std::forward<Handler>(handler), run_options{}, std::forward<Token>(token));
    }

    /// Closes: a Close frame behind all that was sent, and the peer's awaited. RFC 6455 7.1.2.
    ///
    /// Completes with success after a clean close, else with what ended the connection, at the
    /// latest after the close timeout. May be called at any time, several times: the first code
    /// counts, all complete together. errc::invalid_close_code, errc::close_reason_too_long and
    /// errc::text_not_utf8 leave the connection open.
    ///
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_close(sansocket::close_code code, std::string_view reason, Token&& token = Token{}) {
        return run<void(std::error_code)>(detail::close_operation{code, std::string{reason}},
                                          std::forward<Token>(token));
    }

    /// Gives the connection up at once, without a Close frame.
    void abort() noexcept {
        if (session_) session_->abort(sansocket::errc::aborted);
    }

    /// The connection beneath, for its queries; null before an opening handshake was begun.
    [[nodiscard]] const Connection* connection() const noexcept {
        return session_ && session_->core_ ? &*session_->core_ : nullptr;
    }
    /// Opening, open, closing or closed; opening before it was begun.
    [[nodiscard]] sansocket::connection_state state() const noexcept {
        if (!session_) return sansocket::connection_state::closed;
        return connection() ? connection()->state() : sansocket::connection_state::opening;
    }
    /// How the connection ended, or what is known so far.
    [[nodiscard]] sansocket::close_info close_info() const {
        return connection() ? connection()->close_info() : sansocket::close_info{};
    }
    /// What the transport said that went wrong first, such as "Connection reset by peer", where
    /// `close_info` says that it was lost; of a TLS alert, OpenSSL's words. Empty where nothing went
    /// wrong, the end of the stream included; what keeps a client from being connected says `failure`.
    [[nodiscard]] std::error_code transport_error() const noexcept {
        return session_ ? session_->transport_error() : std::error_code{};
    }
    /// What the connection has done so far; with `dropped_messages`, all that is counted.
    [[nodiscard]] sansocket::connection_counters counters() const noexcept {
        return connection() ? connection()->counters() : sansocket::connection_counters{};
    }
    /// The subprotocol agreed on; empty if none.
    [[nodiscard]] std::string_view subprotocol() const noexcept {
        return connection() ? connection()->subprotocol() : std::string_view{};
    }

    /// Frees what the opening handshake holds, some 900 bytes: its request and response, the
    /// subprotocol. Only once it is over; `connection()->handshake()` is null then.
    void release_handshake() noexcept {
        if (session_ && session_->core_) session_->core_->release_handshake();
    }

private:
    friend class group;
    template <class, class>
    friend class detail::server_state;
    friend sends;

    static sansocket::client_request request_of(const sansocket::url& url,
                                                const client_options& options) {
        return {sansocket::host_field(url), sansocket::target(url), options.subprotocols,
                options.origin, options.headers};
    }
    // To where `to` says, and else to where `url` does.
    template <class Endpoint, class Token>
    auto connect(std::string_view url, const client_options& options,
                 detail::destination<Endpoint> to, Token&& token) {
        const auto [parsed, ec] = sansocket::parse_url(url);
        std::error_code wrong = ec;
        if (!wrong && parsed.secure && !detail::tls_optional<Stream>)
            wrong = sansocket::errc::url_needs_tls;
        if (!session_) wrong = sansocket::errc::closed;
        to.secure = parsed.secure;
        to.host = parsed.host;
        to.port = std::to_string(parsed.port);
        auto start = begin(false, wrong ? sansocket::client_request{} : request_of(parsed, options),
                           options.connection);
        return ::asio::async_compose<Token, void(std::error_code)>(
            detail::connect_op<session, decltype(start), Endpoint>{session_, std::move(start),
                                                                   std::move(to), wrong},
            token, executor_);
    }
    // A connection that is recorded wants the seed itself.
    static auto entropy() {
        if constexpr (requires { typename Connection::seed; }) return system_seed();
        else return system_keys();
    }
    // What begins the connection, when its operation is started: a token may do that later.
    auto begin(bool connected, const sansocket::client_request& request,
               sansocket::options options) const {
        if (!options.diagnostics) options.diagnostics = diagnostics_handler();
        return [connected, request, options, where = source_location(created_)](session& s) {
            return s.begin(connected, request, entropy(), session::now(), options, where);
        };
    }
    auto begin(const sansocket::server_policy& policy, sansocket::options options) const {
        if (!options.diagnostics) options.diagnostics = diagnostics_handler();
        return [policy, options, where = source_location(created_)](session& s) {
            return s.begin(true, policy, session::now(), options, where);
        };
    }
    // At once, where it has not begun: that is the one thing that it would refuse.
    void begin_now(bool connected, const sansocket::server_policy& policy, sansocket::options&& o) {
        if (!o.diagnostics) o.diagnostics = diagnostics_handler();
        (void)session_->begin(connected, policy, session::now(), o, source_location(created_));
    }
    template <class Until, class Begin, class Token>
    auto run_begin(Begin begin, Token&& token) {
        return run<void(std::error_code)>(
            detail::begin_operation<Until, Begin>{std::make_unique<Begin>(std::move(begin))},
            std::forward<Token>(token));
    }
    template <class Change>
    sansocket::errc change(Change change) {
        if (!session_) return sansocket::errc::closed;
        if (!session_->core_) return sansocket::errc::not_open;
        const sansocket::errc ec = change(*session_->core_);
        session_->drive();
        return ec;
    }
    template <class Signature, class Operation, class Token>
    auto run(Operation operation, Token&& token) {
        return detail::async_wait_op<Signature>(session_, std::move(operation), executor_,
                                                std::forward<Token>(token));
    }

    // Where it was created: kept for diagnostics alone.
    struct nowhere {
        explicit nowhere(const source_location&) noexcept {}
        explicit operator source_location() const noexcept { return {}; }
    };
    using place =
        std::conditional_t<Connection::diagnostics_type::enabled, source_location, nowhere>;

    executor_type executor_;
    std::shared_ptr<session> session_;
    SANSOCKET_NO_UNIQUE_ADDRESS place created_;
};

/// A client over TCP.
using client = websocket<sansocket::role::client>;
/// A server's end of one connection over TCP.
using server_connection = websocket<sansocket::role::server>;

/// A connection with diagnostics in every build: in release builds, too, it tells
/// `options::diagnostics` of each change of state, and of being dropped. For `websocket` and
/// `basic_server`.
template <sansocket::role Role>
using watched_connection =
    sansocket::connection<Role, sansocket::message_queue<>, sansocket::chacha_keys,
                          sansocket::with_diagnostics>;
/// A client over TCP with that.
using watched_client = websocket<sansocket::role::client, ::asio::ip::tcp::socket,
                                 watched_connection<sansocket::role::client>>;
/// A server's end of one connection over TCP with that.
using watched_server_connection = websocket<sansocket::role::server, ::asio::ip::tcp::socket,
                                            watched_connection<sansocket::role::server>>;

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_WEBSOCKET_HPP

// ==== sansocket_asio/server/detail/server_state.hpp ==============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STATE_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STATE_HPP
// server_state.hpp
//
// What a server does, on its executor: takes connections from its listeners, has
// the application answer their requests, hands what opens to the handler, and
// waits for the end of each transport. All that it has begun keeps it alive.
//
//   take -> asked -> accepted -> the handler -> released -> ended
//                    refused, answered ------------------>
//
// What becomes of each connection stands in server_steps.hpp. Where there is no
// memory for a step, its connection ends, and no other.
//
// Where the execution context is destroyed first, what belongs to it goes with
// it, and nothing is begun any more.

namespace sansocket_asio::detail {

template <class Stream, class Connection>
class server_state final : public std::enable_shared_from_this<server_state<Stream, Connection>>,
                           private context_watcher {
public:
    using websocket_type = websocket<sansocket::role::server, Stream, Connection>;
    using handle = std::shared_ptr<websocket_type>;
    using entry = server_entry<websocket_type>;
    using state = typename entry::state;

    server_state(const ::asio::any_io_executor& executor, server_options&& options)
        : executor_(executor),
          options_(std::move(options)),
          proxies_(options_.trusted_proxies.read()),
          io_(std::in_place, executor) {
        if (options_.proxy_header == proxy_protocol::required && !takes_proxy_header<Stream>)
            throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                                    "PROXY header on this stream");
        options_.connection.decision = sansocket::request_decision::manual;
        const ::asio::generic::stream_protocol::socket services_first(executor);  // to outlive it
        this->watch(::asio::query(executor, ::asio::execution::context));
    }

    // Makes a stream of each socket that is accepted there, which is one of `Protocol`.
    template <class Protocol, class Endpoint, class MakeStream>
    Endpoint listen(const Endpoint& at, const listen_options& how, MakeStream make_stream,
                    std::error_code& ec);
    void close_listeners() noexcept;
    // Nobody waits for the end.
    void abandon() noexcept;
    void cancel_handlers();

    // What a stop does, and asks.
    bool stopping() const noexcept { return stopping_; }
    bool idle() const noexcept { return entries_.empty(); }
    // 1001 to what is open, 503 to what is opening.
    void close_connections() noexcept;
    // What has not ended yet, does. Their handlers return, or do not.
    void abort_connections(sansocket::errc cause) noexcept {
        for (const auto& e : entries_)
            if (e->websocket.session_) e->websocket.session_->abort(cause);
    }
    ::asio::steady_timer& when_idle() noexcept { return io_->idle; }
    const ::asio::any_io_executor& executor() const noexcept { return executor_; }

    server_counters counters() const {
        server_counters now = counters_;
        now.open = open_;
        now.refusing = refusing_;
        now.opening = opening_;
        for (const auto& e : entries_)
            if (e->was_open)
                now.count_websocket(e->websocket.counters(), e->websocket.dropped_messages());
        return now;
    }
    template <class Function>
    void for_each(Function& function) {
        for (const auto& e : entries_)
            if (e->state_ == state::open &&
                e->websocket.state() == sansocket::connection_state::open)
                call(function, *e);
    }

    connection_handler<websocket_type, peer_address> on_connection;
    template <class Handler>
    void on_request(Handler handler) {
        on_request_ = std::move(handler);
        ask_about_upgrade_ = &server_state::ask_about_upgrade;
    }
    template <class Handler>
    void on_http(Handler handler) {
        on_http_ = std::move(handler);
        ask_about_http_ = &server_state::ask_about_http;
    }

private:
    // What belongs to the execution context.
    struct io {
        explicit io(const ::asio::any_io_executor& executor) : idle(executor, sansocket::never) {}
        ::asio::steady_timer idle;
        std::shared_ptr<any_listener> listeners;
    };

    // What a listener tells it.
    template <class Protocol, class MakeStream>
    class accepting final : public listener<Protocol>::owner {
    public:
        accepting(std::weak_ptr<server_state> state, MakeStream make_stream)
            : state_(std::move(state)), make_stream_(std::move(make_stream)) {}
        void accepted(typename Protocol::socket connected, const peer_address& from) override {
            if (const auto self = state_.lock())
                self->take(std::move(connected), from, make_stream_);
        }
        void failed(std::error_code ec) override {
            const auto self = state_.lock();
            if (!self) return;
            ++self->counters_.accept_errors;
            self->tell([&](auto& o) { o.accept_failed(ec); });
        }

    private:
        std::weak_ptr<server_state> state_;
        MakeStream make_stream_;
    };

    using guard = step_guard<server_state, entry>;
    using step = server_step<server_state, entry>;
    friend guard;
    friend step;

    void context_gone() noexcept override;
    template <class Socket, class MakeStream>
    void take(Socket socket, const peer_address& peer, MakeStream& make_stream);
    std::optional<server_refusal> refusal_for(const peer_address& peer) const;
    bool is_full(const peer_address& client) const;
    bool refuse(const peer_address& peer, server_refusal why);
    void begin(Stream stream, const peer_address& peer, std::optional<server_refusal> over);

    // Whether more will be heard of where a connection comes from.
    bool will_tell(const peer_address& peer) const noexcept {
        return will_tell_first(peer) || will_tell_in_request(peer);
    }
    bool will_tell_first(const peer_address& peer) const noexcept {
        return options_.proxy_header == proxy_protocol::required && proxies_.trusts(peer);
    }
    bool will_tell_in_request(const peer_address& peer) const noexcept {
        return options_.forwarded != sansocket::forwarded_field::none && proxies_.trusts(peer);
    }

    // Steps.
    void read(const std::shared_ptr<entry>& e);
    void read_proxy_header(const std::shared_ptr<entry>& e);
    void has_proxy_header(entry& e, const sansocket::proxy_header& header, sansocket::errc ec);
    void look_at_head(entry& e);
    void identified(entry& e, const peer_address& client, sansocket::errc ec);
    void count_address(entry& e);
    void asked(const std::shared_ptr<entry>& e, std::error_code ec);
    void refuse_one_too_many(entry& e);
    void ask_while_connected(const std::shared_ptr<entry>& e);
    void ask_about_upgrade(const std::shared_ptr<entry>& e);
    void ask_about_http(const std::shared_ptr<entry>& e);
    void decided(const std::shared_ptr<entry>& e, const std::exception_ptr& failed,
                 const server_decision& decision);
    void answered(const std::shared_ptr<entry>& e, const std::exception_ptr& failed,
                  const sansocket::http_response& answer);
    void opened(const std::shared_ptr<entry>& e);
    void handler_failed(entry& e, const std::exception_ptr& failed);
    void await_end(const std::shared_ptr<entry>& e);
    void ended(const std::shared_ptr<entry>& e, std::error_code = {});
    void lost(const std::shared_ptr<entry>& e) noexcept;
    // A step that throws, which is for want of memory, is the end of its connection.
    template <class What>
    void attempt(const std::shared_ptr<entry>& e, What what) noexcept {
        if (!io_ || e->gone) return;
        try {
            what();
        } catch (...) {
            lost(e);
        }
    }

    // What it ended with; one that has not begun was aborted.
    static sansocket::errc cause_of(const entry& e) noexcept {
        const auto* const core = e.websocket.connection();
        return core == nullptr ? sansocket::errc::aborted : core->close_info().cause;
    }
    void fail(const peer_address& client, sansocket::errc cause, std::error_code transport_error);
    void fail(const entry& e) { fail(e.client, cause_of(e), e.websocket.transport_error()); }
    void report(const peer_address& client, const std::exception_ptr& failed);
    // A coroutine that was told that its client is gone may end in any way.
    void report_unless_over(const entry& e, const std::exception_ptr& failed) {
        if (e.websocket.state() == sansocket::connection_state::opening) report(e.client, failed);
    }
    std::size_t& count_of(state s) noexcept;
    void move(entry& e, state to) noexcept;

    std::shared_ptr<const server_request> request_of(entry& e) const {
        return std::make_shared<server_request>(e.websocket.connection()->handshake()->request(),
                                                e.peer, e.client);
    }
    template <class Function>
    static void call(Function& function, entry& e) {
        if constexpr (std::is_invocable_v<Function&, websocket_type&, const peer_address&>)
            function(e.websocket, std::as_const(e.client));
        else function(e.websocket);
    }
    template <class Tell>
    void tell(Tell what) const {
        if (options_.observer != nullptr) what(*options_.observer);
    }

    request_handler<server_request, server_decision> on_request_;
    request_handler<server_request, sansocket::http_response> on_http_;
    // Null where there is no such handler: only who has one compiles what asks it.
    using asks = void (server_state::*)(const std::shared_ptr<entry>&);
    asks ask_about_upgrade_ = nullptr, ask_about_http_ = nullptr;

    ::asio::any_io_executor executor_;
    server_options options_;
    trusted_proxies proxies_;
    std::list<std::shared_ptr<entry>> entries_;
    address_counts addresses_;
    server_counters counters_;
    // How many entries are where.
    std::size_t opening_ = 0, refusing_ = 0, open_ = 0, ending_ = 0;
    std::size_t admitted_ = 0;  // entries that are not one too many
    bool stopping_ = false;
    std::optional<io> io_;  // nothing once the execution context is gone
};

template <class Stream, class Connection>
void server_state<Stream, Connection>::context_gone() noexcept {
    close_listeners();
    io_.reset();
    executor_ = {};  // a strand has its place in the context
}

template <class Stream, class Connection>
template <class Protocol, class Endpoint, class MakeStream>
Endpoint server_state<Stream, Connection>::listen(const Endpoint& at, const listen_options& how,
                                                  MakeStream make_stream, std::error_code& ec) {
    using listener_type = listener<Protocol>;
    ec = sansocket::errc::closed;
    if (stopping_) return {};
    const auto made = std::make_shared<listener_type>(
        executor_, std::make_unique<accepting<Protocol, MakeStream>>(this->weak_from_this(),
                                                                     std::move(make_stream)));
    ec = made->open(at, how);
    if (ec) return {};
    const auto bound = made->template endpoint<Endpoint>(ec);
    made->next = std::exchange(io_->listeners, made);
    made->accept();
    return bound;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::close_listeners() noexcept {
    stopping_ = true;
    if (!io_) return;
    while (const auto l = std::move(io_->listeners)) {
        l->close();
        io_->listeners = std::move(l->next);
    }
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::abandon() noexcept {
    options_.observer = nullptr;
    close_listeners();
    abort_connections(sansocket::errc::aborted);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::close_connections() noexcept {
    for (const auto& e : entries_) {
        try {
            e->websocket.change([](auto& core) {
                return core.close(sansocket::close_code::going_away, {},
                                  websocket_type::session::now());
            });
        } catch (...) {  // no memory
            e->websocket.abort();
        }
    }
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::cancel_handlers() {
    for (const auto& e : entries_)
        if (e->state_ != state::ending) e->stop.emit(::asio::cancellation_type::terminal);
}

// A connection came.
template <class Stream, class Connection>
template <class Socket, class MakeStream>
void server_state<Stream, Connection>::take(Socket socket, const peer_address& peer,
                                            MakeStream& make_stream) {
    ++counters_.accepted;
    tell([&](auto& o) { o.accepted(peer); });
    const auto over = refusal_for(peer);
    if (over && !refuse(peer, *over)) return;
    std::optional<Stream> stream;
    try {
        stream.emplace(make_stream(std::move(socket)));
    } catch (...) {
        return report(peer, std::current_exception());
    }
    try {
        begin(std::move(*stream), peer, over);
    } catch (...) {  // no memory
        if (!over) fail(peer, sansocket::errc::aborted, {});
    }
}

template <class Stream, class Connection>
std::optional<server_refusal> server_state<Stream, Connection>::refusal_for(
    const peer_address& peer) const {
    if (stopping_) return server_refusal::stopping;
    if (admitted_ >= options_.max_connections) return server_refusal::connections;
    if (!will_tell(peer) && is_full(peer)) return server_refusal::connections_per_address;
    return std::nullopt;
}

template <class Stream, class Connection>
bool server_state<Stream, Connection>::is_full(const peer_address& client) const {
    const std::size_t most = options_.max_connections_per_address;
    return most != 0 && addresses_.count(client) >= most;
}

// Whether there is time to say so.
template <class Stream, class Connection>
bool server_state<Stream, Connection>::refuse(const peer_address& peer, server_refusal why) {
    switch (why) {
    case server_refusal::connections: ++counters_.refused_connections; break;
    case server_refusal::connections_per_address:
        ++counters_.refused_connections_per_address;
        break;
    case server_refusal::stopping: ++counters_.refused_stopping; break;
    }
    tell([&](auto& o) { o.refused(peer, why); });
    const bool answers = why != server_refusal::stopping && refusing_ < options_.max_refusals;
    if (!answers) ++counters_.refused_unanswered;
    return answers;
}

// Either it is in the list, and goes on or ends there, or it throws.
template <class Stream, class Connection>
void server_state<Stream, Connection>::begin(Stream stream, const peer_address& peer,
                                             std::optional<server_refusal> over) {
    const auto e = std::make_shared<entry>(websocket_type(std::move(stream)), peer, over);
    if (stopping_) return;
    e->place = entries_.insert(entries_.end(), e);
    ++count_of(e->state_);
    if (!over) ++admitted_;
    attempt(e, [&] { read(e); });
}

template <class Stream, class Connection>
std::size_t& server_state<Stream, Connection>::count_of(state s) noexcept {
    switch (s) {
    case state::opening: return opening_;
    case state::refusing: return refusing_;
    case state::open: return open_;
    case state::ending: break;
    }
    return ending_;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::move(entry& e, state to) noexcept {
    --count_of(e.state_);
    e.state_ = to;
    ++count_of(to);
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STATE_HPP

// ==== sansocket_asio/server/detail/server_steps.hpp ==============================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEPS_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEPS_HPP
// server_steps.hpp
//
// What becomes of a server's connection: who it is for, what is answered to its
// request, who has it then, and its end. The contract is in server_state.hpp.

namespace sansocket_asio::detail {

// Its request, behind the word of a proxy if there is to be one. Both have the handshake's time.
template <class Stream, class Connection>
void server_state<Stream, Connection>::read(const std::shared_ptr<entry>& e) {
    auto& ws = e->websocket;
    const bool header_first = will_tell_first(e->peer);
    e->identified = !will_tell(e->peer);
    if (e->identified && !e->refused_for) count_address(*e);
    sansocket::options options = options_.connection;
    if (ask_about_http_ || e->refused_for)
        options.decision = sansocket::request_decision::manual_with_http;
    ws.begin_now(!header_first, options_.policy, std::move(options));
    wait_in_background(ws.session_, step_operation<detail::asked>{}, executor_,
                       step(this->shared_from_this(), e, &server_state::asked));
    if (header_first) read_proxy_header(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::read_proxy_header(const std::shared_ptr<entry>& e) {
    if constexpr (takes_proxy_header<Stream>) {
        using operation = proxy_header_op<typename websocket_type::session>;
        const auto reads = [self = this->shared_from_this(),
                            e](const sansocket::proxy_header& header, sansocket::errc ec) {
            self->attempt(e, [&] { self->has_proxy_header(*e, header, ec); });
        };
        operation::start(e->websocket.session_, proxies_, reads);
    }
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::has_proxy_header(entry& e,
                                                        const sansocket::proxy_header& header,
                                                        sansocket::errc ec) {
    auto& session = *e.websocket.session_;
    if (ec != sansocket::errc::ok) {
        session.core_->transport_lost(session.now(), ec);
        return session.drive();
    }
    const peer_address client = trusted_proxies::client_of(header, e.peer);
    e.client = client;
    if (!will_tell_in_request(client)) identified(e, client, sansocket::errc::ok);
    session.start();
}

// A head that is not complete may lack what a proxy wrote at its end.
template <class Stream, class Connection>
void server_state<Stream, Connection>::look_at_head(entry& e) {
    const auto* const handshake = e.websocket.connection()->handshake();
    if (e.identified || handshake == nullptr || !handshake->has_request()) return;
    const auto [client, ec] =
        proxies_.client_of(handshake->request(), options_.forwarded, e.client);
    identified(e, client, ec);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::identified(entry& e, const peer_address& client,
                                                  sansocket::errc ec) {
    e.identified = true;
    e.client = client;
    if (ec != sansocket::errc::ok) ++counters_.forwarded_invalid;
    tell([&](auto& o) { o.identified(e.peer, client, ec); });
    if (e.refused_for) return;
    if (!is_full(client)) return count_address(e);
    --admitted_;
    e.refused_for = server_refusal::connections_per_address;
    const bool answers = refuse(client, *e.refused_for);
    move(e, state::refusing);
    if (!answers) e.websocket.abort();
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::count_address(entry& e) {
    addresses_.add(e.client);
    e.counted = true;
}

// Its request is here.
template <class Stream, class Connection>
void server_state<Stream, Connection>::asked(const std::shared_ptr<entry>& e, std::error_code ec) {
    look_at_head(*e);
    if (e->refused_for) {
        if (!ec) refuse_one_too_many(*e);
        return await_end(e);
    }
    if (ec) {
        fail(*e);
        return await_end(e);
    }
    if (!e->websocket.connection()->request_is_upgrade()) return (this->*ask_about_http_)(e);
    if (ask_about_upgrade_) return (this->*ask_about_upgrade_)(e);
    decided(e, nullptr, server_decision{});
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::refuse_one_too_many(entry& e) {
    const bool of_address = e.refused_for == server_refusal::connections_per_address;
    e.websocket.refuse(of_address ? 429 : 503, {},
                       of_address ? "There are too many connections from this address.\n"
                                  : "There are too many connections.\n");
}

// Who waits for an answer and is gone, or out of time, needs none: the application's coroutine is told.
template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_while_connected(const std::shared_ptr<entry>& e) {
    e->asking = true;
    wait_in_background(e->websocket.session_, step_operation<decided_or_gone>{}, executor_,
                       [e](std::error_code) {
                           if (e->asking) e->stop.emit(::asio::cancellation_type::terminal);
                       });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_upgrade(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_request_(executor_, e->stop.slot(), request_of(*e),
                [guard = std::make_shared<guard>(this->shared_from_this(), e)](
                    const std::exception_ptr& failed, const server_decision& decision) {
                    (*guard)(
                        [&](auto& self, const auto& of) { self.decided(of, failed, decision); });
                });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_http(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_http_(executor_, e->stop.slot(), request_of(*e),
             [guard = std::make_shared<guard>(this->shared_from_this(), e)](
                 const std::exception_ptr& failed, const sansocket::http_response& answer) {
                 (*guard)([&](auto& self, const auto& of) { self.answered(of, failed, answer); });
             });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::decided(const std::shared_ptr<entry>& e,
                                               const std::exception_ptr& failed,
                                               const server_decision& decision) {
    auto& ws = e->websocket;
    e->asking = false;
    const auto& [status, fields, body] = decision.answer();
    sansocket::errc ec = sansocket::errc::invalid_response;
    if (failed) report_unless_over(*e, failed);
    else if (!decision.accepts()) ec = ws.refuse(status, fields, body);
    else ec = ws.accept(decision.subprotocol().value_or(std::string{ws.subprotocol()}), fields);
    if (ec == sansocket::errc::ok && decision.accepts()) return opened(e);
    // What the application has made of it cannot be sent.
    if (ec != sansocket::errc::ok) ws.refuse(500);
    fail(*e);
    await_end(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::answered(const std::shared_ptr<entry>& e,
                                                const std::exception_ptr& failed,
                                                const sansocket::http_response& answer) {
    auto& ws = e->websocket;
    e->asking = false;
    if (failed) report_unless_over(*e, failed);
    const bool done =
        !failed && ws.respond(answer.status, answer.fields, answer.body) == sansocket::errc::ok;
    if (done) {
        ++counters_.http_answered;
        tell([&](auto& o) { o.http_answered(e->client, answer.status); });
    } else {
        ws.refuse(500);
        fail(*e);
    }
    await_end(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::opened(const std::shared_ptr<entry>& e) {
    move(*e, state::open);
    e->was_open = true;
    ++counters_.opened;
    const auto self = this->shared_from_this();
    tell([&](auto& o) { o.opened(e->client); });
    handle ws(&e->websocket, [self, e](websocket_type*) noexcept {
        self->attempt(e, [&] { self->await_end(e); });  // nobody holds it any more
    });
    if (on_connection)
        on_connection(
            std::move(ws), e->client, e->stop.slot(),
            [self, e](const std::exception_ptr& failed) { self->handler_failed(*e, failed); });
}

// The operations of a connection that is over throw: that is how a coroutine ends.
template <class Stream, class Connection>
void server_state<Stream, Connection>::handler_failed(entry& e, const std::exception_ptr& failed) {
    const bool over = e.websocket.state() != sansocket::connection_state::open;
    try {
        std::rethrow_exception(failed);
    } catch (const std::system_error&) {
        if (over) return;
    } catch (...) {}
    e.code = sansocket::close_code::internal_error;
    report(e.client, failed);
}

// Closes what is open, and waits for the transport.
template <class Stream, class Connection>
void server_state<Stream, Connection>::await_end(const std::shared_ptr<entry>& e) {
    if (!e->refused_for) move(*e, state::ending);  // else its place is taken to the end
    wait_in_background(e->websocket.session_, shutdown_operation{e->code, {}}, executor_,
                       step(this->shared_from_this(), e, &server_state::ended));
}

// Out of the list. Allocates nothing.
template <class Stream, class Connection>
void server_state<Stream, Connection>::ended(const std::shared_ptr<entry>& e, std::error_code) {
    e->gone = true;
    if (e->was_open) {
        const auto& info = e->websocket.connection()->close_info();
        counters_.count_end(info);
        counters_.count_websocket(e->websocket.counters(), e->websocket.dropped_messages());
        e->was_open = false;  // and not twice
        tell([&](auto& o) {
            const auto& ws = e->websocket;
            o.closed(e->client, {info, ws.transport_error(), ws.connection()->explain()});
        });
    }
    --count_of(e->state_);
    if (!e->refused_for) --admitted_;
    if (e->counted) addresses_.remove(e->client);
    entries_.erase(e->place);
    if (io_ && entries_.empty()) io_->idle.cancel();
}

// Nothing will come back to it: it ends here.
template <class Stream, class Connection>
void server_state<Stream, Connection>::lost(const std::shared_ptr<entry>& e) noexcept {
    if (!io_ || e->gone) return;
    e->websocket.abort();
    if (e->state_ == state::opening) fail(*e);
    ended(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::fail(const peer_address& client, sansocket::errc cause,
                                            std::error_code transport_error) {
    counters_.count_failure(cause);
    tell([&](auto& o) { o.handshake_failed(client, cause, transport_error); });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::report(const peer_address& client,
                                              const std::exception_ptr& failed) {
    ++counters_.handler_errors;
    tell([&](auto& o) { o.handler_failed(client, failed); });
}

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_SERVER_STEPS_HPP

// ==== sansocket_asio/server/detail/stop_op.hpp ===================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_STOP_OP_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_STOP_OP_HPP
// stop_op.hpp
//
// The end of a server: its listeners at once, then its connections, then the
// handlers that still run.

namespace sansocket_asio::detail {

template <class State>
class stop_op {
public:
    stop_op(std::shared_ptr<State> state, sansocket::duration timeout)
        : state_(std::move(state)), timeout_(timeout) {}

    template <class Self>
    void operator()(Self& self, std::error_code ec = {}) {
        switch (step_) {
        case step::starting:
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            if (state_->stopping())
                return finish_later(self, sansocket::errc::operation_in_progress);
            state_->close_listeners();
            state_->close_connections();
            if (state_->idle()) return finish_later(self, {});
            state_->when_idle().expires_at(deadline_of(timeout_));
            return wait(self);
        case step::waiting:
            if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
                give_up();  // and handlers are not waited for
                return self.complete(::asio::error::operation_aborted);
            }
            if (state_->idle()) return self.complete(ec_);
            if (!ec) {  // the deadline
                ec_ = sansocket::errc::close_timeout;
                give_up();
                state_->when_idle().expires_at(sansocket::never);
            }
            return wait(self);
        case step::finishing: return self.complete(ec_);
        }
    }

private:
    enum class step : std::uint8_t { starting, waiting, finishing };

    // As late as there is, where the time goes beyond.
    static sansocket::time_point deadline_of(sansocket::duration timeout) {
        const auto now = std::chrono::steady_clock::now();
        return timeout > sansocket::never - now ? sansocket::never : now + timeout;
    }
    template <class Self>
    void wait(Self& self) {
        step_ = step::waiting;
        auto& timer = state_->when_idle();
        timer.async_wait(std::move(self));
    }
    void give_up() {
        state_->abort_connections(sansocket::errc::close_timeout);
        state_->cancel_handlers();
    }
    template <class Self>
    void finish_later(Self& self, std::error_code ec) {
        step_ = step::finishing;
        ec_ = ec;
        ::asio::post(std::move(self));
    }

    std::shared_ptr<State> state_;
    sansocket::duration timeout_;
    step step_ = step::starting;
    std::error_code ec_;
};

}  // namespace sansocket_asio::detail
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_DETAIL_STOP_OP_HPP

// ==== sansocket_asio/server.hpp ==================================================================
#ifndef SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_HPP
#define SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_HPP
// server.hpp
//
// A server: listens, accepts, answers requests, hands each WebSocket that opens
// to a handler, and ends them all together. Limits and counters are its own.
//
//   sansocket_asio::server server(io.get_executor());
//   server.on_connection([](auto& ws) -> asio::awaitable<void> { ... });
//   server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8080));
//   ... server.async_stop(std::chrono::seconds(10), asio::detached);
//
// It starts no thread, and prints nothing but what diagnostics.hpp says of debug
// builds. One object, one executor: its functions are called, its handlers run, and
// it is destroyed, on the executor that it was given, a strand where several threads
// run it. More threads: an io_context and a server each, listening with
// `listen_options::reuse_port`.

namespace sansocket_asio {

/// A server of WebSockets, and of plain HTTP beside them.
///
/// @tparam Stream  over which its connections run: the socket, which may be of TCP or Unix, or what
///                 is made of it, such as a TLS stream.
/// @tparam Connection  the protocol; see `websocket`.
///
/// Where the execution context is destroyed first, the server ends with it; it may be destroyed then,
/// and answers its queries.
template <class Stream = ::asio::generic::stream_protocol::socket,
          class Connection = sansocket::connection<sansocket::role::server>>
class basic_server {
    using state = detail::server_state<Stream, Connection>;
    struct plain {
        template <class Socket>
        requires(std::constructible_from<Stream, Socket>) Stream operator()(Socket socket) const {
            return Stream(std::move(socket));
        }
    };
    template <class MakeStream, class Endpoint>
    static constexpr bool makes_stream =
        std::is_invocable_r_v<Stream, MakeStream&, typename Endpoint::protocol_type::socket>;
    // Accepts for an endpoint: one for TCP and Unix sockets where the stream is one for both.
    using any_protocol = ::asio::generic::stream_protocol;
    using socket = std::remove_cvref_t<decltype(detail::lowest(std::declval<Stream&>()))>;
    static constexpr bool takes_any = requires {
        requires std::is_same_v<typename socket::protocol_type, any_protocol>;
    };
    template <class MakeStream, class Endpoint>
    using accepts = std::conditional_t<std::is_same_v<MakeStream, plain> && takes_any, any_protocol,
                                       typename Endpoint::protocol_type>;

public:
    using executor_type = ::asio::any_io_executor;  ///< What it runs on.
    /// What its handlers are given.
    using websocket_type = websocket<sansocket::role::server, Stream, Connection>;
    /// Keeps a connection in its handler's hands. To be let go of on the server's executor.
    using handle = std::shared_ptr<websocket_type>;

    /// A server that does nothing before `listen`.
    ///
    /// @throws std::system_error  errc::network_invalid of `server_options::trusted_proxies`, or
    ///         std::errc::operation_not_supported where a PROXY header is required and Stream does not
    ///         show the socket beneath it, as `next_layer` or `lowest_layer`.
    explicit basic_server(const executor_type& executor, server_options options = {})
        : state_(std::make_shared<state>(executor, std::move(options))) {}
    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;
    /// Closes the listeners, and aborts all connections, where the server was not stopped. Blocks
    /// never: handlers learn it from their operations and return while the executor runs.
    ~basic_server() { state_->abandon(); }

    /// What it was given.
    [[nodiscard]] executor_type get_executor() const noexcept { return state_->executor(); }

    // What the application does, to be said before `listen`. Handlers are kept until those that run
    // have returned, also after the server is destroyed.

    /// What is done with each WebSocket once it is open: a coroutine
    /// `asio::awaitable<void>(websocket_type&)`, or a function `void(handle)`.
    ///
    /// The coroutine's return, or the last handle's end, closes a connection that is open, with 1000.
    /// An exception closes it with 1011 and is told to `server_observer::handler_failed`; but the
    /// std::system_error with which the operations of a connection that is over end a coroutine is a
    /// return like any other. Either may have a second parameter, `const peer_address&`: the client's,
    /// as in `server_request::client`, which lives as long as the websocket. A
    /// coroutine is cancelled (terminal) where it outlasts the deadline of `async_stop`.
    template <class Handler>
    void on_connection(Handler handler) {
        state_->on_connection = std::move(handler);
    }
    /// Who decides on upgrades that the policy has no fault to find with: `server_decision`, or
    /// `asio::awaitable<server_decision>`, of `const server_request&`. By default all are accepted.
    ///
    /// What cannot be sent, such as a subprotocol that was not offered, and an exception are answered
    /// with 500. A coroutine is cancelled (terminal) once its client is gone or out of time
    /// (`options::opening_timeout`), and that of `on_http` likewise.
    template <class Handler>
    void on_request(Handler handler) {
        state_->on_request(std::move(handler));
    }
    /// Who answers requests that are no upgrade: `sansocket::http_response`, or
    /// `asio::awaitable<sansocket::http_response>`, of `const server_request&`. Of any method; a body
    /// is not read; HEAD is answered like GET, and the body left out. The connection then ends, within
    /// `options::close_timeout`: a client that takes longer over the answer is cut off.
    /// Without it such requests are errors of the peer, answered with their status.
    template <class Handler>
    void on_http(Handler handler) {
        state_->on_http(std::move(handler));
    }

    /// Listens at an endpoint of TCP or of a Unix socket, and accepts there from now on. May be called
    /// several times. The file that a Unix socket makes is removed when the server stops.
    ///
    /// @param make_stream  makes a Stream of each accepted socket, `Endpoint::protocol_type::socket`.
    ///                     Where it throws, that connection ends, and
    ///                     `server_observer::handler_failed` is told. Copied.
    /// @param ec   errc::closed for a server that was stopped, or what the system says.
    /// @return where: with the port that was chosen for 0.
    template <class Endpoint, class MakeStream>
    requires(makes_stream<MakeStream, Endpoint>) Endpoint
        listen(const Endpoint& at, MakeStream make_stream, const listen_options& options,
               std::error_code& ec) {
        return state_->template listen<accepts<MakeStream, Endpoint>>(at, options,
                                                                      std::move(make_stream), ec);
    }
    /// The same; throws std::system_error.
    template <class Endpoint, class MakeStream>
    requires(makes_stream<MakeStream, Endpoint>) Endpoint
        listen(const Endpoint& at, MakeStream make_stream, const listen_options& options = {}) {
        std::error_code ec;
        const Endpoint bound = listen(at, std::move(make_stream), options, ec);
        if (ec) throw std::system_error(ec, "listen");
        return bound;
    }
    /// The same, for a Stream that is made of the socket alone.
    template <class Endpoint>
    requires(makes_stream<plain, Endpoint>) Endpoint
        listen(const Endpoint& at, const listen_options& options, std::error_code& ec) {
        return listen(at, plain{}, options, ec);
    }
    /// The same; throws std::system_error.
    template <class Endpoint>
    requires(makes_stream<plain, Endpoint>) Endpoint
        listen(const Endpoint& at, const listen_options& options = {}) {
        return listen(at, plain{}, options);
    }

    /// Ends everything. The listeners are closed at once; then 1001 goes to all that are open, and 503
    /// to all that are opening; what has not ended by the deadline is aborted, and coroutines that
    /// have not returned are cancelled. Completes when all transports have ended and all handlers have
    /// returned; from then on the ports are free.
    ///
    /// Signature void(std::error_code): success; errc::close_timeout if anything had to be aborted or
    /// cancelled; errc::operation_in_progress, at once, for a server that was stopped before.
    /// A handler that keeps its handle is waited for.
    /// Where it throws for want of memory, nothing is waited for: destroy the server.
    ///
    /// Cancellation, total: everything is aborted and cancelled at once, and handlers are not waited
    /// for.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_stop(sansocket::duration deadline, Token&& token = Token{}) {
        return ::asio::async_compose<Token, void(std::error_code)>(
            detail::stop_op<state>{state_, deadline}, token, state_->executor());
    }

    /// How many WebSockets are open, or over and in the hands of their handler.
    [[nodiscard]] std::size_t connections() const noexcept { return state_->counters().open; }
    /// Calls `function(websocket_type&)` for each that is open, or `function(websocket_type&, const
    /// peer_address&)`, with the client's address.
    template <class Function>
    void for_each(Function function) {
        state_->for_each(function);
    }
    /// What it has done so far. Looks at each connection, for the traffic.
    [[nodiscard]] server_counters counters() const { return state_->counters(); }

private:
    std::shared_ptr<state> state_;
};

/// A server over TCP and Unix sockets.
using server = basic_server<>;

}  // namespace sansocket_asio
#endif  // SANSOCKET_SINGLE_SANSOCKET_ASIO_SERVER_HPP
