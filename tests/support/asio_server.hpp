// A server on a test's loop, who is told of it, and raw peers and clients that connect to it.
#pragma once

#include "asio_loop.hpp"

#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace support {

/// Writes down what a server tells.
class server_diary final : public sansocket_asio::server_observer {
public:
    using peer = sansocket_asio::peer_address;

    void accepted(const peer& from) noexcept override {
        ++accepted_count;
        last = from;
    }
    void identified(const peer& proxy, const peer& whom, errc ec) noexcept override {
        identifications.push_back(proxy.ip() ? proxy.ip()->to_string() : "unix");
        identifications.back() += " is " + whom.to_string();
        if (ec != errc::ok) identifications.back() += ", forwarded_invalid";
    }
    void refused(const peer& from, sansocket_asio::server_refusal why) noexcept override {
        refusals.push_back(why);
        refused_by.push_back(from.to_string());
    }
    void opened(const peer& from) noexcept override {
        opened_ports.push_back(from.port());
        opened_by.push_back(from.to_string());
    }
    void closed(const peer& from, const sansocket_asio::websocket_ending& how) noexcept override {
        closed_ports.push_back(from.port());
        closed_by.push_back(from.to_string());
        ends.push_back(how.info);
        losses.push_back(how.transport_error);
        snapshots.push_back(how.snapshot);
        snapshots.back().subprotocol = {};  // a view, which does not live on
    }
    void http_answered(const peer& to, std::uint16_t status) noexcept override {
        answered.push_back(status);
        answered_to.push_back(to.to_string());
    }
    void handshake_failed(const peer& by, errc cause,
                          std::error_code transport_error) noexcept override {
        failures.push_back(cause);
        failure_errors.push_back(transport_error);
        failed_by.push_back(by.to_string());
    }
    void accept_failed(std::error_code ec) noexcept override {
        accept_errors.push_back(ec);
        if (when_accept_failed) when_accept_failed();
    }
    void handler_failed(const peer&, const std::exception_ptr& e) noexcept override {
        try {
            std::rethrow_exception(e);
        } catch (const std::exception& what) {
            thrown.emplace_back(what.what());
        } catch (...) {
            thrown.emplace_back("?");
        }
    }

    int accepted_count = 0;
    peer last;
    std::vector<sansocket_asio::server_refusal> refusals;
    std::vector<std::uint16_t> opened_ports, closed_ports, answered;
    std::vector<sansocket::close_info> ends;
    std::vector<std::error_code> losses;  // with `ends`, and these too
    std::vector<sansocket::connection_snapshot> snapshots;
    std::vector<errc> failures;
    std::vector<std::error_code> failure_errors;
    std::vector<std::error_code> accept_errors;
    std::function<void()> when_accept_failed;
    std::vector<std::string> thrown;
    std::vector<std::string> identifications;
    // Whom the others were told of.
    std::vector<std::string> refused_by, opened_by, closed_by, answered_to, failed_by;
};

inline tcp::endpoint loopback(std::uint16_t port = 0) {
    return {asio::ip::address_v4::loopback(), port};
}

/// A server at a port of loopback. `Server`: another type of one.
template <class Server>
struct basic_served {
    explicit basic_served(loop& l, sansocket_asio::server_options options = {})
        : loop_(&l), server(std::make_unique<Server>(l.io.get_executor(), told(options, diary))) {}

    using websocket = typename Server::websocket_type;

    void listen() { at = server->listen(loopback()); }
    /// As the echo server.
    static asio::awaitable<void> echo(websocket& ws) {
        for (;;) {
            auto m = co_await ws.async_receive(asio::use_awaitable);
            co_await ws.async_send(std::move(m), asio::use_awaitable);
        }
    }
    [[nodiscard]] raw_peer connect() const {
        tcp::socket socket(loop_->io);
        socket.connect(at);
        return {*loop_, std::move(socket)};
    }
    /// The whole answer to what is sent.
    [[nodiscard]] std::string ask(std::string_view text) const {
        raw_peer peer = connect();
        peer.send(bytes(text));
        return text_of(peer.read_to_end());
    }
    /// A client that is open.
    [[nodiscard]] std::unique_ptr<websocket_client> client(
        const sansocket_asio::client_options& options = {}) const {
        auto ws = std::make_unique<websocket_client>(loop_->io);
        const result opened;
        ws->async_connect("ws://127.0.0.1:" + std::to_string(at.port()) + "/", options, opened);
        loop_->until(opened);
        REQUIRE(!opened.ec());
        return ws;
    }
    /// An open connection whose client is a raw peer.
    [[nodiscard]] raw_peer open_peer() const {
        raw_peer peer = connect();
        peer.send(bytes(upgrade_request));
        REQUIRE(peer.read_head().starts_with("HTTP/1.1 101 "));
        return peer;
    }
    void stop(sansocket::duration deadline = 5s) {
        const result stopped;
        server->async_stop(deadline, stopped);
        loop_->until(stopped);
        CHECK(!stopped.ec());
    }

private:
    static sansocket_asio::server_options told(sansocket_asio::server_options options,
                                               server_diary& diary) {
        options.observer = &diary;
        return options;
    }

    loop* loop_;

public:
    server_diary diary;
    std::unique_ptr<Server> server;
    tcp::endpoint at;
};
using served = basic_served<sansocket_asio::server>;

}  // namespace support
