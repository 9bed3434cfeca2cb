// server_handshake.hpp
//
// The server's half of the opening handshake: one request comes in and is
// checked, one answer goes out. RFC 6455 4.2.
//
// A request that is in order makes the machine wait for a decision: `accept`,
// `refuse`, or `respond`, as HTTP, also to a request that is no upgrade where
// such requests are allowed. One that is not in order is answered here, with
// the status that fits and a sentence; `response()` is that answer.
//
// Knows nothing of: sockets, time, what the application serves where.
// Section numbers in this file refer to RFC 6455 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/append.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/accept_key.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/extension_list.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/http_head_parser.hpp>
#include <sansocket/wire/http_response.hpp>
#include <sansocket/wire/url.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sansocket {

/// Whose order decides where client and server have several subprotocols in common. 4.2.2.
enum class subprotocol_choice : std::uint8_t { client_order, server_order };

/// Most subprotocols that a client may offer.
inline constexpr std::size_t max_subprotocols = 100;

/// Whether a request that leaves something out is refused.
enum class requirement : std::uint8_t { optional, required };

/// What a server accepts and how it answers. 4.2.2.
struct server_policy {
    /// Subprotocols that the server speaks, the preferred one first. 1.9.
    std::vector<std::string> subprotocols{};

    /// Whose preference counts.
    subprotocol_choice choice = subprotocol_choice::client_order;

    /// `required`: a request with no subprotocol in common fails with
    /// `errc::subprotocol_required`. `optional`: it goes on without one.
    requirement subprotocol = requirement::optional;

    /// Origins that are let in, such as "https://example.com"; others fail with
    /// `errc::origin_refused`. Compared without regard to case; a default port may be written or
    /// left out. Empty: every origin. Set it wherever browsers hold credentials for the server,
    /// since any page may open a connection (10.2).
    std::vector<std::string> allowed_origins{};

    /// `required`: a request without Origin fails with `errc::origin_refused` too. Programs that
    /// are no browsers usually send none.
    requirement origin = requirement::optional;

    /// Fields to add to each answer that accepts; `is_reserved_field` has to be false of each.
    std::vector<http_field_value> headers{};
};

/// Whether a request that is no upgrade may be answered by the application, or is an error.
enum class plain_http : std::uint8_t { refused, allowed };

/// Where a server's opening handshake stands.
enum class server_handshake_state : std::uint8_t {
    reading,        ///< The request has not come.
    deciding,       ///< It is an upgrade, and waits for the decision.
    deciding_http,  ///< It is none, and waits for an answer.
    accepted,       ///< The connection is open.
    refused,        ///< The upgrade was refused.
    answered,       ///< Plain HTTP was answered.
    failed          ///< Something was wrong with the request.
};
/// What moves it.
enum class server_handshake_event : std::uint8_t {
    request,       ///< A request came that is an upgrade in order.
    http_request,  ///< One came that is none.
    fail,          ///< What came is wrong.
    accept,        ///< It is to be accepted.
    refuse,        ///< It is to be refused.
    respond        ///< Plain HTTP is to answer it.
};

/// The server's opening handshake. 4.2.
class server_handshake {
public:
    /// The state after `event`, or nothing where `event` cannot happen. 4.2.
    [[nodiscard]] static constexpr std::optional<server_handshake_state> next(
        server_handshake_state from, server_handshake_event event) noexcept;

    /// Of permessage-deflate no offer is looked at.
    ///
    /// @param plain    whether requests without `Upgrade: websocket` are to be decided on too.
    explicit server_handshake(server_policy policy = {}, const http_limits& limits = {},
                              plain_http plain = plain_http::refused)
        : policy_(std::move(policy)),
          plain_(plain),
          parser_(http_kind::request, limits,
                  plain == plain_http::allowed ? request_body::unread : request_body::refused) {}
    /// @param deflate  what is wanted of permessage-deflate.
    server_handshake(server_policy policy, const http_limits& limits, deflate_options deflate,
                     plain_http plain = plain_http::refused)
        : server_handshake(std::move(policy), limits, plain) {
        if (!deflate.enabled) return;
        deflate_ = std::move(deflate);
        choose_extensions_ = &server_handshake::choose_extensions;
        answer_extensions_ = &server_handshake::answer_extensions;
    }

    /// Takes bytes up to the end of the request's head, or to the first that is wrong. 4.2.1.
    ///
    /// With `plain_http::allowed`, a request whose Upgrade does not hold "websocket" only has to be
    /// HTTP/1: any method but CONNECT (RFC 9110 9.3.6), a target that is of a request, and Host where it is
    /// HTTP/1.1 (RFC 9112 3.2). A body that it announces stays unread.
    ///
    /// @return errc::ok                             the request is in order: decide;
    ///         errc::need_more                      `in` ends inside the head;
    ///         errc::method_not_get                 not GET (step 1);
    ///         errc::http_version_too_old           HTTP/1.0 (step 1);
    ///         errc::http_request_line              a target that is neither path nor URI (step 1);
    ///         errc::host_missing                   no Host, or not a host and port (step 2);
    ///         errc::not_an_upgrade                 Upgrade does not hold "websocket" (step 3);
    ///         errc::connection_not_upgrade         Connection does not hold "Upgrade" (step 4);
    ///         errc::websocket_version_unsupported  Sec-WebSocket-Version is not 13 (step 6);
    ///         errc::websocket_key_invalid          Sec-WebSocket-Key is not 16 bytes (step 5);
    ///         errc::subprotocol_invalid            no list of at most `max_subprotocols`
    ///                                              distinct tokens (step 8);
    ///         errc::extensions_invalid             no list of extensions, where they are looked at
    ///                                              (step 9);
    ///         errc::origin_refused                 see `server_policy` (4.2.2);
    ///         errc::subprotocol_required           see `server_policy` (4.2.2);
    ///         or an error of `http_head_parser`. All but the first two are final, and
    ///         `response()` is what to send. The version is looked at before the key, so that a
    ///         client of another version learns which one to use.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// Where it stands.
    [[nodiscard]] server_handshake_state state() const noexcept { return state_; }

    /// Whether there is a request to answer.
    [[nodiscard]] bool deciding() const noexcept {
        return state_ == server_handshake_state::deciding ||
               state_ == server_handshake_state::deciding_http;
    }

    /// What went wrong; `errc::refused_by_application` after `refuse`, `errc::http_answered` after
    /// `respond`; `errc{}` otherwise.
    [[nodiscard]] errc error() const noexcept { return cause_; }

    /// The head of the request, in part before it is complete. Views of it live as long as this
    /// object is neither changed nor moved.
    [[nodiscard]] const http_head& request() const noexcept { return parser_.head(); }

    /// Whether the head of the request is complete.
    [[nodiscard]] bool has_request() const noexcept { return parser_.error() == errc::ok; }

    /// Moves the request's head out. Empty before the request is answered, which needs it here.
    [[nodiscard]] http_head take_request() noexcept {
        const bool needed = deciding() || state_ == server_handshake_state::reading;
        return needed ? http_head{} : parser_.release();
    }

    /// The subprotocol that `accept(out)` takes, by the policy; after `accept` the one in use.
    /// Empty: none.
    [[nodiscard]] std::string_view subprotocol() const noexcept { return subprotocol_; }

    /// What `accept` agrees to for permessage-deflate: the first offer that can be met; nothing
    /// where there is none. RFC 7692 5.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept {
        if (!deflate_answer_) return std::nullopt;
        return agreed_by_server(*deflate_answer_);
    }

    /// Appends the answer that opens the connection to `out`, with the policy's choice. 4.2.2.
    ///
    /// @return errc::not_deciding      there is no request to answer;
    ///         errc::not_an_upgrade    there is one that asks for no upgrade;
    ///         errc::invalid_response  a field of the policy cannot be written or is reserved.
    ///         `out` and the state are unchanged then.
    [[nodiscard]] errc accept(std::string& out) { return accept(subprotocol_, {}, out); }

    /// The same with a subprotocol of the application's choice and further fields. 4.2.2.
    ///
    /// @param subprotocol  one that the client offered, or empty for none.
    /// @return also errc::subprotocol_not_offered.
    [[nodiscard]] errc accept(std::string_view subprotocol,
                              std::span<const http_field_value> headers, std::string& out);

    /// Appends an answer that refuses the request to `out`. 4.2.2.
    ///
    /// Writes Connection and Content-Length, Upgrade for 426, and, where there is a body and
    /// `headers` has no Content-Type, "text/plain; charset=utf-8".
    ///
    /// @param status   300 to 599, but not 304, which answers no handshake.
    /// @param headers  `is_reserved_field` has to be false of each.
    /// @param body     as it is; may be empty. Not sent to HEAD (RFC 9110 9.3.2).
    /// @return errc::not_deciding      there is no request to answer;
    ///         errc::invalid_response  a status out of range, a field that cannot be written or is
    ///                                 reserved. `out` and the state are unchanged then.
    [[nodiscard]] errc refuse(std::uint16_t status, std::span<const http_field_value> headers,
                              std::string_view body, std::string& out);

    /// Appends an answer in plain HTTP to `out`, as `append_response` does. Also to an upgrade, which
    /// a server may ignore (RFC 9110 7.8).
    ///
    /// @param status  200 to 599.
    /// @param body    empty for 204, 205 and 304. Not sent to HEAD, which is told its length.
    /// @return as `refuse`.
    [[nodiscard]] errc respond(std::uint16_t status, std::span<const http_field_value> headers,
                               std::string_view body, std::string& out);

    /// The complete answer to a request that failed; empty in every other state.
    [[nodiscard]] std::string_view response() const noexcept { return response_; }

    /// The complete answer to this request where `cause` ends the connection before it is decided on.
    [[nodiscard]] std::string answer_to(errc cause) const {
        return error_response(cause, content());
    }

    /// Moves that answer out.
    [[nodiscard]] std::string take_response() noexcept { return std::exchange(response_, {}); }

    /// Bytes of memory held, this object included; what the policy holds is not counted.
    [[nodiscard]] std::size_t memory() const noexcept {
        return sizeof *this + request().memory() + response_.capacity();
    }

private:
    void move(server_handshake_event event) noexcept {
        if (const auto to = next(state_, event)) state_ = *to;
    }
    void fail(errc cause);
    [[nodiscard]] bool asks_for_upgrade() const noexcept {
        return request().has_token("Upgrade", "websocket");
    }
    [[nodiscard]] http_content content() const noexcept {
        // RFC 9110 9.3.2: "the server MUST NOT send content in the response"
        return request().method() == "HEAD" ? http_content::left_out : http_content::written;
    }
    [[nodiscard]] errc check_request();
    [[nodiscard]] errc check_http() const noexcept;
    [[nodiscard]] errc check_upgrade() const noexcept;
    [[nodiscard]] errc check_origin() const noexcept;
    [[nodiscard]] errc choose_extensions() noexcept;
    void answer_extensions(std::string& out) const;
    [[nodiscard]] errc choose_subprotocol();
    [[nodiscard]] bool is_offered(std::string_view subprotocol) const noexcept;

    server_handshake_state state_ = server_handshake_state::reading;
    // Decide no transition but by being compared with the request.
    errc cause_{};
    server_policy policy_;
    plain_http plain_;
    deflate_options deflate_;
    std::optional<deflate_parameters> deflate_answer_;
    // Null where permessage-deflate is not wanted: only who may want it compiles what negotiates.
    errc (server_handshake::*choose_extensions_)() noexcept = nullptr;
    void (server_handshake::*answer_extensions_)(std::string&) const = nullptr;
    http_head_parser parser_;
    std::string subprotocol_;
    std::string response_;
};

constexpr std::optional<server_handshake_state> server_handshake::next(
    server_handshake_state from, server_handshake_event event) noexcept {
    using enum server_handshake_state;
    // No state. An optional for each cell costs a compiler more than the rest of this header.
    constexpr auto illegal = static_cast<server_handshake_state>(0xff);
    // clang-format off
    constexpr server_handshake_state table[7][6] = {
        //                  request    http_request    fail      accept     refuse    respond
        /* reading       */ {deciding, deciding_http,  failed,   illegal,   illegal,  illegal},   // 4.2.1
        /* deciding      */ {illegal,  illegal,        illegal,  accepted,  refused,  answered},  // 4.2.2
        /* deciding_http */ {illegal,  illegal,        illegal,  illegal,   refused,  answered},  // 4.2.1
        /* accepted      */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.2: open
        /* refused       */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.2
        /* answered      */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // RFC 9110 7.8
        /* failed        */ {illegal,  illegal,        illegal,  illegal,   illegal,  illegal},   // 4.2.1
    };
    // clang-format on
    const auto to = table[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
    if (to == illegal) return std::nullopt;
    return to;
}

namespace detail {

// RFC 9112 3.2.1, 3.2.2.
constexpr bool is_path_or_uri(std::string_view target) noexcept {
    return target.starts_with('/') || istarts_with(target, "http://") ||
           istarts_with(target, "https://");
}

// Whether `list` holds `origin`. RFC 6454 4, 6.2: scheme and host in any case, default port
// left out.
inline bool has_origin(const std::vector<std::string>& list, std::string_view origin) noexcept {
    const auto normal = [](std::string_view o) {
        if (istarts_with(o, "http://") && o.ends_with(":80")) o.remove_suffix(3);
        if (istarts_with(o, "https://") && o.ends_with(":443")) o.remove_suffix(4);
        return o;
    };
    for (const std::string_view allowed : list)
        if (iequals(normal(allowed), normal(origin))) return true;
    return false;
}

}  // namespace detail

inline http_progress server_handshake::receive(std::span<const std::byte> in) {
    if (state_ != server_handshake_state::reading) return {0, cause_};
    http_progress result = parser_.receive(in);
    if (result.ec == errc::need_more) return result;
    const bool plain = plain_ == plain_http::allowed && !asks_for_upgrade();
    if (result.ec == errc::ok) result.ec = plain ? check_http() : check_request();
    if (result.ec != errc{}) fail(result.ec);
    else move(plain ? server_handshake_event::http_request : server_handshake_event::request);
    return result;
}

inline void server_handshake::fail(errc cause) {
    cause_ = cause;
    response_ = error_response(cause, content());
    move(server_handshake_event::fail);
}

inline errc server_handshake::check_request() {
    if (const errc ec = check_upgrade(); ec != errc{}) return ec;
    if (const errc ec = check_origin(); ec != errc{}) return ec;
    if (choose_extensions_ != nullptr)
        if (const errc ec = (this->*choose_extensions_)(); ec != errc{}) return ec;
    return choose_subprotocol();
}

// 4.2.1, its numbered list.
inline errc server_handshake::check_upgrade() const noexcept {
    const http_head& head = request();
    if (head.method() != "GET") return errc::method_not_get;
    if (head.version_minor() == 0) return errc::http_version_too_old;
    if (!detail::is_path_or_uri(head.target())) return errc::http_request_line;
    if (!is_host_field(head.find("Host").value_or(""))) return errc::host_missing;
    if (!asks_for_upgrade()) return errc::not_an_upgrade;
    // Where bodies are allowed, the parser let this one through.
    if (head.find("Content-Length").value_or("").find_first_not_of('0') != std::string_view::npos ||
        head.find("Transfer-Encoding"))
        return errc::http_body_framing;
    if (!head.has_token("Connection", "Upgrade")) return errc::connection_not_upgrade;
    if (head.find("Sec-WebSocket-Version") != "13") return errc::websocket_version_unsupported;
    if (!is_valid_key(head.find("Sec-WebSocket-Key").value_or("")))
        return errc::websocket_key_invalid;
    return errc{};
}

// RFC 9112 3.2.
inline errc server_handshake::check_http() const noexcept {
    const http_head& head = request();
    // RFC 9110 9.3.6: an answer of 2xx would open a tunnel.
    if (head.method() == "CONNECT") return errc::method_not_get;
    const bool of_server = head.method() == "OPTIONS" && head.target() == "*";
    if (!of_server && !detail::is_path_or_uri(head.target())) return errc::http_request_line;
    const auto host = head.find("Host");
    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
    // that lacks a Host header field"; and a path may come with an empty one.
    if (!host && head.version_minor() != 0) return errc::host_missing;
    if (host && !host->empty() && !is_host_field(*host)) return errc::host_missing;
    return errc{};
}

inline errc server_handshake::check_origin() const noexcept {
    const auto origin = request().find("Origin");
    if (!origin) return policy_.origin == requirement::required ? errc::origin_refused : errc{};
    if (policy_.allowed_origins.empty()) return errc{};
    const bool allowed = detail::has_origin(policy_.allowed_origins, *origin);
    return allowed ? errc{} : errc::origin_refused;
}

// 9.1: fields that stand there several times are one list, and its order is the client's preference.
inline errc server_handshake::choose_extensions() noexcept {
    for (const http_field field : request()) {
        if (!detail::iequals(field.name, "Sec-WebSocket-Extensions")) continue;
        extension_list list{field.value};
        while (const auto offered = list.next()) {
            if (deflate_answer_ || offered->name != deflate_name) continue;
            // RFC 7692 7.1: an offer with parameters that are not valid is declined, and no error.
            const auto [offer, ec] = parse_deflate_offer(offered->parameters);
            if (ec == errc{}) deflate_answer_ = sansocket::accept(offer, deflate_);
        }
        if (!list.good()) return errc::extensions_invalid;
    }
    return errc{};
}

inline void server_handshake::answer_extensions(std::string& out) const {
    if (deflate_answer_)
        detail::append(out, {"Sec-WebSocket-Extensions: ", encode(*deflate_answer_), "\r\n"});
}

inline errc server_handshake::choose_subprotocol() {
    constexpr std::string_view name = "Sec-WebSocket-Protocol";
    std::vector<std::string_view> offered;
    std::string_view first;  // of those in common, in the client's order
    // 4.1: "The elements that comprise this value MUST be non-empty strings ... and MUST all be
    // unique strings." Each is compared with all before it: a peer does not choose how many.
    const bool bad = request().any_element(name, [&](std::string_view element) {
        if (!is_token(element) || detail::contains(offered, element)) return true;
        if (first.empty() && detail::contains(policy_.subprotocols, element)) first = element;
        offered.push_back(element);
        return offered.size() > max_subprotocols;
    });
    if (bad || (offered.empty() && request().find(name))) return errc::subprotocol_invalid;

    if (policy_.choice == subprotocol_choice::server_order)
        for (const std::string_view own : policy_.subprotocols)
            if (detail::contains(offered, own)) {
                first = own;
                break;
            }
    subprotocol_ = first;
    const bool required = policy_.subprotocol == requirement::required;
    return required && subprotocol_.empty() ? errc::subprotocol_required : errc{};
}

inline bool server_handshake::is_offered(std::string_view subprotocol) const noexcept {
    return request().any_element("Sec-WebSocket-Protocol",
                                 [subprotocol](std::string_view e) { return e == subprotocol; });
}

inline errc server_handshake::accept(std::string_view subprotocol,
                                     std::span<const http_field_value> headers, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    if (state_ != server_handshake_state::deciding) return errc::not_an_upgrade;
    if (!subprotocol.empty() && !is_offered(subprotocol)) return errc::subprotocol_not_offered;

    const std::size_t before = out.size();
    const auto accept = accept_key(request().find("Sec-WebSocket-Key").value_or(""));
    detail::append_status_line(out, 101);
    detail::append(out, {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
                         {accept.data(), accept.size()},
                         "\r\n"});
    if (!subprotocol.empty())
        detail::append(out, {"Sec-WebSocket-Protocol: ", subprotocol, "\r\n"});
    if (answer_extensions_ != nullptr) (this->*answer_extensions_)(out);
    const std::vector<http_field_value>& own = policy_.headers;
    if (!detail::append_fields(out, {own.data(), own.size()}) ||
        !detail::append_fields(out, headers)) {
        out.resize(before);
        return errc::invalid_response;
    }
    detail::append(out, {"\r\n"});
    subprotocol_ = std::string{subprotocol};
    move(server_handshake_event::accept);
    return errc{};
}

inline errc server_handshake::refuse(std::uint16_t status,
                                     std::span<const http_field_value> headers,
                                     std::string_view body, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    if (status < 300 || status == 304) return errc::invalid_response;
    const errc ec = append_response(out, status, headers, body, content());
    if (ec != errc{}) return ec;
    cause_ = errc::refused_by_application;
    move(server_handshake_event::refuse);
    return errc{};
}

inline errc server_handshake::respond(std::uint16_t status,
                                      std::span<const http_field_value> headers,
                                      std::string_view body, std::string& out) {
    if (!deciding()) return errc::not_deciding;
    const errc ec = append_response(out, status, headers, body, content());
    if (ec != errc{}) return ec;
    cause_ = errc::http_answered;
    move(server_handshake_event::respond);
    return errc{};
}

}  // namespace sansocket
