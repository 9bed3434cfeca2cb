// session.hpp
//
// The adapter's loop round one connection: a reader, a writer with one gather
// write in flight, and a timer. It moves bytes and time between the stream and
// the core, and decides nothing.
//
// A stream may have a handshake of its own first, and an end that is agreed on
// with the peer: both are TLS's, and both have a deadline.
//
// `drive()` is the loop's body and runs after everything that may have changed
// the core: write what it has, end the transport if it says so, read if it
// wants to, wait until its deadline, wake who waits. Where a run is on, what was
// read goes to its handler at once, and what that sends goes out in one write.
//
// Everything here runs on the stream's executor. Reads and writes in flight own
// the session; timers do not. Where the execution context is destroyed first, the
// stream and the timers go with it, and the session stays behind, ended.
#pragma once

#include <sansocket_asio/connect_failure.hpp>
#include <sansocket_asio/detail/context_watch.hpp>
#include <sansocket_asio/detail/message_handler.hpp>
#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/outbox.hpp>
#include <sansocket_asio/detail/read_buffer.hpp>
#include <sansocket_asio/detail/sender_line.hpp>
#include <sansocket_asio/detail/stream_traits.hpp>
#include <sansocket_asio/detail/wait_op.hpp>
#include <sansocket_asio/detail/waiting_handler.hpp>
#include <sansocket_asio/detail/write_buffers.hpp>
#include <sansocket_asio/when_full.hpp>

#include <sansocket/connection.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
class session final : public std::enable_shared_from_this<session<Stream, Connection>>,
                      private context_watcher {
public:
    using executor_type = typename Stream::executor_type;
    using connection_type = Connection;
    using timer_type =
        ::asio::basic_waitable_timer<std::chrono::steady_clock,
                                     ::asio::wait_traits<std::chrono::steady_clock>, executor_type>;
    // A sender's place in the line of those that wait for room.
    using place = typename sender_line<timer_type>::place;

    explicit session(Stream stream) : io_(std::in_place, std::move(stream)) {
        this->watch(context_of(io_->stream.get_executor()));
    }

    static sansocket::time_point now() noexcept { return std::chrono::steady_clock::now(); }

    // The core exists from here on, once. `connected`: the stream can be read and written already.
    template <class... Args>
    sansocket::errc begin(bool connected, Args&&... args) {
        if (core_) return over() ? sansocket::errc::closed : sansocket::errc::operation_in_progress;
        core_.emplace(std::forward<Args>(args)...);
        failure_.reset();
        stage_ = connect_stage::request;
        if (connected) start();
        else arm_timer();
        return sansocket::errc::ok;
    }

    // The stream is connected: the loop begins, behind a handshake of the stream's own if it needs one.
    // `tls_host`: whose TLS a client's stream, which can do that, is to use.
    void start(const std::string* tls_host = nullptr) {
        if (transport_ == transport::ended) return;
        if (!over()) stage_ = connect_stage::tls;
        detail::no_delay(stream());
        if constexpr (tls_optional<Stream>)
            if (tls_host != nullptr)
                if (const auto ec = stream().use_tls(*tls_host)) return handshake_failed(ec);
        if (needs_handshake(stream())) secure();
        else attach();
    }

    void drive();

    // The application lets go. What it cannot see any more ends by itself.
    void drop() noexcept {
        dropped_ = true;
        if (!core_ && outbox_) outbox_->answer(sansocket::errc::closed);
        if (!core_) return;  // the stream closes itself
        // An answer to the peer's Close is not cut off, and waits for nothing any more.
        if (core_->close_info().received) core_->messages().clear();
        else if (!over()) core_->abort(sansocket::errc::dropped);
        drive_or_end();
    }

    void abort(sansocket::errc cause) noexcept {
        if (!core_) return;
        core_->abort(cause);
        if (transport_ == transport::agreeing_on_end) end_by_ = now();
        drive_or_end();
    }

    // From now on messages go to `handler`, for as long as somebody else holds it.
    void start_run(const std::shared_ptr<message_handler>& handler, bool waits_for_room) {
        run_ = handler;
        waits_for_room_ = waits_for_room;
        lags_ = false;
        drive();
    }
    void stop_run() noexcept { run_.reset(); }
    bool runs() const noexcept { return !run_.expired(); }

    sender_line<timer_type>& senders() noexcept { return io_->senders; }
    // Whether somebody waits for room to send.
    bool senders_wait() const noexcept { return io_ && !io_->senders.empty(); }
    bool is_first(const std::optional<place>& at) noexcept {
        return io_->senders.empty() || (at && io_->senders.is_first(*at));
    }
    void limit_senders(const sender_limits& limits) noexcept {
        if (io_) io_->senders.limit(limits);
    }
    place line_up(line where, std::size_t given = 0) {
        return io_->senders.add(where, stream().get_executor(), given);
    }
    // Out of the line. The next goes on while there is room.
    void step_out(place at) {
        io_->senders.remove(at);
        if (senders_wait()) {
            if (!core_->output_full()) io_->senders.wake_first();
            return;
        }
        wake_others();
        hand_over_soon();
    }
    // The same of one that has given up.
    void step_out_or_end(place at) noexcept {
        try {
            step_out(at);
        } catch (...) {
            hang_up();
        }
    }
    // Whether there still is an execution context to wait in.
    bool in_context() const noexcept { return io_.has_value(); }

    // What is sent from other threads, or must not wait.
    std::shared_ptr<outbox> shared_outbox(const backlog_limits& limits = {});
    drop_counters dropped_messages() const {
        return outbox_ ? outbox_->dropped() : drop_counters{};
    }
    sansocket::errc post(outbox::item given);

    bool over() const noexcept {
        return !core_ || core_->state() == sansocket::connection_state::closed;
    }

    // Whether the application has let go.
    bool dropped() const noexcept { return dropped_; }
    // Whether there is something to do that nothing brings: what was taken has made room to read, or
    // was what the peer's Close waited for.
    bool stalled() const noexcept {
        return attached() && ((!reading_ && core_->wants_read()) ||
                              core_->next_deadline() == sansocket::immediately);
    }
    // The transport, too, is of no more use.
    bool ended() const noexcept { return transport_ == transport::ended; }

    // The end of the connection as an error code: success if it was clean. While it was opening, TLS
    // has words of its own for what went wrong.
    std::error_code ending() const noexcept {
        if (!core_) return sansocket::errc::not_open;
        const auto& info = core_->close_info();
        const bool of_tls =
            info.cause == sansocket::errc::tls_handshake_failed || is_tls_error(transport_error_);
        if (of_tls && !core_->was_opened()) return transport_error_;
        return info.clean ? std::error_code{} : make_error_code(info.cause);
    }
    // What the transport said that went wrong.
    void note(std::error_code ec) noexcept;
    std::error_code transport_error() const noexcept { return transport_error_; }

    // Why a client has not opened. What the operation does not note is the connection's to say.
    connect_failure failure() {
        connect_failure out = failure_ ? *failure_ : connect_failure{.stage = stage_};
        if (!core_ || core_->was_opened() || !over()) return out;
        if (!out.ec) out.ec = ending();
        if (out.ec == sansocket::errc::cancelled) out.ec = ::asio::error::operation_aborted;
        if (io_) out.why = reason_of(io_->stream, out.ec);
        if (const auto* handshake = core_->handshake()) {
            out.response = handshake->response();
            out.body = handshake->body();
            out.body_cut = handshake->body_cut();
        }
        return out;
    }

    Stream& stream() noexcept { return io_->stream; }
    executor_type executor() noexcept { return io_->stream.get_executor(); }
    // Waited for by who waits for messages; cancelled to wake them.
    timer_type& readable() noexcept { return io_->waiting; }
    // The same timer, for all the others. Who was woken for nothing looks, and waits again.
    timer_type& changed() noexcept {
        others_wait_ = true;
        return io_->waiting;
    }
    void wake_all() noexcept {
        others_wait_ = false;
        io_->waiting.cancel();
    }
    void wake_others() noexcept {
        if (others_wait_) wake_all();
    }

    // What it waits for, and what comes of that.
    struct to_read {};
    struct to_gather {};
    struct to_hand_over {};
    struct deadline {};
    void woken(to_read, std::error_code);
    void woken(to_gather, std::error_code);
    void woken(to_hand_over, std::error_code);
    void woken(deadline, std::error_code);

    std::optional<connection_type> core_;
    std::unique_ptr<const connect_failure> failure_;  // of a connect; without the response
    connect_stage stage_ = connect_stage::url;        // how far a client has come
    receiver receiver_ = receiver::none;
    bool appending_ = false;  // whether a part of a message waits for room

private:
    // What belongs to the execution context.
    struct io {
        explicit io(Stream s)
            : stream(std::move(s)),
              deadline(stream.get_executor(), sansocket::never),
              waiting(stream.get_executor(), sansocket::never) {}
        Stream stream;
        timer_type deadline;
        timer_type waiting;
        sender_line<timer_type> senders;
    };
    // While there is one, `drive` does nothing: whoever made it drives afterwards.
    struct corked {
        explicit corked(session& owner) noexcept : s(owner) { ++s.corks_; }
        corked(const corked&) = delete;
        ~corked() { --s.corks_; }
        session& s;
    };

    // As Asio's own objects find it.
    template <class Executor>
    static ::asio::execution_context& context_of(const Executor& executor) {
        if constexpr (::asio::can_query<const Executor&, ::asio::execution::context_t>::value)
            return ::asio::query(executor, ::asio::execution::context);
        else return executor.context();
    }
    void context_gone() noexcept override;
    void drive_or_end() noexcept;
    void hang_up() noexcept;
    void secure();
    void secured(std::error_code ec);
    void handshake_failed(std::error_code ec);
    void attach();
    bool gathers() const noexcept;
    void gather(std::size_t left, unsigned idle);
    void write();
    void write_gathered();
    bool write_some();
    void written(std::error_code ec, std::size_t n);
    void shut_down();
    void linger();
    void discard_input();
    void end_in_agreement();
    void cut_off();
    void end();
    void take_leftover();
    void read();
    void wait_to_read();
    void read_now();
    void has_read(std::span<std::byte> bytes, std::error_code ec);
    void feed(std::span<std::byte> bytes);
    void arm_timer();
    void wake();
    void wake_senders() noexcept;
    bool brings_something() const noexcept;
    bool may_hand_over() noexcept;
    void hand_over();
    void hand_over_soon();
    void empty_outbox();
    sansocket::errc answer() const noexcept;

    enum class transport : std::uint8_t {
        connecting,
        securing,
        attached,
        lingering,
        agreeing_on_end,
        ended
    };

    bool attached() const noexcept { return transport_ == transport::attached; }

    transport transport_ = transport::connecting;
    bool reading_ = false;
    bool writing_ = false;
    bool half_closed_ = false;
    bool dropped_ = false;
    bool waits_for_room_ = true;  // the run, before it hands over
    bool lags_ = false;           // and it does: the output was full and has not drained
    bool gathering_ = false;      // what is to be written waits for what may follow
    bool hand_over_posted_ = false;
    bool others_wait_ = false;  // for something else than messages
    std::uint8_t corks_ = 0;
    std::uint8_t gather_idle_ = 0;  // as `gather` was given
    std::uint8_t gather_left_ = 0;  // modulo 2^8, for it is only compared
    waiting_part<session, to_read> read_wait_;
    std::weak_ptr<message_handler> run_;
    sansocket::time_point armed_ = sansocket::never;
    sansocket::time_point end_by_ = sansocket::never;  // agreeing on the end
    std::error_code transport_error_;
    std::optional<io> io_;             // nothing once the execution context is gone
    std::vector<std::byte> leftover_;  // read, and not yet taken by the core
    std::shared_ptr<outbox> outbox_;   // once somebody asked for it
    struct no_buffer {};
    SANSOCKET_NO_UNIQUE_ADDRESS std::conditional_t<waitable<Stream>, no_buffer, read_buffer>
        buffer_;
};

// The connection ends here, whatever it was doing. Who waits is destroyed by the context.
template <class Stream, class Connection>
void session<Stream, Connection>::context_gone() noexcept {
    const auto self = this->weak_from_this().lock();  // a stream may let go of its handlers
    if (core_ && !over())
        core_->abort(dropped_ ? sansocket::errc::dropped : sansocket::errc::transport_lost);
    if (outbox_) outbox_->answer(sansocket::errc::closed);
    transport_ = transport::ended;
    io_.reset();
}

template <class Stream, class Connection>
void session<Stream, Connection>::drive() {
    if (!io_ || corks_ != 0) return;
    if (attached()) take_leftover();
    if (attached()) write();
    if (core_->next_deadline() == sansocket::immediately) {
        core_->advance(now());
        if (attached()) write();
    }
    if (transport_ != transport::ended) shut_down();
    if (attached()) read();
    arm_timer();
    wake();
}

// For those that may not throw.
template <class Stream, class Connection>
void session<Stream, Connection>::drive_or_end() noexcept {
    try {
        drive();
    } catch (...) {
        hang_up();
    }
}

// The end where there is no memory for a better one. It takes none.
template <class Stream, class Connection>
void session<Stream, Connection>::hang_up() noexcept {
    note(::asio::error::no_memory);
    core_->abort(sansocket::errc::transport_lost);
    stop_run();
    transport_ = transport::ended;
    detail::abort(stream());
    arm_timer();
    wake_all();
    wake_senders();
    if (outbox_) outbox_->answer(answer());
}

template <class Stream, class Connection>
void session<Stream, Connection>::attach() {
    if (!over()) stage_ = connect_stage::upgrade;
    std::error_code ignored;
    if constexpr (maybe_waitable<Stream>)
        if (waits(stream())) waiting_socket(stream()).non_blocking(true, ignored);
    transport_ = transport::attached;
    drive();
}

template <class Stream, class Connection>
void session<Stream, Connection>::shut_down() {
    auto request = core_->wants_shutdown();
    // What the core would still say cannot be said before the stream's handshake.
    if (transport_ < transport::attached && over() && !core_->should_close())
        request = sansocket::shutdown_request::abort;
    switch (request) {
    case sansocket::shutdown_request::none: return;
    case sansocket::shutdown_request::half_close:
        if (std::exchange(half_closed_, true)) return;
        if (attached() && agrees_on_end(stream())) return linger();
        return detail::half_close(stream());
    case sansocket::shutdown_request::close:
        if (attached() && agrees_on_end(stream())) return end_in_agreement();
        if (transport_ != transport::agreeing_on_end || now() >= end_by_) end();
        return;
    case sansocket::shutdown_request::abort:
        transport_ = transport::ended;
        return detail::abort(stream());
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::end() {
    transport_ = transport::ended;
    detail::close(stream());
}

// A timer that rings early is cheaper than one that is set anew for each byte.
template <class Stream, class Connection>
void session<Stream, Connection>::arm_timer() {
    sansocket::time_point due = core_->next_deadline();
    if (transport_ == transport::ended) due = sansocket::never;
    if (transport_ == transport::agreeing_on_end) due = end_by_;
    if (due == sansocket::never && armed_ != sansocket::never) {
        armed_ = sansocket::never;  // nothing keeps the executor busy for a connection that is over
        io_->deadline.cancel();
    }
    if (due >= armed_) return;
    armed_ = sansocket::never;  // unless it can wait
    io_->deadline.expires_at(due);
    io_->deadline.async_wait(weak_waiter<session, deadline>::wait(this->weak_from_this()));
    armed_ = due;
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(deadline, std::error_code ec) {
    if (ec || armed_ == sansocket::never) return;
    armed_ = sansocket::never;
    core_->advance(now());
    drive();
}

}  // namespace sansocket_asio::detail

#include <sansocket_asio/detail/session_messages.hpp>
#include <sansocket_asio/detail/session_reads.hpp>
#include <sansocket_asio/detail/session_tls.hpp>
#include <sansocket_asio/detail/session_writes.hpp>
