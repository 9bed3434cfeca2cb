// That each operation completes once, whatever it waits for and however the connection ends.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"
#include "support/scale.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <array>
#include <memory>
#include <vector>

using namespace support;
using sansocket::opcode;

namespace {

enum class ending {
    peers_close,
    violation,
    end_of_stream,
    reset,
    opening_timeout,
    close_timeout,
    idle_timeout,
    pong_timeout,
    write_timeout,
    aborted,
    destroyed,
    cancelled
};
constexpr std::array every_ending{
    ending::peers_close,   ending::violation,       ending::end_of_stream, ending::reset,
    ending::close_timeout, ending::idle_timeout,    ending::pong_timeout,  ending::write_timeout,
    ending::aborted,       ending::opening_timeout, ending::destroyed,     ending::cancelled};

// What the connection says of it, where it was open and nobody had closed.
errc cause_of(ending how) {
    switch (how) {
    case ending::peers_close: return errc::closed_by_peer;
    case ending::violation: return errc::reserved_opcode;
    case ending::end_of_stream: return errc::end_of_stream;
    case ending::reset: return errc::transport_lost;
    case ending::close_timeout: return errc::ok;
    case ending::idle_timeout: return errc::idle_timeout;
    case ending::pong_timeout: return errc::pong_timeout;
    case ending::write_timeout: return errc::write_timeout;
    case ending::aborted: return errc::aborted;
    case ending::opening_timeout:
    case ending::destroyed:
    case ending::cancelled: break;
    }
    return errc::ok;
}

// Long enough to bring all scenes about.
constexpr std::chrono::milliseconds a_while{250 * slowness};

sansocket::options ending_by(ending how) {
    sansocket::options o = narrow_sending();
    o.close_timeout = o.opening_timeout = a_while;
    if (how == ending::idle_timeout) o.keepalive.idle_timeout = a_while;
    if (how == ending::write_timeout) o.keepalive.write_timeout = a_while;
    if (how == ending::pong_timeout)
        o.keepalive.ping_interval = o.keepalive.pong_timeout = a_while / 2;
    return o;
}

// A websocket in a state, and everything that can wait in it, waiting.
class scene {
public:
    scene() = default;
    scene(const scene&) = delete;
    scene& operator=(const scene&) = delete;
    virtual ~scene() = default;
    virtual void end() = 0;
    virtual void give_up() = 0;
    [[nodiscard]] bool done() const {
        for (const result& r : all)
            if (!r.done()) return false;
        return true;
    }
    std::vector<result> all;
};

template <role Role, class Stream>
class scene_of final : public scene {
public:
    scene_of(loop& l, at state, ending how, bool closing)
        : p_(l, state, ending_by(how)), state_(state), how_(how), closing_(closing) {
        all.push_back(p_.opened);
        if (p_.unsent) all.push_back(*p_.unsent);
        if (p_.closed) all.push_back(*p_.closed);
        p_.ws.async_receive(next());
        if (!p_.unsent) p_.ws.async_send_text(stuck(), next());
        for (int i = 0; i != 3; ++i) p_.ws.async_send_text("waiting", next());
        p_.ws.async_send(sansocket::message{message_kind::text, "given"}, next());
        p_.ws.async_ping({}, next());
        if (closing)
            for (int i = 0; i != 2; ++i) p_.ws.async_close(ours, "", next());
        l.poll();
    }
    void end() override {
        auto& peer = p_.peer;
        switch (how_) {
        case ending::peers_close: peer.offer(peers_close<Role>()); return;
        case ending::violation: peer.offer(frame<Role>(opcode{3}, {})); return;
        case ending::end_of_stream:
            if constexpr (std::same_as<Stream, tcp::socket>) {
                std::error_code gone;
                peer.socket.shutdown(tcp::socket::shutdown_send, gone);
            } else {
                peer.socket.close();
            }
            return;
        case ending::reset:
            if constexpr (std::same_as<Stream, tcp::socket>) peer.reset();
            else peer.socket.close();
            return;
        case ending::aborted: return p_.ws.abort();
        case ending::destroyed: {
            const auto gone = std::move(p_.ws);
            return;
        }
        case ending::cancelled:
            p_.opening->emit(asio::cancellation_type::total);
            for (const auto& one : signals_) one->emit(asio::cancellation_type::total);
            return;
        case ending::opening_timeout:
        case ending::close_timeout:
        case ending::idle_timeout:
        case ending::pong_timeout:
        case ending::write_timeout: return;
        }
    }
    void give_up() override {
        const errc cause = p_.ws.close_info().cause;
        const bool open = state_ == at::OI || state_ == at::OM || state_ == at::OQ;
        const errc expected = cause_of(how_);
        CAPTURE(static_cast<int>(how_), static_cast<int>(state_));
        // One that cannot be waited for notices a loss by whichever comes first, read or write.
        const bool lost = how_ == ending::end_of_stream || how_ == ending::reset;
        const bool either = lost && !std::same_as<Stream, tcp::socket>;
        if (open && !closing_ && expected != errc::ok && !either) CHECK(cause == expected);
        if (open && closing_ && how_ == ending::close_timeout) CHECK(cause == errc::close_timeout);
        if (open && closing_ && how_ == ending::cancelled) CHECK(cause == errc::cancelled);
        if (open && !closing_ && how_ == ending::cancelled)
            CHECK(p_.ws.state() == connection_state::open);
        p_.ws.abort();
    }

private:
    auto next() {
        signals_.push_back(std::make_unique<asio::cancellation_signal>());
        return asio::bind_cancellation_slot(signals_.back()->slot(), all.emplace_back());
    }
    in_state<Role, Stream> p_;
    at state_;
    ending how_;
    bool closing_;
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals_;
};

std::vector<std::unique_ptr<scene>> every_scene(loop& l, ending how, bool closing) {
    std::vector<std::unique_ptr<scene>> out;
    const auto in_role = [&]<role Role>() {
        for (const at state : every_state) {
            out.push_back(std::make_unique<scene_of<Role, tcp::socket>>(l, state, how, closing));
            out.push_back(std::make_unique<scene_of<Role, memory_stream>>(l, state, how, closing));
        }
    };
    in_role.operator()<role::server>();
    in_role.operator()<role::client>();
    return out;
}

}  // namespace

TEST_CASE("G12 B96 (adapter): every operation completes once, in every state, by every ending") {
    for (const ending how : every_ending) {
        for (const bool closing : {false, true}) {
            // Without a close there is nothing to end them, or nothing that says it is over.
            if (how == ending::close_timeout && !closing) continue;
            CAPTURE(static_cast<int>(how), closing);
            loop l;
            l.left_open = how == ending::destroyed;
            const auto scenes = every_scene(l, how, closing);
            for (const auto& one : scenes) one->end();
            if (how == ending::opening_timeout) {
                for (const auto& one : scenes) l.until(one->all.front());
            } else {
                for (const auto& one : scenes) l.until([&] { return one->done(); });
            }
            for (const auto& one : scenes) one->give_up();
            l.finish();
            for (const auto& one : scenes)
                for (const result& r : one->all) CHECK(r.count() == 1);
        }
    }
}
