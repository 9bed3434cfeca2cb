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
#pragma once

#include <sansocket/detail/config.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/masking.hpp>
#include <sansocket/wire/role.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

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
