// A client and a server with a link between them, and every interleaving of what they do with what
// the link delivers, shortest first, as far as the time goes.
#include <sansocket/connection.hpp>

#include "exploration/explore.hpp"
#include "support/endpoint.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

using namespace support;

namespace {

enum class act : std::uint8_t {
    send,
    start,   // a message in fragments
    append,  // its next one
    finish,  // and its last
    close,
    ping,
    pop,
    abort,
    cancel,
    drop,
    move,
    take,
    take_byte,
    show,  // a write begins; `take` ends it
    deliver,
    deliver_byte
};
constexpr std::size_t acts = 16;
// An event: an act of the client, of the server, the loss of the link in two ways, or time.
constexpr std::size_t lose = 2 * acts;
constexpr std::size_t cut_tls = 2 * acts + 1;  // the link ends without close_notify
constexpr std::size_t time_passes = 2 * acts + 2;
constexpr std::size_t events = 2 * acts + 3;
constexpr const char* names[] = {"send",      "start", "append",  "finish",      "close", "ping",
                                 "pop",       "abort", "cancel",  "drop",        "move",  "take",
                                 "take_byte", "show",  "deliver", "deliver_byte"};
static_assert(std::size(names) == acts);

std::string told(const std::vector<std::uint8_t>& sequence) {
    std::string out;
    for (const std::uint8_t e : sequence) {
        if (e == lose) out += " lose";
        else if (e == cut_tls) out += " cut_tls";
        else if (e == time_passes) out += " time";
        else (out += e < acts ? " client." : " server.") += names[e % acts];
    }
    return out;
}

// One end, and the bytes on their way to it.
template <role Role>
struct end {
    end() { e.left_open = true; }

    endpoint<Role> e;
    byte_vector incoming;
    byte_vector shown;         // a write that is under way
    bool eof_comes = false;    // behind the bytes
    bool eof_is_cut = false;   // and without close_notify
    bool reset_comes = false;  // at once
    bool input_over = false;
    bool output_over = false;
    bool gone = false;  // its socket is closed
    bool closed_here = false;
    std::vector<std::string> accepted;  // messages it took for sending
    std::string begun;                  // one that it is sending
    bool sending = false;
    std::size_t fragments = 0;  // of all of them
    std::size_t pings = 0;
    std::vector<std::string> got;  // messages its application has

    [[nodiscard]] const auto& info() const { return e.connection.close_info(); }
};

class world {
public:
    world() {
        // The opening handshake; afterwards nothing is under way.
        for (int i = 0; i != 2; ++i) {
            b.e.receive(a.e.sent());
            a.e.receive(b.e.sent());
        }
        REQUIRE(a.e.connection.state() == connection_state::open);
        REQUIRE(b.e.connection.state() == connection_state::open);
    }

    bool apply(std::size_t event) {
        if (event == lose) {
            if (lossy_ || (a.gone && b.gone)) return false;
            lossy_ = true;
            return cut(a, b), true;
        }
        if (event == cut_tls) {
            if (lossy_ || (a.gone && b.gone)) return false;
            lossy_ = true;
            a.eof_comes = b.eof_comes = a.eof_is_cut = b.eof_is_cut = true;
            return true;
        }
        if (event == time_passes) return pass_time();
        const auto what = static_cast<act>(event % acts);
        const bool done = event < acts ? apply(a, b, what) : apply(b, a, what);
        if (done) transports();
        return done;
    }

    // All that was begun comes to its end.
    void finish() {
        if (a.e.connection.state() == connection_state::open &&
            b.e.connection.state() == connection_state::open)
            (void)apply(a, b, act::close);
        for (int i = 0; i != 12; ++i) {
            bool moved = true;
            while (moved) {
                moved = false;
                for (const act what : {act::pop, act::take, act::deliver}) {
                    while (apply(a, b, what)) transports(), moved = true;
                    while (apply(b, a, what)) transports(), moved = true;
                }
            }
            if (a.gone && b.gone) break;
            lossy_ |= !(a.info().clean && b.info().clean);
            (void)pass_time();
        }
        rule(a.gone && b.gone, "it never ends");
        check_end(a, b);
        check_end(b, a);
    }

    [[nodiscard]] std::string key() const {
        return key_of(a) + key_of(b) + (lossy_ ? "l" : "") + (moves_ != 0 ? "m" : "");
    }
    [[nodiscard]] const std::string& broken() const { return broken_; }

private:
    void rule(bool holds, const char* what) {
        if (!holds && broken_.empty()) broken_ = what;
    }

    template <class X, class Y>
    bool apply(X& x, Y& y, act what) {
        auto& c = x.e.connection;
        switch (what) {
        case act::send: {
            const std::string text = std::to_string(x.accepted.size());
            if (x.accepted.size() == 2 || c.send_text(text) != errc::ok) return false;
            x.accepted.push_back(text);
            return true;
        }
        case act::start:
            if (x.accepted.size() == 2 || c.start(sansocket::message_kind::text) != errc::ok)
                return false;
            x.begun.clear();
            return x.sending = true;
        case act::append:
            if (x.fragments == 2 || !x.sending || c.append("f") != errc::ok) return false;
            ++x.fragments;
            x.begun += 'f';
            return true;
        case act::finish:
            if (!x.sending || c.finish() != errc::ok) return false;
            x.sending = false;
            x.accepted.push_back(x.begun);
            return true;
        case act::close:
            if (c.close(close_code{static_cast<std::uint16_t>(&x == static_cast<void*>(&a) ? 4001
                                                                                           : 4002)},
                        "", x.e.now) != errc::ok)
                return false;
            return x.closed_here = true;
        case act::ping:
            if (x.pings == 1 || c.send_ping() != errc::ok) return false;
            return ++x.pings != 0;
        case act::pop: {
            const auto m = c.messages().pop();
            if (!m) return false;
            x.got.emplace_back(m->text());
            const bool in_order =
                x.got.size() <= y.accepted.size() && x.got.back() == y.accepted[x.got.size() - 1];
            rule(in_order, "a message is lost, or out of order");
            return true;
        }
        case act::abort: return give_up(x, errc::aborted);
        case act::cancel: return give_up(x, errc::cancelled);
        case act::drop: return give_up(x, errc::dropped);
        case act::move: {
            if (x.gone || moves_++ != 0) return false;
            auto other = std::move(c);
            c = std::move(other);
            return true;
        }
        case act::take: return take(x, y, static_cast<std::size_t>(-1));
        case act::take_byte: return take(x, y, 1);
        case act::show:
            if (!c.wants_write() || x.gone || !x.shown.empty()) return false;
            for (const auto part : c.output())
                x.shown.insert(x.shown.end(), part.begin(), part.end());
            return true;
        case act::deliver: return deliver(x, static_cast<std::size_t>(-1));
        case act::deliver_byte: return x.incoming.size() > 1 && deliver(x, 1);
        }
        return false;
    }

    template <class X>
    bool give_up(X& x, errc cause) {
        if (x.gone) return false;
        lossy_ = true;
        x.e.connection.abort(cause);
        return true;
    }

    template <class X, class Y>
    bool take(X& x, Y& y, std::size_t most) {
        auto& c = x.e.connection;
        if (x.gone) return false;
        byte_vector out;
        if (!x.shown.empty()) {
            out = std::exchange(x.shown, {});
            out.resize((std::min)(most, out.size()));
            if (c.wants_write()) {  // what it shows now is what it showed then
                byte_vector now;
                for (const auto part : c.output()) now.insert(now.end(), part.begin(), part.end());
                rule(now.size() >= out.size() && std::equal(out.begin(), out.end(), now.begin()),
                     "what is being written changed");
            }
            c.consume_output(out.size(), x.e.now);
        } else {
            if (!c.wants_write()) return false;
            out = x.e.sent(most);
        }
        if (!y.gone) y.incoming = y.incoming + out;
        return true;
    }

    template <class X>
    bool deliver(X& x, std::size_t most) {
        auto& c = x.e.connection;
        if (x.gone || x.input_over) return false;
        if (x.reset_comes) {
            x.input_over = true;
            x.incoming.clear();
            c.transport_lost(x.e.now);
            return true;
        }
        if (!c.wants_read()) return false;
        if (!x.incoming.empty()) {
            const auto n = static_cast<std::ptrdiff_t>((std::min)(most, x.incoming.size()));
            const byte_vector part(x.incoming.begin(), x.incoming.begin() + n);
            const auto taken = static_cast<std::ptrdiff_t>(x.e.receive(part));
            x.incoming.erase(x.incoming.begin(), x.incoming.begin() + taken);
            return taken != 0;
        }
        if (!x.eof_comes) return false;
        x.input_over = true;
        c.receive_end(x.e.now, x.eof_is_cut ? errc::tls_truncated : errc::end_of_stream);
        return true;
    }

    // What each connection wants done with its transport.
    void transports() {
        shut(a, b);
        shut(b, a);
    }
    template <class X, class Y>
    void shut(X& x, Y& y) {
        if (x.gone) return;
        switch (x.e.connection.wants_shutdown()) {
        case shutdown_request::none: return;
        case shutdown_request::half_close: y.eof_comes = true; return;
        case shutdown_request::close:
            // What it has not read makes TCP send a reset; here the link is kind.
            y.eof_comes = true;
            x.gone = true;
            return;
        case shutdown_request::abort:
            y.reset_comes = true;
            x.gone = true;
            return;
        }
    }
    template <class X, class Y>
    void cut(X& x, Y& y) {
        x.reset_comes = y.reset_comes = true;
    }

    bool pass_time() {
        const auto due = (std::min)(a.gone ? sansocket::never : a.e.connection.next_deadline(),
                                    b.gone ? sansocket::never : b.e.connection.next_deadline());
        if (due == sansocket::never) return false;
        a.e.now = b.e.now = (std::max)(a.e.now, due);
        for (const bool clean : {a.info().clean, b.info().clean}) lossy_ |= !clean && !is_open();
        if (!a.gone) a.e.connection.advance(a.e.now);
        if (!b.gone) b.e.connection.advance(b.e.now);
        for (const errc cause : {a.info().cause, b.info().cause})
            lossy_ |= sansocket::who_ended(cause) == sansocket::ended_by::timeout;
        transports();
        return true;
    }
    [[nodiscard]] bool is_open() const {
        return a.e.connection.state() == connection_state::open &&
               b.e.connection.state() == connection_state::open;
    }

    template <class X, class Y>
    void check_end(X& x, Y& y) {
        const auto& info = x.info();
        rule(x.e.connection.state() == connection_state::closed, "not closed at the end");
        rule(x.e.connection.messages().at_eof(), "a queue that has not ended");
        if (info.received) rule(info.received == y.info().sent, "a Close that was never sent");
        if (lossy_) return;
        rule(info.clean, "nothing was lost, and it is not clean");
        rule(info.received.has_value() && y.info().received.has_value(), "a Close is missing");
        // Its own Close throws away what comes; theirs comes behind all that they sent.
        if (!x.closed_here) rule(x.got == y.accepted, "a message that was accepted did not arrive");
    }

    template <class X>
    [[nodiscard]] static std::string key_of(const X& x) {
        const auto s = x.e.connection.explain();
        std::string out;
        for (const auto value : {static_cast<long long>(s.closing),
                                 static_cast<long long>(s.cause),
                                 static_cast<long long>(s.clean),
                                 static_cast<long long>(s.queued_messages),
                                 static_cast<long long>(s.output_bytes),
                                 static_cast<long long>(s.shutdown),
                                 static_cast<long long>(x.eof_comes),
                                 static_cast<long long>(x.reset_comes),
                                 static_cast<long long>(x.eof_is_cut),
                                 static_cast<long long>(x.shown.size()),
                                 static_cast<long long>(x.sending),
                                 static_cast<long long>(x.begun.size()),
                                 static_cast<long long>(x.fragments),
                                 static_cast<long long>(x.pings),
                                 static_cast<long long>(x.input_over),
                                 static_cast<long long>(x.gone),
                                 static_cast<long long>(x.closed_here),
                                 static_cast<long long>(x.accepted.size()),
                                 static_cast<long long>(x.got.size()),
                                 s.deadline == sansocket::never
                                     ? -1LL
                                     : static_cast<long long>((s.deadline - x.e.now).count())})
            (out += std::to_string(value)) += ' ';
        return out + text_of(x.incoming) + "|";
    }

    end<role::client> a;
    end<role::server> b;
    int moves_ = 0;
    bool lossy_ = false;
    std::string broken_;
};

}  // namespace

TEST_CASE("explore: a client and a server over a link") {
    const exploration::stopwatch clock;
    const auto time = exploration::time_to_spend();
    std::unordered_set<std::string> seen;
    std::vector<std::vector<std::uint8_t>> frontier{{}};
    std::size_t transitions = 0;
    std::size_t depth = 0;
    constexpr std::size_t least = 4;
    bool late = false;
    for (; !frontier.empty() && !late; ++depth) {
        std::vector<std::vector<std::uint8_t>> next;
        for (const auto& before : frontier) {
            if ((late = depth >= least && clock.past(time))) break;
            for (std::uint8_t event = 0; event != events; ++event) {
                world w;
                for (const std::uint8_t earlier : before) (void)w.apply(earlier);
                if (!w.apply(event)) continue;
                ++transitions;
                auto sequence = before;
                sequence.push_back(event);
                const bool is_new = seen.insert(w.key()).second;
                if (is_new) w.finish();  // from each state both come to their end
                if (!w.broken().empty()) FAIL(w.broken() << ", after" << told(sequence));
                if (is_new) next.push_back(std::move(sequence));
            }
        }
        frontier = std::move(next);
    }
    exploration::report("explore_pair",
                        std::to_string(seen.size()) + " states, " + std::to_string(transitions) +
                            " transitions, all interleavings of " +
                            std::to_string(depth - (late ? 1 : 0)) + " events, 0 violations");
    CHECK(depth - (late ? 1 : 0) >= least);
    CHECK(seen.size() > 1000);
}
