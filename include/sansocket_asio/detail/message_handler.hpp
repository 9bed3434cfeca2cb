// message_handler.hpp
//
// What a run hands messages to: a function of any type, called through one
// pointer.
#pragma once

#include <sansocket/wire/message.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace sansocket_asio::detail {

class message_handler {
public:
    message_handler() = default;
    message_handler(const message_handler&) = delete;
    message_handler& operator=(const message_handler&) = delete;
    virtual ~message_handler() = default;
    virtual void operator()(sansocket::message_view message) = 0;
};

template <class Handler>
std::shared_ptr<message_handler> make_message_handler(Handler&& handler) {
    class model final : public message_handler {
    public:
        explicit model(Handler&& h) : handler_(std::forward<Handler>(h)) {}
        void operator()(sansocket::message_view message) override { handler_(message); }

    private:
        std::decay_t<Handler> handler_;
    };
    return std::make_shared<model>(std::forward<Handler>(handler));
}

}  // namespace sansocket_asio::detail
