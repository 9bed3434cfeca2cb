// write_buffers.hpp
//
// The core's output as Asio takes it.
#pragma once

#include <sansocket/connection.hpp>

#include <asio/buffer.hpp>

#include <array>
#include <cstddef>

namespace sansocket_asio::detail {

// A gather write's buffers. Copied into Asio's operation.
class write_buffers {
public:
    using value_type = ::asio::const_buffer;
    using const_iterator = const ::asio::const_buffer*;

    explicit write_buffers(const sansocket::output_buffers& out) noexcept : count_(out.size()) {
        for (std::size_t i = 0; i != count_; ++i)
            buffers_[i] = ::asio::const_buffer(out[i].data(), out[i].size());
    }
    const_iterator begin() const noexcept { return buffers_.data(); }
    const_iterator end() const noexcept { return buffers_.data() + count_; }

private:
    std::array<::asio::const_buffer, sansocket::output_buffers::capacity> buffers_;
    std::size_t count_;
};

}  // namespace sansocket_asio::detail
