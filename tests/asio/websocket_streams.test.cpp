// Over any stream, and on any executor.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/asio_memory_stream.hpp"

#include <asio/dispatch.hpp>
#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>

#include <string>
#include <vector>

using namespace support;
using sansocket_asio::websocket;

namespace {

template <class Stream>
void converse(loop& l, Stream a, Stream b) {
    websocket<role::client, Stream> client(std::move(a));
    websocket<role::server, Stream> server(std::move(b));
    const result accepted;
    const result opened;
    server.async_accept(accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    l.until(accepted);
    REQUIRE(!opened.ec());
    REQUIRE(!accepted.ec());
    const std::string long_text(200000, 'x');
    for (const std::string& text : {std::string{}, std::string{"hello"}, long_text}) {
        const result sent = send(client, text);
        const result got = receive(server);
        l.until(got);
        CHECK(got.text() == text);
        const result answered = send(server, text);
        const result back = receive(client);
        l.until(back);
        CHECK(back.text() == text);
    }
    const result ended = receive(server);
    const result closed = close(client, close_code::normal, "bye");
    l.until(closed);
    l.until(ended);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(l.finish() < 1s);
}

}  // namespace

TEST_CASE("websocket streams: in memory, with neither a lowest layer nor a way to wait") {
    loop l;
    auto [a, b] = memory_stream::make_pair(l.io.get_executor());
    converse(l, std::move(a), std::move(b));
}

TEST_CASE("websocket streams: an end in memory that is dropped ends the other") {
    loop l;
    l.left_open = true;  // that is what it is about
    auto [a, b] = memory_stream::make_pair(l.io.get_executor());
    websocket<role::server, memory_stream> server(std::move(b));
    const result accepted;
    server.async_accept(accepted);
    {
        websocket<role::client, memory_stream> client(std::move(a));
        const result opened;
        client.async_handshake({.host = "localhost"}, {}, opened);
        l.until(opened);
        CHECK(!opened.ec());
    }
    const result ended = receive(server);
    l.until(ended);
    CHECK(ended.ec() == errc::end_of_stream);
    CHECK(l.finish() < 1s);
}

#if defined(ASIO_HAS_LOCAL_SOCKETS)
TEST_CASE("websocket streams: a pair of Unix domain sockets") {
    loop l;
    using socket = asio::local::stream_protocol::socket;
    socket a(l.io);
    socket b(l.io);
    asio::local::connect_pair(a, b);
    converse(l, std::move(a), std::move(b));
}
#endif

TEST_CASE("websocket streams: a concrete executor") {
    loop l;
    tcp_pair sockets(l.io);
    using socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
    const auto rebound = [&](tcp::socket& s) {
        return socket(l.io.get_executor(), tcp::v4(), s.release());
    };
    static_assert(
        std::is_same_v<websocket_client::rebind_executor<asio::io_context::executor_type>::other,
                       websocket<role::client, socket>>);
    converse(l, rebound(sockets.a), rebound(sockets.b));
}
