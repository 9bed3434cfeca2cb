// permessage-deflate through a whole connection, with a codec that stores: what RFC 7692 asks of an
// endpoint, whichever library does the work.
#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>
#include <sansocket/machine/static_message_queue.hpp>

#include "support/endpoint.hpp"
#include "support/stored_deflate.hpp"

#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace support;
using namespace std::string_view_literals;
using sansocket::compression;
using sansocket::deflate_agreement;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

sansocket::options with_deflate(std::size_t threshold = 3) {
    sansocket::options o;
    o.deflate.enabled = true;
    o.deflate.threshold = threshold;
    o.queue.high_count = 100000;
    return o;
}

template <role Role, class Queue = sansocket::message_queue<>>
using deflating = endpoint<Role, Queue, stored_deflate>;

const std::string agreed = "permessage-deflate";

// `text` in a stored block, less the last four bytes of an empty one.
byte_vector stored(std::string_view text, bool complete = true) {
    const auto n = static_cast<unsigned>(text.size());
    byte_vector out;
    for (const unsigned b : {0U, n & 255U, n >> 8U, ~n & 255U, ~n >> 8U & 255U})
        out.push_back(static_cast<std::byte>(b));
    out = out + bytes(text);
    return complete ? out + hex("00") : out;
}

template <class Test>
void in_both_roles(Test test) {
    test.template operator()<role::client>();
    test.template operator()<role::server>();
}

// What an endpoint makes of `wire`, the same in every chunking: its messages, or the cause of its end.
template <role Role, class Queue = sansocket::message_queue<>>
std::vector<message> received(const byte_vector& wire, errc cause = errc::ok,
                              const sansocket::options& options = with_deflate()) {
    std::vector<message> all;
    bool first = true;
    for (const auto& cut : every_chunking(wire)) {
        deflating<Role, Queue> e(options);
        e.open(agreed);
        e.receive(cut);
        CHECK(describe(e.connection.close_info().cause) == describe(cause));
        if (cause != errc::ok) {
            REQUIRE(e.connection.close_info().sent);
            CHECK(e.connection.close_info().sent->code == close_code_for(cause));
        }
        auto now = e.messages();
        if (first) all = now;
        CHECK(now == all);
        first = false;
        e.connection.abort();
    }
    return all;
}

message text(std::string s) { return {message_kind::text, std::move(s)}; }
message binary(std::string s) { return {message_kind::binary, std::move(s)}; }

}  // namespace

TEST_CASE("deflate: what was agreed on is known, in both roles, and outlives the handshake "
          "(RFC 7692 5)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate());
        CHECK(!e.connection.deflate());
        e.open("permessage-deflate; server_no_context_takeover; client_max_window_bits=10");
        e.connection.release_handshake();
        const auto found = e.connection.deflate();
        REQUIRE(found);
        CHECK(*found == deflate_agreement{{15, false}, {10, true}});
        CHECK(e.connection.explain().deflate == found);
        e.connection.abort();

        deflating<Role> declined(with_deflate());
        declined.open();
        CHECK(!declined.connection.deflate());
        declined.connection.abort();
        if constexpr (Role == role::server) {
            deflating<Role> off;
            off.open(agreed);
            CHECK(!off.connection.deflate());
            off.connection.abort();
            endpoint<Role> without(with_deflate());  // no codec, whatever the options say
            without.open(agreed);
            CHECK(!without.connection.deflate());
            without.connection.abort();
        }
    });
}

TEST_CASE("deflate: compressed messages are received, whole and in fragments, in every chunking "
          "(RFC 7692 6.2)") {
    in_both_roles([]<role Role> {
        const byte_vector data = stored("one two");
        const byte_vector front(data.begin(), data.begin() + 2);
        const byte_vector middle(data.begin() + 2, data.begin() + 9);
        const byte_vector back(data.begin() + 9, data.end());
        const byte_vector wire =
            compressed_frame<Role>(opcode::text, stored("Hello")) +
            frame<Role>(opcode::text, bytes("plain")) +
            compressed_frame<Role>(opcode::binary, hex("00")) +
            compressed_frame<Role>(opcode::text, {}) +
            compressed_frame<Role>(opcode::text, front, false) +
            frame<Role>(opcode::ping, bytes("?")) + frame<Role>(opcode::continuation, {}, false) +
            frame<Role>(opcode::continuation, middle, false) +
            frame<Role>(opcode::continuation, back) + frame<Role>(opcode::text, bytes("a"), false) +
            frame<Role>(opcode::continuation, bytes("b")) +
            compressed_frame<Role>(opcode::binary, stored("end"));
        const std::vector<message> wanted{text("Hello"),   text("plain"), binary(""),   text(""),
                                          text("one two"), text("ab"),    binary("end")};
        CHECK(received<Role>(wire) == wanted);
        CHECK(received<Role, sansocket::static_message_queue<4096, 16>>(wire) == wanted);
    });
}

TEST_CASE("deflate: RSV1 where it may not be fails the connection with 1002 (RFC 7692 6.1, 6)") {
    in_both_roles([]<role Role> {
        const auto begun = compressed_frame<Role>(opcode::text, stored("a", false), false);
        received<Role>(compressed_frame<Role>(opcode::ping, {}), errc::compressed_bit);
        received<Role>(compressed_frame<Role>(opcode::close, {}), errc::compressed_bit);
        received<Role>(begun + compressed_frame<Role>(opcode::continuation, stored("b")),
                       errc::compressed_bit);
        received<Role>(begun + compressed_frame<Role>(opcode::text, stored("b")),
                       errc::expected_continuation);
        received<Role>(begun + frame<Role>(opcode::text, bytes("b")), errc::expected_continuation);
        received<Role>(compressed_frame<Role>(opcode::text, stored("a")) +
                           frame<Role>(opcode::continuation, stored("b")),
                       errc::unexpected_continuation);
        deflating<Role> e(with_deflate());
        e.open();
        e.receive(compressed_frame<Role>(opcode::text, stored("a")));
        CHECK(e.connection.close_info().cause == errc::reserved_bit);
        e.connection.abort();
    });
}

TEST_CASE("deflate: corrupt and truncated data fail it with 1007, messages before them stay "
          "(RFC 7692 7.2.2)") {
    in_both_roles([]<role Role> {
        const auto good = compressed_frame<Role>(opcode::text, stored("good"));
        const std::vector<message> before{text("good")};
        CHECK(received<Role>(good + compressed_frame<Role>(opcode::text, hex("ff")),
                             errc::deflate_corrupt) == before);
        CHECK(received<Role>(good + compressed_frame<Role>(opcode::text, hex("00 0500 faff 41")),
                             errc::deflate_truncated) == before);
        CHECK(close_code_for(errc::deflate_corrupt) == close_code::invalid_payload);
    });
}

TEST_CASE("deflate: text is checked as it comes out, at the first byte that is wrong "
          "(RFC 6455 8.1, RFC 7692 6.2)") {
    in_both_roles([]<role Role> {
        CHECK(received<Role>(compressed_frame<Role>(opcode::text, stored("caf\xc3\xa9"))) ==
              std::vector{text("caf\xc3\xa9")});
        received<Role>(compressed_frame<Role>(opcode::text, stored("caf\xc3")), errc::invalid_utf8);
        received<Role>(compressed_frame<Role>(opcode::text, stored("\xff rest")),
                       errc::invalid_utf8);
        CHECK(received<Role>(compressed_frame<Role>(opcode::binary, stored("\xff"))) ==
              std::vector{binary("\xff")});
        // In an unfinished fragment already.
        deflating<Role> e(with_deflate());
        e.open(agreed);
        e.receive(compressed_frame<Role>(opcode::text, stored("\xff", false), false));
        CHECK(e.connection.close_info().cause == errc::invalid_utf8);
        e.connection.abort();
    });
}

TEST_CASE("deflate: sizes are limited after decompression, and a little growth is none "
          "(RFC 6455 10.4)") {
    in_both_roles([]<role Role> {
        auto options = with_deflate();
        options.messages.size = 100;
        const std::string most(100, 'x');
        CHECK(received<Role>(compressed_frame<Role>(opcode::text, stored(most)), errc::ok,
                             options) == std::vector{text(most)});
        received<Role>(compressed_frame<Role>(opcode::text, stored(most + "x")),
                       errc::message_too_big, options);
        // A frame that is far too large is refused by its header.
        deflating<Role> e(options);
        e.open(agreed);
        auto large = compressed_frame<Role>(opcode::text, byte_vector(2000));
        large.resize(4 + (Role == role::server ? 4 : 0));
        e.receive(large);
        CHECK(e.connection.close_info().cause == errc::message_too_big);
        e.connection.abort();
        // The queue's own limit.
        received<Role, sansocket::static_message_queue<400, 4, 99>>(
            compressed_frame<Role>(opcode::text, stored(most)), errc::message_too_big);
    });
}

TEST_CASE("deflate: many blocks without content fail it with 1008 (RFC 6455 10.4)") {
    auto options = with_deflate();
    options.deflate.blocks = 5;
    byte_vector payload;
    for (int i = 0; i != 6; ++i) payload = payload + hex("00 0000 ffff");
    in_both_roles([&]<role Role> {
        received<Role>(compressed_frame<Role>(opcode::text, payload + hex("00")),
                       errc::deflate_work, options);
    });
}

TEST_CASE("deflate: fragments are counted against what comes out of them (RFC 6455 10.4)") {
    in_both_roles([]<role Role> {
        auto options = with_deflate();
        options.messages.fragments = 4;
        options.messages.bytes_per_fragment = 64;
        const auto wire = [](std::size_t each) {
            const std::string part(each, 'x');
            byte_vector out = compressed_frame<Role>(opcode::text, stored(part, false), false);
            for (int i = 0; i != 20; ++i)
                out = out + frame<Role>(opcode::continuation, stored(part, false), false);
            return out + frame<Role>(opcode::continuation, hex("00"));
        };
        CHECK(received<Role>(wire(64), errc::ok, options).size() == 1);
        received<Role>(wire(20), errc::too_many_fragments, options);
    });
}

TEST_CASE("deflate: the time of a message is limited, however it comes (RFC 6455 10.4)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate());
        e.open(agreed);
        const auto begun = e.now;
        e.receive(compressed_frame<Role>(opcode::text, stored("abc", false), false));
        CHECK(e.connection.next_deadline() == begun + 20s);  // of the Ping
        for (int i = 0; i != 39; ++i) {
            e.now += 15s;
            e.receive(frame<Role>(opcode::continuation, stored("def", false), false));
            e.pass(0s);
            REQUIRE(e.connection.state() == connection_state::open);
        }
        CHECK(e.connection.next_deadline() == begun + 10min);
        e.pass(15s);
        CHECK(e.connection.close_info().cause == errc::message_too_slow);
        CHECK(e.connection.close_info().sent->code == close_code::policy_violation);
    });
}

TEST_CASE("deflate: what is sent compressed, and what is not (RFC 7692 6.1)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate(4));
        e.open(agreed);
        const auto plain = [](std::string_view s) {
            return own_frame<Role>(opcode::text, bytes(s));
        };
        const auto packed = [](std::string_view s) {
            byte_vector f = own_frame<Role>(opcode::text, s.empty() ? hex("00") : stored(s));
            f[0] |= std::byte{0x40};
            return f;
        };
        auto& c = e.connection;
        const auto as_bytes = [](std::string_view s) { return std::as_bytes(std::span{s}); };
        CHECK(c.send_text("abc"sv) == errc::ok);
        CHECK(e.sent() == plain("abc"));
        CHECK(c.send_text("abcd"sv) == errc::ok);
        CHECK(e.sent() == packed("abcd"));
        CHECK(c.send(message_kind::text, as_bytes("abcd"), compression::off) == errc::ok);
        CHECK(e.sent() == plain("abcd"));
        CHECK(c.send(message_kind::text, as_bytes("a"), compression::on) == errc::ok);
        CHECK(e.sent() == packed("a"));
        CHECK(c.send(message_kind::text, {}, compression::on) == errc::ok);
        CHECK(e.sent() == packed(""));
        CHECK(c.send_text(std::string("owned")) == errc::ok);
        CHECK(e.sent() == packed("owned"));
        CHECK(c.send(text("given")) == errc::ok);
        CHECK(e.sent() == packed("given"));
        const auto shared = std::make_shared<const byte_vector>(bytes("shared"));
        CHECK(c.send_shared(message_kind::text, {shared, *shared}) == errc::ok);
        CHECK(e.sent() == packed("shared"));
        CHECK(c.explain().compressed_messages == 6);
        CHECK(to_string(c.explain()).find("sent compressed 6") != std::string::npos);
        c.abort();

        // Not agreed on: as if it had not been asked for.
        deflating<Role> without(with_deflate());
        without.open();
        CHECK(without.connection.send(message_kind::text, as_bytes("abcd"), compression::on) ==
              errc::ok);
        CHECK(without.sent() == plain("abcd"));
        without.connection.abort();
        endpoint<Role> no_codec;
        no_codec.open();
        CHECK(no_codec.connection.send(message_kind::text, as_bytes("abcd"), compression::on) ==
              errc::ok);
        CHECK(no_codec.sent() == plain("abcd"));
        no_codec.connection.abort();
    });
}

TEST_CASE("deflate: a message sent part by part has RSV1 in its first frame alone "
          "(RFC 7692 6.1)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate());
        e.open(agreed);
        auto& c = e.connection;
        CHECK(c.start(message_kind::text) == errc::ok);
        CHECK(c.append("one"sv) == errc::ok);
        CHECK(c.send_ping() == errc::ok);
        CHECK(c.append(""sv) == errc::ok);
        CHECK(c.send_text("other") == errc::message_in_progress);
        CHECK(c.append("\xff"sv) == errc::text_not_utf8);
        CHECK(c.finish() == errc::ok);
        byte_vector first =
            own_frame<Role>(opcode::text, stored("one", false) + hex("00 0000 ffff"), false);
        first[0] |= std::byte{0x40};
        CHECK(e.sent() == own_frame<Role>(opcode::ping, {}) + first +
                              own_frame<Role>(opcode::continuation, {}, false) +
                              own_frame<Role>(opcode::continuation, hex("00")));
        CHECK(c.start(message_kind::binary, compression::off) == errc::ok);
        CHECK(c.finish(bytes("x")) == errc::ok);
        CHECK(e.sent() == own_frame<Role>(opcode::binary, bytes("x")));
        c.abort();
    });
}

TEST_CASE("deflate: a message that is refused does not touch the compressor (RFC 7692 7.1.1)") {
    in_both_roles([]<role Role> {
        auto options = with_deflate();
        options.sending.high_bytes = 10;
        deflating<Role> e(options);
        e.open(agreed);
        stored_calls().clear();
        CHECK(e.connection.send_text("\xff\xff\xff") == errc::text_not_utf8);
        CHECK(e.connection.send_text("taken, and now it is full") == errc::ok);
        CHECK(stored_calls() == "bc");
        CHECK(e.connection.send_text("one too many") == errc::backpressure);
        CHECK(e.connection.start(message_kind::text) == errc::ok);
        CHECK(e.connection.append("one too many"sv) == errc::backpressure);
        CHECK(stored_calls() == "bcb");
        e.connection.abort();
        CHECK(e.connection.send_text("too late") == errc::closed);
        CHECK(stored_calls() == "bcb");
    });
}

TEST_CASE("deflate: compressed and plain messages and the Close keep their order (RFC 7692 6.1)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate());
        e.open(agreed);
        const std::string large(100000, 'x');
        CHECK(e.connection.send_text(large) == errc::ok);
        CHECK(e.connection.send_text("b"sv) == errc::ok);
        CHECK(e.connection.send_text("third"sv) == errc::ok);
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        constexpr role Peer = sansocket::peer_of(Role);
        deflating<Peer> peer(with_deflate());
        peer.open(agreed);
        peer.receive(in_pieces_of(1000, e.sent()));
        CHECK(peer.messages() == std::vector{text(large), text("b"), text("third")});
        CHECK(peer.connection.close_info().received->code == close_code::normal);
        e.connection.abort();
        peer.connection.abort();
    });
}

TEST_CASE("deflate: a handler gets what comes out, and may send") {
    struct handler {
        std::vector<std::string>* got;
        void operator()(sansocket::message_view m) const { got->emplace_back(m.text()); }
    };
    using queue = sansocket::direct_queue<handler>;
    const auto wire =
        compressed_frame<role::server>(opcode::text, stored("Hello")) +
        compressed_frame<role::server>(opcode::text, stored("caf\xc3", false), false) +
        frame<role::server>(opcode::continuation, stored("\xa9"));
    for (const auto& cut : every_chunking(wire)) {
        std::vector<std::string> got;
        endpoint<role::server, queue, stored_deflate> e(with_deflate(), queue{handler{&got}});
        e.open(agreed);
        e.receive(cut);
        CHECK(got == std::vector<std::string>{"Hello", "caf\xc3\xa9"});
        e.connection.abort();
    }
}

TEST_CASE("deflate: a connection that is moved goes on where it was") {
    deflating<role::server> e(with_deflate());
    e.open(agreed);
    e.receive(compressed_frame<role::server>(opcode::text, stored("one ", false), false));
    auto moved = std::move(e.connection);
    CHECK(e.connection.state() == connection_state::closed);
    CHECK(e.connection.send_text("abcd") == errc::closed);
    (void)e.connection.explain();
    byte_vector rest = frame<role::server>(opcode::continuation, stored("two"));
    moved.receive(rest, e.now);
    CHECK(moved.messages().pop()->text() == "one two");
    CHECK(moved.send_text("abcd"sv) == errc::ok);
    CHECK(moved.output()[0][0] == std::byte{0xc1});
    moved.abort();
}

TEST_CASE("deflate: closing, what still comes compressed is thrown away or delivered") {
    for (const auto after : {sansocket::after_close::discard, sansocket::after_close::deliver}) {
        auto options = with_deflate();
        options.after_close = after;
        deflating<role::server> e(options);
        e.open(agreed);
        e.receive(compressed_frame<role::server>(opcode::text, stored("one ", false), false));
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        e.receive(frame<role::server>(opcode::continuation, stored("two")) +
                  compressed_frame<role::server>(opcode::text, hex("ff")));
        const bool delivers = after == sansocket::after_close::deliver;
        CHECK(e.messages().size() == (delivers ? 1U : 0U));
        CHECK((e.connection.close_info().cause == errc::deflate_corrupt) == delivers);
        e.connection.abort();
    }
}

TEST_CASE("deflate: without memory to compress with a message is sent as it is (RFC 7692 6.1)") {
    in_both_roles([]<role Role> {
        deflating<Role> e(with_deflate());
        e.open(agreed);
        support::stored_memory() = false;
        CHECK(e.connection.send(message_kind::text, bytes("plain"), compression::on) == errc::ok);
        support::stored_memory() = true;
        CHECK(e.sent() == own_frame<Role>(opcode::text, bytes("plain")));
        e.connection.abort();
    });
}

TEST_CASE("deflate: a size limit that is none does not overflow (RFC 6455 10.4)") {
    in_both_roles([]<role Role> {
        auto options = with_deflate();
        options.messages.size = std::numeric_limits<std::uint64_t>::max();
        deflating<Role> e(options);
        e.open(agreed);
        byte_vector in = frame<Role>(opcode::text, stored("hello"));
        in[0] |= std::byte{0x40};
        e.receive(in);
        CHECK(e.messages() == std::vector{text("hello")});
        e.connection.abort();
    });
}

TEST_CASE("connection: what is sent in frames is compressed through all of them (RFC 7692 6.1)") {
    sansocket::options options = with_deflate();
    options.sending.fragment_bytes = 4;
    deflating<role::server> e(options);
    deflating<role::client> peer(with_deflate());
    e.open("permessage-deflate");
    peer.receive(peer.opening_and({}, "permessage-deflate"));
    CHECK(e.connection.send_fragmented(message_kind::text, bytes("one message")) == errc::ok);
    CHECK(e.connection.send_fragmented(message_kind::text, bytes("as it is"), compression::off) ==
          errc::ok);
    CHECK(e.connection.start(message_kind::text) == errc::ok);
    CHECK(e.connection.append("another one") == errc::ok);
    CHECK(e.connection.finish() == errc::ok);
    peer.receive(e.sent());
    const auto got = peer.messages();
    REQUIRE(got.size() == 3);
    CHECK(got[0].data == "one message");
    CHECK(got[1].data == "as it is");
    CHECK(got[2].data == "another one");
    CHECK(e.connection.explain().compressed_messages == 2);
    e.left_open = peer.left_open = true;
}
