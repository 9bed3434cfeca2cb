// loadgen --port N --pid PID [--connections C] [--size BYTES] [--depth D] [--seconds S]
//         [--deflate 0|1] [--raw 0|1]
//
// Load for a WebSocket echo server on the loopback interface, and what it costs that server.
// Linux only; one thread; no dependency but zlib.
//
// Each connection keeps D masked binary messages of BYTES bytes in flight. All messages are alike
// but for their masking keys, so both directions of a connection are periodic streams: what is sent
// repeats a ring of D frames, and what comes back must repeat one frame, byte by byte.
//
// --deflate 1: the messages are JSON-like texts, compressed without context takeover. Servers may
// compress and fragment as they like: compressed_replies.hpp says what must come back.
//
// --raw 1: the same bytes to a server that knows no WebSocket and sends back what it gets, without an
// opening handshake: what the transport alone costs.
//
// After a warm-up, S seconds are measured. One line of JSON goes to stdout: messages echoed,
// seconds, and the server's time on the CPU, all threads, from /proc/PID/task/*/schedstat.
#include "compressed_replies.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using bench::byte;
using bench::bytes;
using bench::kind;
using steady = std::chrono::steady_clock;

struct settings {
    int port = 0;
    int pid = 0;
    std::size_t connections = 1;
    std::size_t size = 125;
    std::size_t depth = 1;
    double seconds = 2;
    bool deflate = false;
    bool raw = false;
};

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

[[noreturn]] void fail_with_errno(const std::string& what) {
    fail(what + ": " + std::strerror(errno));
}

settings parse(int argc, char** argv) {
    settings s;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const double value = std::atof(argv[i + 1]);
        if (name == "--port") s.port = static_cast<int>(value);
        else if (name == "--pid") s.pid = static_cast<int>(value);
        else if (name == "--connections") s.connections = static_cast<std::size_t>(value);
        else if (name == "--size") s.size = static_cast<std::size_t>(value);
        else if (name == "--depth") s.depth = static_cast<std::size_t>(value);
        else if (name == "--seconds") s.seconds = value;
        else if (name == "--deflate") s.deflate = value != 0;
        else if (name == "--raw") s.raw = value != 0;
        else fail("unknown option " + std::string(name));
    }
    if (s.port == 0 || s.pid == 0 || s.connections == 0 || s.depth == 0 || argc % 2 == 0 ||
        (s.raw && s.deflate))
        fail("usage: loadgen --port N --pid PID [--connections C] [--size BYTES] [--depth D] "
             "[--seconds S] [--deflate 0|1] [--raw 0|1]");
    return s;
}

// Nanoseconds that process `pid` has spent on a CPU, in all its threads.
std::uint64_t cpu_time(int pid) {
    std::uint64_t total = 0;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        std::uint64_t on_cpu = 0;
        std::ifstream(task.path() / "schedstat") >> on_cpu;
        total += on_cpu;
    }
    if (total == 0) fail("no schedstat for process " + std::to_string(pid));
    return total;
}

bytes make_binary(std::size_t size) {
    bytes out(size);
    for (std::size_t i = 0; i != size; ++i) out[i] = static_cast<byte>(i * 131 + i / 256);
    return out;
}

// One period of each direction; of what comes back compressed, what has to be in it.
struct streams {
    explicit streams(const settings& s) {
        if (s.deflate) {
            compressed.emplace(s.size);
            append_ring(s.depth, kind::text, compressed->payload, 0x40);
        } else {
            const bytes payload = make_binary(s.size);
            append_ring(s.depth, kind::binary, payload, 0);
            echoed = bench::make_header(kind::binary, s.size, 0);
            echoed.insert(echoed.end(), payload.begin(), payload.end());
        }
        frame_size = sent.size() / s.depth;
        if (s.raw) echoed = sent;
        echo_size = s.raw ? frame_size : echoed.size();
        raw = s.raw;
    }

    void append_ring(std::size_t depth, kind k, const bytes& payload, byte rsv1) {
        for (std::uint32_t d = 0; d != depth; ++d) {
            const std::size_t at = sent.size();
            bench::append_masked_frame(sent, k, payload, (d + 1) * 2654435761U);
            sent[at] |= rsv1;
        }
    }

    bytes sent;
    bytes echoed;
    std::optional<bench::compressed_echo> compressed;
    std::size_t frame_size = 0;
    std::size_t echo_size = 0;
    bool raw = false;
};

class client {
public:
    explicit client(streams& s) : streams_(&s) {
        if (s.compressed) replies_.emplace(*s.compressed);
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    client(client&& other) noexcept
        : streams_(other.streams_),
          replies_(std::move(other.replies_)),
          fd_(std::exchange(other.fd_, -1)) {}
    client& operator=(client&&) = delete;
    ~client() {
        if (fd_ >= 0) close(fd_);
    }

    int fd() const { return fd_; }

    // Connects and does the opening handshake, blocking.
    void open(int port) {
        fd_ = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(port));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
            fail_with_errno("connect");
        const int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!streams_->raw) shake_hands();
    }

    void start(std::size_t messages) {
        goal_ += messages * streams_->frame_size;
        write();
    }

    // What epoll reported, edge by edge. Returns the number of messages echoed.
    std::size_t run(std::uint32_t events, bytes& buffer) {
        std::size_t echoed = 0;
        if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) echoed = read(buffer);
        if (echoed != 0) goal_ += echoed * streams_->frame_size;
        if (written_ != goal_) write();
        return echoed;
    }

private:
    void shake_hands() {
        std::string request = bench::opening_request;
        if (replies_) request.insert(request.size() - 2, bench::compressed_echo::offer);
        if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size()))
            fail_with_errno("send");
        std::string response;
        while (!response.ends_with("\r\n\r\n")) {
            char c = 0;
            if (recv(fd_, &c, 1, 0) != 1) fail("the server ended the opening handshake");
            response += c;
        }
        if (!response.starts_with("HTTP/1.1 101 ") ||
            (replies_ && !bench::compressed_echo::is_accepted_in(response)))
            fail("the server refused: " + response);
    }

    // As much of the periodic stream from `written_` to `goal_` as the socket takes.
    void write() {
        const bytes& ring = streams_->sent;
        while (written_ != goal_) {
            const std::size_t at = written_ % ring.size();
            const std::size_t left = goal_ - written_;  // at most one period
            const std::size_t first = (std::min)(left, ring.size() - at);
            std::array<iovec, 2> parts{iovec{const_cast<byte*>(ring.data()) + at, first},
                                       iovec{const_cast<byte*>(ring.data()), left - first}};
            msghdr message{};
            message.msg_iov = parts.data();
            message.msg_iovlen = left == first ? 1 : 2;
            const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (n < 0) fail_with_errno("send");
            written_ += static_cast<std::size_t>(n);
        }
    }

    // Until nothing more is there: a read that does not fill the buffer was the last.
    std::size_t read(bytes& buffer) {
        std::size_t echoed = 0;
        std::size_t got = 0;
        do {
            got = read_once(buffer);
            echoed += replies_ ? replies_->take(buffer.data(), got) : check(buffer.data(), got);
        } while (got == buffer.size());
        return echoed;
    }

    std::size_t read_once(bytes& buffer) {
        const ssize_t got = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (got < 0) fail_with_errno("recv");
        if (got == 0) fail("the server closed a connection");
        return static_cast<std::size_t>(got);
    }

    // Returns the number of messages that end in these bytes.
    std::size_t check(const byte* p, std::size_t left) {
        const bytes& expected = streams_->echoed;
        const std::size_t before = read_ / streams_->echo_size;
        while (left != 0) {
            const std::size_t at = read_ % expected.size();
            const std::size_t n = (std::min)(left, expected.size() - at);
            if (std::memcmp(p, expected.data() + at, n) != 0)
                fail("an echo differs from what was sent");
            p += n;
            left -= n;
            read_ += n;
        }
        return read_ / streams_->echo_size - before;
    }

    const streams* streams_;
    std::optional<bench::compressed_replies> replies_;
    int fd_ = -1;
    std::size_t goal_ = 0;  // bytes to have been written
    std::size_t written_ = 0;
    std::size_t read_ = 0;
};

class load {
public:
    explicit load(const settings& s) : streams_(s), epoll_(epoll_create1(0)) {
        if (epoll_ < 0) fail_with_errno("epoll_create1");
        clients_.reserve(s.connections);
        for (std::size_t i = 0; i != s.connections; ++i) {
            clients_.emplace_back(streams_).open(s.port);
            epoll_event event{};
            event.events = EPOLLIN | EPOLLOUT | EPOLLET;
            event.data.u64 = i;
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[i].fd(), &event) != 0)
                fail_with_errno("epoll_ctl");
        }
        for (auto& c : clients_) c.start(s.depth);
    }
    load(const load&) = delete;
    load& operator=(const load&) = delete;
    ~load() { close(epoll_); }

    // Runs for `seconds`; returns the number of messages echoed.
    std::uint64_t run(double seconds) {
        const auto end = steady::now() + std::chrono::duration<double>(seconds);
        std::uint64_t echoed = 0;
        auto last = steady::now();
        for (auto now = last; now < end; now = steady::now()) {
            const std::uint64_t round = run_once();
            echoed += round;
            if (round != 0) last = now;
            if (now - last > std::chrono::seconds(5)) fail("the server has stopped answering");
        }
        return echoed;
    }

private:
    std::uint64_t run_once() {
        std::array<epoll_event, 256> events;
        const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
        std::uint64_t echoed = 0;
        for (int i = 0; i < n; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            echoed += clients_[event.data.u64].run(event.events, buffer_);
        }
        return echoed;
    }

    streams streams_;
    int epoll_;
    std::vector<client> clients_;
    bytes buffer_ = bytes(std::size_t{256} * 1024);
};

void run(const settings& s) {
    load generator{s};
    generator.run(s.seconds / 4);  // warm-up
    const auto cpu_before = cpu_time(s.pid);
    const auto begin = steady::now();
    const auto messages = generator.run(s.seconds);
    const std::chrono::duration<double> took = steady::now() - begin;
    const auto cpu = static_cast<double>(cpu_time(s.pid) - cpu_before);
    if (messages == 0) fail("no message came back");
    std::printf("{\"connections\": %zu, \"size\": %zu, \"depth\": %zu, \"messages\": %llu, "
                "\"seconds\": %.3f, \"server_cpu_us_per_message\": %.4f}\n",
                s.connections, s.size, s.depth, static_cast<unsigned long long>(messages),
                took.count(), cpu / 1000 / static_cast<double>(messages));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(parse(argc, argv));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "loadgen: %s\n", e.what());
        return 1;
    }
}
