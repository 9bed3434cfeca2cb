// extension_list.hpp
//
// The value of Sec-WebSocket-Extensions: extensions in a comma list, each with
// its parameters behind semicolons. 9.1.
//
//     extension_list list{value};
//     while (const auto extension = list.next()) {
//         extension_parameters all{extension->parameters};
//         while (const auto parameter = all.next()) ...
//     }
//     if (!list.good()) ...                              // it is no such list
//
// Knows nothing of: which extensions there are, what a parameter means.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/ascii.hpp>

#include <cstddef>
#include <optional>
#include <string_view>

namespace sansocket {

/// A parameter of an extension. 9.1.
struct extension_parameter {
    std::string_view name;                  ///< A token; its case counts.
    std::optional<std::string_view> value;  ///< As it stands, without the quotes around it.

    /// Whether the value, less the backslashes that a quoted one may hold, is `text`.
    [[nodiscard]] constexpr bool value_is(std::string_view text) const noexcept {
        if (!value) return false;
        std::string_view rest = *value;
        for (const char c : text) {
            if (rest.size() > 1 && rest.front() == '\\') rest.remove_prefix(1);
            if (rest.empty() || rest.front() != c) return false;
            rest.remove_prefix(1);
        }
        return rest.empty();
    }
};

namespace detail {

constexpr void skip_ows(std::string_view& rest) noexcept {
    while (!rest.empty() && is_ows(rest.front())) rest.remove_prefix(1);
}

// Takes a token from the front; empty where there is none.
constexpr std::string_view take_token(std::string_view& rest) noexcept {
    std::size_t n = 0;
    while (n != rest.size() && is(char_class::token, rest[n])) ++n;
    const std::string_view token = rest.substr(0, n);
    rest.remove_prefix(n);
    return token;
}

// Takes a quoted string from the front, and gives what stands between the quotes. Nothing where it
// does not end, or holds what is no token. 9.1: "the value after quoted-string unescaping MUST
// conform to the 'token' ABNF."
constexpr std::optional<std::string_view> take_quoted_token(std::string_view& rest) noexcept {
    for (std::size_t n = 1; n < rest.size(); ++n) {
        if (rest[n] == '"') {
            const std::string_view inside = rest.substr(1, n - 1);
            rest.remove_prefix(n + 1);
            if (inside.empty()) break;
            return inside;
        }
        if (rest[n] == '\\' && ++n == rest.size()) break;
        if (!is(char_class::token, rest[n])) break;
    }
    return std::nullopt;
}

}  // namespace detail

/// The parameters of one extension, one after the other. 9.1.
class extension_parameters {
public:
    /// @param text  "; name; name=value" and so on, as `extension::parameters`; it has to outlive
    ///              what is read from it.
    constexpr explicit extension_parameters(std::string_view text) noexcept : rest_(text) {}

    /// The next one; nothing behind the last, and where `good()` turned false.
    [[nodiscard]] constexpr std::optional<extension_parameter> next() noexcept {
        std::string_view at = rest_;
        detail::skip_ows(at);
        if (!good_ || !at.starts_with(';')) return std::nullopt;
        at.remove_prefix(1);
        detail::skip_ows(at);
        extension_parameter found{detail::take_token(at), std::nullopt};
        good_ = !found.name.empty() && take_value(at, found);
        rest_ = at;
        if (!good_) return std::nullopt;
        return found;
    }

    /// Whether what was read so far obeys the grammar.
    [[nodiscard]] constexpr bool good() const noexcept { return good_; }
    /// What stands behind the parameters that were read.
    [[nodiscard]] constexpr std::string_view rest() const noexcept { return rest_; }

private:
    static constexpr bool take_value(std::string_view& rest, extension_parameter& to) noexcept {
        std::string_view at = rest;
        detail::skip_ows(at);
        if (!at.starts_with('=')) return true;
        at.remove_prefix(1);
        detail::skip_ows(at);
        to.value = at.starts_with('"') ? detail::take_quoted_token(at) : detail::take_token(at);
        rest = at;
        return to.value && !to.value->empty();
    }

    std::string_view rest_;
    bool good_ = true;
};

/// An extension as a list names it. 9.1.
struct extension {
    std::string_view name;        ///< A token; its case counts.
    std::string_view parameters;  ///< For `extension_parameters`.
};

/// The extensions of a field's value, one after the other. Empty elements are passed over, as HTTP
/// has it (RFC 9110 5.6.1.2).
class extension_list {
public:
    /// @param value  a field's value; it has to outlive what is read from it.
    constexpr explicit extension_list(std::string_view value) noexcept : rest_(value) {}

    /// The next one, with parameters that obey the grammar; nothing behind the last, and where
    /// `good()` turned false.
    [[nodiscard]] constexpr std::optional<extension> next() noexcept {
        while (!rest_.empty() && (detail::is_ows(rest_.front()) || rest_.front() == ','))
            rest_.remove_prefix(1);
        if (!good_ || rest_.empty()) return std::nullopt;
        extension found{detail::take_token(rest_), rest_};
        extension_parameters all{rest_};
        while (all.next()) {}
        found.parameters = rest_.substr(0, rest_.size() - all.rest().size());
        rest_ = all.rest();
        detail::skip_ows(rest_);
        good_ = all.good() && !found.name.empty() && (rest_.empty() || rest_.front() == ',');
        if (!good_) return std::nullopt;
        return found;
    }

    /// Whether what was read so far obeys the grammar. 9.1: who receives what does not "MUST
    /// immediately _Fail the WebSocket Connection_".
    [[nodiscard]] constexpr bool good() const noexcept { return good_; }

private:
    std::string_view rest_;
    bool good_ = true;
};

}  // namespace sansocket
