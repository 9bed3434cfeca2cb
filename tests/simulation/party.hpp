// One end of a simulated connection, and somebody who looks over its shoulder: it knows what the
// program was promised and what came, and says which rule of the close lifecycle was broken.
#pragma once

#include "simulation/scenario.hpp"
#include "simulation/wire_watch.hpp"

#include <sansocket_simulation/sansocket_simulation.hpp>

#include <sansocket/connection.hpp>
#include <sansocket_trace/recorder.hpp>

#include <algorithm>
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

namespace simulation {

using sansocket::close_code;
using sansocket::close_state;
using sansocket::connection_snapshot;
using sansocket::connection_state;
using sansocket::errc;
using sansocket::message_kind;
using sansocket::role;
using sansocket::shutdown_request;

// What is remembered of a message.
struct digest {
    message_kind kind{};
    std::size_t size = 0;
    std::uint64_t hash = 0;

    friend bool operator==(const digest&, const digest&) = default;

    static digest of(message_kind kind, std::span<const std::byte> bytes) {
        digest out{kind, 0, 0};
        out.add(bytes);
        return out;
    }
    void add(std::span<const std::byte> bytes) {
        size += bytes.size();
        for (const std::byte b : bytes)
            hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3U;
    }
};

// The first rule that was broken, with what was wrong.
class verdict {
public:
    void rule(std::string_view name, bool holds, std::string_view who, std::string_view what) {
        if (holds || !name_.empty()) return;
        name_ = name;
        text_ = std::string{name} + ": " + std::string{who} + ": " + std::string{what};
    }
    [[nodiscard]] bool broken() const { return !name_.empty(); }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string name_;
    std::string text_;
};

// What is known of an end, whichever role it has.
struct record {
    std::vector<digest> accepted;  // messages that it took for sending
    std::size_t got = 0;           // of the peer's, in order
    std::size_t largest = 0;       // message that it began to send
    bool partial = false;          // inside a message that it sends in parts
    bool partial_on_wire = false;  // and a frame of it was accepted
    digest part;
    bool closed_here = false;     // `close` was taken while it was open
    bool answers_itself = false;  // `close` was called while the peer's Close waited
    bool close_counts = false;    // the peer's Close was answered
    bool discards = false;        // so what comes is thrown away
    bool gave_up = false;         // aborted, let go, or dropped
    bool opened = false;
    bool refused = false;
    bool closed_told = false;
    sansocket::close_info info;  // as it was last seen
    int leaks_expected = 0;
};

class listener final : public sansocket::diagnostics_handler {
public:
    void leaked(const sansocket::leak_report&) noexcept override { ++leaks; }
    void changed(const sansocket::state_change& c) noexcept override {
        backwards = backwards || c.to <= c.from;
    }
    int leaks = 0;
    bool backwards = false;
};

// A connection as it is, or one whose recording is kept.
template <role Role>
using watched = sansocket::connection<Role, sansocket::message_queue<>, sansocket::chacha_keys,
                                      sansocket::with_diagnostics>;
template <role Role, bool Recorded>
using subject =
    std::conditional_t<Recorded, sansocket_trace::recorder<watched<Role>>, watched<Role>>;

template <role Role, bool Recorded>
class party {
public:
    using connection_type = subject<Role, Recorded>;
    using endpoint_type = sansocket_simulation::endpoint<connection_type>;

    party(const party_plan& plan, verdict& v, std::string name)
        : plan_(plan), verdict_(v), name_(std::move(name)), wire_(Role == role::client) {
        plan_.options.diagnostics = &listener_;
    }
    party(const party&) = delete;
    party& operator=(const party&) = delete;

    // It begins to talk.
    template <class... Arguments>
    void start(sansocket_simulation::world& w, sansocket_simulation::link_end& at, record& peer,
               typename endpoint_type::hooks hooks, Arguments&&... arguments) {
        world_ = &w;
        peer_ = &peer;
        hooks.on_step = [this](endpoint_type& e) { look(e); };
        hooks.on_written = [this](endpoint_type&, auto bytes) { wire_.saw(bytes); };
        hooks.on_closed = [this](endpoint_type&) {
            rule("G1", !facts.closed_told, "told twice that it is closed");
            facts.closed_told = true;
        };
        hooks.on_message = [this, then = std::move(hooks.on_message)](endpoint_type& e,
                                                                      const auto& m) {
            came(m);
            if (then) then(e, m);
        };
        born_ = w.now();
        const auto make = [&](auto&&... more) {
            end.emplace(w, at, name_, plan_.pace, std::move(hooks),
                        std::forward<Arguments>(arguments)..., w.now(), plan_.options,
                        sansocket::source_location::current(),
                        std::forward<decltype(more)>(more)...);
        };
        if constexpr (Recorded)
            make([this](std::span<const std::byte> part) {
                recording.insert(recording.end(), part.begin(), part.end());
            });
        else make();
    }

    // The program does something, if there is still a connection to do it with.
    void apply(const event& what);
    // A message was handed to `send`, which said `ec`.
    void sent(const digest& message, errc ec) {
        check_send(ec, true);
        facts.largest = (std::max)(facts.largest, message.size);
        if (ec == errc::ok) facts.accepted.push_back(message);
        after_send_ = true;
    }
    // It is over: what is left to see?
    void look_back();
    [[nodiscard]] const std::string& name() const { return name_; }

    record facts;
    std::vector<std::byte> recording;  // empty unless it is kept
    std::optional<endpoint_type> end;

private:
    void rule(std::string_view name, bool holds, std::string_view what) {
        verdict_.rule(name, holds, name_, what);
    }
    void look(endpoint_type& e);
    void look_at_the_end(const connection_snapshot& s, const endpoint_type& e);
    void look_at_the_transport(const connection_snapshot& s, const endpoint_type& e);
    void look_at_memory(const connection_snapshot& s);
    void came(const sansocket::message_view& m);
    void check_send(errc ec, bool message);
    void send(const event& what);
    void send_in_parts(const event& what);
    void note_part(errc ec, std::string_view part, bool fin);
    void begin_close(close_code code);
    void give_up(errc cause);
    void drop();

    party_plan plan_;
    verdict& verdict_;
    std::string name_;
    wire_watch wire_;
    listener listener_;
    record* peer_ = nullptr;
    sansocket_simulation::world* world_ = nullptr;
    sansocket::time_point born_{};
    std::optional<sansocket::time_point> ending_since_;
    std::optional<errc> expected_;  // of sends, until the next look
    bool after_send_ = false;
};

// A message's payload, for the eyes of a UTF-8 check too.
inline std::string payload(std::size_t size, std::uint64_t salt) {
    static constexpr std::string_view letters =
        "sim\xc3\xa9l\xe4\xb8\x96 \xf0\x9d\x84\x9e plain ascii follows, for most text is such ";
    std::string out;
    out.reserve(size + letters.size());
    for (std::uint64_t i = 0; i != 8 && out.size() + 1 < size; ++i)
        out += static_cast<char>('a' + (salt >> (8 * i) & 15U));
    while (out.size() + letters.size() <= size) out += letters;
    out.append(size - out.size(), '.');
    return out;
}

template <role Role, bool Recorded>
void party<Role, Recorded>::came(const sansocket::message_view& m) {
    const std::size_t number = facts.got++;
    const bool promised = number < peer_->accepted.size();
    rule("G1", promised, "a message that nobody sent, or for the second time");
    if (promised)
        rule("G1", digest::of(m.kind, m.bytes) == peer_->accepted[number],
             "a message is lost, altered or out of order");
    rule("G1", !facts.closed_told, "a message after the end");
    rule("G1", !(facts.discards || facts.gave_up), "a message that was to be discarded");
}

template <role Role, bool Recorded>
void party<Role, Recorded>::look(endpoint_type& at) {
    const auto& c = at.connection();
    const connection_snapshot s = c.explain();
    facts.opened = facts.opened || c.was_opened();
    look_at_the_end(s, at);
    look_at_the_transport(s, at);
    look_at_memory(s);
    rule("G16", !at.output_changed(), "output changed while it was being written");
    rule("G16", wire_.wrong().empty(), wire_.wrong());
    rule("G12", !listener_.backwards, "its state went back");
}

template <role Role, bool Recorded>
void party<Role, Recorded>::look_at_the_end(const connection_snapshot& s, const endpoint_type& at) {
    const auto& info = at.connection().close_info();
    auto& before = facts.info;
    rule("G15", before.cause == errc::ok || before.cause == info.cause, "the cause changed");
    rule("G15", !before.received || before.received == info.received, "the peer's Close changed");
    rule("G15", !before.sent || before.sent == info.sent, "our Close changed");
    rule("G3", !before.clean || info.clean, "clean no more");
    rule("G3", !info.clean || (info.received && info.sent), "clean, and a Close is missing");
    rule("G2", info.code() == (info.received ? info.received->code : close_code::abnormal),
         "the wrong code");
    const auto& queue = at.connection().messages();
    rule("G1", queue.is_eof() == (info.cause != errc::ok), "the queue's end is not the cause's");
    rule("G1", queue.at_eof() == (queue.is_eof() && queue.size() == 0), "the queue's end is false");
    const bool violated =
        sansocket::who_ended(info.cause) == sansocket::ended_by::violation && facts.opened;
    const bool counts = info.received && s.closing != close_state::received;  // its turn has come
    const bool first = (counts && !std::exchange(facts.close_counts, counts)) ||
                       (violated && before.cause == errc::ok && !before.sent);
    if (first && !facts.answers_itself) wire_.only_a_close_from(at.written() + at.writing());
    if (s.state != connection_state::opening && !facts.opened) wire_.expect_no_frames();
    if (before.cause != info.cause || before.clean != info.clean ||
        before.received.has_value() != info.received.has_value() ||
        before.sent.has_value() != info.sent.has_value())
        before = info;
}

template <role Role, bool Recorded>
void party<Role, Recorded>::look_at_the_transport(const connection_snapshot& s,
                                                  const endpoint_type& at) {
    const auto now = world_->now();
    const bool running = s.state == connection_state::opening || s.state == connection_state::open;
    if (!running && !ending_since_) ending_since_ = now;
    rule("queries", s.wants_write == (s.output_bytes != 0 && s.shutdown != shutdown_request::abort),
         "wants_write is not what there is to write");
    rule("T11", !s.paused || s.queued_messages != 0, "paused with nothing to read");
    if (s.state == connection_state::opening)
        rule("T6", now <= born_ + plan_.options.opening_timeout, "the opening has no end");
    if (running) {
        rule("queries", s.shutdown == shutdown_request::none, "the end of a transport in use");
        const bool waits = s.closing == close_state::received;
        rule("G10",
             s.wants_read || s.paused || s.state == connection_state::opening ||
                 (waits && at.input_ended()),
             "open, not paused, and nothing is read");
        return;
    }
    if (s.shutdown >= shutdown_request::close) {
        rule("G11", s.shutdown != shutdown_request::abort || s.deadline == sansocket::never,
             "a timer of what is over");
        return;
    }
    const auto due = *ending_since_ + plan_.options.close_timeout;
    rule("G9", s.deadline == due, "the deadline of the end moved, or there is none");
    rule("G9", now <= due, "the deadline passed, and it goes on");
    rule("G10", s.wants_read || at.input_ended(), "reading stopped before the end");
    if (s.output_bytes != 0) return;
    if (s.closing == close_state::complete)
        rule("G8", Role == role::client && !at.input_ended(), "its role should have closed TCP");
    if (s.closing == close_state::failed)
        rule("G18", s.shutdown == shutdown_request::half_close, "failed, and no half close");
}

template <role Role, bool Recorded>
void party<Role, Recorded>::look_at_memory(const connection_snapshot& s) {
    const auto& o = plan_.options;
    const std::size_t in = (std::min)(peer_->largest, static_cast<std::size_t>(o.messages.size)) +
                           sansocket::message_overhead;
    const std::size_t queued = o.queue.high_bytes + in;
    rule("memory", s.queued_bytes < queued, "more is queued than the limit and a message");
    rule("memory", s.queued_messages <= o.queue.high_count, "more messages than the limit");
    const std::size_t out = o.sending.high_bytes + facts.largest + o.sending.control_bytes + 1024;
    rule("memory", s.output_bytes <= out, "more output than the limit and a message");
    rule("memory", s.memory <= 4 * (queued + out) + 1024, "more memory than its limits allow");
}

}  // namespace simulation

#include "simulation/party_acts.hpp"
