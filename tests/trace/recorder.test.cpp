#include <sansocket_trace/recorder.hpp>
#include <sansocket_trace/replay.hpp>

#include "support/endpoint.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace support;
using sansocket::message_kind;
using sansocket::opcode;
using sansocket_trace::call;
using sansocket_trace::trace_error;

namespace {

constexpr std::array<std::byte, 32> seed{std::byte{1}, std::byte{2}, std::byte{3}};

template <role Role>
using recorded = sansocket_trace::recorder<sansocket::connection<Role>>;

// A recorded connection, and the recording.
template <role Role>
struct subject {
    explicit subject(const sansocket::options& options = {}) {
        const auto sink = [this](std::span<const std::byte> part) {
            tape.insert(tape.end(), part.begin(), part.end());
        };
        const auto here = sansocket::source_location::current();
        if constexpr (Role == role::client)
            c = std::make_unique<recorded<Role>>(
                sansocket::client_request{.host = "example.com", .subprotocols = {"a", "b"}}, seed,
                now, options, here, sink);
        else
            c = std::make_unique<recorded<Role>>(
                sansocket::server_policy{.subprotocols = {"b"}, .headers = {{"Server", "tape"}}},
                now, options, here, sink);
    }
    ~subject() { c->abort(); }
    subject(const subject&) = delete;
    subject& operator=(const subject&) = delete;

    byte_vector sent(std::size_t most = static_cast<std::size_t>(-1)) {
        byte_vector out;
        while (c->wants_write() && out.size() < most) {
            std::size_t n = 0;
            for (const auto part : c->output()) {
                const auto some = part.first((std::min)(part.size(), most - out.size()));
                out.insert(out.end(), some.begin(), some.end());
                n += some.size();
            }
            c->consume_output(n, now);
        }
        return out;
    }
    void feed(byte_vector data) { c->receive(data, now); }
    void open() {
        if constexpr (Role == role::client) {
            const std::string request = text_of(sent());
            const std::string name = "Sec-WebSocket-Key: ";
            const auto accept =
                sansocket::accept_key(request.substr(request.find(name) + name.size(), 24));
            feed(bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                       "Upgrade\r\nSec-WebSocket-Protocol: b\r\nSec-WebSocket-Accept: " +
                       std::string{accept.data(), accept.size()} + "\r\n\r\n"));
        } else {
            feed(bytes(upgrade_request));
            sent();
        }
        REQUIRE(c->state() == connection_state::open);
    }

    byte_vector tape;
    sansocket::time_point now{1h};
    std::unique_ptr<recorded<Role>> c;
};

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

// Something of everything.
template <role Role>
void live(subject<Role>& s) {
    s.open();
    auto& c = *s.c;
    c.release_handshake();
    s.now += 1ms;
    CHECK(c.send_text("text") == errc::ok);
    CHECK(c.send_binary(bytes("binary")) == errc::ok);
    CHECK(c.send({message_kind::text, std::string(9000, 'x')}) == errc::ok);
    const auto owner = std::make_shared<byte_vector>(9000);
    CHECK(c.send_shared(message_kind::binary, {owner, *owner}) == errc::ok);
    CHECK(c.start(message_kind::text) == errc::ok);
    CHECK(c.append("one") == errc::ok);
    CHECK(c.finish(bytes("two")) == errc::ok);
    CHECK(c.finish() == errc::no_message_in_progress);
    CHECK(c.send_fragmented(message_kind::binary, byte_vector(5000)) == errc::ok);
    CHECK(c.send_ping(bytes("?")) == errc::ok);
    CHECK(c.send_pong() == errc::ok);
    s.sent(10);
    s.sent(1000);
    s.feed(frame<Role>(opcode::text, bytes("hello")));
    s.feed(frame<Role>(opcode::ping, bytes("!")));
    s.feed(frame<Role>(opcode::binary, byte_vector(70'000)));
    CHECK(c.messages().pop()->text() == "hello");
    s.feed(frame<Role>(opcode::text, bytes("in two"), false));
    CHECK(c.messages().pop_piece()->last);
    CHECK(c.messages().pop_piece()->text() == "in two");
    CHECK_FALSE(c.messages().piece_ready());
    s.feed(frame<Role>(opcode::continuation, bytes(".")));
    c.shrink();
    c.messages().clear();
    CHECK_FALSE(c.messages().pop());
    s.now += 25s;
    c.advance(s.now);
    s.sent();
    CHECK(c.close(close_code::normal, "bye", s.now) == errc::ok);
    s.sent();
    s.now += 3s;
    s.feed(frame<Role>(opcode::close, close_bytes(1000)));
    c.receive_end(s.now);
    c.transport_lost(s.now);
    CHECK(c.close_info().clean);
    c.abort();
}

}  // namespace

TEST_CASE("recorder: a life of everything replays, call by call") {
    in_both_roles([]<role Role> {
        subject<Role> s;
        live(s);
        const auto result = sansocket_trace::replay(s.tape);
        CHECK(result.same());
        CHECK(result.records > 30);
        CHECK(s.tape.size() < 110'000);  // of which 88,000 are payload
    });
}

TEST_CASE("recorder: what a server's application decides replays") {
    for (const int status : {101, 418, 200}) {
        sansocket::options options;
        options.decision = sansocket::request_decision::manual_with_http;
        subject<role::server> s(options);
        s.feed(bytes(status == 200 ? "GET / HTTP/1.0\r\n\r\n" : upgrade_request));
        CHECK(s.c->request_is_upgrade() == (status != 200));
        const std::vector<sansocket::http_field_value> fields{{"X-Tape", "on"}};
        if (status == 101) CHECK(s.c->accept("", fields, s.now) == errc::ok);
        if (status == 418) CHECK(s.c->refuse(418, fields, "no", s.now) == errc::ok);
        if (status == 200) CHECK(s.c->respond(200, fields, "yes", s.now) == errc::ok);
        const std::string out = text_of(s.sent());
        CHECK(out.starts_with("HTTP/1.1 " + std::to_string(status) + " "));
        CHECK(out.find("X-Tape: on\r\n") != std::string::npos);
        CHECK(sansocket_trace::replay(s.tape).same());
    }
}

TEST_CASE("recorder: it goes on where it is moved to; what was moved from is closed and silent") {
    in_both_roles([]<role Role> {
        subject<Role> s;
        s.open();
        CHECK(s.c->send_text(std::string(5000, 'x')) == errc::ok);
        s.sent(100);
        auto elsewhere = std::make_unique<recorded<Role>>(std::move(*s.c));
        const std::size_t so_far = s.tape.size();
        CHECK(s.c->state() == connection_state::closed);
        CHECK(s.c->messages().is_eof());
        CHECK(s.c->send_text("x") == errc::closed);
        CHECK_FALSE(s.c->messages().pop());
        CHECK(s.tape.size() == so_far);
        *s.c = std::move(*elsewhere);  // and back
        CHECK(s.tape.size() > so_far);
        CHECK(s.c->send_binary(byte_vector(6000)) == errc::ok);
        s.sent();
        CHECK(s.c->state() == connection_state::open);
        CHECK(sansocket_trace::replay(s.tape).same());
    });
}

TEST_CASE("recorder: options, request and policy are in the head") {
    sansocket::options options;
    options.messages.size = 77;
    options.messages.time = 76s;
    options.queue.low_count = 3;
    options.sending.control_bytes = 99;
    options.sending.fragment_bytes = 98;
    options.keepalive.idle_timeout = 5s;
    options.http.fields = 9;
    options.http.body = 8;
    options.close_timeout = 0s;
    options.close_delay = 7s;
    options.after_close = sansocket::after_close::deliver;
    options.check_sent_text = false;
    const subject<role::server> s(options);
    const subject<role::client> c(options);
    const sansocket_trace::recording of_server(s.tape), of_client(c.tape);
    for (const auto* from : {&of_server, &of_client}) {
        REQUIRE(from->error() == trace_error::ok);
        const auto& o = from->head().options;
        CHECK(o.messages.size == 77);
        CHECK(o.messages.time == 76s);
        CHECK(o.queue.low_count == 3);
        CHECK(o.sending.control_bytes == 99);
        CHECK(o.sending.fragment_bytes == 98);
        CHECK(o.keepalive.idle_timeout == 5s);
        CHECK(o.http.fields == 9);
        CHECK(o.http.body == 8);
        CHECK(o.close_timeout == 0s);
        CHECK(o.close_delay == 7s);
        CHECK(o.after_close == sansocket::after_close::deliver);
        CHECK_FALSE(o.check_sent_text);
        CHECK(from->head().start == s.now);
        CHECK(from->head().library == SANSOCKET_VERSION);
    }
    CHECK(of_server.head().policy.headers.at(0).name == "Server");
    CHECK(of_server.head().policy.subprotocols == std::vector<std::string>{"b"});
    CHECK(of_client.head().request.host == "example.com");
    CHECK(of_client.head().request.subprotocols.size() == 2);
    CHECK(of_client.head().seed == seed);
}

TEST_CASE("recorder: conversations at random replay bit for bit") {
    in_both_roles([]<role Role> {
        for (unsigned seed_of_run = 0; seed_of_run != 100; ++seed_of_run) {
            std::mt19937 random(seed_of_run);
            sansocket::options options;
            options.queue = {.high_count = 3, .low_count = 1};
            options.sending.high_bytes = options.sending.low_bytes = 500;
            subject<Role> s(options);
            s.open();
            auto& c = *s.c;
            byte_vector behind;  // what was not taken yet
            for (int i = 0; i != 60; ++i) {
                const std::size_t size = random() % 300;
                switch (random() % 11) {
                case 0: behind = behind + frame<Role>(opcode::binary, byte_vector(size)); break;
                case 1: behind = behind + frame<Role>(opcode::ping, byte_vector(size % 126)); break;
                case 2: (void)c.send_binary(byte_vector(size)); break;
                case 3: s.sent(size); break;
                case 4: (void)c.messages().pop(); break;
                case 5: s.now += std::chrono::seconds{random() % 5}, c.advance(s.now); break;
                case 6: (void)c.start(message_kind::binary), (void)c.append("part"); break;
                case 7: (void)c.finish(); break;
                case 8: (void)c.messages().pop_piece(); break;
                case 9: (void)c.send_fragmented(message_kind::text, byte_vector(size)); break;
                default: break;
                }
                byte_vector part(behind.begin(),
                                 behind.begin() +
                                     static_cast<std::ptrdiff_t>((std::min)(behind.size(), size)));
                const auto taken = static_cast<std::ptrdiff_t>(c.receive(part, s.now));
                behind.erase(behind.begin(), behind.begin() + taken);
            }
            REQUIRE(sansocket_trace::replay(s.tape).same());
        }
    });
}

TEST_CASE("replay: a recording cut anywhere is truncated, and what came before is good") {
    in_both_roles([]<role Role> {
        subject<Role> s;
        s.open();
        CHECK(s.c->send_text("x") == errc::ok);
        s.sent();
        std::size_t whole_ones = 0;
        for (std::size_t n = 0; n != s.tape.size(); ++n) {
            const auto result = sansocket_trace::replay(std::span{s.tape}.first(n));
            CHECK_FALSE(result.differs);
            if (!result.same()) CHECK(result.error == trace_error::truncated);
            else ++whole_ones;
        }
        CHECK(whole_ones > 3);
    });
}

TEST_CASE("replay: a recording that was tampered with is found out, and does no harm") {
    in_both_roles([]<role Role> {
        subject<Role> s;
        s.open();
        s.feed(frame<Role>(opcode::text, bytes("hello")));
        CHECK(s.c->messages().pop());
        s.feed(frame<Role>(opcode::close, close_bytes(1000)));
        s.sent();
        REQUIRE(sansocket_trace::replay(s.tape).same());
        std::size_t unnoticed = 0;
        for (std::size_t i = 0; i != s.tape.size(); ++i) {
            for (const unsigned bit : {0U, 3U, 7U}) {
                auto wrong = s.tape;
                wrong[i] ^= static_cast<std::byte>(1U << bit);
                if (sansocket_trace::replay(wrong).same()) ++unnoticed;
            }
        }
        // Limits that were never reached, and names of headers nobody asked for, change nothing.
        CHECK(unnoticed < s.tape.size());
        auto other = s.tape;
        other[16] = std::byte{99};
        CHECK(sansocket_trace::replay(other).error == trace_error::unknown_version);
        other[0] ^= std::byte{1};
        CHECK(sansocket_trace::replay(other).error == trace_error::not_a_trace);
        CHECK(sansocket_trace::replay({}).error == trace_error::truncated);
    });
}

TEST_CASE("recorder: a sink that throws does not make abort throw, and nothing more is written") {
    struct failing {
        int* calls;
        void operator()(std::span<const std::byte>) const {
            if (++*calls > 1) throw std::runtime_error("disk full");
        }
    };
    int calls = 0;
    const auto here = sansocket::source_location::current();
    sansocket_trace::recorder<sansocket::connection<role::server>, failing> c(
        sansocket::server_policy{}, sansocket::time_point{1h}, {}, here, failing{&calls});
    STATIC_REQUIRE(noexcept(c.abort()));
    CHECK_THROWS_AS(c.advance(sansocket::time_point{1h}), std::runtime_error);
    c.abort();
    CHECK(calls == 3);
    CHECK(c.close_info().cause == errc::aborted);
    c.advance(sansocket::time_point{1h});
    CHECK(calls == 3);
}

TEST_CASE("recorder: the digest knows of round trips, of when input came and of stalled writes") {
    in_both_roles([]<role Role> {
        const auto digest_after = [](auto what) {
            endpoint<Role> e;
            e.left_open = true;
            e.open();
            const auto start = e.now;
            e.pass(20s);
            e.sent();
            what(e);
            return sansocket_trace::digest(e.connection, start);
        };
        byte_vector number(8);
        number.back() = std::byte{1};
        const auto pong_after = [&](sansocket::duration time, byte_vector payload) {
            return digest_after([=](auto& e) {
                e.now += time;
                e.receive(frame<Role>(sansocket::opcode::pong, payload));
                e.pass(5s - time);
            });
        };
        CHECK(pong_after(1s, number) == pong_after(1s, number));
        CHECK(pong_after(1s, number) != pong_after(2s, number));
        CHECK(pong_after(1s, number) != pong_after(1s, bytes("others")));
        CHECK(pong_after(1s, {}) != pong_after(2s, {}));
        const auto stalled_after = [&](sansocket::duration time) {
            return digest_after([=](auto& e) {
                (void)e.connection.send_text("x");
                e.pass(time);
                e.pass(5s - time);
            });
        };
        CHECK(stalled_after(1s) == stalled_after(1s));
        CHECK(stalled_after(1s) != stalled_after(2s));
    });
}
