// echo_client.cpp: echo_client ws://127.0.0.1:8080/
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio.hpp>

#include <exception>
#include <iostream>
#include <string>

using asio::awaitable, asio::use_awaitable;

awaitable<void> greet(std::string url) {
    const auto io = co_await asio::this_coro::executor;
    sansocket_asio::client ws(io);
    co_await ws.async_connect(url, use_awaitable);

    co_await ws.async_send_text("Hello", use_awaitable);
    const auto answer =
        co_await ws.async_receive(use_awaitable);
    std::cout << answer.data << '\n';

    co_await ws.async_close(sansocket::close_code::normal,
                            "bye", use_awaitable);
    const bool clean = ws.close_info().clean;
    std::cout << (clean ? "closed\n" : "cut off\n");
}

int main(int argc, char* argv[]) {
    if (argc != 2) return 2;
    asio::io_context io(1);
    const auto end = [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    };
    asio::co_spawn(io, greet(argv[1]), end);
    io.run();
}
