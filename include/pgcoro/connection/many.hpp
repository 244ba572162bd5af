// Many rows by few statements: each column of a chunk of rows is one array, and unnest() makes rows of them
// again. Not for users.
#pragma once

#include <pgcoro/connection/batch.hpp>
#include <pgcoro/connection/copy_rows.hpp>
#include <pgcoro/connection/row_members.hpp>
#include <pgcoro/connection/row_range.hpp>
#include <pgcoro/connection/target.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/arrays.hpp>

#include <boost/mp11/algorithm.hpp>

#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace detail
{

enum class many { insert, update, upsert };

// A column of the statement, and how it travels.
struct many_column
{
    std::string name;
    std::string cast; // what its text must be cast to; empty where it travels as an array of its own type
};

// `insert into … select … from unnest($1, …)` and its kin. Throws std::invalid_argument for keys that are no
// columns.
std::string many_statement(many kind, const target& where, const std::vector<many_column>& columns,
                           const std::vector<std::string>& keys);

template <class T>
struct many_member
{
    using value = typename std::conditional_t<is_optional<T>, T, std::optional<T>>::value_type;

    // Does it travel as an array of its own type? Else as text.
    static constexpr bool native = [] {
        if constexpr (requires(const value& v) { codec<value>::type_of(v); })
            return false;
        else
            return codec<value>::parameter_format == format::binary &&
                   array_of(codec<value>::type) != oids::infer;
    }();
    using list = std::vector<std::optional<std::conditional_t<native, value, std::string>>>;

    // Gives about how many bytes it has.
    static std::size_t append(const T& member, list& to)
    {
        if (is_null(member)) {
            to.emplace_back();
            return 4;
        }
        const value* v = nullptr;
        if constexpr (is_optional<T>)
            v = &*member;
        else
            v = &member;
        if constexpr (native) {
            to.emplace_back(*v);
            if constexpr (requires { v->size(); })
                return 4 + v->size();
            else
                return 4 + sizeof(value);
        } else {
            append_text_of(*v, to.emplace_back(std::in_place).value());
            return 4 + to.back()->size();
        }
    }
};

template <class Range>
class many_batch final : public batch
{
    using row_type = row_of<Range>;
    using members = row_members<row_type>;
    template <class T>
    using list_of = typename many_member<typename T::type>::list;
    using lists =
        boost::mp11::mp_rename<boost::mp11::mp_transform<list_of, typename members::types>, std::tuple>;

public:
    template <class T>
    using travels_as_text = boost::mp11::mp_bool<!many_member<typename T::type>::native>;
    static constexpr bool needs_types =
        boost::mp11::mp_any_of<typename members::types, travels_as_text>::value;

    many_batch(const Range& rows, std::string sql, std::vector<std::string> columns)
        : rows_(rows)
        , at_(std::begin(rows))
        , sql_(std::move(sql))
        , columns_(std::move(columns))
    {}

    bool next(statement& made) override
    {
        constexpr std::size_t most_rows = 8192;
        constexpr std::size_t most_bytes = 4 * 1024 * 1024;
        std::size_t rows = 0;
        std::size_t bytes = 0;
        lists values;
        auto first = at_;
        for (; at_ != std::end(rows_) && rows < most_rows && bytes < most_bytes; ++at_, ++rows) {
            ++row_;
            members::for_each(*at_, [&](const auto& member, auto i) {
                using type = typename boost::mp11::mp_at_c<typename members::types, i.value>::type;
                try {
                    bytes += many_member<type>::append(member, std::get<i.value>(values));
                } catch (const mapping_error& e) {
                    throw_in_row(row_, columns_[i.value], e);
                }
            });
        }
        if (rows == 0) return false;
        try {
            args_ = std::apply([](const auto&... list) { return params::of(list...); }, values);
        } catch (const mapping_error&) {
            blame(first, row_ - rows);
            throw;
        }
        made = {sql_, &args_};
        return true;
    }

    void answered(std::size_t, result got) override { count_ += got.affected_rows(); }
    void failed(std::size_t, std::exception_ptr, bool) override {} // not where it ends with the first
    bool rewind() override
    {
        at_ = std::begin(rows_);
        count_ = 0;
        row_ = 0;
        return true;
    }
    bool goes_on() const override { return false; }

    std::uint64_t count() const noexcept { return count_; }

    // How its columns travel; `known` are the table's, where needs_types.
    static std::vector<many_column> travelling(const std::vector<std::string>& names,
                                               const std::vector<target_column>& known)
    {
        std::vector<many_column> columns;
        boost::mp11::mp_for_each<boost::mp11::mp_iota_c<members::size>>([&](auto i) {
            using type = typename boost::mp11::mp_at_c<typename members::types, i>::type;
            columns.push_back({names[i], many_member<type>::native ? std::string() : known[i].type_name});
        });
        return columns;
    }

private:
    // Throws for the first value that cannot be encoded; `before`: so many rows come before `row`.
    void blame(row_iterator<Range> row, std::uint64_t before) const
    {
        for (; row != at_; ++row) {
            ++before;
            members::for_each(*row, [&](const auto& member, auto i) {
                using type = std::remove_cvref_t<decltype(member)>;
                encoder::buffer bytes;
                encoder out(bytes);
                try {
                    if (!is_null(member)) codec<type>::encode(member, out);
                } catch (const mapping_error& e) {
                    throw_in_row(before, columns_[i.value], e);
                }
            });
        }
    }

    const Range& rows_;
    row_iterator<Range> at_;
    std::string sql_;
    std::vector<std::string> columns_;
    params args_;
    std::uint64_t count_ = 0;
    std::uint64_t row_ = 0;
};

} // namespace detail
} // namespace pgcoro
