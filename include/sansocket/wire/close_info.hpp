// close_info.hpp
//
// How a connection ended: separate facts, each written once. RFC 6455 7.1.
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/error.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace sansocket {

/// What a Close frame said. 5.5.1.
struct close_frame {
    close_code code = close_code::no_status;  ///< `no_status` for an empty payload.
    std::string reason;                       ///< UTF-8, 0 to 123 bytes.

    friend bool operator==(const close_frame&, const close_frame&) = default;
};

/// How a connection ended, or what is known of it so far.
struct close_info {
    std::optional<close_frame> received;  ///< The peer's Close frame, the first one. 7.1.5.
    std::optional<close_frame> sent;      ///< Ours, from when it was queued.
    bool clean = false;     ///< Both Closes exchanged: ours taken by the transport. 7.1.4.
    errc cause = errc::ok;  ///< What ended it, the first thing; `errc::ok` before that.
    bool incomplete_message = false;    ///< The end cut off a message or a frame.
    std::uint64_t discarded_bytes = 0;  ///< Input thrown away after the Close or the failure.
    std::uint64_t unsent_bytes = 0;     ///< Output accepted and thrown away, our last Close aside.

    /// The WebSocket Connection Close Code. 7.1.5.
    ///
    /// @return what the peer sent; 1005 if its Close held none; 1006 if no Close frame came.
    [[nodiscard]] close_code code() const noexcept {
        return received ? received->code : close_code::abnormal;
    }
    /// The WebSocket Connection Close Reason; empty if there is none. 7.1.6.
    [[nodiscard]] std::string reason() const { return received ? received->reason : std::string{}; }
};

}  // namespace sansocket
