// handlers.hpp
//
// What the application has said is to be done with requests and connections, in
// one form each, whether it said so with functions or with coroutines.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#endif

#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace sansocket_asio::detail {

template <class T>
inline constexpr bool is_awaitable = false;
#if defined(ASIO_HAS_CO_AWAIT)
template <class T, class Executor>
inline constexpr bool is_awaitable<::asio::awaitable<T, Executor>> = true;
#endif

// Answers a request, now or later, or fails.
template <class Request, class Answer>
class request_handler {
public:
    using answered = std::function<void(std::exception_ptr, Answer)>;

    template <class Handler>
    request_handler& operator=(Handler handler) {
        auto shared = std::make_shared<Handler>(std::move(handler));
#if defined(ASIO_HAS_CO_AWAIT)
        if constexpr (is_awaitable<std::invoke_result_t<Handler&, const Request&>>)
            call_ = [shared](const ::asio::any_io_executor& executor,
                             ::asio::cancellation_slot slot,
                             const std::shared_ptr<const Request>& request, const answered& done) {
                try {
                    ::asio::co_spawn(executor, (*shared)(*request),
                                     ::asio::bind_cancellation_slot(
                                         slot, [shared, request, done](std::exception_ptr failed,
                                                                       Answer answer) {
                                             done(std::move(failed), std::move(answer));
                                         }));
                } catch (...) {
                    done(std::current_exception(), Answer{});
                }
            };
        else
#endif
            call_ = [shared](const ::asio::any_io_executor&, ::asio::cancellation_slot,
                             const std::shared_ptr<const Request>& request, const answered& done) {
                std::exception_ptr failed;
                Answer answer{};
                try {
                    answer = (*shared)(*request);
                } catch (...) {
                    failed = std::current_exception();
                }
                done(std::move(failed), std::move(answer));
            };
        return *this;
    }
    // `slot` ends a coroutine.
    void operator()(const ::asio::any_io_executor& executor, ::asio::cancellation_slot slot,
                    const std::shared_ptr<const Request>& request, const answered& done) const {
        call_(executor, slot, request, done);
    }

private:
    std::function<void(const ::asio::any_io_executor&, ::asio::cancellation_slot,
                       const std::shared_ptr<const Request>&, const answered&)>
        call_;
};

// Serves a connection, for as long as it holds the handle. A handler may take the client's address,
// which lives as long as that, as a second argument.
template <class Websocket, class Address>
class connection_handler {
public:
    using handle = std::shared_ptr<Websocket>;
    using failed = std::function<void(std::exception_ptr)>;

    template <class Handler>
    connection_handler& operator=(Handler handler) {
        auto shared = std::make_shared<Handler>(std::move(handler));
        if constexpr (takes<Handler, Websocket&>) {
            static_assert(is_awaitable<decltype(call(*shared, std::declval<Websocket&>(),
                                                     std::declval<const Address&>()))>,
                          "a handler that returns at once takes the websocket as a shared_ptr");
#if defined(ASIO_HAS_CO_AWAIT)
            call_ = [shared](handle ws, const Address& client, ::asio::cancellation_slot slot,
                             const failed& tell) {
                Websocket& named = *ws;
                const auto executor = named.get_executor();
                try {
                    ::asio::co_spawn(executor, call(*shared, named, client),
                                     ::asio::bind_cancellation_slot(
                                         slot, [shared, ws, tell](std::exception_ptr e) {
                                             if (e) tell(std::move(e));
                                         }));
                } catch (...) {
                    tell(std::current_exception());
                }
            };
#endif
        } else {
            call_ = [shared](handle ws, const Address& client, ::asio::cancellation_slot,
                             const failed& tell) {
                try {
                    call(*shared, std::move(ws), client);
                } catch (...) {
                    tell(std::current_exception());
                }
            };
        }
        return *this;
    }
    explicit operator bool() const noexcept { return static_cast<bool>(call_); }
    // `slot` ends a coroutine.
    void operator()(handle ws, const Address& client, ::asio::cancellation_slot slot,
                    const failed& tell) const {
        call_(std::move(ws), client, slot, tell);
    }

private:
    template <class Handler, class First>
    static constexpr bool takes = std::is_invocable_v<Handler&, First> ||
                                  std::is_invocable_v<Handler&, First, const Address&>;
    template <class Handler, class First>
    static decltype(auto) call(Handler& handler, First&& first, const Address& client) {
        if constexpr (std::is_invocable_v<Handler&, First, const Address&>)
            return handler(std::forward<First>(first), client);
        else return handler(std::forward<First>(first));
    }

    std::function<void(handle, const Address&, ::asio::cancellation_slot, const failed&)> call_;
};

}  // namespace sansocket_asio::detail
