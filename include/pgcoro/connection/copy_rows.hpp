// Rows as COPY carries them, in its binary format or, where a type has none here, in its text format. Not
// for users.
#pragma once

#include <pgcoro/connection/row_members.hpp>
#include <pgcoro/connection/stream.hpp>
#include <pgcoro/connection/target.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/literal.hpp>

#include <boost/mp11/algorithm.hpp>

#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace detail
{

// What stands in front of the rows, and behind them; "Binary Format" in PostgreSQL's documentation of COPY.
inline constexpr std::string_view copy_signature{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
inline constexpr std::string_view copy_trailer{"\377\377", 2};

// With the backslashes that COPY's text format needs.
void append_copy_text(std::string_view value, encoder::buffer& out);

[[noreturn]] void throw_in_row(std::uint64_t row, const std::string& column, const mapping_error& why);

// How a T is written to a column of this type in its binary format; null where it cannot be.
template <class T>
struct copy_field
{
    using value = typename std::conditional_t<is_optional<T>, T, std::optional<T>>::value_type;
    using write = void (*)(const value&, encoder&);

    static write choose(const target_column& column)
    {
        if constexpr (requires(const value& v) { codec<value>::type_of(v); }) {
            return nullptr; // of a type that each value tells for itself
        } else if constexpr (codec<value>::parameter_format == format::text) {
            if (column.binary_is_text) return &as_it_is;
            if (column.type == oids::jsonb) return &as_jsonb;
        } else {
            if (codec<value>::type == column.type) return &as_it_is;
            if constexpr (integer<value>) {
                if (column.type == oids::int2) return &as_integer<std::int16_t>;
                if (column.type == oids::int4) return &as_integer<std::int32_t>;
                if (column.type == oids::int8) return &as_integer<std::int64_t>;
            }
            if constexpr (std::same_as<value, float>)
                if (column.type == oids::float8) return &as_double;
        }
        return nullptr;
    }

private:
    static void as_it_is(const value& v, encoder& out) { codec<value>::encode(v, out); }
    template <class To>
    static void as_integer(const value& v, encoder& out)
    {
        if constexpr (integer<value>) {
            if (!std::in_range<To>(v))
                throw_mapping_error("the value " + std::to_string(v) + " is out of the column's range");
            out.number(static_cast<To>(v));
        }
    }
    static void as_double(const value& v, encoder& out)
    {
        if constexpr (std::same_as<value, float>) codec<double>::encode(v, out);
    }
    static void as_jsonb(const value& v, encoder& out)
    {
        out.number(std::uint8_t{1}); // the version
        codec<value>::encode(v, out);
    }
};

// Puts rows into a buffer.
template <class Row>
class copy_writer
{
    using members = row_members<Row>;
    template <class T>
    using write_of = typename copy_field<typename T::type>::write;
    using writers =
        boost::mp11::mp_rename<boost::mp11::mp_transform<write_of, typename members::types>, std::tuple>;

public:
    explicit copy_writer(std::vector<target_column> columns)
        : columns_(std::move(columns))
    {
        choose(std::make_index_sequence<members::size>());
        if (binary_) encoder(buffer_).bytes(copy_signature);
    }

    bool binary() const noexcept { return binary_; }
    const std::vector<target_column>& columns() const noexcept { return columns_; }
    std::string_view bytes() const noexcept { return {buffer_.data(), buffer_.size()}; }
    void clear() noexcept { buffer_.clear(); }

    void add(const Row& row)
    {
        ++rows_;
        binary_ ? add_binary(row, 0) : add_text(row);
    }
    // In the binary format: all of a row but its last value, which has so many bytes, to be sent behind it.
    void begin_row(const Row& row, std::int32_t size)
    {
        add_binary(row, 1);
        encoder(buffer_).number(size);
    }
    void finish()
    {
        if (binary_) encoder(buffer_).bytes(copy_trailer);
    }

private:
    template <std::size_t... I>
    void choose(std::index_sequence<I...>)
    {
        ((std::get<I>(writers_) =
              copy_field<typename boost::mp11::mp_at_c<typename members::types, I>::type>::choose(
                  columns_[I]),
          binary_ = binary_ && std::get<I>(writers_)),
         ...);
    }

    void add_binary(const Row& row, std::size_t more_values)
    {
        encoder out(buffer_);
        out.number(static_cast<std::int16_t>(members::size + more_values));
        members::for_each(row, [&](const auto& member, auto i) {
            if (is_null(member)) return out.null_element();
            try {
                out.element([&] { std::get<i.value>(writers_)(value_of(member), out); });
            } catch (const mapping_error& e) {
                throw_in_row(rows_, columns_[i.value].name, e);
            }
        });
    }

    void add_text(const Row& row)
    {
        members::for_each(row, [&](const auto& member, auto i) {
            if (i.value > 0) buffer_.push_back('\t');
            if (is_null(member)) {
                encoder(buffer_).bytes("\\N");
                return;
            }
            text_.clear();
            try {
                append_text_of(value_of(member), text_);
            } catch (const mapping_error& e) {
                throw_in_row(rows_, columns_[i.value].name, e);
            }
            append_copy_text(text_, buffer_);
        });
        buffer_.push_back('\n');
    }

    template <class T>
    static const auto& value_of(const T& member)
    {
        if constexpr (is_optional<T>)
            return *member;
        else
            return member;
    }

    std::vector<target_column> columns_;
    writers writers_{};
    bool binary_ = true;
    std::uint64_t rows_ = 0;
    encoder::buffer buffer_;
    std::string text_;
};

// A bytea column that is to be written by pieces. Throws mapping_error when there is none of this name, or
// the other columns, or the value's size, do not allow it.
target_column choose_bytes_column(const target& where, const std::vector<target_column>& all,
                                  const std::string& name, bool others_are_binary, std::uint64_t size);

// The pieces are not what their announced size was.
[[noreturn]] void throw_pieces_size(const std::string& column, std::uint64_t announced, std::uint64_t came);

// "COPY table (columns) FROM STDIN (FORMAT binary)"
std::string copy_in_statement(const target& where, const std::vector<target_column>& columns, bool binary);

// Takes a row of COPY's binary format apart. Throws mapping_error for bytes that are none. False when it is
// the trailer.
bool split_copy_row(std::string_view bytes, std::span<const column> columns, std::vector<field_view>& fields);

} // namespace detail
} // namespace pgcoro
