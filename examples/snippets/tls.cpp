// tls.cpp
//
// What docs/guide/tls.md shows.
#include <sansocket_openssl/sansocket_openssl.hpp>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

using namespace std::chrono_literals;
using asio::redirect_error;
using asio::use_awaitable;

// [client]
asio::awaitable<void> greet(std::string url) {  // wss://example.com/chat, or ws://
    sansocket_openssl::client ws(co_await asio::this_coro::executor);
    co_await ws.async_connect(url, use_awaitable);
    co_await ws.async_send_text("Hello", use_awaitable);
    co_await ws.async_close(sansocket::close_code::normal, "", use_awaitable);
}
// [/client]

// [why]
asio::awaitable<void> tell_why_not(std::string url) {
    sansocket_openssl::client ws(co_await asio::this_coro::executor);
    std::error_code ec;
    co_await ws.async_connect(url, redirect_error(use_awaitable, ec));
    // tls: certificate verify failed (SSL routines): certificate has expired (example.com)
    if (ec) std::cout << ws.failure().describe() << '\n';
}
// [/why]

// [context]
asio::awaitable<sansocket_openssl::client> inside_the_company(std::string url) {
    sansocket_openssl::client_tls_options options;
    options.ca_file = "company-ca.pem";
    options.certificate_chain_file = "me.pem";  // for servers that ask who you are
    options.private_key_file = "me.key";
    auto context = sansocket_openssl::make_client_context(options);

    sansocket_openssl::client ws(co_await asio::this_coro::executor, context);
    co_await ws.async_connect(url, use_awaitable);
    co_return ws;
}
// [/context]

// [many]
void echo_to_everybody(asio::io_context& io, asio::ssl::context& context) {
    using server = sansocket_openssl::server;
    server echo(io.get_executor());
    echo.on_connection([](server::websocket_type& ws) -> asio::awaitable<void> {
        for (;;) {
            sansocket::message m = co_await ws.async_receive(use_awaitable);
            co_await ws.async_send(std::move(m), use_awaitable);
        }
    });
    echo.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8443),
                [&context](asio::ip::tcp::socket socket) {
                    return sansocket_openssl::stream(std::move(socket), context);
                });
    io.run();
}
// [/many]

// [server]
asio::awaitable<void> serve(asio::ip::tcp::socket socket, asio::ssl::context& context) {
    sansocket_openssl::server_connection ws(std::move(socket), context);
    co_await ws.async_accept(use_awaitable);
    for (;;) {
        sansocket::message m = co_await ws.async_receive(use_awaitable);
        co_await ws.async_send(std::move(m), use_awaitable);
    }
}

asio::ssl::context context_of_this_server() {
    sansocket_openssl::server_tls_options options;
    options.certificate_chain_file = "server.pem";  // its own certificate first
    options.private_key_file = "server.key";
    return sansocket_openssl::make_server_context(options);
}
// [/server]

// [insecure]
void trust_anybody(sansocket_openssl::client& ws) {  // before it connects
    ws.next_layer().insecure_no_verification();
}
// [/insecure]

// [timeout]
void wait_longer_for_the_end(sansocket_openssl::server_connection& ws) {
    ws.next_layer().shutdown_timeout(3s);
}
// [/timeout]
