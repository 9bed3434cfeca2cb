#include <sansocket/wire/message.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

#include <span>
#include <string>
#include <type_traits>

using namespace sansocket;

static_assert(std::is_trivially_copyable_v<message_view>);
static_assert(!std::is_convertible_v<message_view, message>, "a copy is asked for by name");

TEST_CASE("message: a view shows bytes as characters, where they lie") {
    const auto payload = support::bytes("caf\xc3\xa9");
    const message_view view{message_kind::text, payload};

    CHECK(view.text() == "caf\xc3\xa9");
    CHECK(static_cast<const void*>(view.text().data()) == payload.data());
    CHECK(message_view{}.text().empty());
}

TEST_CASE("message: an owner outlives what it was made from") {
    message owner;
    {
        const auto payload = support::hex("00 01 ff");
        owner = message{message_view{message_kind::binary, payload}};
    }
    CHECK(owner.kind == message_kind::binary);
    CHECK(support::to_hex(owner.bytes()) == "0001ff");
}

TEST_CASE("message: equal are those of one kind and one payload") {
    const message text{message_kind::text, "a"};
    CHECK(text == message{message_kind::text, "a"});
    CHECK(text != message{message_kind::binary, "a"});
    CHECK(text != message{message_kind::text, "b"});
    CHECK(message{} == message{message_kind::text, ""});
}

TEST_CASE("message: a piece that is kept outlives what it was made from") {
    sansocket::message_piece piece;
    {
        const auto payload = support::hex("61 62");
        piece = sansocket::message_piece{
            sansocket::message_piece_view{message_kind::binary, payload, true, false}};
    }
    CHECK(piece.kind == message_kind::binary);
    CHECK(piece.data == "ab");
    CHECK(piece.first);
    CHECK_FALSE(piece.last);
}
