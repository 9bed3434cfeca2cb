// sansocket.hpp
//
// The whole protocol core.
#pragma once

#include <sansocket/connection.hpp>
#include <sansocket/machine/direct_queue.hpp>
#include <sansocket/machine/static_message_queue.hpp>
#include <sansocket/version.hpp>
#include <sansocket/wire/forwarded.hpp>
#include <sansocket/wire/ip_address.hpp>
#include <sansocket/wire/proxy_header.hpp>
#include <sansocket/wire/request_fields.hpp>
#include <sansocket/wire/url.hpp>
