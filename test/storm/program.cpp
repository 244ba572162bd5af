#include "storm/program.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace storm
{

const char* const schema = R"(
create table t (id int primary key, k int check (k >= 0), v text);
create table noisy (id int primary key, k int check (k >= 0), v text);
create table child (id int primary key, parent int references t (id) deferrable initially deferred);
create table d (k int, v text);
create function storm_notice(n int, v text) returns int language plpgsql as $$
begin
    for i in 1..n loop raise notice 'notice % %', i, v; end loop;
    return n;
end $$;
create function storm_raise(n int, v text) returns int language plpgsql as $$
begin
    raise notice 'before the error: %', v;
    if n % 2 = 0 then raise exception 'serialization, %', v using errcode = '40001'; end if;
    raise exception 'refused, %', v using errcode = 'PG001';
end $$;
create function storm_noisy() returns trigger language plpgsql as $$
begin
    raise notice '% %', new.id, repeat('n', 1000);
    return new;
end $$;
create function storm_speak(encoding text) returns text language sql as $$
    select pg_catalog.set_config('client_encoding', encoding, false)
$$;
create trigger noisy before insert on noisy for each row execute function storm_noisy();
)";

const char* const fresh_tables = R"(
truncate t, noisy, child;
insert into t select i, i % 5, 'row ' || i from generate_series(1, 40) i;
drop table d;
create table d (k int, v text);
insert into d values (1, 'a'), (2, null);
)";

#define STORM_TABLES                                                                                         \
    "select 't=' || (select count(*) || ' ' || coalesce(md5(string_agg(concat_ws('|', id, "                  \
    "coalesce(k::text, '-'), "                                                                               \
    "coalesce(v, '-')), ';' order by id)), '') from t) || ', noisy=' || (select count(*) || ' ' || "         \
    "coalesce(sum(id), 0) from noisy) || ', child=' || (select count(*) || ' ' || coalesce(sum(id), 0) "     \
    "from child) "                                                                                           \
    "|| ', d=' || (select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = "      \
    "'d'::regclass and attnum > 0 and not attisdropped)"

const char* const tables_query = STORM_TABLES;
const char* const digest_query = STORM_TABLES
    " || ', encoding=' || current_setting('client_encoding')"
    " || ', work_mem=' || current_setting('work_mem') || ', search_path=' || current_setting('search_path')"
    " || ', user=' || current_user || ', temp=' || (select coalesce(string_agg(relname, ' ' order by "
    "relname), '') "
    "from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r')"
    " || ', locks=' || (select coalesce(string_agg(objid::text, ' ' order by objid), '') from pg_locks where "
    "locktype = 'advisory' and pid = pg_backend_pid())"
    " || ', prepared=' || (select coalesce(string_agg(name, ' ' order by name), '') from "
    "pg_prepared_statements "
    "where from_sql)"
    " || ', cursors=' || (select count(*) from pg_cursors where is_holdable)"
    " || ', channels=' || (select coalesce(string_agg(c, ' ' order by c), '') from pg_listening_channels() "
    "c)";

namespace
{

struct shape
{
    const char* sql;
    bool counts_only = false;
};

// Each mentions $1 and $2, because the library refuses parameters that the text does not mention.
const std::array<shape, 24> shapes{{
    {"select $1::int as k, $2::text as v where $1 >= 0"},
    {"select i as k, coalesce($2::text, '-') || i as v from generate_series(1, $1::int) i"},
    {"select length($2::text) as k, left($2::text, 10) as v where $1 = $1"},
    {"select $1::int as k, repeat('x', abs($1) * 100) || coalesce($2::text, '') as v"},
    {"insert into t values ($1, 1, $2::text) on conflict (id) do update set k = t.k + 1 returning k, v"},
    {"insert into t values ($1, abs($1), $2::text) returning k, v"},
    {"update t set k = k + 1, v = coalesce($2::text, v) where id % 7 = $1 % 7", true},
    {"delete from t where id % 11 = $1 % 11 and $2::text is distinct from 'q'", true},
    {"select k, v from t where id >= $1 and $2::text is distinct from '?' order by id limit 50"},
    {"select null::int as k, $2::text as v from generate_series(1, $1::int)"},
    {"select 1 / ($1 - $1) as k, $2::text as v"},
    {"select k, v from missing where k = $1 and v = $2::text"},
    {"selec $1, $2"},
    {"insert into t values ($1, -1, $2::text) returning k, v"},
    {"select storm_raise($1, $2::text) as k, 'r' as v"},
    {"select (coalesce($2::text, '') || 'x')::int as k, 'x' as v where $1 = $1"},
    {"select storm_notice($1, $2::text) as k, 'n' as v"},
    {"insert into child select $1, 999999 where $2::text is distinct from '?'", true},
    {"select 1000 / ($1 - i) as k, $2::text as v from generate_series(1, $1 + 3) i"},
    {"select $1::int as k, pg_sleep(0.02)::text || coalesce($2::text, '') as v"},
    {"insert into t select 100000 + $1 * 50 + i, i, $2::text from generate_series(0, 40) i on conflict do "
     "nothing "
     "returning k, v"},
    {"select * from d where $1 = $1 and $2::text is not distinct from $2::text", true},
    {"select pg_sleep(1)::text || $1 as k, $2::text as v", true},
    {"insert into noisy values ($1, 0, $2::text) on conflict do nothing", true},
}};

constexpr int shape_insert = 5;
constexpr int shape_table_d = 21;
constexpr int shape_sleep = 22;
constexpr std::array harmless{0, 1, 2, 3, 4, 6, 7, 8, 9, 16, 20, 23};
constexpr std::array failing{5, 10, 11, 12, 13, 14, 15, 17, 18};
constexpr std::array holdable{0, 1, 8, 9, 20};

const char* name_of(kind what)
{
    static constexpr std::array names{
        "query",       "prepare",     "run_prepared", "pipeline", "stream",  "open_stream", "close_stream",
        "copy_in",     "copy_out",    "copy_csv",     "script",   "command", "timeout",     "transactional",
        "multiplexed", "insert_many", "poll",         "ping",     "reset",   "release"};
    return names[static_cast<std::size_t>(what)];
}

class maker
{
public:
    maker(std::uint64_t seed, const program_options& options)
        : random_(seed)
        , options_(options)
    {}

    program make()
    {
        program made;
        for (int i = 0; i < options_.ops; ++i) made.push_back(one(i + 1));
        return made;
    }

private:
    int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
    bool one_in(int n) { return below(n) == 0; }
    template <class List>
    auto of(const List& list)
    {
        return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
    }

    std::optional<std::string> value()
    {
        switch (below(12)) {
        case 0:
            return std::nullopt;
        case 1:
            return std::string(static_cast<std::size_t>(below(30'000)), 'l');
        case 2:
            if (one_in(3)) return std::string(static_cast<std::size_t>(below(1'000'000)), 'L');
            return std::string();
        default:
            return std::string(1, static_cast<char>('a' + below(5)));
        }
    }

    statement any(int fails_one_in)
    {
        statement s;
        s.shape = one_in(fails_one_in) ? of(failing) : of(harmless);
        if (one_in(25)) s.shape = 19;
        s.a = one_in(6) ? below(2'000) : below(60) - 2;
        if (s.shape == 16) s.a = below(30);
        if (s.shape == 20) s.a = below(40);
        s.b = value();
        if (one_in(3)) s.salt = 1 + below(40);
        return s;
    }
    statement of_table_d()
    {
        statement s;
        s.shape = shape_table_d;
        return s;
    }

    void pipeline(op& o)
    {
        static constexpr std::array sizes{0, 1, 2, 3, 5, 9, 40, 300};
        o.flag = one_in(2);
        int size = of(sizes);
        if (size == 300 && !one_in(3)) size = 12;
        bool fails = one_in(3);
        for (int i = 0; i < size; ++i) {
            // The rows of a pipeline with barriers tell which of its statements took effect.
            auto s = any(fails ? size / 2 + 2 : 1'000'000);
            if (o.flag && !is_read_only(s.shape)) {
                s.shape = shape_insert;
                s.a = o.id * 1000 + i;
            }
            if (size > 20 && s.shape == 3) s.a = below(20);
            if (size > 20 && s.shape == 19) s.shape = 0;
            o.statements.push_back(std::move(s));
        }
        if (!one_in(8)) return;
        for (int copies = 1 + below(3), i = std::max(size - copies, 0); i < size; ++i)
            o.statements[static_cast<std::size_t>(i)] = of_table_d();
    }
    static bool is_read_only(int shape)
    {
        for (int s : {0, 1, 2, 3, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19})
            if (s == shape) return true;
        return false;
    }

    void script(op& o)
    {
        int size = 1 + below(6);
        int bad = one_in(3) ? below(size) : -1;
        bool own = !one_in(3);
        std::string text;
        if (!own) text = "begin;\n";
        for (int i = 0; i < size; ++i) {
            if (i == bad) {
                text += one_in(2) ? "select 1 / 0;\n"
                                  : "insert into t values (1, 1, 'again'), (1, 1, 'again');\n";
            } else if (one_in(2)) {
                text += "insert into t values (" + std::to_string(o.id * 1000 + i) +
                        ", 1, 's') on conflict do nothing;\n";
            } else {
                text += "select i, repeat('r', 1000) from generate_series(1, " + std::to_string(below(50)) +
                        ") i;\n";
            }
        }
        if (!own && one_in(2)) text += "commit;\n";
        o.text = std::move(text);
        o.flag = !own; // ends or leaves transactions itself: it is never disturbed
    }

    void command(op& o)
    {
        static constexpr std::array transactions{"begin",
                                                 "begin",
                                                 "begin isolation level repeatable read",
                                                 "commit",
                                                 "commit",
                                                 "rollback",
                                                 "savepoint s",
                                                 "savepoint s",
                                                 "rollback to savepoint s",
                                                 "rollback to savepoint s",
                                                 "release savepoint s"};
        static constexpr std::array effects{
            "set work_mem = '8MB'",
            "select set_config('work_mem', '9MB', false)",
            "set search_path = public, pg_temp",
            "set client_encoding to latin1",
            "select storm_speak('latin1')",
            "create temp table storm_temp (k int)",
            "create temp table storm_dropped on commit drop as select 1 as k",
            "prepare storm_prepared as select 1",
            "deallocate storm_prepared",
            "listen storm_channel",
            "unlisten storm_channel",
            "notify storm_channel, 'n'",
            "notify storm_channel, 'm'",
            "select pg_advisory_lock(41)",
            "select pg_advisory_lock(42)",
            "select pg_advisory_unlock(42)",
            "declare storm_cursor cursor with hold for select * from t order by id",
            "set local work_mem = '7MB'",
            "reset work_mem",
            "set session authorization storm_user",
            "set role storm_user",
            "deallocate all",
            "discard all"};
        static constexpr std::array ddl{
            "alter table d add column c1 int", "alter table d drop column if exists c1",
            "alter table d alter column k type bigint", "alter table d alter column k type int"};
        int which = below(10);
        if (which < 5)
            o.text = of(transactions);
        else if (which < 9 && options_.session_effects)
            o.text = of(effects);
        else
            o.text = of(ddl);
    }

    void transactional(op& o)
    {
        using style = statement::style;
        int size = below(6);
        bool fails = one_in(3);
        for (int i = 0; i < size; ++i) {
            auto s = any(fails ? 3 : 1'000'000);
            s.as = of(std::array{style::plain, style::plain, style::plain, style::swallow, style::savepoint,
                                 style::savepoint_throw});
            // A serialization failure ends the transaction whatever savepoint it happened in.
            if (s.shape == 14) s.a = s.as == style::plain && one_in(4) ? 2 : 1;
            o.statements.push_back(std::move(s));
        }
        if (one_in(12)) o.statements.push_back(of_table_d());
        o.flag = size > 0 && one_in(3); // the last statement goes through last()
        o.flag2 = one_in(6);            // the body throws at its end
        if (one_in(4)) o.at = below(5); // a stream at its beginning, left after this many rows
        if (!one_in(10)) return;
        o = {.what = kind::transactional, .id = o.id, .size = 150}; // ms, and the body sleeps for longer
    }

    void disturb(op& o)
    {
        if (!one_in(3)) return;
        o.how =
            of(std::array{harm::terminal, harm::terminal, harm::partial, harm::total, harm::cancel_request});
        o.turns = one_in(4) ? -below(6) : below(one_in(3) ? 40 : 8);
        o.release_then = one_in(4);
    }

    op one(int id)
    {
        op o;
        o.id = id;
        int dice = below(100);
        if (dice < 22) {
            o.what = kind::query;
            o.statements.push_back(one_in(15) ? of_table_d() : any(4));
        } else if (dice < 25) {
            o.what = kind::prepare;
            o.count = below(2);
            o.statements.push_back(any(8));
        } else if (dice < 29) {
            o.what = kind::run_prepared;
            o.count = below(2);
            o.statements.push_back(any(8));
        } else if (dice < 40) {
            o.what = kind::pipeline;
            pipeline(o);
        } else if (dice < 47) {
            o.what = kind::stream;
            o.statements.push_back(any(5));
            if (one_in(3)) o.statements.back().shape = 1;
            o.size = of(std::array{1, 3, 256});
            if (one_in(2)) o.at = below(one_in(2) ? 5 : 60);
        } else if (dice < 49) {
            o.what = kind::open_stream;
            o.statements.push_back(any(1'000'000));
            o.statements.back().shape = of(holdable);
            o.at = 1 + below(4);
            o.size = 16;
        } else if (dice < 51) {
            o.what = kind::close_stream;
            o.flag = one_in(2); // reads it to its end first
        } else if (dice < 57) {
            o.what = kind::copy_in;
            o.count = of(std::array{0, 1, 10, 100, 900});
            o.size = one_in(3) ? 400 : 5;
            o.flag = one_in(2);  // from a coroutine
            o.flag2 = one_in(4); // with a trigger that raises notices
            if (o.count > 0 && one_in(2)) o.at = below(o.count);
        } else if (dice < 60) {
            o.what = kind::copy_out;
            o.count = of(std::array{0, 1, 10, 500});
            o.size = one_in(3) ? 1000 : 5;
            o.flag = one_in(6); // an error half way
            if (one_in(3)) o.at = below(o.count + 1);
        } else if (dice < 62) {
            o.what = kind::copy_csv;
            o.count = of(std::array{0, 1, 10, 500});
            o.size = 10;
            if (one_in(3)) o.at = below(o.count + 1);
        } else if (dice < 66) {
            o.what = kind::script;
            script(o);
        } else if (dice < 80) {
            o.what = kind::command;
            command(o);
        } else if (dice < 82 && options_.session_effects) {
            o.what = kind::timeout;
        } else if (dice < 87) {
            o.what = kind::transactional;
            transactional(o);
        } else if (dice < 90) {
            o.what = kind::multiplexed;
            for (int i = 0, n = 1 + below(8); i < n; ++i) {
                auto s = any(5);
                if (!is_read_only(s.shape) || s.shape == 14) {
                    s.shape = shape_insert;
                    s.a = o.id * 1000 + i;
                }
                o.statements.push_back(std::move(s));
            }
        } else if (dice < 93) {
            o.what = kind::insert_many;
            o.count = of(std::array{0, 1, 20, 700});
            o.flag = one_in(2); // upsert_many
            o.size = one_in(3) ? 300 : 4;
            if (o.count > 0 && one_in(3)) o.at = below(o.count);
        } else if (dice < 94 && options_.session_effects) {
            o.what = kind::poll;
        } else if (dice < 95) {
            o.what = kind::ping;
        } else if (dice < 96 && options_.session_effects) {
            o.what = kind::reset;
        } else {
            o.what = kind::release;
        }
        if (o.what != kind::release && o.what != kind::reset && o.what != kind::timeout &&
            o.what != kind::poll && !(o.what == kind::script && o.flag) && o.what != kind::close_stream)
            disturb(o);
        bool has_lease = o.what != kind::transactional && o.what != kind::multiplexed && o.what != kind::ping;
        if (!has_lease && o.how == harm::cancel_request) o.how = harm::terminal;
        // A statement that only ends when it is stopped.
        if (o.what == kind::query && o.how != harm::nothing && one_in(4)) {
            o.statements.front().shape = shape_sleep;
            if (o.turns > 3) o.turns = 3;
            if (o.how == harm::cancel_request) o.turns = -3 - below(5); // it is to have begun
        }
        return o;
    }

    std::mt19937_64 random_;
    const program_options& options_;
};

std::string shortened(const std::string& text)
{
    if (text.size() <= 40) return text;
    return text.substr(0, 12) + "… (" + std::to_string(text.size()) + " bytes)";
}

} // namespace

std::string statement::sql() const
{
    std::string text = shapes[static_cast<std::size_t>(shape)].sql;
    if (salt != 0) text += " /* " + std::to_string(salt) + " */";
    return text;
}

bool statement::counts_only() const noexcept { return shapes[static_cast<std::size_t>(shape)].counts_only; }

std::string statement::text() const
{
    static constexpr std::array styles{"", " (its error swallowed)", " (in a savepoint)",
                                       " (in a savepoint that throws)"};
    return sql() + "  -- $1 = " + std::to_string(a) + ", $2 = " + (b ? "'" + shortened(*b) + "'" : "NULL") +
           styles[static_cast<std::size_t>(as)];
}

std::string op::describe() const
{
    std::string d = "#" + std::to_string(id) + " " + name_of(what);
    auto add = [&](const char* name, int value) {
        d += std::string(" ") + name + "=" + std::to_string(value);
    };
    if (count != 0) add("count", count);
    if (at >= 0) add("at", at);
    if (size != 0) add("size", size);
    if (flag) d += what == kind::pipeline ? " barrier::each" : " flag";
    if (flag2) d += " flag2";
    if (how != harm::nothing) {
        static constexpr std::array names{"", "terminal", "partial", "total", "cancel()"};
        d += std::string(" [") + names[static_cast<std::size_t>(how)] + " after " +
             (turns < 0 ? std::to_string(-turns) + " ms" : std::to_string(turns) + " turns") +
             (release_then ? ", then released" : "") + "]";
    }
    if (!text.empty()) d += "\n        " + text;
    constexpr std::size_t most = 12;
    for (std::size_t i = 0; i < statements.size() && i < most; ++i) d += "\n        " + statements[i].text();
    if (statements.size() > most) d += "\n        … " + std::to_string(statements.size() - most) + " more";
    return d;
}

program make_program(std::uint64_t seed, const program_options& options)
{
    return maker(seed, options).make();
}

} // namespace storm
