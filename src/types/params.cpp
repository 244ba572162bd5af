#include <pgcoro/types/params.hpp>

#include <string>

namespace pgcoro
{

void detail::check_value_size(std::size_t bytes)
{
    constexpr std::size_t most = (std::size_t(1) << 30) - 1; // MaxAllocSize of PostgreSQL's memutils.h
    if (bytes > most)
        throw mapping_error(std::to_string(bytes) + " bytes: PostgreSQL's values, and all parameters of a statement "
                            "together, have less than 1 GiB; copy_in_bytes() sends a large bytea by pieces");
}

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
    detail::check_value_size(size);
    detail::check_value_size(data_.size()); // they travel in one message, which has the same bound
    added.size = static_cast<std::int32_t>(size);
    data_.push_back('\0'); // libpq reads text parameters up to the NUL
}

void params::rethrow(const mapping_error& e)
{
    throw mapping_error("parameter $" + std::to_string(entries_.size()) + ": " + e.message());
}

} // namespace pgcoro
