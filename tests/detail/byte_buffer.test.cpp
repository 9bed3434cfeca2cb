#include <sansocket/detail/byte_buffer.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

using sansocket::detail::byte_buffer;

namespace {

void append(byte_buffer<>& to, std::string_view text) {
    if (to.room() < text.size()) to.make_room(text.size(), 0);
    std::memcpy(to.extend(text.size()), text.data(), text.size());
}

std::string_view text_of(const byte_buffer<>& buffer) {
    return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

}  // namespace

TEST_CASE("byte_buffer: empty, it holds no memory") {
    const byte_buffer<> buffer;
    CHECK(buffer.empty());
    CHECK(buffer.capacity() == 0);
    CHECK(buffer.room() == 0);
}

TEST_CASE("byte_buffer: grows and keeps what is in it") {
    byte_buffer<> buffer;
    for (int i = 0; i != 1000; ++i) append(buffer, "abc");

    REQUIRE(buffer.size() == 3000);
    for (std::size_t i = 0; i != 1000; ++i) REQUIRE(text_of(buffer).substr(3 * i, 3) == "abc");
    CHECK(buffer.room() == buffer.capacity() - 3000);
    CHECK(buffer.capacity() < 2 * 3000 + 256);
}

TEST_CASE("byte_buffer: room is made from dropped bytes in place while that is most of them") {
    byte_buffer<> buffer;
    append(buffer, "0123456789");
    const std::byte* const before = buffer.data();
    buffer.make_room(buffer.room() + 6, 6);

    CHECK(buffer.data() == before);
    CHECK(text_of(buffer) == "6789");
}

TEST_CASE("byte_buffer: it doubles, and stops on its way at what is kept") {
    const auto grown_to = [](std::size_t n, std::size_t keep) {
        byte_buffer<> buffer;
        buffer.make_room(300, 0);
        (void)buffer.extend(300);
        buffer.make_room(n, 0, keep);
        return buffer.capacity();
    };
    CHECK(grown_to(1, 0) == 600);
    CHECK(grown_to(1, 299) == 600);
    CHECK(grown_to(1, 300) == 600);  // else a full one would be copied for each byte
    CHECK(grown_to(1, 301) == 301);
    CHECK(grown_to(200, 500) == 500);
    CHECK(grown_to(201, 500) == 501);
    CHECK(grown_to(1, 700) == 600);
    CHECK(grown_to(401, 500) == 701);
}

TEST_CASE("byte_buffer: dropped bytes do not come along when it grows") {
    byte_buffer<> buffer;
    append(buffer, "0123456789");
    const std::size_t capacity = buffer.capacity();
    buffer.make_room(capacity, 2);

    CHECK(text_of(buffer) == "23456789");
    CHECK(buffer.room() >= capacity);
}

TEST_CASE("byte_buffer: everything may be dropped") {
    byte_buffer<> buffer;
    append(buffer, "0123456789");
    buffer.make_room(buffer.room() + 10, 10);
    CHECK(buffer.empty());

    append(buffer, "x");
    buffer.make_room(10'000, 1);
    CHECK(buffer.empty());
    CHECK(buffer.room() >= 10'000);
}

TEST_CASE("byte_buffer: truncating keeps the memory, releasing gives it back") {
    byte_buffer<> buffer;
    append(buffer, "0123456789");
    const std::size_t capacity = buffer.capacity();

    buffer.truncate(3);
    CHECK(text_of(buffer) == "012");
    CHECK(buffer.capacity() == capacity);

    buffer.release();
    CHECK(buffer.empty());
    CHECK(buffer.capacity() == 0);
    append(buffer, "again");
    CHECK(text_of(buffer) == "again");
}

TEST_CASE("byte_buffer: what is moved from is empty and usable") {
    byte_buffer<> from;
    append(from, "moved");
    byte_buffer<> to{std::move(from)};
    CHECK(text_of(to) == "moved");
    CHECK(from.capacity() == 0);
    append(from, "new");

    byte_buffer<> other;
    append(other, "replaced");
    other = std::move(from);
    CHECK(text_of(other) == "new");
    CHECK(from.empty());
    CHECK(from.capacity() == 0);

    byte_buffer<>& same = other;
    other = std::move(same);
    CHECK(text_of(other) == "new");
}
