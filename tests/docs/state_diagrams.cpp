// Prints the tables of the state machines as state diagrams (Mermaid), each behind the name of its
// header, for the pages of docs/ that show them.
#include <sansocket/machine/client_handshake.hpp>
#include <sansocket/machine/close_handshake.hpp>
#include <sansocket/machine/message_reader.hpp>
#include <sansocket/machine/server_handshake.hpp>

#include <cstddef>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace {

using names = std::span<const std::string_view>;

// `next(from, event)`: the number of the next state, or nothing. The first state is the first name.
template <class Next>
void diagram(std::string_view header, names states, names events, Next next) {
    std::cout << "## " << header << "\n```mermaid\nstateDiagram-v2\n    [*] --> " << states[0]
              << '\n';
    for (std::size_t from = 0; from != states.size(); ++from) {
        std::map<std::size_t, std::string> to;  // and by which events
        for (std::size_t event = 0; event != events.size(); ++event) {
            const std::optional<std::size_t> then = next(from, event);
            if (!then || *then == from) continue;
            std::string& label = to[*then];
            label += (label.empty() ? "" : ", ") + std::string{events[event]};
        }
        for (const auto& [state, label] : to)
            std::cout << "    " << states[from] << " --> " << states[state] << ": " << label
                      << '\n';
        if (to.empty()) std::cout << "    " << states[from] << " --> [*]\n";
    }
    std::cout << "```\n";
}

template <class Machine, class State, class Event>
std::optional<std::size_t> next(std::size_t from, std::size_t event) {
    const auto to = Machine::next(static_cast<State>(from), static_cast<Event>(event));
    if (!to) return std::nullopt;
    return static_cast<std::size_t>(*to);
}

// Of a message's frames: text and binary begin one, a continuation goes on; the last has FIN.
std::optional<std::size_t> next_fragment(std::size_t from, std::size_t event) {
    using sansocket::opcode;
    constexpr opcode ops[] = {opcode::text, opcode::binary, opcode::continuation};
    const auto to = sansocket::message_reader<sansocket::role::server>::next(
        static_cast<sansocket::fragment_state>(from), ops[event % 3], event >= 3);
    if (!to) return std::nullopt;
    return static_cast<std::size_t>(*to);
}

constexpr std::string_view close_states[] = {"open",     "sending",  "sent",   "received",
                                             "replying", "complete", "failed", "ended"};
constexpr std::string_view close_events[] = {"start", "flush", "receive", "fail", "end"};
constexpr std::string_view client_states[] = {"waiting", "refusing", "open", "refused", "failed"};
constexpr std::string_view client_events[] = {"interim", "accept", "refuse", "fail", "body_end"};
constexpr std::string_view server_states[] = {"reading", "deciding", "deciding_http", "accepted",
                                              "refused", "answered", "failed"};
constexpr std::string_view server_events[] = {"request", "http_request", "fail",
                                              "accept",  "refuse",       "respond"};
constexpr std::string_view fragment_states[] = {"between", "text", "binary"};
constexpr std::string_view fragment_events[] = {
    "text", "binary", "continuation", "text with FIN", "binary with FIN", "continuation with FIN"};

}  // namespace

int main() {
    using namespace sansocket;
    diagram("close_handshake.hpp", close_states, close_events,
            next<close_handshake, close_state, close_event>);
    diagram("client_handshake.hpp", client_states, client_events,
            next<client_handshake, client_handshake_state, client_handshake_event>);
    diagram("server_handshake.hpp", server_states, server_events,
            next<server_handshake, server_handshake_state, server_handshake_event>);
    diagram("message_reader.hpp", fragment_states, fragment_events, next_fragment);
}
