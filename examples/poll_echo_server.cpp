// poll_echo_server.cpp
//
// An echo server for many connections on poll() alone, without Asio: sockets
// that never block, one deadline for each connection, and a goodbye with 1001
// on SIGINT or SIGTERM.
//
//   poll_echo_server 8080
#include <sansocket/sansocket.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <list>
#include <span>
#include <string_view>
#include <vector>

namespace {

using namespace sansocket;

volatile std::sig_atomic_t stopping = 0;

time_point now() { return std::chrono::steady_clock::now(); }

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

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
        const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n > 0) return feed(std::span{buffer}.first(static_cast<std::size_t>(n)));
        if (n == 0) return ws_.receive_end(now());
        if (!would_block()) ws_.transport_lost(now());
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
            const auto next = ws_.output()[0];
            const auto n = ::send(fd_, next.data(), next.size(), MSG_NOSIGNAL);
            ws_.consume_output(n > 0 ? static_cast<std::size_t>(n) : 0, now());
            if (n >= 0) continue;
            if (!would_block()) ws_.transport_lost(now());
            return;
        }
    }

    int fd_;
    connection<role::server> ws_;
    std::vector<std::byte> rest_;
};

int listen_on(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    if (::bind(fd, address, size) != 0 || ::listen(fd, 128) != 0) return -1;
    ::getsockname(fd, address, &size);
    std::cout << "listening on ws://127.0.0.1:" << ntohs(at.sin_port) << '/' << std::endl;
    return fd;
}

// Milliseconds for poll. At most a second: a signal may come just before it.
int until_next(const std::list<peer>& peers) {
    time_point due = now() + std::chrono::seconds{1};
    for (const peer& p : peers) due = (std::min)(due, p.deadline());
    if (due <= now()) return 0;
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(due - now()).count());
}

void accept_one(int listener, std::list<peer>& peers) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    peers.emplace_back(fd);
}

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
        ::poll(polled.data(), polled.size(), until_next(peers));

        auto found = polled.begin();
        for (peer& p : peers) p.turn((found++)->revents);
        if (found != polled.end() && found->revents != 0) accept_one(listener, peers);
        peers.remove_if([](const peer& p) { return p.over(); });
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    std::uint16_t port = 0;
    const std::string_view text = argc == 2 ? argv[1] : "";
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) {
        std::cerr << "usage: poll_echo_server PORT\n";
        return 2;
    }
    std::signal(SIGINT, [](int) { stopping = 1; });
    std::signal(SIGTERM, [](int) { stopping = 1; });
    const int listener = listen_on(port);
    if (listener < 0) {
        std::cerr << "poll_echo_server: cannot listen on port " << port << '\n';
        return 1;
    }
    serve(listener);
}
