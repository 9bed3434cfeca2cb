// poll_echo_server.cpp
//
// An echo server for many connections on poll() alone, without Asio: sockets
// that never block, one deadline for each connection, and a goodbye with 1001
// on SIGINT or SIGTERM.
//
//   poll_echo_server 8080
#include "support/arguments.hpp"
#include "support/sockets.hpp"

#include <sansocket/sansocket.hpp>

#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <list>
#include <span>
#include <vector>

namespace {

using namespace sansocket;
using sockets::now;

volatile std::sig_atomic_t stopping = 0;

// One connection and its socket.
class peer {
public:
    explicit peer(int fd) : fd_(fd), ws_(server_policy{}, now()) {}
    peer(const peer&) = delete;
    peer& operator=(const peer&) = delete;
    ~peer() { ::close(fd_); }

    [[nodiscard]] bool over() const { return ws_.should_close(); }
    [[nodiscard]] time_point deadline() const { return ws_.next_deadline(); }
    [[nodiscard]] pollfd waits_for() const {
        const bool read = ws_.wants_read() && rest_.empty();
        const int events = (read ? POLLIN : 0) | (ws_.wants_write() ? POLLOUT : 0);
        return {fd_, static_cast<short>(events), 0};
    }

    void go_away() {
        (void)ws_.close(close_code::going_away, {}, now());
        settle();
    }
    // What poll found, and the time.
    void turn(short events) {
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) read();
        if (now() >= deadline()) ws_.advance(now());
        settle();
    }

private:
    // After every call that may change something: write, then take what there may be room for now.
    void settle() {
        std::size_t waiting = 0;
        do {
            write();
            waiting = rest_.size() + ws_.messages().size();
            feed({});
            echo();
        } while (rest_.size() + ws_.messages().size() != waiting);
        if (ws_.wants_shutdown() == shutdown_request::half_close) ::shutdown(fd_, SHUT_WR);
    }
    void read() {
        if (!ws_.wants_read()) return;
        std::array<std::byte, 16384> buffer;
        const auto n = sockets::read_some(fd_, buffer);
        if (n > 0) return feed(std::span{buffer}.first(static_cast<std::size_t>(n)));
        if (n == 0) return ws_.receive_end(now());
        if (!sockets::would_block()) ws_.transport_lost(now());
    }
    // The connection may take less than it is given: the rest waits until there is room.
    void feed(std::span<std::byte> in) {
        rest_.insert(rest_.end(), in.begin(), in.end());
        if (rest_.empty() || !ws_.wants_read()) return;
        const auto taken = static_cast<std::ptrdiff_t>(ws_.receive(rest_, now()));
        rest_.erase(rest_.begin(), rest_.begin() + taken);
    }
    // While the client does not read, its messages wait here, and then it is not read from.
    void echo() {
        while (ws_.output_drained() || ws_.state() != connection_state::open) {
            const auto message = ws_.messages().pop();
            if (!message) return;
            (void)ws_.send(message->kind, message->bytes);
        }
    }
    void write() {
        while (ws_.wants_write()) {
            const auto n = sockets::write_some(fd_, ws_.output()[0]);
            ws_.consume_output(n > 0 ? static_cast<std::size_t>(n) : 0, now());
            if (n >= 0) continue;
            if (!sockets::would_block()) ws_.transport_lost(now());
            return;
        }
    }

    int fd_;
    connection<role::server> ws_;
    std::vector<std::byte> rest_;
};

void serve(int listener) {
    constexpr std::size_t max_connections = 1000;
    std::list<peer> peers;
    std::vector<pollfd> polled;
    while (listener >= 0 || !peers.empty()) {
        if (stopping != 0 && listener >= 0) {
            ::close(listener);
            listener = -1;
            for (peer& p : peers) p.go_away();
        }
        polled.clear();
        for (const peer& p : peers) polled.push_back(p.waits_for());
        if (peers.size() < max_connections) polled.push_back({listener, POLLIN, 0});
        for (pollfd& one : polled) one.revents = 0;
        time_point due = never;
        for (const peer& p : peers) due = (std::min)(due, p.deadline());
        // At most a second: a signal may come just before poll.
        ::poll(polled.data(), polled.size(), sockets::milliseconds_until(due, 1000));

        auto found = polled.begin();
        for (peer& p : peers) p.turn((found++)->revents);
        if (found != polled.end() && found->revents != 0) {
            if (const int fd = sockets::accept_from(listener); fd >= 0) peers.emplace_back(fd);
        }
        peers.remove_if([](const peer& p) { return p.over(); });
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    std::uint16_t port = 0;
    if (argc != 2 || !support::parse(argv[1], port)) {
        std::cerr << "usage: poll_echo_server PORT\n";
        return 2;
    }
    std::signal(SIGINT, [](int) { stopping = 1; });
    std::signal(SIGTERM, [](int) { stopping = 1; });
    const int listener = sockets::listen_on(port);
    if (listener < 0) {
        std::cerr << "poll_echo_server: cannot listen on port " << port << '\n';
        return 1;
    }
    std::cout << "listening on ws://127.0.0.1:" << port << '/' << std::endl;
    serve(listener);
}
