// Requirements of RFC 6455 that no single machine can be held to: a whole connection is.
#include <sansocket/connection.hpp>

#include "support/catch.hpp"
#include "support/endpoint.hpp"
#include "support/hex.hpp"

#include <sansocket/masking_keys.hpp>
#include <sansocket/wire/frame_header.hpp>

#include <array>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace {

using namespace sansocket;
using namespace std::string_view_literals;
using support::byte_vector;
using support::bytes;
using support::endpoint;
using support::operator+;
using support::hex;
using support::text_of;

using real_client = connection<role::client>;

chacha_keys keys_from(unsigned char first) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{first};
    return chacha_keys{std::span<const std::byte, 32>{seed}};
}

byte_vector take_output(real_client& c) {
    byte_vector out;
    while (c.wants_write()) {
        const auto buffer = c.output()[0];
        out.insert(out.end(), buffer.begin(), buffer.end());
        c.consume_output(buffer.size(), time_point{});
    }
    return out;
}

real_client client_with(chacha_keys keys) {
    client_request request;
    request.host = "server.example.com";
    return {request, std::move(keys), time_point{}};
}

std::string handshake_key(real_client& c) {
    const std::string request = text_of(take_output(c));
    const auto at = request.find("Sec-WebSocket-Key: ");
    REQUIRE(at != request.npos);
    return request.substr(at + 19, 24);
}

void open(real_client& c) {
    const auto accept = accept_key(handshake_key(c));
    auto response = bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                          std::string{accept.data(), accept.size()} + "\r\n\r\n");
    c.receive(response, time_point{});
    REQUIRE(c.state() == connection_state::open);
}

template <class Test>
void in_both_roles(Test test) {
    test.template operator()<role::client>();
    test.template operator()<role::server>();
}

}  // namespace

TEST_CASE("rfc6455: each connection has a handshake key of its own, of 16 bytes (4.1)") {
    std::set<std::string> keys;
    for (unsigned char i = 0; i != 20; ++i) {
        real_client c = client_with(keys_from(i));
        const std::string key = handshake_key(c);
        CHECK(is_valid_key(key));
        keys.insert(key);
        c.abort();
    }
    CHECK(keys.size() == 20);
}

TEST_CASE("rfc6455: a client sends its request and nothing more before the answer (4.1)") {
    support::client c;
    const std::string request = text_of(c.sent());
    CHECK(request.starts_with("GET /chat HTTP/1.1\r\n"));
    CHECK(request.ends_with("\r\n\r\n"));
    CHECK(request.find("\r\n\r\n") == request.size() - 4);

    CHECK(c.connection.send_text("early") == errc::not_open);
    CHECK(c.connection.start(message_kind::text) == errc::not_open);
    CHECK(c.connection.send_ping() == errc::not_open);
    c.receive(bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"));
    CHECK(c.connection.send_text("early") == errc::not_open);
    CHECK(c.sent().empty());
    c.connection.abort();
}

TEST_CASE("rfc6455: a server passes over offers of extensions and unknown fields (4.2.1)") {
    support::server s;
    std::string request = support::upgrade_request;
    request.insert(request.find("Host:"),
                   "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover, x\r\n"
                   "X-Unknown: 1\r\n");
    s.receive(bytes(request));
    CHECK(text_of(s.sent()) == "HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                               "\r\n");
    CHECK(s.connection.state() == connection_state::open);
    s.connection.abort();
}

TEST_CASE("rfc6455: each frame has a masking key of its own (5.3, 10.3)") {
    real_client c = client_with(keys_from(7));
    open(c);
    for (int i = 0; i != 50; ++i) CHECK(c.send_text("same") == errc::ok);
    CHECK(c.send_ping() == errc::ok);
    CHECK(c.close(close_code::normal, "", time_point{}) == errc::ok);

    const byte_vector out = take_output(c);
    std::span<const std::byte> rest = out;
    std::set<masking_key> keys;
    int frames = 0;
    for (; !rest.empty(); ++frames) {
        const auto [header, size, ec] = parse_frame_header(rest, role::server);
        REQUIRE(ec == errc::ok);
        keys.insert(*header.key);
        rest = rest.subspan(size + static_cast<std::size_t>(header.payload_length));
    }
    CHECK(frames == 52);
    CHECK(keys.size() == 52);
    c.abort();
}

TEST_CASE("rfc6455: no frame goes out behind our Close but the answer to a Ping (5.5.1, 5.5.2)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.start(message_kind::text) == errc::ok);
        CHECK(e.connection.append("never finished"sv) == errc::ok);
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        e.sent();

        CHECK(e.connection.send_text("late") == errc::closing);
        CHECK(e.connection.append("late"sv) == errc::closing);
        CHECK(e.connection.finish() == errc::closing);
        CHECK(e.connection.send_ping() == errc::closing);
        CHECK(e.connection.close(close_code::going_away, "", e.now) == errc::closing);
        CHECK(e.sent().empty());

        e.receive(support::frame<Role>(opcode::ping, bytes("x")));
        CHECK(e.sent() == support::own_frame<Role>(opcode::pong, bytes("x")));
        e.connection.abort();
    });
}

TEST_CASE("rfc6455: behind the peer's Close nothing goes out but ours, no Pong (5.5.1, 5.5.2)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        e.receive(support::frame<Role>(opcode::close, support::close_bytes(1000)) +
                  support::frame<Role>(opcode::ping, bytes("x")));
        CHECK(e.connection.send_text("late") == errc::closing);
        CHECK(e.connection.send_pong() == errc::closing);
        CHECK(e.sent() == support::own_frame<Role>(opcode::close, support::close_bytes(1000)));
        CHECK(e.connection.send_text("late") == errc::closed);
    });
}

TEST_CASE("rfc6455: literal bytes of a failed connection: Close with code and reason (7.1.7)") {
    support::server s;
    s.open();
    CHECK(s.connection.send_text("unsent") == errc::ok);
    s.receive(hex("c1 80 00000000") + support::frame<role::server>(opcode::close, {}));
    CHECK(s.sent() ==
          hex("88 3c 03ea") + bytes("a reserved bit is set without an extension that defines it"));
    CHECK(s.connection.wants_shutdown() == shutdown_request::half_close);
    s.connection.receive_end(s.now);
    CHECK(s.connection.wants_shutdown() == shutdown_request::close);
}

TEST_CASE("rfc6455: a stream that is lost is the end, and nothing more is sent (7.2.1)") {
    support::client c;
    c.open();
    CHECK(c.connection.send_text("on its way") == errc::ok);
    c.connection.transport_lost(c.now);
    CHECK(c.connection.state() == connection_state::closed);
    CHECK(c.connection.close_info().cause == errc::transport_lost);
    CHECK(c.connection.close_info().code() == close_code::abnormal);
    CHECK_FALSE(c.connection.wants_write());
    CHECK(c.connection.should_close());
}
