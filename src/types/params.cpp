#include <pgcoro/types/params.hpp>

#include <limits>

namespace pgcoro
{

params::entry& params::begin(oid type, format in)
{
    constexpr std::size_t most = 65535; // Bind counts parameters in 16 bits
    if (entries_.size() == most)
        throw mapping_error("more than 65535 parameters: use an array, or several statements");
    return entries_.push_back({type, in, static_cast<std::uint32_t>(data_.size()), 0});
}

void params::end(entry& added)
{
    auto size = data_.size() - added.offset;
    if (data_.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw mapping_error("parameters of more than 2 GiB");
    added.size = static_cast<std::int32_t>(size);
    data_.push_back('\0'); // libpq reads text parameters up to the NUL
}

void params::rethrow(const mapping_error& e)
{
    throw mapping_error("parameter $" + std::to_string(entries_.size()) + ": " + e.message());
}

} // namespace pgcoro
