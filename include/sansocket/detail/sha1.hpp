// sha1.hpp
//
// SHA-1. FIPS 180-4 6.1. The opening handshake asks for it (RFC 6455 1.3) as a
// proof that the peer speaks WebSocket; nothing here depends on its strength.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

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
