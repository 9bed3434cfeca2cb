#include <sansocket/machine/message_queue_concept.hpp>

#include "support/catch.hpp"
#include "support/message_queues.hpp"
#include "support/queue_model.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace sansocket;
using support::charge;
using support::extend;
using support::in_all_models;
using support::in_storing_models;
using support::pop;
using support::push;
using support::queue_and_reader;
using support::queue_function;
using support::queue_model;
using support::text_message;

namespace {

using f = queue_function;

constexpr errc causes[] = {errc::closed_by_peer,  errc::closed_locally, errc::aborted,
                           errc::cancelled,       errc::dropped,        errc::end_of_stream,
                           errc::transport_lost,  errc::tls_truncated,  errc::close_timeout,
                           errc::opening_timeout, errc::pong_timeout,   errc::idle_timeout,
                           errc::write_timeout,   errc::invalid_utf8,   errc::message_too_big};

// Each of them is asked in every state of `queue`; what they say must fit together.
void check_queries(const auto& queue) {
    static_assert(
        noexcept(queue.is_eof())&& noexcept(queue.at_eof())&& noexcept(queue.cause())&& noexcept(
            queue.size())&& noexcept(queue.bytes())&& noexcept(queue.paused()));
    CHECK(queue.is_eof() == (queue.cause() != errc::ok));
    CHECK(queue.at_eof() == (queue.is_eof() && queue.size() == 0));
    CHECK((queue.size() != 0) == (queue.bytes() != 0));
    if (queue.size() == 0) CHECK(!queue.paused());
}

// The models, and one that is only there for the compiler.
static_assert(message_queue_for_connection<support::dynamic_model>);
static_assert(message_queue_for_connection<support::static_model>);
static_assert(message_queue_for_connection<support::direct_model>);
static_assert(message_queue_for_connection<queue_model<>>);
static_assert(detail::check_message_queue<support::dynamic_model>());
static_assert(detail::check_message_queue<support::static_model>());
static_assert(detail::check_message_queue<support::direct_model>());
static_assert(detail::check_message_queue<queue_model<>>());
static_assert(!message_queue_for_connection<std::deque<message>>);

// Who takes messages out asks for one function more.
static_assert(poppable_message_queue<support::dynamic_model>);
static_assert(poppable_message_queue<support::static_model>);
static_assert(!poppable_message_queue<support::direct_model>);
static_assert(poppable_message_queue<queue_model<>>);
static_assert(detail::check_poppable_queue<queue_model<>>());
static_assert(message_queue_for_connection<queue_model<f::pop>>);
static_assert(!poppable_message_queue<queue_model<f::pop>>);
static_assert(!poppable_message_queue<queue_model<f::paused>>);
static_assert(!poppable_message_queue<queue_model<f::none, f::none, f::pop>>);

// Each must return what it is asked for, and not what only converts to it.
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::push>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::begin>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::extend>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::is_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::at_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::cause>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::size>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::bytes>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::none, f::paused>>);

// Each function is asked for.
static_assert(!message_queue_for_connection<queue_model<f::push>>);
static_assert(!message_queue_for_connection<queue_model<f::begin>>);
static_assert(!message_queue_for_connection<queue_model<f::extend>>);
static_assert(!message_queue_for_connection<queue_model<f::finish>>);
static_assert(!message_queue_for_connection<queue_model<f::abandon>>);
static_assert(!message_queue_for_connection<queue_model<f::clear>>);
static_assert(!message_queue_for_connection<queue_model<f::end>>);
static_assert(!message_queue_for_connection<queue_model<f::shrink>>);
static_assert(!message_queue_for_connection<queue_model<f::is_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::at_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::cause>>);
static_assert(!message_queue_for_connection<queue_model<f::size>>);
static_assert(!message_queue_for_connection<queue_model<f::bytes>>);
static_assert(!message_queue_for_connection<queue_model<f::paused>>);

// No query and nothing that a teardown path calls may throw.
static_assert(!message_queue_for_connection<queue_model<f::none, f::abandon>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::clear>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::end>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::shrink>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::is_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::at_eof>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::cause>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::size>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::bytes>>);
static_assert(!message_queue_for_connection<queue_model<f::none, f::paused>>);

}  // namespace

TEST_CASE("message queues: messages come out whole, in order and of their kind") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        CHECK(q.queue.push(message_kind::text, support::bytes("one")));
        CHECK(q.queue.push(message_kind::binary, {}));
        CHECK(q.queue.push(message_kind::binary, support::hex("00ff")));
        CHECK(q.taken() == std::vector<message>{{message_kind::text, "one"},
                                                {message_kind::binary, ""},
                                                {message_kind::binary, std::string{"\0\xff", 2}}});
        CHECK(q.taken().empty());
    });
}

TEST_CASE("message queues: a message in parts is there once it is finished") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        CHECK(push(q.queue, "before"));
        CHECK(q.queue.begin(message_kind::binary));
        extend(q.queue, "a");
        extend(q.queue, "");
        extend(q.queue, std::string(5000, 'b'));
        CHECK(q.taken() == std::vector{text_message("before")});
        extend(q.queue, "c");
        q.queue.shrink();
        CHECK(q.taken().empty());
        q.queue.finish();
        CHECK(q.taken() ==
              std::vector<message>{{message_kind::binary, "a" + std::string(5000, 'b') + "c"}});

        CHECK(q.queue.begin(message_kind::text));
        q.queue.finish();
        CHECK(q.taken() == std::vector{text_message("")});
    });
}

TEST_CASE("message queues: a message in parts has its own kind, whatever lay in its place before") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        for (unsigned i = 0; i != 2000; ++i) {
            const auto kind =
                i * 2654435761U >> 31U == 0 ? message_kind::text : message_kind::binary;
            CHECK(q.queue.begin(kind));
            extend(q.queue, "part of it");
            q.queue.finish();
            const auto got = q.taken();
            REQUIRE(got.size() == 1);
            REQUIRE(got[0].kind == kind);
        }
    });
}

TEST_CASE("message queues: room is given back to a message that has begun, and to no other") {
    in_storing_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        CHECK(push(q.queue, "before"));
        q.queue.retract(3);
        CHECK(q.queue.begin(message_kind::text));
        extend(q.queue, "kept, not this");
        q.queue.retract(10);
        q.queue.finish();
        CHECK(q.taken() == std::vector{text_message("before"), text_message("kept")});
    });
}

TEST_CASE("message queues: an abandoned message leaves nothing behind, nor does a cleared one") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        for (const bool clear : {false, true}) {
            CHECK(q.queue.begin(message_kind::binary));
            extend(q.queue, "never");
            if (clear) q.queue.clear();
            else q.queue.abandon();
            q.queue.abandon();
            CHECK(q.queue.extend(1) == nullptr);
            q.queue.finish();
            CHECK(q.taken().empty());
            check_queries(q.queue);

            CHECK(q.queue.begin(message_kind::text));
            extend(q.queue, "after");
            q.queue.finish();
            q.queue.finish();
            CHECK(q.queue.extend(1) == nullptr);
            CHECK(q.taken() == std::vector{text_message("after")});
        }
    });
}

TEST_CASE("message queues: what is moved from is empty, has ended if it had, and goes on") {
    in_all_models([]<class Queue>() {
        static_assert(std::is_nothrow_move_constructible_v<Queue>);
        static_assert(std::is_nothrow_move_assignable_v<Queue>);
        static_assert(!std::is_copy_constructible_v<Queue>);

        queue_and_reader<Queue> from{{.high_count = 2, .low_count = 0}};
        queue_and_reader<Queue> other;
        push(from.queue, "one");
        push(from.queue, "two");
        CHECK(from.queue.begin(message_kind::text));
        extend(from.queue, "par");
        const bool was_paused = from.queue.paused();

        Queue to{std::move(from.queue)};
        CHECK(from.queue.size() == 0);
        CHECK(from.queue.bytes() == 0);
        CHECK(from.queue.extend(1) == nullptr);
        from.queue.finish();
        CHECK(!from.queue.is_eof());
        check_queries(from.queue);

        CHECK(to.paused() == was_paused);
        extend(to, "tial");
        to.finish();
        if constexpr (!std::is_same_v<Queue, support::direct_model>) {
            CHECK(pop(to) == "one");
            CHECK(pop(to) == "two");
            CHECK(pop(to) == "partial");
            CHECK(!from.queue.pop());
        } else {
            CHECK(from.taken().back() == text_message("partial"));
        }

        from.queue.end(errc::aborted);
        push(to, "replaced");
        CHECK(to.begin(message_kind::text));
        to = std::move(from.queue);
        CHECK(to.cause() == errc::aborted);
        CHECK(to.at_eof());
        CHECK(to.extend(1) == nullptr);
        CHECK(from.queue.at_eof());
        auto& same = to;
        to = std::move(same);
        CHECK(to.cause() == errc::aborted);
        check_queries(to);
        check_queries(from.queue);
    });
}

TEST_CASE("message queues: what is moved from takes messages at once") {
    in_storing_models([]<class Queue>() {
        Queue from;
        push(from, "one");
        push(from, "two");
        (void)from.pop();
        const Queue to{std::move(from)};
        CHECK(push(from, "new"));
        CHECK(pop(from) == "new");
    });
}

TEST_CASE("Q01: the marks are chosen, in bytes and in messages") {
    in_storing_models([]<class Queue>() {
        Queue in_bytes{{.high_bytes = 500, .low_bytes = 100}};
        push(in_bytes, std::string(499 - charge<Queue>, 'x'));
        CHECK(!in_bytes.paused());
        push(in_bytes, "");
        CHECK(in_bytes.paused());

        Queue in_messages{{.high_count = 3, .low_count = 1}};
        push(in_messages, "");
        push(in_messages, "");
        CHECK(!in_messages.paused());
        push(in_messages, "");
        CHECK(in_messages.paused());
    });
}

TEST_CASE("Q01: the defaults are 256 and 64 KiB, 4096 and 1024 messages") {
    constexpr queue_limits defaults;
    static_assert(defaults.high_bytes == 256 * 1024 && defaults.low_bytes == 64 * 1024);
    static_assert(defaults.high_count == 4096 && defaults.low_count == 1024);
    message_queue<> queue;
    for (int i = 0; i != 4095; ++i) push(queue, "");
    CHECK(queue.bytes() == 4095 * message_overhead);
    CHECK(!queue.paused());
    push(queue, "");  // both high marks at once: 4096 messages, 256 KiB
    CHECK(queue.paused());
    while (queue.size() != 1025) (void)queue.pop();
    CHECK(queue.paused());
    (void)queue.pop();  // both low ones
    CHECK(!queue.paused());
}

TEST_CASE("Q02: a message is there and counted when the queue says that it is full") {
    in_storing_models([]<class Queue>() {
        Queue queue{{.high_bytes = 2 * charge<Queue> + 3, .low_bytes = 0}};
        push(queue, "1");
        CHECK(queue.size() == 1);
        CHECK(queue.bytes() == charge<Queue> + 1);
        CHECK(!queue.paused());
        push(queue, "23");
        CHECK(queue.size() == 2);
        CHECK(queue.bytes() == 2 * charge<Queue> + 3);
        CHECK(queue.paused());
        CHECK(pop(queue) == "1");
        CHECK(queue.size() == 1);
        CHECK(queue.bytes() == charge<Queue> + 2);
        CHECK(queue.paused());
        CHECK(pop(queue) == "23");
        CHECK(!queue.paused());
    });
}

TEST_CASE("Q03: every message is charged for, empty ones too") {
    in_storing_models([]<class Queue>() {
        Queue queue;
        push(queue, "");
        CHECK(queue.bytes() == charge<Queue>);
        push(queue, "12345");
        CHECK(queue.bytes() == 2 * charge<Queue> + 5);
        CHECK(queue.begin(message_kind::text));
        extend(queue, "123");
        CHECK(queue.bytes() == 2 * charge<Queue> + 5);
        queue.finish();
        CHECK(queue.bytes() == 3 * charge<Queue> + 8);
        (void)pop(queue);
        CHECK(queue.bytes() == 2 * charge<Queue> + 8);
        queue.clear();
        CHECK(queue.bytes() == 0);
        CHECK(queue.size() == 0);
    });
}

TEST_CASE("Q03: empty messages fill the queue in bytes alone") {
    in_storing_models([]<class Queue>() {
        Queue queue{{.high_bytes = 10 * charge<Queue>}};
        std::size_t taken = 0;
        while (!queue.paused() && taken != 1000) taken += push(queue, "") ? 1U : 0U;
        CHECK(taken == 10);
    });
}

TEST_CASE("Q04: pauses at the high mark of bytes and goes on at the low one, and not before") {
    in_storing_models([]<class Queue>() {
        constexpr std::size_t c = charge<Queue>;
        // The last message makes it one byte less than the mark, the mark, and one more.
        for (const std::size_t size : {9U, 10U, 11U}) {
            CAPTURE(size);
            Queue queue{{.high_bytes = 3 * c + 30, .low_bytes = 2 * c + 10}};
            push(queue, std::string(20, 'x'));
            push(queue, "");
            CHECK(!queue.paused());
            push(queue, std::string(size, 'x'));
            CHECK(queue.paused() == (size >= 10));
        }
        // The first message leaves as much.
        for (const std::size_t size : {9U, 10U, 11U}) {
            CAPTURE(size);
            Queue queue{{.high_bytes = 3 * c + 30, .low_bytes = 2 * c + 10}};
            push(queue, std::string(40, 'x'));
            push(queue, "");
            push(queue, std::string(size, 'x'));
            CHECK(queue.paused());
            (void)queue.pop();
            CHECK(queue.paused() == (size > 10));
            (void)queue.pop();
            CHECK(!queue.paused());
            push(queue, "");
            CHECK(!queue.paused());  // between the marks: as it was
        }
    });
}

TEST_CASE("Q04: pauses at the high mark of messages and goes on at the low one, and not before") {
    in_storing_models([]<class Queue>() {
        Queue queue{{.high_count = 4, .low_count = 1}};
        for (int i = 0; i != 3; ++i) push(queue, "x");
        CHECK(!queue.paused());
        CHECK(queue.begin(message_kind::text));
        CHECK(!queue.paused());
        queue.finish();
        CHECK(queue.paused());
        (void)queue.pop();
        (void)queue.pop();
        CHECK(queue.paused());
        (void)queue.pop();
        CHECK(!queue.paused());
        push(queue, "x");
        push(queue, "x");
        CHECK(!queue.paused());
        push(queue, "x");
        CHECK(queue.paused());
    });
}

TEST_CASE("Q04: goes on only under both low marks") {
    in_storing_models([]<class Queue>() {
        constexpr std::size_t c = charge<Queue>;
        Queue queue{{.high_bytes = 1000, .low_bytes = 3 * c, .high_count = 50, .low_count = 4}};
        push(queue, std::string(1000, 'x'));
        for (int i = 0; i != 6; ++i) push(queue, "");
        CHECK(queue.paused());
        (void)queue.pop();
        CHECK(queue.paused());  // 6 messages
        (void)queue.pop();
        (void)queue.pop();
        CHECK(queue.paused());  // 4 messages are few enough, their bytes are not
        (void)queue.pop();
        CHECK(!queue.paused());

        Queue other{{.high_bytes = 1000, .low_bytes = 900, .high_count = 50, .low_count = 1}};
        push(other, std::string(1000, 'x'));
        push(other, "");
        push(other, "");
        (void)other.pop();
        CHECK(other.paused());  // few enough bytes, the messages are not
        (void)other.pop();
        CHECK(!other.paused());
    });
}

TEST_CASE("Q04: is not paused while nothing is queued, whatever the marks are") {
    in_storing_models([]<class Queue>() {
        Queue queue{{.high_bytes = 0, .low_bytes = 0, .high_count = 0, .low_count = 0}};
        CHECK(!queue.paused());
        push(queue, "");
        CHECK(queue.paused());
        (void)queue.pop();
        CHECK(!queue.paused());
        push(queue, "");
        queue.clear();
        CHECK(!queue.paused());
        CHECK(queue.begin(message_kind::text));
        extend(queue, "unfinished");
        CHECK(!queue.paused());
        queue.finish();
        CHECK(queue.paused());
        queue.end(errc::aborted);
        CHECK(queue.paused());
        (void)queue.pop();
        CHECK(!queue.paused());
    });
}

TEST_CASE("Q04: a queue that keeps nothing is never full") {
    queue_and_reader<support::direct_model> q;
    for (int i = 0; i != 10'000; ++i) push(q.queue, "x");
    CHECK(q.queue.begin(message_kind::text));
    extend(q.queue, std::string(1000, 'x'));
    CHECK(!q.queue.paused());
    CHECK(q.queue.size() == 0);
    CHECK(q.queue.bytes() == 0);
    CHECK(q.taken().size() == 10'000);
}

TEST_CASE("Q05: the high mark is passed by one message at most") {
    in_storing_models([]<class Queue>() {
        constexpr std::size_t high = 1000, largest = 3000;
        for (const bool in_parts : {false, true}) {
            Queue queue{{.high_bytes = high, .low_bytes = 500}};
            for (std::size_t size = 1; !queue.paused(); size = size * 7 % largest) {
                CHECK(queue.bytes() < high);
                if (!in_parts) {
                    REQUIRE(push(queue, std::string(size, 'x')));
                    continue;
                }
                REQUIRE(queue.begin(message_kind::text));
                extend(queue, std::string(size, 'x'));
                queue.finish();
            }
            CHECK(queue.bytes() >= high);
            CHECK(queue.bytes() < high + largest + charge<Queue>);
        }
    });
}

TEST_CASE("Q07: asking a queue that has nothing loses nothing") {
    in_storing_models([]<class Queue>() {
        Queue queue;
        for (int i = 0; i != 3; ++i) CHECK(!queue.pop());
        CHECK(queue.begin(message_kind::text));
        extend(queue, "kept ");
        for (int i = 0; i != 3; ++i) CHECK(!queue.pop());
        extend(queue, "whole");
        queue.finish();
        CHECK(pop(queue) == "kept whole");
        CHECK(!queue.pop());
        CHECK(!queue.is_eof());
    });
}

TEST_CASE("Q08: queued messages come before the end, whatever its cause") {
    in_all_models([]<class Queue>() {
        for (const errc cause : causes) {
            queue_and_reader<Queue> q;
            push(q.queue, "one");
            push(q.queue, "two");
            CHECK(q.queue.begin(message_kind::text));
            extend(q.queue, "cut");
            q.queue.end(cause);
            check_queries(q.queue);
            CHECK(q.taken() == std::vector{text_message("one"), text_message("two")});
            CHECK(q.queue.at_eof());
            CHECK(q.queue.cause() == cause);
            q.queue.finish();
            CHECK(q.taken().empty());
        }
    });
}

TEST_CASE("Q09: the first cause of the end stays, whatever follows") {
    in_all_models([]<class Queue>() {
        for (const errc first : causes) {
            Queue queue{queue_and_reader<Queue>{}.queue};
            queue.end(first);
            for (const errc later : causes) queue.end(later);
            queue.end(errc::ok);
            CHECK(queue.cause() == first);
            queue.clear();
            queue.shrink();
            queue.abandon();
            CHECK(queue.cause() == first);
            CHECK(queue.at_eof());
        }
    });
}

TEST_CASE("Q10: the end is there to be seen again and again") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        push(q.queue, "last");
        q.queue.end(errc::pong_timeout);
        CHECK(q.taken() == std::vector{text_message("last")});
        for (int i = 0; i != 3; ++i) {
            CHECK(q.taken().empty());
            CHECK(q.queue.at_eof());
            CHECK(q.queue.cause() == errc::pong_timeout);
        }
    });
}

TEST_CASE("Q11: before the end its cause is success") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        CHECK(q.queue.cause() == errc::ok);
        push(q.queue, "x");
        CHECK(q.queue.begin(message_kind::text));
        CHECK(q.queue.cause() == errc::ok);
        q.queue.abandon();
        q.queue.clear();
        CHECK(q.queue.cause() == errc::ok);
        q.queue.end(errc::ok);  // no cause, no end
        CHECK(!q.queue.is_eof());
        CHECK(push(q.queue, "x"));
    });
}

TEST_CASE("Q12: whether the end was signalled is answered in every state, for ever") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        const auto check = [&](bool eof) {
            CHECK(q.queue.is_eof() == eof);
            check_queries(q.queue);
        };
        check(false);
        push(q.queue, "x");
        check(false);
        CHECK(q.queue.begin(message_kind::text));
        check(false);
        q.queue.end(errc::cancelled);
        check(true);
        q.taken();
        check(true);
        q.queue.clear();
        q.queue.shrink();
        check(true);
        Queue moved{std::move(q.queue)};
        check(true);
        check_queries(moved);
        CHECK(moved.is_eof());
    });
}

TEST_CASE("Q13: signalled is one question, and reached another") {
    in_storing_models([]<class Queue>() {
        Queue queue;
        CHECK(!queue.is_eof());
        CHECK(!queue.at_eof());
        push(queue, "one");
        push(queue, "two");
        queue.end(errc::closed_by_peer);
        CHECK(queue.is_eof());
        CHECK(!queue.at_eof());
        (void)queue.pop();
        CHECK(!queue.at_eof());
        (void)queue.pop();
        CHECK(queue.at_eof());
    });
}

TEST_CASE("Q14, Q15: the end is no message") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        push(q.queue, "only");
        const std::size_t size = q.queue.size(), cost = q.queue.bytes();
        q.queue.end(errc::end_of_stream);
        CHECK(q.queue.size() == size);
        CHECK(q.queue.bytes() == cost);
        CHECK(q.taken() == std::vector{text_message("only")});
        CHECK(q.taken().empty());
    });
}

TEST_CASE("Q17: after the end nothing is taken") {
    in_all_models([]<class Queue>() {
        queue_and_reader<Queue> q;
        push(q.queue, "whole");
        CHECK(q.queue.begin(message_kind::text));
        extend(q.queue, "cut");
        q.queue.end(errc::end_of_stream);
        CHECK(q.queue.extend(1) == nullptr);
        q.queue.finish();
        CHECK(!push(q.queue, "late"));
        CHECK(!push(q.queue, ""));
        CHECK(!q.queue.begin(message_kind::text));
        CHECK(q.queue.extend(1) == nullptr);
        q.queue.finish();
        CHECK(q.taken() == std::vector{text_message("whole")});
        CHECK(q.queue.at_eof());
    });
}

TEST_CASE("Q21: memory is given back when the queue is drained, and on the end") {
    const auto hold = [](auto& q) {
        push(q.queue, std::string(300'000, 'x'));
        CHECK(q.queue.begin(message_kind::text));
        extend(q.queue, std::string(300'000, 'y'));
        CHECK(q.queue.memory() >= 300'000);
    };
    const auto in_both = [&](auto body) {
        SECTION("message_queue") { body.template operator()<support::dynamic_model>(); }
        SECTION("direct_queue") { body.template operator()<support::direct_model>(); }
    };
    in_both([&]<class Queue>() {
        {
            queue_and_reader<Queue> q;
            hold(q);
            q.queue.finish();
            q.taken();
            CHECK(q.queue.memory() <= 128 * 1024);  // for the next messages
            q.queue.shrink();
            CHECK(q.queue.memory() == 0);
        }
        {
            queue_and_reader<Queue> q;
            hold(q);
            q.queue.end(errc::closed_by_peer);
            q.taken();
            CHECK(q.queue.memory() == 0);
        }
        {
            queue_and_reader<Queue> q;
            hold(q);
            q.queue.clear();
            CHECK(q.queue.memory() == 0);
        }
        {
            queue_and_reader<Queue> q;
            hold(q);
            q.queue.abandon();
            q.taken();
            q.queue.end(errc::aborted);
            CHECK(q.queue.memory() == 0);
        }
        {
            queue_and_reader<Queue> q;  // small enough to be kept, until the end
            CHECK(q.queue.begin(message_kind::text));
            extend(q.queue, "small");
            q.queue.finish();
            q.taken();
            CHECK(q.queue.memory() != 0);
            q.queue.end(errc::aborted);
            CHECK(q.queue.memory() == 0);
        }
    });
}
