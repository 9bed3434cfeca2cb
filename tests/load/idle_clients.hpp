// The clients of the load tests that hold very many connections, in a process of their own: what they send,
// what they expect, and that they close.
#pragma once

#include "load/server.hpp"
#include "support/blocking_peer.hpp"
#include "support/client_process.hpp"
#include "support/hex.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace load {

using sansocket::opcode;

inline const byte_vector payload(64 * 1024, std::byte{0x5a});
inline const byte_vector question = to_server(opcode::binary, payload);
inline const byte_vector answer = own_frame<role::server>(opcode::binary, payload);
inline const byte_vector short_question = to_server(opcode::text, bytes("are you there?"));
inline const byte_vector short_answer =
    own_frame<role::server>(opcode::text, bytes("are you there?"));
inline const byte_vector goodbye = to_server(opcode::close, close_bytes(1000));
inline const byte_vector goodbye_too = own_frame<role::server>(opcode::close, close_bytes(1000));

inline const byte_vector number = hex("0000000000000001");
inline const byte_vector ping = own_frame<role::server>(opcode::ping, number);
inline const byte_vector pong = to_server(opcode::pong, number);

// An order is the port to connect to; then any other, to close. With `idle`, they send a large message,
// and answer a Ping.
inline void clients(asio::io_context& io, order_channel& orders, std::size_t count,
                    bool idle = false) {
    for (std::uint32_t port = 0; (port = orders.order()) != 0;) {
        const tcp::endpoint server(asio::ip::address_v4::loopback(),
                                   static_cast<std::uint16_t>(port));
        std::vector<blocking_peer<>> all;
        for (std::size_t i = 0; i != count; ++i) {
            tcp::socket socket(io);
            socket.connect(server);
            all.emplace_back(std::move(socket)).open();
        }
        for (auto& one : all) one.send(idle ? question : short_question);
        for (auto& one : all) one.expect(idle ? answer : short_answer);
        if (idle)
            for (auto& one : all) {
                one.expect(ping);
                one.send(pong);
            }
        orders.answer(1);
        (void)orders.order();
        for (auto& one : all) one.send(goodbye);
        std::uint32_t clean = 0;
        for (auto& one : all) {
            one.expect(goodbye_too);
            if (one.at_end()) ++clean;
        }
        orders.answer(clean);
    }
}

}  // namespace load
