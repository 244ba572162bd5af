#include <pgcoro/error/error.hpp>

#include "base/shortened.hpp"

#include <utility>

namespace pgcoro
{

struct error::payload
{
    std::string what;
    diagnostics diag;
    std::string sql;
};

namespace
{

using detail::longest_message;
using detail::longest_statement;
using detail::longest_text;
using detail::shortened;

class client_category_impl final : public boost::system::error_category
{
public:
    const char* name() const noexcept override { return "pgcoro.client"; }
    std::string message(int value) const override
    {
        switch (value) {
        case lost:
            return "the connection was lost";
        case unavailable:
            return "no connection could be made";
        default:
            return "reported by pgcoro, not by the server";
        }
    }
    boost::system::error_condition default_error_condition(int value) const noexcept override
    {
        switch (value) {
        case lost:
            return make_error_condition(condition::connection_lost);
        case unavailable:
            return make_error_condition(condition::server_unavailable);
        default:
            return {value, *this};
        }
    }

    enum kind { see_exception = 1, lost, unavailable };
};

std::string describe(const std::string& what, const diagnostics& diag, std::string_view sql)
{
    std::string text = shortened(what, longest_message);
    auto line = [&](std::string_view label, std::string_view value, std::size_t most = longest_text) {
        if (!value.empty()) text.append("\n  ").append(label).append(": ").append(shortened(value, most));
    };
    line("detail", diag.detail);
    line("hint", diag.hint);
    line("context", diag.context);
    line("constraint", diag.constraint);
    if (diag.position > 0) line("position", std::to_string(diag.position));
    line("statement", sql, longest_statement);
    return text;
}

std::string headline(const diagnostics& diag)
{
    std::string text = diag.severity + " " + std::string(diag.sqlstate.str());
    if (auto name = condition_name(diag.sqlstate); !name.empty()) text.append(" (").append(name).append(")");
    return text + ": " + shortened(diag.message);
}

} // namespace

error::error(const std::string& what, diagnostics diag, std::string_view sql)
    : std::runtime_error("")
{
    auto text = describe(what, diag, sql);
    if (diag.message.empty()) diag.message = what;
    payload_ = std::make_shared<payload>(payload{std::move(text), std::move(diag), std::string(sql)});
}

error::~error() = default;

const char* error::what() const noexcept { return payload_->what.c_str(); }

boost::system::error_code error::code() const noexcept
{
    if (sqlstate()) return make_error_code(sqlstate());
    return {client_category_impl::see_exception, client_category()};
}

sqlstate error::sqlstate() const noexcept { return payload_->diag.sqlstate; }
const std::string& error::severity() const noexcept { return payload_->diag.severity; }
const std::string& error::message() const noexcept { return payload_->diag.message; }
const std::string& error::detail() const noexcept { return payload_->diag.detail; }
const std::string& error::hint() const noexcept { return payload_->diag.hint; }
const std::string& error::constraint() const noexcept { return payload_->diag.constraint; }
int error::position() const noexcept { return payload_->diag.position; }
const std::string& error::sql() const noexcept { return payload_->sql; }
const diagnostics& error::diag() const noexcept { return payload_->diag; }

bool error::is_transient() const noexcept
{
    switch (classify(sqlstate())) {
    case failure_class::retry_transaction:
    case failure_class::connection_lost:
    case failure_class::server_unavailable:
        return true;
    default:
        return false;
    }
}

// Any error of the server's aborts the transaction it happens in (a savepoint apart).
bool error::invalidates_transaction() const noexcept { return static_cast<bool>(sqlstate()); }

bool error::invalidates_connection() const noexcept
{
    return severity() == "FATAL" || severity() == "PANIC" ||
           classify(sqlstate()) == failure_class::connection_lost;
}

bool error::is_constraint(std::string_view name) const noexcept
{
    return sqlstate().class_code() == "23" && (name.empty() || constraint() == name);
}

void error::add_note(std::string_view note)
{
    auto changed = std::make_shared<payload>(*payload_); // copies of this exception keep theirs
    changed->what.append("\n  ").append(shortened(note, longest_message));
    payload_ = std::move(changed);
}

server_error::server_error(diagnostics diag, std::string_view sql, bool by_standby)
    : error(headline(diag), diag, sql)
    , by_standby_(by_standby)
{
    if (!by_standby) return;
    bool wrote = this->sqlstate() == sqlstates::read_only_sql_transaction;
    add_note(wrote ? "the server is a standby: it is for the primary to write"
                   : "the server is a standby: the primary may be able to run this");
}

connection_error::connection_error(connection_failure why, const std::string& what, diagnostics diag,
                                   std::string_view sql)
    : error(what, std::move(diag), sql)
    , why_(why)
{}

boost::system::error_code connection_error::code() const noexcept
{
    if (sqlstate()) return error::code();
    switch (why_) {
    case connection_failure::lost:
    case connection_failure::timeout:
        return {client_category_impl::lost, client_category()};
    case connection_failure::refused:
    case connection_failure::resolve:
    case connection_failure::too_many_connections:
    case connection_failure::starting_up:
        return {client_category_impl::unavailable, client_category()};
    default:
        return error::code();
    }
}

bool connection_error::is_transient() const noexcept
{
    switch (why_) {
    case connection_failure::options:
    case connection_failure::authentication:
    case connection_failure::no_such_database:
    case connection_failure::tls:
    case connection_failure::protocol:
        return false;
    default:
        return true;
    }
}

std::string_view to_string(connection_failure f) noexcept
{
    switch (f) {
    case connection_failure::options:
        return "wrong options";
    case connection_failure::resolve:
        return "host name has no address";
    case connection_failure::refused:
        return "refused";
    case connection_failure::timeout:
        return "no answer in time";
    case connection_failure::tls:
        return "TLS failed";
    case connection_failure::authentication:
        return "authentication failed";
    case connection_failure::no_such_database:
        return "no such database";
    case connection_failure::too_many_connections:
        return "too many connections";
    case connection_failure::starting_up:
        return "server starting up or shutting down";
    case connection_failure::wrong_role:
        return "server has the wrong role";
    case connection_failure::lost:
        return "connection lost";
    case connection_failure::protocol:
        return "not a PostgreSQL server";
    case connection_failure::other:
        break;
    }
    return "failed";
}

const boost::system::error_category& client_category() noexcept
{
    static const client_category_impl category;
    return category;
}

} // namespace pgcoro
