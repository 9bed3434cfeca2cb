// websocket.hpp
//
// A WebSocket over any Asio stream. One reader, one gather write and one timer
// run beneath; everything that the protocol decides is decided by
// sansocket::connection.
//
// One object, one executor: call its functions, and destroy it, on the stream's
// executor (a strand where several threads run it); `sender()` is for other threads. Many sends may wait at
// a time (`limit_senders`), one receive may, and close may be called whatever else waits.
//
// Per-operation cancellation, total, for each operation:
//   async_receive, async_receive_some, async_run, async_send_*, async_start,
//   async_ping, async_drain
//       nothing is lost and nothing was sent by halves; the connection goes on
//   async_append, async_finish   the message is still in progress, and what was
//       taken will be sent
//   async_connect, async_connect_to, async_handshake, async_accept,
//   async_read_request, async_close
//       the connection is aborted
//
// Destroying a websocket completes what waits with an error. The connection is
// aborted, without a Close frame, unless the peer's Close was received or it
// failed or closed before: then it finishes by itself, within its close timeout.
//
// Where the execution context is destroyed first, the connection ends with it,
// and what is pending is destroyed. The websocket stays behind: queries answer,
// it may be destroyed or moved, and no operation may be started. Only on a strand,
// which has a place in its context, must it go first.
#pragma once

#include <sansocket_asio/client_options.hpp>
#include <sansocket_asio/connect_failure.hpp>
#include <sansocket_asio/detail/connect_op.hpp>
#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/detail/session.hpp>
#include <sansocket_asio/detail/wait_op.hpp>
#include <sansocket_asio/diagnostics.hpp>
#include <sansocket_asio/entropy.hpp>
#include <sansocket_asio/websocket_sends.hpp>

#include <sansocket/connection.hpp>
#include <sansocket/wire/url.hpp>

#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/compose.hpp>
#include <asio/ip/tcp.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace sansocket_asio {

class group;
namespace detail {
template <class, class>
class server_state;
}  // namespace detail

/// How `async_run` hands messages over.
struct run_options {
    /// Whether nothing is handed over from when the output is full until it has drained, and no sender
    /// waits: then a handler that answers through `try_send` has room for an answer each time, and a
    /// peer that does not read is not read from. Default on.
    bool wait_for_room = true;
};

/// One WebSocket connection. What sends is in websocket_sends.hpp.
///
/// @tparam Role    client or server.
/// @tparam Stream  an Asio stream: `async_read_some`, `async_write_some`, `get_executor`, and
///                 `lowest_layer` or `close`.
/// @tparam Connection  the protocol: a sansocket::connection of that role, with any queue, keys and
///                 diagnostics that it can be constructed with, and any codec.
///
/// Completion signatures are void(std::error_code) where nothing else is said. Errors are those of
/// `sansocket::errc`, or of the stream before the connection is open.
///
/// One object is one connection: a second connect, handshake or accept completes with
/// errc::operation_in_progress, or errc::closed once the first connection is over.
template <sansocket::role Role, class Stream = ::asio::ip::tcp::socket,
          class Connection = sansocket::connection<Role>>
class websocket : public websocket_sends<websocket<Role, Stream, Connection>,
                                         detail::session<Stream, Connection>> {
    using session = detail::session<Stream, Connection>;
    using sends = websocket_sends<websocket, session>;
    using source_location = sansocket::source_location;
    static constexpr bool is_client = Role == sansocket::role::client;

public:
    using executor_type = typename Stream::executor_type;  ///< What it runs on.
    using next_layer_type = Stream;                        ///< What it runs over.

    /// The same over a stream on another kind of executor.
    template <class Executor>
    struct rebind_executor {
        using other = websocket<Role, typename Stream::template rebind_executor<Executor>::other,
                                Connection>;  ///< The websocket type.
    };

    /// Over a stream, connected or (a client's) yet to be. `where` is for diagnostics.
    explicit websocket(Stream stream, const source_location& where = source_location::current())
        : executor_(stream.get_executor()),
          session_(std::make_shared<session>(std::move(stream))),
          created_(where) {}
    /// Over a stream made from `argument`: an executor, or an execution context.
    template <class Argument>
    requires(std::constructible_from<Stream, Argument>) explicit websocket(
        Argument&& argument, const source_location& where = source_location::current())
        : websocket(Stream(std::forward<Argument>(argument)), where) {}
    /// Over a stream made from two arguments: an executor and a TLS context, for one.
    template <class First, class Second>
    requires(std::constructible_from<Stream, First, Second>)
        websocket(First&& first, Second&& second,
                  const source_location& where = source_location::current())
        : websocket(Stream(std::forward<First>(first), std::forward<Second>(second)), where) {}

    /// What is moved from is closed: it has its executor, answers every query, and its operations
    /// complete with errc::closed.
    websocket(websocket&& other) noexcept
        : executor_(other.executor_),
          session_(std::move(other.session_)),
          created_(other.created_) {}
    websocket& operator=(websocket&& other) noexcept {
        if (this != &other) {
            if (session_) session_->drop();
            executor_ = other.executor_;
            session_ = std::move(other.session_);
            created_ = other.created_;
        }
        return *this;
    }
    ~websocket() {
        if (session_) session_->drop();
    }

    /// The stream's.
    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    /// The stream. Not of a websocket that was moved from, nor once its execution context is gone.
    [[nodiscard]] Stream& next_layer() noexcept { return session_->stream(); }

    /// Resolves, connects and opens. `url` is a ws:// URL, or a wss:// URL where the stream can do
    /// both: that of sansocket_openssl. RFC 6455 3, 4.1.
    ///
    /// Also completes with the errors of `sansocket::parse_url`, errc::url_needs_tls,
    /// errc::invalid_request, the resolver's, the socket's and those of TLS; `failure()` says more.
    /// `opening_timeout` covers all steps. A host's addresses are tried one after the other, each but
    /// the last for its share of the time that is left.
    ///
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect(std::string_view url, const client_options& options,
                       Token&& token = Token{}) requires(is_client) {
        return connect(url, options, detail::destination<::asio::ip::tcp::endpoint>{},
                       std::forward<Token>(token));
    }
    /// The same with `client_options{}`.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect(std::string_view url, Token&& token = Token{}) requires(
        is_client && !std::same_as<std::remove_cvref_t<Token>, client_options>) {
        return async_connect(url, client_options{}, std::forward<Token>(token));
    }

    /// Connects to `endpoint`, of the stream's protocol, and opens: for Unix domain sockets, and
    /// for addresses that are known already. As `async_connect`, but nothing is looked up: `url`
    /// says what is asked for, and its port is of no account.
    ///
    /// Cancellation, total: the connection is aborted.
    template <detail::endpoint Endpoint,
              class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect_to(const Endpoint& endpoint, std::string_view url,
                          const client_options& options,
                          Token&& token = Token{}) requires(is_client) {
        return async_connect_to(std::vector{endpoint}, url, options, std::forward<Token>(token));
    }
    /// To the first of several that answers; asio::error::not_found where there is none.
    template <detail::endpoint Endpoint,
              class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_connect_to(std::vector<Endpoint> endpoints, std::string_view url,
                          const client_options& options,
                          Token&& token = Token{}) requires(is_client) {
        return connect(url, options,
                       detail::destination<Endpoint>{{}, {}, false, std::move(endpoints)},
                       std::forward<Token>(token));
    }

    /// Why the last `async_connect` or `async_handshake` failed: its step, and what the server said.
    /// Its `ec` is success where none has failed. A copy, so that it may be kept.
    [[nodiscard]] connect_failure failure() const requires(is_client) {
        return session_ ? session_->failure() : connect_failure{.ec = sansocket::errc::closed};
    }

    /// Opens over a stream that is connected. RFC 6455 4.1. `failure()` says more of an error.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_handshake(const sansocket::client_request& request,
                         const sansocket::options& options,
                         Token&& token = Token{}) requires(is_client) {
        return run_begin<detail::opened>(begin(true, request, options), std::forward<Token>(token));
    }

    /// Waits for a request and answers it by `policy`. RFC 6455 4.2.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_accept(const sansocket::server_policy& policy, const sansocket::options& options,
                      Token&& token = Token{}) requires(!is_client) {
        return run_begin<detail::opened>(begin(policy, options), std::forward<Token>(token));
    }
    /// The same with the default policy and options.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_accept(Token&& token = Token{}) requires(!is_client) {
        return async_accept(sansocket::server_policy{}, sansocket::options{},
                            std::forward<Token>(token));
    }

    /// Waits for a request and leaves the answer to `accept` or `refuse`. RFC 6455 4.2. With
    /// `request_decision::manual_with_http` it may be one that is no upgrade, as
    /// `connection()->request_is_upgrade()` says; `respond` or `refuse` answers it.
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_read_request(const sansocket::server_policy& policy, sansocket::options options,
                            Token&& token = Token{}) requires(!is_client) {
        if (options.decision == sansocket::request_decision::automatic)
            options.decision = sansocket::request_decision::manual;
        return run_begin<detail::asked>(begin(policy, options), std::forward<Token>(token));
    }

    /// Accepts the request that `async_read_request` brought. See sansocket::connection::accept.
    sansocket::errc accept(
        std::string_view subprotocol = {},
        std::span<const sansocket::http_field_value> fields = {}) requires(!is_client) {
        return change([&](auto& core) { return core.accept(subprotocol, fields, session::now()); });
    }

    /// Refuses it. See sansocket::connection::refuse.
    sansocket::errc refuse(std::uint16_t status,
                           std::span<const sansocket::http_field_value> fields = {},
                           std::string_view body = {}) requires(!is_client) {
        return change(
            [&](auto& core) { return core.refuse(status, fields, body, session::now()); });
    }

    /// Answers it in plain HTTP. See sansocket::connection::respond.
    sansocket::errc respond(std::uint16_t status,
                            std::span<const sansocket::http_field_value> fields = {},
                            std::string_view body = {}) requires(!is_client) {
        return change(
            [&](auto& core) { return core.respond(status, fields, body, session::now()); });
    }

    /// The next message. Signature void(std::error_code, sansocket::message).
    ///
    /// Messages come before the end. The end's error code is `close_info().cause`:
    /// errc::closed_by_peer and errc::closed_locally after a closing handshake. A second receive at
    /// a time completes with errc::operation_in_progress. Whoever asks for the next message is done
    /// with the last: the peer's Close waits for that, and for what was sent in answer to it, for
    /// `options::close_delay` at most.
    ///
    /// Cancellation, total: no message is lost; the next receive has it.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_receive(Token&& token = Token{}) {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        return run<void(std::error_code, sansocket::message)>(
            detail::receive_operation<detail::whole_messages>{}, std::forward<Token>(token));
    }

    /// What has come of a message, as it comes: for messages that are larger than what one wants to
    /// hold. Signature void(std::error_code, sansocket::message_piece).
    ///
    /// Takes turns with `async_receive`, which takes the rest of a message that was begun so. Reading
    /// pauses while `queue_limits::high_bytes` of the message wait; `message_limits::size` holds for
    /// all of it. What was not taken of a message that the end cuts off is lost; then errors are those
    /// of `async_receive`. Cancellation, total: nothing is lost.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_receive_some(Token&& token = Token{}) {
        static_assert(sansocket::detail::check_piecewise_queue<typename Connection::queue_type>());
        return run<void(std::error_code, sansocket::message_piece)>(
            detail::receive_operation<detail::pieces>{}, std::forward<Token>(token));
    }

    /// A message that is here already, without waiting.
    ///
    /// @return a view, valid until the next call of a function of this object that is not a query,
    ///         and until the handler that calls this returns; nothing where none is here, or an
    ///         async_receive waits.
    [[nodiscard]] std::optional<sansocket::message_view> try_receive() {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        if (!connection() || session_->receiver_ != detail::receiver::none) return std::nullopt;
        session_->drive();
        auto& queue = session_->core_->messages();
        if (queue.size() == 0) {
            (void)queue.pop();  // the last message is done with
            if (session_->stalled()) session_->drive();
        }
        return queue.pop();
    }

    /// Hands every message to `handler`, as it is read, until the connection ends.
    ///
    /// `handler(sansocket::message_view)` is called on the websocket's executor, and not inside of a
    /// function of this object. The view is gone when it returns, or has called `abort` or
    /// `async_close`. What it sends goes out together, once all that one read brought was handed over.
    /// It may destroy the websocket. Where it throws, the connection is closed with 1011, no more is
    /// handed over, and the exception leaves the executor's `run()`, as that of any handler does.
    ///
    /// Completes as `async_close` does, after all messages were handed over, and with the cause after
    /// an exception. Meanwhile `try_receive` gives nothing, and another receive or run completes with
    /// errc::operation_in_progress. Cancellation, total: the run stops, and the messages that were not
    /// handed over are there to be received.
    ///
    /// Give a handler a name in a coroutine: gcc 12 destroys one that is made in a co_await expression
    /// twice.
    template <class Handler, class Token = ::asio::default_completion_token_t<executor_type>>
    requires(std::invocable<std::decay_t<Handler>&, sansocket::message_view>) auto async_run(
        Handler&& handler, const run_options& how, Token&& token = Token{}) {
        static_assert(sansocket::detail::check_poppable_queue<typename Connection::queue_type>());
        return run<void(std::error_code)>(
            detail::run_operation{detail::make_message_handler(std::forward<Handler>(handler)),
                                  how.wait_for_room},
            std::forward<Token>(token));
    }
    template <class Handler, class Token = ::asio::default_completion_token_t<executor_type>>
    requires(std::invocable<std::decay_t<Handler>&, sansocket::message_view> &&
             !std::same_as<std::remove_cvref_t<Token>, run_options>) auto async_run(  //
        Handler&& handler, Token&& token = Token{}) {
        return async_run(std::forward<Handler>(handler), run_options{}, std::forward<Token>(token));
    }

    /// Closes: a Close frame behind all that was sent, and the peer's awaited. RFC 6455 7.1.2.
    ///
    /// Completes with success after a clean close, else with what ended the connection, at the
    /// latest after the close timeout. May be called at any time, several times: the first code
    /// counts, all complete together. errc::invalid_close_code, errc::close_reason_too_long and
    /// errc::text_not_utf8 leave the connection open.
    ///
    /// Cancellation, total: the connection is aborted.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_close(sansocket::close_code code, std::string_view reason, Token&& token = Token{}) {
        return run<void(std::error_code)>(detail::close_operation{code, std::string{reason}},
                                          std::forward<Token>(token));
    }

    /// Gives the connection up at once, without a Close frame.
    void abort() noexcept {
        if (session_) session_->abort(sansocket::errc::aborted);
    }

    /// The connection beneath, for its queries; null before an opening handshake was begun.
    [[nodiscard]] const Connection* connection() const noexcept {
        return session_ && session_->core_ ? &*session_->core_ : nullptr;
    }
    /// Opening, open, closing or closed; opening before it was begun.
    [[nodiscard]] sansocket::connection_state state() const noexcept {
        if (!session_) return sansocket::connection_state::closed;
        return connection() ? connection()->state() : sansocket::connection_state::opening;
    }
    /// How the connection ended, or what is known so far.
    [[nodiscard]] sansocket::close_info close_info() const {
        return connection() ? connection()->close_info() : sansocket::close_info{};
    }
    /// What the transport said that went wrong first, such as "Connection reset by peer", where
    /// `close_info` says that it was lost; of a TLS alert, OpenSSL's words. Empty where nothing went
    /// wrong, the end of the stream included; what keeps a client from being connected says `failure`.
    [[nodiscard]] std::error_code transport_error() const noexcept {
        return session_ ? session_->transport_error() : std::error_code{};
    }
    /// What the connection has done so far; with `dropped_messages`, all that is counted.
    [[nodiscard]] sansocket::connection_counters counters() const noexcept {
        return connection() ? connection()->counters() : sansocket::connection_counters{};
    }
    /// The subprotocol agreed on; empty if none.
    [[nodiscard]] std::string_view subprotocol() const noexcept {
        return connection() ? connection()->subprotocol() : std::string_view{};
    }

    /// Frees what the opening handshake holds, some 900 bytes: its request and response, the
    /// subprotocol. Only once it is over; `connection()->handshake()` is null then.
    void release_handshake() noexcept {
        if (session_ && session_->core_) session_->core_->release_handshake();
    }

private:
    friend class group;
    template <class, class>
    friend class detail::server_state;
    friend sends;

    static sansocket::client_request request_of(const sansocket::url& url,
                                                const client_options& options) {
        return {sansocket::host_field(url), sansocket::target(url), options.subprotocols,
                options.origin, options.headers};
    }
    // To where `to` says, and else to where `url` does.
    template <class Endpoint, class Token>
    auto connect(std::string_view url, const client_options& options,
                 detail::destination<Endpoint> to, Token&& token) {
        const auto [parsed, ec] = sansocket::parse_url(url);
        std::error_code wrong = ec;
        if (!wrong && parsed.secure && !detail::tls_optional<Stream>)
            wrong = sansocket::errc::url_needs_tls;
        if (!session_) wrong = sansocket::errc::closed;
        to.secure = parsed.secure;
        to.host = parsed.host;
        to.port = std::to_string(parsed.port);
        auto start = begin(false, wrong ? sansocket::client_request{} : request_of(parsed, options),
                           options.connection);
        return ::asio::async_compose<Token, void(std::error_code)>(
            detail::connect_op<session, decltype(start), Endpoint>{session_, std::move(start),
                                                                   std::move(to), wrong},
            token, executor_);
    }
    // A connection that is recorded wants the seed itself.
    static auto entropy() {
        if constexpr (requires { typename Connection::seed; }) return system_seed();
        else return system_keys();
    }
    // What begins the connection, when its operation is started: a token may do that later.
    auto begin(bool connected, const sansocket::client_request& request,
               sansocket::options options) const {
        if (!options.diagnostics) options.diagnostics = diagnostics_handler();
        return [connected, request, options, where = source_location(created_)](session& s) {
            return s.begin(connected, request, entropy(), session::now(), options, where);
        };
    }
    auto begin(const sansocket::server_policy& policy, sansocket::options options) const {
        if (!options.diagnostics) options.diagnostics = diagnostics_handler();
        return [policy, options, where = source_location(created_)](session& s) {
            return s.begin(true, policy, session::now(), options, where);
        };
    }
    // At once, where it has not begun: that is the one thing that it would refuse.
    void begin_now(bool connected, const sansocket::server_policy& policy, sansocket::options&& o) {
        if (!o.diagnostics) o.diagnostics = diagnostics_handler();
        (void)session_->begin(connected, policy, session::now(), o, source_location(created_));
    }
    template <class Until, class Begin, class Token>
    auto run_begin(Begin begin, Token&& token) {
        return run<void(std::error_code)>(
            detail::begin_operation<Until, Begin>{std::make_unique<Begin>(std::move(begin))},
            std::forward<Token>(token));
    }
    template <class Change>
    sansocket::errc change(Change change) {
        if (!session_) return sansocket::errc::closed;
        if (!session_->core_) return sansocket::errc::not_open;
        const sansocket::errc ec = change(*session_->core_);
        session_->drive();
        return ec;
    }
    template <class Signature, class Operation, class Token>
    auto run(Operation operation, Token&& token) {
        return detail::async_wait_op<Signature>(session_, std::move(operation), executor_,
                                                std::forward<Token>(token));
    }

    // Where it was created: kept for diagnostics alone.
    struct nowhere {
        explicit nowhere(const source_location&) noexcept {}
        explicit operator source_location() const noexcept { return {}; }
    };
    using place =
        std::conditional_t<Connection::diagnostics_type::enabled, source_location, nowhere>;

    executor_type executor_;
    std::shared_ptr<session> session_;
    SANSOCKET_NO_UNIQUE_ADDRESS place created_;
};

/// A client over TCP.
using client = websocket<sansocket::role::client>;
/// A server's end of one connection over TCP.
using server_connection = websocket<sansocket::role::server>;

/// A connection with diagnostics in every build: in release builds, too, it tells
/// `options::diagnostics` of each change of state, and of being dropped. For `websocket` and
/// `basic_server`.
template <sansocket::role Role>
using watched_connection =
    sansocket::connection<Role, sansocket::message_queue<>, sansocket::chacha_keys,
                          sansocket::with_diagnostics>;
/// A client over TCP with that.
using watched_client = websocket<sansocket::role::client, ::asio::ip::tcp::socket,
                                 watched_connection<sansocket::role::client>>;
/// A server's end of one connection over TCP with that.
using watched_server_connection = websocket<sansocket::role::server, ::asio::ip::tcp::socket,
                                            watched_connection<sansocket::role::server>>;

}  // namespace sansocket_asio
