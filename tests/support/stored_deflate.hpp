// A codec that stores: deflate (RFC 1951) of nothing but blocks without compression. It shows what a
// connection asks of a codec, and what it asks, `calls` has written down.
#pragma once

#include <sansocket/machine/deflate_codec_concept.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace support {

/// What all stored codecs were asked: b begin, c compress, r reset, x release, d decompress, R reset
/// and X release of a decompressor.
inline std::string& stored_calls() {
    static std::string calls;
    return calls;
}
/// Whether `begin` finds memory.
inline bool& stored_memory() {
    static bool there = true;
    return there;
}

class stored_compressor {
public:
    static constexpr std::uint8_t smallest_window = 9;
    static constexpr bool keeps_context = true;

    explicit stored_compressor(const sansocket::deflate_settings&) {}

    bool begin() {
        stored_calls() += 'b';
        return stored_memory();
    }
    sansocket::compress_step compress(std::span<const std::byte> in, std::span<std::byte> out) {
        stored_calls() += 'c';
        const std::size_t taken = in.size();
        while (!in.empty()) {
            const auto part = in.first((std::min)(in.size(), std::size_t{1000}));
            block(part);
            in = in.subspan(part.size());
        }
        if (taken != 0) block({});
        const std::size_t made = (std::min)(pending_.size(), out.size());
        std::copy_n(pending_.begin(), made, out.begin());
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(made));
        return {taken, made};
    }
    void reset() noexcept { stored_calls() += 'r', pending_.clear(); }
    void release() noexcept { stored_calls() += 'x', pending_.clear(); }
    [[nodiscard]] std::size_t memory() const noexcept { return pending_.size(); }

private:
    void block(std::span<const std::byte> data) {
        const auto size = static_cast<unsigned>(data.size());
        for (const unsigned b : {0U, size & 0xffU, size >> 8U, ~size & 0xffU, ~size >> 8U & 0xffU})
            pending_.push_back(static_cast<std::byte>(b));
        pending_.insert(pending_.end(), data.begin(), data.end());
    }

    std::vector<std::byte> pending_;
};

class stored_decompressor {
public:
    explicit stored_decompressor(const sansocket::deflate_settings&) {}

    sansocket::decompress_step decompress(std::span<const std::byte> in, std::span<std::byte> out) {
        stored_calls() += 'd';
        sansocket::decompress_step done;
        while (head_ != header_.size() && done.taken != in.size()) {
            header_[head_++] = in[done.taken++];
            if (head_ == 1 && std::to_integer<unsigned>(header_[0]) > 1) return fail(done);
        }
        if (head_ != header_.size()) return done;
        if (!counted_ && !count()) return fail(done);
        const std::size_t n = (std::min)({left_, in.size() - done.taken, out.size()});
        std::copy_n(in.begin() + static_cast<std::ptrdiff_t>(done.taken), n, out.begin());
        done.taken += n;
        done.made = n;
        left_ -= n;
        if (left_ != 0) return done;
        done.blocks = 1;
        last_ = header_[0] == std::byte{1};
        counted_ = false;
        head_ = 0;
        return done;
    }
    [[nodiscard]] sansocket::deflate_position position() const noexcept {
        if (head_ != 0) return sansocket::deflate_position::inside;
        return last_ ? sansocket::deflate_position::behind_last
                     : sansocket::deflate_position::boundary;
    }
    void reset() noexcept { stored_calls() += 'R', restart(); }
    void release() noexcept { stored_calls() += 'X', restart(); }
    [[nodiscard]] std::size_t memory() const noexcept { return 0; }

private:
    static sansocket::decompress_step fail(sansocket::decompress_step done) {
        done.ec = sansocket::errc::deflate_corrupt;
        return done;
    }
    bool count() {
        const auto at = [this](std::size_t i) { return std::to_integer<unsigned>(header_[i]); };
        left_ = at(1) | at(2) << 8U;
        counted_ = true;
        return left_ == (~(at(3) | at(4) << 8U) & 0xffffU);
    }
    void restart() noexcept {
        head_ = left_ = 0;
        counted_ = last_ = false;
    }

    std::array<std::byte, 5> header_{};
    std::size_t head_ = 0;  // bytes of the header that are here
    std::size_t left_ = 0;  // bytes of the block to come
    bool counted_ = false;
    bool last_ = false;
};

/// The codec.
struct stored_deflate {
    static constexpr bool enabled = true;
    using compressor = stored_compressor;
    using decompressor = stored_decompressor;
};

}  // namespace support
