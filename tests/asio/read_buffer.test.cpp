// The buffer of a stream that cannot be waited for: small until much comes.
#include <sansocket_asio/detail/read_buffer.hpp>

#include "support/catch.hpp"

#include <cstddef>

namespace read_buffer_tests {

using sansocket_asio::detail::read_buffer;

// The size for the read behind one that brought `n` bytes.
std::size_t size_behind(read_buffer& b, std::size_t n) {
    CHECK(b.filled(n).size() == n);
    return b.prepare().size();
}

TEST_CASE("read_buffer: it grows when it was filled, and shrinks when little came") {
    read_buffer b;
    CHECK(b.size() == 0);  // nothing before the first read
    CHECK(b.prepare().size() == 2048);
    CHECK(size_behind(b, 0) == 2048);
    CHECK(size_behind(b, 2047) == 2048);
    CHECK(size_behind(b, 2048) == 16384);
    CHECK(size_behind(b, 16384) == 16384);
    CHECK(size_behind(b, 1024) == 16384);
    CHECK(size_behind(b, 1023) == 2048);
    CHECK(b.size() == 2048);
}

}  // namespace read_buffer_tests
