// scheduler.hpp
//
// Virtual time: things that are to happen, the earliest first. Time does not
// pass, it jumps from one to the next. What happens at one moment happens in the
// order in which it was asked for, so that a run can be repeated exactly.
#pragma once

#include <sansocket/wire/time.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sansocket_simulation {

using sansocket::duration;
using sansocket::time_point;

/// A clock, and what is to happen.
class scheduler {
public:
    /// Something that is to happen; 0 is nothing.
    using event = std::uint64_t;

    scheduler() = default;
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;
    ~scheduler() = default;

    [[nodiscard]] time_point now() const noexcept { return now_; }  ///< The time.

    /// `what` is to happen at `when`, now if that is past, not at all if that is `never`.
    event at(time_point when, std::function<void()> what) {
        if (when == sansocket::never) return 0;
        if (free_.empty()) {
            free_.push_back(slots_.size());
            slots_.emplace_back();
        }
        const std::size_t slot = free_.back();
        free_.pop_back();
        slots_[slot].what = std::move(what);
        heap_.push_back({(std::max)(when, now_), ++number_, slot, slots_[slot].turn});
        std::push_heap(heap_.begin(), heap_.end(), later);
        ++waiting_;
        return std::uint64_t{slots_[slot].turn} << 32U | (slot + 1);
    }
    /// `what` is to happen once `span` has passed.
    event after(duration span, std::function<void()> what) {
        return at(now_ + span, std::move(what));
    }
    /// `which` will not happen, if it has not yet; afterwards it is nothing.
    void cancel(event& which) noexcept {
        const event e = std::exchange(which, 0);
        if (e == 0) return;
        const auto slot = static_cast<std::size_t>(e & 0xffffffffU) - 1;
        if (slots_[slot].turn == e >> 32U) release(slot);
    }

    /// Lets the next thing happen. False if nothing is left to happen until `until`; it is `until`
    /// then, unless that is `never`.
    bool step(time_point until = sansocket::never) {
        while (!heap_.empty() && slots_[heap_.front().slot].turn != heap_.front().turn) drop_top();
        if (heap_.empty() || heap_.front().when > until) {
            if (until != sansocket::never) now_ = (std::max)(now_, until);
            return false;
        }
        const std::size_t slot = heap_.front().slot;
        now_ = heap_.front().when;
        drop_top();
        const auto what = std::move(slots_[slot].what);
        release(slot);
        ++happened_;
        what();
        return true;
    }

    /// Whether nothing is left to happen.
    [[nodiscard]] bool quiet() const noexcept { return waiting_ == 0; }
    /// How many things have happened.
    [[nodiscard]] std::uint64_t happened() const noexcept { return happened_; }

private:
    struct entry {
        time_point when;
        std::uint64_t number;
        std::size_t slot;
        std::uint32_t turn;
    };
    struct place {
        std::function<void()> what;
        std::uint32_t turn = 1;
    };

    static bool later(const entry& a, const entry& b) noexcept {
        return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
    void drop_top() noexcept {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        heap_.pop_back();
    }
    void release(std::size_t s) noexcept {
        slots_[s].what = nullptr;
        ++slots_[s].turn;
        free_.push_back(s);
        --waiting_;
    }

    time_point now_{std::chrono::hours{1}};
    std::vector<entry> heap_;
    std::vector<place> slots_;
    std::vector<std::size_t> free_;
    std::uint64_t number_ = 0;
    std::uint64_t happened_ = 0;
    std::size_t waiting_ = 0;
};

}  // namespace sansocket_simulation
