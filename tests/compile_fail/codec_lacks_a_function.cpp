// A codec that lacks any one of the functions asked of it is refused with a message that names it.
// expect -DSANSOCKET_LACKS=smallest_window: compressor has no constant smallest_window
// expect -DSANSOCKET_LACKS=keeps_context: compressor has no constant keeps_context
// expect -DSANSOCKET_LACKS=begin: compressor has no begin\(\) -> bool
// expect -DSANSOCKET_LACKS=compress: compressor has no compress\(in, out\) -> compress_step
// expect -DSANSOCKET_LACKS=reset: compressor has no reset\(\) noexcept
// expect -DSANSOCKET_LACKS=release: compressor has no release\(\) noexcept
// expect -DSANSOCKET_LACKS=memory: compressor has no memory\(\) const noexcept
// expect -DSANSOCKET_LACKS=decompress: decompressor has no decompress\(in, out\) -> decompress_step
// expect -DSANSOCKET_LACKS=position: decompressor has no position\(\) const noexcept
#include <sansocket/connection.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

enum class member {
    none,
    smallest_window,
    keeps_context,
    begin,
    compress,
    reset,
    release,
    memory,
    decompress,
    position,
};
#ifndef SANSOCKET_LACKS
#define SANSOCKET_LACKS none
#endif
constexpr member lacks = member::SANSOCKET_LACKS;

template <bool There>
struct constants {
    static constexpr std::uint8_t smallest_window = 9;
};
template <>
struct constants<false> {};
template <bool There>
struct context {
    static constexpr bool keeps_context = true;
};
template <>
struct context<false> {};

using in = std::span<const std::byte>;
using out = std::span<std::byte>;

template <member Lacks>
struct compressor_model : constants<Lacks != member::smallest_window>,
                          context<Lacks != member::keeps_context> {
    explicit compressor_model(const sansocket::deflate_settings&) {}
    bool begin() requires(Lacks != member::begin) { return false; }
    sansocket::compress_step compress(in, out) requires(Lacks != member::compress) { return {}; }
    void reset() noexcept requires(Lacks != member::reset) {}
    void release() noexcept requires(Lacks != member::release) {}
    std::size_t memory() const noexcept requires(Lacks != member::memory) { return 0; }
};
template <member Lacks>
struct decompressor_model {
    explicit decompressor_model(const sansocket::deflate_settings&) {}
    sansocket::decompress_step decompress(in, out) requires(Lacks != member::decompress) {
        return {};
    }
    sansocket::deflate_position position() const noexcept requires(Lacks != member::position) {
        return {};
    }
    void reset() noexcept {}
    void release() noexcept {}
    std::size_t memory() const noexcept { return 0; }
};
struct codec {
    static constexpr bool enabled = true;
    using compressor = compressor_model<lacks>;
    using decompressor = decompressor_model<lacks>;
};

// As the connection does.
static_assert(sansocket::detail::check_deflate_codec<codec>());
