#include <sansocket/wire/http_response.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using sansocket::append_response;
using sansocket::errc;
using sansocket::http_content;

TEST_CASE("http_response: the answer to an error is complete HTTP (RFC 9110 15)") {
    CHECK(sansocket::error_response(errc::websocket_version_unsupported) ==
          "HTTP/1.1 426 Upgrade Required\r\n"
          "Connection: close, Upgrade\r\n"
          "Upgrade: websocket\r\n"
          "Sec-WebSocket-Version: 13\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "Content-Length: 32\r\n"
          "\r\n"
          "Sec-WebSocket-Version is not 13\n");
    CHECK(sansocket::error_response(errc::method_not_get) ==
          "HTTP/1.1 405 Method Not Allowed\r\n"
          "Connection: close\r\n"
          "Allow: GET\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "Content-Length: 32\r\n"
          "\r\n"
          "the request's method is not GET\n");
}

TEST_CASE("http_response: status, fields, length and body (RFC 9110 15)") {
    const std::vector<sansocket::http_field_value> fields = {{"content-type", "text/html"},
                                                             {"Cache-Control", "no-store"}};
    std::string out = "before";
    CHECK(append_response(out, 200, fields, "<p>", http_content::written) == errc::ok);
    CHECK(out == "beforeHTTP/1.1 200 OK\r\n"
                 "Connection: close\r\n"
                 "content-type: text/html\r\n"
                 "Cache-Control: no-store\r\n"
                 "Content-Length: 3\r\n"
                 "\r\n"
                 "<p>");
    out.clear();
    CHECK(append_response(out, 404, {}, "none", http_content::left_out) == errc::ok);
    CHECK(out == "HTTP/1.1 404 Not Found\r\n"
                 "Connection: close\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: 4\r\n"
                 "\r\n");
    out.clear();
    CHECK(append_response(out, 599, {}, "", http_content::written) == errc::ok);
    CHECK(out == "HTTP/1.1 599 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    out.clear();
    CHECK(append_response(out, 426, {}, "", http_content::written) == errc::ok);
    CHECK(out.find("\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n") !=
          std::string::npos);
}

TEST_CASE("http_response: no content where the status has none (RFC 9110 8.6, 15.3.5, 15.4.5)") {
    for (const std::uint16_t status : std::to_array<std::uint16_t>({204, 205, 304})) {
        INFO(status);
        std::string out;
        CHECK(append_response(out, status, {}, "x", http_content::written) ==
              errc::invalid_response);
        CHECK(out.empty());
        CHECK(append_response(out, status, {}, "", http_content::written) == errc::ok);
        CHECK((out.find("Content-Length: 0\r\n") != std::string::npos) == (status == 205));
        CHECK(out.ends_with("\r\n\r\n"));
    }
}

TEST_CASE("http_response: what cannot be written leaves all as it was (RFC 9110 5.5)") {
    std::string out = "before";
    for (const std::uint16_t status : std::to_array<std::uint16_t>({0, 101, 199, 600, 999}))
        CHECK(append_response(out, status, {}, "", http_content::written) ==
              errc::invalid_response);
    for (const auto& field : std::vector<sansocket::http_field_value>{
             {"X", "a\r\nSet-Cookie: b"}, {"", "a"}, {"Content-Length", "5"}, {"upgrade", "x"}}) {
        INFO(field.name);
        const std::vector<sansocket::http_field_value> fields = {{"Fine", "x"}, field};
        CHECK(append_response(out, 200, fields, "", http_content::written) ==
              errc::invalid_response);
    }
    CHECK(out == "before");
}
