// ascii.hpp
//
// Character classes of HTTP and of URIs, and comparison without regard to case.
//
// One table of 256 bytes, one bit for each class, so that a parser's inner loop
// is one load and one test. Bytes are classed as ASCII whatever the locale says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace sansocket::detail {

enum class char_class : std::uint8_t {
    token = 0x01,        // tchar: RFC 9110 5.6.2
    field_value = 0x02,  // VCHAR, obs-text, SP, HTAB: RFC 9110 5.5
    target = 0x04,       // what a request target may hold on the wire
    reg_name = 0x08,     // unreserved, sub-delims: RFC 3986 3.2.2
    path = 0x10,         // reg_name, ":", "@", "/", "?": RFC 3986 3.3, 3.4
    digit = 0x20,
    alpha = 0x40,
    hex_digit = 0x80,
};

constexpr std::uint8_t bit_of(char_class c) noexcept { return static_cast<std::uint8_t>(c); }

// The compiler fills this in every source that includes it: set by set, which are few steps, and
// through a pointer, for to a compiler each operator[] is a call.
inline constexpr std::array<std::uint8_t, 256> char_classes = [] {
    using enum char_class;
    std::array<std::uint8_t, 256> table{};
    std::uint8_t* const of = table.data();
    const auto mark = [of](std::string_view set, std::initializer_list<char_class> classes) {
        std::uint8_t bits = 0;
        for (const char_class c : classes) bits |= bit_of(c);
        for (const char c : set) of[static_cast<unsigned char>(c)] |= bits;
    };
    constexpr std::uint8_t in_field = bit_of(field_value);
    constexpr std::uint8_t in_both = in_field | bit_of(target);
    for (unsigned c = 0x20; c != 0x100; ++c) of[c] = c > 0x20 && c < 0x7f ? in_both : in_field;
    of[0x7f] = 0;
    for (const char c : {'"', '#', '<', '>'}) of[static_cast<unsigned char>(c)] = in_field;
    mark("\t", {field_value});
    mark("0123456789", {token, reg_name, path, digit, hex_digit});
    mark("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", {token, reg_name, path, alpha});
    mark("ABCDEFabcdef", {hex_digit});
    mark("!#$%&'*+-.^_`|~", {token});
    mark("-._~!$&'()*+,;=", {reg_name, path});
    mark(":@/?", {path});
    return table;
}();

constexpr bool is(char_class wanted, char c) noexcept {
    return (char_classes[static_cast<unsigned char>(c)] & bit_of(wanted)) != 0;
}

/// Whether every character of `text` is of the class. True of the empty text.
constexpr bool all_are(char_class wanted, std::string_view text) noexcept {
    for (const char c : text)
        if (!is(wanted, c)) return false;
    return true;
}

constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Equality of ASCII text without regard to case.
constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i != a.size(); ++i)
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    return true;
}

/// Whether `text` begins with `prefix`, without regard to case.
constexpr bool istarts_with(std::string_view text, std::string_view prefix) noexcept {
    return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

/// Optional white space of HTTP: SP and HTAB. RFC 9110 5.6.3.
constexpr bool is_ows(char c) noexcept { return c == ' ' || c == '\t'; }

/// `text` without white space at its two ends.
constexpr std::string_view trim_ows(std::string_view text) noexcept {
    while (!text.empty() && is_ows(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_ows(text.back())) text.remove_suffix(1);
    return text;
}

/// Reads a port: 1 to 5 digits, of at most 65535. Otherwise `port` is unchanged.
constexpr bool parse_port(std::string_view digits, std::uint16_t& port) noexcept {
    if (digits.empty() || digits.size() > 5) return false;
    if (!all_are(char_class::digit, digits)) return false;
    unsigned value = 0;
    for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return false;
    port = static_cast<std::uint16_t>(value);
    return true;
}

/// Whether every "%" of `text` begins a percent-encoded byte and every other character is of the
/// class. RFC 3986 2.1.
constexpr bool all_are_or_percent_encoded(char_class wanted, std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is(wanted, text[i])) continue;
        if (text[i] != '%' || text.size() - i < 3) return false;
        if (!all_are(char_class::hex_digit, text.substr(i + 1, 2))) return false;
        i += 2;
    }
    return true;
}

}  // namespace sansocket::detail
