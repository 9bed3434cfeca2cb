// diagnostics.hpp
//
// Who watches connections: a handler that is told of each one that was let go
// without a close, and of each change of state.
//
// A connection has a policy as its template argument. `no_diagnostics` holds
// nothing and does nothing. `with_diagnostics` keeps a number, a place in the
// source and two moments. Debug builds take the second by default, and release
// builds by naming it.
//
// Writes nothing and asks no clock: the handler does what it likes.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/snapshot.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <version>
#if defined(__cpp_lib_source_location)
#include <source_location>
#endif

namespace sansocket {

#if defined(__cpp_lib_source_location)
/// Where in a program something was made.
using source_location = std::source_location;
#else
/// std::source_location, for compilers that do not have it yet (clang 14 and 15).
class source_location {
public:
    /// The place of the call.
    static constexpr source_location current(
        const char* file = __builtin_FILE(), const char* function = __builtin_FUNCTION(),
        std::uint_least32_t line = static_cast<std::uint_least32_t>(__builtin_LINE())) noexcept {
        source_location out;
        out.file_ = file;
        out.function_ = function;
        out.line_ = line;
        return out;
    }
    /// The file's name, as the compiler was given it. In static storage.
    [[nodiscard]] constexpr const char* file_name() const noexcept { return file_; }
    /// The function's name. In static storage.
    [[nodiscard]] constexpr const char* function_name() const noexcept { return function_; }
    /// The line, counted from 1; 0 of a value that was made of nothing.
    [[nodiscard]] constexpr std::uint_least32_t line() const noexcept { return line_; }
    /// The column: 0, for it is not known.
    [[nodiscard]] constexpr std::uint_least32_t column() const noexcept { return 0; }

private:
    const char* file_ = "";
    const char* function_ = "";
    std::uint_least32_t line_ = 0;
};
#endif

/// A connection that was let go without a completed close: destroyed, or aborted with errc::dropped,
/// while it was open or closing.
struct leak_report {
    connection_snapshot connection;  ///< As it stood; `id` and `state` are in here.
    duration age{};                  ///< From its creation to the last time it was told.
    source_location created;         ///< Where it was created.
};

/// A change of state.
struct state_change {
    std::uint64_t id = 0;     ///< The connection's number.
    sansocket::role role{};   ///< Its role.
    connection_state from{};  ///< The state that it leaves.
    connection_state to{};    ///< The state that it has now.
    errc cause{};             ///< Why it ends; errc::ok if it does not.
    time_point when{};        ///< The last time that the connection was told.
};

/// Is told about connections. One may serve many; it outlives them all. Called from within the
/// connection's functions: it must not call the connection.
class diagnostics_handler {
public:
    /// A connection was let go without a completed close.
    virtual void leaked(const leak_report&) noexcept {}
    /// A connection changed its state.
    virtual void changed(const state_change&) noexcept {}

protected:
    diagnostics_handler() = default;
    diagnostics_handler(const diagnostics_handler&) = default;
    diagnostics_handler& operator=(const diagnostics_handler&) = default;
    ~diagnostics_handler() = default;
};

/// No diagnostics: no state and no code.
struct no_diagnostics {
    static constexpr bool enabled = false;  ///< There is nothing to tell.
    /// @{
    /// As of `with_diagnostics`, and does nothing.
    constexpr no_diagnostics(diagnostics_handler*, role, time_point,
                             const source_location&) noexcept {}
    static constexpr void at(time_point) noexcept {}
    static constexpr void received(std::span<const std::byte>) noexcept {}
    static constexpr void changed(connection_state, errc) noexcept {}
    static constexpr void fill(connection_snapshot&) noexcept {}
    /// @}
};

/// Diagnostics of one connection, told to a `diagnostics_handler`; without one it only keeps what
/// `explain()` shows.
class with_diagnostics {
public:
    static constexpr bool enabled = true;  ///< There is something to tell.

    /// Tells `handler`, which may be null, about a connection of role `r` that is created now.
    with_diagnostics(diagnostics_handler* handler, role r, time_point now,
                     const source_location& created) noexcept
        : handler_(handler), created_(created), born_(now), now_(now), id_(next_id()), role_(r) {}
    /// What is moved from tells nobody anything.
    with_diagnostics(with_diagnostics&& other) noexcept
        : handler_(std::exchange(other.handler_, nullptr)),
          created_(other.created_),
          born_(other.born_),
          now_(other.now_),
          id_(std::exchange(other.id_, 0)),
          role_(other.role_),
          state_(other.state_),
          input_(other.input_) {}
    with_diagnostics& operator=(with_diagnostics&&) = delete;

    /// It is `now`.
    void at(time_point now) noexcept { now_ = now; }
    /// `bytes` came.
    void received(std::span<const std::byte> bytes) noexcept;
    /// The state is `to`.
    void changed(connection_state to, errc cause) noexcept {
        const connection_state from = std::exchange(state_, to);
        if (from != to && handler_) handler_->changed({id_, role_, from, to, cause, now_});
    }
    /// The connection goes away as it is.
    void leaked(const connection_snapshot& snapshot) const noexcept {
        if (handler_) handler_->leaked({snapshot, now_ - born_, created_});
    }
    /// Adds what is known here.
    void fill(connection_snapshot& snapshot) const noexcept {
        snapshot.id = id_;
        snapshot.input = input_;
    }

private:
    static std::uint64_t next_id() noexcept {
        static std::atomic<std::uint64_t> last{0};
        return last.fetch_add(1, std::memory_order_relaxed) + 1;
    }

    diagnostics_handler* handler_;
    source_location created_;
    time_point born_;
    time_point now_;
    std::uint64_t id_;
    role role_;
    connection_state state_ = connection_state::opening;
    last_bytes input_;
};

inline void with_diagnostics::received(std::span<const std::byte> bytes) noexcept {
    const std::size_t room = input_.data.size();
    const std::size_t fresh = detail::smaller_of(bytes.size(), room);
    const std::size_t kept = detail::smaller_of(input_.size, room - fresh);
    std::byte* const data = input_.data.data();
    std::memmove(data, data + (input_.size - kept), kept);
    detail::copy_bytes(bytes.last(fresh), data + kept);
    input_.size = kept + fresh;
}

/// What a connection has if nothing else is asked for: diagnostics in debug builds.
#if defined(NDEBUG)
using default_diagnostics = no_diagnostics;
#else
using default_diagnostics = with_diagnostics;
#endif

}  // namespace sansocket
