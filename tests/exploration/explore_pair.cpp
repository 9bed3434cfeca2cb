// A client and a server with a link between them, and every interleaving of what they do with what
// the link delivers, shortest first, as far as the time goes.
#include <sansocket/connection.hpp>

#include "exploration/explore.hpp"
#include "support/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

using namespace support;

namespace {

enum class act : std::uint8_t { send, close, ping, pop, abort, take, deliver, deliver_byte };
constexpr std::size_t acts = 8;
// An event: an act of the client, of the server, the loss of the link, or time.
constexpr std::size_t lose = 2 * acts;
constexpr std::size_t time_passes = 2 * acts + 1;
constexpr std::size_t events = 2 * acts + 2;
constexpr const char* names[] = {"send",  "close", "ping",    "pop",
                                 "abort", "take",  "deliver", "deliver_byte"};

std::string told(const std::vector<std::uint8_t>& sequence) {
    std::string out;
    for (const std::uint8_t e : sequence) {
        if (e == lose) out += " lose";
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
    bool eof_comes = false;    // behind the bytes
    bool reset_comes = false;  // at once
    bool input_over = false;
    bool output_over = false;
    bool gone = false;  // its socket is closed
    bool closed_here = false;
    std::vector<std::string> accepted;  // messages it took for sending
    std::vector<std::string> got;       // messages its application has

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

    [[nodiscard]] std::string key() const { return key_of(a) + key_of(b) + (lossy_ ? "l" : ""); }
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
        case act::close:
            if (c.close(close_code{static_cast<std::uint16_t>(&x == static_cast<void*>(&a) ? 4001
                                                                                           : 4002)},
                        "", x.e.now) != errc::ok)
                return false;
            return x.closed_here = true;
        case act::ping: return pings_++ < 2 && c.send_ping() == errc::ok;
        case act::pop: {
            const auto m = c.messages().pop();
            if (!m) return false;
            x.got.emplace_back(m->text());
            const bool in_order =
                x.got.size() <= y.accepted.size() && x.got.back() == y.accepted[x.got.size() - 1];
            rule(in_order, "a message is lost, or out of order");
            return true;
        }
        case act::abort:
            if (x.gone) return false;
            lossy_ = true;
            c.abort();
            return true;
        case act::take: {
            if (!c.wants_write() || x.gone) return false;
            const byte_vector bytes = x.e.sent();
            if (!y.gone) y.incoming = y.incoming + bytes;
            return true;
        }
        case act::deliver: return deliver(x, static_cast<std::size_t>(-1));
        case act::deliver_byte: return x.incoming.size() > 1 && deliver(x, 1);
        }
        return false;
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
        c.receive_end(x.e.now);
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
        for (const auto value :
             {static_cast<long long>(s.closing), static_cast<long long>(s.cause),
              static_cast<long long>(s.clean), static_cast<long long>(s.queued_messages),
              static_cast<long long>(s.output_bytes), static_cast<long long>(s.shutdown),
              static_cast<long long>(x.eof_comes), static_cast<long long>(x.reset_comes),
              static_cast<long long>(x.input_over), static_cast<long long>(x.gone),
              static_cast<long long>(x.closed_here), static_cast<long long>(x.accepted.size()),
              static_cast<long long>(x.got.size()),
              s.deadline == sansocket::never
                  ? -1LL
                  : static_cast<long long>((s.deadline - x.e.now).count())})
            (out += std::to_string(value)) += ' ';
        return out + text_of(x.incoming) + "|";
    }

    end<role::client> a;
    end<role::server> b;
    int pings_ = 0;
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
    bool late = false;
    for (; !frontier.empty() && !late; ++depth) {
        std::vector<std::vector<std::uint8_t>> next;
        for (const auto& before : frontier) {
            if ((late = clock.past(time))) break;
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
    CHECK(seen.size() > 1000);
}
