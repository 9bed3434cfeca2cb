// codec.hpp
//
// permessage-deflate over zlib: two codecs for sansocket::connection.
//
//   codec         a compressor of its own for each connection, with context
//                   takeover if that is agreed on
//   shared_codec  one compressor for each thread, for as many connections as
//                   there are: none of them takes its context over
//
// Memory is taken when the first message is compressed or decompressed, and
// given back by `shrink`, or a long silence, where no later message refers to it.
//
// Knows nothing of: messages, frames, limits.
// Section numbers in this file refer to RFC 7692.
#pragma once

#include <sansocket_zlib/detail/stream.hpp>

#include <sansocket/machine/deflate_codec_concept.hpp>
#include <sansocket/wire/error.hpp>

#include <zlib.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace sansocket_zlib {

/// Where zlib's memory comes from: static functions that do not throw. `release` is told the size
/// that was asked for. Blocks are aligned for everything.
template <class M>
concept memory_source = requires(void* block, std::size_t n) {
    { M::allocate(n) }
    noexcept->std::same_as<void*>;
    { M::release(block, n) }
    noexcept;
};

/// The heap.
struct heap {
    /// Null: none.
    static void* allocate(std::size_t n) noexcept { return ::operator new(n, std::nothrow); }
    /// Frees.
    static void release(void* block, std::size_t) noexcept { ::operator delete(block); }
};

/// Compresses for one connection. A model of sansocket::deflate_compressor.
template <memory_source Memory = heap>
class compressor {
public:
    /// zlib makes a window of 9 bits where raw deflate asks for 8: that is never agreed to.
    static constexpr std::uint8_t smallest_window = 9;
    static constexpr bool keeps_context = true;  ///< As `deflate_compressor` says.

    /// Out of range, a level or a window is made the nearest that zlib takes.
    explicit compressor(const sansocket::deflate_settings& settings) noexcept
        : window_bits_(std::clamp<int>(settings.window_bits, smallest_window, MAX_WBITS)),
          level_(std::clamp(settings.level, 0, 9)),
          memory_level_(std::clamp(settings.memory_level, 1, MAX_MEM_LEVEL)) {}

    /// @{
    /// As `deflate_compressor` says.
    bool begin() noexcept {
        if (stream_) return true;
        const auto init = [this](z_streamp z) {
            return deflateInit2(z, level_, Z_DEFLATED, -window_bits_, memory_level_,
                                Z_DEFAULT_STRATEGY);
        };
        stream_ = detail::begin_stream<Memory>(init, &deflateEnd);
        return stream_ != nullptr;
    }
    sansocket::compress_step compress(std::span<const std::byte> in,
                                      std::span<std::byte> out) noexcept {
        stream_->give(in, out);
        z_stream& z = stream_->z;
        const uInt offered = z.avail_in;
        const uInt room = z.avail_out;
        (void)::deflate(&z, offered == in.size() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
        return {std::size_t{offered - z.avail_in}, std::size_t{room - z.avail_out}};
    }
    void reset() noexcept {
        if (stream_) (void)deflateReset(&stream_->z);
    }
    void release() noexcept { stream_.reset(); }
    [[nodiscard]] std::size_t memory() const noexcept { return stream_ ? stream_->held : 0; }
    /// @}

private:
    int window_bits_;
    int level_;
    int memory_level_;
    detail::stream_pointer<Memory> stream_;
};

/// Decompresses for one connection. A model of sansocket::deflate_decompressor.
template <memory_source Memory = heap>
class decompressor {
    using position_type = sansocket::deflate_position;

public:
    /// A peer that agreed to a window of 8 bits may have a zlib that makes 9 of it: 9 is taken.
    explicit decompressor(const sansocket::deflate_settings& settings) noexcept
        : window_bits_(std::clamp<int>(settings.window_bits, 9, MAX_WBITS)) {}

    /// @{
    /// As `deflate_decompressor` says.
    sansocket::decompress_step decompress(std::span<const std::byte> in,
                                          std::span<std::byte> out) noexcept;
    [[nodiscard]] position_type position() const noexcept { return position_; }
    void reset() noexcept {
        if (stream_) (void)inflateReset(&stream_->z);
        position_ = position_type::boundary;
    }
    void release() noexcept {
        stream_.reset();
        position_ = position_type::boundary;
    }
    [[nodiscard]] std::size_t memory() const noexcept { return stream_ ? stream_->held : 0; }
    /// @}

private:
    bool begin() noexcept {
        if (stream_) return true;
        const auto init = [this](z_streamp z) { return inflateInit2(z, -window_bits_); };
        stream_ = detail::begin_stream<Memory>(init, &inflateEnd);
        return stream_ != nullptr;
    }
    static position_type position_after(int result, int data_type) noexcept {
        // zlib.h, inflate: 128 behind a block, 64 in or behind the last one; in the low bits, those
        // left of the last byte.
        if (result == Z_STREAM_END || (data_type & (128 | 64)) == (128 | 64))
            return position_type::behind_last;
        return (data_type & (128 | 63)) == 128 ? position_type::boundary : position_type::inside;
    }

    int window_bits_;
    position_type position_ = position_type::boundary;
    detail::stream_pointer<Memory> stream_;
};

template <memory_source Memory>
sansocket::decompress_step decompressor<Memory>::decompress(std::span<const std::byte> in,
                                                            std::span<std::byte> out) noexcept {
    sansocket::decompress_step done;
    if (!begin()) {
        done.ec = sansocket::errc::deflate_memory;
        return done;
    }
    z_stream& z = stream_->z;
    if (position_ == position_type::behind_last) {
        if (in.empty()) return done;
        // 7.2.3.5: another stream follows, "using the same LZ77 sliding window".
        (void)inflateResetKeep(&z);
    }
    stream_->give(in, out);
    const uInt offered = z.avail_in;
    const uInt room = z.avail_out;
    const int result = ::inflate(&z, Z_BLOCK);  // stops behind each block
    done.taken = offered - z.avail_in;
    done.made = room - z.avail_out;
    if (result == Z_OK || result == Z_STREAM_END) {
        position_ = position_after(result, z.data_type);
        done.blocks = result == Z_STREAM_END || (z.data_type & 128) != 0 ? 1 : 0;
    } else if (result != Z_BUF_ERROR) {  // that is: nothing to do
        done.ec = result == Z_MEM_ERROR ? sansocket::errc::deflate_memory
                                        : sansocket::errc::deflate_corrupt;
    }
    return done;
}

/// Compresses with what the thread has. A model of sansocket::deflate_compressor.
template <memory_source Memory = heap>
class shared_compressor {
public:
    /// @{
    /// As `deflate_compressor` says.
    static constexpr std::uint8_t smallest_window = compressor<Memory>::smallest_window;
    static constexpr bool keeps_context = false;
    /// @}

    /// Settings as of `compressor`.
    explicit shared_compressor(const sansocket::deflate_settings& settings) noexcept
        : settings_(settings) {}

    /// @{
    /// As `deflate_compressor` says.
    bool begin() {
        current_ = &of_this_thread();
        current_->reset();
        return current_->begin();
    }
    sansocket::compress_step compress(std::span<const std::byte> in,
                                      std::span<std::byte> out) noexcept {
        return current_->compress(in, out);
    }
    void reset() noexcept {}
    void release() noexcept {}
    /// @}
    /// The connection's own: none. See `memory_of_this_thread`.
    [[nodiscard]] std::size_t memory() const noexcept { return 0; }

    /// Bytes that the compressors of this thread hold.
    [[nodiscard]] static std::size_t memory_of_this_thread() noexcept {
        std::size_t sum = 0;
        for (const entry& e : all()) sum += e.one.memory();
        return sum;
    }
    /// Gives them back.
    static void release_of_this_thread() noexcept {
        for (entry& e : all()) e.one.release();
    }

private:
    struct entry {
        sansocket::deflate_settings settings;
        compressor<Memory> one;
    };
    // One for each of the settings that connections have: a few.
    static std::vector<entry>& all() noexcept {
        thread_local std::vector<entry> entries;
        return entries;
    }
    compressor<Memory>& of_this_thread() {
        for (entry& e : all())
            if (e.settings.window_bits == settings_.window_bits &&
                e.settings.level == settings_.level &&
                e.settings.memory_level == settings_.memory_level)
                return e.one;
        return all().emplace_back(entry{settings_, compressor<Memory>(settings_)}).one;
    }

    sansocket::deflate_settings settings_;
    compressor<Memory>* current_ = nullptr;  // from `begin` to the end of the message
};

/// The codec with a compressor for each connection.
template <memory_source Memory = heap>
struct basic_codec {
    static constexpr bool enabled = true;  ///< It compresses.
    /// @{
    /// What the connection has one of.
    using compressor = sansocket_zlib::compressor<Memory>;
    using decompressor = sansocket_zlib::decompressor<Memory>;
    /// @}
};
/// The codec on the heap.
using codec = basic_codec<>;

/// The codec with a compressor for each thread. What a message refers to never outlives the call
/// that sends it: messages begun with `start` are sent as they are.
template <memory_source Memory = heap>
struct basic_shared_codec {
    static constexpr bool enabled = true;  ///< It compresses.
    /// @{
    /// What the connection has one of.
    using compressor = shared_compressor<Memory>;
    using decompressor = sansocket_zlib::decompressor<Memory>;
    /// @}
};
/// The same on the heap.
using shared_codec = basic_shared_codec<>;

static_assert(sansocket::deflate_codec<codec>);
static_assert(sansocket::deflate_codec<shared_codec>);

}  // namespace sansocket_zlib
