// session_reads.hpp
//
// How a session reads, and gives its core what it has read. Its class is in
// session.hpp.
#pragma once

#include <sansocket_asio/detail/session.hpp>

namespace sansocket_asio::detail {

template <class Stream, class Connection>
void session<Stream, Connection>::take_leftover() {
    if (leftover_.empty() || !core_->wants_read()) return;
    auto bytes = std::move(leftover_);
    leftover_.clear();
    feed(bytes);
}

template <class Stream, class Connection>
void session<Stream, Connection>::read() {
    if (reading_ || !leftover_.empty() || !core_->wants_read()) return;
    if (waits(stream())) wait_to_read();
    else if constexpr (!waitable<Stream>)
        stream().async_read_some(
            buffer_.prepare(),
            own_handler{[self = this->shared_from_this()](std::error_code ec, std::size_t n) {
                self->reading_ = false;
                if (!self->attached()) return;
                self->has_read(self->buffer_.filled(n), ec);
                self->drive();
            }});
    reading_ = true;  // unless that has thrown
}

template <class Stream, class Connection>
void session<Stream, Connection>::wait_to_read() {
    if constexpr (maybe_waitable<Stream>)
        waiting_socket(stream()).async_wait(::asio::socket_base::wait_read,
                                            read_wait_.wait(this->shared_from_this()));
}

template <class Stream, class Connection>
void session<Stream, Connection>::woken(to_read, std::error_code) {
    reading_ = false;
    if (!attached()) return;
    read_now();
    drive();
}

// Takes what a socket holds, as long as the core wants it. A read that does not fill the buffer has
// emptied the socket.
template <class Stream, class Connection>
void session<Stream, Connection>::read_now() {
    if constexpr (maybe_waitable<Stream>) {
        take_leftover();
        const ::asio::mutable_buffer buffer = thread_read_buffer();
        std::size_t n = buffer.size();
        for (int turn = 0; turn != 4 && n == buffer.size(); ++turn) {
            if (!leftover_.empty() || !core_->wants_read()) return;
            std::error_code ec;
            n = waiting_socket(stream()).read_some(buffer, ec);
            if (would_block(ec)) return;
            has_read({static_cast<std::byte*>(buffer.data()), n}, ec);
        }
    }
}

template <class Stream, class Connection>
void session<Stream, Connection>::has_read(std::span<std::byte> bytes, std::error_code ec) {
    if (!bytes.empty()) feed(bytes);
    hand_over();
    while (!leftover_.empty() && core_->wants_read()) {  // what was handed over has made room
        take_leftover();
        hand_over();
    }
    if (!ec) return;
    if (ec == ::asio::error::eof) return core_->receive_end(now());
    note(ec);
    if (is_truncation(ec)) cut_off();
    else core_->transport_lost(now());
}

template <class Stream, class Connection>
void session<Stream, Connection>::feed(std::span<std::byte> bytes) {
    if (core_->wants_write()) write_gathered();  // for a Close would throw it away
    std::size_t taken = 0;
    try {
        taken = core_->receive(bytes, now());
    } catch (...) {  // it has given up: who waits is told, before the exception goes on
        drive();
        throw;
    }
    const auto rest = bytes.subspan(taken);
    leftover_.assign(rest.begin(), rest.end());
}

}  // namespace sansocket_asio::detail
