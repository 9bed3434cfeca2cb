// demo_client.cpp
//
// A scripted conversation with the echo server, with everything that goes over
// the wire shown: heads of HTTP line by line, each frame on a line of its own.
// The protocol core on a blocking POSIX socket: the bytes pass through here.
//
//   echo_server --port 8080 &
//   demo_client ws://127.0.0.1:8080/
//
// Exits with 0 if everything was answered as it should be.
#include <sansocket/sansocket.hpp>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iomanip>
#include <iostream>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sansocket;
using bytes = std::vector<std::byte>;
constexpr std::size_t preview = 40;  // bytes of a payload that are shown

void require(bool holds, std::string_view what) {
    if (!holds) throw std::runtime_error(std::string(what));
}

std::string shown(std::span<const std::byte> payload, bool as_text) {
    if (as_text) {
        std::size_t n = (std::min)(payload.size(), preview);
        while (n < payload.size() && n > 0 && (payload[n] >> 6) == std::byte{2}) --n;
        const std::string text(reinterpret_cast<const char*>(payload.data()), n);
        return '"' + text + '"' + (n < payload.size() ? "..." : "");
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::byte b : payload.first((std::min)(payload.size(), preview / 2))) {
        if (!out.empty()) out += ' ';
        out += digits[std::to_integer<std::size_t>(b >> 4)];
        out += digits[std::to_integer<std::size_t>(b & std::byte{15})];
    }
    return out + (payload.size() > preview / 2 ? "..." : "");
}

// Shows the bytes that go in one direction.
class wire_log {
public:
    wire_log(std::string_view arrow, role receiver) : arrow_(arrow), receiver_(receiver) {}

    void take(std::span<const std::byte> in) {
        pending_.insert(pending_.end(), in.begin(), in.end());
        while (in_head_ ? take_line() : take_frame()) {}
    }
    bool saw_pong(std::string_view payload) const { return pong_ == payload; }

private:
    bool take_line() {
        const std::string text(reinterpret_cast<const char*>(pending_.data()), pending_.size());
        const auto end = text.find("\r\n");
        if (end == text.npos) return false;
        std::cout << arrow_ << ' ' << text.substr(0, end) << '\n';
        drop(end + 2);
        in_head_ = end != 0;
        return true;
    }
    bool take_frame() {
        const auto [header, size, ec] = parse_frame_header(pending_, receiver_);
        require(ec == errc::ok || ec == errc::need_more, describe(ec));
        if (ec != errc::ok || pending_.size() - size < header.payload_length) return false;
        const std::span whole = std::span{pending_}.subspan(size);
        const auto payload = whole.first(static_cast<std::size_t>(header.payload_length));
        if (header.key) (void)mask_in_place(payload, *header.key);
        show(header, payload);
        drop(size + payload.size());
        return true;
    }
    void show(const frame_header& header, std::span<const std::byte> payload) {
        constexpr std::array<std::string_view, 11> names{
            "continuation", "text", "binary", "", "", "", "", "", "close", "ping", "pong"};
        if (!is_control(header.opcode) && header.opcode != opcode::continuation)
            text_ = header.opcode == opcode::text;
        std::cout << arrow_ << ' ' << std::left << std::setw(13)
                  << names[static_cast<std::size_t>(header.opcode)]
                  << (header.fin ? "FIN " : "    ") << (header.key ? "masked " : "       ")
                  << std::right << std::setw(6) << payload.size() << " bytes  "
                  << detail(header, payload) << '\n';
    }
    std::string detail(const frame_header& header, std::span<const std::byte> payload) {
        if (header.opcode == opcode::close) {
            const auto parsed = parse_close_payload(payload);
            return std::to_string(static_cast<unsigned>(parsed.code)) + " \"" +
                   std::string(parsed.reason) + '"';
        }
        if (header.opcode == opcode::pong)
            pong_.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
        return shown(payload, is_control(header.opcode) || text_);
    }
    void drop(std::size_t n) {
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(n));
    }

    std::string_view arrow_;
    role receiver_;
    bytes pending_;
    bool in_head_ = true;
    bool text_ = true;
    std::string pong_;
};

chacha_keys system_keys() {
    std::random_device device;
    std::array<std::byte, 32> seed;
    for (std::byte& b : seed) b = static_cast<std::byte>(device());
    return chacha_keys{std::span<const std::byte, 32>{seed}};
}

int connect_to(const url& where) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    const std::string host(where.host), port = std::to_string(where.port);
    require(getaddrinfo(host.c_str(), port.c_str(), &hints, &found) == 0, "the host is not known");
    const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    const bool connected = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    require(connected, "nobody answers there");
    return fd;
}

class demo {
public:
    explicit demo(const url& where)
        : fd_(connect_to(where)), ws_(request_for(where), system_keys(), now()) {
        until([this] { return ws_.state() != connection_state::opening; });
        require(ws_.was_opened(), describe(ws_.close_info().cause));
    }
    demo(const demo&) = delete;
    demo& operator=(const demo&) = delete;
    ~demo() { ::close(fd_); }

    void echo(message_kind kind, std::span<const std::byte> payload) {
        must(ws_.send(kind, payload));
        expect_message({kind, {reinterpret_cast<const char*>(payload.data()), payload.size()}});
    }
    void echo_text(std::string_view text) {
        echo(message_kind::text, std::as_bytes(std::span{text}));
    }
    void echo_fragments() {
        must(ws_.start(message_kind::text));
        must(ws_.append("three "));
        write();  // a Ping overtakes what still waits
        ping("between fragments");
        must(ws_.append("fragments, "));
        must(ws_.finish(std::as_bytes(std::span{std::string_view{"one message"}})));
        expect_message({message_kind::text, "three fragments, one message"});
    }
    void ping(std::string_view payload) {
        must(ws_.send_ping(std::as_bytes(std::span{payload})));
        until([&] { return received_.saw_pong(payload); });
    }
    void send_text(std::string_view text) { must(ws_.send_text(text)); }
    void close(close_code code, std::string_view reason) { must(ws_.close(code, reason, now())); }

    // Shows how the connection ended, once the transport is of no more use.
    const sansocket::close_info& end() {
        until([this] { return ws_.should_close(); });
        const auto& info = ws_.close_info();
        const auto text = [](const std::optional<close_frame>& f) -> std::string {
            if (!f) return "none";
            return std::to_string(static_cast<unsigned>(f->code)) + " \"" + f->reason + '"';
        };
        std::cout << "    close_info: " << (info.clean ? "clean" : "not clean") << ", sent "
                  << text(info.sent) << ", received " << text(info.received) << ", "
                  << describe(info.cause) << "\n\n";
        return info;
    }

private:
    static client_request request_for(const url& where) {
        client_request request;
        request.host = host_field(where);
        request.target = target(where);
        return request;
    }
    static time_point now() { return std::chrono::steady_clock::now(); }
    static void must(errc ec) { require(ec == errc::ok, describe(ec)); }

    template <class Condition>
    void until(Condition condition) {
        const auto limit = now() + std::chrono::seconds{20};
        while (!condition()) {
            require(!ws_.should_close(), describe(ws_.close_info().cause));
            require(now() < limit, "no answer within 20 seconds");
            write();
            if (!condition()) read();
        }
    }
    void write() {
        while (ws_.wants_write()) {
            const auto next = ws_.output()[0];
            const auto n = ::send(fd_, next.data(), next.size(), MSG_NOSIGNAL);
            if (n < 0) return ws_.transport_lost(now());
            sent_.take(next.first(static_cast<std::size_t>(n)));
            ws_.consume_output(static_cast<std::size_t>(n), now());
        }
        if (ws_.wants_shutdown() == shutdown_request::half_close) ::shutdown(fd_, SHUT_WR);
    }
    void read() {
        const auto due = (std::min)(ws_.next_deadline(), now() + std::chrono::seconds{1});
        const auto wait = std::chrono::ceil<std::chrono::milliseconds>(due - now());
        pollfd readable{fd_, POLLIN, 0};
        if (::poll(&readable, 1, static_cast<int>((std::max)(wait.count(), {}))) == 0)
            return ws_.advance(now());
        std::array<std::byte, 16384> buffer;
        const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n == 0) return ws_.receive_end(now());
        if (n < 0) return ws_.transport_lost(now());
        const auto in = std::span{buffer}.first(static_cast<std::size_t>(n));
        received_.take(in);
        require(ws_.receive(in, now()) == in.size(), "more came than the message queue holds");
    }
    void expect_message(const message& wanted) {
        until([this] { return ws_.messages().size() != 0; });
        const message found(*ws_.messages().pop());
        require(found == wanted, "another message came back than was sent");
    }

    int fd_;
    connection<role::client> ws_;
    wire_log sent_{"-->", role::server};
    wire_log received_{"<--", role::client};
};

void converse(const url& where) {
    demo first(where);
    first.echo_text("Hello");
    first.echo_text("世界、こんにちは 🦆");
    constexpr std::array<unsigned char, 6> binary{0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
    first.echo(message_kind::binary, std::as_bytes(std::span{binary}));
    first.echo_text("");
    first.echo_text(std::string(65536, 'x'));
    first.echo_fragments();
    first.ping("are you there?");
    first.close(close_code::normal, "that is all");
    const auto& ours = first.end();
    require(ours.clean && ours.code() == close_code::normal, "the Close was not answered");

    demo second(where);
    second.send_text("close 4000 bye");
    const auto& theirs = second.end();
    require(theirs.clean && theirs.code() == close_code{4000} && theirs.reason() == "bye",
            "the server did not close as it was asked to");
}

}  // namespace

int main(int argc, char* argv[]) {
    const auto [where, ec] = parse_url(argc == 2 ? argv[1] : "");
    if (ec != errc::ok || where.secure) {
        std::cerr << "usage: demo_client ws://HOST:PORT/\n";
        return 2;
    }
    try {
        converse(where);
        std::cout << "Everything was answered as it should be." << std::endl;
    } catch (const std::exception& error) {
        std::cout << std::flush;
        std::cerr << "demo_client: " << error.what() << '\n';
        return 1;
    }
}
