// sans_io_echo.cpp
//
// A client and a server talk without a socket, a thread or a clock: bytes are
// carried from one to the other by hand, and time is whatever we say it is.
//
//   sans_io_echo
#include <sansocket/sansocket.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>

using namespace sansocket;
using namespace std::chrono_literals;

namespace {

// The network: takes what `from` has to send and gives it to `to`.
template <class From, class To>
void carry(From& from, To& to, time_point now) {
    while (from.wants_write()) {
        const auto out = from.output()[0];
        std::vector<std::byte> bytes(out.begin(), out.end());  // `to` unmasks them where they lie
        from.consume_output(bytes.size(), now);
        to.receive(bytes, now);
    }
}

void echo(connection<role::server>& server) {
    while (const auto message = server.messages().pop())
        if (const errc ec = server.send(message->kind, message->bytes); ec != errc::ok)
            std::cout << "not echoed: " << describe(ec) << '\n';
}

// A real client takes these from the system: std::random_device, for example.
constexpr std::array<std::byte, 32> seed{};

}  // namespace

int main() {
    time_point now{};
    client_request request;
    request.host = "example.com";
    connection<role::client> client(request, chacha_keys{std::span{seed}}, now);
    connection<role::server> server(server_policy{}, now);

    carry(client, server, now);  // the request
    carry(server, client, now);  // the response
    std::cout << "open: " << std::boolalpha << (client.state() == connection_state::open) << '\n';

    for (const std::string_view text : {"Hello", "世界", ""}) {
        if (client.send_text(text) != errc::ok) return 1;
        carry(client, server, now);
        echo(server);
        carry(server, client, now);
        while (const auto message = client.messages().pop())
            std::cout << "echoed: \"" << message->text() << "\"\n";
    }

    now = client.next_deadline();  // 20 seconds of silence: a Ping is due
    client.advance(now);
    carry(client, server, now);
    now += 5ms;
    carry(server, client, now);
    std::cout << "round trip: " << client.round_trip().value_or(0s) / 1ms << " ms\n";

    if (client.close(close_code::normal, "bye", now) != errc::ok) return 1;
    carry(client, server, now);
    carry(server, client, now);
    std::cout << "the server saw " << static_cast<int>(server.close_info().code()) << " \""
              << server.close_info().reason() << "\", clean: " << client.close_info().clean << '\n';
    return client.close_info().clean && server.close_info().clean ? 0 : 1;
}
