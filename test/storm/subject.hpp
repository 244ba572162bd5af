// Runs operations through the library, and disturbs them.
#pragma once

#include "storm/outcome.hpp"
#include "storm/program.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace storm
{

/// An operation did not end within `patience`.
class hang : public std::runtime_error
{
public:
    using std::runtime_error::runtime_error;
};

/// What an operation's own code throws.
class thrown : public std::exception
{};

std::string ending_of(const std::exception_ptr& failure);

/// A pool of one connection to the library's database, and the lease that the program holds.
class subject
{
public:
    static constexpr std::size_t statement_cache_size = 8;

    subject(pgcoro::connection_options connection, bool session_effects);
    subject(const subject&) = delete;
    subject& operator=(const subject&) = delete;
    ~subject();

    /// Runs the operation on the lease, and disturbs it where the operation says so. Acquires a lease first
    /// if necessary.
    outcome run(const op& o);
    /// The last operation ended before all its rows had come.
    bool left() const noexcept { return left_; }
    /// A part of the last operation was stopped by cancel().
    bool stopped() const noexcept { return stopped_; }

    void acquire();
    void release();
    bool has_lease() const noexcept { return static_cast<bool>(lease_); }
    PGTransactionStatusType status() const;

    bool has_stream() const noexcept { return stream_ != nullptr; }
    /// An open stream holds the session.
    bool is_held() const noexcept { return stream_ && !stream_is_dead_; }
    /// Its lease ended, or the session was reset.
    bool stream_is_dead() const noexcept { return stream_is_dead_; }
    outcome close_stream(bool to_the_end);
    bool has_prepared_statement(int which) const noexcept { return prepared_[which].has_value(); }
    /// There is a prepared statement whose lease ended.
    bool is_prepared_statement_dead(int which) const noexcept { return prepared_dead_[which]; }

    /// A statement that clears away what an operation left under way.
    outcome probe();
    /// The only value of a query, on the lease.
    std::string value(const std::string& sql);
    std::string digest() { return value(digest_); }
    /// Those ids of table t that the operation may have inserted.
    std::set<int> inserted_by(const op& o);
    /// Waits until the pool has cleaned up and nothing is lent.
    void settle();

private:
    using stream = pgcoro::row_stream<row>;
    using statement_handle = pgcoro::prepared_statement<int, std::optional<std::string>>;
    using work = std::function<boost::asio::awaitable<void>(outcome&)>;

    std::vector<outcome> drive(const std::vector<work>& works, const op* disturbed);
    outcome drive_one(work w, const op* disturbed = nullptr);

    boost::asio::awaitable<void> perform(const op& o, outcome& out);
    boost::asio::awaitable<void> ensure_lease();
    template <class Host>
    boost::asio::awaitable<void> query(Host& on, const statement& s, outcome& out);
    template <class Host>
    boost::asio::awaitable<void> pipeline(Host& on, const op& o, outcome& out);
    template <class Host>
    boost::asio::awaitable<void> rows(Host& on, const op& o, outcome& out);
    boost::asio::awaitable<void> open_stream(const op& o, outcome& out);
    boost::asio::awaitable<void> copy_in(const op& o, outcome& out);
    boost::asio::awaitable<void> copy_out(const op& o, outcome& out);
    boost::asio::awaitable<void> copy_csv(const op& o, outcome& out);
    boost::asio::awaitable<void> timeout(outcome& out);
    boost::asio::awaitable<void> transactional(const op& o, outcome& out);
    boost::asio::awaitable<void> body(pgcoro::transaction& tx, const op& o, outcome& out);
    boost::asio::awaitable<void> in_body(pgcoro::transaction& tx, const statement& s, outcome& out);
    boost::asio::awaitable<void> poll(outcome& out);

    std::vector<std::shared_ptr<void>>
        abandoned_; // what coroutines that hang refer to, until io_ destroys them
    std::shared_ptr<void> last_; // what the coroutines of the last drive() refer to
    boost::asio::io_context io_{1};
    pgcoro::pool pool_;
    std::optional<pgcoro::multiplexer> multiplexer_;
    std::string digest_;
    pgcoro::lease lease_;
    std::unique_ptr<stream> stream_;
    std::optional<statement_handle> prepared_[2];
    bool prepared_dead_[2] = {};
    bool stream_is_dead_ = false;
    bool left_ = false;
    bool stopped_ = false;
};

} // namespace storm
