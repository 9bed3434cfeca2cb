#include <sansocket/wire/close_info.hpp>

#include "support/catch.hpp"

using namespace sansocket;

TEST_CASE("close_info: without a Close frame the code is 1006 and there is no reason (7.1.5)") {
    const close_info info;

    CHECK(info.code() == close_code::abnormal);
    CHECK(info.reason().empty());
    CHECK(info.cause == errc::ok);
    CHECK(!info.clean);
    CHECK(!info.incomplete_message);
    CHECK(info.discarded_bytes == 0);
}

TEST_CASE("close_info: an empty Close frame reads as 1005 (7.1.5)") {
    close_info info;
    info.received = close_frame{};

    CHECK(info.code() == close_code::no_status);
    CHECK(info.reason().empty());
}

TEST_CASE("close_info: code and reason are the peer's, not our own (7.1.5, 7.1.6)") {
    close_info info;
    info.sent = close_frame{close_code::going_away, "ours"};
    CHECK(info.code() == close_code::abnormal);

    info.received = close_frame{static_cast<close_code>(4000), "theirs"};
    CHECK(info.code() == static_cast<close_code>(4000));
    CHECK(info.reason() == "theirs");
}

TEST_CASE("close_info: Close frames compare by code and reason") {
    const close_frame a{close_code::normal, "a"};
    CHECK(a == close_frame{close_code::normal, "a"});
    CHECK(a != close_frame{close_code::normal, "b"});
    CHECK(a != close_frame{close_code::going_away, "a"});
}
