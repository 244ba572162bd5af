// An observer that can be left alone from a certain moment on, whatever is still under way.
#pragma once

#include <pgcoro/observer/observer.hpp>

#include <atomic>
#include <cstdint>

namespace pgcoro::detail
{

// Passes events on until it is closed. After close() returned, no call to the observer is under way on any
// other thread, and none begins.
class observer_gate final : public observer
{
public:
    // Null for nobody.
    explicit observer_gate(observer* behind) noexcept
        : behind_(behind)
    {}

    bool is_closed() const noexcept { return closed_.load(); }
    observer* behind() const noexcept { return behind_; }
    // Waits for calls that are under way on other threads. May itself be called by an observer.
    void close() noexcept;

    void on_query(const query_event& e) noexcept override { pass(&observer::on_query, e); }
    void on_notice(const notice_event& e) noexcept override { pass(&observer::on_notice, e); }
    void on_connect(const connect_event& e) noexcept override { pass(&observer::on_connect, e); }
    void on_disconnect(const disconnect_event& e) noexcept override { pass(&observer::on_disconnect, e); }
    void on_acquire(const acquire_event& e) noexcept override { pass(&observer::on_acquire, e); }
    void on_acquire_failed(const acquire_failed_event& e) noexcept override
    {
        pass(&observer::on_acquire_failed, e);
    }
    void on_release(const release_event& e) noexcept override { pass(&observer::on_release, e); }
    void on_leak(const leak_event& e) noexcept override { pass(&observer::on_leak, e); }
    void on_retry(const retry_event& e) noexcept override { pass(&observer::on_retry, e); }
    void on_transaction_begin(const transaction_begin_event& e) noexcept override
    {
        pass(&observer::on_transaction_begin, e);
    }
    void on_transaction(const transaction_event& e) noexcept override { pass(&observer::on_transaction, e); }
    void on_long_transaction(const long_transaction_event& e) noexcept override
    {
        pass(&observer::on_long_transaction, e);
    }
    void on_breaker(const breaker_event& e) noexcept override { pass(&observer::on_breaker, e); }
    void on_role(const role_event& e) noexcept override { pass(&observer::on_role, e); }
    void on_failover(const failover_event& e) noexcept override { pass(&observer::on_failover, e); }
    bool wants_spans() const noexcept override;
    void on_span_begin(span_begin& e) noexcept override { pass(&observer::on_span_begin, e); }
    void on_span(const span_event& e) noexcept override { pass(&observer::on_span, e); }

private:
    // A call on this thread, while it lasts.
    class call
    {
    public:
        explicit call(const observer_gate& gate) noexcept;
        call(const call&) = delete;
        call& operator=(const call&) = delete;
        ~call();
        bool allowed() const noexcept { return allowed_; }

    private:
        friend observer_gate;
        const observer_gate& gate_;
        call* const outer_;
        bool counted_ = false;
        bool allowed_ = false;
    };

    template <class Event>
    void pass(void (observer::*function)(Event&) noexcept, Event& event) noexcept
    {
        if (!behind_) return;
        call now(*this);
        if (now.allowed()) (behind_->*function)(event);
    }

    observer* const behind_;
    std::atomic<bool> closed_{false};
    mutable std::atomic<std::uint32_t> calls_{0};
};

} // namespace pgcoro::detail
