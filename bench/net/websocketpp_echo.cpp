// websocketpp_echo --port N
//
// An echo server with websocketpp, one thread, for the network benchmark: no logging, TCP_NODELAY.
// C++17: websocketpp does not compile as C++20.
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {
using server = websocketpp::server<websocketpp::config::asio>;
}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--port") != 0) {
        std::fprintf(stderr, "usage: websocketpp_echo --port N\n");
        return 2;
    }
    server echo;
    echo.clear_access_channels(websocketpp::log::alevel::all);
    echo.clear_error_channels(websocketpp::log::elevel::all);
    echo.init_asio();
    echo.set_reuse_addr(true);
    echo.set_listen_backlog(1024);
    echo.set_tcp_post_init_handler([&echo](websocketpp::connection_hdl handle) {
        boost::system::error_code ec;
        echo.get_con_from_hdl(handle)->get_raw_socket().set_option(
            boost::asio::ip::tcp::no_delay(true), ec);
    });
    echo.set_message_handler([&echo](websocketpp::connection_hdl handle, server::message_ptr m) {
        websocketpp::lib::error_code ec;
        echo.send(handle, m->get_payload(), m->get_opcode(), ec);
    });
    echo.listen(boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(),
                                               static_cast<std::uint16_t>(std::atoi(argv[2]))));
    echo.start_accept();
    echo.run();
}
