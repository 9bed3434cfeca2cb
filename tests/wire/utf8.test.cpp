#include <sansocket/wire/utf8.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::operator+;

namespace {

// The definition, by arithmetic: decode a code point, then look at its value. RFC 3629 3.
enum class verdict { valid, incomplete, invalid };

// Whether some value from `low` to `high` is a code point that takes `length` bytes.
bool some_value_is_valid(std::uint32_t low, std::uint32_t high, std::size_t length) {
    constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    low = (std::max)(low, least[length]);
    high = (std::min)(high, std::uint32_t{0x10ffff});
    const bool all_surrogates = low >= 0xd800 && high <= 0xdfff;
    return low <= high && !all_surrogates;
}

// Looks at one code point at the start of `text`, which is not empty; takes it off if valid.
verdict take_code_point(std::span<const std::byte>& text) {
    const auto lead = std::to_integer<std::uint8_t>(text[0]);
    if (lead < 0x80) {
        text = text.subspan(1);
        return verdict::valid;
    }
    const auto length = static_cast<std::size_t>(std::countl_one(lead));
    if (length < 2 || length > 4) return verdict::invalid;
    std::uint32_t low = lead & (0x7fU >> length);
    std::uint32_t high = low;
    for (std::size_t i = 1; i != length; ++i) {
        const bool here = i < text.size();
        const auto b = here ? std::to_integer<std::uint32_t>(text[i]) : 0;
        if (here && (b & 0xc0) != 0x80) return verdict::invalid;
        low = low << 6U | (here ? b & 0x3f : 0);
        high = high << 6U | (here ? b & 0x3f : 0x3f);
    }
    if (!some_value_is_valid(low, high, length)) return verdict::invalid;
    if (text.size() < length) return verdict::incomplete;
    text = text.subspan(length);
    return verdict::valid;
}

verdict judged(std::span<const std::byte> text) {
    while (!text.empty())
        if (const auto v = take_code_point(text); v != verdict::valid) return v;
    return verdict::valid;
}

verdict verdict_of(const utf8_validator& validator) {
    if (validator.failed()) return verdict::invalid;
    return validator.complete() ? verdict::valid : verdict::incomplete;
}

verdict received(std::span<const std::byte> text) {
    utf8_validator validator;
    if (validator.receive(text) == validator.failed()) throw std::logic_error("receive");
    return verdict_of(validator);
}

constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

// The index of the byte at which text fed byte by byte is refused.
std::size_t refused_at(std::span<const std::byte> text) {
    utf8_validator validator;
    for (std::size_t i = 0; i != text.size(); ++i)
        if (!validator.receive(text.subspan(i, 1))) return i;
    return nowhere;
}

// `text` far enough inside a long text that blocks decide, `offset` bytes from its start.
byte_vector embedded(std::span<const std::byte> text, std::size_t offset, std::string_view filler) {
    byte_vector out;
    const auto fill = bytes(filler);
    while (out.size() + fill.size() <= offset) out.insert(out.end(), fill.begin(), fill.end());
    out.resize(offset, std::byte{'.'});
    out.insert(out.end(), text.begin(), text.end());
    for (int i = 0; i != 100; ++i) out.insert(out.end(), fill.begin(), fill.end());
    return out;
}

constexpr std::array<unsigned, 16> boundary_bytes{0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                                  0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff};

// Text in which `sequence` stands is judged by blocks as byte by byte.
bool blocks_agree(std::span<const std::byte> sequence) {
    std::array<std::byte, 48> text{};
    text.fill(std::byte{'.'});
    std::copy(sequence.begin(), sequence.end(), text.begin() + 20);
    using namespace detail;
    return utf8_advance(utf8_state::boundary, text.data(), text.size()) ==
           utf8_walk(utf8_state::boundary, text.data(), text.size());
}

struct vector_row {
    const char* what;
    byte_vector text;
    std::size_t refused_at;  // `nowhere` where every byte could be part of a valid text
    bool whole;              // ends on a boundary
};

const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

// Numbers are the Autobahn testsuite's.
const std::vector<vector_row>& vectors() {
    static const std::vector<vector_row> rows{
        {"6.1 empty", {}, nowhere, true},
        {"6.2 latin", hex("48 65 6c 6c 6f 2d c2b5 40 c39f c3b6"), nowhere, true},
        {"6.3 surrogate inside", bytes(kosme) + hex("eda080") + bytes("edited"), 12, false},
        {"6.4 past U+10FFFF", bytes(kosme) + hex("f4908080") + bytes("edited"), 12, false},
        {"6.5 greek", bytes(kosme), nowhere, true},
        {"6.6 greek cut short", hex("ceba e1bd"), nowhere, false},
        {"6.7.1 first of one byte", hex("00"), nowhere, true},
        {"6.7.2 first of two", hex("c280"), nowhere, true},
        {"6.7.3 first of three", hex("e0a080"), nowhere, true},
        {"6.7.4 first of four", hex("f0908080"), nowhere, true},
        {"6.8.1 five bytes", hex("f888808080"), 0, false},
        {"6.8.2 six bytes", hex("fc8480808080"), 0, false},
        {"6.9.1 last of one byte", hex("7f"), nowhere, true},
        {"6.9.2 last of two", hex("dfbf"), nowhere, true},
        {"6.9.3 last of three", hex("efbfbf"), nowhere, true},
        {"6.9.4 last of four", hex("f48fbfbf"), nowhere, true},
        {"6.10.1 past four bytes", hex("f7bfbfbf"), 0, false},
        {"6.10.2 five bytes", hex("fbbfbfbfbf"), 0, false},
        {"6.10.3 six bytes", hex("fdbfbfbfbfbf"), 0, false},
        {"6.11.1 before the surrogates", hex("ed9fbf"), nowhere, true},
        {"6.11.2 after the surrogates", hex("ee8080"), nowhere, true},
        {"6.11.3 replacement character", hex("efbfbd"), nowhere, true},
        {"6.11.4 U+10FFFF", hex("f48fbfbf"), nowhere, true},
        {"6.11.5 U+110000", hex("f4908080"), 1, false},
        {"6.12.1 continuation byte alone", hex("80"), 0, false},
        {"6.12.2 continuation byte alone", hex("bf"), 0, false},
        {"6.12.3 two of them", hex("80bf"), 0, false},
        {"6.13.1 lone start of two", hex("c020"), 0, false},
        {"6.13.2 lone start of two", hex("c220"), 1, false},
        {"6.13.3 lone start of three", hex("e120"), 1, false},
        {"6.13.4 lone start of four", hex("f120"), 1, false},
        {"6.13.5 lone start of five", hex("f820"), 0, false},
        {"6.14.1 overlong, cut", hex("c0"), 0, false},
        {"6.14.2 overlong, cut", hex("e080"), 1, false},
        {"6.14.3 overlong, cut", hex("f08080"), 1, false},
        {"6.14.6 two, cut", hex("df"), nowhere, false},
        {"6.14.7 three, cut", hex("efbf"), nowhere, false},
        {"6.14.8 past four, cut", hex("f7bfbf"), 0, false},
        {"four, cut", hex("f48fbf"), nowhere, false},
        {"6.16.1 impossible", hex("fe"), 0, false},
        {"6.16.2 impossible", hex("ff"), 0, false},
        {"6.17.1 overlong slash in two", hex("c0af"), 0, false},
        {"6.17.2 overlong slash in three", hex("e080af"), 1, false},
        {"6.17.3 overlong slash in four", hex("f08080af"), 1, false},
        {"6.18.1 longest overlong of two", hex("c1bf"), 0, false},
        {"6.18.2 longest overlong of three", hex("e09fbf"), 1, false},
        {"6.18.3 longest overlong of four", hex("f08fbfbf"), 1, false},
        {"6.19.1 overlong NUL in two", hex("c080"), 0, false},
        {"6.19.2 overlong NUL in three", hex("e08080"), 1, false},
        {"6.19.3 overlong NUL in four", hex("f0808080"), 1, false},
        {"6.20.1 first high surrogate", hex("eda080"), 1, false},
        {"6.20.3 last high surrogate", hex("edafbf"), 1, false},
        {"6.20.4 first low surrogate", hex("edb080"), 1, false},
        {"6.20.7 last low surrogate", hex("edbfbf"), 1, false},
        {"6.21.1 pair of surrogates", hex("eda080 edb080"), 1, false},
        {"6.22.1 U+FFFE", hex("efbfbe"), nowhere, true},
        {"6.22.3 U+1FFFE", hex("f09fbfbe"), nowhere, true},
        {"6.22.34 U+10FFFF", hex("f48fbfbf"), nowhere, true},
        {"6.23.1 U+FFF9", hex("efbfb9"), nowhere, true},
        {"last byte of three wrong", hex("e28241"), 2, false},
        {"last byte of four wrong", hex("f09f9841"), 3, false},
        {"start byte as last of four", hex("f09f98c2"), 3, false},
    };
    return rows;
}

verdict verdict_of(const vector_row& row) {
    if (row.refused_at != nowhere) return verdict::invalid;
    return row.whole ? verdict::valid : verdict::incomplete;
}

}  // namespace

TEST_CASE("utf8: the oracle of these tests gives the vectors' verdicts") {
    for (const auto& row : vectors()) {
        INFO(row.what);
        CHECK(judged(row.text) == verdict_of(row));
    }
}

TEST_CASE("utf8: each vector is refused at the first impossible byte (8.1)") {
    for (const auto& row : vectors()) {
        INFO(row.what);
        CHECK(refused_at(row.text) == row.refused_at);
        CHECK(received(row.text) == verdict_of(row));
        CHECK(is_valid_utf8(row.text) == (verdict_of(row) == verdict::valid));
        CHECK(is_valid_utf8(support::text_of(row.text)) == (verdict_of(row) == verdict::valid));
    }
}

TEST_CASE("utf8: a piece that ends at the first impossible byte is refused (8.1)") {
    for (const auto& row : vectors()) {
        if (row.refused_at == nowhere) continue;
        const auto upto = std::span{row.text}.first(row.refused_at + 1);
        CHECK(received(upto) == verdict::invalid);
        CHECK(received(upto.first(row.refused_at)) != verdict::invalid);
        // The same where blocks decide.
        const auto inside =
            byte_vector(100, std::byte{'.'}) + byte_vector(upto.begin(), upto.end());
        CHECK(received(inside) == verdict::invalid);
        CHECK(received(std::span{inside}.first(inside.size() - 1)) != verdict::invalid);
    }
}

TEST_CASE("utf8: each vector in every chunking (8.1)") {
    for (const auto& row : vectors())
        for (const std::string_view filler : {".", "\xe6\x96\x87", "\xf0\x9f\x98\x80"}) {
            const auto text = embedded(row.text, 90, filler);
            const auto expected = judged(text);
            for (const auto& chunking : support::every_chunking(text)) {
                utf8_validator validator;
                for (const auto& piece : chunking) static_cast<void>(validator.receive(piece));
                REQUIRE(verdict_of(validator) == expected);
            }
        }
}

TEST_CASE("utf8: each vector at every offset in a long text (RFC 3629)") {
    for (const auto& row : vectors())
        for (std::size_t offset = 0; offset != 140; ++offset)
            for (const std::string_view filler : {"a", "\xc3\xa9", "\xe6\x96\x87"}) {
                auto text = embedded(row.text, offset, filler);
                REQUIRE(received(text) == judged(text));
                text.resize(offset + row.text.size());  // and at the end of it
                REQUIRE(received(text) == judged(text));
            }
}

TEST_CASE("utf8: every sequence of one, two and three bytes (RFC 3629 4)") {
    std::array<std::byte, 3> text{};
    std::size_t wrong = 0;
    for (unsigned a = 0; a != 256; ++a) {
        text[0] = static_cast<std::byte>(a);
        utf8_validator one;
        static_cast<void>(one.receive(std::span{text}.first(1)));
        wrong += verdict_of(one) != judged(std::span{text}.first(1));
        for (unsigned b = 0; b != 256; ++b) {
            text[1] = static_cast<std::byte>(b);
            auto two = one;
            static_cast<void>(two.receive(std::span{text}.subspan(1, 1)));
            const auto after_two = judged(std::span{text}.first(2));
            wrong += verdict_of(two) != after_two;
            if (two.failed()) continue;  // for good: see below
            for (unsigned c = 0; c != 256; ++c) {
                text[2] = static_cast<std::byte>(c);
                auto three = two;
                static_cast<void>(three.receive(std::span{text}.subspan(2, 1)));
                wrong += verdict_of(three) != judged(text);
            }
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("utf8: four bytes, at the boundaries of every rule (RFC 3629 4)") {
    std::size_t wrong = 0;
    for (unsigned a = 0x80; a != 256; ++a)
        for (unsigned b = 0; b != 256; ++b)
            for (const unsigned c : boundary_bytes)
                for (const unsigned d : {0x41U, 0x7fU, 0x80U, 0xbfU, 0xc0U}) {
                    const std::array text{static_cast<std::byte>(a), static_cast<std::byte>(b),
                                          static_cast<std::byte>(c), static_cast<std::byte>(d)};
                    wrong += received(text) != judged(text);
                }
    CHECK(wrong == 0);
}

TEST_CASE("utf8: blocks judge every two bytes, and three and four at the boundaries, alike") {
    std::size_t wrong = 0;
    for (unsigned a = 0x7f; a != 256; ++a)
        for (unsigned b = 0; b != 256; ++b) {
            std::array text{static_cast<std::byte>(a), static_cast<std::byte>(b), std::byte{},
                            std::byte{0x80}};
            wrong += !blocks_agree(std::span{text}.first(2));
            for (const unsigned c : boundary_bytes) {
                text[2] = static_cast<std::byte>(c);
                wrong += !blocks_agree(std::span{text}.first(3));
                wrong += !blocks_agree(text);
            }
        }
    CHECK(wrong == 0);
}

TEST_CASE("utf8: random texts with one byte changed") {
    constexpr std::array<std::string_view, 5> points{"a", "\xc3\xa9", "\xe6\x96\x87",
                                                     "\xf0\x9f\x98\x80", "0123456789abcdef"};
    std::uint32_t x = 2463534242U;
    const auto random = [&x](std::uint32_t below) {
        x ^= x << 13U;
        x ^= x >> 17U;
        x ^= x << 5U;
        return x % below;
    };
    for (int round = 0; round != 20000; ++round) {
        std::string text;
        for (auto n = random(60); n != 0; --n) text += points[random(points.size())];
        auto data = bytes(text);
        REQUIRE(received(data) == verdict::valid);
        if (data.empty()) continue;
        data[random(static_cast<std::uint32_t>(data.size()))] = static_cast<std::byte>(random(256));
        REQUIRE(received(data) == judged(data));
    }
}

TEST_CASE("utf8: a refusal lasts until reset (8.1)") {
    utf8_validator validator;

    CHECK_FALSE(validator.receive(hex("ff")));
    CHECK_FALSE(validator.receive(bytes("fine")));
    CHECK_FALSE(validator.receive({}));
    CHECK_FALSE(validator.receive(byte_vector(100, std::byte{'a'})));
    CHECK(validator.failed());
    CHECK_FALSE(validator.complete());

    validator.reset();
    CHECK(validator.receive(bytes("fine")));
    CHECK(validator.complete());
}

TEST_CASE("utf8: an empty piece changes nothing") {
    utf8_validator validator;
    CHECK(validator.receive({}));
    CHECK(validator.complete());

    CHECK(validator.receive(hex("e6 96")));
    CHECK(validator.receive({}));
    CHECK_FALSE(validator.complete());
    CHECK(validator.receive(hex("87")));
    CHECK(validator.complete());
}

TEST_CASE("utf8: is_ascii sees one byte that is not, wherever it stands") {
    CHECK(is_ascii({}));
    for (std::size_t size = 1; size != 200; ++size) {
        byte_vector text(size, std::byte{0x7f});
        REQUIRE(is_ascii(text));
        REQUIRE(detail::is_ascii_bytewise(text));
        for (std::size_t at = 0; at != size; ++at) {
            text[at] = std::byte{0x80};
            REQUIRE_FALSE(is_ascii(text));
            REQUIRE_FALSE(detail::is_ascii_bytewise(text));
            text[at] = std::byte{0x7f};
        }
    }
}

TEST_CASE("utf8: works in constant expressions") {
    STATIC_REQUIRE(is_valid_utf8(std::string_view{"caf\xc3\xa9"}));
    STATIC_REQUIRE_FALSE(is_valid_utf8(std::string_view{"caf\xc3"}));
    STATIC_REQUIRE_FALSE(is_valid_utf8(std::string_view{"\xed\xa0\x80"}));
    constexpr std::array<std::byte, 2> ascii{std::byte{'a'}, std::byte{0x7f}};
    constexpr std::array<std::byte, 2> other{std::byte{'a'}, std::byte{0x80}};
    STATIC_REQUIRE(is_ascii(ascii));
    STATIC_REQUIRE_FALSE(is_ascii(other));
}

// RFC 3629 section 4 said once more, in another way than the header does.
detail::utf8_state utf8_next(detail::utf8_state from, unsigned byte) {
    using enum detail::utf8_state;
    const auto in = [byte](unsigned low, unsigned high) { return low <= byte && byte <= high; };
    switch (from) {
    case boundary:
        if (in(0x00, 0x7f)) return boundary;
        if (in(0xc2, 0xdf)) return tail_1;
        if (byte == 0xe0) return after_e0;
        if (byte == 0xed) return after_ed;
        if (in(0xe1, 0xef)) return tail_2;
        if (byte == 0xf0) return after_f0;
        if (in(0xf1, 0xf3)) return tail_3;
        if (byte == 0xf4) return after_f4;
        return refused;
    case tail_1: return in(0x80, 0xbf) ? boundary : refused;
    case tail_2: return in(0x80, 0xbf) ? tail_1 : refused;
    case tail_3: return in(0x80, 0xbf) ? tail_2 : refused;
    case after_e0: return in(0xa0, 0xbf) ? tail_1 : refused;
    case after_ed: return in(0x80, 0x9f) ? tail_1 : refused;
    case after_f0: return in(0x90, 0xbf) ? tail_2 : refused;
    case after_f4: return in(0x80, 0x8f) ? tail_2 : refused;
    case refused: break;
    }
    return refused;
}

TEST_CASE("utf8: the table says of each state and byte what the rules say (RFC 3629 4)") {
    using detail::utf8_state;
    for (const auto from : {utf8_state::boundary, utf8_state::tail_1, utf8_state::tail_2,
                            utf8_state::tail_3, utf8_state::after_e0, utf8_state::after_ed,
                            utf8_state::after_f0, utf8_state::after_f4, utf8_state::refused}) {
        for (unsigned byte = 0; byte != 256; ++byte) {
            const auto c = static_cast<unsigned char>(byte);
            CHECK(detail::utf8_walk(from, &c, 1) == utf8_next(from, byte));
        }
    }
}
