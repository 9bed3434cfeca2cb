#include <sansocket/wire/forwarded.hpp>

#include <sansocket/wire/http_head_parser.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using sansocket::errc;
using sansocket::forwarded_field;
using sansocket::forwarded_list;
using sansocket::forwarded_node_kind;
using sansocket::ip_address;
using sansocket::parse_forwarded;
using sansocket::parse_ip_address;
using sansocket::parse_x_forwarded_for;

std::vector<std::string_view> backwards(std::string_view value) {
    std::vector<std::string_view> out;
    forwarded_list list(value);
    while (const auto element = list.previous()) out.push_back(*element);
    return out;
}

sansocket::http_head head_of(const std::vector<std::string>& lines) {
    std::string text = "GET / HTTP/1.1\r\n";
    for (const auto& line : lines) text += line + "\r\n";
    sansocket::http_head_parser parser(sansocket::http_kind::request, {});
    REQUIRE(parser.receive(support::bytes(text + "\r\n")).ec == errc::ok);
    return parser.release();
}

constexpr bool is_ours(const ip_address& address) {
    return sansocket::parse_ip_network("10.0.0.0/8").value.contains(address);
}

struct found {
    std::string_view address;  // empty: nobody but the sender
    int port;
    errc ec;
};

// What is found in a request from one of ours.
void check(forwarded_field field, const std::vector<std::string>& lines, const found& wanted) {
    CAPTURE(lines);
    const auto head = head_of(lines);
    const auto client = sansocket::find_client(head, field, is_ours);
    CHECK(client.address == parse_ip_address(wanted.address));
    CHECK(client.port == wanted.port);
    CHECK(client.ec == wanted.ec);
}

}  // namespace

static_assert(parse_forwarded("for=192.0.2.60").value.from.address ==
              parse_ip_address("192.0.2.60").value());
static_assert(parse_x_forwarded_for("::1").value.from.address == parse_ip_address("::1").value());
static_assert(parse_forwarded("for").ec == errc::forwarded_invalid);

TEST_CASE("forwarded: the elements of the RFC (7239 4, 6)") {
    const auto one = parse_forwarded("for=192.0.2.60;proto=http;by=203.0.113.43");
    CHECK(one.ec == errc::ok);
    CHECK(one.value.from.kind == forwarded_node_kind::address);
    CHECK(one.value.from.address == parse_ip_address("192.0.2.60"));
    CHECK(one.value.from.port == 0);
    CHECK(one.value.by.address == parse_ip_address("203.0.113.43"));
    CHECK(one.value.proto == "http");
    CHECK(one.value.host.empty());

    const auto two = parse_forwarded("For=\"[2001:db8:cafe::17]:4711\"");
    CHECK(two.value.from.address == parse_ip_address("2001:db8:cafe::17"));
    CHECK(two.value.from.port == 4711);
    CHECK(two.value.from.name == "[2001:db8:cafe::17]:4711");

    CHECK(parse_forwarded("for=\"_gazonk\"").value.from.kind == forwarded_node_kind::obfuscated);
    CHECK(parse_forwarded("for=_SEVKISEK").value.from.name == "_SEVKISEK");
    CHECK(parse_forwarded("for=unknown").value.from.kind == forwarded_node_kind::unknown);
    CHECK(parse_forwarded("for=\"unknown:80\"").value.from.port == 80);
    CHECK(parse_forwarded("for=\"192.0.2.43:_hidden\"").value.from.port == 0);
    CHECK(parse_forwarded("for=\"192.0.2.43:_hidden\"").ec == errc::ok);
    CHECK(parse_forwarded("for=\"_a.b-c_d:80\"").value.from.port == 80);
    CHECK(parse_forwarded("host=\"example.com:8080\";proto=https").value.host ==
          "example.com:8080");
    CHECK(parse_forwarded("proto=https").value.from.kind == forwarded_node_kind::unknown);
}

TEST_CASE("forwarded: what may be written in its own way (7239 4)") {
    for (const std::string_view good :
         {"for=192.0.2.1", "FOR=192.0.2.1", "for=\"192.0.2.1\"", "  for=192.0.2.1\t",
          "for=192.0.2.1;", "for=192.0.2.1; proto=http", "for=192.0.2.1 ;proto=http",
          "secret=\"a,b;c\";for=192.0.2.1", "x=y;x=z;for=192.0.2.1", "for=\"::ffff:192.0.2.1\"",
          "for=\"[::ffff:192.0.2.1]\"", "for=\"192.0.2.1:00080\"", "for=192.0.2.1;host=\"\""}) {
        CAPTURE(good);
        const auto [hop, ec] = parse_forwarded(good);
        if (good.find("\"::") != std::string_view::npos) {
            CHECK(ec == errc::forwarded_invalid);  // 6.1: in brackets
            continue;
        }
        CHECK(ec == errc::ok);
        CHECK(hop.from.address == parse_ip_address("192.0.2.1"));
    }
}

TEST_CASE("forwarded: what is malformed (7239 4, 6)") {
    for (const std::string_view wrong : {"",
                                         "for",
                                         "for=",
                                         "=192.0.2.1",
                                         "for =192.0.2.1",
                                         "for= 192.0.2.1",
                                         "for=192.0.2.1 x=y",
                                         "for=192.0.2.1,for=192.0.2.2",
                                         "for=192.0.2.1;for=192.0.2.2",
                                         "for=192.0.2.1;FOR=192.0.2.1",
                                         "by=_a;by=_b",
                                         "host=a;host=b",
                                         "proto=a;proto=b",
                                         "for=192.0.2.1;;",
                                         "for=[2001:db8::1]",
                                         "for=2001:db8::1",
                                         "for=\"192.0.2.1",
                                         "for=192.0.2.1\"",
                                         "for=\"192.0.2.1\"x",
                                         "for=\"192.0.2.1\\\"\"",
                                         "for=\"192\\.0.2.1\"",
                                         "for=\"\\",
                                         "for=192.0.2.256",
                                         "for=somebody",
                                         "for=\"[2001:db8::1\"",
                                         "for=\"2001:db8::1]\"",
                                         "for=\"[192.0.2.1]\"",
                                         "for=\"[]\"",
                                         "for=\"192.0.2.1:\"",
                                         "for=\"192.0.2.1:65536\"",
                                         "for=\"192.0.2.1:123456\"",
                                         "for=\"192.0.2.1:-1\"",
                                         "for=\"192.0.2.1:80:80\"",
                                         "for=\"[2001:db8::1]80\"",
                                         "for=_",
                                         "for=\"_a b\"",
                                         "for=\"\"",
                                         "for=\"unknown:\"",
                                         "for=\"[unknown]\"",
                                         "by=nobody",
                                         "\"for\"=_a"}) {
        CAPTURE(wrong);
        CHECK(parse_forwarded(wrong).ec == errc::forwarded_invalid);
    }
}

TEST_CASE("forwarded: X-Forwarded-For is an address, as proxies write it") {
    struct row {
        std::string_view text, address;
        int port;
    };
    for (const row& r :
         {row{"192.0.2.1", "192.0.2.1", 0}, row{" 192.0.2.1 ", "192.0.2.1", 0},
          row{"192.0.2.1:4711", "192.0.2.1", 4711}, row{"2001:db8::1", "2001:db8::1", 0},
          row{"[2001:db8::1]", "2001:db8::1", 0}, row{"[2001:db8::1]:80", "2001:db8::1", 80},
          row{"::ffff:192.0.2.1", "192.0.2.1", 0}}) {
        CAPTURE(r.text);
        const auto [hop, ec] = parse_x_forwarded_for(r.text);
        CHECK(ec == errc::ok);
        CHECK(hop.from.kind == forwarded_node_kind::address);
        CHECK(hop.from.address == parse_ip_address(r.address));
        CHECK(hop.from.port == r.port);
    }
    CHECK(parse_x_forwarded_for("unknown").value.from.kind == forwarded_node_kind::unknown);
    for (const std::string_view wrong :
         {"", "nobody", "192.0.2.1 192.0.2.2", "\"192.0.2.1\"", "for=192.0.2.1", "[192.0.2.1]:80",
          "192.0.2.1:x", "2001:db8::1%eth0", "192.0.2.1;x"}) {
        CAPTURE(wrong);
        CHECK(parse_x_forwarded_for(wrong).ec == errc::forwarded_invalid);
    }
}

TEST_CASE("forwarded: lists are read from the end, and commas in quotes are none") {
    using list = std::vector<std::string_view>;
    CHECK(backwards("") == list{});
    CHECK(backwards(" , ,") == list{});
    CHECK(backwards("a") == list{"a"});
    CHECK(backwards("a, b ,c") == list{"c", "b", "a"});
    CHECK(backwards(",a,,b,") == list{"b", "a"});
    CHECK(backwards("a,b=\"c,d\"") == list{"b=\"c,d\"", "a"});
    CHECK(backwards("a=\"b,c\", d") == list{"d", "a=\"b,c\""});
    // What is left of the last hop cannot get into it.
    CHECK(backwards("for=\", for=192.0.2.1").front() == "for=192.0.2.1");
    CHECK(backwards("for=\"\\, for=\"[::1]\"").front() == "for=\"[::1]\"");
}

TEST_CASE(
    "forwarded: the client is the last one whom a trusted proxy names and that is none itself") {
    const auto field = forwarded_field::forwarded;
    check(field, {}, {"", 0, errc::ok});
    check(field, {"Forwarded: for=192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    check(field, {"Forwarded: for=\"192.0.2.1:4711\""}, {"192.0.2.1", 4711, errc::ok});
    // The client's own word stands to the left.
    check(field, {"Forwarded: for=198.51.100.1, for=192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    check(field, {"Forwarded: for=10.0.0.1, for=192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    // Over two proxies, and in two fields.
    check(field, {"Forwarded: for=192.0.2.1, for=\"10.0.0.1:80\""}, {"192.0.2.1", 0, errc::ok});
    check(field, {"forwarded: for=192.0.2.1", "Host: a", "Forwarded: for=10.0.0.1"},
          {"192.0.2.1", 0, errc::ok});
    check(field, {"Forwarded: for=198.51.100.1", "Forwarded: for=192.0.2.1"},
          {"192.0.2.1", 0, errc::ok});
    check(field, {"Forwarded: for=10.0.0.2, for=10.0.0.1"}, {"10.0.0.2", 0, errc::ok});
    // Another field is a client's, whatever it says.
    check(field, {"X-Forwarded-For: 192.0.2.1"}, {"", 0, errc::ok});
    check(forwarded_field::x_forwarded_for, {"Forwarded: for=192.0.2.1"}, {"", 0, errc::ok});
    check(forwarded_field::none, {"Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"},
          {"", 0, errc::ok});
}

TEST_CASE("forwarded: behind a hop that says nothing, nothing is believed") {
    const auto field = forwarded_field::forwarded;
    check(field, {"Forwarded: for=192.0.2.1, for=unknown"}, {"", 0, errc::ok});
    check(field, {"Forwarded: for=192.0.2.1, proto=https"}, {"", 0, errc::ok});
    check(field, {"Forwarded: for=192.0.2.1, for=_hidden"}, {"", 0, errc::ok});
    check(field, {"Forwarded: for=192.0.2.1, for=_hidden, for=10.0.0.1"},
          {"10.0.0.1", 0, errc::ok});
    check(field, {"Forwarded: for=192.0.2.1, for=nonsense"}, {"", 0, errc::forwarded_invalid});
    check(field, {"Forwarded: for=192.0.2.1, for=", "Forwarded: for=10.0.0.1"},
          {"10.0.0.1", 0, errc::forwarded_invalid});
    // Further left than the client, nothing counts.
    check(field, {"Forwarded: for=\", for=192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    check(field, {"Forwarded: \"", "Forwarded: for=192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
}

TEST_CASE("forwarded: X-Forwarded-For, in one field or several") {
    const auto field = forwarded_field::x_forwarded_for;
    check(field, {"X-Forwarded-For: 192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    check(field, {"x-forwarded-for: 198.51.100.1, 192.0.2.1"}, {"192.0.2.1", 0, errc::ok});
    check(field, {"X-Forwarded-For: 192.0.2.1:50, 10.0.0.1"}, {"192.0.2.1", 50, errc::ok});
    check(field, {"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 2001:db8::1"},
          {"2001:db8::1", 0, errc::ok});
    check(field, {"X-Forwarded-For: 192.0.2.1, "}, {"192.0.2.1", 0, errc::ok});
    check(field, {"X-Forwarded-For: 192.0.2.1, unknown"}, {"", 0, errc::ok});
    check(field, {"X-Forwarded-For: 192.0.2.1, what"}, {"", 0, errc::forwarded_invalid});
    check(field, {"X-Forwarded-For:"}, {"", 0, errc::ok});
}

// The address sanitizer sees what reads beyond.
TEST_CASE("forwarded: whatever is made of its parts") {
    static constexpr std::string_view parts[] = {"for",     "by",  "host", "=",  "\"", "\\",
                                                 "[",       "]",   ",",    ";",  ":",  " ",
                                                 "1.2.3.4", "::1", "_x",   "80", "x"};
    std::mt19937 chance(9);
    std::size_t understood = 0;
    for (int i = 0; i != 50'000; ++i) {
        std::string text;
        for (auto n = chance() % 12; n != 0; --n) text += parts[chance() % std::size(parts)];
        CAPTURE(text);
        const std::vector<char> exact(text.begin(), text.end());
        const std::string_view field(exact.data(), exact.size());
        std::size_t left = field.size();
        for (const std::string_view element : backwards(field)) {
            REQUIRE(element.size() <= left);
            left -= element.size();
            for (const auto& hop : {parse_forwarded(element), parse_x_forwarded_for(element)}) {
                understood += hop.ec == errc::ok;
                REQUIRE(hop.value.from.name.size() <= element.size());
                REQUIRE(hop.value.host.size() <= element.size());
            }
        }
    }
    CHECK(understood > 1000);
}
