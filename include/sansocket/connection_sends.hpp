// connection_sends.hpp
//
// How `connection` sends, with a codec and without one. The contract is in
// connection.hpp.
#pragma once

#include <sansocket/connection.hpp>

namespace sansocket {

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
void connection<Role, Queue, Keys, Diagnostics, Deflate>::start_deflate() {
    const auto agreed = opening_->deflate();
    if (!agreed) return;
    frames_.allow_compressed();
    inflater_.start(agreed->sent_by(peer_of(Role)));
    deflater_.start(agreed->sent_by(Role));
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
std::optional<deflate_agreement> connection<Role, Queue, Keys, Diagnostics, Deflate>::deflate()
    const noexcept {
    if constexpr (deflates) {
        const deflate_direction &peer = inflater_.direction(), &own = deflater_.direction();
        if (inflater_.state() != inflater_state::off)
            return is_client ? deflate_agreement{peer, own} : deflate_agreement{own, peer};
    }
    return std::nullopt;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
bool connection<Role, Queue, Keys, Diagnostics, Deflate>::compresses(
    std::size_t size) const noexcept {
    if constexpr (deflates) return deflater_.wants(compression::automatic, size);
    else return false;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_by_size(
    message_kind kind, std::span<const std::byte> payload, compression how) {
    if constexpr (deflates) {
        if (deflater_.wants(how, payload.size()))
            return writer_.send(kind, payload, out_, key_source(), deflater_);
    }
    return writer_.send(kind, payload, out_, key_source());
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
template <class Owned>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::give(message_kind kind, Owned&& payload) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    const auto bytes = std::as_bytes(std::span{payload});
    if (compresses(bytes.size())) return send_by_size(kind, bytes, compression::automatic);
    return writer_.send_owned(kind, std::forward<Owned>(payload), out_, key_source());
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send(const prepared_message& prepared) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    if (prepared.error() != errc::ok) return prepared.error();
    if constexpr (is_client) {
        return send_by_size(prepared.kind(), prepared.payload(), compression::automatic);
    } else {
        if (const errc ec = writer_.may_send_frame(out_); ec != errc::ok) return ec;
        shared_payload frame = prepared.frame();
        if constexpr (deflates) {
            const std::uint8_t bits = deflater_.direction().window_bits;
            if (compresses(prepared.payload().size()))
                if (auto compressed = prepared.template compressed<Deflate>(bits)) {
                    frame = std::move(*compressed);
                    deflater_.sent_elsewhere();
                }
        }
        out_.push_frame(std::move(frame));
        writer_.sent();
        return errc::ok;
    }
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::start(message_kind kind,
                                                                compression how) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    const errc ec = writer_.start(kind);
    if constexpr (deflates) {
        if (ec == errc::ok) (void)deflater_.start_message(how);
    }
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_part(std::span<const std::byte> part,
                                                                    bool fin) {
    errc ec = may_send();
    if (ec != errc::ok) return ec;
    unless_done given_up{*this, part.size() <= writer_.fragment()};  // one frame is all or nothing
    bool compressed = false;
    if constexpr (deflates) {
        compressed = deflater_.inside();
        if (compressed) ec = writer_.append(part, fin, out_, key_source(), deflater_);
    }
    if (!compressed) ec = writer_.append(part, fin, out_, key_source());
    given_up.done = true;
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_fragmented(
    message_kind kind, std::span<const std::byte> payload, [[maybe_unused]] compression how) {
    errc ec = may_send();
    if (ec != errc::ok) return ec;
    unless_done given_up{*this};
    if constexpr (deflates) {
        if (!deflater_.wants(how, payload.size())) how = compression::off;
        ec = writer_.send_fragmented(kind, payload, out_, key_source(), deflater_, how);
    } else ec = writer_.send_fragmented(kind, payload, out_, key_source());
    given_up.done = true;
    return ec;
}

template <role Role, class Queue, class Keys, class Diagnostics, class Deflate>
errc connection<Role, Queue, Keys, Diagnostics, Deflate>::send_control(
    opcode op, std::span<const std::byte> payload) {
    if (const errc ec = may_send(); ec != errc::ok) return ec;
    if (payload.size() > max_control_payload) return errc::control_too_long;
    const errc done = out_.push_control(op, payload, key_source()());
    if (done == errc::ok && op == opcode::ping) ++counters_.pings_sent;
    return done;
}

}  // namespace sansocket
