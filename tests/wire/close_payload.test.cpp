#include <sansocket/wire/close_payload.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::operator+;

namespace {

struct vector_row {
    const char* name;
    close_code code;
    std::string reason;
    byte_vector payload;
};

std::vector<vector_row> vectors() {
    return {
        {"5.5.1 empty", close_code::no_status, "", {}},
        {"code alone", close_code::normal, "", hex("03e8")},
        {"code and reason", close_code::going_away, "bye", hex("03e9") + bytes("bye")},
        {"the largest code", static_cast<close_code>(4999), "x", hex("1387 78")},
        {"the smallest registered code", static_cast<close_code>(3000), "", hex("0bb8")},
        {"reason in two-byte characters", close_code::normal, "\xc3\xa9", hex("03e8 c3a9")},
        {"the longest reason", close_code::normal, std::string(123, 'r'),
         hex("03e8") + byte_vector(123, std::byte{'r'})},
    };
}

}  // namespace

static_assert(max_close_reason == 123);
static_assert(make_close_payload(close_code::normal, "ab").size == 4);

TEST_CASE("close_payload: written and read (5.5.1)") {
    for (const auto& row : vectors()) {
        INFO(row.name);
        REQUIRE(check_close(row.code, row.reason) == errc::ok);
        const auto made = make_close_payload(row.code, row.reason);
        CHECK(byte_vector(made.bytes().begin(), made.bytes().end()) == row.payload);

        const auto parsed = parse_close_payload(row.payload);
        CHECK(parsed.ec == errc::ok);
        CHECK(parsed.code == row.code);
        CHECK(parsed.reason == row.reason);
    }
}

TEST_CASE("close_payload: the reason read is a view of the input") {
    const auto payload = hex("03e8") + bytes("why");
    const auto parsed = parse_close_payload(payload);
    CHECK(static_cast<const void*>(parsed.reason.data()) == payload.data() + 2);
}

TEST_CASE("close_payload: one byte is refused, whichever it is (5.5.1)") {
    for (unsigned b = 0; b != 256; ++b) {
        const byte_vector payload{static_cast<std::byte>(b)};
        CHECK(parse_close_payload(payload).ec == errc::close_payload_length);
    }
}

TEST_CASE("close_payload: a code is read exactly where it may be sent, and judged before the "
          "reason "
          "(7.4)") {
    std::vector<unsigned> wrong;
    for (unsigned n = 0; n != 65536; ++n) {
        const auto code = static_cast<close_code>(n);
        const byte_vector payload{static_cast<std::byte>(n >> 8U), static_cast<std::byte>(n & 255U),
                                  std::byte{0xff}};
        const auto alone = parse_close_payload(std::span{payload}.first(2));
        const auto bad_reason = parse_close_payload(payload);
        const bool right = may_be_sent(code) ? alone.ec == errc::ok && alone.code == code &&
                                                   bad_reason.ec == errc::close_reason_not_utf8
                                             : alone.ec == errc::close_code_reserved &&
                                                   bad_reason.ec == errc::close_code_reserved;
        if (!right) wrong.push_back(n);
    }
    CHECK(wrong.empty());
}

TEST_CASE("close_payload: a reason that is not UTF-8 is refused (5.5.1)") {
    for (const char* reason : {"80", "c3", "61ff", "eda080", "f4908080", "c0af", "e282"}) {
        INFO(reason);
        const auto parsed = parse_close_payload(hex("03e8") + hex(reason));
        CHECK(parsed.ec == errc::close_reason_not_utf8);
        CHECK(parsed.reason.empty());
        CHECK(check_close(close_code::normal, support::text_of(hex(reason))) ==
              errc::text_not_utf8);
    }
}

TEST_CASE("close_payload: what a caller may ask for (5.5, 7.4)") {
    CHECK(check_close(close_code::no_status, "") == errc::ok);
    CHECK(check_close(close_code::no_status, "why") == errc::invalid_close_code);
    CHECK(check_close(close_code::abnormal, "") == errc::invalid_close_code);
    CHECK(check_close(close_code::tls_handshake, "") == errc::invalid_close_code);
    CHECK(check_close(static_cast<close_code>(999), "") == errc::invalid_close_code);
    CHECK(check_close(static_cast<close_code>(0), "") == errc::invalid_close_code);
    CHECK(check_close(static_cast<close_code>(2999), "") == errc::invalid_close_code);
    CHECK(check_close(static_cast<close_code>(5000), "") == errc::invalid_close_code);
    CHECK(check_close(close_code::normal, std::string(123, 'r')) == errc::ok);
    CHECK(check_close(close_code::normal, std::string(124, 'r')) == errc::close_reason_too_long);
}
