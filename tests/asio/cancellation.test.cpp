// Each operation cancelled at every point at which it can be suspended: by each type, over a stream
// that can be waited for and one that cannot, its handler at home and elsewhere.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"

#include <asio/any_io_executor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <optional>
#include <string>
#include <string_view>

using namespace support;

namespace {

using asio::cancellation_type;

// Where the handler runs.
enum class home { loop, strand, context };

// An operation, and when and how it is cancelled.
class attempt {
public:
    attempt(int turns, cancellation_type type, home where)
        : turns_(turns), type_(type), where_(where) {}

    auto token() {
        return asio::bind_cancellation_slot(signal_.slot(), asio::bind_executor(executor(), r_));
    }
    /// Lets the loop take its turns, cancels, and waits for the end of the operation.
    ///
    /// @return whether it was cancelled; else it has completed
    bool cancel() {
        for (int i = 0; i != turns_ && !done(); ++i) {
            l.io.restart();
            REQUIRE(l.io.run_one_for(patience) == 1);
        }
        signal_.emit(type_);
        l.until([this] { return done(); });
        if (r_.ec() == asio::error::operation_aborted) return true;
        CHECK(!r_.ec());
        return false;
    }
    [[nodiscard]] const std::string& text() const { return r_.text(); }

    loop l;

private:
    asio::any_io_executor executor() {
        switch (where_) {
        case home::loop: break;
        case home::strand: return asio::make_strand(l.io);
        case home::context: return elsewhere_.get_executor();
        }
        return l.io.get_executor();
    }
    bool done() {
        elsewhere_.restart();
        elsewhere_.poll();
        return r_.done();
    }

    asio::io_context elsewhere_{1};
    asio::cancellation_signal signal_;
    const result r_;
    int turns_;
    cancellation_type type_;
    home where_;
};

// Runs `test` with a cancellation before the first turn, after it, and so on, until the operation has
// completed before it is cancelled.
template <class Test>
void at_every_point(Test test) {
    for (const auto type :
         {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total}) {
        for (const home where : {home::loop, home::strand, home::context}) {
            int turns = 0;
            for (bool cancelled = true; cancelled; ++turns) {
                CAPTURE(static_cast<int>(type), static_cast<int>(where), turns);
                REQUIRE(turns < 1000);
                attempt a(turns, type, where);
                cancelled = test(a);
            }
            CHECK(turns > 1);
        }
    }
}

template <class Websocket>
void receives(loop& l, Websocket& ws, std::string_view text) {
    const result got = receive(ws);
    l.until(got);
    CHECK(got.text() == text);
}

// The connection goes on as if nothing had happened.
template <class First, class Second>
void goes_on(loop& l, First& first, Second& second) {
    for (const std::string_view text : {"there", "again"}) {
        l.until(send(first, text));
        receives(l, second, text);
        l.until(send(second, text));
        receives(l, first, text);
    }
    CHECK_FALSE(second.try_receive());  // and is done with the last one: no Close waits for that
    close_both(l, first, second);
}

// The connection is over, and its peer learns of it.
template <class First, class Second>
void is_aborted(loop& l, First& cancelled, Second& other) {
    CHECK(cancelled.state() == connection_state::closed);
    CHECK(cancelled.close_info().cause == errc::cancelled);
    CHECK_FALSE(cancelled.close_info().clean);
    l.until([&] { return other.state() == connection_state::closed; });
    CHECK(l.finish() < 1s);
}

// What is written in several turns.
template <class Stream>
const std::string& several_writes() {
    static const std::string text(
        std::same_as<Stream, tcp::socket> ? 60'000 : 3 * memory_stream::room, 'f');
    return text;
}

}  // namespace

TEST_CASE("T7/OI (adapter): a cancelled receive loses nothing, and the next one has it") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        at_every_point([](attempt& a) {
            websockets<Stream> p(a.l);
            p.open(a.l);
            auto& ws = p.template of<Role>();
            auto& other = p.template of<peer_of(Role)>();
            const result sent = send(other, "one");
            ws.async_receive(a.token());
            const bool cancelled = a.cancel();
            if (cancelled) receives(a.l, ws, "one");
            else CHECK(a.text() == "one");
            goes_on(a.l, ws, other);
            return cancelled;
        });
    });
}

TEST_CASE(
    "T7/OQ G16 (adapter): a cancelled send goes out whole or not at all, and nothing overtakes") {
    enum class form { text, given, ping };
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const form f : {form::text, form::given, form::ping}) {
            at_every_point([f](attempt& a) {
                websockets<Stream> p(a.l);
                p.open(a.l);
                auto& ws = p.template of<Role>();
                auto& other = p.template of<peer_of(Role)>();
                const std::string& filler = several_writes<Stream>();
                const result before = send(ws, filler);
                if (f == form::text) ws.async_send_text("mine", a.token());
                if (f == form::given)
                    ws.async_send(sansocket::message{message_kind::text, "mine"}, a.token());
                if (f == form::ping) {
                    const result waits = send(ws, "waits");
                    ws.async_ping({}, a.token());
                }
                const result behind = send(ws, "behind");
                const bool cancelled = a.cancel();
                receives(a.l, other, filler);
                if (f == form::ping) receives(a.l, other, "waits");
                else if (!cancelled) receives(a.l, other, "mine");
                receives(a.l, other, "behind");
                a.l.until(behind);
                goes_on(a.l, ws, other);
                return cancelled;
            });
        }
    });
}

TEST_CASE("T8/OI T8/CLO (adapter): a cancelled close aborts the connection") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        at_every_point([](attempt& a) {
            websockets<Stream> p(a.l);
            p.open(a.l);
            auto& ws = p.template of<Role>();
            auto& other = p.template of<peer_of(Role)>();
            ws.async_close(close_code::normal, "", a.token());
            const bool cancelled = a.cancel();
            if (cancelled && ws.close_info().cause == errc::cancelled) is_aborted(a.l, ws, other);
            if (!cancelled) CHECK(ws.close_info().clean);
            CHECK(ws.state() == connection_state::closed);
            a.l.until([&] { return other.state() == connection_state::closed; });
            return cancelled;
        });
    });
}

TEST_CASE("T7/HS (adapter): a client's handshake cancelled aborts the connection") {
    over_each_stream([]<class Stream>() {
        at_every_point([](attempt& a) {
            websockets<Stream> p(a.l);
            const result accepted;
            p.server.async_accept(accepted);
            p.client.async_handshake({.host = "localhost"}, {}, a.token());
            const bool cancelled = a.cancel();
            if (cancelled) is_aborted(a.l, p.client, p.server);
            else goes_on(a.l, p.client, p.server);
            CHECK(accepted.done());
            return cancelled;
        });
    });
}

TEST_CASE("T7/HS (adapter): a server's accept and read_request cancelled abort the connection") {
    over_each_stream([]<class Stream>() {
        for (const bool decides : {false, true}) {
            at_every_point([decides](attempt& a) {
                websockets<Stream> p(a.l);
                const result opened;
                p.client.async_handshake({.host = "localhost"}, {}, opened);
                if (decides) p.server.async_read_request({}, {}, a.token());
                else p.server.async_accept(a.token());
                const bool cancelled = a.cancel();
                if (cancelled) {
                    is_aborted(a.l, p.server, p.client);
                } else {
                    if (decides) CHECK(p.server.accept() == errc::ok);
                    a.l.until(opened);
                    goes_on(a.l, p.server, p.client);
                }
                CHECK(opened.done());
                return cancelled;
            });
        }
    });
}

TEST_CASE("T7/HS (adapter): a connect cancelled in any of its steps aborts the connection") {
    at_every_point([](attempt& a) {
        tcp::acceptor acceptor(a.l.io, {asio::ip::address_v4::loopback(), 0});
        websocket_client client(a.l.io);
        std::optional<websocket_server> server;
        const result accepted;
        acceptor.async_accept([&](std::error_code ec, tcp::socket socket) {
            if (ec) return;
            server.emplace(std::move(socket));
            server->async_accept(accepted);
        });
        const auto port = std::to_string(acceptor.local_endpoint().port());
        client.async_connect("ws://127.0.0.1:" + port, a.token());
        const bool cancelled = a.cancel();
        acceptor.cancel();
        a.l.poll();
        if (cancelled) CHECK(client.close_info().cause == errc::cancelled);
        if (cancelled && server) is_aborted(a.l, client, *server);
        if (!cancelled) goes_on(a.l, client, *server);
        CHECK(a.l.finish() < 1s);
        return cancelled;
    });
}
