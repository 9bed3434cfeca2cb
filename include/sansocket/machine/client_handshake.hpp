// client_handshake.hpp
//
// The client's half of the opening handshake: one request goes out, one
// response comes in and is checked. RFC 6455 4.1.
//
// The request is complete once the machine is made, and may be sent at once.
// Each check that 4.1 asks for has an error of its own, and the response can
// be read whatever became of it: a redirect or a demand for credentials is
// the application's to follow. Of a refusal its body, too, up to a limit.
//
// Knows nothing of: URLs, sockets, time, randomness (the nonce is an argument).
// Section numbers in this file refer to RFC 6455 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/append.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/accept_key.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/extension_list.hpp>
#include <sansocket/wire/http_body.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/http_head_parser.hpp>
#include <sansocket/wire/url.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sansocket {

/// What a client asks for. 4.1.
struct client_request {
    std::string host{};                       ///< Value of Host, see `host_field(url)`. Required.
    std::string target = "/";                 ///< Path and query, see `target(url)`.
    std::vector<std::string> subprotocols{};  ///< Distinct tokens, the preferred one first.
    std::string origin{};                     ///< Value of Origin; empty: no such field.
    std::vector<http_field_value> headers{};  ///< Further fields; `is_reserved_field` has to be
                                              ///< false of each name.
};

/// Where a client's opening handshake stands: it waits for the response, reads a refusal's body, or is
/// over: the connection is open, the upgrade was refused, or something was wrong.
enum class client_handshake_state : std::uint8_t { waiting, refusing, open, refused, failed };
/// What moves it: an interim response (1xx), a response that accepts, one that refuses, anything that
/// is wrong, and the end of a refusal's body.
enum class client_handshake_event : std::uint8_t { interim, accept, refuse, fail, body_end };

/// The client's opening handshake. 4.1.
class client_handshake {
public:
    /// The state after `event`, or nothing where `event` cannot happen. 4.1.
    [[nodiscard]] static constexpr std::optional<client_handshake_state> next(
        client_handshake_state from, client_handshake_event event) noexcept;

    /// Composes the request.
    ///
    /// `error()` is `errc::invalid_request` afterwards where `request` cannot be written: a host
    /// or target that is not valid, a subprotocol that is no token or stands twice, a header that
    /// is no HTTP field or is reserved, an offer of permessage-deflate that `is_valid_offer` refuses.
    /// Nothing is to be sent then.
    ///
    /// @param nonce    16 bytes, chosen at random for this handshake.
    /// @param limits   for the response, interim responses counted in, and a refusal's body.
    /// @param deflate  what is wanted of permessage-deflate; by default it is not offered.
    client_handshake(const client_request& request, std::span<const std::byte, 16> nonce,
                     const http_limits& limits = {}, const deflate_options& deflate = {});

    /// The request to send, complete. Lives until `take_request` or the end of this object.
    [[nodiscard]] std::string_view request() const noexcept { return request_; }

    /// Moves the request out.
    [[nodiscard]] std::string take_request() noexcept { return std::exchange(request_, {}); }

    /// Takes bytes up to the end of the response's head, or to the first that is wrong; of a
    /// refusal up to the end of its body, or to where that passes `http_limits::body`.
    ///
    /// Up to 8 interim responses (1xx, RFC 9110 15.2) are passed over; a ninth is
    /// `errc::http_head_too_large`.
    ///
    /// @return errc::ok                    the connection is open; what follows are frames;
    ///         errc::need_more             `in` ends inside the head, or inside a refusal's body;
    ///         errc::upgrade_refused       the status is not 101: `response()` and `body()` say more;
    ///         errc::http_version          101 in HTTP/1.0;
    ///         errc::response_upgrade      Upgrade is missing or not "websocket";
    ///         errc::response_connection   Connection does not hold "Upgrade";
    ///         errc::response_accept       Sec-WebSocket-Accept is missing or wrong;
    ///         errc::extensions_invalid    Sec-WebSocket-Extensions is no list of extensions;
    ///         errc::response_extension    an extension that was not offered, or one twice;
    ///         errc::deflate_parameter     see `parse_deflate_answer` (RFC 7692 7.1);
    ///         errc::response_deflate      parameters that answer no offer (RFC 7692 7.1);
    ///         errc::response_subprotocol  a subprotocol not offered, or more than one;
    ///         or an error of `http_head_parser`. All but the first two stay.
    [[nodiscard]] http_progress receive(std::span<const std::byte> in);

    /// The input ended, or nobody waits for it any longer: `how` says how.
    ///
    /// @return what that fails the handshake with: `how`, unless the upgrade was refused already,
    ///         whose body ends here; errc::end_of_stream completes one that has no other end.
    [[nodiscard]] errc end(errc how) noexcept;

    /// Where it stands.
    [[nodiscard]] client_handshake_state state() const noexcept { return state_; }

    /// What went wrong; `errc{}` while nothing has. A refusal's is known with its head.
    [[nodiscard]] errc error() const noexcept { return cause_; }

    /// The head of the final response; empty before it is complete. Views of it live as long as
    /// this object is neither changed nor moved.
    [[nodiscard]] const http_head& response() const noexcept { return response_; }

    /// Moves the response's head out.
    [[nodiscard]] http_head take_response() noexcept { return std::exchange(response_, {}); }

    /// The body of a refusal, up to `http_limits::body`, as it was sent: any bytes; empty where it
    /// has none. In part before it is complete. Lives as `response()` does.
    [[nodiscard]] std::string_view body() const noexcept { return body_.text(); }
    /// Whether the body is longer than what is here of it, or may be.
    [[nodiscard]] bool body_cut() const noexcept { return body_.cut(); }
    /// Moves the body out.
    [[nodiscard]] std::string take_body() noexcept { return body_.take(); }

    /// The subprotocol in use: what the server chose; empty where it chose none. 4.1, 1.9.
    [[nodiscard]] std::string_view subprotocol() const noexcept { return subprotocol_; }

    /// What was agreed on for permessage-deflate; nothing where it is not in use. RFC 7692 7.1.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept { return agreed_; }
    /// Bytes of memory held, this object included; names of subprotocols are not counted.
    [[nodiscard]] std::size_t memory() const noexcept {
        return sizeof *this + parser_.head().memory() + response_.memory() + body_.memory() +
               request_.capacity();
    }

private:
    void move(client_handshake_event event) noexcept {
        if (const auto to = next(state_, event)) state_ = *to;
    }
    errc compose(const client_request& request, std::string_view key);
    void fail(client_handshake_event event, errc cause) noexcept;
    errc receive_response();
    [[nodiscard]] errc check_response() noexcept;
    [[nodiscard]] errc check_subprotocol() const noexcept;
    [[nodiscard]] errc check_extensions() noexcept;
    [[nodiscard]] errc check_extension(const extension& chosen) noexcept;

    client_handshake_state state_ = client_handshake_state::waiting;
    // Decide no transition but by being compared with the response.
    errc cause_{};
    std::uint8_t interim_responses_ = 0;
    std::array<char, 28> accept_{};
    std::vector<std::string> offered_;
    deflate_options deflate_;
    std::vector<deflate_parameters> deflate_offers_;
    std::optional<deflate_agreement> agreed_;
    http_limits limits_;
    http_head_parser parser_;
    http_head response_;
    http_body body_;
    std::string request_;
    std::string subprotocol_;
};

constexpr std::optional<client_handshake_state> client_handshake::next(
    client_handshake_state from, client_handshake_event event) noexcept {
    using enum client_handshake_state;
    // No state. An optional for each cell costs a compiler more than the rest of this header.
    constexpr auto illegal = static_cast<client_handshake_state>(0xff);
    // clang-format off
    constexpr client_handshake_state table[5][5] = {
        //             interim   accept    refuse    fail      body_end
        /* waiting  */ {waiting, open,     refusing, failed,   illegal},  // 4.1
        /* refusing */ {illegal, illegal,  illegal,  illegal,  refused},  // RFC 9112 6.3
        /* open     */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: frames follow
        /* refused  */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: status is not 101
        /* failed   */ {illegal, illegal,  illegal,  illegal,  illegal},  // 4.1: _Fail the Connection_
    };
    // clang-format on
    const auto to = table[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
    if (to == illegal) return std::nullopt;
    return to;
}

inline client_handshake::client_handshake(const client_request& request,
                                          std::span<const std::byte, 16> nonce,
                                          const http_limits& limits, const deflate_options& deflate)
    : offered_(request.subprotocols),
      deflate_(deflate),
      deflate_offers_(deflate_offers(deflate)),
      limits_(limits),
      parser_(http_kind::response, limits) {
    const auto key = make_key(nonce);
    const std::string_view key_text{key.data(), key.size()};
    accept_ = accept_key(key_text);
    if (const errc ec = compose(request, key_text); ec != errc{}) {
        request_.clear();
        fail(client_handshake_event::fail, ec);
    }
}

namespace detail {

// Writes the value of Sec-WebSocket-Protocol for what a client offers; false where a name is no
// token or stands twice. 4.1 step 10.
inline bool subprotocol_list(const std::vector<std::string>& names, std::string& out) {
    for (std::size_t i = 0; i != names.size(); ++i) {
        if (!is_token(names[i])) return false;
        for (std::size_t before = 0; before != i; ++before)
            if (names[before] == names[i]) return false;
        append(out, {i != 0 ? ", " : "", names[i]});
    }
    return true;
}

// Writes the value of Sec-WebSocket-Extensions for what a client offers; false where an offer is not
// valid. 9.1: "The order of extensions is significant."
inline bool extension_offers(const std::vector<deflate_parameters>& offers, std::string& out) {
    for (const deflate_parameters& offer : offers) {
        if (!is_valid_offer(offer)) return false;
        append(out, {out.empty() ? "" : ", ", encode(offer)});
    }
    return true;
}

}  // namespace detail

inline errc client_handshake::compose(const client_request& request, std::string_view key) {
    std::string subprotocols, extensions;
    if (!is_host_field(request.host) || !is_target(request.target) ||
        !detail::subprotocol_list(request.subprotocols, subprotocols) ||
        !detail::extension_offers(deflate_offers_, extensions))
        return errc::invalid_request;

    detail::append(request_, {"GET ", request.target, " HTTP/1.1\r\n"});
    const auto add = [this](std::string_view name, std::string_view value) {
        return append_field(request_, name, value);
    };
    bool written = add("Host", request.host) && add("Upgrade", "websocket") &&
                   add("Connection", "Upgrade") && add("Sec-WebSocket-Key", key) &&
                   add("Sec-WebSocket-Version", "13");
    if (!request.origin.empty()) written = written && add("Origin", request.origin);
    if (!subprotocols.empty()) written = written && add("Sec-WebSocket-Protocol", subprotocols);
    if (!extensions.empty()) written = written && add("Sec-WebSocket-Extensions", extensions);
    for (const auto& [name, value] : request.headers) {
        const bool origin_again = !request.origin.empty() && detail::iequals(name, "Origin");
        written = written && !is_reserved_field(name) && !origin_again && add(name, value);
    }
    detail::append(request_, {"\r\n"});
    return written ? errc{} : errc::invalid_request;
}

inline void client_handshake::fail(client_handshake_event event, errc cause) noexcept {
    cause_ = cause;
    move(event);
}

inline http_progress client_handshake::receive(std::span<const std::byte> in) {
    std::size_t consumed = 0;
    errc ec = cause_;
    while (state_ == client_handshake_state::waiting) {
        const http_progress head = parser_.receive(in.subspan(consumed));
        consumed += head.consumed;
        if (head.ec == errc::need_more) return {consumed, errc::need_more};
        ec = head.ec == errc::ok ? receive_response() : head.ec;
        if (ec != errc{} && state_ == client_handshake_state::waiting)
            fail(client_handshake_event::fail, ec);
    }
    if (state_ == client_handshake_state::refusing) {
        const http_progress body = body_.receive(in.subspan(consumed));
        consumed += body.consumed;
        if (body.ec == errc::need_more) return {consumed, errc::need_more};
        move(client_handshake_event::body_end);
    }
    return {consumed, ec};
}

inline errc client_handshake::end(errc how) noexcept {
    if (state_ == client_handshake_state::refusing) {
        body_.end(how);
        move(client_handshake_event::body_end);
    }
    return state_ == client_handshake_state::refused ? cause_ : how;
}

inline errc client_handshake::receive_response() {
    response_ = parser_.release();
    const std::uint16_t status = response_.status();
    if (status < 200 && status != 101) {
        // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior
        // to a final response, even if the client does not expect one."
        constexpr std::uint8_t most_interim_responses = 8;
        if (interim_responses_++ == most_interim_responses) return errc::http_head_too_large;
        parser_ = http_head_parser{http_kind::response, limits_};
        response_ = {};
        move(client_handshake_event::interim);
        return errc{};
    }
    if (const errc ec = check_response(); ec != errc{}) {
        const bool refused = ec == errc::upgrade_refused;
        if (refused) body_ = http_body{response_, limits_.body};
        fail(refused ? client_handshake_event::refuse : client_handshake_event::fail, ec);
        return ec;
    }
    subprotocol_ = response_.find("Sec-WebSocket-Protocol").value_or("");
    move(client_handshake_event::accept);
    return errc{};
}

// 4.1, the numbered list behind "Once the client's opening handshake has been sent".
inline errc client_handshake::check_response() noexcept {
    if (response_.status() != 101) return errc::upgrade_refused;  // step 1
    if (response_.version_minor() == 0) return errc::http_version;
    const auto upgrade = response_.find("Upgrade");  // step 2
    if (!detail::iequals(upgrade.value_or(""), "websocket") || response_.count("Upgrade") != 1)
        return errc::response_upgrade;
    if (!response_.has_token("Connection", "Upgrade"))  // step 3
        return errc::response_connection;
    const std::string_view accept{accept_.data(), accept_.size()};
    if (response_.find("Sec-WebSocket-Accept") != accept)  // step 4
        return errc::response_accept;
    if (const errc ec = check_extensions(); ec != errc{}) return ec;  // step 5
    return check_subprotocol();
}

// 9.1: fields that stand there several times are one list.
inline errc client_handshake::check_extensions() noexcept {
    for (const http_field field : response_) {
        if (!detail::iequals(field.name, "Sec-WebSocket-Extensions")) continue;
        extension_list list{field.value};
        while (const auto chosen = list.next())
            if (const errc ec = check_extension(*chosen); ec != errc{}) return ec;
        if (!list.good()) return errc::extensions_invalid;
    }
    return errc{};
}

inline errc client_handshake::check_extension(const extension& chosen) noexcept {
    const bool offered = chosen.name == deflate_name && !deflate_offers_.empty();
    if (!offered || agreed_) return errc::response_extension;
    const auto [answer, ec] = parse_deflate_answer(chosen.parameters);
    if (ec != errc{}) return ec;
    agreed_ = detail::agreed_on(answer, deflate_offers_, deflate_);
    return agreed_ ? errc{} : errc::response_deflate;
}

// Step 6. 11.3.4: the field "MUST NOT appear more than once in an HTTP response".
inline errc client_handshake::check_subprotocol() const noexcept {
    const auto chosen = response_.find("Sec-WebSocket-Protocol");
    if (!chosen) return errc{};
    const bool offered = detail::contains(offered_, *chosen);
    const bool once = response_.count("Sec-WebSocket-Protocol") == 1;
    return offered && once ? errc{} : errc::response_subprotocol;
}

}  // namespace sansocket
