// arguments.hpp
//
// A program's arguments as "--name value...", and "--name" alone, for the examples.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace support {

// Whether `text` is a number that fits, and nothing else; then `value` is that.
template <class Number>
bool parse(std::string_view text, Number& value) {
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    return ec == std::errc{} && end == text.data() + text.size() && !text.empty();
}

class arguments {
public:
    // A name stands before its values, or before the next name.
    arguments(int argc, char* argv[]) {
        std::vector<std::string>* values = nullptr;
        for (const std::string_view word : std::vector<std::string_view>(argv + 1, argv + argc)) {
            if (word.starts_with("--")) values = &given_[std::string{word}];
            else if (values != nullptr) values->emplace_back(word);
            else good_ = false;
        }
    }
    // Sets `flag` if `name` was given, which has no value.
    arguments& take(const std::string& name, bool& flag) {
        if (const auto found = values_of(name, 0)) flag = true;
        return *this;
    }
    // Sets `value` to what was given for `name`, if anything was.
    arguments& take(const std::string& name, std::string& value) {
        if (const auto found = values_of(name, 1)) value = found->front();
        return *this;
    }
    // The same of two values.
    arguments& take(const std::string& name, std::string& first, std::string& second) {
        if (const auto found = values_of(name, 2)) first = found->front(), second = found->back();
        return *this;
    }
    template <class Number>
    arguments& take(const std::string& name, Number& value) {
        if (const auto found = values_of(name, 1)) good_ &= parse(found->front(), value);
        return *this;
    }
    // Whether all that was given was taken, and made sense.
    [[nodiscard]] bool good() const { return good_ && given_.empty(); }

private:
    // Nothing unless `name` was given with so many values, none of them empty.
    std::optional<std::vector<std::string>> values_of(const std::string& name, std::size_t count) {
        const auto found = given_.extract(name);
        if (!found) return std::nullopt;
        const auto& values = found.mapped();
        const bool right =
            values.size() == count && std::count(values.begin(), values.end(), "") == 0;
        good_ &= right;
        return right ? std::optional{values} : std::nullopt;
    }

    std::map<std::string, std::vector<std::string>> given_;
    bool good_ = true;
};

}  // namespace support
