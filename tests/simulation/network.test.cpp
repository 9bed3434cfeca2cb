#include <sansocket_simulation/network.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace sansocket_simulation;

namespace {

// A link and its time.
struct line {
    explicit line(const link_options& both = {}) : wire(time, random_source{1}, both) {}

    io_result write(link_end& s, std::string_view text) {
        const std::array buffers{std::as_bytes(std::span{text})};
        return s.write(buffers);
    }
    // All that can be read now; `last` says what came behind it.
    std::string read(link_end& s, std::size_t most = 100) {
        std::string out;
        std::vector<std::byte> to(most);
        for (;;) {
            const io_result r = s.read(to);
            last = r.what;
            if (r.what != io::done) return out;
            out.append(reinterpret_cast<const char*>(to.data()), r.bytes);
        }
    }
    void run() {
        while (time.step()) {}
    }

    scheduler time;
    network_link wire;
    io last = io::done;
};

}  // namespace

TEST_CASE("network_link: bytes arrive in order, after the latency, in both directions") {
    line l({.latency = 3ms});
    CHECK(l.write(l.wire.first(), "ab").bytes == 2);
    CHECK(l.write(l.wire.first(), "c").bytes == 1);
    CHECK(l.write(l.wire.second(), "back").bytes == 4);
    const auto begin = l.time.now();
    CHECK(l.read(l.wire.second()).empty());
    CHECK(l.last == io::would_block);
    l.run();
    CHECK(l.time.now() == begin + 3ms);
    CHECK(l.read(l.wire.second()) == "abc");
    CHECK(l.read(l.wire.first()) == "back");
}

TEST_CASE("network_link: jitter changes when, never the order") {
    line l({.latency = 1ms, .jitter = 50ms});
    std::string sent;
    for (char c = 'a'; c <= 'z'; ++c) l.write(l.wire.first(), sent += c);
    std::string all, got;
    for (std::size_t i = 1; i <= sent.size(); ++i) all += sent.substr(0, i);
    int pieces = 0;
    while (l.time.step()) {
        const std::string part = l.read(l.wire.second(), 1000);
        got += part;
        if (!part.empty()) ++pieces;
    }
    CHECK(got == all);
    CHECK(pieces > 1);
}

TEST_CASE("network_link: its rate limits how much arrives") {
    line l({.latency = 0ms, .bytes_per_second = 1000, .segment = 10});
    const auto begin = l.time.now();
    l.write(l.wire.first(), std::string(500, 'x'));
    l.run();
    CHECK(l.time.now() >= begin + 490ms);
    CHECK(l.time.now() <= begin + 510ms);
    CHECK(l.read(l.wire.second(), 1000).size() == 500);
}

TEST_CASE(
    "network_link: a full buffer blocks the writer until the reader makes room, and says so") {
    line l({.buffer = 4});
    int ready = 0;
    l.wire.first().on_ready([&] { ++ready; });
    CHECK(l.write(l.wire.first(), "abcdef").bytes == 4);
    CHECK(l.write(l.wire.first(), "ef").what == io::would_block);
    l.run();
    ready = 0;
    CHECK(l.read(l.wire.second()) == "abcd");
    l.run();
    CHECK(ready == 1);
    CHECK(l.write(l.wire.first(), "ef").bytes == 2);
}

TEST_CASE("network_link: sizes cut what is written, what arrives and what is read") {
    line l({.segment = 3, .write_size = 5, .read_size = 2});
    std::string all = "abcdefghijklmnopqrstuvwxyz", got;
    std::size_t largest_write = 0;
    for (std::size_t at = 0; at != all.size();) {
        const std::size_t n = l.write(l.wire.first(), std::string_view{all}.substr(at)).bytes;
        largest_write = (std::max)(largest_write, n);
        at += n;
    }
    CHECK(largest_write <= 5);
    l.run();
    std::array<std::byte, 100> to{};
    for (io_result r = l.wire.second().read(to); r.what == io::done; r = l.wire.second().read(to)) {
        CHECK(r.bytes <= 2);
        got.append(reinterpret_cast<const char*>(to.data()), r.bytes);
    }
    CHECK(got == all);
}

TEST_CASE("network_link: a half close ends one direction, behind its bytes") {
    line l;
    l.write(l.wire.first(), "last");
    l.wire.first().half_close();
    CHECK(l.write(l.wire.first(), "more").what == io::lost);
    l.run();
    CHECK(l.read(l.wire.second()) == "last");
    CHECK(l.last == io::end);
    CHECK(l.write(l.wire.second(), "answer").bytes == 6);
    l.run();
    CHECK(l.read(l.wire.first()) == "answer");
    CHECK(l.last == io::would_block);
}

TEST_CASE("network_link: TLS has no half close, and is truncated where nobody says close_notify") {
    line l({.tls = true});
    l.wire.first().half_close();
    CHECK(l.write(l.wire.first(), "x").bytes == 1);
    l.wire.first().close();
    l.run();
    CHECK(l.read(l.wire.second()) == "x");
    CHECK(l.last == io::truncated);
}

TEST_CASE("network_link: who writes to a closed socket is answered by a reset") {
    line l;
    l.wire.second().close();
    l.run();
    CHECK(l.read(l.wire.first()).empty());
    CHECK(l.last == io::end);
    CHECK(l.write(l.wire.first(), "x").bytes == 1);  // nobody knows yet
    l.run();
    CHECK(l.read(l.wire.first()).empty());
    CHECK(l.last == io::lost);
    CHECK(l.write(l.wire.first(), "x").what == io::lost);
}

TEST_CASE("network_link: a socket closed with unread bytes resets its peer, as an abort does") {
    for (const bool abort : {false, true}) {
        line l;
        l.write(l.wire.first(), "unread");
        l.run();
        if (abort) l.wire.second().abort();
        else l.wire.second().close();
        CHECK(l.wire.second().closed());
        l.run();
        CHECK(l.read(l.wire.first()).empty());
        CHECK(l.last == io::lost);
    }
}

TEST_CASE("network_link: faults at an operation by its number") {
    SECTION("a reset is seen at both ends, behind what has arrived") {
        line l;
        std::vector<fault> seen;
        l.wire.on_fault([&](fault f, std::size_t) { seen.push_back(f); });
        l.wire.befall_at(2, fault::reset);
        l.write(l.wire.first(), "came");  // 0
        l.run();
        CHECK(l.write(l.wire.first(), "gone").bytes == 4);         // 1
        CHECK(l.write(l.wire.first(), "never").what == io::lost);  // 2
        CHECK(seen == std::vector{fault::reset});
        l.run();
        CHECK(l.read(l.wire.second()) == "came");
        CHECK(l.last == io::lost);
        CHECK(l.read(l.wire.first()).empty());
        CHECK(l.last == io::lost);
        CHECK(l.wire.harmed());
    }
    SECTION("a reset may destroy what has arrived") {
        line l({.reset_discards = true});
        l.write(l.wire.first(), "came");
        l.run();
        l.wire.befall(fault::reset, 0);
        CHECK(l.read(l.wire.second()).empty());
        CHECK(l.last == io::lost);
    }
    SECTION("an end, and one that TLS was not told of") {
        for (const fault f : {fault::end, fault::truncate}) {
            line l;
            l.wire.befall_at(1, f);
            l.write(l.wire.first(), "a");                          // 0
            CHECK(l.write(l.wire.first(), "b").what == io::lost);  // 1
            l.run();
            CHECK(l.read(l.wire.second()) == "a");
            CHECK(l.last == (f == fault::end ? io::end : io::truncated));
        }
    }
    SECTION("what is held arrives once it is released") {
        line l;
        l.write(l.wire.first(), "a");
        l.wire.befall(fault::hold, 0);
        CHECK(l.wire.held());
        l.write(l.wire.second(), "b");
        l.run();
        CHECK(l.read(l.wire.first()).empty());
        CHECK(l.read(l.wire.second()).empty());
        l.wire.release();
        l.run();
        CHECK(l.read(l.wire.first()) == "b");
        CHECK(l.read(l.wire.second()) == "a");
    }
    SECTION("what is lost is taken and never comes, and nobody hears of an end") {
        line l;
        l.wire.befall(fault::lose, 0);
        CHECK(l.write(l.wire.first(), "a").bytes == 1);
        l.wire.first().close();
        l.run();
        CHECK(l.read(l.wire.second()).empty());
        CHECK(l.last == io::would_block);
    }
    SECTION("what blocks may go on at once") {
        line l;
        int ready = 0;
        l.wire.first().on_ready([&] { ++ready; });
        l.wire.befall_at(0, fault::block);
        CHECK(l.write(l.wire.first(), "a").what == io::would_block);
        l.run();
        CHECK(ready == 1);
        CHECK(l.write(l.wire.first(), "a").bytes == 1);
        CHECK_FALSE(l.wire.harmed());
    }
}
