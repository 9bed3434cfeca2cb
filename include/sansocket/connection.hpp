// connection.hpp                                                    start reading here
//
// One endpoint of a WebSocket connection, client or server, without any I/O.
// It hands values from one state machine to the next and decides nothing.
//
//   transport bytes -> frame_reader -> message_reader -> message queue -> you
//   you -> send_queue -> transport bytes
//   beside them: client_handshake or server_handshake, close_handshake, keepalive
//
// Four kinds of call:
//   the outside did something   receive, receive_end, transport_lost, advance
//   you want something          send_*, start/append/finish, close, abort, accept, refuse,
//                              respond
//   you take                    messages(), output() + consume_output(), next_deadline()
//   queries                     all else: noexcept, an answer in every state, moved-from too
//
// Where an allocation throws, the call has changed nothing, or what it began has a
// deadline, or the connection is over: none is left hanging.
//
// **After every call that may change something, write `output()`, do what
// `wants_shutdown()` says, and wait no longer than `next_deadline()`.**
//
//   1. while `wants_write()`: write output() and say consume_output(n, now)
//   2. `wants_shutdown()`: half close, close or abort the transport
//   3. if `wants_read()`: read; receive(bytes, now) until it takes no more; or
//      receive_end(now) at the end of the stream; or transport_lost(now)
//   4. at `next_deadline()`: advance(now)
//   5. take messages().pop() whenever you like, until it gives nothing: then you are done with the
//      last one, and a Close that came behind it is answered
//
// Section numbers in this file refer to RFC 6455.
#pragma once

#include <sansocket/detail/bytes_of.hpp>
#include <sansocket/detail/config.hpp>
#include <sansocket/diagnostics.hpp>
#include <sansocket/machine/client_handshake.hpp>
#include <sansocket/machine/close_handshake.hpp>
#include <sansocket/machine/deflate_codec_concept.hpp>
#include <sansocket/machine/frame_reader.hpp>
#include <sansocket/machine/keepalive.hpp>
#include <sansocket/machine/message_deflater.hpp>
#include <sansocket/machine/message_inflater.hpp>
#include <sansocket/machine/message_queue.hpp>
#include <sansocket/machine/message_reader.hpp>
#include <sansocket/machine/message_writer.hpp>
#include <sansocket/machine/send_queue.hpp>
#include <sansocket/machine/server_handshake.hpp>
#include <sansocket/machine/transport_shutdown.hpp>
#include <sansocket/masking_keys.hpp>
#include <sansocket/options.hpp>
#include <sansocket/prepared_message.hpp>
#include <sansocket/snapshot.hpp>
#include <sansocket/wire/close_info.hpp>
#include <sansocket/wire/close_payload.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/message.hpp>
#include <sansocket/wire/role.hpp>
#include <sansocket/wire/time.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sansocket {

/// One endpoint of a connection.
///
/// @tparam Role   client or server.
/// @tparam Queue  where messages go: a model of `message_queue_for_connection`.
/// @tparam Keys   a client's source of masking keys: a model of `masking_key_source`.
/// @tparam Diagnostics  `no_diagnostics` or `with_diagnostics`; by default that of the build.
/// @tparam Deflate  a codec for permessage-deflate: a model of `deflate_codec`. By default none.
template <role Role, class Queue = message_queue<>, class Keys = chacha_keys,
          class Diagnostics = default_diagnostics, class Deflate = no_deflate>
class connection {
    static_assert(detail::check_message_queue<Queue>());
    static_assert(masking_key_source<Keys>);
    static_assert(detail::check_deflate_codec<Deflate>());
    static constexpr bool is_client = Role == role::client;
    static constexpr bool deflates = Deflate::enabled;
    struct no_keys {};
    enum class opening_phase : std::uint8_t { running, done, failed };
    using opening_handshake = std::conditional_t<is_client, client_handshake, server_handshake>;
    using reader_type = frame_reader<Role, deflates ? rsv1::compressed : rsv1::reserved>;
    using piece_type = typename reader_type::piece_type;

public:
    static constexpr role endpoint_role = Role;  ///< Whose end it is.
    using queue_type = Queue;                    ///< Where messages go.
    using diagnostics_type = Diagnostics;        ///< What watches it.
    using deflate_type = Deflate;                ///< What compresses, or nothing.

    /// A client that asks for `request`. Its output is the opening handshake. 4.1.
    ///
    /// @param keys   a fresh source of unpredictable bytes: the handshake's key and all masking keys.
    /// @param where  its creation, for diagnostics.
    connection(
        const client_request& request, Keys keys, time_point now,
        const sansocket::options& options = {},
        const source_location& where =
            source_location::current()) requires(Role == role::client &&
                                                 std::constructible_from<Queue, queue_limits>)
        : connection(request, std::move(keys), now, options, Queue(options.queue), where) {}
    connection(const client_request& request, Keys keys, time_point now,
               const sansocket::options& options, Queue queue,
               const source_location& where = source_location::current()) requires(Role ==
                                                                                   role::client);

    /// A server that waits for a request and judges it by `policy`. 4.2.
    connection(
        const server_policy& policy, time_point now, const sansocket::options& options = {},
        const source_location& where =
            source_location::current()) requires(Role == role::server &&
                                                 std::constructible_from<Queue, queue_limits>)
        : connection(policy, now, options, Queue(options.queue), where) {}
    connection(const server_policy& policy, time_point now, const sansocket::options& options,
               Queue queue,
               const source_location& where = source_location::current()) requires(Role ==
                                                                                   role::server);

    /// What is moved from is closed, and answers every query.
    connection(connection&& other) noexcept;
    connection& operator=(connection&& other) noexcept;
    /// Diagnostics tell of it if the connection was open or closing.
    ~connection() { report_leak(); }

    // The outside did something.

    /// Bytes came from the transport. 5.2.
    ///
    /// @param bytes  unmasked where they lie; not looked at after the call.
    /// @return how many were taken: all, unless the message queue is full (`wants_read()` is false),
    ///         or a server waits for a decision on its request. Bring the rest again later.
    /// @throws what an allocation or the queue throws. How far the bytes were taken is not known
    ///         then, and the connection is aborted; messages that came whole before are readable.
    std::size_t receive(std::span<std::byte> bytes, time_point now);
    /// The transport's input ended: EOF. `how`: errc::end_of_stream, or errc::tls_truncated.
    void receive_end(time_point now, errc how = errc::end_of_stream);
    /// The transport takes no more output: it is lost, but what it holds of input is to be read
    /// first, up to `receive_end` or `transport_lost`. Sends answer errc::closed from here on.
    void output_lost(time_point now);
    /// The transport is gone, in both directions.
    void transport_lost(time_point now, errc how = errc::transport_lost);
    /// Time has passed. May be called at any time; must be at `next_deadline()`.
    void advance(time_point now);

    // You want something. What fails changed nothing: errc::not_open, errc::closing, errc::closed;
    // of messages also errc::backpressure, errc::text_not_utf8, errc::message_in_progress.

    /// Sends a text message, copied.
    SANSOCKET_ALWAYS_INLINE errc send_text(std::string_view text) {
        return send(message_kind::text, detail::bytes_of(text));
    }
    /// Sends a binary message, copied.
    SANSOCKET_ALWAYS_INLINE errc send_binary(std::span<const std::byte> bytes) {
        return send(message_kind::binary, bytes);
    }
    /// Sends a message, copied.
    SANSOCKET_ALWAYS_INLINE errc send(message_kind kind, std::span<const std::byte> payload) {
        if (const errc ec = may_send(); ec != errc::ok) [[unlikely]]
            return ec;
        if constexpr (deflates) return send_by_size(kind, payload, compression::automatic);
        else return writer_.send(kind, payload, out_, key_source());
    }
    /// The same, compressed or not. RFC 7692 6.1. Of no effect where compression was not agreed on.
    errc send(message_kind kind, std::span<const std::byte> payload, compression how) {
        const errc ec = may_send();
        return ec == errc::ok ? send_by_size(kind, payload, how) : ec;
    }
    /// Sends a message that is given away; a large one is not copied.
    template <std::same_as<std::string> Text>
    errc send_text(Text&& text) {
        return give(message_kind::text, std::move(text));
    }
    template <std::same_as<std::vector<std::byte>> Bytes>
    errc send_binary(Bytes&& bytes) {
        return give(message_kind::binary, std::move(bytes));
    }  ///< Sends bytes that are given away; many are not copied.
    errc send(message&& given) { return give(given.kind, std::move(given.data)); }  ///< Given away.
    /// Sends a message whose payload is shared with others; a server does not copy it.
    errc send_shared(message_kind kind, shared_payload payload) {
        if (const errc ec = may_send(); ec != errc::ok) return ec;
        if (compresses(payload.bytes.size()))
            return send_by_size(kind, payload.bytes, compression::automatic);
        return writer_.send_shared(kind, std::move(payload), out_, key_source());
    }

    /// Sends a message that is made once for many connections; a server does not copy it. With
    /// context takeover, the context begins afresh behind it.
    errc send(const prepared_message& prepared);

    /// Sends a message, copied, in frames of at most `send_limits::fragment_bytes`, so that control
    /// frames go between. 5.4.
    errc send_fragmented(message_kind kind, std::span<const std::byte> payload,
                         compression how = compression::automatic);

    /// Begins a message whose size is not known. 5.4.
    errc start(message_kind kind, compression how = compression::automatic);
    /// Sends its next part, in frames of at most `send_limits::fragment_bytes`.
    /// errc::no_message_in_progress.
    errc append(std::span<const std::byte> part) { return send_part(part, false); }
    errc append(std::string_view part) { return append(detail::bytes_of(part)); }
    /// Sends its last part, which may be empty. errc::no_message_in_progress.
    errc finish(std::span<const std::byte> part = {}) { return send_part(part, true); }

    /// Sends a Ping of at most 125 bytes. 5.5.2. errc::control_too_long, errc::backpressure.
    errc send_ping(std::span<const std::byte> payload = {}) {
        return send_control(opcode::ping, payload);
    }
    /// Sends an unsolicited Pong. 5.5.3. As `send_ping`. Pings are answered without this.
    errc send_pong(std::span<const std::byte> payload = {}) {
        return send_control(opcode::pong, payload);
    }

    /// Starts the closing handshake: a Close frame behind all that was accepted. 7.1.2.
    ///
    /// Before the connection is open it ends it without one, and a server answers with 503. The
    /// deadline starts now.
    ///
    /// @param reason  at most 123 bytes of UTF-8; none with `close_code::no_status`, which sends an
    ///                empty Close.
    /// @return also errc::invalid_close_code, errc::close_reason_too_long, errc::text_not_utf8.
    errc close(close_code code, std::string_view reason, time_point now);

    /// Gives the connection up at once: no Close frame, unread messages and waiting output gone.
    /// With errc::dropped, which says that nobody meant to, diagnostics tell of it.
    void abort(errc cause = errc::aborted) noexcept;

    /// A server with `request_decision::manual` accepts the request. 4.2.2. errc::not_deciding,
    /// errc::not_an_upgrade, errc::subprotocol_not_offered, errc::invalid_response.
    errc accept(std::string_view subprotocol, std::span<const http_field_value> fields,
                time_point now) requires(Role == role::server);
    /// It refuses with a status of 300 to 599. errc::not_deciding, errc::invalid_response.
    errc refuse(std::uint16_t status, std::span<const http_field_value> fields,
                std::string_view body, time_point now) requires(Role == role::server);

    /// It answers in plain HTTP with a status of 200 to 599, and ends, with errc::http_answered; see
    /// `append_response`. 4.2.1. errc::not_deciding, errc::invalid_response.
    errc respond(std::uint16_t status, std::span<const http_field_value> fields,
                 std::string_view body, time_point now) requires(Role == role::server);

    // You take.

    /// The message queue.
    [[nodiscard]] Queue& messages() noexcept { return queue_; }
    [[nodiscard]] const Queue& messages() const noexcept { return queue_; }
    /// What to write next, at most 16 buffers; say `consume_output` before asking again.
    [[nodiscard]] output_buffers output() noexcept { return out_.output(); }
    /// The transport took the first `n` bytes of `output()`, or none.
    void consume_output(std::size_t n, time_point now);
    /// When `advance` is due; `never` if at no time.
    [[nodiscard]] time_point next_deadline() const noexcept;
    /// Gives back the memory that nothing lies in. A Ping for want of traffic does it too.
    void shrink() noexcept;

    // Queries.

    [[nodiscard]] connection_state state() const noexcept;  ///< Opening, open, closing or closed.
    /// Whether the opening handshake was completed, however the connection ended since.
    [[nodiscard]] bool was_opened() const noexcept { return phase_ == opening_phase::done; }
    /// Whether a server waits for `accept`, `refuse` or `respond`.
    [[nodiscard]] bool deciding() const noexcept;
    /// Whether it waits for that on an upgrade. Others: see `request_decision::manual_with_http`.
    [[nodiscard]] bool request_is_upgrade() const noexcept;
    [[nodiscard]] bool wants_read() const noexcept;  ///< Whether bytes are to be read for it now.
    [[nodiscard]] bool wants_write() const noexcept {
        return !out_.empty() && !shutdown_.aborted();
    }  ///< Whether `output()` has something, and the transport may take it.
    [[nodiscard]] shutdown_request wants_shutdown() const noexcept {
        return shutdown_.request(phase(), out_.empty());
    }  ///< What is to be done with the transport now. 7.1.1.
    /// Whether the transport is of no more use.
    [[nodiscard]] bool should_close() const noexcept {
        return wants_shutdown() >= shutdown_request::close;
    }
    /// How it ended, or what is known so far. 7.1.
    [[nodiscard]] const sansocket::close_info& close_info() const noexcept { return close_.info(); }
    /// Bytes accepted for sending that the transport has not taken.
    [[nodiscard]] std::size_t output_bytes() const noexcept { return out_.bytes(); }
    /// Most bytes of a part that are sent as one frame.
    [[nodiscard]] std::size_t fragment_bytes() const noexcept { return writer_.fragment(); }
    /// Whether a message would be told `backpressure` now.
    [[nodiscard]] bool output_full() const noexcept { return out_.full(); }
    /// Whether senders that were told `backpressure` may try again.
    [[nodiscard]] bool output_drained() const noexcept { return out_.drained(); }
    /// The opening handshake, for its request, response and subprotocol; null once released.
    [[nodiscard]] const opening_handshake* handshake() const noexcept { return opening_.get(); }
    /// The subprotocol agreed on; empty if none, and once the handshake is released.
    [[nodiscard]] std::string_view subprotocol() const noexcept {
        return opening_ ? opening_->subprotocol() : std::string_view{};
    }
    /// What was agreed on for permessage-deflate; nothing where it is not in use. RFC 7692 7.1.
    [[nodiscard]] std::optional<deflate_agreement> deflate() const noexcept;
    /// Frees what the opening handshake holds. Only once it is over.
    void release_handshake() noexcept {
        if (state() != connection_state::opening) opening_.reset();
    }
    /// From the last Ping that the connection sent to its Pong.
    [[nodiscard]] std::optional<duration> round_trip() const noexcept {
        return keepalive_.round_trip();
    }
    /// What it has done so far.
    [[nodiscard]] connection_counters counters() const noexcept;
    /// How it stands, all at once. Its views live as long as the handshake is held.
    [[nodiscard]] connection_snapshot explain() const noexcept;

private:
    using own_keys = std::conditional_t<is_client, Keys, no_keys>;
    connection(const sansocket::options& options, Queue queue, own_keys keys, time_point now,
               const source_location& where);

    // Whether it is open, as an answer to who wants something of it.
    SANSOCKET_ALWAYS_INLINE errc may_close() const noexcept {
        if (close_.state() == close_state::open && !opening()) [[likely]]
            return errc::ok;
        if (opening()) return errc::not_open;
        if (close_.state() == close_state::received) return errc::ok;  // it waits its turn
        return close_.state() < close_state::complete ? errc::closing : errc::closed;
    }
    SANSOCKET_ALWAYS_INLINE errc may_send() const noexcept {
        const errc ec = may_close();
        return ec == errc::ok && out_.stopped() ? errc::closed : ec;
    }
    bool compresses(std::size_t size) const noexcept;
    errc send_by_size(message_kind kind, std::span<const std::byte> payload, compression how);
    template <class Owned>
    errc give(message_kind kind, Owned&& payload);
    errc send_part(std::span<const std::byte> part, bool fin);
    errc send_control(opcode op, std::span<const std::byte> payload);
    auto key_source() noexcept {
        if constexpr (is_client) return [&keys = keys_]() noexcept { return keys(); };
        else return []() noexcept { return masking_key{}; };
    }
    void push_close(close_code code, std::string_view reason);
    [[nodiscard]] bool opening() const noexcept { return phase_ == opening_phase::running; }
    void receive_opening(std::span<std::byte>& in, time_point now);
    void opened(time_point now);
    void start_deflate();
    errc unless_refused(errc cause) noexcept;
    void refuse_opening(errc cause, std::string_view response, time_point now);
    void receive_frames(std::span<std::byte>& in, time_point now);
    SANSOCKET_ALWAYS_INLINE void receive_data(const piece_type& piece, time_point now);
    void receive_control(const frame_piece& piece, bool behind_messages, time_point now);
    void receive_close(std::span<const std::byte> payload, bool behind_messages, time_point now);
    void answer_close(time_point now);
    bool close_is_next() const noexcept;
    void fail(errc ec, time_point now);
    void changed() noexcept { diagnostics_.changed(state(), close_.info().cause); }
    void report_leak() const noexcept;
    void end(errc cause) noexcept;
    void give_up(errc cause) noexcept;
    // An exception left a call half done: there is nothing to go on with.
    struct unless_done {
        connection& c;
        bool done = false;
        SANSOCKET_ALWAYS_INLINE ~unless_done() {
            if (!done) c.give_up(errc::aborted);
        }
    };
    bool reads_frames() const noexcept { return close_.state() <= close_state::sent; }
    bool incomplete() const noexcept;
    transport_phase phase() const noexcept;

    detail::own_counters counters_;
    duration close_timeout_, close_delay_;
    sansocket::after_close after_close_;
    request_decision decision_;
    opening_phase phase_ = opening_phase::running;
    std::unique_ptr<opening_handshake> opening_;
    reader_type frames_;
    message_reader<Role> messages_;
    SANSOCKET_NO_UNIQUE_ADDRESS detail::if_codec<Deflate, message_inflater> inflater_;
    SANSOCKET_NO_UNIQUE_ADDRESS detail::if_codec<Deflate, message_deflater> deflater_;
    Queue queue_;
    message_writer writer_;
    send_queue<Role> out_;
    close_handshake close_;
    keepalive keepalive_;
    transport_shutdown<Role> shutdown_;
    SANSOCKET_NO_UNIQUE_ADDRESS own_keys keys_;
    SANSOCKET_NO_UNIQUE_ADDRESS Diagnostics diagnostics_;
};

}  // namespace sansocket

#include <sansocket/connection_closing.hpp>
#include <sansocket/connection_queries.hpp>
#include <sansocket/connection_routes.hpp>
#include <sansocket/connection_sends.hpp>
