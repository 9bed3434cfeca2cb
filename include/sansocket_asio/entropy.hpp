// entropy.hpp
//
// Where an adapter's clients get their unpredictable bytes: the system, once for
// each connection. RFC 6455 5.3, 10.3.
#pragma once

#include <sansocket/masking_keys.hpp>

#include <array>
#include <cstddef>

#if defined(__APPLE__)
#include <TargetConditionals.h>
#endif

// <random> takes longer to compile than all that is asked for here. Other systems of Apple's have
// getentropy, too, but refuse programs that call it.
#if defined(__linux__) && !defined(__ANDROID__) && __has_include(<sys/random.h>)
#define SANSOCKET_ASIO_GETENTROPY
#elif defined(__APPLE__) && TARGET_OS_OSX
#define SANSOCKET_ASIO_GETENTROPY
#endif

#if defined(SANSOCKET_ASIO_GETENTROPY)
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#else
#include <cstring>
#include <random>
#endif

namespace sansocket_asio {

/// 32 bytes from the system that nobody can guess.
///
/// Throws std::system_error, or what std::random_device throws, where the system gives none.
[[nodiscard]] inline std::array<std::byte, 32> system_seed() {
    std::array<std::byte, 32> seed{};
#if defined(SANSOCKET_ASIO_GETENTROPY)
    if (::getentropy(seed.data(), seed.size()) != 0)
        throw std::system_error(errno, std::generic_category(), "getentropy");
#else
    std::random_device device;
    for (std::size_t i = 0; i != seed.size(); i += sizeof(unsigned)) {
        const unsigned word = device();
        std::memcpy(seed.data() + i, &word, sizeof word);
    }
#endif
    return seed;
}

/// A fresh source of masking keys.
///
/// Throws as `system_seed`.
[[nodiscard]] inline sansocket::chacha_keys system_keys() {
    return sansocket::chacha_keys{system_seed()};
}

}  // namespace sansocket_asio

#undef SANSOCKET_ASIO_GETENTROPY
