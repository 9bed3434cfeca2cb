// The rows on the message queue that need a connection around it, for each model and both roles.
#include "support/message_queues.hpp"
#include "support/endpoint.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace sansocket;
using support::bytes;
using support::operator+;
using support::close_bytes;
using support::endpoint;
using support::frame;
using support::text_message;

namespace {

options room_for_three() {
    options o;
    o.queue = {.high_count = 3, .low_count = 1};
    return o;
}
options delivering() {
    options o;
    o.after_close = after_close::deliver;
    return o;
}

template <role Role, class Queue>
void run_in(auto body) {
    SECTION(Role == role::client ? "client" : "server") { body.template operator()<Role, Queue>(); }
}
// Runs `body.operator()<Role, Queue>()` for both roles, for the models that keep messages.
void in_both_roles_and_storing_models(auto body) {
    support::in_storing_models([&]<class Queue>() {
        run_in<role::client, Queue>(body);
        run_in<role::server, Queue>(body);
    });
}

template <role Role>
support::byte_vector texts(std::size_t n) {
    support::byte_vector out;
    for (std::size_t i = 0; i != n; ++i)
        out = out + frame<Role>(opcode::text, bytes("m" + std::to_string(i)));
    return out;
}

std::vector<message> numbered(std::size_t from, std::size_t to) {
    std::vector<message> out;
    for (; from != to; ++from) out.push_back(text_message("m" + std::to_string(from)));
    return out;
}

}  // namespace

TEST_CASE("Q05: reading stops inside a chunk at the mark, and goes on where it stopped") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e{room_for_three()};
        e.open();
        e.left_open = true;
        const auto input = texts<Role>(8);
        const std::size_t one = input.size() / 8;
        CHECK(e.receive(input) == 3 * one);
        CHECK(e.connection.messages().size() == 3);
        std::vector<message> got;
        for (std::size_t taken = 3 * one; taken != input.size();) {
            for (const auto& m : e.messages()) got.push_back(m);
            const support::byte_vector rest(input.begin() + static_cast<std::ptrdiff_t>(taken),
                                            input.end());
            taken += e.receive(rest);
            CHECK(e.connection.messages().size() <= 3);
        }
        for (const auto& m : e.messages()) got.push_back(m);
        CHECK(got == numbered(0, 8));
    });
}

TEST_CASE("Q14: the end is an answer of the queue and never a message") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e;
        e.open();
        e.receive(texts<Role>(2) + frame<Role>(opcode::close, close_bytes(1000)));
        e.sent();
        CHECK(e.connection.messages().is_eof());
        CHECK_FALSE(e.connection.messages().at_eof());
        CHECK(e.messages() == numbered(0, 2));
        for (int i = 0; i != 3; ++i) {
            CHECK_FALSE(e.connection.messages().pop());
            CHECK(e.connection.messages().at_eof());
            CHECK(e.connection.messages().cause() == errc::closed_by_peer);
        }
        e.pass({});  // the Close has waited for the messages
        e.sent();
    });
}

TEST_CASE("Q15: closing, failing and losing the transport put nothing into the queue") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        using connection_type = typename endpoint<Role, Queue>::connection_type;
        const std::function<void(connection_type&, time_point)> ends[] = {
            [](auto& c, time_point now) { c.close(close_code::normal, {}, now); },
            [](auto& c, time_point now) { c.receive_end(now); },
            [](auto& c, time_point now) { c.transport_lost(now); },
            [](auto& c, time_point now) {  // nobody answers the Ping
                c.advance(now + std::chrono::hours{1});
                c.advance(now + std::chrono::hours{2});
            },
            [](auto& c, time_point now) {
                auto nonsense = bytes("\xff\xff");
                c.receive(nonsense, now);
            },
            [](auto& c, time_point) { c.abort(); },
        };
        for (const auto& end : ends) {
            endpoint<Role, Queue> e(delivering());
            e.left_open = true;
            e.open();
            e.receive(texts<Role>(2));
            end(e.connection, e.now);
            CHECK(e.connection.state() != connection_state::open);
            const auto left = e.messages();
            CHECK(left == (left.empty() ? numbered(0, 0) : numbered(0, 2)));
        }
    });
}

TEST_CASE("Q17: what arrives after the end is thrown away, and counted") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e;
        e.open();
        const auto late = texts<Role>(2);
        e.receive(texts<Role>(1) + frame<Role>(opcode::close, close_bytes(1000)));
        CHECK(e.receive(late) == late.size());
        CHECK(e.connection.close_info().discarded_bytes == late.size());
        CHECK(e.messages() == numbered(0, 1));
        CHECK(e.connection.messages().at_eof());
        e.pass({});  // the Close has waited for the message
        e.sent();
    });
}

TEST_CASE("Q18: whether to read is one answer, made of what is so now") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e{room_for_three()};
        e.open();
        e.left_open = true;
        CHECK(e.connection.wants_read());
        e.receive(texts<Role>(3));
        CHECK(!e.connection.wants_read());
        e.messages();
        CHECK(e.connection.wants_read());
        e.receive(texts<Role>(3));
        CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
        CHECK(e.connection.wants_read());  // closing is never paused
        e.connection.abort();
        CHECK(!e.connection.wants_read());
    });
}

TEST_CASE("Q19: bytes brought while it is not reading are not taken, and nothing is lost") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e{room_for_three()};
        e.open();
        e.left_open = true;
        e.receive(texts<Role>(3));
        const auto more = texts<Role>(1);
        for (int i = 0; i != 3; ++i) CHECK(e.receive(more) == 0);
        CHECK(e.connection.messages().size() == 3);
        CHECK(e.messages() == numbered(0, 3));
        CHECK(e.receive(more) == more.size());
        CHECK(e.messages() == numbered(0, 1));
    });
}

TEST_CASE("Q20: messages stay readable after the transport is gone, whatever ended it") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        using tested = endpoint<Role, Queue>;
        const std::vector<std::pair<errc, std::function<void(tested&)>>> endings = {
            {errc::end_of_stream, [](tested& e) { e.connection.receive_end(e.now); }},
            {errc::tls_truncated,
             [](tested& e) { e.connection.receive_end(e.now, errc::tls_truncated); }},
            {errc::transport_lost, [](tested& e) { e.connection.transport_lost(e.now); }},
            {errc::pong_timeout,
             [](tested& e) {
                 e.pass(std::chrono::seconds{20});
                 e.sent();
                 e.pass(std::chrono::seconds{20});
             }},
            {errc::reserved_bit, [](tested& e) { e.receive(support::hex("ff ff")); }},
            {errc::closed_by_peer,
             [](tested& e) {
                 e.receive(frame<Role>(opcode::close, close_bytes(1000)));
                 e.connection.transport_lost(e.now);
             }},
        };
        for (const auto& [cause, end] : endings) {
            tested e;
            e.open();
            e.receive(texts<Role>(3));
            end(e);
            e.connection.transport_lost(e.now);
            CHECK(e.connection.close_info().cause == cause);
            CHECK(e.connection.messages().is_eof());
            CHECK(!e.connection.messages().at_eof());
            CHECK(e.messages() == numbered(0, 3));
            CHECK(e.connection.messages().at_eof());
            CHECK(e.connection.messages().cause() == cause);
        }
    });
}

TEST_CASE("Q20: heartbeat and failures keep the messages of a full queue too") {
    in_both_roles_and_storing_models([]<role Role, class Queue>() {
        endpoint<Role, Queue> e{room_for_three()};
        e.open();
        e.receive(texts<Role>(5));
        e.connection.transport_lost(e.now);
        CHECK(e.messages() == numbered(0, 3));
        CHECK(e.connection.messages().at_eof());
    });
}

TEST_CASE(
    "Q21: a close that discards frees the queue at once; abort does; the end does once read") {
    const auto run = []<role Role>() {
        const auto filled = [](const options& o, auto body) {
            endpoint<Role> e{o};
            e.open();
            e.receive(frame<Role>(opcode::text, support::byte_vector(200'000, std::byte{'x'})));
            CHECK(e.connection.messages().memory() >= 200'000);
            body(e);
            e.connection.transport_lost(e.now);
            e.messages();
            CHECK(e.connection.messages().memory() == 0);
        };
        filled({}, [](auto& e) {
            CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
            CHECK(e.connection.messages().memory() == 0);
        });
        filled(delivering(), [](auto& e) {
            CHECK(e.connection.close(close_code::normal, "", e.now) == errc::ok);
            CHECK(e.connection.messages().size() == 1);
        });
        filled({}, [](auto& e) {
            e.connection.abort();
            CHECK(e.connection.messages().memory() == 0);
        });
        filled({}, [](auto& e) { e.receive(frame<Role>(opcode::close, close_bytes(1000))); });
    };
    run.template operator()<role::client>();
    run.template operator()<role::server>();
}

TEST_CASE(
    "Q01: a message over what a static queue can ever hold is too big, 1009; what came before "
    "it is delivered") {
    const auto run = []<role Role>() {
        using queue = static_message_queue<4096, 8, 1024>;
        const auto text = [](std::size_t n) {
            return frame<Role>(opcode::text, support::byte_vector(n, std::byte{'x'}));
        };
        // Whole and in fragments, of the largest size and one more, cut in every way.
        for (const bool fragmented : {false, true}) {
            for (const std::size_t size : {1024U, 1025U}) {
                const auto second =
                    !fragmented
                        ? text(size)
                        : frame<Role>(opcode::text, support::byte_vector(1000, std::byte{'x'}),
                                      false) +
                              frame<Role>(opcode::continuation,
                                          support::byte_vector(size - 1000, std::byte{'x'}));
                for (const auto& pieces : support::every_chunking(text(1024) + second)) {
                    endpoint<Role, queue> e;
                    e.open();
                    e.receive(pieces);
                    const auto& info = e.connection.close_info();
                    CHECK(info.cause == (size == 1024 ? errc::ok : errc::message_too_big));
                    if (size != 1024) CHECK(info.sent->code == close_code::message_too_big);
                    CHECK(e.messages().size() == (size == 1024 ? 2 : 1));
                    e.connection.transport_lost(e.now);
                }
            }
        }
    };
    run.template operator()<role::client>();
    run.template operator()<role::server>();
}

TEST_CASE(
    "Q19: a slow reader of a static queue loses no message that conforms, however it is cut") {
    const auto run = []<role Role>() {
        using queue = static_message_queue<512, 8, 128>;
        support::byte_vector input;
        std::vector<message> expected;
        for (std::size_t i = 0; i != 40; ++i) {
            const std::string text(i * 37 % 129, static_cast<char>('a' + i % 26));
            expected.push_back(text_message(text));
            const auto half = bytes(text.substr(0, text.size() / 2));
            if (i % 2 == 0) input = input + frame<Role>(opcode::text, bytes(text));
            else
                input = input + frame<Role>(opcode::text, half, false) +
                        frame<Role>(opcode::continuation, bytes(text.substr(text.size() / 2)));
        }
        for (const std::size_t chunk : {1U, 7U, 100U, 5000U}) {
            endpoint<Role, queue> e;
            e.open();
            std::vector<message> got;
            for (std::size_t at = 0; at != input.size();) {
                const auto from = input.begin() + static_cast<std::ptrdiff_t>(at);
                const std::size_t size = (std::min)(chunk, input.size() - at);
                const std::size_t taken =
                    e.receive(support::byte_vector(from, from + static_cast<std::ptrdiff_t>(size)));
                at += taken;
                if (taken != size)  // full: one message is read
                    if (const auto m = e.connection.messages().pop()) got.emplace_back(*m);
            }
            for (const auto& m : e.messages()) got.push_back(m);
            CHECK(got == expected);
            CHECK(e.connection.close_info().cause == errc::ok);
            e.connection.abort();
        }
    };
    run.template operator()<role::client>();
    run.template operator()<role::server>();
}

TEST_CASE("a queue is settled once a pop has found nothing behind the last message") {
    support::in_storing_models([]<class Queue>() {
        Queue queue;
        CHECK(queue.settled());
        for (int again = 0; again != 2; ++again) {
            REQUIRE(queue.push(message_kind::text, bytes("one")));
            REQUIRE(queue.push(message_kind::text, {}));
            CHECK_FALSE(queue.settled());
            CHECK(queue.pop());
            CHECK_FALSE(queue.settled());
            CHECK(queue.pop());
            CHECK_FALSE(queue.settled());  // the last one is still in work
            CHECK_FALSE(queue.pop());
            CHECK(queue.settled());
        }
        REQUIRE(queue.push(message_kind::text, bytes("unread")));
        queue.clear();
        CHECK(queue.settled());
        REQUIRE(queue.push(message_kind::text, bytes("behind it one begins")));
        REQUIRE(queue.begin(message_kind::text));
        CHECK_FALSE(queue.settled());
        CHECK(queue.pop());
        CHECK_FALSE(queue.pop());
        CHECK(queue.settled());
        queue.finish();
        CHECK_FALSE(queue.settled());
        queue.end(errc::closed_by_peer);
        CHECK(queue.pop());
        CHECK_FALSE(queue.settled());
        CHECK_FALSE(queue.pop());
        CHECK(queue.settled());
    });
}

TEST_CASE("a queue that gives pieces is settled once there is no more of them") {
    sansocket::message_queue<> queue;
    REQUIRE(queue.push(message_kind::text, bytes("one")));
    CHECK(queue.pop_piece());
    CHECK_FALSE(queue.settled());
    CHECK_FALSE(queue.pop_piece());
    CHECK(queue.settled());
}
