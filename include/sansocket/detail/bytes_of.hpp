// bytes_of.hpp
//
// Memory as a span of bytes, from a pointer and a size.
//
// `std::span{container}` asks of every type of container whether it is a range,
// which costs a compiler as much as a header of ours does; a pointer is known.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace sansocket::detail {

inline std::span<const std::byte> bytes_of(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::byte*>(data), size};
}
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return bytes_of(text.data(), text.size());
}

}  // namespace sansocket::detail
