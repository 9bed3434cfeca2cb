// server_step.hpp
//
// What goes on when an operation of a server's connection completes. Where there
// is no memory, an operation may be destroyed instead: then the connection ends,
// for nobody else would ever come back to it.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// Something is to come back to the connection, which is lost where this goes away without.
template <class State, class Entry>
class step_guard {
public:
    step_guard(std::shared_ptr<State> state, std::shared_ptr<Entry> e) noexcept
        : state_(std::move(state)), entry_(std::move(e)) {}
    step_guard(step_guard&&) noexcept = default;
    step_guard& operator=(step_guard&&) = delete;
    ~step_guard() {
        if (state_) state_->lost(entry_);
    }

    // It has come back: with `step`.
    template <class Step>
    void operator()(Step step) noexcept {
        const auto state = std::exchange(state_, nullptr);
        const auto e = std::exchange(entry_, nullptr);
        if (state) state->attempt(e, [&] { step(*state, e); });
    }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Entry> entry_;
};

// The completion handler of an operation, behind which `next` is due.
template <class State, class Entry>
class server_step {
public:
    using function = void (State::*)(const std::shared_ptr<Entry>&, std::error_code);

    server_step(std::shared_ptr<State> state, std::shared_ptr<Entry> e, function next) noexcept
        : guard_(std::move(state), std::move(e)), next_(next) {}
    void operator()(std::error_code ec) noexcept {
        guard_([next = next_, ec](State& state, const std::shared_ptr<Entry>& e) {
            (state.*next)(e, ec);
        });
    }

private:
    step_guard<State, Entry> guard_;
    function next_;
};

}  // namespace sansocket_asio::detail
