// server_state.hpp
//
// What a server does, on its executor: takes connections from its listeners, has
// the application answer their requests, hands what opens to the handler, and
// waits for the end of each transport. All that it has begun keeps it alive.
//
//   take -> asked -> accepted -> the handler -> released -> ended
//                    refused, answered ------------------>
//
// Where the execution context is destroyed first, what belongs to it goes with
// it, and nothing is begun any more.
#pragma once

#include <sansocket_asio/detail/background_wait.hpp>
#include <sansocket_asio/detail/context_watch.hpp>
#include <sansocket_asio/detail/group_member.hpp>
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/server/counters.hpp>
#include <sansocket_asio/server/detail/address_counts.hpp>
#include <sansocket_asio/server/detail/handlers.hpp>
#include <sansocket_asio/server/detail/listener.hpp>
#include <sansocket_asio/server/detail/server_entry.hpp>
#include <sansocket_asio/server/observer.hpp>
#include <sansocket_asio/server/request.hpp>
#include <sansocket_asio/server_options.hpp>
#include <sansocket_asio/websocket.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/execution/context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
class server_state final : public std::enable_shared_from_this<server_state<Stream, Connection>>,
                           private context_watcher {
public:
    using websocket_type = websocket<sansocket::role::server, Stream, Connection>;
    using handle = std::shared_ptr<websocket_type>;
    using entry = server_entry<websocket_type>;
    using state = typename entry::state;

    server_state(const ::asio::any_io_executor& executor, server_options options)
        : executor_(executor), options_(std::move(options)), io_(std::in_place, executor) {
        options_.connection.decision = sansocket::request_decision::manual;
        const ::asio::ip::tcp::socket services_first(executor);  // they are to outlive the watch
        this->watch(::asio::query(executor, ::asio::execution::context));
    }

    // Makes a stream of each socket that is accepted there.
    template <class Endpoint, class MakeStream>
    Endpoint listen(const Endpoint& at, const listen_options& how, MakeStream make_stream,
                    std::error_code& ec);
    void close_listeners() noexcept;
    // Nobody waits for the end.
    void abandon() noexcept;
    void cancel_handlers();

    // The rest of what is left, and the group that closes it.
    bool stopping() const noexcept { return stopping_; }
    bool idle() const noexcept { return entries_.empty(); }
    group* ends() noexcept { return io_ ? &io_->ends : nullptr; }
    ::asio::steady_timer& when_idle() noexcept { return io_->idle; }
    const ::asio::any_io_executor& executor() const noexcept { return executor_; }

    server_counters counters() const {
        server_counters now = counters_;
        now.open = open_;
        now.refusing = refusing_;
        now.opening = opening_;
        for (const auto& e : entries_)
            if (e->was_open)
                now.count_websocket(e->websocket.counters(), e->websocket.dropped_messages());
        return now;
    }
    template <class Function>
    void for_each(Function& function) {
        for (const auto& e : entries_)
            if (e->state_ == state::open &&
                e->websocket.state() == sansocket::connection_state::open)
                function(e->websocket);
    }

    connection_handler<websocket_type> on_connection;
    request_handler<server_request, server_decision> on_request;
    request_handler<server_request, sansocket::http_response> on_http;

private:
    // What belongs to the execution context.
    struct io {
        explicit io(const ::asio::any_io_executor& executor)
            : ends(executor), idle(executor, sansocket::never) {}
        group ends;
        ::asio::steady_timer idle;
        std::vector<std::shared_ptr<any_listener>> listeners;
    };

    void context_gone() noexcept override;
    template <class Socket, class MakeStream>
    void take(Socket socket, const peer_address& peer, MakeStream& make_stream);
    std::optional<server_refusal> refusal_for(const peer_address& peer) const;
    bool refuse(const peer_address& peer, server_refusal why);
    void begin(websocket_type socket, const peer_address& peer, std::optional<server_refusal> over);
    void asked(const std::shared_ptr<entry>& e, std::error_code ec);
    void refuse_one_too_many(entry& e);
    void ask_while_connected(const std::shared_ptr<entry>& e);
    void ask_about_upgrade(const std::shared_ptr<entry>& e);
    void ask_about_http(const std::shared_ptr<entry>& e);
    void decided(const std::shared_ptr<entry>& e, const std::exception_ptr& failed,
                 const server_decision& decision);
    void answered(const std::shared_ptr<entry>& e, const std::exception_ptr& failed,
                  const sansocket::http_response& answer);
    void opened(const std::shared_ptr<entry>& e);
    void handler_failed(entry& e, const std::exception_ptr& failed);
    void released(const std::shared_ptr<entry>& e) noexcept;
    void await_end(const std::shared_ptr<entry>& e);
    void ended(entry& e);
    void fail(entry& e);
    void report(const peer_address& peer, const std::exception_ptr& failed);
    // A coroutine that was told that its client is gone may end in any way.
    void report_unless_over(const entry& e, const std::exception_ptr& failed) {
        if (e.websocket.state() == sansocket::connection_state::opening) report(e.peer, failed);
    }
    std::size_t& count_of(state s) noexcept;
    void move(entry& e, state to) noexcept;

    std::shared_ptr<const server_request> request_of(entry& e) const {
        return std::make_shared<server_request>(e.websocket.connection()->handshake()->request(),
                                                e.peer);
    }
    template <class Tell>
    void tell(Tell what) const {
        if (options_.observer != nullptr) what(*options_.observer);
    }

    ::asio::any_io_executor executor_;
    server_options options_;
    std::list<std::shared_ptr<entry>> entries_;
    address_counts addresses_;
    server_counters counters_;
    // How many entries are where.
    std::size_t opening_ = 0, refusing_ = 0, open_ = 0, ending_ = 0;
    std::size_t admitted_ = 0;  // entries that are not one too many
    bool stopping_ = false;
    std::optional<io> io_;  // nothing once the execution context is gone
};

template <class Stream, class Connection>
void server_state<Stream, Connection>::context_gone() noexcept {
    stopping_ = true;
    io_.reset();
    executor_ = {};  // a strand has its place in the context
}

template <class Stream, class Connection>
template <class Endpoint, class MakeStream>
Endpoint server_state<Stream, Connection>::listen(const Endpoint& at, const listen_options& how,
                                                  MakeStream make_stream, std::error_code& ec) {
    using listener_type = listener<typename Endpoint::protocol_type>;
    ec = sansocket::errc::closed;
    if (stopping_) return {};
    const auto weak = this->weak_from_this();
    const auto made = std::make_shared<listener_type>(
        executor_,
        typename listener_type::events{
            [weak, make_stream = std::move(make_stream)](typename listener_type::socket socket,
                                                         const peer_address& peer) mutable {
                if (const auto self = weak.lock()) self->take(std::move(socket), peer, make_stream);
            },
            [weak](std::error_code failed) {
                const auto self = weak.lock();
                if (!self) return;
                ++self->counters_.accept_errors;
                self->tell([&](auto& o) { o.accept_failed(failed); });
            }});
    ec = made->open(at, how);
    if (ec) return {};
    const Endpoint bound = made->endpoint(ec);
    io_->listeners.push_back(made);
    made->accept();
    return bound;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::close_listeners() noexcept {
    stopping_ = true;
    if (!io_) return;
    for (const auto& l : io_->listeners) l->close();
    io_->listeners.clear();
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::abandon() noexcept {
    options_.observer = nullptr;
    close_listeners();
    for (const auto& e : entries_) e->websocket.abort();
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::cancel_handlers() {
    for (const auto& e : entries_)
        if (e->state_ != state::ending) e->stop.emit(::asio::cancellation_type::terminal);
}

// A connection came.
template <class Stream, class Connection>
template <class Socket, class MakeStream>
void server_state<Stream, Connection>::take(Socket socket, const peer_address& peer,
                                            MakeStream& make_stream) {
    ++counters_.accepted;
    tell([&](auto& o) { o.accepted(peer); });
    const auto over = refusal_for(peer);
    if (over && !refuse(peer, *over)) return;
    std::optional<Stream> stream;
    try {
        stream.emplace(make_stream(std::move(socket)));
    } catch (...) {
        return report(peer, std::current_exception());
    }
    begin(websocket_type(std::move(*stream)), peer, over);
}

template <class Stream, class Connection>
std::optional<server_refusal> server_state<Stream, Connection>::refusal_for(
    const peer_address& peer) const {
    if (stopping_) return server_refusal::stopping;
    if (admitted_ >= options_.max_connections) return server_refusal::connections;
    const std::size_t most = options_.max_connections_per_address;
    if (most != 0 && addresses_.count(peer) >= most) return server_refusal::connections_per_address;
    return std::nullopt;
}

// Whether there is time to say so.
template <class Stream, class Connection>
bool server_state<Stream, Connection>::refuse(const peer_address& peer, server_refusal why) {
    switch (why) {
    case server_refusal::connections: ++counters_.refused_connections; break;
    case server_refusal::connections_per_address:
        ++counters_.refused_connections_per_address;
        break;
    case server_refusal::stopping: ++counters_.refused_stopping; break;
    }
    tell([&](auto& o) { o.refused(peer, why); });
    const bool answers = why != server_refusal::stopping && refusing_ < options_.max_refusals;
    if (!answers) ++counters_.refused_unanswered;
    return answers;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::begin(websocket_type socket, const peer_address& peer,
                                             std::optional<server_refusal> over) {
    const auto e = std::make_shared<entry>(std::move(socket), peer, over);
    if (!io_->ends.join(e->websocket)) return;
    if (!over) addresses_.add(peer);
    e->place = entries_.insert(entries_.end(), e);
    ++count_of(e->state_);
    if (!over) ++admitted_;
    sansocket::options options = options_.connection;
    if (on_http || over) options.decision = sansocket::request_decision::manual_with_http;
    auto begin = e->websocket.begin(options_.policy, options);
    wait_in_background(
        e->websocket.session_, begin_operation<detail::asked, decltype(begin)>{std::move(begin)},
        executor_,
        [self = this->shared_from_this(), e](std::error_code ec) { self->asked(e, ec); });
}

// Its request is here.
template <class Stream, class Connection>
void server_state<Stream, Connection>::asked(const std::shared_ptr<entry>& e, std::error_code ec) {
    if (e->refused_for) {
        if (!ec) refuse_one_too_many(*e);
        return await_end(e);
    }
    if (ec) {
        fail(*e);
        return await_end(e);
    }
    if (!e->websocket.connection()->request_is_upgrade()) return ask_about_http(e);
    if (on_request) return ask_about_upgrade(e);
    decided(e, nullptr, server_decision{});
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::refuse_one_too_many(entry& e) {
    const bool of_address = e.refused_for == server_refusal::connections_per_address;
    e.websocket.refuse(of_address ? 429 : 503, {},
                       of_address ? "There are too many connections from this address.\n"
                                  : "There are too many connections.\n");
}

// Who waits for an answer and is gone, or out of time, needs none: the application's coroutine is told.
template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_while_connected(const std::shared_ptr<entry>& e) {
    e->asking = true;
    wait_in_background(e->websocket.session_, decided_or_gone{}, executor_, [e](std::error_code) {
        if (e->asking) e->stop.emit(::asio::cancellation_type::terminal);
    });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_upgrade(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_request(executor_, e->stop.slot(), request_of(*e),
               [self = this->shared_from_this(), e](const std::exception_ptr& failed,
                                                    const server_decision& decision) {
                   self->decided(e, failed, decision);
               });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_http(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_http(executor_, e->stop.slot(), request_of(*e),
            [self = this->shared_from_this(), e](const std::exception_ptr& failed,
                                                 const sansocket::http_response& answer) {
                self->answered(e, failed, answer);
            });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::decided(const std::shared_ptr<entry>& e,
                                               const std::exception_ptr& failed,
                                               const server_decision& decision) {
    auto& ws = e->websocket;
    e->asking = false;
    const auto& [status, fields, body] = decision.answer();
    sansocket::errc ec = sansocket::errc::invalid_response;
    if (failed) report_unless_over(*e, failed);
    else if (!decision.accepts()) ec = ws.refuse(status, fields, body);
    else ec = ws.accept(decision.subprotocol().value_or(std::string{ws.subprotocol()}), fields);
    if (ec == sansocket::errc::ok && decision.accepts()) return opened(e);
    // What the application has made of it cannot be sent.
    if (ec != sansocket::errc::ok) ws.refuse(500);
    fail(*e);
    await_end(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::answered(const std::shared_ptr<entry>& e,
                                                const std::exception_ptr& failed,
                                                const sansocket::http_response& answer) {
    auto& ws = e->websocket;
    e->asking = false;
    if (failed) report_unless_over(*e, failed);
    const bool done =
        !failed && ws.respond(answer.status, answer.fields, answer.body) == sansocket::errc::ok;
    if (done) {
        ++counters_.http_answered;
        tell([&](auto& o) { o.http_answered(e->peer, answer.status); });
    } else {
        ws.refuse(500);
        fail(*e);
    }
    await_end(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::opened(const std::shared_ptr<entry>& e) {
    move(*e, state::open);
    e->was_open = true;
    ++counters_.opened;
    const auto self = this->shared_from_this();
    tell([&](auto& o) { o.opened(e->peer); });
    handle ws(&e->websocket, [self, e](websocket_type*) noexcept { self->released(e); });
    if (on_connection)
        on_connection(std::move(ws), e->stop.slot(), [self, e](const std::exception_ptr& failed) {
            self->handler_failed(*e, failed);
        });
}

// The operations of a connection that is over throw: that is how a coroutine ends.
template <class Stream, class Connection>
void server_state<Stream, Connection>::handler_failed(entry& e, const std::exception_ptr& failed) {
    const bool over = e.websocket.state() != sansocket::connection_state::open;
    try {
        std::rethrow_exception(failed);
    } catch (const std::system_error&) {
        if (over) return;
    } catch (...) {}
    e.code = sansocket::close_code::internal_error;
    report(e.peer, failed);
}

// Nobody holds it any more.
template <class Stream, class Connection>
void server_state<Stream, Connection>::released(const std::shared_ptr<entry>& e) noexcept {
    if (!io_) return;
    try {
        await_end(e);
    } catch (...) {
        e->websocket.abort();
    }
}

// Closes what is open, and waits for the transport.
template <class Stream, class Connection>
void server_state<Stream, Connection>::await_end(const std::shared_ptr<entry>& e) {
    if (!e->refused_for) move(*e, state::ending);  // else its place is taken to the end
    auto& ws = e->websocket;
    wait_in_background(ws.session_, shutdown_operation{e->code, {}}, executor_,
                       [self = this->shared_from_this(), e](std::error_code) { self->ended(*e); });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ended(entry& e) {
    const auto self = this->shared_from_this();
    const auto info = e.websocket.close_info();
    if (e.was_open) {
        counters_.count_end(info);
        counters_.count_websocket(e.websocket.counters(), e.websocket.dropped_messages());
        e.was_open = false;  // and not twice
        tell([&](auto& o) { o.closed(e.peer, info); });
    }
    --count_of(e.state_);
    if (!e.refused_for) {
        --admitted_;
        addresses_.remove(e.peer);
    }
    const auto last = *e.place;
    entries_.erase(last->place);
    if (io_ && entries_.empty()) io_->idle.cancel();
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::fail(entry& e) {
    const sansocket::errc cause = e.websocket.close_info().cause;
    counters_.count_failure(cause);
    tell([&](auto& o) { o.handshake_failed(e.peer, cause); });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::report(const peer_address& peer,
                                              const std::exception_ptr& failed) {
    ++counters_.handler_errors;
    tell([&](auto& o) { o.handler_failed(peer, failed); });
}

template <class Stream, class Connection>
std::size_t& server_state<Stream, Connection>::count_of(state s) noexcept {
    switch (s) {
    case state::opening: return opening_;
    case state::refusing: return refusing_;
    case state::open: return open_;
    case state::ending: break;
    }
    return ending_;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::move(entry& e, state to) noexcept {
    --count_of(e.state_);
    e.state_ = to;
    ++count_of(to);
}

}  // namespace sansocket_asio::detail
