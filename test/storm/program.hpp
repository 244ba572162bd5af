// A random program: operations with all their choices made, so that any subset of them is a program, too.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace storm
{

/// The tables and functions that programs work on, to be created once per database.
extern const char* const schema;
/// Brings the tables back to how every program finds them.
extern const char* const fresh_tables;
/// Returns one text: a hash of every table, and what the session holds beyond its transaction.
extern const char* const digest_query;
/// The same without the session, for poolers that change it with every transaction.
extern const char* const tables_query;

/// One statement with parameters $1 (int) and $2 (text, may be null). Returns `row`s unless counts_only().
struct statement
{
    /// How a transactional body runs it.
    enum class style { plain, swallow, savepoint, savepoint_throw };

    int shape = 0;
    int a = 0;
    std::optional<std::string> b;
    int salt = 0; ///< makes the text another one; 0: the same text in every program
    style as = style::plain;

    std::string sql() const;
    bool counts_only() const noexcept;
    std::string text() const;
};

enum class kind {
    query,
    prepare,
    run_prepared,
    pipeline,
    stream,
    open_stream,
    close_stream,
    copy_in,
    copy_out,
    copy_csv,
    script,
    command,
    timeout,
    transactional,
    multiplexed,
    insert_many,
    poll,
    ping,
    reset,
    release,
};

enum class harm { nothing, terminal, partial, total, cancel_request };

struct op
{
    kind what = kind::query;
    int id = 0; ///< unique in the program: the rows that it inserts are numbered from id * 1000
    std::vector<statement> statements;
    std::string text; ///< of commands and scripts
    int count = 0;    ///< rows, or prepared statement
    int at = -1;      ///< where it is left, or something goes wrong; -1: nowhere
    int size = 0;     ///< of a value in bytes; of a stream's chunk in rows
    bool flag = false;
    bool flag2 = false;
    harm how = harm::nothing;
    int turns = 0;             ///< of the event loop before the harm; below 0: milliseconds
    bool release_then = false; ///< the lease ends right after a cancellation

    std::string describe() const;
};

using program = std::vector<op>;

struct program_options
{
    int ops = 40;
    bool session_effects = true; ///< false behind a pooler in transaction mode, which refuses them
};

program make_program(std::uint64_t seed, const program_options& options);

} // namespace storm
