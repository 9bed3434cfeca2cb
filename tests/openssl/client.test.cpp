// Conversations over TLS: both roles, ws and wss with one type, and how they end.
#include <sansocket_openssl/client.hpp>

#include "support/tls_loop.hpp"

#include <sansocket_asio/group.hpp>

#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace support;

namespace tls_client_tests {

template <class First, class Second>
void echo(loop& l, First& from, Second& to, const std::string& text) {
    const result sent = send(from, text);
    const result got = receive(to);
    l.until(got);
    CHECK(got.text() == text);
    const result answered = send(to, text);
    const result back = receive(from);
    l.until(back);
    CHECK(back.text() == text);
    l.until(sent);
    l.until(answered);
}

TEST_CASE("tls: a client and a server talk and close") {
    loop l;
    tls_pair p(l);
    CHECK(p.client.next_layer().uses_tls());
    CHECK(p.server.next_layer().uses_tls());
    CHECK(p.client.next_layer().verify_error().empty());
    for (const std::size_t size : {0U, 5U, 125U, 126U, 16384U, 65536U, 3000000U})
        echo(l, p.client, p.server, std::string(size, 'x'));
    const result ended = receive(p.server);
    const result closed = close(p.client, close_code::normal, "bye");
    l.until(closed);
    l.until(ended);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(p.server.close_info().clean);
    CHECK(l.finish() < 900ms);  // both say close_notify: nobody waits for it
}

TEST_CASE("tls: a server closes") {
    loop l;
    tls_pair p(l);
    const result ended = receive(p.client);
    const result closed = close(p.server, close_code::going_away);
    l.until(closed);
    l.until(ended);
    CHECK(!closed.ec());
    CHECK(ended.ec() == errc::closed_by_peer);
    CHECK(p.client.close_info().clean);
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: one type of client for ws and wss, and one of server") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    for (const bool secure : {false, true, false}) {
        CAPTURE(secure);
        tls_listener at(l);
        tls_client client(l.io, trusts);
        const result opened = connect_to(client, at.url(secure ? "wss" : "ws"));
        auto socket = accept(l, at.acceptor);
        tls_server server =
            secure ? tls_server(std::move(socket), is) : tls_server(std::move(socket));
        const result accepted;
        server.async_accept(accepted);
        l.until(opened);
        l.until(accepted);
        REQUIRE(!opened.ec());
        CHECK(client.next_layer().uses_tls() == secure);
        CHECK((client.next_layer().native_handle() != nullptr) == secure);
        for (const std::size_t size : {0U, 125U, 200000U})
            echo(l, client, server, std::string(size, 'y'));
        close_both(l, client, server);
        CHECK(l.finish() < 900ms);
    }
}

#if defined(ASIO_HAS_LOCAL_SOCKETS)
TEST_CASE("tls: over Unix domain sockets, over a stream that is connected") {
    loop l;
    auto trusts = client_context();
    auto is = server_context();
    using socket = asio::local::stream_protocol::socket;
    socket a(l.io);
    socket b(l.io);
    asio::local::connect_pair(a, b);
    sansocket_openssl::stream of_client(l.io, trusts);
    of_client.lowest_layer() = std::move(a);
    REQUIRE(!of_client.use_tls("localhost"));
    CHECK(of_client.use_tls("localhost") == asio::error::already_started);
    tls_client client(std::move(of_client));
    tls_server server(std::move(b), is);
    const result accepted;
    const result opened;
    server.async_accept(accepted);
    client.async_handshake({.host = "localhost"}, {}, opened);
    l.until(opened);
    l.until(accepted);
    REQUIRE(!opened.ec());
    echo(l, client, server, "hello");
    close_both(l, client, server);
    CHECK(l.finish() < 900ms);
}
#endif

TEST_CASE("tls: both send much at a time, in many messages") {
    loop l;
    tls_pair p(l);
    constexpr int count = 300;
    const std::string all(std::size_t{count} * 37, 'a');
    std::vector<result> sent;
    for (int i = 0; i != count; ++i) {
        const auto text = std::string_view{all}.substr(0, static_cast<std::size_t>(i) * 37);
        sent.push_back(send(p.client, text));
        sent.push_back(send(p.server, text));
    }
    for (int i = 0; i != count; ++i) {
        const result there = receive(p.server);
        const result back = receive(p.client);
        l.until(there);
        l.until(back);
        CHECK(there.text().size() == static_cast<std::size_t>(i) * 37);
        CHECK(back.text().size() == static_cast<std::size_t>(i) * 37);
    }
    for (const auto& one : sent) {
        REQUIRE(one.done());
        CHECK(!one.ec());
    }
    close_both(l, p.client, p.server);
}

TEST_CASE("tls: a message and the close behind it are not cut off") {
    loop l;
    tls_pair p(l);
    const std::string text(1000000, 'z');
    const result sent = send(p.server, text);
    const result closed = close(p.server);
    const result got = receive(p.client);
    l.until(got);
    CHECK(got.text() == text);
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: a group waits for the end of the transports") {
    loop l;
    sansocket_asio::group all(l.io.get_executor());
    std::vector<std::unique_ptr<tls_pair>> pairs;
    for (int i = 0; i != 3; ++i) {
        pairs.push_back(std::make_unique<tls_pair>(l));
        REQUIRE(all.join(pairs.back()->server));
    }
    tls_raw_client_pair silent(l);  // answers the Close, and not the close_notify
    silent.server.next_layer().shutdown_timeout(200ms);
    REQUIRE(all.join(silent.server));
    const auto start = std::chrono::steady_clock::now();
    bool done = false;
    sansocket_asio::shutdown_result how;
    all.async_shutdown(10s, [&](std::error_code ec, sansocket_asio::shutdown_result r) {
        CHECK(!ec);
        how = r;
        done = true;
    });
    silent.peer.read(4);
    silent.peer.send(to_server(sansocket::opcode::close, hex("03e9")));
    l.until([&] { return done; });
    CHECK(how.clean == 4);
    CHECK(std::chrono::steady_clock::now() - start >= 200ms);
    for (const auto& p : pairs) CHECK_FALSE(p->server.next_layer().lowest_layer().is_open());
    CHECK_FALSE(silent.server.next_layer().lowest_layer().is_open());
}

TEST_CASE("tls: a stream cut off after the closing handshake is a clean end (T14, B95)") {
    loop l;
    tls_raw_server_pair p(l);
    const result closed = close(p.client);
    p.peer.read(8);
    p.peer.send(to_client(sansocket::opcode::close, hex("03e8")));
    p.peer.socket.lowest_layer().close();  // no close_notify
    l.until(closed);
    CHECK(!closed.ec());
    CHECK(p.client.close_info().clean);
    CHECK(p.client.close_info().code() == close_code::normal);
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: a stream cut off before that is named (T14, B95)") {
    loop l;
    SECTION("of a client") {
        tls_raw_server_pair p(l);
        const result got = receive(p.client);
        p.peer.socket.lowest_layer().shutdown(tcp::socket::shutdown_send);
        l.until(got);
        CHECK(got.ec() == errc::tls_truncated);
        CHECK(p.client.close_info().code() == close_code::abnormal);
        p.peer.socket.lowest_layer().close();
        CHECK(l.finish() < 900ms);
    }
    SECTION("of a server") {
        tls_raw_client_pair p(l);
        const result got = receive(p.server);
        p.peer.socket.lowest_layer().shutdown(tcp::socket::shutdown_send);
        l.until(got);
        CHECK(got.ec() == errc::tls_truncated);
        p.peer.socket.lowest_layer().close();
        CHECK(l.finish() < 900ms);
    }
}

TEST_CASE("tls: who cut its stream off and still reads is told of the end, and not waited for") {
    loop l;
    tls_raw_client_pair p(l);
    p.server.next_layer().shutdown_timeout(30s);
    const result got = receive(p.server);
    SECTION("before the Close") {}
    SECTION("behind it") {
        REQUIRE(p.peer.offer(to_server(sansocket::opcode::close, hex("03e8"))));
    }
    p.peer.socket.lowest_layer().shutdown(tcp::socket::shutdown_send);
    l.until(got);
    CHECK(l.finish() < 10s);
    CHECK_FALSE(p.server.next_layer().lowest_layer().is_open());
    (void)p.peer.read_to_end();
    CHECK(p.peer.read_error == asio::error::eof);  // close_notify
}

TEST_CASE("tls: a stream that ends with close_notify and no Close is an end of the stream") {
    loop l;
    tls_raw_server_pair p(l);
    const result got = receive(p.client);
    const result said;
    p.peer.socket.async_shutdown(said);
    l.until(got);
    CHECK(got.ec() == errc::end_of_stream);
    CHECK(!p.client.transport_error());
    l.until(said);
    CHECK(!said.ec());  // the client has answered it
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: what OpenSSL says of a record that is broken is kept") {
    loop l;
    tls_raw_client_pair p(l);
    const result got = receive(p.server);
    asio::write(p.peer.socket.next_layer(), asio::buffer(hex("1703030020" + std::string(64, '5'))));
    l.until(got);
    CHECK(got.ec() == errc::transport_lost);
    const std::error_code said = p.server.transport_error();
    CHECK(said.category() == asio::error::get_ssl_category());
    CAPTURE(said.message());
    CHECK(said.message().find("bad record mac") != std::string::npos);
}

TEST_CASE("tls: a server says close_notify, and waits for the client's as long as it is told") {
    loop l;
    tls_raw_client_pair p(l);
    p.server.next_layer().shutdown_timeout(300ms);
    const auto start = std::chrono::steady_clock::now();
    const result closed = close(p.server);
    p.peer.read(4);
    p.peer.send(to_server(sansocket::opcode::close, hex("03e8")));
    l.until(closed);
    CHECK(!closed.ec());  // that is not waited for here
    CHECK(p.server.next_layer().lowest_layer().is_open());
    CHECK(p.peer.read(1).empty());
    CHECK(p.peer.read_error == asio::error::eof);  // close_notify
    SECTION("which never comes") {
        l.until([&] { return !p.server.next_layer().lowest_layer().is_open(); });
        CHECK(std::chrono::steady_clock::now() - start >= 300ms);
    }
    SECTION("which comes") {
        const result said;
        p.peer.socket.async_shutdown(said);
        l.until(said);
        l.until([&] { return !p.server.next_layer().lowest_layer().is_open(); });
        CHECK(std::chrono::steady_clock::now() - start < 300ms);
    }
    SECTION("or until it is aborted or destroyed") {
        { const tls_server gone(std::move(p.server)); }
        CHECK(l.finish() < 900ms);
        CHECK(std::chrono::steady_clock::now() - start >= 300ms);  // it goes on by itself
    }
}

TEST_CASE("tls: who fails the connection says close_notify, and waits until the peer has read") {
    loop l;
    tls_raw_client_pair p(l);
    const result got = receive(p.server);
    p.peer.send(hex("8100"));  // without a mask
    l.until(got);
    CHECK(got.ec() == errc::frame_not_masked);
    const auto said = p.peer.read_to_end();
    CHECK(p.peer.read_error == asio::error::eof);
    REQUIRE(said.size() > 4);
    CHECK(to_hex(said).starts_with("88"));
    CHECK(p.server.next_layer().lowest_layer().is_open());
    CHECK(p.peer.offer(byte_vector(100000)));  // nobody minds
    l.poll();
    CHECK(p.server.next_layer().lowest_layer().is_open());
    p.peer.socket.lowest_layer().close();
    CHECK(l.finish() < 900ms);
    CHECK_FALSE(p.server.next_layer().lowest_layer().is_open());
}

TEST_CASE("tls: two ends of which one fails the connection do not wait for each other") {
    loop l;
    sansocket::options small;
    small.messages.size = 10;
    tls_pair p(l, {}, small);
    const result ended = receive(p.client);
    const result sent = send(p.client, "more than ten bytes");
    l.until(ended);
    CHECK(p.client.close_info().code() == close_code::message_too_big);
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: a context may be gone before its stream") {
    loop l;
    tls_listener at(l);
    std::optional<asio::ssl::context> trusts = client_context();
    std::optional<asio::ssl::context> is = server_context();
    tls_client client(l.io, *trusts);
    trusts.reset();
    const result opened = connect_to(client, at.url());
    tls_server server(accept(l, at.acceptor), *is);
    is.reset();
    const result accepted;
    server.async_accept(accepted);
    l.until(opened);
    l.until(accepted);
    CHECK(!opened.ec());
    CHECK(!accepted.ec());
    close_both(l, client, server);
}

TEST_CASE("tls: abort says nothing and waits for nothing") {
    loop l;
    tls_raw_client_pair p(l);
    p.server.abort();
    CHECK_FALSE(p.server.next_layer().lowest_layer().is_open());
    p.peer.read(1);
    CHECK(p.peer.read_error != asio::error::eof);
    CHECK(l.finish() < 900ms);
}

TEST_CASE("tls: an io_context that is destroyed first ends it") {
    auto l = std::make_unique<loop>();
    l->left_open = true;
    auto trusts = client_context();
    auto is = server_context();
    for (const int steps : {0, 1, 3, 8, 20}) {
        CAPTURE(steps);
        auto io = std::make_unique<asio::io_context>();
        std::optional<tcp_pair> sockets(*io);
        tls_client client(*io, trusts);
        client.next_layer().lowest_layer() = std::move(sockets->a);
        REQUIRE(!client.next_layer().use_tls("localhost"));
        tls_server server(std::move(sockets->b), is);
        sockets.reset();
        client.async_handshake({.host = "localhost"}, {}, [](std::error_code) {});
        server.async_accept([](std::error_code) {});
        for (int i = 0; i != steps; ++i) io->run_one_for(10ms);
        io.reset();
        CHECK(client.state() == connection_state::closed);
        CHECK(server.state() == connection_state::closed);
    }
}

}  // namespace tls_client_tests
