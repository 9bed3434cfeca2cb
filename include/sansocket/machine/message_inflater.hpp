// message_inflater.hpp
//
// The payload of a compressed message into its bytes, as it arrives. RFC 7692
// 6.2, 7.2.2.
//
// Output goes straight into the room that the message queue gives, a few
// kilobytes at a time, and never past the size that a message may have: one
// byte more, which goes nowhere, shows that it is too long. So a small message
// that would become a large one costs what it is allowed to, and no more.
//
// Knows nothing of: frames, the order of fragments, UTF-8, how deflate works.
// Section numbers in this file refer to RFC 7692.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/machine/deflate_codec_concept.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

namespace sansocket {

/// Where the decompression of messages stands.
enum class inflater_state : std::uint8_t { off, between, inside };

/// Decompresses the messages of one connection with a codec.
template <class Codec>
class message_inflater {
    using decompressor = typename Codec::decompressor;

public:
    /// Waits for `start`: until then nothing is decompressed.
    explicit message_inflater(const deflate_options& options)
        : most_blocks_(options.blocks),
          bytes_per_block_(options.bytes_per_block),
          codec_(deflate_settings{}) {}

    /// The peer compresses as `peer` says. 7.1.
    void start(const deflate_direction& peer) {
        peer_ = peer;
        codec_ = decompressor(deflate_settings{.window_bits = peer.window_bits});
        state_ = inflater_state::between;
    }

    /// A compressed message begins, of at most `most` bytes once they have come out.
    void begin(std::uint64_t most) noexcept {
        most_ = most;
        taken_ = made_ = blocks_ = 0;
        state_ = inflater_state::inside;
    }

    /// Decompresses a piece of it into `queue`.
    ///
    /// @param check  is shown each run of bytes that came out; false: they are not valid.
    /// @return success; errc::deflate_corrupt, errc::deflate_memory; errc::message_too_big,
    ///         errc::deflate_work past the limits; errc::queue_full; errc::invalid_utf8 where `check`
    ///         says so.
    template <class Queue, class Check>
    [[nodiscard]] errc receive(std::span<const std::byte> in, Queue& queue, Check check);

    /// The message is complete. Also errc::deflate_truncated.
    template <class Queue>
    [[nodiscard]] errc finish(Queue& queue);

    [[nodiscard]] inflater_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Whether a compressed message has begun that is not complete.
    [[nodiscard]] bool inside() const noexcept { return state_ == inflater_state::inside; }
    /// Bytes that came out of the message so far.
    [[nodiscard]] std::uint64_t made() const noexcept { return made_; }
    /// What the peer keeps to.
    [[nodiscard]] const deflate_direction& direction() const noexcept { return peer_; }
    /// Messages that were decompressed.
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return codec_.memory(); }

    /// Gives back memory that no later message refers to.
    void shrink() noexcept {
        if (!inside() && !peer_.context_takeover) codec_.release();
    }

private:
    static constexpr std::size_t most_room = 16 * 1024;
    static constexpr std::size_t least_room = 512;
    static constexpr std::size_t spill_room = 2048;
    // 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload"
    static constexpr std::array<std::byte, 4> tail{std::byte{0}, std::byte{0}, std::byte{0xff},
                                                   std::byte{0xff}};

    template <class Queue>
    static constexpr bool can_retract = requires(Queue& q, std::size_t n) {
        q.retract(n);
    };

    template <class Queue>
    errc append_tail(Queue& queue);
    template <class Queue, class Check>
    errc step(std::span<const std::byte>& in, Queue& queue, Check& check, bool& more);
    template <class Queue, class Check>
    errc decompress_into(std::span<const std::byte> in, std::size_t room, Queue& queue,
                         Check& check, decompress_step& done);
    bool too_much_work() const noexcept {
        return bytes_per_block_ != 0 && blocks_ > most_blocks_ &&
               blocks_ - most_blocks_ > made_ / bytes_per_block_;
    }

    inflater_state state_ = inflater_state::off;
    // Facts that decide no transition.
    deflate_direction peer_;
    std::uint64_t most_blocks_;
    std::uint64_t bytes_per_block_;
    std::uint64_t most_ = 0;    // bytes that may come out of the message
    std::uint64_t taken_ = 0;   // bytes of the message, compressed
    std::uint64_t made_ = 0;    // the same, as they came out
    std::uint64_t blocks_ = 0;  // blocks of the message
    std::uint64_t messages_ = 0;
    decompressor codec_;
};

template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::receive(std::span<const std::byte> in, Queue& queue, Check check) {
    taken_ += in.size();
    for (bool more = !in.empty(); more;)
        if (const errc ec = step(in, queue, check, more); ec != errc::ok) return ec;
    return errc::ok;
}

template <class Codec>
template <class Queue>
errc message_inflater<Codec>::finish(Queue& queue) {
    // Not one byte: there are peers that compress an empty message to that. 7.2.3.6 has it as 0x00.
    if (taken_ != 0)
        if (const errc ec = append_tail(queue); ec != errc::ok) return ec;
    if (!peer_.context_takeover) codec_.reset();
    ++messages_;
    state_ = inflater_state::between;
    return errc::ok;
}

// The tail is the end of an empty block: what takes it for data was cut off.
template <class Codec>
template <class Queue>
errc message_inflater<Codec>::append_tail(Queue& queue) {
    if (codec_.position() == deflate_position::behind_last) return errc::ok;
    bool empty = true;
    const errc ec =
        receive(tail, queue, [&](std::span<const std::byte> made) { return empty = made.empty(); });
    if (!empty) return errc::deflate_truncated;
    if (ec == errc::ok && codec_.position() == deflate_position::inside)
        return errc::deflate_truncated;
    return ec;
}

// One call of the codec. `more`: there may be more to come of what it has.
template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::step(std::span<const std::byte>& in, Queue& queue, Check& check,
                                   bool& more) {
    const std::uint64_t left = most_ - made_;
    const std::size_t most = can_retract<Queue> ? most_room : spill_room;
    const std::size_t wanted =
        detail::smaller_of(detail::larger_of(in.size() * 4, least_room), most);
    const auto room = static_cast<std::size_t>(detail::smaller_of(left, std::uint64_t{wanted}));
    decompress_step done;
    std::array<std::byte, 1> beyond{};
    if (room == 0) done = codec_.decompress(in, beyond);
    else if (const errc ec = decompress_into(in, room, queue, check, done); ec != errc::ok)
        return ec;

    in = in.subspan(done.taken);
    blocks_ += done.blocks;
    if (done.ec != errc::ok) return done.ec;
    if (room == 0 && done.made != 0) return errc::message_too_big;
    made_ += done.made;
    if (too_much_work()) return errc::deflate_work;
    if (!in.empty() && done.taken == 0 && done.made == 0 && done.blocks == 0)
        return errc::deflate_corrupt;  // for a codec that is stuck
    more = !in.empty() || done.made == detail::larger_of(room, std::size_t{1});
    return errc::ok;
}

// Decompresses into at most `room` bytes of the queue's, or by way of a few on the stack where the
// queue cannot take back what was not needed.
template <class Codec>
template <class Queue, class Check>
errc message_inflater<Codec>::decompress_into(std::span<const std::byte> in, std::size_t room,
                                              Queue& queue, Check& check, decompress_step& done) {
    std::byte* to = nullptr;
    if constexpr (can_retract<Queue>) {
        to = queue.extend(room);
        if (to == nullptr) return errc::queue_full;
        done = codec_.decompress(in, {to, room});
        queue.retract(room - done.made);
    } else {
        std::array<std::byte, spill_room> spill;  // NOLINT: written before it is read
        done = codec_.decompress(in, {spill.data(), room});
        if (done.made == 0) return errc::ok;
        to = queue.extend(done.made);
        if (to == nullptr) return errc::queue_full;
        std::memcpy(to, spill.data(), done.made);
    }
    return check(std::span<const std::byte>{to, done.made}) ? errc::ok : errc::invalid_utf8;
}

}  // namespace sansocket
