// chacha.hpp
//
// The ChaCha20 block function. RFC 8439 2.3.
//
// A key, a counter and a nonce in; 16 words of keystream out. What makes of it a
// source of masking keys stands in masking_keys.hpp.
//
// Knows nothing of: where the key comes from, how much of the stream was used.
// Section numbers in this file refer to RFC 8439.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

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
