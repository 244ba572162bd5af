#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/literal.hpp>
#include <pgcoro/types/scalars.hpp>

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/pfr/core.hpp>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{

/// Set it to true for a struct that is a composite type in PostgreSQL, that is one column and not a row:
///
/// ```cpp
/// struct address { std::string street; std::optional<int> number; };  // create type address as (…)
/// template <> inline constexpr bool pgcoro::is_composite<address> = true;
/// ```
/// Attributes are the members in order, with Boost.Describe or without. As a parameter it is text whose type
/// the statement infers: `$1::address` where nothing else says what it is.
template <class T>
inline constexpr bool is_composite = false;

namespace detail
{

template <class T>
concept described = boost::describe::has_describe_members<T>::value && !std::is_union_v<T>;

template <class T>
using described_members =
    boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;

// Reads what stands in front of a composite; throws unless it has as many attributes.
void read_composite_header(decoder& in, std::size_t attributes);

// The next attribute, with the type that the server says it has.
field_view read_attribute(decoder& in);

// `index` counts the attributes, for the error's sake.
template <class T>
T decode_attribute(decoder& in, std::size_t& index)
{
    static_assert(decodable<T>, "specialise pgcoro::codec for this type to read it from a composite");
    ++index;
    try {
        auto f = read_attribute(in);
        if (!accepts_part<T>(f.type)) throw_part_type(f.type);
        return decode_part<T>(f);
    } catch (const mapping_error& e) {
        throw_in_part("attribute", index, e);
    }
}

template <class T>
void append_attribute(const T& value, std::string& text)
{
    static_assert(encodable<T>, "specialise pgcoro::codec for this type to send it in a composite");
    if (!is_null(value)) {
        std::string attribute;
        append_text_of(value, attribute);
        append_record_attribute(attribute, text);
    }
    text += ',';
}

// From the attributes' text, each with a comma behind it.
void encode_composite(std::string text, encoder& out);

// Does a member of a struct refer to the result that the struct was read from?
template <class T>
consteval bool members_refer_to_result()
{
    bool found = false;
    if constexpr (described<T>)
        boost::mp11::mp_for_each<described_members<T>>([&](auto m) {
            using member = std::remove_cvref_t<decltype(std::declval<T&>().*decltype(m)::pointer)>;
            found = found || refers_to_result<member>;
        });
    else
        [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            found = (refers_to_result<boost::pfr::tuple_element_t<I, T>> || ...);
        }
        (std::make_index_sequence<boost::pfr::tuple_size_v<T>>());
    return found;
}

struct composite_codec
{
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static constexpr bool accepts(oid t) noexcept { return t == oids::record || is_user_defined(t); }
};

} // namespace detail

template <class T>
requires is_composite<T>
struct codec<T> : detail::composite_codec
{
    static T decode(field_view f)
    {
        decoder in(f.bytes());
        std::size_t index = 0;
        if constexpr (detail::described<T>) {
            using members = detail::described_members<T>;
            detail::read_composite_header(in, boost::mp11::mp_size<members>::value);
            T made{};
            boost::mp11::mp_for_each<members>([&](auto m) {
                using member = std::remove_cvref_t<decltype(made.*m.pointer)>;
                made.*m.pointer = detail::decode_attribute<member>(in, index);
            });
            in.finish();
            return made;
        } else {
            constexpr auto count = boost::pfr::tuple_size_v<T>;
            detail::read_composite_header(in, count);
            auto made = [&]<std::size_t... I>(std::index_sequence<I...>)
            {
                return T{detail::decode_attribute<boost::pfr::tuple_element_t<I, T>>(in, index)...};
            }
            (std::make_index_sequence<count>());
            in.finish();
            return made;
        }
    }

    static void encode(const T& value, encoder& out)
    {
        std::string text;
        if constexpr (detail::described<T>)
            boost::mp11::mp_for_each<detail::described_members<T>>(
                [&](auto m) { detail::append_attribute(value.*m.pointer, text); });
        else
            boost::pfr::for_each_field(value,
                                       [&](const auto& member) { detail::append_attribute(member, text); });
        detail::encode_composite(std::move(text), out);
    }
};

template <class T>
requires is_composite<T>
inline constexpr bool refers_to_result<T> = detail::members_refer_to_result<T>();
template <class... T>
inline constexpr bool refers_to_result<std::tuple<T...>> = (refers_to_result<T> || ...);

/// A composite, or a record (`select row(1, 'one')`), inside a row: an element of an array, a member of a
/// struct. A tuple that is the whole result is a row.
template <class... T>
requires((decodable<T> || encodable<T>)&&...) struct codec<std::tuple<T...>> : detail::composite_codec
{
    static std::tuple<T...> decode(field_view f) requires(decodable<T>&&...)
    {
        decoder in(f.bytes());
        std::size_t index = 0;
        detail::read_composite_header(in, sizeof...(T));
        std::tuple<T...> made{detail::decode_attribute<T>(in, index)...}; // braces: from left to right
        in.finish();
        return made;
    }

    static void encode(const std::tuple<T...>& value, encoder& out) requires(encodable<T>&&...)
    {
        std::string text;
        std::apply([&](const T&... part) { (detail::append_attribute(part, text), ...); }, value);
        detail::encode_composite(std::move(text), out);
    }
};

} // namespace pgcoro
