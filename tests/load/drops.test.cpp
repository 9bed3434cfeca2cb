// Clients that connect, send by halves and vanish at any stage, as chance has it. The server goes on
// serving, and keeps nothing of them.
//
// A few seconds long; SANSOCKET_LOAD_SECONDS says how many. SANSOCKET_LOAD_SEED repeats a run.
#include <sansocket_asio/websocket.hpp>

#include "load/server.hpp"
#include "support/blocking_peer.hpp"
#include "support/client_process.hpp"
#include "support/scale.hpp"

#include <asio/socket_base.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>

using namespace load;
using sansocket::opcode;

namespace drops_tests {

unsigned number_from(const char* variable, unsigned otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : static_cast<unsigned>(std::stoul(text));
}

const byte_vector goodbye = to_server(opcode::close, close_bytes(1000));

// One client, and what it does: steps of a conversation, broken off behind any of them.
class vandal {
public:
    vandal(asio::io_context& io, tcp::endpoint server, std::mt19937& chance)
        : peer_(connected(io, server)), chance_(&chance) {}

    /// Goes one step on; false behind the last. The server may have ended it.
    bool step() {
        try {
            switch (stage_) {
            case stage::connected:
                if (one_in(8)) return leave();
                if (one_in(8)) return send_part(bytes(upgrade_request)), leave();
                if (one_in(16)) return peer_.send(bytes("nonsense\r\n\r\n")), leave();
                peer_.open();
                stage_ = stage::open;
                return true;
            case stage::open:
                if (one_in(6)) return leave();
                if (one_in(6)) return send_part(message()), leave();
                if (one_in(12)) return peer_.send(hex("ff ff ff")), leave();  // reserved bits
                if (one_in(4)) stage_ = stage::closing;
                peer_.send(message());  // its echo is left unread
                return true;
            case stage::closing:
                if (one_in(2)) return send_part(goodbye), leave();
                peer_.send(goodbye);
                if (one_in(2)) read_to_end();
                return leave();
            }
        } catch (const std::system_error&) {}  // the server ended it
        return false;
    }

private:
    enum class stage : std::uint8_t { connected, open, closing };

    static tcp::socket connected(asio::io_context& io, tcp::endpoint server) {
        tcp::socket socket(io);
        socket.connect(server);
        return socket;
    }
    bool one_in(unsigned n) { return (*chance_)() % n == 0; }
    byte_vector message() {
        return to_server(opcode::binary, byte_vector((*chance_)() % 2000, std::byte{0x42}));
    }
    void send_part(byte_vector data) {
        data.resize((*chance_)() % data.size());
        peer_.send(data);
    }
    // By a reset, or in order; at once, or behind what the server still has to say.
    bool leave() {
        std::error_code ignored;
        tcp::socket& socket = peer_.stream();
        if (one_in(2)) {
            socket.set_option(asio::socket_base::linger{true, 0}, ignored);
        } else if (one_in(2)) {
            socket.shutdown(tcp::socket::shutdown_send, ignored);
            read_to_end();
        }
        return false;
    }
    void read_to_end() {
        while (!peer_.at_end()) {}
    }

    blocking_peer<> peer_;
    std::mt19937* chance_;
    stage stage_ = stage::connected;
};

// Some dozens at once, each a step at a time. Answers how many there were.
void vandals(asio::io_context& io, order_channel& orders, unsigned seed, unsigned seconds) {
    std::mt19937 chance(seed);
    const tcp::endpoint server(asio::ip::address_v4::loopback(),
                               static_cast<std::uint16_t>(orders.order()));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
    std::deque<vandal> there;
    std::uint32_t count = 0;
    while (std::chrono::steady_clock::now() < end) {
        while (there.size() < 50) {
            there.emplace_back(io, server, chance);
            ++count;
        }
        const auto which = static_cast<std::ptrdiff_t>(chance() % there.size());
        if (!there[static_cast<std::size_t>(which)].step()) there.erase(there.begin() + which);
    }
    there.clear();
    orders.answer(count);
}

}  // namespace drops_tests

TEST_CASE("load: clients that connect and drop at random leave nothing behind") {
    using namespace drops_tests;
    const unsigned seed = number_from("SANSOCKET_LOAD_SEED", std::random_device{}());
    const unsigned seconds = number_from("SANSOCKET_LOAD_SECONDS", 5);
    CAPTURE(seed);
    loop l;  // a diagnostic lost, or one too many, fails with it: all that were open are closed
    l.longest = std::chrono::seconds{seconds} + 60s;
    client_process clients(l, [&](asio::io_context& io, order_channel& orders) {
        vandals(io, orders, seed, seconds);
    });
    sansocket::options options;
    options.opening_timeout = 500ms;  // for those that never finish
    options.close_timeout = 500ms;
    fleet_server<> server(l, options);
    clients.order(server.port());

    // Meanwhile somebody who behaves is served.
    websocket_client good(l.io);
    const result opened;
    good.async_connect("ws://127.0.0.1:" + std::to_string(server.port()), opened);
    l.until(opened);
    REQUIRE(!opened.ec());
    std::size_t served = 0;
    auto slowest = std::chrono::steady_clock::duration::zero();
    std::function<void()> talk = [&] {
        const auto start = std::chrono::steady_clock::now();
        good.async_send_text("still there?", [](std::error_code) {});
        good.async_receive([&, start](std::error_code ec, const sansocket::message& m) {
            if (ec || m.data != "still there?") return;
            ++served;
            slowest = (std::max)(slowest, std::chrono::steady_clock::now() - start);
            talk();
        });
    };
    talk();
    const std::size_t count = clients.answer();
    clients.finish();
    CHECK(count > 20 * seconds);
    CHECK(served > count / 10);
    CHECK(slowest < 5s);

    talk = [] {};
    const result closed = close(good);
    l.until(closed);
    CHECK(!closed.ec());
    server.stop_listening();
    l.until([&] { return server.alive() == 0; });
    CHECK(l.finish() < 2s);
    CHECK(counted_connection<role::server>::alive == 0);
    std::size_t ended = 0;
    std::string causes;
    for (const auto& [cause, n] : server.ended) {
        ended += n;
        causes += ", " + std::to_string(n) + " " + make_error_code(cause).message();
    }
    CHECK(ended == count + 1);
    CHECK(server.ended[errc::ok] == 0);
    for (const auto cause : {errc::closed_by_peer, errc::end_of_stream, errc::transport_lost})
        CHECK(server.ended[cause] > 0);
    WARN(count << " clients, " << served << " answers to the one that stayed" << causes);
}
