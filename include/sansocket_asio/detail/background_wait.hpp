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

// Looks on the session's executor, and tells on another one, but never inside of `start`. Whatever it
// waits for owns it: Asio's operation, and nobody else.
template <class Timer>
class background_wait {
public:
    explicit background_wait(const ::asio::any_io_executor& tells_on)
        : tells_on_(::asio::prefer(tells_on, ::asio::execution::outstanding_work_t::tracked)) {}
    background_wait(const background_wait&) = delete;
    background_wait& operator=(const background_wait&) = delete;
    virtual ~background_wait() = default;

    static void start(std::unique_ptr<background_wait> self) {
        Timer* const timer = self->look();
        if (timer != nullptr) return wait(*timer, std::move(self));
        const auto executor = self->tells_on_;
        ::asio::post(executor, teller{std::move(self)});
    }

private:
    struct teller {
        void operator()() const { self->tell(); }
        std::unique_ptr<background_wait> self;
    };

    // Which timer to wait for; null where that is over.
    virtual Timer* look() = 0;
    virtual void tell() = 0;

    static void wait(Timer& timer, std::unique_ptr<background_wait> self) {
        timer.async_wait(
            [self = std::move(self)](std::error_code) mutable { again(std::move(self)); });
    }
    static void again(std::unique_ptr<background_wait> self) {
        Timer* const timer = self->look();
        if (timer != nullptr) return wait(*timer, std::move(self));
        const auto executor = self->tells_on_;
        ::asio::dispatch(executor, teller{std::move(self)});
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
    using wait = session_wait<Session, Operation, Function>;
    background_wait<typename Session::timer_type>::start(std::make_unique<wait>(
        std::move(session), std::move(operation), tells_on, std::move(function)));
}

}  // namespace sansocket_asio::detail
