// sansocket_core PORT
//
// An echo server on the protocol core alone, with poll() and sockets that never block.
#include <sansocket/sansocket.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <span>
#include <vector>

namespace {

using namespace sansocket;

time_point now() { return std::chrono::steady_clock::now(); }

class peer {
public:
    explicit peer(int fd) : fd_(fd), ws_(server_policy{}, now()) {}
    peer(const peer&) = delete;
    peer& operator=(const peer&) = delete;
    ~peer() { ::close(fd_); }

    bool over() const { return ws_.should_close(); }
    pollfd waits_for() const {
        const bool read = ws_.wants_read() && rest_.empty();
        return {fd_, static_cast<short>((read ? POLLIN : 0) | (ws_.wants_write() ? POLLOUT : 0)),
                0};
    }
    void turn(short events) {
        if ((events & ~POLLOUT) != 0) read();
        if (now() >= ws_.next_deadline()) ws_.advance(now());
        std::size_t waiting = 0;
        do {
            write();
            waiting = rest_.size() + ws_.messages().size();
            feed({});
            echo();
        } while (rest_.size() + ws_.messages().size() != waiting);
        if (ws_.wants_shutdown() == shutdown_request::half_close) ::shutdown(fd_, SHUT_WR);
    }

private:
    void read() {
        std::array<std::byte, 16384> buffer;
        const auto n = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n > 0) feed(std::span{buffer}.first(static_cast<std::size_t>(n)));
        else if (n == 0) ws_.receive_end(now());
        else if (errno != EAGAIN) ws_.transport_lost(now());
    }
    void feed(std::span<std::byte> in) {
        rest_.insert(rest_.end(), in.begin(), in.end());
        if (rest_.empty() || !ws_.wants_read()) return;
        const auto taken = static_cast<std::ptrdiff_t>(ws_.receive(rest_, now()));
        rest_.erase(rest_.begin(), rest_.begin() + taken);
    }
    void echo() {
        while (ws_.output_drained() || ws_.state() != connection_state::open) {
            const auto message = ws_.messages().pop();
            if (!message) return;
            (void)ws_.send(message->kind, message->bytes);
        }
    }
    void write() {
        while (ws_.wants_write()) {
            const auto out = ws_.output()[0];
            const auto n = ::send(fd_, out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            ws_.consume_output(n > 0 ? static_cast<std::size_t>(n) : 0, now());
            if (n >= 0) continue;
            if (errno != EAGAIN) ws_.transport_lost(now());
            return;
        }
    }

    int fd_;
    connection<role::server> ws_;
    std::vector<std::byte> rest_;
};

int listen_on(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    return bound && ::listen(fd, SOMAXCONN) == 0 ? fd : -1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const int listener = listen_on(static_cast<std::uint16_t>(std::atoi(argv[1])));
    if (listener < 0) return 1;
    std::list<peer> peers;
    for (;;) {
        std::vector<pollfd> polled;
        for (const peer& p : peers) polled.push_back(p.waits_for());
        polled.push_back({listener, POLLIN, 0});
        ::poll(polled.data(), polled.size(), 1000);
        auto found = polled.begin();
        for (peer& p : peers) p.turn((found++)->revents);
        if (found->revents != 0) peers.emplace_back(::accept(listener, nullptr, nullptr));
        peers.remove_if([](const peer& p) { return p.over(); });
    }
}
