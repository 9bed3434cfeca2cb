// A connection's whole life, with every one of the server's allocations failing: that connection may be
// lost, and nothing else. The server goes on, lets go of every descriptor, and stops.
#include <sansocket_asio/server.hpp>

#include "support/asio_allocations.hpp"
#include "support/catch.hpp"
#include "support/endpoint.hpp"
#include "support/hex.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

bool is_to_fail() noexcept {
    using support::allocations_left;
    if (!support::allocations_count || allocations_left == support::unlimited) return false;
    if (allocations_left-- != 0) return false;
    allocations_left = support::unlimited;
    return true;
}

}  // namespace

void* operator new(std::size_t size) {
    void* const block = is_to_fail() ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (block == nullptr) throw std::bad_alloc{};
    return block;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return is_to_fail() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
// Asio takes the memory of handlers from here.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
    void* block = nullptr;
    if (is_to_fail() || ::posix_memalign(&block, alignment, size) != 0) return nullptr;
    return block;
}

namespace server_allocation_tests {

using namespace std::chrono_literals;
using namespace support;
using asio::ip::tcp;
using sansocket_asio::server_decision;
using sansocket_asio::server_request;
using clock = std::chrono::steady_clock;
using server_type = sansocket_asio::server;

std::size_t open_descriptors() {
    std::size_t n = 0;
    for (int fd = 0; fd != 1024; ++fd) n += ::fcntl(fd, F_GETFD) != -1 ? 1U : 0U;
    return n;
}

// Runs the server while its allocations count; exceptions leave `io` as they do a program's.
class counted_loop {
public:
    template <class Done>
    bool until(Done done) {
        const auto end = clock::now() + 5s;
        while (!done()) {
            if (clock::now() > end) return false;
            step([&] { io.run_one_for(2ms); });
            io.restart();
        }
        return true;
    }
    template <class What>
    void step(What what) {
        if (throws_bad_alloc(what)) ++thrown;
    }
    asio::io_context io{1};
    int thrown = 0;
};

// A client that allocates nothing of the server's, and takes what it gets.
class plain_client {
public:
    plain_client(counted_loop& l, std::uint16_t port) : loop_(&l) {
        fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
        ::sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(port);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(fd_, reinterpret_cast<const ::sockaddr*>(&at), sizeof at) == 0);
    }
    plain_client(const plain_client&) = delete;
    ~plain_client() { ::close(fd_); }

    void send(const byte_vector& data) const {
        (void)::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
    }
    // What has come once `wanted` bytes are there, or at the end of the stream, which has to be soon.
    std::string read(std::size_t wanted) {
        std::string out;
        const bool in_time = loop_->until([&] {
            char some[4096];
            const auto n =
                ::recv(fd_, some, (std::min)(sizeof some, wanted - out.size()), MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) return false;
            if (n <= 0) return true;
            out.append(some, static_cast<std::size_t>(n));
            return out.size() == wanted;
        });
        CHECK(in_time);
        return out;
    }
    std::string read_head() {
        std::string out;
        while (!out.ends_with("\r\n\r\n")) {
            const std::string one = read(1);
            if (one.empty()) break;
            out += one;
        }
        return out;
    }

private:
    counted_loop* loop_;
    int fd_ = -1;
};

// Echoes one message, and holds the connection for as long as that takes. In a coroutine of Asio 1.22 an
// allocation that fails is the end of the program.
void echo(server_type::handle ws) {
    auto& named = *ws;
    named.async_receive([ws = std::move(ws)](std::error_code ec, const sansocket::message& m) {
        if (!ec) (void)ws->try_send(sansocket::message_kind::text, bytes(m.data));
    });
}

enum class story { handlers, http, refused, proxied, defaults };

struct storyteller {
    explicit storyteller(story which) : which_(which) {
        sansocket_asio::server_options options;
        options.connection.opening_timeout = 300ms;
        options.connection.close_timeout = 300ms;
        options.max_connections_per_address = 4;
        if (which == story::refused) options.max_connections = 0;
        if (which == story::proxied) {
            options.trusted_proxies = {"127.0.0.0/8"};
            options.forwarded = sansocket::forwarded_field::forwarded;
            options.proxy_header = sansocket_asio::proxy_protocol::required;
        }
        server = std::make_unique<server_type>(loop.io.get_executor(), options);
        if (which == story::handlers)
            server->on_request([](const server_request& r) {
                return server_decision::accept({{"X-Path", std::string{r.path()}}});
            });
        server->on_connection(echo);
        if (which == story::http)
            server->on_http([](const server_request&) {
                return sansocket::http_response{200, {{"X-It", "is"}}, "well"};
            });
        port = server->listen(tcp::endpoint(asio::ip::address_v4::loopback(), 0)).port();
    }

    // How far it came: everything it has heard.
    std::string tell() {
        plain_client client(loop, port);
        if (which_ == story::http) {
            client.send(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            return client.read(10'000);
        }
        std::string request{upgrade_request};
        if (which_ == story::proxied) {
            request.insert(request.size() - 2, "Forwarded: for=192.0.2.7\r\n");
            request = "PROXY TCP4 127.0.1.5 127.0.0.1 1 2\r\n" + request;
        }
        client.send(bytes(request));
        if (which_ == story::refused) return client.read(10'000);
        std::string heard = client.read_head();
        client.send(frame<role::server>(sansocket::opcode::text, bytes("hello")));
        heard += client.read(7);
        client.send(frame<role::server>(sansocket::opcode::close, {}));
        return heard + client.read(10'000);
    }
    // Whether it has stopped in time, or could not for want of memory.
    bool stop() {
        // Where another handler threw, it may still end later.
        const auto stopped = std::make_shared<bool>(false);
        const int before = loop.thrown;
        loop.step(
            [&] { server->async_stop(500ms, [stopped](std::error_code) { *stopped = true; }); });
        return loop.until([&] { return *stopped || loop.thrown != before; });
    }

    counted_loop loop;
    std::unique_ptr<server_type> server;
    std::uint16_t port = 0;

private:
    story which_;
};

void check_counters(const sansocket_asio::server_counters& n) {
    CHECK(n.opening + n.open + n.refusing == 0);
    const auto told = n.refused_connections + n.refused_connections_per_address +
                      n.refused_stopping + n.handshake_failures() + n.http_answered + n.opened;
    CHECK(told <= n.accepted);
    CHECK(n.accepted <= told + n.handler_errors);  // no stream could be made of its socket
    CHECK(n.opened == n.closed_clean + n.closed_unclean);
}

// What a client hears at least, where all goes well.
std::string_view answer_in(story which) {
    switch (which) {
    case story::http: return "well";
    case story::refused: return " 503 ";
    case story::handlers:
    case story::proxied:
    case story::defaults: break;
    }
    return "hello";
}

// One allocation fails while a client is served. Whether there was one.
bool goes_on(story which, bool warm, std::size_t n) {
    CAPTURE(which, warm, n);
    storyteller s(which);
    const std::size_t descriptors = open_descriptors();
    const auto quiet = [&] { return open_descriptors() == descriptors; };
    if (warm) {  // what can be cached is
        (void)s.tell();
        CHECK(s.loop.until(quiet));
    }
    allocations_left = n;
    (void)s.tell();
    const bool failed = allocations_left == unlimited;
    allocations_left = unlimited;
    CHECK(s.loop.until(quiet));
    const std::string after = s.tell();
    CHECK(after.find(answer_in(which)) != std::string::npos);
    CHECK(s.loop.until(quiet));
    CHECK(s.stop());
    check_counters(s.server->counters());
    return failed;
}

// And one while a server stops that has a client. Where it was one of `async_stop` itself, that ends with
// the exception, and the server is there to be destroyed.
bool stops(story which, std::size_t n) {
    CAPTURE(which, n);
    storyteller s(which);
    plain_client stays(s.loop, s.port);
    const std::size_t descriptors = open_descriptors();
    stays.send(bytes(which == story::proxied ? "PROXY " : upgrade_request));
    CHECK(s.loop.until([&] { return s.server->counters().accepted == 1; }));
    if (which != story::proxied) (void)stays.read_head();
    allocations_left = n;
    CHECK(s.stop());
    const bool failed = allocations_left == unlimited;
    allocations_left = unlimited;
    if (s.loop.thrown == 0) check_counters(s.server->counters());
    s.server.reset();
    CHECK(stays.read(10'000).size() < 10'000);  // its end has come
    CHECK(open_descriptors() < descriptors);    // nor does it listen
    return failed;
}

TEST_CASE("server allocation: the loss of any one costs at most its connection") {
    const auto which =
        GENERATE(story::handlers, story::http, story::refused, story::proxied, story::defaults);
    const bool warm = GENERATE(true, false);
    std::size_t n = 0;
    while (goes_on(which, warm, n)) ++n;
    CHECK(n > 5);
}

TEST_CASE("server allocation: a server stops, whichever fails meanwhile") {
    const auto which = GENERATE(story::handlers, story::refused, story::proxied);
    std::size_t n = 0;
    while (stops(which, n)) ++n;
    CHECK(n > (which == story::refused ? 3U : 5U));  // a client that is refused needs few
}

}  // namespace server_allocation_tests
