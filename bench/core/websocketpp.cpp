// websocketpp behind peer.hpp: its RFC 6455 processor, without a transport. C++17.
#include <websocketpp/config/core.hpp>
#include <websocketpp/frame.hpp>
#include <websocketpp/processors/hybi13.hpp>
#include <websocketpp/random/random_device.hpp>
#include <websocketpp/utf8_validator.hpp>

#include "peer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

namespace opcode = websocketpp::frame::opcode;

// The library's defaults, with the source of masking keys that its own client configurations use.
struct config : websocketpp::config::core {
    using rng_type = websocketpp::random::random_device::int_generator<
        std::uint32_t, websocketpp::config::core::concurrency_type>;
};
using processor = websocketpp::processor::hybi13<config>;
using message_manager = config::con_msg_manager_type;

[[noreturn]] void give_up(const char* what, const std::error_code& ec) {
    std::fprintf(stderr, "bench: websocketpp: %s: %s\n", what, ec.message().c_str());
    std::exit(1);
}

class websocketpp_receiver final : public bench::receiver {
public:
    void receive(bench::wire from) override {
        while (from.size != 0) {
            const std::size_t n = (std::min)(from.size, buffer_.size());
            std::memcpy(buffer_.data(), from.data, n);
            take(n);
            from.data += n;
            from.size -= n;
        }
    }

private:
    // As websocketpp::connection::handle_read_frame does.
    void take(std::size_t size) {
        for (std::size_t at = 0; at < size;) {
            std::error_code ec;
            at += processor_.consume(buffer_.data() + at, size - at, ec);
            if (ec) give_up("consume", ec);
            if (!processor_.ready()) continue;
            const auto message = processor_.get_message();
            const std::string& payload = message->get_payload();
            got.add(message->get_opcode() == opcode::text ? bench::kind::text : bench::kind::binary,
                    payload.data(), payload.size());
        }
    }

    config::rng_type rng_;
    message_manager::ptr manager_ = websocketpp::lib::make_shared<message_manager>();
    processor processor_{false, true, manager_, rng_};
    std::vector<bench::byte> buffer_ = std::vector<bench::byte>(bench::feed_size);
};

class websocketpp_sender final : public bench::sender {
public:
    explicit websocketpp_sender(bench::end end)
        : processor_(false, end == bench::end::server, manager_, rng_) {}

    // As websocketpp::connection::send does.
    std::size_t send(bench::kind k, const bench::byte* payload, std::size_t size,
                     bench::byte* out) override {
        const auto message =
            manager_->get_message(k == bench::kind::text ? opcode::text : opcode::binary, size);
        message->append_payload(payload, size);
        const auto frame = manager_->get_message();
        const auto ec = processor_.prepare_data_frame(message, frame);
        if (ec) give_up("prepare_data_frame", ec);
        const std::string& header = frame->get_header();
        const std::string& body = frame->get_payload();
        std::memcpy(out, header.data(), header.size());
        std::memcpy(out + header.size(), body.data(), body.size());
        return header.size() + body.size();
    }

private:
    config::rng_type rng_;
    message_manager::ptr manager_ = websocketpp::lib::make_shared<message_manager>();
    processor processor_;
};

bool valid_utf8(const bench::byte* text, std::size_t size) {
    websocketpp::utf8_validator::validator v;
    return v.decode(text, text + size) && v.complete();
}

void mask(bench::byte* payload, std::size_t size, const bench::byte* key) {
    websocketpp::frame::masking_key_type k;
    std::memcpy(k.c, key, 4);
    websocketpp::frame::word_mask_exact(payload, size, k);
}

std::uint32_t next_masking_key() {
    static config::rng_type rng;
    return rng();
}

}  // namespace

bench::peer bench::websocketpp_peer() {
    return {
        "websocketpp",
        []() -> std::unique_ptr<receiver> { return std::make_unique<websocketpp_receiver>(); },
        [](end e) -> std::unique_ptr<sender> { return std::make_unique<websocketpp_sender>(e); },
        valid_utf8,
        mask,
        next_masking_key};
}
