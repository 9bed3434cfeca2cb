#include <sansocket_simulation/endpoint.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace sansocket_simulation;
using sansocket::close_code;
using sansocket::errc;
using sansocket::role;

namespace {

using client = endpoint<sansocket::connection<role::client>>;
using server = endpoint<sansocket::connection<role::server>>;

// A client and a server that talk.
struct talk {
    explicit talk(std::uint64_t seed = 1, const link_options& both = {},
                  const endpoint_options& pace = {}, const sansocket::options& options = {})
        : w(seed, true), wire(w.connect(both)) {
        server::hooks serves;
        serves.on_message = [this](server& from, const sansocket::message_view& m) {
            served.emplace_back(m.text());
            from.send_text(m.text());
        };
        serves.on_closed = [this](server&) { ++closed; };
        client::hooks asks;
        asks.on_open = [this](client&) { ++opened; };
        asks.on_message = [this](client&, const sansocket::message_view& m) {
            answers.emplace_back(m.text());
        };
        asks.on_closed = [this](client&) { ++closed; };
        sansocket::client_request request;
        request.host = "example.com";
        s.emplace(w, wire.second(), "server", pace, std::move(serves), sansocket::server_policy{},
                  w.now(), options);
        c.emplace(w, wire.first(), "client", pace, std::move(asks), request, w.keys(), w.now(),
                  options);
    }
    void open() {
        w.run_for(1s);
        REQUIRE(opened == 1);
    }

    world w;
    network_link& wire;
    std::vector<std::string> served, answers;
    int opened = 0;
    int closed = 0;
    std::optional<server> s;
    std::optional<client> c;
};

}  // namespace

TEST_CASE("endpoint: two of them open, talk and close, and each is told once") {
    talk t;
    t.open();
    CHECK(t.c->send_text("one") == errc::ok);
    CHECK(t.c->send_text(std::string(100'000, 'x')) == errc::ok);
    t.w.run_for(1s);
    REQUIRE(t.answers.size() == 2);
    CHECK(t.answers[0] == "one");
    CHECK(t.answers[1].size() == 100'000);
    CHECK(t.c->close(close_code::normal, "bye") == errc::ok);
    t.w.run_for(1s);
    CHECK(t.closed == 2);
    CHECK(t.c->closed());
    CHECK_FALSE(t.c->attached());
    CHECK_FALSE(t.s->attached());
    CHECK(t.c->connection().close_info().clean);
    CHECK(t.s->connection().close_info().received->reason == "bye");
    CHECK(t.w.run());  // and then nothing is left to happen
}

TEST_CASE("world: one seed is one story, and another is another") {
    const auto told = [](std::uint64_t seed) {
        talk t(seed, {.jitter = 5ms, .segment = 7}, {.write_time = 1ms});
        t.open();
        t.c->send_text(std::string(500, 'x'));
        t.w.run_for(1s);
        t.c->close();
        t.w.run();
        CHECK(t.answers.size() == 1);
        return t.w.told().text();
    };
    CHECK(told(7) == told(7));
    CHECK(told(7) != told(8));
}

TEST_CASE("endpoint: a program that takes no messages makes its peer wait, and loses nothing") {
    sansocket::options options;
    options.queue = {.high_bytes = 2000, .low_bytes = 1000};
    options.sending.high_bytes = options.sending.low_bytes = 2000;
    talk t(1, {.buffer = 1000}, {}, options);
    t.open();
    t.s->pause();
    int accepted = 0;
    for (int i = 0; i != 100; ++i) {
        if (t.c->send_text(std::string(500, 'x')) == errc::ok) ++accepted;
        t.w.run_for(10ms);
    }
    CHECK(accepted < 20);
    CHECK(t.served.empty());
    CHECK(t.s->connection().messages().paused());
    t.s->resume();
    t.w.run_for(1s);
    CHECK(t.served.size() == static_cast<std::size_t>(accepted));
    t.c->close();
    t.w.run();
    CHECK(t.closed == 2);
}

TEST_CASE("endpoint: messages are taken at the program's pace") {
    talk t(1, {}, {.message_time = 10ms});
    t.open();
    for (int i = 0; i != 5; ++i) t.c->send_text("x");
    t.w.run_for(25ms);
    CHECK(t.served.size() == 2);
    t.s->message_time(0ms);
    t.w.run_for(1s);
    CHECK(t.served.size() == 5);
    t.c->abort();
    t.w.run();
}

TEST_CASE("endpoint: one that is dropped resets its peer, whose time ends") {
    talk t;
    t.open();
    t.c->drop();
    CHECK_FALSE(t.c->has_connection());
    t.w.run();
    CHECK(t.s->connection().close_info().cause == errc::transport_lost);
    CHECK(t.s->connection().close_info().code() == close_code::abnormal);
    CHECK(t.closed == 1);  // nobody is told of what he did himself
}

TEST_CASE("endpoint: a dead link ends with the deadline of the closing handshake") {
    talk t;
    t.open();
    t.wire.befall(fault::lose, 0);
    const auto begin = t.w.now();
    CHECK(t.c->close() == errc::ok);
    t.w.run_for(1h);
    CHECK(t.c->connection().close_info().cause == errc::close_timeout);
    CHECK(t.w.now() - begin == 1h);
    CHECK(t.closed == 2);  // the server's keepalive found out
}

TEST_CASE("endpoint: a connection may be moved while it writes") {
    talk t(3, {.write_size = 3}, {.write_time = 1ms});
    t.open();
    t.c->send_text(std::string(300, 'x'));
    for (int i = 0; i != 50; ++i) {
        t.w.run_for(2ms);
        t.c->move();
        t.s->move();
    }
    t.w.run_for(1s);
    CHECK(t.answers.size() == 1);
    CHECK_FALSE(t.c->output_changed());
    t.s->close();
    t.w.run();
    CHECK(t.closed == 2);
}
