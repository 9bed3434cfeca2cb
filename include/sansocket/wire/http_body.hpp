// http_body.hpp
//
// Reads the body of an HTTP/1.1 response up to a limit: where it ends is said by
// its head, or by the end of the stream. RFC 9112 6.3.
//
// It is for people to read: why a server did not do as it was asked. So what is
// wrong in it is no error: the body ends there, cut.
//
// Knows nothing of: WebSocket, time. Section numbers in this file refer to RFC 9112
// unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/ascii.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_chunks.hpp>
#include <sansocket/wire/http_head.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sansocket {

/// The body of one response, in part where it is longer than the limit. 6.
class http_body {
public:
    /// No body.
    http_body() = default;

    /// The body of `response`: none behind 1xx, 204 and 304; chunked; as long as Content-Length
    /// says; else up to the end of the stream, as with a transfer coding that is not known. 6.3.
    ///
    /// @param limit  bytes of it that are kept; with 0 none is waited for.
    http_body(const http_head& response, std::size_t limit);

    /// Takes bytes of the body.
    ///
    /// @return errc::ok once it is over: complete, past the limit, or no longer to be understood;
    ///         else errc::need_more.
    http_progress receive(std::span<const std::byte> in);

    /// No more will come. `how`: errc::end_of_stream where the stream ended in order, which
    /// completes a body that has no other end.
    void end(errc how) noexcept;

    /// Whether no more is awaited.
    [[nodiscard]] bool over() const noexcept { return framing_ == framing::over; }
    /// Whether more of it was announced, or may have followed, than was kept.
    [[nodiscard]] bool cut() const noexcept { return cut_; }
    /// What was kept of it. Lives until this object is changed, moved or destroyed.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }
    /// Moves it out.
    [[nodiscard]] std::string take() noexcept { return std::exchange(text_, {}); }
    /// Bytes of memory held, this object not counted.
    [[nodiscard]] std::size_t memory() const noexcept { return text_.capacity(); }

private:
    enum class framing : std::uint8_t { over, length, chunks, stream };

    static framing framing_of(const http_head& response) noexcept;
    void stop(bool cut) noexcept {
        framing_ = framing::over;
        cut_ = cut;
    }
    bool keep(std::span<const std::byte> piece);
    void receive_length(std::span<const std::byte>& in);
    void receive_chunks(std::span<const std::byte>& in);
    void receive_stream(std::span<const std::byte>& in);

    framing framing_ = framing::over;
    bool cut_ = false;
    std::size_t limit_ = 0;
    std::uint64_t length_ = 0;  // what is still to come, by Content-Length
    http_chunks chunks_;
    std::string text_;
};

// 6.3, rules 1 to 8 as far as they are about a response to GET.
inline http_body::framing http_body::framing_of(const http_head& response) noexcept {
    const std::uint16_t status = response.status();
    if (status < 200 || status == 204 || status == 304) return framing::over;
    if (const auto coding = response.find("Transfer-Encoding")) {
        const bool once = response.count("Transfer-Encoding") == 1;
        return once && detail::iequals(*coding, "chunked") ? framing::chunks : framing::stream;
    }
    return response.find("Content-Length") ? framing::length : framing::stream;
}

inline http_body::http_body(const http_head& response, std::size_t limit)
    : framing_(framing_of(response)), limit_(limit) {
    if (framing_ == framing::length) {
        const std::string_view digits = response.find("Content-Length").value_or("");
        for (const char c : digits) {
            constexpr std::uint64_t plenty = std::uint64_t{1} << 59U;  // of which the limit is left
            if (length_ < plenty) length_ = length_ * 10 + static_cast<unsigned>(c - '0');
        }
        if (length_ == 0) stop(false);
    }
    if (framing_ != framing::over && limit_ == 0) stop(true);
}

inline http_progress http_body::receive(std::span<const std::byte> in) {
    const std::size_t all = in.size();
    switch (framing_) {
    case framing::over: break;
    case framing::length: receive_length(in); break;
    case framing::chunks: receive_chunks(in); break;
    case framing::stream: receive_stream(in); break;
    }
    return {all - in.size(), over() ? errc::ok : errc::need_more};
}

inline void http_body::end(errc how) noexcept {
    if (over()) return;
    stop(framing_ != framing::stream || how != errc::end_of_stream);
}

// False where it passes the limit.
inline bool http_body::keep(std::span<const std::byte> piece) {
    const std::size_t n = detail::smaller_of(piece.size(), limit_ - text_.size());
    text_.append(reinterpret_cast<const char*>(piece.data()), n);
    return n == piece.size();
}

inline void http_body::receive_length(std::span<const std::byte>& in) {
    const auto piece =
        in.first(static_cast<std::size_t>(detail::smaller_of<std::uint64_t>(in.size(), length_)));
    in = in.subspan(piece.size());
    length_ -= piece.size();
    const bool fits = keep(piece);
    // Of a body that is known to be too long, the rest is not waited for.
    if (!fits || (length_ != 0 && text_.size() == limit_)) return stop(true);
    if (length_ == 0) stop(false);
}

inline void http_body::receive_chunks(std::span<const std::byte>& in) {
    while (!over()) {
        std::span<const std::byte> piece;
        switch (chunks_.next(in, piece)) {
        case chunk_step::need_more: return;
        case chunk_step::data:
            if (!keep(piece) || (chunks_.remaining() != 0 && text_.size() == limit_)) stop(true);
            break;
        case chunk_step::last: stop(false); break;
        case chunk_step::invalid: stop(true); break;
        }
    }
}

inline void http_body::receive_stream(std::span<const std::byte>& in) {
    if (!keep(std::exchange(in, {}))) stop(true);
}

}  // namespace sansocket
