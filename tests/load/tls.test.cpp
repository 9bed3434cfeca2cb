// The load over TLS, with fewer connections, for a handshake takes its time: connections that come and
// go and cost what they cost, readers that are slow, and clients that break off wherever chance has it.
#include <sansocket_openssl/client.hpp>

#include "load/server.hpp"
#include "support/blocking_peer.hpp"
#include "support/client_process.hpp"
#include "support/heap.hpp"
#include "support/scale.hpp"
#include "support/tls_loop.hpp"

#include <asio/socket_base.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/steady_timer.hpp>

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace load;
using sansocket::opcode;

namespace tls_load_tests {

using connection = counted_connection<role::server>;
using websocket_base =
    sansocket_asio::websocket<role::server, sansocket_openssl::stream, connection>;

// The server's end of a socket.
struct websocket : websocket_base {
    explicit websocket(tcp::socket socket)
        : websocket_base(sansocket_openssl::stream(std::move(socket), context())) {}
    static asio::ssl::context& context() {
        static asio::ssl::context made = server_context();
        return made;
    }
};
using fleet = fleet_server<websocket>;

const byte_vector question = to_server(opcode::text, bytes("are you there?"));
const byte_vector answer = own_frame<role::server>(opcode::text, bytes("are you there?"));
const byte_vector goodbye = to_server(opcode::close, close_bytes(1000));
const byte_vector goodbye_too = own_frame<role::server>(opcode::close, close_bytes(1000));

// A client, by blocking calls: TCP, TLS, and WebSocket, each when it is told to.
class client : public blocking_peer<tls_socket> {
public:
    client(asio::io_context& io, std::uint32_t port, asio::ssl::context& trusts,
           std::optional<int> receive_buffer = {})
        : blocking_peer(tls_socket(connected(io, port, receive_buffer), trusts)) {}

    void secure() { stream().handshake(asio::ssl::stream_base::client); }
    tcp::socket& socket() { return stream().next_layer(); }
    void write_plain(const byte_vector& data) { asio::write(socket(), asio::buffer(data)); }
    // TCP's end, without TLS's.
    void cut() {
        std::error_code ignored;
        socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
    void reset() {
        std::error_code ignored;
        socket().set_option(asio::socket_base::linger{true, 0}, ignored);
        socket().close(ignored);
    }
    // Our close_notify, and the server's. RFC 8446 6.1.
    void say_end() {
        std::error_code ignored;
        stream().shutdown(ignored);
    }
    // Whatever comes, up to the end of TCP.
    void read_plain_to_end() {
        std::error_code ec;
        byte_vector some(4096);
        while (!ec) socket().read_some(asio::buffer(some), ec);
    }

private:
    static tcp::socket connected(asio::io_context& io, std::uint32_t port,
                                 std::optional<int> receive_buffer) {
        tcp::socket socket(io, tcp::v4());
        if (receive_buffer)
            socket.set_option(asio::socket_base::receive_buffer_size(*receive_buffer));
        socket.connect({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
        socket.set_option(tcp::no_delay(true));
        return socket;
    }
};

std::deque<client> opened(asio::io_context& io, std::uint32_t port, asio::ssl::context& trusts,
                          std::size_t count, std::optional<int> receive_buffer = {}) {
    std::deque<client> all;
    for (std::size_t i = 0; i != count; ++i) {
        all.emplace_back(io, port, trusts, receive_buffer).secure();
        all.back().open();
    }
    return all;
}

// What a client says first: an order in bytes to cut through.
byte_vector client_hello(asio::ssl::context& trusts) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(trusts.native_handle()), SSL_free);
    BIO* const out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
    (void)SSL_connect(ssl.get());
    byte_vector hello(BIO_ctrl_pending(out));
    BIO_read(out, hello.data(), static_cast<int>(hello.size()));
    return hello;
}

}  // namespace tls_load_tests

namespace tls_load_tests {

// An order is the port to connect to; then any other, to close.
void idle_clients(asio::io_context& io, order_channel& orders, std::size_t count) {
    auto trusts = client_context();
    for (std::uint32_t port = 0; (port = orders.order()) != 0;) {
        auto all = opened(io, port, trusts, count);
        for (auto& one : all) one.send(question);
        for (auto& one : all) one.expect(answer);
        orders.answer(1);
        (void)orders.order();
        std::uint32_t clean = 0;
        for (auto& one : all) {
            one.send(goodbye);
            one.expect(goodbye_too);
            if (one.at_end()) ++clean;  // by close_notify
            one.say_end();
        }
        orders.answer(clean);
    }
}

}  // namespace tls_load_tests

TEST_CASE("load: a thousand idle connections over TLS, three times: what one costs, and no more") {
    using namespace tls_load_tests;
    const std::size_t count =
        (std::min)(support::scaled(1000), descriptor_limit() - std::size_t{100});
    (void)certificates::all();
    loop l;
    client_process peers(l, [count](asio::io_context& io, order_channel& orders) {
        idle_clients(io, orders, count);
    });
    fleet server(l);
    std::size_t warm = 0;
    for (int round = 0; round != 3; ++round) {
        CAPTURE(round);
        if (round != 0) server.listen();
        const std::size_t before = heap_in_use();
        const std::size_t resident_before = resident_bytes();
        peers.order(server.port());
        peers.answer();
        server.stop_listening();
        l.poll();
        REQUIRE(server.alive() == count);
        const std::size_t each = (heap_in_use() - before) / count;
        const std::size_t resident = (resident_bytes() - resident_before) / count;
        peers.order(1);
        CHECK(peers.answer() == count);
        l.until([&] { return connection::alive == 0; });
        l.poll();
        CHECK(server.ended[errc::closed_by_peer] == count * static_cast<std::size_t>(round + 1));
        const std::size_t after = heap_in_use();
        WARN(count << " connections over TLS: " << each << " bytes each, " << resident
                   << " resident; behind them " << after / 1024 << " KiB in use");
        CHECK(each < 100'000);
        // Asio and OpenSSL keep what they needed for so many; after two rounds all of it is there.
        if (round != 2) warm = after;
        else CHECK(after < warm + 64 * 1024);
    }
    peers.order(0);
    peers.finish();
}

namespace tls_load_tests {

constexpr std::uint32_t fast_ones = 5;
constexpr std::uint32_t slow_ones = 30;
constexpr std::size_t message_size = 4096;
constexpr std::uint32_t messages = 200;
constexpr std::size_t limit = 128 * 1024;  // 32 messages, and their time

byte_vector numbered(std::uint32_t n) { return byte_vector(message_size, std::byte(n % 251)); }

void fast_clients(asio::io_context& io, order_channel& orders) {
    auto trusts = client_context();
    auto all = opened(io, orders.order(), trusts, fast_ones);
    for (auto& one : all) one.send(question);
    for (std::uint32_t i = 0; i != messages; ++i)
        for (auto& one : all) one.expect(own_frame<role::server>(opcode::binary, numbered(i)));
    for (auto& one : all) {
        one.send(goodbye);
        one.expect(goodbye_too);
        one.say_end();
    }
    orders.answer(messages);
}

// They read nothing. At an order they look at what is left, which has to come to an end.
void slow_clients(asio::io_context& io, order_channel& orders) {
    auto trusts = client_context();
    auto all = opened(io, orders.order(), trusts, slow_ones, 8 * 1024);
    orders.answer(0);
    (void)orders.order();
    for (auto& one : all) one.read_plain_to_end();
    orders.answer(0);
}

}  // namespace tls_load_tests

TEST_CASE("load: slow readers over TLS cost their limit and are let go, and fast ones hear all") {
    using namespace tls_load_tests;
    (void)certificates::all();
    loop l;
    client_process slow(l, slow_clients);
    client_process fast(l, fast_clients);
    sansocket::options options;
    options.sending.high_bytes = options.sending.low_bytes = limit;
    options.keepalive.write_timeout = 1s;
    fleet server(l, options);
    std::vector<fleet::member*> listening;
    server.on_accept = [](tcp::socket& s) {
        s.set_option(asio::socket_base::send_buffer_size(8 * 1024));
    };
    server.on_message = [&](auto& member, const auto&) { listening.push_back(&member); };
    slow.order(server.port());
    slow.answer();
    const std::set<fleet::member*> deaf = server.members();
    REQUIRE(deaf.size() == slow_ones);
    fast.order(server.port());
    l.until([&] { return listening.size() == fast_ones; });

    const std::size_t before = heap_in_use();
    std::size_t most = before;
    std::size_t fast_refused = 0;
    std::map<fleet::member*, int> refused;
    std::uint32_t number = 0;
    asio::steady_timer timer(l.io);
    const std::function<void(std::error_code)> broadcast = [&](std::error_code) {
        const byte_vector payload = numbered(number);
        for (auto* member : listening)
            if (member->ws.try_send(message_kind::binary, payload) != errc::ok) ++fast_refused;
        for (auto* member : deaf)
            if (server.members().contains(member) &&
                member->ws.try_send(message_kind::binary, payload) == errc::backpressure)
                ++refused[member];
        most = (std::max)(most, heap_in_use());
        if (++number == messages) return;
        timer.expires_after(10ms);
        timer.async_wait(broadcast);
    };
    broadcast({});
    CHECK(fast.answer() == messages);
    fast.finish();
    CHECK(fast_refused == 0);
    l.until([&] { return server.alive() == 0; });
    slow.order(1);
    slow.answer();
    slow.finish();
    CHECK(server.ended[errc::closed_by_peer] == fast_ones);
    CHECK(server.ended[errc::write_timeout] == slow_ones);
    CHECK(refused.size() == slow_ones);
    const std::size_t each = (most - before) / slow_ones;
    CHECK(each > limit / 2);  // it was put to the test
    CHECK(each < limit * 3 / 2);
    server.stop_listening();
    l.finish();
    CHECK(connection::alive == 0);
    CHECK(heap_in_use() < before);
    WARN("slow ones over TLS cost " << each / 1024 << " KiB each at most");
}

namespace tls_load_tests {

// One client that breaks off wherever chance has it.
class vandal {
public:
    vandal(asio::io_context& io, std::uint32_t port, asio::ssl::context& trusts,
           std::mt19937& chance)
        : peer_(io, port, trusts), trusts_(&trusts), chance_(&chance) {}

    /// Goes one step on; false behind the last. The server may have ended it.
    bool step() {
        try {
            switch (stage_) {
            case stage::connected: return in_handshake();
            case stage::secured: return upgrading();
            case stage::open: return talking();
            case stage::closing: return closing();
            }
        } catch (const std::system_error&) {}  // the server ended it
        return false;
    }

private:
    enum class stage : std::uint8_t { connected, secured, open, closing };

    bool in_handshake() {
        switch ((*chance_)() % 8) {
        case 0: return leave();                                // nothing at all
        case 1: return peer_.write_plain(garbage()), leave();  // instead of a ClientHello
        case 2: return peer_.write_plain(bytes(upgrade_request)), leave();
        case 3: return peer_.write_plain(part_of(client_hello(*trusts_))), leave();
        case 4:  // as far as the server's first flight
            peer_.write_plain(client_hello(*trusts_));
            (void)peer_.socket().read_some(asio::buffer(some_));
            if (one_in(2)) peer_.write_plain(garbage());
            return leave();
        default: break;
        }
        peer_.secure();
        stage_ = stage::secured;
        return true;
    }
    bool upgrading() {
        if (one_in(8)) return leave();
        if (one_in(8)) return peer_.send(part_of(bytes(upgrade_request))), leave();
        peer_.open();
        stage_ = stage::open;
        return true;
    }
    bool talking() {
        if (one_in(6)) return leave();
        if (one_in(8)) return peer_.send(part_of(message())), leave();
        if (one_in(8)) return peer_.write_plain(garbage()), leave();  // beneath TLS
        if (one_in(3)) stage_ = stage::closing;
        peer_.send(message());  // its echo is left unread
        return true;
    }
    bool closing() {
        if (one_in(3)) return peer_.send(part_of(goodbye)), leave();
        peer_.send(goodbye);
        return leave();
    }

    // By a reset, by TCP's end, by TLS's end; at once, or behind what the server still has to say.
    bool leave() {
        switch ((*chance_)() % 4) {
        case 0: peer_.reset(); return false;
        case 1: peer_.cut(); return false;
        case 2:
            peer_.cut();
            peer_.read_plain_to_end();
            return false;
        default:
            if (stage_ != stage::connected) peer_.say_end();
            return false;
        }
    }
    bool one_in(unsigned n) { return (*chance_)() % n == 0; }
    byte_vector message() {
        return to_server(opcode::binary, byte_vector((*chance_)() % 2000, std::byte{0x42}));
    }
    byte_vector garbage() {
        byte_vector out(1 + (*chance_)() % 500);
        for (auto& b : out) b = std::byte((*chance_)() % 256);
        return out;
    }
    byte_vector part_of(byte_vector data) {
        data.resize((*chance_)() % data.size());
        return data;
    }

    client peer_;
    asio::ssl::context* trusts_;
    std::mt19937* chance_;
    byte_vector some_ = byte_vector(512);
    stage stage_ = stage::connected;
};

// Some dozens at once, each a step at a time. Answers how many there were.
void vandals(asio::io_context& io, order_channel& orders, unsigned seed,
             std::chrono::seconds time) {
    std::mt19937 chance(seed);
    auto trusts = client_context();
    const std::uint32_t port = orders.order();
    const auto end = std::chrono::steady_clock::now() + time;
    std::deque<std::unique_ptr<vandal>> there;
    std::uint32_t count = 0;
    while (std::chrono::steady_clock::now() < end) {
        while (there.size() < 30) {
            there.push_back(std::make_unique<vandal>(io, port, trusts, chance));
            ++count;
        }
        const auto which = static_cast<std::ptrdiff_t>(chance() % there.size());
        if (!there[static_cast<std::size_t>(which)]->step()) there.erase(there.begin() + which);
    }
    there.clear();
    orders.answer(count);
}

}  // namespace tls_load_tests

TEST_CASE(
    "load: clients that drop at random, also within the TLS handshake, leave nothing behind") {
    using namespace tls_load_tests;
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    (void)certificates::all();
    loop l;
    client_process clients(
        l, [&](asio::io_context& io, order_channel& orders) { vandals(io, orders, seed, 4s); });
    sansocket::options options;
    options.opening_timeout = options.close_timeout = 500ms;
    fleet server(l, options);
    server.on_open = [](auto& member) { member.ws.next_layer().shutdown_timeout(300ms); };
    clients.order(server.port());

    // Meanwhile somebody who behaves is served.
    auto trusts = client_context();
    tls_client good(l.io, trusts);
    const result opened = connect_to(good, "wss://127.0.0.1:" + std::to_string(server.port()));
    l.until(opened);
    REQUIRE(!opened.ec());
    std::size_t served = 0;
    std::function<void()> talk = [&] {
        good.async_send_text("still there?", [](std::error_code) {});
        good.async_receive([&](std::error_code ec, const sansocket::message& m) {
            if (ec || m.data != "still there?") return;
            ++served;
            talk();
        });
    };
    talk();
    const std::size_t count = clients.answer();
    clients.finish();
    CHECK(count > 100);
    CHECK(served > count / 10);

    talk = [] {};
    const result closed = close(good);
    l.until(closed);
    CHECK(!closed.ec());
    server.stop_listening();
    l.until([&] { return server.alive() == 0; });
    CHECK(l.finish() < 2s);
    CHECK(connection::alive == 0);
    std::size_t ended = 0;
    std::string causes;
    for (const auto& [cause, n] : server.ended) {
        ended += n;
        causes += ", " + std::to_string(n) + " " + make_error_code(cause).message();
    }
    CHECK(ended == count + 1);
    CHECK(server.ended[errc::ok] == 0);
    for (const auto cause : {errc::closed_by_peer, errc::tls_handshake_failed, errc::tls_truncated,
                             errc::end_of_stream, errc::transport_lost})
        CHECK(server.ended[cause] > 0);
    WARN(count << " clients, " << served << " answers to the one that stayed" << causes);
}

namespace tls_load_tests {

constexpr std::uint32_t of_each_kind = 20;
constexpr auto patience_at_end = 400ms;

// Three kinds of ends without a close_notify of theirs: cut off before the Close; cut off behind both
// Closes; and then still there, and silent.
void rude_clients(asio::io_context& io, order_channel& orders) {
    auto trusts = client_context();
    auto all = opened(io, orders.order(), trusts, std::size_t{of_each_kind} * 3);
    for (std::size_t i = 0; i != all.size(); ++i) {
        if (i % 3 == 0) {
            all[i].cut();
            continue;
        }
        all[i].send(goodbye);
        all[i].expect(goodbye_too);
        if (i % 3 == 1) all[i].cut();
    }
    orders.answer(1);
    std::uint32_t ended_in_order = 0;
    for (std::size_t i = 0; i != all.size(); ++i)
        if (i % 3 == 2 && all[i].at_end()) ++ended_in_order;  // the server's close_notify
    for (auto& one : all) one.read_plain_to_end();
    orders.answer(ended_in_order);
}

}  // namespace tls_load_tests

TEST_CASE(
    "load: who ends without close_notify is told apart, and none waits longer than it should") {
    using namespace tls_load_tests;
    (void)certificates::all();
    loop l;
    client_process clients(l, rude_clients);
    fleet server(l);
    server.on_open = [](auto& member) { member.ws.next_layer().shutdown_timeout(patience_at_end); };
    clients.order(server.port());
    (void)clients.answer();
    const auto start = std::chrono::steady_clock::now();
    l.until([&] { return server.alive() == 0; });
    CHECK(server.ended[errc::tls_truncated] == of_each_kind);
    CHECK(server.ended[errc::closed_by_peer] == of_each_kind * 2);
    CHECK(connection::alive >= static_cast<int>(of_each_kind));  // those that are silent
    l.until([&] { return connection::alive == 0; });
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took > patience_at_end / 2);
    CHECK(took < 3s);
    CHECK(clients.answer() == of_each_kind);
    clients.finish();
    server.stop_listening();
    CHECK(l.finish() < 900ms);
}
