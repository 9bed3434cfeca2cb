// context_watch.hpp
//
// Tells who asks that an execution context is being destroyed, while its
// services can still be used: what belongs to the context is given back to it,
// and who outlives it touches it no more.
#pragma once

#include <asio/execution_context.hpp>

#include <mutex>
#include <utility>

namespace sansocket_asio::detail {

// Is told once, by the thread that destroys the context; then it is not registered any more.
class context_watcher {
public:
    context_watcher(const context_watcher&) = delete;
    context_watcher& operator=(const context_watcher&) = delete;

protected:
    context_watcher() = default;
    virtual ~context_watcher() { unwatch(); }
    inline void watch(::asio::execution_context& context);
    inline void unwatch() noexcept;

private:
    friend class watched_context;
    virtual void context_gone() noexcept = 0;

    class watched_context* context_ = nullptr;
    context_watcher* next_ = nullptr;
    context_watcher* previous_ = nullptr;
};

// The watchers of one context.
class watched_context final : public ::asio::execution_context::service {
public:
    static inline ::asio::execution_context::id id;

    explicit watched_context(::asio::execution_context& owner)
        : ::asio::execution_context::service(owner) {}

private:
    friend class context_watcher;

    void shutdown() override {
        while (context_watcher* const one = first()) {
            one->unwatch();
            one->context_gone();
        }
    }
    context_watcher* first() const {
        const std::scoped_lock lock(mutex_);
        return first_;
    }

    mutable std::mutex mutex_;  // of all links
    context_watcher* first_ = nullptr;
};

inline void context_watcher::watch(::asio::execution_context& context) {
    auto& to = ::asio::use_service<watched_context>(context);
    const std::scoped_lock lock(to.mutex_);
    context_ = &to;
    next_ = std::exchange(to.first_, this);
    if (next_ != nullptr) next_->previous_ = this;
}

inline void context_watcher::unwatch() noexcept {
    auto* const from = std::exchange(context_, nullptr);
    if (from == nullptr) return;
    const std::scoped_lock lock(from->mutex_);
    (previous_ != nullptr ? previous_->next_ : from->first_) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
    next_ = previous_ = nullptr;
}

}  // namespace sansocket_asio::detail
