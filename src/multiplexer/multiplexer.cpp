#include <pgcoro/multiplexer/multiplexer.hpp>

#include "connection/session.hpp"
#include "multiplexer/impl.hpp"
#include "resilience/text.hpp"

#include <string>
#include <utility>

namespace pgcoro
{

namespace asio = boost::asio;
using detail::multiplexer_impl;

multiplexer::reader::reader(std::shared_ptr<multiplexer_impl> impl,
                            std::chrono::milliseconds timeout) noexcept
    : impl_(std::move(impl))
    , timeout_(timeout)
{}

detail::multiplexer_call multiplexer::reader::call(bool read) const
{
    return {impl_->shared_from_this(), timeout_, trace_, read};
}

multiplexer::reader::operator detail::multiplexer_call() const { return call(true); }
multiplexer::operator detail::multiplexer_call() const { return reader_.call(false); }

asio::awaitable<result> detail::multiplexer_call::run_kept(std::string_view sql, params& args)
{
    return run_with(no_local_settings, sql, args);
}

asio::awaitable<result> detail::multiplexer_call::run_with(const local_settings& settings, std::string_view sql, params& args)
{
    if (trace.valid()) return impl->run_traced(sql, args, settings, read, timeout, trace);
    return impl->run(sql, args, settings, read, timeout);
}

with_settings<multiplexer::reader> multiplexer::reader::with(local_settings settings)
{
    return {*this, std::move(settings)};
}

namespace
{

// The reference of users: when the last one is gone, the multiplexer is closed, whatever still works for it.
std::shared_ptr<multiplexer_impl> make(asio::any_io_executor executor, pool& connections,
                                       const multiplexer_options& options)
{
    auto made = std::make_shared<multiplexer_impl>(std::move(executor), connections, options);
    auto* impl = made.get();
    return {impl, [made = std::move(made)](multiplexer_impl*) { made->close(); }};
}

} // namespace

multiplexer::multiplexer(asio::any_io_executor executor, pool& connections, multiplexer_options options)
    : multiplexer(reader(make(std::move(executor), connections, options), options.timeout))
{}

multiplexer::multiplexer(reader same) noexcept
    : reader_(std::move(same))
{}

multiplexer multiplexer::with_timeout(std::chrono::milliseconds timeout) const
{
    if (timeout.count() < 0)
        detail::out_of_range("multiplexer::with_timeout", "timeout (ms)", "at least 0",
                             std::to_string(timeout.count()));
    auto same = reader_;
    same.timeout_ = timeout;
    return multiplexer(std::move(same));
}

multiplexer multiplexer::traced(const trace_context& parent) const
{
    auto same = reader_;
    same.trace_ = parent;
    return multiplexer(std::move(same));
}

with_settings<multiplexer> multiplexer::with(local_settings settings) { return {*this, std::move(settings)}; }

multiplexer_stats multiplexer::stats() const { return reader_.impl_->stats(); }

} // namespace pgcoro
