// address_counts.hpp
//
// How many connections come from where. What one party usually has to itself
// counts as one place: an IPv4 address, or an IPv6 network of 64 bits.
#pragma once

#include <sansocket_asio/server/peer_address.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace sansocket_asio::detail {

class address_counts {
public:
    // 0 for a Unix socket.
    [[nodiscard]] std::size_t count(const peer_address& peer) const {
        const auto place = key_of(peer);
        const auto found = place ? counts_.find(*place) : counts_.end();
        return found == counts_.end() ? 0 : found->second;
    }
    void add(const peer_address& peer) {
        if (const auto place = key_of(peer)) ++counts_[*place];
    }
    void remove(const peer_address& peer) noexcept {
        const auto place = key_of(peer);
        const auto found = place ? counts_.find(*place) : counts_.end();
        if (found != counts_.end() && --found->second == 0) counts_.erase(found);
    }

private:
    using key = std::pair<bool, std::uint64_t>;  // whether IPv6, and the bits

    static std::optional<key> key_of(const peer_address& peer) {
        if (!peer.ip()) return std::nullopt;
        if (peer.ip()->is_v4()) return key{false, peer.ip()->to_v4().to_uint()};
        const auto bytes = peer.ip()->to_v6().to_bytes();
        std::uint64_t network = 0;
        for (std::size_t i = 0; i != 8; ++i) network = network << 8U | bytes[i];
        return key{true, network};
    }

    std::map<key, std::size_t> counts_;  // peers choose the keys: a tree has no bad ones
};

}  // namespace sansocket_asio::detail
