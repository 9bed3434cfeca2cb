#include <sansocket/wire/extension_list.hpp>

#include "support/catch.hpp"

#include <optional>
#include <string>
#include <string_view>

using namespace sansocket;

namespace {

// What was read of `value`: "name;parameter;parameter=value|name", and "!" at the end if it is bad.
std::string read(std::string_view value) {
    std::string out;
    extension_list list{value};
    while (const auto found = list.next()) {
        if (!out.empty()) out += '|';
        out += found->name;
        extension_parameters all{found->parameters};
        while (const auto p = all.next()) {
            out.append(";").append(p->name);
            if (p->value) out.append("=").append(*p->value);
        }
        CHECK(all.good());
    }
    return list.good() ? out : out + "!";
}

struct row {
    std::string_view value;
    std::string_view found;
};

constexpr row rows[] = {
    {"", ""},
    {" \t", ""},
    {",", ""},
    {" , ,a", "a"},
    {"a", "a"},
    {"a,", "a"},
    {" a , b\t,c ", "a|b|c"},
    {"a;b", "a;b"},
    {"a ; b ; c = d", "a;b;c=d"},
    {"a;b=\"c\"", "a;b=c"},
    {"a;b = \"c\" , d", "a;b=c|d"},
    {"a;b=\"\\1\\5\";c", "a;b=\\1\\5;c"},
    {"permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate",
     "permessage-deflate;client_max_window_bits;server_max_window_bits=10|permessage-deflate"},
    {"foo, bar; baz=2", "foo|bar;baz=2"},  // RFC 6455 9.1
    // What is no such list. What came before a fault may be read.
    {";", "!"},
    {"=", "!"},
    {"a b", "!"},
    {"a;", "!"},
    {"a;,b", "!"},
    {"a;b=", "!"},
    {"a;b=,c", "!"},
    {"a;=b", "!"},
    {"a;b=c d", "!"},
    {"a;b=\"\"", "!"},
    {"a;b=\"c", "!"},
    {"a;b=\"c\\", "!"},
    {"a;b=\"c d\"", "!"},
    {"a;b=\"c,d\"", "!"},
    {"a;b=\"c\\\"d\"", "!"},
    {"a;b=\"c\"d", "!"},
    {"a;b=c\"d\"", "!"},
    {"a=b", "!"},
    {"a/b", "!"},
    {"a\x80", "!"},
    {"a, b;", "a!"},
    {"\"a\"", "!"},
};

static_assert(extension_list{"a;b"}.next()->name == "a");

}  // namespace

TEST_CASE("extension_list: what is read, and what is no list (9.1)") {
    for (const row& r : rows) {
        INFO(r.value);
        CHECK(read(r.value) == r.found);
    }
}

TEST_CASE("extension_list: after a fault there is nothing more (9.1)") {
    extension_list list{"a;, b, c"};
    CHECK(!list.next());
    CHECK(!list.good());
    CHECK(!list.next());
    extension_parameters all{";a=;b"};
    CHECK(!all.next());
    CHECK(!all.good());
    CHECK(!all.next());
}

TEST_CASE("extension_list: a value is compared without its backslashes (9.1)") {
    const auto value_is = [](std::string_view value, std::string_view text) {
        return extension_parameter{"a", value}.value_is(text);
    };
    CHECK(value_is("15", "15"));
    CHECK(value_is("\\15", "15"));
    CHECK(value_is("1\\5", "15"));
    CHECK(value_is("\\1\\5", "15"));
    CHECK(!value_is("015", "15"));
    CHECK(!value_is("1", "15"));
    CHECK(!value_is("155", "15"));
    CHECK(!value_is("1\\", "15"));
    CHECK(!value_is("\\\\15", "15"));
    CHECK(!extension_parameter{"a", std::nullopt}.value_is(""));
}
