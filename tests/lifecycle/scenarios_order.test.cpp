// Scenarios: the last message before a Close, and what goes out in which order.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <chrono>
#include <string>
#include <vector>

using namespace support;
using enum errc;

namespace {

// The opening handshake with `behind` in the same bytes, in the peer's pieces.
template <role Role>
byte_vector opening_and(endpoint<Role>& e, const byte_vector& behind) {
    if constexpr (Role == role::server) return bytes(upgrade_request) + behind;
    const std::string request = text_of(e.sent());
    const std::string name = "Sec-WebSocket-Key: ";
    const auto accept = sansocket::accept_key(request.substr(request.find(name) + name.size(), 24));
    return bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                 std::string{accept.data(), accept.size()} + "\r\n\r\n") +
           behind;
}

}  // namespace

TEST_CASE("B11: a message right before the Close and the end is there for a late reader") {
    in_both_roles_and_every_cut([]<role Role>(std::size_t cut) {
        opened<Role> s(cut);
        s.feed(peers_text<Role>("Hello") + peers_close<Role>(1000));
        s.connection.receive_end(s.now);
        s.sent();
        s.pass(10s);
        CHECK(s.messages() == texts({"Hello"}));
        check_end(s, 1000, true, closed_by_peer);
    });
}

TEST_CASE("B13: a reader that takes its time gets every message, and then the same end for ever") {
    in_both_roles_and_every_cut([]<role Role>(std::size_t cut) {
        opened<Role> s(cut);
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
        const std::string large(64 * 1024, 'x');
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

TEST_CASE("B16: giving up says what was not sent, and closing sends it") {
    in_both_roles([]<role Role> {
        for (const bool graceful : {false, true}) {
            opened<Role> s;
            CHECK(s.connection.send_text("m") == ok);
            const auto m = own_frame<Role>(opcode::text, bytes("m"));
            CHECK(s.connection.explain().output_bytes == m.size());
            if (graceful) {
                CHECK(s.connection.close(close_code::normal, "", s.now) == ok);
                CHECK(s.sent() == m + own_close<Role>(1000));
                s.feed(peers_close<Role>(1000));
                check_end(s, 1000, true, closed_locally);
            } else {
                s.connection.abort();
                CHECK(s.sent().empty());
                CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
                check_end(s, 1006, false, aborted);
            }
        }
    });
}

TEST_CASE("B17: a connection that is closed as soon as it is open says so behind the handshake") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.receive(opening_and(e, {}));
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
    in_both_roles([]<role Role> {
        std::size_t size = 1;
        for (std::size_t cut = 0; cut <= size; ++cut) {
            endpoint<Role> e;
            const auto all = opening_and(e, peers_text<Role>("a") + peers_close<Role>(1000));
            size = all.size();
            const auto middle = all.begin() + static_cast<std::ptrdiff_t>(cut);
            CHECK(e.receive(byte_vector(all.begin(), middle)) == cut);
            CHECK(e.receive(byte_vector(middle, all.end())) == size - cut);
            e.sent();
            CHECK(e.connection.messages().size() == 1);
            CHECK(e.messages() == texts({"a"}));
            check_end(e, 1000, true, closed_by_peer);
        }
    });
}
