#include <sansocket/wire/proxy_header.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace {

using sansocket::errc;
using sansocket::max_proxy_header;
using sansocket::max_proxy_line;
using sansocket::parse_ip_address;
using sansocket::parse_proxy_header;
using sansocket::proxied_kind;
using sansocket::proxy_header;
using support::byte_vector;
using support::bytes;
using support::hex;

const std::string signature = "0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a ";

byte_vector v2(std::string_view rest) { return hex(signature + std::string{rest}); }

// The header at the front of `data` is found once its last byte is there, and not before; what follows
// it is left.
proxy_header check_header(const byte_vector& data) {
    for (std::size_t n = 0; n != data.size(); ++n) {
        CAPTURE(n);
        CHECK(parse_proxy_header(std::span(data).first(n)).ec == errc::need_more);
    }
    auto with_more = data;
    for (const std::byte b : bytes("GET / HTTP/1.1\r\n")) {
        const auto [value, size, ec] = parse_proxy_header(with_more);
        CHECK(ec == errc::ok);
        CHECK(size == data.size());
        with_more.push_back(b);
    }
    return parse_proxy_header(with_more).value;
}

// The error is told at some byte, and whatever follows does not change it.
void check_error(const byte_vector& data, errc wanted) {
    std::size_t n = 0;
    while (n != data.size() && parse_proxy_header(std::span(data).first(n)).ec == errc::need_more)
        ++n;
    for (; n <= data.size(); ++n) CHECK(parse_proxy_header(std::span(data).first(n)).ec == wanted);
}

}  // namespace

static_assert(parse_proxy_header({}).ec == errc::need_more);

TEST_CASE("proxy_header: version 1, byte by byte (2.1)") {
    const auto four = check_header(bytes("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"));
    CHECK(four.kind == proxied_kind::ip);
    CHECK(four.source == parse_ip_address("192.168.0.1"));
    CHECK(four.destination == parse_ip_address("192.168.0.11"));
    CHECK(four.source_port == 56324);
    CHECK(four.destination_port == 443);
    const auto six = check_header(bytes("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"));
    CHECK(six.source == parse_ip_address("2001:db8::1"));
    CHECK(six.destination == parse_ip_address("::1"));
    CHECK(six.source_port == 0);
    CHECK(six.destination_port == 65535);
    CHECK(check_header(bytes("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n")).source ==
          parse_ip_address("192.0.2.1"));
    CHECK(check_header(bytes("PROXY UNKNOWN\r\n")).kind == proxied_kind::unspecified);
    CHECK(check_header(bytes("PROXY UNKNOWN ffff::1 what 65535 ever it is\r\n")).kind ==
          proxied_kind::unspecified);
}

TEST_CASE("proxy_header: version 1 has 107 bytes at most (2.1)") {
    const std::string longest = "PROXY UNKNOWN " + std::string(max_proxy_line - 16, 'x') + "\r\n";
    REQUIRE(longest.size() == 107);
    CHECK(check_header(bytes(longest)).kind == proxied_kind::unspecified);
    check_error(bytes("PROXY UNKNOWN " + std::string(max_proxy_line - 15, 'x') + "\r\n"),
                errc::proxy_header_too_long);
    check_error(bytes("PROXY " + std::string(max_proxy_line - 6, 'x')),
                errc::proxy_header_too_long);
}

TEST_CASE("proxy_header: version 1, malformed (2.1)") {
    for (const std::string_view wrong : {"PROXY \r\n",
                                         "PROXY TCP4\r\n",
                                         "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
                                         "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
                                         "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                                         "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
                                         "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.400 1 2\r\n",
                                         "PROXY TCP4 ::1 ::1 1 2\r\n",
                                         "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
                                         "PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
                                         "PROXY TCP6 [::1] [::1] 1 2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 100000\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
                                         "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx",
                                         "PROXY UNKNOWN\rx",
                                         "PROXY UNKNOWN2\r\n"}) {
        CAPTURE(wrong);
        check_error(bytes(wrong), errc::proxy_header_invalid);
    }
}

TEST_CASE("proxy_header: what is none (2)") {
    for (const std::string_view other : {"GET / HTTP/1.1\r\n", "P ", "PROXx", "proxy TCP4",
                                         "\r\n\r\n\r\n", "\r\nGET", "\x16\x03\x01", "x"}) {
        CAPTURE(other);
        check_error(bytes(other), errc::proxy_header_missing);
    }
    check_error(hex("0d 0a 0d 0a 00 0d 0a 51 55 49 54 0b"), errc::proxy_header_missing);
}

TEST_CASE("proxy_header: version 2, byte by byte (2.2)") {
    const auto four = check_header(v2("21 11 00 0c c0000201 c6336401 1267 01bb"));
    CHECK(four.kind == proxied_kind::ip);
    CHECK(four.source == parse_ip_address("192.0.2.1"));
    CHECK(four.destination == parse_ip_address("198.51.100.1"));
    CHECK(four.source_port == 0x1267);
    CHECK(four.destination_port == 443);
    const auto six = check_header(v2("21 21 00 24 20010db8000000000000000000000001"
                                     "20010db8000000000000000000000002 0102 0304"));
    CHECK(six.source == parse_ip_address("2001:db8::1"));
    CHECK(six.destination == parse_ip_address("2001:db8::2"));
    CHECK(six.source_port == 0x0102);
    CHECK(six.destination_port == 0x0304);
    // With additions: an authority, and a checksum.
    CHECK(check_header(
              v2("21 11 00 19 c0000201 c6336401 1267 01bb 020003 612e62 030004 01020304")) == four);
    CHECK(check_header(v2("21 31 00 d8" + std::string(432, '0'))).kind ==
          proxied_kind::unix_socket);
}

TEST_CASE("proxy_header: version 2 of nobody's, and of what is not supported (2.2)") {
    CHECK(check_header(v2("20 00 00 00")).kind == proxied_kind::own);
    CHECK(check_header(v2("20 11 00 0c c0000201 c6336401 1267 01bb")).kind == proxied_kind::own);
    CHECK(check_header(v2("20 ff 00 01 00")).kind == proxied_kind::own);  // the family is ignored
    CHECK(check_header(v2("21 00 00 00")).kind == proxied_kind::unspecified);
    CHECK(check_header(v2("21 00 00 03 040000")).kind == proxied_kind::unspecified);
    CHECK(check_header(v2("21 01 00 00")).kind == proxied_kind::unspecified);
    CHECK(check_header(v2("21 12 00 0c c0000201 c6336401 1267 01bb")).kind ==
          proxied_kind::unspecified);
    CHECK(check_header(v2("21 10 00 0c c0000201 c6336401 1267 01bb")).kind ==
          proxied_kind::unspecified);
}

TEST_CASE("proxy_header: version 2, malformed (2.2)") {
    for (const std::string_view wrong :
         {"11", "31", "22", "2f", "21 11 00 0b c0000201 c6336401 1267 01",
          "21 21 00 0c c0000201 c6336401 1267 01bb", "21 31 00 01 00",
          "21 13 00 0c c0000201 c6336401 1267 01bb", "21 41 00 00", "21 f1 00 00"}) {
        CAPTURE(wrong);
        check_error(v2(wrong), errc::proxy_header_invalid);
    }
    // 16 bytes and 4080 are 4096, one more are too many: seen before any of them has come.
    REQUIRE(max_proxy_header == 4096);
    CHECK(parse_proxy_header(v2("21 11 0f f0")).ec == errc::need_more);
    check_error(v2("21 11 0f f1"), errc::proxy_header_too_long);
    check_error(v2("20 00 ff ff"), errc::proxy_header_too_long);
    CHECK(check_header(v2("21 11 0f f0" + std::string(8160, '0'))).kind == proxied_kind::ip);
}

// The address sanitizer sees what reads or writes beyond.
TEST_CASE("proxy_header: whatever is made of its parts, with and without its end") {
    static constexpr std::string_view parts[] = {"TCP4",  "TCP6", "UNKNOWN", "1.2.3.4", "::1", "1",
                                                 "65536", "\r\n", "\r",      "x",       " ",   " "};
    std::mt19937 chance(7);
    for (int i = 0; i != 20'000; ++i) {
        std::string line = "PROXY ";
        for (auto n = chance() % 16; n != 0; --n) line += parts[chance() % std::size(parts)];
        line += "\r\n";
        CAPTURE(line);
        const byte_vector data = bytes(line);
        errc told = errc::need_more;  // once it is another, it stays
        for (std::size_t n = 0; n <= data.size(); ++n) {
            const byte_vector seen(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(n));
            const auto [value, size, ec] = parse_proxy_header(seen);
            REQUIRE((told == errc::need_more || ec == told));
            REQUIRE((ec != errc::ok || size <= n));
            told = ec;
        }
        REQUIRE(told != errc::need_more);
    }
}

TEST_CASE("proxy_header: version 2, whatever its bytes and its length") {
    std::mt19937 chance(8);
    for (int i = 0; i != 20'000; ++i) {
        byte_vector data = v2("21 11 00 0c c0000201 c6336401 1267 01bb 030004 01020304");
        data.resize(data.size() - chance() % 20);
        for (auto n = chance() % 4; n != 0; --n)
            data[12 + chance() % (data.size() - 12)] = std::byte(chance() & 0xff);
        const auto [value, size, ec] = parse_proxy_header(data);
        REQUIRE((ec != errc::ok || size <= data.size()));
    }
}
