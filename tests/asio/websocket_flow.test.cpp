// Many operations at once: order, backpressure, pausing, and cancellation that loses nothing.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <deque>
#include <memory>
#include <string>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

// Room for one message of some size, so that every further one waits.
sansocket::options narrow() {
    sansocket::options options;
    options.sending.high_bytes = 1;
    options.sending.low_bytes = 0;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 1024;
    return options;
}

// More than loopback's buffers hold: such a message stays in the send queue until its peer reads.
const std::string& huge() {
    static const std::string text(16 * 1024 * 1024, 'h');
    return text;
}

sansocket::options narrow_to_huge() {
    sansocket::options options = narrow();
    options.messages.size = 32 * 1024 * 1024;
    return options;
}

// Fills the server's queue, so that it reads no more, and then the client's and what lies between.
void block(loop& l, websocket_pair& p) {
    const std::string filler(64 * 1024, 'f');
    l.until(send(p.client, filler));
    l.until([&] { return !p.server.connection()->wants_read(); });
    l.until(send(p.client, huge()));
}

// The server takes what `block` sent.
void unblock(loop& l, websocket_pair& p) {
    for (const std::size_t size : {std::size_t{64} * 1024, huge().size()}) {
        const result got = receive(p.server);
        l.until(got);
        REQUIRE(got.text().size() == size);
    }
}

std::string number(int i) { return "message " + std::to_string(i); }

}  // namespace

TEST_CASE("websocket flow: many sends at once arrive in order") {
    loop l;
    websocket_pair p(l);
    std::vector<std::string> texts;
    for (int i = 0; i != 500; ++i)
        texts.push_back(number(i) + std::string(i % 7 == 0 ? 9000 : 0, 'x'));
    std::vector<result> sent;
    for (const auto& text : texts) sent.push_back(send(p.client, text));
    for (const auto& text : texts) {
        const result got = receive(p.server);
        l.until(got);
        REQUIRE(got.text() == text);
    }
    for (const auto& r : sent) CHECK((r.done() && !r.ec()));
    close_both(l, p);
}

TEST_CASE("websocket flow: senders that must wait go on in order") {
    loop l;
    websocket_pair p(l, narrow(), narrow());
    const std::string mega(1024 * 1024, 'm');
    std::vector<result> sent;
    for (int i = 0; i != 10; ++i) {
        sent.push_back(send(p.client, mega));
        const result given;
        p.client.async_send(sansocket::message{message_kind::binary, number(i)}, given);
        const result large;
        const std::string text(70000, 'l');
        p.client.async_send(sansocket::message{message_kind::binary, text}, large);
        sent.push_back(given);
        sent.push_back(large);
    }
    l.poll();
    CHECK_FALSE(sent.back().done());
    CHECK(p.client.try_send(message_kind::text, {}) == errc::backpressure);
    for (int i = 0; i != 10; ++i) {
        for (const auto& expected : {mega, number(i), std::string(70000, 'l')}) {
            const result got = receive(p.server);
            l.until(got);
            REQUIRE(!got.ec());
            REQUIRE(got.text() == expected);
        }
    }
    for (const auto& r : sent) {
        l.until(r);
        CHECK(!r.ec());
    }
    CHECK(p.client.try_send(message_kind::text, {}) == errc::ok);
    close_both(l, p);
}

TEST_CASE("websocket flow: nothing overtakes a sender that waits") {
    loop l;
    websocket_pair p(l, narrow_to_huge(), narrow_to_huge());
    block(l, p);
    const result waiting = send(p.client, "second");
    l.poll();
    REQUIRE_FALSE(waiting.done());
    const result last = send(p.client, "third");
    unblock(l, p);
    for (const char* expected : {"second", "third"}) {
        const result got = receive(p.server);
        l.until(got);
        CHECK(got.text() == expected);
    }
    CHECK(p.client.try_send(message_kind::text, {}) == errc::ok);
    p.client.abort();
    p.server.abort();
}

TEST_CASE("websocket flow: a waiting sender that is cancelled sends nothing; the others go on") {
    loop l;
    for (int cancelled = 0; cancelled != 3; ++cancelled) {
        CAPTURE(cancelled);
        websocket_pair p(l, narrow_to_huge(), narrow_to_huge());
        block(l, p);
        asio::cancellation_signal cancel[3];
        const result waiting[3];
        const std::string texts[3] = {number(0), number(1), number(2)};
        for (int i = 0; i != 3; ++i)
            p.client.async_send_text(texts[i],
                                     asio::bind_cancellation_slot(cancel[i].slot(), waiting[i]));
        l.poll();
        for (const auto& r : waiting) REQUIRE_FALSE(r.done());
        cancel[cancelled].emit(asio::cancellation_type::partial);
        l.until(waiting[cancelled]);
        CHECK(waiting[cancelled].ec() == asio::error::operation_aborted);
        unblock(l, p);
        for (int i = 0; i != 3; ++i) {
            if (i == cancelled) continue;
            const result next = receive(p.server);
            l.until(next);
            CHECK(next.text() == texts[i]);
            l.until(waiting[i]);
            CHECK(!waiting[i].ec());
        }
        l.until(close(p.client));
        CHECK(p.client.close_info().clean);
    }
}

TEST_CASE("websocket flow: senders that wait learn that the connection ends") {
    loop l;
    websocket_pair p(l, narrow_to_huge(), narrow_to_huge());
    block(l, p);
    const result waiting = send(p.client, "never sent");
    const result pinged;
    p.client.async_ping({}, pinged);
    l.poll();
    REQUIRE_FALSE(waiting.done());
    SECTION("by a close of this end, which still sends what was taken") {
        const result closed = close(p.client);
        l.until(waiting);
        CHECK(waiting.ec() == errc::closing);
        unblock(l, p);
        const result ended = receive(p.server);
        l.until(ended);
        CHECK(ended.ec() == errc::closed_by_peer);
        l.until(closed);
        CHECK(!closed.ec());
    }
    SECTION("by an abort") {
        p.client.abort();
        l.until(waiting);
        CHECK(waiting.ec() == errc::closed);
    }
    SECTION("by the peer's loss") {
        p.server.abort();
        l.until(waiting);
        CHECK(waiting.ec() == errc::closed);
    }
    p.client.abort();
    p.server.abort();
}

TEST_CASE("websocket flow: a transport that takes nothing ends by the write timeout") {
    loop l;
    sansocket::options options = narrow_to_huge();
    options.keepalive.write_timeout = 100ms;
    raw_client_pair p(l, options);
    const result taken = send(p.server, huge());
    const result waiting = send(p.server, "x");
    const result got = receive(p.server);
    l.until(waiting);
    l.until(got);
    CHECK(waiting.ec() == errc::closed);
    CHECK(got.ec() == errc::write_timeout);
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket flow: a second receive at a time is refused, and the first goes on") {
    loop l;
    websocket_pair p(l);
    const result first = receive(p.server);
    const result second = receive(p.server);
    l.until(second);
    CHECK(second.ec() == errc::operation_in_progress);
    CHECK_FALSE(first.done());
    l.until(send(p.client, "for the first"));
    l.until(first);
    CHECK(first.text() == "for the first");
    close_both(l, p);
}

TEST_CASE("websocket flow: a full queue pauses reading, and taking messages resumes it") {
    loop l;
    sansocket::options options;
    options.queue.high_count = 8;
    options.queue.low_count = 2;
    raw_client_pair p(l, options);
    byte_vector all;
    for (int i = 0; i != 1000; ++i) all = all + to_server(opcode::text, bytes(number(i)));
    p.peer.send(all);
    l.until([&] { return !p.server.connection()->wants_read(); });
    l.poll();
    CHECK(p.server.connection()->messages().size() == 8);
    int n = 0;
    SECTION("by async_receive") {
        for (; n != 1000; ++n) {
            const result got = receive(p.server);
            l.until(got);
            REQUIRE(got.text() == number(n));
        }
    }
    SECTION("by try_receive") {
        l.until([&] {
            while (const auto m = p.server.try_receive()) {
                REQUIRE(m->text() == number(n));
                ++n;
            }
            return n == 1000;
        });
    }
    SECTION("by a close, which throws them away") {
        const result closed = close(p.server);
        l.poll();
        p.peer.send(to_server(opcode::close, close_bytes(1000)));
        l.until(closed);
        CHECK(!closed.ec());
        CHECK(p.server.close_info().discarded_bytes != 0);
    }
    p.server.abort();
}

TEST_CASE("websocket flow: a receive cancelled around every message loses none (B70)") {
    loop l;
    websocket_pair p(l);
    int taken = 0;
    int aborted = 0;
    const auto count = [&](const result& r) {
        l.until(r);
        if (r.ec() == asio::error::operation_aborted) {
            ++aborted;
            return;
        }
        REQUIRE(!r.ec());
        REQUIRE(r.text() == number(taken));
        ++taken;
    };
    for (int i = 0; i != 100; ++i) {
        asio::cancellation_signal cancel;
        const result got;
        p.server.async_receive(asio::bind_cancellation_slot(cancel.slot(), got));
        const result sent;
        const std::string text = number(i);
        p.client.async_send_text(text, sent);
        // The signal comes before the bytes, between them and the waking, or behind it.
        const std::size_t messages = i % 3 == 0 ? 0 : 1;
        if (i % 3 != 2)
            l.until(
                [&] { return got.done() || p.server.connection()->messages().size() == messages; });
        else l.poll();
        cancel.emit(asio::cancellation_type::total);
        count(got);
        l.until(sent);
    }
    while (taken != 100) count(receive(p.server));
    CHECK(aborted != 0);
    CHECK(p.server.state() == connection_state::open);
    CHECK(p.server.connection()->messages().size() == 0);
    close_both(l, p);
}
