#include <pgcoro/types/composites.hpp>

namespace pgcoro::detail
{

void read_composite_header(decoder& in, std::size_t attributes)
{
    auto found = in.number<std::int32_t>();
    if (found < 0 || static_cast<std::size_t>(found) != attributes)
        throw_mapping_error("a composite of " + std::to_string(found) + " attributes, not of " +
                            std::to_string(attributes));
}

field_view read_attribute(decoder& in)
{
    auto type = in.number<oid>();
    return in.element(type);
}

void encode_composite(std::string text, encoder& out)
{
    if (!text.empty()) text.pop_back();
    encode_text("(" + text + ")", out);
}

} // namespace pgcoro::detail
