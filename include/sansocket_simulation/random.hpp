// random.hpp
//
// Numbers drawn from a seed: the same on every platform, compiler and day.
//
// The distributions of the standard library differ from one library to the
// next, so none is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sansocket_simulation {

/// A small generator (splitmix64). Not for secrets.
class random_source {
public:
    /// The same seed gives the same numbers.
    explicit constexpr random_source(std::uint64_t seed) noexcept : seed_(seed), state_(seed) {}

    /// The next 64 bits.
    constexpr std::uint64_t operator()() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

    /// A number from 0 to `n - 1`; 0 where `n` is 0.
    constexpr std::uint64_t below(std::uint64_t n) noexcept {
        const std::uint64_t drawn = (*this)();
        if (n >> 32U == 0) return ((drawn >> 32U) * n) >> 32U;
        return drawn % n;
    }
    /// A number from `least` to `most`, both included.
    constexpr std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
        return least + below(most - least + 1);
    }
    /// True in `percent` of 100 cases.
    constexpr bool chance(std::uint64_t percent) noexcept { return below(100) < percent; }
    /// One of `all`.
    template <class T, std::size_t N>
    constexpr T pick(const std::array<T, N>& all) noexcept {
        return all[static_cast<std::size_t>(below(N))];
    }

    /// A generator of its own for purpose number `n`: how much is drawn from one changes no other.
    [[nodiscard]] constexpr random_source fork(std::uint64_t n) const noexcept {
        random_source mixed(seed_ ^ (n + 1) * 0xd6e8feb86659fd93U);
        return random_source(mixed());
    }

private:
    std::uint64_t seed_;
    std::uint64_t state_;
};

}  // namespace sansocket_simulation
