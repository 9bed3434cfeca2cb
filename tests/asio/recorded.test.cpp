// A websocket whose connection is recorded.
#include <sansocket_asio/websocket.hpp>
#include <sansocket_trace/recorder.hpp>
#include <sansocket_trace/replay.hpp>

#include "support/asio_loop.hpp"

#include <memory>

using namespace support;

namespace {

byte_vector tapes[2];

template <role Role>
struct to_tape {
    void operator()(std::span<const std::byte> part) const {
        auto& tape = tapes[Role == role::client ? 0 : 1];
        tape.insert(tape.end(), part.begin(), part.end());
    }
};
template <role Role>
using recorded = sansocket_asio::websocket<
    Role, tcp::socket, sansocket_trace::recorder<sansocket::connection<Role>, to_tape<Role>>>;

}  // namespace

TEST_CASE("recorded: two websockets talk, and both sides replay") {
    for (auto& tape : tapes) tape.clear();
    {
        loop l;
        tcp_pair sockets(l.io);
        recorded<role::client> client(std::move(sockets.a));
        recorded<role::server> server(std::move(sockets.b));
        const result accepted;
        const result opened;
        server.async_accept(accepted);
        client.async_handshake({.host = "localhost"}, {}, opened);
        l.until(opened);
        l.until(accepted);
        const std::string large(300'000, 'x');
        for (const std::string& text : {std::string("small"), large}) {
            const result sent = send(client, text);
            const result got = receive(server);
            l.until(got);
            CHECK(got.text() == text);
            l.until(sent);
        }
        close_both(l, client, server);
        CHECK(l.finish() < 1s);
    }
    for (const auto& tape : tapes) {
        const auto result = sansocket_trace::replay(tape);
        CHECK(result.same());
        CHECK(result.records > 10);
    }
}
