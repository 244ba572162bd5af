// Advice from a statement's plan ("Using EXPLAIN", chapter 14.1 of PostgreSQL's documentation).
#include <pgcoro/observe/advice.hpp>

#include "base/shortened.hpp"
#include "sql/statement.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

namespace asio = boost::asio;
namespace json = boost::json;

double number(const json::object& node, std::string_view key, double otherwise)
{
    auto* v = node.if_contains(key);
    return v && v->is_number() ? v->to_number<double>() : otherwise;
}

std::string text(const json::object& node, std::string_view key)
{
    auto* v = node.if_contains(key);
    return v && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::string rounded(double value)
{
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.0f", value);
    return digits;
}

// A scan as the plan has it.
struct scan
{
    std::string type;
    std::string schema;
    std::string table;
    std::string filter;
    double returned = 0;    // with ANALYZE in fact, else as estimated
    double thrown_away = 0; // with ANALYZE
    double estimated = 0;
};

void collect(const json::object& node, bool analyzed, std::vector<scan>& all)
{
    if (node.contains("Relation Name")) {
        scan s;
        s.type = text(node, "Node Type");
        s.schema = text(node, "Schema");
        s.table = text(node, "Relation Name");
        s.filter = text(node, "Filter");
        auto loops = number(node, "Actual Loops", 1);
        s.estimated = number(node, "Plan Rows", 0);
        s.returned = analyzed ? loops * number(node, "Actual Rows", 0) : s.estimated;
        s.thrown_away = loops * number(node, "Rows Removed by Filter", 0);
        if (analyzed) s.estimated *= loops;
        all.push_back(std::move(s));
    }
    auto* below = node.if_contains("Plans");
    if (!below || !below->is_array()) return;
    for (auto& each : below->get_array()) collect(each.as_object(), analyzed, all);
}

asio::awaitable<std::vector<scan>> scans_of(connection& c, std::string_view sql, const params& args,
                                            bool analyze)
{
    std::string asked =
        std::string(analyze ? "explain (analyze, verbose, format json) " : "explain (verbose, format json) ");
    asked += sql;
    auto got = co_await c.run(asked, args);
    auto plan = json::parse(got[0][0].bytes());
    std::vector<scan> all;
    collect(plan.as_array().at(0).as_object().at("Plan").as_object(), analyze, all);
    co_return all;
}

// How many rows a table has, by the server's estimate; -1 when it does not know.
asio::awaitable<double> rows_in(connection& c, const scan& s)
{
    auto rows = co_await c.query_optional<double>(
        "select c.reltuples::float8 from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = $1 and c.relname = $2",
        s.schema, s.table);
    co_return rows.value_or(-1);
}

void judge(const scan& s, const explain_options& o, std::vector<finding>& found)
{
    auto table = s.schema + "." + s.table;
    if (s.thrown_away >= o.least_rows && s.thrown_away >= o.factor * std::max(s.returned, 1.0))
        found.push_back({s.type + " on " + table + " reads far more rows than it returns",
                         alert_severity::warning,
                         rounded(s.thrown_away) + " rows thrown away, " + rounded(s.returned) + " kept" +
                             (o.analyze ? "" : " (estimated)") + " by the filter " + s.filter,
                         "an index on what the filter compares would read only what is returned"});
    auto least = std::min(s.estimated, s.returned);
    auto most = std::max(s.estimated, s.returned);
    if (o.analyze && most >= o.least_rows && most >= o.factor * std::max(least, 1.0))
        found.push_back({"the number of rows from " + table + " is estimated wrong", alert_severity::info,
                         rounded(s.estimated) + " rows estimated, " + rounded(s.returned) + " in fact",
                         "ANALYZE the table; for columns that depend on each other CREATE STATISTICS"});
}

} // namespace

asio::awaitable<std::vector<finding>> explain(connection& c, std::string sql, params args,
                                              explain_options options)
{
    if (options.analyze) {
        if (sql::parse(sql).nature != sql::nature::read)
            throw std::invalid_argument(
                "pgcoro: explain with analyze runs the statement, and this one is not "
                "known to only read: " +
                shortened(sql, longest_statement));
        if (c.in_transaction())
            throw std::logic_error("pgcoro: explain with analyze makes a transaction of its own, and one is "
                                   "open on this connection");
        co_await c.execute("begin read only");
    }
    std::vector<scan> scans;
    std::exception_ptr failure;
    try {
        scans = co_await scans_of(c, sql, args, options.analyze);
    } catch (const error&) {
        failure = std::current_exception();
    }
    if (options.analyze && c.is_open()) co_await c.execute("rollback");
    if (failure) std::rethrow_exception(failure);

    std::vector<finding> found;
    for (auto& s : scans) {
        // What is thrown away is only known once it was run; before, it is all of the table but the rest.
        if (!options.analyze && s.type == "Seq Scan" && !s.filter.empty()) {
            auto rows = co_await rows_in(c, s);
            s.thrown_away = std::max(0.0, rows - s.returned);
        }
        judge(s, options, found);
    }
    co_return found;
}

} // namespace pgcoro::detail
