#include <pgcoro/pool/pool.hpp>

#include "pool/pool_impl.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/system/system_error.hpp>

#include <stdexcept>
#include <utility>

namespace pgcoro
{

namespace asio = boost::asio;

lease::lease(detail::pool_impl& pool, connection* c, std::uint32_t slot) noexcept
    : pool_(&pool)
    , connection_(c)
    , slot_(slot)
{}

lease::lease(lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr))
    , connection_(std::exchange(other.connection_, nullptr))
    , slot_(other.slot_)
{}

lease& lease::operator=(lease&& other) noexcept
{
    if (this != &other) {
        release();
        pool_ = std::exchange(other.pool_, nullptr);
        connection_ = std::exchange(other.connection_, nullptr);
        slot_ = other.slot_;
    }
    return *this;
}

lease::~lease() { release(); }

connection& lease::get() const
{
    if (!connection_) throw std::logic_error("pgcoro: this lease is empty: it was released, or moved from");
    if (!connection_->is_closed() && connection_->session().guard().foreign())
        throw std::logic_error(
            "pgcoro: this lease belongs to the parent process: acquire a connection after the fork");
    return *connection_;
}

void lease::release() noexcept
{
    if (!std::exchange(connection_, nullptr)) return;
    std::exchange(pool_, nullptr)->release(slot_);
}

void lease::used_for(detail::running_transaction& what)
{
    if (pool_) pool_->watch(slot_, what);
}

namespace
{

pool_options options_for(std::string_view uri)
{
    pool_options options;
    options.connection = connection_options::from_uri(uri);
    return options;
}

// The pool's timer makes a new I/O context open its descriptors.
std::shared_ptr<detail::pool_impl> make_impl(asio::any_io_executor executor, pool_options options)
{
    auto name = options.name;
    try {
        return detail::pool_impl::make(std::move(executor), std::move(options));
    } catch (const boost::system::system_error& e) {
        throw connection_error(connection_failure::other,
                               "pool '" + name + "' cannot use its I/O context: " + e.what());
    }
}

} // namespace

pool::pool(asio::any_io_executor executor, pool_options options)
    : impl_(make_impl(std::move(executor), std::move(options)))
{}

pool::pool(asio::any_io_executor executor, std::string_view uri)
    : pool(std::move(executor), options_for(uri))
{}

pool& pool::operator=(pool&& other) noexcept
{
    if (this != &other) {
        if (impl_) impl_->abandon();
        impl_ = std::move(other.impl_);
    }
    return *this;
}

pool::~pool()
{
    if (impl_) impl_->abandon();
}

detail::pool_impl& pool::impl() const
{
    if (!impl_) throw std::logic_error("pgcoro: this pool was moved from");
    return *impl_;
}

const std::shared_ptr<detail::pool_impl>& pool::shared() const
{
    impl(); // throws after a move
    return impl_;
}

asio::awaitable<lease> pool::acquire(std::source_location where)
{
    return impl().acquire(impl().options().acquire_timeout, where);
}

asio::awaitable<lease> pool::acquire(std::chrono::milliseconds within, std::source_location where)
{
    return impl().acquire(within, where);
}

asio::awaitable<result> pool::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

asio::awaitable<lease> named_pool::acquire(std::source_location where)
{
    return acquire(pool_->options().acquire_timeout, where);
}

asio::awaitable<lease> named_pool::acquire(std::chrono::milliseconds within, std::source_location where)
{
    return acquire_copy(*this, within, where);
}

asio::awaitable<lease> named_pool::acquire_copy(named_pool self, std::chrono::milliseconds within,
                                                std::source_location where)
{
    auto held = co_await self.pool_->impl().acquire_traced(within, self.trace_, where);
    held->name_operation(self.name_);
    held->trace(self.trace_);
    co_return held;
}

// For a copy that lives until the operation has ended.
asio::awaitable<result> named_pool::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

std::function<std::optional<pool_stats>()> pool::probe() const
{
    impl();
    return [weak = std::weak_ptr<const detail::pool_impl>(impl_)]() -> std::optional<pool_stats> {
        if (auto alive = weak.lock()) return alive->stats();
        return std::nullopt;
    };
}

asio::awaitable<void> pool::warm_up() { return impl().warm_up(); }
asio::awaitable<void> pool::verify() { return impl().verify(); }
asio::awaitable<void> pool::close(std::chrono::milliseconds within) { return impl().close(within); }
void pool::evict() { impl().evict(); }
void pool::suspend() { impl().suspend(); }
void pool::resume() { impl().resume(); }
pool_stats pool::stats() const { return impl().stats(); }
retry_budget& pool::retry_budget() const { return impl().budget(); }
const pool_options& pool::options() const { return impl().options(); }

} // namespace pgcoro
