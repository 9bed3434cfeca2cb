// A client that writes and reads bytes with blocking calls, over any stream that has them. Throws what
// goes wrong.
#pragma once

#include "endpoint.hpp"
#include "hex.hpp"

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace support {

template <class Stream = asio::ip::tcp::socket>
class blocking_peer {
public:
    explicit blocking_peer(Stream s) : stream_(std::move(s)) {}

    /// The opening handshake.
    void open() {
        send(bytes(upgrade_request));
        std::string head;
        asio::read_until(stream_, asio::dynamic_buffer(head), "\r\n\r\n");
        if (!head.starts_with("HTTP/1.1 101 ")) throw std::runtime_error("refused: " + head);
    }
    void send(const byte_vector& data) { asio::write(stream_, asio::buffer(data)); }
    byte_vector read(std::size_t n) {
        byte_vector out(n);
        asio::read(stream_, asio::buffer(out));
        return out;
    }
    void expect(const byte_vector& data) {
        if (read(data.size()) != data) throw std::runtime_error("other bytes than expected");
    }
    /// Whether the stream ends here, in order. Takes a byte if not; throws if it is broken.
    [[nodiscard]] bool at_end() {
        std::byte one{};
        std::error_code ec;
        asio::read(stream_, asio::buffer(&one, 1), ec);
        if (ec && ec != asio::error::eof) throw std::system_error(ec);
        return ec == asio::error::eof;
    }
    Stream& stream() noexcept { return stream_; }

private:
    Stream stream_;
};

}  // namespace support
