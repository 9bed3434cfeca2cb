// direct_queue.hpp
//
// A message queue that keeps nothing: each message goes to a handler as it is
// parsed, where it lies. Only one that comes in several pieces is put together
// first.
//
// Knows nothing of: frames, roles, reading that pauses; it never asks for that.
#pragma once

#include <sansocket/detail/byte_buffer.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/machine/message_queue_concept.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace sansocket {

/// No storage for whole messages: each is handed to a handler as it is parsed. Only a message that
/// comes in several pieces is put together first.
///
/// `Handler` is called as `handler(message_view)`; the view is gone when it returns. The handler may
/// call the connection's `send_*`, `close` and `abort`, and not its `receive`. An exception of the
/// handler leaves `receive`, and ends the connection: its message counts as delivered, and where the
/// bytes behind that message stand is not known any more. A handler that wants to go on catches.
template <class Handler>
class direct_queue {
public:
    /// Hands messages to `handler`.
    explicit direct_queue(Handler handler) : handler_(std::move(handler)) {}

    /// What is moved from has nothing begun, no handler to call, and has ended if it had.
    direct_queue(direct_queue&& other) noexcept
        : handler_(std::move(other.handler_)),
          begun_(std::exchange(other.begun_, false)),
          kind_(other.kind_),
          partial_(std::move(other.partial_)),
          end_(other.end_) {}
    direct_queue& operator=(direct_queue&& other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }

    /// Hands a message on. False after the end.
    SANSOCKET_ALWAYS_INLINE bool push(message_kind kind, std::span<const std::byte> payload) {
        if (is_eof()) return false;
        handler_(message_view{kind, payload});
        return true;
    }
    /// A message begins. False after the end.
    bool begin(message_kind kind) {
        if (is_eof()) return false;
        begun_ = true;
        kind_ = kind;
        return true;
    }
    /// Makes room at once for `n` bytes more of the message begun.
    void reserve(std::size_t n) {
        if (partial_.room() < n) partial_.make_room(n, 0);
    }
    /// Room for the next `n` bytes of the message begun; written before the next call.
    [[nodiscard]] std::byte* extend(std::size_t n) {
        if (!begun_) return nullptr;
        reserve(n);
        return partial_.extend(n);
    }
    /// The last `n` bytes of that room are not needed.
    void retract(std::size_t n) noexcept {
        if (begun_) partial_.truncate(partial_.size() - n);
    }
    /// The message begun is complete: hands it on.
    void finish() {
        if (!begun_) return;
        begun_ = false;
        auto whole = std::exchange(partial_, {});  // the handler may end the connection
        handler_(message_view{kind_, {whole.data(), whole.size()}});
        whole.truncate(0);
        if (!is_eof() && whole.capacity() <= keep) partial_ = std::move(whole);
    }
    /// The message begun will never be complete.
    void abandon() noexcept {
        begun_ = false;
        partial_.release();
    }
    /// Forgets the message begun; there are no others.
    void clear() noexcept { abandon(); }
    /// Gives back memory that nothing lies in.
    void shrink() noexcept {
        if (partial_.empty()) partial_.release();
    }
    /// No more will come. Only the first cause counts.
    void end(errc cause) noexcept {
        abandon();
        end_.end(cause);
    }

    /// @{
    /// As `message_queue_for_connection` says. Nothing is ever queued.
    [[nodiscard]] bool is_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] bool at_eof() const noexcept { return end_.is_eof(); }
    [[nodiscard]] errc cause() const noexcept { return end_.cause(); }
    [[nodiscard]] std::size_t size() const noexcept { return 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return 0; }
    [[nodiscard]] bool paused() const noexcept { return false; }
    /// @}
    /// Bytes of memory held.
    [[nodiscard]] std::size_t memory() const noexcept { return partial_.capacity(); }

private:
    static constexpr std::size_t keep = 128 * 1024;  // bytes of capacity for the next message

    Handler handler_;
    bool begun_ = false;  // a message of `kind_`
    message_kind kind_{};
    detail::byte_buffer<> partial_;
    detail::queue_end end_;
};

}  // namespace sansocket
