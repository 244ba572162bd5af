// What the cache does beside its callers: asking anew, and listening to what changes.
#include "cache/cache_impl.hpp"

#include "resilience/chance.hpp"

#include <pgcoro/connection/target.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <stdexcept>

namespace pgcoro::detail
{

using std::chrono::milliseconds;

void cache_impl::refresh(const cache_request& asked, const cache_key& key)
{
    {
        std::lock_guard lock(mutex_);
        if (stopping_ || asking_.has(key.view().bytes)) return;
        if (background_ - handing_over_ >= options_.max_refreshing + follows_) return;
        ++background_;
        ++store_.stats().refreshes;
    }
    kept_request kept{std::string(asked.context), asked.settings, std::string(asked.sql), asked.args, asked.call, {}};
    kept.tags.assign(asked.call.tags.begin(), asked.call.tags.end());
    asio::co_spawn(strand_, refreshing(shared_from_this(), std::move(kept)), asio::detached);
}

asio::awaitable<void> cache_impl::refreshing(std::shared_ptr<cache_impl> self, kept_request kept)
{
    background counted(*self);
    std::vector<std::string_view> views(kept.tags.begin(), kept.tags.end());
    kept.call.tags = views;
    cache_request asked{kept.context, kept.settings, kept.sql, kept.args, kept.call};
    auto key = asked.key();
    try {
        facts_ptr known = co_await self->facts_of(asked);
        auto about = with_parameters(std::move(known), kept.args);
        if (may_keep(*about, asked)) co_await self->shared(asked, key, about, wish::anew);
    } catch (const error&) {
        // What is there stays as stale as it is; who asks when it is too stale gets the error himself.
    } catch (const boost::system::system_error&) {
        // Cancelled by the one who led, and nobody is left to lead.
    }
}

void cache_impl::follow(std::optional<connection_options> options, const coherence_options& how)
{
    how.validate();
    if (options) options->validate();
    if (!options_.coherent)
        throw std::logic_error("query_cache::follow: the cache was made without cache_options::coherent");
    {
        std::lock_guard lock(mutex_);
        if (std::exchange(follows_, true)) throw std::logic_error("query_cache::follow: it follows already");
        ++background_;
    }
    auto work = following(shared_from_this(), std::move(options), how);
    asio::co_spawn(strand_, std::move(work),
                   asio::bind_cancellation_slot(stop_following_.slot(), asio::detached));
}

asio::awaitable<void> cache_impl::following(std::shared_ptr<cache_impl> self,
                                            std::optional<connection_options> options, coherence_options how)
{
    background counted(*self);
    std::chrono::nanoseconds waited{};
    catalog_version catalog;
    auto now = [&] { return self->options_.time->now(); };
    try {
        for (int attempt = 1;; ++attempt) {
            bool listened = false;
            try {
                std::optional<connection> own;
                std::optional<lease> leased;
                if (options) {
                    auto made = co_await connection::connect(*options);
                    own.emplace(std::move(made));
                } else {
                    auto got = co_await self->source_->acquire_to_listen();
                    leased.emplace(std::move(got));
                }
                auto& on = own ? *own : **leased;
                co_await on.listen(names(cache_channel));
                auto begun = now();
                catalog.connection_changed();
                co_await self->read_catalog(on, catalog);
                self->locked([&](cache_store& s) {
                    s.follow(begun);
                    s.heard(begun, how.bound);
                });
                listened = true;
                co_await self->listen(on, how, catalog, begun);
            } catch (const error&) {
                // Whatever it is, also a wrong password or a standby: everything is stale, and who looks at
                // the figures sees that it does not follow.
            }
            if (listened) {
                self->locked([&](cache_store& s) { s.lost(now()); });
                attempt = 1;
                waited = {};
            }
            waited = how.reconnect.delay(attempt, waited, chance);
            asio::steady_timer timer(self->strand_,
                                     std::chrono::ceil<std::chrono::steady_clock::duration>(waited));
            co_await timer.async_wait(asio::deferred);
        }
    } catch (const boost::system::system_error&) {
        // Told to stop: from here on nothing is heard any more.
        self->locked([&](cache_store& s) {
            if (s.listening()) s.lost(now());
        });
    }
}

// Facts that were learned before are not believed if the catalog has changed, or was not read before.
asio::awaitable<void> cache_impl::read_catalog(connection& on, catalog_version& catalog)
{
    bool is_change = catalog.is_known();
    bool is_new = co_await catalog.read(on);
    if (!is_new) co_return;
    locked([&](cache_store& s) {
        s.catalog_changed();
        s.stats().catalog_changes += is_change;
    });
}

// Until the connection is lost. A round trip that is answered proves that what was notified before it was
// sent has come: the server sends a session's pending notifications before it says that it is ready for the
// next query. Every second one also reads the catalog, and proves that what is kept is kept by facts that still hold.
asio::awaitable<void> cache_impl::listen(connection& on, const coherence_options& how, catalog_version& catalog,
                                         time_point catalog_sent)
{
    auto every = how.bound / 4;
    auto sent = options_.time->now();
    bool proved = true;
    bool tells_moments = copies_;
    for (;;) {
        auto now = options_.time->now();
        auto left = std::chrono::floor<milliseconds>(sent + every - now);
        if (proved && left.count() <= 0) {
            sent = now;
            co_await on.ping(how.bound);
            if (now - catalog_sent > every * 3 / 2) {
                co_await read_catalog(on, catalog);
                catalog_sent = now;
            }
            proved = false;
            continue;
        }
        // Behind a round trip, or a change: takes only what has come.
        bool changed = tells_moments && locked([](cache_store& s) { return s.any_unplaced(); });
        auto came = co_await on.wait_notification(proved && !changed ? left : milliseconds(1));
        if (came) {
            locked([&](cache_store& s) {
                ++s.stats().notifications;
                s.invalidate_tag(came->payload);
            });
        } else if (!proved) {
            proved = true;
            locked([&](cache_store& s) { s.heard(catalog_sent, how.bound); });
        } else if (changed) {
            tells_moments = co_await place_on(on);
        }
    }
}

void cache_impl::stop()
{
    {
        std::lock_guard lock(mutex_);
        if (std::exchange(stopping_, true)) return;
        if (!follows_) return;
    }
    // Behind the start of the coroutine, which was posted to the same strand: Boost 1.83 throws out of run()
    // when one is cancelled that has not begun.
    asio::post(strand_, [self = shared_from_this()] {
        self->stop_following_.emit(asio::cancellation_type::terminal);
    });
}

asio::awaitable<void> cache_impl::close()
{
    auto self = shared_from_this();
    stop();
    auto idle = std::make_shared<one_shot>();
    {
        std::lock_guard lock(mutex_);
        if (background_ == 0) co_return;
        on_idle_.push_back(idle);
    }
    auto why = co_await idle->async_wait(std::nullopt, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
}

} // namespace pgcoro::detail
