// sansocket_simulation.hpp
//
// All of the simulation: a program that uses the library, tested with a link, a
// clock and a seed instead of sockets.                    docs/simulation.md
#pragma once

#include <sansocket_simulation/endpoint.hpp>
#include <sansocket_simulation/link_options.hpp>
#include <sansocket_simulation/network.hpp>
#include <sansocket_simulation/random.hpp>
#include <sansocket_simulation/scheduler.hpp>
#include <sansocket_simulation/story.hpp>
#include <sansocket_simulation/world.hpp>
