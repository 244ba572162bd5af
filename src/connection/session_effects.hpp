// What a session's user changed beyond transactions, and what undoes it.
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

    // Watches from now on; before, nothing is noted.
    void watch() noexcept { watches_ = true; }
    bool watches() const noexcept { return watches_; }
    // Something was changed, as far as it is watched for.
    bool any() const noexcept { return seen_ != 0; }

    // A statement, or a script, is about to be sent; `kinds`: what it leaves behind, where that is known.
    void note(std::string_view sql, const params& args);
    void note(std::uint8_t kinds, std::string_view sql, const params& args);
    void note_script(const std::string& sql);

    // What a statement leaves behind for certain. Remembered, for statements that come again and again.
    std::uint8_t seen_in(std::string_view sql) { return known_.of(sql).seen; }

    // What was changed so far is how the session is meant to be.
    void keep();
    // A statement that makes the settings of a session as it is meant to be.
    void add_opening(std::string sql);
    const std::vector<remembered>& opening() const noexcept { return opening_; }

    // What is to be undone; with `all` whatever can be, as if it had been changed. Throws `error` where it cannot be told
    // from what is meant to be there.
    std::uint8_t to_undo(bool all) const;
    // The statements that undo these kinds.
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
