// message_deflater.hpp
//
// The bytes of a message into the payload of a compressed one, whole or part by
// part. RFC 7692 6.1, 7.2.1.
//
// A compressor knows what it compressed, and the peer what it received: a
// message that was compressed and not sent would set them apart. So nothing is
// compressed that may still be refused, and until `sent` is called the
// compressor counts as astray and begins afresh, which is always allowed.
//
// Knows nothing of: frames, the send queue, text, how deflate works.
// Section numbers in this file refer to RFC 7692.
#pragma once

#include <sansocket/detail/byte_buffer.hpp>
#include <sansocket/machine/deflate_codec_concept.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/message.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace sansocket {

/// Where the compression of messages stands.
enum class deflater_state : std::uint8_t { off, between, inside };

/// Compresses the messages of one connection with a codec.
template <class Codec>
class message_deflater {
    using compressor = typename Codec::compressor;

public:
    /// Waits for `start`: until then nothing is compressed.
    explicit message_deflater(const deflate_options& options)
        : threshold_(options.threshold),
          settings_{options.own_window_bits, options.level, options.memory_level},
          codec_(settings_) {}

    /// This endpoint compresses as `own` says. 7.1.
    ///
    /// A window that the codec cannot keep to was not this endpoint's choice: then every message is
    /// sent as it is, which 6.1 allows.
    void start(const deflate_direction& own) {
        own_ = own;
        if (own.window_bits < compressor::smallest_window) return;
        settings_.window_bits = own.window_bits;
        codec_ = compressor(settings_);
        state_ = deflater_state::between;
    }

    /// Whether a message of `size` bytes is to be compressed.
    [[nodiscard]] bool wants(compression how, std::size_t size) const noexcept {
        if (state_ == deflater_state::off || how == compression::off) return false;
        return how == compression::on || size >= threshold_;
    }

    /// Compresses a whole message.
    ///
    /// @return its payload, valid until the next call, after which `sent` is due; nothing where it
    ///         is better sent as it is.
    [[nodiscard]] std::optional<std::span<const std::byte>> whole(
        std::span<const std::byte> message);

    /// Begins a message that is compressed part by part. False: it is not compressed.
    [[nodiscard]] bool start_message(compression how);
    /// Compresses its next part, the last one where `fin`; as `whole`.
    [[nodiscard]] std::span<const std::byte> part(std::span<const std::byte> bytes, bool fin);

    /// What was compressed last was sent.
    void sent() noexcept {
        astray_ = false;
        if (!inside()) ++messages_;
        if (!compressor::keeps_context || scratch_.capacity() > keep) scratch_.release();
    }
    /// A compressed message was sent that did not pass through here: the peer knows what the
    /// compressor does not.
    void sent_elsewhere() noexcept {
        astray_ = own_.context_takeover;
        ++messages_;
    }

    [[nodiscard]] deflater_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Whether a message is being compressed part by part.
    [[nodiscard]] bool inside() const noexcept { return state_ == deflater_state::inside; }
    /// What this endpoint keeps to.
    [[nodiscard]] const deflate_direction& direction() const noexcept { return own_; }
    /// Messages that were sent compressed.
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return codec_.memory() + scratch_.capacity();
    }

    /// Gives back memory that no later message refers to.
    void shrink() noexcept {
        scratch_.release();
        if (!inside() && !own_.context_takeover) codec_.release();
    }

private:
    static constexpr std::size_t keep = 16 * 1024;  // bytes of scratch for the next message
    static constexpr std::size_t least_room = 64;
    // 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
    static constexpr std::size_t tail = 4;
    // 7.2.3.6: an empty message is an empty block, less those four.
    static constexpr std::array<std::byte, 1> empty{std::byte{0}};

    bool ready();
    std::span<const std::byte> compress(std::span<const std::byte> in);

    deflater_state state_ = deflater_state::off;
    // Facts that decide no transition.
    bool astray_ = false;  // the compressor may know what the peer does not, or not what it does
    deflate_direction own_;
    std::size_t threshold_;
    deflate_settings settings_;
    std::uint64_t messages_ = 0;
    detail::byte_buffer<> scratch_;
    compressor codec_;
};

template <class Codec>
bool message_deflater<Codec>::ready() {
    if (astray_ || !own_.context_takeover) codec_.reset();
    return codec_.begin();
}

template <class Codec>
std::optional<std::span<const std::byte>> message_deflater<Codec>::whole(
    std::span<const std::byte> message) {
    if (message.empty()) return empty;
    if (!ready()) return std::nullopt;
    const auto payload = compress(message);
    const auto cut = payload.first(payload.size() - tail);
    // Where no context is lost by it, nothing is sent that grew.
    if (!own_.context_takeover && cut.size() >= message.size()) return std::nullopt;
    return cut;
}

template <class Codec>
bool message_deflater<Codec>::start_message(compression how) {
    // One compressor for many connections would have to keep this message apart from theirs.
    if (!compressor::keeps_context || state_ == deflater_state::off || how == compression::off)
        return false;
    if (!ready()) return false;
    state_ = deflater_state::inside;
    return true;
}

template <class Codec>
std::span<const std::byte> message_deflater<Codec>::part(std::span<const std::byte> bytes,
                                                         bool fin) {
    std::span<const std::byte> payload;
    if (!bytes.empty()) {
        if (astray_) (void)ready();  // the part before ended at a byte: a new stream may begin
        payload = compress(bytes);
        if (fin) payload = payload.first(payload.size() - tail);
    } else if (fin) {
        payload = empty;
    }
    if (fin) state_ = deflater_state::between;
    return payload;
}

template <class Codec>
std::span<const std::byte> message_deflater<Codec>::compress(std::span<const std::byte> in) {
    astray_ = true;
    scratch_.truncate(0);
    for (std::size_t room = in.size() / 2 + least_room;; room = scratch_.size() + least_room) {
        if (scratch_.room() < room) scratch_.make_room(room, 0);
        room = scratch_.room();
        std::byte* const to = scratch_.extend(room);
        const compress_step done = codec_.compress(in, {to, room});
        scratch_.truncate(scratch_.size() - (room - done.made));
        in = in.subspan(done.taken);
        if (in.empty() && done.made < room) return {scratch_.data(), scratch_.size()};
    }
}

}  // namespace sansocket
