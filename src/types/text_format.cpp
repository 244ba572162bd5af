#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/bits.hpp>
#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/literal.hpp>
#include <pgcoro/types/network.hpp>
#include <pgcoro/types/numeric.hpp>
#include <pgcoro/types/ranges.hpp>
#include <pgcoro/types/uuid.hpp>

#include "types/text_format.hpp"

#include <boost/uuid/uuid.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace pgcoro
{
namespace detail
{
namespace
{

using namespace std::chrono;

template <class Integer>
void append_integer(Integer v, std::string& text)
{
    text += std::to_string(v);
}

// At least `width` digits, zeros in front.
void append_padded(std::int64_t v, std::size_t width, std::string& text)
{
    auto digits = std::to_string(v);
    if (digits.size() < width) text.append(width - digits.size(), '0');
    text += digits;
}

template <class Float>
void append_float(Float v, std::string& text)
{
    if (std::isnan(v)) {
        text += "NaN";
    } else if (std::isinf(v)) {
        text += v < 0 ? "-Infinity" : "Infinity";
    } else {
        char buffer[32];
        auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
        text.append(buffer, end);
    }
}

void append_hex(std::string_view bytes, std::string& text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    for (unsigned char c : bytes) {
        text += digits[c >> 4];
        text += digits[c & 15u];
    }
}

struct civil_date
{
    std::int64_t year; // astronomical: 0 is 1 BC
    int month;
    int day;
};

// std::chrono's years end at 32767, PostgreSQL's later. The algorithm is civil_from_days of
// H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
civil_date civil_from_days(std::int64_t since_1970) noexcept
{
    auto z = since_1970 + 719468; // from 0000-03-01
    auto era = (z >= 0 ? z : z - 146096) / 146097;
    auto day_of_era = z - era * 146097;
    auto year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    auto day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    auto shifted_month = (5 * day_of_year + 2) / 153; // 0: March
    auto day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    auto month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    return {year_of_era + era * 400 + (month <= 2), static_cast<int>(month), static_cast<int>(day)};
}

// Returns whether the year is before Christ, which PostgreSQL says at the very end.
bool append_day(std::int64_t since_1970, std::string& text)
{
    auto date = civil_from_days(since_1970);
    bool before_christ = date.year <= 0;
    append_padded(before_christ ? 1 - date.year : date.year, 4, text);
    text += '-';
    append_padded(date.month, 2, text);
    text += '-';
    append_padded(date.day, 2, text);
    return before_christ;
}

// hh:mm:ss[.ffffff] of a time that is not negative.
void append_clock(std::uint64_t microseconds, std::string& text)
{
    constexpr std::uint64_t second = 1'000'000;
    auto seconds = static_cast<std::int64_t>(microseconds / second);
    append_padded(seconds / 3600, 2, text);
    text += ':';
    append_padded(seconds / 60 % 60, 2, text);
    text += ':';
    append_padded(seconds % 60, 2, text);
    if (auto fraction = static_cast<std::int64_t>(microseconds % second); fraction != 0) {
        text += '.';
        append_padded(fraction, 6, text);
        text.erase(text.find_last_not_of('0') + 1);
    }
}

template <class Wire>
bool append_infinity(field_view f, std::string& text)
{
    int infinite = infinity_of<Wire>(f);
    if (infinite != 0) text += infinite > 0 ? "infinity" : "-infinity";
    return infinite != 0;
}

void append_date(field_view f, std::string& text)
{
    if (append_infinity<date_wire>(f, text)) return;
    if (append_day(decode_date(f).count(), text)) text += " BC";
}

void append_zone(seconds east, std::string& text)
{
    text += east < seconds(0) ? '-' : '+';
    auto count = std::abs(east.count());
    append_padded(count / 3600, 2, text);
    if (count % 3600 != 0) {
        text += ':';
        append_padded(count / 60 % 60, 2, text);
    }
    if (count % 60 != 0) {
        text += ':';
        append_padded(count % 60, 2, text);
    }
}

void append_time_tz(field_view f, std::string& text)
{
    auto v = codec<time_tz>::decode(f);
    append_clock(static_cast<std::uint64_t>(v.since_midnight.count()), text);
    append_zone(v.east_of_utc, text);
}

// EncodeInterval of PostgreSQL's datetime.c, IntervalStyle "postgres".
void append_interval(field_view f, std::string& text)
{
    auto v = codec<interval>::decode(f);
    bool first = true;
    bool after_negative = false;
    auto append_part = [&](std::int32_t count, std::string_view unit) {
        if (count == 0) return;
        if (!first) text += ' ';
        if (after_negative && count > 0) text += '+';
        append_integer(count, text);
        text.append(" ").append(unit);
        if (count != 1) text += 's';
        after_negative = count < 0;
        first = false;
    };
    append_part(v.months / 12, "year");
    append_part(v.months % 12, "mon");
    append_part(v.days, "day");
    auto time = v.time.count();
    if (time == 0 && !first) return;
    if (!first) text += ' ';
    if (time < 0)
        text += '-';
    else if (after_negative)
        text += '+';
    append_clock(time < 0 ? 0 - static_cast<std::uint64_t>(time) : static_cast<std::uint64_t>(time), text);
}

template <class Network>
void append_network(field_view f, bool always_prefix, std::string& text)
{
    auto v = codec<Network>::decode(f);
    text += v.address.to_string();
    if (always_prefix || v.prefix != (v.address.is_v4() ? 32 : 128))
        text.append("/").append(std::to_string(v.prefix));
}

void append_mac(std::string_view bytes, std::string& text)
{
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i > 0) text += ':';
        append_hex(bytes.substr(i, 1), text);
    }
}

void append_uuid(field_view f, std::string& text)
{
    codec<boost::uuids::uuid>::decode(f); // checks the size
    for (std::size_t i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        append_hex(f.bytes().substr(i, 1), text);
    }
}

// As charout() of PostgreSQL 16: a byte above 127 is a backslash and three octal digits, and 0 is nothing.
void append_char(field_view f, std::string& text)
{
    if (f.size != 1) throw_mapping_error("a \"char\" has one byte");
    auto byte = static_cast<unsigned char>(*f.data);
    auto octal = [](int digit) { return static_cast<char>('0' + digit); };
    if (byte >= 128)
        text.append({'\\', octal(byte >> 6), octal((byte >> 3) & 7), octal(byte & 7)});
    else if (byte != 0)
        text += static_cast<char>(byte);
}

void append_bits(field_view f, std::string& text)
{
    decoder in(f.bytes());
    auto count = read_bit_count(in);
    auto bytes = in.take(in.remaining());
    for (std::size_t i = 0; i < count; ++i) text += bit_at(bytes, i) ? '1' : '0';
}

bool append_value(field_view f, std::string& text, int depth);

bool append_range(std::string_view bytes, oid bound, std::string& text, int depth)
{
    auto parts = read_range(bytes, bound);
    if (parts.is_empty) {
        text += "empty";
        return true;
    }
    auto append_bound = [&](field_view f) {
        if (f.is_null()) return true;
        std::string written;
        if (!append_value(f, written, depth)) return false;
        append_range_bound(written, text);
        return true;
    };
    text += parts.lower_inclusive && !parts.lower.is_null() ? '[' : '(';
    if (!append_bound(parts.lower)) return false;
    text += ',';
    if (!append_bound(parts.upper)) return false;
    text += parts.upper_inclusive && !parts.upper.is_null() ? ']' : ')';
    return true;
}

bool append_multirange(std::string_view bytes, oid bound, std::string& text, int depth)
{
    decoder in(bytes);
    auto count = read_multirange_count(in);
    text += '{';
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) text += ',';
        if (!append_range(in.element(oids::infer).bytes(), bound, text, depth)) return false;
    }
    text += '}';
    in.finish();
    return true;
}

bool append_array_level(decoder& in, const array_header& header, std::size_t level, std::string& text,
                        int depth)
{
    text += '{';
    for (std::size_t i = 0; i < header.dimensions[level].size; ++i) {
        if (i > 0) text += ',';
        if (level + 1 < header.depth) {
            if (!append_array_level(in, header, level + 1, text, depth)) return false;
            continue;
        }
        auto element = in.element(header.element);
        if (element.is_null()) {
            text += "NULL";
            continue;
        }
        std::string written;
        if (!append_value(element, written, depth)) return false;
        append_array_element(written, text);
    }
    text += '}';
    return true;
}

bool append_array(std::string_view bytes, std::string& text, int depth)
{
    decoder in(bytes);
    auto header = read_array_header(in);
    if (header.depth == 0) {
        text += "{}";
    } else {
        auto dimensions = std::span(header.dimensions).first(header.depth);
        if (std::ranges::any_of(dimensions, [](const auto& d) { return d.lower_bound != 1; })) {
            for (const auto& d : dimensions)
                text += "[" + std::to_string(d.lower_bound) + ":" +
                        std::to_string(d.lower_bound + static_cast<std::int64_t>(d.size) - 1) + "]";
            text += '=';
        }
        if (!append_array_level(in, header, 0, text, depth)) return false;
    }
    in.finish();
    return true;
}

bool append_record(std::string_view bytes, std::string& text, int depth)
{
    decoder in(bytes);
    auto count = in.number<std::int32_t>();
    if (count < 0) throw_mapping_error("a record with a negative number of attributes");
    text += '(';
    for (std::int32_t i = 0; i < count; ++i) { // ends early when the bytes do
        if (i > 0) text += ',';
        auto type = in.number<oid>();
        auto attribute = in.element(type);
        if (attribute.is_null()) continue;
        std::string written;
        if (!append_value(attribute, written, depth)) return false;
        append_record_attribute(written, text);
    }
    text += ')';
    in.finish();
    return true;
}

bool append_value(field_view f, std::string& text, int depth)
{
    if (depth == most_nesting) throw_mapping_error("a value nested too deeply");
    switch (f.type) {
    case oids::boolean:
        text += codec<bool>::decode(f) ? 't' : 'f';
        return true;
    case oids::int2:
    case oids::int4:
    case oids::int8:
    case oids::oid_:
    case oids::xid:
        append_integer(codec<std::int64_t>::decode(f), text);
        return true;
    case oids::xid8:
        append_integer(codec<std::uint64_t>::decode(f), text);
        return true;
    case oids::float4:
        append_float(codec<float>::decode(f), text);
        return true;
    case oids::float8:
        append_float(codec<double>::decode(f), text);
        return true;
    case oids::numeric:
        text += codec<numeric>::decode(f).str();
        return true;
    case oids::text:
    case oids::varchar:
    case oids::bpchar:
    case oids::name:
    case oids::json:
    case oids::jsonb:
    case oids::xml:
    case oids::unknown:
        text += decode_text(f);
        return true;
    case oids::char_:
        append_char(f, text);
        return true;
    case oids::bytea:
        text += "\\x";
        append_hex(f.bytes(), text);
        return true;
    case oids::date:
        append_date(f, text);
        return true;
    case oids::timestamp:
        append_timestamp(f, ' ', "", text);
        return true;
    case oids::timestamptz:
        append_timestamp(f, ' ', "+00", text);
        return true;
    case oids::time:
        append_clock(
            static_cast<std::uint64_t>(codec<hh_mm_ss<microseconds>>::decode(f).to_duration().count()), text);
        return true;
    case oids::timetz:
        append_time_tz(f, text);
        return true;
    case oids::interval:
        append_interval(f, text);
        return true;
    case oids::uuid:
        append_uuid(f, text);
        return true;
    case oids::inet:
        append_network<inet>(f, false, text);
        return true;
    case oids::cidr:
        append_network<cidr>(f, true, text);
        return true;
    case oids::macaddr:
    case oids::macaddr8:
        append_mac(f.bytes(), text);
        return true;
    case oids::bit:
    case oids::varbit:
        append_bits(f, text);
        return true;
    case oids::record:
        return append_record(f.bytes(), text, depth + 1);
    default:
        break;
    }
    if (auto bound = bound_of(f.type); bound != oids::infer)
        return range_of(bound) == f.type ? append_range(f.bytes(), bound, text, depth + 1)
                                         : append_multirange(f.bytes(), bound, text, depth + 1);
    // int2vector and oidvector are arrays in binary, but not in text.
    if (array_of(element_of(f.type)) == f.type && f.type != oids::infer)
        return append_array(f.bytes(), text, depth + 1);
    return false;
}

} // namespace

void append_timestamp(field_view f, char separator, std::string_view zone, std::string& text)
{
    if (append_infinity<timestamp_wire>(f, text)) return;
    auto since_1970 = decode_timestamp(f);
    auto date = floor<days>(since_1970);
    bool before_christ = append_day(date.count(), text);
    text += separator;
    append_clock(static_cast<std::uint64_t>((since_1970 - date).count()), text);
    text += zone;
    if (before_christ) text += " BC";
}

} // namespace detail

bool append_text(oid type, std::string_view bytes, std::string& text)
{
    if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
        throw_mapping_error("a value of more than 2 GiB");
    auto before = text.size();
    bool known = detail::append_value({bytes.data(), static_cast<int>(bytes.size()), type}, text, 0);
    if (!known) text.resize(before);
    return known;
}

} // namespace pgcoro
