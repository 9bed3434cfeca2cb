// url.hpp
//
// ws:// and wss:// URLs. RFC 6455 3, over the grammar of RFC 3986.
//
// Strict, and constexpr: a URL in the source can be checked by the compiler.
// What is not in the grammar is refused, not repaired: no white space is
// trimmed, nothing is decoded, no name is converted (internationalised names
// come as their ASCII form, RFC 5891 "xn--").
//
// Knows nothing of: resolving, HTTP, TLS.
// Section numbers in this file refer to RFC 3986 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/ip_address.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sansocket {

/// What the host of a URL is. 3.2.2.
enum class host_kind : std::uint8_t { name, ipv4, ipv6 };

/// The parts of a WebSocket URL. RFC 6455 3.
///
/// The views point into the text that was parsed and live as long as it does.
struct url {
    bool secure = false;                ///< "wss": the connection is to run over TLS.
    host_kind kind = host_kind::name;   ///< What `host` is.
    std::string_view host{};            ///< As written; an IPv6 address without its brackets.
    std::uint16_t port = 80;            ///< 1 to 65535; 80 or 443 where the URL names none.
    std::string_view path_and_query{};  ///< As written: empty, or begins with "/" or "?".
};

/// What `parse_url` returns: `value` counts only where `ec` is `errc{}`.
struct url_result {
    url value{};  ///< The parts.
    errc ec{};    ///< What is wrong with the text, if anything.
};

/// Parses a WebSocket URL. RFC 6455 3.
///
/// The scheme's case does not matter. "ws://h:/" means the default port, as 3.2.3 has it. A host
/// of digits and dots alone has to be an IPv4 address of four decimal numbers.
///
/// @param text  the URL; it has to outlive the result, which points into it.
/// @return the parts, or
///         errc::url_scheme     neither "ws:" nor "wss:";
///         errc::url_host       no "//", no host, a character no host may have, a bad IP address,
///                              an IPv6 zone;
///         errc::url_port       not a decimal number from 1 to 65535;
///         errc::url_path       a character that must be percent-encoded, or a bad "%";
///         errc::url_fragment   a "#" anywhere (RFC 6455 3: "#" must be escaped as "%23");
///         errc::url_userinfo   a user name or password.
/// Allocates nothing. Linear in `text`.
[[nodiscard]] constexpr url_result parse_url(std::string_view text) noexcept;

/// Whether `text` may be the value of a Host field: a host, and perhaps ":" and a port.
/// RFC 9110 7.2.
[[nodiscard]] constexpr bool is_host_field(std::string_view text) noexcept;

/// Whether `text` may be the target of a handshake request: a "/", then path and query characters
/// with their percent-encodings. RFC 6455 3, RFC 9112 3.2.1.
[[nodiscard]] constexpr bool is_target(std::string_view text) noexcept {
    return text.starts_with('/') &&
           detail::all_are_or_percent_encoded(detail::char_class::path, text);
}

/// The target of the request line for `u`: path and query, "/" where the path is empty.
/// RFC 6455 3 ("resource-name").
[[nodiscard]] inline std::string target(const url& u) {
    std::string out;
    if (!u.path_and_query.starts_with('/')) out += '/';
    out += u.path_and_query;
    return out;
}

/// The value of the Host field for `u`: an IPv6 address in brackets, the port only where it is
/// not the scheme's default. RFC 6455 4.1.
[[nodiscard]] inline std::string host_field(const url& u) {
    std::string out;
    if (u.kind == host_kind::ipv6) (out += '[').append(u.host) += ']';
    else out += u.host;
    if (u.port != (u.secure ? 443 : 80)) (out += ':') += std::to_string(u.port);
    return out;
}

namespace detail {

struct host_port {
    std::string_view host{};
    host_kind kind = host_kind::name;
    std::uint16_t port = 0;  // 0 where none is given
    errc ec{};
};

constexpr errc parse_url_port(std::string_view digits, std::uint16_t& port) noexcept {
    unsigned value = 0;
    for (const char c : digits) {
        if (!is(char_class::digit, c)) return errc::url_port;
        value = value * 10 + static_cast<unsigned>(c - '0');
        if (value > 65535) return errc::url_port;
    }
    if (!digits.empty() && value == 0) return errc::url_port;
    port = static_cast<std::uint16_t>(value);
    return errc{};
}

constexpr errc classify_host(host_port& out) noexcept {
    if (out.host.empty()) return errc::url_host;
    if (out.kind == host_kind::ipv6) return parse_ipv6(out.host) ? errc{} : errc::url_host;
    if (parse_ipv4(out.host)) {
        out.kind = host_kind::ipv4;
        return errc{};
    }
    // "127.1" and "1.2.3.256" fit the grammar of names, and resolvers read them as addresses.
    if (out.host.find_first_not_of("0123456789.") == std::string_view::npos) return errc::url_host;
    const bool valid = all_are_or_percent_encoded(char_class::reg_name, out.host);
    return valid ? errc{} : errc::url_host;
}

// host [ ":" port ]. 3.2.2, 3.2.3.
constexpr host_port parse_host_port(std::string_view text) noexcept {
    host_port out;
    std::size_t end = 0;  // of the host and its brackets
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) return {.ec = errc::url_host};
        out.kind = host_kind::ipv6;
        out.host = text.substr(1, bracket - 1);
        end = bracket + 1;
    } else {
        end = detail::smaller_of(text.find(':'), text.size());
        out.host = text.substr(0, end);
    }
    out.ec = classify_host(out);
    if (out.ec != errc{} || end == text.size()) return out;
    out.ec = text[end] == ':' ? parse_url_port(text.substr(end + 1), out.port) : errc::url_host;
    return out;
}

}  // namespace detail

constexpr url_result parse_url(std::string_view text) noexcept {
    url out;
    const bool plain = detail::istarts_with(text, "ws:");
    out.secure = detail::istarts_with(text, "wss:");
    if (!plain && !out.secure) return {{}, errc::url_scheme};
    text.remove_prefix(out.secure ? 4 : 3);
    if (!text.starts_with("//")) return {{}, errc::url_host};
    text.remove_prefix(2);

    // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket URIs."
    if (text.find('#') != std::string_view::npos) return {{}, errc::url_fragment};
    const std::string_view authority = text.substr(0, text.find_first_of("/?"));
    if (authority.find('@') != std::string_view::npos) return {{}, errc::url_userinfo};
    const detail::host_port at = detail::parse_host_port(authority);
    if (at.ec != errc{}) return {{}, at.ec};

    out.path_and_query = text.substr(authority.size());
    if (!detail::all_are_or_percent_encoded(detail::char_class::path, out.path_and_query))
        return {{}, errc::url_path};
    out.host = at.host;
    out.kind = at.kind;
    out.port = at.port != 0 ? at.port : static_cast<std::uint16_t>(out.secure ? 443 : 80);
    return {out, errc{}};
}

constexpr bool is_host_field(std::string_view text) noexcept {
    return detail::parse_host_port(text).ec == errc{};
}

}  // namespace sansocket
