#include <sansocket/diagnostics.hpp>

#include "support/endpoint.hpp"

#include <string_view>
#include <type_traits>
#include <vector>

using namespace support;
using sansocket::connection_snapshot;
using sansocket::ended_by;
using sansocket::message_queue;
using sansocket::opcode;

namespace {

struct listener final : sansocket::diagnostics_handler {
    void leaked(const sansocket::leak_report& report) noexcept override { leaks.push_back(report); }
    void changed(const sansocket::state_change& change) noexcept override {
        changes.push_back(change);
    }
    std::vector<sansocket::leak_report> leaks;
    std::vector<sansocket::state_change> changes;
};

template <role Role, class Diagnostics = sansocket::with_diagnostics>
using watched = sansocket::connection<Role, message_queue<>, fixed_keys, Diagnostics>;

constexpr sansocket::time_point start{1h};

// An open connection, that tells `l`; `line` is set to where it was made.
template <role Role>
watched<Role> make_open(listener& l, unsigned& line) {
    sansocket::options options;
    options.diagnostics = &l;
    byte_vector opening = bytes(upgrade_request);
    line = __LINE__ + 2;
    if constexpr (Role == role::server) {
        watched<Role> c(sansocket::server_policy{}, start, options);
        c.receive(opening, start);
        c.consume_output(c.output().bytes(), start);
        return c;
    } else {
        line = __LINE__ + 1;
        watched<Role> c({.host = "server.example.com"}, fixed_keys{}, start, options);
        std::string request;
        for (const auto part : c.output()) request += text_of(part);
        const std::string_view name = "Sec-WebSocket-Key: ";
        const auto accept = sansocket::accept_key(
            std::string_view{request}.substr(request.find(name) + name.size(), 24));
        c.consume_output(request.size(), start);
        opening = bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                        std::string{accept.data(), accept.size()} + "\r\n\r\n");
        c.receive(opening, start);
        return c;
    }
}

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

template <class Connection>
void feed(Connection& c, byte_vector data, sansocket::time_point now) {
    CHECK(c.receive(data, now) == data.size());
}

}  // namespace

TEST_CASE("diagnostics: a connection destroyed while open is reported, with where it was made") {
    in_both_roles([]<role Role> {
        listener l;
        unsigned line = 0;
        {
            auto c = make_open<Role>(l, line);
            feed(c, frame<Role>(opcode::text, bytes("unread")), start + 2s);
            CHECK(c.send_text("unsent") == errc::ok);
        }
        REQUIRE(l.leaks.size() == 1);  // and not what was moved from
        const auto& report = l.leaks[0];
        CHECK(report.connection.id != 0);
        CHECK(report.connection.role == Role);
        CHECK(report.connection.state == connection_state::open);
        CHECK(report.connection.queued_messages == 1);
        CHECK(report.connection.queued_bytes == 6 + sansocket::message_overhead);
        CHECK(report.connection.output_bytes == (Role == role::client ? 12U : 8U));
        CHECK(report.connection.output_frames == 1);
        CHECK(report.age == 2s);
        CHECK(std::string_view{report.created.file_name()}.ends_with("diagnostics.test.cpp"));
        CHECK(report.created.line() == line);
    });
}

TEST_CASE("diagnostics: one destroyed while closing, or dropped, is reported once") {
    in_both_roles([]<role Role> {
        listener l;
        unsigned line = 0;
        SECTION("closing") {
            auto c = make_open<Role>(l, line);
            CHECK(c.close(close_code::normal, "", start) == errc::ok);
        }
        SECTION("dropped") {
            auto c = make_open<Role>(l, line);
            c.abort(errc::dropped);
            CHECK(l.leaks.size() == 1);
            c.abort(errc::dropped);
        }
        SECTION("overwritten") {
            auto c = make_open<Role>(l, line);
            auto other = make_open<Role>(l, line);
            const auto id = c.explain().id;
            c = std::move(other);
            REQUIRE(l.leaks.size() == 1);
            CHECK(l.leaks[0].connection.id == id);
            c.abort();
        }
        CHECK(l.leaks.size() == 1);
    });
}

TEST_CASE("diagnostics: a connection that ended is not reported, nor one that never opened") {
    in_both_roles([]<role Role> {
        listener l;
        unsigned line = 0;
        SECTION("closed by the peer") {
            auto c = make_open<Role>(l, line);
            feed(c, frame<Role>(opcode::close, close_bytes(1000)), start);
            c.consume_output(c.output().bytes(), start);
            CHECK(c.close_info().clean);
        }
        SECTION("failed") {
            auto c = make_open<Role>(l, line);
            feed(c, hex("ff ff"), start);
        }
        SECTION("lost") {
            auto c = make_open<Role>(l, line);
            c.transport_lost(start);
        }
        SECTION("aborted") {
            auto c = make_open<Role>(l, line);
            c.abort();
        }
        SECTION("opening") {
            sansocket::options options;
            options.diagnostics = &l;
            const watched<role::server> c(sansocket::server_policy{}, start, options);
        }
        CHECK(l.leaks.empty());
    });
}

TEST_CASE("diagnostics: each change of state is told once, with the time and the cause") {
    in_both_roles([]<role Role> {
        listener l;
        unsigned line = 0;
        auto c = make_open<Role>(l, line);
        const auto id = c.explain().id;
        feed(c, frame<Role>(opcode::text, bytes("x")), start + 1s);
        c.messages().clear();
        feed(c, frame<Role>(opcode::close, close_bytes(1000)), start + 2s);
        c.consume_output(c.output().bytes(), start + 3s);
        c.transport_lost(start + 4s);
        REQUIRE(l.changes.size() == 3);
        const std::vector<connection_state> states{
            connection_state::opening, connection_state::open, connection_state::closing,
            connection_state::closed};
        const std::vector<errc> causes{errc::ok, errc::closed_by_peer, errc::closed_by_peer};
        const std::vector<sansocket::time_point> times{start, start + 2s, start + 3s};
        for (std::size_t i = 0; i != 3; ++i) {
            CHECK(l.changes[i].id == id);
            CHECK(l.changes[i].role == Role);
            CHECK(l.changes[i].from == states[i]);
            CHECK(l.changes[i].to == states[i + 1]);
            CHECK(l.changes[i].cause == causes[i]);
            CHECK(l.changes[i].when == times[i]);
        }
    });
}

TEST_CASE("diagnostics: every way to end is told as the change that it is") {
    in_both_roles([]<role Role> {
        const auto last_change = [](auto end) {
            listener l;
            unsigned line = 0;
            auto c = make_open<Role>(l, line);
            end(c);
            REQUIRE(l.changes.size() == 2);
            const auto change = l.changes.back();
            c.abort();
            return change;
        };
        const auto closing =
            last_change([](auto& c) { CHECK(c.close(close_code::normal, "", start) == errc::ok); });
        CHECK(closing.to == connection_state::closing);
        CHECK(closing.cause == errc::ok);
        const auto failed = last_change([](auto& c) { feed(c, hex("ff ff"), start + 1s); });
        CHECK(failed.to == connection_state::closed);
        CHECK(failed.cause == errc::reserved_bit);
        CHECK(failed.when == start + 1s);
        const auto ended = last_change([](auto& c) { c.receive_end(start + 2s); });
        CHECK(ended.cause == errc::end_of_stream);
        CHECK(ended.when == start + 2s);
        const auto lost = last_change([](auto& c) { c.transport_lost(start + 3s); });
        CHECK(lost.when == start + 3s);
        const auto silent = last_change([](auto& c) {
            c.advance(start + 20s);
            c.advance(start + 40s);
        });
        CHECK(silent.cause == errc::pong_timeout);
        CHECK(silent.when == start + 40s);

        // While the peer's Close waits for what is unread, and while it is answered.
        for (const bool unread : {true, false}) {
            listener l;
            unsigned line = 0;
            auto c = make_open<Role>(l, line);
            if (unread) feed(c, frame<Role>(opcode::text, bytes("x")), start + 1s);
            feed(c, frame<Role>(opcode::close, close_bytes(1000)), start + 1s);
            c.output_lost(start + 2s);
            CHECK(l.changes.back().to == connection_state::closed);
            CHECK(l.changes.back().cause == errc::closed_by_peer);
            CHECK(l.changes.back().when == start + 2s);
            CHECK(l.changes.size() == (unread ? 2 : 3));
        }
    });
}

TEST_CASE("diagnostics: a server that refuses tells that, and accept and refuse tell the time") {
    listener l;
    sansocket::options options;
    options.diagnostics = &l;
    options.decision = sansocket::request_decision::manual;
    watched<role::server> refusing(sansocket::server_policy{}, start, options);
    feed(refusing, bytes(upgrade_request), start);
    CHECK(refusing.refuse(404, {}, "", start + 1s) == errc::ok);
    watched<role::server> accepting(sansocket::server_policy{}, start, options);
    feed(accepting, bytes(upgrade_request), start);
    CHECK(accepting.accept("", {}, start + 2s) == errc::ok);
    REQUIRE(l.changes.size() == 2);
    CHECK(l.changes[0].to == connection_state::closed);
    CHECK(l.changes[0].cause == errc::refused_by_application);
    CHECK(l.changes[0].when == start + 1s);
    CHECK(l.changes[1].to == connection_state::open);
    CHECK(l.changes[1].when == start + 2s);
    accepting.abort();
}

TEST_CASE("diagnostics: the last bytes are kept as they came, however they came") {
    const byte_vector all = frame<role::server>(opcode::binary, bytes("0123456789abcdefghij"));
    const byte_vector last(all.end() - 16, all.end());
    for (const auto& cut : every_chunking(all)) {
        listener l;
        unsigned line = 0;
        auto c = make_open<role::server>(l, line);
        for (const auto& piece : cut) feed(c, piece, start);
        const auto input = c.explain().input;
        CHECK(byte_vector(input.data.begin(), input.data.begin() + 16) == last);
        CHECK(input.size == 16);
        c.abort();
    }
    sansocket::with_diagnostics d(nullptr, role::server, start,
                                  sansocket::source_location::current());
    connection_snapshot s;
    d.received(bytes("ab"));
    d.received(bytes("c"));
    d.fill(s);
    CHECK(text_of(std::span{s.input.data}.first(s.input.size)) == "abc");
}

TEST_CASE("diagnostics: none cost nothing, and nobody has to listen") {
    using none = watched<role::server, sansocket::no_diagnostics>;
    STATIC_REQUIRE(sizeof(none) + sizeof(sansocket::with_diagnostics) <=
                   sizeof(watched<role::server>) + alignof(none));
    STATIC_REQUIRE(std::is_empty_v<sansocket::no_diagnostics>);
    STATIC_REQUIRE(std::is_nothrow_destructible_v<none>);
    listener l;
    sansocket::options options;
    options.diagnostics = &l;
    {
        none c(sansocket::server_policy{}, start, options);
        feed(c, bytes(upgrade_request), start);
        CHECK(c.state() == connection_state::open);
        CHECK(c.explain().id == 0);
        CHECK(c.explain().input.size == 0);
    }
    CHECK(l.leaks.empty());
    CHECK(l.changes.empty());
    watched<role::server> unheard(sansocket::server_policy{}, start);
    feed(unheard, bytes(upgrade_request), start);
    CHECK(unheard.state() == connection_state::open);
}
