// What each line of the routes is for: what the tests of the machines cannot see.
#include <sansocket/connection_routes.hpp>

#include "support/scenario.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using namespace support;
using namespace sansocket;

namespace {

// Counts the bytes of its keys up from 0.
struct counting_keys {
    std::uint8_t next = 0;
    masking_key operator()() noexcept {
        masking_key key;
        for (std::byte& b : key) b = std::byte{next++};
        return key;
    }
};

// A queue that is full when the test says.
struct obedient_queue : message_queue<> {
    explicit obedient_queue(std::shared_ptr<bool> full) : full_(std::move(full)) {}
    [[nodiscard]] bool paused() const noexcept { return full_ && *full_; }
    void abandon() noexcept {
        ++abandoned;
        message_queue<>::abandon();
    }
    int abandoned = 0;

private:
    std::shared_ptr<bool> full_;
};

struct last_leak final : diagnostics_handler {
    void leaked(const leak_report& r) noexcept override { age = r.age; }
    duration age{};
};

struct last_change final : diagnostics_handler {
    void changed(const state_change& c) noexcept override { last = c; }
    state_change last;
};

}  // namespace

TEST_CASE("connection: a client's key is sixteen bytes of its source, in order (4.1)") {
    const connection<role::client, message_queue<>, counting_keys> c(
        {.host = "server.example.com"}, counting_keys{}, time_point{1h});
    REQUIRE(c.handshake());
    CHECK(std::string{c.handshake()->request()}.find(
              "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n") != std::string::npos);
}

TEST_CASE("connection: a client whose request cannot be written ends before it says a word (4.1)") {
    connection<role::client, message_queue<>, fixed_keys> c({.host = "two words"}, fixed_keys{},
                                                            time_point{1h});
    CHECK(c.state() == connection_state::closed);
    CHECK(c.close_info().cause == c.handshake()->error());
    CHECK(c.close_info().cause != errc::ok);
    CHECK_FALSE(c.wants_write());
    CHECK_FALSE(c.wants_read());
    CHECK(c.next_deadline() == never);
}

TEST_CASE("connection: a server whose policy cannot be written says so to the client (4.2.2)") {
    connection<role::server, message_queue<>, fixed_keys> c(
        {.headers = {{"Sec-WebSocket-Accept", "x"}}}, time_point{1h});
    byte_vector request = bytes(upgrade_request);
    CHECK(c.receive(request, time_point{1h}) == request.size());
    CHECK(c.close_info().cause == errc::invalid_response);
    CHECK(c.output_bytes() == error_response(errc::invalid_response).size());
    CHECK(c.state() == connection_state::closed);
}

TEST_CASE("connection: a message that a full queue cuts off while closing is forgotten at once") {
    in_both_roles([]<role Role> {
        options chosen;
        chosen.after_close = after_close::deliver;
        const auto full = std::make_shared<bool>(false);
        endpoint<Role, obedient_queue> e(chosen, obedient_queue{full});
        e.open();
        auto& c = e.connection;
        e.receive(frame<Role>(opcode::text, bytes("half"), false));
        CHECK(c.close(close_code::normal, "", e.now) == errc::ok);
        *full = true;
        e.receive(frame<Role>(opcode::continuation, bytes("half")));
        CHECK(c.messages().abandoned >= 1);
        CHECK(c.messages().size() == 0);
        CHECK(c.close_info().discarded_bytes == 4);
        c.abort();
    });
}

TEST_CASE("connection: a Close on its way out when the peer's comes is not sent again (5.5.1)") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        auto& c = s.connection;
        CHECK(c.close(ours, "bye", s.now) == errc::ok);
        const std::size_t size = c.output().bytes();
        CHECK(size == own_close<Role>(1001, "bye").size());
        s.feed(peers_close<Role>());
        CHECK(c.output_bytes() == size);
        c.consume_output(size, s.now);
        CHECK_FALSE(c.wants_write());
        check_end(s, 4000, true, errc::closed_locally);
    });
}

TEST_CASE("connection: a Close counts as sent when all of it is taken, and not before (7.1.4)") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        auto& c = s.connection;
        CHECK(c.close(ours, "bye", s.now) == errc::ok);
        while (c.output_bytes() != 0) {
            CHECK(c.explain().closing == close_state::sending);
            CHECK(s.sent(1).size() == 1);
        }
        CHECK(c.explain().closing == close_state::sent);
        c.abort();
    });
}

TEST_CASE("connection: a Ping holds at most 125 bytes (5.5)") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.send_ping(byte_vector(126)) == errc::control_too_long);
        CHECK_FALSE(s.connection.wants_write());
        CHECK(s.connection.send_ping(byte_vector(125)) == errc::ok);
        CHECK(s.sent() == own_frame<Role>(opcode::ping, byte_vector(125)));
        s.connection.abort();
    });
}

TEST_CASE("connection: a failure has one deadline, and no Ping comes before it (7.1.7)") {
    in_both_roles([]<role Role> {
        options chosen;
        chosen.keepalive.ping_interval = 1s;
        opened<Role> s(chosen);
        s.feed(hex("ff ff"));
        CHECK(s.connection.next_deadline() == s.now + 5s);
        s.sent();
        s.pass(4s);
        CHECK_FALSE(s.connection.wants_write());
        s.pass(1s);
        CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
    });
}

TEST_CASE("connection: giving up what has ended changes nothing") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("unread"));
        s.connection.transport_lost(s.now);
        s.connection.abort();
        CHECK(s.connection.wants_shutdown() == shutdown_request::close);
        CHECK(s.messages() == texts({"unread"}));
    });
}

TEST_CASE("connection: a Ping for want of traffic gives memory back") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>(std::string(1000, 'x')));
        CHECK(s.messages().size() == 1);
        CHECK(s.connection.messages().memory() != 0);
        s.pass(20s);
        CHECK(s.connection.messages().memory() == 0);
        s.connection.abort();
    });
}

TEST_CASE("connection: the Pong gives back what the Ping took, and nothing that waits (5.5.3)") {
    in_both_roles([]<role Role> {
        byte_vector number(8);
        number.back() = std::byte{1};
        opened<Role> s;
        s.connection.release_handshake();
        s.connection.shrink();
        REQUIRE(s.connection.explain().memory == 0);
        s.pass(20s);
        REQUIRE(s.sent() == own_frame<Role>(opcode::ping, number));
        CHECK(s.connection.explain().memory != 0);
        s.feed(frame<Role>(opcode::pong, bytes("another")));
        CHECK(s.connection.explain().memory != 0);
        s.feed(frame<Role>(opcode::pong, number));
        CHECK(s.connection.explain().memory == 0);

        CHECK(s.connection.send_text("waits") == errc::ok);
        s.feed(frame<Role>(opcode::pong, number));
        CHECK(s.sent() == own_frame<Role>(opcode::text, bytes("waits")));
        s.connection.abort();
    });
}

TEST_CASE(
    "connection: a control frame that comes in pieces is whole, whatever is given back between") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        const byte_vector ping = frame<Role>(opcode::ping, bytes("in pieces"));
        for (std::size_t cut = 1; cut != ping.size(); ++cut) {
            const auto at = ping.begin() + static_cast<std::ptrdiff_t>(cut);
            s.feed({ping.begin(), at});
            s.connection.shrink();
            s.feed({at, ping.end()});
            s.connection.shrink();
            CHECK(s.sent() == own_frame<Role>(opcode::pong, bytes("in pieces")));
        }
        s.connection.abort();
    });
}

#if defined(__GNUC__) && __SIZEOF_POINTER__ == 8
// One byte more is ten kilobytes more of a server with ten thousand connections: whoever needs it says
// so here.
static_assert(sizeof(sansocket::connection<role::server, sansocket::message_queue<>,
                                           sansocket::chacha_keys, sansocket::no_diagnostics>) <=
              784);
#endif

TEST_CASE("connection: a server that has forgotten the request decides nothing any more") {
    server s;
    s.open();
    s.connection.release_handshake();
    CHECK(s.connection.handshake() == nullptr);
    CHECK(s.connection.accept("", {}, s.now) == errc::not_deciding);
    CHECK(s.connection.refuse(403, {}, "", s.now) == errc::not_deciding);
    s.connection.abort();
}

TEST_CASE("connection: there is nothing to read behind the end of the stream, or the end") {
    in_both_roles([]<role Role> {
        opened<Role> half;
        half.feed(peers_close<Role>());
        CHECK(half.connection.wants_read());
        half.connection.receive_end(half.now);
        CHECK(half.connection.wants_write());
        CHECK_FALSE(half.connection.wants_read());
        half.connection.abort();
        CHECK_FALSE(half.connection.wants_read());
    });
}

TEST_CASE("connection: who watches is told when it was closed, and when the stream ended") {
    if (!default_diagnostics::enabled) return;
    in_both_roles([]<role Role> {
        last_change told;
        options chosen;
        chosen.diagnostics = &told;
        opened<Role> s(chosen);
        s.now += 1s;
        CHECK(s.connection.close(ours, "", s.now) == errc::ok);
        CHECK((told.last.to == connection_state::closing && told.last.when == s.now));
        s.now += 1s;
        s.connection.receive_end(s.now);
        CHECK((told.last.to == connection_state::closed && told.last.when == s.now));
        last_leak leaks;
        chosen.diagnostics = &leaks;
        opened<Role> half(chosen);
        half.feed(peers_close<Role>());
        half.now += 1s;
        half.connection.receive_end(half.now);
        half.connection.abort(errc::dropped);
        CHECK(leaks.age == 1s);
    });
}

TEST_CASE("connection: what is moved from is over, whatever it was") {
    in_both_roles([]<role Role> {
        for (const at state : every_state) {
            subject<Role> s(state);
            const auto taken_away = std::move(s.connection);
            CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
            CHECK(s.connection.state() == connection_state::closed);
            CHECK_FALSE(s.connection.wants_read());
            CHECK(s.connection.messages().is_eof());
        }
    });
}

TEST_CASE("connection: explain tells what a cut message, a full queue and a Pong left behind") {
    in_both_roles([]<role Role> {
        options chosen;
        chosen.queue.high_count = chosen.queue.low_count = 1;
        opened<Role> s(chosen);
        auto& c = s.connection;
        s.pass(0s);  // there is room again
        s.pass(20s);
        const auto ping = s.sent();
        byte_vector number(8);
        number.back() = std::byte{1};
        REQUIRE(ping == own_frame<Role>(opcode::ping, number));
        s.now += 2s;
        s.feed(frame<Role>(opcode::pong, number));
        CHECK(c.explain().round_trip == 2s);
        CHECK_FALSE(c.explain().paused);
        s.feed(peers_text<Role>(std::string(500, 'x')));
        CHECK(c.explain().paused);
        c.release_handshake();
        c.shrink();
        CHECK(c.messages().memory() >= 500);
        CHECK(c.explain().memory == c.messages().memory());
        const auto before = c.explain().memory;
        const std::string copied(5000, 'x');
        CHECK(c.send_text(std::string_view{copied}) == errc::ok);
        CHECK(c.explain().memory >= before + 3000);
        CHECK(s.messages().size() == 1);
        s.feed(frame<Role>(opcode::text, bytes("half"), false));
        c.receive_end(s.now);
        CHECK(c.explain().incomplete_message);
    });
}

TEST_CASE("connection: explain names the subprotocol while the handshake is held") {
    connection<role::server, message_queue<>, fixed_keys> c({.subprotocols = {"chat"}},
                                                            time_point{1h});
    std::string request = upgrade_request;
    request.insert(request.size() - 2, "Sec-WebSocket-Protocol: chat\r\n");
    byte_vector in = bytes(request);
    CHECK(c.receive(in, time_point{1h}) == in.size());
    CHECK(c.explain().subprotocol == "chat");
    const std::size_t with = c.explain().memory;
    c.release_handshake();
    CHECK(c.explain().subprotocol.empty());
    CHECK(with > c.explain().memory);
    c.abort();
}

TEST_CASE("connection: what is thrown away unsent is counted, our Close aside") {
    in_both_roles([]<role Role> {
        const std::size_t m = own_frame<Role>(opcode::text, bytes("m")).size();
        const auto unsent_after = [](auto end) {
            opened<Role> s;
            CHECK(s.connection.send_text("m") == errc::ok);
            CHECK(s.connection.send_text("m") == errc::ok);
            CHECK(s.sent(1).size() == 1);
            end(s);
            const auto unsent = s.connection.close_info().unsent_bytes;
            const std::size_t left = s.connection.output_bytes();
            CHECK(s.sent().size() == left);
            CHECK(s.connection.close_info().unsent_bytes == unsent);
            s.connection.abort();
            return unsent;
        };
        CHECK(unsent_after([](auto& s) { s.connection.abort(); }) == 2 * m - 1);
        CHECK(unsent_after([](auto& s) { s.feed(peers_close<Role>()); }) == m);
        CHECK(unsent_after([](auto& s) { s.feed(hex("ff ff")); }) == m);
        CHECK(unsent_after([](auto& s) {
                  CHECK(s.connection.close(ours, "", s.now) == errc::ok);
                  s.feed(peers_close<Role>());
              }) == m);
    });
}

TEST_CASE(
    "connection: control frames go between the frames of a message that is sent in parts (5.4)") {
    sansocket::options options;
    options.sending.fragment_bytes = 1000;
    server e(options);
    e.open();
    CHECK(e.connection.fragment_bytes() == 1000);
    const byte_vector payload(3000, std::byte{7});
    CHECK(e.connection.send_fragmented(sansocket::message_kind::binary, payload) == errc::ok);
    const byte_vector first(1000, std::byte{7});
    byte_vector out = e.sent(500);
    CHECK(e.connection.send_ping() == errc::ok);
    out = out + e.sent();
    CHECK(out == own_frame<role::server>(opcode::binary, first, false) +
                     own_frame<role::server>(opcode::ping, {}) +
                     own_frame<role::server>(opcode::continuation, first, false) +
                     own_frame<role::server>(opcode::continuation, first));
    e.connection.abort();
}

TEST_CASE(
    "connection: a message larger than the queue comes in pieces, within the limit of its size") {
    sansocket::options options;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 16 * 1024;
    options.messages.size = 4 * 1024 * 1024;
    server e(options);
    e.open();
    auto& queue = e.connection.messages();
    CHECK_FALSE(queue.pop_piece());
    const auto transfer = [&](std::size_t size) {
        byte_vector wire = frame<role::server>(opcode::binary, byte_vector(size));
        std::size_t at = 0, got = 0;
        bool last = false;
        while (!last && e.connection.state() == connection_state::open) {
            while (at != wire.size() && e.connection.wants_read()) {
                const std::size_t n = (std::min)(wire.size() - at, std::size_t{64} * 1024);
                at += e.connection.receive(std::span{wire}.subspan(at, n), e.now);
                if (e.connection.state() != connection_state::open) break;
            }
            CHECK(queue.memory() <= 512 * 1024);
            while (const auto p = queue.pop_piece()) {
                got += p->bytes.size();
                last = p->last;
            }
        }
        return got;
    };
    CHECK(transfer(4 * 1024 * 1024) == 4 * 1024 * 1024);
    (void)transfer(4 * 1024 * 1024 + 1);
    CHECK(e.connection.close_info().cause == errc::message_too_big);
    e.connection.abort();
}
