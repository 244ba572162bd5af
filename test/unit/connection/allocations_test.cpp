// What decoding costs in memory: nothing a row, where columns are of fixed size.
#include <pgcoro/connection/querying.hpp>
#include <pgcoro/types/types.hpp>

#include <boost/describe/class.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/uuid/uuid.hpp>

#include <cstdlib>
#include <new>

namespace
{

thread_local std::size_t allocations = 0;

} // namespace

void* operator new(std::size_t size)
{
    ++allocations;
    if (auto* p = std::malloc(size ? size : 1)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept
{
    ++allocations;
    return std::malloc(size ? size : 1);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace
{

using namespace pgcoro;

using timestamp = std::chrono::sys_time<std::chrono::microseconds>;

struct fixed
{
    std::int64_t id = 0;
    std::optional<double> rate;
    timestamp at;
    boost::uuids::uuid key;
};

struct by_name
{
    boost::uuids::uuid key;
    timestamp at;
    std::optional<double> rate;
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(by_name, (), (key, at, rate, id))

template <class T>
std::string binary(const T& value)
{
    encoder::buffer bytes;
    encoder out(bytes);
    codec<T>::encode(value, out);
    return {bytes.begin(), bytes.end()};
}

// A result as libpq has it, without a server.
result make_result(int rows)
{
    result made(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK));
    auto* to = const_cast<PGresult*>(made.get());
    char names[][5] = {"id", "rate", "at", "key"};
    oid types[] = {oids::int8, oids::float8, oids::timestamptz, oids::uuid};
    PGresAttDesc columns[4];
    for (int i = 0; i < 4; ++i) columns[i] = {names[i], 0, 0, 1, types[i], 8, -1};
    PQsetResultAttrs(to, 4, columns);
    for (int r = 0; r < rows; ++r) {
        std::string values[] = {binary(std::int64_t(r)), binary(r / 7.0), binary(timestamp()),
                                binary(boost::uuids::uuid{})};
        for (int i = 0; i < 4; ++i) {
            bool null = i == 1 && r % 3 == 0;
            PQsetvalue(to, r, i, null ? nullptr : values[i].data(),
                       null ? -1 : static_cast<int>(values[i].size()));
        }
    }
    return made;
}

template <class Row>
std::size_t allocations_for(int rows)
{
    auto from = make_result(rows);
    auto before = allocations;
    auto got = from.as<Row>();
    auto after = allocations;
    BOOST_TEST(got.size() == static_cast<std::size_t>(rows));
    return after - before;
}

// Its operations are made and not awaited. Asio allocates their coroutine frames past operator new.
struct idle_host : querying<idle_host>
{
    boost::asio::awaitable<result> run(std::string_view, params) { co_return result(); }
    boost::asio::awaitable<result> run_kept(std::string_view, const params&) { co_return result(); }
};

template <class Start>
std::size_t allocations_of(Start start)
{
    idle_host host;
    auto before = allocations;
    auto operation = start(host);
    return allocations - before;
}

} // namespace

BOOST_AUTO_TEST_SUITE(allocations_of_decoding)

BOOST_AUTO_TEST_CASE(rows_of_fixed_size_columns_need_no_memory_but_their_vector)
{
    BOOST_TEST(allocations_for<fixed>(1'000) == 1u);
    BOOST_TEST(allocations_for<by_name>(1'000) == 1u);
    using tuple = std::tuple<std::int64_t, std::optional<double>, timestamp, boost::uuids::uuid>;
    BOOST_TEST(allocations_for<tuple>(1'000) == 1u);
}

BOOST_AUTO_TEST_CASE(statement_text_is_copied_only_if_given_away)
{
    static constexpr const char* literal = "select a, b, c from a_table_with_a_long_name where id = $1";
    auto query = [](idle_host& h) { return h.query(literal, 1); };
    auto rows = [](idle_host& h) { return h.query_as<fixed>(literal, 1); };
    auto count = [](idle_host& h) { return h.execute(literal, 1); };
    BOOST_TEST(allocations_of(query) == 0u);
    BOOST_TEST(allocations_of(rows) == 0u);
    BOOST_TEST(allocations_of(count) == 0u);
    std::string text = literal;
    BOOST_TEST(allocations_of([&](idle_host& h) { return h.query_as<fixed>(text, 1); }) == 0u);
    BOOST_TEST(allocations_of([&](idle_host& h) { return h.query_as<fixed>(std::string(literal), 1); }) == 1u);
    BOOST_TEST(allocations_of([&](idle_host& h) { return h.query_as<fixed>(std::move(text), 1); }) == 0u);
}

BOOST_AUTO_TEST_CASE(what_counts_them_counts)
{
    using tuple = std::tuple<std::int64_t, std::optional<double>, raw, raw>;
    BOOST_TEST(allocations_for<tuple>(1'000) >= 1'000u);
}

BOOST_AUTO_TEST_SUITE_END()
