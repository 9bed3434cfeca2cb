// prepared_message.hpp
//
// A message for many: its frame is made once, and the compressed one once for
// each window that connections agreed on, when the first of them needs it.
// Servers send them by reference. A client masks each frame with a key of its
// own (RFC 6455 5.3), and sends it as any other message.
//
// It never changes, and copies of it are the same one: any number of threads may
// send it, each over its own connections. Where several need a compressed frame
// that is not there yet, one makes it and the others wait for it.
//
// Knows nothing of: who gets it, which library compresses.
// Section numbers in this file refer to RFC 7692 unless another is named.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/bytes_of.hpp>
#include <sansocket/machine/message_deflater.hpp>
#include <sansocket/machine/message_writer.hpp>
#include <sansocket/machine/send_queue.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/utf8.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sansocket {

/// A message that is sent over many connections.
class prepared_message {
public:
    /// @param payload  copied.
    /// @param how      of it, level, memory level and the largest window count.
    prepared_message(message_kind kind, std::span<const std::byte> payload,
                     const deflate_options& how = {})
        : shared_(std::make_shared<shared>(kind, payload, how)) {}
    explicit prepared_message(std::string_view text, const deflate_options& how = {})
        : prepared_message(message_kind::text, detail::bytes_of(text), how) {}

    [[nodiscard]] message_kind kind() const noexcept { return shared_->kind; }  ///< Text or binary.
    /// Lives as long as a copy of this message.
    [[nodiscard]] std::span<const std::byte> payload() const noexcept {
        return bytes_of(shared_->plain).subspan(shared_->header_size);
    }
    /// errc::text_not_utf8 where it is text and is not: no connection sends it.
    [[nodiscard]] errc error() const noexcept { return shared_->error; }
    /// How it is compressed.
    [[nodiscard]] const deflate_options& how() const noexcept { return shared_->how; }

    /// A server's frame.
    [[nodiscard]] shared_payload frame() const { return {shared_, bytes_of(shared_->plain)}; }

    /// A server's compressed frame for connections with a window of `window_bits`, made now if it is
    /// not there; nothing where it would be no smaller, or there is no memory to compress with.
    ///
    /// @tparam Codec  a model of `deflate_codec`.
    template <class Codec>
    [[nodiscard]] std::optional<shared_payload> compressed(std::uint8_t window_bits) const;

    /// How many compressed frames were made.
    [[nodiscard]] std::size_t compressed_frames() const noexcept {
        std::size_t made = 0;
        for (const compressed_frame& f : shared_->compressed)
            if (f.state.load(std::memory_order_acquire) == frame_state::made) ++made;
        return made;
    }

private:
    enum class frame_state : std::uint8_t { none, being_made, made, useless };

    struct compressed_frame {
        std::atomic<frame_state> state = frame_state::none;
        std::vector<std::byte> bytes;  // written by who set `being_made`, until `made`
    };

    struct shared {
        shared(message_kind k, std::span<const std::byte> payload, const deflate_options& h)
            : kind(k), how(h), plain(frame_of(k, payload, false)) {
            header_size = plain.size() - payload.size();
            if (k == message_kind::text && !is_valid_utf8(payload)) error = errc::text_not_utf8;
        }
        message_kind kind;
        errc error{};
        deflate_options how;
        std::size_t header_size = 0;
        std::vector<std::byte> plain;
        std::array<compressed_frame, 8>
            compressed;  // 8 to 15 bits, by the last three of the number
    };

    // Sets the state of a frame that is being made, whatever becomes of it, and wakes who waits.
    struct making {
        ~making() {
            frame->state.store(result, std::memory_order_release);
            frame->state.notify_all();
        }
        compressed_frame* frame;
        frame_state result = frame_state::none;
    };

    static std::span<const std::byte> bytes_of(const std::vector<std::byte>& frame) noexcept {
        return {frame.data(), frame.size()};
    }
    static std::vector<std::byte> frame_of(message_kind kind, std::span<const std::byte> payload,
                                           bool compressed);
    template <class Codec>
    void make(compressed_frame& to, std::uint8_t window_bits) const;

    std::shared_ptr<shared> shared_;
};

inline std::vector<std::byte> prepared_message::frame_of(message_kind kind,
                                                         std::span<const std::byte> payload,
                                                         bool compressed) {
    const frame_header header{true, opcode_of(kind), payload.size(), std::nullopt, compressed};
    std::vector<std::byte> out(encoded_size(header) + payload.size());
    const std::size_t size = encode(header, out.data());
    detail::copy_bytes(payload, out.data() + size);
    return out;
}

template <class Codec>
std::optional<shared_payload> prepared_message::compressed(std::uint8_t window_bits) const {
    const std::uint8_t most = detail::larger_of(shared_->how.own_window_bits, min_window_bits);
    const std::uint8_t bits =
        detail::smaller_of(window_bits, detail::smaller_of(most, max_window_bits));
    compressed_frame& frame = shared_->compressed[std::size_t{bits} % 8U];
    for (;;) {
        frame_state seen = frame.state.load(std::memory_order_acquire);
        if (seen == frame_state::made) return shared_payload{shared_, frame.bytes};
        if (seen == frame_state::useless) return std::nullopt;
        if (seen == frame_state::being_made) frame.state.wait(seen, std::memory_order_acquire);
        else if (frame.state.compare_exchange_strong(seen, frame_state::being_made))
            make<Codec>(frame, bits);
    }
}

template <class Codec>
void prepared_message::make(compressed_frame& to, std::uint8_t window_bits) const {
    making end{&to};
    message_deflater<Codec> deflater(shared_->how);
    deflater.start({window_bits, false});  // it refers to no other message
    const auto compressed = deflater.wants(compression::on, payload().size())
                                ? deflater.whole(payload())
                                : std::nullopt;
    if (compressed) to.bytes = frame_of(kind(), *compressed, true);
    end.result = compressed ? frame_state::made : frame_state::useless;
}

}  // namespace sansocket
