// A span under way. None is made, and nothing costs anything, where nobody set a context or wants spans.
#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/observer/operation_name.hpp>

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace pgcoro::detail
{

class open_span;
using open_span_ptr = owned<open_span>;

class open_span
{
public:
    // Null when nobody wants it.
    static open_span_ptr begin(observer* told, span_of of, const trace_context& parent);

    open_span(observer& told, span_of of, const trace_context& parent);
    open_span(const open_span&) = delete;
    open_span& operator=(const open_span&) = delete;
    // One whose end was not told was cancelled.
    ~open_span();

    const trace_context& context() const noexcept { return event_.begin.own; }

    // Where it takes place. Copied: a connection may go before its span ends.
    void at(std::string_view pool, const char* database = nullptr, const char* host = nullptr,
            const char* port = nullptr);

    // The operation that it belongs to. Copied, as above.
    void belongs_to(const operation_name& operation)
    {
        operation_ = operation;
        event_.operation = operation_;
    }

    // What else is told. Its texts must be there when the span ends.
    span_event& event() noexcept { return event_; }
    void gave(const result& got) { event_.rows = got.empty() ? got.affected_rows() : got.size(); }

    void end() noexcept;
    void failed(const std::exception_ptr& why) noexcept;

private:
    observer& told_;
    span_event event_;
    std::string pool_;
    std::string database_;
    std::string host_;
    std::string port_;
    operation_name operation_;
    bool ended_ = false;
};

// Runs `work`; the span, if there is one, ends with what comes of it, of which `tell(span, got)` may say
// more.
template <class T, class Tell>
boost::asio::awaitable<T> spanned(open_span* span, boost::asio::awaitable<T> work, Tell tell)
{
    std::exception_ptr failure;
    try {
        T got = co_await std::move(work);
        if (span) {
            std::invoke(tell, *span, got);
            span->end();
        }
        co_return got;
    } catch (...) {
        failure = std::current_exception();
    }
    if (span) span->failed(failure);
    std::rethrow_exception(failure);
}

} // namespace pgcoro::detail
