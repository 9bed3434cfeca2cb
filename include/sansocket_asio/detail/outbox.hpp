// outbox.hpp
//
// The line in front of a connection's send queue, of what is not sent by its own
// executor or must not wait for room: a mutex, messages, a limit, what becomes of
// them at the limit, and an answer: whether the connection takes any more.
#pragma once

#include <sansocket_asio/when_full.hpp>

#include <sansocket/prepared_message.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/time.hpp>
#include <sansocket/wire/utf8.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace sansocket_asio::detail {

class outbox {
public:
    struct item {
        std::variant<sansocket::message, sansocket::prepared_message, sansocket::close_frame> what;
        std::optional<when_full> policy{};  // without one it waits
    };

    /// `wake` posts a call of the session's `empty_outbox` to the connection's executor.
    outbox(const backlog_limits& limits, sansocket::errc answer, std::function<void()> wake)
        : limits_(limits), answer_(answer), wake_(std::move(wake)) {}

    /// Whether it may be sent at all: errc::text_not_utf8.
    static sansocket::errc check(const item& i) noexcept {
        if (const auto* const p = std::get_if<sansocket::prepared_message>(&i.what))
            return p->error();
        const auto* const m = std::get_if<sansocket::message>(&i.what);
        const bool text = m && m->kind == sansocket::message_kind::text;
        return text && !sansocket::is_valid_utf8(m->bytes()) ? sansocket::errc::text_not_utf8
                                                             : sansocket::errc::ok;
    }
    /// Gives it to the core; unchanged where that does not take it.
    template <class Connection>
    static sansocket::errc hand_to(Connection& core, item& i, sansocket::time_point now) {
        if (auto* const m = std::get_if<sansocket::message>(&i.what))
            return core.send(std::move(*m));
        if (const auto* const m = std::get_if<sansocket::prepared_message>(&i.what))
            return core.send(*m);
        const auto& frame = std::get<sansocket::close_frame>(i.what);
        return core.close(frame.code, frame.reason, now);
    }

    // From any thread.

    sansocket::errc push(item given) {
        std::list<item> one, dropped;  // freed outside of the lock
        one.push_back(std::move(given));
        const std::scoped_lock lock(mutex_);
        if (const auto answer = answer_.load(); answer != sansocket::errc::ok) return answer;
        if (is_close(one.front())) answer_ = sansocket::errc::closing;
        else if (!make_room(one.front().policy, dropped)) return sansocket::errc::backpressure;
        bytes_ += cost(one.front());
        items_.splice(items_.end(), one);
        if (!std::exchange(waking_, true)) wake_();
        return sansocket::errc::ok;
    }
    /// From now on. What is there stays.
    void limit(const backlog_limits& limits) {
        const std::scoped_lock lock(mutex_);
        limits_ = limits;
    }
    [[nodiscard]] bool waits() const {
        const std::scoped_lock lock(mutex_);
        return !items_.empty();
    }
    [[nodiscard]] std::size_t bytes() const {
        const std::scoped_lock lock(mutex_);
        return bytes_;
    }
    [[nodiscard]] drop_counters dropped() const {
        const std::scoped_lock lock(mutex_);
        return dropped_;
    }

    // On the connection's executor.

    /// Gives the core what waits, as far as it takes it. `backpressure`: call again when it drains.
    template <class Connection>
    sansocket::errc pass_on(Connection& core, sansocket::time_point now) {
        while (!take().empty()) {
            const auto ec = hand_to(core, taken_.front(), now);
            const auto policy = taken_.front().policy;
            const bool no_room = ec == sansocket::errc::backpressure;
            if (no_room && policy == when_full::close) close_slow(core, now);
            if (no_room && policy == when_full::drop_new) count(&drop_counters::dropped_new);
            if (no_room && policy && policy != when_full::drop_old) continue;
            if (!no_room && ec != sansocket::errc::message_in_progress)
                continue;  // a core that is over takes nothing
            put_back();    // unchanged, for it was not taken
            return sansocket::errc::backpressure;
        }
        return sansocket::errc::ok;
    }
    /// Closes because the peer is too slow, where somebody asked for that.
    template <class Connection>
    void close_slow(Connection& core, sansocket::time_point now) {
        const auto ec = core.close(sansocket::close_code::policy_violation, "too slow", now);
        if (ec == sansocket::errc::ok) count(&drop_counters::closed);
    }
    [[nodiscard]] bool too_slow() const {
        const std::scoped_lock lock(mutex_);
        return too_slow_;
    }
    void count(std::uint64_t drop_counters::*which) {
        const std::scoped_lock lock(mutex_);
        ++(dropped_.*which);
    }
    /// What the connection answers to who sends from now on.
    void answer(sansocket::errc ec) {
        if (answer_.load() == ec) return;
        std::list<item> dropped;  // freed outside of the lock
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
    static bool is_close(const item& i) noexcept {
        return std::holds_alternative<sansocket::close_frame>(i.what);
    }
    static std::size_t cost(const item& i) noexcept {
        constexpr std::size_t each = 64;
        if (const auto* const m = std::get_if<sansocket::message>(&i.what))
            return m->data.size() + each;
        if (const auto* const m = std::get_if<sansocket::prepared_message>(&i.what))
            return m->payload().size() + each;
        return 0;
    }
    [[nodiscard]] bool full() const noexcept {
        return bytes_ >= limits_.bytes || items_.size() >= limits_.count;
    }

    // Whether there is room for one more, now that `policy` was applied.
    bool make_room(std::optional<when_full> policy, std::list<item>& dropped) {
        while (full() && policy == when_full::drop_old && drop_oldest(dropped)) {}
        if (!full()) return true;
        if (!policy) return false;
        if (*policy == when_full::close) {
            answer_ = sansocket::errc::closing;
            too_slow_ = true;
            wake_();  // whatever waits already
        } else ++dropped_.dropped_new;
        return false;
    }
    bool drop_oldest(std::list<item>& dropped) {
        auto oldest = items_.begin();
        while (oldest != items_.end() && oldest->policy != when_full::drop_old) ++oldest;
        if (oldest == items_.end()) return false;
        bytes_ -= cost(*oldest);
        ++dropped_.dropped_old;
        dropped.splice(dropped.end(), items_, oldest);
        return true;
    }

    // The first of the line, out of it.
    const std::list<item>& take() {
        taken_.clear();
        const std::scoped_lock lock(mutex_);
        waking_ = !items_.empty();
        if (waking_) {
            taken_.splice(taken_.end(), items_, items_.begin());
            bytes_ -= cost(taken_.front());
        }
        return taken_;
    }
    void put_back() {
        const std::scoped_lock lock(mutex_);
        bytes_ += cost(taken_.front());
        items_.splice(items_.begin(), taken_);
    }

    mutable std::mutex mutex_;
    std::list<item> items_;
    std::size_t bytes_ = 0;
    backlog_limits limits_;
    drop_counters dropped_;
    bool waking_ = false;    // a call of pass_on is on its way
    bool too_slow_ = false;  // somebody asked for the close that is due to slow peers
    std::atomic<sansocket::errc> answer_;
    std::function<void()> wake_;
    std::list<item> taken_;  // by pass_on: not under the mutex
};

}  // namespace sansocket_asio::detail
