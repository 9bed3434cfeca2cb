#include <sansocket/machine/static_message_queue.hpp>

#include "support/catch.hpp"
#include "support/message_queues.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <random>
#include <string>
#include <utility>

using namespace sansocket;
using support::extend;
using support::pop;
using support::push;

namespace {

using small = static_message_queue<100, 4, 20>;  // each message costs 4 bytes more
static_assert(small::charge == 4);
static_assert(small::max_message == 20);
static_assert(small::full_bytes == 77);  // of 76 bytes, one of 20 has room beside them
static_assert(static_message_queue<100, 4>::max_message == 50);
static_assert(sizeof(small) <= 100 + 12 * sizeof(std::size_t));

std::string in_parts(auto& queue, const std::string& text, std::size_t part) {
    if (!queue.begin(message_kind::text)) return "no begin";
    for (std::size_t at = 0; at < text.size(); at += part) {
        const std::string one = text.substr(at, part);
        std::byte* const to = queue.extend(one.size());
        if (to == nullptr) return "no room";
        std::copy_n(reinterpret_cast<const std::byte*>(one.data()), one.size(), to);
    }
    queue.finish();
    return "";
}

}  // namespace

TEST_CASE("static_message_queue: a message of the largest size is taken, and no larger one") {
    small queue;
    CHECK(!push(queue, std::string(21, 'x')));
    CHECK(queue.size() == 0);
    CHECK(push(queue, std::string(20, 'x')));
    CHECK(pop(queue) == std::string(20, 'x'));

    CHECK(queue.begin(message_kind::text));
    CHECK(queue.extend(21) == nullptr);
    extend(queue, std::string(15, 'x'));
    CHECK(queue.extend(6) == nullptr);
    extend(queue, std::string(5, 'y'));
    CHECK(queue.extend(1) == nullptr);
    CHECK(queue.extend(0) != nullptr);
    queue.finish();
    CHECK(pop(queue) == std::string(15, 'x') + std::string(5, 'y'));
}

TEST_CASE("static_message_queue: pauses as soon as one more message might find no room") {
    static_message_queue<100, 10, 20> queue;
    for (int i = 0; i != 3; ++i) push(queue, std::string(20, 'x'));
    CHECK(queue.bytes() == 72);
    push(queue, "");
    CHECK(queue.bytes() == 76);
    CHECK(!queue.paused());
    CHECK(push(queue, std::string(20, 'x')));  // and it has it: the last byte is in use
    CHECK(queue.bytes() == 100);
    CHECK(queue.paused());
    CHECK(!push(queue, ""));
    CHECK(!queue.begin(message_kind::text));
    CHECK(queue.bytes() == 100);

    static_message_queue<100, 10, 20> above;
    for (int i = 0; i != 3; ++i) push(above, std::string(20, 'x'));
    push(above, "1");
    CHECK(above.bytes() == 77);
    CHECK(above.paused());
    CHECK(!push(above, std::string(20, 'x')));
    CHECK(above.size() == 4);
}

TEST_CASE("static_message_queue: pauses at its count, and takes no more then") {
    small queue;
    for (int i = 0; i != 3; ++i) CHECK(push(queue, ""));
    CHECK(!queue.paused());
    CHECK(push(queue, ""));
    CHECK(queue.paused());
    CHECK(!push(queue, ""));
    CHECK(!queue.begin(message_kind::text));
    CHECK(queue.size() == 4);
    (void)queue.pop();
    CHECK(queue.paused());
    (void)queue.pop();
    CHECK(!queue.paused());  // half of it
}

TEST_CASE("static_message_queue: goes on at half of what it stops at") {
    static_message_queue<100, 10, 20> queue;
    push(queue, std::string(20, 'x'));
    push(queue, std::string(15, 'x'));
    push(queue, std::string(15, 'x'));
    push(queue, std::string(15, 'x'));
    CHECK(queue.bytes() == 81);
    CHECK(queue.paused());
    (void)queue.pop();
    CHECK(queue.bytes() == 57);
    CHECK(queue.paused());
    (void)queue.pop();
    CHECK(queue.bytes() == 38);
    CHECK(!queue.paused());
}

TEST_CASE("static_message_queue: marks may be lower than its own, and not higher") {
    static_message_queue<100, 10, 20> lower{
        {.high_bytes = 40, .low_bytes = 10, .high_count = 3, .low_count = 1}};
    push(lower, std::string(20, 'x'));
    CHECK(!lower.paused());
    push(lower, std::string(12, 'x'));
    CHECK(lower.paused());
    (void)lower.pop();
    CHECK(lower.paused());
    (void)lower.pop();
    for (int i = 0; i != 3; ++i) {
        CHECK(!lower.paused());
        push(lower, "");
    }
    CHECK(lower.paused());

    static_message_queue<100, 4, 20> higher{
        {.high_bytes = 1000, .low_bytes = 1000, .high_count = 1000, .low_count = 1000}};
    for (int i = 0; i != 4; ++i) push(higher, "");
    CHECK(higher.paused());
    (void)higher.pop();
    CHECK(higher.paused());
    (void)higher.pop();
    CHECK(!higher.paused());
    (void)higher.pop();
    (void)higher.pop();
    for (int i = 0; i != 3; ++i) push(higher, std::string(20, 'x'));
    push(higher, "1");
    CHECK(higher.paused());
    for (int i = 0; i != 2; ++i) {
        CHECK(higher.paused());
        (void)higher.pop();
    }
    CHECK(!higher.paused());
}

TEST_CASE("static_message_queue: whatever conforms finds its room while it is not paused") {
    // Every mix of sizes and of reading, from every place in the storage.
    std::mt19937 random{7};
    static_message_queue<256, 8, 64> queue;
    std::deque<std::string> model;
    for (int step = 0; step != 20'000; ++step) {
        if (queue.paused() || random() % 3 == 0) {
            CHECK(pop(queue) == (model.empty() ? "(nothing)" : model.front()));
            if (!model.empty()) model.pop_front();
            continue;
        }
        const std::string text(random() % 65, static_cast<char>('a' + step % 26));
        if (random() % 2 == 0) {
            REQUIRE(push(queue, text));
        } else {
            REQUIRE(queue.begin(message_kind::text));
            for (std::size_t at = 0; at < text.size(); at += 10) {
                extend(queue, text.substr(at, 10));
                if (random() % 4 != 0 || model.empty()) continue;
                REQUIRE(pop(queue) == model.front());
                model.pop_front();
            }
            queue.finish();
        }
        model.push_back(text);
        REQUIRE(queue.size() == model.size());
    }
}

TEST_CASE("static_message_queue: a message that is coming in keeps its room while others wait") {
    static_message_queue<100, 10, 20> queue;
    for (int i = 0; i != 3; ++i) push(queue, std::string(20, static_cast<char>('a' + i)));
    CHECK(!queue.paused());
    CHECK(queue.begin(message_kind::binary));
    for (int i = 0; i != 20; ++i) extend(queue, "x");
    CHECK(!queue.paused());
    queue.finish();
    CHECK(queue.paused());
    for (int i = 0; i != 3; ++i) CHECK(pop(queue) == std::string(20, static_cast<char>('a' + i)));
    const auto last = queue.pop();
    REQUIRE(last);
    CHECK(last->kind == message_kind::binary);
    CHECK(last->text() == std::string(20, 'x'));
}

TEST_CASE("static_message_queue: a queue of one message at a time") {
    static_message_queue<24, 1, 20> queue;
    CHECK(!queue.paused());
    for (int i = 0; i != 3; ++i) {
        CHECK(push(queue, std::string(20, 'x')));
        CHECK(queue.paused());
        CHECK(pop(queue) == std::string(20, 'x'));
        CHECK(!queue.paused());
        CHECK(in_parts(queue, std::string(20, 'y'), 3).empty());
        CHECK(queue.paused());
        CHECK(pop(queue) == std::string(20, 'y'));
    }
}

TEST_CASE("static_message_queue: a view is good until the next call that puts in or takes out") {
    small queue;
    push(queue, "one");
    push(queue, "two");
    const auto one = queue.pop();
    queue.shrink();
    queue.end(errc::closed_by_peer);
    CHECK(one->text() == "one");
    CHECK(pop(queue) == "two");
}

TEST_CASE("static_message_queue: moved, the messages are copied from wherever they lie") {
    for (const bool begun : {false, true}) {
        static_message_queue<100, 10, 20> from;
        push(from, std::string(20, 'a'));
        push(from, "b");
        push(from, "c");
        (void)from.pop();
        if (begun) {
            CHECK(from.begin(message_kind::binary));
            extend(from, "d");
        }
        auto to = std::move(from);
        CHECK(from.memory() == 0);
        CHECK(to.size() == 2);
        CHECK(to.bytes() == 10);
        if (begun) {
            extend(to, std::string(19, 'd'));
            to.finish();
        } else {
            CHECK(to.extend(1) == nullptr);
            CHECK(push(to, "d" + std::string(19, 'd')));
        }
        CHECK(pop(to) == "b");
        CHECK(pop(to) == "c");
        CHECK(pop(to) == std::string(20, 'd'));
        CHECK(from.size() == 0);
        CHECK(push(from, std::string(20, 'e')));
        CHECK(pop(from) == std::string(20, 'e'));
    }
}

TEST_CASE("static_message_queue: cleared or abandoned, all its room is there again") {
    small queue;
    for (int i = 0; i != 50; ++i) {
        for (int n = 0; n != 3; ++n) REQUIRE(push(queue, std::string(20, 'x')));
        REQUIRE(queue.begin(message_kind::text));
        extend(queue, std::string(20, 'y'));
        if (i % 2 == 0) {
            queue.clear();
        } else {
            queue.abandon();
            REQUIRE(push(queue, std::string(20, 'z')));
            for (int n = 0; n != 3; ++n) REQUIRE(pop(queue) == std::string(20, 'x'));
            REQUIRE(pop(queue) == std::string(20, 'z'));
        }
    }
}
