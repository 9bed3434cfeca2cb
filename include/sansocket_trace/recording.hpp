// recording.hpp
//
// The form of a recording: a head that says how a connection was made, then a
// record for each call that changed it, with the time, the arguments, the answer
// and a digest of how the connection stood afterwards.
//
//   "sansocket trace\n" version  the library's version  role  start
//   options  request (a client's) or policy (a server's)  seed (a client's)
//   { call  time since the last record  arguments  answer  digest } ...
//
// Numbers are LEB128, seven bits a byte, least first; signed ones are zigzagged.
// Strings and bytes have their length before them. Times are nanoseconds.
#pragma once

#include <sansocket/connection.hpp>
#include <sansocket/options.hpp>
#include <sansocket/version.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/role.hpp>
#include <sansocket/wire/time.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sansocket_trace {

/// What may be wrong with a recording.
enum class trace_error : std::uint8_t {
    ok,               ///< Nothing.
    not_a_trace,      ///< It does not begin as a recording does.
    unknown_version,  ///< Its form is newer than this program.
    truncated,        ///< It ends inside its head or inside a record. What came before is good.
    corrupt,          ///< A call that does not exist, or a length that cannot be.
};

/// The calls that change a connection.
enum class call : std::uint8_t {
    receive = 1,
    receive_end,
    transport_lost,
    advance,
    send,
    send_given,
    send_shared,
    start,
    append,
    finish,
    send_ping,
    send_pong,
    close,
    abort,
    accept,
    refuse,
    output,
    consume_output,
    pop,
    clear,
    shrink,
    release_handshake,
    move,
    output_lost,
    send_prepared,
    respond,
    send_fragmented,
    pop_piece,
};
/// The names of the calls, by their number.
inline constexpr std::array<std::string_view, 29> call_names{"",
                                                             "receive",
                                                             "receive_end",
                                                             "transport_lost",
                                                             "advance",
                                                             "send",
                                                             "send_given",
                                                             "send_shared",
                                                             "start",
                                                             "append",
                                                             "finish",
                                                             "send_ping",
                                                             "send_pong",
                                                             "close",
                                                             "abort",
                                                             "accept",
                                                             "refuse",
                                                             "output",
                                                             "consume_output",
                                                             "pop",
                                                             "clear",
                                                             "shrink",
                                                             "release_handshake",
                                                             "move",
                                                             "output_lost",
                                                             "send_prepared",
                                                             "respond",
                                                             "send_fragmented",
                                                             "pop_piece"};

/// One call. What a call does not have is empty.
struct record {
    call what{};                 ///< The call.
    sansocket::time_point at{};  ///< `now`; the last one where the call has none.
    std::uint64_t number =
        0;  ///< A kind and how it is compressed, a code, status, cause, or how many bytes.
    std::vector<std::byte> bytes{};                     ///< What was received or is to be sent.
    std::string text{};                                 ///< A reason, subprotocol or body.
    std::vector<sansocket::http_field_value> fields{};  ///< Of an answer to a request.
    std::uint64_t answer = 0;  ///< What the call returned; a hash where that is bytes.
    std::uint64_t digest = 0;  ///< How the connection stood afterwards.
};

/// What a record says of a message besides its bytes: kind and compression.
[[nodiscard]] constexpr std::uint64_t number_of(sansocket::message_kind kind,
                                                sansocket::compression how) noexcept {
    return static_cast<std::uint64_t>(kind) | static_cast<std::uint64_t>(how) << 1U;
}
/// The same of a prepared message: kind, level, memory level and window.
[[nodiscard]] constexpr std::uint64_t number_of(sansocket::message_kind kind,
                                                const sansocket::deflate_options& how) noexcept {
    const auto byte = [](auto v) { return static_cast<std::uint64_t>(v) & 0xffU; };
    return byte(kind) | byte(how.level) << 8U | byte(how.memory_level) << 16U |
           byte(how.own_window_bits) << 24U;
}

/// How a connection was made.
struct head {
    std::uint64_t library = SANSOCKET_VERSION;       ///< The version that recorded.
    sansocket::role role = sansocket::role::client;  ///< Whose end it is.
    sansocket::time_point start{};                   ///< The time when it was made.
    sansocket::options options{};                    ///< What was chosen.
    sansocket::client_request request{};             ///< A client's.
    sansocket::server_policy policy{};               ///< A server's.
    std::array<std::byte, 32> seed{};                ///< Of a client's masking keys.
};

/// FNV-1a, 64 bits.
class hash {
public:
    /// Adds bytes, or the eight of a number.
    void add(std::span<const std::byte> bytes) noexcept {
        for (const std::byte b : bytes) {
            value_ ^= static_cast<std::uint64_t>(b);
            value_ *= 0x100000001b3U;
        }
    }
    void add(std::uint64_t n) noexcept {
        for (int shift = 0; shift != 64; shift += 8) {
            const auto b = static_cast<std::byte>(n >> shift);
            add(std::span{&b, 1});
        }
    }
    /// 32 bits of it: they keep a recording small.
    [[nodiscard]] std::uint64_t value() const noexcept { return (value_ ^ value_ >> 32U) & mask; }

private:
    static constexpr std::uint64_t mask = 0xffffffffU;
    std::uint64_t value_ = 0xcbf29ce484222325U;
};

/// Appends values to bytes.
class writer {
public:
    /// Appends to `to`, which outlives it.
    explicit writer(std::vector<std::byte>& to) noexcept : to_(&to) {}

    /// A number, in 1 to 10 bytes: seven bits in each, the low ones first.
    void number(std::uint64_t n) {
        for (; n >= 0x80; n >>= 7U) to_->push_back(static_cast<std::byte>(n | 0x80U));
        to_->push_back(static_cast<std::byte>(n));
    }
    /// Bytes, behind their number.
    void bytes(std::span<const std::byte> data) {
        number(data.size());
        to_->insert(to_->end(), data.begin(), data.end());
    }
    /// Bytes alone.
    void raw(std::span<const std::byte> data) { to_->insert(to_->end(), data.begin(), data.end()); }
    /// Characters, behind their number.
    void text(std::string_view s) { bytes(std::as_bytes(std::span{s})); }
    /// Always: as of `reader`.
    [[nodiscard]] bool good() const noexcept { return true; }

private:
    std::vector<std::byte>* to_;
};

/// Takes values from bytes. After the first that is not there, all are 0 or empty.
class reader {
public:
    /// Takes from `from`, which outlives it.
    explicit reader(std::span<const std::byte> from) noexcept : from_(from) {}

    /// @{
    /// What `writer` appends by that name. trace_error::truncated, trace_error::corrupt.
    void number(std::uint64_t& n) {
        n = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (from_.empty()) return fail(trace_error::truncated);
            const auto b = static_cast<std::uint64_t>(from_.front());
            from_ = from_.subspan(1);
            n |= (b & 0x7fU) << shift;
            if (b < 0x80) return;
        }
        n = 0;
        fail(trace_error::corrupt);
    }
    void raw(std::span<std::byte> out) {
        if (from_.size() < out.size()) return fail(trace_error::truncated);
        for (std::size_t i = 0; i != out.size(); ++i) out[i] = from_[i];
        from_ = from_.subspan(out.size());
    }
    void bytes(std::vector<std::byte>& out) {
        const auto part = take();
        out.assign(part.begin(), part.end());
    }
    void text(std::string& out) {
        const auto part = take();
        out.assign(reinterpret_cast<const char*>(part.data()), part.size());
    }
    /// @}
    /// Nothing more is taken. The first reason stays.
    void fail(trace_error why) noexcept {
        if (error_ == trace_error::ok) error_ = why;
        from_ = {};
    }
    /// Whether nothing was wrong.
    [[nodiscard]] bool good() const noexcept { return error_ == trace_error::ok; }
    /// Whether all was taken.
    [[nodiscard]] bool at_end() const noexcept { return from_.empty(); }
    [[nodiscard]] trace_error error() const noexcept { return error_; }  ///< What was wrong.

private:
    std::span<const std::byte> take() {
        std::uint64_t n = 0;
        number(n);
        if (n > from_.size()) fail(trace_error::truncated);
        if (!good()) return {};
        const auto part = from_.first(static_cast<std::size_t>(n));
        from_ = from_.subspan(part.size());
        return part;
    }

    std::span<const std::byte> from_;
    trace_error error_ = trace_error::ok;
};

namespace detail {

// Each goes either way: `Archive` is a writer, or a reader.

template <class Archive, class T>
void value(Archive& a, T& v) {
    if constexpr (std::is_same_v<T, sansocket::duration>) {
        auto n = static_cast<std::uint64_t>(v.count());
        a.number(n);
        v = sansocket::duration{static_cast<sansocket::duration::rep>(n)};
    } else {
        auto n = static_cast<std::uint64_t>(v);
        a.number(n);
        v = static_cast<T>(n);
    }
}
template <class Archive, class... T>
void values(Archive& a, T&... all) {
    (value(a, all), ...);
}

// As many as `a` has; each takes a byte at least, so that a wrong count ends soon.
template <class Archive, class T, class Each>
void list(Archive& a, std::vector<T>& all, Each each) {
    std::uint64_t n = all.size();
    a.number(n);
    if constexpr (std::is_same_v<Archive, reader>) {
        all.clear();
        for (; n != 0 && a.good(); --n) each(all.emplace_back());
    } else {
        for (T& one : all) each(one);
    }
}
template <class Archive>
void texts(Archive& a, std::vector<std::string>& all) {
    list(a, all, [&](std::string& s) { a.text(s); });
}
template <class Archive>
void fields(Archive& a, std::vector<sansocket::http_field_value>& all) {
    list(a, all, [&](sansocket::http_field_value& f) { a.text(f.name), a.text(f.value); });
}

template <class Archive>
void bits(Archive& a, std::optional<std::uint8_t>& v) {
    std::uint8_t n = v ? static_cast<std::uint8_t>(*v + 1) : std::uint8_t{0};
    value(a, n);
    v = n != 0 ? std::optional{static_cast<std::uint8_t>(n - 1)} : std::nullopt;
}
template <class Archive>
void choices(Archive& a, sansocket::deflate_options& o) {
    values(a, o.enabled, o.own_window_bits, o.peer_window_bits, o.own_context_takeover,
           o.peer_context_takeover, o.level, o.memory_level, o.threshold, o.blocks,
           o.bytes_per_block);
    list(a, o.offers, [&](sansocket::deflate_parameters& p) {
        values(a, p.server_no_context_takeover, p.client_no_context_takeover);
        bits(a, p.server_max_window_bits), bits(a, p.client_max_window_bits);
    });
}

template <class Archive>
void choices(Archive& a, sansocket::options& o) {
    values(a, o.messages.size, o.messages.fragments, o.messages.bytes_per_fragment, o.messages.time,
           o.messages.validate_utf8);
    values(a, o.queue.high_bytes, o.queue.low_bytes, o.queue.high_count, o.queue.low_count);
    values(a, o.sending.high_bytes, o.sending.low_bytes, o.sending.high_count,
           o.sending.fragment_bytes, o.sending.control_bytes);
    values(a, o.keepalive.ping_interval, o.keepalive.pong_timeout, o.keepalive.idle_timeout,
           o.keepalive.write_timeout);
    values(a, o.http.line, o.http.fields, o.http.total, o.http.body);
    choices(a, o.deflate);
    values(a, o.opening_timeout, o.close_timeout, o.close_delay, o.after_close, o.decision,
           o.check_sent_text);
}

template <class Archive>
void time(Archive& a, sansocket::time_point& at, sansocket::time_point last) {
    auto n = static_cast<std::int64_t>((at - last).count());
    auto zigzag = (static_cast<std::uint64_t>(n) << 1U) ^ static_cast<std::uint64_t>(n >> 63);
    a.number(zigzag);
    n = static_cast<std::int64_t>(zigzag >> 1U) ^ -static_cast<std::int64_t>(zigzag & 1U);
    at = last + sansocket::duration{n};
}

template <class Archive>
void contents(Archive& a, head& h) {
    a.number(h.library);
    value(a, h.role);
    time(a, h.start, {});
    choices(a, h.options);
    if (h.role == sansocket::role::client) {
        a.text(h.request.host), a.text(h.request.target), a.text(h.request.origin);
        texts(a, h.request.subprotocols);
        fields(a, h.request.headers);
        a.raw(h.seed);
    } else {
        texts(a, h.policy.subprotocols), texts(a, h.policy.allowed_origins);
        values(a, h.policy.choice, h.policy.subprotocol, h.policy.origin);
        fields(a, h.policy.headers);
    }
}

// What a call has besides its answer.
struct shape {
    bool time, number, bytes, text, fields;
};
constexpr shape shape_of(call what) noexcept {
    switch (what) {
    case call::receive: return {true, false, true, false, false};
    case call::receive_end:
    case call::transport_lost:
    case call::consume_output: return {true, true, false, false, false};
    case call::advance:
    case call::output_lost: return {true, false, false, false, false};
    case call::send:
    case call::send_given:
    case call::send_shared:
    case call::send_prepared:
    case call::send_fragmented: return {false, true, true, false, false};
    case call::start:
    case call::abort: return {false, true, false, false, false};
    case call::append:
    case call::finish:
    case call::send_ping:
    case call::send_pong: return {false, false, true, false, false};
    case call::close: return {true, true, false, true, false};
    case call::accept: return {true, false, false, true, true};
    case call::refuse:
    case call::respond: return {true, true, false, true, true};
    case call::output:
    case call::pop:
    case call::pop_piece:
    case call::clear:
    case call::shrink:
    case call::release_handshake:
    case call::move: return {};
    }
    return {};
}

template <class Archive>
void contents(Archive& a, record& r, sansocket::time_point last) {
    const shape has = shape_of(r.what);
    r.at = has.time ? r.at : last;
    if (has.time) time(a, r.at, last);
    if (has.number) a.number(r.number);
    if (has.bytes) a.bytes(r.bytes);
    if (has.text) a.text(r.text);
    if (has.fields) fields(a, r.fields);
    a.number(r.answer);
    a.number(r.digest);
}

inline constexpr std::string_view magic = "sansocket trace\n";
inline constexpr std::byte form{4};

}  // namespace detail

/// The head of a recording.
inline std::vector<std::byte> encode(head h) {
    std::vector<std::byte> out;
    writer to(out);
    to.raw(std::as_bytes(std::span{detail::magic}));
    to.raw(std::span{&detail::form, 1});
    detail::contents(to, h);
    return out;
}
/// One record behind another that happened at `last`.
inline std::vector<std::byte> encode(record r, sansocket::time_point last) {
    std::vector<std::byte> out;
    out.push_back(static_cast<std::byte>(r.what));
    writer to(out);
    detail::contents(to, r, last);
    return out;
}

/// Reads a recording, which it does not keep alive.
class recording {
public:
    /// Reads the head of `data`.
    explicit recording(std::span<const std::byte> data) : from_(data) {
        std::array<std::byte, detail::magic.size() + 1> begins{};
        from_.raw(begins);
        const auto magic = std::as_bytes(std::span{detail::magic});
        if (!std::equal(magic.begin(), magic.end(), begins.begin())) {
            from_.fail(trace_error::not_a_trace);
            return;
        }
        if (begins.back() != detail::form) {
            from_.fail(trace_error::unknown_version);
            return;
        }
        detail::contents(from_, head_);
        last_ = head_.start;
    }
    /// How the connection was made.
    [[nodiscard]] const sansocket_trace::head& head() const noexcept { return head_; }
    /// The next record. False at the end, and where `error()` says why not.
    bool next(record& r) {
        if (from_.at_end()) return false;
        std::array<std::byte, 1> what{};
        from_.raw(what);
        r = {};
        r.what = static_cast<call>(what[0]);
        if (r.what < call::receive || r.what > call::pop_piece) from_.fail(trace_error::corrupt);
        else detail::contents(from_, r, last_);
        last_ = r.at;
        return from_.good();
    }
    /// What is wrong, if anything.
    [[nodiscard]] trace_error error() const noexcept { return from_.error(); }

private:
    reader from_;
    sansocket_trace::head head_;
    sansocket::time_point last_{};
};

}  // namespace sansocket_trace
