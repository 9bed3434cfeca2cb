#include <sansocket/detail/byte_block.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <cstdint>

using namespace sansocket::detail;
using support::byte_vector;
using support::hex;

namespace {

// What every block must do, at any address.
template <class Block>
void check_block() {
    constexpr std::uint32_t pattern = 0x04030201;
    byte_vector memory(Block::size + 2, std::byte{0x11});

    Block::repeat(pattern).store(memory.data() + 1);

    CHECK(memory.front() == std::byte{0x11});
    CHECK(memory.back() == std::byte{0x11});
    for (std::size_t i = 0; i != Block::size; ++i) CHECK(memory[1 + i] == memory[1 + i % 4]);

    const Block loaded = Block::load(memory.data() + 1);
    CHECK(loaded.all_ascii());
    for (std::size_t i = 0; i != Block::size; ++i) {
        memory[1 + i] |= std::byte{0x80};
        const Block spoilt = Block::load(memory.data() + 1);
        CHECK_FALSE(spoilt.all_ascii());
        CHECK_FALSE((loaded | spoilt).all_ascii());
        CHECK_FALSE((loaded ^ spoilt).all_ascii());
        CHECK((spoilt ^ spoilt).all_ascii());
        memory[1 + i] &= std::byte{0x7f};
    }
}

}  // namespace

TEST_CASE("byte_block: words of 4 and of 8 bytes") {
    check_block<word_block<std::uint32_t>>();
    check_block<word_block<std::uint64_t>>();
}

TEST_CASE("byte_block: the widest there is") { check_block<widest_block>(); }

TEST_CASE("byte_block: repeated bytes keep their order in memory") {
    const auto in_order = hex("37 fa 21 3d");
    const auto word = word_block<std::uint32_t>::load(in_order.data()).value;
    byte_vector memory(widest_block::size);

    widest_block::repeat(word).store(memory.data());

    for (std::size_t i = 0; i != memory.size(); ++i) CHECK(memory[i] == in_order[i % 4]);
}
