// outbox.hpp
//
// Messages that other threads hand to a connection, until its own executor takes
// them. A mutex, a queue with a limit, and an answer: whether the connection
// takes any more.
#pragma once

#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/time.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace sansocket_asio::detail {

class outbox {
public:
    using item = std::variant<sansocket::message, sansocket::close_frame>;

    /// `wake` posts a call of `pass_on` to the connection's executor.
    outbox(std::size_t max_bytes, sansocket::errc answer, std::function<void()> wake)
        : max_bytes_(max_bytes), answer_(answer), wake_(std::move(wake)) {}

    // From any thread.
    sansocket::errc push(item given) {
        const std::scoped_lock lock(mutex_);
        if (const auto answer = answer_.load(); answer != sansocket::errc::ok) return answer;
        const auto* const message = std::get_if<sansocket::message>(&given);
        if (!message) answer_ = sansocket::errc::closing;
        else if (bytes_ >= max_bytes_) return sansocket::errc::backpressure;
        else bytes_ += cost(*message);
        items_.push_back(std::move(given));
        if (!std::exchange(waking_, true)) wake_();
        return sansocket::errc::ok;
    }
    [[nodiscard]] std::size_t bytes() const {
        const std::scoped_lock lock(mutex_);
        return bytes_;
    }

    // On the connection's executor.

    /// Gives the core what waits, as far as it takes it. `backpressure`: call again when it drains.
    template <class Connection>
    sansocket::errc pass_on(Connection& core, sansocket::time_point now) {
        while (auto next = take()) {
            auto* const message = std::get_if<sansocket::message>(&*next);
            const auto ec = message ? core.send(std::move(*message)) : close(core, *next, now);
            if (ec != sansocket::errc::backpressure) continue;  // a core that is over takes nothing
            put_back(std::move(*next));                         // unchanged, for it was not taken
            return ec;
        }
        return sansocket::errc::ok;
    }
    /// What the connection answers to who sends from now on.
    void answer(sansocket::errc ec) {
        if (answer_.load() == ec) return;
        std::deque<item> dropped;  // freed outside of the lock
        const std::scoped_lock lock(mutex_);
        const bool closes = answer_.load() == sansocket::errc::closing;
        if (closes && ec != sansocket::errc::closed)
            return;  // a close that is still to be passed on
        answer_ = ec;
        if (ec == sansocket::errc::ok) return;
        dropped.swap(items_);
        bytes_ = 0;
        if (ec == sansocket::errc::closed) wake_ = [] {};  // whatever it holds is let go
    }

private:
    static std::size_t cost(const sansocket::message& m) noexcept { return m.data.size() + 64; }

    template <class Connection>
    static sansocket::errc close(Connection& core, const item& asked, sansocket::time_point now) {
        const auto& frame = std::get<sansocket::close_frame>(asked);
        return core.close(frame.code, frame.reason, now);
    }
    std::optional<item> take() {
        const std::scoped_lock lock(mutex_);
        waking_ = !items_.empty();
        if (!waking_) return std::nullopt;
        auto next = std::move(items_.front());
        items_.pop_front();
        if (const auto* const m = std::get_if<sansocket::message>(&next)) bytes_ -= cost(*m);
        return next;
    }
    void put_back(item given) {
        const std::scoped_lock lock(mutex_);
        if (const auto* const m = std::get_if<sansocket::message>(&given)) bytes_ += cost(*m);
        items_.push_front(std::move(given));
    }

    mutable std::mutex mutex_;
    std::deque<item> items_;
    std::size_t bytes_ = 0;
    std::size_t max_bytes_;
    bool waking_ = false;  // a call of pass_on is on its way
    std::atomic<sansocket::errc> answer_;
    std::function<void()> wake_;
};

}  // namespace sansocket_asio::detail
