// Sending from other threads.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace support;
using sansocket_asio::sender;

namespace {

// Receives until the connection ends.
struct reader {
    template <class Websocket>
    explicit reader(Websocket& ws) {
        next = [this, &ws] {
            ws.async_receive([this](std::error_code ec, sansocket::message m) {
                if (ec) {
                    end = ec;
                    return;
                }
                got.push_back(std::move(m.data));
                next();
            });
        };
        next();
    }
    std::function<void()> next;
    std::vector<std::string> got;
    std::optional<std::error_code> end;
};

std::string numbered(int thread, int i) { return std::to_string(thread) + ' ' + std::to_string(i); }

}  // namespace

TEST_CASE("sender: threads send while the connection runs, and each one's order is kept (B63)") {
    loop l;
    sansocket::options small;
    small.sending.high_bytes = small.sending.low_bytes = 2000;  // so that the handle has to wait
    websocket_pair p(l, small);
    const sender handle = p.client.sender();
    reader received(p.server);
    constexpr int threads = 4;
    constexpr int each = 2000;
    std::atomic<int> refused = 0;
    std::atomic<int> done = 0;
    std::vector<std::thread> running;
    for (int t = 0; t != threads; ++t) {
        running.emplace_back([&, t, handle] {
            for (int i = 0; i != each; ++i) {
                errc ec = handle.send_text(numbered(t, i));
                while (ec == errc::backpressure) {
                    std::this_thread::yield();
                    ec = handle.send_text(numbered(t, i));
                }
                if (ec != errc::ok) ++refused;
            }
            if (++done == threads) handle.close(close_code::normal, "all sent");
        });
    }
    l.until([&] { return received.end.has_value(); });
    for (auto& thread : running) thread.join();
    CHECK(refused == 0);
    CHECK(received.end == errc::closed_by_peer);
    CHECK(p.server.close_info().reason() == "all sent");
    std::vector<int> next(threads, 0);
    int out_of_order = 0;
    for (const auto& text : received.got) {
        const auto thread = static_cast<std::size_t>(text[0] - '0');
        if (text != numbered(static_cast<int>(thread), next[thread]++)) ++out_of_order;
    }
    CHECK(out_of_order == 0);
    CHECK(next == std::vector<int>(threads, each));
    l.until([&] { return p.client.state() == connection_state::closed; });
    CHECK(handle.send_text("late") == errc::closed);
    CHECK(l.finish() < 1s);
}

TEST_CASE("sender: threads go on sending while the websocket is destroyed") {
    for (int round = 0; round != 10; ++round) {
        loop l;
        std::optional<websocket_pair> p(std::in_place, l);
        const sender handle = p->client.sender();
        std::atomic<bool> started = false;
        std::vector<std::thread> running;
        for (int t = 0; t != 3; ++t) {
            running.emplace_back([&, handle] {
                while (handle.send_text("again and again") != errc::closed) started = true;
            });
        }
        while (!started) l.poll();
        for (int i = 0; i != round; ++i) l.io.poll_one();
        p->client.abort();
        p->server.abort();
        p.reset();
        for (auto& thread : running) thread.join();
        CHECK(handle.bytes() == 0);
        CHECK(l.finish() < 1s);
    }
}
