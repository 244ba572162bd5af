#pragma once

#include "notes.hpp"
#include "registers.hpp"
#include "watch.hpp"

#include "transfers/bank.hpp"
#include "transfers/callers.hpp"

#include <pgcoro/pgcoro.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace chaos
{

/// The work that is done while the servers are mistreated: transfers, lists that are appended to, reads, COPY
/// in and out, NOTIFY and a listener.
class load
{
public:
    static constexpr int transfer_callers = 24;
    static constexpr int read_callers = 4;
    static constexpr int serializable_callers = 4;   ///< that append to lists, and read them
    static constexpr int read_committed_callers = 2; ///< the same
    static constexpr std::int32_t rows_a_batch = 500;

    /// `c` and `w` must outlive it; `listening` is where the listener connects.
    load(pgcoro::cluster& c, pgcoro::connection_options listening, watch& w, std::uint32_t seed,
         std::chrono::milliseconds transfer_limit);

    /// Returns the names of the tables in the default schema, for DROP TABLE.
    static std::string tables();
    /// Makes the tables.
    boost::asio::awaitable<void> open();
    /// All callers, until stop().
    boost::asio::awaitable<void> run();
    /// Each caller ends with what he is about. From any thread.
    void stop() noexcept { stopped_ = true; }

    /// Holds the database against what the callers were told.
    boost::asio::awaitable<transfers::audit> check();
    /// What else is not as it should be, a line each.
    std::vector<std::string> complaints() const;

    const transfers::journal& journal() const noexcept { return transfers_.told(); }
    /// So many transactions on lists ended like that.
    std::size_t appends(histories::fate came) const
    {
        return serializable_.count(came) + read_committed_.count(came);
    }
    const notes& notifications() const noexcept { return notes_; }

private:
    boost::asio::awaitable<void> work_all();
    boost::asio::awaitable<void> transfer(int number);
    boost::asio::awaitable<void> append(registers& to, unsigned number);
    boost::asio::awaitable<void> read(int number);
    boost::asio::awaitable<void> copy_in();
    boost::asio::awaitable<void> copy_out();
    boost::asio::awaitable<void> notify();
    boost::asio::awaitable<void> listen();
    template <class Body>
    boost::asio::awaitable<bool> attempt(watch::caller& who, Body body);
    void complain(std::string what);
    /// To make the tables by, and to look through them: that takes longer than the load has patience.
    pgcoro::pool_options patient() const;

    pgcoro::cluster& cluster_;
    pgcoro::connection_options listening_;
    watch& watch_;
    std::uint32_t seed_;
    transfers::bank bank_;
    transfers::callers transfers_;
    registers serializable_;
    registers read_committed_;
    notes notes_;
    std::vector<std::int64_t> batches_told_; ///< that were copied in, as the caller was told
    std::vector<std::string> complaints_;
    std::atomic<bool> stopped_ = false;
};

} // namespace chaos
