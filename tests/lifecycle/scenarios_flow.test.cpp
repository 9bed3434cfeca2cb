// Scenarios: slow readers, slow peers, and memory.
#include <sansocket/connection.hpp>

#include "support/allocations.hpp"
#include "support/scenario.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
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

TEST_CASE("B80: a slow reader of a GiB costs the high mark and one message, and always gets on") {
    in_both_roles_uncut([]<role Role> {
        sansocket::options options;
        options.queue = {.high_bytes = 200'000, .low_bytes = 50'000};
        opened<Role> s(options);
        const std::size_t total = scaled(std::size_t{1} << 30U);
        std::vector<byte_vector> sizes;  // 64,000 to 100,000 bytes
        for (std::size_t size = 64'000; size <= 100'000; size += 4'000)
            sizes.push_back(frame<Role>(opcode::binary, byte_vector(size)));
        std::size_t most = 0, held = 0, sent = 0, got = 0, stuck = 0, bytes = 0;
        byte_vector part(65'536);
        for (; bytes < total; ++sent) {
            const byte_vector& all = sizes[sent % sizes.size()];
            for (std::size_t at = 0; at != all.size();) {
                const std::size_t n = (std::min)(part.size(), all.size() - at);
                std::memcpy(part.data(), all.data() + at, n);
                const std::size_t taken = s.connection.receive({part.data(), n}, s.now);
                at += taken;
                if (taken == n) continue;
                most = (std::max)(most, s.connection.messages().bytes());
                held = (std::max)(held, s.connection.explain().memory);
                if (s.connection.messages().pop()) ++got;
                else ++stuck;
            }
            bytes += all.size();
        }
        got += s.messages().size();
        CHECK(stuck == 0);
        CHECK(got == sent);
        CHECK(most <= 200'000 + 100'000);
        CHECK(held <= 1024 * 1024);
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
        opened<Role> s(options);
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
    in_both_roles_uncut([]<role Role> {
        const auto one = frame<Role>(opcode::text, {});
        const std::size_t messages = scaled(1'000'000);
        byte_vector many;
        many.reserve(one.size() * messages);
        for (std::size_t i = 0; i != messages; ++i) many.insert(many.end(), one.begin(), one.end());
        opened<Role> s;
        std::size_t most = 0, got = 0, wrong = 0;
        bring(s, many, 65'536, [&] {
            most = (std::max)(most, s.connection.messages().size());
            wrong += s.connection.wants_read();
            while (s.connection.messages().pop()) ++got;
            wrong += !s.connection.wants_read();
        });
        while (s.connection.messages().pop()) ++got;
        CHECK(wrong == 0);
        CHECK(most == sansocket::queue_limits{}.high_count);
        CHECK(got == messages);
        s.connection.abort();
    });
}

TEST_CASE("B83: a frame in millions of tiny reads never stops the reading, and costs linear work") {
    in_both_roles_uncut([]<role Role> {
        for (const auto& [size, step] : {std::pair{std::size_t{60'000}, std::size_t{10}},
                                         {scaled(4 * 1024 * 1024), std::size_t{1}}}) {
            opened<Role> s;
            byte_vector all = frame<Role>(opcode::binary, byte_vector(size));
            std::size_t stopped = 0, at_once = 0;
            const std::size_t before = bytes_allocated;
            for (std::size_t at = 0; at < all.size(); at += step) {
                const std::size_t n = (std::min)(step, all.size() - at);
                if (!s.connection.wants_read()) ++stopped;
                if (s.connection.receive({all.data() + at, n}, s.now) != n) ++stopped;
                at_once = (std::max)(at_once, s.connection.messages().memory());
            }
            const std::size_t work = bytes_allocated - before;
            CHECK(stopped == 0);
            // What grows is copied: each block but the last once, and each is twice the one before.
            CHECK(work <= 4 * size + 4096);
            CHECK(at_once <= 2 * size + 4096);
            const auto got = s.messages();
            REQUIRE(got.size() == 1);
            CHECK(got[0].data.size() == size);
            s.connection.abort();
        }
    });
}

TEST_CASE("B84: after a failure whatever comes is thrown away, and memory does not grow") {
    in_both_roles_uncut([]<role Role> {
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
    in_both_roles_uncut([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = 100'000;
        options.sending.low_bytes = 10'000;
        opened<Role> s(options);
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
    in_both_roles_uncut([]<role Role> {
        sansocket::options options;
        options.keepalive.ping_interval = 1s;
        options.keepalive.pong_timeout = 1s;
        options.messages.time = 0s;  // the message's own limit, and not about the peer's life
        opened<Role> s(options);
        const std::size_t size = scaled(10 * 1024 * 1024);
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

TEST_CASE("B88: by default a message that trickles in has an end of its own, after 10 minutes") {
    in_both_roles([]<role Role> {
        for (const bool in_one_frame : {false, true}) {
            opened<Role> s;
            s.feed(peers_text<Role>("before"));
            const auto begun = s.now;
            const auto all = frame<Role>(opcode::binary, byte_vector(1000));
            std::size_t at = 0;
            const auto trickle = [&] {
                const std::size_t n = at == 0 ? 10 : 1;  // the header at once: it begins with that
                if (in_one_frame) s.receive(part_of(all, at, n));
                else
                    s.receive(
                        frame<Role>(at == 0 ? opcode::binary : opcode::continuation, {}, false));
                at += n;
            };
            for (trickle(); s.now != begun + 590s; trickle()) {
                s.pass(10s);
                REQUIRE(s.connection.state() == connection_state::open);
            }
            CHECK(s.sent().empty());  // no Ping: each byte proves life
            CHECK(s.connection.next_deadline() == begun + 10min);
            s.now = begun + 10min - 1ms;
            s.pass(0s);
            CHECK(s.connection.state() == connection_state::open);
            s.pass(1ms);
            CHECK(s.sent() == own_close<Role>(1008, describe(message_too_slow)));
            check_end(s, 1006, false, message_too_slow);
            CHECK(s.connection.close_info().incomplete_message == !in_one_frame);
            CHECK(s.connection.next_deadline() == s.now + 5s);
            CHECK(s.messages() == texts({"before"}));
            trickle();
            CHECK(s.connection.close_info().discarded_bytes != 0);
            s.pass(5s);
            CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
        }
    });
}

TEST_CASE("B88: a message's time is its own: none runs between messages, nor once it closes") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        const auto half = frame<Role>(opcode::text, bytes("a"), false);
        const auto rest = frame<Role>(opcode::continuation, bytes("b"));
        for (int i = 0; i != 3; ++i) {
            s.feed(half);
            for (int j = 0; j != 59; ++j) s.pass(10s), s.receive(frame<Role>(opcode::pong, {}));
            s.feed(rest);
            for (int j = 0; j != 100; ++j) s.pass(10s), s.receive(frame<Role>(opcode::pong, {}));
        }
        CHECK(s.connection.state() == connection_state::open);
        CHECK(s.messages() == texts({"ab", "ab", "ab"}));

        sansocket::options slow_to_close;
        slow_to_close.close_timeout = 1h;
        slow_to_close.after_close = sansocket::after_close::deliver;
        opened<Role> closing(slow_to_close);
        closing.feed(half);
        CHECK(closing.connection.close(close_code::normal, "", closing.now) == ok);
        CHECK(closing.connection.next_deadline() == closing.now + 1h);
        closing.pass(59min);
        CHECK(closing.connection.state() == connection_state::closing);
        closing.feed(rest);
        CHECK(closing.messages() == texts({"ab"}));
        closing.connection.abort();
        s.connection.abort();
    });
}

TEST_CASE(
    "B88: a message that is taken in pieces takes as long as it likes, and pauses count not") {
    in_both_roles_uncut([]<role Role> {
        sansocket::options options;
        options.queue.high_bytes = 100;
        options.keepalive.ping_interval = 0s;
        opened<Role> s(options);
        auto& c = s.connection;
        s.receive(frame<Role>(opcode::binary, bytes("begin"), false));
        CHECK(c.next_deadline() == s.now + 10min);
        CHECK(c.messages().pop_piece());
        CHECK(c.next_deadline() == sansocket::never);
        for (int i = 0; i != 100; ++i) {
            s.pass(1h);
            s.receive(frame<Role>(opcode::continuation, bytes("piece"), false));
            CHECK(c.messages().pop_piece());
        }
        s.receive(frame<Role>(opcode::continuation, byte_vector(100), false));
        CHECK_FALSE(c.wants_read());
        s.pass(1h);
        CHECK(c.next_deadline() == sansocket::never);
        CHECK_FALSE(c.messages().pop());  // from here on it is wanted whole
        CHECK(c.next_deadline() == sansocket::immediately);
        s.pass(0s);
        CHECK(c.state() == connection_state::open);
        CHECK(c.next_deadline() == s.now + 10min);
        s.pass(10min);
        check_end(s, 1006, false, message_too_slow);
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
        opened<Role> s(options);
        auto in = peers_text<Role>("a") + peers_text<Role>("b") + peers_close<Role>(1000);
        const std::size_t one = peers_text<Role>("a").size();
        CHECK(s.receive(in) == one);
        CHECK(s.connection.state() == connection_state::open);
        CHECK(s.connection.send_text("still") == ok);
        CHECK(s.sent() == own_frame<Role>(opcode::text, bytes("still")));
        CHECK(s.messages() == texts({"a"}));
        in = part_of(in, one);
        CHECK(s.receive(in) == one);
        CHECK(s.messages() == texts({"b"}));
        in = part_of(in, one);
        s.feed(in);
        s.sent();
        check_end(s, 1000, true, closed_by_peer);
    });
}
