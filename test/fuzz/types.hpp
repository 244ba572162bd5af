#pragma once

#include <pgcoro/types/json.hpp>
#include <pgcoro/types/multiprecision.hpp>
#include <pgcoro/types/network.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/mp11/list.hpp>
#include <boost/uuid/uuid.hpp>

/// What the fuzz targets read.
namespace fuzz
{

enum class mood { sad, ok, happy };
BOOST_DESCRIBE_ENUM(mood, sad, ok, happy)

struct address
{
    std::string street;
    std::optional<int> number;
};

struct settings
{
    mood colours = mood::ok;
    std::vector<std::string> names;
    std::optional<int> size;
};
BOOST_DESCRIBE_STRUCT(settings, (), (colours, names, size))

} // namespace fuzz

template <>
inline constexpr bool pgcoro::is_composite<fuzz::address> = true;
template <>
inline constexpr bool pgcoro::is_json<fuzz::settings> = true;

namespace fuzz
{

template <class T>
using many = std::vector<std::optional<T>>;
using timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using nanoseconds = std::chrono::sys_time<std::chrono::nanoseconds>;
using local_timestamp = std::chrono::local_time<std::chrono::microseconds>;
using time_of_day = std::chrono::hh_mm_ss<std::chrono::microseconds>;

using readable = boost::mp11::mp_list<
    bool, std::int16_t, std::uint32_t, std::int64_t, std::uint64_t, float, double, char, std::string,
    std::string_view, std::vector<std::byte>, timestamp, nanoseconds, std::chrono::sys_seconds,
    local_timestamp, std::chrono::sys_days, std::chrono::year_month_day, time_of_day, pgcoro::time_tz,
    pgcoro::interval, std::chrono::milliseconds, pgcoro::or_infinity<timestamp>,
    pgcoro::or_infinity<std::chrono::sys_days>, pgcoro::numeric, boost::multiprecision::cpp_dec_float_50,
    boost::multiprecision::int128_t, boost::uuids::uuid, boost::json::value, settings, pgcoro::inet,
    pgcoro::cidr, boost::asio::ip::address, pgcoro::macaddr, pgcoro::macaddr8, pgcoro::bit_string,
    std::bitset<12>, pgcoro::hstore, pgcoro::raw, mood, address, std::tuple<std::string, many<int>>,
    std::vector<int>, std::vector<bool>, many<std::string>, std::vector<many<pgcoro::numeric>>,
    std::vector<std::vector<std::vector<std::int64_t>>>, std::array<std::array<std::optional<int>, 2>, 2>,
    many<address>, many<mood>, many<std::vector<std::byte>>, pgcoro::range<int>,
    pgcoro::range<pgcoro::numeric>, pgcoro::range<timestamp>, pgcoro::range<std::string>,
    pgcoro::multirange<std::int64_t>, many<pgcoro::range<std::chrono::sys_days>>>;

// Every built-in type, its array, and one that nobody knows.
inline const auto column_types = [] {
    std::vector<pgcoro::oid> all{pgcoro::oids::first_user_defined};
    for (const auto& known : pgcoro::detail::builtin_types) {
        all.push_back(known.type);
        if (known.array != pgcoro::oids::infer) all.push_back(known.array);
    }
    return all;
}();

} // namespace fuzz
