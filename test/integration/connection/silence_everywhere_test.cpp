// Every operation, at every message of the server's: from there on the server says nothing, the connection is
// cut, or the server ends the session by an error and leaves the connection open. Each time the operation
// ends within its limits, the pool gets its slot back, and the next caller succeeds.
#include "from_environment.hpp"
#include "integration/connection/support.hpp"
#include "integration/support/answer_proxy.hpp"
#include "integration/support/proxy.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <span>
#include <sstream>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using pgcoro::barrier;
using pgcoro::connection;
using pgcoro::transaction;
using test::answer_proxy;

namespace
{

using clock = std::chrono::steady_clock;
using written_row = std::tuple<int, std::string>;

const char* const tables = "create table s (id int primary key, v text, b bytea)";

// A private server that allows many connections at once and prepared transactions, and the proxy in front of
// it.
struct place
{
    pgcoro::testing::server server;
    answer_proxy proxy;

    place()
        : server(options())
        , proxy(test::socket_of(server))
    {
        server.psql(tables);
    }
    static pgcoro::testing::server_options options()
    {
        pgcoro::testing::server_options o;
        o.settings["max_connections"] = "400";
        o.settings["max_prepared_transactions"] = "400";
        return o;
    }
};

// The connections and names that a trial works with. Each trial has its own scene, and writes its own rows.
struct scene
{
    asio::any_io_executor executor;
    place& at;
    int id;
    std::string name;
    bool limited; // by short limits: not where messages are counted
    pgcoro::pool pool;
    pgcoro::lease lease;
    std::optional<pgcoro::prepared_statement<int>> prepared;
    std::optional<pgcoro::listener> listener;
    std::function<void()> arm; // the harm is to come from here on

    scene(asio::any_io_executor e, place& where, int number, bool is_limited)
        : executor(e)
        , at(where)
        , id(number * 100)
        , name("case " + std::to_string(number))
        , limited(is_limited)
        , pool(e, pool_options())
    {}

    std::chrono::milliseconds limit(std::chrono::milliseconds wanted) const { return limited ? wanted : 10s; }

    pgcoro::connection_options options() const
    {
        auto o = pgcoro::connection_options::from_uri(
            "postgresql://postgres:" + at.server.password() + "@127.0.0.1:" + std::to_string(at.proxy.port()) +
            "/postgres?sslmode=disable&gssencmode=disable");
        o.application_name = name;
        o.connect_timeout = limit(1s);
        o.statement_timeout = limit(300ms);
        o.response_grace = 200ms;
        return o;
    }
    pgcoro::pool_options pool_options() const
    {
        pgcoro::pool_options o;
        o.connection = options();
        o.name = name;
        o.size = 1;
        o.max_overflow = 1;
        o.acquire_timeout = limit(2s);
        o.ping_timeout = limit(300ms);
        o.cleanup_timeout = limit(500ms);
        o.pre_ping = pgcoro::pre_ping::always;
        return o;
    }
    pgcoro::transaction_options once() const
    {
        pgcoro::transaction_options o;
        o.retry.max_attempts = 1;
        o.timeout = limit(2s);
        return o;
    }
    std::string gid() const { return "silence-" + std::to_string(id); }
    std::vector<written_row> rows() const
    {
        std::vector<written_row> all;
        for (int i = 0; i < 5; ++i) all.emplace_back(id + i, "v");
        return all;
    }
    pgcoro::target table() const { return {std::string("s"), {"id", "v"}}; }

    asio::awaitable<void> lend()
    {
        auto got = co_await pool.acquire();
        lease = std::move(got);
    }
};

using step = std::function<asio::awaitable<void>(scene&)>;

struct operation
{
    // Of the functions in the headers; see every_public_operation_is_in_the_list.
    std::vector<std::string> covers;
    step run;
    step prepare = nullptr;     // with a healthy network
    bool on_lease = true;       // else it takes a connection itself
    bool closes = false;        // the pool
    bool arms = false;          // by itself, and not from its beginning on
    bool needs_network = false; // it waits until there is one again
};

asio::awaitable<void> prepare_one(scene& s)
{
    auto body = [&s](transaction& tx) -> asio::awaitable<void> {
        co_await tx.execute("insert into s values ($1)", s.id);
        auto gid = s.gid();
        co_await tx.prepare_transaction(gid);
    };
    co_await pgcoro::transactional(s.pool, body);
}

asio::awaitable<void> warm(scene& s) { co_await s.pool.warm_up(); }

// Runs `work(transaction&)` in a transaction that has begun.
template <class Work>
step in_transaction(Work work)
{
    return [work](scene& s) -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("insert into s values ($1) on conflict do nothing", s.id);
            s.arm();
            co_await work(s, tx);
        };
        co_await pgcoro::transactional(s.pool, body, s.once());
    };
}

// The operations that connections and transactions have in common, under the name of either's base.
template <class Get>
void add_common(std::vector<operation>& all, Get on)
{
    auto add = [&](std::vector<std::string> covers, auto work) {
        all.push_back(on(std::move(covers), work));
    };
    add({"querying::query"}, [](scene&, auto& c) -> asio::awaitable<void> { co_await c.query("select 1"); });
    add({"querying::query_as"}, [](scene&, auto& c) -> asio::awaitable<void> {
        co_await c.template query_as<int>("select i from generate_series(1, 3) i");
    });
    add({"querying::try_query_as"}, [](scene&, auto& c) -> asio::awaitable<void> {
        co_await c.template try_query_as<int>("select i from generate_series(1, 3) i");
    });
    add({"querying::query_value"},
        [](scene&, auto& c) -> asio::awaitable<void> { co_await c.template query_value<int>("select 1"); });
    add({"querying::query_optional"}, [](scene&, auto& c) -> asio::awaitable<void> {
        co_await c.template query_optional<int>("select 1");
    });
    add({"querying::execute"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        co_await c.execute("insert into s values ($1) on conflict do nothing", s.id + 1);
    });
    add({"statements::insert_many"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        auto rows = s.rows();
        rows.erase(rows.begin());
        auto table = s.table();
        co_await c.insert_many(table, rows);
    });
    add({"statements::update_many"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        auto rows = s.rows();
        auto table = s.table();
        std::vector<std::string> keys{"id"};
        co_await c.update_many(table, keys, rows);
    });
    add({"statements::upsert_many"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        auto rows = s.rows();
        auto table = s.table();
        std::vector<std::string> keys{"id"};
        co_await c.upsert_many(table, keys, rows);
    });
    add({"statements::copy_in"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        auto rows = s.rows();
        rows.erase(rows.begin());
        auto table = s.table();
        co_await c.copy_in(table, rows);
    });
    add({"statements::copy_in"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        int next = 0;
        auto generate = [&]() -> asio::awaitable<std::optional<written_row>> {
            if (++next == 4) co_return std::nullopt;
            co_return written_row(s.id + next, "v");
        };
        auto table = s.table();
        co_await c.copy_in(table, generate);
    });
    add({"statements::copy_in_bytes"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        std::array<std::byte, 8> eight{};
        int given = 0;
        auto pieces = [&]() -> asio::awaitable<std::span<const std::byte>> {
            if (++given > 2) co_return std::span<const std::byte>();
            co_return std::span<const std::byte>(eight);
        };
        written_row first(s.id + 1, "v");
        auto table = s.table();
        co_await c.copy_in_bytes(table, first, std::string("b"), 16, pieces);
    });
    add({"statements::copy_out_csv"}, [](scene&, auto& c) -> asio::awaitable<void> {
        auto sink = [](std::string_view) {};
        co_await c.copy_out_csv("select i from generate_series(1, 3) i", sink);
    });
    add({"statements::execute_script"}, [](scene& s, auto& c) -> asio::awaitable<void> {
        auto id = std::to_string(s.id + 1);
        auto text = "insert into s values (" + id + ") on conflict do nothing; select 1; select 2";
        co_await c.execute_script(text);
    });
    add({"row_stream::next"}, [](scene&, auto& c) -> asio::awaitable<void> {
        auto rows = c.template stream<int>("select i from generate_series(1, 4) i");
        for (;;) {
            auto r = co_await rows.next();
            if (!r) break;
        }
    });
    add({"row_stream::next_chunk"}, [](scene&, auto& c) -> asio::awaitable<void> {
        auto rows = c.template stream<int>("select i from generate_series(1, 4) i");
        for (;;) {
            auto some = co_await rows.next_chunk(3);
            if (some.empty()) break;
        }
    });
    add({"copy_stream::next"}, [](scene&, auto& c) -> asio::awaitable<void> {
        auto rows = c.template copy_out<int>("select i from generate_series(1, 3) i");
        for (;;) {
            auto r = co_await rows.next();
            if (!r) break;
        }
    });
    for (auto b : {barrier::none, barrier::each})
        add({"pipeline::run"}, [b](scene& s, auto& c) -> asio::awaitable<void> {
            auto line = c.pipeline(b);
            line.execute("insert into s values ($1) on conflict do nothing", s.id + 1);
            line.template query_value<int>("select 1");
            line.template query_value<int>("select $1::int", 2);
            co_await line.run();
        });
}

void add_connection(std::vector<operation>& all)
{
    auto add = [&](std::vector<std::string> covers, step run, step prepare = nullptr) {
        all.push_back({std::move(covers), std::move(run), std::move(prepare)});
    };
    add_common(all, [](std::vector<std::string> covers, auto work) {
        return operation{std::move(covers),
                         [work](scene& s) -> asio::awaitable<void> { co_await work(s, s.lease.get()); }};
    });
    all.push_back({{"connection::connect"},
                   [](scene& s) -> asio::awaitable<void> {
                       auto options = s.options();
                       co_await connection::connect(options);
                   },
                   nullptr,
                   false});
    auto prepare = [](scene& s) -> asio::awaitable<void> {
        auto made = co_await s.lease->prepare<int>("select $1::int + 1");
        s.prepared.emplace(std::move(made));
    };
    add({"connection::prepare"}, prepare);
    add({"querying::run"},
        [](scene& s) -> asio::awaitable<void> { co_await s.lease->run("select 1", {}); });
    auto listen = [](scene& s) -> asio::awaitable<void> {
        std::vector<std::string> channels{"c" + std::to_string(s.id)};
        co_await s.lease->listen(channels);
    };
    add({"connection::listen"}, listen);
    add(
        {"connection::unlisten"}, [](scene& s) -> asio::awaitable<void> { co_await s.lease->unlisten(); },
        listen);
    add(
        {"connection::wait_notification"},
        [](scene& s) -> asio::awaitable<void> {
            auto sql = "notify c" + std::to_string(s.id);
            co_await s.lease->execute(sql);
            co_await s.lease->wait_notification(300ms);
        },
        listen);
    add({"connection::ping"},
        [](scene& s) -> asio::awaitable<void> { co_await s.lease->ping(s.limit(300ms)); });
    add(
        {"connection::reset"},
        [](scene& s) -> asio::awaitable<void> { co_await s.lease->reset(s.limit(300ms)); }, listen);

    add(
        {"prepared_statement::query"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->query(1); }, prepare);
    add(
        {"prepared_statement::query_as"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->query_as<int>(1); }, prepare);
    add(
        {"prepared_statement::try_query_as"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->try_query_as<int>(1); }, prepare);
    add(
        {"prepared_statement::query_value"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->query_value<int>(1); }, prepare);
    add(
        {"prepared_statement::query_optional"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->query_optional<int>(1); }, prepare);
    add(
        {"prepared_statement::execute"},
        [](scene& s) -> asio::awaitable<void> { co_await s.prepared->execute(1); }, prepare);

    // The statement behind one that was cancelled, or a stream that was left, waits for the end of that.
    add({"row_stream::next"}, [](scene& s) -> asio::awaitable<void> {
        {
            auto rows = s.lease->stream<int>("select i from generate_series(1, 20) i");
            co_await rows.next();
        }
        co_await s.lease->query("select 1");
    });
}

void add_pool(std::vector<operation>& all)
{
    auto add = [&](std::vector<std::string> covers, step run, step prepare = nullptr, bool closes = false) {
        all.push_back({std::move(covers), std::move(run), std::move(prepare), false, closes});
    };
    add({"pool::acquire"}, [](scene& s) -> asio::awaitable<void> { co_await s.pool.acquire(); });
    add(
        {"pool::acquire"}, [](scene& s) -> asio::awaitable<void> { co_await s.pool.acquire(1s); }, warm);
    add(
        {"querying::run"}, [](scene& s) -> asio::awaitable<void> { co_await s.pool.run("select 1", {}); }, warm);
    add({"pool::warm_up"}, warm);
    add({"pool::verify"}, [](scene& s) -> asio::awaitable<void> { co_await s.pool.verify(); });
    // A lease that comes back in a transaction, with something to undo.
    auto dirty = [](scene& s) -> asio::awaitable<void> {
        co_await s.lend();
        co_await s.lease->execute("set work_mem = '8MB'");
        co_await s.lease->execute("begin");
    };
    add(
        {"pool::close"},
        [](scene& s) -> asio::awaitable<void> {
            s.lease.release();
            co_await s.pool.close(s.limit(500ms));
        },
        dirty, true);
    add(
        {"pool::acquire"},
        [](scene& s) -> asio::awaitable<void> {
            s.lease.release();
            co_await s.pool.acquire();
        },
        dirty);
    add({"named_pool::acquire"}, [](scene& s) -> asio::awaitable<void> {
        auto named = s.pool.named("n");
        co_await named.acquire();
        co_await named.acquire(1s);
    });
    add(
        {"querying::run"},
        [](scene& s) -> asio::awaitable<void> { co_await s.pool.named("n").run("select 1", {}); }, warm);
    add(
        {"querying::run"},
        [](scene& s) -> asio::awaitable<void> {
            pgcoro::multiplexer_options options;
            options.timeout = s.limit(2s);
            pgcoro::multiplexer mux(s.executor, s.pool, options);
            co_await mux.run("select 1", {});
        },
        warm);
    add(
        {"querying::run"},
        [](scene& s) -> asio::awaitable<void> {
            pgcoro::multiplexer_options options;
            options.timeout = s.limit(2s);
            pgcoro::multiplexer mux(s.executor, s.pool, options);
            co_await mux.read().run("select 1", {});
            co_await mux.read().run("select 1", {});
        },
        warm);
    add(
        {"querying::execute"},
        [](scene& s) -> asio::awaitable<void> {
            auto with = s.pool.with({{"app.id", s.id}});
            co_await with.execute("insert into s values ($1) on conflict do nothing", s.id + 1);
        },
        warm);
    add(
        {"querying::query"},
        [](scene& s) -> asio::awaitable<void> {
            pgcoro::multiplexer_options options;
            options.timeout = s.limit(2s);
            pgcoro::multiplexer mux(s.executor, s.pool, options);
            auto with = mux.read().with({{"app.id", s.id}});
            co_await with.query("select current_setting('app.id')");
        },
        warm);
    step listen = [](scene& s) -> asio::awaitable<void> {
        std::vector<std::string> channels{"c" + std::to_string(s.id)};
        pgcoro::listener_options options;
        options.ping_every = 300ms;
        pgcoro::listener changes(s.options(), channels, options);
        // It waits for as long as it takes, so that somebody has to send while it does.
        bool over = false;
        beside sender(s.executor, [&]() -> asio::awaitable<void> {
            while (!over) {
                auto sql = "notify c" + std::to_string(s.id);
                try {
                    auto other = s.options();
                    other.application_name = "sender";
                    auto c = co_await connection::connect(other);
                    while (!over) {
                        co_await c.execute(sql);
                        asio::steady_timer timer(s.executor, 50ms);
                        co_await timer.async_wait(asio::use_awaitable);
                    }
                } catch (const pgcoro::error&) {
                }
            }
        });
        std::exception_ptr failure;
        try {
            co_await changes.next();
        } catch (...) {
            failure = std::current_exception();
        }
        over = true;
        while (!sender.done()) co_await yield();
        if (failure) std::rethrow_exception(failure);
    };
    all.push_back({{"listener::next"}, listen, nullptr, false, false, false, true});
}

void add_transaction(std::vector<operation>& all)
{
    auto add = [&](std::vector<std::string> covers, step run, step prepare = warm) {
        all.push_back({std::move(covers), std::move(run), std::move(prepare), false});
    };
    auto add_in_one = [&](std::vector<std::string> covers, step run) {
        all.push_back({std::move(covers), std::move(run), warm, false, false, true});
    };
    add_common(all, [](std::vector<std::string> covers, auto work) {
        return operation{std::move(covers), in_transaction(work), warm, false, false, true};
    });
    add_in_one({"querying::run", "transactional"},
               in_transaction([](scene&, transaction& tx) -> asio::awaitable<void> {
                   co_await tx.run("select 1", {});
               }));
    add_in_one({"transaction::set_local"},
               in_transaction([](scene&, transaction& tx) -> asio::awaitable<void> {
                   co_await tx.set_local("work_mem", "8MB");
               }));
    add_in_one({"querying::query"}, in_transaction([](scene& s, transaction& tx) -> asio::awaitable<void> {
                   auto with = tx.with({{"app.id", s.id}});
                   co_await with.query("select current_setting('app.id')");
               }));
    add_in_one({"transaction::savepoint"},
               in_transaction([](scene& s, transaction& tx) -> asio::awaitable<void> {
                   auto inner = [&s](transaction& same) -> asio::awaitable<void> {
                       co_await same.execute("insert into s values ($1) on conflict do nothing", s.id + 1);
                   };
                   co_await tx.savepoint(inner);
               }));
    add_in_one({"transaction::prepare_transaction"},
               in_transaction([](scene& s, transaction& tx) -> asio::awaitable<void> {
                   auto gid = s.gid();
                   co_await tx.prepare_transaction(gid);
               }));
    add_in_one({"last_statement::run"}, in_transaction([](scene&, transaction& tx) -> asio::awaitable<void> {
                   co_await tx.last().run("select 1", {});
               }));
    add({"last_statement::run", "transactional"}, [](scene& s) -> asio::awaitable<void> {
        pgcoro::statement_list list;
        list.execute("insert into s values ($1) on conflict do nothing", s.id);
        list.query_value<int>("select 1");
        co_await pgcoro::transactional(s.pool, list, s.once());
    });
    auto one = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); };
    add({"with_deadlock_retry"}, [one](scene& s) -> asio::awaitable<void> {
        co_await pgcoro::with_deadlock_retry(s.pool, one, 1, s.once());
    });
    add({"with_serializable_retry"}, [one](scene& s) -> asio::awaitable<void> {
        co_await pgcoro::with_serializable_retry(s.pool, one, 1, s.once());
    });
    add(
        {"commit_prepared"},
        [](scene& s) -> asio::awaitable<void> {
            auto gid = s.gid();
            co_await pgcoro::commit_prepared(s.pool, gid, s.limit(1s));
        },
        prepare_one);
    add(
        {"rollback_prepared"},
        [](scene& s) -> asio::awaitable<void> {
            auto gid = s.gid();
            co_await pgcoro::rollback_prepared(s.pool, gid, s.limit(1s));
        },
        prepare_one);
    auto nothing = [](connection& c) -> asio::awaitable<void> { co_await c.query("select 1"); };
    add({"with_advisory_lock"}, [nothing](scene& s) -> asio::awaitable<void> {
        co_await pgcoro::with_advisory_lock(s.pool, s.id, nothing);
    });
    add({"try_with_advisory_lock"}, [nothing](scene& s) -> asio::awaitable<void> {
        co_await pgcoro::try_with_advisory_lock(s.pool, s.id, nothing);
    });
    add_in_one({"with_advisory_lock"},
               in_transaction([one](scene& s, transaction& tx) -> asio::awaitable<void> {
                   co_await pgcoro::with_advisory_lock(tx, s.id, one);
               }));
    add_in_one({"try_with_advisory_lock"},
               in_transaction([one](scene& s, transaction& tx) -> asio::awaitable<void> {
                   co_await pgcoro::try_with_advisory_lock(tx, s.id, one);
               }));
}

std::vector<operation> operations()
{
    std::vector<operation> all;
    add_connection(all);
    add_pool(all);
    add_transaction(all);
    return all;
}

// Returns true for the errors that an operation may end with when its connection is harmed. Operations that
// take connections themselves may also run out of time for that, or not learn the outcome of a COMMIT.
bool is_expected(const std::exception_ptr& failure, const operation& o)
{
    try {
        std::rethrow_exception(failure);
    } catch (const pgcoro::connection_error&) {
        return true;
    } catch (const pgcoro::deadline_exceeded&) {
        return !o.on_lease;
    } catch (const pgcoro::pool_timeout&) {
        return !o.on_lease;
    } catch (const pgcoro::commit_unknown&) {
        return !o.on_lease;
    } catch (const pgcoro::result_lost&) {
        return !o.on_lease;
    } catch (...) {
        return false;
    }
}

std::string text_of(const std::exception_ptr& failure)
{
    try {
        if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return e.what();
    }
    return "success";
}

struct trial
{
    std::size_t operation;
    answer_proxy::harm what;
    std::size_t pass;
    clock::time_point begun{};
};

std::string describe(const std::vector<operation>& all, const trial& t)
{
    static constexpr std::array harms{"nothing", "silence", "darkness", "cut", "FATAL"};
    return all[t.operation].covers.front() + " (operation " + std::to_string(t.operation) + "), " +
           harms[static_cast<std::size_t>(t.what)] + " after " + std::to_string(t.pass) + " messages";
}

// Runs the operation, and returns how many messages the server sent for it. Throws std::runtime_error if it
// ended in a way that it must not.
asio::awaitable<std::size_t> run_trial(place& at, const operation& o, trial t, int number)
{
    auto executor = co_await asio::this_coro::executor;
    bool harms = t.what != answer_proxy::harm::nothing;
    scene s(executor, at, number, harms);
    if (o.on_lease) co_await s.lend();
    if (o.prepare) co_await o.prepare(s);
    s.arm = [&] { at.proxy.arm(s.name, t.what, t.pass); };
    if (!o.arms) s.arm();
    std::exception_ptr failure;
    try {
        co_await o.run(s);
    } catch (...) {
        failure = std::current_exception();
    }
    bool harmed = at.proxy.harmed(s.name);
    s.lease.release();
    asio::steady_timer timer(executor);
    for (;;) {
        auto n = s.pool.stats();
        if (n.in_use + n.cleaning == 0) break;
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    auto counted = at.proxy.disarm(s.name);
    bool healthy = t.what == answer_proxy::harm::nothing;
    if (failure && healthy) throw std::runtime_error("failed without harm: " + text_of(failure));
    // Also without harm: on a busy machine the limits are short.
    if (failure && !is_expected(failure, o)) throw std::runtime_error("ended with " + text_of(failure));
    if (harmed && !failure && o.on_lease) throw std::runtime_error("succeeded on a connection that was lost");
    if (o.closes) co_return counted;
    auto again = co_await s.pool.acquire(20s);
    co_await again->query("select 1");
    co_return counted;
}

// Runs trials, this many at a time, and returns what was wrong.
class trials
{
public:
    explicit trials(place& at)
        : at_(at)
        , all_(operations())
    {}

    std::vector<std::string> run()
    {
        for (std::size_t i = 0; i < all_.size(); ++i)
            todo_.push_back({i, answer_proxy::harm::nothing, 0, {}});
        auto begun = clock::now();
        run_todo();
        use_workers_for((clock::now() - begun) / todo_.size());
        auto counts = counts_;
        todo_.clear();
        for (std::size_t i = 0; i < all_.size(); ++i)
            for (std::size_t n = 0; n < counts[i]; ++n) {
                if ((i + n) % test::one_in != 0) continue;
                for (auto what : {answer_proxy::harm::silence, answer_proxy::harm::darkness,
                                  answer_proxy::harm::cut, answer_proxy::harm::fatal}) {
                    // A lease is one connection: darkness is the same as silence for it.
                    bool is_dark = what == answer_proxy::harm::darkness;
                    if (is_dark && (all_[i].on_lease || all_[i].needs_network || n % 3 != 0)) continue;
                    // In a transaction the operation runs the same code as on a connection, and its errors
                    // pass the same way.
                    bool is_cut = what == answer_proxy::harm::cut;
                    bool is_fatal = what == answer_proxy::harm::fatal;
                    if (all_[i].arms && ((is_cut && n % 2 == 0) || (is_fatal && n % 2 != 0))) continue;
                    todo_.push_back({i, what, n, {}});
                }
            }
        run_todo();
        BOOST_TEST(ran_ > test::repeated(500)); // else nothing was counted
        BOOST_TEST_MESSAGE(ran_ << " trials of " << all_.size() << " operations, " << workers_ << " at a time");
        return wrong_;
    }

private:
    // On a slow machine so many trials at a time would exceed their limits without any harm. `each`: the time that the machine
    // spends on a trial that nothing harms.
    void use_workers_for(clock::duration each)
    {
        workers_ = static_cast<std::size_t>(std::clamp<clock::rep>(clock::duration(300ms) / each, 4, 48));
    }

    void run_todo()
    {
        next_ = 0;
        asio::io_context io;
        under_way_.assign(workers_, std::nullopt);
        for (std::size_t i = 0; i < workers_; ++i) asio::co_spawn(io, work(i), asio::detached);
        // A worker whose trial hangs does nothing more; the others go on without it.
        auto is_at_work = [&] {
            return std::ranges::any_of(under_way_,
                                       [](auto& t) { return t && clock::now() < t->begun + patience; });
        };
        do {
            io.restart();
            io.run_for(20ms);
        } while (is_at_work());
        for (auto& t : under_way_)
            if (t) wrong_.push_back(describe(all_, *t) + ": hangs");
        if (next_ < todo_.size()) wrong_.push_back("every worker hangs; trials are left");
    }

    asio::awaitable<void> work(std::size_t worker)
    {
        while (next_ < todo_.size()) {
            auto t = todo_[next_++];
            t.begun = clock::now();
            under_way_[worker] = t;
            std::exception_ptr failure;
            try {
                auto number = ++ran_;
                auto counted = co_await run_trial(at_, all_[t.operation], t, number);
                if (t.what == answer_proxy::harm::nothing) {
                    counts_.resize(all_.size());
                    counts_[t.operation] = counted;
                }
            } catch (...) {
                failure = std::current_exception();
            }
            if (failure) wrong_.push_back(describe(all_, t) + ": " + text_of(failure));
            under_way_[worker].reset();
        }
    }

    place& at_;
    std::vector<operation> all_;
    std::vector<trial> todo_;
    std::vector<std::size_t> counts_;
    std::vector<std::optional<trial>> under_way_;
    std::vector<std::string> wrong_;
    std::size_t next_ = 0;
    std::size_t workers_ = 48;
    int ran_ = 0;
};

// The public functions of a header that return an awaitable, by "class::function", or "function" outside of
// classes.
class header_functions
{
public:
    static std::set<std::string> in(const std::filesystem::path& file)
    {
        std::ifstream stream(file);
        if (!stream) throw std::runtime_error("cannot read " + file.string());
        std::string text;
        for (std::string line; std::getline(stream, line);)
            if (!line.starts_with('#')) text += line.substr(0, line.find("//")) + "\n";
        header_functions found;
        for (char c : text) found.add(c);
        return found.names_;
    }

private:
    struct scope
    {
        std::string name; // of a class
        bool is_open;     // declarations in it are looked at
        bool is_public;
    };

    static bool has_word(const std::string& text, std::string_view word)
    {
        for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
            auto is_part = [&](std::size_t i) {
                return i < text.size() && (std::isalnum(text[i]) || text[i] == '_');
            };
            if (!(at > 0 && is_part(at - 1)) && !is_part(at + word.size())) return true;
        }
        return false;
    }

    static std::string word_at(const std::string& text, std::size_t at)
    {
        while (at < text.size() && !std::isalpha(text[at])) ++at;
        auto end = at;
        while (end < text.size() && (std::isalnum(text[end]) || text[end] == '_')) ++end;
        return text.substr(at, end - at);
    }

    void add(char c)
    {
        if (c == '(') ++parentheses_;
        if (c == ')') --parentheses_;
        if (parentheses_ > 0) {
            head_ += c;
            return;
        }
        if (c == ';') {
            declaration();
            head_.clear();
        } else if (c == '{') {
            open();
            head_.clear();
        } else if (c == '}') {
            if (!scopes_.empty()) scopes_.pop_back();
            head_.clear();
        } else if (c == ':' && !scopes_.empty() && is_access()) {
            head_.clear();
        } else {
            head_ += c;
        }
    }

    bool is_access()
    {
        auto last = word_at(head_, head_.find_last_of(" \n") == head_.npos ? 0 : head_.find_last_of(" \n"));
        if (last != "public" && last != "private" && last != "protected") return false;
        if (has_word(head_, "class") || has_word(head_, "struct")) return false; // of a base class
        scopes_.back().is_public = last == "public";
        return true;
    }

    void open()
    {
        bool open = scopes_.empty() || scopes_.back().is_open;
        bool visible = scopes_.empty() || scopes_.back().is_public;
        if (has_word(head_, "namespace")) {
            scopes_.push_back({"", open && !has_word(head_, "detail"), true});
            return;
        }
        if (head_.find('(') == head_.npos && !has_word(head_, "enum"))
            for (std::string key : {"class ", "struct "}) {
                // At the beginning of a line: others are template parameters.
                auto at = head_.rfind("\n" + key);
                for (auto p = head_.rfind("\n    " + key); at == head_.npos && p != head_.npos;) at = p + 4;
                if (at == head_.npos) continue;
                scopes_.push_back({word_at(head_, at + 1 + key.size()), open && visible, key == "struct "});
                return;
            }
        declaration();
        scopes_.push_back({"", false, false});
    }

    void declaration()
    {
        bool open = scopes_.empty() || (scopes_.back().is_open && scopes_.back().is_public);
        if (!open || has_word(head_, "using") || has_word(head_, "friend") || has_word(head_, "concept"))
            return;
        auto at = std::min(head_.find("awaitable<"), head_.find("invoke_result_t<"));
        if (at == head_.npos) return;
        int depth = 0;
        for (at = head_.find('<', at); at < head_.size(); ++at) {
            if (head_[at] == '<') ++depth;
            if (head_[at] == '>' && --depth == 0) break;
        }
        auto name = word_at(head_, at);
        auto behind = head_.find(name, at) + name.size();
        if (name.empty() || behind >= head_.size() || head_[behind] != '(') return;
        auto& of = scopes_.empty() ? name : scopes_.back().name;
        names_.insert(of.empty() || scopes_.empty() ? name : of + "::" + name);
    }

    std::set<std::string> names_;
    std::vector<scope> scopes_;
    std::string head_;
    int parentheses_ = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(silence_everywhere)

BOOST_AUTO_TEST_CASE(every_public_operation_is_in_the_list)
{
    std::set<std::string> covered{
        // They are for `transactional`, which runs them.
        "transaction::commit",
        "transaction::rollback",
    };
    for (auto& o : operations()) covered.insert(o.covers.begin(), o.covers.end());
    auto headers = std::filesystem::path(__FILE__).parent_path() / "../../../include/pgcoro";
    std::set<std::string> found;
    for (auto* header :
         {"connection/connection.hpp", "connection/querying.hpp", "connection/statements.hpp",
          "connection/pipeline.hpp", "connection/stream.hpp", "connection/copy_stream.hpp",
          "connection/prepared.hpp", "connection/listener.hpp", "pool/pool.hpp",
          "transaction/transaction.hpp", "transaction/transactional.hpp", "transaction/two_phase.hpp",
          "transaction/advisory_lock.hpp", "multiplexer/multiplexer.hpp"})
        found.merge(header_functions::in(headers / header));
    BOOST_TEST(found.size() > 40u); // else the headers were not understood
    for (auto& name : found) BOOST_TEST(covered.contains(name), name << " is missing in operations()");
    for (auto& name : covered) BOOST_TEST(found.contains(name), name << " is not in the headers");
}

BOOST_AUTO_TEST_CASE(every_operation_ends_wherever_the_answer_stops)
{
    place at;
    for (auto& wrong : trials(at).run()) BOOST_ERROR(wrong);
}

BOOST_AUTO_TEST_SUITE_END()
