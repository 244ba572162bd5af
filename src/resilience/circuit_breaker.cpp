#include "resilience/breaker_core.hpp"
#include "resilience/text.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <mutex>

namespace pgcoro
{
namespace
{

// A server's error that is no failure is an answer, and so a success for the breaker.
bool is_answer(const std::exception_ptr& failure) noexcept { return !detail::sqlstate_of(failure).empty(); }

circuit_open refusal(const std::string& name, const breaker_status& status, const detail::call_counts& judged,
                     const std::string& last_failure, circuit_breaker::time_point now)
{
    auto text = name + ": the call was not made, the circuit is ";
    if (status.state == breaker_state::half_open) {
        text += "half-open and its trial calls are under way";
        return {text, now};
    }
    text += "open; next trial in " + detail::text_of(status.retry_at - now) + "; of " +
            std::to_string(judged.calls) + " calls " + std::to_string(judged.failures) + " failed and " +
            std::to_string(judged.slow) + " were slow";
    if (!last_failure.empty()) text += "; last failure: " + last_failure;
    return {text, status.retry_at};
}

} // namespace

std::string_view to_string(breaker_state s) noexcept
{
    switch (s) {
    case breaker_state::closed:
        return "closed";
    case breaker_state::open:
        return "open";
    case breaker_state::half_open:
        return "half_open";
    }
    return "unknown";
}

bool is_breaker_failure(const std::exception_ptr& failure) noexcept
{
    if (!failure || is_cancellation(failure)) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const circuit_open&) {
        return false;
    } catch (const deadline_exceeded&) {
        return true;
    } catch (const connection_error& e) {
        return e.why() != connection_failure::options;
    } catch (const error& e) {
        if (classify(e.sqlstate()) == failure_class::retry_transaction) return false;
        return e.is_transient() || e.invalidates_connection();
    } catch (const boost::system::system_error&) {
        return true;
    } catch (...) {
        return false;
    }
}

circuit_breaker_options circuit_breaker_options::consecutive(int failures, std::chrono::nanoseconds open_for)
{
    return {.window = count_window{failures}, .min_calls = failures, .failure_rate = 1, .open_for = open_for};
}

void circuit_breaker_options::validate() const
{
    auto refuse = [&](const char* field, std::string_view range, const std::string& value) {
        detail::out_of_range("circuit breaker " + name, field, range, value);
    };
    auto check_rate = [&](const char* field, double rate) {
        if (!(rate > 0 && rate <= 1)) refuse(field, "above 0 and at most 1", detail::text_of(rate));
    };
    auto check_positive = [&](const char* field, std::chrono::nanoseconds value) {
        if (value <= std::chrono::nanoseconds::zero()) refuse(field, "above 0", detail::text_of(value));
    };
    if (min_calls < 1) refuse("min_calls", "1 or more", std::to_string(min_calls));
    if (auto* last = std::get_if<count_window>(&window)) {
        if (last->calls < min_calls)
            refuse("count_window::calls", "at least min_calls, " + std::to_string(min_calls),
                   std::to_string(last->calls));
    } else {
        check_positive("time_window::length", std::get<time_window>(window).length);
    }
    check_rate("failure_rate", failure_rate);
    check_positive("slow_call", slow_call);
    check_rate("slow_call_rate", slow_call_rate);
    check_positive("open_for", open_for);
    if (half_open_calls < 1) refuse("half_open_calls", "1 or more", std::to_string(half_open_calls));
    if (!is_failure) refuse("is_failure", "a function", "empty");
}

struct circuit_breaker::impl
{
    explicit impl(circuit_breaker_options o)
        : options((o.validate(), std::move(o)))
        , core(options)
        , time(options.time ? *options.time : time_source::steady())
    {}

    void end(std::uint64_t period, detail::call_outcome outcome, time_point started,
             std::string failure = {});
    void tell(const std::optional<detail::state_change>& change) const noexcept;
    const circuit_breaker_options options;
    mutable std::mutex mutex;
    detail::breaker_core core;
    time_source& time;
    // Why it is open, for the message of circuit_open. Text, because others may add notes to an exception.
    detail::call_counts opened_after;
    std::string last_failure;
};

void circuit_breaker::impl::end(std::uint64_t period, detail::call_outcome outcome, time_point started,
                                std::string failure)
{
    const auto now = time.now();
    std::optional<detail::state_change> change;
    {
        std::lock_guard lock(mutex);
        change = core.ended(period, outcome, now - started, now);
        if (outcome == detail::call_outcome::failure) last_failure.swap(failure);
        if (change && change->to == breaker_state::open) opened_after = change->judged;
    }
    tell(change);
}

void circuit_breaker::impl::tell(const std::optional<detail::state_change>& change) const noexcept
{
    if (!change || !options.observer) return;
    options.observer->on_breaker({options.name, to_string(change->from), to_string(change->to)});
}

circuit_breaker::circuit_breaker(circuit_breaker_options options)
    : impl_(std::make_shared<impl>(std::move(options)))
{}

circuit_breaker::~circuit_breaker() = default;

circuit_breaker::permit circuit_breaker::acquire()
{
    const auto now = impl_->time.now();
    std::unique_lock lock(impl_->mutex);
    const auto admission = impl_->core.admit(now);
    if (!admission.allowed) {
        const auto status = impl_->core.status(now);
        const auto judged = impl_->opened_after;
        const auto last_failure = impl_->last_failure;
        lock.unlock();
        throw refusal(impl_->options.name, status, judged, last_failure, now);
    }
    lock.unlock();
    permit granted(impl_, admission.period, now);
    impl_->tell(admission.change);
    return granted;
}

breaker_status circuit_breaker::status() const
{
    std::lock_guard lock(impl_->mutex);
    return impl_->core.status(impl_->time.now());
}

const circuit_breaker_options& circuit_breaker::options() const noexcept { return impl_->options; }

circuit_breaker::permit::permit(std::shared_ptr<impl> breaker, std::uint64_t period, time_point started) noexcept
    : of_(std::move(breaker))
    , period_(period)
    , started_(started)
{}

circuit_breaker::permit::permit(permit&& other) noexcept
    : of_(std::move(other.of_))
    , period_(other.period_)
    , started_(other.started_)
{}

circuit_breaker::permit& circuit_breaker::permit::operator=(permit&& other) noexcept
{
    permit old(std::move(*this)); // gives back what was held
    of_ = std::move(other.of_);
    period_ = other.period_;
    started_ = other.started_;
    return *this;
}

circuit_breaker::permit::~permit()
{
    if (of_) of_->end(period_, detail::call_outcome::none, started_);
}

void circuit_breaker::permit::succeeded()
{
    if (auto of = std::exchange(of_, nullptr))
        of->end(period_, detail::call_outcome::success, started_);
}

void circuit_breaker::permit::failed(const std::exception_ptr& failure)
{
    if (!of_) return;
    auto outcome = detail::call_outcome::none;
    if (of_->options.is_failure(failure))
        outcome = detail::call_outcome::failure;
    else if (is_answer(failure))
        outcome = detail::call_outcome::success;
    auto line = outcome == detail::call_outcome::failure ? detail::first_line(failure) : std::string();
    std::exchange(of_, nullptr)->end(period_, outcome, started_, std::move(line));
}

} // namespace pgcoro
