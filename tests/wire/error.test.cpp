#include <sansocket/wire/error.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

using namespace sansocket;

namespace {

errc errc_at(std::size_t i) { return static_cast<errc>(i); }

struct group {
    errc first;
    errc last;
    error_kind kind;
};

// The enumeration cut where the kind changes; `ok` and `need_more` stand apart.
constexpr group groups[] = {
    {errc::not_open, errc::subprotocol_not_offered, error_kind::caller},
    {errc::url_scheme, errc::network_invalid, error_kind::caller},
    {errc::reserved_bit, errc::deflate_truncated, error_kind::peer},
    {errc::message_too_big, errc::deflate_memory, error_kind::limit},
    {errc::http_line_end, errc::http_body_framing, error_kind::peer},
    {errc::http_line_too_long, errc::http_head_too_large, error_kind::limit},
    {errc::forwarded_invalid, errc::proxy_header_invalid, error_kind::peer},
    {errc::proxy_header_too_long, errc::proxy_header_too_long, error_kind::limit},
    {errc::method_not_get, errc::subprotocol_required, error_kind::peer},
    {errc::refused_by_application, errc::refused_by_application, error_kind::caller},
    {errc::upgrade_refused, errc::response_subprotocol, error_kind::peer},
    {errc::closed_by_peer, errc::http_answered, error_kind::ending},
    {errc::end_of_stream, errc::tls_handshake_failed, error_kind::transport},
    {errc::opening_timeout, errc::write_timeout, error_kind::timeout},
};

}  // namespace

static_assert(std::is_error_code_enum_v<errc>);
static_assert(errc{} == errc::ok);
static_assert(errc_count == static_cast<std::size_t>(errc::write_timeout) + 1);

static_assert(kind_of(errc::ok) == error_kind::none);
static_assert(kind_of(errc::need_more) == error_kind::none);

// 7.4.1, 8.1, 10.4: what fails an open connection, and with which code.
static_assert(close_code_for(errc::reserved_bit) == close_code::protocol_error);
static_assert(close_code_for(errc::frame_not_masked) == close_code::protocol_error);
static_assert(close_code_for(errc::close_code_reserved) == close_code::protocol_error);
static_assert(close_code_for(errc::invalid_utf8) == close_code::invalid_payload);
static_assert(close_code_for(errc::close_reason_not_utf8) == close_code::invalid_payload);
static_assert(close_code_for(errc::message_too_big) == close_code::message_too_big);
static_assert(close_code_for(errc::too_many_fragments) == close_code::policy_violation);
static_assert(close_code_for(errc::message_too_slow) == close_code::policy_violation);
static_assert(close_code_for(errc::queue_full) == close_code::policy_violation);
static_assert(close_code_for(errc::compressed_bit) == close_code::protocol_error);
static_assert(close_code_for(errc::deflate_corrupt) == close_code::invalid_payload);
static_assert(close_code_for(errc::deflate_truncated) == close_code::invalid_payload);
static_assert(close_code_for(errc::deflate_work) == close_code::policy_violation);
static_assert(close_code_for(errc::deflate_memory) == close_code::internal_error);
static_assert(close_code_for(errc::end_of_stream) == close_code::normal);
static_assert(close_code_for(errc::http_folding) == close_code::normal);

TEST_CASE("error: every value has the kind of its group") {
    std::size_t seen = 2;  // ok, need_more
    for (const group& g : groups) {
        for (auto i = static_cast<std::size_t>(g.first); i <= static_cast<std::size_t>(g.last);
             ++i, ++seen) {
            INFO(describe(errc_at(i)));
            CHECK(kind_of(errc_at(i)) == g.kind);
        }
    }
    CHECK(seen == errc_count);
}

TEST_CASE("error: a close code is called for by frames and limits, and is one that may be sent "
          "(7.1.7, 7.4)") {
    for (std::size_t i = 0; i != errc_count; ++i) {
        const errc ec = errc_at(i);
        INFO(describe(ec));
        const bool fails_open = (ec >= errc::reserved_bit && ec <= errc::deflate_memory);
        CHECK((close_code_for(ec) != close_code::normal) == fails_open);
        CHECK(may_be_sent(close_code_for(ec)));
    }
}

TEST_CASE("error: messages are distinct sentences that fit a Close frame's reason (5.5)") {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i != errc_count; ++i) {
        const std::string_view text = describe(errc_at(i));
        INFO(text);
        CHECK(!text.empty());
        CHECK(text.size() <= 123);
        CHECK(text.back() != '.');
        CHECK(seen.insert(text).second);
    }
}

TEST_CASE("error: through std::error_code and back") {
    for (std::size_t i = 0; i != errc_count; ++i) {
        const std::error_code code = errc_at(i);
        CHECK(code.value() == static_cast<int>(i));
        CHECK(static_cast<errc>(code.value()) == errc_at(i));
        CHECK(code == errc_at(i));
        CHECK(code.message() == describe(errc_at(i)));
        CHECK(static_cast<bool>(code) == (i != 0));
    }
    CHECK(&std::error_code{errc::closed}.category() == &error_category());
    CHECK(std::string{error_category().name()} == "sansocket");
    CHECK(std::error_code{errc::closed} != std::error_code{errc::closing});
    CHECK(std::error_code{errc::not_open} !=
          std::error_code{static_cast<int>(errc::not_open), std::generic_category()});
}

TEST_CASE("error: queries are total: what is no enumerator reads as transport_lost") {
    for (std::size_t i = errc_count; i != 256; ++i) {
        CHECK(kind_of(errc_at(i)) == error_kind::transport);
        CHECK(close_code_for(errc_at(i)) == close_code::normal);
        CHECK(describe(errc_at(i)) == describe(errc::transport_lost));
    }
}

TEST_CASE("error: the table's rows stand where their enumerators count them") {
    CHECK(detail::rows_match_enumerators());
}
