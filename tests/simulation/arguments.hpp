// What the program is asked to do.
#pragma once

#include "simulation/run.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace simulation {

inline constexpr std::string_view usage =
    "usage: simulate [--seeds N] [--seconds S] [--first X] [--faults] [--recorded]\n"
    "                [--until WORDS] [--jobs J] [--keep DIR]\n"
    "       simulate --seed X [--fault NAME@N] [--without 3,7-9] [--until WORDS] [--keep DIR]\n"
    "\n"
    "  --seeds N       how many, from 0 or --first X; 10000 unless --seconds ends it\n"
    "  --seconds S     as many as fit in S seconds\n"
    "  --faults        each seed calm, and then with each fault at each operation of its first "
    "link\n"
    "  --recorded      each seed once more with recorded connections, which must go the same way,\n"
    "                  and whose recordings must replay\n"
    "  --until WORDS   a run whose story has these words counts as failed\n"
    "  --keep DIR      where a failure leaves its recordings; by default simulation-failures\n"
    "  --seed X        tells the story of one run\n"
    "  --fault NAME@N  what befalls its first link at operation N: reset end truncate hold lose "
    "block\n"
    "  --without LIST  leaves these parts out of it\n";

inline constexpr std::array<std::string_view, 6> fault_words{"reset", "end",  "truncate",
                                                             "hold",  "lose", "block"};

// One run: a seed, and the fault that was added to it.
struct run_id {
    std::uint64_t seed = 0;
    std::optional<fault> what{};
    std::uint64_t operation = 0;

    [[nodiscard]] scenario write() const {
        return what ? with_fault(author(seed).write(true), *what, operation) : author(seed).write();
    }
    [[nodiscard]] std::string text() const {
        std::string out = "--seed " + std::to_string(seed);
        if (what)
            out += " --fault " + std::string{fault_words[static_cast<std::size_t>(*what)]} + "@" +
                   std::to_string(operation);
        return out;
    }
    friend bool operator<(const run_id& a, const run_id& b) {
        if (a.seed != b.seed) return a.seed < b.seed;
        return a.operation != b.operation ? a.operation < b.operation : a.what < b.what;
    }
};

struct arguments {
    std::uint64_t seeds = 0;
    std::uint64_t seconds = 0;
    std::uint64_t first = 0;
    std::uint64_t jobs = 0;
    bool faults = false;
    bool recorded = false;
    std::string until;
    std::string keep = "simulation-failures";
    bool one = false;
    run_id id;
    parts without;
};

namespace detail {

inline bool number(std::string_view text, std::uint64_t& out) {
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    return ec == std::errc{} && end == text.data() + text.size();
}

// "3,7-9" into the set of those numbers.
inline bool ranges(std::string_view text, parts& out) {
    while (!text.empty()) {
        const std::string_view one = text.substr(0, text.find(','));
        text.remove_prefix((std::min)(one.size() + 1, text.size()));
        const std::size_t dash = one.find('-');
        std::uint64_t from = 0;
        if (!number(one.substr(0, dash), from)) return false;
        std::uint64_t to = from;
        if (dash != std::string_view::npos && !number(one.substr(dash + 1), to)) return false;
        if (to < from || to - from > 100'000) return false;
        for (std::uint64_t i = from; i <= to; ++i) out.insert(static_cast<std::size_t>(i));
    }
    return true;
}

// "reset@12".
inline bool planned_fault(std::string_view text, run_id& out) {
    const std::size_t at = text.find('@');
    const auto word = std::find(fault_words.begin(), fault_words.end(), text.substr(0, at));
    if (at == std::string_view::npos || word == fault_words.end()) return false;
    out.what = static_cast<fault>(word - fault_words.begin());
    return number(text.substr(at + 1), out.operation);
}

inline bool take(arguments& a, std::string_view name, std::string_view value) {
    if (name == "--seeds") return number(value, a.seeds);
    if (name == "--seconds") return number(value, a.seconds);
    if (name == "--first") return number(value, a.first);
    if (name == "--jobs") return number(value, a.jobs);
    if (name == "--without") return ranges(value, a.without);
    if (name == "--fault") return planned_fault(value, a.id);
    if (name == "--until") return a.until = value, !value.empty();
    if (name == "--keep") return a.keep = value, !value.empty();
    if (name == "--seed") return a.one = true, number(value, a.id.seed);
    return false;
}

}  // namespace detail

// "3,7-9" of the set of those numbers.
inline std::string ranges(const parts& all) {
    std::string out;
    for (auto at = all.begin(); at != all.end();) {
        std::size_t last = *at;
        const std::size_t from = *at++;
        while (at != all.end() && *at == last + 1) last = *at++;
        out += (out.empty() ? "" : ",") + std::to_string(from);
        if (last != from) out += "-" + std::to_string(last);
    }
    return out;
}

// Nothing where they make no sense.
inline std::optional<arguments> parse(int argc, char** argv) {
    arguments a;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--faults") a.faults = true;
        else if (name == "--recorded") a.recorded = true;
        else if (i + 1 == argc || !detail::take(a, name, argv[++i])) return std::nullopt;
    }
    if (!a.one && (a.id.what || !a.without.empty())) return std::nullopt;
    return a;
}

}  // namespace simulation
