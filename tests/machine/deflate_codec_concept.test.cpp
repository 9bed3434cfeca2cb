#include <sansocket/machine/deflate_codec_concept.hpp>

#include "support/catch.hpp"
#include "support/stored_deflate.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

using namespace sansocket;
using support::stored_compressor;
using support::stored_decompressor;
using support::stored_deflate;

namespace {

template <class Compressor, class Decompressor>
struct codec {
    static constexpr bool enabled = true;
    using compressor = Compressor;
    using decompressor = Decompressor;
};

struct without_begin : stored_compressor {
    using stored_compressor::stored_compressor;
    bool begin() = delete;
};
struct throwing_reset : stored_compressor {
    using stored_compressor::stored_compressor;
    void reset() noexcept(false) {}
};
struct without_position : stored_decompressor {
    using stored_decompressor::stored_decompressor;
    deflate_position position() const noexcept = delete;
};
struct without_memory : stored_decompressor {
    using stored_decompressor::stored_decompressor;
    std::size_t memory() const noexcept = delete;
};
struct forgetful : stored_compressor {
    using stored_compressor::stored_compressor;
    static constexpr std::uint8_t smallest_window = 11;
    static constexpr bool keeps_context = false;
};

}  // namespace

static_assert(std::is_empty_v<no_deflate>);
static_assert(deflate_codec<no_deflate>);
static_assert(deflate_codec<stored_deflate>);
static_assert(deflate_codec<codec<forgetful, stored_decompressor>>);
static_assert(!deflate_codec<codec<without_begin, stored_decompressor>>);
static_assert(!deflate_codec<codec<throwing_reset, stored_decompressor>>);
static_assert(!deflate_codec<codec<stored_compressor, without_position>>);
static_assert(!deflate_codec<codec<stored_compressor, without_memory>>);
static_assert(!deflate_codec<codec<stored_decompressor, stored_compressor>>);

TEST_CASE("deflate_codec: what is wanted is cut to what the codec can do (RFC 7692 7.1)") {
    deflate_options wants;
    wants.enabled = true;
    wants.threshold = 7;
    CHECK(!wants_with<no_deflate>(wants).enabled);
    const deflate_options all = wants_with<stored_deflate>(wants);
    CHECK(all.enabled);
    CHECK(all.threshold == 7);
    CHECK(all.smallest_own_window == 9);
    CHECK(all.own_context_takeover);
    const deflate_options less = wants_with<codec<forgetful, stored_decompressor>>(wants);
    CHECK(less.smallest_own_window == 11);
    CHECK(!less.own_context_takeover);
    CHECK(less.peer_context_takeover);
}
