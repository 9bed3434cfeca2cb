// proxy_header.hpp
//
// The PROXY protocol, versions 1 and 2: the bytes with which a proxy says, ahead
// of everything else, whose connection it passes on.
//
// A header is read only from a proxy that is trusted, and then there has to be
// one: from anybody else it would be a claim, and its absence a way round it.
//
// Knows nothing of: who is trusted, WebSocket. Additions to version 2 (TLVs) are
// passed over, their checksum among them.
// Section numbers in this file refer to "The PROXY protocol, versions 1 & 2".
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/ip_address.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sansocket {

/// Whose connection a proxy passes on.
enum class proxied_kind : std::uint8_t {
    own,          ///< The proxy's own, such as a check of health (LOCAL, 2.2).
    unspecified,  ///< Somebody's, of whom nothing is said (UNKNOWN, UNSPEC).
    ip,           ///< That of an IP address and a port.
    unix_socket,  ///< That of somebody on the proxy's host.
};

/// A PROXY header.
struct proxy_header {
    proxied_kind kind = proxied_kind::own;  ///< Whose connection it is.
    ip_address source{};       ///< Who has connected, of `proxied_kind::ip`, and so the others.
    ip_address destination{};  ///< Where the proxy took the connection.
    std::uint16_t source_port = 0;       ///< The TCP port of `source`.
    std::uint16_t destination_port = 0;  ///< That of `destination`.

    friend constexpr bool operator==(const proxy_header&, const proxy_header&) = default;
};

/// What `parse_proxy_header` returns: the others count only where `ec` is `errc{}`.
struct proxy_header_result {
    proxy_header value{};  ///< What it says.
    std::size_t size = 0;  ///< Bytes that are the header's.
    errc ec{};             ///< What is wrong with it, or that more has to come.
};

/// Most bytes of a header of version 1, its CRLF counted. 2.1.
inline constexpr std::size_t max_proxy_line = 107;
/// Most bytes of a header of version 2 that are taken: 16, the addresses and the TLVs. A client's
/// certificate, which some proxies add, fits.
inline constexpr std::size_t max_proxy_header = 4096;

/// The PROXY header with which `bytes` begins.
///
/// @return the header and its size, or
///         errc::need_more              all of `bytes` are the beginning of a header;
///         errc::proxy_header_missing   they begin no header;
///         errc::proxy_header_invalid   one that breaks its grammar, or of an unknown version;
///         errc::proxy_header_too_long  one over `max_proxy_line` or `max_proxy_header`.
/// An error is told as soon as it can be seen, so what has to be kept is below those limits.
[[nodiscard]] constexpr proxy_header_result parse_proxy_header(
    std::span<const std::byte> bytes) noexcept;

namespace detail {

inline constexpr std::string_view proxy_signature_v1 = "PROXY ";
inline constexpr std::string_view proxy_signature_v2{"\r\n\r\n\0\r\nQUIT\n", 12};

// The bytes of a header as text, one at a time.
constexpr char char_at(std::span<const std::byte> bytes, std::size_t i) noexcept {
    return static_cast<char>(bytes[i]);
}
constexpr std::size_t common_prefix(std::span<const std::byte> bytes,
                                    std::string_view with) noexcept {
    std::size_t n = 0;
    while (n != bytes.size() && n != with.size() && char_at(bytes, n) == with[n]) ++n;
    return n;
}

// A port without leading zeros. 2.1.
constexpr bool parse_proxy_port(std::string_view text, std::uint16_t& port) noexcept {
    return parse_port(text, port) && (text.size() == 1 || text[0] != '0');
}

// What stands between "PROXY " and CRLF: "TCP4 192.0.2.1 192.0.2.2 56324 443", words with one space
// between them. 2.1.
constexpr proxy_header_result parse_proxy_line(std::string_view line) noexcept {
    constexpr proxy_header_result wrong{{}, 0, errc::proxy_header_invalid};
    std::array<std::string_view, 5> words{};
    std::size_t count = 0;
    for (std::string_view rest = line;; ++count) {
        const std::size_t space = rest.find(' ');
        if (count < words.size()) words[count] = rest.substr(0, space);
        if (space == std::string_view::npos) break;
        rest.remove_prefix(space + 1);
    }
    // 2.1: "the receiver must ignore anything presented before the CRLF is found"
    if (words[0] == "UNKNOWN") return {{.kind = proxied_kind::unspecified}, 0, errc{}};
    const bool v4 = words[0] == "TCP4";
    if (count != 4 || (!v4 && words[0] != "TCP6")) return wrong;
    for (const std::string_view address : {words[1], words[2]})
        if (v4 != (address.find(':') == std::string_view::npos)) return wrong;
    const auto source = parse_ip_address(words[1]);
    const auto destination = parse_ip_address(words[2]);
    std::uint16_t from = 0, to = 0;
    const bool ports = parse_proxy_port(words[3], from) && parse_proxy_port(words[4], to);
    if (!source || !destination || !ports) return wrong;
    return {{proxied_kind::ip, *source, *destination, from, to}, 0, errc{}};
}

constexpr proxy_header_result parse_proxy_v1(std::span<const std::byte> bytes) noexcept {
    std::array<char, max_proxy_line> text{};
    const std::size_t size = detail::smaller_of(bytes.size(), text.size());
    for (std::size_t i = 0; i != size; ++i) text[i] = char_at(bytes, i);
    const std::string_view seen{text.data(), size};
    const std::size_t end = seen.find('\r');
    if (end == std::string_view::npos || end + 1 == size) {
        if (size == max_proxy_line) return {{}, 0, errc::proxy_header_too_long};
        return {{}, 0, errc::need_more};
    }
    if (seen[end + 1] != '\n') return {{}, 0, errc::proxy_header_invalid};
    const std::size_t start = proxy_signature_v1.size();
    proxy_header_result out = parse_proxy_line(seen.substr(start, end - start));
    out.size = end + 2;
    return out;
}

// Two addresses of `N` bytes and two ports, in network order. 2.2.
template <std::size_t N>
constexpr proxy_header addresses_of(std::span<const std::byte> block) noexcept {
    const auto address = [block](std::size_t at) {
        std::array<std::uint8_t, N> bytes{};
        for (std::size_t i = 0; i != N; ++i)
            bytes[i] = std::to_integer<std::uint8_t>(block[at + i]);
        return ip_address(bytes);
    };
    const auto port = [block](std::size_t at) {
        return static_cast<std::uint16_t>(std::to_integer<unsigned>(block[at]) << 8U |
                                          std::to_integer<unsigned>(block[at + 1]));
    };
    return {proxied_kind::ip, address(0), address(N), port(2 * N), port(2 * N + 2)};
}

// What follows the first 16 bytes, whose byte 13 is `family`: address family and transport. 2.2.
constexpr proxy_header_result parse_proxy_addresses(unsigned family,
                                                    std::span<const std::byte> block) noexcept {
    constexpr std::array<std::size_t, 4> sizes = {0, 12, 36, 216};  // UNSPEC, INET, INET6, UNIX
    const unsigned address = family >> 4U;
    const unsigned transport = family & 0x0fU;
    // 2.2: "Other values are reserved and must not be emitted"
    if (address >= sizes.size() || transport > 2 || block.size() < sizes[address])
        return {{}, 0, errc::proxy_header_invalid};
    // 2.2: a receiver "automatically falls back to the UNSPEC mode for the valid combinations above
    // that it does not support", such as datagrams.
    if (address == 0 || transport != 1) return {{.kind = proxied_kind::unspecified}, 0, errc{}};
    if (address == 1) return {addresses_of<4>(block), 0, errc{}};
    if (address == 2) return {addresses_of<16>(block), 0, errc{}};
    return {{.kind = proxied_kind::unix_socket}, 0, errc{}};
}

constexpr proxy_header_result parse_proxy_v2(std::span<const std::byte> bytes) noexcept {
    constexpr std::size_t fixed = 16;
    const auto number = [bytes](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
    if (bytes.size() > 12 && (number(12) >> 4U != 2 || (number(12) & 0x0fU) > 1))
        return {{}, 0, errc::proxy_header_invalid};
    if (bytes.size() < fixed) return {{}, 0, errc::need_more};
    const std::size_t size = fixed + (number(14) << 8U | number(15));
    if (size > max_proxy_header) return {{}, 0, errc::proxy_header_too_long};
    if (bytes.size() < size) return {{}, 0, errc::need_more};
    // 2.2: of LOCAL "the receiver must accept this connection as valid and must use the real
    // connection endpoints and discard the protocol block"
    const bool local = (number(12) & 0x0fU) == 0;
    proxy_header_result out;
    if (!local) out = parse_proxy_addresses(number(13), bytes.subspan(fixed, size - fixed));
    out.size = size;
    return out;
}

}  // namespace detail

constexpr proxy_header_result parse_proxy_header(std::span<const std::byte> bytes) noexcept {
    const auto begins = [bytes](std::string_view signature) {
        return detail::common_prefix(bytes, signature) ==
               detail::smaller_of(bytes.size(), signature.size());
    };
    const bool v1 = begins(detail::proxy_signature_v1);
    const bool v2 = begins(detail::proxy_signature_v2);
    if (v1 && bytes.size() > detail::proxy_signature_v1.size())
        return detail::parse_proxy_v1(bytes);
    if (v2 && bytes.size() > detail::proxy_signature_v2.size())
        return detail::parse_proxy_v2(bytes);
    return {{}, 0, v1 || v2 ? errc::need_more : errc::proxy_header_missing};
}

}  // namespace sansocket
