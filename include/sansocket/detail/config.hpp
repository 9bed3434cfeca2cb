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

// [[no_unique_address]], which Visual C++ keeps to its own name, for the layout that it had.
#if defined(_MSC_VER)
#define SANSOCKET_NO_UNIQUE_ADDRESS [[msvc::no_unique_address]]
#else
#define SANSOCKET_NO_UNIQUE_ADDRESS [[no_unique_address]]
#endif
