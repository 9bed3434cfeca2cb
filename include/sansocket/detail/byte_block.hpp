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
#pragma once

#include <sansocket/detail/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

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
