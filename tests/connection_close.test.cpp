#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>

#include "support/endpoint.hpp"

#include <functional>

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

message text(std::string data) { return {message_kind::text, std::move(data)}; }

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

template <role Role>
byte_vector peer_close(unsigned code, std::string_view reason = {}) {
    return frame<Role>(opcode::close, close_bytes(code, reason));
}

// A queue that does not say when its reader is done with the last message.
struct unsettled_queue : sansocket::message_queue<> {
    using message_queue::message_queue;
    void settled() const = delete;
};

// What an endpoint asks of its transport once both Closes are done. 7.1.1.
template <role Role>
constexpr shutdown_request after_both =
    Role == role::server ? shutdown_request::close : shutdown_request::none;

}  // namespace

TEST_CASE("close: every code that may be sent is accepted and echoed; no other is (7.4, 5.5.1)") {
    in_both_roles([]<role Role> {
        for (unsigned code = 0; code <= 65535; code += (code < 5100 ? 1U : 997U)) {
            endpoint<Role> e;
            e.open().receive(peer_close<Role>(code));
            const auto& info = e.connection.close_info();
            if (sansocket::may_be_sent(static_cast<close_code>(code))) {
                CHECK(static_cast<unsigned>(info.code()) == code);
                CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(code)));
                CHECK(info.clean);
            } else {
                CHECK(info.cause == errc::close_code_reserved);
                CHECK(info.sent->code == close_code::protocol_error);
                e.connection.abort();
            }
        }
    });
}

TEST_CASE("close: the peer's Close is echoed once what it follows was read, in every chunking "
          "(5.5.1, 7.1.3)") {
    in_both_roles([]<role Role> {
        const auto in = frame<Role>(opcode::text, bytes("last")) + peer_close<Role>(4001, "bye");
        for (const auto& chunks : every_chunking(in)) {
            endpoint<Role> e;
            e.open().receive(chunks);
            CHECK(e.messages() == std::vector{text("last")});
            e.connection.advance(e.now);
            CHECK(e.connection.state() == connection_state::closing);
            CHECK(e.connection.send_text("x") == errc::closing);
            CHECK(e.connection.close(close_code::normal, "", e.now) == errc::closing);
            CHECK_FALSE(e.connection.close_info().clean);
            CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(4001)));
            CHECK(e.connection.state() == connection_state::closed);
            const auto& info = e.connection.close_info();
            CHECK(info.clean);
            CHECK(info.cause == errc::closed_by_peer);
            CHECK(info.received == sansocket::close_frame{static_cast<close_code>(4001), "bye"});
            CHECK_FALSE(info.incomplete_message);
            CHECK(e.connection.wants_shutdown() == after_both<Role>);
            CHECK(e.connection.messages().at_eof());
            CHECK(e.connection.messages().cause() == errc::closed_by_peer);
        }
    });
}

TEST_CASE("close: an empty Close is 1005 and is answered by an empty one (5.5.1, 7.1.5)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(frame<Role>(opcode::close, {}));
        CHECK(e.sent() == own_frame<Role>(opcode::close, {}));
        CHECK(e.connection.close_info().code() == close_code::no_status);
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE("close: ours goes behind all that was accepted, then the peer's is awaited (7.1.2)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.send_text("one") == errc::ok);
        CHECK(e.connection.close(close_code::normal, "done", e.now) == errc::ok);
        CHECK(e.connection.send_text("two") == errc::closing);
        CHECK(e.connection.send_ping() == errc::closing);
        CHECK(e.connection.close(close_code::going_away, "", e.now) == errc::closing);
        CHECK(e.sent() == own_frame<Role>(opcode::text, bytes("one")) +
                              own_frame<Role>(opcode::close, close_bytes(1000, "done")));
        CHECK(e.connection.state() == connection_state::closing);
        CHECK(e.connection.next_deadline() == e.now + 5s);
        CHECK(e.connection.wants_read());
        e.receive(frame<Role>(opcode::text, bytes("too late")));  // discarded by default
        e.receive(frame<Role>(opcode::ping, bytes("p")));
        CHECK(e.sent() == own_frame<Role>(opcode::pong, bytes("p")));  // 5.5.2 still holds
        e.receive(peer_close<Role>(1000, "done"));
        CHECK(e.sent().empty());  // no second Close
        const auto& info = e.connection.close_info();
        CHECK(info.clean);
        CHECK(info.cause == errc::closed_locally);
        CHECK(e.messages().empty());
        CHECK(e.connection.messages().at_eof());
        CHECK(e.connection.wants_shutdown() == after_both<Role>);
    });
}

TEST_CASE("close: messages after our own close are delivered where that was asked for") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.after_close = sansocket::after_close::deliver;
        endpoint<Role> e{options};
        e.open().receive(frame<Role>(opcode::text, bytes("unread")));
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        e.receive(frame<Role>(opcode::text, bytes("late")) + peer_close<Role>(1000));
        CHECK(e.messages() == std::vector{text("unread"), text("late")});
        e.sent();
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE("close: both at once is clean, with one Close from each side (7.1.3)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.send_text("unsent") == errc::ok);
        CHECK(e.connection.close(close_code::going_away, "us", e.now) == errc::ok);
        e.receive(peer_close<Role>(1000, "them"));  // before the transport took a byte of ours
        CHECK(e.connection.state() == connection_state::closing);
        // Nothing but our Close is sent once the peer's was received.
        CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(1001, "us")));
        const auto& info = e.connection.close_info();
        CHECK(info.clean);
        CHECK(info.code() == close_code::normal);
        CHECK(info.sent->code == close_code::going_away);
        CHECK(info.cause == errc::closed_locally);
    });
}

TEST_CASE("close: a frame that has begun to go out is finished before the Close (G16)") {
    in_both_roles([]<role Role> {
        const auto first = own_frame<Role>(opcode::text, bytes("first"));
        for (std::size_t cut = 1; cut < first.size(); ++cut) {
            endpoint<Role> e;
            e.open();
            CHECK(e.connection.send_text("first") == errc::ok);
            CHECK(e.connection.send_text("second") == errc::ok);
            auto wire = e.sent(cut);
            e.receive(peer_close<Role>(1000));
            wire = wire + e.sent();
            CHECK(wire == first + own_frame<Role>(opcode::close, close_bytes(1000)));
            CHECK(e.connection.close_info().clean);
        }
    });
}

TEST_CASE("close: whatever comes after the peer's Close is thrown away (1.4)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        const auto late = frame<Role>(opcode::text, bytes("late")) + hex("ffffffff");
        e.open().receive(peer_close<Role>(1000) + late);
        e.sent();
        CHECK(e.connection.close_info().clean);
        CHECK(e.connection.close_info().discarded_bytes == late.size());
        CHECK(e.messages().empty());
    });
}

TEST_CASE("close: a Close inside a fragmented message is accepted and the cut is told") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(frame<Role>(opcode::text, bytes("half"), false) + peer_close<Role>(1000));
        e.sent();
        CHECK(e.connection.close_info().clean);
        CHECK(e.connection.close_info().incomplete_message);
        CHECK(e.messages().empty());
    });
}

TEST_CASE("close: one deadline, which no traffic moves; then the transport is aborted (7.1.1)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        const auto deadline = e.now + 5s;
        e.sent();
        for (int i = 0; i != 49; ++i) {
            e.pass(100ms);
            e.receive(frame<Role>(opcode::text, bytes("chatter")));
            CHECK(e.connection.next_deadline() == deadline);
        }
        CHECK(e.connection.state() == connection_state::closing);
        e.pass(100ms);
        CHECK(e.connection.state() == connection_state::closed);
        CHECK(e.connection.close_info().cause == errc::close_timeout);
        CHECK_FALSE(e.connection.close_info().clean);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
    });
}

TEST_CASE("close: a transport that takes nothing is aborted at the deadline, whoever closed") {
    in_both_roles([]<role Role> {
        endpoint<Role> ours;
        ours.open();
        CHECK(ours.connection.send_binary(byte_vector(1 << 20)) == errc::ok);
        CHECK(ours.connection.close(close_code::normal, "", ours.now) == errc::ok);
        ours.pass(5s);
        CHECK(ours.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(ours.connection.close_info().cause == errc::close_timeout);

        endpoint<Role> theirs;
        theirs.open().receive(peer_close<Role>(1000));
        theirs.pass(5s);
        CHECK(theirs.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(theirs.connection.close_info().cause == errc::closed_by_peer);
        CHECK(theirs.connection.close_info().code() == close_code::normal);
        CHECK_FALSE(theirs.connection.close_info().clean);
    });
}

TEST_CASE("close: a client waits for the server to close TCP, and then does so itself (7.1.1)") {
    client c;
    c.open().receive(peer_close<role::client>(1000));
    c.sent();
    CHECK(c.connection.wants_shutdown() == shutdown_request::none);
    CHECK(c.connection.wants_read());
    SECTION("the server closes") {
        c.connection.receive_end(c.now);
        CHECK(c.connection.wants_shutdown() == shutdown_request::close);
    }
    SECTION("it does not") {
        c.pass(5s);
        CHECK(c.connection.wants_shutdown() == shutdown_request::close);
    }
    SECTION("it resets") {
        c.connection.transport_lost(c.now);
        CHECK(c.connection.should_close());
    }
    CHECK(c.connection.close_info().clean);  // whatever came after
    CHECK(c.connection.close_info().code() == close_code::normal);
    CHECK(c.connection.close_info().cause == errc::closed_by_peer);
}

TEST_CASE("close: a stream that ends without a Close is 1006, and says what was cut (7.1.5)") {
    in_both_roles([]<role Role> {
        struct row {
            const char* name;
            byte_vector in;
            bool incomplete;
        };
        const auto whole = frame<Role>(opcode::text, bytes("whole"));
        const std::vector<row> rows = {
            {"idle", whole, false},
            {"inside a header", whole + byte_vector(whole.begin(), whole.begin() + 1), true},
            {"inside a payload", whole + byte_vector(whole.begin(), whole.end() - 1), true},
            {"between fragments", whole + frame<Role>(opcode::text, bytes("x"), false), true},
        };
        for (const row& r : rows) {
            for (const errc how :
                 {errc::end_of_stream, errc::tls_truncated, errc::transport_lost}) {
                CAPTURE(r.name);
                endpoint<Role> e;
                e.open().receive(r.in);
                if (how == errc::transport_lost) e.connection.transport_lost(e.now);
                else e.connection.receive_end(e.now, how);
                const auto& info = e.connection.close_info();
                CHECK(info.cause == how);
                CHECK(info.code() == close_code::abnormal);
                CHECK_FALSE(info.clean);
                CHECK(info.incomplete_message == r.incomplete);
                CHECK(e.messages() == std::vector{text("whole")});
                CHECK(e.connection.messages().at_eof());
                CHECK(e.connection.wants_shutdown() == shutdown_request::close);
                CHECK_FALSE(e.connection.wants_write());
                CHECK(e.connection.next_deadline() == sansocket::never);
                e.connection.transport_lost(e.now, errc::tls_truncated);
                CHECK(e.connection.close_info().cause == how);  // the first cause stays
            }
        }
    });
}

TEST_CASE("close: the peer's Close and end in one read are clean once ours is taken (B14)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(peer_close<Role>(4001, "bye"));
        e.connection.receive_end(e.now);
        CHECK(e.connection.wants_write());
        CHECK(e.connection.wants_shutdown() == shutdown_request::none);
        SECTION("ours is taken") {
            e.sent();
            CHECK(e.connection.close_info().clean);
        }
        SECTION("it is not") {
            e.connection.transport_lost(e.now);
            CHECK_FALSE(e.connection.close_info().clean);
        }
        CHECK(static_cast<unsigned>(e.connection.close_info().code()) == 4001);
        CHECK(e.connection.close_info().cause == errc::closed_by_peer);
        CHECK(e.connection.wants_shutdown() == shutdown_request::close);
    });
}

TEST_CASE("close: a violation while closing sends no second Close (7.1.7)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(1000)));
        e.receive(frame<Role>(opcode::close, hex("03")));
        CHECK(e.connection.state() == connection_state::closed);
        CHECK(e.connection.close_info().cause == errc::close_payload_length);
        CHECK(e.connection.close_info().code() == close_code::abnormal);
        CHECK(e.sent().empty());
        e.receive(peer_close<Role>(1000));  // too late to count
        CHECK(e.connection.close_info().code() == close_code::abnormal);
    });
}

TEST_CASE("close: reading is never paused once closing, so a full queue cannot hang it (B22)") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = options.queue.low_count = 1;
        for (const auto policy :
             {sansocket::after_close::discard, sansocket::after_close::deliver}) {
            options.after_close = policy;
            endpoint<Role> e{options};
            const auto unread =
                frame<Role>(opcode::text, bytes("a")) + frame<Role>(opcode::text, bytes("b"));
            byte_vector in = unread + peer_close<Role>(1000);
            e.open();
            const std::size_t taken = e.connection.receive(in, e.now);
            CHECK(taken < in.size());
            CHECK_FALSE(e.connection.wants_read());
            CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
            CHECK(e.connection.wants_read());
            const auto rest = std::span{in}.subspan(taken);
            CHECK(e.connection.receive(rest, e.now) == rest.size());
            e.sent();
            CHECK(e.connection.close_info().clean);
        }
    });
}

TEST_CASE("close: a connection that delivers after its close stays bounded") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.after_close = sansocket::after_close::deliver;
        options.queue.high_bytes = 10'000;
        endpoint<Role> e{options};
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        for (int i = 0; i != 1000; ++i) e.receive(frame<Role>(opcode::binary, byte_vector(1000)));
        CHECK(e.connection.messages().bytes() < 12'000);
        e.receive(peer_close<Role>(1000));
        e.sent();
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE("close: before the connection is open no frame goes out (B78)") {
    SECTION("client") {
        client c;
        CHECK(c.connection.close(close_code::normal, "", c.now) == errc::ok);
        CHECK_FALSE(c.connection.wants_write());
        CHECK(c.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(c.connection.close_info().cause == errc::closed_locally);
        CHECK_FALSE(c.connection.was_opened());
    }
    SECTION("server, with a request to decide on") {
        sansocket::options options;
        options.decision = sansocket::request_decision::manual;
        server s{options};
        s.receive(bytes(upgrade_request));
        CHECK(s.connection.close(close_code::going_away, "", s.now) == errc::ok);
        CHECK(text_of(s.sent()).starts_with("HTTP/1.1 503 "));
        CHECK(s.connection.close_info().cause == errc::closed_locally);
        CHECK(s.connection.accept("", {}, s.now) == errc::not_deciding);
        CHECK_FALSE(s.connection.was_opened());
    }
    SECTION("server, before the request is there, in whole or in part") {
        for (std::size_t arrived = 0; arrived != upgrade_request.size(); ++arrived) {
            server s;
            s.receive(bytes(upgrade_request.substr(0, arrived)));
            CHECK(s.connection.close(close_code::going_away, "", s.now) == errc::ok);
            CHECK(text_of(s.sent()).starts_with("HTTP/1.1 503 "));
            CHECK(s.connection.close_info().cause == errc::closed_locally);
            CHECK(s.connection.wants_shutdown() == shutdown_request::half_close);
            CHECK(s.connection.next_deadline() == s.now + 5s);
            s.receive(bytes(upgrade_request.substr(arrived)));
            CHECK_FALSE(s.connection.wants_write());
            CHECK_FALSE(s.connection.was_opened());
        }
    }
}

TEST_CASE("close: abort ends everything in the same call, in every state (B28)") {
    in_both_roles([]<role Role> {
        const auto check = [](endpoint<Role>& e, errc cause) {
            e.connection.abort();
            CHECK(e.connection.state() == connection_state::closed);
            CHECK(e.connection.close_info().cause == cause);
            CHECK(e.connection.messages().at_eof());
            CHECK_FALSE(e.connection.wants_write());
            CHECK_FALSE(e.connection.wants_read());
            CHECK(e.connection.should_close());
            CHECK(e.connection.next_deadline() == sansocket::never);
            CHECK(e.connection.output_bytes() == 0);
        };
        endpoint<Role> opening;
        check(opening, errc::aborted);
        endpoint<Role> open;
        open.open().receive(frame<Role>(opcode::text, bytes("unread")));
        CHECK(open.connection.send_text("unsent") == errc::ok);
        check(open, errc::aborted);
        endpoint<Role> closing;
        closing.open();
        CHECK(closing.connection.close(close_code::normal, "", closing.now) == errc::ok);
        check(closing, errc::aborted);
        endpoint<Role> replying;
        replying.open().receive(peer_close<Role>(1000));
        check(replying, errc::closed_by_peer);
        CHECK_FALSE(replying.connection.close_info().clean);
        endpoint<Role> failed;
        failed.open().receive(frame<Role>(opcode::continuation, {}));
        check(failed, errc::unexpected_continuation);
        endpoint<Role> closed;
        closed.open().receive(peer_close<Role>(1000));
        closed.sent();
        check(closed, errc::closed_by_peer);
        CHECK(closed.connection.close_info().clean);
    });
}

TEST_CASE(
    "close: output that is being written stays readable until it is consumed, after abort too") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        const auto expected = own_frame<Role>(opcode::binary, byte_vector(5000));
        CHECK(e.connection.send_binary(byte_vector(5000)) == errc::ok);
        const auto in_flight = e.connection.output();
        for (int i = 0; i != 100; ++i)
            CHECK(e.connection.send_binary(byte_vector(5000)) == errc::ok);
        e.connection.abort();
        byte_vector seen;
        for (const auto part : in_flight) seen.insert(seen.end(), part.begin(), part.end());
        CHECK(seen == expected);
        CHECK_FALSE(e.connection.wants_write());
        e.connection.consume_output(0, e.now);
        CHECK(e.connection.output().empty());
    });
}

TEST_CASE("close: timers of the open connection stop with it (B10)") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.close_timeout = sansocket::duration::zero();
        options.keepalive.idle_timeout = 30s;
        options.keepalive.write_timeout = 30s;
        endpoint<Role> e{options};
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        CHECK(e.connection.next_deadline() == sansocket::never);
        e.sent();
        for (int i = 0; i != 10; ++i) e.pass(20s);
        CHECK(e.sent().empty());
        CHECK(e.connection.state() == connection_state::closing);
        e.connection.abort();
    });
}

TEST_CASE("close: a transport that takes no output for the write timeout is given up (B36)") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.keepalive.write_timeout = 3s;
        endpoint<Role> e{options};
        e.open();
        e.connection.consume_output(0, e.now);
        CHECK(e.connection.send_binary(byte_vector(10'000)) == errc::ok);
        CHECK(e.connection.next_deadline() == e.now + 3s);
        e.pass(0s);
        CHECK(e.connection.next_deadline() == e.now + 3s);
        e.now += 2s;
        e.sent(100);  // a little goes out
        CHECK(e.connection.next_deadline() == e.now + 3s);
        e.pass(3s);
        CHECK(e.connection.close_info().cause == errc::write_timeout);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
    });
}

TEST_CASE("close: by default nobody is held who sends, and reads nothing for 30 seconds (10.4)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.send_binary(byte_vector(10'000)) == errc::ok);
        e.sent(100);  // and then no more
        const auto stuck = e.now;
        const auto message = frame<Role>(opcode::text, bytes("more"));
        while (e.connection.wants_read()) {  // nobody takes them: the queue fills
            e.now += 1ms;
            e.receive(message);
        }
        CHECK(e.connection.next_deadline() == stuck + 30s);
        e.now = stuck + 30s - 1ms;
        e.pass(0s);
        CHECK(e.connection.state() == connection_state::open);
        e.pass(1ms);
        CHECK(e.connection.close_info().cause == errc::write_timeout);
        CHECK(e.connection.close_info().code() == close_code::abnormal);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
        CHECK_FALSE(e.messages().empty());  // what came is readable
    });
}

TEST_CASE("close: a reader that is slow lives on, and so does one that nothing waits for") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        while (e.connection.send_binary(byte_vector(10'000)) == errc::ok) {}
        for (int i = 0; i != 1000; ++i) {
            e.now += 29s;
            e.sent(10);
            e.receive(frame<Role>(opcode::pong, {}));
            e.pass(0s);
            REQUIRE(e.connection.state() == connection_state::open);
        }
        e.sent();
        for (int i = 0; i != 1000; ++i) {
            e.now += 19s;
            e.receive(frame<Role>(opcode::pong, {}));
            e.pass(0s);
        }
        CHECK(e.connection.state() == connection_state::open);
        e.connection.abort();
    });
}

TEST_CASE(
    "connection: output is lost first; what is to be read, the peer's Close too, comes first") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue = {.high_count = 1, .low_count = 0};
        endpoint<Role> e(options);
        e.open();
        CHECK(e.connection.send_text("never") == errc::ok);
        auto in = frame<Role>(opcode::text, bytes("one")) +
                  frame<Role>(opcode::text, bytes("two")) + peer_close<Role>(4001);
        const std::size_t taken = e.receive(in);
        CHECK(taken < in.size());
        e.connection.output_lost(e.now);
        CHECK(e.connection.close_info().unsent_bytes ==
              own_frame<Role>(opcode::text, bytes("never")).size());
        CHECK(e.connection.state() == connection_state::open);
        CHECK_FALSE(e.connection.wants_write());
        CHECK(e.connection.send_text("x") == errc::closed);
        CHECK(e.connection.send_ping() == errc::closed);
        CHECK(e.connection.start(message_kind::text) == errc::closed);
        CHECK(e.messages() == std::vector{text("one")});
        in.erase(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(taken));
        const std::size_t more = e.receive(in);
        CHECK(e.messages() == std::vector{text("two")});
        in.erase(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(more));
        e.receive(in);
        e.connection.consume_output(0, e.now);
        CHECK(e.connection.close_info().code() == static_cast<close_code>(4001));
        CHECK(e.connection.close_info().cause == errc::closed_by_peer);
        CHECK(e.connection.state() == connection_state::closed);
        CHECK_FALSE(e.connection.close_info().clean);
        CHECK(e.connection.should_close());
    });
}

TEST_CASE("connection: output is lost, and then the input ends: the loss is the cause") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        e.connection.output_lost(e.now);
        e.receive(frame<Role>(opcode::text, bytes("last")));
        e.connection.receive_end(e.now);
        CHECK(e.connection.close_info().cause == errc::transport_lost);
        CHECK(e.messages() == std::vector{text("last")});
    });
}

TEST_CASE("connection: output is lost; a close sends nothing, and ends at its deadline") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        e.connection.output_lost(e.now);
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        CHECK(e.connection.state() == connection_state::closing);
        CHECK(e.sent().empty());
        CHECK(e.connection.next_deadline() == e.now + 5s);
        e.pass(5s);
        CHECK(e.connection.close_info().cause == errc::close_timeout);
        CHECK_FALSE(e.connection.close_info().clean);
    });
}

TEST_CASE("connection: output is lost when only an answer was to go out: that is the end") {
    in_both_roles([]<role Role> {
        for (const bool failed : {false, true}) {
            endpoint<Role> e;
            e.open();
            if (failed) e.receive(frame<Role>(opcode::continuation, {}));
            else e.receive(peer_close<Role>(4001));
            REQUIRE(e.connection.wants_write());
            e.connection.output_lost(e.now);
            CHECK(e.connection.should_close());
            CHECK(e.connection.next_deadline() == sansocket::never);
            CHECK_FALSE(e.connection.close_info().clean);
            CHECK(e.connection.close_info().cause ==
                  (failed ? errc::unexpected_continuation : errc::closed_by_peer));
        }
        endpoint<Role> complete;  // it is over already
        complete.open();
        complete.receive(peer_close<Role>(4001));
        complete.sent();
        complete.connection.output_lost(complete.now);
        CHECK(complete.connection.close_info().clean);
        CHECK(complete.connection.wants_shutdown() == after_both<Role>);
        complete.pass(5s);
        CHECK(complete.connection.should_close());
    });
}

TEST_CASE("connection: output is lost behind our Close; the peer's completes it, and that ends") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        e.sent();
        e.connection.output_lost(e.now);
        e.receive(peer_close<Role>(1000));
        CHECK(e.connection.close_info().clean);
        CHECK(e.connection.wants_shutdown() == after_both<Role>);
        CHECK(e.connection.next_deadline() == e.now + 5s);
        e.pass(5s);
        CHECK(e.connection.should_close());
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE("close: a Pong that a finished peer does not take is given up at the deadline") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        e.sent();
        e.receive(frame<Role>(opcode::ping, bytes("still there?")));
        CHECK(e.connection.output().bytes() != 0);  // being written, so it stays
        e.receive(peer_close<Role>(1000));
        e.connection.consume_output(1, e.now);
        REQUIRE(e.connection.close_info().clean);
        REQUIRE(e.connection.wants_write());
        REQUIRE(e.connection.wants_shutdown() == shutdown_request::none);
        e.pass(5s);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
        CHECK_FALSE(e.connection.wants_write());
        CHECK(e.connection.output_bytes() == 0);
        CHECK(e.connection.next_deadline() == sansocket::never);
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE("close: what answers the last message goes out before the peer's Close is answered") {
    in_both_roles([]<role Role> {
        const auto in = frame<Role>(opcode::text, bytes("last")) + peer_close<Role>(1000);
        const auto answers = own_frame<Role>(opcode::text, bytes("one")) +
                             own_frame<Role>(opcode::text, bytes("two"));
        for (const auto& chunks : every_chunking(in)) {
            endpoint<Role> e;
            auto& c = e.open().connection;
            e.receive(chunks);
            REQUIRE(c.messages().pop());
            CHECK(c.next_deadline() == e.now + 1s);  // the message is in work yet
            CHECK(c.send_text("one") == errc::ok);
            CHECK(c.send_text("two") == errc::ok);
            CHECK_FALSE(c.messages().pop());
            CHECK(c.next_deadline() == e.now + 1s);
            CHECK(e.sent() == answers);
            CHECK(c.next_deadline() == sansocket::immediately);
            e.pass(0s);
            CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(1000)));
            CHECK(c.close_info().clean);
            CHECK(c.close_info().unsent_bytes == 0);
        }
    });
}

TEST_CASE(
    "close: an answer that was given in a handler goes out before the peer's Close is answered") {
    in_both_roles([]<role Role> {
        using handler = std::function<void(sansocket::message_view)>;
        endpoint<Role, sansocket::direct_queue<handler>>* here = nullptr;
        endpoint<Role, sansocket::direct_queue<handler>> e(
            {}, sansocket::direct_queue<handler>([&](sansocket::message_view m) {
                CHECK(here->connection.send(m.kind, m.bytes) == errc::ok);
            }));
        here = &e;
        e.open().receive(frame<Role>(opcode::text, bytes("echo")) + peer_close<Role>(1000));
        CHECK(e.connection.state() == connection_state::open);
        CHECK(e.sent() == own_frame<Role>(opcode::text, bytes("echo")));
        e.pass(0s);
        CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(1000)));
        CHECK(e.connection.close_info().clean);
    });
}

TEST_CASE(
    "close: a queue that does not say when its reader is done holds the Close while it is full") {
    in_both_roles([]<role Role> {
        endpoint<Role, unsettled_queue> e;
        auto& c = e.open().connection;
        e.receive(frame<Role>(opcode::text, bytes("last")) + peer_close<Role>(1000));
        CHECK(c.next_deadline() == e.now + 1s);
        REQUIRE(c.messages().pop());
        CHECK(c.next_deadline() == sansocket::immediately);
        e.pass(0s);
        CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(1000)));
    });
}

TEST_CASE("close: the application may answer the peer's Close itself while that waits") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        auto& c = e.open().connection;
        e.receive(frame<Role>(opcode::text, bytes("last")) + peer_close<Role>(4000));
        REQUIRE(c.messages().pop());
        CHECK(c.send_text("answer") == errc::ok);
        CHECK(c.close(close_code{4001}, "own", e.now) == errc::ok);
        CHECK(c.state() == connection_state::closing);
        CHECK(c.next_deadline() == e.now + 5s);
        CHECK(e.sent() == own_frame<Role>(opcode::text, bytes("answer")) +
                              own_frame<Role>(opcode::close, close_bytes(4001, "own")));
        CHECK(c.close_info().clean);
        CHECK(c.close_info().cause == errc::closed_by_peer);
        CHECK(c.close_info().code() == close_code{4000});
        CHECK(c.close_info().sent->code == close_code{4001});
    });
}
