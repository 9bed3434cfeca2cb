#include <sansocket/machine/direct_queue.hpp>

#include "support/catch.hpp"
#include "support/message_queues.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using namespace sansocket;
using support::bytes;
using support::extend;
using support::push;

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

TEST_CASE("direct_queue: the handler may end the queue, and no later message comes") {
    std::vector<std::string> got;
    struct ends_at {
        std::vector<std::string>* got;
        direct_queue<ends_at>** queue;
        void operator()(message_view view) const {
            got->emplace_back(view.text());
            if (view.text() == "end") (*queue)->end(errc::closed_locally);
        }
    };
    direct_queue<ends_at>* self = nullptr;
    {
        direct_queue<ends_at> queue{{&got, &self}};
        self = &queue;
        CHECK(push(queue, "one"));
        CHECK(push(queue, "end"));
        CHECK(!push(queue, "two"));
    }
    {
        direct_queue<ends_at> queue{{&got, &self}};
        self = &queue;
        CHECK(queue.begin(message_kind::text));
        extend(queue, "end");
        queue.finish();
        CHECK(queue.is_eof());
        CHECK(queue.memory() == 0);
        CHECK(!queue.begin(message_kind::text));
        CHECK(queue.extend(1) == nullptr);
    }
    CHECK(got == std::vector<std::string>{"one", "end", "end"});
}

TEST_CASE("direct_queue: the memory of one message is there for the next") {
    std::size_t calls = 0;
    direct_queue queue{[&](message_view) { ++calls; }};
    CHECK(queue.memory() == 0);
    CHECK(queue.begin(message_kind::text));
    queue.reserve(10'000);
    const auto reserved = queue.memory();
    CHECK(reserved >= 10'000);
    extend(queue, std::string(5000, 'x'));
    extend(queue, std::string(5000, 'x'));
    queue.reserve(0);
    CHECK(queue.memory() == reserved);
    queue.shrink();
    CHECK(queue.memory() == reserved);
    queue.finish();
    CHECK(queue.memory() == reserved);
    queue.shrink();
    CHECK(queue.memory() == 0);

    CHECK(queue.begin(message_kind::text));
    queue.reserve(128 * 1024);
    extend(queue, "x");
    queue.finish();
    CHECK(queue.memory() == 128 * 1024);  // the most that is kept
    queue.shrink();
    CHECK(queue.begin(message_kind::text));
    queue.reserve(128 * 1024 + 1);
    extend(queue, "x");
    CHECK(queue.memory() == 128 * 1024 + 1);
    queue.finish();
    CHECK(queue.memory() == 0);
    CHECK(calls == 3);
}

TEST_CASE("direct_queue: moved, it goes on with the message begun") {
    std::vector<std::string> got;
    direct_queue queue{[&](message_view view) { got.emplace_back(view.text()); }};
    CHECK(queue.begin(message_kind::text));
    extend(queue, "one ");
    auto to = std::move(queue);
    CHECK(queue.memory() == 0);
    queue.finish();
    extend(to, "message");
    to.finish();
    CHECK(got == std::vector<std::string>{"one message"});
}

TEST_CASE("direct_queue: assigned to, it lets go of the handler that it had") {
    support::keep_messages first, second;
    support::direct_model queue{first}, other{second};
    CHECK(first.kept.use_count() == 2);
    queue = std::move(other);
    CHECK(first.kept.use_count() == 1);
    CHECK(push(queue, "x"));
    CHECK(second.kept->size() == 1);
}
