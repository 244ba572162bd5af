#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <map>
#include <optional>
#include <string>

namespace PGCORO_API pgcoro
{

/// hstore, an extension's type of text keys and values, which may be NULL.
using hstore = std::map<std::string, std::optional<std::string>>;

/// The extension's OID differs from database to database: any user's type is read whose bytes are an hstore,
/// and a parameter is text whose type the statement infers (`$1::hstore` where nothing else says what it is).
template <>
struct codec<hstore>
{
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static constexpr bool accepts(oid t) noexcept { return is_user_defined(t); }
    static hstore decode(field_view f);
    static void encode(const hstore& v, encoder& out);
};

} // namespace pgcoro
