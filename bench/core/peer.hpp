// peer.hpp
//
// What the benchmark asks of each library it compares: a receive path, a send
// path, and the primitives under them. C++17, since one of the peers is no C++20.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace bench {

using byte = unsigned char;

enum class kind { text, binary };

enum class end { server, client };

/// What came out of a receive path. `add` is cheap enough to be timed with the rest.
class tally {
public:
    void add(kind k, const void* data, std::size_t size) {
        const auto* p = static_cast<const byte*>(data);
        ++messages_;
        bytes_ += size;
        text_ += k == kind::text;
        if (thorough_) add_all(p, size);
        else if (size != 0) sum_ += p[size - 1];
    }

    /// Hashes every byte from now on: for the check before the clock runs.
    void be_thorough() { thorough_ = true; }

    friend bool operator==(const tally& a, const tally& b) {
        return a.messages_ == b.messages_ && a.bytes_ == b.bytes_ && a.text_ == b.text_ &&
               a.sum_ == b.sum_;
    }

private:
    void add_all(const byte* p, std::size_t size) {
        for (std::size_t i = 0; i != size; ++i) sum_ = (sum_ ^ p[i]) * 0x100000001b3U;
    }

    std::uint64_t messages_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t text_ = 0;
    std::uint64_t sum_ = 0xcbf29ce484222325U;
    bool thorough_ = false;
};

/// A transport brings at most this many bytes at once.
inline constexpr std::size_t feed_size = std::size_t{64} * 1024;

/// The request that opens a connection, for libraries that insist on one.
inline constexpr char opening_request[] = "GET / HTTP/1.1\r\n"
                                          "Host: localhost\r\n"
                                          "Upgrade: websocket\r\n"
                                          "Connection: Upgrade\r\n"
                                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                          "Sec-WebSocket-Version: 13\r\n"
                                          "\r\n";

/// The same with an offer of permessage-deflate.
inline constexpr char deflate_request[] = "GET / HTTP/1.1\r\n"
                                          "Host: localhost\r\n"
                                          "Upgrade: websocket\r\n"
                                          "Connection: Upgrade\r\n"
                                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                          "Sec-WebSocket-Version: 13\r\n"
                                          "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                                          "\r\n";

/// Frames as a client sends them, whole, one behind the other.
struct wire {
    const byte* data;
    std::size_t size;
    std::size_t messages;
};

/// A server that receives frames: parses, unmasks, validates, delivers to `got`.
class receiver {
public:
    receiver() = default;
    receiver(const receiver&) = delete;
    receiver& operator=(const receiver&) = delete;
    virtual ~receiver() = default;

    /// Takes all of `from`, which arrives `feed_size` bytes at a time. Each arrival is copied once,
    /// as a transport would, into memory of the library's choice.
    virtual void receive(wire from) = 0;

    tally got;
};

/// An open connection that sends messages.
class sender {
public:
    sender() = default;
    sender(const sender&) = delete;
    sender& operator=(const sender&) = delete;
    virtual ~sender() = default;

    /// Sends one message; its frame is copied to `out`, as a transport would.
    /// @return the frame's size.
    virtual std::size_t send(kind k, const byte* payload, std::size_t size, byte* out) = 0;
};

/// How an echo is compressed, in both directions: zlib's level 6, memory level 8, window of 15 bits.
enum class takeover { yes, no };

/// An open server that compresses and echoes what it receives.
class echoer {
public:
    echoer() = default;
    echoer(const echoer&) = delete;
    echoer& operator=(const echoer&) = delete;
    virtual ~echoer() = default;

    /// Takes all of `from`, compressed, as `receiver::receive` does; what it sends is copied to `out`.
    /// @return how much that was.
    virtual std::size_t echo(wire from, byte* out) = 0;
};

/// One library. Null where it has no such thing.
struct peer {
    const char* name;
    std::unique_ptr<receiver> (*make_receiver)();
    std::unique_ptr<sender> (*make_sender)(end);
    bool (*is_valid_utf8)(const byte* text, std::size_t size);
    void (*mask)(byte* payload, std::size_t size, const byte* key);
    std::uint32_t (*next_masking_key)();
    std::unique_ptr<echoer> (*make_echoer)(takeover) = nullptr;
};

std::unique_ptr<echoer> make_sansocket_echoer(takeover);
std::unique_ptr<echoer> make_beast_echoer(takeover);

peer sansocket_peer();         // hands messages on where they lie; sends payloads where they lie
peer sansocket_copied_peer();  // messages go through the message queue; payloads are copied
peer beast_peer();
peer beast_copied_peer();  // its application copies, to gather messages and to reuse memory
peer websocketpp_peer();

}  // namespace bench
