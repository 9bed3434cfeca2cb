// tls_context.hpp
//
// What TLS connections share: whom to trust, and who one is. RFC 8446, RFC 5246.
//
// Both contexts speak TLS 1.2 and 1.3, without renegotiation. They are Asio's
// own: set what else you like on them, before the first connection.
#pragma once

#include <asio/ssl/context.hpp>
#include <asio/ssl/error.hpp>
#include <asio/ssl/verify_mode.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>
#include <string_view>
#include <system_error>

namespace sansocket_openssl {

namespace detail {

// The length stands before each name. RFC 7301 3.1.
inline constexpr std::string_view alpn_http_1_1 = "\x08http/1.1";

inline const unsigned char* octets(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// What OpenSSL says that went wrong last.
inline std::error_code last_error() noexcept {
    const auto code = ::ERR_get_error();
    if (code == 0) return ::asio::ssl::error::unspecified_system_error;
    return {static_cast<int>(code), ::asio::error::get_ssl_category()};
}

inline void check(bool done, const char* what) {
    if (!done) throw std::system_error(last_error(), what);
}

inline void restrict_versions(::asio::ssl::context& context) {
    auto* const handle = context.native_handle();
    check(SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION) == 1, "TLS version");
    SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

inline void use_certificate(::asio::ssl::context& context, const std::string& chain_file,
                            const std::string& key_file) {
    context.use_certificate_chain_file(chain_file);
    context.use_private_key_file(key_file, ::asio::ssl::context::pem);
    check(SSL_CTX_check_private_key(context.native_handle()) == 1, "private key");
}

// RFC 7301 3.2: "In the event that the server supports no protocols that the client advertises, then
// the server SHALL respond with a fatal "no_application_protocol" alert."
inline int select_alpn(SSL*, const unsigned char** chosen, unsigned char* length,
                       const unsigned char* offered, unsigned int offered_length, void*) noexcept {
    unsigned char* found = nullptr;
    const int how = SSL_select_next_proto(&found, length, octets(alpn_http_1_1),
                                          static_cast<unsigned int>(alpn_http_1_1.size()), offered,
                                          offered_length);
    *chosen = found;
    return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace detail

/// What a client of its own kind asks for. All files are PEM.
struct client_tls_options {
    std::string ca_file;                 ///< Authorities to trust besides the system's.
    std::string certificate_chain_file;  ///< Who it is, for servers that ask; its own first.
    std::string private_key_file;        ///< The key of that; both or neither.
};

/// A client's context, which trusts the authorities that the system trusts: OpenSSL's default store,
/// which the environment variables SSL_CERT_FILE and SSL_CERT_DIR replace.
///
/// @throws std::system_error where a file cannot be used.
[[nodiscard]] inline ::asio::ssl::context make_client_context(
    const client_tls_options& options = {}) {
    ::asio::ssl::context context(::asio::ssl::context::tls_client);
    detail::restrict_versions(context);
    context.set_default_verify_paths();
    context.set_verify_mode(::asio::ssl::verify_peer);
    if (!options.ca_file.empty()) context.load_verify_file(options.ca_file);
    if (!options.certificate_chain_file.empty())
        detail::use_certificate(context, options.certificate_chain_file, options.private_key_file);
    return context;
}

/// Who a server is. All files are PEM.
struct server_tls_options {
    std::string certificate_chain_file;  ///< The server's certificate, then those above it.
    std::string private_key_file;        ///< The key of the first.
    std::string client_ca_file;  ///< If any: clients need a certificate of these authorities.
};

/// A server's context. Selects "http/1.1" of the protocols that a client offers, and refuses one that
/// offers others alone. RFC 7301.
///
/// @throws std::system_error where a file cannot be used.
[[nodiscard]] inline ::asio::ssl::context make_server_context(const server_tls_options& options) {
    ::asio::ssl::context context(::asio::ssl::context::tls_server);
    detail::restrict_versions(context);
    detail::use_certificate(context, options.certificate_chain_file, options.private_key_file);
    auto* const handle = context.native_handle();
    SSL_CTX_set_alpn_select_cb(handle, detail::select_alpn, nullptr);
    // Sessions that are resumed were begun by a server of this kind.
    constexpr std::string_view name = "sansocket";
    detail::check(SSL_CTX_set_session_id_context(handle, detail::octets(name),
                                                 static_cast<unsigned int>(name.size())) == 1,
                  "session id context");
    if (!options.client_ca_file.empty()) {
        context.load_verify_file(options.client_ca_file);
        SSL_CTX_set_client_CA_list(handle, SSL_load_client_CA_file(options.client_ca_file.c_str()));
        context.set_verify_mode(::asio::ssl::verify_peer |
                                ::asio::ssl::verify_fail_if_no_peer_cert);
    }
    return context;
}

/// The context of clients that were given none: that of `make_client_context()`, made when the first
/// of them needs it, and shared.
///
/// @throws std::system_error where it cannot be made; the next call tries again.
[[nodiscard]] inline ::asio::ssl::context& default_client_context() {
    static ::asio::ssl::context context = make_client_context();
    return context;
}

}  // namespace sansocket_openssl
