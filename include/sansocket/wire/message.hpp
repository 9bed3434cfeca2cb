// message.hpp
//
// What an application receives: a text or a binary message. 5.6, 6.2.
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/bytes_of.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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
