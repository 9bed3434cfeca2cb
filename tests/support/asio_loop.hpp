// Websockets over loopback, driven from a test that is an ordinary function: start an operation
// with a `result` for its token, and let the loop run until it has completed. Nothing here sleeps,
// and nothing waits for ever.
#pragma once

#include "catch.hpp"
#include "endpoint.hpp"
#include "hex.hpp"

#include <sansocket_asio/diagnostics.hpp>
#include <sansocket_asio/websocket.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace support {

using namespace std::chrono_literals;
using asio::ip::tcp;
using sansocket::message_kind;
using websocket_client = sansocket_asio::client;
using websocket_server = sansocket_asio::server_connection;

inline constexpr std::chrono::seconds patience{60};

/// What an operation completed with; copies share it. Itself a completion handler.
class result {
public:
    void operator()(std::error_code ec, sansocket::message m = {}) const {
        ++state_->count;
        state_->ec = ec;
        state_->message = std::move(m);
    }
    [[nodiscard]] bool done() const {
        CHECK(state_->count < 2);
        return state_->count != 0;
    }
    /// How many times it completed.
    [[nodiscard]] int count() const { return state_->count; }
    [[nodiscard]] std::error_code ec() const { return state_->ec; }
    [[nodiscard]] const std::string& text() const { return state_->message.data; }

private:
    struct state {
        int count = 0;
        std::error_code ec;
        sansocket::message message;
    };
    std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// An io_context that runs as far as a test asks for. Fails the test that leaves a websocket unclosed
/// without saying so, where the build has diagnostics.
class loop {
public:
    loop() = default;
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop() {
        if (!left_open) CHECK(leaks() == 0);
    }
    /// Websockets dropped without a close so far.
    [[nodiscard]] int leaks() const { return leaks_.count; }
    /// Some are dropped on purpose.
    bool left_open = false;
    /// How long a test waits at most.
    std::chrono::seconds longest = patience;

    /// Runs until `done()`. A test fails that has to wait too long, or for nothing.
    template <class Done>
    void until(Done done) {
        const auto end = std::chrono::steady_clock::now() + longest;
        while (!done()) {
            io.restart();
            if (io.run_one_for(longest) == 0) FAIL("nothing is left to happen");
            if (std::chrono::steady_clock::now() > end) FAIL("it takes too long");
        }
    }
    void until(const result& r) {
        until([&r] { return r.done(); });
    }
    /// Runs until nothing is left to do, and says how long that took.
    std::chrono::steady_clock::duration finish() {
        const auto start = std::chrono::steady_clock::now();
        io.restart();
        io.run_for(patience);
        REQUIRE(io.stopped());
        return std::chrono::steady_clock::now() - start;
    }
    /// Runs what can run without waiting for anything.
    void poll() {
        io.restart();
        while (io.poll() != 0) {}
    }

private:
    struct counter final : sansocket::diagnostics_handler {
        counter() : before(sansocket_asio::set_diagnostics_handler(this)) {}
        counter(const counter&) = delete;
        counter& operator=(const counter&) = delete;
        ~counter() { sansocket_asio::set_diagnostics_handler(before); }
        void leaked(const sansocket::leak_report&) noexcept override { ++count; }
        std::atomic<int> count = 0;
        sansocket::diagnostics_handler* before;
    };
    counter leaks_;

public:
    asio::io_context io{1};
};

/// The next connection that somebody makes to `acceptor`.
inline tcp::socket accept(loop& l, tcp::acceptor& acceptor) {
    tcp::socket socket(l.io);
    bool done = false;
    acceptor.async_accept(socket, [&](std::error_code ec) { done = !ec; });
    l.until([&] { return done; });
    return socket;
}

/// The two ends of a TCP connection.
struct tcp_pair {
    explicit tcp_pair(asio::io_context& io) : a(io), b(io) {
        tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        a.connect(acceptor.local_endpoint());
        b = acceptor.accept();
    }
    tcp::socket a;
    tcp::socket b;
};

/// A client and a server, connected and open.
struct websocket_pair {
    explicit websocket_pair(loop& l, const sansocket::options& of_client = {},
                            const sansocket::options& of_server = {})
        : websocket_pair(l, tcp_pair{l.io}, of_client, of_server) {}

    websocket_client client;
    websocket_server server;

private:
    websocket_pair(loop& l, tcp_pair sockets, const sansocket::options& of_client,
                   const sansocket::options& of_server)
        : client(std::move(sockets.a)), server(std::move(sockets.b)) {
        const result accepted;
        const result opened;
        server.async_accept({}, of_server, accepted);
        client.async_handshake({.host = "localhost"}, of_client, opened);
        l.until(accepted);
        l.until(opened);
        REQUIRE(!accepted.ec());
        REQUIRE(!opened.ec());
    }
};

/// How a peer's bytes come: at once, or each by itself, with all done that it brings about.
enum class cut { whole, bytes };

/// A peer that writes and reads bytes, and knows no protocol but the opening handshake.
template <class Stream>
class basic_raw_peer {
public:
    basic_raw_peer(loop& l, Stream s, cut c = cut::whole)
        : socket(std::move(s)), cut_(c), loop_(&l) {
        sansocket_asio::detail::no_delay(socket);
    }

    void send(const byte_vector& data) { REQUIRE(offer(data)); }
    /// The same to one that may be gone already.
    bool offer(const byte_vector& data) {
        if (cut_ == cut::whole) return write(data);
        for (const std::byte b : data) {
            if (!write({b})) return false;
            loop_->poll();
        }
        return true;
    }
    byte_vector read(std::size_t n) {
        byte_vector out(n);
        bool done = false;
        asio::async_read(socket, asio::buffer(out), [&](std::error_code ec, std::size_t got) {
            read_error = ec;
            out.resize(got);
            done = true;
        });
        loop_->until([&] { return done; });
        return out;
    }
    /// Up to the end of the stream; `read_error` says what that was.
    byte_vector read_to_end() {
        byte_vector out;
        bool done = false;
        asio::async_read(socket, asio::dynamic_buffer(out), [&](std::error_code ec, std::size_t) {
            read_error = ec;
            done = true;
        });
        loop_->until([&] { return done; });
        return out;
    }
    std::string read_head() {
        std::string head;
        while (!head.ends_with("\r\n\r\n")) {
            head += text_of(read(1));
            REQUIRE(!read_error);
        }
        return head;
    }
    /// The answer to a request.
    static byte_vector answer_to(const std::string& request) {
        const std::string name = "Sec-WebSocket-Key: ";
        const auto at = request.find(name);
        REQUIRE(at != std::string::npos);
        const auto key = sansocket::accept_key(request.substr(at + name.size(), 24));
        return bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                     std::string{key.data(), key.size()} + "\r\n\r\n");
    }
    /// Answers the request that a client has sent, and says what it was.
    std::string accept() {
        const std::string request = read_head();
        send(answer_to(request));
        return request;
    }
    /// Ends the connection with a reset.
    void reset() {
        socket.set_option(asio::socket_base::linger{true, 0});
        socket.close();
    }

    Stream socket;
    std::error_code read_error;

private:
    bool write(const byte_vector& data) {
        std::error_code failed;
        bool done = false;
        asio::async_write(socket, asio::buffer(data), [&](std::error_code ec, std::size_t) {
            failed = ec;
            done = true;
        });
        loop_->until([&] { return done; });
        return !failed;
    }

    cut cut_;
    loop* loop_;
};
using raw_peer = basic_raw_peer<tcp::socket>;

/// An open server whose client is a raw peer.
struct raw_client_pair {
    explicit raw_client_pair(loop& l, const sansocket::options& options = {})
        : raw_client_pair(l, tcp_pair{l.io}, options) {}

    raw_peer peer;
    websocket_server server;

private:
    raw_client_pair(loop& l, tcp_pair sockets, const sansocket::options& options)
        : peer(l, std::move(sockets.a)), server(std::move(sockets.b)) {
        const result accepted;
        server.async_accept({}, options, accepted);
        peer.send(bytes(upgrade_request));
        REQUIRE(peer.read_head().starts_with("HTTP/1.1 101 "));
        l.until(accepted);
        REQUIRE(!accepted.ec());
    }
};

/// An open client whose server is a raw peer.
struct raw_server_pair {
    explicit raw_server_pair(loop& l, const sansocket::options& options = {})
        : raw_server_pair(l, tcp_pair{l.io}, options) {}

    websocket_client client;
    raw_peer peer;

private:
    raw_server_pair(loop& l, tcp_pair sockets, const sansocket::options& options)
        : client(std::move(sockets.a)), peer(l, std::move(sockets.b)) {
        const result opened;
        client.async_handshake({.host = "localhost"}, options, opened);
        peer.accept();
        l.until(opened);
        REQUIRE(!opened.ec());
    }
};

/// A frame as a client sends it, to a server; and the other way.
inline byte_vector to_server(sansocket::opcode op, const byte_vector& payload) {
    return frame<role::server>(op, payload);
}
inline byte_vector to_client(sansocket::opcode op, const byte_vector& payload) {
    return frame<role::client>(op, payload);
}

template <class Websocket>
result receive(Websocket& ws) {
    result r;
    ws.async_receive(r);
    return r;
}

template <class Websocket>
result send(Websocket& ws, std::string_view text) {
    result r;
    ws.async_send_text(text, r);
    return r;
}

template <class Websocket>
result close(Websocket& ws, close_code code = close_code::normal, std::string_view reason = {}) {
    result r;
    ws.async_close(code, reason, r);
    return r;
}

/// Closes one end, and waits until both are over.
template <class First, class Second>
void close_both(loop& l, First& first, Second& second) {
    const result closed = close(first);
    l.until(closed);
    CHECK(!closed.ec());
    l.until([&] { return second.state() == connection_state::closed; });
}
inline void close_both(loop& l, websocket_pair& p) { close_both(l, p.client, p.server); }

}  // namespace support
