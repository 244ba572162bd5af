/// Rows: columns of any type and any field into tuple, aggregate, described struct, scalar, and JSON.

#include "types.hpp"

#include <boost/json/serialize.hpp>

namespace
{

using namespace pgcoro;

struct aggregate
{
    std::int64_t id;
    std::optional<std::string> name;
    std::vector<int> numbers;
};

struct by_name
{
    std::int64_t id = 0;
    std::optional<std::string> name;
    std::vector<int> numbers;
};
BOOST_DESCRIBE_STRUCT(by_name, (), (id, name, numbers))

// Columns and fields as the input says: how many columns; for each its type, its name, its length (255:
// NULL), its bytes.
struct row
{
    std::vector<column> columns;
    std::vector<field_view> fields;

    explicit row(std::string_view input)
    {
        static constexpr std::string_view names[] = {"id", "name", "numbers", "more", ""};
        auto next = [&]() -> std::uint8_t {
            if (input.empty()) return 0;
            auto byte = static_cast<std::uint8_t>(input.front());
            input.remove_prefix(1);
            return byte;
        };
        for (int count = next() % 6; count > 0; --count) {
            auto type = fuzz::column_types[next() % fuzz::column_types.size()];
            columns.push_back({names[next() % std::size(names)], type});
            constexpr std::uint8_t null = 255;
            auto size = next();
            auto bytes = input.substr(0, size == null ? 0 : size);
            input.remove_prefix(bytes.size());
            fields.push_back({bytes.data(), size == null ? -1 : static_cast<int>(bytes.size()), type});
        }
    }

    field_view operator()(std::size_t i) const { return fields.at(i); }
};

template <class T>
void map(const row& r)
{
    auto mapper = try_mapper<T>(r.columns);
    if (mapper) try_map(*mapper, r);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    row r(std::string_view(reinterpret_cast<const char*>(data), size));
    map<std::int64_t>(r);
    map<std::optional<numeric>>(r);
    map<std::tuple<std::int64_t, std::string>>(r);
    map<aggregate>(r);
    map<by_name>(r);
    try {
        boost::json::serialize(to_json(r.columns, r));
    } catch (const mapping_error&) {
        // What hostile bytes must end in.
    }
    return 0;
}
