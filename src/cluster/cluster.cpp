#include <pgcoro/cluster/cluster.hpp>

#include "cluster/cluster_impl.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"
#include "sql/transaction_control.hpp"
#include "transaction/one_statement.hpp"
#include "transaction/parts.hpp"

#include <pgcoro/cluster/transactional.hpp>

#include <optional>
#include <stdexcept>
#include <utility>

namespace pgcoro
{

namespace asio = boost::asio;

std::string_view to_string(host_role r) noexcept
{
    switch (r) {
    case host_role::unknown:
        return "unknown";
    case host_role::primary:
        return "primary";
    case host_role::replica:
        return "replica";
    case host_role::outdated:
        return "outdated";
    case host_role::unreachable:
        return "unreachable";
    case host_role::removed:
        return "removed";
    }
    return "unknown";
}

namespace detail
{

namespace
{

asio::awaitable<lease> acquire_as(named_pool host, std::source_location where)
{
    lease held = co_await host.acquire(where);
    co_return held;
}

// Did the server itself refuse the statement? Then it has done nothing.
bool was_refused(const std::exception_ptr& failure)
{
    return is_a<server_error>(failure, is_servers_word);
}

// One frame less where there is nothing to tell.
asio::awaitable<lease> acquire_from(pgcoro::pool& host, const call_labels& labels, std::source_location where)
{
    if (labels.operation.empty() && !labels.trace.valid()) return host.acquire(where);
    return acquire_as(named_pool(host, labels.operation, labels.trace), where);
}

} // namespace

asio::awaitable<lease> cluster_impl::acquire(bool reads, commit_token seen, call_labels labels,
                                             std::source_location where)
{
    cluster_run run(shared_from_this(), reads, seen, deadline::never());
    for (;;) {
        auto* host = co_await run.next();
        std::exception_ptr failure;
        try {
            lease held = co_await acquire_from(*host, labels, where);
            co_return held;
        } catch (...) {
            failure = std::current_exception();
        }
        co_await run.failed(failure, true);
    }
}

asio::awaitable<result> cluster_impl::run(std::string_view sql, const params& args, const local_settings& settings,
                                          commit_token seen, const call_labels& labels, bool& wrote,
                                          std::optional<std::string>* context)
{
    sql::refuse_transaction_control(sql, "a cluster");
    bool read = co_await is_read(sql);
    cluster_run run(shared_from_this(), read, seen, deadline::never());
    for (;;) {
        auto* host = co_await run.next();
        std::exception_ptr failure;
        bool sent = false;
        try {
            lease held = co_await acquire_from(*host, labels, std::source_location());
            auto& session = held->session();
            if (context) co_await session.learn_context();
            sent = true;
            if (!read) wrote = true;
            request r;
            r.sql = sql;
            r.args = &args;
            r.context = context;
            auto effect = read ? statement_effect::reads_only : statement_effect::unknown;
            result got = co_await run_with_settings(session, r, settings, effect);
            held.release(); // before the caller goes on, who may want it again
            co_return got;
        } catch (...) {
            failure = std::current_exception();
        }
        if (was_refused(failure)) wrote = false;
        bool refused = read && is_refused(failure);
        // By a replica: it writes after all, by ways that the parser cannot see, or needs a primary for another reason.
        if (refused) kinds_.remember(sql, false);
        // Replay needed what the read used ("conflict with recovery"): the primary has no such conflicts.
        bool conflicted = read && sqlstate_of(failure) == sqlstates::serialization_failure.str();
        if (refused || conflicted) {
            read = false;
            run.turn_into_write();
            continue;
        }
        co_await run.failed(failure, read || !sent);
    }
}

asio::awaitable<bool> cluster_impl::is_read(std::string_view text)
{
    if (auto known = kinds_.is_read(text)) co_return *known;
    auto statement = sql::parse(text);
    bool read = statement.nature == sql::nature::read;
    if (read && !statement.functions.empty()) {
        std::vector<std::string> schemas;
        std::vector<std::string> functions;
        for (auto& f : statement.functions) {
            schemas.push_back(f.schema);
            functions.push_back(f.object);
        }
        cluster_run run(shared_from_this(), true, commit_token(), deadline::never());
        for (std::exception_ptr failure;; failure = nullptr) {
            auto* host = co_await run.next();
            try {
                read = co_await host->query_value<bool>(no_volatile_function_query, schemas, functions);
                break;
            } catch (...) {
                failure = std::current_exception();
            }
            co_await run.failed(failure, true);
        }
    }
    kinds_.remember(text, read);
    co_return read;
}

} // namespace detail

namespace
{

const detail::call_labels no_labels;

cluster_options options_for(std::string_view uri)
{
    cluster_options options;
    options.pool.connection = connection_options::from_uri(uri);
    return options;
}

} // namespace

cluster::cluster(asio::any_io_executor executor, cluster_options options)
    : impl_(std::make_shared<detail::cluster_impl>(std::move(executor), std::move(options)))
{
    impl_->start();
}

cluster::cluster(asio::any_io_executor executor, std::string_view uri)
    : cluster(std::move(executor), options_for(uri))
{}

cluster& cluster::operator=(cluster&& other) noexcept
{
    if (this != &other) {
        if (impl_) impl_->abandon();
        impl_ = std::move(other.impl_);
    }
    return *this;
}

cluster::~cluster()
{
    if (impl_) impl_->abandon();
}

const std::shared_ptr<detail::cluster_impl>& cluster::impl() const
{
    if (!impl_) throw std::logic_error("pgcoro: this cluster was moved from");
    return impl_;
}

asio::awaitable<lease> cluster::acquire(std::source_location where)
{
    return impl()->acquire(false, commit_token(), no_labels, where);
}

asio::awaitable<lease> cluster::acquire_read(commit_token seen, std::source_location where)
{
    return impl()->acquire(true, seen, no_labels, where);
}

asio::awaitable<result> cluster::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

asio::awaitable<result> cluster::run_with(const local_settings& settings, std::string_view sql, const params& args)
{
    bool wrote = false;
    co_return co_await impl()->run(sql, args, settings, commit_token(), no_labels, wrote);
}

with_settings<cluster> cluster::with(local_settings settings) { return {*this, std::move(settings)}; }

named_cluster cluster::named(std::string_view operation) { return named_cluster(*this, operation); }
named_cluster cluster::traced(const trace_context& parent) { return named_cluster(*this, {}, parent); }

asio::awaitable<void> cluster::verify()
{
    auto until = deadline::after(options().failover_timeout);
    co_await impl()->primary(until.time());
}

void cluster::add(std::string_view host) { impl()->add(host); }
void cluster::remove(std::string_view host) { impl()->remove(host); }
asio::awaitable<void> cluster::close(std::chrono::milliseconds within) { return impl()->close(within); }
cluster_stats cluster::stats() const { return impl()->stats(); }

std::function<std::optional<cluster_stats>()> cluster::probe() const
{
    return [weak = std::weak_ptr<const detail::cluster_impl>(impl())]() -> std::optional<cluster_stats> {
        if (auto alive = weak.lock(); alive && alive->open()) return alive->stats();
        return std::nullopt;
    };
}

const cluster_options& cluster::options() const { return impl()->options(); }

named_cluster::named_cluster(cluster& of, std::string_view operation, const trace_context& parent)
    : impl_(of.impl().get())
    , labels_{operation, parent}
{}

named_cluster named_cluster::named(std::string_view operation) const noexcept
{
    auto same = *this;
    same.labels_.operation = operation;
    return same;
}

named_cluster named_cluster::traced(const trace_context& parent) const noexcept
{
    auto same = *this;
    same.labels_.trace = parent;
    return same;
}

asio::awaitable<lease> named_cluster::acquire(std::source_location where)
{
    return impl_->acquire(false, commit_token(), labels_, where);
}

asio::awaitable<lease> named_cluster::acquire_read(commit_token seen, std::source_location where)
{
    return impl_->acquire(true, seen, labels_, where);
}

asio::awaitable<result> named_cluster::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

asio::awaitable<result> named_cluster::run_with(const local_settings& settings, std::string_view sql,
                                                const params& args)
{
    bool wrote = false;
    co_return co_await impl_->run(sql, args, settings, commit_token(), labels_, wrote);
}

with_settings<named_cluster> named_cluster::with(local_settings settings) { return {*this, std::move(settings)}; }

cluster_session::cluster_session(cluster& of, commit_token seen)
    : impl_(of.impl())
    , seen_(seen)
{}

with_settings<cluster_session> cluster_session::with(local_settings settings) { return {*this, std::move(settings)}; }

asio::awaitable<result> cluster_session::run_kept(std::string_view sql, const params& args)
{
    return run_with(detail::no_local_settings, sql, args);
}

asio::awaitable<result> cluster_session::run_with(const local_settings& settings, std::string_view sql,
                                                  const params& args)
{
    // From before a write is sent until its position is known, also where this coroutine ends before that, the session
    // reads from the primary.
    struct position
    {
        commit_token& seen;
        bool wrote = false;
        ~position()
        {
            if (wrote) seen = commit_token::primary_only();
        }
    };
    std::exception_ptr failure;
    std::optional<result> got;
    {
        position of{seen_};
        try {
            result rows = co_await impl_->run(sql, args, settings, seen_, labels_, of.wrote);
            got.emplace(std::move(rows));
        } catch (...) {
            failure = std::current_exception();
        }
        if (of.wrote && got) {
            detail::session_write written(this, true);
            written.begins();
            of.wrote = false;
            co_await written.done();
        }
    }
    if (failure) std::rethrow_exception(failure);
    co_return std::move(*got);
}

asio::awaitable<lease> cluster_session::acquire_read(std::source_location where)
{
    return impl_->acquire(true, seen_, labels_, where);
}

asio::awaitable<void> cluster_session::wrote()
{
    auto now = commit_token::primary_only(); // the write stands, whatever comes of the question
    try {
        now = co_await impl_->written_by_now();
    } catch (const error&) {
    }
    if (seen_ == commit_token::primary_only() || now > seen_) seen_ = now;
}

namespace detail
{

session_write::session_write(cluster_session* of, bool writes) noexcept
    : session_(writes ? of : nullptr)
    , seen_(of ? of->seen_ : commit_token())
{}

void session_write::begins() noexcept
{
    if (session_) session_->seen_ = commit_token::primary_only();
}

void session_write::undone() noexcept
{
    if (session_) session_->seen_ = seen_;
}

asio::awaitable<void> session_write::done()
{
    if (!session_) co_return;
    co_await session_->wrote();
    auto& now = session_->seen_;
    if (now != commit_token::primary_only() && seen_ != commit_token::primary_only() && seen_ > now) now = seen_;
}

} // namespace detail
} // namespace pgcoro
