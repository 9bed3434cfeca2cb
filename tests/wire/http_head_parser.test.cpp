#include <sansocket/wire/http_head_parser.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <string>
#include <string_view>

namespace {

using namespace std::string_view_literals;
using sansocket::errc;
using sansocket::http_head_parser;
using sansocket::http_kind;
using sansocket::http_limits;
using support::bytes;

struct outcome {
    std::size_t consumed = 0;
    errc ec = errc::need_more;
};

// Feeds the pieces until the parser is done; a piece in the middle has to be taken whole.
outcome feed(http_head_parser& parser, const support::pieces& pieces) {
    outcome out;
    for (const auto& piece : pieces) {
        const auto [consumed, ec] = parser.receive(piece);
        out.consumed += consumed;
        out.ec = ec;
        CHECK(consumed <= piece.size());
        CHECK(ec == parser.error());
        if (ec != errc::need_more) return out;
        CHECK(consumed == piece.size());
    }
    return out;
}

struct bad_head {
    std::string_view name, text;
    errc ec;
    std::size_t at;  // how many bytes are right
};

// `text` fails at byte number `at` however it is cut, and stays failed; and it needs no byte more
// than that one to fail.
void check_bad(http_kind kind, const bad_head& row, const http_limits& limits = {}) {
    INFO(row.name);
    const auto all = bytes(row.text);
    for (const auto& cut : support::every_chunking(all)) {
        http_head_parser parser{kind, limits};
        const auto [consumed, ec] = feed(parser, cut);
        CHECK(describe(ec) == describe(row.ec));
        CHECK(consumed == row.at);
        const auto more = parser.receive(bytes("GET / HTTP/1.1\r\n\r\n"));
        CHECK(more.consumed == 0);
        CHECK(more.ec == row.ec);
    }
    REQUIRE(row.at < all.size());
    http_head_parser early{kind, limits};
    CHECK(early.receive(std::span{all}.first(row.at)).ec == errc::need_more);
    CHECK(early.receive(std::span{all}.subspan(row.at, 1)).ec == row.ec);
}

constexpr std::string_view chrome = "GET /chat?room=1&q=%20{x} HTTP/1.1\r\n"
                                    "Host: server.example.com\r\n"
                                    "Connection: keep-alive, Upgrade\r\n"
                                    "Upgrade: websocket\r\n"
                                    "X-Text: caf\xc3\xa9 \t au lait \t\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                    "Sec-WebSocket-Version: 13\r\n"
                                    "\r\n";

}  // namespace

TEST_CASE("http_head_parser: a request in every chunking, bytes behind it untouched (9112 2.1)") {
    for (const std::string_view tail : {""sv, "\x81\x85rest"sv, "\r\n"sv}) {
        const auto all = bytes(std::string{chrome} + std::string{tail});
        for (const auto& cut : support::every_chunking(all)) {
            http_head_parser parser{http_kind::request};
            const auto [consumed, ec] = feed(parser, cut);
            REQUIRE(ec == errc::ok);
            CHECK(consumed == chrome.size());
            CHECK(parser.receive(bytes("more")).consumed == 0);
            CHECK(parser.error() == errc::ok);
            const auto& head = parser.head();
            CHECK(head.method() == "GET");
            CHECK(head.target() == "/chat?room=1&q=%20{x}");
            CHECK(head.version_minor() == 1);
            CHECK(head.status() == 0);
            CHECK(head.reason().empty());
            CHECK(head.size() == 6);
            CHECK(head.find("host") == "server.example.com");
            CHECK(head.find("x-text") == "caf\xc3\xa9 \t au lait");
        }
    }
}

TEST_CASE("http_head_parser: no prefix of a head is complete or wrong (9112 2.1)") {
    const auto all = bytes(chrome);
    for (std::size_t n = 0; n != all.size(); ++n) {
        http_head_parser parser{http_kind::request};
        const auto [consumed, ec] = parser.receive(std::span{all}.first(n));
        CHECK(ec == errc::need_more);
        CHECK(consumed == n);
    }
}

TEST_CASE("http_head_parser: a response in every chunking (9112 4)") {
    struct row {
        std::string_view text;
        std::uint16_t status;
        std::string_view reason;
        std::uint8_t minor;
    };
    const auto r = GENERATE(values<row>({
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101,
         "Switching Protocols", 1},
        {"HTTP/1.0 404 \r\nUpgrade: websocket\r\n\r\n", 404, "", 0},
        {"HTTP/1.1 200\r\nUpgrade: websocket\r\n\r\n", 200, "", 1},
        {"HTTP/1.9 999 d\xe9j\xe0 \t vu\r\nUpgrade: websocket\r\n\r\n", 999, "d\xe9j\xe0 \t vu", 9},
        {"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\nUpgrade: websocket\r\n\r\n", 401, "No",
         1},
        {"HTTP/1.1 426 V\r\nContent-Length: 12\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Version: 8, 7\r\nUpgrade: websocket\r\n\r\n",
         426, "V", 1},
    }));
    for (const auto& cut : support::every_chunking(bytes(r.text))) {
        http_head_parser parser{http_kind::response};
        const auto [consumed, ec] = feed(parser, cut);
        REQUIRE(ec == errc::ok);
        CHECK(consumed == r.text.size());
        CHECK(parser.head().status() == r.status);
        CHECK(parser.head().reason() == r.reason);
        CHECK(parser.head().version_minor() == r.minor);
        CHECK(parser.head().method().empty());
        CHECK(parser.head().find("Upgrade") == "websocket");
    }
}

TEST_CASE("http_head_parser: forms of a request that are right (9112 2.2, 3.2)") {
    const auto text = GENERATE(values<std::string_view>({
        "GET / HTTP/1.1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "GET http://h:80/x HTTP/1.1\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\n\r\n",
        "M-SEARCH~ / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 000\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n",
        "GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~: x\r\n\r\n",
    }));
    INFO(text);
    for (const auto& cut : support::every_chunking(bytes(text))) {
        http_head_parser parser{http_kind::request};
        CHECK(feed(parser, cut).ec == errc::ok);
    }
}

TEST_CASE("http_head_parser: requests that are refused, at the byte that is wrong (9112 2 to 6)") {
    const auto row = GENERATE(values<bad_head>({
        {"a TLS ClientHello", "\x16\x03\x01\x02\x00\x01"sv, errc::http_request_line, 0},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM", errc::http_version, 11},
        {"bare LF first", "\nGET / HTTP/1.1\r\n", errc::http_line_end, 0},
        {"bare CR first", "\rGET / HTTP/1.1\r\n", errc::http_line_end, 1},
        {"a ninth empty line", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nG", errc::http_request_line,
         16},
        {"NUL first", "\0GET"sv, errc::http_nul, 0},
        {"no method", " / HTTP/1.1\r\n", errc::http_request_line, 0},
        {"bad method character", "G(T / HTTP/1.1\r\n", errc::http_request_line, 1},
        {"NUL in the method", "G\0T"sv, errc::http_nul, 1},
        {"tab behind the method", "GET\t/ HTTP/1.1\r\n", errc::http_request_line, 3},
        {"method alone", "GET\r\n", errc::http_request_line, 3},
        {"method and LF", "GET\n", errc::http_line_end, 3},
        {"two spaces", "GET  / HTTP/1.1\r\n", errc::http_request_line, 4},
        {"no target", "GET \r\n", errc::http_request_line, 4},
        {"target with a bad first character", "GET ?q HTTP/1.1\r\n", errc::http_request_line, 4},
        {"no version (HTTP/0.9)", "GET /\r\n", errc::http_request_line, 5},
        {"fragment", "GET /#f HTTP/1.1\r\n", errc::http_request_line, 5},
        {"control in the target", "GET /\x01 HTTP/1.1\r\n", errc::http_request_line, 5},
        {"NUL in the target", "GET /\0 HTTP/1.1\r\n"sv, errc::http_nul, 5},
        {"high byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\n", errc::http_request_line, 5},
        {"space in the target", "GET /a b HTTP/1.1\r\n", errc::http_request_line, 7},
        {"lower case version", "GET / http/1.1\r\n", errc::http_request_line, 6},
        {"other protocol", "GET / HTCPCP/1.0\r\n", errc::http_request_line, 8},
        {"HTTP/0.9", "GET / HTTP/0.9\r\n", errc::http_version, 11},
        {"HTTP/2.0", "GET / HTTP/2.0\r\n", errc::http_version, 11},
        {"HTTP/11.1", "GET / HTTP/11.1\r\n", errc::http_request_line, 12},
        {"HTTP/1,1", "GET / HTTP/1,1\r\n", errc::http_request_line, 12},
        {"HTTP/1.x", "GET / HTTP/1.x\r\n", errc::http_request_line, 13},
        {"HTTP/1.10", "GET / HTTP/1.10\r\n", errc::http_request_line, 14},
        {"space behind the version", "GET / HTTP/1.1 \r\n", errc::http_request_line, 14},
        {"request line ends in LF", "GET / HTTP/1.1\nHost: h\r\n\r\n", errc::http_line_end, 14},
        {"request line ends in CR", "GET / HTTP/1.1\rHost: h\r\n\r\n", errc::http_line_end, 15},
        {"white space before the fields", "GET / HTTP/1.1\r\n Host: h\r\n", errc::http_folding, 16},
        {"empty name", "GET / HTTP/1.1\r\n: h\r\n", errc::http_field_name, 16},
        {"bad first character of a name", "GET / HTTP/1.1\r\n(a: h\r\n", errc::http_field_name, 16},
        {"bad character in a name", "GET / HTTP/1.1\r\nHo@t: h\r\n", errc::http_field_name, 18},
        {"high byte in a name", "GET / HTTP/1.1\r\nH\xc3\xb6: h\r\n", errc::http_field_name, 17},
        {"no colon", "GET / HTTP/1.1\r\nHost\r\n", errc::http_field_name, 20},
        {"no colon, LF", "GET / HTTP/1.1\r\nHost\n", errc::http_line_end, 20},
        {"NUL in a name", "GET / HTTP/1.1\r\nHo\0t: h"sv, errc::http_nul, 18},
        {"space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n", errc::http_space_before_colon,
         20},
        {"tab before the colon", "GET / HTTP/1.1\r\nHost\t: h\r\n", errc::http_space_before_colon,
         20},
        {"NUL in a value", "GET / HTTP/1.1\r\nHost: \0h\r\n"sv, errc::http_nul, 22},
        {"control in a value", "GET / HTTP/1.1\r\nHost: h\x01\r\n", errc::http_field_value, 23},
        {"DEL in a value", "GET / HTTP/1.1\r\nHost: \x7f\r\n", errc::http_field_value, 22},
        {"bare LF in a value", "GET / HTTP/1.1\r\nHost: h\n\r\n", errc::http_line_end, 23},
        {"bare CR in a value", "GET / HTTP/1.1\r\nHost: h\rx\r\n", errc::http_line_end, 24},
        {"CR CR LF", "GET / HTTP/1.1\r\nHost: h\r\r\n", errc::http_line_end, 24},
        {"folding with a space", "GET / HTTP/1.1\r\nHost: h\r\n x\r\n", errc::http_folding, 25},
        {"folding with a tab", "GET / HTTP/1.1\r\nHost: h\r\n\tx\r\n", errc::http_folding, 25},
        {"last line ends in LF", "GET / HTTP/1.1\r\nHost: h\r\n\n", errc::http_line_end, 25},
        {"last line ends in CR", "GET / HTTP/1.1\r\nHost: h\r\n\rx", errc::http_line_end, 26},
        {"two Hosts", "GET / HTTP/1.1\r\nHost: h\r\nhOST: h\r\n", errc::http_duplicate_field, 32},
        {"two Origins", "GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: b\r\n", errc::http_duplicate_field,
         36},
        {"two keys", "GET / HTTP/1.1\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Key: a\r\n",
         errc::http_duplicate_field, 58},
        {"two versions",
         "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
         errc::http_duplicate_field, 68},
        {"two lengths", "GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
         errc::http_duplicate_field, 52},
        {"a body", "GET / HTTP/1.1\r\nContent-Length: 1\r\n", errc::http_body_framing, 33},
        {"length is no number", "GET / HTTP/1.1\r\nContent-Length: 0x0\r\n",
         errc::http_body_framing, 35},
        {"length has a sign", "GET / HTTP/1.1\r\nContent-Length: +0\r\n", errc::http_body_framing,
         34},
        {"length is a list", "GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n", errc::http_body_framing,
         36},
        {"length is empty", "GET / HTTP/1.1\r\nContent-Length:\r\n", errc::http_body_framing, 31},
        {"chunked", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", errc::http_body_framing,
         42},
    }));
    check_bad(http_kind::request, row);
}

TEST_CASE("http_head_parser: responses that are refused, at the byte that is wrong (9112 4)") {
    const auto row = GENERATE(values<bad_head>({
        {"a TLS alert", "\x15\x03\x01\x00\x02"sv, errc::http_status_line, 0},
        {"empty line first", "\r\nHTTP/1.1 101 x\r\n", errc::http_status_line, 0},
        {"bare LF first", "\nHTTP/1.1", errc::http_line_end, 0},
        {"a request", "GET / HTTP/1.1\r\n", errc::http_status_line, 0},
        {"SSH", "SSH-2.0", errc::http_status_line, 0},
        {"HTTP/2", "HTTP/2 200\r\n", errc::http_version, 5},
        {"no version number", "HTTP 200\r\n", errc::http_status_line, 4},
        {"two spaces", "HTTP/1.1  101 x\r\n", errc::http_status_line, 9},
        {"no status", "HTTP/1.1\r\n", errc::http_status_line, 8},
        {"status of two digits", "HTTP/1.1 10 x\r\n", errc::http_status_line, 11},
        {"status of four digits", "HTTP/1.1 1010 x\r\n", errc::http_status_line, 12},
        {"status below 100", "HTTP/1.1 099 x\r\n", errc::http_status_line, 9},
        {"status is a word", "HTTP/1.1 OK\r\n", errc::http_status_line, 9},
        {"NUL in the reason", "HTTP/1.1 101 a\0"sv, errc::http_nul, 14},
        {"control in the reason", "HTTP/1.1 101 a\x1b[2J\r\n", errc::http_status_line, 14},
        {"reason ends in LF", "HTTP/1.1 101 a\nX: y\r\n", errc::http_line_end, 14},
        {"status ends in LF", "HTTP/1.1 101\nX: y\r\n", errc::http_line_end, 12},
        {"CR without LF", "HTTP/1.1 101 a\rX", errc::http_line_end, 15},
        {"folding", "HTTP/1.1 101 a\r\nX: y\r\n z\r\n", errc::http_folding, 22},
        {"two accepts", "HTTP/1.1 101 a\r\nSec-WebSocket-Accept: a\r\nSec-WebSocket-Accept: a\r\n",
         errc::http_duplicate_field, 64},
        {"two lengths", "HTTP/1.1 200 a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
         errc::http_duplicate_field, 52},
        {"length is no number", "HTTP/1.1 200 a\r\nContent-Length: -1\r\n", errc::http_body_framing,
         34},
    }));
    check_bad(http_kind::response, row);
}

TEST_CASE("http_head_parser: limits are inclusive, and one byte more is refused (9110 5.4)") {
    // The longest line has 17 bytes: "GET /a HTTP/1.1" is 15, "Host: 1234567890x" is 17.
    const std::string_view text = "GET /a HTTP/1.1\r\nHost: 1234567890x\r\nA: b\r\n\r\n";
    const http_limits exact{.line = 17, .fields = 2, .total = text.size()};
    for (const auto& cut : support::every_chunking(bytes(text))) {
        http_head_parser parser{http_kind::request, exact};
        CHECK(feed(parser, cut).ec == errc::ok);
    }
    const auto with = [&](std::size_t line, std::size_t fields, std::size_t less) {
        return http_limits{.line = line, .fields = fields, .total = text.size() - less};
    };
    const auto http = http_kind::request;
    check_bad(http, {"value", text, errc::http_line_too_long, 33}, with(16, 2, 0));
    check_bad(http, {"version", text, errc::http_target_too_long, 14}, with(14, 2, 0));
    check_bad(http, {"target", text, errc::http_target_too_long, 5}, with(5, 2, 0));
    check_bad(http, {"space behind the target", text, errc::http_target_too_long, 6},
              with(6, 2, 0));
    check_bad(http, {"method", text, errc::http_line_too_long, 2}, with(2, 2, 0));
    check_bad(http, {"fields", text, errc::http_too_many_fields, 36}, with(17, 1, 0));
    check_bad(http, {"no fields", text, errc::http_too_many_fields, 17}, with(17, 0, 0));
    check_bad(http, {"total", text, errc::http_head_too_large, 43}, with(17, 2, 1));
    check_bad(http, {"total is nothing", text, errc::http_head_too_large, 0}, with(17, 2, 44));
    check_bad(http,
              {"white space counts", "GET / HTTP/1.1\r\nA:              b\r\n",
               errc::http_line_too_long, 32},
              with(16, 2, 0));
    check_bad(http, {"empty lines count", "\r\n\r\nGET", errc::http_head_too_large, 5},
              http_limits{.total = 5});
    check_bad(http_kind::response, {"reason", "HTTP/1.1 101 abc\r\n", errc::http_line_too_long, 15},
              http_limits{.line = 15});
}

TEST_CASE("http_head_parser: the default limits (9110 5.4)") {
    const auto parse = [](std::string_view text) {
        return http_head_parser{http_kind::request}.receive(bytes(text)).ec;
    };
    const auto line = [](std::size_t size) {
        return "GET / HTTP/1.1\r\nA: " + std::string(size - 3, 'x') + "\r\n\r\n";
    };
    CHECK(parse(line(8192)) == errc::ok);
    CHECK(parse(line(8193)) == errc::http_line_too_long);
    const auto target = [](std::size_t size) {
        return "GET /" + std::string(size - 14, 'x') + " HTTP/1.1\r\n\r\n";
    };
    CHECK(parse(target(8192)) == errc::ok);
    CHECK(parse(target(8193)) == errc::http_target_too_long);
    const auto fields = [](std::size_t n) {
        std::string out = "GET / HTTP/1.1\r\n";
        for (std::size_t i = 0; i != n; ++i) out += "a:\r\n";
        return out + "\r\n";
    };
    CHECK(parse(fields(128)) == errc::ok);
    CHECK(parse(fields(129)) == errc::http_too_many_fields);
    std::string total = "GET / HTTP/1.1\r\n";
    while (total.size() < 65536) total += "a: " + std::string(8000, 'x') + "\r\n";
    CHECK(parse(total) == errc::http_head_too_large);
}

TEST_CASE("http_head_parser: no byte but the right ones ends a run (9110 5.1, 5.5)") {
    for (int c = 0; c != 256; ++c) {
        const char byte = static_cast<char>(c);
        INFO(c);
        const bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        http_head_parser in_value{http_kind::request};
        const auto v =
            in_value.receive(bytes("GET / HTTP/1.1\r\nA: b" + std::string(1, byte) + "c"));
        CHECK((v.ec == errc::need_more) == value);
        http_head_parser in_name{http_kind::request};
        const auto n = in_name.receive(bytes("GET / HTTP/1.1\r\nA" + std::string(1, byte) + "c"));
        CHECK((n.ec == errc::need_more) == (sansocket::is_token({&byte, 1}) || byte == ':'));
    }
}
