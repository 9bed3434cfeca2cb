#if __has_include(<sansocket_asio/entropy.hpp>)
#include <sansocket_asio/entropy.hpp>
#else  // the single headers
#include <sansocket_asio/sansocket_asio.hpp>
#endif

#include <asio/io_context.hpp>

#include <named_asio.hpp>  // beside the asio.hpp of the tree that was named

int main() {
    asio::io_context io;
    (void)sansocket_asio::system_keys();
    return io.run() == 0 ? NAMED_ASIO : 1;
}
