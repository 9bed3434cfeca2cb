// sansocket_echo --port N
//
// An echo server with async_run, one thread, for the network benchmark: each message is answered as it
// is read, and all answers to one read go out in one write. The echo_server of the examples, which is
// measured beside it, awaits each message and each send.
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace {

using websocket = sansocket_asio::server::websocket_type;

asio::awaitable<void> echo(websocket& ws) {
    const auto answer = [&ws](sansocket::message_view m) { (void)ws.try_send(m.kind, m.bytes); };
    std::error_code ended;
    co_await ws.async_run(answer, asio::redirect_error(asio::use_awaitable, ended));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--port") != 0) {
        std::fprintf(stderr, "usage: sansocket_echo --port N\n");
        return 2;
    }
    const auto port = static_cast<unsigned short>(std::atoi(argv[2]));
    asio::io_context context{1};
    sansocket_asio::server server(context.get_executor());
    server.on_connection(echo);
    server.listen(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port));
    context.run();
}
