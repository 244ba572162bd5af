// The changes that a session's user made outside of transactions (settings, channels, temporary tables, locks …), and the
// statements that undo them.
#pragma once

#include "connection/dirt.hpp"

#include <pgcoro/types/params.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

class session_effects
{
public:
    // A statement that is kept, to be run again.
    struct remembered
    {
        std::string sql;
        params args;
        std::uint8_t leaves = 0; // dirt_kind
    };

    // Starts to record changes.
    void watch() noexcept { watches_ = true; }
    bool watches() const noexcept { return watches_; }
    // Returns true if a change was recorded.
    bool any() const noexcept { return seen_ != 0; }

    // Records the changes of a statement or script that is about to be sent. `kinds` are its changes if they are known.
    void note(std::string_view sql, const params& args);
    void note(std::uint8_t kinds, std::string_view sql, const params& args);
    void note_script(const std::string& sql);

    // Returns the changes that a statement certainly makes. The answer is cached by the statement's text.
    std::uint8_t seen_in(std::string_view sql) { return known_.of(sql).seen; }

    // Declares the changes so far to be the session's intended state.
    void keep();
    // Adds a statement that restores the session's intended settings.
    void add_opening(std::string sql);
    const std::vector<remembered>& opening() const noexcept { return opening_; }

    // Returns the kinds of changes to undo; with `all` every kind that can be undone. Throws `error` if a change cannot be
    // told apart from the intended state.
    std::uint8_t to_undo(bool all) const;
    // Returns the statements that undo these kinds of changes.
    std::vector<remembered> undoing(std::uint8_t kinds, bool all) const;
    void undone() noexcept { seen_ = 0; }

private:
    dirt_memory known_;
    std::vector<remembered> opening_;
    std::uint8_t seen_ = 0;             // dirt_kind
    std::uint8_t not_to_be_undone_ = 0; // of what is kept, because it could not be made again
    bool watches_ = false;
    bool kept_ = false;
};

} // namespace pgcoro::detail
