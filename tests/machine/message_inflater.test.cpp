#include <sansocket/machine/message_inflater.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"
#include "support/stored_deflate.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::stored_calls;
using support::text_of;
using support::operator+;

namespace {

// Room, and how much of it was asked for.
struct plain_room {
    byte_vector all = byte_vector(std::size_t{1} << 20U);
    std::size_t used = 0;
    std::size_t furthest = 0;
    std::size_t has = std::size_t{1} << 20U;

    std::byte* extend(std::size_t n) {
        if (used + n > has) return nullptr;
        std::byte* const at = all.data() + used;
        used += n;
        furthest = (std::max)(furthest, used);
        return at;
    }
    std::string text() const { return text_of(std::span{all}.first(used)); }
};
struct room : plain_room {
    void retract(std::size_t n) { used -= n; }
};

constexpr auto any = [](std::span<const std::byte>) { return true; };

// `text` as stored blocks of at most `size` bytes, less the last four bytes of an empty one.
byte_vector stored(std::string_view text, std::size_t size = 1000) {
    byte_vector out;
    for (; !text.empty(); text.remove_prefix((std::min)(size, text.size()))) {
        const auto part = text.substr(0, size);
        const auto n = static_cast<unsigned>(part.size());
        for (const unsigned b : {0U, n & 255U, n >> 8U, ~n & 255U, ~n >> 8U & 255U})
            out.push_back(static_cast<std::byte>(b));
        out = out + bytes(part);
    }
    out.push_back(std::byte{0});
    return out;
}

struct limits {
    std::uint64_t size = 1 << 20;
    std::uint64_t blocks = 1024;
    std::uint64_t bytes_per_block = 32;
};

message_inflater<support::stored_deflate> inflater_with(const limits& l = {}) {
    deflate_options options;
    options.blocks = l.blocks;
    options.bytes_per_block = l.bytes_per_block;
    message_inflater<support::stored_deflate> inflater(options);
    inflater.start({15, true});
    inflater.begin(l.size);
    return inflater;
}

// What becomes of a message of `payload` in every chunking, and what came out of it.
template <class Room = room>
errc outcome(const byte_vector& payload, std::string* out = nullptr, const limits& l = {}) {
    errc all{};
    bool first = true;
    for (const auto& cut : support::every_chunking(payload)) {
        auto inflater = inflater_with(l);
        Room queue;
        errc ec = errc::ok;
        for (const auto& piece : cut)
            if (ec == errc::ok) ec = inflater.receive(piece, queue, any);
        if (ec == errc::ok) ec = inflater.finish(queue);
        CHECK(queue.furthest <= l.size);
        if (first) all = ec;
        CHECK(describe(ec) == describe(all));
        if (out != nullptr && ec == errc::ok) {
            CHECK(inflater.made() == queue.used);
            CHECK(inflater.messages() == 1);
            CHECK(!inflater.inside());
            if (first) *out = queue.text();
            CHECK(queue.text() == *out);
        }
        first = false;
    }
    return all;
}

}  // namespace

TEST_CASE("message_inflater: what was stored comes out, in every chunking (RFC 7692 7.2.2)") {
    for (const std::size_t size : {1U, 2U, 999U, 1000U, 1001U, 20000U}) {
        std::string text(size, 'x');
        for (std::size_t i = 0; i != size; ++i) text[i] = static_cast<char>('a' + i % 26);
        std::string out;
        CHECK(outcome(stored(text), &out) == errc::ok);
        CHECK(out == text);
        CHECK(outcome<plain_room>(stored(text), &out) == errc::ok);
        CHECK(out == text);
    }
}

TEST_CASE("message_inflater: an empty message is one byte of 0, or none (RFC 7692 7.2.3.6)") {
    std::string out = "?";
    CHECK(outcome(hex("00"), &out) == errc::ok);
    CHECK(out.empty());
    out = "?";
    CHECK(outcome({}, &out) == errc::ok);
    CHECK(out.empty());
}

TEST_CASE("message_inflater: behind a last block the message ends, or goes on (RFC 7692 7.2.3.5)") {
    std::string out;
    CHECK(outcome(hex("01 0100 feff 41"), &out) == errc::ok);
    CHECK(out == "A");
    CHECK(outcome(hex("01 0100 feff 41 00"), &out) == errc::ok);
    CHECK(out == "A");
    CHECK(outcome(hex("01 0100 feff 41 01 0100 feff 42 00 0100 feff 43 00"), &out) == errc::ok);
    CHECK(out == "ABC");
}

TEST_CASE("message_inflater: data that is no deflate, or is cut off, is named (RFC 7692 7.2.2)") {
    CHECK(outcome(hex("02")) == errc::deflate_corrupt);
    CHECK(outcome(hex("00 0100 ffff 41 00")) == errc::deflate_corrupt);
    CHECK(outcome(hex("00 0500 faff 41")) == errc::deflate_truncated);  // the tail is data of it
    CHECK(outcome(hex("00 0300 fcff 41")) == errc::deflate_truncated);
    CHECK(outcome(hex("00 0100")) == errc::deflate_corrupt);
    CHECK(outcome(hex("00 0100 feff 41")) == errc::deflate_truncated);
    CHECK(outcome(hex("00 0000 ffff")) == errc::deflate_truncated);  // the four were not removed
}

TEST_CASE(
    "message_inflater: the size is limited after decompression, inclusively (RFC 6455 10.4)") {
    const std::string text(5000, 'x');
    std::string out;
    CHECK(outcome(stored(text), &out, {5000}) == errc::ok);
    CHECK(out.size() == 5000);
    CHECK(outcome(stored(text), nullptr, {4999}) == errc::message_too_big);
    CHECK(outcome<plain_room>(stored(text), &out, {5000}) == errc::ok);
    CHECK(outcome<plain_room>(stored(text), nullptr, {4999}) == errc::message_too_big);
    CHECK(outcome(hex("00"), &out, {0}) == errc::ok);
    CHECK(outcome(stored("x"), nullptr, {0}) == errc::message_too_big);
}

TEST_CASE("message_inflater: blocks that hold next to nothing are limited (RFC 6455 10.4)") {
    // 10 blocks that any message may have, and one for each 4 bytes; the tail's is one of them.
    const limits l{1 << 20, 10, 4};
    std::string out;
    CHECK(outcome(stored("123456789", 1), &out, l) == errc::ok);
    CHECK(outcome(stored(std::string(11, 'x'), 1), &out, l) == errc::ok);
    CHECK(outcome(stored(std::string(12, 'x'), 1), &out, l) == errc::ok);
    CHECK(outcome(stored(std::string(13, 'x'), 1), nullptr, l) == errc::deflate_work);
    CHECK(outcome(stored(std::string(4000, 'x'), 4), &out, l) == errc::ok);
    CHECK(outcome(stored(std::string(4000, 'x'), 3), nullptr, l) == errc::deflate_work);
    CHECK(outcome(stored(std::string(4000, 'x'), 1), &out, {1 << 20, 10, 0}) == errc::ok);
    byte_vector nothing;
    for (int i = 0; i != 10; ++i) nothing = nothing + hex("00 0000 ffff");
    CHECK(outcome(nothing + hex("00"), nullptr, l) == errc::deflate_work);
}

TEST_CASE("message_inflater: a queue without room, and a check that fails, are named") {
    auto inflater = inflater_with();
    room queue;
    queue.has = 100;
    CHECK(inflater.receive(stored("x"), queue, any) == errc::queue_full);
    auto checked = inflater_with();
    room other;
    CHECK(checked.receive(stored("x"), other, [](auto made) { return made.empty(); }) ==
          errc::invalid_utf8);
}

TEST_CASE("message_inflater: only without takeover is what was known forgotten (RFC 7692 7.1.1)") {
    for (const bool takeover : {true, false}) {
        message_inflater<support::stored_deflate> inflater{deflate_options{}};
        CHECK(inflater.state() == inflater_state::off);
        inflater.start({15, takeover});
        CHECK(inflater.state() == inflater_state::between);
        CHECK(inflater.direction() == deflate_direction{15, takeover});
        room queue;
        stored_calls().clear();
        inflater.begin(100);
        CHECK(inflater.inside());
        CHECK(inflater.receive(stored("x"), queue, any) == errc::ok);
        inflater.shrink();  // in the middle of a message nothing is given back
        CHECK(stored_calls().find('X') == std::string::npos);
        CHECK(inflater.finish(queue) == errc::ok);
        CHECK((stored_calls().find('R') == std::string::npos) == takeover);
        inflater.shrink();
        CHECK((stored_calls().find('X') == std::string::npos) == takeover);
    }
}

namespace {

// A codec that does nothing, which it may not.
struct stuck : support::stored_decompressor {
    using support::stored_decompressor::stored_decompressor;
    decompress_step decompress(std::span<const std::byte>, std::span<std::byte>) { return {}; }
};
struct stuck_codec : support::stored_deflate {
    using decompressor = stuck;
};

}  // namespace

TEST_CASE("message_inflater: a codec that is stuck fails and does not hang") {
    message_inflater<stuck_codec> inflater{deflate_options{}};
    inflater.start({});
    inflater.begin(100);
    room queue;
    CHECK(inflater.receive(stored("x"), queue, any) == errc::deflate_corrupt);
}
