// sansocket.hpp
//
// The whole protocol core.
#pragma once

#include <sansocket/connection.hpp>
#include <sansocket/version.hpp>
#include <sansocket/wire/url.hpp>
