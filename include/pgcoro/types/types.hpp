/// All types that can travel, but for those that stand on large headers of others. These are to be included
/// where they are used: `<pgcoro/types/json.hpp>` (Boost.JSON), `<pgcoro/types/multiprecision.hpp>`
/// (Boost.Multiprecision) and `<pgcoro/types/network.hpp>` (Boost.Asio's addresses).
#pragma once

#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/bits.hpp>
#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/codec.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/enums.hpp>
#include <pgcoro/types/hstore.hpp>
#include <pgcoro/types/numeric.hpp>
#include <pgcoro/types/oid.hpp>
#include <pgcoro/types/params.hpp>
#include <pgcoro/types/ranges.hpp>
#include <pgcoro/types/raw.hpp>
#include <pgcoro/types/row_mapper.hpp>
#include <pgcoro/types/scalars.hpp>
#include <pgcoro/types/uuid.hpp>
