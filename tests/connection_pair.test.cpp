#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>

#include "support/allocations.hpp"
#include "support/endpoint.hpp"

#include <random>

using namespace support;
using sansocket::message;
using sansocket::message_kind;

namespace {

// Two connections and a link that cuts what it carries at random places.
struct pair {
    explicit pair(unsigned seed, const sansocket::options& options = {})
        : a(options), b(options), random(seed) {}

    std::size_t upto(std::size_t n) {
        return std::uniform_int_distribution<std::size_t>{1, n}(random);
    }

    // Some bytes one way. True if there were any.
    template <class From, class To>
    bool carry(From& from, To& to, byte_vector& link) {
        const auto fresh = from.sent(upto(5000));
        link.insert(link.end(), fresh.begin(), fresh.end());
        const bool any = !link.empty();
        if (any && to.connection.wants_read()) {
            const std::size_t n = upto(link.size());
            byte_vector part(link.begin(), link.begin() + static_cast<std::ptrdiff_t>(n));
            const std::size_t taken = to.connection.receive(part, to.now);
            link.erase(link.begin(), link.begin() + static_cast<std::ptrdiff_t>(taken));
        }
        return any;
    }

    void run() {
        for (bool busy = true; busy;) {
            const bool forth = carry(a, b, to_b);
            const bool back = carry(b, a, to_a);
            busy = forth || back;
            for (auto& m : a.messages()) got_a.push_back(std::move(m));
            for (auto& m : b.messages()) got_b.push_back(std::move(m));
        }
    }

    client a;
    server b;
    byte_vector to_a, to_b;
    std::vector<message> got_a, got_b;
    std::mt19937 random;
};

}  // namespace

TEST_CASE("pair: messages of all kinds arrive whole and in order over any cutting of the link") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        pair p{seed};
        p.run();
        REQUIRE(p.a.connection.state() == connection_state::open);
        REQUIRE(p.b.connection.state() == connection_state::open);
        std::vector<message> from_a, from_b;
        for (int i = 0; i != 60; ++i) {
            const auto kind = p.upto(2) == 1 ? message_kind::text : message_kind::binary;
            std::string data(p.upto(p.upto(3) == 1 ? 70'000 : 300) - 1,
                             static_cast<char>('a' + i % 26));
            const message m{kind, data};
            const auto send = [&](auto& connection) {
                switch (p.upto(4)) {
                case 1: return connection.send_text(std::string{data});
                case 2:
                    if (connection.start(kind) != errc::ok) return errc::backpressure;
                    CHECK(connection.append(std::string_view{data}.substr(0, data.size() / 2)) ==
                          errc::ok);
                    CHECK(connection.send_ping(bytes("between")) == errc::ok);
                    return connection.finish(
                        std::as_bytes(std::span{data}.subspan(data.size() / 2)));
                default: return connection.send(kind, m.bytes());
                }
            };
            const bool by_a = p.upto(2) == 1;
            const errc ec = by_a ? send(p.a.connection) : send(p.b.connection);
            CHECK((ec == errc::ok || ec == errc::backpressure));
            if (ec == errc::ok) (by_a ? from_a : from_b).push_back(m);
            if (p.upto(10) == 1) p.run();
        }
        p.run();
        const auto same = [](const std::vector<message>& got, const std::vector<message>& sent) {
            REQUIRE(got.size() == sent.size());
            for (std::size_t i = 0; i != got.size(); ++i) CHECK(got[i].data == sent[i].data);
        };
        same(p.got_b, from_a);
        same(p.got_a, from_b);
        auto& closer = p.a.connection;
        CHECK(closer.close(close_code::normal, "done", p.a.now) == errc::ok);
        p.run();
        CHECK(p.a.connection.close_info().clean);
        CHECK(p.b.connection.close_info().clean);
        CHECK(p.b.connection.close_info().reason() == "done");
        CHECK(p.b.connection.wants_shutdown() == shutdown_request::close);
    }
}

TEST_CASE("pair: nothing is allocated for a frame, in either direction, once warm") {
    pair p{1};
    p.run();
    const std::string text(100, 't');
    const byte_vector data(1000);
    byte_vector wire;
    wire.reserve(1 << 20);
    const auto round = [&](auto& from, auto& to) {
        for (int i = 0; i != 3; ++i) {
            (void)from.connection.send_text(text);
            (void)from.connection.send_binary(data);
        }
        (void)from.connection.send_ping();
        wire.clear();
        while (from.connection.wants_write()) {
            const auto out = from.connection.output();
            for (const auto part : out) wire.insert(wire.end(), part.begin(), part.end());
            from.connection.consume_output(out.bytes(), from.now);
        }
        const std::size_t half = wire.size() / 2;  // a frame is cut in two
        std::span<std::byte> in{wire};
        to.connection.receive(in.first(half), to.now);
        to.connection.receive(in.subspan(half), to.now);
        int n = 0;
        while (to.connection.messages().pop()) ++n;
        return n;
    };
    int sum = 0;
    for (int i = 0; i != 5; ++i) sum += round(p.a, p.b) + round(p.b, p.a);
    const std::size_t before = allocations;
    for (int i = 0; i != 100; ++i) sum += round(p.a, p.b) + round(p.b, p.a);
    CHECK(allocations == before);
    CHECK(sum == 105 * 12);
    p.a.connection.abort();
    p.b.connection.abort();
}

TEST_CASE("pair: an idle connection holds no buffers") {
    pair p{2};
    p.run();
    CHECK(p.a.connection.send_binary(byte_vector(10'000)) == errc::ok);
    p.run();
    CHECK(p.b.connection.messages().memory() != 0);
    p.b.pass(20s);  // silence, until the Ping
    CHECK(p.b.connection.messages().memory() == 0);
    p.a.connection.abort();
    p.b.connection.abort();
}

TEST_CASE(
    "pair: a whole unfragmented message reaches the queue as a view of the transport's bytes") {
    const std::byte* seen = nullptr;
    std::size_t size = 0;
    auto handler = [&](sansocket::message_view m) {
        seen = m.bytes.data();
        size = m.bytes.size();
    };
    using queue = sansocket::direct_queue<decltype(handler)>;
    endpoint<role::server, queue> s{sansocket::options{}, queue{handler}};
    s.open();
    byte_vector in = frame<role::server>(sansocket::opcode::text, bytes("Hello"));
    s.connection.receive(in, s.now);
    CHECK(seen == in.data() + 6);
    CHECK(size == 5);
    s.connection.abort();
}
