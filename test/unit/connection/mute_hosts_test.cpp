#include "connection/mute_hosts.hpp"
#include "connection/name_lookup.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using namespace std::chrono_literals;
using pgcoro::detail::mute_host_memory;
using pgcoro::detail::shared_lookups;

namespace
{

constexpr pgcoro::detail::clock::time_point start{std::chrono::hours(1)};

} // namespace

BOOST_AUTO_TEST_SUITE(hosts_that_hang)

BOOST_AUTO_TEST_CASE(mute_host_is_forgotten_after_a_while)
{
    mute_host_memory memory;
    memory.timed_out("a", start);
    BOOST_TEST(memory.is_mute("a", start));
    BOOST_TEST(!memory.is_mute("b", start));
    BOOST_TEST(memory.is_mute("a", start + mute_host_memory::remembered_for - 1ms));
    BOOST_TEST(!memory.is_mute("a", start + mute_host_memory::remembered_for));
}

BOOST_AUTO_TEST_CASE(mute_host_is_forgotten_when_it_answers)
{
    mute_host_memory memory;
    memory.timed_out("a", start);
    memory.answered("a");
    BOOST_TEST(!memory.is_mute("a", start));
}

BOOST_AUTO_TEST_CASE(memory_of_mute_hosts_is_bounded)
{
    mute_host_memory memory;
    for (std::size_t i = 0; i <= mute_host_memory::most; ++i)
        memory.timed_out(std::to_string(i), start + std::chrono::milliseconds(i));
    auto now = start + 2s;
    BOOST_TEST(!memory.is_mute("0", now)); // the oldest one
    BOOST_TEST(memory.is_mute("1", now));
    BOOST_TEST(memory.is_mute(std::to_string(mute_host_memory::most), now));
}

BOOST_AUTO_TEST_CASE(look_up_under_way_is_joined_until_it_is_old)
{
    using shared = shared_lookups;
    BOOST_TEST(shared::choose({}, start) == 0u); // a new one
    BOOST_TEST(shared::choose({start}, start + 1s) == 0u);
    BOOST_TEST(shared::choose({start}, start + shared::joined_for) == 1u); // a new one
    BOOST_TEST(shared::choose({start, start + 10s}, start + 11s) == 1u);
    BOOST_TEST(shared::choose({start, start + 10s, start + 20s}, start + 40s) == 3u); // a new one
    BOOST_TEST(shared::choose({start, start + 10s, start + 20s, start + 30s}, start + 10h) == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
