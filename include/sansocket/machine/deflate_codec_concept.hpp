// deflate_codec_concept.hpp
//
// What a connection asks of the codec that compresses and decompresses its
// messages: two small machines over raw deflate (RFC 1951), each with its
// memory. What RFC 7692 adds to deflate is no business of theirs.
//
// Beside it stands `no_deflate`, for a connection that has none: no member, no
// code, and nothing is offered or accepted.
//
// Knows nothing of: messages, frames, limits, which library does the work.
// Section numbers in this file refer to RFC 7692 unless another is named.
#pragma once

#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

namespace sansocket {

/// How one direction is compressed.
struct deflate_settings {
    std::uint8_t window_bits = max_window_bits;  ///< 8 to 15.
    int level = 6;                               ///< See `deflate_options`. A compressor's.
    int memory_level = 8;                        ///< See `deflate_options`. A compressor's.
};

/// What one call of a compressor did.
struct compress_step {
    std::size_t taken = 0;  ///< Bytes of the input.
    std::size_t made = 0;   ///< Bytes of the output.
};

/// What one call of a decompressor did.
struct decompress_step {
    std::size_t taken = 0;     ///< Bytes of the input.
    std::size_t made = 0;      ///< Bytes of the output.
    std::uint64_t blocks = 0;  ///< Blocks of deflate that ended.
    errc ec{};                 ///< errc::deflate_corrupt, errc::deflate_memory.
};

/// Where a decompressor stands in its input.
enum class deflate_position : std::uint8_t {
    inside,       ///< Inside a block, or between two that do not meet at a byte.
    boundary,     ///< Behind a block, at a byte.
    behind_last,  ///< Behind a block with BFINAL. What follows is another stream.
};

namespace detail {

using deflate_in = std::span<const std::byte>;
using deflate_out = std::span<std::byte>;

template <class C>
concept has_settings =
    std::move_constructible<C> && std::constructible_from<C, const deflate_settings&>;
template <class C>
concept has_smallest_window = requires {
    { C::smallest_window } -> std::convertible_to<std::uint8_t>;
};
template <class C>
concept has_keeps_context = requires {
    { C::keeps_context } -> std::convertible_to<bool>;
};
template <class C>
concept has_begin_compressing = requires(C& c) {
    { c.begin() } -> std::same_as<bool>;
};
template <class C>
concept has_compress = requires(C& c, deflate_in in, deflate_out out) {
    { c.compress(in, out) } -> std::same_as<compress_step>;
};
template <class C>
concept has_decompress = requires(C& c, deflate_in in, deflate_out out) {
    { c.decompress(in, out) } -> std::same_as<decompress_step>;
};
template <class C>
concept has_position = requires(const C& c) {
    { c.position() }
    noexcept->std::same_as<deflate_position>;
};
template <class C>
concept has_reset = requires(C& c) {
    { c.reset() }
    noexcept;
};
template <class C>
concept has_release = requires(C& c) {
    { c.release() }
    noexcept;
};
template <class C>
concept has_memory = requires(const C& c) {
    { c.memory() }
    noexcept->std::convertible_to<std::size_t>;
};

}  // namespace detail

/// Raw deflate out of bytes.
///
/// | call | what it must do |
/// |---|---|
/// | `smallest_window` | the smallest window that it can keep to, in bits: 8 or more |
/// | `keeps_context` | whether it can go on with what it knows of earlier messages |
/// | `C(settings)` | take no memory yet |
/// | `begin() -> bool` | make ready; false: there is no memory, and nothing is compressed |
/// | `compress(in, out) -> compress_step` | compress, and flush once `in` is taken: the output ends at a byte, with an empty stored block. All is out once less than `out` is filled; `out` has 64 bytes or more |
/// | `reset()` | forget what was compressed |
/// | `release()` | the same, and give the memory back |
/// | `memory()` | bytes held |
template <class C>
concept deflate_compressor = detail::has_settings<C> && detail::has_smallest_window<C> &&
    detail::has_keeps_context<C> && detail::has_begin_compressing<C> && detail::has_compress<C> &&
    detail::has_reset<C> && detail::has_release<C> && detail::has_memory<C>;

/// Bytes out of raw deflate.
///
/// | call | what it must do |
/// |---|---|
/// | `C(settings)` | take no memory yet |
/// | `decompress(in, out) -> decompress_step` | take from `in`, fill `out`, and stop behind a block if it likes; what is left of `in` comes again. A call takes, makes or ends something, or fails. Behind a block with BFINAL another stream may follow, which may refer to what came before |
/// | `position()` | where it stands |
/// | `reset()` | forget what was decompressed, and where it stands |
/// | `release()` | the same, and give the memory back |
/// | `memory()` | bytes held |
template <class C>
concept deflate_decompressor =
    detail::has_settings<C> && detail::has_decompress<C> && detail::has_position<C> &&
    detail::has_reset<C> && detail::has_release<C> && detail::has_memory<C>;

/// No codec: no message is compressed.
struct no_deflate {
    static constexpr bool enabled = false;  ///< There is no codec.
};

/// A codec: `no_deflate`, or two types.
template <class C>
concept deflate_codec = !C::enabled || (deflate_compressor<typename C::compressor> &&
                                        deflate_decompressor<typename C::decompressor>);

namespace detail {

// Instantiated by the connection, so that a codec that lacks something is refused by name.
template <class C>
consteval bool check_deflate_codec() {
    if constexpr (C::enabled) {
        using c = typename C::compressor;
        using d = typename C::decompressor;
        static_assert(has_settings<c>,
                      "the compressor cannot be made of deflate_settings, or moved");
        static_assert(has_smallest_window<c>, "the compressor has no constant smallest_window");
        static_assert(has_keeps_context<c>, "the compressor has no constant keeps_context");
        static_assert(has_begin_compressing<c>, "the compressor has no begin() -> bool");
        static_assert(has_compress<c>, "the compressor has no compress(in, out) -> compress_step");
        static_assert(has_reset<c>, "the compressor has no reset() noexcept");
        static_assert(has_release<c>, "the compressor has no release() noexcept");
        static_assert(has_memory<c>, "the compressor has no memory() const noexcept");
        static_assert(has_settings<d>,
                      "the decompressor cannot be made of deflate_settings, or moved");
        static_assert(has_decompress<d>,
                      "the decompressor has no decompress(in, out) -> decompress_step");
        static_assert(has_position<d>, "the decompressor has no position() const noexcept");
        static_assert(has_reset<d>, "the decompressor has no reset() noexcept");
        static_assert(has_release<d>, "the decompressor has no release() noexcept");
        static_assert(has_memory<d>, "the decompressor has no memory() const noexcept");
    }
    return true;
}

template <template <class> class Machine>
struct left_out {
    explicit left_out(const deflate_options&) noexcept {}
};

// A machine that needs a codec, or nothing where there is none.
template <class C, template <class> class Machine>
using if_codec = typename std::conditional_t<C::enabled, std::type_identity<Machine<C>>,
                                             std::type_identity<left_out<Machine>>>::type;

}  // namespace detail

/// What an endpoint with the codec `C` may ask for, if `wants` is what it wants.
template <class C>
[[nodiscard]] deflate_options wants_with(const deflate_options& wants) {
    if constexpr (!C::enabled) {
        return {};
    } else {
        deflate_options able = wants;
        able.smallest_own_window = C::compressor::smallest_window;
        if (!C::compressor::keeps_context) able.own_context_takeover = false;
        return able;
    }
}

}  // namespace sansocket
