// waiting_handler.hpp
//
// What the adapter hands to Asio to wait for: no larger than it must be, for it may
// wait as long as a connection is idle, and of few types, for each type is compiled
// through all of Asio's layers.
#pragma once

#include <asio/cancellation_signal.hpp>

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// Memory for one operation. By default Asio takes the block that an earlier, larger operation has left,
// and whoever waits as long as the connection lives keeps all of it.
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

// Waits for a timer, for a socket, or for a turn of an executor. What it waits for owns it.
class waiter {
public:
    struct destroyer {
        void operator()(waiter* w) const noexcept { w->destroy(); }
    };
    using owner = std::unique_ptr<waiter, destroyer>;

    waiter() = default;
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    // The wait is over. `ec`: what a timer or a socket says.
    virtual void woken(owner self, std::error_code ec) = 0;
    // What cancels it.
    [[nodiscard]] virtual ::asio::cancellation_slot slot() const noexcept { return {}; }

protected:
    ~waiter() = default;

private:
    virtual void destroy() noexcept = 0;
};

// As Asio knows all of them.
struct waiting_handler {
    using allocator_type = exact_memory<std::byte>;
    using cancellation_slot_type = ::asio::cancellation_slot;

    explicit waiting_handler(waiter::owner w) noexcept : of(std::move(w)) {}
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
        return of->slot();
    }
    void operator()(std::error_code ec = {}) {
        waiter& w = *of;
        w.woken(std::move(of), ec);
    }

    waiter::owner of;
};

// A part of `Owner`, which lives as long as it waits; then `Owner::woken(What, ec)` is called. It
// waits for one thing at a time, and nothing need be allocated for that.
template <class Owner, class What>
class waiting_part final : public waiter {
public:
    waiting_handler wait(std::shared_ptr<Owner> whole) noexcept {
        whole_ = std::move(whole);
        return waiting_handler(owner(this));
    }

private:
    void woken(owner self, std::error_code ec) override {
        const auto whole = std::move(whole_);
        (void)self.release();
        whole->woken(What{}, ec);
    }
    void destroy() noexcept override { const auto let_go = std::move(whole_); }

    std::shared_ptr<Owner> whole_;
};

// One that keeps nothing alive: then `Owner::woken(What, ec)` is called if there still is one.
template <class Owner, class What>
class weak_waiter final : public waiter {
public:
    static waiting_handler wait(std::weak_ptr<Owner> whole) {
        return waiting_handler(owner(new weak_waiter(std::move(whole))));
    }

private:
    explicit weak_waiter(std::weak_ptr<Owner> whole) noexcept : whole_(std::move(whole)) {}
    ~weak_waiter() = default;
    void woken(owner self, std::error_code ec) override {
        const auto whole = whole_.lock();
        self.reset();
        if (whole) whole->woken(What{}, ec);
    }
    void destroy() noexcept override { delete this; }

    std::weak_ptr<Owner> whole_;
};

// A session's own handler of any other kind.
template <class Function>
struct own_handler {
    using allocator_type = exact_memory<std::byte>;

    explicit own_handler(Function f) : function(std::move(f)) {}
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    template <class... Args>
    void operator()(Args&&... args) {
        function(std::forward<Args>(args)...);
    }

    Function function;
};

}  // namespace sansocket_asio::detail
