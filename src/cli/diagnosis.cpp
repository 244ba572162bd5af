#include "cli/diagnosis.hpp"

#include "cli/near_word.hpp"
#include "cli/target.hpp"

#include <boost/algorithm/string/replace.hpp>

#include <filesystem>
#include <optional>

namespace pgcoro::cli
{

namespace asio = boost::asio;

const char* const holders_remedy = "psql -c \"select pg_terminate_backend(pid) from pg_stat_activity where "
                                   "state = 'idle' and state_change < now() - "
                                   "interval '10 min' and backend_type = 'client backend'\"";

namespace
{

// For a shell.
std::string in_shell(const std::string& text)
{
    return "'" + boost::replace_all_copy(text, "'", "'\\''") + "'";
}

// Whether the server, asked with these options, gets as far as an answer of PostgreSQL's; what it answers
// does not matter.
asio::awaitable<std::optional<connect_trouble>> probe(const connection_options& o)
{
    std::optional<connect_trouble> trouble;
    try {
        auto c = co_await connection::connect(o);
    } catch (const connection_error& e) {
        trouble = trouble_of(e);
    }
    co_return trouble;
}

bool is_answer(const std::optional<connect_trouble>& t)
{
    return !t || !t->sqlstate.empty() || t->why == connection_failure::authentication;
}

// Ports of servers with a Unix socket in that folder.
std::string ports_with_a_socket(const std::string& folder)
{
    static constexpr std::string_view prefix = ".s.PGSQL.";
    std::string ports;
    std::error_code ec;
    for (std::filesystem::directory_iterator at(folder.empty() ? "/var/run/postgresql" : folder, ec), end;
         !ec && at != end; at.increment(ec)) {
        auto name = at->path().filename().string();
        if (!name.starts_with(prefix) || name.ends_with(".lock")) continue;
        ports += (ports.empty() ? "" : ", ") + name.substr(prefix.size());
    }
    return ports;
}

class explainer
{
public:
    explainer(const settings& s, const connection_options& o, const connect_trouble& t, report& into)
        : settings_(s)
        , options_(o)
        , trouble_(t)
        , report_(into)
        , host_(hosts_of(o).front())
        , user_(effective(o, "user"))
        , database_(effective(o, "dbname"))
    {
        if (database_.empty()) database_ = user_;
        if (host_.port.empty()) host_.port = "5432";
    }

    asio::awaitable<void> explain()
    {
        switch (trouble_.why) {
        case connection_failure::resolve:
            found("name-not-resolved", "the host name '" + host_.host + "' has no address",
                  "a typo, or a name that only another network knows; ask the resolver:",
                  "getent hosts " + in_shell(host_.host));
            break;
        case connection_failure::refused:
            refused();
            break;
        case connection_failure::timeout:
            found("no-answer", "nothing answers on " + host_.host + " port " + host_.port,
                  "a firewall that drops packets, a machine that is down, or a server that hangs; does the "
                  "port open?",
                  "nc -vz -w 5 " + in_shell(host_.host) + " " + host_.port);
            break;
        case connection_failure::tls:
            co_await tls();
            break;
        case connection_failure::authentication:
            co_await authentication();
            break;
        case connection_failure::no_such_database:
            co_await no_such_database();
            break;
        case connection_failure::too_many_connections:
            co_await too_many_connections();
            break;
        case connection_failure::starting_up:
            found("starting-up", "the server starts up, shuts down, or recovers from a crash",
                  "wait, and look at how far it is:", "journalctl -u postgresql --since -10min");
            break;
        case connection_failure::wrong_role:
            found("wrong-role",
                  "no host has the role that target_session_attrs asks for ('" +
                      effective(options_, "target_session_attrs") + "')",
                  "name all hosts, look at whether a failover is under way, or ask for less:",
                  "psql " + in_shell("host=" + host_.host + " target_session_attrs=any") +
                      " -c 'select pg_is_in_recovery()'");
            break;
        case connection_failure::options:
            report_.add(wrong_option(trouble_.evidence));
            break;
        default:
            found("not-postgresql",
                  "something listens on " + host_.host + " port " + host_.port +
                      ", but hangs up or does not speak PostgreSQL's protocol",
                  "is it the right port? Who listens there:", "ss -ltnp 'sport = :" + host_.port + "'");
        }
    }

private:
    void found(const char* cause, const std::string& what, const std::string& advice,
               const std::string& command)
    {
        check c{cause, severity::critical, what};
        c.advice = advice;
        if (!trouble_.evidence.empty()) c.advice += "\n" + trouble_.evidence;
        c.command = command;
        report_.add(std::move(c));
    }

    void refused()
    {
        if (host_.is_socket()) {
            auto others = ports_with_a_socket(host_.host);
            found("no-server",
                  "no server has a Unix socket for port " + host_.port + " in " +
                      (host_.host.empty() ? std::string("the default folder") : host_.host),
                  others.empty()
                      ? "no other is there either: the server does not run. Start it:"
                      : "but there is one for port " + others + ": set PGPORT, or start the one you meant:",
                  "sudo systemctl start postgresql");
            return;
        }
        found("refused", "nobody listens on " + host_.host + " port " + host_.port,
              "the server does not run, or listens on other addresses (listen_addresses) or another port; on "
              "that machine:",
              "ss -ltn 'sport = :" + host_.port + "'; sudo -u postgres psql -c 'show listen_addresses'");
    }

    // The same without what could give a secret away.
    connection_options without_password() const
    {
        auto o = options_;
        o.parameters["password"] = "";
        o.parameters["passfile"] = "/dev/null/none"; // libpq complains of one that is not a plain file
        return o;
    }

    asio::awaitable<void> tls()
    {
        auto mode = effective(options_, "sslmode");
        auto o = without_password();
        if (mode.starts_with("verify")) {
            o.parameters["sslmode"] = "require";
            o.parameters["sslrootcert"] =
                "/dev/null/none"; // a root certificate would be verified all the same
            auto unverified = co_await probe(o);
            if (is_answer(unverified)) {
                found("certificate-not-trusted",
                      "the server speaks TLS, but its certificate is not one that sslmode=" + mode +
                          " trusts for '" + host_.host + "'",
                      "give sslrootcert the authority that signed it, and use the host name that is in it; "
                      "what it shows:",
                      "openssl s_client -starttls postgres -connect " +
                          in_shell(host_.host + ":" + host_.port) + " -showcerts </dev/null");
                co_return;
            }
            o.parameters.erase("sslrootcert");
        }
        o.parameters["sslmode"] = "disable";
        auto plain = co_await probe(o);
        if (is_answer(plain))
            found("tls-refused", "the server does not speak TLS, which sslmode=" + mode + " asks for",
                  "switch it on there (it wants server.crt and server.key in its data folder), or, where "
                  "nobody can "
                  "listen in, ask with sslmode=prefer",
                  "sudo -u postgres psql -c 'alter system set ssl = on' -c 'select pg_reload_conf()'");
        else
            found("tls-refused", "encryption could not be agreed on", "see what the server offers:",
                  "openssl s_client -starttls postgres -connect " + in_shell(host_.host + ":" + host_.port) +
                      " </dev/null");
    }

    asio::awaitable<void> authentication()
    {
        auto psql = "sudo -u postgres psql -c ";
        if (trouble_.sqlstate == "42501")
            found("no-privilege", "role " + user_ + " may not connect to database " + database_, "grant it:",
                  psql + in_shell("grant connect on database \"" + database_ + "\" to \"" + user_ + "\""));
        else if (trouble_.routine == "InitializeSessionUserId")
            found("no-such-role", "there is no role " + user_ + ", or it may not log in",
                  "use another one (PGUSER); if it is there, ALTER ROLE … LOGIN; else make it:",
                  "sudo -u postgres createuser --login " + in_shell(user_));
        else if (trouble_.sqlstate == "28000")
            co_await no_entry();
        else if (trouble_.sqlstate.empty())
            found("no-password", "the server asks for a password, and there is none",
                  "put it into ~/.pgpass, which must be readable by you alone:",
                  "echo " +
                      in_shell((host_.is_socket() ? std::string("localhost") : host_.host) + ":" +
                               host_.port + ":" + database_ + ":" + user_ + ":PASSWORD") +
                      " >> ~/.pgpass && chmod 600 ~/.pgpass");
        else
            found("wrong-password",
                  "the password is wrong for role " + user_ + ", has expired, or there is no such role",
                  "which of them the server tells its own log only; set a new one:",
                  "sudo -u postgres psql -c " + in_shell("\\password \"" + user_ + "\""));
    }

    // pg_hba.conf has nothing for us: not without TLS, perhaps, or not with it.
    asio::awaitable<void> no_entry()
    {
        auto mode = effective(options_, "sslmode");
        if (!host_.is_socket() && mode == "disable") {
            auto o = options_;
            o.parameters["sslmode"] = "require";
            auto encrypted = co_await probe(o);
            if (!encrypted) {
                found("tls-required", "the server lets role " + user_ + " in with TLS only",
                      "ask for it:", "export PGSSLMODE=require");
                co_return;
            }
        }
        found("no-hba-entry",
              "pg_hba.conf has no line that lets role " + user_ + " into database " + database_ +
                  " from here",
              "add one, with this machine's address, and have the server read it:",
              "echo " + in_shell("host " + database_ + " " + user_ + " ADDRESS/32 scram-sha-256") +
                  " | sudo -u postgres tee -a \"$(sudo -u postgres psql -Atc 'show hba_file')\" && sudo -u "
                  "postgres psql "
                  "-c 'select pg_reload_conf()'");
    }

    asio::awaitable<void> no_such_database()
    {
        std::vector<std::string> names;
        auto o = options_;
        o.parameters["dbname"] = "postgres";
        try {
            auto c = co_await connection::connect(o);
            names =
                co_await c.query_as<std::string>("select datname::text from pg_database where datallowconn");
        } catch (const error&) { // the list is a courtesy
        }
        auto meant = near_word(database_, names);
        found("no-such-database", "the server has no database '" + database_ + "'",
              meant ? "did you mean '" + *meant + "'? Else make it:"
                    : "make it, or name another one (PGDATABASE):",
              "createdb " + (host_.is_socket() ? std::string() : "-h " + in_shell(host_.host) + " ") + "-p " +
                  host_.port + " -O " + in_shell(user_) + " " + in_shell(database_));
    }

    asio::awaitable<void> too_many_connections()
    {
        std::string limit = "the connections of the server";
        std::string raise;
        if (trouble_.routine == "InitializeSessionUserId") {
            limit = "the connections that role " + user_ + " may have";
            raise = "raise its limit if that is too low (ALTER ROLE … CONNECTION LIMIT); ";
        } else if (trouble_.routine == "CheckMyDatabase") {
            limit = "the connections that database " + database_ + " may have";
            raise = "raise its limit if that is too low (ALTER DATABASE … CONNECTION LIMIT); ";
        }
        auto holders = co_await holders_by_others_eyes();
        found(
            "too-many-connections", "all of " + limit + " are in use",
            holders
                ? raise + "held by:\n" + *holders + "make the largest one's pool smaller, or end what idles:"
                : raise + "to see who holds them, give --admin-url (superusers have connections in reserve); "
                          "then end what "
                          "idles:",
            holders_remedy);
    }

    asio::awaitable<std::optional<std::string>> holders_by_others_eyes()
    {
        std::optional<std::string> holders;
        if (settings_.doctor.admin_url.empty()) co_return holders;
        auto as_admin = settings_.common;
        as_admin.url = settings_.doctor.admin_url;
        try {
            auto o = target_of(as_admin, "doctor");
            auto c = co_await connection::connect(o);
            auto text = co_await who_holds(c);
            holders = text;
        } catch (const error& e) {
            report_.add(
                {"admin-url", severity::unknown, "it does not get in either: " + first_line(e.message())});
        }
        co_return holders;
    }

    const settings& settings_;
    const connection_options& options_;
    const connect_trouble& trouble_;
    report& report_;
    host_and_port host_;
    std::string user_;
    std::string database_;
};

} // namespace

connect_trouble trouble_of(const connection_error& e)
{
    connect_trouble t{e.why(), "", e.diag().routine, ""};
    if (e.sqlstate()) t.sqlstate = e.sqlstate().str();
    std::string_view what = e.what(); // its last lines repeat the options
    t.evidence =
        boost::replace_all_copy(std::string(what.substr(0, what.find("\n  options: "))), "\n  ", "\n");
    return t;
}

check wrong_option(const std::string& evidence)
{
    return {"wrong-option",
            severity::critical,
            "a connection parameter makes no sense",
            std::nullopt,
            std::nullopt,
            "",
            evidence + "\nlook at what the environment says, and compare with libpq's documentation:",
            "env | grep -E '^(DATABASE_URL|PG)' | sed 's/:[^:@]*@/:…@/; s/^PGPASSWORD=.*/PGPASSWORD=…/'"};
}

bool is_refused_setting(const connect_trouble& t)
{
    return t.why == connection_failure::options && t.sqlstate == "08P01";
}

check pooler_refuses_settings(const connect_trouble& t)
{
    return {"pooler",
            severity::warning,
            "a pooler such as PgBouncer stands between, and refuses settings at the login",
            std::nullopt,
            std::nullopt,
            "",
            "tell the layer its pool_mode (connection_options.pooler)\n" + t.evidence,
            "export POOL_POOLER=transaction   # or session, as SHOW CONFIG on the pooler says"};
}

asio::awaitable<void> explain_refusal(const settings& s, const connection_options& o,
                                      const connect_trouble& t, report& into)
{
    explainer e(s, o, t, into);
    co_await e.explain();
}

asio::awaitable<std::string> who_holds(connection& c)
{
    using row = std::tuple<std::int64_t, std::string, std::string, std::string, std::int64_t>;
    auto rows = co_await c.query_as<row>(
        "select count(*), coalesce(usename, '')::text, coalesce(application_name, ''), "
        "coalesce(host(client_addr), 'the same machine'), count(*) filter (where state = 'idle') "
        "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() "
        "group by 2, 3, 4 order by 1 desc limit 10");
    std::string text;
    for (auto& [n, user, application, client, idle] : rows)
        text += std::to_string(n) + " " + user + " '" + shortened(application, 40) + "' from " + client +
                ", " + std::to_string(idle) + " idle\n";
    co_return text;
}

std::string read_only_remedy(const std::string& source, const std::string& database, const std::string& user)
{
    constexpr auto setting = "default_transaction_read_only";
    std::string sql = std::string("alter system reset ") + setting + "; select pg_reload_conf()";
    if (source == "database") sql = "alter database " + database + " reset " + setting;
    if (source == "user") sql = "alter role " + user + " reset " + setting;
    if (source == "database user")
        sql = "alter role " + user + " in database " + database + " reset " + setting;
    if (source == "client") return "unset PGOPTIONS   # or leave it out of the URL's options";
    if (sql.find(';') == sql.npos) return "psql -c " + in_shell(sql);
    auto at = sql.find("; ");
    return "psql -c " + in_shell(sql.substr(0, at)) + " -c " + in_shell(sql.substr(at + 2));
}

} // namespace pgcoro::cli
