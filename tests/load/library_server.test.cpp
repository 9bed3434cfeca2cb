// The server that comes with the library, with a coroutine for each of ten thousand connections.
#include <sansocket_asio/server.hpp>

#include "load/idle_clients.hpp"
#include "support/client_process.hpp"
#include "support/heap.hpp"
#include "support/scale.hpp"

#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

namespace library_server_tests {

using websocket_type = sansocket_asio::server::websocket_type;

asio::awaitable<void> echo(websocket_type& ws) {
    for (;;) {
        auto m = co_await ws.async_receive(asio::use_awaitable);
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

}  // namespace library_server_tests

TEST_CASE("load: a server's ten thousand connections, three times, and nothing is left of them") {
    using namespace library_server_tests;
    using namespace load;
    const std::size_t count =
        (std::min)(support::scaled(10'000), descriptor_limit() - std::size_t{100});
    loop l;
    l.longest = 180s;  // a machine may have other things to do
    client_process peers(
        l, [count](asio::io_context& io, order_channel& orders) { clients(io, orders, count); });
    sansocket_asio::server_options options;
    options.max_connections = count;
    sansocket_asio::server server(l.io.get_executor(), options);
    server.on_connection(echo);
    const auto at = server.listen(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    std::size_t after_first = 0;
    for (std::size_t round = 1; round != 4; ++round) {
        CAPTURE(round);
        const std::size_t before = heap_in_use();
        peers.order(at.port());
        peers.answer();
        l.poll();
        REQUIRE(server.connections() == count);
        const std::size_t each = (heap_in_use() - before) / count;
        peers.order(1);
        CHECK(peers.answer() == count);
        l.until([&] { return server.connections() == 0; });
        l.poll();
        const auto counters = server.counters();
        CHECK(counters.closed_clean == count * round);
        CHECK(counters.closed_with(sansocket::close_code::normal) == count * round);
        CHECK(counters.traffic.messages_received == count * round);
        CHECK(counters.refused_connections == 0);
        CHECK(counters.handler_errors == 0);
        const std::size_t after = heap_in_use();
        WARN(count << " connections of a server: " << each << " bytes each; behind them "
                   << after / 1024 << " KiB in use");
        CHECK(each < 6000);
        // Asio keeps what it needed for so many sockets; after the first round that is there.
        if (round == 1) after_first = after;
        else CHECK(after < after_first + 64 * 1024);
    }
    peers.order(0);
    peers.finish();
    const result stopped;
    server.async_stop(std::chrono::seconds(5), stopped);
    l.until(stopped);
    CHECK(!stopped.ec());
}
