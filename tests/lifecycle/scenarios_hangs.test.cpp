// Scenarios: closes that elsewhere hung, or took all of their time.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace support;
using enum errc;

namespace {

template <role Role>
void close_normally(endpoint<Role>& e) {
    CHECK(e.connection.close(close_code::normal, "", e.now) == ok);
}

}  // namespace

TEST_CASE("B20: a peer that goes on talking does not put off the end of a close") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        close_normally(s);
        s.sent();
        const auto deadline = s.now + 5s;
        while (s.now != deadline - 100ms) {
            s.feed(peers_text<Role>("and another thing"));
            CHECK(s.connection.next_deadline() == deadline);
            s.pass(100ms);
            CHECK(s.connection.wants_shutdown() == shutdown_request::none);
        }
        s.pass(100ms);
        CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
        check_end(s, 1006, false, close_timeout);
    });
}

TEST_CASE("B21: data and a Ping on their way when we close are no failure of the close") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        close_normally(s);
        s.sent();
        s.feed(peers_text<Role>("late") + frame<Role>(opcode::ping, bytes("?")));
        CHECK(s.sent() == own_frame<Role>(opcode::pong, bytes("?")));
        s.feed(peers_close<Role>(1000));
        check_end(s, 1000, true, closed_locally);
    });
}

TEST_CASE("B22: a full queue that nobody reads does not keep a close from its end") {
    in_both_roles([]<role Role> {
        for (const bool answers : {true, false}) {
            sansocket::options options;
            options.queue.high_count = options.queue.low_count = 1;
            opened<Role> s(options);
            s.feed(peers_text<Role>("unread"));
            CHECK_FALSE(s.connection.wants_read());
            CHECK(s.receive(peers_text<Role>("kept back")) == 0);
            close_normally(s);
            const auto deadline = s.now + 5s;
            CHECK(s.connection.wants_read());
            CHECK(s.connection.messages().size() == 0);
            CHECK(s.sent() == own_close<Role>(1000));
            s.pass(1s);
            s.feed(peers_text<Role>("kept back") + peers_text<Role>("and more"));
            CHECK(s.connection.wants_read());
            CHECK(s.connection.messages().size() == 0);
            if (answers) {
                s.feed(peers_close<Role>(1000));
                check_end(s, 1000, true, closed_locally);
                continue;
            }
            CHECK(s.connection.next_deadline() == deadline);
            s.pass(4s - 1ns);
            CHECK(s.connection.state() == connection_state::closing);
            s.pass(1ns);
            CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
            check_end(s, 1006, false, close_timeout);
        }
    });
}

TEST_CASE("B23: a close behind output that the peer never takes ends at the deadline") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.send_text(std::string(1024 * 1024, 'x')) == ok);
        CHECK(s.sent(100).size() == 100);
        close_normally(s);
        s.pass(5s - 1ns);
        CHECK(s.connection.state() == connection_state::closing);
        s.pass(1ns);
        CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
        CHECK_FALSE(s.connection.wants_write());
        check_end(s, 1006, false, close_timeout);
    });
}

TEST_CASE(
    "B24: a dead link is dropped when the heartbeat fails, and a close after that is at once") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.send_text("into the dark") == ok);
        while (s.connection.state() == connection_state::open)
            s.pass(s.connection.next_deadline() - s.now);
        CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(s.connection.next_deadline() == sansocket::never);
        CHECK(s.connection.close(close_code::normal, "", s.now) == closed);
        CHECK_FALSE(s.connection.wants_write());
        check_end(s, 1006, false, pong_timeout);
    });
}

TEST_CASE("B29: a message in the same bytes as the answer to our Close does not block the close") {
    in_both_roles([]<role Role> {
        for (const auto policy :
             {sansocket::after_close::discard, sansocket::after_close::deliver}) {
            sansocket::options options;
            options.after_close = policy;
            opened<Role> s(options);
            close_normally(s);
            s.sent();
            s.feed(peers_text<Role>("m") + peers_close<Role>(1000));
            check_end(s, 1000, true, closed_locally);
            const bool delivers = policy == sansocket::after_close::deliver;
            CHECK(s.messages() == (delivers ? texts({"m"}) : texts({})));
        }
    });
}

TEST_CASE("B30: data and garbage behind a peer's Close are counted, and are no error") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        const auto late = peers_text<Role>("late") + hex("ff ff ff ff ff");
        s.feed(peers_close<Role>(1000) + late);
        s.sent();
        CHECK(s.messages().empty());
        CHECK(s.connection.close_info().discarded_bytes == late.size());
        check_end(s, 1000, true, closed_by_peer);
    });
}

TEST_CASE(
    "B31: every call in every state has a named answer, and no refused one changes anything") {
    in_both_roles([]<role Role> {
        using connection_type = typename endpoint<Role>::connection_type;
        using call = std::function<errc(connection_type&, sansocket::time_point)>;
        const std::vector<std::pair<call, errc>> calls{
            // what it answers where the connection is open
            {[](auto& c, auto) { return c.send_text("a"); }, ok},
            {[](auto& c, auto) { return c.send_binary(bytes("a")); }, ok},
            {[](auto& c, auto) { return c.send_text(std::string(5000, 'a')); }, ok},
            {[](auto& c, auto) { return c.send(text_message("a")); }, ok},
            {[](auto& c, auto) { return c.start(sansocket::message_kind::text); }, ok},
            {[](auto& c, auto) { return c.append("a"); }, no_message_in_progress},
            {[](auto& c, auto) { return c.finish(); }, no_message_in_progress},
            {[](auto& c, auto) { return c.send_ping(); }, ok},
            {[](auto& c, auto) { return c.send_pong(); }, ok},
            {[](auto& c, auto) {
                 const auto shared = std::make_shared<byte_vector>(5000);
                 return c.send_shared(sansocket::message_kind::binary, {shared, *shared});
             },
             ok},
            {[](auto& c, auto now) {
                 if constexpr (Role == role::server) return c.accept("", {}, now);
                 else return not_deciding;
             },
             not_deciding},
            {[](auto& c, auto now) {
                 if constexpr (Role == role::server) return c.refuse(403, {}, "", now);
                 else return not_deciding;
             },
             not_deciding},
            {[](auto& c, auto now) { return c.close(close_code::normal, "", now); }, ok},
        };
        for (const at state : every_state) {
            for (std::size_t i = 0; i != calls.size(); ++i) {
                CAPTURE(static_cast<int>(state), i);
                subject<Role> s(state);
                auto& c = s.connection;
                const auto before = c.explain();
                const bool closes = i + 1 == calls.size();
                const errc expected = calls[i].second == not_deciding ? not_deciding
                                      : state == at::HS               ? closes ? ok : not_open
                                      : state == at::CLO              ? closing
                                      : state == at::CRE              ? closing
                                      : state == at::CD               ? closed
                                                                      : calls[i].second;
                CHECK(calls[i].first(c, s.now) == expected);
                if (expected == ok) continue;
                const auto after = c.explain();
                CHECK(after.output_bytes == before.output_bytes);
                CHECK(after.closing == before.closing);
                CHECK(after.cause == before.cause);
                CHECK(after.deadline == before.deadline);
                CHECK(after.shutdown == before.shutdown);
            }
        }
    });
}

TEST_CASE("B31: every event in every state leads to a state that all queries agree on") {
    in_both_roles([]<role Role> {
        using event = std::function<void(subject<Role>&)>;
        struct row {
            event what;
            bool ends;  // at once, in every state but those where both Closes are through
        };
        const std::vector<row> all{
            {[](auto& s) { (void)s.receive(peers_text<Role>("m")); }, false},
            {[](auto& s) { (void)s.receive(byte_vector{}); }, false},
            {[](auto& s) { s.connection.consume_output(0, s.now); }, false},
            {[](auto& s) { s.connection.advance(s.now); }, false},
            {[](auto& s) { s.connection.shrink(); }, false},
            {[](auto& s) { s.connection.release_handshake(); }, false},
            {[](auto& s) { s.connection.transport_lost(s.now); }, true},
            {[](auto& s) { s.connection.abort(); }, true},
        };
        for (const at state : every_state) {
            for (std::size_t i = 0; i != all.size(); ++i) {
                CAPTURE(static_cast<int>(state), i);
                subject<Role> s(state);
                auto& c = s.connection;
                const auto before = c.explain();
                for (int again = 0; again != 2; ++again) {
                    all[i].what(s);
                    const auto after = c.explain();
                    const bool broken =
                        (state == at::HS || state == at::OM) && i == 0;  // no HTTP; two at once
                    if (all[i].ends) {
                        CHECK(c.state() == connection_state::closed);
                        CHECK(c.should_close());
                        CHECK(c.messages().is_eof());
                        CHECK(c.next_deadline() == sansocket::never);
                        CHECK((after.clean == before.clean && !c.wants_write()));
                    } else if (!broken) {
                        CHECK(after.state == before.state);
                        CHECK(after.cause == before.cause);
                        CHECK(after.output_bytes == before.output_bytes);
                        CHECK(after.shutdown == before.shutdown);
                        CHECK((after.deadline == before.deadline || state == at::OQ));
                    }
                    CHECK(c.wants_read() == after.wants_read);
                    CHECK(c.wants_write() == (after.output_bytes != 0));
                }
            }
            subject<Role> s(state);
            auto& c = s.connection;
            const bool clean = c.close_info().clean;
            c.receive_end(s.now);
            c.receive_end(s.now, tls_truncated);
            CHECK_FALSE(c.wants_read());
            CHECK(c.close_info().clean == clean);
            CHECK(c.state() == (state == at::CW    ? connection_state::open
                                : state == at::CRE ? connection_state::closing
                                                   : connection_state::closed));
        }
    });
}

TEST_CASE("B32: waiting for the peer's Close, and for the end of TCP, has a limit") {
    in_both_roles([]<role Role> {
        opened<Role> silent;
        close_normally(silent);
        silent.sent();
        silent.pass(5s);
        CHECK(silent.connection.wants_shutdown() == shutdown_request::abort);
        check_end(silent, 1006, false, close_timeout);
    });
    with_every_cut<role::client>([]<role Role> {
        opened<Role> kept;
        close_normally(kept);
        kept.sent();
        kept.feed(peers_close<Role>(1000));
        CHECK(kept.connection.wants_shutdown() == shutdown_request::none);
        kept.pass(5s);
        CHECK(kept.connection.wants_shutdown() == shutdown_request::close);
        check_end(kept, 1000, true, closed_locally);
    });
}

TEST_CASE("B33: a client's close is done with the answer, and not when TCP ends") {
    with_every_cut<role::client>([]<role Role> {
        opened<Role> s;
        close_normally(s);
        s.sent();
        s.feed(peers_close<Role>(1000));
        CHECK(s.connection.state() == connection_state::closed);
        CHECK(s.connection.messages().at_eof());
        CHECK_FALSE(s.connection.should_close());
        check_end(s, 1000, true, closed_locally);
        s.connection.receive_end(s.now);
        CHECK(s.connection.wants_shutdown() == shutdown_request::close);
        check_end(s, 1000, true, closed_locally);
    });
}

TEST_CASE("B34: a refused upgrade ends with its body, though the server keeps TCP open") {
    for (const bool body_comes : {true, false}) {
        with_every_cut<role::client>([body_comes]<role Role> {
            endpoint<Role> c;
            c.sent();
            c.receive(bytes("HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\n"
                            "Content-Length: 2\r\n\r\n"));
            CHECK(c.connection.state() == connection_state::opening);
            if (body_comes) c.receive(bytes("no"));
            else c.pass(10s);  // the opening handshake's deadline
            CHECK(c.connection.state() == connection_state::closed);
            CHECK(c.connection.should_close());
            CHECK(c.connection.next_deadline() == sansocket::never);
            check_end(c, 1006, false, upgrade_refused);
        });
    }
}

TEST_CASE("B35: a close needs no room and no sender's leave") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = options.sending.low_bytes = 1000;
        opened<Role> s(options);
        while (s.connection.send_text(std::string(300, 'x')) == ok) {}
        CHECK(s.connection.send_text("x") == backpressure);
        CHECK(s.sent(50).size() == 50);
        close_normally(s);
        CHECK(s.connection.send_text("x") == closing);
        const auto out = s.sent();
        const auto bye = own_close<Role>(1000);
        REQUIRE(out.size() > bye.size());
        CHECK(part_of(out, out.size() - bye.size()) == bye);
        s.feed(peers_close<Role>(1000));
        check_end(s, 1000, true, closed_locally);
    });
}

TEST_CASE(
    "B36: neither a Ping nor a close waits for a peer that takes nothing, and the stall is seen") {
    in_both_roles([]<role Role> {
        for (const bool closes : {false, true}) {
            sansocket::options options;
            options.keepalive.write_timeout = 3s;
            options.sending.high_bytes = 1000;
            opened<Role> s(options);
            auto& c = s.connection;
            while (c.send_text(std::string(300, 'x')) == ok) {}
            REQUIRE(c.send_text("x") == backpressure);
            (void)c.output();  // a write is under way, and stays so
            s.pass(0s);
            const auto since = s.now;
            CHECK(c.explain().write_stalled_since == since);
            s.pass(2s);
            CHECK(c.explain().write_stalled_since == since);
            const std::size_t before = c.output_bytes();
            CHECK(c.send_ping(bytes("p")) == ok);
            const auto ping = own_frame<Role>(opcode::ping, bytes("p"));
            CHECK(c.output_bytes() == before + ping.size());
            if (closes) {
                close_normally(s);
                CHECK(c.state() == connection_state::closing);
                CHECK(c.next_deadline() == s.now + 5s);
                s.pass(5s);
            } else {
                CHECK(c.next_deadline() == since + 3s);
                s.pass(1s);
            }
            CHECK(c.wants_shutdown() == shutdown_request::abort);
            check_end(s, 1006, false, closes ? close_timeout : write_timeout);
        }
    });
}
