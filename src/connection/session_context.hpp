// The settings of a session. A value without I/O, and their only owner: the session reports the answers to statements.
#pragma once

#include "connection/session_change.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// Settings are relative to the session's defaults: those that RESET restores. Transactions and savepoints undo settings as the
// server does.
class session_context
{
public:
    // A statement succeeded. All parameters of `change` have their values.
    void apply(const session_change& change);
    // A statement failed. `change` is what it would have done.
    void failed(const session_change* change = nullptr);
    // The server is ready for the next statement; `idle`: no transaction is open.
    void ready(bool idle);
    // A Sync was answered. Outside of a block, that committed, or rolled back, the statements since the last one.
    void synced();

    // The statement that is about to be sent may leave these kinds of effects, also if it fails.
    void may_leave(std::uint8_t kinds) noexcept { left_ |= kinds; }

    // Declares the present state to be the one that the session is meant to have.
    void intend();
    // That state was made again.
    void restored();

    // Returns the effects (effect_kind) that set the session apart from its intended state.
    std::uint8_t effects() const noexcept;
    // Returns true if something unknown may have been set.
    bool may_be_set() const noexcept { return now_.unknown || now_.unknown_of_transaction || intended_unknown_; }
    // Returns false if something unknown may have been set, or temporary objects may hide others: results of this session
    // must not be shared with other sessions.
    bool is_known() const noexcept { return !may_be_set() && !now_.temporary; }
    // Returns the settings that can change a result, as a text that is equal only for equal settings. Empty if all
    // settings have their defaults. Meaningful only if is_known().
    std::string digest() const;
    // Returns the settings that the server applies once when it parses and plans a statement, and not again when it runs it: '…' as
    // a timestamptz is read in the time zone of that moment. A prepared statement may run only where these are the same. Not
    // among them are those for which the server itself makes a new plan (role, row security, search_path), and custom settings
    // (with a dot), which functions read while they run. Empty if all have their defaults. Valid until the next change.
    const std::string& parse_settings() const;
    // Returns true if there are such settings, or if the end of the transaction, or of a savepoint in it, would restore some.
    bool has_parse_settings() const noexcept;
    // Returns the value that a setting was given; null if it has its default.
    const std::string* find(std::string_view name) const;

private:
    struct setting // with what its name says, which takes too long to find out for each statement
    {
        std::string value;
        bool results; // can_change_results()
        bool parsing; // can_change_parsing()

        bool operator==(const setting&) const = default;
    };
    using settings = std::map<std::string, setting, std::less<>>;
    struct state
    {
        settings of_session;
        settings of_transaction; // these hide those of the session
        bool unknown = false;
        bool unknown_of_transaction = false;
        bool temporary = false;

        bool operator==(const state&) const = default;
    };
    struct savepoint
    {
        std::string name;
        state at;
    };

    static void put(settings& into, const std::string& name, const std::string& value);
    static bool has_any(const state& in, bool setting::*matters) noexcept;
    std::string digest_of(bool setting::*matters) const;
    void apply(const session_change::step& step);
    void set(const session_change::step& step);
    void set_local(const session_change::step& step);
    void reset_all();
    void end(bool chain);
    void roll_back(bool chain);
    void roll_back_to(const std::string& name);
    void forget_savepoint(const std::string& name);
    std::vector<savepoint>::iterator latest(const std::string& name);

    state before_; // the transaction
    state now_;
    settings intended_;
    bool intended_unknown_ = false;
    std::vector<savepoint> savepoints_;
    std::uint8_t left_ = 0; // effect_kind, without settings
    bool in_block_ = false; // between BEGIN and its end
    bool touched_ = false;  // something happened since the server was idle
    bool failed_ = false;   // the transaction's settings are undone, back to a savepoint or to its beginning
    mutable std::optional<std::string> parse_settings_; // of now_: each statement asks for them
};

// Returns false for settings that cannot change the result of a query: time limits, memory, logs, the planner's costs, and the
// transaction's modes.
bool can_change_results(std::string_view setting) noexcept;
// Returns false for settings that cannot change how a statement is parsed and planned; see session_context::parse_settings().
bool can_change_parsing(std::string_view setting) noexcept;

} // namespace pgcoro::detail
