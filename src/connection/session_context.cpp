#include "connection/session_context.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace pgcoro::detail
{
namespace
{

using act = session_change::act;

constexpr std::string_view role = "role";
constexpr std::string_view session_authorization = "session_authorization";

// Stands for a default that a transaction sets in place of a session's value. No setting has a NUL in its value.
const std::string default_value(1, '\0');

// However they are set, they end with their transaction.
bool is_of_transaction(std::string_view setting) noexcept
{
    static constexpr std::array<std::string_view, 4> modes{"transaction_deferrable", "transaction_isolation",
                                                           "transaction_read_only", "transaction_snapshot"};
    return std::ranges::find(modes, setting) != modes.end();
}

// RESET ALL leaves these alone.
bool is_kept_by_reset_all(std::string_view setting) noexcept
{
    return setting == role || setting == session_authorization || is_of_transaction(setting);
}

void append(std::string& to, std::string_view part) { to.append(std::to_string(part.size())).append(":").append(part); }

} // namespace

bool can_change_results(std::string_view setting) noexcept
{
    static constexpr std::array<std::string_view, 6> names{"application_name",      "client_min_messages",   "synchronous_commit",
                                                           "transaction_deferrable", "transaction_isolation", "transaction_read_only"};
    static constexpr std::array<std::string_view, 3> prefixes{"enable_", "log_", "track_"};
    static constexpr std::array<std::string_view, 3> suffixes{"_cost", "_mem", "_timeout"};
    if (setting.find('.') != setting.npos) return true; // an extension's, or the user's
    auto starts = [&](auto prefix) { return setting.starts_with(prefix); };
    auto ends = [&](auto suffix) { return setting.ends_with(suffix); };
    return std::ranges::find(names, setting) == names.end() && std::ranges::none_of(prefixes, starts) &&
           std::ranges::none_of(suffixes, ends);
}

bool can_change_parsing(std::string_view setting) noexcept
{
    static constexpr std::array<std::string_view, 4> applied_later{"role", "row_security", "search_path", "session_authorization"};
    return setting.find('.') == setting.npos && can_change_results(setting) && !is_of_transaction(setting) &&
           std::ranges::find(applied_later, setting) == applied_later.end();
}

void session_context::apply(const session_change& change)
{
    touched_ = true;
    parse_settings_.reset();
    for (auto& step : change.steps) apply(step);
}

void session_context::apply(const session_change::step& step)
{
    if (step.copies) {
        auto* copied = find(*step.value);
        return apply({.what = step.what, .name = step.name, .value = copied ? std::optional(*copied) : std::nullopt});
    }
    switch (step.what) {
    case act::set:
        set(step);
        break;
    case act::set_local:
        set_local(step);
        break;
    case act::reset_all:
        reset_all();
        break;
    case act::discard_all:
        now_ = {};
        break;
    case act::discard_temporary:
        now_.temporary = false;
        break;
    case act::begin:
        in_block_ = true;
        break;
    case act::commit:
        failed_ ? roll_back(step.chain) : end(step.chain);
        break;
    case act::rollback:
        roll_back(step.chain);
        break;
    case act::savepoint:
        savepoints_.push_back({step.name, now_});
        break;
    case act::release:
        forget_savepoint(step.name);
        break;
    case act::rollback_to:
        roll_back_to(step.name);
        break;
    case act::make_temporary:
        now_.temporary = true;
        break;
    case act::unknown:
        now_.unknown = true;
        break;
    case act::unknown_local:
        if (step.name.empty() || can_change_results(step.name)) now_.unknown_of_transaction = true;
        break;
    }
}

void session_context::set(const session_change::step& step)
{
    now_.of_transaction.erase(step.name);
    if (is_of_transaction(step.name)) return set_local(step); // SET transaction_isolation is local, too
    if (step.value)
        put(now_.of_session, step.name, *step.value);
    else
        now_.of_session.erase(step.name);
    if (step.name != session_authorization) return;
    // The server gives up the role with the user who took it on.
    now_.of_session.erase(std::string(role));
    now_.of_transaction.erase(std::string(role));
    now_.unknown = now_.unknown || step.value;
}

void session_context::set_local(const session_change::step& step)
{
    // It also gives up the role, which the end of the transaction does not restore.
    now_.unknown = now_.unknown || step.name == session_authorization;
    now_.of_transaction.erase(step.name);
    if (step.value)
        put(now_.of_transaction, step.name, *step.value);
    else if (now_.of_session.contains(step.name))
        put(now_.of_transaction, step.name, default_value);
}

// The server passes over settings that have their default now, also where SET LOCAL … TO DEFAULT hides another value.
void session_context::reset_all()
{
    auto hidden = [&](const std::string& name) {
        auto at = now_.of_transaction.find(name);
        return at != now_.of_transaction.end() && at->second.value == default_value;
    };
    auto resets = [&](auto& each) { return !is_kept_by_reset_all(each.first) && !hidden(each.first); };
    std::erase_if(now_.of_session, resets);
    std::erase_if(now_.of_transaction, resets);
}

// With AND CHAIN the next transaction has the same modes.
void session_context::end(bool chain)
{
    now_.unknown_of_transaction = false;
    std::erase_if(now_.of_transaction, [&](auto& each) { return !chain || !is_of_transaction(each.first); });
    before_ = now_;
    before_.of_transaction.clear();
    savepoints_.clear();
    in_block_ = chain;
    failed_ = false;
}

void session_context::roll_back(bool chain)
{
    auto modes = now_.of_transaction;
    now_ = before_;
    now_.of_transaction = std::move(modes);
    end(chain);
}

std::vector<session_context::savepoint>::iterator session_context::latest(const std::string& name)
{
    auto found = std::find_if(savepoints_.rbegin(), savepoints_.rend(), [&](auto& s) { return s.name == name; });
    return found == savepoints_.rend() ? savepoints_.end() : std::prev(found.base());
}

void session_context::forget_savepoint(const std::string& name) { savepoints_.erase(latest(name), savepoints_.end()); }

void session_context::roll_back_to(const std::string& name)
{
    auto found = latest(name);
    if (found == savepoints_.end()) { // one that nobody saw
        now_.unknown = true;
        return;
    }
    now_ = found->at;
    savepoints_.erase(std::next(found), savepoints_.end());
    failed_ = false;
}

void session_context::failed(const session_change* change)
{
    touched_ = failed_ = true;
    if (!change || in_block_) return;
    // DO and CALL may have committed a part of their work before they failed.
    if (std::ranges::any_of(change->steps, [](auto& s) { return s.what == act::unknown; })) before_.unknown = true;
}

void session_context::ready(bool idle)
{
    if (!idle || !touched_) return;
    parse_settings_.reset();
    // A block that ended by a statement that nobody saw may have been committed, or not.
    auto of_session = [](const state& s) { return std::tie(s.of_session, s.unknown, s.temporary); };
    bool is_doubtful = in_block_ && !failed_ && of_session(now_) != of_session(before_);
    failed_ ? roll_back(false) : end(false);
    if (is_doubtful) now_.unknown = before_.unknown = true;
    touched_ = false;
}

void session_context::synced()
{
    if (!in_block_) ready(true);
}

void session_context::intend()
{
    intended_ = now_.of_session;
    intended_unknown_ = intended_unknown_ || now_.unknown;
    now_.unknown = now_.temporary = false;
    before_ = now_;
    left_ = 0;
}

void session_context::restored()
{
    parse_settings_.reset();
    now_ = {};
    now_.of_session = intended_;
    before_ = now_;
    left_ = 0;
}

std::uint8_t session_context::effects() const noexcept
{
    bool differs = now_.unknown || before_.unknown || now_.of_session != intended_;
    return static_cast<std::uint8_t>(left_ | (differs ? effect_kind::settings : 0));
}

const std::string* session_context::find(std::string_view name) const
{
    for (auto* place : {&now_.of_transaction, &now_.of_session})
        if (auto at = place->find(name); at != place->end()) return at->second.value == default_value ? nullptr : &at->second.value;
    return nullptr;
}

void session_context::put(settings& into, const std::string& name, const std::string& value)
{
    into.insert_or_assign(name, setting{value, can_change_results(name), can_change_parsing(name)});
}

bool session_context::has_any(const state& in, bool setting::*matters) noexcept
{
    auto of = [&](auto& each) { return each.second.*matters; };
    return std::ranges::any_of(in.of_transaction, of) || std::ranges::any_of(in.of_session, of);
}

std::string session_context::digest_of(bool setting::*matters) const
{
    std::string text;
    if (!has_any(now_, matters)) return text; // nothing to copy, as for most sessions
    auto all = now_.of_transaction;
    all.insert(now_.of_session.begin(), now_.of_session.end());
    for (auto& [name, set_to] : all) {
        if (set_to.value == default_value || !(set_to.*matters)) continue;
        append(text, name);
        append(text, set_to.value);
    }
    return text;
}

std::string session_context::digest() const { return digest_of(&setting::results); }

const std::string& session_context::parse_settings() const
{
    if (!parse_settings_) parse_settings_ = digest_of(&setting::parsing);
    return *parse_settings_;
}

bool session_context::has_parse_settings() const noexcept
{
    auto in = [](const state& s) { return has_any(s, &setting::parsing); };
    return in(now_) || in(before_) || std::ranges::any_of(savepoints_, [&](auto& s) { return in(s.at); });
}

} // namespace pgcoro::detail
