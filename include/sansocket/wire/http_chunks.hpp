// http_chunks.hpp
//
// Takes the chunked coding of a body apart: bytes in, pieces of the body out,
// views of what came in. RFC 9112 7.1.
//
// Strict, as the parser of heads is. The body is over with the line of its last
// chunk: the trailers behind it are not read.
//
// Knows nothing of: heads, limits of a body, connections.
// Section numbers in this file refer to RFC 9112.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace sansocket {

/// What `http_chunks::next` came upon.
enum class chunk_step : std::uint8_t {
    need_more,  ///< The input is used up inside the body.
    data,       ///< A piece of the body.
    last,       ///< The last chunk: the body is complete.
    invalid,    ///< What follows is no chunked coding.
};

/// Reads one chunked body. 7.1.
///
/// Refused are a size of more than 15 digits, a chunk's line of more than 256 bytes with its
/// extensions, a control character in it, and a line end that is not CRLF. Allocates nothing.
class http_chunks {
public:
    /// Takes framing and at most one piece of the body from the front of `in`.
    ///
    /// @param piece  the piece where the answer is `data`, never empty: a view of `in`.
    /// @return `need_more` once `in` is empty; `last` and `invalid` stay, and nothing more is taken.
    [[nodiscard]] chunk_step next(std::span<const std::byte>& in,
                                  std::span<const std::byte>& piece) noexcept;

    /// Bytes of the present chunk that are still to come; 0 between two chunks.
    [[nodiscard]] std::uint64_t remaining() const noexcept {
        return state_ == state::data ? size_ : 0;
    }

private:
    enum class state : std::uint8_t {
        size,
        extension,
        size_line_feed,
        data,
        data_end,
        data_line_feed,
        complete,
        failed,
    };

    void move(state to) noexcept { state_ = to; }
    void read(char c) noexcept;
    void read_size(char c) noexcept;
    void read_line_feed(char c, state next) noexcept { move(c == '\n' ? next : state::failed); }

    state state_ = state::size;
    // Decide no transition but by the limits, and by whether a size is there and is 0.
    std::uint8_t digits_ = 0;
    std::uint16_t line_ = 0;  // bytes of this chunk's line
    std::uint64_t size_ = 0;  // of this chunk; what is left of it while its data come
};

inline chunk_step http_chunks::next(std::span<const std::byte>& in,
                                    std::span<const std::byte>& piece) noexcept {
    while (!in.empty() && state_ != state::complete && state_ != state::failed) {
        if (state_ != state::data) {
            read(static_cast<char>(in[0]));
            in = in.subspan(1);
            continue;
        }
        piece =
            in.first(static_cast<std::size_t>(detail::smaller_of<std::uint64_t>(in.size(), size_)));
        in = in.subspan(piece.size());
        size_ -= piece.size();
        if (size_ == 0) move(state::data_end);
        return chunk_step::data;
    }
    if (state_ == state::complete) return chunk_step::last;
    return state_ == state::failed ? chunk_step::invalid : chunk_step::need_more;
}

// One byte of framing.
inline void http_chunks::read(char c) noexcept {
    switch (state_) {
    case state::size: return read_size(c);
    case state::extension:
        // 7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
        if (c == '\r') return move(state::size_line_feed);
        if (++line_ > 256 || !detail::is(detail::char_class::field_value, c)) move(state::failed);
        return;
    case state::size_line_feed:
        return read_line_feed(c, size_ == 0 ? state::complete : state::data);
    case state::data_end: return move(c == '\r' ? state::data_line_feed : state::failed);
    case state::data_line_feed:
        digits_ = 0;
        line_ = 0;
        return read_line_feed(c, state::size);
    case state::data:
    case state::complete:
    case state::failed: return;
    }
}

// 1*HEXDIG
inline void http_chunks::read_size(char c) noexcept {
    constexpr std::uint8_t most_digits = 15;
    if (detail::is(detail::char_class::hex_digit, c) && digits_ != most_digits) {
        const char lower = detail::to_lower(c);
        const int value = lower <= '9' ? lower - '0' : lower - 'a' + 10;
        size_ = size_ * 16 + static_cast<unsigned>(value);
        ++digits_;
        return;
    }
    if (digits_ == 0) return move(state::failed);
    if (c == '\r') return move(state::size_line_feed);
    move(c == ';' || detail::is_ows(c) ? state::extension : state::failed);
}

}  // namespace sansocket
