#include <pgcoro/types/enums.hpp>

namespace pgcoro::detail
{

void throw_unknown_label(std::string_view label)
{
    constexpr std::size_t most = 63; // an enum's label is no longer (NAMEDATALEN)
    throw_mapping_error("the label \"" + std::string(label.substr(0, most)) + "\" is no enumerator");
}

void throw_unknown_enumerator(long long value)
{
    throw_mapping_error("the value " + std::to_string(value) + " is no enumerator");
}

} // namespace pgcoro::detail
