// Scenarios: what is known of an end, and which codes go over the wire.
#include <sansocket/connection.hpp>

#include "support/scenario.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace support;
using enum errc;

TEST_CASE("B40: a reset after the peer's Close does not take its code away") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("unread") + peers_close<Role>(1000));
        s.connection.transport_lost(s.now);
        CHECK(s.messages() == texts({"unread"}));
        check_end(s, 1000, false, closed_by_peer);
    });
}

TEST_CASE("B41: an empty Close reads as 1005, and is answered by an empty one at once") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(frame<Role>(opcode::close, {}));
        const auto out = s.sent();
        if (Role == role::server) CHECK(out == hex("8800"));
        if (Role == role::client) CHECK(out == own_frame<Role>(opcode::close, {}));
        if (Role == role::client) CHECK(out.size() == 6);
        check_end(s, 1005, true, closed_by_peer);
    });
}

TEST_CASE("B42: codes that mean something to ourselves alone are neither sent nor taken") {
    in_both_roles([]<role Role> {
        for (const unsigned code : {0U, 999U, 1004U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U}) {
            CAPTURE(code);
            opened<Role> s;
            const close_code asked{static_cast<std::uint16_t>(code)};
            CHECK(s.connection.close(asked, "", s.now) == invalid_close_code);
            CHECK_FALSE(s.connection.wants_write());
            CHECK(s.connection.state() == connection_state::open);
            s.feed(peers_close<Role>(code, ""));
            CHECK(s.sent() == own_close<Role>(1002, sansocket::describe(close_code_reserved)));
            check_end(s, 1006, false, close_code_reserved);
        }
        // 1005 cannot be sent either: asking for it means a Close that holds no code.
        opened<Role> s;
        CHECK(s.connection.close(close_code::no_status, "", s.now) == ok);
        CHECK(s.sent() == own_frame<Role>(opcode::close, {}));
        s.feed(peers_close<Role>(1005, ""));
        check_end(s, 1006, false, close_code_reserved);
    });
}

TEST_CASE("B43: the answer to a Close has its code") {
    in_both_roles([]<role Role> {
        for (const unsigned code : {1000U, 1001U, 1011U, 3000U, 4000U, 4999U}) {
            opened<Role> s;
            s.feed(peers_close<Role>(code, "why"));
            CHECK(s.sent() == own_close<Role>(code));
            check_end(s, code, true, closed_by_peer);
            CHECK(s.connection.close_info().reason() == "why");
        }
    });
}

TEST_CASE("B44: one look at the output after a Close finds the answer; nothing has to be called") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_close<Role>(1000));
        byte_vector out;
        for (const auto part : s.connection.output())
            out.insert(out.end(), part.begin(), part.end());
        CHECK(out == own_close<Role>(1000));
        s.connection.consume_output(out.size(), s.now);
        check_end(s, 1000, true, closed_by_peer);
    });
}

TEST_CASE("B45: an application that closes, too, after the peer did, sends no second Close") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_close<Role>(4000));
        CHECK(s.connection.close(close_code::normal, "mine", s.now) == closing);
        CHECK(s.sent() == own_close<Role>(4000));
        CHECK(s.connection.close(close_code::normal, "mine", s.now) == closed);
        CHECK_FALSE(s.connection.wants_write());
        check_end(s, 4000, true, closed_by_peer);
    });
}

TEST_CASE("B46: who fails a connection knows what it said and why, beside the 1006") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.messages.size = 10;
        opened<Role> s(options);
        s.feed(peers_text<Role>("eleven char"));
        CHECK(s.sent() == own_close<Role>(1009, sansocket::describe(message_too_big)));
        check_end(s, 1006, false, message_too_big);
        CHECK(s.connection.close_info().sent->code == close_code::message_too_big);
        CHECK_FALSE(s.connection.close_info().received);
        s.connection.receive_end(s.now);
    });
}

TEST_CASE("B49: what is known of a close stays when the transport goes, or anybody closes again") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.close(theirs, "x", s.now) == ok);
        s.sent();
        s.feed(peers_close<Role>(4001, "y"));
        const auto known = s.connection.close_info();
        const std::vector<std::function<void()>> later{
            [&] { s.connection.transport_lost(s.now); },
            [&] { s.connection.receive_end(s.now); },
            [&] { CHECK(s.connection.close(close_code::normal, "", s.now) == closed); },
            [&] { s.connection.abort(); },
            [&] { s.pass(1h); },
        };
        for (const auto& what : later) {
            what();
            const auto& info = s.connection.close_info();
            CHECK((info.received == known.received && info.sent == known.sent));
            CHECK((info.cause == known.cause && info.clean && known.clean));
        }
        check_end(s, 4001, true, closed_locally);
    });
}

TEST_CASE("B50: a heartbeat that fails is the end for the reader, and stays its reason") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("before"));
        s.pass(20s);
        s.sent();
        s.pass(20s);
        CHECK(s.messages() == texts({"before"}));
        CHECK(s.connection.messages().at_eof());
        CHECK(s.connection.messages().cause() == pong_timeout);
        s.connection.receive_end(s.now);
        s.connection.transport_lost(s.now);
        CHECK(s.connection.messages().cause() == pong_timeout);
        check_end(s, 1006, false, pong_timeout);
    });
}

TEST_CASE("B51: a loop over the messages ends knowing code, reason and cause") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        s.feed(peers_text<Role>("a") + peers_text<Role>("b") + peers_close<Role>(4002, "done"));
        int seen = 0;
        while (s.connection.messages().pop()) ++seen;
        CHECK(seen == 2);
        s.pass(0s);
        s.sent();
        check_end(s, 4002, true, closed_by_peer);
        CHECK(s.connection.close_info().reason() == "done");
    });
}

TEST_CASE("B52: the end is told exactly once, whatever it is") {
    struct counter final : sansocket::diagnostics_handler {
        void changed(const sansocket::state_change& c) noexcept override {
            if (c.to != connection_state::closed) return;
            ++ends;
            cause = c.cause;
        }
        int ends = 0;
        errc cause = ok;
    };
    in_both_roles([]<role Role> {
        using watched_endpoint = endpoint<Role, sansocket::message_queue<>, sansocket::no_deflate,
                                          sansocket::with_diagnostics>;
        struct ending {
            errc cause;
            std::function<void(watched_endpoint&)> run;
            bool opens = true;
        };
        const auto wait = [](auto& e) {
            for (int i = 0; i != 3 && e.connection.next_deadline() != sansocket::never; ++i)
                e.pass(e.connection.next_deadline() - e.now);
        };
        const auto close = [](auto& e) { CHECK(e.connection.close(ours, "", e.now) == ok); };
        std::vector<ending> all{
            {end_of_stream, [](auto& e) { e.connection.receive_end(e.now); }},
            {tls_truncated, [](auto& e) { e.connection.receive_end(e.now, tls_truncated); }},
            {transport_lost, [](auto& e) { e.connection.transport_lost(e.now); }},
            {reserved_bit, [](auto& e) { e.receive(hex("ff ff")); }},
            {aborted, [](auto& e) { e.connection.abort(); }},
            {cancelled, [](auto& e) { e.connection.abort(cancelled); }},
            {dropped, [](auto& e) { e.connection.abort(dropped); }},
            {closed_by_peer, [](auto& e) { e.receive(peers_close<Role>(1000)), e.sent(); }},
            {closed_locally,
             [close](auto& e) { close(e), e.sent(), e.receive(peers_close<Role>(1000)); }},
            {close_timeout, [close, wait](auto& e) { close(e), wait(e); }},
            {pong_timeout, [wait](auto& e) { wait(e); }},
            {idle_timeout, [](auto& e) { e.pass(30s); }},
            {write_timeout,
             [](auto& e) {
                 CHECK(e.connection.send_text("x") == ok);
                 e.pass(0s), e.receive(frame<Role>(opcode::pong, {})), e.pass(15s);
             }},
            {message_too_slow,
             [wait](auto& e) { e.receive(frame<Role>(opcode::text, bytes("x"), false)), wait(e); }},
            {opening_timeout, [wait](auto& e) { wait(e); }, false},
            {end_of_stream, [](auto& e) { e.connection.receive_end(e.now); }, false},
            {aborted, [](auto& e) { e.connection.abort(); }, false},
            {closed_locally, close, false},
            {Role == role::server ? http_request_line : http_status_line,
             [](auto& e) { e.receive(bytes("no HTTP\r\n\r\n")); }, false},
        };
        if constexpr (Role == role::server)
            all.push_back({refused_by_application,
                           [](auto& e) {
                               e.receive(bytes(upgrade_request));
                               CHECK(e.connection.refuse(403, {}, "", e.now) == ok);
                           },
                           false});
        for (const auto& [cause, run, opens] : all) {
            CAPTURE(describe(cause), opens);
            counter told;
            sansocket::options options;
            options.diagnostics = &told;
            if (cause == idle_timeout) options.keepalive.idle_timeout = 30s;
            if (cause == idle_timeout) options.keepalive.ping_interval = 1h;
            if (cause == write_timeout) options.keepalive.write_timeout = 15s;
            if (cause == message_too_slow) options.messages.time = 15s;
            if (cause == refused_by_application)
                options.decision = sansocket::request_decision::manual;
            watched_endpoint e(options);
            if (opens) e.open();
            run(e);
            CHECK(e.connection.messages().is_eof());
            CHECK(e.connection.close_info().code() ==
                  (e.connection.close_info().received ? close_code::normal : close_code::abnormal));
            e.sent();
            e.connection.receive_end(e.now);
            e.connection.transport_lost(e.now);
            e.connection.abort();
            e.pass(1h);
            CHECK(told.ends == 1);
            CHECK(told.cause == cause);
            CHECK(e.connection.close_info().cause == cause);
        }
    });
}

TEST_CASE("B53: an end without a Close says whether it cut off a message") {
    in_both_roles([]<role Role> {
        const auto whole = peers_text<Role>("four");
        for (std::size_t arrived = 0; arrived <= whole.size(); ++arrived) {
            opened<Role> s;
            s.feed(part_of(whole, 0, arrived));
            s.connection.receive_end(s.now);
            const bool inside = arrived != 0 && arrived != whole.size();
            CHECK(s.connection.close_info().incomplete_message == inside);
            check_end(s, 1006, false, end_of_stream);
        }
        opened<Role> s;
        s.feed(frame<Role>(opcode::text, bytes("half"), false));
        s.connection.receive_end(s.now);
        CHECK(s.connection.close_info().incomplete_message);
    });
}

TEST_CASE("B54: a malformed Close has its name and its code, and no second Close goes out") {
    in_both_roles([]<role Role> {
        const std::vector<std::pair<byte_vector, errc>> malformed{
            {hex("03"), close_payload_length},
            {hex("03e7"), close_code_reserved},
            {hex("03e8 ff"), close_reason_not_utf8},
        };
        for (const auto& [payload, cause] : malformed) {
            const unsigned code = cause == close_reason_not_utf8 ? 1007 : 1002;
            opened<Role> open;
            open.feed(frame<Role>(opcode::close, payload));
            CHECK(open.sent() == own_close<Role>(code, sansocket::describe(cause)));
            check_end(open, 1006, false, cause);
            opened<Role> closing_already;
            CHECK(closing_already.connection.close(ours, "", closing_already.now) == ok);
            closing_already.sent();
            closing_already.feed(frame<Role>(opcode::close, payload));
            CHECK(closing_already.sent().empty());
            check_end(closing_already, 1006, false, cause);
        }
    });
}

TEST_CASE("B55: who closes learns of the answer, and of its code") {
    in_both_roles([]<role Role> {
        opened<Role> s;
        CHECK(s.connection.close(ours, "", s.now) == ok);
        s.sent();
        CHECK(s.connection.state() == connection_state::closing);
        CHECK_FALSE(s.connection.messages().is_eof());
        s.feed(peers_close<Role>(1001));
        CHECK(s.connection.state() == connection_state::closed);
        CHECK(s.connection.messages().cause() == closed_locally);
        check_end(s, 1001, true, closed_locally);
    });
}
