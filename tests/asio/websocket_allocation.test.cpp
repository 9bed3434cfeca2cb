// What an operation that there is no memory for leaves behind: nothing. And letting go of a websocket
// needs none.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_allocations.hpp"
#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace websocket_allocation_tests {

using namespace support;
using sansocket::message_view;
using sansocket::opcode;

sansocket::options narrow() {
    sansocket::options options;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 16 * 1024;
    options.sending.high_bytes = 64 * 1024;
    options.sending.low_bytes = 16 * 1024;
    return options;
}

void end(loop& l, websocket_pair& p) {
    p.client.abort();
    p.server.abort();
    l.poll();
}

// Calls `one(n)`, with allocation number `n` failing, until none does.
template <class One>
void with_each_failing(One one) {
    std::size_t n = 0;
    while (one(n)) ++n;
    CHECK(n > 1);
}

TEST_CASE("websocket allocation: a receive that could not begin is not in the way of the next") {
    const bool in_pieces = GENERATE(false, true);
    with_each_failing([&](std::size_t n) {
        CAPTURE(in_pieces, n);
        loop l;
        websocket_pair p(l);
        const result first;
        const bool failed = fails_at(n, [&] {
            if (in_pieces)
                p.server.async_receive_some(
                    [first](std::error_code ec, const sansocket::message_piece&) { first(ec); });
            else p.server.async_receive(first);
        });
        l.poll();
        if (failed) {
            CHECK(!first.done());
            const result second = receive(p.server);
            const result sent = send(p.client, "here");
            l.until(second);
            CHECK(second.text() == "here");
        }
        end(l, p);
        return failed;
    });
}

TEST_CASE("websocket allocation: nor one for which a message is here, and that stays") {
    with_each_failing([](std::size_t n) {
        CAPTURE(n);
        loop l;
        websocket_pair p(l);
        const result sent = send(p.client, "here");
        l.until([&] { return p.server.connection()->messages().size() == 1; });
        const result first;
        const bool failed = fails_at(n, [&] { p.server.async_receive(first); });
        l.poll();
        if (failed) {
            const result second = receive(p.server);
            l.until(second);
            CHECK(second.text() == "here");
        }
        end(l, p);
        return failed;
    });
}

TEST_CASE("websocket allocation: nor is a run that could not begin") {
    with_each_failing([](std::size_t n) {
        CAPTURE(n);
        loop l;
        websocket_pair p(l);
        std::vector<std::string> in;
        const auto handler = [&](message_view m) { in.emplace_back(m.text()); };
        const result first;
        const bool failed = fails_at(n, [&] { p.server.async_run(handler, first); });
        l.poll();
        if (failed) {
            CHECK(!first.done());
            const result second;
            p.server.async_run(handler, second);
            const result sent = send(p.client, "here");
            l.until([&] { return !in.empty(); });
            CHECK(in == std::vector<std::string>{"here"});
        }
        end(l, p);
        return failed;
    });
}

// A client that has no room left, for its server does not read.
struct full_pair : websocket_pair {
    explicit full_pair(loop& l) : websocket_pair(l, narrow(), narrow()) {
        while (!client.connection()->output_full()) {
            const result r = send(client, std::string(256 * 1024, 'x'));
            l.poll();
        }
    }
    // The text messages that end in a dot, as far as they have come.
    std::string read_all(loop& l, std::string_view last) {
        std::string out;
        server.async_run(
            [&](message_view m) {
                if (m.text().ends_with('.')) out += m.text();
            },
            [](std::error_code) {});
        l.until([&] { return out.ends_with(last); });
        return out;
    }
};

TEST_CASE("websocket allocation: who could not wait for room keeps nobody waiting") {
    const bool pings = GENERATE(false, true);
    const int timers = GENERATE(range(0, 5));  // with the next, Asio needs more memory
    with_each_failing([&](std::size_t n) {
        CAPTURE(pings, timers, n);
        loop l;
        full_pair p(l);
        std::list<asio::steady_timer> others;
        for (int i = 0; i != timers; ++i)
            others.emplace_back(l.io, 1h).async_wait([](std::error_code) {});
        const result first;
        asio::cancellation_signal signal;
        const auto token = [&] { return asio::bind_cancellation_slot(signal.slot(), first); };
        const bool failed = fails_at(n, [&] {
            if (pings) p.client.async_ping({}, token());
            else p.client.async_send_text(std::string_view{"lost."}, token());
        });
        l.poll();
        if (failed) {
            CHECK(!first.done());
            signal.emit(asio::cancellation_type::total);  // of what is no more
            l.poll();
            const result second = send(p.client, "second.");
            const result third = send(p.client, "third.");
            CHECK(p.read_all(l, "third.") == "second.third.");
            l.until(third);
            CHECK(second.done());
        }
        end(l, p);
        return failed;
    });
}

TEST_CASE("websocket allocation: nor is a part that could not wait in the way of the next") {
    with_each_failing([](std::size_t n) {
        CAPTURE(n);
        loop l;
        websocket_pair p(l, narrow(), narrow());
        const result begun;
        p.client.async_start(message_kind::text, begun);
        l.until(begun);
        const std::string large(std::size_t{8} << 20U, 'x');
        const auto count = [](const result& r) {
            return [r](std::error_code ec, std::size_t) { r(ec); };
        };
        const result first;
        const bool failed = fails_at(n, [&] { p.client.async_append(large, count(first)); });
        l.poll();
        if (failed) {
            const result last;
            p.client.async_finish(std::string_view{"end"}, count(last));
            const result whole = receive(p.server);
            l.until(whole);
            CHECK(whole.text().ends_with("end"));
            l.until(last);
            CHECK(!last.ec());
        }
        end(l, p);
        return failed;
    });
}

// The ways to let go of a websocket.
enum class letting_go { destroyed, aborted, close_cancelled };

// A server that has a message unread, and the peer's Close behind it. Whether it reads decides if what it
// has to say fits into the socket. Whether the allocation was there to fail.
bool goes_without(letting_go how, bool peer_reads, std::size_t n) {
    CAPTURE(how, peer_reads, n);
    loop l;
    l.left_open = true;
    sansocket::options options = narrow();
    options.close_delay = 1h;
    raw_client_pair p(l, options);
    const result closed;
    asio::cancellation_signal signal;
    while (!peer_reads && !p.server.connection()->output_full()) {
        const result r = send(p.server, std::string(256 * 1024, 'x'));
        l.poll();
    }
    if (how == letting_go::close_cancelled)
        p.server.async_close(close_code::normal, {},
                             asio::bind_cancellation_slot(signal.slot(), closed));
    p.peer.send(to_server(opcode::text, bytes("unread")) + to_server(opcode::close, {}));
    l.until([&] { return p.server.close_info().received.has_value(); });
    std::optional<websocket_server> it(std::move(p.server));
    const bool failed = fails_at(n, [&] {
        switch (how) {
        case letting_go::destroyed: it.reset(); break;
        case letting_go::aborted: it->abort(); break;
        case letting_go::close_cancelled:
            signal.emit(asio::cancellation_type::terminal);
            l.poll();
            break;
        }
    });
    l.poll();
    if (it) CHECK(it->state() == connection_state::closed);
    it.reset();
    (void)p.peer.read_to_end();  // there is an end
    return failed;
}

TEST_CASE("websocket allocation: a websocket is let go of without memory") {
    const auto how =
        GENERATE(letting_go::destroyed, letting_go::aborted, letting_go::close_cancelled);
    const bool peer_reads = GENERATE(false, true);
    std::size_t n = 0;
    while (goes_without(how, peer_reads, n)) ++n;
    if (how == letting_go::destroyed && peer_reads) CHECK(n != 0);  // the Close is answered
}

}  // namespace websocket_allocation_tests
