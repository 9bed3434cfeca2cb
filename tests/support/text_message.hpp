// A text message in one call.
#pragma once

#include <sansocket/wire/message.hpp>

#include <string>
#include <utility>

namespace support {

inline sansocket::message text_message(std::string text) {
    return {sansocket::message_kind::text, std::move(text)};
}

}  // namespace support
