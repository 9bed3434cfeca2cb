// Whether a sanitizer slows the tests down: about tenfold. The large scenarios are smaller then.
#pragma once

#include <cstddef>

namespace support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(undefined_behavior_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

// By what a long loop is divided.
inline constexpr int slowness = sanitized ? 10 : 1;
// `n`, or a sixteenth of it.
inline constexpr std::size_t scaled(std::size_t n) { return sanitized ? n / 16 : n; }

}  // namespace support
