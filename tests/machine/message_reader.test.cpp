#include <sansocket/machine/message_reader.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::text_of;
using support::operator+;
using namespace std::chrono_literals;

namespace {

constexpr time_point now{1h};

constexpr masking_key rfc_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

// Stands in for the message queue and writes down what it is asked.
struct recorder {
    struct entry {
        message_kind kind;
        std::string text;

        friend bool operator==(const entry&, const entry&) = default;
    };

    std::vector<entry> messages;
    std::string calls;
    const std::byte* pushed = nullptr;
    std::optional<entry> partial;
    byte_vector room;  // given by the last `extend`, read by the call after it
    bool takes_messages = true;
    bool has_room = true;

    bool push(message_kind kind, std::span<const std::byte> payload) {
        calls += 'p';
        pushed = payload.data();
        if (takes_messages) messages.push_back({kind, text_of(payload)});
        return takes_messages;
    }
    bool begin(message_kind kind) {
        calls += 'b';
        if (takes_messages) partial = entry{kind, {}};
        return takes_messages;
    }
    std::byte* extend(std::size_t n) {
        calls += 'e';
        settle();
        if (!has_room) return nullptr;
        room.assign(n, std::byte{});
        return room.data();
    }
    void finish() {
        calls += 'f';
        settle();
        messages.push_back(*std::exchange(partial, std::nullopt));
    }
    void abandon() {
        calls += 'a';
        partial.reset();
    }
    void settle() { partial->text += text_of(std::exchange(room, {})); }
};

// The same, with the hint: how much the first one asks for.
struct room_recorder : recorder {
    std::size_t reserved = 0;
    void reserve(std::size_t n) {
        if (reserved == 0) reserved = n;
    }
};

// The same, which pauses and gives pieces where a test says so.
struct slow_recorder : recorder {
    bool pauses = false;
    bool streams = false;
    bool paused() const noexcept { return pauses; }
    bool gives_pieces() const noexcept { return streams; }
};

recorder::entry text(std::string s) { return {message_kind::text, std::move(s)}; }
recorder::entry binary(std::string s) { return {message_kind::binary, std::move(s)}; }

struct fragment {
    sansocket::opcode opcode;
    bool fin;
    byte_vector payload;
};

// The piece of a masked frame of `length` bytes whose payload goes on with `payload` at `from`.
frame_piece piece_of(opcode op, bool fin, std::uint64_t length, std::span<std::byte> payload,
                     std::size_t from = 0) {
    frame_piece piece;
    piece.opcode = op;
    piece.fin = fin;
    piece.first = from == 0;
    piece.last = from + payload.size() == length;
    piece.key = rotated(rfc_key, from);
    piece.payload_length = length;
    piece.payload_left = length - from - payload.size();
    piece.payload = payload;
    return piece;
}

// A reader of role `Role` with its recorder; gives it frames in pieces, masked as they come.
template <role Role>
struct bench {
    message_reader<Role> reader{};
    recorder queue{};
    std::string control{};  // payloads of the control frames that came out

    // `cuts`: where the frame's payload is cut into pieces.
    errc receive(const fragment& f, std::vector<std::size_t> cuts = {}) {
        byte_vector wire = f.payload;
        if constexpr (Role == role::server)
            for (std::size_t i = 0; i != wire.size(); ++i) wire[i] ^= rfc_key[i % 4];
        cuts.push_back(wire.size());
        std::size_t from = 0;
        for (std::size_t i = 0; i != cuts.size(); ++i) {
            auto piece = piece_of(f.opcode, f.fin, wire.size(),
                                  std::span{wire}.subspan(from, cuts[i] - from), from);
            piece.last = i + 1 == cuts.size();
            piece.first = i == 0;
            if constexpr (Role == role::client) piece.key = {};
            if (const errc ec = take(piece); ec != errc::ok) return ec;
            from = cuts[i];
        }
        return errc::ok;
    }

    errc take(const frame_piece& piece) {
        if (!is_control(piece.opcode)) return reader.receive(piece, queue, now);
        if (const auto payload = reader.receive_control(piece)) control += text_of(*payload) + ";";
        return errc::ok;
    }
};

template <role Role>
bench<Role> bench_with(message_limits limits) {
    return {message_reader<Role>{limits}, {}, {}};
}

using server_bench = bench<role::server>;
using client_bench = bench<role::client>;

using fs = fragment_state;
constexpr auto next(fs from, opcode op, bool fin) {
    return message_reader<role::server>::next(from, op, fin);
}

}  // namespace

// The whole table of 5.4.
static_assert(next(fs::between, opcode::text, true) == fs::between);
static_assert(next(fs::between, opcode::text, false) == fs::text);
static_assert(next(fs::between, opcode::binary, true) == fs::between);
static_assert(next(fs::between, opcode::binary, false) == fs::binary);
static_assert(next(fs::between, opcode::continuation, true) == std::nullopt);
static_assert(next(fs::between, opcode::continuation, false) == std::nullopt);
static_assert(next(fs::text, opcode::continuation, false) == fs::text);
static_assert(next(fs::text, opcode::continuation, true) == fs::between);
static_assert(next(fs::text, opcode::text, false) == std::nullopt);
static_assert(next(fs::text, opcode::text, true) == std::nullopt);
static_assert(next(fs::text, opcode::binary, false) == std::nullopt);
static_assert(next(fs::text, opcode::binary, true) == std::nullopt);
static_assert(next(fs::binary, opcode::continuation, false) == fs::binary);
static_assert(next(fs::binary, opcode::continuation, true) == fs::between);
static_assert(next(fs::binary, opcode::text, false) == std::nullopt);
static_assert(next(fs::binary, opcode::text, true) == std::nullopt);
static_assert(next(fs::binary, opcode::binary, false) == std::nullopt);
static_assert(next(fs::binary, opcode::binary, true) == std::nullopt);
static_assert(message_reader<role::client>::next(fs::between, opcode::text, false) == fs::text);

TEMPLATE_TEST_CASE("message_reader: a frame with FIN is a message (5.4)", "", server_bench,
                   client_bench) {
    TestType b;
    CHECK(b.receive({opcode::text, true, bytes("Hello")}) == errc::ok);
    CHECK(b.receive({opcode::binary, true, hex("00ff80")}) == errc::ok);
    CHECK(b.receive({opcode::text, true, {}}) == errc::ok);
    CHECK(b.receive({opcode::text, true, bytes("\xe2\x82\xac")}) == errc::ok);

    CHECK(b.queue.messages == std::vector{text("Hello"), binary(text_of(hex("00ff80"))), text(""),
                                          text("\xe2\x82\xac")});
    CHECK(b.queue.calls == "pppp");
    CHECK(!b.reader.inside_message());
}

TEST_CASE("message_reader: a whole frame reaches the queue where it lies, unmasked there") {
    auto wire = hex("7f9f4d5158");
    recorder queue;
    message_reader<role::server> reader;
    CHECK(reader.receive(piece_of(opcode::text, true, 5, wire), queue, now) == errc::ok);
    CHECK(queue.pushed == wire.data());
    CHECK(text_of(wire) == "Hello");
}

TEMPLATE_TEST_CASE("message_reader: fragments are one message "
                   "(5.4)",
                   "", server_bench, client_bench) {
    TestType b;
    CHECK(b.receive({opcode::text, false, bytes("Hel")}) == errc::ok);
    CHECK(b.reader.inside_message());
    CHECK(b.receive({opcode::continuation, false, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, false, bytes("l")}) == errc::ok);
    CHECK(b.queue.messages.empty());
    CHECK(b.receive({opcode::continuation, true, bytes("o")}) == errc::ok);
    CHECK(!b.reader.inside_message());
    CHECK(b.receive({opcode::binary, false, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);

    CHECK(b.queue.messages == std::vector{text("Hello"), binary("")});
}

TEMPLATE_TEST_CASE("message_reader: frames in pieces, cut at each place (5.2)", "", server_bench,
                   client_bench) {
    const auto payload = bytes("Grüße €");
    for (std::size_t cut = 0; cut <= payload.size(); ++cut) {
        TestType b;
        CHECK(b.receive({opcode::text, true, payload}, {cut}) == errc::ok);
        CHECK(b.receive({opcode::binary, false, payload}, {cut}) == errc::ok);
        CHECK(b.receive({opcode::continuation, true, payload}, {cut, payload.size()}) == errc::ok);
        CHECK(b.queue.messages ==
              std::vector{text(text_of(payload)), binary(text_of(payload + payload))});
    }
}

TEST_CASE("message_reader: inside a frame that has not all come is inside a message") {
    server_bench b;
    byte_vector wire = hex("7f");
    CHECK(b.reader.receive(piece_of(opcode::text, true, 5, wire), b.queue, now) == errc::ok);
    CHECK(b.reader.inside_message());
    CHECK(!b.reader.inside_fragments());
}

TEST_CASE("message_reader: between fragments is inside a message, whole frames are not (5.4)") {
    client_bench b;
    CHECK(b.receive({opcode::text, false, {}}) == errc::ok);
    CHECK(b.reader.inside_message());
    CHECK(b.reader.inside_fragments());
    CHECK(b.receive({opcode::continuation, true, bytes("ab")}, {1}) == errc::ok);
    CHECK(!b.reader.inside_message());
    CHECK(!b.reader.inside_fragments());
}

TEMPLATE_TEST_CASE("message_reader: control frames stand between fragments and touch nothing "
                   "(5.4)",
                   "", server_bench, client_bench) {
    TestType b;
    CHECK(b.receive({opcode::text, false, bytes("\xe2\x82")}) == errc::ok);
    CHECK(b.receive({opcode::ping, true, bytes("\xff ping")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, false, bytes("\xac")}) == errc::ok);
    CHECK(b.receive({opcode::pong, true, bytes("pong")}, {0, 1, 3}) == errc::ok);
    CHECK(b.receive({opcode::close, true, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, bytes("!")}) == errc::ok);

    CHECK(b.control == "\xff ping;pong;;");
    CHECK(b.queue.messages == std::vector{text("\xe2\x82\xac!")});
}

TEMPLATE_TEST_CASE("message_reader: a control frame in pieces, cut at each two places (5.5)", "",
                   server_bench, client_bench) {
    byte_vector payload(125);
    for (std::size_t i = 0; i != payload.size(); ++i) payload[i] = static_cast<std::byte>(i);
    for (std::size_t a = 0; a <= payload.size(); ++a) {
        for (std::size_t c = a; c <= payload.size(); c += 31) {
            TestType b;
            REQUIRE(b.receive({opcode::ping, true, payload}, {a, c}) == errc::ok);
            REQUIRE(b.control == text_of(payload) + ";");
        }
    }
}

TEST_CASE("message_reader: control frames in pieces, one after the other, stay apart (5.5)") {
    server_bench b;
    const std::string longest(125, 'x');
    for (int i = 0; i != 3; ++i)
        CHECK(b.receive({opcode::ping, true, bytes(longest)}, {60}) == errc::ok);
    CHECK(b.receive({opcode::pong, true, bytes("y")}, {0}) == errc::ok);
    CHECK(b.control == longest + ";" + longest + ";" + longest + ";y;");
}

TEST_CASE("message_reader: memory is given back between control frames, and never inside of one") {
    server_bench b;
    auto wire = bytes("in pieces");
    const auto part = [&](std::size_t from, std::size_t to, bool first, bool last) {
        auto piece = piece_of(opcode::ping, true, wire.size(),
                              std::span{wire}.subspan(from, to - from), from);
        piece.key = {};
        piece.first = first;
        piece.last = last;
        return b.reader.receive_control(piece);
    };
    for (int i = 0; i != 2; ++i) {
        CHECK(!part(0, 0, true, false));
        b.reader.shrink();
        CHECK(!part(0, 3, false, false));
        b.reader.shrink();
        const auto whole = part(3, wire.size(), false, true);
        REQUIRE(whole);
        CHECK(text_of(*whole) == "in pieces");
        b.reader.shrink();
    }
}

TEST_CASE("message_reader: fragments out of order end it by name (5.4)") {
    server_bench first;
    CHECK(first.receive({opcode::continuation, true, bytes("x")}) == errc::unexpected_continuation);
    server_bench second;
    CHECK(second.receive({opcode::continuation, false, {}}) == errc::unexpected_continuation);

    for (const opcode op : {opcode::text, opcode::binary}) {
        for (const bool fin : {true, false}) {
            client_bench b;
            REQUIRE(b.receive({opcode::text, false, bytes("begun")}) == errc::ok);
            CHECK(b.receive({op, fin, bytes("x")}) == errc::expected_continuation);
            CHECK(b.queue.messages.empty());
            CHECK(!b.queue.partial);
        }
    }
}

TEST_CASE("message_reader: after a message of fragments a continuation has nothing to continue "
          "(5.4)") {
    server_bench b;
    REQUIRE(b.receive({opcode::text, false, bytes("a")}) == errc::ok);
    REQUIRE(b.receive({opcode::continuation, true, bytes("b")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, bytes("c")}) == errc::unexpected_continuation);
    CHECK(b.queue.messages.size() == 1);
}

TEMPLATE_TEST_CASE("message_reader: text is checked over fragments and pieces, cut anywhere "
                   "(8.1)",
                   "", server_bench, client_bench) {
    const auto payload = bytes("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    for (std::size_t a = 0; a <= payload.size(); ++a) {
        for (std::size_t c = a; c <= payload.size(); ++c) {
            const auto part = [&](std::size_t from, std::size_t to) {
                return byte_vector(payload.begin() + static_cast<std::ptrdiff_t>(from),
                                   payload.begin() + static_cast<std::ptrdiff_t>(to));
            };
            TestType b;
            REQUIRE(b.receive({opcode::text, false, part(0, c)}, {a}) == errc::ok);
            REQUIRE(b.receive({opcode::continuation, true, part(c, payload.size())}) == errc::ok);
            REQUIRE(b.queue.messages == std::vector{text(text_of(payload))});
        }
    }
}

TEMPLATE_TEST_CASE("message_reader: bad text fails with the piece that shows it, and not later "
                   "(8.1)",
                   "", server_bench, client_bench) {
    struct row {
        const char* name;
        const char* digits;
        std::size_t bad;  // the byte that no text could have there
    };
    const row rows[] = {
        {"a continuation byte", "61 62 80 63", 2}, {"overlong", "c0 af", 0},
        {"overlong of three", "61 e0 80 80", 2},   {"a surrogate", "61 62 ed a0 80", 3},
        {"past U+10FFFF", "f4 90 80 80", 1},       {"F5", "61 f5 61", 1},
        {"cut short by ASCII", "e2 82 61 61", 2},  {"cut short by a lead", "c3 c3 a9", 1},
        {"last of four", "61 f0 9f 98 61 62", 4},
    };
    for (const row& r : rows) {
        INFO(r.name);
        const auto payload = hex(r.digits);
        TestType bytewise;
        for (std::size_t i = 0; i != r.bad; ++i)
            REQUIRE(bytewise.receive(
                        {i == 0 ? opcode::text : opcode::continuation, false, {payload[i]}}) ==
                    errc::ok);
        CHECK(bytewise.receive(
                  {r.bad == 0 ? opcode::text : opcode::continuation, false, {payload[r.bad]}}) ==
              errc::invalid_utf8);
        CHECK(!bytewise.queue.partial);

        TestType whole;
        CHECK(whole.receive({opcode::text, true, payload}) == errc::invalid_utf8);
        CHECK(whole.queue.messages.empty());
        TestType in_pieces;
        CHECK(in_pieces.receive({opcode::text, true, payload}, {1}) == errc::invalid_utf8);
        CHECK(in_pieces.queue.calls.back() == 'a');
        TestType as_binary;
        CHECK(as_binary.receive({opcode::binary, true, payload}) == errc::ok);
        CHECK(as_binary.receive({opcode::binary, true, payload}, {1}) == errc::ok);
    }
}

TEMPLATE_TEST_CASE("message_reader: text that ends inside a code point fails at its end (8.1)", "",
                   server_bench, client_bench) {
    TestType whole;
    CHECK(whole.receive({opcode::text, true, hex("61 e2 82")}) == errc::invalid_utf8);
    TestType in_pieces;
    CHECK(in_pieces.receive({opcode::text, true, hex("61 e2 82")}, {2}) == errc::invalid_utf8);
    TestType in_fragments;
    CHECK(in_fragments.receive({opcode::text, false, hex("61 e2 82")}) == errc::ok);
    CHECK(in_fragments.receive({opcode::continuation, true, {}}) == errc::invalid_utf8);
    CHECK(in_fragments.queue.messages.empty());
    CHECK(!in_fragments.queue.partial);
}

TEST_CASE("message_reader: what one message left open does not reach the next (8.1)") {
    client_bench b;
    CHECK(b.receive({opcode::binary, false, hex("e2 82")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);
    CHECK(b.receive({opcode::text, false, bytes("x")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);
    CHECK(b.queue.messages.size() == 2);
}

TEST_CASE("message_reader: text is not checked where that is switched off (8.1)") {
    auto b = bench_with<role::server>({.validate_utf8 = false});
    CHECK(b.receive({opcode::text, true, hex("ff")}) == errc::ok);
    CHECK(b.receive({opcode::text, true, hex("ff fe")}, {1}) == errc::ok);
    CHECK(b.receive({opcode::text, false, hex("e2")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);
    CHECK(b.queue.messages.size() == 3);
}

TEMPLATE_TEST_CASE("message_reader: large text is checked and unmasked across its blocks (8.1)", "",
                   server_bench, client_bench) {
    std::string large;
    while (large.size() < 100'000) large += "0123456789abcdefghi\xe2\x82\xac";
    TestType b;
    CHECK(b.receive({opcode::text, true, bytes(large)}, {1, 40'000}) == errc::ok);
    CHECK((b.queue.messages == std::vector{text(large)}));

    large[60'000] = '\xff';
    CHECK(b.receive({opcode::text, true, bytes(large)}, {1}) == errc::invalid_utf8);
    CHECK(b.queue.messages.size() == 1);
}

TEMPLATE_TEST_CASE("message_reader: the limit is inclusive, whole, in pieces and in fragments "
                   "(10.4)",
                   "", server_bench, client_bench) {
    const message_limits limits{.size = 10};
    const auto ten = byte_vector(10, std::byte{'x'});
    const auto eleven = byte_vector(11, std::byte{'x'});
    const auto fresh = [&] { return TestType{decltype(TestType::reader){limits}, {}, {}}; };

    auto whole = fresh();
    CHECK(whole.receive({opcode::text, true, ten}) == errc::ok);
    CHECK(whole.receive({opcode::text, true, eleven}) == errc::message_too_big);
    auto in_pieces = fresh();
    CHECK(in_pieces.receive({opcode::text, true, ten}, {3}) == errc::ok);
    CHECK(in_pieces.receive({opcode::text, true, eleven}, {3}) == errc::message_too_big);
    auto in_fragments = fresh();
    CHECK(in_fragments.receive({opcode::text, false, ten}) == errc::ok);
    CHECK(in_fragments.receive({opcode::continuation, true, {}}) == errc::ok);
    CHECK(in_fragments.receive({opcode::text, false, ten}) == errc::ok);
    CHECK(in_fragments.receive({opcode::continuation, true, hex("78")}) == errc::message_too_big);
    CHECK(in_fragments.queue.messages.size() == 1);
    CHECK(!in_fragments.queue.partial);
}

TEST_CASE("message_reader: a message too big fails at the header that shows it (10.4)") {
    recorder queue;
    message_reader<role::server> reader{{.size = 1000}};
    const std::uint64_t longest = 0x7fffffffffffffff;
    CHECK(reader.receive(piece_of(opcode::text, false, 0, {}), queue, now) == errc::ok);
    CHECK(reader.receive(piece_of(opcode::continuation, true, longest, {}), queue, now) ==
          errc::message_too_big);
    CHECK(queue.calls == "ba");

    recorder other;
    message_reader<role::server> fresh{{.size = 1000}};
    CHECK(fresh.receive(piece_of(opcode::text, true, 1001, {}), other, now) ==
          errc::message_too_big);
    CHECK(other.calls == "a");
}

TEST_CASE("message_reader: a limit of nothing takes empty messages alone (10.4)") {
    auto b = bench_with<role::server>({.size = 0});
    CHECK(b.receive({opcode::text, true, {}}) == errc::ok);
    CHECK(b.receive({opcode::binary, false, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);
    CHECK(b.receive({opcode::binary, true, hex("00")}) == errc::message_too_big);
}

TEST_CASE("message_reader: 4 MiB in fragments of 64 bytes pass by default (10.4)") {
    client_bench b;
    const byte_vector part(64, std::byte{'x'});
    const std::size_t parts = 4 * 1024 * 1024 / part.size();
    REQUIRE(b.receive({opcode::binary, false, part}) == errc::ok);
    for (std::size_t i = 2; i != parts; ++i)
        REQUIRE(b.receive({opcode::continuation, false, part}) == errc::ok);
    REQUIRE(b.receive({opcode::continuation, true, part}) == errc::ok);
    CHECK(b.queue.messages.at(0).text.size() == 4 * 1024 * 1024);
}

TEST_CASE("message_reader: a flood of empty fragments ends after 1024 by default (10.4)") {
    server_bench b;
    REQUIRE(b.receive({opcode::text, false, {}}) == errc::ok);
    for (int i = 2; i <= 1024; ++i)
        REQUIRE(b.receive({opcode::continuation, false, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, false, {}}) == errc::too_many_fragments);
    CHECK(!b.queue.partial);
}

TEST_CASE("message_reader: a flood of fragments of one byte ends soon by default (10.4)") {
    server_bench b;
    REQUIRE(b.receive({opcode::text, false, bytes("x")}) == errc::ok);
    std::uint64_t fragments = 1;
    errc ec = errc::ok;
    while (ec == errc::ok && fragments < 5000) {
        ec = b.receive({opcode::continuation, false, bytes("x")});
        ++fragments;
    }
    CHECK(ec == errc::too_many_fragments);
    // n fragments have n bytes: n - 1024 > n / 32 first holds at 1058.
    CHECK(fragments == 1058);
}

TEST_CASE("message_reader: the budget of fragments is each message's own, and may be off (10.4)") {
    auto b = bench_with<role::client>({.fragments = 2, .bytes_per_fragment = 4});
    for (int i = 0; i != 3; ++i) {
        CHECK(b.receive({opcode::text, false, {}}) == errc::ok);
        CHECK(b.receive({opcode::continuation, false, bytes("1234")}) == errc::ok);
        CHECK(b.receive({opcode::continuation, true, {}}) == errc::ok);
    }
    CHECK(b.receive({opcode::text, false, {}}) == errc::ok);
    CHECK(b.receive({opcode::continuation, false, bytes("123")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::too_many_fragments);

    auto off = bench_with<role::client>({.fragments = 2, .bytes_per_fragment = 0});
    REQUIRE(off.receive({opcode::text, false, {}}) == errc::ok);
    for (int i = 0; i != 5000; ++i)
        REQUIRE(off.receive({opcode::continuation, false, {}}) == errc::ok);
}

TEST_CASE("message_reader: a budget of no fragments still takes a frame, however it arrives "
          "(10.4)") {
    auto b = bench_with<role::server>({.fragments = 0});
    CHECK(b.receive({opcode::text, true, bytes("abc")}) == errc::ok);
    CHECK(b.receive({opcode::text, true, bytes("abc")}, {1}) == errc::ok);
    CHECK(b.receive({opcode::text, false, bytes("abc")}) == errc::ok);
    CHECK(b.receive({opcode::continuation, true, {}}) == errc::too_many_fragments);
}

namespace {

// A message in parts of one byte, each at its time.
struct slow_bench {
    explicit slow_bench(const message_limits& limits) : reader(limits) {}
    void take(opcode op, bool fin, time_point at) {
        byte_vector x = bytes("x");
        REQUIRE(reader.receive(piece_of(op, fin, 1, x), queue, at) == errc::ok);
    }
    message_reader<role::client> reader;
    slow_recorder queue{};
};

}  // namespace

TEST_CASE("message_reader: a message has so much time from its first frame on, none runs between "
          "them (10.4)") {
    slow_bench b({.time = 10s});
    CHECK(b.reader.deadline(b.queue) == never);
    b.take(opcode::text, true, now);
    CHECK(b.reader.deadline(b.queue) == never);
    for (const auto begins : {now + 1h, now + 2h}) {
        b.take(opcode::text, false, begins);
        CHECK(b.reader.deadline(b.queue) == begins + 10s);
        b.take(opcode::continuation, false, begins + 9s);
        CHECK(b.reader.deadline(b.queue) == begins + 10s);
        b.take(opcode::continuation, true, begins + 9s);
        CHECK(b.reader.deadline(b.queue) == never);
    }
    byte_vector large(100'000);
    const auto part = [&](std::size_t from, std::size_t n, time_point at) {
        const auto piece = std::span{large}.subspan(from, n);
        const auto p = piece_of(opcode::binary, true, large.size(), piece, from);
        REQUIRE(b.reader.receive(p, b.queue, at) == errc::ok);
    };
    part(0, 1, now + 3h);  // one frame, in pieces
    part(1, 50'000, now + 3h + 5s);
    CHECK(b.reader.deadline(b.queue) == now + 3h + 10s);
    part(50'001, 49'999, now + 3h + 6s);
    CHECK(b.reader.deadline(b.queue) == never);
}

TEST_CASE("message_reader: a message has 10 minutes by default, and no limit where that is 0") {
    slow_bench usual({});
    usual.take(opcode::text, false, now);
    CHECK(usual.reader.deadline(usual.queue) == now + 10min);
    slow_bench off({.time = 0s});
    off.take(opcode::text, false, now);
    CHECK(off.reader.deadline(off.queue) == never);
}

TEST_CASE("message_reader: the time of a message stops with reading, and begins anew with it") {
    slow_bench b({.time = 10s});
    b.take(opcode::text, false, now);
    b.queue.pauses = true;
    CHECK(b.reader.deadline(b.queue) == never);
    b.queue.pauses = false;
    b.reader.resume(now + 1h);
    CHECK(b.reader.deadline(b.queue) == now + 1h + 10s);
    b.take(opcode::continuation, false, now + 1h + 1s);
    CHECK(b.reader.deadline(b.queue) == now + 1h + 10s);
}

TEST_CASE("message_reader: a message that is taken in pieces has no limit of time, until it is not "
          "any more") {
    slow_bench b({.time = 10s});
    b.take(opcode::text, false, now);
    b.queue.streams = true;
    CHECK(b.reader.deadline(b.queue) == never);
    b.take(opcode::continuation, false, now + 1h);
    CHECK(b.reader.deadline(b.queue) == never);
    b.queue.streams = false;
    CHECK(b.reader.deadline(b.queue) == now + 1h + 10s);
}

TEST_CASE("message_reader: room is made at once for a frame of which much has come, and only "
          "then") {
    for (const std::size_t step : {100U, 8192U, 30'000U}) {
        message_reader<role::server> reader;
        room_recorder queue;
        byte_vector wire(100'000);
        for (std::size_t i = 0; i != wire.size(); ++i) wire[i] = std::byte{'x'} ^ rfc_key[i % 4];
        for (std::size_t from = 0; from < wire.size(); from += step) {
            const auto part = std::span{wire}.subspan(from, (std::min)(step, wire.size() - from));
            REQUIRE(reader.receive(piece_of(opcode::text, true, wire.size(), part, from), queue,
                                   now) == errc::ok);
        }
        CHECK((queue.messages == std::vector{text(std::string(100'000, 'x'))}));
        CHECK(queue.reserved == (step < 8192 ? 0 : 100'000));
    }
}

TEST_CASE("message_reader: a queue without room ends it by name") {
    server_bench full;
    full.queue.takes_messages = false;
    CHECK(full.receive({opcode::text, true, bytes("a")}) == errc::queue_full);
    CHECK(full.receive({opcode::text, true, bytes("ab")}, {1}) == errc::queue_full);

    server_bench no_room;
    no_room.queue.has_room = false;
    CHECK(no_room.receive({opcode::text, false, {}}) == errc::ok);
    CHECK(no_room.receive({opcode::continuation, true, bytes("a")}) == errc::queue_full);
    CHECK(no_room.queue.messages.empty());
    CHECK(!no_room.queue.partial);
}

TEST_CASE("message_reader: who is handed a message is outside it, and may throw (5.4)") {
    struct thrown {};
    struct asking : recorder {
        const message_reader<role::client>* reader = nullptr;
        bool inside = true;
        void finish() {
            inside = reader->inside_message() || reader->inside_fragments();
            recorder::finish();
            throw thrown{};
        }
    };
    message_reader<role::client> reader;
    asking queue;
    queue.reader = &reader;
    byte_vector a = bytes("a");
    REQUIRE(reader.receive(piece_of(opcode::text, false, 1, a, 0), queue, now) == errc::ok);
    CHECK_THROWS_AS(reader.receive(piece_of(opcode::continuation, true, 1, a, 0), queue, now),
                    thrown);
    CHECK_FALSE(queue.inside);
    CHECK_FALSE(reader.inside_message());
    CHECK(reader.receive(piece_of(opcode::text, true, 1, a, 0), queue, now) == errc::ok);
    CHECK((queue.messages == std::vector{text("aa"), text("a")}));
}
