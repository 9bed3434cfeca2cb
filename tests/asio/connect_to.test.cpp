// Clients that connect to endpoints: Unix domain sockets, addresses that are known, and what the
// opening deadline leaves to each of them.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"
#include "support/scale.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/local/stream_protocol.hpp>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace support;

namespace connect_to_tests {
namespace {

using sansocket_asio::connect_stage;

sansocket_asio::client_options open_within(std::chrono::milliseconds time) {
    sansocket_asio::client_options options;
    options.connection.opening_timeout = time;
    return options;
}

template <class Protocol>
result connect_to(sansocket_asio::websocket<role::client, typename Protocol::socket>& ws,
                  const typename Protocol::endpoint& to,
                  const sansocket_asio::client_options& options = {}) {
    result r;
    ws.async_connect_to(to, "ws://localhost/chat", options, r);
    CHECK_FALSE(r.done());
    return r;
}

// A message each way between a client that connects to `at` and a server behind `acceptor`.
template <class Protocol>
void converse(loop& l, typename Protocol::acceptor& acceptor) {
    using socket = typename Protocol::socket;
    sansocket_asio::websocket<role::client, socket> client(l.io);
    const result connected = connect_to<Protocol>(client, acceptor.local_endpoint());
    std::optional<sansocket_asio::websocket<role::server, socket>> server;
    const result accepted;
    acceptor.async_accept([&](std::error_code ec, socket s) {
        REQUIRE(!ec);
        server.emplace(std::move(s));
        server->async_accept(accepted);
    });
    l.until(connected);
    l.until(accepted);
    REQUIRE(!connected.ec());
    CHECK(server->connection()->handshake()->request().find("Host") == "localhost");
    CHECK(server->connection()->handshake()->request().target() == "/chat");
    l.until(send(client, "there"));
    const result there = receive(*server);
    l.until(there);
    CHECK(there.text() == "there");
    l.until(send(*server, "back"));
    const result back = receive(client);
    l.until(back);
    CHECK(back.text() == "back");
    close_both(l, client, *server);
    CHECK(client.close_info().clean);
    CHECK(l.finish() < 1s);
}

tcp::acceptor listen_on_loopback(loop& l) { return {l.io, {asio::ip::address_v4::loopback(), 0}}; }

// A port that nobody has.
tcp::endpoint nobody(loop& l) { return listen_on_loopback(l).local_endpoint(); }

// A listener that answers nobody, for its backlog is full.
struct black_hole {
    explicit black_hole(loop& l) : acceptor(l.io), last_one_in(l.io) {
        acceptor.open(tcp::v4());
        acceptor.bind({asio::ip::address_v4::loopback(), 0});
        acceptor.listen(0);
        last_one_in.connect(acceptor.local_endpoint());
    }
    // Some systems take more connections than they are asked to.
    bool is_black(loop& l) const {
        tcp::socket probe(l.io);
        bool answered = false;
        probe.async_connect(acceptor.local_endpoint(), [&](std::error_code) { answered = true; });
        l.io.restart();
        l.io.run_for(50ms);
        const bool black = !answered;
        probe.close();
        l.poll();
        return black;
    }
    tcp::acceptor acceptor;
    tcp::socket last_one_in;
};

#if defined(ASIO_HAS_LOCAL_SOCKETS)
using local = asio::local::stream_protocol;

// A directory of its own, gone afterwards.
struct folder {
    folder()
        : path(std::filesystem::temp_directory_path() /
               ("sansocket-" + std::to_string(std::random_device{}()))) {
        std::filesystem::create_directory(path);
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
};
#endif

}  // namespace

TEST_CASE("websocket connect_to: a TCP endpoint that is known") {
    loop l;
    tcp::acceptor acceptor = listen_on_loopback(l);
    converse<tcp>(l, acceptor);
}

#if defined(ASIO_HAS_LOCAL_SOCKETS)
TEST_CASE("websocket connect_to: a Unix domain socket") {
    loop l;
    const folder dir;
    local::acceptor acceptor(l.io, local::endpoint((dir.path / "ws").string()));
    converse<local>(l, acceptor);
}

#if defined(__linux__)
TEST_CASE("websocket connect_to: an abstract Unix domain socket") {
    loop l;
    const std::string name = "sansocket-" + std::to_string(std::random_device{}());
    local::acceptor acceptor(l.io, local::endpoint('\0' + name));
    converse<local>(l, acceptor);

    acceptor.close();
    sansocket_asio::websocket<role::client, local::socket> ws(l.io);
    const result connected = connect_to<local>(ws, local::endpoint('\0' + name));
    l.until(connected);
    CHECK(connected.ec() == asio::error::connection_refused);
    CHECK(ws.failure().where == "@" + name);
}
#endif

TEST_CASE(
    "websocket connect_to: a Unix domain socket that is not there, or whose server is silent") {
    loop l;
    const folder dir;
    const local::endpoint at((dir.path / "ws").string());
    {
        sansocket_asio::websocket<role::client, local::socket> ws(l.io);
        const result connected = connect_to<local>(ws, at);
        l.until(connected);
        CHECK(connected.ec().value() == ENOENT);
        CHECK(ws.failure().stage == connect_stage::connect);
        CHECK(ws.failure().where == at.path());
        CHECK(ws.failure().describe() == "connect: No such file or directory (" + at.path() + ")");
    }
    const local::acceptor silent(l.io, at);
    sansocket_asio::websocket<role::client, local::socket> ws(l.io);
    const result connected = connect_to<local>(ws, at, open_within(50ms));
    l.until(connected);
    CHECK(connected.ec() == errc::opening_timeout);
    CHECK(ws.failure().stage == connect_stage::upgrade);
    CHECK(l.finish() < 1s);
}
#endif

TEST_CASE("websocket connect_to: misuse is named") {
    loop l;
    tcp::acceptor acceptor = listen_on_loopback(l);
    const auto attempt = [&](std::vector<tcp::endpoint> to, std::string_view url) {
        websocket_client ws(l.io);
        const result connected;
        ws.async_connect_to(std::move(to), url, {}, connected);
        CHECK_FALSE(connected.done());
        l.until(connected);
        CHECK(ws.failure().ec == connected.ec());
        return connected.ec();
    };
    CHECK(attempt({acceptor.local_endpoint()}, "http://localhost/") == errc::url_scheme);
    CHECK(attempt({acceptor.local_endpoint()}, "wss://localhost/") == errc::url_needs_tls);
    CHECK(attempt({}, "ws://localhost/") == asio::error::not_found);
}

TEST_CASE("websocket connect_to: cancelled while it connects and while it opens") {
    for (const bool opening : {false, true}) {
        loop l;
        tcp::acceptor acceptor = listen_on_loopback(l);
        websocket_client ws(l.io);
        asio::cancellation_signal cancel;
        const result connected;
        ws.async_connect_to(acceptor.local_endpoint(), "ws://localhost/", {},
                            asio::bind_cancellation_slot(cancel.slot(), connected));
        std::optional<tcp::socket> peer;
        if (opening) peer.emplace(accept(l, acceptor));
        if (opening) l.poll();
        CHECK(ws.failure().stage == (opening ? connect_stage::upgrade : connect_stage::connect));
        cancel.emit(asio::cancellation_type::total);
        l.until(connected);
        CHECK(connected.ec() == asio::error::operation_aborted);
        CHECK(ws.close_info().cause == errc::cancelled);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket connect_to: endpoints are tried in their order") {
    loop l;
    tcp::acceptor first = listen_on_loopback(l), second = listen_on_loopback(l);
    websocket_client ws(l.io);
    const result connected;
    ws.async_connect_to(std::vector{nobody(l), first.local_endpoint(), second.local_endpoint()},
                        "ws://localhost/", {}, connected);
    raw_peer peer(l, accept(l, first));
    peer.accept();
    l.until(connected);
    CHECK(!connected.ec());
    ws.abort();

    websocket_client other(l.io);
    const result failed;
    const tcp::endpoint last = nobody(l);
    other.async_connect_to(std::vector{nobody(l), last}, "ws://localhost/", {}, failed);
    l.until(failed);
    CHECK(failed.ec() == asio::error::connection_refused);
    CHECK(other.failure().where == "127.0.0.1:" + std::to_string(last.port()));
    CHECK(l.finish() < 1s);
}

TEST_CASE("websocket connect: an address that hangs leaves the others their share of the time") {
    loop l;
    const black_hole hole(l);
    if (!hole.is_black(l)) return;
    tcp::acceptor acceptor = listen_on_loopback(l);
    const auto time = 400ms * slowness;
    for (const bool refused_behind : {false, true}) {
        websocket_client ws(l.io);
        const result connected;
        const tcp::endpoint behind = refused_behind ? nobody(l) : acceptor.local_endpoint();
        const auto start = std::chrono::steady_clock::now();
        ws.async_connect_to(std::vector{hole.acceptor.local_endpoint(), behind}, "ws://localhost/",
                            open_within(time), connected);
        if (refused_behind) {
            l.until(connected);
            CHECK(connected.ec() == asio::error::connection_refused);
        } else {
            raw_peer peer(l, accept(l, acceptor));
            peer.accept();
            l.until(connected);
            CHECK(!connected.ec());
            // The timer of the attempt that was given up is gone with it.
            peer.send(to_client(sansocket::opcode::text, bytes("x")));
            const result got = receive(ws);
            l.until(got);
            CHECK(got.text() == "x");
            ws.abort();
        }
        CHECK(std::chrono::steady_clock::now() - start >= time / 2 - 5ms);
        CHECK(std::chrono::steady_clock::now() - start < time);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE(
    "websocket connect: the only address, and the last one, may hang as long as there is time") {
    loop l;
    const black_hole hole(l);
    if (!hole.is_black(l)) return;
    for (const std::size_t addresses : {std::size_t{1}, std::size_t{3}}) {
        websocket_client ws(l.io);
        const result connected;
        const auto start = std::chrono::steady_clock::now();
        ws.async_connect_to(std::vector<tcp::endpoint>(addresses, hole.acceptor.local_endpoint()),
                            "ws://localhost/", open_within(150ms), connected);
        l.until(connected);
        CHECK(connected.ec() == errc::opening_timeout);
        CHECK(std::chrono::steady_clock::now() - start >= 150ms);
        CHECK(ws.failure().stage == connect_stage::connect);
        CHECK(l.finish() < 1s);
    }
}

TEST_CASE("websocket connect: half a head, and bytes that trickle, extend no deadline") {
    for (const std::string_view start :
         {"HTTP/1.1 101 Switching Protocols\r\nX: ", "HTTP/1.1 403 Forbidden\r\n\r\n"}) {
        CAPTURE(start);
        loop l;
        tcp::acceptor acceptor = listen_on_loopback(l);
        websocket_client ws(l.io);
        const auto begun = std::chrono::steady_clock::now();
        const result connected = connect_to<tcp>(ws, acceptor.local_endpoint(), open_within(100ms));
        raw_peer peer(l, accept(l, acceptor));
        peer.read_head();
        peer.send(bytes(std::string{start}));
        asio::steady_timer pause(l.io);
        while (!connected.done()) {
            (void)peer.offer(bytes("x"));
            pause.expires_after(5ms);
            bool rang = false;
            pause.async_wait([&](std::error_code) { rang = true; });
            l.until([&] { return rang; });
        }
        const auto took = std::chrono::steady_clock::now() - begun;
        CHECK(took >= 100ms);
        CHECK(took < 5s);
        const bool refused = start.find("403") != std::string_view::npos;
        CHECK(connected.ec() == (refused ? errc::upgrade_refused : errc::opening_timeout));
        CHECK(ws.failure().stage == connect_stage::upgrade);
        CHECK((ws.failure().response.status() == 403) == refused);
        if (refused) CHECK(ws.failure().body.starts_with("xx"));
    }
}

TEST_CASE("websocket connect: without an opening timeout an attempt has no share either") {
    loop l;
    tcp::acceptor acceptor = listen_on_loopback(l);
    websocket_client ws(l.io);
    const result connected;
    ws.async_connect_to(std::vector{nobody(l), acceptor.local_endpoint()}, "ws://localhost/",
                        open_within(0ms), connected);
    raw_peer peer(l, accept(l, acceptor));
    peer.accept();
    l.until(connected);
    CHECK(!connected.ec());
    ws.abort();
}

}  // namespace connect_to_tests
