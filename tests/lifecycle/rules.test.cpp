// Each rule of the close lifecycle, looked at after every step of every sequence of three events
// that can happen to a connection, and then to the end; with whatever the peer says whole, byte by byte
// and cut in two at each byte.
#include <sansocket/connection.hpp>

#include "support/lifecycle.hpp"
#include "support/watched.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace support;

namespace {

struct walk_result {
    std::map<std::string, std::string> broken;  // by rule: the events, and what was wrong
    std::map<std::string_view, std::size_t> examined;
};

// All sequences of `depth` events from one beginning, with the peer's bytes cut in one way. What looks
// as after a sequence walked before goes on as it did, and is not walked again.
template <role Role>
class walker {
public:
    walker(beginning from, std::size_t cut, walk_result& result)
        : from_(from), cut_(cut), result_(result) {}

    void walk(std::size_t depth) {
        watched<Role> w(from_, cut_);
        for (const happens what : events_) w.apply(what);
        std::vector<happens> next;
        for (const happens what : happenings)
            if (w.possible(what)) next.push_back(what);
        const auto [at, is_new] = seen_.try_emplace(w.key(), depth);
        const bool seen = !is_new && at->second >= depth;  // and walked on as far
        at->second = (std::max)(at->second, depth);
        if (is_new) w.finish_all();
        for (const auto& [rule, times] : w.examined()) result_.examined[rule] += times;
        if (!w.broken().empty()) return tell(w.broken());
        if (depth == 0 || seen) return;
        for (const happens what : next) {
            events_.push_back(what);
            walk(depth - 1);
            events_.pop_back();
        }
    }

private:
    void tell(const std::string& broken) {
        std::string told = broken + ", from ";
        told += beginning_names[static_cast<std::size_t>(from_)];
        for (const happens what : events_)
            (told += ' ') += happening_names[static_cast<std::size_t>(what)];
        told += ", cut in way " + std::to_string(cut_);
        result_.broken.emplace(broken.substr(0, broken.find(':')), told);
    }

    beginning from_;
    std::size_t cut_;
    walk_result& result_;
    std::vector<happens> events_;
    std::map<std::string, std::size_t> seen_;
};

// Done once for all rules.
template <role Role>
const walk_result& walked() {
    static const walk_result result = [] {
        walk_result r;
        constexpr std::size_t longest = 9;  // bytes of a frame that the peer sends
        for (const beginning from : beginnings)
            for (std::size_t cut = 0; cut <= longest; ++cut) walker<Role>(from, cut, r).walk(3);
        return r;
    }();
    return result;
}

void check_rule(std::string_view rule) {
    in_both_roles([rule]<role Role> {
        const walk_result& result = walked<Role>();
        const auto found = result.broken.find(std::string{rule});
        if (found != result.broken.end()) FAIL(found->second);
        CHECK(result.examined.at(rule) > 0);
    });
}

}  // namespace

TEST_CASE("G1: messages that came whole come before the end, which stays") { check_rule("G1"); }
TEST_CASE("G2: the close code is that of the first Close received, 1005 or 1006") {
    check_rule("G2");
}
TEST_CASE("G3: clean means both Closes, ours taken by the transport, and stays") {
    check_rule("G3");
}
TEST_CASE("G4: an endpoint sends one Close at most") { check_rule("G4"); }
TEST_CASE("G5: behind our Close goes nothing but Pongs, and after theirs nothing but our Close") {
    check_rule("G5");
}
TEST_CASE("G6: bytes after the peer's Close are counted and thrown away") { check_rule("G6"); }
TEST_CASE("G7: after a failure nothing counts, not even a Close") { check_rule("G7"); }
TEST_CASE("G8: the server ends TCP, and a client waits for that until the deadline") {
    check_rule("G8");
}
TEST_CASE("G9: one deadline for all of closing, which nothing moves; then it is aborted") {
    check_rule("G9");
}
TEST_CASE("G10: reading is never paused while closing") { check_rule("G10"); }
TEST_CASE("G11: no other timer runs while closing") { check_rule("G11"); }
TEST_CASE("G12: what is closed waits for nothing") { check_rule("G12"); }
TEST_CASE("G13: sends are refused by name while closing and when closed, and change nothing") {
    check_rule("G13");
}
TEST_CASE("G14: every query answers in every state, also of what was moved from") {
    check_rule("G14");
    const watched<role::server> w;
    const auto& c = w.connection();
    STATIC_REQUIRE(noexcept(c.state())&& noexcept(c.wants_read())&& noexcept(c.wants_write()));
    STATIC_REQUIRE(noexcept(c.wants_shutdown())&& noexcept(c.should_close()));
    STATIC_REQUIRE(noexcept(c.close_info())&& noexcept(c.explain())&& noexcept(c.deciding()));
    STATIC_REQUIRE(noexcept(c.next_deadline())&& noexcept(c.output_bytes()));
    STATIC_REQUIRE(noexcept(c.output_drained())&& noexcept(c.round_trip()));
    STATIC_REQUIRE(noexcept(c.was_opened())&& noexcept(c.subprotocol())&& noexcept(c.messages()));
}
TEST_CASE("G15: the first cause and the first Closes stay") { check_rule("G15"); }
TEST_CASE("G16: a frame that was begun is completed before anything else") { check_rule("G16"); }
TEST_CASE("G17: only codes and reasons that may be sent are sent, and accepted") {
    check_rule("G17");
    in_both_roles([]<role Role> {
        for (unsigned code = 0; code != 65536; code += code < 5100 ? 1 : 977) {
            const bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                              (code >= 3000 && code <= 4999);
            endpoint<Role> e;
            e.left_open = true;
            e.open();
            auto& c = e.connection;
            const close_code asked{static_cast<std::uint16_t>(code)};
            const errc answer = c.close(asked, "", e.now);
            CHECK(answer == (good || code == 1005 ? errc::ok : errc::invalid_close_code));
            CHECK((c.state() == connection_state::open) == (answer != errc::ok));
            endpoint<Role> other;
            other.left_open = true;
            other.open().receive(frame<Role>(sansocket::opcode::close, close_bytes(code)));
            CHECK(other.connection.close_info().received.has_value() == good);
            CHECK(other.sent() == own_close<Role>(good ? code : 1002,
                                                  good ? "" : describe(errc::close_code_reserved)));
        }
        endpoint<Role> e;
        e.left_open = true;
        e.open();
        auto& c = e.connection;
        CHECK(c.close(close_code::normal, std::string(124, 'x'), e.now) ==
              errc::close_reason_too_long);
        CHECK(c.close(close_code::normal, "\xff", e.now) == errc::text_not_utf8);
        CHECK_FALSE(c.wants_write());
        CHECK(c.close(close_code::normal, std::string(123, 'x'), e.now) == errc::ok);
        CHECK(e.sent() == own_close<Role>(1000, std::string(123, 'x')));
    });
}
TEST_CASE("G18: a failed connection says why, half-closes, and waits for the end") {
    check_rule("G18");
}
