// blocking_client.cpp
//
// The same client as client.cpp on a blocking POSIX socket, without Asio: the
// whole of what an adapter does, in the order that connection.hpp gives. A peer
// that does not read can hold it up: it waits in send(), where no deadline is seen.
//
//   blocking_client ws://127.0.0.1:8080/ Hello "and again"
#include <sansocket/sansocket.hpp>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace sansocket;
using std::chrono::steady_clock;

chacha_keys system_keys() {
    std::random_device device;
    std::array<std::byte, 32> seed;
    for (std::byte& b : seed) b = static_cast<std::byte>(device());
    return chacha_keys{std::span<const std::byte, 32>{seed}};
}

// A connected socket, or -1.
int connect_to(const url& where) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    const std::string host(where.host), port = std::to_string(where.port);
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
    int fd = -1;
    for (const addrinfo* a = found; a != nullptr && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) ::close(std::exchange(fd, -1));
    }
    freeaddrinfo(found);
    return fd;
}

// Milliseconds until `due`, as poll has them: rounded up, -1 for never.
int wait_for(time_point due) {
    if (due == never) return -1;
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(due - steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 60'000));
}

void write_all(int fd, connection<role::client>& ws) {
    while (ws.wants_write()) {
        const auto next = ws.output()[0];
        const auto n = send(fd, next.data(), next.size(), MSG_NOSIGNAL);
        if (n < 0) return ws.transport_lost(steady_clock::now());
        ws.consume_output(static_cast<std::size_t>(n), steady_clock::now());
    }
}

void read_some(int fd, connection<role::client>& ws) {
    pollfd readable{fd, POLLIN, 0};
    const int found = poll(&readable, 1, wait_for(ws.next_deadline()));
    if (found == 0) return ws.advance(steady_clock::now());
    std::array<std::byte, 16384> buffer;
    const auto n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n == 0) return ws.receive_end(steady_clock::now());
    if (n < 0) return ws.transport_lost(steady_clock::now());
    std::span rest = std::span{buffer}.first(static_cast<std::size_t>(n));
    while (true) {
        rest = rest.subspan(ws.receive(rest, steady_clock::now()));
        if (rest.empty()) return;
        // The message queue is full. Here, where nobody else takes from it, make room.
        std::cout << ws.messages().pop().value_or(message_view{}).text() << std::endl;
    }
}

// One turn: what the connection wants written, the transport's end, and what comes in.
void turn(int fd, connection<role::client>& ws) {
    write_all(fd, ws);
    if (ws.wants_shutdown() == shutdown_request::half_close) shutdown(fd, SHUT_WR);
    if (!ws.should_close()) read_some(fd, ws);
}

}  // namespace

int main(int argc, char* argv[]) {
    const auto [where, wrong] = parse_url(argc > 1 ? argv[1] : "");
    if (wrong != errc::ok || where.secure) {
        std::cerr << "usage: blocking_client ws://HOST[:PORT]/ [MESSAGE...]\n";
        return 2;
    }
    const int fd = connect_to(where);
    if (fd < 0) {
        std::cerr << "blocking_client: cannot connect\n";
        return 1;
    }
    client_request request;
    request.host = host_field(where);
    request.target = target(where);
    connection<role::client> ws(request, system_keys(), steady_clock::now());

    while (ws.state() == connection_state::opening) turn(fd, ws);
    for (int i = 2; i < argc && ws.send_text(std::string_view{argv[i]}) == errc::ok; ++i) {
        while (ws.messages().size() == 0 && !ws.should_close()) turn(fd, ws);
        if (const auto answer = ws.messages().pop()) std::cout << answer->text() << std::endl;
    }
    (void)ws.close(close_code::normal, "", steady_clock::now());
    while (!ws.should_close()) turn(fd, ws);
    ::close(fd);
    if (ws.close_info().clean) return 0;
    std::cerr << "blocking_client: " << describe(ws.close_info().cause) << '\n';
    return 1;
}
