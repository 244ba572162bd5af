#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <cstddef>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A value of any type as the server sent it: its type and its bytes in PostgreSQL's binary format. For types
/// that the layer does not know (geometry, pgvector's vector …), and for passing values on untouched. As a
/// parameter it is declared as that type.
struct raw
{
    oid type = oids::infer;
    std::vector<std::byte> bytes;

    friend bool operator==(const raw&, const raw&) = default;
};

template <>
struct codec<raw>
{
    static constexpr oid type = oids::infer;
    static constexpr oid type_of(const raw& v) noexcept { return v.type; }
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid) noexcept { return true; }
    static raw decode(field_view f)
    {
        auto* first = reinterpret_cast<const std::byte*>(f.data);
        return {f.type, {first, first + f.size}};
    }
    static void encode(const raw& v, encoder& out)
    {
        out.bytes({reinterpret_cast<const char*>(v.bytes.data()), v.bytes.size()});
    }
};

} // namespace pgcoro
