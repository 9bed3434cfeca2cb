// message_queue_concept.hpp
//
// What a connection asks of the queue between it, which puts messages in, and
// the application, which takes them out. It is a concept, for a teardown path
// must never meet a queue that cannot say whether it has ended.
//
// Two facts: whether the end was signalled (`is_eof`) and whether it has also
// been reached (`at_eof`). Queued messages come before the end, always; the
// first cause of the end wins and stays.
//
// Beside it stands what its models share: the marks, and the end.
//
// Knows nothing of: where a queue keeps its messages.
#pragma once

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

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
template <class Q>
concept has_pop_piece = requires(Q& q, const Q& c) {
    { q.pop_piece() } -> std::same_as<std::optional<message_piece_view>>;
    { c.piece_ready() }
    noexcept->std::same_as<bool>;
};
template <class Q>
concept has_pop = requires(Q& q) {
    { q.pop() } -> std::same_as<std::optional<message_view>>;
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
/// | `retract(n)`, optional | the last `n` bytes of that room are not needed; without it, what is decompressed is copied |
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
/// Every query is `noexcept` and answers in every state, moved-from too. `paused()` is false while
/// nothing is queued; while it is false, a message that keeps to the queue's limits has room.
///
/// A queue that can never hold more than so many bytes of one message says so by a constant
/// `max_message`: a larger one is errc::message_too_big, 1009, as soon as a frame's header shows it.
template <class Q>
concept message_queue_for_connection =
    detail::has_push<Q> && detail::has_begin<Q> && detail::has_extend<Q> && detail::has_finish<Q> &&
    detail::has_abandon<Q> && detail::has_clear<Q> && detail::has_end<Q> && detail::has_shrink<Q> &&
    detail::has_is_eof<Q> && detail::has_at_eof<Q> && detail::has_cause<Q> && detail::has_size<Q> &&
    detail::has_bytes<Q> && detail::has_paused<Q>;

/// A message queue that whoever drives the connection takes messages from: an adapter that completes
/// receives, a recorder. A connection itself never does.
///
/// | call | what it must do |
/// |---|---|
/// | `pop() -> std::optional<message_view>` | the oldest message, valid until the next call; or nothing |
/// | `settled()`, optional | whether nothing is queued, and a `pop` has found that: whoever took the last message is done with it. Until then the peer's Close waits for an answer to it; without this, as long as something is queued |
template <class Q>
concept poppable_message_queue = message_queue_for_connection<Q> && detail::has_pop<Q>;

/// A message queue that also gives messages in pieces, before they are complete.
///
/// | call | what it must do |
/// |---|---|
/// | `pop_piece() -> std::optional<message_piece_view>` | what is there of the oldest message, valid until the next call; or nothing. The room is given back |
/// | `piece_ready()` | whether it would give something |
/// | `gives_pieces()`, optional | whether the last call was no `pop` that found nothing: the time of a message is limited otherwise |
///
/// From a `pop_piece` to a `pop` that finds nothing, `paused()` may be true while a message is
/// unfinished, and is false once its pieces were taken.
template <class Q>
concept piecewise_message_queue = poppable_message_queue<Q> && detail::has_pop_piece<Q>;

namespace detail {

// Instantiated by who takes pieces out.
template <class Q>
consteval bool check_piecewise_queue() {
    static_assert(has_pop_piece<Q>,
                  "the message queue has no pop_piece() -> optional<message_piece_view> "
                  "and piece_ready() const noexcept -> bool; sansocket::message_queue has");
    return true;
}

// Instantiated by who takes messages out, as `check_message_queue` by the connection.
template <class Q>
consteval bool check_poppable_queue() {
    static_assert(has_pop<Q>, "the message queue has no pop() -> optional<message_view>");
    return true;
}

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

// Whether all that was queued was taken, and is no more worked on.
template <class Q>
bool settled(const Q& queue) noexcept {
    if constexpr (requires { queue.settled(); }) return queue.settled();
    else return queue.size() == 0;
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

// How much a queue holds, and whether that is too much.
class queue_fill {
public:
    explicit queue_fill(const queue_limits& limits) noexcept : limits_(limits) {}

    void add(std::size_t bytes) noexcept {
        ++count_;
        bytes_ += bytes;
        if (bytes_ >= limits_.high_bytes || count_ >= limits_.high_count) paused_ = true;
    }
    void remove(std::size_t bytes) noexcept {
        --count_;
        bytes_ -= bytes;
        if (bytes_ <= limits_.low_bytes && count_ <= limits_.low_count) paused_ = false;
    }
    void clear() noexcept { *this = queue_fill{limits_}; }
    // Of a message that is taken in pieces, `bytes` wait.
    void hold(std::size_t bytes) noexcept { paused_ = paused_ || bytes >= limits_.high_bytes; }
    // None of them waits any more, and no message does.
    void release() noexcept { paused_ = false; }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }

private:
    queue_limits limits_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
    bool paused_ = false;  // between high and low mark: which of them was passed last
};

}  // namespace detail

}  // namespace sansocket
