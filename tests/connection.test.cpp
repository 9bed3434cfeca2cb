#include <sansocket/connection.hpp>

#include "support/endpoint.hpp"

#include <random>

using namespace support;
using sansocket::message;
using sansocket::message_kind;
using sansocket::opcode;

namespace {

message text(std::string data) { return {message_kind::text, std::move(data)}; }
message binary(std::string data) { return {message_kind::binary, std::move(data)}; }

// Both roles see the same things.
template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

}  // namespace

TEST_CASE("connection: RFC examples reach the application, in every chunking (5.7)") {
    const byte_vector client_to_server = hex("81 85 37fa213d 7f9f4d5158");  // masked "Hello"
    const byte_vector server_to_client =
        hex("81 05 48656c6c6f") + hex("01 03 48656c") + hex("80 02 6c6f");
    for (const auto& chunks : every_chunking(client_to_server)) {
        server s;
        s.open().receive(chunks);
        CHECK(s.messages() == std::vector{text("Hello")});
        s.connection.abort();
    }
    for (const auto& chunks : every_chunking(server_to_client)) {
        client c;
        c.open().receive(chunks);
        CHECK(c.messages() == std::vector{text("Hello"), text("Hello")});
        c.connection.abort();
    }
}

TEST_CASE("connection: messages of every size at each length form's edge arrive whole (5.2)") {
    in_both_roles([]<role Role> {
        for (const std::size_t size :
             std::vector<std::size_t>{0, 1, 125, 126, 127, 65535, 65536, 300000}) {
            endpoint<Role> e;
            e.open();
            byte_vector payload(size);
            for (std::size_t i = 0; i != size; ++i) payload[i] = static_cast<std::byte>(i * 7);
            const auto data = frame<Role>(opcode::binary, payload);
            for (const auto& piece : in_pieces_of(4093, data)) e.receive(piece);
            const auto got = e.messages();
            REQUIRE(got.size() == 1);
            CHECK(got[0] == binary(text_of(payload)));
            e.connection.abort();
        }
    });
}

TEST_CASE("connection: a client masks what it sends and a server does not (5.1, 5.3)") {
    client c;
    c.open();
    CHECK(c.connection.send_text("Hello") == errc::ok);
    CHECK(c.sent() == own_frame<role::client>(opcode::text, bytes("Hello")));
    c.connection.abort();
    server s;
    s.open();
    CHECK(s.connection.send_text("Hello") == errc::ok);
    CHECK(s.sent() == hex("81 05 48656c6c6f"));
    s.connection.abort();
}

TEST_CASE("connection: a wrong mask bit fails the connection with 1002 (5.1)") {
    server s;
    s.open().receive(hex("81 05 48656c6c6f"));
    CHECK(s.connection.close_info().cause == errc::frame_not_masked);
    CHECK(s.sent().at(3) == std::byte{0xea});  // 03 ea: 1002
    s.connection.receive_end(s.now);
    client c;
    c.open().receive(hex("81 85 37fa213d 7f9f4d5158"));
    CHECK(c.connection.close_info().cause == errc::frame_masked);
    c.connection.abort();
}

TEST_CASE("connection: a Ping is answered with its payload, without the application (5.5.2)") {
    in_both_roles([]<role Role> {
        for (const auto& chunks :
             every_chunking(frame<Role>(opcode::ping, bytes("are you there")))) {
            endpoint<Role> e;
            e.open().receive(chunks);
            CHECK(e.sent() == own_frame<Role>(opcode::pong, bytes("are you there")));
            CHECK(e.messages().empty());
            e.connection.abort();
        }
    });
}

TEST_CASE("connection: ten Pings in one read get ten Pongs in order (5.5.3)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        byte_vector in;
        byte_vector expected;
        for (int i = 0; i != 10; ++i) {
            in = in + frame<Role>(opcode::ping, bytes(std::to_string(i)));
            expected = expected + own_frame<Role>(opcode::pong, bytes(std::to_string(i)));
        }
        e.receive(in);
        CHECK(e.sent() == expected);
        e.connection.abort();
    });
}

TEST_CASE("connection: an unsolicited Pong is no error (5.5.3)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(frame<Role>(opcode::pong, bytes("x")));
        CHECK(e.sent().empty());
        CHECK(e.connection.state() == connection_state::open);
        e.connection.abort();
    });
}

TEST_CASE("connection: control frames between fragments do not disturb the message (5.4)") {
    in_both_roles([]<role Role> {
        const auto in =
            frame<Role>(opcode::text, bytes("He"), false) + frame<Role>(opcode::ping, bytes("p")) +
            frame<Role>(opcode::continuation, bytes("l"), false) +
            frame<Role>(opcode::pong, bytes("q")) + frame<Role>(opcode::continuation, bytes("lo"));
        for (const auto& chunks : every_chunking(in)) {
            endpoint<Role> e;
            e.open().receive(chunks);
            CHECK(e.messages() == std::vector{text("Hello")});
            CHECK(e.sent() == own_frame<Role>(opcode::pong, bytes("p")));
            e.connection.abort();
        }
    });
}

TEST_CASE("connection: every violation has its name and its code, after what came before (7.1.7)") {
    struct row {
        const char* name;
        byte_vector (*bytes)(bool);
        errc ec;
        unsigned code;
    };
    // Each as a client would send it (masked, key 0) or as a server would.
    static const auto raw = [](unsigned first, unsigned length, const char* rest, bool masked) {
        byte_vector out{static_cast<std::byte>(first),
                        static_cast<std::byte>(length | (masked ? 0x80U : 0U))};
        return out + hex(masked ? "00000000" : "") + hex(rest);
    };
    static const auto header = [](unsigned first, unsigned length, const char* rest, bool masked) {
        byte_vector out{static_cast<std::byte>(first),
                        static_cast<std::byte>(length | (masked ? 0x80U : 0U))};
        return out + hex(rest) + hex(masked ? "00000000" : "");
    };
    const std::vector<row> rows = {
        {"rsv1", [](bool m) { return raw(0xc1, 0, "", m); }, errc::reserved_bit, 1002},
        {"rsv2", [](bool m) { return raw(0xa1, 0, "", m); }, errc::reserved_bit, 1002},
        {"rsv3", [](bool m) { return raw(0x91, 0, "", m); }, errc::reserved_bit, 1002},
        {"opcode 3", [](bool m) { return raw(0x83, 0, "", m); }, errc::reserved_opcode, 1002},
        {"opcode b", [](bool m) { return raw(0x8b, 0, "", m); }, errc::reserved_opcode, 1002},
        {"ping in fragments", [](bool m) { return raw(0x09, 0, "", m); }, errc::control_fragmented,
         1002},
        {"long ping", [](bool m) { return header(0x89, 126, "007e", m); }, errc::control_length,
         1002},
        {"length in two", [](bool m) { return header(0x82, 126, "007d", m); },
         errc::length_not_minimal, 1002},
        {"length in eight", [](bool m) { return header(0x82, 127, "000000000000ffff", m); },
         errc::length_not_minimal, 1002},
        {"2^63", [](bool m) { return header(0x82, 127, "8000000000000000", m); },
         errc::length_too_large, 1002},
        {"too big", [](bool m) { return header(0x82, 127, "0000000001000001", m); },
         errc::message_too_big, 1009},
        {"orphan", [](bool m) { return raw(0x80, 0, "", m); }, errc::unexpected_continuation, 1002},
        {"nested", [](bool m) { return raw(0x01, 1, "61", m) + raw(0x81, 1, "61", m); },
         errc::expected_continuation, 1002},
        {"nested fragment", [](bool m) { return raw(0x01, 0, "", m) + raw(0x01, 1, "61", m); },
         errc::expected_continuation, 1002},
        {"not utf-8", [](bool m) { return raw(0x81, 2, "c328", m); }, errc::invalid_utf8, 1007},
        {"cut utf-8", [](bool m) { return raw(0x81, 1, "c3", m); }, errc::invalid_utf8, 1007},
        {"close of one byte", [](bool m) { return raw(0x88, 1, "03", m); },
         errc::close_payload_length, 1002},
        {"close 1005", [](bool m) { return raw(0x88, 2, "03ed", m); }, errc::close_code_reserved,
         1002},
        {"close 1006", [](bool m) { return raw(0x88, 2, "03ee", m); }, errc::close_code_reserved,
         1002},
        {"close 2999", [](bool m) { return raw(0x88, 2, "0bb7", m); }, errc::close_code_reserved,
         1002},
        {"close reason", [](bool m) { return raw(0x88, 4, "03e8c328", m); },
         errc::close_reason_not_utf8, 1007},
    };
    in_both_roles([&]<role Role> {
        const bool masked = Role == role::server;
        for (const row& r : rows) {
            CAPTURE(r.name);
            const auto in = frame<Role>(opcode::text, bytes("before")) + r.bytes(masked) +
                            frame<Role>(opcode::text, bytes("after"));
            for (const auto& chunks : every_chunking(in)) {
                endpoint<Role> e;
                e.open().receive(chunks);
                const auto& info = e.connection.close_info();
                CHECK(info.cause == r.ec);
                CHECK(info.code() == close_code::abnormal);
                CHECK_FALSE(info.clean);
                REQUIRE(info.sent);
                CHECK(static_cast<unsigned>(info.sent->code) == r.code);
                CHECK(e.messages() == std::vector{text("before")});
                CHECK(e.connection.messages().at_eof());
                const std::string_view why = describe(r.ec);
                CHECK(e.sent() == own_frame<Role>(opcode::close, close_bytes(r.code, why)));
                CHECK(e.connection.wants_shutdown() == shutdown_request::half_close);
                e.connection.receive_end(e.now);
                CHECK(e.connection.wants_shutdown() == shutdown_request::close);
            }
        }
    });
}

TEST_CASE("connection: after a failure input is thrown away and memory stays flat (7.1.7)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(frame<Role>(opcode::continuation, {}));
        e.sent();
        const byte_vector flood(65536);
        for (int i = 0; i != 512; ++i) CHECK(e.receive(flood) == flood.size());
        CHECK(e.connection.close_info().discarded_bytes == 512U * 65536U);
        CHECK(e.connection.messages().memory() == 0);
        CHECK(e.connection.output_bytes() == 0);
    });
}

TEST_CASE("connection: a message of exactly the limit passes, one byte more does not (10.4)") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.messages.size = 1000;
        for (const bool fragments : {false, true}) {
            for (const std::size_t over : std::vector<std::size_t>{0, 1}) {
                endpoint<Role> e{options};
                e.open();
                const std::string first(fragments ? 600 : 1000 + over, 'a');
                e.receive(frame<Role>(opcode::text, bytes(first), !fragments));
                if (fragments)
                    e.receive(
                        frame<Role>(opcode::continuation, bytes(std::string(400 + over, 'b'))));
                CHECK(e.messages().size() == 1 - over);
                CHECK((e.connection.close_info().cause == errc::message_too_big) == (over == 1));
                e.connection.abort();
            }
        }
    });
}

TEST_CASE("connection: a full message queue stops reading, and goes on where it stopped") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue = {.high_bytes = 1000, .low_bytes = 500, .high_count = 3, .low_count = 1};
        endpoint<Role> e{options};
        e.open();
        byte_vector in;
        for (int i = 0; i != 10; ++i) in = in + frame<Role>(opcode::text, bytes(std::to_string(i)));
        std::vector<message> got;
        std::span<std::byte> rest{in};
        int stops = 0;
        while (!rest.empty()) {
            rest = rest.subspan(e.connection.receive(rest, e.now));
            CHECK(e.connection.messages().size() <= 3);
            if (rest.empty()) break;
            ++stops;
            CHECK_FALSE(e.connection.wants_read());
            for (auto& m : e.messages()) got.push_back(std::move(m));
            CHECK(e.connection.wants_read());
        }
        for (auto& m : e.messages()) got.push_back(std::move(m));
        CHECK(stops == 3);
        REQUIRE(got.size() == 10);
        for (int i = 0; i != 10; ++i)
            CHECK(got[static_cast<std::size_t>(i)] == text(std::to_string(i)));
        e.connection.abort();
    });
}

TEST_CASE("connection: streamed messages go out as fragments (5.4)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        auto& c = e.connection;
        CHECK(c.append("x") == errc::no_message_in_progress);
        CHECK(c.finish() == errc::no_message_in_progress);
        CHECK(c.start(message_kind::text) == errc::ok);
        CHECK(c.start(message_kind::text) == errc::message_in_progress);
        CHECK(c.send_text("no") == errc::message_in_progress);
        CHECK(c.append("Hel") == errc::ok);
        CHECK(c.send_ping() == errc::ok);
        CHECK(c.append("l") == errc::ok);
        CHECK(c.finish(bytes("o")) == errc::ok);
        CHECK(c.send_text("next") == errc::ok);
        CHECK(e.sent() == own_frame<Role>(opcode::ping, {}) +
                              own_frame<Role>(opcode::text, bytes("Hel"), false) +
                              own_frame<Role>(opcode::continuation, bytes("l"), false) +
                              own_frame<Role>(opcode::continuation, bytes("o")) +
                              own_frame<Role>(opcode::text, bytes("next")));
        e.connection.abort();
    });
}

TEST_CASE("connection: a caller's mistakes have names and change nothing") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = 100;
        endpoint<Role> e{options};
        auto& c = e.connection;
        CHECK(c.send_text("early") == errc::not_open);
        CHECK(c.send_ping() == errc::not_open);
        e.open();
        CHECK(c.send_text("\xc3\x28") == errc::text_not_utf8);
        CHECK(c.send_ping(byte_vector(126)) == errc::control_too_long);
        CHECK(c.send_pong(byte_vector(126)) == errc::control_too_long);
        for (const unsigned code : {0U, 999U, 1004U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U})
            CHECK(c.close(static_cast<close_code>(code), "", e.now) == errc::invalid_close_code);
        CHECK(c.close(close_code::no_status, "why", e.now) == errc::invalid_close_code);
        CHECK(c.close(close_code::normal, std::string(124, 'x'), e.now) ==
              errc::close_reason_too_long);
        CHECK(c.close(close_code::normal, "\xff", e.now) == errc::text_not_utf8);
        CHECK(e.sent().empty());
        CHECK(c.state() == connection_state::open);
        CHECK(c.send_binary(byte_vector(100)) == errc::ok);
        CHECK(c.send_binary(byte_vector(1)) == errc::backpressure);
        CHECK(c.send_ping() == errc::ok);  // control frames are not held up
        CHECK_FALSE(c.output_drained());
        e.sent();
        CHECK(c.output_drained());
        CHECK(c.send_binary(byte_vector(1)) == errc::ok);
        e.sent();
        c.abort();
        CHECK(c.send_text("late") == errc::closed);
        CHECK(c.send_ping() == errc::closed);
        CHECK(c.close(close_code::normal, "", e.now) == errc::closed);
    });
}

TEST_CASE("connection: large payloads given away or shared are not copied") {
    server s;
    s.open();
    std::string big(100'000, 'x');
    const void* const at = big.data();
    CHECK(s.connection.send_text(std::move(big)) == errc::ok);
    CHECK(static_cast<const void*>(s.connection.output()[1].data()) == at);
    s.sent();
    auto owner = std::make_shared<const std::string>(100'000, 'y');
    const auto view = std::as_bytes(std::span{*owner});
    CHECK(s.connection.send_shared(message_kind::binary, {owner, view}) == errc::ok);
    CHECK(s.connection.output()[1].data() == view.data());
    CHECK(s.sent() == own_frame<role::server>(opcode::binary, bytes(*owner)));
    CHECK(owner.use_count() == 1);
    s.connection.abort();

    client c;
    c.open();
    std::string mine(100'000, 'x');
    const void* const place = mine.data();
    CHECK(c.connection.send_text(std::move(mine)) == errc::ok);
    CHECK(static_cast<const void*>(c.connection.output()[1].data()) == place);
    CHECK(c.sent() == own_frame<role::client>(opcode::text, bytes(std::string(100'000, 'x'))));
    CHECK(c.connection.send_shared(message_kind::binary, {owner, view}) == errc::ok);
    CHECK(c.sent() == own_frame<role::client>(opcode::binary, bytes(*owner)));
    CHECK((*owner)[0] == 'y');  // masked in a copy
    c.connection.abort();
}

TEST_CASE("connection: bytes behind the opening handshake are frames (4.1, 4.2)") {
    server s;
    s.receive(bytes(upgrade_request) + frame<role::server>(opcode::text, bytes("early")));
    CHECK(s.messages() == std::vector{text("early")});
    s.connection.abort();
}

TEST_CASE("connection: a server refuses with the status of the fault, then ends (4.2.1)") {
    server s;
    std::string request = upgrade_request;
    request.replace(request.find("Version: 13"), 11, "Version: 12");
    s.receive(bytes(request));
    const std::string answer = text_of(s.sent());
    CHECK(answer.starts_with("HTTP/1.1 426 "));
    CHECK(answer.find("Sec-WebSocket-Version: 13\r\n") != std::string::npos);
    CHECK(s.connection.close_info().cause == errc::websocket_version_unsupported);
    CHECK_FALSE(s.connection.was_opened());
    CHECK(s.connection.wants_shutdown() == shutdown_request::half_close);
    s.connection.receive_end(s.now);
    CHECK(s.connection.wants_shutdown() == shutdown_request::close);
}

TEST_CASE("connection: the application may decide on a request (4.2.2)") {
    sansocket::options options;
    options.decision = sansocket::request_decision::manual;
    const auto tail = frame<role::server>(opcode::text, bytes("hi"));
    SECTION("accept") {
        server s{options};
        CHECK(s.receive(bytes(upgrade_request) + tail) == upgrade_request.size());
        CHECK(s.connection.deciding());
        CHECK_FALSE(s.connection.wants_read());
        CHECK(s.connection.handshake()->request().target() == "/chat");
        const std::vector<sansocket::http_field_value> fields{{"X-Served-By", "me"}};
        CHECK(s.connection.accept("chat", {}, s.now) == errc::subprotocol_not_offered);
        CHECK(s.connection.accept("", fields, s.now) == errc::ok);
        CHECK(text_of(s.sent()).find("X-Served-By: me\r\n") != std::string::npos);
        s.receive(tail);
        CHECK(s.messages() == std::vector{text("hi")});
        s.connection.abort();
    }
    SECTION("refuse") {
        server s{options};
        s.receive(bytes(upgrade_request));
        const std::vector<sansocket::http_field_value> fields{{"Retry-After", "120"}};
        CHECK(s.connection.refuse(101, {}, "", s.now) == errc::invalid_response);
        CHECK(s.connection.refuse(503, fields, "full\n", s.now) == errc::ok);
        CHECK(s.connection.refuse(503, fields, "full\n", s.now) == errc::not_deciding);
        CHECK(s.connection.accept("", {}, s.now) == errc::not_deciding);
        const std::string answer = text_of(s.sent());
        CHECK(answer.starts_with("HTTP/1.1 503 "));
        CHECK(answer.ends_with("\r\n\r\nfull\n"));
        CHECK(answer.find("Retry-After: 120\r\n") != std::string::npos);
        CHECK(s.connection.close_info().cause == errc::refused_by_application);
        s.connection.receive_end(s.now);
        CHECK(s.connection.should_close());
    }
}

TEST_CASE("connection: the application may answer what is no upgrade (4.2.1)") {
    sansocket::options options;
    options.decision = sansocket::request_decision::manual_with_http;
    const std::string post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    SECTION(
        "it closes before the application has answered HEAD: without content (RFC 9110 9.3.2)") {
        server s{options};
        s.receive(bytes("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
        CHECK(s.connection.deciding());
        CHECK(s.connection.close(close_code::going_away, "", s.now) == errc::ok);
        const auto answer = text_of(s.sent());
        CHECK(answer.starts_with("HTTP/1.1 503 "));
        CHECK(answer.ends_with("\r\n\r\n"));
    }
    SECTION("respond") {
        server s{options};
        CHECK(s.receive(bytes(post + "body")) == post.size());
        CHECK(s.connection.deciding());
        CHECK_FALSE(s.connection.request_is_upgrade());
        CHECK(s.connection.accept("", {}, s.now) == errc::not_an_upgrade);
        CHECK(s.connection.respond(600, {}, "", s.now) == errc::invalid_response);
        CHECK(s.connection.deciding());
        CHECK(s.connection.respond(200, {}, "hello", s.now) == errc::ok);
        CHECK(s.connection.respond(200, {}, "hello", s.now) == errc::not_deciding);
        CHECK(s.connection.wants_shutdown() == shutdown_request::none);  // the answer goes first
        CHECK(text_of(s.sent()).ends_with("Content-Length: 5\r\n\r\nhello"));
        CHECK(s.connection.wants_shutdown() == shutdown_request::half_close);
        CHECK(s.connection.close_info().cause == errc::http_answered);
        CHECK_FALSE(s.connection.was_opened());
        CHECK(s.connection.wants_read());  // so that the answer is not lost to a reset
        s.receive(bytes("body"));
        CHECK(s.connection.close_info().discarded_bytes == 4);
        s.pass(options.close_timeout);
        CHECK(s.connection.wants_shutdown() == shutdown_request::abort);
    }
    SECTION("an upgrade is one still") {
        server s{options};
        s.receive(bytes(upgrade_request));
        CHECK(s.connection.request_is_upgrade());
        CHECK(s.connection.accept("", {}, s.now) == errc::ok);
        CHECK_FALSE(s.connection.request_is_upgrade());
        CHECK(s.connection.respond(200, {}, "", s.now) == errc::not_deciding);
        s.connection.abort();
    }
    SECTION("but only if it asked for that") {
        options.decision = sansocket::request_decision::manual;
        server s{options};
        s.receive(bytes(post));
        CHECK_FALSE(s.connection.deciding());
        CHECK(text_of(s.sent()).starts_with("HTTP/1.1 400 "));
    }
}

TEST_CASE("connection: a client whose upgrade is refused ends at once (4.1)") {
    client c;
    c.sent();
    c.receive(bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
    CHECK(c.connection.close_info().cause == errc::upgrade_refused);
    CHECK(c.connection.handshake()->response().status() == 403);
    CHECK(c.connection.wants_shutdown() == shutdown_request::close);
    CHECK(c.connection.messages().at_eof());
}

TEST_CASE("connection: a refusal's body is read, and its loss changes no cause (4.1)") {
    enum class end { complete, end_of_stream, truncated, lost, output_lost, timeout };
    for (const end how : {end::complete, end::end_of_stream, end::truncated, end::lost,
                          end::output_lost, end::timeout}) {
        CAPTURE(static_cast<int>(how));
        client c;
        c.sent();
        c.receive(bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nwhy"));
        CHECK(c.connection.state() == connection_state::opening);
        CHECK(c.connection.wants_read());
        CHECK_FALSE(c.connection.should_close());
        CHECK(c.connection.next_deadline() == c.now + 10s);
        switch (how) {
        case end::complete: c.receive(bytes(" no")); break;
        case end::end_of_stream: c.connection.receive_end(c.now); break;
        case end::truncated: c.connection.receive_end(c.now, errc::tls_truncated); break;
        case end::lost: c.connection.transport_lost(c.now); break;
        case end::output_lost:
            c.connection.output_lost(c.now);
            c.connection.receive_end(c.now);
            break;
        case end::timeout: c.pass(10s); break;
        }
        CHECK(c.connection.state() == connection_state::closed);
        CHECK(c.connection.close_info().cause == errc::upgrade_refused);
        CHECK_FALSE(c.connection.was_opened());
        CHECK(c.connection.should_close());
        CHECK(c.connection.next_deadline() == sansocket::never);
        CHECK(c.connection.messages().at_eof());
        REQUIRE(c.connection.handshake() != nullptr);
        CHECK(c.connection.handshake()->response().status() == 403);
        CHECK(c.connection.handshake()->body() == (how == end::complete ? "why n" : "why"));
        CHECK(c.connection.handshake()->body_cut() == (how != end::complete));
        c.connection.release_handshake();
        CHECK(c.connection.handshake() == nullptr);
    }
}

TEST_CASE("connection: who gives up inside a refusal's body is told so (4.1)") {
    for (const errc cause : {errc::aborted, errc::cancelled}) {
        client c;
        c.sent();
        c.receive(bytes("HTTP/1.1 403 Forbidden\r\n\r\nwhy"));
        c.connection.abort(cause);
        CHECK(c.connection.close_info().cause == cause);
        CHECK(c.connection.handshake()->body() == "why");
    }
}

TEST_CASE("connection: the opening handshake has a deadline (4.1)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.sent();
        CHECK(e.connection.next_deadline() == e.now + 10s);
        e.pass(9999ms);
        CHECK(e.connection.state() == connection_state::opening);
        e.pass(1ms);
        CHECK(e.connection.close_info().cause == errc::opening_timeout);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(e.connection.next_deadline() == sansocket::never);
    });
}

TEST_CASE("connection: a silent peer is pinged, then given up (5.5.2)") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open();
        CHECK(e.connection.next_deadline() == e.now + 20s);
        e.pass(20s);
        CHECK(e.sent() == own_frame<Role>(opcode::ping, hex("0000000000000001")));
        e.now += 3s;
        e.receive(frame<Role>(opcode::pong, hex("0000000000000001")));
        CHECK(e.connection.round_trip() == sansocket::duration{3s});
        e.pass(20s);
        CHECK(e.sent() == own_frame<Role>(opcode::ping, hex("0000000000000002")));
        e.receive(frame<Role>(opcode::text, bytes("last words")));
        e.pass(20s);
        e.sent();
        e.pass(20s);
        CHECK(e.connection.close_info().cause == errc::pong_timeout);
        CHECK(e.connection.close_info().code() == close_code::abnormal);
        CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
        CHECK(e.messages() == std::vector{text("last words")});  // still delivered
        CHECK(e.connection.messages().at_eof());
    });
}

TEST_CASE("connection: no peer is given up while we are the ones not reading (B87)") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = options.queue.low_count = 1;
        options.keepalive.idle_timeout = 60s;
        endpoint<Role> e{options};
        e.open().receive(frame<Role>(opcode::text, bytes("unread")));
        CHECK_FALSE(e.connection.wants_read());
        CHECK(e.connection.next_deadline() == sansocket::never);
        e.pass(1h);
        CHECK(e.connection.state() == connection_state::open);
        CHECK(e.sent().empty());
        CHECK(e.messages().size() == 1);
        CHECK(e.connection.next_deadline() == sansocket::immediately);
        e.pass(0s);
        CHECK(e.connection.next_deadline() == e.now + 20s);  // silence counts from here
        e.connection.abort();
    });
}

TEST_CASE("connection: what was moved from is closed and answers") {
    in_both_roles([]<role Role> {
        endpoint<Role> e;
        e.open().receive(frame<Role>(opcode::text, bytes("kept")));
        auto moved = std::move(e.connection);
        auto& old = e.connection;
        CHECK(old.state() == connection_state::closed);
        CHECK(old.should_close());
        CHECK_FALSE(old.wants_read());
        CHECK_FALSE(old.wants_write());
        CHECK(old.messages().is_eof());
        CHECK(old.messages().at_eof());
        CHECK(old.next_deadline() == sansocket::never);
        CHECK(old.send_text("x") == errc::closed);
        byte_vector more = frame<Role>(opcode::text, bytes("x"));
        CHECK(old.receive(more, e.now) == more.size());
        old.advance(e.now + 1h);
        CHECK(moved.state() == connection_state::open);
        CHECK(moved.messages().pop()->text() == "kept");
        moved.abort();
    });
}
