// connection.hpp
//
// sansocket::connection with permessage-deflate over zlib, under a short name.
#pragma once

#include <sansocket_zlib/codec.hpp>

#include <sansocket/connection.hpp>

namespace sansocket_zlib {

/// A connection that can compress. Switch it on by `options::deflate.enabled`.
template <sansocket::role Role, class Codec = codec>
using connection = sansocket::connection<Role, sansocket::message_queue<>, sansocket::chacha_keys,
                                         sansocket::default_diagnostics, Codec>;

}  // namespace sansocket_zlib
