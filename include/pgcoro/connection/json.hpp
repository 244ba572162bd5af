/// Rows and results as JSON. Not part of pgcoro.hpp, because Boost.JSON is large.
#pragma once

#include <pgcoro/connection/result.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/json.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace PGCORO_API pgcoro
{

/// A row of whatever columns as an object, by their names; see `to_json(field_view)` for the values. Throws
/// `mapping_error` for bytes that are no value of their type.
boost::json::object to_json(const row& r);

/// All rows as an array of objects.
boost::json::array to_json(const result& r);

} // namespace pgcoro
