#include <sansocket/machine/message_queue.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <cstddef>
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
using support::byte_vector;
using support::bytes;

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

bool push(auto& queue, std::string_view text) {
    return queue.push(message_kind::text, bytes(text));
}

void extend(auto& queue, std::string_view text) {
    std::byte* const to = queue.extend(text.size());
    REQUIRE(to != nullptr);
    std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), to);
}

std::string pop(auto& queue) {
    const auto view = queue.pop();
    return view ? std::string{view->text()} : "(nothing)";
}

// A model of the concept without one of its functions would be refused by name.
struct lacks_is_eof : direct_queue<void (*)(message_view)> {
    bool is_eof() const noexcept = delete;
};

}  // namespace

static_assert(message_queue_for_connection<message_queue<>>);
static_assert(message_queue_for_connection<message_queue<counting_allocator>>);
static_assert(message_queue_for_connection<direct_queue<void (*)(message_view)>>);
static_assert(!message_queue_for_connection<lacks_is_eof>);
static_assert(!message_queue_for_connection<std::deque<message>>);
static_assert(detail::check_message_queue<message_queue<>>());
static_assert(detail::check_message_queue<direct_queue<void (*)(message_view)>>());
static_assert(std::is_nothrow_move_constructible_v<message_queue<>>);
static_assert(std::is_nothrow_move_assignable_v<message_queue<>>);
static_assert(!std::is_copy_constructible_v<message_queue<>>);

TEST_CASE("message_queue: messages come out whole and in order") {
    message_queue<> queue;
    CHECK(queue.push(message_kind::text, bytes("one")));
    CHECK(queue.push(message_kind::binary, {}));
    CHECK(queue.push(message_kind::binary, support::hex("00ff")));
    CHECK(queue.size() == 3);

    const auto one = queue.pop();
    REQUIRE(one);
    CHECK(one->kind == message_kind::text);
    CHECK(one->text() == "one");
    const auto empty = queue.pop();
    REQUIRE(empty);
    CHECK(empty->kind == message_kind::binary);
    CHECK(empty->bytes.empty());
    CHECK(support::to_hex(queue.pop()->bytes) == "00ff");
    CHECK(!queue.pop());
    CHECK(queue.size() == 0);
}

TEST_CASE("message_queue: a message in parts is there once it is finished") {
    message_queue<> queue;
    push(queue, "before");
    CHECK(queue.begin(message_kind::binary));
    extend(queue, "a");
    extend(queue, "");
    extend(queue, std::string(5000, 'b'));
    CHECK(queue.size() == 1);
    CHECK(pop(queue) == "before");
    CHECK(pop(queue) == "(nothing)");
    extend(queue, "c");
    queue.finish();

    const auto view = queue.pop();
    REQUIRE(view);
    CHECK(view->kind == message_kind::binary);
    CHECK(view->text() == "a" + std::string(5000, 'b') + "c");
}

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

TEST_CASE("message_queue: every message is charged for, empty ones too") {
    message_queue<> queue;
    push(queue, "");
    CHECK(queue.bytes() == message_overhead);
    push(queue, "12345");
    CHECK(queue.bytes() == 2 * message_overhead + 5);
    CHECK(queue.begin(message_kind::text));
    extend(queue, "123");
    CHECK(queue.bytes() == 2 * message_overhead + 5);
    queue.finish();
    CHECK(queue.bytes() == 3 * message_overhead + 8);
    (void)pop(queue);
    CHECK(queue.bytes() == 2 * message_overhead + 8);
    queue.clear();
    CHECK(queue.bytes() == 0);
    CHECK(queue.size() == 0);
}

TEST_CASE("message_queue: pauses at the high mark of bytes and goes on at the low one") {
    message_queue<> queue{{.high_bytes = 4 * message_overhead, .low_bytes = 2 * message_overhead}};
    for (int i = 0; i != 3; ++i) push(queue, "");
    CHECK(!queue.paused());
    push(queue, "");
    CHECK(queue.paused());
    (void)pop(queue);
    CHECK(queue.paused());
    (void)pop(queue);
    CHECK(!queue.paused());
    push(queue, "");
    CHECK(!queue.paused());
    push(queue, "");
    CHECK(queue.paused());
}

TEST_CASE("message_queue: pauses at the high mark of messages and goes on at the low one") {
    message_queue<> queue{{.high_count = 4, .low_count = 1}};
    for (int i = 0; i != 3; ++i) push(queue, "x");
    CHECK(!queue.paused());
    CHECK(queue.begin(message_kind::text));
    CHECK(!queue.paused());
    queue.finish();
    CHECK(queue.paused());
    (void)pop(queue);
    (void)pop(queue);
    CHECK(queue.paused());
    (void)pop(queue);
    CHECK(!queue.paused());
}

TEST_CASE("message_queue: goes on only under both low marks") {
    message_queue<> queue{
        {.high_bytes = 1000, .low_bytes = 200, .high_count = 100, .low_count = 4}};
    push(queue, std::string(900, 'x'));
    for (int i = 0; i != 6; ++i) push(queue, "");
    CHECK(queue.paused());
    (void)pop(queue);
    CHECK(queue.paused());  // 6 messages, 384 bytes
    (void)pop(queue);
    (void)pop(queue);
    CHECK(queue.paused());  // 4 messages, 256 bytes
    (void)pop(queue);
    CHECK(!queue.paused());
}

TEST_CASE("message_queue: is not paused while nothing is queued, whatever the marks are") {
    message_queue<> queue{{.high_bytes = 0, .low_bytes = 0, .high_count = 0, .low_count = 0}};
    CHECK(!queue.paused());
    push(queue, "");
    CHECK(queue.paused());
    (void)pop(queue);
    CHECK(!queue.paused());
    push(queue, "");
    queue.clear();
    CHECK(!queue.paused());
}

TEST_CASE("message_queue: queued messages come before the end") {
    message_queue<> queue;
    push(queue, "one");
    push(queue, "two");
    CHECK(!queue.is_eof());
    CHECK(queue.cause() == errc::ok);

    queue.end(errc::closed_by_peer);
    CHECK(queue.is_eof());
    CHECK(!queue.at_eof());
    CHECK(pop(queue) == "one");
    CHECK(!queue.at_eof());
    CHECK(pop(queue) == "two");
    CHECK(queue.at_eof());
    CHECK(!queue.pop());
    CHECK(queue.at_eof());
}

TEST_CASE("message_queue: the first cause of the end stays") {
    message_queue<> queue;
    queue.end(errc::pong_timeout);
    queue.end(errc::transport_lost);
    queue.end(errc::ok);
    CHECK(queue.cause() == errc::pong_timeout);
    queue.clear();
    CHECK(queue.is_eof());
    CHECK(queue.cause() == errc::pong_timeout);
}

TEST_CASE("message_queue: after the end nothing is taken, and what was unfinished is gone") {
    message_queue<> queue;
    push(queue, "whole");
    CHECK(queue.begin(message_kind::text));
    extend(queue, "cut");
    queue.end(errc::end_of_stream);
    CHECK(queue.extend(1) == nullptr);
    queue.finish();
    CHECK(!push(queue, "late"));
    CHECK(!queue.begin(message_kind::text));
    CHECK(queue.size() == 1);
    CHECK(queue.bytes() == 5 + message_overhead);
    CHECK(pop(queue) == "whole");
    CHECK(queue.at_eof());
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

TEST_CASE("direct_queue: a whole message is handed on where it lies, one in parts put together") {
    std::vector<message> got;
    const std::byte* where = nullptr;
    direct_queue queue{[&](message_view view) {
        where = view.bytes.data();
        got.emplace_back(view);
    }};
    const auto payload = bytes("whole");
    CHECK(queue.push(message_kind::binary, payload));
    CHECK(where == payload.data());

    CHECK(queue.begin(message_kind::text));
    extend(queue, "in ");
    extend(queue, std::string(3000, 'x'));
    CHECK(got.size() == 1);
    queue.finish();
    CHECK(queue.begin(message_kind::binary));
    queue.finish();

    CHECK(got == std::vector<message>{{message_kind::binary, "whole"},
                                      {message_kind::text, "in " + std::string(3000, 'x')},
                                      {message_kind::binary, ""}});
    CHECK(queue.size() == 0);
    CHECK(queue.bytes() == 0);
    CHECK(!queue.paused());
}

TEST_CASE("direct_queue: an abandoned or cleared message is not handed on, nor is any after "
          "the end") {
    int calls = 0;
    direct_queue queue{[&](message_view view) {
        ++calls;
        CHECK(view.text() == "right");
    }};
    for (const bool clear : {false, true}) {
        CHECK(queue.begin(message_kind::text));
        extend(queue, "wrong");
        if (clear) queue.clear();
        else queue.abandon();
        CHECK(queue.begin(message_kind::text));
        extend(queue, "right");
        queue.shrink();
        queue.finish();
    }
    CHECK(calls == 2);

    CHECK(queue.begin(message_kind::text));
    extend(queue, "right");
    queue.end(errc::closed_by_peer);
    queue.end(errc::transport_lost);
    queue.finish();
    CHECK(!push(queue, "right"));
    CHECK(!queue.begin(message_kind::text));
    CHECK(queue.is_eof());
    CHECK(queue.at_eof());
    CHECK(queue.cause() == errc::closed_by_peer);
    CHECK(calls == 2);
}
