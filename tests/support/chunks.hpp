// Every way of cutting an input that a test should try.
#pragma once

#include "hex.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace support {

using pieces = std::vector<byte_vector>;

/// `data` in pieces of `size` bytes, the last one shorter.
inline pieces in_pieces_of(std::size_t size, std::span<const std::byte> data) {
    pieces out;
    for (std::size_t i = 0; i < data.size(); i += size) {
        const auto part = data.subspan(i, (std::min)(size, data.size() - i));
        out.emplace_back(part.begin(), part.end());
    }
    return out;
}

/// `data` whole, byte by byte, and in two pieces at each split point (at most 256 of them, spread
/// evenly). Every stream test runs over all of these and wants the same result.
inline std::vector<pieces> every_chunking(std::span<const std::byte> data) {
    std::vector<pieces> out;
    out.push_back({byte_vector(data.begin(), data.end())});
    out.push_back(in_pieces_of(1, data));
    out.push_back(in_pieces_of(3, data));
    const std::size_t stride = data.size() / 256 + 1;
    for (std::size_t cut = 1; cut < data.size(); cut += stride) {
        const auto head = data.first(cut);
        const auto tail = data.subspan(cut);
        out.push_back(
            {byte_vector(head.begin(), head.end()), byte_vector(tail.begin(), tail.end())});
    }
    return out;
}

}  // namespace support
