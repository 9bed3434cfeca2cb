#include <sansocket/wire/accept_key.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace {

using sansocket::accept_key;
using sansocket::is_valid_key;
using sansocket::make_key;

template <std::size_t N>
constexpr std::string_view text(const std::array<char, N>& a) {
    return {a.data(), a.size()};
}

std::string sha1_hex(std::string_view data) {
    sansocket::detail::sha1 hash;
    hash.update(data);
    const auto digest = hash.finish();
    return support::to_hex(std::as_bytes(std::span{digest}));
}

}  // namespace

// 1.3, the RFC's own example
static_assert(text(accept_key("dGhlIHNhbXBsZSBub25jZQ==")) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
static_assert(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
static_assert(!is_valid_key(""));

TEST_CASE("accept_key: the example of the RFC (1.3)") {
    CHECK(text(accept_key("dGhlIHNhbXBsZSBub25jZQ==")) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(text(accept_key("x3JJHMbDL1EzLkh9GBhXDw==")) == "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST_CASE("accept_key: a key is the nonce in base64 (4.1)") {
    const auto sample = support::bytes("the sample nonce");
    CHECK(text(make_key(std::span<const std::byte, 16>{sample})) == "dGhlIHNhbXBsZSBub25jZQ==");

    const support::byte_vector ones(16, std::byte{0xff});
    CHECK(text(make_key(std::span<const std::byte, 16>{ones})) == "/////////////////////w==");
    CHECK(is_valid_key("/////////////////////w=="));
}

TEST_CASE("accept_key: a valid key is 16 bytes in one spelling (4.2.1)") {
    struct row {
        std::string_view name, key;
        bool valid;
    };
    const auto r = GENERATE(values<row>({
        {"all zeros", "AAAAAAAAAAAAAAAAAAAAAA==", true},
        {"last bits 01 0000", "AAAAAAAAAAAAAAAAAAAAAQ==", true},
        {"last bits 00 0001", "AAAAAAAAAAAAAAAAAAAAAB==", false},
        {"last bits 00 1000", "AAAAAAAAAAAAAAAAAAAAAI==", false},
        {"15 bytes", "AAAAAAAAAAAAAAAAAAAA", false},
        {"17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA=", false},
        {"18 bytes, 24 characters", "AAAAAAAAAAAAAAAAAAAAAAAA", false},
        {"without padding", "AAAAAAAAAAAAAAAAAAAAAA", false},
        {"one more", "AAAAAAAAAAAAAAAAAAAAAA===", false},
        {"a space", "AAAAAAAAAA AAAAAAAAAAA==", false},
        {"URL alphabet", "AAAAAAAAAA-_AAAAAAAAAA==", false},
        {"padding within", "AAAAAAAAAAAAAAAAAAAAA===", false},
        {"high byte",
         "AAAAAAAAAA\xc3\xa4"
         "AAAAAAAAAA==",
         false},
    }));
    INFO(r.name);
    CHECK(is_valid_key(r.key) == r.valid);
}

TEST_CASE("accept_key: SHA-1 of the standard's messages (FIPS 180-4)") {
    CHECK(sha1_hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(sha1_hex(std::string(1000000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("accept_key: base64 with every padding (RFC 4648 10)") {
    using sansocket::detail::base64;
    using byte = std::uint8_t;
    CHECK(text(base64(std::array<byte, 1>{'f'})) == "Zg==");
    CHECK(text(base64(std::array<byte, 2>{'f', 'o'})) == "Zm8=");
    CHECK(text(base64(std::array<byte, 3>{'f', 'o', 'o'})) == "Zm9v");
    CHECK(text(base64(std::array<byte, 3>{0xfb, 0xff, 0xbf})) == "+/+/");
}
