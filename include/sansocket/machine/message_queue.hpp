// message_queue.hpp
//
// Messages between the connection, which puts them in, and the application,
// which takes them out. What a queue must be able to answer is a concept, for
// a teardown path must never meet a queue that cannot say whether it has ended.
//
// Two facts: whether the end was signalled (`is_eof`) and whether it has also
// been reached (`at_eof`). Queued messages come before the end, always; the
// first cause of the end wins and stays.
//
// `message_queue` keeps messages one behind the other in one block of memory,
// each behind a word that holds its size and kind, so that neither putting in
// nor taking out allocates once the block has grown to its working size.
//
// Knows nothing of: frames, roles, why reading is paused elsewhere.
#pragma once

#include <sansocket/detail/byte_buffer.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace sansocket {

/// When a message queue asks for no more, and when for more again.
struct queue_limits {
    /// Bytes of payload, and `message_overhead` for each message, at which reading stops. A message
    /// that is already coming in is finished, so memory is bounded by this and one message more.
    /// Raise it for throughput with a slow reader. Default 256 KiB.
    std::size_t high_bytes = 256 * 1024;
    /// Bytes, counted the same way, at or under which reading goes on. Default 64 KiB.
    std::size_t low_bytes = 64 * 1024;
    /// Messages at which reading stops, whatever their size. Default 4096.
    std::size_t high_count = 4096;
    /// Messages at or under which reading goes on. Default 1024.
    std::size_t low_count = 1024;
};

/// Bytes charged for a message besides its payload, so that empty ones count.
inline constexpr std::size_t message_overhead = 64;

namespace detail {

template <class Q>
concept has_push = requires(Q& q, message_kind k, std::span<const std::byte> v) {
    { q.push(k, v) } -> std::same_as<bool>;
};
template <class Q>
concept has_begin = requires(Q& q, message_kind k) {
    { q.begin(k) } -> std::same_as<bool>;
};
template <class Q>
concept has_extend = requires(Q& q, std::size_t n) {
    { q.extend(n) } -> std::same_as<std::byte*>;
};
template <class Q>
concept has_finish = requires(Q& q) {
    q.finish();
};
template <class Q>
concept has_abandon = requires(Q& q) {
    { q.abandon() }
    noexcept;
};
template <class Q>
concept has_clear = requires(Q& q) {
    { q.clear() }
    noexcept;
};
template <class Q>
concept has_end = requires(Q& q, errc ec) {
    { q.end(ec) }
    noexcept;
};
template <class Q>
concept has_shrink = requires(Q& q) {
    { q.shrink() }
    noexcept;
};
template <class Q>
concept has_is_eof = requires(const Q& q) {
    { q.is_eof() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_at_eof = requires(const Q& q) {
    { q.at_eof() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_cause = requires(const Q& q) {
    { q.cause() }
    noexcept->std::same_as<errc>;
};
template <class Q>
concept has_size = requires(const Q& q) {
    { q.size() }
    noexcept->std::convertible_to<std::size_t>;
};
template <class Q>
concept has_bytes = requires(const Q& q) {
    { q.bytes() }
    noexcept->std::convertible_to<std::size_t>;
};
template <class Q>
concept has_paused = requires(const Q& q) {
    { q.paused() }
    noexcept->std::same_as<bool>;
};

}  // namespace detail

/// What a connection asks of its message queue.
///
/// | call | what it must do |
/// |---|---|
/// | `push(kind, bytes) -> bool` | take a whole message; `bytes` is gone afterwards. False: no room. |
/// | `begin(kind) -> bool` | a message begins whose size is not known. False: no room. |
/// | `extend(n) -> std::byte*` | room for its next `n` bytes, written before the next call; null: no room |
/// | `reserve(n)`, optional | a hint: at least `n` bytes more will come for it |
/// | `finish()`, `abandon()` | it is complete; it will never be |
/// | `clear()` | forget every message, the unfinished one too |
/// | `end(cause)` | no more will come; only the first cause counts; an unfinished message goes |
/// | `shrink()` | give back the memory that nothing lies in |
/// | `is_eof()`, `at_eof()`, `cause()` | the end was signalled; and nothing is queued; why, or `errc::ok` |
/// | `size()`, `bytes()`, `paused()` | complete messages; their cost in bytes; whether to stop reading |
///
/// A queue that copies what `push` brings says so by a constant `copies`: it is then given large
/// messages by `begin` and `extend`, unmasked straight into its room.
///
/// Every query is `noexcept` and answers in every state. `paused()` is false while nothing is queued.
template <class Q>
concept message_queue_for_connection =
    detail::has_push<Q> && detail::has_begin<Q> && detail::has_extend<Q> && detail::has_finish<Q> &&
    detail::has_abandon<Q> && detail::has_clear<Q> && detail::has_end<Q> && detail::has_shrink<Q> &&
    detail::has_is_eof<Q> && detail::has_at_eof<Q> && detail::has_cause<Q> && detail::has_size<Q> &&
    detail::has_bytes<Q> && detail::has_paused<Q>;

namespace detail {

// Instantiated by the connection, so that a queue that lacks something is refused by name.
template <class Q>
consteval bool check_message_queue() {
    static_assert(has_push<Q>,
                  "the message queue has no push(message_kind, span<const byte>) -> bool");
    static_assert(has_begin<Q>, "the message queue has no begin(message_kind) -> bool");
    static_assert(has_extend<Q>, "the message queue has no extend(size_t) -> byte*");
    static_assert(has_finish<Q>, "the message queue has no finish()");
    static_assert(has_abandon<Q>, "the message queue has no abandon() noexcept");
    static_assert(has_clear<Q>, "the message queue has no clear() noexcept");
    static_assert(has_end<Q>, "the message queue has no end(errc) noexcept");
    static_assert(has_shrink<Q>, "the message queue has no shrink() noexcept");
    static_assert(has_is_eof<Q>, "the message queue has no is_eof() const noexcept -> bool");
    static_assert(has_at_eof<Q>, "the message queue has no at_eof() const noexcept -> bool");
    static_assert(has_cause<Q>, "the message queue has no cause() const noexcept -> errc");
    static_assert(has_size<Q>, "the message queue has no size() const noexcept");
    static_assert(has_bytes<Q>, "the message queue has no bytes() const noexcept");
    static_assert(has_paused<Q>, "the message queue has no paused() const noexcept -> bool");
    return true;
}

// How a queue ends: the first cause stays.
class queue_end {
public:
    void end(errc cause) noexcept {
        if (cause_ == errc::ok) cause_ = cause;
    }
    [[nodiscard]] bool is_eof() const noexcept { return cause_ != errc::ok; }
    [[nodiscard]] errc cause() const noexcept { return cause_; }

private:
    errc cause_ = errc::ok;
};

}  // namespace detail

/// The usual queue: as large as it must be, bounded by `queue_limits`.
template <class Allocator = std::allocator<std::byte>>
class message_queue {
public:
    static constexpr bool copies = true;

    explicit message_queue(const queue_limits& limits = {},
                           const Allocator& allocator = {}) noexcept
        : limits_(limits), buffer_(allocator) {}

    /// What is moved from is empty; it has ended if it had.
    message_queue(message_queue&& other) noexcept
        : limits_(other.limits_),
          buffer_(std::move(other.buffer_)),
          head_(std::exchange(other.head_, 0)),
          partial_(std::exchange(other.partial_, none)),
          count_(std::exchange(other.count_, 0)),
          bytes_(std::exchange(other.bytes_, 0)),
          paused_(std::exchange(other.paused_, false)),
          end_(other.end_) {}
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
        if (buffer_.room() < n) grow(n);
    }
    /// Room for the next `n` bytes of the message begun; written before the next call.
    [[nodiscard]] std::byte* extend(std::size_t n);
    /// The message begun is complete.
    void finish() noexcept;
    /// The message begun will never be complete.
    void abandon() noexcept;

    /// Takes out the oldest message.
    ///
    /// @return a view that stays valid until the next call that puts in or takes out; nothing
    ///         where no message is queued.
    [[nodiscard]] std::optional<message_view> pop() noexcept;

    /// Forgets every message.
    void clear() noexcept;
    /// No more will come. Only the first cause counts.
    void end(errc cause) noexcept;
    /// Gives back memory that nothing lies in. Ends the validity of the view that `pop` gave.
    void shrink() noexcept {
        if (head_ == buffer_.size()) reset(0);
    }

    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof() && count_ == 0; }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return buffer_.capacity(); }

private:
    using word = std::uint64_t;  // size << 1 | kind, before each payload
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr std::size_t keep =
        128 * 1024;  // bytes of capacity that a drain does not give back

    SANSOCKET_ALWAYS_INLINE std::byte* room(std::size_t n);
    SANSOCKET_NOINLINE void grow(std::size_t n);
    void compact() noexcept;
    void count_in(std::size_t payload) noexcept;
    void reset(std::size_t keep_at_most) noexcept;

    static word pack(message_kind kind, std::size_t size) noexcept {
        return word{size} << 1U | static_cast<word>(kind);
    }

    queue_limits limits_;
    detail::byte_buffer<Allocator> buffer_;
    std::size_t head_ = 0;        // where the oldest message's word stands
    std::size_t partial_ = none;  // where the word of the message begun stands
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
    bool paused_ = false;  // between high and low mark: which of them was passed last
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
    buffer_.make_room(n, head_);
    if (partial_ != none) partial_ -= head_;
    head_ = 0;
}

template <class Allocator>
SANSOCKET_ALWAYS_INLINE bool message_queue<Allocator>::push(message_kind kind,
                                                            std::span<const std::byte> payload) {
    if (is_eof()) return false;
    std::byte* const to = room(sizeof(word) + payload.size());
    const word w = pack(kind, payload.size());
    std::memcpy(to, &w, sizeof w);
    if (!payload.empty()) std::memcpy(to + sizeof w, payload.data(), payload.size());
    count_in(payload.size());
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
    return partial_ == none ? nullptr : room(n);
}

template <class Allocator>
void message_queue<Allocator>::finish() noexcept {
    if (partial_ == none) return;
    std::byte* const at = buffer_.data() + std::exchange(partial_, none);
    const auto payload =
        static_cast<std::size_t>(buffer_.data() + buffer_.size() - at) - sizeof(word);
    word w = 0;
    std::memcpy(&w, at, sizeof w);
    w |= word{payload} << 1U;
    std::memcpy(at, &w, sizeof w);
    count_in(payload);
}

template <class Allocator>
void message_queue<Allocator>::abandon() noexcept {
    if (partial_ != none) buffer_.truncate(std::exchange(partial_, none));
}

template <class Allocator>
std::optional<message_view> message_queue<Allocator>::pop() noexcept {
    if (count_ == 0) {
        if (partial_ == none) reset(keep);
        else compact();
        return std::nullopt;
    }
    word w = 0;
    std::memcpy(&w, buffer_.data() + head_, sizeof w);
    const auto size = static_cast<std::size_t>(w >> 1U);
    const std::byte* const payload = buffer_.data() + head_ + sizeof w;
    head_ += sizeof w + size;
    --count_;
    bytes_ -= size + message_overhead;
    if (paused_) paused_ = bytes_ > limits_.low_bytes || count_ > limits_.low_count;
    return message_view{static_cast<message_kind>(w & 1U), {payload, size}};
}

template <class Allocator>
void message_queue<Allocator>::clear() noexcept {
    count_ = bytes_ = 0;
    partial_ = none;
    paused_ = false;
    reset(0);
}

template <class Allocator>
void message_queue<Allocator>::end(errc cause) noexcept {
    abandon();
    end_.end(cause);
}

template <class Allocator>
void message_queue<Allocator>::count_in(std::size_t payload) noexcept {
    ++count_;
    bytes_ += payload + message_overhead;
    if (bytes_ >= limits_.high_bytes || count_ >= limits_.high_count) paused_ = true;
}

// The message begun moves to the front, while it is all there is to move.
template <class Allocator>
void message_queue<Allocator>::compact() noexcept {
    if (head_ == 0) return;
    buffer_.drop_front(head_);
    partial_ -= head_;
    head_ = 0;
}

template <class Allocator>
void message_queue<Allocator>::reset(std::size_t keep_at_most) noexcept {
    head_ = 0;
    buffer_.truncate(0);
    if (buffer_.capacity() > keep_at_most) buffer_.release();
}

/// No storage for whole messages: each is handed to a handler as it is parsed. Only a message that
/// comes in several pieces is put together first.
///
/// `Handler` is called as `handler(message_view)`; the view is gone when it returns. The handler may
/// call the connection's `send_*`, `close` and `abort`, and not its `receive`.
template <class Handler>
class direct_queue {
public:
    explicit direct_queue(Handler handler) : handler_(std::move(handler)) {}

    SANSOCKET_ALWAYS_INLINE bool push(message_kind kind, std::span<const std::byte> payload) {
        if (is_eof()) return false;
        handler_(message_view{kind, payload});
        return true;
    }
    bool begin(message_kind kind) {
        kind_ = kind;
        return !is_eof();
    }
    void reserve(std::size_t n) {
        if (partial_.room() < n) partial_.make_room(n, 0);
    }
    [[nodiscard]] std::byte* extend(std::size_t n) {
        if (is_eof()) return nullptr;
        reserve(n);
        return partial_.extend(n);
    }
    void finish() {
        auto whole = std::exchange(partial_, {});  // the handler may end the connection
        if (!is_eof()) handler_(message_view{kind_, {whole.data(), whole.size()}});
        whole.truncate(0);
        if (!is_eof() && whole.capacity() <= keep) partial_ = std::move(whole);
    }
    void abandon() noexcept { partial_.release(); }
    void clear() noexcept { partial_.release(); }
    void shrink() noexcept {
        if (partial_.empty()) partial_.release();
    }
    void end(errc cause) noexcept {
        abandon();
        end_.end(cause);
    }

    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return 0; }
    [[nodiscard]] bool paused() const noexcept { return false; }

private:
    static constexpr std::size_t keep = 128 * 1024;  // bytes of capacity for the next message

    Handler handler_;
    message_kind kind_ = message_kind::text;
    detail::byte_buffer<> partial_;
    detail::queue_end end_;
};

}  // namespace sansocket
