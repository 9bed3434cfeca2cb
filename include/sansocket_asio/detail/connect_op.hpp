// connect_op.hpp
//
// A client's way from a URL to an open connection: resolve, connect, upgrade;
// where TLS comes in between, the session sees to it. The core's opening deadline
// runs from the start and ends whichever step is under way. A name that is being looked up cannot be called back: nobody waits
// for it any more.
#pragma once

#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/stream_traits.hpp>

#include <sansocket/wire/error.hpp>

#include <asio/bind_executor.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

template <class Session, class Begin>
class connect_op {
    using results = ::asio::ip::tcp::resolver::results_type;
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
    // `secure`: over TLS.
    connect_op(std::shared_ptr<Session> session, Begin begin, std::string host, std::string port,
               bool secure, std::error_code ec)
        : session_(std::move(session)),
          begin_(std::move(begin)),
          host_(std::move(host)),
          port_(std::move(port)),
          secure_(secure),
          ec_(ec) {}

    template <class Self>
    void operator()(Self& self, std::error_code ec = {}) {
        const bool first = state_ == state::starting;
        if (state_ == state::finishing) return complete(self);
        if (first) {
            self.reset_cancellation_state(::asio::enable_total_cancellation());
            if (!ec_) ec_ = begin();
        }
        if (self.get_cancellation_state().cancelled() != ::asio::cancellation_type::none) {
            if (session_) session_->abort(sansocket::errc::cancelled);
            ec_ = ::asio::error::operation_aborted;
        }
        if (!ec_ && session_->over()) ec_ = session_->ending();  // the deadline passed, for one
        if (ec_) return finish(self, first);
        switch (state_) {
        case state::starting: return resolve(self);
        case state::resolving: return resolved(self);
        case state::connecting:
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
        resolution_ = std::make_shared<resolution>(session_->stream().get_executor());
        resolution_->by.async_resolve(host_, port_,
                                      [to = resolution_, from = std::weak_ptr<Session>(session_)](
                                          std::error_code ec, const results& found) {
                                          to->done = ec;
                                          to->found = found;
                                          if (const auto session = from.lock())
                                              session->changed().cancel();
                                      });
        wait(self);
    }

    template <class Self>
    void resolved(Self& self) {
        if (!resolution_->done) return wait(self);
        const std::error_code ec = *resolution_->done;
        found_ = std::move(resolution_->found);
        resolution_.reset();
        next_ = found_.begin();
        state_ = state::connecting;
        connect(self, ec ? ec : std::error_code{::asio::error::host_not_found});
    }

    template <class Self>
    void connect(Self& self, std::error_code ec) {
        auto& socket = detail::lowest(session_->stream());
        while (next_ != found_.end()) {
            const ::asio::ip::tcp::endpoint endpoint = next_++->endpoint();
            std::error_code failed;
            socket.close(failed);
            socket.open(endpoint.protocol(), failed);
            tried_ = !failed;
            if (failed) {
                ec = failed;
                continue;
            }
            return socket.async_connect(endpoint, bound(self));
        }
        session_->abort(sansocket::errc::transport_lost);
        ec_ = ec;
        finish(self, false);
    }

    template <class Self>
    void connected(Self& self) {
        state_ = state::opening;
        session_->start(secure_ ? &host_ : nullptr);
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
        auto& timer = session_->changed();
        timer.async_wait(bound(self));
    }

    template <class Self>
    void finish(Self& self, bool first) {
        state_ = state::finishing;
        if (first) ::asio::post(std::move(self));
        else ::asio::dispatch(std::move(self));
    }

    template <class Self>
    void complete(Self& self) {
        session_.reset();
        self.complete(ec_);
    }

    std::shared_ptr<Session> session_;
    std::optional<Begin> begin_;
    std::string host_;
    std::string port_;
    bool secure_;
    std::error_code ec_;
    std::shared_ptr<resolution> resolution_;
    results found_;
    results::const_iterator next_;
    bool tried_ = false;  // an endpoint: the error code is its answer
    state state_ = state::starting;
};

}  // namespace sansocket_asio::detail
