// sender_line.hpp
//
// Those that wait for room to send, in order: each with a timer that wakes it, and
// the bytes that it was given, which are limited in all.
#pragma once

#include <sansocket_asio/when_full.hpp>

#include <sansocket/wire/time.hpp>

#include <cstddef>
#include <cstdint>
#include <list>

namespace sansocket_asio::detail {

// Where in the line of those that wait for room.
enum class line : std::uint8_t { front, back };

template <class Timer>
class sender_line {
    struct sender {
        sender(const typename Timer::executor_type& executor, std::size_t given)
            : timer(executor, sansocket::never), bytes(given) {}
        Timer timer;
        std::size_t bytes;
    };

public:
    using place = typename std::list<sender>::iterator;

    void limit(const sender_limits& limits) noexcept { limits_ = limits; }
    bool empty() const noexcept { return senders_.empty(); }
    // Whether one more may wait.
    bool has_room() const noexcept {
        return senders_.size() < limits_.count && bytes_ < limits_.bytes;
    }
    bool is_first(place at) noexcept { return at == senders_.begin(); }

    // `given`: bytes that count towards the limit.
    place add(line where, const typename Timer::executor_type& executor, std::size_t given) {
        const auto before = where == line::front ? senders_.begin() : senders_.end();
        const auto at = senders_.emplace(before, executor, given);
        bytes_ += given;
        return at;
    }
    void remove(place at) noexcept {
        bytes_ -= at->bytes;
        senders_.erase(at);
    }

    void wake_first() {
        if (!empty()) senders_.front().timer.cancel();
    }
    void wake_all() {
        for (auto& s : senders_) s.timer.cancel();
    }

private:
    std::list<sender> senders_;
    std::size_t bytes_ = 0;
    sender_limits limits_;
};

}  // namespace sansocket_asio::detail
