#include <pgcoro/connection/stream.hpp>

namespace pgcoro::detail
{

kept_columns::kept_columns(const result& first)
{
    auto list = first.columns();
    names_.reserve(list.size());
    for (auto& c : list) {
        names_.emplace_back(c.name);
        columns_.push_back({names_.back(), c.type});
    }
}

} // namespace pgcoro::detail
