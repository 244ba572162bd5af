// What may be cached, and what its result depends on, by the catalog of a real server.
#include "integration/cache/support.hpp"

#include "cache/catalog.hpp"

#include <algorithm>

using namespace pgcoro;
using pgcoro::detail::statement_facts;

namespace
{

constexpr const char* house = R"(
    create sequence counter;
    create table account(id int, cents int);
    create table branch(id int);
    create view rich as select * from account where cents > 1000;
    create view richest as select * from rich order by cents desc limit 1;
    create view dice as select random() as pips;
    create view numbered as select nextval('counter') from account;
    create materialized view totals as select sum(cents) from account;
    create table event(id int, day int) partition by range (day);
    create table event_1 partition of event for values from (0) to (10);
    create table event_2 partition of event for values from (10) to (20);
    create function spoil(int) returns int language sql volatile as 'select $1';
    create function total(int) returns bigint language sql stable as 'select sum(cents) from cached.account';
    create function twice(int) returns int language sql immutable as 'select 2 * $1';
    create operator @#@ (function = spoil, rightarg = int);
    create operator !@ (function = pg_catalog.current_setting, rightarg = text);
    create operator @%@ (function = total, rightarg = int);
    create function score(account) returns bigint language sql stable as 'select sum(cents) from cached.account';
    create function draw(account) returns int language sql volatile as 'select 1';
    create function label(account) returns text language sql immutable as 'select $1.id::text';
    create view scored as select a.score from account a;
    create function add_total(bigint, int) returns bigint language sql stable as
        'select $1 + (select sum(cents) from cached.account)';
    create aggregate grand_total(int) (sfunc = add_total, stype = bigint, initcond = '0');
    create aggregate plain_total(int) (sfunc = int4_sum, stype = bigint);
    create type points as (n int);
    create function to_points(int) returns points language sql stable as
        'select row(sum(cents)::int)::cached.points from cached.account';
    create cast (int as points) with function to_points(int);
    create domain few_points as points;
    create table log(id int, at timestamptz, score int, text text);
    create table pair(a account, log log);
    create table member(tenant int, who name);
    create function allowed(int) returns bool language plpgsql stable as 'begin return $1 = 1; end';
)";

// Tables under row-level security, and the condition of the policy of each.
const char* const policies[][2] = {
    {"by_setting", "for select using (tenant = current_setting('app.tenant')::int)"},
    {"by_jwt", "using (tenant = (nullif(current_setting('jwt.claims', true), '')::json ->> 'tenant')::int)"},
    {"by_user", "using (who = current_user and who in (select who from member))"},
    {"by_member", "using (exists (select from member m where m.tenant = by_member.tenant and m.who = session_user))"},
    {"by_time", "using (at > now())"},
    {"by_function", "using (allowed(tenant))"},
    {"by_immutable_function", "using (tenant = twice(1))"},
    {"by_chance", "using (random() < 0.5)"},
    {"by_backend", "using (tenant = pg_backend_pid())"},
    {"by_membership_of_roles", "using (pg_has_role(who, 'member'))"},
    {"by_computed_setting", "using (tenant = current_setting('app.' || 'tenant')::int)"},
    {"by_own_setting", "using (who = current_setting('application_name'))"},
    {"by_secured_table", "using (tenant in (select tenant from by_setting))"},
    {"checked", "for insert with check (random() < 0.5)"},
};

std::string house_with_policies()
{
    std::string sql = house;
    for (auto& [table, policy] : policies) {
        sql.append("create table ").append(table).append("(tenant int, who name, at timestamptz); alter table ").append(table);
        sql.append(" enable row level security; create policy p on ").append(table).append(" ").append(policy).append(";");
    }
    return sql + "create table closed(id int); alter table closed enable row level security; "
                 "create view secured as select * from by_setting;";
}

struct expected
{
    const char* sql;
    statement_facts::verdict may;
    const char* reads = "";
    bool changing = false;
    const char* settings = "";
};
constexpr auto yes = statement_facts::verdict::cacheable;
constexpr auto tagged = statement_facts::verdict::with_tags;
constexpr auto never = statement_facts::verdict::never;

const expected judged[] = {
    {"select 1", yes},
    {"select * from account a join cached.branch b using (id) where a.id = $1", yes,
     "cached.account cached.branch"},
    {"select lower('X'), count(*), twice(2) from account", yes, "cached.account"},
    {"select * from richest", yes, "cached.account"},
    {"select * from event_1", yes, "cached.event cached.event_1 cached.event_2"},
    {"select * from totals", yes, "cached.totals"},
    {"select now()", yes, "", true},
    {"select current_date", yes, "", true},
    {"select age(at) from log", yes, "cached.log", true},
    // A function that is called like a column, and a column of the same name.
    {"select l.score, l.text from log l", tagged, "cached.log"}, // the function might be meant
    {"select l.id, (l).at from log l", yes, "cached.log"},
    {"select a.score from account a", tagged, "cached.account"},
    {"select (a).score from account a", tagged, "cached.account"},
    {"select p.a.score from pair p", tagged, "cached.pair"},
    {"select (p.a).score from pair p", tagged, "cached.pair"},
    {"select * from scored", tagged, "cached.account"},
    {"select a.draw from account a", never, "cached.account"},
    {"select a.label, a.cents from account a", yes, "cached.account"},
    // The functions behind aggregates, operators and casts.
    {"select grand_total(cents) from account", tagged, "cached.account"},
    {"select plain_total(cents) from account", yes, "cached.account"},
    {"select @%@ 1", tagged},
    {"select 1::points", tagged},
    {"select cast(id as cached.points) from branch", tagged, "cached.branch"},
    {"select array[1]::points[]", tagged},
    {"select 1::few_points", tagged},
    {"select id::bigint from branch", yes, "cached.branch"},
    {"select 'account'::regclass", tagged},
    // Constants that are a point in time.
    {"select 'now'::timestamptz", yes, "", true},
    {"select count(*) from log where at > 'Yesterday '", yes, "cached.log", true},
    {"select at between $1 and e'now' from log", yes, "cached.log", true},
    {"select ('no' || 'w')::timestamptz", yes, "", true},
    {"select $1::text::timestamptz", yes, "", true},
    {"select '2024-01-01'::timestamptz, at::date, 'known' from log", yes, "cached.log"},
    // The result differs each time.
    {"select random()", never},
    {"select gen_random_uuid()", never},
    {"select clock_timestamp()", never},
    {"select * from dice", never},
    {"select * from account tablesample system (50)", never, "cached.account"},
    {"select ctid from account", never, "cached.account"},
    {"select a.xmin from account a", never, "cached.account"},
    {"select tableoid from account", yes, "cached.account"},
    {"select getpgusername()", never},
    {"select total(1)", tagged},
    {"select * from pg_class", tagged, "pg_catalog.pg_class"},
    {"select spoil(1)", never},
    {"select cached.spoil(1)", never},
    {"select @#@ 1", never},
    {"select nextval('counter')", never},
    {"select * from numbered", never, "cached.account cached.counter"},
    {"select pg_advisory_lock(1)", never},
    {"select pg_current_xact_id()", never},
    {"select current_setting('work_mem')", never},
    {"select current_setting($1)", never},
    {"select current_setting('app.known')", yes},
    {"select current_setting('app.tenant', true), current_setting('app.known')", yes, "", false, "app.tenant"},
    {"select !@ 'app.known'", never}, // the same function by an operator
    {"select current_user, session_user, current_schema, current_role, current_catalog", yes},
    {"select nobody_knows(1)", never},
    {"select * from nothing_there", never},
    // Policies of row-level security.
    {"select * from closed", yes, "cached.closed"},
    {"select * from checked", yes, "cached.checked"},
    {"select * from by_setting", yes, "cached.by_setting", false, "app.tenant"},
    {"select * from secured", yes, "cached.by_setting", false, "app.tenant"},
    {"select * from by_jwt", yes, "cached.by_jwt", false, "jwt.claims"},
    {"select * from by_user", yes, "cached.by_user cached.member"},
    {"select * from by_member", yes, "cached.by_member cached.member"},
    {"select * from by_time", yes, "cached.by_time", true},
    {"select * from by_function", tagged, "cached.by_function"},
    {"select * from by_immutable_function", yes, "cached.by_immutable_function"},
    {"select * from by_chance", never, "cached.by_chance"},
    {"select * from by_backend", never, "cached.by_backend"},
    {"select * from by_membership_of_roles", never, "cached.by_membership_of_roles"},
    {"select * from by_computed_setting", never, "cached.by_computed_setting"},
    {"select * from by_own_setting", never, "cached.by_own_setting"},
    {"select * from by_secured_table", yes, "cached.by_secured_table cached.by_setting", false, "app.tenant"},
    {"select * from account for update", never},
    {"with x as (update account set cents = 0 returning *) select * from x", never},
    {"insert into branch values (1)", never},
};

struct built
{
    scratch_schema schema{house_with_policies()};
};

std::string joined(std::vector<std::string> tags)
{
    std::sort(tags.begin(), tags.end());
    std::string text;
    for (auto& t : tags) text += (text.empty() ? "" : " ") + t;
    return text;
}

// Statements of a pool whose sessions have the schema in their search_path.
template <class Body>
void with_pool(Body body)
{
    run([&]() -> asio::awaitable<void> {
        pool_options o;
        o.connection = shared_options();
        o.connection.settings["search_path"] = "cached";
        o.connection.settings["app.known"] = "7";
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, o);
        detail::run_query ask = [&](std::string_view sql, const params& args) { return p.run(sql, args); };
        co_await body(ask);
        co_await p.close();
    });
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(cache_catalog, built)

BOOST_AUTO_TEST_CASE(each_statement_is_judged_by_what_its_names_stand_for)
{
    with_pool([&](const detail::run_query& ask) -> asio::awaitable<void> {
        for (auto& e : judged) {
            auto facts = co_await detail::look_up(ask, e.sql, false);
            BOOST_TEST((facts->may == e.may),
                       e.sql << ": " << static_cast<int>(facts->may) << " " << facts->why);
            BOOST_TEST(facts->why.empty() == (e.may == yes), e.sql << ": " << facts->why);
            BOOST_TEST(joined(facts->reads) == e.reads, e.sql << ": " << joined(facts->reads));
            if (e.may == yes) BOOST_TEST(facts->changing == e.changing, e.sql);
            BOOST_TEST(joined(facts->settings) == e.settings, e.sql << ": " << joined(facts->settings));
        }
    });
}

BOOST_AUTO_TEST_CASE(a_temporary_table_is_never_cached)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        detail::run_query ask = [&](std::string_view sql, const params& args) { return c.run(sql, args); };
        co_await c.execute("create temporary table mine(id int)");
        auto facts = co_await detail::look_up(ask, "select * from mine", false);
        BOOST_TEST((facts->may == never));
    });
}

BOOST_AUTO_TEST_CASE(what_a_statement_changes_is_known_by_the_tables_it_names)
{
    with_pool([&](const detail::run_query& ask) -> asio::awaitable<void> {
        auto tags = co_await detail::tables_written(ask, "insert into branch select id from account");
        BOOST_TEST(joined(tags) == "cached.branch");
        tags = co_await detail::tables_written(ask, "update rich set cents = 1");
        BOOST_TEST(joined(tags) == "cached.account");
        tags = co_await detail::tables_written(ask, "update by_member set tenant = 1");
        BOOST_TEST(joined(tags) == "cached.by_member");
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_must_not_be_cached_runs_each_time)
{
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        for (int i = 1; i <= 3; ++i) {
            auto got = co_await c.cache().query("select nextval('cached.counter')");
            BOOST_TEST(got->as_value<std::int64_t>() == i);
            BOOST_TEST(got.origin() == cache_origin::bypassed);
        }
        BOOST_TEST(c.source().looked_up == 1); // the sequence is a value here, not a name
    });
}

BOOST_AUTO_TEST_CASE(every_caller_gets_a_uuid_of_its_own)
{
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        auto one = co_await c.cache().query_value<std::string>("select gen_random_uuid()::text");
        auto other = co_await c.cache().query_value<std::string>("select gen_random_uuid()::text");
        BOOST_TEST(one != other);
    });
}

BOOST_AUTO_TEST_CASE(result_that_changes_with_time_is_kept_for_changing_at_most)
{
    cache_options forever;
    forever.strategy = cache_strategy::lru;
    cached c(forever);
    c.run([&]() -> asio::awaitable<void> {
        constexpr const char* by_parameter = "select $1::timestamptz < now() - interval '1 year'";
        auto origins = [&](std::chrono::seconds later) -> asio::awaitable<std::string> {
            c.time().advance(later);
            auto constant = co_await c.cache().query("select 'today'::date - 1");
            auto computed = co_await c.cache().query("select $1::date", "Tomorrow");
            auto plain = co_await c.cache().query("select $1::date", "2024-01-01");
            auto function = co_await c.cache().query(by_parameter, "2024-01-01");
            std::string all;
            for (auto* each : {&constant, &computed, &plain, &function})
                all += each->origin() == cache_origin::hit ? 'h' : 'a';
            co_return all;
        };
        auto first = co_await origins(std::chrono::seconds(0));
        BOOST_TEST(first == "aaaa");
        auto soon = co_await origins(std::chrono::seconds(59));
        BOOST_TEST(soon == "hhhh");
        auto late = co_await origins(std::chrono::seconds(2));
        BOOST_TEST(late == "aaha");
    });
}

BOOST_AUTO_TEST_CASE(a_call_that_names_tags_has_kept_what_no_table_stands_for)
{
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        constexpr const char* sql = "select cached.total(1)";
        auto plain = co_await c.cache().query(sql);
        BOOST_TEST(plain.origin() == cache_origin::bypassed);
        std::string_view tags[] = {"totals"};
        cache_call call{.tags = tags};
        co_await c.cache().with(call).query(sql);
        auto hit = co_await c.cache().with(call).query(sql);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        c.cache().invalidate_tags_like("tot*");
        auto asked = co_await c.cache().with(call).query(sql);
        BOOST_TEST(asked.origin() == cache_origin::asked);
    });
}

BOOST_AUTO_TEST_CASE(a_view_that_changed_is_looked_at_again_in_time)
{
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        constexpr const char* sql = "select count(*) from cached.richest";
        co_await c.cache().query(sql);
        shared_server().psql("create or replace view cached.rich as "
                             "select a.* from cached.account a, cached.branch b");
        c.time().advance(std::chrono::minutes(11));
        co_await c.cache().query(sql);
        c.cache().invalidate_tag("cached.branch");
        auto asked = co_await c.cache().query(sql);
        BOOST_TEST(asked.origin() == cache_origin::asked);
    });
}

BOOST_AUTO_TEST_SUITE_END()
