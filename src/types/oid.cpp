#include <pgcoro/types/oid.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace pgcoro
{
namespace
{

struct named
{
    oid type;
    std::string_view name;
};

constexpr std::array names{
    named{oids::boolean, "boolean"},
    named{oids::bytea, "bytea"},
    named{oids::char_, "\"char\""},
    named{oids::name, "name"},
    named{oids::int8, "bigint"},
    named{oids::int2, "smallint"},
    named{oids::int4, "integer"},
    named{oids::text, "text"},
    named{oids::oid_, "oid"},
    named{oids::xid, "xid"},
    named{oids::json, "json"},
    named{oids::xml, "xml"},
    named{oids::float4, "real"},
    named{oids::float8, "double precision"},
    named{oids::unknown, "unknown"},
    named{oids::bpchar, "character"},
    named{oids::varchar, "character varying"},
    named{oids::date, "date"},
    named{oids::time, "time without time zone"},
    named{oids::timestamp, "timestamp without time zone"},
    named{oids::timestamptz, "timestamp with time zone"},
    named{oids::interval, "interval"},
    named{oids::timetz, "time with time zone"},
    named{oids::numeric, "numeric"},
    named{oids::void_, "void"},
    named{oids::uuid, "uuid"},
    named{oids::jsonb, "jsonb"},
    named{oids::xid8, "xid8"},
};

} // namespace

std::string type_name(oid type)
{
    auto it = std::find_if(names.begin(), names.end(), [&](const named& n) { return n.type == type; });
    if (it != names.end()) return std::string(it->name);
    return "type with OID " + std::to_string(type);
}

} // namespace pgcoro
