#pragma once

#include <pgcoro/export.hpp>

#include <concepts>
#include <iterator>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{

// Not from <ranges>, which would double what a source that includes this library takes to compile beside
// Asio.

/// What can be gone through from begin to end, const: containers, arrays, spans.
template <class T>
concept row_range = requires(const T& rows)
{
    {
        std::begin(rows)
        } -> std::input_iterator;
    {
        std::begin(rows) != std::end(rows)
        } -> std::convertible_to<bool>;
};

namespace detail
{

template <class Range>
using row_iterator = decltype(std::begin(std::declval<const Range&>()));

} // namespace detail

/// The same, and more than once.
template <class T>
concept lasting_row_range = row_range<T> && std::forward_iterator<detail::row_iterator<T>>;

namespace detail
{

template <row_range Range>
using row_of = std::iter_value_t<row_iterator<Range>>;

} // namespace detail

} // namespace pgcoro
