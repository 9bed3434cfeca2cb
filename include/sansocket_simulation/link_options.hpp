// link_options.hpp
//
// How a simulated link behaves, and the words for what becomes of a read or a
// write and for what can go wrong.
#pragma once

#include <sansocket/wire/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sansocket_simulation {

using sansocket::duration;

/// How one direction of a link behaves. Sizes in bytes.
struct link_options {
    duration latency = std::chrono::milliseconds{1};  ///< From a write to its arrival, at least.
    duration jitter = duration::zero();  ///< At most so much more, drawn. The order is kept.
    std::uint64_t bytes_per_second = 0;  ///< 0: no limit.
    std::size_t buffer = 256 * 1024;     ///< Written and not yet read; then a write must wait.
    std::size_t segment = 0;     ///< Most that arrive at once; less is drawn. 0: as it was written.
    std::size_t write_size = 0;  ///< Most that one write takes; less is drawn. 0: what fits.
    std::size_t read_size = 0;   ///< Most that one read gives; less is drawn. 0: all.
    bool tls = false;            ///< No half close; closing says no close_notify.
    bool reset_discards = false;  ///< A reset destroys what had arrived and was not read.
};

/// What became of a read or a write.
enum class io : std::uint8_t {
    done,         ///< It took or gave bytes.
    would_block,  ///< Nothing to read, or no room; `on_ready` will be called.
    end,          ///< The peer writes no more.
    truncated,    ///< The same, and TLS was not told.
    lost,         ///< The connection is gone.
};

/// A read or a write, and how far it came.
struct io_result {
    io what = io::done;     ///< What became of it.
    std::size_t bytes = 0;  ///< How many it took or gave.
};

/// What can befall a link at one of its operations.
enum class fault : std::uint8_t {
    reset,     ///< Both ends learn at once that it is gone.
    end,       ///< The direction ends, as if its writer had closed it; later writes are a loss.
    truncate,  ///< The same without TLS being told.
    hold,      ///< Nothing arrives any more, in both directions, until `release`.
    lose,      ///< What is written in this direction vanishes, and nobody learns of it.
    block,     ///< The operation would block, this time.
};

/// A word for each value.
[[nodiscard]] constexpr std::string_view name_of(fault f) noexcept {
    switch (f) {
    case fault::reset: return "is reset";
    case fault::end: return "ends";
    case fault::truncate: return "is cut off";
    case fault::hold: return "is held";
    case fault::lose: return "loses everything";
    case fault::block: return "blocks";
    }
    return "blocks";
}

}  // namespace sansocket_simulation
