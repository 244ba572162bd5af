#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/observe/span_log.hpp>

#include <boost/test/unit_test.hpp>

using namespace pgcoro;

namespace
{

span_event statement(std::string_view sql)
{
    span_event e;
    e.begin.of = span_of::statement;
    e.begin.parent = trace_context::make();
    e.begin.own = e.begin.parent.child();
    e.sql = sql;
    return e;
}

std::string summary(std::string_view sql)
{
    return make_span_record(statement(sql)).attributes["db.query.summary"];
}

} // namespace

BOOST_AUTO_TEST_SUITE(spans)

BOOST_AUTO_TEST_CASE(a_summary_is_the_command_and_its_tables)
{
    BOOST_TEST(summary("select * from account a, app.owner o where a.id = 7") == "SELECT account app.owner");
    BOOST_TEST(summary("/* why */ -- and how\n (select 1)") == "SELECT");
    BOOST_TEST(summary("update account set cents = 0") == "UPDATE account");
    BOOST_TEST(summary("commit") == "COMMIT");
    BOOST_TEST(summary("/* no end") == "");
    BOOST_TEST(summary("what is that?") == "WHAT");
}

BOOST_AUTO_TEST_CASE(a_summary_is_bounded)
{
    std::string sql = "select 1 from t";
    for (int i = 0; i < 100; ++i) sql += ", table_number_" + std::to_string(i);
    auto made = summary(sql);
    BOOST_TEST(made.size() <= 255u);
    BOOST_TEST(made.starts_with("SELECT t table_number_0 "));
}

BOOST_AUTO_TEST_CASE(the_text_is_told_only_on_request_and_without_constants)
{
    auto e = statement("select 'secret' from t where id = 42");
    for (auto& [key, value] : make_span_record(e).attributes)
        BOOST_TEST(value.find("where") == value.npos, key);
    auto told = make_span_record(e, true).attributes.at("db.query.text");
    BOOST_TEST(told == "select $1 from t where id = $2");
}

BOOST_AUTO_TEST_CASE(the_oldest_goes_first)
{
    span_log log({.capacity = 3});
    for (auto sql : {"select 1 from a", "select 1 from b", "select 1 from c", "select 1 from d"})
        log.on_span(statement(sql));
    auto kept = log.all();
    BOOST_REQUIRE(kept.size() == 3u);
    BOOST_TEST(kept[0].name == "SELECT b");
    BOOST_TEST(kept[2].name == "SELECT d");
    log.clear();
    BOOST_TEST(log.all().empty());
}

BOOST_AUTO_TEST_CASE(who_keeps_none_still_hands_them_on)
{
    std::vector<std::string> told;
    span_log log({.capacity = 0, .on_span = [&](const span_record& s) { told.push_back(s.name); }});
    log.on_span(statement("select 1 from a"));
    BOOST_TEST(told == std::vector<std::string>{"SELECT a"}, boost::test_tools::per_element());
    BOOST_TEST(log.all().empty());
}

BOOST_AUTO_TEST_CASE(metrics_ask_the_next_observer_whether_it_wants_spans_and_pass_them_on)
{
    metrics alone;
    BOOST_TEST(!alone.wants_spans());
    span_log log;
    metrics m({.next = &log});
    BOOST_TEST(m.wants_spans());
    m.on_span(statement("select 1 from a"));
    BOOST_TEST(log.all().size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
