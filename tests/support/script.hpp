// A conversation as a list of steps, for one role. It is run as it stands, and again with the
// transport or the application giving up after each step: whatever was going on, the connection then
// ends, says so everywhere, and keeps what had arrived.
#pragma once

#include "endpoint.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace support {

template <role Role>
class script {
public:
    using endpoint_type = endpoint<Role>;
    using call =
        std::function<errc(typename endpoint_type::connection_type&, sansocket::time_point)>;

    explicit script(const sansocket::options& options = {}) : options_(options) {}

    // The peer's bytes arrive.
    script& receives(byte_vector bytes) {
        return step([bytes = std::move(bytes)](endpoint_type& e) { e.receive(bytes); });
    }
    // The same, byte by byte.
    script& receives_slowly(const byte_vector& bytes) {
        for (const std::byte b : bytes) receives({b});
        return *this;
    }
    // The transport takes all output, which is this.
    script& sends(byte_vector bytes) {
        return step([bytes = std::move(bytes)](endpoint_type& e) { CHECK(e.sent() == bytes); });
    }
    // The application takes what is queued, which is this.
    script& delivers(std::vector<sansocket::message> messages) {
        return step([messages = std::move(messages)](endpoint_type& e) {
            CHECK(e.messages() == messages);
        });
    }
    // The application asks for something, which is granted.
    script& calls(call what) {
        return step([what = std::move(what)](endpoint_type& e) {
            CHECK(what(e.connection, e.now) == errc::ok);
        });
    }
    script& passes(sansocket::duration time) {
        return step([time](endpoint_type& e) { e.pass(time); });
    }
    script& state(connection_state expected) {
        return step([expected](endpoint_type& e) { CHECK(e.connection.state() == expected); });
    }

    // As it stands, to an end that is `cause`, clean or not.
    void run(errc cause, bool clean) const {
        endpoint_type e{options_};
        e.open();
        for (const auto& one : steps_) one(e);
        CHECK(e.connection.close_info().cause == cause);
        CHECK(e.connection.close_info().clean == clean);
        check_over(e);
    }

    // Once for each step and each way to fail there.
    void run_failing_each_step() const {
        using way = std::function<void(endpoint_type&)>;
        const std::vector<way> ways = {
            [](endpoint_type& e) { e.connection.receive_end(e.now); },
            [](endpoint_type& e) { e.connection.receive_end(e.now, errc::tls_truncated); },
            [](endpoint_type& e) { e.connection.transport_lost(e.now); },
            [](endpoint_type& e) { e.connection.abort(); },
            [](endpoint_type& e) { e.receive(hex("ff ff")); },
            [](endpoint_type& e) { (void)e.connection.close(close_code::going_away, "", e.now); },
            [](endpoint_type&) {},  // silence
        };
        for (std::size_t stop = 0; stop <= steps_.size(); ++stop) {
            for (std::size_t how = 0; how != ways.size(); ++how) {
                CAPTURE(stop, how);
                endpoint_type e{options_};
                e.open();
                for (std::size_t i = 0; i != stop; ++i) steps_[i](e);
                const auto before = e.connection.close_info();
                ways[how](e);
                const auto& info = e.connection.close_info();
                if (before.cause != errc::ok) CHECK(info.cause == before.cause);
                if (before.clean) CHECK(info.clean);
                if (before.received) CHECK(info.received == before.received);
                if (before.sent) CHECK(info.sent == before.sent);
                check_over(e);
            }
        }
    }

private:
    script& step(std::function<void(endpoint_type&)> one) {
        steps_.push_back(std::move(one));
        return *this;
    }

    // It is over, or is once the transport is idle for long enough; and then it says so everywhere.
    static void check_over(endpoint_type& e) {
        auto& c = e.connection;
        for (int i = 0; i != 4 && !c.should_close(); ++i) {
            if (c.messages().paused()) e.messages();  // only a reader notices silence
            e.sent();
            e.pass(1h);
        }
        CHECK(c.state() == connection_state::closed);
        CHECK(c.should_close());
        CHECK(c.close_info().cause != errc::ok);
        CHECK(c.messages().is_eof());
        CHECK(c.messages().cause() == c.close_info().cause);
        e.messages();
        CHECK(c.messages().at_eof());
        CHECK(c.send_text("late") == errc::closed);
        CHECK(c.send_ping() == errc::closed);
        CHECK(c.start(sansocket::message_kind::text) == errc::closed);
        CHECK(c.close(close_code::normal, "", e.now) == errc::closed);
        const auto cause = c.close_info().cause;
        const byte_vector late = frame<Role>(sansocket::opcode::text, bytes("late"));
        CHECK(e.receive(late) == late.size());
        c.receive_end(e.now);
        c.transport_lost(e.now);
        e.pass(1h);
        CHECK(c.close_info().cause == cause);
        CHECK(e.messages().empty());
        e.sent();
        CHECK_FALSE(c.wants_write());
        CHECK_FALSE(c.wants_read());
        CHECK(c.next_deadline() == sansocket::never);
    }

    sansocket::options options_;
    std::vector<std::function<void(endpoint_type&)>> steps_;
};

}  // namespace support
