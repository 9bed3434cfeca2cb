// What the transport is asked for at the end, and what a timer or a sender that waits has to do with
// it.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/scale.hpp"

#include <chrono>
#include <memory>
#include <string>

using namespace support;
using sansocket::opcode;

namespace {

constexpr std::chrono::milliseconds soon{50};

template <role Role, class Peer>
void read_stuck(Peer& peer) {
    CHECK(peer.read(Role == role::client ? 14 : 10)[0] == std::byte{0x81});
    CHECK(peer.read(stuck().size()).size() == stuck().size());
}

}  // namespace

TEST_CASE("B35 (adapter): a close needs neither room nor the leave of a sender that waits") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        loop l;
        in_state<Role, Stream> p(l, at::OQ);
        const result waiting[] = {send(p.ws, "one"), send(p.ws, "two")};
        l.poll();
        for (const result& r : waiting) CHECK_FALSE(r.done());
        const result closed = close(p.ws);
        for (const result& r : waiting) l.until(r);  // the peer has read nothing
        for (const result& r : waiting) CHECK(r.ec() == errc::closing);
        CHECK_FALSE(closed.done());
        read_stuck<Role>(p.peer);
        CHECK(read_close<Role>(p.peer) == 1000);
        p.peer.send(peers_close<Role>(1000));
        l.until(closed);
        CHECK(!closed.ec());
        CHECK(p.unsent->count() == 1);
        p.peer.socket.close();
        CHECK(l.finish() < 1s);
    });
}

TEST_CASE(
    "B89 (adapter): the heartbeat and the transport fail in one turn: one end, and one cause") {
    enum class order { heartbeat_first, in_one_turn, loss_first };
    in_both_roles([]<role Role>() {
        for (const order which : {order::heartbeat_first, order::in_one_turn, order::loss_first}) {
            CAPTURE(static_cast<int>(which));
            loop l;
            sansocket::options options;
            options.keepalive.ping_interval = options.keepalive.pong_timeout = soon * slowness;
            in_state<Role> p(l, at::OI, options);
            const result got = receive(p.ws);
            CHECK(p.peer.read(2)[0] == std::byte{0x89});
            l.poll();
            const auto deadline = p.ws.connection()->next_deadline();
            if (which == order::loss_first) {
                p.peer.reset();
                l.until(got);
            }
            while (std::chrono::steady_clock::now() <= deadline) {}  // nothing runs meanwhile
            if (which == order::heartbeat_first) l.until(got);
            if (which != order::loss_first) p.peer.reset();
            l.until(got);
            const errc cause = p.ws.close_info().cause;
            if (which == order::heartbeat_first) CHECK(cause == errc::pong_timeout);
            if (which == order::loss_first) CHECK(cause == errc::transport_lost);
            CHECK((cause == errc::pong_timeout || cause == errc::transport_lost));
            CHECK(got.ec() == cause);
            CHECK(l.finish() < 1s);
            CHECK(got.count() == 1);
            CHECK(p.ws.close_info().cause == cause);
        }
    });
}

TEST_CASE("B98 (adapter): a link that dies without a word ends what waits by the time configured") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        for (const bool idle : {false, true}) {
            CAPTURE(idle);
            loop l;
            sansocket::options options;
            const auto time = soon * slowness;
            options.keepalive.ping_interval = idle ? 0ms : time;
            options.keepalive.pong_timeout = idle ? 0ms : time;
            if (idle) options.keepalive.idle_timeout = time;
            const auto start = std::chrono::steady_clock::now();
            in_state<Role, Stream> p(l, at::OI, options);
            const result got = receive(p.ws);
            l.until(got);
            CHECK(got.ec() == (idle ? errc::idle_timeout : errc::pong_timeout));
            CHECK(std::chrono::steady_clock::now() - start >= (idle ? time : 2 * time));
            CHECK(l.finish() < 1s);
            const byte_vector said = p.peer.read_to_end();
            CHECK(said.size() == (idle ? 0U : Role == role::client ? 14U : 10U));
        }
    });
}

TEST_CASE("B100 (adapter): nothing follows the Close, and the transport ends without a reset") {
    in_both_roles([]<role Role>() {
        for (const cut c : {cut::whole, cut::bytes}) {
            loop l;
            in_state<Role> p(l, at::OI, {}, c);
            const result before = send(p.ws, "before");
            const result closed = close(p.ws);
            // The application does not stop sending, at any turn.
            int refused = 0;
            const auto sends = [&] {
                const errc ec = p.ws.try_send(message_kind::text, bytes("late"));
                CHECK((ec == errc::closing || ec == errc::closed));
                const result late = send(p.ws, "late");
                const result ping;
                p.ws.async_ping({}, ping);
                l.until(late);
                l.until(ping);
                CHECK((late.ec() == errc::closing || late.ec() == errc::closed));
                CHECK(ping.ec() == late.ec());
                ++refused;
            };
            sends();
            const std::size_t overhead = Role == role::client ? 6 : 2;
            CHECK(p.peer.read(overhead + 6).size() == overhead + 6);
            CHECK(read_close<Role>(p.peer) == 1000);
            sends();
            for (const std::byte b : peers_close<Role>(1000)) {
                p.peer.send({b});
                sends();
            }
            l.until(closed);
            sends();
            if (Role == role::client) p.peer.socket.shutdown(tcp::socket::shutdown_send);
            CHECK(p.peer.read_to_end().empty());
            CHECK(p.peer.read_error == asio::error::eof);
            CHECK(!before.ec());
            CHECK(!closed.ec());
            CHECK(refused > 4);
            CHECK(l.finish() < 1s);
        }
    });
}

TEST_CASE(
    "B102 (adapter): behind the Closes nobody's close_notify is awaited beyond the deadline") {
    in_both_roles([]<role Role>() {
        for (const bool ours_first : {false, true}) {
            CAPTURE(ours_first);
            loop l;
            sansocket::options options;
            options.close_timeout = soon * slowness;
            in_state<Role, counted<memory_stream>> p(l, at::OI, options);
            const auto count = p.ws.next_layer().count();
            const auto start = std::chrono::steady_clock::now();
            result closed;
            if (ours_first) closed = close(p.ws);
            if (ours_first) CHECK(read_close<Role>(p.peer) == 1000);
            p.peer.send(peers_close<Role>(1000));
            if (!ours_first) CHECK(read_close<Role>(p.peer) == 1000);
            if (!ours_first) closed = close(p.ws);
            l.until(closed);
            CHECK(!closed.ec());
            // The peer says no more, and never ends its stream.
            if (Role == role::server) CHECK(count->released == 1);
            l.until([&] { return count->released == 1; });
            const auto took = std::chrono::steady_clock::now() - start;
            if (Role == role::client) CHECK(took >= options.close_timeout);
            CHECK(took < options.close_timeout + 2s);
            CHECK(p.peer.read_to_end().empty());
            CHECK(p.ws.close_info().clean);
            CHECK(l.finish() < 1s);
            CHECK(count->again == 0);
        }
    });
}
