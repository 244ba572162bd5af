// A bytea larger than one wants to have in memory, in and out by pieces.
#include "integration/connection/support.hpp"
#include "integration/support/heap.hpp"

#include <pgcoro/types/types.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

using pgcoro::connection;

namespace
{

// Bytes by pieces, each with other contents than the one before it.
class numbered_pieces
{
public:
    numbered_pieces(std::uint64_t size, std::size_t each)
        : left_(size)
        , piece_(each)
    {}

    asio::awaitable<std::span<const std::byte>> next()
    {
        std::fill(piece_.begin(), piece_.end(), std::byte(asked_++ % 256));
        auto n = std::min<std::uint64_t>(left_, piece_.size());
        left_ -= n;
        co_return std::span(piece_).first(static_cast<std::size_t>(n));
    }
    std::size_t asked() const noexcept { return asked_; }

private:
    std::uint64_t left_;
    std::vector<std::byte> piece_;
    std::size_t asked_ = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(bytes_by_pieces)

BOOST_AUTO_TEST_CASE(a_bytea_of_200_MB_goes_in_and_out_with_the_memory_of_a_piece)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        constexpr std::size_t piece_size = 1'000'000;
        constexpr std::uint64_t size = 200 * piece_size;
        co_await c.execute("create temp table b (id int, name text, v bytea)");
        co_await c.execute("alter table b alter v set storage external"); // no time for compression
        std::size_t most = 0;
        auto before = test::bytes_in_use();
        auto look = [&] { most = std::max(most, test::bytes_in_use()); };

        numbered_pieces made(size, piece_size);
        auto pieces = [&] {
            look();
            return made.next();
        };
        co_await c.copy_in_bytes({"b", pgcoro::names("id", "name")}, std::tuple(1, "large"), "v", size,
                                 pieces);
        BOOST_TEST(made.asked() == 201u);

        auto out = c.stream_bytes(piece_size, "select v from b where name = $1", "large");
        numbered_pieces expected(size, piece_size);
        int equal = 0;
        for (;;) {
            auto piece = co_await out.next();
            if (!piece) break;
            look();
            auto wanted = co_await expected.next();
            equal += std::ranges::equal(*piece, wanted);
        }
        BOOST_TEST(equal == 200);
        BOOST_TEST(most - before < 20 * piece_size);
        co_await check_usable(c);
    });
}

BOOST_AUTO_TEST_CASE(pieces_that_are_not_what_was_announced_leave_nothing_behind)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table b (id int, note xml, v bytea)");
        auto write = [&](std::uint64_t announced, std::uint64_t size) -> asio::awaitable<void> {
            numbered_pieces made(size, 100'000);
            auto pieces = [&] { return made.next(); };
            co_await c.copy_in_bytes({"b", pgcoro::names("id")}, 1, "v", announced, pieces);
        };
        auto few = co_await failure_of<pgcoro::mapping_error>(write(300'000, 200'000));
        BOOST_TEST(contains(few.what(), "column v: 300000 bytes were announced, and the pieces had 200000"));
        auto many = co_await failure_of<pgcoro::mapping_error>(write(150'000, 200'000));
        BOOST_TEST(contains(many.what(), "150000 bytes were announced, and the pieces had 200000 or more"));
        auto huge = co_await failure_of<pgcoro::mapping_error>(write(std::uint64_t(1) << 30, 0));
        BOOST_TEST(contains(huge.what(), "less than 1 GiB"));
        auto none = []() -> asio::awaitable<std::span<const std::byte>> { throw std::range_error("lost"); };
        co_await failure_of<std::range_error>(c.copy_in_bytes({"b", pgcoro::names("id")}, 1, "v", 1, none));
        auto type = co_await failure_of<pgcoro::mapping_error>(
            c.copy_in_bytes({"b", pgcoro::names("id")}, 1, "note", 1, none));
        BOOST_TEST(contains(type.what(), "column note of table \"b\" is of type xml"));
        auto missing = co_await failure_of<pgcoro::mapping_error>(
            c.copy_in_bytes({"b", pgcoro::names("id")}, 1, "w", 1, none));
        BOOST_TEST(contains(missing.what(), "no column w"));
        auto text = co_await failure_of<pgcoro::mapping_error>(
            c.copy_in_bytes({"b", pgcoro::names("id")}, 1.5, "v", 1, none));
        BOOST_TEST(contains(text.what(), "in the binary format"));

        auto rows = co_await c.query_value<int>("select count(*)::int from b");
        BOOST_TEST(rows == 0);
        co_await write(0, 0);
        co_await write(100'001, 100'001);
        auto sizes = co_await c.query_as<int>("select length(v) from b order by 1");
        BOOST_TEST((sizes == std::vector<int>{0, 100'001}));
    });
}

BOOST_AUTO_TEST_CASE(a_large_bytea_comes_in_pieces)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute(
            "create temp table b as select 1 as id, decode(repeat('00ff', 500000), 'hex') as v");
        auto pieces = c.stream_bytes(300'000, "select v from b where id = $1", 1);
        std::vector<std::size_t> sizes;
        std::vector<std::byte> all;
        for (;;) {
            auto piece = co_await pieces.next();
            if (!piece) break;
            sizes.push_back(piece->size());
            all.insert(all.end(), piece->begin(), piece->end());
        }
        BOOST_TEST((sizes == std::vector<std::size_t>{300'000, 300'000, 300'000, 100'000}));
        auto same = co_await c.query_value<bool>("select v = $1 from b", all);
        BOOST_TEST(same);
        for (auto* sql : {"select null::bytea", "select v from b where false", "select ''::bytea"}) {
            auto none = c.stream_bytes(10, sql);
            auto end = co_await none.next();
            BOOST_TEST(!end);
        }
        BOOST_CHECK_THROW(c.stream_bytes(0, "select v from b"), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_SUITE_END()
