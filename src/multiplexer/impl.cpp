// A caller's side of the multiplexer.
#include "multiplexer/impl.hpp"

#include "connection/clock.hpp"
#include "connection/session.hpp"
#include "connection/statement_text.hpp"
#include "connection/open_span.hpp"
#include "pool/ends_by.hpp"
#include "resilience/text.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace pgcoro::detail
{

multiplexer_impl::multiplexer_impl(asio::any_io_executor executor, pgcoro::pool& connections,
                                   multiplexer_options options)
    : options_((options.validate(), options))
    , executor_(std::move(executor))
    , pool_(connections)
    , timer_(executor_)
{}

// A caller that goes on, or is destroyed, before its call is settled.
class multiplexer_impl::leaving
{
public:
    leaving(multiplexer_impl& impl, call& c) noexcept
        : impl_(impl)
        , call_(c)
    {}
    leaving(const leaving&) = delete;
    leaving& operator=(const leaving&) = delete;
    ~leaving()
    {
        if (call_.settle()) impl_.leave(call_);
    }

private:
    multiplexer_impl& impl_;
    call& call_;
};

asio::awaitable<result> multiplexer_impl::run(std::string_view sql, params& args, bool read,
                                              std::chrono::milliseconds timeout)
{
    auto self = shared_from_this();
    auto deadline = timeout.count() > 0 ? coarse_now() + timeout : time_point::max();
    auto asked = ask(sql, args, read, deadline);
    if (!asked->goes_apart) {
        leaving unless_settled(*this, *asked);
        auto why = co_await asked->async_wait(std::nullopt, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    }
    if (asked->failure) std::rethrow_exception(asked->failure);
    if (!asked->goes_apart) co_return std::move(asked->got);
    co_return co_await run_apart(asked->known, asked->args, read, deadline);
}

asio::awaitable<result> multiplexer_impl::run_traced(std::string_view sql, params& args, bool read,
                                                     std::chrono::milliseconds timeout, trace_context parent)
{
    auto span = open_span::begin(pool_.options().observer, span_of::statement, parent);
    if (span) {
        span->at(pool_.options().name);
        span->event().sql = sql;
    }
    auto work = run(sql, args, read, timeout);
    co_return co_await spanned(span.get(), std::move(work), &open_span::gave);
}

// The call is in the queue then, or goes apart.
std::shared_ptr<call> multiplexer_impl::ask(std::string_view sql, params& args, bool read,
                                            time_point deadline)
{
    std::shared_ptr<call> made;
    std::size_t missing = 0;
    {
        std::lock_guard lock(mutex_);
        auto known = known_.find(sql);
        if (known->company == company::unknown || known->parameters != args.size()) {
            check_text(sql, args.size());
            known->parameters = args.size();
        }
        if (closed_) throw pool_closed("the multiplexer of pool '" + pool_.options().name + "' is closed");
        made = std::make_shared<call>(std::move(known), std::move(args), read, deadline);
        made->goes_apart = made->known->company == company::apart;
        if (made->goes_apart) {
            ++counters_.apart;
            return made;
        }
        if (queue_.size() >= options_.max_waiting)
            throw pool_timeout("refused at once: " + std::to_string(options_.max_waiting) +
                                   " callers wait for the multiplexer of pool '" + pool_.options().name +
                                   "' already, which is max_waiting",
                               {}, sql);
        made->queued = made;
        queue_.push_back(*made);
        missing = missing_lanes();
        if (deadline < armed_for_) arm(deadline);
    }
    start(missing);
    return made;
}

// Its caller waits no more, and has settled it.
void multiplexer_impl::leave(call& c) noexcept
{
    std::lock_guard lock(mutex_);
    abandon(c);
}

std::shared_ptr<call> multiplexer_impl::dequeue(call& c) noexcept
{
    queue_.erase(queue_.iterator_to(c));
    return std::move(c.queued);
}

// With the lock. The server is told to stop only if all that was sent together is wanted by nobody; the
// connection is brought back by the pool then, and the lane goes on with another one.
void multiplexer_impl::abandon(call& c) noexcept
{
    if (c.queued) dequeue(c);
    if (!c.on) return;
    auto& together = c.on->calls;
    if (!std::all_of(together.begin(), together.end(), [](auto& other) { return other->settled(); })) return;
    asio::post(c.on->strand, [l = c.on->shared_from_this(), batch = c.on->batches] {
        if (l->connection && l->batches == batch) l->stop.emit(asio::cancellation_type::terminal);
    });
}

asio::awaitable<result> multiplexer_impl::run_apart(std::shared_ptr<known_statement> known,
                                                    const params& args, bool read, time_point deadline)
{
    result got;
    auto once = [&](bool& sent) -> asio::awaitable<void> {
        auto held = co_await pool_.acquire();
        request r;
        r.sql = known->sql;
        r.args = &args;
        auto begun = clock::now();
        sent = true;
        auto answer = co_await held->session().run(r);
        if (clock::now() - begun < options_.slow_after) known->company = company_of(answer.command_tag());
        got = std::move(answer);
    };
    for (int times = 1;; ++times) {
        bool sent = false;
        bool in_time = true;
        std::exception_ptr lost;
        try {
            if (deadline == time_point::max()) {
                co_await once(sent);
            } else {
                auto work = once(sent);
                in_time = co_await ends_by(deadline, std::move(work));
            }
        } catch (const connection_error&) {
            if (!sent) throw;
            lost = std::current_exception();
        }
        if (!in_time)
            throw deadline_exceeded("no answer in time to a statement on a connection of its own; the server "
                                    "was told to stop it",
                                    {}, known->sql);
        if (!lost) co_return std::move(got);
        if (!read || times == most_losses) std::rethrow_exception(lost_error(lost, known->sql, read, times));
    }
}

void multiplexer_impl::close() noexcept
{
    std::lock_guard lock(mutex_);
    closed_ = true;
    auto why = std::make_exception_ptr(
        pool_closed("the multiplexer of pool '" + pool_.options().name + "' was closed meanwhile"));
    while (!queue_.empty()) dequeue(queue_.front())->fail(why);
    armed_for_ = time_point::max();
    timer_.cancel();
}

multiplexer_stats multiplexer_impl::stats() const
{
    std::lock_guard lock(mutex_);
    auto s = counters_;
    s.waiting = queue_.size();
    s.connections = running_.size();
    return s;
}

// With the lock. One timer for all.
void multiplexer_impl::arm(time_point at)
{
    armed_for_ = at;
    timer_.expires_at(at);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
        if (ec) return;
        if (auto self = weak.lock()) self->on_timer();
    });
}

void multiplexer_impl::on_timer()
{
    constexpr std::chrono::milliseconds not_oftener_than{10};
    std::lock_guard lock(mutex_);
    auto now = clock::now();
    auto next = time_point::max();
    auto look_at = [&](call& c) {
        if (c.settled()) return;
        if (c.deadline > now) {
            next = std::min(next, c.deadline);
        } else if (auto why = overdue(c); c.settle()) {
            c.failure = why;
            abandon(c);
            c.tell();
        }
    };
    for (auto& l : running_)
        for (auto& c : l.calls) look_at(*c);
    for (auto at = queue_.begin(); at != queue_.end();) {
        auto keep = at->queued;
        ++at;
        look_at(*keep);
    }
    armed_for_ = time_point::max();
    if (next != time_point::max()) arm(std::max<time_point>(next, now + not_oftener_than));
}

std::exception_ptr multiplexer_impl::overdue(const call& c) const
{
    std::string what = "no answer in time: ";
    if (!c.sent)
        what += "the statement was not sent yet";
    else if (c.read)
        what += "the statement was sent";
    else
        what += "the statement was sent, and may or may not be done";
    what += "; the multiplexer of pool '" + pool_.options().name + "' has " +
            std::to_string(running_.size()) + " of " + std::to_string(options_.connections) +
            " connections at work and " + std::to_string(queue_.size()) + " statements waiting";
    return std::make_exception_ptr(deadline_exceeded(what, {}, c.known->sql));
}

} // namespace pgcoro::detail
