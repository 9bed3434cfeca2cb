// What a seed stands for: who talks, over which links, with which options, what they do, and what
// befalls them. Drawn in full before anything happens, so that a part of it can be left out.
#pragma once

#include <sansocket_simulation/sansocket_simulation.hpp>

#include <sansocket/options.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace simulation {

using namespace std::chrono_literals;
using sansocket::duration;
using sansocket_simulation::fault;
using sansocket_simulation::link_options;
using sansocket_simulation::random_source;

// What a program does.
enum class act : std::uint8_t {
    text,
    owned_text,
    binary,
    owned_binary,
    shared,
    fragments,  // a whole message in several frames
    start,
    append,
    finish,
    ping,
    pong,
    close,
    close_wrongly,  // with a code that may not be sent
    pause,          // it takes no messages
    resume,
    advance,  // out of turn
    shrink,
    move,
    abort,
    cancel,
    let_go,  // abort, and nobody meant to
    drop,    // destroyed
};
inline constexpr std::array<std::string_view, 22> act_names{
    "text",        "owned text", "binary", "owned binary", "shared", "fragments",
    "start",       "append",     "finish", "ping",         "pong",   "close",
    "wrong close", "pause",      "resume", "advance",      "shrink", "move",
    "abort",       "cancel",     "let go", "drop"};

// One thing that happens: an act of one end at a time, or a fault at an operation of the link.
struct event {
    std::size_t pair = 0;
    bool is_fault = false;
    fault what_fault{};
    std::uint64_t operation = 0;
    duration until{};  // of a hold; 0: for ever
    act what{};
    std::size_t side = 0;  // 0: the client
    duration at{};
    std::size_t size = 0;
    std::uint64_t salt = 0;
};

struct party_plan {
    sansocket::options options;
    sansocket_simulation::endpoint_options pace;
};
enum class answer : std::uint8_t { at_once, accepts_late, refuses };
enum class ending : std::uint8_t { client_closes, server_closes, both_close, client_drops };

struct pair_plan {
    party_plan client, server;
    link_options there, back;
    answer decision{};
    duration decides_after{};
    ending last{};
};
enum class server_kind : std::uint8_t { silent, echo, broadcast };

struct scenario {
    std::uint64_t seed = 0;
    bool calm = false;  // nothing goes wrong, so nothing may be lost
    server_kind server{};
    std::vector<pair_plan> pairs;
    std::vector<event> events;
    duration horizon{};  // then all close
};

// Draws it.
class author {
public:
    explicit author(std::uint64_t seed) : r_(random_source{seed}.fork(7)) { out_.seed = seed; }

    // calm: as for seeds in which nothing goes wrong.
    scenario write(bool calm = false) {
        out_.calm = r_.chance(25) || calm;
        out_.horizon = std::chrono::milliseconds{r_.pick(std::array{5U, 20U, 100U, 500U, 2000U})};
        out_.server = static_cast<server_kind>(r_.below(3));
        const std::size_t pairs = r_.chance(70) ? 1 : r_.between(2, 6);
        party_plan server;
        server.options = options(true);
        for (std::size_t i = 0; i != pairs; ++i) add_pair(server);
        for (std::size_t i = 0; i != pairs; ++i) add_events(i);
        return std::move(out_);
    }

private:
    duration part_of_horizon(std::uint64_t least, std::uint64_t most) {
        return out_.horizon * static_cast<duration::rep>(r_.between(least, most)) / 100;
    }
    static duration us(std::uint64_t n) {
        return std::chrono::microseconds{static_cast<std::int64_t>(n)};
    }

    sansocket::options options(bool server) {
        sansocket::options o;
        if (r_.chance(40)) {
            o.queue.high_count = r_.between(1, 4);
            o.queue.low_count = r_.below(o.queue.high_count);
        }
        if (r_.chance(30)) {
            o.queue.high_bytes = r_.between(64, 2000);
            o.queue.low_bytes = r_.below(o.queue.high_bytes);
        }
        if (r_.chance(40)) {
            o.sending.high_bytes = r_.between(1, 2000);
            o.sending.low_bytes = r_.below(o.sending.high_bytes);
            o.sending.high_count = r_.between(1, 8);
            o.sending.control_bytes = r_.between(1, 300);
        }
        if (r_.chance(50)) o.after_close = sansocket::after_close::deliver;
        if (!out_.calm && r_.chance(10)) o.messages.size = r_.between(0, 400);
        draw_times(o);
        if (server && r_.chance(30)) o.decision = sansocket::request_decision::manual;
        return o;
    }
    void draw_times(sansocket::options& o) {
        auto& k = o.keepalive;
        if (r_.chance(40)) {
            k.ping_interval = k.pong_timeout = 0s;
        } else if (r_.chance(70)) {
            k.ping_interval = 5ms + part_of_horizon(5, 100);
            k.pong_timeout = r_.chance(80) ? part_of_horizon(5, 100) : duration::zero();
        }
        if (out_.calm) {
            if (k.pong_timeout != duration::zero()) k.pong_timeout += 5s;
            o.close_timeout = o.opening_timeout = 60s;
            return;
        }
        if (r_.chance(20)) k.idle_timeout = part_of_horizon(10, 120);
        if (r_.chance(20)) k.write_timeout = part_of_horizon(5, 100);
        if (r_.chance(10)) o.messages.time = part_of_horizon(1, 100);
        if (r_.chance(60)) o.close_delay = us(r_.between(0, 50'000));
        if (r_.chance(60)) o.close_timeout = us(r_.between(500, 200'000));
        if (r_.chance(30)) o.opening_timeout = us(r_.between(500, 50'000));
    }

    link_options wire() {
        link_options o;
        o.latency = us(r_.between(0, out_.calm ? 2000 : r_.pick(std::array{100U, 3000U, 50'000U})));
        if (r_.chance(50)) o.jitter = us(r_.between(0, 2000));
        if (r_.chance(30)) o.bytes_per_second = r_.between(out_.calm ? 500'000 : 20'000, 5'000'000);
        if (r_.chance(30)) o.buffer = out_.calm ? 3000 : r_.between(1, 3000);
        for (std::size_t* size : {&o.segment, &o.write_size, &o.read_size})
            if (r_.chance(35)) *size = r_.pick(std::array{1U, 3U, 20U, 200U, 2000U});
        o.reset_discards = !out_.calm && r_.chance(50);
        return o;
    }
    sansocket_simulation::endpoint_options pace() {
        sansocket_simulation::endpoint_options o;
        if (r_.chance(60)) o.write_time = us(r_.between(0, 1500));
        if (r_.chance(25)) o.message_time = us(r_.between(1, out_.calm ? 300 : 20'000));
        if (r_.chance(25)) o.read_buffer = r_.between(1, 300);
        return o;
    }

    void add_pair(const party_plan& server) {
        pair_plan p;
        p.client.options = options(false);
        p.server = server;
        p.client.pace = pace();
        p.server.pace = pace();
        p.there = wire();
        p.back = wire();
        p.there.tls = p.back.tls = r_.chance(25);
        if (out_.calm) {  // who does not read answers no Ping
            for (party_plan* each : {&p.client, &p.server})
                if (each->pace.message_time != 0s || r_.chance(20))
                    p.client.options.keepalive = p.server.options.keepalive = {0s, 0s, 0s, 0s};
        }
        p.decision = r_.chance(80) ? answer::accepts_late : answer::refuses;
        p.decides_after = us(r_.between(0, 5000));
        const std::uint64_t last = r_.below(out_.calm ? 3 : 4);
        p.last = static_cast<ending>(last);
        out_.pairs.push_back(p);
    }
    // Many tiny operations leave no time for large messages, and what one says all may hear.
    [[nodiscard]] std::size_t largest() const {
        std::size_t least = 100'000;
        for (const pair_plan& p : out_.pairs)
            for (const std::size_t n :
                 {p.there.segment, p.there.write_size, p.there.read_size, p.there.buffer,
                  p.back.segment, p.back.write_size, p.back.read_size, p.back.buffer,
                  p.client.pace.read_buffer, p.server.pace.read_buffer})
                if (n != 0) least = (std::min)(least, n);
        return least < 10 ? 150 : least < 250 ? 1500 : 100'000;
    }
    void add_events(std::size_t pair) {
        for (std::uint64_t i = r_.between(0, 30); i != 0; --i) add_act(pair);
        if (!out_.calm)
            for (std::uint64_t i = r_.below(4); i != 0; --i) add_fault(pair);
    }

    void add_act(std::size_t pair) {
        using enum act;
        constexpr std::array usual{text,  text,   text,   owned_text, binary, owned_binary, shared,
                                   start, append, append, finish,     finish, fragments,    ping,
                                   pong,  move,   pause,  resume,     resume, advance,      shrink};
        constexpr std::array rough{close, close, close, close_wrongly, abort, cancel, let_go, drop};
        event e;
        e.pair = pair;
        e.side = static_cast<std::size_t>(r_.below(2));
        e.at = part_of_horizon(0, 100);
        e.what = r_.chance(93) ? r_.pick(usual) : r_.pick(rough);
        if (out_.calm && (e.what >= abort || e.what == pause)) e.what = close;
        e.size = (std::min)(size(), largest());
        e.salt = r_();
        out_.events.push_back(e);
    }
    std::size_t size() {
        const std::uint64_t kind = r_.below(100);
        if (kind < 70) return r_.below(140);
        return r_.below(kind < 95 ? 5000 : 100'000);
    }
    void add_fault(std::size_t pair) {
        using enum fault;
        constexpr std::array all{reset, end, truncate, hold, hold, lose, block, block};
        event e;
        e.pair = pair;
        e.is_fault = true;
        e.what_fault = r_.pick(all);
        e.operation = r_.below(r_.pick(std::array{8U, 30U, 120U, 400U}));
        if (r_.chance(70)) e.until = us(r_.between(1, 100'000));
        out_.events.push_back(e);
    }

    random_source r_;
    scenario out_;
};

}  // namespace simulation
