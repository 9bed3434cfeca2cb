#pragma once

#include <sansocket/sansocket.hpp>

#ifdef WITH_ASIO
#include <sansocket_asio/sansocket_asio.hpp>
#endif
