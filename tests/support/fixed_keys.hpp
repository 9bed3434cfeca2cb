// A source of masking keys that a test can write down.
#pragma once

#include <sansocket/wire/masking.hpp>

#include <cstddef>

namespace support {

/// Always the same key; by default the one of RFC 6455 5.7.
class fixed_keys {
public:
    constexpr fixed_keys() noexcept = default;
    explicit constexpr fixed_keys(sansocket::masking_key key) noexcept : key_(key) {}

    [[nodiscard]] constexpr sansocket::masking_key operator()() const noexcept { return key_; }

private:
    sansocket::masking_key key_{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
};

}  // namespace support
