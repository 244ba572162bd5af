// Follows a session's statements, from the request to the answer: keeps its session_context, and knows how to undo what its
// user changed.
#pragma once

#include "connection/session_context.hpp"

#include <pgcoro/types/params.hpp>

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <deque>
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
        std::uint8_t leaves = 0; // effect_kind
    };

    // Starts to watch for what is to be undone; the context is kept in any case.
    void watch() noexcept { watches_ = true; }
    bool watches() const noexcept { return watches_; }
    // Returns true if something is to be undone.
    bool any() const noexcept { return watches_ && context_.effects() != 0; }

    const session_context& context() const noexcept { return context_; }
    // The same, once the statements whose answers are still to come have succeeded.
    const session_context& coming() const noexcept { return expected_.empty() ? context_ : coming_; }
    // Returns true if its parse_settings() are in doubt: one of these statements may fail, and the next one runs nevertheless.
    bool is_parsing_in_doubt() const noexcept { return in_doubt_ && has_parse_settings_ && !expected_.empty(); }
    // Returns true if there are statements whose answers are still to come.
    bool awaits_answers() const noexcept { return !expected_.empty(); }

    // Returns what a statement changes; null if nothing. The answer is cached by the statement's text.
    change_ptr change_of(std::string_view sql) { return known_.of(sql); }

    // --- A round trip. Requests are numbered as in `round_trip`.

    // A round trip begins, or ended: no answers are to come.
    void forget_expected() noexcept
    {
        expected_.clear();
        in_doubt_ = has_parse_settings_ = false;
    }
    // The request is about to be sent.
    void expect(std::size_t request, std::string_view sql, const params& args) { expect(request, known_.of(sql), sql, args); }
    void expect(std::size_t request, const change_ptr& change, std::string_view sql, const params& args);
    // All statements of a text of the simple protocol. `own` is the part of it that the user wrote.
    void expect_script(std::size_t request, std::string_view text, std::string_view own);
    // One statement of the request succeeded.
    void succeeded(std::size_t request);
    void failed(std::size_t request);
    // A Sync is about to be sent. The statements behind it run although those before it failed.
    void expect_sync() noexcept { in_doubt_ = in_doubt_ || !expected_.empty(); }
    void ready(PGTransactionStatusType status);
    // A Sync of a pipeline was answered. While further answers are to come, libpq reports PQTRANS_ACTIVE only.
    void synced(PGTransactionStatusType status);

    // --- The session's intended state

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
    void undone() { context_.restored(); }

private:
    struct expected
    {
        std::size_t request;
        change_ptr change; // null: nothing
    };

    void note(std::uint8_t kinds, std::string_view sql, const params& args);
    void note_opening(std::string_view own);
    void expect_change(std::size_t request, change_ptr change);
    void skip_to(std::size_t request);

    change_memory known_;
    session_context context_;
    session_context coming_;
    bool in_doubt_ = false;           // there was a Sync behind a change
    bool has_parse_settings_ = false; // coming_ had some in this round trip
    std::deque<expected> expected_;
    std::vector<remembered> opening_;
    std::uint8_t opened_ = 0;           // effect_kind: by the statements up to keep()
    std::uint8_t not_to_be_undone_ = 0; // of what is kept, because it could not be made again
    bool watches_ = false;
    bool kept_ = false;
};

} // namespace pgcoro::detail
