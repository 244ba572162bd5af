#include "cache/redis/instance.hpp"

#include "base/shortened.hpp"
#include "connection/clock.hpp"
#include "resilience/is_a.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>

namespace pgcoro::detail
{

namespace
{

// Beside a value, in an answer that is not too long.
constexpr std::size_t framing = 64 * 1'024;

circuit_breaker_options breaker_for(const redis_options& o, const redis_instance& there)
{
    auto b = circuit_breaker_options::consecutive(o.failures_to_open, o.open_for);
    b.name = "redis " + there.place();
    b.observer = o.observer;
    return b;
}

bool is_late(const std::exception_ptr& failure)
{
    return is_a<boost::system::system_error>(failure,
                                             [](auto& e) { return e.code() == asio::error::timed_out; });
}

} // namespace

// One of the connections that there may be; given back to who waited longest.
class redis_server::held_place
{
public:
    explicit held_place(redis_server& of)
        : of_(of)
    {}
    held_place(const held_place&) = delete;
    ~held_place()
    {
        --of_.used_;
        while (!of_.waiting_.empty()) {
            auto next = std::move(of_.waiting_.front());
            of_.waiting_.pop_front();
            if (next.use_count() == 1) continue; // gave up
            ++of_.used_;                         // in its name
            next->tell();
            break;
        }
    }

private:
    redis_server& of_;
};

redis_server::redis_server(const asio::any_io_executor& executor, const redis_options& options,
                           redis_instance there)
    : options_(options)
    , there_(std::move(there))
    , breaker_(breaker_for(options, there_))
    , strand_(asio::make_strand(executor))
{
    stats_.name = there_.place();
}

asio::awaitable<std::optional<redis_reply>> redis_server::call(std::string command)
{
    auto w = std::make_shared<work>();
    w->command = std::move(command);
    w->until = clock::now() + options_.timeout;
    try {
        w->allowed.emplace(breaker_.acquire());
    } catch (const circuit_open&) {
        count([](auto& s) { ++s.skipped; });
        co_return std::nullopt;
    }
    auto done = w->done;
    asio::co_spawn(strand_, carry_out(shared_from_this(), w), asio::detached);
    // The call ends itself when its time is over; on a busy executor that takes longer.
    auto why = co_await done->async_wait(w->until + options_.timeout / 4, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    if (why == wake::expired) co_return std::nullopt;
    co_return std::move(w->reply);
}

asio::awaitable<void> redis_server::carry_out(std::shared_ptr<redis_server> self, std::shared_ptr<work> w)
{
    std::exception_ptr failure;
    try {
        auto reply = co_await self->try_it(*w);
        w->reply = std::move(reply);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        self->failed(failure);
        w->allowed->failed(failure);
    } else {
        w->allowed->succeeded();
        bool refused = w->reply->refused;
        self->count([&](auto& s) {
            s.bytes_written += w->command.size();
            s.errors += refused;
            if (refused) s.last_failure = shortened(*w->reply->value);
        });
        if (refused) w->reply.reset();
    }
    w->done->tell();
}

void redis_server::failed(const std::exception_ptr& failure)
{
    bool late = is_late(failure);
    std::string why = "an unknown failure";
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        why = shortened(e.what());
    } catch (...) {
    }
    count([&](auto& s) {
        ++s.errors;
        s.timeouts += late;
        s.last_failure = std::move(why);
    });
}

asio::awaitable<void> redis_server::take_place(time_point until)
{
    if (used_ < options_.max_connections) {
        ++used_;
        co_return;
    }
    auto turn = std::make_shared<one_shot>();
    waiting_.push_back(turn);
    auto why = co_await turn->async_wait(until, asio::deferred);
    if (why == wake::done) co_return;
    if (turn->told()) held_place passed_on(*this); // at the same moment: it is another's
    throw boost::system::system_error(asio::error::timed_out, "waiting for a connection");
}

asio::awaitable<redis_reply> redis_server::try_it(const work& w)
{
    co_await take_place(w.until);
    held_place place(*this);
    if (!idle_.empty()) {
        auto link = std::move(idle_.back());
        idle_.pop_back();
        try {
            auto reply = co_await exchange(link, w, false);
            co_return reply;
        } catch (const boost::system::system_error& e) {
            if (e.code() == asio::error::timed_out) throw;
            // It was lost since it was last used, and so were those beside it.
        }
        idle_.clear();
    }
    auto link = std::make_shared<redis_link>(strand_, options_.max_value_bytes + framing);
    auto reply = co_await exchange(link, w, true);
    co_return reply;
}

asio::awaitable<redis_reply> redis_server::exchange(const std::shared_ptr<redis_link>& link, const work& w,
                                                    bool connect)
{
    enum class state { under_way, late, over };
    auto now = std::make_shared<state>(state::under_way);
    asio::steady_timer timer(strand_, w.until);
    timer.async_wait([link, now](boost::system::error_code stopped) {
        if (stopped || *now != state::under_way) return;
        *now = state::late;
        link->close();
    });
    std::exception_ptr failure;
    redis_reply reply;
    try {
        if (connect) co_await link->connect(there_, w.until);
        reply = co_await link->exchange(w.command);
    } catch (const boost::system::system_error&) {
        failure = std::current_exception();
    }
    if (*now == state::late)
        throw boost::system::system_error(asio::error::timed_out, connect ? "connecting" : "waiting for it");
    *now = state::over;
    if (failure) std::rethrow_exception(failure);
    idle_.push_back(link);
    co_return reply;
}

redis_instance_stats redis_server::stats() const
{
    auto state = breaker_.status().state;
    std::lock_guard lock(mutex_);
    auto s = stats_;
    s.state = state;
    return s;
}

} // namespace pgcoro::detail
