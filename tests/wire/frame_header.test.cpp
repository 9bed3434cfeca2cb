#include <sansocket/wire/frame_header.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::hex;
using support::operator+;

namespace {

constexpr masking_key rfc_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
constexpr std::uint64_t largest = (std::uint64_t{1} << 63U) - 1;

struct vector_row {
    const char* name;
    role receiver;
    frame_header header;
    byte_vector encoded;
};

std::vector<vector_row> vectors() {
    using enum opcode;
    const auto no_key = std::nullopt;
    return {
        {"5.7 unmasked text", role::client, {true, text, 5, no_key}, hex("81 05")},
        {"5.7 masked text", role::server, {true, text, 5, rfc_key}, hex("81 85 37fa213d")},
        {"5.7 first fragment", role::client, {false, text, 3, no_key}, hex("01 03")},
        {"5.7 last fragment", role::client, {true, continuation, 2, no_key}, hex("80 02")},
        {"5.7 ping", role::client, {true, ping, 5, no_key}, hex("89 05")},
        {"5.7 masked pong", role::server, {true, pong, 5, rfc_key}, hex("8a 85 37fa213d")},
        {"5.7 256 bytes", role::client, {true, binary, 256, no_key}, hex("82 7e 0100")},
        {"5.7 64 KiB", role::client, {true, binary, 65536, no_key}, hex("82 7f 0000000000010000")},
        {"empty", role::client, {true, text, 0, no_key}, hex("81 00")},
        {"empty, masked", role::server, {true, text, 0, rfc_key}, hex("81 80 37fa213d")},
        {"close", role::client, {true, close, 2, no_key}, hex("88 02")},
        {"the longest control", role::server, {true, ping, 125, rfc_key}, hex("89 fd 37fa213d")},
        {"125 takes 7 bits", role::client, {true, binary, 125, no_key}, hex("82 7d")},
        {"126 takes 16 bits", role::client, {true, binary, 126, no_key}, hex("82 7e 007e")},
        {"127, masked", role::server, {true, binary, 127, rfc_key}, hex("82 fe 007f 37fa213d")},
        {"65535 takes 16 bits", role::client, {true, binary, 65535, no_key}, hex("82 7e ffff")},
        {"65536, masked",
         role::server,
         {true, binary, 65536, rfc_key},
         hex("82 ff 0000000000010000 37fa213d")},
        {"every byte of a length",
         role::client,
         {false, binary, 0x0102030405060708, no_key},
         hex("02 7f 0102030405060708")},
        {"2^63 - 1", role::client, {true, binary, largest, no_key}, hex("82 7f 7fffffffffffffff")},
        {"2^63 - 1, masked",
         role::server,
         {false, continuation, largest, rfc_key},
         hex("00 ff 7fffffffffffffff 37fa213d")},
    };
}

struct fault_row {
    const char* name;
    role receiver;
    byte_vector input;
    errc ec;
    std::size_t shown_at;  // bytes from which on the fault must be named
};

std::vector<fault_row> faults() {
    return {
        {"RSV1", role::client, hex("c1 00"), errc::reserved_bit, 1},
        {"RSV2", role::client, hex("a1 00"), errc::reserved_bit, 1},
        {"RSV3", role::client, hex("91 00"), errc::reserved_bit, 1},
        {"opcode 3", role::client, hex("83 00"), errc::reserved_opcode, 1},
        {"opcode B", role::server, hex("8b 80"), errc::reserved_opcode, 1},
        {"fragmented ping", role::client, hex("09 00"), errc::control_fragmented, 1},
        {"unmasked to a server", role::server, hex("81 05"), errc::frame_not_masked, 2},
        {"masked to a client", role::client, hex("81 85 37fa213d"), errc::frame_masked, 2},
        {"ping of 126", role::client, hex("89 7e 007e"), errc::control_length, 2},
        {"close of 127, masked", role::server, hex("88 ff"), errc::control_length, 2},
        {"125 in 16 bits", role::client, hex("82 7e 007d"), errc::length_not_minimal, 4},
        {"0 in 16 bits", role::server, hex("82 fe 0000 37fa213d"), errc::length_not_minimal, 4},
        {"65535 in 64 bits", role::client, hex("82 7f 000000000000ffff"), errc::length_not_minimal,
         10},
        {"0 in 64 bits", role::client, hex("82 7f 0000000000000000"), errc::length_not_minimal, 10},
        {"125 in 64 bits", role::server, hex("82 ff 000000000000007d"), errc::length_not_minimal,
         10},
        {"2^63", role::client, hex("82 7f 8000000000000000"), errc::length_too_large, 10},
        {"2^64 - 1", role::server, hex("82 ff ffffffffffffffff"), errc::length_too_large, 10},
    };
}

byte_vector encoded(const frame_header& header) {
    std::array<std::byte, max_frame_header_size> out{};
    const std::size_t size = encode(header, out.data());
    return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

// 5.2's figure, bit by bit, for the first two bytes; what follows is a length that fits.
errc judged_by_the_figure(unsigned first, unsigned second, role receiver) {
    const bool rsv1 = first & 64U, rsv2 = first & 32U, rsv3 = first & 16U;
    if (rsv1 || rsv2 || rsv3) return errc::reserved_bit;
    switch (first % 16) {
    case 0:
    case 1:
    case 2: break;
    case 8:
    case 9:
    case 10:
        if (first < 128) return errc::control_fragmented;
        break;
    default: return errc::reserved_opcode;
    }
    if (receiver == role::server && second < 128) return errc::frame_not_masked;
    if (receiver == role::client && second >= 128) return errc::frame_masked;
    if (first % 16 >= 8 && second % 128 >= 126) return errc::control_length;
    return errc::ok;
}

}  // namespace

static_assert(is_control(opcode::close) && is_control(opcode::ping) && is_control(opcode::pong));
static_assert(!is_control(opcode::continuation) && !is_control(opcode::text) &&
              !is_control(opcode::binary));
static_assert(encoded_size(frame_header{}) == 2);
static_assert(encoded_size({true, opcode::binary, largest, masking_key{}}) ==
              max_frame_header_size);
static_assert(parse_frame_header({}, role::client).ec == errc::need_more);

TEST_CASE("frame_header: written and read (5.2, 5.7)") {
    for (const auto& row : vectors()) {
        INFO(row.name);
        CHECK(encoded_size(row.header) == row.encoded.size());
        CHECK(support::to_hex(encoded(row.header)) == support::to_hex(row.encoded));

        const auto parsed = parse_frame_header(row.encoded, row.receiver);
        CHECK(parsed.ec == errc::ok);
        CHECK(parsed.size == row.encoded.size());
        CHECK(parsed.value == row.header);
    }
}

TEST_CASE("frame_header: every prefix asks for more, and what follows stays unread (5.2)") {
    for (const auto& row : vectors()) {
        INFO(row.name);
        for (std::size_t n = 0; n != row.encoded.size(); ++n) {
            const auto parsed = parse_frame_header(std::span{row.encoded}.first(n), row.receiver);
            CHECK(parsed.ec == errc::need_more);
            CHECK(parsed.size == 0);
        }
        const auto parsed = parse_frame_header(row.encoded + hex("ffff"), row.receiver);
        CHECK(parsed.size == row.encoded.size());
        CHECK(parsed.value == row.header);
    }
}

TEST_CASE("frame_header: a fault is named as soon as its byte is there, and not before (5.2)") {
    for (const auto& row : faults()) {
        INFO(row.name);
        for (std::size_t n = 0; n <= row.input.size(); ++n) {
            const auto parsed = parse_frame_header(std::span{row.input}.first(n), row.receiver);
            CHECK(parsed.ec == (n < row.shown_at ? errc::need_more : row.ec));
            CHECK(parsed.size == 0);
        }
    }
}

TEST_CASE("frame_header: every first and second byte, for both roles (5.1, 5.2, 5.5)") {
    std::vector<std::string> wrong;
    for (const role receiver : {role::client, role::server}) {
        for (unsigned first = 0; first != 256; ++first) {
            for (unsigned second = 0; second != 256; ++second) {
                byte_vector input{static_cast<std::byte>(first), static_cast<std::byte>(second)};
                if (second % 128 == 126) input = input + hex("0100");
                if (second % 128 == 127) input = input + hex("0000000000010000");
                input = input + hex("37fa213d");
                const auto parsed = parse_frame_header(input, receiver);
                bool right = parsed.ec == judged_by_the_figure(first, second, receiver);
                if (parsed.ec == errc::ok) {
                    const std::uint64_t length = second % 128 == 126   ? 256
                                                 : second % 128 == 127 ? 65536
                                                                       : second % 128;
                    right = right && parsed.value.fin == (first >= 128) &&
                            static_cast<unsigned>(parsed.value.opcode) == first % 16 &&
                            parsed.value.payload_length == length &&
                            parsed.value.key.has_value() == (second >= 128);
                }
                if (!right) wrong.push_back(support::to_hex(input));
            }
        }
    }
    CHECK(wrong.empty());
}

TEST_CASE("frame_header: the first byte alone shows a fault in it, to both roles (5.2)") {
    for (const role receiver : {role::client, role::server}) {
        for (unsigned first = 0; first != 256; ++first) {
            const byte_vector input{static_cast<std::byte>(first)};
            const unsigned good_second = receiver == role::server ? 128 : 0;
            const errc expected = judged_by_the_figure(first, good_second, receiver);
            INFO(first);
            CHECK(parse_frame_header(input, receiver).ec ==
                  (expected == errc::ok ? errc::need_more : expected));
        }
    }
}

TEST_CASE("frame_header: opcodes that the RFC defines (5.2, 11.8)") {
    for (std::uint8_t op = 0; op != 16; ++op) {
        const bool known = op <= 2 || (op >= 8 && op <= 10);
        CHECK(is_known_opcode(op) == known);
    }
}

TEST_CASE("frame_header: RSV1 is set with a meaning on the first frame of a message alone "
          "(RFC 7692 6.1)") {
    for (unsigned first = 0; first != 256; ++first) {
        const std::array in{static_cast<std::byte>(first), std::byte{0}};
        const auto plain = parse_frame_header(in, role::client);
        const auto meant = parse_frame_header<rsv1::compressed>(in, role::client);
        INFO(first);
        if ((first & 0x40U) == 0) {
            CHECK(meant.ec == plain.ec);
            CHECK(meant.value == plain.value);
            continue;
        }
        CHECK(plain.ec == errc::reserved_bit);
        const unsigned low = first & 0x0fU;
        const errc wanted = (first & 0x30U) != 0 ? errc::reserved_bit
                            : !is_known_opcode(static_cast<std::uint8_t>(low))
                                ? errc::reserved_opcode
                            : low != 1 && low != 2 ? errc::compressed_bit
                                                   : errc::ok;
        CHECK(meant.ec == wanted);
        if (wanted != errc::ok) continue;
        CHECK(meant.value.compressed);
        std::array<std::byte, max_frame_header_size> out{};
        CHECK(encode(meant.value, out.data()) == 2);
        CHECK(out[0] == in[0]);
    }
}
