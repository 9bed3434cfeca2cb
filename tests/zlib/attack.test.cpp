// What a peer can do with deflate to cost more than it pays: memory and time stay within the limits,
// and others are served.
#include <sansocket_zlib/codec.hpp>

#include "support/catch.hpp"
#include "support/counting_memory.hpp"
#include "support/deflate_pair.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace support;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

// Bytes that message queues hold, and the most there were.
std::size_t queued = 0;
std::size_t most_queued = 0;

template <class T>
struct counting_allocator {
    using value_type = T;
    counting_allocator() = default;
    template <class U>
    explicit counting_allocator(const counting_allocator<U>&) noexcept {}
    T* allocate(std::size_t n) {
        queued += n * sizeof(T);
        most_queued = (std::max)(most_queued, queued);
        return std::allocator<T>{}.allocate(n);
    }
    void deallocate(T* p, std::size_t n) {
        queued -= n * sizeof(T);
        std::allocator<T>{}.deallocate(p, n);
    }
    friend bool operator==(const counting_allocator&, const counting_allocator&) = default;
};

using codec = sansocket_zlib::basic_codec<counting_memory>;
using queue = sansocket::message_queue<counting_allocator<std::byte>>;

template <role Role>
using target = endpoint<Role, queue, codec>;

constexpr std::size_t KiB = 1024;
constexpr std::size_t MiB = 1024 * KiB;

// `size` zeros, compressed as far as zlib can, less the last four bytes: about a thousandth.
byte_vector zeros(std::size_t size) {
    sansocket_zlib::compressor<> zlib(sansocket::deflate_settings{.level = 9, .memory_level = 9});
    REQUIRE(zlib.begin());
    const byte_vector chunk((std::min)(size, MiB));
    byte_vector out;
    byte_vector buffer(64 * KiB);
    for (std::size_t left = size; left != 0;) {
        std::span<const std::byte> in{chunk.data(), (std::min)(left, chunk.size())};
        left -= in.size();
        for (bool more = true; more;) {
            const auto step = zlib.compress(in, buffer);
            out.insert(out.end(), buffer.begin(),
                       buffer.begin() + static_cast<std::ptrdiff_t>(step.made));
            in = in.subspan(step.taken);
            more = !in.empty() || step.made == buffer.size();
        }
    }
    out.resize(out.size() - 4);
    return out;
}

void measure() {
    most_queued = queued;
    counting_memory::most = counting_memory::held;
}

// Gives `wire` to an endpoint in pieces as a socket brings them, until it ends. The end's cause.
template <role Role>
errc attack(const byte_vector& wire, const sansocket::options& options,
            std::size_t piece = 64 * KiB) {
    target<Role> e(options);
    e.open("permessage-deflate");
    measure();
    std::size_t got = 0;
    for (auto& part : in_pieces_of(piece, wire)) {
        std::span<std::byte> in{part};
        while (!in.empty()) {
            in = in.subspan(e.connection.receive(in, e.now));
            while (const auto m = e.connection.messages().pop()) got += m->bytes.size();
        }
    }
    CHECK(got <= options.messages.size * 1000);
    const auto info = e.connection.close_info();
    if (info.sent) CHECK(info.sent->code == close_code_for(info.cause));
    e.connection.abort();
    return info.cause;
}

template <class Test>
void in_both_roles(Test test) {
    test.template operator()<role::client>();
    test.template operator()<role::server>();
}

}  // namespace

TEST_CASE("attack: bombs of 1 KiB to 1 GiB take no more memory than a message may have "
          "(RFC 6455 10.4)") {
    for (const std::size_t limit : {64 * KiB, MiB})
        for (std::size_t size = KiB; size <= 1024 * MiB; size *= 32) {
            const byte_vector bomb = zeros(size);
            INFO(size << " bytes in " << bomb.size());
            auto options = with_deflate();
            options.messages.size = limit;
            in_both_roles([&]<role Role> {
                const errc cause =
                    attack<Role>(compressed_frame<Role>(opcode::binary, bomb), options);
                CHECK(cause == (size <= limit ? errc::ok : errc::message_too_big));
                CHECK(most_queued <= 3 * limit + 64 * KiB);  // twice while a block grows
                CHECK(counting_memory::most < 64 * KiB);
            });
            CHECK(queued == 0);
            CHECK(counting_memory::held == 0);
        }
}

TEST_CASE("attack: a bomb that ends at the limit is a message, one byte more is not") {
    auto options = with_deflate();
    options.messages.size = MiB;
    in_both_roles([&]<role Role> {
        const auto of = [](std::size_t n) {
            return compressed_frame<Role>(opcode::binary, zeros(n));
        };
        CHECK(attack<Role>(of(MiB), options) == errc::ok);
        CHECK(attack<Role>(of(MiB + 1), options) == errc::message_too_big);
        CHECK(attack<Role>(of(MiB), options, 1) == errc::ok);
        CHECK(attack<Role>(of(MiB + 1), options, 1) == errc::message_too_big);
    });
}

TEST_CASE("attack: a bomb in fragments, and a thousand small ones in one read (RFC 6455 10.4)") {
    auto options = with_deflate();
    options.messages.size = MiB;
    options.queue.high_bytes = MiB;
    in_both_roles([&]<role Role> {
        const byte_vector bomb = zeros(64 * MiB);
        byte_vector wire;
        for (std::size_t at = 0; at < bomb.size(); at += 100) {
            const auto end = (std::min)(at + 100, bomb.size());
            const byte_vector part(bomb.begin() + static_cast<std::ptrdiff_t>(at),
                                   bomb.begin() + static_cast<std::ptrdiff_t>(end));
            wire = wire + (at == 0 ? compressed_frame<Role>(opcode::binary, part, false)
                                   : frame<Role>(opcode::continuation, part, end == bomb.size()));
        }
        CHECK(attack<Role>(wire, options) == errc::message_too_big);
        // 60 KiB that come to 60 MiB in 64 messages: what is queued is the mark and one message.
        byte_vector many;
        const byte_vector one = compressed_frame<Role>(opcode::binary, zeros(MiB - 1));
        for (int i = 0; i != 64; ++i) many = many + one;
        CHECK(attack<Role>(many, options, many.size()) == errc::ok);
        CHECK(most_queued <= 6 * MiB);
    });
}

TEST_CASE("attack: a million tiny blocks end soon, and cost no memory (RFC 6455 10.4)") {
    const std::array<byte_vector, 4> blocks{
        hex("00 0000 ffff"),          // stored, empty: five bytes each
        hex("4a 04 00 00 00 ff ff"),  // one letter, and an empty stored one
        hex("01 0000 ffff"),          // each the last of its stream
        hex("03 00"),                 // the same, with fixed codes
    };
    for (const byte_vector& block : blocks) {
        byte_vector payload;
        payload.reserve(1'000'000 * block.size());
        for (int i = 0; i != 1'000'000; ++i)
            payload.insert(payload.end(), block.begin(), block.end());
        in_both_roles([&]<role Role> {
            const auto wire = compressed_frame<Role>(opcode::binary, payload);
            CHECK(attack<Role>(wire, with_deflate()) == errc::deflate_work);
            CHECK(counting_memory::most < 64 * KiB);
            CHECK(most_queued < 128 * KiB);
        });
    }
}

TEST_CASE("attack: a peer that flushes after each line is none") {
    sansocket_zlib::compressor<> zlib(sansocket::deflate_settings{});
    REQUIRE(zlib.begin());
    byte_vector payload;
    std::array<std::byte, 4096> buffer{};
    std::size_t size = 0;
    for (unsigned i = 0; i != 20000; ++i) {
        const std::string line = json_like(80, i) + "\n";
        size += line.size();
        const auto step = zlib.compress(std::as_bytes(std::span{line}), buffer);
        payload.insert(payload.end(), buffer.begin(),
                       buffer.begin() + static_cast<std::ptrdiff_t>(step.made));
    }
    payload.resize(payload.size() - 4);
    in_both_roles([&]<role Role> {
        CHECK(attack<Role>(compressed_frame<Role>(opcode::binary, payload), with_deflate()) ==
              errc::ok);
    });
    CHECK(size > 1'000'000);
}

TEST_CASE("attack: compressed and plain in turn, each as it is, and truncated data at last "
          "(RFC 7692 6.1)") {
    in_both_roles([]<role Role> {
        target<Role> e(with_deflate());
        e.open("permessage-deflate");
        measure();
        const byte_vector packed = zeros(10 * KiB);
        for (int i = 0; i != 20000; ++i) {
            const bool compressed = i % 2 == 0;
            e.receive(compressed ? compressed_frame<Role>(opcode::binary, packed)
                                 : frame<Role>(opcode::binary, packed));
            const auto m = e.connection.messages().pop();
            REQUIRE(m);
            REQUIRE(m->bytes.size() == (compressed ? 10 * KiB : packed.size()));
        }
        CHECK(most_queued < 64 * KiB);
        CHECK(counting_memory::most < 64 * KiB);
        const byte_vector cut(packed.begin(), packed.begin() + 5);
        e.receive(compressed_frame<Role>(opcode::binary, cut));
        const errc cause = e.connection.close_info().cause;
        CHECK((cause == errc::deflate_truncated || cause == errc::deflate_corrupt));
        CHECK(e.connection.close_info().sent->code == close_code::invalid_payload);
        e.connection.abort();
    });
    CHECK(counting_memory::held == 0);
}

TEST_CASE("attack: random bytes with RSV1 end by name or are a message") {
    in_both_roles([]<role Role> {
        for (unsigned seed = 0; seed != 3000; ++seed) {
            const byte_vector payload = bytes(noise(1 + seed % 300, seed));
            const errc cause =
                attack<Role>(compressed_frame<Role>(opcode::binary, payload), with_deflate());
            CHECK((cause == errc::ok || cause == errc::deflate_corrupt ||
                   cause == errc::deflate_truncated));
        }
    });
    CHECK(counting_memory::held == 0);
    CHECK(queued == 0);
}

TEST_CASE("attack: while one is bombed the others are served") {
    auto options = with_deflate();
    options.messages.size = MiB;
    deflate_pair<codec, codec, queue> good(options, options);
    target<role::server> bombed(options);
    bombed.open("permessage-deflate");
    const auto bomb = compressed_frame<role::server>(opcode::binary, zeros(256 * MiB));
    for (auto& part : in_pieces_of(16 * KiB, bomb)) {
        bombed.receive(part);
        const std::string data = json_like(2000);
        CHECK(good.a.connection.send_text(std::string_view{data}) == errc::ok);
        good.run();
        CHECK(good.got_b.back().data == data);
    }
    CHECK(bombed.connection.close_info().cause == errc::message_too_big);
    bombed.connection.abort();
}
