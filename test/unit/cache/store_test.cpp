// What is kept, and what is not to be believed any more.
#include "cache/store.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using namespace pgcoro::detail;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace
{

using time_point = cache_store::time_point;

std::shared_ptr<const result> some_rows()
{
    auto* made = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
    PGresAttDesc column{const_cast<char*>("n"), 0, 0, 0, 25, -1, -1};
    PQsetResultAttrs(made, 1, &column);
    char value[] = "x";
    PQsetvalue(made, 0, 0, value, 1);
    return std::make_shared<const result>(made);
}

// A store with a clock of its own.
struct bench
{
    explicit bench(cache_options o = {})
        : options(o)
    {}

    std::shared_ptr<statement_facts> reading(std::vector<std::string> tags)
    {
        auto about = std::make_shared<statement_facts>();
        about->may = statement_facts::verdict::cacheable;
        about->reads = std::move(tags);
        return about;
    }
    bool keep(const char* sql, std::vector<std::string> tags = {"public.t"})
    {
        auto about = reading(std::move(tags));
        auto w = store.watch(*about, {}, now);
        return store.put(cache_key({}, {}, sql, {}).view(), w, some_rows(), about, {}, now);
    }
    cache_store::found look(const char* sql) { return store.look(cache_key({}, {}, sql, {}).view(), now); }
    bool fresh(const char* sql)
    {
        auto f = look(sql);
        return f.value && f.stale_for.count() == 0;
    }
    auto figures() { return store.figures(now); }

    cache_options options;
    time_point now = time_point(std::chrono::hours(1));
    cache_store store{options};
};

cache_options coherent()
{
    cache_options o;
    o.coherent = true;
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(cache_store_mind)

BOOST_AUTO_TEST_CASE(a_key_is_the_text_and_every_byte_type_and_length_of_the_parameters)
{
    auto key = [](std::string_view sql, const auto&... args) {
        cache_key k({}, {}, sql, params::of(args...));
        return std::string(k.view().bytes);
    };
    BOOST_TEST(key("q", 1) == key("q", 1));
    std::vector<std::string> all = {
        key("q"),       key("q", 1),   key("q", 2),         key("q", std::int64_t(1)), key("q", 1, 2),
        key("q", 2, 1), key("q", "1"), key("q", "a", "bc"), key("q", "ab", "c"),       key("q", nullptr),
        key("q", ""),   key("q1")};
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t k = i + 1; k < all.size(); ++k) BOOST_TEST(all[i] != all[k], i << " and " << k);
}

BOOST_AUTO_TEST_CASE(key_has_the_session_and_the_settings_of_the_statement)
{
    auto key = [](std::string_view session, const local_settings& settings, std::string_view sql) {
        return std::string(cache_key(session, settings, sql, {}).view().bytes);
    };
    local_settings one{{"a.b", "1"}}, both{{"a.b", "1"}, {"c.d", "2"}};
    std::vector<std::string> all = {key("s", {}, "q"),
                                    key("s", one, "q"),
                                    key("s", {{"a.b", "2"}}, "q"),
                                    key("s", {{"a.c", "1"}}, "q"),
                                    key("s", both, "q"),
                                    key("s", {{"c.d", "2"}, {"a.b", "1"}}, "q"),
                                    key("t", one, "q"),
                                    key("", one, "q"),
                                    key("s" + one.key(), {}, "q"), // the same bytes one after the other
                                    key("s" + one.key(), {{"c.d", "2"}}, "q"),
                                    key("s", {{"a.b", "1q"}}, "")};
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t k = i + 1; k < all.size(); ++k) BOOST_TEST(all[i] != all[k], i << " and " << k);
    cache_key there("s", both, "q", params::of(1));
    cache_key elsewhere("t", {}, "q", params::of(1));
    BOOST_TEST((cache_key(cache_key::context_of(there.view()), elsewhere).view() == there.view()));
}

BOOST_AUTO_TEST_CASE(a_result_is_fresh_for_its_time_and_then_stale)
{
    bench b;
    BOOST_TEST(b.keep("q"));
    b.now += seconds(299);
    BOOST_TEST(b.fresh("q"));
    b.now += seconds(11);
    auto f = b.look("q");
    BOOST_REQUIRE(f.value);
    BOOST_TEST((f.stale_for == seconds(10)));
    BOOST_TEST((f.age == seconds(310)));
}

BOOST_AUTO_TEST_CASE(a_hot_result_is_worth_asking_anew_in_its_last_tenth)
{
    bench b;
    b.keep("q");
    b.now += seconds(271);
    for (int i = 0; i < 4; ++i) BOOST_TEST(!b.look("q").ahead);
    BOOST_TEST(b.look("q").ahead);
    b.keep("q");
    BOOST_TEST(!b.look("q").ahead);
}

BOOST_AUTO_TEST_CASE(tags_patterns_keys_and_all_are_invalidated_and_nothing_else)
{
    bench b;
    auto fill = [&] {
        b.keep("a", {"app.account"});
        b.keep("b", {"app.branch", "app.account"});
        b.keep("c", {"other.t"});
    };
    auto left = [&] {
        std::string text;
        for (auto* q : {"a", "b", "c"})
            if (b.fresh(q)) text += q;
        return text;
    };
    fill();
    b.store.invalidate_tag("app.branch");
    BOOST_TEST(left() == "ac");
    fill();
    b.store.invalidate_tag("app.nobody");
    BOOST_TEST(left() == "abc");
    b.store.invalidate_tags_like("app.*");
    BOOST_TEST(left() == "c");
    fill();
    b.store.invalidate_tags_like("ot?er.*t");
    BOOST_TEST(left() == "ab");
    fill();
    b.store.invalidate(cache_key({}, {}, "a", {}));
    BOOST_TEST(left() == "bc");
    b.store.invalidate_all();
    BOOST_TEST(left() == "");
    BOOST_TEST(b.figures().entries == 0u);
    BOOST_TEST(b.figures().bytes == 0u);
}

BOOST_AUTO_TEST_CASE(what_was_invalidated_while_it_was_on_its_way_is_not_kept)
{
    for (int how = 0; how < 4; ++how) {
        bench b;
        auto about = b.reading({"t"});
        std::string_view extra[] = {"mine"};
        auto w = b.store.watch(*about, extra, b.now);
        BOOST_TEST(b.store.current(w));
        if (how == 0) b.store.invalidate_tag("t");
        if (how == 1) b.store.invalidate_tag("mine");
        if (how == 2) b.store.invalidate_all();
        if (how == 3) b.store.invalidate(cache_key({}, {}, "q", {}));
        BOOST_TEST(!b.store.current(w));
        BOOST_TEST(!b.store.put(cache_key({}, {}, "q", {}).view(), w, some_rows(), about, {}, b.now));
        BOOST_TEST(!b.look("q").value);
        BOOST_TEST(b.figures().outdated == 1u);
    }
}

BOOST_AUTO_TEST_CASE(results_too_large_or_too_cheap_are_not_kept)
{
    cache_options o;
    o.max_entry_bytes = 100;
    bench large(o);
    BOOST_TEST(!large.keep("q"));
    BOOST_TEST(large.figures().refused == 1u);
    cache_options p;
    p.min_cost = milliseconds(2);
    bench cheap(p);
    auto about = cheap.reading({"t"});
    auto w = cheap.store.watch(*about, {}, cheap.now);
    auto key = cache_key({}, {}, "q", {});
    BOOST_TEST(!cheap.store.put(key.view(), w, some_rows(), about, {}, cheap.now + milliseconds(1)));
    BOOST_TEST(cheap.store.put(key.view(), w, some_rows(), about, {}, cheap.now + milliseconds(2)));
}

BOOST_AUTO_TEST_CASE(nothing_is_fresh_while_the_notifications_are_not_heard)
{
    bench b(coherent());
    b.keep("before");
    BOOST_TEST(!b.fresh("before"));
    b.store.follow(b.now);
    b.store.heard(b.now, seconds(2));
    BOOST_TEST(!b.fresh("before"));
    b.keep("q");
    BOOST_TEST(b.fresh("q"));
    b.now += seconds(3);
    auto f = b.look("q");
    BOOST_REQUIRE(f.value);
    BOOST_TEST((f.stale_for == seconds(1)));
    b.store.heard(b.now, seconds(2)); // it was only late: nothing was missed
    BOOST_TEST(b.fresh("q"));
}

BOOST_AUTO_TEST_CASE(result_that_changes_with_time_is_fresh_for_the_bound)
{
    bench b(coherent());
    b.store.follow(b.now);
    b.store.heard(b.now + seconds(10), seconds(2));
    auto about = b.reading({"public.t"});
    auto timed = as_changing(*about);
    auto put = [&](const char* sql, const std::shared_ptr<const statement_facts>& facts) {
        b.store.put(cache_key({}, {}, sql, {}).view(), b.store.watch(*facts, {}, b.now), some_rows(), facts, {}, b.now);
    };
    put("plain", about);
    put("timed", timed);
    b.now += seconds(2);
    BOOST_TEST(b.fresh("timed"));
    b.now += seconds(1);
    BOOST_TEST(b.fresh("plain"));
    BOOST_TEST((b.look("timed").stale_for == seconds(1)));
}

BOOST_AUTO_TEST_CASE(changed_catalog_ends_what_was_kept_and_what_is_on_its_way)
{
    bench b;
    b.keep("q");
    auto old_facts = b.reading({"public.t"});
    auto before = b.store.watch(*old_facts, {}, b.now);
    b.store.catalog_changed();
    BOOST_TEST(!b.look("q").value);
    BOOST_TEST(b.figures().entries == 0u);
    auto kept = [&](const cache_store::witness& w, const std::shared_ptr<const statement_facts>& about) {
        return b.store.current(w) && b.store.put(cache_key({}, {}, "q", {}).view(), w, some_rows(), about, {}, b.now);
    };
    BOOST_TEST(!kept(before, old_facts));
    BOOST_TEST(!kept(b.store.watch(*old_facts, {}, b.now), old_facts)); // asked later, by facts from before
    auto new_facts = b.reading({"public.t"});
    new_facts->catalog = b.store.catalog();
    BOOST_TEST(kept(b.store.watch(*new_facts, {}, b.now), new_facts));
}

BOOST_AUTO_TEST_CASE(after_a_gap_what_is_from_before_stays_stale)
{
    bench b(coherent());
    b.store.follow(b.now);
    b.store.heard(b.now, seconds(100));
    b.keep("q");
    b.now += seconds(1);
    b.store.lost(b.now);
    b.now += seconds(1);
    b.keep("in the gap");
    b.now += seconds(1);
    b.store.follow(b.now);
    b.store.heard(b.now, seconds(100));
    b.keep("after");
    b.now += seconds(1);
    BOOST_TEST(b.fresh("after"));
    BOOST_TEST((b.look("q").stale_for == seconds(3)));
    BOOST_TEST((b.look("in the gap").stale_for == seconds(2)));
    BOOST_TEST(b.figures().gaps == 1u);
}

BOOST_AUTO_TEST_CASE(tags_that_nobody_hangs_on_are_forgotten)
{
    bench b;
    for (int i = 0; i < 5'000; ++i) {
        auto about = b.reading({"tag " + std::to_string(i)});
        b.store.watch(*about, {}, b.now);
    }
    b.keep("q", {"kept"});
    BOOST_TEST(b.fresh("q"));
    BOOST_TEST(b.store.tags() < 1'100u);
}

BOOST_AUTO_TEST_SUITE_END()
