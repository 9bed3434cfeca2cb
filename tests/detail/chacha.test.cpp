#include <sansocket/detail/chacha.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

using namespace sansocket::detail;
using support::hex;

TEST_CASE("chacha: the quarter round's example (RFC 8439 2.1.1)") {
    std::uint32_t a = 0x11111111;
    std::uint32_t b = 0x01020304;
    std::uint32_t c = 0x9b8d6f43;
    std::uint32_t d = 0x01234567;

    chacha_quarter_round(a, b, c, d);

    CHECK(a == 0xea2a92f4);
    CHECK(b == 0xcb1cf8ce);
    CHECK(c == 0x4581472e);
    CHECK(d == 0x5881c4bb);
}

TEST_CASE("chacha: the block function's example (RFC 8439 2.3.2)") {
    const auto seed = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    const auto key = make_chacha_key(std::span<const std::byte, 32>{seed.data(), 32});

    const auto block = chacha20(key, {0x00000001, 0x09000000, 0x4a000000, 0x00000000});

    const chacha_block expected{0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                                0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                                0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    CHECK(block == expected);
}

TEST_CASE("chacha: the all-zero key (RFC 8439 A.1, vectors 1 and 2)") {
    const auto first = chacha20({}, {0, 0, 0, 0});
    CHECK(first[0] == 0xade0b876);
    CHECK(first[15] == 0x8665eeb2);

    const auto second = chacha20({}, {1, 0, 0, 0});
    CHECK(second[0] == 0xbee7079f);
    CHECK(second[15] == 0x6f4d794b);
}
