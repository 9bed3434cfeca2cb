// background_wait.hpp
//
// What the adapter itself waits for in a session: an operation, as those of
// operations.hpp, and a function that is told how it ended.
//
// Without a token there is no cancellation and no allocator to keep, so what waits
// is known to Asio as one type, whatever the operation and the function: each type
// more is compiled through all of Asio's layers.
#pragma once

#include <sansocket/wire/error.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// Looks on the session's executor, and tells on another one, but never inside of `start`.
template <class Timer>
class background_wait : public std::enable_shared_from_this<background_wait<Timer>> {
public:
    explicit background_wait(const ::asio::any_io_executor& tells_on)
        : tells_on_(::asio::prefer(tells_on, ::asio::execution::outstanding_work_t::tracked)) {}
    background_wait(const background_wait&) = delete;
    background_wait& operator=(const background_wait&) = delete;
    virtual ~background_wait() = default;

    void start() {
        Timer* const timer = look();
        if (timer != nullptr) return wait(*timer);
        ::asio::post(tells_on_, teller{this->shared_from_this()});
    }

private:
    struct teller {
        void operator()() const { self->tell(); }
        std::shared_ptr<background_wait> self;
    };

    // Which timer to wait for; null where that is over.
    virtual Timer* look() = 0;
    virtual void tell() = 0;

    void wait(Timer& timer) {
        timer.async_wait([self = this->shared_from_this()](std::error_code) { self->again(); });
    }
    void again() {
        Timer* const timer = look();
        if (timer != nullptr) return wait(*timer);
        ::asio::dispatch(tells_on_, teller{this->shared_from_this()});
    }

    ::asio::any_io_executor tells_on_;
};

template <class Session, class Operation, class Function>
class session_wait final : public background_wait<typename Session::timer_type> {
    using timer_type = typename Session::timer_type;

public:
    session_wait(std::shared_ptr<Session> session, Operation operation,
                 const ::asio::any_io_executor& tells_on, Function function)
        : background_wait<timer_type>(tells_on),
          session_(std::move(session)),
          operation_(std::move(operation)),
          function_(std::move(function)) {}

private:
    static constexpr bool outlives_websocket = requires { Operation::outlives_websocket; };

    timer_type* look() override {
        auto done = operation_.look(*session_);
        if (!done && session_->dropped() && !outlives_websocket) done = sansocket::errc::dropped;
        if (!done) return &operation_.timer(*session_);
        if (*done) ec_ = *done;  // success has no category of ours
        return nullptr;
    }
    void tell() override {
        session_.reset();
        function_(ec_);
    }

    std::shared_ptr<Session> session_;
    Operation operation_;
    Function function_;
    std::error_code ec_;
};

// Waits for `operation` of `session`; `function(std::error_code)` is called on `tells_on`.
template <class Session, class Operation, class Function>
void wait_in_background(std::shared_ptr<Session> session, Operation operation,
                        const ::asio::any_io_executor& tells_on, Function function) {
    std::make_shared<session_wait<Session, Operation, Function>>(
        std::move(session), std::move(operation), tells_on, std::move(function))
        ->start();
}

}  // namespace sansocket_asio::detail
