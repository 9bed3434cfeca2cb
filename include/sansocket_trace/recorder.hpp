// recorder.hpp
//
// A connection whose input is written down: put it where a connection was, and
// give it something that takes bytes. What it wrote replays, see replay.hpp.
//
// A recording holds all that was received and sent, and a client's masking keys.
// It is as secret as they are.
#pragma once

#include <sansocket_trace/recording.hpp>

#include <sansocket/connection.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sansocket_trace {

/// How `c` stands, in 32 bits: two that answer differently have different digests, or hardly ever not.
/// Nearly all of `explain()` counts: not memory, its number and the last bytes, which depend on more than
/// the calls, nor what follows from the calls and times that are recorded, such as the counters.
template <class Connection>
std::uint64_t digest(const Connection& c, sansocket::time_point start) {
    const sansocket::connection_snapshot s = c.explain();
    hash h;
    const auto add = [&h](auto... all) { (h.add(static_cast<std::uint64_t>(all)), ...); };
    const auto code = [](const auto& frame) { return frame ? static_cast<int>(*frame) : -1; };
    add(s.state, s.closing, s.cause, code(s.sent), code(s.received), s.clean, s.incomplete_message,
        s.discarded, s.queued_messages, s.queued_bytes, s.paused, s.output_bytes, s.output_frames);
    const auto since_start = [start](sansocket::time_point t) {
        if (t == sansocket::never) return sansocket::duration::rep{-1};
        return t == sansocket::immediately ? sansocket::duration::rep{-2} : (t - start).count();
    };
    add(since_start(s.deadline), since_start(s.write_stalled_since));
    add(c.was_opened() ? since_start(s.last_received) : -1, s.round_trip.has_value());
    add(s.round_trip.value_or(sansocket::duration::zero()).count(), c.close_info().unsent_bytes);
    h.add(std::as_bytes(std::span{s.subprotocol}));
    add(s.wants_read, s.wants_write, s.shutdown, c.deciding(), c.was_opened());
    return h.value();
}

/// The hash of a message; 0 of none.
inline std::uint64_t hash_of(const std::optional<sansocket::message_view>& m) {
    if (!m) return 0;
    hash h;
    h.add(static_cast<std::uint64_t>(m->kind));
    h.add(m->bytes);
    return h.value();
}

/// The hash of a piece; 0 of none.
inline std::uint64_t hash_of(const std::optional<sansocket::message_piece_view>& p) {
    if (!p) return 0;
    hash h;
    h.add(static_cast<std::uint64_t>(p->kind) | (p->first ? 2U : 0U) | (p->last ? 4U : 0U));
    h.add(p->bytes);
    return h.value();
}

/// The hash of the first `n` bytes of `out`.
inline std::uint64_t hash_of(const sansocket::output_buffers& out, std::size_t n) {
    hash h;
    for (const auto buffer : out) {
        const auto part = buffer.first((std::min)(n, buffer.size()));
        h.add(part);
        n -= part.size();
    }
    return h.value();
}

/// A `sansocket::connection` that writes down what it is told. For what each call does, see there.
///
/// @tparam Connection  one with chacha_keys, and a queue that is made of `queue_limits` alone and popped
///               by the application: `message_queue<>` or `static_message_queue`. What a handler of a
///               `direct_queue` does is not seen, so such a connection cannot be recorded.
/// @tparam Sink  takes the recording: `sink(std::span<const std::byte>)`, in order, in every call that
///               is not a query. One that can be made of nothing serves where an adapter makes the
///               connection: `sansocket_asio::websocket<Role, Stream, recorder<connection<Role>, S>>`.
template <class Connection, class Sink = std::function<void(std::span<const std::byte>)>>
class recorder {
    static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
    static constexpr bool is_client = Connection::endpoint_role == sansocket::role::client;
    using errc = sansocket::errc;
    using time_point = sansocket::time_point;
    using bytes = std::span<const std::byte>;
    using source_location = sansocket::source_location;

public:
    /// @{
    /// Those of the connection.
    using connection_type = Connection;
    using queue_type = typename Connection::queue_type;
    using diagnostics_type = typename Connection::diagnostics_type;
    /// @}
    /// Whose end it is.
    static constexpr sansocket::role endpoint_role = Connection::endpoint_role;
    /// A client is made from a seed, not from keys: it is written down.
    using seed = std::array<std::byte, 32>;

    /// A client that asks for `request`, with masking keys made from `keys`.
    recorder(const sansocket::client_request& request, const seed& keys, time_point now,
             const sansocket::options& options = {},
             const source_location& where = source_location::current(), Sink sink = {})  //
        requires(is_client)
        : sink_(std::move(sink)),
          core_(request, sansocket::chacha_keys(keys), now, options, where),
          start_(now),
          last_(now),
          messages_(*this) {
        give(encode(head{.role = endpoint_role,
                         .start = now,
                         .options = effective(options),
                         .request = request,
                         .seed = keys}));
    }
    /// A server that judges the request by `policy`.
    recorder(const sansocket::server_policy& policy, time_point now,
             const sansocket::options& options = {},
             const source_location& where = source_location::current(), Sink sink = {})  //
        requires(!is_client)
        : sink_(std::move(sink)),
          core_(policy, now, options, where),
          start_(now),
          last_(now),
          messages_(*this) {
        give(encode(head{
            .role = endpoint_role, .start = now, .options = effective(options), .policy = policy}));
    }
    /// What is moved from is closed, as its connection is, and writes nothing more.
    recorder(recorder&& other)
        : sink_(std::move(other.sink_)),
          core_(std::move(other.core_)),
          start_(other.start_),
          last_(other.last_),
          shown_(std::exchange(other.shown_, {})),
          messages_(*this),
          silent_(std::exchange(other.silent_, true)) {
        note({.what = call::move}, 0);
    }
    recorder& operator=(recorder&& other) {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }
    ~recorder() = default;

    /// @{
    /// As of `sansocket::connection`.
    std::size_t receive(std::span<std::byte> in, time_point now) {
        record r{.what = call::receive, .at = now, .bytes = copy(in)};
        const std::size_t taken = core_.receive(in, now);
        note(std::move(r), taken);
        return taken;
    }
    void receive_end(time_point now, errc how = errc::end_of_stream) {
        core_.receive_end(now, how);
        note({.what = call::receive_end, .at = now, .number = number(how)}, 0);
    }
    void output_lost(time_point now) {
        core_.output_lost(now);
        note({.what = call::output_lost, .at = now}, 0);
    }
    void transport_lost(time_point now, errc how = errc::transport_lost) {
        core_.transport_lost(now, how);
        note({.what = call::transport_lost, .at = now, .number = number(how)}, 0);
    }
    void advance(time_point now) {
        core_.advance(now);
        note({.what = call::advance, .at = now}, 0);
    }

    errc send(sansocket::message_kind kind, bytes payload,
              sansocket::compression how = sansocket::compression::automatic) {
        return noted({.what = call::send, .number = number_of(kind, how), .bytes = copy(payload)},
                     core_.send(kind, payload, how));
    }
    errc send(const sansocket::prepared_message& prepared) {
        return noted({.what = call::send_prepared,
                      .number = number_of(prepared.kind(), prepared.how()),
                      .bytes = copy(prepared.payload())},
                     core_.send(prepared));
    }
    errc send_text(std::string_view text) {
        return send(sansocket::message_kind::text, std::as_bytes(std::span{text}));
    }
    template <std::same_as<std::string> Text>
    errc send_text(Text&& text) {
        record r{.what = call::send_given,
                 .number = number(sansocket::message_kind::text),
                 .bytes = copy(std::as_bytes(std::span{text}))};
        return noted(std::move(r), core_.send_text(std::move(text)));
    }
    template <std::same_as<std::vector<std::byte>> Bytes>
    errc send_binary(Bytes&& given) {
        record r{.what = call::send_given,
                 .number = number(sansocket::message_kind::binary),
                 .bytes = copy(given)};
        return noted(std::move(r), core_.send_binary(std::move(given)));
    }
    errc send_binary(bytes payload) { return send(sansocket::message_kind::binary, payload); }
    errc send(sansocket::message&& given) {
        record r{
            .what = call::send_given, .number = number(given.kind), .bytes = copy(given.bytes())};
        return noted(std::move(r), core_.send(std::move(given)));
    }
    errc send_shared(sansocket::message_kind kind, sansocket::shared_payload payload) {
        record r{.what = call::send_shared, .number = number(kind), .bytes = copy(payload.bytes)};
        return noted(std::move(r), core_.send_shared(kind, std::move(payload)));
    }
    errc send_fragmented(sansocket::message_kind kind, bytes payload,
                         sansocket::compression how = sansocket::compression::automatic) {
        return noted(
            {.what = call::send_fragmented, .number = number_of(kind, how), .bytes = copy(payload)},
            core_.send_fragmented(kind, payload, how));
    }
    errc start(sansocket::message_kind kind,
               sansocket::compression how = sansocket::compression::automatic) {
        return noted({.what = call::start, .number = number_of(kind, how)}, core_.start(kind, how));
    }
    errc append(bytes part) {
        return noted({.what = call::append, .bytes = copy(part)}, core_.append(part));
    }
    errc append(std::string_view part) { return append(std::as_bytes(std::span{part})); }
    errc finish(bytes part = {}) {
        return noted({.what = call::finish, .bytes = copy(part)}, core_.finish(part));
    }
    errc send_ping(bytes payload = {}) {
        return noted({.what = call::send_ping, .bytes = copy(payload)}, core_.send_ping(payload));
    }
    errc send_pong(bytes payload = {}) {
        return noted({.what = call::send_pong, .bytes = copy(payload)}, core_.send_pong(payload));
    }
    errc close(sansocket::close_code code, std::string_view reason, time_point now) {
        return noted(
            {.what = call::close, .at = now, .number = number(code), .text = std::string{reason}},
            core_.close(code, reason, now));
    }
    /// @}
    /// As the connection's, it throws nothing: if the sink does, nothing more is written down.
    void abort(errc cause = errc::aborted) noexcept {
        core_.abort(cause);
#if defined(__cpp_exceptions)
        try {
            note({.what = call::abort, .number = number(cause)}, 0);
        } catch (...) {
            silent_ = true;
        }
#else
        note({.what = call::abort, .number = number(cause)}, 0);
#endif
    }
    /// @{
    /// As of `sansocket::connection`.
    errc accept(std::string_view subprotocol, std::span<const sansocket::http_field_value> fields,
                time_point now) requires(!is_client) {
        return noted({.what = call::accept,
                      .at = now,
                      .text = std::string{subprotocol},
                      .fields = {fields.begin(), fields.end()}},
                     core_.accept(subprotocol, fields, now));
    }
    errc refuse(std::uint16_t status, std::span<const sansocket::http_field_value> fields,
                std::string_view body, time_point now) requires(!is_client) {
        return noted({.what = call::refuse,
                      .at = now,
                      .number = status,
                      .text = std::string{body},
                      .fields = {fields.begin(), fields.end()}},
                     core_.refuse(status, fields, body, now));
    }
    errc respond(std::uint16_t status, std::span<const sansocket::http_field_value> fields,
                 std::string_view body, time_point now) requires(!is_client) {
        return noted({.what = call::respond,
                      .at = now,
                      .number = status,
                      .text = std::string{body},
                      .fields = {fields.begin(), fields.end()}},
                     core_.respond(status, fields, body, now));
    }

    [[nodiscard]] sansocket::output_buffers output() {
        shown_ = core_.output();
        note({.what = call::output}, shown_.bytes());
        return shown_;
    }
    void consume_output(std::size_t n, time_point now) {
        const std::uint64_t taken = hash_of(shown_, n);
        shown_ = {};
        core_.consume_output(n, now);
        note({.what = call::consume_output, .at = now, .number = n}, taken);
    }
    void shrink() {
        core_.shrink();
        note({.what = call::shrink}, 0);
    }
    void release_handshake() {
        core_.release_handshake();
        note({.what = call::release_handshake}, 0);
    }
    /// @}

    /// The message queue, whose `pop` and `clear` are written down.
    class queue {
    public:
        /// That of `owner`.
        explicit queue(recorder& owner) noexcept : owner_(&owner) {}
        /// @{
        /// As `message_queue` has it.
        std::optional<sansocket::message_view> pop() {
            const auto m = owner_->core_.messages().pop();
            owner_->note({.what = call::pop}, hash_of(m));
            return m;
        }
        std::optional<sansocket::message_piece_view> pop_piece()  //
            requires(sansocket::piecewise_message_queue<queue_type>) {
            const auto p = owner_->core_.messages().pop_piece();
            owner_->note({.what = call::pop_piece}, hash_of(p));
            return p;
        }
        [[nodiscard]] bool piece_ready() const noexcept  //
            requires(sansocket::piecewise_message_queue<queue_type>) {
            return get().piece_ready();
        }
        void clear() {
            owner_->core_.messages().clear();
            owner_->note({.what = call::clear}, 0);
        }
        [[nodiscard]] bool is_eof() const noexcept { return get().is_eof(); }
        [[nodiscard]] bool at_eof() const noexcept { return get().at_eof(); }
        [[nodiscard]] errc cause() const noexcept { return get().cause(); }
        [[nodiscard]] std::size_t size() const noexcept { return get().size(); }
        [[nodiscard]] std::size_t bytes() const noexcept { return get().bytes(); }
        [[nodiscard]] bool paused() const noexcept { return get().paused(); }
        /// @}

    private:
        [[nodiscard]] const queue_type& get() const noexcept {
            return std::as_const(owner_->core_).messages();
        }
        recorder* owner_;
    };
    /// @{
    /// As of `sansocket::connection`.
    [[nodiscard]] queue& messages() noexcept { return messages_; }
    [[nodiscard]] const queue& messages() const noexcept { return messages_; }

    [[nodiscard]] time_point next_deadline() const noexcept { return core_.next_deadline(); }
    [[nodiscard]] sansocket::connection_state state() const noexcept { return core_.state(); }
    [[nodiscard]] bool was_opened() const noexcept { return core_.was_opened(); }
    [[nodiscard]] bool deciding() const noexcept { return core_.deciding(); }
    [[nodiscard]] bool request_is_upgrade() const noexcept { return core_.request_is_upgrade(); }
    [[nodiscard]] bool wants_read() const noexcept { return core_.wants_read(); }
    [[nodiscard]] bool wants_write() const noexcept { return core_.wants_write(); }
    [[nodiscard]] auto wants_shutdown() const noexcept { return core_.wants_shutdown(); }
    [[nodiscard]] bool should_close() const noexcept { return core_.should_close(); }
    [[nodiscard]] const auto& close_info() const noexcept { return core_.close_info(); }
    [[nodiscard]] std::size_t output_bytes() const noexcept { return core_.output_bytes(); }
    [[nodiscard]] std::size_t fragment_bytes() const noexcept { return core_.fragment_bytes(); }
    [[nodiscard]] bool output_full() const noexcept { return core_.output_full(); }
    [[nodiscard]] bool output_drained() const noexcept { return core_.output_drained(); }
    [[nodiscard]] const auto* handshake() const noexcept { return core_.handshake(); }
    [[nodiscard]] std::string_view subprotocol() const noexcept { return core_.subprotocol(); }
    [[nodiscard]] auto deflate() const noexcept { return core_.deflate(); }
    [[nodiscard]] auto counters() const noexcept { return core_.counters(); }
    [[nodiscard]] auto round_trip() const noexcept { return core_.round_trip(); }
    [[nodiscard]] auto explain() const noexcept { return core_.explain(); }
    /// @}

private:
    // Without a codec nothing is compressed, whatever the options say.
    static sansocket::options effective(sansocket::options o) {
        o.deflate.enabled = o.deflate.enabled && Connection::deflate_type::enabled;
        return o;
    }
    static std::vector<std::byte> copy(bytes from) { return {from.begin(), from.end()}; }
    template <class T>
    static std::uint64_t number(T value) noexcept {
        return static_cast<std::uint64_t>(value);
    }
    void give(bytes part) {
        if (silent_) return;
        if constexpr (requires { sink_ == nullptr; })
            if (sink_ == nullptr) return;
        sink_(part);
    }
    void note(record r, std::uint64_t answer) {
        r.answer = answer;
        r.digest = digest(core_, start_);
        const bool timed = detail::shape_of(r.what).time;
        give(encode(r, last_));
        if (timed) last_ = r.at;
    }
    errc noted(record r, errc answer) {
        note(std::move(r), number(answer));
        return answer;
    }

    Sink sink_;
    Connection core_;
    time_point start_;
    time_point last_;
    sansocket::output_buffers shown_;
    queue messages_;
    bool silent_ = false;
};

}  // namespace sansocket_trace
