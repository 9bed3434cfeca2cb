// Memory for zlib that counts what it holds, and gives none when told not to.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace support {

struct counting_memory {
    static inline std::size_t held = 0;
    static inline std::size_t most = 0;
    static inline std::size_t blocks = 0;
    static inline bool gives = true;

    static void* allocate(std::size_t n) noexcept {
        void* const block = gives ? std::malloc(n) : nullptr;
        if (block == nullptr) return nullptr;
        held += n;
        ++blocks;
        if (held > most) most = held;
        return block;
    }
    static void release(void* block, std::size_t n) noexcept {
        held -= n;
        --blocks;
        std::free(block);
    }
};

}  // namespace support
