// A message, and the peer's Close behind it in the same segment: what the application sends in answer
// to the message goes out before the Close is answered, whichever way it takes its messages.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <string>
#include <system_error>

namespace last_answers_tests {

using namespace support;
using sansocket::message_view;
using sansocket::opcode;

// How long the Close would wait for nothing: the tests see that it does not.
sansocket::options patient() {
    sansocket::options o;
    o.close_delay = 1h;
    return o;
}

template <role Role>
byte_vector two_messages_and_a_close() {
    return frame<Role>(opcode::text, bytes("one")) + frame<Role>(opcode::text, bytes("two")) +
           peers_close<Role>(4000);
}

// Both echoes, and the Close behind them; a client's frames are masked.
template <role Role, class Peer>
void check_echoes(Peer& peer) {
    constexpr std::size_t mask = Role == role::client ? 4 : 0;
    for (const std::string_view text : {"one", "two"}) {
        const byte_vector echo = peer.read(2 + mask + text.size());
        REQUIRE(echo.size() == 2 + mask + text.size());
        CHECK(echo[0] == std::byte{0x81});
        std::string got;
        for (std::size_t i = 2 + mask; i != echo.size(); ++i) {
            const auto key = mask == 0 ? std::byte{} : echo[2 + (i - 2 - mask) % 4];
            got += static_cast<char>(echo[i] ^ key);
        }
        CHECK(got == text);
    }
    CHECK(read_close<Role>(peer) == 4000);
}

template <role Role, class Stream>
struct opened {
    explicit opened(const sansocket::options& options = patient()) : p(l, at::OI, options) {}
    // What the peer says comes in one segment.
    void bring() { p.peer.send(two_messages_and_a_close<Role>()); }
    void answer_what_is_here() {
        l.poll();
        while (const auto m = p.ws.try_receive())
            p.ws.async_send(sansocket::message{*m}, asio::detached);
    }
    void check_the_end() {
        l.until([&] { return p.ws.state() == connection_state::closed; });
        CHECK(p.ws.close_info().clean);
        CHECK(p.ws.close_info().cause == errc::closed_by_peer);
        CHECK(p.ws.close_info().unsent_bytes == 0);
    }
    loop l;
    in_state<Role, Stream> p;
};

template <class Websocket>
asio::awaitable<void> echo(Websocket& ws) {
    try {
        for (;;) {
            sansocket::message m = co_await ws.async_receive(asio::use_awaitable);
            co_await ws.async_send(std::move(m), asio::use_awaitable);
        }
    } catch (const std::system_error& end) {
        CHECK(end.code() == errc::closed_by_peer);
    }
}

TEST_CASE("last answers: of a run's handler") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        const result ran;
        const auto handler = [&](message_view m) {
            o.p.ws.async_send(sansocket::message{m}, asio::detached);
        };
        o.p.ws.async_run(handler, ran);
        o.bring();
        check_echoes<Role>(o.p.peer);
        o.check_the_end();
        o.l.until(ran);
        CHECK(!ran.ec());
    });
}

TEST_CASE("last answers: of a coroutine that receives and sends in turns") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        asio::co_spawn(o.l.io, echo(o.p.ws), asio::detached);
        o.bring();
        check_echoes<Role>(o.p.peer);
        o.check_the_end();
    });
}

TEST_CASE("last answers: of a loop that takes what is here, and comes back") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        o.bring();
        o.answer_what_is_here();
        CHECK(o.p.ws.state() == connection_state::open);  // what was sent is not written yet
        check_echoes<Role>(o.p.peer);
        o.check_the_end();
    });
}

TEST_CASE("last answers: a peer's Close behind a message that is in work is answered after it") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        const result got = receive(o.p.ws);
        o.p.peer.send(frame<Role>(opcode::text, bytes("one")));
        o.l.until(got);
        o.p.peer.send(frame<Role>(opcode::text, bytes("two")) + peers_close<Role>(4000));
        o.l.poll();
        CHECK(o.p.ws.close_info().received);
        o.l.until(send(o.p.ws, got.text()));
        const result next = receive(o.p.ws);
        o.l.until(next);
        CHECK(next.text() == "two");
        o.l.until(send(o.p.ws, next.text()));
        CHECK(o.p.ws.state() == connection_state::open);
        const result end = receive(o.p.ws);
        check_echoes<Role>(o.p.peer);
        o.l.until(end);
        CHECK(end.ec() == errc::closed_by_peer);
        o.check_the_end();
    });
}

TEST_CASE(
    "last answers: who reads nothing delays the answer to the peer's Close by the close delay") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        sansocket::options options;
        options.close_delay = 50ms;
        opened<Role, Stream> o(options);
        const auto start = std::chrono::steady_clock::now();
        o.bring();
        CHECK(read_close<Role>(o.p.peer) == 4000);
        CHECK(std::chrono::steady_clock::now() - start >= 50ms);
        o.check_the_end();
        CHECK(o.p.ws.try_receive()->text() == "one");
        CHECK(o.p.ws.try_receive()->text() == "two");
        CHECK_FALSE(o.p.ws.try_receive());
    });
}

TEST_CASE("last answers: a close meanwhile is the answer, behind what was sent") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        o.bring();
        o.answer_what_is_here();
        const result closed = close(o.p.ws, theirs);
        check_echoes<Role>(o.p.peer);
        o.l.until(closed);
        CHECK(!closed.ec());
        o.check_the_end();
    });
}

TEST_CASE("last answers: a websocket that is dropped while the peer's Close waits answers that") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        opened<Role, Stream> o;
        o.bring();
        o.l.poll();
        CHECK(o.p.ws.close_info().received);
        { const auto dropped(std::move(o.p.ws)); }
        CHECK(read_close<Role>(o.p.peer) == 4000);
        o.p.peer.socket.close();
        CHECK(o.l.finish() < 2s);
    });
}

}  // namespace last_answers_tests
