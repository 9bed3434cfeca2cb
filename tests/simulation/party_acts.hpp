// What a party's program does, and what the connection should answer.
#pragma once

#include "simulation/party.hpp"

namespace simulation {

// What a send should say now.
template <role Role, bool Recorded>
void party<Role, Recorded>::check_send(errc ec, bool message) {
    const auto& c = end->connection();
    switch (c.state()) {
    case connection_state::opening:
        return rule("G13", ec == errc::not_open, "a send before it is open");
    case connection_state::closing:
        return rule("G13", ec == errc::closing, "a send that should say closing");
    case connection_state::closed:
        return rule("G13", ec == errc::closed, "a send that should say closed");
    case connection_state::open: break;
    }
    if (end->output_lost())
        return rule("G13", ec == errc::closed, "a send that should say closed: nothing goes out");
    if (message && facts.partial)
        return rule("send", ec == errc::message_in_progress, "a message inside a message");
    rule("send", ec == errc::ok || ec == errc::backpressure, "a send was refused");
    const auto s = c.explain();
    const auto& o = plan_.options.sending;
    if (ec == errc::backpressure)
        rule("T11",
             s.output_bytes + 600 >= o.high_bytes || s.output_frames >= o.high_count ||
                 s.output_bytes >= o.control_bytes,
             "backpressure, and there is room");
}

template <role Role, bool Recorded>
void party<Role, Recorded>::send(const event& what) {
    auto& c = end->connection();
    std::string text = payload(what.size, what.salt);
    const bool binary = what.what == act::binary || what.what == act::owned_binary;
    const auto kind = binary ? message_kind::binary : message_kind::text;
    const auto bytes = std::as_bytes(std::span{text});
    const digest d = digest::of(kind, bytes);
    const auto before = c.state();
    errc ec{};
    if (what.what == act::owned_text) {
        ec = c.send_text(std::move(text));
    } else if (what.what == act::binary) {
        ec = c.send_binary(bytes);
    } else if (what.what == act::owned_binary) {
        ec = c.send_binary(std::vector<std::byte>(bytes.begin(), bytes.end()));
    } else if (what.what == act::shared) {
        const auto owner = std::make_shared<const std::string>(std::move(text));
        ec = c.send_shared(kind, {owner, std::as_bytes(std::span{*owner})});
    } else {
        ec = c.send_text(std::string_view{text});
    }
    rule("G13", c.state() == before, "a send changed the state");
    sent(d, ec);
}

template <role Role, bool Recorded>
void party<Role, Recorded>::note_part(errc ec, std::string_view part, bool fin) {
    if (ec != errc::ok) return;
    facts.part.add(std::as_bytes(std::span{part}));
    facts.partial_on_wire = true;
    facts.largest = (std::max)(facts.largest, facts.part.size);
    if (!fin) return;
    facts.accepted.push_back(facts.part);
    facts.partial = facts.partial_on_wire = false;
}

template <role Role, bool Recorded>
void party<Role, Recorded>::send_in_parts(const event& what) {
    auto& c = end->connection();
    const bool all = what.what == act::fragments;
    if (what.what == act::start || all) {
        const errc ec = c.start(message_kind::binary);
        check_send(ec, true);
        if (ec == errc::ok) {
            facts.part = digest{message_kind::binary, 0, 0};
            facts.partial = true;
        }
        if (!all || ec != errc::ok) return;
    }
    const std::string text = payload(what.size, what.salt);
    std::string_view left = text;
    const std::size_t parts = all ? 1 + what.salt % 5 : 1;
    const bool ends = what.what == act::finish || all;
    for (std::size_t i = 1; i <= parts; ++i) {
        const bool fin = ends && i == parts;
        const std::string_view part = left.substr(0, i == parts ? left.size() : text.size() / 6);
        left.remove_prefix(part.size());
        const bool inside = facts.partial;
        const errc ec = fin ? c.finish(std::as_bytes(std::span{part})) : c.append(part);
        if (inside || c.state() != connection_state::open || end->output_lost())
            check_send(ec, false);
        else rule("send", ec == errc::no_message_in_progress, "a part of nothing");
        note_part(ec, part, fin);
        if (ec != errc::ok) return;
    }
}

template <role Role, bool Recorded>
void party<Role, Recorded>::begin_close(close_code code) {
    const auto before = end->connection().explain();
    const std::string reason = payload(static_cast<std::size_t>(code) % 90, 0x0123456789abcdef);
    facts.answers_itself = before.closing == close_state::received;
    const errc ec = end->close(code, reason);
    switch (before.state) {
    case connection_state::opening:
        if (Role == role::client) facts.gave_up = true;
        return rule("T1", ec == errc::ok, "close before it is open");
    case connection_state::open:
        rule("T1", ec == errc::ok, "close was refused");
        facts.closed_here = true;
        facts.discards = plan_.options.after_close == sansocket::after_close::discard;
        return;
    case connection_state::closing: return rule("T1", ec == errc::closing, "a second close");
    case connection_state::closed: return rule("T1", ec == errc::closed, "a close behind the end");
    }
}

template <role Role, bool Recorded>
void party<Role, Recorded>::give_up(errc cause) {
    const auto s = end->connection().explain();
    const bool over = s.closing == close_state::ended;
    const bool leaks = s.state == connection_state::open || s.state == connection_state::closing;
    if (!over) facts.gave_up = true;
    if (cause == errc::dropped && leaks) ++facts.leaks_expected;
    end->abort(cause);
    rule("abort", over || (!end->attached() && end->connection().messages().size() == 0),
         "an abort left something");
}

template <role Role, bool Recorded>
void party<Role, Recorded>::drop() {
    const auto s = end->connection().state();
    if (s == connection_state::open || s == connection_state::closing) ++facts.leaks_expected;
    facts.gave_up = true;
    end->drop();
}

template <role Role, bool Recorded>
void party<Role, Recorded>::apply(const event& what) {
    if (!end->has_connection()) return;
    auto& c = end->connection();
    end->tell(act_names[static_cast<std::size_t>(what.what)], what.size);
    switch (what.what) {
    case act::text:
    case act::owned_text:
    case act::binary:
    case act::owned_binary:
    case act::shared: send(what); break;
    case act::fragments:
    case act::start:
    case act::append:
    case act::finish: send_in_parts(what); break;
    case act::ping:
    case act::pong: {
        const std::string text = payload(what.size % 126, what.salt);
        const auto bytes = std::as_bytes(std::span{text});
        check_send(what.what == act::ping ? c.send_ping(bytes) : c.send_pong(bytes), false);
        break;
    }
    case act::close:
        return begin_close(close_code{static_cast<std::uint16_t>(4000 + what.salt % 1000)});
    case act::close_wrongly: {
        const auto before = c.state();
        const errc ec = c.close(close_code::abnormal, "", world_->now());
        rule("G17", ec == errc::invalid_close_code && c.state() == before, "1006 may be sent");
        break;
    }
    case act::pause: end->pause(); break;
    case act::resume: return end->resume();
    case act::advance: c.advance(world_->now()); break;
    case act::shrink: c.shrink(); break;
    case act::move: return end->move();
    case act::abort: return give_up(errc::aborted);
    case act::cancel: return give_up(errc::cancelled);
    case act::let_go: return give_up(errc::dropped);
    case act::drop: return drop();
    }
    end->drive();
}

template <role Role, bool Recorded>
void party<Role, Recorded>::look_back() {
    if (end->has_connection()) {
        const auto& c = end->connection();
        rule("G9", !end->attached(), "its socket is still in use: it never ends");
        rule("G12", c.state() == connection_state::closed, "not closed at the end");
        rule("G1", c.messages().at_eof(), "messages were never read, or no end came");
        rule("G12", facts.closed_told, "nobody was told that it is closed");
    }
    end.reset();
    rule("leak", listener_.leaks == facts.leaks_expected,
         listener_.leaks < facts.leaks_expected ? "a drop was not reported"
                                                : "a leak where nothing was dropped");
}

}  // namespace simulation
