// wait_op.hpp
//
// One asynchronous operation of a websocket: look whether it can complete, and
// if not, wait until something has changed and look again.
//
// It looks on the session's executor, and completes on its handler's. It never
// completes inside the function that started it. Cancelled between two looks, it
// has taken nothing.
//
// An `Operation` has
//     using result = ...;                  what follows the error code: void, or a type
//     auto& timer(session&)                which timer wakes it
//     std::optional<std::error_code> look(session&)   nothing: wait
//     void cancelled(session&) noexcept    it was cancelled and will not look again
//     bool at_once                         set by a look: the next one is due without waiting
//     outlives_websocket                   if it goes on when the websocket is destroyed
//     result value                         unless void
#pragma once

#include <sansocket_asio/detail/waiting_handler.hpp>

#include <sansocket/wire/error.hpp>

#include <asio/associated_executor.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/compose.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sansocket_asio::detail {

template <class Session, class Operation>
class wait_op {
public:
    wait_op(std::shared_ptr<Session> session, Operation operation)
        : session_(std::move(session)), operation_(std::move(operation)) {}

    template <class Self>
    void operator()(Self& self, std::error_code = {}) {
        switch (state_) {
        case state::starting:
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            if (look()) return finish_later(self);
            return wait(self);
        case state::waiting:
            if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
                operation_.cancelled(*session_);
                ec_ = ::asio::error::operation_aborted;
                return finish(self);
            }
            if (look()) return finish(self);
            return wait(self);
        case state::finishing: return complete(self);
        }
    }

private:
    enum class state : std::uint8_t { starting, waiting, finishing };
    static constexpr bool outlives_websocket = requires { Operation::outlives_websocket; };

    bool look() {
        std::optional<std::error_code> done;
        if (!session_) done = sansocket::errc::closed;  // its websocket was moved from
        else done = operation_.look(*session_);
        if (!done && session_->dropped() && !outlives_websocket) done = sansocket::errc::dropped;
        if (done && *done) ec_ = *done;  // success has no category of ours
        return done.has_value();
    }

    template <class Self>
    void wait(Self& self) {
        state_ = state::waiting;
        auto& timer = operation_.timer(*session_);
        if constexpr (requires { operation_.at_once; })
            if (std::exchange(operation_.at_once, false))
                return ::asio::post(::asio::bind_executor(timer.get_executor(), std::move(self)));
        timer.async_wait(on_timer<Self>{std::move(self)});
    }

    template <class Self>
    void finish_later(Self& self) {
        state_ = state::finishing;
        ::asio::post(std::move(self));
    }

    // To the handler's executor, which may be another one.
    template <class Self>
    void finish(Self& self) {
        state_ = state::finishing;
        ::asio::dispatch(std::move(self));
    }

    template <class Self>
    void complete(Self& self) {
        session_.reset();
        if constexpr (std::is_void_v<typename Operation::result>) self.complete(ec_);
        else self.complete(ec_, std::move(operation_.value));
    }

    std::shared_ptr<Session> session_;
    Operation operation_;
    state state_ = state::starting;
    std::error_code ec_;
};

// Starts `operation` with any completion token. `session` may be null, where there is none any more.
template <class Signature, class Session, class Operation, class Token>
auto async_wait_op(std::shared_ptr<Session> session, Operation operation,
                   const typename Session::executor_type& executor, Token&& token) {
    return ::asio::async_compose<Token, Signature>(
        wait_op<Session, Operation>{std::move(session), std::move(operation)}, token, executor);
}

}  // namespace sansocket_asio::detail
