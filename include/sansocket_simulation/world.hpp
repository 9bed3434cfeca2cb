// world.hpp
//
// A simulated world: virtual time, links, a story, and the seed from which all
// that is left to chance is drawn. The same seed and the same program give the
// same run, event by event.
#pragma once

#include <sansocket_simulation/link_options.hpp>
#include <sansocket_simulation/network.hpp>
#include <sansocket_simulation/random.hpp>
#include <sansocket_simulation/scheduler.hpp>
#include <sansocket_simulation/story.hpp>

#include <sansocket/masking_keys.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sansocket_simulation {

/// Everything that endpoints share. It outlives them.
class world {
public:
    /// @param keep_story  whether `tell().text()` is wanted.
    explicit world(std::uint64_t seed, bool keep_story = false)
        : random_(seed), story_(keep_story) {}
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    ~world() = default;

    /// A new link, with the same behaviour in both directions. It lives as long as the world.
    network_link& connect(const link_options& both = {}) { return connect(both, both); }
    /// A new link: `there` from its first end to its second, `back` the other way.
    network_link& connect(const link_options& there, const link_options& back) {
        const std::uint64_t number = links_.size();
        links_.push_back(std::make_unique<network_link>(time_, draw_for(number), there, back));
        const std::string name = "link " + std::to_string(number);
        links_.back()->on_fault([this, name](fault what, std::size_t side) {
            story_.tell(now(), name, name_of(what), side);
        });
        return *links_.back();
    }

    /// Lets things happen until nothing is left to happen.
    ///
    /// @param most  things that may happen before it is called endless.
    /// @return whether it became quiet. A keepalive keeps it busy as long as a connection is open.
    bool run(std::uint64_t most = 1'000'000) {
        const std::uint64_t end = time_.happened() + most;
        while (time_.happened() != end)
            if (!time_.step()) return true;
        return time_.quiet();
    }
    /// Lets things happen for `span` of virtual time, and no more than `most` of them.
    ///
    /// @return whether the time was reached.
    bool run_for(duration span, std::uint64_t most = 1'000'000) {
        const time_point until = now() + span;
        const std::uint64_t end = time_.happened() + most;
        while (time_.happened() != end)
            if (!time_.step(until)) return true;
        return false;
    }

    /// `what` happens once `span` of virtual time has passed.
    void after(duration span, std::function<void()> what) { time_.after(span, std::move(what)); }

    [[nodiscard]] time_point now() const noexcept { return time_.now(); }  ///< The time.
    /// How many things have happened.
    [[nodiscard]] std::uint64_t happened() const noexcept { return time_.happened(); }
    [[nodiscard]] scheduler& time() noexcept { return time_; }  ///< The clock.
    /// For what the program under test leaves to chance.
    [[nodiscard]] random_source& random() noexcept { return random_; }
    /// @{
    /// The story of all that happens.
    [[nodiscard]] story& tell() noexcept { return story_; }
    [[nodiscard]] const story& told() const noexcept { return story_; }
    /// @}

    /// Masking keys for a client. Nobody has to guess them here.
    [[nodiscard]] sansocket::chacha_keys keys() { return sansocket::chacha_keys(key_seed()); }
    /// What they are made from, for a client that is recorded.
    [[nodiscard]] std::array<std::byte, 32> key_seed() {
        std::array<std::byte, 32> seed{};
        for (std::byte& b : seed) b = static_cast<std::byte>(random_());
        return seed;
    }
    /// A generator of its own, for endpoint or link number `n`.
    [[nodiscard]] random_source draw_for(std::uint64_t n) const noexcept { return random_.fork(n); }

private:
    random_source random_;
    scheduler time_;
    story story_;
    std::vector<std::unique_ptr<network_link>> links_;
};

}  // namespace sansocket_simulation
