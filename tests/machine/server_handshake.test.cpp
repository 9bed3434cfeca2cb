#include <sansocket/machine/server_handshake.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::string_view_literals;
using sansocket::errc;
using sansocket::requirement;
using sansocket::server_handshake;
using sansocket::server_handshake_event;
using sansocket::server_handshake_state;
using sansocket::server_policy;
using sansocket::subprotocol_choice;
using support::bytes;
using support::operator+;

using enum server_handshake_state;
using ev = server_handshake_event;
constexpr auto next = server_handshake::next;

static_assert(next(reading, ev::request) == deciding);            // 4.2.1
static_assert(next(reading, ev::fail) == failed);                 // 4.2.1
static_assert(next(deciding, ev::accept) == accepted);            // 4.2.2
static_assert(next(deciding, ev::refuse) == refused);             // 4.2.2
static_assert(next(deciding, ev::respond) == answered);           // RFC 9110 7.8
static_assert(next(reading, ev::http_request) == deciding_http);  // 4.2.1
static_assert(next(deciding_http, ev::refuse) == refused);        // 4.2.2
static_assert(next(deciding_http, ev::respond) == answered);      // 4.2.1

// 1.2, 1.3: the RFC's own handshake
constexpr std::string_view request = "GET /chat HTTP/1.1\r\n"
                                     "Host: server.example.com\r\n"
                                     "Upgrade: websocket\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                     "Origin: http://example.com\r\n"
                                     "Sec-WebSocket-Protocol: chat, superchat\r\n"
                                     "Sec-WebSocket-Version: 13\r\n"
                                     "\r\n";

// The RFC's request with one line replaced by another, which may be nothing or several.
std::string with(std::string_view line, std::string_view other) {
    std::string out{request};
    const std::size_t at = out.find(line);
    REQUIRE(at != std::string::npos);
    return out.replace(at, line.size(), other);
}

server_handshake after(std::string_view text, const server_policy& policy = {}) {
    server_handshake handshake{policy};
    (void)handshake.receive(bytes(text));
    return handshake;
}

// What the request makes of the handshake, the same in every chunking.
errc outcome(std::string_view text, const server_policy& policy = {}) {
    errc all{};
    bool first = true;
    for (const auto& cut : support::every_chunking(bytes(text))) {
        server_handshake handshake{policy};
        errc ec = errc::need_more;
        for (const auto& piece : cut) {
            ec = handshake.receive(piece).ec;
            if (ec != errc::need_more) break;
        }
        if (first) all = ec;
        first = false;
        CHECK(describe(ec) == describe(all));
        const bool over = ec != errc::ok && ec != errc::need_more;
        CHECK(handshake.error() == (over ? ec : errc{}));
        CHECK(handshake.response().empty() == !over);
    }
    return all;
}

bool has_line(std::string_view head, std::string_view line) {
    return head.find("\r\n" + std::string{line} + "\r\n") != std::string_view::npos;
}

}  // namespace

TEST_CASE("server_handshake: every other move is illegal (4.2)") {
    int legal = 0;
    for (const auto from : {reading, deciding, deciding_http, accepted, refused, answered, failed})
        for (const auto event :
             {ev::request, ev::http_request, ev::fail, ev::accept, ev::refuse, ev::respond})
            legal += next(from, event).has_value() ? 1 : 0;
    CHECK(legal == 8);
}

TEST_CASE("server_handshake: the handshake of the RFC, frames behind it stay (1.2, 4.2)") {
    const auto all = bytes(request) + support::hex("81 85 37fa213d 7f9f4d5158");
    for (const auto& cut : support::every_chunking(all)) {
        server_handshake handshake{{.subprotocols = {"chat"}}};
        std::size_t consumed = 0;
        for (const auto& piece : cut) consumed += handshake.receive(piece).consumed;
        CHECK(consumed == request.size());
        REQUIRE(handshake.state() == deciding);
        CHECK(handshake.has_request());
        CHECK(handshake.request().target() == "/chat");
        CHECK(handshake.subprotocol() == "chat");

        std::string out = "before";
        CHECK(handshake.accept(out) == errc{});
        CHECK(out == "beforeHTTP/1.1 101 Switching Protocols\r\n"
                     "Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                     "Sec-WebSocket-Protocol: chat\r\n"
                     "\r\n");
        CHECK(handshake.state() == accepted);
        CHECK(handshake.error() == errc{});
        CHECK(handshake.response().empty());
        CHECK(handshake.receive(bytes("x")).consumed == 0);
        CHECK(handshake.receive(bytes("x")).ec == errc::ok);
    }
}

TEST_CASE("server_handshake: what a client may write in its own way (4.2.1)") {
    const auto text = GENERATE(
        with("GET /chat", "GET http://server.example.com/chat"), with("HTTP/1.1", "HTTP/1.2"),
        with("Upgrade: websocket", "upgrade: WebSocket"),
        with("Upgrade: websocket", "Upgrade: h2c, websocket"),
        with("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
        with("Connection: Upgrade", "Connection: keep-alive,upgrade"),
        with("server.example.com", "[::1]:8080"), with("Origin: http://example.com\r\n", ""),
        with("chat, superchat", "chat,,superchat ,"),
        with("Sec-WebSocket-Protocol: chat, superchat\r\n", ""),
        with("chat, superchat", "chat\r\nSec-WebSocket-Protocol: superchat"),
        with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version:13  "),
        with("Origin", "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin"),
        with("GET", "\r\nGET"));
    INFO(text);
    CHECK(describe(outcome(text)) == describe(errc::ok));
}

TEST_CASE("server_handshake: each check has its error and its status (4.2.1)") {
    struct row {
        std::string_view line, other;
        errc ec;
        std::string_view status;
    };
    constexpr auto host = "Host: server.example.com\r\n"sv;
    constexpr auto key = "dGhlIHNhbXBsZSBub25jZQ=="sv;
    const auto r = GENERATE_COPY(values<row>({
        {"GET", "POST", errc::method_not_get, "405 Method Not Allowed"},
        {"GET", "get", errc::method_not_get, "405 Method Not Allowed"},
        {"HTTP/1.1", "HTTP/1.0", errc::http_version_too_old, "426 Upgrade Required"},
        {"HTTP/1.1", "HTTP/2.0", errc::http_version, "505 HTTP Version Not Supported"},
        {"/chat", "*", errc::http_request_line, "400 Bad Request"},
        {"/chat", "ftp://h/", errc::http_request_line, "400 Bad Request"},
        {host, "", errc::host_missing, "400 Bad Request"},
        {"server.example.com", "", errc::host_missing, "400 Bad Request"},
        {"server.example.com", "a, b", errc::host_missing, "400 Bad Request"},
        {"server.example.com", "h:99999", errc::host_missing, "400 Bad Request"},
        {host, "Host: h\r\nHost: h\r\n", errc::http_duplicate_field, "400 Bad Request"},
        {"Upgrade: websocket\r\n", "", errc::not_an_upgrade, "400 Bad Request"},
        {"Upgrade: websocket", "Upgrade: h2c", errc::not_an_upgrade, "400 Bad Request"},
        {"Upgrade: websocket", "Upgrade: websocket2", errc::not_an_upgrade, "400 Bad Request"},
        {"Connection: Upgrade\r\n", "", errc::connection_not_upgrade, "400 Bad Request"},
        {"Connection: Upgrade", "Connection: close", errc::connection_not_upgrade,
         "400 Bad Request"},
        {"Version: 13", "Version: 8", errc::websocket_version_unsupported, "426 Upgrade Required"},
        {"Version: 13", "Version: 013", errc::websocket_version_unsupported,
         "426 Upgrade Required"},
        {"Version: 13", "Version: 13, 8", errc::websocket_version_unsupported,
         "426 Upgrade Required"},
        {"Version: 13", "Version:", errc::websocket_version_unsupported, "426 Upgrade Required"},
        {"Sec-WebSocket-Version: 13\r\n", "", errc::websocket_version_unsupported,
         "426 Upgrade Required"},
        {"Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", errc::http_duplicate_field,
         "400 Bad Request"},
        {key, "", errc::websocket_key_invalid, "400 Bad Request"},
        {key, "dGhlIHNhbXBsZSBub25jZR==", errc::websocket_key_invalid, "400 Bad Request"},
        {key, "dGhlIHNhbXBsZSBub25j", errc::websocket_key_invalid, "400 Bad Request"},
        {"Sec-WebSocket-Key: ", "X-Key: ", errc::websocket_key_invalid, "400 Bad Request"},
        {"chat, superchat", "chat, chat", errc::subprotocol_invalid, "400 Bad Request"},
        {"chat, superchat", "chat\r\nSec-WebSocket-Protocol: chat", errc::subprotocol_invalid,
         "400 Bad Request"},
        {"chat, superchat", "a chat", errc::subprotocol_invalid, "400 Bad Request"},
        {"chat, superchat", "\"chat\"", errc::subprotocol_invalid, "400 Bad Request"},
        {"chat, superchat", "", errc::subprotocol_invalid, "400 Bad Request"},
        {"chat, superchat", ",", errc::subprotocol_invalid, "400 Bad Request"},
        {"Host:", "Host :", errc::http_space_before_colon, "400 Bad Request"},
        {"Origin", "Content-Length: 5\r\nOrigin", errc::http_body_framing, "400 Bad Request"},
    }));
    INFO(r.line << " -> " << r.other);
    const std::string text = with(r.line, r.other);
    CHECK(describe(outcome(text)) == describe(r.ec));

    server_handshake handshake = after(text);
    CHECK(handshake.state() == failed);
    CHECK(handshake.response() == sansocket::error_response(r.ec));
    CHECK(handshake.response().starts_with("HTTP/1.1 " + std::string{r.status} + "\r\n"));
    std::string out;
    CHECK(handshake.accept(out) == errc::not_deciding);
    CHECK(handshake.refuse(403, {}, "", out) == errc::not_deciding);
    CHECK(out.empty());
    CHECK(handshake.receive(bytes(request)).consumed == 0);
    CHECK(handshake.receive(bytes(request)).ec == r.ec);
    CHECK(handshake.take_response() == sansocket::error_response(r.ec));
    CHECK(handshake.response().empty());
}

TEST_CASE("server_handshake: HEAD is answered without a body (RFC 9110 9.3.2)") {
    const server_handshake handshake = after(with("GET", "HEAD"));
    CHECK(handshake.error() == errc::method_not_get);
    CHECK(handshake.response().ends_with("Content-Length: 32\r\n\r\n"));
}

TEST_CASE("server_handshake: the order that counts chooses the subprotocol (4.2.2)") {
    struct row {
        std::string_view name;
        std::vector<std::string> spoken;
        subprotocol_choice choice;
        std::string_view chosen;
    };
    const auto r = GENERATE(values<row>({
        {"none spoken", {}, subprotocol_choice::client_order, ""},
        {"none in common", {"other", "Chat"}, subprotocol_choice::client_order, ""},
        {"client's order", {"superchat", "chat"}, subprotocol_choice::client_order, "chat"},
        {"server's order", {"superchat", "chat"}, subprotocol_choice::server_order, "superchat"},
        {"second only", {"superchat"}, subprotocol_choice::client_order, "superchat"},
        {"first of the server's not offered",
         {"x", "chat"},
         subprotocol_choice::server_order,
         "chat"},
    }));
    INFO(r.name);
    server_handshake handshake = after(request, {.subprotocols = r.spoken, .choice = r.choice});
    CHECK(handshake.subprotocol() == r.chosen);
    std::string out;
    CHECK(handshake.accept(out) == errc{});
    CHECK(has_line(out, "Sec-WebSocket-Protocol: " + std::string{r.chosen}) == !r.chosen.empty());
    CHECK((out.find("Sec-WebSocket-Protocol") == out.npos) == r.chosen.empty());
}

TEST_CASE("server_handshake: a subprotocol may be required (4.2.2)") {
    server_policy policy{.subprotocols = {"other"}, .subprotocol = requirement::required};
    CHECK(outcome(request, policy) == errc::subprotocol_required);
    CHECK(outcome(with("Sec-WebSocket-Protocol: chat, superchat\r\n", ""), policy) ==
          errc::subprotocol_required);
    policy.subprotocols.emplace_back("chat");
    CHECK(outcome(request, policy) == errc::ok);
}

TEST_CASE("server_handshake: the origin policy (4.2.2, 10.2)") {
    struct row {
        std::string_view allowed, origin;
        bool let_in;
    };
    const auto r = GENERATE(values<row>({
        {"http://example.com", "http://example.com", true},
        {"HTTP://Example.COM", "http://example.com", true},
        {"http://example.com:80", "http://example.com", true},
        {"https://example.com", "https://example.com:443", true},
        {"http://example.com:8080", "http://example.com:8080", true},
        {"null", "null", true},
        {"http://example.com", "https://example.com", false},
        {"http://example.com", "http://example.com:443", false},
        {"https://example.com", "https://example.com:80", false},
        {"http://example.com", "http://www.example.com", false},
        {"http://example.com", "http://example.com.evil.example", false},
        {"http://example.com", "http://example.co", false},
        {"http://example.com", "null", false},
        {"http://example.com", "", false},
    }));
    INFO(r.allowed << " / " << r.origin);
    const std::string text = with("Origin: http://example.com", "Origin: " + std::string{r.origin});
    const server_policy policy{.allowed_origins = {"http://other.example", std::string{r.allowed}}};
    CHECK(outcome(text, policy) == (r.let_in ? errc::ok : errc::origin_refused));
    if (!r.let_in) CHECK(after(text, policy).response().starts_with("HTTP/1.1 403 Forbidden\r\n"));
    CHECK(outcome(text) == errc::ok);
}

TEST_CASE("server_handshake: a request without Origin is let in unless one is required (10.2)") {
    const std::string text = with("Origin: http://example.com\r\n", "");
    server_policy policy{.allowed_origins = {"http://other.example"}};
    CHECK(outcome(text, policy) == errc::ok);
    policy.origin = requirement::required;
    CHECK(outcome(text, policy) == errc::origin_refused);
    CHECK(outcome(request, {.origin = requirement::required}) == errc::ok);
}

TEST_CASE("server_handshake: the application chooses subprotocol and fields (4.2.2)") {
    server_handshake handshake = after(request, {.headers = {{"Server", "x"}}});
    const std::vector<sansocket::http_field_value> fields = {{"Set-Cookie", "a=b"}};
    std::string out;

    CHECK(handshake.accept("CHAT", fields, out) == errc::subprotocol_not_offered);
    CHECK(handshake.accept("chat, superchat", fields, out) == errc::subprotocol_not_offered);
    CHECK(out.empty());
    CHECK(handshake.state() == deciding);
    CHECK(handshake.subprotocol().empty());

    CHECK(handshake.accept("superchat", fields, out) == errc{});
    CHECK(handshake.subprotocol() == "superchat");
    CHECK(has_line(out, "Sec-WebSocket-Protocol: superchat"));
    CHECK(has_line(out, "Server: x"));
    CHECK(has_line(out, "Set-Cookie: a=b"));
    CHECK(out.ends_with("\r\n\r\n"));
    CHECK(handshake.accept(out) == errc::not_deciding);
}

TEST_CASE("server_handshake: an answer that cannot be written changes nothing (4.2.2)") {
    const auto field = GENERATE(values<sansocket::http_field_value>({
        {"X", "a\r\nSet-Cookie: b"},
        {"X\r\n", "a"},
        {"", "a"},
        {"Connection", "keep-alive"},
        {"upgrade", "x"},
        {"Content-Length", "5"},
        {"Transfer-Encoding", "chunked"},
        {"Sec-WebSocket-Accept", "x"},
    }));
    INFO(field.name);
    const std::vector<sansocket::http_field_value> fields = {{"Fine", "x"}, field};
    std::string out = "before";

    server_handshake handshake = after(request);
    CHECK(handshake.accept("chat", fields, out) == errc::invalid_response);
    CHECK(handshake.refuse(403, fields, "no", out) == errc::invalid_response);
    CHECK(out == "before");
    CHECK(handshake.state() == deciding);
    CHECK(handshake.subprotocol().empty());

    server_handshake by_policy = after(request, {.headers = fields});
    CHECK(by_policy.accept(out) == errc::invalid_response);
    CHECK(out == "before");
    CHECK(by_policy.refuse(503, {}, "", out) == errc{});
}

TEST_CASE("server_handshake: refusing with status, fields and body (4.2.2)") {
    server_handshake handshake = after(request);
    const std::vector<sansocket::http_field_value> fields = {{"WWW-Authenticate", "Basic"}};
    std::string out;
    CHECK(handshake.refuse(401, fields, "Who are you?", out) == errc{});
    CHECK(out == "HTTP/1.1 401 Unauthorized\r\n"
                 "Connection: close\r\n"
                 "WWW-Authenticate: Basic\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: 12\r\n"
                 "\r\n"
                 "Who are you?");
    CHECK(handshake.state() == refused);
    CHECK(handshake.error() == errc::refused_by_application);
    CHECK(handshake.receive(bytes("x")).ec == errc::refused_by_application);
    CHECK(handshake.refuse(401, {}, "", out) == errc::not_deciding);
}

TEST_CASE("server_handshake: a refusal without body, with its own type, and 426 (4.2.2)") {
    std::string empty;
    CHECK(after(request).refuse(599, {}, "", empty) == errc{});
    CHECK(empty == "HTTP/1.1 599 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");

    std::string typed;
    const std::vector<sansocket::http_field_value> json = {{"content-type", "application/json"}};
    CHECK(after(request).refuse(300, json, "{}", typed) == errc{});
    CHECK(has_line(typed, "content-type: application/json"));
    CHECK_FALSE(has_line(typed, "Content-Type: text/plain; charset=utf-8"));

    std::string upgrade;
    CHECK(after(request).refuse(426, {}, "", upgrade) == errc{});
    CHECK(has_line(upgrade, "Connection: close, Upgrade"));
    CHECK(has_line(upgrade, "Upgrade: websocket"));
}

TEST_CASE("server_handshake: a refusal has a status from 300 to 599 (4.2.2)") {
    server_handshake handshake = after(request);
    std::string out;
    for (const std::uint16_t status : std::to_array<std::uint16_t>({0, 101, 299, 304, 600, 999})) {
        INFO(status);
        CHECK(handshake.refuse(status, {}, "", out) == errc::invalid_response);
    }
    CHECK(out.empty());
    CHECK(handshake.state() == deciding);
}

TEST_CASE("server_handshake: there is nothing to answer while reading (4.2.1)") {
    server_handshake handshake;
    std::string out;
    CHECK(handshake.receive(bytes("GET /")).ec == errc::need_more);
    CHECK(handshake.state() == reading);
    CHECK_FALSE(handshake.has_request());
    CHECK(handshake.accept(out) == errc::not_deciding);
    CHECK(handshake.refuse(503, {}, "", out) == errc::not_deciding);
    CHECK(handshake.take_request().size() == 0);
    CHECK(out.empty());
}

TEST_CASE("server_handshake: the request can be taken once it is answered") {
    server_handshake handshake = after(request);
    CHECK(handshake.take_request().size() == 0);
    std::string out;
    CHECK(handshake.accept(out) == errc{});
    CHECK(has_line(out, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    CHECK(handshake.take_request().find("Host") == "server.example.com");
    CHECK(handshake.request().size() == 0);
}

TEST_CASE("server_handshake: a hundred subprotocols may be offered, each once (10.4)") {
    std::string list;
    for (int i = 1; i != 100; ++i) list += std::to_string(i) + ",";
    CHECK(after(with("chat, superchat", list + "100")).error() == errc{});
    CHECK(after(with("chat, superchat", list + "99")).error() == errc::subprotocol_invalid);
    CHECK(after(with("chat, superchat", list + "100,101")).error() == errc::subprotocol_invalid);
}

TEST_CASE("server_handshake: the limits hold for the request (10.4)") {
    server_handshake handshake{{}, {.fields = 3}};
    CHECK(handshake.receive(bytes(request)).ec == errc::http_too_many_fields);
    CHECK(handshake.response().starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
}

namespace {

// The answer's Sec-WebSocket-Extensions to a request with `fields`; "-" where it has none.
std::string extensions_for(const std::string& fields, const sansocket::deflate_options& wants) {
    std::optional<std::string> all;
    const auto text = bytes(with("Origin: http://example.com\r\n", fields));
    for (const auto& pieces : support::every_chunking(text)) {
        server_handshake handshake{{}, {}, wants};
        for (const auto& piece : pieces) (void)handshake.receive(piece);
        std::string out;
        REQUIRE(handshake.accept(out) == errc::ok);
        const std::string_view name = "Sec-WebSocket-Extensions: ";
        const std::size_t at = out.find(name);
        const std::string found =
            at == out.npos ? "-"
                           : out.substr(at + name.size(), out.find('\r', at) - at - name.size());
        if (!all) all = found;
        CHECK(found == *all);
        CHECK(handshake.deflate().has_value() == (found != "-"));
    }
    return *all;
}

}  // namespace

TEST_CASE("server_handshake: the first offer that can be met is taken (RFC 7692 5)") {
    sansocket::deflate_options wants;
    const std::string name = "Sec-WebSocket-Extensions: ";
    const std::string deflate = name + "permessage-deflate";
    CHECK(extensions_for(deflate + "\r\n", wants) == "-");  // off until asked for
    wants.enabled = true;
    CHECK(extensions_for("", wants) == "-");
    CHECK(extensions_for(name + "x; y=z\r\n", wants) == "-");
    CHECK(extensions_for(deflate + "\r\n", wants) == "permessage-deflate");
    CHECK(extensions_for(deflate + "; client_max_window_bits=10\r\n", wants) ==
          "permessage-deflate; client_max_window_bits=10");
    // 7.1: offers that are not valid, or ask for what there is not, are declined.
    CHECK(extensions_for(deflate + "; x, permessage-deflate; server_max_window_bits=8\r\n",
                         wants) == "-");
    CHECK(extensions_for(deflate + "; x, x, permessage-deflate; server_max_window_bits=8, "
                                   "permessage-deflate; server_max_window_bits=12, "
                                   "permessage-deflate\r\n",
                         wants) == "permessage-deflate; server_max_window_bits=12");
    // RFC 6455 9.1: several fields are one list.
    CHECK(extensions_for(deflate + "; server_max_window_bits=8\r\n" + name + "x\r\n" + deflate +
                             "; server_no_context_takeover\r\n",
                         wants) == "permessage-deflate; server_no_context_takeover");
    wants.peer_window_bits = 12;
    CHECK(extensions_for(deflate + ", permessage-deflate; client_max_window_bits\r\n", wants) ==
          "permessage-deflate; client_max_window_bits=12");
}

TEST_CASE("server_handshake: what is no list of extensions is refused where one is wanted (9.1)") {
    sansocket::deflate_options wants;
    const auto text = with("Origin", "Sec-WebSocket-Extensions: permessage-deflate, x;\r\nOrigin");
    server_handshake off{{}, {}, wants};
    CHECK(off.receive(bytes(text)).ec == errc::ok);
    wants.enabled = true;
    server_handshake on{{}, {}, wants};
    CHECK(on.receive(bytes(text)).ec == errc::extensions_invalid);
    CHECK(on.response().starts_with("HTTP/1.1 400 "));
}

namespace {

server_handshake http_after(std::string_view text) {
    server_handshake handshake{{}, {}, {}, sansocket::plain_http::allowed};
    (void)handshake.receive(bytes(text));
    return handshake;
}

// The same in every chunking.
errc http_outcome(std::string_view text) {
    std::optional<errc> all;
    for (const auto& cut : support::every_chunking(bytes(text))) {
        server_handshake handshake{{}, {}, {}, sansocket::plain_http::allowed};
        errc ec = errc::need_more;
        for (const auto& piece : cut) {
            ec = handshake.receive(piece).ec;
            if (ec != errc::need_more) break;
        }
        if (!all) all = ec;
        CHECK(describe(ec) == describe(*all));
        CHECK(handshake.deciding() == (ec == errc::ok));
    }
    return all.value_or(errc::need_more);
}

}  // namespace

TEST_CASE("server_handshake: a request that is no upgrade may be decided on (4.2.1)") {
    const std::string text = GENERATE(
        as<std::string>{},  //
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",  //
        "HEAD /x?y HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
    INFO(text);
    CHECK(http_outcome(text) == errc::ok);
    server_handshake handshake = http_after(text);
    CHECK(handshake.state() == deciding_http);
    std::string out = "before";
    CHECK(handshake.accept(out) == errc::not_an_upgrade);
    CHECK(out == "before");
    CHECK(handshake.state() == deciding_http);
    CHECK(handshake.take_request().size() == 0);
    CHECK(handshake.respond(200, {}, "yes", out) == errc::ok);
    CHECK(out.starts_with("beforeHTTP/1.1 200 OK\r\nConnection: close\r\n"));
    CHECK(out.ends_with("Content-Length: 3\r\n\r\nyes") ==
          (handshake.request().method() != "HEAD"));
    CHECK(handshake.state() == answered);
    CHECK(handshake.error() == errc::http_answered);
    CHECK(handshake.receive(bytes("x")).ec == errc::http_answered);
    CHECK(handshake.respond(200, {}, "", out) == errc::not_deciding);
    CHECK(handshake.refuse(404, {}, "", out) == errc::not_deciding);
    CHECK_FALSE(handshake.take_request().method().empty());

    CHECK(outcome(text) != errc::ok);  // where they are not asked for
    CHECK_FALSE(after(text).deciding());
}

TEST_CASE("server_handshake: a request that is not even HTTP is no plain request (RFC 9112 3)") {
    struct row {
        std::string text;
        errc ec;
    };
    const auto r = GENERATE(values<row>({
        {"GET / HTTP/1.1\r\n\r\n", errc::host_missing},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", errc::host_missing},
        {"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", errc::host_missing},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", errc::http_request_line},
        {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", errc::method_not_get},
        {"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", errc::method_not_get},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", errc::http_version},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", errc::http_body_framing},
        {"\x16\x03\x01", errc::http_request_line},
    }));
    INFO(r.text);
    CHECK(http_outcome(r.text) == r.ec);
}

TEST_CASE(
    "server_handshake: what asks for an upgrade is judged as one, plain HTTP or not (4.2.1)") {
    CHECK(http_after(request).state() == deciding);
    CHECK(http_outcome(with("GET", "PUT")) == errc::method_not_get);
    CHECK(http_outcome(with("HTTP/1.1", "HTTP/1.0")) == errc::http_version_too_old);
    CHECK(http_outcome(with("Connection: Upgrade\r\n", "")) == errc::connection_not_upgrade);
    CHECK(http_outcome(with("Version: 13", "Version: 12")) == errc::websocket_version_unsupported);
    const std::string body = "Host: server.example.com\r\nContent-Length: 1\r\n";
    CHECK(http_outcome(with("Host: server.example.com\r\n", body)) == errc::http_body_framing);
    const std::string chunks = "Host: server.example.com\r\nTransfer-Encoding: chunked\r\n";
    CHECK(http_outcome(with("Host: server.example.com\r\n", chunks)) == errc::http_body_framing);
    const std::string none = "Host: server.example.com\r\nContent-Length: 0\r\n";
    CHECK(http_outcome(with("Host: server.example.com\r\n", none)) == errc::ok);
}

TEST_CASE("server_handshake: an upgrade may be ignored and answered as HTTP (RFC 9110 7.8)") {
    server_handshake handshake = after(request);
    std::string out;
    CHECK(handshake.respond(199, {}, "", out) == errc::invalid_response);
    CHECK(handshake.state() == deciding);
    CHECK(handshake.respond(204, {}, "", out) == errc::ok);
    CHECK(out == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    CHECK(handshake.state() == answered);
}

TEST_CASE("server_handshake: a HEAD is answered and refused without content (RFC 9110 9.3.2)") {
    constexpr std::string_view head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    std::string out;
    CHECK(http_after(head).respond(200, {}, "0123456789", out) == errc::ok);
    CHECK(out.ends_with("\r\nContent-Length: 10\r\n\r\n"));
    out.clear();
    CHECK(http_after(head).refuse(404, {}, "gone", out) == errc::ok);
    CHECK(out.ends_with("\r\nContent-Length: 4\r\n\r\n"));
}
