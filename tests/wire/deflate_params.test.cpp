#include <sansocket/wire/deflate_params.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace sansocket;

namespace {

using bits = std::optional<std::uint8_t>;

constexpr std::string_view snct = "; server_no_context_takeover";
constexpr std::string_view cnct = "; client_no_context_takeover";

struct row {
    std::string_view text;  // behind the name
    bool offer, answer;     // whether it may be one
    deflate_parameters value{};
};

constexpr row rows[] = {
    {"", true, true, {}},
    {snct, true, true, {true, false, {}, {}}},
    {cnct, true, true, {false, true, {}, {}}},
    {"; server_max_window_bits=8", true, true, {false, false, 8, {}}},
    {"; server_max_window_bits=9", true, true, {false, false, 9, {}}},
    {"; server_max_window_bits=15", true, true, {false, false, 15, {}}},
    {"; client_max_window_bits=8", true, true, {false, false, {}, 8}},
    {"; client_max_window_bits=15", true, true, {false, false, {}, 15}},
    // 7.1.2.2: only an offer may have it without a value
    {"; client_max_window_bits", true, false, {false, false, {}, 0}},
    {"; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=10; "
     "server_max_window_bits=11",
     true,
     true,
     {true, true, 11, 10}},
    // RFC 6455 9.1: a value may be quoted
    {"; server_max_window_bits=\"10\"", true, true, {false, false, 10, {}}},
    {"; client_max_window_bits=\"1\\2\"", true, true, {false, false, {}, 12}},
    {" ; server_max_window_bits = 10 ", true, true, {false, false, 10, {}}},
    // values that there cannot be
    {"; server_no_context_takeover=1", false, false},
    {"; client_no_context_takeover=true", false, false},
    {"; server_max_window_bits", false, false},
    {"; server_max_window_bits=7", false, false},
    {"; server_max_window_bits=16", false, false},
    {"; server_max_window_bits=0", false, false},
    {"; server_max_window_bits=08", false, false},
    {"; server_max_window_bits=015", false, false},
    {"; server_max_window_bits=+9", false, false},
    {"; server_max_window_bits=-9", false, false},
    {"; server_max_window_bits=9.0", false, false},
    {"; server_max_window_bits=0x9", false, false},
    {"; server_max_window_bits=109", false, false},
    {"; server_max_window_bits=4294967305", false, false},
    {"; server_max_window_bits=x", false, false},
    {"; server_max_window_bits=\"\"", false, false},
    {"; client_max_window_bits=7", false, false},
    {"; client_max_window_bits=16", false, false},
    {"; client_max_window_bits=08", false, false},
    {"; client_max_window_bits=", false, false},
    // the same twice
    {"; server_no_context_takeover; server_no_context_takeover", false, false},
    {"; client_no_context_takeover; client_no_context_takeover", false, false},
    {"; server_max_window_bits=9; server_max_window_bits=9", false, false},
    {"; client_max_window_bits; client_max_window_bits", false, false},
    {"; client_max_window_bits=9; client_max_window_bits", false, false},
    {"; client_max_window_bits; client_max_window_bits=9", false, false},
    // unknown
    {"; x", false, false},
    {"; server_max_window_bits=10; x=1", false, false},
    {"; Server_no_context_takeover", false, false},
    {"; mem_level=8", false, false},
    // no parameters
    {";", false, false},
    {"; =9", false, false},
};

std::string told(const std::optional<deflate_parameters>& p) { return p ? encode(*p) : "-"; }

deflate_parameters offer_of(std::string_view text) {
    const auto [value, ec] = parse_deflate_offer(text);
    REQUIRE(ec == errc{});
    return value;
}

deflate_options wants(std::uint8_t own = 15, std::uint8_t peer = 15) {
    deflate_options w;
    w.enabled = true;
    w.own_window_bits = own;
    w.peer_window_bits = peer;
    return w;
}

constexpr std::array<std::uint8_t, 4> some_windows{8, 9, 12, 15};

// Every offer that a client can write: 2 * 2 * 9 * 10.
std::vector<deflate_parameters> every_offer() {
    std::vector<deflate_parameters> out;
    for (const bool s : {false, true})
        for (const bool c : {false, true})
            for (std::uint8_t server = 7; server != 16; ++server)
                for (std::uint8_t client = 6; client != 16; ++client)
                    out.push_back({s, c, server == 7 ? bits{} : bits{server},
                                   client == 6   ? bits{}
                                   : client == 7 ? bits{deflate_parameters::no_value}
                                                 : bits{client}});
    return out;
}

}  // namespace

static_assert(parse_deflate_offer("; client_max_window_bits").value.client_max_window_bits ==
              deflate_parameters::no_value);
static_assert(accept({}, deflate_options{}) == deflate_parameters{});

TEST_CASE("deflate_params: each parameter in offers and in answers, legal and not (RFC 7692 7.1)") {
    for (const row& r : rows) {
        INFO(r.text);
        const auto offer = parse_deflate_offer(r.text);
        const auto answer = parse_deflate_answer(r.text);
        CHECK(offer.ec == (r.offer ? errc{} : errc::deflate_parameter));
        CHECK(answer.ec == (r.answer ? errc{} : errc::deflate_parameter));
        CHECK(offer.value == (r.offer ? r.value : deflate_parameters{}));
        CHECK(answer.value == (r.answer ? r.value : deflate_parameters{}));
    }
}

TEST_CASE("deflate_params: what is written is read back (RFC 7692 7.1)") {
    CHECK(encode({}) == "permessage-deflate");
    CHECK(encode({true, true, 10, 0}) ==
          "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
          "server_max_window_bits=10; client_max_window_bits");
    for (const deflate_parameters& p : every_offer()) {
        const std::string text = encode(p);
        extension_list list{text};
        const auto found = list.next();
        REQUIRE(found);
        CHECK(found->name == deflate_name);
        CHECK(offer_of(found->parameters) == p);
        CHECK(!list.next());
        CHECK(list.good());
    }
}

TEST_CASE("deflate_params: what a server answers (RFC 7692 7.1.1, 7.1.2)") {
    struct case_ {
        std::string_view offer;
        deflate_options wants;
        std::string_view answer;  // behind the name; "-": the offer is passed over
    };
    deflate_options afresh = wants();
    afresh.own_context_takeover = false;
    deflate_options peer_afresh = wants();
    peer_afresh.peer_context_takeover = false;
    deflate_options any_window = wants(8);
    any_window.smallest_own_window = 8;
    const case_ cases[] = {
        {"", wants(), ""},
        {snct, wants(), snct},
        {cnct, wants(), cnct},  // a hint that costs nothing to take
        {"", afresh, snct},
        {"", peer_afresh, cnct},
        {snct, peer_afresh, "; server_no_context_takeover; client_no_context_takeover"},
        // the server's window
        {"; server_max_window_bits=15", wants(), "; server_max_window_bits=15"},
        {"; server_max_window_bits=10", wants(), "; server_max_window_bits=10"},
        {"; server_max_window_bits=10", wants(12), "; server_max_window_bits=10"},
        {"; server_max_window_bits=12", wants(10), "; server_max_window_bits=10"},
        {"", wants(10), "; server_max_window_bits=10"},
        {"; server_max_window_bits=9", wants(), "; server_max_window_bits=9"},
        // 256 bytes are less than the codec can keep to
        {"; server_max_window_bits=8", wants(), "-"},
        {"", wants(8), "; server_max_window_bits=9"},
        {"; server_max_window_bits=8", any_window, "; server_max_window_bits=8"},
        {"", any_window, "; server_max_window_bits=8"},
        // the client's window
        {"; client_max_window_bits", wants(), ""},
        {"; client_max_window_bits=15", wants(), ""},
        {"; client_max_window_bits=10", wants(), "; client_max_window_bits=10"},
        {"; client_max_window_bits=8", wants(), "; client_max_window_bits=8"},
        {"; client_max_window_bits", wants(15, 10), "; client_max_window_bits=10"},
        {"; client_max_window_bits=12", wants(15, 10), "; client_max_window_bits=10"},
        {"; client_max_window_bits=9", wants(15, 10), "; client_max_window_bits=9"},
        {"; client_max_window_bits", wants(15, 8), "; client_max_window_bits=8"},
        {"", wants(15, 10), "-"},  // it may not be asked for, and 15 is too much
        {"; server_max_window_bits=10", wants(15, 14), "-"},
    };
    for (const case_& c : cases) {
        INFO(c.offer << " to own " << int{c.wants.own_window_bits} << ", peer "
                     << int{c.wants.peer_window_bits});
        const auto answer = accept(offer_of(c.offer), c.wants);
        const std::string wanted =
            c.answer == "-" ? "-" : std::string{deflate_name} + std::string{c.answer};
        CHECK(told(answer) == wanted);
    }
}

TEST_CASE("deflate_params: what answers what, every pair (RFC 7692 7.1.1, 7.1.2)") {
    std::size_t legal = 0;
    for (const deflate_parameters& offer : every_offer())
        for (const deflate_parameters& answer : every_offer()) {
            if (answer.client_max_window_bits == deflate_parameters::no_value) continue;
            // The rules again, each as a row of a table would say it.
            const auto& os = offer.server_max_window_bits;
            const auto& as = answer.server_max_window_bits;
            const auto& oc = offer.client_max_window_bits;
            const auto& ac = answer.client_max_window_bits;
            const bool takeover =
                answer.server_no_context_takeover || !offer.server_no_context_takeover;
            const bool server = !os ? true : as && *as <= *os;
            const bool client = !ac ? true : oc && (*oc == 0 || *ac <= *oc);
            const bool good = takeover && server && client;
            if (answers(offer, answer) != good) {
                INFO(encode(offer) << " : " << encode(answer));
                CHECK(answers(offer, answer) == good);
            }
            legal += good;
        }
    // Takeover 3 * 4 of 16; the server's window 9 + 36 of 81; the client's 1 + 9 + (2 + ... + 9).
    CHECK(legal == 12U * 45U * 54U);
}

TEST_CASE("deflate_params: a server's answer is one that its client takes, and both agree "
          "(RFC 7692 7.1)") {
    for (const deflate_parameters& offer : every_offer())
        for (const std::uint8_t own : some_windows)
            for (const std::uint8_t peer : some_windows) {
                const auto answer = accept(offer, wants(own, peer));
                if (!answer) continue;
                const auto server = agreed_by_server(*answer);
                const std::array offers{offer};
                const auto client = agreed_by_client(*answer, offers, wants());
                INFO(encode(offer) << " : " << encode(*answer));
                REQUIRE(client);
                CHECK(client->server == server.server);
                CHECK(client->client.window_bits <= server.client.window_bits);
                CHECK(client->client.context_takeover == server.client.context_takeover);
                CHECK(server.server.window_bits >= 9);
                CHECK(server.client.window_bits <= peer);
            }
}

TEST_CASE("deflate_params: a client keeps what it offered, whatever the answer (RFC 7692 7.1)") {
    const std::vector<deflate_parameters> offers{
        {true, false, 10, 12}, {false, true, {}, 9}, {false, false, {}, {}}};
    const auto agreed = [&](const deflate_parameters& answer, deflate_options w = wants()) {
        return agreed_by_client(answer, offers, w);
    };
    // The first that it answers.
    CHECK(agreed({true, false, 10, {}}) == deflate_agreement{{10, false}, {12, true}});
    CHECK(agreed({true, false, 9, 11}) == deflate_agreement{{9, false}, {11, true}});
    // The second: its promise of no takeover and of a window of 9.
    CHECK(agreed({}) == deflate_agreement{{15, true}, {9, false}});
    CHECK(agreed({false, false, 12, 8}) == deflate_agreement{{12, true}, {8, false}});
    // None of them.
    CHECK(!agreed({true, false, 11, 13}));
    CHECK(!agreed({false, false, {}, 10}));
    CHECK(!agreed_by_client({}, {}, wants()));
    // Its own choice, though no offer says so.
    deflate_options own = wants(11);
    own.own_context_takeover = false;
    CHECK(agreed({true, false, 10, {}}, own) == deflate_agreement{{10, false}, {11, false}});
}

TEST_CASE("deflate_params: what a client offers (RFC 7692 7.1)") {
    const auto offered = [](const deflate_options& w) {
        std::string out;
        for (const auto& offer : deflate_offers(w)) {
            CHECK(is_valid_offer(offer));
            out += encode(offer) + ",";
        }
        return out;
    };
    CHECK(deflate_offers({}).empty());
    CHECK(offered(wants()) == "permessage-deflate; client_max_window_bits,");
    CHECK(offered(wants(10, 11)) ==
          "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10,");
    deflate_options w = wants();
    w.own_context_takeover = w.peer_context_takeover = false;
    CHECK(offered(w) == "permessage-deflate; server_no_context_takeover; "
                        "client_no_context_takeover; client_max_window_bits,");
    w.offers = {{true, false, {}, {}}, {}};
    CHECK(offered(w) == "permessage-deflate; server_no_context_takeover,permessage-deflate,");
    CHECK(!is_valid_offer({false, false, 7, {}}));
    CHECK(!is_valid_offer({false, false, 16, {}}));
    CHECK(!is_valid_offer({false, false, {}, 7}));
    CHECK(!is_valid_offer({false, false, {}, 16}));
}

TEST_CASE("deflate_params: each endpoint finds what it sends") {
    const deflate_agreement a{{10, false}, {11, true}};
    CHECK(a.sent_by(role::server) == deflate_direction{10, false});
    CHECK(a.sent_by(role::client) == deflate_direction{11, true});
}
