// client.cpp
//
// A client: sends each message, prints the answer to it, and closes.
//
//   client ws://127.0.0.1:8080/ Hello "and again"
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace {

using asio::use_awaitable;

asio::awaitable<void> converse(asio::io_context& io, std::string url,
                               std::vector<std::string> texts) {
    sansocket_asio::client ws(io);
    std::error_code ec;
    co_await ws.async_connect(url, asio::redirect_error(use_awaitable, ec));
    if (ec) throw std::runtime_error(ws.failure().describe());
    for (const std::string& text : texts) {
        co_await ws.async_send_text(text, use_awaitable);
        const sansocket::message answer = co_await ws.async_receive(use_awaitable);
        std::cout << answer.data << std::endl;
    }
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc < 2) {
        std::cerr << "usage: client URL [MESSAGE...]\n";
        return 2;
    }
    asio::io_context io;
    int status = 0;
    const auto done = [&status](std::exception_ptr failure) {
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            std::cerr << "client: " << error.what() << '\n';
            status = 1;
        }
    };
    asio::co_spawn(io, converse(io, argv[1], {argv + 2, argv + argc}), done);
    io.run();
    return status;
}
