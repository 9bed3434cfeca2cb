// A connection that is told every kind of thing, and somebody who watches it: an observer that knows
// what was put in, reads what comes out with a parser of its own, and says which rule of the close
// lifecycle (G1 to G18, docs/closing.md) was broken, if one was.
//
// It begins in one of three ways (`beginning`), and whatever the peer says may come whole, byte by byte
// or cut in two. A write may be under way, as it is with most transports: then what is taken was shown
// before. Seconds pass by themselves, so a deadline that something moves is seen to move.
#pragma once

#include "endpoint.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

// How a connection begins, and what it was told.
enum class beginning : std::uint8_t {
    open,          // it is open; a Ping after 2 seconds, its Pong within 2 more
    open_deliver,  // it is open, delivers after its own close; a Ping every 2 seconds, idle after 3
    opening,  // a client has a request to send, a server decides itself about the one that comes
};
inline constexpr std::array beginnings{beginning::open, beginning::open_deliver,
                                       beginning::opening};
inline constexpr std::array<std::string_view, beginnings.size()> beginning_names{
    "open", "open_deliver", "opening"};

// What can happen to a connection.
enum class happens : std::uint8_t {
    text,             // the peer's: a message
    fragment,         //   the first fragment of one
    middle_fragment,  //   the next
    last_fragment,    //   the rest of it
    ping,
    pong,
    close_empty,     //   a Close without a code
    close_1001,      //   with a code
    close_4000,      //   with a code and a reason
    close_bad,       //   with a payload of one byte
    close_reserved,  //   with 1005
    close_not_utf8,  //   with a reason that is no text
    violation,       //   reserved bits
    cut_first,       //   the first byte of a message
    cut_second,      //   two bytes
    cut_header,      //   its header
    cut_payload,     //   all but the last byte
    cut_close,       //   all but the last byte of a Close
    the_rest,        //   what is left of these
    request,         //   the opening handshake: a request, or the answer
    half_request,    //   the first bytes of it
    bad_request,     //   one that cannot be accepted
    eof,             // the transport's
    tls_cut,
    reset,
    take_all,   //   it takes all output
    take_byte,  //   a byte of it
    take_none,  //   none
    show,       //   it begins to write: what is taken next was shown before
    deadline,   // the time of the next deadline comes
    second,     // a second passes
    send,       // the application's
    start,
    append,
    finish,
    send_ping,
    pop,
    accept,
    refuse,
    close,
    abort,
    cancel,
    drop,
    move,  // the connection is moved
};
inline constexpr std::array happenings{happens::text,
                                       happens::fragment,
                                       happens::middle_fragment,
                                       happens::last_fragment,
                                       happens::ping,
                                       happens::pong,
                                       happens::close_empty,
                                       happens::close_1001,
                                       happens::close_4000,
                                       happens::close_bad,
                                       happens::close_reserved,
                                       happens::close_not_utf8,
                                       happens::violation,
                                       happens::cut_first,
                                       happens::cut_second,
                                       happens::cut_header,
                                       happens::cut_payload,
                                       happens::cut_close,
                                       happens::the_rest,
                                       happens::request,
                                       happens::half_request,
                                       happens::bad_request,
                                       happens::eof,
                                       happens::tls_cut,
                                       happens::reset,
                                       happens::take_all,
                                       happens::take_byte,
                                       happens::take_none,
                                       happens::show,
                                       happens::deadline,
                                       happens::second,
                                       happens::send,
                                       happens::start,
                                       happens::append,
                                       happens::finish,
                                       happens::send_ping,
                                       happens::pop,
                                       happens::accept,
                                       happens::refuse,
                                       happens::close,
                                       happens::abort,
                                       happens::cancel,
                                       happens::drop,
                                       happens::move};
inline constexpr std::array<std::string_view, happenings.size()> happening_names{"text",
                                                                                 "fragment",
                                                                                 "middle_fragment",
                                                                                 "last_fragment",
                                                                                 "ping",
                                                                                 "pong",
                                                                                 "close_empty",
                                                                                 "close_1001",
                                                                                 "close_4000",
                                                                                 "close_bad",
                                                                                 "close_reserved",
                                                                                 "close_not_utf8",
                                                                                 "violation",
                                                                                 "cut_first",
                                                                                 "cut_second",
                                                                                 "cut_header",
                                                                                 "cut_payload",
                                                                                 "cut_close",
                                                                                 "the_rest",
                                                                                 "request",
                                                                                 "half_request",
                                                                                 "bad_request",
                                                                                 "eof",
                                                                                 "tls_cut",
                                                                                 "reset",
                                                                                 "take_all",
                                                                                 "take_byte",
                                                                                 "take_none",
                                                                                 "show",
                                                                                 "deadline",
                                                                                 "second",
                                                                                 "send",
                                                                                 "start",
                                                                                 "append",
                                                                                 "finish",
                                                                                 "send_ping",
                                                                                 "pop",
                                                                                 "accept",
                                                                                 "refuse",
                                                                                 "close",
                                                                                 "abort",
                                                                                 "cancel",
                                                                                 "drop",
                                                                                 "move"};

// The frames in a stream of bytes. Not the library's parser: an opinion of its own.
class frame_spotter {
public:
    struct spotted {
        unsigned opcode;
        std::size_t begin;  // bytes of the stream before it
    };
    explicit frame_spotter(bool masked) : masked_(masked) {}

    std::vector<spotted> feed(const byte_vector& bytes) {
        begun_.insert(begun_.end(), bytes.begin(), bytes.end());
        std::vector<spotted> out;
        while (const std::size_t size = whole()) {
            out.push_back({std::to_integer<unsigned>(begun_[0]) & 15U, passed_});
            passed_ += size;
            begun_.erase(begun_.begin(), begun_.begin() + static_cast<std::ptrdiff_t>(size));
        }
        return out;
    }
    [[nodiscard]] std::size_t begun() const { return begun_.size(); }
    [[nodiscard]] std::size_t taken() const { return passed_ + begun_.size(); }
    [[nodiscard]] bool wrong() const { return wrong_; }

private:
    // Bytes of the frame at the front if all of it is there, else 0.
    std::size_t whole() {
        if (begun_.size() < 2) return 0;
        const unsigned first = std::to_integer<unsigned>(begun_[0]);
        const unsigned second = std::to_integer<unsigned>(begun_[1]);
        const unsigned op = first & 15U;
        const bool known = op <= 2 || (op >= 8 && op <= 10);
        wrong_ |= (first & 0x70U) != 0 || !known || ((second & 0x80U) != 0) != masked_;
        std::size_t length = second & 0x7fU;
        std::size_t head = 2;
        if (length >= 126) {
            head += length == 126 ? 2 : 8;
            if (begun_.size() < head) return 0;
            length = 0;
            for (std::size_t i = 2; i != head; ++i)
                length = length << 8U | std::to_integer<std::size_t>(begun_[i]);
        }
        const std::size_t size = head + (masked_ ? 4 : 0) + length;
        return begun_.size() < size ? 0 : size;
    }

    bool masked_;
    bool wrong_ = false;
    std::size_t passed_ = 0;
    byte_vector begun_;
};

template <role Role>
class watched {
public:
    using connection_type = typename endpoint<Role>::connection_type;
    static constexpr auto opening_time = 3s;
    static constexpr auto closing_time = 5s;
    static constexpr auto waiting_time = 2s;

    // `cut`: how the peer's bytes come. 0: whole; 1: byte by byte; n: in two, after n - 1 bytes.
    explicit watched(beginning from = beginning::open, std::size_t cut = 0)
        : e_(small(from)),
          out_(Role == role::client),
          cut_(cut),
          from_(from),
          opens_by_(e_.now + opening_time) {
        e_.left_open = true;
        if (from == beginning::opening) handshake_ = the_handshake();
        else e_.open();
        head_is_out_ = from != beginning::opening;
        look();
    }

    // Whether it can happen now.
    [[nodiscard]] bool possible(happens what) const;
    // Lets it happen and looks whether all rules hold.
    void apply(happens what);
    // Lets time and the transport do their work until it is over, and looks whether it is.
    void finish_all();

    // The first rule that was broken, with what was wrong; empty if none was.
    [[nodiscard]] const std::string& broken() const { return broken_; }
    // How often each rule was looked at where it says something.
    [[nodiscard]] const std::map<std::string_view, std::size_t>& examined() const {
        return examined_;
    }
    // All that is visible of it, so that two which agree may be taken to go on alike.
    [[nodiscard]] std::string key() const;

    [[nodiscard]] connection_type& connection() { return e_.connection; }
    [[nodiscard]] const connection_type& connection() const { return e_.connection; }

private:
    using snapshot = sansocket::connection_snapshot;

    static sansocket::options small(beginning from) {
        sansocket::options options;
        options.queue.high_count = 2;
        options.queue.low_count = 1;
        options.sending.high_count = 2;
        options.keepalive.ping_interval = 2s;
        options.keepalive.pong_timeout = 2s;
        options.keepalive.write_timeout = 3s;
        options.opening_timeout = opening_time;
        options.close_timeout = closing_time;
        options.close_delay = waiting_time;
        if (from == beginning::open_deliver) {
            options.after_close = sansocket::after_close::deliver;
            options.keepalive.pong_timeout = sansocket::duration::zero();
            options.keepalive.idle_timeout = 3s;
        }
        if (from == beginning::opening) options.decision = sansocket::request_decision::manual;
        return options;
    }
    byte_vector the_handshake() const {
        if constexpr (Role == role::server) {
            return bytes(upgrade_request);
        } else {
            const std::string request{e_.connection.handshake()->request()};
            const std::string name = "Sec-WebSocket-Key: ";
            const auto accept =
                sansocket::accept_key(request.substr(request.find(name) + name.size(), 24));
            return bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                         std::string{accept.data(), accept.size()} + "\r\n\r\n");
        }
    }

    void rule(std::string_view name, bool holds, std::string_view what) {
        ++examined_[name];
        if (!holds && broken_.empty()) broken_ = std::string{name} + ": " + std::string{what};
    }
    void happen(happens what);
    void feed(const byte_vector& bytes);
    void feed_data(const byte_vector& frame, std::string_view text, bool fin);
    void feed_part(byte_vector frame, std::size_t size, bool of_a_close);
    void feed_the_rest();
    void feed_close(close_code code, const byte_vector& payload);
    void feed_wrong(const byte_vector& bytes);
    void feed_handshake(happens what);
    void pass(sansocket::time_point now);
    void close();
    void take(std::size_t most);
    void took(byte_vector bytes, bool alive);
    void show();
    void peer_said_close(close_code code);
    // From here on nothing may go out but what has begun to, and our Close.
    void last_words() {
        last_words_ = true;
        committed_ = out_.taken() + shown_.size();
    }
    void give_up(errc cause);
    void move_away();
    void look();
    void look_at_the_queue(const snapshot& s);
    void look_at_the_end(const snapshot& s);
    void look_at_the_waiting_close(const snapshot& s);
    void look_at_the_deadline(const snapshot& s);
    void look_at_the_transport(const snapshot& s);
    void look_at_sending(const snapshot& s);

    bool open() const { return e_.connection.state() == connection_state::open; }
    bool opening() const { return e_.connection.state() == connection_state::opening; }
    bool hears() const {  // whether what the peer says still counts
        return !received_ && !over_ && !eof_;
    }
    // Whether a piece of a message that comes now is kept. A full queue ends that while closing.
    bool keeps() {
        if (!hears()) return false;
        if (!closed_here_) return true;
        discards_ |= from_ != beginning::open_deliver || e_.connection.messages().paused();
        return !discards_;
    }

    endpoint<Role> e_;
    frame_spotter out_;
    std::size_t cut_;
    beginning from_;
    sansocket::time_point opens_by_;
    std::map<std::string_view, std::size_t> examined_;
    std::string broken_;

    // What was put in.
    std::deque<std::string> unread_;  // whole messages that must be readable, in order
    std::string partial_;             // a message in fragments, as far as it is kept
    bool fragments_ = false;          // inside a fragmented message of the peer's
    bool kept_fragments_ = false;     // one of which nothing was thrown away
    bool kept_part_ = false;          // inside a frame of data, as far as it is kept
    bool sending_ = false;            // inside a message of ours
    byte_vector handshake_;           // that has not come
    byte_vector rest_;                // of the frame that came in part
    bool rest_is_close_ = false;
    bool eof_ = false;
    bool over_ = false;     // failed, lost or given up: nothing counts any more
    bool gave_up_ = false;  // aborted, or a deadline passed
    bool expired_ = false;
    bool stuck_ = false;  // and there was output that the transport had not taken
    bool closed_here_ = false;
    bool answered_here_ = false;  // the peer's Close, by the application's
    bool discards_ = false;
    std::optional<close_code> received_;
    sansocket::time_point waits_by_{};
    int number_ = 0;
    int pings_ = 0;           // that are to be answered
    std::uint64_t late_ = 0;  // bytes that came when nothing counts any more

    // What came out.
    bool head_is_out_ = false;  // that of the opening handshake
    byte_vector head_;
    byte_vector shown_;  // on its way into the transport
    std::vector<std::span<const std::byte>> views_;
    int closes_ = 0;
    int pongs_ = 0;
    bool exchanged_ = false;     // our Close was taken while there was a connection
    bool last_words_ = false;    // the peer's Close came, or the connection failed
    std::size_t committed_ = 0;  // bytes of the output that had to go out all the same

    // What was seen first.
    errc cause_ = errc::ok;
    bool cut_by_close_ = false, cut_by_end_ = false;  // what an end that comes now cuts off
    bool was_cut_ = false;
    std::optional<sansocket::close_frame> first_received_, first_sent_;
    bool clean_ = false;
    sansocket::time_point deadline_ = sansocket::never;
};

template <role Role>
bool watched<Role>::possible(happens what) const {
    using enum happens;
    const auto& c = e_.connection;
    const bool transport = !c.should_close();
    const bool readable = c.wants_read() && !eof_;
    const bool frames = readable && !opening() && rest_.empty();
    switch (what) {
    case text:
    case fragment:
    case cut_first:
    case cut_second:
    case cut_header:
    case cut_payload: return frames && !fragments_;
    case middle_fragment:
    case last_fragment: return frames && fragments_;
    case ping:
    case pong:
    case close_empty:
    case close_1001:
    case close_4000:
    case close_bad:
    case close_reserved:
    case close_not_utf8:
    case violation:
    case cut_close: return frames;
    case the_rest: return readable && !rest_.empty();
    case request:
    case half_request:
    case bad_request: return readable && opening();
    case eof:
    case tls_cut: return readable;
    case reset: return transport;
    case take_all:
    case take_byte:
    case take_none: return c.wants_write() || !views_.empty();
    case show: return c.wants_write() && views_.empty();
    case deadline: return c.next_deadline() != sansocket::never;
    case append:
    case finish: return sending_;
    case pop: return !c.messages().settled();
    case accept:
    case refuse: return c.deciding();
    case second:
    case send:
    case start:
    case send_ping:
    case close:
    case abort:
    case cancel:
    case drop:
    case move: return true;
    }
    return false;
}

template <role Role>
void watched<Role>::feed(const byte_vector& bytes) {
    const bool counts = hears();
    const auto discarded = e_.connection.close_info().discarded_bytes;
    std::size_t first = cut_ == 0 ? bytes.size() : cut_ - 1;
    std::size_t taken = 0;
    if (cut_ == 1) {
        for (const std::byte b : bytes) taken += e_.receive(byte_vector{b});
    } else {
        first = (std::min)(first, bytes.size());
        const auto middle = bytes.begin() + static_cast<std::ptrdiff_t>(first);
        taken = e_.receive(byte_vector(bytes.begin(), middle));
        if (middle != bytes.end()) taken += e_.receive(byte_vector(middle, bytes.end()));
    }
    rule("G10", taken == bytes.size(), "bytes were refused");
    if (counts) return;
    late_ += bytes.size();
    rule("G6", e_.connection.close_info().discarded_bytes == discarded + bytes.size(),
         "bytes after the end were not thrown away");
}

// A whole frame of data.
template <role Role>
void watched<Role>::feed_data(const byte_vector& frame, std::string_view text, bool fin) {
    const bool begins = !fragments_;
    const bool kept = keeps() && (begins || kept_fragments_);
    feed(frame);
    fragments_ = !fin && hears();
    if (kept) partial_ = (begins ? "" : partial_) + std::string{text};
    if (kept && fin) unread_.push_back(partial_);
    // What was thrown away leaves a message that was begun before as it was: unfinished.
    if (kept) kept_fragments_ = !fin;
}

// A frame up to `size` bytes; the rest is kept for `the_rest`.
template <role Role>
void watched<Role>::feed_part(byte_vector frame, std::size_t size, bool of_a_close) {
    constexpr std::size_t header = Role == role::server ? 6 : 2;
    if (!of_a_close && size >= header && keeps()) kept_part_ = true;
    const auto middle = frame.begin() + static_cast<std::ptrdiff_t>(size);
    rest_ = {middle, frame.end()};
    rest_is_close_ = of_a_close;
    feed({frame.begin(), middle});
}

template <role Role>
void watched<Role>::feed_the_rest() {
    const byte_vector rest = std::exchange(rest_, {});
    if (rest_is_close_) {
        feed(rest);
        return peer_said_close(close_code{4000});
    }
    // Its header came before, or comes now.
    const bool header_came = rest.size() <= 2;
    const bool kept = keeps() && (!header_came || kept_part_);
    feed(rest);
    if (kept) unread_.push_back("hh");
    if (kept) kept_part_ = false;
}

template <role Role>
void watched<Role>::feed_close(close_code code, const byte_vector& payload) {
    feed(frame<Role>(sansocket::opcode::close, payload));
    peer_said_close(code);
}

template <role Role>
void watched<Role>::feed_wrong(const byte_vector& bytes) {
    const bool counts = hears();
    feed(bytes);
    if (!counts) return;
    if (!closed_here_) last_words();
    over_ = true;
}

template <role Role>
void watched<Role>::feed_handshake(happens what) {
    if (what == happens::bad_request) {
        feed(bytes("no HTTP\r\n\r\n"));
        over_ = true;
        return;
    }
    const std::size_t size = what == happens::half_request
                                 ? (std::min)(std::size_t{20}, handshake_.size() - 1)
                                 : handshake_.size();
    const auto middle = handshake_.begin() + static_cast<std::ptrdiff_t>(size);
    const byte_vector part(handshake_.begin(), middle);
    handshake_.erase(handshake_.begin(), middle);
    feed(part);
}

template <role Role>
void watched<Role>::peer_said_close(close_code code) {
    if (!hears()) return;
    received_ = code;
    waits_by_ = e_.now + waiting_time;
}

template <role Role>
void watched<Role>::give_up(errc cause) {
    const bool was_over = e_.connection.explain().closing == close_state::ended;
    e_.connection.abort(cause);
    if (was_over) return;
    gave_up_ = over_ = true;
    unread_.clear();
}

template <role Role>
void watched<Role>::close() {
    const bool was_opening = opening();
    if (e_.connection.close(close_code::going_away, "bye", e_.now) != errc::ok) return;
    if (was_opening) {
        over_ = true;
        gave_up_ = Role == role::client;
        return;
    }
    closed_here_ = true;
    answered_here_ = received_.has_value();  // behind all that was sent
    if (from_ != beginning::open_deliver) unread_.clear();
}

template <role Role>
void watched<Role>::pass(sansocket::time_point now) {
    e_.now = now;
    const bool was_open = open();
    const bool was_opening = opening();
    const auto before = e_.connection.explain();
    e_.connection.advance(now);
    if (was_opening && now >= opens_by_) gave_up_ = over_ = true;
    if (before.closing != close_state::ended && now >= deadline_) {
        if (!expired_) stuck_ = before.output_bytes != 0;
        expired_ = true;
    }
    // The peer was silent too long, or took nothing.
    if (was_open && !open() && !received_) gave_up_ = over_ = true;
    if (expired_ && !received_) over_ = true;
}

template <role Role>
void watched<Role>::move_away() {
    const auto before = e_.connection.explain();
    connection_type other = std::move(e_.connection);
    const auto& from = e_.connection;
    rule("G14",
         from.state() == connection_state::closed && from.should_close() && !from.wants_read() &&
             !from.wants_write() && from.messages().at_eof() &&
             from.next_deadline() == sansocket::never,
         "what was moved from does not answer as closed");
    e_.connection = std::move(other);
    const auto after = e_.connection.explain();
    rule("G14",
         before.state == after.state && before.cause == after.cause &&
             before.output_bytes == after.output_bytes && before.deadline == after.deadline &&
             before.queued_messages == after.queued_messages && before.shutdown == after.shutdown &&
             before.wants_read == after.wants_read,
         "a move changed the connection");
}

template <role Role>
void watched<Role>::show() {
    for (const auto view : e_.connection.output()) {
        views_.push_back(view);
        shown_.insert(shown_.end(), view.begin(), view.end());
    }
}

template <role Role>
void watched<Role>::take(std::size_t most) {
    const bool alive = e_.connection.explain().closing != close_state::ended;
    if (views_.empty()) return took(e_.sent(most), alive);
    byte_vector out;
    for (const auto view : views_) out.insert(out.end(), view.begin(), view.end());
    rule("G16", out == shown_, "what is being written changed");
    out.resize((std::min)(most, out.size()));
    views_.clear();
    shown_.clear();
    e_.connection.consume_output(out.size(), e_.now);
    took(std::move(out), alive);
}

template <role Role>
void watched<Role>::took(byte_vector bytes, bool alive) {
    if (!head_is_out_) {
        constexpr std::string_view end = "\r\n\r\n";
        head_ = head_ + bytes;
        const std::string text = text_of(head_);
        const auto at = text.find(end);
        if (at == std::string::npos) return;
        head_is_out_ = true;
        bytes = {head_.begin() + static_cast<std::ptrdiff_t>(at + end.size()), head_.end()};
    }
    if (!e_.connection.was_opened()) return;  // a page that says why not
    for (const auto& frame : out_.feed(bytes)) {
        const bool is_close = frame.opcode == 8;
        if (closes_ != 0) {
            rule("G4", !is_close, "two Close frames");
            rule("G5", frame.opcode == 10, "something but a Pong behind the Close");
        }
        if (last_words_ && !is_close)
            rule(received_ ? "G5" : "G18", frame.begin < committed_,
                 "a frame that had not begun when nothing but our Close was to be sent");
        if (is_close) ++closes_;
        if (is_close) exchanged_ = alive;
        if (frame.opcode == 10) ++pongs_;
    }
    rule("G16", !out_.wrong(), "what went out is no stream of frames");
}

template <role Role>
void watched<Role>::apply(happens what) {
    cut_by_close_ = kept_fragments_;
    cut_by_end_ = !opening() && (!rest_.empty() || kept_fragments_ || kept_part_);
    happen(what);
    look();
}

template <role Role>
void watched<Role>::happen(happens what) {
    using enum happens;
    using sansocket::opcode;
    auto& c = e_.connection;
    const std::string name = std::to_string(number_++ % 10);
    const byte_vector two = frame<Role>(opcode::text, bytes("hh"));
    const std::size_t header = two.size() - 2;
    switch (what) {
    case text: return feed_data(frame<Role>(opcode::text, bytes(name)), name, true);
    case fragment: return feed_data(frame<Role>(opcode::text, bytes(name), false), name, false);
    case middle_fragment:
        return feed_data(frame<Role>(opcode::continuation, bytes(name), false), name, false);
    case last_fragment:
        return feed_data(frame<Role>(opcode::continuation, bytes(name)), name, true);
    case ping: pings_ += hears() ? 1 : 0; return feed(frame<Role>(opcode::ping, bytes("p")));
    case pong: return feed(frame<Role>(opcode::pong, bytes("p")));
    case close_empty: return feed_close(close_code::no_status, {});
    case close_1001: return feed_close(close_code::going_away, close_bytes(1001));
    case close_4000: return feed_close(close_code{4000}, close_bytes(4000, "r"));
    case close_bad: return feed_wrong(frame<Role>(opcode::close, bytes("x")));
    case close_reserved: return feed_wrong(frame<Role>(opcode::close, close_bytes(1005)));
    case close_not_utf8: return feed_wrong(frame<Role>(opcode::close, close_bytes(1000, "\xff")));
    case violation: return feed_wrong(hex("ff ff"));
    case cut_first: return feed_part(two, 1, false);
    case cut_second: return feed_part(two, 2, false);
    case cut_header: return feed_part(two, header, false);
    case cut_payload: return feed_part(two, header + 1, false);
    case cut_close: {
        const byte_vector close_frame = frame<Role>(opcode::close, close_bytes(4000, "r"));
        return feed_part(close_frame, close_frame.size() - 1, true);
    }
    case the_rest: return feed_the_rest();
    case request:
    case half_request:
    case bad_request: return feed_handshake(what);
    case eof:
    case tls_cut:
        if (hears()) over_ = true;
        eof_ = true;
        return c.receive_end(e_.now, what == eof ? errc::end_of_stream : errc::tls_truncated);
    case reset: over_ = eof_ = true; return c.transport_lost(e_.now);
    case take_all: return take(static_cast<std::size_t>(-1));
    case take_byte: return take(1);
    case take_none:
        if (views_.empty()) this->show();
        return take(0);
    case show: return this->show();
    case deadline: return pass((std::max)(e_.now, c.next_deadline()));
    case second: return pass(e_.now + 1s);
    case send: (void)c.send_text("s"); return;
    case start:
        if (c.start(sansocket::message_kind::text) == errc::ok) sending_ = true;
        return;
    case append: (void)c.append("a"); return;
    case finish:
        if (c.finish() == errc::ok) sending_ = false;
        return;
    case send_ping: (void)c.send_ping(); return;
    case pop: {
        const auto m = c.messages().pop();
        if (unread_.empty()) return rule("G1", !m, "a message from nowhere");
        rule("G1", m && !unread_.empty() && m->text() == unread_.front(), "the wrong message");
        return unread_.pop_front();
    }
    case accept:
        if constexpr (Role == role::server)
            rule("G13", c.accept("", {}, e_.now) == errc::ok, "a request cannot be accepted");
        return;
    case refuse:
        if constexpr (Role == role::server)
            rule("G13", c.refuse(403, {}, "", e_.now) == errc::ok, "nor refused");
        over_ = true;
        return;
    case close: return this->close();
    case abort: return give_up(errc::aborted);
    case cancel: return give_up(errc::cancelled);
    case drop: return give_up(errc::dropped);
    case move: return move_away();
    }
}

template <role Role>
void watched<Role>::look() {
    const snapshot s = e_.connection.explain();
    const bool waits = s.closing == close_state::received;
    if (received_ && !waits && !answered_here_ && !last_words_) last_words();
    if (waits) look_at_the_waiting_close(s);
    look_at_the_queue(s);
    look_at_the_end(s);
    look_at_the_deadline(s);
    look_at_the_transport(s);
    look_at_sending(s);
}

template <role Role>
void watched<Role>::look_at_the_queue(const snapshot& s) {
    const auto& queue = e_.connection.messages();
    rule("G1", queue.size() == unread_.size(), "messages are missing, or too many");
    const bool ended = s.cause != errc::ok;
    rule("G1", queue.is_eof() == ended && queue.at_eof() == (ended && unread_.empty()),
         "the queue's end does not come behind its messages");
    if (ended) rule("G1", queue.cause() == s.cause, "the queue ended for another cause");
    if (s.paused) rule("G10", !unread_.empty(), "paused with nothing queued");
}

template <role Role>
void watched<Role>::look_at_the_end(const snapshot& s) {
    const auto& info = e_.connection.close_info();
    rule("G2", info.code() == received_.value_or(close_code::abnormal), "the wrong close code");
    const bool exchanged = exchanged_ && received_.has_value();
    rule("G3", !s.clean || exchanged, "clean, and a Close is missing");
    rule("G3", s.clean || !exchanged, "both Closes, and not clean");
    rule("G3", s.clean || !clean_, "clean no more");
    const bool violated = sansocket::who_ended(s.cause) == sansocket::ended_by::violation;
    if (cause_ == errc::ok && s.cause != errc::ok)
        was_cut_ = s.received || violated ? cut_by_close_ : cut_by_end_;
    rule("G15", info.incomplete_message == was_cut_,
         "whether the end cut off a message is not as it was");
    rule("G15", cause_ == errc::ok || s.cause == cause_, "the cause changed");
    rule("G15", !first_received_ || info.received == first_received_, "the peer's Close changed");
    rule("G15", !first_sent_ || info.sent == first_sent_, "our Close changed");
    cause_ = s.cause;
    first_received_ = info.received;
    first_sent_ = info.sent;
    clean_ = s.clean;
    if (s.state == connection_state::closed)
        rule("G12", s.cause != errc::ok && (s.deadline == sansocket::never || !gave_up_),
             "closed, and something is still pending");
    if (s.sent)
        rule("G17", *s.sent == close_code::no_status || sansocket::may_be_sent(*s.sent),
             "a close code that may not be sent");
    const bool failed = over_ && violated && e_.connection.was_opened();
    if (failed && !closed_here_)
        rule("G18", s.sent == close_code_for(s.cause) && !received_, "failed without saying so");
    if (failed) rule("G7", !info.received, "a Close after the failure counts");
}

template <role Role>
void watched<Role>::look_at_the_waiting_close(const snapshot& s) {
    rule("G5", !s.sent && s.state == connection_state::open, "it is answered already");
    rule("G9", s.deadline <= waits_by_, "the peer's Close waits too long");
    const bool next = e_.connection.messages().settled() && s.output_bytes == 0;
    rule("G9", (s.deadline == sansocket::immediately) == next,
         "it waits for what is done, or not for what is not");
}

template <role Role>
void watched<Role>::look_at_the_deadline(const snapshot& s) {
    const bool ending = s.state == connection_state::closing || s.closing == close_state::failed ||
                        s.closing == close_state::complete;
    if (s.state == connection_state::opening)
        rule("G9", s.deadline == opens_by_, "the opening deadline moved");
    if (ending && deadline_ == sansocket::never) deadline_ = e_.now + closing_time;
    if (ending && !expired_ && !gave_up_ && s.shutdown < shutdown_request::close) {
        rule("G9", s.deadline <= deadline_, "the deadline moved");
        rule("G11", s.deadline >= deadline_, "another timer runs");
    }
    if (expired_ && s.closing != close_state::complete)
        rule("G9", s.shutdown == shutdown_request::abort, "the deadline passed without an abort");
    if (sansocket::who_ended(s.cause) == sansocket::ended_by::timeout)
        rule("G9", s.shutdown == shutdown_request::abort, "a timeout without an abort");
}

template <role Role>
void watched<Role>::look_at_the_transport(const snapshot& s) {
    const bool ending = s.state == connection_state::closing || s.closing == close_state::failed ||
                        s.closing == close_state::complete;
    const bool flushed = s.output_bytes == 0;
    const bool waits = s.closing == close_state::received;
    if ((ending || waits) && !eof_ && !gave_up_ && !expired_)
        rule("G10", s.wants_read, "reading stopped in the closing handshake");
    if (s.closing == close_state::complete && stuck_ && !gave_up_)
        rule("G9", s.shutdown == shutdown_request::abort && flushed,
             "a peer that takes nothing is waited for");
    if (s.closing == close_state::complete && !gave_up_ && flushed && !stuck_) {
        const bool done = Role == role::server || eof_ || expired_;
        rule("G8", s.shutdown == (done ? shutdown_request::close : shutdown_request::none),
             "not the right role ends TCP");
    }
    if (s.closing == close_state::failed && flushed && !gave_up_ && !expired_)
        rule("G18", s.shutdown == (eof_ ? shutdown_request::close : shutdown_request::half_close),
             "a failed connection does not half-close and wait");
    const bool talks = s.state == connection_state::open || s.state == connection_state::closing;
    if (talks && flushed && views_.empty() && !last_words_ && !over_)
        rule("G5", pongs_ == pings_, "a Ping before the peer's Close is not answered");
}

template <role Role>
void watched<Role>::look_at_sending(const snapshot& s) {
    if (s.state == connection_state::open) return;
    auto& c = e_.connection;
    const errc expected = s.state == connection_state::opening   ? errc::not_open
                          : s.state == connection_state::closing ? errc::closing
                                                                 : errc::closed;
    rule("G13",
         c.send_text("x") == expected && c.send_ping() == expected &&
             c.start(sansocket::message_kind::text) == expected && c.append("x") == expected &&
             c.finish() == expected &&
             (s.state == connection_state::opening ||
              c.close(close_code::normal, "", e_.now) == expected),
         "a send was not refused as it should be");
    const snapshot after = c.explain();
    rule("G13",
         after.output_bytes == s.output_bytes && after.state == s.state && after.sent == s.sent &&
             after.deadline == s.deadline,
         "a refused send changed something");
}

template <role Role>
void watched<Role>::finish_all() {
    for (int i = 0; i != 8 && !e_.connection.should_close(); ++i) {
        if (possible(happens::take_all) && i < 2) apply(happens::take_all);
        while (possible(happens::pop)) apply(happens::pop);
        if (possible(happens::deadline)) apply(happens::deadline);
    }
    rule("G9", e_.connection.should_close() && !open(), "it never ends");
}

template <role Role>
std::string watched<Role>::key() const {
    const snapshot s = e_.connection.explain();
    std::string out;
    const auto add = [&out](auto... values) {
        ((out += std::to_string(static_cast<long long>(values)), out += ' '), ...);
    };
    const auto since = [this](sansocket::time_point then) {  // in seconds; long ago is long ago
        return then == sansocket::never || then == sansocket::immediately
                   ? -1
                   : (std::min)((e_.now - then) / 1s, std::chrono::seconds::rep{6});
    };
    add(from_, s.state, s.closing, s.cause, s.clean, s.incomplete_message);
    add(s.sent ? static_cast<int>(*s.sent) : 0, s.received ? static_cast<int>(*s.received) : 0);
    add(s.queued_messages, e_.connection.messages().settled(), s.paused, s.output_bytes,
        s.output_frames);
    add(s.deadline == sansocket::never         ? -1
        : s.deadline == sansocket::immediately ? -2
                                               : (s.deadline - e_.now).count());
    add(s.wants_read, s.wants_write, s.shutdown, late_ != 0);
    if (s.state == connection_state::open) add(since(s.last_received));
    add(since(s.write_stalled_since), e_.connection.deciding(), handshake_.size());
    add(fragments_, kept_fragments_, kept_part_, partial_.size(), sending_, rest_.size());
    add(rest_is_close_, eof_, over_, gave_up_, expired_, stuck_, closed_here_, answered_here_,
        discards_);
    add(out_.begun(), closes_, exchanged_, shown_.size(), head_is_out_, pings_ - pongs_);
    add(last_words_, last_words_ ? committed_ - (std::min)(committed_, out_.taken()) : 0);
    return out;
}

}  // namespace support
