#include <pgcoro/observe/sampler.hpp>

#include <pgcoro/error/error.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

namespace
{

asio::awaitable<server_view> look(pool& p, std::chrono::milliseconds within)
{
    auto held = co_await p.acquire(within);
    auto seen = co_await inspect(*held);
    co_return seen;
}

} // namespace

sampler::sampler(const metrics& m, history& h, alerts* a, sampler_options options)
    : metrics_(m)
    , history_(h)
    , alerts_(a)
    , options_(options)
{
    if (options_.interval.count() <= 0)
        throw std::invalid_argument("pgcoro: sampler_options::interval is " +
                                    std::to_string(options_.interval.count()) + " ns: it must be above 0");
    if (options_.inspect_within.count() < 1)
        throw std::invalid_argument("pgcoro: sampler_options::inspect_within is " +
                                    std::to_string(options_.inspect_within.count()) +
                                    " ms: it must be 1 ms or more");
}

asio::awaitable<sample> sampler::take()
{
    std::shared_ptr<const server_view> seen;
    if (options_.inspected) {
        try {
            auto view = co_await look(*options_.inspected, options_.inspect_within);
            seen = std::make_shared<const server_view>(std::move(view));
        } catch (const error&) { // a server that cannot be asked shows in the other figures
        }
    }
    auto now = metrics_.snapshot();
    auto made = make_sample(last_ ? &*last_ : nullptr, now, seen.get());
    last_ = std::move(now);
    if (seen) {
        std::lock_guard lock(mutex_);
        server_ = std::move(seen);
    }
    history_.add(made);
    if (alerts_) alerts_->evaluate(made);
    co_return made;
}

asio::awaitable<void> sampler::run()
{
    auto& time = options_.time ? *options_.time : time_source::steady();
    auto next = time.now();
    for (;;) {
        // By the clock and not from the end of one to the next, so that a day has as many as there is room
        // for.
        next += options_.interval;
        auto now = time.now();
        next = std::max<time_source::time_point>(next, now); // after a long halt: not all at once
        co_await time.sleep_for(next - now);
        co_await take();
    }
}

std::shared_ptr<const server_view> sampler::server() const
{
    std::lock_guard lock(mutex_);
    return server_;
}

} // namespace pgcoro
