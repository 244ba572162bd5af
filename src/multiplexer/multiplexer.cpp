#include <pgcoro/multiplexer/multiplexer.hpp>

#include "multiplexer/impl.hpp"

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

asio::awaitable<result> multiplexer::reader::run(std::string_view sql, params args)
{
    co_return co_await run_kept(sql, args);
}

asio::awaitable<result> multiplexer::reader::run_kept(std::string_view sql, params& args)
{
    return impl_->run(sql, args, true, timeout_);
}

namespace
{

// The users' reference: when the last of them is gone, it is closed, whatever still works for it.
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
    return multiplexer(reader(reader_.impl_, timeout));
}

asio::awaitable<result> multiplexer::run(std::string_view sql, params args)
{
    co_return co_await run_kept(sql, args);
}

asio::awaitable<result> multiplexer::run_kept(std::string_view sql, params& args)
{
    return reader_.impl_->run(sql, args, false, reader_.timeout_);
}

multiplexer_stats multiplexer::stats() const { return reader_.impl_->stats(); }

} // namespace pgcoro
