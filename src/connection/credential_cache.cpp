#include "connection/credential_cache.hpp"

#include "connection/clock.hpp"
#include "connection/ends_by.hpp"
#include "error/copy_of.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace pgcoro::detail
{

namespace asio = boost::asio;

namespace
{

[[noreturn]] void throw_overdue()
{
    throw connection_error(connection_failure::timeout,
                           "the credentials function of the connection options did not answer within "
                           "connect_timeout: make it faster, or connect_timeout longer");
}

// libpq takes C strings.
void check(const credentials& c)
{
    for (auto* text : {&c.user, &c.password, &c.oauth_token, &c.host})
        if (text->find('\0') != text->npos)
            throw connection_error(connection_failure::options,
                                   "the credentials function of the connection options returned a text with a NUL "
                                   "character, which libpq cannot take");
}

} // namespace

std::shared_ptr<credential_cache> make_credential_cache(credential_cache::function ask)
{
    return std::make_shared<credential_cache>(std::move(ask));
}

// The connect that calls the function. If it ends without a result, another one calls.
class credential_cache::caller
{
public:
    caller(credential_cache& of, std::shared_ptr<call> mine)
        : of_(of)
        , mine_(std::move(mine))
    {}
    caller(const caller&) = delete;
    caller& operator=(const caller&) = delete;
    ~caller()
    {
        if (!mine_) return;
        std::unique_lock lock(of_.mutex_);
        of_.schedule_.cancelled();
        end(lock);
    }

    credential_ptr given(credentials value, time_point asked)
    {
        std::unique_lock lock(of_.mutex_);
        of_.schedule_.given(asked, value.valid_for);
        auto made = std::make_shared<issued_credential>();
        made->value = std::move(value);
        made->serial = of_.schedule_.serial();
        made->lifetime = of_.schedule_.current();
        of_.current_ = made;
        mine_->value = made;
        mine_->done = true;
        end(lock);
        return made;
    }

    // Returns the old credential while it serves; otherwise rethrows.
    credential_ptr failed(const std::exception_ptr& why)
    {
        std::unique_lock lock(of_.mutex_);
        auto now = clock::now();
        of_.schedule_.failed(now);
        auto old = of_.schedule_.is_usable(now) ? of_.current_ : nullptr;
        mine_->value = old;
        if (!old) mine_->failure = copy_of(why); // this caller may add notes to the original
        mine_->done = true;
        end(lock);
        if (!old) std::rethrow_exception(why);
        return old;
    }

private:
    void end(std::unique_lock<std::mutex>& lock)
    {
        of_.under_way_.reset();
        auto waiting = std::move(mine_->waiting);
        mine_.reset();
        lock.unlock();
        for (auto& w : waiting) w->tell();
    }

    credential_cache& of_;
    std::shared_ptr<call> mine_;
};

asio::awaitable<credentials> credential_cache::ask(time_point deadline) const
{
    credentials got;
    auto fill = [&]() -> asio::awaitable<void> { got = co_await ask_(); };
    auto filling = fill();
    bool in_time = co_await ends_by(deadline, std::move(filling));
    if (!in_time) throw_overdue();
    check(got);
    co_return got;
}

asio::awaitable<credential_ptr> credential_cache::get(time_point deadline)
{
    for (;;) {
        std::shared_ptr<call> joined;
        std::shared_ptr<one_shot> turn;
        {
            std::lock_guard lock(mutex_);
            switch (schedule_.next(clock::now())) {
            case credential_schedule::step::use:
                co_return current_;
            case credential_schedule::step::ask:
                joined = under_way_ = std::make_shared<call>();
                break;
            case credential_schedule::step::wait:
                joined = under_way_;
                turn = joined->waiting.emplace_back(std::make_shared<one_shot>());
                break;
            }
        }
        if (turn) {
            auto why = co_await turn->async_wait(deadline, asio::deferred);
            if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
            if (why == wake::expired) throw_overdue();
            if (!joined->done) continue; // its caller was cancelled
            if (joined->failure) std::rethrow_exception(copy_of(joined->failure));
            co_return joined->value;
        }
        caller self(*this, std::move(joined));
        auto asked = clock::now();
        credentials got;
        std::exception_ptr failure;
        try {
            got = co_await ask(deadline);
        } catch (...) {
            failure = std::current_exception();
        }
        if (is_cancellation(failure)) std::rethrow_exception(failure);
        if (failure) co_return self.failed(failure);
        co_return self.given(std::move(got), asked);
    }
}

void credential_cache::refused(const issued_credential& which)
{
    std::lock_guard lock(mutex_);
    schedule_.refused(which.serial);
}

credential_schedule::serial_number credential_cache::serial() const
{
    std::lock_guard lock(mutex_);
    return schedule_.serial();
}

} // namespace pgcoro::detail
