#pragma once

#include <pgcoro/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A name for messages, events and figures. It owns its text, so it may be built on the fly, and it never
/// allocates: at most 63 bytes are kept, and a longer name is cut before a UTF-8 character that does not fit.
/// A null `const char*` is an empty name.
///
/// (Its bytes are in the object, because GCC 12 moves a temporary in a co_await expression by its bytes, which a
/// `std::string` does not survive.)
class operation_name
{
public:
    static constexpr std::size_t max_size = 63;

    constexpr operation_name() noexcept = default;
    constexpr operation_name(std::string_view name) noexcept // NOLINT(google-explicit-constructor): a text
    {
        auto size = name.size();
        if (size > max_size) {
            size = max_size;
            while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
        }
        for (std::size_t i = 0; i < size; ++i) bytes_[i] = name[i];
        size_ = static_cast<std::uint8_t>(size);
    }
    constexpr operation_name(const char* name) noexcept // NOLINT(google-explicit-constructor): a text
        : operation_name(name ? std::string_view(name) : std::string_view())
    {}
    operation_name(const std::string& name) noexcept // NOLINT(google-explicit-constructor): a text
        : operation_name(std::string_view(name))
    {}

    /// The name. Valid as long as this object has it.
    constexpr std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    constexpr operator std::string_view() const noexcept { return view(); } // NOLINT(google-explicit-constructor)

    constexpr bool empty() const noexcept { return size_ == 0; }

    friend constexpr bool operator==(const operation_name& a, const operation_name& b) noexcept
    {
        return a.view() == b.view();
    }

    template <class Traits>
    friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                        const operation_name& name)
    {
        return out << name.view();
    }

private:
    std::array<char, max_size> bytes_{};
    std::uint8_t size_ = 0;
};

} // namespace pgcoro
