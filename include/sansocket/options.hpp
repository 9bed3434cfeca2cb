// options.hpp
//
// What can be chosen for a connection. Every limit is on by default.
#pragma once

#include <sansocket/machine/keepalive.hpp>
#include <sansocket/machine/message_queue.hpp>
#include <sansocket/machine/message_reader.hpp>
#include <sansocket/machine/send_queue.hpp>
#include <sansocket/wire/deflate_params.hpp>
#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/time.hpp>

#include <chrono>
#include <cstdint>

namespace sansocket {

class diagnostics_handler;

/// What becomes of messages that are unread, or still arrive, once this endpoint asked for the end.
enum class after_close : std::uint8_t { discard, deliver };

/// Who answers a valid request to a server: `server_policy` alone, or the application, with `accept`
/// or `refuse`, once the policy finds no fault. `manual_with_http`: it is asked about requests that
/// are no upgrade as well, which `respond` or `refuse` answers (`plain_http::allowed`).
enum class request_decision : std::uint8_t { automatic, manual, manual_with_http };

/// Choices and limits of one connection.
struct options {
    message_limits messages;      ///< What one message may cost.
    queue_limits queue;           ///< What may wait to be read.
    send_limits sending;          ///< What may wait to be sent.
    keepalive_options keepalive;  ///< How a silent peer is noticed. On by default in both roles.
    http_limits http;             ///< What the opening handshake may cost.
    deflate_options deflate;      ///< Compression, where the connection has a codec. Default off.
    /// Time for the whole opening handshake; then errc::opening_timeout. 0: no limit. Default 10 s.
    duration opening_timeout = std::chrono::seconds{10};
    /// Time from the Close, or the failure, to the transport's end: output, the peer's Close and the
    /// end of its stream. Traffic never extends it; then the transport is aborted. 0: no limit.
    /// Default 5 seconds.
    duration close_timeout = std::chrono::seconds{5};
    /// Longest that the peer's Close waits to be answered for the messages before it to be taken, and
    /// what is sent in answer to them written. 5.5.1. 0: it does not wait. Default 1 second.
    duration close_delay = std::chrono::seconds{1};
    /// Messages unread or arriving after `close`. Default: discarded.
    sansocket::after_close after_close = sansocket::after_close::discard;
    /// Who answers a valid request. A server's only. Default: automatic.
    request_decision decision = request_decision::automatic;
    /// Whether text to be sent is checked to be UTF-8 (errc::text_not_utf8). 5.6. Default on.
    bool check_sent_text = true;
    /// Is told of leaks and changes of state, where the connection has diagnostics; it outlives the
    /// connection. Default: nobody.
    diagnostics_handler* diagnostics = nullptr;
};

}  // namespace sansocket
