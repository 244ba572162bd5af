// Runs operations by plain blocking libpq, as the library's documentation says they work.
#pragma once

#include "storm/outcome.hpp"
#include "storm/program.hpp"

#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace storm
{

/// One session with the reference's database.
class reference
{
public:
    explicit reference(const std::string& conninfo);

    PGTransactionStatusType status() const noexcept { return PQtransactionStatus(conn_.get()); }

    /// Runs the operation undisturbed, to its end.
    outcome perform(const op& o);
    // A prepared statement's run as a query; any other operation as it is.
    op without_handle(const op& o) const;
    /// Runs those statements of the operation that insert one of these rows. For operations whose statements
    /// commit one by one.
    outcome perform_inserts(const op& o, const std::set<int>& ids);
    /// Fails the transaction that is open.
    void fail_transaction();
    /// The lease ends: rolls back, and undoes what the session holds beyond its transaction.
    void release();
    /// A stream that was left open.
    outcome close_stream(bool to_the_end);

    /// Text of the simple protocol. Throws std::runtime_error when it fails.
    void must(const std::string& sql);
    /// The only value of a query. Throws std::runtime_error when it fails.
    std::string value(const std::string& sql);

private:
    struct finish
    {
        void operator()(PGconn* c) const noexcept { PQfinish(c); }
        void operator()(PGresult* r) const noexcept { PQclear(r); }
    };
    using result = std::unique_ptr<PGresult, finish>;

    result execute(const statement& s);
    outcome run(const statement& s);
    outcome run_rows(const statement& s, std::vector<row>& rows);
    outcome simple(const std::string& sql);
    outcome pipeline(const op& o);
    outcome stream(const op& o);
    outcome copy_in(const op& o);
    outcome copy_out(const op& o);
    outcome script(const op& o);
    outcome timeout(const op& o);
    outcome transactional(const op& o);
    outcome insert_many(const op& o);
    outcome poll();
    /// Runs `body` as one transaction, or as a part of the one that is open.
    outcome atomically(const std::function<outcome()>& body);
    void undo_session();

    std::unique_ptr<PGconn, finish> conn_;
    std::vector<row> held_; // rows of a stream that is open
    struct
    {
        bool there = false;
        statement what;
    } prepared_[2];
};

} // namespace storm
