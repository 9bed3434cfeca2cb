// websocketpp PORT
//
// An echo server with websocketpp, without logging. C++17: it does not compile as C++20.
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

#include <cstdint>
#include <cstdlib>

namespace {
using server = websocketpp::server<websocketpp::config::asio>;
}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    server echo;
    echo.clear_access_channels(websocketpp::log::alevel::all);
    echo.clear_error_channels(websocketpp::log::elevel::all);
    echo.init_asio();
    echo.set_message_handler([&echo](websocketpp::connection_hdl handle, server::message_ptr m) {
        websocketpp::lib::error_code ec;
        echo.send(handle, m->get_payload(), m->get_opcode(), ec);
    });
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
    echo.listen(boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
    echo.start_accept();
    echo.run();
}
