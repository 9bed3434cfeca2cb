// A connection in each state of its life, and the peer's input cut in every way, for the tests that
// go through all of them. The states:
//
//   HS   opening: a client has sent its request, a server has half of one
//   OI   open, with one message unread
//   OM   the same, inside a fragmented message
//   OQ   the same, with two messages to send, the first of which has begun to go out
//   CLO  this endpoint's Close has gone out, the peer's has not come
//   CRE  the peer's Close has come, the answer has not gone out
//   CD   both are done; a client waits for the end of the stream
#pragma once

#include "endpoint.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace support {

enum class at { HS, OI, OM, OQ, CLO, CRE, CD };
inline constexpr std::array every_state{at::HS, at::OI, at::OM, at::OQ, at::CLO, at::CRE, at::CD};

template <class Test>
void in_both_roles(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

// What stands in the Closes of the states and tests: the peer's, and ours.
inline constexpr close_code theirs{4000};
inline constexpr close_code ours = close_code::going_away;

template <role Role>
byte_vector peers_close(unsigned code = 4000, std::string_view reason = "p") {
    return frame<Role>(sansocket::opcode::close, close_bytes(code, reason));
}
template <role Role>
byte_vector own_close(unsigned code, std::string_view reason = {}) {
    return own_frame<Role>(sansocket::opcode::close, close_bytes(code, reason));
}

inline const byte_vector unsent_one = bytes("one");
inline const byte_vector unsent_two = bytes("two");

// What is left of the frame that OQ has begun to send.
template <role Role>
byte_vector begun() {
    const byte_vector whole = own_frame<Role>(sansocket::opcode::text, unsent_one);
    return {whole.begin() + 3, whole.end()};
}

template <role Role>
class subject : public endpoint<Role> {
public:
    // `cut`: how the peer's bytes come. 0: whole; 1: byte by byte; n: in two, after n - 1 bytes.
    explicit subject(at state, std::size_t cut = 0, const sansocket::options& options = {})
        : endpoint<Role>(options), cut_(cut) {
        this->left_open = true;  // the rows say how it ends
        begin(state);
    }

    // The peer's bytes, in pieces; all are taken.
    void feed(const byte_vector& data) {
        if (cut_ == 1) {
            for (const std::byte b : data) CHECK(this->receive(byte_vector{b}) == 1);
            return;
        }
        const std::size_t first = cut_ == 0 ? data.size() : (std::min)(cut_ - 1, data.size());
        const auto at = data.begin() + static_cast<std::ptrdiff_t>(first);
        CHECK(this->receive(byte_vector(data.begin(), at)) == first);
        CHECK(this->receive(byte_vector(at, data.end())) == data.size() - first);
    }

    // What the transport takes, byte by byte.
    byte_vector sent_slowly() {
        byte_vector out;
        for (byte_vector one = this->sent(1); !one.empty(); one = this->sent(1)) out = out + one;
        return out;
    }

private:
    void begin(at state) {
        switch (state) {
        case at::HS:
            this->sent();
            if (Role == role::server) feed(bytes(upgrade_request.substr(0, 40)));
            return;
        case at::OI: return idle();
        case at::OM:
            idle();
            return feed(frame<Role>(sansocket::opcode::text, bytes("half"), false));
        case at::OQ:
            idle();
            CHECK(this->connection.send_text(text_of(unsent_one)) == errc::ok);
            CHECK(this->connection.send_text(text_of(unsent_two)) == errc::ok);
            CHECK(this->sent(3).size() == 3);
            return;
        case at::CLO:
            idle();
            CHECK(this->connection.close(ours, "bye", this->now) == errc::ok);
            CHECK(this->sent() == own_close<Role>(1001, "bye"));
            return;
        case at::CRE: idle(); return feed(peers_close<Role>());
        case at::CD:
            idle();
            feed(peers_close<Role>());
            CHECK(this->sent() == own_close<Role>(4000));
            CHECK(this->connection.close_info().clean);
            return;
        }
    }
    void idle() {
        this->open();
        feed(frame<Role>(sansocket::opcode::text, bytes("q")));
    }

    std::size_t cut_;
};

inline sansocket::message text_message(std::string data) {
    return {sansocket::message_kind::text, std::move(data)};
}

}  // namespace support
