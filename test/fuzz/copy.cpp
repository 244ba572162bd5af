/// Rows of COPY's binary format: the first byte says how many columns, one byte for each its type, the rest
/// is the row.

#include "types.hpp"

#include <pgcoro/connection/copy_rows.hpp>

#include <boost/json/serialize.hpp>

using namespace pgcoro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view input(reinterpret_cast<const char*>(data), size);
    std::vector<column> columns;
    std::size_t count = size > 0 ? data[0] % 6 : 0;
    if (size < 1 + count) return 0;
    for (std::size_t i = 1; i <= count; ++i)
        columns.push_back({"c", fuzz::column_types[data[i] % fuzz::column_types.size()]});
    input.remove_prefix(1 + count);
    std::vector<field_view> fields;
    try {
        if (!detail::split_copy_row(input, columns, fields)) return 0;
        auto field = [&](std::size_t i) { return fields.at(i); };
        boost::json::serialize(to_json(columns, field));
        if (auto mapper = try_mapper<std::tuple<std::int64_t, std::optional<std::string>>>(columns))
            try_map(*mapper, field);
    } catch (const mapping_error&) {
        // What hostile bytes must end in.
    }
    return 0;
}
