#include <sansocket/wire/masking.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;

namespace {

constexpr masking_key rfc_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
constexpr std::byte guard{0xa5};
constexpr std::size_t guard_size = 64;

// The RFC's own words: octet i is combined with octet i MOD 4 of the key.
byte_vector masked_by_definition(std::span<const std::byte> from, masking_key key) {
    byte_vector out;
    for (std::size_t i = 0; i != from.size(); ++i) out.push_back(from[i] ^ key[i % 4]);
    return out;
}

bool ascii_by_definition(std::span<const std::byte> data) {
    return std::all_of(data.begin(), data.end(),
                       [](std::byte b) { return std::to_integer<unsigned>(b) < 128; });
}

byte_vector sample(std::size_t size) {
    byte_vector out;
    std::uint32_t x = 2463534242U;
    for (std::size_t i = 0; i != size; ++i) {
        x ^= x << 13U;
        x ^= x >> 17U;
        x ^= x << 5U;
        out.push_back(static_cast<std::byte>(x >> 24U));
    }
    return out;
}

// `data` with guards before and after, at `offset` from an address that a vector could want.
struct guarded {
    guarded(std::span<const std::byte> data, std::size_t offset)
        : storage(data.size() + 2 * guard_size + 32, guard) {
        const auto address = reinterpret_cast<std::uintptr_t>(storage.data()) + guard_size;
        begin = guard_size + (16 - address % 16) % 16 + offset;
        size = data.size();
        std::copy(data.begin(), data.end(), storage.begin() + static_cast<std::ptrdiff_t>(begin));
    }
    std::span<std::byte> middle() { return std::span{storage}.subspan(begin, size); }
    bool guards_intact() const {
        const auto all = std::span{storage};
        const auto is_guard = [](std::byte b) { return b == guard; };
        const auto before = all.first(begin);
        const auto after = all.subspan(begin + size);
        return std::all_of(before.begin(), before.end(), is_guard) &&
               std::all_of(after.begin(), after.end(), is_guard);
    }

    byte_vector storage;
    std::size_t begin = 0;
    std::size_t size = 0;
};

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Masks `data` in place and by copy; true if both gave the bytes and the answer of the definition.
bool agrees(std::span<const std::byte> data, std::size_t alignment, masking_key key) {
    const auto expected = masked_by_definition(data, key);
    const bool ascii = ascii_by_definition(expected);

    guarded in_place(data, alignment);
    if (mask_in_place(in_place.middle(), key) != ascii) return false;
    if (!same(in_place.middle(), expected) || !in_place.guards_intact()) return false;

    guarded copy(byte_vector(data.size(), std::byte{0}), alignment);
    if (mask_copy(copy.middle().data(), data, key) != ascii) return false;
    return same(copy.middle(), expected) && copy.guards_intact();
}

}  // namespace

TEST_CASE("masking: the RFC's example \"Hello\" (5.7)") {
    auto payload = hex("7f 9f 4d 51 58");

    CHECK(mask_in_place(payload, rfc_key));
    CHECK(payload == bytes("Hello"));

    CHECK_FALSE(mask_in_place(payload, rfc_key));
    CHECK(payload == hex("7f 9f 4d 51 58"));
}

TEST_CASE("masking: every size at every alignment is as the definition says (5.3)") {
    const auto data = sample(260);
    for (std::size_t size = 0; size <= 260; ++size)
        for (std::size_t alignment = 0; alignment != 16; ++alignment) {
            const bool ok = agrees(std::span{data}.first(size), alignment, rfc_key);
            if (!ok) UNSCOPED_INFO("size " << size << ", alignment " << alignment);
            REQUIRE(ok);
        }
}

TEST_CASE("masking: every size with every rotation of the key (5.3)") {
    const auto data = sample(260);
    for (std::size_t size = 0; size <= 260; ++size)
        for (std::size_t turn = 0; turn != 4; ++turn)
            REQUIRE(agrees(std::span{data}.first(size), 1, rotated(rfc_key, turn)));
}

TEST_CASE("masking: large payloads (5.3)") {
    const auto data = sample(70000);
    for (const std::size_t size : {1023U, 1024U, 1025U, 16384U, 65535U, 65536U, 70000U})
        REQUIRE(agrees(std::span{data}.first(size), 3, rfc_key));
}

TEST_CASE("masking: one byte that is not ASCII is seen wherever it stands") {
    for (std::size_t size = 1; size <= 200; ++size) {
        auto text = masked_by_definition(byte_vector(size, std::byte{'a'}), rfc_key);
        REQUIRE(agrees(text, 0, rfc_key));
        for (std::size_t at = 0; at != size; ++at) {
            text[at] ^= std::byte{0x80};
            byte_vector out(size);
            REQUIRE_FALSE(mask_copy(out.data(), text, rfc_key));
            text[at] ^= std::byte{0x80};
        }
    }
}

TEST_CASE("masking: a payload in two pieces, the second with the rotated key (5.3)") {
    const auto data = sample(80);
    const auto expected = masked_by_definition(data, rfc_key);
    for (std::size_t cut = 0; cut <= data.size(); ++cut) {
        auto pieces = data;
        const auto whole = std::span{pieces};
        mask_in_place(whole.first(cut), rfc_key);
        mask_in_place(whole.subspan(cut), rotated(rfc_key, cut));
        REQUIRE(pieces == expected);
    }
}

TEST_CASE("masking: rotations come round, also past 32 bits (5.3)") {
    CHECK(rotated(rfc_key, 0) == rfc_key);
    CHECK(rotated(rfc_key, 1) == masking_key{rfc_key[1], rfc_key[2], rfc_key[3], rfc_key[0]});
    CHECK(rotated(rotated(rfc_key, 3), 1) == rfc_key);
    CHECK(rotated(rfc_key, 0x100000000) == rfc_key);
    CHECK(rotated(rfc_key, 0xffffffffffffffff) == rotated(rfc_key, 3));
}

TEST_CASE("masking: an empty payload may have no address (5.3)") {
    CHECK(mask_in_place({}, rfc_key));
    CHECK(mask_copy(nullptr, {}, rfc_key));
}

TEST_CASE("masking: works in constant expressions (5.3)") {
    constexpr auto masked = [] {
        std::array<std::byte, 5> hello{std::byte{'H'}, std::byte{'e'}, std::byte{'l'},
                                       std::byte{'l'}, std::byte{'o'}};
        mask_in_place(hello, rfc_key);
        return hello;
    }();
    STATIC_REQUIRE(masked[0] == std::byte{0x7f});
    STATIC_REQUIRE(masked[4] == std::byte{0x58});
    constexpr auto copied = [](std::array<std::byte, 5> from) {
        std::array<std::byte, 5> to{};
        mask_copy(to.data(), from, rfc_key);
        return to;
    }(masked);
    STATIC_REQUIRE(copied[0] == std::byte{'H'});
    STATIC_REQUIRE(copied[4] == std::byte{'o'});
}

TEST_CASE("masking: byte by byte and in blocks it is the same, of every length and value (5.3)") {
    for (std::size_t size = 0; size != 100; ++size) {
        for (const unsigned top : {0x7fU, 0xffU}) {
            std::vector<std::byte> from(size);
            for (std::size_t i = 0; i != size; ++i) from[i] = static_cast<std::byte>(i * 7 & top);
            auto one = from;
            auto other = from;
            const bool ascii = detail::mask_bytewise(one.data(), from.data(), size, rfc_key);
            CHECK(mask_in_place(other, rfc_key) == ascii);
            CHECK(one == other);
        }
    }
}
