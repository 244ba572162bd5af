#include <pgcoro/detail/short_vector.hpp>

#include <boost/test/unit_test.hpp>

#include <numeric>
#include <string_view>
#include <utility>

namespace
{

using numbers = pgcoro::detail::short_vector<int, 4>;

numbers counted(int n)
{
    numbers made;
    for (int i = 0; i < n; ++i) made.push_back(i);
    return made;
}

bool is_counted(const numbers& v, int n)
{
    if (v.size() != static_cast<std::size_t>(n)) return false;
    for (int i = 0; i < n; ++i)
        if (v[static_cast<std::size_t>(i)] != i) return false;
    return true;
}

// Those that fit inside, the first that do not, and many.
constexpr int sizes[] = {0, 1, 4, 5, 8, 9, 1000};

} // namespace

BOOST_AUTO_TEST_SUITE(short_vector)

BOOST_AUTO_TEST_CASE(keeps_what_was_put_in_it)
{
    for (int n : sizes) {
        auto v = counted(n);
        BOOST_TEST(is_counted(v, n));
        BOOST_TEST(v.empty() == (n == 0));
        BOOST_TEST(std::accumulate(v.begin(), v.end(), 0) == n * (n - 1) / 2);
        if (n > 0) BOOST_TEST(v.back() == n - 1);
    }
}

BOOST_AUTO_TEST_CASE(is_copied_and_moved)
{
    for (int n : sizes) {
        for (int other : sizes) {
            auto v = counted(n);
            auto copy = v;
            BOOST_TEST(is_counted(copy, n));
            auto assigned = counted(other);
            assigned = v;
            BOOST_TEST(is_counted(assigned, n));
            auto moved = std::move(copy);
            BOOST_TEST(is_counted(moved, n));
            BOOST_TEST(copy.empty());
            copy.push_back(0); // it can be used again
            BOOST_TEST(is_counted(copy, 1));
            assigned = counted(other);
            assigned = std::move(moved);
            BOOST_TEST(is_counted(assigned, n));
            BOOST_TEST(is_counted(v, n));
        }
    }
}

BOOST_AUTO_TEST_CASE(assigned_to_itself_it_stays)
{
    for (int n : sizes) {
        auto v = counted(n);
        auto& same = v;
        v = same;
        BOOST_TEST(is_counted(v, n));
        v = std::move(same);
        BOOST_TEST(is_counted(v, n));
    }
}

BOOST_AUTO_TEST_CASE(an_element_of_its_own_can_be_put_in_it)
{
    numbers v;
    v.push_back(7);
    for (int i = 0; i < 100; ++i) v.push_back(v[0]);
    for (int i : v) BOOST_TEST(i == 7);
}

BOOST_AUTO_TEST_CASE(grows_and_shrinks)
{
    numbers v = counted(3);
    v.resize(6);
    BOOST_TEST(v[2] == 2);
    BOOST_TEST(v[5] == 0);
    v.resize(2);
    BOOST_TEST(is_counted(v, 2));
    v.pop_back();
    BOOST_TEST(is_counted(v, 1));
    auto* before = (v.reserve(100), v.data());
    for (int i = 1; i < 100; ++i) v.push_back(i);
    BOOST_TEST(v.data() == before);
    v.clear();
    BOOST_TEST(v.empty());
}

BOOST_AUTO_TEST_CASE(takes_many_at_once)
{
    pgcoro::detail::short_vector<char, 8> text;
    text.append("", 0);
    text.append("12345", 5);
    text.append("67890123456789", 14);
    BOOST_TEST(std::string_view(text.data(), text.size()) == "1234567890123456789");
}

BOOST_AUTO_TEST_SUITE_END()
