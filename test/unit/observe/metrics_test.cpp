#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>
#include <pgcoro/resilience/retry_budget.hpp>

#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <stdexcept>
#include <thread>

using pgcoro::metrics;
using pgcoro::query_event;
using std::chrono::milliseconds;

namespace
{

query_event query(std::string_view sql, std::chrono::nanoseconds duration = milliseconds(1))
{
    query_event e;
    e.pool = "orders";
    e.sql = sql;
    e.duration = duration;
    e.sqlstate = "00000";
    return e;
}

template <class Figures>
const Figures& named(const std::vector<Figures>& all, std::string_view name)
{
    auto it = std::find_if(all.begin(), all.end(), [&](auto& f) { return f.name == name; });
    if (it == all.end()) throw std::runtime_error("no figures of that name");
    return *it;
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe_metrics)

BOOST_AUTO_TEST_CASE(statements_of_one_shape_are_one_whatever_their_constants)
{
    metrics m;
    m.on_query(query("select * from t where id = 1"));
    m.on_query(query("select *  from t where id = 'secret'"));
    m.on_query(query("select * from other where id = 1"));
    auto s = m.snapshot();
    BOOST_REQUIRE(s.statements.size() == 2u);
    BOOST_TEST(s.statements[0].count == 2u);
    BOOST_TEST(s.statements[0].text == "select * from t where id = $1");
    BOOST_TEST(s.statements[0].name.size() == 16u);
    BOOST_TEST(s.queries.count == 3u);
}

BOOST_AUTO_TEST_CASE(no_constant_gets_into_the_figures)
{
    metrics m;
    m.on_query(query("select 'secret'"));
    m.on_query(query("this is no 'secret' sql"));
    auto text = boost::json::serialize(boost::json::value_from(m.snapshot()));
    BOOST_TEST(text.find("secret") == text.npos);
}

BOOST_AUTO_TEST_CASE(what_is_no_sql_or_too_long_is_other)
{
    metrics m;
    m.on_query(query("this is no sql"));
    m.on_query(query("select " + std::string(20'000, ' ') + "1"));
    auto s = m.snapshot();
    BOOST_REQUIRE(s.statements.size() == 1u);
    BOOST_TEST(s.statements[0].name == "other");
    BOOST_TEST(s.statements[0].count == 2u);
}

BOOST_AUTO_TEST_CASE(kinds_beyond_the_limit_are_other_and_none_is_lost)
{
    metrics m({.max_series = 3, .max_texts = 2});
    for (int round = 0; round < 2; ++round)
        for (int i = 0; i < 10; ++i) {
            auto sql = "select c" + std::to_string(i) + " from t";
            auto operation = "op " + std::to_string(i);
            auto e = query(sql);
            e.operation = operation;
            m.on_query(e);
        }
    auto s = m.snapshot();
    BOOST_TEST(s.statements.size() == 4u);
    BOOST_TEST(s.statements[0].name == "other");
    BOOST_TEST(s.statements[0].count == 14u);
    BOOST_TEST(named(s.operations, "other").count == 14u);
    BOOST_TEST(named(s.operations, "op 1").count == 2u);
    BOOST_TEST(s.queries.count == 20u);
}

BOOST_AUTO_TEST_CASE(errors_are_told_by_class_and_by_code)
{
    metrics m;
    for (auto code : {"00000", "00000", "23505", "40001", "", "22012"}) {
        auto e = query("select 1");
        e.sqlstate = code;
        m.on_query(e);
    }
    auto q = m.snapshot().queries;
    BOOST_TEST(q.errors == 4u);
    BOOST_TEST(q.error_rate == 4.0 / 6);
    BOOST_TEST(q.errors_by_class["retry_on_request"] == 1u);
    BOOST_TEST(q.errors_by_class["retry_transaction"] == 1u);
    BOOST_TEST(q.errors_by_class["connection_lost"] == 1u);
    BOOST_TEST(q.errors_by_class["caller"] == 1u);
    BOOST_TEST(q.errors_by_sqlstate["23505"] == 1u);
    BOOST_TEST(q.errors_by_sqlstate[""] == 1u);
}

BOOST_AUTO_TEST_CASE(times_rows_and_bytes_are_added_up)
{
    metrics m({.slow_query = milliseconds(100)});
    for (int ms : {10, 20, 300}) {
        auto e = query("select 1", milliseconds(ms));
        e.operation = "load";
        e.waited = milliseconds(2);
        e.sending = milliseconds(1);
        e.server = milliseconds(ms - 4);
        e.receiving = milliseconds(3);
        e.rows = 7;
        e.bytes_sent = 5;
        e.bytes_received = 11;
        e.repeats = static_cast<std::uint32_t>(ms);
        m.on_query(e);
    }
    auto s = m.snapshot();
    auto& q = named(s.operations, "load");
    auto about = boost::test_tools::tolerance(1e-9);
    BOOST_TEST(q.duration.sum == 0.33, about);
    BOOST_TEST(q.duration.avg == 0.11, about);
    BOOST_TEST(q.duration.min == 0.01, about);
    BOOST_TEST(q.duration.max == 0.3, about);
    BOOST_TEST(q.duration.p50 == 0.02, boost::test_tools::tolerance(0.02));
    BOOST_TEST(q.slow == 1u);
    BOOST_TEST(q.waiting == 0.006, about);
    BOOST_TEST(q.sending == 0.003, about);
    BOOST_TEST(q.server == 0.318, about);
    BOOST_TEST(q.receiving == 0.009, about);
    BOOST_TEST(q.rows == 21u);
    BOOST_TEST(q.bytes_sent == 15u);
    BOOST_TEST(q.bytes_received == 33u);
    BOOST_TEST(q.longest_loop == 300u);
}

BOOST_AUTO_TEST_CASE(a_pool_is_told_by_its_events)
{
    metrics m;
    m.on_connect({"orders", "db", milliseconds(5), nullptr});
    m.on_connect({"orders", "db", milliseconds(5), std::make_exception_ptr(std::runtime_error("no"))});
    m.on_acquire({"orders", milliseconds(0), false});
    m.on_acquire({"orders", milliseconds(4), true});
    m.on_acquire_failed({"orders", milliseconds(30), "timeout"});
    m.on_acquire_failed({"orders", milliseconds(30), "cancelled"});
    m.on_release({"orders", milliseconds(8), true});
    m.on_disconnect({"orders", pgcoro::close_reason::expired, std::chrono::hours(1)});
    m.on_leak({"orders", std::chrono::hours(1), std::source_location::current()});
    m.on_acquire({"stock", milliseconds(0), false});
    auto s = m.snapshot();
    BOOST_REQUIRE(s.pools.size() == 2u);
    auto p = named(s.pools, "orders");
    BOOST_TEST(p.created == 1u);
    BOOST_TEST(p.create_failures == 1u);
    BOOST_TEST(p.create_time.count == 1u);
    BOOST_TEST(p.acquired == 2u);
    BOOST_TEST(p.queued == 1u);
    BOOST_TEST(p.timeouts == 1u);
    BOOST_TEST(p.refused["cancelled"] == 1u);
    BOOST_TEST(p.wait_time.count == 2u);
    BOOST_TEST(p.use_time.max == 0.008);
    BOOST_TEST(p.cleanups == 1u);
    BOOST_TEST(p.closed["expired"] == 1u);
    BOOST_TEST(p.leaks == 1u);
    BOOST_TEST(!p.watched);
}

BOOST_AUTO_TEST_CASE(transactions_are_active_until_they_end)
{
    metrics m;
    m.on_transaction_begin({"orders", "pay"});
    m.on_transaction_begin({"orders", "pay"});
    m.on_transaction_begin({"orders", "audit"});
    BOOST_TEST(m.snapshot().transactions.active == 3u);
    pgcoro::transaction_event e;
    e.name = "pay";
    e.outcome = pgcoro::transaction_outcome::committed;
    e.attempts = 4;
    e.deadlocks = 1;
    e.serialization_failures = 2;
    e.duration = milliseconds(20);
    m.on_transaction(e);
    auto s = m.snapshot();
    BOOST_TEST(s.transactions.active == 2u);
    BOOST_TEST(s.transactions.committed == 1u);
    BOOST_TEST(s.transactions.retries == 3u);
    auto pay = named(s.transactions_by_name, "pay");
    BOOST_TEST(pay.active == 1u);
    BOOST_TEST(pay.failed_attempts["deadlock"] == 1u);
    BOOST_TEST(pay.failed_attempts["serialization_failure"] == 2u);
    BOOST_TEST(pay.duration.count == 1u);
}

BOOST_AUTO_TEST_CASE(retries_are_told_by_the_class_of_their_failure)
{
    metrics m;
    m.on_retry({"pay", 1, "40P01", "deadlock detected", milliseconds(1)});
    m.on_retry({"pay", 2, "40001", "could not serialize", milliseconds(1)});
    m.on_retry({"call", 1, "", "refused", milliseconds(1)});
    auto s = m.snapshot();
    BOOST_TEST(s.retries["retry_transaction"] == 2u);
    BOOST_TEST(s.retries["no_sqlstate"] == 1u);
}

BOOST_AUTO_TEST_CASE(a_watched_breaker_and_budget_are_told_as_long_as_they_are_watched)
{
    metrics m;
    pgcoro::circuit_breaker_options o;
    o.name = "orders";
    o.min_calls = 1;
    o.observer = &m;
    pgcoro::circuit_breaker b(o);
    pgcoro::retry_budget budget({.capacity = 50});
    {
        auto w = m.watch(b);
        auto v = m.watch("retries", budget);
        BOOST_TEST(named(m.snapshot().breakers, "orders").state == "closed");
        b.acquire().failed(std::make_exception_ptr(boost::system::system_error({})));
        BOOST_CHECK_THROW(b.acquire(), pgcoro::circuit_open);
        auto s = m.snapshot();
        auto& f = named(s.breakers, "orders");
        BOOST_TEST(f.state == "open");
        BOOST_TEST(f.opened == 1u);
        BOOST_TEST(f.rejected == 1u);
        BOOST_TEST(f.changes == 1u);
        BOOST_TEST(named(s.budgets, "retries").capacity == 50);
    }
    auto s = m.snapshot();
    BOOST_TEST(s.budgets.empty());
    BOOST_TEST(named(s.breakers, "orders").rejected == 0u); // only what events said
}

BOOST_AUTO_TEST_CASE(threads_count_for_themselves_and_nothing_is_lost_with_them)
{
    metrics m;
    constexpr int each = 20'000;
    auto work = [&] {
        auto e = query("select 1");
        e.operation = "load";
        e.rows = 1;
        for (int i = 0; i < each; ++i) m.on_query(e);
    };
    for (int round = 0; round < 3; ++round) {
        std::thread a(work), b(work);
        auto seen = m.snapshot().queries.count;
        BOOST_TEST(m.snapshot().queries.count >= seen);
        a.join();
        b.join();
    }
    auto s = m.snapshot();
    BOOST_TEST(s.queries.count == 6u * each);
    BOOST_TEST(s.queries.rows == 6u * each);
    BOOST_TEST(s.operations.at(0).count == 6u * each);
}

BOOST_AUTO_TEST_CASE(metrics_that_come_after_others_begin_at_zero)
{
    for (int i = 0; i < 3; ++i) {
        metrics m;
        metrics other;
        m.on_query(query("select 1"));
        other.on_query(query("select 1"));
        m.on_query(query("select 1"));
        BOOST_TEST(m.snapshot().queries.count == 2u);
        BOOST_TEST(other.snapshot().queries.count == 1u);
    }
}

BOOST_AUTO_TEST_CASE(the_next_observer_is_told_too)
{
    metrics last;
    metrics m({.next = &last});
    m.on_query(query("select 1"));
    m.on_acquire({"orders", milliseconds(0), false});
    BOOST_TEST(last.snapshot().queries.count == 1u);
    BOOST_TEST(last.snapshot().pools.at(0).acquired == 1u);
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_by_name)
{
    auto says = [](const char* name) {
        return [=](const std::invalid_argument& e) {
            return std::string(e.what()).find(name) != std::string::npos;
        };
    };
    BOOST_CHECK_EXCEPTION(metrics({.slow_query = milliseconds(0)}), std::invalid_argument,
                          says("slow_query is 0"));
    BOOST_CHECK_EXCEPTION(metrics({.max_series = 0}), std::invalid_argument, says("max_series is 0"));
    BOOST_CHECK_EXCEPTION(metrics({.max_texts = 0}), std::invalid_argument, says("max_texts is 0"));
}

BOOST_AUTO_TEST_SUITE_END()
