// close_request.hpp
//
// A text by which a client asks the echo server to close: "close CODE REASON".
#pragma once

#include "arguments.hpp"

#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/close_payload.hpp>
#include <sansocket/wire/message.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace support {

// What "close CODE REASON" asks for; nothing where `m` is to be echoed.
inline std::optional<sansocket::close_frame> close_asked_by(const sansocket::message& m) {
    std::string_view rest = m.data;
    if (m.kind != sansocket::message_kind::text || !rest.starts_with("close ")) return std::nullopt;
    rest.remove_prefix(6);
    const auto space = rest.find(' ');
    std::uint16_t code = 0;
    if (!parse(rest.substr(0, space), code)) return std::nullopt;
    const auto reason = space == rest.npos ? std::string_view{} : rest.substr(space + 1);
    const sansocket::close_code asked{code};
    if (check_close(asked, reason) != sansocket::errc::ok) return std::nullopt;
    return sansocket::close_frame{asked, std::string{reason}};
}

}  // namespace support
