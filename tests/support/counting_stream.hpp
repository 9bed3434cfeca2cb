// A TCP stream that counts the writes that are started on it.
#pragma once

#include <asio/ip/tcp.hpp>

#include <utility>

namespace support {

class counting_stream {
public:
    using executor_type = asio::ip::tcp::socket::executor_type;
    using lowest_layer_type = asio::ip::tcp::socket::lowest_layer_type;

    counting_stream(asio::ip::tcp::socket socket, int& writes)
        : socket_(std::move(socket)), writes_(&writes) {}
    executor_type get_executor() { return socket_.get_executor(); }
    lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
    template <class Buffers, class Handler>
    void async_read_some(const Buffers& b, Handler&& h) {
        socket_.async_read_some(b, std::forward<Handler>(h));
    }
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& b, Handler&& h) {
        ++*writes_;
        socket_.async_write_some(b, std::forward<Handler>(h));
    }

private:
    asio::ip::tcp::socket socket_;
    int* writes_;
};

}  // namespace support
