#include "peers/peers.hpp"

#ifdef PGCORO_BENCH_LIBPQXX

#include "random.hpp"

#include <pqxx/pqxx>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace bench
{

namespace
{

account read_account(const pqxx::row& row)
{
    return {row[0].as<std::int64_t>(), row[1].as<std::string>(), row[2].as<std::int64_t>(),
            row[3].as<double>()};
}

// A connection and a thread for each caller: what libpqxx, which blocks, is meant for.
class blocking_callers
{
public:
    blocking_callers(const std::string& uri, std::size_t n, const char* sql)
    {
        for (std::size_t i = 0; i < n; ++i) {
            connections_.push_back(std::make_unique<pqxx::connection>(uri));
            connections_.back()->prepare("statement", sql);
        }
    }

    // `once(transaction, rows)` is one operation.
    template <class Once>
    sample run(seconds how_long, Once once)
    {
        return measured([&] {
            std::atomic<bool> stop = false;
            std::atomic<std::uint64_t> sum = 0;
            std::exception_ptr failure;
            std::mutex mutex;
            std::vector<std::thread> threads;
            for (std::size_t i = 0; i < connections_.size(); ++i)
                threads.emplace_back([&, i] {
                    try {
                        pqxx::nontransaction tx(*connections_[i]);
                        random_rows rows(i);
                        std::uint64_t done = 0;
                        for (; !stop; ++done) once(tx, rows);
                        sum += done;
                    } catch (...) {
                        std::lock_guard lock(mutex);
                        failure = std::current_exception();
                    }
                });
            std::this_thread::sleep_for(how_long);
            stop = true;
            for (auto& t : threads) t.join();
            if (failure) std::rethrow_exception(failure);
            return sum.load();
        });
    }

private:
    std::vector<std::unique_ptr<pqxx::connection>> connections_;
};

} // namespace

std::vector<contender> libpqxx_point_select(const environment& where, std::size_t threads)
{
    auto all = std::make_shared<blocking_callers>(where.uri(), threads,
                                                  "select id, owner, cents, rate from account where id = $1");
    return {{"libpqxx", [all](seconds how_long) {
                 return all->run(how_long, [](pqxx::nontransaction& tx, random_rows& rows) {
                     auto id = rows.upto(environment::accounts);
                     auto got = read_account(tx.exec_prepared1("statement", id));
                     if (got.id != id) throw std::runtime_error("the wrong row came back");
                 });
             }}};
}

std::vector<contender> libpqxx_rows(const environment& where, std::size_t threads)
{
    auto all = std::make_shared<blocking_callers>(
        where.uri(), threads, "select id, owner, cents, rate from account where id between $1 and $2");
    return {{"libpqxx", [all](seconds how_long) {
                 return all->run(how_long, [](pqxx::nontransaction& tx, random_rows& rows) {
                     auto first = rows.upto(environment::accounts - 1'000);
                     auto result = tx.exec_prepared("statement", first, first + 999);
                     std::vector<account> got;
                     got.reserve(result.size());
                     for (const auto& row : result) got.push_back(read_account(row));
                     if (got.size() != 1'000) throw std::runtime_error("rows are missing");
                 });
             }}};
}

} // namespace bench

#else

namespace bench
{

std::vector<contender> libpqxx_point_select(const environment&, std::size_t) { return {}; }
std::vector<contender> libpqxx_rows(const environment&, std::size_t) { return {}; }

} // namespace bench

#endif
