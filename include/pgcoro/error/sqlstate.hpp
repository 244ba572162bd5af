#pragma once

#include <pgcoro/export.hpp>

#include <boost/system/error_code.hpp>

#include <array>
#include <compare>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A PostgreSQL error code: five characters of 0–9 and A–Z, the first two of which are its class.
///
/// The list is Appendix A of PostgreSQL's documentation, "PostgreSQL Error Codes". The default value is
/// "00000", successful completion, and stands for "the server said nothing".
class sqlstate
{
public:
    constexpr sqlstate() noexcept = default;

    /// From text such as "40001". Text that is no SQLSTATE gives the default value.
    constexpr explicit sqlstate(std::string_view text) noexcept
    {
        if (text.size() != 5) return;
        for (char c : text)
            if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))) return;
        for (std::size_t i = 0; i < 5; ++i) chars_[i] = text[i];
    }

    /// The five characters.
    constexpr std::string_view str() const noexcept { return {chars_.data(), chars_.size()}; }

    /// The class: the first two characters, for instance "23" for a constraint violation.
    constexpr std::string_view class_code() const noexcept { return str().substr(0, 2); }

    /// True unless it is "00000".
    constexpr explicit operator bool() const noexcept { return *this != sqlstate(); }

    friend constexpr bool operator==(const sqlstate&, const sqlstate&) = default;
    friend constexpr auto operator<=>(const sqlstate&, const sqlstate&) = default;

private:
    std::array<char, 5> chars_{'0', '0', '0', '0', '0'};
};

/// The condition's name in PostgreSQL's documentation, for instance "serialization_failure"; the class's
/// name for a code that the table does not have; empty when even the class is unknown.
std::string_view condition_name(sqlstate code) noexcept;

/// The error category of SQLSTATEs. An `error_code`'s value is the code read as a number to base 36.
const boost::system::error_category& sqlstate_category() noexcept;

/// A SQLSTATE as an `error_code`; "00000" is no error.
boost::system::error_code make_error_code(sqlstate code) noexcept;

/// The SQLSTATE of an `error_code` of `sqlstate_category()`; the default value for any other category.
sqlstate to_sqlstate(const boost::system::error_code& code) noexcept;

/// What can be done about a failure. Each SQLSTATE has one, from the table in `src/error/classification.cpp`.
enum class failure_class {
    none,               ///< no error
    retry_transaction,  ///< the whole transaction may succeed if run again (40001, 40P01)
    retry_on_request,   ///< running again may help, if the caller knows that it does (55P03, 23505, 23P01)
    connection_lost,    ///< the connection is gone; whether a COMMIT under way took place is not known
    server_unavailable, ///< the server starts, stops, or is full: later, or elsewhere (57P03, 53300)
    demoted,            ///< this server takes no writes (25006): the primary is elsewhere now
    resources,          ///< memory or disk ran out for this query; says nothing of other connections
    timeout_or_cancel,  ///< stopped by a timeout or on request (57014, 25P03): not to be repeated by itself
    constraint,         ///< an integrity constraint was violated (class 23)
    caller,             ///< the statement or its data is wrong: repeating does not help
};

/// Looks the code up in the table.
failure_class classify(sqlstate code) noexcept;

/// Conditions to compare an `error_code` with: `if (e.code() == pgcoro::condition::constraint_violation) …`.
enum class condition {
    retryable_transaction = 1,
    connection_lost,
    server_unavailable,
    read_only_server,
    timeout_or_cancel,
    constraint_violation,
};

/// The category of `condition`.
const boost::system::error_category& condition_category() noexcept;

boost::system::error_condition make_error_condition(condition c) noexcept;

/// SQLSTATEs that the layer, or its users, ask for by name.
namespace sqlstates
{
inline constexpr sqlstate feature_not_supported{"0A000"};
inline constexpr sqlstate unique_violation{"23505"};
inline constexpr sqlstate exclusion_violation{"23P01"};
inline constexpr sqlstate read_only_sql_transaction{"25006"};
inline constexpr sqlstate idle_in_transaction_session_timeout{"25P03"};
inline constexpr sqlstate invalid_sql_statement_name{"26000"};
inline constexpr sqlstate invalid_authorization{"28000"};
inline constexpr sqlstate invalid_password{"28P01"};
inline constexpr sqlstate invalid_catalog_name{"3D000"};
inline constexpr sqlstate serialization_failure{"40001"};
inline constexpr sqlstate deadlock_detected{"40P01"};
inline constexpr sqlstate duplicate_prepared_statement{"42P05"};
inline constexpr sqlstate too_many_connections{"53300"};
inline constexpr sqlstate object_not_in_prerequisite_state{"55000"};
inline constexpr sqlstate lock_not_available{"55P03"};
inline constexpr sqlstate query_canceled{"57014"};
inline constexpr sqlstate admin_shutdown{"57P01"};
inline constexpr sqlstate crash_shutdown{"57P02"};
inline constexpr sqlstate cannot_connect_now{"57P03"};
} // namespace sqlstates

} // namespace pgcoro

namespace boost::system
{

template <>
struct is_error_condition_enum<pgcoro::condition> : std::true_type
{};

} // namespace boost::system
