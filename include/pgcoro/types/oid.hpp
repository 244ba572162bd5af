#pragma once

#include <pgcoro/export.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// The number PostgreSQL knows a type by. 0 stands for "the server infers it".
using oid = std::uint32_t;

/// Numbers of built-in types: PostgreSQL's `src/include/catalog/pg_type.dat`; they never change.
namespace oids
{
inline constexpr oid infer = 0;
inline constexpr oid boolean = 16;
inline constexpr oid bytea = 17;
inline constexpr oid char_ = 18;
inline constexpr oid name = 19;
inline constexpr oid int8 = 20;
inline constexpr oid int2 = 21;
inline constexpr oid int2vector = 22;
inline constexpr oid int4 = 23;
inline constexpr oid text = 25;
inline constexpr oid oid_ = 26;
inline constexpr oid xid = 28;
inline constexpr oid oidvector = 30;
inline constexpr oid json = 114;
inline constexpr oid xml = 142;
inline constexpr oid cidr = 650;
inline constexpr oid float4 = 700;
inline constexpr oid float8 = 701;
inline constexpr oid unknown = 705;
inline constexpr oid macaddr8 = 774;
inline constexpr oid macaddr = 829;
inline constexpr oid inet = 869;
inline constexpr oid bpchar = 1042;
inline constexpr oid varchar = 1043;
inline constexpr oid date = 1082;
inline constexpr oid time = 1083;
inline constexpr oid timestamp = 1114;
inline constexpr oid timestamptz = 1184;
inline constexpr oid interval = 1186;
inline constexpr oid timetz = 1266;
inline constexpr oid bit = 1560;
inline constexpr oid varbit = 1562;
inline constexpr oid numeric = 1700;
inline constexpr oid record = 2249;
inline constexpr oid void_ = 2278;
inline constexpr oid uuid = 2950;
inline constexpr oid jsonb = 3802;
inline constexpr oid int4range = 3904;
inline constexpr oid numrange = 3906;
inline constexpr oid tsrange = 3908;
inline constexpr oid tstzrange = 3910;
inline constexpr oid daterange = 3912;
inline constexpr oid int8range = 3926;
inline constexpr oid int4multirange = 4451;
inline constexpr oid nummultirange = 4532;
inline constexpr oid tsmultirange = 4533;
inline constexpr oid tstzmultirange = 4534;
inline constexpr oid datemultirange = 4535;
inline constexpr oid int8multirange = 4536;
inline constexpr oid xid8 = 5069;
/// Types made by users (enums, domains, extensions …) have numbers from here on.
inline constexpr oid first_user_defined = 16384;
} // namespace oids

namespace detail
{

// A built-in type: its number, that of its array, its SQL name.
struct builtin_type
{
    oid type;
    oid array; // 0 where there is none
    std::string_view name;
};

inline constexpr builtin_type builtin_types[] = {
    {oids::boolean, 1000, "boolean"},
    {oids::bytea, 1001, "bytea"},
    {oids::char_, 1002, "\"char\""},
    {oids::name, 1003, "name"},
    {oids::int8, 1016, "bigint"},
    {oids::int2, 1005, "smallint"},
    {oids::int2vector, 1006, "int2vector"},
    {oids::int4, 1007, "integer"},
    {oids::text, 1009, "text"},
    {oids::oid_, 1028, "oid"},
    {oids::xid, 1011, "xid"},
    {oids::oidvector, 1013, "oidvector"},
    {oids::json, 199, "json"},
    {oids::xml, 143, "xml"},
    {oids::cidr, 651, "cidr"},
    {oids::float4, 1021, "real"},
    {oids::float8, 1022, "double precision"},
    {oids::unknown, 0, "unknown"},
    {oids::macaddr8, 775, "macaddr8"},
    {oids::macaddr, 1040, "macaddr"},
    {oids::inet, 1041, "inet"},
    {oids::bpchar, 1014, "character"},
    {oids::varchar, 1015, "character varying"},
    {oids::date, 1182, "date"},
    {oids::time, 1183, "time without time zone"},
    {oids::timestamp, 1115, "timestamp without time zone"},
    {oids::timestamptz, 1185, "timestamp with time zone"},
    {oids::interval, 1187, "interval"},
    {oids::timetz, 1270, "time with time zone"},
    {oids::bit, 1561, "bit"},
    {oids::varbit, 1563, "bit varying"},
    {oids::numeric, 1231, "numeric"},
    {oids::record, 2287, "record"},
    {oids::void_, 0, "void"},
    {oids::uuid, 2951, "uuid"},
    {oids::jsonb, 3807, "jsonb"},
    {oids::int4range, 3905, "int4range"},
    {oids::numrange, 3907, "numrange"},
    {oids::tsrange, 3909, "tsrange"},
    {oids::tstzrange, 3911, "tstzrange"},
    {oids::daterange, 3913, "daterange"},
    {oids::int8range, 3927, "int8range"},
    {oids::int4multirange, 6150, "int4multirange"},
    {oids::nummultirange, 6151, "nummultirange"},
    {oids::tsmultirange, 6152, "tsmultirange"},
    {oids::tstzmultirange, 6153, "tstzmultirange"},
    {oids::datemultirange, 6155, "datemultirange"},
    {oids::int8multirange, 6157, "int8multirange"},
    {oids::xid8, 271, "xid8"},
};

// A built-in range: of what, and its multirange.
struct builtin_range
{
    oid element;
    oid range;
    oid multirange;
};

inline constexpr builtin_range builtin_ranges[] = {
    {oids::int4, oids::int4range, oids::int4multirange},
    {oids::int8, oids::int8range, oids::int8multirange},
    {oids::numeric, oids::numrange, oids::nummultirange},
    {oids::timestamp, oids::tsrange, oids::tsmultirange},
    {oids::timestamptz, oids::tstzrange, oids::tstzmultirange},
    {oids::date, oids::daterange, oids::datemultirange},
};

template <class Table>
constexpr oid look_up(const Table& table, auto from, auto to, oid wanted) noexcept
{
    if (wanted == oids::infer) return oids::infer;
    for (const auto& row : table)
        if (row.*from == wanted) return row.*to;
    return oids::infer;
}

} // namespace detail

/// The array of a built-in type (bigint → bigint[]); 0 for any other.
constexpr oid array_of(oid element) noexcept
{
    using detail::builtin_type;
    return detail::look_up(detail::builtin_types, &builtin_type::type, &builtin_type::array, element);
}

/// What a built-in array holds (bigint[] → bigint); 0 for what is no built-in array.
constexpr oid element_of(oid array) noexcept
{
    using detail::builtin_type;
    if (array == oids::int2vector) return oids::int2; // arrays by another name
    if (array == oids::oidvector) return oids::oid_;
    return detail::look_up(detail::builtin_types, &builtin_type::array, &builtin_type::type, array);
}

/// The built-in range over a type (bigint → int8range); 0 where there is none.
constexpr oid range_of(oid element) noexcept
{
    using detail::builtin_range;
    return detail::look_up(detail::builtin_ranges, &builtin_range::element, &builtin_range::range, element);
}

/// The built-in multirange over a type (bigint → int8multirange); 0 where there is none.
constexpr oid multirange_of(oid element) noexcept
{
    using detail::builtin_range;
    return detail::look_up(detail::builtin_ranges, &builtin_range::element, &builtin_range::multirange,
                           element);
}

/// What a built-in range or multirange is over (int8range → bigint); 0 for any other type.
constexpr oid bound_of(oid range) noexcept
{
    using detail::builtin_range;
    auto found =
        detail::look_up(detail::builtin_ranges, &builtin_range::range, &builtin_range::element, range);
    if (found != oids::infer) return found;
    return detail::look_up(detail::builtin_ranges, &builtin_range::multirange, &builtin_range::element,
                           range);
}

/// Was the type made by a user or an extension?
constexpr bool is_user_defined(oid type) noexcept { return type >= oids::first_user_defined; }

/// The SQL name of a built-in type ("bigint", "timestamp with time zone[]"), or "type with OID n".
std::string type_name(oid type);

} // namespace pgcoro
