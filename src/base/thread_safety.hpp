// Clang's thread-safety analysis: the compiler checks which mutex guards which data. Other compilers see
// nothing.
#pragma once

#include <mutex>

#if defined(__clang__)
#define PGCORO_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define PGCORO_THREAD_SAFETY(attribute)
#endif

#define PGCORO_CAPABILITY(name) PGCORO_THREAD_SAFETY(capability(name))
#define PGCORO_SCOPED_CAPABILITY PGCORO_THREAD_SAFETY(scoped_lockable)
#define PGCORO_GUARDED_BY(mutex) PGCORO_THREAD_SAFETY(guarded_by(mutex))
#define PGCORO_REQUIRES(...) PGCORO_THREAD_SAFETY(requires_capability(__VA_ARGS__))
#define PGCORO_EXCLUDES(...) PGCORO_THREAD_SAFETY(locks_excluded(__VA_ARGS__))
#define PGCORO_ACQUIRE(...) PGCORO_THREAD_SAFETY(acquire_capability(__VA_ARGS__))
#define PGCORO_TRY_ACQUIRE(...) PGCORO_THREAD_SAFETY(try_acquire_capability(__VA_ARGS__))
#define PGCORO_RELEASE(...) PGCORO_THREAD_SAFETY(release_capability(__VA_ARGS__))
// For a function that reads guarded data without the mutex, and says in a comment why it may.
#define PGCORO_NO_THREAD_SAFETY_ANALYSIS PGCORO_THREAD_SAFETY(no_thread_safety_analysis)

namespace pgcoro::detail
{

// A std::mutex that the analysis knows.
class PGCORO_CAPABILITY("mutex") annotated_mutex
{
public:
    void lock() PGCORO_ACQUIRE() { mutex_.lock(); }
    bool try_lock() PGCORO_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
    void unlock() PGCORO_RELEASE() { mutex_.unlock(); }

private:
    std::mutex mutex_;
};

// A std::lock_guard that the analysis knows.
template <class Mutex>
class PGCORO_SCOPED_CAPABILITY mutex_guard
{
public:
    explicit mutex_guard(Mutex& mutex) PGCORO_ACQUIRE(mutex)
        : mutex_(mutex)
    {
        mutex_.lock();
    }
    ~mutex_guard() PGCORO_RELEASE() { mutex_.unlock(); }
    mutex_guard(const mutex_guard&) = delete;
    mutex_guard& operator=(const mutex_guard&) = delete;

private:
    Mutex& mutex_;
};

} // namespace pgcoro::detail
