#include <pgcoro/pool/options.hpp>

#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <stdexcept>

using namespace std::chrono_literals;
using pgcoro::pool_options;

namespace
{

pool_options from(const char* json) { return pool_options::from_json(boost::json::parse(json).as_object()); }

std::string refusal(const char* json)
{
    try {
        from(json);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "accepted";
}

struct variable
{
    const char* name;
    variable(const char* n, const char* value)
        : name(n)
    {
        ::setenv(n, value, 1);
    }
    ~variable() { ::unsetenv(name); }
};

} // namespace

BOOST_AUTO_TEST_SUITE(pool_options_text)

BOOST_AUTO_TEST_CASE(json_sets_what_it_names_and_leaves_the_rest)
{
    auto o = from(R"({"url": "postgresql://u@h/db", "size": 7, "max_overflow": 0, "acquire_timeout": 1.5,
        "recycle_after": "5min", "pre_ping": "always", "statement_timeout": "250ms", "recycle_jitter": 0.5,
        "settings": {"search_path": "app", "work_mem": 4096}, "name": "orders", "statement_cache_size": 12})");
    BOOST_TEST(o.size == 7u);
    BOOST_TEST(o.max_overflow == 0u);
    BOOST_TEST((o.acquire_timeout == 1500ms));
    BOOST_TEST((o.recycle_after == 5min));
    BOOST_TEST((o.pre_ping == pgcoro::pre_ping::always));
    BOOST_TEST((o.connection.statement_timeout == 250ms));
    BOOST_TEST(o.connection.parameters.at("host") == "h");
    BOOST_TEST(o.connection.settings.at("search_path") == "app");
    BOOST_TEST(o.connection.settings.at("work_mem") == "4096");
    BOOST_TEST(o.name == "orders");
    BOOST_TEST(o.connection.statement_cache_size == 12u);
    BOOST_TEST(o.max_connecting == pool_options().max_connecting);
}

BOOST_AUTO_TEST_CASE(reset_and_pooler_are_read_from_json_and_the_environment)
{
    auto o = from(R"({"reset": "always", "pooler": "session"})");
    BOOST_TEST((o.reset == pgcoro::reset_mode::always));
    BOOST_TEST((o.connection.pooler == pgcoro::pooler_mode::session));
    BOOST_TEST(refusal(R"({"reset": "sometimes"})") ==
               "pool option \"reset\" is 'sometimes' and must be automatic, always or never");
    BOOST_TEST(refusal(R"({"pooler": "pgbouncer"})") ==
               "pool option \"pooler\" is 'pgbouncer' and must be none, session or transaction");
    BOOST_TEST(
        refusal(R"({"reset": "always", "pooler": "transaction"})") ==
        "pool_options.reset is always and must be automatic or never where connection_options.pooler is "
        "transaction");
    variable reset("POOL_RESET", "never");
    variable pooler("POOL_POOLER", "transaction");
    o = pool_options::from_env();
    BOOST_TEST((o.reset == pgcoro::reset_mode::never));
    BOOST_TEST((o.connection.pooler == pgcoro::pooler_mode::transaction));
}

BOOST_AUTO_TEST_CASE(a_bad_value_is_refused_with_its_name_the_value_and_the_range)
{
    BOOST_TEST(refusal(R"({"size": 0})") == "pool_options.size is 0 and must be 1 to 10000");
    BOOST_TEST(refusal(R"({"size": -3})") ==
               "pool option \"size\" is '-3' and must be a whole number, 0 or more");
    BOOST_TEST(refusal(R"({"size": "many"})").find("'many'") != std::string::npos);
    BOOST_TEST(refusal(R"({"acquire_timeout": "5 minutes"})").find("ms, s, min, h") != std::string::npos);
    BOOST_TEST(refusal(R"({"acquire_timeout": -1})").find("acquire_timeout") != std::string::npos);
    BOOST_TEST(refusal(R"({"recycle_after": 1e300})").find("one year") != std::string::npos);
    BOOST_TEST(refusal(R"({"pre_ping": "sometimes"})").find("when_idle") != std::string::npos);
    BOOST_TEST(refusal(R"({"sise": 3})") == "pool option \"sise\" is not known");
    BOOST_TEST(refusal(R"({"settings": 3})").find("an object") != std::string::npos);
    BOOST_TEST(refusal(R"({"url": "postgresql://["})").find("malformed") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_duration_out_of_range_is_refused_by_name)
{
    using std::chrono::milliseconds;
    struct duration_option
    {
        const char* name;
        milliseconds pool_options::*member;
        bool zero_allowed;
    };
    const duration_option all[] = {
        {"overflow_linger", &pool_options::overflow_linger, true},
        {"acquire_timeout", &pool_options::acquire_timeout, false},
        {"recycle_after", &pool_options::recycle_after, true},
        {"idle_timeout", &pool_options::idle_timeout, true},
        {"alive_bypass", &pool_options::alive_bypass, true},
        {"ping_after", &pool_options::ping_after, true},
        {"ping_timeout", &pool_options::ping_timeout, false},
        {"keepalive", &pool_options::keepalive, true},
        {"cleanup_timeout", &pool_options::cleanup_timeout, false},
        {"leak_threshold", &pool_options::leak_threshold, true},
        {"report_transactions_after", &pool_options::report_transactions_after, true},
    };
    for (auto& option : all) {
        auto with = [&](milliseconds value) {
            pool_options o;
            o.*option.member = value;
            try {
                o.validate();
            } catch (const std::invalid_argument& e) {
                return std::string(e.what());
            }
            return std::string();
        };
        BOOST_TEST_CONTEXT(option.name)
        {
            auto named = std::string("pool_options.") + option.name + " is ";
            for (auto value : {milliseconds::min(), -1ms, milliseconds(std::chrono::hours(24 * 366)),
                               milliseconds(std::chrono::hours(24 * 365 * 300)), milliseconds::max()})
                BOOST_TEST(with(value).starts_with(named), with(value));
            BOOST_TEST(with(std::chrono::hours(24 * 365)) == "");
            BOOST_TEST(with(1ms) == "");
            BOOST_TEST(with(0ms).empty() == option.zero_allowed);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_environment_spells_them_as_users_of_pools_know_them)
{
    variable url("DATABASE_URL", "postgresql://somebody@somewhere/something");
    variable size("POOL_SIZE", "3");
    variable overflow("POOL_MAX_OVERFLOW", "4");
    variable timeout("POOL_TIMEOUT", "2");
    variable recycle("POOL_RECYCLE", "90s");
    auto o = pool_options::from_env();
    BOOST_TEST(o.size == 3u);
    BOOST_TEST(o.max_overflow == 4u);
    BOOST_TEST((o.acquire_timeout == 2s));
    BOOST_TEST((o.recycle_after == 90s));
    BOOST_TEST(o.connection.parameters.at("user") == "somebody");
    variable bad("POOL_MAX_WAITERS", "lots");
    BOOST_CHECK_EXCEPTION(
        pool_options::from_env(), std::invalid_argument, [](const std::invalid_argument& e) {
            return std::string(e.what()).find("POOL_MAX_WAITERS is 'lots'") != std::string::npos;
        });
}

BOOST_AUTO_TEST_CASE(environment_errors_name_the_variable)
{
    auto refused = [](const char* name, const char* value) {
        variable set(name, value);
        try {
            pool_options::from_env();
        } catch (const std::invalid_argument& e) {
            return std::string(e.what());
        }
        return std::string("accepted");
    };
    auto begins = [&](const char* name, const char* value, const std::string& begin) {
        auto what = refused(name, value);
        BOOST_TEST(what.starts_with(begin), what);
    };
    begins("POOL_SISE", "3",
           "environment variable POOL_SISE is not known; those that begin with POOL_ are POOL_NAME,");
    begins("POOL_SIZE", "0", "environment variable POOL_SIZE: pool_options.size is 0 and must be 1 to 10000");
    begins("POOL_CONNECT_TIMEOUT", "0",
           "environment variable POOL_CONNECT_TIMEOUT: connection_options.connect_timeout");
    begins("POOL_CANCEL_ENCRYPTION", "always",
           "environment variable POOL_CANCEL_ENCRYPTION is 'always' and must be");
    begins("DATABASE_URL", "postgresql://u:p@h:x/db",
           "environment variable DATABASE_URL: malformed connection string");
    variable encryption("POOL_CANCEL_ENCRYPTION", "require");
    BOOST_TEST((pool_options::from_env().connection.cancel_encryption == pgcoro::cancel_encryption::require));
    variable timeout("POOL_LOCK_TIMEOUT", "10s"); // chosen, though it is the default's value
    BOOST_TEST(pool_options::from_env().connection.lock_timeout.is_chosen());
    BOOST_TEST(!pool_options::from_env().connection.statement_timeout.is_chosen());
}

BOOST_AUTO_TEST_SUITE_END()
