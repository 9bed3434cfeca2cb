// stream.hpp
//
// An Asio stream that is plain or TLS, which is decided at run time: by a
// client's URL, by what a server was given. Plain, it is its socket.
//
// A client checks who the server is, always: its certificate's chain, and that
// the certificate is for the host of the URL. RFC 6455 4.1, RFC 9110 4.3.4,
// RFC 9525. `insecure_no_verification()` is the one way round that.
//
// Moves bytes, and knows nothing of WebSocket.
#pragma once

#include <sansocket_openssl/tls_context.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/basic_stream_socket.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/address.hpp>
#include <asio/post.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/error.hpp>
#include <asio/ssl/stream.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

namespace sansocket_openssl {

namespace detail {

struct freed {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};

inline std::unique_ptr<SSL_CTX, freed> share(::asio::ssl::context& context) noexcept {
    SSL_CTX_up_ref(context.native_handle());
    return std::unique_ptr<SSL_CTX, freed>(context.native_handle());
}

// RFC 6066 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"", and the name stands
// "without a trailing dot".
inline bool name_server(SSL* ssl, std::string host) {
    std::error_code no_address;
    ::asio::ip::make_address(host, no_address);
    auto* const param = SSL_get0_param(ssl);
    if (!no_address) return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
    if (host.ends_with('.')) host.pop_back();
    // RFC 9525 6.3: no look at the common name, no wildcard for a part of a label.
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1 &&
           // As the macro SSL_set_tlsext_host_name does, without its cast.
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) == 1;
}

}  // namespace detail

/// A stream over a socket of any protocol: TCP, or a Unix domain socket.
///
/// It shares the context that it is given, which may be destroyed before it, unless that has callbacks
/// of Asio's: without them, nobody is believed.
/// One operation of reading and one of writing may run at a time. Not to be moved while any does.
template <class Executor = ::asio::any_io_executor>
class basic_stream {
public:
    using executor_type = Executor;  ///< What it runs on.
    /// The socket beneath.
    using lowest_layer_type =
        ::asio::basic_stream_socket<::asio::generic::stream_protocol, Executor>;
    /// The same on another kind of executor.
    template <class Other>
    struct rebind_executor {
        using other = basic_stream<Other>;  ///< The stream type.
    };

    /// Plain: from a socket, or not connected yet, from an executor or an execution context. A
    /// client's becomes TLS with a wss:// URL, and trusts whom the system trusts.
    template <class Argument>
    requires(std::constructible_from<lowest_layer_type, Argument>) explicit basic_stream(
        Argument&& argument)
        : layer_(std::in_place_type<lowest_layer_type>, std::forward<Argument>(argument)) {}
    /// A server's end, of TLS, over a socket that is connected.
    basic_stream(lowest_layer_type socket, ::asio::ssl::context& context)
        : layer_(std::in_place_type<tls_layer>, std::move(socket), context),
          type_(::asio::ssl::stream_base::server) {}
    /// A client's, not connected yet. Plain, or with a wss:// URL TLS that trusts whom `context` does.
    basic_stream(const executor_type& executor, ::asio::ssl::context& context)
        : layer_(std::in_place_type<lowest_layer_type>, executor),
          context_(detail::share(context)) {}
    template <class Context>
    requires(std::convertible_to<Context&, ::asio::execution_context&>)
        basic_stream(Context& execution, ::asio::ssl::context& context)
        : layer_(std::in_place_type<lowest_layer_type>, execution),
          context_(detail::share(context)) {}

    /// What is moved from may be destroyed.
    basic_stream(basic_stream&&) noexcept = default;
    basic_stream& operator=(basic_stream&&) = delete;
    ~basic_stream() = default;

    /// Skips all checks of who the server is: anybody in between can read and change everything. For
    /// tests. Before `use_tls`; a websocket's, before `async_connect`.
    void insecure_no_verification() noexcept { verifies_ = false; }

    /// From here on a TLS client, of the server `host`. RFC 8446, RFC 6066 3, RFC 7301.
    ///
    /// For whoever opens over a socket that is connected; `async_connect` does it by its URL.
    ///
    /// @param host  a name, which the server is told (SNI), or an IP address without brackets.
    /// @return OpenSSL's errors; asio::error::already_started if it is TLS.
    std::error_code use_tls(std::string_view host);
    /// Whether it is TLS, with the handshake done or not.
    [[nodiscard]] bool uses_tls() const noexcept { return tls() != nullptr; }
    /// Whether it is TLS whose handshake is to be done.
    [[nodiscard]] bool needs_handshake() const noexcept { return uses_tls() && !secured_; }

    /// The TLS handshake. Signature void(std::error_code). Only where `needs_handshake()`.
    template <class Token>
    auto async_handshake(Token&& token) {
        return ::asio::async_initiate<Token, void(std::error_code)>(
            [](auto handler, basic_stream* self) {
                self->secured_ = true;
                self->tls()->async_handshake(self->type_, std::move(handler));
            },
            token, this);
    }
    /// The end of TLS: close_notify, and the peer's awaited. RFC 8446 6.1. Signature
    /// void(std::error_code). Only where `uses_tls()`.
    template <class Token>
    auto async_shutdown(Token&& token) {
        return ::asio::async_initiate<Token, void(std::error_code)>(
            [](auto handler, basic_stream* self) {
                self->tls()->async_shutdown(std::move(handler));
            },
            token, this);
    }
    /// How long a websocket waits for the peer's close_notify at the end. By default a second, at most
    /// a day.
    void shutdown_timeout(std::chrono::milliseconds timeout) noexcept {
        constexpr std::chrono::milliseconds longest = std::chrono::hours{24};
        timeout_ = timeout < longest ? timeout : longest;
    }
    [[nodiscard]] std::chrono::milliseconds shutdown_timeout() const noexcept { return timeout_; }

    /// Reads some bytes. Signature void(std::error_code, std::size_t).
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return ::asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [](auto handler, basic_stream* self, const Buffers& to) {
                if (auto* const tls = self->tls()) tls->async_read_some(to, std::move(handler));
                else self->lowest_layer().async_read_some(to, std::move(handler));
            },
            token, this, buffers);
    }
    /// Writes some bytes. Signature void(std::error_code, std::size_t).
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return ::asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [](auto handler, basic_stream* self, const Buffers& from) {
                if (auto* const tls = self->tls()) tls->async_write_some(from, std::move(handler));
                else self->lowest_layer().async_write_some(from, std::move(handler));
            },
            token, this, buffers);
    }

    /// What it runs on.
    [[nodiscard]] executor_type get_executor() noexcept { return lowest_layer().get_executor(); }
    /// The socket.
    [[nodiscard]] lowest_layer_type& lowest_layer() noexcept {
        if (auto* const secure = tls()) return secure->next_layer();
        return *std::get_if<lowest_layer_type>(&layer_);
    }
    /// OpenSSL's connection, for its queries; null where it is plain.
    [[nodiscard]] SSL* native_handle() noexcept {
        return uses_tls() ? tls()->native_handle() : nullptr;
    }
    /// What was wrong with the peer's certificate, in OpenSSL's words: "hostname mismatch",
    /// "certificate has expired". Empty if nothing was. In static storage.
    [[nodiscard]] std::string_view verify_error() noexcept {
        const long result = uses_tls() ? ::SSL_get_verify_result(native_handle()) : X509_V_OK;
        return result == X509_V_OK ? std::string_view{} : ::X509_verify_cert_error_string(result);
    }

    /// What more is known of an error of its handshake: `verify_error()` where that was the reason,
    /// and nothing of others. In static storage.
    [[nodiscard]] std::string_view reason_of(const std::error_code& ec) noexcept {
        const bool of_certificate = ec.category() == ::asio::error::get_ssl_category() &&
                                    ERR_GET_REASON(static_cast<unsigned long>(ec.value())) ==
                                        SSL_R_CERTIFICATE_VERIFY_FAILED;
        return of_certificate ? verify_error() : std::string_view{};
    }

private:
    using tls_layer = ::asio::ssl::stream<lowest_layer_type>;

    tls_layer* tls() noexcept { return std::get_if<tls_layer>(&layer_); }
    const tls_layer* tls() const noexcept { return std::get_if<tls_layer>(&layer_); }

    std::variant<lowest_layer_type, tls_layer> layer_;
    std::unique_ptr<SSL_CTX, detail::freed> context_;  // a client's; null: the default
    ::asio::ssl::stream_base::handshake_type type_ = ::asio::ssl::stream_base::client;
    bool verifies_ = true;
    bool secured_ = false;
    std::chrono::milliseconds timeout_ = std::chrono::seconds(1);
};

/// A stream on any executor: that of `client` and `server_connection`.
using stream = basic_stream<>;

template <class Executor>
std::error_code basic_stream<Executor>::use_tls(std::string_view host) {
    if (uses_tls()) return ::asio::error::already_started;
    if (host.empty()) return ::asio::error::invalid_argument;
    ::ERR_clear_error();
    if (!context_) {
        try {
            context_ = detail::share(default_client_context());
        } catch (const std::system_error& error) {
            return error.code();
        }
    }
    std::unique_ptr<SSL, detail::freed> ssl(SSL_new(context_.get()));
    if (!ssl) return detail::last_error();
    // Whatever the context says: it may be one that nobody told to verify.
    SSL_set_verify(ssl.get(), verifies_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   SSL_get_verify_callback(ssl.get()));
    constexpr auto alpn = detail::alpn_http_1_1;
    const bool done = SSL_set_alpn_protos(ssl.get(), detail::octets(alpn),
                                          static_cast<unsigned int>(alpn.size())) == 0 &&
                      detail::name_server(ssl.get(), std::string{host});
    if (!done) return detail::last_error();
    tls_layer secure(std::move(lowest_layer()), ssl.release());
    layer_.template emplace<tls_layer>(std::move(secure));
    return {};
}

}  // namespace sansocket_openssl
