#include <pgcoro/types/chrono.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

using namespace pgcoro;
using namespace std::chrono;
using namespace std::chrono_literals;
using test::decode;
using test::encoded_hex;
using test::says;

namespace
{

using sys_microseconds = sys_time<microseconds>;
using local_microseconds = local_time<microseconds>;

constexpr auto leap_day = sys_days(2024y / February / 29);

} // namespace

BOOST_AUTO_TEST_SUITE(chrono)

BOOST_AUTO_TEST_CASE(timestamps_count_microseconds)
{
    auto noon = leap_day + 11h + 1us;
    BOOST_TEST((decode<sys_microseconds>(oids::timestamptz, "0002b581ede46c01") == noon));
    BOOST_TEST(encoded_hex(sys_microseconds(noon)) == "0002b581ede46c01");
    auto local = local_days(2024y / February / 29) + 12h + 500ms;
    BOOST_TEST((decode<local_microseconds>(oids::timestamp, "0002b582c47fb120") == local));
    BOOST_TEST(encoded_hex(local_microseconds(local)) == "0002b582c47fb120");
}

BOOST_AUTO_TEST_CASE(timestamps_with_and_without_zone_are_not_mixed_up)
{
    BOOST_TEST(!codec<sys_microseconds>::accepts(oids::timestamp));
    BOOST_TEST(!codec<local_microseconds>::accepts(oids::timestamptz));
    BOOST_TEST(!codec<sys_days>::accepts(oids::timestamptz));
}

BOOST_AUTO_TEST_CASE(what_the_clock_says_can_be_sent_rounded_down_to_microseconds)
{
    BOOST_TEST(encoded_hex(sys_time<nanoseconds>(leap_day + 11h + 1us + 999ns)) == "0002b581ede46c01");
    // Down also before 1970.
    BOOST_TEST(encoded_hex(sys_time<nanoseconds>(-1ns)) == encoded_hex(sys_time<microseconds>(-1us)));
}

BOOST_AUTO_TEST_CASE(a_coarser_unit_is_read_only_when_nothing_is_lost)
{
    BOOST_TEST((decode<sys_seconds>(oids::timestamptz, encoded_hex(sys_seconds(leap_day))) == leap_day));
    BOOST_CHECK_EXCEPTION(decode<sys_seconds>(oids::timestamptz, "0002b581ede46c01"), mapping_error,
                          says("finer unit"));
}

BOOST_AUTO_TEST_CASE(a_time_that_the_unit_cannot_count_to_is_an_error_and_does_not_wrap)
{
    using years_in_nanoseconds = sys_time<nanoseconds>;
    auto year_3000 = encoded_hex(sys_seconds(sys_days(3000y / January / 1)));
    BOOST_CHECK_EXCEPTION(decode<years_in_nanoseconds>(oids::timestamptz, year_3000), mapping_error,
                          says("coarser unit"));
    BOOST_CHECK_THROW(test::encoded(sys_time<hours>(hours::max())), mapping_error);
    BOOST_CHECK_THROW(test::encoded(sys_seconds::min()), mapping_error);
}

BOOST_AUTO_TEST_CASE(times_at_the_edge_of_postgresqls_range)
{
    auto least = decode<sys_microseconds>(oids::timestamptz, "fd0f7cc1411fa000"); // 4714-11-24 BC
    BOOST_TEST((least == sys_days(-4713y / November / 24)));
    BOOST_TEST(encoded_hex(least) == "fd0f7cc1411fa000");
    BOOST_CHECK_EXCEPTION(test::encoded(least - 1us), mapping_error, says("4713 BC"));
    BOOST_CHECK_THROW(test::encoded(sys_microseconds::min()), mapping_error);

    // 294246 is the last whole year that both sides can count.
    BOOST_TEST(encoded_hex(decode<local_microseconds>(oids::timestamp, "7ffca2465aa35fff")) ==
               "7ffca2465aa35fff");
    BOOST_TEST((test::round_trip(sys_microseconds::max()) == sys_microseconds::max()));
    BOOST_CHECK_EXCEPTION(decode<sys_microseconds>(oids::timestamptz, "7ffffffffffffffe"), mapping_error,
                          says("294246"));
}

BOOST_AUTO_TEST_CASE(infinity_is_an_error_unless_the_type_can_hold_it)
{
    BOOST_CHECK_EXCEPTION(decode<sys_microseconds>(oids::timestamptz, "7fffffffffffffff"), mapping_error,
                          says("infinite"));
    BOOST_CHECK_THROW(decode<sys_days>(oids::date, "80000000"), mapping_error);

    using timestamp = or_infinity<sys_microseconds>;
    using date = or_infinity<sys_days>;
    BOOST_TEST((decode<timestamp>(oids::timestamptz, "7fffffffffffffff") == timestamp::positive()));
    BOOST_TEST((decode<timestamp>(oids::timestamptz, "8000000000000000") == timestamp::negative()));
    BOOST_TEST((decode<timestamp>(oids::timestamptz, "0002b581ede46c01").value == leap_day + 11h + 1us));
    BOOST_TEST(encoded_hex(timestamp::negative()) == "8000000000000000");
    BOOST_TEST(encoded_hex(date::positive()) == "7fffffff");
    BOOST_TEST((test::round_trip(date{leap_day}) == date{leap_day}));
    BOOST_CHECK_THROW(decode<date>(oids::date, "7fff"), mapping_error);
    BOOST_CHECK_THROW(decode<timestamp>(oids::timestamptz, "7fffffff"), mapping_error);
}

BOOST_AUTO_TEST_CASE(dates_are_days_or_year_month_day)
{
    BOOST_TEST((decode<sys_days>(oids::date, "00002279") == leap_day));
    BOOST_TEST((decode<year_month_day>(oids::date, "00002279") == 2024y / February / 29));
    BOOST_TEST((decode<year_month_day>(oids::date, "fff49d7b") == -43y / March / 15)); // 44 BC
    BOOST_TEST(encoded_hex(year_month_day(2024y / February / 29)) == "00002279");
    BOOST_TEST(encoded_hex(local_days(1970y / January / 1)) == "ffffd533");
    BOOST_TEST(encoded_hex(decode<sys_days>(oids::date, "7fda970c")) == "7fda970c"); // 5874897-12-31
}

BOOST_AUTO_TEST_CASE(dates_that_one_side_cannot_hold_are_errors)
{
    BOOST_CHECK_EXCEPTION(decode<year_month_day>(oids::date, "7fda970c"), mapping_error, says("sys_days"));
    BOOST_CHECK_EXCEPTION(test::encoded(year_month_day(2023y / February / 29)), mapping_error,
                          says("does not exist"));
    BOOST_CHECK_THROW(test::encoded(sys_days::max()), mapping_error);
    BOOST_CHECK_THROW(test::encoded(sys_days::min()), mapping_error);
    BOOST_CHECK_THROW(test::encoded(sys_days(-4713y / November / 23)), mapping_error);
    BOOST_CHECK_THROW(decode<sys_days>(oids::date, "0000000000002279"), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_time_of_day_reaches_to_24_hours)
{
    using time = hh_mm_ss<microseconds>;
    auto read = decode<time>(oids::time, "000000141dd75fff");
    BOOST_TEST((read.to_duration() == 24h - 1us));
    BOOST_TEST((decode<time>(oids::time, "000000141dd76000").to_duration() == 24h));
    BOOST_TEST(encoded_hex(read) == "000000141dd75fff");
    BOOST_CHECK_THROW(decode<time>(oids::time, "000000141dd76001"), mapping_error);
    BOOST_CHECK_THROW(decode<time>(oids::time, "ffffffffffffffff"), mapping_error);
    BOOST_CHECK_THROW(test::encoded(time(-1us)), mapping_error);
    BOOST_CHECK_THROW(test::encoded(time(24h + 1us)), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_time_with_zone_counts_its_offset_eastwards)
{
    auto read = decode<time_tz>(oids::timetz, "0000000a7a3d2320fffff1f0"); // 12:30:00.5+01
    BOOST_TEST((read == time_tz{12h + 30min + 500ms, 1h}));
    BOOST_TEST(encoded_hex(read) == "0000000a7a3d2320fffff1f0");
    BOOST_CHECK_THROW(decode<time_tz>(oids::timetz, "0000000000000000ffff1f00"), mapping_error); // 16 hours
    BOOST_CHECK_THROW(test::encoded(time_tz{0us, 16h}), mapping_error);
    BOOST_CHECK_THROW(test::encoded(time_tz{0us, -16h}), mapping_error);
}

BOOST_AUTO_TEST_CASE(an_interval_keeps_months_days_and_time_apart)
{
    auto read = decode<interval>(oids::interval, "fffffffc9368357800000003fffffff2");
    BOOST_TEST((read == interval{-14, 3, -(4h + 5min + 6s + 789ms)}));
    BOOST_TEST(encoded_hex(read) == "fffffffc9368357800000003fffffff2");
    BOOST_CHECK_THROW(decode<interval>(oids::interval, "00000000000000000000000000"), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_duration_is_an_interval_without_months_and_days)
{
    BOOST_TEST(encoded_hex(1s) == "00000000000f42400000000000000000");
    BOOST_TEST((decode<milliseconds>(oids::interval, "00000000000f42400000000000000000") == 1s));
    BOOST_CHECK_EXCEPTION(decode<seconds>(oids::interval, "00000000000f42400000000100000000"), mapping_error,
                          says("pgcoro::interval"));
    BOOST_CHECK_THROW(decode<hours>(oids::interval, "00000000000f42400000000000000000"), mapping_error);
    BOOST_CHECK_THROW(test::encoded(hours::max()), mapping_error);
}

BOOST_AUTO_TEST_CASE(random_times_come_back)
{
    auto seed = std::random_device()();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> any(-210'866'803'200'000'000,
                                                    sys_microseconds::max().time_since_epoch().count());
    for (int i = 0; i < 1000; ++i) {
        BOOST_TEST_INFO("seed " << seed);
        sys_microseconds v{microseconds(any(random))};
        BOOST_TEST((test::round_trip(v) == v));
        BOOST_TEST_INFO("seed " << seed);
        auto day = floor<days>(v);
        BOOST_TEST((test::round_trip(day) == day));
    }
}

BOOST_AUTO_TEST_SUITE_END()
