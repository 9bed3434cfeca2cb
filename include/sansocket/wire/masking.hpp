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
#pragma once

#include <sansocket/detail/byte_block.hpp>
#include <sansocket/detail/config.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

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
