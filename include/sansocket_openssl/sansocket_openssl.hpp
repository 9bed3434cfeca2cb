// sansocket_openssl.hpp
//
// All of sansocket_openssl: TLS over OpenSSL, and websockets with it.
#pragma once

#include <sansocket_openssl/client.hpp>
#include <sansocket_openssl/server.hpp>
#include <sansocket_openssl/stream.hpp>
#include <sansocket_openssl/tls_context.hpp>
