// http_head_parser.hpp
//
// Reads the head of an HTTP/1.1 message: bytes in, `http_head` out. RFC 9112 2 to 5.
//
// Strict: two programs that read the same bytes differently can be played
// against each other (request smuggling), so what RFC 9112 lets a recipient
// repair is refused instead. Each error is found at the byte that makes it one.
//
// Knows nothing of: WebSocket's rules about a head (see the two handshakes), bodies.
// Section numbers in this file refer to RFC 9112 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_head.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sansocket {

/// Reads one head. 2.2.
///
/// Feed it what the transport brings; it takes no byte behind the head. Up to 8 empty lines
/// before a request line are passed over (2.2). Refused with an error of its own:
///         errc::http_line_end            a LF without CR, or a CR without LF (2.2);
///         errc::http_nul                 a NUL, anywhere;
///         errc::http_request_line        anything but method SP target SP version (3);
///         errc::http_status_line         anything but version SP status [SP reason] (4);
///         errc::http_version             a major version that is not 1 (2.3);
///         errc::http_field_name          a name that is empty or no token (5.1);
///         errc::http_space_before_colon  white space behind a name (5.1);
///         errc::http_field_value         a control character in a value (RFC 9110 5.5);
///         errc::http_folding             a line that begins with white space (5.2);
///         errc::http_duplicate_field     in a request a second Host, Origin, Content-Length,
///                                        Sec-WebSocket-Key or -Version; in a response a second
///                                        Content-Length or Sec-WebSocket-Accept (RFC 9110 5.3);
///         errc::http_body_framing        a Content-Length that is no number; in a request also
///                                        one above 0, and any Transfer-Encoding, unless
///                                        `request_body::unread` (6);
/// and what `http_limits` lists. After an error nothing more is taken and the error stays.
/// Linear in the head, however it is cut. Allocates nothing before the first byte of a head.
class http_head_parser {
public:
    /// Waits for a head of this kind.
    explicit http_head_parser(http_kind kind, const http_limits& limits = {},
                              request_body body = request_body::refused) noexcept;

    /// Takes bytes up to the end of the head, or to the first byte that is wrong.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// `errc::ok` once the head is complete, `errc::need_more` before, or what was wrong.
    [[nodiscard]] errc error() const noexcept;

    /// The head; in part before it is complete.
    [[nodiscard]] const http_head& head() const noexcept { return head_; }

    /// Moves the head out.
    [[nodiscard]] http_head release() noexcept { return std::exchange(head_, http_head{}); }

private:
    enum class state : std::uint8_t {
        start,
        start_line_feed,  // 2.2: empty lines
        method,
        target,
        request_version,
        request_end,  // 3
        status_version,
        version_end,
        status,
        status_end,
        reason,  // 4
        line_feed,
        field_start,
        field_name,
        value_start,
        value,  // 5
        last_line_feed,
        complete,
        failed,
    };

    void move(state to) noexcept { state_ = to; }
    errc step(std::string_view& in);
    errc read_start(std::string_view& in) noexcept;
    errc read_method(std::string_view& in);
    errc read_target(std::string_view& in);
    errc read_version(std::string_view& in, state next) noexcept;
    errc read_status(std::string_view& in) noexcept;
    errc read_status_end(std::string_view& in) noexcept;
    errc read_reason(std::string_view& in);
    errc read_field_start(std::string_view& in);
    errc read_field_name(std::string_view& in);
    errc read_value_start(std::string_view& in) noexcept;
    errc read_value(std::string_view& in);
    errc finish_field() noexcept;
    errc check_single(std::string_view name) noexcept;

    errc take(char wanted, std::string_view& in, state next) noexcept;
    errc take_run(detail::char_class wanted, std::string_view& in);
    errc take_line_feed(std::string_view& in, state next) noexcept;
    [[nodiscard]] errc misfit(char c) const noexcept;
    [[nodiscard]] errc too_long() const noexcept;
    [[nodiscard]] bool refuses_body() const noexcept {
        return kind_ == http_kind::request && body_ == request_body::refused;
    }
    [[nodiscard]] std::uint32_t end() const noexcept {
        return static_cast<std::uint32_t>(head_.text_.size());
    }

    http_limits limits_;
    http_kind kind_;
    request_body body_;
    state state_;
    // Decide no transition but by the limits and the fixed sizes of version and status.
    errc cause_ = errc::need_more;
    std::uint8_t position_ = 0;  // in the version or the status
    std::uint8_t empty_lines_ = 0;
    std::uint8_t singles_ = 0;  // a bit for each field that may stand once and has
    std::size_t line_ = 0;      // bytes of this line
    std::size_t total_ = 0;     // bytes of the head
    http_head head_;
};

inline http_head_parser::http_head_parser(http_kind kind, const http_limits& limits,
                                          request_body body) noexcept
    : kind_(kind),
      body_(body),
      state_(kind == http_kind::request ? state::start : state::status_version) {
    constexpr std::size_t most = 0x7fffffff;  // offsets into a head are 32 bits
    limits_ = {detail::smaller_of(limits.line, most), detail::smaller_of(limits.fields, most),
               detail::smaller_of(limits.total, most)};
}

inline errc http_head_parser::error() const noexcept {
    return state_ == state::complete ? errc::ok : cause_;
}

inline http_progress http_head_parser::receive(std::span<const std::byte> in) {
    if (state_ == state::complete || state_ == state::failed) return {0, error()};
    // Bytes are read as characters: char may alias anything.
    const std::string_view all{reinterpret_cast<const char*>(in.data()), in.size()};
    std::string_view rest = all.substr(0, detail::smaller_of(all.size(), limits_.total - total_));
    errc ec{};
    while (ec == errc{} && !rest.empty() && state_ != state::complete) ec = step(rest);

    const std::size_t consumed =
        detail::smaller_of(all.size(), limits_.total - total_) - rest.size();
    total_ += consumed;
    if (ec == errc{} && state_ != state::complete && consumed != all.size())
        ec = errc::http_head_too_large;
    if (ec != errc{}) {
        cause_ = ec;
        move(state::failed);
    }
    return {consumed, error()};
}

// Takes at least one byte, moves on, or fails.
inline errc http_head_parser::step(std::string_view& in) {
    switch (state_) {
    case state::start: return read_start(in);
    case state::start_line_feed: return take_line_feed(in, state::start);
    case state::method: return read_method(in);
    case state::target: return read_target(in);
    case state::request_version: return read_version(in, state::request_end);
    case state::request_end: return take('\r', in, state::line_feed);
    case state::status_version: return read_version(in, state::version_end);
    case state::version_end: return take(' ', in, state::status);
    case state::status: return read_status(in);
    case state::status_end: return read_status_end(in);
    case state::reason: return read_reason(in);
    case state::line_feed: return take_line_feed(in, state::field_start);
    case state::field_start: return read_field_start(in);
    case state::field_name: return read_field_name(in);
    case state::value_start: return read_value_start(in);
    case state::value: return read_value(in);
    case state::last_line_feed: return take_line_feed(in, state::complete);
    case state::complete:
    case state::failed: break;
    }
    return cause_;
}

inline errc http_head_parser::read_start(std::string_view& in) noexcept {
    constexpr std::uint8_t most_empty_lines = 8;
    if (in[0] != '\r' || empty_lines_ == most_empty_lines) {
        move(state::method);
        return errc{};
    }
    ++empty_lines_;
    return take('\r', in, state::start_line_feed);
}

inline errc http_head_parser::read_method(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::token, in); ec != errc{}) return ec;
    head_.method_size_ = end();
    if (in.empty()) return errc{};
    if (head_.method_size_ == 0) return misfit(in[0]);
    return take(' ', in, state::target);
}

inline errc http_head_parser::read_target(std::string_view& in) {
    if (head_.target_size_ == 0 && in[0] != '/' && in[0] != '*' &&
        !detail::is(detail::char_class::token, in[0]))
        return misfit(in[0]);
    if (const errc ec = take_run(detail::char_class::target, in); ec != errc{}) return ec;
    head_.target_size_ = end() - head_.method_size_;
    return in.empty() ? errc{} : take(' ', in, state::request_version);
}

// "HTTP/" DIGIT "." DIGIT, in upper case. 2.3.
inline errc http_head_parser::read_version(std::string_view& in, state next) noexcept {
    constexpr std::string_view form = "HTTP/1.";
    const char c = in[0];
    const bool digit = detail::is(detail::char_class::digit, c);
    if (position_ == form.find('1') && digit && c != '1') return errc::http_version;
    const bool last = position_ == form.size();
    if (last && digit) head_.version_minor_ = static_cast<std::uint8_t>(c - '0');
    if (last ? !digit : c != form[position_]) return misfit(c);
    position_ = last ? std::uint8_t{0} : static_cast<std::uint8_t>(position_ + 1);
    return take(c, in, last ? next : state_);
}

// Three digits. 4.
inline errc http_head_parser::read_status(std::string_view& in) noexcept {
    const char c = in[0];
    if (!detail::is(detail::char_class::digit, c) || (position_ == 0 && c == '0')) return misfit(c);
    head_.status_ = static_cast<std::uint16_t>(head_.status_ * 10 + (c - '0'));
    return take(c, in, ++position_ == 3 ? state::status_end : state_);
}

// 4 asks servers for the space before an empty reason; those that leave it out are understood.
inline errc http_head_parser::read_status_end(std::string_view& in) noexcept {
    return in[0] == '\r' ? take('\r', in, state::line_feed) : take(' ', in, state::reason);
}

inline errc http_head_parser::read_reason(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::field_value, in); ec != errc{}) return ec;
    head_.reason_size_ = end();
    return in.empty() ? errc{} : take('\r', in, state::line_feed);
}

inline errc http_head_parser::read_field_start(std::string_view& in) {
    if (in[0] == '\r') return take('\r', in, state::last_line_feed);
    // 5.2: "A sender MUST NOT generate a message that includes line folding"
    if (detail::is_ows(in[0])) return errc::http_folding;
    if (!detail::is(detail::char_class::token, in[0])) return misfit(in[0]);
    if (head_.fields_.size() == limits_.fields) return errc::http_too_many_fields;
    head_.fields_.push_back({.name = end()});
    move(state::field_name);
    return errc{};
}

inline errc http_head_parser::read_field_name(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::token, in); ec != errc{}) return ec;
    if (in.empty()) return errc{};
    // 5.1: "No whitespace is allowed between the field name and colon."
    if (detail::is_ows(in[0])) return errc::http_space_before_colon;
    auto& field = head_.fields_.back();
    field.name_size = end() - field.name;
    field.value = end();
    return take(':', in, state::value_start);
}

inline errc http_head_parser::read_value_start(std::string_view& in) noexcept {
    if (detail::is_ows(in[0])) return take(in[0], in, state_);
    move(state::value);
    return errc{};
}

inline errc http_head_parser::read_value(std::string_view& in) {
    if (const errc ec = take_run(detail::char_class::field_value, in); ec != errc{}) return ec;
    if (in.empty()) return errc{};
    if (in[0] != '\r') return misfit(in[0]);
    if (const errc ec = finish_field(); ec != errc{}) return ec;
    return take('\r', in, state::line_feed);
}

inline errc http_head_parser::finish_field() noexcept {
    auto& field = head_.fields_.back();
    std::string& text = head_.text_;
    while (text.size() > field.value && detail::is_ows(text.back())) text.pop_back();
    field.value_size = end() - field.value;

    const auto [name, value] = head_[head_.size() - 1];
    if (const errc ec = check_single(name); ec != errc{}) return ec;
    if (detail::iequals(name, "Content-Length")) {
        const bool number = !value.empty() && detail::all_are(detail::char_class::digit, value);
        const bool zero = value.find_first_not_of('0') == std::string_view::npos;
        if (!number || (!zero && refuses_body())) return errc::http_body_framing;
    }
    if (refuses_body() && detail::iequals(name, "Transfer-Encoding"))
        return errc::http_body_framing;
    return errc{};
}

// RFC 9110 5.3: a field that is no list may not stand twice. Equal Content-Lengths might be taken
// for one (RFC 9110 8.6); they are refused too.
inline errc http_head_parser::check_single(std::string_view name) noexcept {
    using names = std::array<std::string_view, 5>;
    constexpr names request = {"Host", "Origin", "Content-Length", "Sec-WebSocket-Key",
                               "Sec-WebSocket-Version"};
    constexpr names response = {"Content-Length", "Sec-WebSocket-Accept"};
    const names& single = kind_ == http_kind::request ? request : response;
    for (std::size_t i = 0; i != single.size(); ++i) {
        if (!detail::iequals(name, single[i])) continue;
        const auto bit = static_cast<std::uint8_t>(1U << i);
        if ((singles_ & bit) != 0) return errc::http_duplicate_field;
        singles_ = static_cast<std::uint8_t>(singles_ | bit);
    }
    return errc{};
}

// Takes the one character that may stand here.
inline errc http_head_parser::take(char wanted, std::string_view& in, state next) noexcept {
    if (in[0] != wanted) return misfit(in[0]);
    if (wanted != '\r' && line_++ == limits_.line) return too_long();
    in.remove_prefix(1);
    move(next);
    return errc{};
}

// Takes what belongs to the class; it becomes part of the head's text.
inline errc http_head_parser::take_run(detail::char_class wanted, std::string_view& in) {
    const std::size_t most = detail::smaller_of(in.size(), limits_.line - line_);
    std::size_t n = 0;
    while (n != most && detail::is(wanted, in[n])) ++n;
    head_.text_.append(in.substr(0, n));
    line_ += n;
    in.remove_prefix(n);
    const bool full = line_ == limits_.line && !in.empty() && detail::is(wanted, in[0]);
    return full ? too_long() : errc{};
}

inline errc http_head_parser::take_line_feed(std::string_view& in, state next) noexcept {
    if (in[0] != '\n') return errc::http_line_end;
    in.remove_prefix(1);
    line_ = 0;
    move(next);
    return errc{};
}

// What the error is called when `c` does not belong where it stands.
inline errc http_head_parser::misfit(char c) const noexcept {
    if (c == '\0') return errc::http_nul;
    if (c == '\n') return errc::http_line_end;
    if (state_ == state::field_start || state_ == state::field_name) return errc::http_field_name;
    if (state_ == state::value) return errc::http_field_value;
    return kind_ == http_kind::request ? errc::http_request_line : errc::http_status_line;
}

// What the error is called when a line passes its limit.
inline errc http_head_parser::too_long() const noexcept {
    const bool target = state_ == state::target || state_ == state::request_version;
    return target ? errc::http_target_too_long : errc::http_line_too_long;
}

}  // namespace sansocket
