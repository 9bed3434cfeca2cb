// A connection that is told every kind of thing, and somebody who watches it: an observer that knows
// what was put in, reads what comes out with a parser of its own, and says which rule of the close
// lifecycle (G1 to G18, docs/closing.md) was broken, if one was.
#pragma once

#include "endpoint.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

// What can happen to an open connection.
enum class happens : std::uint8_t {
    text,           // the peer's: a message
    fragment,       //   the first fragment of one
    last_fragment,  //   the rest of it
    ping,
    pong,
    close_empty,  //   a Close without a code
    close_4000,   //   with a code and a reason
    close_bad,    //   with a payload of one byte
    violation,    //   reserved bits
    half_frame,   //   a part of a frame
    other_half,   //   the rest of it
    eof,          // the transport's
    tls_cut,
    reset,
    take_all,   //   it takes all output
    take_byte,  //   a byte of it
    take_none,  //   none
    deadline,   // the time of the next deadline comes
    send,       // the application's
    start,
    append,
    finish,
    send_ping,
    pop,
    close,
    abort,
    cancel,
    drop,
    move,  // the connection is moved
};
inline constexpr std::array happenings{
    happens::text,      happens::fragment,    happens::last_fragment, happens::ping,
    happens::pong,      happens::close_empty, happens::close_4000,    happens::close_bad,
    happens::violation, happens::half_frame,  happens::other_half,    happens::eof,
    happens::tls_cut,   happens::reset,       happens::take_all,      happens::take_byte,
    happens::take_none, happens::deadline,    happens::send,          happens::start,
    happens::append,    happens::finish,      happens::send_ping,     happens::pop,
    happens::close,     happens::abort,       happens::cancel,        happens::drop,
    happens::move};
inline constexpr std::array<std::string_view, happenings.size()> happening_names{
    "text",       "fragment",  "last_fragment", "ping",       "pong",       "close_empty",
    "close_4000", "close_bad", "violation",     "half_frame", "other_half", "eof",
    "tls_cut",    "reset",     "take_all",      "take_byte",  "take_none",  "deadline",
    "send",       "start",     "append",        "finish",     "send_ping",  "pop",
    "close",      "abort",     "cancel",        "drop",       "move"};

// The frames in a stream of bytes. Not the library's parser: an opinion of its own.
class frame_spotter {
public:
    struct spotted {
        unsigned opcode;
        std::size_t size;
    };
    explicit frame_spotter(bool masked) : masked_(masked) {}

    std::vector<spotted> feed(const byte_vector& bytes) {
        begun_.insert(begun_.end(), bytes.begin(), bytes.end());
        std::vector<spotted> out;
        while (const std::size_t size = whole()) {
            out.push_back({std::to_integer<unsigned>(begun_[0]) & 15U, size});
            begun_.erase(begun_.begin(), begun_.begin() + static_cast<std::ptrdiff_t>(size));
        }
        return out;
    }
    [[nodiscard]] bool inside() const { return !begun_.empty(); }
    [[nodiscard]] std::size_t begun() const { return begun_.size(); }
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
    byte_vector begun_;
};

template <role Role>
class watched {
public:
    using connection_type = typename endpoint<Role>::connection_type;

    static sansocket::options small() {
        sansocket::options options;
        options.queue.high_count = 2;
        options.queue.low_count = 1;
        options.sending.high_count = 2;
        return options;
    }
    explicit watched(const sansocket::options& options = small())
        : e_(options), out_(Role == role::client) {
        e_.left_open = true;
        e_.open();
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

    void rule(std::string_view name, bool holds, std::string_view what) {
        ++examined_[name];
        if (!holds && broken_.empty()) broken_ = std::string{name} + ": " + std::string{what};
    }
    void feed(const byte_vector& bytes);
    void take(std::size_t most);
    void took(const byte_vector& bytes);
    void peer_said_close(close_code code);
    // From here on our Close may go out, and the frame that has begun to.
    void last_words() {
        last_words_ = true;
        inside_when_ended_ = out_.inside();
    }
    void give_up(errc cause);
    void move_away();
    void look();
    void look_at_the_queue(const snapshot& s);
    void look_at_the_end(const snapshot& s);
    void look_at_the_transport(const snapshot& s);
    void look_at_sending(const snapshot& s);

    bool open() const { return e_.connection.state() == connection_state::open; }
    bool hears() const {  // whether what the peer says still counts
        return !received_ && !over_ && !eof_;
    }

    endpoint<Role> e_;
    frame_spotter out_;
    std::map<std::string_view, std::size_t> examined_;
    std::string broken_;

    // What was put in.
    std::deque<std::string> unread_;  // whole messages that must be readable, in order
    std::string partial_;
    bool fragments_ = false;  // inside a fragmented message of the peer's
    bool sending_ = false;    // inside one of ours
    byte_vector rest_;        // of the frame that came in part
    bool eof_ = false;
    bool over_ = false;     // failed, lost or given up: nothing counts any more
    bool gave_up_ = false;  // aborted, or a deadline passed
    bool expired_ = false;
    bool closed_here_ = false;
    std::optional<close_code> received_;
    int number_ = 0;
    std::uint64_t late_ = 0;  // bytes that came when nothing counts any more

    // What came out.
    int closes_ = 0;
    bool last_words_ = false;         // the peer's Close came, or the connection failed
    bool inside_when_ended_ = false;  // and a frame of ours was on its way then
    int after_ = 0;                   // frames but the Close that went out since

    // What was seen first.
    errc cause_ = errc::ok;
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
    switch (what) {
    case text:
    case fragment:
    case half_frame: return readable && rest_.empty() && !fragments_;
    case last_fragment: return readable && rest_.empty() && fragments_;
    case ping:
    case pong:
    case close_empty:
    case close_4000:
    case close_bad:
    case violation: return readable && rest_.empty();
    case other_half: return readable && !rest_.empty();
    case eof:
    case tls_cut: return readable;
    case reset: return transport;
    case take_all:
    case take_byte:
    case take_none: return c.wants_write();
    case deadline: return c.next_deadline() != sansocket::never;
    case append:
    case finish: return sending_;
    case pop: return c.messages().size() != 0;
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
    rule("G10", e_.receive(bytes) == bytes.size(), "bytes were refused");
    if (counts) return;
    late_ += bytes.size();
    rule("G6", e_.connection.close_info().discarded_bytes == discarded + bytes.size(),
         "bytes after the end were not thrown away");
}

template <role Role>
void watched<Role>::peer_said_close(close_code code) {
    if (!hears()) return;
    received_ = code;
    last_words();
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
void watched<Role>::take(std::size_t most) {
    took(e_.sent(most));
}

template <role Role>
void watched<Role>::took(const byte_vector& bytes) {
    for (const auto& frame : out_.feed(bytes)) {
        const bool is_close = frame.opcode == 8;
        if (closes_ != 0) {
            rule("G4", !is_close, "two Close frames");
            rule("G5", frame.opcode == 10, "something but a Pong behind the Close");
        }
        if (last_words_ && !is_close) {
            ++after_;
            rule(received_ ? "G5" : "G18", inside_when_ended_ && after_ == 1,
                 "a frame that had not begun when nothing but our Close was to be sent");
        }
        if (is_close) ++closes_;
    }
    rule("G16", !out_.wrong(), "what went out is no stream of frames");
}

template <role Role>
void watched<Role>::apply(happens what) {
    using enum happens;
    using sansocket::opcode;
    auto& c = e_.connection;
    const std::string name = std::to_string(number_++ % 10);
    const bool delivers = hears() && !closed_here_;
    const auto whole = [&](std::string data) {
        if (delivers) unread_.push_back(std::move(data));
    };
    switch (what) {
    case text: feed(frame<Role>(opcode::text, bytes(name))); return whole(name), look();
    case fragment:
        feed(frame<Role>(opcode::text, bytes(name), false));
        partial_ = name;
        fragments_ = hears();
        return look();
    case last_fragment:
        feed(frame<Role>(opcode::continuation, bytes(name)));
        fragments_ = false;
        return whole(partial_ + name), look();
    case ping: return feed(frame<Role>(opcode::ping, bytes("p"))), look();
    case pong: return feed(frame<Role>(opcode::pong, bytes("p"))), look();
    case close_empty:
        feed(frame<Role>(opcode::close, {}));
        return peer_said_close(close_code::no_status), look();
    case close_4000:
        feed(frame<Role>(opcode::close, close_bytes(4000, "r")));
        return peer_said_close(close_code{4000}), look();
    case close_bad:
    case violation: {
        const bool counts = hears();
        feed(what == violation ? hex("ff ff") : frame<Role>(opcode::close, bytes("x")));
        if (counts && !closed_here_) last_words();
        if (counts) over_ = true;
        return look();
    }
    case half_frame: {
        const byte_vector all = frame<Role>(opcode::text, bytes("h"));
        feed({all.begin(), all.begin() + 2});
        rest_ = {all.begin() + 2, all.end()};
        return look();
    }
    case other_half: feed(std::exchange(rest_, {})); return whole("h"), look();
    case eof:
    case tls_cut:
        if (hears()) over_ = true;
        eof_ = true;
        c.receive_end(e_.now, what == eof ? errc::end_of_stream : errc::tls_truncated);
        return look();
    case reset:
        over_ = eof_ = true;
        c.transport_lost(e_.now);
        return look();
    case take_all: take(static_cast<std::size_t>(-1)); return look();
    case take_byte: take(1); return look();
    case take_none:
        (void)c.output();
        c.consume_output(0, e_.now);
        return look();
    case deadline: {
        const bool closing_time = !open();
        e_.now = (std::max)(e_.now, c.next_deadline());
        c.advance(e_.now);
        if (closing_time) expired_ = true;
        if (c.state() == connection_state::closed && !received_) over_ = true;
        return look();
    }
    case send: (void)c.send_text("s"); return look();
    case start:
        if (c.start(sansocket::message_kind::text) == errc::ok) sending_ = true;
        return look();
    case append: (void)c.append("a"); return look();
    case finish:
        if (c.finish() == errc::ok) sending_ = false;
        return look();
    case send_ping: (void)c.send_ping(); return look();
    case pop: {
        const auto m = c.messages().pop();
        rule("G1", m && !unread_.empty() && m->text() == unread_.front(), "the wrong message");
        if (!unread_.empty()) unread_.pop_front();
        return look();
    }
    case close:
        if (c.close(close_code::going_away, "bye", e_.now) == errc::ok) {
            closed_here_ = true;
            unread_.clear();
        }
        return look();
    case abort: return give_up(errc::aborted), look();
    case cancel: return give_up(errc::cancelled), look();
    case drop: return give_up(errc::dropped), look();
    case move: return move_away(), look();
    }
}

template <role Role>
void watched<Role>::look() {
    const snapshot s = e_.connection.explain();
    look_at_the_queue(s);
    look_at_the_end(s);
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
    const bool exchanged = closes_ == 1 && received_.has_value();
    rule("G3", !s.clean || exchanged, "clean, and a Close is missing");
    rule("G3", s.clean || !exchanged, "both Closes, and not clean");
    rule("G3", s.clean || !clean_, "clean no more");
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
    const bool failed = over_ && sansocket::who_ended(s.cause) == sansocket::ended_by::violation;
    if (failed && !closed_here_)
        rule("G18", s.sent == close_code_for(s.cause) && !received_, "failed without saying so");
    if (failed) rule("G7", !info.received, "a Close after the failure counts");
}

template <role Role>
void watched<Role>::look_at_the_transport(const snapshot& s) {
    const bool ending = s.state == connection_state::closing || s.closing == close_state::failed ||
                        s.closing == close_state::complete;
    const bool flushed = s.output_bytes == 0;
    if (ending && !eof_ && !gave_up_ && !expired_)
        rule("G10", s.wants_read, "reading stopped in the closing handshake");
    if (ending && !expired_ && !gave_up_ && s.shutdown < shutdown_request::close) {
        if (deadline_ == sansocket::never) deadline_ = e_.now + 5s;
        rule("G9", s.deadline == deadline_, "the deadline moved");
        rule("G11", s.deadline == deadline_, "another timer runs");
    }
    if (expired_ && s.closing != close_state::complete && !flushed)
        rule("G9", s.shutdown == shutdown_request::abort, "the deadline passed without an abort");
    if (s.closing == close_state::complete && !gave_up_ && flushed) {
        const bool done = Role == role::server || eof_ || expired_;
        rule("G8", s.shutdown == (done ? shutdown_request::close : shutdown_request::none),
             "not the right role ends TCP");
    }
    if (s.closing == close_state::failed && flushed && !gave_up_ && !expired_)
        rule("G18", s.shutdown == (eof_ ? shutdown_request::close : shutdown_request::half_close),
             "a failed connection does not half-close and wait");
}

template <role Role>
void watched<Role>::look_at_sending(const snapshot& s) {
    if (s.state == connection_state::open) return;
    auto& c = e_.connection;
    const errc expected = s.state == connection_state::closing ? errc::closing : errc::closed;
    rule("G13",
         c.send_text("x") == expected && c.send_ping() == expected &&
             c.start(sansocket::message_kind::text) == expected && c.append("x") == expected &&
             c.finish() == expected && c.close(close_code::normal, "", e_.now) == expected,
         "a send was not refused as it should be");
    const snapshot after = c.explain();
    rule("G13",
         after.output_bytes == s.output_bytes && after.state == s.state && after.sent == s.sent &&
             after.deadline == s.deadline,
         "a refused send changed something");
}

template <role Role>
void watched<Role>::finish_all() {
    for (int i = 0; i != 6 && !e_.connection.should_close(); ++i) {
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
    const auto add = [&out](auto value) {
        out += std::to_string(static_cast<long long>(value));
        out += ' ';
    };
    add(s.state), add(s.closing), add(s.cause), add(s.clean), add(s.incomplete_message);
    add(s.sent ? static_cast<int>(*s.sent) : 0),
        add(s.received ? static_cast<int>(*s.received) : 0);
    add(s.queued_messages), add(s.paused), add(s.output_bytes), add(s.output_frames);
    add(s.deadline == sansocket::never         ? -1
        : s.deadline == sansocket::immediately ? -2
                                               : (s.deadline - e_.now).count());
    add(s.wants_read), add(s.wants_write), add(s.shutdown), add(late_ != 0);
    add(fragments_), add(sending_), add(rest_.size()), add(eof_), add(over_), add(gave_up_);
    add(expired_), add(closed_here_), add(out_.begun()), add(closes_), add(inside_when_ended_),
        add(last_words_);
    add(after_), add(deadline_ == sansocket::never ? -1 : 1);
    return out;
}

}  // namespace support
