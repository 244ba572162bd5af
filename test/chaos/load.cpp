#include "load.hpp"

#include <pgcoro/types/types.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/describe.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace chaos
{

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace
{

struct line
{
    std::int64_t batch = 0;
    std::int32_t number = 0;
};
BOOST_DESCRIBE_STRUCT(line, (), (batch, number))

// Batches that have not all of their rows; and those that are there, for the callers' word.
constexpr const char* torn_batches = "select count(*) from (select from chaos_line group by batch "
                                     "having count(*) <> $1 or count(distinct number) <> $1) as torn";
constexpr const char* missing_batches =
    "select count(*) from (select unnest($1::bigint[]) except select batch from chaos_line) as missing";

asio::awaitable<void> pause(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

std::chrono::milliseconds up_to(std::chrono::milliseconds longest, std::mt19937& rng)
{
    return std::chrono::milliseconds(
        std::uniform_int_distribution<std::chrono::milliseconds::rep>(0, longest.count())(rng));
}

} // namespace

load::load(pgcoro::cluster& c, pgcoro::connection_options listening, watch& w, std::uint32_t seed,
           std::chrono::milliseconds transfer_limit)
    : cluster_(c)
    , listening_(std::move(listening))
    , watch_(w)
    , seed_(seed)
    , bank_(c)
    , transfers_(bank_, transfer_callers, transfer_limit)
    , serializable_(c, histories::isolation::serializable, transfer_limit)
    , read_committed_(c, histories::isolation::read_committed, transfer_limit)
{}

std::string load::tables()
{
    return "chaos_line, " + registers::table_of(histories::isolation::serializable) + ", " +
           registers::table_of(histories::isolation::read_committed);
}

asio::awaitable<void> load::open()
{
    co_await cluster_.verify();
    pgcoro::pool calm(co_await asio::this_coro::executor, patient());
    bank_.use(calm);
    co_await bank_.open();
    co_await calm.execute("create table chaos_line (batch bigint not null, number int not null)");
    co_await pgcoro::create_commit_markers(calm);
    co_await serializable_.open(calm);
    co_await read_committed_.open(calm);
    co_await calm.close();
    bank_.use(cluster_);
}

pgcoro::pool_options load::patient() const
{
    pgcoro::pool_options o;
    o.connection = listening_;
    o.connection.statement_timeout = 60s;
    return o;
}

void load::complain(std::string what)
{
    if (complaints_.size() < 20) complaints_.push_back(std::move(what));
}

asio::awaitable<void> load::run()
{
    using namespace asio::experimental::awaitable_operators;
    auto work = work_all();
    auto ear = listen();
    auto both = std::move(work) || std::move(ear); // the listener ends with the work
    co_await std::move(both);
}

asio::awaitable<void> load::work_all()
{
    auto executor = co_await asio::this_coro::executor;
    using operation = decltype(asio::co_spawn(executor, copy_in(), asio::deferred));
    std::vector<operation> all;
    for (int i = 0; i < transfer_callers; ++i)
        all.push_back(asio::co_spawn(executor, transfer(i), asio::deferred));
    for (unsigned i = 0; i < serializable_callers; ++i)
        all.push_back(asio::co_spawn(executor, append(serializable_, i), asio::deferred));
    for (unsigned i = 0; i < read_committed_callers; ++i)
        all.push_back(asio::co_spawn(executor, append(read_committed_, 100 + i), asio::deferred));
    for (int i = 0; i < read_callers; ++i) all.push_back(asio::co_spawn(executor, read(i), asio::deferred));
    all.push_back(asio::co_spawn(executor, copy_in(), asio::deferred));
    all.push_back(asio::co_spawn(executor, copy_out(), asio::deferred));
    all.push_back(asio::co_spawn(executor, notify(), asio::deferred));
    auto group = asio::experimental::make_parallel_group(std::move(all));
    auto [order, failures] =
        co_await group.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
    for (auto i : order)
        if (failures[i]) std::rethrow_exception(failures[i]);
}

// Failures that the layer tells are what the callers have to live with; anything else ends the program.
template <class Body>
asio::awaitable<bool> load::attempt(watch::caller& who, Body body)
{
    who.begins();
    std::string failure;
    try {
        co_await body();
        who.succeeded();
        co_return true;
    } catch (const pgcoro::error& e) {
        failure = e.what();
    }
    who.failed(failure.c_str());
    co_await pause(20ms); // who is refused at once does not storm
    co_return false;
}

asio::awaitable<void> load::transfer(int number)
{
    watch::caller me(watch_, work::transfer);
    std::mt19937 rng(seed_ + static_cast<unsigned>(number));
    while (!stopped_) {
        me.begins();
        auto came = co_await transfers_.ask(number, rng);
        if (came == transfers::fate::done)
            me.succeeded();
        else
            me.failed("");
        co_await pause(up_to(came == transfers::fate::done ? 40ms : 80ms, rng));
    }
}

asio::awaitable<void> load::append(registers& to, unsigned number)
{
    watch::caller me(watch_, work::append);
    std::mt19937 rng(seed_ + 5000 + number);
    while (!stopped_) {
        auto transaction = [&]() -> asio::awaitable<void> { co_await to.run_one(rng); };
        co_await attempt(me, transaction);
        co_await pause(up_to(40ms, rng));
    }
}

asio::awaitable<void> load::read(int number)
{
    watch::caller me(watch_, work::read);
    std::mt19937 rng(seed_ + 1000 + static_cast<unsigned>(number));
    // All of it now and then, which is not cheap.
    auto all = "select sum(cents)::bigint from " + bank_.schema() + ".account";
    auto one = "select count(*) from " + bank_.schema() + ".account where id = $1";
    while (!stopped_) {
        bool everything = std::uniform_int_distribution<int>(0, 19)(rng) == 0;
        auto id = std::uniform_int_distribution<std::int32_t>(1, transfers::bank::hot_accounts)(rng);
        std::int64_t got = 0;
        auto ask = [&]() -> asio::awaitable<void> {
            if (everything)
                got = co_await cluster_.query_value<std::int64_t>(all);
            else
                got = co_await cluster_.query_value<std::int64_t>(one, id);
        };
        bool answered = co_await attempt(me, ask);
        auto expected = everything ? bank_.opening_money() : 1;
        if (answered && got != expected)
            complain("a read gave " + std::to_string(got) + " instead of " + std::to_string(expected));
        co_await pause(up_to(20ms, rng));
    }
}

asio::awaitable<void> load::copy_in()
{
    watch::caller me(watch_, work::copy_in);
    std::mt19937 rng(seed_ + 2000);
    std::vector<line> lines(rows_a_batch);
    for (std::int64_t batch = 1; !stopped_; ++batch) {
        for (std::int32_t i = 0; i < rows_a_batch; ++i) lines[static_cast<std::size_t>(i)] = {batch, i};
        auto put = [&]() -> asio::awaitable<void> {
            auto held = co_await cluster_.acquire();
            co_await held->copy_in("chaos_line", lines);
        };
        bool told = co_await attempt(me, put);
        if (told) batches_told_.push_back(batch);
        co_await pause(up_to(200ms, rng));
    }
}

asio::awaitable<void> load::copy_out()
{
    watch::caller me(watch_, work::copy_out);
    std::mt19937 rng(seed_ + 3000);
    while (!stopped_) {
        std::int64_t rows = 0;
        std::int64_t sum = 0;
        auto get = [&]() -> asio::awaitable<void> {
            auto held = co_await cluster_.acquire_read();
            auto out = held->copy_out<std::int32_t>("select number from chaos_line where batch > "
                                                    "(select max(batch) - 20 from chaos_line)");
            for (;;) {
                auto number = co_await out.next();
                if (!number) break;
                ++rows;
                sum += *number;
            }
        };
        bool got = co_await attempt(me, get);
        constexpr std::int64_t batch_sum = static_cast<std::int64_t>(rows_a_batch) * (rows_a_batch - 1) / 2;
        if (got && (rows % rows_a_batch != 0 || sum != rows / rows_a_batch * batch_sum))
            complain("COPY gave " + std::to_string(rows) + " rows that are no whole batches");
        co_await pause(up_to(100ms, rng));
    }
}

asio::awaitable<void> load::notify()
{
    watch::caller me(watch_, work::notify);
    std::mt19937 rng(seed_ + 4000);
    while (!stopped_) {
        auto number = notes_.next();
        auto send = [&]() -> asio::awaitable<void> {
            auto payload = std::to_string(number);
            co_await cluster_.execute("select pg_notify('chaos', $1)", payload);
        };
        bool told = co_await attempt(me, send);
        if (told) notes_.told(number);
        co_await pause(up_to(40ms, rng));
    }
}

asio::awaitable<void> load::listen()
{
    pgcoro::listener_options keeping;
    keeping.reconnect = pgcoro::backoff::exponential(50ms, 500ms);
    keeping.ping_every = 1s;
    pgcoro::listener ear(listening_, {"chaos"}, keeping);
    for (;;) {
        bool refused = false;
        try {
            auto n = co_await ear.next();
            if (n.gap)
                notes_.gap();
            else
                notes_.heard(std::stoll(n.payload));
        } catch (const pgcoro::error&) {
            refused = true; // by a server that changes its role just now: the next call tries again
        }
        if (refused) co_await pause(100ms);
    }
}

asio::awaitable<transfers::audit> load::check()
{
    pgcoro::pool calm(co_await asio::this_coro::executor, patient());
    bank_.use(calm);
    auto books = co_await bank_.check(transfers_.told());
    auto torn = co_await calm.query_value<std::int64_t>(torn_batches, rows_a_batch);
    if (torn > 0) complain(std::to_string(torn) + " batches were copied in by halves, or twice");
    auto missing = co_await calm.query_value<std::int64_t>(missing_batches, batches_told_);
    if (missing > 0) complain(std::to_string(missing) + " batches told as copied in are not there");
    if (auto lost = notes_.lost(); lost > 0)
        complain(std::to_string(lost) + " notifications were lost, and the listener was told of no gap");
    for (auto* lists : {&serializable_, &read_committed_}) {
        auto anomalies = co_await lists->check(calm);
        for (auto& what : anomalies) complain(std::move(what));
    }
    co_await calm.close();
    co_return books;
}

std::vector<std::string> load::complaints() const { return complaints_; }

} // namespace chaos
