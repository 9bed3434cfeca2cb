// beast_coroutines PORT
//
// An echo server with Boost.Beast and coroutines: no compression, the timeouts that Beast suggests.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdlib>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

awaitable<void> serve(tcp::socket socket) {
    websocket::stream<beast::tcp_stream, false> ws(std::move(socket));
    ws.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
    try {
        co_await ws.async_accept(use_awaitable);
        beast::flat_buffer buffer;
        for (;;) {
            co_await ws.async_read(buffer, use_awaitable);
            ws.text(ws.got_text());
            co_await ws.async_write(buffer.cdata(), use_awaitable);
            buffer.clear();
        }
    } catch (const boost::system::system_error&) {
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
