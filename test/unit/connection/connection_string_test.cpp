#include "connection/connection_string.hpp"
#include "from_environment.hpp"

#include <boost/test/unit_test.hpp>

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

using pgcoro::detail::conninfo;
using pgcoro::detail::split_connection_string;
using pgcoro::detail::strictness;

namespace
{

bool is_keyword(std::string_view keyword)
{
    static const auto known = [] {
        std::vector<std::string> all;
        std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconndefaults(),
                                                                             &PQconninfoFree);
        for (auto* o = options.get(); o->keyword; ++o) all.emplace_back(o->keyword);
        return all;
    }();
    return std::ranges::find(known, keyword) != known.end();
}

conninfo split(std::string_view text)
{
    return split_connection_string(text, is_keyword, strictness::strict);
}

std::string refusal(std::string_view text)
{
    try {
        split(text);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "accepted";
}

std::optional<conninfo> as_libpq(const std::string& text)
{
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
        PQconninfoParse(text.c_str(), nullptr), &PQconninfoFree);
    if (!parsed) return std::nullopt;
    conninfo all;
    for (auto* o = parsed.get(); o->keyword; ++o)
        if (o->val) all.emplace(o->keyword, o->val);
    return all;
}

std::optional<conninfo> as_ours(const std::string& text)
{
    try {
        return split_connection_string(text, is_keyword, strictness::as_libpq);
    } catch (const std::invalid_argument&) {
        return std::nullopt;
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(connection_strings)

BOOST_AUTO_TEST_CASE(uri_is_split_into_its_parts)
{
    auto parts = split("postgresql://app:s%2Fcret@db.example:5433/shop?sslmode=require&options=-c%20a%3Db");
    BOOST_TEST((parts == conninfo{{"user", "app"},
                                  {"password", "s/cret"},
                                  {"host", "db.example"},
                                  {"port", "5433"},
                                  {"dbname", "shop"},
                                  {"sslmode", "require"},
                                  {"options", "-c a=b"}}));
}

BOOST_AUTO_TEST_CASE(uri_with_several_hosts_has_lists)
{
    auto parts = split("postgres://a:1,[::1]:2,c/d");
    BOOST_TEST(parts["host"] == "a,::1,c");
    BOOST_TEST(parts["port"] == "1,2,");
}

BOOST_AUTO_TEST_CASE(pairs_are_split_and_unquoted)
{
    auto parts = split(R"(host = h  user='it'port=5432 password='a \'b\' \\' dbname=a\ b)");
    BOOST_TEST(parts["host"] == "h");
    BOOST_TEST(parts["user"] == "it");
    BOOST_TEST(parts["password"] == R"(a 'b' \)");
    BOOST_TEST(parts["dbname"] == "a b");
}

BOOST_AUTO_TEST_CASE(errors_say_what_is_wrong_and_where)
{
    const std::pair<const char*, const char*> cases[] = {
        {"", "it is empty"},
        {"postgresql://app:hun%ter2@db/app", "position 21: % is not followed by two hexadecimal digits"},
        {"postgresql://app:hun%00@db/app", "position 21: %00 is not allowed"},
        {"postgresql://app:hun/ter2@db/app", "position 18: the port is not a number from 1 to 65535"},
        {"postgresql://app:12/ter2@db/app", "position 25: an @ belongs to neither host nor database"},
        {"postgresql://app:hun@ter2@db/app", "position 26: an @ belongs to neither host nor database"},
        {"postgresql://db:http/app", "position 17: the port is not a number"},
        {"postgresql://db:65536/app", "position 17: the port is not a number"},
        {"postgresql://db/app?port=x", "position 21: the port is not a number"},
        {"postgresql://[::1/app", "position 14: the [ of an IPv6 address has no ]"},
        {"postgresql://[]/app", "the IPv6 address between [ and ] is empty"},
        {"postgresql://[::1]x/app", "position 19: after the ]"},
        {"postgresql://db/app?sslmode", "position 21: a parameter behind the ? has no ="},
        {"postgresql://db/app?a=b=c", "position 24: a parameter behind the ? has a second ="},
        {"postgresql://db/app?nonsense=1", "position 21: libpq does not know the parameter"},
        {"mysql://app:hunter2@db/app", "position 1: a URI begins with postgresql:// or postgres://"},
        {"host=db password=hun ter2", "position 22: a parameter has no = after its name"},
        {"host=db password='hunter2", "position 18: a quoted value does not end"},
        {"host=db hunter2=x", "position 9: libpq does not know the parameter"},
        {"host=db port=x", "position 9: the port is not a number"},
        {"user=app\\ password=hunter2", "position 1: the value has the name of another parameter in it"},
    };
    for (auto& [text, expected] : cases) {
        auto what = refusal(text);
        BOOST_TEST(what.find(expected) != what.npos, text << ": " << what);
        BOOST_TEST(what.find("hun") == what.npos, what);
        BOOST_TEST(what.find("ter2") == what.npos, what);
    }
    BOOST_TEST(refusal(std::string_view("host=a\0b", 8)).find("NUL") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(random_strings_are_split_as_libpq_splits_them)
{
    const std::vector<std::string> words{"postgresql://",
                                         "postgres://",
                                         "host",
                                         "port",
                                         "=",
                                         " ",
                                         "'",
                                         "\\",
                                         "%",
                                         "%2",
                                         "%41",
                                         "%00",
                                         "/",
                                         "?",
                                         "&",
                                         ":",
                                         ",",
                                         "@",
                                         "[",
                                         "]",
                                         "user",
                                         "password",
                                         "sslmode",
                                         "ssl=true",
                                         "requiressl=1",
                                         "a",
                                         "0",
                                         "5432",
                                         "\t",
                                         "dbname=",
                                         "nonsense"};
    std::mt19937 random(4711);
    int accepted = 0;
    for (int i = 0; i < test::repeated(200'000); ++i) {
        std::string text = random() % 2 ? "postgresql://" : "";
        auto length = 1 + random() % 12;
        for (std::size_t n = 0; n < length; ++n) text += words[random() % words.size()];
        // From libpq 17 on white space in a URI is trimmed or refused; here it is a character like others.
        if (PQlibVersion() >= 170000 && text.find_first_of(" \t") != text.npos) continue;
        auto ours = as_ours(text);
        BOOST_REQUIRE_MESSAGE(ours == as_libpq(text), "differs from libpq: " << text);
        accepted += ours.has_value();
    }
    BOOST_TEST(accepted > test::repeated(1'000));
}

BOOST_AUTO_TEST_SUITE_END()
