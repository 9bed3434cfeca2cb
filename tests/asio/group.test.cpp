// Websockets that end together.
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <memory>
#include <vector>

using namespace support;
using sansocket::opcode;
using sansocket_asio::group;
using sansocket_asio::shutdown_result;

namespace {

class shutting_down {
public:
    void operator()(std::error_code ec, shutdown_result r) const {
        *state_ = {state_->count + 1, ec, r};
    }
    [[nodiscard]] bool operator()() const { return state_->count == 1; }
    [[nodiscard]] std::error_code ec() const { return state_->ec; }
    [[nodiscard]] std::size_t clean() const { return state_->result.clean; }
    [[nodiscard]] std::size_t failed() const { return state_->result.failed; }

private:
    struct state {
        int count = 0;
        std::error_code ec;
        shutdown_result result;
    };
    std::shared_ptr<state> state_ = std::make_shared<state>();
};

// A peer that answers whatever it is sent, until its connection ends.
void converse(websocket_client& ws) {
    ws.async_receive([&ws](std::error_code ec, const sansocket::message&) {
        if (!ec) converse(ws);
    });
}

const byte_vector goodbye = own_frame<role::server>(opcode::close, close_bytes(1001));

}  // namespace

TEST_CASE("group: it says 1001 to all at once, and cuts off at one deadline who does not answer "
          "(B99)") {
    loop l;
    group all(l.io.get_executor());
    tcp::acceptor acceptor(l.io, {asio::ip::address_v4::loopback(), 0});
    std::vector<std::unique_ptr<websocket_pair>> good;
    for (int i = 0; i != 40; ++i) {
        good.push_back(std::make_unique<websocket_pair>(l));
        converse(good.back()->client);
        REQUIRE(all.join(good.back()->server));
    }
    std::vector<std::unique_ptr<in_state<role::server>>> stuck;
    std::vector<result> waiting;
    sansocket::options options = narrow_sending();
    options.queue = {.high_count = 4, .low_count = 2};
    for (int i = 0; i != 60; ++i) {
        const at state = i < 20 ? at::OQ : i < 40 ? at::OM : at::OI;
        auto& p = *stuck.emplace_back(std::make_unique<in_state<role::server>>(l, state, options));
        REQUIRE(all.join(p.ws));
        if (state == at::OQ) waiting.push_back(send(p.ws, "behind"));
        if (state == at::OM) waiting.push_back(receive(p.ws));
        for (int n = 0; state == at::OI && n != 10; ++n) p.feed(to_server(opcode::text, {}));
        if (state == at::OI) REQUIRE_FALSE(p.ws.connection()->wants_read());  // paused
    }
    tcp::socket late(l.io);
    late.connect(acceptor.local_endpoint());
    l.poll();
    const shutting_down done;
    const auto start = std::chrono::steady_clock::now();
    all.async_shutdown(2s, done);
    CHECK_FALSE(done());
    {
        // As the echo server does: who has come meanwhile is let go, and nobody comes any more.
        websocket_server newcomer(acceptor.accept());
        CHECK_FALSE(all.join(newcomer));
    }
    const auto port = acceptor.local_endpoint();
    acceptor.close();
    std::error_code refused;
    tcp::socket(l.io).connect(port, refused);
    CHECK(refused == asio::error::connection_refused);
    raw_peer upgrading(l, std::move(late));
    upgrading.offer(bytes(upgrade_request));
    CHECK(upgrading.read_to_end().empty());

    l.until([&] {
        return std::all_of(good.begin(), good.end(), [](const auto& p) {
            return p->client.state() == connection_state::closed;
        });
    });
    for (const auto& p : stuck) CHECK(p->ws.state() == connection_state::closing);
    CHECK(std::chrono::steady_clock::now() - start < 2s);
    l.until(done);
    CHECK(std::chrono::steady_clock::now() - start >= 2s);
    CHECK(done.ec() == errc::close_timeout);
    CHECK(done.clean() == 40);
    CHECK(done.failed() == 60);
    for (const auto& p : good) CHECK(p->client.close_info().code() == close_code::going_away);
    for (const auto& p : good) CHECK(p->server.close_info().clean);
    for (const auto& p : stuck) {
        CHECK(p->ws.close_info().cause == errc::close_timeout);
        CHECK(p->ws.close_info().sent->code == close_code::going_away);
    }
    CHECK(stuck[20]->peer.read(4) == goodbye);
    CHECK(stuck[40]->peer.read(4) == goodbye);
    for (const auto& r : waiting) l.until(r);
    good.clear();
    CHECK(l.finish() < 1s);
}

TEST_CASE(
    "T12/HS T12/OI T12/OM T12/OQ T12/CLO T12/CRE T12/CD (adapter): a loop that stops behind a "
    "shutdown") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        loop l;
        group all(l.io.get_executor());
        std::vector<std::unique_ptr<in_state<Role, Stream>>> members;
        for (const at state : nothing_unread) {
            auto& one = *members.emplace_back(std::make_unique<in_state<Role, Stream>>(l, state));
            REQUIRE(all.join(one.ws));
        }
        const shutting_down done;
        all.async_shutdown(150ms, done);
        for (const bool begun : {false, true}) {
            if (begun) l.poll();  // now the members were told
            l.io.stop();
            CHECK(l.io.run_for(1s) == 0);
            CHECK_FALSE(done());
            for (const auto& one : members) {
                (void)one->ws.close_info();
                (void)one->ws.connection()->explain();
            }
        }
        CHECK(members[0]->ws.connection()->was_opened() == false);
        for (const std::size_t open : {1U, 2U, 3U}) {
            CHECK(members[open]->ws.state() == connection_state::closing);
            CHECK(members[open]->ws.close_info().sent->code == close_code::going_away);
        }
        CHECK(members[4]->ws.close_info().sent->reason.empty());
        CHECK(static_cast<unsigned>(members[5]->ws.close_info().sent->code) == 4000);
        l.until(done);
        CHECK(done.clean() + done.failed() == nothing_unread.size());
        for (const auto& one : members) CHECK(one->ws.state() == connection_state::closed);
        CHECK(l.finish() < 1s);
    });
}

TEST_CASE("group: members in every state, and nobody joins any more") {
    loop l;
    group all(l.io.get_executor());
    websocket_server idle(l.io);  // never begun
    websocket_pair open(l);
    raw_client_pair closing(l), gone(l), dropped(l);
    tcp_pair sockets(l.io);
    raw_peer newcomer(l, std::move(sockets.a));
    websocket_server opening(std::move(sockets.b));  // has no request yet
    tcp_pair more(l.io);
    websocket_client asking(std::move(more.a));  // has no answer yet
    auto moved = std::make_unique<raw_client_pair>(l);
    for (auto* ws : {&idle, &open.server, &closing.server, &gone.server, &opening, &moved->server})
        REQUIRE(all.join(*ws));
    REQUIRE(all.join(asking));
    {
        websocket_server destroyed(std::move(dropped.server));
        REQUIRE(all.join(destroyed));
        destroyed.abort();
    }
    gone.server.abort();
    converse(open.client);
    const result closed = close(closing.server, close_code::normal);
    const result accepted;
    opening.async_accept(accepted);
    const result asked;
    asking.async_handshake({.host = "localhost"}, {}, asked);
    websocket_server other(std::move(moved->server));
    l.poll();

    const shutting_down done;
    all.async_shutdown(200ms, close_code::service_restart, "later", done);
    CHECK_FALSE(all.join(idle));
    const shutting_down again;
    all.async_shutdown(200ms, again);
    l.until(again);
    CHECK(again.ec() == errc::operation_in_progress);
    CHECK(newcomer.read_head().starts_with("HTTP/1.1 503 "));
    newcomer.socket.close();
    l.until(accepted);
    l.until(asked);
    CHECK(asked.ec() == errc::closed_locally);
    l.until(done);
    l.until(closed);
    CHECK(done.ec() == errc::close_timeout);
    CHECK(closing.server.close_info().sent->code == close_code::normal);
    CHECK(other.close_info().sent->code == close_code::service_restart);
    CHECK(other.close_info().sent->reason == "later");
    CHECK(done.clean() == 2);   // idle and open
    CHECK(done.failed() == 5);  // closing, gone, opening, asking, other
    CHECK(l.finish() < 1s);
}

TEST_CASE("group: nobody in it, wrong arguments, and a member destroyed meanwhile") {
    loop l;
    group empty(l.io.get_executor());
    const shutting_down wrong;
    empty.async_shutdown(1s, close_code::abnormal, "", wrong);
    l.until(wrong);
    CHECK(wrong.ec() == errc::invalid_close_code);
    const shutting_down done;
    empty.async_shutdown(1h, done);
    CHECK_FALSE(done());
    l.until(done);
    CHECK(!done.ec());
    CHECK(done.clean() + done.failed() == 0);

    group one(l.io.get_executor());
    auto p = std::make_unique<raw_client_pair>(l);
    REQUIRE(one.join(p->server));
    const shutting_down waits;
    one.async_shutdown(1h, waits);
    l.until([&] { return p->server.state() == connection_state::closing; });
    p->server.abort();
    p.reset();
    l.until(waits);
    CHECK(!waits.ec());
    CHECK(waits.failed() == 1);
    CHECK(l.finish() < 1s);
}

TEST_CASE("group: a shutdown that is cancelled aborts its members") {
    loop l;
    auto all = std::make_unique<group>(l.io.get_executor());
    raw_client_pair p(l);
    REQUIRE(all->join(p.server));
    asio::cancellation_signal cancel;
    const shutting_down done;
    all->async_shutdown(1h, asio::bind_cancellation_slot(cancel.slot(), done));
    all.reset();  // the shutdown does not need it
    l.poll();
    CHECK(p.server.state() == connection_state::closing);
    cancel.emit(asio::cancellation_type::total);
    l.until(done);
    CHECK(done.ec() == asio::error::operation_aborted);
    CHECK(p.server.state() == connection_state::closed);
    CHECK(l.finish() < 1s);
}

TEST_CASE("group: members whose executors never run do not keep it waiting (B99)") {
    for (const bool destroyed : {false, true}) {
        CAPTURE(destroyed);
        loop l;
        auto other = std::make_unique<loop>();
        other->left_open = true;
        group all(l.io.get_executor());
        auto good = std::make_unique<websocket_pair>(l);
        converse(good->client);
        auto still = std::make_unique<websocket_pair>(*other);
        REQUIRE(all.join(good->server));
        REQUIRE(all.join(still->server));
        const shutting_down done;
        const auto start = std::chrono::steady_clock::now();
        all.async_shutdown(100ms, done);
        l.poll();
        if (destroyed) {
            still.reset();
            other.reset();  // what it was asked goes with it, and that counts
        }
        l.until(done);
        CHECK(done.clean() == 1);
        CHECK(done.failed() == 1);
        const auto took = std::chrono::steady_clock::now() - start;
        if (destroyed) CHECK(!done.ec());
        if (destroyed) CHECK(took < 1s);
        if (!destroyed) CHECK(done.ec() == errc::close_timeout);
        if (!destroyed) CHECK(took >= 1100ms);
        good.reset();
        l.finish();
    }
}
