// request_fields.hpp
//
// Fields that clients add to their request: credentials and cookies. RFC 7617,
// RFC 6750, RFC 6265.
//
// What cannot be written becomes a field without a name, which no opening
// handshake takes: it ends with errc::invalid_request, and nothing is sent.
//
// Knows nothing of: where secrets come from, and cookie jars.
#pragma once

#include <sansocket/detail/append.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/detail/base64.hpp>
#include <sansocket/wire/http_head.hpp>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sansocket {

/// The field Authorization with a user's name and password, as bytes. RFC 7617 2.
///
/// Base64 hides nothing: only over TLS is this a secret.
///
/// @return a field without a name where `user` holds a ":", or either a control character.
[[nodiscard]] inline http_field_value basic_auth(std::string_view user, std::string_view password) {
    const auto control = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
    };
    for (const char c : user)
        if (c == ':' || control(c)) return {};
    for (const char c : password)
        if (control(c)) return {};
    std::string both, value;
    detail::append(both, {user, ":", password});
    detail::append(value, {"Basic ", detail::base64(both)});
    return {"Authorization", std::move(value)};
}

/// The field Authorization with a bearer token. RFC 6750 2.1.
///
/// @return a field without a name where `token` is no b64token: one or more letters, digits or
///         "-._~+/", then any number of "=".
[[nodiscard]] inline http_field_value bearer(std::string_view token) {
    const std::string_view text = token.substr(0, token.find_last_not_of('=') + 1);
    if (text.empty()) return {};
    for (const char c : text) {
        const bool alnum =
            detail::is(detail::char_class::alpha, c) || detail::is(detail::char_class::digit, c);
        if (!alnum && std::string_view{"-._~+/"}.find(c) == std::string_view::npos) return {};
    }
    std::string value;
    detail::append(value, {"Bearer ", token});
    return {"Authorization", std::move(value)};
}

/// A cookie as a client sends it. RFC 6265 4.2.1.
struct cookie {
    std::string_view name{};   ///< A token.
    std::string_view value{};  ///< Printable ASCII without space, '"', ",", ";" and "\", or such in
                               ///< quotes.
};

namespace detail {

// RFC 6265 4.1.1.
constexpr bool is_cookie_value(std::string_view value) noexcept {
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    if (quoted) value = value.substr(1, value.size() - 2);
    for (const char c : value)
        if (c <= ' ' || c >= '\x7f' || c == '"' || c == ',' || c == ';' || c == '\\') return false;
    return true;
}

template <class Cookies>
http_field_value cookie_field(const Cookies& all) {
    std::string value;
    for (const cookie& c : all) {
        if (!is_token(c.name) || !is_cookie_value(c.value)) return {};
        append(value, {value.empty() ? "" : "; ", c.name, "=", c.value});
    }
    if (value.empty()) return {};
    return {"Cookie", std::move(value)};
}

}  // namespace detail

/// The field Cookie with all of `all`, in their order. RFC 6265 4.2.
///
/// @return a field without a name where there is none, or one cannot be written.
[[nodiscard]] inline http_field_value cookies(std::span<const cookie> all) {
    return detail::cookie_field(all);
}
[[nodiscard]] inline http_field_value cookies(std::initializer_list<cookie> all) {
    return detail::cookie_field(all);
}

}  // namespace sansocket
