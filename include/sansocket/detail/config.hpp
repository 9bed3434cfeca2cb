// config.hpp
//
// What the compilers spell differently. The library's macros, all of them.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define SANSOCKET_ALWAYS_INLINE __forceinline
#define SANSOCKET_NOINLINE __declspec(noinline)
#define SANSOCKET_UNREACHABLE() __assume(false)
#else
#define SANSOCKET_ALWAYS_INLINE inline __attribute__((always_inline))
#define SANSOCKET_NOINLINE __attribute__((noinline))
#define SANSOCKET_UNREACHABLE() __builtin_unreachable()
#endif
