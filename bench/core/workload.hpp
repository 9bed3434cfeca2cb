// workload.hpp
//
// What the benchmark sends through the libraries: payloads, and wires of masked frames.
#pragma once

#include "peer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

/// Always the same numbers.
class generator {
public:
    std::uint32_t operator()() {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::uint32_t>(state_ >> 32U);
    }

private:
    std::uint64_t state_ = 20110911;
};

enum class content { binary, ascii, cjk };

inline const char* name_of(content c) {
    switch (c) {
    case content::binary: return "binary";
    case content::ascii: return "ascii";
    case content::cjk: return "cjk";
    }
    return "";
}

inline kind kind_of(content c) { return c == content::binary ? kind::binary : kind::text; }

using bytes = std::vector<byte>;

/// `size` bytes of content `c`. CJK text ends in ASCII where its size is no multiple of three.
inline bytes make_payload(content c, std::size_t size) {
    generator random;
    bytes out;
    out.reserve(size);
    while (out.size() != size) {
        const std::uint32_t r = random();
        if (c == content::binary) out.push_back(static_cast<byte>(r));
        else if (c == content::ascii || size - out.size() < 3)
            out.push_back(static_cast<byte>(' ' + r % 95));
        else
            for (const unsigned b : {0xe4 + r % 5, 0x80 + r / 8 % 64, 0x80 + r / 512 % 64})
                out.push_back(static_cast<byte>(b));
    }
    return out;
}

/// The header of an unfragmented frame, in `mask_bit` 0x80 or 0. RFC 6455 5.2.
inline bytes make_header(kind k, std::uint64_t size, unsigned mask_bit) {
    bytes out{static_cast<byte>(k == kind::text ? 0x81 : 0x82)};
    int length_bytes = 0;
    if (size < 126) out.push_back(static_cast<byte>(mask_bit | size));
    else {
        length_bytes = size < 65536 ? 2 : 8;
        out.push_back(static_cast<byte>(mask_bit | (size < 65536 ? 126U : 127U)));
    }
    for (int i = length_bytes - 1; i >= 0; --i) out.push_back(static_cast<byte>(size >> (8 * i)));
    return out;
}

inline void append_masked_frame(bytes& out, kind k, const bytes& payload, std::uint32_t key_word) {
    const std::array<byte, 4> key{static_cast<byte>(key_word), static_cast<byte>(key_word >> 8U),
                                  static_cast<byte>(key_word >> 16U),
                                  static_cast<byte>(key_word >> 24U)};
    const bytes header = make_header(k, payload.size(), 0x80);
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), key.begin(), key.end());
    for (std::size_t i = 0; i != payload.size(); ++i)
        out.push_back(static_cast<byte>(payload[i] ^ key[i & 3]));
}

/// Messages of one size and content, each with a key of its own: about 1 MiB of them, or 4096.
struct workload {
    workload(content c, std::size_t size) : what(c), payload(make_payload(c, size)) {
        generator random;
        messages = std::clamp<std::size_t>((std::size_t{1} << 20U) / (size + 14), 2, 4096);
        for (std::size_t i = 0; i != messages; ++i)
            append_masked_frame(frames, kind_of(c), payload, random());
    }

    wire as_wire() const { return {frames.data(), frames.size(), messages}; }

    content what;
    bytes payload;
    bytes frames;
    std::size_t messages = 0;
};

}  // namespace bench
