#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

namespace PGCORO_API pgcoro
{

/// PostgreSQL's interval. Its parts are kept apart: a month has 28 to 31 days, a day 23 to 25 hours.
/// PostgreSQL 17's infinite intervals are all three parts at their largest, or at their least.
struct interval
{
    std::int32_t months = 0;
    std::int32_t days = 0;
    std::chrono::microseconds time{0};

    friend bool operator==(const interval&, const interval&) = default;
};

/// A time of day with its zone's offset: PostgreSQL's timetz.
struct time_tz
{
    std::chrono::microseconds since_midnight{0}; ///< 0 to 24 hours, both included
    std::chrono::seconds east_of_utc{0};         ///< less than 16 hours either way; +1 h in Paris in winter

    friend bool operator==(const time_tz&, const time_tz&) = default;
};

/// A date or timestamp that may be PostgreSQL's `infinity` or `-infinity`:
/// `or_infinity<std::chrono::sys_days>`.
template <class T>
struct or_infinity
{
    T value{};        ///< counts when `infinite` is 0
    int infinite = 0; ///< +1: infinity; -1: -infinity; 0: neither

    static or_infinity positive() { return {{}, +1}; }
    static or_infinity negative() { return {{}, -1}; }

    friend bool operator==(const or_infinity&, const or_infinity&) = default;
};

namespace detail
{

// What the wire has, as counted from 1970. They throw on infinity and on what PostgreSQL cannot hold.
std::chrono::microseconds decode_timestamp(field_view f);
void encode_timestamp(std::chrono::microseconds since_1970, encoder& out);
std::chrono::days decode_date(field_view f);
void encode_date(std::chrono::days since_1970, encoder& out);

std::chrono::microseconds decode_time_of_day(std::int64_t microseconds);
void encode_time_of_day(std::chrono::microseconds since_midnight, encoder& out);

// PostgreSQL's ±infinity: the largest and the least number of the wire's type. 0 for all else.
template <class Wire>
int infinity_of(field_view f) noexcept
{
    if (f.size != sizeof(Wire)) return 0;
    auto v = read_number<Wire>(f.data);
    return v == std::numeric_limits<Wire>::max() ? +1 : v == std::numeric_limits<Wire>::min() ? -1 : 0;
}

using date_wire = std::int32_t;
using timestamp_wire = std::int64_t;

[[noreturn]] void throw_duration_range();
[[noreturn]] void throw_duration_precision();

// A whole number of units that divide a microsecond, or are made of whole ones.
template <class D>
concept duration = std::integral<typename D::rep> &&
    (std::ratio_divide<typename D::period, std::micro>::den == 1 ||
     std::ratio_divide<typename D::period, std::micro>::num == 1);

// Into another unit, downwards; throws when the unit's type cannot count that far.
template <duration To, duration From>
constexpr To floor_checked(From d)
{
    using std::chrono::duration_cast;
    // long double has 64 bits of mantissa where it matters, and only decides, never converts.
    using wide = std::chrono::duration<long double, typename To::period>;
    auto approximate = std::chrono::duration_cast<wide>(d);
    if (approximate < wide(To::min()) || approximate > wide(To::max())) throw_duration_range();
    return std::chrono::floor<To>(d);
}

// Into another unit; throws when that would lose something.
template <duration To, duration From>
constexpr To exactly(From d)
{
    auto converted = floor_checked<To>(d);
    if (converted != d) throw_duration_precision();
    return converted;
}

} // namespace detail

/// timestamptz. A unit finer than microseconds (`system_clock::now()` counts nanoseconds) is rounded down
/// when sent. Read, the value must fit exactly: microseconds into `sys_seconds` is a `mapping_error` unless
/// they are zero, as is a time that the unit cannot count to. So is infinity: see `or_infinity`.
template <detail::duration D>
struct codec<std::chrono::sys_time<D>>
{
    static constexpr oid type = oids::timestamptz;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::timestamptz; }
    static std::chrono::sys_time<D> decode(field_view f)
    {
        return std::chrono::sys_time<D>(detail::exactly<D>(detail::decode_timestamp(f)));
    }
    static void encode(std::chrono::sys_time<D> v, encoder& out)
    {
        detail::encode_timestamp(detail::floor_checked<std::chrono::microseconds>(v.time_since_epoch()), out);
    }
};

/// timestamp (without time zone): as `sys_time`, but of no known place.
template <detail::duration D>
struct codec<std::chrono::local_time<D>>
{
    static constexpr oid type = oids::timestamp;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::timestamp; }
    static std::chrono::local_time<D> decode(field_view f)
    {
        return std::chrono::local_time<D>(detail::exactly<D>(detail::decode_timestamp(f)));
    }
    static void encode(std::chrono::local_time<D> v, encoder& out)
    {
        detail::encode_timestamp(detail::floor_checked<std::chrono::microseconds>(v.time_since_epoch()), out);
    }
};

namespace detail
{

template <class Point>
struct date_codec
{
    static constexpr oid type = oids::date;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::date; }
    static Point decode(field_view f) { return Point(decode_date(f)); }
    static void encode(Point v, encoder& out) { encode_date(v.time_since_epoch(), out); }
};

} // namespace detail

/// date.
template <>
struct codec<std::chrono::sys_days> : detail::date_codec<std::chrono::sys_days>
{};

/// date.
template <>
struct codec<std::chrono::local_days> : detail::date_codec<std::chrono::local_days>
{};

/// date. Years that `std::chrono::year` cannot count (beyond 32767) and dates that are none (February 30) are
/// a `mapping_error`.
template <>
struct codec<std::chrono::year_month_day>
{
    static constexpr oid type = oids::date;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::date; }
    static std::chrono::year_month_day decode(field_view f);
    static void encode(std::chrono::year_month_day v, encoder& out);
};

/// time (without time zone), 00:00 to 24:00.
template <>
struct codec<std::chrono::hh_mm_ss<std::chrono::microseconds>>
{
    using time = std::chrono::hh_mm_ss<std::chrono::microseconds>;
    static constexpr oid type = oids::time;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::time; }
    static time decode(field_view f);
    static void encode(const time& v, encoder& out);
};

template <>
struct codec<time_tz>
{
    static constexpr oid type = oids::timetz;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::timetz; }
    static time_tz decode(field_view f);
    static void encode(const time_tz& v, encoder& out);
};

template <>
struct codec<interval>
{
    static constexpr oid type = oids::interval;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::interval; }
    static interval decode(field_view f);
    static void encode(const interval& v, encoder& out);
};

/// An interval of neither months nor days: one that has them is a `mapping_error`, because how long they are
/// depends on when. Sent, it is hours, minutes and seconds, also when it counts days. Rounding is
/// `sys_time`'s.
template <class Rep, class Period>
requires detail::duration<std::chrono::duration<Rep, Period>>
struct codec<std::chrono::duration<Rep, Period>>
{
    using duration = std::chrono::duration<Rep, Period>;
    static constexpr oid type = oids::interval;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::interval; }
    static duration decode(field_view f)
    {
        auto v = codec<interval>::decode(f);
        if (v.months != 0 || v.days != 0)
            throw_mapping_error("the interval has months or days: read it as pgcoro::interval");
        return detail::exactly<duration>(v.time);
    }
    static void encode(duration v, encoder& out)
    {
        codec<interval>::encode({0, 0, detail::floor_checked<std::chrono::microseconds>(v)}, out);
    }
};

template <class T>
requires(codec<T>::type == oids::date || codec<T>::type == oids::timestamp ||
         codec<T>::type == oids::timestamptz) struct codec<or_infinity<T>>
{
    static constexpr oid type = codec<T>::type;
    static constexpr format parameter_format = format::binary;
    using wire = std::conditional_t<type == oids::date, detail::date_wire, detail::timestamp_wire>;
    static constexpr bool accepts(oid t) noexcept { return t == type; }
    static or_infinity<T> decode(field_view f)
    {
        if (int infinite = detail::infinity_of<wire>(f); infinite != 0) return {{}, infinite};
        return {codec<T>::decode(f), 0};
    }
    static void encode(const or_infinity<T>& v, encoder& out)
    {
        if (v.infinite == 0)
            codec<T>::encode(v.value, out);
        else
            out.number(v.infinite > 0 ? std::numeric_limits<wire>::max() : std::numeric_limits<wire>::min());
    }
};

} // namespace pgcoro
