// The members of a row: of a described struct, an aggregate, a tuple, or a single value. Not for users.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/params.hpp>
#include <pgcoro/types/row_mapper.hpp>

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/pfr/core.hpp>

#include <array>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace PGCORO_API pgcoro
{
namespace detail
{

template <class Row>
struct row_members
{
    static auto of()
    {
        if constexpr (encodable<Row> && !is_tuple<Row>)
            return boost::mp11::mp_list<std::type_identity<Row>>();
        else if constexpr (described<Row>)
            return boost::mp11::mp_transform<member_type, described_members<Row>>();
        else if constexpr (is_tuple<Row>)
            return []<class... T>(std::type_identity<std::tuple<T...>>) {
                return boost::mp11::mp_list<std::type_identity<T>...>();
            }(std::type_identity<Row>());
        else
            return []<std::size_t... I>(std::index_sequence<I...>)
            {
                return boost::mp11::mp_list<std::type_identity<boost::pfr::tuple_element_t<I, Row>>...>();
            }
        (std::make_index_sequence<boost::pfr::tuple_size_v<Row>>());
    }

    template <class Descriptor>
    using member_type =
        std::type_identity<std::remove_cvref_t<decltype(std::declval<Row&>().*Descriptor::pointer)>>;

    using types = decltype(of()); // std::type_identity of each
    static constexpr std::size_t size = boost::mp11::mp_size<types>::value;
    static constexpr bool named = described<Row> && !encodable<Row>;

    // Empty where they have no names.
    static const auto& names()
    {
        static const auto list = [] {
            std::array<std::string_view, named ? size : 0> made{};
            if constexpr (named) {
                std::size_t i = 0;
                boost::mp11::mp_for_each<described_members<Row>>([&](auto m) { made[i++] = m.name; });
            }
            return made;
        }();
        return list;
    }

    // Calls f(member, std::integral_constant index) for each.
    template <class F>
    static void for_each(const Row& row, F&& f)
    {
        each(row, f, std::make_index_sequence<size>());
    }

private:
    template <class F, std::size_t... I>
    static void each(const Row& row, F& f, std::index_sequence<I...>)
    {
        (f(get<I>(row), std::integral_constant<std::size_t, I>()), ...);
    }
    template <std::size_t I>
    static const auto& get(const Row& row)
    {
        if constexpr (encodable<Row> && !is_tuple<Row>)
            return row;
        else if constexpr (described<Row>)
            return row.*boost::mp11::mp_at_c<described_members<Row>, I>::pointer;
        else if constexpr (is_tuple<Row>)
            return std::get<I>(row);
        else
            return boost::pfr::get<I>(row);
    }
};

} // namespace detail
} // namespace pgcoro
