// wait_op.hpp
//
// One asynchronous operation of a session: look whether it can complete, and if
// not, wait until something has changed and look again.
//
// It looks on the session's executor, and completes on its handler's. It never
// completes inside the function that started it. Cancelled between two looks, or
// destroyed because there is no memory to wait with, it has taken nothing.
//
// An `Operation` has
//     using result = ...;                  what follows the error code: void, or a type
//     auto& timer(session&)                which timer wakes it
//     std::optional<std::error_code> look(session&)   nothing: wait
//     void let_go(session&) noexcept       if it claims something: it will not look again
//     void cancelled(session&) noexcept    if it means more than that to be cancelled
//     bool at_once                         set by a look: the next one is due without waiting
//     outlives_websocket                   if it goes on when the websocket is destroyed
//     result value                         unless void
#pragma once

#include <sansocket_asio/detail/waiting_handler.hpp>

#include <sansocket/wire/error.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sansocket_asio::detail {

template <class Timer>
class wait_op : public waiter {
public:
    void start() { go_on(owner(this), true); }

protected:
    // What it waits for: nothing where it is over.
    struct next {
        Timer* timer = nullptr;
        bool at_once = false;
    };

    template <class On>
    static void finish_on(const On& executor, waiting_handler last, bool starting) {
        if (starting) ::asio::post(executor, std::move(last));
        else ::asio::dispatch(executor, std::move(last));
    }
    // The same on the session's executor, or on the other one that there is.
    template <class Session, class Executor>
    static void finish_near(Session* session, const Executor* other, waiting_handler last,
                            bool starting) {
        const auto executor = other != nullptr ? *other : session->executor();
        finish_on(executor, std::move(last), starting);
    }

    explicit wait_op(const ::asio::cancellation_state& cancellation) noexcept
        : cancellation_(cancellation) {}
    ~wait_op() = default;
    [[nodiscard]] bool over() const noexcept { return over_; }
    // What was to cancel it knows it no longer.
    void forget_cancellation() noexcept { cancellation_.slot().clear(); }

private:
    virtual next look() = 0;
    virtual void cancelled() noexcept = 0;
    // Has `last` called on the handler's executor, but never inside of `start`.
    virtual void finish(waiting_handler last, bool starting) = 0;
    // Calls the handler, and is gone then.
    virtual void tell() = 0;

    void woken(owner self, std::error_code) override {
        if (!over_) return go_on(std::move(self), false);
        (void)self.release();
        tell();
    }
    [[nodiscard]] ::asio::cancellation_slot slot() const noexcept override {
        return cancellation_.slot();
    }

    void go_on(owner self, bool starting) {
        next after;
        if (!starting && cancellation_.cancelled() != ::asio::cancellation_type::none) cancelled();
        else after = look();
        over_ = after.timer == nullptr;
        if (over_) forget_cancellation();
        waiting_handler handler(std::move(self));
        if (over_) finish(std::move(handler), starting);
        else if (after.at_once) ::asio::post(after.timer->get_executor(), std::move(handler));
        else after.timer->async_wait(std::move(handler));
    }

    ::asio::cancellation_state cancellation_;
    bool over_ = false;
};

// An executor that knows that something will come; of the older kind, with a guard.
template <class Executor>
auto work_on(const Executor& executor) {
    if constexpr (::asio::execution::is_executor<Executor>::value)
        return ::asio::prefer(executor, ::asio::execution::outstanding_work_t::tracked);
    else return ::asio::executor_work_guard<Executor>(executor);
}
template <class Executor>
Executor executor_of(const Executor& executor) {
    return executor;
}
template <class Executor>
Executor executor_of(const ::asio::executor_work_guard<Executor>& guard) {
    return guard.get_executor();
}

template <class Executor>
using work_of = decltype(detail::work_on(std::declval<const Executor&>()));

// Whether work for an executor of that type may be for `Home` itself.
template <class Home, class Executor>
inline constexpr bool may_be_home =
    std::is_same_v<Executor, Home>&& std::is_same_v<Executor, work_of<Executor>>;

// What a handler that runs elsewhere keeps running: its executor, and the session's, to which it may
// come back.
template <class Home, class Executor>
struct work_elsewhere {
    work_of<Executor> there;
    work_of<Home> here;
};

// Nothing where that is the session's own, which has work while somebody waits. `own`: the same where
// there is no session.
template <class Session, class Executor>
std::unique_ptr<work_elsewhere<typename Session::executor_type, Executor>> work_beside(
    Session* session, const typename Session::executor_type& own, const Executor& executor) {
    using home = typename Session::executor_type;
    if constexpr (may_be_home<home, Executor>)
        if (session != nullptr && session->executor() == executor) return nullptr;
    return std::make_unique<work_elsewhere<home, Executor>>(
        work_elsewhere<home, Executor>{detail::work_on(executor), detail::work_on(own)});
}

// With the handler that is told. `Executor` is the one of a handler that has none.
template <class Session, class Operation, class Handler, class Executor>
class wait_op_for final : public wait_op<typename Session::timer_type> {
    using base = wait_op<typename Session::timer_type>;
    using typename base::next;
    using handlers_executor = ::asio::associated_executor<Handler, Executor>;
    using executor_type = typename handlers_executor::type;
    using home_type = typename Session::executor_type;
    using handlers_allocator = ::asio::associated_allocator<Handler, exact_memory<std::byte>>;
    using allocator = typename std::allocator_traits<
        typename handlers_allocator::type>::template rebind_alloc<wait_op_for>;
    // A block that holds no object.
    struct memory {
        memory(const allocator& a, wait_op_for* p) : from(a), block(p) {}
        memory(const memory&) = delete;
        ~memory() {
            if (block != nullptr) std::allocator_traits<allocator>::deallocate(from, block, 1);
        }
        allocator from;
        wait_op_for* block;
    };

public:
    static void start(std::shared_ptr<Session> session, Operation operation,
                      const Executor& executor, Handler handler) {
        allocator from = allocator_of(handler);
        memory m(from, std::allocator_traits<allocator>::allocate(from, 1));
        base* const made = ::new (static_cast<void*>(m.block))
            wait_op_for(std::move(session), std::move(operation), executor, handler);
        m.block = nullptr;
        made->start();
    }

private:
    wait_op_for(std::shared_ptr<Session> session, Operation operation, const Executor& executor,
                Handler& handler)
        : base(::asio::cancellation_state(::asio::get_associated_cancellation_slot(handler),
                                          ::asio::enable_total_cancellation())),
          session_(std::move(session)),
          operation_(std::move(operation)),
          elsewhere_(beside(session_.get(), executor, handlers_executor::get(handler, executor))),
          handler_(std::move(handler)) {}
    ~wait_op_for() = default;

    // A websocket's `executor` is the session's, also where there is no session.
    static auto beside(Session* session, const Executor& executor, const executor_type& there) {
        if constexpr (std::is_same_v<Executor, home_type>)
            return detail::work_beside(session, executor, there);
        else return detail::work_beside(session, session->executor(), there);
    }
    static allocator allocator_of(const Handler& handler) {
        return allocator(handlers_allocator::get(handler, exact_memory<std::byte>()));
    }

    next look() override {
        std::optional<std::error_code> done;
        if (!session_) done = sansocket::errc::closed;  // its websocket was moved from
        else done = operation_.look(*session_);
        if (!done && session_->dropped() && !requires { Operation::outlives_websocket; })
            done = sansocket::errc::dropped;
        if (done && *done) ec_ = *done;  // success has no category of ours
        if (done) return {};
        auto& timer = operation_.timer(*session_);
        if constexpr (requires { operation_.at_once; })
            return {&timer, std::exchange(operation_.at_once, false)};
        else return {&timer};
    }
    void cancelled() noexcept override {
        let_go();
        if constexpr (requires { operation_.cancelled(*session_); })
            operation_.cancelled(*session_);
        ec_ = ::asio::error::operation_aborted;
    }
    void let_go() noexcept {
        if constexpr (requires { operation_.let_go(*session_); }) operation_.let_go(*session_);
    }
    void finish(waiting_handler last, bool starting) override {
        if constexpr (may_be_home<home_type, executor_type>)
            base::finish_near(session_.get(), elsewhere_ ? &elsewhere_->there : nullptr,
                              std::move(last), starting);
        else base::finish_on(detail::executor_of(elsewhere_->there), std::move(last), starting);
    }
    // The handler has its memory back before it is called.
    void tell() override {
        const allocator from = allocator_of(handler_);
        const auto until_called = std::move(elsewhere_);
        Handler handler(std::move(handler_));
        const std::error_code ec = ec_;
        if constexpr (std::is_void_v<typename Operation::result>) {
            give_back(from);
            std::move(handler)(ec);
        } else {
            auto value = std::move(operation_.value);
            give_back(from);
            std::move(handler)(ec, std::move(value));
        }
    }
    void destroy() noexcept override {
        if (!base::over() && session_ && session_->in_context()) {
            base::forget_cancellation();
            let_go();
        }
        const allocator from = allocator_of(handler_);
        // For the memory may be its own.
        [[maybe_unused]] const Handler last(std::move(handler_));
        give_back(from);
    }
    void give_back(const allocator& from) noexcept {
        const memory m(from, this);
        this->~wait_op_for();
    }

    std::shared_ptr<Session> session_;
    Operation operation_;
    std::error_code ec_;
    std::unique_ptr<work_elsewhere<home_type, executor_type>> elsewhere_;
    Handler handler_;
};

// Starts `operation`. `session` may be null, where there is none any more.
template <class Session, class Operation, class Executor, class Handler>
void start_wait_op(std::shared_ptr<Session> session, Operation operation, const Executor& executor,
                   Handler handler) {
    wait_op_for<Session, Operation, Handler, Executor>::start(
        std::move(session), std::move(operation), executor, std::move(handler));
}

template <class Executor>
struct initiate_wait_op {
    using executor_type = Executor;
    executor_type get_executor() const noexcept { return executor; }
    template <class Handler, class Session, class Operation>
    void operator()(Handler&& handler, std::shared_ptr<Session> session,
                    Operation operation) const {
        detail::start_wait_op<Session, Operation, Executor, std::decay_t<Handler>>(
            std::move(session), std::move(operation), executor, std::forward<Handler>(handler));
    }
    Executor executor;
};

// The same with any completion token.
template <class Signature, class Session, class Operation, class Token>
auto async_wait_op(std::shared_ptr<Session> session, Operation operation,
                   const typename Session::executor_type& executor, Token&& token) {
    return ::asio::async_initiate<Token, Signature>(
        initiate_wait_op<typename Session::executor_type>{executor}, token, std::move(session),
        std::move(operation));
}

// Waits for what the adapter itself does: `function(std::error_code)` is called on `tells_on`.
template <class Session, class Operation, class Function>
void wait_in_background(std::shared_ptr<Session> session, Operation operation,
                        const ::asio::any_io_executor& tells_on, Function function) {
    detail::start_wait_op(std::move(session), std::move(operation), tells_on,
                          own_handler(std::move(function)));
}

}  // namespace sansocket_asio::detail
