// Drives a connection through every sequence of everything that can happen to it, shortest first, as
// deep as the time allows, with every rule looked at after each step. See support/watched.hpp.
//
// A sequence is not continued where all that is visible of the connection, and all that the observer
// knows, was seen after a shorter one (`watched::key`). Two states that differ in nothing visible
// could still differ inside: so the last part of the time goes into long walks at random that skip
// nothing.
//
// SANSOCKET_EXPLORE_REPLAY="open,text,close,eof" runs that sequence alone, for a debugger.
#include <sansocket/connection.hpp>

#include "exploration/explore.hpp"
#include "support/watched.hpp"

#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

using namespace support;

namespace {

struct sequence {
    beginning from = beginning::open;
    std::vector<happens> events;
};
// By then all of the table of the close handshake was seen.
constexpr std::size_t enough = 4;

using close_step = std::pair<close_state, close_state>;

std::string told(const sequence& all) {
    std::string out{beginning_names[static_cast<std::size_t>(all.from)]};
    for (const happens what : all.events) {
        out += ',';
        out += happening_names[static_cast<std::size_t>(what)];
    }
    return out;
}

// What a run of `events` breaks; empty if nothing, or if they cannot happen.
template <role Role>
std::string broken_by(const sequence& all) {
    watched<Role> w(all.from);
    for (const happens what : all.events) {
        if (!w.possible(what)) return {};
        w.apply(what);
    }
    if (w.broken().empty()) w.finish_all();
    return w.broken();
}

// The shortest part of `events` that still breaks a rule.
template <role Role>
sequence minimised(sequence all) {
    for (std::size_t i = 0; i < all.events.size();) {
        sequence shorter = all;
        shorter.events.erase(shorter.events.begin() + static_cast<std::ptrdiff_t>(i));
        if (broken_by<Role>(shorter).empty()) ++i;
        else all = std::move(shorter), i = 0;
    }
    return all;
}

template <role Role>
class explorer {
public:
    // Every sequence, shortest first: those of `least` events whatever time it takes.
    void exhaust(std::size_t least, std::chrono::milliseconds time) {
        const exploration::stopwatch clock;
        std::vector<sequence> frontier;
        for (const beginning from : beginnings) frontier.push_back({from, {}});
        for (std::size_t depth = 1; !frontier.empty(); ++depth) {
            std::vector<sequence> next;
            for (const sequence& before : frontier) {
                if (depth > least && clock.past(time)) return;
                extend(before, next);
            }
            frontier = std::move(next);
            complete_depth_ = depth;
        }
        everything_ = true;
    }
    // Long ones, at random.
    void wander(std::chrono::milliseconds time) {
        const exploration::stopwatch clock;
        std::mt19937 random(20);
        for (; !clock.past(time); ++walks_) {
            sequence events{beginnings[random() % beginnings.size()], {}};
            watched<Role> w(events.from);
            for (int i = 0; i != 100; ++i) {
                const auto what = happenings[random() % happenings.size()];
                // Endings come late, or nothing else would.
                const bool ends = what >= happens::abort && what <= happens::drop;
                if (!w.possible(what) || (ends && random() % 32 != 0)) continue;
                events.events.push_back(what);
                step(w, what);
            }
            w.finish_all();
            judge(w, events);
        }
    }
    void report() const {
        exploration::report(
            std::string{"explore_"} + (Role == role::server ? "server" : "client"),
            std::to_string(seen_.size()) + " states, " + std::to_string(transitions_) +
                " transitions, all sequences of " + std::to_string(complete_depth_) + " events" +
                (everything_ ? " and longer (nothing new)" : "") + ", " + std::to_string(walks_) +
                " random walks, " + std::to_string(examined_) + " rules looked at, 0 violations");
        CHECK(complete_depth_ >= enough);
        // All that the table of the close handshake allows was seen to happen.
        for (std::size_t from = 0; from != 8; ++from) {
            for (std::size_t event = 0; event != 5; ++event) {
                const auto state = static_cast<close_state>(from);
                const auto to = sansocket::close_handshake::next(
                    state, static_cast<sansocket::close_event>(event));
                // The answer to a Close is queued in the call that takes it: nobody sees `received`.
                if (!to || state == close_state::received || *to == close_state::received) continue;
                CAPTURE(from, event);
                CHECK(steps_.count({state, *to}) == 1);
            }
        }
        CHECK(steps_.count({close_state::open, close_state::replying}) == 1);
    }

private:
    void step(watched<Role>& w, happens what) {
        const auto before = w.connection().explain().closing;
        w.apply(what);
        steps_.emplace(before, w.connection().explain().closing);
        ++transitions_;
    }
    void judge(const watched<Role>& w, const sequence& events) {
        for (const auto& [rule, times] : w.examined()) examined_ += times;
        if (w.broken().empty()) return;
        const sequence shortest = minimised<Role>(events);
        FAIL(broken_by<Role>(shortest)
             << "\nafter " << told(shortest) << "\nfound by " << told(events));
    }
    void extend(const sequence& before, std::vector<sequence>& next) {
        for (const happens what : happenings) {
            watched<Role> w(before.from);
            for (const happens earlier : before.events) w.apply(earlier);
            if (!w.possible(what)) continue;
            step(w, what);
            sequence events = before;
            events.events.push_back(what);
            const bool is_new = seen_.insert(w.key()).second;
            if (is_new) w.finish_all();  // from each state it comes to an end
            judge(w, events);
            if (is_new) next.push_back(std::move(events));
        }
    }

    std::unordered_set<std::string> seen_;
    std::set<close_step> steps_;
    std::size_t transitions_ = 0, complete_depth_ = 0, walks_ = 0, examined_ = 0;
    bool everything_ = false;
};

template <role Role>
void explore() {
    if (const char* const replay = std::getenv("SANSOCKET_EXPLORE_REPLAY")) {
        sequence events;
        std::string_view rest = replay;
        while (!rest.empty()) {
            const auto name = rest.substr(0, rest.find(','));
            rest.remove_prefix((std::min)(rest.size(), name.size() + 1));
            for (std::size_t i = 0; i != beginnings.size(); ++i)
                if (beginning_names[i] == name) events.from = beginnings[i];
            for (std::size_t i = 0; i != happenings.size(); ++i)
                if (happening_names[i] == name) events.events.push_back(happenings[i]);
        }
        CHECK(broken_by<Role>(events) == "");
        return;
    }
    explorer<Role> e;
    const auto time = exploration::time_to_spend();
    e.exhaust(enough, time * 4 / 5);
    e.wander(time / 5);
    e.report();
}

}  // namespace

TEST_CASE("explore: server") { explore<role::server>(); }
TEST_CASE("explore: client") { explore<role::client>(); }
