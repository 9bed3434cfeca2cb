// http_and_websocket.cpp
//
// A chat, its page, a health check and metrics, all on one port.
//
//   http_and_websocket [PORT [SECONDS]]
//
// SECONDS: after how many of silence a client is sent a Ping; by default 20.
//
//   /          a page that joins the chat
//   /ws        the chat: each text goes to all who are there
//   /healthz   "ok", for who watches over servers
//   /metrics   the server's counters, in the text form of Prometheus
//
// Prints "listening on http://127.0.0.1:PORT/". SIGINT and SIGTERM close every connection with 1001.
#include <sansocket_asio/sansocket_asio.hpp>
#include <sansocket_asio/server.hpp>

#include <asio/awaitable.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

using sansocket_asio::server;
using sansocket_asio::server_counters;
using sansocket_asio::server_decision;
using sansocket_asio::server_request;
using websocket = server::websocket_type;

constexpr std::string_view page = R"html(<!doctype html>
<title>Chat</title>
<form><input autofocus></form>
<pre></pre>
<script>
const ws = new WebSocket(location.href.replace("http", "ws") + "ws");
const [form, input, said] = ["form", "input", "pre"].map(e => document.querySelector(e));
ws.onmessage = m => said.textContent += m.data + "\n";
form.onsubmit = () => { ws.send(input.value); input.value = ""; return false; };
</script>
)html";

double seconds(sansocket::duration time) { return std::chrono::duration<double>(time).count(); }

std::string metrics(const server_counters& n) {
    std::ostringstream out;
    const auto type = [&out](std::string_view what, std::string_view name) {
        out << "# TYPE " << name << ' ' << what << '\n';
    };
    const auto add = [&](std::string_view what, std::string_view name, auto value) {
        type(what, name);
        out << name << ' ' << value << '\n';
    };
    add("gauge", "chat_connections", n.open);
    add("gauge", "chat_connections_opening", n.opening);
    add("counter", "chat_accepted_total", n.accepted);
    add("counter", "chat_accept_errors_total", n.accept_errors);
    add("counter", "chat_refused_total", n.refused_connections + n.refused_connections_per_address);
    add("counter", "chat_opened_total", n.opened);
    add("counter", "chat_handshake_failures_total", n.handshake_failures());
    add("counter", "chat_http_requests_total", n.http_answered);
    add("counter", "chat_closed_clean_total", n.closed_clean);
    add("counter", "chat_closed_unclean_total", n.closed_unclean);
    type("counter", "chat_close_codes_total");
    const auto add_code = [&](const auto& label, std::uint16_t code) {
        out << "chat_close_codes_total{code=\"" << label << "\"} "
            << n.closed_with(sansocket::close_code{code}) << '\n';
    };
    for (std::uint16_t code = 1000; code != 1016; ++code) add_code(code, code);
    add_code("other", 4000);  // all of the others are counted as one
    add("counter", "chat_received_messages_total", n.traffic.messages_received);
    add("counter", "chat_received_bytes_total", n.traffic.bytes_received);
    add("counter", "chat_sent_messages_total", n.traffic.messages_sent);
    add("counter", "chat_sent_bytes_total", n.traffic.bytes_sent);
    add("counter", "chat_pings_sent_total", n.traffic.pings_sent);
    add("counter", "chat_pings_answered_total", n.traffic.pings_answered);
    add("counter", "chat_pongs_received_total", n.traffic.pongs_received);
    type("summary", "chat_round_trip_seconds");
    out << "chat_round_trip_seconds_sum " << seconds(n.traffic.round_trip_sum) << '\n'
        << "chat_round_trip_seconds_count " << n.traffic.round_trips << '\n';
    add("gauge", "chat_round_trip_seconds_max", seconds(n.traffic.longest_round_trip));
    add("gauge", "chat_unread_bytes_max", n.traffic.most_queued_bytes);
    add("gauge", "chat_unsent_bytes_max", n.traffic.most_output_bytes);
    add("counter", "chat_dropped_new_total", n.dropped.dropped_new);
    add("counter", "chat_dropped_old_total", n.dropped.dropped_old);
    add("counter", "chat_closed_slow_total", n.dropped.closed);
    return std::move(out).str();
}

sansocket::http_response answer(const server& chat, const server_request& request) {
    if (request.method() != "GET" && request.method() != "HEAD")
        return {405, {{"Allow", "GET, HEAD"}}, "This is for reading only.\n"};
    if (request.path() == "/") return {200, {{"Content-Type", "text/html"}}, std::string{page}};
    if (request.path() == "/healthz") return {200, {}, "ok\n"};
    if (request.path() == "/metrics")
        return {200, {{"Content-Type", "text/plain; version=0.0.4"}}, metrics(chat.counters())};
    return {404, {}, "There is nothing here.\n"};
}

// Passes on what one of them says. Who is too slow to take it misses it.
asio::awaitable<void> talk(server& chat, websocket& ws) {
    for (;;) {
        const sansocket::message said = co_await ws.async_receive(asio::use_awaitable);
        const sansocket::prepared_message once(said.kind, said.bytes());
        chat.for_each([&once](websocket& other) {
            (void)other.post(once, sansocket_asio::when_full::drop_new);
        });
    }
}

void run(std::uint16_t port, std::chrono::seconds ping_after) {
    asio::io_context io(1);
    sansocket_asio::server_options options;
    options.connection.messages.size = 4096;
    options.connection.keepalive.ping_interval = ping_after;
    options.max_connections = 1000;
    server chat(io.get_executor(), options);
    chat.on_http([&chat](const server_request& request) { return answer(chat, request); });
    chat.on_request([](const server_request& request) {
        if (request.path() == "/ws") return server_decision::accept();
        return server_decision::refuse(404, "The chat is at /ws.\n");
    });
    chat.on_connection([&chat](websocket& ws) { return talk(chat, ws); });
    const auto at = chat.listen(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port));

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&chat](std::error_code, int) {
        chat.async_stop(std::chrono::seconds(5), asio::detached);
    });
    std::cout << "listening on http://" << at << '/' << std::endl;
    io.run();
}

}  // namespace

int main(int argc, char* argv[]) {
    try {
        run(argc > 1 ? static_cast<std::uint16_t>(std::stoi(argv[1])) : 8080,
            std::chrono::seconds(argc > 2 ? std::stoi(argv[2]) : 20));
    } catch (const std::exception& error) {
        std::cerr << "http_and_websocket: " << error.what() << '\n';
        return 1;
    }
}
