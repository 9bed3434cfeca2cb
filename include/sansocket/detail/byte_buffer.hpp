// byte_buffer.hpp
//
// Contiguous bytes that grow without being cleared first, which std::vector
// cannot. Growing moves the bytes; nothing else does.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace sansocket::detail {

template <class Allocator = std::allocator<std::byte>>
class byte_buffer {
    using traits = std::allocator_traits<Allocator>;

public:
    byte_buffer() = default;
    explicit byte_buffer(const Allocator& allocator) noexcept : allocator_(allocator) {}
    byte_buffer(byte_buffer&& other) noexcept
        : allocator_(other.allocator_),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    byte_buffer& operator=(byte_buffer&& other) noexcept {
        if (this != &other) {
            release();
            allocator_ = other.allocator_;
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
            capacity_ = std::exchange(other.capacity_, 0);
        }
        return *this;
    }
    ~byte_buffer() { release(); }

    std::byte* data() noexcept { return data_; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t room() const noexcept { return capacity_ - size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    bool empty() const noexcept { return size_ == 0; }

    // Room for `n` more bytes, at the returned place. There must be room.
    std::byte* extend(std::size_t n) noexcept { return data_ + std::exchange(size_, size_ + n); }

    // Makes room for `n` more bytes behind the first `front` dropped ones. Capacity doubles, but
    // stops at `keep` on its way, for what is larger will not be kept.
    void make_room(std::size_t n, std::size_t front, std::size_t keep = 0) {
        if (capacity_ - (size_ - front) >= n && front >= size_ / 2) return drop_front(front);
        const std::size_t wanted = size_ - front + n;
        std::size_t capacity = larger_of(capacity_ * 2, smallest);
        if (capacity_ < keep) capacity = smaller_of(capacity, keep);
        capacity = larger_of(capacity, wanted);
        std::byte* const fresh = traits::allocate(allocator_, capacity);
        if (size_ != front) std::memcpy(fresh, data_ + front, size_ - front);
        const std::size_t size = size_ - front;
        release();
        data_ = fresh;
        size_ = size;
        capacity_ = capacity;
    }

    void truncate(std::size_t size) noexcept { size_ = size; }

    void drop_front(std::size_t front) noexcept {
        if (size_ != front) std::memmove(data_, data_ + front, size_ - front);
        size_ -= front;
    }

    void release() noexcept {
        if (data_ != nullptr) traits::deallocate(allocator_, data_, capacity_);
        data_ = nullptr;
        size_ = capacity_ = 0;
    }

private:
    static constexpr std::size_t smallest = 256;

    SANSOCKET_NO_UNIQUE_ADDRESS Allocator allocator_{};
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace sansocket::detail
