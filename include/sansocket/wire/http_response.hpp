// http_response.hpp
//
// What a server writes where it does not open a WebSocket: status line, fields,
// body, and what RFC 9110 says about which of them may stand together.
//
//   append_response   an answer of the application's
//   error_response    the answer to a request that breaks a rule
//
// Every answer ends the connection ("Connection: close"), so that nothing has to
// be known of a body that the client may still send.
//
// Knows nothing of: which request is answered how. Section numbers in this file
// refer to RFC 9110 unless another is named.
#pragma once

#include <sansocket/detail/append.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_head.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sansocket {

/// An answer to a request, as an application makes it. 15.
struct http_response {
    std::uint16_t status = 200;              ///< 200 to 599.
    std::vector<http_field_value> fields{};  ///< `is_reserved_field` has to be false of each.
    std::string body{};                      ///< As it is; may be empty.
};

/// Whether an answer's body is written. `left_out`: to HEAD, which is told its length only. 9.3.2.
enum class http_content : std::uint8_t { written, left_out };

namespace detail {

// 15, RFC 6585. Empty where there is none: the phrase is for people only.
constexpr std::string_view reason_phrase(std::uint16_t status) noexcept {
    struct row {
        std::uint16_t status;
        const char*
            phrase;  // the characters of a view are counted in every source that includes it
    };
    constexpr row table[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (const row& r : table)
        if (r.status == status) return r.phrase;
    return {};
}

inline void append_status_line(std::string& out, std::uint16_t status) {
    append(out, {"HTTP/1.1 ", std::to_string(status), " ", reason_phrase(status), "\r\n"});
}

// Appends fields that an application chose. False where one may not be written.
inline bool append_fields(std::string& out, std::span<const http_field_value> fields) {
    for (const auto& [name, value] : fields)
        if (is_reserved_field(name) || !append_field(out, name, value)) return false;
    return true;
}

// Appends what every answer without an upgrade begins with: status line and connection fields.
inline void begin_response(std::string& out, std::uint16_t status) {
    append_status_line(out, status);
    // 15.5.22: "The server MUST send an Upgrade header field in a 426 response"
    if (status == 426) append(out, {"Connection: close, Upgrade\r\nUpgrade: websocket\r\n"});
    else append(out, {"Connection: close\r\n"});
}

// Appends the rest: the body's length, and the body.
inline void finish_response(std::string& out, std::string_view body, http_content content) {
    append(out, {"Content-Length: ", std::to_string(body.size()), "\r\n\r\n"});
    if (content == http_content::written) out.append(body);
}

// 15.3.5, 15.3.6, 15.4.5: no answer with this status has content.
constexpr bool has_no_content(std::uint16_t status) noexcept {
    return status == 204 || status == 205 || status == 304;
}

}  // namespace detail

/// Appends a complete answer to `out`: status line, "Connection: close", `fields`, Content-Length
/// and `body`. Where there is a body and `fields` has no Content-Type, "text/plain; charset=utf-8";
/// for 426 an Upgrade field.
///
/// 204, 205 and 304 have no body (15.3.5, 15.3.6, 15.4.5); 204 and 304 no Content-Length either, since
/// one may not stand in the first, and in the other it would tell the length of what is not sent
/// (8.6).
///
/// @param status  200 to 599.
/// @param fields  `is_reserved_field` has to be false of each.
/// @return errc::invalid_response where the status is out of range, a field cannot be written or is
///         reserved, or there is a body and may be none; `out` is unchanged then.
[[nodiscard]] inline errc append_response(std::string& out, std::uint16_t status,
                                          std::span<const http_field_value> fields,
                                          std::string_view body, http_content content) {
    if (status < 200 || status > 599) return errc::invalid_response;
    if (detail::has_no_content(status) && !body.empty()) return errc::invalid_response;

    const std::size_t before = out.size();
    detail::begin_response(out, status);
    if (!detail::append_fields(out, fields)) {
        out.resize(before);
        return errc::invalid_response;
    }
    bool typed = false;
    for (const auto& [name, value] : fields) typed = typed || detail::iequals(name, "Content-Type");
    if (!body.empty() && !typed)
        detail::append(out, {"Content-Type: text/plain; charset=utf-8\r\n"});
    if (status == 204 || status == 304) detail::append(out, {"\r\n"});
    else detail::finish_response(out, body, content);
    return errc::ok;
}

/// The complete answer to a request that failed with `ec`: `status_for(ec)`, "Connection: close"
/// and a sentence as text/plain. 15.
///
/// 405 names the method allowed (15.5.6), 426 the protocol to upgrade to (15.5.22) and, for
/// `errc::websocket_version_unsupported`, the version to use (RFC 6455 4.4).
[[nodiscard]] inline std::string error_response(errc ec,
                                                http_content content = http_content::written) {
    std::string out;
    const std::uint16_t status = status_for(ec);
    detail::begin_response(out, status);
    if (status == 405) detail::append(out, {"Allow: GET\r\n"});
    if (ec == errc::websocket_version_unsupported)
        detail::append(out, {"Sec-WebSocket-Version: 13\r\n"});
    detail::append(out, {"Content-Type: text/plain; charset=utf-8\r\n"});
    std::string body;
    detail::append(body, {describe(ec), "\n"});
    detail::finish_response(out, body, content);
    return out;
}

}  // namespace sansocket
