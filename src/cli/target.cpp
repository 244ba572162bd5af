#include "cli/target.hpp"

#include "connection/conninfo.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <sstream>

namespace pgcoro::cli
{

namespace asio = boost::asio;

namespace
{

std::vector<std::string> split(const std::string& list)
{
    std::vector<std::string> parts;
    std::istringstream in(list);
    for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
    if (parts.empty()) parts.emplace_back();
    return parts;
}

std::string value_of(const detail::conninfo& all, std::string_view keyword)
{
    auto found = all.find(keyword);
    return found == all.end() ? std::string() : found->second;
}

std::vector<host_and_port> hosts_in(const detail::conninfo& all)
{
    auto name = value_of(all, "host");
    auto names = split(name.empty() ? value_of(all, "hostaddr") : name);
    auto ports = split(value_of(all, "port"));
    std::vector<host_and_port> hosts;
    for (std::size_t i = 0; i < names.size(); ++i) // one port is for all hosts, as libpq has it
        hosts.push_back({names[i], ports[ports.size() == 1 || i >= ports.size() ? 0 : i]});
    return hosts;
}

asio::awaitable<void> keep_failure(asio::awaitable<void> work, std::exception_ptr& failure)
{
    try {
        co_await std::move(work);
    } catch (...) {
        failure = std::current_exception();
    }
}

} // namespace

connection_options target_of(const common_settings& s, std::string_view command)
{
    auto o = s.url.empty() ? connection_options::from_env() : connection_options::from_uri(s.url);
    o.parameters.try_emplace("fallback_application_name", "pgcoro " + std::string(command));
    o.connect_timeout = s.timeout_chosen ? timeout_option(timeout_of(s)) : timeout_option::by_default(timeout_of(s));
    o.statement_cache_size = 0; // a pooler may stand between
    o.statement_timeout = o.lock_timeout = o.idle_in_transaction_session_timeout =
        std::chrono::milliseconds(0);
    return o;
}

std::chrono::milliseconds timeout_of(const common_settings& s)
{
    return std::chrono::milliseconds(static_cast<long long>(s.timeout * 1'000));
}

double effective_timeout(const common_settings& s)
{
    constexpr std::chrono::milliseconds longest = std::chrono::hours(1);
    try {
        auto in_force = detail::connect_timeout_of(target_of(s, {}));
        return std::chrono::duration<double>(std::min(in_force, longest)).count();
    } catch (const connection_error&) { // which connecting will report
        return s.timeout;
    }
}

std::string effective(const connection_options& o, const char* keyword)
{
    return value_of(detail::complete_conninfo(o.parameters), keyword);
}

std::string describe_target(const connection_options& o)
{
    auto all = detail::complete_conninfo(o.parameters);
    auto user = value_of(all, "user");
    auto database = value_of(all, "dbname");
    auto text = "database " + (database.empty() ? user : database) + " as " + user + " on ";
    std::string list;
    for (auto& h : hosts_in(all))
        list += (list.empty() ? "" : ", ") + (h.host.empty() ? "the default socket" : h.host) + " port " +
                (h.port.empty() ? "5432" : h.port);
    return text + list;
}

std::vector<host_and_port> hosts_of(const connection_options& o)
{
    return hosts_in(detail::complete_conninfo(o.parameters));
}

connection_options only(const connection_options& o, const host_and_port& h)
{
    auto one = o;
    one.parameters.erase("hostaddr");
    one.parameters["host"] = h.host;
    one.parameters["port"] = h.port;
    return one;
}

asio::awaitable<bool> within(std::chrono::milliseconds limit, asio::awaitable<void> work)
{
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, limit);
    std::exception_ptr failure;
    // `||` waits for the first that does not throw, hence a failure does not.
    auto first = keep_failure(std::move(work), failure);
    auto second = timer.async_wait(asio::use_awaitable);
    auto both = std::move(first) || std::move(second);
    auto which = co_await std::move(both);
    bool ended = which.index() == 0;
    if (ended && failure) std::rethrow_exception(failure);
    co_return ended;
}

} // namespace pgcoro::cli
