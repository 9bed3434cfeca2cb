#include <sansocket/detail/segment_queue.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

using sansocket::detail::segment_queue;
using support::byte_vector;
using support::bytes;

namespace {

void add(segment_queue& queue, std::span<const std::byte> data, bool may_move = true) {
    std::byte* const at = queue.extend(data.size(), may_move);
    std::copy(data.begin(), data.end(), at);
}
void add(segment_queue& queue, std::string_view text) { add(queue, bytes(text)); }

std::shared_ptr<byte_vector> shared(std::string_view text) {
    return std::make_shared<byte_vector>(bytes(text));
}

byte_vector all_of(const segment_queue& queue) {
    byte_vector out;
    while (out.size() != queue.size()) {
        const auto part = queue.at(out.size());
        REQUIRE(!part.empty());
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

std::string text_of(const segment_queue& queue) { return support::text_of(all_of(queue)); }

}  // namespace

TEST_CASE("segment_queue: a short frame alone leaves a small block behind") {
    segment_queue queue;
    (void)queue.extend(10, true);
    queue.consume(10);
    CHECK(queue.memory() <= 128);
}

TEST_CASE("segment_queue: empty, it holds no memory") {
    const segment_queue queue;
    CHECK(queue.empty());
    CHECK(queue.memory() == 0);
    CHECK(queue.at(0).empty());
}

TEST_CASE("segment_queue: small appends are one piece") {
    segment_queue queue;
    add(queue, "one ");
    add(queue, "two");

    CHECK(queue.size() == 7);
    CHECK(support::text_of(queue.at(0)) == "one two");
    CHECK(support::text_of(queue.at(4)) == "two");
    CHECK(queue.at(7).empty());
}

TEST_CASE("segment_queue: payloads of others stand in order and are not copied") {
    segment_queue queue;
    const auto payload = shared("theirs ");
    add(queue, "ours ");
    queue.append(payload, *payload);
    add(queue, "ours again");

    CHECK(text_of(queue) == "ours theirs ours again");
    CHECK(queue.at(5).data() == payload->data());
    CHECK(queue.at(7).data() == payload->data() + 2);
    CHECK(queue.at(5).size() == 7);
}

TEST_CASE("segment_queue: a payload is let go when it is consumed, dropped or released") {
    segment_queue queue;
    const auto payload = shared("theirs");
    const auto fill = [&] {
        add(queue, "ours");
        queue.append(payload, *payload);
    };

    fill();
    queue.consume(9);
    CHECK(payload.use_count() == 2);
    queue.consume(1);
    CHECK(payload.use_count() == 1);

    fill();
    queue.truncate(5);
    CHECK(payload.use_count() == 2);
    queue.truncate(4);
    CHECK(payload.use_count() == 1);

    fill();
    queue.release();
    CHECK(payload.use_count() == 1);
    CHECK(queue.memory() == 0);
}

TEST_CASE("segment_queue: an empty payload is no segment") {
    segment_queue queue;
    queue.append(shared(""), {});
    CHECK(queue.empty());
    CHECK(queue.at(0).empty());
    add(queue, "x");
    CHECK(text_of(queue) == "x");
}

TEST_CASE("segment_queue: what may not move keeps its address while more is appended") {
    segment_queue queue;
    add(queue, "first");
    const std::byte* const before = queue.at(0).data();
    for (int i = 0; i != 5000; ++i) add(queue, byte_vector(100), false);

    CHECK(queue.at(0).data() == before);
    CHECK(support::text_of(queue.at(0).first(5)) == "first");
    CHECK(queue.size() == 500'005);
}

TEST_CASE("segment_queue: what may move is put together, up to 64 KiB") {
    segment_queue queue;
    for (int i = 0; i != 600; ++i) add(queue, byte_vector(100, std::byte{7}));
    CHECK(queue.at(0).size() == 60'000);

    for (int i = 0; i != 600; ++i) add(queue, byte_vector(100, std::byte{8}));
    CHECK(queue.at(0).size() >= 60'000);
    CHECK(queue.at(0).size() <= 64 * 1024);
    CHECK(queue.memory() <= 3 * 64 * 1024);
}

TEST_CASE("segment_queue: what waits is seldom moved, however much waits") {
    for (const std::size_t waiting : {10'000U, 33'000U, 60'000U, 65'400U, 65'500U, 70'000U}) {
        segment_queue queue;
        while (queue.size() < waiting) add(queue, byte_vector(100));
        for (int i = 0; i != 2000; ++i) {  // until its blocks are there
            queue.consume(100);
            add(queue, byte_vector(100));
        }
        const std::size_t memory = queue.memory();
        int moves = 0;
        for (int i = 0; i != 6550; ++i) {  // ten times 64 KiB
            const std::byte* const second = queue.at(0).data() + 100;
            queue.consume(100);
            add(queue, byte_vector(100));
            if (queue.at(0).data() != second) ++moves;
        }
        CHECK(moves <= 40);
        CHECK(queue.memory() == memory);
        CHECK(memory <= 3 * 64 * 1024);
    }
}

TEST_CASE("segment_queue: what waits is put at its block's front, if that is not shown") {
    for (const bool may_move : {true, false}) {
        segment_queue queue;
        add(queue, byte_vector(600));
        add(queue, "waiting");
        const std::byte* const before = queue.at(0).data();
        queue.consume(600);
        add(queue, byte_vector(900), may_move);

        CHECK(support::text_of(queue.at(0).first(7)) == "waiting");
        CHECK(queue.at(0).data() == before + (may_move ? 0 : 600));
        CHECK(queue.at(0).size() == (may_move ? 907 : 7));
        CHECK(queue.size() == 907);
    }
}

TEST_CASE("segment_queue: one large append is one piece") {
    segment_queue queue;
    add(queue, "small");
    add(queue, byte_vector(300'000));
    CHECK(queue.at(5).size() == 300'000);
    CHECK(queue.size() == 300'005);
}

TEST_CASE("segment_queue: truncating keeps what is in front") {
    segment_queue queue;
    add(queue, "0123456789");
    queue.truncate(4);
    CHECK(text_of(queue) == "0123");
    add(queue, "ab");
    CHECK(text_of(queue) == "0123ab");
    queue.consume(2);
    queue.truncate(3);
    CHECK(text_of(queue) == "23a");
    queue.truncate(100);
    CHECK(text_of(queue) == "23a");
}

TEST_CASE("segment_queue: drained, it keeps a small block and gives a large one back") {
    segment_queue queue;
    add(queue, "small");
    queue.consume(5);
    CHECK(queue.memory() <= 64 * 1024);
    queue.shrink();
    CHECK(queue.memory() == 0);

    add(queue, byte_vector(100'000));
    queue.consume(100'000);
    CHECK(queue.memory() <= 64 * 1024);
    add(queue, "x");
    queue.shrink();
    CHECK(text_of(queue) == "x");
}

TEST_CASE("segment_queue: the block kept is passed over by what needs another") {
    segment_queue queue;
    add(queue, "small");
    queue.consume(5);
    add(queue, byte_vector(5000, std::byte{'x'}), false);
    const auto payload = shared("theirs");
    queue.append(payload, *payload);

    CHECK(queue.size() == 5006);
    CHECK(queue.at(0).size() == 5000);
    queue.consume(5000);
    CHECK(text_of(queue) == "theirs");
    queue.truncate(0);
    CHECK(queue.empty());
}

TEST_CASE("segment_queue: what is moved from is empty and usable") {
    segment_queue from;
    add(from, "moved");
    const std::byte* const where = from.at(0).data();
    segment_queue to{std::move(from)};
    CHECK(text_of(to) == "moved");
    CHECK(to.at(0).data() == where);
    CHECK(from.empty());
    CHECK(from.memory() == 0);

    add(from, "new");
    to = std::move(from);
    CHECK(text_of(to) == "new");
    CHECK(from.empty());
    CHECK(from.at(0).empty());
}

TEST_CASE("segment_queue: any sequence of calls is that of a queue of bytes") {
    std::mt19937 random{20250101};
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    segment_queue queue;
    std::deque<std::byte> model;
    std::byte next{};
    const auto sample = [&](std::size_t n) {
        byte_vector out(n);
        for (auto& b : out) b = next = static_cast<std::byte>(std::to_integer<unsigned>(next) + 1);
        return out;
    };

    for (int step = 0; step != 4000; ++step) {
        const std::size_t what = below(10);
        if (what < 4) {
            const auto data = sample(1 + below(below(20) == 0 ? 20'000 : 300));
            add(queue, data, below(2) == 0);
            model.insert(model.end(), data.begin(), data.end());
        } else if (what < 6) {
            const auto data = std::make_shared<byte_vector>(sample(1 + below(500)));
            queue.append(data, *data);
            model.insert(model.end(), data->begin(), data->end());
        } else if (what < 9) {
            const std::size_t n = below(8) == 0 ? model.size() : below(model.size() + 1);
            queue.consume(n);
            model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(n));
        } else {
            const std::size_t n = below(model.size() + 1);
            queue.truncate(n);
            model.resize(n);
        }
        REQUIRE(queue.size() == model.size());
        if (step % 8 == 0) {
            const auto all = all_of(queue);
            REQUIRE(std::equal(all.begin(), all.end(), model.begin(), model.end()));
        }
    }
}
