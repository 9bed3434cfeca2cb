// Connections that compress, recorded and replayed.
#include <sansocket_trace/recorder.hpp>
#include <sansocket_trace/replay.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include "support/catch.hpp"
#include "support/deflate_pair.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace support;
using sansocket::compression;
using sansocket::message_kind;
using sansocket_zlib::codec;

namespace {

template <role Role>
using recorded = sansocket_trace::recorder<sansocket_zlib::connection<Role>>;

struct tapes {
    byte_vector client, server;
};

template <class From, class To>
void carry(From& from, To& to, sansocket::time_point now) {
    while (from.wants_write()) {
        byte_vector wire;
        for (const auto part : from.output()) wire.insert(wire.end(), part.begin(), part.end());
        from.consume_output(wire.size(), now);
        CHECK(to.receive(wire, now) == wire.size());
        while (to.messages().pop()) {}
    }
}

tapes converse(const sansocket::options& options) {
    tapes t;
    const auto to = [](byte_vector& tape) {
        return [&tape](std::span<const std::byte> part) {
            tape.insert(tape.end(), part.begin(), part.end());
        };
    };
    const sansocket::time_point now{1h};
    const auto here = sansocket::source_location::current();
    recorded<role::client> client({.host = "h"}, {}, now, options, here, to(t.client));
    recorded<role::server> server({}, now, options, here, to(t.server));
    const auto carry_all = [&] {
        carry(client, server, now);
        carry(server, client, now);
    };
    carry_all();
    REQUIRE(client.deflate().has_value());
    const std::string data = json_like(3000);
    const auto as_bytes = std::as_bytes(std::span{data});
    const sansocket::prepared_message prepared(message_kind::text, as_bytes, options.deflate);
    for (const auto how : {compression::on, compression::off, compression::automatic}) {
        CHECK(client.send(message_kind::text, as_bytes, how) == errc::ok);
        CHECK(server.send(prepared) == errc::ok);
        CHECK(server.send_text(std::string_view{data}) == errc::ok);
        CHECK(server.start(message_kind::text, how) == errc::ok);
        CHECK(server.append(std::string_view{data}) == errc::ok);
        CHECK(server.finish() == errc::ok);
        carry_all();
    }
    CHECK(server.explain().compressed_messages == 8);
    CHECK(client.close(close_code::normal, "", now) == errc::ok);
    carry_all();
    client.receive_end(now);
    server.receive_end(now);
    return t;
}

}  // namespace

TEST_CASE("zlib recorder: what was compressed replays, with every choice of the options") {
    auto options = with_deflate();
    std::vector<sansocket::options> all{options};
    options.deflate.own_context_takeover = false;
    options.deflate.level = 9;
    options.deflate.memory_level = 3;
    options.deflate.own_window_bits = 10;
    all.push_back(options);
    options.deflate.offers = {{true, false, 9, {}}, {false, true, {}, 0}};
    all.push_back(options);
    for (const auto& one : all) {
        const tapes t = converse(one);
        for (const auto& tape : {t.client, t.server}) {
            const auto result = sansocket_trace::replay<sansocket::message_queue<>, codec>(tape);
            CHECK(result.same());
            CHECK(result.records > 30);
            // Without the codec it is another connection.
            CHECK(!sansocket_trace::replay(tape).same());
        }
    }
}
