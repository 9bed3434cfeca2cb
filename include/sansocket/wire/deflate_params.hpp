// deflate_params.hpp
//
// The parameters of permessage-deflate: read from the opening handshake and
// written to it, what an endpoint wants of them, and how a server and a client
// come to an agreement. RFC 7692 5, 7.1.
//
//   deflate_parameters       as they stand in an offer or an answer
//   parse_deflate_offer, parse_deflate_answer, encode
//   deflate_options          what one endpoint wants
//   deflate_offers, accept   a client's offers; a server's answer to one of them
//   deflate_agreement        what both keep to; agreed_by_server, agreed_by_client
//
// Knows nothing of: deflate itself, the handshake around it.
// Section numbers in this file refer to RFC 7692.
#pragma once

#include <sansocket/detail/algorithm.hpp>
#include <sansocket/detail/append.hpp>
#include <sansocket/wire/error.hpp>
#include <sansocket/wire/extension_list.hpp>
#include <sansocket/wire/role.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sansocket {

/// The extension's name in Sec-WebSocket-Extensions. 7.
inline constexpr std::string_view deflate_name = "permessage-deflate";

/// A window of 2^8 bytes, the smallest that may be agreed on. 7.1.2.
inline constexpr std::uint8_t min_window_bits = 8;
/// A window of 2^15 bytes, the largest, and what holds where nothing is said. 7.1.2.
inline constexpr std::uint8_t max_window_bits = 15;

/// The parameters as they stand in an offer or an answer. 7.1.
struct deflate_parameters {
    /// `client_max_window_bits` without a value, which only an offer may have.
    static constexpr std::uint8_t no_value = 0;

    bool server_no_context_takeover = false;               ///< 7.1.1.1.
    bool client_no_context_takeover = false;               ///< 7.1.1.2.
    std::optional<std::uint8_t> server_max_window_bits{};  ///< 8 to 15.
    std::optional<std::uint8_t> client_max_window_bits{};  ///< 8 to 15, or `no_value`.

    friend constexpr bool operator==(const deflate_parameters&,
                                     const deflate_parameters&) = default;
};

/// What a parser of them found.
struct deflate_parse_result {
    deflate_parameters value;  ///< Counts only where `ec` is `errc{}`.
    errc
        ec{};  ///< errc::deflate_parameter: unknown, twice, without the value it needs, or with one
               ///< that it cannot have.
};

namespace detail {

// A number of bits, 8 to 15 "without leading zeroes" (7.1.2.1); nothing where it is none.
constexpr std::optional<std::uint8_t> window_bits_of(const extension_parameter& p) noexcept {
    constexpr std::string_view words[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    std::uint8_t bits = min_window_bits;
    for (const std::string_view word : words) {
        if (p.value_is(word)) return bits;
        ++bits;
    }
    return std::nullopt;
}

// Sets a flag that has no value and stands there once.
constexpr bool set_flag(bool& flag, const extension_parameter& p) noexcept {
    if (flag || p.value) return false;
    return flag = true;
}

constexpr bool set_bits(std::optional<std::uint8_t>& to, const extension_parameter& p,
                        bool value_needed) noexcept {
    if (to) return false;
    if (p.value || value_needed) to = window_bits_of(p);
    else to = deflate_parameters::no_value;
    return to.has_value();
}

constexpr deflate_parse_result parse_deflate(std::string_view text, bool is_offer) noexcept {
    deflate_parse_result result;
    deflate_parameters& v = result.value;
    extension_parameters all{text};
    while (const auto p = all.next()) {
        bool good = false;
        if (p->name == "server_no_context_takeover")
            good = set_flag(v.server_no_context_takeover, *p);
        else if (p->name == "client_no_context_takeover")
            good = set_flag(v.client_no_context_takeover, *p);
        else if (p->name == "server_max_window_bits")
            good = set_bits(v.server_max_window_bits, *p, true);
        else if (p->name == "client_max_window_bits")
            good = set_bits(v.client_max_window_bits, *p, !is_offer);
        if (!good) return {{}, errc::deflate_parameter};
    }
    if (!all.good()) return {{}, errc::deflate_parameter};
    return result;
}

}  // namespace detail

/// Reads the parameters of an offer. 7.1.
///
/// @param text  as `extension::parameters`.
[[nodiscard]] constexpr deflate_parse_result parse_deflate_offer(std::string_view text) noexcept {
    return detail::parse_deflate(text, true);
}

/// Reads the parameters of a server's answer. 7.1. In it client_max_window_bits has a value.
[[nodiscard]] constexpr deflate_parse_result parse_deflate_answer(std::string_view text) noexcept {
    return detail::parse_deflate(text, false);
}

/// The element of Sec-WebSocket-Extensions that says `p`. 7.1.
[[nodiscard]] inline std::string encode(const deflate_parameters& p) {
    std::string out{deflate_name};
    if (p.server_no_context_takeover) detail::append(out, {"; server_no_context_takeover"});
    if (p.client_no_context_takeover) detail::append(out, {"; client_no_context_takeover"});
    if (p.server_max_window_bits)
        detail::append(out,
                       {"; server_max_window_bits=", std::to_string(*p.server_max_window_bits)});
    if (!p.client_max_window_bits) return out;
    detail::append(out, {"; client_max_window_bits"});
    if (*p.client_max_window_bits != deflate_parameters::no_value)
        detail::append(out, {"=", std::to_string(*p.client_max_window_bits)});
    return out;
}

/// What an endpoint wants of permessage-deflate, and how its codec compresses.
struct deflate_options {
    /// Whether it is offered or accepted, where the connection has a codec. Default off.
    bool enabled = false;
    /// The window of the own compressor in bits: its reach, and its memory. Default 15.
    std::uint8_t own_window_bits = max_window_bits;
    /// The largest window that the peer may use, in bits: what it costs to decompress. A server
    /// passes over offers that do not let it ask for less than 15. Default 15.
    std::uint8_t peer_window_bits = max_window_bits;
    /// Whether the own compressor goes on with what it knows of earlier messages: a better ratio,
    /// and memory that is held between messages. Default on.
    bool own_context_takeover = true;
    /// Whether the peer may do so. Default on.
    bool peer_context_takeover = true;
    /// A client's offers, the preferred one first, in place of the one that follows from the above.
    std::vector<deflate_parameters> offers{};
    /// 1 (fast) to 9 (small), as zlib has them. Default 6.
    int level = 6;
    /// Memory of the own compressor, 1 to 9, as zlib has them. Default 8.
    int memory_level = 8;
    /// Messages of fewer bytes are sent as they are, unless told otherwise. Default 256.
    std::size_t threshold = 256;
    /// Deflate blocks that any message received may have. Default 1024.
    std::uint64_t blocks = 1024;
    /// One deflate block more for each this many bytes that come out of the message. A message of
    /// more fails the connection with 1008: blocks that hold next to nothing cost more time than
    /// they have bytes. 0 takes any number. Default 32 bytes.
    std::uint64_t bytes_per_block = 32;
    /// The smallest window that the own codec can keep to, in bits. The connection sets it.
    std::uint8_t smallest_own_window = 9;
};

/// One direction of an agreement.
struct deflate_direction {
    std::uint8_t window_bits = max_window_bits;  ///< 8 to 15.
    bool context_takeover = true;  ///< Whether a message may refer to those before it. 7.1.1.

    friend constexpr bool operator==(const deflate_direction&, const deflate_direction&) = default;
};

/// What both endpoints keep to. 7.1.
struct deflate_agreement {
    deflate_direction server;  ///< What the server sends.
    deflate_direction client;  ///< What the client sends.

    /// What an endpoint of role `r` sends.
    [[nodiscard]] constexpr const deflate_direction& sent_by(role r) const noexcept {
        return r == role::server ? server : client;
    }

    friend constexpr bool operator==(const deflate_agreement&, const deflate_agreement&) = default;
};

/// Whether a client may write `offer`: sizes of windows are 8 to 15, or left out. 7.1.2.
[[nodiscard]] constexpr bool is_valid_offer(const deflate_parameters& offer) noexcept {
    const auto valid = [](std::uint8_t bits) {
        return bits >= min_window_bits && bits <= max_window_bits;
    };
    const std::uint8_t client = offer.client_max_window_bits.value_or(deflate_parameters::no_value);
    return valid(offer.server_max_window_bits.value_or(max_window_bits)) &&
           (client == deflate_parameters::no_value || valid(client));
}

/// The offers of a client that wants `wants`: its list, or the one that follows from the rest.
[[nodiscard]] inline std::vector<deflate_parameters> deflate_offers(const deflate_options& wants) {
    if (!wants.enabled) return {};
    if (!wants.offers.empty()) return wants.offers;
    deflate_parameters offer;
    offer.server_no_context_takeover = !wants.peer_context_takeover;
    offer.client_no_context_takeover = !wants.own_context_takeover;
    if (wants.peer_window_bits < max_window_bits)
        offer.server_max_window_bits = wants.peer_window_bits;
    // Without it the server could not ask for less than 15.
    offer.client_max_window_bits = wants.own_window_bits < max_window_bits
                                       ? wants.own_window_bits
                                       : deflate_parameters::no_value;
    return {offer};
}

/// A server's answer to `offer`, or nothing where it passes it over. 7.1.1, 7.1.2.
[[nodiscard]] constexpr std::optional<deflate_parameters> accept(
    const deflate_parameters& offer, const deflate_options& wants) noexcept {
    const auto own =
        detail::smaller_of(offer.server_max_window_bits.value_or(max_window_bits),
                           detail::larger_of(wants.own_window_bits, wants.smallest_own_window));
    if (own < wants.smallest_own_window) return std::nullopt;
    deflate_parameters answer;
    answer.server_no_context_takeover =
        offer.server_no_context_takeover || !wants.own_context_takeover;
    // 7.1.1.2: it may be asked for whether the offer has it or not, and so a hint is taken.
    answer.client_no_context_takeover =
        offer.client_no_context_takeover || !wants.peer_context_takeover;
    if (offer.server_max_window_bits || own < max_window_bits) answer.server_max_window_bits = own;

    std::uint8_t peer = max_window_bits;
    if (offer.client_max_window_bits) {
        const bool bare = *offer.client_max_window_bits == deflate_parameters::no_value;
        peer = detail::smaller_of(bare ? max_window_bits : *offer.client_max_window_bits,
                                  wants.peer_window_bits);
        if (peer < max_window_bits) answer.client_max_window_bits = peer;
    }
    // 7.1.2.2: without it in the offer the answer "MUST NOT include" it.
    if (peer > wants.peer_window_bits) return std::nullopt;
    return answer;
}

/// Whether `answer` accepts `offer`. 7.1.1, 7.1.2.
[[nodiscard]] constexpr bool answers(const deflate_parameters& offer,
                                     const deflate_parameters& answer) noexcept {
    // 7.1.1.1: accepted "by including the ... parameter in the corresponding response"
    if (offer.server_no_context_takeover && !answer.server_no_context_takeover) return false;
    // 7.1.2.1: accepted by "the same or smaller value"
    if (offer.server_max_window_bits &&
        answer.server_max_window_bits.value_or(max_window_bits + 1) > *offer.server_max_window_bits)
        return false;
    // 7.1.2.2: not included without being offered; "equal to or smaller than the received value"
    if (!answer.client_max_window_bits) return true;
    if (!offer.client_max_window_bits) return false;
    const bool bare = *offer.client_max_window_bits == deflate_parameters::no_value;
    return bare || *answer.client_max_window_bits <= *offer.client_max_window_bits;
}

/// What a server keeps to that gave `answer`.
[[nodiscard]] constexpr deflate_agreement agreed_by_server(
    const deflate_parameters& answer) noexcept {
    return {{answer.server_max_window_bits.value_or(max_window_bits),
             !answer.server_no_context_takeover},
            {answer.client_max_window_bits.value_or(max_window_bits),
             !answer.client_no_context_takeover}};
}

namespace detail {

template <class Offers>
constexpr std::optional<deflate_agreement> agreed_on(const deflate_parameters& answer,
                                                     const Offers& offers,
                                                     const deflate_options& wants) noexcept {
    const deflate_parameters* offer = nullptr;
    for (const deflate_parameters& o : offers)
        if (offer == nullptr && answers(o, answer)) offer = &o;
    if (offer == nullptr) return std::nullopt;
    deflate_agreement agreed = agreed_by_server(answer);
    // 7.1.1.2, 7.1.2.2: what it offered is a promise, even where the answer does not take it up.
    if (offer->client_no_context_takeover || !wants.own_context_takeover)
        agreed.client.context_takeover = false;
    const std::uint8_t hint = offer->client_max_window_bits.value_or(max_window_bits);
    if (hint != deflate_parameters::no_value)
        agreed.client.window_bits = detail::smaller_of(agreed.client.window_bits, hint);
    const std::uint8_t own = detail::larger_of(wants.own_window_bits, wants.smallest_own_window);
    agreed.client.window_bits = detail::smaller_of(agreed.client.window_bits, own);
    return agreed;
}

}  // namespace detail

/// What a client keeps to that made `offers` and got `answer`; nothing where that answers none of
/// them. 7.1.
[[nodiscard]] constexpr std::optional<deflate_agreement> agreed_by_client(
    const deflate_parameters& answer, std::span<const deflate_parameters> offers,
    const deflate_options& wants) noexcept {
    return detail::agreed_on(answer, offers, wants);
}

}  // namespace sansocket
