#include <pgcoro/connection/copy.hpp>

#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace pgcoro::detail
{

namespace
{

// The row that an error of COPY FROM is about, counted from 1; 0 when it does not say.
// "COPY table, line 7, column n", in whatever language: the first number behind the table's name.
std::uint64_t failed_copy_row(std::string_view context)
{
    auto at = context.starts_with("COPY ") ? context.find(", ") : context.npos;
    if (at == context.npos) return 0;
    at = context.find_first_of("0123456789", at);
    if (at == context.npos) return 0;
    std::uint64_t row = 0;
    std::from_chars(context.data() + at, context.data() + context.size(), row);
    return row;
}

} // namespace

class copy_channel final : public session_holder
{
public:
    explicit copy_channel(statement_host& host)
        : host_(host)
    {}
    ~copy_channel() { abandon(); }

    void abandon() noexcept override
    {
        if (session_) session_->holder_ = nullptr;
        session_ = nullptr;
        operation_.reset();
    }

    // By the simple protocol, where what goes before and after it is of the same round trip.
    asio::awaitable<void> begin(std::string sql)
    {
        sql_ = std::move(sql);
        auto& s = host_.on();
        co_await s.make_ready(sql_);
        s.check(sql_, 0);
        span_ = s.span(span_of::statement, sql_);
        prologue_ = host_.begin(sql_);
        auto all = text_before(prologue_) + sql_;
        if (!prologue_.after.empty()) all.append("; ").append(prologue_.after);
        begun_ = std::chrono::steady_clock::now();
        operation_.emplace(s, session::work::statement, deadline(s));
        session_ = &s;
        s.holder_ = this;
        s.note(sql_, no_params);
        s.need(PQsendQuery(s.pg(), all.c_str()), sql_);
        s.wire_->flush();
        for (;;) {
            auto answer = co_await s.wire_->next_result();
            auto status = answer ? PQresultStatus(answer.get()) : PGRES_FATAL_ERROR;
            if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) break;
            bool came_before = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
            if (!came_before) co_await end(std::move(answer)); // throws
        }
        pause();
    }

    asio::awaitable<bool> send(std::string_view bytes)
    {
        auto& s = under_way();
        // libpq takes it as it is, whatever it has to keep; so its buffer is emptied each time.
        s.need(PQputCopyData(s.pg(), bytes.data(), static_cast<int>(bytes.size())) > 0, sql_);
        sent_ += bytes.size();
        co_await resume(s);
        bool taken = co_await s.wire_->flush_all();
        pause();
        co_return taken;
    }

    asio::awaitable<std::uint64_t> finish()
    {
        auto& s = under_way();
        s.need(PQputCopyEnd(s.pg(), nullptr) > 0, sql_);
        co_await resume(s);
        s.wire_->flush();
        co_await end(nullptr);
        co_return rows_;
    }

    asio::awaitable<std::exception_ptr> give_up(std::exception_ptr why)
    {
        auto& s = under_way();
        s.need(PQputCopyEnd(s.pg(), "the client gave up") > 0, sql_);
        co_await resume(s);
        s.wire_->flush();
        try {
            co_await end(nullptr);
        } catch (const server_error&) { // says that we gave up, and why is known here
        }
        if (span_) span_->failed(why);
        co_return host_.failed(why, sql_);
    }

    asio::awaitable<std::optional<std::string_view>> receive()
    {
        if (!session_) co_return std::nullopt;
        auto& s = under_way();
        for (bool waited = false;;) {
            char* bytes = nullptr;
            auto n = PQgetCopyData(s.pg(), &bytes, 1);
            received_.reset(bytes);
            if (n > 0) {
                if (waited) pause();
                received_bytes_ += static_cast<std::uint64_t>(n);
                co_return std::string_view(bytes, static_cast<std::size_t>(n));
            }
            if (n < 0) break;
            if (s.wire_->broken()) s.fail(nullptr, sql_);
            if (!waited) co_await resume(s);
            waited = true;
            co_await s.wire_->step();
        }
        co_await end(nullptr);
        co_return std::nullopt;
    }

    // What an operation ends with, as the host has it.
    std::exception_ptr failed(std::exception_ptr why)
    {
        abandon();
        if (span_) span_->failed(why);
        return host_.failed(why, sql_);
    }

private:
    session& under_way()
    {
        if (!session_) throw std::logic_error("pgcoro: this COPY is over: " + sql_);
        return *session_;
    }

    session::time_point deadline(session& s) const
    {
        return std::min(s.response_deadline(), prologue_.deadline);
    }

    asio::awaitable<void> resume(session& s)
    {
        auto executor = co_await asio::this_coro::executor;
        s.wire_->bind(executor);
        operation_->resume(deadline(s));
    }
    void pause()
    {
        auto& s = *session_;
        if (operation_->pause()) return;
        abandon();
        s.fail_overdue(sql_);
    }

    // The answers that are left; throws the first error among them, or `error`.
    asio::awaitable<void> end(result_ptr error)
    {
        auto& s = *session_;
        while (!s.wire_->broken()) {
            auto answer = co_await s.wire_->next_result();
            if (!answer) break;
            switch (PQresultStatus(answer.get())) {
            case PGRES_COMMAND_OK:
                rows_ = rows_of(answer.get());
                break;
            case PGRES_TUPLES_OK:
                host_.told(first_value(answer.get()));
                break;
            default:
                if (!error) error = std::move(answer);
            }
        }
        bool in_time = operation_->finish();
        if (s.options_->observer)
            s.report({.sql = sql_,
                      .error = error.get(),
                      .begun = begun_,
                      .rows = rows_,
                      .bytes_sent = sent_,
                      .bytes_received = received_bytes_});
        abandon();
        if (!in_time) s.fail_overdue(sql_);
        if (!error && !s.wire_->broken()) {
            if (span_) {
                span_->event().rows = rows_;
                span_->end();
            }
            co_return;
        }
        try {
            s.fail(error.get(), sql_);
        } catch (server_error& e) {
            if (auto row = failed_copy_row(e.diag().context))
                e.add_note("in row " + std::to_string(row) + " of those copied");
            throw;
        }
    }

    statement_host& host_;
    session* session_ = nullptr;
    std::string sql_;
    prologue prologue_;
    std::optional<session::operation> operation_;
    session::time_point begun_;
    open_span_ptr span_;
    std::uint64_t rows_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t received_bytes_ = 0;
    pq_ptr<char> received_;
};

void copy_channel_deleter::operator()(copy_channel* c) const noexcept { delete c; }

namespace
{

// Runs a step of a COPY; what goes wrong ends it.
template <class T>
asio::awaitable<T> guarded(copy_channel& channel, asio::awaitable<T> step)
{
    std::exception_ptr failure;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(step);
            co_return;
        } else {
            auto got = co_await std::move(step);
            co_return got;
        }
    } catch (...) {
        failure = std::current_exception();
    }
    std::rethrow_exception(channel.failed(failure));
}

} // namespace

copy_operation::copy_operation(statement_host& host)
    : channel_(new copy_channel(host))
{}

asio::awaitable<void> copy_operation::begin(std::string sql)
{
    return guarded(*channel_, channel_->begin(std::move(sql)));
}
asio::awaitable<bool> copy_operation::send(std::string_view bytes)
{
    return guarded(*channel_, channel_->send(bytes));
}
asio::awaitable<std::uint64_t> copy_operation::finish() { return guarded(*channel_, channel_->finish()); }
asio::awaitable<std::exception_ptr> copy_operation::give_up(std::exception_ptr why)
{
    return guarded(*channel_, channel_->give_up(why));
}
asio::awaitable<std::optional<std::string_view>> copy_operation::receive()
{
    return guarded(*channel_, channel_->receive());
}

} // namespace pgcoro::detail
