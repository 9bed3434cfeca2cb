// sansocket_server PORT
//
// An echo server with sansocket_asio::server and coroutines.
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdlib>
#include <utility>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using sansocket_asio::server;

// Ends by an exception, once the closing handshake is done or the connection lost.
awaitable<void> serve(server::websocket_type& ws) {
    for (;;) {
        sansocket::message m = co_await ws.async_receive(use_awaitable);
        co_await ws.async_send(std::move(m), use_awaitable);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    asio::io_context io(1);
    server echo(io.get_executor());
    echo.on_connection(serve);
    const auto port = static_cast<unsigned short>(std::atoi(argv[1]));
    echo.listen(tcp::endpoint(asio::ip::address_v4::loopback(), port));
    io.run();
}
