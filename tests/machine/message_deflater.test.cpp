#include <sansocket/machine/message_deflater.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/stored_deflate.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::stored_calls;
using support::to_hex;

namespace {

struct forgetful_compressor : support::stored_compressor {
    using support::stored_compressor::stored_compressor;
    static constexpr bool keeps_context = false;
};
struct forgetful : support::stored_deflate {
    using compressor = forgetful_compressor;
};

template <class Codec = support::stored_deflate>
message_deflater<Codec> started(deflate_direction own = {15, true}, std::size_t threshold = 3) {
    deflate_options options;
    options.threshold = threshold;
    message_deflater<Codec> deflater(options);
    CHECK(deflater.state() == deflater_state::off);
    CHECK(!deflater.wants(compression::on, 100));
    CHECK(!deflater.start_message(compression::on));
    deflater.start(own);
    stored_calls().clear();
    return deflater;
}

std::string hex_of(const std::optional<std::span<const std::byte>>& payload) {
    return payload ? to_hex(*payload) : "-";
}

}  // namespace

TEST_CASE("message_deflater: which messages are compressed (RFC 7692 6.1)") {
    const auto deflater = started();
    CHECK(!deflater.wants(compression::automatic, 0));
    CHECK(!deflater.wants(compression::automatic, 2));
    CHECK(deflater.wants(compression::automatic, 3));
    CHECK(deflater.wants(compression::on, 0));
    CHECK(!deflater.wants(compression::off, 1000));
    // 8 bits: less than the codec can keep to, and so nothing is compressed.
    const auto plain = started({8, true});
    CHECK(plain.state() == deflater_state::off);
    CHECK(!plain.wants(compression::on, 1000));
    CHECK(plain.direction() == deflate_direction{8, true});
}

TEST_CASE("message_deflater: a message, less the last four bytes (RFC 7692 7.2.1)") {
    auto deflater = started();
    CHECK(hex_of(deflater.whole(bytes("AB"))) == "000200fdff414200");
    deflater.sent();
    CHECK(deflater.messages() == 1);
    CHECK(hex_of(deflater.whole(bytes("C"))) == "000100feff4300");
    deflater.sent();
    CHECK(stored_calls() == "bcbc");
    const byte_vector large(100000, std::byte{'x'});
    const auto payload = deflater.whole(large);
    REQUIRE(payload);
    CHECK(payload->size() == 100000 + 100 * 5 + 1);
    deflater.sent();
    CHECK(deflater.memory() < 100000);  // scratch for so large a message is not kept
}

TEST_CASE("message_deflater: an empty message needs no compressor (RFC 7692 7.2.3.6)") {
    auto deflater = started();
    CHECK(hex_of(deflater.whole({})) == "00");
    deflater.sent();
    CHECK(stored_calls().empty());
}

TEST_CASE("message_deflater: what was not sent is forgotten, so that the peer knows as much "
          "(RFC 7692 7.1.1)") {
    auto deflater = started();
    (void)deflater.whole(bytes("lost"));
    CHECK(stored_calls() == "bc");
    (void)deflater.whole(bytes("next"));
    CHECK(stored_calls() == "bcrbc");
    deflater.sent();
    (void)deflater.whole(bytes("third"));
    CHECK(stored_calls() == "bcrbcbc");
    deflater.sent();
    deflater.sent_elsewhere();
    CHECK(deflater.messages() == 3);
    (void)deflater.whole(bytes("fourth"));
    CHECK(stored_calls() == "bcrbcbcrbc");
}

TEST_CASE("message_deflater: without takeover each message begins afresh, and none grows "
          "(RFC 7692 7.1.1)") {
    auto deflater = started({15, false});
    CHECK(hex_of(deflater.whole(bytes("abc"))) == "-");
    CHECK(hex_of(deflater.whole(bytes("abc"))) == "-");
    CHECK(stored_calls() == "rbcrbc");
    deflater.sent_elsewhere();
    stored_calls().clear();
    deflater.shrink();
    CHECK(stored_calls() == "x");
    auto keeps = started();
    keeps.shrink();
    CHECK(stored_calls().empty());
}

TEST_CASE("message_deflater: part by part, each ends at a byte (RFC 7692 7.2.1)") {
    auto deflater = started();
    CHECK(!deflater.start_message(compression::off));
    REQUIRE(deflater.start_message(compression::automatic));
    CHECK(deflater.inside());
    CHECK(to_hex(deflater.part(bytes("A"), false)) == "000100feff41000000ffff");
    deflater.sent();
    CHECK(to_hex(deflater.part({}, false)).empty());
    deflater.sent();
    CHECK(deflater.messages() == 0);
    CHECK(to_hex(deflater.part(bytes("B"), true)) == "000100feff4200");
    deflater.sent();
    CHECK(!deflater.inside());
    CHECK(deflater.messages() == 1);
    REQUIRE(deflater.start_message(compression::on));
    CHECK(to_hex(deflater.part({}, true)) == "00");
    deflater.sent();
    CHECK(deflater.messages() == 2);
    // A part that was lost: the next one begins a new stream, which needs none of it.
    REQUIRE(deflater.start_message(compression::on));
    (void)deflater.part(bytes("lost"), false);
    stored_calls().clear();
    (void)deflater.part(bytes("next"), false);
    CHECK(stored_calls() == "rbc");
    deflater.shrink();
    CHECK(stored_calls() == "rbc");
}

TEST_CASE("message_deflater: where there is no memory nothing is compressed") {
    auto deflater = started();
    support::stored_memory() = false;
    CHECK(hex_of(deflater.whole(bytes("abc"))) == "-");
    CHECK(!deflater.start_message(compression::on));
    support::stored_memory() = true;
    CHECK(hex_of(deflater.whole(bytes("A"))) == "000100feff4100");
}

TEST_CASE("message_deflater: a compressor for many keeps nothing between calls") {
    auto deflater = started<forgetful>({15, false});
    CHECK(!deflater.start_message(compression::on));
    CHECK(deflater.wants(compression::automatic, 100));
}
