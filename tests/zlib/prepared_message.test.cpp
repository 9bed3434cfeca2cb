// Messages that are compressed once for many connections.
#include <sansocket_zlib/codec.hpp>

#include "support/catch.hpp"
#include "support/deflate_pair.hpp"

#include <sansocket/prepared_message.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::prepared_message;
using sansocket_zlib::codec;

namespace {

sansocket::options server_options(std::uint8_t bits, bool takeover) {
    auto options = with_deflate();
    options.deflate.own_window_bits = bits;
    options.deflate.own_context_takeover = takeover;
    return options;
}

}  // namespace

TEST_CASE("prepared_message: one compressed frame for each window, for any number of servers "
          "(RFC 7692 7.1)") {
    const std::string data = json_like(5000);
    const prepared_message prepared{std::string_view{data}};
    std::vector<std::unique_ptr<deflate_pair<codec>>> pairs;
    for (int i = 0; i != 4; ++i)
        for (const std::uint8_t bits : {std::uint8_t{9}, std::uint8_t{12}, std::uint8_t{15}})
            for (const bool takeover : {true, false})
                pairs.push_back(std::make_unique<deflate_pair<codec>>(
                    with_deflate(), server_options(bits, takeover)));
    for (auto& pair : pairs) {
        CHECK(pair->b.connection.send(prepared) == errc::ok);
        CHECK(pair->a.connection.send(prepared) == errc::ok);  // a client's, masked
        pair->run();
        CHECK(pair->got_a == std::vector{message(message_kind::text, data)});
        CHECK(pair->got_b == pair->got_a);
        CHECK(pair->to_a[0] == std::byte{0xc1});
        CHECK(pair->to_a.size() < data.size() / 2);
    }
    CHECK(prepared.compressed_frames() == 3);
    CHECK(prepared.compressed<codec>(15)->bytes.data() ==
          prepared.compressed<sansocket_zlib::shared_codec>(15)->bytes.data());
}

TEST_CASE("prepared_message: between messages with context takeover all are decoded "
          "(RFC 7692 7.1.1)") {
    deflate_pair<codec> pair;
    const prepared_message prepared{std::string_view{json_like(3000, 7)}};
    std::vector<message> sent;
    for (unsigned i = 0; i != 60; ++i) {
        if (i % 4 == 3) {
            REQUIRE(pair.b.connection.send(prepared) == errc::ok);
            sent.emplace_back(message_kind::text, text_of(prepared.payload()));
        } else {
            sent.emplace_back(message_kind::text, json_like(2000, i % 5));
            REQUIRE(pair.b.connection.send_text(std::string_view{sent.back().data}) == errc::ok);
        }
        pair.run();
    }
    CHECK(pair.got_a == sent);
}

TEST_CASE("prepared_message: under the threshold, and where nothing was agreed on, it is plain") {
    const prepared_message prepared("Hello, Hello, Hello, Hello, Hello");
    deflate_pair<codec> pair(with_deflate(), with_deflate(1000));
    CHECK(pair.b.connection.send(prepared) == errc::ok);
    pair.run();
    CHECK(pair.to_a[0] == std::byte{0x81});
    deflate_pair<codec> none(sansocket::options{}, with_deflate());
    CHECK(none.b.connection.send(prepared) == errc::ok);
    none.run();
    CHECK(none.to_a[0] == std::byte{0x81});
    CHECK(prepared.compressed_frames() == 0);
}
