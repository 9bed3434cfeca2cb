#include <sansocket/machine/message_writer.hpp>

#include "support/catch.hpp"
#include "support/fixed_keys.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::text_of;

namespace {

// Stands in for the send queue and writes down what it is given.
struct recorder {
    struct frame {
        sansocket::opcode opcode;
        bool fin;
        std::string payload;
        const std::byte* where;

        friend bool operator==(const frame& a, const frame& b) {
            return a.opcode == b.opcode && a.fin == b.fin && a.payload == b.payload;
        }
    };
    struct shared {
        std::shared_ptr<const void> owner;
        std::span<const std::byte> bytes;
    };

    std::vector<frame> frames;
    std::vector<std::shared_ptr<const void>> owners;
    bool is_full = false;

    bool full() const { return is_full; }
    void push(opcode op, bool fin, std::span<const std::byte> payload, masking_key) {
        frames.push_back({op, fin, text_of(payload), payload.data()});
    }
    void push_owned(opcode op, bool fin, std::shared_ptr<void> owner, std::span<std::byte> payload,
                    masking_key key) {
        push(op, fin, payload, key);
        owners.push_back(std::move(owner));
    }
    void push_shared(opcode op, bool fin, shared payload, masking_key key) {
        push(op, fin, payload.bytes, key);
        owners.push_back(std::move(payload.owner));
    }
};

constexpr support::fixed_keys keys;

recorder::frame frame(opcode op, bool fin, std::string payload) {
    return {op, fin, std::move(payload), nullptr};
}

}  // namespace

static_assert(opcode_of(message_kind::text) == opcode::text);
static_assert(opcode_of(message_kind::binary) == opcode::binary);

TEST_CASE("message_writer: a whole message is one frame (5.6)") {
    recorder out;
    message_writer writer{true};
    CHECK(writer.send(message_kind::text, bytes("hello"), out, keys) == errc::ok);
    CHECK(writer.send(message_kind::binary, support::hex("ff"), out, keys) == errc::ok);
    CHECK(writer.send(message_kind::text, {}, out, keys) == errc::ok);

    CHECK(out.frames == std::vector{frame(opcode::text, true, "hello"),
                                    frame(opcode::binary, true, "\xff"),
                                    frame(opcode::text, true, "")});
    CHECK(writer.state() == writer_state::between);
}

TEST_CASE("message_writer: parts are one message: its opcode first, continuations after (5.4)") {
    recorder out;
    message_writer writer{true};
    CHECK(writer.start(message_kind::binary) == errc::ok);
    CHECK(writer.state() == writer_state::starting);
    CHECK(writer.append(bytes("a"), false, out, keys) == errc::ok);
    CHECK(writer.state() == writer_state::continuing);
    CHECK(writer.append({}, false, out, keys) == errc::ok);
    CHECK(writer.append(bytes("b"), true, out, keys) == errc::ok);
    CHECK(writer.state() == writer_state::between);

    CHECK(out.frames == std::vector{frame(opcode::binary, false, "a"),
                                    frame(opcode::continuation, false, ""),
                                    frame(opcode::continuation, true, "b")});
}

TEST_CASE("message_writer: one part that is the last makes an unfragmented message (5.4)") {
    recorder out;
    message_writer writer{true};
    CHECK(writer.start(message_kind::text) == errc::ok);
    CHECK(writer.append({}, true, out, keys) == errc::ok);
    CHECK(out.frames == std::vector{frame(opcode::text, true, "")});
}

TEST_CASE("message_writer: nothing comes between the parts of a message (5.4)") {
    recorder out;
    message_writer writer{true};
    for (const bool begun : {false, true}) {
        if (!begun) REQUIRE(writer.start(message_kind::text) == errc::ok);
        else REQUIRE(writer.append(bytes("a"), false, out, keys) == errc::ok);
        const auto before = out.frames.size();
        const auto state = writer.state();

        std::string owned(message_writer::large, 'o');
        CHECK(writer.send(message_kind::text, bytes("b"), out, keys) == errc::message_in_progress);
        CHECK(writer.send_owned(message_kind::text, std::move(owned), out, keys) ==
              errc::message_in_progress);
        CHECK(writer.send_shared(message_kind::text, recorder::shared{}, out, keys) ==
              errc::message_in_progress);
        const byte_vector large(message_writer::large);
        CHECK(writer.send_shared(message_kind::binary, recorder::shared{nullptr, large}, out,
                                 keys) == errc::message_in_progress);
        CHECK(writer.start(message_kind::text) == errc::message_in_progress);
        CHECK(owned.size() == message_writer::large);
        CHECK(out.frames.size() == before);
        CHECK(writer.state() == state);
    }
    CHECK(writer.append(bytes("c"), true, out, keys) == errc::ok);
    CHECK(writer.append(bytes("d"), true, out, keys) == errc::no_message_in_progress);
    CHECK(out.frames.size() == 2);
}

TEST_CASE("message_writer: a full queue takes nothing, and the same call goes through later") {
    recorder out;
    message_writer writer{true};
    out.is_full = true;
    std::string owned(message_writer::large, 'o');
    CHECK(writer.send(message_kind::text, bytes("a"), out, keys) == errc::backpressure);
    CHECK(writer.send_owned(message_kind::text, std::move(owned), out, keys) == errc::backpressure);
    CHECK(writer.send_shared(message_kind::text, recorder::shared{}, out, keys) ==
          errc::backpressure);
    CHECK(owned.size() == message_writer::large);
    CHECK(writer.start(message_kind::text) == errc::ok);
    CHECK(writer.append(bytes("\xc3"), false, out, keys) == errc::backpressure);
    CHECK(writer.state() == writer_state::starting);
    CHECK(out.frames.empty());

    out.is_full = false;
    CHECK(writer.append(bytes("\xc3"), false, out, keys) == errc::ok);
    CHECK(writer.append(bytes("\xa9"), true, out, keys) == errc::ok);
}

TEST_CASE("message_writer: text must be UTF-8, whichever way it is sent (5.6)") {
    const auto bad = support::hex("61 ff");
    const auto owner = std::make_shared<byte_vector>(bad);
    std::string owned(message_writer::large, '\xff');
    recorder out;
    message_writer strict{true};
    CHECK(strict.send(message_kind::text, bad, out, keys) == errc::text_not_utf8);
    CHECK(strict.send_owned(message_kind::text, std::string(1, '\xff'), out, keys) ==
          errc::text_not_utf8);
    CHECK(strict.send_owned(message_kind::text, std::move(owned), out, keys) ==
          errc::text_not_utf8);
    CHECK(strict.send_shared(message_kind::text, recorder::shared{owner, *owner}, out, keys) ==
          errc::text_not_utf8);
    CHECK(owned.size() == message_writer::large);
    CHECK(out.frames.empty());
    CHECK(strict.send(message_kind::binary, bad, out, keys) == errc::ok);

    message_writer trusting{false};
    CHECK(trusting.send(message_kind::text, bad, out, keys) == errc::ok);
    CHECK(trusting.start(message_kind::text) == errc::ok);
    CHECK(trusting.append(bad, true, out, keys) == errc::ok);
}

TEST_CASE("message_writer: a code point may be cut between parts, at each place (5.6)") {
    const auto text = bytes("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        recorder out;
        message_writer writer{true};
        REQUIRE(writer.start(message_kind::text) == errc::ok);
        CHECK(writer.append(std::span{text}.first(cut), false, out, keys) == errc::ok);
        CHECK(writer.append(std::span{text}.subspan(cut), true, out, keys) == errc::ok);
    }
}

TEST_CASE("message_writer: a part that is refused leaves the message as it was (5.6)") {
    recorder out;
    message_writer writer{true};
    REQUIRE(writer.start(message_kind::text) == errc::ok);
    REQUIRE(writer.append(bytes("\xe2\x82"), false, out, keys) == errc::ok);

    CHECK(writer.append(bytes("x"), false, out, keys) == errc::text_not_utf8);
    CHECK(writer.append({}, true, out, keys) == errc::text_not_utf8);
    CHECK(writer.append(bytes("\xac\xe2"), true, out, keys) == errc::text_not_utf8);
    CHECK(writer.state() == writer_state::continuing);
    CHECK(out.frames.size() == 1);

    CHECK(writer.append(bytes("\xac"), true, out, keys) == errc::ok);
    REQUIRE(writer.start(message_kind::text) == errc::ok);
    CHECK(writer.append(bytes("\xc3"), true, out, keys) == errc::text_not_utf8);
    CHECK(writer.append(bytes("new"), true, out, keys) == errc::ok);
}

TEST_CASE("message_writer: what is given away is copied while small, and moved while large") {
    recorder out;
    message_writer writer{true};
    std::string small(message_writer::large - 1, 's');
    CHECK(writer.send_owned(message_kind::text, std::move(small), out, keys) == errc::ok);
    CHECK(out.owners.empty());

    std::string large(message_writer::large, 'l');
    const auto* const where = reinterpret_cast<const std::byte*>(large.data());
    CHECK(writer.send_owned(message_kind::text, std::move(large), out, keys) == errc::ok);
    REQUIRE(out.owners.size() == 1);
    CHECK(out.frames[1].where == where);

    byte_vector binary(message_writer::large, std::byte{0xff});
    const auto* const lies = binary.data();
    CHECK(writer.send_owned(message_kind::binary, std::move(binary), out, keys) == errc::ok);
    CHECK(out.frames[2].opcode == opcode::binary);
    CHECK(out.frames[2].where == lies);
}

TEST_CASE("message_writer: what is shared is copied while small, and referred to while large") {
    recorder out;
    message_writer writer{true};
    const auto small = std::make_shared<byte_vector>(message_writer::large - 1, std::byte{'s'});
    CHECK(writer.send_shared(message_kind::text, recorder::shared{small, *small}, out, keys) ==
          errc::ok);
    CHECK(out.owners.empty());
    CHECK(small.use_count() == 1);

    const auto large = std::make_shared<byte_vector>(message_writer::large, std::byte{'l'});
    CHECK(writer.send_shared(message_kind::text, recorder::shared{large, *large}, out, keys) ==
          errc::ok);
    REQUIRE(out.frames.size() == 2);
    CHECK(out.frames[1].where == large->data());
    CHECK(large.use_count() == 2);
}

TEST_CASE("message_writer: parts larger than a frame may be are cut (5.4)") {
    recorder out;
    message_writer writer{true, 4};
    CHECK(writer.fragment() == 4);
    CHECK(writer.start(message_kind::text) == errc::ok);
    CHECK(writer.append(bytes("12345678"), false, out, keys) == errc::ok);
    CHECK(writer.append(bytes("abcde"), true, out, keys) == errc::ok);
    CHECK(out.frames == std::vector{frame(opcode::text, false, "1234"),
                                    frame(opcode::continuation, false, "5678"),
                                    frame(opcode::continuation, false, "abcd"),
                                    frame(opcode::continuation, true, "e")});
    CHECK(writer.state() == writer_state::between);
    CHECK(writer.count() == 1);
}

TEST_CASE("message_writer: a whole message in frames is all or nothing (5.4)") {
    recorder out;
    message_writer writer{true, 4};
    CHECK(writer.send_fragmented(message_kind::text, bytes("12345678\xff"), out, keys) ==
          errc::text_not_utf8);
    out.is_full = true;
    CHECK(writer.send_fragmented(message_kind::text, bytes("1"), out, keys) == errc::backpressure);
    out.is_full = false;
    CHECK(out.frames.empty());
    // A code point may be cut.
    CHECK(writer.send_fragmented(message_kind::text, bytes("123\xc3\xa9"), out, keys) == errc::ok);
    CHECK(writer.send_fragmented(message_kind::binary, {}, out, keys) == errc::ok);
    CHECK(out.frames == std::vector{frame(opcode::text, false, "123\xc3"),
                                    frame(opcode::continuation, true, "\xa9"),
                                    frame(opcode::binary, true, "")});
    CHECK(writer.start(message_kind::text) == errc::ok);
    CHECK(writer.send_fragmented(message_kind::text, {}, out, keys) == errc::message_in_progress);
    CHECK(writer.count() == 2);
}
