// story.hpp
//
// What happened, line by line, and a number that stands for all of it: two runs
// with the same number went the same way. The lines are only kept where somebody
// wants to read them; the number costs next to nothing.
#pragma once

#include <sansocket/wire/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sansocket_simulation {

/// The story of one run.
class story {
public:
    /// @param keep  whether the lines are kept, for `text()`.
    explicit story(bool keep = false) : keep_(keep) {}

    /// At `when`, `who` did `what`. The numbers say with what.
    void tell(sansocket::time_point when, std::string_view who, std::string_view what,
              std::uint64_t first = none, std::uint64_t second = none) {
        mix(static_cast<std::uint64_t>(when.time_since_epoch().count()));
        mix(who);
        mix(what);
        mix(first);
        mix(second);
        ++lines_;
        if (keep_) write(when, who, what, first, second);
    }

    /// A number for all that was told so far.
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    /// How many lines were told.
    [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }
    /// All lines; empty unless they are kept.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] bool kept() const noexcept { return keep_; }  ///< Whether the lines are kept.

    static constexpr std::uint64_t none = ~std::uint64_t{};  ///< No number.

private:
    void mix(std::uint64_t word) noexcept {
        hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15U;
        hash_ ^= hash_ >> 29U;
    }
    void mix(std::string_view text) noexcept {
        std::uint64_t word = text.size();
        for (const char c : text) word = word * 131U + static_cast<unsigned char>(c);
        mix(word);
    }
    void write(sansocket::time_point when, std::string_view who, std::string_view what,
               std::uint64_t first, std::uint64_t second) {
        using std::chrono::microseconds;
        const auto since = when - sansocket::time_point{std::chrono::hours{1}};
        std::string us = std::to_string(std::chrono::duration_cast<microseconds>(since).count());
        if (us.size() < 4) us.insert(0, 4 - us.size(), '0');
        us.insert(us.size() - 3, ".");
        if (us.size() < 12) text_.append(12 - us.size(), ' ');
        text_.append(us).append(" ms  ").append(who).append(" ").append(what);
        for (const std::uint64_t n : {first, second})
            if (n != none) text_.append(" ").append(std::to_string(n));
        text_ += '\n';
    }

    bool keep_;
    std::uint64_t hash_ = 0xcbf29ce484222325U;
    std::uint64_t lines_ = 0;
    std::string text_;
};

}  // namespace sansocket_simulation
