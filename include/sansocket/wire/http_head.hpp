// http_head.hpp
//
// The head of an HTTP/1.1 message as values: its fields, their lists, the
// head itself, how much of one is taken, and what answers an error. RFC 9110.
//
//   http_field, http_list   what a head is made of
//   append_field            the one function that writes a field line
//   http_limits, http_head  what http_head_parser.hpp reads
//   status_for              the HTTP status that answers an error
//
// Whatever an application puts into a head goes through `append_field`, so no
// value can end its line and begin another (response splitting).
//
// Knows nothing of: parsing, bodies, WebSocket's rules about a head.
// Section numbers in this file refer to RFC 9110 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/append.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sansocket {

/// A field of a head that was received. The views live as long as that head is neither changed
/// nor moved. 5.
struct http_field {
    std::string_view name{};   ///< A token; its case does not matter.
    std::string_view value{};  ///< Without white space at its ends; may be empty.
};

/// A field that an application adds to a head. 5.
struct http_field_value {
    std::string name{};   ///< A token; its case does not matter.
    std::string value{};  ///< Without white space at its ends, without control characters.
};

/// Whether `text` is a token: one or more letters, digits or "!#$%&'*+-.^_`|~". 5.6.2.
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && detail::all_are(detail::char_class::token, text);
}

/// Whether `text` may be written as a field's value. 5.5.
///
/// @return false for control characters other than a tab within, and for white space at an end;
///         true for the empty text and for bytes of 0x80 and above.
[[nodiscard]] constexpr bool is_field_value(std::string_view text) noexcept {
    if (!detail::all_are(detail::char_class::field_value, text)) return false;
    return text.empty() || (!detail::is_ows(text.front()) && !detail::is_ows(text.back()));
}

/// Whether the two handshakes write the field `name` themselves, so that no application may add
/// it: Host, Upgrade, Connection, Content-Length, Transfer-Encoding and Sec-WebSocket-*.
[[nodiscard]] constexpr bool is_reserved_field(std::string_view name) noexcept {
    constexpr const char* reserved[] = {"Host", "Upgrade", "Connection", "Content-Length",
                                        "Transfer-Encoding"};
    for (const std::string_view r : reserved)
        if (detail::iequals(name, r)) return true;
    return detail::istarts_with(name, "Sec-WebSocket-");
}

/// Appends the line "name: value" and its CRLF to `out`. 5.1, 5.5.
///
/// @return false where `name` is no token or `value` no field value; `out` is unchanged then.
[[nodiscard]] inline bool append_field(std::string& out, std::string_view name,
                                       std::string_view value) {
    if (!is_token(name) || !is_field_value(value)) return false;
    detail::append(out, {name, ": ", value, "\r\n"});
    return true;
}

/// The elements of a comma list, one after the other. 5.6.1.
///
/// Knows no quoted strings, which is right for lists of tokens.
class http_list {
public:
    /// @param value  a field's value; it has to outlive the elements.
    constexpr explicit http_list(std::string_view value) noexcept : rest_(value) {}

    /// The next element, without the white space around it. Empty elements are passed over
    /// (5.6.1.2).
    ///
    /// @return a view into the value, or nothing at the end of the list.
    [[nodiscard]] constexpr std::optional<std::string_view> next() noexcept {
        while (!rest_.empty()) {
            const std::size_t size = detail::smaller_of(rest_.find(','), rest_.size());
            const std::string_view element = detail::trim_ows(rest_.substr(0, size));
            rest_.remove_prefix(detail::smaller_of(size + 1, rest_.size()));
            if (!element.empty()) return element;
        }
        return std::nullopt;
    }

private:
    std::string_view rest_;
};

/// Which of the two heads is read. RFC 9112 2.1.
enum class http_kind : std::uint8_t { request, response };

/// Whether a request may announce a body. RFC 9112 6. `unread`: it may, and the body is not read,
/// which is safe only where the connection ends with the answer.
enum class request_body : std::uint8_t { refused, unread };

/// How much of a head, and of a refusal's body, is taken from a peer. All limits are inclusive;
/// of a head's, values over 2^31 - 1 read as 2^31 - 1.
struct http_limits {
    /// Bytes in one line, its CRLF not counted. Past it the parser fails with
    /// `errc::http_target_too_long` (in a request line, behind its method) or
    /// `errc::http_line_too_long`. Raise it where cookies or bearer tokens are longer.
    std::size_t line = 8192;

    /// Field lines in the head. Past it the parser fails with `errc::http_too_many_fields`.
    /// Raise it behind proxies that add many fields.
    std::size_t fields = 128;

    /// Bytes in the whole head, line ends and the empty line counted. Past it the parser fails
    /// with `errc::http_head_too_large`. It bounds the memory that a head takes; raise it
    /// together with `line`, lower it where many connections open at once.
    std::size_t total = 65536;

    /// Bytes of body that a client keeps of a response that is no upgrade. It is waited for until
    /// it is complete or longer, at most as long as the opening timeout; with 0 not at all. Raise
    /// it where servers explain themselves at length.
    std::size_t body = 4096;
};

/// What `receive` of a parser or a handshake did.
struct http_progress {
    std::size_t consumed = 0;  ///< Bytes taken from the front of the input.
    errc ec{};                 ///< `errc::ok`: complete; `errc::need_more`; or what is wrong.
};

/// The head of an HTTP/1.1 message. RFC 9112 2.1.
///
/// Views that it returns live until it is changed, moved or destroyed. A head that was moved
/// from is empty. Holds one string and one vector.
class http_head {
public:
    /// The request's method, such as "GET"; empty in a response. 9.
    [[nodiscard]] std::string_view method() const noexcept { return kept(0, method_size_); }

    /// The request's target as it was sent, such as "/chat?room=1"; empty in a response.
    /// RFC 9112 3.2.
    [[nodiscard]] std::string_view target() const noexcept {
        return kept(method_size_, target_size_);
    }

    /// The response's status, 100 to 999; 0 in a request. 15.
    [[nodiscard]] std::uint16_t status() const noexcept { return status_; }

    /// The response's reason phrase; empty in a request. RFC 9112 4.
    [[nodiscard]] std::string_view reason() const noexcept { return kept(0, reason_size_); }

    /// The y of HTTP/1.y, 0 to 9. Other major versions are refused. RFC 9112 2.3.
    [[nodiscard]] std::uint8_t version_minor() const noexcept { return version_minor_; }

    /// Number of field lines.
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }

    /// Field line number `i`, counted from 0 in the order of the head; empty past the last.
    [[nodiscard]] http_field operator[](std::size_t i) const noexcept;

    /// Walks over the field lines: `for (const http_field field : head)`.
    class iterator;
    /// @{
    /// The first field line, and behind the last. Valid while the head is neither changed nor moved.
    [[nodiscard]] iterator begin() const noexcept;
    [[nodiscard]] iterator end() const noexcept;
    /// @}

    /// The value of the first field called `name`, or nothing. 5.1.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

    /// How many field lines are called `name`. 5.3.
    [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

    /// Whether `predicate` is true of an element of the comma list that the fields called `name`
    /// make up together. Stops at the first. 5.3, 5.6.1.
    template <class Predicate>
    [[nodiscard]] bool any_element(std::string_view name, Predicate predicate) const;

    /// Whether `token`, in any case, is an element of the list `name`. 5.6.1.
    [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;

    /// Gives back memory that is allocated and not used.
    void shrink_to_fit() {
        text_.shrink_to_fit();
        fields_.shrink_to_fit();
    }

    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return text_.capacity() + fields_.capacity() * sizeof(entry);
    }

private:
    friend class http_head_parser;

    struct entry {  // offsets into `text_`
        std::uint32_t name = 0;
        std::uint32_t name_size = 0;
        std::uint32_t value = 0;
        std::uint32_t value_size = 0;
    };

    // Empty where the text is no longer there, as after a move.
    [[nodiscard]] std::string_view kept(std::size_t begin, std::size_t size) const noexcept {
        if (text_.size() < begin + size) return {};
        return std::string_view{text_}.substr(begin, size);
    }

    std::string text_;  // method and target or reason, then name and value of each field
    std::vector<entry> fields_;
    std::uint32_t method_size_ = 0;
    std::uint32_t target_size_ = 0;
    std::uint32_t reason_size_ = 0;
    std::uint16_t status_ = 0;
    std::uint8_t version_minor_ = 0;
};

/// See `http_head::begin`.
class http_head::iterator {
public:
    /// @{
    /// What a loop needs.
    iterator(const http_head& head, std::size_t index) noexcept : head_(&head), index_(index) {}
    [[nodiscard]] http_field operator*() const noexcept { return (*head_)[index_]; }
    iterator& operator++() noexcept {
        ++index_;
        return *this;
    }
    /// @}
    [[nodiscard]] bool operator==(const iterator&) const noexcept = default;

private:
    const http_head* head_;
    std::size_t index_;
};

/// The status with which a server answers a request that failed with `ec`.
///
/// @return 400 Bad Request, unless one says more: 405 for `method_not_get`, 414 for
///         `http_target_too_long`, 431 for the other limits of a head (RFC 6585 5), 505 for
///         `http_version`, 403 for `origin_refused` (RFC 6455 4.2.2), 408 for `opening_timeout`,
///         503 for `aborted` and `closed_locally`, and 426 Upgrade Required where another
///         protocol version would do: `websocket_version_unsupported` (RFC 6455 4.4) and
///         `http_version_too_old` (15.5.22; 505 is for major versions).
[[nodiscard]] constexpr std::uint16_t status_for(errc ec) noexcept {
    struct row {
        errc ec;
        std::uint16_t status;
    };
    constexpr row table[] = {
        {errc::method_not_get, 405},
        {errc::http_target_too_long, 414},
        {errc::http_line_too_long, 431},
        {errc::http_too_many_fields, 431},
        {errc::http_head_too_large, 431},
        {errc::http_version, 505},
        {errc::http_version_too_old, 426},
        {errc::websocket_version_unsupported, 426},
        {errc::origin_refused, 403},
        {errc::opening_timeout, 408},
        {errc::aborted, 503},
        {errc::closed_locally, 503},
    };
    for (const row& r : table)
        if (r.ec == ec) return r.status;
    return 400;
}

inline http_field http_head::operator[](std::size_t i) const noexcept {
    if (i >= fields_.size()) return {};
    const entry& e = fields_[i];
    return {kept(e.name, e.name_size), kept(e.value, e.value_size)};
}

inline http_head::iterator http_head::begin() const noexcept { return {*this, 0}; }
inline http_head::iterator http_head::end() const noexcept { return {*this, size()}; }

inline std::optional<std::string_view> http_head::find(std::string_view name) const noexcept {
    for (const http_field field : *this)
        if (detail::iequals(field.name, name)) return field.value;
    return std::nullopt;
}

inline std::size_t http_head::count(std::string_view name) const noexcept {
    std::size_t n = 0;
    for (const http_field field : *this) n += detail::iequals(field.name, name) ? 1U : 0U;
    return n;
}

template <class Predicate>
bool http_head::any_element(std::string_view name, Predicate predicate) const {
    for (const http_field field : *this) {
        if (!detail::iequals(field.name, name)) continue;
        http_list list{field.value};
        while (const auto element = list.next())
            if (predicate(*element)) return true;
    }
    return false;
}

inline bool http_head::has_token(std::string_view name, std::string_view token) const noexcept {
    return any_element(name, [token](std::string_view e) { return detail::iequals(e, token); });
}

}  // namespace sansocket
