// group_member.hpp
//
// What a group knows of its websockets: how to send to, to close and to abort each
// of them on its own executor, and how many are left. See group.hpp.
#pragma once

#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/outbox.hpp>
#include <sansocket_asio/detail/wait_op.hpp>
#include <sansocket_asio/when_full.hpp>

#include <sansocket/prepared_message.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

// Says once how a member ended: not cleanly, if it goes away without having said.
class member_done {
public:
    explicit member_done(std::function<void(bool clean)> say) : say_(std::move(say)) {}
    member_done(member_done&& other) noexcept : say_(std::exchange(other.say_, nullptr)) {}
    member_done& operator=(member_done&&) = delete;
    ~member_done() { (*this)(false); }
    void operator()(bool clean) {
        if (const auto say = std::exchange(say_, nullptr)) say(clean);
    }

private:
    std::function<void(bool clean)> say_;
};

// A websocket of any type. The functions may be called on any thread; it holds none alive.
class group_member {
public:
    group_member() = default;
    group_member(const group_member&) = delete;
    group_member& operator=(const group_member&) = delete;
    virtual ~group_member() = default;

    virtual bool gone() const = 0;
    virtual void close(sansocket::close_code code, const std::string& reason, member_done done) = 0;
    virtual void abort() = 0;
    virtual sansocket::errc send(const sansocket::prepared_message& prepared, when_full full) = 0;
};

template <class Session>
class member_of_session final : public group_member {
public:
    explicit member_of_session(const std::shared_ptr<Session>& session)
        : executor_(session->stream().get_executor()),
          session_(session),
          outbox_(session->shared_outbox()) {}

    bool gone() const override { return session_.expired(); }
    void close(sansocket::close_code code, const std::string& reason, member_done done) override {
        ::asio::post(executor_, [weak = session_, executor = executor_, code, reason,
                                 done = std::move(done)]() mutable {
            const auto self = weak.lock();
            if (!self) return;
            wait_in_background(self, shutdown_operation{code, std::move(reason)}, executor,
                               [done = std::move(done)](std::error_code ec) mutable { done(!ec); });
        });
    }
    void abort() override {
        ::asio::post(executor_, [weak = session_] {
            if (const auto self = weak.lock()) self->abort(sansocket::errc::close_timeout);
        });
    }
    sansocket::errc send(const sansocket::prepared_message& prepared, when_full full) override {
        return outbox_->push({prepared, full});
    }

private:
    typename Session::executor_type executor_;
    std::weak_ptr<Session> session_;
    std::shared_ptr<outbox> outbox_;
};

// The members of a group. `close_all`, `abort_all`, `timer` on the group's executor; the rest on any
// thread.
class group_members : public std::enable_shared_from_this<group_members> {
public:
    explicit group_members(const ::asio::any_io_executor& executor)
        : timer_(executor, sansocket::never) {}

    [[nodiscard]] ::asio::any_io_executor executor() { return timer_.get_executor(); }
    /// Rings when all are over, by being cancelled.
    [[nodiscard]] ::asio::steady_timer& timer() noexcept { return timer_; }

    bool join(std::unique_ptr<group_member> member) {
        const std::scoped_lock lock(mutex_);
        if (closing_) return false;
        if (members_.size() >=
            look_at_) {  // those that are gone make room, at a constant cost each
            std::erase_if(members_, [](const auto& m) { return m->gone(); });
            look_at_ = 2 * members_.size() + 16;
        }
        members_.push_back(std::move(member));
        return true;
    }
    /// False if that was done before.
    bool close_all(sansocket::close_code code, const std::string& reason) {
        {
            const std::scoped_lock lock(mutex_);
            if (std::exchange(closing_, true)) return false;
            std::erase_if(members_, [](const auto& m) { return m->gone(); });
            left_ = members_.size();
        }
        for (const auto& m : members_)  // they change no more
            m->close(code, reason,
                     member_done([self = shared_from_this()](bool clean) { self->count(clean); }));
        return true;
    }
    /// To how many it was handed.
    std::size_t send(const sansocket::prepared_message& prepared, when_full full) {
        const std::scoped_lock lock(mutex_);
        std::size_t reached = 0;
        for (const auto& m : members_)
            if (m->send(prepared, full) == sansocket::errc::ok) ++reached;
        return reached;
    }
    void abort_all() {
        for (const auto& m : members_) m->abort();
    }
    [[nodiscard]] bool all_over() const {
        const std::scoped_lock lock(mutex_);
        return closing_ && left_ == 0;
    }
    /// Those that have not answered count as failed, and are not waited for.
    void give_up() {
        const std::scoped_lock lock(mutex_);
        failed_ += std::exchange(left_, 0);
    }
    /// How many ended cleanly, and how many not.
    [[nodiscard]] std::pair<std::size_t, std::size_t> counted() const {
        const std::scoped_lock lock(mutex_);
        return {clean_, failed_};
    }

private:
    void count(bool clean) {
        const std::scoped_lock lock(mutex_);
        if (left_ == 0) return;  // given up before
        ++(clean ? clean_ : failed_);
        if (--left_ == 0)
            ::asio::post(timer_.get_executor(),
                         [self = shared_from_this()] { self->timer_.cancel(); });
    }

    mutable std::mutex mutex_;
    ::asio::steady_timer timer_;
    std::vector<std::unique_ptr<group_member>> members_;
    std::size_t look_at_ = 16;
    std::size_t left_ = 0, clean_ = 0, failed_ = 0;
    bool closing_ = false;
};

}  // namespace sansocket_asio::detail
