// The least that is a message queue to the compiler, for tests of the concept: it may lack one
// function, or have one that is not noexcept, or that returns something else.
#pragma once

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>

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
    pop,
};

// What a function returns that returns something else: what converts where it must be bool itself.
struct something_else {
    template <class T>
    constexpr something_else(T) noexcept {}
};
template <class Right>
using not_quite = std::conditional_t<std::is_same_v<Right, bool>, int, something_else>;

// clang-format off
template <queue_function Lacks = queue_function::none, queue_function Throws = queue_function::none,
          queue_function Returns = queue_function::none>
struct queue_model {
    using f = queue_function;
    using kind = sansocket::message_kind;
    using errc = sansocket::errc;
    template <f F, class Right>
    using as = std::conditional_t<Returns == F, not_quite<Right>, Right>;

    as<f::push, bool> push(kind, std::span<const std::byte>) requires(Lacks != f::push) { return false; }
    as<f::begin, bool> begin(kind) requires(Lacks != f::begin) { return false; }
    as<f::extend, std::byte*> extend(std::size_t) requires(Lacks != f::extend) { return nullptr; }
    void finish() requires(Lacks != f::finish) {}
    void abandon() noexcept(Throws != f::abandon) requires(Lacks != f::abandon) {}
    void clear() noexcept(Throws != f::clear) requires(Lacks != f::clear) {}
    void end(errc) noexcept(Throws != f::end) requires(Lacks != f::end) {}
    void shrink() noexcept(Throws != f::shrink) requires(Lacks != f::shrink) {}
    as<f::is_eof, bool> is_eof() const noexcept(Throws != f::is_eof) requires(Lacks != f::is_eof) { return true; }
    as<f::at_eof, bool> at_eof() const noexcept(Throws != f::at_eof) requires(Lacks != f::at_eof) { return true; }
    as<f::cause, errc> cause() const noexcept(Throws != f::cause) requires(Lacks != f::cause) { return errc::aborted; }
    as<f::size, std::size_t> size() const noexcept(Throws != f::size) requires(Lacks != f::size) { return std::size_t{0}; }
    as<f::bytes, std::size_t> bytes() const noexcept(Throws != f::bytes) requires(Lacks != f::bytes) { return std::size_t{0}; }
    as<f::paused, bool> paused() const noexcept(Throws != f::paused) requires(Lacks != f::paused) { return false; }
    as<f::pop, std::optional<sansocket::message_view>> pop() requires(Lacks != f::pop) { return std::nullopt; }
};
// clang-format on

}  // namespace support
