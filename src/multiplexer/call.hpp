// A statement that somebody waits for.
#pragma once

#include "connection/one_shot.hpp"
#include "multiplexer/known_statements.hpp"

#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <exception>
#include <memory>

namespace pgcoro::detail
{

class lane;

// It has all that its statement needs, because who waits for it may be gone before it is run. Whoever settles
// it (an answer, an error, the deadline, a cancellation) is the first, and the only one that tells what came
// of it.
class call final : public one_shot, public boost::intrusive::list_base_hook<>
{
public:
    call(std::shared_ptr<known_statement> text, params&& values, bool reads, time_point until)
        : known(std::move(text))
        , args(std::move(values))
        , read(reads)
        , deadline(until)
    {}

    bool settled() const noexcept { return settled_.load(std::memory_order_acquire); }
    // True for the first.
    bool settle() noexcept { return !settled_.exchange(true, std::memory_order_acq_rel); }
    void fail(std::exception_ptr why)
    {
        if (!settle()) return;
        failure = std::move(why);
        tell();
    }

    const std::shared_ptr<known_statement> known;
    params args;
    const bool read;
    const time_point deadline;

    // Under the multiplexer's lock: where it is. The queue keeps its calls alive.
    std::shared_ptr<call> queued;
    lane* on = nullptr;

    // Of whoever runs it.
    std::atomic<bool> sent{false};
    bool shares = false; // a Sync with others
    bool alone = false;  // it shares no more: it stood behind one that failed
    bool prepared_anew = false;
    bool answered = false;
    int lost = 0; // so often, the connection

    // What came of it.
    result got;
    std::exception_ptr failure;
    bool goes_apart = false; // by itself, after all

private:
    std::atomic<bool> settled_{false};
};

} // namespace pgcoro::detail
