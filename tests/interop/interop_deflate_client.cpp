// This library's client, which compresses, against an echo server that somebody else wrote.
//
// usage: interop_deflate_client URL. Connects with every choice of takeover and windows, and wants
// both directions to be compressed in each. Exits with 0 when all went as it should.
#include <sansocket_asio/sansocket_asio.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using sansocket::message;
using sansocket::message_kind;
using client = sansocket_asio::websocket<sansocket::role::client, asio::ip::tcp::socket,
                                         sansocket_zlib::connection<sansocket::role::client>>;

void expect(const std::string& what, bool holds) {
    if (!holds) throw std::runtime_error(what);
    std::cout << "ok " << what << std::endl;
}

std::string repeated(std::string_view text, std::size_t size) {
    std::string out;
    while (out.size() < size) out += text;
    return out;
}

std::vector<message> messages() {
    std::vector<message> out;
    for (int i = 0; i != 3; ++i) {
        out.emplace_back(message_kind::text, repeated("{\"name\":\"wert\",\"id\":17},", 2000));
        out.emplace_back(message_kind::text, "");
        out.emplace_back(message_kind::text, "世界、こんにちは");
        out.emplace_back(message_kind::binary,
                         repeated(std::string_view("\0\x7f\x80\xff", 4), 99999));
    }
    out.emplace_back(message_kind::binary, std::string(300'000, '\0'));
    return out;
}

awaitable<client> connected(std::string url, sansocket::deflate_options deflate) {
    client ws(co_await asio::this_coro::executor);
    sansocket_asio::client_options options;
    options.connection.deflate = deflate;
    options.connection.deflate.enabled = true;
    options.connection.deflate.threshold = 0;
    co_await ws.async_connect(url, options, use_awaitable);
    co_return ws;
}

std::string name_of(const sansocket::deflate_agreement& a) {
    const auto direction = [](const sansocket::deflate_direction& d) {
        return std::to_string(d.window_bits) + (d.context_takeover ? " bits" : " bits, afresh");
    };
    return "server " + direction(a.server) + ", client " + direction(a.client);
}

awaitable<void> echoes(std::string url, sansocket::deflate_options deflate) {
    client ws = co_await connected(url, deflate);
    const auto agreed = ws.connection()->deflate();
    expect("the server takes the offer", agreed.has_value());
    std::size_t parts = 0;
    for (const message& sent : messages()) {
        if (++parts % 2 == 0) co_await ws.async_send(sent, use_awaitable);
        else
            co_await ws.async_send(sent.kind, sent.bytes(), sansocket::compression::on,
                                   use_awaitable);
        const message found = co_await ws.async_receive(use_awaitable);
        if (found != sent) expect(std::to_string(sent.data.size()) + " bytes come back", false);
    }
    const auto s = ws.connection()->explain();
    expect(name_of(*agreed) + ": " + std::to_string(s.compressed_messages) + " sent and " +
               std::to_string(s.decompressed_messages) + " received with RSV1",
           s.compressed_messages >= 6 && s.decompressed_messages >= 6);
    co_await ws.async_close(sansocket::close_code{4000}, "the client is done", use_awaitable);
    expect("our Close is answered", ws.close_info().clean);
}

awaitable<void> converse(std::string url) {
    for (const bool own : {true, false})
        for (const bool peer : {true, false})
            for (const std::uint8_t own_bits :
                 {std::uint8_t{9}, std::uint8_t{12}, std::uint8_t{15}})
                for (const std::uint8_t peer_bits :
                     {std::uint8_t{9}, std::uint8_t{12}, std::uint8_t{15}}) {
                    sansocket::deflate_options deflate;
                    deflate.own_context_takeover = own;
                    deflate.peer_context_takeover = peer;
                    deflate.own_window_bits = own_bits;
                    deflate.peer_window_bits = peer_bits;
                    co_await echoes(url, deflate);
                }
    // Of several offers a server takes one.
    sansocket::deflate_options fallback;
    fallback.offers = {{true, true, 10, 10}, {false, false, {}, {}}};
    co_await echoes(url, fallback);

    client last = co_await connected(url, {});
    std::cout << "waiting for the server to go" << std::endl;
    try {
        for (;;) co_await last.async_receive(use_awaitable);
    } catch (const std::system_error&) {
        expect("the server goes away",
               last.close_info().code() == sansocket::close_code::going_away);
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) {
        std::cerr << "usage: interop_deflate_client URL\n";
        return 2;
    }
    asio::io_context io;
    int status = 1;
    asio::co_spawn(io, converse(argv[1]), [&status](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
            status = 0;
        } catch (const std::exception& what) {
            std::cout << "failed: " << what.what() << std::endl;
        }
    });
    io.run();
    return status;
}
