// Websockets of the Asio adapter that compress.
#include <sansocket_asio/websocket.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include "support/asio_loop.hpp"
#include "support/counting_memory.hpp"
#include "support/deflate_pair.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

using codec = sansocket_zlib::basic_codec<counting_memory>;
template <role Role, class Codec = codec>
using websocket =
    sansocket_asio::websocket<Role, tcp::socket, sansocket_zlib::connection<Role, Codec>>;

// Both ends of a connection, open.
struct deflated_pair {
    explicit deflated_pair(loop& l, const sansocket::options& options = with_deflate(256))
        : deflated_pair(l, options, tcp_pair(l.io)) {}
    deflated_pair(loop& l, const sansocket::options& options, tcp_pair sockets)
        : client(std::move(sockets.a)), server(std::move(sockets.b)) {
        const result accepted, opened;
        server.async_accept({}, options, accepted);
        client.async_handshake({.host = "localhost"}, options, opened);
        l.until(opened);
        l.until(accepted);
        REQUIRE(!opened.ec());
        REQUIRE(client.connection()->deflate());
        REQUIRE(server.connection()->deflate());
    }
    websocket<role::client> client;
    websocket<role::server> server;
};

// Sizes around the threshold, and large ones.
std::string payload(unsigned i) {
    return i % 5 == 0    ? json_like(200 + i, i)
           : i % 11 == 0 ? json_like(90'000, i)
                         : json_like(257 + i % 3, i);
}

}  // namespace

TEST_CASE("zlib websocket: messages go both ways compressed, and the counters say so") {
    {
        loop l;
        deflated_pair p(l);
        const std::string large = json_like(300'000);
        for (const std::string& text : {std::string("small"), large, large}) {
            const result sent = send(p.client, text);
            const result got = receive(p.server);
            l.until(got);
            CHECK(got.text() == text);
            const result back;
            p.server.async_send(message_kind::text, std::as_bytes(std::span{text}),
                                sansocket::compression::off, back);
            const result echoed = receive(p.client);
            l.until(echoed);
            CHECK(echoed.text() == text);
        }
        CHECK(p.server.connection()->explain().decompressed_messages == 2);
        CHECK(p.client.connection()->explain().compressed_messages == 2);
        CHECK(p.client.connection()->explain().decompressed_messages == 0);
        close_both(l, p.client, p.server);
        CHECK(l.finish() < 1s);
    }
    CHECK(counting_memory::held == 0);
}

TEST_CASE("B73: concurrent compressed sends of mixed sizes arrive whole, in the order they were "
          "taken") {
    loop l;
    deflated_pair p(l);
    std::vector<std::string> texts;
    for (unsigned i = 0; i != 400; ++i) texts.push_back(payload(i));
    std::vector<result> sent;
    for (const auto& text : texts) sent.push_back(send(p.client, text));
    for (const auto& text : texts) {
        const result got = receive(p.server);
        l.until(got);
        REQUIRE(got.text() == text);
    }
    for (const auto& r : sent) CHECK((r.done() && !r.ec()));
    close_both(l, p.client, p.server);
}

TEST_CASE("B72 (adapter): a compressed send that is cancelled leaves the others to be decoded") {
    const std::string filler(8'000'000, 'x');  // more than a socket takes at once
    for (std::size_t k = 0; k != 12; ++k) {
        loop l;
        auto options = with_deflate(0);
        options.sending.high_bytes = 1;
        options.sending.low_bytes = 0;
        deflated_pair p(l, options);
        const result filled;
        p.client.async_send(message_kind::text, std::as_bytes(std::span{filler}),
                            sansocket::compression::off, filled);
        asio::cancellation_signal cancel;
        std::vector<std::string> texts;
        for (unsigned i = 0; i != 12; ++i) texts.push_back(json_like(20'000, i));
        std::deque<result> sent(texts.size());
        for (std::size_t i = 0; i != texts.size(); ++i) {
            const auto text = std::string_view{texts[i]};
            if (i == k)
                p.client.async_send_text(text,
                                         asio::bind_cancellation_slot(cancel.slot(), sent[i]));
            else p.client.async_send_text(text, sent[i]);
        }
        cancel.emit(asio::cancellation_type::total);
        const result large = receive(p.server);
        l.until(large);
        REQUIRE(large.text() == filler);
        for (std::size_t i = 0; i != texts.size(); ++i) {
            if (i == k) continue;
            const result got = receive(p.server);
            l.until(got);
            REQUIRE(got.text() == texts[i]);
        }
        for (std::size_t i = 0; i != texts.size(); ++i) {
            l.until(sent[i]);
            CHECK(bool(sent[i].ec()) == (i == k));
        }
        close_both(l, p.client, p.server);
    }
    CHECK(counting_memory::held == 0);
}

TEST_CASE("B05 (adapter): a connection is lost while a compressed message waits: it completes, and "
          "nothing is held") {
    {
        loop l;
        l.left_open = true;
        auto options = with_deflate(0);
        options.sending.high_bytes = 1;
        options.sending.low_bytes = 0;
        deflated_pair p(l, options);
        const std::string large = noise(8'000'000);  // more than loopback takes
        const std::string next = json_like(1000);
        const result first;
        p.client.async_send_binary(std::as_bytes(std::span{large}), first);
        const result waits = send(p.client, next);
        l.until(first);
        CHECK(!waits.done());
        p.server.abort();
        l.until(waits);
        CHECK(waits.ec());
        CHECK(p.client.state() == sansocket::connection_state::closed);
    }
    CHECK(counting_memory::held == 0);
}

TEST_CASE("zlib websocket: a prepared message goes to many, compressed once") {
    loop l;
    deflated_pair first(l), second(l);
    const std::string data = json_like(5000);
    const sansocket::prepared_message prepared{std::string_view{data}};
    for (auto* p : {&first, &second}) {
        const result sent;
        p->server.async_send(prepared, sent);
        CHECK(p->server.try_send(prepared) == errc::ok);
        for (int i = 0; i != 2; ++i) {
            const result got = receive(p->client);
            l.until(got);
            CHECK(got.text() == data);
        }
        l.until(sent);
        CHECK(!sent.ec());
        CHECK(p->client.connection()->explain().decompressed_messages == 2);
    }
    CHECK(prepared.compressed_frames() == 1);
    close_both(l, first.client, first.server);
    close_both(l, second.client, second.server);
}
