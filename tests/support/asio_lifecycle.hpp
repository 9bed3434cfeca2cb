// A websocket in each state of its life (lifecycle.hpp), over TCP or in memory, in both roles, its
// peer raw; and streams that say how often they were released.
#pragma once

#include "asio_loop.hpp"
#include "asio_memory_stream.hpp"
#include "lifecycle.hpp"

#include <asio/any_io_executor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace support {

/// What became of a stream: `released` counts its closes and its destructions while open, `again`
/// the closes behind the first.
struct releases {
    int released = 0;
    int again = 0;
    int alive = 0;
};

/// A stream that counts its releases.
template <class Base>
class counted : public Base {
public:
    explicit counted(Base&& s) : Base(std::move(s)) { ++count_->alive; }
    explicit counted(const asio::any_io_executor& executor) requires(
        std::constructible_from<Base, asio::any_io_executor>)
        : Base(executor) {
        ++count_->alive;
    }
    counted(counted&&) noexcept = default;
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (!count_) return;  // moved from
        --count_->alive;
        if (is_held()) ++count_->released;
    }
    counted& lowest_layer() noexcept { return *this; }
    void close() {
        note();
        Base::close();
    }
    void close(std::error_code& ec) noexcept {
        note();
        if constexpr (requires { Base::close(ec); }) Base::close(ec);
        else Base::close();
    }
    [[nodiscard]] std::shared_ptr<const releases> count() const { return count_; }

private:
    bool is_held() const {
        if constexpr (requires(const Base& b) { b.is_open(); }) return Base::is_open();
        else return count_->released == 0;
    }
    void note() {
        if (is_held()) ++count_->released;
        else if (count_->released != 0) ++count_->again;
    }
    std::shared_ptr<releases> count_ = std::make_shared<releases>();
};

/// The stream that a raw peer has at the other end of a `Stream`.
template <class Stream>
using bare =
    std::conditional_t<std::derived_from<Stream, memory_stream>, memory_stream, tcp::socket>;

/// Two ends that are connected, and hold little that is unsent.
template <class Stream>
std::pair<bare<Stream>, bare<Stream>> connected(loop& l) {
    if constexpr (std::derived_from<Stream, memory_stream>) {
        return memory_stream::make_pair(l.io.get_executor());
    } else {
        tcp_pair p(l.io);
        for (auto* const end : {&p.a, &p.b})
            end->set_option(asio::socket_base::send_buffer_size(16 * 1024));
        return {std::move(p.a), std::move(p.b)};
    }
}

/// Runs `test` over each kind of stream: one that can be waited for, and one that cannot, as TLS.
template <class Test>
void over_each_stream(Test test) {
    SECTION("a socket") { test.template operator()<tcp::socket>(); }
    SECTION("in memory") { test.template operator()<memory_stream>(); }
}

/// And in each role.
template <class Test>
void over_each_stream_in_both_roles(Test test) {
    over_each_stream([&]<class Stream>() {
        in_both_roles([&]<role Role>() { test.template operator()<Role, Stream>(); });
    });
}

/// Room for one message that waits to be sent: every further one waits for room.
inline sansocket::options narrow_sending() {
    sansocket::options o;
    o.sending = {.high_bytes = 1, .low_bytes = 0};
    return o;
}

/// More than the transports of `connected` hold.
inline const std::string& stuck() {
    static const std::string text(512 * 1024, 'x');
    return text;
}

/// All states but CW, for the tests in which nothing is unread.
inline constexpr std::array nothing_unread{at::HS,  at::OI,  at::OM, at::OQ,
                                           at::CLO, at::CRE, at::CD};

/// A websocket and its raw peer, brought to a state. Nothing is unread but in CW; OM is inside the text "hi",
/// and OQ, where its peer reads nothing, has begun to send `stuck()`.
template <role Role, class Stream = tcp::socket>
class in_state {
public:
    using websocket = sansocket_asio::websocket<Role, Stream>;

    in_state(loop& l, at state, const sansocket::options& options = narrow_sending(),
             cut c = cut::whole)
        : in_state(l, connected<Stream>(l), c) {
        begin(options);
        if (state == at::HS) open_halfway();
        else open();
        if (state == at::OM) feed(frame<Role>(sansocket::opcode::text, bytes("hi"), false));
        if (state == at::OQ) unsent = support::send(ws, stuck());
        if (state == at::CLO) closed = support::close(ws, ours);
        if (state == at::CW)
            feed(frame<Role>(sansocket::opcode::text, bytes("q")) + peers_close<Role>());
        if (state == at::CRE) stay_in_reply();
        if (state == at::CRE || state == at::CD) feed(peers_close<Role>());
        if (state == at::CD) loop_->until([&] { return ws.close_info().clean; });
        loop_->poll();
    }

    /// The peer's bytes, and all that they bring about at once.
    void feed(const byte_vector& data) {
        peer.send(data);
        loop_->poll();
    }
    /// What the peer sends to go on from HS, and what it sends at once behind it.
    void open(const byte_vector& behind = {}) {
        if constexpr (Role == role::client) {
            if (request_.empty()) request_ = peer.read_head();
            feed(peer.answer_to(request_) + behind);
        } else {
            feed(bytes(upgrade_request.substr(sent_)) + behind);
            REQUIRE(peer.read_head().starts_with("HTTP/1.1 101 "));
        }
        loop_->until(opened);
        REQUIRE(!opened.ec());
    }

    websocket ws;
    basic_raw_peer<bare<Stream>> peer;
    // Cancels the opening handshake.
    const std::shared_ptr<asio::cancellation_signal> opening =
        std::make_shared<asio::cancellation_signal>();
    const result opened;
    std::optional<result> unsent;
    std::optional<result> closed;

private:
    in_state(loop& l, std::pair<bare<Stream>, bare<Stream>> streams, cut c)
        : ws(Stream(std::move(streams.first))), peer(l, std::move(streams.second), c), loop_(&l) {}

    void begin(const sansocket::options& options) {
        // It may go on when this is gone.
        auto token = asio::bind_cancellation_slot(
            opening->slot(), [r = opened, signal = opening](std::error_code ec) { r(ec); });
        if constexpr (Role == role::client)
            ws.async_handshake({.host = "localhost"}, options, std::move(token));
        else ws.async_accept({}, options, std::move(token));
    }
    void open_halfway() {
        if constexpr (Role == role::client) request_ = peer.read_head();
        else feed(bytes(upgrade_request.substr(0, sent_ = 40)));
    }
    // The answer waits behind what the peer does not read.
    void stay_in_reply() {
        unsent = support::send(ws, stuck());
        loop_->poll();
    }

    loop* loop_;
    std::string request_;
    std::size_t sent_ = 0;
};

/// A client and a server over the same kind of stream, neither of which has begun.
template <class Stream>
struct websockets {
    explicit websockets(loop& l) : websockets(connected<Stream>(l)) {}

    void open(loop& l, const sansocket::options& options = narrow_sending()) {
        const result accepted, opened;
        server.async_accept({}, options, accepted);
        client.async_handshake({.host = "localhost"}, options, opened);
        l.until(accepted);
        l.until(opened);
        REQUIRE(!accepted.ec());
        REQUIRE(!opened.ec());
    }
    template <role Role>
    auto& of() noexcept {
        if constexpr (Role == role::client) return client;
        else return server;
    }

    sansocket_asio::websocket<role::client, Stream> client;
    sansocket_asio::websocket<role::server, Stream> server;

private:
    explicit websockets(std::pair<bare<Stream>, bare<Stream>> streams)
        : client(Stream(std::move(streams.first))), server(Stream(std::move(streams.second))) {}
};

/// The code of the Close that a raw peer of `Role` reads next.
template <role Role, class Peer>
unsigned read_close(Peer& peer) {
    const byte_vector head = peer.read(2);
    REQUIRE(head.size() == 2);
    REQUIRE(head[0] == std::byte{0x88});
    std::size_t length = static_cast<std::size_t>(head[1] & std::byte{0x7f});
    byte_vector key(4);
    if (Role == role::client) key = peer.read(4);
    byte_vector payload = peer.read(length);
    REQUIRE(payload.size() == length);
    if (length == 0) return 1005;
    const auto code = [&](std::size_t i) { return static_cast<unsigned>(payload[i] ^ key[i]); };
    return code(0) << 8U | code(1);
}

}  // namespace support
