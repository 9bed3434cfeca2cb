// Scenarios: sending when it is too late, reading when it is over.
#include <sansocket/connection.hpp>

#include "support/allocations.hpp"
#include "support/scenario.hpp"

#include <functional>
#include <string>
#include <vector>

using namespace support;
using enum errc;

namespace {

// Open connections brought to an end in every way.
template <role Role>
std::vector<std::function<void(opened<Role>&)>> ends() {
    return {
        [](auto& s) { s.feed(peers_close<Role>(1000)), s.sent(); },
        [](auto& s) { s.connection.receive_end(s.now); },
        [](auto& s) { s.connection.transport_lost(s.now); },
        [](auto& s) { s.connection.abort(); },
        [](auto& s) { s.feed(frame<Role>(opcode::continuation, {})), s.sent(); },
        [](auto& s) { s.pass(1h), s.pass(1h); },
    };
}

}  // namespace

TEST_CASE("B60: sends after the end are refused by name, a million of them, and keep no memory") {
    in_both_roles_uncut([]<role Role> {
        for (const auto& end : ends<Role>()) {
            opened<Role> s;
            end(s);
            const std::size_t before = s.connection.explain().memory;
            const std::size_t allocated = allocations;
            const std::size_t sends = scaled(1'000'000);
            std::size_t refused = 0;
            for (std::size_t i = 0; i != sends; ++i)
                if (s.connection.send_text("nobody hears") == closed) ++refused;
            const std::size_t since = allocations - allocated;
            CHECK(since == 0);
            CHECK(refused == sends);
            CHECK(s.connection.output_bytes() == 0);
            CHECK(s.connection.explain().memory == before);
        }
    });
}

TEST_CASE("B61: behind our Close goes no data, and a Pong only until the peer's Close") {
    in_both_roles([]<role Role> {
        for (const at state : {at::CLO, at::CRE, at::CD}) {
            subject<Role> s(state);
            const errc expected = state == at::CD ? closed : closing;
            CHECK(s.connection.send_text("a") == expected);
            CHECK(s.connection.send_binary(bytes("a")) == expected);
            CHECK(s.connection.send_ping() == expected);
            s.feed(frame<Role>(opcode::ping, bytes("?")));
            const auto pong = own_frame<Role>(opcode::pong, bytes("?"));
            if (state == at::CLO) CHECK(s.sent() == pong);
            if (state == at::CRE) CHECK(s.sent() == own_close<Role>(4000));
            if (state == at::CD) CHECK(s.sent().empty());
        }
    });
}

TEST_CASE("B62: reading on after the end gives the same answer, a thousand times") {
    in_both_roles([]<role Role> {
        for (const auto& end : ends<Role>()) {
            opened<Role> s;
            end(s);
            const errc cause = s.connection.close_info().cause;
            int same = 0;
            for (int i = 0; i != 1000; ++i) {
                auto& queue = s.connection.messages();
                same += !queue.pop() && queue.at_eof() && queue.cause() == cause ? 1 : 0;
            }
            CHECK(same == 1000);
        }
    });
}

TEST_CASE("B64: writing out what a closed connection has is no error, and nothing") {
    in_both_roles([]<role Role> {
        for (const auto& end : ends<Role>()) {
            opened<Role> s;
            end(s);
            const auto before = s.connection.close_info().cause;
            CHECK(s.connection.output().empty());
            s.connection.consume_output(0, s.now);
            CHECK(s.connection.output().empty());
            CHECK(s.connection.close_info().cause == before);
        }
    });
}

TEST_CASE("B65: once it is closed for a full output, a drained one takes nothing any more") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = options.sending.low_bytes = 1000;
        opened<Role> s(options);
        // What an application does that wants its connection closed for a full output.
        const auto send = [&] {
            const errc ec = s.connection.send_text(std::string(300, 'x'));
            if (ec != backpressure) return ec;
            CHECK(s.connection.close(close_code::policy_violation, "", s.now) == ok);
            CHECK(s.connection.send_text("x") == closing);  // from in there, too
            return closing;
        };
        while (send() == ok) {}
        s.sent();
        CHECK(s.connection.output_drained());
        CHECK(s.connection.send_text("x") == closing);
        CHECK_FALSE(s.connection.wants_write());
        s.feed(peers_close<Role>(1008));
        CHECK(s.connection.send_text("x") == closed);
        check_end(s, 1008, true, closed_locally);
    });
}
