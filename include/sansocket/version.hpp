// version.hpp
//
// The version of the library. It is decided here, where the build reads it; a test holds the copies to it.
#pragma once

/// The version as one number, for `#if`: major * 10000 + minor * 100 + patch.
#define SANSOCKET_VERSION 100  // 0.1.0

namespace sansocket {

/// @{
/// The three parts of SANSOCKET_VERSION. While `version_major` is 0, a new `version_minor` may
/// change the interface.
inline constexpr int version_major = SANSOCKET_VERSION / 10000;
inline constexpr int version_minor = SANSOCKET_VERSION / 100 % 100;
inline constexpr int version_patch = SANSOCKET_VERSION % 100;
/// @}

}  // namespace sansocket
