#include <pgcoro/detail/owned.hpp>

#include <boost/test/unit_test.hpp>

#include <utility>

namespace
{

int alive = 0;

struct counted
{
    int number;
    explicit counted(int n)
        : number(n)
    {
        ++alive;
    }
    counted(const counted&) = delete;
    ~counted() { --alive; }
};

using holder = pgcoro::detail::owned<counted>;

} // namespace

BOOST_AUTO_TEST_SUITE(owned)

BOOST_AUTO_TEST_CASE(deletes_what_it_has_once)
{
    {
        holder first(new counted(1));
        holder second(new counted(2));
        BOOST_TEST(alive == 2);
        second = std::move(first);
        BOOST_TEST(alive == 1);
        BOOST_TEST(second->number == 1);
        BOOST_TEST(!first);
        holder third = std::move(second);
        BOOST_TEST((*third).number == 1);
        third.reset(new counted(3));
        BOOST_TEST(alive == 1);
        auto& same = third;
        third = std::move(same);
        BOOST_TEST(third->number == 3);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(gives_away_what_it_has)
{
    holder h(new counted(1));
    auto* given = h.release();
    BOOST_TEST(!h);
    BOOST_TEST(alive == 1);
    delete given;
    h = nullptr;
    BOOST_TEST(h.get() == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
