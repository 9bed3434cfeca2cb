// compressed_replies.hpp
//
// What a server that compresses must send back: texts, with RSV1, that hold what was sent.
//
// Without context takeover a server answers the same text with the same bytes. So each reply is
// compared with the one that was decompressed last, and decompressed where it differs.
#pragma once

#include "../core/deflate_workload.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string_view>

namespace bench {

/// The text that every message holds, and what one server makes of it.
class compressed_echo {
public:
    /// A header line for the opening handshake.
    static constexpr char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; "
                                    "server_no_context_takeover; client_no_context_takeover\r\n";

    /// Whether the server's answer takes all of the offer.
    static bool is_accepted_in(std::string_view response) {
        for (const char* wanted :
             {"permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"})
            if (response.find(wanted) == response.npos) return false;
        return true;
    }

    explicit compressed_echo(std::size_t size) : text_(make_json(size, 0)) {
        zlib_.compress(text_, payload);
    }

    /// The size of the reply that begins at `at`; 0 where there is more to come. Throws where it is
    /// not the text.
    std::size_t size_of_reply(const bytes& received, std::size_t at) {
        const auto begin = received.begin() + static_cast<std::ptrdiff_t>(at);
        if (!verified_.empty() && received.size() - at >= verified_.size() &&
            std::equal(verified_.begin(), verified_.end(), begin))
            return verified_.size();
        bytes found;
        const std::size_t end = read_compressed(received, at, found);
        if (end == 0) return 0;
        bytes text(text_.size() + 64);
        zlib_.decompress(found, text);
        if (text != text_) throw std::runtime_error("an echo differs from what was sent");
        verified_.assign(begin, received.begin() + static_cast<std::ptrdiff_t>(end));
        return verified_.size();
    }

    bytes payload;  // of the client's messages

private:
    bytes text_;
    bytes verified_;  // frames and all
    zlib_pair zlib_{takeover::no};
};

/// What one connection receives.
class compressed_replies {
public:
    explicit compressed_replies(compressed_echo& echo) : echo_(&echo) {}

    /// Takes what was received next.
    /// @return the number of messages that end in it.
    std::size_t take(const byte* data, std::size_t size) {
        received_.insert(received_.end(), data, data + size);
        std::size_t messages = 0;
        std::size_t at = 0;
        while (const std::size_t reply = echo_->size_of_reply(received_, at)) {
            at += reply;
            ++messages;
        }
        received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(at));
        return messages;
    }

private:
    compressed_echo* echo_;
    bytes received_;
};

}  // namespace bench
