#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

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

namespace pgcoro
{

/// What stands between the statements of a pipeline.
enum class barrier {
    /// Nothing: they are one transaction. One that fails undoes those before it, and those behind it are not
    /// run.
    none,
    /// Each is a transaction of its own, and runs whatever became of the others. In a transaction that is
    /// open already they are part of that.
    each,
};

namespace detail
{

// One statement of a pipeline, and what came of it.
struct pipelined
{
    std::string sql;
    params args;
    result got;
    std::exception_ptr failure;
    bool answered = false;

    const result& checked() const; // throws the failure, or std::logic_error before run()
};

} // namespace detail

/// What a statement of a pipeline will have given. Outlives its pipeline. Used by one thread at a time.
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
    /// fit; `std::logic_error` when the pipeline has not run.
    T get() const { return decode_(from_->checked()); }

private:
    std::shared_ptr<const detail::pipelined> from_;
    decoder decode_;
};

/// Several statements in one round trip:
///
/// ```cpp
/// auto batch = conn.pipeline();
/// auto rich = batch.query_as<account>("select id, owner, cents from account where cents > $1", 100'000);
/// auto paid = batch.execute("update account set cents = cents - 1 where id = $1", 7);
/// co_await batch.run();
/// for (auto& a : rich.get()) use(a);
/// ```
/// Texts and parameters are copied. Sending and reading go on at the same time, so that a pipeline may be of
/// any length; the results are kept until the handles are gone.
///
/// **Threads:** as its connection. **Lifetime:** not beyond its connection, lease or transaction object.
class pipeline
{
public:
    pipeline(detail::statement_host& host, barrier b) noexcept
        : host_(&host)
        , barrier_(b)
    {}

    /// Adds a statement; see `querying` for the kinds.
    template <class... T>
    pending<std::reference_wrapper<const result>> query(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return std::cref(got); }};
    }
    template <class Row, class... T>
    pending<std::vector<Row>> query_as(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return got.as<Row>(); }};
    }
    template <class Row, class... T>
    pending<Row> query_value(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return got.as_value<Row>(); }};
    }
    template <class Row, class... T>
    pending<std::optional<Row>> query_optional(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return got.as_optional<Row>(); }};
    }
    template <class... T>
    pending<std::uint64_t> execute(std::string_view sql, const T&... args)
    {
        return {add(sql, params::of(args...)), [](const result& got) { return got.affected_rows(); }};
    }

    /// How many statements wait for run().
    std::size_t size() const noexcept { return statements_.size(); }

    /// Runs the statements that were added since the last run(). Without any, does nothing.
    ///
    /// Throws the error of the first statement that failed, with its number; with `barrier::each` after all
    /// have run, and the handles of the others are good. `connection_error` when the connection is lost: all
    /// handles without an answer have it, too.
    /// A prepared statement that the server has lost is prepared anew, once, where there are no barriers and
    /// no transaction is open; elsewhere it is an error once.
    /// **Cancellation:** any kind. The connection stays usable. Without barriers nothing of it stays, unless
    /// all was sent already and the server was quicker.
    boost::asio::awaitable<void> run();

private:
    std::shared_ptr<const detail::pipelined> add(std::string_view sql, params args);

    detail::statement_host* host_;
    barrier barrier_;
    std::vector<std::shared_ptr<detail::pipelined>> statements_;
};

} // namespace pgcoro
