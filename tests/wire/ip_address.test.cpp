#include <sansocket/wire/ip_address.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using sansocket::errc;
using sansocket::ip_address;
using sansocket::ip_network;
using sansocket::parse_ip_address;
using sansocket::parse_ip_network;

using bytes16 = std::array<std::uint8_t, 16>;

constexpr ip_address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return ip_address(std::array<std::uint8_t, 4>{a, b, c, d});
}

bool holds(std::string_view network, std::string_view address) {
    const auto [value, ec] = parse_ip_network(network);
    REQUIRE(ec == errc::ok);
    const auto parsed = parse_ip_address(address);
    REQUIRE(parsed);
    return value.contains(*parsed);
}

}  // namespace

static_assert(parse_ip_address("192.0.2.1") == v4(192, 0, 2, 1));
static_assert(parse_ip_network("10.0.0.0/8").value.contains(v4(10, 1, 2, 3)));
static_assert(ip_address{} == parse_ip_address("::"));

TEST_CASE("ip_address: IPv4 is four decimal numbers (RFC 3986 3.2.2)") {
    CHECK(parse_ip_address("0.0.0.0") == v4(0, 0, 0, 0));
    CHECK(parse_ip_address("255.255.255.255") == v4(255, 255, 255, 255));
    CHECK(parse_ip_address("192.0.2.1")->is_v4());
    CHECK(parse_ip_address("192.0.2.1")->v4_bytes() == std::array<std::uint8_t, 4>{192, 0, 2, 1});
    for (const std::string_view wrong :
         {"", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.1000",
          "01.2.3.4", "1.2.3.00", "1.2.3.a", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "0x1.2.3.4",
          "1.2.3.4/8"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_ip_address(wrong));
    }
}

TEST_CASE("ip_address: IPv6 in each of its forms (RFC 4291 2.2)") {
    const bytes16 documentation = {0x20, 1, 0x0d, 0xb8, 0,    0,    0,    0,
                                   0,    8, 8,    0,    0x20, 0x0c, 0x41, 0x7a};
    CHECK(parse_ip_address("2001:DB8:0:0:8:800:200C:417A") == ip_address(documentation));
    CHECK(parse_ip_address("2001:db8::8:800:200c:417a") == ip_address(documentation));
    CHECK(parse_ip_address("2001:0db8:0:0:8:800:32.12.65.122") == ip_address(documentation));
    CHECK(parse_ip_address("2001:db8::8:800:32.12.65.122") == ip_address(documentation));
    CHECK(parse_ip_address("::") == ip_address(bytes16{}));
    CHECK(parse_ip_address("::1") ==
          ip_address(bytes16{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
    CHECK(parse_ip_address("ff01::") == ip_address(bytes16{0xff, 1}));
    CHECK(parse_ip_address("1:2:3:4:5:6:7::") ==
          ip_address(bytes16{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0}));
    CHECK(parse_ip_address("::2:3:4:5:6:7:8") ==
          ip_address(bytes16{0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}));
    CHECK_FALSE(parse_ip_address("2001:db8::1")->is_v4());
    for (const std::string_view wrong : {":",
                                         ":::",
                                         "1",
                                         "1:2:3:4:5:6:7",
                                         "1:2:3:4:5:6:7:8:9",
                                         "1:2:3:4::5:6:7:8",
                                         "1::2::3",
                                         "12345::",
                                         "g::",
                                         "::1:",
                                         ":1::",
                                         "1:2:3:4:5:6:7:1.2.3.4",
                                         "1.2.3.4::",
                                         "::1.2.3.4:1",
                                         "::1.2.3",
                                         "[::1]",
                                         "fe80::1%eth0",
                                         "::1/64",
                                         "::01.2.3.4",
                                         "1:2:3:4:5:6:7:8:",
                                         "::1:2:3:4:5:6:1.2.3.4"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_ip_address(wrong));
    }
}

TEST_CASE("ip_address: IPv4 mapped into IPv6 is IPv4 (RFC 4291 2.5.5.2)") {
    CHECK(parse_ip_address("::ffff:192.0.2.1") == v4(192, 0, 2, 1));
    CHECK(parse_ip_address("::ffff:c000:201") == v4(192, 0, 2, 1));
    CHECK(parse_ip_address("::192.0.2.1") != v4(192, 0, 2, 1));
    CHECK_FALSE(parse_ip_address("::192.0.2.1")->is_v4());
    CHECK(v4(192, 0, 2, 1).bytes() ==
          bytes16{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1});
}

TEST_CASE("ip_network: holds what begins with its bits, at each length (RFC 4632 3.1)") {
    const auto base = parse_ip_address("170.170.170.170");
    REQUIRE(base);
    for (std::size_t length = 0; length <= 32; ++length) {
        // The network of that length, and an address that differs in its last bit, and in the one behind.
        const auto flipped = [&](std::size_t bit) {
            auto bytes = base->v4_bytes();
            bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (0x80U >> bit % 8));
            return ip_address(bytes);
        };
        auto bytes = base->v4_bytes();
        for (std::size_t bit = length; bit < 32; ++bit)
            bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> bit % 8));
        const std::string text = std::to_string(bytes[0]) + '.' + std::to_string(bytes[1]) + '.' +
                                 std::to_string(bytes[2]) + '.' + std::to_string(bytes[3]) + '/' +
                                 std::to_string(length);
        CAPTURE(text);
        const auto [network, ec] = parse_ip_network(text);
        REQUIRE(ec == errc::ok);
        CHECK(network.contains(*base));
        if (length != 0) CHECK_FALSE(network.contains(flipped(length - 1)));
        if (length != 32) CHECK(network.contains(flipped(length)));
    }
    CHECK(holds("2001:db8::/32", "2001:db8:ffff::1"));
    CHECK_FALSE(holds("2001:db8::/32", "2001:db9::"));
    CHECK(holds("2001:db8::/33", "2001:db8:7fff::"));
    CHECK_FALSE(holds("2001:db8::/33", "2001:db8:8000::"));
    CHECK(holds("::1", "::1"));
    CHECK_FALSE(holds("::1", "::2"));
    CHECK(holds("192.0.2.1", "192.0.2.1"));
    CHECK_FALSE(holds("192.0.2.1", "192.0.2.2"));
}

TEST_CASE("ip_network: IPv4 and IPv6 are apart, but for what is mapped") {
    CHECK(holds("0.0.0.0/0", "203.0.113.7"));
    CHECK_FALSE(holds("0.0.0.0/0", "::1"));
    CHECK(holds("::/0", "2001:db8::1"));
    CHECK_FALSE(holds("::/0", "203.0.113.7"));
    CHECK(holds("192.0.2.0/24", "::ffff:192.0.2.9"));
    CHECK(holds("::ffff:192.0.2.0/120", "192.0.2.9"));
    CHECK(holds("::ffff:0:0/96", "203.0.113.7"));
    CHECK(parse_ip_network("::ffff:192.0.2.0/120").value == parse_ip_network("192.0.2.0/24").value);
}

TEST_CASE("ip_network: what is none has an error of its own (RFC 4632 3.1)") {
    for (const std::string_view wrong :
         {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/8/8",
          "10.0.0.0/a", "10.0.0.1/8", "10/8", "localhost", "2001:db8::/129", "2001:db8::1/64",
          "::/1000", "::ffff:0:0/95", "::ffff:10.0.0.0/8", "10.0.0.0/-1", "[::1]/128",
          "10.0.0.0 /8"}) {
        CAPTURE(wrong);
        CHECK(parse_ip_network(wrong).ec == errc::network_invalid);
    }
}
