// A client and a server of the core talk in memory. Built with no Asio, no exceptions and no RTTI.
#include <sansocket/sansocket.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace {

using client = sansocket::connection<sansocket::role::client>;
using server = sansocket::connection<sansocket::role::server>;

constexpr sansocket::time_point now{};

// Carries what `from` has to send over to `to`.
template <class From, class To>
void carry(From& from, To& to) {
    while (from.wants_write()) {
        const auto output = from.output();
        std::vector<std::byte> bytes;
        for (const auto buffer : output) bytes.insert(bytes.end(), buffer.begin(), buffer.end());
        from.consume_output(bytes.size(), now);
        to.receive(bytes, now);
    }
}

void carry_both(client& a, server& b) {
    while (a.wants_write() || b.wants_write()) {
        carry(a, b);
        carry(b, a);
    }
}

bool holds(auto& connection, std::string_view text) {
    const auto message = connection.messages().pop();
    const bool same = message && message->text() == text;
    return same && !connection.messages().pop();  // and no other
}

}  // namespace

int main() {
    const std::array<std::byte, 32> seed{};  // a real client takes this from the system
    client a({.host = "localhost"}, sansocket::chacha_keys(seed), now);
    server b(sansocket::server_policy{}, now);
    carry_both(a, b);
    if (a.state() != sansocket::connection_state::open) return 1;

    if (a.send_text("to the server") != sansocket::errc::ok) return 2;
    if (b.send_text("to the client") != sansocket::errc::ok) return 3;
    carry_both(a, b);
    if (!holds(a, "to the client") || !holds(b, "to the server")) return 4;

    if (a.close(sansocket::close_code::normal, "done", now) != sansocket::errc::ok) return 5;
    carry_both(a, b);
    return a.messages().at_eof() && b.messages().at_eof() ? 0 : 6;
}
