#include "storm/subject.hpp"

#include "connection/session.hpp"
#include "storm/work.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <deque>

namespace storm
{

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace
{

#ifdef PGCORO_SANITIZED
constexpr auto patience = 150s;
#else
constexpr auto patience = 45s;
#endif

pgcoro::pool_options options_of(pgcoro::connection_options connection)
{
    pgcoro::pool_options o;
    o.connection = std::move(connection);
    o.connection.statement_cache_size = subject::statement_cache_size;
    o.connection.statement_timeout = std::chrono::milliseconds(statement_timeout_ms);
    o.name = "storm";
    o.size = 1;
    o.max_overflow = 0;
    return o;
}

void add_result(outcome& out, const statement& s, const pgcoro::result& got)
{
    if (s.counts_only()) {
        out.rows += got.affected_rows();
        return;
    }
    for (auto& r : got.as<row>()) out.add(r);
}

struct running
{
    asio::cancellation_signal signal;
    outcome ended;
    bool begun = false;
    bool done = false;
    bool keeps_parts = false;
};

template <class Work>
asio::awaitable<void> noted(running& r, const Work& work)
{
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    r.begun = true;
    std::exception_ptr failure;
    try {
        co_await work(r.ended);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return;
    auto ending = ending_of(failure);
    if (!r.keeps_parts) r.ended = outcome();
    r.ended.ending = ending;
}

asio::cancellation_type type_of(harm how)
{
    if (how == harm::partial) return asio::cancellation_type::partial;
    if (how == harm::total) return asio::cancellation_type::total;
    return asio::cancellation_type::terminal;
}

} // namespace

std::string ending_of(const std::exception_ptr& failure)
{
    if (pgcoro::is_cancellation(failure)) return "cancelled";
    try {
        std::rethrow_exception(failure);
    } catch (const pgcoro::server_error& e) {
        return std::string(e.sqlstate().str());
    } catch (const pgcoro::deadline_exceeded&) {
        return "deadline";
    } catch (const pgcoro::pool_timeout&) {
        return "deadline";
    } catch (const pgcoro::error& e) {
        return std::string("error: ") + e.what();
    } catch (const thrown&) {
        return "thrown";
    } catch (const std::logic_error&) {
        return "misuse";
    } catch (const std::exception& e) {
        return std::string("exception: ") + e.what();
    }
}

subject::subject(pgcoro::connection_options connection, bool session_effects)
    : pool_(io_.get_executor(), options_of(std::move(connection)))
    , digest_(session_effects ? digest_query : tables_query)
{
    pgcoro::multiplexer_options options;
    options.connections = 1;
    multiplexer_.emplace(io_.get_executor(), pool_, options);
}

subject::~subject()
{
    stream_.reset();
    lease_.release();
}

std::vector<outcome> subject::drive(const std::vector<work>& works, const op* disturbed)
{
    auto kept = std::make_shared<std::deque<running>>(works.size());
    auto& all = *kept;
    for (std::size_t i = 0; i < works.size(); ++i) {
        auto& r = all[i];
        r.keeps_parts = disturbed && disturbed->what == kind::pipeline;
        asio::co_spawn(
            io_, noted(r, works[i]),
            asio::bind_cancellation_slot(r.signal.slot(), [&r](std::exception_ptr) { r.done = true; }));
    }
    auto until = steady::now() + patience;
    auto done = [&] { return std::ranges::all_of(all, &running::done); };
    auto turn = [&](steady::time_point limit) {
        io_.restart();
        io_.run_one_until(limit);
    };
    bool harmed = disturbed && disturbed->how != harm::nothing;
    if (harmed) {
        // Boost 1.81 throws out of run() when a coroutine is cancelled that has not begun.
        while (!std::ranges::all_of(all, &running::begun)) turn(until);
        if (disturbed->turns < 0) {
            auto then = steady::now() + std::chrono::milliseconds(-disturbed->turns);
            while (!done() && steady::now() < then) turn(then);
        }
        for (int i = 0; i < disturbed->turns && !done(); ++i) turn(until);
        if (disturbed->how == harm::cancel_request) {
            if (!done() && lease_) lease_->cancel();
        } else {
            for (auto& r : all)
                if (!r.done) r.signal.emit(type_of(disturbed->how));
        }
    }
    while (!done() && steady::now() < until) turn(until);
    if (!done()) abandoned_.push_back(kept);
    if (!done()) throw hang("the operation did not end within " + std::to_string(patience.count()) + " s");
    // A signal that was emitted when its coroutine had just ended is delivered by one of the next turns.
    last_ = kept;
    std::vector<outcome> ended;
    for (auto& r : all) ended.push_back(r.ended);
    return ended;
}

outcome subject::drive_one(work w, const op* disturbed) { return drive({std::move(w)}, disturbed).front(); }

outcome subject::run(const op& o)
{
    left_ = stopped_ = false;
    outcome all;
    if (o.what == kind::multiplexed) {
        std::deque<std::string> texts;
        std::vector<work> works;
        for (auto& s : o.statements) {
            auto& sql = texts.emplace_back(s.sql());
            works.push_back([this, &s, &sql](outcome& out) -> asio::awaitable<void> {
                auto got = s.shape == 5 ? multiplexer_->query(sql, s.a, s.b)
                                        : multiplexer_->read().query(sql, s.a, s.b);
                auto result = co_await std::move(got);
                add_result(out, s, result);
            });
        }
        bool cancelled = false;
        for (auto& part : drive(works, &o)) {
            all.add(part);
            cancelled = cancelled || part.ending == "cancelled";
        }
        if (cancelled) all.ending = "cancelled";
        return all;
    }
    all = drive_one([&](outcome& out) { return perform(o, out); }, &o);
    stopped_ = stopped_ || all.ending == "57014";
    stopped_ = stopped_ && o.how == harm::cancel_request;
    return all;
}

asio::awaitable<void> subject::ensure_lease()
{
    if (lease_) co_return;
    auto got = co_await pool_.acquire();
    lease_ = std::move(got);
}

void subject::acquire()
{
    auto o = drive_one([this](outcome&) { return ensure_lease(); });
    if (!o.ok()) throw std::runtime_error("acquire: " + o.ending);
}

void subject::release()
{
    lease_.release();
    if (stream_) stream_is_dead_ = true;
    for (int i = 0; i < 2; ++i) prepared_dead_[i] = prepared_[i].has_value();
}

PGTransactionStatusType subject::status() const { return lease_->session().transaction_status(); }

outcome subject::probe()
{
    return drive_one([this](outcome&) -> asio::awaitable<void> {
        co_await ensure_lease();
        co_await lease_->query("select 1");
    });
}

std::string subject::value(const std::string& sql)
{
    std::string text;
    auto o = drive_one(
        [&](outcome&) -> asio::awaitable<void> { text = co_await lease_->query_value<std::string>(sql); });
    if (!o.ok())
        throw std::runtime_error("a query of the test itself: " + o.ending + ": " + sql.substr(0, 60));
    return text;
}

std::set<int> subject::inserted_by(const op& o)
{
    auto text = value("select coalesce(string_agg(id::text, ' '), '') from t where id between " +
                      std::to_string(o.id * 1000) + " and " + std::to_string(o.id * 1000 + 999));
    std::set<int> ids;
    for (std::size_t at = 0; at < text.size();) {
        auto end = std::min(text.find(' ', at), text.size());
        ids.insert(std::stoi(text.substr(at, end - at)));
        at = end + 1;
    }
    return ids;
}

void subject::settle()
{
    auto until = steady::now() + patience;
    for (;;) {
        auto s = pool_.stats();
        if (s.in_use + s.cleaning + s.connecting == 0) return;
        if (steady::now() > until) throw hang("the pool does not come to rest");
        io_.restart();
        io_.run_one_until(steady::now() + 50ms);
    }
}

outcome subject::close_stream(bool to_the_end)
{
    left_ = false;
    auto o = drive_one([&](outcome& out) -> asio::awaitable<void> {
        if (!to_the_end) co_return;
        for (;;) {
            auto r = co_await stream_->next();
            if (!r) break;
            out.add(*r);
        }
    });
    left_ = !to_the_end && !stream_is_dead_;
    stream_.reset();
    stream_is_dead_ = false;
    return o;
}

template <class Host>
asio::awaitable<void> subject::query(Host& on, const statement& s, outcome& out)
{
    auto sql = s.sql();
    auto got = co_await on.query(sql, s.a, s.b);
    add_result(out, s, got);
}

template <class Host>
asio::awaitable<void> subject::pipeline(Host& on, const op& o, outcome& out)
{
    auto line = on.pipeline(o.flag ? pgcoro::barrier::each : pgcoro::barrier::none);
    std::vector<pgcoro::pending<std::reference_wrapper<const pgcoro::result>>> handles;
    for (auto& s : o.statements) {
        auto sql = s.sql();
        handles.push_back(line.query(sql, s.a, s.b));
    }
    std::exception_ptr failure;
    try {
        co_await line.run();
    } catch (...) {
        failure = std::current_exception();
    }
    for (std::size_t i = 0; i < handles.size(); ++i) {
        outcome part;
        try {
            add_result(part, o.statements[i], handles[i].get().get());
        } catch (...) {
            part = outcome();
            part.ending = ending_of(std::current_exception());
        }
        stopped_ = stopped_ || part.ending == "57014";
        out.add(part);
    }
    if (failure) std::rethrow_exception(failure);
}

template <class Host>
asio::awaitable<void> subject::rows(Host& on, const op& o, outcome& out)
{
    auto& s = o.statements.front();
    auto sql = s.sql();
    pgcoro::stream_options options;
    options.chunk = static_cast<std::size_t>(std::max(o.size, 1));
    if (s.counts_only()) {
        auto all = on.template stream<pgcoro::row>(options, sql, s.a, s.b);
        for (;;) {
            auto r = co_await all.next();
            if (!r) break;
        }
        co_return;
    }
    auto all = on.template stream<row>(options, sql, s.a, s.b);
    for (int i = 0; o.at < 0 || i < o.at; ++i) {
        auto r = co_await all.next();
        if (!r) co_return;
        out.add(*r);
    }
    left_ = true;
}

asio::awaitable<void> subject::open_stream(const op& o, outcome& out)
{
    auto& s = o.statements.front();
    pgcoro::stream_options options;
    options.chunk = static_cast<std::size_t>(o.size);
    auto opened = std::make_unique<stream>(lease_->stream<row>(options, s.sql(), s.a, s.b));
    for (int i = 0; i < o.at; ++i) {
        auto r = co_await opened->next();
        if (!r) co_return;
        out.add(*r);
    }
    stream_ = std::move(opened);
    stream_is_dead_ = false;
}

asio::awaitable<void> subject::copy_in(const op& o, outcome& out)
{
    pgcoro::target into(std::string(table_of(o)), {"id", "k", "v"});
    if (!o.flag) {
        auto all = rows_of(o);
        out.rows = co_await lease_->copy_in(into, all);
        co_return;
    }
    int next = 0;
    auto generate = [&]() -> asio::awaitable<std::optional<table_row>> {
        if (next == o.at) throw thrown();
        if (next == o.count) co_return std::nullopt;
        co_return row_at(o, next++);
    };
    out.rows = co_await lease_->copy_in(into, generate);
}

asio::awaitable<void> subject::copy_out(const op& o, outcome& out)
{
    auto all = lease_->copy_out<row>(copied_query(o));
    for (int i = 0; o.at < 0 || i < o.at; ++i) {
        auto r = co_await all.next();
        if (!r) co_return;
        out.add(*r);
    }
    left_ = true;
}

asio::awaitable<void> subject::copy_csv(const op& o, outcome& out)
{
    int lines = 0;
    auto sink = [&](std::string_view) {
        if (lines++ == o.at) {
            left_ = true;
            throw thrown();
        }
    };
    pgcoro::csv_options options;
    options.header = false;
    auto sql = copied_query(o);
    out.rows = co_await lease_->copy_out_csv(sql, sink, options);
}

asio::awaitable<void> subject::timeout(outcome& out)
{
    std::exception_ptr failure;
    try {
        co_await lease_->execute("set statement_timeout = 20");
        co_await lease_->query("select pg_sleep(5)");
    } catch (...) {
        failure = std::current_exception();
    }
    try {
        co_await lease_->execute(reset_timeout);
    } catch (const pgcoro::server_error&) {
    }
    if (failure) out.ending = ending_of(failure);
}

asio::awaitable<void> subject::in_body(pgcoro::transaction& tx, const statement& s, outcome& out)
{
    using style = statement::style;
    if (s.as == style::plain || s.as == style::swallow) {
        co_await query(tx, s, out);
        co_return;
    }
    auto inner = [&](pgcoro::transaction& same) -> asio::awaitable<void> {
        co_await query(same, s, out);
        if (s.as == style::savepoint_throw) throw thrown();
    };
    co_await tx.savepoint(inner);
}

asio::awaitable<void> subject::body(pgcoro::transaction& tx, const op& o, outcome& out)
{
    out = outcome();
    if (o.size > 0) co_await tx.query("select pg_sleep(5)");
    if (o.at >= 0) {
        auto few = tx.stream<row>("select i as k, repeat('s', 500) as v from generate_series(1, 300) i");
        for (int i = 0; i < o.at; ++i) {
            auto r = co_await few.next();
            if (!r) break;
        }
        left_ = o.at > 0;
    }
    for (std::size_t i = 0; i < o.statements.size(); ++i) {
        auto& s = o.statements[i];
        outcome part;
        std::exception_ptr failure;
        bool last = o.flag && i + 1 == o.statements.size();
        try {
            if (last) {
                auto sql = s.sql();
                auto got = co_await tx.last().query(sql, s.a, s.b);
                add_result(part, s, got);
            } else {
                co_await in_body(tx, s, part);
            }
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            part = outcome();
            part.ending = ending_of(failure);
            bool passes = last || s.as == statement::style::plain || part.ending == "cancelled";
            if (passes) std::rethrow_exception(failure);
        }
        out.add(part);
    }
    if (o.flag2) throw thrown();
}

asio::awaitable<void> subject::transactional(const op& o, outcome& out)
{
    pgcoro::transaction_options options;
    options.retry.max_attempts = 2;
    options.timeout = std::chrono::milliseconds(o.size);
    auto attempt = [&](pgcoro::transaction& tx) -> asio::awaitable<void> { co_await body(tx, o, out); };
    co_await pgcoro::transactional(pool_, attempt, options);
}

asio::awaitable<void> subject::poll(outcome& out)
{
    for (;;) {
        auto n = co_await lease_->wait_notification(0ms);
        if (!n) break;
        ++out.rows;
        out.add_text(n->channel);
        out.add_text(n->payload);
    }
}

asio::awaitable<void> subject::perform(const op& o, outcome& out)
{
    if (o.what == kind::transactional) {
        co_await transactional(o, out);
        co_return;
    }
    co_await ensure_lease();
    switch (o.what) {
    case kind::query:
        co_await query(*lease_, o.statements.front(), out);
        break;
    case kind::prepare: {
        auto sql = o.statements.front().sql();
        auto made = co_await lease_->prepare<int, std::optional<std::string>>(sql);
        prepared_[o.count].emplace(std::move(made));
        prepared_dead_[o.count] = false;
        break;
    }
    case kind::run_prepared: {
        auto& handle = prepared_[o.count];
        if (!handle) break;
        auto& s = o.statements.front();
        auto got = co_await handle->query(s.a, s.b);
        if (PQnfields(got.get()) == 0)
            out.rows = got.affected_rows();
        else
            for (auto& r : got.as<row>()) out.add(r);
        break;
    }
    case kind::pipeline:
        co_await pipeline(*lease_, o, out);
        break;
    case kind::stream:
        co_await rows(*lease_, o, out);
        break;
    case kind::open_stream:
        co_await open_stream(o, out);
        break;
    case kind::copy_in:
        co_await copy_in(o, out);
        break;
    case kind::copy_out:
        co_await copy_out(o, out);
        break;
    case kind::copy_csv:
        co_await copy_csv(o, out);
        break;
    case kind::script:
        out.rows = co_await lease_->execute_script(o.text);
        break;
    case kind::command:
        co_await lease_->execute(o.text);
        break;
    case kind::timeout:
        co_await timeout(out);
        break;
    case kind::insert_many: {
        auto all = rows_of(o);
        pgcoro::target into("t", {"id", "k", "v"});
        std::vector<std::string> keys{"id"};
        if (o.flag)
            out.rows = co_await lease_->upsert_many(into, keys, all);
        else
            out.rows = co_await lease_->insert_many(into, all);
        break;
    }
    case kind::poll:
        co_await poll(out);
        break;
    case kind::ping:
        co_await lease_->ping(30s);
        break;
    case kind::reset:
        co_await lease_->reset(30s);
        stream_is_dead_ = stream_ != nullptr;
        break;
    case kind::transactional:
    case kind::multiplexed:
    case kind::close_stream:
    case kind::release:
        break;
    }
}

} // namespace storm
