// What is left of websockets that are gone: nothing, whoever let go of them, and however many.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/scale.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <malloc.h>

#include <memory>
#include <optional>
#include <string>

using namespace support;
using sansocket::opcode;

namespace {

// Counts the connections that are alive, and with each of them its session.
template <role Role>
struct counted_connection : sansocket::connection<Role> {
    template <class... Args>
    explicit counted_connection(Args&&... args)
        : sansocket::connection<Role>(std::forward<Args>(args)...) {
        ++alive;
    }
    counted_connection(const counted_connection&) = delete;
    counted_connection& operator=(const counted_connection&) = delete;
    ~counted_connection() { --alive; }
    static inline int alive = 0;
};

using churned =
    sansocket_asio::websocket<role::server, counted<tcp::socket>, counted_connection<role::server>>;

std::size_t bytes_allocated() { return ::mallinfo2().uordblks; }

// A client that opens, says goodbye, reads the answer, and keeps its socket. One server each time.
void cycle(loop& l, tcp::acceptor& acceptor) {
    tcp::socket socket(l.io);
    socket.connect(acceptor.local_endpoint());
    raw_peer peer(l, std::move(socket));
    const result accepted, ended;
    std::shared_ptr<const releases> count;
    {
        churned ws(counted<tcp::socket>(acceptor.accept()));
        count = ws.next_layer().count();
        ws.async_accept(accepted);
        peer.send(bytes(upgrade_request) + to_server(opcode::close, close_bytes(1000)));
        l.until(accepted);
        ws.async_receive(ended);
        l.until(ended);
        l.until([&] { return count->released == 1; });  // at once, and not at a deadline
        REQUIRE(ended.ec() == errc::closed_by_peer);
        REQUIRE(ws.close_info().clean);
    }
    peer.reset();  // leaves no port in TIME_WAIT
    l.poll();
    REQUIRE(count->alive == 0);
    REQUIRE(count->released == 1);
    REQUIRE(count->again == 0);
    REQUIRE(counted_connection<role::server>::alive == 0);
}

enum class owner { cancels_receive, cancels_close, stops_loop, moves, lets_go };

}  // namespace

TEST_CASE("B03 (adapter): ten thousand clients that keep their sockets leave nothing behind") {
    loop l;
    tcp::acceptor acceptor(l.io, {asio::ip::address_v4::loopback(), 0});
    const auto run = [&](int cycles) {
        for (int i = 0; i != cycles; ++i) cycle(l, acceptor);
        CHECK(l.finish() < 1s);
        return bytes_allocated();
    };
    const int tenth = 1000 / slowness;
    const std::size_t warm = run(tenth);
    const std::size_t later = run(9 * tenth);
    CHECK(later < warm + 16 * 1024);  // two bytes a cycle
}

// Drops all owners behind that, and looks at what is left.
TEST_CASE(
    "B01 (adapter): a websocket whose owners went away answers, and its stream is released once") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        using websocket = sansocket_asio::websocket<Role, counted<Stream>>;
        for (const owner what : {owner::cancels_receive, owner::cancels_close, owner::stops_loop,
                                 owner::moves, owner::lets_go}) {
            for (const at state : every_state) {
                CAPTURE(static_cast<int>(what), static_cast<int>(state));
                std::shared_ptr<const releases> count;
                loop l;
                l.left_open = true;
                sansocket::options options = narrow_sending();
                options.close_timeout = 20ms;
                in_state<Role, counted<Stream>> p(l, state, options);
                auto ws = std::make_unique<websocket>(std::move(p.ws));
                count = ws->next_layer().count();
                asio::cancellation_signal cancel;
                const result pending, closed;
                ws->async_receive(asio::bind_cancellation_slot(cancel.slot(), pending));
                if (what == owner::cancels_receive) cancel.emit(asio::cancellation_type::total);
                if (what == owner::cancels_close) {
                    asio::cancellation_signal of_close;
                    ws->async_close(close_code::normal, "",
                                    asio::bind_cancellation_slot(of_close.slot(), closed));
                    of_close.emit(asio::cancellation_type::total);
                    l.until(closed);
                }
                if (what == owner::stops_loop) {
                    l.io.stop();
                    CHECK(l.io.run() == 0);
                }
                const int leaks_before = l.leaks();
                const bool open = ws->state() == connection_state::open;
                std::optional<websocket> other;
                if (what == owner::moves) {
                    other.emplace(std::move(*ws));
                    CHECK(ws->state() == connection_state::closed);
                    CHECK(ws->connection() == nullptr);
                    CHECK(ws->close_info().cause == errc::ok);
                }
                // Of the state there is nothing to see but what stands in the queries; they answer.
                (void)ws->close_info();
                (void)ws->state();
                if (ws->connection()) (void)ws->connection()->explain();
                other.reset();
                ws.reset();
#if !defined(NDEBUG)
                // Where the peer's Close waits, it is still answered.
                if (open) CHECK(l.leaks() == leaks_before + (state == at::CW ? 0 : 1));
#endif
                l.until(pending);
                CHECK(pending.ec());
                if (p.unsent) l.until(*p.unsent);
                l.until(p.opened);
                CHECK(l.finish() < 2s);
                CHECK(count->released == 1);
                CHECK(count->again == 0);
                CHECK(count->alive == 0);
                CHECK(l.leaks() <= 1);
            }
        }
    });
}
