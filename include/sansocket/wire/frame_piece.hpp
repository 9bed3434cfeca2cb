// frame_piece.hpp
//
// What the frame reader hands on: a frame, or the part of one that arrived.
// RFC 6455 5.2. A value; it owns nothing.
#pragma once

#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/masking.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace sansocket {

/// A frame, or as much of one as has arrived.
struct frame_piece {
    /// What the frame is.
    sansocket::opcode opcode = sansocket::opcode::continuation;
    bool fin = false;    ///< FIN of the frame that this is a piece of.
    bool first = false;  ///< The frame's header ends right before `payload`.
    bool last = false;   ///< The frame's payload ends with `payload`.
    masking_key key{};   ///< For `payload[0]` onwards. Zero where frames are unmasked.
    std::uint64_t payload_length = 0;  ///< Of the whole frame, bytes.
    std::uint64_t payload_left = 0;    ///< Of the frame, bytes behind `payload`.
    std::span<std::byte> payload;      ///< A view of the input, masked as it came.
};

/// The same where RSV1 has a meaning. RFC 7692 6.
struct compressible_piece : frame_piece {
    bool compressed = false;  ///< RSV1 of the frame that this is a piece of.
};

}  // namespace sansocket
