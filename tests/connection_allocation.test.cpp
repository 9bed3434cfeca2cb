// Every call on a connection in every state, with every one of its allocations failing: it changed
// nothing, or it ends by itself.
#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>

#include "support/allocations.hpp"
#include "support/scenario.hpp"
#include "support/watched.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace support;

// Count, and fail when they are told to. In front of each block stands its size.
namespace {
constexpr std::size_t front = alignof(std::max_align_t);
void* allocated(std::size_t size) noexcept {
    ++allocations;
    void* const block = std::malloc(front + size);
    if (block == nullptr) return nullptr;
    std::memcpy(block, &size, sizeof size);
    bytes_in_use += size;
    bytes_allocated += size;
    return static_cast<std::byte*>(block) + front;
}
void freed(void* p) noexcept {
    if (p == nullptr) return;
    void* const block = static_cast<std::byte*>(p) - front;
    std::size_t size = 0;
    std::memcpy(&size, block, sizeof size);
    bytes_in_use -= size;
    std::free(block);
}
}  // namespace
void* operator new(std::size_t size) {
    if (allocations_left != unlimited && allocations_left-- == 0) {
        allocations_left = unlimited;
        throw std::bad_alloc{};
    }
    if (void* p = allocated(size)) return p;
    throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocated(size); }
void operator delete(void* p) noexcept { freed(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { freed(p); }
void operator delete(void* p, std::size_t) noexcept { freed(p); }

namespace {

const std::string long_reason(100, 'r');

// No deadline but that of closing and opening: a connection that hangs shows.
sansocket::options no_keepalive() {
    sansocket::options options;
    options.keepalive.ping_interval = options.keepalive.pong_timeout = sansocket::duration::zero();
    options.keepalive.write_timeout = sansocket::duration::zero();
    options.sending.control_bytes = 1;  // so that the latest Pong is kept apart
    return options;
}

template <role Role>
struct call_told {
    std::string_view name;
    std::function<void(subject<Role>&)> call;
};

// The peer's bytes, ready: only the call allocates.
template <role Role>
std::function<void(subject<Role>&)> receives(const byte_vector& data) {
    return [data](subject<Role>& s) {
        static byte_vector in;
        const auto left = std::exchange(allocations_left, unlimited);
        in = data;
        allocations_left = left;
        s.connection.receive(in, s.now);
    };
}

template <role Role>
std::vector<call_told<Role>> calls() {
    const auto large = std::make_shared<byte_vector>(5000);
    return {
        {"a message", receives<Role>(peers_text<Role>(std::string(300, 'm')))},
        {"a part of one", receives<Role>(frame<Role>(opcode::binary, byte_vector(300), false))},
        {"the rest of it", receives<Role>(frame<Role>(opcode::continuation, byte_vector(300)))},
        {"a Ping", receives<Role>(frame<Role>(opcode::ping, byte_vector(100)))},
        {"two Pings", receives<Role>(frame<Role>(opcode::ping, byte_vector(100)) +
                                     frame<Role>(opcode::ping, byte_vector(100)))},
        {"a Close", receives<Role>(peers_close<Role>(4000, long_reason))},
        {"a violation", receives<Role>(hex("ff ff"))},
        {"send", [](auto& s) { (void)s.connection.send_text("a"); }},
        {"send a large one", [](auto& s) { (void)s.connection.send_binary(byte_vector(5000)); }},
        {"send a shared one",
         [large](auto& s) {
             (void)s.connection.send_shared(sansocket::message_kind::binary, {large, *large});
         }},
        {"start and append",
         [](auto& s) {
             if (s.connection.start(sansocket::message_kind::text) == errc::ok)
                 (void)s.connection.append("a");
         }},
        {"send a Ping", [](auto& s) { (void)s.connection.send_ping(); }},
        {"close",
         [](auto& s) { (void)s.connection.close(close_code::going_away, long_reason, s.now); }},
        {"consume",
         [](auto& s) { s.connection.consume_output(s.connection.output().bytes(), s.now); }},
        {"advance", [](auto& s) { s.connection.advance(s.now); }},
        {"advance much", [](auto& s) { s.connection.advance(s.now + 1h); }},  // ends a message
        {"receive_end", [](auto& s) { s.connection.receive_end(s.now); }},
        {"transport_lost", [](auto& s) { s.connection.transport_lost(s.now); }},
        {"abort", [](auto& s) { s.connection.abort(); }},
    };
}

std::string all_of(const sansocket::connection_snapshot& s) {
    return to_string(s) + std::to_string(static_cast<int>(s.closing)) + " " +
           std::to_string(s.output_frames) + " " +
           std::to_string(s.deadline.time_since_epoch().count()) +
           std::to_string(static_cast<int>(s.shutdown)) + (s.wants_read ? "r" : "");
}
std::string without_memory_and_input(std::string text) {
    for (const std::string_view label : {"memory ", "last bytes"}) {
        const auto at = text.find(label);
        if (at != std::string::npos) text.erase(at, text.find_first_of(",", at + 1) - at);
    }
    return text;
}

// Whatever failed: it comes to an end, and what went out of it is a stream of frames.
template <role Role>
void check_it_ends(subject<Role>& s, frame_spotter out, bool opened, unsigned most_closes) {
    auto& c = s.connection;
    if (c.state() == connection_state::open)
        REQUIRE(c.close(close_code::normal, "", s.now) == errc::ok);
    unsigned closes = 0;
    for (int i = 0; i != 3 && !c.should_close(); ++i) {
        const auto sent = s.sent();
        if (opened)
            for (const auto& f : out.feed(sent)) closes += f.opcode == 8 ? 1 : 0;
        if (c.should_close()) break;
        REQUIRE(c.next_deadline() != sansocket::never);
        s.now = (std::max)(s.now, c.next_deadline());
        c.advance(s.now);
    }
    CHECK(c.should_close());
    CHECK(c.state() == connection_state::closed);
    CHECK(c.messages().is_eof());
    CHECK_FALSE(out.wrong());
    CHECK(closes <= most_closes);
}

}  // namespace

TEST_CASE("connection: a call whose allocation fails has changed nothing, or ends by itself") {
    in_both_roles_uncut([]<role Role> {
        std::size_t failures = 0;
        for (const at state : every_state) {
            for (const auto& told : calls<Role>()) {
                for (std::size_t n = 0;; ++n) {
                    CAPTURE(static_cast<int>(state), told.name, n);
                    subject<Role> s(state, no_keepalive());
                    auto& c = s.connection;
                    c.shrink();
                    frame_spotter out(Role == role::client);
                    if (state == at::OQ)
                        out.feed(part_of(own_frame<Role>(opcode::text, unsent_one), 0, 3));
                    const auto before = without_memory_and_input(all_of(c.explain()));
                    if (!fails_at(n, [&] { told.call(s); })) break;
                    ++failures;
                    const auto after = without_memory_and_input(all_of(c.explain()));
                    const bool ended = c.state() == connection_state::closed && c.should_close();
                    const bool timed = c.state() != connection_state::open &&
                                       c.next_deadline() != sansocket::never;
                    CAPTURE(before, after);
                    CHECK((after == before || ended || timed));
                    check_it_ends(s, out, state != at::HS,
                                  state == at::CLO || state == at::CD ? 0 : 1);
                }
            }
        }
        CHECK(failures > 50);
    });
}

TEST_CASE("connection: a server whose answer to a request cannot be allocated ends by itself") {
    const std::vector<sansocket::http_field_value> fields{{"X-Long", long_reason}};
    const std::vector<std::function<errc(server&)>> calls{
        [&](server& s) { return s.connection.accept("", fields, s.now); },
        [&](server& s) { return s.connection.refuse(403, fields, long_reason, s.now); },
        [&](server& s) { return s.connection.respond(200, fields, long_reason, s.now); },
        [&](server& s) { return s.connection.close(close_code::going_away, "", s.now); },
    };
    std::size_t failures = 0;
    for (const auto& call : calls) {
        for (std::size_t n = 0;; ++n) {
            sansocket::options options;
            options.decision = sansocket::request_decision::manual;
            options.opening_timeout = sansocket::duration::zero();  // else that would end it, too
            server s(options);
            s.left_open = true;
            s.receive(bytes(upgrade_request));
            auto& c = s.connection;
            REQUIRE(c.deciding());
            if (!fails_at(n, [&] { (void)call(s); })) break;
            ++failures;
            CAPTURE(n);
            if (c.deciding()) CHECK(call(s) == errc::ok);  // it had changed nothing
            else CHECK((c.should_close() && c.messages().is_eof()));
        }
    }
    CHECK(failures > 10);
}

TEST_CASE("connection: a message whose payload cannot be queued leaves no header behind") {
    in_both_roles_uncut([]<role Role> {
        const auto shared = std::make_shared<byte_vector>(5000);
        for (std::size_t n = 0;; ++n) {
            CAPTURE(n);
            opened<Role> s;
            auto& c = s.connection;
            c.shrink();
            const bool failed = fails_at(n, [&] {
                (void)c.send_shared(sansocket::message_kind::binary, {shared, *shared});
            });
            CHECK(c.output_bytes() ==
                  (failed ? 0 : own_frame<Role>(opcode::binary, *shared).size()));
            CHECK(c.send_text("next") == errc::ok);
            const auto next = own_frame<Role>(opcode::text, bytes("next"));
            const auto whole = own_frame<Role>(opcode::binary, *shared) + next;
            CHECK(s.sent() == (failed ? next : whole));
            c.abort();
            if (!failed) break;
        }
    });
}

TEST_CASE("connection: a handler that throws ends it, its message counts, and no other is cut") {
    struct thrown {};
    using handler = std::function<void(sansocket::message_view)>;
    using direct = sansocket::direct_queue<handler>;
    in_both_roles_uncut([]<role Role> {
        for (const bool in_fragments : {false, true}) {
            CAPTURE(in_fragments);
            int calls = 0;
            endpoint<Role, direct> e({}, direct([&](sansocket::message_view m) {
                                         CHECK(m.text() == "ab");
                                         ++calls;
                                         throw thrown{};
                                     }));
            e.open();
            const auto in = in_fragments ? frame<Role>(opcode::text, bytes("a"), false) +
                                               frame<Role>(opcode::continuation, bytes("b"))
                                         : peers_text<Role>("ab");
            CHECK_THROWS_AS(e.receive(in + in), thrown);
            CHECK(calls == 1);
            const auto& info = e.connection.close_info();
            CHECK(info.cause == errc::aborted);
            CHECK_FALSE(info.incomplete_message);
            CHECK(e.connection.wants_shutdown() == shutdown_request::abort);
            CHECK(e.receive(in) == in.size());  // and nothing counts any more
            CHECK(calls == 1);
        }
    });
}
