#include "cache/cache_impl.hpp"
#include "cluster/cluster_impl.hpp"
#include "connection/context_key.hpp"
#include "connection/session.hpp"
#include "sql/transaction_control.hpp"
#include "transaction/one_statement.hpp"

#include <pgcoro/cache/second_level.hpp>
#include <pgcoro/cluster/cluster.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

namespace
{

class pool_source final : public cache_source
{
public:
    explicit pool_source(pool& p)
        : pool_(p)
    {}
    asio::awaitable<result> run(std::string_view sql, const params& args) override
    {
        return pool_.run(sql, args);
    }
    asio::awaitable<cache_answer> ask(const cache_question& question) override
    {
        sql::refuse_transaction_control(question.sql, "a pool");
        auto held = co_await pool_.acquire();
        auto& session = held->session();
        co_await session.learn_context();
        cache_answer answer;
        detail::request r;
        r.sql = question.sql;
        r.args = &question.args;
        r.context = &answer.context;
        auto effect = question.only_reads ? detail::statement_effect::reads_only : detail::statement_effect::unknown;
        answer.rows = co_await detail::run_with_settings(session, r, question.settings, effect);
        held.release(); // before the caller continues, and may need a connection
        co_return answer;
    }
    asio::awaitable<std::optional<std::string>> context() override
    {
        auto held = co_await pool_.acquire();
        co_await held->session().learn_context();
        co_return held->session().context_key();
    }

private:
    pool& pool_;
};

class cluster_source final : public cache_source
{
public:
    explicit cluster_source(cluster& c)
        : cluster_(c)
    {}
    asio::awaitable<result> run(std::string_view sql, const params& args) override
    {
        return cluster_.run(sql, args);
    }
    bool may_lag() const noexcept override { return true; }
    asio::awaitable<cache_answer> ask(const cache_question& question) override
    {
        cache_answer answer;
        cluster_session session(cluster_, question.seen);
        bool wrote = false;
        answer.rows = co_await session.impl()->run(question.sql, question.args, question.settings, question.seen, {}, wrote,
                                                   &answer.context);
        co_return answer;
    }
    asio::awaitable<std::optional<std::string>> context() override
    {
        auto held = co_await cluster_.acquire_read();
        co_await held->session().learn_context();
        co_return held->session().context_key();
    }
    asio::awaitable<result> run_on_primary(std::string_view sql, const params& args) override
    {
        lease held = co_await cluster_.acquire();
        result got = co_await held->run(sql, args);
        held.release(); // before the caller goes on, who may want it again
        co_return got;
    }
    asio::awaitable<lease> acquire_to_listen() override { return cluster_.acquire(); }

private:
    cluster& cluster_;
};

} // namespace

cache_source::~cache_source() = default;

second_level::~second_level() = default;

bool cache_source::may_lag() const noexcept { return false; }

asio::awaitable<result> cache_source::run_after(commit_token, std::string_view sql, const params& args)
{
    return run(sql, args);
}

asio::awaitable<result> cache_source::run_on_primary(std::string_view sql, const params& args)
{
    return run(sql, args);
}

asio::awaitable<cache_answer> cache_source::ask(const cache_question& question)
{
    if (!question.settings.empty())
        throw std::logic_error("query_cache::with: this source cannot run a statement with settings of its own: override "
                               "cache_source::ask; the statement was not run");
    cache_answer answer;
    answer.rows = co_await run_after(question.seen, question.sql, question.args);
    co_return answer;
}

asio::awaitable<std::optional<std::string>> cache_source::context()
{
    std::optional<std::string> found;
    try {
        result got = co_await run(detail::defaults_query, params());
        found = got.as_value<std::string>();
    } catch (const server_error&) { // another product, or rights that were taken away
    }
    co_return found;
}

asio::awaitable<lease> cache_source::acquire_to_listen()
{
    throw std::logic_error(
        "query_cache::follow: this source has no connection to listen on: give it options");
}

namespace
{

const auto no_settings = std::make_shared<const local_settings>();

} // namespace

query_cache::query_cache(asio::any_io_executor executor, pool& p, const cache_options& options)
    : query_cache(std::move(executor), std::make_shared<pool_source>(p), options)
{}

query_cache::query_cache(asio::any_io_executor executor, std::shared_ptr<cache_source> source,
                         const cache_options& options)
    : impl_(std::make_shared<detail::cache_impl>(std::move(executor), std::move(source), options))
{}

query_cache::query_cache(asio::any_io_executor executor, cluster& c, const cache_options& options)
    : query_cache(std::move(executor), std::make_shared<cluster_source>(c), options)
{}

query_cache::~query_cache() { impl_->stop(); }

asio::awaitable<cached_result> query_cache::read(std::string_view sql, params args)
{
    return impl_->read(sql, std::move(args), cache_call(), no_settings);
}

asio::awaitable<cached_result> cache_reads::read(std::string_view sql, params args)
{
    return cache_.read(sql, std::move(args), call_, settings_);
}

asio::awaitable<std::size_t> cache_reads::warm(std::vector<std::string> statements)
{
    return cache_.warm(std::move(statements), call_, settings_);
}

asio::awaitable<cached_result> cache_transaction::read(std::string_view sql, params args)
{
    return cache_.read_in(tx_, sql, std::move(args));
}

asio::awaitable<std::uint64_t> cache_transaction::write(std::string_view sql, params args)
{
    return cache_.write_in(tx_, sql, std::move(args));
}

asio::awaitable<std::uint64_t> cache_transaction::write_owned(cache_transaction self, std::string sql, params args)
{
    co_return co_await self.write(sql, std::move(args));
}

cache_reads query_cache::with(const cache_call& call) { return {*impl_, call, no_settings}; }

cache_reads query_cache::with(local_settings settings, const cache_call& call)
{
    return {*impl_, call, std::make_shared<const local_settings>(std::move(settings))};
}

cache_transaction query_cache::in(transaction& tx) noexcept { return {*impl_, tx}; }

void query_cache::invalidate_tag(std::string_view tag)
{
    impl_->locked([&](auto& store) { store.invalidate_tag(tag); });
}

void query_cache::invalidate_tags_like(std::string_view pattern)
{
    impl_->locked([&](auto& store) { store.invalidate_tags_like(pattern); });
}

void query_cache::invalidate_key(std::string_view sql, const params& args)
{
    detail::cache_key key({}, {}, sql, args);
    impl_->locked([&](auto& store) { store.invalidate(key); });
}

void query_cache::invalidate_all()
{
    impl_->locked([](auto& store) { store.invalidate_all(); });
}

void query_cache::invalidate_at_commit(transaction& tx, std::vector<std::string> tags)
{
    impl_->invalidate_at_commit(tx, std::move(tags));
}

asio::awaitable<std::size_t> query_cache::warm(std::vector<std::string> statements)
{
    return impl_->warm(std::move(statements), cache_call(), no_settings);
}

void query_cache::follow(connection_options options, const coherence_options& how)
{
    impl_->follow(std::move(options), how);
}

void query_cache::follow(const coherence_options& how) { impl_->follow(std::nullopt, how); }

asio::awaitable<void> query_cache::close() { return impl_->close(); }

cache_stats query_cache::stats() const { return impl_->stats(); }

} // namespace pgcoro
