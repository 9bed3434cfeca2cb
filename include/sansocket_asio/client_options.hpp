// client_options.hpp
//
// What can be chosen for a client's connection, besides its URL.
#pragma once

#include <sansocket/options.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/request_fields.hpp>

#include <string>
#include <vector>

namespace sansocket_asio {

/// What a client asks for, besides the URL.
///
/// Give it a name in a coroutine: gcc 12 destroys a braced temporary in a co_await expression twice.
struct client_options {
    std::vector<std::string> subprotocols;  ///< In order of preference.
    std::string origin;                     ///< The Origin field; empty: none.
    /// Further fields of the request: see `sansocket::basic_auth`, `bearer` and `cookies`.
    std::vector<sansocket::http_field_value> headers;
    sansocket::options connection;  ///< Limits and times.
};

}  // namespace sansocket_asio
