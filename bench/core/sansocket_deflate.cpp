// sansocket that compresses, behind peer.hpp.
#include <sansocket_zlib/sansocket_zlib.hpp>

#include "peer.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace {

using namespace sansocket;

const time_point start{std::chrono::hours{1}};

class sansocket_echoer final : public bench::echoer {
public:
    explicit sansocket_echoer(bench::takeover t) : server_{server_policy{}, start, options_of(t)} {
        std::vector<std::byte> request(sizeof bench::deflate_request - 1);
        std::memcpy(request.data(), bench::deflate_request, request.size());
        server_.receive(request, start);
        bench::byte response[4096];
        (void)drain(response);
        if (!server_.deflate()) give_up("compression was not agreed on");
    }

    std::size_t echo(bench::wire from, bench::byte* out) override {
        std::size_t sent = 0;
        while (from.size != 0) {
            const std::size_t n = (std::min)(from.size, buffer_.size());
            std::memcpy(buffer_.data(), from.data, n);
            auto in = std::span{buffer_}.first(n);
            while (!in.empty()) {
                in = in.subspan(server_.receive(in, start));
                while (const auto m = server_.messages().pop()) {
                    if (server_.send(m->kind, m->bytes) != errc::ok) give_up("not sent");
                    sent += drain(out + sent);
                }
            }
            from.data += n;
            from.size -= n;
        }
        if (server_.state() != connection_state::open) give_up("the connection failed");
        return sent;
    }

private:
    [[noreturn]] static void give_up(const char* why) {
        std::fprintf(stderr, "bench: sansocket: %s\n", why);
        std::exit(1);
    }
    static options options_of(bench::takeover t) {
        options o;
        o.check_sent_text = false;  // Beast does not check what it sends
        o.deflate.enabled = true;
        o.deflate.threshold = 0;
        o.deflate.own_context_takeover = t == bench::takeover::yes;
        o.deflate.peer_context_takeover = t == bench::takeover::yes;
        return o;
    }
    std::size_t drain(bench::byte* to) {
        std::size_t n = 0;
        while (server_.wants_write()) {
            std::size_t taken = 0;
            for (const auto& part : server_.output()) {
                std::memcpy(to + n + taken, part.data(), part.size());
                taken += part.size();
            }
            server_.consume_output(taken, start);
            n += taken;
        }
        return n;
    }

    sansocket_zlib::connection<role::server> server_;
    std::vector<std::byte> buffer_ = std::vector<std::byte>(bench::feed_size);
};

}  // namespace

std::unique_ptr<bench::echoer> bench::make_sansocket_echoer(takeover t) {
    return std::make_unique<sansocket_echoer>(t);
}
