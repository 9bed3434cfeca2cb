// waiting_handler.hpp
//
// What is handed to Asio to wait as long as a connection may be idle, so that the
// operation which Asio makes of it is no larger than it must be.
#pragma once

#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// Memory for one operation of the session. By default Asio takes the block that an earlier, larger
// operation has left, and whoever waits as long as the connection lives keeps all of it.
template <class T>
struct exact_memory {
    using value_type = T;

    exact_memory() = default;
    template <class U>
    exact_memory(const exact_memory<U>&) noexcept {}  // NOLINT: as an allocator is
    T* allocate(std::size_t n) { return std::allocator<T>{}.allocate(n); }
    void deallocate(T* p, std::size_t n) noexcept { std::allocator<T>{}.deallocate(p, n); }
    template <class U>
    bool operator==(const exact_memory<U>&) const noexcept {
        return true;
    }
};

// A session's own handler.
template <class Function>
struct own_handler {
    using allocator_type = exact_memory<std::byte>;

    explicit own_handler(Function f) : function(std::move(f)) {}
    allocator_type get_allocator() const noexcept { return {}; }
    template <class... Args>
    void operator()(Args&&... args) {
        function(std::forward<Args>(args)...);
    }

    Function function;
};

// `Self`, a composed operation that waits for a timer: called on the timer's executor, whatever its
// own is. Binding it to that one would keep two more copies of it.
template <class Self>
struct on_timer {
    using allocator_type = ::asio::associated_allocator_t<Self>;
    using cancellation_slot_type = ::asio::associated_cancellation_slot_t<Self>;

    explicit on_timer(Self&& s) : self(std::move(s)) {}
    allocator_type get_allocator() const noexcept { return ::asio::get_associated_allocator(self); }
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return ::asio::get_associated_cancellation_slot(self);
    }
    void operator()(std::error_code ec) { self(ec); }

    Self self;
};

}  // namespace sansocket_asio::detail
