// echo_settings.hpp
//
// What the echo server can be told, and its arguments.
#pragma once

#include "arguments.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace support {

struct settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::uint64_t max_message = std::uint64_t{16} * 1024 * 1024;
    std::uint64_t max_connections = 10000;
    std::string certificate;  // PEM files; none: plain
    std::string key;
    bool deflate = false;
    std::uint8_t window_bits = 15;
    bool no_takeover = false;
    bool shared = false;
};

inline constexpr std::string_view usage =
    "usage: echo_server [--host H] [--port P] [--max-message BYTES] [--max-connections N]\n"
    "                   [--tls CERT KEY] [--deflate] [--window-bits N] [--no-takeover] "
    "[--shared]\n";

// Nothing where they make no sense.
inline std::optional<settings> settings_of(int argc, char* argv[]) {
    settings chosen;
    const bool good = arguments(argc, argv)
                          .take("--host", chosen.host)
                          .take("--port", chosen.port)
                          .take("--max-message", chosen.max_message)
                          .take("--max-connections", chosen.max_connections)
                          .take("--tls", chosen.certificate, chosen.key)
                          .take("--deflate", chosen.deflate)
                          .take("--window-bits", chosen.window_bits)
                          .take("--no-takeover", chosen.no_takeover)
                          .take("--shared", chosen.shared)
                          .good();
    return good ? std::optional{chosen} : std::nullopt;
}

}  // namespace support
