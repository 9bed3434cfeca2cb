#include <sansocket_zlib/codec.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/counting_memory.hpp"
#include "support/deflate_pair.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace support;
using namespace std::string_view_literals;
using sansocket::compression;
using sansocket::deflate_agreement;
using sansocket::deflate_parameters;
using sansocket::deflate_settings;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;
using sansocket_zlib::codec;
using sansocket_zlib::shared_codec;

namespace {

const std::string agreed = "permessage-deflate";

message text(std::string s) { return {message_kind::text, std::move(s)}; }

template <class Test>
void in_both_roles(Test test) {
    test.template operator()<role::client>();
    test.template operator()<role::server>();
}

// What comes out of compressed text frames with `payloads`, in every chunking.
template <role Role>
std::vector<message> received(const std::vector<byte_vector>& payloads, errc cause = errc::ok,
                              const sansocket::options& options = with_deflate()) {
    byte_vector wire;
    for (const auto& p : payloads) wire = wire + compressed_frame<Role>(opcode::text, p);
    std::vector<message> all;
    bool first = true;
    for (const auto& cut : every_chunking(wire)) {
        endpoint<Role, sansocket::message_queue<>, codec> e(options);
        e.open(agreed);
        e.receive(cut);
        CHECK(describe(e.connection.close_info().cause) == describe(cause));
        auto now = e.messages();
        if (first) all = now;
        CHECK(now == all);
        first = false;
        e.connection.abort();
    }
    return all;
}

std::vector<message> some_messages() {
    std::vector<message> out{text(""), text("a"), text("Hello"), text("Hello"),
                             text("caf\xc3\xa9")};
    for (const std::size_t size : {125U, 126U, 1000U, 65535U, 65536U, 70000U, 300000U}) {
        out.push_back(text(json_like(size)));
        out.push_back({message_kind::binary, noise(size)});
        out.push_back({message_kind::binary, std::string(size, '\0')});
    }
    return out;
}

// Sends messages both ways and looks whether they arrive.
template <class Client, class Server = Client>
void check_conversation(const sansocket::options& client, const sansocket::options& server,
                        std::size_t at_once = 100000) {
    deflate_pair<Client, Server> pair(client, server, at_once);
    const auto sent = some_messages();
    for (const message& m : sent) {
        REQUIRE(pair.a.connection.send(m.kind, m.bytes()) == errc::ok);
        REQUIRE(pair.b.connection.send(m.kind, m.bytes()) == errc::ok);
        pair.run();
    }
    CHECK(pair.got_a == sent);
    CHECK(pair.got_b == sent);
    REQUIRE(pair.a.connection.deflate());
    CHECK(pair.a.connection.explain().decompressed_messages != 0);
    CHECK(pair.b.connection.explain().decompressed_messages != 0);
}

}  // namespace

TEST_CASE("zlib: the RFC's own messages (RFC 7692 7.2.3)") {
    in_both_roles([]<role Role> {
        const auto hello = text("Hello");
        // 7.2.3.1 one block; 7.2.3.2 with the window of the one before; 7.2.3.3 stored
        CHECK(received<Role>({hex("f2 48 cd c9 c9 07 00"), hex("f2 00 11 00 00")}) ==
              std::vector{hello, hello});
        CHECK(received<Role>({hex("00 05 00 fa ff 48 65 6c 6c 6f 00")}) == std::vector{hello});
        // 7.2.3.4 a block with BFINAL
        CHECK(received<Role>({hex("f3 48 cd c9 c9 07 00 00")}) == std::vector{hello});
        // 7.2.3.5 two blocks in one message
        CHECK(received<Role>({hex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")}) ==
              std::vector{hello});
        // 7.2.3.6 an empty message, and after it the window is as it was
        CHECK(received<Role>({hex("f2 48 cd c9 c9 07 00"), hex("00"), hex("f2 00 11 00 00")}) ==
              std::vector{hello, text(""), hello});
        // Behind BFINAL the window is the same, whether the byte of 0 follows or not.
        CHECK(received<Role>({hex("f3 48 cd c9 c9 07 00 00"), hex("f2 00 11 00 00")}) ==
              std::vector{hello, hello});
        CHECK(received<Role>({hex("f3 48 cd c9 c9 07 00"), hex("f2 00 11 00 00")}) ==
              std::vector{hello, hello});
    });
}

TEST_CASE("zlib: the RFC's own fragments (RFC 7692 7.2.3.1)") {
    in_both_roles([]<role Role> {
        const auto wire = compressed_frame<Role>(opcode::text, hex("f2 48 cd"), false) +
                          frame<Role>(opcode::ping, {}) +
                          frame<Role>(opcode::continuation, hex("c9 c9 07 00"));
        for (const auto& cut : every_chunking(wire)) {
            endpoint<Role, sansocket::message_queue<>, codec> e(with_deflate());
            e.open(agreed);
            e.receive(cut);
            CHECK(e.messages() == std::vector{text("Hello")});
            CHECK(e.sent() == own_frame<Role>(opcode::pong, {}));
            e.connection.abort();
        }
    });
}

TEST_CASE("zlib: what is sent is the RFC's own bytes (RFC 7692 7.2.3)") {
    endpoint<role::server, sansocket::message_queue<>, codec> e(with_deflate());
    e.open(agreed);
    CHECK(e.connection.send_text("Hello"sv) == errc::ok);
    CHECK(e.sent() == hex("c1 07 f2 48 cd c9 c9 07 00"));
    CHECK(e.connection.send_text("Hello"sv) == errc::ok);
    CHECK(e.sent() == hex("c1 05 f2 00 11 00 00"));
    CHECK(e.connection.send_text(""sv) == errc::ok);
    CHECK(e.sent() == hex("c1 01 00"));
    e.connection.abort();
}

TEST_CASE("zlib: data that is corrupt or cut off anywhere (RFC 7692 7.2.2)") {
    in_both_roles([]<role Role> {
        received<Role>({hex("07")}, errc::deflate_corrupt);              // block type 3
        received<Role>({hex("f2 00 11 00 00")}, errc::deflate_corrupt);  // back before the window
        received<Role>({hex("00 05 00 00 00")}, errc::deflate_corrupt);
        const byte_vector whole = hex("f2 48 cd c9 c9 07 00");
        for (std::size_t n = 1; n != whole.size(); ++n) {
            endpoint<Role, sansocket::message_queue<>, codec> e(with_deflate());
            e.open(agreed);
            e.receive(compressed_frame<Role>(
                opcode::binary, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}));
            INFO(n);
            const errc cause = e.connection.close_info().cause;
            CHECK((cause == errc::deflate_truncated || cause == errc::deflate_corrupt));
            CHECK(e.messages().empty());
            e.connection.abort();
        }
    });
}

TEST_CASE("zlib: a conversation with every takeover and window, both ways (RFC 7692 7.1)") {
    for (const bool own : {true, false})
        for (const bool peer : {true, false})
            for (const std::uint8_t bits : {std::uint8_t{9}, std::uint8_t{12}, std::uint8_t{15}}) {
                auto client = with_deflate();
                client.deflate.own_context_takeover = own;
                client.deflate.peer_context_takeover = peer;
                client.deflate.own_window_bits = bits;
                client.deflate.peer_window_bits = bits;
                check_conversation<codec>(client, with_deflate());
                check_conversation<codec>(with_deflate(), client);
                check_conversation<shared_codec>(client, with_deflate());
            }
}

TEST_CASE("zlib: a conversation with every level and memory level, and in small pieces") {
    for (const int level : {0, 1, 6, 9})
        for (const int memory : {1, 8, 9}) {
            auto options = with_deflate();
            options.deflate.level = level;
            options.deflate.memory_level = memory;
            check_conversation<codec>(options, options);
        }
    check_conversation<codec>(with_deflate(), with_deflate(), 7);
    check_conversation<codec, shared_codec>(with_deflate(), with_deflate(), 1000);
}

TEST_CASE("zlib: a window of 8 bits is none that it can keep to (RFC 7692 7.1.2)") {
    CHECK(codec::compressor::smallest_window == 9);
    // A server passes over an offer that asks for it, and takes the next.
    auto client = with_deflate();
    client.deflate.offers = {{false, false, 8, {}}, {false, false, 10, {}}};
    deflate_pair<codec> pair(client);
    CHECK(pair.a.connection.deflate()->server.window_bits == 10);
    auto only = with_deflate();
    only.deflate.offers = {{false, false, 8, {}}};
    deflate_pair<codec> none(only);
    CHECK(!none.a.connection.deflate());
    // A client that is told to keep to it compresses nothing, and still understands the server.
    auto asks = with_deflate();
    asks.deflate.peer_window_bits = 8;
    deflate_pair<codec> told(with_deflate(), asks);
    CHECK(told.a.connection.deflate()->client.window_bits == 8);
    const std::string data = json_like(5000);
    CHECK(told.a.connection.send_text(std::string_view{data}) == errc::ok);
    CHECK(told.b.connection.send_text(std::string_view{data}) == errc::ok);
    told.run();
    CHECK(told.got_b == std::vector{text(data)});
    CHECK(told.got_a == told.got_b);
    CHECK(told.to_b[0] == std::byte{0x81});
    CHECK(told.to_a[0] == std::byte{0xc1});
}

TEST_CASE("zlib: of a peer that has 8 bits the 9 that its zlib makes of them are understood") {
    const std::string data = noise(300) + noise(300);  // the same again, 300 bytes back
    sansocket_zlib::compressor<> nine(deflate_settings{.window_bits = 8});
    REQUIRE(nine.begin());
    byte_vector packed(2000);
    const auto made = nine.compress(std::as_bytes(std::span{data}), packed).made;
    sansocket_zlib::decompressor<> eight(deflate_settings{.window_bits = 8});
    byte_vector out(2000);
    std::size_t total = 0;
    std::span<const std::byte> in{packed.data(), made};
    for (int i = 0; i != 10 && !in.empty(); ++i) {
        const auto step = eight.decompress(in, std::span{out}.subspan(total));
        REQUIRE(step.ec == errc{});
        in = in.subspan(step.taken);
        total += step.made;
    }
    out.resize(total);
    CHECK(text_of(out) == data);
}

TEST_CASE("zlib: context is taken over, across plain messages, or not (RFC 7692 7.1.1)") {
    const std::string data = json_like(2000);
    const auto sizes = [&](const sansocket::options& options) {
        deflate_pair<codec> pair(options);
        std::vector<std::size_t> out;
        for (const auto how : {compression::on, compression::off, compression::on}) {
            pair.to_b.clear();
            const auto bytes = std::as_bytes(std::span{data});
            CHECK(pair.a.connection.send(message_kind::text, bytes, how) == errc::ok);
            pair.run();
            CHECK(pair.got_b.back().data == data);
            out.push_back(pair.to_b.size());
        }
        return out;
    };
    const auto taken = sizes(with_deflate());
    CHECK(taken[1] > 2000);
    CHECK(taken[2] * 4 < taken[0]);
    auto afresh = with_deflate();
    afresh.deflate.own_context_takeover = false;
    const auto reset = sizes(afresh);
    CHECK(reset[2] == reset[0]);
}

TEST_CASE("zlib: what grows is sent as it is where no context is lost by it") {
    auto afresh = with_deflate();
    afresh.deflate.own_context_takeover = false;
    deflate_pair<codec> pair(afresh);
    const std::string data = noise(1000);
    CHECK(pair.a.connection.send_binary(std::as_bytes(std::span{data})) == errc::ok);
    CHECK(pair.b.connection.send_binary(std::as_bytes(std::span{data})) == errc::ok);
    pair.run();
    CHECK(pair.to_b[0] == std::byte{0x82});
    CHECK(pair.to_a[0] == std::byte{0xc2});  // with takeover it is part of the context
    CHECK(pair.got_b.back().data == data);
    CHECK(pair.got_a.back().data == data);
}

TEST_CASE("zlib: messages part by part, random parts and kinds between them") {
    std::mt19937 random(5);
    deflate_pair<codec> pair;
    std::vector<message> sent;
    for (int i = 0; i != 200; ++i) {
        message m = text(json_like(random() % 5000, static_cast<unsigned>(random())));
        const auto how = static_cast<compression>(random() % 3);
        REQUIRE(pair.a.connection.start(m.kind, how) == errc::ok);
        std::string_view rest = m.data;
        while (random() % 4 != 0) {
            const auto part = rest.substr(0, random() % 1000);
            rest.remove_prefix(part.size());
            REQUIRE(pair.a.connection.append(part) == errc::ok);
            if (random() % 3 == 0) REQUIRE(pair.a.connection.send_ping() == errc::ok);
        }
        REQUIRE(pair.a.connection.finish(std::as_bytes(std::span{rest})) == errc::ok);
        sent.push_back(std::move(m));
        if (random() % 2 == 0) pair.run();
    }
    pair.run();
    CHECK(pair.got_b == sent);
}

TEST_CASE("zlib: a thread's compressor serves connections with several settings") {
    using counted = sansocket_zlib::basic_shared_codec<counting_memory>;
    {
        auto small = with_deflate();
        small.deflate.own_window_bits = 9;
        small.deflate.memory_level = 1;
        deflate_pair<counted> a;
        deflate_pair<counted> b(small, small);
        CHECK(!a.a.connection.deflate()->client.context_takeover);
        CHECK(!a.a.connection.deflate()->server.context_takeover);
        for (int i = 0; i != 20; ++i)
            for (auto* pair : {&a, &b}) {
                const std::string data = json_like(3000, static_cast<unsigned>(i));
                CHECK(pair->a.connection.send_text(std::string_view{data}) == errc::ok);
                CHECK(pair->b.connection.send_text(std::string_view{data}) == errc::ok);
                pair->run();
                CHECK(pair->got_a.back().data == data);
                CHECK(pair->got_b.back().data == data);
            }
        // A message in parts would mix with theirs: it is sent as it is.
        a.to_b.clear();
        CHECK(a.a.connection.start(message_kind::text) == errc::ok);
        CHECK(a.a.connection.finish(std::as_bytes(std::span{"x", 1})) == errc::ok);
        a.run();
        CHECK(a.to_b[0] == std::byte{0x81});
    }
    CHECK(counted::compressor::memory_of_this_thread() == counting_memory::held);
    CHECK(counting_memory::held > 200000);
    counted::compressor::release_of_this_thread();
    CHECK(counting_memory::held == 0);
    CHECK(counting_memory::blocks == 0);
}

TEST_CASE(
    "zlib: without memory, messages are sent as they are, and what comes is refused by name") {
    using counted = sansocket_zlib::basic_codec<counting_memory>;
    deflate_pair<counted, codec> pair;
    const std::string data = json_like(1000);
    counting_memory::gives = false;
    CHECK(pair.a.connection.send_text(std::string_view{data}) == errc::ok);
    pair.run();
    CHECK(pair.to_b[0] == std::byte{0x81});
    CHECK(pair.got_b.back().data == data);
    CHECK(pair.b.connection.send_text(std::string_view{data}) == errc::ok);
    pair.run();
    CHECK(pair.a.connection.close_info().cause == errc::deflate_memory);
    CHECK(pair.a.connection.close_info().sent->code == close_code::internal_error);
    counting_memory::gives = true;
}
