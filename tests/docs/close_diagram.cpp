// Prints the table of the closing handshake as a state diagram (Mermaid), and its transitions as a table,
// for docs/closing.md.
#include <sansocket/machine/close_handshake.hpp>

#include <array>
#include <cstddef>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace {

using sansocket::close_event;
using sansocket::close_state;

constexpr std::array<std::string_view, 8> states{"open",     "sending",  "sent",   "received",
                                                 "replying", "complete", "failed", "ended"};
constexpr std::array<std::string_view, 5> events{"start", "flush", "receive", "fail", "end"};

}  // namespace

int main() {
    std::cout << "```mermaid\nstateDiagram-v2\n    [*] --> open\n";
    for (std::size_t from = 0; from != states.size(); ++from) {
        std::map<std::size_t, std::string> to;  // and by which events
        for (std::size_t event = 0; event != events.size(); ++event) {
            const auto next = sansocket::close_handshake::next(static_cast<close_state>(from),
                                                               static_cast<close_event>(event));
            if (!next || static_cast<std::size_t>(*next) == from) continue;
            std::string& label = to[static_cast<std::size_t>(*next)];
            label += (label.empty() ? "" : ", ") + std::string{events[event]};
        }
        for (const auto& [state, label] : to)
            std::cout << "    " << states[from] << " --> " << states[state] << ": " << label
                      << '\n';
        if (to.empty()) std::cout << "    " << states[from] << " --> [*]\n";
    }
    std::cout << "```\n";
}
