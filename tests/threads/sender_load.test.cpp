// Four threads that send to a hundred connections, while those close in every way there is.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/socket_base.hpp>

#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace support;
using sansocket_asio::sender;

namespace sender_load_tests {

constexpr std::size_t threads = 4;

// Both ends. What the client gets is checked: each thread's numbers, none left out.
class conversation {
public:
    explicit conversation(loop& l)
        : pair(std::in_place, l, sansocket::options{}, little()),
          handle(pair->server.sender(2 * 1024)) {
        pair->server.next_layer().set_option(asio::socket_base::send_buffer_size(4096));
        pair->client.next_layer().set_option(asio::socket_base::receive_buffer_size(4096));
        receive(pair->client, true);
        receive(pair->server, false);
    }
    [[nodiscard]] std::size_t received() const noexcept { return received_; }
    [[nodiscard]] bool ended() const noexcept { return ended_ == 2; }
    [[nodiscard]] std::size_t wrong() const noexcept { return wrong_; }

    std::optional<websocket_pair> pair;
    sender handle;

private:
    // Little may be under way, so that the threads have to wait, and the end need not.
    static sansocket::options little() {
        sansocket::options options;
        options.sending.high_bytes = options.sending.low_bytes = 4096;
        return options;
    }
    template <class Websocket>
    void receive(Websocket& ws, bool checked) {
        ws.async_receive(
            [this, &ws, checked](std::error_code ec, const sansocket::message& message) {
                if (ec) {
                    ++ended_;
                    return;
                }
                if (checked) check(message.data);
                receive(ws, checked);
            });
    }
    void check(const std::string& text) {
        std::size_t number = 0;
        std::from_chars(text.data() + 2, text.data() + text.size(), number);
        if (next_.at(static_cast<std::size_t>(text.at(0) - '0'))++ != number) ++wrong_;
        ++received_;
    }

    std::array<std::size_t, threads> next_{};
    std::size_t received_ = 0;
    std::size_t wrong_ = 0;
    int ended_ = 0;
};

// Sends to all of them in turn, until none takes any more.
void send_to_all(std::size_t self, const std::vector<sender>& handles,
                 std::atomic<int>& unexpected) {
    std::vector<std::size_t> next(handles.size(), 0);
    for (bool open = true; open;) {
        open = false;
        for (std::size_t i = 0; i != handles.size(); ++i) {
            const errc ec =
                handles[i].send_text(std::to_string(self) + ' ' + std::to_string(next[i]));
            if (ec == errc::ok) ++next[i];
            else if (ec != errc::backpressure && ec != errc::closing && ec != errc::closed)
                ++unexpected;
            if (ec != errc::closed) open = true;
            // One way to close: from here, behind what this thread sent.
            if (i % 5 == 0 && next[i] == 100 * (self + 1)) handles[i].close(close_code::normal);
        }
        std::this_thread::sleep_for(1ms);
    }
}

void end(conversation& one, std::size_t way) {
    switch (way) {
    case 0: return;  // a thread does it
    case 1: return one.pair->client.async_close(close_code::normal, {}, [](std::error_code) {});
    case 2: return one.pair->server.async_close(close_code::normal, {}, [](std::error_code) {});
    case 3: return one.pair->server.abort();
    default: one.pair.reset();  // and the threads still have its handle
    }
}

}  // namespace sender_load_tests

TEST_CASE("sender: four threads send to a hundred connections while these close") {
    using namespace sender_load_tests;
    loop l;
    l.left_open = true;
    std::vector<std::unique_ptr<conversation>> all;
    std::vector<sender> handles;
    for (int i = 0; i != 100; ++i)
        handles.push_back(all.emplace_back(std::make_unique<conversation>(l))->handle);
    std::atomic<int> unexpected = 0;  // only this thread may assert
    std::atomic<std::size_t> running = threads;
    std::vector<std::thread> sending;
    for (std::size_t t = 0; t != threads; ++t)
        sending.emplace_back([&, t] {
            send_to_all(t, handles, unexpected);
            --running;
            asio::post(l.io, [] {});  // so that the loop looks
        });
    for (std::size_t i = 0; i != all.size(); ++i) {
        if (i % 5 != 4) l.until([&] { return all[i]->received() >= 20; });
        end(*all[i], i % 5);
    }
    auto work = asio::make_work_guard(l.io);
    l.until([&] { return running == 0; });
    work.reset();
    for (auto& thread : sending) thread.join();
    CHECK(unexpected == 0);
    for (const auto& one : all) l.until([&] { return one->ended(); });
    std::size_t closed_by_threads = 0;
    for (std::size_t i = 0; i != all.size(); ++i) {
        CAPTURE(i);
        CHECK(all[i]->wrong() == 0);
        CHECK(handles[i].send_text("late") == errc::closed);
        CHECK(handles[i].bytes() == 0);
        if (i % 5 == 0 && all[i]->pair->client.close_info().cause == errc::closed_by_peer)
            ++closed_by_threads;
    }
    CHECK(closed_by_threads == 20);
    CHECK(l.finish() < 1s);
}
