#include "connection/session_effects.hpp"

#include <pgcoro/error/error.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace kind = effect_kind;

void session_effects::expect(std::size_t request, const change_ptr& change, std::string_view sql, const params& args)
{
    if (!change) return;
    note(change->kinds(), sql, args);
    if (!change->steps.empty())
        expect_change(request, has_parameters(*change)
                                   ? std::make_shared<const session_change>(with_parameters(*change, args))
                                   : change);
}

void session_effects::expect_change(std::size_t request, change_ptr change)
{
    if (expected_.empty()) {
        coming_ = context_;
        has_parse_settings_ = has_parse_settings_ || coming_.has_parse_settings();
    }
    coming_.apply(*change);
    has_parse_settings_ = has_parse_settings_ || coming_.has_parse_settings();
    expected_.push_back({request, std::move(change)});
}

// Each answer belongs to one statement, so those that change nothing are expected, too.
void session_effects::expect_script(std::size_t request, std::string_view text, std::string_view own)
{
    auto changes = known_.of_script(text);
    if (!kept_) note_opening(own);
    for (auto& each : changes) // what goes before the user's own statements leaves nothing
        if (each && kept_) note(each->kinds(), {}, {});
    if (std::ranges::none_of(changes, [](auto& each) { return each && !each->steps.empty(); })) return;
    for (auto& each : changes) expected_.push_back({request, std::move(each)});
}

// Runs into the answers of a later request: those before have come, or will not.
void session_effects::skip_to(std::size_t request)
{
    while (!expected_.empty() && expected_.front().request < request) expected_.pop_front();
}

void session_effects::succeeded(std::size_t request)
{
    if (expected_.empty()) return;
    skip_to(request);
    if (expected_.empty() || expected_.front().request != request) return;
    if (auto& change = expected_.front().change) context_.apply(*change);
    expected_.pop_front();
}

void session_effects::failed(std::size_t request)
{
    skip_to(request);
    bool is_its = !expected_.empty() && expected_.front().request == request;
    context_.failed(is_its ? expected_.front().change.get() : nullptr);
    skip_to(request + 1);
    coming_ = context_;
    for (auto& each : expected_)
        if (each.change) coming_.apply(*each.change);
}

void session_effects::synced(PGTransactionStatusType status)
{
    if (status == PQTRANS_ACTIVE) return context_.synced();
    ready(status);
}

void session_effects::ready(PGTransactionStatusType status)
{
    if (status == PQTRANS_INERROR) context_.failed();
    if (status == PQTRANS_IDLE || status == PQTRANS_INTRANS) context_.ready(status == PQTRANS_IDLE);
}

void session_effects::note(std::uint8_t kinds, std::string_view sql, const params& args)
{
    if (!watches_ || !kinds) return;
    context_.may_leave(static_cast<std::uint8_t>(kinds & ~kind::settings));
    if (kept_) return;
    opened_ |= kinds;
    opening_.push_back({std::string(sql), args, kinds});
}

void session_effects::note_opening(std::string_view own)
{
    if (!watches_) return;
    auto statements = statements_of(own);
    auto as_one = known_.of(own);
    if (statements.empty() && as_one) note(kind::all, own, {});
    for (auto& s : statements)
        if (auto change = known_.of(s)) note(change->kinds(), s, {});
}

void session_effects::keep()
{
    kept_ = true;
    not_to_be_undone_ = opened_ & ~kind::settings;
    std::erase_if(opening_, [](auto& s) { return !(s.leaves & kind::settings); });
    for (auto& s : opening_)
        if (s.leaves != kind::settings) not_to_be_undone_ |= kind::settings; // running it again does more
    context_.intend();
}

void session_effects::add_opening(std::string sql)
{
    if (auto change = known_.of(sql)) context_.apply(*change);
    context_.ready(true);
    context_.intend();
    opening_.push_back({std::move(sql), {}, kind::settings});
}

std::uint8_t session_effects::to_undo(bool all) const
{
    std::uint8_t kinds = context_.effects();
    if (all) kinds |= kind::all & ~not_to_be_undone_;
    if (auto mixed = kinds & not_to_be_undone_)
        throw error("what is left of a session's user (" +
                    std::string(name_of_effect(static_cast<std::uint8_t>(mixed))) +
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
