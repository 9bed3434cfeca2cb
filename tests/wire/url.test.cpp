#include <sansocket/wire/url.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>

namespace {

using sansocket::errc;
using sansocket::host_field;
using sansocket::host_kind;
using sansocket::parse_url;
using sansocket::target;

struct good {
    std::string_view text, host;
    host_kind kind;
    std::uint16_t port;
    bool secure;
    std::string_view target, host_field;
};

struct bad {
    std::string_view text;
    errc ec;
};

}  // namespace

static_assert(parse_url("wss://example.com/chat?x=1").ec == errc{});
static_assert(parse_url("wss://example.com/chat?x=1").value.port == 443);
static_assert(parse_url("wss://example.com/chat?x=1").value.path_and_query == "/chat?x=1");
static_assert(parse_url("ws://[::1]:9001").value.host == "::1");
static_assert(parse_url("ws://h/#f").ec == errc::url_fragment);

TEST_CASE("url: parts, Host field and target (RFC 6455 3)") {
    const auto ip4 = host_kind::ipv4;
    const auto ip6 = host_kind::ipv6;
    const auto name = host_kind::name;
    const auto r = GENERATE_COPY(values<good>({
        {"ws://example.com", "example.com", name, 80, false, "/", "example.com"},
        {"wss://example.com", "example.com", name, 443, true, "/", "example.com"},
        {"WS://Example.COM/", "Example.COM", name, 80, false, "/", "Example.COM"},
        {"wSs://h/p", "h", name, 443, true, "/p", "h"},
        {"ws://h:80/", "h", name, 80, false, "/", "h"},
        {"ws://h:443/", "h", name, 443, false, "/", "h:443"},
        {"wss://h:443", "h", name, 443, true, "/", "h"},
        {"wss://h:80", "h", name, 80, true, "/", "h:80"},
        {"ws://h:/", "h", name, 80, false, "/", "h"},
        {"wss://h:", "h", name, 443, true, "/", "h"},
        {"ws://h:1", "h", name, 1, false, "/", "h:1"},
        {"ws://h:65535", "h", name, 65535, false, "/", "h:65535"},
        {"ws://h:0008080/", "h", name, 8080, false, "/", "h:8080"},
        {"ws://h?q=1", "h", name, 80, false, "/?q=1", "h"},
        {"ws://h:9?q", "h", name, 9, false, "/?q", "h:9"},
        {"ws://h/?", "h", name, 80, false, "/?", "h"},
        {"ws://h/a/b?c=/?:@", "h", name, 80, false, "/a/b?c=/?:@", "h"},
        {"ws://h//x", "h", name, 80, false, "//x", "h"},
        {"ws://h/a@b", "h", name, 80, false, "/a@b", "h"},
        {"ws://h/%20%C3%a4", "h", name, 80, false, "/%20%C3%a4", "h"},
        {"ws://h/-._~!$&'()*+,;=:@", "h", name, 80, false, "/-._~!$&'()*+,;=:@", "h"},
        {"ws://a_b-c.d~!$&'()*+,;=/", "a_b-c.d~!$&'()*+,;=", name, 80, false, "/",
         "a_b-c.d~!$&'()*+,;="},
        {"ws://%41.example/", "%41.example", name, 80, false, "/", "%41.example"},
        {"ws://xn--mnchen-3ya.example", "xn--mnchen-3ya.example", name, 80, false, "/",
         "xn--mnchen-3ya.example"},
        {"ws://127.0.0.1:9001/x", "127.0.0.1", ip4, 9001, false, "/x", "127.0.0.1:9001"},
        {"ws://255.255.255.255", "255.255.255.255", ip4, 80, false, "/", "255.255.255.255"},
        {"ws://1.2.3.4.example", "1.2.3.4.example", name, 80, false, "/", "1.2.3.4.example"},
        {"ws://[::1]/", "::1", ip6, 80, false, "/", "[::1]"},
        {"wss://[2001:db8::7]:8443?q", "2001:db8::7", ip6, 8443, true, "/?q", "[2001:db8::7]:8443"},
        {"ws://[::]", "::", ip6, 80, false, "/", "[::]"},
        {"ws://[::1]:", "::1", ip6, 80, false, "/", "[::1]"},
    }));
    INFO(r.text);
    const auto [u, ec] = parse_url(r.text);
    REQUIRE(ec == errc{});
    CHECK(u.host == r.host);
    CHECK(u.kind == r.kind);
    CHECK(u.port == r.port);
    CHECK(u.secure == r.secure);
    CHECK(target(u) == r.target);
    CHECK(host_field(u) == r.host_field);
    CHECK(sansocket::is_target(target(u)));
    CHECK(sansocket::is_host_field(host_field(u)));
}

TEST_CASE("url: IPv6 literals (RFC 3986 3.2.2)") {
    const auto valid = [](std::string_view address) {
        return parse_url("ws://[" + std::string{address} + "]").ec == errc{};
    };
    for (const std::string_view address :
         {"1:2:3:4:5:6:7:8", "::", "::8", "1::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1::8",
          "fe80::1", "FFFF:0abc::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4",
          "1::3:4:5:6:1.2.3.4", "64:ff9b::192.0.2.33"}) {
        INFO(address);
        CHECK(valid(address));
    }
    for (const std::string_view address : {"",
                                           ":",
                                           ":::",
                                           "1",
                                           "1:2:3:4:5:6:7",
                                           "1:2:3:4:5:6:7:8:9",
                                           "1:2:3:4:5:6:7:8::",
                                           "1:2:3:4::5:6:7:8",
                                           "1::2::3",
                                           ":1:2:3:4:5:6:7",
                                           "1:2:3:4:5:6:7:",
                                           "12345::",
                                           "g::",
                                           "1:2:3:4:5:6:7:1.2.3.4",
                                           "1.2.3.4",
                                           "1.2.3.4::",
                                           "::1.2.3",
                                           "::1.2.3.256",
                                           "::01.2.3.4",
                                           "::1.2.3.4:5",
                                           "fe80::1%eth0",
                                           "fe80::1%25eth0",
                                           "v1.x",
                                           " ::1",
                                           "::1 ",
                                           "1:2:3:4:5:6:1.2.3.4::"}) {
        INFO(address);
        CHECK_FALSE(valid(address));
    }
}

TEST_CASE("url: what is refused, and why (RFC 6455 3)") {
    using namespace std::string_view_literals;
    const auto r = GENERATE(values<bad>({
        {"", errc::url_scheme},
        {"ws", errc::url_scheme},
        {"http://h/", errc::url_scheme},
        {"https://h/", errc::url_scheme},
        {"wsss://h/", errc::url_scheme},
        {" ws://h/", errc::url_scheme},
        {"//h/", errc::url_scheme},
        {"ws:", errc::url_host},
        {"ws:/h", errc::url_host},
        {"ws:h", errc::url_host},
        {"ws://", errc::url_host},
        {"ws:///p", errc::url_host},
        {"ws://?q", errc::url_host},
        {"ws://:80/", errc::url_host},
        {"ws://a b/", errc::url_host},
        {"ws://h\\p/", errc::url_host},
        {"ws://a%2/", errc::url_host},
        {"ws://a%zz/", errc::url_host},
        {"ws://a\x7f/", errc::url_host},
        {"ws://a\0b/"sv, errc::url_host},
        {"ws://m\xc3\xbcnchen.example/", errc::url_host},
        {"ws://1.2.3.256/", errc::url_host},
        {"ws://1.2.3/", errc::url_host},
        {"ws://1.2.3.4.5/", errc::url_host},
        {"ws://01.2.3.4/", errc::url_host},
        {"ws://2130706433/", errc::url_host},
        {"ws://::1/", errc::url_host},
        {"ws://[::1", errc::url_host},
        {"ws://[::1]x", errc::url_host},
        {"ws://[]", errc::url_host},
        {"ws://::1]", errc::url_host},
        {"ws://h:0/", errc::url_port},
        {"ws://h:65536/", errc::url_port},
        {"ws://h:99999999999999999999/", errc::url_port},
        {"ws://h:-1/", errc::url_port},
        {"ws://h:8o/", errc::url_port},
        {"ws://h:80:80/", errc::url_port},
        {"ws://h:8 0/", errc::url_port},
        {"ws://[::1]:x/", errc::url_port},
        {"ws://h/a b", errc::url_path},
        {"ws://h/\r\nX: y", errc::url_path},
        {"ws://h/\t", errc::url_path},
        {"ws://h/%", errc::url_path},
        {"ws://h/%4", errc::url_path},
        {"ws://h/%4g", errc::url_path},
        {"ws://h/?q=%", errc::url_path},
        {"ws://h/?{}", errc::url_path},
        {"ws://h/a|b", errc::url_path},
        {"ws://h/\"", errc::url_path},
        {"ws://h/\xc3\xa4", errc::url_path},
        {"ws://h/p\0"sv, errc::url_path},
        {"ws://h/#f", errc::url_fragment},
        {"ws://h#", errc::url_fragment},
        {"ws://h/?q#", errc::url_fragment},
        {"ws://u@h/", errc::url_userinfo},
        {"ws://u:p@h/", errc::url_userinfo},
        {"ws://@h/", errc::url_userinfo},
    }));
    INFO(r.text);
    CHECK(parse_url(r.text).ec == r.ec);
    CHECK(kind_of(r.ec) == sansocket::error_kind::caller);
}

TEST_CASE("url: a Host field is a host and perhaps a port (RFC 9110 7.2)") {
    using sansocket::is_host_field;
    CHECK(is_host_field("example.com"));
    CHECK(is_host_field("example.com:8080"));
    CHECK(is_host_field("example.com:"));
    CHECK(is_host_field("[::1]:80"));
    CHECK_FALSE(is_host_field(""));
    CHECK_FALSE(is_host_field(":80"));
    CHECK_FALSE(is_host_field("a b"));
    CHECK_FALSE(is_host_field("a/b"));
    CHECK_FALSE(is_host_field("u@h"));
    CHECK_FALSE(is_host_field("a\"b"));
    CHECK_FALSE(is_host_field("h:65536"));
}
