#include <sansocket/version.hpp>
#include <sansocket_asio/entropy.hpp>

#include <asio/version.hpp>

int main() {
    (void)sansocket_asio::system_keys();
    return SANSOCKET_VERSION > 0 && ASIO_VERSION > 0 ? 0 : 1;
}
