// send_queue.hpp
//
// Messages and control frames into bytes for the transport. RFC 6455 5.4, 5.5,
// 6.1.
//
// Two lines of bytes: data, in the order in which it was accepted, the Close
// frame last; and control (Ping, Pong), which goes ahead of the data at the
// next frame's boundary. Frames describe themselves, so boundaries are found by
// walking the headers and are stored nowhere.
//
// What `output` has shown may be on its way into the transport: until
// `consume` it neither moves nor changes nor goes, and control frames wait
// behind it.
//
// Knows nothing of: whether a frame may be sent now, time, why it is dropped.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/detail/segment_queue.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/frame_header.hpp>
#include <sansocket/wire/masking.hpp>
#include <sansocket/wire/role.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sansocket {

/// What may wait to be sent.
struct send_limits {
    /// Bytes waiting at which no further message is taken (`errc::backpressure`). A message that is
    /// taken may pass it, so memory is bounded by this and one message more. Default 1 MiB.
    std::size_t high_bytes = 1024 * 1024;
    /// Bytes waiting at or under which an adapter lets its waiting senders go on. Default 256 KiB.
    std::size_t low_bytes = 256 * 1024;
    /// Data frames waiting at which no further message is taken. Default 16384.
    std::size_t high_count = 16384;
    /// Bytes of payload in a frame of a message that is sent in parts: larger parts are cut, so that
    /// control frames go between. 5.4. 0: never. Default 64 KiB.
    std::size_t fragment_bytes = 64 * 1024;
    /// Bytes of Pings and Pongs waiting beyond which only the latest Ping is still answered, which
    /// 5.5.3 allows, and no Ping is taken (`errc::backpressure`). Default 8 KiB.
    std::size_t control_bytes = 8 * 1024;
};

/// A payload that is shared and not copied: `owner` keeps `bytes` alive and unchanged.
struct shared_payload {
    std::shared_ptr<const void> owner;  ///< Keeps `bytes` alive.
    std::span<const std::byte> bytes;   ///< The payload, whole.
};

/// What to write, in order. Views that stay valid until the next `consume_output`.
class output_buffers {
    struct view {  // trivial, for most of the array is never looked at
        const std::byte* data;
        std::size_t size;
    };

public:
    static constexpr std::size_t capacity = 16;  ///< Most buffers that it holds.

    /// Goes over the buffers as spans.
    class iterator {
    public:
        /// @{
        /// What a forward iterator has.
        using value_type = std::span<const std::byte>;
        using difference_type = std::ptrdiff_t;
        iterator() = default;
        explicit iterator(const view* at) noexcept : at_(at) {}
        value_type operator*() const noexcept { return {at_->data, at_->size}; }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator{at_++}; }
        /// @}
        friend bool operator==(iterator, iterator) = default;

    private:
        const view* at_ = nullptr;
    };

    /// No buffers.
    output_buffers() noexcept {}  // NOLINT: leaves the views as they are

    /// At the first buffer.
    [[nodiscard]] iterator begin() const noexcept { return iterator{views_.data()}; }
    /// Behind the last one.
    [[nodiscard]] iterator end() const noexcept { return iterator{views_.data() + count_}; }
    /// Buffer number `i`, from 0; `i` is less than `size()`.
    [[nodiscard]] std::span<const std::byte> operator[](std::size_t i) const noexcept {
        return {views_[i].data, views_[i].size};
    }
    /// How many buffers, 0 to 16.
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }  ///< Whether there are none.
    /// Whether no more fit.
    [[nodiscard]] bool full() const noexcept { return count_ == capacity; }
    /// Bytes in all of them.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// Puts a buffer behind the others. Only while it is not `full()`.
    void add(std::span<const std::byte> buffer) noexcept {
        views_[count_++] = {buffer.data(), buffer.size()};
        bytes_ += buffer.size();
    }

private:
    std::array<view, capacity> views_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

/// The bytes an endpoint of role `Role` has to send. Only a client masks. 5.1.
template <role Role>
class send_queue {
public:
    /// An empty queue with these limits.
    explicit send_queue(const send_limits& limits = {}) noexcept
        : high_bytes_(limits.high_bytes),
          low_bytes_(limits.low_bytes),
          high_count_(limits.high_count),
          control_bytes_(detail::larger_of(limits.control_bytes, std::size_t{1})) {
    }  // a Pong at least

    /// Queues raw bytes ahead of all frames: the opening handshake. Copied.
    void push_raw(std::span<const std::byte> bytes) {
        detail::copy_bytes(bytes, head_extend(bytes.size()));
        raw_left_ += bytes.size();
    }

    /// Queues a frame of data, or the Close frame, behind all data. `payload` is copied.
    ///
    /// @param key  masks the payload; a server's is not looked at.
    SANSOCKET_ALWAYS_INLINE void push(opcode op, bool fin, std::span<const std::byte> payload,
                                      masking_key key);

    /// The same with RSV1, for a payload that is compressed. RFC 7692 6.1.
    void push_compressed(opcode op, bool fin, std::span<const std::byte> payload, masking_key key);

    /// Queues a whole frame that is shared: header and payload, not masked. Not copied, unless it is
    /// so small that this costs less.
    void push_frame(shared_payload frame) requires(Role == role::server);

    /// Queues a frame of data whose payload is shared. A server's is not copied; a client's is, for
    /// it must be masked.
    void push_shared(opcode op, bool fin, shared_payload payload, masking_key key);

    /// Queues a frame of data whose payload is given away. Not copied; a client masks it in place.
    void push_owned(opcode op, bool fin, std::shared_ptr<void> owner, std::span<std::byte> payload,
                    masking_key key);

    /// Queues a Ping or a Pong ahead of the data. 5.5.2, 5.5.3.
    ///
    /// @return errc::backpressure if `control_bytes` wait already. A Pong is kept all the same, as
    ///         the one that answers the latest Ping.
    errc push_control(opcode op, std::span<const std::byte> payload, masking_key key);

    /// What to write next. Until `consume` it stays as it is, and is what further calls return.
    [[nodiscard]] output_buffers output() noexcept;

    /// The transport took the first `n` bytes of `output`; 0 if it took none.
    ///
    /// @param n  at most the bytes that the last `output` showed.
    void consume(std::size_t n);

    /// Drops every frame that has not begun to go out and was not shown by `output`.
    ///
    /// @return whether a frame of data, or the Close frame, was dropped.
    bool drop_unsent() noexcept;

    /// Drops everything. What `output` has shown is kept, and no longer offered, until `consume`.
    void stop() noexcept;

    /// Bytes waiting: headers, payloads, control frames.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return stopped_ ? 0 : data_.size() + control_size();
    }
    /// Frames of data waiting, those partly sent and the Close frame included.
    [[nodiscard]] std::size_t frames() const noexcept { return frames_; }
    /// Whether nothing waits.
    [[nodiscard]] bool empty() const noexcept {
        return stopped_ || (data_.empty() && control_size() == 0);
    }
    /// Whether `stop` was called.
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }
    /// Whether data and Close have all been taken by the transport.
    [[nodiscard]] bool data_empty() const noexcept { return data_.empty(); }
    /// Whether another message is refused for want of room.
    [[nodiscard]] bool full() const noexcept {
        return data_.size() >= high_bytes_ || frames_ >= high_count_;
    }
    /// Whether waiting senders may go on.
    [[nodiscard]] bool drained() const noexcept { return data_.size() <= low_bytes_ && !full(); }
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept {
        return data_.memory() + (control_ ? sizeof *control_ + control_->frames.memory() : 0);
    }
    /// Gives back the memory that nothing lies in.
    void shrink() noexcept {
        if (shown_) return;
        data_.shrink();
        if (control_size() == 0) control_.reset();
    }

private:
    static constexpr bool masks = Role == role::client;
    static constexpr std::size_t small_frame = 512;  // bytes

    static frame_header header_of(opcode op, bool fin, std::size_t size, masking_key key) noexcept {
        frame_header header{fin, op, size, std::nullopt};
        if constexpr (masks) header.key = key;
        return header;
    }
    // Pings and Pongs: of most connections there are none, most of the time.
    struct control_line {
        detail::segment_queue frames;
        std::size_t left = 0;                // bytes of the frame that has partly gone out
        std::vector<std::byte> latest_pong;  // header and payload, while `frames` is at its limit
    };
    [[nodiscard]] std::size_t control_size() const noexcept {
        return control_ ? control_->frames.size() : 0;
    }
    // Of what waits there, the first `size` bytes stay.
    void truncate_control(std::size_t size) noexcept {
        if (size == 0 || !control_) return control_.reset();
        control_->frames.truncate(size);
        control_->latest_pong = {};
    }
    std::byte* head_extend(std::size_t n) { return data_.extend(n, !shown_); }
    SANSOCKET_ALWAYS_INLINE void write(detail::segment_queue& to, const frame_header& header,
                                       std::span<const std::byte> payload);
    void write_shared(const frame_header& header, std::shared_ptr<const void> owner,
                      std::span<const std::byte> payload);
    static std::size_t frame_size_at(const detail::segment_queue& in, std::size_t at) noexcept;
    SANSOCKET_NOINLINE static std::size_t pass(const detail::segment_queue& in, std::size_t begin,
                                               std::size_t end, std::size_t& left) noexcept;
    void pass_data(std::size_t n) noexcept;
    void consume_control(std::size_t n);
    static void show(const detail::segment_queue& from, std::size_t begin, std::size_t end,
                     output_buffers& out) noexcept;

    detail::segment_queue data_;
    std::unique_ptr<control_line> control_;
    std::size_t frame_left_ = 0;  // bytes of the frame of data that has partly gone out
    std::size_t raw_left_ = 0;    // bytes of the opening handshake at the front of the data
    std::size_t frames_ = 0;
    // What `output` showed: data up to the boundary, control, more data.
    std::size_t shown_lead_ = 0;
    std::size_t shown_control_ = 0;
    std::size_t shown_data_ = 0;  // both parts together
    bool shown_ = false;
    bool stopped_ = false;
    std::size_t high_bytes_, low_bytes_, high_count_, control_bytes_;  // as in `send_limits`
};

template <role Role>
SANSOCKET_ALWAYS_INLINE void send_queue<Role>::write(detail::segment_queue& to,
                                                     const frame_header& header,
                                                     std::span<const std::byte> payload) {
    const std::size_t header_size = encoded_size(header);
    std::byte* const at = to.extend(header_size + payload.size(), !shown_);
    encode(header, at);
    if (payload.empty()) return;
    if constexpr (masks) (void)mask_copy(at + header_size, payload, *header.key);
    else std::memcpy(at + header_size, payload.data(), payload.size());
}

template <role Role>
SANSOCKET_ALWAYS_INLINE void send_queue<Role>::push(opcode op, bool fin,
                                                    std::span<const std::byte> payload,
                                                    masking_key key) {
    if (stopped_) [[unlikely]]
        return;
    write(data_, header_of(op, fin, payload.size(), key), payload);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_compressed(opcode op, bool fin, std::span<const std::byte> payload,
                                       masking_key key) {
    if (stopped_) return;
    frame_header header = header_of(op, fin, payload.size(), key);
    header.compressed = true;
    write(data_, header, payload);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_frame(shared_payload frame) requires(Role == role::server) {
    if (stopped_) return;
    const std::size_t size = frame.bytes.size();
    if (size < small_frame) std::memcpy(data_.extend(size, !shown_), frame.bytes.data(), size);
    else data_.append(std::move(frame.owner), frame.bytes);
    ++frames_;
}

template <role Role>
void send_queue<Role>::push_shared(opcode op, bool fin, shared_payload payload, masking_key key) {
    if (stopped_) return;
    if constexpr (masks) {
        push(op, fin, payload.bytes, key);
    } else {
        write_shared(header_of(op, fin, payload.bytes.size(), key), std::move(payload.owner),
                     payload.bytes);
    }
}

template <role Role>
void send_queue<Role>::push_owned(opcode op, bool fin, std::shared_ptr<void> owner,
                                  std::span<std::byte> payload, masking_key key) {
    if (stopped_) return;
    if constexpr (masks) (void)mask_in_place(payload, key);
    write_shared(header_of(op, fin, payload.size(), key), std::move(owner), payload);
}

// Both or nothing: no header stays whose payload cannot be queued.
template <role Role>
void send_queue<Role>::write_shared(const frame_header& header, std::shared_ptr<const void> owner,
                                    std::span<const std::byte> payload) {
    data_.expect_two();
    write(data_, header, {});
    data_.append(std::move(owner), payload);
    ++frames_;
}

template <role Role>
errc send_queue<Role>::push_control(opcode op, std::span<const std::byte> payload,
                                    masking_key key) {
    if (stopped_) return errc::closed;
    const frame_header header = header_of(op, true, payload.size(), key);
    if (!control_) control_ = std::make_unique<control_line>();
    if (control_->frames.size() < control_bytes_) {
        write(control_->frames, header, payload);
        return errc::ok;
    }
    if (op == opcode::pong) {
        // 5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping frame."
        auto& pong = control_->latest_pong;
        pong = std::vector<std::byte>(encoded_size(header) + payload.size());
        const std::size_t size = encode(header, pong.data());
        detail::copy_bytes(payload, pong.data() + size);
        if constexpr (masks) (void)mask_in_place({pong.data() + size, pong.size() - size}, key);
    }
    return errc::backpressure;
}

template <role Role>
output_buffers send_queue<Role>::output() noexcept {
    output_buffers out;
    if (stopped_) return out;
    const std::size_t data = shown_ ? shown_data_ : data_.size();
    const std::size_t control = shown_ ? shown_control_ : control_size();
    if (!shown_) shown_lead_ = control == 0 ? data : raw_left_ + frame_left_;  // to the boundary
    const std::size_t lead = detail::smaller_of(shown_lead_, data);
    show(data_, 0, lead, out);
    shown_data_ = out.bytes();
    if (control != 0) show(control_->frames, 0, control, out);
    shown_control_ = out.bytes() - shown_data_;
    show(data_, lead, data, out);
    shown_data_ = out.bytes() - shown_control_;
    shown_ = out.bytes() != 0;
    return out;
}

// Adds the bytes from `begin` to `end`; fewer only where `out` is full then.
template <role Role>
void send_queue<Role>::show(const detail::segment_queue& from, std::size_t begin, std::size_t end,
                            output_buffers& out) noexcept {
    while (begin != end && !out.full()) {
        const auto part = from.at(begin);
        const std::size_t size = detail::smaller_of(part.size(), end - begin);
        out.add(part.first(size));
        begin += size;
    }
}

template <role Role>
void send_queue<Role>::consume(std::size_t n) {
    shown_ = false;
    if (stopped_) return stop();
    const std::size_t lead = detail::smaller_of(n, shown_lead_);
    const std::size_t control = detail::smaller_of(n - lead, shown_control_);
    const std::size_t data = n - control;
    pass_data(data);
    data_.consume(data);
    if (control_) consume_control(control);
}

template <role Role>
bool send_queue<Role>::drop_unsent() noexcept {
    const std::size_t shown = shown_ ? shown_data_ : 0;
    std::size_t kept = raw_left_ + frame_left_;
    std::size_t frames = frame_left_ != 0 ? 1 : 0;
    for (; kept < shown; ++frames) kept += frame_size_at(data_, kept);
    data_.truncate(kept);
    const std::size_t begun = control_ ? control_->left : 0;
    truncate_control(shown_ ? shown_control_ : begun);
    return std::exchange(frames_, frames) != frames;
}

template <role Role>
void send_queue<Role>::stop() noexcept {
    stopped_ = true;
    data_.truncate(shown_ ? shown_data_ : 0);
    truncate_control(shown_ ? shown_control_ : 0);
    if (!shown_) frame_left_ = raw_left_ = frames_ = 0;
}

// Bytes of the frame that begins at `at`.
template <role Role>
std::size_t send_queue<Role>::frame_size_at(const detail::segment_queue& in,
                                            std::size_t at) noexcept {
    const auto parsed =
        parse_frame_header<rsv1::compressed>(in.at(at), peer_of(Role));  // in one piece, by `write`
    return parsed.size + static_cast<std::size_t>(parsed.value.payload_length);
}

// Goes over the frames from `begin` to `end` and says how many end there. `left` is what is left of
// the frame at `begin` if that is no boundary; then the same for `end`.
template <role Role>
std::size_t send_queue<Role>::pass(const detail::segment_queue& in, std::size_t begin,
                                   std::size_t end, std::size_t& left) noexcept {
    std::size_t ended = 0;
    while (begin != end) {
        if (left == 0) left = frame_size_at(in, begin);
        const std::size_t part = detail::smaller_of(left, end - begin);
        left -= part;
        begin += part;
        if (left == 0) ++ended;
    }
    return ended;
}

template <role Role>
void send_queue<Role>::pass_data(std::size_t n) noexcept {
    if (n == data_.size()) {  // the usual case: everything went out
        frame_left_ = raw_left_ = frames_ = 0;
        return;
    }
    const std::size_t raw = detail::smaller_of(n, raw_left_);
    raw_left_ -= raw;
    frames_ -= pass(data_, raw, n, frame_left_);
}

template <role Role>
void send_queue<Role>::consume_control(std::size_t n) {
    auto& [frames, left, pong] = *control_;
    if (n == frames.size()) left = 0;
    else (void)pass(frames, 0, n, left);
    frames.consume(n);
    if (pong.empty() || frames.size() >= control_bytes_) return;
    detail::copy_bytes({pong.data(), pong.size()}, frames.extend(pong.size(), true));
    std::vector<std::byte>{}.swap(pong);
}

}  // namespace sansocket
