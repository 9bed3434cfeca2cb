// server_steps.hpp
//
// What becomes of a server's connection: who it is for, what is answered to its
// request, who has it then, and its end. The contract is in server_state.hpp.
#pragma once

#include <sansocket_asio/server/detail/server_state.hpp>

namespace sansocket_asio::detail {

// Its request, behind the word of a proxy if there is to be one. Both have the handshake's time.
template <class Stream, class Connection>
void server_state<Stream, Connection>::read(const std::shared_ptr<entry>& e) {
    auto& ws = e->websocket;
    const bool header_first = will_tell_first(e->peer);
    e->identified = !will_tell(e->peer);
    if (e->identified && !e->refused_for) count_address(*e);
    sansocket::options options = options_.connection;
    if (ask_about_http_ || e->refused_for)
        options.decision = sansocket::request_decision::manual_with_http;
    ws.begin_now(!header_first, options_.policy, std::move(options));
    wait_in_background(ws.session_, step_operation<detail::asked>{}, executor_,
                       step(this->shared_from_this(), e, &server_state::asked));
    if (header_first) read_proxy_header(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::read_proxy_header(const std::shared_ptr<entry>& e) {
    if constexpr (takes_proxy_header<Stream>) {
        using operation = proxy_header_op<typename websocket_type::session>;
        const auto reads = [self = this->shared_from_this(),
                            e](const sansocket::proxy_header& header, sansocket::errc ec) {
            self->attempt(e, [&] { self->has_proxy_header(*e, header, ec); });
        };
        operation::start(e->websocket.session_, proxies_, reads);
    }
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::has_proxy_header(entry& e,
                                                        const sansocket::proxy_header& header,
                                                        sansocket::errc ec) {
    auto& session = *e.websocket.session_;
    if (ec != sansocket::errc::ok) {
        session.core_->transport_lost(session.now(), ec);
        return session.drive();
    }
    const peer_address client = trusted_proxies::client_of(header, e.peer);
    e.client = client;
    if (!will_tell_in_request(client)) identified(e, client, sansocket::errc::ok);
    session.start();
}

// A head that is not complete may lack what a proxy wrote at its end.
template <class Stream, class Connection>
void server_state<Stream, Connection>::look_at_head(entry& e) {
    const auto* const handshake = e.websocket.connection()->handshake();
    if (e.identified || handshake == nullptr || !handshake->has_request()) return;
    const auto [client, ec] =
        proxies_.client_of(handshake->request(), options_.forwarded, e.client);
    identified(e, client, ec);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::identified(entry& e, const peer_address& client,
                                                  sansocket::errc ec) {
    e.identified = true;
    e.client = client;
    if (ec != sansocket::errc::ok) ++counters_.forwarded_invalid;
    tell([&](auto& o) { o.identified(e.peer, client, ec); });
    if (e.refused_for) return;
    if (!is_full(client)) return count_address(e);
    --admitted_;
    e.refused_for = server_refusal::connections_per_address;
    const bool answers = refuse(client, *e.refused_for);
    move(e, state::refusing);
    if (!answers) e.websocket.abort();
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::count_address(entry& e) {
    addresses_.add(e.client);
    e.counted = true;
}

// Its request is here.
template <class Stream, class Connection>
void server_state<Stream, Connection>::asked(const std::shared_ptr<entry>& e, std::error_code ec) {
    look_at_head(*e);
    if (e->refused_for) {
        if (!ec) refuse_one_too_many(*e);
        return await_end(e);
    }
    if (ec) {
        fail(*e);
        return await_end(e);
    }
    if (!e->websocket.connection()->request_is_upgrade()) return (this->*ask_about_http_)(e);
    if (ask_about_upgrade_) return (this->*ask_about_upgrade_)(e);
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
    wait_in_background(e->websocket.session_, step_operation<decided_or_gone>{}, executor_,
                       [e](std::error_code) {
                           if (e->asking) e->stop.emit(::asio::cancellation_type::terminal);
                       });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_upgrade(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_request_(executor_, e->stop.slot(), request_of(*e),
                [guard = std::make_shared<guard>(this->shared_from_this(), e)](
                    const std::exception_ptr& failed, const server_decision& decision) {
                    (*guard)(
                        [&](auto& self, const auto& of) { self.decided(of, failed, decision); });
                });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::ask_about_http(const std::shared_ptr<entry>& e) {
    ask_while_connected(e);
    on_http_(executor_, e->stop.slot(), request_of(*e),
             [guard = std::make_shared<guard>(this->shared_from_this(), e)](
                 const std::exception_ptr& failed, const sansocket::http_response& answer) {
                 (*guard)([&](auto& self, const auto& of) { self.answered(of, failed, answer); });
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
        tell([&](auto& o) { o.http_answered(e->client, answer.status); });
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
    tell([&](auto& o) { o.opened(e->client); });
    handle ws(&e->websocket, [self, e](websocket_type*) noexcept {
        self->attempt(e, [&] { self->await_end(e); });  // nobody holds it any more
    });
    if (on_connection)
        on_connection(
            std::move(ws), e->client, e->stop.slot(),
            [self, e](const std::exception_ptr& failed) { self->handler_failed(*e, failed); });
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
    report(e.client, failed);
}

// Closes what is open, and waits for the transport.
template <class Stream, class Connection>
void server_state<Stream, Connection>::await_end(const std::shared_ptr<entry>& e) {
    if (!e->refused_for) move(*e, state::ending);  // else its place is taken to the end
    wait_in_background(e->websocket.session_, shutdown_operation{e->code, {}}, executor_,
                       step(this->shared_from_this(), e, &server_state::ended));
}

// Out of the list. Allocates nothing.
template <class Stream, class Connection>
void server_state<Stream, Connection>::ended(const std::shared_ptr<entry>& e, std::error_code) {
    e->gone = true;
    if (e->was_open) {
        const auto& info = e->websocket.connection()->close_info();
        counters_.count_end(info);
        counters_.count_websocket(e->websocket.counters(), e->websocket.dropped_messages());
        e->was_open = false;  // and not twice
        tell([&](auto& o) {
            const auto& ws = e->websocket;
            o.closed(e->client, {info, ws.transport_error(), ws.connection()->explain()});
        });
    }
    --count_of(e->state_);
    if (!e->refused_for) --admitted_;
    if (e->counted) addresses_.remove(e->client);
    entries_.erase(e->place);
    if (io_ && entries_.empty()) io_->idle.cancel();
}

// Nothing will come back to it: it ends here.
template <class Stream, class Connection>
void server_state<Stream, Connection>::lost(const std::shared_ptr<entry>& e) noexcept {
    if (!io_ || e->gone) return;
    e->websocket.abort();
    if (e->state_ == state::opening) fail(*e);
    ended(e);
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::fail(const peer_address& client, sansocket::errc cause,
                                            std::error_code transport_error) {
    counters_.count_failure(cause);
    tell([&](auto& o) { o.handshake_failed(client, cause, transport_error); });
}

template <class Stream, class Connection>
void server_state<Stream, Connection>::report(const peer_address& client,
                                              const std::exception_ptr& failed) {
    ++counters_.handler_errors;
    tell([&](auto& o) { o.handler_failed(client, failed); });
}

}  // namespace sansocket_asio::detail
