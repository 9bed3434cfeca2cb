// sans_io.cpp
//
// What README.md shows of the protocol alone.
#include <sansocket/sansocket.hpp>

#include <cstddef>
#include <span>

// [session]
class echo_session {
public:
    using time_point = sansocket::time_point;

    explicit echo_session(time_point now) : ws_({}, now) {}

    // The transport has read something, or come to its end. Says how many bytes were taken.
    std::size_t receive(std::span<std::byte> bytes, time_point now) {
        const std::size_t taken = ws_.receive(bytes, now);
        echo();
        return taken;
    }
    void receive_end(time_point now) { ws_.receive_end(now); }

    // What the transport has to write next, and how much of that it wrote.
    sansocket::output_buffers output() { return ws_.output(); }
    void wrote(std::size_t bytes, time_point now) {
        ws_.consume_output(bytes, now);
        echo();
    }

    // When to call `advance` at the latest; whether and how to end the transport.
    time_point deadline() const { return ws_.next_deadline(); }
    void advance(time_point now) { ws_.advance(now); }
    sansocket::shutdown_request end() const { return ws_.wants_shutdown(); }

private:
    void echo() {
        while (ws_.output_drained()) {
            const auto message = ws_.messages().pop();
            if (!message) break;  // the last one was answered: a Close behind it may be, too
            (void)ws_.send(message->kind, message->bytes);
        }
    }

    sansocket::connection<sansocket::role::server> ws_;
};
// [/session]
