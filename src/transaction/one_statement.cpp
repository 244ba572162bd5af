#include "transaction/one_statement.hpp"

#include "connection/settings_transaction.hpp"
#include "pool/pool_impl.hpp"
#include "sql/transaction_control.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"
#include "transaction/parts.hpp"

#include <pgcoro/pool/pool.hpp>

#include <algorithm>
#include <array>

namespace pgcoro
{

namespace asio = boost::asio;

namespace detail
{

namespace
{

// Does the transaction begin read-only? By the spellings of a boolean that the server takes, abbreviations left out.
bool is_read_only(const local_settings& settings)
{
    static constexpr std::array<std::string_view, 4> words{"on", "true", "yes", "1"};
    auto* value = settings.find("transaction_read_only");
    return value && std::ranges::find(words, *value) != words.end();
}

transaction_core fate_of(std::string_view sql, const local_settings& settings, statement_effect effect)
{
    bool reads = effect == statement_effect::reads_only || is_read_only(settings);
    transaction_core fate({.by_id = false, .read_only = reads});
    if (effect == statement_effect::unknown && sql::mentions_notify(sql)) fate.acts_elsewhere();
    fate.statement_sent();
    fate.end_sent(transaction_core::closing::commit, true);
    return fate;
}

// Throws commit_unknown if the failure leaves open whether the statement took effect.
void check_known(transaction_core& fate, const std::exception_ptr& failure)
{
    auto next = transaction_core::decision::report_error;
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        if (dynamic_cast<const connection_error*>(&e) || !is_servers_word(e)) next = fate.end_lost(e.sqlstate());
    } catch (...) { // a cancellation, or misuse
    }
    if (next == transaction_core::decision::report_unknown)
        throw_unknown("the connection broke before COMMIT was answered: the statement may or may not have taken effect",
                      failure);
}

asio::awaitable<result> run_as_transaction(session& s, request r, const local_settings& settings, statement_effect effect)
{
    settings_transaction around(s.settings_of_transaction(), settings);
    r.with = &around.get();
    auto sent = s.sent();
    std::exception_ptr failure;
    try {
        result got = co_await s.run(r);
        co_return got;
    } catch (...) {
        failure = std::current_exception();
    }
    if (s.sent() != sent) {
        auto fate = fate_of(r.sql, settings, effect);
        check_known(fate, failure);
    }
    std::rethrow_exception(failure);
}

} // namespace

asio::awaitable<result> run_with_settings(session& s, request r, const local_settings& settings, statement_effect effect)
{
    if (settings.empty()) return s.run(r);
    return run_as_transaction(s, r, settings, effect);
}

} // namespace detail

// These are here because what comes of a lost COMMIT is judged on this floor.

asio::awaitable<result> pool::run_one(std::string_view sql, const params& args, const local_settings& settings,
                                      std::string_view operation, const trace_context* trace)
{
    sql::refuse_transaction_control(sql, "a pool");
    auto acquiring = trace ? impl().acquire_traced(options().acquire_timeout, *trace, {}) : acquire();
    auto held = co_await std::move(acquiring);
    detail::request r;
    r.sql = sql;
    r.args = &args;
    auto& session = held->session();
    session.name_operation(operation);
    if (trace) session.trace(*trace);
    result got = co_await detail::run_with_settings(session, r, settings, detail::statement_effect::unknown);
    held.release(); // before the caller goes on, which may need a connection
    co_return got;
}

asio::awaitable<result> pool::run_with(const local_settings& settings, std::string_view sql, const params& args)
{
    return run_one(sql, args, settings, {}, nullptr);
}

asio::awaitable<result> named_pool::run_with(const local_settings& settings, std::string_view sql, const params& args)
{
    return pool_->run_one(sql, args, settings, name_, trace_.valid() ? &trace_ : nullptr);
}

with_settings<pool> pool::with(local_settings settings) { return {*this, std::move(settings)}; }
with_settings<named_pool> named_pool::with(local_settings settings) { return {*this, std::move(settings)}; }

} // namespace pgcoro
