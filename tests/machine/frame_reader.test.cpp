#include <sansocket/machine/frame_reader.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::operator+;

namespace {

constexpr masking_key rfc_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

struct frame {
    sansocket::opcode opcode;
    bool fin;
    byte_vector payload;

    friend bool operator==(const frame&, const frame&) = default;
};

// `frames` as bytes on their way to an endpoint of role `receiver`.
byte_vector encoded(std::span<const frame> frames, role receiver) {
    byte_vector out;
    for (const frame& f : frames) {
        frame_header header{f.fin, f.opcode, f.payload.size(), {}};
        if (receiver == role::server) header.key = rfc_key;
        byte_vector head(max_frame_header_size);
        head.resize(encode(header, head.data()));
        out = out + head;
        for (std::size_t i = 0; i != f.payload.size(); ++i)
            out.push_back(header.key ? f.payload[i] ^ rfc_key[i % 4] : f.payload[i]);
    }
    return out;
}

std::vector<frame> some_frames() {
    return {
        {opcode::text, true, bytes("Hello")},
        {opcode::text, false, bytes("Hel")},
        {opcode::ping, true, bytes("between")},
        {opcode::continuation, true, bytes("lo")},
        {opcode::binary, true, {}},
        {opcode::binary, true, byte_vector(125, std::byte{0xa5})},
        {opcode::binary, true, byte_vector(126, std::byte{0x5a})},
        {opcode::binary, false, byte_vector(300, std::byte{0x11})},
        {opcode::continuation, true, {}},
        {opcode::pong, true, byte_vector(125, std::byte{0x22})},
        {opcode::close, true, hex("03e8")},
    };
}

// What the reader says of `pieces`, put together again; each piece is checked on the way.
template <role Role>
struct collector {
    frame_reader<Role> reader;
    std::vector<frame> frames;
    errc last = errc::ok;
    frame_piece piece;  // one for all, so that nothing of the last piece may show in the next

    void feed(std::span<std::byte> in) {
        while (!in.empty()) {
            const std::byte* const before = in.data();
            const std::size_t size = in.size();
            last = reader.next(in, piece);
            if (last != errc::ok) return;
            REQUIRE(in.size() < size);
            REQUIRE(piece.payload.data() + piece.payload.size() == before + (size - in.size()));
            take();
        }
    }

    void take() {
        if (piece.first) frames.push_back({piece.opcode, piece.fin, {}});
        frame& f = frames.back();
        REQUIRE(piece.opcode == f.opcode);
        REQUIRE(piece.fin == f.fin);
        if constexpr (Role == role::client) REQUIRE(piece.key == masking_key{});
        for (std::size_t i = 0; i != piece.payload.size(); ++i)
            f.payload.push_back(piece.payload[i] ^ piece.key[i % 4]);
        REQUIRE(piece.payload_left == piece.payload_length - f.payload.size());
        REQUIRE(piece.last == (piece.payload_left == 0));
    }
};

template <role Role>
void check_every_chunking() {
    const auto frames = some_frames();
    for (const auto& chunking : support::every_chunking(encoded(frames, Role))) {
        collector<Role> c;
        for (auto piece : chunking) c.feed(piece);
        REQUIRE(c.frames == frames);
        CHECK(!c.reader.inside_frame());
    }
}

template <role Role>
frame_piece read_one(frame_reader<Role>& reader, byte_vector& data) {
    std::span<std::byte> in = data;
    frame_piece piece;
    REQUIRE(reader.next(in, piece) == errc::ok);
    REQUIRE(in.empty());
    return piece;
}

struct fault_row {
    const char* name;
    byte_vector input;
    errc ec;
};

template <role Role>
void check_faults(std::initializer_list<fault_row> rows) {
    const std::vector<frame> good{{opcode::text, true, bytes("ok")}};
    for (const auto& row : rows) {
        INFO(row.name);
        for (const auto& chunking : support::every_chunking(encoded(good, Role) + row.input)) {
            collector<Role> c;
            for (auto piece : chunking)
                if (c.last == errc::ok || c.last == errc::need_more) c.feed(piece);
            REQUIRE(c.last == row.ec);
            REQUIRE(c.frames == good);

            auto more = encoded(good, Role);
            c.feed(more);
            REQUIRE(c.last == row.ec);
            REQUIRE(c.frames == good);
            std::span<std::byte> nothing;
            frame_piece piece;
            REQUIRE(c.reader.next(nothing, piece) == row.ec);
        }
    }
}

}  // namespace

TEST_CASE("frame_reader: frames in every chunking, to a server (5.2)") {
    check_every_chunking<role::server>();
}

TEST_CASE("frame_reader: frames in every chunking, to a client (5.2)") {
    check_every_chunking<role::client>();
}

TEST_CASE("frame_reader: 64 KiB and more, in pieces of many sizes (5.2)") {
    byte_vector payload(70'000);
    for (std::size_t i = 0; i != payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 7);
    const std::vector<frame> frames{{opcode::binary, true, payload},
                                    {opcode::text, true, bytes("x")}};
    for (const std::size_t size : {1U, 7U, 1000U, 65536U, 1'000'000U}) {
        collector<role::server> server;
        for (auto piece : support::in_pieces_of(size, encoded(frames, role::server)))
            server.feed(piece);
        CHECK((server.frames == frames));
        collector<role::client> client;
        for (auto piece : support::in_pieces_of(size, encoded(frames, role::client)))
            client.feed(piece);
        CHECK((client.frames == frames));
    }
}

TEST_CASE("frame_reader: the first header with its payload is one piece, the RFC's own bytes "
          "(5.7)") {
    frame_reader<role::server> server;
    auto masked = hex("81 85 37fa213d 7f9f4d5158");
    const auto to_server = read_one(server, masked);
    CHECK(to_server.first);
    CHECK(to_server.last);
    CHECK(to_server.fin);
    CHECK(to_server.opcode == opcode::text);
    CHECK(to_server.payload_length == 5);
    CHECK(to_server.key == rfc_key);
    CHECK(to_server.payload.data() == masked.data() + 6);
    CHECK(support::to_hex(to_server.payload) == "7f9f4d5158");

    frame_reader<role::client> client;
    auto plain = hex("81 05 48656c6c6f");
    const auto to_client = read_one(client, plain);
    CHECK(to_client.payload.data() == plain.data() + 2);
    CHECK(support::text_of(to_client.payload) == "Hello");
}

TEST_CASE("frame_reader: a header whose payload has not come is a piece without payload (5.2)") {
    frame_reader<role::server> reader;
    auto header = hex("82 85 37fa213d");
    const auto first = read_one(reader, header);
    CHECK(first.first);
    CHECK(!first.last);
    CHECK(first.payload.empty());
    CHECK(reader.inside_frame());

    std::span<std::byte> nothing;
    frame_piece piece;
    CHECK(reader.next(nothing, piece) == errc::need_more);

    auto part = hex("7f9f");
    const auto second = read_one(reader, part);
    CHECK(!second.first);
    CHECK(!second.last);
    CHECK(second.key == rfc_key);

    auto rest = hex("4d5158");
    const auto third = read_one(reader, rest);
    CHECK(!third.first);
    CHECK(third.last);
    CHECK(third.key == rotated(rfc_key, 2));
    CHECK(!reader.inside_frame());
}

TEST_CASE("frame_reader: an empty frame is one piece (5.2)") {
    frame_reader<role::client> reader;
    auto empty = hex("01 00");
    const auto piece = read_one(reader, empty);
    CHECK(piece.first);
    CHECK(piece.last);
    CHECK(!piece.fin);
    CHECK(piece.payload.empty());
    CHECK(!reader.inside_frame());
}

TEST_CASE("frame_reader: every byte of a header leaves it inside a frame (5.2)") {
    const auto header = hex("82 ff 0000000000010000 37fa213d");
    frame_reader<role::server> reader;
    CHECK(!reader.inside_frame());
    for (std::size_t i = 0; i + 1 != header.size(); ++i) {
        byte_vector one{header[i]};
        std::span<std::byte> in = one;
        frame_piece piece;
        CHECK(reader.next(in, piece) == errc::need_more);
        CHECK(in.empty());
        CHECK(reader.inside_frame());
    }
    byte_vector last{header.back()};
    CHECK(read_one(reader, last).payload_length == 65536);
}

TEST_CASE("frame_reader: the longest length is announced as it is, and not waited for (5.2)") {
    frame_reader<role::client> reader;
    auto data = hex("82 7f 7fffffffffffffff 00");
    const auto piece = read_one(reader, data);
    CHECK(piece.payload_length == 0x7fffffffffffffff);
    CHECK(piece.payload.size() == 1);
    CHECK(!piece.last);
    CHECK(reader.inside_frame());
}

TEST_CASE("frame_reader: a fault is for good, in every chunking, to a server (5.1, 5.2, 5.5)") {
    check_faults<role::server>({
        {"RSV1", hex("c1 80 37fa213d"), errc::reserved_bit},
        {"RSV3 on what is short and whole", hex("91 80 37fa213d"), errc::reserved_bit},
        {"opcode 3", hex("83 80 37fa213d"), errc::reserved_opcode},
        {"opcode F", hex("8f 80 37fa213d"), errc::reserved_opcode},
        {"not masked", hex("81 05 48656c6c6f"), errc::frame_not_masked},
        {"fragmented ping", hex("09 80 37fa213d"), errc::control_fragmented},
        {"long close", hex("88 fe 007e 37fa213d"), errc::control_length},
        {"not minimal", hex("82 fe 007d 37fa213d"), errc::length_not_minimal},
        {"2^63", hex("82 ff 8000000000000000 37fa213d"), errc::length_too_large},
    });
}

TEST_CASE("frame_reader: a fault is for good, in every chunking, to a client (5.1, 5.2, 5.5)") {
    check_faults<role::client>({
        {"RSV2", hex("a1 00"), errc::reserved_bit},
        {"opcode B", hex("8b 00"), errc::reserved_opcode},
        {"masked", hex("81 85 37fa213d 7f9f4d5158"), errc::frame_masked},
        {"masked and empty", hex("82 80 37fa213d"), errc::frame_masked},
        {"fragmented close", hex("08 00"), errc::control_fragmented},
        {"long ping", hex("89 7e 007e"), errc::control_length},
        {"not minimal", hex("82 7f 000000000000ffff"), errc::length_not_minimal},
        {"2^63", hex("82 7f 8000000000000000"), errc::length_too_large},
    });
}

TEST_CASE("frame_reader: nothing in, nothing out") {
    frame_reader<role::server> reader;
    std::span<std::byte> nothing;
    frame_piece piece;
    CHECK(reader.next(nothing, piece) == errc::need_more);
    CHECK(!reader.inside_frame());
}

TEST_CASE(
    "frame_reader: RSV1 has a meaning once it was agreed on, in every chunking (RFC 7692 6)") {
    const byte_vector wire = hex("c1 01 41  c2 7e 0080") + byte_vector(128, std::byte{0x42}) +
                             hex("81 01 43  41 00  80 01 44");
    for (const auto& cut : support::every_chunking(wire)) {
        frame_reader<role::client, rsv1::compressed> reader;
        reader.allow_compressed();
        std::vector<bool> compressed;
        for (auto piece : cut) {
            std::span<std::byte> in{piece};
            while (!in.empty()) {
                compressible_piece out;
                const errc ec = reader.next(in, out);
                if (ec == errc::need_more) break;
                REQUIRE(ec == errc::ok);
                if (out.last) compressed.push_back(out.compressed);
            }
        }
        CHECK(compressed == std::vector{true, true, false, true, false});
    }
    byte_vector frame = hex("c1 00");
    std::span<std::byte> in{frame};
    compressible_piece out;
    frame_reader<role::client, rsv1::compressed> not_agreed;
    CHECK(not_agreed.next(in, out) == errc::reserved_bit);
    in = frame;
    frame_reader<role::client> not_possible;
    CHECK(not_possible.next(in, out) == errc::reserved_bit);
    for (const std::string_view bad : {"c0 00", "c9 00", "ca 00", "c8 00"}) {
        frame = hex(bad);
        in = frame;
        frame_reader<role::client, rsv1::compressed> reader;
        reader.allow_compressed();
        CHECK(reader.next(in, out) == errc::compressed_bit);
    }
}
