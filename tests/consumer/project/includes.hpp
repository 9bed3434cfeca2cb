#pragma once

#include <sansocket/sansocket.hpp>

#ifdef WITH_ASIO
#include <sansocket_asio/sansocket_asio.hpp>
#endif

#ifdef WITH_ZLIB
#include <sansocket_zlib/sansocket_zlib.hpp>
#endif

#ifdef WITH_OPENSSL
#include <sansocket_openssl/sansocket_openssl.hpp>
#endif
