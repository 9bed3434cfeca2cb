// The standard headers that the core includes, and nothing else: what its umbrella costs at the least.
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
#include <version>
#if defined(__cpp_lib_source_location)
#include <source_location>
#endif
#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#endif
