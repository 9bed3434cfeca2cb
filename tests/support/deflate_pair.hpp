// A client and a server with a codec each, and the bytes between them.
#pragma once

#include "endpoint.hpp"

#include <sansocket/connection.hpp>

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace support {

inline sansocket::options with_deflate(std::size_t threshold = 0) {
    sansocket::options o;
    o.deflate.enabled = true;
    o.deflate.threshold = threshold;
    return o;
}

template <class ClientCodec, class ServerCodec = ClientCodec,
          class Queue = sansocket::message_queue<>>
struct deflate_pair {
    // `most`: bytes that are carried at once.
    explicit deflate_pair(const sansocket::options& client_options = with_deflate(),
                          const sansocket::options& server_options = with_deflate(),
                          std::size_t most = 100000)
        : a(client_options), b(server_options), at_once(most) {
        run();
        REQUIRE(a.connection.state() == connection_state::open);
        REQUIRE(b.connection.state() == connection_state::open);
        to_a.clear();
        to_b.clear();
    }
    ~deflate_pair() {
        a.connection.abort();
        b.connection.abort();
    }
    deflate_pair(const deflate_pair&) = delete;
    deflate_pair& operator=(const deflate_pair&) = delete;

    // Carries everything, and keeps what went over the wire.
    void run() {
        while (a.connection.wants_write() || b.connection.wants_write()) {
            carry(a, b, to_b, got_b);
            carry(b, a, to_a, got_a);
        }
    }

    endpoint<role::client, Queue, ClientCodec> a;
    endpoint<role::server, Queue, ServerCodec> b;
    byte_vector to_a, to_b;  // what the wire carried
    std::vector<sansocket::message> got_a, got_b;
    std::size_t at_once;

private:
    template <class From, class To>
    void carry(From& from, To& to, byte_vector& wire, std::vector<sansocket::message>& got) {
        const auto fresh = from.sent();
        wire.insert(wire.end(), fresh.begin(), fresh.end());
        for (auto& piece : in_pieces_of(at_once, fresh)) {
            std::span<std::byte> in{piece};
            while (!in.empty()) {
                const std::size_t taken = to.connection.receive(in, to.now);
                in = in.subspan(taken);
                for (auto& m : to.messages()) got.push_back(std::move(m));
            }
        }
    }
};

/// Text as programs send it: it compresses well.
inline std::string json_like(std::size_t size, unsigned seed = 1) {
    std::minstd_rand random(seed);
    std::string out = "[";
    while (out.size() < size) {
        out += "{\"id\":" + std::to_string(random() % 100000) + ",\"name\":\"user" +
               std::to_string(random() % 1000) +
               "\",\"active\":" + (random() % 2 != 0U ? "true" : "false") +
               ",\"score\":" + std::to_string(random() % 10000) + "},";
    }
    out.resize(size);
    return out;
}

/// Bytes that do not compress.
inline std::string noise(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random() >> 24U);
    return out;
}

}  // namespace support
