// segment_queue.hpp
//
// A queue of bytes whose addresses stay put until they are taken out: blocks
// that are appended to, and payloads that somebody else owns, in order.
//
// Appending never moves a byte that is already there unless `may_move` says
// that nobody looks at it.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sansocket::detail {

class segment_queue {
public:
    segment_queue() = default;
    segment_queue(segment_queue&& other) noexcept
        : segments_(std::move(other.segments_)),
          spare_(std::move(other.spare_)),
          spare_size_(std::exchange(other.spare_size_, 0)),
          first_(std::exchange(other.first_, 0)),
          size_(std::exchange(other.size_, 0)) {}
    segment_queue& operator=(segment_queue&& other) noexcept {
        segments_ = std::move(other.segments_);
        spare_ = std::move(other.spare_);
        spare_size_ = std::exchange(other.spare_size_, 0);
        first_ = std::exchange(other.first_, 0);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~segment_queue() = default;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Room for `n` contiguous bytes at the end, to be written at once.
    SANSOCKET_ALWAYS_INLINE std::byte* extend(std::size_t n, bool may_move) {
        if (first_ == segments_.size() || segments_.back().room() < n) [[unlikely]]
            grow(n, may_move);
        segment& back = segments_.back();
        std::byte* const at = back.block.get() + back.end;
        back.end += n;
        size_ += n;
        return at;
    }

    // After this one `extend` and one `append` together fail in `extend` or not at all.
    void expect_two() {
        if (segments_.capacity() - segments_.size() < 2)
            segments_.reserve(segments_.size() * 2 + 2);
    }

    // Bytes that `owner` keeps alive.
    void append(std::shared_ptr<const void> owner, std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        segments_.push_back(
            {nullptr, std::move(owner), bytes.data(), 0, bytes.size(), bytes.size()});
        size_ += bytes.size();
    }

    // The byte at `offset`, and those behind it up to the end of its segment.
    std::span<const std::byte> at(std::size_t offset) const noexcept {
        for (std::size_t i = first_; i != segments_.size(); ++i) {
            const segment& s = segments_[i];
            if (offset < s.size()) return s.bytes().subspan(offset);
            offset -= s.size();
        }
        return {};
    }

    // Drops `n` bytes at the front.
    void consume(std::size_t n) noexcept {
        if (n == 0) return;
        if (n == size_) return drop_all();
        size_ -= n;
        while (n != 0) {
            segment& front = segments_[first_];
            const std::size_t part = smaller_of(n, front.size());
            front.begin += part;
            n -= part;
            if (front.size() == 0) drop_front();
        }
    }

    // Drops all behind the first `size` bytes.
    void truncate(std::size_t size) noexcept {
        while (size_ > size) {
            segment& back = segments_.back();
            const std::size_t part = smaller_of(size_ - size, back.size());
            back.end -= part;
            size_ -= part;
            if (back.size() == 0) segments_.pop_back();
        }
        if (size_ == 0) release();
    }

    void release() noexcept {
        std::vector<segment>{}.swap(segments_);
        spare_.reset();
        spare_size_ = first_ = size_ = 0;
    }

    // Gives back the block that an empty queue keeps for the next bytes.
    void shrink() noexcept {
        if (size_ == 0) release();
    }

    // Bytes of memory held, payloads of others left out.
    std::size_t memory() const noexcept {
        std::size_t sum = 0;
        for (const segment& s : segments_)
            if (s.block) sum += s.capacity;
        return sum + spare_size_;
    }

private:
    static constexpr std::size_t first_block = 128;  // what a Ping leaves on an idle connection
    static constexpr std::size_t largest_block = 64 * 1024;  // a larger one holds a single frame
    static constexpr std::size_t keep = largest_block;       // kept by an empty queue

    struct segment {
        std::unique_ptr<std::byte[]> block;  // ours, or
        std::shared_ptr<const void> owner;   // somebody else's
        const std::byte* data = nullptr;
        std::size_t begin = 0;
        std::size_t end = 0;
        std::size_t capacity = 0;

        std::size_t size() const noexcept { return end - begin; }
        std::size_t room() const noexcept { return block ? capacity - end : 0; }
        std::span<const std::byte> bytes() const noexcept { return {data + begin, end - begin}; }
    };

    SANSOCKET_NOINLINE void grow(std::size_t n, bool may_move) {
        if (first_ == segments_.size()) {
            segments_.clear();
            first_ = 0;
        }
        if (segments_.empty() || segments_.back().block == nullptr)
            return segments_.push_back(new_block(larger_of(first_block, n)));
        segment& back = segments_.back();
        const std::size_t used = back.size();
        if (may_move && used <= back.begin && used + n <= back.capacity) return to_front(back);
        std::size_t capacity = larger_of(n, smaller_of(largest_block, back.capacity * 2));
        // Only into a larger block: a full one would be copied for every frame.
        const bool move = may_move && used + n <= largest_block && back.capacity < capacity;
        if (move) capacity = larger_of(capacity, used + n);
        segment fresh = new_block(capacity);
        if (!move) return segments_.push_back(std::move(fresh));
        std::memcpy(fresh.block.get(), back.bytes().data(), used);
        fresh.end = used;
        back = std::move(fresh);
    }

    static void to_front(segment& s) noexcept {
        std::memcpy(s.block.get(), s.bytes().data(), s.size());  // no overlap: half of it is free
        s.end = s.size();
        s.begin = 0;
    }

    segment new_block(std::size_t capacity) {
        if (spare_size_ >= capacity)
            return from_block(std::move(spare_), std::exchange(spare_size_, 0));
        return from_block(std::unique_ptr<std::byte[]>(new std::byte[capacity]), capacity);
    }
    static segment from_block(std::unique_ptr<std::byte[]> block, std::size_t capacity) noexcept {
        const std::byte* const data = block.get();
        return {std::move(block), nullptr, data, 0, 0, capacity};
    }

    // The usual case, everything was taken: the last block is kept for what comes next.
    void drop_all() noexcept {
        size_ = 0;
        std::size_t last = segments_.size();
        while (last != first_ &&
               !(segments_[last - 1].block && segments_[last - 1].capacity <= keep))
            --last;
        if (last == first_) {
            segments_.clear();
        } else {
            segment& kept = segments_[last - 1];
            kept.begin = kept.end = 0;
            if (last != 1) segments_.front() = std::move(kept);
            segments_.erase(segments_.begin() + 1, segments_.end());
        }
        first_ = 0;
    }

    // A block that is used up is kept as the spare one.
    void drop_front() noexcept {
        segment& front = segments_[first_];
        if (front.block && front.capacity <= keep && front.capacity > spare_size_) {
            spare_ = std::move(front.block);
            spare_size_ = front.capacity;
        }
        front = segment{};
        ++first_;
        if (first_ >= 32 && first_ * 2 >= segments_.size()) {
            segments_.erase(segments_.begin(),
                            segments_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
    }

    std::vector<segment> segments_;
    std::unique_ptr<std::byte[]> spare_;  // a block that is empty
    std::size_t spare_size_ = 0;
    std::size_t first_ = 0;  // segments before it are used up
    std::size_t size_ = 0;
};

}  // namespace sansocket::detail
