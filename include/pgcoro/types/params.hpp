#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/scalars.hpp>

#include <cstddef>
#include <type_traits>

namespace PGCORO_API pgcoro
{

/// The parameters of one statement, encoded: $1, $2 … Cheap to move; up to eight small ones need no
/// allocation. Made by `query` and its kin from their arguments; made by hand where the number of parameters
/// is known only at run time. Not thread-safe.
class params
{
public:
    /// One parameter. Its bytes stand at `offset` in data(), with a NUL behind them.
    struct entry
    {
        oid type;
        format in;
        std::uint32_t offset;
        std::int32_t size; ///< -1 for NULL
    };

    params() = default;

    /// Encodes the arguments in order. A value that its PostgreSQL type cannot hold is a `mapping_error`
    /// that names the parameter.
    template <class... T>
    static params of(const T&... values)
    {
        params p;
        (p.add(values), ...);
        return p;
    }

    /// Appends a parameter; NULL for `nullptr`, `nullopt`, an empty optional and a null `const char*`. Throws `mapping_error` for a value that does not fit, and beyond 65,535
    /// parameters, which is what the protocol can carry.
    template <class T>
    void add(const T& value)
    {
        if constexpr (std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>)
            begin(oids::infer, format::text).size = -1;
        else if constexpr (std::is_convertible_v<const T&, std::string_view> && !encodable<T>) {
            // String literals, and whatever else reads as text.
            add(std::string_view(value));
        } else {
            static_assert(encodable<T>, "include this type's header of pgcoro/types, or specialise "
                                        "pgcoro::codec for it, to send it as a parameter");
            auto& added = begin(type_of(value), codec<T>::parameter_format);
            if (detail::is_null(value)) {
                added.size = -1;
                return;
            }
            try {
                encoder out(data_);
                codec<T>::encode(value, out);
                end(added);
            } catch (const mapping_error& e) {
                rethrow(e);
            }
        }
    }

    std::size_t size() const noexcept { return entries_.size(); }
    const entry& operator[](std::size_t i) const noexcept { return entries_[i]; }
    const char* data() const noexcept { return data_.data(); }
    /// How many bytes data() has.
    std::size_t bytes() const noexcept { return data_.size(); }

private:
    // Most types have one PostgreSQL type; some values carry theirs along (raw).
    template <class T>
    static oid type_of(const T& value) noexcept
    {
        if constexpr (requires { codec<T>::type_of(value); })
            return codec<T>::type_of(value);
        else
            return codec<T>::type;
    }

    entry& begin(oid type, format in);
    void end(entry& added);
    [[noreturn]] void rethrow(const mapping_error& e);

    detail::short_vector<entry, 8> entries_;
    encoder::buffer data_;
};

} // namespace pgcoro
