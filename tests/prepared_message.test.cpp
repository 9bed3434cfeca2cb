#include <sansocket/prepared_message.hpp>

#include "support/endpoint.hpp"
#include "support/stored_deflate.hpp"

#include <sansocket/connection.hpp>

#include <string>

using namespace support;
using sansocket::message_kind;
using sansocket::opcode;
using sansocket::prepared_message;

TEST_CASE("prepared_message: the plain frame is made once and sent by reference") {
    const std::string text(2000, 'x');
    const prepared_message prepared(text);
    CHECK(prepared.kind() == message_kind::text);
    CHECK(text_of(prepared.payload()) == text);
    CHECK(prepared.error() == errc::ok);
    server a, b;
    for (auto* one : {&a, &b}) {
        one->open();
        CHECK(one->connection.send(prepared) == errc::ok);
        CHECK(one->connection.output()[0].data() == prepared.frame().bytes.data());
        CHECK(one->sent() == own_frame<role::server>(opcode::text, bytes(text)));
    }
    a.connection.abort();
    b.connection.abort();
}

TEST_CASE("prepared_message: a client sends it masked, as any message (RFC 6455 5.3)") {
    client c;
    c.open();
    const prepared_message prepared(message_kind::binary, bytes("Hello"));
    CHECK(c.connection.send(prepared) == errc::ok);
    CHECK(c.sent() == own_frame<role::client>(opcode::binary, bytes("Hello")));
    c.connection.abort();
}

TEST_CASE("prepared_message: it is refused as any message, and changes nothing") {
    const prepared_message good("Hello");
    const prepared_message bad("\xff");
    CHECK(bad.error() == errc::text_not_utf8);
    CHECK(prepared_message(message_kind::binary, bytes("\xff")).error() == errc::ok);
    sansocket::options options;
    options.sending.high_bytes = 1;
    server s(options);
    CHECK(s.connection.send(good) == errc::not_open);
    s.open();
    CHECK(s.connection.send(bad) == errc::text_not_utf8);
    CHECK(s.connection.start(message_kind::text) == errc::ok);
    CHECK(s.connection.send(good) == errc::message_in_progress);
    CHECK(s.connection.finish(bytes("x")) == errc::ok);
    CHECK(s.connection.send(good) == errc::backpressure);
    s.sent();
    CHECK(s.connection.send(good) == errc::ok);
    s.connection.abort();
    CHECK(s.connection.send(good) == errc::closed);
}

TEST_CASE("prepared_message: what does not get smaller is sent as it is, and not tried again "
          "(RFC 7692 6.1)") {
    sansocket::options options;
    options.deflate.enabled = true;
    endpoint<role::server, sansocket::message_queue<>, stored_deflate> s(options);
    s.open("permessage-deflate");
    const std::string text(1000, 'x');
    const prepared_message prepared(text);
    stored_calls().clear();
    for (int i = 0; i != 3; ++i) {
        CHECK(s.connection.send(prepared) == errc::ok);
        CHECK(s.sent() == own_frame<role::server>(opcode::text, bytes(text)));
    }
    CHECK(stored_calls() == "rbcc");  // in two steps, once
    CHECK(prepared.compressed_frames() == 0);
    s.connection.abort();
}
