// ip_address.hpp
//
// IP addresses and networks as values, and their text. RFC 4291 2.2, RFC 4632 3.1.
//
// An IPv4 address and the same mapped into IPv6 (::ffff:192.0.2.1) are one value:
// which of the two arrives depends on the socket, and no rule may depend on that.
//
// Knows nothing of: sockets, ports, names, zones.
// Section numbers in this file refer to RFC 4291 unless another RFC is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sansocket {

/// An IPv4 or IPv6 address. By default the unspecified address of IPv6, "::".
class ip_address {
public:
    constexpr ip_address() = default;
    /// An IPv4 address, of bytes in network order.
    constexpr explicit ip_address(const std::array<std::uint8_t, 4>& bytes) noexcept {
        bytes_[10] = bytes_[11] = 0xff;
        for (std::size_t i = 0; i != 4; ++i) bytes_[v4_at + i] = bytes[i];
    }
    /// An IPv6 address, of bytes in network order; an IPv4 one where it is mapped (2.5.5.2).
    constexpr explicit ip_address(const std::array<std::uint8_t, 16>& bytes) noexcept
        : bytes_(bytes) {}

    /// Whether it is an IPv4 address, mapped or not.
    [[nodiscard]] constexpr bool is_v4() const noexcept {
        for (std::size_t i = 0; i != v4_at; ++i)
            if (bytes_[i] != (i < 10 ? 0 : 0xff)) return false;
        return true;
    }
    /// As IPv6, in network order: an IPv4 address mapped.
    [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const noexcept {
        return bytes_;
    }
    /// The IPv4 address, in network order; the last four bytes of an IPv6 one.
    [[nodiscard]] constexpr std::array<std::uint8_t, 4> v4_bytes() const noexcept {
        return {bytes_[v4_at], bytes_[v4_at + 1], bytes_[v4_at + 2], bytes_[v4_at + 3]};
    }

    friend constexpr bool operator==(const ip_address&, const ip_address&) = default;

private:
    static constexpr std::size_t v4_at = 12;  // behind ten bytes of 0 and two of 255

    std::array<std::uint8_t, 16> bytes_{};
};

namespace detail {

// dec-octet "." dec-octet "." dec-octet "." dec-octet, without leading zeros. RFC 3986 3.2.2.
constexpr std::optional<ip_address> parse_ipv4(std::string_view text) noexcept {
    std::array<std::uint8_t, 4> out{};
    std::size_t octets = 0;
    for (;;) {
        const std::size_t size = detail::smaller_of(text.find('.'), text.size());
        const std::string_view octet = text.substr(0, size);
        if (octet.empty() || octet.size() > 3 || octets == 4) return std::nullopt;
        if (!all_are(char_class::digit, octet)) return std::nullopt;
        if (octet.size() > 1 && octet[0] == '0') return std::nullopt;
        unsigned value = 0;
        for (const char c : octet) value = value * 10 + static_cast<unsigned>(c - '0');
        if (value > 255) return std::nullopt;
        out[octets++] = static_cast<std::uint8_t>(value);
        if (size == text.size()) break;
        text.remove_prefix(size + 1);
    }
    if (octets != 4) return std::nullopt;
    return ip_address(out);
}

constexpr unsigned hex_value(char c) noexcept {
    return static_cast<unsigned>(is(char_class::digit, c) ? c - '0' : to_lower(c) - 'a' + 10);
}

// Groups of an IPv6 address, between "::" and an end or in all of it. An IPv4 address stands for two,
// and only at the address's end.
struct ipv6_groups {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t size = 0;  // of the bytes

    constexpr bool append(std::string_view text, bool at_end) noexcept {
        while (!text.empty()) {
            const std::size_t length = detail::smaller_of(text.find(':'), text.size());
            const bool last = length == text.size();
            const std::string_view group = text.substr(0, length);
            if (last && at_end && group.find('.') != std::string_view::npos)
                return append_v4(group);
            if (group.empty() || group.size() > 4 || size == bytes.size()) return false;
            if (!all_are(char_class::hex_digit, group)) return false;
            unsigned value = 0;
            for (const char c : group) value = value << 4U | hex_value(c);
            bytes[size++] = static_cast<std::uint8_t>(value >> 8U);
            bytes[size++] = static_cast<std::uint8_t>(value & 0xffU);
            if (last) return true;
            text.remove_prefix(length + 1);
            if (text.empty()) return false;  // a ":" at the end
        }
        return true;
    }
    constexpr bool append_v4(std::string_view text) noexcept {
        const auto address = parse_ipv4(text);
        if (!address || bytes.size() - size < 4) return false;
        for (const std::uint8_t octet : address->v4_bytes()) bytes[size++] = octet;
        return true;
    }
};

constexpr std::optional<ip_address> parse_ipv6(std::string_view text) noexcept {
    const std::size_t gap = text.find("::");
    const bool has_gap = gap != std::string_view::npos;
    ipv6_groups head, tail;
    if (!head.append(text.substr(0, gap), !has_gap)) return std::nullopt;
    if (has_gap && !tail.append(text.substr(gap + 2), true)) return std::nullopt;
    const std::size_t size = head.size + tail.size;
    // 2.2: "The use of "::" indicates one or more groups of 16 bits of zeros."
    if (has_gap ? size > 14 : size != 16) return std::nullopt;
    for (std::size_t i = 0; i != tail.size; ++i)
        head.bytes[head.bytes.size() - tail.size + i] = tail.bytes[i];
    return ip_address(head.bytes);
}

}  // namespace detail

/// The address that `text` is: four decimal numbers, or IPv6 without brackets and zone. 2.2.
///
/// @return nothing for any other text; no octet of IPv4 may begin with a zero, which some read as
///         octal.
[[nodiscard]] constexpr std::optional<ip_address> parse_ip_address(std::string_view text) noexcept {
    const auto v4 = detail::parse_ipv4(text);
    return v4 ? v4 : detail::parse_ipv6(text);
}

/// All addresses that begin with the same bits. RFC 4632 3.1. By default "::/128", one address.
class ip_network {
public:
    constexpr ip_network() = default;
    /// One address.
    constexpr explicit ip_network(const ip_address& address) noexcept : base_(address) {}

    /// Whether `address` is one of them. A network of IPv6 holds no address of IPv4, and the other
    /// way round.
    [[nodiscard]] constexpr bool contains(const ip_address& address) const noexcept {
        if (address.is_v4() != base_.is_v4()) return false;
        for (std::size_t i = 0; i != 16; ++i)
            if (((address.bytes()[i] ^ base_.bytes()[i]) & mask(i)) != 0) return false;
        return true;
    }

    friend constexpr bool operator==(const ip_network&, const ip_network&) = default;

private:
    friend constexpr struct ip_network_result parse_ip_network(std::string_view text) noexcept;

    // Of byte number `i`, the bits that are the network's.
    [[nodiscard]] constexpr unsigned mask(std::size_t i) const noexcept {
        const std::size_t own =
            bits_ > 8 * i ? detail::smaller_of(bits_ - 8 * i, std::size_t{8}) : 0;
        return (0xff00U >> own) & 0xffU;
    }
    [[nodiscard]] constexpr bool is_exact() const noexcept {
        for (std::size_t i = 0; i != 16; ++i)
            if ((base_.bytes()[i] & ~mask(i)) != 0) return false;
        return true;
    }

    ip_address base_;
    std::size_t bits_ = 128;  // an IPv4 network's and 96
};

/// What `parse_ip_network` returns: `value` counts only where `ec` is `errc{}`.
struct ip_network_result {
    ip_network value{};  ///< The network.
    errc ec{};           ///< `errc::network_invalid`, or none.
};

/// The network that `text` is: "192.0.2.0/24", "2001:db8::/32", or one address. RFC 4632 3.1.
///
/// @return the network, or errc::network_invalid: no address, a length that is no decimal number or
///         over 32 or 128, or bits that are set behind it ("192.0.2.1/24"), which is a slip more often
///         than not.
[[nodiscard]] constexpr ip_network_result parse_ip_network(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    const auto address = parse_ip_address(text.substr(0, slash));
    if (!address) return {{}, errc::network_invalid};
    ip_network out{*address};
    if (slash == std::string_view::npos) return {out, errc{}};
    const std::string_view digits = text.substr(slash + 1);
    const bool number = !digits.empty() && digits.size() <= 3 &&
                        detail::all_are(detail::char_class::digit, digits) &&
                        (digits.size() == 1 || digits[0] != '0');
    if (!number) return {{}, errc::network_invalid};
    std::size_t length = 0;
    for (const char c : digits) length = length * 10 + static_cast<std::size_t>(c - '0');
    const bool plain_v4 = text.find(':') == std::string_view::npos;
    out.bits_ = length + (plain_v4 ? 96 : 0);
    if (out.bits_ > 128 || !out.is_exact()) return {{}, errc::network_invalid};
    return {out, errc{}};
}

}  // namespace sansocket
