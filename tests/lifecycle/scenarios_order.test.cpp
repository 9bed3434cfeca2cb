// Scenarios: the last message before a Close, and what goes out in which order.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <chrono>
#include <string>
#include <vector>

using namespace support;
using enum errc;

TEST_CASE("B11: a message right before the Close and the end is there for a late reader") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("Hello") + peers_close<Role>(1000));
        s.connection.receive_end(s.now);
        CHECK(s.sent().empty());
        s.pass(1s);  // so long the Close waits for the reader
        s.sent();
        s.pass(10s);
        CHECK(s.messages() == texts({"Hello"}));
        check_end(s, 1000, true, closed_by_peer);
    });
}

TEST_CASE("B13: a reader that takes its time gets every message, and then the same end for ever") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("1") + peers_text<Role>("2") + peers_text<Role>("3") +
               peers_close<Role>(1000));
        s.connection.receive_end(s.now);
        s.sent();
        auto& queue = s.connection.messages();
        for (const std::string expected : {"1", "2", "3"}) {
            CHECK(queue.is_eof());
            CHECK_FALSE(queue.at_eof());
            const auto m = queue.pop();
            REQUIRE(m);
            CHECK(m->text() == expected);
            s.pass(1s);
            s.sent();
        }
        for (int again = 0; again != 3; ++again) {
            CHECK(queue.at_eof());
            CHECK_FALSE(queue.pop());
            CHECK(queue.cause() == closed_by_peer);
            check_end(s, 1000, true, closed_by_peer);
        }
    });
}

TEST_CASE("B15: what was sent before close goes out before the Close, byte by byte") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        const std::string large(scaled(64 * 1024), 'x');
        CHECK(s.connection.send_text("m1") == ok);
        CHECK(s.connection.send_text(std::string{large}) == ok);
        CHECK(s.connection.close(close_code::normal, "", s.now) == ok);
        CHECK(s.sent_slowly() == own_frame<Role>(opcode::text, bytes("m1")) +
                                     own_frame<Role>(opcode::text, bytes(large)) +
                                     own_close<Role>(1000));
        s.feed(peers_close<Role>(1000));
        check_end(s, 1000, true, closed_locally);
    });
}

TEST_CASE("B14: a peer that drops TCP right behind its Close has still told its code") {
    in_both_roles([]<role Role> {
        for (const bool writable : {true, false}) {
            opened<Role> s;
            s.feed(peers_text<Role>("before") + peers_close<Role>(4001, "bye"));
            s.connection.receive_end(s.now);
            CHECK(s.messages() == texts({"before"}));
            s.connection.advance(s.now);
            if (writable) CHECK(s.sent() == own_close<Role>(4001));
            else s.connection.transport_lost(s.now);
            CHECK(s.connection.close_info().reason() == "bye");
            CHECK(s.connection.wants_shutdown() == shutdown_request::close);
            check_end(s, 4001, writable, closed_by_peer);
        }
    });
}

TEST_CASE("B16: what was not sent is told after the end, and closing sends it") {
    in_both_roles([]<role Role> {
        const auto m = own_frame<Role>(opcode::text, bytes("m"));
        const auto start = [&](opened<Role>& s) {
            CHECK(s.connection.send_text("m") == ok);
            CHECK(s.connection.send_text("m") == ok);
            CHECK(s.sent(1).size() == 1);
        };
        const auto unsent = [](const opened<Role>& s) {
            return s.connection.close_info().unsent_bytes;
        };
        opened<Role> graceful;
        start(graceful);
        CHECK(graceful.connection.close(close_code::normal, "", graceful.now) == ok);
        CHECK(graceful.sent() == part_of(m, 1) + m + own_close<Role>(1000));
        graceful.feed(peers_close<Role>(1000));
        check_end(graceful, 1000, true, closed_locally);
        CHECK(unsent(graceful) == 0);

        opened<Role> given_up;
        start(given_up);
        given_up.connection.abort();
        CHECK(given_up.sent().empty());
        CHECK(given_up.connection.wants_shutdown() == shutdown_request::abort);
        check_end(given_up, 1006, false, aborted);
        CHECK(unsent(given_up) == 2 * m.size() - 1);

        for (const bool fails : {false, true}) {  // what has begun goes out, the rest does not
            opened<Role> cut_short;
            start(cut_short);
            cut_short.feed(fails ? hex("ff ff") : peers_close<Role>(1000));
            const auto out = cut_short.sent();
            CHECK(part_of(out, 0, m.size() - 1) == part_of(m, 1));
            CHECK(unsent(cut_short) == m.size());
            cut_short.connection.transport_lost(cut_short.now);
            CHECK(unsent(cut_short) == m.size());
        }

        opened<Role> crossed;
        start(crossed);
        CHECK(crossed.connection.close(close_code::normal, "", crossed.now) == ok);
        crossed.feed(peers_close<Role>(1000));
        CHECK(crossed.sent() == part_of(m, 1) + own_close<Role>(1000));
        CHECK(unsent(crossed) == m.size());
    });
}

TEST_CASE("B17: a connection that is closed as soon as it is open says so behind the handshake") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.receive(e.opening_and({}));
        REQUIRE(e.connection.state() == connection_state::open);
        CHECK(e.connection.close(theirs, "", e.now) == ok);
        byte_vector out = e.sent();
        if (Role == role::server) CHECK(text_of(out).starts_with("HTTP/1.1 101 "));
        const auto bye = own_close<Role>(4000);
        REQUIRE(out.size() >= bye.size());
        CHECK(part_of(out, out.size() - bye.size()) == bye);
        e.receive(peers_close<Role>(4000));
        CHECK(e.connection.wants_shutdown() ==
              (Role == role::server ? shutdown_request::close : shutdown_request::none));
        check_end(e, 4000, true, closed_locally);
    });
}

TEST_CASE("B18: behind the opening handshake nothing goes out but frames") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.sent().empty());
        CHECK(e.connection.send_text("a") == ok);
        CHECK(e.connection.send_ping() == ok);
        byte_vector out = e.sent();
        e.receive(frame<Role>(opcode::ping, bytes("?")));
        CHECK(e.connection.close(close_code::normal, "", e.now) == ok);
        out = out + e.sent();
        e.receive(peers_text<Role>("late") + peers_close<Role>(1000));
        e.connection.receive_end(e.now);
        out = out + e.sent();
        const auto empty_ping = own_frame<Role>(opcode::ping, {});
        const auto a = own_frame<Role>(opcode::text, bytes("a"));
        const auto rest = own_frame<Role>(opcode::pong, bytes("?")) + own_close<Role>(1000);
        CHECK((out == empty_ping + a + rest || out == a + empty_ping + rest));
    });
}

TEST_CASE("B19: frames that come with the opening handshake wait for the reader, in order") {
    in_both_roles_uncut([]<role Role> {
        std::size_t size = 1;
        for (std::size_t cut = 0; cut <= size; ++cut) {
            endpoint<Role> e;
            const auto all = e.opening_and(peers_text<Role>("a") + peers_close<Role>(1000));
            size = all.size();
            const auto middle = all.begin() + static_cast<std::ptrdiff_t>(cut);
            CHECK(e.receive(byte_vector(all.begin(), middle)) == cut);
            CHECK(e.receive(byte_vector(middle, all.end())) == size - cut);
            e.sent();
            CHECK(e.connection.messages().size() == 1);
            CHECK(e.messages() == texts({"a"}));
            e.connection.advance(e.now);
            e.sent();
            check_end(e, 1000, true, closed_by_peer);
        }
    });
}
