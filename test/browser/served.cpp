// What the browser looks at: a pool on a private server, and a cluster of that and its replica, with a
// monitor on them, under a load that standard input steers, a word a line: "fail" has every other statement
// fail, "heal" none, "block" has one session wait for another, "unblock" ends that, "sample" takes a sample,
// which alerts are raised and cleared by. Each is answered by "done". The first line of standard output is
// the monitor's URL. Ends with its input.
#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/cluster/cluster.hpp>
#include <pgcoro/monitor/monitor.hpp>
#include <pgcoro/pgcoro.hpp>
#include <pgcoro/testing/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <unistd.h>

#include <ctime>
#include <iostream>
#include <optional>

namespace asio = boost::asio;
using namespace pgcoro;

namespace
{

constexpr const char* counted = "select count(*) from item";

class served
{
public:
    served(const std::string& url, const std::string& both, const std::string& token)
        : pool_(io_.get_executor(), options(url))
        , cluster_(io_.get_executor(), replicated(both))
        , cache_(io_.get_executor(), pool_)
        , sampler_(metrics_, history_, &alerts_, {.inspected = &pool_})
        , monitor_(io_.get_executor(), {&metrics_, &pool_, &history_, &alerts_, &sampler_, &cache_},
                   monitoring(token))
        , input_(io_, ::dup(STDIN_FILENO))
    {
        metrics_.watch(pool_);
        metrics_.watch(cluster_);
        add_past();
    }

    void run()
    {
        asio::co_spawn(io_, steer(), [this](std::exception_ptr e) {
            failure_ = e;
            io_.stop();
        });
        io_.run();
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    pool_options options(const std::string& url)
    {
        pool_options o;
        o.connection = connection_options::from_uri(url);
        o.name = "shop";
        o.size = 4;
        o.max_overflow = 2;
        o.observer = &metrics_;
        return o;
    }
    cluster_options replicated(const std::string& both)
    {
        cluster_options o;
        o.pool = options(both);
        o.pool.name = "catalogue";
        return o;
    }
    static monitor_options monitoring(const std::string& token)
    {
        monitor_options o;
        o.port = 0;
        o.token = token;
        o.interval = std::chrono::milliseconds(250);
        return o;
    }

    // A day of samples, so that there is something to look back at.
    void add_past()
    {
        auto now = static_cast<double>(std::time(nullptr));
        for (int i = 24 * 60; i > 0; --i) {
            sample s;
            auto wave = (i % 360) / 360.0;
            s.time = now - 60 * i;
            s.length = 60;
            s.queries = 6'000 + 3'000 * wave;
            s.query_rate = s.queries / 60;
            s.avg = 0.002 + 0.001 * wave;
            s.p95 = 0.006 + 0.004 * wave;
            s.connections_in_use = 1 + 3 * wave;
            s.utilization = s.connections_in_use / 6;
            history_.add(s);
        }
    }

    asio::awaitable<void> load()
    {
        asio::steady_timer timer(io_);
        auto buy = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update item set n = n + 1 where id = 1");
        };
        transaction_options options;
        options.name = "buy";
        for (std::uint64_t i = 0;; ++i) {
            timer.expires_after(std::chrono::milliseconds(5));
            co_await timer.async_wait(asio::deferred);
            co_await pool_.named("look at item")
                .query("select * from item where id = $1", static_cast<int>(i % 100));
            if (i % 5 == 0) co_await transactional(pool_, buy, options);
            if (i % 3 == 0) co_await cluster_.query_value<int>("select 1");
            if (i % 7 == 0) co_await cache_.query_value<std::int64_t>(counted);
            if (failing_) {
                try {
                    co_await pool_.named("broken").query("select 1/0");
                } catch (const server_error&) { // as told
                }
            }
        }
    }

    asio::awaitable<void> steer()
    {
        auto setting_up = co_await pool_.acquire();
        co_await setting_up->execute_script("create table item (id int primary key, n int);"
                                            "insert into item select i, 0 from generate_series(0, 99) i");
        setting_up.release();
        asio::co_spawn(io_, load(), [this](std::exception_ptr e) {
            failure_ = e;
            io_.stop();
        });
        asio::co_spawn(io_, monitor_.run(), asio::detached);
        std::cout << monitor_.url() << std::endl;
        std::string text;
        for (;;) {
            boost::system::error_code ended;
            auto size = co_await asio::async_read_until(input_, asio::dynamic_buffer(text), '\n',
                                                        asio::redirect_error(asio::use_awaitable, ended));
            if (ended) co_return;
            auto word = text.substr(0, size - 1);
            text.erase(0, size);
            co_await obey(word);
            std::cout << "done" << std::endl;
        }
    }

    asio::awaitable<void> obey(const std::string& word)
    {
        if (word == "fail" || word == "heal") failing_ = word == "fail";
        if (word == "sample") co_await sampler_.take();
        if (word == "block") {
            auto held = co_await connection::connect(pool_.options().connection);
            blocker_.emplace(std::move(held));
            co_await blocker_->query("select pg_advisory_lock(4711)");
            asio::co_spawn(io_, wait_behind(), asio::detached);
        }
        if (word == "unblock") blocker_.reset();
    }

    asio::awaitable<void> wait_behind()
    {
        auto waiting = co_await connection::connect(pool_.options().connection);
        co_await waiting.query("select pg_advisory_lock(4711)");
    }

    asio::io_context io_;
    pgcoro::metrics metrics_;
    pool pool_;
    cluster cluster_;
    query_cache cache_;
    history history_;
    alerts alerts_;
    sampler sampler_;
    monitor monitor_;
    asio::posix::stream_descriptor input_;
    std::optional<connection> blocker_;
    bool failing_ = false;
    std::exception_ptr failure_;
};

} // namespace

int main(int argc, char** argv)
{
    try {
        testing::server primary;
        testing::server_options second;
        second.replica_of = &primary;
        testing::server replica(second);
        auto both = "postgresql://postgres:" + primary.password() +
                    "@127.0.0.1:" + std::to_string(primary.port()) +
                    ",127.0.0.1:" + std::to_string(replica.port()) + "/postgres";
        served it(primary.uri(), both, argc > 1 ? argv[1] : "");
        it.run();
    } catch (const std::exception& e) {
        std::cerr << "served: " << e.what() << '\n';
        return 1;
    }
}
