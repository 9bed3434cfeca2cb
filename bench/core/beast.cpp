// Boost.Beast behind peer.hpp: its synchronous stream over memory.
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include "peer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

[[noreturn]] void give_up(const char* what, const beast::error_code& ec) {
    std::fprintf(stderr, "bench: Beast: %s: %s\n", what, ec.message().c_str());
    std::exit(1);
}

// A SyncStream over memory that copies once and does nothing else. A read stops where a transport's
// would: at a multiple of feed_size.
class memory_stream {
public:
    using executor_type = asio::io_context::executor_type;

    explicit memory_stream(asio::io_context& context) : executor_(context.get_executor()) {}

    executor_type get_executor() const { return executor_; }

    void read_from(const bench::byte* data, std::size_t size) {
        in_ = data;
        left_ = size;
        arrived_ = 0;
    }
    void write_to(bench::byte* data) {
        out_ = data;
        written_ = 0;
    }
    std::size_t written() const { return written_; }
    /// Called by a read that finds nothing; may bring something.
    void when_empty(std::function<void()> f) { when_empty_ = std::move(f); }

    template <class Buffers>
    std::size_t read_some(const Buffers& buffers, beast::error_code& ec) {
        if (left_ == 0 && when_empty_) when_empty_();
        if (left_ == 0) {
            ec = asio::error::eof;
            return 0;
        }
        ec = {};
        if (arrived_ == 0) arrived_ = (std::min)(left_, bench::feed_size);
        std::size_t total = 0;
        for (auto it = asio::buffer_sequence_begin(buffers);
             it != asio::buffer_sequence_end(buffers) && arrived_ != 0; ++it) {
            const asio::mutable_buffer to = *it;
            const std::size_t n = (std::min)(to.size(), arrived_);
            std::memcpy(to.data(), in_, n);
            in_ += n;
            arrived_ -= n;
            left_ -= n;
            total += n;
        }
        return total;
    }
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers) {
        beast::error_code ec;
        return read_some(buffers, ec);
    }

    template <class Buffers>
    std::size_t write_some(const Buffers& buffers, beast::error_code& ec) {
        ec = {};
        std::size_t total = 0;
        for (auto it = asio::buffer_sequence_begin(buffers);
             it != asio::buffer_sequence_end(buffers); ++it) {
            const asio::const_buffer from = *it;
            if (from.size() == 0) continue;
            std::memcpy(out_ + written_, from.data(), from.size());
            written_ += from.size();
            total += from.size();
        }
        return total;
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers) {
        beast::error_code ec;
        return write_some(buffers, ec);
    }

private:
    executor_type executor_;
    const bench::byte* in_ = nullptr;
    std::size_t left_ = 0;
    std::size_t arrived_ = 0;
    bench::byte* out_ = nullptr;
    std::size_t written_ = 0;
    std::function<void()> when_empty_;
};

void teardown(beast::role_type, memory_stream&, beast::error_code& ec) { ec = {}; }

using stream = websocket::stream<memory_stream, false>;  // false: no deflate compiled in
using deflating_stream = websocket::stream<memory_stream, true>;

void open_server(stream& ws) {
    bench::byte response[4096];
    ws.next_layer().write_to(response);
    ws.next_layer().read_from(reinterpret_cast<const bench::byte*>(bench::opening_request),
                              sizeof bench::opening_request - 1);
    beast::error_code ec;
    ws.accept(ec);
    if (ec) give_up("accept", ec);
    ws.read_message_max(std::uint64_t{64} << 20U);
    ws.auto_fragment(false);
}

class beast_receiver final : public bench::receiver {
public:
    beast_receiver() { open_server(ws_); }

    void receive(bench::wire from) override {
        ws_.next_layer().read_from(from.data, from.size);
        for (std::size_t i = 0; i != from.messages; ++i) {
            beast::error_code ec;
            ws_.read(buffer_, ec);
            if (ec) give_up("read", ec);
            got.add(ws_.got_text() ? bench::kind::text : bench::kind::binary,
                    buffer_.cdata().data(), buffer_.size());
            buffer_.clear();
        }
    }

private:
    asio::io_context context_;
    stream ws_{context_};
    beast::flat_buffer buffer_;
};

// As an application does that gathers messages, as from its socket's buffer, and hands them on then:
// it copies them, into memory that is there already.
class beast_copying_receiver final : public bench::receiver {
public:
    beast_copying_receiver() { open_server(ws_); }

    void receive(bench::wire from) override {
        ws_.next_layer().read_from(from.data, from.size);
        for (std::size_t i = 0; i != from.messages; ++i) {
            beast::error_code ec;
            ws_.read(buffer_, ec);
            if (ec) give_up("read", ec);
            const auto* data = static_cast<const bench::byte*>(buffer_.cdata().data());
            kept_.insert(kept_.end(), data, data + buffer_.size());
            messages_.push_back({ws_.got_text(), buffer_.size()});
            buffer_.clear();
            if (kept_.size() + messages_.size() * overhead >= bench::feed_size) hand_on();
        }
        hand_on();
    }

private:
    struct entry {
        bool text;
        std::size_t size;
    };
    static constexpr std::size_t overhead = 8;  // a frame's header, so that a feed is gathered

    void hand_on() {
        const bench::byte* at = kept_.data();
        for (const entry& m : messages_) {
            got.add(m.text ? bench::kind::text : bench::kind::binary, at, m.size);
            at += m.size;
        }
        kept_.clear();
        messages_.clear();
    }

    asio::io_context context_;
    stream ws_{context_};
    beast::flat_buffer buffer_;
    std::vector<bench::byte> kept_;
    std::vector<entry> messages_;
};

// A client's handshake reads as soon as it has written: a server answers from inside that read.
void open_client(stream& ws, asio::io_context& context) {
    std::vector<bench::byte> request(4096);
    std::vector<bench::byte> response(4096);
    stream server{context};
    ws.next_layer().write_to(request.data());
    ws.next_layer().when_empty([&] {
        server.next_layer().read_from(request.data(), ws.next_layer().written());
        server.next_layer().write_to(response.data());
        beast::error_code ec;
        server.accept(ec);
        if (ec) give_up("accept", ec);
        ws.next_layer().read_from(response.data(), server.next_layer().written());
    });
    beast::error_code ec;
    ws.handshake("localhost", "/", ec);
    if (ec) give_up("handshake", ec);
    ws.next_layer().when_empty(nullptr);
    ws.auto_fragment(false);
}

class beast_sender final : public bench::sender {
public:
    explicit beast_sender(bench::end end) {
        if (end == bench::end::client) open_client(ws_, context_);
        else open_server(ws_);
    }

    std::size_t send(bench::kind k, const bench::byte* payload, std::size_t size,
                     bench::byte* out) override {
        ws_.next_layer().write_to(out);
        ws_.text(k == bench::kind::text);
        beast::error_code ec;
        ws_.write(asio::buffer(payload, size), ec);
        if (ec) give_up("write", ec);
        return ws_.next_layer().written();
    }

private:
    asio::io_context context_;
    stream ws_{context_};
};

// As an application does whose payload may change before async_write is through: it keeps a copy.
// Into memory that is there already, which is the least that this can cost.
class beast_copying_sender final : public bench::sender {
public:
    explicit beast_copying_sender(bench::end end) : sender_(end) {}

    std::size_t send(bench::kind k, const bench::byte* payload, std::size_t size,
                     bench::byte* out) override {
        kept_.assign(payload, payload + size);
        return sender_.send(k, kept_.data(), size, out);
    }

private:
    beast_sender sender_;
    std::vector<bench::byte> kept_;
};

class beast_echoer final : public bench::echoer {
public:
    explicit beast_echoer(bench::takeover takeover) {
        websocket::permessage_deflate deflate;
        deflate.server_enable = true;
        deflate.compLevel = 6;
        deflate.memLevel = 8;
        deflate.server_no_context_takeover = takeover == bench::takeover::no;
        deflate.client_no_context_takeover = takeover == bench::takeover::no;
        ws_.set_option(deflate);
        bench::byte response[4096];
        ws_.next_layer().write_to(response);
        ws_.next_layer().read_from(reinterpret_cast<const bench::byte*>(bench::deflate_request),
                                   sizeof bench::deflate_request - 1);
        beast::error_code ec;
        ws_.accept(ec);
        if (ec) give_up("accept", ec);
        ws_.read_message_max(std::uint64_t{64} << 20U);
        ws_.auto_fragment(false);
        ws_.write_buffer_bytes(64 * 1024);
    }

    std::size_t echo(bench::wire from, bench::byte* out) override {
        ws_.next_layer().read_from(from.data, from.size);
        ws_.next_layer().write_to(out);
        for (std::size_t i = 0; i != from.messages; ++i) {
            beast::error_code ec;
            ws_.read(buffer_, ec);
            if (ec) give_up("read", ec);
            ws_.text(ws_.got_text());
            ws_.write(buffer_.cdata(), ec);
            if (ec) give_up("write", ec);
            buffer_.clear();
        }
        return ws_.next_layer().written();
    }

private:
    asio::io_context context_;
    deflating_stream ws_{context_};
    beast::flat_buffer buffer_;
};

bool valid_utf8(const bench::byte* text, std::size_t size) {
    websocket::detail::utf8_checker checker;
    return checker.write(text, size) && checker.finish();
}

void mask(bench::byte* payload, std::size_t size, const bench::byte* key) {
    websocket::detail::prepared_key prepared{};
    std::memcpy(prepared.data(), key, prepared.size());
    websocket::detail::mask_inplace(asio::mutable_buffer{payload, size}, prepared);
}

// What a stream uses unless told otherwise: its secure generator.
std::uint32_t next_masking_key() {
    static const auto generate = websocket::detail::make_prng(true);
    return generate();
}

}  // namespace

std::unique_ptr<bench::echoer> bench::make_beast_echoer(takeover t) {
    return std::make_unique<beast_echoer>(t);
}

bench::peer bench::beast_peer() {
    return {"beast",
            []() -> std::unique_ptr<receiver> { return std::make_unique<beast_receiver>(); },
            [](end e) -> std::unique_ptr<sender> { return std::make_unique<beast_sender>(e); },
            valid_utf8,
            mask,
            next_masking_key,
            make_beast_echoer};
}

bench::peer bench::beast_copied_peer() {
    return {
        "beast_copied",
        []() -> std::unique_ptr<receiver> { return std::make_unique<beast_copying_receiver>(); },
        [](end e) -> std::unique_ptr<sender> { return std::make_unique<beast_copying_sender>(e); },
        nullptr,
        nullptr,
        nullptr};
}
