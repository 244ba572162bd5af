/// json and jsonb as `boost::json::value` and as structs; rows as JSON objects. Not part of types.hpp,
/// because Boost.JSON is large.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/row_mapper.hpp>
#include <pgcoro/types/scalars.hpp>

#include <boost/json/conversion.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace PGCORO_API pgcoro
{

/// json and jsonb. A parameter is jsonb, which fits json columns, too. Read, a whole number beyond 64 bits
/// and a fraction become a double: the nearest one, though with a Boost.JSON that cannot parse precisely
/// (1.81) its last bit may differ; where that matters, read the column as text. A number beyond the range of a
/// double, such as 1e400, is a `mapping_error`, as is nesting deeper than 128. A parameter with a NaN or an
/// infinity is a `mapping_error`.
template <>
struct codec<boost::json::value>
{
    static constexpr oid type = oids::jsonb;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::jsonb || t == oids::json; }
    static boost::json::value decode(field_view f);
    static void encode(const boost::json::value& v, encoder& out);
};

/// Set it to true for a type that is stored as json or jsonb:
///
/// ```cpp
/// struct settings { std::string colour; std::optional<int> size; };
/// BOOST_DESCRIBE_STRUCT(settings, (), (colour, size))
/// template <> inline constexpr bool pgcoro::is_json<settings> = true;
/// ```
/// Described structs (nested, in vectors, in optionals) are objects with their members' names. A member that
/// is missing in the JSON is a `mapping_error` unless it is `std::optional`; a surplus one is ignored, so
/// that old programs read what new ones wrote. All other types go by `boost::json::value_to` and
/// `value_from`.
template <class T>
inline constexpr bool is_json = false;

namespace detail
{

[[noreturn]] void throw_json_member(std::string_view name, const char* why);
[[noreturn]] void throw_json_kind(std::string_view wanted);
void check_json_name(std::string_view name); // throws mapping_error unless it is UTF-8

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

// boost::json::value_to, with optional members, tolerant of surplus ones, and with errors that name the
// member.
template <class T>
T from_json(const boost::json::value& v)
{
    static_assert(!refers_to_result<T>, "a std::string_view cannot be read from JSON, because the JSON is "
                                        "destroyed first: use std::string");
    if constexpr (is_optional<T>) {
        if (v.is_null()) return std::nullopt;
        return from_json<typename T::value_type>(v);
    } else if constexpr (is_vector<T>) {
        auto* array = v.if_array();
        if (!array) throw_json_kind("an array");
        T made;
        made.reserve(array->size());
        for (const auto& element : *array) made.push_back(from_json<typename T::value_type>(element));
        return made;
    } else if constexpr (boost::json::is_described_class<T>::value) {
        auto* object = v.if_object();
        if (!object) throw_json_kind("an object");
        T made{};
        boost::mp11::mp_for_each<described_members<T>>([&](auto m) {
            using member = std::remove_cvref_t<decltype(made.*m.pointer)>;
            auto* found = object->if_contains(m.name);
            if (!found && !is_optional<member>) throw_json_member(m.name, "it is missing");
            if (!found) return;
            try {
                made.*m.pointer = from_json<member>(*found);
            } catch (const mapping_error& e) {
                throw_json_member(m.name, e.what());
            }
        });
        return made;
    } else {
        auto converted = boost::json::try_value_to<T>(v);
        if (!converted)
            throw_mapping_error("the JSON does not fit the C++ type: " + converted.error().message());
        return std::move(*converted);
    }
}

} // namespace detail

template <class T>
requires is_json<T>
struct codec<T>
{
    static constexpr oid type = oids::jsonb;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return codec<boost::json::value>::accepts(t); }
    static T decode(field_view f) { return detail::from_json<T>(codec<boost::json::value>::decode(f)); }
    static void encode(const T& v, encoder& out)
    {
        codec<boost::json::value>::encode(boost::json::value_from(v), out);
    }
};

/// A value of any type as JSON, by its PostgreSQL type, as PostgreSQL's to_jsonb would have it: booleans,
/// numbers, null, arrays, records (`{"f1": …}`), json itself; timestamps in ISO 8601 (UTC); all else as
/// PostgreSQL's text. Unlike there, numeric is a string, so that no digit is lost. A user's type is a string of
/// its bytes if they are UTF-8 (enums, citext). Any other type that the layer does not know, for instance
/// pg_lsn, is a string of `\x` and hexadecimal digits. Floating-point NaN and infinity are strings. The result
/// is always valid JSON: throws `mapping_error` for bytes that are no value of the type, for text that is not
/// UTF-8, and for a json number that no double can hold.
boost::json::value to_json(field_view f);

/// A row as an object; where two columns have one name, the last counts. `field(i)` gives the row's i-th
/// field as a `field_view`.
template <class Field>
boost::json::object to_json(std::span<const column> columns, Field&& field)
{
    boost::json::object row;
    row.reserve(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i) {
        try {
            detail::check_json_name(columns[i].name);
            field_view f = field(i);
            f.type = columns[i].type;
            row.insert_or_assign(columns[i].name, to_json(f));
        } catch (const mapping_error& e) {
            detail::throw_column_value(i, columns[i], typeid(boost::json::value), e.what());
        }
    }
    return row;
}

} // namespace pgcoro
