// compression.cpp
//
// The code of docs/compression.md, compiled.
#include <sansocket_asio/websocket.hpp>
#include <sansocket_zlib/sansocket_zlib.hpp>

#include <asio/ip/tcp.hpp>

#include <list>
#include <string>

// [codec]
using connection = sansocket_zlib::connection<sansocket::role::server>;
using websocket =
    sansocket_asio::websocket<sansocket::role::server, asio::ip::tcp::socket, connection>;

sansocket::options compressing() {
    sansocket::options options;
    options.deflate.enabled = true;
    return options;
}
// [/codec]

// [prepared]
void tell(std::list<websocket>& all, const std::string& text) {
    const sansocket::prepared_message news(text);
    for (auto& ws : all) ws.try_send(news);
}
// [/prepared]
