// stop_op.hpp
//
// The end of a server: its listeners at once, then its connections, then the
// handlers that still run.
#pragma once

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/compose.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

template <class State>
class stop_op {
public:
    stop_op(std::shared_ptr<State> state, sansocket::duration timeout)
        : state_(std::move(state)), timeout_(timeout) {}

    template <class Self>
    void operator()(Self& self, std::error_code ec = {}) {
        switch (step_) {
        case step::starting:
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            if (state_->stopping())
                return finish_later(self, sansocket::errc::operation_in_progress);
            state_->close_listeners();
            state_->close_connections();
            if (state_->idle()) return finish_later(self, {});
            state_->when_idle().expires_at(deadline_of(timeout_));
            return wait(self);
        case step::waiting:
            if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
                give_up();  // and handlers are not waited for
                return self.complete(::asio::error::operation_aborted);
            }
            if (state_->idle()) return self.complete(ec_);
            if (!ec) {  // the deadline
                ec_ = sansocket::errc::close_timeout;
                give_up();
                state_->when_idle().expires_at(sansocket::never);
            }
            return wait(self);
        case step::finishing: return self.complete(ec_);
        }
    }

private:
    enum class step : std::uint8_t { starting, waiting, finishing };

    // As late as there is, where the time goes beyond.
    static sansocket::time_point deadline_of(sansocket::duration timeout) {
        const auto now = std::chrono::steady_clock::now();
        return timeout > sansocket::never - now ? sansocket::never : now + timeout;
    }
    template <class Self>
    void wait(Self& self) {
        step_ = step::waiting;
        auto& timer = state_->when_idle();
        timer.async_wait(std::move(self));
    }
    void give_up() {
        state_->abort_connections(sansocket::errc::close_timeout);
        state_->cancel_handlers();
    }
    template <class Self>
    void finish_later(Self& self, std::error_code ec) {
        step_ = step::finishing;
        ec_ = ec;
        ::asio::post(std::move(self));
    }

    std::shared_ptr<State> state_;
    sansocket::duration timeout_;
    step step_ = step::starting;
    std::error_code ec_;
};

}  // namespace sansocket_asio::detail
