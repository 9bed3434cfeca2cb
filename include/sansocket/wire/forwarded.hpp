// forwarded.hpp
//
// Whom a proxy's request comes from: the fields Forwarded (RFC 7239) and
// X-Forwarded-For, and which part of them is to be believed.
//
// Each proxy adds a hop at the end. So they are read from the end, and only for
// as long as the hop before was written by a proxy that is trusted: what stands
// further to the left is the client's word, and may be anything, open quotes
// among it. Reading from the end, none of it is ever looked at.
//
// Knows nothing of: which proxies are trusted, sockets.
// Section numbers in this file refer to RFC 7239 unless another RFC is named.
#pragma once

#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/ip_address.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sansocket {

/// What a hop says of who it was. 6.
enum class forwarded_node_kind : std::uint8_t {
    address,     ///< An IP address. 6.1.
    unknown,     ///< "unknown", or nothing. 6.2.
    obfuscated,  ///< A word of the proxy's own, such as "_gazonk". 6.3.
};

/// The one who made a request, or who took it. 6.
struct forwarded_node {
    forwarded_node_kind kind = forwarded_node_kind::unknown;  ///< What it is named by.
    ip_address address{};     ///< Of `forwarded_node_kind::address`.
    std::uint16_t port = 0;   ///< 0 where none is given, or it is obfuscated.
    std::string_view name{};  ///< As written, without quotes. Lives as long as the field.

    friend constexpr bool operator==(const forwarded_node&, const forwarded_node&) = default;
};

/// One hop: what one proxy wrote. 4. The views live as long as the field.
struct forwarded_hop {
    forwarded_node from{};     ///< "for": who made the request to the proxy. 5.2.
    forwarded_node by{};       ///< "by": where the proxy took it. 5.1.
    std::string_view host{};   ///< The Host field that the proxy saw, empty if not said. 5.3.
    std::string_view proto{};  ///< "http", "https"; empty if not said. 5.4.
};

/// What the functions below return: `value` counts only where `ec` is `errc{}`.
struct forwarded_hop_result {
    forwarded_hop value{};  ///< The hop.
    errc ec{};              ///< `errc::forwarded_invalid`, or none.
};

/// One element of Forwarded: "for=192.0.2.60;proto=http;by=203.0.113.43". 4.
///
/// Parameters that are unknown are passed over, and names are compared without regard to case. Quoted
/// pairs are refused: nothing that may be written here needs them.
///
/// @return the hop, or errc::forwarded_invalid: what is no "name=value" with ";" between them, a
///         parameter that stands twice, a node that is none (6).
[[nodiscard]] constexpr forwarded_hop_result parse_forwarded(std::string_view element) noexcept;

/// One element of X-Forwarded-For: an address, which may have a port ("192.0.2.1:80",
/// "[2001:db8::1]:80"), or "unknown".
///
/// @return the hop, of which `from` alone is set, or errc::forwarded_invalid.
[[nodiscard]] constexpr forwarded_hop_result parse_x_forwarded_for(
    std::string_view element) noexcept;

/// The elements of such a field, the last one first. Commas within quotes are none.
class forwarded_list {
public:
    /// @param value  a field's value; it has to outlive the elements.
    constexpr explicit forwarded_list(std::string_view value) noexcept : rest_(value) {}

    /// The one before, without the white space around it; nothing where all were told. Empty elements
    /// are passed over (RFC 9110 5.6.1.2).
    [[nodiscard]] constexpr std::optional<std::string_view> previous() noexcept {
        while (!rest_.empty()) {
            const std::size_t begin = begin_of_last();
            const std::string_view element = detail::trim_ows(rest_.substr(begin));
            rest_ = rest_.substr(0, begin == 0 ? 0 : begin - 1);
            if (!element.empty()) return element;
        }
        return std::nullopt;
    }

private:
    // Read from the end, a quote opens a string where it closes one, and none is escaped: whether a "\"
    // before it does so depends on what is further left. The element is refused then.
    [[nodiscard]] constexpr std::size_t begin_of_last() const noexcept {
        bool quoted = false;
        for (std::size_t i = rest_.size(); i != 0; --i) {
            const char c = rest_[i - 1];
            if (c == '"') quoted = !quoted;
            if (c == ',' && !quoted) return i;
        }
        return 0;
    }

    std::string_view rest_;
};

/// Which field proxies write. The other one is not looked at: a proxy that does not know it passes on
/// what the client has made up.
enum class forwarded_field : std::uint8_t {
    none,             ///< The sender of the transport is the client.
    forwarded,        ///< RFC 7239.
    x_forwarded_for,  ///< X-Forwarded-For, by convention.
};

/// Where a request comes from, as far as it can be known.
struct forwarded_client {
    std::optional<ip_address> address{};  ///< Nothing: of the one who sent it, no more is known.
    std::uint16_t port = 0;               ///< 0 where a proxy did not say.
    errc ec{};  ///< errc::forwarded_invalid: a trusted proxy's hop could not be read.
};

/// Who made a request that a trusted proxy has sent. To be asked of no request but such.
///
/// Hop by hop from the end: whoever is named is the client, unless it is itself trusted and another hop
/// stands before. Where a hop is malformed, unknown or obfuscated, or there is none, the client is the
/// proxy that it came from, as far as is known.
///
/// @param trusts  bool(const ip_address&): whether that is the address of a trusted proxy.
template <class Trusts>
[[nodiscard]] forwarded_client find_client(const http_head& head, forwarded_field field,
                                           Trusts trusts);

namespace detail {

// The name of the field; none has an empty one.
constexpr std::string_view name_of(forwarded_field field) noexcept {
    switch (field) {
    case forwarded_field::forwarded: return "Forwarded";
    case forwarded_field::x_forwarded_for: return "X-Forwarded-For";
    case forwarded_field::none: break;
    }
    return {};
}

// "_" and one or more letters, digits, ".", "_" or "-". 6.3.
constexpr bool is_obfuscated(std::string_view text) noexcept {
    if (text.size() < 2 || text[0] != '_') return false;
    for (const char c : text)
        if (!is(char_class::digit, c) && !is(char_class::alpha, c) && c != '.' && c != '_' &&
            c != '-')
            return false;
    return true;
}

// A node's name: everything but the port. 6.
constexpr bool set_name(forwarded_node& node, std::string_view name) noexcept {
    const bool bracketed = name.size() > 2 && name.front() == '[' && name.back() == ']';
    const std::string_view inside = bracketed ? name.substr(1, name.size() - 2) : name;
    if (const auto address = parse_ip_address(inside)) {
        node.kind = forwarded_node_kind::address;
        node.address = *address;
        return bracketed == (inside.find(':') != std::string_view::npos);
    }
    node.kind =
        is_obfuscated(name) ? forwarded_node_kind::obfuscated : forwarded_node_kind::unknown;
    return node.kind == forwarded_node_kind::obfuscated || iequals(name, "unknown");
}

// nodename [ ":" node-port ]. 6.
constexpr bool parse_node(std::string_view text, forwarded_node& node) noexcept {
    node.name = text;
    const std::size_t bracket = text.find(']');
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (!set_name(node, text.substr(0, colon))) return false;
    if (colon == std::string_view::npos) return true;
    const std::string_view port = text.substr(colon + 1);
    return parse_port(port, node.port) || is_obfuscated(port);
}

// token / quoted-string, taken off the front; nothing where it is neither. RFC 9110 5.6.4.
constexpr std::optional<std::string_view> take_value(std::string_view& rest) noexcept {
    const bool quoted = rest.starts_with('"');
    std::size_t end = 0;
    if (quoted) {
        end = rest.find_first_of("\"\\", 1);
        if (end == std::string_view::npos || rest[end] == '\\') return std::nullopt;
    } else {
        while (end != rest.size() && is(char_class::token, rest[end])) ++end;
        if (end == 0) return std::nullopt;
    }
    const std::string_view value = quoted ? rest.substr(1, end - 1) : rest.substr(0, end);
    rest.remove_prefix(quoted ? end + 1 : end);
    return value;
}

// The parameters of a hop, each of which may stand once.
class forwarded_pairs {
public:
    constexpr bool set(forwarded_hop& hop, std::string_view name, std::string_view value) noexcept {
        if (iequals(name, "for")) return once(0) && parse_node(value, hop.from);
        if (iequals(name, "by")) return once(1) && parse_node(value, hop.by);
        if (iequals(name, "host")) hop.host = value;
        else if (iequals(name, "proto")) hop.proto = value;
        else return true;
        return once(iequals(name, "host") ? 2 : 3);
    }

private:
    constexpr bool once(std::size_t which) noexcept {
        const bool first = !seen_[which];
        seen_[which] = true;
        return first;
    }
    std::array<bool, 4> seen_{};
};

}  // namespace detail

constexpr forwarded_hop_result parse_forwarded(std::string_view element) noexcept {
    forwarded_hop hop;
    detail::forwarded_pairs pairs;
    std::string_view rest = detail::trim_ows(element);
    for (;;) {
        const std::size_t equals = rest.find('=');
        const std::string_view name = rest.substr(0, equals);
        if (equals == std::string_view::npos || !is_token(name))
            return {{}, errc::forwarded_invalid};
        rest.remove_prefix(equals + 1);
        const auto value = detail::take_value(rest);
        if (!value || !pairs.set(hop, name, *value)) return {{}, errc::forwarded_invalid};
        rest = detail::trim_ows(rest);  // not in the grammar, and written nevertheless
        if (rest.empty()) return {hop, errc{}};
        if (rest.front() != ';') return {{}, errc::forwarded_invalid};
        rest = detail::trim_ows(rest.substr(1));
        if (rest.empty())
            return {hop, errc{}};  // 4: [ forwarded-pair ] *( ";" [ forwarded-pair ] )
    }
}

constexpr forwarded_hop_result parse_x_forwarded_for(std::string_view element) noexcept {
    forwarded_hop hop;
    const std::string_view text = detail::trim_ows(element);
    if (const auto plain = parse_ip_address(text)) {  // IPv6 stands without brackets
        hop.from = {forwarded_node_kind::address, *plain, 0, text};
        return {hop, errc{}};
    }
    const bool good = detail::parse_node(text, hop.from);
    return good ? forwarded_hop_result{hop, errc{}}
                : forwarded_hop_result{{}, errc::forwarded_invalid};
}

template <class Trusts>
forwarded_client find_client(const http_head& head, forwarded_field field, Trusts trusts) {
    forwarded_client client;
    for (std::size_t i = head.size(); i != 0; --i) {
        if (!detail::iequals(head[i - 1].name, detail::name_of(field))) continue;
        forwarded_list hops{head[i - 1].value};
        while (const auto element = hops.previous()) {
            const auto [hop, ec] = field == forwarded_field::forwarded
                                       ? parse_forwarded(*element)
                                       : parse_x_forwarded_for(*element);
            client.ec = ec;
            if (ec != errc{} || hop.from.kind != forwarded_node_kind::address) return client;
            client = {hop.from.address, hop.from.port, errc{}};
            if (!trusts(hop.from.address)) return client;
        }
    }
    return client;
}

}  // namespace sansocket
