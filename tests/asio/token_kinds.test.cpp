// What completion tokens ask of an operation besides its result: an executor, an allocator, a
// cancellation slot; and the tokens that put several operations together.
#include <sansocket_asio/group.hpp>
#include <sansocket_asio/server.hpp>
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/parallel_group.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#if __has_include(<asio/deferred.hpp>)
#include <asio/deferred.hpp>
#else
#include <asio/experimental/deferred.hpp>
#endif
#if __has_include(<asio/as_tuple.hpp>)
#include <asio/as_tuple.hpp>
#else
#include <asio/experimental/as_tuple.hpp>
#endif

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using namespace support;

namespace token_kinds_tests {

// A token that starts nothing, and answers with the executor of the initiation: what tokens that add
// a timer, such as cancel_after, run it on.
struct executor_of {};

}  // namespace token_kinds_tests

template <class Signature>
class asio::async_result<token_kinds_tests::executor_of, Signature> {
public:
    template <class Initiation, class Token, class... Args>
    static asio::any_io_executor initiate(Initiation&& initiation, Token&&, Args&&...) {
        if constexpr (requires { initiation.get_executor(); }) return initiation.get_executor();
        else return {};
    }
};

namespace token_kinds_tests {
namespace {

using namespace asio::experimental::awaitable_operators;

#if __has_include(<asio/deferred.hpp>)
constexpr auto deferred = asio::deferred;
#else
constexpr auto deferred = asio::experimental::deferred;
#endif
#if __has_include(<asio/as_tuple.hpp>)
using asio::as_tuple;
#else
using asio::experimental::as_tuple;
#endif

// What is allocated with it and not yet given back.
struct memory {
    std::size_t blocks = 0;
    std::size_t in_use = 0;
};
template <class T>
struct allocator {
    using value_type = T;
    explicit allocator(memory& m) : from(&m) {}
    template <class U>
    allocator(const allocator<U>& o) noexcept : from(o.from) {}
    T* allocate(std::size_t n) {
        ++from->blocks;
        from->in_use += n * sizeof(T);
        return std::allocator<T>{}.allocate(n);
    }
    void deallocate(T* p, std::size_t n) {
        from->in_use -= n * sizeof(T);
        std::allocator<T>{}.deallocate(p, n);
    }
    template <class U>
    bool operator==(const allocator<U>& o) const noexcept {
        return from == o.from;
    }
    memory* from;
};

// A handler with an allocator, and a note of what had been given back when it was called.
struct allocating {
    using allocator_type = allocator<std::byte>;
    allocator_type get_allocator() const noexcept { return allocator_type(*from); }
    void operator()(std::error_code ec, sansocket::message m = {}) const {
        CHECK(from->in_use == 0);
        done(ec, std::move(m));
    }
    void operator()(std::error_code ec, const sansocket::message_piece& p) const {
        (*this)(ec, sansocket::message{p.kind, p.data});
    }
    void operator()(std::error_code ec, std::size_t) const { (*this)(ec); }
    void operator()(std::error_code ec, sansocket_asio::shutdown_result) const { (*this)(ec); }
    memory* from;
    result done{};
};

struct listener {
    explicit listener(loop& l) : acceptor(l.io, {asio::ip::address_v4::loopback(), 0}) {}
    std::string url() const {
        return "ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
    }
    tcp::acceptor acceptor;
};

}  // namespace

TEST_CASE("websocket tokens: every initiation has the executor of its websocket") {
    asio::io_context io;
    websocket_client client(io);
    websocket_server server(io);
    const auto ex = asio::any_io_executor(io.get_executor());
    const executor_of token;
    const sansocket_asio::client_options options;
    const tcp::endpoint to;
    const byte_vector data;
    const auto kind = message_kind::text;
    const std::string text = "x";
    const auto payload = std::as_bytes(std::span{text});
    CHECK(client.async_connect("ws://localhost/", token) == ex);
    CHECK(client.async_connect("ws://localhost/", options, token) == ex);
    CHECK(client.async_connect_to(to, "ws://localhost/", options, token) == ex);
    CHECK(client.async_connect_to(std::vector{to}, "ws://localhost/", options, token) == ex);
    CHECK(client.async_handshake({.host = "localhost"}, {}, token) == ex);
    CHECK(server.async_accept(token) == ex);
    CHECK(server.async_accept({}, {}, token) == ex);
    CHECK(server.async_read_request({}, {}, token) == ex);
    CHECK(client.async_receive(token) == ex);
    CHECK(client.async_receive_some(token) == ex);
    const auto take = [](sansocket::message_view) {};
    CHECK(client.async_run(take, token) == ex);
    CHECK(client.async_run(take, sansocket_asio::run_options{}, token) == ex);
    CHECK(client.async_send_text(text, token) == ex);
    CHECK(client.async_send_binary(payload, token) == ex);
    CHECK(client.async_send(kind, payload, token) == ex);
    CHECK(client.async_send(kind, payload, sansocket::compression::off, token) == ex);
    CHECK(client.async_send(sansocket::message{kind, text}, token) == ex);
    CHECK(client.async_send(sansocket::prepared_message(kind, payload), token) == ex);
    CHECK(client.async_send_fragmented(kind, payload, token) == ex);
    CHECK(client.async_start(kind, token) == ex);
    CHECK(client.async_append(payload, token) == ex);
    CHECK(client.async_append(text, token) == ex);
    CHECK(client.async_finish(payload, token) == ex);
    CHECK(client.async_finish(text, token) == ex);
    CHECK(client.async_drain(token) == ex);
    CHECK(client.async_ping(payload, token) == ex);
    CHECK(client.async_close(close_code::normal, {}, token) == ex);
    CHECK(client.connection() == nullptr);  // none of them was started

    sansocket_asio::group all(io.get_executor());
    CHECK(all.async_shutdown(1s, token) == ex);
    CHECK(all.async_shutdown(1s, close_code::normal, "", token) == ex);
    sansocket_asio::server listens(io.get_executor());
    CHECK(listens.async_stop(1s, token) == ex);
}

TEST_CASE("websocket tokens: a handler's allocator serves every operation, and has it back first") {
    loop l;
    listener at(l);
    websocket_client client(l.io);
    std::array<memory, 8> of;
    std::vector<allocating> all;
    for (memory& m : of) all.push_back({&m});

    client.async_connect(at.url(), all[0]);
    CHECK(of[0].in_use > 0);
    websocket_server server(accept(l, at.acceptor));
    server.async_read_request({}, {}, all[1]);
    CHECK(of[1].in_use > 0);
    l.until(all[1].done);
    CHECK(server.accept() == errc::ok);
    l.until(all[0].done);
    CHECK(!all[0].done.ec());

    server.async_receive(all[2]);
    CHECK(of[2].in_use > 0);
    client.async_send_text("x", all[3]);  // done at once: what is posted, the executor allocates
    client.async_ping({}, all[4]);
    for (const int i : {2, 3, 4}) l.until(all[static_cast<std::size_t>(i)].done);
    CHECK(all[2].done.text() == "x");
    client.async_close(close_code::normal, "", all[5]);
    CHECK(of[5].in_use > 0);
    l.until(all[5].done);
    CHECK(!all[5].done.ec());

    websocket_client other(l.io);
    other.async_connect_to(at.acceptor.local_endpoint(), "ws://localhost/", {}, all[6]);
    CHECK(of[6].in_use > 0);
    const tcp::socket silent = accept(l, at.acceptor);
    other.abort();
    l.until(all[6].done);
    l.until([&] { return server.state() == connection_state::closed; });
    for (const memory& m : of) CHECK(m.in_use == 0);
}

TEST_CASE(
    "websocket tokens: a handler's allocator serves accepting, runs, parts, draining, and the end "
    "of all") {
    loop l;
    tcp_pair sockets(l.io);
    websocket_client client(std::move(sockets.a));
    websocket_server server(std::move(sockets.b));
    std::array<memory, 12> of;
    std::vector<allocating> all;
    for (memory& m : of) all.push_back({&m});

    server.async_accept({}, {}, all[0]);
    client.async_handshake({.host = "localhost"}, {}, all[1]);
    CHECK(of[0].in_use > 0);
    CHECK(of[1].in_use > 0);
    for (const std::size_t i : {0u, 1u}) l.until(all[i].done);

    server.async_receive_some(all[2]);
    CHECK(of[2].in_use > 0);
    const std::string text = "x";
    const auto payload = std::as_bytes(std::span{text});
    client.async_start(message_kind::text, all[3]);  // these are done at once, too
    client.async_append(payload, all[4]);
    client.async_finish(payload, all[5]);
    client.async_send_fragmented(message_kind::text, payload, all[6]);
    client.async_send({message_kind::text, text}, all[7]);
    client.async_drain(all[8]);
    for (const std::size_t i : {2u, 3u, 4u, 5u, 6u, 7u, 8u}) l.until(all[i].done);
    CHECK(all[2].done.text().starts_with("x"));

    const auto take = [](sansocket::message_view) {};
    server.async_run(take, all[9]);
    CHECK(of[9].in_use > 0);
    sansocket_asio::group members(l.io.get_executor());
    REQUIRE(members.join(client));
    members.async_shutdown(10s, all[10]);
    CHECK(of[10].in_use > 0);
    for (const std::size_t i : {9u, 10u}) l.until(all[i].done);

    sansocket_asio::server listens(l.io.get_executor());
    listens.async_stop(1s, all[11]);
    l.until(all[11].done);
    for (const allocating& a : all) CHECK(!a.done.ec());
    for (const memory& m : of) CHECK(m.in_use == 0);
}

TEST_CASE("websocket tokens: what is destroyed with its context gives back what it allocated") {
    memory of_receive, of_connect;
    {
        auto l = std::make_unique<loop>();
        l->left_open = true;  // that is what it is about
        listener at(*l);
        websocket_pair p(*l);
        websocket_client client(l->io);
        p.server.async_receive(allocating{&of_receive});
        client.async_connect(at.url(), allocating{&of_connect});
        l->poll();
        CHECK(of_receive.in_use > 0);
        CHECK(of_connect.in_use > 0);
        at.acceptor.close();
        // The websockets outlive what they run on.
        const auto a = std::move(p.server);
        const auto b = std::move(p.client);
        const auto c = std::move(client);
        l.reset();
    }
    CHECK(of_receive.in_use == 0);
    CHECK(of_connect.in_use == 0);
}

TEST_CASE("websocket tokens: deferred connect_to starts when it is called") {
    loop l;
    listener at(l);
    websocket_client client(l.io);
    const sansocket_asio::client_options options;
    auto later = client.async_connect_to(at.acceptor.local_endpoint(), std::string("ws://h") + "/",
                                         options, deferred);
    l.poll();
    CHECK(client.connection() == nullptr);
    const result connected;
    std::move(later)(connected);
    raw_peer peer(l, accept(l, at.acceptor));
    CHECK(peer.accept().find("Host: h\r\n") != std::string::npos);
    l.until(connected);
    CHECK(!connected.ec());
    client.abort();
}

TEST_CASE("websocket tokens: a parallel_group cancels the receive that came second, and no message "
          "is lost") {
    loop l;
    websocket_pair p(l);
    constexpr int rounds = 300;
    int taken = 0, rung = 0, sent = 0;
    asio::steady_timer timer(l.io);
    for (int round = 0; taken != rounds; ++round) {
        REQUIRE(round < 100 * rounds);
        timer.expires_after(std::chrono::microseconds(round % 5 * 40));
        bool done = false;
        asio::experimental::make_parallel_group(p.server.async_receive(deferred),
                                                timer.async_wait(deferred))
            .async_wait(asio::experimental::wait_for_one(),
                        [&](std::array<std::size_t, 2>, std::error_code ec, sansocket::message m,
                            std::error_code) {
                            done = true;
                            // Both may have completed: the message counts, whoever was first.
                            if (!ec) {
                                REQUIRE(m.data == std::to_string(taken));
                                ++taken;
                            } else {
                                REQUIRE(ec == asio::error::operation_aborted);
                                ++rung;
                            }
                        });
        if (sent != rounds && round % 2 == 0)
            p.client.async_send_text(std::to_string(sent++), [](std::error_code) {});
        l.until([&] { return done; });
    }
    CHECK(rung != 0);
    CHECK(p.server.state() == connection_state::open);
    close_both(l, p);
}

namespace {

using awaiting_client = asio::use_awaitable_t<>::as_default_on_t<websocket_client>;
static_assert(
    std::is_same_v<awaiting_client::executor_type,
                   asio::use_awaitable_t<>::executor_with_default<asio::any_io_executor>>);

// No token anywhere.
asio::awaitable<void> with_defaults(std::string url, std::string& got) {
    awaiting_client ws(co_await asio::this_coro::executor);
    const sansocket_asio::client_options options;
    co_await ws.async_connect(url, options);
    co_await ws.async_send_text("text");
    co_await ws.async_ping({});
    const auto m = co_await ws.async_receive();
    got = m.data;
    co_await ws.async_close(close_code::normal, "");
}

// No exception anywhere.
asio::awaitable<void> with_tuples(std::string url, std::vector<std::error_code>& codes) {
    const auto token = as_tuple(asio::use_awaitable);
    websocket_client ws(co_await asio::this_coro::executor);
    const auto [connected] = co_await ws.async_connect(url, token);
    const auto [sent] = co_await ws.async_send_text("text", token);
    const auto [ec, m] = co_await ws.async_receive(token);
    CHECK(m.data == "text");
    const auto [closed] = co_await ws.async_close(close_code::normal, "", token);
    const auto [end, none] = co_await ws.async_receive(token);
    CHECK(none.data.empty());
    const auto [again] = co_await ws.async_connect("http://h/", token);
    codes = {connected, sent, ec, closed, end, again};
}

// What is there at once races a message that is there, too, and wins.
asio::awaitable<void> take_in_turns(websocket_server& ws, int messages, int& lost) {
    const auto ex = co_await asio::this_coro::executor;
    for (int i = 0; i != messages; ++i) {
        auto first =
            co_await (asio::post(ex, asio::use_awaitable) || ws.async_receive(asio::use_awaitable));
        if (first.index() == 1) {
            CHECK(std::get<1>(first).data == std::to_string(i));
            continue;
        }
        const auto m = co_await ws.async_receive(asio::use_awaitable);
        if (m.data == std::to_string(i)) continue;
        ++lost;
        co_return;
    }
}

asio::awaitable<void> echo(tcp::acceptor& acceptor) {
    websocket_server ws(co_await acceptor.async_accept(asio::use_awaitable));
    co_await ws.async_accept(asio::use_awaitable);
    for (;;) {
        auto [ec, m] = co_await ws.async_receive(as_tuple(asio::use_awaitable));
        if (ec) co_return;
        co_await ws.async_send(std::move(m), asio::use_awaitable);
    }
}

}  // namespace

TEST_CASE(
    "websocket tokens: a receive that comes second loses no message that was there before it") {
    loop l;
    websocket_pair p(l);
    constexpr int messages = 300;
    for (int i = 0; i != messages; ++i) l.until(send(p.client, std::to_string(i)));
    int lost = 0;
    bool done = false;
    co_spawn(l.io, take_in_turns(p.server, messages, lost),
             [&](const std::exception_ptr& e) { done = e == nullptr; });
    l.until([&] { return done; });
    CHECK(lost == 0);
    close_both(l, p);
}

TEST_CASE("websocket tokens: use_awaitable and as_tuple, by default and by name") {
    loop l;
    listener at(l);
    int done = 0;
    const auto count = [&done](const std::exception_ptr& e) {
        CHECK(e == nullptr);
        ++done;
    };
    std::string got;
    co_spawn(l.io, echo(at.acceptor), count);
    co_spawn(l.io, with_defaults(at.url(), got), count);
    l.until([&] { return done == 2; });
    CHECK(got == "text");

    std::vector<std::error_code> codes;
    co_spawn(l.io, echo(at.acceptor), count);
    co_spawn(l.io, with_tuples(at.url(), codes), count);
    l.until([&] { return done == 4; });
    CHECK(codes ==
          std::vector<std::error_code>{{}, {}, {}, {}, errc::closed_locally, errc::url_scheme});
}

}  // namespace token_kinds_tests
