#include <sansocket/snapshot.hpp>

#include "support/endpoint.hpp"

#include <memory>
#include <string>
#include <vector>

using namespace support;
using sansocket::connection_snapshot;
using sansocket::ended_by;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

}  // namespace

TEST_CASE("snapshot: explain answers in every state, with what the queries answer") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        const auto same = [&e] {
            auto& c = e.connection;
            const connection_snapshot s = c.explain();
            STATIC_REQUIRE(noexcept(c.explain()));
            CHECK(s.role == Role);
            CHECK(s.state == c.state());
            CHECK(s.cause == c.close_info().cause);
            CHECK(s.clean == c.close_info().clean);
            CHECK(s.sent.has_value() == c.close_info().sent.has_value());
            CHECK(s.received.has_value() == c.close_info().received.has_value());
            CHECK(s.discarded == c.close_info().discarded_bytes);
            CHECK(s.queued_messages == c.messages().size());
            CHECK(s.queued_bytes == c.messages().bytes());
            CHECK(s.paused == c.messages().paused());
            CHECK(s.output_bytes == c.output_bytes());
            CHECK(s.deadline == c.next_deadline());
            CHECK(s.wants_read == c.wants_read());
            CHECK(s.wants_write == c.wants_write());
            CHECK(s.shutdown == c.wants_shutdown());
            CHECK_FALSE(to_string(s).empty());
            return s;
        };
        CHECK(same().by == ended_by::nobody);
        e.open();
        e.now += 1s;
        e.receive(frame<Role>(opcode::text, bytes("Hello")));
        CHECK(same().last_received == e.now);
        CHECK(e.connection.send_text("Hello") == errc::ok);
        CHECK(same().output_frames == 1);
        CHECK(same().memory >= same().output_bytes);
        e.sent(1);
        CHECK(same().write_stalled_since == e.now);
        e.sent();
        CHECK(same().write_stalled_since == sansocket::never);
        CHECK(e.connection.close(close_code::going_away, "", e.now) == errc::ok);
        CHECK(same().sent == close_code::going_away);
        CHECK(same().closing == close_state::sending);
        e.sent();
        e.receive(frame<Role>(opcode::close, close_bytes(4000)) + bytes("late"));
        CHECK(same().received == close_code{4000});
        CHECK(same().clean);
        CHECK(same().discarded == 4);
        CHECK(same().by == ended_by::this_endpoint);
        const auto moved_to = std::move(e.connection);
        CHECK(moved_to.explain().clean);
        CHECK(same().state == connection_state::closed);
    });
}

TEST_CASE("snapshot: who ended it, of every cause") {
    using sansocket::who_ended;
    CHECK(who_ended(errc::ok) == ended_by::nobody);
    CHECK(who_ended(errc::closed_by_peer) == ended_by::peer);
    CHECK(who_ended(errc::reserved_bit) == ended_by::violation);
    CHECK(who_ended(errc::message_too_big) == ended_by::violation);
    for (const errc ec : {errc::closed_locally, errc::aborted, errc::cancelled, errc::dropped,
                          errc::refused_by_application, errc::invalid_request})
        CHECK(who_ended(ec) == ended_by::this_endpoint);
    for (const errc ec : {errc::end_of_stream, errc::transport_lost, errc::tls_truncated})
        CHECK(who_ended(ec) == ended_by::transport);
    for (const errc ec : {errc::opening_timeout, errc::close_timeout, errc::pong_timeout,
                          errc::idle_timeout, errc::write_timeout})
        CHECK(who_ended(ec) == ended_by::timeout);
}

TEST_CASE("snapshot: as a line of text") {
    connection_snapshot s;
    s.role = role::client;
    s.state = connection_state::open;
    CHECK(to_string(s) ==
          "client, open, messages unread 0, bytes unread 0, bytes unsent 0, memory 0");
    s.id = 7;
    s.role = role::server;
    s.state = connection_state::closed;
    s.by = ended_by::peer;
    s.cause = errc::closed_by_peer;
    s.clean = true;
    s.sent = close_code::normal;
    s.received = close_code{4001};
    s.incomplete_message = true;
    s.queued_messages = 2;
    s.queued_bytes = 300;
    s.paused = true;
    s.output_bytes = 5;
    s.discarded = 9;
    s.memory = 1024;
    s.subprotocol = "chat";
    s.silence = 40s;
    s.round_trip = 1500us;
    s.counters.round_trips = 2;
    s.counters.longest_round_trip = 2ms;
    s.input.data = {std::byte{0x88}, std::byte{0x0f}};
    s.input.size = 2;
    s.counters.messages_received = 3;
    s.counters.bytes_sent = 77;
    CHECK(
        to_string(s) ==
        "server 7, closed, ended by the peer: the peer started the closing handshake, clean, "
        "sent Close 1000, received Close 4001, a message was cut off, messages unread 2, bytes "
        "unread 300, reading is paused, bytes unsent 5, bytes discarded 9, memory 1024, "
        "subprotocol chat, silence in us 40000000, round trip in us 1500, longest round trip in us "
        "2000, received messages 3, sent bytes 77, last bytes 88 0f");
    for (const auto by : {ended_by::nobody, ended_by::this_endpoint, ended_by::violation,
                          ended_by::transport, ended_by::timeout})
        CHECK_FALSE(name_of(by).empty());
    for (const auto state : {connection_state::opening, connection_state::closing})
        CHECK_FALSE(name_of(state).empty());
}

TEST_CASE("snapshot: how long the peer had been silent when the connection ended") {
    in_both_roles([]<role Role> {
        using sansocket::duration;
        const auto ended = [](errc cause, duration silent, auto end) {
            sansocket::options options;
            options.close_timeout = 3s;
            endpoint<Role> e(options);
            e.open();
            e.now += 5s;
            e.receive(frame<Role>(opcode::text, bytes("Hello")));
            CHECK(e.connection.explain().silence == 0s);
            const auto heard = e.now;
            end(e);
            const connection_snapshot s = e.connection.explain();
            CHECK(s.state == connection_state::closed);
            CHECK(s.cause == cause);
            CHECK(s.last_received == heard);
            CHECK(s.silence == silent);
            CHECK(to_string(s).find("silence in us ") != std::string::npos);
        };
        ended(errc::pong_timeout, 40s, [](auto& e) {
            e.pass(20s);
            CHECK(e.connection.explain().silence == 20s);
            e.sent();
            e.pass(20s);
        });
        ended(errc::transport_lost, 4s, [](auto& e) {
            e.now += 4s;
            e.connection.transport_lost(e.now);
        });
        ended(errc::end_of_stream, 6s, [](auto& e) {
            e.now += 6s;
            e.connection.receive_end(e.now);
        });
        ended(errc::close_timeout, 4s, [](auto& e) {
            e.now += 1s;
            CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
            CHECK(e.connection.explain().silence == 1s);
            e.sent();
            e.pass(3s);
        });
        ended(errc::closed_by_peer, 2s, [](auto& e) {
            e.receive(frame<Role>(opcode::close, close_bytes(1000)));
            e.now += 2s;
            e.connection.output_lost(e.now);
        });
    });
}

TEST_CASE("snapshot: before the first byte nobody has fallen silent") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.pass(11s);
        CHECK(e.connection.explain().cause == errc::opening_timeout);
        CHECK(e.connection.explain().silence == 0s);
    });
}

TEST_CASE(
    "snapshot: round trips are counted, the longest kept, and each Ping counts once (5.5.2)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        const auto& c = e.connection;
        const auto answer = [&e](unsigned number, sansocket::duration after) {
            e.pass(20s);
            e.sent();
            e.now += after;
            byte_vector payload(8);
            payload.back() = static_cast<std::byte>(number);
            e.receive(frame<Role>(opcode::pong, payload) + frame<Role>(opcode::pong, payload));
        };
        answer(1, 2s);
        CHECK(c.counters().longest_round_trip == 2s);
        answer(2, 3s);
        answer(3, 1s);
        const auto n = c.counters();
        CHECK(n.pongs_received == 6);
        CHECK(n.round_trips == 3);
        CHECK(n.round_trip_sum == 6s);
        CHECK(n.longest_round_trip == 3s);
        CHECK(c.explain().round_trip == 1s);
        CHECK(to_string(c.explain()).find("longest round trip in us 3000000") != std::string::npos);
        sansocket::connection_counters both = n;
        both.longest_round_trip = 4s;
        both += n;
        CHECK(both.round_trips == 6);
        CHECK(both.round_trip_sum == 12s);
        CHECK(both.longest_round_trip == 4s);
        sansocket::connection_counters none;
        none += n;
        CHECK(none.longest_round_trip == 3s);
        e.connection.abort();
    });
}

TEST_CASE("snapshot: what a connection has done is counted") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.keepalive.ping_interval = 10s;
        endpoint<Role> e(options);
        e.open();
        auto& c = e.connection;
        const auto start = c.counters();
        CHECK(start.bytes_received > 100);
        CHECK(start.bytes_sent > 100);
        byte_vector in = frame<Role>(opcode::text, bytes("Hello"));
        in = in + frame<Role>(opcode::binary, byte_vector(3000));
        in = in + frame<Role>(opcode::text, bytes("a"), false);
        in = in + frame<Role>(opcode::ping, bytes("?"));
        in = in + frame<Role>(opcode::continuation, bytes("b"));
        in = in + frame<Role>(opcode::pong, {});
        e.receive(in);
        CHECK(c.send_text("Hello") == errc::ok);
        CHECK(c.send_text(std::string(5000, 'x')) == errc::ok);
        const auto owner = std::make_shared<byte_vector>(9000);
        CHECK(c.send_shared(message_kind::binary, {owner, *owner}) == errc::ok);
        CHECK(c.send(sansocket::prepared_message("all")) == errc::ok);
        CHECK(c.start(message_kind::text) == errc::ok);
        CHECK(c.append("a") == errc::ok);
        CHECK(c.send_text("Hello") == errc::message_in_progress);
        CHECK(c.finish() == errc::ok);
        CHECK(c.send_fragmented(message_kind::binary, bytes("f")) == errc::ok);
        CHECK(c.send_ping() == errc::ok);
        CHECK(c.send_pong() == errc::ok);
        const std::size_t waiting = c.output_bytes();
        CHECK(c.counters().most_output_bytes == waiting);
        const std::size_t sent = e.sent().size();
        e.pass(11s);
        CHECK(e.messages().size() == 3);
        const auto n = c.counters();
        CHECK(n.bytes_received == start.bytes_received + in.size());
        CHECK(n.bytes_sent == start.bytes_sent + sent);
        CHECK(n.messages_received == 3);
        CHECK(n.messages_sent == 6);
        CHECK(n.pings_sent == 2);
        CHECK(n.pings_answered == 1);
        CHECK(n.pongs_received == 1);
        CHECK(n.round_trips == 0);
        CHECK(n.most_queued_bytes == 5 + 3000 + 2 + 3 * 64);
        CHECK(n.most_output_bytes == waiting);
        auto moved = std::move(e.connection);
        CHECK(moved.counters().messages_sent == 6);
        CHECK(to_string(moved.explain()).find("received messages 3") != std::string::npos);
        moved.abort();
    });
}
