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
#pragma once

#include <sansocket/detail/byte_block.hpp>
#include <sansocket/detail/bytes_of.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

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
