// group.hpp
//
// Websockets that are told the same and end together: a server that stops says
// goodbye to all of its clients at once, within one time, and cuts off those that
// do not answer.
#pragma once

#include <sansocket_asio/detail/group_member.hpp>
#include <sansocket_asio/when_full.hpp>

#include <sansocket/prepared_message.hpp>
#include <sansocket/wire/close_code.hpp>
#include <sansocket/wire/close_payload.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/compose.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sansocket_asio {

/// How the members of a group ended.
struct shutdown_result {
    std::size_t clean = 0;  ///< With a complete closing handshake, or before they had begun.
    std::size_t failed =
        0;  ///< In any other way; those that were aborted at the deadline are among them.
};

/// Websockets that are told the same, and end together. Owns none of them: one that is destroyed, moved or over needs
/// not be taken out.
///
/// Websockets may be of any type, each on an executor of its own: `join` and `broadcast` may be called
/// from any thread. `async_shutdown` is called, and the group destroyed, on the group's executor. The
/// execution contexts of all members outlive them.
class group {
public:
    using executor_type = ::asio::any_io_executor;  ///< What its own operations run on.

    /// A group without members, whose `async_shutdown` runs on `executor`.
    explicit group(const executor_type& executor)
        : members_(std::make_shared<detail::group_members>(executor)) {}
    group(const group&) = delete;
    group& operator=(const group&) = delete;

    /// What it was given.
    [[nodiscard]] executor_type get_executor() const { return members_->executor(); }

    /// From now on `websocket` is a member, for as long as it lives. On its executor.
    ///
    /// @return false once a shutdown has begun, and for one that was moved from: let it go.
    template <class Websocket>
    [[nodiscard]] bool join(Websocket& websocket) {
        if (!websocket.session_) return false;
        auto member = std::make_unique<detail::member_of_session<typename Websocket::session>>(
            websocket.session_);
        return members_->join(std::move(member));
    }

    /// Sends a message to all members that are open, without a copy for each. From any thread; what
    /// one thread sends arrives in the order in which it was sent, also where it uses `sender` handles.
    ///
    /// @param full  what becomes of it where a member is too slow: its send queue has no room when the
    ///              message's turn comes, or its backlog is full (`backlog_limits`).
    /// @return to how many it was handed; `websocket::dropped_messages` tells what was dropped afterwards. 0
    ///         where the message is text and not UTF-8.
    std::size_t broadcast(const sansocket::prepared_message& message, when_full full) {
        return message.error() == sansocket::errc::ok ? members_->send(message, full) : 0;
    }

    /// Closes all members, and waits for the end of their transports.
    ///
    /// Those that are open send a Close; those that are still opening are refused or given up; those
    /// that close already go on. All that are left after `timeout` are aborted; those whose executors
    /// do not run, so that even that cannot be done, are given up a second later. Nobody can join any
    /// more. Signature void(std::error_code, shutdown_result): success; errc::close_timeout if any
    /// had to be aborted; errc::operation_in_progress if a shutdown is running;
    /// errc::invalid_close_code, errc::close_reason_too_long, errc::text_not_utf8 before anything is
    /// done. A group without members completes at once.
    ///
    /// Cancellation, total: the members are aborted at once.
    template <class Token>
    auto async_shutdown(sansocket::duration timeout, sansocket::close_code code,
                        std::string_view reason, Token&& token) {
        return ::asio::async_compose<Token, void(std::error_code, shutdown_result)>(
            shutdown_op{members_, timeout, code, std::string{reason}}, token, members_->executor());
    }
    /// The same with 1001, "going away". RFC 6455 7.4.1.
    template <class Token>
    auto async_shutdown(sansocket::duration timeout, Token&& token) {
        return async_shutdown(timeout, sansocket::close_code::going_away, {},
                              std::forward<Token>(token));
    }

private:
    class shutdown_op {
    public:
        shutdown_op(std::shared_ptr<detail::group_members> members, sansocket::duration timeout,
                    sansocket::close_code code, std::string reason)
            : members_(std::move(members)),
              timeout_(timeout),
              code_(code),
              reason_(std::move(reason)) {}

        template <class Self>
        void operator()(Self& self, std::error_code timer = ::asio::error::operation_aborted) {
            switch (state_) {
            case state::starting:
                self.reset_cancellation_state(::asio::enable_total_cancellation());
                ec_ = sansocket::check_close(code_, reason_);
                if (!ec_ && !members_->close_all(code_, reason_))
                    ec_ = sansocket::errc::operation_in_progress;
                if (ec_ || members_->all_over()) return finish_later(self);
                members_->timer().expires_after(timeout_);
                return wait(self);
            case state::waiting: {
                if (members_->all_over()) return finish(self);
                const bool cancelled =
                    self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none;
                if (ec_ && !timer) {  // nobody runs their executors
                    members_->give_up();
                    return finish(self);
                }
                if (!ec_ && (cancelled || !timer)) {
                    ec_ = sansocket::errc::close_timeout;
                    if (cancelled) ec_ = ::asio::error::operation_aborted;
                    members_->abort_all();
                    members_->timer().expires_after(time_to_abort);
                }
                return wait(self);
            }
            case state::finishing: return finish(self);
            }
        }

    private:
        enum class state : std::uint8_t { starting, waiting, finishing };
        // In which a member's executor carries the abort out.
        static constexpr std::chrono::seconds time_to_abort{1};

        template <class Self>
        void wait(Self& self) {
            state_ = state::waiting;
            members_->timer().async_wait(std::move(self));
        }
        template <class Self>
        void finish_later(Self& self) {
            state_ = state::finishing;
            ::asio::post(std::move(self));
        }
        template <class Self>
        void finish(Self& self) {
            const auto [clean, failed] = members_->counted();
            self.complete(ec_, shutdown_result{clean, failed});
        }

        std::shared_ptr<detail::group_members> members_;
        sansocket::duration timeout_;
        sansocket::close_code code_;
        std::string reason_;
        state state_ = state::starting;
        std::error_code ec_;
    };

    std::shared_ptr<detail::group_members> members_;
};

}  // namespace sansocket_asio
