// Ten thousand connections of one thread: opened, used, idle and closed, and again. What one costs
// while nothing happens on it, and that nothing is left of it.
#include <sansocket_asio/websocket.hpp>

#include "load/idle_clients.hpp"
#include "load/server.hpp"
#include "support/client_process.hpp"
#include "support/heap.hpp"
#include "support/scale.hpp"

#include <algorithm>
#include <cstddef>

using namespace load;

TEST_CASE("load: ten thousand idle connections, three times: what one costs, and nothing is left") {
    const std::size_t count =
        (std::min)(support::scaled(10'000), descriptor_limit() - std::size_t{100});
    loop l;
    l.longest = 180s;  // a machine may have other things to do
    client_process peers(
        l, [count](asio::io_context& io, order_channel& orders) { clients(io, orders, count); });
    fleet_server<> server(l);
    std::size_t after_first = 0;
    for (int round = 0; round != 3; ++round) {
        CAPTURE(round);
        if (round != 0) server.listen();
        const std::size_t before = heap_in_use();
        peers.order(server.port());
        peers.answer();
        server.stop_listening();
        l.poll();
        REQUIRE(server.alive() == count);
        const std::size_t each = (heap_in_use() - before) / count;
        peers.order(1);
        CHECK(peers.answer() == count);
        l.until([&] { return counted_connection<role::server>::alive == 0; });
        l.poll();
        CHECK(server.ended[errc::closed_by_peer] == count * static_cast<std::size_t>(round + 1));
        const std::size_t after = heap_in_use();
        WARN(count << " connections: " << each << " bytes each, of which the core "
                   << sizeof(counted_connection<role::server>) << "; behind them " << after / 1024
                   << " KiB in use, " << resident_bytes() / 1024 << " KiB resident");
        CHECK(each < 3750);
        // Asio keeps what it needed for so many sockets; after the first round that is there.
        if (round == 0) after_first = after;
        else CHECK(after < after_first + 64 * 1024);
    }
    peers.order(0);
    peers.finish();
}

TEST_CASE("load: a connection that is idle costs little, whatever it sent before") {
    const std::size_t count = support::scaled(1600);
    loop l;
    client_process peers(
        l, [=](asio::io_context& io, order_channel& orders) { clients(io, orders, count, true); });
    sansocket::options options;
    options.keepalive.ping_interval = 5s;  // by then all have opened and sent
    options.keepalive.pong_timeout = 0s;
    fleet_server<> server(l, options);
    server.on_open = [](auto& member) { member.ws.release_handshake(); };
    std::size_t each = 0;
    for (int round = 0; round != 2; ++round) {  // Asio keeps what the first one needs of it
        if (round != 0) server.listen();
        const std::size_t before = heap_in_use();
        peers.order(server.port());
        peers.answer();
        l.poll();  // takes the Pongs
        each = (heap_in_use() - before) / count;
        REQUIRE(server.alive() == count);
        for (auto* member : server.members()) REQUIRE(!member->ws.connection()->handshake());
        peers.order(1);
        CHECK(peers.answer() == count);
        server.stop_listening();
        l.until([&] { return counted_connection<role::server>::alive == 0; });
    }
    peers.order(0);
    peers.finish();
    using connection = counted_connection<role::server>;
    CHECK(each < 2250);
    WARN("idle: " << each << " bytes each, of which the core " << sizeof(connection));
}
