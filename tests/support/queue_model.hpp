// The least that is a message queue to the compiler, for tests of the concept: it may lack one
// function, or have one that is not noexcept.
#pragma once

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <span>

namespace support {

enum class queue_function {
    none,
    push,
    begin,
    extend,
    finish,
    abandon,
    clear,
    end,
    shrink,
    is_eof,
    at_eof,
    cause,
    size,
    bytes,
    paused,
};

// clang-format off
template <queue_function Lacks = queue_function::none, queue_function Throws = queue_function::none>
struct queue_model {
    using f = queue_function;
    using kind = sansocket::message_kind;
    using errc = sansocket::errc;

    bool push(kind, std::span<const std::byte>) requires(Lacks != f::push) { return false; }
    bool begin(kind) requires(Lacks != f::begin) { return false; }
    std::byte* extend(std::size_t) requires(Lacks != f::extend) { return nullptr; }
    void finish() requires(Lacks != f::finish) {}
    void abandon() noexcept(Throws != f::abandon) requires(Lacks != f::abandon) {}
    void clear() noexcept(Throws != f::clear) requires(Lacks != f::clear) {}
    void end(errc) noexcept(Throws != f::end) requires(Lacks != f::end) {}
    void shrink() noexcept(Throws != f::shrink) requires(Lacks != f::shrink) {}
    bool is_eof() const noexcept(Throws != f::is_eof) requires(Lacks != f::is_eof) { return true; }
    bool at_eof() const noexcept(Throws != f::at_eof) requires(Lacks != f::at_eof) { return true; }
    errc cause() const noexcept(Throws != f::cause) requires(Lacks != f::cause) { return errc::aborted; }
    std::size_t size() const noexcept(Throws != f::size) requires(Lacks != f::size) { return 0; }
    std::size_t bytes() const noexcept(Throws != f::bytes) requires(Lacks != f::bytes) { return 0; }
    bool paused() const noexcept(Throws != f::paused) requires(Lacks != f::paused) { return false; }
};
// clang-format on

}  // namespace support
