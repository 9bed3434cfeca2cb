// simulation.cpp
//
// The code of docs/simulation.md, compiled.
#include <sansocket_simulation/sansocket_simulation.hpp>

#include <sansocket/connection.hpp>

#include <chrono>
#include <cstdint>

using namespace std::chrono_literals;

// [run]
namespace sim = sansocket_simulation;
using member = sim::endpoint<sansocket::connection<sansocket::role::client>>;
using seat = sim::endpoint<sansocket::connection<sansocket::role::server>>;

bool says_goodbye(std::uint64_t seed) {
    sim::world world(seed);  // time, links, chance, a story
    sim::link_options slow;
    slow.latency = 10ms;
    slow.segment = 7;  // bytes arrive in pieces of at most 7
    sim::network_link& link = world.connect(slow);

    member::hooks greets;
    greets.on_open = [](member& m) { m.send_text("hello"); };
    seat::hooks echoes;
    echoes.on_message = [](seat& s, const auto& m) { s.send_text(m.text()); };

    sansocket::client_request request;
    request.host = "chat.example";
    seat server(world, link.second(), "server", {}, echoes, sansocket::server_policy{},
                world.now());
    member client(world, link.first(), "client", {}, greets, request, world.keys(), world.now());

    world.run_for(5s);  // of virtual time
    client.close();
    return world.run();  // until nothing is left to happen
}
// [/run]
