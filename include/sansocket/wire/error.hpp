// error.hpp
//
// Everything that can go wrong, and every way a connection ends: one name for
// each rule, in one table with whose fault it is, the close code it calls for,
// and a sentence.
//
// `errc` is an std::error_code enumeration; success is `errc{}`.
//
// Knows nothing of: state. Section numbers in this file refer to RFC 6455
// unless another RFC is named.
#pragma once

#include <sansocket/wire/close_code.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace sansocket {

/// Errors of the library and causes of a connection's end. `errc{}` is success.
enum class errc : std::uint8_t {
    // success
    ok = 0,

    // caller: asked for something this state or this value forbids; nothing changed
    not_open,  // 4.1
    closing,   // 5.5.1
    closed,    // 7.1.4
    backpressure,
    message_in_progress,     // 5.4
    no_message_in_progress,  // 5.4
    control_too_long,        // 5.5
    invalid_close_code,      // 7.4
    close_reason_too_long,   // 5.5
    text_not_utf8,           // 5.6
    operation_in_progress,
    not_deciding,             // 4.2.2
    invalid_request,          // 4.1
    invalid_response,         // 4.2.2
    subprotocol_not_offered,  // 4.2.2

    // url: caller gave a URL that cannot be used
    url_scheme,     // 3
    url_host,       // 3
    url_port,       // 3
    url_path,       // 3
    url_fragment,   // 3
    url_userinfo,   // 3
    url_needs_tls,  // 3

    // server's options
    network_invalid,  // RFC 4632 3.1

    // incomplete input: the one recoverable code
    need_more,

    // frames: peer broke section 5
    reserved_bit,             // 5.2
    reserved_opcode,          // 5.2
    length_not_minimal,       // 5.2
    length_too_large,         // 5.2
    control_fragmented,       // 5.5
    control_length,           // 5.5
    frame_not_masked,         // 5.1
    frame_masked,             // 5.1
    unexpected_continuation,  // 5.4
    expected_continuation,    // 5.4
    invalid_utf8,             // 8.1
    close_payload_length,     // 5.5.1
    close_code_reserved,      // 7.4
    close_reason_not_utf8,    // 5.5.1
    compressed_bit,           // RFC 7692 6.1
    deflate_corrupt,          // RFC 7692 7.2.2
    deflate_truncated,        // RFC 7692 7.2.2

    // limits: within the RFC, past an option
    message_too_big,     // 10.4
    too_many_fragments,  // 10.4
    message_too_slow,    // 10.4
    queue_full,          // 10.4
    deflate_work,        // 10.4
    deflate_memory,      // 10.4

    // http heads: RFC 9112 and RFC 9110
    http_line_end,            // RFC 9112 2.2
    http_nul,                 // RFC 9110 5.5
    http_request_line,        // RFC 9112 3
    http_status_line,         // RFC 9112 4
    http_version,             // RFC 9112 2.3
    http_field_name,          // RFC 9110 5.1
    http_space_before_colon,  // RFC 9112 5.1
    http_field_value,         // RFC 9110 5.5
    http_folding,             // RFC 9112 5.2
    http_duplicate_field,     // RFC 9110 5.3
    http_body_framing,        // RFC 9112 6
    http_line_too_long,       // RFC 9110 5.4
    http_target_too_long,     // RFC 9110 4.1
    http_too_many_fields,     // RFC 9110 5.4
    http_head_too_large,      // RFC 9110 5.4

    // proxies in front of a server
    forwarded_invalid,      // RFC 7239 4
    proxy_header_missing,   // PROXY protocol 2
    proxy_header_invalid,   // PROXY protocol 2.1, 2.2
    proxy_header_too_long,  // PROXY protocol 2.2

    // opening handshake, server's checks
    method_not_get,                 // 4.2.1
    http_version_too_old,           // 4.2.1
    host_missing,                   // 4.2.1
    not_an_upgrade,                 // 4.2.1
    connection_not_upgrade,         // 4.2.1
    websocket_key_invalid,          // 4.2.1
    websocket_version_unsupported,  // 4.4
    subprotocol_invalid,            // 4.1
    extensions_invalid,             // 9.1
    origin_refused,                 // 10.2
    subprotocol_required,           // 4.2.2
    refused_by_application,         // 4.2.2

    // opening handshake, client's checks
    upgrade_refused,       // 4.1
    response_upgrade,      // 4.1
    response_connection,   // 4.1
    response_accept,       // 4.1
    response_extension,    // 4.1
    deflate_parameter,     // RFC 7692 7.1
    response_deflate,      // RFC 7692 7.1
    response_subprotocol,  // 4.1

    // how a connection ends
    closed_by_peer,  // 7.1.3
    closed_locally,  // 7.1.2
    aborted,         // 7.1.7
    cancelled,
    dropped,
    http_answered,   // 4.2.1
    end_of_stream,   // 7.1.4
    transport_lost,  // 7.1.4
    tls_truncated,   // 7.1.4
    tls_handshake_failed,
    opening_timeout,  // 4.1
    close_timeout,    // 7.1.1
    pong_timeout,     // 5.5.2
    idle_timeout,
    write_timeout,
};

/// Whose doing an `errc` is.
enum class error_kind : std::uint8_t {
    none,       ///< Success, or `need_more`.
    caller,     ///< The call is not possible now or with these values. Nothing has changed.
    peer,       ///< The peer broke the RFC.
    limit,      ///< The peer kept to the RFC and passed an option's limit.
    transport,  ///< The bytes stopped.
    timeout,    ///< A deadline passed.
    ending,     ///< An ending that somebody asked for.
};

namespace detail {

struct error_row {
    errc ec;
    error_kind kind;
    close_code code;  // what fails the connection with; `normal` where no Close frame is called for
    const char* message;
};

// clang-format off
inline constexpr error_row error_table[] = {
    // success
    {errc::ok, error_kind::none, close_code::normal, "success"},
    // caller: asked for something this state or this value forbids; nothing changed
    {errc::not_open, error_kind::caller, close_code::normal, "the connection is not open yet"},
    {errc::closing, error_kind::caller, close_code::normal, "the closing handshake has started; no more data may be sent"},
    {errc::closed, error_kind::caller, close_code::normal, "the connection is closed"},
    {errc::backpressure, error_kind::caller, close_code::normal, "the send queue is at its limit; the message was not taken"},
    {errc::message_in_progress, error_kind::caller, close_code::normal, "a fragmented message is being sent; finish it first"},
    {errc::no_message_in_progress, error_kind::caller, close_code::normal, "no fragmented message was started"},
    {errc::control_too_long, error_kind::caller, close_code::normal, "the payload of a control frame is over 125 bytes"},
    {errc::invalid_close_code, error_kind::caller, close_code::normal, "this status code may not be sent in a Close frame"},
    {errc::close_reason_too_long, error_kind::caller, close_code::normal, "the reason of a Close frame is over 123 bytes"},
    {errc::text_not_utf8, error_kind::caller, close_code::normal, "the text to send is not valid UTF-8"},
    {errc::operation_in_progress, error_kind::caller, close_code::normal, "an operation of this kind is already pending"},
    {errc::not_deciding, error_kind::caller, close_code::normal, "there is no opening handshake to answer"},
    {errc::invalid_request, error_kind::caller, close_code::normal, "the opening handshake asked for cannot be written as HTTP"},
    {errc::invalid_response, error_kind::caller, close_code::normal, "the answer to the opening handshake cannot be written as HTTP"},
    {errc::subprotocol_not_offered, error_kind::caller, close_code::normal, "the chosen subprotocol was not offered by the client"},
    // url: caller gave a URL that cannot be used
    {errc::url_scheme, error_kind::caller, close_code::normal, "the URL's scheme is neither ws nor wss"},
    {errc::url_host, error_kind::caller, close_code::normal, "the URL's host is missing or not valid"},
    {errc::url_port, error_kind::caller, close_code::normal, "the URL's port is not a number from 1 to 65535"},
    {errc::url_path, error_kind::caller, close_code::normal, "the URL's path or query holds a character that must be percent-encoded"},
    {errc::url_fragment, error_kind::caller, close_code::normal, "a WebSocket URL may not have a fragment"},
    {errc::url_userinfo, error_kind::caller, close_code::normal, "a WebSocket URL may not have a user name or password"},
    {errc::url_needs_tls, error_kind::caller, close_code::normal, "the URL asks for TLS, and the stream has none"},
    // server's options
    {errc::network_invalid, error_kind::caller, close_code::normal, "this is no IP network such as 192.0.2.0/24"},
    // incomplete input: the one recoverable code
    {errc::need_more, error_kind::none, close_code::normal, "more input is needed"},
    // frames: peer broke section 5
    {errc::reserved_bit, error_kind::peer, close_code::protocol_error, "a reserved bit is set without an extension that defines it"},
    {errc::reserved_opcode, error_kind::peer, close_code::protocol_error, "a reserved opcode"},
    {errc::length_not_minimal, error_kind::peer, close_code::protocol_error, "the payload length is not in its shortest form"},
    {errc::length_too_large, error_kind::peer, close_code::protocol_error, "the payload length has its most significant bit set"},
    {errc::control_fragmented, error_kind::peer, close_code::protocol_error, "a control frame is fragmented"},
    {errc::control_length, error_kind::peer, close_code::protocol_error, "a control frame's payload is over 125 bytes"},
    {errc::frame_not_masked, error_kind::peer, close_code::protocol_error, "a frame from a client is not masked"},
    {errc::frame_masked, error_kind::peer, close_code::protocol_error, "a frame from a server is masked"},
    {errc::unexpected_continuation, error_kind::peer, close_code::protocol_error, "a continuation frame without a message to continue"},
    {errc::expected_continuation, error_kind::peer, close_code::protocol_error, "a new message began before the last one was finished"},
    {errc::invalid_utf8, error_kind::peer, close_code::invalid_payload, "a text message is not valid UTF-8"},
    {errc::close_payload_length, error_kind::peer, close_code::protocol_error, "a Close frame's payload is one byte"},
    {errc::close_code_reserved, error_kind::peer, close_code::protocol_error, "a Close frame holds a status code that may not be sent"},
    {errc::close_reason_not_utf8, error_kind::peer, close_code::invalid_payload, "a Close frame's reason is not valid UTF-8"},
    {errc::compressed_bit, error_kind::peer, close_code::protocol_error, "RSV1 is set on a control frame or on a fragment that is not the first"},
    {errc::deflate_corrupt, error_kind::peer, close_code::invalid_payload, "a compressed message is not valid deflate data"},
    {errc::deflate_truncated, error_kind::peer, close_code::invalid_payload, "a compressed message ends inside its deflate data"},
    // limits: within the RFC, past an option
    {errc::message_too_big, error_kind::limit, close_code::message_too_big, "a message is larger than the limit"},
    {errc::too_many_fragments, error_kind::limit, close_code::policy_violation, "a message is cut into more fragments than its size allows"},
    {errc::message_too_slow, error_kind::limit, close_code::policy_violation, "a message takes longer to arrive than the limit"},
    {errc::queue_full, error_kind::limit, close_code::policy_violation, "the message queue is full"},
    {errc::deflate_work, error_kind::limit, close_code::policy_violation, "a compressed message has too many deflate blocks for its size"},
    {errc::deflate_memory, error_kind::limit, close_code::internal_error, "there is no memory to decompress with"},
    // http heads: RFC 9112 and RFC 9110
    {errc::http_line_end, error_kind::peer, close_code::normal, "a line of the HTTP head does not end in CRLF"},
    {errc::http_nul, error_kind::peer, close_code::normal, "a NUL in the HTTP head"},
    {errc::http_request_line, error_kind::peer, close_code::normal, "the request line is not valid"},
    {errc::http_status_line, error_kind::peer, close_code::normal, "the status line is not valid"},
    {errc::http_version, error_kind::peer, close_code::normal, "the HTTP version is not supported"},
    {errc::http_field_name, error_kind::peer, close_code::normal, "a field name is missing or not a token"},
    {errc::http_space_before_colon, error_kind::peer, close_code::normal, "white space between a field name and its colon"},
    {errc::http_field_value, error_kind::peer, close_code::normal, "a field value holds a character that is not allowed"},
    {errc::http_folding, error_kind::peer, close_code::normal, "a folded field line"},
    {errc::http_duplicate_field, error_kind::peer, close_code::normal, "a field that may stand once stands twice"},
    {errc::http_body_framing, error_kind::peer, close_code::normal, "a request to upgrade came with a body"},
    {errc::http_line_too_long, error_kind::limit, close_code::normal, "a line of the HTTP head is longer than the limit"},
    {errc::http_target_too_long, error_kind::limit, close_code::normal, "the request target is longer than the limit"},
    {errc::http_too_many_fields, error_kind::limit, close_code::normal, "the HTTP head has more fields than the limit"},
    {errc::http_head_too_large, error_kind::limit, close_code::normal, "the HTTP head is larger than the limit"},
    // proxies in front of a server
    {errc::forwarded_invalid, error_kind::peer, close_code::normal, "a proxy's word on where a request comes from is not valid"},
    {errc::proxy_header_missing, error_kind::peer, close_code::normal, "a trusted proxy's connection did not begin with a PROXY header"},
    {errc::proxy_header_invalid, error_kind::peer, close_code::normal, "a trusted proxy's PROXY header is not valid"},
    {errc::proxy_header_too_long, error_kind::limit, close_code::normal, "a trusted proxy's PROXY header is longer than the limit"},
    // opening handshake, server's checks
    {errc::method_not_get, error_kind::peer, close_code::normal, "the request's method is not GET"},
    {errc::http_version_too_old, error_kind::peer, close_code::normal, "the request's HTTP version is below 1.1"},
    {errc::host_missing, error_kind::peer, close_code::normal, "the request has no Host field, or an invalid one"},
    {errc::not_an_upgrade, error_kind::peer, close_code::normal, "the request's Upgrade field does not hold websocket"},
    {errc::connection_not_upgrade, error_kind::peer, close_code::normal, "the request's Connection field does not hold Upgrade"},
    {errc::websocket_key_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Key is missing or not 16 bytes in base64"},
    {errc::websocket_version_unsupported, error_kind::peer, close_code::normal, "Sec-WebSocket-Version is not 13"},
    {errc::subprotocol_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Protocol is not a list of distinct tokens, or of too many"},
    {errc::extensions_invalid, error_kind::peer, close_code::normal, "Sec-WebSocket-Extensions is not a list of extensions"},
    {errc::origin_refused, error_kind::peer, close_code::normal, "the request's origin is not allowed"},
    {errc::subprotocol_required, error_kind::peer, close_code::normal, "no subprotocol in common, and one is required"},
    {errc::refused_by_application, error_kind::caller, close_code::normal, "the application refused the request"},
    // opening handshake, client's checks
    {errc::upgrade_refused, error_kind::peer, close_code::normal, "the server did not answer 101"},
    {errc::response_upgrade, error_kind::peer, close_code::normal, "the response's Upgrade field is not websocket"},
    {errc::response_connection, error_kind::peer, close_code::normal, "the response's Connection field does not hold Upgrade"},
    {errc::response_accept, error_kind::peer, close_code::normal, "Sec-WebSocket-Accept is missing or wrong"},
    {errc::response_extension, error_kind::peer, close_code::normal, "the server chose an extension that was not offered"},
    {errc::deflate_parameter, error_kind::peer, close_code::normal, "a parameter of permessage-deflate is unknown, stands twice or has a wrong value"},
    {errc::response_deflate, error_kind::peer, close_code::normal, "the server's parameters of permessage-deflate were not offered"},
    {errc::response_subprotocol, error_kind::peer, close_code::normal, "the server chose a subprotocol that was not offered"},
    // how a connection ends
    {errc::closed_by_peer, error_kind::ending, close_code::normal, "the peer started the closing handshake"},
    {errc::closed_locally, error_kind::ending, close_code::normal, "this endpoint started the closing handshake"},
    {errc::aborted, error_kind::ending, close_code::normal, "this endpoint aborted the connection"},
    {errc::cancelled, error_kind::ending, close_code::normal, "the closing handshake was cancelled"},
    {errc::dropped, error_kind::ending, close_code::normal, "the connection was destroyed without a close"},
    {errc::http_answered, error_kind::ending, close_code::normal, "the request was no opening handshake, and was answered as HTTP"},
    {errc::end_of_stream, error_kind::transport, close_code::normal, "the transport ended without a Close frame"},
    {errc::transport_lost, error_kind::transport, close_code::normal, "the transport failed or was reset"},
    {errc::tls_truncated, error_kind::transport, close_code::normal, "the TLS stream ended without close_notify"},
    {errc::tls_handshake_failed, error_kind::transport, close_code::normal, "the TLS handshake failed"},
    {errc::opening_timeout, error_kind::timeout, close_code::normal, "the opening handshake took too long"},
    {errc::close_timeout, error_kind::timeout, close_code::normal, "the closing handshake took too long"},
    {errc::pong_timeout, error_kind::timeout, close_code::normal, "the peer did not answer a Ping in time"},
    {errc::idle_timeout, error_kind::timeout, close_code::normal, "nothing was received for too long"},
    {errc::write_timeout, error_kind::timeout, close_code::normal, "the transport took no output for too long"},
};
// clang-format on

constexpr bool rows_match_enumerators() noexcept {
    std::size_t i = 0;
    for (const error_row& row : error_table)
        if (static_cast<std::size_t>(row.ec) != i++) return false;
    return true;
}
static_assert(rows_match_enumerators());

// A value that is no enumerator reads as `transport_lost`: queries are total.
constexpr const error_row& error_row_of(errc ec) noexcept {
    const auto i = static_cast<std::size_t>(ec);
    return error_table[i < std::size(error_table) ? i
                                                  : static_cast<std::size_t>(errc::transport_lost)];
}

}  // namespace detail

/// Number of enumerators of `errc`, `errc::ok` included. They count up from 0.
inline constexpr std::size_t errc_count = std::size(detail::error_table);

/// Whose doing `ec` is. Total.
[[nodiscard]] constexpr error_kind kind_of(errc ec) noexcept {
    return detail::error_row_of(ec).kind;
}

/// The code of the Close frame that fails a connection because of `ec`. RFC 6455 7.1.7.
///
/// @return 1002, 1007, 1008, 1009 or 1011 for what can go wrong once the connection is open;
///         `close_code::normal` where no Close frame is called for.
[[nodiscard]] constexpr close_code close_code_for(errc ec) noexcept {
    return detail::error_row_of(ec).code;
}

/// A sentence for `ec`, in static storage.
[[nodiscard]] constexpr std::string_view describe(errc ec) noexcept {
    return detail::error_row_of(ec).message;
}

namespace detail {
class error_category_type final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "sansocket"; }
    [[nodiscard]] std::string message(int value) const override {
        return error_row_of(static_cast<errc>(value)).message;
    }
};
}  // namespace detail

/// The category of `errc` in an std::error_code. Named "sansocket".
[[nodiscard]] inline const std::error_category& error_category() noexcept {
    static const detail::error_category_type category;
    return category;
}

/// Found by argument-dependent look-up when an `errc` becomes an std::error_code.
[[nodiscard]] inline std::error_code make_error_code(errc ec) noexcept {
    return {static_cast<int>(ec), error_category()};
}

}  // namespace sansocket

template <>
struct std::is_error_code_enum<sansocket::errc> : std::true_type {};
