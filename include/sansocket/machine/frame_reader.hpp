// frame_reader.hpp
//
// Transport bytes into frames: a header, then its payload in the pieces in
// which it arrives. RFC 6455 5.2.
//
// A piece is a view of the caller's bytes, still masked: whoever takes it
// unmasks it to where it is going, so that no byte is moved twice. The only
// bytes kept here are those of a header that is not whole.
//
// The common frame (FIN, text or binary, under 126 bytes, whole) is recognised
// by its first two bytes; all else goes the long way round.
//
//     while (!in.empty()) {
//         frame_piece piece;
//         if (reader.next(in, piece) != errc::ok) ...   // need_more, or the connection fails
//         ...                                           // take piece.payload
//     }
//
// Knows nothing of: messages, fragments' order, what a payload means.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/frame_piece.hpp>
#include <sansocket/wire/masking.hpp>
#include <sansocket/wire/role.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace sansocket {

/// Reads frames sent to an endpoint of role `Role`.
///
/// @tparam Rsv1  what RSV1 may come to mean, once `allow_compressed` was called.
template <role Role, rsv1 Rsv1 = rsv1::reserved>
class frame_reader {
    static constexpr bool compressible = Rsv1 == rsv1::compressed;
    struct nothing {};

public:
    /// What `next` finds; where RSV1 has a meaning, it says which it was.
    using piece_type = std::conditional_t<compressible, compressible_piece, frame_piece>;

    /// From now on RSV1 says that a message is compressed. RFC 7692 6.
    void allow_compressed() noexcept requires(Rsv1 == rsv1::compressed) { meaning_ = Rsv1; }

    /// Takes the next piece from the front of `in`. 5.2.
    ///
    /// @param in   bytes from the transport; what is taken is cut off its front.
    /// @param out  the piece, set when success is returned; its payload views the bytes taken and
    ///             may be empty (an empty frame, or a header whose payload has not come).
    /// @return success; errc::need_more when `in` is used up inside a header; or what
    ///         `parse_frame_header` names, for good: every later call returns the same.
    [[nodiscard]] SANSOCKET_ALWAYS_INLINE errc next(std::span<std::byte>& in,
                                                    piece_type& out) noexcept;

    /// Whether the bytes so far end inside a frame.
    [[nodiscard]] bool inside_frame() const noexcept {
        return held_size_ != 0 || state_ == state::payload;
    }

private:
    enum class state : std::uint8_t { header, payload, failed };

    static constexpr bool masked = Role == role::server;
    static constexpr std::size_t short_header = masked ? 6 : 2;  // 2, and 4 of masking key

    SANSOCKET_NOINLINE errc next_slowly(std::span<std::byte>& in, piece_type& out) noexcept;
    errc read_header(std::span<std::byte>& in, piece_type& out) noexcept;
    void read_payload(std::span<std::byte>& in, piece_type& out) noexcept;
    [[nodiscard]] frame_header_result parse(std::span<const std::byte> in) const noexcept {
        if constexpr (compressible)
            if (meaning_ == Rsv1) return parse_frame_header<Rsv1>(in, Role);
        return parse_frame_header(in, Role);
    }

    state state_ = state::header;
    // Facts that decide no transition.
    errc failure_ = errc::ok;
    std::uint8_t held_size_ = 0;
    std::array<std::byte, max_frame_header_size> held_{};  // a header that is not whole
    frame_header current_{};
    std::uint64_t left_ = 0;  // payload bytes of the current frame still to come
    SANSOCKET_NO_UNIQUE_ADDRESS std::conditional_t<compressible, rsv1, nothing> meaning_{};
};

template <role Role, rsv1 Rsv1>
SANSOCKET_ALWAYS_INLINE errc frame_reader<Role, Rsv1>::next(std::span<std::byte>& in,
                                                            piece_type& out) noexcept {
    if (state_ == state::header && held_size_ == 0 && in.size() >= short_header) [[likely]] {
        const auto first = std::to_integer<std::uint8_t>(in[0]);
        const auto second = std::to_integer<std::uint8_t>(in[1]);
        const std::size_t length =
            masked ? second ^ 0x80U : second;  // a wrong mask bit makes it 128+
        if ((first == 0x81U || first == 0x82U) && length < 126 &&
            in.size() - short_header >= length) [[likely]] {
            out.opcode = static_cast<opcode>(first & 0x0FU);
            out.fin = out.first = out.last = true;
            out.payload_length = length;
            out.payload_left = 0;
            if constexpr (compressible) out.compressed = false;
            if constexpr (masked) out.key = masking_key{in[2], in[3], in[4], in[5]};
            out.payload = in.subspan(short_header, length);
            in = in.subspan(short_header + length);
            return errc::ok;
        }
    }
    return next_slowly(in, out);
}

template <role Role, rsv1 Rsv1>
errc frame_reader<Role, Rsv1>::next_slowly(std::span<std::byte>& in, piece_type& out) noexcept {
    switch (state_) {
    case state::failed: return failure_;
    case state::header:
        if (const errc ec = read_header(in, out); ec != errc::ok) return ec;
        read_payload(in, out);
        return errc::ok;
    case state::payload:
        if (in.empty()) return errc::need_more;
        out.first = false;
        read_payload(in, out);
        return errc::ok;
    }
    SANSOCKET_UNREACHABLE();
}

template <role Role, rsv1 Rsv1>
errc frame_reader<Role, Rsv1>::read_header(std::span<std::byte>& in, piece_type& out) noexcept {
    frame_header_result parsed;
    std::size_t used = 0;
    if (held_size_ == 0) {
        parsed = parse(in);
        used = parsed.size;
    } else {  // byte by byte: the rest of the header is a few bytes at most
        while (parsed.ec == errc::need_more && used != in.size()) {
            held_[held_size_++] = in[used++];
            parsed = parse({held_.data(), held_size_});
        }
    }
    if (parsed.ec == errc::need_more) {
        if (held_size_ == 0) {
            detail::copy_bytes(in, held_.data());
            held_size_ = static_cast<std::uint8_t>(in.size());
        }
        in = {};
        return errc::need_more;
    }
    if (parsed.ec != errc::ok) {
        failure_ = parsed.ec;
        state_ = state::failed;
        return parsed.ec;
    }
    in = in.subspan(used);
    held_size_ = 0;
    current_ = parsed.value;
    left_ = current_.payload_length;
    out.first = true;
    return errc::ok;
}

template <role Role, rsv1 Rsv1>
void frame_reader<Role, Rsv1>::read_payload(std::span<std::byte>& in, piece_type& out) noexcept {
    const auto size = static_cast<std::size_t>(detail::smaller_of(left_, std::uint64_t{in.size()}));
    out.opcode = current_.opcode;
    if constexpr (compressible) out.compressed = current_.compressed;
    out.fin = current_.fin;
    out.payload_length = current_.payload_length;
    if constexpr (masked) {
        out.key = rotated(*current_.key, static_cast<std::size_t>(current_.payload_length - left_));
    }
    out.payload = in.first(size);
    in = in.subspan(size);
    left_ -= size;
    out.payload_left = left_;
    out.last = left_ == 0;
    state_ = out.last ? state::header : state::payload;
}

}  // namespace sansocket
