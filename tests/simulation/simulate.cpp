// Seeded pairs and small fleets over a simulated network and clock. What it can be asked stands in
// arguments.hpp.
//
// A run that breaks a rule is made smaller for as long as it breaks the same rule; what is left is
// told, and its connections are recorded. Exit status: 0 if no rule was broken, 1 if one was, 2 for
// arguments that make no sense.
#include "simulation/arguments.hpp"
#include "simulation/run.hpp"

#include <sansocket_trace/replay.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace simulation;

namespace {

constexpr std::uint64_t most_operations = 2000;  // of a link to which every fault is to happen
constexpr std::size_t enough_failures = 20;

std::string hex(std::uint64_t n) {
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[n >> shift & 15U];
    return out;
}

// Its connections recorded: whether it goes the same way, and whether the recordings replay.
void check_recorded(const scenario& s, outcome& o) {
    const outcome again = record_all(s);
    if (again.hash != o.hash || again.rule != o.rule)
        o.rule = "recorded", o.text = "recorded: it goes another way when it is recorded";
    for (const tape& t : again.tapes)
        if (!sansocket_trace::replay(t.bytes).same())
            o.rule = "recorded",
            o.text = "recorded: the recording of " + t.name + " does not replay";
}

outcome run_one(const arguments& a, const scenario& s, const parts& without, bool keep_story) {
    outcome o = perform(s, without, keep_story || !a.until.empty());
    if (!a.until.empty() && o.rule.empty() && o.story.find(a.until) != std::string::npos)
        o.rule = "until", o.text = "until: the story says: " + a.until;
    if (a.recorded && without.empty() && o.rule.empty()) check_recorded(s, o);
    return o;
}

// The recordings of a run, each a file for tools/trace.
void keep_tapes(const arguments& a, const run_id& id, const scenario& s, const parts& without) {
    std::filesystem::create_directories(a.keep);
    for (const tape& t : record_all(s, without).tapes) {
        std::string name = id.text().substr(2) + " " + t.name + ".trace";
        std::replace(name.begin(), name.end(), ' ', '-');
        const auto path = std::filesystem::path{a.keep} / name;
        std::ofstream to(path, std::ios::binary);
        to.write(reinterpret_cast<const char*>(t.bytes.data()),
                 static_cast<std::streamsize>(t.bytes.size()));
        to.close();
        std::cout << (to ? "  recorded: tools/trace " : "  could not write ") << path.string()
                  << '\n';
    }
}

int tell(const arguments& a) {
    const scenario s = a.id.write();
    const outcome o = run_one(a, s, a.without, true);
    std::cout << o.story << "\nseed " << a.id.seed << ": "
              << (o.rule.empty() ? "no rule broken" : o.text) << "; story " << hex(o.hash) << '\n';
    if (!o.rule.empty()) keep_tapes(a, a.id, s, a.without);
    return o.rule.empty() ? 0 : 1;
}

void report(const arguments& a, const run_id& id) {
    const scenario s = id.write();
    const outcome whole = run_one(a, s, {}, false);
    const parts without = minimise(
        s, whole.rule, [&](const parts& left_out) { return run_one(a, s, left_out, false); });
    const outcome least = run_one(a, s, without, true);
    const std::size_t all = s.pairs.size() + s.events.size();
    const std::string until = a.until.empty() ? "" : " --until '" + a.until + "'";
    std::cout << id.text() << " FAILED: " << whole.text << "; story " << hex(whole.hash)
              << "\n  the whole: tools/simulate " << id.text() << until
              << "\n  the least: tools/simulate " << id.text() << until;
    if (!without.empty()) std::cout << " --without " << ranges(without);
    std::cout << "   (" << all - without.size() << " of " << all << " parts)\n";
    keep_tapes(a, id, s, without);
    std::cout << least.story << "  " << least.text << "\n\n";
}

struct tally {
    std::atomic<std::uint64_t> next{0};
    std::atomic<std::uint64_t> seeds{0};
    std::atomic<std::uint64_t> runs{0};
    std::atomic<std::uint64_t> happened{0};
    std::atomic<std::uint64_t> hash{0};  // a sum, for the order in which runs end is nobody's
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> clean{0};
    std::array<std::atomic<std::uint64_t>, sansocket::errc_count> causes{};
    std::mutex mutex;
    std::vector<run_id> failed;

    void count(const run_id& id, const outcome& o) {
        ++runs;
        happened += o.happened;
        hash += o.hash;
        messages += o.messages;
        for (const auto& info : o.endings) {
            if (info.clean) ++clean;
            ++causes[static_cast<std::size_t>(info.cause)];
        }
        if (o.rule.empty()) return;
        const std::lock_guard lock(mutex);
        failed.push_back(id);
    }
    bool enough() {
        const std::lock_guard lock(mutex);
        return failed.size() >= enough_failures;
    }
};

using clock_type = std::chrono::steady_clock;

// Every fault at every operation of the first link.
void run_faults(const arguments& a, std::uint64_t seed, clock_type::time_point until, tally& t) {
    const auto operations = perform(author(seed).write(true)).operations.front();
    if (operations > most_operations) return;
    for (std::uint64_t at = 0; at != operations; ++at)
        for (std::size_t f = 0; f != fault_words.size(); ++f) {
            if (clock_type::now() >= until || t.enough()) return;
            const run_id id{seed, static_cast<fault>(f), at};
            t.count(id, run_one(a, id.write(), {}, false));
        }
}

void work(const arguments& a, clock_type::time_point until, tally& t) {
    while (clock_type::now() < until && !t.enough()) {
        const std::uint64_t i = t.next.fetch_add(1);
        if (a.seeds != 0 && i >= a.seeds) return;
        const run_id id{a.first + i};
        ++t.seeds;
        if (a.faults) run_faults(a, id.seed, until, t);
        else t.count(id, run_one(a, id.write(), {}, false));
    }
}

// How the connections ended, so that it can be seen that they did in every way.
void tell_endings(const tally& t) {
    std::cout << "messages that arrived: " << t.messages << "; clean ends: " << t.clean << '\n';
    for (std::size_t i = 0; i != t.causes.size(); ++i)
        if (t.causes[i] != 0)
            std::cout << "  " << std::setw(9) << t.causes[i] << "  "
                      << (i == 0 ? "destroyed before it ended"
                                 : sansocket::describe(static_cast<errc>(i)))
                      << '\n';
}

int run(arguments a) {
    if (a.seeds == 0 && a.seconds == 0) a.seeds = 10'000;
    if (a.jobs == 0) a.jobs = (std::max)(1U, std::thread::hardware_concurrency());
    const auto begin = clock_type::now();
    const auto until =
        a.seconds == 0 ? clock_type::time_point::max() : begin + std::chrono::seconds{a.seconds};
    tally t;
    std::vector<std::thread> workers;
    for (std::uint64_t j = 0; j != a.jobs; ++j) workers.emplace_back([&] { work(a, until, t); });
    for (auto& w : workers) w.join();
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - begin).count();
    std::sort(t.failed.begin(), t.failed.end());
    for (std::size_t i = 0; i != t.failed.size() && i != 3; ++i) report(a, t.failed[i]);
    tell_endings(t);
    std::cout << "simulated: " << t.seeds << " seeds from " << a.first
              << (a.faults ? ", every fault at every operation" : "")
              << (a.recorded ? ", recorded and replayed" : "") << ": " << t.runs << " runs, "
              << t.happened << " events, " << t.failed.size() << " failed; stories " << hex(t.hash)
              << "; " << ms << " ms with " << a.jobs << " threads\n";
    return t.failed.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::optional<arguments> a = parse(argc, argv);
    if (!a) {
        std::cerr << usage;
        return 2;
    }
    return a->one ? tell(*a) : run(*a);
}
