// accept_key.hpp
//
// The two keys of the opening handshake: the client's nonce in
// Sec-WebSocket-Key and the server's proof in Sec-WebSocket-Accept.
//
// Knows nothing of: randomness (the nonce is an argument), HTTP.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/base64.hpp>
#include <sansocket/detail/sha1.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

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
