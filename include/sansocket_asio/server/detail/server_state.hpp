// server_state.hpp
//
// What a server does, on its executor: takes connections from its listeners, has
// the application answer their requests, hands what opens to the handler, and
// waits for the end of each transport. All that it has begun keeps it alive.
//
//   take -> asked -> accepted -> the handler -> released -> ended
//                    refused, answered ------------------>
//
// What becomes of each connection stands in server_steps.hpp. Where there is no
// memory for a step, its connection ends, and no other.
//
// Where the execution context is destroyed first, what belongs to it goes with
// it, and nothing is begun any more.
#pragma once

#include <sansocket_asio/detail/context_watch.hpp>
#include <sansocket_asio/detail/wait_op.hpp>
#include <sansocket_asio/server/counters.hpp>
#include <sansocket_asio/server/detail/address_counts.hpp>
#include <sansocket_asio/server/detail/handlers.hpp>
#include <sansocket_asio/server/detail/listener.hpp>
#include <sansocket_asio/server/detail/proxy_header_op.hpp>
#include <sansocket_asio/server/detail/server_entry.hpp>
#include <sansocket_asio/server/detail/server_step.hpp>
#include <sansocket_asio/server/detail/trusted_proxies.hpp>
#include <sansocket_asio/server/observer.hpp>
#include <sansocket_asio/server/request.hpp>
#include <sansocket_asio/server_options.hpp>
#include <sansocket_asio/websocket.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/execution/context.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
class server_state final : public std::enable_shared_from_this<server_state<Stream, Connection>>,
                           private context_watcher {
public:
    using websocket_type = websocket<sansocket::role::server, Stream, Connection>;
    using handle = std::shared_ptr<websocket_type>;
    using entry = server_entry<websocket_type>;
    using state = typename entry::state;

    server_state(const ::asio::any_io_executor& executor, server_options&& options)
        : executor_(executor),
          options_(std::move(options)),
          proxies_(options_.trusted_proxies.read()),
          io_(std::in_place, executor) {
        if (options_.proxy_header == proxy_protocol::required && !takes_proxy_header<Stream>)
            throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                                    "PROXY header on this stream");
        options_.connection.decision = sansocket::request_decision::manual;
        const ::asio::generic::stream_protocol::socket services_first(executor);  // to outlive it
        this->watch(::asio::query(executor, ::asio::execution::context));
    }

    // Makes a stream of each socket that is accepted there, which is one of `Protocol`.
    template <class Protocol, class Endpoint, class MakeStream>
    Endpoint listen(const Endpoint& at, const listen_options& how, MakeStream make_stream,
                    std::error_code& ec);
    void close_listeners() noexcept;
    // Nobody waits for the end.
    void abandon() noexcept;
    void cancel_handlers();

    // What a stop does, and asks.
    bool stopping() const noexcept { return stopping_; }
    bool idle() const noexcept { return entries_.empty(); }
    // 1001 to what is open, 503 to what is opening.
    void close_connections() noexcept;
    // What has not ended yet, does. Their handlers return, or do not.
    void abort_connections(sansocket::errc cause) noexcept {
        for (const auto& e : entries_)
            if (e->websocket.session_) e->websocket.session_->abort(cause);
    }
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
                call(function, *e);
    }

    connection_handler<websocket_type, peer_address> on_connection;
    template <class Handler>
    void on_request(Handler handler) {
        on_request_ = std::move(handler);
        ask_about_upgrade_ = &server_state::ask_about_upgrade;
    }
    template <class Handler>
    void on_http(Handler handler) {
        on_http_ = std::move(handler);
        ask_about_http_ = &server_state::ask_about_http;
    }

private:
    // What belongs to the execution context.
    struct io {
        explicit io(const ::asio::any_io_executor& executor) : idle(executor, sansocket::never) {}
        ::asio::steady_timer idle;
        std::shared_ptr<any_listener> listeners;
    };

    // What a listener tells it.
    template <class Protocol, class MakeStream>
    class accepting final : public listener<Protocol>::owner {
    public:
        accepting(std::weak_ptr<server_state> state, MakeStream make_stream)
            : state_(std::move(state)), make_stream_(std::move(make_stream)) {}
        void accepted(typename Protocol::socket connected, const peer_address& from) override {
            if (const auto self = state_.lock())
                self->take(std::move(connected), from, make_stream_);
        }
        void failed(std::error_code ec) override {
            const auto self = state_.lock();
            if (!self) return;
            ++self->counters_.accept_errors;
            self->tell([&](auto& o) { o.accept_failed(ec); });
        }

    private:
        std::weak_ptr<server_state> state_;
        MakeStream make_stream_;
    };

    using guard = step_guard<server_state, entry>;
    using step = server_step<server_state, entry>;
    friend guard;
    friend step;

    void context_gone() noexcept override;
    template <class Socket, class MakeStream>
    void take(Socket socket, const peer_address& peer, MakeStream& make_stream);
    std::optional<server_refusal> refusal_for(const peer_address& peer) const;
    bool is_full(const peer_address& client) const;
    bool refuse(const peer_address& peer, server_refusal why);
    void begin(Stream stream, const peer_address& peer, std::optional<server_refusal> over);

    // Whether more will be heard of where a connection comes from.
    bool will_tell(const peer_address& peer) const noexcept {
        return will_tell_first(peer) || will_tell_in_request(peer);
    }
    bool will_tell_first(const peer_address& peer) const noexcept {
        return options_.proxy_header == proxy_protocol::required && proxies_.trusts(peer);
    }
    bool will_tell_in_request(const peer_address& peer) const noexcept {
        return options_.forwarded != sansocket::forwarded_field::none && proxies_.trusts(peer);
    }

    // Steps.
    void read(const std::shared_ptr<entry>& e);
    void read_proxy_header(const std::shared_ptr<entry>& e);
    void has_proxy_header(entry& e, const sansocket::proxy_header& header, sansocket::errc ec);
    void look_at_head(entry& e);
    void identified(entry& e, const peer_address& client, sansocket::errc ec);
    void count_address(entry& e);
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
    void await_end(const std::shared_ptr<entry>& e);
    void ended(const std::shared_ptr<entry>& e, std::error_code = {});
    void lost(const std::shared_ptr<entry>& e) noexcept;
    // A step that throws, which is for want of memory, is the end of its connection.
    template <class What>
    void attempt(const std::shared_ptr<entry>& e, What what) noexcept {
        if (!io_ || e->gone) return;
        try {
            what();
        } catch (...) {
            lost(e);
        }
    }

    // What it ended with; one that has not begun was aborted.
    static sansocket::errc cause_of(const entry& e) noexcept {
        const auto* const core = e.websocket.connection();
        return core == nullptr ? sansocket::errc::aborted : core->close_info().cause;
    }
    void fail(const peer_address& client, sansocket::errc cause, std::error_code transport_error);
    void fail(const entry& e) { fail(e.client, cause_of(e), e.websocket.transport_error()); }
    void report(const peer_address& client, const std::exception_ptr& failed);
    // A coroutine that was told that its client is gone may end in any way.
    void report_unless_over(const entry& e, const std::exception_ptr& failed) {
        if (e.websocket.state() == sansocket::connection_state::opening) report(e.client, failed);
    }
    std::size_t& count_of(state s) noexcept;
    void move(entry& e, state to) noexcept;

    std::shared_ptr<const server_request> request_of(entry& e) const {
        return std::make_shared<server_request>(e.websocket.connection()->handshake()->request(),
                                                e.peer, e.client);
    }
    template <class Function>
    static void call(Function& function, entry& e) {
        if constexpr (std::is_invocable_v<Function&, websocket_type&, const peer_address&>)
            function(e.websocket, std::as_const(e.client));
        else function(e.websocket);
    }
    template <class Tell>
    void tell(Tell what) const {
        if (options_.observer != nullptr) what(*options_.observer);
    }

    request_handler<server_request, server_decision> on_request_;
    request_handler<server_request, sansocket::http_response> on_http_;
    // Null where there is no such handler: only who has one compiles what asks it.
    using asks = void (server_state::*)(const std::shared_ptr<entry>&);
    asks ask_about_upgrade_ = nullptr, ask_about_http_ = nullptr;

    ::asio::any_io_executor executor_;
    server_options options_;
    trusted_proxies proxies_;
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
    close_listeners();
    io_.reset();
    executor_ = {};  // a strand has its place in the context
}

template <class Stream, class Connection>
template <class Protocol, class Endpoint, class MakeStream>
Endpoint server_state<Stream, Connection>::listen(const Endpoint& at, const listen_options& how,
                                                  MakeStream make_stream, std::error_code& ec) {
    using listener_type = listener<Protocol>;
    ec = sansocket::errc::closed;
    if (stopping_) return {};
    const auto made = std::make_shared<listener_type>(
        executor_, std::make_unique<accepting<Protocol, MakeStream>>(this->weak_from_this(),
                                                                     std::move(make_stream)));
    ec = made->open(at, how);
    if (ec) return {};
    const auto bound = made->template endpoint<Endpoint>(ec);
    made->next = std::exchange(io_->listeners, made);
    made->accept();
    return bound;
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::close_listeners() noexcept {
    stopping_ = true;
    if (!io_) return;
    while (const auto l = std::move(io_->listeners)) {
        l->close();
        io_->listeners = std::move(l->next);
    }
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::abandon() noexcept {
    options_.observer = nullptr;
    close_listeners();
    abort_connections(sansocket::errc::aborted);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::close_connections() noexcept {
    for (const auto& e : entries_) {
        try {
            e->websocket.change([](auto& core) {
                return core.close(sansocket::close_code::going_away, {},
                                  websocket_type::session::now());
            });
        } catch (...) {  // no memory
            e->websocket.abort();
        }
    }
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
    try {
        begin(std::move(*stream), peer, over);
    } catch (...) {  // no memory
        if (!over) fail(peer, sansocket::errc::aborted, {});
    }
}

template <class Stream, class Connection>
std::optional<server_refusal> server_state<Stream, Connection>::refusal_for(
    const peer_address& peer) const {
    if (stopping_) return server_refusal::stopping;
    if (admitted_ >= options_.max_connections) return server_refusal::connections;
    if (!will_tell(peer) && is_full(peer)) return server_refusal::connections_per_address;
    return std::nullopt;
}

template <class Stream, class Connection>
bool server_state<Stream, Connection>::is_full(const peer_address& client) const {
    const std::size_t most = options_.max_connections_per_address;
    return most != 0 && addresses_.count(client) >= most;
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

// Either it is in the list, and goes on or ends there, or it throws.
template <class Stream, class Connection>
void server_state<Stream, Connection>::begin(Stream stream, const peer_address& peer,
                                             std::optional<server_refusal> over) {
    const auto e = std::make_shared<entry>(websocket_type(std::move(stream)), peer, over);
    if (stopping_) return;
    e->place = entries_.insert(entries_.end(), e);
    ++count_of(e->state_);
    if (!over) ++admitted_;
    attempt(e, [&] { read(e); });
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

#include <sansocket_asio/server/detail/server_steps.hpp>
