// What the second level keeps: whole, or not at all.
#include "cache/shared_value.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using namespace pgcoro::detail;

namespace
{

over_by snapshot(std::string_view text)
{
    over_by s;
    BOOST_REQUIRE(over_by::parse(text, s));
    return s;
}

std::shared_ptr<const result> some_rows()
{
    auto* made = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
    char first[] = "id";
    char second[] = "owner";
    PGresAttDesc columns[] = {{first, 1, 1, 1, 23, 4, -1}, {second, 1, 2, 1, 25, -1, -1}};
    PQsetResultAttrs(made, 2, columns);
    char one[] = {0, 0, 0, 1};
    char ann[] = "ann";
    char nothing[] = "";
    PQsetvalue(made, 0, 0, one, 4);
    PQsetvalue(made, 0, 1, ann, 3);
    PQsetvalue(made, 1, 0, nullptr, -1);
    PQsetvalue(made, 1, 1, nothing, 0);
    return std::make_shared<const result>(made);
}

shared_value sample()
{
    return {std::string("a key\0 with a NUL", 17), snapshot("5:9:5,7"),
            std::chrono::microseconds(123),        std::chrono::seconds(30),
            std::chrono::milliseconds(4),          some_rows()};
}

} // namespace

BOOST_AUTO_TEST_SUITE(cache_shared_value)

BOOST_AUTO_TEST_CASE(a_value_comes_back_as_it_went)
{
    auto bytes = to_bytes(sample());
    BOOST_REQUIRE(bytes);
    auto back = from_bytes(*bytes);
    BOOST_REQUIRE(back);
    BOOST_TEST(back->key == sample().key);
    BOOST_TEST(back->over.xmin == 5u);
    BOOST_TEST(back->over.xmax == 9u);
    BOOST_TEST(back->over.running == (std::vector<std::uint64_t>{5, 7}), boost::test_tools::per_element());
    BOOST_TEST(back->server_time.count() == 123);
    BOOST_TEST((back->ttl == std::chrono::seconds(30)));
    BOOST_TEST((back->cost == std::chrono::milliseconds(4)));
    using both = std::tuple<std::optional<std::int32_t>, std::string>;
    auto rows = back->rows->as<both>();
    BOOST_TEST((rows == std::vector<both>{{1, "ann"}, {std::nullopt, ""}}));
}

BOOST_AUTO_TEST_CASE(what_is_cut_short_or_has_something_behind_it_is_nothing)
{
    auto bytes = to_bytes(sample()).value();
    for (std::size_t n = 0; n < bytes.size(); ++n)
        BOOST_TEST(!from_bytes(std::string_view(bytes).substr(0, n)), "cut to " << n);
    BOOST_TEST(!from_bytes(bytes + 'x'));
}

BOOST_AUTO_TEST_CASE(bytes_that_were_changed_give_nothing_or_a_value_that_can_be_read)
{
    auto whole = to_bytes(sample()).value();
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (char flip : {char(1), char(0x80), char(0xff)}) {
            auto bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ flip);
            auto back = from_bytes(bytes);
            if (back) BOOST_TEST(back->rows->columns().size() == 2u);
        }
}

BOOST_AUTO_TEST_CASE(a_result_without_columns_cannot_be_kept)
{
    auto v = sample();
    v.rows = std::make_shared<const result>(PQmakeEmptyPGresult(nullptr, PGRES_COMMAND_OK));
    BOOST_TEST(!to_bytes(v));
    v.rows = std::make_shared<const result>();
    BOOST_TEST(!to_bytes(v));
}

BOOST_AUTO_TEST_CASE(a_snapshot_includes_another_if_all_that_was_over_then_is_over)
{
    auto includes = [](const char* later, const char* earlier) {
        return snapshot(later).includes(snapshot(earlier));
    };
    BOOST_TEST(includes("10:10:", "10:10:"));
    BOOST_TEST(includes("12:12:", "10:11:10"));
    BOOST_TEST(!includes("10:10:", "10:11:10")); // … and it need not have changed anything that matters
    BOOST_TEST(includes("10:15:10", "10:12:10"));
    BOOST_TEST(!includes("10:15:10", "11:11:")); // 10 was over
    BOOST_TEST(includes("10:15:10,13", "10:12:10"));
    BOOST_TEST(!includes("10:15:10,11", "10:12:10"));
    BOOST_TEST(!includes("9:9:", "10:10:"));
}

BOOST_AUTO_TEST_CASE(a_snapshot_that_is_none_is_refused)
{
    over_by s;
    for (auto* text : {"", "1", "1:2", "a:b:", "1:2:x", "3:2:", "1:9:5,", "1:9:7,5", "1:9:5 ", "-1:2:"})
        BOOST_TEST(!over_by::parse(text, s), text);
}

BOOST_AUTO_TEST_SUITE_END()
