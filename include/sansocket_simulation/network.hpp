// network.hpp
//
// A link between two programs, in memory: two directions of bytes, each with a
// delay, a rate and a limited buffer, cut into whatever pieces it pleases; and
// everything that can befall a TCP connection.
//
// It behaves as TCP does: bytes arrive in order or not at all, an end of stream
// comes behind them, whoever writes to a closed socket is answered by a reset,
// and a link that is held says nothing.
#pragma once

#include <sansocket_simulation/link_options.hpp>
#include <sansocket_simulation/random.hpp>
#include <sansocket_simulation/scheduler.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace sansocket_simulation {

class network_link;

/// One end of a link.
class link_end {
public:
    /// Writes as much of `buffers`, a range of spans, as the link takes.
    template <class Buffers>
    io_result write(const Buffers& buffers);
    /// Reads into `to`, which has room for a byte at least.
    io_result read(std::span<std::byte> to);
    /// Writes no more. No effect with TLS.
    void half_close();
    /// Closes in the ordinary way. What was not read makes TCP send a reset.
    void close();
    /// Drops the connection: the peer sees a reset.
    void abort();
    /// Whether this end has been closed.
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    /// Is called when a read or a write that would have blocked may go on; empty for nobody.
    void on_ready(std::function<void()> call) { ready_ = std::move(call); }

private:
    friend class network_link;
    link_end(network_link& l, std::size_t side) : link_(&l), side_(side) {}

    network_link* link_;
    std::size_t side_;
    bool closed_ = false;
    bool lost_ = false;  // a reset has arrived
    std::function<void()> ready_;
};

/// Two sockets and what is between them.
class network_link {
public:
    /// @param there  from the first end to the second; `back` the other way.
    network_link(scheduler& time, random_source random, const link_options& there,
                 const link_options& back)
        : time_(&time),
          random_(random),
          sockets_{link_end(*this, 0), link_end(*this, 1)},
          pipes_{pipe{there}, pipe{back}} {}
    network_link(scheduler& time, random_source random, const link_options& both = {})
        : network_link(time, random, both, both) {}
    network_link(const network_link&) = delete;
    network_link& operator=(const network_link&) = delete;
    ~network_link() {
        for (pipe& p : pipes_) time_->cancel(p.arrival);
        for (auto& e : wakes_) time_->cancel(e);
    }

    /// @{
    /// The two ends. They live as long as the link.
    [[nodiscard]] link_end& first() noexcept { return sockets_[0]; }
    [[nodiscard]] link_end& second() noexcept { return sockets_[1]; }
    /// @}

    /// Lets `what` befall the link now. `side`: 0 for the direction from the first end, 1 from the
    /// second.
    void befall(fault what, std::size_t side);
    /// The same at the operation with that number, counted from 0 over the reads and writes of both
    /// ends. Several may be given.
    void befall_at(std::uint64_t operation, fault what) { faults_.push_back({operation, what}); }
    /// What was held goes on.
    void release();

    /// Reads and writes so far.
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
    /// Whether anything happened to it that TCP does not repair: bytes or an end were lost.
    [[nodiscard]] bool harmed() const noexcept { return harmed_; }
    /// Whether it is held.
    [[nodiscard]] bool held() const noexcept { return held_; }
    /// Is called for each fault that happens, with its direction.
    void on_fault(std::function<void(fault, std::size_t)> call) { on_fault_ = std::move(call); }

private:
    friend class link_end;
    enum class mark : std::uint8_t { none, end, truncated, reset };
    struct flight {
        time_point due;
        std::size_t bytes;
        mark what;
    };
    struct pipe {
        explicit pipe(const link_options& o) : options(o) {}
        link_options options;
        std::vector<std::byte> bytes;  // from `head`: those that have arrived, then those in flight
        std::size_t head = 0;
        std::size_t arrived = 0;
        std::deque<flight> flights;
        scheduler::event arrival = 0;
        time_point last_due{};
        time_point free_at{};  // when the wire has sent what it was given
        bool ended = false;    // its writer's end, or a fault's, is on its way
        bool lossy = false;    // what is written vanishes
        bool reset = false;    // a reset that answers bytes for a closed socket is too
        bool writer_waits = false;
        mark over = mark::none;  // what arrived behind the bytes

        std::size_t size() const noexcept { return bytes.size() - head; }
        void discard() noexcept {
            bytes.clear();
            head = arrived = 0;
        }
    };
    struct planned {
        std::uint64_t operation;
        fault what;
    };

    bool operation(std::size_t side, bool writing);  // whether it may go on
    std::size_t drawn(std::size_t most, std::size_t limit) {
        return limit == 0 ? most
                          : (std::min)(most, static_cast<std::size_t>(random_.between(1, limit)));
    }
    template <class Buffers>
    io_result write(std::size_t side, const Buffers& buffers);
    io_result read(std::size_t side, std::span<std::byte> to);
    void send(pipe& p, std::size_t n);
    void send(pipe& p, mark what, std::size_t n = 0);
    void await_arrival(std::size_t side);
    void arrive(std::size_t side);
    void arrive(std::size_t side, const flight& f);
    void close(std::size_t side, bool abort);
    void wake(std::size_t side);

    scheduler* time_;
    random_source random_;
    std::array<link_end, 2> sockets_;
    std::array<pipe, 2> pipes_;  // [i]: written by socket i
    std::array<scheduler::event, 2> wakes_{};
    std::vector<planned> faults_;
    std::function<void(fault, std::size_t)> on_fault_;
    std::uint64_t operations_ = 0;
    bool held_ = false;
    bool harmed_ = false;
};

template <class Buffers>
io_result link_end::write(const Buffers& buffers) {
    return link_->write(side_, buffers);
}
inline io_result link_end::read(std::span<std::byte> to) { return link_->read(side_, to); }
inline void link_end::close() { link_->close(side_, false); }
inline void link_end::abort() { link_->close(side_, true); }
inline void link_end::half_close() {
    auto& p = link_->pipes_[side_];
    if (closed_ || lost_ || p.ended || p.options.tls) return;
    link_->send(p, network_link::mark::end);
}

template <class Buffers>
io_result network_link::write(std::size_t side, const Buffers& buffers) {
    const bool goes_on = operation(side, true);
    pipe& p = pipes_[side];
    if (sockets_[side].closed_ || sockets_[side].lost_ || p.ended) return {io::lost, 0};
    if (p.size() >= p.options.buffer || !goes_on) {
        p.writer_waits = true;
        if (!goes_on) wake(side);
        return {io::would_block, 0};
    }
    std::size_t offered = 0;
    for (const std::span<const std::byte> b : buffers) offered += b.size();
    const std::size_t n =
        (std::min)(drawn(offered, p.options.write_size), p.options.buffer - p.size());
    if (p.lossy) return {io::done, n};
    std::size_t left = n;
    for (const std::span<const std::byte> b : buffers) {
        const auto part = b.first((std::min)(left, b.size()));
        p.bytes.insert(p.bytes.end(), part.begin(), part.end());
        left -= part.size();
    }
    send(p, n);
    return {io::done, n};
}

inline io_result network_link::read(std::size_t side, std::span<std::byte> to) {
    const bool goes_on = operation(side, false);
    pipe& p = pipes_[1 - side];
    link_end& s = sockets_[side];
    if (s.closed_) return {io::lost, 0};
    if (!goes_on) return wake(side), io_result{io::would_block, 0};
    if (p.arrived != 0) {
        const std::size_t n = drawn((std::min)(p.arrived, to.size()), p.options.read_size);
        std::copy_n(p.bytes.begin() + static_cast<std::ptrdiff_t>(p.head), n, to.begin());
        p.head += n;
        p.arrived -= n;
        if (p.head == p.bytes.size() || p.head > p.bytes.size() / 2) {
            p.bytes.erase(p.bytes.begin(), p.bytes.begin() + static_cast<std::ptrdiff_t>(p.head));
            p.head = 0;
        }
        if (std::exchange(p.writer_waits, false)) wake(1 - side);
        return {io::done, n};
    }
    if (s.lost_) return {io::lost, 0};
    if (p.over == mark::end) return {io::end, 0};
    if (p.over == mark::truncated) return {io::truncated, 0};
    return {io::would_block, 0};
}

// An operation begins; what was planned for it happens first.
inline bool network_link::operation(std::size_t side, bool writing) {
    const std::uint64_t number = operations_++;
    bool goes_on = true;
    for (const planned& f : faults_) {
        if (f.operation != number) continue;
        if (f.what == fault::block) goes_on = false;
        befall(f.what, writing ? side : 1 - side);
    }
    return goes_on;
}

// The last `n` bytes of the pipe set off, in segments.
inline void network_link::send(pipe& p, std::size_t n) {
    while (n != 0) {
        const std::size_t part = drawn(n, p.options.segment);
        send(p, mark::none, part);
        n -= part;
    }
}

inline void network_link::send(pipe& p, mark what, std::size_t n) {
    if (what != mark::none) p.ended = true;
    if (p.lossy) return;
    const link_options& o = p.options;
    time_point leaves = (std::max)(time_->now(), p.free_at);
    if (o.bytes_per_second != 0) {
        const auto us = static_cast<std::int64_t>(n * 1'000'000U / o.bytes_per_second);
        leaves += std::chrono::microseconds{us};
        p.free_at = leaves;
    }
    const auto jitter = static_cast<std::uint64_t>(o.jitter.count());
    time_point due = leaves + o.latency;
    if (jitter != 0) due += duration{static_cast<duration::rep>(random_.below(jitter + 1))};
    p.last_due = (std::max)(p.last_due, due);
    p.flights.push_back({p.last_due, n, what});
    await_arrival(&p == &pipes_[0] ? 0 : 1);
}

inline void network_link::await_arrival(std::size_t side) {
    pipe& p = pipes_[side];
    if (p.arrival != 0 || held_ || p.flights.empty()) return;
    p.arrival = time_->at(p.flights.front().due, [this, side] {
        pipes_[side].arrival = 0;
        arrive(side);
    });
}

inline void network_link::arrive(std::size_t side) {
    pipe& p = pipes_[side];
    const time_point now = time_->now();
    while (!p.flights.empty() && p.flights.front().due <= now) {
        const flight f = p.flights.front();
        p.flights.pop_front();
        arrive(side, f);
    }
    await_arrival(side);
    wake(1 - side);
}

inline void network_link::arrive(std::size_t side, const flight& f) {
    pipe& p = pipes_[side];
    link_end& reader = sockets_[1 - side];
    if (reader.closed_) {
        if (f.bytes != 0) {  // nobody is there to read it: its writer is told
            p.flights.clear();
            if (!std::exchange(pipes_[1 - side].reset, true)) send(pipes_[1 - side], mark::reset);
        }
        return;
    }
    p.arrived += f.bytes;
    if (f.what == mark::none) return;
    if (p.over != mark::reset) p.over = f.what;
    if (f.what != mark::reset) return;
    reader.lost_ = true;
    if (p.options.reset_discards && p.arrived != 0) {
        p.discard();
        p.flights.clear();
        harmed_ = true;
    }
}

inline void network_link::close(std::size_t side, bool abort) {
    link_end& s = sockets_[side];
    if (std::exchange(s.closed_, true)) return;
    pipe& out = pipes_[side];
    pipe& in = pipes_[1 - side];
    time_->cancel(wakes_[side]);
    if (!s.lost_) {
        const bool unread = in.arrived != 0;  // RFC 2525 2.17: closing over it is a reset
        harmed_ = harmed_ || abort;
        if (abort && random_.chance(50)) {  // what was not on the wire yet never will be
            out.bytes.resize(out.head + out.arrived);
            out.flights.clear();
            time_->cancel(out.arrival);
        }
        if (abort || unread) out.reset = true, send(out, mark::reset);
        else if (!out.ended) send(out, out.options.tls ? mark::truncated : mark::end);
    }
    in.discard();  // what is still in flight is counted by `flights`
}

// Its owner is told that it may try again; once, however many reasons there are.
inline void network_link::wake(std::size_t side) {
    if (sockets_[side].closed_ || wakes_[side] != 0) return;
    wakes_[side] = time_->after(duration::zero(), [this, side] {
        wakes_[side] = 0;
        if (sockets_[side].ready_) sockets_[side].ready_();
    });
}

inline void network_link::befall(fault what, std::size_t side) {
    if (on_fault_) on_fault_(what, side);
    pipe& p = pipes_[side];
    switch (what) {
    case fault::block: return;
    case fault::hold:
        held_ = harmed_ = true;
        for (pipe& each : pipes_) time_->cancel(each.arrival);
        return;
    case fault::lose:
        p.lossy = harmed_ = true;
        p.bytes.resize(p.head + p.arrived);
        p.flights.clear();
        return time_->cancel(p.arrival);
    case fault::end:
    case fault::truncate:
        harmed_ = true;
        if (!p.ended) send(p, what == fault::end ? mark::end : mark::truncated);
        return;
    case fault::reset:
        harmed_ = true;
        for (std::size_t i = 0; i != 2; ++i) {
            pipe& each = pipes_[i];
            each.bytes.resize(each.head + each.arrived);
            each.flights.clear();
            time_->cancel(each.arrival);
            each.over = mark::reset;
            each.ended = sockets_[1 - i].lost_ = true;
            if (each.options.reset_discards) each.discard();
            wake(1 - i);
        }
        return;
    }
}

inline void network_link::release() {
    held_ = false;
    for (std::size_t i = 0; i != 2; ++i) await_arrival(i);
}

}  // namespace sansocket_simulation
