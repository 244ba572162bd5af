#include <pgcoro/types/chrono.hpp>

#include <limits>
#include <string>

namespace pgcoro
{
namespace detail
{
namespace
{

using namespace std::chrono;

// PostgreSQL counts from 2000-01-01.
constexpr days epoch = sys_days(year(2000) / January / 1).time_since_epoch();

// Its limits, counted so: MIN_TIMESTAMP, END_TIMESTAMP, DATETIME_MIN_JULIAN and DATE_END_JULIAN of
// PostgreSQL's src/include/datatype/timestamp.h.
constexpr std::int64_t least_timestamp = -211'813'488'000'000'000;
constexpr std::int64_t end_timestamp = 9'223'371'331'200'000'000;
constexpr std::int64_t least_date = -2'451'545;
constexpr std::int64_t end_date = 2'145'031'949;

constexpr microseconds day = days(1);

} // namespace

void throw_duration_range()
{
    throw_mapping_error("the time is out of the unit's range: use a coarser unit");
}

void throw_duration_precision()
{
    throw_mapping_error(
        "the time is no whole number of the unit: use a finer unit, or round in the statement");
}

microseconds decode_timestamp(field_view f)
{
    if (f.size != 8) throw_mapping_error("a timestamp has 8 bytes");
    if (infinity_of<timestamp_wire>(f) != 0)
        throw_mapping_error("the timestamp is infinite: use pgcoro::or_infinity");
    auto since_2000 = read_number<timestamp_wire>(f.data);
    constexpr auto most = std::numeric_limits<std::int64_t>::max() - microseconds(epoch).count();
    if (since_2000 > most)
        throw_mapping_error("the timestamp is beyond the year 294246, where microseconds since 1970 end");
    return microseconds(since_2000) + epoch;
}

void encode_timestamp(microseconds since_1970, encoder& out)
{
    constexpr auto least = microseconds(least_timestamp) + epoch;
    if (since_1970 < least || since_1970 - epoch >= microseconds(end_timestamp))
        throw_mapping_error("the time is out of PostgreSQL's range, 4713 BC to 294276 AD");
    out.number(static_cast<timestamp_wire>((since_1970 - epoch).count()));
}

days decode_date(field_view f)
{
    if (f.size != 4) throw_mapping_error("a date has 4 bytes");
    if (infinity_of<date_wire>(f) != 0) throw_mapping_error("the date is infinite: use pgcoro::or_infinity");
    return days(static_cast<std::int64_t>(read_number<date_wire>(f.data))) + epoch;
}

void encode_date(days since_1970, encoder& out)
{
    if (since_1970 < days(least_date) + epoch || since_1970 >= days(end_date) + epoch)
        throw_mapping_error("the date is out of PostgreSQL's range, 4713 BC to 5874897 AD");
    out.number(static_cast<date_wire>((since_1970 - epoch).count()));
}

microseconds decode_time_of_day(std::int64_t count)
{
    if (count < 0 || count > day.count()) throw_mapping_error("a time of day beyond 24 hours");
    return microseconds(count);
}

void encode_time_of_day(microseconds since_midnight, encoder& out)
{
    if (since_midnight < microseconds(0) || since_midnight > day)
        throw_mapping_error("a time of day must be between 00:00 and 24:00");
    out.number(static_cast<std::int64_t>(since_midnight.count()));
}

} // namespace detail

using namespace std::chrono;

year_month_day codec<year_month_day>::decode(field_view f)
{
    auto date = sys_days(detail::decode_date(f));
    if (date < sys_days(year::min() / January / 1) || date > sys_days(year::max() / December / 31))
        throw_mapping_error("the date is out of std::chrono::year's range: use std::chrono::sys_days");
    return date;
}

void codec<year_month_day>::encode(year_month_day v, encoder& out)
{
    if (!v.ok()) throw_mapping_error("the date does not exist in the calendar");
    detail::encode_date(sys_days(v).time_since_epoch(), out);
}

hh_mm_ss<microseconds> codec<hh_mm_ss<microseconds>>::decode(field_view f)
{
    if (f.size != 8) throw_mapping_error("a time has 8 bytes");
    return time(detail::decode_time_of_day(read_number<std::int64_t>(f.data)));
}

void codec<hh_mm_ss<microseconds>>::encode(const time& v, encoder& out)
{
    detail::encode_time_of_day(v.to_duration(), out);
}

namespace
{

constexpr seconds zone_limit = hours(16); // exclusive: TZDISP_LIMIT of PostgreSQL's timestamp.h

} // namespace

time_tz codec<time_tz>::decode(field_view f)
{
    decoder in(f.bytes());
    auto since_midnight = detail::decode_time_of_day(in.number<std::int64_t>());
    seconds west(in.number<std::int32_t>()); // the wire counts westwards
    in.finish();
    if (west >= zone_limit || west <= -zone_limit) throw_mapping_error("a time zone beyond 16 hours");
    return {since_midnight, -west};
}

void codec<time_tz>::encode(const time_tz& v, encoder& out)
{
    detail::encode_time_of_day(v.since_midnight, out);
    if (v.east_of_utc >= zone_limit || v.east_of_utc <= -zone_limit)
        throw_mapping_error("a time zone must be less than 16 hours from UTC");
    out.number(static_cast<std::int32_t>(-v.east_of_utc.count()));
}

interval codec<interval>::decode(field_view f)
{
    decoder in(f.bytes());
    interval v;
    v.time = microseconds(in.number<std::int64_t>());
    v.days = in.number<std::int32_t>();
    v.months = in.number<std::int32_t>();
    in.finish();
    return v;
}

void codec<interval>::encode(const interval& v, encoder& out)
{
    out.number(static_cast<std::int64_t>(v.time.count()));
    out.number(v.days);
    out.number(v.months);
}

} // namespace pgcoro
