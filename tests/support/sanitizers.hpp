// Whether a sanitizer watches, which makes everything about ten times slower.
#pragma once

namespace support {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANSOCKET_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANSOCKET_TEST_SANITIZED 1
#endif

/// By what a long loop is divided.
#if defined(SANSOCKET_TEST_SANITIZED)
inline constexpr int slowness = 10;
#else
inline constexpr int slowness = 1;
#endif

}  // namespace support
