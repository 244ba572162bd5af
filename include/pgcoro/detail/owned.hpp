#pragma once

#include <pgcoro/export.hpp>

#include <cstddef>
#include <utility>

namespace PGCORO_API pgcoro
{
namespace detail
{

struct by_delete
{
    template <class T>
    void operator()(T* p) const noexcept
    {
        constexpr bool complete = requires { sizeof(T); };
        static_assert(complete, "what is deleted must be complete");
        delete p;
    }
};

// Owns one object, or none: std::unique_ptr with what public classes need of it. Each std::unique_ptr of
// another type costs who includes it over a megabyte of the compiler's memory, and the time that goes with
// it.
template <class T, class Deleter = by_delete>
class owned
{
public:
    owned() noexcept = default;
    owned(std::nullptr_t) noexcept {}
    explicit owned(T* p) noexcept
        : p_(p)
    {}
    owned(owned&& other) noexcept
        : p_(std::exchange(other.p_, nullptr))
    {}
    owned& operator=(owned&& other) noexcept
    {
        reset(std::exchange(other.p_, nullptr));
        return *this;
    }
    ~owned() { reset(); }

    void reset(T* p = nullptr) noexcept
    {
        if (T* before = std::exchange(p_, p)) Deleter()(before);
    }
    T* release() noexcept { return std::exchange(p_, nullptr); }

    T* get() const noexcept { return p_; }
    T* operator->() const noexcept { return p_; }
    T& operator*() const noexcept { return *p_; }
    explicit operator bool() const noexcept { return p_ != nullptr; }

private:
    T* p_ = nullptr;
};

} // namespace detail
} // namespace pgcoro
