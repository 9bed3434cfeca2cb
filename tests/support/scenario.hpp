// What the scenarios share.
#pragma once

#include "lifecycle.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace support {

using sansocket::message;
using sansocket::opcode;

// An open connection with nothing unread, that has to be closed in the end.
template <role Role>
struct opened : subject<Role> {
    explicit opened(const sansocket::options& options = {}) : subject<Role>(at::OI, options) {
        this->messages();
        this->left_open = false;
    }
};

// A text message of the peer's.
template <role Role>
byte_vector peers_text(std::string_view text) {
    return frame<Role>(opcode::text, bytes(text));
}

// At most `n` bytes of `all`, from `at` on.
inline byte_vector part_of(const byte_vector& all, std::size_t at,
                           std::size_t n = static_cast<std::size_t>(-1)) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
    return {from, from + static_cast<std::ptrdiff_t>((std::min)(n, all.size() - at))};
}

template <role Role>
void check_end(const endpoint<Role>& e, unsigned code, bool clean, errc cause) {
    const auto& info = e.connection.close_info();
    CHECK(static_cast<unsigned>(info.code()) == code);
    CHECK(info.clean == clean);
    CHECK(info.cause == cause);
}

inline std::vector<message> texts(const std::vector<std::string>& all) {
    std::vector<message> out;
    for (const auto& text : all) out.push_back(text_message(text));
    return out;
}

}  // namespace support
