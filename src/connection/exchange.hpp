// One round trip: what was sent, and how far its answers have come.
#pragma once

#include "connection/session.hpp"

#include <boost/container/small_vector.hpp>

namespace pgcoro::detail
{

// What one round trip consists of, and how far its answers have come.
struct session::exchange
{
    boost::container::small_vector<piece, 8> pieces;
    std::size_t at = 0;
    boost::container::small_vector<statement_cache::statement, 2> prepares;
    std::size_t prepared = 0; // so many of them are answered
    std::size_t deallocated = 0;
    bool prepared_any = false;
    bool committed = false;   // COMMIT was answered so
    bool rolled_back = false; // or so
    result_ptr error;

    // One that this round trip prepares, and that is not answered yet.
    const statement_cache::statement* find_coming(std::string_view sql, const params& args) const;

    bool done() const noexcept { return at == pieces.size(); }
};

// What the observer is told of a statement that ended.
struct session::run_report
{
    std::string_view sql;
    const PGresult* error = nullptr;
    time_point begun;
    std::uint64_t rows = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    bool prepared_now = false;
    std::uint32_t repeats = 1;
    // Where the time is told apart: the socket had taken it all; the first bytes of the answer were there.
    time_point sent{};
    time_point answered{};
};

inline const params no_params;
inline constexpr std::string_view commit_statement = "commit";

// What goes before a statement, as text of the simple protocol.
std::string text_before(const prologue& with);

// The first value of the first row, which there is; null for NULL.
const char* first_value(const PGresult* rows);

// The number of rows that a statement gave or touched.
std::uint64_t rows_of(PGresult* done);

// The bytes of all values in it.
std::uint64_t bytes_of(const PGresult* rows) noexcept;

// Refuses what the server would not: libpq would end the text at a NUL, and a parameter that the text never
// mentions passes unseen when its type is known. Every $n is counted, also in a literal or a comment, where
// it is none: a surplus may go unnoticed then, but nothing right is refused.
void check_text(std::string_view sql, std::size_t parameters);

// Was it a statement after which none is prepared any more?
bool drops_statements(PGresult* done);

} // namespace pgcoro::detail
