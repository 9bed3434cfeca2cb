// stream.hpp
//
// A z_stream and the memory that zlib takes for it, all from one source, and
// counted. zlib points back at its z_stream, so that stays where it is.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <span>

namespace sansocket_zlib::detail {

template <class Memory>
struct stream {
    z_stream z{};
    std::size_t held = sizeof(stream);
    int (*end)(z_streamp) = nullptr;

    // Sets the input and the output; at most as much of either as zlib can count.
    void give(std::span<const std::byte> in, std::span<std::byte> out) noexcept {
        z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
        z.avail_in = counted(in.size());
        z.next_out = reinterpret_cast<Bytef*>(out.data());
        z.avail_out = counted(out.size());
    }
    static uInt counted(std::size_t n) noexcept {
        constexpr std::size_t most = std::size_t{1} << 30U;
        static_assert(most <= (std::numeric_limits<uInt>::max)());
        return static_cast<uInt>(n < most ? n : most);
    }
};

// The size stands before each block: zlib does not say it again.
template <class Memory>
voidpf allocate(voidpf opaque, uInt items, uInt size) noexcept {
    constexpr std::size_t front = alignof(std::max_align_t);
    const std::size_t n = front + std::size_t{items} * size;
    void* const block = Memory::allocate(n);
    if (block == nullptr) return Z_NULL;
    ::new (block) std::size_t(n);
    static_cast<stream<Memory>*>(opaque)->held += n;
    return static_cast<std::byte*>(block) + front;
}

template <class Memory>
void release(voidpf opaque, voidpf address) noexcept {
    constexpr std::size_t front = alignof(std::max_align_t);
    void* const block = static_cast<std::byte*>(address) - front;
    const std::size_t n = *std::launder(static_cast<std::size_t*>(block));
    static_cast<stream<Memory>*>(opaque)->held -= n;
    Memory::release(block, n);
}

template <class Memory>
struct end_stream {
    void operator()(stream<Memory>* s) const noexcept {
        if (s->end != nullptr) (void)s->end(&s->z);
        std::destroy_at(s);
        Memory::release(s, sizeof(*s));
    }
};

template <class Memory>
using stream_pointer = std::unique_ptr<stream<Memory>, end_stream<Memory>>;

// A stream begun by `init`, which `end` ends; null where there was no memory for it.
template <class Memory, class Init>
stream_pointer<Memory> begin_stream(Init init, int (*end)(z_streamp)) noexcept {
    void* const place = Memory::allocate(sizeof(stream<Memory>));
    if (place == nullptr) return nullptr;
    stream_pointer<Memory> made(::new (place) stream<Memory>);
    made->z.zalloc = &allocate<Memory>;
    made->z.zfree = &release<Memory>;
    made->z.opaque = made.get();
    if (init(&made->z) != Z_OK) return nullptr;
    made->end = end;
    return made;
}

}  // namespace sansocket_zlib::detail
