// A server that tells everybody the same, and clients of which most hardly listen. Those that listen
// hear all of it in time; of the others, each costs no more than its limit, and is let go.
#include <sansocket_asio/websocket.hpp>

#include "load/server.hpp"
#include "support/blocking_peer.hpp"
#include "support/client_process.hpp"
#include "support/heap.hpp"
#include "support/scale.hpp"

#include <sansocket/prepared_message.hpp>

#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

using namespace load;
using sansocket::opcode;

namespace slow_tests {

constexpr std::uint32_t fast_ones = 20;
constexpr std::uint32_t slow_ones = sanitized ? 60 : 200;
constexpr std::size_t message_size = 4096;
constexpr std::uint32_t messages = 300;
constexpr auto tick = 10ms;
constexpr std::size_t limit = 256 * 1024;  // 64 messages, and their time

const byte_vector goodbye = to_server(opcode::close, close_bytes(1000));

// What a message holds: its number, and when it was sent.
struct stamp {
    std::uint32_t number;
    std::int64_t sent;
};
std::int64_t now() {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
}
byte_vector stamped(std::uint32_t number) {
    byte_vector out(message_size);
    const stamp s{number, now()};
    std::memcpy(out.data(), &s, sizeof s);
    return out;
}

std::vector<blocking_peer<>> opened(asio::io_context& io, std::uint32_t port, std::uint32_t count) {
    std::vector<blocking_peer<>> all;
    for (std::uint32_t i = 0; i != count; ++i) {
        tcp::socket socket(io, tcp::v4());
        socket.set_option(asio::socket_base::receive_buffer_size(8 * 1024));
        socket.connect({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
        all.emplace_back(std::move(socket)).open();
    }
    return all;
}

// Answers how many milliseconds the slowest message took.
void fast_clients(asio::io_context& io, order_channel& orders) {
    auto all = opened(io, orders.order(), fast_ones);
    for (auto& one : all) one.send(to_server(opcode::text, bytes("fast")));
    std::int64_t slowest = 0;
    const std::size_t head =
        own_frame<role::server>(opcode::binary, stamped(0)).size() - message_size;
    for (std::uint32_t i = 0; i != messages; ++i) {
        for (auto& one : all) {
            const auto frame = one.read(head + message_size);
            stamp s{};
            std::memcpy(&s, frame.data() + head, sizeof s);
            if (s.number != i) throw std::runtime_error("a message is missing");
            slowest = (std::max)(slowest, now() - s.sent);
        }
    }
    for (auto& one : all) one.send(goodbye);
    for (auto& one : all) one.expect(own_frame<role::server>(opcode::close, close_bytes(1000)));
    orders.answer(static_cast<std::uint32_t>(slowest / 1'000'000));
}

// Every second one reads nothing at all, the others a byte at a time. At an order they look at what is
// left, which has to come to an end.
void slow_clients(asio::io_context& io, order_channel& orders) {
    auto all = opened(io, orders.order(), slow_ones);
    orders.answer(0);
    asio::steady_timer pause(io);
    for (std::uint32_t pass = 0; pass != messages; ++pass) {
        for (std::size_t i = 1; i < all.size(); i += 2) {
            try {
                (void)all[i].at_end();
            } catch (const std::system_error&) {}  // a reset, as is right
        }
        pause.expires_after(tick);
        pause.wait();
    }
    (void)orders.order();
    for (auto& one : all) {
        std::error_code ec;
        std::array<std::byte, 4096> some{};
        while (!ec) one.stream().read_some(asio::buffer(some), ec);
    }
    orders.answer(0);
}

}  // namespace slow_tests

TEST_CASE("load: slow readers cost their limit and are let go, beside fast ones that hear all") {
    using namespace slow_tests;
    using server_type = fleet_server<>;
    loop l;
    client_process slow(l, slow_clients);
    client_process fast(l, fast_clients);
    sansocket::options options;
    options.sending.high_bytes = options.sending.low_bytes = limit;
    options.keepalive.write_timeout = 2s;
    server_type server(l, options);
    std::map<server_type::member*, int> refused;  // those that are slow, and how often
    std::vector<server_type::member*> listening;
    server.on_accept = [](tcp::socket& s) {
        s.set_option(asio::socket_base::send_buffer_size(8 * 1024));
    };
    server.on_message = [&](auto& member, const auto&) { listening.push_back(&member); };
    slow.order(server.port());
    slow.answer();
    fast.order(server.port());
    l.until([&] { return listening.size() == fast_ones; });
    for (auto* member : server.members())
        if (std::find(listening.begin(), listening.end(), member) == listening.end())
            refused[member] = 0;
    REQUIRE(refused.size() == slow_ones);

    const std::size_t before = heap_in_use();
    std::size_t most = before;
    std::uint32_t number = 0;
    std::size_t fast_refused = 0;
    asio::steady_timer timer(l.io);
    const auto tell = [&](server_type::member& member, const byte_vector& payload,
                          const sansocket::prepared_message& prepared) {
        if (number % 2 == 0) return member.ws.try_send(prepared);
        return member.ws.try_send(message_kind::binary, payload);
    };
    const std::function<void(std::error_code)> broadcast = [&](std::error_code) {
        const byte_vector payload = stamped(number);
        const sansocket::prepared_message prepared(message_kind::binary, payload);
        for (auto* member : listening)
            if (tell(*member, payload, prepared) != errc::ok) ++fast_refused;
        std::size_t turn = 0;
        for (auto& [member, times] : refused) {
            const bool droppable = turn++ % 4 == 0;
            if (!server.members().contains(member)) continue;
            if (tell(*member, payload, prepared) == errc::backpressure) ++times;
            // The application's own way with the slow; write_timeout is for the others.
            if (droppable && times > 0) member->ws.abort();
        }
        most = (std::max)(most, heap_in_use());
        if (++number == messages) return;
        timer.expires_after(tick);
        timer.async_wait(broadcast);
    };
    broadcast({});
    const std::uint32_t slowest = fast.answer();
    fast.finish();
    CHECK(fast_refused == 0);
    CHECK(slowest < 2000);
    l.until([&] { return server.alive() == 0; });
    slow.order(1);
    slow.answer();
    slow.finish();
    CHECK(server.ended[errc::closed_by_peer] == fast_ones);
    CHECK(server.ended[errc::write_timeout] + server.ended[errc::aborted] == slow_ones);
    CHECK(server.ended[errc::write_timeout] > 0);
    CHECK(server.ended[errc::aborted] > 0);
    for (const auto& [member, times] : refused) CHECK(times > 0);
    const std::size_t each = (most - before) / slow_ones;
    CHECK(each > limit / 4);      // it was put to the test
    CHECK(each < limit / 4 * 3);  // every second message is shared
    server.stop_listening();
    l.finish();
    CHECK(heap_in_use() < before);
    WARN("slow ones cost " << each / 1024 << " KiB each at most; "
                           << server.ended[errc::write_timeout] << " timed out, "
                           << server.ended[errc::aborted]
                           << " were dropped; the slowest message to a fast one took " << slowest
                           << " ms");
}
