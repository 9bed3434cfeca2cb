// What happens in each state. A row reads: state, what the reader gets, then how the connection
// ended (code, clean, cause, whether a message was cut off), the bytes that go out, and what is to
// be done with the transport when they have.
#include <sansocket/connection.hpp>

#include "support/lifecycle.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

using namespace support;
using sansocket::message;
using sansocket::opcode;
using enum errc;

namespace {

constexpr bool yes = true;
constexpr bool no = false;
constexpr bool cut = true;
constexpr bool whole = false;
constexpr close_code lost = close_code::abnormal;
constexpr shutdown_request stays = shutdown_request::none;
constexpr shutdown_request half_closes = shutdown_request::half_close;
constexpr shutdown_request closes = shutdown_request::close;
constexpr shutdown_request aborts = shutdown_request::abort;

const std::vector<message> queued{text_message("q")};
const std::vector<message> nothing{};
const byte_vector silence{};

template <role Role>
struct row {
    at state;
    std::vector<message> reader;
    close_code code;
    bool clean;
    errc cause;
    bool incomplete;
    byte_vector out;
    shutdown_request transport;
};

// What a connection in that state answers to who wants to send.
errc answer(connection_state state) {
    switch (state) {
    case connection_state::opening: return not_open;
    case connection_state::open: return ok;
    case connection_state::closing: return closing;
    case connection_state::closed: return closed;
    }
    return closed;
}

template <role Role>
void check(subject<Role>& s, const row<Role>& expected, bool slowly) {
    auto& c = s.connection;
    CHECK((slowly ? s.sent_slowly() : s.sent()) == expected.out);
    const auto& info = c.close_info();
    CHECK(info.code() == expected.code);
    CHECK(info.clean == expected.clean);
    CHECK(info.cause == expected.cause);
    CHECK(info.incomplete_message == expected.incomplete);
    CHECK(c.wants_shutdown() == expected.transport);
    CHECK(s.messages() == expected.reader);
    const bool over = c.state() == connection_state::closed;
    CHECK(c.messages().is_eof() == (info.cause != ok));
    if (over) CHECK(c.messages().at_eof());
    if (over) CHECK(c.messages().cause() == info.cause);
    const std::size_t before = c.output_bytes();
    if (c.state() != connection_state::open) {
        CHECK(c.send_text("more") == answer(c.state()));
        CHECK(c.send_ping() == answer(c.state()));
        CHECK(c.start(sansocket::message_kind::text) == answer(c.state()));
    }
    CHECK(c.output_bytes() == before);
}

// Each row, with the output taken whole and byte by byte.
template <role Role>
using rows = std::vector<row<Role>>;

template <role Role>
void check_rows(const rows<Role>& all, std::function<void(subject<Role>&)> trigger,
                const sansocket::options& options = {}) {
    for (const auto& expected : all) {
        for (const bool slowly : {false, true}) {
            CAPTURE(static_cast<int>(expected.state), slowly);
            subject<Role> s(expected.state, options);
            trigger(s);
            check(s, expected, slowly);
        }
    }
}

// After both Closes the server closes TCP, and a client waits for that. 7.1.1.
template <role Role>
constexpr shutdown_request server_first = Role == role::server ? closes : stays;

}  // namespace

TEST_CASE("T1/OI T1/OM T1/OQ T1/CLO T1/CW T1/CRE T1/CD: this endpoint closes") {
    in_both_roles([]<role Role> {
        const auto all = begun<Role>() + own_frame<Role>(opcode::text, unsent_two);
        const auto bye = own_close<Role>(1001, "bye");
        const auto echo = own_close<Role>(4000);
        check_rows<Role>(
            rows<Role>{
                {at::OI, nothing, lost, no, ok, whole, bye, stays},
                {at::OM, nothing, lost, no, ok, whole, bye, stays},
                {at::OQ, nothing, lost, no, ok, whole, all + bye, stays},
                {at::CLO, nothing, lost, no, ok, whole, silence, stays},
                {at::CW, nothing, theirs, yes, closed_by_peer, whole, bye, server_first<Role>},
                {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, server_first<Role>},
                {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, server_first<Role>}},
            [](subject<Role>& s) {
                const errc expected = answer(s.connection.state());
                CHECK(s.connection.close(ours, "bye", s.now) == expected);
            });
    });
}

TEST_CASE("T1/HS: this endpoint closes before it is open") {
    check_rows<role::client>(
        rows<role::client>{{at::HS, nothing, lost, no, closed_locally, whole, silence, aborts}},
        [](auto& s) { CHECK(s.connection.close(ours, "bye", s.now) == ok); });
    subject<role::server> s(at::HS);
    CHECK(s.connection.close(ours, "bye", s.now) == ok);
    const std::string answer_given = text_of(s.sent());
    CHECK(answer_given.starts_with("HTTP/1.1 503 "));
    CHECK(answer_given.find("Connection: close\r\n") != std::string::npos);
    check(s, {at::HS, nothing, lost, no, closed_locally, whole, silence, half_closes}, false);
}

TEST_CASE("T1/OM: a message that our close cut off is told of when the end comes") {
    in_both_roles([]<role Role> {
        subject<Role> s(at::OM);
        CHECK(s.connection.close(ours, "", s.now) == ok);
        s.feed(peers_close<Role>());
        CHECK(s.connection.close_info().incomplete_message);
    });
}

TEST_CASE("T2/OI T2/OM T2/OQ T2/CLO T2/CRE T2/CD: the peer's Close, where it is answered at once") {
    in_both_roles([]<role Role> {
        const auto echo = own_close<Role>(4000);
        constexpr auto after = server_first<Role>;
        check_rows<Role>(
            rows<Role>{
                {at::OI, queued, theirs, yes, closed_by_peer, whole, echo, after},
                {at::OM, queued, theirs, yes, closed_by_peer, cut, echo, after},
                {at::OQ, queued, theirs, yes, closed_by_peer, whole, begun<Role>() + echo, after},
                {at::CLO, nothing, theirs, yes, closed_locally, whole, silence, after},
                {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, after},
                {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, after}},
            [](subject<Role>& s) { s.feed(peers_close<Role>()); }, answering_at_once());
    });
}

TEST_CASE("T2/OI T2/OM T2/OQ T2/CW: the peer's Close waits for what is unread") {
    in_both_roles([]<role Role> {
        const auto all = begun<Role>() + own_frame<Role>(opcode::text, unsent_two);
        const std::vector<row<Role>> waits{
            {at::OI, queued, theirs, no, closed_by_peer, whole, silence, stays},
            {at::OM, queued, theirs, no, closed_by_peer, cut, silence, stays},
            {at::OQ, queued, theirs, no, closed_by_peer, whole, all, stays},
            {at::CW, queued, theirs, no, closed_by_peer, whole, silence, stays}};
        for (const auto& expected : waits) {
            CAPTURE(static_cast<int>(expected.state));
            subject<Role> s(expected.state);
            s.feed(peers_close<Role>());
            CHECK(s.connection.next_deadline() == s.now + 1s);
            check(s, expected, false);
            CHECK(s.connection.state() == connection_state::open);
            CHECK(s.connection.send_text("answer") == ok);
            CHECK(s.connection.next_deadline() == s.now + 1s);  // it is to go out first
            s.connection.advance(s.now);
            CHECK(s.sent() == own_frame<Role>(opcode::text, bytes("answer")));
            CHECK(s.connection.next_deadline() == sansocket::immediately);
            s.connection.advance(s.now);
            CHECK(s.connection.state() == connection_state::closing);
            CHECK(s.connection.next_deadline() == s.now + 5s);
            check(s,
                  {expected.state, nothing, theirs, yes, closed_by_peer, expected.incomplete,
                   own_close<Role>(4000), server_first<Role>},
                  false);
        }
    });
}

TEST_CASE("T6/CW: the peer's Close waits no longer than the close delay") {
    in_both_roles([]<role Role> {
        subject<Role> s(at::CW);
        auto& c = s.connection;
        CHECK(c.send_text("begun") == ok);
        CHECK(c.send_text("not begun") == ok);
        const auto out = s.sent(1);
        const auto due = s.now + 1s;
        CHECK(c.next_deadline() == due);
        c.advance(due - 1ns);
        CHECK(c.next_deadline() == due);
        c.advance(due);
        CHECK(c.next_deadline() == due + 5s);
        CHECK(c.send_text("late") == closing);
        CHECK(out + s.sent() ==
              own_frame<Role>(opcode::text, bytes("begun")) + own_close<Role>(4000));
        CHECK(c.close_info().unsent_bytes ==
              own_frame<Role>(opcode::text, bytes("not begun")).size());
        check(s, {at::CW, queued, theirs, yes, closed_by_peer, whole, silence, server_first<Role>},
              false);
    });
}

TEST_CASE("T4/CW: behind the end of its stream the peer still hears what answers it") {
    in_both_roles([]<role Role> {
        subject<Role> s(at::CW);
        s.connection.receive_end(s.now);
        CHECK(s.messages() == queued);
        CHECK(s.connection.send_text("answer") == ok);
        CHECK(s.sent() == own_frame<Role>(opcode::text, bytes("answer")));
        s.connection.advance(s.now);
        check(s,
              {at::CW, nothing, theirs, yes, closed_by_peer, whole, own_close<Role>(4000), closes},
              false);
    });
}

TEST_CASE("T5/CW: where the transport takes nothing more, the peer's Close waits for nothing") {
    in_both_roles([]<role Role> {
        subject<Role> s(at::CW);
        s.connection.output_lost(s.now);
        check(s, {at::CW, queued, theirs, no, closed_by_peer, whole, silence, closes}, false);
    });
}

TEST_CASE("T2/OI: an empty Close is answered by an empty one, and reads as 1005") {
    in_both_roles([]<role Role> {
        const auto empty = own_frame<Role>(opcode::close, {});
        check_rows<Role>(
            rows<Role>{{at::OI, queued, close_code::no_status, yes, closed_by_peer, whole, empty,
                        server_first<Role>}},
            [](subject<Role>& s) { s.feed(frame<Role>(opcode::close, {})); }, answering_at_once());
    });
}

TEST_CASE("T2/HS: a Close that comes with the answer counts, and one before it does not") {
    for (const auto& pieces : every_chunking(peers_close<role::server>())) {
        endpoint<role::server> s;
        s.receive(pieces);
        CHECK(text_of(s.sent()).starts_with("HTTP/1.1 400 "));
        CHECK(s.connection.close_info().cause == http_request_line);
        CHECK(s.connection.close_info().code() == lost);
        CHECK(s.connection.wants_shutdown() == half_closes);
    }
    with_every_cut<role::client>([]<role Role> {
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, http_status_line, whole, silence, closes}},
            [](subject<Role>& s) { s.feed(peers_close<Role>()); });
    });
    // The request, or the answer, and a Close.
    for (const auto& pieces :
         every_chunking(bytes(upgrade_request) + peers_close<role::server>())) {
        endpoint<role::server> s;
        s.receive(pieces);
        const auto out = s.sent();
        const auto echo = own_close<role::server>(4000);
        CHECK(text_of(out).starts_with("HTTP/1.1 101 "));
        CHECK(byte_vector(out.end() - static_cast<std::ptrdiff_t>(echo.size()), out.end()) == echo);
        CHECK(s.connection.close_info().clean);
        CHECK(s.connection.close_info().code() == theirs);
    }
}

TEST_CASE("T3/OI T3/OM T3/OQ T3/CLO T3/CW T3/CRE: both close at once") {
    in_both_roles([]<role Role> {
        const auto bye = own_close<Role>(1001, "bye");
        const auto echo = own_close<Role>(4000);
        constexpr auto after = server_first<Role>;
        check_rows<Role>(
            rows<Role>{
                {at::OI, nothing, theirs, yes, closed_locally, whole, bye, after},
                {at::OM, nothing, theirs, yes, closed_locally, cut, bye, after},
                {at::OQ, nothing, theirs, yes, closed_locally, whole, begun<Role>() + bye, after},
                {at::CLO, nothing, theirs, yes, closed_locally, whole, silence, after},
                {at::CW, nothing, theirs, yes, closed_by_peer, whole, bye, after},
                {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, after}},
            [](subject<Role>& s) {
                (void)s.connection.close(ours, "bye", s.now);
                s.feed(peers_close<Role>());
            });
    });
}

TEST_CASE("T4/HS T4/OI T4/OM T4/OQ T4/CLO T4/CW T4/CRE T4/CD: the end of the stream") {
    in_both_roles([]<role Role> {
        const auto echo = own_close<Role>(4000);
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, end_of_stream, whole, silence, closes},
                       {at::OI, queued, lost, no, end_of_stream, whole, silence, closes},
                       {at::OM, queued, lost, no, end_of_stream, cut, silence, closes},
                       {at::OQ, queued, lost, no, end_of_stream, whole, silence, closes},
                       {at::CLO, nothing, lost, no, end_of_stream, whole, silence, closes},
                       {at::CW, queued, theirs, no, closed_by_peer, whole, silence, stays},
                       {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, closes},
                       {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, closes}},
            [](subject<Role>& s) { s.connection.receive_end(s.now); });
    });
}

TEST_CASE("T5/HS T5/OI T5/OM T5/OQ T5/CLO T5/CW T5/CRE T5/CD: the transport is reset") {
    in_both_roles([]<role Role> {
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, transport_lost, whole, silence, closes},
                       {at::OI, queued, lost, no, transport_lost, whole, silence, closes},
                       {at::OM, queued, lost, no, transport_lost, cut, silence, closes},
                       {at::OQ, queued, lost, no, transport_lost, whole, silence, closes},
                       {at::CLO, nothing, lost, no, transport_lost, whole, silence, closes},
                       {at::CW, queued, theirs, no, closed_by_peer, whole, silence, closes},
                       {at::CRE, queued, theirs, no, closed_by_peer, whole, silence, closes},
                       {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, closes}},
            [](subject<Role>& s) { s.connection.transport_lost(s.now); });
    });
}

TEST_CASE("T6/HS T6/CLO T6/CRE T6/CD: the deadline") {
    in_both_roles([]<role Role> {
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, opening_timeout, whole, silence, aborts},
                       {at::CLO, nothing, lost, no, close_timeout, whole, silence, aborts},
                       {at::CRE, queued, theirs, no, closed_by_peer, whole, silence, aborts},
                       {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, closes}},
            [](subject<Role>& s) {
                auto& c = s.connection;
                const bool opening = c.state() == connection_state::opening;
                const auto due = s.now + (opening ? 10s : 5s);
                CHECK(c.next_deadline() == due);
                c.advance(due - 1ns);
                CHECK(c.next_deadline() == due);
                c.advance(due);
                CHECK(c.next_deadline() == sansocket::never);
            });
    });
}

TEST_CASE("T7/HS T7/OI T7/OM T7/OQ T7/CLO T7/CW T7/CRE T7/CD: a read that finds nothing changes "
          "nothing") {
    in_both_roles([]<role Role> {
        for (const at state : every_state) {
            CAPTURE(static_cast<int>(state));
            subject<Role> s(state);
            s.messages();
            const auto before = s.connection.explain();
            for (int i = 0; i != 3; ++i) CHECK_FALSE(s.connection.messages().pop());
            const auto after = s.connection.explain();
            CHECK(after.state == before.state);
            CHECK(after.cause == before.cause);
            CHECK(after.output_bytes == before.output_bytes);
            CHECK(after.deadline == before.deadline);
            CHECK(after.wants_read == before.wants_read);
            if (state != at::OM) continue;
            s.feed(frame<Role>(opcode::continuation, bytes(" and half")));
            CHECK(s.messages() == std::vector{text_message("half and half")});
        }
    });
}

TEST_CASE("T8/HS T8/CLO T8/CW T8/CRE T8/CD: a cancelled close gives the connection up") {
    in_both_roles([]<role Role> {
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, cancelled, whole, silence, aborts},
                       {at::CLO, nothing, lost, no, cancelled, whole, silence, aborts},
                       {at::CW, nothing, theirs, no, closed_by_peer, whole, silence, aborts},
                       {at::CRE, nothing, theirs, no, closed_by_peer, whole, silence, aborts},
                       {at::CD, nothing, theirs, yes, closed_by_peer, whole, silence, aborts}},
            [](subject<Role>& s) { s.connection.abort(cancelled); });
    });
}

TEST_CASE("T9/HS T9/OI T9/OM T9/OQ T9/CLO T9/CW T9/CRE T9/CD: dropped without a close") {
    in_both_roles([]<role Role> {
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, dropped, whole, silence, aborts},
                       {at::OI, nothing, lost, no, dropped, whole, silence, aborts},
                       {at::OM, nothing, lost, no, dropped, cut, silence, aborts},
                       {at::OQ, nothing, lost, no, dropped, whole, silence, aborts},
                       {at::CLO, nothing, lost, no, dropped, whole, silence, aborts},
                       {at::CW, nothing, theirs, no, closed_by_peer, whole, silence, aborts},
                       {at::CRE, nothing, theirs, no, closed_by_peer, whole, silence, aborts},
                       {at::CD, nothing, theirs, yes, closed_by_peer, whole, silence, aborts}},
            [](subject<Role>& s) { s.connection.abort(dropped); });
    });
}

TEST_CASE("T10/OI T10/OM T10/OQ T10/CLO T10/CW T10/CRE T10/CD: the peer breaks the protocol") {
    in_both_roles([]<role Role> {
        const auto why = own_close<Role>(1002, describe(reserved_bit));
        const auto echo = own_close<Role>(4000);
        constexpr auto after = server_first<Role>;
        check_rows<Role>(
            rows<Role>{
                {at::OI, queued, lost, no, reserved_bit, whole, why, half_closes},
                {at::OM, queued, lost, no, reserved_bit, cut, why, half_closes},
                {at::OQ, queued, lost, no, reserved_bit, whole, begun<Role>() + why, half_closes},
                {at::CLO, nothing, lost, no, reserved_bit, whole, silence, half_closes},
                {at::CW, queued, theirs, no, closed_by_peer, whole, silence, stays},
                {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, after},
                {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, after}},
            [](subject<Role>& s) { s.feed(hex("ff ff")); });
    });
}

TEST_CASE("T10/OI: each fault has its code, is told to the peer, and then the end is awaited") {
    struct fault {
        errc cause;
        std::uint16_t code;
        std::function<byte_vector()> bytes;
    };
    in_both_roles([]<role Role> {
        const std::vector<fault> faults{
            {reserved_opcode, 1002, [] { return frame<Role>(sansocket::opcode{3}, {}); }},
            {unexpected_continuation, 1002, [] { return frame<Role>(opcode::continuation, {}); }},
            {invalid_utf8, 1007, [] { return frame<Role>(opcode::text, hex("c0")); }},
            {message_too_big, 1009, [] { return frame<Role>(opcode::text, byte_vector(9)); }},
            {too_many_fragments, 1008,
             [] {
                 return frame<Role>(opcode::text, {}, false) +
                        frame<Role>(opcode::continuation, {}, false) +
                        frame<Role>(opcode::continuation, {}, false);
             }},
            {close_payload_length, 1002, [] { return frame<Role>(opcode::close, bytes("x")); }},
            {close_code_reserved, 1002, [] { return peers_close<Role>(1005); }},
            {close_reason_not_utf8, 1007, [] { return peers_close<Role>(1000, "\xff"); }},
        };
        sansocket::options options;
        options.messages.size = 8;
        options.messages.fragments = 2;
        for (const auto& [cause, code, input] : faults) {
            CAPTURE(describe(cause));
            subject<Role> s(at::OI, options);
            s.feed(input());
            CHECK(s.connection.close_info().sent->code == close_code{code});
            CHECK(s.sent() == own_close<Role>(code, describe(cause)));
            CHECK(s.connection.close_info().cause == cause);
            CHECK(s.connection.close_info().code() == lost);
            CHECK(s.connection.wants_shutdown() == half_closes);
            CHECK(s.connection.wants_read());
            CHECK(s.messages() == queued);
            s.feed(frame<Role>(opcode::text, bytes("late")) + peers_close<Role>());
            CHECK(s.connection.close_info().code() == lost);
            s.connection.receive_end(s.now);
            CHECK(s.connection.wants_shutdown() == closes);
        }
    });
}

TEST_CASE("T10/HS: an opening handshake that is wrong is named, and a server says why") {
    subject<role::client> c(at::HS);
    c.feed(bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    check(c, {at::HS, nothing, lost, no, upgrade_refused, whole, silence, closes}, false);
    CHECK(c.connection.handshake()->response().status() == 200);
    struct fault {
        std::string_view from, to;
        errc cause;
        std::string_view status;
    };
    for (const auto& [from, to, cause, status] : std::vector<fault>{
             {"GET", "PUT", method_not_get, "405"},
             {"Version: 13", "Version: 8", websocket_version_unsupported, "426"},
             {"Upgrade: websocket", "Upgrade: h2c", not_an_upgrade, "400"},
             {"Connection: Upgrade", "Connection: close", connection_not_upgrade, "400"}}) {
        std::string request = upgrade_request;
        request.replace(request.find(from), from.size(), to);
        for (const auto& pieces : every_chunking(bytes(request))) {
            endpoint<role::server> s;
            s.receive(pieces);
            const std::string out = text_of(s.sent());
            CHECK(out.starts_with("HTTP/1.1 " + std::string{status} + " "));
            CHECK((status == "426") == (out.find("Version: 13\r\n") != std::string::npos));
            CHECK(out.find("Connection: close") != std::string::npos);
            CHECK(s.connection.close_info().cause == cause);
            CHECK(s.connection.wants_shutdown() == half_closes);
            s.connection.receive_end(s.now);
            CHECK(s.connection.wants_shutdown() == closes);
        }
    }
}

TEST_CASE("T11/OI T11/OM T11/OQ T11/CLO: a full message queue stops reading, but not closing") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = 2;
        options.queue.low_count = 1;
        options.keepalive.write_timeout = 0s;  // OQ: output waits all the time
        for (const at state : {at::OI, at::OM, at::OQ}) {
            CAPTURE(static_cast<int>(state));
            subject<Role> s(state, options);
            auto& c = s.connection;
            s.feed(state == at::OM ? frame<Role>(opcode::continuation, bytes("r"))
                                   : frame<Role>(opcode::text, bytes("r")));
            CHECK(c.messages().paused());
            CHECK_FALSE(c.wants_read());
            CHECK(s.receive(frame<Role>(opcode::text, bytes("x"))) == 0);
            s.pass(1h);  // the peer cannot prove that it lives
            CHECK(c.state() == connection_state::open);
            CHECK(c.close_info().cause == ok);
            CHECK(c.messages().pop());
            CHECK(c.wants_read());
            CHECK(c.messages().pop());
            CHECK_FALSE(c.messages().paused());
            s.feed(frame<Role>(opcode::text, bytes("s")) + frame<Role>(opcode::text, bytes("t")));
            CHECK_FALSE(c.wants_read());
            CHECK(c.close(ours, "", s.now) == ok);
            CHECK(c.wants_read());
            for (int i = 0; i != 10; ++i) s.feed(frame<Role>(opcode::text, bytes("more")));
            CHECK(c.wants_read());
            CHECK(c.messages().size() == 0);
            s.feed(peers_close<Role>());
            s.sent();
            CHECK(c.close_info().clean);
        }
    });
}

TEST_CASE("T11/HS: what comes with the opening handshake counts towards the mark") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.queue.high_count = 2;
        endpoint<Role> e(options);
        const auto one = frame<Role>(opcode::text, bytes("x"));
        const auto in = e.opening_and(one + one + one);
        CHECK(e.receive(in) == in.size() - one.size());
        CHECK_FALSE(e.connection.wants_read());
        CHECK(e.messages().size() == 2);
        CHECK(e.receive(one) == one.size());
        e.connection.abort();
    });
}

TEST_CASE(
    "T11/OI T11/OM T11/OQ: a full send queue refuses messages, and takes Pongs and the Close") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.sending.high_bytes = 16;
        for (const at state : {at::OI, at::OM, at::OQ}) {
            CAPTURE(static_cast<int>(state));
            subject<Role> s(state, options);
            auto& c = s.connection;
            while (c.send_binary(byte_vector(16)) == ok) {}
            const std::size_t full = c.output_bytes();
            CHECK(c.send_text("more") == backpressure);
            CHECK(c.output_bytes() == full);
            CHECK(c.state() == connection_state::open);
            s.feed(frame<Role>(opcode::ping, bytes("p")));
            CHECK(c.output_bytes() > full);
            CHECK(c.close(close_code::try_again_later, "", s.now) == ok);
            s.sent(1);
            CHECK(c.send_text("more") == closing);  // and never anything else again
            s.sent();
            CHECK(c.send_text("more") == closing);
            CHECK(c.close_info().sent->code == close_code::try_again_later);
            s.pass(5s);
            CHECK(c.close_info().cause == close_timeout);
        }
    });
}

TEST_CASE("T12/HS T12/OI T12/OM T12/OQ T12/CLO T12/CW T12/CRE T12/CD: nobody drives it any more") {
    in_both_roles([]<role Role> {
        for (const at state : every_state) {
            CAPTURE(static_cast<int>(state));
            subject<Role> s(state);
            const auto before = s.connection.explain();
            s.now += 24h;
            const auto after = s.connection.explain();  // time alone does nothing
            CHECK(after.state == before.state);
            CHECK(after.cause == before.cause);
            CHECK(after.clean == before.clean);
            CHECK(after.deadline == before.deadline);
            s.connection.abort();
            CHECK(s.connection.should_close());
            CHECK(s.connection.state() == connection_state::closed);
        }
    });
}

TEST_CASE("T13/OI T13/OM T13/OQ T13/HS T13/CLO T13/CW T13/CRE T13/CD: the peer is silent") {
    in_both_roles([]<role Role> {
        // The Ping that is sent for the silence goes nowhere.
        const auto silent = [](subject<Role>& s) {
            s.pass(20s);
            s.pass(20s);
        };
        check_rows<Role>(
            rows<Role>{{at::OI, queued, lost, no, pong_timeout, whole, silence, aborts},
                       {at::OM, queued, lost, no, pong_timeout, cut, silence, aborts},
                       // It takes nothing, either, which shows sooner.
                       {at::OQ, queued, lost, no, write_timeout, whole, silence, aborts}},
            silent);
        sansocket::options patient;
        patient.opening_timeout = patient.close_timeout = sansocket::duration::zero();
        constexpr auto after = server_first<Role>;
        const auto echo = own_close<Role>(4000);
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, ok, whole, silence, stays},
                       {at::CLO, nothing, lost, no, ok, whole, silence, stays},
                       {at::CW, queued, theirs, yes, closed_by_peer, whole, echo, after},
                       {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, after},
                       {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, after}},
            silent, patient);
    });
}

TEST_CASE("T13/OI T13/OM T13/OQ: the idle timeout does the same") {
    in_both_roles([]<role Role> {
        sansocket::options options;
        options.keepalive.ping_interval = sansocket::duration::zero();
        options.keepalive.idle_timeout = 30s;
        options.keepalive.write_timeout = 0s;  // OQ: it would come at the same time
        check_rows<Role>(
            rows<Role>{{at::OI, queued, lost, no, idle_timeout, whole, silence, aborts},
                       {at::OM, queued, lost, no, idle_timeout, cut, silence, aborts},
                       {at::OQ, queued, lost, no, idle_timeout, whole, silence, aborts}},
            [](subject<Role>& s) { s.pass(30s); }, options);
    });
}

TEST_CASE("T14/HS T14/OI T14/OM T14/OQ T14/CLO T14/CW T14/CRE T14/CD: a TLS stream is cut off") {
    in_both_roles([]<role Role> {
        const auto echo = own_close<Role>(4000);
        check_rows<Role>(
            rows<Role>{{at::HS, nothing, lost, no, tls_truncated, whole, silence, closes},
                       {at::OI, queued, lost, no, tls_truncated, whole, silence, closes},
                       {at::OM, queued, lost, no, tls_truncated, cut, silence, closes},
                       {at::OQ, queued, lost, no, tls_truncated, whole, silence, closes},
                       {at::CLO, nothing, lost, no, tls_truncated, whole, silence, closes},
                       {at::CW, queued, theirs, no, closed_by_peer, whole, silence, stays},
                       {at::CRE, queued, theirs, yes, closed_by_peer, whole, echo, closes},
                       {at::CD, queued, theirs, yes, closed_by_peer, whole, silence, closes}},
            [](subject<Role>& s) { s.connection.receive_end(s.now, tls_truncated); });
    });
}
