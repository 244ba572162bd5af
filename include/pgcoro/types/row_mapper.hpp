#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/scalars.hpp>

#include <boost/mp11/algorithm.hpp>
#include <boost/pfr/core.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <variant>

namespace PGCORO_API pgcoro
{

/// A result's column.
struct column
{
    std::string_view name;
    oid type = oids::infer;
};

namespace detail
{

[[noreturn]] void throw_column_type(std::size_t index, const column& c, const std::type_info& wanted);
[[noreturn]] void throw_column_count(std::span<const column> columns, std::size_t wanted,
                                     const std::type_info& type);
[[noreturn]] void throw_column_value(std::size_t index, const column& c, const std::type_info& wanted,
                                     const char* why);
// The place of each wanted name among the columns; throws with all that are missing, surplus or doubled.
void match_columns(std::span<const column> columns, std::span<const std::string_view> wanted,
                   std::span<std::size_t> places, const std::type_info& type);

template <class T>
void check_column(std::span<const column> columns, std::size_t i)
{
    static_assert(decodable<T>, "include this type's header of pgcoro/types, or specialise pgcoro::codec for "
                                "it, to read it from a column");
    if (!codec<T>::accepts(columns[i].type)) throw_column_type(i, columns[i], typeid(T));
}

template <class T>
T decode_column(const column& c, std::size_t i, field_view f)
{
    if constexpr (!is_optional<T>)
        if (f.is_null()) [[unlikely]]
            throw_column_value(i, c, typeid(T), "it is NULL: use std::optional");
    try {
        return codec<T>::decode(f);
    } catch (const mapping_error& e) {
        throw_column_value(i, c, typeid(T), e.what());
    }
}

template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;

// Does a row, read as T, refer to its result?
template <class T>
consteval bool row_refers_to_result()
{
    if constexpr (decodable<T> || is_tuple<T>)
        return refers_to_result<T>;
    else if constexpr (described<T> || (std::is_aggregate_v<T> && std::is_class_v<T>))
        return refers_to_result<T> || members_refer_to_result<T>();
    else
        return refers_to_result<T>;
}

// Instantiated where rows are read from a result that is destroyed before the caller sees them.
template <class T>
constexpr void check_row_owns_its_values() noexcept
{
    static_assert(!row_refers_to_result<T>(),
                  "this row type holds a std::string_view, which would refer to a result that is already "
                  "destroyed: use std::string, or keep the result of query() in a variable and call as() on it");
}

} // namespace detail

/// Turns rows of one result into T. Made once a result, which is when the columns' number, names and types
/// are checked; then called once a row.
///
/// T is one of: a type with a codec (the result has one column); a `std::tuple` or an aggregate (columns by
/// position); a struct described with `BOOST_DESCRIBE_STRUCT` (columns by name, in any order). What does not
/// fit is a `mapping_error` that names the column and both types.
template <class T>
class row_mapper
{
public:
    /// `columns` must outlive the mapper.
    explicit row_mapper(std::span<const column> columns)
        : columns_(columns)
    {
        if (columns.size() != 1) detail::throw_column_count(columns, 1, typeid(T));
        detail::check_column<T>(columns, 0);
    }

    /// `field(i)` gives the row's i-th field as a `field_view`.
    template <class Field>
    T operator()(Field&& field) const
    {
        return detail::decode_column<T>(columns_[0], 0, field(0));
    }

private:
    std::span<const column> columns_;
};

template <class... T>
class row_mapper<std::tuple<T...>>
{
public:
    explicit row_mapper(std::span<const column> columns)
        : columns_(columns)
    {
        if (columns.size() != sizeof...(T))
            detail::throw_column_count(columns, sizeof...(T), typeid(std::tuple<T...>));
        std::size_t i = 0;
        (detail::check_column<T>(columns, i++), ...);
    }

    template <class Field>
    std::tuple<T...> operator()(Field&& field) const
    {
        return [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            return std::tuple<T...>{
                detail::decode_column<T>(columns_[I], I, field(I))...}; // from left to right
        }
        (std::index_sequence_for<T...>());
    }

private:
    std::span<const column> columns_;
};

/// Described structs: by name.
template <class T>
requires(detail::described<T> && !decodable<T>) class row_mapper<T>
{
    using members = detail::described_members<T>;
    static constexpr std::size_t count = boost::mp11::mp_size<members>::value;

public:
    explicit row_mapper(std::span<const column> columns)
        : columns_(columns)
    {
        std::array<std::string_view, count> names;
        std::size_t i = 0;
        boost::mp11::mp_for_each<members>([&](auto m) { names[i++] = m.name; });
        detail::match_columns(columns, names, places_, typeid(T));
        i = 0;
        boost::mp11::mp_for_each<members>([&](auto m) {
            using field_type = std::remove_cvref_t<decltype(std::declval<T&>().*m.pointer)>;
            detail::check_column<field_type>(columns, places_[i++]);
        });
    }

    template <class Field>
    T operator()(Field&& field) const
    {
        T made{};
        std::size_t i = 0;
        boost::mp11::mp_for_each<members>([&](auto m) {
            using field_type = std::remove_cvref_t<decltype(made.*m.pointer)>;
            auto place = places_[i++];
            made.*m.pointer = detail::decode_column<field_type>(columns_[place], place, field(place));
        });
        return made;
    }

private:
    std::span<const column> columns_;
    std::array<std::size_t, count> places_;
};

/// Aggregates: by position.
template <class T>
requires(std::is_aggregate_v<T>&& std::is_class_v<T> && !detail::described<T> &&
         !decodable<T>) class row_mapper<T>
{
    static constexpr std::size_t count = boost::pfr::tuple_size_v<T>;
    template <std::size_t I>
    using member = boost::pfr::tuple_element_t<I, T>;

public:
    explicit row_mapper(std::span<const column> columns)
        : columns_(columns)
    {
        if (columns.size() != count) detail::throw_column_count(columns, count, typeid(T));
        [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            (detail::check_column<member<I>>(columns, I), ...);
        }
        (std::make_index_sequence<count>());
    }

    template <class Field>
    T operator()(Field&& field) const
    {
        return [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            return T{detail::decode_column<member<I>>(columns_[I], I, field(I))...};
        }
        (std::make_index_sequence<count>());
    }

private:
    std::span<const column> columns_;
};

/// A T, or why there is none: `if (row) use(*row); else log(row.error().what());`.
template <class T>
class mapped
{
public:
    mapped(T value)
        : held_(std::move(value))
    {}
    mapped(mapping_error why)
        : held_(std::move(why))
    {}

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; throws the error when there is none.
    const T& value() const&
    {
        if (!has_value()) throw error();
        return **this;
    }
    T&& value() &&
    {
        if (!has_value()) throw error();
        return *std::move(*this);
    }

    /// The value, which must be there.
    const T& operator*() const& noexcept { return *std::get_if<0>(&held_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&held_)); }
    const T* operator->() const noexcept { return std::get_if<0>(&held_); }
    /// The error, which must be there.
    const mapping_error& error() const noexcept { return *std::get_if<1>(&held_); }

private:
    std::variant<T, mapping_error> held_;
};

/// As the mapper's constructor, but what does not fit is returned, not thrown.
template <class T>
mapped<row_mapper<T>> try_mapper(std::span<const column> columns)
{
    try {
        return row_mapper<T>(columns);
    } catch (const mapping_error& e) {
        return e;
    }
}

/// One row, as the mapper's call, but what does not fit is returned, not thrown: the other rows can be read.
template <class T, class Field>
mapped<T> try_map(const row_mapper<T>& mapper, Field&& field)
{
    try {
        return mapper(field);
    } catch (const mapping_error& e) {
        return e;
    }
}

} // namespace pgcoro
