#include <sansocket/machine/client_handshake.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace {

using namespace std::string_view_literals;
using sansocket::client_handshake;
using sansocket::client_handshake_event;
using sansocket::client_handshake_state;
using sansocket::client_request;
using sansocket::deflate_agreement;
using sansocket::deflate_options;
using sansocket::errc;
using sansocket::http_limits;
using support::bytes;
using support::operator+;
using enum client_handshake_state;

// 1.2, 1.3: the RFC's own handshake
constexpr std::string_view answer = "HTTP/1.1 101 Switching Protocols\r\n"
                                    "Upgrade: websocket\r\n"
                                    "Connection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                    "Sec-WebSocket-Protocol: chat\r\n"
                                    "\r\n";

client_handshake make(const client_request& request, const http_limits& limits = {},
                      const deflate_options& deflate = {}) {
    const auto nonce = bytes("the sample nonce");
    return client_handshake{request, std::span<const std::byte, 16>{nonce}, limits, deflate};
}

client_request chat() {
    return {.host = "server.example.com", .target = "/chat", .subprotocols = {"chat", "superchat"}};
}

// The RFC's answer with one line replaced by another, which may be nothing or several.
std::string with(std::string_view line, std::string_view other) {
    std::string out{answer};
    const std::size_t at = out.find(line);
    REQUIRE(at != std::string::npos);
    return out.replace(at, line.size(), other);
}

// What the response makes of the handshake, the same in every chunking. A refusal ends with it.
errc outcome(const client_request& request, std::string_view response) {
    errc all{};
    bool first = true;
    for (const auto& cut : support::every_chunking(bytes(response))) {
        client_handshake handshake = make(request);
        errc ec = errc::need_more;
        for (const auto& piece : cut) {
            ec = handshake.receive(piece).ec;
            if (ec != errc::need_more) break;
        }
        if (handshake.state() == refusing) ec = handshake.end(errc::end_of_stream);
        if (first) all = ec;
        first = false;
        CHECK(describe(ec) == describe(all));
        const bool over = ec != errc::ok && ec != errc::need_more;
        CHECK(handshake.error() == (over ? ec : errc{}));
        CHECK(handshake.receive(bytes("x")).consumed == 0);
        if (over) CHECK(handshake.receive(bytes("x")).ec == ec);
    }
    return all;
}

using ev = client_handshake_event;
constexpr auto next = client_handshake::next;

static_assert(next(waiting, ev::interim) == waiting);  // RFC 9110 15.2
static_assert(next(waiting, ev::accept) == open);      // 4.1
static_assert(next(waiting, ev::refuse) == refusing);  // 4.1
static_assert(next(waiting, ev::fail) == failed);      // 4.1
static_assert(!next(waiting, ev::body_end));
static_assert(next(refusing, ev::body_end) == refused);  // RFC 9112 6.3

}  // namespace

TEST_CASE("client_handshake: only a handshake that waits can move (4.1)") {
    for (const auto from : {refusing, open, refused, failed})
        for (const auto event : {ev::interim, ev::accept, ev::refuse, ev::fail})
            CHECK_FALSE(next(from, event));
    for (const auto from : {open, refused, failed}) CHECK_FALSE(next(from, ev::body_end));
}

TEST_CASE("client_handshake: the request of the RFC (1.2, 4.1)") {
    auto request = chat();
    request.origin = "http://example.com";
    request.headers = {{"Cookie", "a=b"}, {"X-Empty", ""}};
    client_handshake handshake = make(request);

    const std::string_view wanted = "GET /chat HTTP/1.1\r\n"
                                    "Host: server.example.com\r\n"
                                    "Upgrade: websocket\r\n"
                                    "Connection: Upgrade\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                    "Sec-WebSocket-Version: 13\r\n"
                                    "Origin: http://example.com\r\n"
                                    "Sec-WebSocket-Protocol: chat, superchat\r\n"
                                    "Cookie: a=b\r\n"
                                    "X-Empty: \r\n"
                                    "\r\n";
    CHECK(handshake.error() == errc{});
    CHECK(handshake.state() == waiting);
    CHECK(handshake.request() == wanted);
    CHECK(handshake.take_request() == wanted);
    CHECK(handshake.request().empty());
}

TEST_CASE("client_handshake: the smallest request names no subprotocol and no origin (4.1)") {
    const client_handshake handshake = make({.host = "h:81"});
    CHECK(handshake.request() ==
          "GET / HTTP/1.1\r\nHost: h:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

TEST_CASE("client_handshake: a request that cannot be written is the caller's mistake (4.1)") {
    struct row {
        std::string_view name;
        client_request request;
    };
    const auto r = GENERATE(values<row>({
        {"no host", {}},
        {"host with a path", {.host = "h/p"}},
        {"host that splits", {.host = "h\r\nX: y"}},
        {"target without a slash", {.host = "h", .target = "p"}},
        {"empty target", {.host = "h", .target = ""}},
        {"target with a space", {.host = "h", .target = "/a b"}},
        {"target that splits", {.host = "h", .target = "/ HTTP/1.1\r\nX: y"}},
        {"target with a fragment", {.host = "h", .target = "/#f"}},
        {"empty subprotocol", {.host = "h", .subprotocols = {""}}},
        {"subprotocol with a comma", {.host = "h", .subprotocols = {"a,b"}}},
        {"subprotocol with a space", {.host = "h", .subprotocols = {"a b"}}},
        {"subprotocol twice", {.host = "h", .subprotocols = {"a", "b", "a"}}},
        {"origin that splits", {.host = "h", .origin = "o\r\n"}},
        {"header without a name", {.host = "h", .headers = {{"", "x"}}}},
        {"header with a bad name", {.host = "h", .headers = {{"a:", "x"}}}},
        {"header that splits", {.host = "h", .headers = {{"a", "x\r\nb: c"}}}},
        {"Host", {.host = "h", .headers = {{"host", "x"}}}},
        {"Upgrade", {.host = "h", .headers = {{"UPGRADE", "x"}}}},
        {"Connection", {.host = "h", .headers = {{"Connection", "close"}}}},
        {"Content-Length", {.host = "h", .headers = {{"Content-Length", "0"}}}},
        {"Transfer-Encoding", {.host = "h", .headers = {{"Transfer-Encoding", "chunked"}}}},
        {"Sec-WebSocket-Key", {.host = "h", .headers = {{"sec-websocket-key", "x"}}}},
        {"Sec-WebSocket-Extensions", {.host = "h", .headers = {{"Sec-WebSocket-Extensions", "x"}}}},
        {"two origins", {.host = "h", .origin = "o", .headers = {{"origin", "o"}}}},
    }));
    INFO(r.name);
    client_handshake handshake = make(r.request);
    CHECK(handshake.error() == errc::invalid_request);
    CHECK(handshake.state() == failed);
    CHECK(handshake.request().empty());
    const auto [consumed, ec] = handshake.receive(bytes(answer));
    CHECK(consumed == 0);
    CHECK(ec == errc::invalid_request);
}

TEST_CASE("client_handshake: the answer of the RFC opens, frames behind it stay (1.2, 4.1)") {
    const auto all = bytes(answer) + support::hex("81 05 48656c6c6f");
    for (const auto& cut : support::every_chunking(all)) {
        client_handshake handshake = make(chat());
        std::size_t consumed = 0;
        for (const auto& piece : cut) consumed += handshake.receive(piece).consumed;
        CHECK(consumed == answer.size());
        CHECK(handshake.state() == open);
        CHECK(handshake.error() == errc{});
        CHECK(handshake.subprotocol() == "chat");
        CHECK(handshake.response().status() == 101);
        CHECK(handshake.receive(bytes("x")).ec == errc::ok);
    }
}

TEST_CASE("client_handshake: what a server may write in its own way (4.1)") {
    const auto response =
        GENERATE(with("Upgrade: websocket", "upgrade: WebSocket"),
                 with("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
                 with("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"),
                 with("Switching Protocols", ""), with("Sec-WebSocket-Protocol: chat\r\n", ""),
                 with("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat"),
                 with("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 0"),
                 with("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Extensions: "),
                 with("Upgrade: websocket", "Upgrade: websocket\r\nServer: x\r\nDate: y"));
    INFO(response);
    CHECK(outcome(chat(), response) == errc::ok);
}

TEST_CASE("client_handshake: each check has an error of its own (4.1)") {
    constexpr std::string_view accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    constexpr std::string_view chosen = "Sec-WebSocket-Protocol: chat\r\n";
    struct row {
        std::string_view line, other;
        errc ec;
    };
    const auto r = GENERATE_COPY(values<row>({
        {"101 Switching Protocols", "200 OK", errc::upgrade_refused},
        {"101 Switching Protocols", "301 Moved\r\nLocation: /x", errc::upgrade_refused},
        {"101 Switching Protocols", "401 No", errc::upgrade_refused},
        {"HTTP/1.1", "HTTP/1.0", errc::http_version},
        {"HTTP/1.1", "HTTP/2.0", errc::http_version},
        {"Upgrade: websocket\r\n", "", errc::response_upgrade},
        {"Upgrade: websocket", "Upgrade: h2c", errc::response_upgrade},
        {"Upgrade: websocket", "Upgrade: websocket, h2c", errc::response_upgrade},
        {"Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket", errc::response_upgrade},
        {"Upgrade: websocket", "Upgrade: websockets", errc::response_upgrade},
        {"Connection: Upgrade\r\n", "", errc::response_connection},
        {"Connection: Upgrade", "Connection: close", errc::response_connection},
        {"Connection: Upgrade", "Connection: not-Upgrade", errc::response_connection},
        {accept, "", errc::response_accept},
        {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", errc::response_accept},
        {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", errc::response_accept},
        {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", errc::response_accept},
        {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "dGhlIHNhbXBsZSBub25jZQ==", errc::response_accept},
        {chosen, "Sec-WebSocket-Extensions: permessage-deflate\r\n", errc::response_extension},
        {chosen, "Sec-WebSocket-Extensions: ,\r\nSec-WebSocket-Extensions: x\r\n",
         errc::response_extension},
        {chosen, "Sec-WebSocket-Extensions: x;\r\n", errc::extensions_invalid},
        {"Protocol: chat", "Protocol: other", errc::response_subprotocol},
        {"Protocol: chat", "Protocol: CHAT", errc::response_subprotocol},
        {"Protocol: chat", "Protocol: chat, superchat", errc::response_subprotocol},
        {"Protocol: chat", "Protocol: ", errc::response_subprotocol},
        {chosen, "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n",
         errc::response_subprotocol},
        {accept, "Sec-WebSocket-Accept: a\r\nSec-WebSocket-Accept: b\r\n",
         errc::http_duplicate_field},
        {"Connection: Upgrade", "Connection : Upgrade", errc::http_space_before_colon},
        {"HTTP/1.1", "SSH-2.0", errc::http_status_line},
    }));
    INFO(r.line << " -> " << r.other);
    CHECK(describe(outcome(chat(), with(r.line, r.other))) == describe(r.ec));
}

TEST_CASE("client_handshake: a subprotocol when none was offered is refused (4.1)") {
    CHECK(outcome({.host = "h"}, answer) == errc::response_subprotocol);
    CHECK(outcome({.host = "h"}, with("Sec-WebSocket-Protocol: chat\r\n", "")) == errc::ok);
}

TEST_CASE("client_handshake: a refusal can be read, with its body (4.1)") {
    const std::string_view head =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\n";
    const auto all = bytes(std::string{head} + "no, and more");
    for (const auto& cut : support::every_chunking(all)) {
        client_handshake handshake = make(chat());
        std::size_t consumed = 0;
        for (const auto& piece : cut) {
            const auto progress = handshake.receive(piece);
            consumed += progress.consumed;
            const bool over = consumed == head.size() + 2;
            CHECK(progress.ec == (over ? errc::upgrade_refused : errc::need_more));
            if (!over && consumed >= head.size()) CHECK(handshake.state() == refusing);
        }
        CHECK(consumed == head.size() + 2);
        CHECK(handshake.state() == refused);
        CHECK(handshake.error() == errc::upgrade_refused);
        CHECK(handshake.subprotocol().empty());
        CHECK(handshake.response().status() == 401);
        CHECK(handshake.response().reason() == "Unauthorized");
        CHECK(handshake.body() == "no");
        CHECK_FALSE(handshake.body_cut());
        const auto response = handshake.take_response();
        CHECK(response.find("www-authenticate") == "Basic");
        CHECK(handshake.response().size() == 0);
        CHECK(handshake.take_body() == "no");
        CHECK(handshake.body().empty());
    }
}

TEST_CASE(
    "client_handshake: a refusal's body, framed in each way and cut in every way (9112 6.3)") {
    struct row {
        std::string_view fields, sent, body;
        bool cut, ends_by_itself;
    };
    const auto r = GENERATE(values<row>({
        {"Content-Length: 0\r\n", "", "", false, true},
        {"Content-Length: 4\r\n", "abcd", "abcd", false, true},
        {"Content-Length: 4\r\n", "abc", "abc", true, false},
        {"Content-Length: 9\r\n", "abcdefgh", "abcdefgh", true, true},
        {"Transfer-Encoding: chunked\r\n", "3;x\r\nabc\r\n1\r\nd\r\n0\r\nT: t\r\n\r\n", "abcd",
         false, true},
        {"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "abc", true, false},
        {"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\nx", "abc", true, true},
        {"Transfer-Encoding: chunked\r\n", "9\r\nabcdefghi\r\n", "abcdefgh", true, true},
        {"", "abcd", "abcd", false, false},
        {"", "abcdefgh", "abcdefgh", false, false},
        {"", "abcdefghi", "abcdefgh", true, true},
    }));
    INFO(r.fields << r.sent);
    const std::string head = "HTTP/1.1 503 Busy\r\n" + std::string{r.fields} + "\r\n";
    for (const auto& cut : support::every_chunking(bytes(head + std::string{r.sent}))) {
        client_handshake handshake = make(chat(), {.body = 8});
        errc ec = errc::need_more;
        for (const auto& piece : cut)
            if (ec == errc::need_more) ec = handshake.receive(piece).ec;
        CHECK(ec == (r.ends_by_itself ? errc::upgrade_refused : errc::need_more));
        CHECK(handshake.error() == errc::upgrade_refused);
        CHECK(handshake.end(errc::end_of_stream) == errc::upgrade_refused);
        CHECK(handshake.state() == refused);
        CHECK(handshake.response().status() == 503);
        CHECK(handshake.body() == r.body);
        CHECK(handshake.body_cut() == r.cut);
        CHECK(handshake.receive(bytes("x")).consumed == 0);
    }
}

TEST_CASE("client_handshake: whatever ends it inside a refusal's body, it was refused (4.1)") {
    for (const errc how : {errc::end_of_stream, errc::transport_lost, errc::opening_timeout}) {
        client_handshake before = make(chat());
        CHECK(before.receive(bytes("HTTP/1.1 403 No\r\n")).ec == errc::need_more);
        CHECK(before.end(how) == how);
        CHECK(before.state() == waiting);

        client_handshake inside = make(chat());
        CHECK(inside.receive(bytes("HTTP/1.1 403 No\r\n\r\nwhy")).ec == errc::need_more);
        CHECK(inside.end(how) == errc::upgrade_refused);
        CHECK(inside.end(how) == errc::upgrade_refused);
        CHECK(inside.state() == refused);
        CHECK(inside.body() == "why");
        CHECK(inside.body_cut() == (how != errc::end_of_stream));
    }
}

TEST_CASE("client_handshake: a limit of 0 waits for no body (4.1)") {
    client_handshake handshake = make(chat(), {.body = 0});
    const std::string_view head = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n";
    const auto [consumed, ec] = handshake.receive(bytes(std::string{head} + "no"));
    CHECK(consumed == head.size());
    CHECK(ec == errc::upgrade_refused);
    CHECK(handshake.body().empty());
    CHECK(handshake.body_cut());
}

TEST_CASE("client_handshake: a 101 that fails a check can be read too (4.1)") {
    client_handshake handshake = make(chat());
    CHECK(handshake.receive(bytes(with("chat", "other"))).ec == errc::response_subprotocol);
    CHECK(handshake.state() == failed);
    CHECK(handshake.subprotocol().empty());
    CHECK(handshake.response().find("Sec-WebSocket-Protocol") == "other");
}

TEST_CASE("client_handshake: interim responses are passed over, eight of them (RFC 9110 15.2)") {
    const std::string_view hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    const std::string_view proceed = "HTTP/1.1 100 \r\n\r\n";
    CHECK(outcome(chat(), std::string{hints}.append(proceed).append(answer)) == errc::ok);
    CHECK(outcome(chat(), hints) == errc::need_more);

    std::string eight;
    for (int i = 0; i != 8; ++i) eight += hints;
    CHECK(outcome(chat(), eight + std::string{answer}) == errc::ok);
    CHECK(outcome(chat(), eight + std::string{hints}) == errc::http_head_too_large);
}

TEST_CASE("client_handshake: the limits hold for the response (4.1)") {
    client_handshake handshake = make(chat(), {.total = 40});
    const auto [consumed, ec] = handshake.receive(bytes(answer));
    CHECK(consumed == 40);
    CHECK(ec == errc::http_head_too_large);
    CHECK(handshake.state() == failed);
}

namespace {

// What becomes of a client that offers permessage-deflate as `wants` says and is answered with `fields`.
struct deflate_case {
    deflate_options wants;
    std::string fields;
    errc ec;
    std::optional<deflate_agreement> agreed;
};

void check_deflate(const deflate_case& c) {
    const std::string text = with("Sec-WebSocket-Protocol: chat\r\n", c.fields);
    for (const auto& pieces : support::every_chunking(bytes(text))) {
        client_handshake handshake = make({.host = "h"}, {}, c.wants);
        errc ec = errc::need_more;
        for (const auto& piece : pieces)
            if (ec == errc::need_more) ec = handshake.receive(piece).ec;
        CHECK(describe(ec) == describe(c.ec));
        CHECK(handshake.deflate() == c.agreed);
    }
}

}  // namespace

TEST_CASE(
    "client_handshake: permessage-deflate is offered, with what to fall back on (RFC 7692 5)") {
    deflate_options wants;
    client_handshake without = make({.host = "h"}, {}, wants);
    CHECK(without.request().find("Extensions") == std::string_view::npos);
    wants.enabled = true;
    client_handshake one = make({.host = "h"}, {}, wants);
    CHECK(one.request().find("\r\nSec-WebSocket-Extensions: permessage-deflate; "
                             "client_max_window_bits\r\n") != std::string_view::npos);
    wants.offers = {{true, false, 10, {}}, {}};
    client_handshake two = make({.host = "h"}, {}, wants);
    CHECK(two.request().find("\r\nSec-WebSocket-Extensions: permessage-deflate; "
                             "server_no_context_takeover; server_max_window_bits=10, "
                             "permessage-deflate\r\n") != std::string_view::npos);
    wants.offers = {{}, {false, false, 16, {}}};
    client_handshake bad = make({.host = "h"}, {}, wants);
    CHECK(bad.error() == errc::invalid_request);
    CHECK(bad.request().empty());
}

TEST_CASE("client_handshake: an answer is one of the offers, or the handshake fails "
          "(RFC 7692 5.1, 7.1)") {
    deflate_options any;
    any.enabled = true;
    deflate_options small = any;
    small.offers = {{true, false, 10, {}}, {false, false, {}, 9}};
    const std::string f = "Sec-WebSocket-Extensions: permessage-deflate";
    const deflate_case cases[] = {
        {any, "", errc::ok, {}},
        {any, "Sec-WebSocket-Extensions: \r\n", errc::ok, {}},
        {any, f + "\r\n", errc::ok, deflate_agreement{}},
        {any, f + "; server_max_window_bits=\"10\"; client_max_window_bits=9\r\n", errc::ok,
         deflate_agreement{{10, true}, {9, true}}},
        {any, f + "; client_no_context_takeover; server_no_context_takeover\r\n", errc::ok,
         deflate_agreement{{15, false}, {15, false}}},
        // zlib makes 9 of it: agreed to, and nothing is compressed
        {any, f + "; client_max_window_bits=8\r\n", errc::ok,
         deflate_agreement{{15, true}, {8, true}}},
        {any, "Sec-WebSocket-Extensions: ,\r\n" + f + "\r\n", errc::ok, deflate_agreement{}},
        {small, f + "; server_no_context_takeover; server_max_window_bits=10\r\n", errc::ok,
         deflate_agreement{{10, false}, {15, true}}},
        {small, f + "\r\n", errc::ok, deflate_agreement{{15, true}, {9, true}}},
        {small, f + "; client_max_window_bits=10\r\n", errc::response_deflate, {}},
        {any, f + "; client_max_window_bits\r\n", errc::deflate_parameter, {}},
        {any, f + "; server_max_window_bits=16\r\n", errc::deflate_parameter, {}},
        {any, f + "; x\r\n", errc::deflate_parameter, {}},
        {any,
         f + "; server_no_context_takeover; server_no_context_takeover\r\n",
         errc::deflate_parameter,
         {}},
        {any, f + ";\r\n", errc::extensions_invalid, {}},
        {any, "Sec-WebSocket-Extensions: x\r\n", errc::response_extension, {}},
        {any, "Sec-WebSocket-Extensions: Permessage-Deflate\r\n", errc::response_extension, {}},
    };
    for (const deflate_case& c : cases) {
        INFO(c.fields);
        check_deflate(c);
    }
}

TEST_CASE("client_handshake: an extension may be answered once, in one field or in two "
          "(RFC 7692 5.1)") {
    deflate_options wants;
    wants.enabled = true;
    const std::string name = "Sec-WebSocket-Extensions: permessage-deflate";
    for (const std::string& text :
         {name + ", permessage-deflate\r\n", name + "\r\n" + name + "\r\n", name + ", x\r\n"}) {
        client_handshake handshake = make({.host = "h"}, {}, wants);
        CHECK(handshake.receive(bytes(with("Sec-WebSocket-Protocol: chat\r\n", text))).ec ==
              errc::response_extension);
    }
}
