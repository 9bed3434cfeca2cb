// The models of a message queue, and what tests do with any of them.
#pragma once

#include "catch.hpp"
#include "hex.hpp"
#include "text_message.hpp"

#include <sansocket/machine/direct_queue.hpp>
#include <sansocket/machine/message_queue.hpp>
#include <sansocket/machine/static_message_queue.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

using sansocket::message;
using sansocket::message_kind;
using sansocket::queue_limits;

// Keeps what a direct queue hands on.
struct keep_messages {
    std::shared_ptr<std::vector<message>> kept = std::make_shared<std::vector<message>>();
    void operator()(sansocket::message_view view) const { kept->emplace_back(view); }
};

using dynamic_model = sansocket::message_queue<>;
using static_model = sansocket::static_message_queue<16 * 1024, 64>;
using direct_model = sansocket::direct_queue<keep_messages>;

// What a message costs besides its payload.
template <class Queue>
inline constexpr std::size_t charge = sansocket::message_overhead;
template <std::size_t Bytes, std::size_t Count, std::size_t Max>
inline constexpr std::size_t charge<sansocket::static_message_queue<Bytes, Count, Max>> =
    sansocket::static_message_queue<Bytes, Count, Max>::charge;

// Runs `body.operator()<Queue>()` for the models that keep messages.
void in_storing_models(auto body) {
    SECTION("message_queue") { body.template operator()<dynamic_model>(); }
    SECTION("static_message_queue") { body.template operator()<static_model>(); }
}
// The same for all of them.
void in_all_models(auto body) {
    in_storing_models(body);
    SECTION("direct_queue") { body.template operator()<direct_model>(); }
}

// A queue and whoever takes its messages.
template <class Queue>
struct queue_and_reader {
    explicit queue_and_reader(const queue_limits& limits = {}) : queue(limits) {}

    // Everything there is to take.
    std::vector<message> taken() {
        std::vector<message> out;
        while (const auto view = queue.pop()) out.emplace_back(*view);
        return out;
    }
    Queue queue;
};
template <>
struct queue_and_reader<direct_model> {
    explicit queue_and_reader(const queue_limits& = {}) {}

    std::vector<message> taken() { return std::exchange(*handler.kept, {}); }
    keep_messages handler;
    direct_model queue{handler};
};

inline bool push(auto& queue, std::string_view text) {
    return queue.push(message_kind::text, bytes(text));
}
inline void extend(auto& queue, std::string_view text) {
    std::byte* const to = queue.extend(text.size());
    REQUIRE(to != nullptr);
    std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), to);
}
inline std::string pop(auto& queue) {
    const auto view = queue.pop();
    return view ? std::string{view->text()} : "(nothing)";
}

}  // namespace support
