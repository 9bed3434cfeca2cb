// role.hpp
//
// Which end of the connection an endpoint is. RFC 6455 1.2.
//
// A template argument wherever the RFC's rule differs by role (masking, who
// opens, who closes TCP first), never a bool.
#pragma once

#include <cstdint>

namespace sansocket {

/// The two ends of a WebSocket connection. RFC 6455 1.2.
enum class role : std::uint8_t { client, server };

/// The other end.
[[nodiscard]] constexpr role peer_of(role r) noexcept {
    return r == role::client ? role::server : role::client;
}

}  // namespace sansocket
