// message_reader.hpp
//
// Pieces of frames into messages: the order of fragments, text that must be
// UTF-8 from its first byte on, and what a message may cost, in time too. RFC 6455 5.4, 5.6,
// 6.2, 8.1, 10.4.
//
// Control frames may stand between the fragments of a message and leave the
// way here: they are put together apart from it and touch none of its state.
//
// A message that is one whole piece goes to the queue as a view of the
// transport's bytes, unmasked where they lie. Any other is unmasked straight
// into the room that the queue gives.
//
// Knows nothing of: what a control frame means, whether anyone is reading.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/frame_piece.hpp>
#include <sansocket/wire/masking.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/role.hpp>
#include <sansocket/wire/time.hpp>
#include <sansocket/wire/utf8.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace sansocket {

/// What one message may cost. 10.4.
struct message_limits {
    /// Most bytes of a message, all fragments together, this many included. A longer one fails the
    /// connection with 1009 as soon as a frame's header shows it. A queue's `max_message`, if it has
    /// one, holds as well. Default 16 MiB.
    std::uint64_t size = std::uint64_t{16} * 1024 * 1024;
    /// Fragments that any message may have, however small they are. Default 1024.
    std::uint64_t fragments = 1024;
    /// One fragment more for each this many bytes of the message. A message in more fragments fails
    /// the connection with 1008: a flood of empty or tiny ones ends soon, and 4 MiB in pieces of 64
    /// bytes pass. 0 takes any number. Default 32 bytes.
    std::uint64_t bytes_per_fragment = 32;
    /// Time from a message's first frame to its end. What has come is held meanwhile, so one that takes
    /// longer, however steadily it comes, fails the connection with errc::message_too_slow, 1008. It
    /// does not run while this endpoint is not reading, nor where pieces are taken as they come
    /// (`pop_piece`), for nothing piles up then. 0: no limit. Default 10 minutes, in which 16 MiB come
    /// at 28 KB a second; where messages may be larger, raise it with `size`.
    duration time = std::chrono::minutes{10};
    /// Whether text is checked to be UTF-8. 8.1 demands it; switch it off only where whoever takes
    /// the messages checks them. Default on.
    bool validate_utf8 = true;
};

/// Where the fragments of a message stand. 5.4.
enum class fragment_state : std::uint8_t { between, text, binary };

/// Reads messages sent to an endpoint of role `Role`.
template <role Role>
class message_reader {
public:
    /// Waits for the first frame.
    explicit message_reader(const message_limits& limits = {}) noexcept : limits_(limits) {}

    /// The state after a data frame of kind `op` with `fin`, or nothing where 5.4 forbids it.
    [[nodiscard]] static constexpr std::optional<fragment_state> next(fragment_state from,
                                                                      opcode op, bool fin) noexcept;

    /// Takes a piece of a data frame, which came at `now`, and puts what it completes into `queue`.
    ///
    /// @return success; errc::unexpected_continuation, errc::expected_continuation (5.4);
    ///         errc::message_too_big, errc::too_many_fragments (10.4); errc::invalid_utf8 at the first
    ///         byte that cannot stand there (8.1); errc::queue_full where the queue had no room.
    ///         After an error the unfinished message is gone from the queue.
    template <class Queue>
    [[nodiscard]] SANSOCKET_ALWAYS_INLINE errc receive(const frame_piece& piece, Queue& queue,
                                                       const time_point& now);

    /// The same where a message may be compressed: `inflater` decompresses it into `queue`. Sizes
    /// are those of what comes out. RFC 7692 6.2.
    ///
    /// @return also what `message_inflater` names.
    template <class Queue, class Inflater>
    [[nodiscard]] errc receive(const compressible_piece& piece, Queue& queue, Inflater& inflater,
                               const time_point& now);

    /// Takes a piece of a control frame.
    ///
    /// @return the whole payload, unmasked, once the frame is complete: 0 to 125 bytes, valid until
    ///         the next call; nothing before that.
    [[nodiscard]] std::optional<std::span<const std::byte>> receive_control(
        const frame_piece& piece);
    /// Gives back the memory in which control frames are put together. What `receive_control` gave
    /// is gone then.
    void shrink() noexcept {
        if (control_size_ == 0) control_.reset();
    }

    /// Whether a fragmented message has begun, in a frame before the current one, that is not
    /// complete.
    [[nodiscard]] bool inside_fragments() const noexcept {
        return state_ != fragment_state::between;
    }
    /// Whether a message has begun that is not complete.
    [[nodiscard]] bool inside_message() const noexcept {
        return state_ != fragment_state::between || inside_frame_;
    }

    /// When the message that has begun must be complete; `never` where nothing of it piles up.
    template <class Queue>
    [[nodiscard]] time_point deadline(const Queue& queue) const noexcept {
        if (!inside_message() || queue.paused() || gives_pieces(queue)) return never;
        return after(begun_, limits_.time);
    }
    /// Reading goes on after a pause: the message that has begun has all its time again.
    void resume(time_point now) noexcept { begun_ = now; }

    /// Messages that were complete.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

private:
    static constexpr bool masked = Role == role::server;
    static constexpr std::size_t straight_into_queue =
        2048;                                  // below, two passes in cache are as fast
    static constexpr std::size_t warm = 4096;  // unmask and check this many bytes at a time
    // Of a frame of which this many bytes come at once, room is made for `trust` times as many more.
    static constexpr std::size_t substantial = 8192;
    static constexpr std::uint64_t trust = 16;

    template <class Queue>
    SANSOCKET_NOINLINE errc receive_slowly(const frame_piece& piece, Queue& queue,
                                           const time_point& now);
    template <class Queue>
    errc begin_frame(const frame_piece& piece, Queue& queue, std::uint64_t most,
                     std::uint64_t made);
    template <class Queue, class Inflater>
    errc begin_compressed(const compressible_piece& piece, Queue& queue, Inflater& inflater);
    template <class Queue>
    errc append(const frame_piece& piece, Queue& queue);
    template <class Queue>
    errc end_frame(Queue& queue);
    bool unmask_and_check(std::byte* to, std::span<const std::byte> from, masking_key key) noexcept;

    // The largest message: by the limit, or by what the queue can ever hold.
    template <class Queue>
    std::uint64_t most() const noexcept {
        if constexpr (requires { Queue::max_message; })
            return detail::smaller_of(limits_.size, std::uint64_t{Queue::max_message});
        else return limits_.size;
    }
    // Of a message whose pieces are taken as they come, the time begins with each.
    template <class Queue>
    void note_time(const Queue& queue, time_point now) noexcept {
        if (!inside_message() || gives_pieces(queue)) begun_ = now;
    }
    template <class Queue>
    static bool gives_pieces(const Queue& queue) noexcept {
        if constexpr (requires { queue.gives_pieces(); }) return queue.gives_pieces();
        else return false;
    }
    bool must_be_utf8() const noexcept {
        return kind_ == message_kind::text && limits_.validate_utf8;
    }
    static bool unmask(std::span<std::byte> bytes, masking_key key) noexcept {
        if constexpr (masked) return mask_in_place(bytes, key);
        else return is_ascii(bytes);
    }

    fragment_state state_ = fragment_state::between;
    // Facts that decide no transition.
    fragment_state after_ = fragment_state::between;  // the state once the current frame is whole
    bool inside_frame_ = false;
    message_kind kind_ = message_kind::text;
    utf8_validator utf8_;
    std::uint8_t control_size_ = 0;  // bytes of a control frame that is not whole
    std::uint64_t size_ = 0;         // bytes of the message, as its frames' headers announce them
    std::uint64_t fragments_ = 0;    // frames of the message
    message_limits limits_;
    time_point begun_{};  // of the message, its time
    std::uint64_t count_ = 0;
    // Of a control frame that came in pieces: most never do.
    std::unique_ptr<std::byte[]> control_;
};

template <role Role>
constexpr std::optional<fragment_state> message_reader<Role>::next(fragment_state from, opcode op,
                                                                   bool fin) noexcept {
    const bool starts = op != opcode::continuation;
    if (starts != (from == fragment_state::between)) return std::nullopt;
    if (fin) return fragment_state::between;
    if (!starts) return from;
    return op == opcode::text ? fragment_state::text : fragment_state::binary;
}

template <role Role>
template <class Queue>
SANSOCKET_ALWAYS_INLINE errc message_reader<Role>::receive(const frame_piece& piece, Queue& queue,
                                                           const time_point& now) {
    const bool whole = piece.first && piece.last && piece.fin;
    if (!whole || piece.opcode == opcode::continuation || state_ != fragment_state::between)
        [[unlikely]]
        return receive_slowly(piece, queue, now);
    if constexpr (requires { Queue::copies; })
        if (piece.payload.size() >= straight_into_queue) return receive_slowly(piece, queue, now);
    if (piece.payload.size() > most<Queue>()) [[unlikely]]
        return errc::message_too_big;
    const bool text = piece.opcode == opcode::text;
    const bool ascii = unmask(piece.payload, piece.key);
    if (text && !ascii && limits_.validate_utf8 && !is_valid_utf8(piece.payload)) [[unlikely]]
        return errc::invalid_utf8;
    const auto kind = text ? message_kind::text : message_kind::binary;
    ++count_;
    return queue.push(kind, piece.payload) ? errc::ok : errc::queue_full;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::receive_slowly(const frame_piece& piece, Queue& queue,
                                          const time_point& now) {
    note_time(queue, now);
    errc ec = piece.first ? begin_frame(piece, queue, most<Queue>(), 0) : errc::ok;
    if (ec == errc::ok && !piece.payload.empty()) ec = append(piece, queue);
    if (ec == errc::ok && piece.last) ec = end_frame(queue);
    if (ec != errc::ok) queue.abandon();
    return ec;
}

template <role Role>
template <class Queue, class Inflater>
errc message_reader<Role>::receive(const compressible_piece& piece, Queue& queue,
                                   Inflater& inflater, const time_point& now) {
    const bool begins = piece.first && piece.compressed;
    if (!begins && !inflater.inside()) [[likely]]
        return receive(static_cast<const frame_piece&>(piece), queue, now);
    note_time(queue, now);
    const auto valid = [this](std::span<const std::byte> made) {
        return !must_be_utf8() || (utf8_.complete() && is_ascii(made)) || utf8_.receive(made);
    };
    errc ec = piece.first ? begin_compressed(piece, queue, inflater) : errc::ok;
    if (ec == errc::ok && !piece.payload.empty()) {
        if constexpr (masked) (void)mask_in_place(piece.payload, piece.key);
        ec = inflater.receive(piece.payload, queue, valid);
    }
    const bool whole = piece.last && after_ == fragment_state::between;
    if (ec == errc::ok && whole) ec = inflater.finish(queue);
    if (ec == errc::ok && piece.last) ec = end_frame(queue);
    if (ec != errc::ok) queue.abandon();
    return ec;
}

// What does not compress grows a little, and may still be of the size allowed once it comes out.
template <role Role>
template <class Queue, class Inflater>
errc message_reader<Role>::begin_compressed(const compressible_piece& piece, Queue& queue,
                                            Inflater& inflater) {
    const std::uint64_t most = message_reader::most<Queue>();
    const std::uint64_t grown = most > std::uint64_t{1} << 62U ? most : most + most / 8 + 1024;
    const std::uint64_t made = inflater.inside() ? inflater.made() : 0;
    const errc ec = begin_frame(piece, queue, grown, made);
    if (ec == errc::ok && piece.compressed) inflater.begin(most);
    return ec;
}

// `most`: bytes that all frames may have. `made`: bytes that came out of those before.
template <role Role>
template <class Queue>
errc message_reader<Role>::begin_frame(const frame_piece& piece, Queue& queue, std::uint64_t most,
                                       std::uint64_t made) {
    const auto after = next(state_, piece.opcode, piece.fin);
    if (!after)
        return state_ == fragment_state::between ? errc::unexpected_continuation
                                                 : errc::expected_continuation;
    const bool starts = piece.opcode != opcode::continuation;
    if (starts) {
        size_ = fragments_ = 0;
        utf8_ = utf8_validator{};
        kind_ = piece.opcode == opcode::text ? message_kind::text : message_kind::binary;
    }
    if (piece.payload_length > most - size_) return errc::message_too_big;
    size_ += piece.payload_length;
    ++fragments_;
    if (!starts && limits_.bytes_per_fragment != 0 && fragments_ > limits_.fragments &&
        fragments_ - limits_.fragments >
            detail::larger_of(size_, made) / limits_.bytes_per_fragment)
        return errc::too_many_fragments;
    after_ = *after;
    inside_frame_ = true;
    if (starts && !queue.begin(kind_)) return errc::queue_full;
    return errc::ok;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::end_frame(Queue& queue) {
    const bool whole = after_ == fragment_state::between;
    if (whole && must_be_utf8() && !utf8_.complete()) return errc::invalid_utf8;
    state_ = after_;
    inside_frame_ = false;
    if (!whole) return errc::ok;
    ++count_;
    queue.finish();  // last: it may hand the message on, and end the connection
    return errc::ok;
}

template <role Role>
template <class Queue>
errc message_reader<Role>::append(const frame_piece& piece, Queue& queue) {
    if constexpr (requires { queue.reserve(std::size_t{}); }) {
        const std::size_t here = piece.payload.size();
        if (piece.payload_left != 0 && here >= substantial)
            queue.reserve(here + static_cast<std::size_t>(detail::smaller_of(
                                     piece.payload_left, std::uint64_t{here} * trust)));
    }
    std::byte* to = queue.extend(piece.payload.size());
    if (to == nullptr) return errc::queue_full;
    masking_key key = piece.key;
    for (auto from = piece.payload; !from.empty();) {
        const std::size_t most = must_be_utf8() ? warm : from.size();
        const auto part =
            from.first(detail::smaller_of(most, from.size()));  // a multiple of 4 but the last
        if (!unmask_and_check(to, part, key)) return errc::invalid_utf8;
        to += part.size();
        from = from.subspan(part.size());
    }
    return errc::ok;
}

template <role Role>
bool message_reader<Role>::unmask_and_check(std::byte* to, std::span<const std::byte> from,
                                            masking_key key) noexcept {
    bool ascii = false;
    if constexpr (masked) {
        ascii = mask_copy(to, from, key);
    } else {
        std::memcpy(to, from.data(), from.size());
        ascii = is_ascii(from);
    }
    if (!must_be_utf8() || (ascii && utf8_.complete())) return true;
    return utf8_.receive(std::span<const std::byte>{to, from.size()});
}

template <role Role>
std::optional<std::span<const std::byte>> message_reader<Role>::receive_control(
    const frame_piece& piece) {
    unmask(piece.payload, piece.key);
    if (piece.first && piece.last) return piece.payload;
    if (!control_) control_ = std::make_unique<std::byte[]>(max_control_payload);
    detail::copy_bytes(piece.payload, control_.get() + control_size_);
    control_size_ = static_cast<std::uint8_t>(control_size_ + piece.payload.size());
    if (!piece.last) return std::nullopt;
    return std::span<const std::byte>{control_.get(), std::exchange(control_size_, {})};
}

}  // namespace sansocket
