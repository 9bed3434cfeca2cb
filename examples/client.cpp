// client.cpp
//
// A client: sends each message, prints the answer to it, and closes.
//
//   client [--ca FILE] wss://127.0.0.1:8443/ Hello "and again"
//
// --ca: authorities to trust besides the system's, PEM.
#include <sansocket_asio/sansocket_asio.hpp>
#ifdef WITH_OPENSSL
#include <sansocket_openssl/sansocket_openssl.hpp>
#endif

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
#include <utility>
#include <vector>

namespace {

using asio::use_awaitable;

template <class Client>
asio::awaitable<void> converse(Client ws, std::string url, std::vector<std::string> texts) {
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

// The client that this program was built with.
auto make_client(asio::io_context& io, const std::string& ca_file) {
#ifdef WITH_OPENSSL
    auto context = sansocket_openssl::make_client_context({ca_file, {}, {}});
    return sansocket_openssl::client(io, context);
#else
    if (!ca_file.empty()) throw std::runtime_error("built without OpenSSL");
    return sansocket_asio::client(io);
#endif
}

}  // namespace

int main(int argc, char* argv[]) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    std::string ca_file;
    if (arguments.size() > 1 && arguments[0] == "--ca") {
        ca_file = arguments[1];
        arguments.erase(arguments.begin(), arguments.begin() + 2);
    }
    if (arguments.empty()) {
        std::cerr << "usage: client [--ca FILE] URL [MESSAGE...]\n";
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
    try {
        asio::co_spawn(io,
                       converse(make_client(io, ca_file), arguments[0],
                                {arguments.begin() + 1, arguments.end()}),
                       done);
        io.run();
    } catch (const std::exception&) {
        done(std::current_exception());
    }
    return status;
}
