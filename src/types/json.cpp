#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/json.hpp>
#include <pgcoro/types/literal.hpp>

#include "types/text_format.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <cmath>
#include <type_traits>

namespace pgcoro
{
namespace
{

constexpr std::size_t most_json_depth = 128;
constexpr char jsonb_version = 1;

// Numbers to the last bit, where Boost.JSON can.
template <class Options>
void set_precise(Options& options)
{
    if constexpr (requires { options.numbers; })
        options.numbers = std::remove_cvref_t<decltype(options.numbers)>::precise;
}

// Boost.JSON reads 1e400 as infinity, which it would write as no JSON.
void check_numbers(const boost::json::value& v)
{
    if (auto* number = v.if_double()) {
        if (!std::isfinite(*number))
            throw_mapping_error("the JSON has a number beyond the range of a double: read the column as text");
    } else if (auto* array = v.if_array()) {
        for (auto& element : *array) check_numbers(element);
    } else if (auto* object = v.if_object()) {
        for (auto& member : *object) check_numbers(member.value());
    }
}

boost::json::value parse(std::string_view text)
{
    boost::json::parse_options options;
    options.max_depth = most_json_depth;
    set_precise(options);
    boost::system::error_code failed;
    auto v = boost::json::parse(text, failed, {}, options);
    if (failed) throw_mapping_error("JSON that cannot be read: " + failed.message());
    check_numbers(v);
    return v;
}

boost::json::value from_float(field_view f)
{
    auto v = codec<double>::decode(f);
    if (f.type == oids::float8 && std::isfinite(v)) return v;
    std::string text;
    append_text(f.type, f.bytes(), text);
    if (!std::isfinite(v)) return boost::json::value(text); // JSON has no such numbers
    // By way of its text, a real's 0.1 is 0.1, not 0.10000000149011612.
    std::from_chars(text.data(), text.data() + text.size(), v);
    return v;
}

boost::json::value convert(field_view f, int depth);

boost::json::array convert_level(decoder& in, const detail::array_header& header, std::size_t level,
                                 int depth)
{
    boost::json::array made;
    auto size = header.dimensions[level].size;
    for (std::size_t i = 0; i < size; ++i) {
        if (level + 1 < header.depth)
            made.emplace_back(convert_level(in, header, level + 1, depth));
        else
            made.emplace_back(convert(in.element(header.element), depth));
    }
    return made;
}

boost::json::array convert_array(std::string_view bytes, int depth)
{
    decoder in(bytes);
    auto header = detail::read_array_header(in);
    boost::json::array made;
    if (header.depth > 0) made = convert_level(in, header, 0, depth);
    in.finish();
    return made;
}

// A record's attributes have no names on the wire: f1, f2 … are PostgreSQL's own.
boost::json::object convert_record(std::string_view bytes, int depth)
{
    decoder in(bytes);
    auto count = in.number<std::int32_t>();
    if (count < 0) throw_mapping_error("a record with a negative number of attributes");
    boost::json::object made;
    for (std::int32_t i = 1; i <= count; ++i) {
        auto type = in.number<oid>();
        made.insert_or_assign("f" + std::to_string(i), convert(in.element(type), depth));
    }
    in.finish();
    return made;
}

// Of the types without a text form here: is the binary format text? A user's type is asked by its bytes (enums,
// citext); the bytes of a built-in one may be UTF-8 by chance.
bool travels_as_text(oid type)
{
    constexpr oid refcursor = 1790;
    constexpr oid cstring = 2275;
    return is_user_defined(type) || type == oids::void_ || type == refcursor || type == cstring;
}

boost::json::value convert(field_view f, int depth)
{
    if (f.is_null()) return nullptr;
    if (depth == detail::most_nesting) throw_mapping_error("a value nested too deeply");
    switch (f.type) {
    case oids::boolean:
        return codec<bool>::decode(f);
    case oids::int2:
    case oids::int4:
    case oids::int8:
    case oids::oid_:
        return codec<std::int64_t>::decode(f);
    case oids::float4:
    case oids::float8:
        return from_float(f);
    case oids::json:
    case oids::jsonb:
        return codec<boost::json::value>::decode(f);
    case oids::timestamp:
    case oids::timestamptz: {
        std::string text;
        detail::append_timestamp(f, 'T', f.type == oids::timestamptz ? "+00:00" : "", text);
        return boost::json::value(text);
    }
    case oids::record:
        return convert_record(f.bytes(), depth + 1);
    default:
        break;
    }
    if (element_of(f.type) != oids::infer) return convert_array(f.bytes(), depth + 1);

    std::string text;
    bool is_known = append_text(f.type, f.bytes(), text);
    if (!is_known && travels_as_text(f.type) && detail::is_text(f.bytes()))
        text = f.bytes();
    else if (!is_known)
        append_text(oids::bytea, f.bytes(), text);
    if (!detail::is_text(text)) throw_mapping_error("the text is not UTF-8");
    return boost::json::value(text);
}

} // namespace

boost::json::value codec<boost::json::value>::decode(field_view f) { return parse(detail::decode_text(f)); }

void codec<boost::json::value>::encode(const boost::json::value& v, encoder& out)
{
    check_numbers(v);
    out.number(jsonb_version);
    out.bytes(boost::json::serialize(v));
}

void detail::throw_json_member(std::string_view name, const char* why)
{
    throw_mapping_error("JSON member \"" + std::string(name) + "\": " + why);
}

void detail::throw_json_kind(std::string_view wanted)
{
    throw_mapping_error("the JSON is not " + std::string(wanted));
}

void detail::check_json_name(std::string_view name)
{
    if (!is_text(name)) throw_mapping_error("the column's name is not UTF-8");
}

boost::json::value to_json(field_view f) { return convert(f, 0); }

} // namespace pgcoro
