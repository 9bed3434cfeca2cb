// trace.cpp
//
// The code of docs/trace.md, compiled.
#include <sansocket_trace/recorder.hpp>

#include <cstddef>
#include <fstream>
#include <ios>
#include <span>

// [record]
struct to_file {
    std::ofstream file{"connection.trace", std::ios::binary};
    void operator()(std::span<const std::byte> part) {
        file.write(reinterpret_cast<const char*>(part.data()), std::streamsize(part.size()));
    }
};
using recorded = sansocket_trace::recorder<sansocket::connection<sansocket::role::server>, to_file>;

recorded begin(const sansocket::server_policy& policy, sansocket::time_point now) {
    return recorded(policy, now);
}
// [/record]
