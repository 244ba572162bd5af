// Settings of the server for one statement: the statements that make them, and that set them back.
#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/types/params.hpp>

#include <cstddef>
#include <string>

namespace pgcoro::detail
{

// The texts depend on the number of settings only: names and values are parameters. So each is prepared once.

// Makes `count` settings for the transaction. Parameters: name, value, name, value …
std::string set_local_statement(std::size_t count);
// The same, and keeps the values from before for restore_statement().
std::string save_and_set_local_statement(std::size_t count);
// Sets them back, the last one first: a role that was set last may not have been allowed to set the others. Parameters:
// the names.
std::string restore_statement(std::size_t count);

// Parameters of these statements.
params names_and_values(const local_settings& settings);
params names_of(const local_settings& settings);

// Makes a statement a transaction with these settings, in one round trip. There is a BEGIN, because CALL and DO could end
// an implicit transaction, and with it the settings, and then go on without them. COMMIT goes behind a Sync, so that
// it ends the transaction also if the statement fails.
class settings_transaction
{
public:
    // `of_options` is the statement that makes the settings of the connection options; it may be empty.
    settings_transaction(const std::string& of_options, const local_settings& settings);
    settings_transaction(const settings_transaction&) = delete;
    settings_transaction& operator=(const settings_transaction&) = delete;

    const prologue& get() const noexcept { return prologue_; }

private:
    params args_;
    prologue prologue_;
};

// Makes settings for a statement of a transaction, and sets them back behind the statement.
class settings_in_transaction
{
public:
    settings_in_transaction(prologue& of, const local_settings& settings);
    settings_in_transaction(const settings_in_transaction&) = delete;
    settings_in_transaction& operator=(const settings_in_transaction&) = delete;

private:
    params set_;
    params restore_;
};

} // namespace pgcoro::detail
