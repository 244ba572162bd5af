#include "connection/connect.hpp"

#include "connection/clock.hpp"
#include "connection/conninfo.hpp"
#include "connection/credential_cache.hpp"
#include "connection/diagnostics.hpp"
#include "connection/mute_hosts.hpp"
#include "connection/name_lookup.hpp"
#include "connection/oauth.hpp"
#include "connection/settings.hpp"
#include "resilience/chance.hpp"

#include <pgcoro/detail/time.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>

namespace pgcoro::detail
{
namespace
{

using time_point = wire::time_point;

struct failed_attempt
{
    std::string where;
    connect_failure failure;
};

std::vector<std::string> split_list(std::string_view list)
{
    std::vector<std::string> parts;
    for (std::size_t start = 0;;) {
        auto comma = list.find(',', start);
        parts.emplace_back(list.substr(start, comma - start));
        if (comma == list.npos) return parts;
        start = comma + 1;
    }
}

[[noreturn]] void refuse(const std::string& what)
{
    throw connection_error(connection_failure::options, "connection parameters: " + what);
}

void check_port(const std::string& port)
{
    if (port.find(',') == port.npos && is_port_list(port)) return;
    refuse("port '" + port + "' is not a number from 1 to 65535");
}

// libpq finds out only once it connects, and its error looks like that of a server that is not there.
void check_socket_path(const endpoint& e)
{
    if (!e.is_local() || e.host.empty()) return;
    auto path = e.host + "/.s.PGSQL." + (e.port.empty() ? "5432" : e.port);
    constexpr auto longest = sizeof(sockaddr_un::sun_path) - 1;
    if (path.size() > longest)
        refuse("the path of the Unix socket has " + std::to_string(path.size()) + " bytes, and at most " +
               std::to_string(longest) + " are possible: " + path);
}

} // namespace

std::vector<endpoint> endpoints_of(const conninfo& info)
{
    auto hosts = split_list(value_of(info, "host"));
    auto addresses = split_list(value_of(info, "hostaddr"));
    auto ports = split_list(value_of(info, "port"));
    bool by_address = addresses.size() > 1 || !addresses[0].empty();
    bool by_name = hosts.size() > 1 || !hosts[0].empty();
    auto count = by_address ? addresses.size() : hosts.size();
    auto mismatch = [&](const std::string& what, std::size_t n) {
        refuse(std::to_string(n) + ' ' + what + " for " + std::to_string(count) +
               (by_address ? " addresses" : " hosts"));
    };
    if (by_address && by_name && hosts.size() != count) mismatch("hosts", hosts.size());
    if (ports.size() != 1 && ports.size() != count) mismatch("ports", ports.size());
    std::vector<endpoint> found;
    for (std::size_t i = 0; i < count; ++i) {
        auto& port = ports[ports.size() == 1 ? 0 : i];
        check_port(port);
        found.push_back({by_name ? hosts[i] : "", by_address ? addresses[i] : "", port});
        check_socket_path(found.back());
    }
    auto balance = value_of(info, "load_balance_hosts");
    if (balance == "random")
        std::ranges::shuffle(found, generator());
    else if (!balance.empty() && balance != "disable")
        refuse("load_balance_hosts must be disable or random");
    return found;
}

namespace
{

// The addresses of a named host; the place itself if there is no name to look up.
asio::awaitable<std::vector<endpoint>> resolve(endpoint named, time_point deadline)
{
    if (named.is_local() || !named.hostaddr.empty()) co_return std::vector{named};
    boost::system::error_code numeric;
    asio::ip::make_address(named.host, numeric);
    if (!numeric) {
        named.hostaddr = named.host;
        co_return std::vector{named};
    }
    auto addresses = co_await look_up(named.host, deadline);
    std::vector<endpoint> found;
    for (auto& address : addresses) found.push_back({named.host, address, named.port});
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

// Copies the first bytes that a server has sent and nobody has read yet. Returns their number; 0 at the
// end of the stream, -1 if nothing is there.
ssize_t peek(int socket, std::array<char, 8>& bytes)
{
    auto n = ::recv(socket, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && errno == ECONNRESET ? 0 : n;
}

// Can a PostgreSQL server begin its answer with these bytes? To requests for encryption it answers with one
// letter; to a startup packet with a message whose type is one of few. ("Message Flow" and "Message Formats",
// chapter 55 of PostgreSQL's documentation.)
bool may_be_postgres(ConnStatusType asked, std::string_view begin)
{
    auto is_one_of = [&](std::string_view letters) { return letters.find(begin[0]) != letters.npos; };
    switch (asked) {
    case CONNECTION_SSL_STARTUP:
        return begin[0] == 'E' || (begin.size() == 1 && is_one_of("SN"));
    case CONNECTION_GSS_STARTUP:
        return begin[0] == 'E' || (begin.size() == 1 && is_one_of("GN"));
    case CONNECTION_AWAITING_RESPONSE:
        return is_one_of("RENv");
    default:
        return true;
    }
}

std::string printable(std::string_view bytes)
{
    std::string text;
    for (char c : bytes) text += c >= ' ' && c < 127 ? c : '.';
    return text;
}

// Watches the first bytes of each answer while a connection is made.
class first_answers
{
public:
    explicit first_answers(const conninfo& parameters)
        // With direct negotiation the server's first bytes are those of TLS.
        : unseen_(value_of(parameters, "sslnegotiation") == "direct")
    {}

    // Before libpq reads. Returns what a stranger said; empty if it may be a PostgreSQL server.
    std::string stranger(PGconn* conn, ConnStatusType asked)
    {
        std::array<char, 8> bytes{};
        auto n = peek(PQsocket(conn), bytes);
        at_end_ = n == 0;
        bool first = std::exchange(seen_, {PQsocket(conn), asked}) != seen{PQsocket(conn), asked};
        if (n <= 0 || !first || unseen_ || PQsslInUse(conn)) return {};
        std::string_view begin(bytes.data(), static_cast<std::size_t>(n));
        return may_be_postgres(asked, begin) ? std::string() : printable(begin);
    }
    // Had the server closed the connection, with nothing left to read?
    bool at_end() const noexcept { return at_end_; }

private:
    using seen = std::pair<int, ConnStatusType>;
    bool unseen_;
    bool at_end_ = false;
    seen seen_{-1, CONNECTION_BAD};
};

// The part of a connect that all its attempts share.
struct login
{
    conninfo parameters;
    std::string statement; // see login_statement()
    std::string password_hint;
    std::string oauth_token;
};

std::vector<server_limit> read_limits(const PGresult* r)
{
    std::vector<server_limit> limits;
    auto text = [&](int row, int column) { return std::string(PQgetvalue(r, row, column)); };
    for (int i = 0; i < PQntuples(r); ++i) limits.push_back({text(i, 0), text(i, 1), !PQgetisnull(r, i, 2)});
    return limits;
}

// The other statement that makes settings has columns called set_config.
bool is_limits(const PGresult* r) { return PQfnumber(r, "setting") == 1; }

// Before there is a session. Bounded by the guard, as all of the attempt.
asio::awaitable<result_ptr> next_result(wire& w)
{
    while (w.flushing() || !w.answer_ready()) co_await w.step();
    co_return result_ptr(PQgetResult(w.get()));
}

// Runs the login statement. Fills `failure` if it did not work.
asio::awaitable<void> set_up(wire& made, const std::string& sql, std::vector<server_limit>& limits,
                             std::optional<connect_failure>& failure)
{
    if (!PQsendQuery(made.get(), sql.c_str())) {
        failure = {connection_failure::lost, {}, error_text(made.get())};
        co_return;
    }
    made.flush();
    for (;;) {
        auto answer = co_await next_result(made);
        if (!answer) break;
        if (PQresultStatus(answer.get()) == PGRES_TUPLES_OK) {
            if (is_limits(answer.get())) limits = read_limits(answer.get());
            continue;
        }
        if (!failure) failure = read_setup_failure(answer.get(), made.broken());
        if (made.broken()) break;
    }
    if (!failure && made.broken()) failure = {connection_failure::lost, {}, error_text(made.get())};
}

// One address. `failure` is filled, and null returned, when it did not work.
asio::awaitable<std::unique_ptr<wire>> attempt(const login& how, time_point deadline,
                                               std::vector<server_limit>& limits, connect_failure& failure)
{
    auto& parameters = how.parameters;
    auto executor = co_await asio::this_coro::executor;
    auto begun = clock::now();
    errno = 0;
    auto made = std::make_unique<wire>(start(parameters));
    auto error = errno;
    auto* conn = made->get();
    oauth_token_for token(conn, how.oauth_token);
    // Nobody to tell yet; libpq's own receiver would print to stderr.
    PQsetNoticeReceiver(
        conn, [](void*, const PGresult*) {}, nullptr);
    // So that the SQLSTATE stands in the message: for a failed start there is no result to ask.
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    auto any_role = value_of(parameters, "target_session_attrs") == "any";
    auto reached = CONNECTION_NEEDED;
    if (PQstatus(conn) == CONNECTION_BAD) {
        failure = read_connect_failure(conn, reached, any_role, error);
        if (!is_acceptable(parameters)) failure.why = connection_failure::options;
        co_return nullptr;
    }

    auto guard = made->shared_guard();
    guard->begin(deadline);
    asio::steady_timer timer(executor, deadline);
    timer.async_wait([guard](boost::system::error_code ec) {
        if (!ec) guard->expire(clock::now());
    });
    auto overdue = [&](const char* at) {
        auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - begun);
        failure = {connection_failure::timeout,
                   {},
                   "no answer within " + std::to_string(waited.count()) + " ms (" + at + ")"};
    };
    first_answers answers(parameters);
    for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
        made->bind(executor); // libpq may have opened another socket
        bool reads = next == PGRES_POLLING_READING;
        auto direction =
            reads ? asio::posix::descriptor_base::wait_read : asio::posix::descriptor_base::wait_write;
        if (!guard->is_cut()) co_await made->wait(direction);
        made->unbind();
        if (guard->is_cut()) {
            overdue(reached <= CONNECTION_STARTED ? "connecting" : "logging in");
            co_return nullptr;
        }
        reached = PQstatus(conn);
        if (reads) {
            auto stranger = answers.stranger(conn, reached);
            if (!stranger.empty()) {
                failure = {connection_failure::protocol,
                           {},
                           "what answers there is not a PostgreSQL server: its answer begins with \"" +
                               stranger + '"'};
                co_return nullptr;
            }
        }
        errno = 0;
        next = PQconnectPoll(conn);
        error = errno;
        if (next == PGRES_POLLING_FAILED) {
            failure = read_connect_failure(conn, reached, any_role, error);
            // A server that goes away in answer to the request for TLS says nothing about TLS.
            if (reads && answers.at_end() && failure.why == connection_failure::tls)
                failure.why = connection_failure::lost;
            bool needs_password = failure.why == connection_failure::authentication &&
                                  (!failure.diag.sqlstate || failure.diag.sqlstate == sqlstate("28P01"));
            if (needs_password && !how.password_hint.empty()) failure.message += "; " + how.password_hint;
            co_return nullptr;
        }
    }
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    PQsetnonblocking(conn, 1);
    made->bind(executor);
    if (!how.statement.empty()) {
        std::optional<connect_failure> failed;
        co_await set_up(*made, how.statement, limits, failed);
        if (guard->is_cut()) {
            overdue("making the settings of the connection options");
            co_return nullptr;
        }
        if (failed) {
            failure = std::move(*failed);
            co_return nullptr;
        }
    }
    guard->end();
    timer.cancel();
    co_return made;
}

// Returns the failure of an attempt for which the event loop cannot wait, for instance because no descriptor is left.
// Throws the exception again if it is a cancellation.
connect_failure read_wait_failure(const boost::system::system_error& e)
{
    if (e.code() == asio::error::operation_aborted) throw;
    return {connection_failure::other, {}, std::string("cannot wait for an answer: ") + e.what()};
}

// As attempt(), which has also failed if nobody can wait for it.
asio::awaitable<std::unique_ptr<wire>> try_address(const login& how, time_point deadline, std::vector<server_limit>& limits,
                                                   connect_failure& failure)
{
    try {
        auto made = co_await attempt(how, deadline, limits, failure);
        co_return made;
    } catch (const connection_error& e) {
        failure = {e.why(), e.diag(), e.message()};
    } catch (const boost::system::system_error& e) {
        failure = read_wait_failure(e);
    }
    co_return nullptr;
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
    std::string what = "cannot connect to " + worst.where + ": " + worst.failure.message;
    for (auto& a : failed)
        if (&a != &worst) what += "\n  nor to " + a.where + ": " + a.failure.message;
    what += "\n  options: " + options.describe();
    auto diag = worst.failure.diag;
    throw connection_error(worst.failure.why, what, std::move(diag));
}

// The first that was said of: the options, their settings, the parameters, service file and environment;
// empty if nothing was, or if the startup packet's `options` say it.
std::string application_name_of(const connection_options& options, const conninfo& completed)
{
    constexpr std::string_view name = "application_name";
    if (!options.application_name.empty()) return options.application_name;
    if (auto set = value_of(options.settings, name); !set.empty()) return set;
    if (auto given = value_of(options.parameters, name); !given.empty()) return given;
    if (auto set = setting_in(value_of(options.parameters, "options"), name); !set.empty()) return set;
    if (auto found = value_of(completed, name); !found.empty()) return found;
    return setting_in(value_of(completed, "options"), name);
}

// Refuses parameters that cannot be honoured.
login prepare_login(const connection_options& options, const conninfo& completed)
{
    if (auto wrong = unusable_parameter(completed); !wrong.empty()) refuse(wrong);
    auto given = value_of(completed, "options");
    for (auto& encoding :
         {value_of(options.settings, "client_encoding"), setting_in(given, "client_encoding")})
        if (!encoding.empty()) {
            if (auto wrong = unusable_parameter({{"client_encoding", encoding}}); !wrong.empty())
                refuse(wrong);
        }
    login how;
    how.parameters = options.parameters;
    auto& p = how.parameters;
    p["options"] = startup_options(options, given);
    if (p["options"].empty()) p.erase("options");
    p["client_encoding"] = "UTF8";
    if (auto name = application_name_of(options, completed); !name.empty()) p["application_name"] = name;
    p.try_emplace("fallback_application_name", "pgcoro");
    how.statement = login_statement(options);
    how.password_hint = ignored_password_file(completed);
    return how;
}

// As in libpq, a server that refuses a user ends the search: the others would refuse, too. Wrong options are
// wrong everywhere.
bool is_final(connection_failure why)
{
    return why == connection_failure::authentication || why == connection_failure::no_such_database ||
           why == connection_failure::options;
}

// Was the place given all the time of a connect, or long enough to call it mute where the caller had less?
bool is_mute(connection_failure why, clock::time_point begun, std::chrono::milliseconds limit)
{
    return why == connection_failure::timeout &&
           clock::now() - begun >= std::min(limit, std::chrono::milliseconds(1000));
}

// Logs in with the user and password of the options.
asio::awaitable<opened_connection> log_in(std::shared_ptr<const connection_options> options, time_point deadline,
                                          std::string token)
{
    auto completed = complete_conninfo(options->parameters);
    auto how = prepare_login(*options, completed);
    how.oauth_token = std::move(token);
    auto limit = connect_timeout_of(*options, completed);

    auto role = value_of(completed, "target_session_attrs");
    static constexpr std::array<std::string_view, 7> roles{"",        "any",     "read-write",    "read-only",
                                                           "primary", "standby", "prefer-standby"};
    if (std::ranges::find(roles, role) == roles.end())
        refuse("target_session_attrs '" + role +
               "' is none of any, read-write, read-only, primary, standby, prefer-standby");
    std::vector<std::string> passes{role.empty() ? "any" : role};
    if (role == "prefer-standby") passes = {"standby", "any"}; // all hosts are tried for one before the other

    std::vector<failed_attempt> failed;
    auto until = [&] { return std::min(deadline, time_after(limit)); };
    auto& mute = mute_hosts::of_the_process();
    for (auto& pass : passes) {
        how.parameters["target_session_attrs"] = pass;
        auto hosts = endpoints_of(completed);
        mute.put_last(hosts, &endpoint::describe);
        for (auto& named : hosts) {
            std::vector<endpoint> addresses;
            auto begun = clock::now();
            try {
                addresses = co_await resolve(named, until());
            } catch (const connection_error& e) {
                if (is_mute(e.why(), begun, limit)) mute.timed_out(named.describe());
                failed.push_back({named.describe(), {e.why(), {}, e.message()}});
            } catch (const boost::system::system_error& e) {
                failed.push_back({named.describe(), read_wait_failure(e)});
            }
            mute.put_last(addresses, &endpoint::describe);
            bool all_mute = !addresses.empty();
            for (auto& address : addresses) {
                how.parameters["host"] = address.host;
                how.parameters["hostaddr"] = address.hostaddr;
                how.parameters["port"] = address.port;
                begun = clock::now();
                connect_failure failure{};
                std::vector<server_limit> limits;
                auto made = co_await try_address(how, until(), limits, failure);
                bool silent = !made && is_mute(failure.why, begun, limit);
                all_mute = all_mute && silent;
                if (silent) {
                    mute.timed_out(address.describe());
                } else {
                    mute.answered(address.describe());
                    mute.answered(named.describe());
                }
                if (made) {
                    opened_connection opened;
                    opened.connection = std::move(made);
                    opened.settings = statement_after_reset(*options, limits);
                    opened.in_force =
                        limits.empty()
                            ? options
                            : std::make_shared<const connection_options>(in_force(*options, limits));
                    co_return opened;
                }
                failed.push_back({address.describe(), failure});
                if (is_final(failure.why) || clock::now() >= deadline) {
                    if (silent) mute.timed_out(named.describe());
                    throw_all(*options, failed);
                }
            }
            if (all_mute) mute.timed_out(named.describe());
        }
    }
    throw_all(*options, failed);
}

std::shared_ptr<const connection_options> with_credentials(const std::shared_ptr<const connection_options>& options,
                                                           const credentials& given)
{
    // The copy keeps `options`, which may own the observer.
    struct both
    {
        connection_options own;
        std::shared_ptr<const connection_options> from;
    };
    auto made = std::make_shared<both>(both{*options, options});
    auto& p = made->own.parameters;
    if (!given.user.empty()) p["user"] = given.user;
    if (!given.password.empty()) p["password"] = given.password;
    if (!given.host.empty()) {
        p["host"] = given.host;
        p["hostaddr"] = "";
    }
    return {made, &made->own};
}

} // namespace

asio::awaitable<opened_connection> open_connection(std::shared_ptr<const connection_options> options,
                                                   time_point deadline)
{
    options->validate();
    auto cache = options->credentials.cache();
    if (!cache) co_return co_await log_in(options, deadline, {});
    auto completed = complete_conninfo(options->parameters);
    auto until = std::min(deadline, time_after(connect_timeout_of(*options, completed)));
    for (int refusals = 1;; ++refusals) {
        auto newest = cache->serial();
        auto credential = co_await cache->get(until);
        auto own = with_credentials(options, credential->value);
        bool is_new = credential->serial > newest;
        std::exception_ptr failure;
        try {
            auto opened = co_await log_in(own, deadline, credential->value.oauth_token);
            if (credential->value.ends_sessions)
                opened.retirement = credential_schedule::retirement(credential->lifetime, clock::now());
            co_return opened;
        } catch (const connection_error& e) {
            // A secret store may have taken the login from the user of a kept credential.
            bool out_of_date = !is_new && e.sqlstate() == sqlstates::invalid_authorization;
            if (e.sqlstate() != sqlstates::invalid_password && !out_of_date) throw;
            failure = std::current_exception();
        }
        cache->refused(*credential);
        auto delay = credential_schedule::delay_after_refusal(refusals, is_new);
        if (!delay || time_after(*delay) >= until) std::rethrow_exception(failure);
        co_await time_source::steady().sleep_for(*delay);
    }
}

} // namespace pgcoro::detail
