#include <sansocket/wire/request_fields.hpp>

#include <sansocket/machine/client_handshake.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_view_literals;
using sansocket::basic_auth;
using sansocket::bearer;
using sansocket::cookie;
using sansocket::cookies;
using sansocket::errc;
using sansocket::http_field_value;

bool is_refused(const http_field_value& field) { return field.name.empty() && field.value.empty(); }

void check_authorization(const http_field_value& field, std::string_view value) {
    CHECK(field.name == "Authorization");
    CHECK(field.value == value);
    CHECK(sansocket::is_field_value(field.value));
}

}  // namespace

TEST_CASE("request_fields: Basic credentials, the RFC's own (7617 2, 2.1)") {
    check_authorization(basic_auth("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    check_authorization(basic_auth("test", "123\xc2\xa3"), "Basic dGVzdDoxMjPCow==");
    check_authorization(basic_auth("", ""), "Basic Og==");
    check_authorization(basic_auth("a", "b"), "Basic YTpi");
    check_authorization(basic_auth("a", "b:c"), "Basic YTpiOmM=");
    check_authorization(basic_auth("\xff\xfe", "\xfd"), "Basic //46/Q==");
}

TEST_CASE("request_fields: Basic refuses a colon in the user and control characters (7617 2)") {
    CHECK(is_refused(basic_auth("a:b", "c")));
    for (const std::string_view control : {"\n"sv, "\r"sv, "\0"sv, "\x1f"sv, "\x7f"sv, "\t"sv}) {
        CHECK(is_refused(basic_auth(std::string{"a"}.append(control), "c")));
        CHECK(is_refused(basic_auth("a", std::string{"c"}.append(control))));
    }
}

TEST_CASE("request_fields: a bearer token is a b64token (6750 2.1)") {
    check_authorization(bearer("mF_9.B5f-4.1JqM"), "Bearer mF_9.B5f-4.1JqM");
    check_authorization(bearer("AZaz09-._~+/=="), "Bearer AZaz09-._~+/==");
    for (const auto bad : {"", "=", "a=b", "a b", "a\r\nX: y", "a,b", "\xc3\xa4", "a\"", ":"})
        CHECK(is_refused(bearer(bad)));
}

TEST_CASE("request_fields: cookies are pairs in one field (6265 4.2.1)") {
    const auto field = cookies({{"SID", "31d4d96e407aad42"}, {"lang", "en-US"}});
    CHECK(field.name == "Cookie");
    CHECK(field.value == "SID=31d4d96e407aad42; lang=en-US");
    CHECK(cookies({{"a", ""}}).value == "a=");
    CHECK(cookies({{"a", "\"b\""}, {"c", "\"\""}}).value == "a=\"b\"; c=\"\"");
    const std::vector<cookie> jar{{"a", "!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~"}};
    CHECK(cookies(jar).value == "a=!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~");
}

TEST_CASE("request_fields: a cookie that cannot be written refuses all (6265 4.1.1)") {
    CHECK(is_refused(cookies({})));
    for (const cookie bad :
         {cookie{"", "x"}, cookie{"a b", "x"}, cookie{"a=", "x"}, cookie{"a;", "x"},
          cookie{"a", "x;y"}, cookie{"a", "x y"}, cookie{"a", "x,y"}, cookie{"a", "x\\y"},
          cookie{"a", "x\"y"}, cookie{"a", "\""}, cookie{"a", "\"x"}, cookie{"a", "x\""},
          cookie{"a", "\"\"\""}, cookie{"a", "x\r\n"}, cookie{"a", "\x7f"},
          cookie{"a", "\xc3\xa4"}}) {
        INFO(bad.name << "=" << bad.value);
        CHECK(is_refused(cookies({{"good", "one"}, bad})));
    }
}

TEST_CASE(
    "request_fields: what is refused ends with errc::invalid_request, nothing is sent (4.1)") {
    const auto nonce = support::bytes("the sample nonce");
    const std::span<const std::byte, 16> key{nonce};
    for (const auto& bad : {basic_auth("a:b", "c"), bearer("a b"), cookies({{"a", ";"}})}) {
        const sansocket::client_handshake handshake{{.host = "h", .headers = {bad}}, key};
        CHECK(handshake.error() == errc::invalid_request);
        CHECK(handshake.request().empty());
    }
    const sansocket::client_handshake good{
        {.host = "h", .headers = {bearer("t"), cookies({{"a", "b"}})}}, key};
    CHECK(good.request().find("\r\nAuthorization: Bearer t\r\nCookie: a=b\r\n") !=
          std::string_view::npos);
}
