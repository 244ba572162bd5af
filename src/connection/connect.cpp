#include "connection/connect.hpp"

#include "connection/clock.hpp"
#include "connection/conninfo.hpp"
#include "connection/diagnostics.hpp"
#include "connection/one_shot.hpp"
#include "connection/settings.hpp"
#include "resilience/chance.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include <sys/socket.h>

namespace pgcoro::detail
{
namespace
{

using tcp = asio::ip::tcp;
using time_point = wire::time_point;

struct failed_attempt
{
    std::string where;
    connect_failure failure;
};

std::vector<std::string> split(std::string_view list)
{
    std::vector<std::string> parts;
    for (std::size_t start = 0;;) {
        auto comma = list.find(',', start);
        parts.emplace_back(list.substr(start, comma - start));
        if (comma == list.npos) return parts;
        start = comma + 1;
    }
}

std::string value_of(const conninfo& info, std::string_view keyword)
{
    auto it = info.find(keyword);
    return it == info.end() ? std::string() : it->second;
}

void check_port(const std::string& port)
{
    int number = 0;
    auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (port.empty() ||
        (ec == std::errc() && end == port.data() + port.size() && number > 0 && number < 65536))
        return;
    throw connection_error(connection_failure::options,
                           "connection parameters: port '" + port + "' is no number from 1 to 65535");
}

} // namespace

std::vector<endpoint> endpoints_of(const conninfo& info)
{
    auto hosts = split(value_of(info, "host"));
    auto addresses = split(value_of(info, "hostaddr"));
    auto ports = split(value_of(info, "port"));
    bool by_address = addresses.size() > 1 || !addresses[0].empty();
    bool by_name = hosts.size() > 1 || !hosts[0].empty();
    auto count = by_address ? addresses.size() : hosts.size();
    auto mismatch = [&](const std::string& what, std::size_t n) {
        throw connection_error(connection_failure::options, "connection parameters: " + std::to_string(n) +
                                                                ' ' + what + " for " + std::to_string(count) +
                                                                (by_address ? " addresses" : " hosts"));
    };
    if (by_address && by_name && hosts.size() != count) mismatch("hosts", hosts.size());
    if (ports.size() != 1 && ports.size() != count) mismatch("ports", ports.size());
    std::vector<endpoint> found;
    for (std::size_t i = 0; i < count; ++i) {
        auto& port = ports[ports.size() == 1 ? 0 : i];
        check_port(port);
        found.push_back({by_name ? hosts[i] : "", by_address ? addresses[i] : "", port});
    }
    if (value_of(info, "load_balance_hosts") == "random") {
        std::ranges::shuffle(found, generator());
    }
    return found;
}

namespace
{

// The addresses of a name. Asio asks on a thread of its own; the wait, not the question, can be given up.
asio::awaitable<std::vector<endpoint>> resolve(endpoint named, time_point deadline)
{
    if (named.is_local() || !named.hostaddr.empty()) co_return std::vector{named};
    boost::system::error_code numeric;
    asio::ip::make_address(named.host, numeric);
    if (!numeric) {
        named.hostaddr = named.host;
        co_return std::vector{named};
    }

    struct lookup
    {
        tcp::resolver resolver;
        boost::system::error_code ec;
        tcp::resolver::results_type results;
    };
    auto executor = co_await asio::this_coro::executor;
    auto answer = std::make_shared<one_shot>();
    auto state = std::make_shared<lookup>(lookup{tcp::resolver(executor), {}, {}});
    state->resolver.async_resolve(
        named.host, named.port.empty() ? "5432" : named.port, tcp::resolver::numeric_service,
        [state, answer](boost::system::error_code ec, tcp::resolver::results_type results) {
            state->ec = ec;
            state->results = std::move(results);
            answer->tell();
        });
    auto why = co_await answer->async_wait(deadline, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    auto fail = [&](connection_failure f, const std::string& what) {
        throw connection_error(f, "cannot resolve host name '" + named.host + "': " + what);
    };
    if (why == wake::expired) fail(connection_failure::timeout, "no answer in time");
    if (state->ec) fail(connection_failure::resolve, state->ec.message());

    std::vector<endpoint> found;
    for (auto& entry : state->results) {
        auto address = entry.endpoint().address().to_string();
        auto known = std::ranges::any_of(found, [&](auto& e) { return e.hostaddr == address; });
        if (!known) found.push_back({named.host, address, named.port});
    }
    if (found.empty()) fail(connection_failure::resolve, "it has no address");
    co_return found;
}

PGconn* start(const conninfo& parameters)
{
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (auto& [keyword, value] : parameters) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    auto* conn = PQconnectStartParams(keywords.data(), values.data(), 0);
    if (!conn) throw std::bad_alloc();
    return conn;
}

// Has the other side closed the connection, with nothing left to read?
bool is_at_end(int socket)
{
    char byte;
    auto n = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

// One address. `failure` is filled, and null returned, when it did not work.
asio::awaitable<std::unique_ptr<wire>> attempt(const conninfo& parameters, time_point deadline,
                                               connect_failure& failure)
{
    auto executor = co_await asio::this_coro::executor;
    auto begun = clock::now();
    auto made = std::make_unique<wire>(start(parameters));
    auto* conn = made->get();
    // Nobody to tell yet; libpq's own receiver would print to stderr.
    PQsetNoticeReceiver(
        conn, [](void*, const PGresult*) {}, nullptr);
    // So that the SQLSTATE stands in the message: for a failed start there is no result to ask.
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    auto any_role = value_of(parameters, "target_session_attrs") == "any";
    auto reached = CONNECTION_NEEDED;
    if (PQstatus(conn) == CONNECTION_BAD) {
        failure = read_connect_failure(conn, reached, any_role);
        if (!is_acceptable(parameters)) failure.why = connection_failure::options;
        co_return nullptr;
    }

    auto guard = made->shared_guard();
    guard->begin(deadline);
    asio::steady_timer timer(executor, deadline);
    timer.async_wait([guard](boost::system::error_code ec) {
        if (!ec) guard->expire(clock::now());
    });
    for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
        made->bind(executor); // libpq may have opened another socket
        auto direction = next == PGRES_POLLING_READING ? asio::posix::descriptor_base::wait_read
                                                       : asio::posix::descriptor_base::wait_write;
        if (!guard->is_cut()) co_await made->wait(direction);
        made->unbind();
        if (guard->is_cut()) {
            auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - begun);
            failure = {connection_failure::timeout,
                       {},
                       "no answer within " + std::to_string(waited.count()) + " ms (" +
                           (reached <= CONNECTION_STARTED ? "connecting" : "logging in") + ")"};
            co_return nullptr;
        }
        reached = PQstatus(conn);
        bool gone = direction == asio::posix::descriptor_base::wait_read && is_at_end(PQsocket(conn));
        next = PQconnectPoll(conn);
        if (next == PGRES_POLLING_FAILED) {
            failure = read_connect_failure(conn, reached, any_role);
            // A server that goes away in answer to the request for TLS says nothing about TLS.
            if (gone && failure.why == connection_failure::tls) failure.why = connection_failure::lost;
            co_return nullptr;
        }
    }
    guard->end();
    timer.cancel();
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    PQsetnonblocking(conn, 1);
    made->bind(executor);
    co_return made;
}

[[noreturn]] void throw_all(const connection_options& options, const std::vector<failed_attempt>& failed)
{
    // The attempt that came farthest says most: a server that answered before one that was not there.
    auto rank = [](const failed_attempt& a) {
        switch (a.failure.why) {
        case connection_failure::resolve:
            return 0;
        case connection_failure::refused:
            return 1;
        case connection_failure::timeout:
            return 2;
        default:
            return 3;
        }
    };
    auto& worst = *std::ranges::max_element(failed, {}, rank);
    std::string what = "cannot connect to PostgreSQL: " + std::string(to_string(worst.failure.why));
    for (auto& a : failed) what += "\n  " + a.where + ": " + a.failure.message;
    what += "\n  options: " + options.describe();
    auto diag = worst.failure.diag;
    throw connection_error(worst.failure.why, what, std::move(diag));
}

} // namespace

asio::awaitable<std::unique_ptr<wire>> connect_wire(const connection_options& options, time_point deadline)
{
    options.validate();
    auto effective = complete_conninfo(options.parameters);
    auto parameters = options.parameters;
    parameters["options"] = startup_options(options, value_of(effective, "options"));
    if (parameters["options"].empty()) parameters.erase("options");
    parameters["client_encoding"] = "UTF8";
    if (!options.application_name.empty()) parameters["application_name"] = options.application_name;
    parameters.try_emplace("fallback_application_name", "pgcoro");

    auto role = value_of(effective, "target_session_attrs");
    static constexpr std::array<std::string_view, 7> roles{"",        "any",     "read-write",    "read-only",
                                                           "primary", "standby", "prefer-standby"};
    if (std::ranges::find(roles, role) == roles.end())
        throw connection_error(
            connection_failure::options,
            "connection parameters: target_session_attrs '" + role +
                "' is none of any, read-write, read-only, primary, standby, prefer-standby");
    std::vector<std::string> passes{role.empty() ? "any" : role};
    if (role == "prefer-standby") passes = {"standby", "any"}; // all hosts are tried for one before the other

    std::vector<failed_attempt> failed;
    auto until = [&] { return std::min(deadline, clock::now() + options.connect_timeout); };
    for (auto& pass : passes) {
        parameters["target_session_attrs"] = pass;
        for (auto& named : endpoints_of(effective)) {
            std::vector<endpoint> addresses;
            try {
                addresses = co_await resolve(named, until());
            } catch (const connection_error& e) {
                failed.push_back({named.describe(), {e.why(), {}, e.message()}});
            }
            for (auto& address : addresses) {
                parameters["host"] = address.host;
                parameters["hostaddr"] = address.hostaddr;
                parameters["port"] = address.port;
                connect_failure failure{};
                auto made = co_await attempt(parameters, until(), failure);
                if (made) co_return made;
                failed.push_back({address.describe(), failure});
                // As libpq has it: a server that knows us and refuses is not asked around for. A wrong option
                // is wrong everywhere.
                if (failure.why == connection_failure::authentication ||
                    failure.why == connection_failure::no_such_database ||
                    failure.why == connection_failure::options || clock::now() >= deadline)
                    throw_all(options, failed);
            }
        }
    }
    throw_all(options, failed);
}

} // namespace pgcoro::detail
