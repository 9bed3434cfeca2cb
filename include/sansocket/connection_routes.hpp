// connection_routes.hpp
//
// How `connection` hands values from one state machine to the next. The
// contract is in connection.hpp; a decision that needs more than a line here
// belongs in a machine.
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/connection.hpp>
#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/bytes_of.hpp>

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(const sansocket::options& options,
                                                                Queue queue, own_keys keys,
                                                                time_point now,
                                                                const source_location& where)
    : close_timeout_(options.close_timeout),
      close_delay_(options.close_delay),
      after_close_(options.after_close),
      decision_(options.decision),
      messages_(options.messages),
      inflater_(options.deflate),
      deflater_(options.deflate),
      queue_(std::move(queue)),
      writer_(options.check_sent_text, options.sending.fragment_bytes),
      out_(options.sending),
      keepalive_(options.keepalive),
      keys_(std::move(keys)),
      diagnostics_(options.diagnostics, Role, now, where) {
    shutdown_.arm(now, options.opening_timeout);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(
    const client_request& request, Keys keys, time_point now, const sansocket::options& options,
    Queue queue, const source_location& where) requires(Role == role::client)
    : connection(options, std::move(queue), std::move(keys), now, where) {
    std::array<std::byte, 16> nonce;
    for (std::size_t i = 0; i != nonce.size(); i += 4) {
        const masking_key key = keys_();
        detail::copy_bytes({key.data(), key.size()}, nonce.data() + i);
    }
    opening_ = std::make_unique<opening_handshake>(request, nonce, options.http,
                                                   wants_with<Deflate>(options.deflate));
    if (opening_->error() != errc::ok) end(opening_->error());
    else out_.push_raw(detail::bytes_of(opening_->request()));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(
    const server_policy& policy, time_point now, const sansocket::options& options, Queue queue,
    const source_location& where) requires(Role == role::server)
    : connection(options, std::move(queue), no_keys{}, now, where) {
    const auto plain = options.decision == request_decision::manual_with_http ? plain_http::allowed
                                                                              : plain_http::refused;
    if constexpr (deflates)
        opening_ = std::make_unique<opening_handshake>(policy, options.http,
                                                       wants_with<Deflate>(options.deflate), plain);
    else opening_ = std::make_unique<opening_handshake>(policy, options.http, plain);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection<Role, Queue, Keys, Diagnostics, Deflate>::connection(connection&& other) noexcept
    : counters_(other.counters_),
      close_timeout_(other.close_timeout_),
      close_delay_(other.close_delay_),
      after_close_(other.after_close_),
      decision_(other.decision_),
      phase_(other.phase_),
      opening_(std::move(other.opening_)),
      frames_(other.frames_),
      messages_(std::move(other.messages_)),
      inflater_(std::move(other.inflater_)),
      deflater_(std::move(other.deflater_)),
      queue_(std::move(other.queue_)),
      writer_(other.writer_),
      out_(std::move(other.out_)),
      close_(std::move(other.close_)),
      keepalive_(other.keepalive_),
      shutdown_(other.shutdown_),
      keys_(std::move(other.keys_)),
      diagnostics_(std::move(other.diagnostics_)) {
    other.shutdown_.abort();
    other.end(errc::aborted);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
auto connection<Role, Queue, Keys, Diagnostics, Deflate>::operator=(connection&& other) noexcept
    -> connection& {
    if (this != &other) {
        std::destroy_at(this);
        std::construct_at(this, std::move(other));
    }
    return *this;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
std::size_t connection<Role, Queue, Keys, Diagnostics, Deflate>::receive(std::span<std::byte> bytes,
                                                                         time_point now) {
    std::span<std::byte> in = bytes;
    unless_done given_up{*this};
    diagnostics_.at(now);
    diagnostics_.received(bytes);
    keepalive_.received(now);
    if (opening()) receive_opening(in, now);
    if (!opening()) {
        if (reads_frames()) receive_frames(in, now);
        if (!reads_frames()) {  // 1.4, 7.1.7: nothing after the Close or the failure counts
            close_.discard(in.size());
            in = {};
        }
    }
    given_up.done = true;
    const std::size_t taken = bytes.size() - in.size();
    counters_.bytes_received += taken;
    counters_.most_queued_bytes = detail::larger_of(counters_.most_queued_bytes, queue_.bytes());
    return taken;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_opening(std::span<std::byte>& in,
                                                                          time_point now) {
    const auto [consumed, ec] = opening_->receive(in);
    in = in.subspan(consumed);
    if (ec == errc::need_more) return;
    if constexpr (is_client) {
        if (ec != errc::ok) return end(ec);
    } else {
        if (ec != errc::ok) return refuse_opening(ec, opening_->response(), now);
        if (decision_ != request_decision::automatic) return;
        std::string response;
        if (const errc no = opening_->accept(response); no != errc::ok)
            return refuse_opening(no, error_response(no), now);
        out_.push_raw(detail::bytes_of(response));
    }
    opened(now);
}

// A refusal stays the cause where the rest of its body does not come.
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::unless_refused(errc cause) noexcept {
    if constexpr (is_client) return opening() ? opening_->end(cause) : cause;
    else return cause;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::opened(time_point now) {
    phase_ = opening_phase::done;
    if constexpr (deflates) start_deflate();
    shutdown_.disarm();
    keepalive_.start(now);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_frames(std::span<std::byte>& in,
                                                                         time_point now) {
    const std::uint64_t earlier = messages_.count();
    while (!in.empty()) {
        if (queue_.paused() && close_.state() == close_state::open) return keepalive_.suspend();
        piece_type piece;
        if (const errc ec = frames_.next(in, piece); ec != errc::ok) [[unlikely]] {
            if (ec != errc::need_more) fail(ec, now);
            return;
        }
        if (is_control(piece.opcode)) [[unlikely]]
            receive_control(piece, messages_.count() != earlier, now);
        else receive_data(piece, now);
        if (!reads_frames()) [[unlikely]]
            return;
    }
    if (queue_.paused() && close_.state() == close_state::open) keepalive_.suspend();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
SANSOCKET_ALWAYS_INLINE void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_data(
    const piece_type& piece, time_point now) {
    if (close_.state() != close_state::open) [[unlikely]] {
        if (queue_.paused())
            after_close_ = after_close::discard;  // closing is never paused: bounded
        if (after_close_ == after_close::discard) {
            queue_.abandon();
            return close_.discard(piece.payload.size());
        }
    }
    errc ec{};
    if constexpr (deflates)
        ec = messages_.receive(piece, queue_, inflater_, keepalive_.last_received());
    else ec = messages_.receive(piece, queue_, keepalive_.last_received());
    if (ec != errc::ok) [[unlikely]]
        fail(ec, now);
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::receive_control(const frame_piece& piece,
                                                                          bool behind_messages,
                                                                          time_point now) {
    const auto payload = messages_.receive_control(piece);
    if (!payload) return;
    if (piece.opcode == opcode::close) return receive_close(*payload, behind_messages, now);
    if (piece.opcode == opcode::pong) {
        ++counters_.pongs_received;
        if (const auto took = keepalive_.pong(*payload, now)) {
            counters_.count_round_trip(*took);
            out_.shrink();  // of the room that the Ping took
        }
        return;
    }
    // 5.5.2: "MUST send a Pong frame in response, unless it already received a Close frame."
    if (out_.push_control(opcode::pong, *payload, key_source()()) == errc::ok)
        ++counters_.pings_answered;
}

// The answer is flushed, and the client given time to read it, before the transport goes.
template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::refuse_opening(errc cause,
                                                                         std::string_view response,
                                                                         time_point now) {
    out_.push_raw(detail::bytes_of(response));
    phase_ = opening_phase::failed;
    close_.fail(cause, false, std::nullopt, {});
    shutdown_.disarm();
    shutdown_.arm(now, close_timeout_);
    queue_.end(cause);
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::shrink() noexcept {
    messages_.shrink();
    queue_.shrink();
    out_.shrink();
    if constexpr (deflates) inflater_.shrink(), deflater_.shrink();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::advance(time_point now) {
    diagnostics_.at(now);
    keepalive_.told(now);
    if (close_is_next() ||
        (close_.state() == close_state::received && now >= shutdown_.deadline())) {
        unless_done given_up{*this};
        answer_close(now);
        given_up.done = true;
        return;
    }
    if (now >= shutdown_.deadline()) {
        if (!shutdown_.expire(phase(), out_.empty()))
            end(opening() ? unless_refused(errc::opening_timeout) : errc::close_timeout);
        return;
    }
    if (keepalive_.state() == keepalive_state::suspended && !queue_.paused()) {
        keepalive_.resume(now);
        messages_.resume(now);
    }
    const auto [ping, ec] = keepalive_.advance(now, !out_.empty());
    if (ping) {
        shrink();  // so long a silence is idleness
        if (out_.push_control(opcode::ping, keepalive_.payload(), key_source()()) == errc::ok)
            ++counters_.pings_sent;
    }
    if (ec != errc::ok) return give_up(ec);
    if (close_.state() != close_state::open || now < messages_.deadline(queue_)) return;
    unless_done given_up{*this};
    fail(errc::message_too_slow, now);
    given_up.done = true;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
time_point connection<Role, Queue, Keys, Diagnostics, Deflate>::next_deadline() const noexcept {
    if (keepalive_.state() == keepalive_state::suspended && !queue_.paused()) return immediately;
    if (close_is_next()) return immediately;
    time_point due =
        detail::smaller_of(shutdown_.deadline(), keepalive_.next_deadline(!out_.empty()));
    if (messages_.inside_message() && close_.state() == close_state::open) [[unlikely]]
        due = detail::smaller_of(due, messages_.deadline(queue_));
    return due;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::consume_output(std::size_t n,
                                                                         time_point now) {
    diagnostics_.at(now);
    counters_.bytes_sent += n;
    counters_.most_output_bytes = detail::larger_of(counters_.most_output_bytes, out_.bytes());
    out_.consume(n);
    if (n != 0) keepalive_.written(!out_.empty(), now);
    if (close_.state() == close_state::open || !out_.data_empty() || out_.stopped()) return;
    close_.flush();
    changed();
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::accept(
    std::string_view subprotocol, std::span<const http_field_value> fields,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->accept(subprotocol, fields, response); ec != errc::ok) return ec;
    unless_done given_up{*this};
    out_.push_raw(detail::bytes_of(response));
    opened(now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::refuse(
    std::uint16_t status, std::span<const http_field_value> fields, std::string_view body,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->refuse(status, fields, body, response); ec != errc::ok) return ec;
    unless_done given_up{*this};
    refuse_opening(errc::refused_by_application, response, now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::respond(
    std::uint16_t status, std::span<const http_field_value> fields, std::string_view body,
    time_point now) requires(Role == role::server) {
    if (!deciding()) return errc::not_deciding;
    diagnostics_.at(now);
    std::string response;
    if (const errc ec = opening_->respond(status, fields, body, response); ec != errc::ok)
        return ec;
    unless_done given_up{*this};
    refuse_opening(errc::http_answered, response, now);
    given_up.done = true;
    return errc::ok;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::request_is_upgrade() const noexcept {
    if constexpr (is_client) return false;
    else return deciding() && opening_->state() == server_handshake_state::deciding;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
connection_counters connection<Role, Queue, Keys, Diagnostics, Deflate>::counters() const noexcept {
    connection_counters c;
    c.bytes_received = counters_.bytes_received;
    c.bytes_sent = counters_.bytes_sent;
    c.messages_received = messages_.count();
    c.messages_sent = writer_.count();
    c.pings_sent = counters_.pings_sent;
    c.pings_answered = counters_.pings_answered;
    c.pongs_received = counters_.pongs_received;
    c.round_trips = counters_.round_trips;
    c.round_trip_sum = counters_.round_trip_sum;
    c.longest_round_trip = counters_.longest_round_trip;
    c.most_queued_bytes = counters_.most_queued_bytes;
    c.most_output_bytes = detail::larger_of(counters_.most_output_bytes, out_.bytes());
    return c;
}

}  // namespace sansocket
