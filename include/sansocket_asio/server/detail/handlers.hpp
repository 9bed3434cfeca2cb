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
        serves_ = std::make_shared<kind<Handler>>(std::move(handler));
        return *this;
    }
    explicit operator bool() const noexcept { return serves_ != nullptr; }
    // `slot` ends a coroutine.
    void operator()(handle ws, const Address& client, ::asio::cancellation_slot slot,
                    const failed& tell) const {
        const handle until_told = ws;  // of a failure
        try {
            serves_->serve({serves_, std::move(ws), tell}, client, slot);
        } catch (...) {
            tell(std::current_exception());
        }
    }

private:
    struct any_kind;
    // What a connection that is served keeps.
    struct serving {
        std::shared_ptr<any_kind> by;
        handle ws;
        failed tell;
    };
    struct any_kind {
        any_kind() = default;
        any_kind(const any_kind&) = delete;
        any_kind& operator=(const any_kind&) = delete;
        virtual ~any_kind() = default;
        virtual void serve(serving kept, const Address& client, ::asio::cancellation_slot slot) = 0;
    };
    // The completion handler of a coroutine: small, for Asio moves it about.
    struct done {
        void operator()(std::exception_ptr e) const {
            if (e) kept->tell(std::move(e));
        }
        std::unique_ptr<serving> kept;
    };

    template <class Handler>
    struct kind final : any_kind {
        explicit kind(Handler h) : handler(std::move(h)) {}

        void serve(serving kept, const Address& client, ::asio::cancellation_slot slot) override {
            if constexpr (takes<Handler, Websocket&>) {
                static_assert(is_awaitable<decltype(call(handler, *kept.ws, client))>,
                              "a handler that returns at once takes the websocket as a shared_ptr");
#if defined(ASIO_HAS_CO_AWAIT)
                Websocket& named = *kept.ws;
                ::asio::co_spawn(named.get_executor(), call(handler, named, client),
                                 ::asio::bind_cancellation_slot(
                                     slot, done{std::make_unique<serving>(std::move(kept))}));
#endif
            } else {
                (void)slot;
                call(handler, std::move(kept.ws), client);
            }
        }

        Handler handler;
    };

    template <class Handler, class First>
    static constexpr bool takes = std::is_invocable_v<Handler&, First> ||
                                  std::is_invocable_v<Handler&, First, const Address&>;
    template <class Handler, class First>
    static decltype(auto) call(Handler& handler, First&& first, const Address& client) {
        if constexpr (std::is_invocable_v<Handler&, First, const Address&>)
            return handler(std::forward<First>(first), client);
        else return handler(std::forward<First>(first));
    }

    std::shared_ptr<any_kind> serves_;
};

}  // namespace sansocket_asio::detail
