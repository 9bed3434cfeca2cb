// Compressing for, and from, several threads.
#include <sansocket_asio/websocket.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include "support/asio_loop.hpp"
#include "support/deflate_pair.hpp"

#include <sansocket/prepared_message.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace support;
using sansocket::prepared_message;

namespace {

template <role Role>
using websocket = sansocket_asio::websocket<Role, tcp::socket, sansocket_zlib::connection<Role>>;

// Sizes around the threshold of 256, and large ones.
std::string payload(unsigned i) {
    return i % 5 == 0    ? json_like(200 + i, i)
           : i % 11 == 0 ? json_like(90'000, i)
                         : json_like(257 + i % 3, i);
}

// Counts the messages that are compressed, in whatever thread.
std::atomic<int> begun = 0;
struct counting_compressor : sansocket_zlib::compressor<> {
    using sansocket_zlib::compressor<>::compressor;
    bool begin() noexcept {
        ++begun;
        return sansocket_zlib::compressor<>::begin();
    }
};
struct counting_codec : sansocket_zlib::codec {
    using compressor = counting_compressor;
};

}  // namespace

TEST_CASE("zlib websocket: senders on other threads keep each its order") {
    loop l;
    tcp_pair sockets(l.io);
    websocket<role::client> client(std::move(sockets.a));
    websocket<role::server> server(std::move(sockets.b));
    const result accepted, opened;
    server.async_accept({}, with_deflate(256), accepted);
    client.async_handshake({.host = "localhost"}, with_deflate(256), opened);
    l.until(opened);
    l.until(accepted);
    REQUIRE(client.connection()->deflate());
    constexpr unsigned threads = 4, each = 100;
    auto sender = client.sender(std::size_t{64} << 20U);
    std::atomic<unsigned> taken{0};  // only this thread may assert
    std::vector<std::thread> all;
    for (unsigned t = 0; t != threads; ++t)
        all.emplace_back([t, sender, &taken]() mutable {
            for (unsigned i = 0; i != each; ++i) {
                const std::string text = std::to_string(t) + payload(i);
                if (sender.send({message_kind::text, text}) == errc::ok) ++taken;
            }
        });
    std::array<unsigned, threads> next{};
    for (unsigned n = 0; n != threads * each; ++n) {
        const result got = receive(server);
        l.until(got);
        const auto t = static_cast<unsigned>(got.text().front() - '0');
        REQUIRE(got.text().substr(1) == payload(next.at(t)++));
    }
    for (auto& thread : all) thread.join();
    CHECK(taken == threads * each);
    close_both(l, client, server);
}

TEST_CASE("prepared_message: threads that need a frame at once make it once") {
    const std::string data = json_like(200'000);
    for (int round = 0; round != 20; ++round) {
        begun = 0;
        const prepared_message prepared{std::string_view{data}};
        constexpr unsigned threads = 4;
        std::array<std::span<const std::byte>, threads> seen{};
        std::vector<std::thread> all;
        for (unsigned t = 0; t != threads; ++t)
            all.emplace_back(
                [&seen, t, prepared] { seen[t] = prepared.compressed<counting_codec>(15)->bytes; });
        for (auto& thread : all) thread.join();
        CHECK(begun == 1);
        for (const auto& s : seen) CHECK(s.data() == seen[0].data());
        CHECK(prepared.compressed_frames() == 1);
    }
}
