#include <sansocket_asio/entropy.hpp>

#include <asio/io_context.hpp>

#include <named_asio.hpp>  // beside the asio.hpp of the tree that was named

int main() {
    asio::io_context io;
    (void)sansocket_asio::system_keys();
    return io.run() == 0 ? NAMED_ASIO : 1;
}
