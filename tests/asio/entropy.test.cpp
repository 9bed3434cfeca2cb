#include <sansocket_asio/entropy.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>

TEST_CASE("entropy: all of a seed comes from the system, and no seed comes twice (RFC 6455 5.3)") {
    constexpr int seeds = 64;
    std::array<bool, 32> changes{};
    std::set<std::array<std::byte, 32>> seen;
    const auto first = sansocket_asio::system_seed();
    for (int i = 0; i != seeds; ++i) {
        const auto seed = sansocket_asio::system_seed();
        seen.insert(seed);
        for (std::size_t at = 0; at != seed.size(); ++at)
            changes[at] = changes[at] || seed[at] != first[at];
    }
    CHECK(seen.size() == seeds);
    CHECK(std::all_of(changes.begin(), changes.end(), [](bool b) { return b; }));
    CHECK_FALSE(seen.contains(first));
}

TEST_CASE("entropy: no two sources give the same keys (RFC 6455 10.3)") {
    auto one = sansocket_asio::system_keys();
    auto other = sansocket_asio::system_keys();
    CHECK(one() != other());
}
