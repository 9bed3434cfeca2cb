// Messages in parts: sent part by part, and received as they come.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace support;
using sansocket::message_piece;
using sansocket::opcode;

namespace streaming_tests {

struct taken {
    bool done = false;
    std::error_code ec;
    std::size_t bytes = 0;
    auto handler() {
        return [this](std::error_code e, std::size_t n) { done = true, ec = e, bytes = n; };
    }
};

struct piece {
    bool done = false;
    std::error_code ec;
    message_piece value;
    auto handler() {
        return [this](std::error_code e, message_piece p) {
            done = true, ec = e, value = std::move(p);
        };
    }
};

template <class Websocket>
piece receive_some(loop& l, Websocket& ws) {
    piece p;
    ws.async_receive_some(p.handler());
    l.until([&] { return p.done; });
    return p;
}

sansocket::options narrow() {
    sansocket::options options;
    options.sending.high_bytes = 128 * 1024;
    options.sending.low_bytes = 32 * 1024;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 16 * 1024;
    options.messages.size = 64 * 1024 * 1024;
    return options;
}

TEST_CASE("streaming: a message larger than every buffer passes in parts, memory bounded") {
    loop l;
    websocket_pair p(l, narrow(), narrow());
    const std::string part(20 * 1024 * 1024, 'p');
    piece early;
    p.server.async_receive_some(early.handler());
    const result started;
    p.client.async_start(message_kind::binary, started);
    taken sent, finished;
    p.client.async_append(part, sent.handler());
    std::string got;
    std::size_t most = 0;
    bool first = true;
    const auto receive_one = [&] {
        const auto in = receive_some(l, p.server);
        REQUIRE(!in.ec);
        CHECK(in.value.first == first);
        CHECK(in.value.kind == message_kind::binary);
        first = false;
        got += in.value.data;
        most = (std::max)({most, p.client.connection()->explain().memory,
                           p.server.connection()->explain().memory});
        return in.value.last;
    };
    l.poll();
    got = early.value.data;
    first = false;
    CHECK_FALSE(sent.done);
    CHECK(p.server.connection()->explain().paused);
    while (!sent.done) CHECK_FALSE(receive_one());
    CHECK(!sent.ec);
    CHECK(sent.bytes == part.size());
    p.client.async_finish("end", finished.handler());
    while (!receive_one()) {}
    CHECK(finished.done);
    CHECK(got == part + "end");
    CHECK(most < 1024 * 1024);
    CHECK(started.done());
    close_both(l, p);
}

TEST_CASE("streaming: other messages wait for the end of one in parts") {
    loop l;
    websocket_pair p(l);
    const result started, again;
    p.client.async_start(message_kind::text, started);
    l.until(started);
    CHECK(!started.ec());
    const result waiting = send(p.client, "second");
    p.client.async_start(message_kind::text, again);
    CHECK(p.client.try_send(message_kind::text, {}) == errc::backpressure);
    CHECK(p.client.post({message_kind::text, "posted"}, sansocket_asio::when_full::close) ==
          errc::ok);
    const auto handle = p.client.sender();
    CHECK(handle.send_text("handed") == errc::ok);
    taken a, b, c;
    p.client.async_append("fir", a.handler());
    l.until([&] { return a.done; });
    l.poll();
    CHECK_FALSE(waiting.done());
    p.client.async_finish("st", b.handler());
    l.until(waiting);
    l.until(again);
    CHECK(!again.ec());
    p.client.async_finish("third", c.handler());
    for (const char* expected : {"first", "second", "third", "posted", "handed"}) {
        const result got = receive(p.server);
        l.until(got);
        CHECK(got.text() == expected);
    }
    close_both(l, p);
}

TEST_CASE("streaming: an append that is cancelled while it waits leaves the message in progress") {
    loop l;
    websocket_pair p(l, narrow(), narrow());
    const result started;
    p.client.async_start(message_kind::binary, started);
    const std::string part(20 * 1024 * 1024, 'p');
    taken sent, second, finished;
    asio::cancellation_signal cancel;
    p.client.async_append(part, asio::bind_cancellation_slot(cancel.slot(), sent.handler()));
    l.until([&] { return p.server.connection()->messages().memory() > 64 * 1024; });
    p.client.async_append(part, second.handler());
    l.until([&] { return second.done; });
    CHECK(second.ec == errc::operation_in_progress);
    CHECK(second.bytes == 0);
    cancel.emit(asio::cancellation_type::total);
    l.until([&] { return sent.done; });
    CHECK(sent.ec == asio::error::operation_aborted);
    CHECK(sent.bytes > 0);
    CHECK(sent.bytes < part.size());
    p.client.async_finish("end", finished.handler());
    std::string got;
    for (bool last = false; !last;) {
        const auto in = receive_some(l, p.server);
        REQUIRE(!in.ec);
        got += in.value.data;
        last = in.value.last;
    }
    CHECK(got == part.substr(0, sent.bytes) + "end");
    close_both(l, p);
}

TEST_CASE("streaming: what cannot be appended is said by name") {
    loop l;
    websocket_pair p(l);
    taken none, wrong;
    p.client.async_append("x", none.handler());
    l.until([&] { return none.done; });
    CHECK(none.ec == errc::no_message_in_progress);
    const result started;
    p.client.async_start(message_kind::text, started);
    p.client.async_append("\xff", wrong.handler());
    l.until([&] { return wrong.done; });
    CHECK(wrong.ec == errc::text_not_utf8);
    p.client.abort();
    taken late;
    p.client.async_finish("x", late.handler());
    l.until([&] { return late.done; });
    CHECK(late.ec == errc::closed);
    websocket_client idle(l.io);
    taken early;
    idle.async_append("x", early.handler());
    l.until([&] { return early.done; });
    CHECK(early.ec == errc::not_open);
    p.server.abort();
}

TEST_CASE("streaming: a whole message goes in frames, with a Ping between") {
    loop l;
    sansocket::options options;
    options.sending.fragment_bytes = 1024 * 1024;
    options.sending.high_bytes = 64 * 1024 * 1024;
    raw_client_pair p(l, options);
    const byte_vector payload(16 * 1024 * 1024, std::byte{1});
    const result sent, pinged;
    p.server.async_send_fragmented(message_kind::binary, payload, sent);
    l.until(sent);
    p.server.async_ping({}, pinged);
    l.until(pinged);
    const std::size_t frame_size = 10 + 1024 * 1024;
    int before_ping = 0;
    for (int i = 0; i != 16; ++i) {
        auto head = p.peer.read(2);
        if (head == to_client(opcode::ping, {})) {
            before_ping = i;
            head = p.peer.read(2);
        }
        CHECK(head == hex(i == 0 ? "027f" : i == 15 ? "807f" : "007f"));
        p.peer.read(frame_size - 2);
    }
    CHECK(before_ping > 0);
    p.server.abort();
}

TEST_CASE("streaming: pieces come as the frames do, then the end") {
    loop l;
    raw_client_pair p(l);
    p.peer.send(frame<role::server>(opcode::text, bytes("one"), false));
    auto in = receive_some(l, p.server);
    CHECK(in.value.data == "one");
    CHECK((in.value.first && !in.value.last));
    piece waiting;
    asio::cancellation_signal cancel;
    p.server.async_receive_some(asio::bind_cancellation_slot(cancel.slot(), waiting.handler()));
    const result meanwhile = receive(p.server);
    l.until(meanwhile);
    CHECK(meanwhile.ec() == errc::operation_in_progress);
    CHECK_FALSE(p.server.try_receive());
    cancel.emit(asio::cancellation_type::total);
    l.until([&] { return waiting.done; });
    CHECK(waiting.ec == asio::error::operation_aborted);
    p.peer.send(frame<role::server>(opcode::continuation, bytes("two")));
    in = receive_some(l, p.server);
    CHECK(in.value.data == "two");
    CHECK((!in.value.first && in.value.last));
    p.peer.send(to_server(opcode::binary, bytes("whole")));
    const result whole = receive(p.server);
    l.until(whole);
    CHECK(whole.text() == "whole");
    p.peer.send(frame<role::server>(opcode::text, bytes("cut"), false));
    in = receive_some(l, p.server);
    CHECK(in.value.data == "cut");
    p.peer.socket.close();
    in = receive_some(l, p.server);
    CHECK(in.ec == errc::end_of_stream);
    CHECK(p.server.close_info().incomplete_message);
}

}  // namespace streaming_tests
