// masking_keys.hpp
//
// Where a client's masking keys come from. RFC 6455 5.3, 10.3.
//
// 5.3: "The masking key needs to be unpredictable; thus, the masking key MUST be
// derived from a strong source of entropy". `chacha_keys` stretches 32 bytes of
// entropy, given once, into keys without end: no system call for each frame.
//
// Knows nothing of: where entropy comes from; frames.
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/chacha.hpp>
#include <sansocket/wire/masking.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sansocket {

/// Something that gives a masking key for each frame. 5.3.
///
/// Keys must be unpredictable to whoever chooses the payload; tests alone may do with less.
template <class Source>
concept masking_key_source = requires(Source& source) {
    { source() }
    noexcept->std::same_as<masking_key>;
};

/// Masking keys from the ChaCha20 stream of a seed. 5.3, RFC 8439.
///
/// The same seed gives the same keys. Move-only: two copies would give the same keys too. One that
/// has been moved from may only be destroyed or assigned to.
class chacha_keys {
public:
    /// @param seed  32 bytes that nobody else can know; read now, not kept as a reference.
    explicit constexpr chacha_keys(std::span<const std::byte, 32> seed) noexcept
        : key_(detail::make_chacha_key(seed)) {}

    chacha_keys(const chacha_keys&) = delete;
    chacha_keys& operator=(const chacha_keys&) = delete;
    constexpr chacha_keys(chacha_keys&&) noexcept = default;
    constexpr chacha_keys& operator=(chacha_keys&&) noexcept = default;
    ~chacha_keys() = default;

    /// The next key: four bytes of the stream.
    [[nodiscard]] constexpr masking_key operator()() noexcept {
        if (next_ == block_.size()) refill();
        const std::uint32_t word = block_[next_++];
        return {static_cast<std::byte>(word), static_cast<std::byte>(word >> 8U),
                static_cast<std::byte>(word >> 16U), static_cast<std::byte>(word >> 24U)};
    }

    /// Fills `out` from the stream, in whole words: what is left of the last one is dropped.
    constexpr void fill(std::span<std::byte> out) noexcept {
        while (!out.empty()) {
            const masking_key word = (*this)();
            const std::size_t n = detail::smaller_of(out.size(), word.size());
            for (std::size_t i = 0; i != n; ++i) out[i] = word[i];
            out = out.subspan(n);
        }
    }

private:
    SANSOCKET_NOINLINE constexpr void refill() noexcept {
        block_ = detail::chacha20(key_, {static_cast<std::uint32_t>(counter_),
                                         static_cast<std::uint32_t>(counter_ >> 32U), 0, 0});
        ++counter_;
        next_ = 0;
    }

    detail::chacha_key key_;
    detail::chacha_block block_{};
    std::uint64_t counter_ = 0;
    std::size_t next_ = detail::chacha_block{}.size();  // first word of block_ not yet given out
};

}  // namespace sansocket
