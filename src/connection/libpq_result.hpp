// Results of libpq: who frees them, and what is read from them.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>

namespace pgcoro::detail
{

struct result_deleter
{
    void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using result_ptr = std::unique_ptr<PGresult, result_deleter>;

// Memory that libpq allocated and PQfreemem frees.
struct pq_deleter
{
    void operator()(void* p) const noexcept { PQfreemem(p); }
};
template <class T>
using pq_ptr = std::unique_ptr<T, pq_deleter>;

// The first value of the first row, which must exist; null for NULL.
const char* first_value(const PGresult* rows);

// The number of rows that a statement returned or changed.
std::uint64_t rows_of(PGresult* done);

// The bytes of all values together.
std::uint64_t bytes_of(const PGresult* rows) noexcept;

// True behind DISCARD ALL and DEALLOCATE ALL, after which no statement is prepared any more.
bool drops_statements(PGresult* done);

} // namespace pgcoro::detail
