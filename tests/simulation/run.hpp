// Lets a scenario happen, all of it or a part, and says how it went.
#pragma once

#include "simulation/party.hpp"
#include "simulation/scenario.hpp"

#include <sansocket_simulation/sansocket_simulation.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace simulation {

// Parts of a scenario are numbered: its pairs first, then its events.
using parts = std::set<std::size_t>;

// What one end was told, for `sansocket_trace::replay`.
struct tape {
    std::string name;  // "client 0"
    std::vector<std::byte> bytes;
};

struct outcome {
    std::string rule;  // the first that was broken; empty if none was
    std::string text;
    std::uint64_t hash = 0;  // of the story
    std::uint64_t happened = 0;
    std::string story;
    std::vector<sansocket::close_info> endings;  // of each end
    std::uint64_t messages = 0;                  // that arrived
    std::vector<std::uint64_t> operations;       // reads and writes of each link
    std::vector<tape> tapes;                     // where they are kept
};

// Recorded: every connection is one that writes down what it is told.
template <bool Recorded>
class performance {
public:
    performance(const scenario& s, const parts& without, bool keep_story)
        : scenario_(s), without_(without), world_(s.seed, keep_story) {}

    outcome run() {
        for (std::size_t i = 0; i != scenario_.pairs.size(); ++i)
            if (without_.count(i) == 0) add(i);
            else pairs_.push_back(nullptr);
        for (std::size_t i = 0; i != scenario_.events.size(); ++i)
            if (without_.count(scenario_.pairs.size() + i) == 0) plan(scenario_.events[i]);
        world_.after(scenario_.horizon, [this] { last_words(); });
        const bool quiet = world_.run();
        verdict_.rule("G9", quiet, "the world", "it never becomes quiet");
        for (auto& p : pairs_)
            if (p) look_back(*p);
        return judged();
    }

private:
    using client_party = party<role::client, Recorded>;
    using server_party = party<role::server, Recorded>;
    struct pair {
        pair(const pair_plan& p, verdict& v, std::size_t number)
            : plan(p),
              client(p.client, v, "client " + std::to_string(number)),
              server(p.server, v, "server " + std::to_string(number)) {}
        const pair_plan& plan;
        sansocket_simulation::network_link* line = nullptr;
        client_party client;
        server_party server;
    };

    outcome judged() const {
        const auto& told = world_.told();
        outcome out;
        out.rule = verdict_.name();
        out.text = verdict_.text();
        out.hash = told.hash();
        out.happened = world_.happened();
        out.story = told.text();
        for (const auto& p : pairs_) {
            out.operations.push_back(p ? p->line->operations() : 0);
            if (!p) continue;
            if constexpr (Recorded) {
                out.tapes.push_back({p->client.name(), p->client.recording});
                out.tapes.push_back({p->server.name(), p->server.recording});
            }
            for (const record* r : {&p->client.facts, &p->server.facts}) {
                out.endings.push_back(r->info);
                out.messages += r->got;
            }
        }
        return out;
    }
    void add(std::size_t number);
    void plan(const event& what);
    void answer_request(pair& p);
    void relay(pair& from, const sansocket::message_view& m);
    void last_words();
    void look_back(pair& p);
    void compare(const record& x, const record& y, std::string_view who);
    void compare_calm(const pair& p);

    const scenario& scenario_;
    const parts& without_;
    sansocket_simulation::world world_;
    verdict verdict_;
    std::vector<std::unique_ptr<pair>> pairs_;
};

template <bool Recorded>
void performance<Recorded>::add(std::size_t number) {
    const pair_plan& plan = scenario_.pairs[number];
    pairs_.push_back(std::make_unique<pair>(plan, verdict_, number));
    pair& p = *pairs_.back();
    p.line = &world_.connect(plan.there, plan.back);
    typename server_party::endpoint_type::hooks serves;
    serves.on_message = [this, &p](auto&, const sansocket::message_view& m) { relay(p, m); };
    serves.on_request = [this, &p](auto&) { answer_request(p); };
    p.server.start(world_, p.line->second(), p.client.facts, std::move(serves),
                   sansocket::server_policy{});
    sansocket::client_request request;
    request.host = "simulation";
    if constexpr (Recorded)
        p.client.start(world_, p.line->first(), p.server.facts, {}, request, world_.key_seed());
    else p.client.start(world_, p.line->first(), p.server.facts, {}, request, world_.keys());
}

template <bool Recorded>
void performance<Recorded>::plan(const event& what) {
    if (what.pair >= pairs_.size() || !pairs_[what.pair]) return;
    pair& p = *pairs_[what.pair];
    if (what.is_fault) {
        p.line->befall_at(what.operation, what.what_fault);
        if (what.what_fault == fault::hold && what.until != duration::zero())
            p.line->on_fault([this, &p, until = what.until](fault f, std::size_t side) {
                world_.tell().tell(world_.now(), "link", name_of(f), side);
                if (f == fault::hold) world_.after(until, [&p] { p.line->release(); });
            });
        return;
    }
    world_.after(what.at, [&p, &what] {
        if (what.side == 0) p.client.apply(what);
        else p.server.apply(what);
    });
}

template <bool Recorded>
void performance<Recorded>::answer_request(pair& p) {
    world_.after(p.plan.decides_after, [this, &p] {
        auto& e = *p.server.end;
        if (!e.has_connection() || !e.connection().deciding()) return;
        const bool refuses = p.plan.decision == answer::refuses;
        p.server.facts.refused = refuses;
        const errc ec = refuses ? e.connection().refuse(403, {}, "no", world_.now())
                                : e.connection().accept("", {}, world_.now());
        verdict_.rule("accept", ec == errc::ok, e.name(), "could not answer a request");
        e.drive();
    });
}

// The server's program: nothing, an echo, or a chat room.
template <bool Recorded>
void performance<Recorded>::relay(pair& from, const sansocket::message_view& m) {
    if (scenario_.server == server_kind::silent) return;
    const digest d = digest::of(m.kind, m.bytes);
    const auto copy = std::make_shared<const std::string>(m.text());
    for (auto& p : pairs_) {
        if (!p || (scenario_.server == server_kind::echo && p.get() != &from)) continue;
        if (!p->server.end || !p->server.end->has_connection()) continue;
        const errc ec = p->server.end->connection().send_shared(
            m.kind, {copy, std::as_bytes(std::span{*copy})});
        p->server.sent(d, ec);
        p->server.end->drive();
    }
}

template <bool Recorded>
void performance<Recorded>::last_words() {
    event close;
    close.what = act::close;
    close.salt = 1;
    event drop;
    drop.what = act::drop;
    event resume;
    resume.what = act::resume;
    for (auto& p : pairs_) {
        if (!p) continue;
        p->client.apply(resume);
        p->server.apply(resume);
        switch (p->plan.last) {
        case ending::client_closes: p->client.apply(close); break;
        case ending::server_closes: p->server.apply(close); break;
        case ending::client_drops: p->client.apply(drop); break;
        case ending::both_close:
            p->client.apply(close);
            p->server.apply(close);
            break;
        }
    }
    // Where the link is dead, the other end never hears of it.
    world_.after(120s, [this, close] {
        for (auto& p : pairs_) {
            if (!p) continue;
            if (p->client.end->attached()) p->client.apply(close);
            if (p->server.end->attached()) p->server.apply(close);
        }
    });
}

template <bool Recorded>
void performance<Recorded>::look_back(pair& p) {
    p.client.look_back();
    p.server.look_back();
    compare(p.client.facts, p.server.facts, "client");
    compare(p.server.facts, p.client.facts, "server");
    if (scenario_.calm) compare_calm(p);
}

// What `x` should have of what `y` sent.
template <bool Recorded>
void performance<Recorded>::compare(const record& x, const record& y, std::string_view who) {
    const auto rule = [&](std::string_view name, bool holds, std::string_view what) {
        verdict_.rule(name, holds, who, what);
    };
    if (!x.info.received) return;
    rule("G2", x.info.received == y.info.sent, "a Close that was never sent");
    if (x.info.clean && y.info.clean)
        rule("G3", x.info.sent == y.info.received, "both are clean, and do not agree");
    if (x.closed_here || x.gave_up) return;
    rule("G1", x.info.cause == errc::closed_by_peer, "the peer closed, and it was not that");
    const bool failed = sansocket::who_ended(y.info.cause) == sansocket::ended_by::violation;
    if (failed) return;
    rule("G1", x.got == y.accepted.size(), "a message that was accepted before a Close is lost");
    rule("G1", x.info.incomplete_message == y.partial_on_wire, "the cut message is not told");
}

template <bool Recorded>
void performance<Recorded>::compare_calm(const pair& p) {
    const record& c = p.client.facts;
    const record& s = p.server.facts;
    if (!c.opened || !s.opened) {
        const bool meant = c.gave_up || s.refused || s.info.cause == errc::closed_locally;
        return verdict_.rule("calm", meant, "the pair", "it did not open, and nobody refused");
    }
    verdict_.rule("calm", c.info.clean && s.info.clean, "the pair", "nothing was lost: not clean");
}

inline outcome perform(const scenario& s, const parts& without = {}, bool keep_story = false) {
    return performance<false>(s, without, keep_story).run();
}
// The same, and what every connection was told.
inline outcome record_all(const scenario& s, const parts& without = {}, bool keep_story = false) {
    return performance<true>(s, without, keep_story).run();
}

// Leaves out whatever can be left out while `perform_without` still breaks the same rule.
template <class PerformWithout>
parts minimise(const scenario& s, const std::string& rule, PerformWithout perform_without) {
    parts without;
    const std::size_t all = s.pairs.size() + s.events.size();
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (std::size_t i = all; i-- != 0;) {
            if (!without.insert(i).second) continue;
            if (perform_without(without).rule == rule) smaller = true;
            else without.erase(i);
        }
    }
    return without;
}

// The same scenario, and `what` befalls the link of its first pair at one operation.
inline scenario with_fault(scenario s, fault what, std::uint64_t operation) {
    s.calm = false;
    event e;
    e.is_fault = true;
    e.what_fault = what;
    e.operation = operation;
    if (what == fault::hold && operation % 2 == 0) e.until = 50ms;
    s.events.push_back(e);
    return s;
}

}  // namespace simulation
