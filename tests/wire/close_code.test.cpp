#include <sansocket/wire/close_code.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <set>
#include <vector>

using namespace sansocket;

// 7.4.1, one line for each code that it names.
static_assert(may_be_sent(close_code::normal));
static_assert(may_be_sent(close_code::going_away));
static_assert(may_be_sent(close_code::protocol_error));
static_assert(may_be_sent(close_code::unsupported_data));
static_assert(!may_be_sent(static_cast<close_code>(1004)));
static_assert(!may_be_sent(close_code::no_status));
static_assert(!may_be_sent(close_code::abnormal));
static_assert(may_be_sent(close_code::invalid_payload));
static_assert(may_be_sent(close_code::policy_violation));
static_assert(may_be_sent(close_code::message_too_big));
static_assert(may_be_sent(close_code::mandatory_extension));
static_assert(may_be_sent(close_code::internal_error));
static_assert(may_be_sent(close_code::service_restart));
static_assert(may_be_sent(close_code::try_again_later));
static_assert(may_be_sent(close_code::bad_gateway));
static_assert(!may_be_sent(close_code::tls_handshake));

static_assert(static_cast<int>(close_code::normal) == 1000);
static_assert(static_cast<int>(close_code::abnormal) == 1006);
static_assert(static_cast<int>(close_code::bad_gateway) == 1014);

TEST_CASE("close_code: which of all 65536 values may be sent (7.4.1, 7.4.2)") {
    std::set<unsigned> expected{1000, 1001, 1002, 1003, 1007, 1008,
                                1009, 1010, 1011, 1012, 1013, 1014};
    for (unsigned code = 3000; code != 5000; ++code) expected.insert(code);

    std::vector<unsigned> wrong;
    for (unsigned code = 0; code != 65536; ++code)
        if (may_be_sent(static_cast<close_code>(code)) != expected.contains(code))
            wrong.push_back(code);

    CHECK(wrong.empty());
}
