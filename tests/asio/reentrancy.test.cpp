// What handlers may do: end or destroy their websocket and others, send where nothing can be sent any
// more, and throw.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/scale.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

struct thrown : std::runtime_error {
    thrown() : std::runtime_error("from a handler") {}
};

// Records, and then acts, as long as there is something to act on.
auto then(const result& r, std::function<void()> act) {
    return [r, act = std::move(act)](std::error_code ec, sansocket::message m = {}) {
        r(ec, std::move(m));
        act();
    };
}

auto throwing(const result& r) {
    return then(r, [] { throw thrown(); });
}

// Runs until the handler of `r` throws, out of the loop.
void until_thrown(loop& l, const result& r) {
    CHECK_THROWS_AS(l.until(r), thrown);
    CHECK(r.done());
}

enum class act { close, abort, destroy };

}  // namespace

TEST_CASE("B07 (adapter): a handler that throws leaves the connection as it is") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        loop l;
        websockets<Stream> p(l);
        const result accepted, opened;
        p.server.async_accept(throwing(accepted));
        p.client.async_handshake({.host = "localhost"}, narrow_sending(), throwing(opened));
        until_thrown(l, accepted);
        until_thrown(l, opened);
        auto& ws = p.template of<Role>();
        auto& other = p.template of<peer_of(Role)>();

        const result sent, waited, pinged, got, closed, ended;
        ws.async_send_text(stuck(), throwing(sent));
        ws.async_send_text("waited", throwing(waited));
        ws.async_ping({}, throwing(pinged));
        other.async_receive(throwing(got));
        int throws = 0;
        for (const result* r : {&sent, &waited, &pinged, &got}) {
            while (!r->done()) {
                CHECK_THROWS_AS(l.until(*r), thrown);
                ++throws;
            }
        }
        CHECK(throws == 4);
        CHECK(got.text() == stuck());
        const result next = receive(other);
        l.until(next);
        CHECK(next.text() == "waited");

        other.async_receive(throwing(ended));
        ws.async_close(close_code::normal, "", throwing(closed));
        while (!closed.done() || !ended.done())
            CHECK_THROWS_AS(l.until([&] { return closed.done() && ended.done(); }), thrown);
        CHECK(!closed.ec());
        CHECK(ended.ec() == errc::closed_by_peer);
        CHECK(l.finish() < 1s);
    });
}

TEST_CASE("B07 (adapter): a handler of read_request, and of one that fails, may throw") {
    loop l;
    websockets<tcp::socket> p(l);
    const result asked, refused, got;
    p.server.async_read_request({}, {}, throwing(asked));
    p.client.async_handshake({.host = "localhost"}, {}, throwing(refused));
    until_thrown(l, asked);
    CHECK(p.server.refuse(403) == errc::ok);
    until_thrown(l, refused);
    CHECK(refused.ec() == errc::upgrade_refused);
    p.server.async_receive(throwing(got));
    until_thrown(l, got);
    CHECK(got.ec() == errc::refused_by_application);
    CHECK(l.finish() < 1s);
}

// Everything waits; whichever completes first destroys the websocket, and the others complete, once.
TEST_CASE("B07 G12 (adapter): the first handler of an end destroys the websocket, in every state") {
    enum class end { abort, close, lost, peers_close };
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const at state : every_state) {
            for (const end how : {end::abort, end::close, end::lost, end::peers_close}) {
                CAPTURE(static_cast<int>(state), static_cast<int>(how));
                loop l;
                l.left_open = true;  // that is what it is about
                sansocket::options options = narrow_sending();
                options.close_timeout = 20ms;
                options.opening_timeout = 200ms * slowness;  // for a request that stays half
                in_state<Role, Stream> p(l, state, options);
                auto ws =
                    std::make_unique<sansocket_asio::websocket<Role, Stream>>(std::move(p.ws));
                std::vector<result> all;
                const auto next = [&] { return then(all.emplace_back(), [&ws] { ws.reset(); }); };
                ws->async_receive(next());
                for (int i = 0; i != 3; ++i) ws->async_send_text("x", next());
                ws->async_ping({}, next());
                if (how == end::abort) ws->abort();
                if (how == end::close) ws->async_close(close_code::normal, "", next());
                if (how == end::close) ws->async_close(close_code::normal, "", next());
                if (how == end::lost) p.peer.socket.close();
                if (how == end::peers_close) p.peer.offer(peers_close<Role>());
                for (const result& r : all) l.until(r);
                CHECK(ws == nullptr);
                if (p.unsent) l.until(*p.unsent);
                if (p.closed) l.until(*p.closed);
                l.until(p.opened);
                l.finish();
                for (const result& r : all) CHECK(r.count() == 1);
            }
        }
    });
}

TEST_CASE("B07 (adapter): a websocket destroyed in the handler of another, in every state") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const at state : every_state) {
            CAPTURE(static_cast<int>(state));
            loop l;
            l.left_open = true;  // that is what it is about
            sansocket::options options = narrow_sending();
            options.close_timeout = 200ms;
            websockets<Stream> others(l);
            others.open(l);
            in_state<Role, Stream> p(l, state, options);
            auto ws = std::make_unique<sansocket_asio::websocket<Role, Stream>>(std::move(p.ws));
            const result got = receive(*ws);
            const result sent = send(*ws, "x");
            const result pinged, trigger;
            ws->async_ping({}, pinged);
            others.server.async_receive(then(trigger, [&ws] { ws.reset(); }));
            l.until(send(others.client, "go"));
            for (const result& r : {trigger, got, sent, pinged}) l.until(r);
            CHECK(!got.ec() == (state == at::CW));  // where a message is there already
            if (state == at::CRE) CHECK(got.ec() == errc::dropped);  // while the answer goes out
            close_both(l, others.client, others.server);
            CHECK(l.finish() < 1s);
            for (const result& r : {trigger, got, sent, pinged}) CHECK(r.count() == 1);
        }
    });
}

TEST_CASE(
    "B07 (adapter): close, abort and destroy inside each handler: open, message, drain, end") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const act what : {act::close, act::abort, act::destroy}) {
            for (int where = 0; where != 4; ++where) {
                CAPTURE(static_cast<int>(what), where);
                loop l;
                l.left_open = what == act::destroy;
                websockets<Stream> p(l);
                auto& other = p.template of<peer_of(Role)>();
                auto ws = std::make_unique<sansocket_asio::websocket<Role, Stream>>(
                    std::move(p.template of<Role>()));
                const result closed, acted, begun, ended;
                const auto now = [&] {
                    if (what == act::close) ws->async_close(close_code::normal, "", closed);
                    if (what == act::abort) ws->abort();
                    if (what == act::destroy) ws.reset();
                };
                const auto begin = [&](auto& one, auto token) {
                    if constexpr (requires { one.async_accept(token); })
                        one.async_accept({}, narrow_sending(), token);
                    else one.async_handshake({.host = "localhost"}, narrow_sending(), token);
                };
                begin(other, begun);
                if (where == 0) {
                    begin(*ws, then(acted, now));
                    l.until(begun);
                } else {
                    const result open;
                    begin(*ws, open);
                    l.until(open);
                    l.until(begun);
                }
                if (where == 1) ws->async_receive(then(acted, now));
                if (where == 1) l.until(send(other, "x"));
                const result first = where == 2 ? send(*ws, stuck()) : result{};
                if (where == 2) ws->async_send_text("drained", then(acted, now));
                if (where == 3) ws->async_receive(then(acted, now));
                if (where == 3) l.until(close(other));
                l.until(acted);
                // The other end reads all that there is, to the end.
                for (;;) {
                    const result got = receive(other);
                    l.until(got);
                    if (got.ec()) break;
                }
                if (what == act::close) l.until(closed);
                if (where == 2) l.until(first);
                CHECK(l.finish() < 1s);
                CHECK(acted.count() == 1);
                CHECK((what == act::destroy) == (ws == nullptr));
                const auto info = other.close_info();
                const bool says_goodbye = what == act::close || where == 3;
                CHECK(info.clean == says_goodbye);
                if (ws) CHECK(ws->state() == connection_state::closed);
            }
        }
    });
}

TEST_CASE("B08 (adapter): in the terminal handler of X, X sends nothing and Y is sent to") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const bool clean : {false, true}) {
            CAPTURE(clean);
            loop l;
            sansocket::options options = narrow_sending();
            if (!clean) options.close_timeout = 100ms;  // in memory nobody can half-close
            in_state<Role, Stream> x(l, at::OI, options);
            websockets<Stream> y(l);
            y.open(l);
            const result ended, to_x, pinged_x, closed_x, to_y;
            x.ws.async_receive(then(ended, [&] {
                x.ws.async_send_text("to x", to_x);
                x.ws.async_ping({}, pinged_x);
                x.ws.async_close(close_code::normal, "", closed_x);
                CHECK(x.ws.try_send(message_kind::text, bytes("x")) == errc::closed);
                y.server.async_send_text("x is gone", to_y);
            }));
            if (clean) x.peer.send(peers_close<Role>());
            else x.peer.send(frame<Role>(opcode{3}, {}));
            for (const result& r : {ended, to_x, pinged_x, closed_x, to_y}) l.until(r);
            CHECK(ended.ec() == (clean ? errc::closed_by_peer : errc::reserved_opcode));
            CHECK(to_x.ec() == errc::closed);
            CHECK(pinged_x.ec() == errc::closed);
            CHECK(closed_x.ec() == (clean ? std::error_code{} : errc::reserved_opcode));
            const result heard = receive(y.client);
            l.until(heard);
            CHECK(heard.text() == "x is gone");
            // A Close, and nothing behind it.
            const byte_vector said = x.peer.read(2);
            const auto length = static_cast<std::size_t>(said[1] & std::byte{0x7f});
            CHECK(said[0] == std::byte{0x88});
            CHECK(x.peer.read(length + (Role == role::client ? 4 : 0)).size() >= 2);
            if (Role == role::client && clean) x.peer.socket.close();
            else CHECK(x.peer.read_to_end().empty());
            x.peer.socket.close();
            close_both(l, y.client, y.server);
            CHECK(l.finish() < 1s);
        }
    });
}
