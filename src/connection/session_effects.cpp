#include "connection/session_effects.hpp"

#include <pgcoro/error/error.hpp>

namespace pgcoro::detail
{

namespace kind = dirt_kind;

void session_effects::note(std::string_view sql, const params& args)
{
    if (!watches_) return;
    if (auto kinds = known_.of(sql).any()) note(kinds, sql, args);
}

void session_effects::note_script(const std::string& sql)
{
    if (kept_ || !watches_) return note(sql, {});
    auto statements = statements_of(sql);
    if (statements.empty() && known_.of(sql).any()) note(kind::all, sql, {});
    for (auto& s : statements) note(s, {});
}

void session_effects::note(std::uint8_t kinds, std::string_view sql, const params& args)
{
    seen_ |= kinds;
    if (!kept_) opening_.push_back({std::string(sql), args, kinds});
}

void session_effects::keep()
{
    kept_ = true;
    not_to_be_undone_ = seen_ & ~kind::settings;
    seen_ = 0;
    std::erase_if(opening_, [](auto& s) { return !(s.leaves & kind::settings); });
    for (auto& s : opening_)
        if (s.leaves != kind::settings) not_to_be_undone_ |= kind::settings; // running it again does more
}

void session_effects::add_opening(std::string sql) { opening_.push_back({std::move(sql), {}, kind::settings}); }

std::uint8_t session_effects::to_undo(bool all) const
{
    std::uint8_t kinds = seen_;
    if (all) kinds |= kind::all & ~not_to_be_undone_;
    if (auto mixed = kinds & not_to_be_undone_)
        throw error("what is left of a session's user (" +
                    std::string(name_of_dirt(static_cast<std::uint8_t>(mixed))) +
                    ") cannot be told from what was meant to be there");
    return kinds;
}

std::vector<session_effects::remembered> session_effects::undoing(std::uint8_t kinds, bool all) const
{
    std::vector<remembered> statements;
    auto add = [&](const char* sql) { statements.push_back({sql, {}, 0}); };
    if (kinds & kind::cursors) add("close all"); // before the tables that they may read
    if (kinds & kind::settings) {
        for (auto* sql : {"reset session authorization", "reset role", "reset all"}) add(sql);
        statements.insert(statements.end(), opening_.begin(), opening_.end());
    }
    if (kinds & kind::listens) add("unlisten *");
    if (kinds & kind::advisory) add("select pg_catalog.pg_advisory_unlock_all()");
    if (kinds & kind::temporary) add("discard temp");
    if (all) add("discard sequences");
    if (kinds & kind::prepared) add("select name from pg_catalog.pg_prepared_statements where from_sql");
    return statements;
}

} // namespace pgcoro::detail
