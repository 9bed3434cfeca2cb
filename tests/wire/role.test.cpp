#include <sansocket/wire/role.hpp>

#include "support/catch.hpp"

using namespace sansocket;

static_assert(peer_of(role::client) == role::server);
static_assert(peer_of(role::server) == role::client);

TEST_CASE("role: the peer of the peer is oneself (1.2)") {
    for (const role r : {role::client, role::server}) {
        CHECK(peer_of(r) != r);
        CHECK(peer_of(peer_of(r)) == r);
    }
}
