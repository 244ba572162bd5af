#include <pgcoro/types/oid.hpp>

namespace pgcoro
{

std::string type_name(oid type)
{
    for (const auto& known : detail::builtin_types) {
        if (known.type == type) return std::string(known.name);
        if (known.array == type && type != oids::infer) return std::string(known.name) + "[]";
    }
    return "type with OID " + std::to_string(type);
}

} // namespace pgcoro
