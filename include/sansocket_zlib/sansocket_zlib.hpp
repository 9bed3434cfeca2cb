// sansocket_zlib.hpp
//
// All of sansocket_zlib: permessage-deflate over zlib, and connections with it.
#pragma once

#include <sansocket_zlib/codec.hpp>
#include <sansocket_zlib/connection.hpp>
