// connect_op.hpp
//
// A client's way from a URL to an open connection: resolve, connect, upgrade;
// where TLS comes in between, the session sees to it. The core's opening deadline
// runs from the start and ends whichever step is under way. A name that is being
// looked up cannot be called back: nobody waits for it any more. An address that
// does not answer takes no more than its share of the time, so that the next ones
// have theirs.
#pragma once

#include <sansocket_asio/connect_failure.hpp>
#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/stream_traits.hpp>

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <asio/bind_executor.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

template <class T>
concept endpoint = requires(const T& e) {
    typename T::protocol_type;
    e.protocol();
};

// Where to connect to.
template <endpoint Endpoint>
struct destination {
    std::string host{};
    std::string port{};
    bool secure = false;                               // over TLS
    std::optional<std::vector<Endpoint>> endpoints{};  // nothing: `host` is looked up
};

// An endpoint, for people.
template <endpoint Endpoint>
std::string text_of(const Endpoint& e) {
    if constexpr (requires { e.address().is_v6(); }) {
        const std::string address = e.address().to_string();
        const std::string port = std::to_string(e.port());
        return e.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
    } else if constexpr (requires { e.path(); }) {
        std::string path = e.path();
        if (!path.empty() && path.front() == '\0') path.front() = '@';  // Linux: an abstract name
        return path;
    } else {
        return {};
    }
}

template <class Session, class Begin, class Endpoint>
class connect_op {
    using results = ::asio::ip::tcp::resolver::results_type;
    using timer = typename Session::timer_type;
    using resolver = ::asio::ip::basic_resolver<::asio::ip::tcp, typename Session::executor_type>;

    // A name and what it was found to be. Outlives the operation, if that does not wait for it.
    struct resolution {
        explicit resolution(const typename Session::executor_type& executor) : by(executor) {}
        resolver by;
        std::optional<std::error_code> done{};
        results found{};
    };

public:
    // `begin`: errc(session&), called once, unless `ec` says that there is nothing to begin with.
    connect_op(std::shared_ptr<Session> session, Begin begin, destination<Endpoint> to,
               std::error_code ec)
        : session_(std::move(session)),
          begin_(std::make_unique<Begin>(std::move(begin))),
          to_(std::move(to)),
          ec_(ec) {}

    template <class Self>
    void operator()(Self& self, std::error_code ec = {}) {
        const bool first = state_ == state::starting;
        if (state_ == state::finishing) return complete(self);
        if (first) {
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            mine_ = session_ && !session_->core_;
            if (!ec_) ec_ = begin();
        }
        if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
            if (session_) session_->abort(sansocket::errc::cancelled);
            ec_ = ::asio::error::operation_aborted;
        }
        if (!ec_ && session_->over()) ec_ = session_->ending();  // the deadline passed, for one
        if (ec_) return finish(self, first);
        switch (state_) {
        case state::starting:
            return to_.endpoints ? connect(self, ::asio::error::not_found) : resolve(self);
        case state::resolving: return resolved(self);
        case state::connecting:
            share_.reset();
            if (tried_ && !ec) return connected(self);
            return connect(self, ec);
        case state::opening: return look(self);
        case state::finishing: return;
        }
    }

private:
    enum class state : std::uint8_t { starting, resolving, connecting, opening, finishing };

    template <class Self>
    auto bound(Self& self) {
        return ::asio::bind_executor(session_->stream().get_executor(), std::move(self));
    }

    std::error_code begin() {
        const sansocket::errc ec = (*begin_)(*session_);
        begin_.reset();
        return ec == sansocket::errc::ok ? std::error_code{} : make_error_code(ec);
    }

    template <class Self>
    void resolve(Self& self) {
        state_ = state::resolving;
        session_->stage_ = connect_stage::resolve;
        resolution_ = std::make_shared<resolution>(session_->stream().get_executor());
        resolution_->by.async_resolve(to_.host, to_.port,
                                      [to = resolution_, from = std::weak_ptr<Session>(session_)](
                                          std::error_code ec, const results& found) {
                                          to->done = ec;
                                          to->found = found;
                                          if (const auto session = from.lock())
                                              session->wake_others();
                                      });
        wait(self);
    }

    template <class Self>
    void resolved(Self& self) {
        if (!resolution_->done) return wait(self);
        const std::error_code ec = *resolution_->done;
        to_.endpoints.emplace();
        if constexpr (std::same_as<Endpoint, ::asio::ip::tcp::endpoint>)
            for (const auto& entry : resolution_->found) to_.endpoints->push_back(entry.endpoint());
        resolution_.reset();
        if (ec) fail(self, ec);
        else connect(self, ::asio::error::host_not_found);
    }

    // `ec`: what the last one said.
    template <class Self>
    void connect(Self& self, std::error_code ec) {
        session_->stage_ = connect_stage::connect;
        auto& socket = detail::lowest(session_->stream());
        while (next_ != to_.endpoints->size()) {
            const Endpoint endpoint = (*to_.endpoints)[next_++];
            std::error_code failed;
            socket.close(failed);
            socket.open(endpoint.protocol(), failed);
            tried_ = !failed;
            if (failed) {
                ec = failed;
                continue;
            }
            state_ = state::connecting;
            limit_attempt();
            return socket.async_connect(endpoint, bound(self));
        }
        fail(self, ec);
    }

    // There is nowhere to connect to.
    template <class Self>
    void fail(Self& self, std::error_code ec) {
        session_->abort(sansocket::errc::transport_lost);
        ec_ = ec;
        finish(self, state_ == state::starting);
    }

    // An attempt that others wait behind is given up once it has had its share.
    void limit_attempt() {
        const auto sharing = static_cast<int>(to_.endpoints->size() - next_ + 1);
        const sansocket::time_point deadline = session_->core_->next_deadline();
        if (sharing == 1 || deadline == sansocket::never) return;
        const auto share = (deadline - Session::now()) / sharing;
        share_ = std::make_shared<timer>(session_->stream().get_executor(), share);
        share_->async_wait([attempt = std::weak_ptr<timer>(share_),
                            from = std::weak_ptr<Session>(session_)](std::error_code ec) {
            const auto session = from.lock();
            if (ec || attempt.expired() || !session) return;
            detail::lowest(session->stream()).cancel(ec);
        });
    }

    template <class Self>
    void connected(Self& self) {
        state_ = state::opening;
        session_->start(to_.secure ? &to_.host : nullptr);
        look(self);
    }

    template <class Self>
    void look(Self& self) {
        const auto done = opened::look(*session_);
        if (done) {
            ec_ = *done;
            return finish(self, false);
        }
        wait(self);
    }

    template <class Self>
    void wait(Self& self) {
        auto& changed = session_->changed();
        changed.async_wait(bound(self));
    }

    template <class Self>
    void finish(Self& self, bool first) {
        state_ = state::finishing;
        if (ec_ && mine_)
            session_->failure_ = std::make_unique<const connect_failure>(
                connect_failure{.stage = session_->stage_, .ec = ec_, .where = where()});
        if (first) ::asio::post(std::move(self));
        else ::asio::dispatch(std::move(self));
    }

    // What the step that failed was about.
    std::string where() const {
        switch (session_->stage_) {
        case connect_stage::url:
        case connect_stage::request: break;
        case connect_stage::resolve:
        case connect_stage::tls: return to_.host;
        case connect_stage::connect:
        case connect_stage::upgrade:
            if (next_ != 0) return text_of((*to_.endpoints)[next_ - 1]);
        }
        return {};
    }

    template <class Self>
    void complete(Self& self) {
        session_.reset();
        self.complete(ec_);
    }

    std::shared_ptr<Session> session_;
    std::unique_ptr<Begin> begin_;  // apart, for Asio gives this memory to what waits next
    destination<Endpoint> to_;
    std::error_code ec_;
    std::shared_ptr<resolution> resolution_;
    std::size_t next_ = 0;          // of the endpoints
    std::shared_ptr<timer> share_;  // of the one that is being tried
    bool tried_ = false;            // an endpoint: the error code is its answer
    bool mine_ = false;             // whether it is this operation that the session opens for
    state state_ = state::starting;
};

}  // namespace sansocket_asio::detail
