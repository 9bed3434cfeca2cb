// Reads what one end puts on the wire, with a parser of its own, and says what is wrong with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace simulation {

class wire_watch {
public:
    explicit wire_watch(bool masked) : masked_(masked) {}

    // What went out next. `switched`: the end of the HTTP head is followed by frames.
    void saw(std::span<const std::byte> bytes) {
        for (std::size_t i = 0; i != bytes.size();) {
            if (in_head_) {
                head_end_ = (head_end_ << 8U) | std::to_integer<std::uint32_t>(bytes[i++]);
                if (head_end_ == 0x0d0a0d0aU) in_head_ = false;
                ++offset_;
            } else if (left_ != 0) {
                const auto n = static_cast<std::size_t>(
                    left_ < bytes.size() - i ? left_ : std::uint64_t{bytes.size() - i});
                left_ -= n;
                i += n;
                offset_ += n;
            } else {
                if (held_ == 0) begins_ = offset_;
                header_[held_++] = bytes[i++];
                ++offset_;
                if (held_ >= 2 && held_ == header_size()) take_header();
            }
        }
    }
    // From the byte at `offset` on no frame but a Close may begin.
    void only_a_close_from(std::uint64_t offset) {
        if (offset < last_words_) last_words_ = offset;
    }
    // An answer that refuses has a body, which is no frame.
    void expect_no_frames() { in_body_ = true; }

    [[nodiscard]] const std::string& wrong() const { return wrong_; }
    [[nodiscard]] int closes() const { return closes_; }

private:
    static constexpr std::uint64_t nowhere = ~std::uint64_t{};

    std::size_t header_size() const {
        const unsigned length = std::to_integer<unsigned>(header_[1]) & 0x7fU;
        return (length < 126 ? 2U : length == 126 ? 4U : 10U) + (masked_ ? 4U : 0U);
    }
    void complain(std::string_view what) {
        if (wrong_.empty() && !in_body_) wrong_ = what;
    }
    void take_header() {
        const unsigned first = std::to_integer<unsigned>(header_[0]);
        const unsigned second = std::to_integer<unsigned>(header_[1]);
        const std::size_t extended = header_size() - (masked_ ? 4U : 0U);
        left_ = second & 0x7fU;
        if (extended > 2) left_ = 0;
        for (std::size_t i = 2; i < extended; ++i)
            left_ = left_ << 8U | std::to_integer<std::uint64_t>(header_[i]);
        held_ = 0;
        const unsigned op = first & 15U;
        const bool control = op >= 8;
        if ((first & 0x70U) != 0) complain("a reserved bit");
        if (!(op <= 2 || (op >= 8 && op <= 10))) complain("a reserved opcode");
        if (((second & 0x80U) != 0) != masked_) complain("masked, or not, as it should not be");
        if (control && ((first & 0x80U) == 0 || left_ > 125)) complain("a control frame too long");
        if (!control && (op == 0) != inside_) complain("fragments out of order");
        if (!control) inside_ = (first & 0x80U) == 0;
        if (closes_ != 0 && op == 8) complain("two Closes");
        if (closes_ != 0 && op != 10) complain("something but a Pong behind the Close");
        if (begins_ >= last_words_ && op != 8)
            complain("a frame that began when only a Close may go out");
        if (op == 8) ++closes_;
    }

    bool masked_;
    bool in_head_ = true;
    bool in_body_ = false;
    bool inside_ = false;
    std::uint32_t head_end_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t begins_ = 0;
    std::uint64_t left_ = 0;
    std::uint64_t last_words_ = nowhere;
    std::array<std::byte, 14> header_{};
    std::size_t held_ = 0;
    int closes_ = 0;
    std::string wrong_;
};

}  // namespace simulation
