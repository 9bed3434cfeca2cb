// diagnostics.hpp
//
// Who is told of websockets that were dropped without a close, where their
// options name nobody: by default a line is written to standard error, which is all
// that the library ever prints. Release builds have no diagnostics by default, and
// print nothing.
#pragma once

#include <sansocket/diagnostics.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>

namespace sansocket_asio {

/// Writes a line to standard error for each leak: how the connection stood, and where it was made.
class print_leaks final : public sansocket::diagnostics_handler {
public:
    void leaked(const sansocket::leak_report& report) noexcept override {
        using std::chrono::milliseconds;
        const auto age = std::chrono::duration_cast<milliseconds>(report.age).count();
        std::fprintf(stderr, "sansocket: dropped without a close: %s; made %lld ms ago at %s:%lu\n",
                     to_string(report.connection).c_str(), static_cast<long long>(age),
                     report.created.file_name(), static_cast<unsigned long>(report.created.line()));
    }
};

namespace detail {
inline std::atomic<sansocket::diagnostics_handler*>& chosen_handler() noexcept {
    static print_leaks by_default;
    static std::atomic<sansocket::diagnostics_handler*> chosen{&by_default};
    return chosen;
}
}  // namespace detail

/// Who is told where `sansocket::options::diagnostics` names nobody. From any thread.
[[nodiscard]] inline sansocket::diagnostics_handler* diagnostics_handler() noexcept {
    return detail::chosen_handler().load(std::memory_order_acquire);
}

/// Chooses who is told of connections begun from now on; null: nobody. It outlives them. From any
/// thread.
///
/// @return who was told before.
inline sansocket::diagnostics_handler* set_diagnostics_handler(
    sansocket::diagnostics_handler* handler) noexcept {
    return detail::chosen_handler().exchange(handler, std::memory_order_acq_rel);
}

}  // namespace sansocket_asio
