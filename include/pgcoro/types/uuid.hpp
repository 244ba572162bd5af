#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <boost/uuid/uuid.hpp>

#include <algorithm>

namespace PGCORO_API pgcoro
{

/// uuid.
template <>
struct codec<boost::uuids::uuid>
{
    static constexpr oid type = oids::uuid;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::uuid; }
    static boost::uuids::uuid decode(field_view f)
    {
        boost::uuids::uuid v;
        if (f.bytes().size() != v.size()) throw_mapping_error("a uuid has 16 bytes");
        std::copy_n(f.data, v.size(), v.begin());
        return v;
    }
    static void encode(const boost::uuids::uuid& v, encoder& out)
    {
        out.bytes({reinterpret_cast<const char*>(v.begin()), v.size()});
    }
};

} // namespace pgcoro
