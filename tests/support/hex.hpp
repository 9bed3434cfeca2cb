// Byte literals for tests: hex("81 85 37fa213d") and bytes("Hello").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace support {

using byte_vector = std::vector<std::byte>;

/// The bytes that `digits` spells; spaces are passed over. Throws on anything else.
inline byte_vector hex(std::string_view digits) {
    const auto value = [](char c) -> unsigned {
        if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
        if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
        if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
        throw std::invalid_argument("not a hexadecimal digit");
    };
    byte_vector out;
    bool half = false;
    unsigned high = 0;
    for (const char c : digits) {
        if (c == ' ' || c == '\n') continue;
        if (half) out.push_back(static_cast<std::byte>(high << 4U | value(c)));
        else high = value(c);
        half = !half;
    }
    if (half) throw std::invalid_argument("odd number of hexadecimal digits");
    return out;
}

/// The bytes of `text`.
inline byte_vector bytes(std::string_view text) {
    const auto view = std::as_bytes(std::span{text});
    return {view.begin(), view.end()};
}

/// `a` and then `b`.
inline byte_vector operator+(byte_vector a, const byte_vector& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// `data` as characters.
inline std::string text_of(std::span<const std::byte> data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

/// `data` in hexadecimal, for messages.
inline std::string to_hex(std::span<const std::byte> data) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::byte b : data) {
        out += digits[std::to_integer<unsigned>(b) >> 4U];
        out += digits[std::to_integer<unsigned>(b) & 15U];
    }
    return out;
}

}  // namespace support
