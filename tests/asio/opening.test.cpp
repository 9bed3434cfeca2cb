// Connections that end while they open, at each byte of the opening handshake, in both roles.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

using namespace support;

namespace {

enum class how { cancelled, closed, aborted, dropped };

// A websocket whose opening handshake has come as far as `bytes` bytes of its peer.
template <role Role, class Stream>
class opening {
public:
    opening(loop& l, std::size_t bytes_come) : opening(l, connected<Stream>(l)) {
        sansocket::options options;
        options.close_timeout = 100ms;
        auto token = asio::bind_cancellation_slot(cancel.slot(), opened);
        byte_vector all;
        if constexpr (Role == role::client) {
            ws->async_handshake({.host = "localhost"}, options, std::move(token));
            all = peer.answer_to(peer.read_head());
        } else {
            ws->async_accept({}, options, std::move(token));
            all = bytes(upgrade_request);
        }
        whole = bytes_come >= all.size();
        all.resize((std::min)(bytes_come, all.size()));
        if (all.empty()) return;
        const std::byte last = all.back();
        all.pop_back();
        peer.send(all);
        l.poll();
        peer.send({last});
        l.poll();
    }

    std::unique_ptr<sansocket_asio::websocket<Role, counted<Stream>>> ws;
    basic_raw_peer<bare<Stream>> peer;
    asio::cancellation_signal cancel;
    const result opened;
    std::shared_ptr<const releases> count;
    bool whole = false;  // all that it needs to open has come

private:
    opening(loop& l, std::pair<bare<Stream>, bare<Stream>> streams)
        : ws(std::make_unique<sansocket_asio::websocket<Role, counted<Stream>>>(
              counted<Stream>(std::move(streams.first)))),
          peer(l, std::move(streams.second)),
          count(ws->next_layer().count()) {}
};

// Ends it in that way behind each byte, and says what came of it.
template <role Role, class Stream>
void ends_behind_each_byte(how end, std::error_code expected) {
    bool whole = false;
    for (std::size_t n = 0; !whole; ++n) {
        CAPTURE(n, static_cast<int>(end));
        loop l;
        opening<Role, Stream> o(l, n);
        whole = o.whole;
        if (whole) {  // it was not opening any more
            l.until(o.opened);
            CHECK(!o.opened.ec());
            o.ws->abort();
        } else {
            REQUIRE_FALSE(o.opened.done());
            const result closed;
            switch (end) {
            case how::cancelled: o.cancel.emit(asio::cancellation_type::total); break;
            case how::closed: o.ws->async_close(close_code::normal, "", closed); break;
            case how::aborted: o.ws->abort(); break;
            case how::dropped: o.ws.reset(); break;
            }
            l.until(o.opened);
            CHECK(o.opened.ec() == expected);
            if (end == how::closed) l.until(closed);
            if (o.ws) CHECK(o.ws->state() == connection_state::closed);
            if (o.ws) CHECK_FALSE(o.ws->connection()->was_opened());
        }
        // What it said: nothing, or a refusal; never a frame.
        if (!whole && Role == role::server && end == how::closed)
            CHECK(o.peer.read_head().starts_with("HTTP/1.1 503 "));
        else if (!whole) CHECK(o.peer.read_to_end().empty());
        o.peer.socket.close();
        CHECK(l.finish() < 1s);
        CHECK(o.opened.count() == 1);
        o.ws.reset();
        CHECK(o.count->released == 1);
        CHECK(o.count->again == 0);
        CHECK(o.count->alive == 0);
    }
}

}  // namespace

TEST_CASE("B75 (adapter): an opening cancelled behind each byte is cancelled, and closed once") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        ends_behind_each_byte<Role, Stream>(how::cancelled, asio::error::operation_aborted);
    });
}

TEST_CASE("B78 (adapter): a close at each stage of the opening ends it, and no frame is sent") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        ends_behind_each_byte<Role, Stream>(how::closed, errc::closed_locally);
    });
}

TEST_CASE("T1/HS T9/HS (adapter): an opening aborted or dropped behind each byte") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        ends_behind_each_byte<Role, Stream>(how::aborted, errc::aborted);
        ends_behind_each_byte<Role, Stream>(how::dropped, errc::dropped);
    });
}

TEST_CASE("B75 (adapter): a connect cancelled at any of its turns closes its socket once") {
    int turns = 0;
    for (bool cancelled = true; cancelled; ++turns) {
        CAPTURE(turns);
        REQUIRE(turns < 1000);
        loop l;
        tcp::acceptor acceptor(l.io, {asio::ip::address_v4::loopback(), 0});
        auto client =
            std::make_unique<sansocket_asio::websocket<role::client, counted<tcp::socket>>>(
                l.io.get_executor());
        const auto count = client->next_layer().count();
        std::optional<websocket_server> server;
        const result accepted, connected;
        acceptor.async_accept([&](std::error_code ec, tcp::socket socket) {
            if (ec) return;
            server.emplace(std::move(socket));
            server->async_accept(accepted);
        });
        asio::cancellation_signal cancel;
        const auto port = std::to_string(acceptor.local_endpoint().port());
        client->async_connect("ws://127.0.0.1:" + port,
                              asio::bind_cancellation_slot(cancel.slot(), connected));
        bool held = false;
        for (int i = 0; i != turns && !connected.done(); ++i) {
            l.io.restart();
            REQUIRE(l.io.run_one_for(patience) == 1);
            held = held || client->next_layer().is_open();
        }
        cancel.emit(asio::cancellation_type::total);
        l.until(connected);
        cancelled = connected.ec() == asio::error::operation_aborted;
        if (!cancelled) client->abort();
        CHECK(client->state() == connection_state::closed);
        acceptor.cancel();
        CHECK(l.finish() < 1s);
        client.reset();
        CHECK(count->released == (held ? 1 : 0));
        CHECK(count->alive == 0);
    }
    CHECK(turns > 3);
}

TEST_CASE("B34 (adapter): a refused upgrade ends with its body, though the server keeps TCP open") {
    over_each_stream([]<class Stream>() {
        for (const cut c : {cut::whole, cut::bytes}) {
            loop l;
            in_state<role::client, Stream> p(l, at::HS, {}, c);
            p.peer.send(bytes("HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\n"
                              "Content-Length: 2\r\n\r\nno"));
            l.until(p.opened);
            CHECK(p.opened.ec() == errc::upgrade_refused);
            CHECK(p.ws.connection()->handshake()->body() == "no");
            CHECK(p.peer.read_to_end().empty());  // the transport's end, and not at a deadline
            CHECK(l.finish() < 1s);
        }
    });
}
