// sansocket_asio.hpp
//
// The adapter for standalone Asio.
#pragma once

#include <sansocket_asio/group.hpp>
#include <sansocket_asio/server.hpp>
#include <sansocket_asio/websocket.hpp>
