// listener.hpp
//
// One socket that listens, and the loop that accepts from it. It does not stop
// for an error: where there are no descriptors or no memory it tries again after
// a pause, while those who connect wait in the system's backlog.
#pragma once

#include <sansocket_asio/detail/waiting_handler.hpp>
#include <sansocket_asio/server/detail/socket_file.hpp>
#include <sansocket_asio/server/peer_address.hpp>
#include <sansocket_asio/server_options.hpp>

#include <sansocket/wire/time.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/basic_socket_acceptor.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

// SO_REUSEPORT, where the system has it.
class reuse_port {
public:
#if defined(SO_REUSEPORT)
    template <class Protocol>
    int level(const Protocol&) const noexcept {
        return SOL_SOCKET;
    }
    template <class Protocol>
    int name(const Protocol&) const noexcept {
        return SO_REUSEPORT;
    }
#else
    template <class Protocol>
    int level(const Protocol&) const noexcept {
        return -1;
    }
    template <class Protocol>
    int name(const Protocol&) const noexcept {
        return -1;
    }
#endif
    template <class Protocol>
    const int* data(const Protocol&) const noexcept {
        return &on_;
    }
    template <class Protocol>
    std::size_t size(const Protocol&) const noexcept {
        return sizeof on_;
    }

private:
    int on_ = 1;
};

class any_listener {
public:
    any_listener() = default;
    any_listener(const any_listener&) = delete;
    any_listener& operator=(const any_listener&) = delete;
    virtual ~any_listener() = default;
    virtual void close() noexcept = 0;

    std::shared_ptr<any_listener> next;  // of its server
};

// `Protocol`: that of its endpoint, or one that stands for all of them.
template <class Protocol>
class listener final : public any_listener,
                       public std::enable_shared_from_this<listener<Protocol>> {
public:
    using endpoint_type = typename Protocol::endpoint;
    using socket = typename Protocol::socket;

    // Is told what it brings, while it is open.
    class owner {
    public:
        owner() = default;
        owner(const owner&) = delete;
        owner& operator=(const owner&) = delete;
        virtual ~owner() = default;
        virtual void accepted(socket connected, const peer_address& from) = 0;
        virtual void failed(std::error_code ec) = 0;
    };

    listener(const ::asio::any_io_executor& executor, std::unique_ptr<owner> told)
        : acceptor_(executor), pause_(executor, sansocket::never), told_(std::move(told)) {}

    template <class Endpoint>
    std::error_code open(const Endpoint& at, const listen_options& how) {
        std::string path;
        if constexpr (requires { path = at.path(); }) path = at.path();
        std::error_code ec;
        acceptor_.open(Protocol(at.protocol()), ec);
#if !defined(ASIO_WINDOWS)  // there it lets another program take the port
        if (!ec && path.empty()) acceptor_.set_option(::asio::socket_base::reuse_address(true), ec);
#endif
        if (!ec && how.reuse_port) acceptor_.set_option(detail::reuse_port{}, ec);
        if (!ec) acceptor_.bind(endpoint_type(at), ec);
        if (!ec) file_ = socket_file(path);
        if (!ec) acceptor_.listen(how.backlog, ec);
        return ec;
    }
    template <class Endpoint>
    Endpoint endpoint(std::error_code& ec) const {
        return endpoint_as<Endpoint>(acceptor_.local_endpoint(ec));
    }

    // Where there is no memory for that, it has failed, as for want of anything else.
    void accept() noexcept {
        try {
            acceptor_.async_accept(from_, accepting(this->shared_from_this()));
        } catch (...) {}
    }
    struct to_accept {};
    void woken(to_accept, std::error_code) {
        if (!closed_) accept();
    }
    void close() noexcept override {
        std::error_code ignored;
        closed_ = true;
        acceptor_.close(ignored);
        file_.remove();
        pause_.cancel();
    }

private:
    static constexpr std::chrono::milliseconds time_to_recover{100};

    // Says once how accepting went: not well, if it goes away without having said.
    class accepting {
    public:
        explicit accepting(std::shared_ptr<listener> by) noexcept : by_(std::move(by)) {}
        accepting(accepting&&) noexcept = default;
        accepting& operator=(accepting&&) = delete;
        ~accepting() {
            if (by_ && !by_->closed_) by_->has_failed(::asio::error::no_memory);
        }
        void operator()(std::error_code ec, socket accepted) {
            std::exchange(by_, nullptr)->has_accepted(ec, std::move(accepted));
        }

    private:
        std::shared_ptr<listener> by_;
    };

    void has_accepted(std::error_code ec, socket accepted) {
        if (ec == ::asio::error::operation_aborted && closed_) return;
        if (ec) return has_failed(ec);
        const auto from = peer_address::of(from_);
        if (!closed_) accept();  // whatever becomes of this one
        told_->accepted(std::move(accepted), from);
    }
    void has_failed(std::error_code ec) noexcept {
        // The client has gone meanwhile. Anything else may last, and must not keep the thread busy.
        const bool of_one = ec == ::asio::error::connection_aborted ||
                            ec == ::asio::error::operation_aborted ||
                            ec == ::asio::error::interrupted;
        told_->failed(ec);
        if (closed_) return;
        if (of_one) return accept();
        try {
            pause_.expires_after(time_to_recover);
            pause_.async_wait(pause_wait_.wait(this->shared_from_this()));
        } catch (...) {
            try_again_soon();
        }
    }
    // The least that can be asked for. Where there is not even that, this listener has ended.
    void try_again_soon() noexcept {
        try {
            ::asio::post(pause_.get_executor(), pause_wait_.wait(this->shared_from_this()));
        } catch (...) {}
    }

    ::asio::basic_socket_acceptor<Protocol> acceptor_;
    ::asio::steady_timer pause_;
    waiting_part<listener, to_accept> pause_wait_;
    endpoint_type from_;
    std::unique_ptr<owner> told_;
    socket_file file_;
    bool closed_ = false;
};

}  // namespace sansocket_asio::detail
