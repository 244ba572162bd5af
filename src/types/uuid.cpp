#include <pgcoro/types/uuid.hpp>

#include <boost/uuid/uuid.hpp>

#include <algorithm>

namespace pgcoro
{

boost::uuids::uuid codec<boost::uuids::uuid>::decode(field_view f)
{
    boost::uuids::uuid v;
    if (f.bytes().size() != v.size()) throw_mapping_error("a uuid has 16 bytes");
    std::copy_n(f.data, v.size(), v.begin());
    return v;
}

void codec<boost::uuids::uuid>::encode(const boost::uuids::uuid& v, encoder& out)
{
    out.bytes({reinterpret_cast<const char*>(v.begin()), v.size()});
}

} // namespace pgcoro
