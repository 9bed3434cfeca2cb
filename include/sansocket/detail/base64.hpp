// base64.hpp
//
// Base64 with padding, as much of it as the opening handshake and its credentials
// need. RFC 4648 4.
#pragma once

#include <sansocket/detail/algorithm.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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
