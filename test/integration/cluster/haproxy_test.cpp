// The layer behind a real HAProxy that asks for roles as it asks Patroni: what docs/cluster.md says of that.
#include "integration/cluster/load.hpp"
#include "integration/support/haproxy.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <iostream>
#include <thread>

using pgcoro::cluster;
using pgcoro::host_role;
using pgcoro::testing::server;
using pgcoro::testing::shutdown;

namespace
{

/// Says over HTTP which role each of the three servers has, in the place of Patroni's REST interface: 200 to
/// who asks for that role, 503 to others.
class roles
{
public:
    roles()
        : doors_{door{io_}, door{io_}, door{io_}}
    {
        for (auto& d : doors_) asio::co_spawn(io_, answer(d), asio::detached);
        thread_ = std::thread([this] { io_.run(); });
    }
    ~roles()
    {
        io_.stop();
        thread_.join();
    }

    std::uint16_t port(std::size_t which) const { return doors_[which].acceptor.local_endpoint().port(); }
    /// "primary", "replica", or "" for one that is down.
    void set(std::size_t which, const char* role) { doors_[which].role = role; }

private:
    struct door
    {
        explicit door(asio::io_context& io)
            : acceptor(io, {asio::ip::address_v4::loopback(), 0})
        {}
        asio::ip::tcp::acceptor acceptor;
        std::atomic<const char*> role{"replica"};
    };

    static asio::awaitable<void> answer(door& d)
    {
        for (;;) {
            auto caller = co_await d.acceptor.async_accept(asio::use_awaitable);
            std::string asked;
            try {
                co_await asio::async_read_until(caller, asio::dynamic_buffer(asked), "\r\n\r\n",
                                                asio::use_awaitable);
                std::string_view role = d.role.load();
                bool yes = !role.empty() && asked.starts_with("GET /" + std::string(role) + " ");
                std::string said = std::string("HTTP/1.0 ") + (yes ? "200 OK" : "503 No") + "\r\n\r\n";
                co_await asio::async_write(caller, asio::buffer(said), asio::use_awaitable);
            } catch (const boost::system::system_error&) { // HAProxy has its answer, or gave up
            }
        }
    }

    asio::io_context io_;
    std::array<door, 3> doors_;
    std::thread thread_;
};

/// Primary and replicas, and HAProxy before them.
struct fronted : trio
{
    fronted()
    {
        set(primary, "primary");
        make_bank(*this);
    }

    void set(const server& s, const char* role) { said.set(&s == &primary ? 0 : &s == &first ? 1 : 2, role); }

    static std::string address(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

    /// For a pool on the address that leads to the primary.
    pgcoro::pool_options writing() const
    {
        auto o = options_for(*this).pool;
        o.connection = pgcoro::connection_options::from_uri("postgresql://postgres:" + primary.password() +
                                                            '@' + address(proxy.to_primary()) + "/postgres");
        return o;
    }

    /// For a cluster of the two addresses.
    pgcoro::cluster_options both() const
    {
        auto o = options_for(*this);
        o.hosts = {address(proxy.to_primary()), address(proxy.to_replicas())};
        o.catch_up_timeout = 0ms;
        return o;
    }

    /// The primary stops, the first replica takes its place, and the second follows it.
    void switch_over()
    {
        primary.stop(shutdown::fast);
        set(primary, "");
        set(first, "");
        first.promote();
        second.follow(first);
        set(first, "primary");
    }

    /// Who was the primary comes back as a replica.
    void take_back()
    {
        primary.follow(first);
        primary.start();
        set(primary, "replica");
    }

    roles said;
    test::haproxy proxy{
        {{primary.port(), said.port(0)}, {first.port(), said.port(1)}, {second.port(), said.port(2)}}, 50};
};

std::string bookings(const server& s) { return s.psql("select count(*) from ledger"); }

bool no_haproxy()
{
    if (test::haproxy::installed()) return false;
    BOOST_TEST_MESSAGE("left out, because haproxy is not installed");
    return true;
}

} // namespace

BOOST_AUTO_TEST_SUITE(behind_haproxy)

BOOST_AUTO_TEST_CASE(a_pools_connections_to_a_demoted_primary_are_cut_though_it_lives_and_writes_go_on)
{
    if (no_haproxy()) return;
    fronted servers;
    servers.replicate_synchronously();
    load<pgcoro::pool> l(servers.writing());
    l.proceed(200);
    // Frozen, it would keep its connections for ever; it is HAProxy that ends them.
    servers.primary.pause();
    servers.set(servers.primary, "");
    auto [heir, other] = farther_first(servers);
    heir->promote();
    other->follow(*heir);
    servers.set(*heir, "primary");
    l.proceed(200);
    // It wakes up, and takes itself for the primary still: nobody is led there.
    servers.primary.resume();
    auto before = bookings(servers.primary);
    l.proceed(200);
    BOOST_TEST(bookings(servers.primary) == before);
    l.check(*heir);
    BOOST_TEST(l.unknown() <= static_cast<std::size_t>(callers)); // those that were in COMMIT
}

BOOST_AUTO_TEST_CASE(a_pool_follows_a_switchover)
{
    if (no_haproxy()) return;
    fronted servers;
    load<pgcoro::pool> l(servers.writing());
    l.proceed(200);
    servers.switch_over();
    l.proceed(200);
    servers.take_back();
    l.proceed(200);
    l.check(servers.first);
}

BOOST_AUTO_TEST_CASE(a_cluster_of_the_two_addresses_follows_primary_and_replicas_as_they_change_places)
{
    if (no_haproxy()) return;
    fronted servers;
    load<cluster> l(servers.both());
    auto& c = l.database();
    // The primary serves the reads while a replica's lag is not known yet, or the replica follows nobody.
    auto replicas_read = [&](const server& one, const server& other) {
        l.run_beside([&]() -> asio::awaitable<void> {
            auto role = [&](std::size_t host) { return c.stats().hosts[host].role; };
            co_await until([&] { return role(0) == host_role::primary && role(1) == host_role::replica; });
            for (int port = 0; port != one.port() && port != other.port();)
                port = co_await c.query_value<int>(which);
        });
    };
    replicas_read(servers.first, servers.second);
    l.proceed(200);
    servers.switch_over();
    l.proceed(200);
    servers.take_back();
    replicas_read(servers.primary, servers.second);
    l.proceed(200);
    l.check(servers.first);
}

BOOST_AUTO_TEST_SUITE_END()
