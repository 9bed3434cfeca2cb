// beast_echo --port N
//
// An echo server with Boost.Beast, one thread, for the network benchmark: no compression compiled
// in, no fragmentation of answers, TCP_NODELAY, an io_context that knows it has one thread.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;

class session : public std::enable_shared_from_this<session> {
public:
    explicit session(tcp::socket socket) : ws_(std::move(socket)) {
        ws_.auto_fragment(false);
        ws_.read_message_max(std::uint64_t{64} << 20U);
    }

    void run() {
        ws_.async_accept([self = shared_from_this()](beast::error_code ec) {
            if (!ec) self->read();
        });
    }

private:
    void read() {
        ws_.async_read(buffer_, [self = shared_from_this()](beast::error_code ec, std::size_t) {
            if (!ec) self->write();
        });
    }

    void write() {
        ws_.text(ws_.got_text());
        ws_.async_write(buffer_.cdata(),
                        [self = shared_from_this()](beast::error_code ec, std::size_t) {
                            if (ec) return;
                            self->buffer_.clear();
                            self->read();
                        });
    }

    websocket::stream<tcp::socket, false> ws_;
    beast::flat_buffer buffer_;
};

void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](beast::error_code ec, tcp::socket socket) {
        if (!ec) {
            socket.set_option(tcp::no_delay(true), ec);
            std::make_shared<session>(std::move(socket))->run();
        }
        accept(acceptor);
    });
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--port") != 0) {
        std::fprintf(stderr, "usage: beast_echo --port N\n");
        return 2;
    }
    const auto port = static_cast<unsigned short>(std::atoi(argv[2]));
    asio::io_context context{1};
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), port}};
    accept(acceptor);
    context.run();
}
