// Scenarios: slow readers, slow peers, and memory.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace support;
using enum errc;

namespace {

// Brings `data` in parts of `size` bytes as far as it is taken; `pop` makes room.
template <class Endpoint, class Pop>
void bring(Endpoint& e, const byte_vector& data, std::size_t size, Pop pop) {
    for (std::size_t at = 0; at != data.size();) {
        byte_vector part = part_of(data, at, size);
        const std::size_t n = part.size();
        const std::size_t taken = e.connection.receive(part, e.now);
        at += taken;
        if (taken != n) pop();
    }
}

}  // namespace

TEST_CASE("B80: a slow reader costs the high mark and one message, and always gets on") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue = {.high_bytes = 200'000, .low_bytes = 50'000};
        opened<Role> s(0, options);
        std::size_t most = 0;
        std::size_t got = 0;
        constexpr int messages = 200;
        for (int i = 0; i != messages; ++i) {
            const std::size_t size = 64'000 + static_cast<std::size_t>(i) * 180;
            bring(s, frame<Role>(opcode::binary, byte_vector(size)), 65'536, [&] {
                most = (std::max)(most, s.connection.messages().bytes());
                REQUIRE(s.connection.messages().pop());
                ++got;
            });
        }
        got += s.messages().size();
        CHECK(got == messages);
        CHECK(most <= 200'000 + 100'000);
        s.connection.abort();
    });
}

TEST_CASE(
    "B81: text costs its bytes of UTF-8 and a fixed charge, and reading stops at that message") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        const std::string word = "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80";
        const std::size_t each = word.size() + sansocket::message_overhead;
        options.queue = {.high_bytes = 5 * each, .low_bytes = 2 * each};
        opened<Role> s(0, options);
        for (std::size_t n = 1; n <= 5; ++n) {
            CHECK(s.connection.wants_read());
            s.feed(peers_text<Role>(word));
            CHECK(s.connection.messages().bytes() == n * each);
        }
        CHECK_FALSE(s.connection.wants_read());
        s.connection.abort();
    });
}

TEST_CASE("B82: empty messages cost something, so a flood of them stops at the mark") {
    in_both_roles([]<role Role> {
        const auto one = frame<Role>(opcode::text, {});
        byte_vector many;
        constexpr std::size_t messages = 100'000;
        many.reserve(one.size() * messages);
        for (std::size_t i = 0; i != messages; ++i) many.insert(many.end(), one.begin(), one.end());
        opened<Role> s;
        std::size_t most = 0;
        std::size_t got = 0;
        bring(s, many, 65'536, [&] {
            most = (std::max)(most, s.connection.messages().size());
            CHECK_FALSE(s.connection.wants_read());
            got += s.messages().size();
            CHECK(s.connection.wants_read());
        });
        got += s.messages().size();
        CHECK(most == sansocket::queue_limits{}.high_count);
        CHECK(got == messages);
        s.connection.abort();
    });
}

TEST_CASE("B83: a frame in thousands of tiny reads never stops the reading") {
    in_both_roles([]<role Role> {
        for (const auto& [size, step] :
             {std::pair{std::size_t{60'000}, std::size_t{10}}, {std::size_t{256 * 1024}, 1}}) {
            opened<Role> s;
            const auto all = frame<Role>(opcode::binary, byte_vector(size));
            std::size_t stopped = 0;
            for (std::size_t at = 0; at < all.size(); at += step) {
                byte_vector part = part_of(all, at, step);
                if (!s.connection.wants_read()) ++stopped;
                if (s.connection.receive(part, s.now) != part.size()) ++stopped;
            }
            CHECK(stopped == 0);
            const auto got = s.messages();
            REQUIRE(got.size() == 1);
            CHECK(got[0].data.size() == size);
            s.connection.abort();
        }
    });
}

TEST_CASE("B84: after a failure whatever comes is thrown away, and memory does not grow") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(frame<Role>(opcode{3}, {}));
        s.sent();
        const std::size_t before = s.connection.explain().memory;
        byte_vector flood(64 * 1024);
        for (int i = 0; i != 512; ++i) REQUIRE(s.connection.receive(flood, s.now) == flood.size());
        CHECK(s.connection.explain().memory == before);
        CHECK(s.connection.close_info().discarded_bytes >= 512 * flood.size());
        check_end(s, 1006, false, reserved_opcode);
    });
}

TEST_CASE("B85: whether to read after the handshake depends on nothing that was before") {
    sansocket::options options;
    options.decision = sansocket::request_decision::manual;
    endpoint<role::server> s(options);
    const auto all = bytes(upgrade_request) + peers_text<role::server>("at once");
    byte_vector in = all;
    const std::size_t taken = s.connection.receive(in, s.now);
    CHECK(taken == upgrade_request.size());
    CHECK_FALSE(s.connection.wants_read());
    CHECK(s.connection.accept("", {}, s.now) == ok);
    CHECK(s.connection.wants_read());
    s.receive(part_of(all, taken));
    CHECK(s.messages() == texts({"at once"}));
    CHECK(s.connection.wants_read());
    s.connection.abort();
}

TEST_CASE("B86: a peer that never reads costs the sender the high mark and one message") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = 100'000;
        options.sending.low_bytes = 10'000;
        opened<Role> s(0, options);
        const byte_vector payload(3000);
        std::size_t refused = 0;
        for (int i = 0; i != 10'000; ++i)
            if (s.connection.send_binary(payload) == backpressure) ++refused;
        CHECK(refused > 9900);
        CHECK(s.connection.output_bytes() < 100'000 + 3100);
        CHECK_FALSE(s.connection.output_drained());
        while (!s.connection.output_drained()) REQUIRE(s.sent(1000).size() == 1000);
        CHECK(s.connection.output_bytes() <= 10'000);
        CHECK(s.connection.output_bytes() > 8'000);
        CHECK(s.connection.send_binary(payload) == ok);
        s.connection.abort();
    });
}

TEST_CASE("B88: a large frame that trickles in proves that the peer lives") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.keepalive.ping_interval = 1s;
        options.keepalive.pong_timeout = 1s;
        opened<Role> s(0, options);
        constexpr std::size_t size = 1024 * 1024;
        const auto all = frame<Role>(opcode::binary, byte_vector(size));
        std::size_t failed = 0;
        for (std::size_t at = 0; at < all.size(); at += 1024) {
            s.receive(part_of(all, at, 1024));
            s.pass(1s);
            s.sent();
            if (s.connection.state() != connection_state::open) ++failed;
        }
        CHECK(failed == 0);
        CHECK(s.messages().size() == 1);
        s.connection.abort();
    });
}

TEST_CASE("B89: the heartbeat and the transport fail in one turn: the first is the cause") {
    in_both_roles([]<role Role> {
        for (const bool heartbeat_first : {false, true}) {
            opened<Role> s;
            s.pass(20s);
            s.now += 20s;
            if (heartbeat_first) s.connection.advance(s.now);
            s.connection.transport_lost(s.now);
            s.connection.advance(s.now);
            CHECK(s.connection.next_deadline() == sansocket::never);
            check_end(s, 1006, false, heartbeat_first ? pong_timeout : transport_lost);
        }
    });
}

TEST_CASE(
    "B90: a Close behind a full queue is met when there is room, and until then we may send") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = options.queue.low_count = 1;
        opened<Role> s(0, options);
        auto in = peers_text<Role>("a") + peers_text<Role>("b") + peers_close<Role>(1000);
        const std::size_t one = peers_text<Role>("a").size();
        CHECK(s.connection.receive(in, s.now) == one);
        CHECK(s.connection.state() == connection_state::open);
        CHECK(s.connection.send_text("still") == ok);
        CHECK(s.sent() == own_frame<Role>(opcode::text, bytes("still")));
        CHECK(s.messages() == texts({"a"}));
        in = part_of(in, one);
        CHECK(s.connection.receive(in, s.now) == one);
        CHECK(s.messages() == texts({"b"}));
        in = part_of(in, one);
        CHECK(s.connection.receive(in, s.now) == in.size());
        s.sent();
        check_end(s, 1000, true, closed_by_peer);
    });
}
