#include "integration/transaction/numbered_work.hpp"

#include "integration/run.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <future>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

namespace test
{

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::transaction;

namespace
{

// What `body` of a transaction may be. Each inserts at least the row of part 0.
struct way
{
    const char* name;
    int least; // rows
    int most;
    asio::awaitable<void> (*insert)(transaction& tx, std::int64_t number, std::chrono::microseconds patience);
};

constexpr const char* insert_one = "insert into numbered values ($1, 0)";
constexpr const char* insert_three =
    "insert into numbered select $1, p from generate_series(0, 2) as p returning part";

asio::awaitable<void> by_itself(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    co_await tx.execute(insert_one, number);
}

asio::awaitable<void> behind_a_read(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    co_await tx.query("select count(*) from numbered where n = $1", number);
    co_await tx.execute(insert_one, number);
    co_await tx.query("select 1");
}

asio::awaitable<void> with_commit(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    co_await tx.last().execute(insert_one, number);
}

asio::awaitable<void> second_with_commit(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    co_await tx.execute(insert_one, number);
    co_await tx.last().execute("insert into numbered values ($1, 1)", number);
}

asio::awaitable<void> in_a_pipeline(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    auto both = tx.pipeline();
    both.execute(insert_one, number);
    both.execute("insert into numbered values ($1, 1)", number);
    co_await both.run();
}

asio::awaitable<void> streamed(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    auto rows = tx.stream<int>(insert_three, number);
    for (;;) {
        auto part = co_await rows.next();
        if (!part) break;
    }
}

asio::awaitable<void> streamed_and_left(transaction& tx, std::int64_t number, std::chrono::microseconds)
{
    auto rows = tx.stream<int>(insert_three, number);
    co_await rows.next();
}

// The second statement may take effect or not, with the first.
asio::awaitable<void> abandoned(transaction& tx, std::int64_t number, std::chrono::microseconds patience)
{
    using namespace asio::experimental::awaitable_operators;
    co_await tx.execute(insert_one, number);
    asio::steady_timer timer(co_await asio::this_coro::executor, patience);
    co_await (tx.execute("insert into numbered select $1, 1 from pg_sleep(0.001)", number) ||
              timer.async_wait(asio::use_awaitable));
}

asio::awaitable<void> abandoned_at_once(transaction& tx, std::int64_t number,
                                        std::chrono::microseconds patience)
{
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, patience);
    co_await (tx.execute("insert into numbered select $1, 0 from pg_sleep(0.001)", number) ||
              timer.async_wait(asio::use_awaitable));
}

constexpr way ways[] = {
    {"by itself", 1, 1, &by_itself},
    {"behind a read", 1, 1, &behind_a_read},
    {"with COMMIT", 1, 1, &with_commit},
    {"the second with COMMIT", 2, 2, &second_with_commit},
    {"in a pipeline", 2, 2, &in_a_pipeline},
    {"streamed", 3, 3, &streamed},
    {"streamed and left", 3, 3, &streamed_and_left},
    {"abandoned", 1, 2, &abandoned},
    {"abandoned at once", 0, 1, &abandoned_at_once},
};

// Rows by number, and how many of them are different ones.
struct rows_of
{
    int all = 0;
    int different = 0;
};

std::map<std::size_t, rows_of> rows_at(const std::vector<const pgcoro::testing::server*>& servers)
{
    std::map<std::size_t, rows_of> found;
    for (auto* s : servers) {
        std::istringstream lines(
            s->psql("select n, count(*), count(distinct part) from numbered group by n"));
        std::size_t number = 0;
        rows_of here;
        for (char gap = 0; lines >> number >> gap >> here.all >> gap >> here.different;) {
            found[number].all += here.all;
            found[number].different = std::max(found[number].different, here.different);
        }
    }
    return found;
}

} // namespace

numbered_work::numbered_work(pgcoro::pool_options where, pgcoro::resolve_commit how, std::uint32_t seed)
    : where_(std::move(where))
    , how_(how)
    , rng_(seed)
{
    where_.size = callers;
    where_.max_overflow = callers;
    where_.name = "exactly once";
    where_.connection.application_name = where_.name;
    where_.retry_budget.capacity = 1e6; // these servers are as sick as can be
}

void numbered_work::create_tables(pgcoro::testing::server& s)
{
    s.psql("drop table if exists numbered; create table numbered (n bigint not null, part int not null)");
    run([&]() -> asio::awaitable<void> {
        pgcoro::pool_options o;
        o.connection = pgcoro::connection_options::from_uri(s.uri());
        pgcoro::pool p(co_await asio::this_coro::executor, o);
        co_await pgcoro::create_commit_markers(p);
    });
}

void numbered_work::let_pass(std::size_t least, std::size_t most, std::mt19937& rng) const
{
    auto end = ended_ + std::uniform_int_distribution<std::size_t>(least, most)(rng);
    auto limit = std::chrono::steady_clock::now() + patience / 3;
    while (ended_ < end && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(1ms);
}

void numbered_work::run_during(const std::function<void()>& harm)
{
    auto harming = std::async(std::launch::async, [&] {
        struct stopping
        {
            std::atomic<bool>& stopped;
            ~stopping() { stopped = true; }
        } at_the_end{stopped_};
        harm();
    });
    run([&]() -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        pgcoro::pool through(co_await asio::this_coro::executor, where_);
        static_assert(callers == 4);
        co_await (call(through) && call(through) && call(through) && call(through));
    });
    harming.get();
}

asio::awaitable<void> numbered_work::call(pgcoro::pool& through)
{
    while (!stopped_) co_await run_one(through);
}

asio::awaitable<void> numbered_work::run_one(pgcoro::pool& through)
{
    auto number = told_.size();
    auto& how = ways[std::uniform_int_distribution<std::size_t>(0, std::size(ways) - 1)(rng_)];
    std::chrono::microseconds patience(std::uniform_int_distribution<int>(0, 3000)(rng_));
    told_.push_back({fate::under_way, how.least, how.most, how.name, {}});
    auto body = [&](transaction& tx) -> asio::awaitable<void> {
        co_await how.insert(tx, static_cast<std::int64_t>(number), patience);
    };
    pgcoro::transaction_options options;
    options.resolve_commit = how_;
    options.timeout = 15s;
    auto came = fate::committed;
    std::string error;
    try {
        co_await pgcoro::transactional(through, body, options);
    } catch (const pgcoro::result_lost&) {
    } catch (const pgcoro::commit_unknown& e) {
        came = fate::unknown;
        error = e.what();
    } catch (const pgcoro::error& e) {
        came = fate::failed;
        error = e.what();
    }
    told_[number].came = came;
    told_[number].error = std::move(error);
    ++ended_;
}

numbered_outcome numbered_work::compare(const std::vector<const pgcoro::testing::server*>& with) const
{
    numbered_outcome o;
    auto rows = rows_at(with);
    for (std::size_t number = 0; number < told_.size(); ++number) {
        auto& t = told_[number];
        auto [all, different] = rows[number];
        auto wrong = [&](const std::string& what) {
            o.wrong.push_back(std::to_string(number) + " (" + t.way + ") has " + std::to_string(all) +
                              " rows, " + std::to_string(different) + " different ones, and " + what + " " +
                              t.error);
        };
        bool whole = all >= t.least && all <= t.most;
        if (all != different) wrong("was done twice");
        if (all > 0 && !whole) wrong("was done in part");
        if (t.came == fate::committed && ++o.committed && !whole) wrong("was told as committed");
        if (t.came == fate::failed && ++o.failed && all > 0) wrong("was told as failed");
        if (t.came == fate::under_way) wrong("did not end");
        if (t.came != fate::unknown) continue;
        ++o.unknown;
        o.unknown_happened += all > 0;
        o.unknown_reasons.push_back(t.way + ": " + t.error);
    }
    return o;
}

std::optional<fault> random_cuts::operator()(std::string_view message)
{
    auto number = [&](std::size_t from, std::size_t to) {
        return std::uniform_int_distribution<std::size_t>(from, to)(rng_);
    };
    if (message.empty() || std::string_view("QPBES").find(message.front()) == std::string_view::npos)
        return std::nullopt;
    bool commits = message.find(std::string_view("commit\0", 7)) != message.npos;
    if (number(1, commits ? 5 : static_cast<std::size_t>(rarity_)) > 1) return std::nullopt;
    ++count_;
    fault f;
    f.what = number(0, 1) ? fault::cut : fault::reset;
    f.where = number(0, 1) ? fault::to_client : fault::to_server;
    f.after = number(0, f.where == fault::to_server ? message.size() - 1 : 40);
    return f;
}

} // namespace test
