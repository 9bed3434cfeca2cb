#include <sansocket/machine/message_queue.hpp>

#include "support/catch.hpp"
#include "support/message_queues.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using namespace sansocket;
using support::bytes;
using support::extend;
using support::pop;
using support::push;

namespace {

// Counts what passes through it.
struct memory_use {
    std::size_t allocations = 0;
    std::size_t bytes = 0;
};
struct counting_allocator {
    using value_type = std::byte;
    memory_use* use;

    std::byte* allocate(std::size_t n) {
        ++use->allocations;
        use->bytes += n;
        return std::allocator<std::byte>{}.allocate(n);
    }
    void deallocate(std::byte* p, std::size_t n) noexcept {
        use->bytes -= n;
        std::allocator<std::byte>{}.deallocate(p, n);
    }
};

}  // namespace

static_assert(message_queue_for_connection<message_queue<counting_allocator>>);

TEST_CASE("message_queue: an abandoned message leaves nothing behind") {
    message_queue<> queue;
    push(queue, "before");
    CHECK(queue.begin(message_kind::text));
    extend(queue, "never");
    queue.abandon();
    queue.abandon();
    CHECK(queue.extend(1) == nullptr);
    queue.finish();
    push(queue, "after");

    CHECK(queue.size() == 2);
    CHECK(queue.bytes() == 11 + 2 * message_overhead);
    CHECK(pop(queue) == "before");
    CHECK(pop(queue) == "after");
}

TEST_CASE("message_queue: clearing forgets the unfinished message too") {
    message_queue<> queue;
    push(queue, "one");
    CHECK(queue.begin(message_kind::text));
    extend(queue, "two");
    queue.clear();
    CHECK(queue.extend(1) == nullptr);
    CHECK(!queue.pop());
    CHECK(queue.memory() == 0);
    push(queue, "new");
    CHECK(pop(queue) == "new");
}

TEST_CASE("message_queue: a view is good until the next call that puts in or takes out") {
    message_queue<> queue;
    push(queue, "one");
    push(queue, "two");
    const auto one = queue.pop();
    CHECK(queue.size() == 1);
    queue.end(errc::closed_by_peer);
    CHECK(!queue.at_eof());
    CHECK(one->text() == "one");
}

TEST_CASE("message_queue: drained, it gives its memory back") {
    message_queue<> queue;
    push(queue, std::string(200'000, 'x'));
    CHECK(queue.memory() >= 200'000);
    (void)queue.pop();
    CHECK(!queue.pop());
    CHECK(queue.memory() <= 128 * 1024);

    push(queue, "x");
    queue.shrink();
    CHECK(pop(queue) == "x");
    queue.shrink();
    CHECK(queue.memory() == 0);
}

TEST_CASE("message_queue: shrinking keeps what is unfinished") {
    message_queue<> queue;
    push(queue, "x");
    CHECK(queue.begin(message_kind::text));
    extend(queue, "kept");
    (void)queue.pop();
    queue.shrink();
    queue.finish();
    CHECK(pop(queue) == "kept");
}

TEST_CASE("message_queue: warm, no message allocates") {
    memory_use use;
    {
        message_queue<counting_allocator> queue{{}, {&use}};
        const auto round = [&] {
            for (int i = 0; i != 8; ++i) push(queue, std::string(100, 'x'));
            CHECK(queue.begin(message_kind::text));
            extend(queue, "parts");
            extend(queue, "of it");
            queue.finish();
            while (queue.pop()) {}
        };
        for (int i = 0; i != 3; ++i) round();
        const auto warm = use.allocations;
        for (int i = 0; i != 1000; ++i) round();
        CHECK(use.allocations == warm);

        // Never quite drained, as with a reader that is always a little behind.
        push(queue, std::string(100, 'y'));
        for (int i = 0; i != 100; ++i) {
            push(queue, std::string(100, 'y'));
            (void)queue.pop();
        }
        const auto behind = use.allocations;
        for (int i = 0; i != 10'000; ++i) {
            push(queue, std::string(100, 'y'));
            CHECK(pop(queue).size() == 100);
        }
        CHECK(use.allocations == behind);
        CHECK(queue.memory() == use.bytes);
        CHECK(queue.memory() < 4096);
    }
    CHECK(use.bytes == 0);
}

TEST_CASE(
    "message_queue: drained at every read, messages of any size that is kept do not allocate") {
    for (const std::size_t size : {1000U, 10'000U, 16'384U, 20'000U, 26'000U}) {
        memory_use use;
        message_queue<counting_allocator> queue{{}, {&use}};
        const auto round = [&] {
            for (int i = 0; i != 5; ++i) push(queue, std::string(size, 'x'));
            while (queue.pop()) {}
        };
        round();
        const auto warm = use.allocations;
        for (int i = 0; i != 10; ++i) round();
        CHECK(use.allocations == warm);
    }
}

TEST_CASE("message_queue: drained but for what is unfinished, it goes on at the front if that is "
          "small") {
    for (const bool small : {true, false}) {
        message_queue<> queue;
        push(queue, "12345678");
        const auto first = queue.pop();
        push(queue, "12345678");
        CHECK(queue.begin(message_kind::text));
        extend(queue, small ? "half of " : "more than");
        (void)queue.pop();
        CHECK(!queue.pop());
        CHECK(!queue.pop());
        extend(queue, "and the rest");
        queue.finish();
        push(queue, "next");

        const auto message = queue.pop();
        REQUIRE(message);
        CHECK(message->text() == (small ? "half of and the rest" : "more thanand the rest"));
        CHECK((message->bytes.data() == first->bytes.data()) == small);
        CHECK(pop(queue) == "next");
    }
}

TEST_CASE("message_queue: room made at once is room for all of a message") {
    memory_use use;
    message_queue<counting_allocator> queue{{}, {&use}};
    push(queue, "before");
    CHECK(queue.begin(message_kind::text));
    extend(queue, "begun ");
    queue.reserve(50'000);
    const auto reserved = use.allocations;
    queue.reserve(1000);
    for (int i = 0; i != 5000; ++i) extend(queue, "0123456789");
    CHECK(use.allocations == reserved);
    queue.finish();
    CHECK(pop(queue) == "before");
    CHECK(pop(queue).size() == 50'006);
}

TEST_CASE("message_queue: what is moved from is empty, has ended if it had, and answers "
          "everything") {
    message_queue<> from{{.high_count = 2, .low_count = 0}};
    push(from, "one");
    push(from, "two");
    CHECK(from.begin(message_kind::text));
    extend(from, "par");

    message_queue<> to{std::move(from)};
    CHECK(to.paused());
    extend(to, "tial");
    to.finish();
    CHECK(pop(to) == "one");
    CHECK(pop(to) == "two");
    CHECK(pop(to) == "partial");

    CHECK(from.size() == 0);
    CHECK(from.bytes() == 0);
    CHECK(from.memory() == 0);
    CHECK(!from.paused());
    CHECK(!from.is_eof());
    CHECK(!from.pop());
    CHECK(from.extend(1) == nullptr);
    push(from, "again");
    CHECK(pop(from) == "again");

    from.end(errc::aborted);
    push(to, "replaced");
    to = std::move(from);
    CHECK(to.cause() == errc::aborted);
    CHECK(to.at_eof());
    CHECK(from.at_eof());
    auto& same = to;
    to = std::move(same);
    CHECK(to.cause() == errc::aborted);
}

TEST_CASE("message_queue: any sequence of calls is that of a deque of messages") {
    std::mt19937 random{20250102};
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    memory_use use;
    message_queue<counting_allocator> queue{{}, {&use}};
    std::deque<message> model;
    std::optional<message> partial;
    const auto sample = [&](std::size_t n) {
        std::string out(n, ' ');
        for (char& c : out) c = static_cast<char>('a' + below(26));
        return out;
    };
    const auto kind = [&] { return below(2) == 0 ? message_kind::text : message_kind::binary; };

    for (int step = 0; step != 20'000; ++step) {
        const std::size_t size = below(50) == 0 ? below(20'000) : below(120);
        switch (below(9)) {
        case 0:
        case 1: {
            if (partial) break;
            const message m{kind(), sample(size)};
            REQUIRE(queue.push(m.kind, m.bytes()));
            model.push_back(m);
            break;
        }
        case 2:
            if (partial) break;
            partial = message{kind(), ""};
            REQUIRE(queue.begin(partial->kind));
            break;
        case 3:
        case 4: {
            const auto part = sample(size);
            if (!partial) {
                REQUIRE(queue.extend(size) == nullptr);
                break;
            }
            extend(queue, part);
            partial->data += part;
            break;
        }
        case 5:
            queue.finish();
            if (partial) model.push_back(*std::exchange(partial, std::nullopt));
            break;
        case 6:
            if (below(10) == 0) {
                queue.abandon();
                partial.reset();
            } else if (below(30) == 0) {
                queue.clear();
                partial.reset();
                model.clear();
            } else if (below(4) == 0) {
                queue.shrink();
            }
            break;
        default: {
            const auto view = queue.pop();
            REQUIRE(view.has_value() == !model.empty());
            if (!view) break;
            REQUIRE((message{*view} == model.front()));
            model.pop_front();
        }
        }
        std::size_t cost = 0;
        for (const message& m : model) cost += m.data.size() + message_overhead;
        REQUIRE(queue.size() == model.size());
        REQUIRE(queue.bytes() == cost);
        REQUIRE(queue.memory() == use.bytes);
    }
}

TEST_CASE("message_queue: memory of up to 128 KiB is kept for the next messages, and no more") {
    for (const std::size_t over : {0U, 1U}) {
        message_queue<> queue;
        CHECK(queue.begin(message_kind::text));
        queue.reserve(128 * 1024 - sizeof(std::uint64_t) + over);
        CHECK(queue.memory() == 128 * 1024 + over);
        queue.finish();
        CHECK(pop(queue).empty());
        CHECK(!queue.pop());
        CHECK(queue.memory() == (over == 0 ? 128 * 1024 : 0));
    }
}

TEST_CASE("message_queue: room that is there already is not made again") {
    message_queue<> queue;
    CHECK(queue.begin(message_kind::text));
    const auto memory = queue.memory();
    queue.reserve(memory - sizeof(std::uint64_t));
    CHECK(queue.memory() == memory);
    queue.reserve(memory - sizeof(std::uint64_t) + 1);
    CHECK(queue.memory() > memory);
}

TEST_CASE("message_queue: assigned to, it gives back what it held") {
    memory_use use;
    {
        message_queue<counting_allocator> queue{{}, {&use}}, other{{}, {&use}};
        push(queue, std::string(1000, 'x'));
        push(other, "y");
        queue = std::move(other);
        CHECK(use.bytes == queue.memory());
        CHECK(pop(queue) == "y");
    }
    CHECK(use.bytes == 0);
}

static_assert(piecewise_message_queue<message_queue<>>);

namespace {

// What `pop_piece` gives, as text: "<" first, ">" last, "-" nothing.
std::string piece(message_queue<>& queue) {
    const bool ready = queue.piece_ready();
    const auto p = queue.pop_piece();
    CHECK(p.has_value() == ready);
    if (!p) return "-";
    return (p->first ? "<" : "") + std::string{p->text()} + (p->last ? ">" : "");
}

}  // namespace

TEST_CASE("message_queue: a message can be taken in pieces as it comes") {
    message_queue<> queue;
    CHECK(piece(queue) == "-");
    push(queue, "whole");
    CHECK(queue.begin(message_kind::binary));
    CHECK(piece(queue) == "<whole>");
    CHECK(piece(queue) == "-");
    extend(queue, "a");
    CHECK(piece(queue) == "<a");
    CHECK(piece(queue) == "-");
    extend(queue, "bcdefghijklmno");
    extend(queue, "p");
    CHECK(queue.pop_piece()->kind == message_kind::binary);
    extend(queue, "q");
    CHECK(piece(queue) == "q");
    queue.finish();
    CHECK(piece(queue) == ">");
    push(queue, "next");
    CHECK(piece(queue) == "<next>");
    CHECK(queue.bytes() == 0);
}

TEST_CASE("message_queue: pop takes the rest of a message that was begun in pieces") {
    message_queue<> queue;
    CHECK(queue.begin(message_kind::text));
    extend(queue, "one");
    CHECK(piece(queue) == "<one");
    extend(queue, "two");
    CHECK_FALSE(queue.pop());
    extend(queue, "three");
    queue.finish();
    push(queue, "behind");
    CHECK(pop(queue) == "twothree");
    CHECK(piece(queue) == "<behind>");
}

TEST_CASE("message_queue: what ends a message ends its pieces") {
    message_queue<> queue;
    CHECK(queue.begin(message_kind::text));
    extend(queue, "one");
    CHECK(piece(queue) == "<one");
    SECTION("abandon") { queue.abandon(); }
    SECTION("clear") { queue.clear(); }
    SECTION("end") {
        queue.end(errc::transport_lost);
        CHECK(queue.at_eof());
    }
    SECTION("move") {
        message_queue<> other(std::move(queue));
        extend(other, "two");
        CHECK(piece(other) == "two");
    }
    CHECK(piece(queue) == "-");
    if (!queue.is_eof()) {
        CHECK(queue.begin(message_kind::text));
        extend(queue, "new");
        CHECK(piece(queue) == "<new");
    }
}

TEST_CASE("message_queue: a message larger than the queue passes through it in pieces") {
    queue_limits limits;
    limits.high_bytes = 4096;
    limits.low_bytes = 1024;
    message_queue<> queue(limits);
    CHECK_FALSE(queue.pop_piece());  // from here on
    CHECK(queue.begin(message_kind::binary));
    const std::string part(700, 'x');
    std::size_t taken = 0;
    for (int round = 0; round != 50; ++round) {
        while (!queue.paused()) extend(queue, part);
        CHECK(queue.memory() <= 8 * 4096);
        const auto p = queue.pop_piece();
        REQUIRE(p);
        CHECK(p->bytes.size() >= 4096);
        taken += p->bytes.size();
        CHECK_FALSE(queue.paused());
    }
    CHECK(taken > 50 * 4096);
    while (!queue.paused()) extend(queue, part);
    SECTION("who takes whole messages again is not held up") {
        CHECK_FALSE(queue.pop());
        CHECK_FALSE(queue.paused());
        for (int i = 0; i != 100; ++i) extend(queue, part);
        CHECK_FALSE(queue.paused());
    }
    SECTION("whole messages pause it as ever") {
        queue.finish();
        CHECK(queue.paused());
        CHECK(queue.pop_piece()->last);
        CHECK_FALSE(queue.paused());
    }
}

TEST_CASE("message_queue: pieces and messages at random are what was put in") {
    for (unsigned seed = 0; seed != 200; ++seed) {
        std::mt19937 random(seed);
        message_queue<> queue;
        std::deque<std::string> expected;  // what is left of each message, the one begun last
        bool inside = false, cut = false;  // a message is begun; pieces of the oldest were taken
        for (int step = 0; step != 400; ++step) {
            const std::string data(random() % 4 == 0 ? random() % 3000 : random() % 12,
                                   static_cast<char>('a' + step % 26));
            switch (random() % 5) {
            case 0:
                if (inside) break;
                push(queue, data);
                expected.push_back(data);
                break;
            case 1:
                if (!inside) {
                    REQUIRE(queue.begin(message_kind::text));
                    expected.emplace_back();
                }
                inside = true;
                extend(queue, data);
                expected.back() += data;
                break;
            case 2:
                if (inside) queue.finish();
                inside = false;
                break;
            case 3: {
                const bool whole = expected.size() > (inside ? 1U : 0U);
                const auto p = queue.pop_piece();
                if (expected.empty() || (!whole && expected.front().empty())) {
                    REQUIRE_FALSE(p);
                    break;
                }
                REQUIRE(p);
                REQUIRE(p->text() == expected.front());
                REQUIRE(p->first == !cut);
                REQUIRE(p->last == whole);
                cut = !whole;
                if (whole) expected.pop_front();
                else expected.front().clear();
                break;
            }
            default: {
                const auto m = queue.pop();
                const bool whole = expected.size() > (inside ? 1U : 0U);
                REQUIRE(m.has_value() == whole);
                if (!whole) break;
                REQUIRE(m->text() == expected.front());
                expected.pop_front();
                cut = false;
            }
            }
        }
    }
}

TEST_CASE("message_queue: room that was not needed does not pause who takes pieces") {
    sansocket::message_queue<> queue({.high_bytes = 4096, .low_bytes = 1024});
    queue.begin(sansocket::message_kind::text);
    (void)queue.extend(10);
    CHECK(queue.pop_piece());
    (void)queue.extend(4096);
    CHECK(queue.paused());
    queue.retract(4096);
    CHECK_FALSE(queue.paused());
    (void)queue.extend(4096);
    queue.retract(1);
    CHECK(queue.paused());  // there is something to take
    queue.finish();
    queue.begin(sansocket::message_kind::text);
    (void)queue.extend(4096);
    queue.retract(4096);
    CHECK(queue.paused());  // still
}

TEST_CASE("message_queue: what was given in pieces, or given up, marks no later message") {
    sansocket::message_queue<> queue;
    queue.begin(sansocket::message_kind::text);
    (void)queue.extend(20);
    const auto piece = queue.pop_piece();
    REQUIRE(piece);
    CHECK(piece->kind == sansocket::message_kind::text);
    (void)queue.extend(1);
    SECTION("given to its end") {
        queue.finish();
        CHECK(queue.pop_piece()->last);
        CHECK_FALSE(queue.pop_piece());
        queue.push(sansocket::message_kind::binary, bytes("twelve bytes"));
        queue.push(sansocket::message_kind::binary, bytes("two"));
        CHECK(queue.pop_piece()->first);
    }
    SECTION("given up") {
        CHECK(queue.pop_piece());
        queue.abandon();
        queue.begin(sansocket::message_kind::text);
        (void)queue.extend(3);
    }
    CHECK(queue.pop_piece()->first);
}

TEST_CASE("message_queue: memory goes with the last piece") {
    sansocket::message_queue<> queue;
    queue.push(sansocket::message_kind::binary, support::byte_vector(1 << 20));
    CHECK(queue.pop_piece());
    CHECK_FALSE(queue.pop_piece());
    CHECK(queue.memory() <= 128 * 1024);
    queue.push(sansocket::message_kind::binary, bytes("small"));
    CHECK(queue.pop_piece());
    CHECK_FALSE(queue.pop_piece());
    CHECK(queue.memory() != 0);  // for the next
    queue.push(sansocket::message_kind::binary, bytes("small"));
    queue.end(sansocket::errc::closed_by_peer);
    CHECK(queue.pop_piece());
    CHECK_FALSE(queue.pop_piece());
    CHECK(queue.memory() == 0);
}
