#pragma once

#include <pgcoro/connection/pipeline.hpp>
#include <pgcoro/connection/stream.hpp>

#include <string_view>

namespace pgcoro
{

/// What a connection and a transaction have in common beyond `querying`: whatever holds the connection for
/// longer than one answer. `Derived::host()` is what it runs on.
template <class Derived>
class statements
{
public:
    /// The rows of a statement as they come; see `row_stream`. Text and parameters are copied.
    template <class Row, class... T>
    row_stream<Row> stream(std::string_view sql, const T&... args)
    {
        return stream<Row>(stream_options(), sql, args...);
    }
    template <class Row, class... T>
    row_stream<Row> stream(stream_options options, std::string_view sql, const T&... args)
    {
        return row_stream<Row>(
            detail::make_row_source(self().host(), sql, params::of(args...), options.chunk));
    }

    /// Several statements in one round trip; see `pgcoro::pipeline`.
    pgcoro::pipeline pipeline(barrier b = barrier::none) { return pgcoro::pipeline(self().host(), b); }

private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }
};

} // namespace pgcoro
