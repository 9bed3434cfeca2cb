// async_run: every message to a handler, what it may do, and how that ends.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/counting_stream.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace support;
using sansocket::message_view;
using sansocket::opcode;

namespace run_tests {

// What a run handed over.
struct log {
    std::vector<std::string> texts;
    auto handler() {
        return [this](message_view m) { texts.emplace_back(m.text()); };
    }
};

byte_vector frames(int first, int last) {
    byte_vector all;
    for (int i = first; i != last; ++i) {
        const auto one = to_server(opcode::text, bytes(std::to_string(i)));
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

sansocket::options small_queues() {
    sansocket::options options;
    options.sending.high_bytes = 64 * 1024;
    options.sending.low_bytes = 16 * 1024;
    options.queue.high_bytes = 64 * 1024;
    options.queue.low_bytes = 16 * 1024;
    return options;
}

TEST_CASE("run: every message is handed over in order, then the end is told") {
    loop l;
    raw_client_pair p(l);
    log got;
    const result ran;
    p.peer.send(frames(0, 3));  // before the run
    l.until([&] { return p.server.connection()->messages().size() == 3; });
    p.server.async_run(got.handler(), ran);
    CHECK(got.texts.empty());  // never inside the function that starts it
    p.peer.send(frames(3, 100));
    p.peer.send(to_server(opcode::close, hex("03e8")));
    l.until(ran);
    CHECK(!ran.ec());
    REQUIRE(got.texts.size() == 100);
    for (int i = 0; i != 100; ++i) CHECK(got.texts[std::size_t(i)] == std::to_string(i));
}

TEST_CASE("run: completes with the cause where the connection is lost, behind the messages") {
    loop l;
    raw_client_pair p(l);
    log got;
    const result ran;
    p.server.async_run(got.handler(), ran);
    p.peer.send(frames(0, 5));
    p.peer.socket.close();
    l.until(ran);
    CHECK(ran.ec() == errc::end_of_stream);
    CHECK(got.texts.size() == 5);
}

TEST_CASE("run: before the connection is open and after its end") {
    loop l;
    log got;
    const result too_early;
    websocket_server idle(l.io);
    idle.async_run(got.handler(), too_early);
    l.until(too_early);
    CHECK(too_early.ec() == errc::not_open);
    websocket_pair p(l);
    close_both(l, p);
    const result too_late;
    p.server.async_run(got.handler(), too_late);
    l.until(too_late);
    CHECK(!too_late.ec());
}

TEST_CASE("run: nothing else takes messages meanwhile") {
    loop l;
    websocket_pair p(l);
    log got;
    const result ran, again;
    p.server.async_run(got.handler(), ran);
    const result received = receive(p.server);
    p.server.async_run(got.handler(), again);
    l.until(received);
    l.until(again);
    CHECK(received.ec() == errc::operation_in_progress);
    CHECK(again.ec() == errc::operation_in_progress);
    l.until(send(p.client, "for the run"));
    CHECK_FALSE(p.server.try_receive());
    l.until([&] { return !got.texts.empty(); });
    close_both(l, p);
    l.until(ran);
    CHECK(!ran.ec());
}

TEST_CASE("run: what answers one read goes out in one write") {
    loop l;
    tcp_pair sockets(l.io);
    int writes = 0;
    raw_peer peer(l, std::move(sockets.a));
    sansocket_asio::websocket<role::server, counting_stream> server(
        counting_stream(std::move(sockets.b), writes));
    const result accepted, ran;
    server.async_accept(accepted);
    peer.send(bytes(upgrade_request));
    peer.read_head();
    l.until(accepted);
    int handed = 0;
    server.async_run(
        [&](message_view m) {
            ++handed;
            CHECK(server.try_send(m.kind, m.bytes) == errc::ok);
        },
        ran);
    l.poll();
    writes = 0;
    peer.send(frames(100, 300));  // one read
    CHECK(text_of(peer.read(200 * 5)).ends_with("299"));
    CHECK(handed == 200);
    CHECK(writes == 1);
    server.abort();
    l.until(ran);
    CHECK(ran.ec() == errc::aborted);
}

TEST_CASE("run: an echo to a peer that does not read stays bounded and loses nothing") {
    loop l;
    sansocket::options of_client;
    of_client.sending.high_bytes = std::size_t{64} << 20U;
    of_client.sending.high_count = 1'000'000;
    websocket_pair p(l, of_client, small_queues());
    const result ran;
    std::size_t most = 0;
    p.server.async_run(
        [&](message_view m) {
            CHECK(p.server.try_send(m.kind, m.bytes) == errc::ok);
            most = (std::max)(most, p.server.connection()->output_bytes());
        },
        ran);
    const std::string text(1000, 'e');
    constexpr int count = 50000;
    for (int i = 0; i != count; ++i)
        REQUIRE(p.client.try_send(message_kind::text, std::as_bytes(std::span{text})) == errc::ok);
    l.until([&] {
        return p.server.connection()->explain().paused && p.server.connection()->output_full();
    });
    for (int i = 0; i != count; ++i) {
        const result got = receive(p.client);
        l.until(got);
        REQUIRE(got.text() == text);
    }
    CHECK(most <= 64 * 1024 + 1004);
    close_both(l, p);
    l.until(ran);
}

TEST_CASE("run: one that need not wait for room is handed all") {
    loop l;
    raw_client_pair p(l, small_queues());
    const result ran;
    int handed = 0, refused = 0;
    sansocket_asio::run_options how;
    how.wait_for_room = false;
    const std::string large(64 * 1024, 'x');
    p.server.async_run(
        [&](message_view) {
            ++handed;
            if (p.server.try_send(message_kind::text, std::as_bytes(std::span{large})) != errc::ok)
                ++refused;
        },
        how, ran);
    p.peer.send(frames(0, 200));
    l.until([&] { return handed == 200; });
    CHECK(refused > 0);
    p.server.abort();
    l.until(ran);
}

TEST_CASE("run: sends that wait hold it up, and it goes on behind them") {
    loop l;
    auto narrow = small_queues();
    narrow.sending.high_bytes = 1;
    narrow.sending.low_bytes = 0;
    websocket_pair p(l, {}, narrow);
    const result ran;
    int sent = 0;
    p.server.async_run(
        [&](message_view m) {
            p.server.async_send(sansocket::message(m), [&](std::error_code ec) { sent += !ec; });
        },
        ran);
    for (int i = 0; i != 300; ++i) l.until(send(p.client, std::to_string(i)));
    for (int i = 0; i != 300; ++i) {
        const result got = receive(p.client);
        l.until(got);
        REQUIRE(got.text() == std::to_string(i));
    }
    l.until([&] { return sent == 300; });
    close_both(l, p);
    l.until(ran);
}

TEST_CASE("run: cancelled, it leaves the connection usable and loses nothing") {
    loop l;
    raw_client_pair p(l);
    for (int round = 0; round != 50; ++round) {
        log got;
        const result ran;
        asio::cancellation_signal cancel;
        p.server.async_run(got.handler(), asio::bind_cancellation_slot(cancel.slot(), ran));
        p.peer.send(frames(0, 20));
        for (int i = 0; i != round % 7; ++i) l.io.restart(), l.io.poll_one();
        cancel.emit(asio::cancellation_type::total);
        l.until(ran);
        CHECK(ran.ec() == asio::error::operation_aborted);
        for (auto i = got.texts.size(); i != 20; ++i) {
            const result next = receive(p.server);
            l.until(next);
            REQUIRE(next.text() == std::to_string(i));
        }
    }
    p.server.abort();
}

TEST_CASE("run: the handler may close, abort or destroy the websocket") {
    for (int what = 0; what != 3; ++what) {
        CAPTURE(what);
        loop l;
        l.left_open = what == 2;
        tcp_pair sockets(l.io);
        raw_peer peer(l, std::move(sockets.a));
        auto server = std::make_unique<websocket_server>(std::move(sockets.b));
        const result accepted, ran, closed;
        server->async_accept(accepted);
        peer.send(bytes(upgrade_request));
        peer.read_head();
        l.until(accepted);
        int handed = 0;
        server->async_run(
            [&](message_view) {
                if (++handed != 3) return;
                if (what == 0) server->async_close(close_code::normal, {}, closed);
                if (what == 1) server->abort();
                if (what == 2) server.reset();
            },
            ran);
        peer.send(frames(0, 10));
        if (what == 0) {
            CHECK(peer.read(4) == to_client(opcode::close, hex("03e8")));
            peer.send(to_server(opcode::close, hex("03e8")));
            l.until(closed);
        }
        l.until(ran);
        CHECK(handed == 3);
        if (what == 0) CHECK(!ran.ec());
        if (what == 1) CHECK(ran.ec() == errc::aborted);
        if (what == 2) CHECK(ran.ec() == errc::dropped);
    }
}

TEST_CASE("run: an exception closes with 1011 and leaves the executor's run") {
    loop l;
    sansocket::options options;
    options.after_close = sansocket::after_close::deliver;
    raw_client_pair p(l, options);
    int handed = 0;
    const result ran;
    p.server.async_run(
        [&](message_view) {
            if (++handed == 2) throw std::runtime_error("by the handler");
        },
        ran);
    p.peer.send(frames(0, 10));
    bool thrown = false;
    try {
        l.until([&] { return handed == 2 && ran.done(); });
    } catch (const std::runtime_error& e) {
        thrown = std::string{e.what()} == "by the handler";
    }
    CHECK(thrown);
    CHECK_FALSE(ran.done());
    CHECK(p.peer.read(4) == to_client(opcode::close, hex("03f3")));
    p.peer.send(to_server(opcode::close, hex("03f3")));
    l.until(ran);
    CHECK(ran.ec() == errc::closed_locally);
    CHECK(handed == 2);
}

TEST_CASE("run: a handler that holds the websocket lets go of it at the end, or with the context") {
    for (const bool runs_on : {false, true}) {
        std::weak_ptr<int> watch;
        {
            loop l;
            l.left_open = runs_on;
            tcp_pair sockets(l.io);
            raw_peer peer(l, std::move(sockets.a));
            auto server = std::make_shared<websocket_server>(std::move(sockets.b));
            const result accepted, ran;
            server->async_accept(accepted);
            peer.send(bytes(upgrade_request));
            peer.read_head();
            l.until(accepted);
            auto held = std::make_shared<int>(1);
            watch = held;
            server->async_run([server, held](message_view) {}, ran);
            held.reset();
            l.poll();
            CHECK_FALSE(watch.expired());
            if (!runs_on) {
                server->abort();
                server.reset();
                l.until(ran);
                l.poll();
                CHECK(watch.expired());
            }
        }
        CHECK(watch.expired());
    }
}

TEST_CASE("run: takes a move-only handler and a coroutine's token") {
    loop l;
    websocket_pair p(l);
    int handed = 0;
    bool ended = false;
    asio::co_spawn(
        l.io,
        [&]() -> asio::awaitable<void> {
            auto owned = std::make_unique<int>(1);
            auto handler = [&handed, owned = std::move(owned)](message_view) { handed += *owned; };
            co_await p.server.async_run(std::move(handler), asio::use_awaitable);
            ended = true;
        },
        asio::detached);
    l.until(send(p.client, "one"));
    l.until([&] { return handed == 1; });
    close_both(l, p);
    l.until([&] { return ended; });
}

}  // namespace run_tests
