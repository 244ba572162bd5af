// Uses that would leave a reference to a result that is destroyed. Each marked line must be refused by the
// compiler, and every other line must be accepted. See check.py.
#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/multiplexer/multiplexer.hpp>
#include <pgcoro/pgcoro.hpp>
#include <pgcoro/types/json.hpp>
#include <pgcoro/types/ranges.hpp>

#include <boost/describe/class.hpp>

#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

namespace
{

using std::string_view;

// A type per line, because a compiler reports an instantiation once.
template <int>
struct aggregate
{
    int id;
    string_view name;
};
template <int>
struct owning
{
    int id;
    std::string name;
};
struct described_view
{
    std::optional<string_view> name;
};
BOOST_DESCRIBE_STRUCT(described_view, (), (name))
struct composite_view
{
    string_view name;
};
struct json_view
{
    string_view name;
};
BOOST_DESCRIBE_STRUCT(json_view, (), (name))
class user_view
{};

} // namespace

template <>
inline constexpr bool pgcoro::is_composite<composite_view> = true;
template <>
inline constexpr bool pgcoro::is_json<json_view> = true;
template <>
inline constexpr bool pgcoro::refers_to_result<user_view> = true;
template <>
struct pgcoro::codec<user_view>
{
    static bool accepts(oid) { return true; }
    static user_view decode(field_view) { return {}; }
};

namespace
{

using connection_reference = pgcoro::connection&;

[[maybe_unused]] void rows(connection_reference c, pgcoro::pool& p, pgcoro::multiplexer& m,
                           pgcoro::query_cache& cache, pgcoro::transaction& tx,
                           pgcoro::prepared_statement<int>& prepared)
{
    (void)c.query_as<owning<0>>("");
    (void)c.query_as<string_view>("");                                // refused: use std::string
    (void)c.query_as<aggregate<1>>("");                               // refused: use std::string
    (void)c.query_as<described_view>("");                             // refused: use std::string
    (void)c.query_as<std::optional<string_view>>("");                 // refused: use std::string
    (void)c.query_as<std::tuple<int, string_view>>("");               // refused: use std::string
    (void)c.query_as<std::vector<string_view>>("");                   // refused: use std::string
    (void)c.query_as<std::array<string_view, 2>>("");                 // refused: use std::string
    (void)c.query_as<pgcoro::range<string_view>>("");                 // refused: use std::string
    (void)c.query_as<std::vector<composite_view>>("");                // refused: use std::string
    (void)c.query_as<std::tuple<int, std::tuple<int, string_view>>>(""); // refused: use std::string
    (void)c.query_as<user_view>("");                                  // refused: use std::string
    (void)c.query_as<json_view>("");                                  // refused: use std::string
    (void)c.query_as<aggregate<2>>(std::string());                    // refused: use std::string
    (void)c.try_query_as<aggregate<3>>("");                           // refused: use std::string
    (void)c.query_value<aggregate<4>>("");                            // refused: use std::string
    (void)c.query_optional<aggregate<5>>("");                         // refused: use std::string
    (void)prepared.query_as<aggregate<6>>(1);                         // refused: use std::string
    (void)p.query_as<aggregate<7>>("");                               // refused: use std::string
    (void)p.named("").query_value<aggregate<8>>("");                  // refused: use std::string
    (void)tx.query_as<aggregate<9>>("");                              // refused: use std::string
    (void)tx.last().query_as<aggregate<10>>("");                      // refused: use std::string
    (void)m.query_as<aggregate<11>>("");                              // refused: use std::string
    (void)m.read().query_value<aggregate<12>>("");                    // refused: use std::string
    (void)cache.query_as<aggregate<13>>("");                          // refused: use std::string
    (void)cache.query_optional<aggregate<14>>("");                    // refused: use std::string
    (void)cache.in(tx).query_value<aggregate<15>>("");                // refused: use std::string
    (void)c.stream<aggregate<16>>("");                                // refused: use std::string
    (void)c.copy_out<aggregate<17>>("");                              // refused: use std::string
    auto batch = c.pipeline();
    (void)batch.query_as<aggregate<18>>("");                          // refused: use std::string
    (void)batch.query_value<aggregate<19>>("");                       // refused: use std::string
    (void)batch.query_optional<aggregate<20>>("");                    // refused: use std::string
    (void)p.with({{"role", "app"}}).query_as<owning<21>>("");
    (void)p.with({{"role", "app"}}).query_as<aggregate<21>>("");      // refused: use std::string
    (void)tx.with({{"role", "app"}}).query_value<aggregate<22>>("");  // refused: use std::string
    // Streams, COPY and pipelines hold a connection for longer than one statement.
    (void)p.with({}).stream<int>("");   // refused: stream
    (void)tx.with({}).stream<int>("");  // refused: stream
    (void)tx.with({}).copy_out<int>(""); // refused: copy_out
    (void)tx.with({}).pipeline();       // refused: pipeline
}

pgcoro::result temporary();
pgcoro::cached_result cached();

[[maybe_unused]] void results(pgcoro::connection& c, const pgcoro::prepared_statement<int>& prepared)
{
    pgcoro::result kept = temporary();
    (void)kept.as<aggregate<30>>();
    (void)kept[0].as<aggregate<30>>();
    (void)kept[0][0].as<string_view>();
    (void)temporary().as<owning<30>>();
    for (auto row : temporary()) (void)row.as<aggregate<30>>();
    (void)temporary().size();

    (void)temporary()[0];                       // refused: deleted
    (void)temporary()[0]["name"].as<int>();     // refused: deleted
    (void)temporary().begin();                  // refused: deleted
    (void)temporary().columns();                // refused: deleted
    (void)temporary().command_tag();            // refused: deleted
    (void)temporary().get();                    // refused: deleted
    (void)temporary().as<aggregate<31>>();      // refused: use std::string
    (void)temporary().try_as<aggregate<32>>();  // refused: use std::string
    (void)temporary().as_value<aggregate<33>>(); // refused: use std::string
    (void)temporary().as_optional<aggregate<34>>(); // refused: use std::string

    auto shared = cached();
    (void)shared->as<aggregate<30>>();
    (void)*cached();           // refused: deleted
    (void)cached()->size();    // refused: deleted

    auto rows = c.stream<pgcoro::row>("");
    (void)rows.next();
    (void)c.stream<owning<31>>("").next();
    (void)c.stream<pgcoro::row>("").next(); // refused: deleted

    (void)prepared.columns();
    auto copy = prepared;
    (void)std::move(copy).columns(); // refused: deleted
    (void)std::move(copy).sql();     // refused: deleted
}

} // namespace
