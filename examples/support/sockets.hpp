// sockets.hpp
//
// POSIX sockets for the examples without Asio, and the time. Nothing of the
// protocol is in here.
#pragma once

#include <sansocket/wire/time.hpp>
#include <sansocket/wire/url.hpp>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace sockets {

inline sansocket::time_point now() { return std::chrono::steady_clock::now(); }

// Milliseconds until `due`, as poll has them: rounded up, and at most `most`.
inline int milliseconds_until(sansocket::time_point due, int most) {
    const auto limit = now() + std::chrono::milliseconds{most};
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>((std::min)(due, limit) - now());
    return static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, most));
}

// What the last call would have had to wait for comes later.
inline bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

inline std::ptrdiff_t write_some(int fd, std::span<const std::byte> from) {
    return ::send(fd, from.data(), from.size(), MSG_NOSIGNAL);
}
inline std::ptrdiff_t read_some(int fd, std::span<std::byte> to) {
    return ::recv(fd, to.data(), to.size(), 0);
}

// A connected socket that blocks, or -1.
inline int connect_to(const sansocket::url& where) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    const std::string host(where.host), port = std::to_string(where.port);
    if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
    int fd = -1;
    for (const addrinfo* a = found; a != nullptr && fd < 0; a = a->ai_next) {
        fd = ::socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && ::connect(fd, a->ai_addr, a->ai_addrlen) != 0)
            ::close(std::exchange(fd, -1));
    }
    ::freeaddrinfo(found);
    return fd;
}

// A socket that listens on the loopback interface and does not block, or -1. `port` becomes the one
// chosen where it is 0.
inline int listen_on(std::uint16_t& port) {
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
    port = ntohs(at.sin_port);
    return fd;
}

// The next connection, which does not block, or -1.
inline int accept_from(int listener) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return -1;
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

}  // namespace sockets
