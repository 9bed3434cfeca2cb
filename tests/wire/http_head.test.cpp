#include <sansocket/wire/http_head.hpp>

#include <sansocket/wire/http_head_parser.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::string_view_literals;
using sansocket::append_field;
using sansocket::errc;
using sansocket::http_head;
using sansocket::http_list;

http_head request(std::string_view fields) {
    sansocket::http_head_parser parser{sansocket::http_kind::request};
    const auto input = support::bytes("GET /x HTTP/1.1\r\n" + std::string{fields} + "\r\n");
    REQUIRE(parser.receive(input).ec == errc::ok);
    return parser.release();
}

}  // namespace

// RFC 9110 5.6.2
static_assert(sansocket::is_token("!#$%&'*+-.^_`|~09azAZ"));
static_assert(!sansocket::is_token(""));
static_assert(!sansocket::is_token("a b"));

// RFC 9110 5.6.1.2
static_assert([] {
    http_list list{" a ,, b\t,"};
    return list.next() == "a" && list.next() == "b" && !list.next() && !list.next();
}());

TEST_CASE("http_head: a token is letters, digits and fifteen others (RFC 9110 5.6.2)") {
    const std::string_view allowed =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int c = 0; c != 256; ++c) {
        const char text = static_cast<char>(c);
        INFO(c);
        CHECK(sansocket::is_token({&text, 1}) == (allowed.find(text) != allowed.npos));
    }
}

TEST_CASE("http_head: a value holds no control character but a tab within (RFC 9110 5.5)") {
    for (int c = 0; c != 256; ++c) {
        const std::string text = {'a', static_cast<char>(c), 'b'};
        INFO(c);
        CHECK(sansocket::is_field_value(text) == (c == '\t' || (c >= 0x20 && c != 0x7f)));
    }
    CHECK(sansocket::is_field_value(""));
    CHECK_FALSE(sansocket::is_field_value(" a"));
    CHECK_FALSE(sansocket::is_field_value("a\t"));
}

TEST_CASE("http_head: append_field writes one line or nothing (RFC 9110 5.5)") {
    std::string out = "before";
    CHECK(append_field(out, "X-Name", "a value"));
    CHECK(out == "beforeX-Name: a value\r\n");

    for (const auto& [name, value] :
         {std::pair{"X"sv, "a\r\nSet-Cookie: b"sv}, std::pair{"X"sv, "a\nb"sv},
          std::pair{"X"sv, "a\rb"sv}, std::pair{"X"sv, "a\0b"sv}, std::pair{"X\r\nY"sv, "a"sv},
          std::pair{"X:"sv, "a"sv}, std::pair{"X "sv, "a"sv}, std::pair{""sv, "a"sv}}) {
        INFO(name << " = " << value);
        CHECK_FALSE(append_field(out, name, value));
        CHECK(out == "beforeX-Name: a value\r\n");
    }
}

TEST_CASE("http_head: fields keep their order and are found in any case (RFC 9110 5.1)") {
    const http_head head = request("Host: h\r\nX-A:1\r\nx-a: \t2 \t\r\nEmpty:\r\nBlank: \t \r\n");

    REQUIRE(head.size() == 5);
    CHECK(head[1].name == "X-A");
    CHECK(head[1].value == "1");
    CHECK(head[2].value == "2");
    CHECK(head[9].name.empty());

    CHECK(head.find("hOST") == "h");
    CHECK(head.find("X-A") == "1");
    CHECK(head.find("empty") == "");
    CHECK(head.find("Blank") == "");
    CHECK_FALSE(head.find("X-"));
    CHECK(head.count("X-a") == 2);
    CHECK(head.count("none") == 0);

    std::string names;
    for (const auto field : head) names += std::string{field.name} + ";";
    CHECK(names == "Host;X-A;x-a;Empty;Blank;");
}

TEST_CASE("http_head: a list runs over all fields of its name (RFC 9110 5.3, 5.6.1)") {
    const http_head head =
        request("Connection: keep-alive ,, Upgrade\r\nX: y\r\nconnection: ,\tTE\t\r\n");

    CHECK(head.has_token("Connection", "upgrade"));
    CHECK(head.has_token("Connection", "te"));
    CHECK(head.has_token("CONNECTION", "Keep-Alive"));
    CHECK_FALSE(head.has_token("Connection", "keep"));
    CHECK_FALSE(head.has_token("Connection", "upgrade2"));
    CHECK_FALSE(head.has_token("Connection", ""));
    CHECK_FALSE(head.has_token("X", "upgrade"));
    CHECK_FALSE(head.has_token("None", "upgrade"));
}

TEST_CASE("http_head: a head outlives its parser, and a moved-from one is empty") {
    http_head head = request("Host: h\r\n");
    head.shrink_to_fit();
    const http_head copy = head;
    const http_head moved = std::move(head);
    for (const http_head& h : {copy, moved}) {
        CHECK(h.method() == "GET");
        CHECK(h.target() == "/x");
        CHECK(h.find("Host") == "h");
    }
    CHECK(head.size() == 0);  // NOLINT(bugprone-use-after-move): it is the subject
    CHECK(head.method().empty());
    CHECK(head.target().empty());
    CHECK_FALSE(head.find("Host"));
}

TEST_CASE("http_head: each error has the status that fits (RFC 9110 15)") {
    using sansocket::status_for;
    CHECK(status_for(errc::method_not_get) == 405);
    CHECK(status_for(errc::http_target_too_long) == 414);
    CHECK(status_for(errc::http_line_too_long) == 431);
    CHECK(status_for(errc::http_too_many_fields) == 431);
    CHECK(status_for(errc::http_head_too_large) == 431);
    CHECK(status_for(errc::http_version) == 505);
    CHECK(status_for(errc::http_version_too_old) == 426);
    CHECK(status_for(errc::websocket_version_unsupported) == 426);
    CHECK(status_for(errc::origin_refused) == 403);
    CHECK(status_for(errc::opening_timeout) == 408);
    CHECK(status_for(errc::http_nul) == 400);
    CHECK(status_for(errc::http_duplicate_field) == 400);
    CHECK(status_for(errc::http_body_framing) == 400);
    CHECK(status_for(errc::websocket_key_invalid) == 400);
    for (std::size_t i = 0; i != sansocket::errc_count; ++i) {
        const auto status = status_for(static_cast<errc>(i));
        CHECK((status >= 400 && status <= 599));
    }
}

TEST_CASE("http_head: the fields of the handshake are reserved") {
    for (const auto name : {"Host", "upgrade", "CONNECTION", "Content-Length", "transfer-encoding",
                            "Sec-WebSocket-Key", "sec-websocket-anything"}) {
        INFO(name);
        CHECK(sansocket::is_reserved_field(name));
    }
    for (const auto name : {"Cookie", "Authorization", "Origin", "Sec-WebSocket", ""}) {
        INFO(name);
        CHECK_FALSE(sansocket::is_reserved_field(name));
    }
}
