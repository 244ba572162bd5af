#pragma once

#include <cstdint>
#include <string>

namespace pgcoro
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
inline constexpr oid int4 = 23;
inline constexpr oid text = 25;
inline constexpr oid oid_ = 26;
inline constexpr oid xid = 28;
inline constexpr oid json = 114;
inline constexpr oid xml = 142;
inline constexpr oid float4 = 700;
inline constexpr oid float8 = 701;
inline constexpr oid unknown = 705;
inline constexpr oid bpchar = 1042;
inline constexpr oid varchar = 1043;
inline constexpr oid date = 1082;
inline constexpr oid time = 1083;
inline constexpr oid timestamp = 1114;
inline constexpr oid timestamptz = 1184;
inline constexpr oid interval = 1186;
inline constexpr oid timetz = 1266;
inline constexpr oid numeric = 1700;
inline constexpr oid void_ = 2278;
inline constexpr oid uuid = 2950;
inline constexpr oid jsonb = 3802;
inline constexpr oid xid8 = 5069;
/// Types made by users (enums, domains, extensions …) have numbers from here on.
inline constexpr oid first_user_defined = 16384;
} // namespace oids

/// The SQL name of a built-in type ("bigint", "timestamp with time zone"), or "type with OID n".
std::string type_name(oid type);

} // namespace pgcoro
