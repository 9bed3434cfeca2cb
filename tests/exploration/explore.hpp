// What the explorations share: how long, and where to write what was covered.
#pragma once

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

namespace exploration {

// SANSOCKET_EXPLORE_SECONDS from the environment; 2 if it is not set.
inline std::chrono::milliseconds time_to_spend() {
    const char* const text = std::getenv("SANSOCKET_EXPLORE_SECONDS");
    return std::chrono::milliseconds{text ? std::atoi(text) * 1000 : 2000};
}

class stopwatch {
public:
    [[nodiscard]] bool past(std::chrono::milliseconds time) const {
        return std::chrono::steady_clock::now() - start_ > time;
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Prints `line` and leaves it in the file `name`.report of the working directory.
inline void report(const std::string& name, const std::string& line) {
    std::cout << name << ": " << line << std::endl;
    std::ofstream(name + ".report") << name << ": " << line << '\n';
}

}  // namespace exploration
