// The single headers one after the other, and a second translation unit that has them the other way round.
#include "forward.hpp"

const std::error_category& category_there();
sansocket::errc first_byte_there(sansocket::connection<sansocket::role::server>& server);

int main() {
    // One entity in both, not one each.
    if (sansocket::make_error_code(sansocket::errc::closed).category() != category_there())
        return 1;
    sansocket::connection<sansocket::role::server> server(sansocket::server_policy{}, {});
    return first_byte_there(server) == sansocket::errc::ok ? 2 : 0;
}
