#include <sansocket/detail/algorithm.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace sansocket;

TEST_CASE("algorithm: the smaller and the larger of two") {
    STATIC_REQUIRE(detail::smaller_of(2, 3) == 2);
    STATIC_REQUIRE(detail::smaller_of(3, 2) == 2);
    STATIC_REQUIRE(detail::larger_of(2, 3) == 3);
    STATIC_REQUIRE(detail::larger_of(3, 2) == 3);
}

TEST_CASE("algorithm: bytes are copied, and none from nowhere") {
    constexpr std::array<std::byte, 3> from = {std::byte{1}, std::byte{2}, std::byte{3}};
    std::array<std::byte, 4> to{};
    detail::copy_bytes(from, to.data());
    CHECK(to == std::array<std::byte, 4>{std::byte{1}, std::byte{2}, std::byte{3}});
    detail::copy_bytes({}, nullptr);
}

TEST_CASE("algorithm: a list contains its texts") {
    const std::vector<std::string> texts = {"a", "bc"};
    CHECK(detail::contains(texts, "a"));
    CHECK(detail::contains(texts, "bc"));
    CHECK_FALSE(detail::contains(texts, "b"));
    CHECK_FALSE(detail::contains(std::vector<std::string_view>{}, ""));
}
