// COPY in and out: all or nothing, errors that name the row, given up at any point.
#include "integration/connection/cancelling.hpp"

#include <pgcoro/transaction/transactional.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::names;
using pgcoro::server_error;
using pgcoro::target;

namespace
{

enum class mood { sad, happy };
BOOST_DESCRIBE_ENUM(mood, sad, happy)

// In another order than the table has them.
struct person
{
    std::optional<std::string> name;
    std::int64_t id = 0;
    mood feels = mood::sad;
    double height = 0;
    friend bool operator==(const person&, const person&) = default;
};
BOOST_DESCRIBE_STRUCT(person, (), (name, id, feels, height))

struct pair
{
    int n;
    std::string text;
    friend bool operator==(const pair&, const pair&) = default;
};

std::vector<person> people(int n)
{
    std::vector<person> made;
    for (int i = 1; i <= n; ++i) {
        person p{"tab\t, \"quote\", \\, line\n" + std::to_string(i), i, i % 2 ? mood::happy : mood::sad,
                 i / 2.0};
        if (i % 3 == 0) p.name.reset();
        made.push_back(std::move(p));
    }
    return made;
}

asio::awaitable<void> create_tables(connection& c)
{
    co_await c.execute_script(
        "create type pg_temp.mood as enum ('sad', 'happy');"
        "create temp table people (id int primary key, feels mood, \"height\" float8, name varchar(40));"
        "create temp table pairs (n int check (n <> 13), text text, m int generated always as (n + 1) "
        "stored)");
}

template <class Body>
void with_tables(Body&& body)
{
    with_connection([&](connection& c) -> asio::awaitable<void> {
        co_await create_tables(c);
        co_await body(c);
        co_await check_usable(c);
    });
}

asio::awaitable<int> count_pairs(connection& c)
{
    auto n = co_await c.query_value<int>("select count(*)::int from pairs");
    co_return n;
}

} // namespace

BOOST_AUTO_TEST_SUITE(copy)

BOOST_AUTO_TEST_CASE(structs_go_in_by_name_and_come_out_as_they_were)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        auto all = people(5000);
        auto n = co_await c.copy_in("people", all);
        BOOST_TEST(n == 5000u);
        auto back = co_await c.query_as<person>("select * from people order by id");
        BOOST_TEST((back == all));
        auto out = c.copy_out<person>("select * from people order by id");
        std::vector<person> copied;
        for (;;) {
            auto p = co_await out.next();
            if (!p) break;
            copied.push_back(std::move(*p));
        }
        BOOST_TEST((copied == all));
    });
}

BOOST_AUTO_TEST_CASE(types_that_have_no_binary_way_into_a_column_go_as_text)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table texts (d date, n numeric, a int[], j jsonb, b bytea)");
        using row =
            std::tuple<std::string, std::int64_t, std::vector<int>, std::string, std::vector<std::byte>>;
        std::vector<row> rows{{"2024-02-29", 5, {1, 2}, "{\"a\": \"\\\\\"}", {std::byte(0), std::byte(92)}}};
        auto n = co_await c.copy_in("texts", rows);
        BOOST_TEST(n == 1u);
        auto back = co_await c.query_value<bool>("select d = '2024-02-29' and n = 5 and a = '{1,2}' and "
                                                 "j->>'a' = '\\' and b = '\\x005c' from texts");
        BOOST_TEST(back);
    });
}

BOOST_AUTO_TEST_CASE(aggregates_and_tuples_go_to_the_columns_named)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        std::vector<pair> rows{{1, "one"}, {2, "two"}};
        auto n = co_await c.copy_in("pairs", rows); // all that are not generated
        BOOST_TEST(n == 2u);
        std::vector<std::tuple<std::string, short>> turned{{"three", 3}};
        co_await c.copy_in(target("pairs", names("text", "n")), turned);
        auto back = co_await c.query_as<pair>("select n, text from pairs order by n");
        BOOST_TEST((back == std::vector<pair>{{1, "one"}, {2, "two"}, {3, "three"}}));
    });
}

BOOST_AUTO_TEST_CASE(names_are_quoted)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table \"Odd \"\"name\"\"; --\" (\"Select\" int)");
        std::vector<std::tuple<int>> rows{{7}};
        co_await c.copy_in(target("\"Odd \"\"name\"\"; --\"", names("Select")), rows);
        auto sum = co_await c.query_value<int>("select \"Select\" from \"Odd \"\"name\"\"; --\"");
        BOOST_TEST(sum == 7);
        auto e = co_await failure_of<server_error>(c.copy_in(target("pairs; drop table pairs"), rows));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("42P01"));
        auto missing = co_await failure_of<mapping_error>(c.copy_in(target("pairs", names("nn")), rows));
        BOOST_TEST(contains(missing.what(), "no column nn"));
        BOOST_TEST(contains(missing.what(), "n, text"));
        co_await failure_of<mapping_error>(c.copy_in("pairs", rows)); // two columns, one member
    });
}

BOOST_AUTO_TEST_CASE(rows_come_from_a_coroutine)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        int made = 0;
        auto generate = [&made]() -> asio::awaitable<std::optional<pair>> {
            co_await yield();
            if (made == 1000) co_return std::nullopt;
            ++made;
            co_return pair{100 + made, "generated"};
        };
        auto n = co_await c.copy_in("pairs", generate);
        BOOST_TEST(n == 1000u);
    });
}

BOOST_AUTO_TEST_CASE(an_error_half_way_names_the_row_and_nothing_stays)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        // Refused by the server.
        std::vector<pair> rows;
        for (int i = 0; i < 200'000; ++i) rows.push_back({i == 49'999 ? 13 : 100, "x"});
        auto e = co_await failure_of<server_error>(c.copy_in("pairs", rows));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23514"));
        BOOST_TEST_INFO(e.what());
        BOOST_TEST(contains(e.what(), "row 50000 of those copied"));
        auto n = co_await count_pairs(c);
        BOOST_TEST(n == 0);

        // Refused by the server, as no text.
        rows.resize(3);
        rows[1].text = "\xff";
        e = co_await failure_of<server_error>(c.copy_in("pairs", rows));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22021"));
        BOOST_TEST(contains(e.what(), "row 2 of those copied"));

        // Refused here: beyond the column's range.
        std::vector<std::tuple<std::int64_t, std::string>> wide(70'000, {1, "x"});
        std::get<0>(wide[65'000]) = 5'000'000'000;
        auto here = co_await failure_of<mapping_error>(c.copy_in("pairs", wide));
        BOOST_TEST(contains(here.what(), "row 65001, column n"));
        n = co_await count_pairs(c);
        BOOST_TEST(n == 0);
    });
}

BOOST_AUTO_TEST_CASE(what_a_generator_throws_ends_the_copy_and_nothing_stays)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        int made = 0;
        auto generate = [&made]() -> asio::awaitable<std::optional<pair>> {
            if (++made == 500) throw std::runtime_error("no more of these");
            co_return pair{100, "generated"};
        };
        auto e = co_await failure_of<std::runtime_error>(c.copy_in("pairs", generate));
        BOOST_TEST(e.what() == "no more of these");
        auto n = co_await count_pairs(c);
        BOOST_TEST(n == 0);
    });
}

BOOST_AUTO_TEST_CASE(an_endless_source_is_asked_no_more_when_the_server_has_refused)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        auto endless = []() -> asio::awaitable<std::optional<pair>> { co_return pair{13, "refused"}; };
        auto e = co_await failure_of<server_error>(c.copy_in("pairs", endless));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("23514"));
    });
}

BOOST_AUTO_TEST_CASE(no_more_is_read_from_the_source_than_the_server_takes)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        auto& server = shared_server();
        server.psql("create table locked (n int, text text)");
        auto blocker = co_await connection::connect(shared_options());
        co_await blocker.execute("begin");
        co_await blocker.execute("lock table locked in share mode");
        int made = 0;
        auto generate = [&]() -> asio::awaitable<std::optional<pair>> {
            if (++made % 1000 == 0) co_await yield();
            if (made > 5000) co_return std::nullopt;
            co_return pair{made, std::string(10'000, 'x')};
        };
        auto executor = co_await asio::this_coro::executor;
        bool ended = false;
        asio::co_spawn(executor, c.copy_in("locked", generate), [&](std::exception_ptr e, std::uint64_t n) {
            ended = true;
            BOOST_TEST(!e);
            BOOST_TEST(n == 5000u);
        });
        while (
            server.psql("select count(*) from pg_stat_activity where wait_event = 'relation' and query like "
                        "'copy \"locked\"%'") != "1")
            co_await yield();
        for (int i = 0; i < 100; ++i) co_await yield();
        BOOST_TEST(made < 2000); // COPY waits before it reads: sockets' buffers alone take something
        co_await blocker.execute("commit");
        while (!ended) co_await yield();
        server.psql("drop table locked");
    });
}

BOOST_AUTO_TEST_CASE(an_empty_range_copies_nothing)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        auto n = co_await c.copy_in("people", std::vector<person>());
        BOOST_TEST(n == 0u);
        auto out = c.copy_out<person>("select * from people");
        auto end = co_await out.next();
        BOOST_TEST(!end);
    });
}

BOOST_AUTO_TEST_CASE(a_copy_in_is_given_up_at_any_point)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<connection> c;
    run_on(io, [&]() -> asio::awaitable<void> {
        c = co_await connection::connect(shared_options());
        co_await create_tables(*c);
    });
    std::vector<pair> rows(200, {1, std::string(5000, 'x')});
    auto body = [&]() -> asio::awaitable<void> { co_await c->copy_in("pairs", rows); };
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        completed = cancel_after(io, turns, body);
        auto n = run_on(io, [&] { return count_pairs(*c); });
        BOOST_TEST((n == 0 || n == 200));
        run_on(io, [&]() -> asio::awaitable<void> { co_await c->execute("truncate pairs"); });
    }
}

BOOST_AUTO_TEST_CASE(a_copy_out_is_given_up_at_any_point_and_may_end_early)
{
    cancel_everywhere(shared_options(), [](connection& c) -> asio::awaitable<void> {
        auto rows = c.copy_out<std::tuple<int, std::string>>(
            "select n, repeat('x', 1000) from generate_series(1, 300) n");
        for (;;) {
            auto r = co_await rows.next();
            if (!r) break;
        }
    });
    with_tables([](connection& c) -> asio::awaitable<void> {
        {
            auto rows = c.copy_out<int>("select generate_series(1, 100000000)");
            auto first = co_await rows.next();
            BOOST_TEST(first.value() == 1);
        }
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(errors_of_a_copy_out_are_told)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        auto rows = c.copy_out<int>("select 10 / (3 - n) from generate_series(1, 5) n");
        co_await rows.next();
        co_await rows.next();
        auto e = co_await failure_of<server_error>(rows.next());
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
        co_await check_usable(c);
        auto wrong = c.copy_out<int>("select 'text'::text");
        co_await failure_of<mapping_error>(wrong.next());
        co_await check_usable(c);
        auto nonsense = c.copy_out<int>("nonsense");
        co_await failure_of<server_error>(nonsense.next());
    });
}

BOOST_AUTO_TEST_CASE(csv_goes_to_a_sink)
{
    with_tables([](connection& c) -> asio::awaitable<void> {
        std::string text;
        auto sink = [&](std::string_view part) { text += part; };
        auto n = co_await c.copy_out_csv(
            "select 1 as a, 'x,y'::text as b union all select 2, null order by 1", sink);
        BOOST_TEST(n == 2u);
        BOOST_TEST(text == "a,b\n1,\"x,y\"\n2,\n");
        text.clear();
        auto slow = [&](std::string_view part) -> asio::awaitable<void> {
            co_await yield();
            text += part;
        };
        pgcoro::csv_options plain{.header = false, .delimiter = '\''};
        n = co_await c.copy_out_csv("select 1, 2 -- a comment", slow, plain);
        BOOST_TEST(n == 1u);
        BOOST_TEST(text == "1'2\n");
        auto failing = [](std::string_view) { throw std::runtime_error("full"); };
        co_await failure_of<std::runtime_error>(
            c.copy_out_csv("select generate_series(1, 1000000)", failing));
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_copies_as_part_of_itself)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, shared_server().uri());
        co_await pool.execute("create table copied (n int primary key)");
        std::vector<std::tuple<int>> rows{{1}, {2}};
        auto works = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto n = co_await tx.copy_in("copied", rows);
            BOOST_TEST(n == 2u);
            BOOST_TEST(!tx.id().empty());
        };
        co_await pgcoro::transactional(pool, works);
        auto fails = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("insert into copied values (3)");
            co_await failure_of<server_error>(tx.copy_in("copied", rows));
        };
        co_await failure_of<server_error>(pgcoro::transactional(pool, fails));
        auto n = co_await pool.query_value<int>("select count(*)::int from copied");
        BOOST_TEST(n == 2);
        co_await pool.execute("drop table copied");
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
