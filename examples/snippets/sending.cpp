// sending.cpp
//
// The code of docs/guide/sending.md, compiled.
#include <sansocket_asio/sansocket_asio.hpp>

#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdio>
#include <istream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using asio::awaitable;
using asio::use_awaitable;
using sansocket::message_kind;
using sansocket_asio::server_connection;
using sansocket_asio::when_full;

// [run]
awaitable<void> echo(server_connection& ws) {
    auto answer = [&ws](sansocket::message_view m) { ws.try_send(m.kind, m.bytes); };
    co_await ws.async_run(answer, use_awaitable);  // throws what ended the connection, if not clean
}
// [/run]

// [drain]
awaitable<void> send_all(server_connection& ws, const std::vector<std::string>& lines) {
    for (const auto& line : lines) co_await ws.async_send_text(line, use_awaitable);
    co_await ws.async_drain(use_awaitable);  // at most `low_bytes` still wait
}
// [/drain]

// [post]
void tell_position(server_connection& ws, std::string position) {
    // The peer is slow? Then it gets the newest ones.
    ws.post({message_kind::text, std::move(position)}, when_full::drop_old);
    if (ws.dropped_messages().dropped_old > 1000) std::puts("a slow peer");
}
// [/post]

// [broadcast]
void tell_all(sansocket_asio::group& everybody, const std::string& news) {
    const sansocket::prepared_message once(news);  // framed, and compressed, once
    everybody.broadcast(once, when_full::close);   // who cannot keep up is closed with 1008
}
// [/broadcast]

// [send_parts]
awaitable<void> send_stream(server_connection& ws, std::istream& from) {
    std::string part(16 * 1024, '\0');
    co_await ws.async_start(message_kind::binary, use_awaitable);
    while (from.read(part.data(), static_cast<std::streamsize>(part.size()))) {
        co_await ws.async_append(part, use_awaitable);
    }
    part.resize(static_cast<std::size_t>(from.gcount()));
    co_await ws.async_finish(part, use_awaitable);
}
// [/send_parts]

// [receive_parts]
awaitable<std::size_t> receive_stream(server_connection& ws) {
    std::size_t size = 0;
    for (;;) {
        const auto piece = co_await ws.async_receive_some(use_awaitable);
        size += piece.data.size();
        if (piece.last) co_return size;
    }
}
// [/receive_parts]

// [counters]
void report(const server_connection& ws) {
    const auto n = ws.counters();
    std::printf("%llu messages received, %llu sent, at most %zu bytes waited\n",
                static_cast<unsigned long long>(n.messages_received),
                static_cast<unsigned long long>(n.messages_sent), n.most_output_bytes);
}
// [/counters]
