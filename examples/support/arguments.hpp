// arguments.hpp
//
// A program's arguments as "--name value", and "--name" alone, for the examples.
#pragma once

#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

namespace support {

// Whether `text` is a number that fits, and nothing else; then `value` is that.
template <class Number>
bool parse(std::string_view text, Number& value) {
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    return ec == std::errc{} && end == text.data() + text.size() && !text.empty();
}

class arguments {
public:
    // A name stands before its value, or before the next name.
    arguments(int argc, char* argv[]) {
        for (int i = 1; i < argc; ++i) {
            const bool has_value = i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--");
            given_[argv[i]] = has_value ? argv[i + 1] : "";
            i += has_value ? 1 : 0;
        }
    }
    // Sets `flag` if `name` was given, which has no value.
    arguments& take(const std::string& name, bool& flag) {
        if (auto found = given_.extract(name)) {
            flag = true;
            good_ &= found.mapped().empty();
        }
        return *this;
    }
    // Sets `value` to what was given for `name`, if anything was.
    arguments& take(const std::string& name, std::string& value) {
        if (auto found = given_.extract(name)) good_ &= !(value = found.mapped()).empty();
        return *this;
    }
    template <class Number>
    arguments& take(const std::string& name, Number& value) {
        if (auto found = given_.extract(name)) good_ &= parse(found.mapped(), value);
        return *this;
    }
    // Whether all that was given was taken, and made sense.
    [[nodiscard]] bool good() const { return good_ && given_.empty(); }

private:
    std::map<std::string, std::string> given_;
    bool good_ = true;
};

}  // namespace support
