// Two ends of a stream in memory: an Asio stream that is no socket, has no lowest layer and cannot
// be waited for. It takes and gives a few bytes at a time.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/buffer.hpp>
#include <asio/buffers_iterator.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

namespace support {

class memory_stream {
    // One direction.
    struct pipe {
        std::deque<char> data;
        bool ended = false;
        std::function<void(std::error_code)> reader;  // waits for data, or the end
        std::function<void(std::error_code)> writer;  // waits for room
        void wake() {
            if (reader && (!data.empty() || ended)) std::exchange(reader, nullptr)({});
            if (writer && (data.size() < room || ended)) std::exchange(writer, nullptr)({});
        }
    };

public:
    using executor_type = asio::any_io_executor;
    static constexpr std::size_t room = 1000;

    /// Two ends that are connected.
    static std::pair<memory_stream, memory_stream> make_pair(const executor_type& executor) {
        auto there = std::make_shared<pipe>();
        auto back = std::make_shared<pipe>();
        return {memory_stream(executor, there, back), memory_stream(executor, back, there)};
    }
    memory_stream(memory_stream&&) noexcept = default;
    memory_stream& operator=(memory_stream&&) = delete;
    ~memory_stream() {
        if (in_) close();
    }

    executor_type get_executor() const noexcept { return executor_; }

    /// Ends both directions; what waits at this end is aborted.
    void close() {
        if (std::exchange(closed_, true)) return;
        for (auto* waiting : {&in_->reader, &out_->writer})
            if (*waiting) std::exchange(*waiting, nullptr)(asio::error::operation_aborted);
        in_->ended = out_->ended = true;
        in_->wake();
        out_->wake();
    }

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [in = in_, executor = executor_](auto handler, const Buffers& to) {
                auto call = shared_handler(std::move(handler), executor);
                in->reader = [in, to, call](std::error_code ec) {
                    std::size_t n = 0;
                    for (auto i = asio::buffers_begin(to);
                         !ec && i != asio::buffers_end(to) && !in->data.empty(); ++i, ++n) {
                        *i = in->data.front();
                        in->data.pop_front();
                    }
                    if (!ec && n == 0 && asio::buffer_size(to) != 0) ec = asio::error::eof;
                    call(ec, n);
                    in->wake();
                };
                in->wake();
            },
            token, buffers);
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [out = out_, executor = executor_](auto handler, const Buffers& from) {
                auto call = shared_handler(std::move(handler), executor);
                out->writer = [out, from, call](std::error_code ec) {
                    if (!ec && out->ended) ec = asio::error::broken_pipe;
                    std::size_t n = 0;
                    for (auto i = asio::buffers_begin(from);
                         !ec && i != asio::buffers_end(from) && out->data.size() < room; ++i, ++n)
                        out->data.push_back(static_cast<char>(*i));
                    call(ec, n);
                    out->wake();
                };
                out->wake();
            },
            token, buffers);
    }

private:
    memory_stream(executor_type executor, std::shared_ptr<pipe> in, std::shared_ptr<pipe> out)
        : executor_(std::move(executor)), in_(std::move(in)), out_(std::move(out)) {}

    // Never called inside the function that started the operation.
    template <class Handler>
    static std::function<void(std::error_code, std::size_t)> shared_handler(
        Handler handler, const executor_type& executor) {
        auto held = std::make_shared<Handler>(std::move(handler));
        const auto to = asio::get_associated_executor(*held, executor);
        return [held, to](std::error_code ec, std::size_t n) {
            asio::post(to, [held, ec, n] { (*held)(ec, n); });
        };
    }

    executor_type executor_;
    std::shared_ptr<pipe> in_;
    std::shared_ptr<pipe> out_;
    bool closed_ = false;
};

}  // namespace support
