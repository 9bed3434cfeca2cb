// sansocket_websocket PORT
//
// An echo server with sansocket_asio::websocket: coroutines, and an accept loop of its own.
#include <sansocket_asio/websocket.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdlib>
#include <system_error>
#include <utility>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

awaitable<void> serve(tcp::socket socket) {
    sansocket_asio::server_connection ws(std::move(socket));
    try {
        co_await ws.async_accept(use_awaitable);
        for (;;) {
            sansocket::message m = co_await ws.async_receive(use_awaitable);
            co_await ws.async_send(std::move(m), use_awaitable);
        }
    } catch (const std::system_error&) {
        // The closing handshake is done, or the connection lost.
    }
}

awaitable<void> listen(tcp::acceptor& acceptor) {
    for (;;) {
        auto socket = co_await acceptor.async_accept(use_awaitable);
        co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    asio::io_context io(1);
    const auto port = static_cast<unsigned short>(std::atoi(argv[1]));
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), port});
    co_spawn(io, listen(acceptor), asio::detached);
    io.run();
}
