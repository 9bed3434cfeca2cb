// simulated_chat.cpp
//
// A program of your own, tested without sockets: a chat room whose members come,
// talk and vanish, over a network that delays, cuts and loses. Each seed is a run
// of its own, with its own timing, and goes the same way each time.
//
//   simulated_chat [SEEDS]        runs seeds 0, 1, ... (200), says what it saw
//   simulated_chat --seed X       tells the story of one
#include <sansocket_simulation/sansocket_simulation.hpp>

#include <sansocket/connection.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sim = sansocket_simulation;
using namespace std::chrono_literals;
using member = sim::endpoint<sansocket::connection<sansocket::role::client>>;
using seat = sim::endpoint<sansocket::connection<sansocket::role::server>>;

// The program under test: what one member says, all others hear.
class room {
public:
    void joins(seat& s) { seats_.push_back(&s); }
    void leaves(seat& s) { std::erase(seats_, &s); }
    void says(seat& from, std::string_view text) {
        for (seat* to : seats_)
            if (to != &from) to->send_text(text);
    }

private:
    std::vector<seat*> seats_;
};

// One run: four members say ten things each; the last of them is cut off somewhere in it.
class evening {
public:
    evening(std::uint64_t seed, bool tell) : world_(seed, tell) {
        for (std::size_t i = 0; i != members; ++i) arrives(i);
    }
    // Whether everybody heard what was said, and it came to an end.
    bool goes_well() {
        world_.run_for(5s);
        for (auto& p : people_) p->close();
        bool good = world_.run();  // false: something never ends
        for (std::size_t to = 0; to != members; ++to)
            for (std::size_t from = 0; from != members; ++from) good = good && heard_of(to, from);
        return good;
    }
    const std::string& story() const { return world_.told().text(); }

private:
    static constexpr std::size_t members = 4, victim = 3, words = 10;

    void arrives(std::size_t i) {
        sim::link_options wire;
        wire.latency = 10ms;
        wire.jitter = 40ms;
        wire.segment = 7;  // bytes arrive in pieces of at most 7
        sim::network_link& link = world_.connect(wire);
        sits_down(i, link.second());
        talks(i, link.first());
        if (i == victim)
            world_.after(std::chrono::milliseconds{world_.random().between(200, 1200)},
                         [&link] { link.befall(sim::fault::reset, 0); });
    }
    void sits_down(std::size_t i, sim::link_end& at) {
        seat::hooks hooks;
        hooks.on_open = [this](seat& s) { room_.joins(s); };
        hooks.on_message = [this](seat& s, const auto& m) { room_.says(s, m.text()); };
        hooks.on_closed = [this](seat& s) { room_.leaves(s); };
        seats_.push_back(std::make_unique<seat>(world_, at, "seat " + std::to_string(i),
                                                sim::endpoint_options{}, hooks,
                                                sansocket::server_policy{}, world_.now()));
    }
    void talks(std::size_t i, sim::link_end& at) {
        member::hooks hooks;
        hooks.on_message = [this, i](member&, const auto& m) { heard_[i].emplace_back(m.text()); };
        sansocket::client_request request;
        request.host = "chat.example";
        people_.push_back(std::make_unique<member>(world_, at, "member " + std::to_string(i),
                                                   sim::endpoint_options{}, hooks, request,
                                                   world_.keys(), world_.now()));
        for (std::size_t word = 0; word != words; ++word)
            world_.after(500ms + word * 50ms, [p = people_.back().get(), i, word] {
                p->send_text(std::to_string(i) + ":" + std::to_string(word));
            });
    }
    // In order, and all of it unless one of them was cut off; nobody hears himself.
    bool heard_of(std::size_t to, std::size_t from) const {
        std::size_t next = 0;
        for (const std::string& text : heard_[to])
            if (text == std::to_string(from) + ":" + std::to_string(next)) ++next;
        if (to == from) return next == 0;
        return to == victim || from == victim || next == words;
    }

    sim::world world_;  // outlives its endpoints
    room room_;
    std::array<std::vector<std::string>, members> heard_;
    std::vector<std::unique_ptr<seat>> seats_;
    std::vector<std::unique_ptr<member>> people_;
};

bool run(std::uint64_t seed, bool tell) {
    evening e(seed, tell);
    const bool good = e.goes_well();
    std::cout << e.story();
    if (!good) std::cout << "seed " << seed << ": somebody did not hear what was said\n";
    return good;
}

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view{argv[1]} == "--seed")
        return run(std::strtoull(argv[2], nullptr, 10), true) ? 0 : 1;
    const std::uint64_t seeds = argc == 2 ? std::strtoull(argv[1], nullptr, 10) : 200;
    std::uint64_t failed = 0;
    for (std::uint64_t seed = 0; seed != seeds; ++seed)
        if (!run(seed, false)) ++failed;
    std::cout << seeds << " seeds, " << failed << " failed\n";
    return failed == 0 ? 0 : 1;
}
