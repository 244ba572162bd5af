#include "watch.hpp"

#include <algorithm>

namespace chaos
{

const char* to_string(work w) noexcept
{
    constexpr const char* names[works] = {"transfer", "append", "read", "copy in", "copy out", "notify"};
    return names[static_cast<std::size_t>(w)];
}

watch::caller::caller(watch& w, work kind)
    : watch_(w)
    , kind_(kind)
{
    std::lock_guard lock(w.mutex_);
    number_ = w.callers_.size();
    w.callers_.emplace_back();
}

watch::caller::~caller()
{
    std::lock_guard lock(watch_.mutex_);
    watch_.callers_[number_].alive = false;
}

void watch::caller::begins() { begun_ = clock::now(); }

void watch::caller::ends(const char* failure)
{
    auto now = clock::now();
    std::lock_guard lock(watch_.mutex_);
    auto& f = watch_.figures_[static_cast<std::size_t>(kind_)];
    f.longest = std::max(f.longest, now - begun_);
    if (failure) {
        ++f.failed;
        if (f.first_error.empty()) f.first_error = failure;
        return;
    }
    ++f.done;
    auto& own = watch_.callers_[number_].first_success;
    if (now >= watch_.mark_) own = std::min(own, now);
}

work_figures watch::figures(work kind) const
{
    std::lock_guard lock(mutex_);
    return figures_[static_cast<std::size_t>(kind)];
}

std::size_t watch::alive() const
{
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(callers_, &state::alive));
}

void watch::mark(clock::time_point moment)
{
    std::lock_guard lock(mutex_);
    mark_ = moment;
    for (auto& c : callers_) c.first_success = clock::time_point::max();
}

clock::time_point watch::last_first_success() const
{
    std::lock_guard lock(mutex_);
    clock::time_point last{};
    for (auto& c : callers_)
        if (c.alive) last = std::max(last, c.first_success);
    return last;
}

} // namespace chaos
