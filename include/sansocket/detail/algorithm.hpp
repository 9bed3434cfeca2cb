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

}  // namespace sansocket::detail
