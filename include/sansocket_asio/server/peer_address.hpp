// peer_address.hpp
//
// Where an accepted connection comes from: an IP address and a port, or a Unix
// socket. It is what the transport says, or a proxy that is trusted.
#pragma once

#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

namespace sansocket_asio {
namespace detail {

// The same address in another type; none where that cannot hold it.
template <class To, class From>
To endpoint_as(const From& from) {
    if constexpr (std::is_same_v<To, From>) {
        return from;
    } else {
        To to;
        if (from.size() > to.capacity()) return to;
        std::memcpy(to.data(), from.data(), from.size());
        to.resize(from.size());  // last, for a path looks at its end
        return to;
    }
}

}  // namespace detail

/// Where a connection comes from.
class peer_address {
public:
    /// No address: a Unix socket's.
    peer_address() = default;
    explicit peer_address(const ::asio::ip::tcp::endpoint& endpoint)
        : ip_(plain(endpoint.address())), port_(endpoint.port()) {}
    /// Of an endpoint of any protocol: as the one before, or none.
    template <class Endpoint>
    [[nodiscard]] static peer_address of(const Endpoint& endpoint) {
        using tcp = ::asio::ip::tcp;
        if constexpr (std::is_same_v<Endpoint, tcp::endpoint>) {
            return peer_address(endpoint);
        } else {
            const int family = endpoint.protocol().family();
            if (family != tcp::v4().family() && family != tcp::v6().family()) return {};
            return peer_address(detail::endpoint_as<tcp::endpoint>(endpoint));
        }
    }

    /// The IP address, an IPv4 address as such also on a socket of IPv6; nothing for a Unix socket.
    [[nodiscard]] const std::optional<::asio::ip::address>& ip() const noexcept { return ip_; }
    /// The port; 0 for a Unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// For logs: "192.0.2.1:4711", "[2001:db8::1]:4711", or "unix".
    [[nodiscard]] std::string to_string() const {
        if (!ip_) return "unix";
        const std::string host = ip_->is_v6() ? "[" + ip_->to_string() + "]" : ip_->to_string();
        return host + ":" + std::to_string(port_);
    }

    friend bool operator==(const peer_address&, const peer_address&) = default;

private:
    static ::asio::ip::address plain(const ::asio::ip::address& address) {
        if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
        return ::asio::ip::make_address_v4(::asio::ip::v4_mapped, address.to_v6());
    }

    std::optional<::asio::ip::address> ip_;
    std::uint16_t port_ = 0;
};

}  // namespace sansocket_asio
