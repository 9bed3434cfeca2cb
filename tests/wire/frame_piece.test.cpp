#include <sansocket/wire/frame_piece.hpp>

#include "support/catch.hpp"

#include <type_traits>

using namespace sansocket;

static_assert(std::is_trivially_copyable_v<frame_piece>);
static_assert(std::is_trivially_copyable_v<compressible_piece>);
static_assert(!compressible_piece{}.compressed);

TEST_CASE("frame_piece: nothing, until the frame reader says otherwise") {
    const frame_piece piece;

    CHECK(piece.payload.empty());
    CHECK(piece.payload_length == 0);
    CHECK(piece.payload_left == 0);
    CHECK(piece.key == masking_key{});
    CHECK(!piece.fin);
    CHECK(!piece.first);
    CHECK(!piece.last);
}
