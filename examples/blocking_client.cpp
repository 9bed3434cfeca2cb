// blocking_client.cpp
//
// The same client as client.cpp on a blocking POSIX socket, without Asio: the
// whole of what an adapter does, in the order that connection.hpp gives. A peer
// that does not read can hold it up: it waits in send(), where no deadline is seen.
//
//   blocking_client ws://127.0.0.1:8080/ Hello "and again"
#include "support/sockets.hpp"

#include <sansocket/sansocket.hpp>

#include <poll.h>

#include <array>
#include <cstddef>
#include <iostream>
#include <random>
#include <span>
#include <string_view>

namespace {

using namespace sansocket;
using sockets::now;

chacha_keys system_keys() {
    std::random_device device;
    std::array<std::byte, 32> seed;
    for (std::byte& b : seed) b = static_cast<std::byte>(device());
    return chacha_keys{std::span<const std::byte, 32>{seed}};
}

void write_all(int fd, connection<role::client>& ws) {
    while (ws.wants_write()) {
        const auto n = sockets::write_some(fd, ws.output()[0]);
        if (n < 0) return ws.transport_lost(now());
        ws.consume_output(static_cast<std::size_t>(n), now());
    }
}

void read_some(int fd, connection<role::client>& ws) {
    pollfd readable{fd, POLLIN, 0};
    const int most = 60'000;
    if (poll(&readable, 1, sockets::milliseconds_until(ws.next_deadline(), most)) == 0)
        return ws.advance(now());
    std::array<std::byte, 16384> buffer;
    const auto n = sockets::read_some(fd, buffer);
    if (n == 0) return ws.receive_end(now());
    if (n < 0) return ws.transport_lost(now());
    std::span rest = std::span{buffer}.first(static_cast<std::size_t>(n));
    while (true) {
        rest = rest.subspan(ws.receive(rest, now()));
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
    const int fd = sockets::connect_to(where);
    if (fd < 0) {
        std::cerr << "blocking_client: cannot connect\n";
        return 1;
    }
    client_request request;
    request.host = host_field(where);
    request.target = target(where);
    connection<role::client> ws(request, system_keys(), now());

    while (ws.state() == connection_state::opening) turn(fd, ws);
    for (int i = 2; i < argc && ws.send_text(std::string_view{argv[i]}) == errc::ok; ++i) {
        while (ws.messages().size() == 0 && !ws.should_close()) turn(fd, ws);
        if (const auto answer = ws.messages().pop()) std::cout << answer->text() << std::endl;
    }
    (void)ws.close(close_code::normal, "", now());
    while (!ws.should_close()) turn(fd, ws);
    ::close(fd);
    if (ws.close_info().clean) return 0;
    std::cerr << "blocking_client: " << describe(ws.close_info().cause) << '\n';
    return 1;
}
