#include <pgcoro/monitor/monitor.hpp>

#include "monitor/conversation.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <map>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;
using asio::ip::tcp;

namespace
{

[[noreturn]] void refuse(const char* option, const std::string& value, const char* expected)
{
    throw std::invalid_argument(std::string("pgcoro: monitor_options::") + option + " is " + value +
                                ": expected " + expected);
}

void check_time(const char* option, std::chrono::milliseconds value, int least)
{
    if (value.count() < least)
        refuse(option, std::to_string(value.count()) + " ms", least == 10 ? "10 ms or more" : "1 ms or more");
}

tcp::endpoint endpoint_of(const monitor_options& o)
{
    boost::system::error_code failed;
    auto address = asio::ip::make_address(o.address, failed);
    if (failed) refuse("address", "'" + o.address + "'", "an IP address");
    return {address, o.port};
}

monitor_sources checked(monitor_sources s)
{
    if (!s.metrics) throw std::invalid_argument("pgcoro: monitor_sources::metrics is null: it must be there");
    return s;
}

monitor_options checked(monitor_options o)
{
    o.validate();
    return o;
}

// A connection that is open, and how to end it from another thread.
struct guest
{
    explicit guest(asio::strand<asio::any_io_executor> on)
        : strand(std::move(on))
    {}
    asio::strand<asio::any_io_executor> strand;
    detail::seating::id seat = 0;
    asio::cancellation_signal end;
};
using guest_ptr = std::shared_ptr<guest>;

} // namespace

void monitor_options::validate() const
{
    endpoint_of(*this);
    if (max_connections < 1) refuse("max_connections", "0", "1 or more");
    if (max_streams >= max_connections)
        refuse("max_streams", std::to_string(max_streams), "less than max_connections");
    if (max_header_bytes < 256) refuse("max_header_bytes", std::to_string(max_header_bytes), "256 or more");
    check_time("request_timeout", request_timeout, 1);
    check_time("write_timeout", write_timeout, 1);
    check_time("idle_timeout", idle_timeout, 1);
    check_time("check_within", check_within, 1);
    check_time("interval", interval, 10);
}

struct monitor::impl : std::enable_shared_from_this<impl>
{
    impl(asio::any_io_executor executor, monitor_sources s, monitor_options o)
        : options(checked(std::move(o)))
        , known(checked(s), options)
        , seats(options.max_connections, reserve)
        , in{known, options, {options.token, options.hosts, options.allow_invalidation}, seats}
        , acceptor(executor, endpoint_of(options))
        , ended(executor, options.max_connections + reserve)
    {}

    static constexpr std::size_t reserve = 8; // connections that only probes may use

    using ends = asio::experimental::concurrent_channel<void(boost::system::error_code, guest_ptr)>;

    const monitor_options options;
    detail::watched known;
    detail::shared_seating seats;
    detail::house in;
    tcp::acceptor acceptor;
    ends ended;
    std::map<detail::seating::id, guest_ptr> guests;

    // Runs on a strand of its own, because its time limits run beside it.
    void receive(tcp::socket socket, const guest_ptr& who)
    {
        guests.emplace(who->seat, who);
        // Owns this, for the case that the io_context ends before run() does.
        auto body = [](tcp::socket s, std::shared_ptr<impl> self,
                       detail::seating::id seat) -> asio::awaitable<void> {
            detail::conversation c(std::move(s), self->in, seat);
            co_await c.run();
        };
        auto over = [self = shared_from_this(), who](std::exception_ptr) {
            self->ended.try_send(boost::system::error_code(), who);
        };
        asio::co_spawn(who->strand, body(std::move(socket), shared_from_this(), who->seat),
                       asio::bind_cancellation_slot(who->end.slot(), over));
    }

    asio::awaitable<void> one_ends()
    {
        auto who = co_await ended.async_receive(asio::deferred);
        forget(who);
    }
    void forget_ended()
    {
        while (ended.try_receive([this](boost::system::error_code, const guest_ptr& who) { forget(who); })) {
        }
    }
    void forget(const guest_ptr& who)
    {
        seats.leave(who->seat);
        guests.erase(who->seat);
    }
    static void end(const guest_ptr& who)
    {
        asio::dispatch(who->strand, [who] { who->end.emit(asio::cancellation_type::terminal); });
    }

    asio::awaitable<void> accept_all()
    {
        asio::steady_timer pause(acceptor.get_executor());
        for (;;) {
            forget_ended();
            while (guests.size() >= options.max_connections + reserve || !seats.may_enter())
                co_await one_ends();
            auto who = std::make_shared<guest>(asio::make_strand(acceptor.get_executor()));
            tcp::socket socket(who->strand);
            auto [failed] = co_await acceptor.async_accept(socket, asio::as_tuple(asio::deferred));
            if (failed == asio::error::operation_aborted) throw boost::system::system_error(failed);
            if (failed) { // no descriptor left, as a rule: others must go first
                pause.expires_after(std::chrono::milliseconds(100));
                co_await pause.async_wait(asio::deferred);
                continue;
            }
            auto place = seats.enter();
            if (!place) continue; // the one that had to go has just begun to answer; this one asks again
            who->seat = place->entered;
            if (place->closed) end(guests.at(*place->closed));
            receive(std::move(socket), who);
        }
    }
};

monitor::monitor(asio::any_io_executor executor, monitor_sources sources, monitor_options options)
    : impl_(std::make_shared<impl>(std::move(executor), sources, std::move(options)))
{}

monitor::~monitor() = default;

asio::awaitable<void> monitor::run()
{
    std::exception_ptr why;
    try {
        co_await impl_->accept_all();
    } catch (...) {
        why = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    boost::system::error_code ignored;
    impl_->acceptor.close(ignored);
    for (auto& [seat, who] : impl_->guests) impl_->end(who);
    while (!impl_->guests.empty()) co_await impl_->one_ends();
    std::rethrow_exception(why);
}

std::uint16_t monitor::port() const noexcept { return impl_->acceptor.local_endpoint().port(); }

std::string monitor::url() const
{
    auto& address = impl_->options.address;
    bool v6 = address.find(':') != address.npos;
    return "http://" + (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port());
}

} // namespace pgcoro
