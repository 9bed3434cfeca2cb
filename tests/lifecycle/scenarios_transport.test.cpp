// Scenarios: how the transport ends, and who ends it.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <chrono>
#include <string>

using namespace support;
using enum errc;

TEST_CASE("B95: a TLS stream cut off after a good close is no error, and before one it is named") {
    in_both_roles([]<role Role> {
        opened<Role> good;
        CHECK(good.connection.close(close_code::normal, "", good.now) == ok);
        good.sent();
        good.feed(peers_close<Role>(1000));
        good.connection.receive_end(good.now, tls_truncated);
        CHECK(good.connection.wants_shutdown() == shutdown_request::close);
        check_end(good, 1000, true, closed_locally);
        opened<Role> bad;
        bad.feed(peers_text<Role>("before"));
        bad.connection.receive_end(bad.now, tls_truncated);
        CHECK(bad.messages() == texts({"before"}));
        check_end(bad, 1006, false, tls_truncated);
    });
}

TEST_CASE("B96: a reset stops the heartbeat in the same call") {
    in_both_roles([]<role Role> {
        for (const bool pinged : {false, true}) {
            opened<Role> s;
            if (pinged) s.pass(20s);
            s.connection.transport_lost(s.now);
            CHECK(s.connection.next_deadline() == sansocket::never);
            for (int i = 0; i != 10; ++i) s.pass(20s);
            CHECK(s.sent().empty());
            CHECK(s.connection.messages().at_eof());
            check_end(s, 1006, false, transport_lost);
        }
    });
}

TEST_CASE("B97: a peer that only stops sending still gets the answer to its Close") {
    in_both_roles([]<role Role> {
        opened<Role> half;
        half.feed(peers_close<Role>(1000));
        half.connection.receive_end(half.now);
        CHECK_FALSE(half.connection.wants_read());
        CHECK(half.connection.wants_shutdown() == shutdown_request::none);
        CHECK(half.sent() == own_close<Role>(1000));
        CHECK(half.connection.wants_shutdown() == shutdown_request::close);
        check_end(half, 1000, true, closed_by_peer);
        opened<Role> gone;
        gone.feed(peers_close<Role>(1000));
        gone.connection.transport_lost(gone.now);
        CHECK(gone.sent().empty());
        CHECK(gone.connection.should_close());
        check_end(gone, 1000, false, closed_by_peer);
    });
}

TEST_CASE("B98: a link that dies without a word ends the connection by the time configured") {
    in_both_roles([]<role Role> {
        for (const bool idle : {false, true}) {
            sansocket::options options;
            options.keepalive.ping_interval = idle ? 0s : 7s;
            options.keepalive.pong_timeout = idle ? 0s : 3s;
            if (idle) options.keepalive.idle_timeout = 10s;
            opened<Role> s(options);
            const auto last_word = s.now;
            while (s.connection.state() == connection_state::open) {
                s.sent();
                REQUIRE(s.connection.next_deadline() != sansocket::never);
                s.pass(s.connection.next_deadline() - s.now);
            }
            CHECK(s.now == last_word + 10s);
            CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
            check_end(s, 1006, false, idle ? idle_timeout : pong_timeout);
        }
    });
}

TEST_CASE("B100: an application that goes on sending after its close does not spoil it") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.close(close_code::normal, "", s.now) == ok);
        CHECK(s.connection.send_text("one more") == closing);
        CHECK(s.sent() == own_close<Role>(1000));
        CHECK(s.connection.send_text("and one") == closing);
        s.feed(peers_close<Role>(1000));
        CHECK(s.connection.send_text("more") == closed);
        CHECK(s.sent().empty());
        s.connection.receive_end(s.now);
        CHECK(s.connection.wants_shutdown() == shutdown_request::close);
        check_end(s, 1000, true, closed_locally);
    });
}

TEST_CASE("B102: after a clean close no end of the stream is waited for beyond the deadline") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.close(close_code::normal, "", s.now) == ok);
        s.sent();
        s.pass(1s);
        s.feed(peers_close<Role>(1000));
        if (Role == role::client) CHECK(s.connection.next_deadline() == s.now + 4s);
        if (Role == role::client) s.pass(4s);
        CHECK(s.connection.wants_shutdown() == shutdown_request::close);
        if (Role == role::client) CHECK_FALSE(s.connection.wants_read());
        check_end(s, 1000, true, closed_locally);
    });
}
