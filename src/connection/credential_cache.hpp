// The credentials that connects share: one call of the user's function at a time.
#pragma once

#include "connection/credential_schedule.hpp"
#include "connection/one_shot.hpp"

#include <pgcoro/connection/credentials.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace pgcoro::detail
{

struct issued_credential
{
    credentials value;
    credential_schedule::serial_number serial = 0;
    credential_schedule::lifetime lifetime;
};
using credential_ptr = std::shared_ptr<const issued_credential>;

class credential_cache
{
public:
    using function = std::function<boost::asio::awaitable<credentials>()>;
    using time_point = credential_schedule::time_point;

    explicit credential_cache(function ask)
        : ask_(std::move(ask))
    {}

    // Returns a credential by the deadline. Throws connection_error (timeout), or what the function throws.
    // Cancellation: any kind. The cache must outlive the call.
    boost::asio::awaitable<credential_ptr> get(time_point deadline);

    // The server did not accept it.
    void refused(const issued_credential& which);
    // The serial number of the newest one.
    credential_schedule::serial_number serial() const;

private:
    // One call of the function, and the connects that wait for it.
    struct call
    {
        bool done = false;
        credential_ptr value;
        std::exception_ptr failure;
        std::vector<std::shared_ptr<one_shot>> waiting;
    };
    class caller;

    boost::asio::awaitable<credentials> ask(time_point deadline) const;

    const function ask_;
    mutable std::mutex mutex_;
    credential_schedule schedule_;
    credential_ptr current_;
    std::shared_ptr<call> under_way_;
};

} // namespace pgcoro::detail
