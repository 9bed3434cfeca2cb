// algorithm.hpp
//
// The few algorithms that the core needs. <algorithm> brings all of them, those
// for ranges and for execution policies too, and took a tenth of the time that a
// compiler needs for the whole core.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace sansocket::detail {

template <class T>
constexpr T smaller_of(T a, T b) noexcept {
    return b < a ? b : a;
}
template <class T>
constexpr T larger_of(T a, T b) noexcept {
    return a < b ? b : a;
}

// Copies `bytes` to `to`, where there is room for them. No bytes may be at a null pointer.
inline void copy_bytes(std::span<const std::byte> bytes, std::byte* to) noexcept {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

// Whether one of `texts`, a range of strings or of views of them, is `wanted`.
template <class Texts>
constexpr bool contains(const Texts& texts, std::string_view wanted) noexcept {
    for (const std::string_view text : texts)
        if (text == wanted) return true;
    return false;
}

// Whether no text stands there twice. Sorts them, by Shell's method with Hibbard's gaps: at most in
// the order of n^1.5 steps, whatever a peer chooses.
inline bool all_distinct(std::vector<std::string_view>& texts) noexcept {
    std::size_t gap = 1;
    while (gap < texts.size()) gap = gap * 2 + 1;
    for (; gap != 0; gap /= 2)
        for (std::size_t i = gap; i < texts.size(); ++i) {
            const std::string_view text = texts[i];
            std::size_t at = i;
            for (; at >= gap && text.compare(texts[at - gap]) < 0; at -= gap)
                texts[at] = texts[at - gap];
            texts[at] = text;
        }
    for (std::size_t i = 1; i < texts.size(); ++i)
        if (texts[i] == texts[i - 1]) return false;
    return true;
}

}  // namespace sansocket::detail
