#include "reference.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

asio::awaitable<void> show_connection(std::string uri)
{
    //! [connection]
    auto conn = co_await pgcoro::connection::connect(uri);
    auto rich =
        co_await conn.query_as<account>("select id, owner, cents from account where cents > $1", 100'000);
    auto found =
        co_await conn.query_optional<account>("select id, owner, cents from account where id = $1", 7);
    try {
        co_await conn.execute("insert into account values ($1, $2, $3)", 1, "Ada", 0);
    } catch (const pgcoro::server_error& e) { // e.what() has the statement and what the server said of it
        if (e.sqlstate() != pgcoro::sqlstates::unique_violation) throw;
    }
    //! [connection]
    expect(rich.size() == 1 && !found, "one account is rich, and none has the number 7");
}

// Tells once there is somebody to hear it.
static asio::awaitable<void> tell(pgcoro::connection& sender, const pgcoro::listener& changes)
{
    while (!changes.is_connected()) co_await sender.ping();
    co_await sender.execute("select pg_notify('account_changed', '7')");
}

static asio::awaitable<std::string> hear(pgcoro::listener& changes)
{
    //! [listener]
    auto n = co_await changes.next();
    if (n.gap) co_return "all"; // the connection was lost: what was sent meanwhile is, too
    co_return n.payload;
    //! [listener]
}

asio::awaitable<void> show_listener(std::string uri)
{
    using namespace asio::experimental::awaitable_operators;
    auto sender = co_await pgcoro::connection::connect(uri);
    //! [make a listener]
    pgcoro::listener changes(pgcoro::connection_options::from_uri(uri), {"account_changed"});
    //! [make a listener]
    auto heard = co_await (hear(changes) && tell(sender, changes));
    expect(heard == "7", "what was told is heard");
}

asio::awaitable<void> show_stream(std::string uri)
{
    auto conn = co_await pgcoro::connection::connect(uri);
    std::int64_t sum = 0;
    //! [stream]
    auto all = conn.stream<account>("select id, owner, cents from account");
    while (auto a = co_await all.next()) sum += a->cents; // one chunk of rows in memory at a time
    //! [stream]
    expect(sum == 500'100, "the sum of all accounts");
}

asio::awaitable<void> show_pipeline(std::string uri)
{
    auto conn = co_await pgcoro::connection::connect(uri);
    //! [pipeline]
    auto batch = conn.pipeline();
    auto paid = batch.execute("update account set cents = cents - $1 where id = $2", 5, 1);
    auto got = batch.execute("update account set cents = cents + $1 where id = $2", 5, 2);
    auto left = batch.query_value<std::int64_t>("select cents from account where id = $1", 2);
    co_await batch.run(); // one round trip, and one transaction
    //! [pipeline]
    expect(paid.get() == 1 && got.get() == 1 && left.get() == 105, "five cents have moved");
}
