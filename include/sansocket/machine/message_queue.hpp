// message_queue.hpp
//
// The usual message queue: as large as it must be, within its limits.
//
// Messages lie one behind the other in one block of memory, each behind a word
// that holds its size and kind, so that neither putting in nor taking out
// allocates once the block has grown to its working size.
//
// Knows nothing of: frames, roles, why reading is paused elsewhere.
#pragma once

#include <sansocket/detail/byte_buffer.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/machine/message_queue_concept.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace sansocket {

/// The usual queue: as large as it must be, bounded by `queue_limits`.
template <class Allocator = std::allocator<std::byte>>
class message_queue {
public:
    static constexpr bool copies = true;  ///< `push` copies.

    /// A queue with these marks. Allocates nothing before the first message.
    explicit message_queue(const queue_limits& limits = {},
                           const Allocator& allocator = {}) noexcept
        : fill_(limits), buffer_(allocator) {}

    /// What is moved from is empty; it has ended if it had.
    message_queue(message_queue&& other) noexcept
        : fill_(other.fill_),
          buffer_(std::move(other.buffer_)),
          head_(std::exchange(other.head_, 0)),
          partial_(std::exchange(other.partial_, none)),
          given_(std::exchange(other.given_, 0)),
          begun_at_(std::exchange(other.begun_at_, none)),
          streams_(other.streams_),
          end_(other.end_) {
        other.fill_.clear();
    }
    message_queue& operator=(message_queue&& other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }

    /// Takes a message whole. False after the end; the message is dropped then.
    SANSOCKET_ALWAYS_INLINE bool push(message_kind kind, std::span<const std::byte> payload);

    /// A message begins. False after the end.
    bool begin(message_kind kind);
    /// Makes room at once for `n` bytes more of the message begun.
    void reserve(std::size_t n) {
        if (buffer_.room() < n && !streams_) grow(n);
    }
    /// Room for the next `n` bytes of the message begun; written before the next call.
    [[nodiscard]] std::byte* extend(std::size_t n);
    /// The last `n` bytes of that room are not needed.
    void retract(std::size_t n) noexcept {
        if (partial_ == none) return;
        buffer_.truncate(buffer_.size() - n);
        if (streams_ && size() == 0 && unfinished() == 0) [[unlikely]]
            fill_.release();
    }
    /// The message begun is complete.
    void finish() noexcept;
    /// The message begun will never be complete.
    void abandon() noexcept;

    /// Takes out the oldest message.
    ///
    /// @return a view that stays valid until the next call that puts in or takes out; nothing
    ///         where no message is queued, which also says that the last one is done with.
    [[nodiscard]] std::optional<message_view> pop() noexcept;

    /// Takes out what is there of the oldest message, its end too where it is complete.
    ///
    /// From here on, until a `pop` finds nothing, an unfinished message pauses reading at the high mark,
    /// too. `pop` takes the rest of a message of which pieces were taken.
    ///
    /// @return a view that stays valid as that of `pop` does; nothing where no byte is there.
    [[nodiscard]] std::optional<message_piece_view> pop_piece() noexcept;
    /// Whether messages are taken in pieces: nothing of an unfinished one piles up over the high mark.
    [[nodiscard]] bool gives_pieces() const noexcept { return streams_; }
    /// Whether `pop_piece` would give something.
    [[nodiscard]] bool piece_ready() const noexcept {
        return size() != 0 || (partial_ != none && unfinished() != 0);
    }

    /// Forgets every message.
    void clear() noexcept;
    /// No more will come. Only the first cause counts. The memory goes with the last message, once
    /// `pop` has given nothing.
    void end(errc cause) noexcept;
    /// Gives back memory that nothing lies in. Ends the validity of the view that `pop` gave.
    void shrink() noexcept {
        if (head_ == buffer_.size()) reset(0);
    }

    /// @{
    /// As `message_queue_for_connection` says.
    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof() && size() == 0; }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return fill_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return fill_.bytes(); }
    [[nodiscard]] bool paused() const noexcept { return fill_.paused(); }
    [[nodiscard]] bool settled() const noexcept {
        return size() == 0 && (buffer_.empty() || partial_ != none);
    }
    /// @}
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return buffer_.capacity(); }

private:
    using word = std::uint64_t;  // size << 1 | kind, before each payload
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr std::size_t keep =
        128 * 1024;  // bytes of capacity that a drain does not give back

    SANSOCKET_ALWAYS_INLINE std::byte* room(std::size_t n);
    SANSOCKET_NOINLINE void grow(std::size_t n);
    SANSOCKET_NOINLINE void settle() noexcept;
    SANSOCKET_NOINLINE void stop_streaming() noexcept {
        settle();
        streams_ = false;
        fill_.release();
    }
    void move_front(std::size_t to_front) noexcept;
    // Bytes of the message begun that were not given, where it is the oldest.
    std::size_t unfinished() const noexcept {
        return buffer_.size() - partial_ - sizeof(word) - given_;
    }
    void reset(std::size_t keep_at_most) noexcept;

    static word pack(message_kind kind, std::size_t size) noexcept {
        return word{size} << 1U | static_cast<word>(kind);
    }

    detail::queue_fill fill_;
    detail::byte_buffer<Allocator> buffer_;
    std::size_t head_ = 0;        // where the oldest message's word stands
    std::size_t partial_ = none;  // where the word of the message begun stands
    // Of a message that is taken in pieces.
    std::size_t given_ = 0;        // bytes of the message begun that the view of `pop_piece` shows
    std::size_t begun_at_ = none;  // where the word stands of the one whose beginning is gone
    bool streams_ = false;
    detail::queue_end end_;
};

template <class Allocator>
SANSOCKET_ALWAYS_INLINE std::byte* message_queue<Allocator>::room(std::size_t n) {
    if (buffer_.room() < n) [[unlikely]]
        grow(n);
    return buffer_.extend(n);
}

template <class Allocator>
void message_queue<Allocator>::grow(std::size_t n) {
    buffer_.make_room(n, head_, keep);
    move_front(head_);
}

// The buffer now begins where `n` was.
template <class Allocator>
void message_queue<Allocator>::move_front(std::size_t n) noexcept {
    begun_at_ = begun_at_ == n ? 0 : none;
    if (partial_ != none) partial_ -= n;
    head_ = 0;
}

// The piece that was given goes: the message's word moves behind it.
template <class Allocator>
void message_queue<Allocator>::settle() noexcept {
    if (given_ == 0) return;
    std::byte* const at = buffer_.data() + head_;
    std::memmove(at + given_, at, sizeof(word));
    head_ += std::exchange(given_, 0);
    partial_ = begun_at_ = head_;
}

template <class Allocator>
SANSOCKET_ALWAYS_INLINE bool message_queue<Allocator>::push(message_kind kind,
                                                            std::span<const std::byte> payload) {
    if (is_eof()) return false;
    std::byte* const to = room(sizeof(word) + payload.size());
    const word w = pack(kind, payload.size());
    std::memcpy(to, &w, sizeof w);
    if (!payload.empty()) std::memcpy(to + sizeof w, payload.data(), payload.size());
    fill_.add(payload.size() + message_overhead);
    return true;
}

template <class Allocator>
bool message_queue<Allocator>::begin(message_kind kind) {
    if (is_eof()) return false;
    std::byte* const to = room(sizeof(word));
    partial_ = static_cast<std::size_t>(to - buffer_.data());
    const word w = pack(kind, 0);
    std::memcpy(to, &w, sizeof w);
    return true;
}

template <class Allocator>
std::byte* message_queue<Allocator>::extend(std::size_t n) {
    if (partial_ == none) return nullptr;
    if (streams_) [[unlikely]]
        fill_.hold(unfinished() + n);
    return room(n);
}

template <class Allocator>
void message_queue<Allocator>::finish() noexcept {
    if (partial_ == none) return;
    if (given_ != 0) [[unlikely]]
        settle();
    std::byte* const at = buffer_.data() + std::exchange(partial_, none);
    const auto payload =
        static_cast<std::size_t>(buffer_.data() + buffer_.size() - at) - sizeof(word);
    word w = 0;
    std::memcpy(&w, at, sizeof w);
    w |= word{payload} << 1U;
    std::memcpy(at, &w, sizeof w);
    fill_.add(payload + message_overhead);
}

template <class Allocator>
void message_queue<Allocator>::abandon() noexcept {
    if (partial_ == none) return;
    buffer_.truncate(std::exchange(partial_, none));
    given_ = 0;
    begun_at_ = none;
}

template <class Allocator>
std::optional<message_view> message_queue<Allocator>::pop() noexcept {
    if (size() == 0) {
        if (streams_) [[unlikely]]
            stop_streaming();
        if (partial_ == none) reset(is_eof() ? 0 : keep);
        else if (head_ / 2 >= buffer_.size() - head_) {
            // A read ended inside a message. Now it moves alone, later with those behind it.
            buffer_.drop_front(head_);
            move_front(head_);
        }
        return std::nullopt;
    }
    word w = 0;
    std::memcpy(&w, buffer_.data() + head_, sizeof w);
    const auto length = static_cast<std::size_t>(w >> 1U);
    const std::byte* const payload = buffer_.data() + head_ + sizeof w;
    head_ += sizeof w + length;
    fill_.remove(length + message_overhead);
    return message_view{static_cast<message_kind>(w & 1U), {payload, length}};
}

template <class Allocator>
std::optional<message_piece_view> message_queue<Allocator>::pop_piece() noexcept {
    streams_ = true;
    settle();
    if (size() == 0 && partial_ == none) {
        reset(is_eof() ? 0 : keep);
        return std::nullopt;
    }
    const bool first = begun_at_ != head_;
    if (size() != 0) {
        const auto rest = pop();
        return message_piece_view{rest->kind, rest->bytes, first, true};
    }
    fill_.release();
    if (unfinished() == 0) return std::nullopt;
    given_ = unfinished();
    word w = 0;
    const std::byte* const at = buffer_.data() + head_;
    std::memcpy(&w, at, sizeof w);
    return message_piece_view{
        static_cast<message_kind>(w & 1U), {at + sizeof w, given_}, first, false};
}

template <class Allocator>
void message_queue<Allocator>::clear() noexcept {
    fill_.clear();
    partial_ = begun_at_ = none;
    given_ = 0;
    reset(0);
}

template <class Allocator>
void message_queue<Allocator>::end(errc cause) noexcept {
    abandon();
    end_.end(cause);
    if (buffer_.empty()) reset(0);  // and no view is out
}

template <class Allocator>
void message_queue<Allocator>::reset(std::size_t keep_at_most) noexcept {
    head_ = 0;
    begun_at_ = none;
    buffer_.truncate(0);
    if (buffer_.capacity() > keep_at_most) buffer_.release();
}

}  // namespace sansocket
