#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace chaos
{

using clock = std::chrono::steady_clock;

/// What the callers do.
enum class work : std::uint8_t { transfer, append, read, copy_in, copy_out, notify };
inline constexpr std::size_t works = 6;
const char* to_string(work w) noexcept;

/// What became of one kind of work.
struct work_figures
{
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    clock::duration longest{}; ///< of those that ended, well or not
    std::string first_error;
};

/// Who works, since when, and when he last had success. From any thread.
class watch
{
public:
    /// One caller, for as long as his coroutine lives. The watch must outlive it.
    class caller
    {
    public:
        caller(watch& w, work kind);
        caller(const caller&) = delete;
        caller& operator=(const caller&) = delete;
        ~caller();

        void begins();
        void succeeded() { ends(nullptr); }
        void failed(const char* why) { ends(why); }

    private:
        void ends(const char* failure);

        watch& watch_;
        work kind_;
        std::size_t number_;
        clock::time_point begun_;
    };

    work_figures figures(work kind) const;
    /// How many callers have not ended.
    std::size_t alive() const;
    /// First successes are looked for from this moment on.
    void mark(clock::time_point moment);
    /// Of the first successes since the mark, one by caller, the last; max() while a caller has none.
    clock::time_point last_first_success() const;

private:
    struct state
    {
        bool alive = true;
        clock::time_point first_success = clock::time_point::max(); ///< since the mark
    };

    mutable std::mutex mutex_;
    clock::time_point mark_{};
    std::vector<state> callers_;
    work_figures figures_[works];
};

} // namespace chaos
