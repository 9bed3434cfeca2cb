// The end of a server, whatever its connections and handlers are doing.
#include <sansocket_asio/server.hpp>

#include "support/asio_server.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include <memory>
#include <string>
#include <vector>

namespace server_stop_tests {

using namespace support;
using sansocket::opcode;
using sansocket_asio::server_request;
using websocket_type = sansocket_asio::server::websocket_type;

const byte_vector goodbye = own_frame<role::server>(opcode::close, close_bytes(1001));

// A client that answers whatever it is sent, until its connection ends.
void converse(websocket_client& ws) {
    ws.async_receive([&ws](std::error_code ec, const sansocket::message&) {
        if (!ec) converse(ws);
    });
}

// Whether the port is taken.
bool can_listen(loop& l, const tcp::endpoint& at) {
    tcp::acceptor acceptor(l.io, at.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    std::error_code ec;
    acceptor.bind(at, ec);
    if (!ec) acceptor.listen(1, ec);
    return !ec;
}

TEST_CASE("server stop: nobody is there, and the port is free at once") {
    loop l;
    served s(l);
    s.listen();
    CHECK_FALSE(can_listen(l, s.at));
    const result stopped, again;
    s.server->async_stop(1h, stopped);
    CHECK_FALSE(stopped.done());
    CHECK(can_listen(l, s.at));
    s.server->async_stop(1h, again);
    l.until(stopped);
    l.until(again);
    CHECK(!stopped.ec());
    CHECK(again.ec() == errc::operation_in_progress);
    CHECK(l.finish() < 1s);
    s.server->async_stop(1h, again);
    l.finish();
    CHECK(again.count() == 2);
    CHECK(again.ec() == errc::operation_in_progress);
}

TEST_CASE(
    "server stop: 1001 to the idle and the busy, 503 to those who ask, the stuck are cut off") {
    loop l;
    sansocket_asio::server_options options;
    options.connection.close_timeout = 1h;
    served s(l, options);
    s.server->on_connection(served::echo);
    s.listen();
    auto idle = s.client();
    converse(*idle);
    auto busy = s.client();
    const std::string large(100'000, 'x');
    for (int i = 0; i != 20; ++i) busy->async_send_text(large, [](std::error_code) {});
    converse(*busy);
    raw_peer stuck = s.open_peer();
    raw_peer asking = s.connect();
    asking.send(bytes(upgrade_request.substr(0, 20)));
    l.until([&] { return s.diary.accepted_count == 4; });

    const result stopped;
    const auto start = std::chrono::steady_clock::now();
    s.server->async_stop(300ms, stopped);
    {
        tcp::socket late(l.io);
        std::error_code refused;
        late.connect(s.at, refused);
        CHECK(refused == asio::error::connection_refused);
    }
    CHECK(asking.read_head().starts_with("HTTP/1.1 503 "));
    asking.socket.close();
    CHECK(stuck.read(4) == goodbye);
    l.until([&] { return s.diary.ends.size() == 2; });
    for (auto* one : {&idle, &busy}) {
        CHECK((*one)->close_info().code() == close_code::going_away);
        CHECK((*one)->close_info().clean);
    }
    CHECK(std::chrono::steady_clock::now() - start < 300ms);
    CHECK_FALSE(stopped.done());
    l.until(stopped);
    CHECK(stopped.ec() == errc::close_timeout);
    CHECK(std::chrono::steady_clock::now() - start >= 300ms);
    CHECK(s.diary.ends.size() == 3);
    CHECK(s.diary.ends[2].cause == errc::close_timeout);
    CHECK(s.diary.failures == std::vector{errc::closed_locally});
    CHECK(s.diary.thrown.empty());
    CHECK(can_listen(l, s.at));
    const auto n = s.server->counters();
    CHECK(n.opening + n.open + n.refusing == 0);
    CHECK(n.closed_with(close_code::going_away) == 2);
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: who is over a limit, or waits for an answer, does not keep it long") {
    loop l;
    sansocket_asio::server_options options;
    options.max_connections = 1;
    served s(l, options);
    asio::steady_timer never(l.io, 1h);
    int asked = 0;
    s.server->on_http([&](const server_request&) -> asio::awaitable<sansocket::http_response> {
        ++asked;
        co_await never.async_wait(asio::use_awaitable);
        co_return sansocket::http_response{};
    });
    s.listen();
    raw_peer waits = s.connect();
    waits.send(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    l.until([&] { return asked == 1; });
    raw_peer over = s.connect();
    l.until([&] { return s.server->counters().refusing == 1; });
    const result stopped;
    s.server->async_stop(200ms, stopped);
    CHECK(waits.read_head().starts_with("HTTP/1.1 503 "));
    CHECK(over.read_head().starts_with("HTTP/1.1 503 "));
    waits.socket.close(), over.socket.close();
    l.until(stopped);
    CHECK(!stopped.ec());  // the coroutine was cancelled when its client had gone
    CHECK(s.diary.thrown.empty());
    CHECK(s.server->counters().opening == 0);
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: handlers are waited for, and coroutines cancelled at the deadline") {
    loop l;
    served s(l);
    asio::steady_timer work(l.io, 1h);
    bool through = false;
    s.server->on_connection([&](websocket_type& ws) -> asio::awaitable<void> {
        try {
            co_await served::echo(ws);
        } catch (const std::system_error&) {}
        co_await work.async_wait(asio::use_awaitable);
        through = true;
    });
    s.listen();
    auto ws = s.client();
    converse(*ws);
    const result stopped;
    s.server->async_stop(300ms, stopped);
    l.until([&] { return ws->state() == connection_state::closed; });
    l.poll();
    CHECK_FALSE(stopped.done());
    CHECK(s.server->connections() == 1);
    SECTION("it ends") {
        work.cancel_one();
        l.until(stopped);
        CHECK(through == false);  // by the exception
        CHECK(!stopped.ec());
    }
    SECTION("it does not") {
        l.until(stopped);
        CHECK_FALSE(through);
        CHECK(stopped.ec() == errc::close_timeout);
    }
    CHECK(s.server->connections() == 0);
    CHECK(s.diary.thrown.empty());
    CHECK(s.diary.ends.size() == 1);
    CHECK(s.diary.ends[0].clean);
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: a handle that is kept is waited for") {
    loop l;
    served s(l);
    sansocket_asio::server::handle kept;
    s.server->on_connection([&](sansocket_asio::server::handle ws) { kept = std::move(ws); });
    s.listen();
    auto ws = s.client();
    converse(*ws);
    const result stopped;
    s.server->async_stop(1h, stopped);
    l.until([&] { return ws->state() == connection_state::closed; });
    l.poll();
    CHECK_FALSE(stopped.done());
    CHECK(kept->close_info().clean);
    kept.reset();
    l.until(stopped);
    CHECK(!stopped.ec());
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: cancelled, it aborts and waits for nobody") {
    loop l;
    served s(l);
    sansocket_asio::server::handle kept;
    s.server->on_connection([&](sansocket_asio::server::handle ws) { kept = std::move(ws); });
    s.listen();
    raw_peer stuck = s.open_peer();
    asio::cancellation_signal cancel;
    const result stopped;
    s.server->async_stop(1h, asio::bind_cancellation_slot(cancel.slot(), stopped));
    const bool closed_first = GENERATE(false, true);
    if (closed_first) {  // and the handler is all that is left
        CHECK(stuck.read(4) == goodbye);
        stuck.send(frame<role::server>(opcode::close, close_bytes(1001)));
        l.until([&] { return kept->close_info().clean; });
    }
    l.poll();
    CHECK_FALSE(stopped.done());
    cancel.emit(asio::cancellation_type::total);
    l.until(stopped);
    CHECK(stopped.ec() == asio::error::operation_aborted);
    CHECK(kept->state() == connection_state::closed);
    kept.reset();
    CHECK(l.finish() < 1s);
    CHECK(s.server->connections() == 0);
}

TEST_CASE("server stop: destroyed without it, the server aborts everything and blocks nothing") {
    loop l;
    served s(l);
    bool through = false;
    s.server->on_connection([&](websocket_type& ws) -> asio::awaitable<void> {
        try {
            co_await served::echo(ws);
        } catch (const std::system_error&) {
            through = true;
        }
    });
    s.listen();
    raw_peer open = s.open_peer(), opening = s.connect();
    l.until([&] { return s.diary.accepted_count == 2; });
    const auto at = s.at;
    const auto start = std::chrono::steady_clock::now();
    s.server.reset();
    CHECK(can_listen(l, at));
    open.read_to_end(), opening.read_to_end();
    CHECK(std::chrono::steady_clock::now() - start < 5s);  // no timeout had to end them
    CHECK(open.read_error == asio::error::connection_reset);
    CHECK(l.finish() < 1s);
    CHECK(through);
    CHECK(s.diary.ends.empty());  // nobody is told any more
}

TEST_CASE("server stop: destroyed while it stops, and the stop completes") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer open = s.open_peer();
    const result stopped;
    s.server->async_stop(1h, stopped);
    s.server.reset();
    l.until(stopped);
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: there may be as much time as there is") {
    loop l;
    served s(l);
    sansocket_asio::server::handle kept;
    s.server->on_connection([&](sansocket_asio::server::handle ws) { kept = std::move(ws); });
    s.listen();
    raw_peer peer = s.open_peer();
    l.until([&] { return kept != nullptr; });
    const result stopped;
    s.server->async_stop((sansocket::duration::max)(), stopped);
    l.until([&] { return kept->state() == connection_state::closing; });
    peer.socket.close();
    l.until([&] { return kept->state() == connection_state::closed; });
    l.poll();
    CHECK_FALSE(stopped.done());  // the handle is kept
    kept.reset();
    l.until(stopped);
    CHECK(!stopped.ec());
    CHECK(l.finish() < 1s);
}

TEST_CASE("server stop: it is on a strand whose context is destroyed first") {
    auto io = std::make_unique<asio::io_context>();
    sansocket_asio::server server(asio::make_strand(*io));
    server.listen(loopback());
    io.reset();
    CHECK(server.counters().accepted == 0);
}

TEST_CASE("server stop: its context is destroyed first") {
    const bool stopping = GENERATE(false, true);
    const bool server_first = GENERATE(false, true);
    sansocket_asio::server::handle kept;
    {
        auto l = std::make_unique<loop>();
        l->left_open = true;
        auto s = std::make_unique<served>(*l);
        const bool coroutine = GENERATE(false, true);
        if (coroutine) s->server->on_connection(served::echo);
        else
            s->server->on_connection(
                [&](sansocket_asio::server::handle ws) { kept = std::move(ws); });
        s->listen();
        auto open = std::make_unique<raw_peer>(s->open_peer());
        auto opening = std::make_unique<raw_peer>(s->connect());
        l->until([&] { return s->diary.accepted_count == 2; });
        const result stopped;
        if (stopping) s->server->async_stop(1h, stopped);
        open.reset(), opening.reset();
        if (server_first) s.reset();
        l.reset();
        if (s) CHECK(s->server->counters().accepted == 2);
        if (s) s->server->for_each([](websocket_type&) { FAIL("there is none"); });
        std::error_code ec;
        if (s) s->server->listen(loopback(), {}, ec);
        if (s) CHECK(ec == errc::closed);
        CHECK_FALSE(stopped.done());
    }
    if (kept) CHECK(kept->state() == connection_state::closed);
    kept.reset();
}

TEST_CASE("server stop: a second one is told so at once, and the first goes on") {
    loop l;
    served s(l);
    s.server->on_connection(served::echo);
    s.listen();
    raw_peer peer = s.open_peer();
    const result first, second;
    s.server->async_stop(5s, first);
    s.server->async_stop(5s, second);
    l.until(second);
    CHECK(second.ec() == errc::operation_in_progress);
    CHECK(!first.done());
    CHECK(peer.read(4) == own_frame<role::server>(sansocket::opcode::close, close_bytes(1001)));
    peer.send(to_server(sansocket::opcode::close, close_bytes(1001)));
    CHECK(peer.read_to_end().empty());
    CHECK(peer.read_error == asio::error::eof);  // not a reset
    l.until(first);
    CHECK(!first.ec());
}

TEST_CASE("server stop: who was taken from the listener meanwhile is refused, and counted") {
    loop l;
    served s(l);
    s.listen();
    raw_peer one = s.connect(), two = s.connect();
    l.until([&] { return s.diary.accepted_count == 1; });  // the other has been taken, and not told
    const result stopped;
    s.server->async_stop(5s, stopped);
    one.socket.close();
    l.until(stopped);
    CHECK(two.read_to_end().empty());
    CHECK(s.diary.accepted_count == 2);
    CHECK(s.diary.refusals == std::vector{sansocket_asio::server_refusal::stopping});
    CHECK(s.server->counters().refused_stopping == 1);
    CHECK(s.server->counters().refused_unanswered == 1);
    CHECK(s.server->counters().accepted == 2);
}

}  // namespace server_stop_tests
