#include "base/server_identity.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::detail::parse_server_identity;
using pgcoro::detail::not_left_behind;
using pgcoro::detail::same_life;
using pgcoro::detail::same_system;
using pgcoro::detail::server_identity;

BOOST_AUTO_TEST_SUITE(server_identities)

BOOST_AUTO_TEST_CASE(text_is_read_and_what_is_missing_stays_zero)
{
    auto all = parse_server_identity("7713397199184801550 3 1795915239488962 17 18");
    BOOST_TEST(all.system == 7713397199184801550u);
    BOOST_TEST(all.timeline == 3u);
    BOOST_TEST(all.started == 1795915239488962);
    BOOST_TEST(all.statistics[0] == 17);
    BOOST_TEST(all.statistics[1] == 18);
    BOOST_CHECK(parse_server_identity("") == server_identity());
    BOOST_TEST(parse_server_identity("5 0").system == 5u);
}

BOOST_AUTO_TEST_CASE(a_clean_restart_is_the_same_life)
{
    server_identity before{7, 1, 100, {50, 60}};
    auto after = before;
    after.started = 200;
    BOOST_TEST(same_life(before, after));
}

BOOST_AUTO_TEST_CASE(a_crash_a_promotion_and_another_system_are_other_lives)
{
    server_identity before{7, 1, 100, {50, 60}};
    BOOST_TEST(!same_life(before, {7, 1, 100, {51, 61}}));
    BOOST_TEST(!same_life(before, {7, 2, 100, {50, 60}}));
    BOOST_TEST(!same_life(before, {8, 1, 100, {50, 60}}));
}

BOOST_AUTO_TEST_CASE(resetting_one_kind_of_statistics_is_no_crash)
{
    server_identity before{7, 1, 100, {50, 60}};
    BOOST_TEST(same_life(before, {7, 1, 100, {99, 60}}));
    BOOST_TEST(same_life(before, {7, 1, 100, {50, 99}}));
}

BOOST_AUTO_TEST_CASE(what_is_not_known_proves_nothing)
{
    server_identity unknown;
    BOOST_TEST(!same_system(unknown, unknown));
    BOOST_TEST(!same_life(unknown, unknown));
    BOOST_TEST(!same_life({7, 1, 0, {0, 0}}, {7, 1, 0, {0, 0}}));
    BOOST_TEST(!not_left_behind({7, 0, 0, {}}, {7, 5, 0, {}}));
}

BOOST_AUTO_TEST_CASE(an_older_timeline_was_left_behind)
{
    BOOST_TEST(!not_left_behind({7, 2, 0, {}}, {7, 1, 0, {}}));
    BOOST_TEST(not_left_behind({7, 2, 0, {}}, {7, 2, 0, {}}));
    BOOST_TEST(not_left_behind({7, 2, 0, {}}, {7, 3, 0, {}}));
}

BOOST_AUTO_TEST_SUITE_END()
