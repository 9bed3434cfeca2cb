// server.hpp
//
// A server: listens, accepts, answers requests, hands each WebSocket that opens
// to a handler, and ends them all together. Limits and counters are its own.
//
//   sansocket_asio::server server(io.get_executor());
//   server.on_connection([](auto& ws) -> asio::awaitable<void> { ... });
//   server.listen(asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 8080));
//   ... server.async_stop(std::chrono::seconds(10), asio::detached);
//
// It starts no thread, and prints nothing but what diagnostics.hpp says of debug
// builds. One object, one executor: its functions are called, its handlers run, and
// it is destroyed, on the executor that it was given, a strand where several threads
// run it. More threads: an io_context and a server each, listening with
// `listen_options::reuse_port`.
#pragma once

#include <sansocket_asio/server/counters.hpp>
#include <sansocket_asio/server/detail/server_state.hpp>
#include <sansocket_asio/server/detail/stop_op.hpp>
#include <sansocket_asio/server/observer.hpp>
#include <sansocket_asio/server/peer_address.hpp>
#include <sansocket_asio/server/request.hpp>
#include <sansocket_asio/server_options.hpp>
#include <sansocket_asio/websocket.hpp>

#include <sansocket/wire/error.hpp>
#include <sansocket/wire/time.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/compose.hpp>
#include <asio/generic/stream_protocol.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sansocket_asio {

/// A server of WebSockets, and of plain HTTP beside them.
///
/// @tparam Stream  over which its connections run: the socket, which may be of TCP or Unix, or what
///                 is made of it, such as a TLS stream.
/// @tparam Connection  the protocol; see `websocket`.
///
/// Where the execution context is destroyed first, the server ends with it; it may be destroyed then,
/// and answers its queries.
template <class Stream = ::asio::generic::stream_protocol::socket,
          class Connection = sansocket::connection<sansocket::role::server>>
class basic_server {
    using state = detail::server_state<Stream, Connection>;
    struct plain {
        template <class Socket>
        requires(std::constructible_from<Stream, Socket>) Stream operator()(Socket socket) const {
            return Stream(std::move(socket));
        }
    };
    template <class MakeStream, class Endpoint>
    static constexpr bool makes_stream =
        std::is_invocable_r_v<Stream, MakeStream&, typename Endpoint::protocol_type::socket>;
    // Accepts for an endpoint: one for TCP and Unix sockets where the stream is one for both.
    using any_protocol = ::asio::generic::stream_protocol;
    using socket = std::remove_cvref_t<decltype(detail::lowest(std::declval<Stream&>()))>;
    static constexpr bool takes_any = requires {
        requires std::is_same_v<typename socket::protocol_type, any_protocol>;
    };
    template <class MakeStream, class Endpoint>
    using accepts = std::conditional_t<std::is_same_v<MakeStream, plain> && takes_any, any_protocol,
                                       typename Endpoint::protocol_type>;

public:
    using executor_type = ::asio::any_io_executor;  ///< What it runs on.
    /// What its handlers are given.
    using websocket_type = websocket<sansocket::role::server, Stream, Connection>;
    /// Keeps a connection in its handler's hands. To be let go of on the server's executor.
    using handle = std::shared_ptr<websocket_type>;

    /// A server that does nothing before `listen`.
    ///
    /// @throws std::system_error  errc::network_invalid of `server_options::trusted_proxies`, or
    ///         std::errc::operation_not_supported where a PROXY header is required and Stream does not
    ///         show the socket beneath it, as `next_layer` or `lowest_layer`.
    explicit basic_server(const executor_type& executor, server_options options = {})
        : state_(std::make_shared<state>(executor, std::move(options))) {}
    basic_server(const basic_server&) = delete;
    basic_server& operator=(const basic_server&) = delete;
    /// Closes the listeners, and aborts all connections, where the server was not stopped. Blocks
    /// never: handlers learn it from their operations and return while the executor runs.
    ~basic_server() { state_->abandon(); }

    /// What it was given.
    [[nodiscard]] executor_type get_executor() const noexcept { return state_->executor(); }

    // What the application does, to be said before `listen`. Handlers are kept until those that run
    // have returned, also after the server is destroyed.

    /// What is done with each WebSocket once it is open: a coroutine
    /// `asio::awaitable<void>(websocket_type&)`, or a function `void(handle)`.
    ///
    /// The coroutine's return, or the last handle's end, closes a connection that is open, with 1000.
    /// An exception closes it with 1011 and is told to `server_observer::handler_failed`; but the
    /// std::system_error with which the operations of a connection that is over end a coroutine is a
    /// return like any other. Either may have a second parameter, `const peer_address&`: the client's,
    /// as in `server_request::client`, which lives as long as the websocket. A
    /// coroutine is cancelled (terminal) where it outlasts the deadline of `async_stop`.
    template <class Handler>
    void on_connection(Handler handler) {
        state_->on_connection = std::move(handler);
    }
    /// Who decides on upgrades that the policy has no fault to find with: `server_decision`, or
    /// `asio::awaitable<server_decision>`, of `const server_request&`. By default all are accepted.
    ///
    /// What cannot be sent, such as a subprotocol that was not offered, and an exception are answered
    /// with 500. A coroutine is cancelled (terminal) once its client is gone or out of time
    /// (`options::opening_timeout`), and that of `on_http` likewise.
    template <class Handler>
    void on_request(Handler handler) {
        state_->on_request(std::move(handler));
    }
    /// Who answers requests that are no upgrade: `sansocket::http_response`, or
    /// `asio::awaitable<sansocket::http_response>`, of `const server_request&`. Of any method; a body
    /// is not read; HEAD is answered like GET, and the body left out. The connection then ends, within
    /// `options::close_timeout`: a client that takes longer over the answer is cut off.
    /// Without it such requests are errors of the peer, answered with their status.
    template <class Handler>
    void on_http(Handler handler) {
        state_->on_http(std::move(handler));
    }

    /// Listens at an endpoint of TCP or of a Unix socket, and accepts there from now on. May be called
    /// several times. The file that a Unix socket makes is removed when the server stops.
    ///
    /// @param make_stream  makes a Stream of each accepted socket, `Endpoint::protocol_type::socket`.
    ///                     Where it throws, that connection ends, and
    ///                     `server_observer::handler_failed` is told. Copied.
    /// @param ec   errc::closed for a server that was stopped, or what the system says.
    /// @return where: with the port that was chosen for 0.
    template <class Endpoint, class MakeStream>
    requires(makes_stream<MakeStream, Endpoint>) Endpoint
        listen(const Endpoint& at, MakeStream make_stream, const listen_options& options,
               std::error_code& ec) {
        return state_->template listen<accepts<MakeStream, Endpoint>>(at, options,
                                                                      std::move(make_stream), ec);
    }
    /// The same; throws std::system_error.
    template <class Endpoint, class MakeStream>
    requires(makes_stream<MakeStream, Endpoint>) Endpoint
        listen(const Endpoint& at, MakeStream make_stream, const listen_options& options = {}) {
        std::error_code ec;
        const Endpoint bound = listen(at, std::move(make_stream), options, ec);
        if (ec) throw std::system_error(ec, "listen");
        return bound;
    }
    /// The same, for a Stream that is made of the socket alone.
    template <class Endpoint>
    requires(makes_stream<plain, Endpoint>) Endpoint
        listen(const Endpoint& at, const listen_options& options, std::error_code& ec) {
        return listen(at, plain{}, options, ec);
    }
    /// The same; throws std::system_error.
    template <class Endpoint>
    requires(makes_stream<plain, Endpoint>) Endpoint
        listen(const Endpoint& at, const listen_options& options = {}) {
        return listen(at, plain{}, options);
    }

    /// Ends everything. The listeners are closed at once; then 1001 goes to all that are open, and 503
    /// to all that are opening; what has not ended by the deadline is aborted, and coroutines that
    /// have not returned are cancelled. Completes when all transports have ended and all handlers have
    /// returned; from then on the ports are free.
    ///
    /// Signature void(std::error_code): success; errc::close_timeout if anything had to be aborted or
    /// cancelled; errc::operation_in_progress, at once, for a server that was stopped before.
    /// A handler that keeps its handle is waited for.
    /// Where it throws for want of memory, nothing is waited for: destroy the server.
    ///
    /// Cancellation, total: everything is aborted and cancelled at once, and handlers are not waited
    /// for.
    template <class Token = ::asio::default_completion_token_t<executor_type>>
    auto async_stop(sansocket::duration deadline, Token&& token = Token{}) {
        return ::asio::async_compose<Token, void(std::error_code)>(
            detail::stop_op<state>{state_, deadline}, token, state_->executor());
    }

    /// How many WebSockets are open, or over and in the hands of their handler.
    [[nodiscard]] std::size_t connections() const noexcept { return state_->counters().open; }
    /// Calls `function(websocket_type&)` for each that is open, or `function(websocket_type&, const
    /// peer_address&)`, with the client's address.
    template <class Function>
    void for_each(Function function) {
        state_->for_each(function);
    }
    /// What it has done so far. Looks at each connection, for the traffic.
    [[nodiscard]] server_counters counters() const { return state_->counters(); }

private:
    std::shared_ptr<state> state_;
};

/// A server over TCP and Unix sockets.
using server = basic_server<>;

}  // namespace sansocket_asio
