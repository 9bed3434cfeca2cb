// server_entry.hpp
//
// A server's connection: the websocket, and what the server knows of it.
#pragma once

#include <sansocket_asio/detail/operations.hpp>
#include <sansocket_asio/server/observer.hpp>
#include <sansocket_asio/server/peer_address.hpp>
#include <sansocket_asio/server/request.hpp>

#include <sansocket/wire/close_code.hpp>

#include <asio/cancellation_signal.hpp>

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace sansocket_asio::detail {

template <class Websocket>
struct server_entry {
    enum class state : std::uint8_t {
        opening,   // to be asked about, and counted
        refusing,  // to be told that it is one too many
        open,      // its handler has it
        ending,    // only the end of its transport is awaited
    };

    server_entry(Websocket socket, const peer_address& from, std::optional<server_refusal> over)
        : websocket(std::move(socket)),
          peer(from),
          client(from),
          refused_for(over),
          state_(over ? state::refusing : state::opening) {}

    Websocket websocket;
    peer_address peer;        // of the transport
    peer_address client;      // the same, or whom that one speaks for, as far as is known
    bool identified = false;  // whether it is known
    bool counted = false;     // among those of its address
    std::optional<server_refusal> refused_for;
    state state_;
    bool was_open = false;
    bool gone = false;                                           // from the list
    bool asking = false;                                         // the application, what to answer
    sansocket::close_code code = sansocket::close_code::normal;  // when its handler is done
    ::asio::cancellation_signal stop;                            // ends a handler's coroutine
    typename std::list<std::shared_ptr<server_entry>>::iterator place{};
};

// Its request is decided on and it is open, or its client is gone.
struct decided_or_gone {
    template <class Session>
    static std::optional<std::error_code> look(const Session& s) noexcept {
        const bool done = s.ended() || s.core_->was_opened();
        return done ? std::optional{std::error_code{}} : std::nullopt;
    }
};

// A server's wait for the step `Until` of a connection that has begun.
template <class Until>
struct step_operation {
    using result = void;

    template <class Session>
    auto& timer(Session& s) const noexcept {
        return s.changed();
    }
    template <class Session>
    std::optional<std::error_code> look(const Session& s) const noexcept {
        return Until::look(s);
    }
};

}  // namespace sansocket_asio::detail
