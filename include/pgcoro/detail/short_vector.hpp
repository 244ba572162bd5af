#pragma once

#include <pgcoro/export.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{
namespace detail
{

// A vector whose first N elements need no allocation, of what can be copied as bytes. Of its own, because it
// stands in what every user includes: Boost.Container's, which can do much more, made it cost the compiler
// 30 MB more. Not thread-safe.
template <class T, std::size_t N>
class short_vector
{
    static_assert(std::is_trivially_copyable_v<T>);

public:
    using value_type = T;

    short_vector() noexcept {} // not defaulted: whoever has one may have it const
    short_vector(const short_vector& other) { append(other.data_, other.size_); }
    short_vector(short_vector&& other) noexcept { take(other); }
    short_vector& operator=(const short_vector& other)
    {
        if (this != &other) {
            clear();
            append(other.data_, other.size_);
        }
        return *this;
    }
    short_vector& operator=(short_vector&& other) noexcept
    {
        if (this != &other) {
            give_back();
            take(other);
        }
        return *this;
    }
    ~short_vector() { give_back(); }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    T* data() noexcept { return data_; }
    const T* data() const noexcept { return data_; }
    T* begin() noexcept { return data_; }
    T* end() noexcept { return data_ + size_; }
    const T* begin() const noexcept { return data_; }
    const T* end() const noexcept { return data_ + size_; }
    T& operator[](std::size_t i) noexcept { return data_[i]; }
    const T& operator[](std::size_t i) const noexcept { return data_[i]; }
    T& back() noexcept { return data_[size_ - 1]; }
    const T& back() const noexcept { return data_[size_ - 1]; }

    void reserve(std::size_t n)
    {
        if (n > capacity_) grow(n);
    }
    T& push_back(const T& value)
    {
        T copy = value; // it may be one of ours
        return *::new (static_cast<void*>(extend(1))) T(copy);
    }
    // Room for n more, for the caller to fill.
    T* extend(std::size_t n)
    {
        if (n > capacity_ - size_) [[unlikely]]
            grow(size_ + n);
        auto* first = data_ + size_;
        size_ += n;
        return first;
    }
    // `from` is not to be one of ours.
    void append(const T* from, std::size_t n)
    {
        if (n > 0) std::memcpy(static_cast<void*>(extend(n)), from, n * sizeof(T));
    }
    // What is new is T().
    void resize(std::size_t n)
    {
        reserve(n);
        for (; size_ < n; ++size_) ::new (static_cast<void*>(data_ + size_)) T();
        size_ = n;
    }
    void pop_back() noexcept { --size_; }
    void clear() noexcept { size_ = 0; }

private:
    T* own() noexcept { return reinterpret_cast<T*>(own_); }

    [[gnu::noinline]] void grow(std::size_t at_least) // out of the way of who has room
    {
        auto wanted = at_least > 2 * capacity_ ? at_least : 2 * capacity_;
        T* wider = std::allocator<T>().allocate(wanted);
        if (size_ > 0) std::memcpy(static_cast<void*>(wider), data_, size_ * sizeof(T));
        give_back();
        data_ = wider;
        capacity_ = wanted;
    }

    void give_back() noexcept
    {
        if (data_ != own()) std::allocator<T>().deallocate(data_, capacity_);
    }

    // Leaves it empty. What we had is gone already.
    void take(short_vector& other) noexcept
    {
        size_ = std::exchange(other.size_, 0);
        if (other.data_ != other.own()) {
            data_ = std::exchange(other.data_, other.own());
            capacity_ = std::exchange(other.capacity_, N);
            return;
        }
        data_ = own();
        capacity_ = N;
        if (size_ > 0) std::memcpy(static_cast<void*>(data_), other.data_, size_ * sizeof(T));
    }

    alignas(T) std::byte own_[N * sizeof(T)];
    T* data_ = own();
    std::size_t size_ = 0;
    std::size_t capacity_ = N;
};

} // namespace detail
} // namespace pgcoro
