// Scenarios of the close lifecycle in which messages are compressed.
#include <sansocket_zlib/codec.hpp>

#include "support/catch.hpp"
#include "support/counting_memory.hpp"
#include "support/deflate_pair.hpp"

#include <string>
#include <vector>

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

using codec = sansocket_zlib::basic_codec<counting_memory>;

template <role Role>
using deflating = endpoint<Role, sansocket::message_queue<>, codec>;

byte_vector packed(const std::string& text) {
    codec::compressor zlib(sansocket::deflate_settings{});
    REQUIRE(zlib.begin());
    byte_vector out(text.size() + 100);
    out.resize(zlib.compress(std::as_bytes(std::span{text}), out).made - 4);
    return out;
}

template <class Test>
void in_both_roles(Test test) {
    test.template operator()<role::client>();
    test.template operator()<role::server>();
}

}  // namespace

TEST_CASE("B05: a connection is lost with a compressed message unsent: nothing is held for it") {
    in_both_roles([]<role Role> {
        {
            deflating<Role> e(with_deflate());
            e.open("permessage-deflate");
            const std::string large = noise(1'000'000);
            CHECK(e.connection.send_binary(std::as_bytes(std::span{large})) == errc::ok);
            e.sent(1000);
            CHECK(counting_memory::held != 0);
            e.connection.transport_lost(e.now);
            CHECK(e.connection.state() == connection_state::closed);
            CHECK(e.connection.output_bytes() == 0);
            CHECK(e.connection.send_text("later") == errc::closed);
        }
        CHECK(counting_memory::held == 0);
    });
}

TEST_CASE("B12: a compressed message and the Close behind it: the message, then the Close's code") {
    in_both_roles([]<role Role> {
        const std::string data = json_like(100'000);
        const auto wire = compressed_frame<Role>(opcode::text, packed(data)) +
                          frame<Role>(opcode::close, close_bytes(1000));
        for (const std::size_t size : {std::size_t{1}, std::size_t{100}, wire.size()}) {
            deflating<Role> e(with_deflate());
            e.open("permessage-deflate");
            e.receive(in_pieces_of(size, wire));
            e.connection.receive_end(e.now);
            CHECK(!e.connection.messages().at_eof());
            CHECK(e.messages() == std::vector{message(message_kind::text, data)});
            CHECK(e.connection.messages().at_eof());
            CHECK(e.connection.close_info().received->code == close_code::normal);
            e.connection.abort();
        }
    });
}

TEST_CASE("B72: whatever send is refused, the messages that were taken are decoded exactly") {
    for (std::size_t k = 0; k != 20; ++k) {
        auto options = with_deflate();
        options.sending.high_bytes = 1 + k * 100;
        deflate_pair<codec> pair(options);
        std::vector<message> taken;
        for (unsigned i = 0; i != 60; ++i) {
            message m{message_kind::text, json_like(50 + i * 40, i)};
            if (i % 7 == k % 7) m.data += '\xff';  // refused for what it is
            const errc ec = pair.a.connection.send(m.kind, m.bytes());
            if (ec == errc::ok) taken.push_back(m);
            else CHECK((ec == errc::backpressure || ec == errc::text_not_utf8));
            if (i % 3 == 0) pair.run();
        }
        pair.run();
        CHECK(taken.size() < 60);
        CHECK(pair.got_b == taken);
    }
}

TEST_CASE(
    "B82: one read that inflates to 16 MiB in 32 messages: the queue has its mark and one more") {
    in_both_roles([]<role Role> {
        const auto one =
            compressed_frame<Role>(opcode::binary, packed(std::string(512 * 1024, '\0')));
        byte_vector wire;
        for (int i = 0; i != 32; ++i) wire = wire + one;
        CHECK(wire.size() < 64 * 1024);
        auto options = with_deflate();
        options.queue.high_bytes = 1024 * 1024;
        options.deflate.peer_context_takeover = false;
        deflating<Role> e(options);
        e.open("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        std::size_t messages = 0;
        std::span<std::byte> in{wire};
        while (!in.empty()) {
            in = in.subspan(e.connection.receive(in, e.now));
            CHECK(e.connection.messages().bytes() < (1024 + 512 + 1) * 1024);
            messages += e.messages().size();
        }
        CHECK(messages == 32);
        e.connection.abort();
    });
}

TEST_CASE("B101: control frames before and within compressed messages leave their state alone") {
    in_both_roles([]<role Role> {
        const std::string data = json_like(3000);
        const byte_vector all = packed(data);
        const auto wire = frame<Role>(opcode::pong, bytes("unasked")) +
                          compressed_frame<Role>(opcode::text, all) +
                          compressed_frame<Role>(opcode::text, hex("00 0500 faff"), false) +
                          frame<Role>(opcode::ping, bytes("1")) +
                          frame<Role>(opcode::continuation, bytes("Hel"), false) +
                          frame<Role>(opcode::pong, bytes("2")) +
                          frame<Role>(opcode::continuation, bytes("lo") + hex("00"));
        for (const auto& cut : every_chunking(wire)) {
            deflating<Role> e(with_deflate());
            e.open("permessage-deflate");
            e.receive(cut);
            CHECK(e.messages() == std::vector{message(message_kind::text, data),
                                              message(message_kind::text, "Hello")});
            CHECK(e.sent() == own_frame<Role>(opcode::pong, bytes("1")));
            e.connection.abort();
        }
    });
}
