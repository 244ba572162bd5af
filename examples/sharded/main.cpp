// One pool a thread. Threads that share nothing wait for nobody's lock, and a connection stays on the thread,
// and in the cache, that it was last used on. The price is a budget of connections that must be divided
// beforehand: a busy thread cannot use what an idle one does not need.
//
// Each thread books orders of its own; in the end the database is held against what the threads were told.
#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <CLI/CLI.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace asio = boost::asio;

namespace
{

struct settings
{
    std::string url;
    std::size_t threads = 2;
    std::size_t budget = 10;
    int callers = 16;
    int orders = 20'000;
};

// A thread's share of everything: an I/O context, a pool, and its part of the work.
class shard
{
public:
    shard(const settings& s, std::size_t number, int orders)
        : number_(static_cast<int>(number))
        , orders_left_(orders)
        , io_(1) // one thread runs it, so that Asio can do without some locks
        , pool_(io_.get_executor(), options_of(s, number))
    {}

    // Runs until the share of the work is done. Keeps the first failure.
    void run(int callers)
    {
        int running = callers;
        for (int i = 0; i < callers; ++i)
            asio::co_spawn(io_, book(), [this, &running](std::exception_ptr e) {
                if (e && !failure_) failure_ = e;
                if (--running == 0) io_.stop(); // the pool would keep it busy
            });
        io_.run();
    }

    std::uint64_t booked() const noexcept { return booked_; }
    std::size_t capacity() const { return pool_.stats().capacity; }
    std::uint64_t connects() const { return pool_.stats().connects; }
    const std::exception_ptr& failure() const noexcept { return failure_; }

private:
    // The budget divided; what is left over goes to the first, one each.
    static pgcoro::pool_options options_of(const settings& s, std::size_t number)
    {
        pgcoro::pool_options options;
        options.connection = pgcoro::connection_options::from_uri(s.url);
        options.size = s.budget / s.threads + (number < s.budget % s.threads ? 1 : 0);
        options.max_overflow = 0;
        options.name = "shard " + std::to_string(number);
        return options;
    }

    asio::awaitable<void> book()
    {
        auto body = [this](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("insert into sharded_order (shard) values ($1)", number_);
        };
        while (orders_left_ > 0 && !failure_) {
            --orders_left_;
            co_await pgcoro::transactional(pool_, body);
            ++booked_;
        }
    }

    int number_;
    int orders_left_;
    std::uint64_t booked_ = 0;
    std::exception_ptr failure_;
    asio::io_context io_;
    pgcoro::pool pool_;
};

// Runs one coroutine on a connection of its own.
template <class Body>
void alone(const std::string& url, Body body)
{
    asio::io_context io;
    std::exception_ptr failure;
    auto run = [&]() -> asio::awaitable<void> {
        auto connection = co_await pgcoro::connection::connect(url);
        co_await body(connection);
    };
    asio::co_spawn(io, run(), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

void run_all(const std::vector<std::unique_ptr<shard>>& shards, int callers)
{
    std::vector<std::thread> threads;
    for (auto& s : shards) threads.emplace_back([&s, callers] { s->run(callers); });
    for (auto& t : threads) t.join();
}

} // namespace

int main(int argc, char** argv)
{
    settings s;
    CLI::App app(
        "Books orders from several threads, each with a pool of its own, under one budget of connections.");
    app.add_option("--url", s.url, "a server of your own; by default a private one is started");
    app.add_option("--threads", s.threads, "threads, and pools")->check(CLI::Range(1, 256));
    app.add_option("--budget", s.budget, "connections of all pools together, at least one each");
    app.add_option("--callers", s.callers, "coroutines a thread")->check(CLI::Range(1, 10'000));
    app.add_option("--orders", s.orders, "orders of all threads together")->check(CLI::Range(1, 100'000'000));
    CLI11_PARSE(app, argc, argv);
    try {
        if (s.budget < s.threads)
            throw std::invalid_argument("a budget of " + std::to_string(s.budget) +
                                        " connections is too small for " + std::to_string(s.threads) +
                                        " threads: each needs one");
        std::optional<pgcoro::testing::server> server;
        if (s.url.empty()) s.url = server.emplace().uri();
        alone(s.url, [](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute_script(
                "drop table if exists sharded_order;"
                "create table sharded_order (id bigint generated always as identity, shard int)");
        });

        std::vector<std::unique_ptr<shard>> shards;
        for (std::size_t i = 0; i < s.threads; ++i) {
            auto orders = static_cast<std::size_t>(s.orders);
            auto share = orders / s.threads + (i < orders % s.threads ? 1 : 0);
            shards.push_back(std::make_unique<shard>(s, i, static_cast<int>(share)));
        }
        run_all(shards, s.callers);

        std::vector<std::int64_t> stored(s.threads);
        alone(s.url, [&](pgcoro::connection& c) -> asio::awaitable<void> {
            using line = std::tuple<int, std::int64_t>;
            auto lines =
                co_await c.query_as<line>("select shard, count(*) from sharded_order group by shard");
            for (auto& [number, count] : lines) stored.at(static_cast<std::size_t>(number)) = count;
            co_await c.execute("drop table sharded_order");
        });

        bool right = true;
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < shards.size(); ++i) {
            auto& each = *shards[i];
            if (each.failure()) std::rethrow_exception(each.failure());
            std::cout << "thread " << i << ": " << each.booked() << " orders booked, " << stored[i]
                      << " stored, " << each.connects() << " of " << each.capacity() << " connections\n";
            right = right && each.booked() == static_cast<std::uint64_t>(stored[i]) &&
                    each.connects() <= each.capacity();
            all += each.booked();
        }
        right = right && all == static_cast<std::uint64_t>(s.orders);
        std::cout << (right ? "all orders are there, once each\n"
                            : "the orders stored are not those booked\n");
        return right ? 0 : 1;
    } catch (const std::exception& e) {
        std::cerr << "sharded: " << e.what() << '\n';
        return 1;
    }
}
