#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

namespace boost::uuids
{
struct uuid; // <boost/uuid/uuid.hpp> is for those who have one
}

namespace PGCORO_API pgcoro
{

/// uuid.
template <>
struct codec<boost::uuids::uuid>
{
    static constexpr oid type = oids::uuid;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::uuid; }
    static boost::uuids::uuid decode(field_view f);
    static void encode(const boost::uuids::uuid& v, encoder& out);
};

} // namespace pgcoro
