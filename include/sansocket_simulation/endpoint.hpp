// endpoint.hpp
//
// A connection and its end of a link, driven exactly as an adapter drives one
// over a socket: one read and one write under way at a time, a timer, and after
// everything that may have changed the connection, `drive`.
//
// Where `session.hpp` waits for the system, this waits for virtual time: a write
// takes a while, may be taken in part, and what it is taking must not change
// meanwhile, which is checked.
#pragma once

#include <sansocket_simulation/network.hpp>
#include <sansocket_simulation/random.hpp>
#include <sansocket_simulation/scheduler.hpp>
#include <sansocket_simulation/world.hpp>

#include <sansocket/connection.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sansocket_simulation {

/// How an endpoint's program and system behave.
struct endpoint_options {
    /// Most time that a write takes; less is drawn.
    duration write_time = duration::zero();
    /// Time that the program takes for a message before it looks at the next. 0: reads at once.
    duration message_time = duration::zero();
    /// Most bytes that one read asks for.
    std::size_t read_buffer = 16 * 1024;
};

/// Drives a `Connection`: a `sansocket::connection`, or what looks like one.
template <class Connection>
class endpoint {
public:
    using connection_type = Connection;  ///< What it drives.

    /// What the program does, and who watches. Empty: nothing. They may call everything here, and
    /// the connection, but must not destroy the endpoint.
    struct hooks {
        std::function<void(endpoint&)> on_open{};  ///< The opening handshake is done.
        /// A message came. The view is valid until the hook returns.
        std::function<void(endpoint&, const sansocket::message_view&)> on_message{};
        std::function<void(endpoint&)> on_drained{};  ///< A write is done, and there is room again.
        std::function<void(endpoint&)> on_request{};  ///< A server is to `accept` or `refuse`.
        /// It is closed, and all messages have been taken. Called once, unless it was dropped.
        std::function<void(endpoint&)> on_closed{};
        std::function<void(endpoint&)> on_step{};  ///< Something may have changed; before the rest.
        std::function<void(endpoint&, std::span<const std::byte>)>
            on_written{};  ///< The link took these bytes.
    };

    /// @param at          its end of a link, which it has for itself.
    /// @param name        in the story.
    /// @param arguments   for the connection's constructor.
    template <class... Arguments>
    endpoint(world& w, link_end& at, std::string name, const endpoint_options& options,
             hooks program, Arguments&&... arguments)
        : hooks_(std::move(program)),
          world_(&w),
          socket_(&at),
          name_(std::move(name)),
          options_(options),
          random_(w.random()()) {
        core_.emplace(std::forward<Arguments>(arguments)...);
        socket_->on_ready([this] { ready(); });
        drive();
    }
    endpoint(const endpoint&) = delete;
    endpoint& operator=(const endpoint&) = delete;
    ~endpoint() { release(); }

    /// The connection. After something was called that may have changed it, call `drive()`.
    [[nodiscard]] Connection& connection() noexcept { return *core_; }
    [[nodiscard]] const Connection& connection() const noexcept { return *core_; }
    /// Whether there is one: it was not dropped.
    [[nodiscard]] bool has_connection() const noexcept { return core_.has_value(); }

    /// @{
    /// As the connection's functions of the same name, and then `drive`.
    template <class Text>
    sansocket::errc send_text(Text&& text) {
        return driven(core_->send_text(std::forward<Text>(text)));
    }
    sansocket::errc send_binary(std::span<const std::byte> bytes) {
        return driven(core_->send_binary(bytes));
    }
    sansocket::errc close(sansocket::close_code code = sansocket::close_code::normal,
                          std::string_view reason = {}) {
        tell("closes", static_cast<std::uint64_t>(code));
        return driven(core_->close(code, reason, world_->now()));
    }
    void abort(sansocket::errc cause = sansocket::errc::aborted) {
        tell("aborts");
        core_->abort(cause);
        drive();
    }
    /// @}
    /// The program lets go: the connection is destroyed, and its socket with it.
    void drop();
    /// The connection moves to another place and back, whatever is going on. Not from a hook.
    void move() requires std::is_move_constructible_v<Connection> {
        if (!core_) return;
        tell("is moved");
        Connection elsewhere(std::move(*core_));
        core_.reset();
        core_.emplace(std::move(elsewhere));
        drive();
    }
    /// The program takes no messages until `resume`.
    void pause() { paused_ = true; }
    /// It takes them again.
    void resume() {
        paused_ = false;
        drive();
    }
    /// From now on a message takes it so long.
    void message_time(duration time) { options_.message_time = time; }

    /// Does whatever the connection wants done.
    void drive();

    /// Its name in the story.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Whether its socket is still in use.
    [[nodiscard]] bool attached() const noexcept { return attached_; }
    /// Whether `on_closed` was called.
    [[nodiscard]] bool closed() const noexcept { return told_closed_; }
    /// Whether the end of the input, or the loss of the link, was read.
    [[nodiscard]] bool input_ended() const noexcept { return input_ended_; }
    /// Whether a write told that the link is lost.
    [[nodiscard]] bool output_lost() const noexcept { return output_lost_; }
    /// Bytes that the link has taken, and those that it is taking now.
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
    /// The latter alone.
    [[nodiscard]] std::size_t writing() const noexcept { return shown_.bytes; }
    /// Whether bytes that were being written changed meanwhile: a defect of the connection.
    [[nodiscard]] bool output_changed() const noexcept { return output_changed_; }
    /// A line of the story about it.
    void tell(std::string_view what, std::uint64_t a = story::none, std::uint64_t b = story::none) {
        world_->tell().tell(world_->now(), name_, what, a, b);
    }

private:
    // What a write under way is taking.
    struct shown {
        std::array<std::span<const std::byte>, sansocket::output_buffers::capacity> buffers;
        std::size_t count = 0;
        std::size_t bytes = 0;

        [[nodiscard]] std::span<const std::span<const std::byte>> all() const noexcept {
            return {buffers.data(), count};
        }
        // Of some hundred bytes of each buffer: writes of large ones in small steps are many.
        [[nodiscard]] std::uint64_t fingerprint() const noexcept {
            std::uint64_t hash = 0;
            for (const auto buffer : all())
                for (std::size_t i = 0; i < buffer.size(); i += 1 + buffer.size() / 128)
                    hash = (hash ^ std::to_integer<std::uint64_t>(buffer[i])) * 0x100000001b3U;
            return hash;
        }
    };

    sansocket::errc driven(sansocket::errc ec) {
        drive();
        return ec;
    }
    [[nodiscard]] time_point now() const noexcept { return world_->now(); }
    [[nodiscard]] bool wants_to_read() const noexcept {
        return attached_ && core_ && leftover_.empty() && core_->wants_read();
    }
    void notice();
    void take_leftover();
    void begin_write();
    void write();
    void wrote(std::size_t n);
    void shut_down();
    void ready();
    bool read();
    void feed(std::span<std::byte> bytes);
    void arm_timer();
    void deliver();
    bool deliver_one();
    void release() noexcept;

    hooks hooks_;
    world* world_;
    link_end* socket_;
    std::string name_;
    endpoint_options options_;
    random_source random_;
    std::optional<Connection> core_;
    shown shown_;
    std::uint64_t fingerprint_ = 0;  // of `shown_`, when the write began
    std::vector<std::byte> buffer_;
    std::vector<std::byte> leftover_;  // read, and not yet taken by the connection
    scheduler::event reading_ = 0;
    scheduler::event writing_ = 0;
    scheduler::event timer_ = 0;
    scheduler::event delivery_ = 0;
    time_point armed_ = sansocket::never;
    std::uint64_t written_ = 0;
    bool attached_ = true;
    bool half_closed_ = false;
    bool input_ended_ = false;
    bool output_lost_ = false;
    bool read_blocks_ = false;
    bool write_blocks_ = false;
    bool paused_ = false;
    bool told_open_ = false;
    bool told_request_ = false;
    bool told_closed_ = false;
    bool driving_ = false;
    bool again_ = false;
    bool dropping_ = false;
    bool output_changed_ = false;
};

template <class Connection>
void endpoint<Connection>::drive() {
    if (!core_) return;
    again_ = true;
    if (driving_) return;
    driving_ = true;
    while (std::exchange(again_, false) && !dropping_) {
        if (core_->next_deadline() == sansocket::immediately) core_->advance(now());
        take_leftover();
        notice();
        begin_write();
        shut_down();
        if (wants_to_read() && !read_blocks_ && reading_ == 0)
            reading_ = world_->time().after({}, [this] {
                reading_ = 0;
                if (read()) drive();
            });
        arm_timer();
        deliver();
        again_ = again_ || core_->next_deadline() == sansocket::immediately;
    }
    driving_ = false;
    if (dropping_) drop();
}

// Tells the program what is new.
template <class Connection>
void endpoint<Connection>::notice() {
    if (hooks_.on_step) hooks_.on_step(*this);
    if (!told_open_ && core_->was_opened()) {
        told_open_ = true;
        tell("is open");
        if (hooks_.on_open) hooks_.on_open(*this);
    }
    if constexpr (requires { core_->accept({}, {}, time_point{}); }) {
        if (!told_request_ && core_->deciding()) {
            told_request_ = true;
            if (hooks_.on_request) hooks_.on_request(*this);
        }
    }
    if (told_closed_ || core_->state() != sansocket::connection_state::closed ||
        !core_->messages().at_eof())
        return;
    told_closed_ = true;
    const auto& info = core_->close_info();
    tell(info.clean ? "is closed cleanly" : "is closed", static_cast<std::uint64_t>(info.code()));
    tell(sansocket::describe(info.cause));
    if (hooks_.on_closed) hooks_.on_closed(*this);
}

template <class Connection>
void endpoint<Connection>::begin_write() {
    if (!attached_ || shown_.bytes != 0 || !core_->wants_write()) return;
    const sansocket::output_buffers out = core_->output();
    for (const auto buffer : out) shown_.buffers[shown_.count++] = buffer;
    shown_.bytes = out.bytes();
    fingerprint_ = shown_.fingerprint();
    const auto most = static_cast<std::uint64_t>(options_.write_time.count());
    const duration takes{static_cast<duration::rep>(random_.below(most + 1))};
    writing_ = world_->time().after(takes, [this] {
        writing_ = 0;
        write();
    });
}

template <class Connection>
void endpoint<Connection>::write() {
    output_changed_ = output_changed_ || shown_.fingerprint() != fingerprint_;
    if (!attached_) return wrote(0), drive();
    const auto [what, n] = socket_->write(shown_.all());
    if (what == io::would_block) {
        write_blocks_ = true;
        return;
    }
    tell("wrote", n, shown_.bytes);
    wrote(n);
    if (what == io::lost) {  // what arrived before the loss is read first
        output_lost_ = true;
        core_->output_lost(now());
    }
    drive();
    if (core_ && hooks_.on_drained && core_->output_drained()) hooks_.on_drained(*this);
}

// The write is over: the link took `n` bytes.
template <class Connection>
void endpoint<Connection>::wrote(std::size_t n) {
    std::size_t left = n;
    for (const auto buffer : shown_.all()) {
        const auto part = buffer.first((std::min)(left, buffer.size()));
        left -= part.size();
        if (!part.empty() && hooks_.on_written) hooks_.on_written(*this, part);
    }
    written_ += n;
    shown_.count = shown_.bytes = 0;
    core_->consume_output(n, now());
}

template <class Connection>
void endpoint<Connection>::shut_down() {
    if (!attached_) return;
    const auto wanted = core_->wants_shutdown();
    if (wanted == sansocket::shutdown_request::none) return;
    if (wanted == sansocket::shutdown_request::half_close) {
        if (std::exchange(half_closed_, true)) return;
        tell("half closes its socket");
        return socket_->half_close();
    }
    attached_ = false;
    const bool abort = wanted == sansocket::shutdown_request::abort;
    tell(abort ? "aborts its socket" : "closes its socket");
    if (abort) socket_->abort();
    else socket_->close();
    if (std::exchange(write_blocks_, false) && writing_ == 0)
        writing_ = world_->time().after({}, [this] {
            writing_ = 0;
            write();
        });
}

// The link says that what blocked may go on.
template <class Connection>
void endpoint<Connection>::ready() {
    read_blocks_ = false;
    if (std::exchange(write_blocks_, false)) write();
    if (core_ && read()) drive();
}

// Whether there was something to read.
template <class Connection>
bool endpoint<Connection>::read() {
    if (!wants_to_read()) return false;
    buffer_.resize(options_.read_buffer);
    const auto [what, n] = socket_->read(buffer_);
    switch (what) {
    case io::done: feed(std::span{buffer_}.first(n)); return true;
    case io::would_block: read_blocks_ = true; return false;
    case io::end:
        input_ended_ = true;
        tell("reads the end");
        core_->receive_end(now());
        return true;
    case io::truncated:
        input_ended_ = true;
        tell("reads an end that TLS was not told of");
        core_->receive_end(now(), sansocket::errc::tls_truncated);
        return true;
    case io::lost:
        input_ended_ = true;
        tell("reads that the link is lost");
        core_->transport_lost(now());
        return true;
    }
    return false;
}

template <class Connection>
void endpoint<Connection>::feed(std::span<std::byte> bytes) {
    const std::size_t taken = core_->receive(bytes, now());
    tell("read", taken, bytes.size());
    const std::vector<std::byte> rest(bytes.begin() + static_cast<std::ptrdiff_t>(taken),
                                      bytes.end());
    std::fill(bytes.begin(), bytes.end(), std::byte{0xdd});  // nobody may look at them any more
    leftover_ = rest;
}

template <class Connection>
void endpoint<Connection>::take_leftover() {
    if (!attached_ || leftover_.empty() || !core_->wants_read()) return;
    auto bytes = std::exchange(leftover_, {});
    feed(bytes);
}

template <class Connection>
void endpoint<Connection>::arm_timer() {
    const time_point due = attached_ ? core_->next_deadline() : sansocket::never;
    if (due == sansocket::never) {
        armed_ = sansocket::never;
        return world_->time().cancel(timer_);
    }
    if (due >= armed_) return;
    armed_ = due;
    world_->time().cancel(timer_);
    timer_ = world_->time().at(due, [this] {
        timer_ = 0;
        armed_ = sansocket::never;
        core_->advance(now());
        drive();
    });
}

// Messages to the program, at the pace that it can bear.
template <class Connection>
void endpoint<Connection>::deliver() {
    if constexpr (requires { core_->messages().pop(); }) {
        if (options_.message_time <= duration::zero()) {
            while (!paused_ && !dropping_ && deliver_one()) again_ = true;
        } else if (!paused_ && delivery_ == 0 && core_->messages().size() == 0) {
            (void)core_->messages().pop();  // the program is done with the last one
        } else if (!paused_ && delivery_ == 0) {
            delivery_ = world_->time().after(options_.message_time, [this] {
                delivery_ = 0;
                if (!paused_) deliver_one();
                drive();
            });
        }
    }
}

template <class Connection>
bool endpoint<Connection>::deliver_one() {
    const auto message = core_->messages().pop();
    if (!message) return false;
    tell("has a message of", message->bytes.size());
    const bool nested = std::exchange(driving_, true);  // the view outlives no call that reads
    if (hooks_.on_message) hooks_.on_message(*this, sansocket::message_view(*message));
    driving_ = nested;
    return true;
}

template <class Connection>
void endpoint<Connection>::drop() {
    if (!core_) return;
    dropping_ = true;
    if (driving_) return;
    tell("is dropped");
    release();
    core_.reset();
    if (!socket_->closed()) socket_->abort();
    attached_ = false;
}

template <class Connection>
void endpoint<Connection>::release() noexcept {
    socket_->on_ready({});
    for (auto* event : {&reading_, &writing_, &timer_, &delivery_}) world_->time().cancel(*event);
}

}  // namespace sansocket_simulation
