#include <sansocket/masking_keys.hpp>

#include "support/catch.hpp"
#include "support/fixed_keys.hpp"
#include "support/hex.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::hex;
using support::operator+;

namespace {

chacha_keys keys_from(std::byte first) {
    std::array<std::byte, 32> seed{};
    seed[0] = first;
    return chacha_keys{seed};
}

struct throwing_source {
    masking_key operator()() { return {}; }
};
struct number_source {
    std::uint32_t operator()() noexcept { return 0; }
};

}  // namespace

static_assert(masking_key_source<chacha_keys>);
static_assert(masking_key_source<support::fixed_keys>);
static_assert(!masking_key_source<throwing_source>);
static_assert(!masking_key_source<number_source>);
static_assert(sizeof(chacha_keys) <= 136);
static_assert(!std::is_copy_constructible_v<chacha_keys>);
static_assert(std::is_nothrow_move_constructible_v<chacha_keys>);

TEST_CASE("masking_keys: the keystream of RFC 8439, in its order (A.1)") {
    auto keys = keys_from(std::byte{0});
    byte_vector stream(128);
    keys.fill(stream);

    // Blocks 0 and 1 of the all-zero key and nonce.
    const auto first = hex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                           "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
    const auto second = hex("9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                            "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
    CHECK(stream == first + second);
}

TEST_CASE("masking_keys: a key is the stream's next four bytes (5.3)") {
    auto keys = keys_from(std::byte{0});
    CHECK(keys() ==
          masking_key{std::byte{0x76}, std::byte{0xb8}, std::byte{0xe0}, std::byte{0xad}});
    CHECK(keys() ==
          masking_key{std::byte{0xa0}, std::byte{0xf1}, std::byte{0x3d}, std::byte{0x90}});
}

TEST_CASE("masking_keys: the seed decides the keys") {
    auto a = keys_from(std::byte{1});
    auto b = keys_from(std::byte{1});
    auto c = keys_from(std::byte{2});
    std::vector<masking_key> from_a;
    std::vector<masking_key> from_b;
    std::vector<masking_key> from_c;
    for (int i = 0; i != 100; ++i) {
        from_a.push_back(a());
        from_b.push_back(b());
        from_c.push_back(c());
    }
    CHECK(from_a == from_b);
    CHECK(from_a != from_c);
}

TEST_CASE("masking_keys: keys differ from one another (5.3)") {
    auto keys = keys_from(std::byte{7});
    std::set<masking_key> seen;
    constexpr std::size_t count = 2000;  // two alike among them: one chance in two thousand,
    for (std::size_t i = 0; i != count; ++i) seen.insert(keys());
    CHECK(seen.size() == count);  // and the seed is fixed
}

TEST_CASE("masking_keys: a fill of any size takes whole words") {
    for (std::size_t size = 0; size != 70; ++size) {
        auto whole = keys_from(std::byte{3});
        auto part = keys_from(std::byte{3});
        byte_vector all((size + 3) / 4 * 4);
        byte_vector some(size);

        whole.fill(all);
        part.fill(some);

        all.resize(size);
        CHECK(some == all);
        CHECK(whole() == part());
    }
}

TEST_CASE("masking_keys: a move goes on where the stream was") {
    auto keys = keys_from(std::byte{9});
    auto twin = keys_from(std::byte{9});
    static_cast<void>(keys());
    static_cast<void>(twin());

    auto moved = std::move(keys);

    CHECK(moved() == twin());
}

TEST_CASE("masking_keys: work in constant expressions") {
    constexpr auto first = [] {
        std::array<std::byte, 32> seed{};
        return chacha_keys{seed}();
    }();
    STATIC_REQUIRE(first[0] == std::byte{0x76});
}
