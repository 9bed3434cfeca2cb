#include <sansocket/wire/http_body.hpp>

#include <sansocket/wire/http_head_parser.hpp>

#include "support/catch.hpp"
#include "support/chunks.hpp"
#include "support/hex.hpp"

#include <string>
#include <string_view>

namespace {

using sansocket::errc;
using sansocket::http_body;
using sansocket::http_head;
using support::bytes;

http_head head_with(std::string_view status, std::string_view fields) {
    sansocket::http_head_parser parser{sansocket::http_kind::response};
    const std::string text =
        "HTTP/1.1 " + std::string{status} + " R\r\n" + std::string{fields} + "\r\n";
    REQUIRE(parser.receive(bytes(text)).ec == errc::ok);
    return parser.release();
}

struct outcome {
    std::string text;
    bool over = false;
    bool cut = false;
    std::size_t consumed = 0;
    friend bool operator==(const outcome&, const outcome&) = default;
};

outcome read(const http_head& head, std::size_t limit, const support::pieces& pieces) {
    outcome out;
    http_body body{head, limit};
    for (const auto& piece : pieces) {
        const auto [consumed, ec] = body.receive(piece);
        out.consumed += consumed;
        CHECK(ec == (body.over() ? errc::ok : errc::need_more));
        CHECK((body.over() || consumed == piece.size()));
    }
    CHECK(body.text().size() <= limit);
    out.over = body.over();
    out.cut = body.cut();
    out.text = body.take();
    return out;
}

// The same however the input is cut.
outcome read(std::string_view fields, std::string_view text, std::size_t limit = 100) {
    const http_head head = head_with("403", fields);
    const outcome whole = read(head, limit, support::pieces{bytes(text)});
    for (const auto& cut : support::every_chunking(bytes(text))) {
        const outcome in_pieces = read(head, limit, cut);
        CHECK(in_pieces.text == whole.text);
        CHECK(in_pieces.over == whole.over);
        CHECK(in_pieces.cut == whole.cut);
    }
    return whole;
}

constexpr std::string_view chunked = "Transfer-Encoding: chunked\r\n";

}  // namespace

TEST_CASE("http_body: as long as Content-Length says (9112 6.2)") {
    CHECK(read("Content-Length: 2\r\n", "no") == outcome{"no", true, false, 2});
    CHECK(read("Content-Length: 2\r\n", "nomore") == outcome{"no", true, false, 2});
    CHECK(read("Content-Length: 3\r\n", "no") == outcome{"no", false, false, 2});
    CHECK(read("Content-Length: 002\r\n", "no") == outcome{"no", true, false, 2});
    CHECK(read("Content-Length: 0\r\n", "") == outcome{"", true, false, 0});
    CHECK(read("Content-Length: 000\r\n", "x") == outcome{"", true, false, 0});
    CHECK(read("Content-Length: 18446744073709551618\r\n", "no") == outcome{"no", false, false, 2});
    CHECK(read("Content-Length: 99999999999999999999999999999999\r\n", "no").over == false);
}

TEST_CASE("http_body: chunked, in any case of the word (9112 6.3, 7.1)") {
    CHECK(read(chunked, "2\r\nno\r\n1\r\n!\r\n0\r\n") == outcome{"no!", true, false, 16});
    CHECK(read("transfer-encoding: Chunked\r\n", "0\r\nX: y\r\n\r\n") ==
          outcome{"", true, false, 3});
    CHECK(read(chunked, "2\r\nno") == outcome{"no", false, false, 5});
    // 6.3: "the Transfer-Encoding overrides the Content-Length"
    CHECK(read("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "2\r\nno\r\n0\r\n").text ==
          "no");
}

TEST_CASE("http_body: chunks that are wrong end it, cut (9112 7.1)") {
    CHECK(read(chunked, "2\r\nno\r\nx") == outcome{"no", true, true, 8});
    CHECK(read(chunked, "oops") == outcome{"", true, true, 1});
}

TEST_CASE("http_body: else up to the end of the stream (9112 6.3)") {
    for (const auto fields : {"", "Transfer-Encoding: gzip, chunked\r\n",
                              "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"}) {
        CHECK(read(fields, "no") == outcome{"no", false, false, 2});
        for (const errc how : {errc::end_of_stream, errc::transport_lost}) {
            http_body body{head_with("403", fields), 100};
            CHECK(body.receive(bytes("no")).ec == errc::need_more);
            body.end(how);
            CHECK(body.over());
            CHECK(body.cut() == (how != errc::end_of_stream));
            CHECK(body.text() == "no");
            CHECK(body.receive(bytes("x")).consumed == 0);
        }
    }
}

TEST_CASE("http_body: an end before the announced one cuts it (9112 8)") {
    for (const auto fields : {std::string_view{"Content-Length: 3\r\n"}, chunked}) {
        http_body body{head_with("403", fields), 100};
        (void)body.receive(bytes("2\r"));
        body.end(errc::end_of_stream);
        CHECK(body.over());
        CHECK(body.cut());
    }
    http_body complete{head_with("403", "Content-Length: 1\r\n"), 100};
    (void)complete.receive(bytes("x"));
    complete.end(errc::transport_lost);
    CHECK_FALSE(complete.cut());
}

TEST_CASE("http_body: the limit is inclusive, and what is beyond it is not waited for") {
    CHECK(read("Content-Length: 4\r\n", "abcd", 4) == outcome{"abcd", true, false, 4});
    CHECK(read("Content-Length: 5\r\n", "abcd", 4) == outcome{"abcd", true, true, 4});
    CHECK(read("Content-Length: 5\r\n", "abc", 4) == outcome{"abc", false, false, 3});
    CHECK(read("", "abcd", 4) == outcome{"abcd", false, false, 4});
    CHECK(read("", "abcde", 4).cut);
    CHECK(read(chunked, "4\r\nabcd\r\n0\r\n", 4) == outcome{"abcd", true, false, 12});
    CHECK(read(chunked, "5\r\nabcd", 4) == outcome{"abcd", true, true, 7});
    CHECK(read(chunked, "2\r\nab\r\n2\r\ncd\r\n", 4) == outcome{"abcd", false, false, 14});
    CHECK(read(chunked, "2\r\nab\r\n2\r\ncd\r\n1\r\ne", 4).cut);
}

TEST_CASE("http_body: with a limit of 0 it is over at once") {
    CHECK(read("Content-Length: 2\r\n", "no", 0) == outcome{"", true, true, 0});
    CHECK(read("", "no", 0) == outcome{"", true, true, 0});
    CHECK(read(chunked, "0\r\n", 0) == outcome{"", true, true, 0});
    CHECK(read("Content-Length: 0\r\n", "", 0) == outcome{"", true, false, 0});
}

TEST_CASE("http_body: none behind statuses that have none (9112 6.3)") {
    for (const auto status : {"100", "101", "204", "304"}) {
        const http_body body{head_with(status, "Content-Length: 2\r\n"), 100};
        CHECK(body.over());
        CHECK_FALSE(body.cut());
    }
    CHECK(http_body{}.over());
    CHECK(http_body{}.text().empty());
}

TEST_CASE("http_body: its memory is counted") {
    http_body body{head_with("403", "Content-Length: 1000\r\n"), 1000};
    (void)body.receive(support::byte_vector(1000));
    CHECK(body.memory() >= 1000);
}

TEST_CASE("http_body: nothing is taken behind its end") {
    http_body body{head_with("403", "Content-Length: 2\r\n"), 100};
    CHECK(body.receive(bytes("no")).ec == errc::ok);
    const auto [consumed, ec] = body.receive(bytes("more"));
    CHECK(consumed == 0);
    CHECK(ec == errc::ok);
    CHECK(body.text() == "no");
}
