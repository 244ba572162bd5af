#include <pgcoro/connection/copy.hpp>

#include "base/shortened.hpp"
#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
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

class copy_channel final : public session_holder, private reply_handler
{
public:
    explicit copy_channel(statement_host& host)
        : host_(host)
    {}
    ~copy_channel() { abandon(); }

    void abandon() noexcept override
    {
        if (session_) session_->holder = nullptr;
        if (session_) {
            taken_away_ = true;
            session_->note_left(sql_);
        }
        session_ = nullptr;
        operation_.reset();
    }

    // By the simple protocol, where what goes before and after it is of the same round trip.
    asio::awaitable<void> begin(std::string sql)
    {
        sql_ = std::move(sql);
        auto& host = host_.get();
        auto& s = host.on().impl();
        co_await s.make_ready(sql_);
        s.check(sql_, 0);
        span_ = s.span(span_of::statement, sql_);
        prologue_ = host.begin(sql_);
        auto all = text_before(prologue_) + sql_;
        if (!prologue_.after.empty()) all.append("; ").append(prologue_.after);
        begun_ = clock::now();
        operation_.emplace(s);
        session_ = &s;
        s.holder = this;
        s.copy_bytes.begin();
        s.begin(false);
        s.trip.expect_copy();
        s.send_script(all, sql_);
        s.socket->flush();
        std::exception_ptr cancelled;
        bool in_time = true;
        try {
            in_time = co_await s.pump(*this, limit());
        } catch (const boost::system::system_error&) {
            cancelled = std::current_exception();
        }
        if (cancelled) {
            co_await asio::this_coro::reset_cancellation_state(); // or nothing can be waited for
            co_await answered_after_all(s);
            std::rethrow_exception(cancelled);
        }
        if (!in_time || !began_) end(in_time);
    }

    // False when the server seems to have refused: then only finish() makes sense, which says why.
    asio::awaitable<bool> send(std::string_view bytes)
    {
        constexpr std::size_t portion = 16 * 1024 * 1024; // libpq takes an int, and keeps all of it
        auto& s = under_way();
        while (!bytes.empty()) {
            auto part = bytes.substr(0, portion);
            bytes.remove_prefix(part.size());
            look_at_answers(s, [&] {
                s.need(PQputCopyData(s.pg(), part.data(), static_cast<int>(part.size())) > 0, sql_);
                s.socket->flush();
            });
            sent_ += part.size();
            while (s.trip.is_copying_in() && s.socket->flushing()) {
                bool in_time = false;
                auto before = s.socket->unread_bytes();
                in_time = co_await s.pump(*this, limit());
                note_read(s, before);
                if (!in_time) end(in_time);
            }
            if (s.is_broken() || !s.trip.is_copying_in()) co_return false;
        }
        refused_ = refused_ || s.copy_bytes.is_error_likely(clock::now());
        co_return !refused_;
    }

    asio::awaitable<std::uint64_t> finish()
    {
        // A COPY whose rows were not all sent must not succeed.
        co_await end_copy(refused_ ? "the server seemed to have refused the rows" : nullptr);
        co_return count_;
    }

    asio::awaitable<std::exception_ptr> give_up(std::exception_ptr why)
    {
        try {
            co_await end_copy("the client gave up");
        } catch (const server_error&) { // says that we gave up, and why is known here
        }
        if (span_) span_->failed(why);
        auto* host = host_.if_lent();
        co_return host ? host->failed(why, sql_) : why;
    }

    asio::awaitable<std::optional<std::string_view>> receive()
    {
        if (!session_ && !taken_away_) co_return std::nullopt;
        auto& s = under_way();
        row_.reset();
        bool in_time = true;
        if (!s.pumped(*this)) in_time = co_await s.pump(*this, limit());
        if (in_time && row_) co_return std::string_view(row_.get(), row_size_);
        end(in_time);
        co_return std::nullopt;
    }

    // What an operation ends with, as the host has it.
    std::exception_ptr failed(std::exception_ptr why)
    {
        abandon();
        if (span_) span_->failed(why);
        auto* host = host_.if_lent();
        return host ? host->failed(why, sql_) : why;
    }

private:
    session_impl& under_way()
    {
        if (taken_away_) host_reference::throw_not_lent();
        if (!session_) throw std::logic_error("pgcoro: this COPY is over: " + shortened(sql_, longest_statement));
        return *session_;
    }

    // A server that waits for rows of a COPY ignores cancel requests, and keeps its locks until the COPY ends. So a COPY
    // that is cancelled before the server's first answer waits for that answer, and then ends the COPY.
    asio::awaitable<void> answered_after_all(session_impl& s)
    {
        constexpr std::chrono::seconds most{5};
        s.stop_at_server();
        s.trip.abandon();
        try {
            co_await s.pump(*this, {.deadline = time_after(most), .of_statement = false});
        } catch (const boost::system::system_error&) {
            co_return; // cancelled again: recover() does the rest
        }
        operation_->finish();
    }

    time_limit limit() const { return {.deadline = prologue_.deadline, .renewed = true}; }

    // Calls `f`, in which libpq may read from the socket; then reads what has arrived, so that an error is noticed.
    template <class F>
    void look_at_answers(session_impl& s, F f)
    {
        auto before = s.socket->unread_bytes();
        f();
        before = std::max(before, s.socket->unread_bytes());
        if (before > 0) s.socket->read_unasked();
        note_read(s, before);
    }
    void note_read(session_impl& s, std::size_t unread_before)
    {
        auto left = s.socket->unread_bytes();
        s.copy_bytes.arrived(unread_before > left ? unread_before - left : 0, !s.socket->is_encrypted(), clock::now());
    }

    void answered(result_ptr got) override
    {
        if (!began_) return; // what goes before it
        if (PQresultStatus(got.get()) == PGRES_COMMAND_OK)
            count_ = rows_of(got.get());
        else if (auto* host = host_.if_lent())
            host->told(first_value(got.get()));
    }
    void failed(round_trip::event, result_ptr why, bool) override
    {
        if (!error_) error_ = std::move(why);
    }
    void copy_began() override { began_ = pause = true; }
    void copied(pq_ptr<char> row, std::size_t size) override
    {
        row_ = std::move(row);
        row_size_ = size;
        received_ += size;
        pause = true;
    }

    // CopyDone, or CopyFail with the reason; and the answers to it.
    asio::awaitable<void> end_copy(const char* reason)
    {
        auto& s = under_way();
        if (s.trip.is_copying_in() && !s.is_broken()) {
            s.need(PQputCopyEnd(s.pg(), reason) > 0, sql_);
            s.trip.copy_in_ended();
            s.socket->flush();
        }
        bool in_time = co_await s.pump(*this, limit());
        end(in_time);
    }

    // All answers are there, or none will come. Throws the first error among them.
    void end(bool in_time)
    {
        auto& s = *session_;
        operation_->finish();
        if (s.options->observer)
            s.report({.sql = sql_,
                      .error = error_.get(),
                      .begun = begun_,
                      .rows = count_,
                      .bytes_sent = sent_,
                      .bytes_received = received_});
        s.holder = nullptr;
        session_ = nullptr;
        operation_.reset();
        if (!in_time) s.fail_overdue(sql_);
        if (!error_ && !s.is_broken()) {
            if (span_) {
                span_->event().rows = count_;
                span_->end();
            }
            return;
        }
        try {
            s.fail(error_.get(), sql_);
        } catch (server_error& e) {
            if (auto row = failed_copy_row(e.diag().context))
                e.add_note("in row " + std::to_string(row) + " of those copied");
            throw;
        }
    }

    host_reference host_;
    session_impl* session_ = nullptr; // while it is under way
    std::string sql_;
    prologue prologue_;
    std::optional<operation> operation_;
    session::time_point begun_;
    open_span_ptr span_;
    result_ptr error_;
    pq_ptr<char> row_;
    std::size_t row_size_ = 0;
    std::uint64_t count_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    bool began_ = false;
    bool refused_ = false;
    bool taken_away_ = false;
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
