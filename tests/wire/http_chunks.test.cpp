#include <sansocket/wire/http_chunks.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <string>
#include <string_view>

namespace {

using sansocket::chunk_step;
using sansocket::http_chunks;
using support::bytes;

struct outcome {
    std::string body;
    std::size_t consumed = 0;
    chunk_step last = chunk_step::need_more;
    friend bool operator==(const outcome&, const outcome&) = default;
};

outcome read(const support::pieces& pieces) {
    outcome out;
    http_chunks chunks;
    for (const auto& piece : pieces) {
        std::span<const std::byte> in{piece}, data;
        do {
            out.last = chunks.next(in, data);
            if (out.last != chunk_step::data) break;
            CHECK_FALSE(data.empty());
            out.body += support::text_of({data.begin(), data.end()});
        } while (true);
        CHECK((out.last != chunk_step::need_more || in.empty()));
        out.consumed += piece.size() - in.size();
    }
    return out;
}

// The same however the input is cut.
outcome read(std::string_view text) {
    const outcome whole = read(support::pieces{bytes(text)});
    for (const auto& cut : support::every_chunking(bytes(text))) CHECK(read(cut) == whole);
    return whole;
}

}  // namespace

TEST_CASE("http_chunks: a body is the data of its chunks (9112 7.1)") {
    const std::string_view text = "4\r\nWiki\r\n7\r\npedia i\r\nB\r\nn \r\nchunks.\r\n0\r\n";
    CHECK(read(text) == outcome{"Wikipedia in \r\nchunks.", text.size(), chunk_step::last});
    CHECK(read("0\r\n") == outcome{"", 3, chunk_step::last});
    CHECK(read("000\r\n") == outcome{"", 5, chunk_step::last});
    CHECK(read("a\r\n0123456789\r\n0\r\n").body == "0123456789");
    CHECK(read("00A\r\n0123456789\r\n0\r\n").body == "0123456789");
}

TEST_CASE("http_chunks: what follows the last chunk is left, trailers too (9112 7.1.2)") {
    CHECK(read("1\r\nx\r\n0\r\nExpires: never\r\n\r\n") == outcome{"x", 9, chunk_step::last});
}

TEST_CASE("http_chunks: extensions are passed over, up to 256 bytes a chunk (9112 7.1.1)") {
    CHECK(read("1;a=b;c=\"d e\"\r\nx\r\n0 ; last\r\n").body == "x");
    CHECK(read("1;" + std::string(256, 'e') + "\r\nx\r\n0;" + std::string(256, 'e') + "\r\n") ==
          outcome{"x", 523, chunk_step::last});
    CHECK(read("1;" + std::string(257, 'e') + "\r\n").last == chunk_step::invalid);
}

TEST_CASE("http_chunks: a coding that breaks off wants more (9112 8)") {
    const std::string_view text = "3;x=y\r\nabc\r\n0\r\n";
    for (std::size_t n = 0; n != text.size(); ++n)
        CHECK(read(text.substr(0, n)).last == chunk_step::need_more);
}

TEST_CASE("http_chunks: what is no chunk is refused at its byte (9112 7.1)") {
    struct row {
        std::string_view text;
        std::size_t consumed;
    };
    const auto r = GENERATE(values<row>({
        {"\r\n", 1},
        {"g\r\n", 1},
        {"-1\r\n", 1},
        {"0x1\r\nx", 2},
        {" 1\r\nx", 1},
        {"1\nx", 2},
        {"1\r\rx", 3},
        {"1;e\nx", 4},
        {std::string_view{"1;\0\r\n", 5}, 3},
        {"1\r\nxy\r\n", 5},
        {"1\r\nx\n", 5},
        {"1\r\nx\r\r", 6},
        {"1\r\nx\r\n\r\n", 7},
        {"0000000000000001\r\nx", 16},
        {"ffffffffffffffff\r\nx", 16},
    }));
    INFO(r.text);
    const outcome got = read(r.text);
    CHECK(got.last == chunk_step::invalid);
    CHECK(got.consumed == r.consumed);
}

TEST_CASE("http_chunks: the largest size, and what is left of a chunk (9112 7.1)") {
    http_chunks chunks;
    CHECK(chunks.remaining() == 0);
    const auto input = bytes("fffffffffffffff\r\nab");
    std::span<const std::byte> in{input}, data;
    REQUIRE(chunks.next(in, data) == chunk_step::data);
    CHECK(data.size() == 2);
    CHECK(chunks.remaining() == 0xfffffffffffffff - 2);
}
