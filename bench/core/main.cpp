// The core benchmark: receive and send paths, UTF-8, masking, masking keys, each for every library
// in one run. Names are group/what/size/library. Every result is checked before it is timed.
#include "peer.hpp"
#include "workload.hpp"

#include "deflate_workload.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;

const std::vector<peer>& peers() {
    static const std::vector<peer> all{sansocket_peer(), sansocket_copied_peer(), beast_peer(),
                                       beast_copied_peer(), websocketpp_peer()};
    return all;
}

std::string name(const char* group, const char* what, std::size_t size, const char* who) {
    return std::string(group) + '/' + what + '/' + std::to_string(size) + '/' + who;
}

void demand(bool ok, const std::string& benchmark) {
    if (!ok) throw std::runtime_error(benchmark + " gives a wrong result");
}

void count(benchmark::State& state, std::size_t messages, std::size_t bytes_of_payload) {
    const auto rounds = static_cast<std::int64_t>(state.iterations());
    state.SetItemsProcessed(rounds * static_cast<std::int64_t>(messages));
    state.SetBytesProcessed(rounds * static_cast<std::int64_t>(messages * bytes_of_payload));
}

template <class F>
void add_benchmark(const std::string& benchmark_name, F f) {
    benchmark::RegisterBenchmark(benchmark_name.c_str(), std::move(f));
}

// What a receive path must have delivered after `rounds` times `load`.
tally expected(const workload& load, bool thorough, int rounds) {
    tally t;
    if (thorough) t.be_thorough();
    for (int i = 0; i != rounds; ++i)
        for (std::size_t m = 0; m != load.messages; ++m)
            t.add(kind_of(load.what), load.payload.data(), load.payload.size());
    return t;
}

void check_receiver(const peer& who, const workload& load, const std::string& benchmark_name) {
    const auto receiver = who.make_receiver();
    receiver->got.be_thorough();
    receiver->receive(load.as_wire());
    receiver->receive(load.as_wire());
    demand(receiver->got == expected(load, true, 2), benchmark_name);
}

void add_receive(content c, std::size_t size) {
    const auto load = std::make_shared<workload>(c, size);
    for (const peer& who : peers()) {
        const auto benchmark_name = name("receive", name_of(c), size, who.name);
        check_receiver(who, *load, benchmark_name);
        add_benchmark(benchmark_name, [=](benchmark::State& state) {
            const auto receiver = who.make_receiver();
            for (auto _ : state) receiver->receive(load->as_wire());
            benchmark::DoNotOptimize(receiver->got);
            count(state, load->messages, load->payload.size());
        });
    }
    // The copies that stand in for the transport, and nothing else.
    add_benchmark(name("receive", name_of(c), size, "memcpy"), [=](benchmark::State& state) {
        bytes buffer(feed_size);
        for (auto _ : state)
            for (std::size_t at = 0; at < load->frames.size(); at += feed_size) {
                std::memcpy(buffer.data(), load->frames.data() + at,
                            (std::min)(feed_size, load->frames.size() - at));
                benchmark::ClobberMemory();
            }
        count(state, load->messages, load->payload.size());
    });
}

// Whether `frame` is one frame with `payload`, masked as `from` must.
bool is_frame_of(const bytes& frame, const bytes& payload, end from) {
    bytes wanted = make_header(kind::binary, payload.size(), from == end::client ? 0x80 : 0);
    if (from == end::server) wanted.insert(wanted.end(), payload.begin(), payload.end());
    else {
        if (frame.size() != wanted.size() + 4 + payload.size()) return false;
        const byte* key = frame.data() + wanted.size();
        wanted.insert(wanted.end(), key, key + 4);
        for (std::size_t i = 0; i != payload.size(); ++i)
            wanted.push_back(static_cast<byte>(payload[i] ^ key[i & 3]));
    }
    return frame == wanted;
}

// How long a copy takes depends on where its ends lie in their pages, by half and more. Each run has
// another place, and the report takes their median.
constexpr std::size_t page = 4096;
std::size_t place(std::size_t run) { return run * 37 * 16 % page; }

void check_sender(const peer& who, end from, const bytes& payload,
                  const std::string& benchmark_name) {
    const auto sender = who.make_sender(from);
    for (int i = 0; i != 2; ++i) {
        bytes out(payload.size() + 64);
        out.resize(sender->send(kind::binary, payload.data(), payload.size(), out.data()));
        demand(is_frame_of(out, payload, from), benchmark_name);
    }
}

void add_send(end from, std::size_t size) {
    const char* const group = from == end::client ? "client" : "server";
    const auto payload = std::make_shared<bytes>(make_payload(content::binary, size));
    for (const peer& who : peers()) {
        if (!who.make_sender) continue;
        const auto benchmark_name = name("send", group, size, who.name);
        check_sender(who, from, *payload, benchmark_name);
        add_benchmark(benchmark_name, [=, run = std::size_t{0}](benchmark::State& state) mutable {
            const std::size_t offset = place(++run);
            const bytes before(offset);  // what the library allocates lies behind it
            const auto sender = who.make_sender(from);
            bytes out(offset + size + page);
            for (auto _ : state) {
                benchmark::DoNotOptimize(
                    sender->send(kind::binary, payload->data(), size, out.data() + offset));
                benchmark::ClobberMemory();
            }
            count(state, 1, size);
        });
    }
    add_benchmark(name("send", group, size, "memcpy"),
                  [=, run = std::size_t{0}](benchmark::State& state) mutable {
                      const std::size_t offset = place(++run);
                      bytes out(offset + size + page);
                      for (auto _ : state) {
                          std::memcpy(out.data() + offset, payload->data(), size);
                          benchmark::ClobberMemory();
                      }
                      count(state, 1, size);
                  });
}

void add_utf8(content c, std::size_t size) {
    const auto text = std::make_shared<bytes>(make_payload(c, size));
    for (const peer& who : peers()) {
        if (!who.is_valid_utf8) continue;
        const auto benchmark_name = name("utf8", name_of(c), size, who.name);
        bytes spoilt = *text;
        spoilt[size / 2] = 0xff;
        demand(who.is_valid_utf8(text->data(), size), benchmark_name);
        demand(!who.is_valid_utf8(spoilt.data(), size), benchmark_name);
        add_benchmark(benchmark_name, [=](benchmark::State& state) {
            for (auto _ : state) benchmark::DoNotOptimize(who.is_valid_utf8(text->data(), size));
            count(state, 1, size);
        });
    }
}

void add_mask(std::size_t size) {
    static constexpr byte key[4] = {0x37, 0xfa, 0x21, 0x3d};
    for (const peer& who : peers()) {
        if (!who.mask) continue;
        const auto benchmark_name = name("mask", "in_place", size, who.name);
        const bytes plain = make_payload(content::binary, size);
        bytes masked = plain;
        who.mask(masked.data(), size, key);
        for (std::size_t i = 0; i != size; ++i)
            demand(masked[i] == (plain[i] ^ key[i & 3]), benchmark_name);
        add_benchmark(benchmark_name, [=](benchmark::State& state) {
            bytes payload = plain;
            for (auto _ : state) {
                who.mask(payload.data(), size, key);
                benchmark::ClobberMemory();
            }
            count(state, 1, size);
        });
    }
}

void add_masking_keys() {
    for (const peer& who : peers()) {
        if (!who.next_masking_key) continue;
        add_benchmark(name("masking_key", "secure", 4, who.name), [=](benchmark::State& state) {
            for (auto _ : state) benchmark::DoNotOptimize(who.next_masking_key());
            count(state, 1, 4);
        });
    }
}

void add_echo(takeover t, std::size_t size) {
    const auto load = std::make_shared<deflate_workload>(t, size);
    for (const peer& who : peers()) {
        if (!who.make_echoer) continue;
        const auto benchmark_name =
            name("deflate", t == takeover::yes ? "takeover" : "afresh", size, who.name);
        bytes out(2 * load->payloads.size() * (size + 64));
        const auto checked = who.make_echoer(t);
        for (int i = 0; i != 2; ++i) {
            const std::size_t n = checked->echo(load->as_wire(), out.data());
            demand(load->is_echo({out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n)}),
                   benchmark_name);
        }
        add_benchmark(benchmark_name, [=](benchmark::State& state) {
            const auto echoer = who.make_echoer(t);
            bytes to(2 * load->payloads.size() * (size + 64));
            for (auto _ : state) {
                benchmark::DoNotOptimize(echoer->echo(load->as_wire(), to.data()));
                benchmark::ClobberMemory();
            }
            count(state, load->payloads.size(), size);
        });
    }
    add_benchmark(name("deflate", t == takeover::yes ? "takeover" : "afresh", size, "memcpy"),
                  [=](benchmark::State& state) {
                      for (auto _ : state) load->codec_alone();
                      count(state, load->payloads.size(), size);
                  });
}

void add_all() {
    constexpr std::size_t Ki = 1024;
    using sizes = std::vector<std::size_t>;
    for (const content c : {content::binary, content::ascii})
        for (const std::size_t size : sizes{0, 16, 125, Ki, 16 * Ki, Ki * Ki}) add_receive(c, size);
    for (const std::size_t size : sizes{Ki, 16 * Ki}) add_receive(content::cjk, size);
    for (const end from : {end::server, end::client})
        for (const std::size_t size : sizes{16, Ki, 16 * Ki}) add_send(from, size);
    for (const content c : {content::ascii, content::cjk})
        for (const std::size_t size : sizes{16, 125, Ki, 16 * Ki}) add_utf8(c, size);
    for (const std::size_t size : sizes{16, 125, Ki, 16 * Ki}) add_mask(size);
    for (const takeover t : {takeover::yes, takeover::no})
        for (const std::size_t size : sizes{Ki, 64 * Ki}) add_echo(t, size);
    add_masking_keys();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        add_all();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bench: %s\n", e.what());
        return 1;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
