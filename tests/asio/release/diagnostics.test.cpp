// What release builds have of the diagnostics: nothing. Compiled with NDEBUG, whatever the rest is.
#include <sansocket_asio/diagnostics.hpp>

#include "support/asio_lifecycle.hpp"
#include "support/asio_loop.hpp"

#include <sansocket_asio/websocket.hpp>

#include <memory>
#include <type_traits>

#if !defined(NDEBUG)
#error "this is a test of release builds"
#endif

using namespace support;

namespace {

template <role Role, class Diagnostics>
using connection_with =
    sansocket::connection<Role, sansocket::message_queue<>, sansocket::chacha_keys, Diagnostics>;
template <role Role>
using plain = connection_with<Role, sansocket::no_diagnostics>;
template <role Role>
using watched = sansocket_asio::watched_connection<Role>;
static_assert(std::is_same_v<watched<role::client>,
                             connection_with<role::client, sansocket::with_diagnostics>>);
static_assert(
    std::is_same_v<sansocket_asio::watched_client,
                   sansocket_asio::websocket<role::client, tcp::socket, watched<role::client>>>);

template <class Connection, role Role>
using websocket = sansocket_asio::websocket<Role, tcp::socket, Connection>;

// What a websocket is made of.
struct bare_websocket {
    tcp::socket::executor_type executor;
    std::shared_ptr<int> session;
};

template <role Role>
constexpr bool holds_nothing() {
    using connection = sansocket::connection<Role>;
    static_assert(std::is_same_v<connection, plain<Role>>);
    static_assert(!connection::diagnostics_type::enabled);
    static_assert(std::is_empty_v<typename connection::diagnostics_type>);
    // The place of creation and all that is reported are members of the others alone.
    static_assert(sizeof(connection) + sizeof(sansocket::source_location) <= sizeof(watched<Role>));
    static_assert(sizeof(sansocket_asio::websocket<Role>) == sizeof(bare_websocket));
    static_assert(sizeof(websocket<watched<Role>, Role>) > sizeof(bare_websocket));
    return true;
}
static_assert(holds_nothing<role::client>() && holds_nothing<role::server>());

struct listener final : sansocket::diagnostics_handler {
    void leaked(const sansocket::leak_report&) noexcept override { ++calls; }
    void changed(const sansocket::state_change&) noexcept override { ++calls; }
    int calls = 0;
};

}  // namespace

TEST_CASE("release: a websocket dropped while open is not reported, and no change of state is") {
    over_each_stream_in_both_roles([]<role Role, class Stream>() {
        loop l;
        listener told;
        sansocket::options options = narrow_sending();
        options.diagnostics = &told;
        for (const at state : every_state) {
            if (state == at::CRE || state == at::CD) options.close_timeout = 20ms;
            in_state<Role, Stream> p(l, state, options);
            CHECK(p.ws.connection()->explain().id == 0);
        }
        l.finish();
        CHECK(told.calls == 0);
        CHECK(l.leaks() == 0);
    });
}

TEST_CASE("release: whoever asks for diagnostics has them all the same") {
    loop l;
    listener told;
    sansocket::options options;
    options.diagnostics = &told;
    tcp_pair sockets(l.io);
    {
        sansocket_asio::watched_server_connection ws(std::move(sockets.b));
        raw_peer peer(l, std::move(sockets.a));
        const result accepted;
        ws.async_accept({}, options, accepted);
        peer.send(bytes(upgrade_request));
        l.until(accepted);
        CHECK(told.calls == 1);  // open
    }
    l.finish();
    CHECK(told.calls == 3);  // closed, and the leak
}
