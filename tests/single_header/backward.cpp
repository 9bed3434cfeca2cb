#include "backward.hpp"

const std::error_category& category_there() {
    return sansocket::make_error_code(sansocket::errc::closed).category();
}

sansocket::errc first_byte_there(sansocket::connection<sansocket::role::server>& server) {
    std::byte nothing[] = {std::byte{0}};  // begins no request
    (void)server.receive(nothing, {});
    return server.close_info().cause;
}
