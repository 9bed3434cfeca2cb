// static_message_queue.hpp
//
// A message queue without a heap: messages lie one behind the other in bytes
// that are part of the queue itself, each behind a word that holds its size and
// kind.
//
// It asks to stop reading while there is still room for one message of the
// largest size. So whatever conforms to `max_message` finds its room, however
// slowly messages are taken; nothing is ever refused for want of it. It gives no
// pieces: a message that has its room whole need not be taken by parts.
//
// Knows nothing of: frames, roles, why reading is paused elsewhere.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/machine/message_queue_concept.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace sansocket {

/// A queue of a fixed size. A connection fails with errc::message_too_big, 1009, once a frame's
/// header announces a message over `MaxMessage`; what came before is delivered.
///
/// @tparam Bytes       of storage, for payloads and `charge` for each message.
/// @tparam Count       most messages.
/// @tparam MaxMessage  most bytes of payload in one message. A message that is coming in always has
///                     that much room, so reading stops when the others take up the rest: the
///                     larger, the sooner. The smaller, the more often what is unread is moved to
///                     the front; half of the storage or a quarter of it serves well.
template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage = Bytes / 2>
class static_message_queue {
    using word = std::uint32_t;  // size << 1 | kind, before each payload

public:
    static constexpr bool copies = true;  ///< `push` copies.
    /// Bytes of storage that each message takes besides its payload.
    static constexpr std::size_t charge = sizeof(word);
    /// Bytes of the largest message that it takes.
    static constexpr std::size_t max_message = MaxMessage;
    /// Bytes queued at which one more message might find no room: the highest high mark.
    static constexpr std::size_t full_bytes = Bytes - MaxMessage - charge + 1;

    static_assert(Bytes < 0x8000'0000, "the sizes of messages are kept in 31 bits");
    static_assert(Count != 0, "a queue of no messages");
    static_assert(MaxMessage < Bytes && Bytes - MaxMessage >= charge,
                  "no room for a message of the largest size");

    /// Reading stops at `full_bytes` or `Count`, and goes on at or under half of both.
    static_message_queue() noexcept : static_message_queue(queue_limits{}) {}
    /// The same with lower marks. Marks above those are lowered to them.
    explicit static_message_queue(const queue_limits& limits) noexcept
        : fill_({detail::smaller_of(limits.high_bytes, full_bytes),
                 detail::smaller_of(limits.low_bytes, full_bytes / 2),
                 detail::smaller_of(limits.high_count, Count),
                 detail::smaller_of(limits.low_count, Count / 2)}) {}

    /// Copies the bytes that are in use. What is moved from is empty; it has ended if it had.
    static_message_queue(static_message_queue&& other) noexcept
        : fill_(other.fill_),
          tail_(other.tail_ - other.head_),
          partial_(other.partial_ == none ? none : other.partial_ - other.head_),
          end_(other.end_) {
        std::memcpy(storage_.data(), other.storage_.data() + other.head_, tail_);
        other.clear();
    }
    static_message_queue& operator=(static_message_queue&& other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }

    /// Takes a message whole. False after the end, for one over `max_message`, and where there is no
    /// room, which is never while `paused()` is false.
    bool push(message_kind kind, std::span<const std::byte> payload) noexcept;

    /// A message begins. False after the end, and where there is no room, which is never while
    /// `paused()` is false; its bytes have their room then, up to `max_message`.
    bool begin(message_kind kind) noexcept;
    /// Room for the next `n` bytes of the message begun; written before the next call. Null where
    /// none is begun, and where it would pass `max_message`.
    [[nodiscard]] std::byte* extend(std::size_t n) noexcept;
    /// The last `n` bytes of that room are not needed.
    void retract(std::size_t n) noexcept {
        if (partial_ != none) tail_ -= n;
    }
    /// The message begun is complete.
    void finish() noexcept;
    /// The message begun will never be complete.
    void abandon() noexcept {
        if (partial_ != none) tail_ = std::exchange(partial_, none);
    }

    /// Takes out the oldest message.
    ///
    /// @return a view that stays valid until the next call that puts in or takes out; nothing
    ///         where no message is queued.
    [[nodiscard]] std::optional<message_view> pop() noexcept;

    /// Forgets every message.
    void clear() noexcept {
        fill_.clear();
        head_ = tail_ = 0;
        partial_ = none;
    }
    /// No more will come. Only the first cause counts.
    void end(errc cause) noexcept {
        abandon();
        end_.end(cause);
    }
    /// There is no memory to give back.
    void shrink() noexcept {}

    /// @{
    /// As `message_queue_for_connection` says.
    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof() && size() == 0; }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return fill_.size(); }
    [[nodiscard]] bool settled() const noexcept {
        return size() == 0 && (tail_ == 0 || partial_ != none);
    }
    /// @}
    /// Bytes of payload, and `charge` for each message.
    [[nodiscard]] std::size_t bytes() const noexcept { return fill_.bytes(); }
    /// Whether reading is to stop.
    [[nodiscard]] bool paused() const noexcept { return fill_.paused(); }
    /// Bytes of memory held besides the queue itself: none.
    [[nodiscard]] std::size_t memory() const noexcept { return 0; }

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    bool make_room(std::size_t n) noexcept;
    void put_word(std::size_t at, message_kind kind, std::size_t size) noexcept {
        const word w = static_cast<word>(size) << 1U | static_cast<word>(kind);
        std::memcpy(storage_.data() + at, &w, sizeof w);
    }
    word word_at(std::size_t at) const noexcept {
        word w = 0;
        std::memcpy(&w, storage_.data() + at, sizeof w);
        return w;
    }

    detail::queue_fill fill_;
    std::size_t head_ = 0;        // where the oldest message's word stands
    std::size_t tail_ = 0;        // where the next byte goes
    std::size_t partial_ = none;  // where the word of the message begun stands
    detail::queue_end end_;
    std::array<std::byte, Bytes>
        storage_;  // from head to tail it holds messages, elsewhere nothing
};

template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
bool static_message_queue<Bytes, Count, MaxMessage>::push(
    message_kind kind, std::span<const std::byte> payload) noexcept {
    if (is_eof() || size() == Count || payload.size() > max_message) return false;
    if (!make_room(charge + payload.size())) return false;
    put_word(tail_, kind, payload.size());
    if (!payload.empty())
        std::memcpy(storage_.data() + tail_ + charge, payload.data(), payload.size());
    tail_ += charge + payload.size();
    fill_.add(charge + payload.size());
    return true;
}

template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
bool static_message_queue<Bytes, Count, MaxMessage>::begin(message_kind kind) noexcept {
    if (is_eof() || size() == Count || !make_room(charge)) return false;
    partial_ = tail_;
    put_word(partial_, kind, 0);
    tail_ += charge;
    return true;
}

template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
std::byte* static_message_queue<Bytes, Count, MaxMessage>::extend(std::size_t n) noexcept {
    if (partial_ == none || n > max_message - (tail_ - partial_ - charge)) return nullptr;
    if (!make_room(n)) return nullptr;
    return storage_.data() + std::exchange(tail_, tail_ + n);
}

template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
void static_message_queue<Bytes, Count, MaxMessage>::finish() noexcept {
    if (partial_ == none) return;
    const std::size_t at = std::exchange(partial_, none);
    put_word(at, static_cast<message_kind>(word_at(at) & 1U), tail_ - at - charge);
    fill_.add(tail_ - at);
}

template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
std::optional<message_view> static_message_queue<Bytes, Count, MaxMessage>::pop() noexcept {
    if (size() == 0) {
        if (partial_ == none) head_ = tail_ = 0;
        return std::nullopt;
    }
    const word w = word_at(head_);
    const std::size_t length = w >> 1U;
    const std::byte* const payload = storage_.data() + head_ + charge;
    head_ += charge + length;
    fill_.remove(charge + length);
    return message_view{static_cast<message_kind>(w & 1U), {payload, length}};
}

// Room for `n` bytes behind the tail, if need be by moving what is unread to the front.
template <std::size_t Bytes, std::size_t Count, std::size_t MaxMessage>
bool static_message_queue<Bytes, Count, MaxMessage>::make_room(std::size_t n) noexcept {
    if (Bytes - tail_ >= n) return true;
    std::memmove(storage_.data(), storage_.data() + head_, tail_ - head_);
    if (partial_ != none) partial_ -= head_;
    tail_ -= std::exchange(head_, 0);
    return Bytes - tail_ >= n;
}

}  // namespace sansocket
