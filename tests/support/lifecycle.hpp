// A connection in each state of its life, and the peer's input cut in every way, for the tests that
// go through all of them: `in_both_roles` runs a test once, and again with whatever its peer says byte by
// byte and in two at each byte. Where nothing is fed, there is nothing to cut. The states:
//
//   HS   opening: a client has sent its request, a server has half of one
//   OI   open, with one message unread
//   OM   the same, inside a fragmented message
//   OQ   the same, with two messages to send, the first of which has begun to go out
//   CLO  this endpoint's Close has gone out, the peer's has not come
//   CW   the peer's Close has come, and waits for the message before it to be taken
//   CRE  the peer's Close has come, the answer has not gone out
//   CD   both are done; a client waits for the end of the stream
#pragma once

#include "endpoint.hpp"
#include "scale.hpp"
#include "text_message.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace support {

enum class at { HS, OI, OM, OQ, CLO, CW, CRE, CD };
inline constexpr std::array every_state{at::HS,  at::OI, at::OM,  at::OQ,
                                        at::CLO, at::CW, at::CRE, at::CD};

// As it is, for tests of much input, or that cut it themselves.
template <class Test>
void in_both_roles_uncut(Test test) {
    SECTION("server") { test.template operator()<role::server>(); }
    SECTION("client") { test.template operator()<role::client>(); }
}

// An input of more bytes is cut in this many places, spread evenly.
inline constexpr std::size_t most_cuts = sanitized ? 16 : 64;

template <role Role, class Test>
void with_every_cut(Test test) {
    struct restore {
        ~restore() { arrives = {}; }
    } afterwards;
    test.template operator()<Role>();
    const std::size_t longest = arrives.longest;
    for (std::size_t way = 1; way <= longest; way += way == 1 ? 1 : longest / most_cuts + 1) {
        CAPTURE(way);
        arrives.way = way;
        test.template operator()<Role>();
    }
}
template <class Test>
void in_both_roles(Test test) {
    in_both_roles_uncut([&]<role Role> { with_every_cut<Role>(test); });
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

// The peer's Close does not wait for what is unread.
inline sansocket::options answering_at_once(sansocket::options options = {}) {
    options.close_delay = sansocket::duration::zero();
    return options;
}

template <role Role>
class subject : public endpoint<Role> {
public:
    explicit subject(at state, const sansocket::options& options = {})
        : endpoint<Role>(state == at::CRE || state == at::CD ? answering_at_once(options)
                                                             : options) {
        this->left_open = true;  // the rows say how it ends
        begin(state);
    }

    // The peer's bytes; all are taken.
    void feed(const byte_vector& data) { CHECK(this->receive(data) == data.size()); }

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
        case at::CW:
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
};

}  // namespace support
