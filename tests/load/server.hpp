// The server of the load tests: takes in whoever connects, and counts who is there. What it does with a
// connection is a function of the test.
#pragma once

#include "support/asio_loop.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

namespace load {

using namespace support;

// Counts the connections that are alive, and with each of them its session.
template <role Role>
struct counted_connection : sansocket::connection<Role> {
    template <class... Args>
    explicit counted_connection(Args&&... args)
        : sansocket::connection<Role>(std::forward<Args>(args)...) {
        ++alive;
    }
    counted_connection(const counted_connection&) = delete;
    counted_connection& operator=(const counted_connection&) = delete;
    ~counted_connection() { --alive; }
    static inline int alive = 0;
};

using tcp_websocket =
    sansocket_asio::websocket<role::server, tcp::socket, counted_connection<role::server>>;

/// `Websocket` is made from a socket of TCP.
template <class Websocket = tcp_websocket>
class fleet_server {
public:
    /// One client. It lives as long as something waits for it.
    class member : public std::enable_shared_from_this<member> {
    public:
        member(fleet_server& s, tcp::socket socket) : ws(std::move(socket)), server_(&s) {
            server_->members_.insert(this);
        }
        member(const member&) = delete;
        member& operator=(const member&) = delete;
        ~member() {
            server_->members_.erase(this);
            ++server_->ended[ws.close_info().cause];
        }
        /// Receives until the end; `fleet_server::on_message` says what becomes of a message.
        void receive() {
            ws.async_receive(
                [self = this->shared_from_this()](std::error_code ec, sansocket::message m) {
                    if (ec) return;
                    self->server_->on_message(*self, std::move(m));
                    self->receive();
                });
        }
        Websocket ws;

    private:
        friend class fleet_server;
        void open(const sansocket::options& with) {
            ws.async_accept({}, with, [self = this->shared_from_this()](std::error_code ec) {
                if (ec) return;
                ++self->server_->opened;
                self->server_->on_open(*self);
                self->receive();
            });
        }
        fleet_server* server_;
    };

    explicit fleet_server(loop& l, sansocket::options o = {})
        : options(std::move(o)), loop_(&l), acceptor_(l.io) {
        listen();
    }
    fleet_server(const fleet_server&) = delete;
    fleet_server& operator=(const fleet_server&) = delete;
    /// All members have ended before.
    ~fleet_server() {
        CHECK(members_.empty());
        stop_listening();
        for (auto* one : std::set<member*>(members_)) one->ws.abort();
        loop_->poll();
    }

    /// On another port than before, so that no connection is taken for an earlier one.
    void listen() {
        acceptor_ = tcp::acceptor(loop_->io, {asio::ip::address_v4::loopback(), 0});
        accept();
    }
    void stop_listening() {
        std::error_code ignored;
        acceptor_.close(ignored);
    }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    [[nodiscard]] const std::set<member*>& members() const noexcept { return members_; }
    [[nodiscard]] std::size_t alive() const noexcept { return members_.size(); }

    sansocket::options options;
    std::size_t opened = 0;
    std::map<errc, std::size_t> ended;  ///< How many ended by which cause.
    std::function<void(tcp::socket&)> on_accept = [](tcp::socket&) {};
    std::function<void(member&)> on_open = [](member&) {};
    /// Echoes, unless a test says otherwise.
    std::function<void(member&, sansocket::message)> on_message = [](member& m,
                                                                     sansocket::message text) {
        m.ws.async_send(std::move(text), [](std::error_code) {});
    };

private:
    void accept() {
        acceptor_.async_accept([this](std::error_code ec, tcp::socket socket) {
            if (ec == asio::error::operation_aborted) return;
            if (!ec) {
                on_accept(socket);
                std::make_shared<member>(*this, std::move(socket))->open(options);
            }
            accept();
        });
    }

    loop* loop_;
    tcp::acceptor acceptor_;
    std::set<member*> members_;
};

}  // namespace load
