#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/params.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{

// One statement of a list, and what came of it.
struct pipelined
{
    std::string sql;
    params args;
    result got;
    std::exception_ptr failure;
    bool answered = false;

    void forget();                 // as if it had never run
    const result& checked() const; // throws the failure, or std::logic_error before it ran
};

} // namespace detail

/// What a statement of a pipeline will have given. Outlives its list. Used by one thread at a time.
template <class T>
class pending
{
public:
    using decoder = T (*)(const result&);

    pending(std::shared_ptr<const detail::pipelined> from, decoder decode) noexcept
        : from_(std::move(from))
        , decode_(decode)
    {}

    /// Its value, decoded anew with each call. Throws the statement's error; `mapping_error` when it does not
    /// fit; `std::logic_error` when it has not run.
    T get() const { return decode_(from_->checked()); }

private:
    std::shared_ptr<const detail::pipelined> from_;
    decoder decode_;
};

/// Statements with their parameters, to be run together: by a `pipeline`, or as a transaction by
/// `transactional`. Texts and parameters are copied. Adding gives a handle for what the statement will have
/// given. Rows must own their values: for `std::string_view` use query(). Used by one thread at a time.
class statement_list
{
public:
    /// Adds a statement; see `querying` for the kinds.
    template <class... T>
    pending<std::reference_wrapper<const result>> query(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return std::cref(got); }};
    }
    template <class Row, class... T>
    pending<std::vector<Row>> query_as(std::string_view sql, const T&... args)
    {
        detail::check_row_owns_its_values<Row>();
        return {add(sql, params::of(args...)), [](const result& got) { return got.as<Row>(); }};
    }
    template <class Row, class... T>
    pending<Row> query_value(std::string_view sql, const T&... args)
    {
        detail::check_row_owns_its_values<Row>();
        return {add(sql, params::of(args...)), [](const result& got) { return got.as_value<Row>(); }};
    }
    template <class Row, class... T>
    pending<std::optional<Row>> query_optional(std::string_view sql, const T&... args)
    {
        detail::check_row_owns_its_values<Row>();
        return {add(sql, params::of(args...)), [](const result& got) { return got.as_optional<Row>(); }};
    }
    template <class... T>
    pending<std::uint64_t> execute(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return got.affected_rows(); }};
    }

    /// How many statements it has.
    std::size_t size() const noexcept { return statements_.size(); }

    bool empty() const noexcept { return statements_.empty(); }

    /// For what runs them.
    using entries = std::vector<std::shared_ptr<detail::pipelined>>;
    const entries& statements() const noexcept { return statements_; }

protected:
    entries take() noexcept { return std::exchange(statements_, {}); }

private:
    std::shared_ptr<const detail::pipelined> add(std::string_view sql, params args);

    entries statements_;
};

} // namespace pgcoro
