#include <pgcoro/types/hstore.hpp>
#include <pgcoro/types/scalars.hpp>

#include <string_view>

namespace pgcoro
{
namespace
{

void append_quoted(std::string_view part, std::string& text)
{
    text += '"';
    for (char c : part) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    text += '"';
}

} // namespace

hstore codec<hstore>::decode(field_view f)
{
    decoder in(f.bytes());
    auto count = in.number<std::int32_t>();
    if (count < 0) throw_mapping_error("an hstore with a negative count");
    hstore v;
    for (std::int32_t i = 0; i < count; ++i) { // ends early when the bytes do
        auto key = in.element(oids::text);
        auto value = in.element(oids::text);
        if (key.is_null()) throw_mapping_error("an hstore with a NULL key");
        std::optional<std::string> held;
        if (!value.is_null()) held = value.bytes();
        v.insert_or_assign(std::string(key.bytes()), std::move(held));
    }
    in.finish();
    return v;
}

void codec<hstore>::encode(const hstore& v, encoder& out)
{
    std::string text;
    for (const auto& [key, value] : v) {
        if (!text.empty()) text += ',';
        append_quoted(key, text);
        text += "=>";
        if (value)
            append_quoted(*value, text);
        else
            text += "NULL";
    }
    detail::encode_text(text, out);
}

} // namespace pgcoro
