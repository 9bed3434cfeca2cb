// close_payload.hpp
//
// The payload of a Close frame: nothing, or a code and a reason. 5.5.1.
//
// Knows nothing of: whether a Close may be sent now.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/utf8.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

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
