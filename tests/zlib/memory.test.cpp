// What compression costs in memory, by setting: the table of docs/compression.md, counted.
#include <sansocket_zlib/codec.hpp>

#include "support/catch.hpp"
#include "support/counting_memory.hpp"
#include "support/deflate_pair.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace support;
using sansocket::deflate_settings;

namespace {

using codec = sansocket_zlib::basic_codec<counting_memory>;
using shared = sansocket_zlib::basic_shared_codec<counting_memory>;

struct row {
    std::uint8_t window_bits;
    int memory_level;
    std::size_t kilobytes;  // of 1024 bytes, rounded up
};

// zlib.h: a compressor has (1 << (window + 2)) + (1 << (memory + 9)) bytes, and a few kilobytes more.
constexpr row compressors[] = {
    {15, 9, 390}, {15, 8, 262}, {15, 4, 142}, {13, 8, 166}, {12, 8, 150},
    {12, 4, 30},  {10, 4, 18},  {9, 8, 136},  {9, 1, 9},
};
constexpr row decompressors[] = {{15, 0, 40}, {12, 0, 12}, {10, 0, 9}, {9, 0, 8}, {8, 0, 8}};

std::size_t kilobytes(std::size_t bytes) { return (bytes + 1023) / 1024; }

void converse(auto& pair, int times = 3) {
    for (int i = 0; i != times; ++i) {
        const std::string data = json_like(40000, static_cast<unsigned>(i));
        REQUIRE(pair.a.connection.send_text(std::string_view{data}) == errc::ok);
        REQUIRE(pair.b.connection.send_text(std::string_view{data}) == errc::ok);
        pair.run();
        REQUIRE(pair.got_a.back().data == data);
        REQUIRE(pair.got_b.back().data == data);
        pair.got_a.clear();
        pair.got_b.clear();
    }
}

}  // namespace

TEST_CASE("memory: a compressor, by window and memory level") {
    for (const row& r : compressors) {
        INFO(int{r.window_bits} << " " << r.memory_level);
        codec::compressor one(
            deflate_settings{.window_bits = r.window_bits, .memory_level = r.memory_level});
        CHECK(counting_memory::held == 0);
        REQUIRE(one.begin());
        CHECK(one.memory() == counting_memory::held);
        // zlib 1.2.13 and later differ by a few kilobytes.
        CHECK(kilobytes(counting_memory::held) <= r.kilobytes + r.kilobytes / 8 + 2);
        CHECK(kilobytes(counting_memory::held) + r.kilobytes / 8 + 2 >= r.kilobytes);
        one.release();
        CHECK(counting_memory::held == 0);
    }
    CHECK(counting_memory::blocks == 0);
}

TEST_CASE("memory: a decompressor, by window") {
    for (const row& r : decompressors) {
        INFO(int{r.window_bits});
        codec::compressor from(deflate_settings{.window_bits = 9});
        REQUIRE(from.begin());
        const std::string data = json_like(2000);
        byte_vector packed(4000);
        packed.resize(from.compress(std::as_bytes(std::span{data}), packed).made);
        from.release();
        codec::decompressor one(deflate_settings{.window_bits = r.window_bits});
        byte_vector out(100);
        std::span<const std::byte> in{packed};
        for (int i = 0; i != 5; ++i) in = in.subspan(one.decompress(in, out).taken);
        CHECK(one.memory() == counting_memory::held);
        CHECK(kilobytes(counting_memory::held) <= r.kilobytes + 2);
        CHECK(kilobytes(counting_memory::held) + 2 >= r.kilobytes);
    }
    CHECK(counting_memory::held == 0);
}

TEST_CASE("memory: nothing before the first message, and nothing after the connection") {
    {
        deflate_pair<codec> pair;
        CHECK(counting_memory::held == 0);
        converse(pair);
        CHECK(kilobytes(counting_memory::held) > 2 * 262);
        const auto& a = pair.a.connection.explain();
        CHECK(a.memory > 300 * 1024U);
    }
    CHECK(counting_memory::held == 0);
    CHECK(counting_memory::blocks == 0);
}

TEST_CASE("memory: idle, it is given back where no takeover needs it") {
    for (const bool own : {true, false})
        for (const bool peer : {true, false}) {
            auto options = with_deflate();
            options.deflate.own_context_takeover = own;
            options.deflate.peer_context_takeover = peer;
            deflate_pair<codec> pair(options);
            converse(pair);
            const std::size_t busy = counting_memory::held;
            pair.a.pass(20s);  // a Ping for want of traffic
            pair.b.pass(20s);
            pair.run();
            const std::size_t idle = counting_memory::held;
            if (own && peer) CHECK(idle == busy);
            else if (own || peer) CHECK(idle < busy * 6 / 10);
            else CHECK(idle == 0);
            converse(pair);  // and on it goes
            CHECK(counting_memory::held <= busy + 1024);
        }
}

TEST_CASE("memory: a shared compressor costs a connection nothing") {
    {
        auto options = with_deflate();
        options.deflate.peer_context_takeover = false;
        std::vector<std::unique_ptr<deflate_pair<shared>>> many;
        for (int i = 0; i != 20; ++i) {
            many.push_back(std::make_unique<deflate_pair<shared>>(options, options));
            converse(*many.back());
        }
        // One compressor, and a decompressor for each end.
        CHECK(kilobytes(counting_memory::held) < 300 + 40 * 41);
        for (auto& one : many) one->a.connection.shrink(), one->b.connection.shrink();
        CHECK(counting_memory::held == shared::compressor::memory_of_this_thread());
    }
    shared::compressor::release_of_this_thread();
    CHECK(counting_memory::held == 0);
}

TEST_CASE("B06: 10,000 connections opened, used and closed leave nothing behind") {
    const auto cycle = [](int i) {
        auto options = with_deflate();
        options.deflate.own_context_takeover = i % 2 == 0;
        options.deflate.memory_level = 1;
        options.deflate.own_window_bits = 9;
        deflate_pair<codec> pair(options, options);
        const std::string_view data = "Hello, Hello, Hello, Hello";
        REQUIRE(pair.a.connection.send_text(data) == errc::ok);
        REQUIRE(pair.b.connection.send_text(data) == errc::ok);
        pair.run();
        if (i % 3 != 0) {
            REQUIRE(pair.a.connection.close(close_code::normal, "", pair.a.now) == errc::ok);
            pair.run();
        }
    };
    for (int i = 0; i != 10000; ++i) {
        cycle(i);
        if (counting_memory::held != 0) {
            INFO(i);
            REQUIRE(counting_memory::held == 0);
        }
    }
    CHECK(counting_memory::held == 0);
    CHECK(counting_memory::blocks == 0);
}
