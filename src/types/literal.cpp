#include <pgcoro/types/literal.hpp>

#include <algorithm>

namespace pgcoro::detail
{
namespace
{

constexpr std::string_view spaces = " \t\n\r\v\f";

bool has_any(std::string_view text, std::string_view of) { return text.find_first_of(of) != text.npos; }

} // namespace

void throw_part_type(oid found) { throw_mapping_error(type_name(found) + " does not fit the C++ type"); }

void throw_part_null() { throw_mapping_error("NULL: use std::optional"); }

void throw_in_part(const char* kind, std::size_t index, const mapping_error& why)
{
    throw_mapping_error(std::string(kind) + " " + std::to_string(index) + ": " + why.message());
}

void throw_no_text_form(oid type)
{
    throw_mapping_error("a value of " + type_name(type) +
                        " cannot be part of a text literal, which is how arrays and composites of types that "
                        "are not built in are sent");
}

void append_array_element(std::string_view element, std::string& text)
{
    auto is_null_word = [&] {
        return std::ranges::equal(element, std::string_view("null"),
                                  [](char a, char b) { return (a | 0x20) == b; });
    };
    if (!element.empty() && !has_any(element, "{},\"\\") && !has_any(element, spaces) && !is_null_word()) {
        text += element;
        return;
    }
    text += '"';
    for (char c : element) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    text += '"';
}

namespace
{

void append_doubled(std::string_view part, std::string_view special, std::string& text)
{
    if (!part.empty() && !has_any(part, special) && !has_any(part, spaces)) {
        text += part;
        return;
    }
    text += '"';
    for (char c : part) {
        if (c == '"' || c == '\\') text += c;
        text += c;
    }
    text += '"';
}

} // namespace

void append_record_attribute(std::string_view attribute, std::string& text)
{
    append_doubled(attribute, "\"\\(),", text);
}

void append_range_bound(std::string_view bound, std::string& text)
{
    append_doubled(bound, "\"\\()[],", text);
}

} // namespace pgcoro::detail
