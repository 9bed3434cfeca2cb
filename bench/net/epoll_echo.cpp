// epoll_echo --port N
//
// The least that a Linux server does for an echo, and no WebSocket: for loadgen --raw 1. epoll_wait,
// recv, send, one buffer for all connections, one thread, TCP_NODELAY.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

int check(int result, const char* what) {
    if (result < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
    return result;
}

class server {
public:
    explicit server(int port)
        : listener_(check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket")) {
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(static_cast<std::uint16_t>(port));
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        check(bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at), "bind");
        check(listen(listener_, SOMAXCONN), "listen");
        watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < n; ++i) {
                const int fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == listener_) accept_one();
                else if (!unsent(fd).empty()) send_rest(fd);
                else echo(fd);
            }
        }
    }

private:
    void watch(int fd, std::uint32_t what, int how) {
        epoll_event event{};
        event.events = what;
        event.data.fd = fd;
        check(epoll_ctl(epoll_, how, fd, &event), "epoll_ctl");
    }
    void accept_one() {
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd < 0) return;
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (unsent_.size() <= static_cast<std::size_t>(fd))
            unsent_.resize(static_cast<std::size_t>(fd) + 1);
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
    std::vector<char>& unsent(int fd) { return unsent_[static_cast<std::size_t>(fd)]; }
    void echo(int fd) {
        const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return drop(fd);
        const ssize_t sent = send(fd, buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
        if (sent == got) return;
        if (sent < 0 && errno != EAGAIN) return drop(fd);
        unsent(fd).assign(buffer_.data() + (sent < 0 ? 0 : sent), buffer_.data() + got);
        watch(fd, EPOLLOUT, EPOLL_CTL_MOD);  // the peer is slow: nothing more is read before
    }
    void send_rest(int fd) {
        auto& rest = unsent(fd);
        const ssize_t sent = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) return drop(fd);
        rest.erase(rest.begin(), rest.begin() + sent);
        if (rest.empty()) watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    }
    void drop(int fd) {
        unsent(fd).clear();
        close(fd);
    }

    int listener_;
    int epoll_ = check(epoll_create1(0), "epoll_create1");
    std::vector<std::vector<char>> unsent_;  // by descriptor
    std::vector<char> buffer_ = std::vector<char>(std::size_t{64} * 1024);
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--port") != 0) {
        std::fprintf(stderr, "usage: epoll_echo --port N\n");
        return 2;
    }
    try {
        server(std::atoi(argv[2])).run();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "epoll_echo: %s\n", e.what());
        return 1;
    }
}
