// read_buffer.hpp
//
// Where a stream that cannot be waited for reads to: one buffer for each
// connection, as small as what comes allows. An idle connection holds 2 KiB; one
// that brings much, as much as a TLS record takes.
#pragma once

#include <asio/buffer.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace sansocket_asio::detail {

class read_buffer {
public:
    static constexpr std::size_t few = 2 * 1024;
    static constexpr std::size_t many = 16 * 1024;  // a TLS record's payload. RFC 8446 5.1.

    // For the next read. What the last one brought is not needed any more.
    ::asio::mutable_buffer prepare() {
        const bool filled = last_ == size_;
        const std::size_t size = filled ? many : last_ < few / 2 ? few : size_;
        if (!bytes_ || size != size_) {
            bytes_.reset();  // first: the two are not held at a time
            bytes_.reset(new std::byte[size]);
            size_ = size;
        }
        last_ = 0;
        return {bytes_.get(), size_};
    }
    // What a read brought.
    std::span<std::byte> filled(std::size_t n) noexcept {
        last_ = n;
        return {bytes_.get(), n};
    }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_ ? size_ : 0; }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = few;
    std::size_t last_ = 0;
};

}  // namespace sansocket_asio::detail
