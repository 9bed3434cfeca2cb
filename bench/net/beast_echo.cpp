// beast_echo [--deflate] --port N
//
// An echo server with Boost.Beast, one thread, for the network benchmark: no fragmentation of
// answers, TCP_NODELAY, an io_context that knows it has one thread.
//
// --deflate compresses, without context takeover. Otherwise no compression is compiled in.
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

template <bool Deflate>
class session : public std::enable_shared_from_this<session<Deflate>> {
public:
    explicit session(tcp::socket socket) : ws_(std::move(socket)) {
        ws_.auto_fragment(false);
        ws_.read_message_max(std::uint64_t{64} << 20U);
        if constexpr (Deflate) compress();
    }

    void run() {
        ws_.async_accept([self = this->shared_from_this()](beast::error_code ec) {
            if (!ec) self->read();
        });
    }

private:
    void compress() {
        websocket::permessage_deflate deflate;
        deflate.server_enable = true;
        deflate.compLevel = 6;
        deflate.memLevel = 8;
        deflate.server_no_context_takeover = true;
        deflate.client_no_context_takeover = true;
        ws_.set_option(deflate);
        ws_.write_buffer_bytes(64 * 1024);  // each time it is full, a frame ends
    }

    void read() {
        ws_.async_read(buffer_,
                       [self = this->shared_from_this()](beast::error_code ec, std::size_t) {
                           if (!ec) self->write();
                       });
    }

    void write() {
        ws_.text(ws_.got_text());
        ws_.async_write(buffer_.cdata(),
                        [self = this->shared_from_this()](beast::error_code ec, std::size_t) {
                            if (ec) return;
                            self->buffer_.clear();
                            self->read();
                        });
    }

    websocket::stream<tcp::socket, Deflate> ws_;
    beast::flat_buffer buffer_;
};

template <bool Deflate>
void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](beast::error_code ec, tcp::socket socket) {
        if (!ec) {
            socket.set_option(tcp::no_delay(true), ec);
            std::make_shared<session<Deflate>>(std::move(socket))->run();
        }
        accept<Deflate>(acceptor);
    });
}

}  // namespace

int main(int argc, char** argv) {
    const bool deflate = argc == 4 && std::strcmp(argv[1], "--deflate") == 0;
    if (argc != (deflate ? 4 : 3) || std::strcmp(argv[argc - 2], "--port") != 0) {
        std::fprintf(stderr, "usage: beast_echo [--deflate] --port N\n");
        return 2;
    }
    const auto port = static_cast<unsigned short>(std::atoi(argv[argc - 1]));
    asio::io_context context{1};
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), port}};
    if (deflate) accept<true>(acceptor);
    else accept<false>(acceptor);
    context.run();
}
