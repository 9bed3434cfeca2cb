#include <sansocket/machine/send_queue.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using namespace sansocket;
using support::byte_vector;
using support::bytes;
using support::hex;
using support::to_hex;
using support::operator+;

namespace {

constexpr masking_key rfc_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

using server_queue = send_queue<role::server>;
using client_queue = send_queue<role::client>;

byte_vector joined(const output_buffers& out) {
    byte_vector all;
    for (const auto buffer : out) all.insert(all.end(), buffer.begin(), buffer.end());
    REQUIRE(all.size() == out.bytes());
    return all;
}

// Takes everything that is there, `step` bytes at a time.
template <role Role>
byte_vector drain(send_queue<Role>& queue, std::size_t step = 1'000'000) {
    byte_vector all;
    while (!queue.empty()) {
        const auto shown = joined(queue.output());
        REQUIRE(!shown.empty());
        const std::size_t n = (std::min)(step, shown.size());
        all.insert(all.end(), shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(n));
        queue.consume(n);
    }
    CHECK(queue.output().empty());
    return all;
}

template <role Role>
void consume_all(send_queue<Role>& queue) {
    queue.consume(queue.output().bytes());
}

void text(auto& queue, std::string_view payload) {
    queue.push(opcode::text, true, bytes(payload), rfc_key);
}
errc control(auto& queue, opcode op, std::string_view payload) {
    return queue.push_control(op, bytes(payload), rfc_key);
}

struct frame {
    sansocket::opcode opcode;
    bool fin;
    std::string payload;

    friend bool operator==(const frame&, const frame&) = default;
};

// The whole frames in `stream`, as the peer of `Role` reads them. Anything else fails the test.
template <role Role>
std::vector<frame> frames_in(std::span<const std::byte> stream) {
    std::vector<frame> out;
    while (!stream.empty()) {
        const auto parsed = parse_frame_header(stream, peer_of(Role));
        REQUIRE(parsed.ec == errc::ok);
        const auto size = static_cast<std::size_t>(parsed.value.payload_length);
        REQUIRE(stream.size() >= parsed.size + size);
        std::string payload;
        for (std::size_t i = 0; i != size; ++i) {
            auto b = stream[parsed.size + i];
            if (parsed.value.key) b ^= (*parsed.value.key)[i % 4];
            payload += static_cast<char>(b);
        }
        out.push_back({parsed.value.opcode, parsed.value.fin, std::move(payload)});
        stream = stream.subspan(parsed.size + size);
    }
    return out;
}

std::string payloads(std::span<const frame> frames) {
    std::string out;
    for (const frame& f : frames) out += f.payload + ' ';
    return out;
}

}  // namespace

TEST_CASE("send_queue: a server's frames are the RFC's own bytes (5.7)") {
    server_queue queue;
    text(queue, "Hello");
    CHECK(to_hex(drain(queue)) == "810548656c6c6f");
    queue.push(opcode::text, false, bytes("Hel"), rfc_key);
    queue.push(opcode::continuation, true, bytes("lo"), rfc_key);
    CHECK(to_hex(drain(queue)) == "010348656c80026c6f");
    CHECK(control(queue, opcode::ping, "Hello") == errc::ok);
    CHECK(to_hex(drain(queue)) == "890548656c6c6f");
    queue.push(opcode::close, true, {}, rfc_key);
    CHECK(to_hex(drain(queue)) == "8800");
}

TEST_CASE("send_queue: a client's frames are the RFC's own bytes, masked (5.3, 5.7)") {
    client_queue queue;
    text(queue, "Hello");
    CHECK(to_hex(drain(queue)) == "818537fa213d7f9f4d5158");
    CHECK(control(queue, opcode::pong, "Hello") == errc::ok);
    CHECK(to_hex(drain(queue)) == "8a8537fa213d7f9f4d5158");
    queue.push(opcode::close, true, {}, rfc_key);
    CHECK(to_hex(drain(queue)) == "888037fa213d");
}

TEMPLATE_TEST_CASE("send_queue: lengths at each boundary, however they are pushed (5.2)", "",
                   server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U, 200'000U}) {
        std::string payload(size, ' ');
        for (std::size_t i = 0; i != size; ++i) payload[i] = static_cast<char>(i * 31 >> 3U);
        TestType queue;
        text(queue, payload);
        const auto shared = std::make_shared<byte_vector>(bytes(payload));
        queue.push_shared(opcode::binary, false, {shared, *shared}, rfc_key);
        const auto owned = std::make_shared<byte_vector>(bytes(payload));
        queue.push_owned(opcode::continuation, true, owned, *owned, rfc_key);
        CHECK(queue.frames() == 3);

        const auto frames = frames_in<Role>(drain(queue));
        CHECK((frames == std::vector<frame>{{opcode::text, true, payload},
                                            {opcode::binary, false, payload},
                                            {opcode::continuation, true, payload}}));
        CHECK((*shared == bytes(payload)));
        CHECK(queue.frames() == 0);
    }
}

TEST_CASE("send_queue: shared and owned payloads are not copied by a server") {
    server_queue queue;
    const auto shared = std::make_shared<byte_vector>(bytes("shared"));
    const auto owned = std::make_shared<byte_vector>(bytes("owned"));
    queue.push_shared(opcode::text, true, {shared, *shared}, rfc_key);
    queue.push_owned(opcode::text, true, owned, *owned, rfc_key);

    const auto out = queue.output();
    REQUIRE(out.size() == 4);
    CHECK(out[1].data() == shared->data());
    CHECK(out[3].data() == owned->data());
    CHECK(shared.use_count() == 2);
    queue.consume(out.bytes());
    CHECK(shared.use_count() == 1);
    CHECK(owned.use_count() == 1);
}

TEST_CASE("send_queue: a client copies what is shared and masks in place what it owns (5.3)") {
    client_queue queue;
    const auto shared = std::make_shared<byte_vector>(bytes("Hello"));
    const auto owned = std::make_shared<byte_vector>(bytes("Hello"));
    queue.push_shared(opcode::text, true, {shared, *shared}, rfc_key);
    queue.push_owned(opcode::text, true, owned, *owned, rfc_key);

    const auto out = queue.output();
    CHECK(to_hex(joined(out)) == "818537fa213d7f9f4d5158818537fa213d7f9f4d5158");
    CHECK((*shared == bytes("Hello")));
    CHECK(shared.use_count() == 1);
    CHECK(out[out.size() - 1].data() == owned->data());
}

TEMPLATE_TEST_CASE("send_queue: control overtakes data at the next frame's boundary only (5.4, "
                   "5.5)",
                   "", server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    const std::size_t frame_size = (Role == role::server ? 2 : 6) + 3;
    for (std::size_t taken = 0; taken <= 3 * frame_size; ++taken) {
        TestType queue;
        for (const char* payload : {"one", "two", "thr"}) text(queue, payload);
        const auto begun = joined(queue.output());
        queue.consume(taken);
        CHECK(control(queue, opcode::ping, "P") == errc::ok);
        CHECK(control(queue, opcode::pong, "Q") == errc::ok);

        byte_vector stream(begun.begin(), begun.begin() + static_cast<std::ptrdiff_t>(taken));
        stream = stream + drain(queue, 1);
        const char* const expected[] = {"P Q one two thr ", "one P Q two thr ", "one two P Q thr ",
                                        "one two thr P Q "};
        INFO(taken);
        CHECK(payloads(frames_in<Role>(stream)) == expected[(taken + frame_size - 1) / frame_size]);
    }
}

TEMPLATE_TEST_CASE("send_queue: control waits behind what was shown, and goes first after it", "",
                   server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    TestType queue;
    text(queue, "one");
    text(queue, "two");
    const auto shown = queue.output();
    const auto before = joined(shown);
    CHECK(control(queue, opcode::pong, "Q") == errc::ok);
    text(queue, "three");

    CHECK(joined(shown) == before);
    CHECK(joined(queue.output()) == before);
    queue.consume(before.size());
    CHECK(payloads(frames_in<Role>(before + drain(queue))) == "one two Q three ");
}

TEMPLATE_TEST_CASE("send_queue: asked again before consume, it shows the same bytes in the "
                   "same places",
                   "", server_queue, client_queue) {
    TestType queue;
    text(queue, "a frame that is cut");
    (void)queue.output();
    queue.consume(3);
    CHECK(control(queue, opcode::ping, "P") == errc::ok);
    text(queue, "more");
    const auto first = queue.output();
    const auto before = joined(first);
    CHECK(control(queue, opcode::pong, "Q") == errc::ok);
    text(queue, std::string(100'000, 'x'));

    const auto again = queue.output();
    REQUIRE(again.size() == first.size());
    for (std::size_t i = 0; i != first.size(); ++i) {
        CHECK(again[i].data() == first[i].data());
        CHECK(again[i].size() == first[i].size());
    }
    CHECK(joined(again) == before);
}

TEMPLATE_TEST_CASE("send_queue: what is shown neither moves nor changes while more is pushed", "",
                   server_queue, client_queue) {
    TestType queue;
    text(queue, "shown");
    CHECK(control(queue, opcode::ping, "shown too") == errc::ok);
    const auto shown = queue.output();
    const auto before = joined(shown);
    const auto shared = std::make_shared<byte_vector>(5000);
    for (int i = 0; i != 300; ++i) {
        text(queue, std::string(static_cast<std::size_t>(i) * 7, 'x'));
        (void)control(queue, opcode::pong, std::string(100, 'y'));
        queue.push_shared(opcode::binary, true, {shared, *shared}, rfc_key);
        queue.shrink();
        CHECK((joined(shown) == before));
    }
    queue.drop_unsent();
    CHECK((joined(shown) == before));
    queue.stop();
    CHECK((joined(shown) == before));
}

TEMPLATE_TEST_CASE("send_queue: whatever the transport takes at a time, the stream is the same", "",
                   server_queue, client_queue) {
    const auto fill = [](TestType& queue) {
        const auto shared = std::make_shared<byte_vector>(bytes("shared"));
        queue.push_raw(bytes("HTTP/1.1 101\r\n\r\n"));
        for (int i = 0; i != 12; ++i) {
            text(queue, std::string(static_cast<std::size_t>(i) * 13, 'a'));
            queue.push_shared(opcode::binary, true, {shared, *shared}, rfc_key);
            (void)control(queue, opcode::ping, "ping");
        }
    };
    TestType whole;
    fill(whole);
    const auto expected = drain(whole);
    for (const std::size_t step : {1U, 2U, 3U, 5U, 7U, 64U, 1000U}) {
        TestType queue;
        fill(queue);
        CHECK((drain(queue, step) == expected));
    }
}

TEST_CASE("send_queue: the opening handshake goes before control and data") {
    server_queue queue;
    queue.push_raw(bytes("HTTP"));
    text(queue, "a");
    CHECK(control(queue, opcode::pong, "P") == errc::ok);
    CHECK(support::text_of(drain(queue, 1)) == "HTTP\x8a\x01P\x81\x01"
                                               "a");
}

TEST_CASE("send_queue: at most 16 buffers are shown, and the rest follows") {
    server_queue queue;
    const auto shared = std::make_shared<byte_vector>(bytes("s"));
    for (int i = 0; i != 40; ++i) queue.push_shared(opcode::text, true, {shared, *shared}, rfc_key);
    CHECK(queue.output().full());
    CHECK(queue.output().size() == output_buffers::capacity);
    const auto frames = frames_in<role::server>(drain(queue));
    CHECK(frames.size() == 40);
}

TEST_CASE("send_queue: more than 16 buffers before a boundary keep control behind it (5.4)") {
    server_queue queue;
    text(queue, "cut");
    (void)queue.output();
    queue.consume(1);
    CHECK(control(queue, opcode::ping, "P") == errc::ok);
    const auto shared = std::make_shared<byte_vector>(bytes("s"));
    for (int i = 0; i != 40; ++i) queue.push_shared(opcode::text, true, {shared, *shared}, rfc_key);
    const auto stream = hex("81") + drain(queue, 4);
    const auto frames = frames_in<role::server>(stream);
    REQUIRE(frames.size() == 42);
    CHECK(frames[1].payload == "P");
}

TEST_CASE("send_queue: bytes and frames waiting, as they go out") {
    client_queue queue;
    CHECK(queue.empty());
    CHECK(queue.data_empty());
    text(queue, "abc");
    text(queue, "def");
    CHECK(control(queue, opcode::ping, "") == errc::ok);
    CHECK(queue.bytes() == 9 + 9 + 6);
    CHECK(queue.frames() == 2);

    (void)queue.output();
    queue.consume(6);  // the Ping
    CHECK(queue.frames() == 2);
    (void)queue.output();
    queue.consume(8);
    CHECK(queue.frames() == 2);
    CHECK(queue.bytes() == 10);
    (void)queue.output();
    queue.consume(1);
    CHECK(queue.frames() == 1);
    (void)queue.output();
    queue.consume(0);
    CHECK(queue.frames() == 1);
    CHECK(!queue.data_empty());
    (void)queue.output();
    queue.consume(9);
    CHECK(queue.frames() == 0);
    CHECK(queue.data_empty());
    CHECK(queue.empty());
}

TEST_CASE("send_queue: full at the high mark of bytes or frames, drained at the low one") {
    server_queue by_bytes{{.high_bytes = 20, .low_bytes = 10}};
    CHECK(by_bytes.drained());
    text(by_bytes, "12345678");
    CHECK(!by_bytes.full());
    CHECK(by_bytes.drained());
    text(by_bytes, "12345678");
    CHECK(by_bytes.full());
    CHECK(!by_bytes.drained());
    (void)by_bytes.output();
    by_bytes.consume(9);
    CHECK(!by_bytes.full());
    CHECK(!by_bytes.drained());
    (void)by_bytes.output();
    by_bytes.consume(1);
    CHECK(by_bytes.drained());

    server_queue by_count{{.high_count = 2}};
    text(by_count, "");
    CHECK(!by_count.full());
    text(by_count, "");
    CHECK(by_count.full());
    CHECK(!by_count.drained());
    CHECK(control(by_count, opcode::ping, "") == errc::ok);
}

TEMPLATE_TEST_CASE("send_queue: dropping leaves no frame cut, wherever the transport stands", "",
                   server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    const std::size_t head = Role == role::server ? 2 : 6;
    const std::size_t total = 3 * (head + 3) + 2 * (head + 1);  // control first, then data
    for (const bool shown : {false, true}) {
        for (std::size_t taken = 0; taken <= total; ++taken) {
            TestType queue;
            const auto payload = std::make_shared<byte_vector>(bytes("two"));
            text(queue, "one");
            queue.push_shared(opcode::text, true, {payload, *payload}, rfc_key);
            text(queue, "thr");
            REQUIRE(control(queue, opcode::ping, "P") == errc::ok);
            REQUIRE(control(queue, opcode::pong, "Q") == errc::ok);
            const auto all = joined(queue.output());
            REQUIRE(all.size() == total);
            queue.consume(taken);
            if (shown) (void)queue.output();

            const std::size_t data_taken = taken - (std::min)(taken, 2 * (head + 1));
            const std::size_t begun = (data_taken + head + 2) / (head + 3);
            CHECK(queue.drop_unsent() == (!shown && begun != 3));
            CHECK(queue.frames() == (shown ? 3 : begun) - data_taken / (head + 3));
            queue.push(opcode::close, true, hex("03e8"), rfc_key);
            text(queue, "late");

            byte_vector stream(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(taken));
            const auto frames = frames_in<Role>(stream + drain(queue, 2));
            std::string expected = shown || taken > 0 ? "P " : "";
            if (shown || taken > head + 1) expected += "Q ";
            const char* const data[] = {"one ", "two ", "thr "};
            for (std::size_t i = 0; i != (shown ? 3 : begun); ++i) expected += data[i];
            INFO(taken);
            CHECK(payloads(frames) == expected + "\x03\xe8 late ");
        }
    }
}

TEST_CASE("send_queue: dropping keeps a frame whose beginning is shown and whose end is not") {
    server_queue queue;
    const auto shared = std::make_shared<byte_vector>(bytes("s"));
    for (int i = 0; i != 40; ++i) queue.push_shared(opcode::text, true, {shared, *shared}, rfc_key);
    (void)queue.output();
    queue.consume(2);  // the first header: now the 16th buffer is one
    const auto shown = joined(queue.output());
    REQUIRE(support::to_hex(shown).ends_with("738101"));
    CHECK(queue.drop_unsent());
    CHECK(queue.frames() == 9);
    CHECK(joined(queue.output()) == shown);
    CHECK(frames_in<role::server>(hex("8101") + drain(queue)).size() == 9);
    CHECK(shared.use_count() == 1);
}

TEST_CASE("send_queue: dropping the Close with the data says so") {
    client_queue queue;
    CHECK(!queue.drop_unsent());
    CHECK(control(queue, opcode::ping, "P") == errc::ok);
    CHECK(!queue.drop_unsent());
    CHECK(queue.empty());
    queue.push(opcode::close, true, hex("03e8"), rfc_key);
    CHECK(queue.drop_unsent());
    CHECK(queue.empty());
    CHECK(queue.frames() == 0);
}

TEST_CASE("send_queue: dropping leaves the opening handshake") {
    server_queue queue;
    queue.push_raw(bytes("HTTP"));
    text(queue, "dropped");
    CHECK(queue.drop_unsent());
    CHECK(support::text_of(drain(queue)) == "HTTP");
}

TEMPLATE_TEST_CASE("send_queue: a flood of Pings costs bounded memory, and the last is "
                   "answered (5.5.3)",
                   "", server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    TestType queue;
    std::size_t kept = 0;
    for (int i = 0; i != 10'000; ++i) {
        const errc ec = control(queue, opcode::pong, std::to_string(i) + std::string(100, '.'));
        REQUIRE((ec == errc::ok || ec == errc::backpressure));
        if (ec == errc::ok) ++kept;
    }
    CHECK(queue.bytes() <= 8 * 1024 + 131);
    CHECK(queue.memory() <= 64 * 1024);
    const auto frames = frames_in<Role>(drain(queue, 77));
    REQUIRE(frames.size() == kept + 1);
    CHECK(frames.front().payload.substr(0, 2) == "0.");
    CHECK(frames[kept - 1].payload.substr(0, 3) == std::to_string(kept - 1) + ".");
    CHECK(frames.back().payload.substr(0, 5) == "9999.");
}

TEST_CASE("send_queue: a Ping past the limit is refused and not kept") {
    server_queue queue{{.control_bytes = 4}};
    CHECK(control(queue, opcode::ping, "1") == errc::ok);
    CHECK(control(queue, opcode::ping, "2") == errc::ok);
    CHECK(control(queue, opcode::ping, "3") == errc::backpressure);
    CHECK(payloads(frames_in<role::server>(drain(queue))) == "1 2 ");
    CHECK(control(queue, opcode::ping, "4") == errc::ok);
}

TEST_CASE("send_queue: with no room for control a Ping is answered all the same (5.5.2)") {
    server_queue queue{{.control_bytes = 0}};
    CHECK(control(queue, opcode::pong, "1") == errc::ok);
    CHECK(control(queue, opcode::pong, "2") == errc::backpressure);
    CHECK(control(queue, opcode::pong, "3") == errc::backpressure);
    CHECK(payloads(frames_in<role::server>(drain(queue))) == "1 3 ");
}

TEST_CASE("send_queue: a Pong put off is dropped with the rest") {
    server_queue queue{{.control_bytes = 1}};
    CHECK(control(queue, opcode::pong, "1") == errc::ok);
    CHECK(control(queue, opcode::pong, "2") == errc::backpressure);
    queue.drop_unsent();
    CHECK(queue.empty());
    text(queue, "next");
    CHECK(payloads(frames_in<role::server>(drain(queue))) == "next ");
}

TEMPLATE_TEST_CASE("send_queue: stopped, it offers and takes "
                   "nothing",
                   "", server_queue, client_queue) {
    TestType queue;
    text(queue, "begun");
    CHECK(control(queue, opcode::ping, "P") == errc::ok);
    queue.stop();
    text(queue, "late");
    const auto payload = std::make_shared<byte_vector>(bytes("late"));
    queue.push_shared(opcode::text, true, {payload, *payload}, rfc_key);
    queue.push_owned(opcode::text, true, payload, *payload, rfc_key);
    CHECK(control(queue, opcode::pong, "P") == errc::closed);

    CHECK(queue.empty());
    CHECK(queue.bytes() == 0);
    CHECK(queue.frames() == 0);
    CHECK(queue.output().empty());
    CHECK(queue.memory() == 0);
    CHECK(payload.use_count() == 1);
    CHECK(!queue.drop_unsent());
    queue.consume(0);
    queue.stop();
}

TEST_CASE("send_queue: stopped while the transport writes, what it writes stays until it is done") {
    server_queue queue;
    const auto payload = std::make_shared<byte_vector>(bytes("shared"));
    queue.push_shared(opcode::text, true, {payload, *payload}, rfc_key);
    const auto shown = queue.output();
    const auto before = joined(shown);
    text(queue, "never");
    queue.stop();

    CHECK(queue.empty());
    CHECK(queue.output().empty());
    CHECK(joined(shown) == before);
    CHECK(payload.use_count() == 2);
    queue.consume(3);
    CHECK(payload.use_count() == 1);
    CHECK(queue.memory() == 0);
    CHECK(queue.frames() == 0);
    CHECK(queue.data_empty());
}

TEST_CASE("send_queue: idle, it can give its memory back") {
    server_queue queue;
    for (int i = 0; i != 100; ++i) text(queue, std::string(1000, 'x'));
    consume_all(queue);
    CHECK(queue.memory() <= 128 * 1024);
    text(queue, "x");
    queue.shrink();
    CHECK(frames_in<role::server>(drain(queue)).size() == 1);
    queue.shrink();
    CHECK(queue.memory() == 0);
}

TEMPLATE_TEST_CASE("send_queue: whatever is pushed and taken, data keeps its order and frames "
                   "are whole",
                   "", server_queue, client_queue) {
    constexpr role Role = std::is_same_v<TestType, server_queue> ? role::server : role::client;
    std::mt19937 random{20250103};
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    const auto payload_of = [&](char kind, int number) {
        const std::size_t extra = below(40) == 0 ? below(70'000) : below(200);
        return std::string(1, kind) + std::to_string(number) + std::string(extra, '.');
    };

    TestType queue;
    byte_vector stream;
    std::vector<std::string> data, controls;
    byte_vector shown;
    output_buffers view;
    bool in_flight = false;
    for (int step = 0; step != 6000; ++step) {
        switch (below(7)) {
        case 0:
            data.push_back(payload_of('d', step));
            text(queue, data.back());
            break;
        case 1: {
            data.push_back(payload_of('s', step));
            const auto owner = std::make_shared<byte_vector>(bytes(data.back()));
            queue.push_shared(opcode::text, true, {owner, *owner}, rfc_key);
            break;
        }
        case 2: {
            data.push_back(payload_of('o', step));
            const auto owner = std::make_shared<byte_vector>(bytes(data.back()));
            queue.push_owned(opcode::text, true, owner, *owner, rfc_key);
            break;
        }
        case 3: {
            const std::string payload = "c" + std::to_string(step) + std::string(below(100), '.');
            if (control(queue, opcode::ping, payload) == errc::ok) controls.push_back(payload);
            break;
        }
        case 4:
            if (in_flight) break;
            view = queue.output();
            shown = joined(view);
            in_flight = true;
            break;
        default: {
            if (!in_flight) break;
            REQUIRE((joined(view) == shown));
            const std::size_t n = below(3) == 0 ? shown.size() : below(shown.size() + 1);
            stream.insert(stream.end(), shown.begin(),
                          shown.begin() + static_cast<std::ptrdiff_t>(n));
            queue.consume(n);
            in_flight = false;
        }
        }
    }
    if (in_flight) queue.consume(0);
    stream = stream + drain(queue, 1000);

    std::vector<std::string> got_data, got_controls;
    for (const frame& f : frames_in<Role>(stream))
        (is_control(f.opcode) ? got_controls : got_data).push_back(f.payload);
    CHECK((got_data == data));
    CHECK((got_controls == controls));
    CHECK(queue.frames() == 0);
    CHECK(queue.bytes() == 0);
}

TEST_CASE("send_queue: by default a frame of a message in parts has up to 64 KiB") {
    CHECK(send_limits{}.fragment_bytes == 65536);
}

TEST_CASE("send_queue: the defaults are 1 MiB and 256 KiB, 16384 frames and 8 KiB of control") {
    constexpr send_limits defaults;
    static_assert(defaults.high_bytes == 1'048'576 && defaults.low_bytes == 262'144);
    static_assert(defaults.high_count == 16'384 && defaults.control_bytes == 8192);
}

TEST_CASE("send_queue: buffers are gone over in either way of counting up") {
    server_queue queue;
    queue.push_shared(opcode::binary, true, {nullptr, bytes("ab")}, {});
    const auto out = queue.output();
    REQUIRE(out.size() == 2);
    auto at = out.begin();
    CHECK((*at++).size() == 2);
    CHECK(at == ++out.begin());
    ++at;
    CHECK(at == out.end());
}

TEMPLATE_TEST_CASE("send_queue: control that waits is counted at its limit exactly", "",
                   server_queue, client_queue) {
    const std::size_t one = std::is_same_v<TestType, client_queue> ? 8 : 4;
    TestType queue{{.control_bytes = one}};
    CHECK(control(queue, opcode::pong, "p1") == errc::ok);
    CHECK(queue.bytes() == one);
    CHECK(control(queue, opcode::ping, "no") == errc::backpressure);
    CHECK(control(queue, opcode::pong, "p2") == errc::backpressure);
    CHECK(queue.output().bytes() == one);
    queue.consume(0);  // nothing was taken: the second has no room yet
    CHECK(queue.bytes() == one);
    CHECK(queue.output().bytes() == one);
    queue.consume(1);
    CHECK(queue.bytes() == 2 * one - 1);
    (void)drain(queue);
}

TEST_CASE("send_queue: what was shown of a block is shown again, not what came behind it") {
    server_queue queue;
    text(queue, "first");
    text(queue, "second");
    (void)queue.output();
    queue.consume(3);  // inside the first frame: control goes between the two
    CHECK(control(queue, opcode::ping, "c") == errc::ok);
    const auto shown = joined(queue.output());
    text(queue, "third, in the same block");
    CHECK(joined(queue.output()) == shown);
    queue.consume(0);
    CHECK(queue.output().bytes() > shown.size());
    (void)drain(queue);
}

TEST_CASE("send_queue: an opening handshake that is shown does not move, and is one block if not") {
    const byte_vector half(600, std::byte{'h'});
    server_queue queue;
    queue.push_raw(half);
    const auto* const first = queue.output()[0].data();
    queue.push_raw(half);
    CHECK(queue.output()[0].data() == first);
    CHECK(to_hex(queue.output()[0]) == to_hex(half));
    (void)drain(queue);

    server_queue other;
    other.push_raw(half);
    other.push_raw(half);
    CHECK(other.output().size() == 1);
    (void)drain(other);
}

TEST_CASE("send_queue: idle, the memory of control frames is given back too") {
    server_queue queue;
    CHECK(control(queue, opcode::ping, "c") == errc::ok);
    (void)drain(queue);
    CHECK(queue.memory() != 0);
    queue.shrink();
    CHECK(queue.memory() == 0);
}

TEST_CASE("send_queue: compressed frames and whole ones keep their boundaries (RFC 7692 6.1)") {
    const auto prepared = std::make_shared<const byte_vector>(hex("c1 03 414243"));
    for (std::size_t take = 1; take != 12; ++take) {
        send_queue<role::server> queue;
        queue.push_compressed(opcode::text, true, bytes("abc"), {});
        queue.push_frame({prepared, *prepared});
        queue.push(opcode::binary, true, bytes("x"), {});
        CHECK(queue.frames() == 3);
        byte_vector out;
        bool pinged = false;
        while (!queue.empty()) {
            const auto buffers = queue.output();
            const auto part = buffers[0].first((std::min)(take, buffers[0].size()));
            out.insert(out.end(), part.begin(), part.end());
            queue.consume(part.size());
            if (!std::exchange(pinged, true)) (void)queue.push_control(opcode::ping, {}, {});
        }
        // The Ping stands at the next boundary.
        byte_vector wanted = hex("c1 03 616263  c1 03 414243  82 01 78");
        const byte_vector ping = hex("89 00");
        const auto boundary = wanted.begin() + (take <= 5 ? 5 : take <= 10 ? 10 : 13);
        wanted.insert(boundary, ping.begin(), ping.end());
        CHECK(out == wanted);
        CHECK(queue.frames() == 0);
    }
    CHECK(prepared.use_count() == 1);
    const auto large = std::make_shared<const byte_vector>(hex("c2 7e 0200") + byte_vector(512));
    send_queue<role::server> queue;
    queue.push_frame({large, *large});
    CHECK(queue.output()[0].data() == large->data());
    CHECK(large.use_count() == 2);
    queue.consume(large->size());
    CHECK(large.use_count() == 1);
}

TEST_CASE("send_queue: once stopped, neither compressed nor prepared frames are taken") {
    server_queue queue{send_limits{}};
    queue.stop();
    queue.push_compressed(opcode::text, true, bytes("abc"), {});
    const auto prepared = std::make_shared<byte_vector>(byte_vector(3));
    queue.push_frame({prepared, *prepared});
    CHECK(queue.empty());
    CHECK(queue.frames() == 0);
    CHECK(queue.output().size() == 0);
}

TEST_CASE("send_queue: whole frames are sent where they lie from 512 bytes on, and copied below") {
    for (const std::size_t size : {std::size_t{511}, std::size_t{512}}) {
        const auto header = size == 511 ? hex("c2 7e 01fb") : hex("c2 7e 01fc");
        const auto prepared = std::make_shared<const byte_vector>(header + byte_vector(size - 4));
        server_queue queue;
        queue.push_frame({prepared, *prepared});
        const auto shown = queue.output();
        CHECK(shown.bytes() == size);
        CHECK((shown[0].data() == prepared->data()) == (size == 512));
        queue.consume(size);
    }
}

TEST_CASE("send_queue: small frames that are copied lie together, and move nothing that is shown") {
    const auto prepared = std::make_shared<const byte_vector>(hex("c2 7e 01f0") + byte_vector(496));
    server_queue queue;
    for (int i = 0; i != 20; ++i) queue.push_frame({prepared, *prepared});
    CHECK(queue.output().size() == 1);
    (void)drain(queue);
    queue.push_frame({prepared, *prepared});
    const auto shown = queue.output();
    const auto before = joined(shown);
    for (int i = 0; i != 200; ++i) queue.push_frame({prepared, *prepared});
    CHECK(joined(shown) == before);
    queue.consume(before.size());
    CHECK(drain(queue).size() == 200 * prepared->size());
}
