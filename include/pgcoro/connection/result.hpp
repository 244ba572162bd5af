#pragma once

#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/row_mapper.hpp>

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// The columns of a result.
using column_list = detail::short_vector<column, 12>;

namespace detail
{

// Said so: span's own constructor for ranges costs who includes this megabytes of the compiler's memory.
inline std::span<const column> all(const column_list& columns) noexcept
{
    return {columns.data(), columns.size()};
}

} // namespace detail

/// One value of a result. Valid as long as its result.
class field
{
public:
    field(const column& c, std::size_t index, field_view value) noexcept
        : column_(c)
        , index_(index)
        , value_(value)
    {}

    bool is_null() const noexcept { return value_.is_null(); }
    std::string_view name() const noexcept { return column_.name; }
    oid type() const noexcept { return column_.type; }
    /// The value in PostgreSQL's binary format; empty for NULL.
    std::string_view bytes() const noexcept { return value_.bytes(); }
    /// What a codec sees of it.
    field_view view() const noexcept { return value_; }

    /// The value as T. Throws `mapping_error` when it does not fit, or is NULL and T no `std::optional`.
    template <class T>
    T as() const
    {
        if (!codec<T>::accepts(column_.type)) detail::throw_column_type(index_, column_, typeid(T));
        return detail::decode_column<T>(column_, index_, value_);
    }

private:
    column column_;
    std::size_t index_;
    field_view value_;
};

/// One row of a result. Valid as long as its result.
class row
{
public:
    row(const PGresult* result, int index) noexcept
        : result_(result)
        , index_(index)
    {}

    /// The number of columns.
    std::size_t size() const noexcept { return static_cast<std::size_t>(PQnfields(result_)); }
    /// By position, from 0. Throws `mapping_error` when there is none.
    field operator[](std::size_t column) const;
    /// By name, exactly as the server has it. Throws `mapping_error` when there is none.
    field operator[](std::string_view column) const;

    /// The row as a tuple, aggregate, described struct or single value; see `row_mapper`. For many rows
    /// `result::as` checks the columns only once.
    template <class T>
    T as() const;

    /// The same by a mapper that was made for these columns.
    template <class T>
    T as(const column_list& columns, const row_mapper<T>& map) const;

private:
    const PGresult* result_;
    int index_;
};

/// What a statement gave: rows, or a count. Owns its memory and outlives its connection. Reading from several
/// threads is safe.
///
/// @par Lifetime
/// Rows, fields, `std::string_view` values and names refer to the result. So the functions that return them
/// cannot be called on a temporary: keep the result in a variable first. `for (auto row : co_await
/// conn.query(…))` works, because the loop keeps the result.
class result
{
public:
    /// No rows, no columns.
    result() = default;
    /// Takes ownership.
    explicit result(PGresult* owned) noexcept
        : owned_(owned)
    {}

    /// The number of rows returned.
    std::size_t size() const noexcept { return owned_ ? static_cast<std::size_t>(PQntuples(get())) : 0; }
    bool empty() const noexcept { return size() == 0; }
    /// The number of rows that INSERT, UPDATE, DELETE, MERGE, SELECT, MOVE, FETCH or COPY touched, else 0.
    std::uint64_t affected_rows() const noexcept;
    /// The server's word for what it did, for instance "UPDATE 3".
    std::string_view command_tag() const& noexcept;
    std::string_view command_tag() const&& = delete;
    /// Names and types of the columns.
    column_list columns() const&;
    column_list columns() const&& = delete;

    /// The i-th row, from 0. Throws `mapping_error` when there is none.
    row operator[](std::size_t i) const&;
    row operator[](std::size_t i) const&& = delete;

    /// All rows as T; see `row_mapper` for what T may be. The columns are looked at once.
    template <class T>
    std::vector<T> as() const&
    {
        std::vector<T> rows;
        if (!owned_) return rows;
        auto list = columns();
        row_mapper<T> map(detail::all(list));
        auto n = PQntuples(get());
        rows.reserve(static_cast<std::size_t>(n));
        for (int r = 0; r < n; ++r)
            rows.push_back(map([&](std::size_t i) { return value(r, static_cast<int>(i), list[i].type); }));
        return rows;
    }
    template <class T>
    std::vector<T> as() const&&
    {
        detail::check_row_owns_its_values<T>();
        return as<T>();
    }

    /// As as(), but a row that does not fit is an error in its place. Columns that do not fit throw.
    template <class T>
    std::vector<mapped<T>> try_as() const&
    {
        std::vector<mapped<T>> rows;
        if (!owned_) return rows;
        auto list = columns();
        row_mapper<T> map(detail::all(list));
        rows.reserve(size());
        for (int r = 0, n = PQntuples(get()); r < n; ++r)
            rows.push_back(
                try_map(map, [&](std::size_t i) { return value(r, static_cast<int>(i), list[i].type); }));
        return rows;
    }
    template <class T>
    std::vector<mapped<T>> try_as() const&&
    {
        detail::check_row_owns_its_values<T>();
        return try_as<T>();
    }

    /// The only row, or nothing. Throws `mapping_error` when there are more.
    template <class T>
    std::optional<T> as_optional() const&
    {
        if (size() > 1) throw_row_count("at most one row");
        if (empty()) {
            if (owned_) row_mapper<T> check{detail::all(columns())};
            return std::nullopt;
        }
        return (*this)[0].as<T>();
    }
    template <class T>
    std::optional<T> as_optional() const&&
    {
        detail::check_row_owns_its_values<T>();
        return as_optional<T>();
    }

    /// The only row. Throws `mapping_error` when there are none or more.
    template <class T>
    T as_value() const&
    {
        if (size() != 1) throw_row_count("exactly one row");
        return (*this)[0].as<T>();
    }
    template <class T>
    T as_value() const&&
    {
        detail::check_row_owns_its_values<T>();
        return as_value<T>();
    }

    class iterator
    {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = row;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = row;

        iterator() = default;
        iterator(const PGresult* result, int index) noexcept
            : result_(result)
            , index_(index)
        {}
        row operator*() const noexcept { return {result_, index_}; }
        iterator& operator++() noexcept
        {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept
        {
            auto before = *this;
            ++index_;
            return before;
        }
        bool operator==(const iterator&) const = default;

    private:
        const PGresult* result_ = nullptr;
        int index_ = 0;
    };
    iterator begin() const& noexcept { return {get(), 0}; }
    iterator begin() const&& = delete;
    iterator end() const& noexcept { return {get(), static_cast<int>(size())}; }
    iterator end() const&& = delete;

    /// libpq's own result, for what is not covered here. Null for a default-constructed result.
    const PGresult* get() const& noexcept { return owned_.get(); }
    const PGresult* get() const&& = delete;

private:
    friend class row;

    struct deleter
    {
        void operator()(PGresult* r) const noexcept { PQclear(r); }
    };

    static field_view value(const PGresult* from, int row, int column, oid type) noexcept
    {
        auto size = PQgetlength(from, row, column);
        if (size == 0 && PQgetisnull(from, row, column)) size = -1;
        return {PQgetvalue(from, row, column), size, type};
    }
    field_view value(int row, int column, oid type) const noexcept { return value(get(), row, column, type); }
    static column_list columns_of(const PGresult* from);
    [[noreturn]] void throw_row_count(const char* wanted) const;

    detail::owned<PGresult, deleter> owned_;
};

template <class T>
T row::as() const
{
    auto list = result::columns_of(result_);
    return as<T>(list, row_mapper<T>(detail::all(list)));
}

template <class T>
T row::as(const column_list& columns, const row_mapper<T>& map) const
{
    return map(
        [&](std::size_t i) { return result::value(result_, index_, static_cast<int>(i), columns[i].type); });
}

} // namespace pgcoro
