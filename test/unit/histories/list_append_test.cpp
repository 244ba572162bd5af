// Small histories, and the anomalies that the checker must find in each of them.
#include "histories/list_append.hpp"

#include <boost/test/unit_test.hpp>

#include <ostream>
#include <string>
#include <utility>
#include <vector>

using histories::anomaly;
using histories::check;
using histories::fate;
using histories::history;
using histories::isolation;
using histories::operation;
using histories::transaction;

namespace histories
{
std::ostream& operator<<(std::ostream& out, anomaly a) { return out << to_string(a); }
} // namespace histories

namespace
{

using values = std::vector<std::int64_t>;
using anomalies = std::vector<anomaly>;

constexpr std::int64_t x = 1;
constexpr std::int64_t y = 2;

operation append(std::int64_t key, std::int64_t value) { return {operation::append, key, value, {}}; }
operation read(std::int64_t key, values list) { return {operation::read, key, 0, std::move(list)}; }

// All of them at the same time, unless a test says otherwise.
transaction made(fate came, std::vector<operation> all, std::uint64_t begun = 0, std::uint64_t ended = 1)
{
    return {came, std::move(all), begun, ended};
}

transaction committed(std::vector<operation> all, std::uint64_t begun = 0, std::uint64_t ended = 1)
{
    return made(fate::committed, std::move(all), begun, ended);
}

anomalies kinds(const history& h, isolation level = isolation::serializable)
{
    anomalies all;
    for (auto& f : check(h, level)) all.push_back(f.what);
    return all;
}

void check_kinds(const history& h, const anomalies& expected, isolation level = isolation::serializable)
{
    auto found = kinds(h, level);
    BOOST_TEST(found == expected, boost::test_tools::per_element());
}

const anomalies nothing;

} // namespace

BOOST_AUTO_TEST_SUITE(list_append)

BOOST_AUTO_TEST_CASE(an_empty_history_is_sound) { check_kinds({}, nothing); }

BOOST_AUTO_TEST_CASE(a_serial_history_is_sound)
{
    history h;
    h.transactions = {committed({append(x, 1), read(y, {})}, 0, 1),
                      committed({read(x, {1}), append(x, 2), read(x, {1, 2}), append(y, 3)}, 2, 3),
                      committed({read(y, {3}), read(x, {1, 2})}, 4, 5)};
    h.lists = {{x, {1, 2}}, {y, {3}}};
    check_kinds(h, nothing);
    check_kinds(h, nothing, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(a_committed_append_that_is_not_there_is_lost)
{
    history h;
    h.transactions = {committed({append(x, 1)}), committed({append(x, 2)})};
    h.lists = {{x, {2}}};
    check_kinds(h, {anomaly::lost_append});
    h.lists.clear();
    check_kinds(h, {anomaly::lost_append, anomaly::lost_append});
}

BOOST_AUTO_TEST_CASE(an_append_that_was_read_and_is_gone_is_lost)
{
    history h;
    h.transactions = {made(fate::unknown, {append(x, 1)}), committed({read(x, {1})})};
    check_kinds(h, {anomaly::lost_append});
}

BOOST_AUTO_TEST_CASE(an_append_that_is_there_twice_is_duplicated)
{
    history h;
    h.transactions = {committed({append(x, 1)}), made(fate::unknown, {append(x, 2)})};
    h.lists = {{x, {1, 2, 2}}};
    check_kinds(h, {anomaly::duplicated_append});
}

BOOST_AUTO_TEST_CASE(an_append_of_nobody_or_to_another_key_is_unasked)
{
    history h;
    h.transactions = {made(fate::unknown, {append(y, 1)})};
    h.lists = {{x, {7}}};
    check_kinds(h, {anomaly::unasked_append});
    h.lists = {{x, {1}}, {y, {1}}};
    check_kinds(h, {anomaly::unasked_append});
}

BOOST_AUTO_TEST_CASE(an_append_of_a_failed_transaction_is_g1a_wherever_it_is_seen)
{
    history h;
    h.transactions = {made(fate::failed, {append(x, 1)})};
    h.lists = {{x, {1}}};
    check_kinds(h, {anomaly::g1a});
    h.transactions.push_back(committed({read(y, {})}));
    h.transactions.push_back(committed({read(x, {1})}));
    check_kinds(h, {anomaly::g1a});
    h.lists.clear();
    check_kinds(h, {anomaly::g1a});
}

BOOST_AUTO_TEST_CASE(an_unknown_transaction_may_have_happened_or_not)
{
    history h;
    h.transactions = {made(fate::unknown, {append(x, 1)}), made(fate::unknown, {append(x, 2)}),
                      committed({append(x, 3)})};
    h.lists = {{x, {1, 3}}};
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(an_unknown_transaction_happened_as_a_whole_or_not)
{
    history h;
    h.transactions = {made(fate::unknown, {append(x, 1), append(y, 2)})};
    h.lists = {{x, {1}}};
    check_kinds(h, {anomaly::lost_append});
}

BOOST_AUTO_TEST_CASE(a_read_that_is_no_beginning_of_the_list_is_an_incompatible_order)
{
    history h;
    h.transactions = {committed({append(x, 1)}), committed({append(x, 2)}), committed({read(x, {2})})};
    h.lists = {{x, {1, 2}}};
    check_kinds(h, {anomaly::incompatible_order});
}

BOOST_AUTO_TEST_CASE(a_read_between_two_appends_of_another_transaction_is_g1b)
{
    history h;
    h.transactions = {committed({append(x, 1), append(x, 2)}), committed({read(x, {1})})};
    h.lists = {{x, {1, 2}}};
    auto found = kinds(h, isolation::read_committed);
    BOOST_TEST(found == anomalies{anomaly::g1b}, boost::test_tools::per_element());
    h.transactions[1] = committed({read(x, {1, 2})});
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(a_transaction_must_see_its_own_appends)
{
    history h;
    h.transactions = {committed({append(x, 1), read(x, {})})};
    h.lists = {{x, {1}}};
    auto found = kinds(h, isolation::read_committed);
    BOOST_TEST(found == anomalies{anomaly::internal}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(two_states_of_a_list_are_allowed_at_read_committed_only)
{
    history h;
    h.transactions = {committed({append(x, 1)}), committed({read(x, {}), read(x, {1})})};
    h.lists = {{x, {1}}};
    check_kinds(h, nothing, isolation::read_committed);
    // It also read x before the append, and after it.
    check_kinds(h, {anomaly::internal, anomaly::g_single});
}

BOOST_AUTO_TEST_CASE(two_appends_in_opposite_orders_are_g0)
{
    history h;
    h.transactions = {committed({append(x, 1), append(y, 1000)}), committed({append(x, 2), append(y, 2000)})};
    h.lists = {{x, {1, 2}}, {y, {2000, 1000}}};
    check_kinds(h, {anomaly::g0});
    check_kinds(h, {anomaly::g0}, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(two_transactions_that_saw_each_other_are_g1c)
{
    history h;
    h.transactions = {committed({append(x, 1), read(y, {2})}), committed({append(y, 2), read(x, {1})})};
    h.lists = {{x, {1}}, {y, {2}}};
    check_kinds(h, {anomaly::g1c});
    check_kinds(h, {anomaly::g1c}, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(an_update_that_overlooked_another_is_g_single)
{
    history h;
    h.transactions = {committed({append(x, 1)}), committed({read(x, {}), append(x, 2)})};
    h.lists = {{x, {1, 2}}};
    check_kinds(h, {anomaly::g_single});
    check_kinds(h, nothing, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(half_of_a_transaction_that_is_seen_is_g_single)
{
    history h;
    h.transactions = {committed({append(x, 1), append(y, 2)}), committed({read(x, {1}), read(y, {})})};
    h.lists = {{x, {1}}, {y, {2}}};
    check_kinds(h, {anomaly::g_single});
    check_kinds(h, nothing, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(write_skew_is_g2)
{
    history h;
    h.transactions = {committed({read(x, {}), append(y, 2)}), committed({read(y, {}), append(x, 1)})};
    h.lists = {{x, {1}}, {y, {2}}};
    check_kinds(h, {anomaly::g2});
    check_kinds(h, nothing, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(an_unknown_transaction_that_was_seen_takes_part_in_cycles)
{
    history h;
    h.transactions = {made(fate::unknown, {read(x, {}), append(y, 2)}),
                      committed({read(y, {}), append(x, 1)})};
    h.lists = {{x, {1}}, {y, {2}}};
    check_kinds(h, {anomaly::g2});
    h.lists = {{x, {1}}};
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(a_failed_transactions_reads_say_nothing)
{
    history h;
    h.transactions = {made(fate::failed, {read(x, {}), append(y, 2)}),
                      committed({read(y, {}), append(x, 1)})};
    h.lists = {{x, {1}}};
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(a_stale_read_is_found_by_real_time)
{
    history h;
    h.transactions = {committed({append(x, 1)}, 0, 1), committed({read(x, {})}, 2, 3)};
    h.lists = {{x, {1}}};
    check_kinds(h, {anomaly::g_single_realtime});
    h.transactions[1].begun = 1; // when the other one ended
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(an_append_before_an_earlier_one_is_found_by_real_time)
{
    history h;
    h.transactions = {committed({append(x, 1)}, 0, 1), committed({read(y, {})}, 2, 3),
                      committed({append(x, 2)}, 4, 5)};
    h.lists = {{x, {2, 1}}};
    check_kinds(h, {anomaly::g0_realtime});
    check_kinds(h, {anomaly::g0_realtime}, isolation::read_committed);
}

BOOST_AUTO_TEST_CASE(an_unknown_transaction_has_no_end_in_real_time)
{
    history h;
    h.transactions = {made(fate::unknown, {append(x, 1)}, 0, 1), committed({read(x, {})}, 2, 3)};
    h.lists = {{x, {1}}};
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_CASE(the_shortest_cycle_is_reported_and_names_its_transactions)
{
    history h;
    h.transactions = {committed({read(3, {}), append(4, 31)}), committed({read(4, {}), append(5, 32)}),
                      committed({read(5, {}), append(3, 33)}), // a cycle of three
                      committed({read(x, {}), append(y, 2)}), committed({read(y, {}), append(x, 1)})};
    h.lists = {{x, {1}}, {y, {2}}, {3, {33}}, {4, {31}}, {5, {32}}};
    auto found = check(h, isolation::serializable);
    BOOST_TEST_REQUIRE(found.size() == 1u);
    BOOST_TEST(found[0].text == "a cycle of 2 transactions:\n"
                                "  T3: read key 1 []; append 2 to key 2.\n"
                                "    T3 read key 1 without what T4 appended next\n"
                                "  T4: read key 2 []; append 1 to key 1.\n"
                                "    T4 read key 2 without what T3 appended next");
}

BOOST_AUTO_TEST_CASE(a_long_history_is_checked_in_a_moment)
{
    history h;
    for (std::int64_t i = 0; i < 20'000; ++i) {
        auto moment = static_cast<std::uint64_t>(i);
        auto key = i % 4'000;
        auto& l = h.lists[key];
        auto seen = l;
        l.push_back(i);
        h.transactions.push_back(
            committed({read(key, std::move(seen)), append(key, i)}, 2 * moment, 2 * moment + 1));
    }
    check_kinds(h, nothing);
}

BOOST_AUTO_TEST_SUITE_END()
