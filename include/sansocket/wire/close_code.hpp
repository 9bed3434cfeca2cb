// close_code.hpp
//
// Status codes of the Close frame. RFC 6455 7.4, and the IANA registry that
// it opened (1012 to 1014 came later).
//
// All 65,536 values are judged here and nowhere else: what may stand in a
// Close frame, and what only ever describes an ending locally.
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <cstdint>

namespace sansocket {

/// The status code of a Close frame, or of an ending without one. 7.4.1.
///
/// Any 16-bit value may be held; `may_be_sent` says which may go on the wire.
enum class close_code : std::uint16_t {
    normal = 1000,               ///< The purpose of the connection has been fulfilled.
    going_away = 1001,           ///< A server is going down, or a page was left.
    protocol_error = 1002,       ///< The peer broke the protocol.
    unsupported_data = 1003,     ///< A kind of data that this endpoint cannot accept.
    no_status = 1005,            ///< Never sent: the Close frame held no code.
    abnormal = 1006,             ///< Never sent: no Close frame was received.
    invalid_payload = 1007,      ///< Data not consistent with its type, such as text not in UTF-8.
    policy_violation = 1008,     ///< Against this endpoint's policy, no other code fits.
    message_too_big = 1009,      ///< Larger than this endpoint processes.
    mandatory_extension = 1010,  ///< A client needed an extension the server did not accept.
    internal_error = 1011,       ///< An unexpected condition at this endpoint.
    service_restart = 1012,      ///< IANA registry.
    try_again_later = 1013,      ///< IANA registry.
    bad_gateway = 1014,          ///< IANA registry.
    tls_handshake = 1015,        ///< Never sent: the TLS handshake failed.
};

/// Whether `code` may stand in a Close frame, in either direction. 7.4.1, 7.4.2.
///
/// @return true for 1000 to 1003, 1007 to 1014, and 3000 to 4999.
[[nodiscard]] constexpr bool may_be_sent(close_code code) noexcept {
    const auto n = static_cast<std::uint16_t>(code);
    if (n >= 3000) return n <= 4999;  // 7.4.2: registered and private use
    if (n >= 1007) return n <= 1014;
    return n >= 1000 && n <= 1003;  // 7.4.1: 1004 to 1006 and 1015 are reserved
}

}  // namespace sansocket
