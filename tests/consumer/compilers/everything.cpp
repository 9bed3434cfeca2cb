// What each compiler compiles, links and runs of every part: a server that could compress and a client that
// could speak TLS talk over loopback.
#include <sansocket_asio/sansocket_asio.hpp>
#include <sansocket_openssl/sansocket_openssl.hpp>
#include <sansocket_simulation/sansocket_simulation.hpp>
#include <sansocket_trace/sansocket_trace.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <string>
#include <utility>

namespace {

using asio::use_awaitable;
using asio::ip::tcp;
using server = sansocket_asio::websocket<sansocket::role::server, tcp::socket,
                                         sansocket_zlib::connection<sansocket::role::server>>;

asio::awaitable<void> echo(tcp::acceptor& acceptor) {
    server ws(co_await acceptor.async_accept(use_awaitable));
    co_await ws.async_accept(use_awaitable);
    sansocket::message message = co_await ws.async_receive(use_awaitable);
    co_await ws.async_send(std::move(message), use_awaitable);
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}

asio::awaitable<void> ask(std::string url, std::string& answer) {
    sansocket_openssl::client ws(co_await asio::this_coro::executor);
    co_await ws.async_connect(url, use_awaitable);
    co_await ws.async_send_text("Hello", use_awaitable);
    answer = (co_await ws.async_receive(use_awaitable)).data;
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}

void rethrow(std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

int main() {
    asio::io_context io(1);
    tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const auto port = std::to_string(acceptor.local_endpoint().port());
    std::string answer;
    asio::co_spawn(io, echo(acceptor), rethrow);
    asio::co_spawn(io, ask("ws://127.0.0.1:" + port + "/", answer), rethrow);
    io.run();
    return answer == "Hello" ? 0 : 1;
}
