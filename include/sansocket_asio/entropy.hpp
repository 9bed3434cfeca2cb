// entropy.hpp
//
// Where an adapter's clients get their unpredictable bytes: the system, once for
// each connection. RFC 6455 5.3, 10.3.
#pragma once

#include <sansocket/masking_keys.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <random>

namespace sansocket_asio {

/// 32 bytes from the system that nobody can guess.
///
/// Throws what std::random_device throws where the system has no source.
[[nodiscard]] inline std::array<std::byte, 32> system_seed() {
    std::random_device device;
    std::array<std::byte, 32> seed;
    for (std::size_t i = 0; i != seed.size(); i += sizeof(unsigned)) {
        const unsigned word = device();
        std::memcpy(seed.data() + i, &word, sizeof word);
    }
    return seed;
}

/// A fresh source of masking keys.
///
/// Throws as `system_seed`.
[[nodiscard]] inline sansocket::chacha_keys system_keys() {
    return sansocket::chacha_keys{system_seed()};
}

}  // namespace sansocket_asio
