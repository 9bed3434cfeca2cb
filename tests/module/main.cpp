// A client and a server in memory, by the module alone: they open, talk and close.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <span>
#include <system_error>
#include <vector>

import sansocket;

namespace {

using sansocket::time_point;

// Moves what `from` has to say to `to`.
template <class From, class To>
void move(From& from, To& to, time_point now) {
    while (from.wants_write()) {
        const std::span<const std::byte> out = from.output()[0];
        std::vector<std::byte> bytes(out.begin(), out.end());
        from.consume_output(bytes.size(), now);
        std::span<std::byte> rest(bytes);
        while (!rest.empty() && to.wants_read()) rest = rest.subspan(to.receive(rest, now));
    }
}

int failed(const char* what) {
    std::printf("failed: %s\n", what);
    return 1;
}

}  // namespace

int main() {
    const time_point now{std::chrono::seconds(1)};
    const auto [url, ec] = sansocket::parse_url("ws://localhost/chat");
    if (ec != sansocket::errc::ok) return failed("parse_url");

    sansocket::client_request request;
    request.host = sansocket::host_field(url);
    request.target = sansocket::target(url);
    const std::vector<std::byte> seed(32, std::byte{7});
    sansocket::connection<sansocket::role::client> client(
        request, sansocket::chacha_keys(std::span<const std::byte, 32>(seed.data(), 32)), now);
    sansocket::connection<sansocket::role::server> server(sansocket::server_policy{}, now);
    move(client, server, now);
    move(server, client, now);
    if (client.state() != sansocket::connection_state::open) return failed("opening handshake");

    if (client.send_text("hello") != sansocket::errc::ok) return failed("send_text");
    move(client, server, now);
    const auto message = server.messages().pop();
    if (!message || message->kind != sansocket::message_kind::text || message->text() != "hello")
        return failed("message");

    if (server.close(sansocket::close_code::going_away, "bye", now) != sansocket::errc::ok)
        return failed("close");
    move(server, client, now);
    move(client, server, now);
    const auto info = client.close_info();
    const std::error_code cause = info.cause;
    if (cause.message().empty()) return failed("std::error_code");
    if (!info.clean || !info.received || info.received->code != sansocket::close_code::going_away)
        return failed("closing handshake");
    std::puts("ok");
}
