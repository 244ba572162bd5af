// Every SQLSTATE that the layer treats in a way of its own, and what way. Names and codes: PostgreSQL's
// documentation, Appendix A, "PostgreSQL Error Codes". The last column says what the class rests on.
#include <pgcoro/error/sqlstate.hpp>

#include <algorithm>
#include <array>

namespace pgcoro
{
namespace
{

struct row
{
    std::string_view code; // five characters, or two for the rest of a class
    std::string_view name;
    failure_class what;
};

using enum failure_class;

// Sorted by code. A whole class stands as its two characters, behind its members' own rows.
constexpr std::array table{
    row{"00", "successful_completion", none},
    row{"01", "warning", none},
    row{"02", "no_data", none},
    // Class 08: the connection itself. "Protocol Flow": after such an error there is nothing to go on with.
    // 08P01 is also what the server calls a wrong number of parameters, and goes on after it; where the
    // session ends with it, it does so as FATAL.
    row{"08P01", "protocol_violation", caller},
    row{"08", "connection_exception", connection_lost},
    row{"0A", "feature_not_supported", caller},
    row{"0B", "invalid_transaction_initiation", caller},
    row{"21", "cardinality_violation", caller},
    row{"22", "data_exception", caller},
    // 23505 and 23P01 can be another session's race ("Serialization Failure Handling", chapter 13.5: retrying
    // them is right only where the application chose the key anew).
    row{"23502", "not_null_violation", constraint},
    row{"23503", "foreign_key_violation", constraint},
    row{"23505", "unique_violation", retry_on_request},
    row{"23514", "check_violation", constraint},
    row{"23P01", "exclusion_violation", retry_on_request},
    row{"23", "integrity_constraint_violation", constraint},
    row{"24", "invalid_cursor_state", caller},
    // "Hot Standby", chapter 27.4: a standby, or a primary that was demoted, answers writes with 25006. The
    // caller's own READ ONLY transaction does too: who knows which it is, is the floor that routes.
    row{"25006", "read_only_sql_transaction", demoted},
    row{"25P02", "in_failed_sql_transaction", caller},
    // "Client Connection Defaults": both end the session with FATAL.
    row{"25P03", "idle_in_transaction_session_timeout", timeout_or_cancel},
    row{"25P04", "transaction_timeout", timeout_or_cancel},
    row{"25", "invalid_transaction_state", caller},
    row{"26", "invalid_sql_statement_name", caller},
    row{"28000", "invalid_authorization_specification", caller},
    row{"28P01", "invalid_password", caller},
    row{"28", "invalid_authorization_specification", caller},
    row{"2D", "invalid_transaction_termination", caller},
    row{"34", "invalid_cursor_name", caller},
    row{"3D", "invalid_catalog_name", caller},
    row{"3F", "invalid_schema_name", caller},
    // "Serialization Failure Handling", chapter 13.5: both call for the whole transaction again.
    row{"40001", "serialization_failure", retry_transaction},
    row{"40002", "transaction_integrity_constraint_violation", constraint},
    row{"40003", "statement_completion_unknown", connection_lost},
    row{"40P01", "deadlock_detected", retry_transaction},
    row{"40", "transaction_rollback", caller},
    row{"42501", "insufficient_privilege", caller},
    row{"42601", "syntax_error", caller},
    row{"42703", "undefined_column", caller},
    row{"42883", "undefined_function", caller},
    row{"42P01", "undefined_table", caller},
    row{"42P05", "duplicate_prepared_statement", caller},
    row{"42", "syntax_error_or_access_rule_violation", caller},
    row{"44", "with_check_option_violation", caller},
    // "Connections and Authentication", max_connections: full now, not for ever.
    row{"53100", "disk_full", resources},
    row{"53200", "out_of_memory", resources},
    row{"53300", "too_many_connections", server_unavailable},
    row{"53400", "configuration_limit_exceeded", resources},
    row{"53", "insufficient_resources", resources},
    row{"54", "program_limit_exceeded", caller},
    row{"55006", "object_in_use", retry_on_request},
    // "Explicit Locking" and lock_timeout, NOWAIT: the caller asked not to wait.
    row{"55P03", "lock_not_available", retry_on_request},
    row{"55", "object_not_in_prerequisite_state", caller},
    // "Client Connection Defaults", statement_timeout, and "Server Signaling Functions", pg_cancel_backend.
    row{"57014", "query_canceled", timeout_or_cancel},
    // "Shutting Down the Server" and pg_terminate_backend: the session ends.
    row{"57P01", "admin_shutdown", connection_lost},
    row{"57P02", "crash_shutdown", connection_lost},
    row{"57P03", "cannot_connect_now", server_unavailable},
    row{"57P04", "database_dropped", caller},
    row{"57P05", "idle_session_timeout", connection_lost},
    row{"57", "operator_intervention", timeout_or_cancel},
    row{"58", "system_error", resources},
    row{"72", "snapshot_failure", caller},
    row{"F0", "config_file_error", caller},
    row{"HV", "fdw_error", caller},
    row{"P0", "plpgsql_error", caller},
    row{"XX", "internal_error", caller},
};

const row* find(sqlstate code) noexcept
{
    auto at = [](std::string_view key) {
        return std::find_if(table.begin(), table.end(), [&](const row& r) { return r.code == key; });
    };
    auto it = at(code.str());
    if (it == table.end()) it = at(code.class_code());
    return it == table.end() ? nullptr : &*it;
}

class sqlstate_category_impl final : public boost::system::error_category
{
public:
    const char* name() const noexcept override { return "pgcoro.sqlstate"; }

    std::string message(int value) const override
    {
        auto code = to_sqlstate({value, *this});
        return std::string(code.str()) + " " + std::string(condition_name(code));
    }

    boost::system::error_condition default_error_condition(int value) const noexcept override
    {
        switch (classify(to_sqlstate({value, *this}))) {
        case retry_transaction:
            return make_error_condition(condition::retryable_transaction);
        case connection_lost:
            return make_error_condition(condition::connection_lost);
        case server_unavailable:
            return make_error_condition(condition::server_unavailable);
        case demoted:
            return make_error_condition(condition::read_only_server);
        case timeout_or_cancel:
            return make_error_condition(condition::timeout_or_cancel);
        case constraint:
            return make_error_condition(condition::constraint_violation);
        default:
            break;
        }
        if (to_sqlstate({value, *this}).class_code() == "23")
            return make_error_condition(condition::constraint_violation);
        return {value, *this};
    }
};

class condition_category_impl final : public boost::system::error_category
{
public:
    const char* name() const noexcept override { return "pgcoro.condition"; }

    std::string message(int value) const override
    {
        switch (static_cast<condition>(value)) {
        case condition::retryable_transaction:
            return "the transaction may succeed if run again";
        case condition::connection_lost:
            return "the connection is lost";
        case condition::server_unavailable:
            return "the server takes no connections at present";
        case condition::read_only_server:
            return "the server takes no writes";
        case condition::timeout_or_cancel:
            return "stopped by a timeout or on request";
        case condition::constraint_violation:
            return "an integrity constraint was violated";
        }
        return "unknown";
    }
};

constexpr int digit(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

} // namespace

std::string_view condition_name(sqlstate code) noexcept
{
    auto* found = find(code);
    return found ? found->name : std::string_view();
}

failure_class classify(sqlstate code) noexcept
{
    auto* found = find(code);
    return found ? found->what : caller;
}

const boost::system::error_category& sqlstate_category() noexcept
{
    static const sqlstate_category_impl category;
    return category;
}

const boost::system::error_category& condition_category() noexcept
{
    static const condition_category_impl category;
    return category;
}

boost::system::error_code make_error_code(sqlstate code) noexcept
{
    int value = 0; // 36^5 fits
    for (char c : code.str()) value = value * 36 + digit(c);
    return {value, sqlstate_category()};
}

boost::system::error_condition make_error_condition(condition c) noexcept
{
    return {static_cast<int>(c), condition_category()};
}

sqlstate to_sqlstate(const boost::system::error_code& code) noexcept
{
    if (code.category() != sqlstate_category()) return {};
    std::array<char, 5> text{};
    int value = code.value();
    for (auto it = text.rbegin(); it != text.rend(); ++it, value /= 36)
        *it = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[value % 36];
    return sqlstate({text.data(), text.size()});
}

} // namespace pgcoro
