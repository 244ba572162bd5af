// The session's context, compared with the server's own settings after random statements, sent in every way there is; and the
// constants of prepared statements, compared with the same texts as parameters.
#include "from_environment.hpp"
#include "connection/session.hpp"
#include "connection/session_context.hpp"
#include "integration/connection/support.hpp"

#include <pgcoro/connection/pipeline.hpp>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

using namespace pgcoro;

namespace
{

struct known_setting
{
    std::string name;
    std::vector<std::string> values;
    std::string otherwise; // the default
};

const std::vector<known_setting>& settings()
{
    static const std::vector<known_setting> all{
        {"extra_float_digits", {"2", "3", "0"}, "1"},
        {"intervalstyle", {"iso_8601", "sql_standard", "postgres_verbose"}, "postgres"},
        {"bytea_output", {"escape", "hex"}, "hex"},
        {"role", {"context_one", "context_two", "none"}, "none"},
    };
    return all;
}

// Settings as "value|value|…", in the order of settings().
constexpr const char* asked = "select concat_ws('|', current_setting('extra_float_digits'), current_setting('intervalstyle'), "
                              "current_setting('bytea_output'), current_setting('role'))";

// The server reads the constants when it parses or plans the statement, and the parameters when it runs it.
constexpr const char* constants_agree = "select '-1 02:00'::interval = $1::text::interval "
                                        "and (0.1::float8 + 0.2::float8)::text = ($2::float8 + $3::float8)::text "
                                        "and '\\x6100'::bytea::text = $4::bytea::text";

template<class Runner>
auto compare_constants(Runner& by)
{
    return by.template query_value<bool>(constants_agree, "-1 02:00", 0.1, 0.2,
                                         std::vector<std::byte>{std::byte(0x61), std::byte(0)});
}

std::string expected(const pgcoro::detail::session_context& context)
{
    std::string text;
    for (auto& s : settings()) {
        auto* value = context.find(s.name);
        text += (text.empty() ? "" : "|") + (value ? *value : s.otherwise);
    }
    return text;
}

class random_statements
{
public:
    random_statements(connection& c, std::uint64_t seed)
        : connection_(c)
        , random_(seed)
    {}

    asio::awaitable<void> run(int steps)
    {
        co_await connection_.execute("discard all");
        for (int i = 0; i < steps; ++i) {
            co_await step();
            if (connection_.session().transaction_status() == PQTRANS_INERROR) continue;
            auto got = co_await connection_.query_value<std::string>(asked);
            auto wanted = expected(connection_.session().context());
            if (got != wanted) throw std::logic_error("the server has " + got + ", and the context " + wanted);
            auto agree = co_await compare_constants(connection_);
            check(agree);
            if (!connection_.session().context().is_known()) throw std::logic_error("the context is not known");
        }
        if (connection_.in_transaction()) co_await connection_.execute("rollback");
    }

    std::string log;

private:
    int pick(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }

    std::string statement()
    {
        static constexpr std::array savepoints{"a", "b", "\"C\""};
        auto& s = settings()[static_cast<std::size_t>(pick(static_cast<int>(settings().size())))];
        auto value = s.values[static_cast<std::size_t>(pick(static_cast<int>(s.values.size())))];
        auto quoted = s.name == "role" ? value : "'" + value + "'";
        std::string point = savepoints[static_cast<std::size_t>(pick(3))];
        switch (pick(17)) {
        case 0:
        case 1:
            return "set " + s.name + " to " + quoted;
        case 2:
        case 3:
        case 4:
            return "set local " + s.name + " to " + quoted;
        case 5:
            return "reset " + s.name;
        case 6:
            return s.name == "role" ? "set local role none" : "set local " + s.name + " to default";
        case 7:
            return "select set_config('" + s.name + "', '" + value + "', " + (pick(2) ? "true" : "false") + ")";
        case 8:
            return "begin";
        case 9:
            return pick(3) ? "select 1" : "commit";
        case 10:
            return pick(3) ? "select 1" : "rollback";
        case 11:
        case 12:
            return "savepoint " + point;
        case 13:
            return "rollback to " + point;
        case 14:
            return "release " + point;
        case 15:
            return pick(2) ? "select 1/0" : "reset all";
        default:
            return pick(4) ? "select 1" : std::string(pick(2) ? "commit" : "rollback") + " and chain";
        }
    }

    static void check(bool agree)
    {
        if (!agree) throw std::logic_error("a constant was read with other settings");
    }

    asio::awaitable<void> step()
    {
        auto how = pick(6);
        std::vector<std::string> all(how < 3 ? 1u : static_cast<std::size_t>(1 + pick(4)));
        for (auto& each : all) each = statement();
        log += "    " + std::to_string(how) + ": ";
        for (auto& each : all) log += each + "; ";
        log += "\n";
        try {
            co_await send(how, all);
        } catch (const server_error&) {
            log += "    (failed)\n";
        }
    }

    asio::awaitable<void> send(int how, const std::vector<std::string>& all)
    {
        if (how < 2) {
            co_await connection_.run(all[0], params());
        } else if (how == 2) {
            auto rows = connection_.stream<row>(all[0]);
            while (co_await rows.next()) {
            }
        } else if (how == 3) {
            std::string script;
            for (auto& each : all) script += each + ";\n";
            co_await connection_.execute_script(script);
        } else {
            auto several = connection_.pipeline(how == 4 ? barrier::none : barrier::each);
            std::vector<pending<bool>> answers;
            for (auto& each : all) {
                several.execute(each);
                if (pick(3) == 0) answers.push_back(compare_constants(several));
            }
            std::exception_ptr failure;
            try {
                co_await several.run();
            } catch (const server_error&) {
                failure = std::current_exception();
            }
            for (auto& each : answers) {
                bool agree = true;
                try {
                    agree = each.get();
                } catch (const server_error&) {
                }
                check(agree);
            }
            if (failure) std::rethrow_exception(failure);
        }
    }

    connection& connection_;
    std::mt19937_64 random_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(session_context_and_server)

// PGCORO_CONTEXT_SEQUENCES=10000 for longer runs, PGCORO_CONTEXT_SEED to repeat one.
BOOST_AUTO_TEST_CASE(the_context_is_what_the_server_has)
{
    for (auto* role : {"context_one", "context_two"})
        shared_server().psql(std::string("drop role if exists ") + role + "; create role " + role);
    auto sequences = test::from_environment("PGCORO_CONTEXT_SEQUENCES", test::repeated(200));
    auto seed = test::from_environment("PGCORO_CONTEXT_SEED", std::random_device()());
    BOOST_TEST_MESSAGE("PGCORO_CONTEXT_SEED=" << seed);
    for (std::size_t cache : {100, 2, 0}) {
        auto options = shared_options();
        options.statement_cache_size = cache;
        for (unsigned long i = 0; i < sequences; i += 20) {
            std::string failure, log;
            with_connection(options, [&](connection& c) -> asio::awaitable<void> {
                for (unsigned long n = i; n < std::min(i + 20, sequences) && failure.empty(); ++n) {
                    random_statements one(c, seed + n);
                    try {
                        co_await one.run(40);
                    } catch (const std::exception& e) {
                        failure = "PGCORO_CONTEXT_SEED=" + std::to_string(seed + n) + " PGCORO_CONTEXT_SEQUENCES=1: " + e.what();
                        log = one.log;
                    }
                }
            });
            BOOST_REQUIRE_MESSAGE(failure.empty(), failure << ", statement cache of " << cache << "\n  after\n" << log);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
