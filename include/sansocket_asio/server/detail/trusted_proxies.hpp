// trusted_proxies.hpp
//
// Whose word a server takes on where a client comes from, and what it then is.
// The rules are the core's; addresses are translated here.
#pragma once

#include <sansocket_asio/server/peer_address.hpp>

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/forwarded.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/ip_address.hpp>
#include <sansocket/wire/proxy_header.hpp>

#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/address_v6.hpp>
#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

inline sansocket::ip_address core_address(const ::asio::ip::address& address) noexcept {
    if (address.is_v4()) return sansocket::ip_address(address.to_v4().to_bytes());
    return sansocket::ip_address(address.to_v6().to_bytes());
}

inline peer_address asio_address(const sansocket::ip_address& address, std::uint16_t port) {
    ::asio::ip::address out = ::asio::ip::address_v6(address.bytes());
    if (address.is_v4()) out = ::asio::ip::address_v4(address.v4_bytes());
    return peer_address(::asio::ip::tcp::endpoint(out, port));
}

class trusted_proxies {
public:
    // Nobody.
    trusted_proxies() = default;
    // Throws std::system_error for what is neither a network nor "unix".
    explicit trusted_proxies(const std::vector<std::string>& texts)
        : parse_header_(&sansocket::parse_proxy_header), find_client_(&find_client) {
        for (const std::string& text : texts) {
            if (text == "unix") {
                unix_ = true;
                continue;
            }
            const auto [network, ec] = sansocket::parse_ip_network(text);
            if (ec != sansocket::errc::ok)
                throw std::system_error(ec, "trusted proxy \"" + text + '"');
            networks_.push_back(network);
        }
    }

    [[nodiscard]] bool trusts(const sansocket::ip_address& address) const noexcept {
        for (const auto& network : networks_)
            if (network.contains(address)) return true;
        return false;
    }
    [[nodiscard]] bool trusts(const peer_address& peer) const noexcept {
        return peer.ip() ? trusts(core_address(*peer.ip())) : unix_;
    }

    // The words of a proxy that is trusted.
    [[nodiscard]] sansocket::proxy_header_result parse_header(
        std::span<const std::byte> bytes) const noexcept {
        return parse_header_(bytes);
    }
    // Whom it passes on.
    [[nodiscard]] static peer_address client_of(const sansocket::proxy_header& header,
                                                const peer_address& proxy) {
        switch (header.kind) {
        case sansocket::proxied_kind::own:
        case sansocket::proxied_kind::unspecified: break;
        case sansocket::proxied_kind::ip: return asio_address(header.source, header.source_port);
        case sansocket::proxied_kind::unix_socket: return {};
        }
        return proxy;
    }
    // The same by the head of its request.
    [[nodiscard]] std::pair<peer_address, sansocket::errc> client_of(
        const sansocket::http_head& head, sansocket::forwarded_field field,
        const peer_address& proxy) const {
        return find_client_(*this, head, field, proxy);
    }

private:
    using identity = std::pair<peer_address, sansocket::errc>;

    static identity find_client(const trusted_proxies& self, const sansocket::http_head& head,
                                sansocket::forwarded_field field, const peer_address& proxy) {
        const auto found = sansocket::find_client(
            head, field, [&](const sansocket::ip_address& hop) { return self.trusts(hop); });
        if (!found.address) return {proxy, found.ec};
        return {asio_address(*found.address, found.port), found.ec};
    }

    // Null where nobody is trusted: only who trusts somebody compiles what reads his words.
    sansocket::proxy_header_result (*parse_header_)(std::span<const std::byte>) noexcept = nullptr;
    identity (*find_client_)(const trusted_proxies&, const sansocket::http_head&,
                             sansocket::forwarded_field, const peer_address&) = nullptr;
    std::vector<sansocket::ip_network> networks_;
    bool unix_ = false;
};

}  // namespace sansocket_asio::detail
