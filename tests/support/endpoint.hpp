// A connection under test: opened with literal bytes, driven by hand, on a clock that stands still
// until told. Fails the test that leaves it unclosed without saying so.
#pragma once

#include "catch.hpp"
#include "chunks.hpp"
#include "fixed_keys.hpp"
#include "hex.hpp"

#include <sansocket/connection.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace support {

using namespace std::chrono_literals;
using sansocket::close_code;
using sansocket::close_state;
using sansocket::connection_state;
using sansocket::errc;
using sansocket::role;
using sansocket::shutdown_request;

inline const std::string upgrade_request =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: "
    "Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

// How the peer's bytes come to every endpoint: whole, byte by byte, or in two. Those of `open` come whole.
struct arrival {
    std::size_t way = 0;      // 0: whole; 1: byte by byte; n: in two, after n - 1 bytes
    std::size_t longest = 0;  // most bytes that were brought at once
};
inline arrival arrives;

template <role Role, class Queue = sansocket::message_queue<>,
          class Deflate = sansocket::no_deflate, class Diagnostics = sansocket::default_diagnostics>
class endpoint {
public:
    using connection_type = sansocket::connection<Role, Queue, fixed_keys, Diagnostics, Deflate>;

    explicit endpoint(const sansocket::options& options = {}) : connection(make(options)) {}
    endpoint(const sansocket::options& options, Queue queue)
        : connection(make(options, std::move(queue))) {}
    endpoint(const endpoint&) = delete;
    endpoint& operator=(const endpoint&) = delete;
    ~endpoint() {
        if (!left_open) CHECK(connection.state() == connection_state::closed);
    }

    // The opening handshake, done. `extensions`: what the peer says of them.
    endpoint& open(const std::string& extensions = {}) {
        receive_whole(opening_and({}, extensions));
        if constexpr (Role == role::server) sent();
        REQUIRE(connection.state() == connection_state::open);
        return *this;
    }
    // The peer's part of it with `behind` in the same bytes. A client has sent its request then.
    byte_vector opening_and(const byte_vector& behind, const std::string& extensions = {}) {
        const std::string field =
            extensions.empty() ? "" : "Sec-WebSocket-Extensions: " + extensions + "\r\n";
        if constexpr (Role == role::server) {
            std::string asked = upgrade_request;
            return bytes(asked.insert(asked.size() - 2, field)) + behind;
        }
        const std::string request = text_of(sent());
        const std::string name = "Sec-WebSocket-Key: ";
        const auto at = request.find(name);
        REQUIRE(at != std::string::npos);
        const auto accept = sansocket::accept_key(request.substr(at + name.size(), 24));
        return bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                     std::string{accept.data(), accept.size()} + "\r\n" + field + "\r\n") +
               behind;
    }

    // All of it is taken, unless the queue is full.
    std::size_t receive(byte_vector data) {
        arrives.longest = (std::max)(arrives.longest, data.size());
        if (arrives.way == 0) return receive_whole(std::move(data));
        std::size_t taken = 0;
        std::size_t size = arrives.way == 1 ? 1 : arrives.way - 1;
        while (taken != data.size()) {
            size = (std::min)(size, data.size() - taken);
            const auto from = data.begin() + static_cast<std::ptrdiff_t>(taken);
            const std::size_t n = receive_whole({from, from + static_cast<std::ptrdiff_t>(size)});
            taken += n;
            if (n != size) break;
            if (arrives.way != 1) size = data.size();
        }
        return taken;
    }
    std::size_t receive_whole(byte_vector data) { return connection.receive(data, now); }
    void receive(const pieces& all) {
        for (const auto& piece : all) receive(piece);
    }

    // What the transport takes: at most `most` bytes.
    byte_vector sent(std::size_t most = static_cast<std::size_t>(-1)) {
        byte_vector out;
        while (out.size() < most && connection.wants_write()) {
            const auto buffers = connection.output();
            std::size_t taken = 0;
            for (const auto buffer : buffers) {
                const auto part = buffer.first((std::min)(buffer.size(), most - out.size()));
                out.insert(out.end(), part.begin(), part.end());
                taken += part.size();
            }
            connection.consume_output(taken, now);
        }
        return out;
    }

    std::vector<sansocket::message> messages() {
        std::vector<sansocket::message> out;
        while (const auto m = connection.messages().pop()) out.emplace_back(*m);
        return out;
    }

    // Time passes, in one step.
    void pass(sansocket::duration time) {
        now += time;
        connection.advance(now);
    }

    sansocket::time_point now{1h};
    connection_type connection;
    bool left_open = false;

private:
    template <class... Queues>
    connection_type make(const sansocket::options& options, Queues&&... queue) {
        if constexpr (Role == role::client) {
            return {{.host = "server.example.com", .target = "/chat"},
                    fixed_keys{},
                    now,
                    options,
                    std::forward<Queues>(queue)...};
        } else {
            return {sansocket::server_policy{}, now, options, std::forward<Queues>(queue)...};
        }
    }
};

using client = endpoint<role::client>;
using server = endpoint<role::server>;

// A frame as the peer of `Role` sends it: masked with the key 37fa213d if that is a client.
template <role Role>
byte_vector frame(sansocket::opcode op, byte_vector payload, bool fin = true) {
    const sansocket::masking_key key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21},
                                     std::byte{0x3d}};
    sansocket::frame_header header{fin, op, payload.size(), {}};
    if constexpr (Role == role::server) {
        header.key = key;
        for (std::size_t i = 0; i != payload.size(); ++i) payload[i] ^= key[i % 4];
    }
    byte_vector out(sansocket::encoded_size(header));
    sansocket::encode(header, out.data());
    return out + payload;
}

// The same with RSV1: the payload is compressed.
template <role Role>
byte_vector compressed_frame(sansocket::opcode op, byte_vector payload, bool fin = true) {
    byte_vector out = frame<Role>(op, std::move(payload), fin);
    out[0] |= std::byte{0x40};
    return out;
}

// A frame as an endpoint of `Role` sends it: what its peer would receive.
template <role Role>
byte_vector own_frame(sansocket::opcode op, byte_vector payload, bool fin = true) {
    sansocket::frame_header header{fin, op, payload.size(), {}};
    if constexpr (Role == role::client) {
        const sansocket::masking_key key = fixed_keys{}();
        header.key = key;
        for (std::size_t i = 0; i != payload.size(); ++i) payload[i] ^= key[i % 4];
    }
    byte_vector out(sansocket::encoded_size(header));
    sansocket::encode(header, out.data());
    return out + payload;
}

inline byte_vector close_bytes(unsigned code, std::string_view reason = {}) {
    byte_vector out{static_cast<std::byte>(code >> 8U), static_cast<std::byte>(code & 0xffU)};
    return out + bytes(reason);
}

}  // namespace support
