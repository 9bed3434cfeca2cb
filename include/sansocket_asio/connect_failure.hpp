// connect_failure.hpp
//
// Why a client has no connection: how far it came, what went wrong there, and
// what the server said, if it answered.
#pragma once

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace sansocket_asio {

/// A step of a client's way to an open connection, in their order.
enum class connect_stage : std::uint8_t {
    url,      ///< The URL is parsed. RFC 6455 3.
    request,  ///< The request is composed. RFC 6455 4.1.
    resolve,  ///< The host is looked up.
    connect,  ///< Its addresses are tried.
    tls,      ///< TLS is agreed on.
    upgrade,  ///< The request is sent, the response awaited and checked. RFC 6455 4.1.
};

/// The step's name, in lower case.
[[nodiscard]] constexpr std::string_view to_string(connect_stage stage) noexcept {
    switch (stage) {
    case connect_stage::url: return "url";
    case connect_stage::request: return "request";
    case connect_stage::resolve: return "resolve";
    case connect_stage::connect: return "connect";
    case connect_stage::tls: return "tls";
    case connect_stage::upgrade: return "upgrade";
    }
    return {};
}

/// How a client's attempt to connect failed.
///
/// A server that answers something else than 101 fails it with errc::upgrade_refused, whatever the
/// status: redirects (3xx, field Location) and demands for credentials (401, WWW-Authenticate) are
/// the application's to follow.
struct connect_failure {
    /// The step that failed, or that a timeout or a cancellation fell upon.
    connect_stage stage = connect_stage::url;
    std::error_code ec{};  ///< What the operation completed with; success if none has failed.
    std::string where{};   ///< The host looked up, or the address tried last; empty where none was.
    /// What more the stream knows of `ec`: what was wrong with the server's certificate, such as
    /// "certificate has expired". Empty where it knows no more.
    std::string why{};
    /// The head of the server's final response; of status 0 where there is none.
    sansocket::http_head response{};
    /// The body of a response that is no upgrade, up to `http_limits::body`: any bytes.
    std::string body{};
    bool body_cut = false;  ///< Whether more of the body followed, or may have.

    /// One line for people: "connect: Connection refused (127.0.0.1:1)", "tls: certificate verify
    /// failed (SSL routines): certificate has expired (example.com)", or "upgrade: the server
    /// answered 403 Forbidden: " and the first line of the body, if that is text. Control characters
    /// and what is not UTF-8 are replaced, and the URL is not in it, for it may hold a secret.
    [[nodiscard]] std::string describe() const;
};

/// The same as its `describe()`.
[[nodiscard]] inline std::string to_string(const connect_failure& failure) {
    return failure.describe();
}

namespace detail {

// What a peer wrote, fit for a terminal or a log: at most 200 bytes of its first line that is not
// empty.
inline std::string printable_line(std::string_view text) {
    constexpr std::size_t most = 200;
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return {};
    text = text.substr(begin, text.find_first_of("\r\n", begin) - begin);
    if (text.size() > most) {
        std::size_t end = most;
        while (end != most - 4 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
        text = text.substr(0, end);
    }
    const bool utf8 = sansocket::is_valid_utf8(text);
    std::string out;
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        // U+0080 to U+009F are control characters too.
        const bool c1 = utf8 && c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        const bool control = c < 0x20 || c == 0x7f || c1 || (!utf8 && c >= 0x80);
        out += control ? '?' : text[i];
        if (c1) ++i;
    }
    return out;
}

}  // namespace detail

inline std::string connect_failure::describe() const {
    if (!ec) return "connected";
    std::string out{to_string(stage)};
    if (ec != sansocket::errc::upgrade_refused) {
        out += ": " + ec.message();
        if (!why.empty()) out += ": " + why;
        if (!where.empty()) out += " (" + where + ")";
        return out;
    }
    out += ": the server answered " + std::to_string(response.status());
    if (const auto reason = detail::printable_line(response.reason()); !reason.empty())
        out += " " + reason;
    if (const auto to = response.find("Location"))
        out += " (Location: " + detail::printable_line(*to) + ")";
    const std::string said = detail::printable_line(body);
    if (!said.empty() && said.front() != '<') out += ": " + said;  // a page is not for a log
    return out;
}

}  // namespace sansocket_asio
