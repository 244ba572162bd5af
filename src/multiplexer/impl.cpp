// A caller's side of the multiplexer.
#include "multiplexer/impl.hpp"

#include "connection/clock.hpp"
#include "connection/session.hpp"
#include "connection/statement_text.hpp"
#include "connection/open_span.hpp"
#include "error/copy_of.hpp"
#include "pool/pool_impl.hpp"
#include "sql/statement.hpp"
#include "sql/transaction_control.hpp"

#include <pgcoro/detail/time.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

multiplexer_core::limits limits_of(const multiplexer_options& o)
{
    return {o.connections, o.max_batch, o.max_waiting, saturated<multiplexer_core::duration>(o.slow_after)};
}

std::shared_ptr<known_statement> examine(std::string_view sql)
{
    // Parsing takes time in proportion, while the event loop stands still. A longer text counts as a write.
    constexpr std::size_t longest_parsed = 8 * 1024;
    sql::refuse_transaction_control(sql, "a multiplexer");
    bool reads_only = sql.size() <= longest_parsed && sql::parse(sql).nature == sql::nature::read;
    return std::make_shared<known_statement>(std::string(sql), reads_only);
}

} // namespace

multiplexer_impl::multiplexer_impl(asio::any_io_executor executor, const pgcoro::pool& connections,
                                   multiplexer_options options)
    : options_((options.validate(), options))
    , executor_(std::move(executor))
    , pool_(connections.impl().weak_from_this())
    , pool_name_(connections.options().name)
    , observer_(connections.options().observer)
    , core_(limits_of(options_))
{}

// Abandons the statement if its caller ends before it is settled.
class multiplexer_impl::leaving
{
public:
    leaving(multiplexer_impl& impl, pending_statement& s) noexcept
        : impl_(impl)
        , statement_(s)
    {}
    leaving(const leaving&) = delete;
    leaving& operator=(const leaving&) = delete;
    ~leaving()
    {
        if (statement_.settle()) impl_.leave(statement_);
    }

private:
    multiplexer_impl& impl_;
    pending_statement& statement_;
};

// The caller waits in the same way for a queued, a sent and an exclusive statement, so that a cancellation or
// a deadline has the same effect in each of these states.
asio::awaitable<result> multiplexer_impl::run(std::string_view sql, params& args, const local_settings& settings,
                                              bool read, std::chrono::milliseconds timeout)
{
    auto deadline = timeout.count() > 0 ? time_after(coarse_now(), timeout) : time_point::max();
    auto asked = ask(sql, args, settings, read, deadline);
    leaving unless_settled(*this, *asked);
    auto why = co_await asked->async_wait(std::nullopt, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    // Other callers may get the same error, and the code that catches one may add a note to it.
    if (asked->failure) std::rethrow_exception(copy_of(asked->failure));
    co_return std::move(asked->got);
}

asio::awaitable<result> multiplexer_impl::run_traced(std::string_view sql, params& args,
                                                     const local_settings& settings, bool read,
                                                     std::chrono::milliseconds timeout, trace_context parent)
{
    auto span = open_span::begin(observer_, span_of::statement, parent);
    if (span) {
        span->at(pool_name_);
        span->event().sql = sql;
    }
    auto work = run(sql, args, settings, read, timeout);
    co_return co_await spanned(span.get(), std::move(work), &open_span::gave);
}

// With the lock, which is given up while a text that is new here is examined.
std::shared_ptr<known_statement> multiplexer_impl::know(std::string_view sql, std::size_t parameters,
                                                        std::unique_lock<std::mutex>& lock)
{
    auto known = known_.find(sql);
    if (!known) {
        lock.unlock();
        auto examined = examine(sql);
        lock.lock();
        known = known_.add(std::move(examined));
    }
    if (known->batching == batching::unknown || known->parameters != parameters) {
        check_text(sql, parameters);
        known->parameters = parameters;
    }
    return known;
}

std::shared_ptr<pending_statement> multiplexer_impl::ask(std::string_view sql, params& args,
                                                         const local_settings& settings, bool read,
                                                         time_point deadline)
{
    using admission = multiplexer_core::admission;
    std::shared_ptr<pending_statement> made;
    std::vector<worker_ptr> workers;
    admission how{};
    {
        std::unique_lock lock(mutex_);
        auto known = know(sql, args.size(), lock);
        made = std::make_shared<pending_statement>(std::move(known), std::move(args), settings, read, deadline);
        how = core_.ask(made);
        if (how == admission::exclusive) workers.push_back(make_exclusive(made));
        if (how == admission::queued) workers = make_missing_workers();
        bool waits = how == admission::queued || how == admission::exclusive;
        if (waits && deadline < armed_for_) arm(deadline);
    }
    if (how == admission::closed) std::rethrow_exception(closed("is closed"));
    if (how == admission::full)
        throw pool_timeout("refused at once: " + std::to_string(options_.max_waiting) +
                               " callers wait for the multiplexer of pool '" + pool_name_ +
                               "' already, which is max_waiting",
                           {}, sql);
    start(workers);
    return made;
}

// The caller of `s` has settled it and does not wait any more.
void multiplexer_impl::leave(pending_statement& s) noexcept
{
    stop_request unwanted;
    {
        std::lock_guard lock(mutex_);
        unwanted = request_to_stop(core_.leave(s));
    }
    stop(unwanted);
}

void multiplexer_impl::close() noexcept
{
    multiplexer_core::close_result result;
    std::vector<stop_request> unwanted;
    {
        std::lock_guard lock(mutex_);
        result = core_.close();
        for (auto* w : result.stop) unwanted.push_back(request_to_stop(w));
        disarm_at_rest();
    }
    for (auto& s : result.settled) tell_failure(*s, closed("was closed meanwhile"));
    for (auto& r : unwanted) stop(r);
}

multiplexer_stats multiplexer_impl::stats() const
{
    std::lock_guard lock(mutex_);
    auto& counts = core_.counts();
    return {core_.waiting(), core_.connections(), counts.statements,
            counts.batches,  counts.run_again,    counts.exclusive};
}

// With the lock. One timer for all.
void multiplexer_impl::arm(time_point at)
{
    armed_for_ = at;
    if (auto armed = timer_.lock()) armed->cancel();
    auto timer = std::make_shared<asio::steady_timer>(executor_, at);
    timer_ = timer;
    timer->async_wait([timer, weak = weak_from_this()](boost::system::error_code ec) {
        if (ec) return;
        if (auto self = weak.lock()) self->on_timer();
    });
}

// With the lock: nothing keeps the event loop busy while there is nothing to do.
void multiplexer_impl::disarm_at_rest()
{
    if (!core_.at_rest() || core_.waiting() > 0) return;
    armed_for_ = time_point::max();
    if (auto armed = timer_.lock()) armed->cancel();
}

void multiplexer_impl::on_timer()
{
    constexpr std::chrono::milliseconds not_oftener_than{10};
    std::vector<stop_request> unwanted;
    {
        std::lock_guard lock(mutex_);
        auto now = clock::now();
        time_point next;
        for (auto& [s, to_stop] : core_.expire(now, next)) {
            tell_failure(*s, overdue(pending(*s)));
            unwanted.push_back(request_to_stop(to_stop));
        }
        armed_for_ = time_point::max();
        if (next != time_point::max()) arm(std::max(next, time_after(now, not_oftener_than)));
    }
    for (auto& r : unwanted) stop(r);
}

std::exception_ptr multiplexer_impl::overdue(const pending_statement& s) const
{
    std::string what = "no answer in time: ";
    if (!s.sent())
        what += "the statement was not sent yet";
    else if (s.repeatable)
        what += "the statement was sent";
    else
        what += "the statement was sent, and may or may not be done";
    what += "; the multiplexer of pool '" + pool_name_ + "' has " + std::to_string(core_.connections()) +
            " of " + std::to_string(options_.connections) + " connections at work and " +
            std::to_string(core_.waiting()) + " statements waiting";
    return std::make_exception_ptr(deadline_exceeded(what, {}, s.known->sql));
}

std::exception_ptr multiplexer_impl::closed(const char* when) const
{
    return std::make_exception_ptr(pool_closed("the multiplexer of pool '" + pool_name_ + "' " + when));
}

} // namespace pgcoro::detail
