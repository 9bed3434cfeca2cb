// A connection under arbitrary input. The first byte chooses the role and what else happens, the
// second the pieces in which the rest arrives.
//
// However the input is cut: the same messages, the same output, the same end. After the end nothing
// more comes out, and memory stays bounded.
//
// With FUZZ_DEFLATE the connection has agreed on compression.
#include <sansocket/sansocket.hpp>
#ifdef FUZZ_DEFLATE
#include <sansocket_zlib/codec.hpp>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace sansocket;

void require(bool true_statement, const char* what) {
    if (true_statement) return;
    std::fprintf(stderr, "fuzz: broken: %s\n", what);
    std::abort();
}

struct zero_keys {
    masking_key operator()() const noexcept { return {}; }
};

#ifdef FUZZ_DEFLATE
using codec = sansocket_zlib::codec;
const std::string extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
#else
using codec = no_deflate;
const std::string extensions;
#endif
template <role Role>
using tested = connection<Role, message_queue<>, zero_keys, default_diagnostics, codec>;

struct outcome {
    std::vector<message> messages;
    std::string output;
    close_info info;
    connection_state state = connection_state::opening;
    std::string response;  // of a refusal: status and body
    friend bool operator==(const outcome& a, const outcome& b) {
        return a.messages == b.messages && a.output == b.output && a.state == b.state &&
               a.response == b.response && a.info.cause == b.info.cause &&
               a.info.received == b.info.received && a.info.sent == b.info.sent &&
               a.info.clean == b.info.clean &&
               a.info.incomplete_message == b.info.incomplete_message;
    }
};

// Whether the peer's Close waits for what came before it to be answered. What goes out in front of it
// depends on how the input is cut then.
bool close_waits = false;

options limits() {
    options o;
    if (!close_waits) o.close_delay = duration::zero();
    o.messages.size = 4096;
    o.queue = {.high_bytes = 2000, .low_bytes = 500, .high_count = 8, .low_count = 2};
    o.deflate.enabled = true;
    o.deflate.blocks = 20;
    o.http.body = 16;
    o.sending.control_bytes = 1 << 20;  // which Pongs are left out depends on when output is taken
    return o;
}

template <class Connection>
void drain(Connection& connection, outcome& out) {
    while (const auto m = connection.messages().pop()) out.messages.emplace_back(*m);
    while (connection.wants_write() || connection.next_deadline() == immediately) {
        if (!connection.wants_write()) {
            connection.advance({});
            continue;
        }
        const auto buffers = connection.output();
        for (const auto b : buffers)
            out.output.append(reinterpret_cast<const char*>(b.data()), b.size());
        connection.consume_output(buffers.bytes(), {});
    }
}

template <class Connection>
std::string response(const Connection& connection) {
    if constexpr (Connection::endpoint_role == role::client) {
        const auto& handshake = *connection.handshake();
        require(handshake.body().size() <= limits().http.body, "a refusal's body is bounded");
        return std::to_string(handshake.response().status()) + (handshake.body_cut() ? "-" : "+") +
               std::string{handshake.body()};
    } else {
        return {};
    }
}

template <class Connection>
outcome feed(Connection connection, std::span<const std::uint8_t> data, std::size_t piece,
             bool end) {
    outcome out;
    while (!data.empty()) {
        std::vector<std::byte> bytes((std::min)(piece, data.size()));
        std::memcpy(bytes.data(), data.data(), bytes.size());
        std::span<std::byte> rest{bytes};
        while (!rest.empty()) {
            const std::size_t n = connection.receive(rest, {});
            rest = rest.subspan(n);
            require(n != 0 || connection.messages().size() != 0,
                    "progress unless the queue is full");
            while (const auto m = connection.messages().pop()) out.messages.emplace_back(*m);
        }
        require(connection.messages().memory() < 144 * 1024, "memory is bounded");
        data = data.subspan(bytes.size());
    }
    drain(connection, out);
    if (end) connection.receive_end({});
    drain(connection, out);
    out.info = connection.close_info();
    out.state = connection.state();
    out.response = response(connection);
    require(out.state != connection_state::closed || connection.messages().at_eof(),
            "a closed connection's queue is at its end");
    require(!out.info.clean || (out.info.sent && out.info.received), "clean means both Closes");
    return out;
}

tested<role::server> open_server() {
    tested<role::server> c{server_policy{}, {}, limits()};
    std::string request =
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
        extensions + "\r\n";
    c.receive(std::as_writable_bytes(std::span{request}), {});
    outcome ignored;
    drain(c, ignored);
    return c;
}

tested<role::client> new_client() {
    return {client_request{.host = "h"}, zero_keys{}, {}, limits()};
}

tested<role::client> open_client() {
    auto c = new_client();
    outcome ignored;
    drain(c, ignored);
    const auto accept = accept_key("AAAAAAAAAAAAAAAAAAAAAA==");
    std::string response = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: " +
                           std::string{accept.data(), accept.size()} + "\r\n" + extensions + "\r\n";
    c.receive(std::as_writable_bytes(std::span{response}), {});
    require(c.state() == connection_state::open, "the client opens");
    return c;
}

template <class Make>
void check(Make make, std::span<const std::uint8_t> data, std::size_t piece, bool end) {
    const outcome whole = feed(make(), data, data.size() + 1, end);
    require(whole == feed(make(), data, piece, end), "the same however it is cut");
    require(whole == feed(make(), data, 1, end), "the same byte by byte");
    close_waits = true;
    const auto essence = [&](std::size_t pieces) {
        outcome out = feed(make(), data, pieces, end);
        out.output.clear();
        return out;
    };
    const outcome waited = essence(data.size() + 1);
    require(waited.state != connection_state::open || !waited.info.received,
            "a Close that waited is answered when all was read and written");
    require(waited == essence(1), "the same byte by byte, where the Close waits");
    close_waits = false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const unsigned what = data[0];
    const std::size_t piece = data[1] + 1U;
    const std::span<const std::uint8_t> input{data + 2, size - 2};
    const bool end = (what & 4U) != 0;
    switch (what & 3U) {
    case 0: check(open_server, input, piece, end); break;
    case 1: check(open_client, input, piece, end); break;
    case 2:
        check(
            [] {
                return tested<role::server>{server_policy{}, {}, limits()};
            },
            input, piece, end);
        break;
    default: check(new_client, input, piece, end); break;
    }
    return 0;
}
