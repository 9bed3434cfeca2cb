// sansocket behind peer.hpp.
#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>

#include "peer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace {

using namespace sansocket;

const time_point start{std::chrono::hours{1}};

bench::kind kind_of_message(message_kind k) {
    return k == message_kind::text ? bench::kind::text : bench::kind::binary;
}

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "bench: sansocket: %s\n", why);
    std::exit(1);
}

chacha_keys new_keys() {
    std::array<std::byte, 32> seed{};
    std::random_device entropy;
    for (auto& b : seed) b = static_cast<std::byte>(entropy());
    return chacha_keys{seed};
}

options bench_options() {
    options o;
    o.check_sent_text = false;  // not all peers check what they send
    return o;
}

// Takes all output to `to`.
template <class Connection>
std::size_t drain(Connection& c, bench::byte* to) {
    std::size_t n = 0;
    while (c.wants_write()) {
        std::size_t taken = 0;
        for (const auto& buffer : c.output()) {
            std::memcpy(to + n + taken, buffer.data(), buffer.size());
            taken += buffer.size();
        }
        c.consume_output(taken, start);
        n += taken;
    }
    return n;
}

template <class Server>
void open_server(Server& server) {
    std::vector<std::byte> request(sizeof bench::opening_request - 1);
    std::memcpy(request.data(), bench::opening_request, request.size());
    server.receive(request, start);
    std::array<bench::byte, 4096> response{};
    drain(server, response.data());
    if (server.state() != connection_state::open) give_up("the opening handshake failed");
}

// The part of a receive path that does not depend on the queue.
template <class Server, class Drain>
void feed(Server& server, std::span<std::byte> buffer, bench::wire from, Drain drain_queue) {
    while (from.size != 0) {
        const std::size_t n = (std::min)(from.size, buffer.size());
        std::memcpy(buffer.data(), from.data, n);
        auto in = buffer.first(n);
        while (!in.empty()) {
            in = in.subspan(server.receive(in, start));
            drain_queue();
        }
        from.data += n;
        from.size -= n;
    }
    if (server.state() != connection_state::open) give_up("the connection failed");
}

class queue_receiver final : public bench::receiver {
public:
    queue_receiver() { open_server(server_); }

    void receive(bench::wire from) override {
        feed(server_, buffer_, from, [this] {
            while (const auto m = server_.messages().pop())
                got.add(kind_of_message(m->kind), m->bytes.data(), m->bytes.size());
        });
    }

private:
    connection<role::server> server_{server_policy{}, start, bench_options()};
    std::vector<std::byte> buffer_ = std::vector<std::byte>(bench::feed_size);
};

class direct_receiver final : public bench::receiver {
public:
    direct_receiver() { open_server(server_); }

    void receive(bench::wire from) override {
        feed(server_, buffer_, from, [] {});
    }

private:
    struct handler {
        bench::tally* got;
        void operator()(message_view m) const {
            got->add(kind_of_message(m.kind), m.bytes.data(), m.bytes.size());
        }
    };
    using queue = direct_queue<handler>;

    connection<role::server, queue> server_{server_policy{}, start, bench_options(),
                                            queue{handler{&got}}};
    std::vector<std::byte> buffer_ = std::vector<std::byte>(bench::feed_size);
};

// Sends copies of payloads, which the caller may reuse at once.
class copy_way {
public:
    template <class Connection>
    errc operator()(Connection& c, message_kind kind, std::span<const std::byte> bytes) const {
        return c.send(kind, bytes);
    }
};

// Sends payloads that are kept alive until they have gone out, as the peers want theirs: those of
// 4 KiB and more are not copied.
class shared_way {
public:
    template <class Connection>
    errc operator()(Connection& c, message_kind kind, std::span<const std::byte> bytes) const {
        return c.send_shared(kind, {owner_, bytes});
    }

private:
    std::shared_ptr<const void> owner_ = std::make_shared<int>();
};

template <class Connection, class Way>
class connection_sender final : public bench::sender {
public:
    explicit connection_sender(Connection c) : connection_(std::move(c)) {}

    std::size_t send(bench::kind k, const bench::byte* payload, std::size_t size,
                     bench::byte* out) override {
        const auto bytes = std::as_bytes(std::span{payload, size});
        const auto kind = k == bench::kind::text ? message_kind::text : message_kind::binary;
        if (way_(connection_, kind, bytes) != errc::ok) give_up("a message could not be sent");
        return drain(connection_, out);
    }

private:
    Connection connection_;
    Way way_;
};

// A client that a server of our own has let in.
connection<role::client> open_client() {
    client_request request;
    request.host = "localhost";
    connection<role::client> client{request, new_keys(), start, bench_options()};
    connection<role::server> server{server_policy{}, start, bench_options()};
    std::vector<std::byte> wire(4096);
    const auto as_bench = reinterpret_cast<bench::byte*>(wire.data());
    server.receive(std::span{wire}.first(drain(client, as_bench)), start);
    client.receive(std::span{wire}.first(drain(server, as_bench)), start);
    if (client.state() != connection_state::open) give_up("the opening handshake failed");
    return client;
}

template <class Way>
std::unique_ptr<bench::sender> make_sender(bench::end end) {
    if (end == bench::end::client)
        return std::make_unique<connection_sender<connection<role::client>, Way>>(open_client());
    connection<role::server> server{server_policy{}, start, bench_options()};
    open_server(server);
    return std::make_unique<connection_sender<connection<role::server>, Way>>(std::move(server));
}

bool valid_utf8(const bench::byte* text, std::size_t size) {
    return is_valid_utf8(std::as_bytes(std::span{text, size}));
}

void mask(bench::byte* payload, std::size_t size, const bench::byte* key) {
    masking_key k{};
    std::memcpy(k.data(), key, k.size());
    mask_in_place(std::as_writable_bytes(std::span{payload, size}), k);
}

std::uint32_t next_masking_key() {
    static chacha_keys keys = new_keys();
    const masking_key key = keys();
    std::uint32_t word = 0;
    std::memcpy(&word, key.data(), sizeof word);
    return word;
}

}  // namespace

bench::peer bench::sansocket_peer() {
    return {"sansocket",
            []() -> std::unique_ptr<receiver> { return std::make_unique<direct_receiver>(); },
            make_sender<shared_way>,
            valid_utf8,
            mask,
            next_masking_key,
            make_sansocket_echoer};
}

bench::peer bench::sansocket_copied_peer() {
    return {"sansocket_copied",
            []() -> std::unique_ptr<receiver> { return std::make_unique<queue_receiver>(); },
            make_sender<copy_way>,
            nullptr,
            nullptr,
            nullptr};
}
