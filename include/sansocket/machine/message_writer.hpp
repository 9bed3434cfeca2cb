// message_writer.hpp
//
// Messages of the application into frames of data: whole, or begun and
// finished part by part. RFC 6455 5.4, 5.6, 6.1.
//
// Frames go into a queue that is handed in (`send_queue`, or what looks like
// it); masking keys come from a source that is handed in, one for each frame.
//
// Knows nothing of: the closing handshake, control frames, time.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/masking.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

namespace sansocket {

/// What is being sent.
enum class writer_state : std::uint8_t { between, starting, continuing };

/// The opcode of a message's first frame. 5.6.
[[nodiscard]] constexpr opcode opcode_of(message_kind kind) noexcept {
    return kind == message_kind::text ? opcode::text : opcode::binary;
}

/// Writes one connection's messages. Every function returns success or a name and has changed
/// nothing then; errc::backpressure is the queue being full.
class message_writer {
public:
    /// A payload of at least this many bytes that is given away or shared is not copied.
    static constexpr std::size_t large = 4096;

    /// @param check_text  whether text must be UTF-8 (errc::text_not_utf8).
    /// @param fragment  most bytes of a message that is sent in parts in a frame; 0: any number.
    explicit message_writer(bool check_text, std::size_t fragment = 0) noexcept
        : check_text_(check_text),
          fragment_(fragment == 0 ? static_cast<std::size_t>(-1) : fragment) {}

    /// A whole message, copied. errc::message_in_progress.
    template <class Out, class Keys>
    SANSOCKET_ALWAYS_INLINE errc send(message_kind kind, std::span<const std::byte> payload,
                                      Out& out, Keys&& keys) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) [[unlikely]]
            return ec;
        out.push(opcode_of(kind), true, payload, keys());
        return sent();
    }

    /// A whole message, compressed by `deflater`. It is compressed once nothing is left to refuse it
    /// for. errc::message_in_progress.
    template <class Out, class Keys, class Deflater>
    errc send(message_kind kind, std::span<const std::byte> payload, Out& out, Keys&& keys,
              Deflater& deflater) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        const auto compressed = deflater.whole(payload);
        if (!compressed) {
            out.push(opcode_of(kind), true, payload, keys());
            return sent();
        }
        out.push_compressed(opcode_of(kind), true, *compressed, keys());
        deflater.sent();
        return sent();
    }

    /// A whole message that is given away. errc::message_in_progress.
    template <class Out, class Keys, class Owned>
    errc send_owned(message_kind kind, Owned&& payload, Out& out, Keys&& keys) {
        const auto bytes = std::as_bytes(std::span{payload});
        if (bytes.size() < large) return send(kind, bytes, out, keys);
        if (const errc ec = may_send(kind, bytes, out); ec != errc::ok) return ec;
        auto owner = std::make_shared<std::remove_cvref_t<Owned>>(std::move(payload));
        const auto moved = std::as_writable_bytes(std::span{*owner});
        out.push_owned(opcode_of(kind), true, std::move(owner), moved, keys());
        return sent();
    }

    /// A whole message that is shared. errc::message_in_progress.
    template <class Out, class Keys, class Shared>
    errc send_shared(message_kind kind, Shared&& payload, Out& out, Keys&& keys) {
        if (payload.bytes.size() < large) return send(kind, payload.bytes, out, keys);
        if (const errc ec = may_send(kind, payload.bytes, out); ec != errc::ok) return ec;
        out.push_shared(opcode_of(kind), true, std::forward<Shared>(payload), keys());
        return sent();
    }

    /// A whole message, copied, in several frames if it is larger than one may be. If pushing throws,
    /// a part of it may be queued. errc::message_in_progress.
    template <class Out, class Keys>
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload, Out& out,
                         Keys&& keys) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        cut(payload, true, opcode_of(kind),
            [&](opcode op, bool fin, auto frame) { out.push(op, fin, frame, keys()); });
        return sent();
    }
    /// The same, compressed by `deflater`, or not where that does not begin.
    template <class Out, class Keys, class Deflater>
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload, Out& out,
                         Keys&& keys, Deflater& deflater, compression how) {
        if (const errc ec = may_send(kind, payload, out); ec != errc::ok) return ec;
        const bool compressed = deflater.start_message(how);
        cut(payload, true, opcode_of(kind), [&](opcode op, bool fin, auto frame) {
            if (compressed) push_part(op, fin, frame, out, keys, deflater);
            else out.push(op, fin, frame, keys());
        });
        return sent();
    }

    /// Whether a whole frame may be pushed to `out` by somebody else. errc::message_in_progress.
    template <class Out>
    [[nodiscard]] errc may_send_frame(const Out& out) const noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        return out.full() ? errc::backpressure : errc::ok;
    }

    /// A message begins. errc::message_in_progress.
    errc start(message_kind kind) noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        state_ = writer_state::starting;
        kind_ = kind;
        text_ = utf8_validator{};
        return errc::ok;
    }

    /// Its next part, in frames that are no larger than they may be; the last one where `fin`. If
    /// pushing throws, and there is more than one, a part of it may be queued. errc::no_message_in_progress;
    /// errc::text_not_utf8, where a code point may be cut at a part's end but not at the last's.
    template <class Out, class Keys>
    errc append(std::span<const std::byte> part, bool fin, Out& out, Keys&& keys) {
        return append_by(part, fin, out, [&](opcode op, bool last, auto frame) {
            out.push(op, last, frame, keys());
        });
    }

    /// The same of a message that `deflater` has begun to compress. 5.4, RFC 7692 6.1.
    template <class Out, class Keys, class Deflater>
    errc append(std::span<const std::byte> part, bool fin, Out& out, Keys&& keys,
                Deflater& deflater) {
        return append_by(part, fin, out, [&](opcode op, bool last, auto frame) {
            push_part(op, last, frame, out, keys, deflater);
        });
    }

    /// A message was sent, by this machine or with its leave.
    SANSOCKET_ALWAYS_INLINE errc sent() noexcept {
        ++count_;
        return errc::ok;
    }
    /// Messages that were sent.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] writer_state state() const noexcept { return state_; }  ///< Where it stands.
    /// Most bytes of a message that is sent in parts in a frame, before they are compressed.
    [[nodiscard]] std::size_t fragment() const noexcept { return fragment_; }

private:
    template <class Out>
    SANSOCKET_ALWAYS_INLINE errc may_send(message_kind kind, std::span<const std::byte> payload,
                                          const Out& out) const noexcept {
        if (state_ != writer_state::between) return errc::message_in_progress;
        if (out.full()) return errc::backpressure;
        if (check_text_ && kind == message_kind::text && !is_valid_utf8(payload))
            return errc::text_not_utf8;
        return errc::ok;
    }

    template <class Out, class Push>
    errc append_by(std::span<const std::byte> part, bool fin, const Out& out, Push push) {
        if (state_ == writer_state::between) return errc::no_message_in_progress;
        if (out.full()) return errc::backpressure;
        utf8_validator text = text_;
        if (check_text_ && kind_ == message_kind::text) {
            if (!text.receive(part) || (fin && !text.complete())) return errc::text_not_utf8;
        }
        const bool starts = state_ == writer_state::starting;
        cut(part, fin, starts ? opcode_of(kind_) : opcode::continuation, push);
        text_ = text;
        state_ = fin ? writer_state::between : writer_state::continuing;
        return fin ? sent() : errc::ok;
    }

    // 5.4: "a fragmented message consists of a single frame with the FIN bit clear and an opcode other
    // than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and
    // terminated by a single frame with the FIN bit set and an opcode of 0."
    template <class Push>
    void cut(std::span<const std::byte> part, bool fin, opcode op, Push push) const {
        do {
            const auto frame = part.first(detail::smaller_of(part.size(), fragment_));
            part = part.subspan(frame.size());
            push(op, fin && part.empty(), frame);
            op = opcode::continuation;
        } while (!part.empty());
    }

    template <class Out, class Keys, class Deflater>
    static void push_part(opcode op, bool fin, std::span<const std::byte> frame, Out& out,
                          Keys&& keys, Deflater& deflater) {
        const auto compressed = deflater.part(frame, fin);
        // RFC 7692 6.1: the bit is set in the first frame of the message alone.
        if (op == opcode::continuation) out.push(op, fin, compressed, keys());
        else out.push_compressed(op, fin, compressed, keys());
        deflater.sent();
    }

    writer_state state_ = writer_state::between;
    // Facts that decide no transition.
    message_kind kind_ = message_kind::text;
    bool check_text_;
    utf8_validator text_;
    std::size_t fragment_;
    std::uint64_t count_ = 0;
};

}  // namespace sansocket
