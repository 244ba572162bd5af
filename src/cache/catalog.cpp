#include "cache/catalog.hpp"

#include "sql/statement.hpp"

#include <pgcoro/connection/identifier.hpp>
#include <pgcoro/types/arrays.hpp>

#include <optional>

namespace pgcoro::detail
{

namespace asio = boost::asio;

namespace
{

using verdict = statement_facts::verdict;

// The tables by these names, what views and (if $2) row-level security policies read, and all that is above or below in an
// inheritance tree: a row that goes into a partition by way of its parent fires the triggers of the parent only.
constexpr const char* tables_statement = R"(
with recursive named(id) as (
    select pg_catalog.to_regclass(n)::pg_catalog.oid from pg_catalog.unnest($1::pg_catalog.text[]) n
), used(id) as (
    select id from named
    union
    select x.id from used u cross join lateral (
        select d.refobjid as id
        from pg_catalog.pg_class v
            join pg_catalog.pg_rewrite w on w.ev_class = v.oid and w.rulename = '_RETURN'
            join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                and d.objid = w.oid and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        where v.oid = u.id and v.relkind = 'v'
        union all
        select d.refobjid
        from pg_catalog.pg_class t
            join pg_catalog.pg_policy p on p.polrelid = t.oid and p.polcmd in ('r', '*')
            join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
                and d.objid = p.oid and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        where t.oid = u.id and t.relrowsecurity and $2::pg_catalog.bool
        union all select inhrelid from pg_catalog.pg_inherits where inhparent = u.id
        union all select inhparent from pg_catalog.pg_inherits where inhrelid = u.id) x
)
select n.nspname || '.' || c.relname,
    c.relkind::pg_catalog.text,
    c.relpersistence = 't',
    n.nspname in ('pg_catalog', 'information_schema') or n.nspname like 'pg\_toast%',
    case when c.relkind = 'v' then pg_catalog.pg_get_viewdef(c.oid)
         when c.relrowsecurity then (
            select 'select ' || pg_catalog.string_agg(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ', ')
            from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polcmd in ('r', '*')) end,
    exists (select from pg_catalog.pg_trigger t
            where t.tgrelid = c.oid and t.tgname = 'pgcoro_cache' and t.tgenabled in ('O', 'A'))
from used u left join pg_catalog.pg_class c on c.oid = u.id left join pg_catalog.pg_namespace n on n.oid = c.relnamespace)";

// Returns the effects of the functions with these names, and of the functions behind operators, aggregates and casts. If
// several have one name, in whatever schema, the worst counts. An empty schema stands for any schema. $5: names behind a
// dot; they may be functions that take a row, or a value that a row is cast to implicitly. $6: types that are cast to; an
// implicit cast may be anywhere. PostgreSQL's own functions that depend on the clock change the result; its functions that
// depend on the session, or read more than their arguments, are listed by name. $7: all calls of current_setting() by name
// read the settings $8; those of them that have no value are returned.
constexpr const char* functions_statement = R"(
with recursive target_types as (
    select oid, typbasetype from pg_catalog.pg_type where typname = any ($6::pg_catalog.text[])
    union
    select b.oid, b.typbasetype from target_types t join pg_catalog.pg_type b on b.oid = t.typbasetype
), named as (
    select p.oid::pg_catalog.oid as id
    from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) f(schema, name)
        join pg_catalog.pg_proc p on p.proname = f.name
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace and (f.schema = '' or f.schema = n.nspname)
    where not ($7::pg_catalog.bool and f.name = 'current_setting' and n.nspname = 'pg_catalog')
    union all
    select o.oprcode::pg_catalog.oid
    from rows from (pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])) f(schema, name)
        join pg_catalog.pg_operator o on o.oprname = f.name
        join pg_catalog.pg_namespace n on n.oid = o.oprnamespace and (f.schema = '' or f.schema = n.nspname)
    union all
    select p.oid from pg_catalog.pg_proc p
    where p.proname = any ($5::pg_catalog.text[]) and p.pronargs >= 1 and p.pronargs - p.pronargdefaults <= 1
        and exists (select from pg_catalog.pg_type t where t.oid = p.proargtypes[0] and (
            t.typtype = 'c'
            or t.typname in ('record', 'any', 'anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray')
            or exists (select from pg_catalog.pg_type b where b.oid = t.typbasetype and b.typtype in ('c', 'd'))
            or exists (select from pg_catalog.pg_cast k join pg_catalog.pg_type s on s.oid = k.castsource
                       where k.casttarget = t.oid and k.castcontext = 'i' and s.typtype = 'c')))
    union all
    select c.castfunc from pg_catalog.pg_cast c
    where c.castfunc <> 0 and c.oid >= 16384 and (c.castcontext = 'i' or c.casttarget in (select oid from target_types))
), called as (
    select p.oid as id, p.provolatile as v, p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace as own,
        p.proname::pg_catalog.text as name
    from pg_catalog.pg_proc p where p.oid in (
        select id from named
        union all
        select f from pg_catalog.pg_aggregate a cross join lateral (values (a.aggtransfn), (a.aggfinalfn),
            (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn), (a.aggmtransfn), (a.aggminvtransfn), (a.aggmfinalfn)) x(f)
        where a.aggfnoid::pg_catalog.oid in (select id from named))
), judged as (
    select name, v, own,
        own and name in ('now', 'statement_timestamp', 'transaction_timestamp', 'age', 'mxid_age') as changing,
        own and v = 's' and (name = 'getpgusername' or name like any (array['pg\_%', 'has\_%', 'txid\_%', 'inet\_%',
            '%\_to\_xml%', 'to\_reg%', '%\_description', 'current\_%', 'currtid%', 'row\_security%'])) as session
    from called
)
select
    (select name from judged where v = 'v' or session limit 1),
    (select f.name from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) f(schema, name)
     where not exists (select from pg_catalog.pg_proc p where p.proname = f.name) limit 1),
    exists (select from judged where changing),
    (select name from judged where v = 's' and not own limit 1),
    (select t.typname::pg_catalog.text from target_types x join pg_catalog.pg_type t on t.oid = x.oid
     where t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace and t.typname like 'reg%' limit 1),
    array(select s from pg_catalog.unnest($8::pg_catalog.text[]) s
          where coalesce(pg_catalog.current_setting(s, true), '') = ''))";

struct relation
{
    std::string tag;
    std::string kind;
    bool temporary;
    bool system;
    std::optional<std::string> definition; // a SELECT, of a view, or with the conditions of row-level security
    bool guarded;

    bool is_view() const { return kind == "v"; }
};

enum class purpose { reading, writing };

asio::awaitable<std::vector<relation>> relations(const run_query& run, const std::vector<sql::name>& names, purpose why,
                                                 bool& all_there)
{
    std::vector<relation> found;
    if (names.empty()) co_return found;
    std::vector<std::string> quoted;
    quoted.reserve(names.size());
    for (auto& n : names)
        quoted.push_back((n.schema.empty() ? identifier(n.object) : identifier(n.schema, n.object)).quoted());
    auto args = params::of(quoted, why == purpose::reading);
    result got = co_await run(tables_statement, args);
    for (auto r : got) {
        if (r[0].is_null()) {
            all_there = false;
            continue;
        }
        found.push_back(relation{r[0].as<std::string>(), r[1].as<std::string>(), r[2].as<bool>(), r[3].as<bool>(),
                                 r[4].as<std::optional<std::string>>(), r[5].as<bool>()});
    }
    co_return found;
}

template <class Name>
void add(std::vector<Name>& to, const std::vector<Name>& more)
{
    to.insert(to.end(), more.begin(), more.end());
}

// All that another statement, of a view or a policy, adds to what the first does.
void add(sql::statement& to, const sql::statement& more)
{
    add(to.functions, more.functions);
    add(to.operators, more.operators);
    add(to.selected, more.selected);
    add(to.types, more.types);
    add(to.settings, more.settings);
    to.settings_known = to.settings_known && more.settings_known;
    to.time_dependent = to.time_dependent || more.time_dependent;
    to.repeatable = to.repeatable && more.repeatable;
}

std::vector<std::string> parts(const std::vector<sql::name>& names, std::string sql::name::*part)
{
    std::vector<std::string> list;
    list.reserve(names.size());
    for (auto& n : names) list.push_back(n.*part);
    return list;
}

// The worse of the two, with its reason.
void worsen(statement_facts& facts, verdict to, const std::string& why)
{
    if (to <= facts.may) return;
    facts.may = to;
    facts.why = why;
}

void judge(statement_facts& facts, const relation& r, bool guarded)
{
    if (r.temporary) worsen(facts, verdict::never, r.tag + " is temporary");
    if (r.system) worsen(facts, verdict::with_tags, r.tag + " is of the catalog, whose changes are not told");
    if (r.is_view()) return;
    if (r.kind != "r" && r.kind != "p" && r.kind != "m")
        worsen(facts, verdict::with_tags, r.tag + " is not a table: its changes are not told");
    if (guarded && !r.guarded)
        worsen(facts, verdict::with_tags, r.tag + " has no trigger that tells of its changes");
}

asio::awaitable<void> judge_functions(const run_query& run, statement_facts& facts, const sql::statement& all)
{
    auto schemas = [](const std::vector<sql::name>& of) { return parts(of, &sql::name::schema); };
    auto objects = [](const std::vector<sql::name>& of) { return parts(of, &sql::name::object); };
    auto args = params::of(schemas(all.functions), objects(all.functions), schemas(all.operators), objects(all.operators),
                           objects(all.selected), objects(all.types), all.settings_known, all.settings);
    result got = co_await run(functions_statement, args);
    auto r = got[0];
    auto name = [&](std::size_t i) { return r[i].as<std::optional<std::string>>(); };
    if (auto f = name(0))
        worsen(facts, verdict::never, "function " + *f + " may change something, gives something else each time, or "
                                      "depends on the session");
    if (auto f = name(1)) worsen(facts, verdict::never, "function " + *f + " is not known");
    if (auto f = name(3)) worsen(facts, verdict::with_tags, "what function " + *f + " reads is not known");
    if (auto t = name(4)) worsen(facts, verdict::with_tags, "type " + *t + " is read from the catalog");
    facts.changing = facts.changing || r[2].as<bool>();
    facts.settings = r[5].as<std::vector<std::string>>();
}

} // namespace

asio::awaitable<std::shared_ptr<statement_facts>> look_up(const run_query& run, std::string_view text, bool guarded)
{
    auto facts = std::make_shared<statement_facts>();
    auto meant = sql::parse(text);
    if (meant.nature != sql::nature::read) {
        facts->why = "it is not one SELECT that only reads, or not understood";
        co_return facts;
    }
    facts->may = verdict::cacheable;
    bool all_there = true;
    auto tables = co_await relations(run, meant.tables, purpose::reading, all_there);
    if (!all_there) worsen(*facts, verdict::never, "it names a table that is not there");
    for (auto& r : tables) {
        judge(*facts, r, guarded);
        if (!r.is_view()) facts->reads.push_back(r.tag);
        if (!r.definition) continue;
        auto inner = sql::parse(*r.definition);
        if (inner.nature != sql::nature::read)
            worsen(*facts, verdict::never, "the view or the policies of " + r.tag + " are not understood");
        add(meant, inner);
    }
    if (!meant.repeatable) worsen(*facts, verdict::never, "it reads a sample, or where its rows are stored");
    facts->changing = meant.time_dependent;
    if (facts->may != verdict::never) co_await judge_functions(run, *facts, meant);
    co_return facts;
}

asio::awaitable<std::vector<std::string>> tables_written(const run_query& run, std::string_view text)
{
    auto meant = sql::parse(text);
    bool all_there = true;
    auto tables = co_await relations(run, meant.written, purpose::writing, all_there);
    std::vector<std::string> tags;
    for (auto& r : tables)
        if (!r.is_view()) tags.push_back(r.tag);
    co_return tags;
}

} // namespace pgcoro::detail
