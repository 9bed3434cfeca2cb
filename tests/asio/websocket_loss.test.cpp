// What the adapter still delivers when the transport breaks, and what becomes of a websocket that was
// moved from, or whose context is gone.
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/asio_memory_stream.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>

#include <dlfcn.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

// Holds back whoever looks a certain name up, on Asio's own thread, until it is let go.
constexpr std::string_view slow_name = "slow.test";
class gate {
public:
    void hold() {
        const std::scoped_lock lock(mutex_);
        held_ = true;
    }
    void release() {
        const std::scoped_lock lock(mutex_);
        held_ = false;
        changed_.notify_all();
    }
    bool held() {
        const std::scoped_lock lock(mutex_);
        return held_;
    }
    void pass() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, patience, [&] { return !held_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool held_ = false;
};
gate lookups;

sansocket::options small_queue() {
    sansocket::options o;
    o.queue = {.high_count = 4, .low_count = 2};
    return o;
}

// Everything that can be received, up to the end, and what that was.
template <class Websocket>
std::pair<std::size_t, std::error_code> receive_all(loop& l, Websocket& ws) {
    for (std::size_t n = 0;; ++n) {
        const result r = receive(ws);
        l.until(r);
        if (r.ec()) return {n, r.ec()};
    }
}

// The peer resets the connection once all that it sent has arrived, and this end's kernel knows.
template <class Websocket>
void reset(raw_peer& peer, Websocket& ws) {
    peer.socket.set_option(tcp::no_delay(true));  // small writes wait for nothing
    int unsent = 1;
    const auto end = std::chrono::steady_clock::now() + patience;
    while (unsent != 0 && std::chrono::steady_clock::now() < end)
        REQUIRE(::ioctl(peer.socket.native_handle(), SIOCOUTQNSD, &unsent) == 0);
    REQUIRE(unsent == 0);
    peer.reset();
    pollfd hung_up{ws.next_layer().native_handle(), 0, 0};
    REQUIRE(::poll(&hung_up, 1, 10'000) == 1);
}

template <role Role = role::server>
byte_vector many(std::size_t n, std::size_t size) {
    byte_vector out;
    for (std::size_t i = 0; i != n; ++i) {
        const byte_vector one = frame<Role>(opcode::binary, byte_vector(size));
        out.insert(out.end(), one.begin(), one.end());
    }
    return out;
}

struct tls_category final : std::error_category {
    const char* name() const noexcept override { return "asio.ssl.stream"; }
    std::string message(int) const override { return "stream truncated"; }
};
const tls_category category;
struct alert_category final : std::error_category {
    const char* name() const noexcept override { return "asio.ssl"; }
    std::string message(int) const override { return "alert"; }
};
const alert_category alerts;
// A stream in memory over which TLS tells an alert, and takes no more since the peer sent it.
struct alerted_stream : memory_stream {
    using memory_stream::memory_stream;
    explicit alerted_stream(memory_stream&& s) : memory_stream(std::move(s)) {}
    template <class Buffers, class Handler>
    void async_read_some(const Buffers& buffers, Handler handler) {
        memory_stream::async_read_some(
            buffers, [handler = std::move(handler)](std::error_code ec, std::size_t n) mutable {
                if (ec == asio::error::eof) ec = {1, alerts};
                handler(ec, n);
            });
    }
    template <class Buffers, class Handler>
    void async_write_some(const Buffers&, Handler handler) {
        asio::post(get_executor(), [handler = std::move(handler)]() mutable {
            handler(asio::error::broken_pipe, std::size_t{0});
        });
    }
};
// A stream in memory that ends as asio::ssl::stream does when nobody says close_notify.
struct cut_stream : memory_stream {
    using memory_stream::memory_stream;
    explicit cut_stream(memory_stream&& s) : memory_stream(std::move(s)) {}
    template <class Buffers, class Handler>
    void async_read_some(const Buffers& buffers, Handler handler) {
        memory_stream::async_read_some(
            buffers, [handler = std::move(handler)](std::error_code ec, std::size_t n) mutable {
                if (ec == asio::error::eof) ec = {1, category};
                handler(ec, n);
            });
    }
};

}  // namespace

// Stands before the C library's own.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    using function = int(const char*, const char*, const addrinfo*, addrinfo**);
    static auto* const real = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (name == nullptr || name != slow_name) return real(name, service, hints, found);
    lookups.pass();
    return EAI_NONAME;
}

TEST_CASE("B13 B40 (adapter): a write that fails loses nothing that was received, nor the Close") {
    // What waits behind a full queue, read already or still in the kernel; and in bytes.
    struct load {
        std::size_t count, size;
        cut how;
    };
    in_both_roles([]<role Role>() {
        for (const load& each :
             {load{10, 10, cut::whole}, load{150, 1000, cut::whole}, load{10, 10, cut::bytes}}) {
            loop l;
            in_state<Role> p(l, at::OI, small_queue(), each.how);
            p.ws.next_layer().set_option(asio::socket_base::receive_buffer_size(1 << 20));
            p.feed(many<Role>(each.count, each.size) + peers_close<Role>());
            reset(p.peer, p.ws);
            const result sent = send(p.ws, "into the void");
            l.until(sent);
            l.poll();
            const auto [count, ec] = receive_all(l, p.ws);
            CHECK(count == each.count);
            CHECK(ec == errc::closed_by_peer);
            CHECK(static_cast<unsigned>(p.ws.close_info().code()) == 4000);
            l.until([&] { return p.ws.state() == connection_state::closed; });
            CHECK_FALSE(p.ws.close_info().clean);
        }
    });
}

TEST_CASE("websocket loss: what the system said of it is kept, in every state") {
    in_both_roles([]<role Role>() {
        for (const at state : nothing_unread) {
            CAPTURE(static_cast<int>(state));
            loop l;
            in_state<Role> p(l, state);
            CHECK(!p.ws.transport_error());
            p.peer.reset();
            l.until([&] { return p.ws.state() == connection_state::closed; });
            l.poll();
            const std::error_code said = p.ws.transport_error();
            CAPTURE(said.message());
            const bool over =
                state == at::CRE || state == at::CD;  // it may be of no account any more
            const bool named =
                said == asio::error::connection_reset || said == asio::error::broken_pipe;
            CHECK((over ? named || !said : named));
            if (!over) CHECK(p.ws.close_info().cause == errc::transport_lost);
            if (state == at::HS) CHECK(p.opened.ec() == errc::transport_lost);  // as before
        }
    });
}

TEST_CASE("websocket loss: there is nothing to say of a transport that has not failed") {
    loop l;
    websocket_client unused(l.io);
    CHECK(!unused.transport_error());
    websocket_pair p(l);
    close_both(l, p);
    l.poll();
    CHECK(!p.client.transport_error());
    CHECK(!p.server.transport_error());
    raw_client_pair ended(l);
    ended.peer.socket.close();
    const result got = receive(ended.server);
    l.until(got);
    CHECK(got.ec() == errc::end_of_stream);
    CHECK(!ended.server.transport_error());
    websocket_pair given_up(l);
    const result waits = send(given_up.client, std::string(32 << 20, 'x'));
    l.poll();
    given_up.client.abort();
    l.until(waits);
    l.poll();
    CHECK(!given_up.client.transport_error());
    given_up.server.abort();
}

TEST_CASE("websocket loss: the first error is kept, also elsewhere, but for an alert behind it") {
    loop l;
    raw_client_pair p(l);
    p.peer.reset();
    const result got = receive(p.server);
    l.until(got);
    CHECK(p.server.transport_error() == asio::error::connection_reset);
    websocket_server moved(std::move(p.server));
    CHECK(!p.server.transport_error());
    CHECK(moved.transport_error() == asio::error::connection_reset);

    auto [mine, peers] = memory_stream::make_pair(l.io.get_executor());
    sansocket_asio::websocket<role::client, alerted_stream> ws(alerted_stream(std::move(mine)));
    const result opened;
    ws.async_handshake({.host = "localhost"}, {}, opened);
    l.poll();
    CHECK(ws.transport_error() == asio::error::broken_pipe);
    CHECK_FALSE(opened.done());
    peers.close();
    l.until(opened);
    CHECK(opened.ec() == std::error_code(1, alerts));
    CHECK(ws.transport_error() == std::error_code(1, alerts));
}

TEST_CASE("websocket loss: senders learn of it while messages are still to be read") {
    loop l;
    raw_client_pair p(l, small_queue());
    p.peer.send(many(10, 10));
    l.poll();
    const result waiting = send(p.server, std::string(32 << 20, 'x'));
    const result behind = send(p.server, std::string(32 << 20, 'x'));
    l.poll();
    p.peer.reset();
    l.until(behind);
    CHECK(behind.ec() == errc::closed);
    const result next = send(p.server, "x");
    l.until(next);
    CHECK(next.ec() == errc::closed);
    const auto [count, ec] = receive_all(l, p.server);
    CHECK(count == 10);
    CHECK(ec == errc::transport_lost);
    CHECK(waiting.done());
}

TEST_CASE("websocket loss: a close of one that nobody reads ends in its time") {
    loop l;
    sansocket::options options = small_queue();
    options.close_timeout = 200ms;
    raw_client_pair p(l, options);
    p.peer.send(many(10, 10));
    l.poll();
    p.peer.reset();
    const result sent = send(p.server, "x");
    l.poll();
    const result closed = close(p.server);
    l.until(closed);
    CHECK(closed.ec());
    CHECK(p.server.state() == connection_state::closed);
}

TEST_CASE("websocket loss: what try_receive has taken makes room for what is awaited") {
    loop l;
    websocket_pair p(l);
    const std::string large(300 * 1024, 'x');  // fills the queue by itself
    const result first = send(p.client, large);
    const result second = send(p.client, "second");
    l.until([&] { return p.server.connection()->messages().paused(); });
    l.poll();
    REQUIRE(p.server.try_receive());
    const result got = receive(p.server);
    l.until(got);
    CHECK(got.text() == "second");
    close_both(l, p);
}

TEST_CASE("T14/HS T14/OI T14/OM T14/OQ T14/CLO T14/CRE T14/CD (adapter): a stream that ends "
          "without close_notify is a truncation, and no reset") {
    in_both_roles([]<role Role>() {
        for (const cut c : {cut::whole, cut::bytes}) {
            for (const at state : nothing_unread) {
                CAPTURE(static_cast<int>(state));
                loop l;
                in_state<Role, cut_stream> p(l, state, {}, c);
                const auto before = p.ws.state();
                p.peer.socket.close();
                l.until([&] { return p.ws.state() == connection_state::closed; });
                l.poll();
                const auto info = p.ws.close_info();
                const bool closed = state == at::CRE || state == at::CD;
                if (closed) CHECK(info.cause == errc::closed_by_peer);
                // Where there is output, its loss may be noticed before the end of the input.
                else if (state != at::OQ) CHECK(info.cause == errc::tls_truncated);
                CHECK(static_cast<unsigned>(info.code()) == (closed ? 4000 : 1006));
                CHECK(info.clean == (state == at::CD));
                CHECK((before == connection_state::closed) == (state == at::CD));
                if (state == at::HS) CHECK(p.opened.ec() == errc::tls_truncated);
                if (info.cause == errc::tls_truncated && state != at::OQ && state != at::CLO)
                    CHECK(p.ws.transport_error() == std::error_code(1, category));
            }
        }
    });
}

TEST_CASE("G14 (adapter): a websocket that was moved from answers everything, and is closed") {
    loop l;
    websocket_pair p(l);
    websocket_client elsewhere(std::move(p.client));
    websocket_client& ws = p.client;
    CHECK(ws.state() == connection_state::closed);
    CHECK(ws.connection() == nullptr);
    CHECK(ws.close_info().cause == errc::ok);
    CHECK(ws.subprotocol().empty());
    CHECK(ws.get_executor() == elsewhere.get_executor());
    CHECK_FALSE(ws.try_receive());
    CHECK(ws.try_send(message_kind::text, bytes("x")) == errc::closed);
    CHECK(ws.sender().send_text("x") == errc::closed);
    ws.abort();
    sansocket_asio::group group(l.io.get_executor());
    CHECK_FALSE(group.join(ws));
    const result connected, opened, pinged;
    ws.async_connect("ws://127.0.0.1:9/", connected);
    ws.async_handshake({}, {}, opened);
    ws.async_ping({}, pinged);
    for (const result& r : {connected, opened, pinged, receive(ws), send(ws, "x"), close(ws)}) {
        CHECK_FALSE(r.done());
        l.until(r);
        CHECK(r.ec() == errc::closed);
    }
    websocket_server& other = p.server;
    websocket_server server(std::move(other));
    CHECK(other.accept() == errc::closed);
    CHECK(other.refuse(400) == errc::closed);
    const result accepted, asked;
    other.async_accept(accepted);
    other.async_read_request({}, {}, asked);
    for (const result& r : {accepted, asked}) {
        l.until(r);
        CHECK(r.ec() == errc::closed);
    }
    ws = std::move(elsewhere);  // and it may be assigned to
    CHECK(ws.state() == connection_state::open);
    close_both(l, ws, server);
}

TEST_CASE("websocket lifetime: the context may be destroyed before the websocket, in any state") {
    enum class when { never_begun, connecting, opening, open, writing, closing, closed };
    for (const when state : {when::never_begun, when::connecting, when::opening, when::open,
                             when::writing, when::closing, when::closed}) {
        CAPTURE(static_cast<int>(state));
        auto l = std::make_unique<loop>();
        l->left_open = true;
        std::optional<websocket_pair> p;
        std::optional<websocket_client> alone;
        const result got, sent;
        sansocket_asio::sender sender;
        tcp::acceptor acceptor(l->io, {asio::ip::address_v4::loopback(), 0});
        if (state <= when::opening) alone.emplace(l->io);
        else p.emplace(*l);
        websocket_client& ws = alone ? *alone : p->client;
        const auto url = "ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
        if (state == when::connecting || state == when::opening) ws.async_connect(url, got);
        if (state == when::opening) l->poll();
        if (state >= when::open && state != when::closed) ws.async_receive(got);
        if (state == when::writing) ws.async_send_text(std::string(32 << 20, 'x'), sent);
        if (state == when::closing) ws.async_close(close_code::normal, "", sent);
        if (state == when::closed) close_both(*l, *p);
        if (state > when::connecting) sender = ws.sender();
        if (state == when::closing) l->io.poll_one();
        else if (state > when::connecting) l->poll();
        acceptor = tcp::acceptor(l->io);
        // The acceptor is Asio's own, and has to go before its context.
        { const auto gone = std::move(acceptor); }
        const int told = got.done() ? 1 : 0;
        std::thread([&] { l.reset(); }).join();
        CHECK(got.done() == (told == 1));  // no handler was called
        CHECK(sender.send_text("x") == errc::closed);
        CHECK(ws.state() >=
              (state == when::never_begun ? connection_state::opening : connection_state::closed));
        if (state == when::closed) CHECK(ws.close_info().clean);
        if (state == when::open) CHECK(ws.close_info().cause == errc::transport_lost);
        ws.abort();
        CHECK_FALSE(ws.try_receive());
        CHECK(ws.try_send(message_kind::text, bytes("x")) != errc::ok);
        websocket_client moved(std::move(ws));
        CHECK(moved.close_info().code() != close_code::going_away);
    }
}

TEST_CASE("B75 (adapter): a name that is being looked up keeps nobody waiting") {
    loop l;
    sansocket_asio::client_options options;
    options.connection.opening_timeout = 50ms;
    const std::string url = "ws://" + std::string{slow_name} + ":9/";
    websocket_client late(l.io), cancelled(l.io), aborted(l.io), closed(l.io);
    std::optional<websocket_client> dropped(std::in_place, l.io);
    asio::cancellation_signal cancel;
    const result timed_out, was_cancelled, was_aborted, was_dropped, was_closed;
    lookups.hold();
    late.async_connect(url, options, timed_out);
    cancelled.async_connect(url, asio::bind_cancellation_slot(cancel.slot(), was_cancelled));
    aborted.async_connect(url, was_aborted);
    dropped->async_connect(url, was_dropped);
    closed.async_connect(url, was_closed);
    l.poll();
    cancel.emit(asio::cancellation_type::total);
    aborted.abort();
    dropped.reset();
    const result done = close(closed);
    for (const result& r : {was_cancelled, was_aborted, was_dropped, was_closed, timed_out})
        l.until(r);
    CHECK(lookups.held());  // the name is not known yet
    lookups.release();
    CHECK(was_cancelled.ec() == asio::error::operation_aborted);
    CHECK(was_aborted.ec() == errc::aborted);
    CHECK(was_dropped.ec() == errc::dropped);
    CHECK(was_closed.ec() == errc::closed_locally);
    CHECK(timed_out.ec() == errc::opening_timeout);
    l.finish();
    CHECK(done.done());
}
