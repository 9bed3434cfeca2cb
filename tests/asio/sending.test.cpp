// What becomes of messages that there is no room for: waiting, dropping, closing, and who is told.
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/counting_stream.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace support;
using sansocket::message;
using sansocket::opcode;
using sansocket::prepared_message;
using sansocket_asio::when_full;

namespace sending_tests {

// Room for one message of some size.
sansocket::options narrow() {
    sansocket::options options;
    options.sending.high_bytes = 1;
    options.sending.low_bytes = 0;
    options.messages.size = 64 * 1024 * 1024;
    return options;
}

message text(std::string data) { return {message_kind::text, std::move(data)}; }

// A server whose peer reads nothing, so that no message is taken any more; and the peer.
struct blocked {
    explicit blocked(loop& l, const sansocket::options& options = narrow()) : p(l, options) {
        const std::string huge(16 * 1024 * 1024, 'h');
        l.until(send(p.server, huge));
        l.poll();
        REQUIRE(p.server.try_send(message_kind::text, {}) == errc::backpressure);
    }
    // Reads what blocks it, and then a text of each of these.
    void expect(const std::vector<std::string>& texts) {
        p.peer.read(10 + 16 * 1024 * 1024);
        for (const auto& t : texts)
            CHECK(p.peer.read(2 + t.size()) == to_client(opcode::text, bytes(t)));
    }
    raw_client_pair p;
};

// A server over a stream that counts its writes; and its peer.
struct counted {
    explicit counted(loop& l) : counted(l, tcp_pair{l.io}) {}
    counted(loop& l, tcp_pair sockets)
        : peer(l, std::move(sockets.a)), server(counting_stream(std::move(sockets.b), writes)) {
        const result accepted;
        server.async_accept(accepted);
        peer.send(bytes(upgrade_request));
        peer.read_head();
        l.until(accepted);
        l.poll();
        writes = 0;
    }
    // In one read.
    void bring(int messages) {
        byte_vector all;
        for (int i = 0; i != messages; ++i) {
            const auto one = to_server(opcode::text, bytes("ask"));
            all.insert(all.end(), one.begin(), one.end());
        }
        peer.send(all);
    }
    int writes = 0;
    raw_peer peer;
    sansocket_asio::websocket<role::server, counting_stream> server;
};

TEST_CASE("sending: a loop that awaits each receive and each send answers one read in one write") {
    loop l;
    counted c(l);
    asio::co_spawn(
        l.io,
        [&]() -> asio::awaitable<void> {
            std::error_code ended;
            const auto token = [&ended] {
                return asio::redirect_error(asio::use_awaitable, ended);
            };
            while (!ended) {
                message m = co_await c.server.async_receive(token());
                if (!ended) co_await c.server.async_send(std::move(m), token());
            }
        },
        asio::detached);
    c.bring(16);
    CHECK(c.peer.read(16 * 5).size() == 16 * 5);
    CHECK(c.writes == 1);
    c.server.abort();
    l.poll();
}

TEST_CASE("sending: a loop of try_receive and try_send answers one read in one write") {
    loop l;
    counted c(l);
    c.bring(16);
    l.until([&] { return c.server.connection()->messages().size() == 16; });
    while (const auto m = c.server.try_receive())
        CHECK(c.server.try_send(m->kind, m->bytes) == errc::ok);
    CHECK(c.peer.read(16 * 5).size() == 16 * 5);
    CHECK(c.writes == 1);
    c.server.abort();
}

TEST_CASE(
    "sending: an answer waits no longer for messages that nobody takes, nor a large one at all") {
    loop l;
    counted c(l);
    c.bring(3);
    l.until([&] { return c.server.connection()->messages().size() == 3; });
    CHECK(c.server.try_send(message_kind::text, {}) == errc::ok);
    CHECK(c.writes == 0);
    CHECK(c.peer.read(2) == to_client(opcode::text, {}));
    l.poll();
    const std::string large(16 * 1024, 'l');
    CHECK(c.server.try_send(message_kind::text, std::as_bytes(std::span{large})) == errc::ok);
    CHECK(c.writes == 2);
    c.server.abort();
}

TEST_CASE("sending: an answer that waits for others is written before a Close is read, or sent") {
    for (const bool by_peer : {true, false}) {
        CAPTURE(by_peer);
        loop l;
        raw_client_pair p(l);
        for (int i = 0; i != 3; ++i) p.peer.send(to_server(opcode::text, bytes("ask")));
        l.until([&] { return p.server.connection()->messages().size() == 3; });
        if (by_peer) p.peer.send(to_server(opcode::close, hex("03e8")));
        CHECK(p.server.try_send(message_kind::text, std::as_bytes(std::span{"answer", 6})) ==
              errc::ok);
        const result closed;
        if (!by_peer) p.server.async_close(close_code::normal, {}, closed);
        CHECK(p.peer.read(8) == to_client(opcode::text, bytes("answer")));
        CHECK(p.peer.read(4) == to_client(opcode::close, hex("03e8")));
        p.server.abort();
        l.poll();
    }
}

TEST_CASE("sending: what a socket takes at once needs no turn of the executor") {
    loop l;
    raw_client_pair p(l);
    CHECK(p.server.try_send(message_kind::text, std::as_bytes(std::span{"once", 4})) == errc::ok);
    CHECK(p.server.connection()->output_bytes() == 0);
    CHECK(p.peer.read(6) == to_client(opcode::text, bytes("once")));
    p.server.abort();
}

TEST_CASE("sending: post sends at once where there is room") {
    loop l;
    websocket_pair p(l);
    for (const auto full : {when_full::drop_new, when_full::drop_old, when_full::close}) {
        CHECK(p.server.post(text("mine"), full) == errc::ok);
        CHECK(p.server.post(prepared_message("shared"), full) == errc::ok);
        for (const char* expected : {"mine", "shared"}) {
            const result got = receive(p.client);
            l.until(got);
            CHECK(got.text() == expected);
        }
    }
    CHECK(p.server.post(text("\xff"), when_full::drop_new) == errc::text_not_utf8);
    CHECK(p.server.dropped_messages().dropped_new == 0);
    close_both(l, p);
    CHECK(p.server.post(text("x"), when_full::drop_old) == errc::closed);
    websocket_server idle(l.io);
    CHECK(idle.post(text("x"), when_full::drop_old) == errc::not_open);
    websocket_server moved(std::move(idle));
    CHECK(idle.post(text("x"), when_full::drop_old) == errc::closed);
}

TEST_CASE("sending: drop_new drops what there is no room for, and counts it") {
    loop l;
    blocked b(l);
    CHECK(b.p.server.post(text("a"), when_full::drop_new) == errc::backpressure);
    CHECK(b.p.server.post(prepared_message("b"), when_full::drop_new) == errc::backpressure);
    CHECK(b.p.server.dropped_messages().dropped_new == 2);
    const result last = send(b.p.server, "last");
    b.expect({"last"});
    l.until(last);
    b.p.server.abort();
}

TEST_CASE("sending: drop_old keeps the newest, within the backlog's limits") {
    for (const bool by_count : {true, false}) {
        CAPTURE(by_count);
        loop l;
        blocked b(l);
        sansocket_asio::backlog_limits limits;
        if (by_count) limits.count = 3;
        else limits.bytes = 2 * (64 + 1) + 1;
        b.p.server.limit_backlog(limits);
        for (int i = 0; i != 8; ++i)
            CHECK(b.p.server.post(text(std::to_string(i)), when_full::drop_old) == errc::ok);
        CHECK(b.p.server.post(text("\xff"), when_full::drop_old) == errc::text_not_utf8);
        CHECK(b.p.server.dropped_messages().dropped_old == 5);
        const result drained;
        b.p.server.async_drain(drained);
        b.expect({"5", "6", "7"});
        l.until(drained);
        CHECK(!drained.ec());
        CHECK(b.p.server.post(text("8"), when_full::drop_old) == errc::ok);
        CHECK(b.p.peer.read(3) == to_client(opcode::text, bytes("8")));
        b.p.server.abort();
    }
}

TEST_CASE("sending: what waits in the backlog keeps its place in the line") {
    loop l;
    blocked b(l);
    const result first = send(b.p.server, "first");
    CHECK(b.p.server.post(text("second"), when_full::drop_old) == errc::ok);
    l.poll();
    const result third = send(b.p.server, "third");
    b.expect({"first", "second", "third"});
    l.until(third);
    b.p.server.abort();
}

TEST_CASE("sending: close says 1008 to who is too slow") {
    loop l;
    blocked b(l);
    const result waiting = send(b.p.server, "waiting");
    CHECK(b.p.server.post(text("a"), when_full::close) == errc::backpressure);
    CHECK(b.p.server.state() == connection_state::closing);
    CHECK(b.p.server.post(text("a"), when_full::close) == errc::closing);
    l.until(waiting);
    CHECK(waiting.ec() == errc::closing);
    REQUIRE(b.p.server.close_info().sent);
    CHECK(b.p.server.close_info().sent->code == close_code::policy_violation);
    CHECK(b.p.server.dropped_messages().closed == 1);
    b.expect({});
    CHECK(b.p.peer.read(12) == to_client(opcode::close, bytes("\x03\xf0too slow")));
    b.p.server.abort();
}

TEST_CASE("sending: async_drain completes at the low mark, at once below it") {
    loop l;
    blocked b(l);
    const result later, cancelled, waiting = send(b.p.server, "w");
    asio::cancellation_signal cancel;
    b.p.server.async_drain(later);
    b.p.server.async_drain(asio::bind_cancellation_slot(cancel.slot(), cancelled));
    l.poll();
    CHECK_FALSE(later.done());
    cancel.emit(asio::cancellation_type::total);
    l.until(cancelled);
    CHECK(cancelled.ec() == asio::error::operation_aborted);
    b.expect({"w"});
    l.until(later);
    CHECK(!later.ec());
    CHECK(waiting.done());
    const result at_once;
    b.p.server.async_drain(at_once);
    CHECK_FALSE(at_once.done());
    l.until(at_once);
    CHECK(!at_once.ec());
    b.p.server.abort();
}

TEST_CASE("sending: async_drain waits for the output, and for those that wait for room") {
    loop l;
    blocked b(l);
    const result alone;
    b.p.server.async_drain(alone);
    l.poll();
    CHECK_FALSE(alone.done());  // nobody waits, and yet the output is full
    const result waiting = send(b.p.server, "w");
    bool behind = false;
    b.p.server.async_drain([&](std::error_code) { behind = waiting.done(); });
    b.expect({"w"});
    l.until(alone);
    l.poll();
    CHECK(behind);
    b.p.server.abort();
}

TEST_CASE("sending: who comes when there is room does not overtake who has waited for it") {
    loop l;
    blocked b(l);
    const result first = send(b.p.server, "1");
    l.poll();
    byte_vector in(10 + 16 * 1024 * 1024);
    bool read = false;
    asio::async_read(b.p.peer.socket, asio::buffer(in),
                     [&](std::error_code ec, std::size_t) { read = !ec; });
    l.until([&] { return b.p.server.connection()->output_drained(); });
    CHECK_FALSE(first.done());
    const result second = send(b.p.server, "2");
    l.until([&] { return read && first.done() && second.done(); });
    for (const char* const expected : {"1", "2"})
        CHECK(b.p.peer.read(3) == to_client(opcode::text, bytes(expected)));
    b.p.server.abort();
}

TEST_CASE("sending: async_drain tells what ended the connection") {
    loop l;
    websocket_server idle(l.io);
    const result too_early;
    idle.async_drain(too_early);
    l.until(too_early);
    CHECK(too_early.ec() == errc::not_open);
    blocked b(l);
    const result drained;
    b.p.server.async_drain(drained);
    b.p.peer.reset();
    l.until(drained);
    CHECK(drained.ec() == errc::transport_lost);
}

TEST_CASE("sending: a sender that waits is not woken for the others") {
    loop l;
    blocked b(l);
    constexpr int count = 10000;
    int done = 0;
    for (int i = 0; i != count; ++i)
        b.p.server.async_send(text("s"), [&](std::error_code ec) { done += !ec; });
    l.poll();
    REQUIRE(done == 0);
    b.p.peer.read(10 + 16 * 1024 * 1024);
    std::vector<std::byte> in(3 * count);
    bool all = false;
    asio::async_read(b.p.peer.socket, asio::buffer(in),
                     [&](std::error_code ec, std::size_t) { all = !ec; });
    std::size_t handlers = 0;
    l.until([&] { return ++handlers, all && done == count; });
    CHECK(handlers < 8 * count);
    const result lost[2] = {send(b.p.server, std::string(4096, 'l')), send(b.p.server, "l")};
    b.p.server.abort();
}

TEST_CASE("sending: ten thousand senders learn of the end in bounded steps") {
    loop l;
    blocked b(l);
    constexpr int count = 10000;
    int refused = 0;
    for (int i = 0; i != count; ++i)
        b.p.server.async_send(text("s"), [&](std::error_code ec) { refused += bool(ec); });
    l.poll();
    b.p.server.abort();
    std::size_t handlers = 0;
    l.until([&] { return ++handlers, refused == count; });
    CHECK(handlers < 4 * count);
}

TEST_CASE(
    "sending: as many sends wait as the limit says, in order, and the others change nothing") {
    loop l;
    blocked b(l);
    b.p.server.limit_senders({.count = 3});
    asio::cancellation_signal cancel;
    const result cancelled, first = send(b.p.server, "first");
    b.p.server.async_send(text("c"), asio::bind_cancellation_slot(cancel.slot(), cancelled));
    const result second = send(b.p.server, "second"),
                 refused[2] = {send(b.p.server, "too many"), send(b.p.server, "\xff")};
    const result shared, ping, parts;
    b.p.server.async_send(prepared_message("too many"), shared);
    b.p.server.async_ping(bytes("too many"), ping);
    b.p.server.async_start(message_kind::text, parts);
    l.until(parts);
    for (const auto& r : {refused[0], refused[1], shared, ping, parts})
        CHECK(r.ec() == errc::backpressure);
    cancel.emit(asio::cancellation_type::total);
    l.until(cancelled);
    CHECK(cancelled.ec() == asio::error::operation_aborted);
    const result third = send(b.p.server, "third");  // there is one less
    const result late = send(b.p.server, "too many");
    l.until(late);
    CHECK(late.ec() == errc::backpressure);
    CHECK_FALSE(first.done());
    b.expect({"first", "second", "third"});
    l.until(third);
    for (const auto& r : {first, second, third}) CHECK(!r.ec());
    b.p.server.abort();
}

TEST_CASE("sending: the bytes of what was given to those that wait have a limit") {
    loop l;
    blocked b(l);
    b.p.server.limit_senders({.bytes = 100});
    const std::string half(60, 'h');
    const auto given = [&] {
        const result r;
        b.p.server.async_send(text(half), r);
        return r;
    };
    const std::string not_given(1000, 'm');
    const result stays_mine = send(b.p.server, not_given);  // of which none counts
    const result one = given(), passes_it = given(), refused = given();
    l.until(refused);
    CHECK(refused.ec() == errc::backpressure);
    const result drained;
    b.p.server.async_drain(drained);
    b.p.peer.read(10 + 16 * 1024 * 1024);
    b.p.peer.read(4 + 1000 + 2 * (2 + 60));
    l.until(passes_it);
    l.until(drained);
    CHECK((!stays_mine.ec() && !one.ec() && !passes_it.ec()));
    const result again = given();
    l.until(again);
    CHECK(!again.ec());
    b.p.server.abort();
}

TEST_CASE("sending: by default, what waits for room does not grow for ever") {
    loop l;
    blocked b(l);
    std::size_t done = 0, refused = 0, all = 0, expected = 0, size = 0;
    SECTION("in bytes") { all = 64, expected = 64 - 16, size = 1024 * 1024; }
    SECTION("in number") { all = 20'000, expected = 20'000 - 16'384; }
    for (std::size_t i = 0; i != all; ++i)
        b.p.server.async_send(text(std::string(size, 'f')), [&](std::error_code ec) {
            ++done;
            refused += ec == errc::backpressure;
        });
    l.poll();
    CHECK(refused == expected);
    CHECK(done == expected);
    b.p.server.abort();
    l.until([&] { return done == all; });
    CHECK(refused == expected);
}

TEST_CASE("sending: where no send may wait, the backlog and a message in parts still go on") {
    loop l;
    blocked b(l);
    b.p.server.limit_senders({.count = 0});
    const auto handle = b.p.server.sender();
    CHECK(handle.send(text("handle")) == errc::ok);
    l.poll();
    CHECK(b.p.server.post(text("posted"), when_full::drop_old) == errc::ok);
    const result refused = send(b.p.server, "x");
    l.until(refused);
    CHECK(refused.ec() == errc::backpressure);
    const result drained;
    b.p.server.async_drain(drained);
    b.expect({"handle", "posted"});
    l.until(drained);
    const result alone = send(b.p.server, "alone");
    l.until(alone);
    CHECK(!alone.ec());
    CHECK(b.p.peer.read(7) == to_client(opcode::text, bytes("alone")));

    const result begun, last, in_between;
    b.p.server.async_start(message_kind::text, begun);
    l.until(begun);
    const std::string huge(16 * 1024 * 1024, 'h');
    b.p.server.async_finish(huge, [&](std::error_code ec, std::size_t) { last(ec); });
    b.p.server.async_send_text("in between", in_between);
    l.until(in_between);
    CHECK(in_between.ec() == errc::backpressure);
    CHECK_FALSE(last.done());
    b.p.server.abort();
    l.until(last);
}

TEST_CASE("sending: a waiting sender that is refused or cancelled lets the next one go on") {
    loop l;
    blocked b(l);
    asio::cancellation_signal cancel;
    const result cancelled, first = send(b.p.server, "\xff");
    b.p.server.async_send(text("c"), asio::bind_cancellation_slot(cancel.slot(), cancelled));
    const result last = send(b.p.server, "last");
    l.poll();
    cancel.emit(asio::cancellation_type::total);
    b.expect({"last"});
    l.until(last);
    CHECK(first.ec() == errc::text_not_utf8);
    CHECK(cancelled.ec() == asio::error::operation_aborted);
    b.p.server.abort();
}

TEST_CASE("sending: a sender handle drops by the same policies") {
    loop l;
    blocked b(l);
    const auto handle = b.p.server.sender(sansocket_asio::backlog_limits{.count = 2});
    CHECK(handle.send(prepared_message("0"), when_full::drop_old) == errc::ok);
    CHECK(handle.send(text("1"), when_full::drop_old) == errc::ok);
    CHECK(handle.send(text("2"), when_full::drop_old) == errc::ok);
    CHECK(handle.send(prepared_message("3")) == errc::backpressure);
    CHECK(handle.send(text("3"), when_full::drop_new) == errc::backpressure);
    l.poll();
    CHECK(b.p.server.dropped_messages().dropped_old == 1);
    CHECK(b.p.server.dropped_messages().dropped_new == 1);
    b.expect({"1", "2"});
    b.p.server.abort();
}

TEST_CASE("sending: a handle's message finds no room at its turn") {
    for (const auto full : {when_full::drop_new, when_full::close}) {
        loop l;
        blocked b(l);
        const auto handle = b.p.server.sender();
        CHECK(handle.send(text("x"), full) == errc::ok);
        l.poll();
        const auto dropped = b.p.server.dropped_messages();
        CHECK(dropped.dropped_new == (full == when_full::drop_new ? 1 : 0));
        CHECK(dropped.closed == (full == when_full::close ? 1 : 0));
        b.p.server.abort();
    }
}

TEST_CASE("sending: a handle that is full closes past those that wait") {
    loop l;
    blocked b(l);
    const auto handle = b.p.server.sender(sansocket_asio::backlog_limits{.count = 1});
    CHECK(handle.send(text("waits")) == errc::ok);
    l.poll();
    CHECK(handle.send(text("x"), when_full::close) == errc::backpressure);
    CHECK(handle.send(text("x"), when_full::close) == errc::closing);
    l.until([&] { return b.p.server.state() == connection_state::closing; });
    CHECK(b.p.server.close_info().sent->code == close_code::policy_violation);
    b.p.server.abort();
}

TEST_CASE("sending: what is broadcast reaches all, and the slow by the policy") {
    loop l;
    sansocket_asio::group all(l.io.get_executor());
    CHECK(all.broadcast(prepared_message("nobody"), when_full::drop_new) == 0);
    websocket_pair quick(l), moved(l);
    blocked slow(l);
    REQUIRE(all.join(quick.server));
    REQUIRE(all.join(slow.p.server));
    websocket_server idle(l.io);
    REQUIRE(all.join(idle));
    CHECK(all.broadcast(prepared_message("\xff"), when_full::drop_new) == 0);
    CHECK(all.broadcast(prepared_message("one"), when_full::drop_new) == 2);
    CHECK(all.broadcast(prepared_message("two"), when_full::drop_old) == 2);
    CHECK(all.broadcast(prepared_message("three"), when_full::drop_old) == 2);
    for (const char* expected : {"one", "two", "three"}) {
        const result got = receive(quick.client);
        l.until(got);
        CHECK(got.text() == expected);
    }
    CHECK(slow.p.server.dropped_messages().dropped_new == 1);
    slow.expect({"two", "three"});
    CHECK(quick.server.dropped_messages().dropped_new == 0);
    close_both(l, quick);
    CHECK(all.broadcast(prepared_message("late"), when_full::drop_new) == 1);
    slow.p.server.abort();
    moved.server.abort();
    moved.client.abort();
}

TEST_CASE("sending: broadcasts and sends come from any thread") {
    loop l;
    websocket_pair p(l);
    sansocket_asio::group all(l.io.get_executor());
    REQUIRE(all.join(p.server));
    const auto handle = p.server.sender();
    constexpr int each = 500;
    std::vector<std::thread> threads;
    for (int t = 0; t != 3; ++t)
        threads.emplace_back([&, t] {
            const prepared_message shared(std::to_string(t));
            for (int i = 0; i != each; ++i) {
                if (t == 0) (void)handle.send(shared);
                else all.broadcast(shared, when_full::drop_old);
            }
        });
    int got = 0;
    while (got != 3 * each) {
        const result r = receive(p.client);
        l.until(r);
        REQUIRE(!r.ec());
        ++got;
    }
    for (auto& t : threads) t.join();
    const auto dropped = p.server.dropped_messages();
    CHECK(dropped.dropped_old + dropped.dropped_new == 0);
    close_both(l, p);
}

}  // namespace sending_tests
