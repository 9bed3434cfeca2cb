#include <sansocket/connection.hpp>

#include "support/script.hpp"

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

message text(std::string data) { return {message_kind::text, std::move(data)}; }

}  // namespace

TEST_CASE("script: an echo and the peer's close, failing at each step (7.1)") {
    in_both_roles([]<role Role> {
        script<Role> s;
        s.receives(frame<Role>(opcode::text, bytes("Hello")))
            .delivers({text("Hello")})
            .calls([](auto& c, auto) { return c.send_text("Hello"); })
            .sends(own_frame<Role>(opcode::text, bytes("Hello")))
            .receives(frame<Role>(opcode::close, close_bytes(1000, "bye")))
            .state(connection_state::closing)
            .sends(own_frame<Role>(opcode::close, close_bytes(1000)))
            .state(connection_state::closed);
        s.run(errc::closed_by_peer, true);
        s.run_failing_each_step();
    });
}

TEST_CASE("script: fragments, a Ping between them and our close, failing at each byte (5.4, 7.1)") {
    in_both_roles([]<role Role> {
        script<Role> s;
        s.receives_slowly(frame<Role>(opcode::text, bytes("He"), false))
            .receives_slowly(frame<Role>(opcode::ping, bytes("p")))
            .sends(own_frame<Role>(opcode::pong, bytes("p")))
            .receives_slowly(frame<Role>(opcode::continuation, bytes("llo")))
            .delivers({text("Hello")})
            .calls([](auto& c, auto) { return c.start(message_kind::binary); })
            .calls([](auto& c, auto) { return c.append("begun"); })
            .calls([](auto& c, auto now) { return c.close(close_code::normal, "done", now); })
            .sends(own_frame<Role>(opcode::binary, bytes("begun"), false) +
                   own_frame<Role>(opcode::close, close_bytes(1000, "done")))
            .receives_slowly(frame<Role>(opcode::close, close_bytes(1000, "done")));
        s.run(errc::closed_locally, true);
        s.run_failing_each_step();
    });
}

TEST_CASE("script: unread messages and unsent output, failing at each step") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = 2;
        options.queue.low_count = 1;
        script<Role> s{options};
        s.calls([](auto& c, auto) { return c.send_text("unsent"); })
            .calls([](auto& c, auto) { return c.send_ping(); })
            .receives(frame<Role>(opcode::text, bytes("one")))
            .receives(frame<Role>(opcode::text, bytes("two")))
            .passes(30s)  // full: nothing is read, and nobody is given up for that
            .state(connection_state::open)
            .calls([](auto& c, auto) { return c.send_binary(byte_vector(100'000)); })
            .calls([](auto& c, auto now) { return c.close(close_code::going_away, "", now); })
            .receives(frame<Role>(opcode::close, close_bytes(1001)))
            .sends(own_frame<Role>(opcode::close, close_bytes(1001)));
        s.run(errc::closed_locally, true);
        s.run_failing_each_step();
    });
}

TEST_CASE("script: a violation after good messages, failing at each step (7.1.7)") {
    in_both_roles([]<role Role> {
        script<Role> s;
        s.receives(frame<Role>(opcode::text, bytes("good")))
            .receives(frame<Role>(opcode::continuation, bytes("bad")))
            .delivers({text("good")})
            .state(connection_state::closed)
            .sends(own_frame<Role>(opcode::close,
                                   close_bytes(1002, describe(errc::unexpected_continuation))));
        s.run(errc::unexpected_continuation, false);
        s.run_failing_each_step();
    });
}
