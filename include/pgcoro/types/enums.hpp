#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/scalars.hpp>

#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <string>
#include <string_view>
#include <type_traits>

namespace PGCORO_API pgcoro
{
namespace detail
{

template <class E>
concept described_enum = std::is_enum_v<E> && boost::describe::has_describe_enumerators<E>::value;

[[noreturn]] void throw_unknown_label(std::string_view label);
[[noreturn]] void throw_unknown_enumerator(long long value);

} // namespace detail

/// An enum described with `BOOST_DESCRIBE_ENUM`: its enumerators' names are the labels of the PostgreSQL
/// enum. It reads enums and text; a label that no enumerator has is a `mapping_error`, as is a value that has
/// no name. Where labels are no C++ names ("in progress"), specialise `codec` for the enum.
template <detail::described_enum E>
struct codec<E>
{
    // The OID of the enum is the server's to infer; an enum's binary format is its label.
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static constexpr bool accepts(oid t) noexcept
    {
        return is_user_defined(t) || t == oids::text || t == oids::varchar || t == oids::name;
    }

    static E decode(field_view f)
    {
        auto label = f.bytes();
        E value{};
        bool found = false;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto e) {
            if (!found && label == e.name) {
                value = e.value;
                found = true;
            }
        });
        if (!found) detail::throw_unknown_label(label);
        return value;
    }

    static void encode(E v, encoder& out)
    {
        bool found = false;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto e) {
            if (!found && v == e.value) {
                out.bytes(e.name);
                found = true;
            }
        });
        if (!found) detail::throw_unknown_enumerator(static_cast<long long>(v));
    }
};

} // namespace pgcoro
