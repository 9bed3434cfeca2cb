// Scenarios: what is dropped, forgotten or ended from within.
#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>

#include "support/allocations.hpp"
#include "support/scenario.hpp"

#include <functional>
#include <utility>
#include <vector>

using namespace support;
using enum errc;

namespace {

struct leak_counter final : sansocket::diagnostics_handler {
    void leaked(const sansocket::leak_report&) noexcept override { ++leaks; }
    int leaks = 0;
};

// Asks it everything. Whether the answers are right is looked at elsewhere.
template <class Connection>
void ask_all(const Connection& c) {
    (void)c.explain(), (void)c.close_info(), (void)c.next_deadline(), (void)c.round_trip();
    (void)c.subprotocol(), (void)c.deciding(), (void)c.handshake(), (void)c.output_drained();
    (void)c.messages().size(), (void)c.messages().bytes(), (void)c.messages().cause();
    CHECK_FALSE(c.wants_read());
    CHECK_FALSE(c.wants_write());
    CHECK(c.should_close());
    CHECK(c.state() == connection_state::closed);
    CHECK(c.messages().is_eof());
}

using handler = std::function<void(sansocket::message_view)>;
using direct = sansocket::direct_queue<handler>;

}  // namespace

TEST_CASE("B01: whoever drops it, in whatever state, every question has an answer") {
    // What an adapter knows of: its transport goes when should_close() says so, and once.
    in_both_roles([]<role Role> {
        for (const at state : every_state) {
            for (int how = 0; how != 4; ++how) {
                CAPTURE(static_cast<int>(state), how);
                leak_counter told;
                sansocket::options options;
                options.diagnostics = &told;
                int released = 0;
                {
                    subject<Role> s(state, options);
                    auto& c = s.connection;
                    bool has_transport = true;
                    const auto look = [&] {
                        if (has_transport && c.should_close()) has_transport = false, ++released;
                        CHECK(has_transport == !c.should_close());
                    };
                    look();
                    if (how == 0) (void)s.messages();  // a read that is cancelled takes nothing
                    if (how == 1) c.abort(cancelled);  // a close that is cancelled
                    if (how == 2) s.now += 1h;         // an executor that stopped
                    if (how == 3) auto taken_away = std::move(c);  // moved from, and that destroyed
                    look();
                    c.abort(dropped);  // the owner goes
                    look();
                    ask_all(c);
                    s.connection.receive_end(s.now), look();
                    s.connection.transport_lost(s.now), look();
                    s.connection.consume_output(0, s.now), look();
                    s.pass(1h), look();
                    ask_all(c);
                }
                CHECK(released == 1);
                const bool alive = state != at::HS && state != at::CD;
                const bool reports = sansocket::default_diagnostics::enabled;
                CHECK(told.leaks == (reports && alive && how != 1 ? 1 : 0));
            }
        }
    });
}

TEST_CASE(
    "B03: a server closes TCP once its answer is out, and ten thousand leave nothing behind") {
    std::size_t wrong = 0;
    std::size_t first = 0;
    const byte_vector goodbye = peers_close<role::server>(1000);
    const byte_vector hello = bytes(upgrade_request);
    for (std::size_t cycle = 0; cycle != scaled(10'000); ++cycle) {
        {
            endpoint<role::server> s;
            s.receive_whole(hello);
            s.sent();
            s.receive_whole(goodbye);
            wrong += s.connection.wants_shutdown() != shutdown_request::none;
            s.sent();  // the client keeps its socket
            wrong += s.connection.wants_shutdown() != shutdown_request::close;
            wrong += s.connection.messages().memory() != 0;
            s.left_open = true;  // an assertion allocates
        }
        if (cycle == 0) first = bytes_in_use;
        wrong += bytes_in_use != first;
    }
    CHECK(wrong == 0);
}

TEST_CASE("B04: a server that has answered waits for nothing more, not even for time to pass") {
    with_every_cut<role::server>([]<role Role> {
        opened<Role> s;
        s.feed(peers_close<Role>(1000));
        CHECK(s.sent() == own_close<Role>(1000));
        CHECK(s.connection.wants_shutdown() == shutdown_request::close);
        check_end(s, 1000, true, closed_by_peer);
    });
}

TEST_CASE("B07: ending the connection from inside the handler of a message") {
    in_both_roles([]<role Role> {
        for (int how = 0; how != 4; ++how) {
            for (const bool in_fragments : {false, true}) {
                CAPTURE(how, in_fragments);
                endpoint<Role, direct>* self = nullptr;
                int calls = 0;
                const auto end = [&](sansocket::message_view) {
                    ++calls;
                    auto& c = self->connection;
                    if (how == 0) CHECK(c.close(close_code::normal, "", self->now) == ok);
                    if (how == 1) c.abort();
                    if (how == 2) c.transport_lost(self->now);
                    if (how != 3) return;
                    CHECK(c.close(close_code::normal, "", self->now) == ok);
                    CHECK(c.close(close_code::normal, "", self->now) == closing);
                    c.abort(), c.abort();
                };
                endpoint<Role, direct> e({}, direct(end));
                self = &e;
                e.open();
                const auto once = in_fragments ? frame<Role>(opcode::text, bytes("a"), false) +
                                                     frame<Role>(opcode::continuation, {})
                                               : peers_text<Role>("a");
                e.receive(once + once);
                CHECK(calls == 1);
                e.sent();
                e.connection.receive_end(e.now);
                CHECK(e.connection.should_close());
                CHECK(e.connection.messages().is_eof());
            }
        }
    });
}

TEST_CASE("B08: a broadcast from a handler reaches who is there, and touches nobody who is gone") {
    in_both_roles([]<role Role> {
        opened<Role> gone;
        gone.connection.transport_lost(gone.now);
        endpoint<Role, direct>* self = nullptr;
        errc to_gone = ok;
        endpoint<Role, direct> there({}, direct([&](sansocket::message_view m) {
                                         to_gone = gone.connection.send(m.kind, m.bytes);
                                         CHECK(self->connection.send(m.kind, m.bytes) == ok);
                                     }));
        self = &there;
        there.open().receive(peers_text<Role>("to all"));
        CHECK(to_gone == closed);
        CHECK(gone.connection.output_bytes() == 0);
        CHECK(there.sent() == own_frame<Role>(opcode::text, bytes("to all")));
        there.connection.abort();
    });
}
